import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import {
  accuracy,
  auc,
  aucOfSample,
  binaryReport,
  bootstrap,
  classScores,
  ece,
  lift,
  logLoss,
  macroF1,
  meanOfSample,
  normalisedEntropy,
  reliability,
} from '../../src/algorithms/evaluate/classification.js'
import { type Calibration, calibrated, fitIsotonic, fitPlatt, sigmoid } from '../../src/algorithms/math/calibration.js'
import { ascending, pairwiseSum } from '../../src/algorithms/math/order.js'
import { createRandom } from '../../src/algorithms/math/random.js'

const random = createRandom(11)
const logits = Float64Array.from({ length: 20_000 }, () => 1.5 * random.normal() - 1)
const truth = logits.map(z => (random.next() < sigmoid(z) ? 1 : 0))

test('ascending is the stable sort, with NaN last, for short and long arrays', () => {
  for (const count of [0, 1, 7, 5_000, 70_000]) {
    const values = Float64Array.from({ length: count }, (_, at) =>
      at % 97 === 5 ? Number.NaN : at % 89 === 3 ? Number.NEGATIVE_INFINITY : at % 83 === 2 ? -0 : Math.round(random.normal() * 50) / 7,
    )
    const expected = [...values.keys()].sort((a, b) => {
      const [x, y] = [values[a], values[b]]
      if (Number.isNaN(x) || Number.isNaN(y)) return Number(Number.isNaN(x)) - Number(Number.isNaN(y)) || a - b
      return x < y ? -1 : x > y ? 1 : a - b
    })
    expect(Buffer.compare(Buffer.from(ascending(values).buffer), Buffer.from(Int32Array.from(expected).buffer))).toBe(0)
  }
})

test('sums are those of NumPy, bit for bit', () => {
  // numpy.sum(1 / numpy.arange(1, n + 1)) for each n.
  const harmonic = (n: number) => pairwiseSum(Float64Array.from({ length: n }, (_, at) => 1 / (at + 1)))
  expect(harmonic(7)).toBe(2.5928571428571425)
  expect(harmonic(100)).toBe(5.187377517639621)
  expect(harmonic(1_001)).toBe(7.486469861549347)
  expect(harmonic(12_345)).toBe(9.998262568361625)
})

test('metrics of the protocol, as common.py has them', () => {
  const p = Float64Array.from({ length: 1_003 }, (_, at) => ((at * 7_919) % 1_003) / 1_004 + 0.0005)
  const y = Float64Array.from({ length: 1_003 }, (_, at) => (((at * 104_729) % 1_009) / 1_009 < p[at] ? 1 : 0))
  expect(auc(y, p)).toBe(0.8357787585987514)
  expect(logLoss(y, p)).toBeCloseTo(0.5033331159029885, 14)
  expect(1 - normalisedEntropy(y, p)).toBeCloseTo(0.2738182952407793, 13)
  expect(ece(y, p)).toBe(0.015471611063224706)
  const decided = p.map(each => (each > 0.5 ? 1 : 0))
  expect(accuracy(y, decided)).toBe(0.7587238285144566)
  expect(macroF1(y, decided)).toBeCloseTo(0.7587216699801194, 14)
})

test('macro F1 counts a class that is only predicted, or only true, as 0', () => {
  expect(macroF1([0, 0, 1, 2], [0, 1, 1, 1])).toBeCloseTo((2 / 3 + 2 / 4 + 0) / 3)
  expect(classScores([0, 0, 1], [0, 1, 1])[0]).toEqual({ label: 0, precision: 1, recall: 0.5, f1: 2 / 3, support: 2 })
})

test('lift is the rate among the best over the rate among all', () => {
  const labels = Array.from({ length: 100 }, (_, at) => (at < 10 || at >= 95 ? 1 : 0))
  expect(
    lift(
      labels,
      labels.map((_, at) => -at),
    ),
  ).toBeCloseTo(1 / 0.15)
})

test('the reliability table has equal mass per bin and sums to the calibration error', () => {
  const p = logits.map(sigmoid)
  const bins = reliability(truth, p)
  expect(bins.map(({ count }) => count)).toEqual(new Array(10).fill(2_000))
  for (const { from, to, predicted, observed } of bins) {
    expect(predicted).toBeGreaterThanOrEqual(from)
    expect(predicted).toBeLessThanOrEqual(to)
    expect(Math.abs(observed - predicted)).toBeLessThan(0.05)
  }
  expect(reliability([1], [0.4])).toHaveLength(1)
})

test('bootstrap intervals hold the statistic, repeat with the seed, and narrow with the rows', () => {
  const sample = aucOfSample(truth.subarray(0, 2_000), logits.subarray(0, 2_000))
  const interval = bootstrap(2_000, sample, { seed: 3, resamples: 200 })
  expect(bootstrap(2_000, sample, { seed: 3, resamples: 200 })).toEqual(interval)
  const value = auc(truth.subarray(0, 2_000), logits.subarray(0, 2_000))
  expect(interval.low).toBeLessThan(value)
  expect(interval.high).toBeGreaterThan(value)
  const mean = bootstrap(400, meanOfSample(new Float64Array(400).map((_, at) => at % 2)), { resamples: 400 })
  expect(mean.high - mean.low).toBeCloseTo(2 * 1.96 * Math.sqrt(0.25 / 400), 1)
  expect(bootstrap(3, aucOfSample([1, 1, 1], [1, 2, 3]), { resamples: 5 })).toEqual({ low: Number.NaN, high: Number.NaN })
})

test('isotonic regression is the monotone fit of least squares', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.integer({ min: 0, max: 8 }), fc.boolean()), { minLength: 1, maxLength: 40 }), rows => {
      const scores = rows.map(([score]) => score)
      const labels = rows.map(([, label]) => Number(label))
      const fitted = fitIsotonic(scores, labels)
      const values = [...new Set(scores)].sort((a, b) => a - b).map(score => calibrated(fitted, score))
      for (let at = 1; at < values.length; at++) expect(values[at]).toBeGreaterThanOrEqual(values[at - 1])
      // The min–max formula of isotonic regression.
      const mean = (low: number, high: number) => {
        const chosen = labels.filter((_, at) => scores[at] >= low && scores[at] <= high)
        return chosen.length > 0 ? chosen.reduce((sum, label) => sum + label, 0) / chosen.length : Number.NaN
      }
      const own = [...new Set(scores)].sort((a, b) => a - b)
      own.forEach((score, at) => {
        const expected = Math.max(...own.slice(0, at + 1).map(low => Math.min(...own.slice(at).map(high => mean(low, high)))))
        const bounded = Math.max(1 / (rows.length + 2), Math.min((rows.length + 1) / (rows.length + 2), expected))
        expect(calibrated(fitted, score)).toBeCloseTo(bounded, 10)
      })
    }),
  )
})

test.each([['isotonic', fitIsotonic] as const, ['platt', fitPlatt] as const])(
  '%s straightens distorted scores on rows it did not see',
  (_, learn) => {
    const distorted = logits.map(z => 3 * z + 4)
    const calibration = learn(distorted.subarray(0, 10_000), truth.subarray(0, 10_000))
    const saved = JSON.parse(JSON.stringify(calibration)) as Calibration
    const before = distorted.subarray(10_000).map(sigmoid)
    const after = distorted.subarray(10_000).map(z => calibrated(saved, z))
    expect(ece(truth.subarray(10_000), before)).toBeGreaterThan(0.2)
    expect(ece(truth.subarray(10_000), after)).toBeLessThan(0.02)
    expect(auc(truth.subarray(10_000), after)).toBeGreaterThan(auc(truth.subarray(10_000), before) - 0.002)
  },
)

test('Platt finds the line that made the labels', () => {
  const { slope, intercept } = fitPlatt(
    logits.map(z => (z - 4) / 3),
    truth,
  ) as Extract<Calibration, { kind: 'platt' }>
  expect(slope).toBeCloseTo(3, 0)
  expect(intercept).toBeCloseTo(4, 0)
})

test.each([fitIsotonic, fitPlatt])('degenerate rows give finite probabilities inside (0, 1)', learn => {
  const cases: [number[], number[]][] = [
    [[], []],
    [[1], [1]],
    [
      [1, 2, 3],
      [0, 0, 0],
    ],
    [
      [5, 5, 5],
      [0, 1, 1],
    ],
    [
      [1, 2, 3, 4],
      [0, 0, 1, 1],
    ],
    [
      [Number.NaN, Number.POSITIVE_INFINITY, 2],
      [1, 0, 1],
    ],
    [
      [1e12, -1e12],
      [1, 0],
    ],
  ]
  for (const [scores, labels] of cases) {
    const calibration = learn(scores, labels)
    for (const score of [-1e9, 0, 2.5, 1e9, ...scores.filter(Number.isFinite)]) {
      const p = calibrated(calibration, score)
      expect(p).toBeGreaterThanOrEqual(0)
      expect(p).toBeLessThanOrEqual(1)
    }
  }
  expect(calibrated(learn([1, 2, 3, 4], [0, 0, 1, 1]), 1)).toBeGreaterThan(0)
})

test('the report of a binary classifier has every metric', () => {
  const report = binaryReport(truth, logits.map(sigmoid))
  expect(Object.keys(report)).toEqual(['auc', 'logLoss', 'ne', 'ece', 'accuracy', 'macroF1', 'lift10'])
  expect(Object.values(report).every(Number.isFinite)).toBe(true)
})
