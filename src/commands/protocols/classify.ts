import type { Params } from '../../algorithms/algorithm.js'
import { chosenRows, type Examples } from '../../algorithms/ctr/examples.js'
import { algorithms } from '../../algorithms/ctr/index.js'
import { binaryReport } from '../../algorithms/evaluate/classification.js'
import { createRandom } from '../../algorithms/math/random.js'
import { type Method, type MethodResult, measured } from './protocol.js'

const SEED = 20251124

/** Methods by cross-validation over given folds: each fold is predicted by a model of the others, and the predictions are measured together. */
export function pooled(
  protocol: string,
  examples: Examples,
  folds: Uint8Array,
  wanted: readonly string[] | undefined,
  params: Readonly<Record<string, Params>> = {},
  part?: string,
): Generator<MethodResult> {
  const numbers = [...new Set(folds)].sort((a, b) => a - b)
  const methods = algorithms.map(
    ({ name }): Method<Examples> => ({
      name,
      run: () => {
        const probabilities = new Float64Array(examples.rows)
        for (const fold of numbers) {
          const [train, test] = [rowsWhere(folds, each => each !== fold), rowsWhere(folds, each => each === fold)]
          const predicted = predictions(name, chosenRows(examples, train), chosenRows(examples, test), params[name])
          test.forEach((row, at) => {
            probabilities[row] = predicted[at]
          })
        }
        const report = binaryReport(examples.labels, probabilities)
        // Within a fold it is one constant; between folds its order only mirrors which test fold holds more positives.
        return name === 'base-rate' ? { ...report, auc: 0.5, lift10: 1 } : report
      },
    }),
  )
  return measured(protocol, methods, examples, wanted, part)
}

/** Probabilities of the test rows by a model of the training rows. */
export function predictions(name: string, train: Examples, test: Examples, params: Params = {}): Float64Array {
  const algorithm = algorithms.find(each => each.name === name)
  if (!algorithm) throw new RangeError(`There is no classifier ${name}`)
  return algorithm.fit(train, params, createRandom(SEED).fork(name)).predict(test)
}

export function rowsWhere(values: ArrayLike<number>, is: (value: number) => boolean): number[] {
  const rows: number[] = []
  for (let row = 0; row < values.length; row++) if (is(values[row])) rows.push(row)
  return rows
}
