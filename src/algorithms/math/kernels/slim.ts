// Sparse linear models by coordinate descent on a Gram matrix in linear memory; float32, pointers are byte offsets. Threads take columns from a
// shared counter, and every column is one thread's: results do not depend on their number.

import { axpy } from './vector'

/** Smaller changes of a weight are none. */
const LEAST_STEP: f32 = 1e-5
/** Passes over the weights above 0 between two over all. */
const INNER: i32 = 10

function f32At(base: usize, index: i32): f32 {
  return load<f32>(base + ((<usize>index) << 2))
}

/**
 * Row j of `out` (n × n, zero at the beginning) ← the w ≥ 0 with w_j = 0 that minimises ½|x_j − Xw|² + l1·Σw + ½·l2·|w|², of G = XᵀX: at most `epochs` passes over
 * all items, until no weight changes by more than `tolerance` of the largest. `scratch`, one for each thread: n · 8 bytes.
 */
export function slim(
  counter: usize,
  n: i32,
  gram: usize,
  l1: f32,
  l2: f32,
  epochs: i32,
  tolerance: f32,
  out: usize,
  scratches: usize,
  thread: i32,
): void {
  const scratch = scratches + <usize>n * 8 * <usize>thread
  while (true) {
    const j = atomic.add<i32>(counter, 1)
    if (j >= n) return
    slimColumn(j, n, gram, l1, l2, epochs, tolerance, out + <usize>j * <usize>n * 4, scratch)
  }
}

function slimColumn(j: i32, n: i32, gram: usize, l1: f32, l2: f32, epochs: i32, tolerance: f32, weights: usize, scratch: usize): void {
  // r = G_j − Gw
  const r = scratch
  const active = scratch + <usize>n * 4
  const own = gram + <usize>j * <usize>n * 4
  memory.copy(r, own, <usize>n * 4)
  for (let epoch = 0; epoch < epochs; epoch++) {
    let count = 0
    let most: f32 = 0
    let change: f32 = 0
    for (let a = 0; a < n; a++) {
      // As nothing in G or w is below 0, what is seldom had together with j can have no weight.
      if (a === j || f32At(own, a) <= l1) continue
      change = max<f32>(change, step(a, n, gram, l1, l2, weights, r))
      const weight = f32At(weights, a)
      if (weight > 0) {
        store<i32>(active + ((<usize>count) << 2), a)
        count++
      }
      most = max<f32>(most, weight)
    }
    if (change <= tolerance * most) return
    for (let pass = 0; pass < INNER; pass++) {
      change = 0
      for (let at = 0; at < count; at++) {
        const a = load<i32>(active + ((<usize>at) << 2))
        change = max<f32>(change, step(a, n, gram, l1, l2, weights, r))
      }
      if (change <= tolerance * most) break
    }
  }
}

/** Brings one weight to its best, the others as they are; by how much it changed. */
function step(a: i32, n: i32, gram: usize, l1: f32, l2: f32, weights: usize, r: usize): f32 {
  const place = weights + ((<usize>a) << 2)
  const row = gram + <usize>a * <usize>n * 4
  const g = f32At(row, a)
  const before = load<f32>(place)
  const after = max<f32>(0, f32At(r, a) + g * before - l1) / (g + l2)
  const change = after - before
  if (abs<f32>(change) <= LEAST_STEP) return 0
  store<f32>(place, after)
  axpy(-change, row, r, n)
  return abs<f32>(change)
}
