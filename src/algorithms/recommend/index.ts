import { evaluateRanking, type RankingReport, type RankingTest } from '../evaluate/ranking.js'
import { createRandom } from '../math/random.js'
import { content } from './content.js'
import { ease } from './ease.js'
import { chosen, historiesOf, usersPerItem } from './hold-out.js'
import { hybrid } from './hybrid.js'
import { ials } from './ials.js'
import { itemCf } from './item-cf.js'
import { popularity } from './popularity.js'
import type { BlendLevel, Interactions, RecommendAlgorithm, Recommender } from './recommender.js'
import { repeat } from './repeat.js'
import { rerank } from './rerank.js'
import { rp3beta } from './rp3beta.js'
import { slim } from './slim.js'
import { trending } from './trending.js'
import { type Trial, tune } from './tune.js'
import { userCf } from './user-cf.js'

/** Every recommender there is; the first is the baseline. A new one is one file and its name here. */
export const algorithms: readonly RecommendAlgorithm[] = [
  popularity,
  itemCf,
  userCf,
  ease,
  slim,
  ials,
  rp3beta,
  content,
  trending,
  repeat,
  hybrid,
  rerank,
]

export interface FitRequest {
  algorithm: string
  params: Record<string, number | string | boolean>
  seed: number
  data: Interactions
  /** Names of parameters to choose on a validation split of the earlier part, before measuring on the later one. */
  search?: readonly string[]
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
  const histories = historiesOf(train)
  const relevant = new Map<number, Set<number>>()
  for (let at = 0; at < test.items.length; at++) {
    const items = relevant.get(test.users[at]) ?? new Set()
    relevant.set(test.users[at], items.add(test.items[at]))
  }
  function* tests(): Generator<RankingTest> {
    const scores = new Float64Array(train.itemCount)
    const skip = new Uint8Array(train.itemCount)
    for (const [user, items] of relevant) {
      const history = histories[user]
      model.score(history, scores)
      for (const item of history.items) skip[item] = 1
      yield { scores, skip, relevant: items }
      for (const item of history.items) skip[item] = 0
    }
  }
  return evaluateRanking(train.itemCount, usersPerItem(train), train.userCount, tests(), { alike: likeness(train) })
}

/** Metrics on the later part, with the parameters that were measured; of a search also what it tried, of a hybrid how it blends. */
export function fitAndEvaluate(request: FitRequest): FitReport {
  const { train, test } = split(request.data)
  const fixed = Object.fromEntries(Object.entries(request.params).filter(([name]) => !request.search?.includes(name)))
  const tuned = request.search?.length
    ? tune(algorithmNamed(request.algorithm), train, fixed, createRandom(request.seed))
    : { params: request.params, trials: [] }
  const model = learned({ ...request, params: tuned.params, data: train })
  return {
    metrics: { ...evaluate(model, train, test) },
    params: tuned.params,
    notes: [...tuned.trials.map(trialNote), ...(model.blend ?? []).map(levelNote)],
  }
}

export interface FitReport {
  metrics: Record<string, number>
  params: Record<string, number | string | boolean>
  notes: string[]
}

function trialNote({ params, ndcgAt10 }: Trial): string {
  const shown = Object.entries(params).map(([name, value]) => `${name} ${value}`)
  return `Tried ${shown.join(', ')}: NDCG@10 ${ndcgAt10.toFixed(4)} on the validation split`
}

function levelNote({ from, weights }: BlendLevel): string {
  const shown = Object.entries(weights).filter(([, weight]) => weight > 0)
  return `Histories from ${from} items: ${shown.map(([name, weight]) => `${weight} ${name}`).join(' + ')}`
}

export function fitAll(request: FitRequest): { artifact: Uint8Array } {
  return { artifact: learned(request).save() }
}

function learned({ algorithm: name, params, seed, data }: FitRequest): Recommender {
  return algorithmNamed(name).fit(data, params, createRandom(seed).fork(name))
}

function algorithmNamed(name: string): RecommendAlgorithm {
  const algorithm = algorithms.find(each => each.name === name)
  if (!algorithm) throw new RangeError(`There is no recommender "${name}"; there are ${algorithms.map(each => each.name).join(', ')}`)
  return algorithm
}

/** How alike two items are by what they are (cosine of their content); undefined where nothing is known of them. */
export function likeness(data: Interactions): ((a: number, b: number) => number) | undefined {
  if (!data.content) return undefined
  return content.fit(data, {}, createRandom(1)).alike
}

function pairOf({ users, items, itemCount }: Interactions, at: number): number {
  return users[at] * itemCount + items[at]
}
