import { curatedAspects } from './aspect-words.js'
import { opinionOf } from './lexicon.js'
import { normalise } from './normalise.js'
import { isStopword, isWord, stemOf, wordsOf } from './tokens.js'

export type Polarity = 'negative' | 'neutral' | 'positive'

/** What a text says about one aspect of a thing. Places are UTF-16 units of the normalised text. */
export interface AspectMention {
  aspect: string
  /** The word as it stands there. */
  term: string
  start: number
  end: number
  polarity: Polarity
  /** Below 0 against the thing, above 0 for it; the lexicon's score of the excerpt. */
  score: number
  /** The part of the text that speaks of the aspect. */
  excerpt: string
}

export interface MinedAspect {
  /** The commonest form. */
  term: string
  /** Texts that have it. */
  texts: number
  /** Share of its texts in which a word of judgement stands in the same clause. */
  judged: number
}

const LONGEST_TEXT = 20_000
const LONGEST_EXCERPT = 200
const MOST_MENTIONS = 50
const NEUTRAL = 0.35
const SENTENCE = /[.!?。！？\n]/
const BREAK = /[,;:，；：、~]/
const CONTRAST = /^(but|however|although|though|yet|except|while|但|但是|不过|可是|只是|然而|就是)$/

interface Clause {
  start: number
  end: number
  words: { text: string; start: number; end: number }[]
  sentence: number
  isContrast: boolean
}

/** Parts of a normalised text between punctuation marks and words of contrast. */
function clausesOf(text: string): Clause[] {
  const clauses: Clause[] = []
  let [cursor, sentence] = [0, 0]
  let open: Clause | undefined
  let isContrast = false
  for (const word of wordsOf(text)) {
    const start = text.indexOf(word, cursor)
    cursor = start + word.length
    const isEnd = SENTENCE.test(word)
    if (isEnd || BREAK.test(word)) {
      open = undefined
      isContrast = false
      if (isEnd) sentence++
      continue
    }
    if (CONTRAST.test(word)) {
      open = undefined
      isContrast = true
    }
    if (!open) {
      open = { start, end: cursor, words: [], sentence, isContrast }
      clauses.push(open)
    }
    open.end = cursor
    open.words.push({ text: word, start, end: cursor })
  }
  return clauses
}

/**
 * Aspects that a text speaks of, by a curated list (of the category; of all of them unless given) and by mined terms, each with the lexicon's judgement of
 * the clause that it stands in; where that clause judges nothing, of the next clause of the sentence, else of the one before, up to a word of contrast.
 * An aspect is listed once a clause; at most 50 in all; the first 20,000 units are read.
 */
export function aspectsOf(text: string, { category, mined = [] }: { category?: string; mined?: readonly string[] } = {}): AspectMention[] {
  const normal = normalise(text.length > LONGEST_TEXT ? text.slice(0, LONGEST_TEXT) : text)
  const words = new Map(curatedAspects(category))
  const pairs = new Map<string, string>()
  for (const term of mined) {
    const parts = wordsOf(normalise(term)).filter(isWord)
    if (parts.length === 1 && !words.has(parts[0])) words.set(stemOf(parts[0]), term)
    else if (parts.length > 1) pairs.set(parts.map(stemOf).join(' '), term)
  }
  const clauses = clausesOf(normal)
  const scores = clauses.map(({ start, end }) => opinionOf(normal.slice(start, end)).score)
  const mentions: AspectMention[] = []
  clauses.forEach((clause, at) => {
    const own = new Set<string>()
    clause.words.forEach((word, place) => {
      const next = clause.words[place + 1]
      const pair = next ? pairs.get(`${stemOf(word.text)} ${stemOf(next.text)}`) : undefined
      const aspect = pair ?? words.get(word.text) ?? words.get(stemOf(word.text)) ?? firstHalf(words, word.text)
      if (aspect === undefined || own.has(aspect) || mentions.length >= MOST_MENTIONS) return
      own.add(aspect)
      const from = scores[at] !== 0 ? at : judgedBeside(clauses, scores, at)
      const score = scores[from]
      const [first, last] = [clauses[Math.min(at, from)], clauses[Math.max(at, from)]]
      mentions.push({
        aspect,
        term: pair && next ? normal.slice(word.start, next.end) : word.text,
        start: word.start,
        end: pair && next ? next.end : word.end,
        polarity: score > NEUTRAL ? 'positive' : score < -NEUTRAL ? 'negative' : 'neutral',
        score,
        excerpt: excerptOf(normal, first.start, last.end, word.start),
      })
    })
  })
  return mentions
}

/** Some words of jieba's are a thing and what is said of it: 价格便宜. */
function firstHalf(words: ReadonlyMap<string, string>, text: string): string | undefined {
  return /^[㐀-鿿]{4}$/.test(text) ? words.get(text.slice(0, 2)) : undefined
}

function judgedBeside(clauses: readonly Clause[], scores: readonly number[], at: number): number {
  const [next, before] = [clauses[at + 1], clauses[at - 1]]
  if (next && next.sentence === clauses[at].sentence && !next.isContrast && scores[at + 1] !== 0) return at + 1
  if (before && before.sentence === clauses[at].sentence && !clauses[at].isContrast && scores[at - 1] !== 0) return at - 1
  return at
}

function excerptOf(text: string, start: number, end: number, word: number): string {
  if (end - start <= LONGEST_EXCERPT) return text.slice(start, end)
  const from = Math.max(start, word - LONGEST_EXCERPT / 2)
  return text.slice(from, Math.min(end, from + LONGEST_EXCERPT))
}

const MOST_CANDIDATES = 200_000

/**
 * Frequent noun phrases (Hu and Liu 2004) without a tagger: words, and pairs that stand together far more often than chance (pointwise mutual
 * information), that are no words of judgement, no stop words, no verbs by their endings, and near which people judge. Most frequent first.
 */
export function mineAspects(texts: readonly string[], { fewest = 5, limit = 50 } = {}): MinedAspect[] {
  interface Count {
    texts: number
    judged: number
    forms: Map<string, number>
  }
  const counts = new Map<string, Count>()
  const seen = new Set<string>()
  let read = 0
  for (const text of texts) {
    const normal = normalise(text.slice(0, LONGEST_TEXT))
    // A repeated text is one opinion.
    if (seen.has(normal)) continue
    seen.add(normal)
    read++
    const own = new Map<string, { form: string; isJudged: boolean }>()
    for (const clause of clausesOf(normal)) {
      const isJudged = opinionOf(normal.slice(clause.start, clause.end)).score !== 0
      clause.words.forEach(({ text: word }, place) => {
        if (!isNounLike(word)) return
        const add = (key: string, form: string) => own.set(key, { form, isJudged: isJudged || (own.get(key)?.isJudged ?? false) })
        add(stemOf(word), word)
        const next = clause.words[place + 1]?.text
        if (next && isNounLike(next)) add(`${stemOf(word)} ${stemOf(next)}`, /[㐀-鿿]/.test(word) ? `${word}${next}` : `${word} ${next}`)
      })
    }
    for (const [key, { form, isJudged }] of own) {
      let count = counts.get(key)
      if (!count) {
        if (counts.size >= MOST_CANDIDATES) continue
        count = { texts: 0, judged: 0, forms: new Map() }
        counts.set(key, count)
      }
      count.texts++
      count.judged += Number(isJudged)
      count.forms.set(form, (count.forms.get(form) ?? 0) + 1)
    }
  }
  const isPhrase = (key: string, count: number) => {
    const [a, b] = key.split(' ')
    if (b === undefined) return true
    const expected = ((counts.get(a)?.texts ?? 1) * (counts.get(b)?.texts ?? 1)) / Math.max(1, read)
    return Math.log(count / expected) > 1.5
  }
  return [...counts]
    .filter(([key, { texts: count, judged }]) => count >= fewest && judged >= 0.3 * count && isPhrase(key, count))
    .map(([, { texts: count, judged, forms }]) => ({
      term: [...forms].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))[0][0],
      texts: count,
      judged: judged / count,
    }))
    .sort((a, b) => b.texts - a.texts || (a.term < b.term ? -1 : 1))
    .slice(0, limit)
}

const NO_NOUN =
  /(ly|ing|ed)$|^(get|got|use|buy|bought|make|made|go|went|come|came|work|would|could|should|one|two|thing|things|lot|time|times|day|days|much|many|ever|also|even|still|really|first|last|new|old)$/

function isNounLike(word: string): boolean {
  if (!isWord(word) || isStopword(word) || /\d/.test(word) || opinionOf(word).score !== 0) return false
  if (/^[a-z]+$/.test(word)) return word.length > 2 && !NO_NOUN.test(word)
  return /^[㐀-鿿]{2,6}$/.test(word)
}
