import { type Params, parameter } from '../algorithm.js'
import { pack, unpack } from '../artifact.js'
import { logit } from '../math/calibration.js'
import { Arena, loadKernels } from '../math/kernels.js'
import type { Random } from '../math/random.js'
import { type Contribution, classifier, type Scorer, shuffle } from './classifier.js'
import { type Examples, type Fields, smoothedRate } from './examples.js'
import { type Cuts, quantileCuts } from './hashing.js'
import { type Vocabulary, vocabularyFrom, vocabularyOf } from './vocabulary.js'

const FORMAT = 'factorisation-machine/1'

interface FmKernels {
  train(
    columns: number,
    labels: number,
    order: number,
    rows: number,
    width: number,
    padded: number,
    state: number,
    stride: number,
    bias: number,
    sums: number,
    rate: number,
    reg: number,
    regFactors: number,
  ): void
}

/**
 * Factorisation machine of second order (Rendle 2010) on one-hot rows: b + Σ w_i + Σ_{i<j} ⟨v_i, v_j⟩, logistic loss, by Adagrad (Duchi et al. 2011) in
 * shuffled epochs. Numbers enter by the code of their quantile; words seen fewer than `minimumCount` times share one column a field.
 */
export const factorisationMachine = classifier(
  {
    name: 'factorisation-machine',
    defaults: { factors: 8, epochs: 3, rate: 0.03, reg: 1e-3, regFactors: 0.3, codes: 16, minimumCount: 2 },
    fit: (examples, params, random) => {
      const cuts = quantileCuts(examples, numberOf(params, 'codes'))
      const vocabulary = vocabularyOf(examples, cuts, numberOf(params, 'minimumCount'))
      return scorerOf({ ...taught(examples, vocabulary, params, random), cuts, vocabulary })
    },
    load: (artifact, fields) => {
      const { meta, arrays } = unpack(FORMAT, artifact)
      const cuts = fields.numbers.map((_, at) => arrays[`cuts${at}`] as Float64Array)
      return scorerOf({
        bias: Number(meta.bias),
        weights: arrays.weights as Float32Array,
        factors: arrays.factors as Float32Array,
        factorCount: Number(meta.factorCount),
        cuts,
        vocabulary: vocabularyFrom(arrays.tokens as Uint32Array, fields as Fields, cuts),
      })
    },
  },
  'platt',
)

interface Weights {
  bias: number
  weights: Float32Array
  /** columnCount × factorCount. */
  factors: Float32Array
  factorCount: number
}

function numberOf(params: Params, name: string): number {
  return parameter(params, factorisationMachine.defaults, name)
}

function taught(examples: Examples, vocabulary: Vocabulary, params: Params, random: Random): Weights {
  const factorCount = numberOf(params, 'factors')
  const padded = Math.max(4, Math.ceil(factorCount / 4) * 4)
  const { width, columnCount } = vocabulary
  // In float32 numbers: w, Σg², two of padding, factors, their Σg².
  const stride = 4 + 2 * padded
  const arena = new Arena()
  const kernel = loadKernels<FmKernels>('fm', arena)
  const state = arena.f32(columnCount * stride)
  const columns = arena.i32(examples.rows * width)
  const labels = arena.u8(examples.rows)
  const order = arena.i32(examples.rows)
  const [bias, sums] = [arena.f32(2), arena.f32(padded)]
  for (let column = 0; column < columnCount; column++) {
    const at = column * stride
    state.fill(1e-6, at + 1, at + 2)
    for (let factor = 0; factor < factorCount; factor++) state[at + 4 + factor] = 0.01 * random.normal()
    state.fill(1, at + 4 + padded, at + 4 + 2 * padded)
  }
  vocabulary.columns(examples, 0, examples.rows, columns)
  labels.set(examples.labels)
  bias.set([logit(smoothedRate(examples.labels)), 1])
  for (let row = 0; row < examples.rows; row++) order[row] = row
  for (let epoch = 0; epoch < numberOf(params, 'epochs'); epoch++) {
    shuffle(order, random)
    kernel.train(
      columns.byteOffset,
      labels.byteOffset,
      order.byteOffset,
      examples.rows,
      width,
      padded,
      state.byteOffset,
      4 * stride,
      bias.byteOffset,
      sums.byteOffset,
      numberOf(params, 'rate'),
      numberOf(params, 'reg'),
      numberOf(params, 'regFactors'),
    )
  }
  const weights = Float32Array.from({ length: columnCount }, (_, column) => state[column * stride])
  const factors = new Float32Array(columnCount * factorCount)
  for (let column = 0; column < columnCount; column++)
    for (let factor = 0; factor < factorCount; factor++) factors[column * factorCount + factor] = state[column * stride + 4 + factor]
  return { bias: bias[0], weights, factors, factorCount }
}

function scorerOf({ bias, weights, factors, factorCount: k, cuts, vocabulary }: Weights & { cuts: Cuts; vocabulary: Vocabulary }): Scorer {
  const { width, names } = vocabulary
  const own = new Int32Array(width)
  const sums = new Float64Array(k)
  return {
    score: (examples, out) => {
      for (let row = 0; row < examples.rows; row++) {
        vocabulary.columns(examples, row, row + 1, own)
        let total = bias
        let squares = 0
        sums.fill(0)
        for (const column of own) {
          total += weights[column]
          for (let factor = 0; factor < k; factor++) {
            const value = factors[column * k + factor]
            sums[factor] += value
            squares += value * value
          }
        }
        let crossed = -squares
        for (let factor = 0; factor < k; factor++) crossed += sums[factor] * sums[factor]
        out[row] = total + crossed / 2
      }
    },
    parts: (examples, row) => {
      vocabulary.columns(examples, row, row + 1, own)
      const parts: Contribution[] = [{ kind: 'bias', fields: [], weight: bias }]
      for (let a = 0; a < width; a++) {
        parts.push({ kind: 'field', fields: [names[a]], weight: weights[own[a]] })
        for (let b = a + 1; b < width; b++) {
          let product = 0
          for (let factor = 0; factor < k; factor++) product += factors[own[a] * k + factor] * factors[own[b] * k + factor]
          parts.push({ kind: 'pair', fields: [names[a], names[b]], weight: product })
        }
      }
      return parts
    },
    save: () =>
      pack(FORMAT, {
        meta: { bias, factorCount: k },
        arrays: {
          weights,
          factors,
          tokens: vocabulary.tokens,
          ...Object.fromEntries(cuts.map((field, at) => [`cuts${at}`, field])),
        },
      }),
  }
}
