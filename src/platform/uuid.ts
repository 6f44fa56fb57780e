import { randomBytes } from 'node:crypto'

let pool = randomBytes(4096)
let used = 0

/** UUID version 7 (RFC 9562): ordered by time, so that an index grows at its end. */
export function v7(now: number = Date.now()): string {
  if (used + 10 > pool.length) {
    pool = randomBytes(4096)
    used = 0
  }
  const random = pool.subarray(used, used + 10)
  used += 10
  const time = now.toString(16).padStart(12, '0')
  const hex = random.toString('hex')
  const variant = ((random[2] & 0x3f) | 0x80).toString(16)
  return `${time.slice(0, 8)}-${time.slice(8)}-7${hex.slice(0, 3)}-${variant}${hex.slice(6, 8)}-${hex.slice(8, 20)}`
}
