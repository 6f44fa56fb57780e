import { join } from 'node:path'
import type { Params } from '../../algorithms/algorithm.js'
import type { Examples } from '../../algorithms/ctr/examples.js'
import { algorithms } from '../../algorithms/ctr/index.js'
import { binaryReport } from '../../algorithms/evaluate/classification.js'
import { fairness } from '../../algorithms/fairness.js'
import { fnv1a } from '../../algorithms/math/random.js'
import { pooled, predictions } from './classify.js'
import { type Method, type MethodResult, measured, type Protocol, ProtocolError, type ProtocolOptions } from './protocol.js'
import { columnOf, examplesFrom, fieldsOf, labelsOf, type Table, tableIn } from './table.js'

interface Split {
  train: Examples
  test: Examples
  /** Group of each test row, for the fairness figures. */
  groups?: string[]
}

/** Parameters for tables of ten thousand rows and more; clicks have sparser fields and take smaller trees. */
const TABLES: Readonly<Record<string, Params>> = {
  logistic: { alpha: 0.1, l1: 0.01, l2: 0.1, passes: 4, codes: 64, calibration: 'platt' },
  'logistic-l2': { cost: 0.5, codes: 64 },
  'boosted-trees': { trees: 300, leaves: 16, depth: 6, rate: 0.06, codes: 256, calibration: 'platt' },
  blend: { cost: 0.5, trees: 300, leaves: 16, depth: 6 },
}

/** Adult census income (Kohavi 1996) on its given split, with the fairness figures by sex, and once more without what says who somebody is. */
export const adult: Protocol = {
  name: 'adult',
  about: 'income above 50K on the given split of Adult, with fairness figures by sex',
  run: function* ({ data = '../shared/data/adult', methods, params }) {
    const tables = ['adult_train.csv', 'adult_test.csv'].map(name => tableIn(join(data, name)))
    const target = columnOf(tables[0], 'class')
    // The test file writes its classes with a full stop.
    for (const { rows } of tables) for (const row of rows) row[target] = row[target].replace(/\.$/, '')
    const { labels } = labelsOf(tables, 'class')
    const groups = tables[1].rows.map(row => row[columnOf(tables[1], 'sex')])
    const splitOf = (leftOut: string[]): Split => {
      const fields = fieldsOf(tables, ['class', ...leftOut])
      const [train, test] = tables.map((table, at) => examplesFrom(table, fields, labels[at]))
      return { train, test, groups }
    }
    yield* measured('adult', methodsWith({ ...TABLES, ...params }), splitOf([]), methods)
    yield* measured(
      'adult',
      methodsWith({ ...TABLES, ...params }),
      splitOf(['sex', 'race', 'relationship', 'marital_status']),
      methods,
      'without sex, race, relationship, marital status',
    )
  },
}

const SHOPPER_WORDS = ['Month', 'OperatingSystems', 'Browser', 'Region', 'TrafficType', 'VisitorType', 'Weekend']

/** Online shoppers' purchase intention (Sakar et al. 2019), ten folds. PageValues is known only after a purchase, so the honest part leaves it out. */
export const onlineShoppers: Protocol = {
  name: 'online-shoppers',
  about: 'conversion of sessions, ten folds, pooled; and without PageValues, which leaks',
  run: function* ({ data = '../shared/data/online-shoppers', methods, params }) {
    const table = tableIn(join(data, 'online_shoppers_intention.csv'))
    const { labels } = labelsOf([table], 'Revenue')
    const folds = Uint8Array.from(table.rows, (_, row) => fnv1a(`row${row}`) % 10)
    for (const [part, leftOut] of [
      ['with PageValues', []],
      ['without PageValues', ['PageValues']],
    ] as const) {
      const numbers = table.header.filter(name => !['Revenue', ...SHOPPER_WORDS, ...leftOut].includes(name))
      const examples = examplesFrom(table, { numbers, words: SHOPPER_WORDS }, labels[0])
      const own = {
        ...TABLES,
        'boosted-trees': { leaves: 8, depth: 4, trees: 200 },
        tree: { depth: 6, minimumRows: 20 },
        blend: { cost: 0.1 },
        'logistic-l2': { cost: 0.1 },
        ...params,
      }
      yield* pooled('online-shoppers', examples, folds, methods, own, part)
    }
  },
}

/** Anybody's own train.csv and test.csv with a header, to predict one two-valued column. */
export const propensity: Protocol = {
  name: 'propensity',
  about: 'any two-valued column (--target) on a folder with train.csv and test.csv, by all classifiers',
  run: options => folder('propensity', options, TABLES),
}

/** The same with the parameters of click data: many words, few positives. */
export const ctr: Protocol = {
  name: 'ctr',
  about: 'clicks (--target) on a folder with train.csv and test.csv, by all classifiers',
  run: options => folder('ctr', options, {}),
}

function* folder(
  name: string,
  { data, target, methods, params }: ProtocolOptions,
  own: Readonly<Record<string, Params>>,
): Generator<MethodResult> {
  if (!data) throw new ProtocolError('Give the folder of your data by --data FOLDER; it holds train.csv and test.csv')
  if (!target) throw new ProtocolError('Give the column to be predicted by --target COLUMN')
  const tables = ['train.csv', 'test.csv'].map(file => tableIn(join(data, file)))
  const { labels } = labelsOf(tables, target)
  const fields = fieldsOf(tables, [target])
  for (const each of [...fields.numbers, ...fields.words]) columnOf(tables[1], each)
  if (fields.numbers.length + fields.words.length === 0) throw new ProtocolError(`${tables[0].file} has no column but ${target}`)
  const [train, test] = tables.map((table: Table, at) => examplesFrom(table, fields, labels[at]))
  yield* measured(name, methodsWith({ ...own, ...params }), { train, test }, methods)
}

function methodsWith(params: Readonly<Record<string, Params>>): Method<Split>[] {
  return algorithms.map(({ name }) => ({
    name,
    run: ({ train, test, groups }) => {
      const probabilities = predictions(name, train, test, params[name])
      const figures = groups ? fairness(test.labels, probabilities, groups) : undefined
      return {
        ...binaryReport(test.labels, probabilities),
        ...(figures && {
          selectionRateDifference: figures.selectionRateDifference,
          selectionRateRatio: figures.selectionRateRatio,
          tprDifference: figures.truePositiveRateDifference,
        }),
      }
    },
  }))
}
