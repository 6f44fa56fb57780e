// One training on synthetic interactions, in a process of its own: node dist/test/bench/grow.js <algorithm> <interactions>; prints one line of JSON.
import type { Params } from '../../src/algorithms/algorithm.js'
import { createRandom } from '../../src/algorithms/math/random.js'
import { algorithms } from '../../src/algorithms/recommend/index.js'
import type { Interactions } from '../../src/algorithms/recommend/recommender.js'

const PER_USER = 20
/** Iterations that are measured; more cost in proportion. */
const EPOCHS = 3

const [name, size] = [process.argv[2], Number(process.argv[3])]
const algorithm = algorithms.find(each => each.name === name)
if (!algorithm || !(size > 0)) throw new Error('Usage: grow <algorithm> <interactions>')
const data = powerLaw(size)
const bounds: Record<string, Params> = { ials: { epochs: EPOCHS }, 'item-cf': { history: 200 }, 'user-cf': { raters: 100 } }
const startedAt = performance.now()
const model = algorithm.fit(data, bounds[name] ?? {}, createRandom(1))
const seconds = (performance.now() - startedAt) / 1000
if (model.itemCount !== data.itemCount) throw new Error('the model does not know all items')
process.stdout.write(JSON.stringify({ seconds, peakMegabytes: Math.round(process.resourceUsage().maxRSS / 1024) }))
process.exit(0)

/** Users' activity and items' popularity by power laws; twenty interactions a user on average, items by the square root of the interactions. */
function powerLaw(count: number): Interactions {
  const random = createRandom(1)
  const userCount = Math.ceil(count / PER_USER)
  const itemCount = Math.ceil(8 * Math.sqrt(count))
  const users = new Int32Array(count)
  const items = new Int32Array(count)
  // u^a spreads ranks so that the share of rank r falls like r^(1/a − 1).
  for (let at = 0; at < count; at++) {
    users[at] = Math.floor(userCount * random.next() ** 1.6)
    items[at] = Math.floor(itemCount * random.next() ** 2.2)
  }
  return {
    userCount,
    itemCount,
    users,
    items,
    values: new Float32Array(count).fill(1),
    times: new Float64Array(count),
    kind: 'implicit',
    now: 0,
  }
}
