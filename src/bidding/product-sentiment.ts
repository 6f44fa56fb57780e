import type { Database } from '../platform/database.js'

/** What the reviews of one product said on one day (UTC): how many that count, and the sum of their scores in [−1, 1]. */
export interface SentimentDay {
  productId: number
  /** Days since the epoch. */
  day: number
  reviews: number
  score: number
}

export const SENTIMENT_DAYS = 90
/** Fewer reviews say nothing. */
const FEWEST = 5
/** Reviews without an opinion that the belief of no opinion weighs. */
const PRIOR = 5
/** Bands a unit of the score. */
const BANDS = 4
const DAY_MS = 86_400_000

/**
 * The sentiment of products as a feature of clicks and conversions: the mean score of the reviews of the 90 whole days (UTC) before a moment, Σs / (n + 5), in
 * bands of a quarter from "-1" to "+1"; null below 5 reviews. Training asks for the moment of each impression and bidding for now, so both mean the same, and
 * nothing is learned from reviews that came later.
 */
export class ProductSentiments {
  /** By product its days and the sums up to and including each. */
  private readonly products = new Map<number, { days: number[]; reviews: number[]; scores: number[] }>()

  /** `rows` in the order of their days within each product. */
  constructor(rows: readonly SentimentDay[] = []) {
    for (const { productId, day, reviews, score } of rows) {
      const known = this.products.get(productId) ?? { days: [], reviews: [], scores: [] }
      this.products.set(productId, known)
      known.reviews.push((known.reviews.at(-1) ?? 0) + reviews)
      known.scores.push((known.scores.at(-1) ?? 0) + score)
      known.days.push(day)
    }
  }

  at(productId: number | null, time: number): string | null {
    const known = productId === null ? undefined : this.products.get(productId)
    if (!known) return null
    const today = Math.floor(time / DAY_MS)
    const [from, until] = [placeOf(known.days, today - SENTIMENT_DAYS), placeOf(known.days, today)]
    const between = (sums: readonly number[]) => (sums[until - 1] ?? 0) - (sums[from - 1] ?? 0)
    return bandOf(between(known.reviews), between(known.scores))
  }
}

/** Days with reviews of products that have ads, or of the given ones; those that count for `Product.sentiment` count here. */
export async function sentimentsOf(
  database: Database,
  { from, until, productIds = null }: { from: Date; until: Date; productIds?: readonly number[] | null },
): Promise<ProductSentiments> {
  const rows = await database.sql<SentimentDay>(
    `SELECT r."productId", floor(extract(epoch FROM r."createdAt") / 86400)::int AS day, count(*)::int AS reviews, sum(r.score)::float8 AS score
     FROM "Review" r WHERE r."productId" = ANY(COALESCE($3::int[], ARRAY(SELECT DISTINCT "productId" FROM "Ad" WHERE $3::int[] IS NULL AND "productId" IS NOT NULL)))
       AND r."createdAt" >= $1::timestamptz - make_interval(days => ${SENTIMENT_DAYS + 1}) AND r."createdAt" < $2 AND r.sentiment IS NOT NULL AND r."ignoredBecause" IS NULL AND r.score IS NOT NULL
     GROUP BY 1, 2 ORDER BY 1, 2`,
    [from, until, productIds],
    'product-sentiments',
  )
  return new ProductSentiments(rows)
}

function bandOf(reviews: number, score: number): string | null {
  if (reviews < FEWEST) return null
  const band = Math.round((score / (reviews + PRIOR)) * BANDS) / BANDS
  return band > 0 ? `+${band}` : String(band + 0)
}

/** How many of the ascending days lie before `day`. */
function placeOf(days: readonly number[], day: number): number {
  let [low, high] = [0, days.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (days[middle] < day) low = middle + 1
    else high = middle
  }
  return low
}
