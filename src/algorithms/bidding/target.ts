/**
 * The correction by which TARGET_CPA and TARGET_ROAS meet their target on average: bids at the target itself pay less than it wherever the
 * price is below the bid. Like the dual controller it follows sums only: exp(g·(earned − cost)/(mean of the two + prior)), so it rests where cost
 * and earnings differ by ln(multiplier)/g.
 */
export interface TargetSeen {
  /** What the conversions (see `conversionsOf`) may have cost: conversions × target CPA, or conversion value / target ROAS. */
  earnedMicros: number
  /** What they did cost. */
  costMicros: number
  /** Amount at which evidence weighs as much as the belief that no correction is needed, e.g. five conversions' worth. */
  priorMicros: number
}

/**
 * Conversions that what was bought will have led to: those that its clicks let expect, E = Σ pCvr, corrected by those that were counted, C, as
 * E·(C + k)/(E + k). Counted alone they are few and late: a campaign whose first conversion takes longer than one costs would stop bidding.
 */
export function conversionsOf(counted: number, expected: number): number {
  return (expected * (counted + BELIEF)) / (expected + BELIEF)
}

/** Expected conversions after which what was counted weighs as much as the predictions. */
const BELIEF = 20
const GAIN = 20
const BOUNDS = { least: 0.1, most: 10 }

/** Throws RangeError on amounts that are none. */
export function targetMultiplierOf({ earnedMicros, costMicros, priorMicros }: TargetSeen): number {
  for (const [name, amount] of Object.entries({ earnedMicros, costMicros, priorMicros }))
    if (!(amount >= 0 && amount < Number.POSITIVE_INFINITY)) throw new RangeError(`${name} is ${amount}; it must be a number, zero or more`)
  const weight = (earnedMicros + costMicros) / 2 + priorMicros
  if (weight === 0) return 1
  return Math.min(BOUNDS.most, Math.max(BOUNDS.least, Math.exp((GAIN * (earnedMicros - costMicros)) / weight)))
}
