// Factorisation machine of one-hot rows, by Adagrad row after row. A column's state lies together: w, its Σg², then `padded` factors and their Σg²
// (padded a multiple of 4), all float32; `stride` bytes a column.

function exp(x: f64): f64 {
  const k = nearest<f64>(x * Math.LOG2E)
  const r = x - k * Math.LN2
  let sum: f64 = 1 / 479001600
  sum = sum * r + 1 / 39916800
  sum = sum * r + 1 / 3628800
  sum = sum * r + 1 / 362880
  sum = sum * r + 1 / 40320
  sum = sum * r + 1 / 5040
  sum = sum * r + 1 / 720
  sum = sum * r + 1 / 120
  sum = sum * r + 1 / 24
  sum = sum * r + 1 / 6
  sum = sum * r + 0.5
  sum = sum * r + 1
  sum = sum * r + 1
  return sum * reinterpret<f64>((<i64>k + 1023) << 52)
}

/** b + Σ w + ½ Σ_f ((Σ v_f)² − Σ v_f²); leaves Σ v_f in `sums` (padded float32). */
export function score(columns: usize, width: i32, padded: i32, state: usize, stride: i32, bias: f32, sums: usize): f64 {
  let total = <f64>bias
  for (let at = 0; at < width; at++) total += <f64>load<f32>(state + <usize>load<i32>(columns + ((<usize>at) << 2)) * <usize>stride)
  for (let f = 0; f < padded; f += 4) {
    let sum = f32x4.splat(0)
    let squares = f32x4.splat(0)
    for (let at = 0; at < width; at++) {
      const v = v128.load(state + <usize>load<i32>(columns + ((<usize>at) << 2)) * <usize>stride + 16 + ((<usize>f) << 2))
      sum = f32x4.add(sum, v)
      squares = f32x4.add(squares, f32x4.mul(v, v))
    }
    v128.store(sums + ((<usize>f) << 2), sum)
    const half = f32x4.mul(f32x4.splat(0.5), f32x4.sub(f32x4.mul(sum, sum), squares))
    total += <f64>(f32x4.extract_lane(half, 0) + f32x4.extract_lane(half, 1) + f32x4.extract_lane(half, 2) + f32x4.extract_lane(half, 3))
  }
  return total
}

/** One epoch over the rows in `order`; `bias` points to b and its Σg². */
export function train(
  columns: usize,
  labels: usize,
  order: usize,
  rows: i32,
  width: i32,
  padded: i32,
  state: usize,
  stride: i32,
  bias: usize,
  sums: usize,
  rate: f32,
  reg: f32,
  regFactors: f32,
): void {
  for (let step = 0; step < rows; step++) {
    const row = load<i32>(order + ((<usize>step) << 2))
    const start = columns + ((<usize>(row * width)) << 2)
    const z = score(start, width, padded, state, stride, load<f32>(bias), sums)
    const g = <f32>(1 / (1 + exp(-max<f64>(-35, min<f64>(35, z))))) - <f32>load<u8>(labels + <usize>row)
    const bb = load<f32>(bias, 4) + g * g
    store<f32>(bias, bb, 4)
    store<f32>(bias, load<f32>(bias) - (rate * g) / sqrt<f32>(bb))
    const gs = f32x4.splat(g)
    const rates = f32x4.splat(rate)
    const regs = f32x4.splat(regFactors)
    for (let at = 0; at < width; at++) {
      const column = state + <usize>load<i32>(start + ((<usize>at) << 2)) * <usize>stride
      const w = load<f32>(column)
      const d = g + reg * w
      const dd = load<f32>(column, 4) + d * d
      store<f32>(column, dd, 4)
      store<f32>(column, w - (rate * d) / sqrt<f32>(dd))
      const factors = column + 16
      const squares = factors + ((<usize>padded) << 2)
      for (let f = 0; f < padded; f += 4) {
        const offset = (<usize>f) << 2
        const v = v128.load(factors + offset)
        const dv = f32x4.add(f32x4.mul(gs, f32x4.sub(v128.load(sums + offset), v)), f32x4.mul(regs, v))
        const vv = f32x4.add(v128.load(squares + offset), f32x4.mul(dv, dv))
        v128.store(squares + offset, vv)
        v128.store(factors + offset, f32x4.sub(v, f32x4.div(f32x4.mul(rates, dv), f32x4.sqrt(vv))))
      }
    }
  }
}
