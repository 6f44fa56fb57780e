import { EstimateState, type Interval, type Score } from '../graphql/score.js'

const LEVEL = 0.95
const Z = 1.959963985
const FEW = 5
const ENOUGH = 20

/** Wilson's score interval of a share (1927); undefined for no cases. */
export function shareInterval(hits: number, count: number): Interval | null {
  if (count === 0) return null
  const share = hits / count
  const scale = 1 + (Z * Z) / count
  const middle = (share + (Z * Z) / (2 * count)) / scale
  const reach = (Z * Math.sqrt((share * (1 - share)) / count + (Z * Z) / (4 * count * count))) / scale
  return { low: Math.max(0, middle - reach), high: Math.min(1, middle + reach), level: LEVEL }
}

export function shareScore(hits: number, count: number): Score {
  return { value: count > 0 ? hits / count : null, interval: shareInterval(hits, count), ...trust(count) }
}

/** A mean with its normal interval, kept within [−reach, reach]. */
export function meanScore(mean: number | null, deviation: number | null, count: number, reach = 1): Score {
  return { value: mean, interval: intervalAround(mean, variance(deviation, count), reach), ...trust(count) }
}

/** The difference of two means. */
export function differenceScore(
  later: { mean: number | null; deviation: number | null; count: number },
  earlier: { mean: number | null; deviation: number | null; count: number },
): Score {
  const value = later.mean === null || earlier.mean === null ? null : later.mean - earlier.mean
  const spread = variance(later.deviation, later.count) + variance(earlier.deviation, earlier.count)
  return { value, interval: intervalAround(value, spread, 2), ...trust(Math.min(later.count, earlier.count)) }
}

function variance(deviation: number | null, count: number): number {
  return deviation === null || count < 2 ? Number.NaN : (deviation * deviation) / count
}

function intervalAround(value: number | null, spread: number, reach: number): Interval | null {
  if (value === null || Number.isNaN(spread)) return null
  const wide = Z * Math.sqrt(spread)
  return { low: Math.max(-reach, value - wide), high: Math.min(reach, value + wide), level: LEVEL }
}

function trust(sampleSize: number): Pick<Score, 'sampleSize' | 'state' | 'decisionId'> {
  const state = sampleSize < FEW ? EstimateState.INSUFFICIENT_DATA : sampleSize < ENOUGH ? EstimateState.LEARNING : EstimateState.READY
  return { sampleSize, state, decisionId: null }
}
