import { Arena, loadKernels } from './kernels.js'
import type { SparseMatrix } from './sparse.js'

/** Sparse rows whose values may also be float32; a SparseMatrix is one. Columns of a row need not be ascending. */
export type Rows = Omit<SparseMatrix, 'values'> & { values: Float64Array | Float32Array }

export interface LinearOptions {
  /** log(1 + e^−yz), or max(0, 1 − yz)² (L2-loss support vector machine). */
  loss: 'logistic' | 'squared-hinge'
  /** C: the weight of the loss against ½‖w‖²; the inverse of a ridge penalty. */
  cost: number
  /** Factors of C by class index; 1 each unless given. `balanced` gives rows / (classes · count). */
  classWeights?: ArrayLike<number> | 'balanced'
  /** Factors of C by row; rows of weight 0 are left out. */
  sampleWeights?: ArrayLike<number>
  /** Value of the constant column that makes the intercept; 0 for none. It is regularised like any other, the less the larger its value. */
  bias?: number
  /** False frees the intercept from regularisation; the Newton solver only. */
  regulariseBias?: boolean
  /**
   * `dual`: coordinate descent, best where columns outnumber rows and rows are of length about 1 (text). `newton`: conjugate gradients with a line search,
   * best for few, correlated columns (tables). The former where columns outnumber rows, unless given.
   */
  solver?: 'dual' | 'newton'
  /** dual: largest (difference of) dual gradients; newton: ‖gradient‖ against that at 0. 0.01 and 1e-4 unless given. */
  tolerance?: number
  /** Passes over the rows (dual, 300 unless given) or Newton steps (100). */
  epochs?: number
  seed?: number
}

/** One plane for two classes (class 1 lies above), else one a class. */
export interface LinearModel {
  classCount: number
  columnCount: number
  /** Plane by plane, columnCount weights each. */
  weights: Float64Array
  /** One a plane: what is added to w·x, the bias multiplied in. */
  intercepts: Float64Array
  /** Passes or steps of each plane; the limit where it did not converge. */
  epochs: Int32Array
}

/**
 * Minimises ½‖w‖² + C Σ cᵢ·loss(yᵢ, w·xᵢ + b), one plane against the rest for more than two classes (liblinear's problems, Fan et al. 2008). The same
 * input gives the same bits. Throws `RangeError` on labels outside 0 … classCount − 1 and on values that are not finite.
 */
export function fitLinear(rows: Rows, labels: ArrayLike<number>, classCount: number, options: LinearOptions): LinearModel {
  const { bias = 1, seed = 1, cost } = options
  if (!(cost > 0)) throw new RangeError(`cost is ${cost}; it must be above 0`)
  const solver = options.solver ?? (rows.columnCount > rows.rows && options.regulariseBias !== false ? 'dual' : 'newton')
  if (solver === 'dual' && options.regulariseBias === false) throw new RangeError('The dual solver cannot free the intercept')
  const costs = costsOf(labels, rows.rows, classCount, options)
  return inArena(arena => {
    const problem = new Problem(arena, rows, bias)
    const planes = classCount <= 2 ? 1 : classCount
    const weights = new Float64Array(planes * rows.columnCount)
    const intercepts = new Float64Array(planes)
    const epochs = new Int32Array(planes)
    for (let plane = 0; plane < planes; plane++) {
      const positive = planes === 1 ? 1 : plane
      for (let row = 0; row < rows.rows; row++) problem.y[row] = labels[row] === positive ? 1 : -1
      problem.cost.set(costs)
      epochs[plane] =
        solver === 'dual'
          ? problem.descend(options.loss, options.tolerance ?? 0.01, options.epochs ?? 300, seed)
          : problem.newton(options.loss, options.tolerance ?? 1e-4, options.epochs ?? 100, options.regulariseBias !== false)
      weights.set(problem.w.subarray(0, rows.columnCount), plane * rows.columnCount)
      intercepts[plane] = bias * problem.w[rows.columnCount]
    }
    return { classCount, columnCount: rows.columnCount, weights, intercepts, epochs }
  })
}

/** w·x + b of every row, plane by plane within a row: out[row · planes + plane]. */
export function decisions({ weights, intercepts, columnCount }: LinearModel, { rows, offsets, columns, values }: Rows): Float64Array {
  const planes = intercepts.length
  const out = new Float64Array(rows * planes)
  for (let plane = 0; plane < planes; plane++) {
    const base = plane * columnCount
    for (let row = 0; row < rows; row++) {
      let sum = intercepts[plane]
      for (let at = offsets[row]; at < offsets[row + 1]; at++) sum += values[at] * weights[base + columns[at]]
      out[row * planes + plane] = sum
    }
  }
  return out
}

/** Sparse rows of a dense, row-major table. */
export function denseRows(table: Float64Array | Float32Array, columnCount: number): Rows {
  const rows = columnCount > 0 ? table.length / columnCount : 0
  if (!Number.isInteger(rows)) throw new RangeError(`${table.length} values are no whole number of rows of ${columnCount}`)
  const offsets = new Int32Array(rows + 1)
  for (let row = 0; row < rows; row++) {
    let count = 0
    for (let at = row * columnCount; at < (row + 1) * columnCount; at++) if (table[at] !== 0) count++
    offsets[row + 1] = offsets[row] + count
  }
  const columns = new Int32Array(offsets[rows])
  const values = new Float64Array(offsets[rows])
  for (let row = 0, place = 0; row < rows; row++) {
    for (let column = 0; column < columnCount; column++) {
      const value = table[row * columnCount + column]
      if (value === 0) continue
      columns[place] = column
      values[place++] = value
    }
  }
  return { rows, columnCount, offsets, columns, values }
}

function costsOf(labels: ArrayLike<number>, rows: number, classCount: number, { cost, classWeights, sampleWeights }: LinearOptions) {
  const counts = new Float64Array(classCount)
  for (let row = 0; row < rows; row++) {
    if (!(labels[row] >= 0 && labels[row] < classCount && Number.isInteger(labels[row])))
      throw new RangeError(`The label of row ${row} is ${labels[row]}; it must be a whole number from 0 to ${classCount - 1}`)
    counts[labels[row]]++
  }
  const ofClass = (label: number) =>
    classWeights === 'balanced' ? rows / (classCount * Math.max(1, counts[label])) : (classWeights?.[label] ?? 1)
  return Float64Array.from({ length: rows }, (_, row) => {
    const weight = (sampleWeights?.[row] ?? 1) * ofClass(labels[row])
    if (!(weight >= 0 && Number.isFinite(weight))) throw new RangeError(`The weight of row ${row} is ${weight}`)
    return cost * weight
  })
}

interface Kernels {
  squaredNorms(offsets: number, values: number, rows: number, bias: number, out: number): void
  products(...rows: [...Pointers, w: number, out: number]): void
  addRows(...rows: [...Pointers, factors: number, out: number]): void
  addCurvature(...rows: [...Pointers, factors: number, v: number, out: number]): void
  addSquares(...rows: [...Pointers, factors: number, out: number]): void
  dualSquaredHinge(...rows: DualArguments): number
  dualLogistic(...rows: DualArguments): number
}
type Pointers = [offsets: number, columns: number, values: number, rows: number, columnCount: number, bias: number]
type DualArguments = [
  ...Pointers,
  y: number,
  cost: number,
  norms: number,
  alpha: number,
  order: number,
  w: number,
  tolerance: number,
  passes: number,
  seed: number,
]

const LARGEST_KEPT = 64 * 2 ** 20
let kept: Arena | undefined

/** Lends the thread's arena; one that grew large is not kept for ever. */
function inArena<Result>(work: (arena: Arena) => Result): Result {
  const arena = kept ?? new Arena()
  kept = undefined
  try {
    return work(arena)
  } finally {
    arena.release()
    if (arena.memory.buffer.byteLength <= LARGEST_KEPT) kept = arena
  }
}

/** The rows of one fit in linear memory; rows without weight stay out of it. */
class Problem {
  readonly y: Float64Array
  readonly cost: Float64Array
  readonly w: Float64Array
  private readonly kernels: Kernels
  private readonly norms: Float64Array
  private readonly order: Int32Array
  private readonly alpha: Float64Array
  private readonly pointers: Pointers

  constructor(
    private readonly arena: Arena,
    private readonly data: Rows,
    private readonly bias: number,
  ) {
    const { rows, columnCount } = data
    const size = data.offsets[rows]
    const [offsets, columns, values] = [arena.i32(rows + 1), arena.i32(size), arena.f32(size)]
    offsets.set(data.offsets.subarray(0, rows + 1))
    columns.set(data.columns.subarray(0, size))
    values.set(data.values.subarray(0, size))
    this.pointers = [offsets.byteOffset, columns.byteOffset, values.byteOffset, rows, columnCount, bias]
    this.kernels = loadKernels<Kernels>('linear', arena)
    this.y = arena.f64(rows)
    this.cost = arena.f64(rows)
    this.norms = arena.f64(rows)
    this.alpha = arena.f64(2 * rows)
    this.order = arena.i32(rows)
    this.w = arena.f64(columnCount + 1)
    this.kernels.squaredNorms(offsets.byteOffset, values.byteOffset, rows, bias, this.norms.byteOffset)
    for (let row = 0; row < rows; row++)
      if (!Number.isFinite(this.norms[row])) throw new RangeError(`Row ${row} holds a value that is not finite in single precision`)
  }

  descend(loss: LinearOptions['loss'], tolerance: number, epochs: number, seed: number): number {
    const { rows } = this.data
    this.w.fill(0)
    this.alpha.fill(0)
    // Without weight a row has no dual variable; the smallest of weights stands for it.
    for (let row = 0; row < rows; row++) {
      this.order[row] = row
      if (this.cost[row] === 0) this.cost[row] = 1e-300
    }
    const solve = loss === 'logistic' ? this.kernels.dualLogistic : this.kernels.dualSquaredHinge
    const { y, cost, norms, alpha, order, w } = this
    return solve(
      ...this.pointers,
      y.byteOffset,
      cost.byteOffset,
      norms.byteOffset,
      alpha.byteOffset,
      order.byteOffset,
      w.byteOffset,
      tolerance,
      epochs,
      seed,
    )
  }

  /** Newton steps by preconditioned conjugate gradients with a backtracking line search (Hsia et al. 2017; Galli and Lin 2021). */
  newton(loss: LinearOptions['loss'], tolerance: number, epochs: number, regulariseBias: boolean): number {
    const { arena, data, kernels, pointers, w, y, cost } = this
    const mark = arena.mark()
    const size = data.columnCount + 1
    const [z, zStep, factors] = [arena.f64(data.rows), arena.f64(data.rows), arena.f64(data.rows)]
    const [gradient, step, residual, direction, curved, diagonal] = Array.from({ length: 6 }, () => arena.f64(size))
    // A bias that is free, or absent, has no penalty; of rows of one class only, a free one would run away.
    const isMixed = y.includes(1) && y.includes(-1)
    const biasPenalty = regulariseBias || !isMixed || this.bias === 0 ? 1 : 0
    const penalty = (at: number) => (at === size - 1 ? biasPenalty : 1)
    w.fill(0)
    z.fill(0)
    const objective = (t: number) => {
      let sum = 0
      for (let at = 0; at < size; at++) sum += 0.5 * penalty(at) * (w[at] + t * step[at]) ** 2
      for (let row = 0; row < data.rows; row++) sum += cost[row] * lossOf(loss, y[row] * (z[row] + t * zStep[row]))
      return sum
    }
    step.fill(0)
    zStep.fill(0)
    let value = objective(0)
    let start = 0
    let epoch = 0
    for (; epoch < epochs; epoch++) {
      for (let row = 0; row < data.rows; row++) factors[row] = cost[row] * y[row] * slopeOf(loss, y[row] * z[row])
      for (let at = 0; at < size; at++) gradient[at] = penalty(at) * w[at]
      kernels.addRows(...pointers, factors.byteOffset, gradient.byteOffset)
      const norm = Math.sqrt(inner(gradient, gradient))
      if (epoch === 0) start = norm
      if (norm <= tolerance * start || norm === 0) break
      for (let row = 0; row < data.rows; row++) factors[row] = cost[row] * curveOf(loss, y[row] * z[row])
      for (let at = 0; at < size; at++) diagonal[at] = penalty(at)
      kernels.addSquares(...pointers, factors.byteOffset, diagonal.byteOffset)
      // A free bias without any curvature left (all rows beyond the hinge) keeps a diagonal to divide by.
      if (diagonal[size - 1] === 0) diagonal[size - 1] = 1
      step.fill(0)
      for (let at = 0; at < size; at++) {
        residual[at] = -gradient[at]
        direction[at] = residual[at] / diagonal[at]
      }
      let slack = inner(residual, direction)
      const goal = Math.min(0.25, Math.sqrt(norm / start)) ** 2 * slack
      for (let round = 0; round < 2 * size + 20 && slack > goal; round++) {
        for (let at = 0; at < size; at++) curved[at] = penalty(at) * direction[at]
        kernels.addCurvature(...pointers, factors.byteOffset, direction.byteOffset, curved.byteOffset)
        const bend = inner(direction, curved)
        if (bend <= 0) break
        const length = slack / bend
        let next = 0
        for (let at = 0; at < size; at++) {
          step[at] += length * direction[at]
          residual[at] -= length * curved[at]
          next += (residual[at] * residual[at]) / diagonal[at]
        }
        for (let at = 0; at < size; at++) direction[at] = residual[at] / diagonal[at] + (next / slack) * direction[at]
        slack = next
      }
      kernels.products(...pointers, step.byteOffset, zStep.byteOffset)
      const fall = inner(gradient, step)
      let t = 1
      let reached = objective(t)
      while (!(reached <= value + 0.01 * t * fall) && t > 1e-10) {
        t /= 2
        reached = objective(t)
      }
      if (t <= 1e-10) break
      value = reached
      for (let at = 0; at < size; at++) w[at] += t * step[at]
      for (let row = 0; row < data.rows; row++) z[row] += t * zStep[row]
    }
    arena.release(mark)
    return epoch
  }
}

function lossOf(loss: LinearOptions['loss'], margin: number): number {
  if (loss === 'squared-hinge') return Math.max(0, 1 - margin) ** 2
  return margin > 0 ? Math.log1p(Math.exp(-margin)) : -margin + Math.log1p(Math.exp(margin))
}

/** Derivative by the margin. */
function slopeOf(loss: LinearOptions['loss'], margin: number): number {
  return loss === 'squared-hinge' ? -2 * Math.max(0, 1 - margin) : -1 / (1 + Math.exp(margin))
}

function curveOf(loss: LinearOptions['loss'], margin: number): number {
  if (loss === 'squared-hinge') return margin < 1 ? 2 : 0
  const p = 1 / (1 + Math.exp(margin))
  return p * (1 - p)
}

function inner(a: Float64Array, b: Float64Array): number {
  let sum = 0
  for (let at = 0; at < a.length; at++) sum += a[at] * b[at]
  return sum
}
