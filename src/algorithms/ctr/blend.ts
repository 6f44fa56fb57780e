import type { Params } from '../algorithm.js'
import { pack, unpack } from '../artifact.js'
import { logLosses } from '../evaluate/classification.js'
import { sigmoid } from '../math/calibration.js'
import { pairwiseSum } from '../math/order.js'
import type { Random } from '../math/random.js'
import { boostedTrees } from './boosted-trees.js'
import { type Classifier, type Contribution, classifier, shuffle } from './classifier.js'
import { chosenRows, type Examples } from './examples.js'
import { logisticL2 } from './logistic-l2.js'

const FORMAT = 'blend/1'
const LINEAR = { name: 'linear', of: logisticL2 }
const TREES = ['trees-1', 'trees-2', 'trees-3'].map(name => ({ name, of: boostedTrees }))
const PARTS = [LINEAR, ...TREES]
/** Share of the linear model where nothing says better. */
const USUAL_SHARE = 0.25
const STEPS = 20
/** Fewer rows tell nothing of it, and more than these no more. */
const FEWEST = 250
const MOST = 100_000
const FOLDS = 3

/**
 * Mean log-odds of ridge logistic regression and of boosted trees grown three times on different draws of rows and columns: they err on different rows. The
 * share of the linear model is a quarter, or, where another fits held-out rows better by more than a standard error, the nearest one that does not fit worse than
 * the best by more (stacking, Wolpert 1992, by the rule of Breiman et al. 1984). Its parameters are the most telling ones of each; the others keep their defaults.
 */
export const blend = classifier({
  name: 'blend',
  defaults: { cost: 0.05, trees: 200, leaves: 8, depth: 4, rate: 0.05 },
  fit: (examples, params, random) => {
    const { calibration, ...own } = params
    const whole = { ...examples, negativeShare: 1 }
    const models = PARTS.map(({ name, of }) => of.fit(whole, own, random.fork(name)))
    return scorerOf(models, linearShare(whole, own, random.fork('share')))
  },
  load: artifact => {
    const { meta, arrays } = unpack(FORMAT, artifact)
    return scorerOf(
      PARTS.map(({ name, of }) => of.load(arrays[name] as Uint8Array)),
      Number(meta.share ?? USUAL_SHARE),
    )
  },
})

/** In [0, 1], by models that did not see the rows they are compared on. */
function linearShare(examples: Examples, params: Params, random: Random): number {
  if (examples.rows < FEWEST) return USUAL_SHARE
  const all = Int32Array.from({ length: examples.rows }, (_, row) => row)
  shuffle(all, random.fork('folds'))
  const order = all.subarray(0, MOST)
  const [linear, trees] = [LINEAR, TREES[0]].map(() => new Float64Array(order.length))
  const labels = Uint8Array.from(order, row => examples.labels[row])
  for (let fold = 0; fold < FOLDS; fold++) {
    const isHeld = (_: number, at: number) => at % FOLDS === fold
    const train = chosenRows(
      examples,
      order.filter((row, at) => !isHeld(row, at)),
    )
    const test = chosenRows(examples, order.filter(isHeld))
    for (const [{ name, of }, out] of [
      [LINEAR, linear],
      [TREES[0], trees],
    ] as const) {
      const scores = new Float64Array(test.rows)
      of.fit(train, params, random.fork(`${name} ${fold}`)).score(test, scores)
      for (let at = 0; at < test.rows; at++) out[at * FOLDS + fold] = scores[at]
    }
  }
  const losses = Array.from({ length: STEPS + 1 }, (_, step) => {
    const share = step / STEPS
    const probabilities = linear.map((score, row) => sigmoid(share * score + (1 - share) * trees[row]))
    return { share, rows: logLosses(labels, probabilities) }
  })
  const best = losses.reduce((least, each) => (mean(each.rows) < mean(least.rows) ? each : least))
  const asGood = losses.filter(({ rows }) => {
    const worse = rows.map((loss, row) => loss - best.rows[row])
    const by = mean(worse)
    return by <= Math.sqrt(mean(worse.map(each => (each - by) ** 2)) / worse.length)
  })
  const distance = (share: number) => Math.abs(share - USUAL_SHARE)
  return asGood.reduce((nearest, each) => (distance(each.share) < distance(nearest.share) ? each : nearest)).share
}

function scorerOf(models: Classifier[], share: number) {
  const weights = models.map((_, at) => (at === 0 ? share : (1 - share) / (models.length - 1)))
  return {
    score: (examples: Examples, out: Float64Array) => {
      const own = new Float64Array(examples.rows)
      out.fill(0)
      models.forEach((model, at) => {
        model.score(examples, own)
        for (let row = 0; row < examples.rows; row++) out[row] += own[row] * weights[at]
      })
    },
    parts: (examples: Examples, row: number): Contribution[] => {
      const sums = new Map<string, Contribution>()
      models.forEach((model, at) => {
        for (const part of model.explain(examples, row)) {
          const key = [part.kind, ...part.fields].join('\u0000')
          const known = sums.get(key) ?? { ...part, weight: 0 }
          sums.set(key, { ...known, weight: known.weight + part.weight * weights[at] })
        }
      })
      return [...sums.values()]
    },
    save: () => pack(FORMAT, { meta: { share }, arrays: Object.fromEntries(models.map((model, at) => [PARTS[at].name, model.save()])) }),
  }
}

function mean(values: Float64Array): number {
  return pairwiseSum(values) / values.length
}
