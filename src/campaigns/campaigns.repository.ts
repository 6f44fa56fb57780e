import { type Database, withRetry } from '../platform/database.js'
import type { CampaignStatus } from '../platform/generated/prisma/enums.js'
import { escapeLike } from '../platform/text-input.js'
import type { ColumnChange } from '../platform/upsert.js'
import type { AdGroupRow, AdRow, CampaignRow, LedgerRow, PacingRow, StrategyRow } from './campaign-rows.js'
import { CONVERSIONS, CONVERTED, CONVERTED_VALUE } from './conversions.js'

export type { AdGroupRow, AdRow, CampaignRow, LedgerRow, PacingRow, StrategyRow } from './campaign-rows.js'

export interface CampaignFilter {
  status?: CampaignStatus | null
  search?: string | null
  strategyId?: string | null
}

export interface PageAfter {
  createdAt: string
  id: string
}

/** Sums over the impressions of a campaign. */
export interface PerformanceRow {
  campaignId: string
  impressions: number
  clicks: number
  conversions: number
  costMicros: bigint
  conversionValueMicros: bigint
  /** Clicks that led to one conversion or more. */
  convertedClicks: number
  /** Clicks whose attribution window is still open. */
  openClicks: number
}

/** What decides the primary status, beside the campaign's own row. */
export interface CampaignFacts {
  campaignId: string
  adGroups: number
  ads: number
  enabledAds: number
  stockedAds: number
  pricedAds: number
  /** Groups without a bid of their own, and ads in stock that are in one. */
  unbidGroups: number
  unbidAds: number
  audienceStatus: string | null
  audienceSize: number | null
  consentedShare: number | null
  /** Of the people whom a campaign with an audience and a frequency cap may address, those who have seen it as often as the cap allows. */
  cappedShare: number | null
  spentMicros: bigint | null
  reservedMicros: bigint | null
  limitMicros: bigint | null
  clicksLearned: number
  conversionsLearned: number
  /** Of the pacing in the running period. */
  multiplier: number | null
}

export interface ReachRow {
  members: number
  refused: number
  unasked: number
  suppressed: number
  excluded: number
  reach: number
}

export interface AuditRow {
  campaignId: string
  period: string
  limitMicros: bigint
  spentMicros: bigint
  reservedMicros: bigint
  entries: number
  peakMicros: bigint
  breaches: number
  isComplete: boolean
  bidsReservedMicros: bigint
  bidsSpentMicros: bigint
  unfunded: number
}

type Changes = Record<string, ColumnChange>

/** Of fifty people spread evenly over an audience, so that a look at a large one costs no more; counted as a bid counts them. */
const CAPPED_SHARE = `
  SELECT avg(CASE WHEN s.shown >= cap.impressions THEN 1.0 ELSE 0 END)::float8 AS share
  FROM (SELECT (c."frequencyCap"->>'impressions')::int AS impressions, (c."frequencyCap"->>'hours')::int AS hours WHERE c."frequencyCap" IS NOT NULL) cap,
    LATERAL (SELECT min("userId") AS low, max("userId") AS high FROM "AudienceMember" WHERE "audienceId" = c."audienceId") span,
    LATERAL (
      SELECT DISTINCT next."userId" FROM generate_series(0, 49) AS step,
        LATERAL (SELECT "userId" FROM "AudienceMember" WHERE "audienceId" = c."audienceId" AND "userId" >= span.low + (span.high - span.low)::bigint * step / 49 ORDER BY "userId" LIMIT 1) next) member
    JOIN "Consent" k ON k."userId" = member."userId" AND k.purpose = 'ADS' AND k.granted,
    LATERAL (
      SELECT count(*) AS shown FROM (
        SELECT 1 FROM "BidReservation" r WHERE r."userId" = member."userId" AND r."campaignId" = c.id AND r."createdAt" > $3::timestamptz - make_interval(hours => cap.hours)
          AND r.state IN ('RESERVED', 'WON', 'COMMITTED', 'UNFUNDED') LIMIT cap.impressions) seen) s`

/** Campaigns and what belongs to them; ledgers, but for what bids do to them, which is the bidding's. */
export class CampaignsRepository {
  constructor(private readonly database: Database) {}

  byIds(ids: readonly string[]): Promise<CampaignRow[]> {
    return this.database.sql('SELECT * FROM "Campaign" WHERE id = ANY($1)', [ids], 'campaigns-by-ids')
  }

  async byExternalId(externalId: string): Promise<CampaignRow | undefined> {
    return (await this.database.sql<CampaignRow>('SELECT * FROM "Campaign" WHERE "externalId" = $1', [externalId]))[0]
  }

  page(filter: CampaignFilter, after: PageAfter | undefined, limit: number): Promise<CampaignRow[]> {
    const { conditions, values } = conditionsOf(filter)
    if (after) conditions.push(`("createdAt", id) > ($${values.push(after.createdAt)}::timestamptz, $${values.push(after.id)})`)
    return this.database.sql(
      `SELECT * FROM "Campaign" ${whereOf(conditions)} ORDER BY "createdAt", id LIMIT $${values.push(limit)}::int`,
      values,
    )
  }

  async count(filter: CampaignFilter): Promise<number> {
    const { conditions, values } = conditionsOf(filter)
    const [row] = await this.database.sql<{ count: number }>(`SELECT count(*)::int AS count FROM "Campaign" ${whereOf(conditions)}`, values)
    return row.count
  }

  /** Every campaign that may run, for the controllers of pacing. */
  enabled(): Promise<CampaignRow[]> {
    return this.database.sql(`SELECT * FROM "Campaign" WHERE status = 'ENABLED' ORDER BY id`, [], 'enabled-campaigns')
  }

  /** A campaign, and its own strategy where it has one, in one statement. A known external id gives undefined. */
  async create(campaign: Changes, ownStrategy: Changes | undefined): Promise<CampaignRow | undefined> {
    const values: unknown[] = []
    const strategy = ownStrategy ? `WITH own AS (${insertOf('BiddingStrategy', ownStrategy, values)}) ` : ''
    const text = `${strategy}${insertOf('Campaign', campaign, values, 'ON CONFLICT DO NOTHING')} RETURNING *`
    return (await this.database.sql<CampaignRow>(text, values))[0]
  }

  /**
   * Changes a campaign if it has one of the states and the version; in one statement, so of many parallel changes with one version exactly one is
   * made. `ownStrategy` becomes its strategy, and the one of its own that it had before is forgotten only with the campaign.
   */
  async change(
    id: string,
    changes: Changes,
    { from, expectedVersion, ownStrategy }: { from: readonly CampaignStatus[]; expectedVersion?: number; ownStrategy?: Changes },
  ): Promise<CampaignRow | undefined> {
    const values: unknown[] = [id, from]
    const version = expectedVersion === undefined ? '' : `AND version = $${values.push(expectedVersion)}::int`
    const set = setOf('Campaign', changes, values)
    const update = `UPDATE "Campaign" SET ${set} WHERE id = $1 AND status = ANY($2::"CampaignStatus"[]) ${version} RETURNING *`
    if (!ownStrategy) return (await this.database.sql<CampaignRow>(update, values))[0]
    const names = Object.keys(ownStrategy)
    const given = names.map(name => `$${values.push(ownStrategy[name].value)}::${ownStrategy[name].type}`)
    // The strategy is made only if the campaign was changed.
    const text = `WITH changed AS (${update}), own AS (
      INSERT INTO "BiddingStrategy" (${names.map(name => `"${name}"`).join(', ')}) SELECT ${given.join(', ')} FROM changed)
      SELECT * FROM changed`
    return (await this.database.sql<CampaignRow>(text, values))[0]
  }

  /**
   * Sets the budget and, in the same transaction, the limit of the running period. The campaign is locked first, so a ledger that another server is
   * opening just now is either seen here or opened with the new budget; the database refuses a limit below what is spent and reserved.
   */
  async setBudget(
    id: string,
    changes: Changes,
    {
      period,
      limitMicros,
      from,
      expectedVersion,
    }: { period: string; limitMicros: bigint; from: readonly CampaignStatus[]; expectedVersion?: number },
  ): Promise<CampaignRow | undefined> {
    const values: unknown[] = [id, from]
    const version = expectedVersion === undefined ? '' : `AND version = $${values.push(expectedVersion)}::int`
    const update = `UPDATE "Campaign" SET ${setOf('Campaign', changes, values)} WHERE id = $1 AND status = ANY($2::"CampaignStatus"[]) ${version} RETURNING *`
    const changed = withRetry(() =>
      this.database.withClient(async client => {
        await client.query('BEGIN')
        try {
          const { rows } = await client.query(update, values)
          if (rows.length > 0)
            await client.query(
              'UPDATE "BudgetLedger" SET "limitMicros" = $3 WHERE "campaignId" = $1 AND period = $2 AND "limitMicros" <> $3',
              [id, period, limitMicros],
            )
          await client.query('COMMIT')
          return rows.length > 0
        } catch (error) {
          await client.query('ROLLBACK').catch(() => {})
          throw error
        }
      }),
    )
    // Read when the connection is free again: who holds one while he waits for another may wait for ever.
    return (await changed) ? (await this.byIds([id]))[0] : undefined
  }

  /** Opens the ledgers of a period that are missing, each with its campaign's budget as it is at that moment. Returns how many. */
  async openLedgers(campaignIds: readonly string[], dailyPeriod: string): Promise<number> {
    const rows = await this.database.sql(
      `INSERT INTO "BudgetLedger" ("campaignId", period, "limitMicros")
       SELECT id, CASE "budgetPeriod" WHEN 'DAILY' THEN $2 ELSE 'TOTAL' END,
         CASE "budgetPeriod" WHEN 'DAILY' THEN floor("budgetMicros" * "maxDailyOverdelivery"::numeric)::bigint ELSE "budgetMicros" END
       FROM (SELECT * FROM "Campaign" WHERE id = ANY($1) ORDER BY id FOR SHARE) c
       ON CONFLICT DO NOTHING RETURNING 1`,
      [campaignIds, dailyPeriod],
      'open-ledgers',
    )
    return rows.length
  }

  ledgers(campaignIds: readonly string[], dailyPeriod: string): Promise<LedgerRow[]> {
    return this.database.sql(
      `SELECT l.* FROM "BudgetLedger" l JOIN "Campaign" c ON c.id = l."campaignId"
       WHERE l."campaignId" = ANY($1) AND l.period = CASE c."budgetPeriod" WHEN 'DAILY' THEN $2 ELSE 'TOTAL' END`,
      [campaignIds, dailyPeriod],
      'ledgers',
    )
  }

  pacings(campaignIds: readonly string[]): Promise<PacingRow[]> {
    return this.database.sql('SELECT * FROM "CampaignPacing" WHERE "campaignId" = ANY($1)', [campaignIds], 'pacings')
  }

  /** Keeps the controllers' states; one that another worker has stepped since `seenAt` stays as it is. */
  async keepPacings(
    rows: readonly { campaignId: string; period: string; multiplier: number; state: unknown; seenAt: Date | null; now: Date }[],
  ): Promise<number> {
    const kept = await this.database.sql(
      `INSERT INTO "CampaignPacing" ("campaignId", period, multiplier, state, "updatedAt")
       SELECT g."campaignId", g.period, g.multiplier, g.state, g.now FROM json_to_recordset($1) AS g("campaignId" text, period text, multiplier float8, state jsonb, now timestamptz)
       ON CONFLICT ("campaignId") DO UPDATE SET period = EXCLUDED.period, multiplier = EXCLUDED.multiplier, state = EXCLUDED.state, "updatedAt" = EXCLUDED."updatedAt"
         WHERE "CampaignPacing"."updatedAt" < EXCLUDED."updatedAt" RETURNING 1`,
      [JSON.stringify(rows)],
    )
    return kept.length
  }

  /** Campaigns whose end has come. Returns their ids. */
  async endDue(now: Date): Promise<string[]> {
    const rows = await this.database.sql<{ id: string }>(
      `UPDATE "Campaign" SET status = 'ENDED', version = version + 1, "updatedAt" = now() WHERE "endsAt" <= $1 AND status IN ('ENABLED', 'PAUSED') RETURNING id`,
      [now],
    )
    return rows.map(row => row.id)
  }

  strategiesByIds(ids: readonly string[]): Promise<StrategyRow[]> {
    return this.database.sql('SELECT * FROM "BiddingStrategy" WHERE id = ANY($1)', [ids], 'strategies-by-ids')
  }

  strategies(after: PageAfter | undefined, limit: number): Promise<StrategyRow[]> {
    const values: unknown[] = []
    const position = after ? `AND ("createdAt", id) > ($${values.push(after.createdAt)}::timestamptz, $${values.push(after.id)})` : ''
    return this.database.sql(
      `SELECT * FROM "BiddingStrategy" WHERE shared ${position} ORDER BY "createdAt", id LIMIT $${values.push(limit)}::int`,
      values,
    )
  }

  async countStrategies(): Promise<number> {
    return (await this.database.sql<{ count: number }>('SELECT count(*)::int AS count FROM "BiddingStrategy" WHERE shared'))[0].count
  }

  async createStrategy(columns: Changes): Promise<StrategyRow> {
    const values: unknown[] = []
    return (await this.database.sql<StrategyRow>(`${insertOf('BiddingStrategy', columns, values)} RETURNING *`, values))[0]
  }

  /** Changes a strategy of this version, and notes with its campaigns since when they learn anew or have another target, in one statement. */
  async changeStrategy(
    id: string,
    changes: Changes,
    { expectedVersion, since }: { expectedVersion: number; since: Changes },
  ): Promise<StrategyRow | undefined> {
    const values: unknown[] = [id, expectedVersion]
    const update = `UPDATE "BiddingStrategy" SET ${setOf('BiddingStrategy', changes, values)} WHERE id = $1 AND version = $2::int RETURNING *`
    const times = Object.keys(since).map(name => `"${name}" = $${values.push(since[name].value)}::${since[name].type}`)
    const text =
      times.length > 0
        ? `WITH changed AS (${update}), noted AS (
             UPDATE "Campaign" c SET ${times.join(', ')} FROM changed WHERE c."biddingStrategyId" = changed.id)
           SELECT * FROM changed`
        : update
    return (await this.database.sql<StrategyRow>(text, values))[0]
  }

  campaignsOfStrategy(strategyId: string): Promise<{ id: string; name: string; status: CampaignStatus }[]> {
    return this.database.sql('SELECT id, name, status FROM "Campaign" WHERE "biddingStrategyId" = $1 ORDER BY name, id LIMIT 1000', [
      strategyId,
    ])
  }

  adGroupsByIds(ids: readonly string[]): Promise<AdGroupRow[]> {
    return this.database.sql('SELECT * FROM "AdGroup" WHERE id = ANY($1)', [ids], 'ad-groups-by-ids')
  }

  adGroupsOf(campaignIds: readonly string[]): Promise<AdGroupRow[]> {
    return this.database.sql('SELECT * FROM "AdGroup" WHERE "campaignId" = ANY($1) ORDER BY "createdAt", id', [campaignIds], 'ad-groups-of')
  }

  /** Made only while its campaign is not ended. */
  async createAdGroup(columns: Changes, campaignId: string): Promise<AdGroupRow | undefined> {
    const values: unknown[] = []
    const { names, given } = columnsOf(columns, values)
    return (
      await this.database.sql<AdGroupRow>(
        `INSERT INTO "AdGroup" (${names}) SELECT ${given} FROM "Campaign" WHERE id = $${values.push(campaignId)} AND status <> 'ENDED' RETURNING *`,
        values,
      )
    )[0]
  }

  async changeAdGroup(id: string, changes: Changes, expectedVersion: number | undefined): Promise<AdGroupRow | undefined> {
    const values: unknown[] = [id]
    const version = expectedVersion === undefined ? '' : `AND version = $${values.push(expectedVersion)}::int`
    const names = Object.keys(changes).map(name => `"${name}" = $${values.push(changes[name].value)}::${changes[name].type}`)
    return (
      await this.database.sql<AdGroupRow>(
        `UPDATE "AdGroup" SET ${[...names, 'version = version + 1'].join(', ')} WHERE id = $1 ${version}
           AND EXISTS (SELECT 1 FROM "Campaign" c WHERE c.id = "campaignId" AND c.status <> 'ENDED') RETURNING *`,
        values,
      )
    )[0]
  }

  adsByIds(ids: readonly number[]): Promise<AdRow[]> {
    return this.database.sql('SELECT * FROM "Ad" WHERE id = ANY($1::int[])', [ids], 'ads-by-ids')
  }

  adsOf(adGroupIds: readonly string[]): Promise<AdRow[]> {
    return this.database.sql('SELECT * FROM "Ad" WHERE "adGroupId" = ANY($1) ORDER BY id', [adGroupIds], 'ads-of')
  }

  /** A known external id gives undefined. */
  async createAd(columns: Changes): Promise<AdRow | undefined> {
    const values: unknown[] = []
    return (await this.database.sql<AdRow>(`${insertOf('Ad', columns, values, 'ON CONFLICT DO NOTHING')} RETURNING *`, values))[0]
  }

  /** Of an ad whose campaign is not ended. */
  async setAdStatus(id: number, status: string): Promise<AdRow | undefined> {
    return (
      await this.database.sql<AdRow>(
        `UPDATE "Ad" a SET status = $2 FROM "AdGroup" g, "Campaign" c WHERE a.id = $1 AND g.id = a."adGroupId" AND c.id = g."campaignId" AND c.status <> 'ENDED' RETURNING a.*`,
        [id, status],
      )
    )[0]
  }

  /** The campaign of each ad of the product that was running and is paused now. */
  async pauseAdsOf(productId: number, receipt: string): Promise<{ ads: number; campaignIds: string[] }> {
    const [{ note, campaignIds }] = await this.database.sql<{ note: string | null; campaignIds: string[] }>(
      `WITH before AS (SELECT note FROM "ActionReceipt" WHERE key = $2),
       paused AS (UPDATE "Ad" a SET status = 'PAUSED' FROM "AdGroup" g WHERE g.id = a."adGroupId" AND a."productId" = $1 AND a.status = 'ENABLED'
         AND NOT EXISTS (SELECT 1 FROM before) RETURNING g."campaignId"),
       kept AS (INSERT INTO "ActionReceipt" (key, note) SELECT $2, count(*)::text FROM paused ON CONFLICT DO NOTHING)
       SELECT (SELECT note FROM before) AS note, ARRAY(SELECT "campaignId" FROM paused) AS "campaignIds"`,
      [productId, receipt],
    )
    return { ads: note === null ? campaignIds.length : Number(note), campaignIds }
  }

  /** Of these audiences the ones that exist and were not archived. */
  async audiences(ids: readonly string[]): Promise<Map<string, { name: string; status: string }>> {
    if (ids.length === 0) return new Map()
    const rows = await this.database.sql<{ id: string; name: string; status: string }>(
      'SELECT id, name, status::text AS status FROM "Audience" WHERE id = ANY($1) AND "archivedAt" IS NULL',
      [ids],
    )
    return new Map(rows.map(row => [row.id, row]))
  }

  /** Whom a campaign may address personally, and why the others are left out; each person is counted under the first cause. */
  async reach(audienceId: string | null, excludedIds: readonly string[]): Promise<ReachRow> {
    const members = audienceId
      ? 'SELECT "userId" AS id FROM "AudienceMember" WHERE "audienceId" = $1'
      : 'SELECT id FROM "User" WHERE $1::text IS NULL'
    const [row] = await this.database.sql<ReachRow>(
      `WITH judged AS (
         SELECT CASE WHEN s."userId" IS NOT NULL THEN 'suppressed'
           WHEN EXISTS (SELECT 1 FROM "AudienceMember" x WHERE x."userId" = m.id AND x."audienceId" = ANY($2)) THEN 'excluded'
           WHEN c.granted IS NULL THEN 'unasked' WHEN NOT c.granted THEN 'refused' ELSE 'reach' END AS verdict
         FROM (${members}) m LEFT JOIN "Suppression" s ON s."userId" = m.id LEFT JOIN "Consent" c ON c."userId" = m.id AND c.purpose = 'ADS')
       SELECT count(*)::int AS members, ${['refused', 'unasked', 'suppressed', 'excluded', 'reach']
         .map(verdict => `count(*) FILTER (WHERE verdict = '${verdict}')::int AS ${verdict}`)
         .join(', ')} FROM judged`,
      [audienceId, excludedIds],
    )
    return row
  }

  performance(campaignIds: readonly string[], from: Date | null, to: Date | null, now: Date): Promise<PerformanceRow[]> {
    return this.database.sql(
      `SELECT c.id AS "campaignId", count(*)::int AS impressions, count(*) FILTER (WHERE e.clicked)::int AS clicks,
         COALESCE(sum(${CONVERTED}), 0)::int AS conversions, COALESCE(sum(e."costMicros"), 0)::bigint AS "costMicros",
         COALESCE(sum(${CONVERTED_VALUE}), 0)::bigint AS "conversionValueMicros",
         count(*) FILTER (WHERE e.clicked AND (${CONVERTED}) > 0)::int AS "convertedClicks",
         count(*) FILTER (WHERE e.clicked AND COALESCE(e."clickedAt", e."occurredAt") > $4::timestamptz - make_interval(days => c."attributionDays"))::int AS "openClicks"
       FROM "Campaign" c JOIN "AdGroup" g ON g."campaignId" = c.id JOIN "Ad" a ON a."adGroupId" = g.id JOIN "AdLogEntry" e ON e."adId" = a.id
       LEFT JOIN "Product" p ON p.id = a."productId" ${CONVERSIONS}
       WHERE c.id = ANY($1) AND ($2::timestamptz IS NULL OR e."occurredAt" >= $2) AND ($3::timestamptz IS NULL OR e."occurredAt" < $3)
       GROUP BY c.id`,
      [campaignIds, from, to, now],
      'campaign-performance',
    )
  }

  facts(campaignIds: readonly string[], dailyPeriod: string, now: Date): Promise<CampaignFacts[]> {
    return this.database.sql(
      `SELECT c.id AS "campaignId", g.groups AS "adGroups", g.ads, g.enabled AS "enabledAds", g.stocked AS "stockedAds", g.priced AS "pricedAds", g."unbidGroups", g."unbidAds",
         au.status::text AS "audienceStatus", au.size AS "audienceSize", m.share AS "consentedShare", f.share AS "cappedShare", l."spentMicros", l."reservedMicros", l."limitMicros",
         p.clicks AS "clicksLearned", p.conversions AS "conversionsLearned", cp.multiplier
       FROM "Campaign" c
       LEFT JOIN LATERAL (
         SELECT count(DISTINCT g.id)::int AS groups, count(a.id)::int AS ads, count(a.id) FILTER (WHERE a.status = 'ENABLED')::int AS enabled,
           count(a.id) FILTER (WHERE a.status = 'ENABLED' AND pr.stock IS DISTINCT FROM 0)::int AS stocked,
           count(a.id) FILTER (WHERE a.status = 'ENABLED' AND pr."priceMicros" IS NOT NULL AND pr."currencyCode" = c."budgetCurrencyCode")::int AS priced,
           count(DISTINCT g.id) FILTER (WHERE g."cpcBidMicros" IS NULL)::int AS "unbidGroups",
           count(a.id) FILTER (WHERE a.status = 'ENABLED' AND pr.stock IS DISTINCT FROM 0 AND g."cpcBidMicros" IS NULL)::int AS "unbidAds"
         FROM "AdGroup" g LEFT JOIN "Ad" a ON a."adGroupId" = g.id LEFT JOIN "Product" pr ON pr.id = a."productId" WHERE g."campaignId" = c.id) g ON true
       LEFT JOIN "Audience" au ON au.id = c."audienceId"
       LEFT JOIN LATERAL (
         SELECT avg(CASE WHEN co.granted THEN 1.0 ELSE 0 END)::float8 AS share
         FROM (SELECT "userId" FROM "AudienceMember" WHERE "audienceId" = c."audienceId" LIMIT 10000) am LEFT JOIN "Consent" co ON co."userId" = am."userId" AND co.purpose = 'ADS') m ON true
       LEFT JOIN LATERAL (${CAPPED_SHARE}) f ON true
       LEFT JOIN "BudgetLedger" l ON l."campaignId" = c.id AND l.period = CASE c."budgetPeriod" WHEN 'DAILY' THEN $2 ELSE 'TOTAL' END
       LEFT JOIN "CampaignPacing" cp ON cp."campaignId" = c.id AND cp.period = l.period
       LEFT JOIN LATERAL (
         SELECT count(*) FILTER (WHERE e.clicked)::int AS clicks, COALESCE(sum(${CONVERTED}), 0)::int AS conversions
         FROM "AdGroup" g JOIN "Ad" a ON a."adGroupId" = g.id JOIN "AdLogEntry" e ON e."adId" = a.id ${CONVERSIONS} WHERE g."campaignId" = c.id AND e."occurredAt" >= c."learningSince") p ON true
       WHERE c.id = ANY($1)`,
      [campaignIds, dailyPeriod, now],
      'campaign-facts',
    )
  }

  /** Running campaigns for the same people or the same context: candidates of a conflict. */
  rivals(campaignId: string | null): Promise<CampaignRow[]> {
    return this.database.sql(
      `SELECT * FROM "Campaign" WHERE status = 'ENABLED' AND ($1::text IS NULL OR id <> $1) ORDER BY "createdAt" DESC, id LIMIT 500`,
      [campaignId],
    )
  }

  /** Products of a campaign's ads. */
  async productIdsOf(campaignIds: readonly string[]): Promise<Map<string, Set<number>>> {
    const rows = await this.database.sql<{ campaignId: string; productId: number }>(
      `SELECT DISTINCT g."campaignId", a."productId" FROM "AdGroup" g JOIN "Ad" a ON a."adGroupId" = g.id WHERE g."campaignId" = ANY($1) AND a."productId" IS NOT NULL`,
      [campaignIds],
    )
    const found = new Map<string, Set<number>>()
    for (const { campaignId, productId } of rows) found.set(campaignId, (found.get(campaignId) ?? new Set()).add(productId))
    return found
  }

  /**
   * Proves each ledger from its journal and its bids: every entry follows the one before, none is missing, at no moment was more spent and reserved than
   * the limit of that moment, and the sums over all bids are what the ledger says.
   */
  audit(campaignIds: readonly string[] | null): Promise<AuditRow[]> {
    return this.database.sql(
      `WITH journal AS (
         SELECT e.*, lag("reservedAfter", 1, 0::bigint) OVER w AS "reservedBefore", lag("spentAfter", 1, 0::bigint) OVER w AS "spentBefore", lag(seq, 1, 0::bigint) OVER w AS before
         FROM "LedgerEntry" e WHERE ($1::text[] IS NULL OR "campaignId" = ANY($1)) WINDOW w AS (PARTITION BY "campaignId", period ORDER BY seq)),
       proof AS (
         SELECT "campaignId", period, count(*)::int AS entries, max("reservedAfter" + "spentAfter") AS peak, max(seq) AS last,
           count(*) FILTER (WHERE "reservedAfter" + "spentAfter" > "limitMicros" OR "reservedAfter" < 0 OR "spentAfter" < 0)::int AS breaches,
           bool_and(seq = before + 1 AND "reservedAfter" = "reservedBefore" + "reservedMicros" AND "spentAfter" = "spentBefore" + "spentMicros") AS whole,
           (array_agg("reservedAfter" ORDER BY seq DESC))[1] AS reserved, (array_agg("spentAfter" ORDER BY seq DESC))[1] AS spent
         FROM journal GROUP BY 1, 2),
       bids AS (
         SELECT "campaignId", period, COALESCE(sum("reservedMicros") FILTER (WHERE state IN ('RESERVED', 'WON')), 0)::bigint AS reserved,
           COALESCE(sum("costMicros") FILTER (WHERE state = 'COMMITTED'), 0)::bigint AS spent, count(*) FILTER (WHERE state = 'UNFUNDED')::int AS unfunded
         FROM "BidReservation" WHERE ($1::text[] IS NULL OR "campaignId" = ANY($1)) GROUP BY 1, 2)
       SELECT l."campaignId", l.period, l."limitMicros", l."spentMicros", l."reservedMicros", COALESCE(p.entries, 0) AS entries, COALESCE(p.peak, 0)::bigint AS "peakMicros",
         COALESCE(p.breaches, 0) AS breaches, COALESCE(p.whole AND p.last = l.seq AND p.reserved = l."reservedMicros" AND p.spent = l."spentMicros", false) AS "isComplete",
         COALESCE(b.reserved, 0)::bigint AS "bidsReservedMicros", COALESCE(b.spent, 0)::bigint AS "bidsSpentMicros", COALESCE(b.unfunded, 0) AS unfunded
       FROM "BudgetLedger" l LEFT JOIN proof p USING ("campaignId", period) LEFT JOIN bids b USING ("campaignId", period)
       WHERE ($1::text[] IS NULL OR l."campaignId" = ANY($1)) ORDER BY l."campaignId", l.period DESC`,
      [campaignIds],
    )
  }
}

function conditionsOf({ status, search, strategyId }: CampaignFilter) {
  const conditions: string[] = []
  const values: unknown[] = []
  if (status) conditions.push(`status = $${values.push(status)}::"CampaignStatus"`)
  if (strategyId) conditions.push(`"biddingStrategyId" = $${values.push(strategyId)}`)
  if (search) {
    const part = values.push(`%${escapeLike(search)}%`)
    conditions.push(`(name ILIKE $${part} OR "externalId" LIKE $${values.push(`${escapeLike(search)}%`)})`)
  }
  return { conditions, values }
}

function whereOf(conditions: readonly string[]): string {
  return conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}` : ''
}

function columnsOf(columns: Changes, values: unknown[]): { names: string; given: string } {
  const names = Object.keys(columns)
  return {
    names: names.map(name => `"${name}"`).join(', '),
    given: names.map(name => `$${values.push(columns[name].value)}::${columns[name].type}`).join(', '),
  }
}

function insertOf(table: string, columns: Changes, values: unknown[], onConflict = ''): string {
  const { names, given } = columnsOf(columns, values)
  return `INSERT INTO "${table}" (${names}) VALUES (${given}) ${onConflict}`
}

function setOf(table: string, changes: Changes, values: unknown[]): string {
  const set = Object.keys(changes).map(name => `"${name}" = $${values.push(changes[name].value)}::${changes[name].type}`)
  return [...set, `version = "${table}".version + 1`, '"updatedAt" = now()'].join(', ')
}
