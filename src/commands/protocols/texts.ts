import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'csv-parse/sync'
import { auc } from '../../algorithms/evaluate/classification.js'
import { createRandom } from '../../algorithms/math/random.js'
import type { LabelledTexts, TextAlgorithm, TextClassifier } from '../../algorithms/text/classifier.js'
import { judged } from '../../algorithms/text/index.js'
import { type Method, type MethodResult, measured, ProtocolError } from './protocol.js'

export const SEED = 20251124

/** A text and its label, as they stand in a file. */
export type Pair = readonly [text: string, label: string]

export interface TextSplit {
  train: LabelledTexts
  test: LabelledTexts
}

/** Reads a file of the data; says that the data is absent where it is not there. */
export function textOf(folder: string, name: string, encoding: BufferEncoding = 'utf8'): string {
  const file = join(folder, name)
  if (!existsSync(file)) throw new ProtocolError(`The data is absent: there is no ${file}. Give its folder by --data`)
  return readFileSync(file, encoding)
}

/** Rows of a csv with a header that has these columns. Throws `ProtocolError` with file and line of the fault. */
export function csvRows<Column extends string>(folder: string, name: string, columns: readonly Column[]): Record<Column, string>[] {
  const file = join(folder, name)
  const bytes = textOf(folder, name)
  let records: { record: Record<Column, string>; info: { lines: number } }[]
  try {
    records = parse(bytes, {
      bom: true,
      columns: header => header.map((each: string) => each.trim()),
      info: true,
      skip_empty_lines: true,
    }) as never
  } catch (error) {
    throw new ProtocolError(`${file} is not CSV: ${(error as Error).message}`)
  }
  if (records.length === 0) throw new ProtocolError(`${file} has no rows`)
  const missing = columns.filter(column => !(column in records[0].record))
  if (missing.length > 0)
    throw new ProtocolError(`${file} line 1: the header lacks ${missing.join(', ')}; it has ${Object.keys(records[0].record).join(', ')}`)
  return records.map(({ record }) => record)
}

/** The texts and labels of a csv of anybody's own; an empty text is a text, an empty label a fault. */
export function pairsIn(folder: string, name: string): Pair[] {
  return csvRows(folder, name, ['text', 'label']).map(({ text, label }, at) => {
    if (label.trim() === '') throw new ProtocolError(`${join(folder, name)} row ${at + 1}: label is empty`)
    return [text, label.trim()]
  })
}

/** One text a line in `seq.in`, its label on the same line of `label`. */
export function linePairs(folder: string): Pair[] {
  const [texts, labels] = [linesIn(folder, 'seq.in'), linesIn(folder, 'label')]
  if (texts.length !== labels.length)
    throw new ProtocolError(`${folder}: seq.in has ${texts.length} lines and label ${labels.length}; they must be the same`)
  return texts.map((text, at) => [text.trim(), labels[at].trim()])
}

export function linesIn(folder: string, name: string, encoding?: BufferEncoding): string[] {
  return textOf(folder, name, encoding)
    .replace(/\r?\n$/, '')
    .split(/\r?\n/)
}

/** Numbers the labels by their names ascending, the same for every list. */
export function labelled(...lists: readonly (readonly Pair[])[]): LabelledTexts[] {
  const labelNames = [...new Set(lists.flatMap(pairs => pairs.map(([, label]) => label)))].sort()
  const numbers = new Map(labelNames.map((name, at) => [name, at]))
  return lists.map(pairs => ({
    texts: pairs.map(([text]) => text),
    labels: Int32Array.from(pairs, ([, label]) => numbers.get(label) as number),
    labelNames,
  }))
}

/** Always the commonest label of the training texts: the row that every table starts with. */
export const majority: TextAlgorithm = {
  name: 'majority',
  defaults: {},
  fit: ({ labels, labelNames }) => {
    const counts = new Float64Array(labelNames.length)
    for (const label of labels) counts[label]++
    const shares = counts.map(count => count / Math.max(1, labels.length))
    return {
      labels: labelNames,
      classify: () => shares,
      score: () => ({ score: 0, base: 0 }),
      explain: () => [],
      save: () => new Uint8Array(0),
    }
  },
  load: () => {
    throw new RangeError('The majority is not kept')
  },
}

export function fitted(algorithm: TextAlgorithm, train: LabelledTexts): TextClassifier {
  return algorithm.fit(train, {}, createRandom(SEED).fork(algorithm.name))
}

/** Methods on splits whose test texts are measured together (one split, or the folds of a cross-validation). */
export function classified(
  protocol: string,
  algorithms: readonly TextAlgorithm[],
  splits: readonly TextSplit[],
  wanted: readonly string[] | undefined,
  part?: string,
): Generator<MethodResult> {
  const methods = [majority, ...algorithms].map(
    (algorithm): Method<readonly TextSplit[]> => ({
      name: algorithm.name,
      run: input => {
        let bytes = 0
        let seconds = 0
        const results = input.map(({ train, test }) => {
          const model = fitted(algorithm, train)
          bytes = Math.max(bytes, model.save().length)
          const startedAt = performance.now()
          const probabilities = test.texts.map(text => model.classify(text))
          seconds += (performance.now() - startedAt) / 1000
          return { probabilities, test }
        })
        const test: LabelledTexts = {
          texts: results.flatMap(each => each.test.texts),
          labels: Int32Array.from(results.flatMap(each => [...each.test.labels])),
          labelNames: input[0].test.labelNames,
        }
        const probabilities = results.flatMap(each => each.probabilities)
        const { majority: _, texts, ...metrics } = judged(probabilities, test)
        const isBinary = test.labelNames.length === 2
        return {
          ...metrics,
          ...(isBinary
            ? {
                auc: auc(
                  test.labels,
                  probabilities.map(each => each[1]),
                ),
              }
            : {}),
          textsPerSecond: Math.round(texts / Math.max(1e-9, seconds)),
          kilobytes: Math.round(bytes / 1024),
        }
      },
    }),
  )
  return measured(protocol, methods, splits, wanted, part)
}
