import { minimise } from '../math/minimise.js'
import { logGamma } from '../math/special.js'
import type { Customers } from './customers.js'

/** Parameters of Gamma-Gamma: a purchase is Gamma(p, ν), ν of the customer is Gamma(q, v). */
export interface GammaGamma {
  p: number
  q: number
  v: number
  logLikelihood: number
  /** Customers that had a repeat purchase of positive value. */
  customers: number
}

const BOUND = 12

/**
 * Maximum likelihood of the Gamma-Gamma model of spend (Fader, Hardie and Lee 2005, "RFM and CLV"; Fader and Hardie 2013), log-parameters bounded. q is kept
 * above 1, so that the mean exists. Undefined where nobody had a repeat purchase of positive value.
 */
export function fitGammaGamma({ repeats, meanValue }: Customers): GammaGamma | undefined {
  const rows: { x: number; m: number }[] = []
  for (let at = 0; at < repeats.length; at++)
    if (repeats[at] > 0 && meanValue[at] > 0 && Number.isFinite(meanValue[at])) rows.push({ x: repeats[at], m: meanValue[at] })
  if (rows.length === 0) return undefined
  const scale = rows.reduce((sum, { m }) => sum + m, 0) / rows.length
  const of = (x: Float64Array) => ({ p: Math.exp(x[0]), q: 1 + Math.exp(x[1]), v: Math.exp(x[2]) * scale })
  const f = (x: Float64Array) => {
    const { p, q, v } = of(x)
    let sum = 0
    for (const { x: n, m } of rows) {
      sum +=
        logGamma(p * n + q) -
        logGamma(p * n) -
        logGamma(q) +
        q * Math.log(v) +
        (p * n - 1) * Math.log(m) +
        p * n * Math.log(n) -
        (p * n + q) * Math.log(n * m + v)
    }
    return -sum
  }
  const first = minimise(f, [1, 1, -1], { low: -BOUND, high: BOUND })
  const best = minimise(f, first.x, { low: -BOUND, high: BOUND, size: 0.1 })
  return { ...of(best.x), logLikelihood: -best.value, customers: rows.length }
}

/** Expected value of a purchase, E(M | x, m) = p(v + x·m) / (p·x + q − 1); the population's for a customer without a repeat. */
export function expectedValue({ p, q, v }: GammaGamma, x: number, m: number): number {
  const n = x > 0 && m > 0 && Number.isFinite(m) ? x : 0
  return (p * (v + n * (n > 0 ? m : 0))) / (p * n + q - 1)
}
