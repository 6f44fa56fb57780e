import { topIndexes } from '../algorithms/math/select.js'
import type { History, Recommender } from '../algorithms/recommend/recommender.js'
import type { Live } from './candidates.js'
import type { Visitor } from './recommendations.repository.js'

/** Places among a model's items, best first, with their scores. */
export interface Ranked {
  indexes: Int32Array
  scores: Float64Array
}

const EMPTY: History = { items: new Int32Array(0), values: new Float32Array(0), times: new Float64Array(0) }

/**
 * Asks models, and remembers what they say of a history for as long as both are there: who did nothing new since is answered without asking again. A visitor is
 * the same as long as the arrays of what he did are (see `RecommendationsRepository`).
 */
export class Ranker {
  private scores = new Float64Array(0)
  private skip = new Uint8Array(0)
  private readonly histories = new WeakMap<Live, WeakMap<Int32Array, History>>()
  private readonly rankings = new WeakMap<Live, WeakMap<History, Map<string, Ranked>>>()

  /** What the visitor touched, in the model's own item indexes; products the model does not know are left out. */
  historyOf(model: Live, visitor: Visitor | null): History {
    if (!visitor) return EMPTY
    const known = within(this.histories, model, () => new WeakMap<Int32Array, History>())
    return within(known, visitor.products, () => historyOf(model, visitor))
  }

  /** The `depth` best; of `only` these products all that the model knows. Runs without a pause, so the buffers can be shared by all requests. */
  rank(model: Live, history: History, excludeSeen: boolean, depth: number, only?: ReadonlySet<number>): Ranked {
    if (only) return this.ranking(model, history, excludeSeen, depth, only)
    const rankings = within(
      within(this.rankings, model, () => new WeakMap<History, Map<string, Ranked>>()),
      history,
      () => new Map<string, Ranked>(),
    )
    return within(rankings, `${excludeSeen} ${depth}`, () => this.ranking(model, history, excludeSeen, depth))
  }

  private ranking(model: Live, history: History, excludeSeen: boolean, depth: number, only?: ReadonlySet<number>): Ranked {
    if (model.model.best && !only) {
      const { items, scores } = model.model.best(history, depth, excludeSeen)
      return { indexes: items, scores }
    }
    if (model.model.scoreOf && only) return rankingOf(model, history, excludeSeen, only, model.model.scoreOf)
    if (this.scores.length !== model.keys.length) {
      this.scores = new Float64Array(model.keys.length)
      this.skip = new Uint8Array(model.keys.length)
    }
    model.model.score(history, this.scores)
    if (excludeSeen) for (const item of history.items) this.skip[item] = 1
    const indexes = only
      ? Int32Array.from(
          [...only]
            .flatMap(key => model.indexOf.get(key) ?? [])
            .filter(index => this.skip[index] === 0)
            .sort((a, b) => this.scores[b] - this.scores[a] || a - b),
        )
      : topIndexes(this.scores, depth, this.skip)
    for (const item of history.items) this.skip[item] = 0
    return { indexes, scores: Float64Array.from(indexes, index => this.scores[index]) }
  }
}

/** Of few products without a look at all others. */
function rankingOf(
  { indexOf }: Live,
  history: History,
  excludeSeen: boolean,
  only: ReadonlySet<number>,
  scoreOf: NonNullable<Recommender['scoreOf']>,
): Ranked {
  const seen = new Set(excludeSeen ? history.items : [])
  const items = Int32Array.from(only, key => indexOf.get(key) ?? -1)
    .filter(index => index >= 0 && !seen.has(index))
    .sort()
  const scores = scoreOf(history, items)
  const places = topIndexes(scores, items.length)
  return { indexes: places.map(place => items[place]), scores: Float64Array.from(places, place => scores[place]) }
}

interface Known<Key, Value> {
  get(key: Key): Value | undefined
  set(key: Key, value: Value): unknown
}

function within<Key, Value>(known: Known<Key, Value>, key: Key, make: () => Value): Value {
  const found = known.get(key)
  if (found !== undefined) return found
  const made = make()
  known.set(key, made)
  return made
}

function historyOf({ indexOf }: Live, { products, weights, times }: Visitor): History {
  const items = new Int32Array(products.length)
  const values = new Float32Array(products.length)
  const moments = new Float64Array(products.length)
  let length = 0
  for (let at = 0; at < products.length; at++) {
    const index = indexOf.get(products[at])
    if (index === undefined) continue
    items[length] = index
    values[length] = weights[at]
    moments[length++] = times[at]
  }
  return { items: items.subarray(0, length), values: values.subarray(0, length), times: moments.subarray(0, length) }
}
