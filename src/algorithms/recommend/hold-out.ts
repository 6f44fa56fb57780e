import type { Random } from '../math/random.js'
import { onceEach } from './preference.js'
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

/** How many users had each item, once each however often they had it. */
export function usersPerItem(data: Interactions): Float64Array {
  const counts = new Float64Array(data.itemCount)
  const lastUser = new Int32Array(data.itemCount).fill(-1)
  for (const [user, { items }] of historiesOf(data).entries())
    for (const item of items) {
      if (lastUser[item] !== user) counts[item]++
      lastUser[item] = user
    }
  return counts
}

/**
 * By time: from the moment on after which the latest `share` of what was new to its user came, all entries are held out, of users who were there before; where no times are known, `share` of each user's entries, by chance.
 * What a user had before is no test, unless `repeats` asks for that too. At most `most` users are tested, drawn by chance; the others' held-out entries are left out.
 */
export function holdOutLater(data: Interactions, share: number, most: number, random: Random, repeats = false): HeldOut {
  const isLater = data.times.some(time => time > 0) ? laterPart(data, share) : lotteryOf(data, share, random)
  const places = Array.from(data.users.keys())
  const train = chosen(
    data,
    places.filter(at => !isLater[at]),
  )
  const histories = historiesOf(train)
  const held = new Map<number, Set<number>>()
  for (const at of places) {
    const user = data.users[at]
    if (!isLater[at] || histories[user].items.length === 0 || !(data.kind === 'explicit' || data.values[at] > 0)) continue
    if (!repeats && histories[user].items.includes(data.items[at])) continue
    held.set(user, (held.get(user) ?? new Set()).add(data.items[at]))
  }
  const users = shuffled([...held.keys()], random).slice(0, most)
  return {
    train: { ...train, now: train.times.reduce((latest, time) => Math.max(latest, time), 0) || data.now },
    tests: users.map(user => ({ user, history: histories[user], relevant: held.get(user) as Set<number> })),
  }
}

function laterPart(data: Interactions, share: number): Uint8Array {
  const sorted = onceEach(data).times.sort()
  const cut = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * (1 - share)))]
  return Uint8Array.from(data.times, time => (time >= cut && time > sorted[0] ? 1 : 0))
}

function lotteryOf(data: Interactions, share: number, random: Random): Uint8Array {
  const isHeld = new Uint8Array(data.users.length)
  for (const own of byUser(data)) {
    const count = Math.min(own.length - 1, Math.floor(own.length * share + 0.5))
    for (const at of shuffled(own, random).slice(0, Math.max(0, count))) isHeld[at] = 1
  }
  return isHeld
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
