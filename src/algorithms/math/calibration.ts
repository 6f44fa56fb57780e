import { ascending } from './order.js'

/** A monotone map from raw scores (logits, margins) to probabilities, as plain numbers: what is saved is the calibration itself. */
export type Calibration =
  /** P = σ(slope · score + intercept). */
  | { kind: 'platt'; slope: number; intercept: number }
  /** Linear between the points, constant outside; `scores` ascending, `values` not falling. */
  | { kind: 'isotonic'; scores: number[]; values: number[] }

/** The calibration of scores that already are log-odds. */
export const identity: Calibration = { kind: 'platt', slope: 1, intercept: 0 }

export function calibrated(calibration: Calibration, score: number): number {
  if (calibration.kind === 'platt') return sigmoid(calibration.slope * score + calibration.intercept)
  const { scores, values } = calibration
  if (!(score > scores[0])) return values[0]
  let [low, high] = [0, scores.length - 1]
  if (score >= scores[high]) return values[high]
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if (scores[middle] <= score) low = middle
    else high = middle
  }
  return values[low] + ((values[high] - values[low]) * (score - scores[low])) / (scores[high] - scores[low])
}

export function sigmoid(logit: number): number {
  return logit >= 0 ? 1 / (1 + Math.exp(-logit)) : Math.exp(logit) / (1 + Math.exp(logit))
}

/** ln(p / (1 − p)), p kept within [1e-15, 1 − 1e-15]. */
export function logit(p: number): number {
  const clipped = Math.max(1e-15, Math.min(1 - 1e-15, p))
  return Math.log(clipped / (1 - clipped))
}

/**
 * Isotonic regression by pool adjacent violators (Ayer et al. 1955; Zadrozny and Elkan 2002). No value is 0 or 1: with n rows the bounds are 1/(n+2)
 * and (n+1)/(n+2), so that one surprise costs a finite log-loss. Rows of non-finite score are left out; without rows the calibration is the identity.
 */
export function fitIsotonic(scores: ArrayLike<number>, labels: ArrayLike<number>): Calibration {
  // Blocks of equal scores, then pooled ones: where they start and end, rows and positives.
  const first: number[] = []
  const last: number[] = []
  const count: number[] = []
  const positives: number[] = []
  let rows = 0
  for (const row of ascending(scores)) {
    if (!Number.isFinite(scores[row])) continue
    rows++
    const top = first.length - 1
    if (top >= 0 && last[top] === scores[row]) {
      count[top]++
      positives[top] += labels[row]
    } else {
      first.push(scores[row])
      last.push(scores[row])
      count.push(1)
      positives.push(labels[row])
    }
  }
  if (rows === 0) return identity
  const pooled: number[] = []
  for (let block = 0; block < first.length; block++) {
    pooled.push(block)
    while (pooled.length > 1) {
      const [before, at] = [pooled[pooled.length - 2], pooled[pooled.length - 1]]
      if (positives[before] * count[at] < positives[at] * count[before]) break
      last[before] = last[at]
      count[before] += count[at]
      positives[before] += positives[at]
      pooled.pop()
    }
  }
  const bounded = (block: number) => Math.max(1 / (rows + 2), Math.min((rows + 1) / (rows + 2), positives[block] / count[block]))
  const points = pooled.flatMap(block =>
    first[block] === last[block]
      ? [{ score: first[block], value: bounded(block) }]
      : [
          { score: first[block], value: bounded(block) },
          { score: last[block], value: bounded(block) },
        ],
  )
  return { kind: 'isotonic', scores: points.map(({ score }) => score), values: points.map(({ value }) => value) }
}

const MOST_STEPS = 100

/**
 * Platt scaling with smoothed targets (Platt 1999) by Newton's method with backtracking (Lin, Lin and Weng 2007). One class only: a constant near its
 * smoothed rate. Rows of non-finite score are left out; without rows the calibration is the identity.
 */
export function fitPlatt(scores: ArrayLike<number>, labels: ArrayLike<number>): Calibration {
  const rows: number[] = []
  for (let row = 0; row < scores.length; row++) if (Number.isFinite(scores[row])) rows.push(row)
  const positives = rows.reduce((sum, row) => sum + labels[row], 0)
  const negatives = rows.length - positives
  if (rows.length === 0) return identity
  const [high, low] = [(positives + 1) / (positives + 2), 1 / (negatives + 2)]
  if (positives === 0 || negatives === 0) return { kind: 'platt', slope: 0, intercept: logit(positives > 0 ? high : low) }
  const target = (row: number) => (labels[row] === 1 ? high : low)
  const lossOf = (slope: number, intercept: number) => {
    let loss = 0
    for (const row of rows) {
      const z = slope * scores[row] + intercept
      loss += Math.max(z, 0) - target(row) * z + Math.log1p(Math.exp(-Math.abs(z)))
    }
    return loss
  }
  let slope = 0
  let intercept = Math.log((positives + 1) / (negatives + 1))
  let loss = lossOf(slope, intercept)
  for (let step = 0; step < MOST_STEPS; step++) {
    let [g1, g2, h11, h12, h22] = [0, 0, 1e-12, 0, 1e-12]
    for (const row of rows) {
      const p = sigmoid(slope * scores[row] + intercept)
      const [d, w] = [p - target(row), p * (1 - p)]
      g1 += d * scores[row]
      g2 += d
      h11 += w * scores[row] * scores[row]
      h12 += w * scores[row]
      h22 += w
    }
    if (Math.abs(g1) < 1e-9 * rows.length && Math.abs(g2) < 1e-9 * rows.length) break
    const determinant = h11 * h22 - h12 * h12
    const [d1, d2] =
      determinant > 1e-12 * h11 * h22
        ? [-(h22 * g1 - h12 * g2) / determinant, -(h11 * g2 - h12 * g1) / determinant]
        : [-g1 / h11, -g2 / h22]
    let size = 1
    let next = lossOf(slope + d1, intercept + d2)
    while (!(next < loss) && size > 1e-10) {
      size /= 2
      next = lossOf(slope + size * d1, intercept + size * d2)
    }
    if (!(next < loss)) break
    slope += size * d1
    intercept += size * d2
    loss = next
  }
  return { kind: 'platt', slope, intercept }
}
