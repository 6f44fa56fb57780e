import type { LinearScore } from './audiences.repository.js'

/** Why somebody is left out, by code; the code is the place in this list. */
export const REASONS = ['ELIGIBLE', 'SUPPRESSED', 'CONSENT_MISSING', 'CONSENT_REFUSED', 'BOT', 'FREQUENCY_CAP', 'NO_SCORE'] as const
export const ELIGIBLE = 0
export const NO_SCORE = 6

export function codeOf(reason: (typeof REASONS)[number]): number {
  return REASONS.indexOf(reason)
}

/** Gathers ids, scores and codes of a range in typed arrays. */
export class ShardBuilder {
  count = 0
  private scores = new Float64Array(4_096)
  private ids = new Int32Array(4_096)
  private codes = new Uint8Array(4_096)

  add(id: number, score: number, code: number): void {
    if (this.count === this.ids.length) this.grow()
    this.scores[this.count] = score
    this.ids[this.count] = id
    this.codes[this.count++] = code
  }

  bytes(): Buffer {
    return Buffer.concat(
      [this.scores, this.ids, this.codes].map(array => Buffer.from(array.buffer, 0, array.BYTES_PER_ELEMENT * this.count)),
    )
  }

  private grow(): void {
    const [scores, ids, codes] = [this.scores, this.ids, this.codes]
    this.scores = new Float64Array(2 * scores.length)
    this.ids = new Int32Array(2 * ids.length)
    this.codes = new Uint8Array(2 * codes.length)
    this.scores.set(scores)
    this.ids.set(ids)
    this.codes.set(codes)
  }
}

/** The shard in `length` bytes from `at` on. */
export function openShard(view: DataView, at: number, length: number): { scores: Float64Array; ids: Int32Array; reasons: Uint8Array } {
  const count = length / 13
  // A copy, because the views have to be aligned and the bytes go away.
  const bytes = new Uint8Array(view.buffer, at, length).slice().buffer
  return {
    scores: new Float64Array(bytes, 0, count),
    ids: new Int32Array(bytes, 8 * count, count),
    reasons: new Uint8Array(bytes, 12 * count, count),
  }
}

/** Scores a float8[] in PostgreSQL's binary form, that begins at `at`: the sum over log(1 + x), with a weight of its own for what is unknown. */
export function linearScorer({ intercept, weights, means, missing }: LinearScore): (bytes: DataView, at: number) => number {
  const used = weights.flatMap((weight, index) => (weight === 0 && missing[index] === 0 ? [] : [index]))
  if (![intercept, ...weights, ...means, ...missing].every(Number.isFinite)) throw new RangeError('A weight is not a number')
  const places = Int32Array.from(used)
  const slopes = Float64Array.from(used, index => weights[index])
  const absent = Float64Array.from(used, index => missing[index])
  const base = used.reduce((sum, index) => sum - weights[index] * means[index], intercept)
  const offsets = Float64Array.from(used, index => weights[index] * means[index])
  return (bytes, at) => {
    // One dimension and no NULL; unknown features are NaN.
    const length = bytes.getInt32(at) === 1 && bytes.getInt32(at + 4) === 0 ? bytes.getInt32(at + 12) : 0
    if (length !== weights.length) return Number.NaN
    let score = base
    for (let index = 0; index < places.length; index++) {
      // Head of 20 bytes; every element has its length (4) before it.
      const value = bytes.getFloat64(at + 24 + 12 * places[index])
      if (Number.isNaN(value)) score += absent[index] + offsets[index]
      else if (value > 0) score += slopes[index] * Math.log1p(value)
    }
    return score
  }
}
