import { topAmong } from '../math/select.js'
import type { Ranking } from './recommender.js'

/** Sums over few of many items: it is known which were touched, so that neither choosing the best nor clearing looks at all the others. */
export interface Tally {
  /** `part` must be above 0. */
  add(item: number, part: number): void
  /** The `count` items of highest sum without those in `without`; all sums are 0 again afterwards. */
  best(count: number, without: Int32Array): Ranking
}

export function createTally(itemCount: number): Tally {
  const sums = new Float64Array(itemCount)
  const skip = new Uint8Array(itemCount)
  const touched = new Int32Array(itemCount)
  let length = 0
  return {
    add: (item, part) => {
      // No part is 0 or below, so a sum of 0 was not touched yet.
      if (sums[item] === 0) touched[length++] = item
      sums[item] += part
    },
    best: (count, without) => {
      for (const item of without) skip[item] = 1
      const items = topAmong(sums, count, touched, length, skip)
      const scores = Float64Array.from(items, item => sums[item])
      for (let place = 0; place < length; place++) sums[touched[place]] = 0
      for (const item of without) skip[item] = 0
      length = 0
      return { items, scores }
    },
  }
}
