import type { Params } from '../../algorithms/algorithm.js'
import { evaluateRanking, type RankingTest } from '../../algorithms/evaluate/ranking.js'
import { ratingMetrics } from '../../algorithms/evaluate/rating.js'
import { createRandom } from '../../algorithms/math/random.js'
import { fitBiases } from '../../algorithms/recommend/biases.js'
import { historiesOf, usersPerItem } from '../../algorithms/recommend/hold-out.js'
import { algorithms, likeness } from '../../algorithms/recommend/index.js'
import { onceEach, onceReader, readingOnce } from '../../algorithms/recommend/preference.js'
import { fitBlend, fitFactors, fitNeighbours, type Predict } from '../../algorithms/recommend/rating.js'
import type { History, Interactions, RecommendAlgorithm, Recommender } from '../../algorithms/recommend/recommender.js'
import { tune } from '../../algorithms/recommend/tune.js'
import type { Method } from './protocol.js'

export interface RatingFold {
  train: Interactions
  test: { users: Int32Array; items: Int32Array; values: Float64Array }
  scale: readonly [number, number]
}

export interface TopN {
  train: Interactions
  /** Relevant items of each user that has some. */
  relevant: ReadonlyMap<number, ReadonlySet<number>>
  /** Items each user's relevant ones are ranked against; all unless given. */
  negatives?: ReadonlyMap<number, readonly number[]>
  /** 1 for items that may be ranked; all unless given. */
  candidates?: Uint8Array
  /** What the user had may be ranked too. */
  repeats?: boolean
  /** The same with every repeat, for a search among settings that are to rank those too; each pair is taught and read once, as of `train`. */
  repeated?: Interactions
}

const SEED = 20251124

/** Rating prediction, means over the folds. A user or item the training never saw gets what is known without it. */
export const ratingMethods: readonly Method<readonly RatingFold[]>[] = [
  {
    name: 'global-mean',
    run: folds => meanOver(folds, ({ train }) => constant(meanOf(train.values))),
  },
  {
    name: 'biases',
    run: folds =>
      meanOver(folds, ({ train }) => {
        const { mean, users, items } = fitBiases(train)
        return (user, item) => mean + (users[user] ?? 0) + (items[item] ?? 0)
      }),
  },
  { name: 'user-cf-pearson', run: folds => meanOver(folds, fold => predictor(fold, 'user-cf', { neighbours: 40 })) },
  { name: 'user-cf', run: folds => meanOver(folds, fold => predictor(fold, 'user-cf', { neighbours: 40, significance: 50 })) },
  { name: 'item-cf-pearson', run: folds => meanOver(folds, fold => predictor(fold, 'item-cf', { neighbours: 40 })) },
  { name: 'item-cf', run: folds => meanOver(folds, fold => predictor(fold, 'item-cf', { neighbours: 40, significance: 50 })) },
  { name: 'user-msd', run: folds => meanOver(folds, ({ train }) => fitNeighbours(train, { ...NEAREST, of: 'users', similarity: 'msd' })) },
  { name: 'user-baseline', run: folds => meanOver(folds, ({ train }) => fitNeighbours(train, { ...NEAREST, of: 'users' })) },
  { name: 'item-baseline', run: folds => meanOver(folds, ({ train }) => fitNeighbours(train, { ...NEAREST, of: 'items' })) },
  { name: 'svd', run: folds => meanOver(folds, ({ train }) => factors(train)) },
  {
    name: 'hybrid',
    run: folds =>
      meanOver(folds, ({ train }) => {
        const parts = [
          (data: Interactions) => fitNeighbours(data, { ...NEAREST, of: 'users' }),
          (data: Interactions) => fitNeighbours(data, { ...NEAREST, of: 'items' }),
          factors,
        ]
        return fitBlend(train, parts, createRandom(SEED).fork('blend')).predict
      }),
  },
]

const NEAREST = { similarity: 'pearson-baseline', neighbours: 40, shrinkage: 100 } as const

function factors(data: Interactions): Predict {
  return fitFactors(data, { factors: 50, epochs: 30, rate: 0.01, reg: 0.1 }, createRandom(SEED).fork('svd'))
}

export interface TopNOptions {
  /** Parameters by algorithm; what is not given is the default, or searched for. */
  settings?: Readonly<Record<string, Params>>
  /** Chooses the other parameters on a validation split of the training data; of these algorithms only, where they are named. */
  search?: boolean | readonly string[]
}

const RESAMPLES = 1_000

/** Top-n recommendation by every recommender there is. */
export function topNMethods({ settings = {}, search = false }: TopNOptions = {}): readonly Method<TopN>[] {
  return algorithms.map(algorithm => ({
    name: algorithm.name,
    run: input => {
      const random = createRandom(SEED).fork(algorithm.name)
      const startedAt = performance.now()
      const given = settings[algorithm.name] ?? {}
      const isSearched = search === true || (search !== false && search.includes(algorithm.name))
      const params = isSearched ? searched(algorithm, input, given) : given
      const searchSeconds = (performance.now() - startedAt) / 1000
      return { ...topNReport(algorithm.fit(input.train, params, random), input), ...(isSearched ? { searchSeconds } : {}) }
    },
  }))
}

/** Settings that do best at what the test asks for: where it counts what was taken again, so does the validation split. */
function searched(algorithm: RecommendAlgorithm, { train, repeats, repeated }: TopN, given: Params): Params {
  const once = onceReader(train.itemCount)
  const taughtOnce: RecommendAlgorithm = {
    ...algorithm,
    fit: (data, params, random) => readingOnce(algorithm.fit(onceEach(data), params, random), once),
  }
  return tune(repeated ? taughtOnce : algorithm, repeated ?? train, given, createRandom(SEED), { repeats }).params
}

function topNReport(model: Recommender, input: TopN): Record<string, number> {
  const { train } = input
  const options = { alike: likeness(train), resamples: RESAMPLES }
  const report = evaluateRanking(train.itemCount, usersPerItem(train), train.userCount, rankings(model, input), options)
  const { gini, novelty, coverage, users, intraListDiversity, ndcgAt10Low, ndcgAt10High, recallAt10Low, recallAt10High, ...metrics } =
    report
  const extra = { intraListDiversity, ndcgAt10Low, ndcgAt10High, recallAt10Low, recallAt10High }
  const present = Object.fromEntries(Object.entries(extra).filter(([, value]) => value !== undefined)) as Record<string, number>
  return { ...metrics, coverage, gini, novelty, ...present, users }
}

/** Means over several splits of one data set. */
export function meanOverSplits(methods: readonly Method<TopN>[]): Method<readonly TopN[]>[] {
  return methods.map(({ name, run }) => ({
    name,
    run: splits => {
      const reports = splits.map(run)
      return Object.fromEntries(Object.keys(reports[0]).map(metric => [metric, meanOf(reports.map(report => report[metric]))]))
    },
  }))
}

function* rankings(model: Recommender, { train, relevant, negatives, candidates, repeats }: TopN): Generator<RankingTest> {
  const histories = historiesOf(train)
  const scores = new Float64Array(train.itemCount)
  const skip = new Uint8Array(train.itemCount)
  for (const [user, items] of relevant) {
    const history = histories[user] ?? EMPTY
    model.score(history, scores)
    const others = negatives?.get(user)
    if (candidates) skip.set(candidates.map(each => 1 - each))
    else skip.fill(others ? 1 : 0)
    if (others) for (const item of [...others, ...items]) skip[item] = 0
    else if (!repeats) for (const item of history.items) skip[item] = 1
    yield { scores, skip, relevant: items }
  }
}

const EMPTY: History = { items: new Int32Array(0), values: new Float32Array(0), times: new Float64Array(0) }

function constant(value: number): Predict {
  return () => value
}

function meanOver(folds: readonly RatingFold[], learn: (fold: RatingFold) => Predict): Record<string, number> {
  const results = folds.map(fold => {
    const predict = learn(fold)
    const { users, items, values } = fold.test
    // Test rows user by user: a recommender remembers the last history it was asked about.
    const order = Array.from(users.keys()).sort((a, b) => users[a] - users[b])
    const predicted = new Float64Array(values.length)
    for (const at of order) predicted[at] = predict(users[at], items[at])
    return ratingMetrics(predicted, values, fold.scale)
  })
  return { rmse: meanOf(results.map(({ rmse }) => rmse)), mae: meanOf(results.map(({ mae }) => mae)) }
}

function predictor({ train }: RatingFold, name: string, params: Params): Predict {
  const algorithm = algorithms.find(each => each.name === name)
  if (!algorithm) throw new RangeError(`There is no recommender ${name}`)
  const model = algorithm.fit(train, params, createRandom(SEED))
  const histories = historiesOf(train)
  return (user, item) => model.predict(histories[user] ?? EMPTY, item)
}

function meanOf(values: ArrayLike<number>): number {
  let sum = 0
  for (let at = 0; at < values.length; at++) sum += values[at]
  return values.length > 0 ? sum / values.length : 0
}
