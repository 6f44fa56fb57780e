import pg from 'pg'
import { cellText, copyBinary, copyIn } from '../platform/bulk.js'
import type { SqlDatabase } from '../platform/database.js'
import type { Audience, AudienceSource, Purpose } from '../platform/generated/prisma/client.js'
import { type Bar, Selection } from './selection.js'
import { codeOf, ELIGIBLE, linearScorer, NO_SCORE, openShard, REASONS, ShardBuilder } from './shards.js'

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
  constructor(private readonly database: SqlDatabase) {}

  /** Of what `work` writes nothing stays. */
  rehearse<T>(work: (dry: AudiencesRepository) => Promise<T>): Promise<T> {
    return this.database.rehearse(dry => work(new AudiencesRepository(dry)))
  }

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
    await this.database.sql('DELETE FROM "AudienceShard" WHERE "audienceId" = $1 AND version <= $2', [id, version])
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
   * Scores the users of a range and keeps what came of it as one row, those too who must be left out. Leaves the same when it runs twice; an attempt that was
   * overtaken, or of a version that is no longer wanted, leaves nothing. Returns how many were looked at.
   */
  async scoreRange(audience: AudienceRow, range: Range, given: ReadonlyMap<number, number> | undefined, hold: Hold): Promise<number> {
    const { id, version, source, detail } = audience
    const linear = source === 'LOOKALIKE' ? linearScorer(detail.linear as LinearScore) : undefined
    return this.database.withClient(async client => {
      const shard = new ShardBuilder()
      await copyBinary(client, shardSql(audience, range), (bytes, at) => {
        const user = bytes.getInt32(at + 6)
        const cause = bytes.getInt16(at + 14)
        const known = at + 20
        const length = bytes.getInt32(at + 16)
        let score = Number.NaN
        if (given) score = given.get(user) ?? Number.NaN
        else if (length >= 0) score = linear ? linear(bytes, known) : bytes.getFloat64(known)
        // Adding 0 makes -0 a 0, which it equals.
        if (Number.isNaN(score)) shard.add(user, Number.NEGATIVE_INFINITY, NO_SCORE)
        else shard.add(user, score + 0, cause)
      })
      await client.query('BEGIN')
      try {
        const sql = async (text: string, params: unknown[]) => (await client.query(text, params)).rows
        await hold(sql)
        const isWanted = await sql(`SELECT 1 FROM "Audience" WHERE id = $1 AND version = $2 AND status = 'BUILDING' FOR SHARE`, [
          id,
          version,
        ])
        if (isWanted.length > 0)
          await sql(
            `INSERT INTO "AudienceShard" ("audienceId", version, low, data) VALUES ($1, $2, $3, $4)
               ON CONFLICT ("audienceId", version, low) DO UPDATE SET data = EXCLUDED.data`,
            [id, version, range.low, shard.bytes()],
          )
        await client.query('COMMIT')
        return isWanted.length > 0 ? shard.count : 0
      } catch (error) {
        await client.query('ROLLBACK').catch(() => {})
        throw error
      }
    })
  }

  /**
   * The best of all ranges become the members, in one transaction: readers see those of before or the new ones. The ranges are read for where the bar lies, and
   * once more to write whoever is above it; memory is that of one range.
   */
  async merge(audience: AudienceRow, now: Date, hold: Hold): Promise<{ size: number; excluded: Exclusion[] } | undefined> {
    const bar = await this.barOf(audience)
    return this.database.withClient(async client => {
      const sql = async (text: string, params: unknown[]) => (await client.query(text, params)).rows
      await client.query('BEGIN')
      try {
        await client.query('SET LOCAL statement_timeout = 0')
        await hold(sql)
        const wanted = await sql(`SELECT 1 FROM "Audience" WHERE id = $1 AND version = $2 AND status = 'BUILDING' FOR UPDATE`, [
          audience.id,
          audience.version,
        ])
        if (wanted.length === 0) {
          await client.query('ROLLBACK')
          return undefined
        }
        await sql('DELETE FROM "AudienceMember" WHERE "audienceId" = $1', [audience.id])
        const causes = new Array<number>(REASONS.length).fill(0)
        const isTooSmall = bar.size > 0 && bar.size < audience.definition.minimumSize
        const copy = isTooSmall ? undefined : copyIn(client, '"AudienceMember"', ['audienceId', 'userId', 'score'])
        const key = cellText(audience.id)
        for await (const { scores, ids, reasons } of this.shards(audience)) {
          for (let row = 0; row < ids.length; row++) {
            const [score, reason] = [scores[row], reasons[row]]
            if (reason === ELIGIBLE) {
              if (!copy || score < bar.score || (score === bar.score && ids[row] > bar.lastId)) continue
              const written = copy.line(`${key}\t${ids[row]}\t${score}`)
              if (written) await written
            } else if (reason === NO_SCORE || score >= bar.score) causes[reason]++
          }
        }
        if (copy) await copy.end()
        const excluded: Exclusion[] = causes.flatMap((count, reason) => (count > 0 ? [{ reason: REASONS[reason], count }] : []))
        excluded.sort((a, b) => (a.reason < b.reason ? -1 : 1))
        if (isTooSmall) excluded.push({ reason: 'TOO_SMALL', count: bar.size })
        await sql('DELETE FROM "AudienceShard" WHERE "audienceId" = $1 AND version <= $2', [audience.id, audience.version])
        const size = isTooSmall ? 0 : bar.size
        await sql(
          `UPDATE "Audience" SET status = 'READY', failure = NULL, size = $3, excluded = $4, "builtAt" = $5 WHERE id = $1 AND version = $2`,
          [audience.id, audience.version, size, JSON.stringify(excluded), now.toISOString()],
        )
        await client.query('COMMIT')
        return { size, excluded }
      } catch (error) {
        await client.query('ROLLBACK').catch(() => {})
        throw error
      }
    })
  }

  /** How many become members, and the score and id of the last of them (best first, among equals the lower id). */
  private async barOf(audience: AudienceRow): Promise<Bar & { size: number }> {
    const wanted = audience.detail.wanted
    const select = new Selection(wanted ?? Number.POSITIVE_INFINITY)
    do {
      for await (const { scores, ids, reasons } of this.shards(audience))
        for (let row = 0; row < ids.length; row++) if (reasons[row] === ELIGIBLE) select.look(scores[row], ids[row])
    } while (!select.next())
    return select.bar()
  }

  private async *shards({ id, version }: AudienceRow): AsyncGenerator<{ scores: Float64Array; ids: Int32Array; reasons: Uint8Array }> {
    const next = (after: number) =>
      `SELECT low, data FROM "AudienceShard" WHERE "audienceId" = ${pg.escapeLiteral(id)} AND version = ${whole(version)} AND low > ${after} ORDER BY low LIMIT 1`
    for (let low = -2_147_483_648; ; ) {
      let shard: ReturnType<typeof openShard> | undefined
      await this.database.withClient(client =>
        copyBinary(client, next(low), (bytes, at) => {
          low = bytes.getInt32(at + 6)
          shard = openShard(bytes, at + 14, bytes.getInt32(at + 10))
        }),
      )
      if (!shard) return
      yield shard
    }
  }

  /**
   * Who would be eligible (null), and who would be left out by cause, without storing anything. As `merge` counts it: with a bound, only those left out count
   * who are as good as the last of the `wanted`.
   */
  async tally(audience: AudienceRow, wanted: number | undefined): Promise<{ reason: string | null; count: number }[]> {
    const rows = await this.database.sql<{ code: number; count: number }>(
      `WITH j AS (${shardSql(audience, EVERYBODY)}),
         bar AS (SELECT value FROM j WHERE code = ${ELIGIBLE} AND value IS NOT NULL ORDER BY value DESC OFFSET greatest($1::int, 1) - 1 LIMIT CASE WHEN $1::int IS NULL THEN 0 ELSE 1 END)
       SELECT CASE WHEN value IS NULL THEN ${NO_SCORE} ELSE code END AS code, count(*)::int AS count FROM j
       WHERE value IS NULL OR code = ${ELIGIBLE} OR value >= coalesce((SELECT value FROM bar), '-Infinity') GROUP BY 1`,
      [wanted ?? null],
    )
    return rows.map(({ code, count }) => ({ reason: code === ELIGIBLE ? null : REASONS[code], count }))
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

const EVERYBODY: Range = { low: 0, high: 2_147_483_647 }

/** The id of every candidate of a range, the code of the first cause to leave it out, and what its score is made from. COPY takes no parameters. */
function shardSql({ definition, source }: AudienceRow, { low, high }: Range): string {
  const text = (value: unknown) => pg.escapeLiteral(String(value))
  let value = '1::float8'
  let joins = ''
  let where = ''
  if (source === 'SEGMENT')
    where = `AND EXISTS (SELECT 1 FROM "SegmentMember" m WHERE m."segmentId" = ${text(definition.segmentId)} AND m."userId" = u.id AND m."leftAt" IS NULL)`
  if (source === 'MODEL_SCORE') value = `(${definition.ascending ? '-' : ''}p.${PREDICTIONS[definition.prediction as Prediction]}::float8)`
  if (source === 'LOOKALIKE') {
    value = 'p.features'
    where = `AND NOT EXISTS (SELECT 1 FROM "AudienceMember" m WHERE m."audienceId" = ${text(definition.seedAudienceId)} AND m."userId" = u.id)`
  }
  if (source === 'PRODUCT_AFFINITY') value = 'NULL::float8'
  const causes = [`WHEN s."userId" IS NOT NULL THEN ${codeOf('SUPPRESSED')}`]
  if (definition.consent) {
    joins += ` LEFT JOIN "Consent" c ON c."userId" = u.id AND c.purpose = ${text(definition.consent)}::"Purpose" AND c."userId" BETWEEN ${whole(low)} AND ${whole(high)}`
    causes.push(`WHEN c.granted IS NULL THEN ${codeOf('CONSENT_MISSING')} WHEN NOT c.granted THEN ${codeOf('CONSENT_REFUSED')}`)
  }
  if (source !== 'SEGMENT') causes.push(`WHEN p."isBot" THEN ${codeOf('BOT')}`)
  if (definition.frequencyCap) {
    const { impressions, hours } = definition.frequencyCap
    causes.push(
      `WHEN (SELECT count(*) FROM "AdLogEntry" l WHERE l."userId" = ANY(u.id || ARRAY(SELECT was.id FROM "User" was WHERE was."mergedIntoId" = u.id)) AND l."occurredAt" >= now() - make_interval(hours => ${whole(hours)})) >= ${whole(impressions)} THEN ${codeOf('FREQUENCY_CAP')}`,
    )
  }
  // Each table is cut to the range by itself, so that all are read in one go instead of by a look-up a user.
  return `SELECT u.id, (CASE ${causes.join(' ')} ELSE ${ELIGIBLE} END)::int2 AS code, ${value} AS value FROM "User" u
      LEFT JOIN "UserProfile" p ON p."userId" = u.id AND p."userId" BETWEEN ${whole(low)} AND ${whole(high)}
      LEFT JOIN "Suppression" s ON s."userId" = u.id${joins} WHERE u.id BETWEEN ${whole(low)} AND ${whole(high)} AND u."mergedIntoId" IS NULL ${where}`
}

function whole(value: number): number {
  if (!Number.isInteger(value)) throw new RangeError(`${value} is not a whole number`)
  return value
}
