import { parameter } from '../algorithm.js'
import { Arena } from '../math/kernels.js'
import { type SparseMatrix, sparseFrom } from '../math/sparse.js'
import { createCrew } from '../math/threads.js'
import { faded } from './fading.js'
import { itemWeightsRecommender, loadItemWeights } from './item-weights.js'
import { positives } from './preference.js'
import { gramOfKnown } from './products.js'
import type { RecommendAlgorithm } from './recommender.js'

const FORMAT = 'slim/1'

/**
 * Sparse linear method (Ning and Karypis 2011): for each item j the weights w ≥ 0 of the other items that minimise ½|x_j − Xw|² + l1·Σw + ½·reg·|w|², by coordinate
 * descent on XᵀX (Friedman et al. 2010) in at most `epochs` passes, until no weight changes by more than `tolerance` of the largest;
 * score_j = Σ_{i ∈ history} w_i M_ij. Implicit weights fade by `halfLifeDays` as those of EASE do (0: not). Costs up to items³, so of a larger catalogue the `items` with the most users are learned, and the rest gets 0.
 */
export const slim: RecommendAlgorithm = {
  name: 'slim',
  defaults: { reg: 100, l1: 1, halfLifeDays: 0, epochs: 5, tolerance: 0.01, items: 6_000 },
  search: { halfLifeDays: [30, 60, 120, 240], reg: [100, 300, 600], l1: [0.5, 1, 2] },
  fit: (data, params) => {
    const value = (name: string) => parameter(params, slim.defaults, name)
    const { known, gram } = gramOfKnown(positives(faded(data, value('halfLifeDays'))), value('items'))
    const settings = { reg: Math.max(1e-3, value('reg')), l1: value('l1'), epochs: value('epochs'), tolerance: value('tolerance') }
    const weights = descend(gram, known.length, settings)
    return itemWeightsRecommender(FORMAT, {
      votes: data.kind === 'explicit',
      halfLifeDays: value('halfLifeDays'),
      matrix: spread(weights, known, data.itemCount),
    })
  },
  load: artifact => loadItemWeights(FORMAT, artifact),
}

interface Settings {
  reg: number
  l1: number
  epochs: number
  tolerance: number
}

/** Row j: the weights of the other items for item j; n × n, row-major. A SIMD kernel on all cores. */
function descend(gram: Float32Array, n: number, { reg, l1, epochs, tolerance }: Settings): Float32Array {
  const arena = new Arena()
  const crew = createCrew('slim', arena)
  const placed = arena.f32(gram.length)
  placed.set(gram)
  const out = arena.f32(n * n)
  const scratch = arena.u8(n * 8 * crew.threads)
  crew.run('slim', n, placed.byteOffset, l1, reg, epochs, tolerance, out.byteOffset, scratch.byteOffset)
  crew.close()
  return out
}

/** Row i: the items that item i speaks for, of all items. */
function spread(weights: Float32Array, known: Int32Array, itemCount: number): SparseMatrix {
  const n = known.length
  const places: number[] = []
  for (let at = 0; at < weights.length; at++) if (weights[at] > 0) places.push(at)
  return sparseFrom(itemCount, itemCount, {
    rows: Int32Array.from(places, at => known[at % n]),
    columns: Int32Array.from(places, at => known[Math.floor(at / n)]),
    values: Float64Array.from(places, at => weights[at]),
  })
}
