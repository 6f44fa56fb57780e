import { type NumberArray, pack, unpack } from '../artifact.js'
import type { Random } from '../math/random.js'
import { topIndexes } from '../math/select.js'
import { holdOutLater } from './hold-out.js'
import { hybrid } from './hybrid.js'
import type { Evidence, History, Interactions, RecommendAlgorithm, Recommender } from './recommender.js'
import { trending } from './trending.js'

const FORMAT = 'rerank/1'
/** Facts of a candidate, each in [0, 1] for one history. */
const FEATURES = ['blend', 'place', 'trend', 'common', 'likeness'] as const
type Feature = (typeof FEATURES)[number]
const ENOUGH_TESTS = 50
const EPOCHS = 20
const RATE = 0.05
const RIDGE = 1e-3
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
 * rises now, how common it is, and how like the history (Burges 2010, pairwise logistic loss; learned on a validation split that the blend has not seen).
 * All other items keep their order below.
 */
export const rerank: RecommendAlgorithm = {
  name: 'rerank',
  defaults: { depth: 100, validationUsers: 1_000 },
  fit: (data, params, random) => {
    const depth = Math.max(1, Number(params.depth ?? rerank.defaults.depth))
    const blendOptions = Object.fromEntries(Object.entries(params).filter(([name]) => name.includes('.') || name === 'parts'))
    const stage = (on: Interactions, weights: State['weights']): State => ({
      itemCount: on.itemCount,
      depth,
      first: hybrid.fit(on, blendOptions, random.fork('blend')),
      trend: scaled(scoresOf(trending.fit(on, {}, random), on.itemCount)),
      common: scaled(usersOf(on).map(count => Math.log1p(count))),
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
  /** The blend's score that counts as 1. */
  most: number
}

function candidates({ first, depth, trend, common, itemCount }: State, history: History): Candidates {
  const scores = scoresOf(first, itemCount, history)
  const skip = new Uint8Array(itemCount)
  for (const item of history.items) skip[item] = 1
  const items = topIndexes(scores, depth, skip).filter(item => scores[item] > 0)
  const most = items.length > 0 ? scores[items[0]] : 1
  const facts = new Float64Array(items.length * FEATURES.length)
  items.forEach((item, place) => {
    facts.set(
      [scores[item] / most, 1 / (1 + place / PLACE_SCALE), trend[item], common[item], likenessOf(first, history, item)],
      place * FEATURES.length,
    )
  })
  return { items, facts, most }
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

/** Weights from the blend's own order on; Σ log(1 + e^(−w·(x⁺ − x⁻))) over pairs of a candidate that was taken and one drawn from those that were not. */
function learn(examples: readonly Example[], random: Random): Record<Feature, number> {
  const width = FEATURES.length
  const weights = Float64Array.from(FEATURES, name => (name === 'blend' ? 4 : 0))
  for (let epoch = 0; epoch < EPOCHS; epoch++) {
    const rate = RATE / (1 + epoch / 5)
    for (const { facts, labels } of examples) {
      const rest = [...labels.keys()].filter(at => labels[at] === 0)
      if (rest.length === 0) continue
      for (let taken = 0; taken < labels.length; taken++) {
        if (labels[taken] === 0) continue
        const other = rest[random.below(rest.length)]
        let margin = 0
        for (let k = 0; k < width; k++) margin += weights[k] * (facts[taken * width + k] - facts[other * width + k])
        const pull = 1 / (1 + Math.exp(margin))
        for (let k = 0; k < width; k++)
          weights[k] += rate * (pull * (facts[taken * width + k] - facts[other * width + k]) - RIDGE * weights[k])
      }
    }
  }
  return Object.fromEntries(FEATURES.map((name, k) => [name, Number(weights[k].toFixed(4))])) as Record<Feature, number>
}

function recommenderOf(state: State): Recommender {
  const { itemCount, first, weights, trend, common, depth } = state
  let last: History | undefined
  let known: Candidates & { places: Map<number, number>; lift: number } = none()

  /** The candidates of a history, and what lifts the worst of them above all that is no candidate. */
  function read(history: History) {
    if (history === last || !weights) return known
    const found = candidates(state, history)
    const sums = Array.from(found.items, (_, place) => weigh(weights, found.facts, place))
    known = {
      ...found,
      places: new Map(Array.from(found.items, (item, place) => [item, place])),
      lift: found.most + 1 - sums.reduce((least, sum) => Math.min(least, sum), 0),
    }
    last = history
    return known
  }

  const scoreOf = (history: History, item: number): number | undefined => {
    const { places, facts, lift } = read(history)
    const place = places.get(item)
    return place === undefined || !weights ? undefined : lift + weigh(weights, facts, place)
  }

  return {
    itemCount,
    blend: first.blend,
    score: (history, out) => {
      first.score(history, out)
      for (const item of read(history).items) out[item] = scoreOf(history, item) as number
    },
    predict: (history, item) => scoreOf(history, item) ?? first.predict(history, item),
    explain: (history, item, limit = Number.POSITIVE_INFINITY) => {
      const { places, facts, lift, most } = read(history)
      const place = places.get(item)
      if (place === undefined || !weights) return first.explain(history, item, limit)
      const factor = weights.blend / most
      const evidence: Evidence[] = [
        { kind: 'rank', items: [], weight: lift, by: 'rerank' },
        ...first.explain(history, item).map(each => ({ ...each, weight: factor * each.weight })),
        ...FEATURES.flatMap((name, k): Evidence[] => {
          const weight = weights[name] * facts[place * FEATURES.length + k]
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
  return { items: new Int32Array(0), facts: new Float64Array(0), most: 1, places: new Map<number, number>(), lift: 0 }
}

function weigh(weights: Readonly<Record<Feature, number>>, facts: Float64Array, place: number): number {
  return FEATURES.reduce((sum, name, k) => sum + weights[name] * facts[place * FEATURES.length + k], 0)
}

function usersOf({ items, itemCount }: Interactions): Float64Array {
  const counts = new Float64Array(itemCount)
  for (const item of items) counts[item]++
  return counts
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
