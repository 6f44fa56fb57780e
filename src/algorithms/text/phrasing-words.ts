import type { NumberArray } from '../artifact.js'
import { isHan, normalise } from './normalise.js'
import { significantWords } from './shop-words.js'
import { isSlipOf } from './slips.js'
import { stemOf } from './tokens.js'

/** Shorter words are other words when one letter differs. */
const FEWEST_LETTERS = 4
/** How many significant words of a phrasing a question may leave out and still be near it. */
const LEFT_OUT = 1

/**
 * The significant words of each phrasing, by their stems, Chinese ones by their characters: they tell whether a question is the phrasing but for spelling,
 * order and the words that only say how is asked. A word that no phrasing has is also the one that it is a slip of the pen of.
 */
export class PhrasingWords {
  private readonly numbers: ReadonlyMap<string, number>

  private constructor(
    private readonly words: readonly string[],
    /** Where the words of each phrasing begin in `terms`. */
    private readonly offsets: Int32Array,
    private readonly terms: Int32Array,
  ) {
    this.numbers = new Map(words.map((word, at) => [word, at]))
  }

  static of(texts: readonly string[]): PhrasingWords {
    const numbers = new Map<string, number>()
    const offsets = new Int32Array(texts.length + 1)
    const terms: number[] = []
    texts.forEach((text, at) => {
      for (const unit of unitsOf(text)) {
        const number = numbers.get(unit) ?? numbers.size
        numbers.set(unit, number)
        terms.push(number)
      }
      offsets[at + 1] = terms.length
    })
    return new PhrasingWords([...numbers.keys()], offsets, Int32Array.from(terms))
  }

  /** Whether a phrasing says all that the question says, and hardly more. */
  isNear(question: string, phrasing: number): boolean {
    const terms = this.termsOf(phrasing)
    const said = new Set([...unitsOf(question)].map(unit => this.meant(unit, terms)))
    return terms.length - said.size <= LEFT_OUT && [...said].every(word => terms.includes(word))
  }

  save(): Record<string, NumberArray> {
    const { words, offsets, terms } = this
    return { words: new TextEncoder().encode(words.join('\n')), wordOffsets: offsets, wordTerms: terms }
  }

  static load({ words, wordOffsets, wordTerms }: Record<string, unknown>): PhrasingWords {
    const all = new TextDecoder().decode(words as Uint8Array).split('\n')
    return new PhrasingWords(all, wordOffsets as Int32Array, wordTerms as Int32Array)
  }

  private termsOf(phrasing: number): Int32Array {
    return this.terms.subarray(this.offsets[phrasing], this.offsets[phrasing + 1])
  }

  /** The number of a word, or of the one of `words` that it is a slip of; −1 where there is neither. */
  private meant(word: string, words: Int32Array): number {
    const known = this.numbers.get(word)
    if (known !== undefined) return known
    for (const each of words) if (isMisspelt(word, this.words[each])) return each
    return -1
  }
}

function unitsOf(text: string): Set<string> {
  return new Set(significantWords(normalise(text)).flatMap(word => (isHan(word.charCodeAt(0)) ? [...word] : [stemOf(word)])))
}

function isMisspelt(word: string, right: string): boolean {
  return Math.min(word.length, right.length) >= FEWEST_LETTERS && isSlipOf(word, right) && /^[a-z]+$/.test(word)
}
