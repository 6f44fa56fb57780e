import { type Examples, wordHash } from '../../src/algorithms/ctr/examples.js'
import { sigmoid } from '../../src/algorithms/math/calibration.js'
import { createRandom } from '../../src/algorithms/math/random.js'

export interface World {
  examples: Examples
  /** The probability that drew each label. */
  truth: Float64Array
}

/** Examples from rows of numbers and words. */
export function examplesOf(
  names: { numbers: string[]; words: string[] },
  rows: { numbers: number[]; words: string[]; label: number }[],
): Examples {
  return {
    fields: names,
    rows: rows.length,
    numbers: Float32Array.from(rows.flatMap(({ numbers }) => numbers)),
    words: Uint32Array.from(rows.flatMap(({ words }) => words.map(wordHash))),
    labels: Uint8Array.from(rows, ({ label }) => label),
  }
}

/** A shop's visits: two numbers (one of them sometimes unknown), a number that says nothing, three words; log-odds linear but for one pair that works together. */
export function shop(rows: number, seed = 1): World {
  const random = createRandom(seed)
  const truth = new Float64Array(rows)
  const list = Array.from({ length: rows }, (_, row) => {
    const [recency, value, noise] = [random.next() * 60, random.normal(), random.normal()]
    const [channel, product, device] = [random.below(4), Math.floor(40 * random.next() ** 2), random.below(3)]
    const isKnown = random.next() > 0.2
    const z = -1 - recency / 30 + 0.8 * (isKnown ? value : 0) + 0.5 * channel - 0.03 * product + (device === 1 && channel === 2 ? 1.5 : 0)
    truth[row] = sigmoid(z)
    return {
      numbers: [recency, isKnown ? value : Number.NaN, noise],
      words: [`channel-${channel}`, `product-${product}`, `device-${device}`],
      label: random.next() < truth[row] ? 1 : 0,
    }
  })
  return { examples: examplesOf({ numbers: ['recency', 'value', 'noise'], words: ['channel', 'product', 'device'] }, list), truth }
}
