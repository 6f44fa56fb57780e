import { existsSync } from 'node:fs'
import { expect, test } from '@jest/globals'
import { BrokenArtifact } from '../../src/algorithms/artifact.js'
import { minimise } from '../../src/algorithms/math/minimise.js'
import { createRandom } from '../../src/algorithms/math/random.js'
import { hypergeometric, logGamma } from '../../src/algorithms/math/special.js'
import { type BgNbd, expectedPurchases, fitBgNbd, probabilityAlive } from '../../src/algorithms/value/bg-nbd.js'
import { type Customers, customersOf } from '../../src/algorithms/value/customers.js'
import { expectedValue, fitGammaGamma } from '../../src/algorithms/value/gamma-gamma.js'
import { fitValue, valueAll } from '../../src/algorithms/value/index.js'
import { fitLifetime, loadLifetime } from '../../src/algorithms/value/lifetime.js'
import { cdnow } from '../../src/commands/protocols/value.js'

const DAY = 86_400_000
const customers = (rows: [number, number, number, number][]): Customers => ({
  repeats: Float64Array.from(rows, row => row[0]),
  recency: Float64Array.from(rows, row => row[1]),
  age: Float64Array.from(rows, row => row[2]),
  meanValue: Float64Array.from(rows, row => row[3]),
})

test('ln Γ and ₂F₁ agree with known values', () => {
  expect(logGamma(5)).toBeCloseTo(Math.log(24), 12)
  expect(logGamma(0.5)).toBeCloseTo(Math.log(Math.sqrt(Math.PI)), 12)
  expect(logGamma(1e6)).toBeCloseTo(12815504.569147769, 4)
  // ₂F₁(1, 1; 2; z) = −ln(1 − z)/z
  for (const z of [0, 0.1, 0.5, 0.9, 0.99]) expect(hypergeometric(1, 1, 2, z)).toBeCloseTo(z === 0 ? 1 : -Math.log(1 - z) / z, 9)
  // ₂F₁(a, b; b; z) = (1 − z)^−a
  expect(hypergeometric(2.5, 3, 3, 0.8)).toBeCloseTo(0.2 ** -2.5, 8)
})

test('the simplex finds the bottom of the banana, and stays within its bounds', () => {
  const banana = (x: Float64Array) => (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2
  const { x } = minimise(banana, [-1.2, 1])
  expect(x[0]).toBeCloseTo(1, 4)
  expect(x[1]).toBeCloseTo(1, 4)
  expect([...minimise(x => -x[0], [0], { high: 3 }).x]).toEqual([3])
})

test('parameters are recovered from customers that were drawn from them', () => {
  const random = createRandom(8)
  const truth = { r: 0.8, alpha: 6, a: 0.9, b: 3 }
  const rows = Array.from({ length: 6_000 }, (): [number, number, number, number] => {
    const rate = gamma(truth.r, random) / truth.alpha
    const [one, other] = [gamma(truth.a, random), gamma(truth.b, random)]
    const dropOut = one / (one + other)
    const age = 20 + 40 * random.next()
    let [x, last] = [0, 0]
    for (let time = -Math.log(1 - random.next()) / rate; time < age; time += -Math.log(1 - random.next()) / rate) {
      x++
      last = time
      if (random.next() < dropOut) break
    }
    return [x, last, age, 0]
  })
  const model = fitBgNbd(customers(rows))
  expect(model.isInner).toBe(true)
  expect(model.r / truth.r).toBeCloseTo(1, 0)
  expect(model.alpha / truth.alpha).toBeCloseTo(1, 0)
  expect(model.a / model.b / (truth.a / truth.b)).toBeCloseTo(1, 0)
})

test('expectations agree with simulated customers', () => {
  const model: BgNbd = { r: 0.243, alpha: 4.414, a: 0.793, b: 2.426, logLikelihood: 0, isInner: true }
  const data = customers([[5, 30, 38, 20]])
  const fitted = loadLifetime(fitLifetime(data, 10).save())
  expect(fitted.bgNbd.r).toBeGreaterThan(0)
  // Published example: E[Y(39)] of a customer with x = 2, tx = 30.43, T = 38.86 is 1.226.
  expect(expectedPurchases(model, 2, 30.43, 38.86, 39)).toBeCloseTo(1.226, 3)
  expect(expectedPurchases(model, 2, 30.43, 38.86, 0)).toBe(0)
  expect(probabilityAlive(model, 0, 0, 38)).toBe(1)
  expect(probabilityAlive(model, 20, 10, 38)).toBeLessThan(0.01)
  // a = 1 is a removable pole.
  const pole = (a: number) => expectedPurchases({ ...model, a }, 3, 20, 38, 39)
  expect(pole(1)).toBeCloseTo((pole(0.999) + pole(1.001)) / 2, 4)
})

test('degenerate customer bases give finite answers', () => {
  const bases = [
    customers([]),
    customers([[0, 0, 10, 0]]),
    customers(Array.from({ length: 50 }, () => [0, 0, 10, 0])),
    customers(Array.from({ length: 50 }, () => [3, 10, 10, 5])),
    customers([
      [2, 50, 10, 5],
      [Number.NaN, 1, 2, 3],
      [1, 1, Number.POSITIVE_INFINITY, 1],
      [-1, 0, 5, 0],
    ]),
    customers(Array.from({ length: 30 }, (_, at) => [at, at, 60, -4])),
    customers([[1_000_000, 300, 365, 1e12]]),
    customers(Array.from({ length: 20 }, () => [0, 0, 0, 0])),
  ]
  for (const base of bases) {
    const { artifact } = fitValue({ customers: base, fallbackValue: 12 })
    const asked = customers([
      [0, 0, 0, 0],
      [0, 0, 100, 0],
      [4, 20, 30, 50],
      [1e6, 365, 365, 1e9],
      [Number.NaN, Number.NaN, Number.NaN, Number.NaN],
    ])
    const { purchases, value, alive } = valueAll({ artifact, customers: asked, horizon: 52 })
    for (const each of [...purchases, ...value, ...alive]) {
      expect(Number.isFinite(each)).toBe(true)
      expect(each).toBeGreaterThanOrEqual(0)
    }
    const one = loadLifetime(artifact).customer(asked, 2, 52, createRandom(1))
    expect(one.low).toBeLessThanOrEqual(one.value)
    expect(one.high).toBeGreaterThanOrEqual(one.value)
    expect(one.nextPurchase).toBeGreaterThanOrEqual(0)
    expect(loadLifetime(artifact).customer(asked, 2, 52, createRandom(1))).toEqual(one)
  }
})

test('who buys more often, later and dearer is worth more', () => {
  const random = createRandom(3)
  const base = customers(
    Array.from({ length: 800 }, () => {
      const [x, age] = [random.below(6), 30 + random.below(30)]
      return [x, x > 0 ? age * random.next() : 0, age, x > 0 ? 20 + 30 * random.next() : 0]
    }),
  )
  const model = fitLifetime(base, 20)
  const { value } = model.expected(
    customers([
      [4, 50, 55, 30],
      [4, 20, 55, 30],
      [1, 50, 55, 30],
      [4, 50, 55, 90],
      [0, 0, 55, 0],
    ]),
    52,
  )
  expect(value[0]).toBeGreaterThan(value[1])
  expect(value[0]).toBeGreaterThan(value[2])
  expect(value[3]).toBeGreaterThan(value[0])
  expect(value[4]).toBeGreaterThan(0)
  expect(() => loadLifetime(model.save().slice(0, 30))).toThrow(BrokenArtifact)
})

test('spend is drawn to the population, the more the fewer purchases there are', () => {
  const random = createRandom(5)
  const base = customers(Array.from({ length: 500 }, () => [1 + random.below(5), 1, 10, 10 * gamma(5, random)]))
  const model = fitGammaGamma(base)
  if (!model) throw new Error('there are repeaters')
  const population = expectedValue(model, 0, 0)
  expect(population).toBeGreaterThan(30)
  expect(population).toBeLessThan(70)
  expect(Math.abs(expectedValue(model, 1, 200) - population)).toBeLessThan(Math.abs(expectedValue(model, 10, 200) - population))
  expect(fitGammaGamma(customers([[0, 0, 5, 0]]))).toBeUndefined()
})

test('a day of purchases counts once, the future and broken times not at all', () => {
  const { keys, data } = customersOf(
    {
      customers: Int32Array.of(7, 7, 7, 7, 9, 9),
      times: Float64Array.of(10 * DAY, 10 * DAY + 3_600_000, 24 * DAY, 99 * DAY, Number.NaN, 12 * DAY),
      values: Float64Array.of(5, 5, 30, 1_000, 1, Number.NaN),
    },
    38 * DAY,
  )
  expect([...keys]).toEqual([7, 9])
  expect([...data.repeats]).toEqual([1, 0])
  expect([...data.recency]).toEqual([2, 0])
  expect([...data.age]).toEqual([4, 26 / 7])
  expect([...data.meanValue]).toEqual([30, 0])
})

const folder = '../shared/data/cdnow'
const onRealData = existsSync(folder) ? test : test.skip
if (!existsSync(folder)) process.stderr.write(`${folder} is absent: the published figures of CDNOW are skipped\n`)

onRealData('on CDNOW the published parameters are found', async () => {
  const found = new Map<string, Record<string, number>>()
  for await (const { method, metrics } of cdnow.run({})) found.set(method, metrics)
  const { r, alpha, a, b, logLikelihood, mae, rmse, total } = found.get('bg-nbd') as Record<string, number>
  expect(Math.abs(r - 0.2426)).toBeLessThan(0.001)
  expect(Math.abs(alpha - 4.4135)).toBeLessThan(0.01)
  expect(Math.abs(a - 0.7929)).toBeLessThan(0.005)
  expect(Math.abs(b - 2.4258)).toBeLessThan(0.02)
  expect(Math.abs(logLikelihood + 9582.43)).toBeLessThan(0.1)
  expect(mae).toBeCloseTo(0.7855, 3)
  expect(rmse).toBeCloseTo(1.608, 3)
  expect(Math.abs(total - 1653)).toBeLessThan(2)
  const { p, q, v } = found.get('gamma-gamma') as Record<string, number>
  expect(p).toBeCloseTo(6.25, 1)
  expect(q).toBeCloseTo(3.745, 1)
  expect(v).toBeCloseTo(15.45, 0)
})

function gamma(shape: number, random: ReturnType<typeof createRandom>): number {
  // Sum of exponentials for the whole part, and rejection for the rest (Ahrens and Dieter 1974).
  let sum = 0
  for (let at = 1; at <= shape; at++) sum -= Math.log(1 - random.next())
  const rest = shape - Math.floor(shape)
  if (rest < 1e-9) return sum
  for (;;) {
    const u = (1 + rest / Math.E) * random.next()
    const x = u <= 1 ? u ** (1 / rest) : -Math.log((1 + rest / Math.E - u) / rest)
    if (u <= 1 ? random.next() <= Math.exp(-x) : random.next() <= x ** (rest - 1)) return sum + x
  }
}
