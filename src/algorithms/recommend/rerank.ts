import { type NumberArray, pack, unpack } from '../artifact.js'
import type { Random } from '../math/random.js'
import { topIndexes } from '../math/select.js'
import { holdOutLater, usersPerItem } from './hold-out.js'
import { hybrid } from './hybrid.js'
import { onceEach } from './preference.js'
import type { Evidence, History, Interactions, Ranking, RecommendAlgorithm, Recommender } from './recommender.js'
import { trending } from './trending.js'

const FORMAT = 'rerank/1'
/** Facts of a candidate, each in [0, 1] for one history. */
const FEATURES = ['blend', 'place', 'trend', 'common', 'likeness'] as const
type Feature = (typeof FEATURES)[number]
const ENOUGH_TESTS = 50
const EPOCHS = 15
const RATE = 0.1
const RIDGE = 0.01
const PAIRS = 4
const BLEND_START = 4
const LIST = 10
/** Of a list's places the first ten differ much, the rest little. */
const PLACE_SCALE = 10

interface State {
  itemCount: number
  depth: number
  first: Recommender
  trend: Float64Array
  /** log(1 + users) of each item, scaled to 1. */
  common: Float64Array
  /** null: too few tests to learn from, the blend's order stays. */
  weights: Readonly<Record<Feature, number>> | null
}

/**
 * Second stage behind the hybrid: its best `depth` items are put in a new order by a linear model of what the blend says, the place it gives, whether the item
 * rises now, how common it is, and how like the history (LambdaRank, Burges 2010; learned on a validation split that the blend has not seen).
 * Their scores span what the blend's span, so that all other items keep their order below, and what the user had stands where the blend has it.
 */
export const rerank: RecommendAlgorithm = {
  name: 'rerank',
  defaults: { depth: 100, validationUsers: 800 },
  fit: (data, params, random) => {
    const depth = Math.max(1, Number(params.depth ?? rerank.defaults.depth))
    const blendOptions = Object.fromEntries(Object.entries(params).filter(([name]) => name.includes('.') || name === 'parts'))
    const stage = (on: Interactions, weights: State['weights']): State => ({
      itemCount: on.itemCount,
      depth,
      first: hybrid.fit(on, blendOptions, random.fork('blend')),
      trend: scaled(scoresOf(trending.fit(onceEach(on), {}, random), on.itemCount)),
      common: scaled(usersPerItem(on).map(count => Math.log1p(count))),
      weights,
    })
    const most = Number(params.validationUsers ?? rerank.defaults.validationUsers)
    const { train, tests } = holdOutLater(data, 0.2, most, random.fork('second stage'))
    if (tests.length < ENOUGH_TESTS) return recommenderOf(stage(data, null))
    const early = stage(train, null)
    const examples = tests.map(({ history, relevant }) => {
      const { items, facts } = candidates(early, history)
      return { facts, labels: Uint8Array.from(items, item => (relevant.has(item) ? 1 : 0)) }
    })
    return recommenderOf(stage(data, learn(examples, random.fork('order'))))
  },
  load: artifact => {
    const { meta, arrays } = unpack(FORMAT, artifact)
    const { itemCount, depth, weights } = meta as unknown as Pick<State, 'itemCount' | 'depth' | 'weights'>
    const first = hybrid.load(arrays.first as Uint8Array)
    return recommenderOf({ itemCount, depth, weights, first, trend: arrays.trend as Float64Array, common: arrays.common as Float64Array })
  },
}

interface Candidates {
  /** Best first, as the blend has them; nothing of the history. */
  items: Int32Array
  /** Candidates × features. */
  facts: Float64Array
  /** The blend's score of the first, which counts as 1, and of the last. */
  most: number
  least: number
}

function candidates({ first, depth, trend, common, itemCount }: State, history: History): Candidates {
  const ranking = first.best ? first.best(history, depth, true) : bestOf(first, itemCount, history, depth)
  const items = ranking.items.filter((_, place) => ranking.scores[place] > 0)
  const { scores } = ranking
  const most = items.length > 0 ? scores[0] : 1
  const least = items.length > 0 ? scores[items.length - 1] : most
  const facts = new Float64Array(items.length * FEATURES.length)
  items.forEach((item, place) => {
    facts.set(
      [scores[place] / most, 1 / (1 + place / PLACE_SCALE), trend[item], common[item], likenessOf(first, history, item)],
      place * FEATURES.length,
    )
  })
  return { items, facts, most, least }
}

/** By a look at every item. */
function bestOf(first: Recommender, itemCount: number, history: History, count: number): Ranking {
  const scores = scoresOf(first, itemCount, history)
  const skip = new Uint8Array(itemCount)
  for (const item of history.items) skip[item] = 1
  const items = topIndexes(scores, count, skip)
  return { items, scores: Float64Array.from(items, item => scores[item]) }
}

/** Cosine to the newest items of the history by what they are; 0 where that is not known. */
function likenessOf({ alike }: Recommender, { items }: History, item: number): number {
  if (!alike || items.length === 0) return 0
  const newest = items.slice(-5)
  let sum = 0
  for (const other of newest) sum += other === item ? 0 : alike(other, item)
  return sum / newest.length
}

interface Example {
  facts: Float64Array
  labels: Uint8Array
}

/**
 * Weights from the blend's own order on, by LambdaRank (Burges 2010): each pair of a candidate that was taken and one that was not pulls by the logistic loss of
 * its margin times the NDCG that swapping the two would change. Learned on every other user; null where the rest does not gain more than the standard error
 * of the gain by it.
 */
function learn(examples: readonly Example[], random: Random): Record<Feature, number> | null {
  const usable = examples.filter(({ labels }) => labels.includes(1) && labels.includes(0))
  const weights = descend(
    usable.filter((_, at) => at % 2 === 0),
    random,
  )
  const gains = usable
    .filter((_, at) => at % 2 === 1)
    .map(example => ndcgOf(example, orderOf(example, weights)) - ndcgOf(example, example.labels.keys()))
  const gain = gains.reduce((sum, each) => sum + each, 0) / gains.length
  const error = Math.sqrt(gains.reduce((sum, each) => sum + (each - gain) ** 2, 0) / gains.length / gains.length)
  if (!(gain > error)) return null
  return Object.fromEntries(FEATURES.map((name, k) => [name, Number(weights[k].toFixed(4))])) as Record<Feature, number>
}

function descend(examples: readonly Example[], random: Random): Float64Array {
  const width = FEATURES.length
  const weights = Float64Array.from(FEATURES, name => (name === 'blend' ? BLEND_START : 0))
  for (let epoch = 0; epoch < EPOCHS; epoch++) {
    const rate = RATE / (1 + epoch / 5)
    for (const example of examples) {
      const { facts, labels } = example
      const ranks = new Int32Array(labels.length)
      orderOf(example, weights).forEach((at, rank) => {
        ranks[at] = rank
      })
      const rest = [...labels.keys()].filter(at => labels[at] === 0)
      const ideal = idealOf(labels)
      for (let taken = 0; taken < labels.length; taken++) {
        if (labels[taken] === 0) continue
        for (let pair = 0; pair < PAIRS; pair++) {
          const other = rest[random.below(rest.length)]
          let margin = 0
          for (let k = 0; k < width; k++) margin += weights[k] * (facts[taken * width + k] - facts[other * width + k])
          const change = Math.abs(discount(ranks[taken]) - discount(ranks[other])) / ideal
          const pull = (rate * change) / (1 + Math.exp(margin))
          for (let k = 0; k < width; k++) weights[k] += pull * (facts[taken * width + k] - facts[other * width + k])
        }
      }
    }
    // Towards the blend's own order.
    for (let k = 0; k < width; k++) weights[k] -= RIDGE * (weights[k] - (FEATURES[k] === 'blend' ? BLEND_START : 0))
  }
  return weights
}

/** Places of the candidates, best first; of equals as the blend has them. */
function orderOf({ facts, labels }: Example, weights: Float64Array): Int32Array {
  const scores = new Float64Array(labels.length)
  for (let at = 0; at < labels.length; at++)
    for (let k = 0; k < weights.length; k++) scores[at] += weights[k] * facts[at * weights.length + k]
  return topIndexes(scores, labels.length)
}

function ndcgOf({ labels }: Example, order: Iterable<number>): number {
  let sum = 0
  let rank = 0
  for (const at of order) {
    if (rank >= LIST) break
    if (labels[at] === 1) sum += discount(rank)
    rank++
  }
  return sum / idealOf(labels)
}

function idealOf(labels: Uint8Array): number {
  const taken = labels.reduce((sum, label) => sum + label, 0)
  let sum = 0
  for (let rank = 0; rank < Math.min(taken, LIST); rank++) sum += discount(rank)
  return sum
}

function discount(rank: number): number {
  return 1 / Math.log2(rank + 2)
}

function recommenderOf(state: State): Recommender {
  const { itemCount, first, weights, trend, common, depth } = state
  let last: History | undefined
  let known: Candidates & { places: Map<number, number>; lift: number; scale: number } = none()

  /** The candidates of a history, and what brings their new order to the scores that the blend's has. */
  function read(history: History) {
    if (history === last || !weights) return known
    const found = candidates(state, history)
    const sums = Float64Array.from(found.items, (_, place) => weigh(weights, found.facts, place)).sort()
    const span = sums.length > 0 ? sums[sums.length - 1] - sums[0] : 0
    const scale = span > 0 ? (found.most - found.least) / span : 0
    known = {
      ...found,
      places: new Map(Array.from(found.items, (item, place) => [item, place])),
      lift: found.least - scale * (sums[0] ?? 0),
      scale,
    }
    last = history
    return known
  }

  const scoreOf = (history: History, item: number): number | undefined => {
    const { places, facts, lift, scale } = read(history)
    const place = places.get(item)
    return place === undefined || !weights ? undefined : lift + scale * weigh(weights, facts, place)
  }

  const ofFirst = first.best && first.scoreOf ? { best: first.best, scoreOf: first.scoreOf } : undefined

  /** The candidates, and behind them the best of the first stage. */
  function best(
    history: History,
    count: number,
    withoutHistory: boolean,
    { best, scoreOf: scoreOfFirst }: NonNullable<typeof ofFirst>,
  ): Ranking {
    const candidates = read(history).items
    const behind = best(history, count + candidates.length, withoutHistory).items
    const items = Int32Array.from(new Set([...candidates, ...behind])).sort()
    const scores = scoreSome(history, items, scoreOfFirst)
    const places = topIndexes(scores, count)
    return { items: places.map(place => items[place]), scores: Float64Array.from(places, place => scores[place]) }
  }

  function scoreSome(history: History, items: Int32Array, scoreOfFirst: NonNullable<Recommender['scoreOf']>): Float64Array {
    return scoreOfFirst(history, items).map((score, place) => scoreOf(history, items[place]) ?? score)
  }

  return {
    itemCount,
    ...(ofFirst && {
      best: (history: History, count: number, withoutHistory: boolean) => best(history, count, withoutHistory, ofFirst),
      scoreOf: (history: History, items: Int32Array) => scoreSome(history, items, ofFirst.scoreOf),
    }),
    blend: first.blend,
    score: (history, out) => {
      first.score(history, out)
      for (const item of read(history).items) out[item] = scoreOf(history, item) as number
    },
    predict: (history, item) => scoreOf(history, item) ?? first.predict(history, item),
    explain: (history, item, limit = Number.POSITIVE_INFINITY) => {
      const { places, facts, lift, scale, most } = read(history)
      const place = places.get(item)
      if (place === undefined || !weights) return first.explain(history, item, limit)
      const factor = (scale * weights.blend) / most
      const evidence: Evidence[] = [
        { kind: 'rank', items: [], weight: lift, by: 'rerank' },
        ...first.explain(history, item, limit).map(each => ({ ...each, weight: factor * each.weight })),
        ...FEATURES.flatMap((name, k): Evidence[] => {
          const weight = scale * weights[name] * facts[place * FEATURES.length + k]
          if (name === 'blend' || weight === 0) return []
          return [
            { kind: name === 'likeness' ? 'content' : name === 'place' ? 'rank' : 'popularity', items: [], weight, by: `rerank: ${name}` },
          ]
        }),
      ]
      return evidence.sort((a, b) => Math.abs(b.weight) - Math.abs(a.weight)).slice(0, limit)
    },
    similar: first.similar,
    alike: first.alike,
    scoreNew: first.scoreNew,
    save: () => {
      const arrays: Record<string, NumberArray> = { first: first.save(), trend, common }
      return pack(FORMAT, { meta: { itemCount, depth, weights }, arrays })
    },
  }
}

function none() {
  return { items: new Int32Array(0), facts: new Float64Array(0), most: 1, least: 1, places: new Map<number, number>(), lift: 0, scale: 0 }
}

function weigh(weights: Readonly<Record<Feature, number>>, facts: Float64Array, place: number): number {
  return FEATURES.reduce((sum, name, k) => sum + weights[name] * facts[place * FEATURES.length + k], 0)
}

function scoresOf(model: Recommender, itemCount: number, history: History = EMPTY): Float64Array {
  const scores = new Float64Array(itemCount)
  model.score(history, scores)
  return scores
}

const EMPTY: History = { items: new Int32Array(0), values: new Float32Array(0), times: new Float64Array(0) }

function scaled(values: Float64Array): Float64Array {
  const most = values.reduce((largest, value) => Math.max(largest, value), 0)
  return most > 0 ? values.map(value => value / most) : values
}
