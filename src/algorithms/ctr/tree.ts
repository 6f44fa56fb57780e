import { type Params, parameter } from '../algorithm.js'
import { logit } from '../math/calibration.js'
import { loadTrees, treeScorer } from './boosted-trees.js'
import { classifier } from './classifier.js'
import { fitEncoding } from './encoding.js'
import { smoothedRate } from './examples.js'
import { classificationTree } from './growing.js'

const FORMAT = 'tree/1'

/**
 * One decision tree (Breiman et al. 1984) by Gini impurity, at least `minimumRows` rows a leaf (0: a fiftieth of all, from 20 to 200: a leaf of few rows ranks by
 * chance and errs in its rate); words are ordered by their target rate.
 */
export const tree = classifier(
  {
    name: 'tree',
    defaults: { leaves: 64, depth: 6, minimumRows: 0, codes: 256, strength: 10 },
    fit: (examples, params, random) => {
      const number = (name: string) => parameter(params as Params, tree.defaults, name)
      const start = logit(smoothedRate(examples.labels))
      const { encoding, columns } = fitEncoding(examples, number('strength'), random.fork('folds'))
      const table = { rows: examples.rows, columnCount: encoding.columnCount, columns, labels: examples.labels }
      const growth = {
        trees: 1,
        leaves: Math.max(2, number('leaves')),
        depth: number('depth'),
        rate: 1,
        reg: 0,
        minimumHessian: number('minimumRows') || Math.max(20, Math.min(200, examples.rows / 50)),
        rowShare: 1,
        columnShare: 1,
        codes: Math.min(256, number('codes')),
      }
      return treeScorer(FORMAT, { start, encoding, forest: classificationTree(table, start, growth, 1) }, examples.fields)
    },
    load: (artifact, fields) => loadTrees(FORMAT, artifact, fields),
  },
  'platt',
)
