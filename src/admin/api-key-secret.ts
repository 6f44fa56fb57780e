import { createHash, randomBytes, randomInt, timingSafeEqual } from 'node:crypto'

export interface ApiKeySecret {
  /** The whole key as the client sends it: `bw_<kind>_<prefix>_<secret>`. */
  key: string
  /** Eight characters that name the key and may be shown. */
  prefix: string
  /** SHA-256 of the whole key, in hex. */
  hash: string
}

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz0123456789'
const SECRET_BYTES = 32
const FORM = /^bw_[a-z]{1,20}_([a-z0-9]{8})_[A-Za-z0-9_-]{43}$/

/** A new random key. Its 256 random bits make one round of SHA-256 enough: there is nothing to guess. */
export function newApiKey(kind: string): ApiKeySecret {
  const prefix = Array.from({ length: 8 }, () => ALPHABET[randomInt(ALPHABET.length)]).join('')
  const key = `bw_${kind}_${prefix}_${randomBytes(SECRET_BYTES).toString('base64url')}`
  return { key, prefix, hash: hashOf(key) }
}

/** The prefix inside a key, or undefined when the text cannot be a key. */
export function prefixOf(key: string): string | undefined {
  return FORM.exec(key)?.[1]
}

/** Compares in constant time. */
export function matchesHash(key: string, hash: string): boolean {
  return timingSafeEqual(Buffer.from(hashOf(key), 'hex'), Buffer.from(hash, 'hex'))
}

function hashOf(key: string): string {
  return createHash('sha256').update(key).digest('hex')
}
