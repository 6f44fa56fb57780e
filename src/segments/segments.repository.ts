import { fnv1a } from '../algorithms/math/random.js'
import type { Database } from '../platform/database.js'
import type { Segment } from '../platform/generated/prisma/client.js'
import type { Rule } from './rule.js'
import { clauseOf, conditionOf, SqlParams } from './rule-sql.js'

export type SegmentRow = Omit<Segment, 'rule'> & { rule: Rule }

export interface MemberRow {
  userId: number
  joinedAt: Date
}

const SUBJECT = `"User" u LEFT JOIN "UserProfile" p ON p."userId" = u.id`
/** Names the parameters of every rule, so that PostgreSQL knows their types also when no clause asks for them. */
const given = (now: string, zone: string) => `given AS (SELECT ${now}::timestamptz, ${zone}::text)`
const LIVING = 'u."mergedIntoId" IS NULL'

/** Segments and their members; rules become conditions here. */
export class SegmentsRepository {
  constructor(
    private readonly database: Database,
    private readonly timeZone: string,
  ) {}

  async byIds(ids: readonly string[]): Promise<SegmentRow[]> {
    return this.database.sql('SELECT * FROM "Segment" WHERE id = ANY($1) AND "archivedAt" IS NULL', [ids], 'segments-by-ids')
  }

  /** All that are in use, for evaluation. */
  all(): Promise<SegmentRow[]> {
    return this.database.sql('SELECT * FROM "Segment" WHERE "archivedAt" IS NULL ORDER BY "createdAt", id', [], 'segments-all')
  }

  page(after: { createdAt: string; id: string } | undefined, limit: number): Promise<SegmentRow[]> {
    return this.database.sql(
      `SELECT * FROM "Segment" WHERE "archivedAt" IS NULL AND ($1::timestamptz IS NULL OR ("createdAt", id) < ($1, $2)) ORDER BY "createdAt" DESC, id DESC LIMIT $3`,
      [after?.createdAt ?? null, after?.id ?? null, limit],
    )
  }

  async count(): Promise<number> {
    const [row] = await this.database.sql<{ count: number }>('SELECT count(*)::int AS count FROM "Segment" WHERE "archivedAt" IS NULL')
    return row.count
  }

  async create(segment: Pick<SegmentRow, 'id' | 'name' | 'description' | 'rule' | 'createdBy'>): Promise<SegmentRow> {
    const [row] = await this.database.sql<SegmentRow>(
      'INSERT INTO "Segment" (id, name, description, rule, "createdBy") VALUES ($1, $2, $3, $4, $5) RETURNING *',
      [segment.id, segment.name, segment.description, JSON.stringify(segment.rule), segment.createdBy],
    )
    return row
  }

  /** Changes what is given when the version is the expected one; a new rule is to be evaluated, its members of before stay readable meanwhile. */
  async update(
    id: string,
    expectedVersion: number | undefined,
    change: { name?: string; description?: string | null; rule?: Rule; archived?: boolean },
  ) {
    const rule = change.rule ? JSON.stringify(change.rule) : null
    const [row] = await this.database.sql<SegmentRow>(
      `UPDATE "Segment" SET name = coalesce($3, name), description = CASE WHEN $4 THEN $5 ELSE description END,
         rule = coalesce($6::jsonb, rule), status = CASE WHEN $6::jsonb IS NULL OR $6::jsonb = rule THEN status ELSE 'EVALUATING' END,
         "changedAt" = CASE WHEN $6::jsonb IS NULL OR $6::jsonb = rule THEN "changedAt" ELSE now() END, "archivedAt" = CASE WHEN $7 THEN now() ELSE "archivedAt" END,
         failure = CASE WHEN $6::jsonb IS NULL OR $6::jsonb = rule THEN failure END,
         "evaluatedVersion" = CASE WHEN $6::jsonb IS NULL OR $6::jsonb = rule THEN "evaluatedVersion" + ("evaluatedVersion" = version)::int ELSE "evaluatedVersion" END, version = version + 1
       WHERE id = $1 AND "archivedAt" IS NULL AND ($2::int IS NULL OR version = $2) RETURNING *`,
      [
        id,
        expectedVersion ?? null,
        change.name ?? null,
        change.description !== undefined,
        change.description ?? null,
        rule,
        change.archived ?? false,
      ],
    )
    return row as SegmentRow | undefined
  }

  /** Ids between which the users of a shard lie, ascending. */
  async shards(size: number): Promise<{ low: number; high: number }[]> {
    return this.database.sql(
      'SELECT min(id) AS low, max(id) AS high FROM (SELECT id, (row_number() OVER (ORDER BY id) - 1) / $1::int AS shard FROM "User") s GROUP BY shard ORDER BY 1',
      [size],
    )
  }

  /** Brings the members among the users of the range in line with the rule, in one statement. Returns how many joined and left. */
  async evaluateRange(
    { id, rule }: Pick<SegmentRow, 'id' | 'rule'>,
    { low, high }: { low: number; high: number },
    now: Date,
  ): Promise<void> {
    const params = new SqlParams(now.toISOString(), id, low, high, this.timeZone)
    await this.database.sql(
      this.reconcile(conditionOf(rule, params, '$1::timestamptz', '$5::text'), 'BETWEEN $3::int AND $4::int'),
      params.values,
    )
  }

  /**
   * The same for single users, of all the given segments in one prepared statement: what an event may have changed. Parallel calls lock the segments in
   * one order. Returns how many memberships changed.
   */
  async evaluateUsers(segments: readonly SegmentRow[], userIds: readonly number[], now: Date): Promise<number> {
    if (segments.length === 0 || userIds.length === 0) return 0
    const params = new SqlParams(
      now.toISOString(),
      userIds,
      this.timeZone,
      segments.map(({ id }) => id),
    )
    const verdicts = segments.map(({ rule }) => conditionOf(rule, params, '$1::timestamptz', '$3::text'))
    const text = `WITH ${given('$1', '$3')}, verdict AS MATERIALIZED (SELECT u.id AS "userId", v.segment, v.matches AND ${LIVING} AS matches FROM ${SUBJECT}
           CROSS JOIN LATERAL unnest($4::text[], ARRAY[${verdicts.join(', ')}]) AS v(segment, matches) WHERE u.id = ANY($2::int[])),
       changed AS MATERIALIZED (SELECT v.* FROM verdict v LEFT JOIN "SegmentMember" m ON m."segmentId" = v.segment AND m."userId" = v."userId" AND m."leftAt" IS NULL
         WHERE v.matches <> (m."userId" IS NOT NULL)),
       locked AS MATERIALIZED (SELECT id FROM "Segment" WHERE id IN (SELECT segment FROM changed) ORDER BY id FOR UPDATE),
       gone AS (UPDATE "SegmentMember" m SET "leftAt" = greatest($1::timestamptz, m."joinedAt") FROM changed c
         WHERE NOT c.matches AND m."segmentId" = c.segment AND m."userId" = c."userId" AND m."leftAt" IS NULL RETURNING m."segmentId"),
       come AS (INSERT INTO "SegmentMember" ("segmentId", "userId", "joinedAt") SELECT c.segment, c."userId", $1::timestamptz FROM changed c JOIN locked ON locked.id = c.segment
         WHERE c.matches ON CONFLICT DO NOTHING RETURNING "segmentId"),
       delta AS (SELECT id, sum(n)::int AS delta, count(*)::int AS moves FROM (SELECT "segmentId" AS id, -1 AS n FROM gone UNION ALL SELECT "segmentId", 1 FROM come) d GROUP BY 1)
       UPDATE "Segment" s SET size = greatest(0, s.size + delta.delta) FROM delta JOIN locked USING (id) WHERE s.id = delta.id RETURNING delta.moves`
    return this.database.withClient(async client => {
      // Planning fifty rules costs ten times what looking at one user does, and the plan is the same for every user.
      await client.query('SET plan_cache_mode = force_generic_plan')
      const { rows } = await client
        .query<{ moves: number }>({ text, values: params.values, name: `segments-follow-${fnv1a(text).toString(36)}` })
        .finally(() => client.query('RESET plan_cache_mode'))
      return rows.reduce((sum, { moves }) => sum + moves, 0)
    })
  }

  private reconcile(condition: string, range: string): string {
    return `WITH ${given('$1', '$5')}, matching AS MATERIALIZED (SELECT u.id FROM ${SUBJECT} WHERE u.id ${range} AND ${LIVING} AND ${condition}),
      gone AS (UPDATE "SegmentMember" m SET "leftAt" = greatest($1::timestamptz, m."joinedAt") WHERE m."segmentId" = $2::text AND m."leftAt" IS NULL AND m."userId" ${range} AND NOT EXISTS (SELECT 1 FROM matching WHERE matching.id = m."userId"))
      INSERT INTO "SegmentMember" ("segmentId", "userId", "joinedAt") SELECT $2::text, id, $1::timestamptz FROM matching
      WHERE NOT EXISTS (SELECT 1 FROM "SegmentMember" m WHERE m."segmentId" = $2::text AND m."userId" = matching.id AND m."leftAt" IS NULL) ON CONFLICT DO NOTHING`
  }

  /** Ends an evaluation of this version of the rule; an edit in the meantime keeps it open. */
  async settle(id: string, version: number, outcome: { at: Date; ended: Date; failure?: string }): Promise<void> {
    await this.database.sql(
      `UPDATE "Segment" SET status = CASE WHEN $4::text IS NOT NULL THEN 'FAILED'::"SegmentStatus" WHEN version = $2 THEN 'READY' ELSE status END, failure = $4,
         "evaluatedAt" = CASE WHEN $4::text IS NULL THEN $3::timestamptz ELSE "evaluatedAt" END, "evaluatedVersion" = CASE WHEN $4::text IS NULL THEN $2 ELSE "evaluatedVersion" END,
         "evaluationMs" = CASE WHEN $4::text IS NULL THEN $5::int ELSE "evaluationMs" END, size = (SELECT count(*) FROM "SegmentMember" m WHERE m."segmentId" = $1 AND m."leftAt" IS NULL) WHERE id = $1`,
      [id, version, outcome.at.toISOString(), outcome.failure ?? null, Math.max(0, outcome.ended.getTime() - outcome.at.getTime())],
    )
  }

  /** These segments follow the events up to this moment. */
  async markCurrent(ids: readonly string[], at: Date): Promise<void> {
    await this.database.sql(
      `UPDATE "Segment" s SET "evaluatedAt" = $2::timestamptz FROM (SELECT id FROM "Segment" WHERE id = ANY($1) ORDER BY id FOR UPDATE) locked
       WHERE s.id = locked.id AND s.status = 'READY' AND s."evaluatedAt" < $2::timestamptz`,
      [ids, at.toISOString()],
    )
  }

  /** Users who were followed by event while an evaluation from `since` on looked at an older state of them. */
  async followedSince(since: Date): Promise<number[]> {
    const rows = await this.database.sql<{ userId: number }>(
      'SELECT "userId" FROM "UserProfile" WHERE "refreshedAt" >= $1 ORDER BY 1 LIMIT 100000',
      [since.toISOString()],
    )
    return rows.map(row => row.userId)
  }

  /** Counts anew what single events have counted up and down. */
  async recount(): Promise<void> {
    await this.database.sql(
      `UPDATE "Segment" s SET size = n.size FROM (SELECT g.id, count(m."userId")::int AS size FROM "Segment" g
         LEFT JOIN "SegmentMember" m ON m."segmentId" = g.id AND m."leftAt" IS NULL WHERE g."archivedAt" IS NULL GROUP BY 1) n WHERE s.id = n.id AND s.size <> n.size`,
    )
  }

  /** How many would match, and some of them; counts for no longer than a minute. */
  async preview(rule: Rule, now: Date): Promise<{ size: number; users: number; sample: number[] }> {
    const params = new SqlParams(now.toISOString(), this.timeZone)
    const condition = conditionOf(rule, params, '$1::timestamptz', '$2::text')
    const [row] = await this.database.sql<{ size: number; users: number; sample: number[] | null }>(
      `WITH ${given('$1', '$2')}, matching AS MATERIALIZED (SELECT u.id FROM ${SUBJECT} WHERE ${LIVING} AND ${condition})
       SELECT (SELECT count(*)::int FROM matching) AS size, (SELECT count(*)::int FROM "User" u WHERE ${LIVING}) AS users, (SELECT array_agg(id) FROM (SELECT id FROM matching ORDER BY id LIMIT 10) few) AS sample`,
      params.values,
    )
    return { ...row, sample: row.sample ?? [] }
  }

  /** Each clause of the leaves for one user: whether it holds, and the value that was seen. */
  async explain(leaves: readonly Rule[], userId: number, now: Date): Promise<{ holds: boolean; seen: unknown }[] | undefined> {
    const params = new SqlParams(now.toISOString(), this.timeZone, userId)
    const clauses = leaves.map(rule => clauseOf(rule, params, '$1::timestamptz', '$2::text'))
    const columns = clauses.map(({ sql, seen }) => `jsonb_build_object('holds', ${sql}, 'seen', ${seen})`)
    const [row] = await this.database.sql<{ clauses: { holds: boolean; seen: unknown }[] }>(
      `WITH ${given('$1', '$2')} SELECT jsonb_build_array(${columns.join(', ')}) AS clauses FROM ${SUBJECT} WHERE u.id = $3::int`,
      params.values,
    )
    return row?.clauses
  }

  members(segmentId: string, asOf: string | null, after: number | undefined, limit: number): Promise<MemberRow[]> {
    return this.database.sql(
      `SELECT "userId", max("joinedAt") AS "joinedAt" FROM "SegmentMember" WHERE "segmentId" = $1 AND "userId" > $3
         AND CASE WHEN $2::timestamptz IS NULL THEN "leftAt" IS NULL ELSE "joinedAt" <= $2 AND ("leftAt" IS NULL OR "leftAt" > $2) END GROUP BY 1 ORDER BY 1 LIMIT $4`,
      [segmentId, asOf, after ?? 0, limit],
    )
  }

  async memberCount(segmentId: string, asOf: string | null): Promise<number> {
    const [row] = await this.database.sql<{ count: number }>(
      `SELECT count(DISTINCT "userId")::int AS count FROM "SegmentMember" WHERE "segmentId" = $1 AND CASE WHEN $2::timestamptz IS NULL THEN "leftAt" IS NULL ELSE "joinedAt" <= $2 AND ("leftAt" IS NULL OR "leftAt" > $2) END`,
      [segmentId, asOf],
    )
    return row.count
  }

  /** Current segments of each user. */
  async ofUsers(userIds: readonly number[]): Promise<(SegmentRow & { userId: number })[]> {
    return this.database.sql(
      `SELECT m."userId", s.* FROM "SegmentMember" m JOIN "Segment" s ON s.id = m."segmentId" WHERE m."userId" = ANY($1::int[]) AND m."leftAt" IS NULL AND s."archivedAt" IS NULL ORDER BY s.name, s.id`,
      [userIds],
      'segments-of-users',
    )
  }
}
