import { createRandom } from '../math/random.js'
import { topIndexes } from '../math/select.js'

export interface RankingMetrics {
  /** |L ∩ R| / k */
  precisionAt10: number
  /** |L ∩ R| / |R| */
  recallAt10: number
  /** DCG = Σ rel / log₂(rank + 1), over the ideal of min(k, |R|) hits. */
  ndcgAt10: number
  /** The same over the ideal of |R| hits. */
  ndcgFullAt10: number
  hitRateAt10: number
  mapAt10: number
  mrrAt10: number
}

const NAMES: readonly (keyof RankingMetrics)[] = [
  'precisionAt10',
  'recallAt10',
  'ndcgAt10',
  'ndcgFullAt10',
  'hitRateAt10',
  'mapAt10',
  'mrrAt10',
]
const K = 10

/** Ranking metrics of one list of at most ten items against what was relevant (not empty). */
export function listMetrics(list: ArrayLike<number>, relevant: ReadonlySet<number>): RankingMetrics {
  let hits = 0
  let dcg = 0
  let precisionSum = 0
  let first = 0
  for (let place = 0; place < Math.min(K, list.length); place++) {
    if (!relevant.has(list[place])) continue
    hits++
    dcg += 1 / Math.log2(place + 2)
    precisionSum += hits / (place + 1)
    first ||= place + 1
  }
  return {
    precisionAt10: hits / K,
    recallAt10: hits / relevant.size,
    ndcgAt10: dcg / idealDcg(Math.min(K, relevant.size)),
    ndcgFullAt10: dcg / idealDcg(relevant.size),
    hitRateAt10: hits > 0 ? 1 : 0,
    mapAt10: precisionSum / Math.min(K, relevant.size),
    mrrAt10: first > 0 ? 1 / first : 0,
  }
}

export interface RankingTest {
  /** Scores of all items for this user. */
  scores: Float64Array
  /** 1 for items that may not be ranked (the user's history). */
  skip: Uint8Array
  relevant: ReadonlySet<number>
}

export interface RankingReport extends RankingMetrics {
  users: number
  /** Share of the catalogue that is in somebody's list. */
  coverage: number
  /** How unevenly lists share the catalogue: 0 evenly, 1 one item only (Gini). */
  gini: number
  /** Mean of −log₂ (share of users who had the item), over the lists. */
  novelty: number
  /** Mean of 1 − likeness over the pairs of a list, over the lists; absent where nothing is known of the items. */
  intraListDiversity?: number
  /** 95 % intervals by bootstrap over users; absent where there is no user. */
  ndcgAt10Low?: number
  ndcgAt10High?: number
  recallAt10Low?: number
  recallAt10High?: number
}

export interface RankingOptions {
  /** How alike two items are, in [0, 1]. */
  alike?: (a: number, b: number) => number
  /** Bootstrap resamples; 0 for none. */
  resamples?: number
}

/** Means over users with at least one relevant item; full ranking, ties by item index ascending. `popularity` counts training users per item. */
export function evaluateRanking(
  itemCount: number,
  popularity: ArrayLike<number>,
  trainingUsers: number,
  tests: Iterable<RankingTest>,
  { alike, resamples = 0 }: RankingOptions = {},
): RankingReport {
  const sums = Object.fromEntries(NAMES.map(name => [name, 0])) as unknown as RankingMetrics
  const shown = new Float64Array(itemCount)
  let users = 0
  let novelty = 0
  let places = 0
  let diversity = 0
  let lists = 0
  const perUser = { ndcgAt10: [] as number[], recallAt10: [] as number[] }
  for (const { scores, skip, relevant } of tests) {
    if (relevant.size === 0) continue
    const list = topIndexes(scores, K, skip)
    const metrics = listMetrics(list, relevant)
    for (const name of NAMES) sums[name] += metrics[name]
    for (const item of list) {
      shown[item]++
      novelty -= Math.log2(Math.max(1, popularity[item]) / Math.max(1, trainingUsers))
      places++
    }
    if (alike && list.length > 1) {
      diversity += 1 - meanLikeness(list, alike)
      lists++
    }
    perUser.ndcgAt10.push(metrics.ndcgAt10)
    perUser.recallAt10.push(metrics.recallAt10)
    users++
  }
  const means = Object.fromEntries(NAMES.map(name => [name, users > 0 ? sums[name] / users : 0])) as unknown as RankingMetrics
  return {
    ...means,
    users,
    coverage: itemCount > 0 ? shown.filter(count => count > 0).length / itemCount : 0,
    gini: gini(shown),
    novelty: places > 0 ? novelty / places : 0,
    ...(lists > 0 ? { intraListDiversity: diversity / lists } : {}),
    ...(resamples > 0 && users > 0 ? intervals(perUser, resamples) : {}),
  }
}

function meanLikeness(list: Int32Array, alike: (a: number, b: number) => number): number {
  let sum = 0
  for (let a = 0; a < list.length; a++) for (let b = a + 1; b < list.length; b++) sum += alike(list[a], list[b])
  return sum / ((list.length * (list.length - 1)) / 2)
}

const BOOTSTRAP_SEED = 20251124

function intervals({ ndcgAt10, recallAt10 }: { ndcgAt10: number[]; recallAt10: number[] }, resamples: number) {
  const [ndcgAt10Low, ndcgAt10High] = bootstrap(ndcgAt10, resamples)
  const [recallAt10Low, recallAt10High] = bootstrap(recallAt10, resamples)
  return { ndcgAt10Low, ndcgAt10High, recallAt10Low, recallAt10High }
}

/** 95 % percentile interval of the mean by resampling with a fixed seed (Efron 1979). `values` is not empty. */
export function bootstrap(values: readonly number[], resamples: number): [low: number, high: number] {
  const random = createRandom(BOOTSTRAP_SEED)
  const means = Float64Array.from({ length: resamples }, () => {
    let sum = 0
    for (let at = 0; at < values.length; at++) sum += values[random.below(values.length)]
    return sum / values.length
  }).sort()
  return [means[Math.floor(0.025 * (resamples - 1))], means[Math.ceil(0.975 * (resamples - 1))]]
}

export function gini(counts: Float64Array): number {
  const sorted = counts.slice().sort()
  const total = sorted.reduce((sum, count) => sum + count, 0)
  if (total === 0) return 0
  const weighted = sorted.reduce((sum, count, index) => sum + (index + 1) * count, 0)
  return (2 * weighted) / (sorted.length * total) - (sorted.length + 1) / sorted.length
}

const ideal: number[] = [0]

/** DCG of a list that begins with `hits` relevant items. */
export function idealDcg(hits: number): number {
  while (ideal.length <= hits) ideal.push(ideal[ideal.length - 1] + 1 / Math.log2(ideal.length + 1))
  return ideal[hits]
}
