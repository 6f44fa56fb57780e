import type { Additive, Classifier, Contribution as Summand } from '../algorithms/ctr/classifier.js'
import { lineOf } from '../registry/decisions.js'
import type { LiveModel, LiveModels } from '../registry/live-models.js'
import {
  type AdFacts,
  type ContextFacts,
  categoryWord,
  contextWords,
  examplesOf,
  FIELDS,
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
const FIELD_OF = FIELDS.words.map(name => [name])

/** Clicks and conversions from the live models; from the ads' own smoothed records before there are any. */
export class Predictor {
  private words = new Uint32Array(0)
  /** Of the context that was asked for last: a bid is predicted and then explained from the same one. */
  private last?: { context: ContextFacts; words: Uint32Array }
  private readonly crosses = new Uint32Array(PLACES.end - PLACES.cross)
  /** By a model's weights, the sum for the words of each ad. */
  private readonly adSums = new WeakMap<Additive, { version: number; sums: WeakMap<Uint32Array, number> }>()

  constructor(private readonly models: Pick<LiveModels, 'live' | 'baseline'>) {}

  predict(ads: readonly Predictable[], context: ContextFacts): Predictions {
    const [ctr, cvr] = [this.modelOf('CTR'), this.modelOf('CVR')]
    const faults: string[] = []
    const answer = (model: LiveModel<Classifier> | undefined, smoothed: (ad: Predictable) => number) => {
      const chances = new Float64Array(ads.length)
      if (model) this.modelled(model.model, ads, context, chances)
      for (let at = 0; at < ads.length; at++) {
        // A model whose answer is no number is not believed; the record answers for it.
        const isNumber = model !== undefined && chances[at] >= 0 && chances[at] <= 1
        if (model && !isNumber) faults.push(`${model.servedBy} predicted ${chances[at]}`)
        const chance = isNumber ? chances[at] : smoothed(ads[at])
        chances[at] = chance < LEAST ? LEAST : chance > MOST ? MOST : chance
      }
      return chances
    }
    return {
      pCtr: answer(ctr, smoothedCtr),
      pCvr: answer(cvr, smoothedCvr),
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
    const { additive, fields } = model.model
    const parts =
      additive && isOurLayout(fields)
        ? this.summands(model.model, additive, ad, context)
        : model.model.explain(laidOutFor(fields, this.examplesOf([ad], context)), 0)
    return parts.map(part => {
      if (part.fields.length === 1) return lineOf(`${name}: ${part.fields[0]}`, words(part.fields[0]), part.weight)
      const among = part.fields.length > 0
      return lineOf(
        `${name}: ${among ? part.fields.join(' and ') : part.kind}`,
        among ? part.fields.map(words).join(', ') : part.kind,
        part.weight,
      )
    })
  }

  /** What `model.explain` says, from the weights of the words alone. */
  private summands(model: Classifier, additive: Additive, ad: Predictable, context: ContextFacts): Summand[] {
    const own = this.wordsOf(context)
    writeCrosses(this.crosses, 0, categoryWord(ad.words), own)
    const parts: Summand[] = [{ kind: 'bias', fields: [], weight: additive.bias }]
    let sum = additive.bias
    for (let place = 0; place < WIDTH; place++) {
      const word =
        place < PLACES.context ? ad.words[place] : place < PLACES.cross ? own[place - PLACES.context] : this.crosses[place - PLACES.cross]
      const weight = additive.weightOf(place, word)
      sum += weight
      if (weight !== 0) parts.push({ kind: 'field', fields: FIELD_OF[place], weight })
    }
    parts.push(...model.correctionsOf(sum))
    return parts.sort((a, b) => Math.abs(b.weight) - Math.abs(a.weight))
  }

  /** The model that answers; a baseline that has seen nothing is none. */
  private modelOf(task: 'CTR' | 'CVR'): LiveModel<Classifier> | undefined {
    const baseline = this.models.baseline<Classifier>(task)
    return this.models.live<Classifier>(task) ?? (baseline && baseline.keys.length > 0 ? baseline : undefined)
  }

  private modelled(model: Classifier, ads: readonly Predictable[], context: ContextFacts, chances: Float64Array): void {
    if (model.additive && isOurLayout(model.fields)) this.summed(model, model.additive, ads, context, chances)
    else model.predict(laidOutFor(model.fields, this.examplesOf(ads, context)), chances)
  }

  /** The weights of an ad's words are added up once for all requests, those of the context once for all ads, and those that cross both once a category. */
  private summed(model: Classifier, additive: Additive, ads: readonly Predictable[], context: ContextFacts, chances: Float64Array): void {
    const own = this.wordsOf(context)
    const known = this.adSumsOf(additive)
    const common = additive.bias + sumOf(additive, own, PLACES.context)
    const byCategory = new Map<number, number>()
    for (let at = 0; at < ads.length; at++) {
      const { words } = ads[at]
      let sum = known.get(words)
      if (sum === undefined) {
        sum = sumOf(additive, words, PLACES.ad)
        known.set(words, sum)
      }
      const category = categoryWord(words)
      let crossed = byCategory.get(category)
      if (crossed === undefined) {
        writeCrosses(this.crosses, 0, category, own)
        crossed = sumOf(additive, this.crosses, PLACES.cross)
        byCategory.set(category, crossed)
      }
      chances[at] = model.probabilityOf(common + sum + crossed)
    }
  }

  private adSumsOf(additive: Additive): WeakMap<Uint32Array, number> {
    const known = this.adSums.get(additive)
    if (known?.version === additive.version) return known.sums
    const sums = new WeakMap<Uint32Array, number>()
    this.adSums.set(additive, { version: additive.version, sums })
    return sums
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

/** Weights of words that stand in fields one after another from `place` on. */
function sumOf(additive: Additive, words: Uint32Array, place: number): number {
  let sum = 0
  for (let at = 0; at < words.length; at++) sum += additive.weightOf(place + at, words[at])
  return sum
}
