import { topIndexes } from '../math/select.js'
import { countingSort, type SparseMatrix, sparseFrom } from '../math/sparse.js'
import { fadedHistory } from './fading.js'
import type { History, Interactions, Recommender } from './recommender.js'

/** Users × items: ratings as they are (the last one of a pair counts), implicit weights summed and damped, pairs that sum to nothing left out. */
export function preferences({ userCount, itemCount, users, items, values, kind }: Interactions): SparseMatrix {
  const matrix = sparseFrom(userCount, itemCount, { rows: users, columns: items, values }, kind === 'explicit' ? 'last' : 'sum')
  return kind === 'explicit' ? matrix : positive(matrix)
}

/** Users × items of what was liked, for algorithms that rank and know no scale: of ratings, each counts as one vote. */
export function positives(data: Interactions): SparseMatrix {
  const matrix = preferences(data)
  return data.kind === 'explicit' ? { ...matrix, values: matrix.values.map(() => 1) } : matrix
}

/**
 * Each implicit pair once, at its first time, by its strongest value (a pair that sums to less, as of what was sent back, by its sum): what somebody took to, not how
 * often he came back to it. Ratings stay as they are. `first`: room for a number an item, whatever is in it.
 */
export function onceEach(data: Interactions, first = new Int32Array(data.itemCount)): Interactions {
  if (data.kind === 'explicit') return data
  const { userCount, users, items } = data
  const values = data.values.slice()
  const sums = Float64Array.from(values)
  const isKept = new Uint8Array(items.length)
  for (const at of countingSort(users, userCount)) {
    const place = first[items[at]]
    const isSame = place < at && items[place] === items[at] && users[place] === users[at] && Number.isFinite(values[place])
    if (isSame && Number.isFinite(values[at])) {
      values[place] = Math.max(values[place], values[at])
      sums[place] += values[at]
    } else {
      if (Number.isFinite(values[at])) first[items[at]] = at
      isKept[at] = 1
    }
  }
  const places = Array.from(items.keys()).filter(at => isKept[at] === 1)
  return {
    ...data,
    users: Int32Array.from(places, at => users[at]),
    items: Int32Array.from(places, at => items[at]),
    values: Float32Array.from(places, at => Math.min(values[at], sums[at])),
    times: Float64Array.from(places, at => data.times[at]),
  }
}

/** A history as one row of such a matrix: each item once, ascending; items out of range are left out. */
export function historyRow(
  { items, values }: History,
  itemCount: number,
  kind: Interactions['kind'],
): { items: Int32Array; values: Float64Array } {
  const sums = new Map<number, number>()
  for (let at = 0; at < items.length; at++) {
    const item = items[at]
    if (item < 0 || item >= itemCount || !Number.isFinite(values[at])) continue
    sums.set(item, kind === 'explicit' ? values[at] : (sums.get(item) ?? 0) + values[at])
  }
  const kept = [...sums].filter(([, value]) => kind === 'explicit' || value > 0).sort(([a], [b]) => a - b)
  return {
    items: Int32Array.from(kept, ([item]) => item),
    values: Float64Array.from(kept, ([, value]) => (kind === 'explicit' ? value : damped(value))),
  }
}

/** What is worked out of a history once, for as long as the history is there: requests take turns between a list and its reasons. */
export function remembered<Value extends object>(work: (history: History) => Value): (history: History) => Value {
  const known = new WeakMap<History, Value>()
  return history => {
    let value = known.get(history)
    if (value === undefined) {
      value = work(history)
      known.set(history, value)
    }
    return value
  }
}

/** Histories as `onceEach` has them; several models may read through one. */
export function onceReader(itemCount: number): (history: History) => History {
  const first = new Int32Array(itemCount)
  return remembered(({ items, values, times }) => {
    const users = new Int32Array(items.length)
    return onceEach({ userCount: 1, itemCount, users, items, values, times, kind: 'implicit', now: 0 }, first)
  })
}

/** A model taught by `onceEach`, that reads histories so too. */
export function readingOnce(model: Recommender, once: (history: History) => History): Recommender {
  const { best, scoreOf, scoreNew } = model
  return {
    ...model,
    score: (history, out) => model.score(once(history), out),
    predict: (history, item) => model.predict(once(history), item),
    explain: (history, item, limit) => model.explain(once(history), item, limit),
    best: best && ((history, count, withoutHistory) => best(once(history), count, withoutHistory)),
    scoreOf: scoreOf && ((history, items) => scoreOf(once(history), items)),
    scoreNew: scoreNew && ((history, described) => scoreNew(once(history), described)),
  }
}

/** Reads histories as rows. */
export function rowReader(itemCount: number, kind: Interactions['kind']) {
  return remembered(history => historyRow(history, itemCount, kind))
}

/** The same for algorithms taught by `positives`: where they were taught ratings, each item of the history is one vote, else its weight fades. */
export function voteReader(itemCount: number, votes: boolean, halfLifeDays = 0) {
  return remembered(history => {
    if (!votes) return historyRow(fadedHistory(history, halfLifeDays), itemCount, 'implicit')
    const { items } = historyRow(history, itemCount, 'explicit')
    return { items, values: new Float64Array(items.length).fill(1) }
  })
}

/** Places of the `limit` weights that are largest without their sign, strongest first; those that are 0 say nothing. */
export function strongest(weights: Float64Array, limit: number): Int32Array {
  return topIndexes(weights.map(Math.abs), Math.min(limit, weights.length)).filter(place => weights[place] !== 0)
}

/** Prediction and explanation of a score that is the sum of what each item of the history adds to it; `parts` tells that, in the order of the history. */
export function sumOfParts(
  row: ReturnType<typeof voteReader>,
  parts: (history: ReturnType<ReturnType<typeof voteReader>>, item: number) => Float64Array,
): Pick<Recommender, 'predict' | 'explain'> {
  return {
    predict: (given, item) => parts(row(given), item).reduce((sum, weight) => sum + weight, 0),
    explain: (given, item, limit = Number.POSITIVE_INFINITY) => {
      const history = row(given)
      const added = parts(history, item)
      return Array.from(strongest(added, limit), at => ({ kind: 'neighbour-item', items: [history.items[at]], weight: added[at] }))
    },
  }
}

/** log₂(1 + w): a second purchase says less than the first; a weight of 1 stays 1. */
function damped(weight: number): number {
  return Math.log2(1 + weight)
}

function positive({ rows, columnCount, offsets, columns, values }: SparseMatrix): SparseMatrix {
  const keptOffsets = new Int32Array(rows + 1)
  const keptColumns = new Int32Array(columns.length)
  const keptValues = new Float64Array(columns.length)
  let length = 0
  for (let row = 0; row < rows; row++) {
    for (let at = offsets[row]; at < offsets[row + 1]; at++) {
      if (!(values[at] > 0)) continue
      keptColumns[length] = columns[at]
      keptValues[length++] = damped(values[at])
    }
    keptOffsets[row + 1] = length
  }
  return { rows, columnCount, offsets: keptOffsets, columns: keptColumns.slice(0, length), values: keptValues.slice(0, length) }
}

/**
 * Rows with more than `most` entries keep those of largest value (of equals the first), so that work on pairs of a row's entries stays bounded; of largest
 * share of their column where its norm is given.
 */
export function mostTelling(matrix: SparseMatrix, most: number, columnNorms?: Float64Array): SparseMatrix {
  const { rows, columnCount, offsets, columns, values } = matrix
  let isBounded = true
  for (let row = 0; row < rows && isBounded; row++) isBounded = offsets[row + 1] - offsets[row] <= most
  if (isBounded) return matrix
  const keptOffsets = new Int32Array(rows + 1)
  const keptColumns = new Int32Array(columns.length)
  const keptValues = new Float64Array(columns.length)
  let length = 0
  for (let row = 0; row < rows; row++) {
    const [from, to] = [offsets[row], offsets[row + 1]]
    const telling = (value: number, at: number) => (columnNorms ? value / columnNorms[columns[from + at]] : value)
    const chosen = to - from > most ? topIndexes(values.subarray(from, to).map(telling), most).sort() : undefined
    for (let at = 0; at < Math.min(most, to - from); at++) {
      const place = from + (chosen ? chosen[at] : at)
      keptColumns[length] = columns[place]
      keptValues[length++] = values[place]
    }
    keptOffsets[row + 1] = length
  }
  return { rows, columnCount, offsets: keptOffsets, columns: keptColumns.slice(0, length), values: keptValues.slice(0, length) }
}
