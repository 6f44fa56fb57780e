import { strategyOf } from '../algorithms/bidding/index.js'
import type { CampaignFacts, CampaignRow, StrategyRow } from './campaigns.repository.js'
import { isInHours } from './targeting.js'
import type { LocalMoment } from './time-zone.js'

export interface PrimaryStatus {
  primaryStatus: 'DRAFT' | 'PAUSED' | 'ENDED' | 'PENDING' | 'NOT_ELIGIBLE' | 'LIMITED' | 'LEARNING' | 'ELIGIBLE'
  reasons: string[]
}

interface Circumstances {
  facts: CampaignFacts | undefined
  strategy: StrategyRow
  now: Date
  moment: LocalMoment
  isModelStale: boolean
}

const SMALL_AUDIENCE = 100
const CONSENT_SHARE = 0.5
/** From this share of the people it may address on, the cap decides how much it can show. */
const CAPPED_SHARE = 0.5
/** Bidding has learned after so many days or so many results. */
const LEARNING_DAYS = 7
const LEARNING_RESULTS = 50
const DAY_MS = 86_400_000
/** Less of the budget than this is left: bids are lost for want of money. */
const SMALL_REST = 0.02
/** A price that a person set is lowered further than this so that the budget lasts: it would buy more. */
const PACED_DOWN = 0.8

const BY_CLICKS = new Set(['MAXIMIZE_CLICKS', 'ORTB'])
/** They bid nothing where a conversion has no known worth. */
export const BY_VALUE = new Set(['MAXIMIZE_CONVERSION_VALUE', 'TARGET_ROAS'])

/** What happens with a campaign, with every reason: what keeps it from bidding at all, what limits it, and whether it still learns. */
export function primaryStatusOf(campaign: CampaignRow, circumstances: Circumstances): PrimaryStatus {
  const { status, startsAt, endsAt } = campaign
  const { now } = circumstances
  if (status === 'DRAFT') return { primaryStatus: 'DRAFT', reasons: ['CAMPAIGN_DRAFT', ...blocks(campaign, circumstances)] }
  if (status === 'ENDED' || (endsAt && endsAt <= now)) return { primaryStatus: 'ENDED', reasons: ['CAMPAIGN_ENDED'] }
  if (status === 'PAUSED') return { primaryStatus: 'PAUSED', reasons: ['CAMPAIGN_PAUSED'] }
  const blocked = blocks(campaign, circumstances)
  if (blocked.length > 0) return { primaryStatus: 'NOT_ELIGIBLE', reasons: blocked }
  if (startsAt && startsAt > now) return { primaryStatus: 'PENDING', reasons: ['STARTS_LATER'] }
  const limited = limits(campaign, circumstances)
  const learning = isLearning(campaign, circumstances) ? ['BIDDING_STRATEGY_LEARNING'] : []
  if (limited.length > 0) return { primaryStatus: 'LIMITED', reasons: [...limited, ...learning] }
  return learning.length > 0 ? { primaryStatus: 'LEARNING', reasons: learning } : { primaryStatus: 'ELIGIBLE', reasons: [] }
}

export function isManual(type: string): boolean {
  return type.startsWith('MANUAL_')
}

function blocks({ audienceId, schedule, conversionValueMicros }: CampaignRow, { facts, strategy, moment }: Circumstances): string[] {
  const reasons: string[] = []
  if (!facts || facts.ads === 0) reasons.push('NO_ADS')
  else if (facts.enabledAds === 0) reasons.push('ADS_PAUSED')
  else if (facts.stockedAds === 0) reasons.push('STOCK_LIMITED')
  if (strategy.type === 'MANUAL_CPC' && !strategy.cpcBidMicros && facts && hasNoBid(facts)) reasons.push('NO_BID')
  else if (BY_VALUE.has(strategy.type) && !conversionValueMicros && facts && facts.ads > 0 && facts.pricedAds === 0)
    reasons.push('NO_CONVERSION_VALUE')
  if (audienceId && facts?.audienceStatus === 'BUILDING' && !facts.audienceSize) reasons.push('AUDIENCE_BUILDING')
  else if (audienceId && !facts?.audienceSize) reasons.push('AUDIENCE_TOO_SMALL')
  if (facts?.limitMicros && (facts.spentMicros ?? 0n) + (facts.reservedMicros ?? 0n) >= facts.limitMicros) reasons.push('BUDGET_EXHAUSTED')
  if (!isInHours(schedule, moment)) reasons.push('OUTSIDE_SCHEDULE')
  return reasons
}

function hasNoBid({ adGroups, unbidGroups, stockedAds, unbidAds }: CampaignFacts): boolean {
  return (adGroups > 0 && unbidGroups === adGroups) || (stockedAds > 0 && unbidAds === stockedAds)
}

function limits({ audienceId, deliveryMethod }: CampaignRow, { facts, strategy, isModelStale }: Circumstances): string[] {
  if (!facts) return []
  const reasons: string[] = []
  const rest =
    facts.limitMicros === null ? 1 : 1 - Number((facts.spentMicros ?? 0n) + (facts.reservedMicros ?? 0n)) / Number(facts.limitMicros)
  // Others look for whatever multiplier spends the budget, so it says nothing.
  const isPacedDown =
    deliveryMethod === 'STANDARD' && strategyOf(strategy.type).isOnlyLowered && facts.multiplier !== null && facts.multiplier < PACED_DOWN
  if (rest < SMALL_REST || isPacedDown) reasons.push('BUDGET_CONSTRAINED')
  if (audienceId && (facts.audienceSize ?? 0) < SMALL_AUDIENCE) reasons.push('AUDIENCE_TOO_SMALL')
  if (audienceId && facts.consentedShare !== null && facts.consentedShare < CONSENT_SHARE) reasons.push('CONSENT_LIMITED')
  if (facts.stockedAds < facts.enabledAds) reasons.push('STOCK_LIMITED')
  if (isModelStale) reasons.push('MODEL_STALE')
  if (facts.cappedShare !== null && facts.cappedShare >= CAPPED_SHARE) reasons.push('FREQUENCY_CAPPED')
  return reasons
}

function isLearning({ learningSince }: CampaignRow, { facts, strategy, now }: Circumstances): boolean {
  if (isManual(strategy.type)) return false
  const results = BY_CLICKS.has(strategy.type) ? facts?.clicksLearned : facts?.conversionsLearned
  return now.getTime() - learningSince.getTime() < LEARNING_DAYS * DAY_MS && (results ?? 0) < LEARNING_RESULTS
}
