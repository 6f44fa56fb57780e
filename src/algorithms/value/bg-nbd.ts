import { minimise } from '../math/minimise.js'
import { hypergeometric, logAddExp, logGamma } from '../math/special.js'
import type { Customers } from './customers.js'

/** Parameters of BG/NBD: rates are Gamma(r, alpha), drop-out after each purchase has probability Beta(a, b). */
export interface BgNbd {
  r: number
  alpha: number
  a: number
  b: number
  logLikelihood: number
  /** False where the likelihood has no inner maximum; parameters then lie on the bounds and predictions are those of the bounded model. */
  isInner: boolean
}

/** e^±9: rates beyond these are indistinguishable from no purchase at all, from no drop-out, or from all customers alike. */
const BOUND = 9

/**
 * Maximum likelihood of the BG/NBD model (Fader, Hardie and Lee 2005, "Counting your customers the easy way"), log-parameters bounded to ±9. Equal customers
 * are counted once. Without customers: all parameters 1, which says little.
 */
export function fitBgNbd(customers: Customers): BgNbd {
  const groups = grouped(customers)
  if (groups.length === 0) return { r: 1, alpha: 1, a: 1, b: 1, logLikelihood: 0, isInner: false }
  const scale = groups.reduce((most, { T }) => Math.max(most, T), 0) || 1
  const f = (x: Float64Array) => -logLikelihoodOf(groups, Math.exp(x[0]), Math.exp(x[1]) * scale, Math.exp(x[2]), Math.exp(x[3]))
  const starts = [
    [0, -1, 0, 0],
    [-1, -2, -0.5, 1],
  ]
  const found = starts.map(start =>
    minimise(f, minimise(f, start, { low: -BOUND, high: BOUND }).x, { low: -BOUND, high: BOUND, size: 0.1 }),
  )
  const best = found.reduce((least, each) => (each.value < least.value ? each : least))
  const [r, alpha, a, b] = best.x.map(Math.exp)
  return {
    r,
    alpha: alpha * scale,
    a,
    b,
    logLikelihood: -best.value,
    isInner: best.x.every(each => Math.abs(each) < BOUND - 0.01),
  }
}

interface Group {
  x: number
  tx: number
  T: number
  count: number
}

function grouped({ repeats, recency, age }: Customers): Group[] {
  const groups = new Map<string, Group>()
  for (let at = 0; at < repeats.length; at++) {
    const [x, tx, T] = [repeats[at], recency[at], age[at]]
    // A clock that ran backwards: the last purchase cannot be after the end.
    if (!(x >= 0 && tx >= 0 && T >= 0 && tx <= T) || !Number.isFinite(x + tx + T)) continue
    const key = `${x} ${tx} ${T}`
    const known = groups.get(key)
    if (known) known.count++
    else groups.set(key, { x, tx, T, count: 1 })
  }
  return [...groups.values()]
}

/** ln L = Σ A₁ + A₂ + ln(e^A₃ + δ e^A₄), equation 7 of the authors' note on its numerical form. */
function logLikelihoodOf(groups: readonly Group[], r: number, alpha: number, a: number, b: number): number {
  let sum = 0
  const [gammaR, logAlpha, logA, beta] = [logGamma(r), Math.log(alpha), Math.log(a), logGamma(a + b) - logGamma(b)]
  for (const { x, tx, T, count } of groups) {
    const a1 = x > 0 ? logGamma(r + x) - gammaR : 0
    const a2 = x > 0 ? beta + logGamma(b + x) - logGamma(a + b + x) : 0
    const a3 = -(r + x) * Math.log(alpha + T)
    const a4 = x > 0 ? logA - Math.log(b + x - 1) - (r + x) * Math.log(alpha + tx) : Number.NEGATIVE_INFINITY
    sum += count * (a1 + r * logAlpha + a2 + logAddExp(a3, a4))
  }
  return sum
}

/** P(customer is still active) after x repeats, the last at tx, observed for T. 1 before the first repeat. */
export function probabilityAlive({ r, alpha, a, b }: BgNbd, x: number, tx: number, T: number): number {
  if (x <= 0) return 1
  return 1 / (1 + (a / (b + x - 1)) * Math.exp((r + x) * Math.log((alpha + T) / (alpha + tx))))
}

/** Expected purchases in the `t` after observation (equation 10); 0 for t = 0, never more than a customer who never drops out would make. */
export function expectedPurchases(model: BgNbd, x: number, tx: number, T: number, t: number): number {
  const { r, alpha, a, b } = model
  if (!(t > 0)) return 0
  const alive = probabilityAlive(model, x, tx, T)
  const most = ((r + x) / (alpha + T)) * t
  // The formula has a removable pole at a = 1.
  const near = Math.abs(a - 1) < 1e-5 ? a + 2e-5 : a
  const z = t / (alpha + T + t)
  const hyper = hypergeometric(r + x, b + x, near + b + x - 1, z)
  const unconditional = ((near + b + x - 1) / (near - 1)) * (1 - ((alpha + T) / (alpha + T + t)) ** (r + x) * hyper)
  const value = Number.isFinite(unconditional) ? unconditional * alive : most * alive
  return Math.max(0, Math.min(value, most))
}

/**
 * Distribution of purchases in the next `t` by simulation from the customer's posterior: rate ~ Gamma(r + x, alpha + T), drop-out ~ Beta(a, b + x) (an active
 * customer's), activity by `probabilityAlive`. Calls `each` with the purchase count of every draw.
 */
export function simulatePurchases(
  { r, alpha, a, b }: BgNbd,
  { x, alive, T, t }: { x: number; alive: number; T: number; t: number },
  draw: { uniform(): number; gamma(shape: number): number },
  draws: number,
  each: (purchases: number) => void,
) {
  for (let at = 0; at < draws; at++) {
    let count = 0
    if (draw.uniform() < alive) {
      const rate = draw.gamma(r + x) / (alpha + T)
      const [one, other] = [draw.gamma(a), draw.gamma(b + x)]
      const dropOut = one / (one + other)
      for (
        let time = -Math.log(1 - draw.uniform()) / rate;
        time < t && count < MOST_PURCHASES;
        time -= Math.log(1 - draw.uniform()) / rate
      ) {
        count++
        if (draw.uniform() < dropOut) break
      }
    }
    each(count)
  }
}

const MOST_PURCHASES = 100_000
