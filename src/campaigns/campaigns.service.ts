import DataLoader from 'dataloader'
import { type PacingReport, report } from '../algorithms/bidding/pacing.js'
import type { CatalogueService } from '../catalogue/catalogue.service.js'
import { requireScope, Scope } from '../graphql/auth.js'
import { type Connection, pageOf } from '../graphql/connection.js'
import type { Context } from '../graphql/context.js'
import { timeOf } from '../graphql/cursor.js'
import { money } from '../graphql/money.js'
import { decodeId, decodeIntId, encodeId, intKeyOf } from '../graphql/node-id.js'
import { changesOf, type FieldChange } from '../graphql/upsert-preview.js'
import { codeOf } from '../platform/database.js'
import { Conflict, InvalidInput, NotFound } from '../platform/errors.js'
import type { CampaignStatus } from '../platform/generated/prisma/enums.js'
import type { Signals } from '../platform/signals.js'
import { cleanOptionalText, cleanText } from '../platform/text-input.js'
import { cleanVersion } from '../platform/upsert.js'
import { v7 } from '../platform/uuid.js'
import {
  type Changes,
  checkDates,
  checkStrategy,
  checkStrategyChoice,
  cleanAmount,
  cleanCampaignFields,
  cleanIabCategories,
  cleanName,
  cleanOverdelivery,
  cleanStrategyFields,
  columnsOfNew,
} from './campaign-rules.js'
import type {
  AdGroupRow,
  CampaignFacts,
  CampaignRow,
  CampaignsRepository,
  LedgerRow,
  PacingRow,
  StrategyRow,
} from './campaigns.repository.js'
import {
  type AdCreateInput,
  type AdGroupBidSetInput,
  type AdGroupCreateInput,
  AdGroupType,
  type AdStatusSetInput,
  AdType,
  type BiddingStrategyCreateInput,
  BiddingStrategyType,
  type BiddingStrategyUpdateInput,
  BudgetAudit,
  type CampaignActionInput,
  type CampaignBudget,
  type CampaignBudgetSetInput,
  type CampaignConflict,
  type CampaignCreateInput,
  type CampaignPreview,
  CampaignType,
  type CampaignUpdateInput,
  type CampaignWhere,
  type ChangePreview,
  type Estimate,
  type OwnStrategyInput,
  type Pacing,
  type Performance,
  StrategyType,
} from './campaigns.schema.js'
import { type CurveSource, controllerOf, curveOf, limitOf, paced, periodOf } from './pacing.js'
import { performanceOf } from './performance.js'
import { type PrimaryStatus, primaryStatusOf } from './primary-status.js'
import type { Targeting } from './targeting.js'
import type { AccountCalendar } from './time-zone.js'

export interface Expectations {
  clicks: Estimate
  costMicros: Estimate
  valueMicros: Estimate
}

/** What a campaign may expect in its period, null where nothing can be said, and what a person should know about it. */
export interface Foreseen {
  expectations: Expectations | null
  warnings: string[]
}

interface Parts {
  campaigns: CampaignsRepository
  catalogue: CatalogueService
  signals: Pick<Signals, 'announce'>
  calendar: AccountCalendar
  /** Of the account. */
  currency: string
  /** From the replay of the market. Given by the bidding. */
  foresee(campaign: CampaignRow, strategy: StrategyRow): Promise<Foreseen>
  /** Whether clicks are predicted by a model that is too old, or by none. */
  isModelStale(now: Date): Promise<boolean>
  /** Shape of sales over the hours, once there is a forecast. */
  curve?: CurveSource
  now?(): Date
}

/** Life cycle: which states an action may start from. ENDED is the end. */
const TRANSITIONS = {
  ENABLED: ['DRAFT', 'PAUSED'],
  PAUSED: ['ENABLED'],
  ENDED: ['DRAFT', 'ENABLED', 'PAUSED'],
} as const satisfies Partial<Record<CampaignStatus, readonly CampaignStatus[]>>
const OPEN: readonly CampaignStatus[] = ['DRAFT', 'ENABLED', 'PAUSED']

/** A price or target that moves by more than this makes the bidding learn anew. */
const LEARNING_CHANGE = 0.2
const LEARNING_COLUMNS = new Set(['conversionValueMicros', 'attributionDays', 'audienceId'])
const NO_STRATEGY: Record<string, unknown> = { settings: {} }

/** Campaigns and what belongs to them: what people want of them, and what happens. */
export class CampaignsService {
  constructor(private readonly parts: Parts) {}

  async find(key: string): Promise<CampaignType | null> {
    const [row] = await this.parts.campaigns.byIds([key])
    return row ? CampaignType.of(row) : null
  }

  async node(key: string, context: Context): Promise<CampaignType | null> {
    requireScope(context.viewer, Scope.CAMPAIGNS_READ)
    return this.load(context, key)
  }

  /** One campaign, batched with the request's other loads. */
  load(context: Context, key: string): Promise<CampaignType | null> {
    return this.loader(
      context,
      'campaign',
      async ids => new Map((await this.parts.campaigns.byIds(ids)).map(row => [row.id, CampaignType.of(row)])),
    ).load(key)
  }

  loadAd(context: Context, key: number): Promise<AdType | null> {
    return context
      .loader(
        'ad',
        () =>
          new DataLoader<number, AdType | null>(async ids => {
            const found = new Map((await this.parts.campaigns.adsByIds(ids)).map(row => [row.id, AdType.of(row)]))
            return ids.map(id => found.get(id) ?? null)
          }),
      )
      .load(key)
  }

  page({ first, after, where }: { first: number; after?: string; where?: CampaignWhere | null }): Promise<Connection<CampaignType>> {
    const filter = {
      status: where?.status,
      search: cleanOptionalText(where?.search, { field: ['where', 'search'], max: 200, min: 0, trim: false }),
      strategyId: where?.biddingStrategyId ? decodeId('BiddingStrategy', where.biddingStrategyId, 'biddingStrategyId') : undefined,
    }
    return pageOf<CampaignRow, CampaignType>({
      first,
      after,
      fetch: (cursor, limit) => this.parts.campaigns.page(filter, cursor && { createdAt: timeOf(cursor), id: cursor[1] }, limit),
      cursorOf: row => [row.createdAt.toISOString(), row.id],
      nodeOf: row => CampaignType.of(row),
      count: () => this.parts.campaigns.count(filter),
    })
  }

  strategies({ first, after }: { first: number; after?: string }): Promise<Connection<StrategyType>> {
    return pageOf<StrategyRow, StrategyType>({
      first,
      after,
      fetch: (cursor, limit) => this.parts.campaigns.strategies(cursor && { createdAt: timeOf(cursor), id: cursor[1] }, limit),
      cursorOf: row => [row.createdAt.toISOString(), row.id],
      nodeOf: row => StrategyType.of(row),
      count: () => this.parts.campaigns.countStrategies(),
    })
  }

  async create(by: string, input: CampaignCreateInput): Promise<CampaignType> {
    const { columns, own } = await this.newCampaign(input)
    const row = await this.parts.campaigns.create({ ...columns, createdBy: { value: by, type: 'text' } }, own)
    if (!row) throw new Conflict('A campaign with this externalId exists already', 'DUPLICATE', {}, ['externalId'])
    return this.announced(row)
  }

  async previewCreate(input: CampaignCreateInput): Promise<CampaignPreview> {
    const { columns, own } = await this.newCampaign(input)
    if (input.externalId && (await this.parts.campaigns.byExternalId(input.externalId)))
      throw new Conflict('A campaign with this externalId exists already', 'DUPLICATE', {}, ['externalId'])
    return this.preview(undefined, columns, own, false)
  }

  async update(input: CampaignUpdateInput): Promise<CampaignType> {
    const { row: before, changes, own, since } = await this.changed(input)
    // Checked against what was read, so it must still be that.
    const row = await this.parts.campaigns.change(
      before.id,
      { ...changes, ...since },
      { from: OPEN, expectedVersion: cleanVersion(input.expectedVersion) ?? before.version, ownStrategy: own },
    )
    if (row) return this.announced(row)
    const refusal = await this.refusal(before.id, OPEN, 'changed', input.expectedVersion)
    if (typeof input.expectedVersion === 'number' || refusal.userCode !== 'VERSION_CONFLICT') throw refusal
    // Somebody was quicker, and who names no version wants his change made whatever version there is.
    return this.update(input)
  }

  async previewUpdate(input: CampaignUpdateInput): Promise<CampaignPreview> {
    const { row, changes, own, resetsLearning } = await this.changed(input)
    await this.checkState(row, OPEN, 'changed', input.expectedVersion)
    return this.preview(row, changes, own, resetsLearning)
  }

  /** Moves a campaign along its life cycle, or says what the move would do. */
  async act(to: keyof typeof TRANSITIONS, input: CampaignActionInput): Promise<{ campaign?: CampaignType; preview?: CampaignPreview }> {
    const before = await this.named(input)
    const from = TRANSITIONS[to]
    const verb = to.toLowerCase()
    if (to === 'ENABLED' && before.endsAt && before.endsAt <= this.now())
      throw new InvalidInput('This campaign ends in the past; set another endsAt first', {}, ['endsAt'])
    const now = { value: this.now(), type: 'timestamptz' }
    const changes: Changes = {
      status: { value: to, type: '"CampaignStatus"' },
      ...(to === 'ENABLED' && before.status === 'DRAFT' ? { learningSince: now, enabledAt: now } : {}),
    }
    if (input.dryRun) {
      await this.checkState(before, from, verb, input.expectedVersion)
      return { preview: await this.preview(before, changes, undefined, 'learningSince' in changes) }
    }
    const row = await this.parts.campaigns.change(before.id, changes, { from, expectedVersion: cleanVersion(input.expectedVersion) })
    if (!row) throw await this.refusal(before.id, from, verb, input.expectedVersion)
    return { campaign: await this.announced(row) }
  }

  async setBudget(input: CampaignBudgetSetInput): Promise<{ campaign?: CampaignType; preview?: CampaignPreview }> {
    const before = await this.named(input)
    const changes: Changes = {
      budgetMicros: { value: cleanAmount(input.amount, this.parts.currency, ['amount']), type: 'bigint' },
      ...(input.deliveryMethod ? { deliveryMethod: { value: input.deliveryMethod, type: 'text' } } : {}),
      ...(typeof input.maxDailyOverdelivery === 'number'
        ? { maxDailyOverdelivery: { value: cleanOverdelivery(input.maxDailyOverdelivery, []), type: 'float8' } }
        : {}),
    }
    const after = { ...before, ...valuesOf(changes) } as CampaignRow
    const limitMicros = limitOf(after)
    const period = periodOf(before, this.parts.calendar, this.now()).name
    if (input.dryRun) {
      await this.checkState(before, OPEN, 'changed', input.expectedVersion)
      await this.checkRoom(before, period, limitMicros)
      return { preview: await this.preview(before, changes, undefined, false) }
    }
    const row = await this.parts.campaigns
      .setBudget(before.id, changes, { period, limitMicros, from: OPEN, expectedVersion: cleanVersion(input.expectedVersion) })
      .catch(async error => {
        if (codeOf(error) !== CHECK_VIOLATION) throw error
        await this.checkRoom(before, period, limitMicros)
        throw new Conflict('The budget must not be below what is spent and reserved', 'BUDGET_EXCEEDED', {}, ['amount'])
      })
    if (!row) throw await this.refusal(before.id, OPEN, 'changed', input.expectedVersion)
    return { campaign: await this.announced(row) }
  }

  async createStrategy(input: BiddingStrategyCreateInput): Promise<{ biddingStrategy?: StrategyType; preview?: ChangePreview }> {
    const columns = this.strategyColumns(input, { name: cleanName(input.name), shared: true })
    if (input.dryRun) return { preview: { changes: changesOf(undefined, columns), resetsLearning: false, campaigns: [] } }
    return { biddingStrategy: StrategyType.of(await this.parts.campaigns.createStrategy(columns)) }
  }

  async updateStrategy(input: BiddingStrategyUpdateInput): Promise<{ biddingStrategy?: StrategyType; preview?: ChangePreview }> {
    const before = await this.strategyRow(input.biddingStrategyId)
    const changes: Changes = {
      ...cleanStrategyFields(input, this.parts.currency),
      ...(typeof input.name === 'string' ? { name: { value: cleanName(input.name), type: 'text' } } : {}),
      ...(input.type ? { type: { value: input.type, type: 'text' } } : {}),
    }
    const after = { ...before, ...valuesOf(changes) }
    checkStrategy(after.type as BiddingStrategyType, after)
    const { resetsLearning, since } = this.sinceOf(false, before, after)
    const version = cleanVersion(input.expectedVersion)
    const conflict = (current: StrategyRow) =>
      new Conflict(
        `This strategy was changed in the meantime: it has version ${current.version}`,
        'VERSION_CONFLICT',
        { version: current.version },
        ['expectedVersion'],
      )
    if (version !== undefined && version !== before.version) throw conflict(before)
    const campaigns = await this.parts.campaigns.campaignsOfStrategy(before.id)
    if (input.dryRun)
      return { preview: { changes: changesOf(before, changes), resetsLearning, campaigns: campaigns.map(each => each.name) } }
    // Checked against what was read, so it must still be that.
    const row = await this.parts.campaigns.changeStrategy(before.id, changes, { expectedVersion: before.version, since })
    if (!row && version === undefined) return this.updateStrategy(input)
    if (!row) throw conflict(await this.strategyRow(input.biddingStrategyId))
    for (const { id } of campaigns) await this.parts.signals.announce('campaign.changed', { campaignId: id })
    return { biddingStrategy: StrategyType.of(row) }
  }

  async createAdGroup(input: AdGroupCreateInput): Promise<{ adGroup?: AdGroupType; preview?: ChangePreview }> {
    const campaign = await this.named(input)
    const columns: Changes = {
      id: { value: v7(this.now().getTime()), type: 'text' },
      campaignId: { value: campaign.id, type: 'text' },
      name: { value: cleanName(input.name), type: 'text' },
      cpcBidMicros: { value: input.cpcBid ? cleanAmount(input.cpcBid, this.parts.currency, ['cpcBid']) : null, type: 'bigint' },
    }
    if (campaign.status === 'ENDED') throw ended()
    if (input.dryRun) return { preview: { changes: changesOf(undefined, columns), resetsLearning: false, campaigns: [campaign.name] } }
    const row = await this.parts.campaigns.createAdGroup(columns, campaign.id)
    if (!row) throw ended()
    await this.announced(campaign)
    return { adGroup: AdGroupType.of(row, this.parts.currency) }
  }

  async setAdGroupBid(input: AdGroupBidSetInput): Promise<{ adGroup?: AdGroupType; preview?: ChangePreview }> {
    const key = decodeId('AdGroup', input.adGroupId, 'adGroupId')
    const [before] = await this.parts.campaigns.adGroupsByIds([key])
    if (!before) throw new NotFound('No ad group has this id', {}, ['adGroupId'])
    const cpcBid = input.cpcBid ? cleanAmount(input.cpcBid, this.parts.currency, ['cpcBid']) : null
    const changes: Changes = { cpcBidMicros: { value: cpcBid, type: 'bigint' } }
    const version = cleanVersion(input.expectedVersion)
    const refusal = async () => {
      const [now] = await this.parts.campaigns.adGroupsByIds([key])
      if (version === undefined || now.version === version) return ended()
      return new Conflict(
        `This ad group was changed in the meantime: it has version ${now.version}`,
        'VERSION_CONFLICT',
        { version: now.version },
        ['expectedVersion'],
      )
    }
    if (input.dryRun) {
      if (version !== undefined && version !== before.version) throw await refusal()
      return { preview: { changes: changesOf(before, changes), resetsLearning: false, campaigns: [] } }
    }
    const row = await this.parts.campaigns.changeAdGroup(key, changes, version)
    if (!row) throw await refusal()
    await this.parts.signals.announce('campaign.changed', { campaignId: row.campaignId })
    return { adGroup: AdGroupType.of(row, this.parts.currency) }
  }

  async createAd(input: AdCreateInput): Promise<{ ad?: AdType; preview?: ChangePreview }> {
    const [group] = await this.parts.campaigns.adGroupsByIds([decodeId('AdGroup', input.adGroupId, 'adGroupId')])
    if (!group) throw new NotFound('No ad group has this id', {}, ['adGroupId'])
    const [campaign] = await this.parts.campaigns.byIds([group.campaignId])
    if (campaign.status === 'ENDED') throw ended()
    const columns: Changes = {
      adGroupId: { value: group.id, type: 'text' },
      externalId: { value: cleanOptionalText(input.externalId, { field: 'externalId', max: 200, trim: false }) ?? null, type: 'text' },
      headline: { value: cleanText(input.headline, { field: 'headline', max: 200 }), type: 'text' },
      productId: { value: await this.productKey(input), type: 'int' },
      status: { value: input.status, type: 'text' },
      iabCategories: { value: cleanIabCategories(input.iabCategories ?? []), type: 'text[]' },
    }
    if (input.dryRun) return { preview: { changes: changesOf(undefined, columns), resetsLearning: false, campaigns: [campaign.name] } }
    const row = await this.parts.campaigns.createAd(columns)
    if (!row) throw new Conflict('An ad with this externalId exists already', 'DUPLICATE', {}, ['externalId'])
    await this.announced(campaign)
    return { ad: AdType.of(row) }
  }

  async setAdStatus({ adId, status, dryRun }: AdStatusSetInput): Promise<{ ad?: AdType; preview?: ChangePreview }> {
    const [before] = await this.parts.campaigns.adsByIds([decodeIntId('Ad', adId, 'adId')])
    if (!before) throw new NotFound('No ad has this id', {}, ['adId'])
    const [group] = await this.parts.campaigns.adGroupsByIds([before.adGroupId])
    const [campaign] = await this.parts.campaigns.byIds([group.campaignId])
    if (campaign.status === 'ENDED') throw ended()
    const changes: Changes = { status: { value: status, type: 'text' } }
    if (dryRun) return { preview: { changes: changesOf(before, changes), resetsLearning: false, campaigns: [campaign.name] } }
    const row = await this.parts.campaigns.setAdStatus(before.id, status)
    if (!row) throw ended()
    await this.announced(campaign)
    return { ad: AdType.of(row) }
  }

  /** Pauses every ad of a product; returns how many were running. */
  async pauseAdsOf(productId: number, receipt: string): Promise<number> {
    const { ads, campaignIds } = await this.parts.campaigns.pauseAdsOf(productId, receipt)
    for (const campaignId of new Set(campaignIds)) await this.parts.signals.announce('campaign.changed', { campaignId })
    return ads
  }

  primaryStatus(context: Context, { row }: CampaignType): Promise<PrimaryStatus> {
    return this.loader(context, 'campaign.status', ids => this.statuses(ids)).load(row.id) as Promise<PrimaryStatus>
  }

  async budget(context: Context, { row }: CampaignType): Promise<CampaignBudget> {
    const ledger = await this.ledgerLoader(context).load(row.id)
    const of = (micros: bigint) => money(micros, row.budgetCurrencyCode) as CampaignBudget['amount']
    return {
      amount: of(row.budgetMicros),
      period: row.budgetPeriod as CampaignBudget['period'],
      deliveryMethod: row.deliveryMethod as CampaignBudget['deliveryMethod'],
      maxDailyOverdelivery: row.maxDailyOverdelivery,
      spent: of(ledger?.spentMicros ?? 0n),
      reserved: of(ledger?.reservedMicros ?? 0n),
    }
  }

  strategyOf(context: Context, { row }: CampaignType): Promise<StrategyType> {
    const read = async (ids: readonly string[]) =>
      new Map((await this.parts.campaigns.strategiesByIds(ids)).map(each => [each.id, StrategyType.of(each)]))
    return this.loader(context, 'campaign.strategy', read).load(row.biddingStrategyId) as Promise<StrategyType>
  }

  async adGroupsOf(context: Context, { key }: CampaignType): Promise<AdGroupType[]> {
    const read = async (ids: readonly string[]) => groupedBy(await this.parts.campaigns.adGroupsOf(ids), row => row.campaignId)
    const rows = await this.loader(context, 'campaign.adGroups', read).load(key)
    return (rows ?? []).map(row => AdGroupType.of(row, this.parts.currency))
  }

  async adsOf(context: Context, { key }: AdGroupType): Promise<AdType[]> {
    const read = async (ids: readonly string[]) => groupedBy(await this.parts.campaigns.adsOf(ids), row => row.adGroupId)
    return ((await this.loader(context, 'adGroup.ads', read).load(key)) ?? []).map(row => AdType.of(row))
  }

  /** What a click costs at most at this ad group's own or its strategy's price, within the strategy's limits; null where the strategy sets prices itself. */
  async effectiveBid(context: Context, { campaignKey, cpcBid }: AdGroupType) {
    const campaign = (await this.load(context, campaignKey)) as CampaignType
    const strategy = await this.strategyOf(context, campaign)
    const bid = cpcBid ?? strategy.cpcBid
    if (strategy.type !== BiddingStrategyType.MANUAL_CPC || !bid) return null
    const floor = strategy.cpcBidFloor?.amountMicros ?? 0n
    const ceiling = strategy.cpcBidCeiling?.amountMicros ?? bid.amountMicros
    const raised = bid.amountMicros < floor ? floor : bid.amountMicros
    return money(raised > ceiling ? ceiling : raised, bid.currencyCode)
  }

  async performance(context: Context, { row }: CampaignType, from: Date | null, to: Date | null): Promise<Performance> {
    if (from && to && from >= to) throw new InvalidInput('from must lie before to', {}, ['from'])
    const name = `campaign.performance:${from?.getTime()}:${to?.getTime()}`
    const read = async (ids: readonly string[]) =>
      new Map((await this.parts.campaigns.performance(ids, from, to, this.now())).map(each => [each.campaignId, each]))
    return performanceOf((await this.loader(context, name, read).load(row.id)) ?? undefined, row.budgetCurrencyCode)
  }

  async pacing(context: Context, campaign: CampaignType): Promise<Pacing> {
    const { row } = campaign
    const kept = (ids: readonly string[]) =>
      this.parts.campaigns.pacings(ids).then(rows => new Map(rows.map(each => [each.campaignId, each])))
    const [strategy, ledger, pacing] = await Promise.all([
      this.strategyOf(context, campaign),
      this.ledgerLoader(context).load(row.id),
      this.loader(context, 'campaign.pacing', kept).load(row.id),
    ])
    const { state, detail, period } = this.pacedNow(row, strategy.type, ledger ?? undefined, pacing ?? undefined)
    const of = (micros: bigint | number) => money(BigInt(micros), row.budgetCurrencyCode) as Pacing['target']
    return {
      state: state.status as Pacing['state'],
      target: of(state.targetMicros),
      spent: of(ledger?.spentMicros ?? 0n),
      reserved: of(ledger?.reservedMicros ?? 0n),
      multiplier: state.multiplier,
      projectedEndOfPeriod: of(state.projectedMicros),
      controller: controllerOf(row).name.toUpperCase(),
      period,
      detail,
    }
  }

  /** One step of every running campaign's controller, kept for all servers. Returns how many were stepped. */
  async stepPacing(): Promise<number> {
    const { campaigns } = this.parts
    const now = this.now()
    const rows = await campaigns.enabled()
    const ids = rows.map(row => row.id)
    await campaigns.openLedgers(ids, this.dailyPeriod())
    const ledgers = new Map((await campaigns.ledgers(ids, this.dailyPeriod())).map(ledger => [ledger.campaignId, ledger]))
    const kept = new Map((await campaigns.pacings(ids)).map(pacing => [pacing.campaignId, pacing]))
    const strategies = new Map(
      (await campaigns.strategiesByIds([...new Set(rows.map(row => row.biddingStrategyId))])).map(each => [each.id, each.type]),
    )
    const stepped = rows.map(row => {
      const strategy = strategies.get(row.biddingStrategyId) as string
      const { detail, period } = this.pacedNow(row, strategy, ledgers.get(row.id), kept.get(row.id))
      return { campaignId: row.id, period, multiplier: detail.multiplier, state: detail, seenAt: kept.get(row.id)?.updatedAt ?? null, now }
    })
    return campaigns.keepPacings(stepped)
  }

  /** The multiplier that a running campaign bids with now, for the bidding's snapshot. */
  pacedNow(row: CampaignRow, strategy: string, ledger: LedgerRow | undefined, kept: PacingRow | undefined) {
    const period = periodOf(row, this.parts.calendar, this.now())
    const curve = curveOf(row, period, this.parts.calendar, this.parts.curve)
    const { state, seen, options } = paced(row, { strategy, ledger, kept, period, curve })
    const verdict: PacingReport = report(state, seen, options)
    return { state: verdict, detail: state, period: period.name }
  }

  /** The account's date, which names the period of daily budgets. */
  dailyPeriod(now = this.now()): string {
    return this.parts.calendar.day(now).date
  }

  /** Opens the running period of these campaigns where it is missing. */
  openLedgers(campaignIds: readonly string[]): Promise<number> {
    return this.parts.campaigns.openLedgers(campaignIds, this.dailyPeriod())
  }

  /** Opens the new day of every running campaign; called at every turn of the clock, it does what is due. */
  async roll(): Promise<number> {
    return this.openLedgers((await this.parts.campaigns.enabled()).map(row => row.id))
  }

  /** Ends the campaigns whose time has come. */
  async endDue(): Promise<number> {
    const ids = await this.parts.campaigns.endDue(this.now())
    for (const campaignId of ids) await this.parts.signals.announce('campaign.changed', { campaignId })
    return ids.length
  }

  /** Whether the ledgers are right, of one campaign or of all. */
  async audit(campaignKey: string | null): Promise<BudgetAudit[]> {
    const rows = await this.parts.campaigns.audit(campaignKey === null ? null : [campaignKey])
    const of = (micros: bigint) => money(micros, this.parts.currency)
    return rows.map(row =>
      Object.assign(new BudgetAudit(), {
        campaignId: encodeId('Campaign', row.campaignId),
        period: row.period,
        limit: of(row.limitMicros),
        spent: of(row.spentMicros),
        reserved: of(row.reservedMicros),
        peak: of(row.peakMicros),
        entries: row.entries,
        breaches: row.breaches,
        isComplete: row.isComplete,
        agreesWithBids: row.bidsReservedMicros === row.reservedMicros && row.bidsSpentMicros === row.spentMicros,
        unfunded: row.unfunded,
      }),
    )
  }

  async findStrategy(key: string): Promise<StrategyType | null> {
    const [row] = await this.parts.campaigns.strategiesByIds([key])
    return row ? StrategyType.of(row) : null
  }

  async findAdGroup(key: string): Promise<AdGroupType | null> {
    const [row] = await this.parts.campaigns.adGroupsByIds([key])
    return row ? AdGroupType.of(row, this.parts.currency) : null
  }

  async findAd(key: string): Promise<AdType | null> {
    const id = intKeyOf(key)
    const [row] = id === undefined ? [] : await this.parts.campaigns.adsByIds([id])
    return row ? AdType.of(row) : null
  }

  /** A campaign by exactly one of its ids. */
  async named({
    campaignId,
    campaignExternalId,
  }: {
    campaignId?: string | null
    campaignExternalId?: string | null
  }): Promise<CampaignRow> {
    if ((typeof campaignId === 'string') === (typeof campaignExternalId === 'string'))
      throw new InvalidInput('Give exactly one of campaignId and campaignExternalId', {}, ['campaignId'])
    const row =
      typeof campaignId === 'string'
        ? (await this.parts.campaigns.byIds([decodeId('Campaign', campaignId, 'campaignId')]))[0]
        : await this.parts.campaigns.byExternalId(
            cleanText(campaignExternalId as string, { field: 'campaignExternalId', max: 200, trim: false }),
          )
    if (!row) throw new NotFound('There is no such campaign', {}, [typeof campaignId === 'string' ? 'campaignId' : 'campaignExternalId'])
    return row
  }

  private async newCampaign(input: CampaignCreateInput): Promise<{ columns: Changes; own?: Changes }> {
    checkStrategyChoice(input, true)
    const columns: Changes = { id: { value: v7(this.now().getTime()), type: 'text' }, ...columnsOfNew(input, this.parts.currency) }
    const { startsAt, endsAt } = timesOf(valuesOf(columns))
    checkDates(startsAt, endsAt, this.now(), true)
    await this.checkAudiences(columns)
    return this.withStrategy(columns, input, { name: input.name })
  }

  private async changed(input: CampaignUpdateInput) {
    const row = await this.named(input)
    checkStrategyChoice(input, false)
    const given = cleanCampaignFields(input, this.parts.currency)
    const after = { ...row, ...valuesOf(given) }
    const { startsAt, endsAt } = timesOf(after)
    checkDates(startsAt, endsAt, this.now(), Boolean(input.endsAt))
    await this.checkAudiences(given)
    const { columns, own } =
      input.biddingStrategyId || input.biddingStrategy
        ? await this.withStrategy(given, input, { name: row.name, present: row.biddingStrategyId })
        : { columns: given, own: undefined }
    const isLearnedAnew = changesOf(row, columns).some(({ field }) => LEARNING_COLUMNS.has(field))
    const strategies = await this.strategyChange(row, columns, own)
    return { row, changes: columns, own, ...this.sinceOf(isLearnedAnew, ...strategies) }
  }

  /** Since when the bidding learns anew, and is held to another target, where a change begins either. */
  private sinceOf(isLearnedAnew: boolean, before?: StrategyRow, after?: StrategyRow): { resetsLearning: boolean; since: Changes } {
    const now = { value: this.now(), type: 'timestamptz' }
    const resetsLearning = isLearnedAnew || (before !== undefined && after !== undefined && strategyMoves(before, after, LEARNING_CHANGE))
    const isRetargeted = before !== undefined && after !== undefined && strategyMoves(before, after, 0)
    return { resetsLearning, since: { ...(resetsLearning ? { learningSince: now } : {}), ...(isRetargeted ? { targetSince: now } : {}) } }
  }

  /** The strategy that was chosen: a shared one that exists, or a new one of the campaign's own. */
  private async withStrategy(
    columns: Changes,
    { biddingStrategyId, biddingStrategy }: { biddingStrategyId?: string | null; biddingStrategy?: OwnStrategyInput | null },
    { name, present }: { name: string; present?: string },
  ): Promise<{ columns: Changes; own?: Changes }> {
    const own = biddingStrategy
      ? this.strategyColumns(biddingStrategy, { name: `${name.slice(0, 180)}: own`, shared: false }, ['biddingStrategy'])
      : undefined
    const id = own ? (own.id.value as string) : await this.chosenStrategy(biddingStrategyId as string, present)
    return { columns: { ...columns, biddingStrategyId: { value: id, type: 'text' } }, own }
  }

  /** A strategy that campaigns share, or the campaign's present one; one that belongs to another campaign is changed with that one. */
  private async chosenStrategy(globalId: string, present: string | undefined): Promise<string> {
    const { id, shared } = await this.strategyRow(globalId)
    if (!shared && id !== present)
      throw new InvalidInput('This strategy belongs to one campaign; only shared ones can be chosen', {}, ['biddingStrategyId'])
    return id
  }

  private strategyColumns(
    input: BiddingStrategyCreateInput | OwnStrategyInput,
    { name, shared }: { name: string; shared: boolean },
    path: string[] = [],
  ): Changes {
    const columns: Changes = {
      id: { value: v7(this.now().getTime()), type: 'text' },
      name: { value: name, type: 'text' },
      type: { value: input.type, type: 'text' },
      shared: { value: shared, type: 'bool' },
      currencyCode: { value: this.parts.currency, type: 'text' },
      ...cleanStrategyFields(input, this.parts.currency, path),
    }
    checkStrategy(input.type, { ...NO_STRATEGY, ...valuesOf(columns) }, path)
    return columns
  }

  private async strategyRow(id: string): Promise<StrategyRow> {
    const [row] = await this.parts.campaigns.strategiesByIds([decodeId('BiddingStrategy', id, 'biddingStrategyId')])
    if (!row) throw new NotFound('No bidding strategy has this id', {}, ['biddingStrategyId'])
    return row
  }

  /** The strategy that was and the one that shall be; nothing where it stays. */
  private async strategyChange(row: CampaignRow, columns: Changes, own: Changes | undefined): Promise<StrategyRow[]> {
    const id = columns.biddingStrategyId?.value as string | undefined
    if (!id || id === row.biddingStrategyId) return []
    const [[before], [chosen]] = await Promise.all([
      this.parts.campaigns.strategiesByIds([row.biddingStrategyId]),
      own ? [{ ...NO_STRATEGY, ...valuesOf(own) } as unknown as StrategyRow] : this.parts.campaigns.strategiesByIds([id]),
    ])
    return [before, chosen]
  }

  private async checkAudiences(columns: Changes): Promise<void> {
    const wanted = (columns.audienceId?.value as string | null | undefined) ?? undefined
    const excluded = (columns.excludedAudienceIds?.value as string[] | undefined) ?? []
    const known = await this.parts.campaigns.audiences([...(wanted ? [wanted] : []), ...excluded])
    if (wanted && !known.has(wanted)) throw new NotFound('No audience has this id', {}, ['audienceId'])
    if (excluded.some(id => !known.has(id))) throw new NotFound('An excluded audience does not exist', {}, ['excludedAudienceIds'])
    if (wanted && excluded.includes(wanted))
      throw new InvalidInput('The audience must not be excluded as well', {}, ['excludedAudienceIds'])
  }

  private async productKey({ productId, productExternalId }: AdCreateInput): Promise<number | null> {
    if (productId && productExternalId) throw new InvalidInput('Give at most one of productId and productExternalId', {}, ['productId'])
    if (!productId && !productExternalId) return null
    const product = productId
      ? (await this.parts.catalogue.byIds([decodeIntId('Product', productId, 'productId')])).values().next().value
      : await this.parts.catalogue.byExternalId(productExternalId as string)
    if (!product) throw new NotFound('There is no such product', {}, [productId ? 'productId' : 'productExternalId'])
    return product.key
  }

  private async checkRoom({ id, budgetCurrencyCode }: CampaignRow, period: string, limitMicros: bigint): Promise<void> {
    const ledger = (await this.parts.campaigns.ledgers([id], period))[0]
    const committed = (ledger?.spentMicros ?? 0n) + (ledger?.reservedMicros ?? 0n)
    if (committed > limitMicros)
      throw new Conflict(
        `The budget must not be below what is spent and reserved in the running period: ${committed} micros ${budgetCurrencyCode}`,
        'BUDGET_EXCEEDED',
        { spentMicros: String(ledger?.spentMicros ?? 0n), reservedMicros: String(ledger?.reservedMicros ?? 0n) },
        ['amount'],
      )
  }

  private async preview(
    row: CampaignRow | undefined,
    changes: Changes,
    own: Changes | undefined,
    resetsLearning: boolean,
  ): Promise<CampaignPreview> {
    const { campaigns } = this.parts
    const after = { ...BLANK, createdAt: this.now(), learningSince: this.now(), ...row, ...valuesOf(changes) } as CampaignRow
    const strategy = own
      ? ({ ...NO_STRATEGY, ...valuesOf(own) } as unknown as StrategyRow)
      : (await campaigns.strategiesByIds([after.biddingStrategyId]))[0]
    const [reach, { expectations: expected, warnings: caveats }, conflicts] = await Promise.all([
      campaigns.reach(after.audienceId, after.excludedAudienceIds),
      this.parts.foresee(after, strategy),
      this.conflicts(after, row?.id ?? null),
    ])
    const exclusions = [
      ['REFUSED_ADS', reach.refused],
      ['NO_ADS_CONSENT', reach.unasked],
      ['SUPPRESSED', reach.suppressed],
      ['EXCLUDED_AUDIENCE', reach.excluded],
    ] as const
    const warnings = [
      ...(after.budgetPeriod === 'TOTAL' && !after.endsAt && after.deliveryMethod === 'STANDARD'
        ? ['Without endsAt a total budget is not spread over time']
        : []),
      ...caveats,
      ...(after.audienceId && reach.reach === 0 ? ['Nobody of the audience may be addressed personally'] : []),
    ]
    return {
      changes: changesOf(row, changes)
        .filter(({ field }) => field !== 'id')
        .map(change => shownChange(change, own)),
      reach: reach.reach,
      exclusions: exclusions.filter(([, count]) => count > 0).map(([reason, count]) => ({ reason, count })),
      expectedClicks: expected?.clicks ?? null,
      expectedCost: expected?.costMicros ?? null,
      expectedValue: expected?.valueMicros ?? null,
      conflicts,
      resetsLearning,
      warnings,
    }
  }

  /** Running campaigns that want the same impressions: of the same audience, or for the same products with targeting that overlaps. */
  private async conflicts(campaign: CampaignRow, ownId: string | null): Promise<CampaignConflict[]> {
    const rivals = await this.parts.campaigns.rivals(ownId)
    const products = await this.parts.campaigns.productIdsOf([...rivals.map(each => each.id), ...(ownId ? [ownId] : [])])
    const own = ownId ? products.get(ownId) : undefined
    return rivals.flatMap(rival => {
      if (!overlaps(campaign.contextual, rival.contextual) || !meet(campaign, rival)) return []
      const shared = [...(products.get(rival.id) ?? [])].filter(product => own?.has(product)).length
      const reason =
        campaign.audienceId && campaign.audienceId === rival.audienceId
          ? 'It addresses the same audience'
          : shared > 0
            ? `It advertises ${shared} of the same products`
            : undefined
      return reason ? [{ campaignId: encodeId('Campaign', rival.id), name: rival.name, reason }] : []
    })
  }

  private async statuses(ids: readonly string[]): Promise<Map<string, PrimaryStatus>> {
    const { campaigns, calendar } = this.parts
    const now = this.now()
    const [rows, facts, isModelStale] = await Promise.all([
      campaigns.byIds(ids),
      campaigns.facts(ids, this.dailyPeriod(now), now),
      this.parts.isModelStale(now),
    ])
    const strategies = new Map(
      (await campaigns.strategiesByIds([...new Set(rows.map(row => row.biddingStrategyId))])).map(row => [row.id, row]),
    )
    const known = new Map<string, CampaignFacts>(facts.map(each => [each.campaignId, each]))
    const moment = calendar.moment(now)
    return new Map(
      rows.map(row => [
        row.id,
        primaryStatusOf(row, {
          facts: known.get(row.id),
          strategy: strategies.get(row.biddingStrategyId) as StrategyRow,
          now,
          moment,
          isModelStale,
        }),
      ]),
    )
  }

  private ledgerLoader(context: Context): DataLoader<string, LedgerRow | null> {
    return this.loader(
      context,
      'campaign.ledger',
      async ids => new Map((await this.parts.campaigns.ledgers(ids, this.dailyPeriod())).map(row => [row.campaignId, row])),
    )
  }

  private loader<Value>(
    context: Context,
    name: string,
    read: (ids: readonly string[]) => Promise<Map<string, Value>>,
  ): DataLoader<string, Value | null> {
    return context.loader(
      name,
      () =>
        new DataLoader(
          async ids => {
            const found = await read(ids)
            return ids.map(id => found.get(id) ?? null)
          },
          { maxBatchSize: 1000 },
        ),
    )
  }

  private async announced(row: CampaignRow): Promise<CampaignType> {
    await this.parts.signals.announce('campaign.changed', { campaignId: row.id })
    return CampaignType.of(row)
  }

  private async checkState(
    row: CampaignRow,
    from: readonly CampaignStatus[],
    verb: string,
    version: number | null | undefined,
  ): Promise<void> {
    const expected = cleanVersion(version)
    if (!from.includes(row.status) || (expected !== undefined && expected !== row.version))
      throw await this.refusal(row.id, from, verb, version)
  }

  /** Why a conditional statement changed nothing. */
  private async refusal(id: string, from: readonly CampaignStatus[], verb: string, version: number | null | undefined) {
    const [row] = await this.parts.campaigns.byIds([id])
    if (!from.includes(row.status))
      return new Conflict(
        `A campaign that is ${row.status} cannot be ${verb}; it would have to be ${from.join(' or ')}`,
        'ILLEGAL_TRANSITION',
        { status: row.status },
        ['campaignId'],
      )
    return new Conflict(
      `This campaign was changed in the meantime: it has version ${row.version}${typeof version === 'number' ? `, not ${version}` : ''}`,
      'VERSION_CONFLICT',
      { version: row.version },
      ['expectedVersion'],
    )
  }

  private now(): Date {
    return this.parts.now?.() ?? new Date()
  }
}

const CHECK_VIOLATION = '23514'
const BLANK = {
  excludedAudienceIds: [],
  audienceId: null,
  schedule: [],
  frequencyCap: null,
  contextual: {},
  startsAt: null,
  endsAt: null,
  conversionValueMicros: null,
  attributionDays: 30,
  pacingController: 'PID',
  deliveryMethod: 'STANDARD',
}

function ended() {
  return new Conflict('This campaign has ended; it cannot be changed any more', 'ILLEGAL_TRANSITION', {}, ['campaignId'])
}

/** The values of changes as a row would hold them. */
function valuesOf(changes: Changes): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(changes).map(([name, { value, type }]) => {
      if (type === 'jsonb' && typeof value === 'string') return [name, JSON.parse(value)]
      return [name, type === 'timestamptz' && typeof value === 'string' ? new Date(value) : value]
    }),
  )
}

const NAMED_BY: Record<string, string> = { biddingStrategyId: 'BiddingStrategy', audienceId: 'Audience', excludedAudienceIds: 'Audience' }

/** A change with ids as clients know them; a strategy that is only to be made has none yet, and is told by its type. */
function shownChange({ field, before, after }: FieldChange, own: Changes | undefined): FieldChange {
  const type = NAMED_BY[field]
  if (!type) return { field, before, after }
  const shown = (value: unknown): unknown =>
    Array.isArray(value) ? value.map(shown) : typeof value === 'string' ? encodeId(type, value) : value
  const isNew = field === 'biddingStrategyId' && own !== undefined
  return { field: isNew ? 'biddingStrategy' : field, before: shown(before), after: isNew ? own.type.value : shown(after) }
}

function timesOf(row: Record<string, unknown>): { startsAt: Date | null; endsAt: Date | null } {
  return { startsAt: (row.startsAt as Date | null | undefined) ?? null, endsAt: (row.endsAt as Date | null | undefined) ?? null }
}

/** Whether type or target differ, by more than a share of what the target was. */
function strategyMoves(before: StrategyRow, after: StrategyRow, share: number): boolean {
  const moved = (a: bigint | number | null | undefined, b: bigint | number | null | undefined) =>
    (a ?? null) === null || (b ?? null) === null ? (a ?? null) !== (b ?? null) : Math.abs(Number(b) - Number(a)) > share * Number(a)
  return before.type !== after.type || moved(before.targetCpaMicros, after.targetCpaMicros) || moved(before.targetRoas, after.targetRoas)
}

function overlaps(a: Targeting, b: Targeting): boolean {
  return (['categories', 'devices', 'placements', 'countries'] as const).every(name => {
    const [left, right] = [a[name], b[name]]
    return !left?.length || !right?.length || left.some(each => right.some(other => other.toLowerCase() === each.toLowerCase()))
  })
}

/** Whether two campaigns run at the same time. */
function meet(a: CampaignRow, b: CampaignRow): boolean {
  return !(a.endsAt && b.startsAt && a.endsAt <= b.startsAt) && !(b.endsAt && a.startsAt && b.endsAt <= a.startsAt)
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

export type { AdGroupRow }
