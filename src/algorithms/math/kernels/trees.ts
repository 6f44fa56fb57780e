// Growing trees on binned rows. `codes` is row-major u16: code of column c of row r at codes + 2 · (r · columns + c), already counted from the column's
// first bin, so that it is the bin's place in a histogram. A bin is (Σ gradient, Σ hessian), two float64; gh holds (gradient, hessian) of a row, two float32.
// Kernels whose first argument is a counter share their work among threads: pieces are taken from it, and what a piece is does not depend on who takes it.

const CHUNK = 4_096

/** Where slice `at` of rows [from … to) begins. */
// @ts-expect-error: decorator
@inline
function sliceStart(from: i32, to: i32, slices: i32, at: i32): i32 {
  return from + <i32>((<i64>(to - from) * at) / slices)
}

/**
 * Codes of a row-major float32 table, in both layouts: the number of the column's cuts below the value, counted from the column's first bin; NaN has the last.
 * `cuts` holds the cuts of all columns, those of column c from cutStarts[c] on.
 */
export function encode(
  counter: usize,
  values: usize,
  rows: i32,
  columns: i32,
  cuts: usize,
  cutStarts: usize,
  starts: usize,
  codes: usize,
  byColumn: usize,
  _thread: i32,
): void {
  while (true) {
    const begin = atomic.add<i32>(counter, CHUNK)
    if (begin >= rows) return
    const end = min(begin + CHUNK, rows)
    for (let column = 0; column < columns; column++) {
      const first = load<i32>(starts + ((<usize>column) << 2))
      const count = load<i32>(starts + ((<usize>column) << 2), 4) - first - 2
      const own = cuts + ((<usize>load<i32>(cutStarts + ((<usize>column) << 2))) << 3)
      const target = byColumn + (((<usize>column) * <usize>rows) << 1)
      for (let row = begin; row < end; row++) {
        const cell = <usize>row * <usize>columns + <usize>column
        const value = <f64>load<f32>(values + (cell << 2))
        let code = count + 1
        if (value == value) {
          let low: usize = 0
          let left = <usize>count
          while (left > 0) {
            const half = left >> 1
            const isAbove = load<f64>(own + ((low + half) << 3)) < value
            low = isAbove ? low + half + 1 : low
            left = isAbove ? left - half - 1 : half
          }
          code = <i32>low
        }
        store<u16>(codes + (cell << 1), <u16>(first + code))
        store<u16>(target + ((<usize>row) << 1), <u16>(first + code))
      }
    }
  }
}

function exp4(x: v128): v128 {
  // e^x of four float32 (Cephes): 2^k · e^r, |r| ≤ ln 2 / 2, to about 1e-7.
  const clipped = f32x4.max(f32x4.splat(-87), f32x4.min(f32x4.splat(87), x))
  const k = f32x4.nearest(f32x4.mul(clipped, f32x4.splat(<f32>Math.LOG2E)))
  let r = f32x4.sub(clipped, f32x4.mul(k, f32x4.splat(0.693359375)))
  r = f32x4.sub(r, f32x4.mul(k, f32x4.splat(-2.1219444e-4)))
  let y = f32x4.splat(1.98756915e-4)
  y = f32x4.add(f32x4.mul(y, r), f32x4.splat(1.3981999507e-3))
  y = f32x4.add(f32x4.mul(y, r), f32x4.splat(8.3334519073e-3))
  y = f32x4.add(f32x4.mul(y, r), f32x4.splat(4.1665795894e-2))
  y = f32x4.add(f32x4.mul(y, r), f32x4.splat(1.6666665459e-1))
  y = f32x4.add(f32x4.mul(y, r), f32x4.splat(5.0000001201e-1))
  y = f32x4.add(f32x4.add(f32x4.mul(f32x4.mul(y, r), r), r), f32x4.splat(1))
  const power = i32x4.shl(i32x4.add(i32x4.trunc_sat_f32x4_s(k), i32x4.splat(127)), 23)
  return f32x4.mul(y, power)
}

/** (p − y, p(1 − p)) of every row at the scores; rows are padded to a multiple of four. */
export function gradients(counter: usize, scores: usize, labels: usize, rows: i32, gh: usize, _thread: i32): void {
  while (true) {
    const begin = atomic.add<i32>(counter, CHUNK)
    if (begin >= rows) return
    gradientsOf(scores, labels, begin, min(begin + CHUNK, rows), gh)
  }
}

function gradientsOf(scores: usize, labels: usize, from: i32, to: i32, gh: usize): void {
  for (let row = from; row < to; row += 4) {
    const x = v128.load(scores + ((<usize>row) << 2))
    const p = f32x4.div(f32x4.splat(1), f32x4.add(f32x4.splat(1), exp4(f32x4.neg(x))))
    const bytes = v128.load32_zero(labels + <usize>row)
    const y = f32x4.convert_i32x4_u(i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(bytes)))
    const g = f32x4.sub(p, y)
    const h = f32x4.mul(p, f32x4.sub(f32x4.splat(1), p))
    v128.store(gh + ((<usize>row) << 3), v128.shuffle<f32>(g, h, 0, 4, 1, 5))
    v128.store(gh + ((<usize>row) << 3), v128.shuffle<f32>(g, h, 2, 6, 3, 7), 16)
  }
}

/** Histogram of Σ (g, h) in each column's bin, over each slice of rows[from … to): the first slice's into `hist`, the others' one after the other into `more`. */
export function build(
  counter: usize,
  codes: usize,
  columns: i32,
  rows: usize,
  from: i32,
  to: i32,
  gh: usize,
  hist: usize,
  more: usize,
  bins: i32,
  slices: i32,
  _thread: i32,
): void {
  while (true) {
    const at = atomic.add<i32>(counter, 1)
    if (at >= slices) return
    const target = at === 0 ? hist : more + (<usize>(at - 1) * <usize>bins << 4)
    buildSlice(codes, columns, rows, sliceStart(from, to, slices, at), sliceStart(from, to, slices, at + 1), gh, target, bins)
  }
}

function buildSlice(codes: usize, columns: i32, rows: usize, from: i32, to: i32, gh: usize, hist: usize, bins: i32): void {
  memory.fill(hist, 0, (<usize>bins) << 4)
  const stride = (<usize>columns) << 1
  const blocks = stride & ~7
  for (let at = from; at < to; at++) {
    const row = <usize>load<i32>(rows + ((<usize>at) << 2))
    const pair = f64x2.promote_low_f32x4(v128.load64_zero(gh + (row << 3)))
    const start = codes + row * stride
    let place: usize = 0
    for (; place < blocks; place += 8) {
      const four = load<u64>(start + place)
      const a = hist + ((<usize>(four & 0xffff)) << 4)
      v128.store(a, f64x2.add(v128.load(a), pair))
      const b = hist + ((<usize>((four >> 16) & 0xffff)) << 4)
      v128.store(b, f64x2.add(v128.load(b), pair))
      const c = hist + ((<usize>((four >> 32) & 0xffff)) << 4)
      v128.store(c, f64x2.add(v128.load(c), pair))
      const d = hist + ((<usize>(four >> 48)) << 4)
      v128.store(d, f64x2.add(v128.load(d), pair))
    }
    for (; place < stride; place += 2) {
      const a = hist + ((<usize>load<u16>(start + place)) << 4)
      v128.store(a, f64x2.add(v128.load(a), pair))
    }
  }
}

/** a ← a + b, bin by bin. */
export function plus(a: usize, b: usize, bins: i32): void {
  for (let bin = 0; bin < bins; bin++) {
    const at = (<usize>bin) << 4
    v128.store(a + at, f64x2.add(v128.load(a + at), v128.load(b + at)))
  }
}

/** a ← a − b, bin by bin. */
export function subtract(a: usize, b: usize, bins: i32): void {
  for (let bin = 0; bin < bins; bin++) {
    const at = (<usize>bin) << 4
    v128.store(a + at, f64x2.sub(v128.load(a + at), v128.load(b + at)))
  }
}

/**
 * The best split of a node. `starts` has the first bin of each column and one more; the last bin of a column is for the unknown. Writes to `out` as float64:
 * gain, column, last bin of the left side (place in the histogram), 1 where the unknown go left, Σg and Σh of the left side. Gain ≤ 0: there is none.
 */
export function split(hist: usize, starts: usize, columns: i32, g: f64, h: f64, lambda: f64, least: f64, out: usize): void {
  let bestGain: f64 = 0
  let bestColumn: f64 = -1
  let bestBin: f64 = -1
  let bestMissing: f64 = 0
  let bestG: f64 = 0
  let bestH: f64 = 0
  const parent = (g * g) / (h + lambda)
  for (let column = 0; column < columns; column++) {
    const first = load<i32>(starts + ((<usize>column) << 2))
    const missing = load<i32>(starts + ((<usize>column) << 2), 4) - 1
    const gMissing = load<f64>(hist + ((<usize>missing) << 4))
    const hMissing = load<f64>(hist + ((<usize>missing) << 4), 8)
    const hasMissing = hMissing > 1e-9
    let gl: f64 = 0
    let hl: f64 = 0
    // The last known bin has nothing known to its right; it separates the known from the unknown.
    const end = hasMissing ? missing : missing - 1
    for (let bin = first; bin < end; bin++) {
      gl += load<f64>(hist + ((<usize>bin) << 4))
      hl += load<f64>(hist + ((<usize>bin) << 4), 8)
      if (hl >= least) {
        const hr = h - hl
        if (hr < least && !hasMissing) break
        if (hr >= least) {
          const gr = g - gl
          const gain = (gl * gl) / (hl + lambda) + (gr * gr) / (hr + lambda) - parent
          if (gain > bestGain) {
            bestGain = gain
            bestColumn = <f64>column
            bestBin = <f64>bin
            bestMissing = hasMissing || hr >= hl ? 0 : 1
            bestG = gl
            bestH = hl
          }
        }
      }
      if (hasMissing && bin < missing - 1) {
        const gm = gl + gMissing
        const hm = hl + hMissing
        const hr = h - hm
        if (hm >= least && hr >= least) {
          const gr = g - gm
          const gain = (gm * gm) / (hm + lambda) + (gr * gr) / (hr + lambda) - parent
          if (gain > bestGain) {
            bestGain = gain
            bestColumn = <f64>column
            bestBin = <f64>bin
            bestMissing = 1
            bestG = gm
            bestH = hm
          }
        }
      }
    }
  }
  store<f64>(out, bestGain)
  store<f64>(out, bestColumn, 8)
  store<f64>(out, bestBin, 16)
  store<f64>(out, bestMissing, 24)
  store<f64>(out, bestG, 32)
  store<f64>(out, bestH, 40)
}

/**
 * First half of sorting rows[from … to) so that the left side comes first, each side in its order: within each slice, the left side to the front of the slice's
 * place in `other` and the right side backwards to its end; lefts[slice] says how many went left. `column` has the codes of the column asked for, of all rows, so
 * that rows in order read memory in order.
 */
export function partition(
  counter: usize,
  column: usize,
  rows: usize,
  from: i32,
  to: i32,
  bin: i32,
  missing: i32,
  missingLeft: i32,
  other: usize,
  lefts: usize,
  slices: i32,
  _thread: i32,
): void {
  const leftCode = missingLeft ? missing : -1
  while (true) {
    const slice = atomic.add<i32>(counter, 1)
    if (slice >= slices) return
    const begin = sliceStart(from, to, slices, slice)
    const end = sliceStart(from, to, slices, slice + 1)
    let left = begin
    let right = end - 1
    for (let at = begin; at < end; at++) {
      const row = load<i32>(rows + ((<usize>at) << 2))
      const code = <i32>load<u16>(column + ((<usize>row) << 1))
      const isLeft = i32(code <= bin) | i32(code === leftCode)
      // Both are written, one advances: no branch to mispredict.
      store<i32>(other + ((<usize>left) << 2), row)
      store<i32>(other + ((<usize>right) << 2), row)
      // Where both are the same place the row is there already.
      left += isLeft
      right -= 1 - isLeft
    }
    store<i32>(lefts + ((<usize>slice) << 2), left - begin)
  }
}

/** Second half: each slice's sides from `other` to where they belong in rows[from … to). */
export function settle(counter: usize, rows: usize, from: i32, to: i32, other: usize, lefts: usize, slices: i32, _thread: i32): void {
  while (true) {
    const slice = atomic.add<i32>(counter, 1)
    if (slice >= slices) return
    let middle = from
    let before = 0
    for (let at = 0; at < slices; at++) {
      const count = load<i32>(lefts + ((<usize>at) << 2))
      middle += count
      if (at < slice) before += count
    }
    const begin = sliceStart(from, to, slices, slice)
    const end = sliceStart(from, to, slices, slice + 1)
    const count = load<i32>(lefts + ((<usize>slice) << 2))
    memory.copy(rows + ((<usize>(from + before)) << 2), other + ((<usize>begin) << 2), (<usize>count) << 2)
    let target = middle + (begin - from - before)
    for (let at = end - 1; at >= begin + count; at--, target++)
      store<i32>(rows + ((<usize>target) << 2), load<i32>(other + ((<usize>at) << 2)))
  }
}

/** scores ← scores + value for the rows of each leaf. A leaf is two int32 and a float32: from, to, value. */
export function add(counter: usize, scores: usize, rows: usize, leaves: usize, count: i32, _thread: i32): void {
  while (true) {
    const leaf = atomic.add<i32>(counter, 1)
    if (leaf >= count) return
    const own = leaves + <usize>leaf * 12
    const end = load<i32>(own, 4)
    const value = load<f32>(own, 8)
    for (let at = load<i32>(own); at < end; at++) {
      const place = scores + ((<usize>load<i32>(rows + ((<usize>at) << 2))) << 2)
      store<f32>(place, load<f32>(place) + value)
    }
  }
}

/** The codes of chosen columns, of all rows; `shifts` is what is taken off each, so that bins are counted without the columns left out. */
export function choose(
  counter: usize,
  codes: usize,
  columns: i32,
  rows: i32,
  chosen: usize,
  shifts: usize,
  count: i32,
  out: usize,
  _thread: i32,
): void {
  while (true) {
    const begin = atomic.add<i32>(counter, CHUNK)
    if (begin >= rows) return
    chooseOf(codes, columns, begin, min(begin + CHUNK, rows), chosen, shifts, count, out)
  }
}

function chooseOf(codes: usize, columns: i32, from: i32, to: i32, chosen: usize, shifts: usize, count: i32, out: usize): void {
  for (let row = from; row < to; row++) {
    const start = codes + ((<usize>row * <usize>columns) << 1)
    const target = out + ((<usize>row * <usize>count) << 1)
    for (let at = 0; at < count; at++) {
      const column = load<i32>(chosen + ((<usize>at) << 2))
      store<u16>(
        target + ((<usize>at) << 1),
        <u16>(<i32>load<u16>(start + ((<usize>column) << 1)) - load<i32>(shifts + ((<usize>at) << 2))),
      )
    }
  }
}

/** scores ← scores + value of the leaf that each of rows[from … to) falls into. A node is six int32: column (−1 for a leaf), bin, code of the unknown that go left (or −1), left, right, value (float32). */
export function descend(
  counter: usize,
  codes: usize,
  columns: i32,
  rows: usize,
  from: i32,
  to: i32,
  nodes: usize,
  scores: usize,
  _thread: i32,
): void {
  while (true) {
    const begin = from + atomic.add<i32>(counter, CHUNK)
    if (begin >= to) return
    descendOf(codes, columns, rows, begin, min(begin + CHUNK, to), nodes, scores)
  }
}

function descendOf(codes: usize, columns: i32, rows: usize, from: i32, to: i32, nodes: usize, scores: usize): void {
  for (let at = from; at < to; at++) {
    const row = <usize>load<i32>(rows + ((<usize>at) << 2))
    const start = codes + ((row * <usize>columns) << 1)
    let node = nodes
    let column = load<i32>(node)
    while (column >= 0) {
      const code = <i32>load<u16>(start + ((<usize>column) << 1))
      const isLeft = code <= load<i32>(node, 4) || code === load<i32>(node, 8)
      node = nodes + <usize>(isLeft ? load<i32>(node, 12) : load<i32>(node, 16)) * 24
      column = load<i32>(node)
    }
    const place = scores + (row << 2)
    store<f32>(place, load<f32>(place) + load<f32>(node, 20))
  }
}
