import { type Grouper, kMeansGroups } from '../algorithms/grouping/groups.js'
import { algorithms } from '../algorithms/grouping/index.js'
import type { Before, People } from '../algorithms/grouping/people.js'
import { unpackBundle } from '../registry/bundle.js'
import type { ModelRepository } from '../registry/model.repository.js'
import type { Task } from '../registry/task.js'
import { FEATURE_NAMES } from './features.js'
import type { ProfileHistory } from './history.js'

/** The features by which people are grouped, beside their tastes. */
export const GROUPED_BY = [
  'recencyDays',
  'orderDays',
  'monetary',
  'averageOrderValue',
  'tenureDays',
  'activeDays90',
  'priceLevel',
  'discountShare',
  'returnRate',
]
const PLACES = GROUPED_BY.map(name => FEATURE_NAMES.indexOf(name))
const CLUSTER = 'CLUSTER'
/** Groups are learned from people of whom so much is known. */
export const LEAST_EVENTS = 10

/** Groups of people who are alike, learned from the profiles of now; those that go on from the groups `before` keep their keys. */
export function clusterTask(history: ProfileHistory, before: () => Promise<Before | undefined>): Task<People, Grouper> {
  return {
    name: CLUSTER,
    family: 'grouping',
    algorithms,
    primary: { metric: 'merit', higherIsBetter: true },
    minimumRows: 100,
    load: async now => {
      const { from, to } = await history.span(now)
      const data = { ...(await history.people(LEAST_EVENTS)), before: await before() }
      const notes = [...(await history.leftOut()), `People of whom fewer than ${LEAST_EVENTS} events are known teach no clusters`]
      return { data, rows: data.rows, from, to, keys: Int32Array.of(data.rows), notes }
    },
  }
}

/** The groups that serve now, as those learned next should be called after them; undefined before the first. A broken artifact passes on no keys, and none is used again. */
export async function groupsBefore(models: Pick<ModelRepository, 'live' | 'artifact' | 'highest'>): Promise<Before | undefined> {
  // Models of before keys went on have only their number.
  const highest = Math.max(await models.highest(CLUSTER, 'highestKey'), await models.highest(CLUSTER, 'clusters'))
  const live = await models.live(CLUSTER)
  const stored = live?.algorithm === kMeansGroups.name ? await models.artifact(live.id) : undefined
  if (!stored?.isIntact) return highest > 0 ? { highest } : undefined
  return { artifact: unpackBundle(stored.data).artifact, highest }
}

/** A person as groups are assigned: the features that group, and the liking of the categories that a model knows. */
export function peopleOf(
  rows: readonly { features: readonly number[]; categories: readonly (readonly [string, number])[] }[],
  categories: readonly string[],
): People {
  const place = new Map(categories.map((name, index) => [name, index]))
  const people: People = {
    rows: rows.length,
    features: GROUPED_BY,
    numbers: new Float32Array(rows.length * GROUPED_BY.length),
    categories,
    liking: new Float32Array(rows.length * categories.length),
    rest: new Float32Array(rows.length),
  }
  for (const [row, { features, categories: own }] of rows.entries()) {
    for (const [column, index] of PLACES.entries()) people.numbers[row * PLACES.length + column] = features[index]
    for (const [name, weight] of own) {
      const category = place.get(name)
      if (category === undefined) people.rest[row] += weight
      else people.liking[row * categories.length + category] += weight
    }
  }
  return people
}
