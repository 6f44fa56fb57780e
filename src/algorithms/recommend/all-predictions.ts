import { sparseFrom, transpose } from '../math/sparse.js'

interface Ratings {
  userCount: number
  itemCount: number
  users: Int32Array
  items: Int32Array
  ratings: Float64Array
}

/**
 * User-based prediction of every cell, users × items, row by row: the mean of those who rated the item, weighted by cosine similarity (absent
 * ratings are 0 for the similarity, the user himself does not count): p_ui = Σ_v s_uv r_vi / Σ_{v rated i} s_uv. Items that nobody rated get the global mean.
 */
export function cosinePredictions({ userCount, itemCount, users, items, ratings }: Ratings): Float64Array {
  const byUser = sparseFrom(userCount, itemCount, { rows: users, columns: items, values: ratings }, 'last')
  const byItem = transpose(byUser)
  const similarity = similarities(byUser, byItem)
  const globalMean = ratings.length > 0 ? ratings.reduce((sum, rating) => sum + rating, 0) / ratings.length : 0
  const predictions = new Float64Array(userCount * itemCount)
  // Item by item: its raters' rows of the similarity matrix are added up, so memory is walked in order. Raters of equal rating are added together
  // first, eight at a time, and multiplied once: an addition per cell is all that is left.
  const sums = new Float64Array(userCount)
  const totals = new Float64Array(userCount)
  const part = new Float64Array(userCount)
  for (let item = 0; item < itemCount; item++) {
    const [from, to] = [byItem.offsets[item], byItem.offsets[item + 1]]
    if (from === to) {
      for (let user = 0; user < userCount; user++) predictions[user * itemCount + item] = globalMean
      continue
    }
    sums.fill(0)
    totals.fill(0)
    const order = byItem.values.subarray(from, to).slice().sort()
    for (let start = 0; start < order.length; ) {
      const rating = order[start]
      let end = start
      while (end < order.length && order[end] === rating) end++
      const raters: number[] = []
      for (let at = from; at < to; at++) if (byItem.values[at] === rating) raters.push(byItem.columns[at] * userCount)
      addRows(similarity, raters, part)
      for (let user = 0; user < userCount; user++) {
        sums[user] += rating * part[user]
        totals[user] += part[user]
      }
      start = end
    }
    for (let user = 0; user < userCount; user++) predictions[user * itemCount + item] = sums[user] / Math.max(totals[user], 1e-9)
  }
  return predictions
}

/** Writes the sum of the rows that start at `starts` into `out`. */
function addRows(matrix: Float64Array, starts: readonly number[], out: Float64Array) {
  const width = out.length
  out.fill(0)
  let at = 0
  for (; at + 8 <= starts.length; at += 8) {
    const [a, b, c, d, e, f, g, h] = [
      starts[at],
      starts[at + 1],
      starts[at + 2],
      starts[at + 3],
      starts[at + 4],
      starts[at + 5],
      starts[at + 6],
      starts[at + 7],
    ]
    for (let x = 0; x < width; x++) {
      out[x] +=
        matrix[a + x] + matrix[b + x] + (matrix[c + x] + matrix[d + x]) + (matrix[e + x] + matrix[f + x] + (matrix[g + x] + matrix[h + x]))
    }
  }
  for (; at < starts.length; at++) {
    const row = starts[at]
    for (let x = 0; x < width; x++) out[x] += matrix[row + x]
  }
}

type Sparse = ReturnType<typeof sparseFrom>

/** Dense cosine similarities, zero on the diagonal, by inverted lists; symmetric, so each pair is computed once. */
function similarities(byUser: Sparse, byItem: Sparse): Float64Array {
  const count = byUser.rows
  const products = new Float64Array(count * count)
  for (let item = 0; item < byItem.rows; item++) {
    for (let a = byItem.offsets[item]; a < byItem.offsets[item + 1]; a++) {
      const row = byItem.columns[a] * count
      const value = byItem.values[a]
      for (let b = a + 1; b < byItem.offsets[item + 1]; b++) products[row + byItem.columns[b]] += value * byItem.values[b]
    }
  }
  const norms = Float64Array.from({ length: count }, (_, user) => {
    let squares = 0
    for (let at = byUser.offsets[user]; at < byUser.offsets[user + 1]; at++) squares += byUser.values[at] ** 2
    return Math.sqrt(squares)
  })
  for (let a = 0; a < count; a++) {
    for (let b = a + 1; b < count; b++) {
      const product = products[a * count + b]
      const value = product === 0 ? 0 : product / (norms[a] * norms[b])
      products[a * count + b] = value
      products[b * count + a] = value
    }
  }
  return products
}
