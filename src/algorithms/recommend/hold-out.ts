import type { Random } from '../math/random.js'
import type { History, Interactions } from './recommender.js'

export interface HeldOut {
  train: Interactions
  /** For some users: what is known of them, and what they took that the model was not told. */
  tests: readonly Test[]
}

export interface Test {
  user: number
  history: History
  relevant: ReadonlySet<number>
}

/** The entries at these places, in this order. */
export function chosen(data: Interactions, entries: ArrayLike<number>): Interactions {
  return {
    ...data,
    users: Int32Array.from(entries, at => data.users[at]),
    items: Int32Array.from(entries, at => data.items[at]),
    values: Float32Array.from(entries, at => data.values[at]),
    times: Float64Array.from(entries, at => data.times[at]),
  }
}

/** Each user's history, in the order of the entries. */
export function historiesOf({ userCount, users, items, values, times }: Interactions): History[] {
  const starts = new Int32Array(userCount + 1)
  for (const user of users) starts[user + 1]++
  for (let user = 0; user < userCount; user++) starts[user + 1] += starts[user]
  const next = starts.slice(0, userCount)
  const sorted = { items: new Int32Array(items.length), values: new Float32Array(items.length), times: new Float64Array(items.length) }
  for (let at = 0; at < items.length; at++) {
    const place = next[users[at]]++
    sorted.items[place] = items[at]
    sorted.values[place] = values[at]
    sorted.times[place] = times[at]
  }
  return Array.from({ length: userCount }, (_, user) => ({
    items: sorted.items.subarray(starts[user], starts[user + 1]),
    values: sorted.values.subarray(starts[user], starts[user + 1]),
    times: sorted.times.subarray(starts[user], starts[user + 1]),
  }))
}

/**
 * By time: the later `share` of each user's entries is held out, by their times where those are known, else by chance. Users with fewer than two entries
 * teach only. At most `most` users are tested, drawn by chance.
 */
export function holdOutLater(data: Interactions, share: number, most: number, random: Random): HeldOut {
  const isTimed = data.times.some(time => time > 0)
  const order = byUser(data)
  const tested = new Uint8Array(data.userCount)
  for (const user of drawn(data.userCount, most, random)) tested[user] = 1
  const kept: number[] = []
  const held = new Map<number, Set<number>>()
  order.forEach((own, user) => {
    const sorted = isTimed ? own.sort((a, b) => data.times[a] - data.times[b] || a - b) : shuffled(own, random)
    const cut = tested[user] && own.length > 1 ? Math.max(1, Math.ceil(own.length * (1 - share))) : own.length
    kept.push(...sorted.slice(0, cut))
    const known = new Set(sorted.slice(0, cut).map(at => data.items[at]))
    const later = sorted.slice(cut).filter(at => !known.has(data.items[at]) && (data.kind === 'explicit' || data.values[at] > 0))
    if (later.length > 0) held.set(user, new Set(later.map(at => data.items[at])))
  })
  const train = chosen(data, Int32Array.from(kept).sort())
  const histories = historiesOf(train)
  return { train, tests: [...held].map(([user, relevant]) => ({ user, history: histories[user], relevant })) }
}

/** By user: `share` of the users teach nothing; of their entries the later `share` is to be found from the earlier ones (strong generalisation). */
export function holdOutUsers(data: Interactions, share: number, random: Random): HeldOut {
  const out = new Uint8Array(data.userCount)
  for (const user of drawn(data.userCount, Math.round(data.userCount * share), random)) out[user] = 1
  const places = Array.from(data.users.keys())
  const theirs = chosen(
    data,
    places.filter(at => out[data.users[at]]),
  )
  return {
    train: chosen(
      data,
      places.filter(at => !out[data.users[at]]),
    ),
    tests: holdOutLater(theirs, share, data.userCount, random).tests,
  }
}

function byUser({ userCount, users }: Interactions): number[][] {
  const entries: number[][] = Array.from({ length: userCount }, () => [])
  users.forEach((user, at) => {
    entries[user].push(at)
  })
  return entries
}

function drawn(count: number, most: number, random: Random): number[] {
  return shuffled(
    Array.from({ length: count }, (_, index) => index),
    random,
  ).slice(0, most)
}

function shuffled(values: number[], random: Random): number[] {
  for (let at = values.length - 1; at > 0; at--) {
    const other = random.below(at + 1)
    ;[values[at], values[other]] = [values[other], values[at]]
  }
  return values
}
