// User-based predictions of every cell. The work is taken from a counter, by users and then by items, and the sums of one are made in one order by one thread.

const CHUNK = 16

/**
 * out[user · stride + other] ← cosine of the two users' ratings, absent ones being 0; 0 for himself. Ratings by user (`offsets`, `items`, `values`) and by item
 * (`itemOffsets`, `raters`, `ratings`), float32; `norms` float64; `out` is 0 before.
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
    const begin = atomic.add<i32>(counter, CHUNK)
    if (begin >= users) return
    const end = min(begin + CHUNK, users)
    for (let user = begin; user < end; user++) {
      const row = out + ((<usize>user * <usize>stride) << 2)
      for (let at = load<i32>(offsets + ((<usize>user) << 2)); at < load<i32>(offsets + ((<usize>user) << 2), 4); at++) {
        const item = <usize>load<i32>(items + ((<usize>at) << 2))
        const value = load<f32>(values + ((<usize>at) << 2))
        const last = load<i32>(itemOffsets + (item << 2), 4)
        for (let place = load<i32>(itemOffsets + (item << 2)); place < last; place++) {
          const cell = row + ((<usize>load<i32>(raters + ((<usize>place) << 2))) << 2)
          store<f32>(cell, load<f32>(cell) + value * load<f32>(ratings + ((<usize>place) << 2)))
        }
      }
      const norm = load<f64>(norms + ((<usize>user) << 3))
      for (let other = 0; other < users; other++) {
        const cell = row + ((<usize>other) << 2)
        const product = <f64>load<f32>(cell)
        if (product !== 0) store<f32>(cell, other === user ? 0 : <f32>(product / (norm * load<f64>(norms + ((<usize>other) << 3)))))
      }
    }
  }
}

/**
 * out[user · items + item] ← Σ_v s_uv r_v / max(Σ_v s_uv, 10⁻⁹) over the raters v of the item (`raters`, `ratings` float32, from offsets[item] on), float64;
 * `otherwise` where nobody rated it. `similarity`: users × stride float32, stride a multiple of 8 and the rest of each row 0.
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
  otherwise: f64,
  out: usize,
  _thread: i32,
): void {
  while (true) {
    const begin = atomic.add<i32>(counter, CHUNK)
    if (begin >= items) return
    const end = min(begin + CHUNK, items)
    for (let item = begin; item < end; item++)
      predictItem(
        item,
        items,
        users,
        stride,
        load<i32>(offsets + ((<usize>item) << 2)),
        load<i32>(offsets + ((<usize>item) << 2), 4),
        raters,
        ratings,
        similarity,
        otherwise,
        out,
      )
  }
}

function predictItem(
  item: i32,
  items: i32,
  users: i32,
  stride: i32,
  from: i32,
  to: i32,
  raters: usize,
  ratings: usize,
  similarity: usize,
  otherwise: f64,
  out: usize,
): void {
  for (let user = 0; user < users; user += 8) {
    let sumA = f32x4.splat(0)
    let sumB = f32x4.splat(0)
    let totalA = f32x4.splat(0)
    let totalB = f32x4.splat(0)
    for (let at = from; at < to; at++) {
      const rater = <usize>load<i32>(raters + ((<usize>at) << 2))
      const rating = v128.load32_splat(ratings + ((<usize>at) << 2))
      const row = similarity + ((rater * <usize>stride + <usize>user) << 2)
      const a = v128.load(row)
      const b = v128.load(row, 16)
      totalA = f32x4.add(totalA, a)
      totalB = f32x4.add(totalB, b)
      sumA = f32x4.add(sumA, f32x4.mul(rating, a))
      sumB = f32x4.add(sumB, f32x4.mul(rating, b))
    }
    const target = out + ((<usize>user * <usize>items + <usize>item) << 3)
    const step = (<usize>items) << 3
    const left = users - user
    put(target, from === to, otherwise, f32x4.extract_lane(sumA, 0), f32x4.extract_lane(totalA, 0))
    if (left > 1) put(target + step, from === to, otherwise, f32x4.extract_lane(sumA, 1), f32x4.extract_lane(totalA, 1))
    if (left > 2) put(target + 2 * step, from === to, otherwise, f32x4.extract_lane(sumA, 2), f32x4.extract_lane(totalA, 2))
    if (left > 3) put(target + 3 * step, from === to, otherwise, f32x4.extract_lane(sumA, 3), f32x4.extract_lane(totalA, 3))
    if (left > 4) put(target + 4 * step, from === to, otherwise, f32x4.extract_lane(sumB, 0), f32x4.extract_lane(totalB, 0))
    if (left > 5) put(target + 5 * step, from === to, otherwise, f32x4.extract_lane(sumB, 1), f32x4.extract_lane(totalB, 1))
    if (left > 6) put(target + 6 * step, from === to, otherwise, f32x4.extract_lane(sumB, 2), f32x4.extract_lane(totalB, 2))
    if (left > 7) put(target + 7 * step, from === to, otherwise, f32x4.extract_lane(sumB, 3), f32x4.extract_lane(totalB, 3))
  }
}

function put(target: usize, isUnrated: bool, otherwise: f64, sum: f32, total: f32): void {
  store<f64>(target, isUnrated ? otherwise : <f64>sum / max<f64>(<f64>total, 1e-9))
}
