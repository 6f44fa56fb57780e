import type { Database } from '../platform/database.js'
import type { Audience, AudienceSource, Purpose } from '../platform/generated/prisma/client.js'

export type Prediction = 'CHURN' | 'PURCHASE' | 'LIFETIME_VALUE'

/** Who belongs to an audience, as it is stored. */
export interface Definition {
  segmentId?: string
  seedAudienceId?: string
  share?: number
  productId?: number
  category?: string
  prediction?: Prediction
  ascending?: boolean
  limit?: number
  consent: Purpose | null
  frequencyCap?: { impressions: number; hours: number }
  minimumSize: number
}

export interface Exclusion {
  reason: string
  count: number
}

/** A linear model over stored features; see algorithms/lookalike. */
export interface LinearScore {
  intercept: number
  weights: number[]
  means: number[]
  missing: number[]
}

export interface Detail {
  auc?: number
  curve?: { share: number; seedShare: number; threshold: number; similarity: number }[]
  linear?: LinearScore
  /** ids of the products of a product affinity */
  products?: number[]
  candidates?: number
  /** how many the parts must keep at least */
  wanted?: number
}

export type AudienceRow = Omit<Audience, 'definition' | 'excluded' | 'detail'> & {
  definition: Definition
  excluded: Exclusion[]
  detail: Detail
}

export interface Range {
  low: number
  high: number
}

/** Lets a transaction go on only while the attempt holds its job. */
export type Hold = (sql: (text: string, params: unknown[]) => Promise<{ length: number }>) => Promise<void>

const PREDICTIONS: Record<Prediction, string> = { CHURN: 'churn', PURCHASE: 'purchase', LIFETIME_VALUE: '"lifetimeValueMicros"' }

/** Audiences, their candidates while they are built, and their members. */
export class AudiencesRepository {
  constructor(private readonly database: Database) {}

  byIds(ids: readonly string[]): Promise<AudienceRow[]> {
    return this.database.sql('SELECT * FROM "Audience" WHERE id = ANY($1)', [ids], 'audiences-by-ids')
  }

  page(after: { createdAt: string; id: string } | undefined, limit: number): Promise<AudienceRow[]> {
    return this.database.sql(
      `SELECT * FROM "Audience" WHERE "archivedAt" IS NULL AND ($1::timestamptz IS NULL OR ("createdAt", id) < ($1, $2)) ORDER BY "createdAt" DESC, id DESC LIMIT $3`,
      [after?.createdAt ?? null, after?.id ?? null, limit],
    )
  }

  async count(): Promise<number> {
    const [row] = await this.database.sql<{ count: number }>('SELECT count(*)::int AS count FROM "Audience" WHERE "archivedAt" IS NULL')
    return row.count
  }

  async create(row: { id: string; name: string; source: AudienceSource; definition: Definition; createdBy: string }): Promise<AudienceRow> {
    const [created] = await this.database.sql<AudienceRow>(
      'INSERT INTO "Audience" (id, name, source, definition, "createdBy") VALUES ($1, $2, $3::"AudienceSource", $4, $5) RETURNING *',
      [row.id, row.name, row.source, JSON.stringify(row.definition), row.createdBy],
    )
    return created
  }

  /** A new version, to be built; the members of before stay readable meanwhile. */
  async rebuild(id: string, expectedVersion: number | undefined): Promise<AudienceRow | undefined> {
    const [row] = await this.database.sql<AudienceRow>(
      `UPDATE "Audience" SET version = version + 1, status = 'BUILDING', failure = NULL WHERE id = $1 AND "archivedAt" IS NULL AND ($2::int IS NULL OR version = $2) RETURNING *`,
      [id, expectedVersion ?? null],
    )
    return row
  }

  async archive(id: string, expectedVersion: number | undefined): Promise<AudienceRow | undefined> {
    const [row] = await this.database.sql<AudienceRow>(
      `UPDATE "Audience" SET version = version + 1, "archivedAt" = now() WHERE id = $1 AND "archivedAt" IS NULL AND ($2::int IS NULL OR version = $2) RETURNING *`,
      [id, expectedVersion ?? null],
    )
    return row
  }

  /** Campaigns that address or exclude it and have not ended. */
  campaignsOf(id: string): Promise<{ name: string }[]> {
    return this.database.sql(
      `SELECT name FROM "Campaign" WHERE ("audienceId" = $1 OR $1 = ANY("excludedAudienceIds")) AND status <> 'ENDED' LIMIT 5`,
      [id],
    )
  }

  async setJob(id: string, jobId: string): Promise<void> {
    await this.database.sql('UPDATE "Audience" SET "jobId" = $2 WHERE id = $1', [id, jobId])
  }

  /** To be built, with no job that will. */
  forgotten(): Promise<{ id: string; version: number }[]> {
    return this.database.sql(
      `SELECT id, version FROM "Audience" a WHERE status = 'BUILDING' AND "archivedAt" IS NULL AND "createdAt" < now() - interval '1 minute'
         AND NOT EXISTS (SELECT 1 FROM "Job" j WHERE j.id = a."jobId" AND j.state IN ('WAITING', 'ACTIVE', 'DELAYED')) ORDER BY "createdAt", id LIMIT 100`,
    )
  }

  async fail(id: string, version: number, failure: string): Promise<void> {
    await this.database.sql(
      `UPDATE "Audience" SET status = 'FAILED', failure = $3 WHERE id = $1 AND version = $2 AND status = 'BUILDING'`,
      [id, version, failure],
    )
    await this.database.sql('DELETE FROM "AudienceCandidate" WHERE "audienceId" = $1', [id])
  }

  async prepare(id: string, version: number, detail: Detail): Promise<void> {
    await this.database.sql('UPDATE "Audience" SET detail = $3 WHERE id = $1 AND version = $2', [id, version, JSON.stringify(detail)])
  }

  /** Key ranges of `step` ids that cover all users. */
  async ranges(step: number): Promise<Range[]> {
    return this.database.sql(
      'SELECT low::int, (low + $1::int - 1)::int AS high FROM (SELECT min(id) AS least, max(id) AS most FROM "User") u, generate_series(least::bigint, most::bigint, $1::bigint) low',
      [step],
    )
  }

  async users(): Promise<number> {
    const [row] = await this.database.sql<{ count: number }>('SELECT count(*)::int AS count FROM "User" WHERE "mergedIntoId" IS NULL')
    return row.count
  }

  async usersIn({ low, high }: Range): Promise<number[]> {
    const rows = await this.database.sql<{ id: number }>(
      'SELECT id FROM "User" WHERE id BETWEEN $1 AND $2 AND "mergedIntoId" IS NULL ORDER BY id',
      [low, high],
    )
    return rows.map(row => row.id)
  }

  /** Stored features of members of the audience, or of others; a sample that is the same every time. */
  async features(audienceId: string, ofMembers: boolean, limit: number): Promise<number[][]> {
    const rows = await this.database.sql<{ features: number[] }>(
      `SELECT p.features FROM "UserProfile" p WHERE ${ofMembers ? '' : 'NOT '}EXISTS (SELECT 1 FROM "AudienceMember" m WHERE m."audienceId" = $1 AND m."userId" = p."userId")
         AND NOT p."isBot" ORDER BY hashint4(p."userId"), p."userId" LIMIT $2`,
      [audienceId, limit],
    )
    return rows.map(row => row.features)
  }

  async memberTotal(audienceId: string): Promise<number> {
    const [row] = await this.database.sql<{ count: number }>(
      'SELECT count(*)::int AS count FROM "AudienceMember" WHERE "audienceId" = $1',
      [audienceId],
    )
    return row.count
  }

  async productsOf(category: string): Promise<number[]> {
    const rows = await this.database.sql<{ id: number }>('SELECT id FROM "Product" WHERE $1 = ANY(categories) ORDER BY id', [category])
    return rows.map(row => row.id)
  }

  async productByExternalId(externalId: string): Promise<number | undefined> {
    const [row] = await this.database.sql<{ id: number }>('SELECT id FROM "Product" WHERE "externalId" = $1', [externalId])
    return row?.id
  }

  /**
   * Scores the users of a range and keeps the best `wanted` who may be addressed, and of those who may not the ones that would have been as good. One
   * transaction that leaves the same when it runs twice. Returns how many were looked at.
   */
  async scoreRange(
    audience: AudienceRow,
    range: Range,
    given: { ids: number[]; scores: number[] } | undefined,
    hold: Hold,
  ): Promise<number> {
    return this.database.withClient(async client => {
      const sql = async (text: string, params: unknown[]) => (await client.query(text, params)).rows
      await client.query('BEGIN')
      try {
        // Compiling a long sum costs more than adding up a range does.
        await client.query('SET LOCAL jit = off')
        await hold(sql)
        await sql('DELETE FROM "AudienceCandidate" WHERE "audienceId" = $1 AND "userId" BETWEEN $2 AND $3', [
          audience.id,
          range.low,
          range.high,
        ])
        const params: unknown[] = [audience.id, range.low, range.high, audience.detail.wanted ?? null]
        const judged = judgedSql(audience, params, given)
        const [row] = await sql(
          `WITH judged AS MATERIALIZED (${judged}),
             best AS MATERIALIZED (SELECT id, score FROM judged WHERE reason IS NULL ORDER BY score DESC, id LIMIT $4::int),
             bar AS (SELECT CASE WHEN count(*) = $4::int THEN min(score) ELSE '-Infinity' END AS score FROM best),
             kept AS (INSERT INTO "AudienceCandidate" ("audienceId", "userId", score, reason)
               SELECT $1, id, score, NULL FROM best UNION ALL SELECT $1, j.id, j.score, j.reason FROM judged j, bar
               WHERE j.reason IS NOT NULL AND (j.score >= bar.score OR j.reason = 'NO_SCORE') ON CONFLICT DO NOTHING)
           SELECT count(*)::int AS count FROM judged`,
          params,
        )
        await client.query('COMMIT')
        return row.count as number
      } catch (error) {
        await client.query('ROLLBACK').catch(() => {})
        throw error
      }
    })
  }

  /** The best of all ranges become the members, in one transaction: readers see those of before or the new ones. */
  async merge(audience: AudienceRow, now: Date, hold: Hold): Promise<{ size: number; excluded: Exclusion[] }> {
    return this.database.withClient(async client => {
      const sql = async (text: string, params: unknown[]) => (await client.query(text, params)).rows
      await client.query('BEGIN')
      try {
        await hold(sql)
        const wanted = audience.detail.wanted ?? null
        await sql('SELECT 1 FROM "Audience" WHERE id = $1 FOR UPDATE', [audience.id])
        await sql('DELETE FROM "AudienceMember" WHERE "audienceId" = $1', [audience.id])
        await sql(
          `INSERT INTO "AudienceMember" ("audienceId", "userId", score) SELECT "audienceId", "userId", score FROM "AudienceCandidate"
             WHERE "audienceId" = $1 AND reason IS NULL ORDER BY score DESC, "userId" LIMIT $2::int`,
          [audience.id, wanted],
        )
        const [{ size, bar }] = await sql(
          `SELECT count(*)::int AS size, CASE WHEN count(*) = $2::int THEN min(score) ELSE '-Infinity' END AS bar FROM "AudienceMember" WHERE "audienceId" = $1`,
          [audience.id, wanted],
        )
        const excluded: Exclusion[] = await sql(
          `SELECT reason, count(*)::int AS count FROM "AudienceCandidate" WHERE "audienceId" = $1 AND reason IS NOT NULL AND (score >= $2 OR reason = 'NO_SCORE') GROUP BY 1 ORDER BY 1`,
          [audience.id, bar],
        )
        const isTooSmall = size > 0 && size < audience.definition.minimumSize
        if (isTooSmall) {
          await sql('DELETE FROM "AudienceMember" WHERE "audienceId" = $1', [audience.id])
          excluded.push({ reason: 'TOO_SMALL', count: size })
        }
        await sql('DELETE FROM "AudienceCandidate" WHERE "audienceId" = $1', [audience.id])
        const shown = isTooSmall ? 0 : size
        await sql(
          `UPDATE "Audience" SET status = 'READY', failure = NULL, size = $3, excluded = $4, "builtAt" = $5 WHERE id = $1 AND version = $2`,
          [audience.id, audience.version, shown, JSON.stringify(excluded), now.toISOString()],
        )
        await client.query('COMMIT')
        return { size: shown, excluded }
      } catch (error) {
        await client.query('ROLLBACK').catch(() => {})
        throw error
      }
    })
  }

  /** Who would belong, by cause of exclusion (null is eligible), without storing anything. */
  tally(audience: AudienceRow): Promise<{ reason: string | null; count: number }[]> {
    const params: unknown[] = [audience.id, 0, 2_147_483_647]
    return this.database.sql(
      `SELECT reason, count(*)::int AS count FROM (${judgedSql(audience, params, undefined)}) j WHERE $1::text IS NOT NULL GROUP BY 1`,
      params,
    )
  }

  members(
    audienceId: string,
    after: { score: number; userId: number } | undefined,
    limit: number,
  ): Promise<{ userId: number; score: number }[]> {
    return this.database.sql(
      `SELECT "userId", score FROM "AudienceMember" WHERE "audienceId" = $1 AND ($2::float8 IS NULL OR score < $2 OR (score = $2 AND "userId" > $3))
         ORDER BY score DESC, "userId" LIMIT $4`,
      [audienceId, after?.score ?? null, after?.userId ?? null, limit],
    )
  }

  async suppress(userIds: readonly number[], reason: string): Promise<void> {
    await this.database.sql(
      'INSERT INTO "Suppression" ("userId", reason) SELECT id, $2 FROM "User" WHERE id = ANY($1::int[]) ON CONFLICT ("userId") DO UPDATE SET reason = $2, at = now()',
      [userIds, reason],
    )
  }

  async unsuppress(userIds: readonly number[]): Promise<void> {
    await this.database.sql('DELETE FROM "Suppression" WHERE "userId" = ANY($1::int[])', [userIds])
  }
}

/** id, score and reason of every candidate in the range $2 to $3; what it needs beyond is added to `params`. */
function judgedSql(
  { definition, source, detail }: AudienceRow,
  params: unknown[],
  given: { ids: number[]; scores: number[] } | undefined,
): string {
  const param = (value: unknown, type: string) => `$${params.push(value)}::${type}`
  let score = '1::float8'
  let joins = ''
  let where = ''
  if (source === 'SEGMENT')
    where = `AND EXISTS (SELECT 1 FROM "SegmentMember" m WHERE m."segmentId" = ${param(definition.segmentId, 'text')} AND m."userId" = u.id AND m."leftAt" IS NULL)`
  if (source === 'MODEL_SCORE') score = `${definition.ascending ? '-' : ''}p.${PREDICTIONS[definition.prediction as Prediction]}::float8`
  if (source === 'LOOKALIKE') {
    score = `(${linearSql(detail.linear as LinearScore)})`
    where = `AND NOT EXISTS (SELECT 1 FROM "AudienceMember" m WHERE m."audienceId" = ${param(definition.seedAudienceId, 'text')} AND m."userId" = u.id)`
  }
  if (source === 'PRODUCT_AFFINITY') {
    joins += ` LEFT JOIN unnest(${param(given?.ids ?? [], 'int[]')}, ${param(given?.scores ?? [], 'float8[]')}) g(id, score) ON g.id = u.id`
    score = 'g.score'
  }
  const causes = [`WHEN s."userId" IS NOT NULL THEN 'SUPPRESSED'`]
  if (definition.consent) {
    joins += ` LEFT JOIN "Consent" c ON c."userId" = u.id AND c.purpose = ${param(definition.consent, '"Purpose"')}`
    causes.push(`WHEN c.granted IS NULL THEN 'CONSENT_MISSING' WHEN NOT c.granted THEN 'CONSENT_REFUSED'`)
  }
  if (source !== 'SEGMENT') causes.push(`WHEN p."isBot" THEN 'BOT'`)
  if (definition.frequencyCap) {
    const { impressions, hours } = definition.frequencyCap
    causes.push(
      `WHEN (SELECT count(*) FROM "AdLogEntry" l WHERE l."userId" = u.id AND l."occurredAt" >= now() - make_interval(hours => ${param(hours, 'int')})) >= ${param(impressions, 'int')} THEN 'FREQUENCY_CAP'`,
    )
  }
  return `SELECT id, coalesce(score, '-Infinity') AS score, CASE WHEN score IS NULL THEN 'NO_SCORE' ELSE cause END AS reason FROM (
      SELECT u.id, ${score} AS score, CASE ${causes.join(' ')} END AS cause FROM "User" u LEFT JOIN "UserProfile" p ON p."userId" = u.id
      LEFT JOIN "Suppression" s ON s."userId" = u.id${joins} WHERE u.id BETWEEN $2::int AND $3::int AND u."mergedIntoId" IS NULL ${where}) scored`
}

/** The model as a sum; NULL where there is no profile. Features whose weight is 0 are left out. */
function linearSql({ intercept, weights, means, missing }: LinearScore): string {
  const terms = weights.flatMap((weight, index) => {
    const feature = `p.features[${index + 1}]`
    if (weight === 0 && missing[index] === 0) return []
    return `CASE WHEN ${feature} = 'NaN' THEN ${number(missing[index])} ELSE ${number(weight)} * (ln(1 + greatest(${feature}, 0)) - ${number(means[index])}) END`
  })
  return [`CASE WHEN p."userId" IS NOT NULL THEN ${number(intercept)} END`, ...terms].join(' + ')
}

function number(value: number): string {
  if (!Number.isFinite(value)) throw new RangeError(`A weight is ${value}`)
  return `(${value})::float8`
}
