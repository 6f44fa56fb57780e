import { parameter } from '../algorithm.js'
import { type SparseMatrix, transpose } from '../math/sparse.js'
import { itemWeightsRecommender, loadItemWeights } from './item-weights.js'
import { mostTelling, positives } from './preference.js'
import { topProducts } from './products.js'
import type { RecommendAlgorithm } from './recommender.js'

const FORMAT = 'rp3beta/1'

/**
 * Random walk of three steps from a user to items, with what everybody has turned down (Paudel et al. 2017): M_ij = Σ_u p_iu^α p_uj^α / deg_j^β; the
 * `neighbours` largest of each row, rows scaled to sum 1, then the `neighbours` largest of each column.
 */
export const rp3beta: RecommendAlgorithm = {
  name: 'rp3beta',
  defaults: { neighbours: 200, alpha: 1, beta: 0.4 },
  search: { beta: [0.3, 0.4, 0.5, 0.7] },
  fit: (data, params) => {
    const [neighbours, alpha, beta] = ['neighbours', 'alpha', 'beta'].map(name => parameter(params, rp3beta.defaults, name))
    const byUser = positives(data)
    const byItem = transpose(byUser)
    const degrees = sums(byItem)
    const scales = degrees.map(degree => (degree > 0 ? Math.max(degree, 1) ** -beta : 0))
    const walk = topProducts(steps(byItem, degrees, alpha), steps(byUser, sums(byUser), alpha), { keep: neighbours, scales })
    const totals = sums(walk)
    for (let row = 0; row < walk.rows; row++)
      for (let at = walk.offsets[row]; at < walk.offsets[row + 1]; at++) walk.values[at] /= totals[row]
    return itemWeightsRecommender(FORMAT, { votes: data.kind === 'explicit', matrix: transpose(mostTelling(transpose(walk), neighbours)) })
  },
  load: artifact => loadItemWeights(FORMAT, artifact),
}

function sums({ rows, offsets, values }: SparseMatrix): Float64Array {
  return Float64Array.from({ length: rows }, (_, row) => {
    let sum = 0
    for (let at = offsets[row]; at < offsets[row + 1]; at++) sum += values[at]
    return sum
  })
}

/** Probabilities of a step from each row, to the power of α. */
function steps(matrix: SparseMatrix, totals: Float64Array, alpha: number): SparseMatrix {
  const values = new Float64Array(matrix.values.length)
  for (let row = 0; row < matrix.rows; row++) {
    const total = Math.max(totals[row], 1)
    for (let at = matrix.offsets[row]; at < matrix.offsets[row + 1]; at++) values[at] = (matrix.values[at] / total) ** alpha
  }
  return { ...matrix, values }
}
