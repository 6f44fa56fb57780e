import { fnv1a } from '../math/random.js'

/** Names of the fields of an example, in the order of its values. Names are unique. */
export interface Fields {
  /** Fields that hold numbers. */
  numbers: readonly string[]
  /** Fields that hold words (identifiers, categories); any number of different ones. */
  words: readonly string[]
}

/**
 * The one layout of tabular data, for clicks and conversions (mostly words) as for propensities (mostly numbers). Row r holds `numbers[r·n … (r + 1)·n)` with
 * n = fields.numbers.length, NaN where unknown, and `words[r·m … (r + 1)·m)` with m = fields.words.length, each the `wordHash` of the value, `UNKNOWN` where
 * unknown. Everything is structured-cloneable. Rows are in time order where times are known.
 */
export interface Examples {
  fields: Fields
  rows: number
  numbers: Float32Array
  words: Uint32Array
  /** 1 or 0 for each row; empty where only predictions are wanted. */
  labels: Uint8Array
  /** Milliseconds since the epoch; empty or 0 where unknown. */
  times?: Float64Array
  /** Share of the negatives that was kept when they were sampled, in (0, 1]; predictions are for all of them (He et al. 2014). */
  negativeShare?: number
}

/** The hash of an absent word. */
export const UNKNOWN = 0x811c9dc5

/** FNV-1a of a word's UTF-8 bytes; the empty word is `UNKNOWN`. */
export const wordHash: (word: string) => number = fnv1a

/** Raised when rows and fields do not agree. */
export class FaultyExamples extends Error {}

/** Throws `FaultyExamples` unless sizes and labels agree with the fields. */
export function checkExamples({ fields, rows, numbers, words, labels }: Examples, wanted: Fields = fields) {
  const names = [...fields.numbers, ...fields.words]
  const twice = names.find((name, at) => names.indexOf(name) !== at)
  if (twice !== undefined) throw new FaultyExamples(`Two fields are named ${twice}`)
  if (!isSame(fields.numbers, wanted.numbers) || !isSame(fields.words, wanted.words))
    throw new FaultyExamples(
      `The model was taught the fields ${[...wanted.numbers, ...wanted.words].join(', ')} in this order; these are ${names.join(', ')}`,
    )
  if (numbers.length !== rows * fields.numbers.length || words.length !== rows * fields.words.length)
    throw new FaultyExamples(
      `${rows} rows of ${fields.numbers.length} numbers and ${fields.words.length} words were announced; there are ${numbers.length} numbers and ${words.length} words`,
    )
  if (labels.length !== 0 && labels.length !== rows) throw new FaultyExamples(`${rows} rows have ${labels.length} labels`)
}

/** The rows of the given indexes, in their order. */
export function chosenRows(examples: Examples, indexes: ArrayLike<number>): Examples {
  const { fields, numbers, words, labels, times } = examples
  const [n, m, count] = [fields.numbers.length, fields.words.length, indexes.length]
  const chosen = {
    ...examples,
    rows: count,
    numbers: new Float32Array(count * n),
    words: new Uint32Array(count * m),
    labels: new Uint8Array(labels.length > 0 ? count : 0),
  }
  const chosenTimes = new Float64Array(times && times.length > 0 ? count : 0)
  for (let at = 0; at < count; at++) {
    const row = indexes[at]
    for (let field = 0; field < n; field++) chosen.numbers[at * n + field] = numbers[row * n + field]
    for (let field = 0; field < m; field++) chosen.words[at * m + field] = words[row * m + field]
    if (labels.length > 0) chosen.labels[at] = labels[row]
    if (chosenTimes.length > 0 && times) chosenTimes[at] = times[row]
  }
  return { ...chosen, times: chosenTimes }
}

/** Share of positives, (Σ y + 1) / (rows + 2): never 0 or 1. */
export function smoothedRate(labels: Uint8Array): number {
  let positives = 0
  for (const label of labels) positives += label
  return (positives + 1) / (labels.length + 2)
}

function isSame(a: readonly string[], b: readonly string[]): boolean {
  return a === b || (a.length === b.length && a.every((name, at) => name === b[at]))
}
