import { pack, unpack } from '../artifact.js'
import { topIndexes } from '../math/select.js'
import { type SparseMatrix, transpose } from '../math/sparse.js'
import { sumOfParts, voteReader } from './preference.js'
import type { History, Recommender } from './recommender.js'
import { createTally, type Tally } from './tally.js'

const NOTHING = new Int32Array(0)

export interface ItemWeights {
  /** Taught by ratings, each of which was one vote. */
  votes: boolean
  halfLifeDays?: number
  /** Row i: the items j that item i speaks for, ascending, with its weight for them. */
  matrix: SparseMatrix
}

/** What `save` of such a recommender wrote. */
export function loadItemWeights(format: string, artifact: Uint8Array): Recommender {
  const { meta, arrays } = unpack(format, artifact)
  const rows = Number(meta.itemCount)
  const matrix = {
    rows,
    columnCount: rows,
    offsets: arrays.offsets as Int32Array,
    columns: arrays.columns as Int32Array,
    values: arrays.values as Float64Array,
  }
  return itemWeightsRecommender(format, { votes: Boolean(meta.votes), halfLifeDays: Number(meta.halfLifeDays ?? 0), matrix })
}

/** A recommender of the form score_j = Σ_{i ∈ history} w_i M_ij with a sparse M ≥ 0; its artifacts are of this format. */
export function itemWeightsRecommender(format: string, { votes, halfLifeDays = 0, matrix }: ItemWeights): Recommender {
  const itemCount = matrix.rows
  const row = voteReader(itemCount, votes, halfLifeDays)
  let columns: SparseMatrix | undefined
  let tally: Tally | undefined
  /** What each item of the history adds to the score; both lists are ascending. */
  const parts = ({ items, values }: ReturnType<typeof row>, item: number): Float64Array => {
    const added = new Float64Array(items.length)
    if (item < 0 || item >= itemCount) return added
    columns ??= transpose(matrix)
    let place = columns.offsets[item]
    const end = columns.offsets[item + 1]
    for (let at = 0; at < items.length && place < end; at++) {
      while (place < end && columns.columns[place] < items[at]) place++
      if (place < end && columns.columns[place] === items[at] && items[at] !== item) added[at] = values[at] * columns.values[place]
    }
    return added
  }
  /** Sums by the rows of the history's items alone. */
  function tallied(given: History): Tally {
    tally ??= createTally(itemCount)
    const { items, values } = row(given)
    for (let at = 0; at < items.length; at++) {
      for (let place = matrix.offsets[items[at]]; place < matrix.offsets[items[at] + 1]; place++) {
        const part = values[at] * matrix.values[place]
        if (part > 0) tally.add(matrix.columns[place], part)
      }
    }
    return tally
  }

  return {
    itemCount,
    score: (given, out) => {
      const { items, values } = row(given)
      out.fill(0)
      for (let at = 0; at < items.length; at++) {
        for (let place = matrix.offsets[items[at]]; place < matrix.offsets[items[at] + 1]; place++)
          out[matrix.columns[place]] += values[at] * matrix.values[place]
      }
    },
    best: (given, count, withoutHistory) => tallied(given).best(count, withoutHistory ? given.items : NOTHING),
    scoreOf: (given, items) => tallied(given).of(items),
    ...sumOfParts(row, parts),
    similar: (item, count) => {
      if (item < 0 || item >= itemCount) return { items: new Int32Array(0), scores: new Float32Array(0) }
      const [from, to] = [matrix.offsets[item], matrix.offsets[item + 1]]
      const best = topIndexes(matrix.values.subarray(from, to), count + 1)
        .filter(place => matrix.columns[from + place] !== item && matrix.values[from + place] > 0)
        .slice(0, count)
      return {
        items: best.map(place => matrix.columns[from + place]),
        scores: Float32Array.from(best, place => matrix.values[from + place]),
      }
    },
    save: () => {
      const { offsets, columns, values } = matrix
      return pack(format, { meta: { votes, halfLifeDays, itemCount }, arrays: { offsets, columns, values } })
    },
  }
}
