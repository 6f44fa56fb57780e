import { createRandom } from '../algorithms/math/random.js'
import type { Recommender } from '../algorithms/recommend/recommender.js'
import { repeat } from '../algorithms/recommend/repeat.js'
import type { LiveModel } from '../registry/live-models.js'
import type { Visitor } from './recommendations.repository.js'

/** By the arrays of a visitor, which are the same until he does something. */
const made = new WeakMap<Int32Array, LiveModel<Recommender>>()
const NOTHING = {
  userCount: 0,
  users: new Int32Array(0),
  items: new Int32Array(0),
  values: new Float32Array(0),
  times: new Float64Array(0),
}

/** The user's own repeat frequency over all that he touched. It learns nothing from anybody else, so it serves without training or approval. */
export function ownRepeats({ products }: Pick<Visitor, 'products'>): LiveModel<Recommender> {
  const known = made.get(products)
  if (known) return known
  const keys = products.slice().sort()
  const model = repeat.fit({ ...NOTHING, itemCount: keys.length, kind: 'implicit', now: 0 }, repeat.defaults, createRandom(1))
  const indexOf = new Map(Array.from(keys, (key, index) => [key, index]))
  const live = { model, modelId: null, algorithm: repeat.name, servedBy: `${repeat.name} (the user's own)`, keys, indexOf }
  made.set(products, live)
  return live
}
