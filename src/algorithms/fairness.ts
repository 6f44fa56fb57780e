import { pairwiseSum } from './math/order.js'

/** How a yes or no treats the groups of people (Barocas, Hardt and Narayanan 2023; names as in Fairlearn). */
export interface GroupRates {
  group: string
  rows: number
  /** Share that gets the yes. */
  selectionRate: number
  /** Share of the positives that gets the yes, and of the negatives; NaN without any. */
  truePositiveRate: number
  falsePositiveRate: number
  /** Share of positives among those with the yes. */
  precision: number
  /** Mean predicted probability less the rate of positives: above 0, the group is thought likelier than it is. */
  calibrationGap: number
}

export interface Fairness {
  groups: GroupRates[]
  /** Largest less smallest selection rate, and smallest over largest (the four-fifths rule asks for .8). */
  selectionRateDifference: number
  selectionRateRatio: number
  truePositiveRateDifference: number
  falsePositiveRateDifference: number
  /** The larger of the last two (equalised odds). */
  equalisedOddsDifference: number
}

/** Rates of each group at a threshold (yes where p > threshold), groups by name; groups without rows do not exist. */
export function fairness(
  labels: ArrayLike<number>,
  probabilities: ArrayLike<number>,
  groups: readonly string[],
  threshold = 0.5,
): Fairness {
  const names = [...new Set(groups)].sort()
  const found = names.map((group): GroupRates => {
    const rows = groups.flatMap((each, row) => (each === group ? [row] : []))
    const share = (chosen: number[], is: (row: number) => boolean) =>
      chosen.length > 0 ? chosen.filter(is).length / chosen.length : Number.NaN
    const isYes = (row: number) => probabilities[row] > threshold
    const isPositive = (row: number) => labels[row] === 1
    return {
      group,
      rows: rows.length,
      selectionRate: share(rows, isYes),
      truePositiveRate: share(rows.filter(isPositive), isYes),
      falsePositiveRate: share(
        rows.filter(row => !isPositive(row)),
        isYes,
      ),
      precision: share(rows.filter(isYes), isPositive),
      calibrationGap: pairwiseSum(rows.map(row => probabilities[row] - labels[row])) / rows.length,
    }
  })
  const spread = (name: 'selectionRate' | 'truePositiveRate' | 'falsePositiveRate') => {
    const values = found.map(each => each[name]).filter(value => !Number.isNaN(value))
    return values.length > 0 ? { least: Math.min(...values), most: Math.max(...values) } : { least: Number.NaN, most: Number.NaN }
  }
  const [selection, hits, alarms] = [spread('selectionRate'), spread('truePositiveRate'), spread('falsePositiveRate')]
  return {
    groups: found,
    selectionRateDifference: selection.most - selection.least,
    // Nobody selected anywhere is equal treatment.
    selectionRateRatio: selection.most === 0 ? 1 : selection.least / selection.most,
    truePositiveRateDifference: hits.most - hits.least,
    falsePositiveRateDifference: alarms.most - alarms.least,
    equalisedOddsDifference: Math.max(hits.most - hits.least, alarms.most - alarms.least),
  }
}
