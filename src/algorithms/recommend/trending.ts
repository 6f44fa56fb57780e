import { parameter } from '../algorithm.js'
import { pack, unpack } from '../artifact.js'
import { popularityRecommender } from './popularity.js'
import type { RecommendAlgorithm } from './recommender.js'

const FORMAT = 'trending/1'
const DAY_MS = 86_400_000

/**
 * What rises now: events of the last `days` beyond what the `days` · `windows` before them let expect, in standard deviations of a Poisson count:
 * z = (n − e) / √(e + 1), at least 0. The same for every user. Without times nothing rises.
 */
export const trending: RecommendAlgorithm = {
  name: 'trending',
  defaults: { days: 7, windows: 4 },
  fit: ({ itemCount, items, values, times, kind, now }, params) => {
    const span = Math.max(1e-3, parameter(params, trending.defaults, 'days')) * DAY_MS
    const windows = Math.max(1, parameter(params, trending.defaults, 'windows'))
    const recent = new Float64Array(itemCount)
    const before = new Float64Array(itemCount)
    for (let at = 0; at < items.length; at++) {
      const age = now - times[at]
      const weight = kind === 'explicit' ? 1 : Math.max(0, values[at])
      if (!(times[at] > 0) || age < 0 || age > span * (windows + 1)) continue
      if (age <= span) recent[items[at]] += weight
      else before[items[at]] += weight / windows
    }
    return fromScores(recent.map((count, item) => Math.max(0, (count - before[item]) / Math.sqrt(before[item] + 1))))
  },
  load: artifact => fromScores(unpack(FORMAT, artifact).arrays.scores as Float64Array),
}

function fromScores(scores: Float64Array) {
  return popularityRecommender(scores, () => pack(FORMAT, { meta: {}, arrays: { scores } }))
}
