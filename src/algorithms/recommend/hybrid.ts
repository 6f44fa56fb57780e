import { BrokenArtifact, type NumberArray, pack, unpack } from '../artifact.js'
import { idealDcg } from '../evaluate/ranking.js'
import type { Random } from '../math/random.js'
import { topAmong, topIndexes } from '../math/select.js'
import { content } from './content.js'
import { ease } from './ease.js'
import { holdOutLater, type Test } from './hold-out.js'
import { ials } from './ials.js'
import { itemCf } from './item-cf.js'
import { popularity } from './popularity.js'
import { onceEach, onceReader, readingOnce, remembered } from './preference.js'
import type { BlendLevel, Evidence, History, Interactions, Ranking, RecommendAlgorithm, Recommender } from './recommender.js'
import { repeat } from './repeat.js'
import { rp3beta } from './rp3beta.js'
import { slim } from './slim.js'
import { trending } from './trending.js'
import { userCf } from './user-cf.js'

const FORMAT = 'hybrid/1'
const PARTS: readonly RecommendAlgorithm[] = [ease, slim, itemCf, userCf, ials, rp3beta, content, trending, popularity, repeat]
const UNPERSONAL = ['popularity', 'trending']
/** Amounts of history that get weights of their own where enough users tell what is good for them. */
const LEVELS = [1, 5, 20] as const
const ENOUGH_TESTS = 100
const CHANCES = ['validation', 'second validation', 'third validation']
const CANDIDATES = 50
const LIST = 10
/** What content weighs at least for products that came after the training: of them nothing else is known. */
const NEW_WEIGHT = 0.1
const WEIGHTS = [0, 0.05, 0.15, 0.4, 0.8, 1.2] as const
/** What the user had before weighs, beside all other parts together. */
const REPEAT_WEIGHTS = [0, 0.1, 0.25, 0.5, 1, 2, 4, 8] as const
const ROUNDS = 2
const BAGS = 5
const MOST_IN_BAG = 500
/** So many of each part are looked at first. */
const LEAST_DEPTH = 256
/** Lists of more than one of so many items are no shorter way. */
const DENSE = 8
/** Of sums in another order. */
const ROUNDING = 1e-9
/** A part that weighs less is not worth its time. */
const LEAST_WEIGHT = 0.02

/**
 * Weighted blend of the other algorithms, switching by amount of history: score_j = Σ_a w_a(level) · s_aj / max_k s_ak, the maximum over what the user has not
 * had (of `repeat`, over what he had). Weights are learned by coordinate ascent on NDCG@10 of a validation split (the later fifth of each user's entries), then every
 * part is fitted on all of the data; `blend` shows them. Among what is new to the user `repeat` changes nothing: its weight is learned last, where all
 * may be listed. A user without history gets what is popular.
 */
export const hybrid: RecommendAlgorithm = {
  name: 'hybrid',
  defaults: { parts: PARTS.map(({ name }) => name).join(','), validationUsers: 1_000 },
  fit: (data, params, random) => {
    const parts = partsFor(data, String(params.parts ?? hybrid.defaults.parts))
    const settings = (name: string) => ({ ...PARTS.find(part => part.name === name)?.defaults, ...nested(params, name) })
    const isOnce = data.kind === 'implicit'
    const teach = (some: readonly RecommendAlgorithm[], on: Interactions) => {
      const once = isOnce ? onceEach(on) : on
      return reading(
        some.map(({ name }) => name),
        some.map(part => part.fit(part === repeat ? on : once, settings(part.name), random.fork(part.name))),
        isOnce,
      )
    }
    const most = Number(params.validationUsers ?? hybrid.defaults.validationUsers)
    // Splits by chance can be had again and again, and each tests little; of time there is one.
    const isTimed = data.times.some(time => time > 0)
    const splits = isTimed
      ? [holdOutLater(data, 0.2, most, random.fork('validation'), true)]
      : CHANCES.map(name => holdOutLater(data, 0.1, most, random.fork(name), true))
    const names = parts.map(part => part.name)
    const validations = splits.map(({ train, tests }) => {
      const models = teach(parts, train)
      const areRepeated = tests.some(({ history, relevant }) => history.items.some(item => relevant.has(item)))
      return {
        fresh: candidatesOf(names, models, freshOf(tests), false),
        all: areRepeated ? candidatesOf(names, models, tests, true) : [],
      }
    })
    const fresh = validations.flatMap(each => each.fresh)
    const all = validations.flatMap(each => each.all)
    const levels = learnRepeats(names, learnLevels(names, fresh, random.fork('bags')), all)
    // What has no weight anywhere need not be there; content stays, for products that are still to come.
    const weighed = parts.filter(({ name }) => name === 'content' || levels.some(({ weights }) => weights[name] > 0))
    return recommenderOf(
      data.itemCount,
      weighed.map(({ name }) => name),
      teach(weighed, data),
      levels.map(({ from, weights }) => ({ from, weights: Object.fromEntries(weighed.map(({ name }) => [name, weights[name]])) })),
      isOnce,
    )
  },
  load: artifact => {
    const { meta, arrays } = unpack(FORMAT, artifact)
    const { names, levels, itemCount, isOnce } = meta as unknown as {
      names: string[]
      levels: BlendLevel[]
      itemCount: number
      isOnce?: boolean
    }
    const models = names.map(name => {
      const part = PARTS.find(each => each.name === name)
      if (!part) throw new BrokenArtifact(`The hybrid has a part "${name}" that this version does not know`)
      return part.load(arrays[name] as Uint8Array)
    })
    return recommenderOf(itemCount, names, reading(names, models, isOnce === true), levels, isOnce === true)
  },
}

/** How often somebody came back to an item is for `repeat` to say; the others go by whether he took to it. */
function reading(names: readonly string[], models: readonly Recommender[], isOnce: boolean): readonly Recommender[] {
  if (!isOnce || models.length === 0) return models
  const once = onceReader(models[0].itemCount)
  return models.map((model, part) => (names[part] === repeat.name ? model : readingOnce(model, once)))
}

/** "ease.reg" → reg, of the part "ease". */
function nested(params: Readonly<Record<string, number | string | boolean>>, name: string) {
  return Object.fromEntries(
    Object.entries(params)
      .filter(([key]) => key.startsWith(`${name}.`))
      .map(([key, value]) => [key.slice(name.length + 1), value]),
  )
}

function partsFor(data: Interactions, wanted: string): RecommendAlgorithm[] {
  const names = wanted.split(',').map(name => name.trim())
  const unknown = names.filter(name => !PARTS.some(part => part.name === name))
  if (unknown.length > 0)
    throw new RangeError(`A hybrid has no part ${unknown.join(', ')}; there are ${PARTS.map(({ name }) => name).join(', ')}`)
  const parts = PARTS.filter(({ name }) => names.includes(name) && (name !== 'content' || data.content !== undefined))
  return parts.length > 0 ? parts : [popularity]
}

interface Candidates {
  /** Items of the user's history. */
  amount: number
  /** Of each part, for each candidate, items ascending; scaled to the maximum 1. */
  scores: readonly Float64Array[]
  isRelevant: Uint8Array
  /** DCG of the best list there can be. */
  ideal: number
}

/** What was new to its user alone. */
function freshOf(tests: readonly Test[]): Test[] {
  return tests.flatMap(({ relevant, ...test }) => {
    const had = new Set(test.history.items)
    const fresh = new Set([...relevant].filter(item => !had.has(item)))
    return fresh.size > 0 ? [{ ...test, relevant: fresh }] : []
  })
}

/** For each test the best candidates of every part, with what each part says of them; among all items, or those that the user has not had. */
function candidatesOf(names: readonly string[], models: readonly Recommender[], tests: readonly Test[], amongAll: boolean): Candidates[] {
  const itemCount = models[0].itemCount
  const skip = new Uint8Array(itemCount)
  const none = new Uint8Array(itemCount)
  const all = models.map(() => new Float64Array(itemCount))
  return tests.map(({ history, relevant }) => {
    for (const item of history.items) skip[item] = 1
    const found = new Set<number>()
    models.forEach((model, part) => {
      model.score(history, all[part])
      for (const item of topIndexes(all[part], CANDIDATES, amongAll ? none : skip)) found.add(item)
    })
    const items = Int32Array.from(found).sort()
    const scores = all.map((each, part) => {
      const scale = scaleOf(each, names[part] === repeat.name ? none : skip)
      return Float64Array.from(items, item => each[item] * scale)
    })
    const isRelevant = Uint8Array.from(items, item => (relevant.has(item) ? 1 : 0))
    for (const item of history.items) skip[item] = 0
    return { amount: new Set(history.items).size, scores, isRelevant, ideal: idealDcg(Math.min(LIST, relevant.size)) }
  })
}

/** 1 / the largest score of what is not skipped; 0 where nothing is above 0. */
function scaleOf(scores: Float64Array, skip: Uint8Array): number {
  let most = 0
  for (let item = 0; item < scores.length; item++) if (!skip[item] && scores[item] > most) most = scores[item]
  return inverseOf(most)
}

function inverseOf(most: number): number {
  return most > 1e-12 ? 1 / most : 0
}

function learnLevels(names: readonly string[], tests: readonly Candidates[], random: Random): BlendLevel[] {
  const named = (weights: readonly number[]) => Object.fromEntries(names.map((name, part) => [name, weights[part]]))
  const prior = names.map(name => (name === repeat.name ? 0 : UNPERSONAL.includes(name) ? 0.1 : 1))
  const overall = tests.length >= ENOUGH_TESTS / 4 ? bagged(tests, names.length, undefined, random) : prior
  const popular: BlendLevel = { from: 0, weights: named(names.map(name => (name === 'popularity' || names.length === 1 ? 1 : 0))) }
  const levels = LEVELS.map((from, at) => {
    const next = LEVELS[at + 1] ?? Number.POSITIVE_INFINITY
    const own = tests.filter(({ amount }) => amount >= from && amount < next)
    return { from, weights: named(own.length >= ENOUGH_TESTS ? bagged(own, names.length, overall, random) : overall) }
  })
  return [popular, ...levels]
}

/** The weight of `repeat` beside what the others were given: what ranks best where all may be listed, if it gains more than the standard error of its gain. */
function learnRepeats(names: readonly string[], levels: readonly BlendLevel[], tests: readonly Candidates[]): BlendLevel[] {
  const part = names.indexOf(repeat.name)
  return levels.map((level, at) => {
    const within = tests.filter(({ amount }) => amount >= level.from && amount < (levels[at + 1]?.from ?? Number.POSITIVE_INFINITY))
    const own = within.length >= ENOUGH_TESTS ? within : tests
    if (part < 0 || level.from === 0 || own.length < ENOUGH_TESTS / 4) return level
    const given = names.map(name => level.weights[name])
    const without = ndcgs(own, given)
    let [chosen, chosenValues] = [0, without]
    for (const weight of REPEAT_WEIGHTS) {
      const values = ndcgs(own, given.with(part, weight))
      if (isBetter(values, without) && mean(values) > mean(chosenValues)) [chosen, chosenValues] = [weight, values]
    }
    const total = given.reduce((sum, weight) => sum + weight, chosen)
    return {
      from: level.from,
      weights: Object.fromEntries(names.map((name, each) => [name, rounded((each === part ? chosen : given[each]) / total)])),
    }
  })
}

/** Mean of the weights found on resamples of the tests (Breiman 1996): what the split cannot tell apart shares the weight instead of winning it by chance. */
function bagged(tests: readonly Candidates[], parts: number, start: readonly number[] | undefined, random: Random): number[] {
  const sums = new Float64Array(parts)
  for (let bag = 0; bag < BAGS; bag++) {
    const sample = Array.from({ length: Math.min(tests.length, MOST_IN_BAG) }, () => tests[random.below(tests.length)])
    climb(sample, parts, start).forEach((weight, part) => {
      sums[part] += weight / BAGS
    })
  }
  const kept = sums.map(weight => (weight < LEAST_WEIGHT ? 0 : weight))
  const total = kept.reduce((sum, weight) => sum + weight, 0)
  return Array.from(kept, weight => rounded(weight / total))
}

/**
 * Coordinate ascent on NDCG@10, from the best single part unless a start is given. A step must gain more than the standard error of its gain over the
 * tests: what a split cannot tell apart stays as simple as it is.
 */
function climb(tests: readonly Candidates[], parts: number, start: readonly number[] | undefined): number[] {
  const single = (part: number) => Array.from({ length: parts }, (_, each) => (each === part ? 1 : 0))
  const starts = start ? [[...start]] : Array.from({ length: parts }, (_, part) => single(part))
  let best = starts[0]
  let bestValues = ndcgs(tests, best)
  for (const weights of starts.slice(1)) {
    const values = ndcgs(tests, weights)
    if (mean(values) > mean(bestValues)) [best, bestValues] = [weights, values]
  }
  for (let round = 0; round < ROUNDS; round++) {
    const before = best
    for (let part = 0; part < parts; part++) {
      let [chosen, chosenValues] = [best, bestValues]
      for (const weight of WEIGHTS) {
        if (weight === best[part]) continue
        const weights = best.with(part, weight)
        if (weights.every(each => each === 0)) continue
        const values = ndcgs(tests, weights)
        if (isBetter(values, bestValues) && mean(values) > mean(chosenValues)) [chosen, chosenValues] = [weights, values]
      }
      ;[best, bestValues] = [chosen, chosenValues]
    }
    if (best === before) break
  }
  const total = best.reduce((sum, weight) => sum + weight, 0)
  return best.map(weight => rounded(weight / total))
}

function rounded(weight: number): number {
  return Number(weight.toFixed(4))
}

function isBetter(values: Float64Array, than: Float64Array): boolean {
  const gains = values.map((value, at) => value - than[at])
  const gain = mean(gains)
  const variance = mean(gains.map(each => (each - gain) ** 2))
  return gain > Math.sqrt(variance / gains.length) && gain > 0
}

function mean(values: Float64Array): number {
  let sum = 0
  for (const value of values) sum += value
  return values.length > 0 ? sum / values.length : 0
}

/** NDCG@10 of each test; the loop that the search for weights spends its time in, so the best ten are kept by insertion. */
function ndcgs(tests: readonly Candidates[], weights: readonly number[]): Float64Array {
  const used = [...weights.keys()].filter(part => weights[part] > 0)
  const values = new Float64Array(LIST)
  const hits = new Uint8Array(LIST)
  const sums = new Float64Array(tests.reduce((most, { isRelevant }) => Math.max(most, isRelevant.length), 0))
  return Float64Array.from(tests, ({ scores, isRelevant, ideal }) => {
    const count = isRelevant.length
    sums.fill(0, 0, count)
    for (const part of used) {
      const weight = weights[part]
      const own = scores[part]
      for (let at = 0; at < count; at++) sums[at] += weight * own[at]
    }
    let length = 0
    for (let at = 0; at < count; at++) {
      const score = sums[at]
      if (length === LIST && score <= values[LIST - 1]) continue
      let place = length < LIST ? length++ : LIST - 1
      for (; place > 0 && values[place - 1] < score; place--) {
        values[place] = values[place - 1]
        hits[place] = hits[place - 1]
      }
      values[place] = score
      hits[place] = isRelevant[at]
    }
    let dcg = 0
    for (let place = 0; place < length; place++) if (hits[place] === 1) dcg += 1 / Math.log2(place + 2)
    return dcg / ideal
  })
}

type Bounded = Required<Pick<Recommender, 'best' | 'scoreOf'>>

/** Undefined when one of them has to score every item. */
function boundedOf(models: readonly Recommender[]): Bounded[] | undefined {
  const found = models.flatMap(({ best, scoreOf }) => (best && scoreOf ? [{ best, scoreOf }] : []))
  return found.length === models.length ? found : undefined
}

function recommenderOf(
  itemCount: number,
  names: readonly string[],
  models: readonly Recommender[],
  levels: readonly BlendLevel[],
  isOnce: boolean,
): Recommender {
  const bounded = boundedOf(models)
  let scores: Float64Array | undefined
  const skip = new Uint8Array(itemCount)

  const levelOf = remembered(({ items }: History): BlendLevel => {
    const amount = new Set(items.filter(item => item >= 0 && item < itemCount)).size
    return levels.findLast(({ from }) => amount >= from) ?? levels[0]
  })

  /** What a part's scores for a history are multiplied by to be at most 1 over what is not in it. */
  function scaleFor(part: number, history: History): number {
    const { best } = models[part]
    const isOfOwn = names[part] === repeat.name
    if (best) return inverseOf(best(history, 1, !isOfOwn).scores[0] ?? 0)
    const own = history.items.filter(item => item >= 0 && item < itemCount)
    scores ??= new Float64Array(itemCount)
    models[part].score(history, scores)
    for (const item of own) skip[item] = 1
    const scale = scaleOf(scores, skip)
    for (const item of own) skip[item] = 0
    return scale
  }

  /** Weight times scale of each part for a history. */
  const factorsOf = remembered((history: History) => {
    const { weights } = levelOf(history)
    return names.map((name, part) => (weights[name] > 0 ? weights[name] * scaleFor(part, history) : 0))
  })

  function score(history: History, out: Float64Array) {
    scores ??= new Float64Array(itemCount)
    const own = scores
    out.fill(0)
    factorsOf(history).forEach((factor, part) => {
      if (factor === 0) return
      models[part].score(history, own)
      for (let item = 0; item < itemCount; item++) out[item] += factor * own[item]
    })
  }

  function scoreOf(history: History, items: Int32Array, parts: readonly Bounded[]): Float64Array {
    const sums = new Float64Array(items.length)
    factorsOf(history).forEach((factor, part) => {
      if (factor === 0) return
      const own = parts[part].scoreOf(history, items)
      for (let at = 0; at < items.length; at++) sums[at] += factor * own[at]
    })
    return sums
  }

  /** By item, what the lists of the parts say beyond their ends; 0 between calls. */
  let beyond: Float64Array | undefined

  /**
   * From the best of each part (Fagin, Lotem and Naor 2001): what is in none of these lists scores no more than their ends together, and what is in some of them no
   * more than it has there and the ends of the others. Only what could be among the best is scored, and the list whose end weighs most grows until none of the
   * unseen can be; where it would be a good part of everything, everything is scored.
   */
  function best(history: History, count: number, withoutHistory: boolean, parts: readonly Bounded[]): Ranking {
    const factors = factorsOf(history)
    const used = [...factors.keys()].filter(part => factors[part] > 0)
    const depths = used.map(() => Math.max(LEAST_DEPTH, 2 * count))
    const tops = used.map((part, at) => parts[part].best(history, depths[at], withoutHistory))
    while (depths.every(depth => depth * DENSE <= itemCount)) {
      const ends = used.map((part, at) => Math.max(0, factors[part] * (tops[at].scores[depths[at] - 1] ?? 0)))
      const unseen = ends.reduce((sum, end) => sum + end, 0)
      const found = bestOfSeen(history, count, { parts, tops, ends, factors: used.map(part => factors[part]) })
      const last = found.items.length < count ? 0 : found.scores[count - 1]
      if (unseen <= 0 || last > unseen * (1 + ROUNDING)) return found
      const heaviest = ends.indexOf(Math.max(...ends))
      depths[heaviest] *= 2
      tops[heaviest] = parts[used[heaviest]].best(history, depths[heaviest], withoutHistory)
    }
    const all = new Float64Array(itemCount)
    score(history, all)
    const own = withoutHistory ? history.items.filter(item => item >= 0 && item < itemCount) : history.items.subarray(0, 0)
    for (const item of own) skip[item] = 1
    const items = topIndexes(all, count, skip).filter(item => all[item] > 0)
    for (const item of own) skip[item] = 0
    return { items, scores: Float64Array.from(items, item => all[item]) }
  }

  interface Lists {
    parts: readonly Bounded[]
    tops: readonly Ranking[]
    ends: readonly number[]
    factors: readonly number[]
  }

  /** The best of all that stand in one of these lists. */
  function bestOfSeen(history: History, count: number, { parts, tops, ends, factors }: Lists): Ranking {
    beyond ??= new Float64Array(itemCount)
    const bounds = beyond
    const seen: number[] = []
    tops.forEach(({ items, scores }, at) => {
      for (let place = 0; place < items.length; place++) {
        if (bounds[items[place]] === 0) seen.push(items[place])
        // So little more than 0 that it changes no bound, and says that the item was seen.
        bounds[items[place]] += Math.max(Number.MIN_VALUE, factors[at] * scores[place] - ends[at])
      }
    })
    const unseen = ends.reduce((sum, end) => sum + end, 0)
    const order = topAmong(bounds, seen.length, Int32Array.from(seen), seen.length)
    const uppers = new Float64Array(order.length)
    for (let place = 0; place < order.length; place++) uppers[place] = (unseen + bounds[order[place]]) * (1 + ROUNDING)
    for (const item of seen) bounds[item] = 0
    // Those that promise most tell how much it takes to be among the best.
    const head = order.slice(0, 2 * count)
    const headScores = scoreOf(history, head, parts)
    const places = topIndexes(headScores, count)
    const least = places.length < count ? Number.NEGATIVE_INFINITY : headScores[places[count - 1]]
    let end = head.length
    while (end < order.length && uppers[end] >= least) end++
    const items = order.slice(0, end).sort()
    const scores = scoreOf(history, items, parts)
    const found = topIndexes(scores, count).filter(place => scores[place] > 0)
    return { items: found.map(place => items[place]), scores: Float64Array.from(found, place => scores[place]) }
  }

  return {
    itemCount,
    blend: levels,
    score,
    ...(bounded && {
      best: (history: History, count: number, withoutHistory: boolean) => best(history, count, withoutHistory, bounded),
      scoreOf: (history: History, items: Int32Array) => scoreOf(history, items, bounded),
    }),
    predict: (history, item) =>
      factorsOf(history).reduce((sum, factor, part) => (factor === 0 ? sum : sum + factor * models[part].predict(history, item)), 0),
    explain: (history, item, limit = Number.POSITIVE_INFINITY) =>
      factorsOf(history)
        .flatMap((factor, part): Evidence[] =>
          factor === 0
            ? []
            : models[part]
                .explain(history, item, limit)
                .map(evidence => ({ ...evidence, weight: factor * evidence.weight, by: names[part] })),
        )
        .sort((a, b) => Math.abs(b.weight) - Math.abs(a.weight))
        .slice(0, limit),
    similar: (item, count) => {
      // The strongest part of those with the longest history speaks first; content where behaviour knows nothing.
      const strongest = [...names.keys()].sort((a, b) => (levels.at(-1)?.weights[names[b]] ?? 0) - (levels.at(-1)?.weights[names[a]] ?? 0))
      for (const part of strongest.filter(part => !UNPERSONAL.includes(names[part]))) {
        const found = models[part].similar(item, count)
        if (found.items.length > 0) return found
      }
      return { items: new Int32Array(0), scores: new Float32Array(0) }
    },
    alike: models[names.indexOf('content')]?.alike,
    scoreNew: (history, described) => {
      const part = names.indexOf('content')
      const fresh = part < 0 ? undefined : models[part].scoreNew?.(history, described)
      if (!fresh) return new Float64Array(described.titles.length)
      const weight = Math.max(NEW_WEIGHT, levelOf(history).weights.content ?? 0) * scaleFor(part, history)
      return fresh.map(score => weight * score)
    },
    save: () => {
      const arrays: Record<string, NumberArray> = Object.fromEntries(models.map((model, part) => [names[part], model.save()]))
      return pack(FORMAT, { meta: { names: [...names], levels: [...levels], itemCount, isOnce }, arrays })
    },
  }
}
