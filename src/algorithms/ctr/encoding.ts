import type { Random } from '../math/random.js'
import type { Examples, Fields } from './examples.js'

const FOLDS = 5

/** Turns examples into columns of numbers for trees: number fields as they are, each word field as its target rate and its count. */
export interface Encoding {
  columnCount: number
  /** Position of each column's field among the numbers and then the words. */
  fieldOf: Int32Array
  /** Writes the columns of one row. */
  encode(examples: Examples, row: number, out: Float64Array | Float32Array): void
  arrays(): Record<string, Uint32Array | Float64Array>
}

/** What is known of each word of a field: keys ascending, with their smoothed rates and counts. */
interface WordStatistics {
  keys: Uint32Array
  rates: Float64Array
  counts: Float64Array
}

/**
 * Learns the encoding of words from labelled rows: rate (Σ y + strength · base) / (n + strength) and count n. The columns of the learning rows themselves,
 * row-major in `columns`, have rates that leave their own fold of five out, so that no row's label is in its own features.
 */
export function fitEncoding(examples: Examples, strength: number, random: Random): { encoding: Encoding; columns: Float32Array } {
  const { rows, fields, numbers, words, labels } = examples
  const [n, m] = [fields.numbers.length, fields.words.length]
  const columnCount = n + 2 * m
  const columns = new Float32Array(rows * columnCount)
  for (let row = 0; row < rows; row++) for (let field = 0; field < n; field++) columns[row * columnCount + field] = numbers[row * n + field]
  const folds = Uint8Array.from({ length: m > 0 ? rows : 0 }, () => random.below(FOLDS))
  let positives = 0
  for (const label of labels) positives += label
  const base = rows > 0 ? positives / rows : 0.5
  const statistics = fields.words.map((_, field): WordStatistics => {
    const ids = new Map<number, number>()
    const idOf = new Int32Array(rows)
    for (let row = 0; row < rows; row++) {
      const word = words[row * m + field]
      let id = ids.get(word)
      if (id === undefined) {
        id = ids.size
        ids.set(word, id)
      }
      idOf[row] = id
    }
    const size = ids.size
    // Per word and fold, then over all folds.
    const counts = new Float64Array(size * (FOLDS + 1))
    const sums = new Float64Array(size * (FOLDS + 1))
    for (let row = 0; row < rows; row++) {
      for (const fold of [folds[row], FOLDS]) {
        counts[fold * size + idOf[row]]++
        sums[fold * size + idOf[row]] += labels[row]
      }
    }
    for (let row = 0; row < rows; row++) {
      const [id, own] = [idOf[row], folds[row] * size + idOf[row]]
      const at = row * columnCount + n + 2 * field
      columns[at] = (sums[FOLDS * size + id] - sums[own] + strength * base) / (counts[FOLDS * size + id] - counts[own] + strength)
      columns[at + 1] = counts[FOLDS * size + id]
    }
    const keys = Uint32Array.from(ids.keys()).sort()
    const idsOfKeys = Int32Array.from(keys, key => ids.get(key) as number)
    return {
      keys,
      rates: Float64Array.from(idsOfKeys, id => (sums[FOLDS * size + id] + strength * base) / (counts[FOLDS * size + id] + strength)),
      counts: Float64Array.from(idsOfKeys, id => counts[FOLDS * size + id]),
    }
  })
  return { encoding: encodingOf(fields, base, statistics), columns }
}

/** The encoding whose `arrays` were saved. */
export function loadEncoding(fields: Fields, arrays: Record<string, ArrayLike<number>>): Encoding {
  const statistics = fields.words.map((_, field) => ({
    keys: arrays[`keys${field}`] as Uint32Array,
    rates: arrays[`rates${field}`] as Float64Array,
    counts: arrays[`counts${field}`] as Float64Array,
  }))
  return encodingOf(fields, arrays.base[0], statistics)
}

function encodingOf({ numbers, words }: Fields, base: number, statistics: readonly WordStatistics[]): Encoding {
  const [n, m] = [numbers.length, words.length]
  const places = statistics.map(({ keys }) => {
    const place = new Map<number, number>()
    keys.forEach((key, at) => {
      place.set(key, at)
    })
    return place
  })
  return {
    columnCount: n + 2 * m,
    fieldOf: Int32Array.from({ length: n + 2 * m }, (_, column) => (column < n ? column : n + ((column - n) >> 1))),
    encode: (examples, row, out) => {
      for (let field = 0; field < n; field++) out[field] = examples.numbers[row * n + field]
      for (let field = 0; field < m; field++) {
        const at = places[field].get(examples.words[row * m + field])
        // Rounded as the columns of the learning rows are, so that cuts mean the same for both.
        out[n + 2 * field] = Math.fround(at === undefined ? base : statistics[field].rates[at])
        out[n + 2 * field + 1] = at === undefined ? 0 : Math.fround(statistics[field].counts[at])
      }
    },
    arrays: () => ({
      base: Float64Array.of(base),
      ...Object.fromEntries(
        statistics.flatMap(({ keys, rates, counts }, field) => [
          [`keys${field}`, keys],
          [`rates${field}`, rates],
          [`counts${field}`, counts],
        ]),
      ),
    }),
  }
}
