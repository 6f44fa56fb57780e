import { parameter } from '../algorithm.js'
import { pack, unpack } from '../artifact.js'
import { fadedHistory } from './fading.js'
import type { Evidence, History, RecommendAlgorithm, Recommender } from './recommender.js'

const FORMAT = 'repeat/1'

interface State {
  itemCount: number
  halfLifeDays: number
  now: number
}

/**
 * What the user himself takes again and again: score_j = Σ of his weights for j, each halved every `halfLifeDays` (0: never) before his newest event.
 * Nothing for what he never had; it answers "buy again", where it beats what other people's taste says.
 */
export const repeat: RecommendAlgorithm = {
  name: 'repeat',
  defaults: { halfLifeDays: 180 },
  fit: ({ itemCount, now }, params) =>
    recommenderOf({ itemCount, now, halfLifeDays: Math.max(0, parameter(params, repeat.defaults, 'halfLifeDays')) }),
  load: artifact => recommenderOf(unpack(FORMAT, artifact).meta as unknown as State),
}

function recommenderOf({ itemCount, halfLifeDays, now }: State): Recommender {
  const each = (history: History, use: (item: number, weight: number) => void) => {
    const { items, values } = fadedHistory(history, halfLifeDays)
    for (let at = 0; at < items.length; at++) {
      if (items[at] < 0 || items[at] >= itemCount || !Number.isFinite(values[at])) continue
      use(items[at], values[at])
    }
  }
  const scoreOf = (history: History, item: number): number => {
    let sum = 0
    each(history, (own, weight) => {
      if (own === item) sum += weight
    })
    return Math.max(0, sum)
  }
  return {
    itemCount,
    score: (history, out) => {
      out.fill(0)
      each(history, (item, weight) => {
        out[item] += weight
      })
      for (let item = 0; item < itemCount; item++) if (out[item] < 0) out[item] = 0
    },
    best: (history, count, withoutHistory) => {
      const sums = new Map<number, number>()
      if (!withoutHistory) each(history, (item, weight) => sums.set(item, (sums.get(item) ?? 0) + weight))
      const own = [...sums].filter(([, sum]) => sum > 0).sort(([a, x], [b, y]) => y - x || a - b)
      const best = own.slice(0, count)
      return { items: Int32Array.from(best, ([item]) => item), scores: Float64Array.from(best, ([, sum]) => sum) }
    },
    scoreOf: (history, items) => Float64Array.from(items, item => scoreOf(history, item)),
    predict: scoreOf,
    explain: (history, item): Evidence[] => {
      const weight = scoreOf(history, item)
      return weight > 0 ? [{ kind: 'repeat', items: [item], weight }] : []
    },
    similar: () => ({ items: new Int32Array(0), scores: new Float32Array(0) }),
    save: () => pack(FORMAT, { meta: { itemCount, halfLifeDays, now }, arrays: {} }),
  }
}
