import type { Ad, AdGroup, BiddingStrategy, BudgetLedger, Campaign, CampaignPacing } from '../platform/generated/prisma/client.js'
import type { FrequencyCap, Hours, Targeting } from './targeting.js'

/** Stored rows, with the shapes of what is JSON in the database. */
export type CampaignRow = Omit<Campaign, 'schedule' | 'frequencyCap' | 'contextual'> & {
  schedule: Hours[]
  frequencyCap: FrequencyCap | null
  contextual: Targeting
}
export type StrategyRow = BiddingStrategy
export type AdGroupRow = AdGroup
export type AdRow = Ad
export type LedgerRow = BudgetLedger
export type PacingRow = CampaignPacing
