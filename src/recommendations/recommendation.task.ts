import { algorithms } from '../algorithms/recommend/index.js'
import type { Interactions, Recommender } from '../algorithms/recommend/recommender.js'
import { trending } from '../algorithms/recommend/trending.js'
import type { Task } from '../registry/task.js'
import type { RecommendationsRepository } from './recommendations.repository.js'

const WINDOW_DAYS = 730

/** What to show whom, learned from the events of two years. */
export function recommendationTask(repository: RecommendationsRepository): Task<Interactions, Recommender> {
  return {
    name: 'RECOMMENDATION',
    family: 'recommend',
    algorithms,
    refreshed: [trending.name],
    primary: { metric: 'ndcgAt10', higherIsBetter: true },
    minimumRows: 100,
    load: async now => {
      const { users, products, values, times } = await repository.interactions(WINDOW_DAYS, now)
      // After the events, so that every product they name is among them.
      const { keys, content } = await repository.products()
      const items = indexed(products, keys)
      const { indexes, count } = dense(users)
      const data: Interactions = {
        userCount: count,
        itemCount: keys.length,
        users: indexes,
        items,
        values,
        times,
        kind: 'implicit',
        content,
        now: times.length > 0 ? times[times.length - 1] : now.getTime(),
      }
      const taught = new Int32Array(keys.length)
      for (const item of items) taught[item]++
      return { data, rows: items.length, from: dateAt(times, 0), to: dateAt(times, times.length - 1), keys, taught }
    },
  }
}

/** Position of each value in the ascending `keys`. */
function indexed(values: Int32Array, keys: Int32Array): Int32Array {
  const positions = new Map(Array.from(keys, (key, index) => [key, index]))
  return values.map(value => positions.get(value) as number)
}

function dense(values: Int32Array): { indexes: Int32Array; count: number } {
  const positions = new Map<number, number>()
  const indexes = values.map(value => {
    const known = positions.get(value)
    if (known !== undefined) return known
    positions.set(value, positions.size)
    return positions.size - 1
  })
  return { indexes, count: positions.size }
}

function dateAt(times: Float64Array, index: number): Date | null {
  return times.length > 0 ? new Date(times[index]) : null
}
