// Alternating least squares over float32 factors in linear memory. `f`, the number of factors, is a multiple of 4; pointers are byte offsets.
// Threads take rows from a shared counter; each row is solved on its own, so results do not depend on the number of threads.

// V8 optimises a function when it is called again, never while it runs: the work of a row is a call of its own.

const CHUNK: i32 = 32
const TILE: i32 = 256

function sum(v: v128): f32 {
  return f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 1) + (f32x4.extract_lane(v, 2) + f32x4.extract_lane(v, 3))
}

function dot(a: usize, b: usize, bytes: usize): f32 {
  let s0 = f32x4.splat(0)
  let s1 = f32x4.splat(0)
  let at: usize = 0
  for (; at + 32 <= bytes; at += 32) {
    s0 = f32x4.add(s0, f32x4.mul(v128.load(a + at), v128.load(b + at)))
    s1 = f32x4.add(s1, f32x4.mul(v128.load(a + at, 16), v128.load(b + at, 16)))
  }
  if (at < bytes) s0 = f32x4.add(s0, f32x4.mul(v128.load(a + at), v128.load(b + at)))
  return sum(f32x4.add(s0, s1))
}

function axpy(c: f32, x: usize, y: usize, bytes: usize): void {
  const factor = f32x4.splat(c)
  for (let at: usize = 0; at < bytes; at += 16) v128.store(y + at, f32x4.add(v128.load(y + at), f32x4.mul(factor, v128.load(x + at))))
}

/** out ← G·p for symmetric G, by columns, four at a time. */
function multiply(g: usize, p: usize, out: usize, f: i32, bytes: usize): void {
  memory.fill(out, 0, bytes)
  for (let k = 0; k < f; k += 4) {
    const p0 = v128.load32_splat(p + ((<usize>k) << 2))
    const p1 = v128.load32_splat(p + ((<usize>k) << 2), 4)
    const p2 = v128.load32_splat(p + ((<usize>k) << 2), 8)
    const p3 = v128.load32_splat(p + ((<usize>k) << 2), 12)
    const row = g + <usize>k * bytes
    for (let at: usize = 0; at < bytes; at += 16) {
      const a = f32x4.add(f32x4.mul(p0, v128.load(row + at)), f32x4.mul(p1, v128.load(row + bytes + at)))
      const b = f32x4.add(f32x4.mul(p2, v128.load(row + 2 * bytes + at)), f32x4.mul(p3, v128.load(row + 3 * bytes + at)))
      v128.store(out + at, f32x4.add(v128.load(out + at), f32x4.add(a, b)))
    }
  }
}

/**
 * Partial sums of XᵀX over blocks of `size` rows, a block to each f × f of `outs`, which is 0 before. Which rows are added to each other does not depend on who
 * takes them, so that the sum over the blocks in their order is the same bit by bit with any number of threads.
 */
export function gram(counter: usize, rows: i32, x: usize, f: i32, outs: usize, size: i32, _thread: i32): void {
  while (true) {
    const block = atomic.add<i32>(counter, 1)
    const start = block * size
    if (start >= rows) return
    const end = min(start + size, rows)
    const out = outs + ((<usize>block * <usize>f * <usize>f) << 2)
    // So many rows stay in the nearest cache while all of their products are taken.
    for (let from = start; from < end; from += TILE) gramOf(from, min(from + TILE, end), x, f, out)
  }
}

export function gramOf(start: i32, end: i32, x: usize, f: i32, out: usize): void {
  const bytes = (<usize>f) << 2
  for (let k = 0; k < f; k += 4) {
    const target = out + <usize>k * bytes
    const column = (<usize>k) << 2
    // The block of four rows of the result stays in registers' reach while the factors stream by, four columns at a time.
    for (let at: usize = 0; at < bytes; at += 16) {
      if (at + 16 <= column) continue
      let s0 = v128.load(target + at)
      let s1 = v128.load(target + bytes + at)
      let s2 = v128.load(target + 2 * bytes + at)
      let s3 = v128.load(target + 3 * bytes + at)
      for (let i = start; i < end; i++) {
        const row = x + <usize>i * bytes
        const v = v128.load(row + at)
        s0 = f32x4.add(s0, f32x4.mul(v128.load32_splat(row + column), v))
        s1 = f32x4.add(s1, f32x4.mul(v128.load32_splat(row + column, 4), v))
        s2 = f32x4.add(s2, f32x4.mul(v128.load32_splat(row + column, 8), v))
        s3 = f32x4.add(s3, f32x4.mul(v128.load32_splat(row + column, 12), v))
      }
      v128.store(target + at, s0)
      v128.store(target + bytes + at, s1)
      v128.store(target + 2 * bytes + at, s2)
      v128.store(target + 3 * bytes + at, s3)
    }
  }
}

/**
 * One half sweep: for each row u solves (G + Σ_i c_i y_i y_iᵀ + reg_u I) x_u = Σ_i c_i y_i by `steps` steps of conjugate gradients from the x_u that is
 * there (Takács et al. 2011), preconditioned by M = G + ridge I, whose inverse is given. G and M⁻¹ f × f (symmetric, G with its weight in it), y the other
 * side's factors, c ≥ 0 float32, reg float32 a row. Rows without entries become 0. `scratch`, one for each thread: 4 · f floats.
 */
export function solveRows(
  counter: usize,
  rows: i32,
  f: i32,
  offsets: usize,
  columns: usize,
  weights: usize,
  g: usize,
  inverse: usize,
  ridge: f32,
  regs: usize,
  y: usize,
  x: usize,
  steps: i32,
  scratches: usize,
  thread: i32,
): void {
  const bytes = (<usize>f) << 2
  const r = scratches + <usize>thread * 4 * bytes
  while (true) {
    const start = atomic.add<i32>(counter, CHUNK)
    if (start >= rows) return
    const end = min(start + CHUNK, rows)
    for (let u = start; u < end; u++) solveRow(u, f, offsets, columns, weights, g, inverse, ridge, regs, y, x, steps, r)
  }
}

export function solveRow(
  u: i32,
  f: i32,
  offsets: usize,
  columns: usize,
  weights: usize,
  g: usize,
  inverse: usize,
  ridge: f32,
  regs: usize,
  y: usize,
  x: usize,
  steps: i32,
  r: usize,
): void {
  const bytes = (<usize>f) << 2
  const p = r + bytes
  const q = p + bytes
  // M·p, which follows from r as p does from M⁻¹·r: G is not multiplied by p.
  const mp = q + bytes
  const own = x + <usize>u * bytes
  const from = load<i32>(offsets + ((<usize>u) << 2))
  const to = load<i32>(offsets + ((<usize>u) << 2), 4)
  if (from === to) {
    memory.fill(own, 0, bytes)
    return
  }
  const reg = load<f32>(regs + ((<usize>u) << 2))
  // r = b − A·x
  multiply(g, own, r, f, bytes)
  axpy(reg, own, r, bytes)
  for (let at: usize = 0; at < bytes; at += 16) v128.store(r + at, f32x4.neg(v128.load(r + at)))
  addEntries(from, to, columns, weights, y, own, 1, -1, r, bytes)
  multiply(inverse, r, p, f, bytes)
  memory.copy(mp, r, bytes)
  let old = dot(r, p, bytes)
  for (let step = 1; old >= 1e-20; step++) {
    memory.copy(q, mp, bytes)
    axpy(reg - ridge, p, q, bytes)
    addEntries(from, to, columns, weights, y, p, 0, 1, q, bytes)
    const curvature = dot(p, q, bytes)
    if (!(curvature > 0)) return
    const alpha = old / curvature
    axpy(alpha, p, own, bytes)
    if (step >= steps) return
    axpy(-alpha, q, r, bytes)
    multiply(inverse, r, q, f, bytes)
    const fresh = dot(r, q, bytes)
    const beta = f32x4.splat(fresh / old)
    for (let at: usize = 0; at < bytes; at += 16) {
      v128.store(p + at, f32x4.add(v128.load(q + at), f32x4.mul(beta, v128.load(p + at))))
      v128.store(mp + at, f32x4.add(v128.load(r + at), f32x4.mul(beta, v128.load(mp + at))))
    }
    old = fresh
  }
}

/** out ← out + Σ_i c_i (plus + times·⟨y_i, p⟩) y_i, four entries at a time, so that p and out are loaded once for them. */
function addEntries(
  from: i32,
  to: i32,
  columns: usize,
  weights: usize,
  y: usize,
  p: usize,
  plus: f32,
  times: f32,
  out: usize,
  bytes: usize,
): void {
  let place = from
  for (; place + 4 <= to; place += 4) {
    const column = columns + ((<usize>place) << 2)
    const a = y + <usize>load<i32>(column) * bytes
    const b = y + <usize>load<i32>(column, 4) * bytes
    const c = y + <usize>load<i32>(column, 8) * bytes
    const d = y + <usize>load<i32>(column, 12) * bytes
    let sa = f32x4.splat(0)
    let sb = f32x4.splat(0)
    let sc = f32x4.splat(0)
    let sd = f32x4.splat(0)
    for (let at: usize = 0; at < bytes; at += 16) {
      const v = v128.load(p + at)
      sa = f32x4.add(sa, f32x4.mul(v, v128.load(a + at)))
      sb = f32x4.add(sb, f32x4.mul(v, v128.load(b + at)))
      sc = f32x4.add(sc, f32x4.mul(v, v128.load(c + at)))
      sd = f32x4.add(sd, f32x4.mul(v, v128.load(d + at)))
    }
    const ab = f32x4.add(v128.shuffle<f32>(sa, sb, 0, 4, 1, 5), v128.shuffle<f32>(sa, sb, 2, 6, 3, 7))
    const cd = f32x4.add(v128.shuffle<f32>(sc, sd, 0, 4, 1, 5), v128.shuffle<f32>(sc, sd, 2, 6, 3, 7))
    const dots = f32x4.add(v128.shuffle<f32>(ab, cd, 0, 1, 4, 5), v128.shuffle<f32>(ab, cd, 2, 3, 6, 7))
    const factors = f32x4.mul(v128.load(weights + ((<usize>place) << 2)), f32x4.add(f32x4.splat(plus), f32x4.mul(f32x4.splat(times), dots)))
    const fa = v128.shuffle<f32>(factors, factors, 0, 0, 0, 0)
    const fb = v128.shuffle<f32>(factors, factors, 1, 1, 1, 1)
    const fc = v128.shuffle<f32>(factors, factors, 2, 2, 2, 2)
    const fd = v128.shuffle<f32>(factors, factors, 3, 3, 3, 3)
    for (let at: usize = 0; at < bytes; at += 16) {
      const left = f32x4.add(f32x4.mul(fa, v128.load(a + at)), f32x4.mul(fb, v128.load(b + at)))
      const right = f32x4.add(f32x4.mul(fc, v128.load(c + at)), f32x4.mul(fd, v128.load(d + at)))
      v128.store(out + at, f32x4.add(v128.load(out + at), f32x4.add(left, right)))
    }
  }
  for (; place < to; place++) {
    const row = y + <usize>load<i32>(columns + ((<usize>place) << 2)) * bytes
    axpy(load<f32>(weights + ((<usize>place) << 2)) * (plus + times * dot(row, p, bytes)), row, out, bytes)
  }
}

/** out_j ← Σ_k x_k · y_jk for every row j of y; out is float64. */
export function scoreRows(rows: i32, f: i32, x: usize, y: usize, out: usize): void {
  const bytes = (<usize>f) << 2
  for (let j = 0; j < rows; j++) store<f64>(out + ((<usize>j) << 3), <f64>dot(x, y + <usize>j * bytes, bytes))
}

/** g ← g + Σ c_i y_i y_iᵀ over the `n` rows named by `columns`; the lower triangle and the block diagonal. For the exact fold-in of one row. */
export function addNormal(n: i32, f: i32, columns: usize, weights: usize, y: usize, g: usize): void {
  const bytes = (<usize>f) << 2
  for (let at = 0; at < n; at++) {
    const row = y + <usize>load<i32>(columns + ((<usize>at) << 2)) * bytes
    const c = load<f32>(weights + ((<usize>at) << 2))
    for (let k = 0; k < f; k++) {
      const factor = f32x4.splat(c * load<f32>(row + ((<usize>k) << 2)))
      const target = g + <usize>k * bytes
      const end = (<usize>(k + 4) >> 2) << 4
      for (let l: usize = 0; l < end; l += 16)
        v128.store(target + l, f32x4.add(v128.load(target + l), f32x4.mul(factor, v128.load(row + l))))
    }
  }
}
