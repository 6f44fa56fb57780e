import type { AuctionType } from '../algorithms/bidding/strategy.js'
import type { CampaignRow, LedgerRow, PacingRow, StrategyRow } from '../campaigns/campaign-rows.js'
import { CONVERSIONS, CONVERTED, CONVERTED_VALUE, USUAL_WORTH } from '../campaigns/conversions.js'
import type { ImpressionContext } from '../campaigns/targeting.js'
import { createBatcher } from '../platform/batcher.js'
import type { Database } from '../platform/database.js'
import { type ColumnTypes, rowSet, rowSetValues } from '../platform/row-set.js'
import { DECISION_COLUMNS } from '../registry/decisions.js'
import { COUNTS_FOR_CAP } from './bid-visitors.repository.js'
import { type ProductSentiments, sentimentsOf } from './product-sentiment.js'

/** A bid's money that is to be held. */
export interface NewReservation {
  id: string
  campaignId: string
  period: string
  adId: number
  userId: number | null
  micros: number
  pCtr: number
  pCvr: number
  modelId: string | null
  auction: string
  context: object
  createdAt: Date
  expiresAt: Date
  /** So often the person may be shown the campaign, this time included; null without a cap. */
  cap: number | null
  capSince: Date | null
  /** What is the decision's own, beside what it has in common with the bid: it is stored with the money, or not at all. */
  servedBy: string
  detail: object
  consentBasis: string | null
  inputHash: string
}

/** `missing`: the period has no ledger yet, or the campaign does not run any more. `capped`: the person has seen the campaign often enough. `room` is what is left now. */
export interface Reserved {
  outcome: 'reserved' | 'capped' | 'no room' | 'missing'
  roomMicros: number
}

export type OutcomeType = 'WIN' | 'BILLABLE' | 'LOSS' | 'CLICK' | 'CONVERSION'

export interface Notice {
  id: string
  type: OutcomeType
  /** Transaction or click id of the sender; '' where there is one of the kind at most. */
  reference: string
  /** Clearing price of WIN and BILLABLE, worth of a CONVERSION. */
  micros: bigint | null
  minToWinMicros: bigint | null
  /** A WIN that is billed at once. */
  isBilled: boolean
  at: Date
}

export type OutcomeResult =
  | 'RESERVATION_HELD'
  | 'COMMITTED'
  | 'RELEASED'
  | 'RECORDED'
  | 'NO_EFFECT'
  | 'UNFUNDED'
  | 'DUPLICATE'
  | 'PRICE_ABOVE_BID'
  | 'BEFORE_BID'
  | 'UNKNOWN'

export interface Settled {
  result: OutcomeResult
  campaignId: string | null
  bidMicros: bigint | null
  costMicros: bigint | null
  reservedMicros: bigint | null
}

export interface SnapshotAd {
  id: number
  adGroupId: string
  headline: string
  externalId: string | null
  productId: number | null
  iabCategories: string[]
  productExternalId: string | null
  categories: string[] | null
  brand: string | null
  priceMicros: bigint | null
  currencyCode: string | null
  stock: number | null
  url: string | null
}

export interface SnapshotGroup {
  id: string
  campaignId: string
  name: string
  cpcBidMicros: bigint | null
}

/** Everything that may bid. */
export interface SnapshotRows {
  campaigns: CampaignRow[]
  strategies: StrategyRow[]
  groups: SnapshotGroup[]
  ads: SnapshotAd[]
}

/** What an ad has earned so far, for its campaign's market and as a smoothed rate. */
export interface HistoryRow {
  campaignId: string
  adId: number
  impressions: number
  clicks: number
  conversions: number
  costMicros: number
  valueMicros: number
  /** Of these, what the campaign's present target is held to, and the conversions that clicks let expect. */
  targetConversions: number
  targetExpected: number
  targetCostMicros: number
  targetValueMicros: number
}

/** An auction whose market price is known: the least bid that would have won it. */
export interface MarketRow {
  at: number
  priceMicros: number
  pCtr: number
  pCvr: number
  clicked: boolean
  converted: boolean
  valueMicros: number
  auction: AuctionType
  userId: number | null
  /** Of the impression, what campaigns target. */
  context: ImpressionContext & { hour?: number; weekday?: number }
}

export interface WinLogRow {
  bidMicros: bigint
  isWon: boolean
  minToWinMicros: bigint | null
}

/** Whether an impression was bought for the target that its campaign has now. */
const SAME_TARGET = 'e."occurredAt" >= GREATEST(c."targetSince", c."learningSince")'

/** Conversions that an impression lets expect; what others predicted for theirs is not known. */
const EXPECTED = `CASE WHEN e."decisionId" IS NULL THEN ${CONVERTED} WHEN e.clicked THEN (SELECT r."pCvr" FROM "BidReservation" r WHERE r.id = e."decisionId") ELSE 0 END`

const WON_TTL = '24 hours'
const RESERVATION: ColumnTypes = {
  id: 'text',
  campaignId: 'text',
  period: 'text',
  adId: 'int',
  userId: 'int',
  micros: 'bigint',
  pCtr: 'float8',
  pCvr: 'float8',
  modelId: 'text',
  auction: 'text',
  context: 'jsonb',
  createdAt: 'timestamptz',
  expiresAt: 'timestamptz',
  cap: 'int',
  capSince: 'timestamptz',
  servedBy: 'text',
  detail: 'jsonb',
  consentBasis: 'text',
  inputHash: 'text',
}

/**
 * Holds money for the bids of many requests in one statement. Ledgers are locked in one order for all servers; of the bids of this batch as many are
 * taken, in their order, as fit what is left at that moment. A campaign that was paused meanwhile gets nothing, nor does one that its person has seen as often as its
 * cap says.
 */
const RESERVE = `
  WITH asked AS (${rowSet(RESERVATION)}),
  held AS (
    SELECT l."campaignId", l.period, l."limitMicros" - l."spentMicros" - l."reservedMicros" AS room
    FROM "BudgetLedger" l JOIN "Campaign" c ON c.id = l."campaignId" AND c.status = 'ENABLED'
    WHERE (l."campaignId", l.period) IN (SELECT "campaignId", period FROM asked) ORDER BY l."campaignId", l.period FOR UPDATE OF l),
  allowed AS (
    SELECT * FROM asked a WHERE cap IS NULL OR cap > (
      SELECT count(*) FROM (SELECT FROM "BidReservation" r WHERE r."userId" = a."userId" AND r."campaignId" = a."campaignId" AND r."createdAt" > a."capSince" AND r.${COUNTS_FOR_CAP} LIMIT a.cap) shown)),
  fitted AS (SELECT a.*, h.room, sum(a.micros) OVER (PARTITION BY a."campaignId", a.period ORDER BY a.place) AS running FROM allowed a JOIN held h USING ("campaignId", period)),
  taken AS (
    UPDATE "BudgetLedger" l SET "reservedMicros" = l."reservedMicros" + t.micros
    FROM (SELECT "campaignId", period, sum(micros)::bigint AS micros FROM fitted WHERE running <= room GROUP BY 1, 2) t
    WHERE l."campaignId" = t."campaignId" AND l.period = t.period AND l."spentMicros" + l."reservedMicros" + t.micros <= l."limitMicros"
    RETURNING l."campaignId", l.period, l."limitMicros" - l."spentMicros" - l."reservedMicros" AS rest),
  kept AS (
    INSERT INTO "BidReservation" (id, "campaignId", period, "adId", "userId", "reservedMicros", "bidMicros", "pCtr", "pCvr", "modelId", auction, context, "createdAt", "expiresAt")
    SELECT f.id, f."campaignId", f.period, f."adId", f."userId", f.micros, f.micros, f."pCtr", f."pCvr", f."modelId", f.auction, f.context, f."createdAt", f."expiresAt"
    FROM fitted f JOIN taken USING ("campaignId", period) WHERE f.running <= f.room RETURNING id),
  decided AS (
    INSERT INTO "Decision" (${DECISION_COLUMNS})
    SELECT f.id, 'bid', f."createdAt", f."userId", f."modelId", f."servedBy", f.detail, f."consentBasis", f."inputHash" FROM fitted f JOIN taken USING ("campaignId", period) WHERE f.running <= f.room)
  SELECT CASE WHEN k.id IS NOT NULL THEN 'reserved' WHEN h.room IS NULL THEN 'missing' WHEN b.id IS NULL THEN 'capped' ELSE 'no room' END AS outcome,
    COALESCE(t.rest, h.room, 0)::float8 AS "roomMicros"
  FROM asked a LEFT JOIN held h USING ("campaignId", period) LEFT JOIN taken t USING ("campaignId", period) LEFT JOIN kept k ON k.id = a.id LEFT JOIN allowed b ON b.id = a.id ORDER BY a.place`

const SETTLE_TYPES =
  'place int, id text, type text, reference text, micros bigint, "minToWinMicros" bigint, "isBilled" bool, at timestamptz, now timestamptz'

/**
 * Takes one notice each of many bids in one statement: bids are locked in order, then the ledgers that money moves in. What a notice does depends on
 * the state of the bid at that moment, so it may come late, twice, or out of order: a bill moves the money from reserved to spent; after the
 * reservation has ended it is booked only if the budget has room; a loss gives back what is still only reserved. What came before the bid is refused.
 */
const SETTLE = `
  WITH given AS (SELECT * FROM json_to_recordset($1) AS g(${SETTLE_TYPES})),
  held AS (SELECT r.* FROM "BidReservation" r WHERE r.id IN (SELECT id FROM given) ORDER BY r.id FOR UPDATE),
  known AS (
    SELECT g.place, g.id, g.type, g.reference, g.micros, CASE WHEN g.type = 'LOSS' OR g."minToWinMicros" <= r."bidMicros" THEN g."minToWinMicros" END AS "minToWinMicros", g.at, g.now, r.state, r."campaignId", r.period, r."adId", r."userId", r."bidMicros", r."reservedMicros", r."createdAt", r.context,
      LEAST(COALESCE(g.micros, r."wonMicros", r."bidMicros"), r."bidMicros") AS cost,
      CASE WHEN g.type IN ('WIN', 'BILLABLE') AND g.micros > r."bidMicros" THEN 'PRICE_ABOVE_BID' WHEN g.at < r."createdAt" - interval '5 minutes' THEN 'BEFORE_BID' END AS refusal, o.type IS NOT NULL AS again, g.type = 'BILLABLE' OR (g.type = 'WIN' AND g."isBilled") AS bills
    FROM given g JOIN held r ON r.id = g.id LEFT JOIN "AuctionOutcome" o ON o."decisionId" = g.id AND o.type = g.type AND o.reference = g.reference),
  judged AS (
    SELECT *, CASE
      WHEN refusal IS NOT NULL OR again THEN 'NOTHING'
      WHEN bills AND state IN ('RESERVED', 'WON') THEN 'COMMIT'
      WHEN bills AND state <> 'COMMITTED' THEN 'LATE_COMMIT'
      WHEN type = 'WIN' AND state = 'RESERVED' THEN 'WIN'
      WHEN type = 'WIN' AND state IN ('EXPIRED', 'RELEASED', 'UNFUNDED') THEN 'LATE_WIN'
      WHEN type = 'LOSS' AND state = 'RESERVED' THEN 'RELEASE'
      WHEN type IN ('CLICK', 'CONVERSION') THEN 'NOTE'
      ELSE 'NOTHING' END AS verb
    FROM known),
  ledgers AS (
    SELECT l."campaignId", l.period, l."limitMicros" - l."spentMicros" - l."reservedMicros" AS room FROM "BudgetLedger" l
    WHERE (l."campaignId", l.period) IN (SELECT "campaignId", period FROM judged WHERE verb IN ('COMMIT', 'LATE_COMMIT', 'LATE_WIN', 'RELEASE')) ORDER BY l."campaignId", l.period FOR UPDATE),
  fitted AS (
    SELECT j.*, l.room, sum(CASE verb WHEN 'LATE_COMMIT' THEN cost WHEN 'LATE_WIN' THEN "bidMicros" ELSE 0 END) OVER (PARTITION BY "campaignId", period ORDER BY place) AS needed
    FROM judged j LEFT JOIN ledgers l USING ("campaignId", period)),
  final AS (SELECT *, CASE WHEN verb IN ('LATE_COMMIT', 'LATE_WIN') AND needed > COALESCE(room, 0) THEN 'UNFUNDED' ELSE verb END AS done FROM fitted),
  moved AS (
    SELECT "campaignId", period,
      sum(CASE done WHEN 'COMMIT' THEN -"reservedMicros" WHEN 'RELEASE' THEN -"reservedMicros" WHEN 'LATE_WIN' THEN "bidMicros" ELSE 0 END)::bigint AS reserved,
      sum(CASE WHEN done IN ('COMMIT', 'LATE_COMMIT') THEN cost ELSE 0 END)::bigint AS spent
    FROM final GROUP BY 1, 2),
  booked AS (
    UPDATE "BudgetLedger" l SET "reservedMicros" = l."reservedMicros" + m.reserved, "spentMicros" = l."spentMicros" + m.spent
    FROM moved m WHERE l."campaignId" = m."campaignId" AND l.period = m.period AND (m.reserved <> 0 OR m.spent <> 0)),
  changed AS (
    UPDATE "BidReservation" r SET
      state = CASE WHEN f.done IN ('COMMIT', 'LATE_COMMIT') THEN 'COMMITTED' WHEN f.done IN ('WIN', 'LATE_WIN') THEN 'WON' WHEN f.done = 'RELEASE' THEN 'RELEASED' WHEN f.done = 'UNFUNDED' THEN 'UNFUNDED' ELSE r.state::text END::"ReservationState",
      "costMicros" = CASE WHEN f.done IN ('COMMIT', 'LATE_COMMIT') THEN f.cost ELSE r."costMicros" END,
      "reservedMicros" = CASE WHEN f.done = 'LATE_WIN' THEN r."bidMicros" ELSE r."reservedMicros" END,
      "wonMicros" = CASE WHEN f.type = 'WIN' THEN COALESCE(f.micros, r."wonMicros") ELSE r."wonMicros" END,
      "minToWinMicros" = COALESCE(f."minToWinMicros", r."minToWinMicros"),
      "settledAt" = CASE WHEN f.done IN ('COMMIT', 'LATE_COMMIT', 'RELEASE', 'UNFUNDED') THEN f.now ELSE r."settledAt" END,
      "expiresAt" = CASE WHEN f.done IN ('WIN', 'LATE_WIN') THEN GREATEST(r."expiresAt", f.now + interval '${WON_TTL}') ELSE r."expiresAt" END
    FROM final f WHERE r.id = f.id AND NOT f.again AND f.refusal IS NULL),
  noted AS (
    INSERT INTO "AuctionOutcome" ("decisionId", type, reference, "amountMicros", "occurredAt", "receivedAt", result)
    SELECT id, type, reference, micros, at, now, done FROM final WHERE NOT again AND refusal IS NULL ON CONFLICT DO NOTHING RETURNING "decisionId"),
  logged AS (
    INSERT INTO "AdLogEntry" ("messageId", "decisionId", "adId", "userId", "occurredAt", clicked, "clickedAt", "costMicros", context)
    SELECT 'bid:' || id, id, "adId", "userId", "createdAt", type = 'CLICK', CASE WHEN type = 'CLICK' THEN at END, CASE WHEN done IN ('COMMIT', 'LATE_COMMIT') THEN cost ELSE 0 END, context
    FROM final WHERE NOT again AND refusal IS NULL AND (bills OR type IN ('CLICK', 'CONVERSION'))
    ON CONFLICT ("messageId") DO UPDATE SET clicked = "AdLogEntry".clicked OR EXCLUDED.clicked, "clickedAt" = LEAST("AdLogEntry"."clickedAt", EXCLUDED."clickedAt"),
      "costMicros" = GREATEST("AdLogEntry"."costMicros", EXCLUDED."costMicros"))
  SELECT CASE WHEN f.id IS NULL THEN 'UNKNOWN' WHEN f.refusal IS NOT NULL THEN f.refusal WHEN f.again OR n."decisionId" IS NULL THEN 'DUPLICATE'
      WHEN f.done IN ('COMMIT', 'LATE_COMMIT') THEN 'COMMITTED' WHEN f.done IN ('WIN', 'LATE_WIN') THEN 'RESERVATION_HELD' WHEN f.done = 'RELEASE' THEN 'RELEASED'
      WHEN f.done = 'UNFUNDED' THEN 'UNFUNDED' WHEN f.done = 'NOTE' THEN 'RECORDED' ELSE 'NO_EFFECT' END AS result,
    f."campaignId", f."bidMicros", CASE WHEN f.done IN ('COMMIT', 'LATE_COMMIT') THEN f.cost ELSE r."costMicros" END AS "costMicros",
    CASE WHEN f.done IN ('COMMIT', 'LATE_COMMIT', 'RELEASE', 'UNFUNDED') THEN 0 WHEN f.done IN ('WIN', 'LATE_WIN') THEN f."bidMicros" WHEN f.state IN ('RESERVED', 'WON') THEN f."reservedMicros" ELSE 0 END AS "reservedMicros"
  FROM given g LEFT JOIN final f ON f.place = g.place LEFT JOIN held r ON r.id = g.id LEFT JOIN noted n ON n."decisionId" = g.id ORDER BY g.place`

/** Gives back what nobody was heard of; what another worker is just settling is left to it. */
const EXPIRE = `
  WITH due AS (
    SELECT id, "campaignId", period, "reservedMicros" FROM "BidReservation" WHERE state IN ('RESERVED', 'WON') AND "expiresAt" < $1 ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED),
  changed AS (UPDATE "BidReservation" r SET state = 'EXPIRED', "settledAt" = $1 FROM due WHERE r.id = due.id RETURNING r.id),
  sums AS (SELECT "campaignId", period, sum("reservedMicros")::bigint AS micros FROM due GROUP BY 1, 2),
  locked AS (SELECT l."campaignId", l.period FROM "BudgetLedger" l WHERE (l."campaignId", l.period) IN (SELECT "campaignId", period FROM sums) ORDER BY 1, 2 FOR UPDATE),
  given AS (
    UPDATE "BudgetLedger" l SET "reservedMicros" = l."reservedMicros" - s.micros FROM sums s JOIN locked USING ("campaignId", period)
    WHERE l."campaignId" = s."campaignId" AND l.period = s.period)
  SELECT count(*)::int AS count FROM changed`

/** What campaigns target, of the context of a stored impression. */
const targetedOf = (row: string) =>
  `jsonb_build_object(${['placement', 'device', 'country', 'categories', 'hour', 'weekday'].map(name => `'${name}', ${row}.context->'${name}'`).join(', ')})`

/** Bids and their money. Statements of many requests are one statement: while one is under way, the next batch gathers. */
export class BiddingRepository {
  readonly reserve: (reservation: NewReservation) => Promise<Reserved>
  readonly settle: (notice: Notice, now: Date) => Promise<Settled>

  constructor(private readonly database: Database) {
    this.reserve = createBatcher(reservations => this.reserveAll(reservations))
    const settle = createBatcher<{ notice: Notice; now: Date }, Settled>(given => this.settleAll(given))
    this.settle = (notice, now) => settle({ notice, now })
  }

  /** What a notice would do now; nothing of it stays. */
  foreseen(notice: Notice, now: Date): Promise<Settled> {
    return this.database.rehearse(async dry => (await dry.sql<Settled>(SETTLE, [JSON.stringify([noticeOf({ notice, now }, 0)])]))[0])
  }

  /** Returns how many reservations ended. */
  async expire(now: Date, limit = 1_000): Promise<number> {
    return (await this.database.sql<{ count: number }>(EXPIRE, [now, limit], 'expire-reservations'))[0].count
  }

  async snapshot(): Promise<SnapshotRows> {
    const campaigns = await this.database.sql<CampaignRow>(
      `SELECT * FROM "Campaign" WHERE status = 'ENABLED' ORDER BY id`,
      [],
      'snapshot-campaigns',
    )
    const ids = campaigns.map(({ id }) => id)
    const [strategies, groups, ads] = await Promise.all([
      this.database.sql<StrategyRow>(
        'SELECT * FROM "BiddingStrategy" WHERE id = ANY($1)',
        [[...new Set(campaigns.map(each => each.biddingStrategyId))]],
        'snapshot-strategies',
      ),
      this.database.sql<SnapshotGroup>(
        'SELECT id, "campaignId", name, "cpcBidMicros" FROM "AdGroup" WHERE "campaignId" = ANY($1) ORDER BY id',
        [ids],
        'snapshot-groups',
      ),
      this.database.sql<SnapshotAd>(
        `SELECT a.id, a."adGroupId", a.headline, a."externalId", a."productId", a."iabCategories", p."externalId" AS "productExternalId", p.categories, p.brand, p."priceMicros", p."currencyCode", p.stock, p.attributes->>'url' AS url
         FROM "Ad" a JOIN "AdGroup" g ON g.id = a."adGroupId" LEFT JOIN "Product" p ON p.id = a."productId" WHERE g."campaignId" = ANY($1) AND a.status = 'ENABLED' ORDER BY a.id`,
        [ids],
        'snapshot-ads',
      ),
    ])
    return { campaigns, strategies, groups, ads }
  }

  async budgets(campaignIds: readonly string[], dailyPeriod: string): Promise<{ ledgers: LedgerRow[]; pacings: PacingRow[] }> {
    const [ledgers, pacings] = await Promise.all([
      this.database.sql<LedgerRow>(
        `SELECT * FROM "BudgetLedger" WHERE "campaignId" = ANY($1) AND period IN ($2, 'TOTAL')`,
        [campaignIds, dailyPeriod],
        'snapshot-ledgers',
      ),
      this.database.sql<PacingRow>('SELECT * FROM "CampaignPacing" WHERE "campaignId" = ANY($1)', [campaignIds], 'snapshot-pacings'),
    ])
    return { ledgers, pacings }
  }

  /** What reviews said of these products up to now. */
  sentiments(productIds: readonly number[], now: Date): Promise<ProductSentiments> {
    return sentimentsOf(this.database, { from: now, until: now, productIds })
  }

  /** The id of the newest row of the log, and whether one that came after the row `since` was shown before `cut`. */
  async logSince(since: bigint, cut: Date): Promise<{ newest: bigint; hasOlder: boolean }> {
    const [row] = await this.database.sql<{ newest: bigint | null; hasOlder: boolean | null }>(
      'SELECT max(id) AS newest, bool_or("occurredAt" < $2) AS "hasOlder" FROM "AdLogEntry" WHERE id > $1',
      [since, cut],
      'ad-log-since',
    )
    return { newest: row.newest ?? since, hasOlder: row.hasOlder ?? false }
  }

  /** Of the impressions shown from `from` up to `until`. */
  history(campaignIds: readonly string[], { from, until }: { from: Date; until: Date }): Promise<HistoryRow[]> {
    return this.database.sql(
      `SELECT g."campaignId", a.id AS "adId", count(*)::int AS impressions, count(*) FILTER (WHERE e.clicked)::int AS clicks,
         sum(${CONVERTED})::int AS conversions, sum(e."costMicros")::float8 AS "costMicros", sum(${CONVERTED_VALUE})::float8 AS "valueMicros",
         COALESCE(sum(${CONVERTED}) FILTER (WHERE ${SAME_TARGET}), 0)::int AS "targetConversions", COALESCE(sum(e."costMicros") FILTER (WHERE ${SAME_TARGET}), 0)::float8 AS "targetCostMicros",
         COALESCE(sum(${CONVERTED_VALUE}) FILTER (WHERE ${SAME_TARGET}), 0)::float8 AS "targetValueMicros",
         COALESCE(sum(${EXPECTED}) FILTER (WHERE ${SAME_TARGET}), 0)::float8 AS "targetExpected"
       FROM "AdGroup" g JOIN "Campaign" c ON c.id = g."campaignId" JOIN "Ad" a ON a."adGroupId" = g.id JOIN "AdLogEntry" e ON e."adId" = a.id
       LEFT JOIN "Product" p ON p.id = a."productId" ${CONVERSIONS}
       WHERE g."campaignId" = ANY($1) AND e."occurredAt" >= $2 AND e."occurredAt" < $3 GROUP BY 1, 2`,
      [campaignIds, from, until],
      'bidding-history',
    )
  }

  /** What came of bids, for the win curve: the newest of the days before. */
  winLog(since: Date, limit: number): Promise<WinLogRow[]> {
    return this.database.sql(
      `SELECT "bidMicros", state IN ('WON', 'COMMITTED', 'UNFUNDED') AS "isWon", "minToWinMicros" FROM "BidReservation"
       WHERE "createdAt" >= $1 AND state IN ('WON', 'COMMITTED', 'UNFUNDED', 'RELEASED') ORDER BY "createdAt" DESC LIMIT $2`,
      [since, limit],
    )
  }

  /** Auctions whose price is known, the newest of them, in time order. */
  market(since: Date, limit: number): Promise<MarketRow[]> {
    return this.database.sql(
      `SELECT (extract(epoch FROM r."createdAt") * 1000)::float8 AS at, COALESCE(r."minToWinMicros", r."costMicros")::float8 AS "priceMicros", r."pCtr", r."pCvr",
         COALESCE(e.clicked, false) AS clicked, own.conversions > 0 AS converted, CASE WHEN own.conversions > 0 THEN ${CONVERTED_VALUE} ELSE ${USUAL_WORTH} END::float8 AS "valueMicros",
         r.auction, r."userId", ${targetedOf('r')} AS context
       FROM (SELECT * FROM "BidReservation" WHERE "createdAt" >= $1 AND ("minToWinMicros" IS NOT NULL OR (state = 'COMMITTED' AND auction = 'SECOND_PRICE')) ORDER BY "createdAt" DESC LIMIT $2) r
       JOIN "Campaign" c ON c.id = r."campaignId" LEFT JOIN "AdLogEntry" e ON e."decisionId" = r.id LEFT JOIN "Ad" a ON a.id = r."adId" LEFT JOIN "Product" p ON p.id = a."productId"
       ${CONVERSIONS}
       ORDER BY r."createdAt"`,
      [since, limit],
    )
  }

  /**
   * Impressions of imported logs as auctions, those of the `days` up to the newest: at what each cost, or, where only clicks were paid, at what an impression of
   * its ad cost on average; chances are the ad's own smoothed rates.
   */
  importedMarket(days: number, limit: number): Promise<MarketRow[]> {
    return this.database.sql(
      `WITH newest AS (
         SELECT max(l.at) AS at FROM "Ad" a, LATERAL (SELECT max("occurredAt") AS at FROM "AdLogEntry" WHERE "adId" = a.id AND "decisionId" IS NULL) l),
       shown AS (
         SELECT e.* FROM newest, "Ad" a JOIN "AdLogEntry" e ON e."adId" = a.id
         WHERE e."decisionId" IS NULL AND e."occurredAt" >= newest.at - make_interval(days => $1) ORDER BY e."occurredAt" DESC LIMIT $2),
       rates AS (
         SELECT "adId", avg("costMicros")::float8 AS cost, bool_or(NOT clicked AND "costMicros" > 0) AS "isPriced",
           (count(*) FILTER (WHERE clicked) + 1) / (count(*) + 100)::float8 AS "pCtr", (count(*) FILTER (WHERE converted) + 1) / (count(*) FILTER (WHERE clicked) + 50)::float8 AS "pCvr"
         FROM shown GROUP BY 1 HAVING sum("costMicros") > 0)
       SELECT (extract(epoch FROM s."occurredAt") * 1000)::float8 AS at, CASE WHEN r."isPriced" THEN s."costMicros" ELSE r.cost END::float8 AS "priceMicros",
         r."pCtr", LEAST(1, r."pCvr") AS "pCvr", s.clicked, s.converted, COALESCE(NULLIF(s."conversionValueMicros", 0), p."priceMicros", 0)::float8 AS "valueMicros",
         'SECOND_PRICE' AS auction, s."userId", ${targetedOf('s')} AS context
       FROM shown s JOIN rates r USING ("adId") JOIN "Ad" a ON a.id = s."adId" LEFT JOIN "Product" p ON p.id = a."productId" ORDER BY s."occurredAt", s.id`,
      [days, limit],
    )
  }

  /** Who of these people is in which of the audiences, of those who may be addressed. */
  async membersAmong(audienceIds: readonly string[], userIds: readonly number[]): Promise<Map<string, Set<number>>> {
    const rows = await this.database.sql<{ audienceId: string; userIds: number[] }>(
      `SELECT m."audienceId", array_agg(m."userId") AS "userIds" FROM "AudienceMember" m JOIN "Consent" k ON k."userId" = m."userId" AND k.purpose = 'ADS' AND k.granted
       WHERE m."audienceId" = ANY($1) AND m."userId" = ANY($2) AND NOT EXISTS (SELECT 1 FROM "Suppression" s WHERE s."userId" = m."userId") GROUP BY 1`,
      [audienceIds, userIds],
    )
    return new Map(rows.map(({ audienceId, userIds }) => [audienceId, new Set(userIds)]))
  }

  async strategy(id: string): Promise<StrategyRow | undefined> {
    return (await this.database.sql<StrategyRow>('SELECT * FROM "BiddingStrategy" WHERE id = $1', [id]))[0]
  }

  /** Mean bid for a click of a campaign's ad groups; null where none has one. */
  async meanBid(campaignId: string): Promise<number | null> {
    return (
      await this.database.sql<{ bid: number | null }>('SELECT avg("cpcBidMicros")::float8 AS bid FROM "AdGroup" WHERE "campaignId" = $1', [
        campaignId,
      ])
    )[0].bid
  }

  async setting<T>(name: string): Promise<T | undefined> {
    return (await this.database.sql<{ value: T }>('SELECT value FROM "Setting" WHERE name = $1', [name]))[0]?.value
  }

  async keepSetting(name: string, value: unknown): Promise<void> {
    await this.database.sql('INSERT INTO "Setting" (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value', [
      name,
      JSON.stringify(value),
    ])
  }

  /** Kept unless there is one already; returns the one that holds. */
  async firstSetting<T>(name: string, value: T): Promise<T> {
    await this.database.sql('INSERT INTO "Setting" (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING', [name, JSON.stringify(value)])
    return (await this.setting<T>(name)) as T
  }

  private async reserveAll(reservations: NewReservation[]): Promise<Reserved[]> {
    return this.database.sql<Reserved>(RESERVE, rowSetValues(RESERVATION, cappedInTurn(reservations)), 'reserve')
  }

  /** A second notice of one bid waits for the next statement, because it depends on what the first one did. */
  private async settleAll(given: { notice: Notice; now: Date }[]): Promise<Settled[]> {
    const settled = new Array<Settled>(given.length)
    let left = given.map((_, index) => index)
    while (left.length > 0) {
      const taken = new Set<string>()
      const now = left.filter(index => !taken.has(given[index].notice.id) && taken.add(given[index].notice.id))
      const rows = await this.database.sql<Settled>(
        SETTLE,
        [JSON.stringify(now.map((index, place) => noticeOf(given[index], place)))],
        'settle',
      )
      rows.forEach((row, place) => {
        settled[now[place]] = row
      })
      const done = new Set(now)
      left = left.filter(index => !done.has(index))
    }
    return settled
  }
}

/** Of several bids for one person and campaign each counts the ones before it, which the statement does not see. */
function cappedInTurn(reservations: readonly NewReservation[]): readonly NewReservation[] {
  if (reservations.every(({ cap }) => cap === null)) return reservations
  const before = new Map<string, number>()
  return reservations.map(reservation => {
    const { cap, userId, campaignId } = reservation
    if (cap === null) return reservation
    const key = `${userId} ${campaignId}`
    const count = before.get(key) ?? 0
    before.set(key, count + 1)
    return count === 0 ? reservation : { ...reservation, cap: Math.max(0, cap - count) }
  })
}

function noticeOf({ notice, now }: { notice: Notice; now: Date }, place: number) {
  const { micros, minToWinMicros } = notice
  return {
    ...notice,
    place,
    now,
    micros: micros === null ? null : Number(micros),
    minToWinMicros: minToWinMicros === null ? null : Number(minToWinMicros),
  }
}
