import type { Learned } from '../algorithm.js'
import { pack, unpack } from '../artifact.js'
import type { Random } from '../math/random.js'
import { type BgNbd, expectedPurchases, fitBgNbd, probabilityAlive, simulatePurchases } from './bg-nbd.js'
import type { Customers } from './customers.js'
import { expectedValue, fitGammaGamma, type GammaGamma } from './gamma-gamma.js'

const FORMAT = 'lifetime/1'
const DRAWS = 400
const MOST_HORIZON = 10_000

/** What one customer is worth, in the unit of time and money of the data. */
export interface CustomerValue {
  probabilityAlive: number
  /** Expected purchases within the horizon. */
  purchases: number
  /** Expected value of one purchase. */
  orderValue: number
  /** purchases × orderValue. */
  value: number
  /** 90 % of the outcomes that the model holds possible lie in here. */
  low: number
  high: number
  /** Time from the end of observation until half a chance of a next purchase; infinite where that chance never reaches a half. */
  nextPurchase: number
}

/** A learned model of customer value; answers for customers it never saw, and for those with no repeat purchase by the population. */
export interface LifetimeModel extends Learned {
  readonly bgNbd: BgNbd
  readonly gammaGamma: GammaGamma | undefined
  readonly meanFirstValue: number
  /** Fast: expectations only, `value` of every customer within `horizon`. */
  expected(customers: Customers, horizon: number): { purchases: Float64Array; value: Float64Array; alive: Float64Array }
  /** One customer with interval and next purchase; the draws are repeatable by `random`. */
  customer(customers: Customers, row: number, horizon: number, random: Random): CustomerValue
}

/** BG/NBD for purchases and Gamma-Gamma for their value (Fader, Hardie and Lee 2005). `fallbackValue`: mean purchase, used where nobody repeated. */
export function fitLifetime(customers: Customers, fallbackValue = 0): LifetimeModel {
  return modelOf(fitBgNbd(customers), fitGammaGamma(customers), Number.isFinite(fallbackValue) ? fallbackValue : 0)
}

export function loadLifetime(artifact: Uint8Array): LifetimeModel {
  const { meta } = unpack(FORMAT, artifact)
  return modelOf(meta.bgNbd as BgNbd, (meta.gammaGamma as GammaGamma | null) ?? undefined, Number(meta.meanFirstValue))
}

function modelOf(bgNbd: BgNbd, gammaGamma: GammaGamma | undefined, meanFirstValue: number): LifetimeModel {
  const facts = ({ repeats, recency, age, meanValue }: Customers, row: number) => {
    const x = Number.isFinite(repeats[row]) ? Math.max(0, repeats[row]) : 0
    const T = Number.isFinite(age[row]) ? Math.max(0, age[row]) : 0
    const tx = Number.isFinite(recency[row]) ? Math.max(0, Math.min(T, recency[row])) : 0
    return { x, tx, T, orderValue: gammaGamma ? expectedValue(gammaGamma, x, meanValue[row]) : meanFirstValue }
  }
  return {
    bgNbd,
    gammaGamma,
    meanFirstValue,
    expected: (customers, horizon) => {
      const count = customers.repeats.length
      const out = { purchases: new Float64Array(count), value: new Float64Array(count), alive: new Float64Array(count) }
      for (let row = 0; row < count; row++) {
        const { x, tx, T, orderValue } = facts(customers, row)
        out.alive[row] = probabilityAlive(bgNbd, x, tx, T)
        out.purchases[row] = expectedPurchases(bgNbd, x, tx, T, Math.min(MOST_HORIZON, horizon))
        out.value[row] = out.purchases[row] * orderValue
      }
      return out
    },
    customer: (customers, row, horizon, random) => {
      const { x, tx, T, orderValue } = facts(customers, row)
      const t = Math.min(MOST_HORIZON, horizon)
      const alive = probabilityAlive(bgNbd, x, tx, T)
      const purchases = expectedPurchases(bgNbd, x, tx, T, t)
      const draw = { uniform: () => random.next(), gamma: (shape: number) => gamma(shape, random) }
      const outcomes: number[] = []
      simulatePurchases(bgNbd, { x, alive, T, t }, draw, DRAWS, count => {
        outcomes.push(count * (gammaGamma ? spend(gammaGamma, x, customers.meanValue[row], count, draw) : meanFirstValue))
      })
      outcomes.sort((a, b) => a - b)
      const value = purchases * orderValue
      return {
        probabilityAlive: alive,
        purchases,
        orderValue,
        value,
        low: Math.min(value, outcomes[Math.floor(0.05 * DRAWS)]),
        high: Math.max(value, outcomes[Math.ceil(0.95 * DRAWS) - 1]),
        nextPurchase: nextPurchase(bgNbd, x, T, alive),
      }
    },
    save: () => pack(FORMAT, { meta: { bgNbd, gammaGamma: gammaGamma ?? null, meanFirstValue }, arrays: {} }),
  }
}

/** P(no purchase by t) = 1 − alive + alive · ((alpha + T)/(alpha + T + t))^(r + x), solved for a half. */
function nextPurchase({ r, alpha }: BgNbd, x: number, T: number, alive: number): number {
  const silent = (0.5 - (1 - alive)) / alive
  return silent > 0 ? (alpha + T) * (silent ** (-1 / (r + x)) - 1) : Number.POSITIVE_INFINITY
}

/** Mean of `count` purchases of a customer: their ν is Gamma(px + q, v + xm), the mean of n purchases Gamma(pn, nν). */
function spend({ p, q, v }: GammaGamma, x: number, m: number, count: number, draw: { gamma(shape: number): number }): number {
  if (count === 0) return 0
  const n = x > 0 && m > 0 && Number.isFinite(m) ? x : 0
  const rate = draw.gamma(p * n + q) / (v + (n > 0 ? n * m : 0))
  return draw.gamma(p * count) / (count * rate)
}

/** Standard Gamma draw (Marsaglia and Tsang 2000). */
function gamma(shape: number, random: Random): number {
  if (shape < 1) return gamma(shape + 1, random) * (1 - random.next()) ** (1 / shape)
  const d = shape - 1 / 3
  const c = 1 / Math.sqrt(9 * d)
  for (;;) {
    const z = random.normal()
    const v = (1 + c * z) ** 3
    if (v > 0 && Math.log(1 - random.next()) < 0.5 * z * z + d - d * v + d * Math.log(v)) return d * v
  }
}
