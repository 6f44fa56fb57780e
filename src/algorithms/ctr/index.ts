import { binaryReport, type ReliabilityBin, reliability } from '../evaluate/classification.js'
import { createRandom } from '../math/random.js'
import { baseRate } from './base-rate.js'
import { blend } from './blend.js'
import { boostedTrees } from './boosted-trees.js'
import { type Classifier, type ClassifierAlgorithm, shuffle } from './classifier.js'
import { checkExamples, chosenRows, type Examples } from './examples.js'
import { factorisationMachine } from './factorisation-machine.js'
import { logistic } from './logistic.js'
import { logisticL2 } from './logistic-l2.js'
import { tree } from './tree.js'

/** Every classifier of examples there is; the first is the baseline. A new one is one file and its name here. */
export const algorithms: readonly ClassifierAlgorithm[] = [baseRate, logistic, logisticL2, tree, boostedTrees, factorisationMachine, blend]

export interface FitRequest {
  algorithm: string
  params: Record<string, number | string | boolean>
  seed: number
  data: Examples
}

const TEST_SHARE = 0.2

/** The latest fifth of the rows tests what was learned from the earlier ones; a fifth drawn by the seed where times are unknown. */
export function split(data: Examples, seed: number): { train: Examples; test: Examples } {
  const order = Array.from({ length: data.rows }, (_, row) => row)
  const times = data.times
  if (times?.some(time => time > 0)) order.sort((a, b) => times[a] - times[b] || a - b)
  else shuffle(order, createRandom(seed).fork('split'))
  const cut = Math.floor(data.rows * (1 - TEST_SHARE))
  const part = (rows: number[]) => chosenRows(data, times?.some(time => time > 0) ? rows : rows.sort((a, b) => a - b))
  return { train: part(order.slice(0, cut)), test: part(order.slice(cut)) }
}

/** Metrics and the reliability table per decile, on rows that the model did not see; the notes say the table for the model's card. */
export function fitAndEvaluate(request: FitRequest): { metrics: Record<string, number>; reliability: ReliabilityBin[]; notes: string[] } {
  const { train, test } = split(request.data, request.seed)
  const probabilities = learned({ ...request, data: train }).predict(test)
  const bins = reliability(test.labels, probabilities)
  return { metrics: binaryReport(test.labels, probabilities), reliability: bins, notes: bins.map(decileNote) }
}

function decileNote({ count, predicted, observed }: ReliabilityBin, index: number): string {
  const percent = (share: number) => `${(100 * share).toPrecision(3)} %`
  return `Decile ${index + 1} of held-out predictions: ${percent(predicted)} predicted, ${percent(observed)} observed, ${count} rows`
}

export function fitAll(request: FitRequest): { artifact: Uint8Array } {
  return { artifact: learned(request).save() }
}

/** Probabilities of rows by a saved model. */
export function scoreAll({ algorithm, artifact, data }: { algorithm: string; artifact: Uint8Array; data: Examples }): {
  probabilities: Float64Array
} {
  return { probabilities: named(algorithm).load(artifact).predict(data) }
}

/** A saved model after it has learned from later rows. Throws `RangeError` where the algorithm learns only whole. */
export function updateAll({ algorithm, artifact, data }: { algorithm: string; artifact: Uint8Array; data: Examples }): {
  artifact: Uint8Array
} {
  const model = named(algorithm).load(artifact)
  if (!model.update) throw new RangeError(`${algorithm} cannot learn from a batch; train it again`)
  model.update(data)
  return { artifact: model.save() }
}

function learned({ algorithm, params, seed, data }: FitRequest): Classifier {
  checkExamples(data)
  return named(algorithm).fit(data, params, createRandom(seed).fork(algorithm))
}

function named(name: string): ClassifierAlgorithm {
  const algorithm = algorithms.find(each => each.name === name)
  if (!algorithm) throw new RangeError(`There is no classifier "${name}"; there are ${algorithms.map(each => each.name).join(', ')}`)
  return algorithm
}
