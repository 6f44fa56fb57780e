import { createHmac, timingSafeEqual } from 'node:crypto'

const TOLERANCE_SECONDS = 300

/** `t=<seconds>,v1=<hex>`: HMAC-SHA256 over "<seconds>.<body>", so that neither body nor time can be changed, and an old message not sent again. */
export function signatureOf(secret: string, body: string | Uint8Array, now: Date): string {
  const seconds = Math.floor(now.getTime() / 1_000)
  return `t=${seconds},v1=${mac(secret, seconds, body)}`
}

/** Whether the header signs this body with this secret, not more than five minutes from now. */
export function isSignedBy(secret: string, body: string | Uint8Array, header: string | undefined, now: Date): boolean {
  const [, time, given] = /^t=(\d{1,12}),v1=([0-9a-f]{64})$/.exec(header ?? '') ?? []
  if (!time || Math.abs(Number(time) - now.getTime() / 1_000) > TOLERANCE_SECONDS) return false
  return timingSafeEqual(Buffer.from(given, 'hex'), Buffer.from(mac(secret, Number(time), body), 'hex'))
}

function mac(secret: string, seconds: number, body: string | Uint8Array): string {
  return createHmac('sha256', secret).update(`${seconds}.`).update(body).digest('hex')
}
