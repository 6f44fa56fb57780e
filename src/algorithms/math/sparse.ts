/** Compressed sparse rows: row r holds `columns[offsets[r] … offsets[r + 1])` ascending, with their `values`. */
export interface SparseMatrix {
  rows: number
  columnCount: number
  /** Length rows + 1. */
  offsets: Int32Array
  columns: Int32Array
  values: Float64Array
}

export interface Coordinates {
  rows: Int32Array
  columns: Int32Array
  values: ArrayLike<number>
}

/** Builds rows from coordinates in O(n + rows + columns). Entries of one cell are summed, or the last one counts. */
export function sparseFrom(
  rowCount: number,
  columnCount: number,
  { rows, columns, values }: Coordinates,
  repeated: 'sum' | 'last' = 'sum',
): SparseMatrix {
  // Two stable counting sorts, by column and then by row, leave each row's columns ascending and repetitions in their order.
  const byColumn = countingSort(columns, columnCount)
  const order = countingSort(rows, rowCount, byColumn)
  const offsets = new Int32Array(rowCount + 1)
  const outColumns = new Int32Array(order.length)
  const outValues = new Float64Array(order.length)
  let length = 0
  let row = 0
  for (const entry of order) {
    while (row < rows[entry]) offsets[++row] = length
    const isRepeated = length > offsets[row] && outColumns[length - 1] === columns[entry]
    if (isRepeated) outValues[length - 1] = repeated === 'sum' ? outValues[length - 1] + values[entry] : values[entry]
    else {
      outColumns[length] = columns[entry]
      outValues[length++] = values[entry]
    }
  }
  while (row < rowCount) offsets[++row] = length
  return { rows: rowCount, columnCount, offsets, columns: outColumns.slice(0, length), values: outValues.slice(0, length) }
}

export function transpose({ rows, columnCount, offsets, columns, values }: SparseMatrix): SparseMatrix {
  const target = new Int32Array(columnCount + 1)
  for (const column of columns) target[column + 1]++
  for (let column = 0; column < columnCount; column++) target[column + 1] += target[column]
  const next = target.slice(0, columnCount)
  const outRows = new Int32Array(columns.length)
  const outValues = new Float64Array(columns.length)
  for (let row = 0; row < rows; row++) {
    for (let at = offsets[row]; at < offsets[row + 1]; at++) {
      const place = next[columns[at]]++
      outRows[place] = row
      outValues[place] = values[at]
    }
  }
  return { rows: columnCount, columnCount: rows, offsets: target, columns: outRows, values: outValues }
}

/** Mean of each row's entries; `otherwise` where a row is empty. */
export function rowMeans({ rows, offsets, values }: SparseMatrix, otherwise: number): Float64Array {
  return Float64Array.from({ length: rows }, (_, row) => {
    let sum = 0
    for (let at = offsets[row]; at < offsets[row + 1]; at++) sum += values[at]
    const count = offsets[row + 1] - offsets[row]
    return count > 0 ? sum / count : otherwise
  })
}

/** Places of the keys (each below `keyCount`), ascending by key; of equals as in `order`. O(n + keyCount). */
export function countingSort(keys: Int32Array, keyCount: number, order?: Int32Array): Int32Array {
  const next = new Int32Array(keyCount + 1)
  for (const key of keys) next[key + 1]++
  for (let key = 0; key < keyCount; key++) next[key + 1] += next[key]
  const sorted = new Int32Array(keys.length)
  for (let at = 0; at < keys.length; at++) {
    const entry = order ? order[at] : at
    sorted[next[keys[entry]]++] = entry
  }
  return sorted
}
