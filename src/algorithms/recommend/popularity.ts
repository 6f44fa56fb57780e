import { parameter } from '../algorithm.js'
import { pack, unpack } from '../artifact.js'
import { topIndexes } from '../math/select.js'
import { fading } from './fading.js'
import type { RecommendAlgorithm, Recommender } from './recommender.js'

const FORMAT = 'popularity/1'

/** What everybody likes of late: Σ w · 2^(−age / halfLifeDays) per item. The baseline of recommendation; the same for every user. */
export const popularity: RecommendAlgorithm = {
  name: 'popularity',
  defaults: { halfLifeDays: 30 },
  fit: ({ itemCount, items, values, times, kind, now }, params) => {
    const halfLifeDays = parameter(params, popularity.defaults, 'halfLifeDays')
    const scores = new Float64Array(itemCount)
    for (let at = 0; at < items.length; at++) {
      // A rating counts as one vote, whatever it says.
      const weight = kind === 'explicit' ? 1 : values[at]
      scores[items[at]] += weight * fading(times[at], now, halfLifeDays)
    }
    return fromScores(scores.map(score => Math.max(0, score)))
  },
  load: artifact => fromScores(unpack(FORMAT, artifact).arrays.scores as Float64Array),
}

function fromScores(scores: Float64Array): Recommender {
  return popularityRecommender(scores, () => pack(FORMAT, { meta: {}, arrays: { scores } }))
}

/** Answers everybody with the same scores, none below 0. */
export function popularityRecommender(scores: Float64Array, save: () => Uint8Array): Recommender {
  let order: Int32Array | undefined
  return {
    itemCount: scores.length,
    score: (_history, out) => out.set(scores),
    best: ({ items: had }, count, withoutHistory) => {
      order ??= topIndexes(scores, scores.length)
      const skip = new Set(withoutHistory ? had : [])
      const items = new Int32Array(Math.min(count, order.length))
      let length = 0
      for (let place = 0; place < order.length && length < count; place++) if (!skip.has(order[place])) items[length++] = order[place]
      return { items: items.subarray(0, length), scores: valuesAt(scores, items.subarray(0, length)) }
    },
    scoreOf: (_history, items) => valuesAt(scores, items),
    predict: (_history, item) => scores[item] ?? 0,
    explain: (_history, item) => (scores[item] > 0 ? [{ kind: 'popularity', items: [], weight: scores[item] }] : []),
    similar: (item, count) => {
      const items = topIndexes(scores, count + 1)
        .filter(each => each !== item && scores[each] > 0)
        .slice(0, count)
      return { items, scores: Float32Array.from(items, each => scores[each]) }
    },
    save,
  }
}

function valuesAt(scores: Float64Array, items: Int32Array): Float64Array {
  const values = new Float64Array(items.length)
  for (let at = 0; at < items.length; at++) values[at] = scores[items[at]]
  return values
}
