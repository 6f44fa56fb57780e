import { Arena } from '../math/kernels.js'
import { type SparseMatrix, sparseFrom, transpose } from '../math/sparse.js'
import { createCrew } from '../math/threads.js'
import { rowNorms } from './similarity.js'

/** Users that the kernel takes at once. */
const LANES = 16

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
  const arena = new Arena()
  const crew = createCrew('cosine', arena)
  const stride = Math.ceil(userCount / LANES) * LANES
  const [own, rated] = [placed(arena, byUser), placed(arena, byItem)]
  const norms = arena.f64(userCount)
  norms.set(rowNorms(byUser))
  const similarity = arena.f32(userCount * stride)
  crew.run('similarities', userCount, stride, ...own, ...rated, norms.byteOffset, similarity.byteOffset)
  const globalMean = ratings.length > 0 ? ratings.reduce((sum, rating) => sum + rating, 0) / ratings.length : 0
  const out = arena.f64(userCount * itemCount)
  const panels = arena.f32(crew.threads * userCount * LANES)
  crew.run('predictCells', itemCount, userCount, stride, ...rated, similarity.byteOffset, panels.byteOffset, globalMean, out.byteOffset)
  crew.close()
  return out
}

/** Byte offsets of a matrix's copy in the arena, its values as float32. */
function placed(arena: Arena, { offsets, columns, values }: SparseMatrix): number[] {
  const arrays = [arena.i32(offsets.length), arena.i32(columns.length), arena.f32(values.length)]
  ;[offsets, columns, values].forEach((array, at) => {
    arrays[at].set(array)
  })
  return arrays.map(({ byteOffset }) => byteOffset)
}
