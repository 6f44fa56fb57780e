import { createUnionType, Field, Float, ID, InputType, Int, ObjectType, registerEnumType } from 'type-graphql'
import { CampaignType } from '../campaigns/campaigns.schema.js'
import { typeNameOf } from '../graphql/abstract.js'
import { Money, MoneyInput } from '../graphql/money.js'
import { Payload } from '../graphql/payload.js'
import { DateTime } from '../graphql/scalars.js'
import { Contribution } from '../registry/decision.schema.js'
import { contributionsIn } from '../registry/decisions.js'

export enum AuctionKind {
  FIRST_PRICE = 'FIRST_PRICE',
  SECOND_PRICE = 'SECOND_PRICE',
}
registerEnumType(AuctionKind, { name: 'AuctionType' })

export enum AuctionOutcomeType {
  WIN = 'WIN',
  BILLABLE = 'BILLABLE',
  LOSS = 'LOSS',
  CLICK = 'CLICK',
  CONVERSION = 'CONVERSION',
}
registerEnumType(AuctionOutcomeType, { name: 'AuctionOutcomeType' })

export enum AuctionOutcomeResult {
  RESERVATION_HELD = 'RESERVATION_HELD',
  COMMITTED = 'COMMITTED',
  RELEASED = 'RELEASED',
  RECORDED = 'RECORDED',
  NO_EFFECT = 'NO_EFFECT',
  UNFUNDED = 'UNFUNDED',
  DUPLICATE = 'DUPLICATE',
}
registerEnumType(AuctionOutcomeResult, {
  name: 'AuctionOutcomeResult',
  description:
    'RESERVATION_HELD: won, not billed yet. COMMITTED: booked. RELEASED: given back. NO_EFFECT: a later notice has decided already. UNFUNDED: the bill came after the reservation had ended, and the budget had no room: nothing was booked. DUPLICATE: this notice was taken before.',
})

@ObjectType({ simpleResolvers: true, description: 'The price for one impression; its money is reserved until a notice or expiresAt' })
export class Bid {
  campaignKey!: string
  adKey!: number

  @Field(() => ID)
  decisionId!: string

  @Field(() => Money, { description: 'For one impression' })
  price!: Money

  @Field(() => Float, { description: 'Calibrated chance of a click' })
  pCtr!: number

  @Field(() => Float, { description: 'Calibrated chance of a conversion after a click' })
  pCvr!: number

  @Field(() => Float, { description: 'Of the pacing' })
  multiplier!: number

  @Field(() => Money)
  reserved!: Money

  @Field(() => DateTime, { description: 'When the reservation ends unless a notice comes' })
  expiresAt!: Date

  @Field(() => [Contribution], {
    description: 'Parts in micros that sum to the price, then parts of the log-odds of pCTR and pCVR',
  })
  get explanation(): Contribution[] {
    return contributionsIn(this.explained)
  }

  /** The lines that the decision keeps. */
  explained!: string
}

@ObjectType({ simpleResolvers: true })
export class NoBid {
  @Field(() => ID)
  decisionId!: string

  @Field(() => String, { description: 'The most common cause among the campaigns, e.g. CONSENT_MISSING, BUDGET_EXHAUSTED, BELOW_FLOOR' })
  reason!: string
}

export const BidDecision = createUnionType({
  name: 'BidDecision',
  types: () => [Bid, NoBid] as const,
  resolveType: typeNameOf('BidDecision', (value: Bid | NoBid) => ('reason' in value ? 'NoBid' : 'Bid')),
})

@InputType({ description: 'What is known of the impression without the person' })
export class BidContextInput {
  @Field(() => String, { nullable: true })
  placement?: string | null

  @Field(() => String, { nullable: true, description: 'e.g. mobile, desktop, tablet, tv' })
  device?: string | null

  @Field(() => String, { nullable: true, description: 'ISO 3166 code of two letters' })
  country?: string | null

  @Field(() => [String], { nullable: true, description: 'Of the page, as campaigns target them' })
  categories?: string[] | null

  @Field(() => String, { nullable: true })
  domain?: string | null

  @Field(() => String, { nullable: true })
  os?: string | null

  @Field(() => String, { nullable: true })
  language?: string | null

  @Field(() => Int, { nullable: true, description: 'Place on the page, from 1' })
  position?: number | null
}

@InputType()
export class BidDecideInput {
  @Field(() => ID, { nullable: true })
  userId?: string | null

  @Field(() => String, { nullable: true, description: 'An unknown person gets a contextual bid' })
  userExternalId?: string | null

  @Field(() => String, { nullable: true, description: 'Same as context.placement' })
  placement?: string | null

  @Field(() => BidContextInput, { nullable: true })
  context?: BidContextInput | null

  @Field(() => AuctionKind, { defaultValue: AuctionKind.SECOND_PRICE })
  auction!: AuctionKind

  @Field(() => MoneyInput, { nullable: true, description: 'Least bid for the impression' })
  floor?: MoneyInput | null

  @Field(() => MoneyInput, { nullable: true, description: 'Most that the impression may cost' })
  ceiling?: MoneyInput | null

  @Field(() => [ID], { nullable: true, description: 'Only these campaigns, at most 100' })
  campaignIds?: string[] | null

  @Field(() => Float, { nullable: true, description: 'Your own prediction instead of ours, between 0 and 1' })
  pCtr?: number | null

  @Field(() => Float, { nullable: true, description: 'Your own prediction instead of ours, between 0 and 1' })
  pCvr?: number | null

  @Field(() => Int, { defaultValue: 600, description: 'How long the money is held without a notice, 1 to 86,400 s' })
  reserveSeconds!: number

  @Field(() => String, { nullable: true })
  idempotencyKey?: string | null

  @Field(() => Boolean, { defaultValue: false, description: 'Decide, reserve nothing, and return the decision as preview' })
  dryRun!: boolean
}

@ObjectType()
export class BidDecisionPayload extends Payload {
  @Field(() => BidDecision, { nullable: true })
  decision?: Bid | NoBid | null

  @Field(() => BidDecision, { nullable: true, description: 'Only for a dry run; its decision is not kept' })
  preview?: Bid | NoBid | null
}

@InputType()
export class AuctionOutcomeInput {
  @Field(() => ID, { description: 'Of the bid' })
  decisionId!: string

  @Field(() => AuctionOutcomeType)
  type!: AuctionOutcomeType

  @Field(() => MoneyInput, {
    nullable: true,
    description: 'Clearing price for the impression, of WIN and BILLABLE; without it the price of the win, else the bid',
  })
  price?: MoneyInput | null

  @Field(() => MoneyInput, { nullable: true, description: 'Worth of a CONVERSION' })
  value?: MoneyInput | null

  @Field(() => MoneyInput, {
    nullable: true,
    description: 'Least bid that would have won, of WIN and LOSS; above a bid that won it contradicts that, and is not learned from',
  })
  minToWin?: MoneyInput | null

  @Field(() => Boolean, { defaultValue: false, description: 'A WIN that is billed at once, where the seller sends no billing notice' })
  billable!: boolean

  @Field(() => String, { nullable: true, description: 'Id of the click or the order, so that several count and each only once' })
  reference?: string | null

  @Field(() => DateTime, { nullable: true, description: 'Now unless given' })
  occurredAt?: Date | null

  @Field(() => String, { nullable: true })
  idempotencyKey?: string | null

  @Field(() => Boolean, { defaultValue: false })
  dryRun!: boolean
}

@ObjectType({ simpleResolvers: true })
export class AuctionOutcome {
  campaignKey!: string

  @Field(() => ID)
  decisionId!: string

  @Field(() => AuctionOutcomeType)
  type!: AuctionOutcomeType

  @Field(() => AuctionOutcomeResult)
  result!: AuctionOutcomeResult

  @Field(() => Money, { description: 'Booked for this bid' })
  committed!: Money

  @Field(() => Money, { description: 'Still held for this bid' })
  reserved!: Money
}

@ObjectType()
export class AuctionOutcomePayload extends Payload {
  @Field(() => AuctionOutcome, { nullable: true })
  outcome?: AuctionOutcome | null

  @Field(() => AuctionOutcome, { nullable: true, description: 'Only for a dry run: what the notice would do now' })
  preview?: AuctionOutcome | null
}

export { CampaignType }
