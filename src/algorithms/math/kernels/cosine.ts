// User-based predictions of every cell. The work is taken from a counter, by users and then by items, and the sums of one are made in one order by one thread.

const CHUNK = 16
/** Users whose predictions are made at once: a line of the cache. */
const LANES = 16

/**
 * out[user · stride + other] ← cosine of the two users' ratings, absent ones being 0; 0 for himself. Ratings by user (`offsets`, `items`, `values`) and by item
 * (`itemOffsets`, `raters` ascending, `ratings`), float32; `norms` float64; `out` is 0 before. Each pair is made once, by the later of the two.
 */
export function similarities(
  counter: usize,
  users: i32,
  stride: i32,
  offsets: usize,
  items: usize,
  values: usize,
  itemOffsets: usize,
  raters: usize,
  ratings: usize,
  norms: usize,
  out: usize,
  _thread: i32,
): void {
  while (true) {
    // The last ones have most to do.
    const end = users - atomic.add<i32>(counter, CHUNK)
    if (end <= 0) return
    for (let user = max(end - CHUNK, 0); user < end; user++) {
      const row = out + ((<usize>user * <usize>stride) << 2)
      for (let at = load<i32>(offsets + ((<usize>user) << 2)); at < load<i32>(offsets + ((<usize>user) << 2), 4); at++) {
        const item = <usize>load<i32>(items + ((<usize>at) << 2))
        const value = load<f32>(values + ((<usize>at) << 2))
        for (let place = load<i32>(itemOffsets + (item << 2)); ; place++) {
          const other = load<i32>(raters + ((<usize>place) << 2))
          // He is among the raters himself.
          if (other >= user) break
          const cell = row + ((<usize>other) << 2)
          store<f32>(cell, load<f32>(cell) + value * load<f32>(ratings + ((<usize>place) << 2)))
        }
      }
      const norm = load<f64>(norms + ((<usize>user) << 3))
      for (let other = 0; other < user; other++) {
        const cell = row + ((<usize>other) << 2)
        const product = <f64>load<f32>(cell)
        if (product === 0) continue
        const cosine = <f32>(product / (norm * load<f64>(norms + ((<usize>other) << 3))))
        store<f32>(cell, cosine)
        store<f32>(out + ((<usize>other * <usize>stride + <usize>user) << 2), cosine)
      }
    }
  }
}

/**
 * out[user · items + item] ← Σ_v s_uv r_v / max(Σ_v s_uv, 10⁻⁹) over the raters v of the item (`raters`, `ratings` float32, from offsets[item] on), float64;
 * `otherwise` where nobody rated it. `similarity`: users × stride float32, symmetric, stride a multiple of 16 and the rest of each row 0. `panels`: users × 16
 * float32 for each thread.
 */
export function predictCells(
  counter: usize,
  items: i32,
  users: i32,
  stride: i32,
  offsets: usize,
  raters: usize,
  ratings: usize,
  similarity: usize,
  panels: usize,
  otherwise: f64,
  out: usize,
  thread: i32,
): void {
  const panel = panels + ((<usize>thread * <usize>users * LANES) << 2)
  while (true) {
    const first = atomic.add<i32>(counter, LANES)
    if (first >= users) return
    // Of all users the similarities to these sixteen, side by side, so that they stay in the cache for all items.
    for (let other = 0; other < users; other++)
      memory.copy(panel + ((<usize>other * LANES) << 2), similarity + ((<usize>other * <usize>stride + <usize>first) << 2), LANES << 2)
    const target = out + ((<usize>first * <usize>items) << 3)
    for (let item = 0; item < items; item++) {
      const from = load<i32>(offsets + ((<usize>item) << 2))
      const to = load<i32>(offsets + ((<usize>item) << 2), 4)
      predictItem(
        from,
        to,
        min(users - first, LANES),
        raters,
        ratings,
        panel,
        otherwise,
        target + ((<usize>item) << 3),
        (<usize>items) << 3,
      )
    }
  }
}

function predictItem(
  from: i32,
  to: i32,
  lanes: i32,
  raters: usize,
  ratings: usize,
  panel: usize,
  otherwise: f64,
  target: usize,
  step: usize,
): void {
  let sumA = f32x4.splat(0)
  let sumB = f32x4.splat(0)
  let sumC = f32x4.splat(0)
  let sumD = f32x4.splat(0)
  let totalA = f32x4.splat(0)
  let totalB = f32x4.splat(0)
  let totalC = f32x4.splat(0)
  let totalD = f32x4.splat(0)
  for (let at = from; at < to; at++) {
    const row = panel + ((<usize>load<i32>(raters + ((<usize>at) << 2)) * LANES) << 2)
    const rating = v128.load32_splat(ratings + ((<usize>at) << 2))
    const a = v128.load(row)
    const b = v128.load(row, 16)
    const c = v128.load(row, 32)
    const d = v128.load(row, 48)
    totalA = f32x4.add(totalA, a)
    totalB = f32x4.add(totalB, b)
    totalC = f32x4.add(totalC, c)
    totalD = f32x4.add(totalD, d)
    sumA = f32x4.add(sumA, f32x4.mul(rating, a))
    sumB = f32x4.add(sumB, f32x4.mul(rating, b))
    sumC = f32x4.add(sumC, f32x4.mul(rating, c))
    sumD = f32x4.add(sumD, f32x4.mul(rating, d))
  }
  const isUnrated = from === to
  putFour(target, step, lanes, isUnrated, otherwise, sumA, totalA)
  putFour(target + 4 * step, step, lanes - 4, isUnrated, otherwise, sumB, totalB)
  putFour(target + 8 * step, step, lanes - 8, isUnrated, otherwise, sumC, totalC)
  putFour(target + 12 * step, step, lanes - 12, isUnrated, otherwise, sumD, totalD)
}

function putFour(target: usize, step: usize, left: i32, isUnrated: bool, otherwise: f64, sum: v128, total: v128): void {
  if (left > 0) put(target, isUnrated, otherwise, f32x4.extract_lane(sum, 0), f32x4.extract_lane(total, 0))
  if (left > 1) put(target + step, isUnrated, otherwise, f32x4.extract_lane(sum, 1), f32x4.extract_lane(total, 1))
  if (left > 2) put(target + 2 * step, isUnrated, otherwise, f32x4.extract_lane(sum, 2), f32x4.extract_lane(total, 2))
  if (left > 3) put(target + 3 * step, isUnrated, otherwise, f32x4.extract_lane(sum, 3), f32x4.extract_lane(total, 3))
}

function put(target: usize, isUnrated: bool, otherwise: f64, sum: f32, total: f32): void {
  store<f64>(target, isUnrated ? otherwise : <f64>sum / max<f64>(<f64>total, 1e-9))
}
