import { InvalidInput } from '../platform/errors.js'

/** Opaque id of an entity: base64url of "Type:key". */
export function encodeId(type: string, key: string | number | bigint): string {
  return Buffer.from(`${type}:${key}`).toString('base64url')
}

/** The key inside an id of `type`; an id of another type, or none at all, is `InvalidInput` with the argument's name. */
export function decodeId(type: string, id: string, argument = 'id'): string {
  const decoded = tryDecodeId(id)
  if (decoded?.type !== type) throw new InvalidInput(`${argument} is not the id of a ${type}`, { id: id.slice(0, 64) }, [argument])
  return decoded.key
}

export function decodeIntId(type: string, id: string, argument = 'id'): number {
  const key = Number(decodeId(type, id, argument))
  if (!Number.isInteger(key) || key < 1 || key > 2_147_483_647)
    throw new InvalidInput(`${argument} is not the id of a ${type}`, {}, [argument])
  return key
}

/** The integer key of a row, or undefined when the text cannot be one. */
export function intKeyOf(text: string): number | undefined {
  const key = Number(text)
  return /^\d{1,10}$/.test(text) && key >= 1 && key <= 2_147_483_647 ? key : undefined
}

export function tryDecodeId(id: string): { type: string; key: string } | undefined {
  const text = Buffer.from(id, 'base64url').toString('utf8')
  const [, type, key] = /^([A-Z][A-Za-z]{1,40}):(.{1,200})$/.exec(text) ?? []
  return type && !key.includes('\0') && encodeId(type, key) === id ? { type, key } : undefined
}
