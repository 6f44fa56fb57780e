// Linear models on sparse rows: offsets i32[rows + 1], columns i32, values f32; weights f64[columns + 1], the last one that of the bias,
// which every row holds with the value `bias`. y is ±1 and cost the Cᵢ of a row, both f64[rows].

/** Σ values² of each row, the bias included. */
export function squaredNorms(offsets: usize, values: usize, rows: i32, bias: f64, out: usize): void {
  for (let row = 0; row < rows; row++) {
    let sum = bias * bias
    const end = load<i32>(offsets + ((<usize>row) << 2), 4)
    for (let at = load<i32>(offsets + ((<usize>row) << 2)); at < end; at++) {
      const value = <f64>load<f32>(values + ((<usize>at) << 2))
      sum += value * value
    }
    store<f64>(out + ((<usize>row) << 3), sum)
  }
}

/** w·x of each row, the bias included. */
export function products(
  offsets: usize,
  columns: usize,
  values: usize,
  rows: i32,
  columnCount: i32,
  bias: f64,
  w: usize,
  out: usize,
): void {
  const constant = bias * load<f64>(w + ((<usize>columnCount) << 3))
  for (let row = 0; row < rows; row++) store<f64>(out + ((<usize>row) << 3), constant + dot(offsets, columns, values, row, w))
}

/** out ← out + Σ factorsᵣ·xᵣ */
export function addRows(
  offsets: usize,
  columns: usize,
  values: usize,
  rows: i32,
  columnCount: i32,
  bias: f64,
  factors: usize,
  out: usize,
): void {
  let constant: f64 = 0
  for (let row = 0; row < rows; row++) {
    const factor = load<f64>(factors + ((<usize>row) << 3))
    if (factor === 0) continue
    constant += factor
    axpy(offsets, columns, values, row, factor, out)
  }
  const last = out + ((<usize>columnCount) << 3)
  store<f64>(last, load<f64>(last) + bias * constant)
}

/** out ← out + Σ factorsᵣ·(v·xᵣ)·xᵣ, each row read once. */
export function addCurvature(
  offsets: usize,
  columns: usize,
  values: usize,
  rows: i32,
  columnCount: i32,
  bias: f64,
  factors: usize,
  v: usize,
  out: usize,
): void {
  const ofBias = bias * load<f64>(v + ((<usize>columnCount) << 3))
  let constant: f64 = 0
  for (let row = 0; row < rows; row++) {
    const factor = load<f64>(factors + ((<usize>row) << 3))
    if (factor === 0) continue
    const scaled = factor * (ofBias + dot(offsets, columns, values, row, v))
    constant += scaled
    axpy(offsets, columns, values, row, scaled, out)
  }
  const last = out + ((<usize>columnCount) << 3)
  store<f64>(last, load<f64>(last) + bias * constant)
}

/** out ← out + Σ factorsᵣ·xᵣ², the diagonal of the curvature. */
export function addSquares(
  offsets: usize,
  columns: usize,
  values: usize,
  rows: i32,
  columnCount: i32,
  bias: f64,
  factors: usize,
  out: usize,
): void {
  let constant: f64 = 0
  for (let row = 0; row < rows; row++) {
    const factor = load<f64>(factors + ((<usize>row) << 3))
    constant += factor
    const end = load<i32>(offsets + ((<usize>row) << 2), 4)
    for (let at = load<i32>(offsets + ((<usize>row) << 2)); at < end; at++) {
      const place = out + ((<usize>load<i32>(columns + ((<usize>at) << 2))) << 3)
      const value = <f64>load<f32>(values + ((<usize>at) << 2))
      store<f64>(place, load<f64>(place) + factor * value * value)
    }
  }
  const last = out + ((<usize>columnCount) << 3)
  store<f64>(last, load<f64>(last) + bias * bias * constant)
}

/**
 * L2-loss SVM by dual coordinate descent with shrinking (Hsieh et al. 2008). alpha and w start at 0, order holds 0 … rows − 1.
 * Returns the number of passes; it stops when the projected gradients lie within `tolerance` of each other.
 */
export function dualSquaredHinge(
  offsets: usize,
  columns: usize,
  values: usize,
  rows: i32,
  columnCount: i32,
  bias: f64,
  y: usize,
  cost: usize,
  norms: usize,
  alpha: usize,
  order: usize,
  w: usize,
  tolerance: f64,
  passes: i32,
  seed: u32,
): i32 {
  const last = w + ((<usize>columnCount) << 3)
  let state = seed | 1
  let active = rows
  let highest = f64.MAX_VALUE
  for (let pass = 1; pass <= passes; pass++) {
    state = shuffle(order, active, state)
    let high = -f64.MAX_VALUE
    let low = f64.MAX_VALUE
    for (let place = 0; place < active; place++) {
      const row = load<i32>(order + ((<usize>place) << 2))
      const at = (<usize>row) << 3
      const sign = load<f64>(y + at)
      const diagonal = 0.5 / load<f64>(cost + at)
      const old = load<f64>(alpha + at)
      const gradient = sign * (bias * load<f64>(last) + dot(offsets, columns, values, row, w)) - 1 + old * diagonal
      if (old === 0 && gradient > highest) {
        active--
        swap(order, place, active)
        place--
        continue
      }
      const projected = old === 0 && gradient > 0 ? 0 : gradient
      high = max(high, projected)
      low = min(low, projected)
      if (abs(projected) < 1e-12) continue
      const next = max(0, old - gradient / (load<f64>(norms + at) + diagonal))
      store<f64>(alpha + at, next)
      const step = (next - old) * sign
      axpy(offsets, columns, values, row, step, w)
      store<f64>(last, load<f64>(last) + bias * step)
    }
    if (active === 0 || high - low <= tolerance) {
      if (active === rows) return pass
      active = rows
      highest = f64.MAX_VALUE
      continue
    }
    highest = high <= 0 ? f64.MAX_VALUE : high
  }
  return passes
}

/**
 * Logistic regression by dual coordinate descent with an inner Newton iteration (Yu, Huang and Lin 2011). alpha is f64[2·rows], w starts at 0.
 * Returns the number of passes; it stops when no dual gradient exceeds `tolerance`.
 */
export function dualLogistic(
  offsets: usize,
  columns: usize,
  values: usize,
  rows: i32,
  columnCount: i32,
  bias: f64,
  y: usize,
  cost: usize,
  norms: usize,
  alpha: usize,
  order: usize,
  w: usize,
  tolerance: f64,
  passes: i32,
  seed: u32,
): i32 {
  const last = w + ((<usize>columnCount) << 3)
  for (let row = 0; row < rows; row++) {
    const at = (<usize>row) << 3
    const upper = load<f64>(cost + at)
    const start = min(0.001 * upper, 1e-8)
    store<f64>(alpha + 2 * at, start)
    store<f64>(alpha + 2 * at, upper - start, 8)
    const step = load<f64>(y + at) * start
    axpy(offsets, columns, values, row, step, w)
    store<f64>(last, load<f64>(last) + bias * step)
  }
  let state = seed | 1
  let inner = 0.01
  const innermost = min(1e-8, tolerance)
  for (let pass = 1; pass <= passes; pass++) {
    state = shuffle(order, rows, state)
    let worst: f64 = 0
    let steps = 0
    for (let place = 0; place < rows; place++) {
      const row = load<i32>(order + ((<usize>place) << 2))
      const at = (<usize>row) << 3
      const sign = load<f64>(y + at)
      const upper = load<f64>(cost + at)
      const a = load<f64>(norms + at)
      const b = sign * (bias * load<f64>(last) + dot(offsets, columns, values, row, w))
      let first = alpha + 2 * at
      let second = first + 8
      let direction: f64 = 1
      // The smaller of α and C − α is the variable: its logarithm is exact near 0.
      if (0.5 * a * (load<f64>(second) - load<f64>(first)) + b < 0) {
        first = second
        second = alpha + 2 * at
        direction = -1
      }
      const old = load<f64>(first)
      let z = old
      if (upper - z < 0.5 * upper) z *= 0.1
      let slope = a * (z - old) + direction * b + log(z / (upper - z))
      worst = max(worst, abs(slope))
      let tries = 0
      for (; tries < 100 && abs(slope) >= inner; tries++) {
        const next = z - slope / (a + upper / (upper - z) / z)
        z = next <= 0 ? z * 0.1 : next
        slope = a * (z - old) + direction * b + log(z / (upper - z))
      }
      if (tries === 0) continue
      steps += tries
      store<f64>(first, z)
      store<f64>(second, upper - z)
      const step = direction * (z - old) * sign
      axpy(offsets, columns, values, row, step, w)
      store<f64>(last, load<f64>(last) + bias * step)
    }
    if (worst < tolerance) return pass
    if (steps <= rows / 10) inner = max(innermost, 0.1 * inner)
  }
  return passes
}

function dot(offsets: usize, columns: usize, values: usize, row: i32, w: usize): f64 {
  const place = offsets + ((<usize>row) << 2)
  const end = load<i32>(place, 4)
  let at = load<i32>(place)
  let s0: f64 = 0
  let s1: f64 = 0
  for (; at + 1 < end; at += 2) {
    const here = (<usize>at) << 2
    s0 += <f64>load<f32>(values + here) * load<f64>(w + ((<usize>load<i32>(columns + here)) << 3))
    s1 += <f64>load<f32>(values + here, 4) * load<f64>(w + ((<usize>load<i32>(columns + here, 4)) << 3))
  }
  if (at < end) s0 += <f64>load<f32>(values + ((<usize>at) << 2)) * load<f64>(w + ((<usize>load<i32>(columns + ((<usize>at) << 2))) << 3))
  return s0 + s1
}

function axpy(offsets: usize, columns: usize, values: usize, row: i32, factor: f64, out: usize): void {
  const place = offsets + ((<usize>row) << 2)
  const end = load<i32>(place, 4)
  for (let at = load<i32>(place); at < end; at++) {
    const here = (<usize>at) << 2
    const target = out + ((<usize>load<i32>(columns + here)) << 3)
    store<f64>(target, load<f64>(target) + factor * <f64>load<f32>(values + here))
  }
}

function shuffle(order: usize, count: i32, seed: u32): u32 {
  let state = seed
  for (let place = 0; place < count; place++) {
    state ^= state << 13
    state ^= state >> 17
    state ^= state << 5
    swap(order, place, place + <i32>(state % <u32>(count - place)))
  }
  return state
}

function swap(order: usize, a: i32, b: i32): void {
  const kept = load<i32>(order + ((<usize>a) << 2))
  store<i32>(order + ((<usize>a) << 2), load<i32>(order + ((<usize>b) << 2)))
  store<i32>(order + ((<usize>b) << 2), kept)
}

/**
 * Natural logarithm of a positive, normal number, after fdlibm's e_log (error < 1 ulp). The runtime's own keeps a table in linear memory, where the
 * arena's numbers are.
 */
function log(x: f64): f64 {
  const bits = reinterpret<i64>(x)
  let exponent = <i32>(bits >> 52) - 1023
  let m = reinterpret<f64>((bits & 0x000fffffffffffff) | 0x3ff0000000000000)
  if (m > 1.4) {
    m *= 0.5
    exponent++
  }
  const f = m - 1
  const s = f / (2 + f)
  const z = s * s
  const p0 = 0.2857142874366239 + z * (0.22222198432149784 + z * (0.1818357216161805 + z * (0.15313837699209373 + z * 0.14798198605116586)))
  const r = z * (0.6666666666666735 + z * (0.3999999999940942 + z * p0))
  const half = 0.5 * f * f
  const k = <f64>exponent
  return k * 0.6931471803691238 - (half - (s * (half + r) + k * 1.9082149292705877e-10) - f)
}
