import { auc } from '../evaluate/classification.js'
import { decisions, denseRows, fitLinear } from '../math/linear.js'
import { createRandom } from '../math/random.js'

/** What tells the seed from everybody else: score(x) = intercept + Σ weights[j] · (log(1 + max(x[j], 0)) − means[j]), or missing[j] where x[j] is unknown. */
export interface Lookalike {
  intercept: number
  weights: Float64Array
  means: Float64Array
  missing: Float64Array
  /** Of seeds and others that were held out; 0.5 is no resemblance beyond chance. */
  auc: number
  /** At each share of the population that is taken: share of held-out seeds within it, the least score, and how alike the last one is, in [0, 1]. */
  curve: { share: number; seedShare: number; threshold: number; similarity: number }[]
}

const SHARES = [0.01, 0.02, 0.03, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1]
const HELD_OUT = 0.2

/**
 * L2-regularised logistic regression of seed against population, both classes of equal weight. `seed` and `others`: `columnCount` features a row, NaN is
 * unknown. Throws RangeError where there are fewer than 10 rows of either: of fewer nothing can be learned that is not chance.
 */
export function fitLookalike(seed: Float64Array, others: Float64Array, columnCount: number, randomSeed: number): Lookalike {
  const [seeds, rest] = [seed.length / columnCount, others.length / columnCount]
  if (seeds < 10 || rest < 10) throw new RangeError(`${seeds} seeds and ${rest} others are too few to tell apart; 10 of each are needed`)
  const rows = seeds + rest
  const at = (row: number, column: number) =>
    row < seeds ? seed[row * columnCount + column] : others[(row - seeds) * columnCount + column]
  const means = new Float64Array(columnCount)
  const scales = new Float64Array(columnCount)
  for (let column = 0; column < columnCount; column++) {
    let [known, sum, squares] = [0, 0, 0]
    for (let row = 0; row < rows; row++) {
      const value = damped(at(row, column))
      if (Number.isNaN(value)) continue
      known++
      sum += value
      squares += value * value
    }
    means[column] = known > 0 ? sum / known : 0
    const variance = known > 0 ? squares / known - means[column] ** 2 : 0
    scales[column] = variance > 1e-12 ? Math.sqrt(variance) : 0
  }
  const table = new Float64Array(rows * 2 * columnCount)
  const labels = new Uint8Array(rows)
  for (let row = 0; row < rows; row++) {
    labels[row] = row < seeds ? 1 : 0
    for (let column = 0; column < columnCount; column++) {
      const value = damped(at(row, column))
      const base = row * 2 * columnCount + 2 * column
      if (Number.isNaN(value)) table[base + 1] = 1
      else if (scales[column] > 0) table[base] = (value - means[column]) / scales[column]
    }
  }
  const random = createRandom(randomSeed)
  const held = Uint8Array.from({ length: rows }, () => (random.next() < HELD_OUT ? 1 : 0))
  const options = {
    loss: 'logistic' as const,
    cost: 0.1,
    solver: 'newton' as const,
    classWeights: 'balanced' as const,
    regulariseBias: false,
  }
  const matrix = denseRows(table, 2 * columnCount)
  const tried = fitLinear(matrix, labels, 2, { ...options, sampleWeights: held.map(each => 1 - each) })
  const triedScores = decisions(tried, matrix)
  const test = [...held.keys()].filter(row => held[row] === 1)
  const testLabels = test.map(row => labels[row])
  const isMixed = testLabels.includes(1) && testLabels.includes(0)
  const heldOutAuc = isMixed
    ? auc(
        testLabels,
        test.map(row => triedScores[row]),
      )
    : 0.5
  const whole = fitLinear(matrix, labels, 2, options)
  const scores = decisions(whole, matrix)
  const ranked = scores.slice(seeds).sort().reverse()
  const triedRanked = Float64Array.from(test.filter(row => labels[row] === 0).map(row => triedScores[row]))
    .sort()
    .reverse()
  const heldSeeds = test.filter(row => labels[row] === 1).map(row => triedScores[row])
  const cutAt = (sorted: Float64Array, share: number) => sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)]
  const curve = SHARES.map(share => {
    const threshold = cutAt(ranked, share)
    const bar = triedRanked.length > 0 ? cutAt(triedRanked, share) : Number.POSITIVE_INFINITY
    const seedShare = share === 1 ? 1 : heldSeeds.length > 0 ? heldSeeds.filter(score => score >= bar).length / heldSeeds.length : 0
    return { share, seedShare, threshold, similarity: 1 / (1 + Math.exp(-threshold)) }
  })
  const weights = new Float64Array(columnCount)
  const missing = new Float64Array(columnCount)
  for (let column = 0; column < columnCount; column++) {
    weights[column] = scales[column] > 0 ? whole.weights[2 * column] / scales[column] : 0
    missing[column] = whole.weights[2 * column + 1]
  }
  return { intercept: whole.intercepts[0], weights, means, missing, auc: heldOutAuc, curve }
}

/** Counts and money are skewed; NaN stays NaN. */
function damped(value: number): number {
  return Number.isNaN(value) ? value : Math.log1p(Math.max(value, 0))
}
