const LANCZOS = [
  0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059, 12.507343278686905,
  -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
]

/** ln Γ(x) for x > 0 (Lanczos, g = 7), to about 1e-14. */
export function logGamma(x: number): number {
  if (x < 0.5) return Math.log(Math.PI / Math.sin(Math.PI * x)) - logGamma(1 - x)
  let sum = LANCZOS[0]
  for (let term = 1; term < LANCZOS.length; term++) sum += LANCZOS[term] / (x - 1 + term)
  const t = x + 6.5
  return 0.5 * Math.log(2 * Math.PI) + (x - 0.5) * Math.log(t) - t + Math.log(sum)
}

const MOST_TERMS = 20_000

/** Gauss's ₂F₁(a, b; c; z) for 0 ≤ z < 1 by its series, or by Euler's transformation where c − a and c − b are smaller and the series of that is shorter. */
export function hypergeometric(a: number, b: number, c: number, z: number): number {
  // (1 − z)^(c − a − b) · ₂F₁(c − a, c − b; c; z)
  if (z > 0.5 && Math.abs((c - a) * (c - b)) < Math.abs(a * b)) return (1 - z) ** (c - a - b) * series(c - a, c - b, c, z)
  return series(a, b, c, z)
}

function series(a: number, b: number, c: number, z: number): number {
  let term = 1
  let sum = 1
  for (let n = 0; n < MOST_TERMS; n++) {
    term *= (((a + n) * (b + n)) / ((c + n) * (n + 1))) * z
    sum += term
    if (Math.abs(term) < 1e-16 * Math.abs(sum)) break
  }
  return sum
}

/** ln(eᵃ + eᵇ) */
export function logAddExp(a: number, b: number): number {
  const [most, least] = a > b ? [a, b] : [b, a]
  return most === Number.NEGATIVE_INFINITY ? most : most + Math.log1p(Math.exp(least - most))
}

const CENTRAL_OVER = [
  -3.969683028665376e1, 2.209460984245205e2, -2.759285104469687e2, 1.38357751867269e2, -3.066479806614716e1, 2.506628277459239,
]
const CENTRAL_UNDER = [-5.447609879822406e1, 1.615858368580409e2, -1.556989798598866e2, 6.680131188771972e1, -1.328068155288572e1, 1]
const TAIL_OVER = [
  -7.784894002430293e-3, -3.223964580411365e-1, -2.400758277161838, -2.549732539343734, 4.374664141464968, 2.938163982698783,
]
const TAIL_UNDER = [7.784695709041462e-3, 3.224671290700398e-1, 2.445134137142996, 3.754408661907416, 1]
const TAIL = 0.02425

/** Quantile of the standard normal distribution for 0 < p < 1, to about 1e-9 (Acklam 2003); −∞ and ∞ at the ends. */
export function normalQuantile(p: number): number {
  if (p > 0.5) return -normalQuantile(1 - p)
  if (p <= 0) return Number.NEGATIVE_INFINITY
  if (p < TAIL) {
    const q = Math.sqrt(-2 * Math.log(p))
    return polynomial(TAIL_OVER, q) / polynomial(TAIL_UNDER, q)
  }
  const q = p - 0.5
  return (q * polynomial(CENTRAL_OVER, q * q)) / polynomial(CENTRAL_UNDER, q * q)
}

/** By Horner's rule, the highest power first. */
function polynomial(coefficients: readonly number[], x: number): number {
  return coefficients.reduce((sum, coefficient) => sum * x + coefficient, 0)
}

/** Γ(a, x) / Γ(a), the upper regularised incomplete gamma function for a > 0, x ≥ 0: by its series below a + 1, else by Lentz's continued fraction. */
export function gammaUpper(a: number, x: number): number {
  if (x <= 0) return 1
  const front = Math.exp(a * Math.log(x) - x - logGamma(a))
  if (x < a + 1) {
    let term = 1 / a
    let sum = term
    for (let n = 1; n < MOST_TERMS && term > sum * 1e-16; n++) sum += term *= x / (a + n)
    return Math.max(0, 1 - front * sum)
  }
  return front * fraction(x + 1 - a, step => [-step * (step - a), x + 2 * step + 1 - a])
}

/** I_x(a, b), the regularised incomplete beta function for a, b > 0 and 0 ≤ x ≤ 1, by Lentz's continued fraction. */
export function betaRegularised(a: number, b: number, x: number): number {
  if (x <= 0) return 0
  if (x >= 1) return 1
  if (x > (a + 1) / (a + b + 2)) return 1 - betaRegularised(b, a, 1 - x)
  const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log1p(-x))
  const terms = (step: number): [number, number] => {
    const m = step >> 1
    const top = step % 2 === 0 ? m * (b - m) : -(a + m) * (a + b + m)
    return [(top * x) / ((a + step - 1) * (a + step)), 1]
  }
  return (front / a) * fraction(1, terms)
}

/** 1 / (b₀ + a₁/(b₁ + a₂/(b₂ + …))), by the modified method of Lentz (Thompson and Barnett 1986). */
function fraction(first: number, terms: (step: number) => [number, number]): number {
  const tiny = 1e-300
  let c = 1 / tiny
  let d = 1 / (first || tiny)
  let value = d
  for (let step = 1; step < MOST_TERMS; step++) {
    const [a, b] = terms(step)
    d = 1 / (b + a * d || tiny)
    c = b + a / c || tiny
    value *= d * c
    if (Math.abs(d * c - 1) < 1e-15) break
  }
  return value
}

/** P(|T| ≥ |t|) of Student's t with `degrees` of freedom. */
export function studentTails(t: number, degrees: number): number {
  return Number.isFinite(t) ? betaRegularised(degrees / 2, 0.5, degrees / (degrees + t * t)) : 0
}

/** The t with P(|T| ≥ t) = `tails`, for 0 < tails < 1; by Newton's steps from the normal quantile, halved where they would leave the bracket. */
export function studentQuantile(tails: number, degrees: number): number {
  if (!Number.isFinite(degrees)) return -normalQuantile(tails / 2)
  const scale = logGamma((degrees + 1) / 2) - logGamma(degrees / 2) - 0.5 * Math.log(degrees * Math.PI)
  const density = (t: number) => Math.exp(scale - ((degrees + 1) / 2) * Math.log1p((t * t) / degrees))
  let [low, high] = [0, Number.POSITIVE_INFINITY]
  let t = -normalQuantile(tails / 2)
  for (let step = 0; step < 200; step++) {
    const excess = studentTails(t, degrees) - tails
    if (excess > 0) low = t
    else high = t
    let next = t + excess / (2 * density(t))
    if (!(next > low && next < high)) next = high === Number.POSITIVE_INFINITY ? 2 * t : (low + high) / 2
    if (Math.abs(next - t) <= 1e-13 * t) return next
    t = next
  }
  return t
}

/** Garwood's interval (1936) of a Poisson mean from a count ≥ 0, `z` being the normal quantile of either side, by Wilson and Hilferty's cube roots (1931). */
export function poissonInterval(count: number, z: number): { low: number; high: number } {
  const at = (mean: number, sign: number) => mean * Math.max(0, 1 - 1 / (9 * mean) + (sign * z) / (3 * Math.sqrt(mean))) ** 3
  return { low: count > 0 ? at(count, -1) : 0, high: at(count + 1, 1) }
}
