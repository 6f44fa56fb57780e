import { ascending, pairwiseSum } from '../math/order.js'
import { createRandom } from '../math/random.js'

/** Area under the ROC curve: (Σ ranks of positives − n₁(n₁+1)/2) / (n₁n₀), mean ranks on ties. NaN when one class is missing. */
export function auc(labels: ArrayLike<number>, scores: ArrayLike<number>): number {
  return aucOfSample(labels, scores)(() => 1)
}

/** AUC of samples of the same rows, drawn with multiplicities: sorted once, each sample takes O(n). */
export function aucOfSample(labels: ArrayLike<number>, scores: ArrayLike<number>): (times: (row: number) => number) => number {
  const order = ascending(scores)
  return times => {
    let positives = 0
    let negatives = 0
    let rankSum = 0
    for (let from = 0; from < order.length; ) {
      let to = from
      let [tiedPositives, tiedNegatives] = [0, 0]
      // NaN equals nothing, itself included, so it ranks last, alone.
      do {
        const row = order[to++]
        if (labels[row] === 1) tiedPositives += times(row)
        else tiedNegatives += times(row)
      } while (to < order.length && scores[order[to]] === scores[order[from]])
      const before = positives + negatives
      rankSum += tiedPositives * ((2 * before + 1 + tiedPositives + tiedNegatives) / 2)
      positives += tiedPositives
      negatives += tiedNegatives
      from = to
    }
    return (rankSum - (positives * (positives + 1)) / 2) / (positives * negatives)
  }
}

/** Mean natural log-loss, probabilities clipped at 1e-15. */
export function logLoss(labels: ArrayLike<number>, probabilities: ArrayLike<number>): number {
  return pairwiseSum(logLosses(labels, probabilities)) / labels.length
}

/** Log-loss of each row. */
export function logLosses(labels: ArrayLike<number>, probabilities: ArrayLike<number>): Float64Array {
  return Float64Array.from({ length: labels.length }, (_, row) => {
    const p = Math.max(1e-15, Math.min(1 - 1e-15, probabilities[row]))
    return -(labels[row] * Math.log(p) + (1 - labels[row]) * Math.log(1 - p))
  })
}

/** Log-loss over the entropy of the base rate (He et al. 2014): below 1 is better than knowing the base rate only. NaN when one class is missing. */
export function normalisedEntropy(labels: ArrayLike<number>, probabilities: ArrayLike<number>): number {
  const rate = pairwiseSum(labels) / labels.length
  return logLoss(labels, probabilities) / -(rate * Math.log(rate) + (1 - rate) * Math.log(1 - rate))
}

export interface ReliabilityBin {
  count: number
  /** Mean predicted probability. */
  predicted: number
  /** Share of positives. */
  observed: number
  /** The least and the largest prediction of the bin. */
  from: number
  to: number
}

/** Rows sorted by p (stable) and cut into `bins` bins of equal mass, the first ones larger by one where they do not divide evenly; empty bins left out. */
export function reliability(labels: ArrayLike<number>, probabilities: ArrayLike<number>, bins = 10): ReliabilityBin[] {
  const order = ascending(probabilities)
  const [size, larger] = [Math.floor(order.length / bins), order.length % bins]
  const found: ReliabilityBin[] = []
  for (let bin = 0, from = 0; bin < bins; bin++) {
    const to = from + size + (bin < larger ? 1 : 0)
    const rows = order.subarray(from, to)
    from = to
    if (rows.length === 0) continue
    found.push({
      count: rows.length,
      predicted: pairwiseSum(Float64Array.from(rows, row => probabilities[row])) / rows.length,
      observed: pairwiseSum(Float64Array.from(rows, row => labels[row])) / rows.length,
      from: probabilities[rows[0]],
      to: probabilities[rows[rows.length - 1]],
    })
  }
  return found
}

/** Expected calibration error: sorted by p (stable), `bins` bins of equal mass, Σ (n_b / n)·|ȳ_b − p̄_b|. */
export function ece(labels: ArrayLike<number>, probabilities: ArrayLike<number>, bins = 10): number {
  return reliability(labels, probabilities, bins).reduce(
    (sum, { count, observed, predicted }) => sum + (count / labels.length) * Math.abs(observed - predicted),
    0,
  )
}

/** Share of rows whose predicted class is the true one. */
export function accuracy(actual: ArrayLike<number>, predicted: ArrayLike<number>): number {
  let right = 0
  for (let row = 0; row < actual.length; row++) if (actual[row] === predicted[row]) right++
  return right / actual.length
}

/** Mean of the F1 of every class that is true or predicted anywhere; a class that is never right has F1 0. */
export function macroF1(actual: ArrayLike<number>, predicted: ArrayLike<number>): number {
  const scores = classScores(actual, predicted)
  return scores.length > 0 ? scores.reduce((sum, { f1 }) => sum + f1, 0) / scores.length : Number.NaN
}

export interface ClassScore {
  label: number
  precision: number
  recall: number
  f1: number
  /** Rows that truly are of the class. */
  support: number
}

/** Precision, recall and F1 of each class, by label ascending; 0 where nothing was predicted or true. */
export function classScores(actual: ArrayLike<number>, predicted: ArrayLike<number>): ClassScore[] {
  const counts = new Map<number, { hits: number; support: number; predicted: number }>()
  const of = (label: number) => {
    const known = counts.get(label) ?? { hits: 0, support: 0, predicted: 0 }
    counts.set(label, known)
    return known
  }
  for (let row = 0; row < actual.length; row++) {
    of(actual[row]).support++
    of(predicted[row]).predicted++
    if (actual[row] === predicted[row]) of(actual[row]).hits++
  }
  return [...counts]
    .sort(([a], [b]) => a - b)
    .map(([label, { hits, support, predicted }]) => ({
      label,
      precision: predicted > 0 ? hits / predicted : 0,
      recall: support > 0 ? hits / support : 0,
      f1: (2 * hits) / (support + predicted),
      support,
    }))
}

/** Rate of positives among the best `share` of rows by score (ties by row ascending), over the rate among all. */
export function lift(labels: ArrayLike<number>, scores: ArrayLike<number>, share = 0.1): number {
  const chosen = ascending(Float64Array.from({ length: scores.length }, (_, row) => -scores[row])).subarray(
    0,
    Math.floor(scores.length * share),
  )
  const rate = pairwiseSum(labels) / labels.length
  return pairwiseSum(Float64Array.from(chosen, row => labels[row])) / chosen.length / rate
}

export interface Interval {
  low: number
  high: number
}

const RESAMPLES = 1_000

/**
 * Percentile interval of a statistic by bootstrap: `resamples` samples of `count` rows drawn with replacement; `statistic` gets how often each row was
 * drawn. Samples on which it is not finite are left out; NaN when none is left.
 */
export function bootstrap(
  count: number,
  statistic: (times: (row: number) => number) => number,
  { seed = 1, resamples = RESAMPLES, level = 0.95 } = {},
): Interval {
  const random = createRandom(seed)
  const drawn = new Uint32Array(count)
  const times = (row: number) => drawn[row]
  const values: number[] = []
  for (let sample = 0; sample < resamples; sample++) {
    drawn.fill(0)
    for (let draw = 0; draw < count; draw++) drawn[random.below(count)]++
    const value = statistic(times)
    if (Number.isFinite(value)) values.push(value)
  }
  values.sort((a, b) => a - b)
  const at = (share: number) => (values.length > 0 ? values[Math.round(share * (values.length - 1))] : Number.NaN)
  return { low: at((1 - level) / 2), high: at((1 + level) / 2) }
}

/** The mean of `values` over samples, for `bootstrap`. */
export function meanOfSample(values: ArrayLike<number>): (times: (row: number) => number) => number {
  return times => {
    let sum = 0
    let count = 0
    for (let row = 0; row < values.length; row++) {
      sum += times(row) * values[row]
      count += times(row)
    }
    return sum / count
  }
}

/** What every table of a binary classifier shows; decisions at probability .5. */
export function binaryReport(labels: ArrayLike<number>, probabilities: ArrayLike<number>) {
  const predicted = Uint8Array.from({ length: labels.length }, (_, row) => (probabilities[row] > 0.5 ? 1 : 0))
  return {
    auc: auc(labels, probabilities),
    logLoss: logLoss(labels, probabilities),
    ne: normalisedEntropy(labels, probabilities),
    ece: ece(labels, probabilities),
    accuracy: accuracy(labels, predicted),
    macroF1: macroF1(labels, predicted),
    lift10: lift(labels, probabilities),
  }
}
