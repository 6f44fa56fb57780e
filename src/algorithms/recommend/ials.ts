import { parameter } from '../algorithm.js'
import { pack, unpack } from '../artifact.js'
import { choleskyOf, dense, inverseSpd, solveCholesky } from '../math/dense.js'
import { Arena, loadKernels } from '../math/kernels.js'
import type { Random } from '../math/random.js'
import { topIndexes } from '../math/select.js'
import { type SparseMatrix, transpose } from '../math/sparse.js'
import { createCrew } from '../math/threads.js'
import { positives, remembered, strongest, voteReader } from './preference.js'
import type { Evidence, History, Ranking, RecommendAlgorithm, Recommender } from './recommender.js'

const FORMAT = 'ials/1'
/** Parts in which VᵀV is summed up: enough to keep all threads busy, and the same for any number of them. */
const BLOCKS = 64
/** Items that are looked at before it is asked whether they are enough. */
const LOOKED_AT = 2_048
/** Of products in float32. */
const ROUNDING = 1e-5
/** So that a matrix of zeros has an inverse. */
const LEAST_RIDGE = 1e-9

interface Settings {
  factors: number
  reg: number
  alpha: number
  /** ν of the regularisation: 1 by frequency, 0 the same for all. */
  nu: number
}

interface State extends Settings {
  votes: boolean
  itemCount: number
  /** Items × factors, row-major. */
  items: Float32Array
  /** α₀VᵀV, factors × factors. */
  gram: Float64Array
}

/**
 * Matrix factorisation of implicit feedback by alternating least squares (Hu, Koren and Volinsky 2008) with the loss and the regularisation by frequency of
 * Rendle et al. 2022: Σ_{(u,i) ∈ S} c_ui(1 − ⟨w_u, v_i⟩)² + α₀ Σ_{u,i} ⟨w_u, v_i⟩² + λ(Σ_u (|I_u| + α₀|I|)^ν |w_u|² + Σ_i (|U_i| + α₀|U|)^ν |v_i|²).
 * Rows are solved by `steps` steps of conjugate gradients from where they were (Takács et al. 2011), preconditioned by what all rows have in common,
 * α₀VᵀV and the mean of their regularisation: two steps end as near as three without. A visitor is folded in exactly, by his history.
 */
export const ials: RecommendAlgorithm = {
  name: 'ials',
  defaults: { factors: 64, epochs: 12, reg: 0.02, alpha: 0.2, nu: 1, steps: 2, deviation: 0.1 },
  search: { reg: [0.005, 0.01, 0.02], alpha: [0.05, 0.1, 0.2] },
  fit: (data, params, random) => {
    const value = (name: string) => parameter(params, ials.defaults, name)
    const factors = Math.max(4, Math.ceil(value('factors') / 4) * 4)
    const settings = { factors, reg: value('reg'), alpha: value('alpha'), nu: value('nu') }
    const byUser = positives(data)
    const options = { ...settings, epochs: value('epochs'), steps: value('steps'), deviation: value('deviation') }
    const { items, gram } = factorise(byUser, transpose(byUser), options, random)
    return recommenderOf({ ...settings, votes: data.kind === 'explicit', itemCount: data.itemCount, items, gram })
  },
  load: artifact => {
    const { meta, arrays } = unpack(FORMAT, artifact)
    return recommenderOf({ ...(meta as unknown as State), items: arrays.items as Float32Array, gram: arrays.gram as Float64Array })
  },
}

export interface FactoriseOptions extends Settings {
  epochs: number
  steps: number
  deviation: number
  /** As many as there are cores unless given; the result is the same. */
  threads?: number
}

/** Both sides' factors (row-major float32) and α₀VᵀV, after `epochs` sweeps over users, then items. */
export function factorise(
  byUser: SparseMatrix,
  byItem: SparseMatrix,
  { factors, reg, alpha, nu, epochs, steps, deviation, threads }: FactoriseOptions,
  random: Random,
): { users: Float32Array; items: Float32Array; gram: Float64Array } {
  const arena = new Arena()
  const crew = createCrew('als', arena, threads)
  const [userCount, itemCount] = [byUser.rows, byItem.rows]
  const sides = [byUser, byItem].map(matrix => {
    const regs = frequencies(arena.f32(matrix.rows), matrix, reg, alpha * matrix.columnCount, nu)
    return {
      rows: matrix.rows,
      offsets: placed(arena.i32(matrix.offsets.length), matrix.offsets),
      columns: placed(arena.i32(matrix.columns.length), matrix.columns),
      weights: placed(arena.f32(matrix.values.length), matrix.values),
      regs,
      meanReg: regs.reduce((sum, each) => sum + each, 0) / regs.length,
      factors: arena.f32(matrix.rows * factors),
    }
  })
  const [users, items] = sides
  for (let at = 0; at < items.factors.length; at++) items.factors[at] = (random.normal() * deviation) / Math.sqrt(factors)
  const gram = arena.f32(factors * factors)
  const inverse = arena.f32(factors * factors)
  const partial = arena.f32(factors * factors * BLOCKS)
  const scratch = arena.f32(4 * factors * crew.threads)
  const gramOf = (side: typeof users) => {
    const size = Math.ceil(side.rows / BLOCKS)
    partial.fill(0)
    crew.run('gram', side.rows, side.factors.byteOffset, factors, partial.byteOffset, size)
    const sums = new Float64Array(factors * factors)
    for (let from = 0; from < partial.length; from += sums.length) for (let at = 0; at < sums.length; at++) sums[at] += partial[from + at]
    for (let k = 0; k < factors; k++) {
      for (let l = k; l < factors; l++) {
        gram[k * factors + l] = alpha * sums[k * factors + l]
        gram[l * factors + k] = gram[k * factors + l]
      }
    }
  }
  const solve = (side: typeof users, other: typeof users) => {
    gramOf(other)
    let trace = 0
    for (let k = 0; k < factors; k++) trace += gram[k * factors + k]
    const ridge = Math.max(LEAST_RIDGE, side.meanReg + (ROUNDING * trace) / factors)
    inverse.set(gram)
    for (let k = 0; k < factors; k++) inverse[k * factors + k] += ridge
    inverse.set(inverseSpd(dense(factors, factors, inverse)).data)
    crew.run(
      'solveRows',
      side.rows,
      factors,
      side.offsets.byteOffset,
      side.columns.byteOffset,
      side.weights.byteOffset,
      gram.byteOffset,
      inverse.byteOffset,
      ridge,
      side.regs.byteOffset,
      other.factors.byteOffset,
      side.factors.byteOffset,
      steps,
      scratch.byteOffset,
    )
  }
  if (userCount > 0 && itemCount > 0) {
    for (let epoch = 0; epoch < epochs; epoch++) {
      solve(users, items)
      solve(items, users)
    }
    gramOf(items)
  }
  const out = { users: users.factors.slice(), items: items.factors.slice(), gram: Float64Array.from(gram) }
  crew.close()
  return out
}

function normOf(vectors: Float32Array, start: number, factors: number): number {
  let squares = 0
  for (let k = 0; k < factors; k++) squares += vectors[start + k] ** 2
  return Math.sqrt(squares)
}

function placed<T extends Int32Array | Float32Array>(target: T, source: ArrayLike<number>): T {
  target.set(source)
  return target
}

/** λ(n + α₀N)^ν for each row. */
function frequencies(target: Float32Array, { offsets }: SparseMatrix, reg: number, all: number, nu: number): Float32Array {
  for (let row = 0; row < target.length; row++) target[row] = reg * (offsets[row + 1] - offsets[row] + all) ** nu
  return target
}

interface Als {
  addNormal(count: number, factors: number, columns: number, weights: number, items: number, gram: number): void
  scoreRows(rows: number, factors: number, x: number, y: number, out: number): void
}

function recommenderOf(state: State): Recommender {
  const { factors, reg, alpha, nu, votes, itemCount, gram } = state
  const row = voteReader(itemCount, votes)
  const arena = new Arena()
  const kernels = loadKernels<Als>('als', arena)
  const { items } = state
  const norms = Float64Array.from({ length: itemCount }, (_, item) => normOf(items, item * factors, factors))
  /** Items by the length of their vectors, the longest first; `rows` has the vectors in that order. */
  const order = Int32Array.from(norms.keys()).sort((a, b) => norms[b] - norms[a] || a - b)
  const rowOf = new Int32Array(itemCount)
  const rows = arena.f32(items.length)
  for (let at = 0; at < itemCount; at++) {
    rowOf[order[at]] = at
    rows.set(items.subarray(order[at] * factors, (order[at] + 1) * factors), at * factors)
  }
  const skip = new Uint8Array(itemCount)
  const visitor = arena.f32(factors)
  const scores = arena.f64(itemCount)
  const normal = arena.f32(factors * factors)

  /** The visitor's exact row: (α₀VᵀV + Σ c v vᵀ + reg I) w = Σ c v. */
  const foldIn = remembered(given => {
    const history = row(given)
    const vector = new Float64Array(factors)
    const ridge = Math.max(1e-9, reg * (history.items.length + alpha * itemCount) ** nu)
    for (let at = 0; at < history.items.length; at++) {
      const start = history.items[at] * factors
      const c = history.values[at]
      for (let k = 0; k < factors; k++) {
        vector[k] += c * items[start + k]
      }
    }
    const mark = arena.mark()
    const own = placed(
      arena.i32(history.items.length),
      history.items.map(item => rowOf[item]),
    )
    const weights = placed(arena.f32(history.values.length), history.values)
    normal.set(gram)
    kernels.addNormal(own.length, factors, own.byteOffset, weights.byteOffset, rows.byteOffset, normal.byteOffset)
    arena.release(mark)
    const matrix = Float64Array.from(normal)
    for (let k = 0; k < factors; k++) matrix[k * factors + k] += ridge
    const lower = choleskyOf(matrix, factors)
    return { lower, vector: solveCholesky(lower, factors, vector), items: history.items, values: history.values }
  })

  /** Each item's exact part (Hu et al. 2008, section 5): c_i v_jᵀ W v_i with W the inverse of the visitor's matrix. */
  function parts(given: History, item: number): Float64Array {
    const { lower, items: own, values } = foldIn(given)
    if (item < 0 || item >= itemCount || own.length === 0) return new Float64Array(own.length)
    const target = solveCholesky(lower, factors, Float64Array.from(items.subarray(item * factors, (item + 1) * factors)))
    return Float64Array.from(own, (each, at) => {
      let weight = 0
      for (let k = 0; k < factors; k++) weight += target[k] * items[each * factors + k]
      return values[at] * weight
    })
  }

  /** No item scores more than |w||v| (Cauchy and Schwarz): from the longest vectors on, twice as many at a time, until none of the rest can be among the best. */
  function best(given: History, count: number, withoutHistory: boolean): Ranking {
    const { vector, items: own } = foldIn(given)
    if (own.length === 0 || count < 1) return { items: new Int32Array(0), scores: new Float64Array(0) }
    visitor.set(vector)
    const reach = normOf(visitor, 0, factors) * (1 + ROUNDING)
    if (withoutHistory) for (const item of given.items) skip[rowOf[item] ?? -1] = 1
    let found: Int32Array = new Int32Array(0)
    let looked = 0
    for (let from = 0, to = Math.min(itemCount, Math.max(LOOKED_AT, 4 * count)); ; from = to, to = Math.min(itemCount, 2 * to)) {
      kernels.scoreRows(to - from, factors, visitor.byteOffset, rows.byteOffset + 4 * from * factors, scores.byteOffset + 8 * from)
      found = topIndexes(scores.subarray(0, to), count, skip)
      looked = to
      if (to === itemCount || (found.length === count && scores[found[count - 1]] > reach * norms[order[to]])) break
    }
    // Of equal scores the lower index of an item counts, not its place by length.
    const least = found.length < count ? Number.NEGATIVE_INFINITY : scores[found[count - 1]]
    const places: number[] = []
    for (let at = 0; at < looked; at++) if (scores[at] >= least && skip[at] === 0) places.push(at)
    places.sort((a, b) => scores[b] - scores[a] || order[a] - order[b])
    const best = places.slice(0, count)
    for (const item of given.items) skip[rowOf[item] ?? -1] = 0
    return { items: Int32Array.from(best, at => order[at]), scores: Float64Array.from(best, at => scores[at]) }
  }

  return {
    itemCount,
    score: (given, out) => {
      const { vector, items: own } = foldIn(given)
      if (own.length === 0) return void out.fill(0)
      visitor.set(vector)
      kernels.scoreRows(itemCount, factors, visitor.byteOffset, rows.byteOffset, scores.byteOffset)
      for (let at = 0; at < itemCount; at++) out[order[at]] = scores[at]
    },
    best,
    scoreOf: (given, wanted) => {
      const { vector, items: own } = foldIn(given)
      if (own.length === 0) return new Float64Array(wanted.length)
      visitor.set(vector)
      return Float64Array.from(wanted, item => {
        kernels.scoreRows(1, factors, visitor.byteOffset, rows.byteOffset + 4 * rowOf[item] * factors, scores.byteOffset)
        return scores[0]
      })
    },
    predict: (given, item) => {
      if (item < 0 || item >= itemCount) return 0
      const { vector } = foldIn(given)
      let sum = 0
      for (let k = 0; k < factors; k++) sum += vector[k] * items[item * factors + k]
      return sum
    },
    explain: (given, item, limit = Number.POSITIVE_INFINITY) => {
      const added = parts(given, item)
      const own = foldIn(given).items
      return Array.from(strongest(added, limit), (at): Evidence => ({ kind: 'factor', items: [own[at]], weight: added[at] }))
    },
    similar: (item, count) => {
      if (item < 0 || item >= itemCount) return { items: new Int32Array(0), scores: new Float32Array(0) }
      kernels.scoreRows(itemCount, factors, rows.byteOffset + 4 * rowOf[item] * factors, rows.byteOffset, scores.byteOffset)
      const cosines = Float64Array.from(norms, (norm, other) => {
        const score = scores[rowOf[other]]
        return score === 0 ? 0 : score / (norms[item] * norm)
      })
      const nearest = topIndexes(cosines, count + 1)
        .filter(other => other !== item && cosines[other] > 0)
        .slice(0, count)
      return { items: nearest, scores: Float32Array.from(nearest, other => cosines[other]) }
    },
    save: () => pack(FORMAT, { meta: { factors, reg, alpha, nu, votes, itemCount }, arrays: { items, gram } }),
  }
}
