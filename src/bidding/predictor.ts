import type { Additive, Classifier } from '../algorithms/ctr/classifier.js'
import { lineOf } from '../registry/decisions.js'
import type { LiveModel, LiveModels } from '../registry/live-models.js'
import {
  type AdFacts,
  type ContextFacts,
  categoryWord,
  contextWords,
  examplesOf,
  isOurLayout,
  laidOutFor,
  PLACES,
  WIDTH,
  wordsOf,
  writeCrosses,
  writeExample,
} from './features.js'

/** An ad that may be shown, with its words ready and its own record. */
export interface Predictable {
  facts: AdFacts
  words: Uint32Array
  impressions: number
  clicks: number
  conversions: number
  /** What is known of it by the weights that a model has now, by task; the predictor's own. */
  summed?: { CTR?: Summed; CVR?: Summed }
}

type Task = 'CTR' | 'CVR'

/** By one state of a model's weights: the sum for an ad's words, and what its category has in common with others. */
interface Summed {
  by: Weights
  sum: number
  category: CategorySum
}

/** The sum of what crosses a category and the context of the `request`. */
interface CategorySum {
  word: number
  request: number
  sum: number
}

/** A state of a model's weights. */
interface Weights {
  version: number
  categories: Map<number, CategorySum>
}

/** Chances of several ads in one context. */
export interface Predictions {
  pCtr: Float64Array
  pCvr: Float64Array
  modelId: string | null
  servedBy: string
  /** What spoke against a model that should have answered. */
  fault: string | null
}

/** What an ad without a record is taken for, as if it had had so many impressions and clicks. */
const PRIOR = { ctr: 0.01, impressions: 100, cvr: 0.02, clicks: 50 }
/** Nothing is certain: a chance of 0 would never be tried, and one of 1 would bid without bounds. */
const LEAST = 1e-7
const MOST = 1 - 1e-7

/** Clicks and conversions from the live models; from the ads' own smoothed records before there are any. */
export class Predictor {
  private words = new Uint32Array(0)
  /** Of the context that was asked for last: a bid is predicted and then explained from the same one. */
  private last?: { context: ContextFacts; words: Uint32Array }
  private readonly crosses = new Uint32Array(PLACES.end - PLACES.cross)
  private readonly weights = new WeakMap<Additive, Weights>()
  private requests = 0

  constructor(private readonly models: Pick<LiveModels, 'live' | 'baseline'>) {}

  predict(ads: readonly Predictable[], context: ContextFacts): Predictions {
    const [ctr, cvr] = [this.modelOf('CTR'), this.modelOf('CVR')]
    const faults: string[] = []
    const answer = (task: Task, model: LiveModel<Classifier> | undefined, smoothed: (ad: Predictable) => number) => {
      const chances = new Float64Array(ads.length)
      if (model) this.modelled(task, model.model, ads, context, chances)
      for (let at = 0; at < ads.length; at++) {
        let chance = chances[at]
        // A model whose answer is no number is not believed; the record answers for it.
        if (model === undefined || !(chance >= 0 && chance <= 1)) {
          if (model) faults.push(`${model.servedBy} predicted ${chance}`)
          chance = smoothed(ads[at])
        }
        chances[at] = chance < LEAST ? LEAST : chance > MOST ? MOST : chance
      }
      return chances
    }
    return {
      pCtr: answer('CTR', ctr, smoothedCtr),
      pCvr: answer('CVR', cvr, smoothedCvr),
      modelId: ctr?.modelId ?? null,
      servedBy: `${ctr?.servedBy ?? 'smoothed click rate'}, ${cvr?.servedBy ?? 'smoothed conversion rate'}`,
      fault: faults[0] ?? null,
    }
  }

  /** Exact parts of the log-odds of one ad, of clicks and of conversions, each strongest first: a line each as decisions keep them. */
  explain(ad: Predictable, context: ContextFacts, pCtr: number, pCvr: number): string {
    const clicks = this.parts('pCTR', this.modelOf('CTR'), ad, context, pCtr)
    return [...clicks, ...this.parts('pCVR', this.modelOf('CVR'), ad, context, pCvr)].join('\n')
  }

  private parts(name: string, model: LiveModel<Classifier> | undefined, ad: Predictable, context: ContextFacts, chance: number): string[] {
    if (!model) return [lineOf(name, "the ad's smoothed record", Math.log(chance / (1 - chance)))]
    const words = wordsOf(ad.facts, context)
    return model.model
      .explain(laidOutFor(model.model.fields, this.examplesOf([ad], context)), 0)
      .map(({ kind, fields, weight }) =>
        lineOf(`${name}: ${fields.length > 0 ? fields.join(' and ') : kind}`, fields.map(words).join(', ') || kind, weight),
      )
  }

  /** The model that answers; a baseline that has seen nothing is none. */
  private modelOf(task: Task): LiveModel<Classifier> | undefined {
    const baseline = this.models.baseline<Classifier>(task)
    return this.models.live<Classifier>(task) ?? (baseline && baseline.keys.length > 0 ? baseline : undefined)
  }

  private modelled(task: Task, model: Classifier, ads: readonly Predictable[], context: ContextFacts, chances: Float64Array): void {
    if (model.additive && isOurLayout(model.fields)) this.summed(task, model, model.additive, ads, context, chances)
    else model.predict(laidOutFor(model.fields, this.examplesOf(ads, context)), chances)
  }

  /** The weights of an ad's words are added up once for all requests, those of the context once for all ads, and those that cross both once a category. */
  private summed(
    task: Task,
    model: Classifier,
    additive: Additive,
    ads: readonly Predictable[],
    context: ContextFacts,
    chances: Float64Array,
  ): void {
    const own = this.wordsOf(context)
    const weights = this.weightsOf(additive)
    const common = additive.bias + sumOf(additive, own, PLACES.context)
    const request = ++this.requests
    for (let at = 0; at < ads.length; at++) {
      const ad = ads[at]
      const kept = ad.summed?.[task]
      const known = kept?.by === weights ? kept : summedOf(task, ad, additive, weights)
      const { category } = known
      if (category.request !== request) {
        writeCrosses(this.crosses, 0, category.word, own)
        category.sum = sumOf(additive, this.crosses, PLACES.cross)
        category.request = request
      }
      chances[at] = model.probabilityOf(common + known.sum + category.sum)
    }
  }

  private weightsOf(additive: Additive): Weights {
    const known = this.weights.get(additive)
    if (known?.version === additive.version) return known
    const weights = { version: additive.version, categories: new Map() }
    this.weights.set(additive, weights)
    return weights
  }

  private wordsOf(context: ContextFacts): Uint32Array {
    if (this.last?.context !== context) this.last = { context, words: contextWords(context) }
    return this.last.words
  }

  private examplesOf(ads: readonly Predictable[], context: ContextFacts) {
    const length = ads.length * WIDTH
    if (this.words.length < length) this.words = new Uint32Array(length * 2)
    const own = this.wordsOf(context)
    for (let at = 0; at < ads.length; at++) writeExample(this.words, at * WIDTH, ads[at].words, own)
    return examplesOf(this.words.subarray(0, length), ads.length)
  }
}

function smoothedCtr({ clicks, impressions }: Predictable): number {
  return (clicks + PRIOR.ctr * PRIOR.impressions) / (impressions + PRIOR.impressions)
}

function smoothedCvr({ conversions, clicks }: Predictable): number {
  return Math.min(1, (conversions + PRIOR.cvr * PRIOR.clicks) / (clicks + PRIOR.clicks))
}

function summedOf(task: Task, ad: Predictable, additive: Additive, by: Weights): Summed {
  const word = categoryWord(ad.words)
  const category = by.categories.get(word) ?? { word, request: 0, sum: 0 }
  by.categories.set(word, category)
  const summed = { by, sum: sumOf(additive, ad.words, PLACES.ad), category }
  ad.summed ??= { CTR: undefined, CVR: undefined }
  ad.summed[task] = summed
  return summed
}

/** Weights of words that stand in fields one after another from `place` on. */
function sumOf(additive: Additive, words: Uint32Array, place: number): number {
  let sum = 0
  for (let at = 0; at < words.length; at++) sum += additive.weightOf(place + at, words[at])
  return sum
}
