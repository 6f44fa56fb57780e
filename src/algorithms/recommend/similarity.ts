import type { SparseMatrix } from '../math/sparse.js'

export interface SimilaritySettings {
  /** `cosine` over all entries, absent ones being 0; `pearson` over the co-rated entries only, with their means. */
  measure: 'cosine' | 'pearson'
  /** Pairs with fewer common entries have similarity 0. */
  minimumOverlap: number
  /** Significance shrinkage: similarity · n / (n + shrinkage), n common entries (Bell and Koren 2007). 0 switches it off. */
  shrinkage: number
  /** Significance weight min(n, significance) / significance (Herlocker et al. 1999). 0 switches it off. */
  significance: number
}

/** Of equal cosines the one that more speaks for is a little larger. */
const TIE = 1e-6

/**
 * Similarities of one sparse vector to every row of a matrix, by walking the matrix's columns (inverted lists): O(entries of the columns touched).
 * Pearson: S = (NΣxy − ΣxΣy) / √((NΣx² − (Σx)²)(NΣy² − (Σy)²)), sums over common entries; 0 where the denominator is 0.
 */
export function createSimilarity(rows: SparseMatrix, columns: SparseMatrix, settings: SimilaritySettings) {
  const { measure, minimumOverlap, shrinkage, significance } = settings
  const count = rows.rows
  const isPearson = measure === 'pearson'
  const norms = isPearson ? new Float64Array(0) : rowNorms(rows)
  const common = new Int32Array(count)
  const sumXY = new Float64Array(count)
  const sumX = new Float64Array(isPearson ? count : 0)
  const sumY = new Float64Array(isPearson ? count : 0)
  const sumXX = new Float64Array(isPearson ? count : 0)
  const sumYY = new Float64Array(isPearson ? count : 0)
  const touched = new Int32Array(count)

  /** Writes the similarities into `out` (0 where there is nothing in common) and returns the rows touched; `touched.subarray` is reused. */
  return function similarities(
    entries: Int32Array,
    values: ArrayLike<number>,
    out: Float64Array,
    from = 0,
    to = entries.length,
  ): Int32Array {
    let touchedCount = 0
    let squares = 0
    for (let at = from; at < to; at++) {
      const x = values[at]
      squares += x * x
      const column = entries[at]
      for (let place = columns.offsets[column]; place < columns.offsets[column + 1]; place++) {
        const row = columns.columns[place]
        const y = columns.values[place]
        if (common[row]++ === 0) touched[touchedCount++] = row
        sumXY[row] += x * y
        if (isPearson) {
          sumX[row] += x
          sumY[row] += y
          sumXX[row] += x * x
          sumYY[row] += y * y
        }
      }
    }
    const norm = Math.sqrt(squares)
    for (let at = 0; at < touchedCount; at++) {
      const row = touched[at]
      const n = common[row]
      let similarity = 0
      if (n >= minimumOverlap) {
        if (isPearson) {
          const spread = (n * sumXX[row] - sumX[row] ** 2) * (n * sumYY[row] - sumY[row] ** 2)
          if (spread > 1e-12) similarity = (n * sumXY[row] - sumX[row] * sumY[row]) / Math.sqrt(spread)
        } else if (norm > 0 && norms[row] > 0) similarity = sumXY[row] / (norm * norms[row] + TIE)
        if (shrinkage > 0) similarity *= n / (n + shrinkage)
        if (significance > 0) similarity *= Math.min(n, significance) / significance
      }
      out[row] = similarity
      common[row] = 0
      sumXY[row] = 0
      if (isPearson) {
        sumX[row] = 0
        sumY[row] = 0
        sumXX[row] = 0
        sumYY[row] = 0
      }
    }
    return touched.subarray(0, touchedCount)
  }
}

export function rowNorms({ rows, offsets, values }: SparseMatrix): Float64Array {
  return Float64Array.from({ length: rows }, (_, row) => {
    let squares = 0
    for (let at = offsets[row]; at < offsets[row + 1]; at++) squares += values[at] * values[at]
    return Math.sqrt(squares)
  })
}
