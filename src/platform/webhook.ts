import { messageOf, Unavailable } from './errors.js'
import { signatureOf } from './signature.js'

const TIMEOUT_MS = 5_000

export interface Webhook {
  url: string
  secret: string
}

/** Posts a signed JSON body once; follows no redirect. Throws `Unavailable` when the other side does not say 2xx in five seconds. */
export async function sendWebhook({ url, secret }: Webhook, value: unknown, now: Date = new Date()): Promise<void> {
  const body = JSON.stringify(value)
  const headers = { 'content-type': 'application/json', 'bellwether-signature': signatureOf(secret, body, now) }
  try {
    const response = await fetch(url, { method: 'POST', headers, body, redirect: 'manual', signal: AbortSignal.timeout(TIMEOUT_MS) })
    await response.body?.cancel()
    if (!response.ok) throw new Error(`it answered ${response.status}`)
  } catch (error) {
    throw new Unavailable(`The webhook could not be delivered: ${messageOf(error)}`)
  }
}
