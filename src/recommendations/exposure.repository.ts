import type { Database } from '../platform/database.js'
import { ANSWERED_DECISIONS } from '../registry/decisions.js'
import type { Shown } from './exposure.js'

const COUNTED = `SELECT id, detail->>'features' AS features, answers FROM ${ANSWERED_DECISIONS} WHERE kind = 'recommendation' AND at >= $1::timestamptz AND at <= $2::timestamptz
  AND ($3::text IS NULL OR detail->'rules'->>0 LIKE $3) ORDER BY at DESC LIMIT $4`
const EXPOSURE = `WITH counted AS MATERIALIZED (${COUNTED}),
  places AS (SELECT split_part(line, E'\\t', 1) AS item, sum(answers)::int AS places, sum(answers * ln(2) / ln(rank + 1))::float8 AS attention
    FROM counted CROSS JOIN LATERAL unnest(string_to_array(features, E'\\n')) WITH ORDINALITY AS l(line, rank) WHERE line <> '' GROUP BY 1),
  tracked AS (SELECT "productId", count(*)::int AS impressions FROM "Event" WHERE type = 'IMPRESSION' AND "productId" IS NOT NULL
    AND "receivedAt" >= $1::timestamptz AND "receivedAt" <= $2::timestamptz GROUP BY 1)
  SELECT p.categories, p.brand, (p."priceMicros" / 1e6)::float8 AS price, p."currencyCode" AS currency, coalesce(s.places, 0) AS places,
    coalesce(s.attention, 0) AS attention, coalesce(t.impressions, 0) AS impressions
  FROM "Product" p LEFT JOIN places s ON s.item = p."externalId" LEFT JOIN tracked t ON t."productId" = p.id`

/** What stands in the decisions of recommendations, which keep the items of a list in the order in which they were shown. */
export class ExposureRepository {
  constructor(private readonly database: Database) {}

  /** Every product with what was shown of it in the newest `sample` lists whose first rule is like `pattern`, as often as they were answered; and whether there were more. */
  async shown(
    from: Date,
    to: Date,
    pattern: string | null,
    sample: number,
  ): Promise<{ products: Shown[]; decisions: number; sampled: boolean }> {
    const values = [from.toISOString(), to.toISOString(), pattern]
    const products = await this.database.sql<Shown>(EXPOSURE, [...values, sample])
    const [{ decisions, lists }] = await this.database.sql<{ decisions: number; lists: number }>(
      `SELECT coalesce(sum(answers) FILTER (WHERE place < $4), 0)::int AS decisions, count(*)::int AS lists
       FROM (SELECT answers, row_number() OVER () AS place FROM (${COUNTED}) counted) numbered`,
      [...values, sample + 1],
    )
    return { products, decisions, sampled: lists > sample }
  }
}
