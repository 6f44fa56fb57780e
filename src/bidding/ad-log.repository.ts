import { CONVERTED_IN_TIME, LAST_CONVERSION } from '../campaigns/conversions.js'
import type { Database } from '../platform/database.js'
import { type ProductSentiments, sentimentsOf } from './product-sentiment.js'

/** One impression with what came of it, as a model may learn from it. */
export interface LogRow {
  id: bigint
  adId: number
  at: number
  clicked: boolean
  converted: boolean
  /** A bid of ours: its context is exactly what was known then. */
  isOwn: boolean
  /** It was shown to somebody who does not consent to ADS now, whatever he did then. */
  isRefused: boolean
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
  productId: number | null
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
      `SELECT a.id, a."adGroupId", g."campaignId", a."productId", p."externalId" AS "productExternalId", p.categories, p.brand, p."priceMicros"
       FROM "Ad" a JOIN "AdGroup" g ON g.id = a."adGroupId" LEFT JOIN "Product" p ON p.id = a."productId" ORDER BY a.id`,
    )
  }

  /** What reviews said of the products that have ads, for impressions from `from` up to `until`. */
  sentiments(span: { from: Date; until: Date }): Promise<ProductSentiments> {
    return sentimentsOf(this.database, span)
  }

  /** Rows shown from `from` up to `until`, in the order in which they were written, page by page; with `clickedOnly` the clicks alone. */
  async *rows({ from, until, clickedOnly }: { from: Date; until: Date; clickedOnly: boolean }): AsyncGenerator<LogRow[]> {
    for (let after = 0n; ; ) {
      const page = await this.database.sql<LogRow>(
        `SELECT e.id, e."adId", (extract(epoch FROM e."occurredAt") * 1000)::float8 AS at, e.clicked, e."decisionId" IS NOT NULL AS "isOwn", e."userId" IS NOT NULL AND k."userId" IS NULL AS "isRefused", e.context,
           CASE WHEN e."decisionId" IS NOT NULL THEN EXISTS (
             SELECT 1 FROM "AuctionOutcome" o WHERE o."decisionId" = e."decisionId" AND o.type = 'CONVERSION' AND o."occurredAt" <= ${LAST_CONVERSION})
           ELSE ${CONVERTED_IN_TIME} END AS converted,
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

  /**
   * Notes what a browser told, once a message. A click belongs to the newest impression of that ad to that person within a day, a conversion to the last
   * click within the campaign's window; a click that nobody saw an impression of is one itself.
   */
  async note({
    kind,
    messageId,
    ad,
    user,
    at,
    valueMicros,
  }: {
    kind: 'IMPRESSION' | 'CLICK' | 'CONVERSION'
    messageId: string
    ad: string | null
    user: string | null
    at: Date
    valueMicros: bigint
  }): Promise<void> {
    const named = `SELECT a.id AS ad, c."attributionDays" AS days, (SELECT id FROM "User" WHERE "externalId" = $2) AS "user"
      FROM "Ad" a JOIN "AdGroup" g ON g.id = a."adGroupId" JOIN "Campaign" c ON c.id = g."campaignId" WHERE a."externalId" = $1`
    const ofBoth = `FROM "AdLogEntry" e JOIN named n ON e."adId" = n.ad AND e."userId" = n."user" WHERE`
    const found = (column: string, condition: string) =>
      `SELECT e.id ${ofBoth} e."occurredAt" <= $3 AND ${condition} AND NOT EXISTS (SELECT 1 ${ofBoth} e."${column}" = $4) ORDER BY e."occurredAt" DESC LIMIT 1`
    if (kind === 'CONVERSION') {
      const inTime = `COALESCE(e."clickedAt", e."occurredAt") >= $3::timestamptz - make_interval(days => n.days)`
      await this.database.sql(
        `WITH named AS (${named}), last AS (${found('conversionMessageId', `e.clicked AND NOT e.converted AND e."decisionId" IS NULL AND ${inTime}`)})
         UPDATE "AdLogEntry" e SET converted = true, "convertedAt" = $3, "conversionMessageId" = $4, "conversionValueMicros" = $5 FROM last WHERE e.id = last.id`,
        [ad, user, at, messageId, valueMicros],
      )
      return
    }
    const last =
      kind === 'CLICK'
        ? found('clickMessageId', `NOT e.clicked AND e."occurredAt" >= $3::timestamptz - interval '1 day'`)
        : 'SELECT NULL::bigint AS id WHERE false'
    await this.database.sql(
      `WITH named AS (${named}), last AS (${last}),
       changed AS (UPDATE "AdLogEntry" e SET clicked = true, "clickedAt" = $3, "clickMessageId" = $4 FROM last WHERE e.id = last.id RETURNING e.id)
       INSERT INTO "AdLogEntry" ("messageId", "adId", "userId", "occurredAt", clicked, "clickedAt", "clickMessageId")
       SELECT 'segment:' || $4, n.ad, n."user", $3, $5, CASE WHEN $5 THEN $3::timestamptz END, CASE WHEN $5 THEN $4 END FROM named n
       WHERE NOT EXISTS (SELECT 1 FROM changed) AND NOT ($5 AND EXISTS (SELECT 1 ${ofBoth} e."clickMessageId" = $4)) ON CONFLICT ("messageId") DO NOTHING`,
      [ad, user, at, messageId, kind === 'CLICK'],
    )
  }

  /** When the newest impression was shown. */
  async newest(): Promise<Date | null> {
    return (await this.database.sql<{ at: Date | null }>('SELECT max("occurredAt") AS at FROM "AdLogEntry"'))[0].at
  }
}
