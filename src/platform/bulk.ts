import { once } from 'node:events'
import { finished } from 'node:stream/promises'
import pg from 'pg'
import { from as copyFrom, to as copyTo } from 'pg-copy-streams'

export type Cell = string | number | bigint | boolean | Date | null | undefined

export interface CopyIn {
  /** Adds one row; await it, because it waits while the server is slower than the caller. */
  row(cells: readonly Cell[]): Promise<void> | undefined
  /** The same of a row that is written already in COPY's text format, without its newline. */
  line(text: string): Promise<void> | undefined
  /** Adds rows that are written already, each ended by a newline. */
  text(rows: Buffer): Promise<void> | undefined
  /** Ends the COPY; resolves when the server has taken every row, with their number. */
  end(): Promise<number>
}

const BUFFER_CHARACTERS = 256 * 1024

/** `COPY table (columns) FROM STDIN` on a connection of its own; memory stays at one buffer. */
export function copyIn(client: pg.ClientBase, table: string, columns: readonly string[]): CopyIn {
  const stream = client.query(copyFrom(`COPY ${table} (${columns.map(name => `"${name}"`).join(', ')}) FROM STDIN`))
  const failed = new Promise<never>((_, reject) => stream.once('error', reject))
  failed.catch(() => {})
  let lines: string[] = []
  let characters = 0
  let errored: Error | undefined
  stream.on('error', error => {
    errored = error
  })
  const flush = (): Promise<void> | undefined => {
    if (errored) throw errored
    const chunk = `${lines.join('\n')}\n`
    lines = []
    characters = 0
    if (stream.write(chunk)) return undefined
    return Promise.race([once(stream, 'drain').then(() => {}), failed])
  }
  const line = (text: string): Promise<void> | undefined => {
    lines.push(text)
    characters += text.length
    return characters > BUFFER_CHARACTERS ? flush() : undefined
  }
  return {
    row: cells => line(rowText(cells)),
    line,
    text: rows => {
      if (errored) throw errored
      if (stream.write(rows)) return undefined
      return Promise.race([once(stream, 'drain').then(() => {}), failed])
    },
    end: async () => {
      if (lines.length > 0) await flush()
      stream.end()
      await Promise.race([finished(stream), failed])
      return stream.rowCount ?? 0
    },
  }
}

/** Cells of a row in COPY's text format, without its newline. */
export function rowText(cells: readonly Cell[]): string {
  return cells.map(cellText).join('\t')
}

/** One value in COPY's text format. */
export function cellText(value: Cell): string {
  if (value === null || value === undefined) return '\\N'
  if (typeof value === 'string') return escapeText(value)
  if (value instanceof Date) return timeText(value.getTime())
  return String(value)
}

const DAY_MS = 86_400_000
const TWO_DIGITS = Array.from({ length: 60 }, (_, value) => String(value).padStart(2, '0'))
/** Rows that follow each other are mostly of one day. */
let lastDay = { day: Number.NaN, text: '' }

/** Milliseconds since 1970 as `toISOString` has them, which takes several times as long. */
export function timeText(time: number): string {
  const day = Math.floor(time / DAY_MS)
  if (day !== lastDay.day) {
    const text = new Date(time).toISOString()
    lastDay = { day, text: text.slice(0, text.indexOf('T') + 1) }
  }
  const rest = time - day * DAY_MS
  const seconds = Math.floor(rest / 1000)
  const [hour, minute, second] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60]
  return `${lastDay.text}${TWO_DIGITS[hour]}:${TWO_DIGITS[minute]}:${TWO_DIGITS[second]}.${String(rest % 1000).padStart(3, '0')}Z`
}

const NEEDS_ESCAPE = /[\\\b\f\n\r\t\v]/
const ESCAPES: Record<string, string> = { '\\': '\\\\', '\b': '\\b', '\f': '\\f', '\n': '\\n', '\r': '\\r', '\t': '\\t', '\v': '\\v' }

/** A text within COPY's text format. */
export function escapeText(text: string): string {
  return NEEDS_ESCAPE.test(text) ? text.replace(/[\\\b\f\n\r\t\v]/g, character => ESCAPES[character]) : text
}

/**
 * `COPY (query) TO STDOUT` of number columns: calls `row` with the numbers of each row (NULL is NaN). The array is reused between calls.
 * Parses bytes without making strings, so millions of rows cost neither memory nor garbage.
 */
export async function copyNumbers(
  client: pg.ClientBase,
  query: string,
  columns: number,
  row: (numbers: Float64Array) => void,
): Promise<number> {
  const stream = client.query(copyTo(`COPY (${query}) TO STDOUT`))
  const numbers = new Float64Array(columns)
  let rows = 0
  let carry: Buffer = Buffer.alloc(0)
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    const bytes = carry.length > 0 ? Buffer.concat([carry, chunk]) : chunk
    const end = bytes.lastIndexOf(10) + 1
    for (let at = 0; at < end; ) {
      at = parseRow(bytes, at, numbers)
      row(numbers)
      rows++
    }
    carry = bytes.subarray(end)
  }
  return rows
}

const MINUS = 45
const DOT = 46
const TAB = 9
const NEWLINE = 10
const BACKSLASH = 92

/** Reads one line of tab-separated decimal numbers from `at`; returns where the next line starts. */
function parseRow(bytes: Buffer, at: number, numbers: Float64Array): number {
  for (let column = 0; ; column++) {
    let sign = 1
    let value = 0
    let scale = 0
    let isPlain = true
    const start = at
    let byte = bytes[at]
    for (; byte !== TAB && byte !== NEWLINE; byte = bytes[++at]) {
      if (byte >= 48 && byte <= 57) {
        value = value * 10 + (byte - 48)
        scale *= 10
      } else if (byte === MINUS && at === start) sign = -1
      else if (byte === DOT) scale = 1
      else {
        isPlain = false
        if (byte === BACKSLASH) value = Number.NaN
      }
    }
    // Beyond 2⁵³ digits would be lost on the way.
    if (isPlain && value <= Number.MAX_SAFE_INTEGER) numbers[column] = (sign * value) / (scale || 1)
    else numbers[column] = Number.isNaN(value) ? Number.NaN : Number(bytes.toString('latin1', start, at))
    at++
    if (byte === NEWLINE) return at
  }
}

/** What a binary COPY begins with: signature, flags, and the length of an extension of the head. */
const BINARY_HEAD = 19
const SIGNATURE = Buffer.from('PGCOPY\n')
/** In place of the number of fields: no row follows. */
const TRAILER = -1

/**
 * `COPY (query) TO STDOUT (FORMAT binary)`: calls `tuple` with where each row begins (int16 number of fields, then of each an int32 length, −1 for NULL, and
 * its bytes, big-endian). The bytes are those of the socket and are only valid during the call; nothing is copied or made of a row that the caller does not
 * want. A fault of `tuple` ends the calls and is thrown when the server is done.
 */
export async function copyBinary(client: pg.ClientBase, query: string, tuple: (bytes: DataView, at: number) => void): Promise<void> {
  let fault: unknown
  let view = new DataView(new ArrayBuffer(0))
  await new Promise<void>((resolve, reject) => {
    const copy = new CopyOut(`COPY (${query}) TO STDOUT (FORMAT binary)`, error => (error ? reject(error) : resolve()))
    copy.handleCopyData = ({ chunk }) => {
      if (fault !== undefined) return
      try {
        // Many rows lie in one piece of the socket.
        if (view.buffer !== chunk.buffer) view = new DataView(chunk.buffer)
        // The head comes before the first row, in the same message.
        const head = chunk.length >= BINARY_HEAD && SIGNATURE.compare(chunk, 0, SIGNATURE.length) === 0 ? BINARY_HEAD : 0
        if (chunk.length > head && view.getInt16(chunk.byteOffset + head) !== TRAILER) tuple(view, chunk.byteOffset + head)
      } catch (error) {
        fault = error
      }
    }
    client.query(copy)
  })
  if (fault !== undefined) throw fault
}

/**
 * The same for a `query` of one column of bytea, of which `take` gets the bytes: as the text of an answer they are twice as long and take several times as long to read.
 */
export function copyBytes(client: pg.ClientBase, query: string, take: (bytes: Uint8Array) => void): Promise<void> {
  return copyBinary(client, query, (bytes, at) => take(new Uint8Array(bytes.buffer, at + 6, bytes.getInt32(at + 2))))
}

/** PostgreSQL sends every row in a message of its own (protocol, "COPY operations"), which pg hands to the query that is under way. */
class CopyOut extends pg.Query {
  declare handleCopyData: (message: { chunk: Buffer<ArrayBuffer> }) => void
}
