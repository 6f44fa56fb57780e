// Products of sparse matrices in linear memory, row by row. Offsets, columns i32; values f64; pointers are byte offsets. Threads take rows
// from a shared counter, so every row is worked out once, by one thread, in the same order of additions: results do not depend on their number.

// V8 optimises a function when it is called again, never while it runs: the work of a row is a call of its own.

const CHUNK: i32 = 16
/** Of equal cosines the one that more speaks for is a little larger. */
const TIE: f64 = 1e-6

function i32At(base: usize, index: i32): i32 {
  return load<i32>(base + ((<usize>index) << 2))
}

function f64At(base: usize, index: i32): f64 {
  return load<f64>(base + ((<usize>index) << 3))
}

function setI32(base: usize, index: i32, value: i32): void {
  store<i32>(base + ((<usize>index) << 2), value)
}

function setF64(base: usize, index: i32, value: f64): void {
  store<f64>(base + ((<usize>index) << 3), value)
}

/** The worst kept one is on top: lower value, or equal value and higher column. */
function isWorse(values: usize, columns: usize, a: i32, b: i32): bool {
  const x = f64At(values, a)
  const y = f64At(values, b)
  return x < y || (x === y && i32At(columns, a) > i32At(columns, b))
}

function swap(values: usize, columns: usize, a: i32, b: i32): void {
  const value = f64At(values, a)
  const column = i32At(columns, a)
  setF64(values, a, f64At(values, b))
  setI32(columns, a, i32At(columns, b))
  setF64(values, b, value)
  setI32(columns, b, column)
}

function sink(values: usize, columns: usize, length: i32): void {
  let at = 0
  while (true) {
    const left = 2 * at + 1
    if (left >= length) return
    const child = left + 1 < length && isWorse(values, columns, left + 1, left) ? left + 1 : left
    if (!isWorse(values, columns, child, at)) return
    swap(values, columns, at, child)
    at = child
  }
}

function rise(values: usize, columns: usize, from: i32): void {
  let at = from
  while (at > 0) {
    const parent = (at - 1) >> 1
    if (!isWorse(values, columns, at, parent)) return
    swap(values, columns, at, parent)
    at = parent
  }
}

/** Heap sort of (column, value) pairs by column ascending. */
function sortByColumn(values: usize, columns: usize, length: i32): void {
  for (let start = (length >> 1) - 1; start >= 0; start--) siftColumn(values, columns, start, length)
  for (let end = length - 1; end > 0; end--) {
    swap(values, columns, 0, end)
    siftColumn(values, columns, 0, end)
  }
}

function siftColumn(values: usize, columns: usize, start: i32, length: i32): void {
  let at = start
  while (true) {
    const left = 2 * at + 1
    if (left >= length) return
    const child = left + 1 < length && i32At(columns, left + 1) > i32At(columns, left) ? left + 1 : left
    if (i32At(columns, child) <= i32At(columns, at)) return
    swap(values, columns, at, child)
    at = child
  }
}

/**
 * For each row i of A·B (A: rows × inner, B: inner × width) the `keep` largest positive entries off the diagonal, ascending by column:
 *   s_ij = p_ij / (rowNorm_i · columnNorm_j + 10⁻⁶) · n/(n + shrinkage) · min(n, significance)/significance, 0 where n < minimumOverlap,
 * p the product and n the number of terms in it. Norms at 0: s_ij = p_ij · columnScale_j when `columnNorms` holds scales (`scaled` 1).
 * Writes outCounts[i], and at i·keep the columns and values; with `outColumns` 0 only the keep-th largest value (or 0) into outValues[i].
 * `scratch`, one for each thread: width · 20 (sum, count and padding; columns touched) + keep · 12 bytes, zero at the beginning and at the end.
 */
export function topProducts(
  counter: usize,
  rows: i32,
  width: i32,
  aOffsets: usize,
  aColumns: usize,
  aValues: usize,
  bOffsets: usize,
  bColumns: usize,
  bValues: usize,
  rowNorms: usize,
  columnNorms: usize,
  scaled: i32,
  minimumOverlap: i32,
  shrinkage: f64,
  significance: f64,
  keep: i32,
  outCounts: usize,
  outColumns: usize,
  outValues: usize,
  scratches: usize,
  scratchBytes: i32,
  thread: i32,
): void {
  const scratch = scratches + <usize>scratchBytes * <usize>thread
  while (true) {
    const start = atomic.add<i32>(counter, CHUNK)
    if (start >= rows) return
    const end = min(start + CHUNK, rows)
    for (let i = start; i < end; i++)
      topRow(
        i,
        scratch,
        width,
        aOffsets,
        aColumns,
        aValues,
        bOffsets,
        bColumns,
        bValues,
        rowNorms,
        columnNorms,
        scaled,
        minimumOverlap,
        shrinkage,
        significance,
        keep,
        outCounts,
        outColumns,
        outValues,
      )
  }
}

export function topRow(
  i: i32,
  sums: usize,
  width: i32,
  aOffsets: usize,
  aColumns: usize,
  aValues: usize,
  bOffsets: usize,
  bColumns: usize,
  bValues: usize,
  rowNorms: usize,
  columnNorms: usize,
  scaled: i32,
  minimumOverlap: i32,
  shrinkage: f64,
  significance: f64,
  keep: i32,
  outCounts: usize,
  outColumns: usize,
  outValues: usize,
): void {
  const touched = sums + ((<usize>width) << 4)
  const heapValues = (touched + ((<usize>width) << 2) + 15) & ~15
  const heapColumns = heapValues + ((<usize>keep) << 3)
  let touchedCount = 0
  const to = i32At(aOffsets, i + 1)
  for (let at = i32At(aOffsets, i); at < to; at++) {
    const inner = i32At(aColumns, at)
    const x = f64At(aValues, at)
    const last = i32At(bOffsets, inner + 1)
    for (let place = i32At(bOffsets, inner); place < last; place++) {
      const j = i32At(bColumns, place)
      const cell = sums + ((<usize>j) << 4)
      const n = load<i32>(cell, 8)
      if (n === 0) setI32(touched, touchedCount++, j)
      store<i32>(cell, n + 1, 8)
      store<f64>(cell, load<f64>(cell) + x * f64At(bValues, place))
    }
  }
  const rowNorm = scaled ? 1.0 : f64At(rowNorms, i)
  let length = 0
  for (let at = 0; at < touchedCount; at++) {
    const j = i32At(touched, at)
    const cell = sums + ((<usize>j) << 4)
    const n = load<i32>(cell, 8)
    const p = load<f64>(cell)
    store<i32>(cell, 0, 8)
    store<f64>(cell, 0)
    if (j === i || n < minimumOverlap) continue
    let s = 0.0
    if (scaled) s = p * f64At(columnNorms, j)
    else {
      const norm = rowNorm * f64At(columnNorms, j)
      s = norm > 0 ? p / (norm + TIE) : 0.0
    }
    if (shrinkage > 0) s *= <f64>n / (<f64>n + shrinkage)
    if (significance > 0) s *= min(<f64>n, significance) / significance
    if (!(s > 0)) continue
    if (length < keep) {
      setF64(heapValues, length, s)
      setI32(heapColumns, length, j)
      rise(heapValues, heapColumns, length)
      length++
    } else {
      const least = f64At(heapValues, 0)
      if (s > least || (s === least && j < i32At(heapColumns, 0))) {
        setF64(heapValues, 0, s)
        setI32(heapColumns, 0, j)
        sink(heapValues, heapColumns, length)
      }
    }
  }
  setI32(outCounts, i, length)
  if (outColumns === 0) {
    setF64(outValues, i, length === keep ? f64At(heapValues, 0) : 0.0)
    return
  }
  sortByColumn(heapValues, heapColumns, length)
  const base = <usize>i * <usize>keep
  memory.copy(outColumns + (base << 2), heapColumns, (<usize>length) << 2)
  memory.copy(outValues + (base << 3), heapValues, (<usize>length) << 3)
}

/** Dense float32 G = A·B, upper triangle only: for each row i the entries j ≥ i (B's columns ascending in each row). */
export function gram(
  counter: usize,
  rows: i32,
  aOffsets: usize,
  aColumns: usize,
  aValues: usize,
  bOffsets: usize,
  bColumns: usize,
  bValues: usize,
  out: usize,
  _thread: i32,
): void {
  while (true) {
    const start = atomic.add<i32>(counter, CHUNK)
    if (start >= rows) return
    const end = min(start + CHUNK, rows)
    for (let i = start; i < end; i++) gramRow(i, rows, aOffsets, aColumns, aValues, bOffsets, bColumns, bValues, out)
  }
}

export function gramRow(
  i: i32,
  rows: i32,
  aOffsets: usize,
  aColumns: usize,
  aValues: usize,
  bOffsets: usize,
  bColumns: usize,
  bValues: usize,
  out: usize,
): void {
  const row = out + <usize>i * <usize>rows * 4
  memory.fill(row, 0, (<usize>rows) << 2)
  const to = i32At(aOffsets, i + 1)
  for (let at = i32At(aOffsets, i); at < to; at++) {
    const inner = i32At(aColumns, at)
    const x = <f32>f64At(aValues, at)
    const first = i32At(bOffsets, inner)
    for (let place = i32At(bOffsets, inner + 1) - 1; place >= first; place--) {
      const j = i32At(bColumns, place)
      if (j < i) break
      const cell = row + ((<usize>j) << 2)
      store<f32>(cell, load<f32>(cell) + x * <f32>f64At(bValues, place))
    }
  }
}

/**
 * Pearson correlation of each pair of rows over the columns both have, float32 rows × rows, 0 on the diagonal and where a spread is 0:
 *   (nΣxy − ΣxΣy) / √((nΣx² − (Σx)²)(nΣy² − (Σy)²)).
 * B is the transposed A. `scratch`, one for each thread: rows · 48 bytes, zero at the beginning and at the end.
 */
export function pearson(
  counter: usize,
  rows: i32,
  aOffsets: usize,
  aColumns: usize,
  aValues: usize,
  bOffsets: usize,
  bColumns: usize,
  bValues: usize,
  out: usize,
  scratches: usize,
  thread: i32,
): void {
  const bytes = <usize>rows * 48
  const sums = scratches + bytes * <usize>thread
  while (true) {
    const start = atomic.add<i32>(counter, CHUNK)
    if (start >= rows) return
    const end = min(start + CHUNK, rows)
    for (let i = start; i < end; i++) pearsonRow(i, rows, aOffsets, aColumns, aValues, bOffsets, bColumns, bValues, out, sums)
  }
}

export function pearsonRow(
  i: i32,
  rows: i32,
  aOffsets: usize,
  aColumns: usize,
  aValues: usize,
  bOffsets: usize,
  bColumns: usize,
  bValues: usize,
  out: usize,
  sums: usize,
): void {
  const to = i32At(aOffsets, i + 1)
  for (let at = i32At(aOffsets, i); at < to; at++) {
    const inner = i32At(aColumns, at)
    const x = f64At(aValues, at)
    const ofX = f64x2.replace_lane(f64x2.splat(x), 1, x * x)
    const last = i32At(bOffsets, inner + 1)
    for (let place = i32At(bOffsets, inner); place < last; place++) {
      const y = f64At(bValues, place)
      const cell = sums + <usize>i32At(bColumns, place) * 48
      v128.store(cell, f64x2.add(v128.load(cell), f64x2.replace_lane(f64x2.splat(1), 1, y)))
      v128.store(cell, f64x2.add(v128.load(cell, 16), f64x2.mul(f64x2.splat(y), f64x2.replace_lane(f64x2.splat(x), 1, y))), 16)
      v128.store(cell, f64x2.add(v128.load(cell, 32), ofX), 32)
    }
  }
  const row = out + <usize>i * <usize>rows * 4
  for (let j = 0; j < rows; j++) {
    const cell = sums + <usize>j * 48
    const n = load<f64>(cell)
    let r: f64 = 0
    if (n > 0 && j !== i) {
      const y = load<f64>(cell, 8)
      const xy = load<f64>(cell, 16)
      const yy = load<f64>(cell, 24)
      const x = load<f64>(cell, 32)
      const xx = load<f64>(cell, 40)
      const spread = (n * xx - x * x) * (n * yy - y * y)
      if (spread > 1e-12) r = (n * xy - x * y) / Math.sqrt(spread)
    }
    store<f32>(row + ((<usize>j) << 2), <f32>r)
  }
  memory.fill(sums, 0, <usize>rows * 48)
}
