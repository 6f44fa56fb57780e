import type { buildPhrasings } from '../algorithms/text/index.js'
import { type NearestEntries, type PhrasingFacts, type PhrasingQuestion, phrasingSearch } from '../algorithms/text/kept-phrasings.js'
import { isJudgeable, PhrasingIndex, type Phrasings, shopRetrieval } from '../algorithms/text/retrieval.js'
import { messageOf } from '../platform/errors.js'
import type { Log } from '../platform/log.js'
import type { Pool } from '../platform/pool.js'
import type { Signals } from '../platform/signals.js'
import type { FaqRepository, ServedEntry } from './faq.repository.js'

const LOOK_EVERY_MS = 3_000
const ASKED = 2_000
/** Phrasings that are indexed in some ten milliseconds, and searched in a twentieth of one. */
const KEPT_HERE = 500
export interface FoundEntry {
  entry: ServedEntry
  /** The phrasing of the entry that came nearest. */
  phrasing: string
  score: number
}

export interface FaqSearch {
  /** Best first. */
  found: FoundEntry[]
  /** Probability that the answer of the first one answers the question. */
  confidence: number
  /** The same if the second one were not there: what is lost by the two being close. */
  aloneConfidence: number
  /** Answer from this confidence on. */
  threshold: number
  /** False: not even then, as no threshold is proven and the question is not nearly an approved phrasing. */
  isNear: boolean
  /** Whether a classifier over the phrasings had its say beside BM25. */
  isJudged: boolean
  /** Words of the question that stand in the phrasing of the first one. */
  matchedTerms: string[]
}

/** What answers: here, or in a thread of its own. */
interface Searcher {
  threshold: number
  isJudged: boolean
  ask(question: PhrasingQuestion): NearestEntries | Promise<NearestEntries>
  close?(): Promise<void>
}

interface Served {
  mark: string
  entries: ServedEntry[]
  phrasings: string[]
  searcher: Searcher
}

/** What this process answers from. A signal makes a change immediate, a look at the database every few seconds makes it certain; what serves goes on serving. */
export class FaqIndex {
  private served?: Served
  private timer?: NodeJS.Timeout
  private unsubscribe = () => {}
  private looking?: Promise<void>

  constructor(
    private readonly parts: { repository: FaqRepository; pool: Pool; signals: Pick<Signals, 'on'>; log: Log; maximumError: number },
  ) {}

  async start(): Promise<void> {
    await this.look()
    this.unsubscribe = this.parts.signals.on('faq.changed', () => void this.look())
    this.timer = setInterval(() => void this.look(), LOOK_EVERY_MS)
    this.timer.unref()
  }

  stop(): void {
    clearInterval(this.timer)
    this.unsubscribe()
  }

  /** Brings the index in line with the database; never throws. */
  look(): Promise<void> {
    this.looking = (this.looking ?? Promise.resolve())
      .then(() => this.compare())
      .catch(error => this.parts.log.warn('the FAQ could not be looked up', { error: messageOf(error) }))
    return this.looking
  }

  get size(): number {
    return this.served?.entries.length ?? 0
  }

  /** The nearest entries that hold now, in this language and channel. */
  async search(
    question: string,
    { now, language, channel }: { now: Date; language: string | null; channel: string | null },
  ): Promise<FaqSearch> {
    const { served } = this
    if (!served || served.entries.length === 0)
      return { found: [], confidence: 0, aloneConfidence: 0, threshold: 1, isNear: false, isJudged: false, matchedTerms: [] }
    const { threshold, isJudged } = served.searcher
    const { entries, scores, phrasings, confidence, aloneConfidence, isNear, matchedTerms } = await served.searcher.ask({
      text: question,
      at: now.getTime(),
      language,
      channel,
    })
    const found = entries.map((entry, at) => ({
      entry: served.entries[entry],
      phrasing: served.phrasings[phrasings[at]],
      score: scores[at],
    }))
    // Whichever of two entries with one answer is meant, the answer is right.
    const isOneAnswer = found.length > 1 && found[0].entry.answer === found[1].entry.answer
    const sure = isOneAnswer ? Math.max(confidence, aloneConfidence) : confidence
    return { found, confidence: sure, aloneConfidence, threshold, isNear, isJudged, matchedTerms }
  }

  entry(id: string): ServedEntry | undefined {
    return this.served?.entries.find(each => each.id === id)
  }

  private async compare(): Promise<void> {
    const { repository, log } = this.parts
    const mark = await repository.mark()
    if (mark === this.served?.mark) return
    const entries = await repository.served()
    const phrasings: string[] = []
    const owners: number[] = []
    entries.forEach(({ question, alternatives }, at) => {
      for (const text of new Set([question, ...alternatives])) {
        phrasings.push(text)
        owners.push(at)
      }
    })
    const places = new Map(entries.map(({ id }, at) => [id, at]))
    const judged = (await repository.judged(ASKED)).flatMap(({ text, entryId, helpful }) => {
      const place = places.get(entryId)
      return place === undefined ? [] : [{ text, entry: helpful ? place : -1 }]
    })
    const data = {
      entryCount: Math.max(1, entries.length),
      texts: phrasings,
      entries: Int32Array.from(owners),
      asked: { texts: judged.map(({ text }) => text), entries: Int32Array.from(judged, ({ entry }) => entry) },
    }
    const facts = {
      texts: phrasings,
      from: Float64Array.from(entries, ({ validFrom }) => validFrom?.getTime() ?? Number.NEGATIVE_INFINITY),
      until: Float64Array.from(entries, ({ validTo }) => validTo?.getTime() ?? Number.POSITIVE_INFINITY),
      languages: entries.map(({ locale }) => languageOf(locale)),
      channels: entries.map(({ channel }) => channel),
    }
    const before = this.served
    this.served = { mark, entries, phrasings, searcher: await this.searcherOf(data, facts) }
    const { threshold } = this.served.searcher
    log.info('the FAQ is served', { entries: entries.length, phrasings: phrasings.length, threshold })
    await before?.searcher.close?.()
  }

  /**
   * Ten thousand entries take seconds to index, and so does a classifier: a thread does those, while this process answers from what it has. To search
   * in them takes long enough to hold up other requests: a thread keeps them.
   */
  private async searcherOf(data: Phrasings, facts: PhrasingFacts): Promise<Searcher> {
    const { pool, maximumError } = this.parts
    const family = 'text'
    if (data.texts.length <= KEPT_HERE && !isJudgeable(data)) {
      const index = PhrasingIndex.build(data, shopRetrieval, maximumError)
      const { threshold, isJudged } = index
      return { threshold, isJudged, ask: phrasingSearch(index, facts) }
    }
    const {
      result: { artifact, threshold, isJudged },
    } = await pool.run<ReturnType<typeof buildPhrasings>>({ family, function: 'buildPhrasings', args: [{ data, maximumError }] })
    const kept = await pool.keep<PhrasingQuestion, NearestEntries>({ family, function: 'keepPhrasings', args: [{ artifact, facts }] })
    return { threshold, isJudged, ...kept }
  }
}

export function languageOf(locale: string): string {
  return locale.toLowerCase().split(/[-_]/)[0]
}
