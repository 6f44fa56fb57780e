import { type ClusterRule, ruleFor } from '../cluster/rule.js'
import { createRandom } from '../math/random.js'
import { everybody, type GroupingAlgorithm, kMeansGroups } from './groups.js'
import { type People, plainTableOf } from './people.js'

/** Every way to group people; the first is the baseline. */
export const algorithms: readonly GroupingAlgorithm[] = [everybody, kMeansGroups]

interface Request {
  algorithm: string
  params: Record<string, number | string | boolean>
  seed: number
  data: People
}

/** How well the groups divide people, and whether they are found again. */
export function fitAndEvaluate({ algorithm, params, seed, data }: Request): { metrics: Record<string, number>; notes: string[] } {
  const { groups, silhouette, stability, highestKey, ended } = named(algorithm).fit(data, params, createRandom(seed))
  const metrics = { silhouette, stability, clusters: groups.length, merit: silhouette * stability, highestKey }
  if (!data.before?.artifact) return { metrics, notes: [] }
  const kept = groups.filter(({ overlap }) => overlap !== null).map(({ key, overlap }) => `${key} (overlap ${overlap?.toFixed(2)})`)
  const fresh = groups.filter(({ overlap }) => overlap === null).map(({ key }) => key)
  const list = (keys: readonly string[]) => keys.join(', ') || 'none'
  return { metrics, notes: [`Clusters that go on: ${list(kept)}; new: ${list(fresh)}; ended: ${list(ended)}`] }
}

export function fitAll({ algorithm, params, seed, data }: Request): { artifact: Uint8Array } {
  return { artifact: named(algorithm).fit(data, params, createRandom(seed)).save() }
}

/** Group of each person by a saved model. */
export function assignAll({ algorithm, artifact, data }: { algorithm: string; artifact: Uint8Array; data: People }): {
  groups: Int32Array
} {
  return { groups: named(algorithm).load(artifact).assign(data) }
}

/** The best rule for one group, in what rules may ask for. */
export function ruleOf({
  algorithm,
  artifact,
  data,
  group,
}: {
  algorithm: string
  artifact: Uint8Array
  data: People
  group: number
}): ClusterRule {
  const isMember = Uint8Array.from(named(algorithm).load(artifact).assign(data), each => (each === group ? 1 : 0))
  const { table, features } = plainTableOf(data)
  return ruleFor(table, features, isMember)
}

/** How far people have moved since the model was learned. */
export function driftNow({ algorithm, artifact, data }: { algorithm: string; artifact: Uint8Array; data: People }): {
  drift: number
  /** By group; NaN where nobody is left. */
  drifts: Float64Array
} {
  const grouper = named(algorithm).load(artifact)
  return { drift: grouper.drift(data), drifts: grouper.drifts(data) }
}

function named(name: string): GroupingAlgorithm {
  const algorithm = algorithms.find(each => each.name === name)
  if (!algorithm) throw new RangeError(`There is no grouping "${name}"; there are ${algorithms.map(each => each.name).join(', ')}`)
  return algorithm
}
