import { isUtf8 } from 'node:buffer'
import { pipeline, Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { InvalidInput } from '../platform/errors.js'
import { repeatedKey } from '../platform/json-text.js'
import { codes, RecordReader } from '../platform/record-reader.js'
import type { ImportRecord } from './import-kinds.js'

/** A row of a file. Whoever knows what it looks like may do with its bytes; `read` says to all others what it is. */
export interface FileRow {
  /** Line in the file on which the row begins, from 1. */
  line: number
  /** What the row stands in, where it is one line of it. */
  bytes?: Buffer
  start: number
  /** Without what ends the line. */
  end: number
  read(): ReadRow
}

export interface ReadRow {
  line: number
  raw: string
  /** The row, or why it is none. */
  record?: ImportRecord
  fault?: string
  /** Names of the record in the order of the file, where the rows to come may have the same. */
  names?: readonly string[]
}

export type FileFormat = 'ndjson' | 'csv'

export const LONGEST_LINE = 1024 * 1024
const LONGEST_NAME = 60
/** A file whose rows each have names of their own must not fill the memory. */
const MOST_NAMES = 10_000
const GUNZIP_CHUNK = 256 * 1024
const [NEWLINE, RETURN, SPACE, DOUBLE_QUOTE, DELETE] = codes('\n\r "\x7f')
const BYTE_ORDER_MARK = Buffer.from('\uFEFF')
/** What the reject file adds to a row; they are no facts of it when it is sent again. */
const NOTES = ['_line', '_reason']
/** The notes at the end of a row whose cells cannot be told apart. */
const CSV_NOTES = /,\d+,"(?:[^"]|"")*"$/
/** Names that are nobody's: the notes, a line that was no JSON, and columns without a name. */
const NAMELESS = new Set(['', ...NOTES, '_raw'])
/** Stands for bytes that are no UTF-8 until the row is refused: a character that no text may hold, unlike U+FFFD, which one may. */
const BROKEN = '\u{10FFFF}'

/** The rows of an upload one after the other, from its bytes; memory stays at a few chunks. */
export async function* rowsOf(
  bytes: AsyncIterable<Buffer>,
  format: FileFormat,
  compression?: 'gzip',
  onHeader: (header: string) => void = () => {},
): AsyncGenerator<FileRow[]> {
  const blocks = blocksOf(compression === 'gzip' ? unpacked(bytes) : bytes)
  yield* format === 'csv' ? csvRows(blocks, onHeader) : jsonRows(blocks)
}

/** The bytes inside a gzip file; one that is damaged or breaks off is `InvalidInput`. */
export async function* unpacked(bytes: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const gunzip = createGunzip({ chunkSize: GUNZIP_CHUNK })
  pipeline(Readable.from(bytes), gunzip, () => {})
  try {
    for await (const chunk of gunzip) yield chunk as Buffer
  } catch (error) {
    const { code } = error as { code?: string }
    if (!code?.startsWith('Z_')) throw error
    throw new InvalidInput(`The file is not whole gzip: ${(error as Error).message}`, {}, ['body'])
  }
}

/** The file in pieces of whole lines (the last may lack its end), without its mark of byte order. Lines beyond the limit are cut just behind it. */
async function* blocksOf(bytes: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let carry: Buffer[] = []
  let carried = 0
  let isFirst = true
  const block = (lines: Buffer) => {
    const plain = isFirst && lines.indexOf(BYTE_ORDER_MARK) === 0 ? lines.subarray(BYTE_ORDER_MARK.length) : lines
    isFirst = false
    return plain
  }
  for await (const chunk of bytes) {
    const end = chunk.lastIndexOf(NEWLINE) + 1
    if (end === 0) {
      // A line without an end would fill the memory; what is beyond the limit is dropped, and the row refused.
      if (carried <= LONGEST_LINE) carry.push(chunk.subarray(0, LONGEST_LINE + 4 - carried))
      carried += chunk.length
      continue
    }
    const first = carried > 0 ? chunk.indexOf(NEWLINE) : -1
    // One that was cut ends here; its first newline still belongs to it.
    if (carried > 0) yield block(Buffer.concat([...carry, chunk.subarray(carried > LONGEST_LINE ? first : 0, first + 1)]))
    if (first + 1 < end) yield block(chunk.subarray(first + 1, end))
    carry = end < chunk.length ? [chunk.subarray(end)] : []
    carried = chunk.length - end
  }
  if (carried > 0) yield block(Buffer.concat(carry))
}

/** A text that may be read as the line it stands in. */
class Line implements FileRow {
  constructor(
    readonly line: number,
    readonly bytes: Buffer,
    readonly start: number,
    readonly end: number,
    private readonly reader: (text: string, line: number) => ReadRow,
  ) {}

  read(): ReadRow {
    return this.reader(decoded(this.bytes.subarray(this.start, this.end)), this.line)
  }
}

/** The lines of a block that are not blank; the first one is `line`. */
function linesOf(block: Buffer, line: number, reader: (text: string, line: number) => ReadRow): { rows: FileRow[]; nextLine: number } {
  const rows: FileRow[] = []
  let number = line
  for (let start = 0; start < block.length; number++) {
    const newline = block.indexOf(NEWLINE, start)
    const stop = newline < 0 ? block.length : newline
    const end = stop > start && block[stop - 1] === RETURN ? stop - 1 : stop
    if (!isBlank(block, start, end)) rows.push(new Line(number, block, start, end, reader))
    start = stop + 1
  }
  return { rows, nextLine: number }
}

function isBlank(block: Buffer, start: number, end: number): boolean {
  // Nearly all lines begin with what is no blank.
  const isInked = block[start] > SPACE && block[start] < DELETE
  return end === start || (!isInked && block.toString('utf8', start, end).trim() === '')
}

function decoded(line: Buffer): string {
  return isUtf8(line) ? line.toString('utf8') : line.toString('utf8').replaceAll('\uFFFD', BROKEN)
}

/** Decodes lines that are UTF-8, and marks the others. */
function decodedByLine(block: Buffer): string {
  if (isUtf8(block)) return block.toString('utf8')
  let text = ''
  for (let from = 0; from < block.length; ) {
    const end = block.indexOf(NEWLINE, from)
    const line = block.subarray(from, end < 0 ? block.length : end + 1)
    text += decoded(line)
    from += line.length
  }
  return text
}

async function* jsonRows(blocks: AsyncIterable<Buffer>): AsyncGenerator<FileRow[]> {
  const reader = new RecordReader()
  const read = (raw: string, line: number) => jsonRow(raw, line, reader)
  let line = 1
  for await (const block of blocks) {
    const { rows, nextLine } = linesOf(block, line, read)
    line = nextLine
    yield rows
  }
}

function jsonRow(raw: string, line: number, reader: RecordReader): ReadRow {
  const refused = unreadable(raw, line)
  if (refused) return refused
  const plain = reader.read(raw)
  if (plain) return { line, raw, record: plain, names: Object.keys(plain) }
  try {
    const record = JSON.parse(raw)
    if (typeof record !== 'object' || record === null || Array.isArray(record)) return { line, raw, fault: 'the line is not a JSON object' }
    const twice = repeatedKey(raw, record)
    return twice === undefined ? { line, raw, record } : { line, raw, fault: `the name ${JSON.stringify(twice)} is given twice` }
  } catch (error) {
    return { line, raw, fault: `the line is not JSON: ${(error as Error).message.slice(0, 120)}` }
  }
}

async function* csvRows(blocks: AsyncIterable<Buffer>, onHeader: (header: string) => void): AsyncGenerator<FileRow[]> {
  let header: string[] | undefined
  let isResend = false
  const rowOf = (part: CsvPart): FileRow | undefined => {
    if (part.cells && header === undefined) {
      header = checkedNames(part.cells)
      isResend = NOTES.every(name => header?.includes(name))
      onHeader(csvLine(isResend ? header.filter(name => !NOTES.includes(name)) : header))
      return undefined
    }
    const read = part.cells
      ? csvRow(part, part.cells, header as string[], isResend)
      : { ...part, raw: isResend ? part.raw.replace(CSV_NOTES, '') : part.raw }
    return { line: part.line, start: 0, end: 0, read: () => read }
  }
  const read = (raw: string, line: number) => csvRow({ line, raw }, raw.split(','), header as string[], isResend)
  let line = 1
  let open = ''
  for await (const block of blocks) {
    // Without quotes every line is a row.
    if (header && open === '' && !block.includes(DOUBLE_QUOTE)) {
      const { rows, nextLine } = linesOf(block, line, read)
      line = nextLine
      yield rows
      continue
    }
    const { parts, rest, nextLine } = csvParts(open + decodedByLine(block), line, false)
    open = rest
    line = nextLine
    yield parts.flatMap(part => rowOf(part) ?? [])
  }
  yield csvParts(open, line, true).parts.flatMap(part => rowOf(part) ?? [])
}

function csvRow({ line, raw }: CsvPart, cells: string[], header: readonly string[], isResend: boolean): ReadRow {
  const refused = unreadable(raw, line)
  if (refused) return refused
  // The notes of a reject file stand last, also behind a row with too many cells.
  const own = () => (isResend ? csvLine(cells.slice(0, -NOTES.length)) : raw)
  if (cells.length !== header.length) {
    const notes = isResend ? NOTES.length : 0
    return { line, raw: own(), fault: `the row has ${cells.length - notes} cells, the header ${header.length - notes}` }
  }
  const record: ImportRecord = {}
  for (let at = 0; at < header.length; at++) record[header[at]] = cells[at]
  return { line, raw: own(), record, names: isResend ? undefined : header }
}

function unreadable(raw: string, line: number): ReadRow | undefined {
  if (raw.length > LONGEST_LINE)
    return {
      line,
      raw: raw.slice(0, LONGEST_LINE),
      fault: `the line has more than ${LONGEST_LINE} characters; what is beyond them was dropped`,
    }
  if (raw.includes(BROKEN)) return { line, raw: raw.replaceAll(BROKEN, '\uFFFD'), fault: 'the line is not UTF-8' }
  return undefined
}

interface CsvPart {
  line: number
  raw: string
  cells?: string[]
  fault?: string
}

/**
 * The records of RFC 4180 in a text: cells between commas, quoted ones may hold commas, newlines and doubled quotes. A quote inside an unquoted cell
 * stands for itself. A quote that is not closed (or closed and followed by text) refuses its own line only, and reading goes on with the next one.
 */
function csvParts(text: string, firstLine: number, isLast: boolean): { parts: CsvPart[]; rest: string; nextLine: number } {
  const parts: CsvPart[] = []
  let line = firstLine
  let at = 0
  while (at < text.length) {
    let end = text.indexOf('\n', at)
    if (end < 0) {
      if (!isLast) break
      end = text.length
    }
    const physical = text.charCodeAt(end - 1) === 13 && end > at ? text.slice(at, end - 1) : text.slice(at, end)
    if (!physical.includes('"')) {
      if (physical.trim() !== '') parts.push({ line, raw: physical, cells: physical.split(',') })
      at = end + 1
      line++
      continue
    }
    const record = quotedRecord(text, at)
    if (record === 'open' && !isLast && text.length - at <= LONGEST_LINE) break
    if (typeof record === 'string') {
      const fault = record === 'open' ? 'a quote is opened and never closed' : 'a closing quote is followed by text'
      parts.push({ line, raw: physical, fault })
      at = end + 1
      line++
      continue
    }
    const raw = text.slice(at, record.end)
    parts.push({ line, raw: raw.replace(/\r?\n$/, ''), cells: record.cells })
    line += record.lines
    at = record.end
  }
  return { parts, rest: at < text.length ? text.slice(at) : '', nextLine: line }
}

/** One record with quotes from `from`; `end` is behind its newline. */
function quotedRecord(text: string, from: number): { cells: string[]; end: number; lines: number } | 'open' | 'followed' {
  const cells: string[] = []
  let lines = 1
  let at = from
  for (;;) {
    if (text[at] === '"') {
      let cell = ''
      for (let start = at + 1; ; ) {
        const quote = text.indexOf('"', start)
        if (quote < 0) return 'open'
        cell += text.slice(start, quote)
        at = quote + 1
        if (text[at] !== '"') break
        cell += '"'
        start = at + 1
      }
      for (let newline = cell.indexOf('\n'); newline >= 0; newline = cell.indexOf('\n', newline + 1)) lines++
      cells.push(cell)
      if (text[at] === '\r' && (text[at + 1] === '\n' || at + 1 === text.length)) at++
      if (at < text.length && text[at] !== ',' && text[at] !== '\n') return 'followed'
    } else {
      const newline = text.indexOf('\n', at)
      const stop = newline < 0 ? text.length : newline
      const comma = text.indexOf(',', at)
      const end = comma < 0 || comma > stop ? stop : comma
      cells.push(end === stop && end > at && text[end - 1] === '\r' ? text.slice(at, end - 1) : text.slice(at, end))
      at = end
    }
    if (text[at] !== ',') return { cells, end: Math.min(at + 1, text.length), lines }
    at++
  }
}

function csvLine(cells: readonly string[]): string {
  return cells.map(cell => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell)).join(',')
}

function checkedNames(cells: readonly string[]): string[] {
  const names = cells.map(name => name.trim())
  if (names.some(name => name.includes('\r')))
    throw new InvalidInput('The lines of the file end in CR alone; save it with LF or CRLF', {}, ['body'])
  // Spreadsheets leave columns without a name at the end; nothing in them is asked for.
  const twice = names.find((name, at) => name !== '' && names.indexOf(name) < at)
  if (twice !== undefined) throw new InvalidInput(`The header names ${JSON.stringify(twice.slice(0, 60))} twice`, {}, ['body'])
  if (names.some(name => name.includes(BROKEN) || name.includes('\0'))) throw new InvalidInput('The header is not UTF-8 text', {}, ['body'])
  return names
}

/** The names in the first line of a CSV, from its first bytes; undefined when there are none. */
export function headerOf(first: Buffer): string[] | undefined {
  const text = first
    .toString('utf8')
    .replace(/^\uFEFF/, '')
    .replaceAll('\uFFFD', BROKEN)
  const { parts } = csvParts(text, 1, true)
  if (parts[0]?.fault) throw new InvalidInput(`In the header ${parts[0].fault}`, {}, ['body'])
  return parts[0]?.cells && checkedNames(parts[0].cells)
}

/** Gathers the names in rows that nothing reads; `most` of them are enough to see what is wrong. */
export function unreadNames(format: FileFormat, isRead: (name: string) => boolean, most: number) {
  const seen = new Set<string>()
  const unread: string[] = []
  const look = (name: string) => {
    if (seen.has(name) || unread.length === most || seen.size === MOST_NAMES) return
    seen.add(name)
    if (!NAMELESS.has(name) && !isRead(name)) unread.push(name.slice(0, LONGEST_NAME))
  }
  return {
    unread,
    /** All rows of a CSV have the names of its header. */
    see: (record: ImportRecord) => {
      if (format === 'csv' && seen.size > 0) return
      for (const name in record) look(name)
    },
  }
}

/** One reject as a line of the file it came from, with its reason, to be fixed and sent again. */
export function rejectLine(format: FileFormat, { line, reason, raw }: { line: number; reason: string; raw: string }): string {
  if (format === 'csv') return `${raw},${line},"${reason.replaceAll('"', '""')}"\n`
  const notes = `"_line":${line},"_reason":${JSON.stringify(reason)}`
  // The line stays as it is, to the last digit; the notes of an earlier reject file give way.
  const own = raw.trim().replace(/,?"_line":\d+,"_reason":"(?:[^"\\]|\\.)*"\}$/, '}')
  if (!isObject(own)) return `{"_raw":${JSON.stringify(raw)},${notes}}\n`
  return `${own.slice(0, -1)}${/^\{\s*\}$/.test(own) ? '' : ','}${notes}}\n`
}

function isObject(text: string): boolean {
  if (!text.startsWith('{')) return false
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
