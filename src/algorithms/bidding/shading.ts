import { type Algorithm, type Learned, parameter } from '../algorithm.js'
import { BrokenArtifact, pack, unpack } from '../artifact.js'
import type { WinCurve } from './strategy.js'

/** What came of own bids; one entry a bid. */
export interface WinLog {
  bids: Float64Array
  won: Uint8Array
  /** The least bid that would have won (min-to-win, or the price paid in a second-price auction); NaN where nobody told. */
  minToWin: Float64Array
}

export type WinCurveModel = WinCurve & Learned

const FORMAT = 'win-curve/1'
/** Points between a quarter of the lowest and four times the highest amount, so that there is room around few observations. */
const GRID = 64
const MOST_PRICES = 512
const ROUNDS = 500

/**
 * Chance of winning by bid, from wins, losses and min-to-win: a known min-to-win is the market price itself, a win says that the price was at
 * most the bid, a loss that it was above. The distribution of prices over the amounts seen (and a grid between them) is the non-parametric
 * maximum of likelihood under this censoring (Turnbull 1976, by EM), drawn by `prior` pseudo-observations to the log-logistic curve of highest
 * likelihood: the parametric curve where little is known, and exact jumps (prices at floors) where much is. An empty log gives a curve that
 * does not shade.
 */
export const winCurve: Algorithm<WinLog, WinCurveModel> = {
  name: 'win-curve',
  defaults: { prior: 10 },
  fit: (log, params) => {
    check(log)
    if (log.bids.length === 0) return curveOf(new Float64Array(0), new Float64Array(0))
    const points = supportOf(log)
    const counts = countsOf(log, points)
    const parametric = logLogistic(points, counts)
    return curveOf(points, sumsOf(turnbull(counts, parametric, parameter(params, winCurve.defaults, 'prior'))))
  },
  load: artifact => {
    const { points, chances } = unpack(FORMAT, artifact).arrays
    if (!(points instanceof Float64Array && chances instanceof Float64Array && points.length === chances.length))
      throw new BrokenArtifact('The win curve lacks its points')
    return curveOf(points, chances)
  },
}

/** A curve from a log of market prices, all of which are known. */
export function curveOfPrices(prices: ArrayLike<number>): WinCurveModel {
  const known = Float64Array.from(prices)
  return winCurve.fit({ bids: known, won: new Uint8Array(known.length).fill(1), minToWin: known }, { prior: 0 }, NO_RANDOM)
}

/**
 * Least squares of ORTB's win curve, b/(c+b) or b²/(c²+b²), to the learned one at 300 evenly spaced bids up to one that wins 99 % of what can be
 * won (a single dear price must not stretch the scale); c in the curve's unit, 0 of an empty curve.
 */
export function fitOrtb(curve: WinCurve, form: number, highest = reaching(curve, 0.99 * curve.chance(curve.highestMicros))): number {
  const bids = Float64Array.from({ length: 300 }, (_, at) => ((at + 1) / 300) * highest)
  const chances = bids.map(bid => curve.chance(bid))
  const loss = (c: number) => {
    let sum = 0
    for (let at = 0; at < bids.length; at++) {
      const ratio = form === 1 ? bids[at] / c : (bids[at] / c) ** 2
      sum += (ratio / (1 + ratio) - chances[at]) ** 2
    }
    return sum
  }
  let [low, high] = [Math.log(highest) - 12, Math.log(highest) + 3]
  if (!Number.isFinite(low)) return 0
  // The loss has one valley along log c; a coarse look finds it, golden sections its bottom.
  const steps = Array.from({ length: 61 }, (_, at) => low + ((high - low) * at) / 60)
  const best = steps.reduce((least, step) => (loss(Math.exp(step)) < loss(Math.exp(least)) ? step : least))
  ;[low, high] = [best - 0.25, best + 0.25]
  for (let round = 0; round < 40; round++) {
    const [a, b] = [high - 0.618034 * (high - low), low + 0.618034 * (high - low)]
    if (loss(Math.exp(a)) < loss(Math.exp(b))) high = b
    else low = a
  }
  return Math.exp((low + high) / 2)
}

/** The least bid of that chance, by halving. */
function reaching(curve: WinCurve, chance: number): number {
  let [low, high] = [0, curve.highestMicros]
  for (let round = 0; round < 50; round++) {
    const middle = (low + high) / 2
    if (curve.chance(middle) < chance) low = middle
    else high = middle
  }
  return high
}

/** P(price ≤ points[k]) = chances[k], a step function: between two points the chance is that of the lower one, so a bid is never overrated. */
function curveOf(points: Float64Array, chances: Float64Array): WinCurveModel {
  const hull = hullOf(points, chances)
  const gain = (worth: number, at: number) => (worth - points[at]) * chances[at]
  return {
    highestMicros: points.length > 0 ? points[points.length - 1] : 0,
    chance: bid => (points.length === 0 ? 0 : (chances[placeOf(points, bid)] ?? 0)),
    shade: (worth, floor) => {
      if (!(floor > 0)) return shadedOnHull(points, chances, hull, worth)
      const at = placeOf(points, floor)
      let [bid, most] = [Math.min(worth, floor), at < 0 ? 0 : (worth - floor) * chances[at]]
      for (let next = at + 1; next < points.length && points[next] <= worth; next++) {
        if (gain(worth, next) <= most) continue
        most = gain(worth, next)
        bid = points[next]
      }
      // Where nothing is known to be won, the bid says the truth.
      return most > 0 ? bid : worth
    },
    save: () => pack(FORMAT, { meta: {}, arrays: { points, chances } }),
  }
}

/**
 * (worth − b)·P(b) of each point is a line in worth; the best point for every worth is the upper envelope of these lines, found once. So
 * shading costs a binary search, and more worth never bids less.
 */
function hullOf(points: Float64Array, chances: Float64Array): Int32Array {
  const hull: number[] = []
  const meets = (a: number, b: number) => (points[b] * chances[b] - points[a] * chances[a]) / (chances[b] - chances[a])
  for (let at = 0; at < points.length; at++) {
    if (!(chances[at] > 0)) continue
    if (hull.length > 0 && chances[at] <= chances[hull[hull.length - 1]]) continue
    while (hull.length > 1 && meets(hull[hull.length - 1], at) <= meets(hull[hull.length - 2], hull[hull.length - 1])) hull.pop()
    hull.push(at)
  }
  return Int32Array.from(hull)
}

function shadedOnHull(points: Float64Array, chances: Float64Array, hull: Int32Array, worth: number): number {
  if (hull.length === 0 || worth < points[hull[0]]) return worth
  let [low, high] = [0, hull.length - 1]
  while (low < high) {
    const middle = (low + high + 1) >> 1
    const [a, b] = [hull[middle - 1], hull[middle]]
    if ((worth - points[b]) * chances[b] > (worth - points[a]) * chances[a]) low = middle
    else high = middle - 1
  }
  return points[hull[low]]
}

interface Counts {
  /** By cell: price known; won at a bid of this cell; lost at one. */
  exact: Float64Array
  won: Float64Array
  lost: Float64Array
}

function supportOf({ bids, minToWin }: WinLog): Float64Array {
  const known = minToWin.filter(Number.isFinite).sort()
  const exact = known.filter((price, at) => at === 0 || price !== known[at - 1])
  const chosen = exact.length <= MOST_PRICES ? exact : quantilesOf(known)
  let [low, high] = [Number.POSITIVE_INFINITY, 0]
  for (let at = 0; at < bids.length; at++) {
    const amount = Number.isFinite(minToWin[at]) ? minToWin[at] : bids[at]
    low = Math.min(low, Math.max(amount, 1e-9))
    high = Math.max(high, amount)
  }
  // With every price known there is nothing to be spread between them.
  const grid =
    known.length === bids.length || high <= 0
      ? []
      : Array.from({ length: GRID + 1 }, (_, at) => (low / 4) * ((16 * high) / low) ** (at / GRID))
  const all = Float64Array.from([...chosen, ...grid]).sort()
  return all.filter((point, at) => at === 0 || point !== all[at - 1])
}

function quantilesOf(sorted: Float64Array): Float64Array {
  return Float64Array.from({ length: MOST_PRICES }, (_, at) => sorted[Math.ceil(((at + 1) / MOST_PRICES) * sorted.length) - 1])
}

function countsOf({ bids, won, minToWin }: WinLog, points: Float64Array): Counts {
  const cells = points.length + 1
  const counts = { exact: new Float64Array(cells), won: new Float64Array(cells), lost: new Float64Array(cells) }
  for (let at = 0; at < bids.length; at++) {
    // A price between two points counts as the upper one: that is what would have won.
    if (Number.isFinite(minToWin[at])) counts.exact[placeBefore(points, minToWin[at]) + 1]++
    else if (won[at]) counts.won[Math.max(0, placeOf(points, bids[at]))]++
    else counts.lost[Math.max(0, placeOf(points, bids[at]))]++
  }
  return counts
}

/** Cell probabilities of the log-logistic curve F = 1/(1+exp(−(α·ln z + β))) of highest likelihood; Newton on a concave function. */
function logLogistic(points: Float64Array, { exact, won, lost }: Counts): Float64Array {
  const logs = points.map(point => Math.log(Math.max(point, 1e-9)))
  let total = 0
  let mean = 0
  points.forEach((_, at) => {
    const count = exact[at] + won[at] + lost[at]
    total += count
    mean += count * logs[at]
  })
  mean /= Math.max(1, total)
  let [alpha, beta] = [1, 0]
  for (let round = 0; round < 100; round++) {
    // A weak prior on α and β keeps the curve finite where all was won, all was lost, or one price only was seen.
    let [ga, gb, haa, hab, hbb] = [(1 - alpha) * 0.1, -beta * 0.1, -0.1, 0, -0.1]
    for (let at = 0; at < points.length; at++) {
      const x = logs[at] - mean
      const f = 1 / (1 + Math.exp(-(alpha * x + beta)))
      const slope = exact[at] * (1 - 2 * f) + won[at] * (1 - f) - lost[at] * f
      const bend = -f * (1 - f) * (2 * exact[at] + won[at] + lost[at])
      ga += slope * x + exact[at] / alpha
      gb += slope
      haa += bend * x * x - exact[at] / (alpha * alpha)
      hab += bend * x
      hbb += bend
    }
    const determinant = haa * hbb - hab * hab
    let [da, db] = [-(hbb * ga - hab * gb) / determinant, -(haa * gb - hab * ga) / determinant]
    const scale = Math.min(1, (0.5 * alpha) / Math.max(1e-12, Math.abs(da)), 2 / Math.max(1e-12, Math.abs(db)))
    ;[da, db] = [da * scale, db * scale]
    alpha = Math.min(200, Math.max(1e-3, alpha + da))
    beta += db
    if (Math.abs(da) < 1e-9 && Math.abs(db) < 1e-9) break
  }
  const cells = new Float64Array(points.length + 1)
  let before = 0
  for (let at = 0; at < points.length; at++) {
    const f = 1 / (1 + Math.exp(-(alpha * (logs[at] - mean) + beta)))
    cells[at] = Math.max(0, f - before)
    before = Math.max(before, f)
  }
  cells[points.length] = 1 - before
  return cells
}

/** EM for interval-censored prices; the last cell is "dearer than all that was seen". */
function turnbull({ exact, won, lost }: Counts, prior: Float64Array, strength: number): Float64Array {
  const cells = prior.length
  let p = prior.map(share => 0.999 * share + 0.001 / cells)
  const upTo = new Float64Array(cells)
  const next = new Float64Array(cells)
  for (let round = 0; round < ROUNDS; round++) {
    let sum = 0
    for (let at = 0; at < cells; at++) {
      sum += p[at]
      upTo[at] = sum
    }
    let wins = 0
    for (let at = cells - 1; at >= 0; at--) {
      if (won[at] > 0) wins += won[at] / Math.max(1e-12, upTo[at])
      next[at] = exact[at] + strength * prior[at] + p[at] * wins
    }
    let losses = 0
    let total = 0
    for (let at = 0; at < cells; at++) {
      next[at] += p[at] * losses
      if (lost[at] > 0) losses += lost[at] / Math.max(1e-12, 1 - upTo[at])
      total += next[at]
    }
    let moved = 0
    for (let at = 0; at < cells; at++) {
      next[at] /= total
      moved = Math.max(moved, Math.abs(next[at] - p[at]))
    }
    p = next.slice()
    if (moved < 1e-10) break
  }
  return p
}

function sumsOf(cells: Float64Array): Float64Array {
  const sums = new Float64Array(cells.length - 1)
  let sum = 0
  for (let at = 0; at < sums.length; at++) {
    sum += cells[at]
    sums[at] = Math.min(1, sum)
  }
  return sums
}

/** Index of the last point ≤ amount, −1 if there is none. */
function placeOf(points: Float64Array, amount: number): number {
  let [low, high] = [0, points.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (points[middle] <= amount) low = middle + 1
    else high = middle
  }
  return low - 1
}

/** Index of the last point < amount. */
function placeBefore(points: Float64Array, amount: number): number {
  const at = placeOf(points, amount)
  return at >= 0 && points[at] === amount ? at - 1 : at
}

function check({ bids, won, minToWin }: WinLog) {
  if (won.length !== bids.length || minToWin.length !== bids.length) throw new RangeError('bids, won and minToWin must be of one length')
  for (let at = 0; at < bids.length; at++) {
    if (!(bids[at] >= 0 && bids[at] < Number.POSITIVE_INFINITY))
      throw new RangeError(`Bid ${at} is ${bids[at]}; it must be a number, zero or more`)
    if (minToWin[at] < 0) throw new RangeError(`Min-to-win ${at} is ${minToWin[at]}; it must be zero or more`)
  }
}

/** Fitting a curve takes no chances. */
const NO_RANDOM = { next: () => 0, below: () => 0, normal: () => 0, fork: () => NO_RANDOM }
