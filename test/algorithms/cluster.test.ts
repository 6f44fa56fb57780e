import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { BrokenArtifact } from '../../src/algorithms/artifact.js'
import { assignAll, fitAll, ruleOf } from '../../src/algorithms/cluster/index.js'
import { kMeans, nearestCentres } from '../../src/algorithms/cluster/k-means.js'
import { clusterNames } from '../../src/algorithms/cluster/naming.js'
import { adjustedRand, silhouette } from '../../src/algorithms/cluster/quality.js'
import { meets, ruleFor } from '../../src/algorithms/cluster/rule.js'
import { fitScaling, scaled, scaledRows, type Table, unscaled } from '../../src/algorithms/cluster/scaling.js'
import { driftOf, fitClusters, loadClusters } from '../../src/algorithms/cluster/segmentation.js'
import { createRandom } from '../../src/algorithms/math/random.js'

/** Blobs around given centres; the truth is which. */
function blobs(centres: number[][], each: number, spread = 0.3, seed = 1): { table: Table; truth: Int32Array } {
  const random = createRandom(seed)
  const columnCount = centres[0].length
  const rows = centres.length * each
  const values = new Float32Array(rows * columnCount)
  const truth = new Int32Array(rows)
  for (let row = 0; row < rows; row++) {
    truth[row] = row % centres.length
    for (let column = 0; column < columnCount; column++)
      values[row * columnCount + column] = centres[truth[row]][column] + spread * random.normal()
  }
  return { table: { rows, columnCount, values }, truth }
}

const four = [
  [0, 0, 5],
  [4, 0, 0],
  [0, 4, 0],
  [4, 4, 5],
]
const names = ['recency', 'frequency', 'taste']

test('planted clusters are found, and their number', () => {
  const { table, truth } = blobs(four, 200)
  const model = fitClusters(table, names, {}, createRandom(3))
  expect(model.k).toBe(4)
  expect(adjustedRand(truth, model.assign(table))).toBeGreaterThan(0.99)
  expect(model.candidates.map(({ k }) => k)).toEqual([2, 3, 4, 5, 6, 7, 8])
  expect(model.candidates[2].stability).toBeGreaterThan(0.98)
  expect(model.shares.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1)
  expect(model.shares[0]).toBeCloseTo(0.25)
  const centre = [...model.centreOf(0)]
  expect(Math.min(...four.map(each => Math.hypot(...each.map((value, column) => value - centre[column]))))).toBeLessThan(0.2)
})

test('k-means of one start is at least as good as a plain Lloyd from the same number of tries', () => {
  const { table } = blobs(four, 150, 1.2, 5)
  const { inertia, labels, counts, centres } = kMeans(table.values, 3, { k: 4, starts: 5 }, createRandom(1))
  let sum = 0
  for (let row = 0; row < table.rows; row++)
    for (let column = 0; column < 3; column++) sum += (table.values[row * 3 + column] - centres[labels[row] * 3 + column]) ** 2
  expect(inertia / sum).toBeCloseTo(1, 4)
  expect(counts.reduce((total, count) => total + count, 0)).toBe(table.rows)
  let least = Number.POSITIVE_INFINITY
  for (let seed = 0; seed < 10; seed++) least = Math.min(least, plainLloyd(table, 4, seed))
  expect(inertia).toBeLessThan(least * 1.01)
})

test('every point is with its nearest centre, at any dimension and k', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 11 }), fc.integer(), (columnCount, k, seed) => {
      const random = createRandom(seed)
      const points = Float32Array.from({ length: 60 * columnCount }, () => random.normal())
      const { labels, centres } = kMeans(points, columnCount, { k }, random)
      for (let row = 0; row < 60; row++) {
        const distance = (centre: number) => {
          let sum = 0
          for (let column = 0; column < columnCount; column++)
            sum += (points[row * columnCount + column] - centres[centre * columnCount + column]) ** 2
          return sum
        }
        const nearest = Math.min(...Array.from({ length: k }, (_, centre) => distance(centre)))
        expect(distance(labels[row])).toBeCloseTo(nearest, 4)
      }
    }),
    { numRuns: 40 },
  )
})

test.each([
  [1, 3],
  [2, 9],
  [5, 4],
  [13, 6],
])(
  'without any structure, where points change sides all the time, each centre is the mean of its points in the end: %d columns, k %d',
  (columns, k) => {
    const rows = 20_000
    const random = createRandom(columns)
    const points = Float32Array.from({ length: rows * columns }, () => random.next())
    const { centres, labels, counts, iterations } = kMeans(points, columns, { k, tolerance: 0, iterations: 1_000 }, createRandom(1))
    expect(iterations).toBeGreaterThan(5)
    expect(iterations).toBeLessThan(1_000)
    expect(labels).toEqual(nearestCentres(points, columns, centres))
    const sums = new Float64Array(k * columns)
    const sizes = new Float64Array(k)
    labels.forEach((label, row) => {
      sizes[label]++
      for (let column = 0; column < columns; column++) sums[label * columns + column] += points[row * columns + column]
    })
    expect(counts).toEqual(sizes)
    const off = centres.map((value, at) => Math.abs(value - sums[at] / sizes[Math.floor(at / columns)]))
    expect(Math.max(...off)).toBeLessThan(1e-9)
  },
)

test('a cluster that empties is given the farthest point', () => {
  // Two heaps and one point far away: with three centres none may stay empty.
  const points = Float32Array.from([...new Array(50).fill(0), ...new Array(50).fill(1), 100])
  for (let seed = 0; seed < 20; seed++) {
    const { counts } = kMeans(points, 1, { k: 3 }, createRandom(seed))
    expect([...counts].sort((a, b) => a - b)).toEqual([1, 50, 50])
  }
})

test('mini-batches find the same clusters in large data', () => {
  const { table, truth } = blobs(four, 60_000, 0.5)
  const model = fitClusters(table, names, { k: 4, bootstraps: 0, starts: 2 }, createRandom(1))
  expect(adjustedRand(truth, model.assign(table))).toBeGreaterThan(0.98)
})

test('degenerate tables have defined outcomes', () => {
  const grouped = (values: number[], columnCount: number, options = {}) =>
    fitClusters(
      { rows: values.length / columnCount, columnCount, values: Float32Array.from(values) },
      names.slice(0, columnCount),
      options,
      createRandom(1),
    )
  expect(grouped([], 2).k).toBe(1)
  expect(grouped([1, 2], 2).k).toBe(1)
  expect(grouped(new Array(40).fill(3), 2).k).toBe(1)
  expect(grouped([Number.NaN, Number.NaN, Number.NaN, Number.NaN], 2).k).toBe(1)
  expect(grouped([1, 1, 2, 2, 3, 3, 1, 1], 2, { k: 50 }).k).toBe(3)
  const odd = grouped([1, Number.POSITIVE_INFINITY, 2, Number.NEGATIVE_INFINITY, 3, Number.NaN, 4, 1e38], 2, { k: 2 })
  expect(odd.centres.every(Number.isFinite)).toBe(true)
  expect(() => grouped([1, 2, 3], 2)).toThrow(RangeError)
  expect(() => kMeans(Float32Array.of(1), 1, { k: 0 }, createRandom(1))).toThrow(/k is/)
  expect(() => kMeans(Float32Array.of(Number.NaN), 1, { k: 1 }, createRandom(1))).toThrow(/finite/)
})

test('saved clusters answer alike; the same seed gives the same bytes; broken bytes are refused', () => {
  const { table } = blobs(four, 50)
  const request = { table, features: names, options: { k: 3 }, seed: 4 }
  const { artifact, labels, names: named } = fitAll(request)
  expect(Buffer.compare(fitAll(request).artifact, artifact)).toBe(0)
  expect(assignAll({ artifact, table }).labels).toEqual(labels)
  expect(Buffer.compare(loadClusters(artifact).save(), artifact)).toBe(0)
  expect(named).toHaveLength(3)
  expect(() => loadClusters(artifact.slice(0, artifact.length - 9))).toThrow(BrokenArtifact)
  expect(() => loadClusters(artifact).assign({ rows: 1, columnCount: 2, values: new Float32Array(2) })).toThrow(/features/)
})

test('clusters are named by what sets them apart, each differently', () => {
  const { table } = blobs(four, 100)
  const model = fitClusters(table, names, { k: 4 }, createRandom(3))
  const named = clusterNames(model)
  expect(new Set(named.map(({ en }) => en)).size).toBe(4)
  const often = named.find((_, cluster) => model.centreOf(cluster)[1] > 3 && model.centreOf(cluster)[0] < 1)
  expect(often?.en).toContain('uys often')
  expect(often?.en).toContain('ecently here')
  expect(often?.zh).toContain('频繁购买')
  expect(often?.traits.every(({ z }) => Number.isFinite(z))).toBe(true)
  expect(clusterNames({ k: 1, features: names, centres: new Float64Array(3), shares: Float64Array.of(1) })[0].en).toBe('Average')
})

test('drift is nothing against itself and grows as clusters move', () => {
  const { table } = blobs(four, 100)
  const model = fitClusters(table, names, { k: 4 }, createRandom(3))
  expect(driftOf(model, model).mean).toBeCloseTo(0, 4)
  const moved = fitClusters(
    blobs(
      four.map(([a, b, c]) => [a + 1, b, c]),
      100,
    ).table,
    names,
    { k: 4 },
    createRandom(3),
  )
  const drift = driftOf(model, moved)
  expect(drift.mean).toBeGreaterThan(0.3)
  expect(drift.clusters).toHaveLength(4)
  expect(() => driftOf(model, { ...moved, features: ['x', 'y', 'z'] })).toThrow(RangeError)
})

test('the best rule for a cluster names features and says how well it does', () => {
  const { table } = blobs(four, 200)
  const { artifact, labels } = fitAll({ table, features: names, options: { k: 4 }, seed: 1 })
  const rule = ruleOf({ artifact, table, cluster: 2 })
  expect(rule.precision).toBeGreaterThan(0.97)
  expect(rule.recall).toBeGreaterThan(0.97)
  let [hits, met] = [0, 0]
  for (let row = 0; row < table.rows; row++) {
    if (!meets(rule, names, table.values.subarray(3 * row, 3 * row + 3))) continue
    met++
    if (labels[row] === 2) hits++
  }
  expect(hits / met).toBeCloseTo(rule.precision, 10)
  expect(ruleFor(table, names, new Uint8Array(table.rows))).toEqual({ alternatives: [], precision: 0, recall: 0, f1: 0 })
})

test('adjusted Rand index: same partition, unrelated, and by hand', () => {
  expect(adjustedRand([0, 0, 1, 1], [5, 5, 7, 7])).toBe(1)
  expect(adjustedRand([0, 0, 1, 2], [0, 0, 1, 1])).toBeCloseTo(0.5714285714)
  const random = createRandom(4)
  const labels = () => Int32Array.from({ length: 5_000 }, () => random.below(4))
  expect(Math.abs(adjustedRand(labels(), labels()))).toBeLessThan(0.01)
  expect(() => adjustedRand([1], [1, 2])).toThrow(RangeError)
  expect(adjustedRand([], [])).toBe(1)
})

test('silhouette by its definition', () => {
  const points = Float32Array.of(0, 1, 10, 12)
  const value = (
    [
      [1, (10 + 12) / 2],
      [1, (9 + 11) / 2],
      [2, (10 + 9) / 2],
      [2, (12 + 11) / 2],
    ] as const
  ).reduce((sum, [a, b]) => sum + (b - a) / b / 4, 0)
  expect(silhouette(points, 1, [0, 0, 1, 1], createRandom(1))).toBeCloseTo(value, 6)
  expect(silhouette(points, 1, [0, 0, 0, 0], createRandom(1))).toBeNaN()
})

test('scaling is undone by its inverse, damps skewed columns and holds outliers', () => {
  const random = createRandom(2)
  const values = Float32Array.from({ length: 4_000 }, (_, at) => (at % 2 === 0 ? random.normal() * 3 + 10 : Math.exp(2 * random.normal())))
  values[0] = Number.NaN
  const scaling = fitScaling({ rows: 2_000, columnCount: 2, values })
  expect(scaling.isLog).toEqual([false, true])
  expect(unscaled(scaling, 1, scaled(scaling, 1, 2.5))).toBeCloseTo(2.5, 5)
  expect(scaled(scaling, 0, Number.NaN)).toBe(0)
  expect(scaled(scaling, 0, 1e30)).toBe(4)
  const column = scaledRows(scaling, { rows: 2_000, columnCount: 2, values }).filter((_, at) => at % 2 === 0)
  expect(column.reduce((sum, value) => sum + value, 0) / 2_000).toBeCloseTo(0, 1)
})

function plainLloyd({ rows, columnCount, values }: Table, k: number, seed: number): number {
  const random = createRandom(seed)
  const centres = Array.from({ length: k }, () => {
    const row = random.below(rows)
    return [...values.subarray(row * columnCount, (row + 1) * columnCount)]
  })
  let inertia = 0
  for (let step = 0; step < 50; step++) {
    const sums = centres.map(centre => ({ sum: centre.map(() => 0), count: 0 }))
    inertia = 0
    for (let row = 0; row < rows; row++) {
      const point = values.subarray(row * columnCount, (row + 1) * columnCount)
      const distances = centres.map(centre => centre.reduce((sum, value, column) => sum + (value - point[column]) ** 2, 0))
      const nearest = distances.indexOf(Math.min(...distances))
      inertia += distances[nearest]
      sums[nearest].count++
      point.forEach((value, column) => {
        sums[nearest].sum[column] += value
      })
    }
    sums.forEach(({ sum, count }, at) => {
      if (count > 0) centres[at] = sum.map(value => value / count)
    })
  }
  return inertia
}

test('many points, which threads share in chunks, have the nearest centres, their means and their inertia', () => {
  const [rows, columns, k] = [50_000, 3, 5]
  const random = createRandom(7)
  const points = Float32Array.from({ length: rows * columns }, (_, at) => 4 * (Math.floor(at / columns) % k) + random.next())
  const found = kMeans(points, columns, { k, starts: 2 }, createRandom(1))
  let inertia = 0
  for (let row = 0; row < rows; row++) {
    const distances = Array.from({ length: k }, (_, centre) =>
      [0, 1, 2].reduce((sum, column) => sum + (points[row * columns + column] - found.centres[centre * columns + column]) ** 2, 0),
    )
    inertia += distances[found.labels[row]]
    if (distances[found.labels[row]] > Math.min(...distances) + 1e-4) throw new Error(`point ${row} has another nearest centre`)
  }
  // Distances are float32: of squares of up to 1,200 the seventh digit is lost.
  expect(found.inertia / inertia).toBeCloseTo(1, 4)
  expect([...found.counts].sort()).toEqual(Array(k).fill(rows / k))
  expect(kMeans(points, columns, { k, starts: 2 }, createRandom(1))).toEqual(found)
  expect(() => kMeans(points.fill(Number.NaN, 149_000), columns, { k }, random)).toThrow('Points must be finite')
})
