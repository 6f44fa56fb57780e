import type { Params } from '../../algorithms/algorithm.js'
import { evaluateRanking, type RankingTest } from '../../algorithms/evaluate/ranking.js'
import { ratingMetrics } from '../../algorithms/evaluate/rating.js'
import { createRandom } from '../../algorithms/math/random.js'
import { fitBiases } from '../../algorithms/recommend/biases.js'
import { algorithms } from '../../algorithms/recommend/index.js'
import type { History, Interactions, Recommender } from '../../algorithms/recommend/recommender.js'
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
]

/** Top-n recommendation by every recommender there is. */
export const topNMethods: readonly Method<TopN>[] = algorithms.map(algorithm => ({
  name: algorithm.name,
  run: ({ train, relevant, negatives }) => {
    const model = algorithm.fit(train, {}, createRandom(SEED).fork(algorithm.name))
    const counts = new Float64Array(train.itemCount)
    for (const item of train.items) counts[item]++
    const report = evaluateRanking(train.itemCount, counts, train.userCount, rankings(model, train, relevant, negatives))
    const { gini, novelty, coverage, users, ...metrics } = report
    return { ...metrics, coverage, gini, novelty, users }
  },
}))

function* rankings(
  model: Recommender,
  train: Interactions,
  relevant: TopN['relevant'],
  negatives: TopN['negatives'],
): Generator<RankingTest> {
  const histories = historiesOf(train)
  const scores = new Float64Array(train.itemCount)
  const skip = new Uint8Array(train.itemCount)
  for (const [user, items] of relevant) {
    const history = histories[user] ?? EMPTY
    model.score(history, scores)
    const candidates = negatives?.get(user)
    skip.fill(candidates ? 1 : 0)
    if (candidates) for (const item of [...candidates, ...items]) skip[item] = 0
    else for (const item of history.items) skip[item] = 1
    yield { scores, skip, relevant: items }
  }
}

const EMPTY: History = { items: new Int32Array(0), values: new Float32Array(0), times: new Float64Array(0) }

type Predict = (user: number, item: number) => number

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

function historiesOf({ userCount, users, items, values, times }: Interactions): History[] {
  const entries: number[][] = Array.from({ length: userCount }, () => [])
  for (let at = 0; at < users.length; at++) entries[users[at]].push(at)
  return entries.map(own => ({
    items: Int32Array.from(own, at => items[at]),
    values: Float32Array.from(own, at => values[at]),
    times: Float64Array.from(own, at => times[at]),
  }))
}

function meanOf(values: ArrayLike<number>): number {
  let sum = 0
  for (let at = 0; at < values.length; at++) sum += values[at]
  return values.length > 0 ? sum / values.length : 0
}
