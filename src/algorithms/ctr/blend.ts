import { pack, unpack } from '../artifact.js'
import { boostedTrees } from './boosted-trees.js'
import { type Classifier, type Contribution, classifier } from './classifier.js'
import type { Examples } from './examples.js'
import { logisticL2 } from './logistic-l2.js'

const FORMAT = 'blend/1'
const PARTS = [
  { name: 'linear', of: logisticL2 },
  { name: 'trees-1', of: boostedTrees },
  { name: 'trees-2', of: boostedTrees },
  { name: 'trees-3', of: boostedTrees },
]

/**
 * Mean log-odds of ridge logistic regression and of boosted trees grown three times on different draws of rows and columns: they err on different rows. Its
 * parameters are the most telling ones of each; the others keep their defaults.
 */
export const blend = classifier({
  name: 'blend',
  defaults: { cost: 0.05, trees: 200, leaves: 8, depth: 4, rate: 0.05 },
  fit: (examples, params, random) => {
    const { calibration, ...own } = params
    return scorerOf(PARTS.map(({ name, of }) => of.fit({ ...examples, negativeShare: 1 }, own, random.fork(name))))
  },
  load: artifact => {
    const { arrays } = unpack(FORMAT, artifact)
    return scorerOf(PARTS.map(({ name, of }) => of.load(arrays[name] as Uint8Array)))
  },
})

function scorerOf(models: Classifier[]) {
  return {
    score: (examples: Examples, out: Float64Array) => {
      const own = new Float64Array(examples.rows)
      out.fill(0)
      for (const model of models) {
        model.score(examples, own)
        for (let row = 0; row < examples.rows; row++) out[row] += own[row] / models.length
      }
    },
    parts: (examples: Examples, row: number): Contribution[] => {
      const sums = new Map<string, Contribution>()
      for (const part of models.flatMap(model => model.explain(examples, row))) {
        const key = [part.kind, ...part.fields].join('\u0000')
        const known = sums.get(key) ?? { ...part, weight: 0 }
        sums.set(key, { ...known, weight: known.weight + part.weight / models.length })
      }
      return [...sums.values()]
    },
    save: () => pack(FORMAT, { meta: {}, arrays: Object.fromEntries(models.map((model, at) => [PARTS[at].name, model.save()])) }),
  }
}
