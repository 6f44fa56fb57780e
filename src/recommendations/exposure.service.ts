import { gini } from '../algorithms/evaluate/ranking.js'
import type { Database } from '../platform/database.js'
import { InvalidInput } from '../platform/errors.js'
import { cleanOptionalText, escapeLike } from '../platform/text-input.js'
import { byBrand, byCategory, byPriceBand, type Shown } from './exposure.js'
import type { ExposureArgs, RecommendationExposure } from './placements.schema.js'

const DAY_MS = 86_400_000
const DEFAULT_DAYS = 28
const MOST_DAYS = 365
/** Newest decisions that are counted. */
const SAMPLE = 50_000

const COUNTED = `SELECT id, detail->>'features' AS features FROM "Decision" WHERE kind = 'recommendation' AND at >= $1::timestamptz AND at <= $2::timestamptz
  AND ($3::text IS NULL OR detail->'rules'->>0 LIKE $3) ORDER BY at DESC LIMIT $4`
const EXPOSURE = `WITH counted AS MATERIALIZED (${COUNTED}),
  places AS (SELECT split_part(line, E'\\t', 1) AS item, count(*)::int AS places, sum(ln(2) / ln(rank + 1))::float8 AS attention
    FROM counted CROSS JOIN LATERAL unnest(string_to_array(features, E'\\n')) WITH ORDINALITY AS l(line, rank) WHERE line <> '' GROUP BY 1),
  tracked AS (SELECT "productId", count(*)::int AS impressions FROM "Event" WHERE type = 'IMPRESSION' AND "productId" IS NOT NULL
    AND "receivedAt" >= $1::timestamptz AND "receivedAt" <= $2::timestamptz GROUP BY 1)
  SELECT p.categories, p.brand, (p."priceMicros" / 1e6)::float8 AS price, p."currencyCode" AS currency, coalesce(s.places, 0) AS places,
    coalesce(s.attention, 0) AS attention, coalesce(t.impressions, 0) AS impressions
  FROM "Product" p LEFT JOIN places s ON s.item = p."externalId" LEFT JOIN tracked t ON t."productId" = p.id`

/** What recommendations showed, counted from the decisions they left. */
export class ExposureService {
  constructor(
    private readonly database: Database,
    private readonly now: () => Date = () => new Date(),
  ) {}

  async report({ placement, days: asked }: ExposureArgs): Promise<RecommendationExposure> {
    const days = asked ?? DEFAULT_DAYS
    if (days < 1 || days > MOST_DAYS) throw new InvalidInput(`days must be from 1 to ${MOST_DAYS}`, {}, ['days'])
    const name = cleanOptionalText(placement, { field: ['placement'], max: 100 })
    const to = this.now()
    const from = new Date(to.getTime() - days * DAY_MS)
    const values = [from.toISOString(), to.toISOString(), name ? `Placement "${escapeLike(name)}" version %` : null]
    const products = await this.database.sql<Shown>(EXPOSURE, [...values, SAMPLE])
    const [{ decisions }] = await this.database.sql<{ decisions: number }>(`SELECT count(*)::int AS decisions FROM (${COUNTED}) counted`, [
      ...values,
      SAMPLE + 1,
    ])
    const shown = products.filter(({ places }) => places > 0).length
    return {
      from,
      to,
      decisions: Math.min(decisions, SAMPLE),
      sampled: decisions > SAMPLE,
      places: products.reduce((sum, { places }) => sum + places, 0),
      impressions: products.reduce((sum, { impressions }) => sum + impressions, 0),
      products: shown,
      coverage: products.length > 0 ? shown / products.length : null,
      gini: shown > 0 ? gini(Float64Array.from(products, ({ places }) => places)) : null,
      categories: byCategory(products),
      brands: byBrand(products),
      priceBands: byPriceBand(products),
    }
  }
}
