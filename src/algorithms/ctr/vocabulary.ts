import type { Examples, Fields } from './examples.js'
import { type Cuts, tokeniser } from './hashing.js'

/** Columns of one-hot rows: one for each token seen often enough, one for the rare and unknown ones of each field. */
export interface Vocabulary {
  /** Tokens a row; every row has one column for each. */
  width: number
  columnCount: number
  /** Name of the field behind each place of a row. */
  names: readonly string[]
  /** Writes the `width` columns of each row in [from, to). */
  columns(examples: Examples, from: number, to: number, out: Int32Array): void
  /** Tokens with a column of their own, by column. */
  readonly tokens: Uint32Array
}

/** The vocabulary of rows: tokens seen `minimum` times or more. The first `width` columns are for the others, one a field. */
export function vocabularyOf(examples: Examples, cuts: Cuts, minimum: number): Vocabulary {
  const { width, tokens } = tokeniser(examples.fields, cuts, [])
  const row = new Uint32Array(width)
  const counts = new Map<number, number>()
  for (let at = 0; at < examples.rows; at++) {
    tokens(examples, at, at + 1, row)
    for (let place = 0; place < width; place++) counts.set(row[place], (counts.get(row[place]) ?? 0) + 1)
  }
  return vocabularyFrom(
    Uint32Array.from([...counts].filter(([, count]) => count >= minimum).map(([token]) => token)),
    examples.fields,
    cuts,
  )
}

/** The vocabulary of saved tokens. */
export function vocabularyFrom(known: Uint32Array, fields: Fields, cuts: Cuts): Vocabulary {
  const { width, tokens, places } = tokeniser(fields, cuts, [])
  const columns = new Map<number, number>()
  for (const token of known) columns.set(token, width + columns.size)
  const own = new Uint32Array(width)
  return {
    width,
    columnCount: width + columns.size,
    names: places.map(([name]) => name),
    tokens: known,
    columns: (examples, from, to, out) => {
      for (let row = from; row < to; row++) {
        tokens(examples, row, row + 1, own)
        for (let place = 0; place < width; place++) out[(row - from) * width + place] = columns.get(own[place]) ?? place
      }
    },
  }
}
