import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Examples, wordHash } from '../../algorithms/ctr/examples.js'
import { fnv1a } from '../../algorithms/math/random.js'
import { pooled } from './classify.js'
import { type Protocol, ProtocolError } from './protocol.js'

const FILES = ['train.csv', 'dev.csv', 'test.csv']
const NUMBERS = Array.from({ length: 13 }, (_, at) => `I${at}`)
const WORDS = Array.from({ length: 26 }, (_, at) => `C${at}`)
const AVAZU =
  'hour C1 banner_pos site_id site_domain site_category app_id app_domain app_category device_id device_ip device_model device_type device_conn_type'
    .split(' ')
    .concat(Array.from({ length: 8 }, (_, at) => `C${at + 14}`))

/** Clicks on the sample of Criteo's display advertising challenge: ten folds by the hash of the row's tokens, predictions pooled. */
export const criteo: Protocol = {
  name: 'criteo',
  about: 'click prediction on the Criteo sample, ten folds, pooled',
  run: function* ({ data = '../shared/data/criteo_8k', methods, params }) {
    const rows = linesOf(data).map(({ line, place }) => cellsOf(line, '\t', 1 + NUMBERS.length + WORDS.length, place))
    const numbers = rows.map(row => row.slice(1, 14).map(cell => (cell === '' ? Number.NaN : Number(cell))))
    const words = rows.map(row => row.slice(14))
    const keys = rows.map((_, at) => [
      ...numbers[at].map((value, field) => `I${field}=${bucket(value)}`),
      ...words[at].map((word, field) => `C${field}=${word || 'na'}`),
    ])
    yield* pooled(
      'criteo',
      examplesOf(
        rows.map(row => row[0]),
        NUMBERS,
        numbers,
        WORDS,
        words,
      ),
      foldsOf(keys),
      methods,
      params,
    )
  },
}

/** Clicks on the sample of Avazu's challenge, likewise. */
export const avazu: Protocol = {
  name: 'avazu',
  about: 'click prediction on the Avazu sample, ten folds, pooled',
  run: function* ({ data = '../shared/data/avazu_9k', methods, params }) {
    const rows = linesOf(data)
      .filter(({ line }) => !line.startsWith('id,'))
      .map(({ line, place }) => cellsOf(line, ',', 2 + AVAZU.length, place))
    const words = rows.map(row => row.slice(2).map((cell, field) => (field === 0 ? cell.slice(-2) : cell)))
    const keys = words.map(row => row.map((cell, field) => `${AVAZU[field]}=${cell}`))
    yield* pooled(
      'avazu',
      examplesOf(
        rows.map(row => row[1]),
        [],
        rows.map(() => []),
        AVAZU,
        words,
      ),
      foldsOf(keys),
      methods,
      params,
    )
  },
}

/** Criteo's integers as tokens: small ones as they are, larger ones by ⌊ln(v)²⌋. */
function bucket(value: number): string {
  return Number.isNaN(value) ? 'na' : value <= 2 ? `SP${value}` : String(Math.floor(Math.log(value) ** 2))
}

function foldsOf(tokens: string[][]): Uint8Array {
  return Uint8Array.from(tokens, row => fnv1a(row.join('|')) % 10)
}

function linesOf(folder: string): { line: string; place: string }[] {
  return FILES.flatMap(name => {
    const file = join(folder, name)
    if (!existsSync(file)) throw new ProtocolError(`The data is absent: there is no ${file}. Give its folder by --data`)
    const lines = readFileSync(file, 'utf8').split('\n')
    return lines.flatMap((line, at) => (line.trim() === '' ? [] : [{ line: line.replace(/\r$/, ''), place: `${file} line ${at + 1}` }]))
  })
}

function cellsOf(line: string, separator: string, count: number, place: string): string[] {
  const cells = line.split(separator)
  // Criteo's trailing empty cells may be cut off.
  while (separator === '\t' && cells.length < count) cells.push('')
  if (cells.length !== count) throw new ProtocolError(`${place} has ${cells.length} cells; ${count} are wanted`)
  return cells
}

function examplesOf(labels: string[], numberNames: string[], numbers: number[][], wordNames: string[], words: string[][]): Examples {
  const faulty = labels.findIndex(label => label !== '0' && label !== '1')
  if (faulty >= 0)
    throw new ProtocolError(`Row ${faulty + 1}: the label is ${JSON.stringify(labels[faulty].slice(0, 40))}; 0 or 1 is wanted`)
  return {
    fields: { numbers: numberNames, words: wordNames },
    rows: labels.length,
    numbers: Float32Array.from(numbers.flat()),
    words: Uint32Array.from(words.flat(), word => wordHash(word)),
    labels: Uint8Array.from(labels, Number),
  }
}
