import { Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { parse } from 'csv-parse'
import { InvalidInput } from '../platform/errors.js'
import type { ImportRecord } from './import-kinds.js'

export interface FileRow {
  /** Line in the file, from 1. */
  line: number
  raw: string
  /** The row, or why it is none. */
  record?: ImportRecord
  fault?: string
}

const LONGEST_LINE = 1024 * 1024
const SHOWN_RAW = 20_000

/** The rows of an upload one after the other, from its bytes; memory stays at a few chunks. */
export async function* rowsOf(
  bytes: AsyncIterable<Buffer>,
  format: 'ndjson' | 'csv',
  compression?: 'gzip',
  onHeader: (header: string) => void = () => {},
): AsyncGenerator<FileRow[]> {
  const plain = compression === 'gzip' ? (Readable.from(bytes).pipe(createGunzip()) as AsyncIterable<Buffer>) : bytes
  yield* format === 'csv' ? csvRows(plain, onHeader) : jsonRows(plain)
}

async function* jsonRows(bytes: AsyncIterable<Buffer>): AsyncGenerator<FileRow[]> {
  const decoder = new TextDecoder('utf-8', { fatal: false })
  let carry = ''
  let line = 0
  const rowOf = (text: string): FileRow | undefined => {
    line++
    const raw = text.endsWith('\r') ? text.slice(0, -1) : text
    if (raw.trim() === '') return undefined
    if (raw.length > LONGEST_LINE)
      return { line, raw: raw.slice(0, SHOWN_RAW), fault: `the line has ${raw.length} characters; ${LONGEST_LINE} are allowed` }
    if (raw.includes('\uFFFD')) return { line, raw: raw.slice(0, SHOWN_RAW), fault: 'the line is not UTF-8' }
    try {
      const record = JSON.parse(raw)
      if (typeof record !== 'object' || record === null || Array.isArray(record))
        return { line, raw, fault: 'the line is not a JSON object' }
      return { line, raw, record }
    } catch (error) {
      return { line, raw: raw.slice(0, SHOWN_RAW), fault: `the line is not JSON: ${(error as Error).message.slice(0, 120)}` }
    }
  }
  for await (const chunk of bytes) {
    const lines = (carry + decoder.decode(chunk, { stream: true })).split('\n')
    carry = lines.pop() as string
    // A line without an end would fill the memory; what is beyond the limit is dropped, the row is rejected.
    if (carry.length > 4 * LONGEST_LINE) carry = carry.slice(0, LONGEST_LINE + 1)
    yield lines.flatMap(text => rowOf(text) ?? [])
  }
  const last = rowOf(carry + decoder.decode())
  if (last) yield [last]
}

async function* csvRows(bytes: AsyncIterable<Buffer>, onHeader: (header: string) => void): AsyncGenerator<FileRow[]> {
  const parser = parse({
    bom: true,
    info: true,
    raw: true,
    relax_column_count: true,
    skip_empty_lines: true,
    max_record_size: LONGEST_LINE,
  })
  const source = Readable.from(bytes)
  source.on('error', error => parser.destroy(error))
  source.pipe(parser)
  let header: string[] | undefined
  let rows: FileRow[] = []
  try {
    for await (const { record: cells, raw, info } of parser as AsyncIterable<{ record: string[]; raw: string; info: { lines: number } }>) {
      if (!header) {
        header = cells.map(name => name.trim())
        onHeader(header.join(','))
        continue
      }
      const line = info.lines
      if (cells.length !== header.length)
        rows.push({ line, raw: trimmed(raw), fault: `the row has ${cells.length} cells, the header ${header.length}` })
      else if (raw.includes('\uFFFD')) rows.push({ line, raw: trimmed(raw), fault: 'the row is not UTF-8' })
      else rows.push({ line, raw: trimmed(raw), record: Object.fromEntries(header.map((name, at) => [name, cells[at]])) })
      if (rows.length >= 2_000) {
        yield rows
        rows = []
      }
    }
  } catch (error) {
    const { code, lines, message } = error as { code?: string; lines?: number; message: string }
    if (!code?.startsWith('CSV_')) throw error
    yield rows
    throw new InvalidInput(`The file is not CSV from line ${lines} on: ${message.slice(0, 200)}`, { line: lines })
  }
  yield rows
}

function trimmed(raw: string): string {
  return raw.replace(/\r?\n$/, '').slice(0, SHOWN_RAW)
}

/** The names in the first line of a CSV, from its first bytes. */
export function headerOf(first: Buffer): string[] | undefined {
  const text = first.toString('utf8').replace(/^\uFEFF/, '')
  const end = text.search(/\r?\n/)
  const line = end < 0 ? text : text.slice(0, end)
  return line.trim() === '' ? undefined : line.split(',').map(name => name.trim().replace(/^"|"$/g, ''))
}

/** One reject as a line of the file it came from, with its reason, to be fixed and sent again. */
export function rejectLine(format: 'ndjson' | 'csv', { line, reason, raw }: { line: number; reason: string; raw: string }): string {
  if (format === 'csv') return `${raw},${line},"${reason.replaceAll('"', '""')}"\n`
  try {
    return `${JSON.stringify({ ...JSON.parse(raw), _line: line, _reason: reason })}\n`
  } catch {
    return `${JSON.stringify({ _line: line, _reason: reason, _raw: raw })}\n`
  }
}
