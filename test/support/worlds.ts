import { createRandom } from '../../src/algorithms/math/random.js'
import type { History, Interactions } from '../../src/algorithms/recommend/recommender.js'

type Row = readonly [user: number, item: number, value?: number, time?: number]

export function interactionsOf(
  userCount: number,
  itemCount: number,
  rows: readonly Row[],
  kind: Interactions['kind'] = 'implicit',
): Interactions {
  return {
    userCount,
    itemCount,
    users: Int32Array.from(rows, ([user]) => user),
    items: Int32Array.from(rows, ([, item]) => item),
    values: Float32Array.from(rows, ([, , value = 1]) => value),
    times: Float64Array.from(rows, ([, , , time = 0]) => time),
    kind,
    now: 1_000_000,
  }
}

export function historyOf(rows: readonly (readonly [item: number, value?: number])[]): History {
  return {
    items: Int32Array.from(rows, ([item]) => item),
    values: Float32Array.from(rows, ([, value = 1]) => value),
    times: new Float64Array(rows.length),
  }
}

/** Two groups of users who like two halves of the catalogue, and now and then something of the other: whoever sees it ranks the own half first. */
export function twoTastes(seed = 1): Interactions {
  const random = createRandom(seed)
  const rows: Row[] = []
  for (let user = 0; user < 80; user++) {
    const items = new Set<number>()
    while (items.size < 12) items.add((user % 2) * 20 + random.below(20))
    if (random.next() < 0.2) items.add(((user + 1) % 2) * 20 + random.below(20))
    for (const item of items) rows.push([user, item, 1, 1 + random.below(1_000_000)])
  }
  return interactionsOf(80, 40, rows)
}

export function randomRatings(seed: number, users = 12, items = 9, share = 0.5): Interactions {
  const random = createRandom(seed)
  const rows: Row[] = []
  for (let user = 0; user < users; user++)
    for (let item = 0; item < items; item++) if (random.next() < share) rows.push([user, item, 1 + random.below(5), 1])
  return interactionsOf(users, items, rows, 'explicit')
}
