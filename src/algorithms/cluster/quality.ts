import type { Random } from '../math/random.js'

/**
 * Adjusted Rand index of two labelings (Hubert and Arabie 1985): 1 for the same partition, about 0 for unrelated ones. Two partitions that both are trivial in the
 * same way agree: 1. Throws `RangeError` on different lengths.
 */
export function adjustedRand(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) throw new RangeError(`${a.length} labels cannot be compared with ${b.length}`)
  const [both, left, right] = [new Map<string, number>(), new Map<number, number>(), new Map<number, number>()]
  for (let at = 0; at < a.length; at++) {
    const key = `${a[at]} ${b[at]}`
    both.set(key, (both.get(key) ?? 0) + 1)
    left.set(a[at], (left.get(a[at]) ?? 0) + 1)
    right.set(b[at], (right.get(b[at]) ?? 0) + 1)
  }
  const pairs = (counts: Iterable<number>) => [...counts].reduce((sum, count) => sum + (count * (count - 1)) / 2, 0)
  const [same, ofA, ofB, all] = [pairs(both.values()), pairs(left.values()), pairs(right.values()), (a.length * (a.length - 1)) / 2]
  if (all === 0) return 1
  const expected = (ofA * ofB) / all
  const most = (ofA + ofB) / 2
  return most === expected ? 1 : (same - expected) / (most - expected)
}

/**
 * Mean silhouette (Rousseeuw 1987) over `sample` points drawn at random (all where there are fewer), against those same points; a point alone in its cluster
 * counts 0. NaN with fewer than two clusters.
 */
export function silhouette(points: Float32Array, columnCount: number, labels: ArrayLike<number>, random: Random, sample = 2_000): number {
  const count = labels.length
  const chosen = Int32Array.from({ length: count }, (_, row) => row)
  if (count > sample) {
    for (let at = 0; at < sample; at++) {
      const other = at + random.below(count - at)
      ;[chosen[at], chosen[other]] = [chosen[other], chosen[at]]
    }
  }
  const rows = chosen.subarray(0, Math.min(sample, count))
  const names = [...new Set(Array.from(rows, row => labels[row]))]
  if (names.length < 2) return Number.NaN
  const index = new Map(names.map((name, at) => [name, at]))
  const own = Int32Array.from(rows, row => index.get(labels[row]) as number)
  const sizes = new Float64Array(names.length)
  for (const cluster of own) sizes[cluster]++
  const sums = new Float64Array(rows.length * names.length)
  for (let i = 0; i < rows.length; i++) {
    for (let j = i + 1; j < rows.length; j++) {
      let squares = 0
      for (let column = 0; column < columnCount; column++)
        squares += (points[rows[i] * columnCount + column] - points[rows[j] * columnCount + column]) ** 2
      const distance = Math.sqrt(squares)
      sums[i * names.length + own[j]] += distance
      sums[j * names.length + own[i]] += distance
    }
  }
  let total = 0
  for (let i = 0; i < rows.length; i++) {
    if (sizes[own[i]] < 2) continue
    const inside = sums[i * names.length + own[i]] / (sizes[own[i]] - 1)
    let outside = Number.POSITIVE_INFINITY
    for (let cluster = 0; cluster < names.length; cluster++)
      if (cluster !== own[i]) outside = Math.min(outside, sums[i * names.length + cluster] / sizes[cluster])
    total += (outside - inside) / (Math.max(outside, inside) || 1)
  }
  return total / rows.length
}
