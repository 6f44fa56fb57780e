import { gammaUpper, normalQuantile, studentQuantile, studentTails } from '../math/special.js'

/** Sums over the users of an arm; a metric is Σx / Σy. Where it is one a user (conversion, revenue), y is 1 for everybody. */
export interface MetricSums {
  users: number
  x: number
  y: number
  xx: number
  yy: number
  xy: number
}

export interface Interval {
  low: number
  high: number
}

export interface ArmEstimate extends Interval {
  value: number
  /** Standard error of `value`, with the user as the unit. */
  error: number
}

export interface Comparison {
  /** Treatment − control. */
  difference: number
  interval: Interval
  /** Holds however often it is looked at, and whenever the experiment is stopped. */
  anytime: Interval
  /** Two-sided, of Welch's test. */
  p: number
  degrees: number
  /** treatment / control − 1; null where the control has nothing. */
  lift: (Interval & { value: number }) | null
}

export interface SampleRatio {
  chiSquare: number
  degrees: number
  p: number
  /** p below 0.001: who is in which arm cannot be chance, so no result may be trusted (Fabijan et al. 2019). */
  isMismatch: boolean
}

export interface OffPolicyEstimate extends Interval {
  /** Reward a decision, had the other policy decided; null where no logged action is one that it could take. */
  value: number | null
  /** (Σw)² / Σw² (Kish 1965): the logged decisions are worth so many of the other policy's own. */
  effectiveSize: number
  /** Mean weight: about 1 when the log could show everything that the other policy would. */
  meanWeight: number
}

/** One place of a list. */
export interface PlaceEstimate {
  /** Reward, had the other policy decided; null where nothing that was logged here is something that it could show here. */
  value: number | null
  /** Mean reward of what was shown here. */
  logged: number
  decisions: number
  effectiveSize: number
  meanWeight: number
}

export interface ListEstimate extends Interval {
  /** Sum over the places that have an estimate; null where none has. */
  value: number | null
  /** Of what was shown, at the same places. */
  logged: number | null
  /** The least of these places. */
  effectiveSize: number
  /** Mean of all places. */
  meanWeight: number
  places: PlaceEstimate[]
}

const MISMATCH = 0.001
const CONFIDENCE = 0.95

/** Pearson's chi-square of the users seen in each arm against the shares they were to have. Throws RangeError unless there are two arms and all shares are above 0. */
export function sampleRatio(observed: readonly number[], shares: readonly number[]): SampleRatio {
  if (observed.length < 2 || observed.length !== shares.length || !shares.every(share => share > 0))
    throw new RangeError('A sample ratio needs two arms or more, each with a share above 0')
  const total = observed.reduce((sum, count) => sum + count, 0)
  const whole = shares.reduce((sum, share) => sum + share, 0)
  const degrees = observed.length - 1
  if (total === 0) return { chiSquare: 0, degrees, p: 1, isMismatch: false }
  const chiSquare = observed.reduce((sum, count, arm) => {
    const expected = (total * shares[arm]) / whole
    return sum + (count - expected) ** 2 / expected
  }, 0)
  const p = gammaUpper(degrees / 2, chiSquare / 2)
  return { chiSquare, degrees, p, isMismatch: p < MISMATCH }
}

/**
 * R = Σx / Σy with its standard error by the delta method, users as units (Deng et al. 2018):
 * var R = (s²ₓ − 2R·sₓᵧ + R²·s²ᵧ) / (n·ȳ²). Null below two users or without any y.
 */
export function estimate(sums: MetricSums, confidence = CONFIDENCE): ArmEstimate | null {
  const { users: n, x, y, xx, yy, xy } = sums
  if (n < 2 || y <= 0) return null
  const value = x / y
  const scatter = (product: number, a: number, b: number) => (product - (a * b) / n) / (n - 1)
  const variance = scatter(xx, x, x) - 2 * value * scatter(xy, x, y) + value ** 2 * scatter(yy, y, y)
  const error = Math.sqrt(Math.max(0, variance) / n) / (y / n)
  const reach = studentQuantile(1 - confidence, n - 1) * error
  return { value, error, low: value - reach, high: value + reach }
}

/**
 * Treatment against control: Welch's test (1947) with Satterthwaite's degrees of freedom, the lift by the delta method, and an asymptotic confidence
 * sequence (Waudby-Smith et al. 2024, Theorem 2.2) tuned to be narrowest at `planned` users of both arms together. Null where either has no estimate.
 */
export function compare(control: MetricSums, treatment: MetricSums, planned: number, confidence = CONFIDENCE): Comparison | null {
  const [a, b] = [estimate(control, confidence), estimate(treatment, confidence)]
  if (!a || !b) return null
  const difference = b.value - a.value
  const [va, vb] = [a.error ** 2, b.error ** 2]
  const variance = va + vb
  const degrees =
    variance > 0 ? variance ** 2 / (va ** 2 / (control.users - 1) + vb ** 2 / (treatment.users - 1)) : Number.POSITIVE_INFINITY
  const alpha = 1 - confidence
  const reach = variance > 0 ? studentQuantile(alpha, degrees) * Math.sqrt(variance) : 0
  const wider = anytimeReach(variance, control.users + treatment.users, planned, alpha)
  return {
    difference,
    interval: { low: difference - reach, high: difference + reach },
    anytime: { low: difference - wider, high: difference + wider },
    p: variance > 0 ? studentTails(difference / Math.sqrt(variance), degrees) : difference === 0 ? 1 : 0,
    degrees,
    lift: liftOf(a, b, alpha),
  }
}

/** √(V · (nρ² + 1) / (nρ²) · ln((nρ² + 1) / α²)), with the ρ that makes it least at `planned`. */
function anytimeReach(variance: number, n: number, planned: number, alpha: number): number {
  const spread = -2 * Math.log(alpha)
  const rho2 = (spread + Math.log(spread + 1)) / planned
  return Math.sqrt(variance * ((n * rho2 + 1) / (n * rho2)) * Math.log((n * rho2 + 1) / alpha ** 2))
}

function liftOf(control: ArmEstimate, treatment: ArmEstimate, alpha: number): Comparison['lift'] {
  if (control.value <= 0) return null
  const ratio = treatment.value / control.value
  const error = Math.sqrt(treatment.error ** 2 + ratio ** 2 * control.error ** 2) / control.value
  const reach = -normalQuantile(alpha / 2) * error
  return { value: ratio - 1, low: ratio - 1 - reach, high: ratio - 1 + reach }
}

/**
 * Self-normalised inverse propensity score (Swaminathan and Joachims 2015): V = Σ wᵢrᵢ / Σ wᵢ, wᵢ = π(aᵢ|xᵢ) / π₀(aᵢ|xᵢ), with the standard error
 * √(Σ wᵢ²(rᵢ − V)²) / Σ wᵢ (Owen 2013). Throws RangeError on weights below 0 or not finite.
 */
export function snips(rewards: ArrayLike<number>, weights: ArrayLike<number>, confidence = CONFIDENCE): OffPolicyEstimate {
  if (rewards.length !== weights.length) throw new RangeError('Each reward needs a weight')
  let [sum, squares, gained] = [0, 0, 0]
  for (let at = 0; at < weights.length; at++) {
    if (!(weights[at] >= 0 && Number.isFinite(weights[at]))) throw new RangeError(`The weight at ${at} must be finite and not below 0`)
    sum += weights[at]
    squares += weights[at] ** 2
    gained += weights[at] * rewards[at]
  }
  if (sum === 0) return { value: null, low: Number.NaN, high: Number.NaN, effectiveSize: 0, meanWeight: 0 }
  const value = gained / sum
  let scatter = 0
  for (let at = 0; at < weights.length; at++) scatter += (weights[at] * (rewards[at] - value)) ** 2
  const reach = (-normalQuantile((1 - confidence) / 2) * Math.sqrt(scatter)) / sum
  return { value, low: value - reach, high: value + reach, effectiveSize: sum ** 2 / squares, meanWeight: sum / weights.length }
}

/**
 * Reward of whole lists by the item-position model: what an item earns depends on the item and its place, not on its neighbours (Li et al. 2018, section 4.2). With
 * w_ip = π(a_ip at p | x_i) / π₀(a_ip at p | x_i) each place is estimated by itself, V_p = Σ_i w_ip r_ip / Σ_i w_ip, and V = Σ_p V_p, with the standard error
 * √(Σ_i (Σ_p w_ip (r_ip − V_p) / Σ_j w_jp)²): what belongs to one list is not independent. A row is a decision; rows may differ in length. Throws RangeError on
 * weights below 0 or not finite.
 */
export function snipsOfLists(
  rewards: readonly ArrayLike<number>[],
  weights: readonly ArrayLike<number>[],
  confidence = CONFIDENCE,
): ListEstimate {
  if (rewards.length !== weights.length || weights.some((row, at) => row.length !== rewards[at].length))
    throw new RangeError('Each reward needs a weight')
  const length = weights.reduce((most, row) => Math.max(most, row.length), 0)
  const columns = Array.from({ length }, (_, place) => {
    const rows = [...weights.keys()].filter(at => place < weights[at].length)
    const column = (table: readonly ArrayLike<number>[]) => Float64Array.from(rows, at => table[at][place])
    return { rows, rewards: column(rewards), weights: column(weights) }
  })
  const deviations = new Float64Array(weights.length)
  const places = columns.map(({ rows, rewards: earned, weights: w }): PlaceEstimate => {
    const { value, effectiveSize, meanWeight } = snips(earned, w, confidence)
    for (const [at, row] of rows.entries())
      if (value !== null) deviations[row] += (w[at] * (earned[at] - value)) / (meanWeight * rows.length)
    return { value, logged: mean(earned), decisions: rows.length, effectiveSize, meanWeight }
  })
  const told = places.filter(place => place.value !== null)
  if (told.length === 0) return { value: null, logged: null, low: Number.NaN, high: Number.NaN, effectiveSize: 0, meanWeight: 0, places }
  const total = (of: (place: PlaceEstimate) => number) => told.reduce((sum, place) => sum + of(place), 0)
  const value = total(place => place.value as number)
  const reach = -normalQuantile((1 - confidence) / 2) * Math.sqrt(deviations.reduce((sum, each) => sum + each ** 2, 0))
  return {
    value,
    logged: total(place => place.logged),
    low: value - reach,
    high: value + reach,
    effectiveSize: told.reduce((least, place) => Math.min(least, place.effectiveSize), Number.POSITIVE_INFINITY),
    meanWeight: mean(places.map(place => place.meanWeight)),
    places,
  }
}

function mean(values: ArrayLike<number>): number {
  let sum = 0
  for (let at = 0; at < values.length; at++) sum += values[at]
  return values.length > 0 ? sum / values.length : 0
}
