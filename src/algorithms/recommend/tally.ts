import { topAmong } from '../math/select.js'
import type { Ranking } from './recommender.js'

/** Sums over few of many items: it is known which were touched, so that neither choosing the best nor clearing looks at all the others. */
export interface Tally {
  /** `part` must be above 0. */
  add(item: number, part: number): void
  /** The `count`-th largest sum without those of the items in `without`; 0 when there are fewer. */
  threshold(count: number, without: Int32Array): number
  /** The `count` items of highest sum without those in `without`; all sums are 0 again afterwards. */
  best(count: number, without: Int32Array): Ranking
  /** Sums of these items; all sums are 0 again afterwards. */
  of(items: Int32Array): Float64Array
  /** How many items have a sum of at least `least`. */
  countAtLeast(least: number): number
  /** Items, ascending, with a sum of at least `least`; all sums are 0 again afterwards. */
  atLeast(least: number): Int32Array
}

export function createTally(itemCount: number): Tally {
  const sums = new Float64Array(itemCount)
  const skip = new Uint8Array(itemCount)
  const touched = new Int32Array(itemCount)
  let length = 0
  const top = (count: number, without: Int32Array) => {
    for (const item of without) skip[item] = 1
    const items = topAmong(sums, count, touched, length, skip)
    for (const item of without) skip[item] = 0
    return items
  }
  const clear = () => {
    for (let place = 0; place < length; place++) sums[touched[place]] = 0
    length = 0
  }
  return {
    add: (item, part) => {
      // No part is 0 or below, so a sum of 0 was not touched yet.
      if (sums[item] === 0) touched[length++] = item
      sums[item] += part
    },
    threshold: (count, without) => {
      const items = top(count, without)
      return count > 0 && items.length === count ? sums[items[count - 1]] : 0
    },
    best: (count, without) => {
      const items = top(count, without)
      const scores = Float64Array.from(items, item => sums[item])
      clear()
      return { items, scores }
    },
    of: items => {
      const found = Float64Array.from(items, item => sums[item] ?? 0)
      clear()
      return found
    },
    countAtLeast: least => {
      let count = 0
      for (let place = 0; place < length; place++) if (sums[touched[place]] >= least) count++
      return count
    },
    atLeast: least => {
      const found = touched
        .subarray(0, length)
        .filter(item => sums[item] >= least)
        .sort()
      clear()
      return found
    },
  }
}
