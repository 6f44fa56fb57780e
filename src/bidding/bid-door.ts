import { cleanAmount, LARGEST_AMOUNT_MICROS } from '../campaigns/campaign-rules.js'
import { type Money, type MoneyInput, money } from '../graphql/money.js'
import { decodeId, decodeIntId, encodeId } from '../graphql/node-id.js'
import { Conflict, InvalidInput } from '../platform/errors.js'
import { cleanOptionalText, cleanText } from '../platform/text-input.js'
import { cleanCountry } from '../users/user-rules.js'
import type { Notice } from './bidding.repository.js'
import {
  AuctionOutcome,
  type AuctionOutcomeInput,
  AuctionOutcomeResult,
  AuctionOutcomeType,
  Bid,
  type BidContextInput,
  type BidDecideInput,
  NoBid,
} from './bidding.schema.js'
import type { BiddingService, BidMade, BidRequest, NoBidMade } from './bidding.service.js'

const MOST_CAMPAIGNS = 100
const MOST_CATEGORIES = 100
const LONGEST_RESERVATION = 86_400

/** The GraphQL side of bidding: inputs are checked here, answers take their public shape. */
export class BidDoor {
  constructor(
    private readonly bidding: BiddingService,
    private readonly currency: string,
    private readonly now: () => Date = () => new Date(),
  ) {}

  async decide(input: BidDecideInput): Promise<Bid | NoBid> {
    return this.shown(await this.bidding.decide(this.requestOf(input)))
  }

  async outcome(input: AuctionOutcomeInput): Promise<AuctionOutcome> {
    const notice = this.noticeOf(input)
    const { result, campaignId, costMicros, reservedMicros } = await this.bidding.outcome(notice, { isDry: input.dryRun })
    if (result === 'UNFUNDED')
      throw new Conflict(
        'The reservation of this bid had ended and the budget has no room for it any more: nothing was booked',
        'BUDGET_EXCEEDED',
        {},
        ['decisionId'],
      )
    return Object.assign(new AuctionOutcome(), {
      campaignKey: campaignId,
      decisionId: input.decisionId,
      type: input.type,
      result: AuctionOutcomeResult[result as keyof typeof AuctionOutcomeResult],
      committed: this.money(costMicros ?? 0n),
      reserved: this.money(reservedMicros ?? 0n),
    })
  }

  private requestOf(input: BidDecideInput): BidRequest {
    const { userId, userExternalId, floor, ceiling, campaignIds, reserveSeconds, auction } = input
    if (userId && userExternalId) throw new InvalidInput('Give at most one of userId and userExternalId', {}, ['userId'])
    if (!(reserveSeconds >= 1 && reserveSeconds <= LONGEST_RESERVATION))
      throw new InvalidInput(`reserveSeconds must be from 1 to ${LONGEST_RESERVATION}, not ${reserveSeconds}`, {}, ['reserveSeconds'])
    if (campaignIds && campaignIds.length > MOST_CAMPAIGNS)
      throw new InvalidInput(`campaignIds must be at most ${MOST_CAMPAIGNS}`, {}, ['campaignIds'])
    return {
      user: userId
        ? decodeIntId('User', userId, 'userId')
        : userExternalId
          ? cleanText(userExternalId, { field: 'userExternalId', max: 220, trim: false })
          : null,
      privacy: null,
      context: contextOf(input.context ?? {}, input.placement),
      auction,
      floorMicros: floor ? this.amountOf(floor, 'floor') : 0,
      ceilingMicros: ceiling ? Number(cleanAmount(ceiling, this.currency, ['ceiling'])) : Number.POSITIVE_INFINITY,
      campaignKeys: campaignIds ? new Set(campaignIds.map(id => decodeId('Campaign', id, 'campaignIds'))) : undefined,
      pCtr: chanceOf(input.pCtr, 'pCtr'),
      pCvr: chanceOf(input.pCvr, 'pCvr'),
      reserveSeconds,
      isDry: input.dryRun,
    }
  }

  private noticeOf({ decisionId, type, price, value, minToWin, billable, reference, occurredAt }: AuctionOutcomeInput): Notice {
    const id = decodeId('Decision', decisionId, 'decisionId')
    const isPriced = type === AuctionOutcomeType.WIN || type === AuctionOutcomeType.BILLABLE
    if (price && !isPriced) throw new InvalidInput(`A ${type} has no price`, {}, ['price'])
    if (value && type !== AuctionOutcomeType.CONVERSION) throw new InvalidInput(`A ${type} has no value`, {}, ['value'])
    if (billable && type !== AuctionOutcomeType.WIN) throw new InvalidInput('Only a WIN can be billable at once', {}, ['billable'])
    const amount = price ? this.amountOf(price, 'price') : value ? this.amountOf(value, 'value') : null
    return {
      id,
      type,
      reference: cleanOptionalText(reference, { field: 'reference', max: 200, min: 0, trim: false }) ?? '',
      micros: amount === null ? null : BigInt(amount),
      minToWinMicros: minToWin ? BigInt(this.amountOf(minToWin, 'minToWin')) : null,
      isBilled: billable,
      at: occurredAt ?? this.now(),
    }
  }

  /** Zero is a price too. */
  private amountOf(given: MoneyInput, field: string): number {
    return Number(cleanAmount(given, this.currency, [field], 0n))
  }

  private shown(made: BidMade | NoBidMade): Bid | NoBid {
    const decisionId = encodeId('Decision', made.decisionKey)
    if (made.kind === 'none') return Object.assign(new NoBid(), { decisionId, reason: made.reason })
    const { campaignKey, ad, priceMicros, reservedMicros, pCtr, pCvr, multiplier, expiresAt, explanation } = made
    return Object.assign(new Bid(), {
      campaignKey,
      adKey: ad.id,
      decisionId,
      price: this.money(BigInt(priceMicros)),
      reserved: this.money(BigInt(reservedMicros)),
      pCtr,
      pCvr,
      multiplier,
      expiresAt,
      explained: explanation,
    })
  }

  private money(micros: bigint): Money {
    return money(BigInt(micros), this.currency) as Money
  }
}

function contextOf(context: BidContextInput, placement: string | null | undefined): BidRequest['context'] {
  const text = (value: string | null | undefined, name: string) =>
    cleanOptionalText(value, { field: ['context', name], max: 200, min: 0 }) || null
  const { categories, position } = context
  if (categories && categories.length > MOST_CATEGORIES)
    throw new InvalidInput(`categories must be at most ${MOST_CATEGORIES}`, {}, ['context', 'categories'])
  return {
    placement: text(context.placement ?? placement, 'placement'),
    device: text(context.device, 'device'),
    country: cleanCountry(context.country, ['context', 'country']) ?? null,
    categories: categories?.map(each => cleanText(each, { field: ['context', 'categories'], max: 200 })) ?? [],
    domain: text(context.domain, 'domain'),
    os: text(context.os, 'os'),
    language: text(context.language, 'language'),
    position: position ?? null,
  }
}

/** A chance of 0 would never bid and one of 1 knows the future: neither is a prediction. */
function chanceOf(value: number | null | undefined, field: string): number | undefined {
  if (value === null || value === undefined) return undefined
  if (value > 0 && value < 1) return value
  throw new InvalidInput(`${field} must lie between 0 and 1, both excluded, not ${value}`, {}, [field])
}

export { LARGEST_AMOUNT_MICROS }
