import { PhrasingIndex } from './retrieval.js'

/** What an index of phrasings is asked with: the phrasings' texts, and when, in which language and for which channel each entry holds. Structured-cloneable. */
export interface PhrasingFacts {
  texts: readonly string[]
  /** Milliseconds since 1970 from which on, and until before which, the entry holds; ∓Infinity where there is no bound. */
  from: Float64Array
  until: Float64Array
  languages: readonly string[]
  /** null: the entry holds in all channels. */
  channels: readonly (string | null)[]
}

export interface PhrasingQuestion {
  text: string
  /** Milliseconds since 1970. */
  at: number
  /** null: entries of all languages. */
  language: string | null
  /** null: only entries that hold in all channels. */
  channel: string | null
}

/** As `Found`, in what is quick to clone. */
export interface NearestEntries {
  entries: number[]
  scores: number[]
  phrasings: number[]
  confidence: number
  aloneConfidence: number
  isNear: boolean
  /** Words of the question that stand in the phrasing of the first entry. */
  matchedTerms: string[]
}

/** How many entries a question is compared with in the end. */
const CANDIDATES = 4

/** Answers with the nearest entries of those that hold for the question. */
export function phrasingSearch(index: PhrasingIndex, facts: PhrasingFacts): (question: PhrasingQuestion) => NearestEntries {
  const { texts, from, until, languages, channels } = facts
  return ({ text, at, language, channel }) => {
    const isOut = (_: number, entry: number) =>
      from[entry] > at ||
      until[entry] <= at ||
      (channels[entry] !== null && channels[entry] !== channel) ||
      (language !== null && languages[entry] !== language)
    const { entries, scores, phrasings, confidence, aloneConfidence, isNear } = index.search(text, CANDIDATES, isOut)
    return {
      entries: [...entries],
      scores: [...scores],
      phrasings: [...phrasings],
      confidence,
      aloneConfidence,
      isNear,
      matchedTerms: entries.length > 0 ? index.matchedTerms(text, texts[phrasings[0]]) : [],
    }
  }
}

/** The same over a stored index; for a thread that keeps it. */
export function keepPhrasings({ artifact, facts }: { artifact: Uint8Array; facts: PhrasingFacts }) {
  return phrasingSearch(PhrasingIndex.load(artifact), facts)
}
