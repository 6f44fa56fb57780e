import { ArgsType, Field, Float, ID, InputType, Int, ObjectType, registerEnumType } from 'type-graphql'
import { connectionType, PageArgs } from '../graphql/connection.js'
import { Money, MoneyInput, money } from '../graphql/money.js'
import { NodeType } from '../graphql/node.js'
import { encodeId } from '../graphql/node-id.js'
import { Payload } from '../graphql/payload.js'
import { DateTime, JSONScalar } from '../graphql/scalars.js'
import { Interval, Score } from '../graphql/score.js'
import { FieldChange } from '../graphql/upsert-preview.js'
import { CampaignStatus } from '../platform/generated/prisma/enums.js'
import type { AdGroupRow, AdRow, CampaignRow, StrategyRow } from './campaigns.repository.js'
import type { FrequencyCap, Hours, Targeting } from './targeting.js'

registerEnumType(CampaignStatus, {
  name: 'CampaignStatus',
  description: 'What people want: DRAFT → ENABLED ⇄ PAUSED → ENDED. What happens is primaryStatus',
})

export enum BudgetPeriod {
  DAILY = 'DAILY',
  TOTAL = 'TOTAL',
}
registerEnumType(BudgetPeriod, { name: 'BudgetPeriod' })

export enum DeliveryMethod {
  STANDARD = 'STANDARD',
  ACCELERATED = 'ACCELERATED',
}
registerEnumType(DeliveryMethod, {
  name: 'DeliveryMethod',
  description: 'STANDARD spreads the budget over its period, ACCELERATED does not',
})

export enum BiddingStrategyType {
  MANUAL_CPC = 'MANUAL_CPC',
  MANUAL_CPM = 'MANUAL_CPM',
  MAXIMIZE_CLICKS = 'MAXIMIZE_CLICKS',
  MAXIMIZE_CONVERSIONS = 'MAXIMIZE_CONVERSIONS',
  MAXIMIZE_CONVERSION_VALUE = 'MAXIMIZE_CONVERSION_VALUE',
  TARGET_CPA = 'TARGET_CPA',
  TARGET_ROAS = 'TARGET_ROAS',
  ORTB = 'ORTB',
}
registerEnumType(BiddingStrategyType, { name: 'BiddingStrategyType' })

export enum PacingController {
  PID = 'PID',
  DUAL = 'DUAL',
}
registerEnumType(PacingController, { name: 'PacingController', description: 'How STANDARD delivery corrects the bids' })

export enum PacingStatus {
  ON_TRACK = 'ON_TRACK',
  UNDER = 'UNDER',
  OVER = 'OVER',
  EXHAUSTED = 'EXHAUSTED',
}
registerEnumType(PacingStatus, { name: 'PacingState' })

export enum AdStatus {
  ENABLED = 'ENABLED',
  PAUSED = 'PAUSED',
}
registerEnumType(AdStatus, { name: 'AdStatus' })

@ObjectType({ simpleResolvers: true })
export class CampaignBudget {
  @Field(() => Money)
  amount!: Money

  @Field(() => BudgetPeriod)
  period!: BudgetPeriod

  @Field(() => DeliveryMethod)
  deliveryMethod!: DeliveryMethod

  @Field(() => Float, { description: 'How often its budget a day may spend; 1 is never a cent more' })
  maxDailyOverdelivery!: number

  @Field(() => Money, { description: 'Booked in the running period' })
  spent!: Money

  @Field(() => Money, { description: 'Held for open bids in the running period' })
  reserved!: Money
}

@ObjectType({
  simpleResolvers: true,
  description: 'Impressions, by when they were shown, and what came of them within the attribution window',
})
export class Performance {
  @Field(() => Int)
  impressions!: number

  @Field(() => Int)
  clicks!: number

  @Field(() => Int)
  conversions!: number

  @Field(() => Money)
  cost!: Money

  @Field(() => Money)
  conversionValue!: Money

  @Field(() => Score, { description: 'Clicks an impression' })
  ctr!: Score

  @Field(() => Score, {
    description:
      'Share of clicks that led to a conversion, of which one click may have several; LEARNING while most of their attribution windows are open',
  })
  cvr!: Score

  @Field(() => Money, { nullable: true, description: 'Cost a conversion; null without one' })
  cpa!: Money | null

  @Field(() => Float, {
    nullable: true,
    description: 'Conversion value over cost; null without cost, or while conversions have no known worth',
  })
  roas!: number | null
}

@ObjectType({ simpleResolvers: true })
export class Pacing {
  @Field(() => PacingStatus)
  state!: PacingStatus

  @Field(() => Money, { description: 'What should be spent by now' })
  target!: Money

  @Field(() => Money)
  spent!: Money

  @Field(() => Money)
  reserved!: Money

  @Field(() => Float, { description: 'Every bid is multiplied by it' })
  multiplier!: number

  @Field(() => Money, { description: 'What will have been spent if it goes on like of late' })
  projectedEndOfPeriod!: Money

  @Field(() => String, { description: 'PID, DUAL, or NONE for accelerated delivery' })
  controller!: string

  @Field(() => String, { description: "The account's date, or TOTAL" })
  period!: string

  @Field(() => JSONScalar, { description: 'State of the controller' })
  detail!: unknown
}

@ObjectType('BiddingStrategy', { implements: NodeType, simpleResolvers: true })
export class StrategyType extends NodeType {
  key!: string

  @Field(() => String)
  name!: string

  @Field(() => BiddingStrategyType)
  type!: BiddingStrategyType

  @Field(() => Int, { description: 'Grows by one with every change; send it as expectedVersion' })
  version!: number

  @Field(() => Boolean, { description: 'false: it belongs to one campaign and is changed with it' })
  shared!: boolean

  @Field(() => Money, { nullable: true })
  targetCpa!: Money | null

  @Field(() => Float, { nullable: true, description: 'Conversion value over cost, e.g. 4 for 400 %' })
  targetRoas!: number | null

  @Field(() => Money, { nullable: true })
  cpcBidCeiling!: Money | null

  @Field(() => Money, { nullable: true })
  cpcBidFloor!: Money | null

  @Field(() => Money, {
    nullable: true,
    description: 'Bid for a click of MANUAL_CPC where an ad group has none of its own; the first bids of MAXIMIZE_CLICKS',
  })
  cpcBid!: Money | null

  @Field(() => Money, { nullable: true, description: 'Bid for a thousand impressions of MANUAL_CPM' })
  cpmBid!: Money | null

  @Field(() => JSONScalar, { description: 'Of ORTB: form, cMicros, clickValueMicros' })
  settings!: unknown

  @Field(() => DateTime)
  createdAt!: Date

  @Field(() => DateTime)
  updatedAt!: Date

  static of(row: StrategyRow): StrategyType {
    const { id, currencyCode, name, type, version, shared, targetRoas, settings, createdAt, updatedAt } = row
    return Object.assign(new StrategyType(), {
      id: encodeId('BiddingStrategy', id),
      key: id,
      name,
      type: type as BiddingStrategyType,
      version,
      shared,
      targetRoas,
      settings,
      createdAt,
      updatedAt,
      targetCpa: money(row.targetCpaMicros, currencyCode),
      cpcBidCeiling: money(row.cpcBidCeilingMicros, currencyCode),
      cpcBidFloor: money(row.cpcBidFloorMicros, currencyCode),
      cpcBid: money(row.cpcBidMicros, currencyCode),
      cpmBid: money(row.cpmBidMicros, currencyCode),
    })
  }
}

@ObjectType('Ad', { implements: NodeType })
export class AdType extends NodeType {
  key!: number
  productKey!: number | null

  @Field(() => String, { nullable: true })
  externalId!: string | null

  @Field(() => String)
  headline!: string

  @Field(() => String, { description: 'ENABLED or PAUSED' })
  status!: string

  @Field(() => [String], { description: 'What is advertised, in codes of the IAB Content Taxonomy 1.0' })
  iabCategories!: string[]

  static of({ id, externalId, headline, productId, status, iabCategories }: AdRow): AdType {
    return Object.assign(new AdType(), {
      id: encodeId('Ad', id),
      key: id,
      externalId,
      headline,
      status,
      iabCategories,
      productKey: productId,
    })
  }
}

@ObjectType('AdGroup', { implements: NodeType })
export class AdGroupType extends NodeType {
  key!: string
  campaignKey!: string

  @Field(() => String)
  name!: string

  @Field(() => Int, { description: 'Grows by one with every change; send it as expectedVersion' })
  version!: number

  @Field(() => Money, { nullable: true, description: 'Bid for a click; overrides that of the strategy' })
  cpcBid!: Money | null

  static of({ id, campaignId, name, version, cpcBidMicros }: AdGroupRow, currencyCode: string): AdGroupType {
    return Object.assign(new AdGroupType(), {
      id: encodeId('AdGroup', id),
      key: id,
      campaignKey: campaignId,
      name,
      version,
      cpcBid: money(cpcBidMicros, currencyCode),
    })
  }
}

@ObjectType('Campaign', { implements: NodeType })
export class CampaignType extends NodeType {
  key!: string
  /** The stored row, for services. */
  row!: CampaignRow

  @Field(() => String, { nullable: true })
  externalId!: string | null

  @Field(() => String)
  name!: string

  @Field(() => Int, { description: 'Grows by one with every change; send it as expectedVersion' })
  version!: number

  @Field(() => CampaignStatus, { description: 'What people want' })
  status!: CampaignStatus

  @Field(() => DateTime, { nullable: true })
  startsAt!: Date | null

  @Field(() => DateTime, { nullable: true })
  endsAt!: Date | null

  @Field(() => ID, { nullable: true })
  audienceId!: string | null

  @Field(() => [ID])
  excludedAudienceIds!: string[]

  @Field(() => JSONScalar, { description: "Hours of the account's week in which it runs: [{days, fromHour, toHour}]; empty is always" })
  schedule!: Hours[]

  @Field(() => JSONScalar, { nullable: true, description: '{impressions, hours} a person may be shown at most' })
  frequencyCap!: FrequencyCap | null

  @Field(() => JSONScalar, { description: '{categories, devices, placements, countries}; of each that is given one must match' })
  targeting!: Targeting

  @Field(() => Int, { description: 'A conversion counts when it comes at most so many days after the click' })
  attributionDays!: number

  @Field(() => Money, {
    nullable: true,
    description: "Worth of a conversion that is told without one; unless given the price of the ad's product",
  })
  conversionValue!: Money | null

  @Field(() => PacingController)
  pacingController!: PacingController

  @Field(() => DateTime, { description: 'Since when its bidding learns: edits that change what is learned start anew' })
  learningSince!: Date

  @Field(() => DateTime)
  createdAt!: Date

  @Field(() => DateTime)
  updatedAt!: Date

  static of(row: CampaignRow): CampaignType {
    const { id, budgetCurrencyCode, audienceId, excludedAudienceIds, contextual, pacingController } = row
    return Object.assign(new CampaignType(), {
      row,
      id: encodeId('Campaign', id),
      key: id,
      externalId: row.externalId,
      name: row.name,
      version: row.version,
      status: row.status,
      startsAt: row.startsAt,
      endsAt: row.endsAt,
      audienceId: audienceId && encodeId('Audience', audienceId),
      excludedAudienceIds: (excludedAudienceIds ?? []).map(each => encodeId('Audience', each)),
      schedule: row.schedule,
      frequencyCap: row.frequencyCap,
      targeting: contextual,
      attributionDays: row.attributionDays,
      conversionValue: money(row.conversionValueMicros, budgetCurrencyCode),
      pacingController: pacingController as PacingController,
      learningSince: row.learningSince,
      createdAt: row.createdAt,
      updatedAt: row.updatedAt,
    })
  }
}

export const CampaignConnection = connectionType('Campaign', () => CampaignType)
export const BiddingStrategyConnection = connectionType('BiddingStrategy', () => StrategyType)

@ObjectType({ simpleResolvers: true })
export class Estimate {
  @Field(() => Float)
  value!: number

  @Field(() => Interval, { nullable: true })
  interval!: Interval | null
}

@ObjectType({ simpleResolvers: true })
export class ExclusionCount {
  @Field(() => String)
  reason!: string

  @Field(() => Int)
  count!: number
}

@ObjectType({ simpleResolvers: true, description: 'Another running campaign that wants the same impressions' })
export class CampaignConflict {
  @Field(() => ID)
  campaignId!: string

  @Field(() => String)
  name!: string

  @Field(() => String)
  reason!: string
}

@ObjectType({
  simpleResolvers: true,
  description: 'What a dry run found; nothing of it was stored. Expectations are for the budget period',
})
export class CampaignPreview {
  @Field(() => [FieldChange])
  changes!: FieldChange[]

  @Field(() => Int, { description: 'People whom it may address personally; everybody else can only be met by context' })
  reach!: number

  @Field(() => [ExclusionCount], { description: 'Who of the audience is left out, by cause' })
  exclusions!: ExclusionCount[]

  @Field(() => Estimate, { nullable: true, description: 'Null while nothing is known of the market' })
  expectedClicks!: Estimate | null

  @Field(() => Estimate, { nullable: true, description: 'Micros' })
  expectedCost!: Estimate | null

  @Field(() => Estimate, { nullable: true, description: 'Micros of conversion value' })
  expectedValue!: Estimate | null

  @Field(() => [CampaignConflict])
  conflicts!: CampaignConflict[]

  @Field(() => Boolean, { description: 'Whether the bidding would start to learn anew' })
  resetsLearning!: boolean

  @Field(() => [String], { description: 'What a person should know before' })
  warnings!: string[]
}

@InputType({ description: 'A price or target that is left out stays as it is; null clears it' })
export class StrategyFields {
  @Field(() => MoneyInput, { nullable: true })
  targetCpa?: MoneyInput | null

  @Field(() => Float, { nullable: true, description: 'Conversion value over cost, e.g. 4 for 400 %' })
  targetRoas?: number | null

  @Field(() => MoneyInput, { nullable: true })
  cpcBidCeiling?: MoneyInput | null

  @Field(() => MoneyInput, { nullable: true })
  cpcBidFloor?: MoneyInput | null

  @Field(() => MoneyInput, { nullable: true })
  cpcBid?: MoneyInput | null

  @Field(() => MoneyInput, { nullable: true })
  cpmBid?: MoneyInput | null

  @Field(() => JSONScalar, { nullable: true, description: 'Of ORTB: form (1 or 2), cMicros, clickValueMicros' })
  settings?: unknown
}

@InputType({ description: 'The strategy of one campaign' })
export class OwnStrategyInput extends StrategyFields {
  @Field(() => BiddingStrategyType)
  type!: BiddingStrategyType
}

@InputType()
export class BudgetInput {
  @Field(() => MoneyInput)
  amount!: MoneyInput

  @Field(() => BudgetPeriod, { defaultValue: BudgetPeriod.DAILY })
  period!: BudgetPeriod

  @Field(() => DeliveryMethod, { defaultValue: DeliveryMethod.STANDARD })
  deliveryMethod!: DeliveryMethod

  @Field(() => Float, { defaultValue: 1, description: '1 to 2: how often its budget a day may spend' })
  maxDailyOverdelivery!: number
}

@InputType()
export class HoursInput {
  @Field(() => [Int], { description: '1 is Monday, 7 is Sunday' })
  days!: number[]

  @Field(() => Int, { description: "0 to 23, in the account's time zone" })
  fromHour!: number

  @Field(() => Int, { description: '1 to 24: the first hour after' })
  toHour!: number
}

@InputType()
export class FrequencyCapInput {
  @Field(() => Int, { description: '1 to 1,000' })
  impressions!: number

  @Field(() => Int, { description: '1 to 720' })
  hours!: number
}

@InputType({ description: 'Of each list that is given one entry must match the impression' })
export class TargetingInput {
  @Field(() => [String], { nullable: true })
  categories?: string[] | null

  @Field(() => [String], { nullable: true, description: 'e.g. mobile, desktop, tablet, tv' })
  devices?: string[] | null

  @Field(() => [String], { nullable: true })
  placements?: string[] | null

  @Field(() => [String], { nullable: true, description: 'ISO 3166 codes of two letters' })
  countries?: string[] | null
}

@InputType()
export class CampaignFields {
  @Field(() => DateTime, { nullable: true })
  startsAt?: Date | null

  @Field(() => DateTime, { nullable: true })
  endsAt?: Date | null

  @Field(() => ID, { nullable: true, description: 'A shared strategy; or give biddingStrategy' })
  biddingStrategyId?: string | null

  @Field(() => OwnStrategyInput, { nullable: true, description: 'A strategy of its own' })
  biddingStrategy?: OwnStrategyInput | null

  @Field(() => ID, { nullable: true })
  audienceId?: string | null

  @Field(() => [ID], { nullable: true, description: 'Whoever is in one of these is never addressed' })
  excludedAudienceIds?: string[] | null

  @Field(() => [HoursInput], { nullable: true, description: 'When it runs; empty is always' })
  schedule?: HoursInput[] | null

  @Field(() => FrequencyCapInput, { nullable: true })
  frequencyCap?: FrequencyCapInput | null

  @Field(() => TargetingInput, { nullable: true })
  targeting?: TargetingInput | null

  @Field(() => Int, { nullable: true, description: '1 to 90; 30 unless given' })
  attributionDays?: number | null

  @Field(() => MoneyInput, { nullable: true })
  conversionValue?: MoneyInput | null

  @Field(() => PacingController, { nullable: true })
  pacingController?: PacingController | null

  @Field(() => String, { nullable: true })
  idempotencyKey?: string | null

  @Field(() => Boolean, { defaultValue: false, description: 'Check everything, store nothing, and return the preview' })
  dryRun!: boolean
}

@InputType()
export class CampaignCreateInput extends CampaignFields {
  @Field(() => String, { description: '1 to 200 characters' })
  name!: string

  @Field(() => String, { nullable: true })
  externalId?: string | null

  @Field(() => BudgetInput)
  budget!: BudgetInput
}

@InputType({ description: 'A field that is left out stays as it is; null clears it. The budget is changed by campaignBudgetSet' })
export class CampaignUpdateInput extends CampaignFields {
  @Field(() => ID, { nullable: true })
  campaignId?: string | null

  @Field(() => String, { nullable: true })
  campaignExternalId?: string | null

  @Field(() => String, { nullable: true })
  name?: string | null

  @Field(() => Int, { nullable: true, description: 'The version last seen; without it whatever version there is' })
  expectedVersion?: number | null
}

@InputType()
export class CampaignActionInput {
  @Field(() => ID, { nullable: true })
  campaignId?: string | null

  @Field(() => String, { nullable: true })
  campaignExternalId?: string | null

  @Field(() => Int, { nullable: true, description: 'The version last seen; without it whatever version there is' })
  expectedVersion?: number | null

  @Field(() => String, { nullable: true })
  idempotencyKey?: string | null

  @Field(() => Boolean, { defaultValue: false })
  dryRun!: boolean
}

@InputType({ description: 'What is left out of the budget but the amount stays as it is' })
export class CampaignBudgetSetInput extends CampaignActionInput {
  @Field(() => MoneyInput, { description: 'Not below what is spent and reserved in the running period' })
  amount!: MoneyInput

  @Field(() => DeliveryMethod, { nullable: true })
  deliveryMethod?: DeliveryMethod | null

  @Field(() => Float, { nullable: true, description: '1 to 2' })
  maxDailyOverdelivery?: number | null
}

@InputType()
export class BiddingStrategyCreateInput extends StrategyFields {
  @Field(() => String)
  name!: string

  @Field(() => BiddingStrategyType)
  type!: BiddingStrategyType

  @Field(() => String, { nullable: true })
  idempotencyKey?: string | null

  @Field(() => Boolean, { defaultValue: false })
  dryRun!: boolean
}

@InputType()
export class BiddingStrategyUpdateInput extends StrategyFields {
  @Field(() => ID)
  biddingStrategyId!: string

  @Field(() => String, { nullable: true })
  name?: string | null

  @Field(() => BiddingStrategyType, { nullable: true })
  type?: BiddingStrategyType | null

  @Field(() => Int, { nullable: true, description: 'The version last seen; without it whatever version there is' })
  expectedVersion?: number | null

  @Field(() => String, { nullable: true })
  idempotencyKey?: string | null

  @Field(() => Boolean, { defaultValue: false })
  dryRun!: boolean
}

@InputType()
export class AdGroupCreateInput {
  @Field(() => ID, { nullable: true })
  campaignId?: string | null

  @Field(() => String, { nullable: true })
  campaignExternalId?: string | null

  @Field(() => String)
  name!: string

  @Field(() => MoneyInput, { nullable: true })
  cpcBid?: MoneyInput | null

  @Field(() => String, { nullable: true })
  idempotencyKey?: string | null

  @Field(() => Boolean, { defaultValue: false })
  dryRun!: boolean
}

@InputType()
export class AdGroupBidSetInput {
  @Field(() => ID)
  adGroupId!: string

  @Field(() => MoneyInput, { nullable: true, description: 'null takes the bid of the strategy again' })
  cpcBid?: MoneyInput | null

  @Field(() => Int, { nullable: true, description: 'The version last seen; without it whatever version there is' })
  expectedVersion?: number | null

  @Field(() => String, { nullable: true })
  idempotencyKey?: string | null

  @Field(() => Boolean, { defaultValue: false })
  dryRun!: boolean
}

@InputType()
export class AdStatusSetInput {
  @Field(() => ID)
  adId!: string

  @Field(() => AdStatus)
  status!: AdStatus

  @Field(() => String, { nullable: true })
  idempotencyKey?: string | null

  @Field(() => Boolean, { defaultValue: false })
  dryRun!: boolean
}

@InputType()
export class AdCreateInput {
  @Field(() => ID)
  adGroupId!: string

  @Field(() => String, { nullable: true, description: 'The id of the ad elsewhere, by which an ad log names it' })
  externalId?: string | null

  @Field(() => String, { description: '1 to 200 characters' })
  headline!: string

  @Field(() => ID, { nullable: true })
  productId?: string | null

  @Field(() => String, { nullable: true })
  productExternalId?: string | null

  @Field(() => [String], {
    nullable: true,
    description: 'What is advertised, in codes of the IAB Content Taxonomy 1.0, e.g. IAB18-1: sellers block categories by them. At most 20',
  })
  iabCategories?: string[] | null

  @Field(() => AdStatus, { defaultValue: AdStatus.ENABLED })
  status!: AdStatus

  @Field(() => String, { nullable: true })
  idempotencyKey?: string | null

  @Field(() => Boolean, { defaultValue: false })
  dryRun!: boolean
}

@InputType({ description: 'All conditions that are given must hold' })
export class CampaignWhere {
  @Field(() => CampaignStatus, { nullable: true })
  status?: CampaignStatus | null

  @Field(() => String, { nullable: true, description: 'Part of the name in any case, or the beginning of the external id' })
  search?: string | null

  @Field(() => ID, { nullable: true })
  biddingStrategyId?: string | null
}

@ArgsType()
export class CampaignsArgs extends PageArgs {
  @Field(() => CampaignWhere, { nullable: true })
  where?: CampaignWhere | null
}

@ObjectType()
export class CampaignPayload extends Payload {
  @Field(() => CampaignType, { nullable: true })
  campaign?: CampaignType | null

  @Field(() => CampaignPreview, { nullable: true, description: 'Only for a dry run' })
  preview?: CampaignPreview | null
}

@ObjectType({ description: 'What a dry run would change' })
export class ChangePreview {
  @Field(() => [FieldChange])
  changes!: FieldChange[]

  @Field(() => Boolean, { description: 'Whether campaigns would start to learn anew' })
  resetsLearning!: boolean

  @Field(() => [String], { description: 'Names of campaigns that it touches' })
  campaigns!: string[]
}

@ObjectType()
export class BiddingStrategyPayload extends Payload {
  @Field(() => StrategyType, { nullable: true })
  biddingStrategy?: StrategyType | null

  @Field(() => ChangePreview, { nullable: true, description: 'Only for a dry run' })
  preview?: ChangePreview | null
}

@ObjectType()
export class AdGroupPayload extends Payload {
  @Field(() => AdGroupType, { nullable: true })
  adGroup?: AdGroupType | null

  @Field(() => ChangePreview, { nullable: true, description: 'Only for a dry run' })
  preview?: ChangePreview | null
}

@ObjectType()
export class AdPayload extends Payload {
  @Field(() => AdType, { nullable: true })
  ad?: AdType | null

  @Field(() => ChangePreview, { nullable: true, description: 'Only for a dry run' })
  preview?: ChangePreview | null
}

@ObjectType({ simpleResolvers: true, description: 'Whether the ledger of a period is right, from its journal and its bids' })
export class BudgetAudit {
  @Field(() => ID)
  campaignId!: string

  @Field(() => String, { description: "The account's date, or TOTAL" })
  period!: string

  @Field(() => Money)
  limit!: Money

  @Field(() => Money)
  spent!: Money

  @Field(() => Money)
  reserved!: Money

  @Field(() => Int, { description: 'Changes in the journal' })
  entries!: number

  @Field(() => Money, { description: 'The most that spent and reserved ever came to' })
  peak!: Money

  @Field(() => Int, { description: 'Moments at which spent and reserved exceeded the limit' })
  breaches!: number

  @Field(() => Boolean, { description: 'No entry is missing, and each leads to the next' })
  isComplete!: boolean

  @Field(() => Boolean, { description: 'The sums over all bids are those of the ledger' })
  agreesWithBids!: boolean

  @Field(() => Int, {
    description: 'Bids whose bill came after their reservation had ended, when the budget had no room: nothing was booked',
  })
  unfunded!: number
}
