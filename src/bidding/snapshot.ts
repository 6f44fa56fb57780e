import { createBidder, strategyOf } from '../algorithms/bidding/index.js'
import { winCurve } from '../algorithms/bidding/shading.js'
import { BadSettings, type Bidder, type Market, type StrategySettings, type WinCurve } from '../algorithms/bidding/strategy.js'
import { conversionsOf, targetMultiplierOf } from '../algorithms/bidding/target.js'
import { createRandom } from '../algorithms/math/random.js'
import type { CampaignRow, StrategyRow } from '../campaigns/campaign-rows.js'
import type { CampaignsService } from '../campaigns/campaigns.service.js'
import { type ReadyTargeting, readyTargeting } from '../campaigns/targeting.js'
import { messageOf } from '../platform/errors.js'
import type { Log } from '../platform/log.js'
import type { Signals } from '../platform/signals.js'
import type { BiddingRepository, HistoryRow, SnapshotAd, SnapshotGroup } from './bidding.repository.js'
import { type Advertised, appOf, codesOf } from './blocklist.js'
import { domainOf } from './domains.js'
import { adWords } from './features.js'
import type { Predictable } from './predictor.js'
import { ProductSentiments } from './product-sentiment.js'

/** An ad that may be shown: what is predicted from, and what its conversion is worth. */
export interface AdLine extends Predictable, Advertised {
  id: number
  headline: string
  productKey: number | null
  url: string | null
  categories: readonly string[]
  valueMicros: number
  campaign: CampaignLine
  bidder: Bidder
}

/** A running campaign as it bids now. `remainingMicros` is what is known to be left; the database has the last word. */
export interface CampaignLine {
  row: CampaignRow
  targeting: ReadyTargeting
  strategy: StrategyRow
  ads: AdLine[]
  period: string
  multiplier: number
  targetMultiplier: number
  remainingMicros: number
  /** Why it cannot bid at all, if so. */
  fault: string | null
}

export interface Snapshot {
  campaigns: CampaignLine[]
  /** Audiences that any campaign asks for. */
  audienceIds: string[]
  cappedIds: string[]
  /** The longest window of a frequency cap. */
  capHours: number
  winCurve: WinCurve | null
  loadedAt: number
}

const RELOAD_MS = 5_000
const BUDGETS_MS = 1_000
const HISTORY_MS = 60_000
const OLDER_HISTORY_MS = 3_600_000
const HISTORY_DAYS = 30
const SENTIMENTS_MS = 300_000
const DAY_MS = 86_400_000
/** Conversions whose worth the belief that a target needs no correction weighs. */
const TARGET_PRIOR = 5
export const WIN_CURVE = 'win curve'

interface Parts {
  repository: BiddingRepository
  campaigns: CampaignsService
  signals: Pick<Signals, 'on'>
  log: Log
  now?(): Date
}

/**
 * Running campaigns in memory. Signals bring changes at once, a look every few seconds makes them certain; budgets and multipliers are read every second.
 * State is truth: a look that fails leaves what is known, and whether money is left is decided by the database alone.
 */
export class Snapshots {
  private known: Snapshot = { campaigns: [], audienceIds: [], cappedIds: [], capHours: 0, winCurve: null, loadedAt: 0 }
  private history = new Map<number, HistoryRow>()
  private historyAt = 0
  /** What ads have earned before the last day, as of `at`; by what was asked for each campaign. */
  private older: { at: number; newest: bigint; rows: Map<string, HistoryRow[]> } = { at: 0, newest: 0n, rows: new Map() }
  private sentiments = new ProductSentiments()
  private sentimentsAt = 0
  private campaignsAt = 0
  private curveText: string | undefined
  private isStale = true
  private looking?: Promise<void>
  private timer?: NodeJS.Timeout
  private readonly unsubscribe: () => void

  constructor(private readonly parts: Parts) {
    this.unsubscribe = parts.signals.on('campaign.changed', () => {
      this.isStale = true
      if (this.timer) void this.look()
    })
  }

  /** Looks from now on by itself. */
  start(): void {
    this.timer ??= setInterval(() => void this.look(), BUDGETS_MS).unref()
  }

  stop(): void {
    clearInterval(this.timer)
    this.unsubscribe()
  }

  /** What is known; the first call loads it, and later ones wait for nothing unless a change was announced to a server that does not look by itself. */
  async current(): Promise<Snapshot> {
    if (this.known.loadedAt === 0 || (this.isStale && !this.timer)) await this.look()
    this.start()
    return this.known
  }

  /** Brings what is known in line with the database. */
  look(): Promise<void> {
    this.looking = (this.looking ?? Promise.resolve())
      .then(() => this.refresh())
      .catch(error => this.parts.log.warn('the campaigns could not be looked up', { error: messageOf(error) }))
    return this.looking
  }

  private async refresh(): Promise<void> {
    const { repository } = this.parts
    const now = this.now()
    if (this.isStale || now.getTime() - this.campaignsAt >= RELOAD_MS) {
      this.isStale = false
      const rows = await repository.snapshot()
      const isRetargeted = rows.campaigns.some(campaign => !this.older.rows.has(askedOf(campaign)))
      if (now.getTime() - this.historyAt >= HISTORY_MS || isRetargeted) {
        this.history = await this.readHistory(rows.campaigns, now.getTime())
        this.historyAt = now.getTime()
      }
      if (now.getTime() - this.sentimentsAt >= SENTIMENTS_MS) await this.readSentiments(rows.ads, now)
      this.known = { ...this.assembled(rows), winCurve: await this.curve(), loadedAt: now.getTime() }
      this.campaignsAt = now.getTime()
    }
    await this.readBudgets()
  }

  /**
   * What the last day brought is added up anew each time; what lies before it once an hour, for campaigns that are new or have another target, and where an
   * old log was brought.
   */
  private async readHistory(campaigns: readonly CampaignRow[], now: number): Promise<Map<number, HistoryRow>> {
    const { repository } = this.parts
    const { newest, hasOlder } = await repository.logSince(this.older.newest, new Date(this.older.at - DAY_MS))
    if (hasOlder || now - this.older.at >= OLDER_HISTORY_MS) this.older = { at: now, newest, rows: new Map() }
    const { older } = this
    older.newest = newest
    const cut = new Date(older.at - DAY_MS)
    const missing = campaigns.filter(campaign => !older.rows.has(askedOf(campaign)))
    if (missing.length > 0) {
      const span = { from: new Date(older.at - HISTORY_DAYS * DAY_MS), until: cut }
      const read = groupedBy(
        await repository.history(
          missing.map(({ id }) => id),
          span,
        ),
        row => row.campaignId,
      )
      for (const campaign of missing) older.rows.set(askedOf(campaign), read.get(campaign.id) ?? [])
    }
    const recent = await repository.history(
      campaigns.map(({ id }) => id),
      { from: cut, until: new Date(now + DAY_MS) },
    )
    const sums = new Map(recent.map(row => [row.adId, row]))
    for (const row of campaigns.flatMap(campaign => older.rows.get(askedOf(campaign)) ?? [])) {
      const sum = sums.get(row.adId)
      sums.set(row.adId, sum ? added(sum, row) : row)
    }
    return sums
  }

  /** Without what reviews say bids go on: the sentiment is unknown then, or what it was. */
  private async readSentiments(ads: readonly SnapshotAd[], now: Date): Promise<void> {
    this.sentimentsAt = now.getTime()
    const products = new Set(ads.flatMap(({ productId }) => productId ?? []))
    try {
      this.sentiments = await this.parts.repository.sentiments([...products], now)
    } catch (error) {
      this.parts.log.warn('what reviews say of advertised products could not be read', { error: messageOf(error) })
    }
  }

  private async readBudgets(): Promise<void> {
    const { repository, campaigns } = this.parts
    const ids = this.known.campaigns.map(({ row }) => row.id)
    if (ids.length === 0) return
    const { ledgers, pacings } = await repository.budgets(ids, campaigns.dailyPeriod(this.now()))
    const ledgerOf = new Map(ledgers.map(ledger => [`${ledger.campaignId}:${ledger.period}`, ledger]))
    const pacingOf = new Map(pacings.map(pacing => [pacing.campaignId, pacing]))
    const missing: string[] = []
    for (const line of this.known.campaigns) {
      const period = line.row.budgetPeriod === 'DAILY' ? campaigns.dailyPeriod(this.now()) : 'TOTAL'
      const ledger = ledgerOf.get(`${line.row.id}:${period}`)
      const paced = campaigns.pacedNow(line.row, line.strategy.type, ledger, pacingOf.get(line.row.id))
      if (!ledger) missing.push(line.row.id)
      line.period = period
      line.multiplier = paced.detail.multiplier
      line.remainingMicros = ledger ? Number(ledger.limitMicros - ledger.spentMicros - ledger.reservedMicros) : Number.POSITIVE_INFINITY
    }
    if (missing.length > 0) {
      await campaigns.openLedgers(missing)
      await this.readOpened(missing)
    }
  }

  private async readOpened(ids: readonly string[]): Promise<void> {
    const { ledgers } = await this.parts.repository.budgets(ids, this.parts.campaigns.dailyPeriod(this.now()))
    for (const line of this.known.campaigns) {
      const ledger = ledgers.find(each => each.campaignId === line.row.id && each.period === line.period)
      if (ledger) line.remainingMicros = Number(ledger.limitMicros - ledger.spentMicros - ledger.reservedMicros)
    }
  }

  private assembled({
    campaigns,
    strategies,
    groups,
    ads,
  }: Awaited<ReturnType<BiddingRepository['snapshot']>>): Omit<Snapshot, 'winCurve' | 'loadedAt'> {
    const strategyById = new Map(strategies.map(row => [row.id, row]))
    const before = new Map(this.known.campaigns.map(line => [line.row.id, line]))
    const groupsOf = groupedBy(groups, group => group.campaignId)
    const adsOf = groupedBy(ads, ad => ad.adGroupId)
    const lines = campaigns.map(row => {
      const { multiplier = 1, remainingMicros = Number.POSITIVE_INFINITY, period = '' } = before.get(row.id) ?? {}
      const strategy = strategyById.get(row.biddingStrategyId) as StrategyRow
      const targeting = readyTargeting(row.contextual)
      const line: CampaignLine = {
        row,
        targeting,
        strategy,
        ads: [],
        period,
        multiplier,
        targetMultiplier: 1,
        remainingMicros,
        fault: null,
      }
      this.fill(line, groupsOf.get(row.id) ?? [], adsOf)
      return line
    })
    return {
      campaigns: lines,
      audienceIds: [
        ...new Set(
          campaigns.flatMap(({ audienceId, excludedAudienceIds }) => [...(audienceId ? [audienceId] : []), ...(excludedAudienceIds ?? [])]),
        ),
      ],
      cappedIds: campaigns.filter(({ frequencyCap }) => frequencyCap).map(({ id }) => id),
      capHours: Math.max(0, ...campaigns.map(({ frequencyCap }) => frequencyCap?.hours ?? 0)),
    }
  }

  private fill(line: CampaignLine, groups: readonly SnapshotGroup[], adsOf: ReadonlyMap<string, SnapshotAd[]>): void {
    const { row, strategy } = line
    const ads = groups.flatMap(group => (adsOf.get(group.id) ?? []).map(ad => ({ ad, group })))
    const stocked = ads.filter(({ ad }) => ad.stock !== 0)
    if (stocked.length === 0) {
      line.fault = ads.length === 0 ? 'NO_ADS' : 'STOCK_LIMITED'
      return
    }
    const earned = stocked.flatMap(({ ad }) => this.history.get(ad.id) ?? [])
    const market = this.marketOf(earned)
    line.targetMultiplier = correctionOf(strategy, earned, Number(row.conversionValueMicros ?? stocked[0].ad.priceMicros ?? 0))
    const bidders = new Map<string, Bidder>()
    for (const { ad, group } of stocked) {
      try {
        const bidder =
          bidders.get(group.id) ??
          createBidder(strategyOf(strategy.type), settingsOf(row, strategy, group, this.known.winCurve !== null), market, createRandom(1))
        bidders.set(group.id, bidder)
        line.ads.push(this.lineOf(ad, group, line, bidder))
      } catch (error) {
        if (!(error instanceof BadSettings)) throw error
        line.fault = `NO_BID: ${error.message}`
      }
    }
    if (line.ads.length > 0) line.fault = null
  }

  private lineOf(ad: SnapshotAd, group: SnapshotGroup, campaign: CampaignLine, bidder: Bidder): AdLine {
    const { impressions = 0, clicks = 0, conversions = 0 } = this.history.get(ad.id) ?? {}
    const priceMicros = ad.priceMicros === null ? null : Number(ad.priceMicros)
    const facts = {
      ad: String(ad.id),
      adGroup: group.id,
      campaign: campaign.row.id,
      product: ad.productExternalId,
      categories: ad.categories ?? [],
      brand: ad.brand,
      priceMicros,
      sentiment: this.sentiments.at(ad.productId, this.now().getTime()),
    }
    const value = campaign.row.conversionValueMicros ?? (ad.currencyCode === campaign.row.budgetCurrencyCode ? ad.priceMicros : null)
    return {
      id: ad.id,
      headline: ad.headline,
      productKey: ad.productId,
      url: ad.url,
      domain: ad.url ? domainOf(ad.url) : '',
      app: ad.url ? appOf(ad.url) : '',
      iabCategories: codesOf([...ad.iabCategories, ...facts.categories]),
      categories: facts.categories,
      facts,
      words: adWords(facts),
      impressions,
      clicks,
      conversions,
      valueMicros: value === null ? 0 : Number(value),
      campaign,
      bidder,
    }
  }

  private marketOf(rows: readonly HistoryRow[]): Market {
    return {
      impressions: sumOf(rows, 'impressions'),
      clicks: sumOf(rows, 'clicks'),
      conversions: sumOf(rows, 'conversions'),
      costMicros: sumOf(rows, 'costMicros'),
      conversionValueMicros: sumOf(rows, 'valueMicros'),
      prices: null,
      winCurve: this.known.winCurve,
    }
  }

  /** The learned win curve; read again only when another one was learned. */
  private async curve(): Promise<WinCurve | null> {
    const stored = await this.parts.repository.setting<{ artifact: string }>(WIN_CURVE)
    if (stored?.artifact === this.curveText) return this.known.winCurve
    this.curveText = stored?.artifact
    if (!stored) return null
    try {
      // A copy: a Buffer's slices share the memory of others.
      return winCurve.load(new Uint8Array(Buffer.from(stored.artifact, 'base64')))
    } catch (error) {
      this.parts.log.error('the win curve cannot be loaded; bids are not shaded', { error: messageOf(error) })
      return null
    }
  }

  private now(): Date {
    return this.parts.now?.() ?? new Date()
  }
}

/** What a marketer set, and where nothing was set a start from which the pacing finds its way. */
export function settingsOf(
  row: CampaignRow,
  strategy: StrategyRow,
  group: Pick<SnapshotGroup, 'cpcBidMicros'> | undefined,
  knowsPrices: boolean,
): StrategySettings {
  const number = (micros: bigint | null | undefined) => (micros === null || micros === undefined ? undefined : Number(micros))
  const { form, cMicros, clickValueMicros } = (strategy.settings ?? {}) as Record<string, number | undefined>
  const settings: StrategySettings = {
    cpcBidMicros: number(group?.cpcBidMicros ?? strategy.cpcBidMicros),
    cpmBidMicros: number(strategy.cpmBidMicros),
    targetCpaMicros: number(strategy.targetCpaMicros),
    targetRoas: strategy.targetRoas ?? undefined,
    cpcBidCeilingMicros: number(strategy.cpcBidCeilingMicros),
    cpcBidFloorMicros: number(strategy.cpcBidFloorMicros),
    form,
    c: cMicros,
    clickValueMicros,
  }
  const budget = Number(row.budgetMicros)
  if (strategy.type === 'MAXIMIZE_CLICKS' || strategy.type === 'ORTB')
    settings.cpcBidMicros ??= settings.cpcBidCeilingMicros ?? budget / START_CLICKS
  if (strategy.type === 'MAXIMIZE_CONVERSIONS') settings.targetCpaMicros ??= number(row.conversionValueMicros) ?? budget / START_CONVERSIONS
  if (strategy.type === 'ORTB' && !knowsPrices) settings.c ??= (settings.clickValueMicros ?? budget / START_CLICKS) / START_CLICKS
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined))
}

/** A campaign that has learned nothing starts as if its budget were to buy so many. */
const START_CLICKS = 100
const START_CONVERSIONS = 10

/** Only what was bought for the present target is held against it: what an earlier one allowed must not be made good. */
function correctionOf({ type, targetCpaMicros, targetRoas }: StrategyRow, rows: readonly HistoryRow[], valueMicros: number): number {
  const counted = sumOf(rows, 'targetConversions')
  const conversions = conversionsOf(counted, sumOf(rows, 'targetExpected'))
  const costMicros = sumOf(rows, 'targetCostMicros')
  if (type === 'TARGET_CPA' && targetCpaMicros !== null) {
    const each = Number(targetCpaMicros)
    return targetMultiplierOf({ earnedMicros: conversions * each, costMicros, priorMicros: TARGET_PRIOR * each })
  }
  if (type === 'TARGET_ROAS' && targetRoas !== null) {
    const each = (sumOf(rows, 'targetValueMicros') + TARGET_PRIOR * valueMicros) / (counted + TARGET_PRIOR) / targetRoas
    return targetMultiplierOf({ earnedMicros: conversions * each, costMicros, priorMicros: TARGET_PRIOR * each })
  }
  return 1
}

function sumOf(rows: readonly HistoryRow[], name: (typeof SUMS)[number]): number {
  return rows.reduce((sum, row) => sum + row[name], 0)
}

/** What the sums of a campaign's history depend on, beside the log. */
function askedOf({ id, targetSince, learningSince, conversionValueMicros, attributionDays }: CampaignRow): string {
  return [id, Math.max(targetSince?.getTime() ?? 0, learningSince.getTime()), conversionValueMicros, attributionDays].join()
}

const SUMS = [
  'impressions',
  'clicks',
  'conversions',
  'costMicros',
  'valueMicros',
  'targetConversions',
  'targetExpected',
  'targetCostMicros',
  'targetValueMicros',
] as const

function added(a: HistoryRow, b: HistoryRow): HistoryRow {
  const sum = { ...a }
  for (const name of SUMS) sum[name] += b[name]
  return sum
}

function groupedBy<Row>(rows: readonly Row[], key: (row: Row) => string): Map<string, Row[]> {
  const groups = new Map<string, Row[]>()
  for (const row of rows) {
    const group = groups.get(key(row))
    if (group) group.push(row)
    else groups.set(key(row), [row])
  }
  return groups
}
