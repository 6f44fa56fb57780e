import { InvalidInput } from './errors.js'

export interface TextRule {
  /** Path of the input field, for the error. */
  field: string | string[]
  /** Most UTF-16 units. */
  max: number
  /** Fewest units after trimming; 1 unless said. */
  min?: number
  /** false keeps surrounding blanks, as identifiers of other systems need; true unless said. */
  trim?: boolean
}

/** Whether PostgreSQL can store the text as it is: NUL has no place in its text, and a lone surrogate has no UTF-8. */
export function isStorable(text: string): boolean {
  return !text.includes('\0') && !/\p{Surrogate}/u.test(text)
}

/** The text without surrounding blanks; too short, too long or not storable is `InvalidInput` that names the field. */
export function cleanText(value: string, { field, max, min = 1, trim = true }: TextRule): string {
  const path = pathOf(field)
  const name = path.at(-1)
  if (typeof value !== 'string') throw new InvalidInput(`${name} must be text`, {}, path)
  if (value.length > max) throw new InvalidInput(`${name} must have at most ${max} characters, not ${value.length}`, {}, path)
  if (value.includes('\0')) throw new InvalidInput(`${name} must not contain the NUL character`, {}, path)
  if (!isStorable(value)) throw new InvalidInput(`${name} must be valid Unicode: it contains half of a surrogate pair`, {}, path)
  const text = value.trim()
  if (text.length < min)
    throw new InvalidInput(min === 1 ? `${name} must not be empty` : `${name} must have at least ${min} characters`, {}, path)
  return trim ? text : value
}

/** Like `cleanText`; null (clear it) and undefined (leave it) pass. */
export function cleanOptionalText<Absent extends null | undefined>(value: string | Absent, rule: TextRule): string | Absent {
  return typeof value === 'string' ? cleanText(value, rule) : value
}

export interface JsonRule {
  field: string | string[]
  maxBytes: number
  maxDepth?: number
}

export type JsonObject = Record<string, unknown>

/** A JSON object of bounded size and depth whose texts and numbers can be stored; anything else is `InvalidInput`. */
export function cleanJsonObject(value: unknown, { field, maxBytes, maxDepth = 8 }: JsonRule): JsonObject {
  const path = pathOf(field)
  const name = path.at(-1)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new InvalidInput(`${name} must be a JSON object`, {}, path)
  const fault = jsonFault(value, maxDepth)
  if (fault) throw new InvalidInput(`${name} ${fault}`, {}, path)
  const bytes = Buffer.byteLength(JSON.stringify(value))
  if (bytes > maxBytes) throw new InvalidInput(`${name} must have at most ${maxBytes} bytes as JSON, not ${bytes}`, {}, path)
  return value as JsonObject
}

/** Whether a JSON value has at most `depth` levels of lists and objects; whatever walks a deeper one may run out of stack. */
export function isNestedWithin(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return true
  return depth > 0 && Object.values(value).every(part => isNestedWithin(part, depth - 1))
}

/** What keeps a value from being stored as JSON, as the end of a sentence. */
export function jsonFault(value: unknown, depthLeft: number): string | undefined {
  if (value === null || typeof value === 'boolean') return undefined
  if (typeof value === 'number') return Number.isFinite(value) ? undefined : 'must not contain NaN or Infinity'
  if (typeof value === 'string') return isStorable(value) ? undefined : 'must not contain NUL characters or halves of surrogate pairs'
  if (typeof value !== 'object') return 'must contain JSON values only'
  if (depthLeft === 0) return 'is nested too deeply'
  for (const [key, part] of Object.entries(value)) {
    if (!isStorable(key)) return 'must not contain NUL characters or halves of surrogate pairs'
    const fault = jsonFault(part, depthLeft - 1)
    if (fault) return fault
  }
  return undefined
}

/** A LIKE pattern's literal part: `%`, `_` and `\` stand for themselves. */
export function escapeLike(text: string): string {
  return text.replace(/[\\%_]/g, '\\$&')
}

function pathOf(field: string | string[]): string[] {
  return typeof field === 'string' ? [field] : field
}
