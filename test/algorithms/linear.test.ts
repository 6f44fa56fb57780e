import { describe, expect, test } from '@jest/globals'
import { decisions, denseRows, fitLinear, type LinearModel, type LinearOptions, type Rows } from '../../src/algorithms/math/linear.js'
import { createRandom } from '../../src/algorithms/math/random.js'

interface World {
  rows: Rows
  labels: Int32Array
}

/** Rows of 0 … 8 entries whose labels come from a hidden plane, with some noise. */
function worldOf(rowCount: number, columnCount: number, seed: number, classCount = 2): World {
  const random = createRandom(seed)
  const planes = Array.from({ length: classCount }, () => Float64Array.from({ length: columnCount }, () => random.normal()))
  const table = new Float64Array(rowCount * columnCount)
  const labels = new Int32Array(rowCount)
  for (let row = 0; row < rowCount; row++) {
    for (let entry = random.below(9); entry > 0; entry--) table[row * columnCount + random.below(columnCount)] = random.normal()
    const scores = planes.map(plane => plane.reduce((sum, weight, at) => sum + weight * table[row * columnCount + at], random.normal()))
    labels[row] = scores.indexOf(Math.max(...scores))
  }
  return { rows: denseRows(table, columnCount), labels }
}

const loss = (kind: LinearOptions['loss'], margin: number) =>
  kind === 'logistic' ? Math.log1p(Math.exp(-margin)) : Math.max(0, 1 - margin) ** 2
const slope = (kind: LinearOptions['loss'], margin: number) =>
  kind === 'logistic' ? -1 / (1 + Math.exp(margin)) : -2 * Math.max(0, 1 - margin)

/** Gradient of the objective at a binary model, the bias (1) last, written naively. */
function gradientOf(model: LinearModel, { rows, labels }: World, options: LinearOptions, weightOf = (_: number) => 1): Float64Array {
  const z = decisions(model, rows)
  const gradient = Float64Array.of(...model.weights, options.regulariseBias === false ? 0 : model.intercepts[0])
  for (let row = 0; row < rows.rows; row++) {
    const y = labels[row] === 1 ? 1 : -1
    const factor = options.cost * weightOf(row) * y * slope(options.loss, y * z[row])
    for (let at = rows.offsets[row]; at < rows.offsets[row + 1]; at++) gradient[rows.columns[at]] += factor * Math.fround(rows.values[at])
    gradient[model.columnCount] += factor
  }
  return gradient
}

const largest = (values: Float64Array) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0)

describe.each(['logistic', 'squared-hinge'] as const)('%s', kind => {
  describe.each(['dual', 'newton'] as const)('by the %s solver', solver => {
    test.each([0.01, 1, 30])('the gradient vanishes at the optimum, C = %p', cost => {
      const world = worldOf(300, 40, 3)
      const options: LinearOptions = { loss: kind, cost, solver, tolerance: 1e-7, epochs: 20_000 }
      const model = fitLinear(world.rows, world.labels, 2, options)
      expect(largest(gradientOf(model, world, options))).toBeLessThan(1e-3 * cost)
    })

    test('a row of weight two is a row that stands there twice, and one of weight zero is absent', () => {
      const { rows, labels } = worldOf(120, 10, 5)
      const weights = Float64Array.from(labels, (_, row) => row % 3)
      const options: LinearOptions = { loss: kind, cost: 0.7, solver, tolerance: 1e-8, epochs: 20_000 }
      const weighted = fitLinear(rows, labels, 2, { ...options, sampleWeights: weights })
      const repeated: number[] = []
      weights.forEach((count, row) => {
        for (let time = 0; time < count; time++) repeated.push(row)
      })
      const table = new Float64Array(repeated.length * 10)
      repeated.forEach((row, place) => {
        for (let at = rows.offsets[row]; at < rows.offsets[row + 1]; at++) table[place * 10 + rows.columns[at]] = rows.values[at]
      })
      const plain = fitLinear(
        denseRows(table, 10),
        Int32Array.from(repeated, row => labels[row]),
        2,
        options,
      )
      weighted.weights.forEach((weight, at) => {
        expect(weight).toBeCloseTo(plain.weights[at], 4)
      })
      expect(weighted.intercepts[0]).toBeCloseTo(plain.intercepts[0], 4)
    })

    test('the same input gives the same bits', () => {
      const { rows, labels } = worldOf(200, 300, 8, 4)
      const fitted = () => fitLinear(rows, labels, 4, { loss: kind, cost: 1, solver })
      expect(fitted()).toEqual(fitted())
    })

    test('each class of many has the plane that it has alone against the rest', () => {
      const { rows, labels } = worldOf(300, 30, 9, 3)
      const options: LinearOptions = { loss: kind, cost: 1, solver, tolerance: 1e-6, epochs: 5_000 }
      const all = fitLinear(rows, labels, 3, options)
      for (let label = 0; label < 3; label++) {
        const alone = fitLinear(
          rows,
          labels.map(each => Number(each === label)),
          2,
          options,
        )
        expect(all.weights.subarray(label * 30, (label + 1) * 30)).toEqual(alone.weights)
        expect(all.intercepts[label]).toBe(alone.intercepts[0])
      }
    })

    test('one class only, no rows, empty rows and no columns are learned without fault', () => {
      const options: LinearOptions = { loss: kind, cost: 1, solver }
      const { rows } = worldOf(50, 10, 2)
      expect(decisions(fitLinear(rows, new Int32Array(50), 2, options), rows).every(z => z < 0)).toBe(true)
      expect(fitLinear(denseRows(new Float64Array(0), 4), [], 2, options).weights).toEqual(new Float64Array(4))
      expect([...fitLinear(denseRows(new Float64Array(20), 4), [0, 1, 1, 1, 1], 2, options).weights]).toEqual([0, 0, 0, 0])
      const empty: Rows = { rows: 3, columnCount: 0, offsets: new Int32Array(4), columns: new Int32Array(0), values: new Float64Array(0) }
      expect(fitLinear(empty, [0, 1, 1], 2, options).intercepts[0]).toBeGreaterThan(0)
    })

    test('without a bias there is no intercept', () => {
      const { rows, labels } = worldOf(100, 10, 4)
      expect(fitLinear(rows, labels, 2, { loss: kind, cost: 1, solver, bias: 0 }).intercepts[0]).toBe(0)
    })
  })

  test('both solvers find the same plane', () => {
    const { rows, labels } = worldOf(400, 60, 11)
    const [dual, newton] = (['dual', 'newton'] as const).map(solver =>
      fitLinear(rows, labels, 2, { loss: kind, cost: 1, solver, tolerance: 1e-8, epochs: 20_000 }),
    )
    dual.weights.forEach((weight, at) => {
      expect(weight).toBeCloseTo(newton.weights[at], 4)
    })
  })

  test('no step along any axis makes the objective smaller', () => {
    const { rows, labels } = worldOf(150, 8, 6)
    const model = fitLinear(rows, labels, 2, { loss: kind, cost: 2, solver: 'newton', tolerance: 1e-9 })
    const objective = (changed: LinearModel) => {
      const z = decisions(changed, rows)
      let sum = 0.5 * (changed.weights.reduce((total, w) => total + w * w, 0) + changed.intercepts[0] ** 2)
      for (let row = 0; row < rows.rows; row++) sum += 2 * loss(kind, (labels[row] === 1 ? 1 : -1) * z[row])
      return sum
    }
    const best = objective(model)
    for (let at = 0; at < 8; at++) {
      for (const step of [-0.01, 0.01]) {
        const weights = model.weights.slice()
        weights[at] += step
        expect(objective({ ...model, weights })).toBeGreaterThan(best)
      }
    }
  })
})

test('a free intercept meets the base rate: probabilities of logistic regression sum to the positives', () => {
  const world = worldOf(500, 20, 12)
  for (let row = 0; row < 500; row++) if (row % 5 !== 0) world.labels[row] = 0
  const options: LinearOptions = { loss: 'logistic', cost: 0.01, regulariseBias: false, tolerance: 1e-9 }
  const model = fitLinear(world.rows, world.labels, 2, options)
  const sum = decisions(model, world.rows).reduce((total, z) => total + 1 / (1 + Math.exp(-z)), 0)
  expect(sum).toBeCloseTo(
    world.labels.reduce((total, label) => total + label, 0),
    3,
  )
  expect(largest(gradientOf(model, world, options))).toBeLessThan(1e-4)
})

test('class weights are sample weights by class, and balanced ones even the classes out', () => {
  const { rows, labels } = worldOf(200, 10, 13)
  const options: LinearOptions = { loss: 'logistic', cost: 1, tolerance: 1e-8 }
  const byClass = fitLinear(rows, labels, 2, { ...options, classWeights: [1, 3] })
  const byRow = fitLinear(rows, labels, 2, { ...options, sampleWeights: Float64Array.from(labels, label => (label === 1 ? 3 : 1)) })
  expect(byClass.weights).toEqual(byRow.weights)
  const counts = [0, 1].map(label => labels.filter(each => each === label).length)
  const balanced = fitLinear(rows, labels, 2, { ...options, classWeights: 'balanced' })
  expect(fitLinear(rows, labels, 2, { ...options, classWeights: counts.map(count => 100 / count) }).weights).toEqual(balanced.weights)
})

test('faulty input is refused by row', () => {
  const rows = denseRows(Float64Array.of(1, 2, 3, Number.NaN), 2)
  const options: LinearOptions = { loss: 'logistic', cost: 1 }
  expect(() => fitLinear(rows, [0, 1], 2, options)).toThrow('Row 1 holds a value that is not finite')
  expect(() => fitLinear(denseRows(Float64Array.of(1, 2), 2), [2], 2, options)).toThrow('The label of row 0 is 2')
  expect(() => fitLinear(denseRows(Float64Array.of(1, 2), 2), [1], 2, { ...options, cost: 0 })).toThrow('cost is 0')
  expect(() => fitLinear(denseRows(Float64Array.of(1, 2), 2), [1], 2, { ...options, sampleWeights: [-1] })).toThrow('weight of row 0')
  expect(() => denseRows(new Float64Array(3), 2)).toThrow('no whole number of rows')
  expect(() => fitLinear(rows, [0, 1], 2, { ...options, solver: 'dual', regulariseBias: false })).toThrow('cannot free the intercept')
})
