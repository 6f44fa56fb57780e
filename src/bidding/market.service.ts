import type { AuctionLog } from '../algorithms/bidding/auction.js'
import { winCurve } from '../algorithms/bidding/shading.js'
import type { SimulationPoint, SimulationRequest } from '../algorithms/bidding/simulate.js'
import type { Market } from '../algorithms/bidding/strategy.js'
import { createRandom } from '../algorithms/math/random.js'
import type { CampaignRow, StrategyRow } from '../campaigns/campaign-rows.js'
import type { CampaignsService, Expectations } from '../campaigns/campaigns.service.js'
import { controllerOf } from '../campaigns/pacing.js'
import { InvalidInput } from '../platform/errors.js'
import type { Pool } from '../platform/pool.js'
import type { BiddingRepository, MarketRow } from './bidding.repository.js'
import { settingsOf, WIN_CURVE } from './snapshot.js'

export interface SimulationInput {
  campaignId?: string | null
  campaignExternalId?: string | null
  over: 'BID' | 'BUDGET'
  factors?: readonly number[] | null
}

/** A chart of what another bid or budget would have brought a day, over the auctions that are known. */
export interface SimulationResult {
  campaignId: string
  over: 'BID' | 'BUDGET'
  currencyCode: string
  auctions: number
  days: number
  points: (SimulationPoint & { perDay: { clicks: number; costMicros: number; valueMicros: number; conversions: number } })[]
}

interface Parts {
  repository: BiddingRepository
  campaigns: () => CampaignsService
  pool: Pool
  seed: number
  currency: string
  now?(): Date
}

const DAY_MS = 86_400_000
const WIN_LOG_DAYS = 30
const MOST_BIDS = 100_000
const MARKET_DAYS = 14
const MOST_AUCTIONS = 50_000
/** A market of weeks does not change within a minute, and previews follow each other while somebody types. */
const FRESH_MS = 60_000
/** Fewer auctions tell nothing. */
const LEAST_AUCTIONS = 100
const FACTORS = [0.25, 0.5, 0.75, 1, 1.25, 1.5, 2, 3, 4]
/** Standard normal quantile of 95 %, for two sides of 90 %. */
const Z = 1.6449
const LEVEL = 0.9

/**
 * What the market is like, from what came of our own bids: the win curve, and replays of campaigns over the auctions whose price is known; before there are
 * enough of them, over impressions of imported logs.
 */
export class MarketService {
  private known?: { at: number; market: KnownMarket }

  constructor(private readonly parts: Parts) {}

  /** Learns the win curve anew from wins, losses and min-to-win. Returns the number of bids it was learned from. */
  async refreshWinCurve(): Promise<number> {
    const { repository } = this.parts
    const rows = await repository.winLog(new Date(this.now().getTime() - WIN_LOG_DAYS * DAY_MS), MOST_BIDS)
    if (rows.length === 0) return 0
    const log = {
      bids: Float64Array.from(rows, row => Number(row.bidMicros)),
      won: Uint8Array.from(rows, row => (row.isWon ? 1 : 0)),
      minToWin: Float64Array.from(rows, row => (row.minToWinMicros === null ? Number.NaN : Number(row.minToWinMicros))),
    }
    const curve = winCurve.fit(log, winCurve.defaults, createRandom(this.parts.seed))
    await repository.keepSetting(WIN_CURVE, {
      artifact: Buffer.from(curve.save()).toString('base64'),
      rows: rows.length,
      at: this.now().toISOString(),
    })
    return rows.length
  }

  /** What a campaign may expect in its period, with intervals; null while too little is known. */
  async expect(campaign: CampaignRow, strategy: StrategyRow): Promise<Expectations | null> {
    const market = await this.market()
    if (!market || !strategy) return null
    const [point] = await this.replay(campaign, strategy, market, 'BUDGET', [1]).catch(() => [])
    if (!point) return null
    const days = campaign.budgetPeriod === 'DAILY' ? 1 : Math.max(1, this.daysOf(campaign))
    const share = days / market.days
    // Clicks and conversions are rare events: their spread is that of a Poisson count, and cost and value follow.
    const spread = (count: number) => (count > 0 ? Z / Math.sqrt(count) : 1)
    const estimate = (value: number, relative: number) => ({
      value: value * share,
      interval: { low: Math.max(0, value * share * (1 - relative)), high: value * share * (1 + relative), level: LEVEL },
    })
    return {
      clicks: estimate(point.expectedClicks, spread(point.expectedClicks * share)),
      costMicros: estimate(point.costMicros, spread(point.impressions)),
      valueMicros: estimate(point.valueMicros, spread(point.conversions * share)),
      isImported: market.isImported,
    }
  }

  /** Throws the sentence a caller should see before a job is made of it. */
  async check({ factors, ...input }: SimulationInput): Promise<CampaignRow> {
    for (const factor of factors ?? [])
      if (!(factor >= 0.01 && factor <= 100)) throw new InvalidInput(`A factor must be from 0.01 to 100, not ${factor}`, {}, ['factors'])
    if (factors && (factors.length === 0 || factors.length > 30)) throw new InvalidInput('factors must be 1 to 30', {}, ['factors'])
    return this.parts.campaigns().named(input)
  }

  async simulate(input: SimulationInput, signal?: AbortSignal): Promise<SimulationResult> {
    const campaign = await this.check(input)
    const strategy = (await this.parts.repository.strategy(campaign.biddingStrategyId)) as StrategyRow
    const market = await this.market()
    const none = { campaignId: campaign.id, over: input.over, currencyCode: this.parts.currency, auctions: 0, days: 0, points: [] }
    if (!market) return none
    const points = await this.replay(campaign, strategy, market, input.over, input.factors ?? FACTORS, signal)
    const perDay = ({ clicks, costMicros, valueMicros, conversions }: SimulationPoint) => ({
      clicks: clicks / market.days,
      costMicros: costMicros / market.days,
      valueMicros: valueMicros / market.days,
      conversions: conversions / market.days,
    })
    return {
      ...none,
      auctions: market.log.prices.length,
      days: market.days,
      points: points.map(point => ({ ...point, perDay: perDay(point) })),
    }
  }

  private async replay(
    campaign: CampaignRow,
    strategy: StrategyRow,
    { log, market, days, curve }: KnownMarket,
    over: 'BID' | 'BUDGET',
    factors: readonly number[],
    signal?: AbortSignal,
  ): Promise<SimulationPoint[]> {
    const daily =
      campaign.budgetPeriod === 'DAILY' ? Number(campaign.budgetMicros) : Number(campaign.budgetMicros) / Math.max(1, this.daysOf(campaign))
    const value = campaign.conversionValueMicros === null ? undefined : Number(campaign.conversionValueMicros)
    const request: SimulationRequest = {
      log: value === undefined ? log : { ...log, values: new Float64Array(log.prices.length).fill(value) },
      strategy: strategy.type,
      settings: settingsOf(campaign, strategy, undefined, curve !== null),
      market,
      winCurve: curve,
      auction: 'SECOND_PRICE',
      budgetMicros: daily * days,
      controller: controllerOf(campaign).name,
      over,
      factors,
      seed: this.parts.seed,
    }
    if (strategy.type === 'MANUAL_CPC' && request.settings.cpcBidMicros === undefined) {
      const bid = await this.parts.repository.meanBid(campaign.id)
      if (bid !== null) request.settings.cpcBidMicros = bid
    }
    const { result } = await this.parts.pool.run<SimulationPoint[]>({ family: 'bidding', function: 'simulate', args: [request] }, signal)
    return result
  }

  private async market(): Promise<KnownMarket | null> {
    const now = this.now().getTime()
    if (this.known && now >= this.known.at && now - this.known.at < FRESH_MS) return this.known.market
    const market = await this.read()
    this.known = market ? { at: now, market } : undefined
    return market
  }

  private async read(): Promise<KnownMarket | null> {
    const { repository } = this.parts
    const since = new Date(this.now().getTime() - MARKET_DAYS * DAY_MS)
    const own = await repository.market(since, MOST_AUCTIONS)
    const isImported = own.length < LEAST_AUCTIONS
    const rows = isImported ? await repository.importedMarket(MARKET_DAYS, MOST_AUCTIONS) : own
    if (rows.length < LEAST_AUCTIONS) return null
    const stored = await repository.setting<{ artifact: string }>(WIN_CURVE)
    const span = rows[rows.length - 1].at - rows[0].at
    return {
      log: logOf(rows),
      market: totalsOf(rows),
      days: Math.max(1, span / DAY_MS),
      curve: stored ? new Uint8Array(Buffer.from(stored.artifact, 'base64')) : null,
      isImported,
    }
  }

  private daysOf({ startsAt, endsAt }: CampaignRow): number {
    const from = startsAt && startsAt > this.now() ? startsAt : this.now()
    return endsAt ? (endsAt.getTime() - from.getTime()) / DAY_MS : MARKET_DAYS
  }

  private now(): Date {
    return this.parts.now?.() ?? new Date()
  }
}

interface KnownMarket {
  log: AuctionLog
  market: Omit<Market, 'winCurve'>
  days: number
  curve: Uint8Array | null
  /** From impressions of imported logs, because too few auctions of our own are known. */
  isImported: boolean
}

function logOf(rows: readonly MarketRow[]): AuctionLog {
  return {
    prices: Float64Array.from(rows, row => row.priceMicros),
    clicked: Uint8Array.from(rows, row => (row.clicked ? 1 : 0)),
    pCtr: Float64Array.from(rows, row => row.pCtr),
    pCvr: Float64Array.from(rows, row => row.pCvr),
    converted: Uint8Array.from(rows, row => (row.converted ? 1 : 0)),
    values: Float64Array.from(rows, row => row.valueMicros),
  }
}

function totalsOf(rows: readonly MarketRow[]): Omit<Market, 'winCurve'> {
  const sum = (value: (row: MarketRow) => number) => rows.reduce((total, row) => total + value(row), 0)
  return {
    impressions: rows.length,
    clicks: sum(row => (row.clicked ? 1 : 0)),
    conversions: sum(row => (row.converted ? 1 : 0)),
    costMicros: sum(row => row.priceMicros),
    conversionValueMicros: sum(row => (row.converted ? row.valueMicros : 0)),
    prices: null,
  }
}
