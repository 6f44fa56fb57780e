import type { Examples, Fields } from '../algorithms/ctr/examples.js'
import { UNKNOWN, wordHash } from '../algorithms/ctr/examples.js'

/** What a click may depend on of the ad. */
export interface AdFacts {
  ad: string
  adGroup: string
  campaign: string
  product: string | null
  categories: readonly string[]
  brand: string | null
  priceMicros: number | null
  /** Band of its product's sentiment; null where too little is known. */
  sentiment: string | null
}

/** What it may depend on of the moment and the person; kept with every bid, so that a model learns from exactly what was known then. */
export interface ContextFacts {
  device?: string | null
  placement?: string | null
  position?: string | number | null
  country?: string | null
  domain?: string | null
  os?: string | null
  language?: string | null
  hour?: number | null
  weekday?: number | null
  /** Only with consent for ADS. */
  gender?: string | null
  age?: string | null
  city?: string | null
  affinity?: string | null
  /** Of the ad's product, in the log only: as it was when the ad was shown. */
  sentiment?: string | null
}

const CONTEXT_WORDS = [
  'device',
  'placement',
  'position',
  'country',
  'domain',
  'os',
  'language',
  'hour',
  'weekday',
  'gender',
  'age',
  'city',
  'affinity',
] as const
const AD_WORDS = ['ad', 'adGroup', 'campaign', 'product', 'category', 'brand', 'price', 'sentiment'] as const
/** Pairs that every algorithm sees, also those that make none of their own. */
const CROSS_WORDS = ['affinity=category', 'gender*category', 'device*category', 'age*category'] as const

export const FIELDS: Fields = { numbers: [], words: [...AD_WORDS, ...CONTEXT_WORDS, ...CROSS_WORDS] }
export const WIDTH = FIELDS.words.length

/** Hashes of an ad's words, made once. */
export function adWords(facts: AdFacts): Uint32Array {
  const { ad, adGroup, campaign, product, categories, brand, priceMicros, sentiment } = facts
  return Uint32Array.from([ad, adGroup, campaign, product, categories[0], brand, bandOf(priceMicros), sentiment], hashOf)
}

export function contextWords(facts: ContextFacts): Uint32Array {
  return Uint32Array.from(CONTEXT_WORDS, name => hashOf(facts[name]))
}

const CATEGORY = AD_WORDS.indexOf('category')
const SENTIMENT = AD_WORDS.indexOf('sentiment')
const AFFINITY = CONTEXT_WORDS.indexOf('affinity')
const CROSSED = (['gender', 'device', 'age'] as const).map(name => CONTEXT_WORDS.indexOf(name))

/** Places of an ad's words, of the context's, and of what crosses both, among all words. */
export const PLACES = { ad: 0, context: AD_WORDS.length, cross: AD_WORDS.length + CONTEXT_WORDS.length, end: FIELDS.words.length } as const

/** Writes one example into `words` from `at` on. */
export function writeExample(words: Uint32Array, at: number, ad: Uint32Array, context: Uint32Array): void {
  words.set(ad, at)
  words.set(context, at + PLACES.context)
  writeCrosses(words, at + PLACES.cross, categoryWord(ad), context)
}

export function categoryWord(ad: Uint32Array): number {
  return ad[CATEGORY]
}

/** Writes what crosses an ad's category and the context, from `at` on. */
export function writeCrosses(words: Uint32Array, at: number, category: number, context: Uint32Array): void {
  let place = at
  // Whether the person's favourite category is the ad's: the same word for all categories, so that it is learned quickly.
  words[place++] = context[AFFINITY] === UNKNOWN ? UNKNOWN : context[AFFINITY] === category ? MATCH : NO_MATCH
  for (const index of CROSSED)
    words[place++] = context[index] === UNKNOWN || category === UNKNOWN ? UNKNOWN : mixed(context[index], category)
}

export function examplesOf(words: Uint32Array, rows: number): Examples {
  return { fields: FIELDS, rows, numbers: NO_NUMBERS, words, labels: NO_LABELS }
}

/** An ad's words with the sentiment that its product had at another time. */
export function withSentiment(ad: Uint32Array, sentiment: string | null): Uint32Array {
  const words = ad.slice()
  words[SENTIMENT] = hashOf(sentiment)
  return words
}

/** Examples in the layout of a model's own fields: one that was taught by an earlier version goes on without the features that came since. */
export function laidOutFor(fields: Fields, examples: Examples): Examples {
  const places = placesIn(fields)
  if (!places) return examples
  const width = places.length
  const words = new Uint32Array(examples.rows * width)
  for (let row = 0; row < examples.rows; row++)
    for (let field = 0; field < width; field++)
      words[row * width + field] = places[field] < 0 ? UNKNOWN : examples.words[row * WIDTH + places[field]]
  return { ...examples, fields, words, numbers: new Float32Array(examples.rows * fields.numbers.length).fill(Number.NaN) }
}

/** Whether these fields are ours, in our order. */
export function isOurLayout(fields: Fields): boolean {
  return placesIn(fields) === null
}

/** The words of one example by their field, for an explanation. */
export function wordsOf(ad: AdFacts, context: ContextFacts): (field: string) => string {
  const wordOf = (name: string): unknown => {
    if (name === 'category') return ad.categories[0]
    if (name === 'price') return bandOf(ad.priceMicros)
    return name in ad ? ad[name as keyof AdFacts] : context[name as keyof ContextFacts]
  }
  const shown = (name: string) => {
    const word = wordOf(name)
    return word === null || word === undefined || word === '' ? 'unknown' : String(word)
  }
  return field => (CROSSED_FIELDS.get(field)?.map(shown) ?? [shown(field)]).join(' × ')
}

/** Years of age in bands. */
export function ageOf(birthYear: number | null, year: number): string | null {
  if (birthYear === null) return null
  const age = year - birthYear
  return age < 18
    ? 'under 18'
    : age < 25
      ? '18-24'
      : age < 35
        ? '25-34'
        : age < 45
          ? '35-44'
          : age < 55
            ? '45-54'
            : age < 65
              ? '55-64'
              : '65+'
}

/** Where each word of other fields stands in ours, −1 where nowhere; null when they are ours. */
function placesIn(fields: Fields): Int32Array | null {
  const known = layouts.get(fields)
  if (known !== undefined) return known
  const isOurs = fields.numbers.length === 0 && fields.words.join() === FIELDS.words.join()
  const places = isOurs ? null : Int32Array.from(fields.words, name => FIELDS.words.indexOf(name))
  layouts.set(fields, places)
  return places
}

const CROSSED_FIELDS = new Map(CROSS_WORDS.map((field): [string, string[]] => [field, field.split(/[*=]/)]))
const layouts = new WeakMap<Fields, Int32Array | null>()
const NO_NUMBERS = new Float32Array(0)
const NO_LABELS = new Uint8Array(0)
const MATCH = wordHash('match')
const NO_MATCH = wordHash('no match')

/** Prices in bands of a factor of two. */
function bandOf(micros: number | null): string | null {
  return micros === null || !(micros > 0) ? null : `2^${Math.round(Math.log2(micros / 1_000_000))}`
}

function hashOf(value: unknown): number {
  return value === null || value === undefined || value === '' ? UNKNOWN : wordHash(String(value).toLowerCase())
}

function mixed(a: number, b: number): number {
  return Math.imul(a ^ Math.imul(b, 0x9e3779b1), 0x85ebca6b) >>> 0
}
