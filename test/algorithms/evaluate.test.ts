import { existsSync } from 'node:fs'
import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { auc, ece, logLoss } from '../../src/algorithms/evaluate/classification.js'
import { gini, listMetrics } from '../../src/algorithms/evaluate/ranking.js'
import { ratingMetrics } from '../../src/algorithms/evaluate/rating.js'
import { createRandom, fnv1a } from '../../src/algorithms/math/random.js'
import { topIndexes } from '../../src/algorithms/math/select.js'
import { sparseFrom, transpose } from '../../src/algorithms/math/sparse.js'
import { ml100k } from '../../src/commands/protocols/ml-100k.js'

test('the split hash is FNV-1a over UTF-8', () => {
  expect(fnv1a('')).toBe(0x811c9dc5)
  expect(fnv1a('a')).toBe(0xe40c292c)
  expect(fnv1a('很快，好吃，味道足，量大')).toBe(0xb33a3415)
  expect(fnv1a('row0')).toBe(0x6d381d11)
})

test('ranking metrics of a list worked out by hand', () => {
  const metrics = listMetrics([7, 1, 8, 2], new Set([1, 2, 3]))
  const dcg = 1 / Math.log2(3) + 1 / Math.log2(5)
  expect(metrics.precisionAt10).toBeCloseTo(0.2)
  expect(metrics.recallAt10).toBeCloseTo(2 / 3)
  expect(metrics.hitRateAt10).toBe(1)
  expect(metrics.ndcgAt10).toBeCloseTo(dcg / (1 + 1 / Math.log2(3) + 0.5))
  expect(metrics.mapAt10).toBeCloseTo((1 / 2 + 2 / 4) / 3)
  expect(metrics.mrrAt10).toBe(0.5)
})

test('a perfect list has NDCG 1, a list without a hit has 0', () => {
  expect(listMetrics([1, 2, 3], new Set([1, 2, 3])).ndcgAt10).toBeCloseTo(1)
  expect(listMetrics([4, 5], new Set([1])).ndcgAt10).toBe(0)
})

test('AUC counts ties as half, and is the share of pairs in order', () => {
  expect(auc([0, 1], [0.1, 0.9])).toBe(1)
  expect(auc([0, 1, 1, 0], [0.5, 0.5, 0.5, 0.5])).toBe(0.5)
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 0, max: 5 })), { minLength: 4, maxLength: 30 }), rows => {
      const labels = [1, 0, ...rows.map(([label]) => Number(label))]
      const scores = [2, 3, ...rows.map(([, score]) => score)]
      let [won, pairs] = [0, 0]
      labels.forEach((a, i) => {
        labels.forEach((b, j) => {
          if (a !== 1 || b !== 0) return
          pairs++
          won += scores[i] > scores[j] ? 1 : scores[i] === scores[j] ? 0.5 : 0
        })
      })
      expect(auc(labels, scores)).toBeCloseTo(won / pairs, 10)
    }),
  )
})

test('log-loss and calibration error of what is known', () => {
  expect(logLoss([1, 0], [0.5, 0.5])).toBeCloseTo(Math.LN2)
  expect(logLoss([1], [0])).toBeCloseTo(-Math.log(1e-15))
  const random = createRandom(5)
  const probabilities = Array.from({ length: 50_000 }, () => random.next())
  const labels = probabilities.map(p => (random.next() < p ? 1 : 0))
  expect(ece(labels, probabilities)).toBeLessThan(0.01)
  expect(
    ece(
      labels,
      probabilities.map(p => p / 2),
    ),
  ).toBeGreaterThan(0.2)
})

test('errors of ratings are taken after clipping to the scale', () => {
  expect(ratingMetrics([9, 3], [5, 1], [1, 5])).toEqual({ rmse: Math.sqrt(2), mae: 1 })
})

test('Gini is 0 where all are shown equally and near 1 where one has it all', () => {
  expect(gini(new Float64Array(10).fill(3))).toBeCloseTo(0)
  expect(gini(Float64Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 9))).toBeCloseTo(0.9)
})

test('the largest are found as by sorting, ties by index ascending, the skipped left out', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 6 }), { maxLength: 60 }),
      fc.integer({ min: 0, max: 70 }),
      fc.integer(),
      (values, count, seed) => {
        const random = createRandom(seed)
        const skip = Uint8Array.from(values, () => (random.next() < 0.3 ? 1 : 0))
        const expected = values
          .map((value, index) => ({ value, index }))
          .filter(({ index }) => !skip[index])
          .sort((a, b) => b.value - a.value || a.index - b.index)
          .slice(0, count)
          .map(({ index }) => index)
        expect([...topIndexes(Float64Array.from(values), count, skip)]).toEqual(expected)
      },
    ),
  )
})

test('a sparse matrix transposed twice is itself, repetitions summed or last', () => {
  const rows = Int32Array.of(1, 0, 1, 1, 2)
  const columns = Int32Array.of(2, 0, 2, 0, 1)
  const values = [1, 2, 3, 4, 5]
  const matrix = sparseFrom(3, 3, { rows, columns, values })
  expect(transpose(transpose(matrix))).toEqual(matrix)
  expect([...matrix.values]).toEqual([2, 4, 4, 5])
  expect([...sparseFrom(3, 3, { rows, columns, values }, 'last').values]).toEqual([2, 4, 3, 5])
})

const shared = '../shared/data/ml-100k'
const onRealData = existsSync(shared) ? test : test.skip
if (!existsSync(shared)) process.stderr.write(`${shared} is absent: the protocol on MovieLens 100K is skipped\n`)

onRealData(
  'on MovieLens 100K every method reaches the reference',
  async () => {
    const found = new Map<string, Record<string, number>>()
    const methods = [
      'biases',
      'user-cf-pearson',
      'user-msd',
      'user-baseline',
      'item-baseline',
      'svd',
      'popularity',
      'item-cf',
      'user-cf',
      'ease',
      'slim',
      'ials',
      'rp3beta',
    ]
    for await (const { part, method, metrics } of ml100k.run({ methods }))
      if (part === 'rating' || part === 'top-n') found.set(method, metrics)
    const near = (method: string, metric: string, reference: number, tolerance: number) =>
      expect(Math.abs((found.get(method)?.[metric] ?? 0) - reference)).toBeLessThanOrEqual(tolerance)
    near('biases', 'rmse', 0.9457, 0.003)
    near('user-cf-pearson', 'rmse', 0.9508, 0.003)
    near('user-cf-pearson', 'mae', 0.7449, 0.003)
    near('popularity', 'ndcgAt10', 0.2183, 0.002)
    near('item-cf', 'ndcgAt10', 0.3893, 0.0039)
    near('item-cf', 'recallAt10', 0.2091, 0.0021)
    near('user-cf', 'ndcgAt10', 0.419, 0.0042)
    near('user-cf', 'precisionAt10', 0.3477, 0.0035)
    near('user-msd', 'rmse', 0.9801, 0.003)
    near('user-baseline', 'rmse', 0.9245, 0.003)
    near('item-baseline', 'rmse', 0.9204, 0.003)
    near('svd', 'rmse', 0.9166, 0.003)
    near('ease', 'ndcgAt10', 0.4474, 0.0045)
    near('ease', 'recallAt10', 0.2452, 0.0025)
    near('slim', 'ndcgAt10', 0.4508, 0.0045)
    near('slim', 'recallAt10', 0.2444, 0.0024)
    near('ials', 'ndcgAt10', 0.4447, 0.0045)
    near('rp3beta', 'ndcgAt10', 0.4112, 0.0041)
  },
  120_000,
)
