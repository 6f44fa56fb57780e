// FTRL-proximal on hashed tokens. A slot of the table is (z, n), two float32, at table + 8 · (token & mask); the last slot, mask + 1, is the bias.

function exp(x: f64): f64 {
  // 2^k · e^r with |r| ≤ ln 2 / 2; the series of e^r is cut where it no longer moves a double.
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

function weight(z: f32, n: f32, alpha: f32, beta: f32, l1: f32, l2: f32): f32 {
  // Without a branch: max(|z| − l1, 0) with the sign of −z.
  return copysign<f32>(max<f32>(abs<f32>(z) - l1, 0), -z) / ((beta + sqrt<f32>(n)) / alpha + l2)
}

/** Learns `rows` rows of `width` tokens one after the other; `scratch` has room for width float32. Returns Σ log-loss before each step. */
export function train(
  tokens: usize,
  labels: usize,
  rows: i32,
  width: i32,
  table: usize,
  mask: u32,
  scratch: usize,
  alpha: f32,
  beta: f32,
  l1: f32,
  l2: f32,
): void {
  const bias = table + ((<usize>mask + 1) << 3)
  const rate = <f32>1 / alpha
  for (let row = 0; row < rows; row++) {
    const start = tokens + ((<usize>(row * width)) << 2)
    const biasWeight = weight(load<f32>(bias), load<f32>(bias, 4), alpha, beta, 0, 0)
    let sum = <f64>biasWeight
    for (let at = 0; at < width; at++) {
      const slot = table + ((<usize>(load<u32>(start + ((<usize>at) << 2)) & mask)) << 3)
      const w = weight(load<f32>(slot), load<f32>(slot, 4), alpha, beta, l1, l2)
      store<f32>(scratch + ((<usize>at) << 2), w)
      sum += <f64>w
    }
    const p = <f32>(1 / (1 + exp(-max<f64>(-35, min<f64>(35, sum)))))
    const g = p - <f32>load<u8>(labels + <usize>row)
    const gg = g * g
    for (let at = 0; at < width; at++) {
      const slot = table + ((<usize>(load<u32>(start + ((<usize>at) << 2)) & mask)) << 3)
      const n = load<f32>(slot, 4)
      const next = n + gg
      // √(n + g²) − √n = g² / (√(n + g²) + √n), which keeps its digits.
      const sigma = (rate * gg) / (sqrt<f32>(next) + sqrt<f32>(n))
      store<f32>(slot, load<f32>(slot) + g - (gg > 0 ? sigma * load<f32>(scratch + ((<usize>at) << 2)) : <f32>0))
      store<f32>(slot, next, 4)
    }
    const n = load<f32>(bias, 4)
    const sigma = gg > 0 ? (rate * gg) / (sqrt<f32>(n + gg) + sqrt<f32>(n)) : <f32>0
    store<f32>(bias, load<f32>(bias) + g - sigma * biasWeight)
    store<f32>(bias, n + gg, 4)
  }
}
