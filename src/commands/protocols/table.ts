import { isUtf8 } from 'node:buffer'
import { existsSync, readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { parse } from 'csv-parse/sync'
import { type Examples, type Fields, wordHash } from '../../algorithms/ctr/examples.js'
import { ProtocolError } from './protocol.js'

/** A csv with a header: cells by row, each as text. */
export interface Table {
  file: string
  header: string[]
  rows: string[][]
  /** Line of the file on which each row ends. */
  lines: number[]
}

const UNKNOWN_CELLS = new Set(['', '?', 'na', 'n/a', 'nan', 'null', 'none'])

/** Reads a csv, gzipped where it ends in .gz. Throws `ProtocolError` with the place of the fault. */
export function tableIn(file: string, separator = ','): Table {
  if (!existsSync(file)) throw new ProtocolError(`There is no ${file}`)
  const bytes = readFileSync(file)
  let records: { record: string[]; info: { lines: number } }[]
  try {
    records = parse(utf8Of(file, file.endsWith('.gz') ? gunzipSync(bytes) : bytes), {
      bom: true,
      info: true,
      skip_empty_lines: true,
      delimiter: separator,
      trim: true,
    }) as never
  } catch (error) {
    if (error instanceof ProtocolError) throw error
    throw new ProtocolError(`${file} is not CSV: ${(error as Error).message}`)
  }
  if (records.length < 2) throw new ProtocolError(`${file} has no rows`)
  const [{ record: header }, ...rows] = records
  const twice = header.find((name, at) => header.indexOf(name) !== at)
  if (twice !== undefined) throw new ProtocolError(`${file} line 1: the header has ${JSON.stringify(twice)} twice`)
  return { file, header, rows: rows.map(({ record }) => record), lines: rows.map(({ info }) => info.lines) }
}

/** The bytes of a file, if they are UTF-8: read otherwise, two names could become one. Throws `ProtocolError` with the first faulty line. */
export function utf8Of(file: string, bytes: Buffer): Buffer {
  if (isUtf8(bytes)) return bytes
  let line = 1
  for (let from = 0; from < bytes.length; line++) {
    const end = bytes.indexOf('\n', from)
    const until = end < 0 ? bytes.length : end + 1
    if (!isUtf8(bytes.subarray(from, until))) break
    from = until
  }
  throw new ProtocolError(`${file} line ${line} is not UTF-8; save the file as UTF-8`)
}

export function columnOf({ file, header }: Table, name: string): number {
  const column = header.indexOf(name)
  if (column < 0) throw new ProtocolError(`${file} line 1: the header lacks ${name}; it has ${header.join(', ')}`)
  return column
}

/** Says which columns hold numbers: those whose known cells all are, in every table. Constant and identifying columns stay; models ignore them. */
export function fieldsOf(tables: readonly Table[], leftOut: readonly string[]): Fields {
  const [{ header }] = tables
  const names = header.filter(name => !leftOut.includes(name))
  const isNumber = (name: string) => {
    let [numbers, known] = [0, 0]
    for (const table of tables) {
      const column = columnOf(table, name)
      for (const row of table.rows) {
        if (UNKNOWN_CELLS.has(row[column].toLowerCase())) continue
        known++
        if (Number.isFinite(Number(row[column]))) numbers++
      }
    }
    return known > 0 && numbers === known
  }
  const numbers = names.filter(isNumber)
  return { numbers, words: names.filter(name => !numbers.includes(name)) }
}

/** Rows of a table as examples; `labels` is one a row. Words are the cells as they stand, numbers NaN where unknown. */
export function examplesFrom(table: Table, fields: Fields, labels: Uint8Array): Examples {
  const numbers = fields.numbers.map(name => columnOf(table, name))
  const words = fields.words.map(name => columnOf(table, name))
  const hashes = new Map<string, number>()
  const hashOf = (cell: string) => {
    const known = hashes.get(cell)
    if (known !== undefined) return known
    const hash = wordHash(cell)
    hashes.set(cell, hash)
    return hash
  }
  const examples = {
    fields,
    rows: table.rows.length,
    numbers: new Float32Array(table.rows.length * numbers.length),
    words: new Uint32Array(table.rows.length * words.length),
    labels,
  }
  table.rows.forEach((row, at) => {
    numbers.forEach((column, field) => {
      const cell = row[column]
      examples.numbers[at * numbers.length + field] = UNKNOWN_CELLS.has(cell.toLowerCase()) ? Number.NaN : Number(cell)
    })
    words.forEach((column, field) => {
      examples.words[at * words.length + field] = hashOf(row[column])
    })
  })
  return examples
}

const YES = new Set(['1', 'true', 'yes', 'y', 't', '1.0'])
const NO = new Set(['0', 'false', 'no', 'n', 'f', '0.0', '-1'])

/**
 * Labels of a two-valued column, the same for every table: 1 for 1, true, yes; where the two values are others, for the rarer one in the first table.
 * Returns also which value was taken as 1. Throws `ProtocolError` on more than two values, on an empty cell, or when one class is missing.
 */
export function labelsOf(tables: readonly Table[], target: string): { labels: Uint8Array[]; positive: string } {
  const counts = new Map<string, number>()
  tables.forEach((table, at) => {
    const column = columnOf(table, target)
    table.rows.forEach((row, line) => {
      const cell = row[column].toLowerCase()
      if (cell === '') throw new ProtocolError(`${table.file} line ${table.lines[line]}: ${target} is empty`)
      counts.set(cell, (counts.get(cell) ?? 0) + (at === 0 ? 1 : 0))
      if (counts.size > 2)
        throw new ProtocolError(
          `${table.file} line ${table.lines[line]}: ${target} has more than two values (${[...counts.keys()].map(each => JSON.stringify(each.slice(0, 40))).join(', ')}); two are wanted`,
        )
    })
  })
  const values = [...counts.keys()]
  if (values.length < 2)
    throw new ProtocolError(`${tables[0].file}: ${target} has only the value ${JSON.stringify(values[0])}; two are wanted`)
  const isPlain = values.every(value => YES.has(value) || NO.has(value))
  const positive = isPlain
    ? (values.find(value => YES.has(value)) as string)
    : values.reduce((rarer, value) => ((counts.get(value) as number) < (counts.get(rarer) as number) ? value : rarer))
  const labels = tables.map(table => {
    const column = columnOf(table, target)
    return Uint8Array.from(table.rows, row => (row[column].toLowerCase() === positive ? 1 : 0))
  })
  labels.forEach((each, at) => {
    const positives = each.reduce((sum, label) => sum + label, 0)
    if (positives === 0 || positives === each.length)
      throw new ProtocolError(`${tables[at].file}: every row has the same ${target}; nothing can be learned or measured`)
  })
  return { labels, positive }
}
