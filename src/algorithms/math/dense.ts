import { createSession, type Session } from './onnx.js'

/** Row-major float32. */
export interface Dense {
  rows: number
  columns: number
  data: Float32Array<ArrayBufferLike>
}

interface Product {
  transposeA?: boolean
  transposeB?: boolean
  alpha?: number
  /** Added to the product. */
  plus?: Dense
}

export function dense(rows: number, columns: number, data: Dense['data'] = new Float32Array(rows * columns)): Dense {
  return { rows, columns, data }
}

const sessions = new Map<string, Session | undefined>()

/** α·A·B (+ C), A or B transposed on request, by the native runtime on all cores; `multiplyPlain` where there is none. */
export function multiply(a: Dense, b: Dense, options: Product = {}): Dense {
  const { transposeA = false, transposeB = false, alpha = 1, plus } = options
  const [rows, inner] = transposeA ? [a.columns, a.rows] : [a.rows, a.columns]
  const [innerB, columns] = transposeB ? [b.columns, b.rows] : [b.rows, b.columns]
  if (inner !== innerB) throw new RangeError(`A product of ${rows} × ${inner} and ${innerB} × ${columns} is none`)
  if (plus && (plus.rows !== rows || plus.columns !== columns)) throw new RangeError('What is added must have the shape of the product')
  if (rows === 0 || columns === 0) return dense(rows, columns)
  if (inner === 0) return dense(rows, columns, plus?.data.slice())
  const key = `${transposeA}${transposeB}${alpha}${plus !== undefined}`
  if (!sessions.has(key)) sessions.set(key, productSession(transposeA, transposeB, alpha, plus !== undefined))
  const session = sessions.get(key)
  if (!session) return multiplyPlain(a, b, options)
  const shaped = ({ rows, columns, data }: Dense) => ({ data, shape: [rows, columns] })
  const { y } = session.run({ a: shaped(a), b: shaped(b), ...(plus ? { c: shaped(plus) } : {}) })
  return dense(rows, columns, y as Float32Array)
}

function productSession(transposeA: boolean, transposeB: boolean, alpha: number, plus: boolean): Session | undefined {
  const matrix = (name: string) => ({ name, type: 'f32' as const, shape: [`${name}0`, `${name}1`] })
  return createSession({
    nodes: [
      {
        op: 'Gemm',
        inputs: plus ? ['a', 'b', 'c'] : ['a', 'b'],
        outputs: ['y'],
        integers: { transA: Number(transposeA), transB: Number(transposeB) },
        floats: { alpha, beta: 1 },
      },
    ],
    inputs: (plus ? ['a', 'b', 'c'] : ['a', 'b']).map(matrix),
    outputs: [matrix('y')],
  })
}

/** The same by three loops. */
export function multiplyPlain(a: Dense, b: Dense, { transposeA = false, transposeB = false, alpha = 1, plus }: Product = {}): Dense {
  const [rows, inner] = transposeA ? [a.columns, a.rows] : [a.rows, a.columns]
  const columns = transposeB ? b.rows : b.columns
  const out = dense(rows, columns, plus?.data.slice())
  for (let i = 0; i < rows; i++) {
    for (let k = 0; k < inner; k++) {
      const x = alpha * (transposeA ? a.data[k * a.columns + i] : a.data[i * a.columns + k])
      for (let j = 0; j < columns; j++) out.data[i * columns + j] += x * (transposeB ? b.data[j * b.columns + k] : b.data[k * columns + j])
    }
  }
  return out
}

const LEAF = 64

/**
 * Inverse of a symmetric positive definite matrix by its Schur complements, halves of halves, so that almost all of it is products:
 * with A⁻¹ and S = D − BᵀA⁻¹B, the inverse of [A B; Bᵀ D] is [A⁻¹ + T S⁻¹ Tᵀ, −T S⁻¹; ·, S⁻¹], T = A⁻¹B. 4/3 n³ floating point operations;
 * leaves of 64 in float64. Throws `RangeError` where a leaf is not positive definite.
 */
export function inverseSpd(matrix: Dense): Dense {
  const n = matrix.rows
  if (n !== matrix.columns) throw new RangeError('Only a square matrix has an inverse')
  if (n <= LEAF) return inverseLeaf(matrix)
  const half = Math.ceil(n / 2 / LEAF) * LEAF
  const [a, b, d] = [block(matrix, 0, 0, half, half), block(matrix, 0, half, half, n), block(matrix, half, half, n, n)]
  const inverseA = inverseSpd(a)
  const t = multiply(inverseA, b)
  const inverseS = inverseSpd(multiply(b, t, { transposeA: true, alpha: -1, plus: d }))
  const off = multiply(t, inverseS, { alpha: -1 })
  const top = multiply(off, t, { transposeB: true, alpha: -1, plus: inverseA })
  const out = dense(n, n)
  for (let i = 0; i < half; i++) {
    out.data.set(top.data.subarray(i * half, (i + 1) * half), i * n)
    out.data.set(off.data.subarray(i * (n - half), (i + 1) * (n - half)), i * n + half)
  }
  // The lower left is the upper right transposed, tile by tile, so that memory is walked in order.
  for (let from = 0; from < n - half; from += LEAF) {
    for (let start = 0; start < half; start += LEAF) {
      for (let i = from; i < Math.min(n - half, from + LEAF); i++)
        for (let j = start; j < Math.min(half, start + LEAF); j++) out.data[(half + i) * n + j] = off.data[j * (n - half) + i]
    }
  }
  for (let i = 0; i < n - half; i++) out.data.set(inverseS.data.subarray(i * (n - half), (i + 1) * (n - half)), (half + i) * n + half)
  return out
}

function block({ columns, data }: Dense, row: number, column: number, toRow: number, toColumn: number): Dense {
  const out = dense(toRow - row, toColumn - column)
  for (let i = row; i < toRow; i++)
    out.data.set(data.subarray(i * columns + column, i * columns + toColumn), (i - row) * (toColumn - column))
  return out
}

/** Through the Cholesky factor: A = LLᵀ, A⁻¹ = L⁻ᵀL⁻¹. */
function inverseLeaf({ rows: n, data }: Dense): Dense {
  const lower = choleskyOf(Float64Array.from(data), n)
  const inverse = new Float64Array(n * n)
  for (let column = 0; column < n; column++) {
    for (let i = column; i < n; i++) {
      let sum = i === column ? 1 : 0
      for (let k = column; k < i; k++) sum -= lower[i * n + k] * inverse[column * n + k]
      inverse[column * n + i] = sum / lower[i * n + i]
    }
  }
  // Row c of `inverse` is column c of L⁻¹.
  const out = dense(n, n)
  for (let i = 0; i < n; i++) {
    for (let j = i; j < n; j++) {
      let sum = 0
      for (let k = j; k < n; k++) sum += inverse[i * n + k] * inverse[j * n + k]
      out.data[i * n + j] = sum
      out.data[j * n + i] = sum
    }
  }
  return out
}

/** Lower factor L of the symmetric positive definite n × n `matrix`, in its place; only the lower triangle is read. */
export function choleskyOf(matrix: Float64Array, n: number): Float64Array {
  for (let j = 0; j < n; j++) {
    for (let i = j; i < n; i++) {
      let sum = matrix[i * n + j]
      for (let k = 0; k < j; k++) sum -= matrix[i * n + k] * matrix[j * n + k]
      if (i > j) matrix[i * n + j] = sum / matrix[j * n + j]
      else if (sum > 0) matrix[j * n + j] = Math.sqrt(sum)
      else throw new RangeError('The matrix is not positive definite')
    }
  }
  return matrix
}

/** x of LLᵀx = b, in the place of b. */
export function solveCholesky(lower: Float64Array, n: number, b: Float64Array): Float64Array {
  for (let i = 0; i < n; i++) {
    let sum = b[i]
    for (let k = 0; k < i; k++) sum -= lower[i * n + k] * b[k]
    b[i] = sum / lower[i * n + i]
  }
  for (let i = n - 1; i >= 0; i--) {
    let sum = b[i]
    for (let k = i + 1; k < n; k++) sum -= lower[k * n + i] * b[k]
    b[i] = sum / lower[i * n + i]
  }
  return b
}

const ranking = new Map<string, Session | undefined>()

/**
 * For each row of `users` the `count` rows of `items` with the largest inner product, best first: items and scores, rows × count.
 * Undefined where there is no native runtime. `count` ≤ items.rows.
 */
export function topProductsOf(users: Dense, items: Dense, count: number): { items: BigInt64Array; scores: Float32Array } | undefined {
  if (!ranking.has('')) {
    const matrix = (name: string) => ({ name, type: 'f32' as const, shape: [`${name}0`, `${name}1`] })
    ranking.set(
      '',
      createSession({
        nodes: [
          { op: 'Gemm', inputs: ['users', 'items'], outputs: ['all'], integers: { transA: 0, transB: 1 }, floats: { alpha: 1, beta: 1 } },
          { op: 'TopK', inputs: ['all', 'count'], outputs: ['scores', 'found'], integers: { axis: 1, largest: 1, sorted: 1 } },
        ],
        inputs: [matrix('users'), matrix('items'), { name: 'count', type: 'i64', shape: [1] }],
        outputs: [matrix('scores'), { name: 'found', type: 'i64', shape: ['f0', 'f1'] }],
      }),
    )
  }
  const session = ranking.get('')
  if (!session) return undefined
  const { scores, found } = session.run({
    users: { data: users.data, shape: [users.rows, users.columns] },
    items: { data: items.data, shape: [items.rows, items.columns] },
    count: { data: BigInt64Array.of(BigInt(count)), shape: [1] },
  })
  return { items: found as BigInt64Array, scores: scores as Float32Array }
}
