import { betaRegularised } from '../math/special.js'

/** One question that a judge answered, right or wrong; an answer to an out-of-scope question is wrong. */
export interface Answered {
  confidence: number
  isRight: boolean
  /** How many questions it stands for; 1 unless given. */
  weight?: number
  /** Questions of one group (an entry's phrasings) succeed and fail together; each stands alone unless given. */
  group?: number
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

/** What the questions that a threshold lets through say of its error. */
interface Evidence {
  threshold: number
  /** Share of wrong answers among them. */
  risk: number
  /** How many independent questions they are worth: by their weights (Kish), or fewer where the questions of a group fail together (Korn and Graubard 1998, by the variance between groups). */
  effective: number
}

/** One a distinct confidence, highest first. */
function* evidenceOf(answers: readonly Answered[]): Generator<Evidence> {
  const sorted = [...answers].sort((a, b) => b.confidence - a.confidence)
  const groups = new Map<number | Answered, { given: number; wrong: number }>()
  let [given, wrong, squaredWeights] = [0, 0, 0]
  // Sums over the groups, so that the variance between them costs no walk.
  let [givenGiven, givenWrong, wrongWrong] = [0, 0, 0]
  for (const [at, answer] of sorted.entries()) {
    const { confidence, isRight, weight = 1 } = answer
    const group = groups.get(answer.group ?? answer) ?? { given: 0, wrong: 0 }
    groups.set(answer.group ?? answer, group)
    givenGiven -= group.given ** 2
    givenWrong -= group.given * group.wrong
    wrongWrong -= group.wrong ** 2
    group.given += weight
    group.wrong += isRight ? 0 : weight
    givenGiven += group.given ** 2
    givenWrong += group.given * group.wrong
    wrongWrong += group.wrong ** 2
    given += weight
    wrong += isRight ? 0 : weight
    squaredWeights += weight ** 2
    if (at + 1 < sorted.length && sorted[at + 1].confidence === confidence) continue
    const risk = wrong / given
    const between = wrongWrong - 2 * risk * givenWrong + risk ** 2 * givenGiven
    const variance = groups.size > 1 ? (between / given ** 2) * (groups.size / (groups.size - 1)) : 0
    const counted = given ** 2 / squaredWeights
    yield { threshold: confidence, risk, effective: variance > 0 ? Math.min(counted, (risk * (1 - risk)) / variance) : counted }
  }
}

/**
 * The lowest threshold at which the share of wrong answers is at most `maximumError` but for a chance of `doubt`: selective classification with a guaranteed risk (Geifman and El-Yaniv 2017),
 * by the exact binomial bound (Clopper and Pearson 1934) at the effective number of questions. The chance is that of each threshold, not of all that are looked at. Infinity where none will
 * do: then nothing is answered.
 */
export function chooseThreshold(answers: readonly Answered[], maximumError: number, doubt = 0.1): number {
  let chosen = Number.POSITIVE_INFINITY
  for (const { threshold, risk, effective } of evidenceOf(answers)) {
    const failed = risk * effective
    if (failed < effective && betaRegularised(failed + 1, effective - failed, maximumError) >= 1 - doubt) chosen = threshold
  }
  return chosen
}

/** Doubt of one standard error, as in the rule of Breiman et al. (1984). */
const ONE_ERROR = 0.16

/** The threshold that keeps the error with a confidence of nine tenths; where none does, with one standard error; Infinity where none does that. */
export function thresholdFor(answers: readonly Answered[], maximumError: number): number {
  const proven = chooseThreshold(answers, maximumError)
  return Number.isFinite(proven) ? proven : chooseThreshold(answers, maximumError, ONE_ERROR)
}
