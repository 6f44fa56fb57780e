import { createRandom } from '../algorithms/math/random.js'
import type { Recommender } from '../algorithms/recommend/recommender.js'
import { repeat } from '../algorithms/recommend/repeat.js'
import type { LiveModel } from '../registry/live-models.js'

const made = new WeakMap<Int32Array, LiveModel<Recommender>>()
const NOTHING = {
  userCount: 0,
  users: new Int32Array(0),
  items: new Int32Array(0),
  values: new Float32Array(0),
  times: new Float64Array(0),
}

/** The user's own repeat frequency over the items that a model knows. It learns nothing from anybody else, so it serves without training or approval. */
export function ownRepeats({ keys, indexOf }: LiveModel<Recommender>): LiveModel<Recommender> {
  const known = made.get(keys)
  if (known) return known
  const model = repeat.fit({ ...NOTHING, itemCount: keys.length, kind: 'implicit', now: 0 }, repeat.defaults, createRandom(1))
  const live = { model, modelId: null, algorithm: repeat.name, servedBy: `${repeat.name} (the user's own)`, keys, indexOf }
  made.set(keys, live)
  return live
}
