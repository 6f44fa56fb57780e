import type { Params } from '../algorithm.js'
import { evaluateRanking, type RankingTest } from '../evaluate/ranking.js'
import type { Random } from '../math/random.js'
import { chosen, type HeldOut, holdOutLater } from './hold-out.js'
import type { Interactions, RecommendAlgorithm } from './recommender.js'

export interface Trial {
  params: Params
  /** NDCG@10 on the validation split. */
  ndcgAt10: number
}

export interface Tuned {
  params: Record<string, number | string | boolean>
  trials: Trial[]
}

const VALIDATION_SHARE = 0.2
const VALIDATION_USERS = 2_000
/** Of larger data a part of the users is tried on: settings change little with size, and the search stays affordable. */
const MOST_ENTRIES = 300_000

/**
 * The best of the algorithm's `search` values on a validation split of `data` (the later fifth of each user's entries), one parameter after the other, at
 * most `tries` fits. A value must beat the one it replaces; parameters in `fixed` stay as given. For lists of what is new to the user, unless what he had may be
 * listed again (`repeats`).
 */
export function tune(
  algorithm: RecommendAlgorithm,
  data: Interactions,
  fixed: Params,
  random: Random,
  { tries = 10, repeats = false } = {},
): Tuned {
  const best: Record<string, number | string | boolean> = { ...algorithm.defaults, ...fixed }
  const space = Object.entries(algorithm.search ?? {}).filter(([name]) => !Object.hasOwn(fixed, name))
  if (space.length === 0 || data.items.length === 0) return { params: best, trials: [] }
  const heldOut = holdOutLater(sampled(data, random.fork('sample')), VALIDATION_SHARE, VALIDATION_USERS, random.fork('validation'), repeats)
  if (heldOut.tests.length === 0) return { params: best, trials: [] }
  const measure = (params: Params): Trial => ({
    params,
    ndcgAt10: validation(algorithm, heldOut, params, random.fork(algorithm.name), repeats),
  })
  let leader = measure({ ...best })
  const trials = [leader]
  for (const [name, values] of space) {
    for (const value of values) {
      if (value === best[name] || trials.length >= tries) continue
      const trial = measure({ ...best, [name]: value })
      trials.push(trial)
      if (trial.ndcgAt10 > leader.ndcgAt10) leader = trial
    }
    best[name] = leader.params[name]
  }
  return { params: best, trials }
}

function validation(algorithm: RecommendAlgorithm, { train, tests }: HeldOut, params: Params, random: Random, repeats: boolean): number {
  const model = algorithm.fit(train, params, random)
  const scores = new Float64Array(train.itemCount)
  const skip = new Uint8Array(train.itemCount)
  function* rankings(): Generator<RankingTest> {
    for (const { history, relevant } of tests) {
      model.score(history, scores)
      if (!repeats) for (const item of history.items) skip[item] = 1
      yield { scores, skip, relevant }
      for (const item of history.items) skip[item] = 0
    }
  }
  return evaluateRanking(train.itemCount, new Float64Array(train.itemCount), train.userCount, rankings()).ndcgAt10
}

/** All entries of as many users as stay below the limit, drawn by chance. */
function sampled(data: Interactions, random: Random): Interactions {
  if (data.items.length <= MOST_ENTRIES) return data
  const share = MOST_ENTRIES / data.items.length
  const taken = Uint8Array.from({ length: data.userCount }, () => (random.next() < share ? 1 : 0))
  const places: number[] = []
  for (let at = 0; at < data.users.length; at++) if (taken[data.users[at]]) places.push(at)
  return chosen(data, places)
}
