import { evaluateRanking, type RankingReport, type RankingTest } from '../evaluate/ranking.js'
import { createRandom } from '../math/random.js'
import { content } from './content.js'
import { ease } from './ease.js'
import { hybrid } from './hybrid.js'
import { ials } from './ials.js'
import { itemCf } from './item-cf.js'
import { popularity } from './popularity.js'
import type { Interactions, RecommendAlgorithm, Recommender } from './recommender.js'
import { repeat } from './repeat.js'
import { rp3beta } from './rp3beta.js'
import { trending } from './trending.js'
import { userCf } from './user-cf.js'

/** Every recommender there is; the first is the baseline. A new one is one file and its name here. */
export const algorithms: readonly RecommendAlgorithm[] = [
  popularity,
  itemCf,
  userCf,
  ease,
  ials,
  rp3beta,
  content,
  trending,
  repeat,
  hybrid,
]

export interface FitRequest {
  algorithm: string
  params: Record<string, number | string | boolean>
  seed: number
  data: Interactions
}

const TEST_SHARE = 0.2

/** The later fifth of the entries, by time, tests what was learned from the earlier ones; pairs that were there before are no test. */
export function split(data: Interactions): { train: Interactions; test: Interactions } {
  const order = Array.from(data.items.keys()).sort((a, b) => data.times[a] - data.times[b] || a - b)
  const cut = Math.floor(order.length * (1 - TEST_SHARE))
  const known = new Set(order.slice(0, cut).map(at => pairOf(data, at)))
  const cutTime = order.length > 0 ? data.times[order[Math.max(0, cut - 1)]] : data.now
  return {
    train: { ...chosen(data, order.slice(0, cut)), now: cutTime > 0 ? cutTime : data.now },
    test: chosen(
      data,
      order.slice(cut).filter(at => !known.has(pairOf(data, at))),
    ),
  }
}

/** Full ranking of everything the user has not had, against what he took later. */
export function evaluate(model: Recommender, train: Interactions, test: Interactions): RankingReport {
  const histories = byUser(train)
  const relevant = new Map<number, Set<number>>()
  for (let at = 0; at < test.items.length; at++) {
    const items = relevant.get(test.users[at]) ?? new Set()
    relevant.set(test.users[at], items.add(test.items[at]))
  }
  const counts = new Float64Array(train.itemCount)
  for (const item of train.items) counts[item]++
  function* tests(): Generator<RankingTest> {
    const scores = new Float64Array(train.itemCount)
    const skip = new Uint8Array(train.itemCount)
    for (const [user, items] of relevant) {
      const history = historyOf(train, histories[user])
      model.score(history, scores)
      for (const item of history.items) skip[item] = 1
      yield { scores, skip, relevant: items }
      for (const item of history.items) skip[item] = 0
    }
  }
  return evaluateRanking(train.itemCount, counts, train.userCount, tests())
}

export function fitAndEvaluate(request: FitRequest): { metrics: Record<string, number> } {
  const { train, test } = split(request.data)
  return { metrics: { ...evaluate(learned({ ...request, data: train }), train, test) } }
}

export function fitAll(request: FitRequest): { artifact: Uint8Array } {
  return { artifact: learned(request).save() }
}

function learned({ algorithm: name, params, seed, data }: FitRequest): Recommender {
  const algorithm = algorithms.find(each => each.name === name)
  if (!algorithm) throw new RangeError(`There is no recommender "${name}"; there are ${algorithms.map(each => each.name).join(', ')}`)
  return algorithm.fit(data, params, createRandom(seed).fork(name))
}

function chosen(data: Interactions, entries: readonly number[]): Interactions {
  return {
    ...data,
    users: Int32Array.from(entries, at => data.users[at]),
    items: Int32Array.from(entries, at => data.items[at]),
    values: Float32Array.from(entries, at => data.values[at]),
    times: Float64Array.from(entries, at => data.times[at]),
  }
}

function byUser({ userCount, users }: Interactions): number[][] {
  const entries: number[][] = Array.from({ length: userCount }, () => [])
  users.forEach((user, at) => {
    entries[user].push(at)
  })
  return entries
}

function historyOf(data: Interactions, entries: readonly number[]) {
  return {
    items: Int32Array.from(entries, at => data.items[at]),
    values: Float32Array.from(entries, at => data.values[at]),
    times: Float64Array.from(entries, at => data.times[at]),
  }
}

function pairOf({ users, items, itemCount }: Interactions, at: number): number {
  return users[at] * itemCount + items[at]
}
