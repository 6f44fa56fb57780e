import { Arena } from '../math/kernels.js'
import { topIndexes } from '../math/select.js'
import { type SparseMatrix, transpose } from '../math/sparse.js'
import { createCrew } from '../math/threads.js'
import type { SimilaritySettings } from './similarity.js'

/** Rows of a sparse matrix in the memory that kernels and all threads see. */
interface Placed {
  offsets: Int32Array
  columns: Int32Array
  values: Float64Array
}

export interface TopOptions {
  /** Largest positive entries that are kept of each row. */
  keep: number
  /** Cosine: norms of the rows of A and of the columns of B, and how similarities shrink. */
  cosine?: { rows: Float64Array; columns: Float64Array } & Pick<SimilaritySettings, 'minimumOverlap' | 'shrinkage' | 'significance'>
  /** Otherwise each column of the product is multiplied by its scale. */
  scales?: Float64Array
}

/** The `keep` largest positive entries of each row of A·B off the diagonal, columns ascending; a SIMD kernel on all cores (Gustavson 1978). */
export function topProducts(a: SparseMatrix, b: SparseMatrix, options: TopOptions): SparseMatrix {
  const { counts, columns, values, keep } = run(a, b, options, false)
  const offsets = new Int32Array(a.rows + 1)
  for (let row = 0; row < a.rows; row++) offsets[row + 1] = offsets[row] + counts[row]
  const out = {
    rows: a.rows,
    columnCount: b.columnCount,
    offsets,
    columns: new Int32Array(offsets[a.rows]),
    values: new Float64Array(offsets[a.rows]),
  }
  for (let row = 0; row < a.rows; row++) {
    out.columns.set(columns.subarray(row * keep, row * keep + counts[row]), offsets[row])
    out.values.set(values.subarray(row * keep, row * keep + counts[row]), offsets[row])
  }
  return out
}

/** Only the `keep`-th largest entry of each row; 0 where there are fewer. */
export function productThresholds(a: SparseMatrix, b: SparseMatrix, options: TopOptions): Float64Array {
  return run(a, b, options, true).values
}

/** Kept entries are written `keep` a row; in a matrix of more rows than that has room for (4 GiB of arena), fewer neighbours are kept of each. */
const MOST_KEPT = 60_000_000

function run(a: SparseMatrix, b: SparseMatrix, { keep: wanted, cosine, scales }: TopOptions, thresholds: boolean) {
  const room = thresholds ? wanted : Math.floor(MOST_KEPT / Math.max(1, a.rows))
  const keep = Math.max(1, Math.min(wanted, room, b.columnCount))
  const arena = new Arena()
  const crew = createCrew('sparse', arena)
  const width = b.columnCount
  const [pa, pb] = [place(arena, a), place(arena, b)]
  const rowNorms = placed(arena, cosine?.rows ?? new Float64Array(0))
  const columnNorms = placed(arena, cosine?.columns ?? scales ?? new Float64Array(width).fill(1))
  const counts = arena.i32(a.rows)
  const columns = arena.i32(thresholds ? 0 : a.rows * keep)
  const values = arena.f64(thresholds ? a.rows : a.rows * keep)
  const scratchBytes = Math.ceil((width * 20 + keep * 12 + 64) / 16) * 16
  const scratch = arena.u8(scratchBytes * crew.threads)
  const { minimumOverlap = 0, shrinkage = 0, significance = 0 } = cosine ?? {}
  crew.run(
    'topProducts',
    a.rows,
    width,
    pa.offsets.byteOffset,
    pa.columns.byteOffset,
    pa.values.byteOffset,
    pb.offsets.byteOffset,
    pb.columns.byteOffset,
    pb.values.byteOffset,
    rowNorms.byteOffset,
    columnNorms.byteOffset,
    cosine ? 0 : 1,
    minimumOverlap,
    shrinkage,
    significance,
    keep,
    counts.byteOffset,
    thresholds ? 0 : columns.byteOffset,
    values.byteOffset,
    scratch.byteOffset,
    scratchBytes,
  )
  const out = { counts: counts.slice(), columns: columns.slice(), values: values.slice(), keep }
  crew.close()
  return out
}

/** Dense float32 A·Aᵀ-like product of sparse rows with a symmetric result: row-major, n × n, both triangles. */
export function gramOf(a: SparseMatrix, b: SparseMatrix): Float32Array {
  const n = a.rows
  const arena = new Arena()
  const crew = createCrew('sparse', arena)
  const [pa, pb] = [place(arena, a), place(arena, b)]
  const out = arena.f32(n * n)
  crew.run(
    'gram',
    n,
    pa.offsets.byteOffset,
    pa.columns.byteOffset,
    pa.values.byteOffset,
    pb.offsets.byteOffset,
    pb.columns.byteOffset,
    pb.values.byteOffset,
    out.byteOffset,
  )
  const full = out.slice()
  crew.close()
  const TILE = 64
  for (let from = 0; from < n; from += TILE) {
    for (let start = from; start < n; start += TILE) {
      for (let i = from; i < Math.min(n, from + TILE); i++)
        for (let j = Math.max(i + 1, start); j < Math.min(n, start + TILE); j++) full[j * n + i] = full[i * n + j]
    }
  }
  return full
}

/** XᵀX of users × items, of the `most` items with the most users (of those with any), which are `known`, ascending; n × n, row-major. */
export function gramOfKnown(byUser: SparseMatrix, most: number): { known: Int32Array; gram: Float32Array } {
  const byItem = transpose(byUser)
  const known = wellKnown(byItem, Math.max(1, most))
  const chosen = known.length === byItem.rows ? byItem : rowsOf(byItem, known)
  return { known, gram: gramOf(chosen, transpose(chosen)) }
}

/** Items with at least one user, the `most` with the most users; ascending. */
function wellKnown({ rows, offsets }: SparseMatrix, most: number): Int32Array {
  const counts = Float64Array.from({ length: rows }, (_, item) => offsets[item + 1] - offsets[item] || Number.NaN)
  return topIndexes(counts, most).sort()
}

function rowsOf({ columnCount, offsets, columns, values }: SparseMatrix, rows: Int32Array): SparseMatrix {
  const chosen = new Int32Array(rows.length + 1)
  rows.forEach((row, at) => {
    chosen[at + 1] = chosen[at] + offsets[row + 1] - offsets[row]
  })
  const out = {
    rows: rows.length,
    columnCount,
    offsets: chosen,
    columns: new Int32Array(chosen[rows.length]),
    values: new Float64Array(chosen[rows.length]),
  }
  rows.forEach((row, at) => {
    out.columns.set(columns.subarray(offsets[row], offsets[row + 1]), chosen[at])
    out.values.set(values.subarray(offsets[row], offsets[row + 1]), chosen[at])
  })
  return out
}

/** Pearson correlations of all pairs of rows over their common columns, float32 row-major; `b` is `a` transposed. */
export function pearsonOf(a: SparseMatrix, b: SparseMatrix): Float32Array {
  const arena = new Arena()
  const crew = createCrew('sparse', arena)
  const [pa, pb] = [place(arena, a), place(arena, b)]
  const out = arena.f32(a.rows * a.rows)
  const scratch = arena.u8(a.rows * 48 * crew.threads)
  crew.run(
    'pearson',
    a.rows,
    pa.offsets.byteOffset,
    pa.columns.byteOffset,
    pa.values.byteOffset,
    pb.offsets.byteOffset,
    pb.columns.byteOffset,
    pb.values.byteOffset,
    out.byteOffset,
    scratch.byteOffset,
  )
  const found = out.slice()
  crew.close()
  return found
}

function place(arena: Arena, { offsets, columns, values }: SparseMatrix): Placed {
  const copy = { offsets: arena.i32(offsets.length), columns: arena.i32(columns.length), values: arena.f64(values.length) }
  copy.offsets.set(offsets)
  copy.columns.set(columns)
  copy.values.set(values)
  return copy
}

function placed(arena: Arena, values: Float64Array): Float64Array {
  const copy = arena.f64(values.length)
  copy.set(values)
  return copy
}
