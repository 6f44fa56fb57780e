import { type SparseMatrix, sparseFrom } from '../math/sparse.js'
import type { History, Interactions } from './recommender.js'

/** Users × items: ratings as they are (the last one of a pair counts), implicit weights summed and damped, pairs that sum to nothing left out. */
export function preferences({ userCount, itemCount, users, items, values, kind }: Interactions): SparseMatrix {
  const matrix = sparseFrom(userCount, itemCount, { rows: users, columns: items, values }, kind === 'explicit' ? 'last' : 'sum')
  return kind === 'explicit' ? matrix : positive(matrix)
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

/** Reads histories as rows, and remembers the last one: predictions for many items of one user share it. */
export function rowReader(itemCount: number, kind: Interactions['kind']) {
  let last: History | undefined
  let row: ReturnType<typeof historyRow> = { items: new Int32Array(0), values: new Float64Array(0) }
  return (history: History) => {
    if (history !== last) row = historyRow(history, itemCount, kind)
    last = history
    return row
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
