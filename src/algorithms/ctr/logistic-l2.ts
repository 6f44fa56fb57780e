import { type Params, parameter } from '../algorithm.js'
import { pack, unpack } from '../artifact.js'
import { decisions, fitLinear, type LinearModel, type Rows } from '../math/linear.js'
import { type Contribution, classifier, type Scorer } from './classifier.js'
import type { Examples, Fields } from './examples.js'
import { type Cuts, quantileCuts } from './hashing.js'
import { type Vocabulary, vocabularyFrom, vocabularyOf } from './vocabulary.js'

const FORMAT = 'logistic-l2/1'

/**
 * Logistic regression on one-hot rows with a ridge penalty, by the solvers of `math/linear`: min ½‖w‖² + cost Σ ln(1 + e^−yz). A number enters by the code
 * of its quantile and by its place among the quantiles in [−½, ½] (0 where unknown), so that outliers move nothing; words seen fewer than `minimumCount`
 * times share one column a field.
 */
export const logisticL2 = classifier({
  name: 'logistic-l2',
  defaults: { cost: 0.05, codes: 16, minimumCount: 2 },
  fit: (examples, params) => {
    const number = (name: string) => parameter(params as Params, logisticL2.defaults, name)
    const cuts = quantileCuts(examples, number('codes'))
    const vocabulary = vocabularyOf(examples, cuts, number('minimumCount'))
    const encode = encoder(vocabulary, cuts, examples.fields)
    const { weights, intercepts } = fitLinear(encode(examples), examples.labels, 2, { loss: 'logistic', cost: number('cost') })
    return scorerOf({ weights, intercept: intercepts[0], cuts, vocabulary }, examples.fields)
  },
  load: (artifact, fields) => {
    const { meta, arrays } = unpack(FORMAT, artifact)
    const cuts = fields.numbers.map((_, at) => arrays[`cuts${at}`] as Float64Array)
    const vocabulary = vocabularyFrom(arrays.tokens as Uint32Array, fields, cuts)
    return scorerOf({ weights: arrays.weights as Float64Array, intercept: Number(meta.intercept), cuts, vocabulary }, fields)
  },
})

/** One-hot columns, then one column a number field. */
function encoder({ width, columnCount, columns }: Vocabulary, cuts: Cuts, { numbers: { length: n } }: Fields) {
  const own = new Int32Array(width)
  return (examples: Examples, from = 0, to = examples.rows): Rows => {
    const count = to - from
    const offsets = Int32Array.from({ length: count + 1 }, (_, row) => row * (width + n))
    const rows = {
      rows: count,
      columnCount: columnCount + n,
      offsets,
      columns: new Int32Array(count * (width + n)),
      values: new Float32Array(count * (width + n)).fill(1),
    }
    for (let row = from; row < to; row++) {
      const start = (row - from) * (width + n)
      columns(examples, row, row + 1, own)
      rows.columns.set(own, start)
      for (let field = 0; field < n; field++) {
        rows.columns[start + width + field] = columnCount + field
        rows.values[start + width + field] = place(cuts[field], examples.numbers[row * n + field])
      }
    }
    return rows
  }
}

/** Where a value lies among the cuts, −½ at the first and ½ at the last, linear between two; 0 for NaN. */
function place(cuts: Float64Array, value: number): number {
  if (Number.isNaN(value) || cuts.length < 2) return 0
  let [low, high] = [0, cuts.length - 1]
  if (value <= cuts[low]) return -0.5
  if (value >= cuts[high]) return 0.5
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if (cuts[middle] <= value) low = middle
    else high = middle
  }
  return (low + (value - cuts[low]) / (cuts[high] - cuts[low])) / (cuts.length - 1) - 0.5
}

interface Weights {
  weights: Float64Array
  intercept: number
  cuts: Cuts
  vocabulary: Vocabulary
}

function scorerOf({ weights, intercept, cuts, vocabulary }: Weights, fields: Fields): Scorer {
  const encode = encoder(vocabulary, cuts, fields)
  const model: LinearModel = {
    classCount: 2,
    columnCount: weights.length,
    weights,
    intercepts: Float64Array.of(intercept),
    epochs: Int32Array.of(0),
  }
  const CHUNK = 1_024
  return {
    score: (examples, out) => {
      for (let from = 0; from < examples.rows; from += CHUNK)
        out.set(decisions(model, encode(examples, from, Math.min(examples.rows, from + CHUNK))), from)
    },
    parts: (examples, row) => {
      const { columns, values } = encode(examples, row, row + 1)
      const sums = new Map<string, number>(vocabulary.names.map(name => [name, 0]))
      columns.forEach((column, at) => {
        const name = vocabulary.names[at < vocabulary.width ? at : at - vocabulary.width]
        sums.set(name, (sums.get(name) ?? 0) + weights[column] * values[at])
      })
      return [
        { kind: 'bias', fields: [], weight: intercept },
        ...[...sums].map(([name, weight]): Contribution => ({ kind: 'field', fields: [name], weight })),
      ]
    },
    save: () =>
      pack(FORMAT, {
        meta: { intercept },
        arrays: { weights, tokens: vocabulary.tokens, ...Object.fromEntries(cuts.map((field, at) => [`cuts${at}`, field])) },
      }),
  }
}
