import { expect, test } from '@jest/globals'
import type { Classifier } from '../../../src/algorithms/ctr/classifier.js'
import { algorithms } from '../../../src/algorithms/ctr/index.js'
import { createRandom } from '../../../src/algorithms/math/random.js'
import { adWords, type ContextFacts, contextWords, examplesOf, WIDTH, wordsOf, writeExample } from '../../../src/bidding/features.js'
import { Predictor } from '../../../src/bidding/predictor.js'
import { contributionsIn } from '../../../src/registry/decisions.js'

const ads = Array.from({ length: 40 }, (_, at) => {
  const facts = {
    ad: String(at),
    adGroup: `g-${at % 9}`,
    campaign: `c-${at % 5}`,
    product: `p-${at}`,
    categories: at % 7 === 0 ? [] : [`k-${at % 6}`],
    brand: at % 2 ? 'b' : null,
    priceMicros: at * 1_000_000,
    sentiment: at % 3 ? '+0.5' : null,
  }
  return { facts, words: adWords(facts), impressions: 0, clicks: 0, conversions: 0 }
})
const contexts: ContextFacts[] = [
  { device: 'mobile', placement: 'top', hour: 9, gender: 'female', age: '25-34', affinity: 'k-2', country: 'DE' },
  { device: 'desktop', hour: 20 },
  {},
]
const examples = (context: ContextFacts) => {
  const words = new Uint32Array(ads.length * WIDTH)
  for (const [at, ad] of ads.entries()) writeExample(words, at * WIDTH, ad.words, contextWords(context))
  return examplesOf(words, ads.length)
}
/** Clicks follow the category where the device is mobile. */
const log = () => {
  const parts = Array.from({ length: 60 }, (_, at) => examples(contexts[at % 3]))
  const words = new Uint32Array(parts.flatMap(part => [...part.words]))
  const rows = words.length / WIDTH
  const random = createRandom(3)
  const labels = Uint8Array.from({ length: rows }, (_, row) =>
    random.next() < (row % 6 === 2 && Math.floor(row / 40) % 3 === 0 ? 0.6 : 0.1) ? 1 : 0,
  )
  return { ...examplesOf(words, rows), labels }
}

test.each(algorithms.map(({ name }) => name))(
  'chances of ads by %s, and why, are those of the model, also after it has learned more',
  name => {
    const algorithm = algorithms.find(each => each.name === name)
    if (!algorithm) throw new Error(`There is no ${name}`)
    const model: Classifier = algorithm.fit(log(), { ...algorithm.defaults, calibration: 'platt' }, createRandom(1))
    const predictor = new Predictor({ live: () => ({ model, modelId: 'm', servedBy: 'm v1' }) as never, baseline: () => undefined })
    const isRight = () => {
      for (const context of contexts) {
        const wanted = model.predict(examples(context))
        const { pCtr, fault } = predictor.predict(ads, context)
        expect(fault).toBeNull()
        for (const [at, chance] of wanted.entries()) expect(pCtr[at]).toBeCloseTo(chance, 12)
        for (const at of [0, 1, 7]) {
          const why = contributionsIn(predictor.explain(ads[at], context, pCtr[at], 0.5)).filter(({ feature }) =>
            feature.startsWith('pCTR'),
          )
          const own = model.explain(examples(context), at)
          const words = wordsOf(ads[at].facts, context)
          expect(why.map(({ feature, value }) => `${feature}|${value}`).sort()).toEqual(
            own.map(({ kind, fields }) => `pCTR: ${fields.join(' and ') || kind}|${fields.map(words).join(', ') || kind}`).sort(),
          )
          expect(why.reduce((sum, { weight }) => sum + weight, 0)).toBeCloseTo(Math.log(wanted[at] / (1 - wanted[at])), 6)
          const sizes = why.map(({ weight }) => Math.abs(weight))
          expect(sizes).toEqual([...sizes].sort((a, b) => b - a))
        }
      }
    }
    isRight()
    const before = predictor.predict(ads, contexts[0]).pCtr[2]
    model.update?.({ ...log(), labels: new Uint8Array(log().rows).fill(1) })
    isRight()
    // What is kept of an ad's words must not outlive the weights.
    if (model.additive) expect(predictor.predict(ads, contexts[0]).pCtr[2]).toBeGreaterThan(before)
  },
)
