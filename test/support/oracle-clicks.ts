import { type Examples } from '../../src/algorithms/ctr/examples.js'
import { sigmoid } from '../../src/algorithms/math/calibration.js'
import { createRandom } from '../../src/algorithms/math/random.js'

const FIELDS = 20
const PAIRS = 5
const FACTORS = 4
const BASE = 0.02

/** Clicks whose probability is known: 20 fields of Zipf(1.1) words, 10 to 100,000 of them; log-odds b + Σ w + Σ over five pairs of ⟨v_i, v_j⟩; base rate 2 %. */
export function oracleClicks(rows: number, seed = 1): { examples: Examples; truth: Float64Array } {
  const random = createRandom(seed)
  const sizes = Array.from({ length: FIELDS }, (_, field) => Math.round(10 ** (1 + (4 * field) / (FIELDS - 1))))
  const tables = sizes.map(size => ({
    cumulated: cumulatedZipf(size),
    weights: Float64Array.from({ length: size }, () => 0.25 * random.normal()),
    factors: Float64Array.from({ length: size * FACTORS }, () => 0.35 * random.normal()),
  }))
  const words = new Uint32Array(rows * FIELDS)
  const logits = new Float64Array(rows)
  const own = new Int32Array(FIELDS)
  for (let row = 0; row < rows; row++) {
    for (let field = 0; field < FIELDS; field++) {
      own[field] = drawn(tables[field].cumulated, random.next())
      words[row * FIELDS + field] = Math.imul(own[field] + 1, 0x9e3779b1) >>> 0
      logits[row] += tables[field].weights[own[field]]
    }
    for (let pair = 0; pair < PAIRS; pair++)
      for (let factor = 0; factor < FACTORS; factor++)
        logits[row] +=
          tables[2 * pair].factors[own[2 * pair] * FACTORS + factor] * tables[2 * pair + 1].factors[own[2 * pair + 1] * FACTORS + factor]
  }
  const bias = biasFor(logits.subarray(0, Math.min(rows, 50_000)))
  const truth = logits.map(z => sigmoid(z + bias))
  return {
    examples: {
      fields: { numbers: [], words: sizes.map((_, field) => `field-${field}`) },
      rows,
      numbers: new Float32Array(0),
      words,
      labels: Uint8Array.from(truth, p => (random.next() < p ? 1 : 0)),
    },
    truth,
  }
}

function cumulatedZipf(size: number): Float64Array {
  const cumulated = new Float64Array(size)
  let sum = 0
  for (let rank = 0; rank < size; rank++) {
    sum += (rank + 1) ** -1.1
    cumulated[rank] = sum
  }
  return cumulated.map(each => each / sum)
}

function drawn(cumulated: Float64Array, uniform: number): number {
  let [low, high] = [0, cumulated.length - 1]
  while (low < high) {
    const middle = (low + high) >> 1
    if (cumulated[middle] < uniform) low = middle + 1
    else high = middle
  }
  return low
}

function biasFor(logits: Float64Array): number {
  let [low, high] = [-20, 20]
  for (let step = 0; step < 50; step++) {
    const middle = (low + high) / 2
    const rate = logits.reduce((sum, z) => sum + sigmoid(z + middle), 0) / logits.length
    if (rate < BASE) low = middle
    else high = middle
  }
  return (low + high) / 2
}
