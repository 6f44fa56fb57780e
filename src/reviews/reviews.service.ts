import DataLoader from 'dataloader'
import { findingsOf, type TextFindings, type TextReading } from '../algorithms/text/analysis.js'
import { best } from '../algorithms/text/classifier.js'
import type { scoreTexts } from '../algorithms/text/index.js'
import { OTHER } from '../algorithms/text/intent-examples.js'
import { detectLanguage } from '../algorithms/text/language.js'
import type { CatalogueService } from '../catalogue/catalogue.service.js'
import type { Viewer } from '../graphql/auth.js'
import { type Connection, pageOf } from '../graphql/connection.js'
import type { Context } from '../graphql/context.js'
import { timeOf } from '../graphql/cursor.js'
import { decodeId, decodeIntId, encodeId } from '../graphql/node-id.js'
import { isUserFault } from '../graphql/payload.js'
import type { Score } from '../graphql/score.js'
import { type DomainError, InvalidInput, NotFound } from '../platform/errors.js'
import type { Pool } from '../platform/pool.js'
import type { Signals } from '../platform/signals.js'
import { cleanOptionalText, cleanText, escapeLike } from '../platform/text-input.js'
import { v7 } from '../platform/uuid.js'
import type { UsersService } from '../users/users.service.js'
import type { AspectHintsSource } from './aspect-hints.js'
import { differenceScore, meanScore, shareInterval, shareScore } from './estimates.js'
import {
  type AspectRow,
  correctedBy,
  type PendingText,
  type Reading,
  type ReviewFilter,
  type ReviewRow,
  type ReviewsRepository,
  type StoredAspect,
  type SummaryRow,
} from './reviews.repository.js'
import {
  type ReviewSubmitInput,
  ReviewType,
  type ReviewWhere,
  type Sentiment,
  SentimentLabel,
  type SentimentSummary,
  type TextAccuracy,
  type TextAnalysis,
  type TextCorrectInput,
  type TextCorrectPreview,
  TextTask,
} from './reviews.schema.js'
import { SENTIMENTS } from './text.task.js'
import type { Judge, TextJudges } from './text-judges.js'

export const LONGEST_TEXT = 20_000
/** Below this probability of the likeliest label nobody should act on it. */
export const UNDECIDED_BELOW = 0.5
/** An intent below this probability is none. */
const INTENT_FROM = 0.35
const DAY_MS = 86_400_000
const BATCH = 2_000
/** Texts of so many characters are read in some milliseconds. */
const READ_HERE = 2_000
const READ_AGAIN = 100_000
/** Shorter texts (Chinese characters count double) may be alike by chance. */
const SPAM_LENGTH = 20
/** So many alike ones of a user or a product count; and so many a day of whomever. */
const ALIKE_THAT_COUNT = 3
const ALIKE_A_DAY = 10
const MOST_ASPECTS = 20
const CORRECTIONS_LOOKED_AT = 500
const LONGEST_LABEL = 60

type SummaryKind = 'product' | 'category' | 'user' | 'brand'

export interface ReviewsParts {
  repository: ReviewsRepository
  judges: TextJudges
  hints: AspectHintsSource
  users: UsersService
  catalogue: CatalogueService
  pool: Pool
  signals: Pick<Signals, 'announce'>
  /** When the model was trained, so that what it learned from is not asked of it. */
  trainedAt(modelId: string): Promise<Date | null>
  now?: () => Date
}

/** Texts about the shop: taken in, read in batches, corrected by people, summed up. */
export class ReviewsService {
  constructor(private readonly parts: ReviewsParts) {}

  async submit(input: Omit<ReviewSubmitInput, 'dryRun'>): Promise<{ review: ReviewType }> {
    const clean = this.checked(input)
    const [productId, userId] = [await this.productKey(input), await this.userKey(input)]
    const { row, isNew } = await this.parts.repository.add({ id: v7(), productId, userId, ...clean })
    if (isNew) await this.parts.signals.announce('review.posted', { reviewId: row.id })
    return { review: ReviewType.of(row) }
  }

  /** Many at once, by a few statements however many there are: what is at fault with each, if anything; a faulty one stops no other. */
  async submitAll(inputs: readonly Omit<ReviewSubmitInput, 'dryRun' | 'productId' | 'userId'>[]): Promise<(DomainError | undefined)[]> {
    const faults: (DomainError | undefined)[] = inputs.map(() => undefined)
    const clean = inputs.flatMap((input, at) => {
      try {
        const { productExternalId, userExternalId } = input
        const names = { field: ['productExternalId'], max: 200, trim: false }
        return {
          ...this.checked(input),
          product: cleanOptionalText(productExternalId, names) ?? null,
          user: cleanOptionalText(userExternalId, { ...names, field: ['userExternalId'] }) ?? null,
        }
      } catch (error) {
        if (!isUserFault(error) || error.retryable) throw error
        faults[at] = error
        return []
      }
    })
    const namesOf = (name: 'product' | 'user') => [...new Set(clean.flatMap(each => each[name] ?? []))]
    const [products, users] = [
      await this.parts.catalogue.ensureStubs(namesOf('product')),
      await this.parts.users.ensureStubs(namesOf('user')),
    ]
    const added = await this.parts.repository.addAll(
      clean.map(({ product, user, ...review }) => ({
        id: v7(),
        productId: product === null ? null : (products.get(product) ?? null),
        userId: user === null ? null : (users.get(user) ?? null),
        ...review,
      })),
    )
    if (added > 0) await this.parts.signals.announce('review.posted', {})
    return faults
  }

  /** All checks of `submit`, and what the text would be read as. */
  async preview(input: ReviewSubmitInput): Promise<{ preview: TextAnalysis }> {
    const { text } = this.checked(input)
    return { preview: await this.analyse(text) }
  }

  /** Sentiment, intent, aspects and keywords of any text; stores nothing. */
  async analyse(asked: string): Promise<TextAnalysis> {
    if (typeof asked !== 'string' || asked.length > LONGEST_TEXT)
      throw new InvalidInput(`text must have at most ${LONGEST_TEXT} characters, not ${asked?.length}`, {}, ['text'])
    const text = asked.toWellFormed()
    const [sentiment, intent] = [this.parts.judges.of('SENTIMENT'), this.parts.judges.of('INTENT')]
    const { reading, language, terms, keywords } = await this.findings(text, { sentiment, intent })
    return {
      language: language.language,
      languageConfidence: language.confidence,
      sentiment: sentimentOf(reading, sentiment),
      terms,
      intent: isKnown(reading, intent) ? { name: intent.model.labels[reading.intent.label], confidence: reading.intent.confidence } : null,
      aspects: aspectsOf(reading) as TextAnalysis['aspects'],
      keywords,
      servedBy: sentiment.servedBy,
    }
  }

  async find(id: string): Promise<ReviewType | null> {
    const row = await this.parts.repository.byId(id)
    return row ? ReviewType.of(row) : null
  }

  /** Reviews by internal id, batched with the request's other loads; what is gone is left out. */
  async loadAll(context: Context, ids: readonly string[]): Promise<ReviewType[]> {
    const loader = context.loader(
      'review',
      () =>
        new DataLoader(async (keys: readonly string[]) => {
          const rows = new Map((await this.parts.repository.byIds(keys)).map(row => [row.id, ReviewType.of(row)]))
          return keys.map(key => rows.get(key) ?? null)
        }),
    )
    return (await Promise.all(ids.map(id => loader.load(id)))).filter(review => review !== null)
  }

  async page({ first, after, where }: { first: number; after?: string; where?: ReviewWhere | null }): Promise<Connection<ReviewType>> {
    const filter = await this.filterOf(where ?? {})
    return pageOf<ReviewRow, ReviewType>({
      first,
      after,
      fetch: (cursor, limit) => this.parts.repository.page(filter, cursor && { createdAt: timeOf(cursor), id: cursor[1] }, limit),
      cursorOf: row => [row.createdAt.toISOString(), row.id],
      nodeOf: ReviewType.of,
      count: () => this.parts.repository.count(filter),
    })
  }

  /** Reads what nobody has read, in batches until nothing is left; returns how many. Safe to run twice. */
  async readPending(signal?: AbortSignal, progress?: (read: number) => Promise<void>): Promise<{ read: number; ignored: number }> {
    const done = { read: 0, ignored: 0 }
    await this.parts.hints.refresh()
    for (;;) {
      signal?.throwIfAborted()
      const readFrom = this.now()
      const batch = await this.parts.repository.pending(BATCH)
      if (batch.length === 0) return done
      const readings = await this.read(batch, signal)
      await this.parts.repository.keep(readings, readFrom, this.now())
      done.read += readings.length
      done.ignored += readings.filter(({ ignoredBecause }) => ignoredBecause !== null).length
      await progress?.(done.read)
    }
  }

  /** After a model went live, the newest texts are to be read by it; what is stored serves until then. */
  async readAgain(): Promise<number> {
    const { modelId } = this.parts.judges.of('SENTIMENT')
    return modelId === null ? 0 : this.parts.repository.readAgain(modelId, READ_AGAIN)
  }

  /** Keeps what a person says a text means. The review shows it at once; the next training learns from it. */
  async correct(viewer: Pick<Viewer, 'name'>, input: TextCorrectInput): Promise<{ review: ReviewType | null; predicted: string | null }> {
    const { review, ...correction } = await this.correction(input)
    await this.parts.repository.correct({
      ...correction,
      id: v7(),
      reviewId: review?.id ?? null,
      createdBy: viewer.name,
      createdAt: this.now(),
    })
    return { review: review ? await this.find(review.id) : null, predicted: correction.predicted }
  }

  /** What a correction would do, with all its checks and no effect. */
  async previewCorrection(input: TextCorrectInput): Promise<TextCorrectPreview> {
    const { review, task, label, predicted } = await this.correction(input)
    return { label, predicted, review: review ? ReviewType.of({ ...review, ...correctedBy(task, label) }) : null }
  }

  private async correction(input: TextCorrectInput) {
    const { reviewId, task } = input
    if (Boolean(reviewId) === (typeof input.text === 'string'))
      throw new InvalidInput('Give exactly one of reviewId and text', {}, ['reviewId'])
    const label = this.cleanLabel(task, input.label)
    const review = reviewId ? await this.parts.repository.byId(decodeId('Review', reviewId, 'reviewId')) : undefined
    if (reviewId && !review) throw new NotFound('No review has this id', {}, ['reviewId'])
    const text = review?.text ?? cleanText(input.text as string, { field: ['text'], max: LONGEST_TEXT })
    const analysis = review ? undefined : await this.analyse(text)
    const predicted =
      task === TextTask.SENTIMENT ? (review?.sentiment ?? analysis?.sentiment.label) : (review?.intent ?? analysis?.intent?.name)
    return { review, text, locale: review?.locale ?? analysis?.language ?? 'und', task, label, predicted: predicted ?? null }
  }

  /** How well the judge of now agrees with people, on what it had not learned from. */
  async accuracy(task: TextTask): Promise<TextAccuracy> {
    const judge = this.parts.judges.of(task)
    const corrections = await this.parts.repository.correctedTexts(task, CORRECTIONS_LOOKED_AT)
    const trainedAt = judge.modelId === null ? null : await this.parts.trainedAt(judge.modelId)
    const unseen = corrections.filter(({ createdAt }) => !trainedAt || createdAt > trainedAt)
    const said = await this.labelled(
      judge,
      unseen.map(({ text }) => text),
    )
    const hits = unseen.filter(({ label }, at) => said[at] === label).length
    const told = corrections.filter(({ predicted }) => predicted !== null)
    return {
      task,
      servedBy: judge.servedBy,
      corrections: await this.parts.repository.correctionCount(task),
      accuracy: shareScore(hits, unseen.length),
      agreed: shareScore(told.filter(({ predicted, label }) => predicted === label).length, told.length),
    }
  }

  /** What reviews of one thing say; all things that a request asks for share two statements. */
  summary(context: Context, by: Exclude<SummaryKind, 'user'>, key: string, days: number): Promise<SentimentSummary> {
    const span = cleanDays(days)
    return context
      .loader(
        `sentiment:${by}:${span}`,
        () =>
          new DataLoader(async (keys: readonly string[]) => {
            const found = await this.summaries(by, keys, span)
            return keys.map(each => found.get(each) as SentimentSummary)
          }),
      )
      .load(key)
  }

  async summaries(by: Exclude<SummaryKind, 'user'>, keys: readonly string[], days: number): Promise<Map<string, SentimentSummary>> {
    const { repository } = this.parts
    const [from, middle] = this.span(days)
    const rows = new Map((await repository.summaries(by, keys, from, middle)).map(row => [row.key, row]))
    const aspects = rows.size > 0 ? await repository.aspects(by, [...rows.keys()], from) : []
    const of = new Map<string, AspectRow[]>([...rows.keys()].map(key => [key, []]))
    for (const row of aspects) of.get(row.key)?.push(row)
    return new Map(keys.map(key => [key, summaryOf(rows.get(key), of.get(key) ?? [])]))
  }

  /** A user's own sentiment: the mean score of what he wrote. */
  userSentiment(context: Context, userKey: number, days: number): Promise<Score> {
    const span = cleanDays(days)
    return context
      .loader(
        `sentiment:user:${span}`,
        () =>
          new DataLoader(async (keys: readonly number[]) => {
            const [from, middle] = this.span(span)
            const rows = new Map((await this.parts.repository.summaries('user', keys.map(String), from, middle)).map(row => [row.key, row]))
            return keys.map(key => {
              const row = rows.get(String(key))
              return meanScore(row?.mean ?? null, row?.deviation ?? null, row?.reviews ?? 0)
            })
          }),
      )
      .load(userKey)
  }

  /**
   * How much reviews speak against products, in [0, 1]: the lower bound of the negative share. For rankings that want to hold back what people complain
   * of; products without enough reviews are not punished.
   */
  async penalties(productKeys: readonly number[], days = 90): Promise<Map<number, number>> {
    const [from, middle] = this.span(days)
    const rows = await this.parts.repository.summaries('product', productKeys.map(String), from, middle)
    return new Map(rows.map(({ key, negative, reviews }) => [Number(key), shareInterval(negative, reviews)?.low ?? 0]))
  }

  /** What a judge makes of many texts; a thread asks it. */
  private async labelled({ algorithm, artifact }: Judge, texts: readonly string[]): Promise<string[]> {
    if (texts.length === 0) return []
    const { result } = await this.parts.pool.run<ReturnType<typeof scoreTexts>>({
      family: 'text',
      function: 'scoreTexts',
      args: [{ algorithm, artifact: artifact(), texts }],
    })
    const { labels, probabilities } = result
    return texts.map((_, at) => labels[best(probabilities.subarray(at * labels.length, (at + 1) * labels.length)).label])
  }

  /** A short text is read here; a long one, or a judge that takes its time, would stall this process, so a thread reads that. */
  private async findings(text: string, { sentiment, intent }: Record<'sentiment' | 'intent', Judge>): Promise<TextFindings> {
    const hints = this.parts.hints.of(null)
    if (text.length <= READ_HERE && sentiment.isQuick && intent.isQuick)
      return findingsOf(text, { sentiment: sentiment.model, intent: intent.model }, hints)
    const request = { ...bytesOf({ sentiment, intent }), text, hints }
    return (await this.parts.pool.run<TextFindings>({ family: 'text', function: 'findIn', args: [request] })).result
  }

  /** One text a batch in this process would stall it; a thread reads them all. */
  private async read(batch: readonly PendingText[], signal?: AbortSignal): Promise<Reading[]> {
    const { judges, hints, pool, repository } = this.parts
    const [sentiment, intent] = [judges.of('SENTIMENT'), judges.of('INTENT')]
    const request = {
      ...bytesOf({ sentiment, intent }),
      texts: batch.map(({ text }) => text),
      hints: batch.map(({ category }) => hints.of(category)),
    }
    const { result } = await pool.run<{ readings: TextReading[] }>({ family: 'text', function: 'readTexts', args: [request] }, signal)
    const marks = result.readings.map(({ fingerprint }) => fingerprint.toString())
    await repository.keepFingerprints(batch.map(({ id }, at) => ({ id, fingerprint: marks[at] })))
    const repeated = await repository.repeated(
      batch.map(({ id }) => id),
      ALIKE_THAT_COUNT,
      ALIKE_A_DAY,
    )
    return batch.map((pending, at) => {
      const reading = result.readings[at]
      const mention = pending.productId === null ? hints.mention(pending.text) : { brand: null, productId: null }
      return readingOf(
        pending,
        reading,
        { sentiment, intent },
        { fingerprint: marks[at], isRepeated: repeated.has(pending.id), ...mention },
      )
    })
  }

  private checked({ text, rating, externalId, locale, source, createdAt }: Omit<ReviewSubmitInput, 'dryRun'>) {
    const clean = cleanText(text, { field: ['text'], max: LONGEST_TEXT })
    if (typeof rating === 'number' && (rating < 1 || rating > 5))
      throw new InvalidInput(`rating must be between 1 and 5, not ${rating}`, {}, ['rating'])
    const now = this.now()
    if (createdAt && createdAt.getTime() > now.getTime() + DAY_MS)
      throw new InvalidInput('createdAt must not lie in the future', {}, ['createdAt'])
    return {
      text: clean,
      rating: rating ?? null,
      externalId: cleanOptionalText(externalId, { field: ['externalId'], max: 200 }) ?? null,
      locale: cleanOptionalText(locale, { field: ['locale'], max: 35 }) ?? detectLanguage(clean).language.replace(/^(none|other)$/, 'und'),
      source: (source ?? 'REVIEW').toLowerCase(),
      createdAt: createdAt ?? now,
    }
  }

  private async productKey({ productId, productExternalId }: Pick<ReviewSubmitInput, 'productId' | 'productExternalId'>) {
    if (productId && productExternalId) throw new InvalidInput('Give at most one of productId and productExternalId', {}, ['productId'])
    if (productExternalId) return [...(await this.parts.catalogue.ensureStubs([productExternalId])).values()][0] ?? null
    if (!productId) return null
    const key = decodeIntId('Product', productId, 'productId')
    if (!(await this.parts.catalogue.byIds([key])).has(key)) throw new NotFound('No product has this id', {}, ['productId'])
    return key
  }

  private async userKey({ userId, userExternalId }: Pick<ReviewSubmitInput, 'userId' | 'userExternalId'>) {
    if (userId && userExternalId) throw new InvalidInput('Give at most one of userId and userExternalId', {}, ['userId'])
    if (userExternalId) return [...(await this.parts.users.ensureStubs([userExternalId])).values()][0] ?? null
    if (!userId) return null
    const key = decodeIntId('User', userId, 'userId')
    if (!(await this.parts.users.byIds([key])).has(key)) throw new NotFound('No user has this id', {}, ['userId'])
    return key
  }

  private cleanLabel(task: TextTask, label: string): string {
    const clean = cleanText(label, { field: ['label'], max: LONGEST_LABEL })
    if (task === TextTask.INTENT) return clean
    const upper = clean.toUpperCase()
    if (!(SENTIMENTS as readonly string[]).includes(upper))
      throw new InvalidInput(`label must be one of ${SENTIMENTS.join(', ')}, not ${JSON.stringify(clean)}`, {}, ['label'])
    return upper
  }

  private async filterOf(where: ReviewWhere): Promise<ReviewFilter> {
    const search = cleanOptionalText(where.search, { field: ['where', 'search'], min: 2, max: 100 })
    if (where.productId && where.productExternalId)
      throw new InvalidInput('Give at most one of productId and productExternalId', {}, ['where', 'productId'])
    const named = where.productExternalId ? await this.parts.catalogue.byExternalId(where.productExternalId) : undefined
    return {
      // A product that is not there has no reviews: 0 is no key.
      productId: where.productExternalId
        ? (named?.key ?? 0)
        : where.productId
          ? decodeIntId('Product', where.productId, 'productId')
          : null,
      userId: where.userId ? decodeIntId('User', where.userId, 'userId') : null,
      category: cleanOptionalText(where.category, { field: ['where', 'category'], max: 200 }),
      brand: cleanOptionalText(where.brand, { field: ['where', 'brand'], max: 200 }),
      sentiment: where.sentiment,
      intent: cleanOptionalText(where.intent, { field: ['where', 'intent'], max: LONGEST_LABEL }),
      source: where.source?.toLowerCase(),
      from: where.from,
      to: where.to,
      search: search && `%${escapeLike(search)}%`,
      ignored: where.ignored,
    }
  }

  private span(days: number): [from: Date, middle: Date] {
    const now = this.now().getTime()
    return [new Date(now - days * DAY_MS), new Date(now - (days * DAY_MS) / 2)]
  }

  private now(): Date {
    return this.parts.now?.() ?? new Date()
  }
}

function bytesOf({ sentiment, intent }: Record<'sentiment' | 'intent', Judge>) {
  const of = ({ algorithm, artifact }: Judge) => ({ algorithm, artifact: artifact() })
  return { sentiment: of(sentiment), intent: of(intent) }
}

function readingOf(
  pending: PendingText,
  reading: TextReading,
  judges: { sentiment: Judge; intent: Judge },
  marks: { fingerprint: string; isRepeated: boolean; brand: string | null; productId: number | null },
): Reading {
  const judged = sentimentOf(reading, judges.sentiment)
  const said = pending.saidSentiment
  const width = /[㐀-鿿]/.test(pending.text) ? 2 : 1
  const isSpam = !said && marks.isRepeated && reading.length * width >= SPAM_LENGTH
  return {
    id: pending.id,
    sentiment: said ?? judged.label,
    score: said ? (said === 'POSITIVE' ? 1 : said === 'NEGATIVE' ? -1 : 0) : judged.score,
    confidence: said ? 1 : judged.confidence,
    // Also where a person spoke: it is the mark of having been read with this model.
    sentimentModelId: judges.sentiment.modelId,
    intent: pending.saidIntent ?? (isKnown(reading, judges.intent) ? judges.intent.model.labels[reading.intent.label] : null),
    intentConfidence: pending.saidIntent ? 1 : reading.intent.confidence,
    aspects: aspectsOf(reading),
    ignoredBecause: isSpam ? 'SPAM' : reading.isReadable ? null : 'UNREADABLE',
    fingerprint: marks.fingerprint,
    brand: marks.brand,
    productId: marks.productId,
  }
}

/** Whether what the writer wants is likely enough to be named. */
function isKnown({ intent }: TextReading, { model }: Judge): boolean {
  return intent.confidence >= INTENT_FROM && model.labels[intent.label] !== OTHER
}

function sentimentOf({ sentiment: { label, confidence, probabilities } }: TextReading, { model, modelId }: Judge): Sentiment {
  const of = (name: string) => probabilities[model.labels.indexOf(name)] ?? 0
  const isSure = confidence >= UNDECIDED_BELOW
  return {
    label: isSure ? (model.labels[label] as SentimentLabel) : SentimentLabel.UNDECIDED,
    score: of('POSITIVE') - of('NEGATIVE'),
    confidence,
    modelId: modelId && encodeId('Model', modelId),
  }
}

function aspectsOf({ aspects }: TextReading): StoredAspect[] {
  return aspects.map(({ aspect, polarity, score, excerpt }) => ({
    aspect,
    label: polarity.toUpperCase(),
    score: Math.tanh(score / 2),
    excerpt,
  }))
}

function summaryOf(row: SummaryRow | undefined, aspects: readonly AspectRow[]): SentimentSummary {
  const { reviews = 0, positive = 0, negative = 0, undecided = 0, ignored = 0 } = row ?? {}
  const share = (part: number, whole: number) => (whole > 0 ? part / whole : 0)
  return {
    reviews,
    positive: share(positive, reviews),
    negative: share(negative, reviews),
    positiveInterval: shareInterval(positive, reviews),
    negativeInterval: shareInterval(negative, reviews),
    undecided,
    ignored,
    average: meanScore(row?.mean ?? null, row?.deviation ?? null, reviews),
    trend: differenceScore(
      { mean: row?.laterMean ?? null, deviation: row?.laterDeviation ?? null, count: row?.laterCount ?? 0 },
      { mean: row?.earlierMean ?? null, deviation: row?.earlierDeviation ?? null, count: row?.earlierCount ?? 0 },
    ),
    aspects: aspects.slice(0, MOST_ASPECTS).map(each => ({
      aspect: each.aspect,
      mentions: each.mentions,
      positive: share(each.positive, each.mentions),
      negative: share(each.negative, each.mentions),
    })),
  }
}

function cleanDays(days: number): number {
  if (!(days >= 1 && days <= 3_650)) throw new InvalidInput(`days must be between 1 and 3650, not ${days}`, {}, ['days'])
  return days
}
