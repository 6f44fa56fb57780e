/** One question that a judge answered, right or wrong; an answer to an out-of-scope question is wrong. */
export interface Answered {
  confidence: number
  isRight: boolean
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
  const points: RiskPoint[] = []
  let wrong = 0
  sorted.forEach(({ confidence, isRight }, at) => {
    if (!isRight) wrong++
    if (at + 1 < sorted.length && sorted[at + 1].confidence === confidence) return
    points.push({ threshold: confidence, coverage: (at + 1) / sorted.length, risk: wrong / (at + 1) })
  })
  return points
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
 * is the share plus half a standard error, so that chance in few questions does not loosen it. Above 1 where no threshold will do: then nothing is answered.
 */
export function chooseThreshold(answers: readonly Answered[], maximumError: number): number {
  let chosen = 1.01
  for (const { threshold, coverage, risk } of riskCoverage(answers)) {
    const count = Math.round(coverage * answers.length)
    const smoothed = (risk * count + 0.5) / (count + 1)
    const slack = 0.5 * Math.sqrt((smoothed * (1 - smoothed)) / count)
    if (risk + slack <= maximumError) chosen = threshold
  }
  return chosen
}
