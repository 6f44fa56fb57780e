import { type NumberArray, pack, unpack } from '../artifact.js'
import { fitPlatt, sigmoid } from '../math/calibration.js'
import { denseRows, fitLinear } from '../math/linear.js'
import { fnv1a } from '../math/random.js'
import { topAmong, topIndexes } from '../math/select.js'
import { type Answered, chooseThreshold, withOutOfScopeShare } from './abstention.js'
import { fitLinearText, type LinearTextModel, loadLinearText } from './linear-model.js'
import { CHANNELS, HashTable, Ngrams } from './ngrams.js'
import { normalise } from './normalise.js'
import { PhrasingWords } from './phrasing-words.js'
import { FunctionTerms, withConcepts } from './shop-words.js'
import { isStopword, isWord, stemOf, wordsOf } from './tokens.js'

/** What can be found: every entry has one phrasing or several (its question, its alternatives). Structured-cloneable. */
export interface Phrasings {
  entryCount: number
  texts: readonly string[]
  /** Entry of each text. */
  entries: Int32Array
  /** Questions that were asked, with the entry that answers them, −1 for none: they calibrate the score. */
  asked?: { texts: readonly string[]; entries: Int32Array }
}

export interface RetrievalOptions {
  /** Saturation of repeated terms and weight of length, as in Lucene. */
  k1: number
  b: number
  /** Weight of character n-grams against words; they forgive typing errors. */
  characters: number
  /** Share of the next best phrasings of an entry that is added to its best one, falling by the same factor each. */
  support: number
  /** Weight of terms that only say how is asked ("how do I", 怎么); 1: as any other. */
  functionWords: number
  /** True: what customers of a shop mean by different words ("parcel", "package") is found too. */
  concepts: boolean
  /** True: a classifier over the phrasings has its say where there are enough of them. */
  judge: boolean
}

export const retrievalDefaults: RetrievalOptions = {
  k1: 1.2,
  b: 0.75,
  characters: 0.6,
  support: 0.1,
  functionWords: 1,
  concepts: false,
  judge: false,
}
/** For questions to a shop. */
export const shopRetrieval: Partial<RetrievalOptions> = { functionWords: 0.6, concepts: true, judge: true }

export interface Found {
  /** Best first. */
  entries: Int32Array
  /** BM25 of words and characters, unbounded. */
  scores: Float64Array
  /** Phrasing that spoke for each entry. */
  phrasings: Int32Array
  /** Calibrated probability that the first entry answers the question; 0 where nothing was found. */
  confidence: number
  /** The same if the second entry were not there: what is lost by the two being close. */
  aloneConfidence: number
  /** False: however probable, it is not to be answered, as no threshold is proven and the question is not nearly an approved phrasing. */
  isNear: boolean
}

/** Log-odds that the first entry is right: linear in the evidence. */
interface Calibration {
  weights: number[]
  intercept: number
}

const FORMAT = 'phrasings/2'
const JUDGE_FORMAT = 'phrasings-judge/1'
/** For collections too small to be asked about themselves. */
const DEFAULT_CALIBRATION: Calibration = { weights: [5.5], intercept: -4.7 }
/** A classifier learns from this many phrasings an entry on, on average … */
const FEWEST_PHRASINGS = 4
/** … from so many phrasings on … */
const FEWEST_JUDGED = 200
/** … where phrasings times entries, what its fits cost, are at most so many: some seconds. */
const MOST_JUDGED = 100_000
/** Weight of the classifier's score beside the logarithm of BM25's. */
const JUDGE_WEIGHT = 1
/** How many retrieved entries the classifier puts in order. */
const REORDERED = 8
/** How many fits a phrasing's trials, and an entry's, are shared out to: a judge that lacks many entries takes what is foreign for easier than it is. */
const TEXT_FOLDS = 3
const ENTRY_FOLDS = 12
/** With a judge, what is asked is harder than the trials are: the bound leaves less to chance than where there is none. */
const JUDGED_DOUBT = 0.05
/** For collections too small to be asked about themselves: what comes as near as a slip of the pen. */
const DEFAULT_THRESHOLD = 0.9
const FEWEST_CALIBRATED = 40
/** Where the trials are too few or too hard to carry a threshold: nine of ten phrasings with a slip of the pen reach it. */
const SLIPS_REFUSED = 0.1
const MOST_SLIPS = 400
const MOST_CALIBRATED = 2_000
/** Postings that are read before the best phrasings so far are scored in full, and how many those are. */
const POSTINGS = 4_000
const POOL = { least: 32, most: 64 }
/** Of entries with many phrasings more are, so that they are of several entries. */
const POOL_ENTRIES = 8
/** So many of them at least. */
const SCORED = 16
const NGRAMS = { words: 1, hanCharacters: 2, characters: 4, acrossWords: false, stems: true }

/**
 * BM25 in Lucene's form, ln(1 + (N − df + ½)/(df + ½)) · tf/(tf + k1(1 − b + b·dl/avgdl)), over stems or jieba's words and, as a second field, over
 * character n-grams; an entry has the score of its best phrasing and a part of the next ones. Postings lie in typed arrays.
 */
export class PhrasingIndex {
  private readonly ngrams = new Ngrams(NGRAMS)
  private readonly functions: FunctionTerms | undefined
  private readonly scores: Float64Array
  private readonly touched: Int32Array
  private readonly entryScores: Float64Array
  private readonly entryBest: Float64Array
  private readonly entryPhrasings: Int32Array
  private readonly seenAt: Int32Array
  private reads = 0
  private asked = new Int32Array(1_024)
  /** The postings turned over: of each phrasing, its terms in order and their weights in turn, which are read together. */
  private readonly forwardOffsets: Int32Array
  private readonly forwardTerms: Int32Array
  private readonly forwardWeights: Float32Array
  /** A bit a term, set for those that are asked for and not read: as small as it is, it stays in the nearest cache. */
  private readonly unread: Uint32Array
  /** The most that a term adds to any phrasing. */
  private readonly heaviest: Float32Array
  private readonly poolSize: number

  private constructor(
    readonly entryCount: number,
    private readonly entries: Int32Array,
    private readonly options: RetrievalOptions,
    private readonly keys: Uint32Array,
    private readonly table: HashTable,
    /** Of each term: its postings, and the most that it can add. */
    private readonly offsets: Int32Array,
    private readonly phrasings: Int32Array,
    private readonly weights: Float32Array,
    private readonly inverse: Float32Array,
    private calibration: Calibration,
    /** Answer from this confidence on, for the configured error. */
    public threshold: number,
    /** Judges which entry a question is one of; undefined where there is too little to learn from, or too much. */
    private judge: LinearTextModel | undefined,
    /** Where the judge's trials carry no threshold: only what is near an approved phrasing may be answered then. */
    private words: PhrasingWords | undefined,
  ) {
    this.functions = options.functionWords === 1 ? undefined : new FunctionTerms()
    this.poolSize = Math.min(POOL.most, Math.max(POOL.least, Math.ceil((POOL_ENTRIES * entries.length) / entryCount)))
    this.scores = new Float64Array(entries.length)
    this.touched = new Int32Array(entries.length)
    this.entryScores = new Float64Array(entryCount).fill(Number.NEGATIVE_INFINITY)
    this.entryBest = new Float64Array(entryCount)
    this.entryPhrasings = new Int32Array(entryCount)
    this.seenAt = new Int32Array(keys.length)
    this.forwardOffsets = new Int32Array(entries.length + 1)
    for (const phrasing of phrasings) this.forwardOffsets[phrasing + 1]++
    for (let at = 0; at < entries.length; at++) this.forwardOffsets[at + 1] += this.forwardOffsets[at]
    this.forwardTerms = new Int32Array(2 * phrasings.length)
    this.forwardWeights = new Float32Array(this.forwardTerms.buffer)
    this.unread = new Uint32Array((keys.length + 31) >> 5)
    this.heaviest = new Float32Array(keys.length)
    const next = this.forwardOffsets.slice()
    for (let term = 0; term < keys.length; term++) {
      for (let place = offsets[term]; place < offsets[term + 1]; place++) {
        const to = 2 * next[phrasings[place]]++
        this.forwardTerms[to] = term
        this.forwardWeights[to + 1] = weights[place]
        if (weights[place] > this.heaviest[term]) this.heaviest[term] = weights[place]
      }
    }
  }

  /** `maximumError` is the share of wrong answers among the given ones that is accepted. */
  static build(data: Phrasings, options: Partial<RetrievalOptions> = {}, maximumError = 0.05): PhrasingIndex {
    const settings: RetrievalOptions = { ...retrievalDefaults, ...options }
    const { k1, b, characters, functionWords } = settings
    for (let at = 0; at < data.entries.length; at++)
      if (!(data.entries[at] >= 0 && data.entries[at] < data.entryCount))
        throw new RangeError(`Phrasing ${at} is of entry ${data.entries[at]}`)
    const ngrams = new Ngrams(NGRAMS)
    const table = new HashTable(1 << 14)
    const keys: number[] = []
    const channels: number[] = []
    const isFunction: boolean[] = []
    const functions = functionWords === 1 ? undefined : new FunctionTerms()
    const [rows, terms, counts]: [number[], number[], number[]] = [[], [], []]
    const lengths = Array.from({ length: CHANNELS }, () => new Float64Array(data.texts.length))
    data.texts.forEach((text, row) => {
      ngrams.read(prepared(text, settings))
      functions?.read(ngrams)
      for (let channel = 0; channel < CHANNELS; channel++) {
        const own = new Map<number, number>()
        for (let at = ngrams.from[channel]; at < ngrams.from[channel + 1]; at++) {
          const term = table.add(ngrams.hashes[at])
          if (term === keys.length) {
            keys.push(ngrams.hashes[at])
            channels.push(channel)
            isFunction.push(true)
          }
          if (!functions?.has(ngrams, at)) isFunction[term] = false
          own.set(term, (own.get(term) ?? 0) + 1)
        }
        lengths[channel][row] = ngrams.from[channel + 1] - ngrams.from[channel]
        for (const [term, count] of own) {
          rows.push(row)
          terms.push(term)
          counts.push(count)
        }
      }
    })
    renumber(keys, channels, isFunction, terms)
    const ordered = new HashTable(keys.length)
    for (const key of keys) ordered.add(key)
    const means = lengths.map(own => Math.max(1, own.reduce((sum, length) => sum + length, 0) / Math.max(1, own.length)))
    const offsets = new Int32Array(keys.length + 1)
    for (const term of terms) offsets[term + 1]++
    const inverse = Float32Array.from(keys, (_, term) => {
      const frequency = offsets[term + 1]
      const factor = (channels[term] === 0 ? 1 : characters) * (isFunction[term] ? functionWords : 1)
      return factor * Math.log(1 + (data.texts.length - frequency + 0.5) / (frequency + 0.5))
    })
    for (let term = 0; term < keys.length; term++) offsets[term + 1] += offsets[term]
    const next = offsets.slice()
    const phrasings = new Int32Array(terms.length)
    const weights = new Float32Array(terms.length)
    terms.forEach((term, at) => {
      const place = next[term]++
      const length = lengths[channels[term]][rows[at]] / means[channels[term]]
      phrasings[place] = rows[at]
      weights[place] = (inverse[term] * counts[at]) / (counts[at] + k1 * (1 - b + b * length))
    })
    const index = new PhrasingIndex(
      data.entryCount,
      data.entries.slice(),
      settings,
      Uint32Array.from(keys),
      ordered,
      offsets,
      phrasings,
      weights,
      inverse,
      DEFAULT_CALIBRATION,
      DEFAULT_THRESHOLD,
      undefined,
      undefined,
    )
    index.calibrate(data, maximumError)
    return index
  }

  /** The `count` best entries; phrasings and entries for which `skip` is true are left out. */
  search(question: string, count: number, skip?: (phrasing: number, entry: number) => boolean): Found {
    const { entries, scores, phrasings, evidence, aloneEvidence } = this.weighed(question, count, this.judge, skip)
    const confidenceOf = (given: readonly number[]) => (entries.length > 0 ? this.confidenceOf(given) : 0)
    const isNear = !this.words || (entries.length > 0 && this.words.isNear(question, phrasings[0]))
    return { entries, scores, phrasings, isNear, confidence: confidenceOf(evidence), aloneConfidence: confidenceOf(aloneEvidence) }
  }

  /** True: a classifier over the phrasings has its say beside BM25. */
  get isJudged(): boolean {
    return this.judge !== undefined
  }

  /** Words of the question that stand in the phrasing, as they are written there; the most telling first. */
  matchedTerms(question: string, phrasing: string, limit = 5): string[] {
    return sharedWords(question, phrasing)
      .map(word => ({ word, rarity: this.rarity(word) }))
      .sort((a, b) => b.rarity - a.rarity || (a.word < b.word ? -1 : 1))
      .slice(0, limit)
      .map(({ word }) => word)
  }

  save(): Uint8Array {
    const arrays: Record<string, NumberArray> = {
      entries: this.entries,
      keys: this.keys,
      offsets: this.offsets,
      phrasings: this.phrasings,
      weights: this.weights,
      inverse: this.inverse,
    }
    const { entryCount, options, calibration, threshold, judge, words } = this
    if (judge) arrays.judge = judge.save()
    if (words) Object.assign(arrays, words.save())
    return pack(FORMAT, { meta: { entryCount, options, calibration, threshold }, arrays })
  }

  static load(artifact: Uint8Array): PhrasingIndex {
    const { meta, arrays } = unpack(FORMAT, artifact)
    const { entryCount, options, calibration, threshold } = meta as {
      entryCount: number
      options: RetrievalOptions
      calibration: Calibration
      threshold: number
    }
    const keys = arrays.keys as Uint32Array
    const table = new HashTable(keys.length)
    for (const key of keys) table.add(key)
    return new PhrasingIndex(
      entryCount,
      arrays.entries as Int32Array,
      options,
      keys,
      table,
      arrays.offsets as Int32Array,
      arrays.phrasings as Int32Array,
      arrays.weights as Float32Array,
      arrays.inverse as Float32Array,
      calibration,
      threshold,
      arrays.judge ? loadLinearText(JUDGE_FORMAT, arrays.judge as Uint8Array) : undefined,
      arrays.words ? PhrasingWords.load(arrays) : undefined,
    )
  }

  private most = 0

  private ranked(question: string, count: number, skip?: (phrasing: number, entry: number) => boolean) {
    const { ngrams, scores, touched, entryScores, entryBest, entryPhrasings, offsets, phrasings, weights, seenAt } = this
    ngrams.read(prepared(question, this.options))
    this.functions?.read(ngrams)
    const stamp = ++this.reads
    this.most = 0
    let asked = 0
    if (this.asked.length < ngrams.length) this.asked = new Int32Array(2 * ngrams.length)
    for (let at = 0; at < ngrams.length; at++) {
      const term = this.table.find(ngrams.hashes[at])
      if (term < 0) {
        // A word that nobody ever used in a phrasing speaks against all of them.
        const factor = this.functions?.has(ngrams, at) ? this.options.functionWords : 1
        this.most += factor * (at < ngrams.from[1] ? 1 : this.options.characters) * 0.5 * Math.log(1 + this.entries.length)
        continue
      }
      if (seenAt[term] === stamp) continue
      seenAt[term] = stamp
      this.most += this.inverse[term]
      this.asked[asked++] = term
    }
    // Rare terms first (their numbers are in that order): they find the phrasings; the frequent ones only put them in order.
    const terms = this.asked.subarray(0, asked).sort()
    let touchedCount = 0
    let budget = POSTINGS
    let firstUnread = Number.POSITIVE_INFINITY
    for (let at = 0; at < asked; at++) {
      const from = offsets[terms[at]]
      const to = offsets[terms[at] + 1]
      if (to - from > budget && at > 0) {
        firstUnread = terms[at]
        break
      }
      budget -= to - from
      for (let place = from; place < to; place++) {
        const phrasing = phrasings[place]
        if (scores[phrasing] === 0) touched[touchedCount++] = phrasing
        scores[phrasing] += weights[place]
      }
    }
    const isRead = firstUnread === Number.POSITIVE_INFINITY
    const pool = isRead ? touched.subarray(0, touchedCount) : topAmong(scores, Math.max(this.poolSize, 2 * count), touched, touchedCount)
    if (!isRead) {
      const { forwardOffsets, forwardTerms, forwardWeights, unread } = this
      let heaviest = 0
      for (let at = 0; at < asked; at++) {
        const term = terms[at]
        if (term < firstUnread) continue
        heaviest += this.heaviest[term]
        unread[term >> 5] |= 1 << (term & 31)
      }
      // Best first: where not even all unread terms could lift a phrasing to those that are asked for, it and the rest are left as they are.
      const least = new Float64Array(Math.max(SCORED, 2 * count))
      for (const phrasing of pool) {
        let sum = scores[phrasing]
        if (sum + heaviest < least[0]) break
        // A phrasing's terms are in order too: what is unread stands at the end.
        const from = 2 * forwardOffsets[phrasing]
        for (let place = 2 * forwardOffsets[phrasing + 1] - 2; place >= from; place -= 2) {
          const term = forwardTerms[place]
          if (term < firstUnread) break
          if (unread[term >> 5] & (1 << (term & 31))) sum += forwardWeights[place + 1]
        }
        scores[phrasing] = sum
        keepLargest(least, sum)
      }
      for (let at = 0; at < asked; at++) unread[terms[at] >> 5] = 0
    }
    const candidates = new Int32Array(pool.length)
    let candidateCount = 0
    const { support } = this.options
    // Best phrasings first where several speak for an entry: each next one counts `support` of the one before.
    for (const phrasing of pool) {
      const entry = this.entries[phrasing]
      if (skip?.(phrasing, entry)) continue
      const score = scores[phrasing]
      if (entryScores[entry] === Number.NEGATIVE_INFINITY) {
        candidates[candidateCount++] = entry
        entryScores[entry] = 0
        entryBest[entry] = 0
      }
      if (score > entryBest[entry] || (score === entryBest[entry] && phrasing < entryPhrasings[entry])) {
        entryScores[entry] += support * entryBest[entry]
        entryBest[entry] = score
        entryPhrasings[entry] = phrasing
      } else entryScores[entry] += support * score
    }
    // The support of many phrasings has a bound, as if they fell off geometrically.
    for (let at = 0; at < candidateCount; at++) {
      const entry = candidates[at]
      const more = entryScores[entry]
      entryScores[entry] = entryBest[entry] * (1 + support * (1 - Math.exp(-more / Math.max(1e-9, support * entryBest[entry]))))
    }
    const top = topAmong(entryScores, count, candidates, candidateCount)
    const result = {
      entries: top,
      scores: Float64Array.from(top, entry => entryScores[entry]),
      phrasings: Int32Array.from(top, entry => entryPhrasings[entry]),
    }
    for (let at = 0; at < touchedCount; at++) scores[touched[at]] = 0
    for (let at = 0; at < candidateCount; at++) entryScores[candidates[at]] = Number.NEGATIVE_INFINITY
    return result
  }

  /** BM25's entries, put in order by the classifier too where there is one, and what speaks for the first. */
  private weighed(
    question: string,
    count: number,
    judge: LinearTextModel | undefined,
    skip?: (phrasing: number, entry: number) => boolean,
  ) {
    const found = this.ranked(question, judge ? Math.max(REORDERED, count) : count, skip)
    if (found.entries.length === 0) return { ...found, evidence: [], aloneEvidence: [] }
    if (!judge) {
      const evidenceOf = (scores: Float64Array) => [this.evidence(scores, found.phrasings[0]).reduce((sum, each) => sum + each, 0)]
      return { ...found, evidence: evidenceOf(found.scores), aloneEvidence: evidenceOf(withoutSecond(found.scores)) }
    }
    const judged = judge.scores(question)
    const own = Float64Array.from(found.entries, entry => judged[entry])
    const together = found.scores.map((score, at) => score * Math.exp(JUDGE_WEIGHT * own[at]))
    const order = topIndexes(together, count)
    const first = order[0]
    let rival = Number.NEGATIVE_INFINITY
    for (let entry = 0; entry < judged.length; entry++) if (entry !== found.entries[first] && judged[entry] > rival) rival = judged[entry]
    // The share covered is of BM25's own score; the lead is of both.
    const scores = Float64Array.from(order, at => together[at])
    const [cover, whole] = this.evidence(Float64Array.of(found.scores[first]), found.phrasings[first])
    const evidenceOf = ([best, next]: Float64Array) => {
      const lead = next === undefined ? 1 : Math.sqrt(Math.max(0, 1 - next / best))
      return [cover, whole, lead, own[first], Math.max(-2, Math.min(2, own[first] - rival)), rival]
    }
    return {
      entries: Int32Array.from(order, at => found.entries[at]),
      scores,
      phrasings: Int32Array.from(order, at => found.phrasings[at]),
      evidence: evidenceOf(scores),
      aloneEvidence: evidenceOf(withoutSecond(scores)),
    }
  }

  private confidenceOf(evidence: readonly number[]): number {
    const { weights, intercept } = this.calibration
    return sigmoid(weights.reduce((sum, weight, at) => sum + weight * (evidence[at] ?? 0), intercept))
  }

  /** How much of the question the phrasing covers, how much of the phrasing is asked, and how far it stands above the second: in about [0, 1], [0, 1.2] and [0, 0.25]. */
  private evidence(scores: Float64Array, phrasing: number): number[] {
    const cover = this.most > 0 ? scores[0] / this.most : 0
    const lead = scores.length > 1 ? 1 - scores[1] / scores[0] : 1
    let whole = 0
    for (let at = this.forwardOffsets[phrasing]; at < this.forwardOffsets[phrasing + 1]; at++) whole += this.forwardWeights[2 * at + 1]
    return [cover, Math.min(1.2, scores[0] / Math.max(1e-9, whole)), 0.25 * Math.sqrt(Math.max(0, lead))]
  }

  private rarity(word: string): number {
    this.ngrams.read(word)
    const term = this.ngrams.length > 0 ? this.table.find(this.ngrams.hashes[0]) : -1
    return term < 0 ? 0 : this.inverse[term]
  }

  /**
   * Each phrasing is asked without itself (is its entry found by the others?) and without its whole entry (then nothing is right: the out-of-scope case); questions that were really asked
   * count as they are. The threshold is the lowest that keeps the error by a confidence bound, in which the phrasings of an entry count as what they are, not independent. Where none
   * does, what comes as near as a slip of the pen may be answered, and with a judge only what says hardly anything else than an approved phrasing.
   */
  private calibrate(data: Phrasings, maximumError: number): void {
    const asked = this.trialsOf(data, this.options.judge && isJudgeable(data))
    if (asked.length < FEWEST_CALIBRATED || !asked.some(({ isRight }) => isRight === 1)) return
    this.fitTo(asked)
    const answered = asked.map(
      ({ evidence, isRight, group }): Answered => ({ confidence: this.confidenceOf(evidence), isRight: isRight === 1, group }),
    )
    const threshold = chooseThreshold(
      withOutOfScopeShare(answered, at => asked[at].isOutside),
      maximumError,
      this.judge && JUDGED_DOUBT,
    )
    if (Number.isFinite(threshold)) {
      this.threshold = threshold
      return
    }
    this.threshold = this.slipConfidence(data)
    if (this.judge) this.words = PhrasingWords.of(data.texts)
  }

  /** The confidence that nine of ten mistyped phrasings reach. */
  private slipConfidence({ texts }: Phrasings): number {
    const step = Math.max(1, Math.ceil(texts.length / MOST_SLIPS))
    const confidences = texts.filter((_, at) => at % step === 0).map(text => this.search(misspelt(text), 2).confidence)
    return confidences.sort((a, b) => a - b)[Math.floor(SLIPS_REFUSED * confidences.length)]
  }

  /** Learns the classifier, too, if one is wanted. */
  private trialsOf(data: Phrasings, isJudged: boolean): Trial[] {
    const asked: Trial[] = []
    const ask = (
      text: string,
      right: number,
      group: number,
      judge?: LinearTextModel,
      skip?: (phrasing: number, entry: number) => boolean,
    ) => {
      const { entries, evidence } = this.weighed(text, 2, judge, skip)
      asked.push({ evidence, isRight: Number(entries.length > 0 && entries[0] === right), isOutside: right < 0, group })
    }
    const counts = new Int32Array(this.entryCount)
    for (const entry of data.entries) counts[entry]++
    const folds = data.texts.map(text => fnv1a(`phrasing|${normalise(text)}`) % TEXT_FOLDS)
    const ofTexts = isJudged ? Array.from({ length: TEXT_FOLDS }, (_, fold) => judgeOf(data, at => folds[at] !== fold)) : []
    const ofEntries = isJudged
      ? Array.from({ length: ENTRY_FOLDS }, (_, fold) => judgeOf(data, at => data.entries[at] % ENTRY_FOLDS !== fold))
      : []
    const step = Math.max(1, Math.ceil(data.texts.length / MOST_CALIBRATED))
    for (let at = 0; at < data.texts.length; at += step) {
      const own = data.entries[at]
      const text = data.texts[at]
      if (counts[own] > 1) ask(text, own, own, ofTexts[folds[at]], phrasing => phrasing === at)
      const fold = own % ENTRY_FOLDS
      ask(text, -1, own, ofEntries[fold], (_, entry) => (isJudged ? entry % ENTRY_FOLDS === fold : entry === own))
    }
    this.judge = isJudged ? judgeOf(data, () => true) : undefined
    data.asked?.texts.forEach((text, at) => {
      ask(text, data.asked?.entries[at] ?? -1, this.entryCount + at, this.judge)
    })
    return asked
  }

  /** Learns from the trials how likely the first entry is right. */
  private fitTo(asked: readonly Trial[]): void {
    const rights = Int32Array.from(asked, ({ isRight }) => isRight)
    if (this.judge) {
      const values = Float64Array.from(asked.flatMap(({ evidence }) => Array.from({ length: EVIDENCE }, (_, at) => evidence[at] ?? 0)))
      const fitted = fitLinear(denseRows(values, EVIDENCE), rights, 2, {
        loss: 'logistic',
        cost: 1,
        solver: 'newton',
        regulariseBias: false,
      })
      this.calibration = { weights: [...fitted.weights], intercept: fitted.intercepts[0] }
      return
    }
    const fitted = fitPlatt(
      asked.map(({ evidence }) => evidence[0] ?? 0),
      rights,
    )
    if (fitted.kind === 'platt' && fitted.slope > 0) this.calibration = { weights: [fitted.slope], intercept: fitted.intercept }
  }
}

/** Words of the question that stand in the phrasing, as they are written there; stop words only where nothing else is shared. */
export function sharedWords(question: string, phrasing: string): string[] {
  const asked = new Set(wordsOf(normalise(question)).filter(isWord).map(stemOf))
  const shared = [...new Set(wordsOf(normalise(phrasing)))].filter(word => isWord(word) && asked.has(stemOf(word)))
  const telling = shared.filter(word => !isStopword(word))
  return telling.length > 0 ? telling : shared
}

/** Numbers that speak for the first entry of a judged index. */
const EVIDENCE = 6

interface Trial {
  evidence: readonly number[]
  isRight: number
  isOutside: boolean
  /** Trials of one entry are alike. */
  group: number
}

const JUDGE_FEATURES = {
  words: 2,
  hanWords: 1,
  stems: true,
  hanCharacters: 3,
  characters: 4,
  acrossWords: false,
  minimumTexts: 1,
  mostFeatures: 30_000,
}

/** Whether a classifier is trained: two hundred phrasings, at least four an entry on average, and no more of phrasings times entries than some seconds' work. */
export function isJudgeable({ texts, entries }: Phrasings): boolean {
  const used = new Set(entries).size
  return used > 1 && texts.length >= FEWEST_JUDGED && texts.length >= FEWEST_PHRASINGS * used && texts.length * used <= MOST_JUDGED
}

/** A classifier that learns from some of the phrasings; its labels are the numbers of all entries. */
function judgeOf({ texts, entries, entryCount }: Phrasings, isUsed: (at: number) => boolean): LinearTextModel {
  const rows = texts.flatMap((_, at) => (isUsed(at) ? [at] : []))
  return fitLinearText(
    JUDGE_FORMAT,
    {
      texts: rows.map(at => texts[at]),
      labels: Int32Array.from(rows, at => entries[at]),
      labelNames: Array.from({ length: entryCount }, (_, entry) => String(entry)),
    },
    { features: JUDGE_FEATURES, heads: [{ weighting: 'tfidf', loss: 'squared-hinge', cost: 1, channels: [1, 1] }], calibrate: false },
  )
}

/** Ascending values of which the smallest gives way to a larger one. */
function keepLargest(values: Float64Array, value: number) {
  if (value <= values[0]) return
  let at = 0
  while (at + 1 < values.length && values[at + 1] < value) {
    values[at] = values[at + 1]
    at++
  }
  values[at] = value
}

function prepared(text: string, { concepts }: RetrievalOptions): string {
  return concepts ? withConcepts(normalise(text)) : normalise(text)
}

/** Two neighbouring letters in the middle change places. */
function misspelt(text: string): string {
  const at = text.length >> 1
  return text.length < 4 ? text : text.slice(0, at - 1) + text[at] + text[at - 1] + text.slice(at + 1)
}

function withoutSecond(scores: Float64Array): Float64Array {
  return scores.filter((_, at) => at !== 1)
}

/** Numbers the terms by their frequency, the rarest first. */
function renumber(keys: number[], channels: number[], isFunction: boolean[], terms: number[]) {
  const frequencies = new Int32Array(keys.length)
  for (const term of terms) frequencies[term]++
  const order = Array.from(keys, (_, term) => term).sort((a, b) => frequencies[a] - frequencies[b] || a - b)
  const numbers = new Int32Array(keys.length)
  order.forEach((term, at) => {
    numbers[term] = at
  })
  const [oldKeys, oldChannels, oldFunction] = [keys.slice(), channels.slice(), isFunction.slice()]
  order.forEach((term, at) => {
    keys[at] = oldKeys[term]
    channels[at] = oldChannels[term]
    isFunction[at] = oldFunction[term]
  })
  for (let at = 0; at < terms.length; at++) terms[at] = numbers[terms[at]]
}
