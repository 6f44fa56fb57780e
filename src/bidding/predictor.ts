import type { Classifier } from '../algorithms/ctr/classifier.js'
import type { Contribution } from '../registry/decisions.js'
import type { LiveModel, LiveModels } from '../registry/live-models.js'
import { type AdFacts, type ContextFacts, contextWords, examplesOf, laidOutFor, WIDTH, wordsOf, writeExample } from './features.js'

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

/** Clicks and conversions from the live models; from the ads' own smoothed records before there are any. */
export class Predictor {
  private words = new Uint32Array(0)
  /** Of the context that was asked for last: a bid is predicted and then explained from the same one. */
  private last?: { context: ContextFacts; words: Uint32Array }

  constructor(private readonly models: Pick<LiveModels, 'live' | 'baseline'>) {}

  predict(ads: readonly Predictable[], context: ContextFacts): Predictions {
    const [ctr, cvr] = [this.modelOf('CTR'), this.modelOf('CVR')]
    const examples = ctr || cvr ? this.examplesOf(ads, context) : undefined
    const faults: string[] = []
    const answer = (model: LiveModel<Classifier> | undefined, smoothed: (ad: Predictable) => number) => {
      const chances = new Float64Array(ads.length)
      if (model && examples) model.model.predict(laidOutFor(model.model.fields, examples), chances)
      for (let at = 0; at < ads.length; at++) {
        // A model whose answer is no number is not believed; the record answers for it.
        const isNumber = model !== undefined && chances[at] >= 0 && chances[at] <= 1
        if (model && !isNumber) faults.push(`${model.servedBy} predicted ${chances[at]}`)
        chances[at] = Math.min(MOST, Math.max(LEAST, isNumber ? chances[at] : smoothed(ads[at])))
      }
      return chances
    }
    return {
      pCtr: answer(ctr, ad => (ad.clicks + PRIOR.ctr * PRIOR.impressions) / (ad.impressions + PRIOR.impressions)),
      pCvr: answer(cvr, ad => Math.min(1, (ad.conversions + PRIOR.cvr * PRIOR.clicks) / (ad.clicks + PRIOR.clicks))),
      modelId: ctr?.modelId ?? null,
      servedBy: `${ctr?.servedBy ?? 'smoothed click rate'}, ${cvr?.servedBy ?? 'smoothed conversion rate'}`,
      fault: faults[0] ?? null,
    }
  }

  /** Exact parts of the log-odds of one ad, of clicks and of conversions. */
  explain(ad: Predictable, context: ContextFacts, pCtr: number, pCvr: number): Contribution[] {
    return [...this.parts('pCTR', this.modelOf('CTR'), ad, context, pCtr), ...this.parts('pCVR', this.modelOf('CVR'), ad, context, pCvr)]
  }

  private parts(
    name: string,
    model: LiveModel<Classifier> | undefined,
    ad: Predictable,
    context: ContextFacts,
    chance: number,
  ): Contribution[] {
    if (!model) return [{ feature: name, value: "the ad's smoothed record", weight: Math.log(chance / (1 - chance)) }]
    const words = wordsOf(ad.facts, context)
    return model.model.explain(laidOutFor(model.model.fields, this.examplesOf([ad], context)), 0).map(({ kind, fields, weight }) => ({
      feature: `${name}: ${fields.length > 0 ? fields.join(' and ') : kind}`,
      value: fields.map(words).join(', ') || kind,
      weight,
    }))
  }

  /** The model that answers; a baseline that has seen nothing is none. */
  private modelOf(task: 'CTR' | 'CVR'): LiveModel<Classifier> | undefined {
    const baseline = this.models.baseline<Classifier>(task)
    return this.models.live<Classifier>(task) ?? (baseline && baseline.keys.length > 0 ? baseline : undefined)
  }

  private examplesOf(ads: readonly Predictable[], context: ContextFacts) {
    const length = ads.length * WIDTH
    if (this.words.length < length) this.words = new Uint32Array(length * 2)
    if (this.last?.context !== context) this.last = { context, words: contextWords(context) }
    const own = this.last.words
    for (let at = 0; at < ads.length; at++) writeExample(this.words, at * WIDTH, ads[at].words, own)
    return examplesOf(this.words.subarray(0, length), ads.length)
  }
}
