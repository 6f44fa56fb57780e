import type { AuctionLog } from '../algorithms/bidding/auction.js'
import { createBidder, strategyOf } from '../algorithms/bidding/index.js'
import { winCurve } from '../algorithms/bidding/shading.js'
import type { SimulationPoint, SimulationRequest } from '../algorithms/bidding/simulate.js'
import { type AuctionType, BadSettings, type Market, type StrategySettings } from '../algorithms/bidding/strategy.js'
import { createRandom } from '../algorithms/math/random.js'
import { poissonInterval } from '../algorithms/math/special.js'
import type { CampaignRow, StrategyRow } from '../campaigns/campaign-rows.js'
import type { CampaignsService, Foreseen } from '../campaigns/campaigns.service.js'
import { controllerOf, limitOf } from '../campaigns/pacing.js'
import { BY_VALUE } from '../campaigns/primary-status.js'
import { type ImpressionContext, isInHours, mismatch, readyContext, readyTargeting } from '../campaigns/targeting.js'
import type { AccountCalendar } from '../campaigns/time-zone.js'
import { encodeId } from '../graphql/node-id.js'
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

/** Over which auctions a campaign is replayed. */
interface SimulationBasis {
  campaignId: string
  over: 'BID' | 'BUDGET'
  currencyCode: string
  auction: AuctionType
  /** Those whose price is known, and of them those that the campaign would have bid on by its targeting, hours and audience. */
  auctionsKnown: number
  auctions: number
  days: number
  /** Impressions of imported logs: too few auctions of our own are known. */
  isImported: boolean
}

/** What a simulation would vary; nothing is replayed for it. */
export interface SimulationPlan extends SimulationBasis {
  points: ({ factor: number } & ({ dailyBudgetMicros: number } | { bids: StrategySettings }))[]
  warnings: string[]
}

/** A chart of what another bid or budget would have brought a day, over the auctions that are known. */
export interface SimulationResult extends SimulationBasis {
  points: (SimulationPoint & { perDay: { clicks: number; costMicros: number; valueMicros: number; conversions: number } })[]
}

interface Parts {
  repository: BiddingRepository
  campaigns: () => CampaignsService
  calendar: AccountCalendar
  pool: Pool
  seed: number
  currency: string
  now?(): Date
}

const HOUR_MS = 3_600_000
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
/** What a person sets of a strategy's bids, beside their limits; others find theirs themselves. */
const SET_BIDS: Record<string, keyof StrategySettings> = {
  MANUAL_CPC: 'cpcBidMicros',
  MANUAL_CPM: 'cpmBidMicros',
  TARGET_CPA: 'targetCpaMicros',
  TARGET_ROAS: 'targetRoas',
  ORTB: 'clickValueMicros',
}
const LIMITS = ['cpcBidCeilingMicros', 'cpcBidFloorMicros'] as const
const UNKNOWN = 'Nothing is known of the market yet, so nothing can be expected'
const IMPORTED = 'What is expected comes from imported impressions at what they cost: too few auctions of our own are known'

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

  /** What a campaign may expect in its period, with intervals; and why nothing can be expected where it is so. */
  async foresee(campaign: CampaignRow, strategy: StrategyRow): Promise<Foreseen> {
    const known = await this.market()
    if (!known) return { expectations: null, warnings: [UNKNOWN] }
    const settings = await this.settings(campaign, strategy, known)
    const fault = faultOf(strategy.type, settings, known)
    if (fault) return { expectations: null, warnings: [`Nothing can be expected: ${fault}`] }
    const rows = await this.matching(campaign, known)
    const [point] = await this.replay(campaign, strategy, { ...known, rows, settings }, 'BUDGET', [1])
    const days = campaign.budgetPeriod === 'DAILY' ? 1 : Math.max(1, this.daysOf(campaign))
    const share = days / known.days
    // What happens is a Poisson count, around a mean that is known from a count itself: events of both periods decide how far it may be off.
    const estimate = (count: number, each: number, most = Number.POSITIVE_INFINITY) => {
      const { low, high } = poissonInterval((count * share) / (1 + share), Z)
      const micros = each * (1 + share)
      return { value: count * each * share, interval: { low: low * micros, high: Math.min(high * micros, most), level: LEVEL } }
    }
    const usually = rows.length > 0 ? rows : known.rows
    const each = (sum: number, count: number, usual: (row: MarketRow) => number) => (count > 0 ? sum / count : meanOf(usually, usual))
    const price = each(point.costMicros, point.impressions, row => row.priceMicros)
    const worth = each(point.valueMicros, point.conversions, row => Number(campaign.conversionValueMicros ?? row.valueMicros))
    return {
      expectations: {
        clicks: estimate(point.expectedClicks, 1),
        costMicros: estimate(point.impressions, price, Number(limitOf(campaign))),
        valueMicros: estimate(point.conversions, worth),
      },
      warnings: [
        ...(known.isImported ? [IMPORTED] : []),
        ...unmatched(rows, known),
        ...(rows.length > 0 && point.impressions === 0
          ? [`It would have won none of the ${rows.length} auctions that it would have bid on`]
          : []),
        ...(BY_VALUE.has(strategy.type) && worth === 0
          ? ['No worth of a conversion is known: set conversionValue, or advertise products with a price']
          : []),
      ],
    }
  }

  /** Throws the sentence a caller should see before a job is made of it; else says what the job would do. */
  async plan(input: SimulationInput): Promise<SimulationPlan> {
    const { basis, points, warnings } = await this.planned(input)
    return { ...basis, points, warnings }
  }

  private async planned({ factors, ...input }: SimulationInput) {
    for (const factor of factors ?? [])
      if (!(factor >= 0.01 && factor <= 100)) throw new InvalidInput(`A factor must be from 0.01 to 100, not ${factor}`, {}, ['factors'])
    if (factors && (factors.length === 0 || factors.length > 30)) throw new InvalidInput('factors must be 1 to 30', {}, ['factors'])
    const { campaign, settings, known, rows, basis } = await this.basisOf(input)
    const bids = Object.entries(settings).filter(([name]) => varied(campaign.type).includes(name as keyof StrategySettings))
    if (input.over === 'BID' && bids.length === 0)
      throw new InvalidInput(
        campaign.type in SET_BIDS
          ? `Nothing of a bid is set (${SET_BIDS[campaign.type]}), so there is nothing to vary`
          : `${campaign.type} finds its bids itself, and none of its limits is set: vary the BUDGET`,
        {},
        ['over'],
      )
    const points = [...(factors ?? FACTORS)]
      .sort((a, b) => a - b)
      .map(factor => {
        if (input.over === 'BUDGET') return { factor, dailyBudgetMicros: Math.round(this.dailyOf(campaign.row) * factor) }
        const at = ([name, bid]: [string, number]) => [name, name === 'targetRoas' ? bid / factor : bid * factor]
        return { factor, bids: Object.fromEntries(bids.map(at)) as StrategySettings }
      })
    const warnings = known ? [...(known.isImported ? [IMPORTED] : []), ...unmatched(rows, known)] : [UNKNOWN]
    return { campaign, settings, known, rows, basis, points, warnings }
  }

  async simulate(input: SimulationInput, signal?: AbortSignal): Promise<SimulationResult> {
    const { campaign, settings, known, rows, basis } = await this.planned(input)
    if (!known) return { ...basis, points: [] }
    const points = await this.replay(
      campaign.row,
      campaign.strategy,
      { ...known, rows, settings },
      input.over,
      input.factors ?? FACTORS,
      signal,
    )
    const perDay = ({ clicks, costMicros, valueMicros, conversions }: SimulationPoint) => ({
      clicks: clicks / known.days,
      costMicros: costMicros / known.days,
      valueMicros: valueMicros / known.days,
      conversions: conversions / known.days,
    })
    return { ...basis, points: points.map(point => ({ ...point, perDay: perDay(point) })) }
  }

  private async basisOf({ over, ...input }: Omit<SimulationInput, 'factors'>) {
    const row = await this.parts.campaigns().named(input)
    const strategy = (await this.parts.repository.strategy(row.biddingStrategyId)) as StrategyRow
    const known = await this.market()
    const rows = known ? await this.matching(row, known) : []
    const basis: SimulationBasis = {
      campaignId: encodeId('Campaign', row.id),
      over,
      currencyCode: this.parts.currency,
      auction: known?.auction ?? 'SECOND_PRICE',
      auctionsKnown: known?.rows.length ?? 0,
      auctions: rows.length,
      days: known?.days ?? 0,
      isImported: known?.isImported ?? false,
    }
    const settings = await this.settings(row, strategy, known)
    return { campaign: { row, strategy, type: strategy.type }, settings, known, rows, basis }
  }

  /** Of the known auctions those that the campaign would have bid on. Whom its frequency cap would leave out, the replay sees. */
  private async matching(campaign: CampaignRow, { rows }: KnownMarket): Promise<MarketRow[]> {
    const { audienceId, excludedAudienceIds, contextual, schedule } = campaign
    const audienceIds = [...(audienceId ? [audienceId] : []), ...excludedAudienceIds]
    const people = audienceIds.length > 0 ? [...new Set(rows.flatMap(({ userId }) => userId ?? []))] : []
    const members = people.length > 0 ? await this.parts.repository.membersAmong(audienceIds, people) : new Map<string, Set<number>>()
    const isIn = (id: string, userId: number | null) => userId !== null && (members.get(id)?.has(userId) ?? false)
    const targeting = readyTargeting(contextual)
    return rows.filter(({ at, context, userId }) => {
      if (audienceId && !isIn(audienceId, userId)) return false
      if (excludedAudienceIds.some(id => isIn(id, userId))) return false
      if (targeting.length > 0 && mismatch(targeting, readyContext(impressionOf(context)))) return false
      const { hour, weekday } = context
      const moment =
        typeof hour === 'number' && typeof weekday === 'number'
          ? { hour, weekday }
          : schedule.length > 0 && this.parts.calendar.moment(new Date(at))
      return !moment || isInHours(schedule, moment)
    })
  }

  private async settings(campaign: CampaignRow, strategy: StrategyRow, known: KnownMarket | null): Promise<StrategySettings> {
    const settings = settingsOf(campaign, strategy, undefined, Boolean(known?.curve))
    if (strategy.type !== 'MANUAL_CPC' || settings.cpcBidMicros !== undefined) return settings
    const bid = await this.parts.repository.meanBid(campaign.id)
    return bid === null ? settings : { ...settings, cpcBidMicros: bid }
  }

  private async replay(
    campaign: CampaignRow,
    strategy: StrategyRow,
    { rows, days, curve, auction, settings }: KnownMarket & { settings: StrategySettings },
    over: 'BID' | 'BUDGET',
    factors: readonly number[],
    signal?: AbortSignal,
  ): Promise<SimulationPoint[]> {
    const { conversionValueMicros, frequencyCap } = campaign
    const value = conversionValueMicros === null ? undefined : Number(conversionValueMicros)
    const log = logOf(rows)
    const request: SimulationRequest = {
      log: value === undefined ? log : { ...log, values: new Float64Array(rows.length).fill(value) },
      strategy: strategy.type,
      settings,
      market: totalsOf(rows),
      winCurve: curve,
      auction,
      budgetMicros: this.dailyOf(campaign) * days,
      controller: controllerOf(campaign).name,
      cap: frequencyCap ? { impressions: frequencyCap.impressions, windowMs: frequencyCap.hours * HOUR_MS } : undefined,
      over,
      factors,
      seed: this.parts.seed,
    }
    const { result } = await this.parts.pool.run<SimulationPoint[]>({ family: 'bidding', function: 'simulate', args: [request] }, signal)
    return result
  }

  private dailyOf(campaign: CampaignRow): number {
    const budget = Number(campaign.budgetMicros)
    return campaign.budgetPeriod === 'DAILY' ? budget : budget / Math.max(1, this.daysOf(campaign))
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
      rows,
      // Of the kind that most were: what wins is known for both, what is paid is not.
      auction: 2 * rows.filter(row => row.auction === 'FIRST_PRICE').length > rows.length ? 'FIRST_PRICE' : 'SECOND_PRICE',
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
  rows: readonly MarketRow[]
  auction: AuctionType
  days: number
  curve: Uint8Array | null
  /** From impressions of imported logs, because too few auctions of our own are known. */
  isImported: boolean
}

/** What speaks against a replay of this strategy, in a sentence. */
function faultOf(type: string, settings: StrategySettings, { rows, curve }: KnownMarket): string | undefined {
  try {
    createBidder(strategyOf(type), settings, { ...totalsOf(rows), winCurve: curve && winCurve.load(curve) }, createRandom(1))
    return undefined
  } catch (error) {
    if (error instanceof BadSettings) return error.message
    throw error
  }
}

function unmatched(rows: readonly MarketRow[], known: KnownMarket): string[] {
  if (rows.length > 0) return []
  return [
    `None of the ${known.rows.length} auctions that are known is one that it would have bid on, by its targeting, hours and audiences`,
  ]
}

function varied(type: string): (keyof StrategySettings)[] {
  return [...(SET_BIDS[type] ? [SET_BIDS[type]] : []), ...LIMITS]
}

/** What an imported log tells may be of any kind. */
function impressionOf({ placement, device, country, categories }: MarketRow['context']): ImpressionContext {
  const text = (value: unknown) => (typeof value === 'string' ? value : null)
  const list = Array.isArray(categories) ? categories : String(categories ?? '').split('|')
  return { placement: text(placement), device: text(device), country: text(country), categories: list.flatMap(each => text(each) ?? []) }
}

function meanOf(rows: readonly MarketRow[], value: (row: MarketRow) => number): number {
  return rows.length > 0 ? rows.reduce((sum, row) => sum + value(row), 0) / rows.length : 0
}

function logOf(rows: readonly MarketRow[]): AuctionLog {
  return {
    prices: Float64Array.from(rows, row => row.priceMicros),
    clicked: Uint8Array.from(rows, row => (row.clicked ? 1 : 0)),
    pCtr: Float64Array.from(rows, row => row.pCtr),
    pCvr: Float64Array.from(rows, row => row.pCvr),
    converted: Uint8Array.from(rows, row => (row.converted ? 1 : 0)),
    values: Float64Array.from(rows, row => row.valueMicros),
    viewers: { ids: Int32Array.from(rows, row => row.userId ?? -1), times: Float64Array.from(rows, row => row.at) },
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
