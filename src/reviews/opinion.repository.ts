import type { Database } from '../platform/database.js'

export type SubjectKind = 'shop' | 'category' | 'product' | 'brand'
export type Bucket = 'hour' | 'day'

export interface Subject {
  kind: SubjectKind
  /** Product id as text, category or brand; '' of the shop. */
  key: string
}

export interface BucketRow {
  at: Date
  total: number
  negative: number
}

export interface Proposal {
  action: string
  state: 'PROPOSED' | 'DONE' | 'FAILED' | 'DISMISSED'
  by?: string
  at?: string
  note?: string
}

export interface AlertRow {
  id: string
  subject: string
  productId: number | null
  category: string | null
  brand: string | null
  kind: string
  startedAt: Date
  endedAt: Date
  severity: number
  observed: number
  expected: number
  terms: string[]
  sampleIds: string[]
  proposals: Proposal[]
  acknowledgedBy: string | null
  acknowledgedAt: Date | null
  isFalseAlarm: boolean | null
  createdAt: Date
}

export type NewAlert = Omit<AlertRow, 'acknowledgedBy' | 'acknowledgedAt' | 'isFalseAlarm' | 'createdAt'>

const COUNTS = `r."ignoredBecause" IS NULL AND r.sentiment IS NOT NULL`
const FROM: Record<SubjectKind, string> = {
  shop: `"Review" r WHERE $1 = ''`,
  category: `"Review" r JOIN "Product" p ON p.id = r."productId" WHERE p.categories @> ARRAY[$1]`,
  product: `"Review" r WHERE r."productId" = $1::int`,
  brand: `"Review" r LEFT JOIN "Product" p ON p.id = r."productId" WHERE COALESCE(p.brand, r.brand) = $1`,
}

export class OpinionRepository {
  constructor(private readonly database: Database) {}

  /** Mentions and negative ones by bucket of UTC time; buckets without any are absent. */
  buckets({ kind, key }: Subject, bucket: Bucket, from: Date, to: Date): Promise<BucketRow[]> {
    return this.database.sql<BucketRow>(
      `SELECT date_trunc($2, r."createdAt", 'UTC') AS at, count(*)::int AS total, count(*) FILTER (WHERE r.sentiment = 'NEGATIVE')::int AS negative
       FROM ${FROM[kind]} AND ${COUNTS} AND r."createdAt" >= $3 AND r."createdAt" < $4 GROUP BY 1 ORDER BY 1`,
      [key, bucket, from, to],
    )
  }

  /** What is talked about enough to be watched, with its mentions in the time: the shop, categories, brands, and products with at least `fewest` mentions. */
  subjects(from: Date, fewest: number, limit: number): Promise<(Subject & { mentions: number })[]> {
    return this.database.sql(
      `WITH said AS (SELECT r."productId", p.categories, COALESCE(p.brand, r.brand) AS brand FROM "Review" r LEFT JOIN "Product" p ON p.id = r."productId"
         WHERE ${COUNTS} AND r."createdAt" >= $1)
       SELECT * FROM (
         SELECT 'shop' AS kind, '' AS key, count(*)::int AS mentions FROM said
         UNION ALL SELECT 'category', c, count(*)::int FROM said, unnest(categories) AS c GROUP BY c
         UNION ALL SELECT 'brand', brand, count(*)::int FROM said WHERE brand IS NOT NULL GROUP BY brand
         UNION ALL SELECT 'product', "productId"::text, count(*)::int FROM said WHERE "productId" IS NOT NULL GROUP BY "productId") subjects
       WHERE mentions >= $2 ORDER BY mentions DESC, kind, key LIMIT $3`,
      [from, fewest, limit],
    )
  }

  /** The texts of a time, negative ones only if wanted, newest first. */
  texts({ kind, key }: Subject, from: Date, to: Date, onlyNegative: boolean, limit: number): Promise<{ id: string; text: string }[]> {
    return this.database.sql(
      `SELECT r.id, r.text FROM ${FROM[kind]} AND ${COUNTS} AND r."createdAt" >= $2 AND r."createdAt" < $3 AND (NOT $4::bool OR r.sentiment = 'NEGATIVE')
       ORDER BY r.score, r."createdAt" DESC LIMIT $5`,
      [key, from, to, onlyNegative, limit],
    )
  }

  /** Keeps alerts; one that is known grows, unless a person has acknowledged it. Returns the ids of the new ones. */
  async keep(alerts: readonly NewAlert[]): Promise<string[]> {
    const rows = await this.database.sql<{ id: string; isNew: boolean }>(
      `INSERT INTO "OpinionAlert" AS a (id, subject, "productId", category, brand, kind, "startedAt", "endedAt", severity, observed, expected, terms, "sampleIds", proposals)
       SELECT id, subject, "productId", category, brand, kind, "startedAt", "endedAt", severity, observed, expected, terms, "sampleIds", proposals
       FROM json_to_recordset($1) AS n(id text, subject text, "productId" int, category text, brand text, kind text, "startedAt" timestamptz, "endedAt" timestamptz,
         severity float8, observed int, expected float8, terms text[], "sampleIds" text[], proposals jsonb)
       ON CONFLICT (subject, "startedAt") DO UPDATE SET "endedAt" = EXCLUDED."endedAt", severity = EXCLUDED.severity, observed = EXCLUDED.observed,
         expected = EXCLUDED.expected, kind = EXCLUDED.kind, terms = EXCLUDED.terms, "sampleIds" = EXCLUDED."sampleIds"
         WHERE a."acknowledgedAt" IS NULL AND EXCLUDED."endedAt" > a."endedAt"
       RETURNING id, (xmax = 0) AS "isNew"`,
      [JSON.stringify(alerts)],
    )
    return rows.filter(({ isNew }) => isNew).map(({ id }) => id)
  }

  /** Starts and ends of the alerts of a subject since a time. */
  known(subject: string, since: Date): Promise<{ startedAt: Date; endedAt: Date }[]> {
    return this.database.sql('SELECT "startedAt", "endedAt" FROM "OpinionAlert" WHERE subject = $1 AND "endedAt" >= $2', [subject, since])
  }

  async get(id: string): Promise<AlertRow | undefined> {
    return (await this.database.sql<AlertRow>('SELECT * FROM "OpinionAlert" WHERE id = $1', [id]))[0]
  }

  page(isOpen: boolean | null, after: { startedAt: string; id: string } | undefined, limit: number): Promise<AlertRow[]> {
    return this.database.sql<AlertRow>(
      `SELECT * FROM "OpinionAlert" WHERE ($1::bool IS NULL OR ("acknowledgedAt" IS NULL) = $1) AND ($2::timestamptz IS NULL OR ("startedAt", id) < ($2, $3))
       ORDER BY "startedAt" DESC, id DESC LIMIT $4`,
      [isOpen, after?.startedAt ?? null, after?.id ?? null, limit],
    )
  }

  async count(isOpen: boolean | null): Promise<number> {
    const [{ count }] = await this.database.sql<{ count: bigint }>(
      'SELECT count(*) FROM "OpinionAlert" WHERE $1::bool IS NULL OR ("acknowledgedAt" IS NULL) = $1',
      [isOpen],
    )
    return Number(count)
  }

  /** Of parallel acknowledgements the first counts. */
  async acknowledge(id: string, by: string, isFalseAlarm: boolean | null, at: Date): Promise<AlertRow | undefined> {
    const [row] = await this.database.sql<AlertRow>(
      `UPDATE "OpinionAlert" SET "acknowledgedBy" = $2, "isFalseAlarm" = $3, "acknowledgedAt" = $4 WHERE id = $1 AND "acknowledgedAt" IS NULL RETURNING *`,
      [id, by, isFalseAlarm, at],
    )
    return row
  }

  /** Moves one proposal from a state, so that it is acted on once. */
  async decide(id: string, action: string, from: readonly string[], to: Proposal): Promise<AlertRow | undefined> {
    const [row] = await this.database.sql<AlertRow>(
      `UPDATE "OpinionAlert" SET proposals = (SELECT jsonb_agg(CASE WHEN p->>'action' = $2 THEN $4::jsonb ELSE p END) FROM jsonb_array_elements(proposals) p)
       WHERE id = $1 AND EXISTS (SELECT 1 FROM jsonb_array_elements(proposals) p WHERE p->>'action' = $2 AND p->>'state' = ANY($3)) RETURNING *`,
      [id, action, from, JSON.stringify(to)],
    )
    return row
  }

  /** How alerts were judged since a time. */
  async judged(since: Date): Promise<{ alerts: number; judged: number; falseAlarms: number }> {
    const [row] = await this.database.sql<{ alerts: number; judged: number; falseAlarms: number }>(
      `SELECT count(*)::int AS alerts, count("isFalseAlarm")::int AS judged, count(*) FILTER (WHERE "isFalseAlarm")::int AS "falseAlarms"
       FROM "OpinionAlert" WHERE "startedAt" >= $1`,
      [since],
    )
    return row
  }
}
