import { type Params, parameter } from '../algorithm.js'
import { type NumberArray, pack, unpack } from '../artifact.js'
import { logit } from '../math/calibration.js'
import { type Contribution, classifier, type Scorer } from './classifier.js'
import { type Encoding, fitEncoding, loadEncoding } from './encoding.js'
import { type Fields, smoothedRate } from './examples.js'
import { type Forest, forestFrom, scoreOf, shapley } from './forest.js'
import { boost } from './growing.js'

const FORMAT = 'boosted-trees/1'

/**
 * Gradient-boosted trees of logistic loss on histograms, leaf by leaf (Friedman 2001; Chen and Guestrin 2016; Ke et al. 2017). Unknown numbers go where the
 * gain is larger; words enter by their target rate (out of fold, drawn to the base rate as by `strength` rows) and their count. Parts of a prediction are SHAP
 * values.
 */
export const boostedTrees = classifier({
  name: 'boosted-trees',
  defaults: {
    trees: 200,
    leaves: 8,
    depth: 4,
    rate: 0.05,
    reg: 1,
    minimumHessian: 5,
    rowShare: 0.8,
    columnShare: 0.5,
    codes: 128,
    strength: 10,
  },
  fit: (examples, params, random) => {
    const number = (name: string) => parameter(params as Params, boostedTrees.defaults, name)
    const start = logit(smoothedRate(examples.labels))
    const { encoding, columns } = fitEncoding(examples, number('strength'), random.fork('folds'))
    const table = { rows: examples.rows, columnCount: encoding.columnCount, columns, labels: examples.labels }
    const growth = {
      trees: number('trees'),
      leaves: Math.max(2, number('leaves')),
      depth: number('depth'),
      rate: number('rate'),
      reg: number('reg'),
      minimumHessian: number('minimumHessian'),
      rowShare: number('rowShare'),
      columnShare: number('columnShare'),
      codes: Math.min(256, number('codes')),
    }
    return treeScorer(FORMAT, { start, encoding, forest: boost(table, start, growth, random) }, examples.fields)
  },
  load: (artifact, fields) => loadTrees(FORMAT, artifact, fields),
})

interface TreeModel {
  start: number
  encoding: Encoding
  forest: Forest
}

export function loadTrees(format: string, artifact: Uint8Array, fields: Fields): Scorer {
  const { meta, arrays } = unpack(format, artifact)
  return treeScorer(format, { start: Number(meta.start), encoding: loadEncoding(fields, arrays), forest: forestFrom(arrays) }, fields)
}

export function treeScorer(format: string, { start, encoding, forest }: TreeModel, fields: Fields): Scorer {
  const columns = new Float64Array(encoding.columnCount)
  const names = [...fields.numbers, ...fields.words]
  return {
    score: (examples, out) => {
      for (let row = 0; row < examples.rows; row++) {
        encoding.encode(examples, row, columns)
        out[row] = start + scoreOf(forest, columns)
      }
    },
    parts: (examples, row) => {
      encoding.encode(examples, row, columns)
      const values = new Float64Array(encoding.columnCount)
      const expected = shapley(forest, columns, values)
      const sums = new Float64Array(names.length)
      values.forEach((value, column) => {
        sums[encoding.fieldOf[column]] += value
      })
      return [
        { kind: 'bias', fields: [], weight: start + expected },
        ...names.map((name, field): Contribution => ({ kind: 'field', fields: [name], weight: sums[field] })),
      ]
    },
    save: () => pack(format, { meta: { start }, arrays: { ...encoding.arrays(), ...(forest as unknown as Record<string, NumberArray>) } }),
  }
}
