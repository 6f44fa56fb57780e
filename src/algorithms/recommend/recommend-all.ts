import { type Dense, dense, multiplyPlain, topProductsOf } from '../math/dense.js'
import { topIndexes } from '../math/select.js'
import type { SparseMatrix } from '../math/sparse.js'

export interface TopLists {
  /** Users × count, best first; −1 where a user has fewer items left. */
  items: Int32Array
  scores: Float32Array
}

/** Small enough that a batch's scores stay in the cache, large enough that the product pays. */
const BATCH = 256

/**
 * The `count` best items of every user by inner product of factors, without those of `seen` (users × items) if given; the native runtime on all cores.
 * Users × count numbers of memory beside a batch of 256 users × items.
 */
export function recommendAll(users: Dense, items: Dense, count: number, seen?: SparseMatrix): TopLists {
  const out = { items: new Int32Array(users.rows * count).fill(-1), scores: new Float32Array(users.rows * count) }
  for (let from = 0; from < users.rows; from += BATCH) {
    const to = Math.min(users.rows, from + BATCH)
    const batch = dense(to - from, users.columns, users.data.subarray(from * users.columns, to * users.columns))
    let most = 0
    if (seen) for (let user = from; user < to; user++) most = Math.max(most, seen.offsets[user + 1] - seen.offsets[user])
    // What was seen takes at most that many of the first places.
    const depth = Math.min(items.rows, count + most)
    const found = topProductsOf(batch, items, depth) ?? topPlain(batch, items, depth)
    for (let user = from; user < to; user++) {
      let length = 0
      for (let place = 0; place < depth && length < count; place++) {
        const at = (user - from) * depth + place
        const item = Number(found.items[at])
        if (seen && isSeen(seen, user, item)) continue
        out.items[user * count + length] = item
        out.scores[user * count + length++] = found.scores[at]
      }
    }
  }
  return out
}

function isSeen({ offsets, columns }: SparseMatrix, user: number, item: number): boolean {
  let low = offsets[user]
  let high = offsets[user + 1] - 1
  while (low <= high) {
    const middle = (low + high) >> 1
    if (columns[middle] === item) return true
    if (columns[middle] < item) low = middle + 1
    else high = middle - 1
  }
  return false
}

function topPlain(users: Dense, items: Dense, count: number): { items: Int32Array; scores: Float32Array } {
  const { data, columns } = multiplyPlain(users, items, { transposeB: true })
  const out = { items: new Int32Array(users.rows * count), scores: new Float32Array(users.rows * count) }
  for (let user = 0; user < users.rows; user++) {
    const scores = Float64Array.from(data.subarray(user * columns, (user + 1) * columns))
    topIndexes(scores, count).forEach((item, place) => {
      out.items[user * count + place] = item
      out.scores[user * count + place] = scores[item]
    })
  }
  return out
}
