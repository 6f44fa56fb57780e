import type { Database } from '../platform/database.js'

export interface ReviewRow {
  id: string
  externalId: string | null
  productId: number | null
  userId: number | null
  text: string
  rating: number | null
  locale: string
  source: string
  createdAt: Date
  sentiment: string | null
  score: number | null
  confidence: number | null
  sentimentModelId: string | null
  intent: string | null
  intentConfidence: number | null
  aspects: StoredAspect[]
  ignoredBecause: string | null
  analysedAt: Date | null
  brand: string | null
}

export interface StoredAspect {
  aspect: string
  label: string
  score: number
  excerpt: string
}

export interface NewReview {
  id: string
  externalId: string | null
  productId: number | null
  userId: number | null
  text: string
  rating: number | null
  locale: string
  source: string
  createdAt: Date
}

export interface LabelledText {
  text: string
  label: string
  weight: number
  at: Date
}

/** A text to be read. */
export interface PendingText {
  id: string
  text: string
  productId: number | null
  userId: number | null
  source: string
  category: string | null
  /** What people said of it. */
  saidSentiment: string | null
  saidIntent: string | null
}

/** What was read of a text. */
export interface Reading {
  id: string
  sentiment: string
  score: number
  confidence: number
  sentimentModelId: string | null
  intent: string | null
  intentConfidence: number
  aspects: StoredAspect[]
  ignoredBecause: string | null
  fingerprint: string
  brand: string | null
  productId: number | null
}

export interface ReviewFilter {
  productId?: number | null
  userId?: number | null
  category?: string | null
  brand?: string | null
  sentiment?: string | null
  intent?: string | null
  source?: string | null
  from?: Date | null
  to?: Date | null
  search?: string | null
  ignored?: boolean | null
  isRead?: boolean | null
}

export interface SummaryRow {
  key: string
  reviews: number
  positive: number
  negative: number
  neutral: number
  undecided: number
  ignored: number
  mean: number | null
  deviation: number | null
  laterMean: number | null
  laterCount: number
  laterDeviation: number | null
  earlierMean: number | null
  earlierCount: number
  earlierDeviation: number | null
}

export interface AspectRow {
  key: string
  aspect: string
  mentions: number
  positive: number
  negative: number
}

const MOST_LABELS = 200_000
const MOST_NAMES = 100_000
const MINED = 'mined-aspects'
const CORRECTION_WEIGHT = 5
/** Of the newest reviews of a thing, so many are asked for aspects. */
const ASPECT_REVIEWS = 5_000
const FILTER = `
  ($1::int IS NULL OR r."productId" = $1) AND ($2::int IS NULL OR r."userId" = $2)
  AND ($3::text IS NULL OR EXISTS (SELECT 1 FROM "Product" p WHERE p.id = r."productId" AND p.categories @> ARRAY[$3]))
  AND ($4::text IS NULL OR r.brand = $4 OR EXISTS (SELECT 1 FROM "Product" p WHERE p.id = r."productId" AND p.brand = $4))
  AND ($5::text IS NULL OR r.sentiment = $5) AND ($6::text IS NULL OR r.intent = $6) AND ($7::text IS NULL OR r.source = $7)
  AND ($8::timestamptz IS NULL OR r."createdAt" >= $8) AND ($9::timestamptz IS NULL OR r."createdAt" < $9)
  AND ($10::text IS NULL OR r.text ILIKE $10) AND ($11::bool IS NULL OR (r."ignoredBecause" IS NOT NULL) = $11)
  AND ($12::bool IS NULL OR (r.sentiment IS NOT NULL) = $12)`

export class ReviewsRepository {
  constructor(private readonly database: Database) {}

  /** Stores a text; one whose external id is known stays as it is, and is returned. */
  async add(review: NewReview): Promise<{ row: ReviewRow; isNew: boolean }> {
    const { id, externalId, productId, userId, text, rating, locale, source, createdAt } = review
    const [row] = await this.database.sql<ReviewRow>(
      `INSERT INTO "Review" (id, "externalId", "productId", "userId", text, rating, locale, source, "createdAt")
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT ("externalId") DO NOTHING RETURNING *`,
      [id, externalId, productId, userId, text, rating, locale, source, createdAt],
    )
    if (row) return { row, isNew: true }
    const [known] = await this.database.sql<ReviewRow>('SELECT * FROM "Review" WHERE "externalId" = $1', [externalId])
    return { row: known, isNew: false }
  }

  /** Stores texts; those whose external ids are known stay as they are, and of equal ones the first counts. Returns how many are new. */
  async addAll(reviews: readonly NewReview[]): Promise<number> {
    if (reviews.length === 0) return 0
    const rows = await this.database.sql(
      `INSERT INTO "Review" (id, "externalId", "productId", "userId", text, rating, locale, source, "createdAt")
       SELECT id, "externalId", "productId", "userId", text, rating, locale, source, "createdAt" FROM ROWS FROM (json_to_recordset($1)
         AS (id text, "externalId" text, "productId" int, "userId" int, text text, rating int, locale text, source text, "createdAt" timestamptz)) WITH ORDINALITY
         AS n(id, "externalId", "productId", "userId", text, rating, locale, source, "createdAt", place)
       ORDER BY "externalId", place ON CONFLICT ("externalId") DO NOTHING RETURNING 1`,
      [JSON.stringify(reviews)],
    )
    return rows.length
  }

  async byId(id: string): Promise<ReviewRow | undefined> {
    return (await this.database.sql<ReviewRow>('SELECT * FROM "Review" WHERE id = $1', [id]))[0]
  }

  async byIds(ids: readonly string[]): Promise<ReviewRow[]> {
    return ids.length === 0 ? [] : this.database.sql<ReviewRow>('SELECT * FROM "Review" WHERE id = ANY($1)', [ids])
  }

  page(filter: ReviewFilter, after: { createdAt: string; id: string } | undefined, limit: number): Promise<ReviewRow[]> {
    return this.database.sql<ReviewRow>(
      `SELECT r.* FROM "Review" r WHERE ${FILTER} AND ($13::timestamptz IS NULL OR (r."createdAt", r.id) < ($13, $14))
       ORDER BY r."createdAt" DESC, r.id DESC LIMIT $15`,
      [...filterValues(filter), after?.createdAt ?? null, after?.id ?? null, limit],
    )
  }

  async count(filter: ReviewFilter): Promise<number> {
    const [{ count }] = await this.database.sql<{ count: bigint }>(`SELECT count(*) FROM "Review" r WHERE ${FILTER}`, filterValues(filter))
    return Number(count)
  }

  /** Texts that nobody has read yet, with what people said of them. */
  pending(limit: number, firstId?: string): Promise<PendingText[]> {
    return this.database.sql<PendingText>(
      `SELECT r.id, r.text, r."productId", r."userId", r.source, p.categories[1] AS category,
         (SELECT label FROM "TextCorrection" c WHERE c."reviewId" = r.id AND c.task = 'SENTIMENT' ORDER BY c."createdAt" DESC, c.id DESC LIMIT 1) AS "saidSentiment",
         (SELECT label FROM "TextCorrection" c WHERE c."reviewId" = r.id AND c.task = 'INTENT' ORDER BY c."createdAt" DESC, c.id DESC LIMIT 1) AS "saidIntent"
       FROM "Review" r LEFT JOIN "Product" p ON p.id = r."productId"
       WHERE r."analysedAt" IS NULL AND ($2::text IS NULL OR r.id = $2) LIMIT $1`,
      [limit, firstId ?? null],
    )
  }

  async pendingCount(): Promise<number> {
    const [{ count }] = await this.database.sql<{ count: bigint }>('SELECT count(*) FROM "Review" WHERE "analysedAt" IS NULL')
    return Number(count)
  }

  /**
   * Of these texts the ids of those that repeat others: as many as `near` alike ones came in the 30 days before from the same user or about the same
   * product, or as many as `burst` in the day before from whomever. Needs the fingerprints to be kept.
   */
  async repeated(ids: readonly string[], near: number, burst: number): Promise<Set<string>> {
    const alike = (days: number, condition: string, limit: number) =>
      `(SELECT count(*) FROM (SELECT 1 FROM "Review" o WHERE o.fingerprint = r.fingerprint AND o."createdAt" > r."createdAt" - interval '${days} days'
         AND (o."createdAt", o.id) < (r."createdAt", r.id) ${condition} LIMIT ${limit}) alike) >= ${limit}`
    const rows = await this.database.sql<{ id: string }>(
      `SELECT r.id FROM "Review" r WHERE r.id = ANY($1)
         AND CASE WHEN ${alike(1, '', burst)} THEN true ELSE ${alike(30, 'AND (o."userId" = r."userId" OR o."productId" = r."productId")', near)} END`,
      [ids],
    )
    return new Set(rows.map(({ id }) => id))
  }

  /** Keeps what was read since `readFrom`. A text that a person corrected meanwhile keeps the person's word and is read once more. */
  async keep(readings: readonly Reading[], readFrom: Date, now: Date): Promise<void> {
    await this.database.sql(
      `UPDATE "Review" r SET sentiment = s.sentiment, score = s.score, confidence = s.confidence, "sentimentModelId" = s."sentimentModelId", intent = s.intent,
         "intentConfidence" = s."intentConfidence", aspects = s.aspects, "ignoredBecause" = s."ignoredBecause", fingerprint = s.fingerprint,
         brand = s.brand, "productId" = COALESCE(r."productId", s."productId"), "analysedAt" = $2
       FROM json_to_recordset($1) AS s(id text, sentiment text, score float8, confidence float8, "sentimentModelId" text, intent text, "intentConfidence" float8,
         aspects jsonb, "ignoredBecause" text, fingerprint bigint, brand text, "productId" int)
       WHERE r.id = s.id AND NOT EXISTS (SELECT 1 FROM "TextCorrection" c WHERE c."reviewId" = r.id AND c."createdAt" > $3)`,
      [JSON.stringify(readings), now, readFrom],
    )
  }

  /** Fingerprints first, so that alike texts of one batch see each other. */
  async keepFingerprints(rows: readonly { id: string; fingerprint: string }[]): Promise<void> {
    await this.database.sql(
      `UPDATE "Review" r SET fingerprint = s.fingerprint FROM json_to_recordset($1) AS s(id text, fingerprint bigint) WHERE r.id = s.id AND r.fingerprint IS DISTINCT FROM s.fingerprint`,
      [JSON.stringify(rows)],
    )
  }

  /** The newest texts that another model read are to be read once more; what is stored of them stays until then. */
  async readAgain(modelId: string, limit: number): Promise<number> {
    const rows = await this.database.sql(
      `UPDATE "Review" SET "analysedAt" = NULL WHERE id IN (SELECT id FROM "Review"
         WHERE "analysedAt" IS NOT NULL AND "sentimentModelId" IS DISTINCT FROM $1 ORDER BY "createdAt" DESC, id DESC LIMIT $2) RETURNING 1`,
      [modelId, limit],
    )
    return rows.length
  }

  /** Ratings as labels (1 and 2 are negative, 3 neutral, 4 and 5 positive), and people's words, which replace them. Texts that are ignored teach nothing. */
  async sentimentLabels(now: Date): Promise<LabelledText[]> {
    const rated = await this.database.sql<LabelledText>(
      `SELECT text, CASE WHEN rating <= 2 THEN 'NEGATIVE' WHEN rating = 3 THEN 'NEUTRAL' ELSE 'POSITIVE' END AS label, 1 AS weight, "createdAt" AS at
       FROM "Review" r WHERE rating IS NOT NULL AND "ignoredBecause" IS NULL AND "createdAt" <= $1
         AND NOT EXISTS (SELECT 1 FROM "TextCorrection" c WHERE c."reviewId" = r.id AND c.task = 'SENTIMENT')
       ORDER BY "createdAt" DESC, id DESC LIMIT ${MOST_LABELS}`,
      [now],
    )
    return [...rated.reverse(), ...(await this.corrections('SENTIMENT', now))]
  }

  /** The last word of people on each text. */
  corrections(task: string, now: Date): Promise<LabelledText[]> {
    return this.database.sql<LabelledText>(
      `SELECT * FROM (SELECT DISTINCT ON (COALESCE("reviewId", md5(text))) text, label, ${CORRECTION_WEIGHT} AS weight, "createdAt" AS at FROM "TextCorrection"
         WHERE task = $1 AND "createdAt" <= $2 ORDER BY COALESCE("reviewId", md5(text)), "createdAt" DESC, id DESC) words ORDER BY at LIMIT ${MOST_LABELS}`,
      [task, now],
    )
  }

  /** The newest texts of which nobody has said this, that count, at most 1,000 units of each; the same text once. */
  async uncorrectedTexts(task: string, limit: number): Promise<string[]> {
    const rows = await this.database.sql<{ text: string }>(
      `SELECT DISTINCT text FROM (SELECT left(text, 1000) AS text FROM "Review" r WHERE "ignoredBecause" IS NULL
         AND NOT EXISTS (SELECT 1 FROM "TextCorrection" c WHERE c."reviewId" = r.id AND c.task = $1) ORDER BY "createdAt" DESC, id DESC LIMIT $2) newest ORDER BY text`,
      [task, limit],
    )
    return rows.map(({ text }) => text)
  }

  async correct(correction: {
    id: string
    reviewId: string | null
    text: string
    locale: string
    task: string
    label: string
    predicted: string | null
    createdBy: string
    createdAt: Date
  }): Promise<void> {
    await this.database.transaction(async tx => {
      await tx.textCorrection.create({ data: correction })
      if (!correction.reviewId) return
      const where = { id: correction.reviewId }
      await tx.review.update({ where, data: correctedBy(correction.task, correction.label) })
    })
  }

  /** Corrections of a task, newest first, with what had been predicted. */
  correctedTexts(task: string, limit: number): Promise<{ text: string; label: string; predicted: string | null; createdAt: Date }[]> {
    return this.database.sql(
      `SELECT text, label, predicted, "createdAt" FROM "TextCorrection" WHERE task = $1 ORDER BY "createdAt" DESC, id DESC LIMIT $2`,
      [task, limit],
    )
  }

  async correctionCount(task: string): Promise<number> {
    return this.database.prisma.textCorrection.count({ where: { task } })
  }

  /** Names by which texts speak of products and brands. */
  names(): Promise<{ id: number; title: string; brand: string | null }[]> {
    return this.database.sql(`SELECT id, title, brand FROM "Product" WHERE NOT stub ORDER BY id LIMIT ${MOST_NAMES}`)
  }

  /** The first categories of products that have reviews, the most reviewed first. */
  async categories(limit: number): Promise<string[]> {
    const rows = await this.database.sql<{ name: string }>(
      `SELECT p.categories[1] AS name FROM "Review" r JOIN "Product" p ON p.id = r."productId" WHERE p.categories[1] IS NOT NULL
       GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT $1`,
      [limit],
    )
    return rows.map(({ name }) => name)
  }

  async textsOf(category: string, limit: number): Promise<string[]> {
    const rows = await this.database.sql<{ text: string }>(
      `SELECT r.text FROM "Review" r JOIN "Product" p ON p.id = r."productId" WHERE p.categories[1] = $1 AND r."ignoredBecause" IS NULL
       ORDER BY r."createdAt" DESC LIMIT $2`,
      [category, limit],
    )
    return rows.map(({ text }) => text)
  }

  async minedAspects(): Promise<Record<string, string[]>> {
    const row = await this.database.prisma.setting.findUnique({ where: { name: MINED } })
    return (row?.value ?? {}) as Record<string, string[]>
  }

  async keepMinedAspects(value: Record<string, string[]>): Promise<void> {
    await this.database.prisma.setting.upsert({ where: { name: MINED }, create: { name: MINED, value }, update: { value } })
  }

  /** Sentiment of products (by id), categories or users since a time; one row a key that has any review. */
  summaries(by: 'product' | 'category' | 'user' | 'brand', keys: readonly string[], from: Date, middle: Date): Promise<SummaryRow[]> {
    const { join, key } = GROUPINGS[by]
    return this.database.sql<SummaryRow>(
      `SELECT ${key} AS key, count(*) FILTER (WHERE counts)::int AS reviews,
         count(*) FILTER (WHERE counts AND sentiment = 'POSITIVE')::int AS positive, count(*) FILTER (WHERE counts AND sentiment = 'NEGATIVE')::int AS negative,
         count(*) FILTER (WHERE counts AND sentiment = 'NEUTRAL')::int AS neutral, count(*) FILTER (WHERE counts AND sentiment = 'UNDECIDED')::int AS undecided,
         count(*) FILTER (WHERE NOT counts)::int AS ignored,
         avg(score) FILTER (WHERE counts) AS mean, stddev_samp(score) FILTER (WHERE counts) AS deviation,
         avg(score) FILTER (WHERE counts AND r."createdAt" >= $3) AS "laterMean", count(*) FILTER (WHERE counts AND r."createdAt" >= $3)::int AS "laterCount",
         stddev_samp(score) FILTER (WHERE counts AND r."createdAt" >= $3) AS "laterDeviation",
         avg(score) FILTER (WHERE counts AND r."createdAt" < $3) AS "earlierMean", count(*) FILTER (WHERE counts AND r."createdAt" < $3)::int AS "earlierCount",
         stddev_samp(score) FILTER (WHERE counts AND r."createdAt" < $3) AS "earlierDeviation"
       FROM (SELECT r.*, r."ignoredBecause" IS NULL AS counts FROM "Review" r WHERE r."createdAt" >= $2 AND r.sentiment IS NOT NULL) r ${join} GROUP BY 1`,
      [by === 'product' || by === 'user' ? keys.map(Number) : keys, from, middle],
    )
  }

  /** What the newest reviews of each key say of aspects, the most mentioned first. */
  aspects(by: 'product' | 'category' | 'brand', keys: readonly string[], from: Date): Promise<AspectRow[]> {
    return this.database.sql<AspectRow>(
      `SELECT w.key::text AS key, a->>'aspect' AS aspect, count(*)::int AS mentions, count(*) FILTER (WHERE a->>'label' = 'POSITIVE')::int AS positive,
         count(*) FILTER (WHERE a->>'label' = 'NEGATIVE')::int AS negative
       FROM unnest($1::${by === 'product' ? 'int' : 'text'}[]) AS w(key), LATERAL (
         SELECT r.aspects FROM ${OF_KEY[by]} AND r."createdAt" >= $2 AND r."ignoredBecause" IS NULL AND r.sentiment IS NOT NULL
         ORDER BY r."createdAt" DESC LIMIT ${ASPECT_REVIEWS}) newest, jsonb_array_elements(newest.aspects) a
       GROUP BY w.key, a->>'aspect' ORDER BY 1, 3 DESC, 2`,
      [by === 'product' ? keys.map(Number) : keys, from],
    )
  }
}

const OF_KEY = {
  product: '"Review" r WHERE r."productId" = w.key',
  category: '"Review" r JOIN "Product" p ON p.id = r."productId" WHERE p.categories @> ARRAY[w.key]',
  brand: '"Review" r LEFT JOIN "Product" p ON p.id = r."productId" WHERE COALESCE(p.brand, r.brand) = w.key',
} as const

const GROUPINGS = {
  product: { join: 'WHERE r."productId" = ANY($1)', key: 'r."productId"::text' },
  user: { join: 'WHERE r."userId" = ANY($1)', key: 'r."userId"::text' },
  category: {
    join: 'JOIN "Product" p ON p.id = r."productId" JOIN unnest($1::text[]) AS c(name) ON p.categories @> ARRAY[c.name]',
    key: 'c.name',
  },
  brand: {
    join: 'LEFT JOIN "Product" p ON p.id = r."productId" WHERE COALESCE(p.brand, r.brand) = ANY($1)',
    key: 'COALESCE(p.brand, r.brand)',
  },
} as const

function filterValues(filter: ReviewFilter): unknown[] {
  const { productId, userId, category, brand, sentiment, intent, source, from, to, search, ignored, isRead } = filter
  return [productId, userId, category, brand, sentiment, intent, source, from, to, search, ignored, isRead].map(value => value ?? null)
}

/** What a review says once a person has said what it means. */
export function correctedBy(task: string, label: string) {
  if (task !== 'SENTIMENT') return { intent: label, intentConfidence: 1 }
  const score = label === 'POSITIVE' ? 1 : label === 'NEGATIVE' ? -1 : 0
  return { sentiment: label, score, confidence: 1, sentimentModelId: null, ignoredBecause: null }
}
