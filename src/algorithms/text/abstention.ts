/** One question that a judge answered, right or wrong; an answer to an out-of-scope question is wrong. */
export interface Answered {
  confidence: number
  isRight: boolean
  /** How many questions it stands for; 1 unless given. */
  weight?: number
}

export interface RiskPoint {
  threshold: number
  /** Share of the questions that are answered from this threshold on … */
  coverage: number
  /** … and the share of wrong answers among them. */
  risk: number
}

/** The risk–coverage curve (El-Yaniv and Wiener 2010): one point a distinct confidence, highest first. */
export function riskCoverage(answers: readonly Answered[]): RiskPoint[] {
  const sorted = [...answers].sort((a, b) => b.confidence - a.confidence)
  const all = sorted.reduce((sum, { weight = 1 }) => sum + weight, 0)
  const points: RiskPoint[] = []
  let [wrong, given] = [0, 0]
  sorted.forEach(({ confidence, isRight, weight = 1 }, at) => {
    given += weight
    if (!isRight) wrong += weight
    if (at + 1 < sorted.length && sorted[at + 1].confidence === confidence) return
    points.push({ threshold: confidence, coverage: given / all, risk: wrong / given })
  })
  return points
}

/**
 * Weighs the answers so that questions nothing answers are `share` of all: how many of them a collection holds says little of how many will be asked,
 * and too few of them would make the threshold too low.
 */
export function withOutOfScopeShare(answers: readonly Answered[], isOutOfScope: (at: number) => boolean, share = 0.5): Answered[] {
  const outside = answers.reduce((count, _, at) => count + Number(isOutOfScope(at)), 0)
  const inside = answers.length - outside
  if (outside === 0 || inside === 0) return [...answers]
  const weight = (share * inside) / ((1 - share) * outside)
  return answers.map((answer, at) => (isOutOfScope(at) ? { ...answer, weight: (answer.weight ?? 1) * weight } : answer))
}

/** Area under the risk–coverage curve: the mean risk over all coverages; 0 is perfect. NaN without answers. */
export function areaUnderRiskCoverage(answers: readonly Answered[]): number {
  const sorted = [...answers].sort((a, b) => b.confidence - a.confidence)
  let area = 0
  let wrong = 0
  for (let from = 0; from < sorted.length; ) {
    let to = from
    let ties = 0
    while (to < sorted.length && sorted[to].confidence === sorted[from].confidence) ties += Number(!sorted[to++].isRight)
    // Within a tie the order is chance: the wrong ones lie evenly.
    for (let at = from; at < to; at++) area += (wrong + (ties * (at + 1 - from)) / (to - from)) / (at + 1)
    wrong += ties
    from = to
  }
  return area / sorted.length
}

/**
 * The lowest threshold at which the expected share of wrong answers is at most `maximumError`: the most that can be answered within it. The estimate
 * is the share plus `assurance` standard errors, so that chance in few questions does not loosen it. Infinity where none will do: then nothing is answered.
 */
export function chooseThreshold(answers: readonly Answered[], maximumError: number, assurance = 1): number {
  let chosen = Number.POSITIVE_INFINITY
  for (const { threshold, coverage, risk } of riskCoverage(answers)) {
    const count = Math.round(coverage * answers.length)
    const smoothed = (risk * count + 0.5) / (count + 1)
    const slack = assurance * Math.sqrt((smoothed * (1 - smoothed)) / count)
    if (risk + slack <= maximumError) chosen = threshold
  }
  return chosen
}

/**
 * The same from calibrated confidences alone: the lowest threshold at which the mean of 1 − confidence over what is answered is at most `maximumError`.
 * For collections so small that one odd question would decide the measured curve. Infinity where none will do.
 */
export function expectedThreshold(answers: readonly Answered[], maximumError: number): number {
  let chosen = Number.POSITIVE_INFINITY
  let [wrong, given] = [0, 0]
  for (const { confidence, weight = 1 } of [...answers].sort((a, b) => b.confidence - a.confidence)) {
    given += weight
    wrong += weight * (1 - confidence)
    if (wrong <= maximumError * given) chosen = confidence
  }
  return chosen
}
