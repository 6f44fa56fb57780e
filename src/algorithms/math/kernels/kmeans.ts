// Nearest centres of points. Points are row-major float32 of `padded` dimensions (a multiple of 4, the rest 0); centres lie so that the same dimension of four
// centres is together: value d of centre 4·b + l at centres + 4 · ((b · padded + d) · 4 + l). Centres are padded to a multiple of four with far ones.

// Threads take chunks of points from a shared counter; what a chunk adds up to has a place of its own, so results do not depend on the number of threads.

/** Against rounding of float32 sums: bounds only ever become wider. */
const WIDER: f32 = 1.0000003
const NARROWER: f32 = 0.9999997
/** Relative error of a squared distance from ‖x‖² + ‖c‖² − 2 x·c in float32, for each dimension, with room to spare. */
const ERROR: f32 = 2.5e-7

/** `assign` for points[from … to) by chunks: sums, counts and totals have one place a chunk. */
export function assignAll(
  counter: usize,
  points: usize,
  from: i32,
  to: i32,
  chunk: i32,
  padded: i32,
  centres: usize,
  norms: usize,
  blocks: i32,
  labels: usize,
  sums: usize,
  counts: usize,
  totals: usize,
  bounds: usize,
  moves: usize,
  _thread: i32,
): void {
  const sumBytes = (<usize>blocks * <usize>padded) << 5
  const countBytes = (<usize>blocks) << 5
  while (true) {
    const place = atomic.add<i32>(counter, 1)
    const start = from + place * chunk
    if (start >= to) return
    const ownSums = sums + <usize>place * sumBytes
    const ownCounts = counts + <usize>place * countBytes
    if (!moves) {
      memory.fill(ownSums, 0, sumBytes)
      memory.fill(ownCounts, 0, countBytes)
    }
    const total = assign(points, start, min(start + chunk, to), padded, centres, norms, blocks, labels, ownSums, ownCounts, bounds, moves)
    store<f64>(totals + ((<usize>place) << 3), total)
  }
}

/** `approach` by chunks: totals has one place a chunk. */
export function approachAll(
  counter: usize,
  points: usize,
  rows: i32,
  chunk: i32,
  padded: i32,
  centre: usize,
  nearest: usize,
  totals: usize,
  _thread: i32,
): void {
  while (true) {
    const place = atomic.add<i32>(counter, 1)
    const start = place * chunk
    if (start >= rows) return
    const own = min(chunk, rows - start)
    const total = approach(points + ((<usize>start * <usize>padded) << 2), own, padded, centre, nearest + ((<usize>start) << 2))
    store<f64>(totals + ((<usize>place) << 3), total)
  }
}

/**
 * Assigns points[from … to) to their nearest centres (the first of equals) and adds them up: sums float64[k × padded], counts float64[k]. `norms` has ‖c‖² of
 * each centre, float32, padded. Returns Σ (‖c‖² − 2 x·c) of the nearest, to which Σ ‖x‖² is wanting.
 *
 * With `bounds` (float32 pairs) it keeps of each point how far its centre is at most, and every other one at least. With `moves` too (float32 quadruples of each
 * centre: how far it moved, how far any other moved, half the way to the nearest other) labels, sums and counts are those of before: only points whose bounds
 * leave it open are looked at (Hamerly 2010), and only those that change their centre are counted anew; what it returns has no meaning then.
 */
export function assign(
  points: usize,
  from: i32,
  to: i32,
  padded: i32,
  centres: usize,
  norms: usize,
  blocks: i32,
  labels: usize,
  sums: usize,
  counts: usize,
  bounds: usize,
  moves: usize,
): f64 {
  let total: f64 = 0
  const stride = (<usize>padded) << 2
  const error = ERROR * <f32>(padded + 4)
  for (let row = from; row < to; row++) {
    const bound = bounds + ((<usize>row) << 3)
    const before = moves ? load<i32>(labels + ((<usize>row) << 2)) : -1
    if (moves) {
      const move = moves + ((<usize>before) << 4)
      const upper = (load<f32>(bound) + load<f32>(move)) * WIDER
      const lower = (load<f32>(bound, 4) - load<f32>(move, 4)) * NARROWER
      if (upper < max<f32>(lower, load<f32>(move, 8))) {
        store<f32>(bound, upper)
        store<f32>(bound, lower, 4)
        continue
      }
    }
    const point = points + <usize>row * stride
    let best = f32x4.splat(f32.MAX_VALUE)
    let second = best
    let bestBlock = i32x4.splat(0)
    for (let block = 0; block < blocks; block++) {
      let centre = centres + ((<usize>block * stride) << 2)
      let a = f32x4.splat(0)
      let b = f32x4.splat(0)
      for (let at: usize = 0; at < stride; at += 16) {
        const x = v128.load(point + at)
        a = f32x4.add(a, f32x4.mul(v128.shuffle<f32>(x, x, 0, 0, 0, 0), v128.load(centre)))
        b = f32x4.add(b, f32x4.mul(v128.shuffle<f32>(x, x, 1, 1, 1, 1), v128.load(centre, 16)))
        a = f32x4.add(a, f32x4.mul(v128.shuffle<f32>(x, x, 2, 2, 2, 2), v128.load(centre, 32)))
        b = f32x4.add(b, f32x4.mul(v128.shuffle<f32>(x, x, 3, 3, 3, 3), v128.load(centre, 48)))
        centre += 64
      }
      const dots = f32x4.add(a, b)
      const distance = f32x4.sub(v128.load(norms + ((<usize>block) << 4)), f32x4.add(dots, dots))
      const nearer = f32x4.lt(distance, best)
      second = f32x4.min(second, v128.bitselect(best, distance, nearer))
      best = v128.bitselect(distance, best, nearer)
      bestBlock = v128.bitselect(i32x4.splat(block), bestBlock, nearer)
    }
    let label = i32x4.extract_lane(bestBlock, 0) << 2
    let least = f32x4.extract_lane(best, 0)
    let next = f32.MAX_VALUE
    const d1 = f32x4.extract_lane(best, 1)
    const l1 = (i32x4.extract_lane(bestBlock, 1) << 2) + 1
    next = min<f32>(next, max<f32>(d1, least))
    if (d1 < least || (d1 === least && l1 < label)) {
      least = d1
      label = l1
    }
    const d2 = f32x4.extract_lane(best, 2)
    const l2 = (i32x4.extract_lane(bestBlock, 2) << 2) + 2
    next = min<f32>(next, max<f32>(d2, least))
    if (d2 < least || (d2 === least && l2 < label)) {
      least = d2
      label = l2
    }
    const d3 = f32x4.extract_lane(best, 3)
    const l3 = (i32x4.extract_lane(bestBlock, 3) << 2) + 3
    next = min<f32>(next, max<f32>(d3, least))
    if (d3 < least || (d3 === least && l3 < label)) {
      least = d3
      label = l3
    }
    total += <f64>least
    if (bounds) {
      // Of the lane of the nearest the second is another centre's too; of any other lane it is farther than that lane's best.
      const seconds = f32x4.min(second, f32x4.splat(next))
      next = min<f32>(
        min<f32>(f32x4.extract_lane(seconds, 0), f32x4.extract_lane(seconds, 1)),
        min<f32>(f32x4.extract_lane(seconds, 2), f32x4.extract_lane(seconds, 3)),
      )
      let squares = f32x4.splat(0)
      for (let at: usize = 0; at < stride; at += 16) {
        const x = v128.load(point + at)
        squares = f32x4.add(squares, f32x4.mul(x, x))
      }
      const square =
        f32x4.extract_lane(squares, 0) + f32x4.extract_lane(squares, 1) + f32x4.extract_lane(squares, 2) + f32x4.extract_lane(squares, 3)
      // ‖c‖ ≤ ‖x‖ + ‖x − c‖, so ‖c‖² ≤ 2 ‖x‖² + 2 ‖x − c‖².
      const near = max<f32>(0, square + least)
      const far = max<f32>(0, square + next)
      store<f32>(bound, sqrt<f32>(near + error * (3 * square + 2 * near)))
      store<f32>(bound, sqrt<f32>(max<f32>(0, far - error * (3 * square + 2 * far))), 4)
    }
    if (label === before) continue
    store<i32>(labels + ((<usize>row) << 2), label)
    if (before >= 0) {
      const left = sums + ((<usize>before * stride) << 1)
      for (let at: usize = 0; at < stride; at += 8) {
        const place = left + (at << 1)
        v128.store(place, f64x2.sub(v128.load(place), f64x2.promote_low_f32x4(v128.load64_zero(point + at))))
      }
      const count = counts + ((<usize>before) << 3)
      store<f64>(count, load<f64>(count) - 1)
    }
    const sum = sums + ((<usize>label * stride) << 1)
    for (let at: usize = 0; at < stride; at += 8) {
      const place = sum + (at << 1)
      v128.store(place, f64x2.add(v128.load(place), f64x2.promote_low_f32x4(v128.load64_zero(point + at))))
    }
    const count = counts + ((<usize>label) << 3)
    store<f64>(count, load<f64>(count) + 1)
  }
  return total
}

/** nearest ← min(nearest, ‖x − c‖²) for points[0 … rows) and one centre (padded float32); returns their sum. For k-means++. */
export function approach(points: usize, rows: i32, padded: i32, centre: usize, nearest: usize): f64 {
  let total: f64 = 0
  const stride = (<usize>padded) << 2
  for (let row = 0; row < rows; row++) {
    const point = points + <usize>row * stride
    let sum = f32x4.splat(0)
    for (let at: usize = 0; at < stride; at += 16) {
      const d = f32x4.sub(v128.load(point + at), v128.load(centre + at))
      sum = f32x4.add(sum, f32x4.mul(d, d))
    }
    const distance = f32x4.extract_lane(sum, 0) + f32x4.extract_lane(sum, 1) + f32x4.extract_lane(sum, 2) + f32x4.extract_lane(sum, 3)
    const place = nearest + ((<usize>row) << 2)
    const least = min<f32>(distance, load<f32>(place))
    store<f32>(place, least)
    total += <f64>least
  }
  return total
}
