import type { SqlDatabase } from '../platform/database.js'

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

/** PROPOSED → RUNNING → DONE or FAILED, or PROPOSED → DISMISSED; RUNNING is kept before anything is done, so that what a crash interrupts is finished. */
export interface Proposal {
  action: string
  state: 'PROPOSED' | 'RUNNING' | 'DONE' | 'FAILED' | 'DISMISSED'
  by?: string
  /** Since when it is in its state; of RUNNING it is the mark of who does it. */
  at?: string
  note?: string
}

/** The steps of a subject that have mentions: since the epoch, with how many there were and how many of them are negative. */
export interface Series extends Subject {
  mentions: number
  steps: Int32Array
  total: Int32Array
  negative: Int32Array
}

/** The posts of a subject in a time. */
export interface PostSpan extends Subject {
  from: Date
  to: Date
  onlyNegative: boolean
}

export interface AlertRow {
  id: string
  subject: string
  /** Every subject that the same posts made stand out, its own first. */
  subjects: string[]
  /** Of each of them, the beginning of the last step that people were told of. */
  toldUntil: Record<string, string>
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

export type KnownAlert = Pick<AlertRow, 'id' | 'subject' | 'subjects' | 'toldUntil' | 'startedAt'>

export type NewAlert = Omit<AlertRow, 'acknowledgedBy' | 'acknowledgedAt' | 'isFalseAlarm' | 'createdAt'>

const COUNTS = `r."ignoredBecause" IS NULL AND r.sentiment IS NOT NULL`
const FROM: Record<SubjectKind, (key: string) => string> = {
  shop: key => `"Review" r WHERE ${key} = ''`,
  category: key => `"Review" r JOIN "Product" p ON p.id = r."productId" WHERE p.categories @> ARRAY[${key}]`,
  product: key => `"Review" r WHERE r."productId" = ${key}::int`,
  brand: key => `"Review" r LEFT JOIN "Product" p ON p.id = r."productId" WHERE COALESCE(p.brand, r.brand) = ${key}`,
}
/** The posts of the spans `w`; of the four only the one of its kind is looked up. */
const OF_SPAN = (Object.keys(FROM) as SubjectKind[])
  .map(
    kind =>
      `SELECT r.id, r.text, r.score, r."createdAt" FROM ${FROM[kind](`CASE WHEN w.kind = '${kind}' THEN w.key END`)} AND w.kind = '${kind}' AND ${COUNTS}
         AND r."createdAt" >= w.begin AND r."createdAt" < w.until AND (NOT w.bad OR r.sentiment = 'NEGATIVE')`,
  )
  .join(' UNION ALL ')
const SPANS = `unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::bool[]) WITH ORDINALITY AS w(kind, key, begin, until, bad, n)`
/** More of a text says nothing more of what a spike is about. */
const TEXT_START = 4_000

export class OpinionRepository {
  constructor(private readonly database: SqlDatabase) {}

  /** Of what `work` writes nothing stays. */
  rehearse<T>(work: (dry: OpinionRepository) => Promise<T>): Promise<T> {
    return this.database.rehearse(dry => work(new OpinionRepository(dry)))
  }

  /** Mentions and negative ones by bucket of UTC time; buckets without any are absent. */
  buckets({ kind, key }: Subject, bucket: Bucket, from: Date, to: Date): Promise<BucketRow[]> {
    return this.database.sql<BucketRow>(
      `SELECT date_trunc($2, r."createdAt", 'UTC') AS at, count(*)::int AS total, count(*) FILTER (WHERE r.sentiment = 'NEGATIVE')::int AS negative
       FROM ${FROM[kind]('$1')} AND ${COUNTS} AND r."createdAt" >= $3 AND r."createdAt" < $4 GROUP BY 1 ORDER BY 1`,
      [key, bucket, from, to],
    )
  }

  /**
   * The series of everything that is talked about in the time, in one pass over it: the shop, categories, brands and products, or only those of `only`; with at least `fewest` mentions, the
   * most mentioned first, at most `limit`.
   */
  async series(
    bucket: Bucket,
    [from, to]: readonly [Date, Date],
    { fewest, limit, only }: { fewest: number; limit: number; only?: readonly Subject[] },
  ): Promise<Series[]> {
    const seconds = bucket === 'hour' ? 3_600 : 86_400
    const rows = await this.database.sql<Subject & { mentions: number; packed: Buffer }>(
      `WITH said AS (
         SELECT r."productId", r.brand, floor(extract(epoch FROM r."createdAt") / $1)::int AS step, count(*)::int AS total,
           count(*) FILTER (WHERE r.sentiment = 'NEGATIVE')::int AS negative
         FROM "Review" r WHERE ${COUNTS} AND r."createdAt" >= $2 AND r."createdAt" < $3 GROUP BY 1, 2, 3),
       named AS (SELECT s.*, p.categories, COALESCE(p.brand, s.brand) AS name FROM said s LEFT JOIN "Product" p ON p.id = s."productId"),
       parts AS (
         SELECT 'shop' AS kind, '' AS key, step, total, negative FROM said
         UNION ALL SELECT 'category', c, step, total, negative FROM named, LATERAL (SELECT DISTINCT unnest(categories) AS c) each
         UNION ALL SELECT 'brand', name, step, total, negative FROM named WHERE name IS NOT NULL
         UNION ALL SELECT 'product', "productId"::text, step, total, negative FROM said WHERE "productId" IS NOT NULL),
       steps AS (SELECT kind, key, step, sum(total)::int AS total, sum(negative)::int AS negative FROM parts
         WHERE $6::text[] IS NULL OR (kind, key) IN (SELECT * FROM unnest($6::text[], $7::text[])) GROUP BY 1, 2, 3)
       SELECT kind, key, sum(total)::int AS mentions, string_agg(int4send(step) || int4send(total) || int4send(negative), ''::bytea ORDER BY step) AS packed
       FROM steps GROUP BY kind, key HAVING sum(total) >= $4 ORDER BY 3 DESC, kind, key LIMIT $5`,
      [seconds, from, to, fewest, limit, only?.map(({ kind }) => kind) ?? null, only?.map(({ key }) => key) ?? null],
    )
    return rows.map(({ packed, ...row }) => {
      const column = (place: number) => Int32Array.from({ length: packed.length / 12 }, (_, at) => packed.readInt32BE(12 * at + 4 * place))
      return { ...row, steps: column(0), total: column(1), negative: column(2) }
    })
  }

  /** The beginnings of the texts of each span, the most negative first, then the newest. */
  async texts(spans: readonly PostSpan[], limit: number): Promise<{ id: string; text: string }[][]> {
    const rows = await this.database.sql<{ n: number; id: string; text: string }>(
      `SELECT w.n::int, t.id, left(t.text, ${TEXT_START}) AS text FROM ${SPANS},
         LATERAL (SELECT * FROM (${OF_SPAN}) r ORDER BY r.score, r."createdAt" DESC, r.id LIMIT $6) t ORDER BY w.n, t.score, t."createdAt" DESC, t.id`,
      [...spanValues(spans), limit],
    )
    const found: { id: string; text: string }[][] = spans.map(() => [])
    for (const { n, id, text } of rows) found[n - 1].push({ id, text })
    return found
  }

  /** How many posts each span has, and the ids of those whose hashes are the lowest. */
  async posts(spans: readonly PostSpan[], limit: number): Promise<{ count: number; ids: string[] }[]> {
    const rows = await this.database.sql<{ n: number; count: number; ids: string[] }>(
      `SELECT w.n::int, max(t.count)::int AS count, array_agg(t.id) AS ids FROM ${SPANS},
         LATERAL (SELECT r.id, count(*) OVER () AS count FROM (${OF_SPAN}) r ORDER BY hashtext(r.id), r.id LIMIT $6) t GROUP BY w.n`,
      [...spanValues(spans), limit],
    )
    const found = new Map(rows.map(row => [row.n - 1, row]))
    return spans.map((_, at) => found.get(at) ?? { count: 0, ids: [] })
  }

  /** Keeps alerts; one that is known grows, unless a person has acknowledged it. Returns the ids of the new ones. */
  async keep(alerts: readonly NewAlert[]): Promise<string[]> {
    const rows = await this.database.sql<{ id: string; isNew: boolean }>(
      `INSERT INTO "OpinionAlert" AS a (id, subject, subjects, "toldUntil", "productId", category, brand, kind, "startedAt", "endedAt", severity, observed, expected, terms, "sampleIds", proposals)
       SELECT id, subject, subjects, "toldUntil", "productId", category, brand, kind, "startedAt", "endedAt", severity, observed, expected, terms, "sampleIds", proposals
       FROM json_to_recordset($1) AS n(id text, subject text, subjects text[], "toldUntil" jsonb, "productId" int, category text, brand text, kind text, "startedAt" timestamptz, "endedAt" timestamptz,
         severity float8, observed int, expected float8, terms text[], "sampleIds" text[], proposals jsonb)
       ON CONFLICT (subject, "startedAt") DO UPDATE SET "endedAt" = EXCLUDED."endedAt", severity = EXCLUDED.severity, observed = EXCLUDED.observed,
         expected = EXCLUDED.expected, kind = EXCLUDED.kind, terms = EXCLUDED.terms, "sampleIds" = EXCLUDED."sampleIds",
         subjects = a.subjects || ARRAY(SELECT s FROM unnest(EXCLUDED.subjects) s WHERE s <> ALL(a.subjects)), "toldUntil" = a."toldUntil" || EXCLUDED."toldUntil"
         WHERE a."acknowledgedAt" IS NULL AND EXCLUDED."endedAt" > a."endedAt"
       RETURNING id, (xmax = 0) AS "isNew"`,
      [JSON.stringify(alerts)],
    )
    return rows.filter(({ isNew }) => isNew).map(({ id }) => id)
  }

  /** An alert that is known stands for more subjects, or for more of their time; it proposes what can be done about their product too. */
  async join(
    id: string,
    toldUntil: Readonly<Record<string, string>>,
    productId: number | null,
    proposals: readonly Proposal[],
  ): Promise<void> {
    await this.database.sql(
      `UPDATE "OpinionAlert" SET subjects = subjects || ARRAY(SELECT s FROM jsonb_object_keys($2) s WHERE s <> ALL(subjects)), "toldUntil" = "toldUntil" || $2,
         "productId" = COALESCE("productId", $3), proposals = CASE WHEN "productId" IS NULL AND $3 IS NOT NULL THEN $4::jsonb || proposals ELSE proposals END WHERE id = $1`,
      [id, JSON.stringify(toldUntil), productId, JSON.stringify(proposals)],
    )
  }

  /** The alerts that stand for any of the subjects and reach into the time. */
  known(subjects: readonly string[], since: Date): Promise<KnownAlert[]> {
    return this.database.sql<KnownAlert>(
      `SELECT id, subject, subjects, "toldUntil", "startedAt" FROM "OpinionAlert" WHERE subjects && $1::text[]
         AND ("endedAt" >= $2 OR EXISTS (SELECT 1 FROM jsonb_each_text("toldUntil") t WHERE t.value::timestamptz >= $2)) ORDER BY "startedAt"`,
      [subjects, since],
    )
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

  /** Moves one proposal from one of the states, RUNNING only where that has lasted since before `stale`; of parallel calls one succeeds. */
  async decide(id: string, to: Proposal, stale: Date, from: readonly Proposal['state'][]): Promise<AlertRow | undefined> {
    return this.move(id, to, `p->>'state' = ANY($4) AND (p->>'state' <> 'RUNNING' OR (p->>'at')::timestamptz < $5)`, [from, stale])
  }

  /** Keeps what came of a claim, unless another one has taken its place. */
  async end(id: string, claim: Proposal, outcome: Proposal): Promise<AlertRow | undefined> {
    return this.move(id, outcome, `p->>'state' = 'RUNNING' AND p->>'at' = $4`, [claim.at])
  }

  /** Alerts with an action that has been running since before the time. */
  interrupted(before: Date): Promise<AlertRow[]> {
    return this.database.sql<AlertRow>(
      `SELECT * FROM "OpinionAlert" WHERE proposals @> '[{"state": "RUNNING"}]' AND EXISTS (SELECT 1 FROM jsonb_array_elements(proposals) p
         WHERE p->>'state' = 'RUNNING' AND (p->>'at')::timestamptz < $1) ORDER BY "startedAt" LIMIT 100`,
      [before],
    )
  }

  private async move(id: string, to: Proposal, condition: string, params: readonly unknown[]): Promise<AlertRow | undefined> {
    const [row] = await this.database.sql<AlertRow>(
      `UPDATE "OpinionAlert" SET proposals = (SELECT jsonb_agg(CASE WHEN p->>'action' = $2 THEN $3::jsonb ELSE p END ORDER BY n)
         FROM jsonb_array_elements(proposals) WITH ORDINALITY AS each(p, n))
       WHERE id = $1 AND EXISTS (SELECT 1 FROM jsonb_array_elements(proposals) p WHERE p->>'action' = $2 AND ${condition}) RETURNING *`,
      [id, to.action, JSON.stringify(to), ...params],
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

function spanValues(spans: readonly PostSpan[]): unknown[] {
  return [
    spans.map(({ kind }) => kind),
    spans.map(({ key }) => key),
    spans.map(({ from }) => from),
    spans.map(({ to }) => to),
    spans.map(({ onlyNegative }) => onlyNegative),
  ]
}
