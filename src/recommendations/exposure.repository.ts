import type { Database } from '../platform/database.js'
import { WHOLE_DECISIONS } from '../registry/decisions.js'
import type { Shown } from './exposure.js'

const COUNTED = `SELECT d.id, whole.detail->>'features' AS features FROM ${WHOLE_DECISIONS} WHERE d.kind = 'recommendation'
  AND d.at >= $1::timestamptz AND d.at <= $2::timestamptz AND ($3::text IS NULL OR whole.detail->'rules'->>0 LIKE $3) ORDER BY d.at DESC LIMIT $4`
const EXPOSURE = `WITH counted AS MATERIALIZED (${COUNTED}),
  places AS (SELECT split_part(line, E'\\t', 1) AS item, count(*)::int AS places, sum(ln(2) / ln(rank + 1))::float8 AS attention
    FROM counted CROSS JOIN LATERAL unnest(string_to_array(features, E'\\n')) WITH ORDINALITY AS l(line, rank) WHERE line <> '' GROUP BY 1),
  tracked AS (SELECT "productId", count(*)::int AS impressions FROM "Event" WHERE type = 'IMPRESSION' AND "productId" IS NOT NULL
    AND "receivedAt" >= $1::timestamptz AND "receivedAt" <= $2::timestamptz GROUP BY 1)
  SELECT p.categories, p.brand, (p."priceMicros" / 1e6)::float8 AS price, p."currencyCode" AS currency, coalesce(s.places, 0) AS places,
    coalesce(s.attention, 0) AS attention, coalesce(t.impressions, 0) AS impressions
  FROM "Product" p LEFT JOIN places s ON s.item = p."externalId" LEFT JOIN tracked t ON t."productId" = p.id`

/** What stands in the decisions of recommendations, which keep the items of a list in the order in which they were shown. */
export class ExposureRepository {
  constructor(private readonly database: Database) {}

  /** Every product with what was shown of it in the newest `sample` lists whose first rule is like `pattern`; `decisions` is one more when there were more. */
  async shown(from: Date, to: Date, pattern: string | null, sample: number): Promise<{ products: Shown[]; decisions: number }> {
    const values = [from.toISOString(), to.toISOString(), pattern]
    const products = await this.database.sql<Shown>(EXPOSURE, [...values, sample])
    const [{ decisions }] = await this.database.sql<{ decisions: number }>(`SELECT count(*)::int AS decisions FROM (${COUNTED}) counted`, [
      ...values,
      sample + 1,
    ])
    return { products, decisions }
  }
}
