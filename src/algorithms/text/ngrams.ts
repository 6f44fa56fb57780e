import { isHan } from './normalise.js'
import { stemOf, wordsOf } from './tokens.js'

/** Kinds of n-grams; a text is one bag of each. */
export const CHANNELS = 2
export const [WORDS, CHARACTERS] = [0, 1]

export interface NgramOptions {
  /** Longest run of words; 0 leaves words out. */
  words: number
  /** The same in text with Chinese characters; `words` unless given. */
  hanWords?: number
  /** Longest run of characters in Chinese text, from 1; 0 leaves characters out. */
  hanCharacters: number
  /** Longest run of characters in other text, from 2, inside words with a blank on either side; 0 leaves them out. */
  characters: number
  /** True: runs of characters go across words. */
  acrossWords: boolean
  /** True: words count as their stems. */
  stems?: boolean
}

const LONGEST_TEXT = 100_000
const GOLDEN = 0x9e3779b1

/**
 * The n-grams of one text as 32-bit hashes, with where each stands. One object is used for text after text: what it holds is of the last one.
 * Normalised texts are cut at 100,000 units: what comes after does not change what a text says, and nothing blocks on it.
 */
export class Ngrams {
  hashes = new Uint32Array(1_024)
  /** First unit and the one after the last of each n-gram in `text`. */
  starts = new Int32Array(1_024)
  ends = new Int32Array(1_024)
  length = 0
  /** Where the n-grams of a channel begin; `from[CHANNELS]` is `length`. */
  readonly from = new Int32Array(CHANNELS + 1)
  text = ''
  private units = new Uint16Array(1_024)

  constructor(private readonly options: NgramOptions) {}

  /** `text` is normalised. */
  read(text: string) {
    this.text = text.length > LONGEST_TEXT ? text.slice(0, LONGEST_TEXT) : text
    this.length = 0
    const size = this.text.length
    if (this.units.length < size) this.units = new Uint16Array(2 * size)
    let hasHan = false
    for (let at = 0; at < size; at++) {
      const unit = this.text.charCodeAt(at)
      this.units[at] = unit
      hasHan ||= isHan(unit)
    }
    this.from[WORDS] = 0
    const words = hasHan ? (this.options.hanWords ?? this.options.words) : this.options.words
    if (words > 0) this.readWords(words)
    this.from[CHARACTERS] = this.length
    if (hasHan && this.options.hanCharacters > 0) this.readRuns(0, size, 1, this.options.hanCharacters, 0x5bd1e995)
    else if (this.options.characters > 0) {
      if (this.options.acrossWords) this.readRuns(0, size, 2, this.options.characters, 0x1b873593)
      else this.readInsideWords(size)
    }
    this.from[CHANNELS] = this.length
  }

  private readWords(longest: number) {
    const words = wordsOf(this.text)
    this.reserve(words.length * longest)
    let cursor = 0
    const first = this.length
    for (const word of words) {
      const start = this.text.indexOf(word, cursor)
      cursor = start + word.length
      const counted = this.options.stems ? stemOf(word) : word
      let hash = 0x2545f491
      for (let at = 0; at < counted.length; at++) hash = Math.imul(hash ^ counted.charCodeAt(at), GOLDEN)
      this.add(mixed(hash), start, cursor)
    }
    const count = this.length - first
    for (let n = 2; n <= longest; n++) {
      for (let at = 0; at + n <= count; at++) {
        let hash = this.hashes[first + at]
        for (let next = 1; next < n; next++) hash = Math.imul(hash, GOLDEN) + this.hashes[first + at + next]
        this.add(mixed(hash + n), this.starts[first + at], this.ends[first + at + n - 1])
      }
    }
  }

  private readRuns(from: number, to: number, shortest: number, longest: number, seed: number) {
    this.reserve((to - from) * longest)
    const { units } = this
    for (let start = from; start < to; start++) {
      let hash = seed
      const last = Math.min(to, start + longest)
      for (let at = start; at < last; at++) {
        hash = Math.imul(hash ^ units[at], GOLDEN)
        if (at + 1 - start >= shortest) this.add(mixed(hash + at - start), start, at + 1)
      }
    }
  }

  /** As scikit-learn's char_wb: each word between two blanks; a word shorter than n counts once as a whole. */
  private readInsideWords(size: number) {
    const longest = this.options.characters
    const { units } = this
    this.reserve((size + 2) * longest)
    for (let from = 0; from < size; ) {
      while (from < size && units[from] === 32) from++
      let to = from
      while (to < size && units[to] !== 32) to++
      if (to === from) break
      const padded = to - from + 2
      for (let n = 2; n <= longest; n++) {
        for (let start = 0; start === 0 || start + n <= padded; start++) {
          let hash = 0x85ebca6b
          const stop = Math.min(padded, start + n)
          for (let at = start; at < stop; at++) {
            const unit = at === 0 || at === padded - 1 ? 32 : units[from + at - 1]
            hash = Math.imul(hash ^ unit, GOLDEN)
          }
          this.add(mixed(hash + stop - start), Math.max(from, from + start - 1), Math.min(to, from + stop - 1))
        }
        if (n >= padded) break
      }
      from = to
    }
  }

  private add(hash: number, start: number, end: number) {
    const place = this.length
    // 0 is the empty slot of the tables.
    this.hashes[place] = hash === 0 ? 1 : hash
    this.starts[place] = start
    this.ends[place] = end
    this.length = place + 1
  }

  private reserve(more: number) {
    if (this.length + more <= this.hashes.length) return
    const size = 2 * (this.length + more)
    const grown = <Kept extends Uint32Array | Int32Array>(from: Kept, to: Kept): Kept => {
      to.set(from)
      return to
    }
    this.hashes = grown(this.hashes, new Uint32Array(size)) as Uint32Array<ArrayBuffer>
    this.starts = grown(this.starts, new Int32Array(size)) as Int32Array<ArrayBuffer>
    this.ends = grown(this.ends, new Int32Array(size)) as Int32Array<ArrayBuffer>
  }
}

/** The finaliser of MurmurHash3. */
function mixed(value: number): number {
  let hash = value
  hash ^= hash >>> 16
  hash = Math.imul(hash, 0x85ebca6b)
  hash ^= hash >>> 13
  hash = Math.imul(hash, 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

/** Hash → number, open addressing; 0 is no key. */
export class HashTable {
  private keys: Uint32Array
  private places: Int32Array
  private mask: number
  size = 0

  constructor(expected = 1_024) {
    let slots = 2_048
    while (slots < 2 * expected) slots *= 2
    this.keys = new Uint32Array(slots)
    this.places = new Int32Array(slots)
    this.mask = slots - 1
  }

  /** −1 where the key is not known. */
  find(key: number): number {
    const { keys, mask } = this
    for (let slot = key & mask; ; slot = (slot + 1) & mask) {
      const found = keys[slot]
      if (found === key) return this.places[slot]
      if (found === 0) return -1
    }
  }

  /** The number of a key; a new one gets the next. */
  add(key: number): number {
    for (let slot = key & this.mask; ; slot = (slot + 1) & this.mask) {
      const found = this.keys[slot]
      if (found === key) return this.places[slot]
      if (found !== 0) continue
      const place = this.size++
      this.keys[slot] = key
      this.places[slot] = place
      if (2 * this.size > this.keys.length) this.grow()
      return place
    }
  }

  private grow() {
    const [keys, places] = [this.keys, this.places]
    this.keys = new Uint32Array(2 * keys.length)
    this.places = new Int32Array(2 * keys.length)
    this.mask = this.keys.length - 1
    for (let old = 0; old < keys.length; old++) {
      if (keys[old] === 0) continue
      let slot = keys[old] & this.mask
      while (this.keys[slot] !== 0) slot = (slot + 1) & this.mask
      this.keys[slot] = keys[old]
      this.places[slot] = places[old]
    }
  }
}
