import type { Examples, Fields } from './examples.js'

const SAMPLE = 100_000

/** Where the numbers of each field are cut: code = cuts below or equal to the value, and one more code for NaN. Saved as plain numbers. */
export type Cuts = readonly Float64Array[]

/** Cuts of each number field at its quantiles, so that at most `most` codes of about equal mass result; a value that fills quantiles gets a code of its own. */
export function quantileCuts({ fields, rows, numbers }: Examples, most: number): Cuts {
  const count = fields.numbers.length
  const step = Math.max(1, Math.ceil(rows / SAMPLE))
  return fields.numbers.map((_, field) => {
    const values = new Float64Array(Math.ceil(rows / step))
    let known = 0
    for (let row = 0; row < rows; row += step) {
      const value = numbers[row * count + field]
      if (!Number.isNaN(value)) values[known++] = value
    }
    return cutsOf(values.subarray(0, known).sort(), most)
  })
}

/** Cuts lie half-way between two neighbouring values; `sorted` is ascending without NaN. */
export function cutsOf(sorted: Float64Array, most: number): Float64Array {
  const distinct: number[] = []
  const upTo: number[] = []
  for (let at = 0; at < sorted.length; at++) {
    if (at + 1 < sorted.length && sorted[at + 1] === sorted[at]) continue
    distinct.push(sorted[at])
    upTo.push(at + 1)
  }
  const between = (at: number) => {
    const [low, high] = [distinct[at], distinct[at + 1]]
    const middle = low + (high - low) / 2
    return Number.isFinite(middle) ? middle : Number.isFinite(high) ? high : 0
  }
  if (distinct.length <= most) return Float64Array.from({ length: Math.max(0, distinct.length - 1) }, (_, at) => between(at))
  const cuts: number[] = []
  // Each code takes an equal share of what is left, so that a frequent value does not starve the others.
  let taken = 0
  for (let at = 0; at < distinct.length - 1 && cuts.length < most - 1; at++) {
    const left = most - cuts.length
    if ((upTo[at] - taken) * left < sorted.length - taken) continue
    cuts.push(between(at))
    taken = upTo[at]
  }
  return Float64Array.from(cuts)
}

/** Code of a number: 0 … cuts.length, or cuts.length + 1 for NaN. */
export function codeOf(cuts: Float64Array, value: number): number {
  if (Number.isNaN(value)) return cuts.length + 1
  let [low, high] = [0, cuts.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (cuts[middle] < value) low = middle + 1
    else high = middle
  }
  return low
}

/** A token names a field and what it holds; tokens of different fields differ. 32 bits. */
export function tokenOf(field: number, value: number): number {
  let hash = Math.imul(value ^ Math.imul(field + 1, 0x9e3779b1), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 15), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

/** Pairs of fields by name, "a*b c*d", as positions among the numbers and then the words. Throws `RangeError` on a name that is no field. */
export function pairsOf(crosses: string, { numbers, words }: Fields): [number, number][] {
  const names = [...numbers, ...words]
  return crosses
    .split(/\s+/)
    .filter(pair => pair !== '')
    .map(pair => {
      const places = pair.split('*').map(name => names.indexOf(name))
      if (places.length !== 2 || places.includes(-1))
        throw new RangeError(`crosses names pairs of fields as a*b; "${pair}" is none. Fields: ${names.join(', ')}`)
      return places as [number, number]
    })
}

/** Writes the tokens of rows: one of each number field's code, one of each word, one of each cross; `width` a row. */
export interface Tokeniser {
  width: number
  /** Names of the fields behind each place of a row's tokens. */
  places: readonly (readonly string[])[]
  tokens(examples: Examples, from: number, to: number, out: Uint32Array | Int32Array): void
}

export function tokeniser(fields: Fields, cuts: Cuts, crosses: readonly [number, number][]): Tokeniser {
  const [n, m] = [fields.numbers.length, fields.words.length]
  const names = [...fields.numbers, ...fields.words]
  const width = n + m + crosses.length
  return {
    width,
    places: [...names.map(name => [name]), ...crosses.map(([a, b]) => [names[a], names[b]])],
    tokens: ({ numbers, words }, from, to, out) => {
      for (let row = from; row < to; row++) {
        const start = (row - from) * width
        for (let field = 0; field < n; field++) out[start + field] = tokenOf(field, codeOf(cuts[field], numbers[row * n + field]))
        for (let field = 0; field < m; field++) out[start + n + field] = tokenOf(n + field, words[row * m + field])
        for (let at = 0; at < crosses.length; at++) {
          const [a, b] = crosses[at]
          out[start + n + m + at] = tokenOf(n + m + at, Math.imul(out[start + a], 0x01000193) ^ out[start + b])
        }
      }
    },
  }
}
