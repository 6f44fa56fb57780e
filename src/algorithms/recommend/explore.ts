import type { Random } from '../math/random.js'

/**
 * Which candidate comes first by chance: a softmax over scores scaled to [0, 1], with `exploration` as its temperature (0: always the best; 1: nearly
 * any). Returns a probability for each; `scores` need no order. Equal scores are equally likely.
 */
export function firstProbabilities(scores: ArrayLike<number>, exploration: number): Float64Array {
  const values = Float64Array.from(scores)
  const [low, high] = [Math.min(...values), Math.max(...values)]
  const best = values.filter(value => value === high).length
  if (exploration <= 0) return values.map(value => (value === high ? 1 / best : 0))
  const parts = values.map(value => Math.exp((high > low ? (value - high) / (high - low) : 0) / exploration))
  const sum = parts.reduce((total, part) => total + part, 0)
  return parts.map(part => part / sum)
}

/**
 * The chance that the candidate of this rank comes to stand at this place (both from 0) when one of them is drawn by `probabilities` and put before all others,
 * which keep their order. Candidates beyond those that are drawn from stand at their rank.
 */
export function chanceAt(probabilities: ArrayLike<number>, rank: number, place: number): number {
  if (rank >= probabilities.length) return place === rank ? 1 : 0
  if (place === 0) return probabilities[rank]
  let before = 0
  for (let other = 0; other < rank; other++) before += probabilities[other]
  if (place === rank) return Math.min(1, before)
  return place === rank + 1 ? Math.max(0, 1 - before - probabilities[rank]) : 0
}

/** Draws the one that comes first; the others keep their order behind it. `chances`: of each, to stand where it stands now. */
export function explored<T extends { score: number }>(
  candidates: readonly T[],
  exploration: number,
  random: Pick<Random, 'next'>,
): { order: T[]; chances: number[] } {
  if (candidates.length === 0) return { order: [], chances: [] }
  const probabilities = firstProbabilities(
    candidates.map(({ score }) => score),
    exploration,
  )
  let at = 0
  for (let left = random.next(); at < candidates.length - 1 && left >= probabilities[at]; at++) left -= probabilities[at]
  // Rounding may leave a candidate that had no chance at the very end.
  if (probabilities[at] === 0) at = probabilities.indexOf(Math.max(...probabilities))
  const ranks = [...candidates.keys()]
  ranks.unshift(...ranks.splice(at, 1))
  return { order: ranks.map(rank => candidates[rank]), chances: ranks.map((rank, place) => chanceAt(probabilities, rank, place)) }
}
