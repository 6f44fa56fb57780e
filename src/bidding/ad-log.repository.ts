import type { Database } from '../platform/database.js'

/** One impression with what came of it, as a model may learn from it. */
export interface LogRow {
  id: bigint
  adId: number
  at: number
  clicked: boolean
  converted: boolean
  /** A bid of ours: its context is exactly what was known then. */
  isOwn: boolean
  context: Record<string, unknown>
  gender: string | null
  birthYear: number | null
  city: string | null
  country: string | null
}

export interface AdFactsRow {
  id: number
  adGroupId: string
  campaignId: string
  productExternalId: string | null
  categories: string[] | null
  brand: string | null
  priceMicros: bigint | null
}

const PAGE = 50_000

/** The log of impressions, for what learns from it. Facts of a person are given only where he consented to ADS. */
export class AdLogRepository {
  constructor(private readonly database: Database) {}

  ads(): Promise<AdFactsRow[]> {
    return this.database.sql(
      `SELECT a.id, a."adGroupId", g."campaignId", p."externalId" AS "productExternalId", p.categories, p.brand, p."priceMicros"
       FROM "Ad" a JOIN "AdGroup" g ON g.id = a."adGroupId" LEFT JOIN "Product" p ON p.id = a."productId" ORDER BY a.id`,
    )
  }

  /** Rows shown from `from` up to `until`, in the order in which they were written, page by page; with `clickedOnly` the clicks alone. */
  async *rows({ from, until, clickedOnly }: { from: Date; until: Date; clickedOnly: boolean }): AsyncGenerator<LogRow[]> {
    for (let after = 0n; ; ) {
      const page = await this.database.sql<LogRow>(
        `SELECT e.id, e."adId", (extract(epoch FROM e."occurredAt") * 1000)::float8 AS at, e.clicked, e."decisionId" IS NOT NULL AS "isOwn", e.context,
           CASE WHEN e."decisionId" IS NOT NULL THEN EXISTS (
             SELECT 1 FROM "AuctionOutcome" o WHERE o."decisionId" = e."decisionId" AND o.type = 'CONVERSION' AND o."occurredAt" <= COALESCE(e."clickedAt", e."occurredAt") + make_interval(days => c."attributionDays"))
           ELSE e.converted END AS converted,
           u.gender, u."birthYear", u.city, u.country
         FROM "AdLogEntry" e JOIN "Ad" a ON a.id = e."adId" JOIN "AdGroup" g ON g.id = a."adGroupId" JOIN "Campaign" c ON c.id = g."campaignId"
         LEFT JOIN "Consent" k ON k."userId" = e."userId" AND k.purpose = 'ADS' AND k.granted LEFT JOIN "User" u ON u.id = k."userId"
         WHERE e.id > $1 AND e."occurredAt" >= $2 AND e."occurredAt" < $3 AND (NOT $4 OR e.clicked) ORDER BY e.id LIMIT $5`,
        [after, from, until, clickedOnly, PAGE],
        'ad-log-rows',
      )
      if (page.length > 0) yield page
      if (page.length < PAGE) return
      after = page[page.length - 1].id
    }
  }

  /** When the newest impression was shown. */
  async newest(): Promise<Date | null> {
    return (await this.database.sql<{ at: Date | null }>('SELECT max("occurredAt") AS at FROM "AdLogEntry"'))[0].at
  }
}
