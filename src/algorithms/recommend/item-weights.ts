import { topIndexes } from '../math/select.js'
import { type SparseMatrix, transpose } from '../math/sparse.js'
import { voteReader } from './preference.js'
import type { Evidence, History, Recommender } from './recommender.js'

export interface ItemWeights {
  /** Taught by ratings, each of which was one vote. */
  votes: boolean
  /** Row i: the items j that item i speaks for, ascending, with its weight for them. */
  matrix: SparseMatrix
}

/** A recommender of the form score_j = Σ_{i ∈ history} w_i M_ij with a sparse M. */
export function itemWeightsRecommender({ votes, matrix }: ItemWeights, save: () => Uint8Array): Recommender {
  const itemCount = matrix.rows
  const row = voteReader(itemCount, votes)
  let columns: SparseMatrix | undefined
  const parts = (given: History, item: number): Evidence[] => {
    if (item < 0 || item >= itemCount) return []
    columns ??= transpose(matrix)
    const { items, values } = row(given)
    const mine = new Map(Array.from(items, (each, at) => [each, values[at]]))
    const evidence: Evidence[] = []
    for (let at = columns.offsets[item]; at < columns.offsets[item + 1]; at++) {
      const value = mine.get(columns.columns[at])
      if (value !== undefined && columns.columns[at] !== item)
        evidence.push({ kind: 'neighbour-item', items: [columns.columns[at]], weight: value * columns.values[at] })
    }
    return evidence
  }
  return {
    itemCount,
    score: (given, out) => {
      const { items, values } = row(given)
      out.fill(0)
      for (let at = 0; at < items.length; at++) {
        for (let place = matrix.offsets[items[at]]; place < matrix.offsets[items[at] + 1]; place++)
          out[matrix.columns[place]] += values[at] * matrix.values[place]
      }
    },
    predict: (given, item) => parts(given, item).reduce((sum, { weight }) => sum + weight, 0),
    explain: (given, item, limit = Number.POSITIVE_INFINITY) =>
      parts(given, item)
        .sort((a, b) => Math.abs(b.weight) - Math.abs(a.weight))
        .slice(0, limit),
    similar: (item, count) => {
      if (item < 0 || item >= itemCount) return { items: new Int32Array(0), scores: new Float32Array(0) }
      const [from, to] = [matrix.offsets[item], matrix.offsets[item + 1]]
      const best = topIndexes(matrix.values.subarray(from, to), count + 1)
        .filter(place => matrix.columns[from + place] !== item && matrix.values[from + place] > 0)
        .slice(0, count)
      return {
        items: best.map(place => matrix.columns[from + place]),
        scores: Float32Array.from(best, place => matrix.values[from + place]),
      }
    },
    save,
  }
}
