import { type Params, parameter } from '../algorithm.js'
import { pack, unpack } from '../artifact.js'
import { logit } from '../math/calibration.js'
import { Arena, loadKernels } from '../math/kernels.js'
import { type Additive, type Contribution, classifier, type Scorer } from './classifier.js'
import { type Examples, type Fields, smoothedRate } from './examples.js'
import { type Cuts, pairsOf, quantileCuts, tokeniser, tokenOf } from './hashing.js'

const FORMAT = 'logistic/1'
const CHUNK = 4_096

interface FtrlKernels {
  train(
    tokens: number,
    labels: number,
    rows: number,
    width: number,
    table: number,
    mask: number,
    scratch: number,
    alpha: number,
    beta: number,
    l1: number,
    l2: number,
  ): void
}

interface Settings {
  bits: number
  alpha: number
  beta: number
  l1: number
  l2: number
  crosses: string
  cuts: Cuts
}

/**
 * Logistic regression by FTRL-proximal on hashed features (McMahan et al. 2013): w = −(z − sgn(z)·l1) / ((beta + √n) / alpha + l2) where |z| > l1, else 0.
 * Numbers enter by the code of their quantile, words by their hash, both into a table of 2^bits weights; `crosses` names pairs of fields ("ad*hour"). Learns
 * from every batch.
 */
export const logistic = classifier({
  name: 'logistic',
  defaults: { bits: 20, alpha: 0.05, beta: 1, l1: 0.1, l2: 1, passes: 2, codes: 32, crosses: '' },
  fit: (examples, params) => {
    const settings = settingsOf(params, examples)
    const state = new Float32Array(2 * (2 ** settings.bits + 1))
    // The bias starts at the base rate, as if it had been learned: w = −z · alpha / beta while n is 0.
    state[state.length - 2] = (-logit(smoothedRate(examples.labels)) * settings.beta) / settings.alpha
    const learn = learner(settings, examples.fields, state)
    for (let pass = 0; pass < parameter(params, logistic.defaults, 'passes'); pass++) learn(examples)
    return scorerOf(settings, examples.fields, state)
  },
  load: (artifact, fields) => {
    const { meta, arrays } = unpack(FORMAT, artifact)
    const settings = {
      ...(meta.settings as Omit<Settings, 'cuts'>),
      cuts: fields.numbers.map((_, at) => arrays[`cuts${at}`] as Float64Array),
    }
    const state = new Float32Array(2 * (2 ** settings.bits + 1))
    arrays.slots.forEach((slot, at) => {
      state[2 * slot] = arrays.z[at]
      state[2 * slot + 1] = arrays.n[at]
    })
    return scorerOf(settings, fields, state)
  },
})

function settingsOf(params: Params, examples: Examples): Settings {
  const number = (name: string) => parameter(params, logistic.defaults, name)
  const settings = {
    bits: number('bits'),
    alpha: number('alpha'),
    beta: number('beta'),
    l1: number('l1'),
    l2: number('l2'),
    crosses: String(params.crosses ?? ''),
    cuts: quantileCuts(examples, number('codes')),
  }
  if (!Number.isInteger(settings.bits) || settings.bits < 4 || settings.bits > 28)
    throw new RangeError(`bits is a whole number from 4 to 28; this is ${settings.bits}`)
  if (!(settings.alpha > 0 && settings.beta > 0 && settings.l1 >= 0 && settings.l2 >= 0))
    throw new RangeError('alpha and beta are above 0, l1 and l2 not below it')
  return settings
}

/** Runs rows through the kernel, in chunks, and keeps what it learned in `state`: (z, n) of each slot, the bias last. */
function learner({ bits, alpha, beta, l1, l2, crosses, cuts }: Settings, fields: Fields, state: Float32Array) {
  const { width, tokens } = tokeniser(fields, cuts, pairsOf(crosses, fields))
  return (examples: Examples) => {
    const arena = new Arena()
    const kernel = loadKernels<FtrlKernels>('ftrl', arena)
    const table = arena.f32(state.length)
    const [chunk, labels, scratch] = [arena.i32(CHUNK * width), arena.u8(CHUNK), arena.f32(width)]
    table.set(state)
    for (let from = 0; from < examples.rows; from += CHUNK) {
      const to = Math.min(examples.rows, from + CHUNK)
      tokens(examples, from, to, chunk)
      labels.set(examples.labels.subarray(from, to))
      kernel.train(
        chunk.byteOffset,
        labels.byteOffset,
        to - from,
        width,
        table.byteOffset,
        2 ** bits - 1,
        scratch.byteOffset,
        alpha,
        beta,
        l1,
        l2,
      )
    }
    state.set(table)
  }
}

function scorerOf(settings: Settings, fields: Fields, state: Float32Array): Scorer {
  const { bits, alpha, beta, l1, l2, crosses, cuts } = settings
  const pairs = pairsOf(crosses, fields)
  const { width, places, tokens } = tokeniser(fields, cuts, pairs)
  const mask = 2 ** bits - 1
  const own = new Uint32Array(width)
  let weights: Float32Array
  let bias = 0
  let version = 0
  const refresh = () => {
    version++
    weights = new Float32Array(2 ** bits)
    for (let slot = 0; slot <= mask; slot++) {
      const z = state[2 * slot]
      if (Math.abs(z) > l1) weights[slot] = (Math.sign(z) * l1 - z) / ((beta + Math.sqrt(state[2 * slot + 1])) / alpha + l2)
    }
    bias = 0 - (state[2 * mask + 2] * alpha) / (beta + Math.sqrt(state[2 * mask + 3]))
  }
  refresh()
  const learn = learner(settings, fields, state)
  const additive: Additive = {
    get version() {
      return version
    },
    get bias() {
      return bias
    },
    weightOf: (place, word) => weights[tokenOf(place, word) & mask],
  }
  return {
    additive: pairs.length === 0 && fields.numbers.length === 0 ? additive : undefined,
    score: (examples, out) => {
      for (let row = 0; row < examples.rows; row++) {
        tokens(examples, row, row + 1, own)
        let sum = bias
        for (let at = 0; at < width; at++) sum += weights[own[at] & mask]
        out[row] = sum
      }
    },
    parts: (examples, row) => {
      tokens(examples, row, row + 1, own)
      return [
        { kind: 'bias', fields: [], weight: bias },
        ...places.map(
          (names, at): Contribution => ({ kind: names.length > 1 ? 'pair' : 'field', fields: names, weight: weights[own[at] & mask] }),
        ),
      ]
    },
    update: batch => {
      learn(batch)
      refresh()
    },
    save: () => {
      const slots: number[] = []
      for (let slot = 0; slot < state.length / 2; slot++) if (state[2 * slot] !== 0 || state[2 * slot + 1] !== 0) slots.push(slot)
      return pack(FORMAT, {
        meta: { settings: { bits, alpha, beta, l1, l2, crosses } },
        arrays: {
          slots: Int32Array.from(slots),
          z: Float32Array.from(slots, slot => state[2 * slot]),
          n: Float32Array.from(slots, slot => state[2 * slot + 1]),
          ...Object.fromEntries(cuts.map((field, at) => [`cuts${at}`, field])),
        },
      })
    },
  }
}
