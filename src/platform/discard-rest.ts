import type { IncomingMessage } from 'node:http'

/** How long a refused body is read on, unkept. */
const REFUSED_GRACE_MS = 5_000

/** A client hears why its body was refused only while its bytes are taken; one that goes on sending is cut off, since it would hold the server's close. */
export function discardRest(request: IncomingMessage) {
  if (request.complete) return
  request.resume()
  setTimeout(() => {
    if (!request.complete) request.socket?.destroy()
  }, REFUSED_GRACE_MS).unref()
}
