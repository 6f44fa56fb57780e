/** Trees in one set of arrays; node i of the arrays belongs to the tree whose root is the last one at or before i. */
export interface Forest {
  /** Where each tree starts. */
  roots: Int32Array
  /** Column that a node asks for; −1 in a leaf. */
  columns: Int32Array
  /** Left where the value is at most this. */
  cuts: Float64Array
  /** 1 where the unknown go left. */
  missingLeft: Uint8Array
  left: Int32Array
  right: Int32Array
  /** What a leaf adds to the score. */
  values: Float64Array
  /** Weight of the learning rows that came by. */
  covers: Float64Array
}

/** Σ of the leaves that `row` (values by column) falls into. */
export function scoreOf({ roots, columns, cuts, missingLeft, left, right, values }: Forest, row: ArrayLike<number>): number {
  let sum = 0
  for (let tree = 0; tree < roots.length; tree++) {
    let node = roots[tree]
    while (columns[node] >= 0) {
      const value = row[columns[node]]
      // NaN is not at most anything.
      node = value <= cuts[node] || (missingLeft[node] === 1 && Number.isNaN(value)) ? left[node] : right[node]
    }
    sum += values[node]
  }
  return sum
}

interface PathElement {
  column: number
  /** Share of paths that go on when the column is unknown, and when it is known. */
  zero: number
  one: number
  /** Proportion of permutations of a given size. */
  weight: number
}

/**
 * SHAP values of the forest for one row (Lundberg et al. 2018, algorithm 2, path-dependent): adds to `out` each column's Shapley value under the distribution
 * that the covers of the nodes describe, and returns the expected score. Their sum is `scoreOf`, exactly up to rounding.
 */
export function shapley(forest: Forest, row: ArrayLike<number>, out: Float64Array): number {
  const { columns, cuts, missingLeft, left, right, values, covers } = forest
  const goesLeft = (node: number) => row[columns[node]] <= cuts[node] || (missingLeft[node] === 1 && Number.isNaN(row[columns[node]]))
  const visit = (node: number, path: readonly PathElement[], zero: number, one: number, column: number) => {
    let own = extended(path, zero, one, column)
    if (columns[node] < 0) {
      for (let at = 1; at < own.length; at++) {
        const weight = unwound(own, at).reduce((sum, element) => sum + element.weight, 0)
        out[own[at].column] += weight * (own[at].one - own[at].zero) * values[node]
      }
      return
    }
    const [hot, cold] = goesLeft(node) ? [left[node], right[node]] : [right[node], left[node]]
    let [nextZero, nextOne] = [1, 1]
    const before = own.findIndex((element, at) => at > 0 && element.column === columns[node])
    if (before > 0) {
      nextZero = own[before].zero
      nextOne = own[before].one
      own = unwound(own, before)
    }
    visit(hot, own, (nextZero * covers[hot]) / covers[node], nextOne, columns[node])
    visit(cold, own, (nextZero * covers[cold]) / covers[node], 0, columns[node])
  }
  let expected = 0
  for (const root of forest.roots) {
    expected += expectation(forest, root)
    visit(root, [], 1, 1, -1)
  }
  return expected
}

function expectation(forest: Forest, node: number): number {
  if (forest.columns[node] < 0) return forest.values[node]
  const { left, right, covers } = forest
  return (covers[left[node]] * expectation(forest, left[node]) + covers[right[node]] * expectation(forest, right[node])) / covers[node]
}

function extended(path: readonly PathElement[], zero: number, one: number, column: number): PathElement[] {
  const length = path.length
  const next = path.map(element => ({ ...element }))
  next.push({ column, zero, one, weight: length === 0 ? 1 : 0 })
  for (let at = length - 1; at >= 0; at--) {
    next[at + 1].weight += (one * next[at].weight * (at + 1)) / (length + 1)
    next[at].weight = (zero * next[at].weight * (length - at)) / (length + 1)
  }
  return next
}

function unwound(path: readonly PathElement[], index: number): PathElement[] {
  const last = path.length - 1
  const { zero, one } = path[index]
  const next = path.map(element => ({ ...element }))
  let carried = next[last].weight
  for (let at = last - 1; at >= 0; at--) {
    if (one !== 0) {
      const weight = next[at].weight
      next[at].weight = (carried * (last + 1)) / ((at + 1) * one)
      carried = weight - (next[at].weight * zero * (last - at)) / (last + 1)
    } else next[at].weight = (next[at].weight * (last + 1)) / (zero * (last - at))
  }
  for (let at = index; at < last; at++) next[at] = { ...next[at + 1], weight: next[at].weight }
  return next.slice(0, last)
}

const ARRAYS = ['roots', 'columns', 'cuts', 'missingLeft', 'left', 'right', 'values', 'covers'] as const

export function forestFrom(arrays: Record<string, unknown>): Forest {
  return Object.fromEntries(ARRAYS.map(name => [name, arrays[name]])) as unknown as Forest
}
