// Vectors of float32 in linear memory; `n` counts numbers, pointers are byte offsets.

/** Σ aᵢ·bᵢ */
export function dot(a: usize, b: usize, n: i32): f32 {
  let s0 = f32x4.splat(0)
  let s1 = f32x4.splat(0)
  let s2 = f32x4.splat(0)
  let s3 = f32x4.splat(0)
  let i = 0
  for (; i + 16 <= n; i += 16) {
    const at = (<usize>i) << 2
    s0 = f32x4.add(s0, f32x4.mul(v128.load(a + at), v128.load(b + at)))
    s1 = f32x4.add(s1, f32x4.mul(v128.load(a + at, 16), v128.load(b + at, 16)))
    s2 = f32x4.add(s2, f32x4.mul(v128.load(a + at, 32), v128.load(b + at, 32)))
    s3 = f32x4.add(s3, f32x4.mul(v128.load(a + at, 48), v128.load(b + at, 48)))
  }
  const s = f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3))
  let sum = f32x4.extract_lane(s, 0) + f32x4.extract_lane(s, 1) + f32x4.extract_lane(s, 2) + f32x4.extract_lane(s, 3)
  for (; i < n; i++) sum += load<f32>(a + ((<usize>i) << 2)) * load<f32>(b + ((<usize>i) << 2))
  return sum
}

/** y ← y + c·x */
export function axpy(c: f32, x: usize, y: usize, n: i32): void {
  const factor = f32x4.splat(c)
  let i = 0
  for (; i + 4 <= n; i += 4) {
    const at = (<usize>i) << 2
    v128.store(y + at, f32x4.add(v128.load(y + at), f32x4.mul(factor, v128.load(x + at))))
  }
  for (; i < n; i++) {
    const at = (<usize>i) << 2
    store<f32>(y + at, load<f32>(y + at) + c * load<f32>(x + at))
  }
}

/** out ← Σ wᵢ·row(i): rows of `width` float32 of a matrix, named by `rows`, added up with their float32 weights. */
export function addRows(n: i32, rows: usize, weights: usize, matrix: usize, width: i32, out: usize): void {
  memory.fill(out, 0, (<usize>width) << 2)
  for (let i = 0; i < n; i++) {
    const row = matrix + <usize>load<i32>(rows + ((<usize>i) << 2)) * <usize>width * 4
    axpy(load<f32>(weights + ((<usize>i) << 2)), row, out, width)
  }
}
