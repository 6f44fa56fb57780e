import { parameter } from '../algorithm.js'
import { pack, unpack } from '../artifact.js'
import { dense, inverseSpd } from '../math/dense.js'
import { Arena, loadKernels } from '../math/kernels.js'
import { topIndexes } from '../math/select.js'
import { faded } from './fading.js'
import { positives, sumOfParts, voteReader } from './preference.js'
import { gramOfKnown } from './products.js'
import type { History, RecommendAlgorithm, Recommender } from './recommender.js'

const FORMAT = 'ease/1'
const NOTHING = new Int32Array(0)

interface State {
  itemCount: number
  /** Taught by ratings, each of which was one vote. */
  votes: boolean
  halfLifeDays: number
  /** Items that the model knows, ascending; the others score 0. */
  known: Int32Array
  /** B of the known items, row-major float32, zero diagonal: row i holds what item i says about the others. */
  weights: Float32Array
}

/**
 * Embarrassingly shallow autoencoder (Steck 2019): B = I − P·diag(1/P_jj), P = (XᵀX + λI)⁻¹, score_j = Σ_{i ∈ history} w_i B_ij. What was long
 * ago says less of what is next: implicit weights are halved every `halfLifeDays` (0: never) of age when it learns, and of distance from the newest event when it
 * reads a history. Costs items³, so of a larger catalogue the `items` with the most users are learned, and the rest gets 0.
 */
export const ease: RecommendAlgorithm = {
  name: 'ease',
  defaults: { reg: 300, halfLifeDays: 60, items: 6_000 },
  search: { halfLifeDays: [0, 30, 120, 240], reg: [100, 250, 500, 1_000] },
  fit: (data, params) => {
    const halfLifeDays = parameter(params, ease.defaults, 'halfLifeDays')
    const { known, gram } = gramOfKnown(positives(faded(data, halfLifeDays)), parameter(params, ease.defaults, 'items'))
    const n = known.length
    const reg = Math.max(1e-3, parameter(params, ease.defaults, 'reg'))
    for (let item = 0; item < n; item++) gram[item * n + item] += reg
    const { data: weights } = n > 0 ? inverseSpd(dense(n, n, gram)) : dense(0, 0)
    const diagonal = Float32Array.from({ length: n }, (_, item) => -1 / weights[item * n + item])
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) weights[i * n + j] *= diagonal[j]
      weights[i * n + i] = 0
    }
    return recommenderOf({ itemCount: data.itemCount, votes: data.kind === 'explicit', halfLifeDays, known, weights })
  },
  load: artifact => {
    const { meta, arrays } = unpack(FORMAT, artifact)
    return recommenderOf({
      itemCount: Number(meta.itemCount),
      votes: Boolean(meta.votes),
      // Artifacts from before there was one have none.
      halfLifeDays: Number(meta.halfLifeDays ?? 0),
      known: arrays.known as Int32Array,
      weights: arrays.weights as Float32Array,
    })
  },
}

interface Vector {
  addRows(count: number, rows: number, weights: number, matrix: number, width: number, out: number): void
}

function recommenderOf({ itemCount, votes, halfLifeDays, known, weights: learned }: State): Recommender {
  const n = known.length
  const arena = new Arena()
  const kernels = loadKernels<Vector>('vector', arena)
  const weights = arena.f32(learned.length)
  weights.set(learned)
  const place = new Int32Array(itemCount).fill(-1)
  known.forEach((item, at) => {
    place[item] = at
  })
  const row = voteReader(itemCount, votes, halfLifeDays)
  const sums = arena.f32(n)
  /** What each item of the history adds to the score. */
  const parts = ({ items, values }: ReturnType<typeof row>, item: number): Float64Array => {
    const column = place[item] ?? -1
    return Float64Array.from(items, (each, at) =>
      column < 0 || place[each] < 0 || place[each] === column ? 0 : values[at] * weights[place[each] * n + column],
    )
  }
  const ranked = new Float64Array(n)
  const skip = new Uint8Array(n)
  let last: History | undefined

  /** Brings the scores of the known items for this history into `sums`. */
  function read(given: History) {
    if (given === last) return
    const { items, values } = row(given)
    const mark = arena.mark()
    const rows = arena.i32(items.length)
    const factors = arena.f32(items.length)
    let count = 0
    for (let at = 0; at < items.length; at++) {
      if (place[items[at]] < 0) continue
      rows[count] = place[items[at]]
      factors[count++] = values[at]
    }
    kernels.addRows(count, rows.byteOffset, factors.byteOffset, weights.byteOffset, n, sums.byteOffset)
    arena.release(mark)
    last = given
  }

  return {
    itemCount,
    score: (given, out) => {
      read(given)
      out.fill(0)
      for (let column = 0; column < n; column++) out[known[column]] = sums[column]
    },
    // Nothing but the known items has a score.
    best: (given, count, withoutHistory) => {
      read(given)
      ranked.set(sums)
      const had = withoutHistory ? given.items.filter(item => place[item] >= 0) : NOTHING
      for (const item of had) skip[place[item]] = 1
      const columns = topIndexes(ranked, count, skip).filter(column => ranked[column] > 0)
      for (const item of had) skip[place[item]] = 0
      return { items: columns.map(column => known[column]), scores: Float64Array.from(columns, column => ranked[column]) }
    },
    scoreOf: (given, items) => {
      read(given)
      return Float64Array.from(items, item => (place[item] < 0 ? 0 : sums[place[item]]))
    },
    ...sumOfParts(row, parts),
    similar: (item, count) => {
      const column = place[item] ?? -1
      if (column < 0) return { items: new Int32Array(0), scores: new Float32Array(0) }
      // What this item says about the others: its row of B.
      const scores = Float64Array.from(weights.subarray(column * n, (column + 1) * n))
      const best = topIndexes(scores, count + 1)
        .filter(each => each !== column && scores[each] > 0)
        .slice(0, count)
      return { items: best.map(each => known[each]), scores: Float32Array.from(best, each => scores[each]) }
    },
    save: () => pack(FORMAT, { meta: { itemCount, votes, halfLifeDays }, arrays: { known, weights } }),
  }
}
