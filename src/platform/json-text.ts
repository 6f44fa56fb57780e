import { InvalidInput } from './errors.js'

const UTF8 = new TextDecoder('utf-8', { fatal: true })

/** `parseJson` as Fastify takes it; a promise would cost every request more than most bodies do. */
export function parseJsonBody(_request: unknown, body: Buffer, done: (error: Error | null, value?: unknown) => void): void {
  let value: unknown
  let fault: Error | null = null
  try {
    value = parseJson(body)
  } catch (error) {
    fault = error as Error
  }
  done(fault, value)
}

/** A body of UTF-8 JSON; anything else, and a name that is given twice in one object, is `InvalidInput`. */
export function parseJson(body: Uint8Array): unknown {
  let text: string
  try {
    text = UTF8.decode(body)
  } catch {
    throw new InvalidInput('The body is not UTF-8')
  }
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new InvalidInput(`The body is not JSON: ${(error as Error).message.slice(0, 200)}`)
  }
  const twice = repeatedKey(text, value)
  if (twice !== undefined) throw new InvalidInput(`The body is ambiguous: it gives the name ${JSON.stringify(twice.slice(0, 60))} twice`)
  return value
}

/**
 * The first name that an object of this JSON text has twice, undefined when none has. JSON.parse keeps the last one in silence (RFC 8259 leaves it open,
 * I-JSON forbids it), so a sender's mistake would go unnoticed. `value` is what the text was parsed to.
 */
export function repeatedKey(text: string, value: unknown): string | undefined {
  // Each name is written once with its colon: as many names as colons after quotes, and none is lost. Only otherwise it is worth looking closely.
  if (!SPACED_COLON.test(text) && occurrences(text, '":') === keyCount(value)) return undefined
  return findRepeated(text)
}

const SPACED_COLON = /"\s+:/

function occurrences(text: string, part: string): number {
  let count = 0
  for (let at = text.indexOf(part); at >= 0; at = text.indexOf(part, at + part.length)) count++
  return count
}

function keyCount(value: unknown): number {
  let count = 0
  const waiting: unknown[] = [value]
  while (waiting.length > 0) {
    const each = waiting.pop()
    if (typeof each !== 'object' || each === null) continue
    const parts = Object.values(each)
    if (!Array.isArray(each)) count += parts.length
    for (const part of parts) if (typeof part === 'object' && part !== null) waiting.push(part)
  }
  return count
}

/** Walks text that is known to be JSON. */
function findRepeated(text: string): string | undefined {
  const open: (Set<string> | undefined)[] = []
  const token = /"(?:[^"\\]|\\.)*"(\s*:)?|[{}[\]]/gs
  for (let found = token.exec(text); found; found = token.exec(text)) {
    const [part, colon] = found
    if (part === '{') open.push(new Set())
    else if (part === '[') open.push(undefined)
    else if (part === '}' || part === ']') open.pop()
    else if (colon !== undefined) {
      const name = JSON.parse(part.slice(0, part.length - colon.length)) as string
      const names = open.at(-1)
      if (names?.has(name)) return name
      names?.add(name)
    }
  }
  return undefined
}
