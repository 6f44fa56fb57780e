import type { MetricSums } from '../algorithms/evaluate/experiment.js'
import type { Database } from '../platform/database.js'
import type { RecommendationExperiment } from '../platform/generated/prisma/client.js'
import { ANSWERED_DECISIONS, type Asked } from '../registry/decisions.js'
import type { RecommendationAlgorithm } from './recommendations.schema.js'
import { TELLING_TYPES_SQL, WEIGHT_SQL } from './weights.js'

export interface Arm {
  key: string
  /** Of the users, above 0; all shares sum to 1. */
  share: number
  algorithm: RecommendationAlgorithm
  /** null: as the request says. */
  diversity: number | null
  /** 0 to 1: how often by chance another than the best comes first. */
  exploration: number
}

export type ExperimentRow = Omit<RecommendationExperiment, 'arms'> & { arms: Arm[] }

/** What one metric sums to in one arm. */
export interface MetricRow extends MetricSums {
  arm: number
  metric: Metric
}

export type Metric = 'CLICK_THROUGH' | 'CONVERSION' | 'REVENUE_PER_VISITOR'

/** A decision in which chance chose what came first, what came of it, and what was known of the user at that moment. */
export interface LoggedDecision {
  userId: number
  at: Date
  placement: string | null
  asked: Asked | null
  /** Internal ids of what was shown, in order, and the chance of each to stand there. */
  shown: number[]
  chances: number[]
  /** Those of them that were rewarded. */
  rewarded: number[]
  products: number[]
  hundredths: number[]
  seconds: number[]
}

interface Exposure {
  experimentId: string
  userId: number
  arm: number
  at: Date
}

const HISTORY = 1_000
/** A click belongs to a list for a day. */
const ATTRIBUTION = `interval '1 day'`

export class ExperimentsRepository {
  constructor(private readonly database: Database) {}

  async find(id: string): Promise<ExperimentRow | undefined> {
    return (await this.database.sql<ExperimentRow>('SELECT * FROM "RecommendationExperiment" WHERE id = $1', [id]))[0]
  }

  running(): Promise<ExperimentRow[]> {
    return this.database.sql(`SELECT * FROM "RecommendationExperiment" WHERE status = 'RUNNING' ORDER BY id`, [], 'experiments-running')
  }

  page(after: { createdAt: string; id: string } | undefined, limit: number): Promise<ExperimentRow[]> {
    return this.database.sql(
      `SELECT * FROM "RecommendationExperiment" WHERE ($1::timestamptz IS NULL OR ("createdAt", id) < ($1, $2)) ORDER BY "createdAt" DESC, id DESC LIMIT $3`,
      [after?.createdAt ?? null, after?.id ?? null, limit],
    )
  }

  async count(): Promise<number> {
    return (await this.database.sql<{ count: number }>('SELECT count(*)::int AS count FROM "RecommendationExperiment"'))[0].count
  }

  async create(experiment: Omit<ExperimentRow, 'status' | 'version' | 'startedAt' | 'stoppedAt' | 'stopNote'>): Promise<ExperimentRow> {
    const { id, name, placement, salt, arms, plannedUsers, createdAt, createdBy } = experiment
    const [row] = await this.database.sql<ExperimentRow>(
      `INSERT INTO "RecommendationExperiment" (id, name, placement, salt, arms, "plannedUsers", "createdAt", "createdBy")
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING *`,
      [id, name, placement, salt, JSON.stringify(arms), plannedUsers, createdAt, createdBy],
    )
    return row
  }

  /** Changes a draft of the expected version; undefined when there is none. */
  async update(
    id: string,
    version: number,
    { name, placement, arms, plannedUsers }: Pick<ExperimentRow, 'name' | 'placement' | 'arms' | 'plannedUsers'>,
  ): Promise<ExperimentRow | undefined> {
    const [row] = await this.database.sql<ExperimentRow>(
      `UPDATE "RecommendationExperiment" SET name = $3, placement = $4, arms = $5, "plannedUsers" = $6, version = version + 1
       WHERE id = $1 AND version = $2 AND status = 'DRAFT' RETURNING *`,
      [id, version, name, placement, JSON.stringify(arms), plannedUsers],
    )
    return row
  }

  /** One step of its life, if it still stands where it is expected; undefined when not. */
  async move(
    id: string,
    version: number,
    { from, to, at, note }: { from: string; to: 'RUNNING' | 'STOPPED'; at: Date; note: string | null },
  ): Promise<ExperimentRow | undefined> {
    const moment = to === 'RUNNING' ? 'startedAt' : 'stoppedAt'
    const [row] = await this.database.sql<ExperimentRow>(
      `UPDATE "RecommendationExperiment" SET status = $4::"ExperimentStatus", "${moment}" = $5, "stopNote" = $6, version = version + 1
       WHERE id = $1 AND version = $2 AND status = $3::"ExperimentStatus" RETURNING *`,
      [id, version, from, to, at, note],
    )
    return row
  }

  /**
   * Stores first exposures and returns for each the arm that holds: the one its person was shown first, be it under a record that was merged into this one since.
   * In one order for all callers, so that parallel calls never deadlock.
   */
  async expose(exposures: readonly Exposure[]): Promise<number[]> {
    const rows = await this.database.sql<Omit<Exposure, 'at'>>(
      `WITH given AS (
         SELECT DISTINCT ON ("experimentId", "userId") "experimentId", "userId", arm, at
         FROM json_to_recordset($1) AS e("experimentId" text, "userId" int, arm int, at timestamptz) ORDER BY "experimentId", "userId", at),
       held AS (
         SELECT g."experimentId", g."userId", g.at, coalesce(x.arm, g.arm) AS arm
         FROM given g LEFT JOIN LATERAL (
           SELECT x.arm FROM (SELECT g."userId" AS id UNION ALL SELECT id FROM "User" WHERE "mergedIntoId" = g."userId") p
           JOIN "RecommendationExposure" x ON x."experimentId" = g."experimentId" AND x."userId" = p.id ORDER BY x.at, x."userId" LIMIT 1) x ON true),
       stored AS (
         INSERT INTO "RecommendationExposure" ("experimentId", "userId", arm, at)
         SELECT "experimentId", "userId", arm, at FROM held ORDER BY "experimentId", "userId" ON CONFLICT DO NOTHING)
       SELECT "experimentId", "userId", arm FROM held`,
      [JSON.stringify(exposures)],
      'expose-users',
    )
    const keyOf = ({ experimentId, userId }: Omit<Exposure, 'at'>) => `${experimentId} ${userId}`
    const held = new Map(rows.map(row => [keyOf(row), row.arm]))
    return exposures.map(exposure => held.get(keyOf(exposure)) ?? exposure.arm)
  }

  /**
   * People of each arm, and sums of every metric over them, from the first exposure of each until `until`. Records that were merged are one person, in the arm
   * that was shown first; once they are apart again they count apart.
   */
  async sums(experimentId: string, until: Date): Promise<MetricRow[]> {
    const sums = (metric: Metric, x: string, y: string) =>
      `SELECT arm, '${metric}' AS metric, count(*)::int AS users, sum(${x})::float8 AS x, sum(${y})::float8 AS y,
         sum((${x}) ^ 2)::float8 AS xx, sum((${y}) ^ 2)::float8 AS yy, sum((${x}) * (${y}))::float8 AS xy FROM seen GROUP BY arm`
    return this.database.sql(
      `WITH members AS (
         SELECT x."userId" AS member, coalesce(u."mergedIntoId", x."userId") AS person, x.arm, x.at
         FROM "RecommendationExposure" x LEFT JOIN "User" u ON u.id = x."userId" WHERE x."experimentId" = $1 AND x.at <= $2),
       exposed AS (SELECT DISTINCT ON (person) person, arm, at FROM members ORDER BY person, at, member),
       lists AS (
         SELECT m.person, sum(answers)::float8 AS lists, coalesce(sum(answers) FILTER (WHERE EXISTS (
           SELECT 1 FROM "Event" v WHERE v."userId" = m.person AND v.type IN ('CLICK', 'VIEW') AND v."occurredAt" >= d.at
             AND v."occurredAt" < d.at + ${ATTRIBUTION} AND d.detail->'experiment'->'shown' @> to_jsonb(v."productId"))), 0)::float8 AS clicked
         FROM ${ANSWERED_DECISIONS} JOIN members m ON m.member = d."userId"
         WHERE d.kind = 'recommendation' AND d.at <= $2 AND d.detail->'experiment'->>'id' = $1 GROUP BY 1),
       orders AS (
         SELECT e.person, sum(CASE v.type WHEN 'REFUND' THEN -1 ELSE 1 END * coalesce(v."priceMicros", 0) / 1e6 * coalesce(v.quantity, 1))::float8 AS revenue,
           bool_or(v.type = 'PURCHASE')::int AS bought
         FROM "Event" v JOIN exposed e ON e.person = v."userId" WHERE v.type IN ('PURCHASE', 'REFUND') AND v."occurredAt" BETWEEN e.at AND $2 GROUP BY 1),
       seen AS (
         SELECT arm, coalesce(lists, 0) AS lists, coalesce(clicked, 0) AS clicked, coalesce(revenue, 0) AS revenue, coalesce(bought, 0)::float8 AS bought
         FROM exposed LEFT JOIN lists USING (person) LEFT JOIN orders USING (person))
       ${sums('CLICK_THROUGH', 'clicked', 'lists')} UNION ALL ${sums('CONVERSION', 'bought', '1::float8')}
       UNION ALL ${sums('REVENUE_PER_VISITOR', 'revenue', '1::float8')} ORDER BY 2, 1`,
      [experimentId, until],
    )
  }

  /**
   * The newest decisions of `days` in which chance chose the first item, of a placement if one is given. Of those without more chances the first one is told;
   * those of users who were erased tell nothing, as what they did is gone.
   */
  async explored(days: number, placement: string | null, reward: 'CLICK' | 'PURCHASE', limit: number): Promise<LoggedDecision[]> {
    const types = reward === 'CLICK' ? `('CLICK', 'VIEW')` : `('PURCHASE')`
    const window = reward === 'CLICK' ? ATTRIBUTION : `interval '7 days'`
    type Row = Pick<LoggedDecision, 'userId' | 'at' | 'placement' | 'asked' | 'shown'> & {
      probability: number
      chances: number[] | null
      rewarded: number[] | null
      history: number[][] | null
    }
    const rows = await this.database.sql<Row>(
      `SELECT d.person AS "userId", d.at, e->>'placement' AS placement, e->'asked' AS asked, e->'shown' AS shown, (e->>'probability')::float8 AS probability, e->'chances' AS chances, r.rewarded, h.history
       FROM (SELECT d.at, coalesce(u."mergedIntoId", d."userId") AS person, detail->'experiment' AS e
         FROM "Decision" d JOIN "User" u ON u.id = d."userId" WHERE kind = 'recommendation' AND at > now() - make_interval(days => $1)
         AND (detail->'experiment'->>'probability')::float8 < 1 AND ($2::text IS NULL OR detail->'experiment'->>'placement' = $2)
         ORDER BY at DESC LIMIT $3) d
       LEFT JOIN LATERAL (
         SELECT array_agg(DISTINCT v."productId") AS rewarded FROM "Event" v WHERE v."userId" = d.person AND v.type IN ${types}
           AND v."occurredAt" >= d.at AND v."occurredAt" < d.at + ${window} AND d.e->'shown' @> to_jsonb(v."productId")) r ON true
       LEFT JOIN LATERAL (
         SELECT json_agg(json_build_array("productId", hundredths, seconds)) AS history
         FROM (SELECT "productId", sum((100 * (${WEIGHT_SQL}))::int) AS hundredths, extract(epoch FROM max("occurredAt"))::int8 AS seconds
           FROM (SELECT "productId", type, value, "occurredAt" FROM "Event" WHERE "userId" = d.person AND "productId" IS NOT NULL
             AND type IN ${TELLING_TYPES_SQL} AND "occurredAt" < d.at AND "receivedAt" < d.at ORDER BY "occurredAt" DESC LIMIT ${HISTORY}) newest
           GROUP BY 1 ORDER BY 3, 1) touched) h ON true`,
      [days, placement, limit],
    )
    const column = (history: number[][] | null, at: number) => (history ?? []).map(entry => entry[at])
    return rows.map(({ history, rewarded, chances, probability, ...row }) => ({
      ...row,
      chances: chances ?? [probability],
      rewarded: rewarded ?? [],
      products: column(history, 0),
      hundredths: column(history, 1),
      seconds: column(history, 2),
    }))
  }
}
