import type { NumberArray } from '../artifact.js'
import type { Rows } from '../math/linear.js'
import { CHANNELS, HashTable, type NgramOptions, Ngrams } from './ngrams.js'

export interface FeatureOptions extends NgramOptions {
  /** N-grams of fewer texts than this are left out … */
  minimumTexts: number
  /** … and, of the rest, those beyond the most frequent so many. */
  mostFeatures: number
}

/** The features of one text: columns in the order of appearance, with how often each occurs and the (first) n-gram it is. */
export interface Bag {
  length: number
  columns: Int32Array
  counts: Float64Array
  /** Where the features of a channel begin; from[CHANNELS] is `length`. */
  from: Int32Array
  /** Place of the feature's first n-gram in `ngrams`. */
  places: Int32Array
}

/** Which n-grams are features. Columns are in the order of frequency, so that the hot ones lie together in memory. */
export class FeatureSpace {
  readonly ngrams: Ngrams
  private readonly table: HashTable
  private readonly seenAt: Int32Array
  private readonly slots: Int32Array
  private reads = 0
  private readonly bag: Bag = {
    length: 0,
    columns: new Int32Array(1_024),
    counts: new Float64Array(1_024),
    from: new Int32Array(CHANNELS + 1),
    places: new Int32Array(1_024),
  }

  constructor(
    readonly options: FeatureOptions,
    /** Hash of each feature … */
    readonly keys: Uint32Array,
    /** … how many texts have it … */
    readonly frequencies: Int32Array,
    /** … of how many. */
    readonly texts: number,
  ) {
    this.ngrams = new Ngrams(options)
    this.table = new HashTable(keys.length)
    for (const key of keys) this.table.add(key)
    this.seenAt = new Int32Array(keys.length)
    this.slots = new Int32Array(keys.length)
  }

  get size(): number {
    return this.keys.length
  }

  /** ln((1 + N) / (1 + df)) + 1, the smooth form. */
  inverseFrequencies(): Float64Array {
    return Float64Array.from(this.frequencies, frequency => Math.log((1 + this.texts) / (1 + frequency)) + 1)
  }

  /** The bag of a normalised text; valid until the next call. */
  read(text: string): Bag {
    const { ngrams, bag, seenAt, slots, table } = this
    ngrams.read(text)
    if (bag.columns.length < ngrams.length) {
      bag.columns = new Int32Array(2 * ngrams.length)
      bag.counts = new Float64Array(2 * ngrams.length)
      bag.places = new Int32Array(2 * ngrams.length)
    }
    const stamp = ++this.reads
    const { hashes } = ngrams
    let length = 0
    for (let channel = 0; channel < CHANNELS; channel++) {
      bag.from[channel] = length
      for (let at = ngrams.from[channel]; at < ngrams.from[channel + 1]; at++) {
        const column = table.find(hashes[at])
        if (column < 0) continue
        if (seenAt[column] === stamp) bag.counts[slots[column]]++
        else {
          seenAt[column] = stamp
          slots[column] = length
          bag.columns[length] = column
          bag.counts[length] = 1
          bag.places[length++] = at
        }
      }
    }
    bag.from[CHANNELS] = length
    bag.length = length
    return bag
  }

  /** The words that a place of the last text shows. */
  termAt(place: number): string {
    return this.ngrams.text.slice(this.ngrams.starts[place], this.ngrams.ends[place]).trim()
  }

  packed(): Record<string, NumberArray> {
    return { keys: this.keys, frequencies: this.frequencies }
  }
}

/** Rows of counts, and where each row's second channel begins. */
export interface CountedTexts {
  space: FeatureSpace
  rows: Rows & { values: Float32Array }
  /** Row r's features of channel c are boundaries[r · (CHANNELS + 1) + c] … boundaries[… + 1] in `rows`. */
  boundaries: Int32Array
}

/** Learns the features of normalised texts and counts them, in one reading. */
export function countFeatures(texts: readonly string[], options: FeatureOptions): CountedTexts {
  const ngrams = new Ngrams(options)
  const table = new HashTable(1 << 16)
  const width = CHANNELS + 1
  const marks = new Int32Array(texts.length * width)
  let keys = new Uint32Array(1 << 16)
  let frequencies = new Int32Array(1 << 16)
  let seenAt = new Int32Array(1 << 16)
  let slots = new Int32Array(1 << 16)
  let columns = new Int32Array(1 << 16)
  let counts = new Float32Array(1 << 16)
  let length = 0
  for (let row = 0; row < texts.length; row++) {
    ngrams.read(texts[row])
    if (length + ngrams.length > columns.length) {
      columns = larger(columns, length + ngrams.length, size => new Int32Array(size))
      counts = larger(counts, length + ngrams.length, size => new Float32Array(size))
    }
    if (table.size + ngrams.length > keys.length) {
      const size = table.size + ngrams.length
      keys = larger(keys, size, length => new Uint32Array(length))
      frequencies = larger(frequencies, size, length => new Int32Array(length))
      seenAt = larger(seenAt, size, length => new Int32Array(length))
      slots = larger(slots, size, length => new Int32Array(length))
    }
    const { hashes } = ngrams
    for (let channel = 0; channel < CHANNELS; channel++) {
      marks[row * width + channel] = length
      for (let at = ngrams.from[channel]; at < ngrams.from[channel + 1]; at++) {
        const key = hashes[at]
        const feature = table.add(key)
        if (seenAt[feature] === row + 1) counts[slots[feature]]++
        else {
          keys[feature] = key
          seenAt[feature] = row + 1
          frequencies[feature]++
          slots[feature] = length
          columns[length] = feature
          counts[length++] = 1
        }
      }
    }
    marks[row * width + CHANNELS] = length
  }
  const chosen = choose(frequencies, table.size, options)
  const space = new FeatureSpace(
    options,
    Uint32Array.from(chosen, feature => keys[feature]),
    Int32Array.from(chosen, feature => frequencies[feature]),
    texts.length,
  )
  return { space, ...kept(chosen, table.size, texts.length, marks, columns, counts) }
}

/** Frequent enough, most frequent first, ties by hash-free order of appearance. */
function choose(frequencies: Int32Array, size: number, { minimumTexts, mostFeatures }: FeatureOptions): Int32Array {
  let most = 0
  for (let feature = 0; feature < size; feature++) most = Math.max(most, frequencies[feature])
  const starts = new Int32Array(most + 2)
  for (let feature = 0; feature < size; feature++) starts[most - frequencies[feature] + 1]++
  for (let at = 0; at <= most; at++) starts[at + 1] += starts[at]
  const enough = minimumTexts > most ? 0 : starts[most - Math.max(1, minimumTexts) + 1]
  const sorted = new Int32Array(size)
  for (let feature = 0; feature < size; feature++) sorted[starts[most - frequencies[feature]]++] = feature
  return sorted.slice(0, Math.min(enough, mostFeatures))
}

function kept(chosen: Int32Array, size: number, texts: number, marks: Int32Array, columns: Int32Array, counts: Float32Array) {
  const width = CHANNELS + 1
  const numbers = new Int32Array(size).fill(-1)
  chosen.forEach((feature, column) => {
    numbers[feature] = column
  })
  const offsets = new Int32Array(texts + 1)
  const boundaries = new Int32Array(texts * width)
  let length = 0
  for (let row = 0; row < texts; row++) {
    for (let channel = 0; channel < CHANNELS; channel++) {
      boundaries[row * width + channel] = length
      for (let at = marks[row * width + channel]; at < marks[row * width + channel + 1]; at++) {
        const column = numbers[columns[at]]
        if (column < 0) continue
        columns[length] = column
        counts[length++] = counts[at]
      }
    }
    boundaries[row * width + CHANNELS] = length
    offsets[row + 1] = length
  }
  const rows = {
    rows: texts,
    columnCount: chosen.length,
    offsets,
    columns: columns.subarray(0, length),
    values: counts.subarray(0, length),
  }
  return { rows, boundaries }
}

function larger<Numbers extends { set(from: Numbers): void; length: number }>(
  from: Numbers,
  atLeast: number,
  make: (size: number) => Numbers,
): Numbers {
  const to = make(2 * Math.max(atLeast, from.length))
  to.set(from)
  return to
}
