import { expect, test } from '@jest/globals'
import { createRandom } from '../../src/algorithms/math/random.js'
import { cosinePredictions } from '../../src/algorithms/recommend/all-predictions.js'

test.each([
  [1, 1],
  [9, 5],
  [50, 23],
])('predictions of every cell, %i users × %i items, are those of the definition', (userCount, itemCount) => {
  const random = createRandom(userCount)
  const cells = Array.from({ length: 4 * userCount }, () => [
    random.below(userCount),
    random.below(Math.max(1, itemCount - 1)),
    1 + random.below(5),
  ])
  const [users, items] = [0, 1].map(column => Int32Array.from(cells, cell => cell[column]))
  const ratings = Float64Array.from(cells, cell => cell[2])
  const matrix = Array.from({ length: userCount }, () => new Float64Array(itemCount))
  for (const [user, item, rating] of cells) matrix[user][item] = rating
  const product = (a: Float64Array, b: Float64Array) => a.reduce((sum, value, at) => sum + value * b[at], 0)
  const cosine = (a: number, b: number) => {
    const lengths = Math.sqrt(product(matrix[a], matrix[a]) * product(matrix[b], matrix[b]))
    return a === b || lengths === 0 ? 0 : product(matrix[a], matrix[b]) / lengths
  }
  const mean = ratings.reduce((sum, rating) => sum + rating, 0) / ratings.length
  const found = cosinePredictions({ userCount, itemCount, users, items, ratings })
  expect(found.length).toBe(userCount * itemCount)
  for (let user = 0; user < userCount; user++)
    for (let item = 0; item < itemCount; item++) {
      const raters = matrix.flatMap((row, rater) => (row[item] > 0 ? [rater] : []))
      const sum = raters.reduce((total, rater) => total + cosine(user, rater) * matrix[rater][item], 0)
      const weight = raters.reduce((total, rater) => total + cosine(user, rater), 0)
      expect(found[user * itemCount + item]).toBeCloseTo(raters.length > 0 ? sum / Math.max(weight, 1e-9) : mean, 4)
    }
})
