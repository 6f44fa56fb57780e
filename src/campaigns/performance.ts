import { money } from '../graphql/money.js'
import { EstimateState, type Score } from '../graphql/score.js'
import type { PerformanceRow } from './campaigns.repository.js'
import type { Performance } from './campaigns.schema.js'

const LEVEL = 0.9
/** Standard normal quantile of 95 %, for two sides of 90 %. */
const Z = 1.6449
const FEW_IMPRESSIONS = 100
const FEW_CLICKS = 30

/** What came of a campaign; rates with Wilson's interval (1927), which holds also near 0 and 1. */
export function performanceOf(row: PerformanceRow | undefined, currency: string): Performance {
  const { impressions = 0, clicks = 0, conversions = 0, costMicros = 0n, conversionValueMicros = 0n } = row ?? {}
  const { convertedClicks = 0, openClicks = 0 } = row ?? {}
  return {
    impressions,
    clicks,
    conversions,
    cost: money(costMicros, currency) as Performance['cost'],
    conversionValue: money(conversionValueMicros, currency) as Performance['conversionValue'],
    ctr: rate(clicks, impressions, FEW_IMPRESSIONS, false),
    cvr: rate(convertedClicks, clicks, FEW_CLICKS, openClicks > clicks / 2),
    cpa: conversions > 0 ? money(BigInt(Math.round(Number(costMicros) / conversions)), currency) : null,
    // Conversions that nobody told a worth of are no return of zero.
    roas: costMicros > 0n && (conversions === 0 || conversionValueMicros > 0n) ? Number(conversionValueMicros) / Number(costMicros) : null,
  }
}

function rate(hits: number, trials: number, few: number, isOpen: boolean): Score {
  if (trials === 0) return { value: null, interval: null, sampleSize: 0, state: EstimateState.INSUFFICIENT_DATA, decisionId: null }
  const value = hits / trials
  const state = trials < few ? EstimateState.INSUFFICIENT_DATA : isOpen ? EstimateState.LEARNING : EstimateState.READY
  return { value, interval: { ...wilson(value, trials), level: LEVEL }, sampleSize: trials, state, decisionId: null }
}

export function wilson(share: number, trials: number): { low: number; high: number } {
  const spread = Z * Math.sqrt((share * (1 - share)) / trials + (Z * Z) / (4 * trials * trials))
  const centre = share + (Z * Z) / (2 * trials)
  const scale = 1 + (Z * Z) / trials
  return { low: Math.max(0, (centre - spread) / scale), high: Math.min(1, (centre + spread) / scale) }
}
