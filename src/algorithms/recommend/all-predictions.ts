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
  // Item by item: its raters' rows of the similarity matrix are added up, so memory is walked in order.
  const sums = new Float64Array(userCount)
  const totals = new Float64Array(userCount)
  for (let item = 0; item < itemCount; item++) {
    const [from, to] = [byItem.offsets[item], byItem.offsets[item + 1]]
    if (from === to) {
      for (let user = 0; user < userCount; user++) predictions[user * itemCount + item] = globalMean
      continue
    }
    sums.fill(0)
    totals.fill(0)
    for (let at = from; at < to; at++) {
      const row = byItem.columns[at] * userCount
      const rating = byItem.values[at]
      for (let user = 0; user < userCount; user++) {
        const s = similarity[row + user]
        sums[user] += s * rating
        totals[user] += s
      }
    }
    for (let user = 0; user < userCount; user++) predictions[user * itemCount + item] = sums[user] / Math.max(totals[user], 1e-9)
  }
  return predictions
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
