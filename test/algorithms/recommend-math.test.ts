import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { bootstrap, evaluateRanking } from '../../src/algorithms/evaluate/ranking.js'
import { dense, inverseSpd, multiply, multiplyPlain } from '../../src/algorithms/math/dense.js'
import { createRandom } from '../../src/algorithms/math/random.js'
import { type SparseMatrix, sparseFrom, transpose } from '../../src/algorithms/math/sparse.js'
import { factorise } from '../../src/algorithms/recommend/ials.js'
import { nearestItemsPlain } from '../../src/algorithms/recommend/item-cf.js'
import { mostTelling, preferences } from '../../src/algorithms/recommend/preference.js'
import { gramOf, pearsonOf, productThresholds, topProducts } from '../../src/algorithms/recommend/products.js'
import { fitBlend, fitFactors, fitNeighbours } from '../../src/algorithms/recommend/rating.js'
import { recommendAll } from '../../src/algorithms/recommend/recommend-all.js'
import { createSimilarity, rowNorms } from '../../src/algorithms/recommend/similarity.js'
import { slim } from '../../src/algorithms/recommend/slim.js'
import { userCf } from '../../src/algorithms/recommend/user-cf.js'
import { interactionsOf, randomRatings } from '../support/worlds.js'

const seeds = fc.integer({ min: 1, max: 10_000 })
const randomMatrix = (rows: number, columns: number, seed: number) => {
  const random = createRandom(seed)
  return dense(
    rows,
    columns,
    Float32Array.from({ length: rows * columns }, () => random.normal()),
  )
}
const randomSparse = (rows: number, columns: number, seed: number): SparseMatrix => {
  const random = createRandom(seed)
  const cells = Array.from({ length: rows * columns }, (_, cell) => cell).filter(() => random.next() < 0.4)
  return sparseFrom(rows, columns, {
    rows: Int32Array.from(cells, cell => Math.floor(cell / columns)),
    columns: Int32Array.from(cells, cell => cell % columns),
    values: cells.map(() => 1 + random.below(3)),
  })
}
const cellsOf = ({ rows, columnCount, offsets, columns, values }: SparseMatrix) =>
  Array.from({ length: rows }, (_, row) => {
    const line = new Array<number>(columnCount).fill(0)
    for (let at = offsets[row]; at < offsets[row + 1]; at++) line[columns[at]] = values[at]
    return line
  })

describe('dense products', () => {
  test.each([
    [false, false],
    [true, false],
    [false, true],
    [true, true],
  ])('transposed %s, %s: the native product is the plain one', (transposeA, transposeB) => {
    const a = transposeA ? randomMatrix(17, 31, 1) : randomMatrix(31, 17, 1)
    const b = transposeB ? randomMatrix(23, 17, 2) : randomMatrix(17, 23, 2)
    const options = { transposeA, transposeB, alpha: -0.5, plus: randomMatrix(31, 23, 3) }
    const [native, plain] = [multiply(a, b, options), multiplyPlain(a, b, options)]
    expect([native.rows, native.columns]).toEqual([31, 23])
    for (let at = 0; at < plain.data.length; at++) expect(native.data[at]).toBeCloseTo(plain.data[at], 4)
  })

  test('shapes that do not fit are refused, empty ones are empty', () => {
    expect(() => multiply(dense(2, 3), dense(2, 3))).toThrow(RangeError)
    expect(multiply(dense(0, 3), dense(3, 2)).data.length).toBe(0)
    expect([...multiply(dense(1, 0), dense(0, 2)).data]).toEqual([0, 0])
  })

  test.each([1, 5, 64, 65, 200])('a positive definite matrix of %i times its inverse is one', n => {
    const x = randomMatrix(n, n + 5, n)
    const spd = multiply(x, x, { transposeB: true })
    for (let at = 0; at < n; at++) spd.data[at * n + at] += 5
    const product = multiply(spd, inverseSpd(spd))
    for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) expect(product.data[i * n + j]).toBeCloseTo(i === j ? 1 : 0, 3)
  })

  test('a matrix that is not positive definite is refused', () => {
    expect(() => inverseSpd(dense(2, 2, Float32Array.of(1, 2, 2, 1)))).toThrow(RangeError)
  })
})

describe('sparse kernels agree with the plain version', () => {
  test('the nearest by cosine, shrunk, with least overlap', () => {
    fc.assert(
      fc.property(seeds, seed => {
        const byItem = randomSparse(14, 20, seed)
        const byUser = transpose(byItem)
        const settings = { measure: 'cosine' as const, minimumOverlap: 1 + (seed % 3), shrinkage: seed % 2, significance: (seed % 5) * 2 }
        const norms = rowNorms(byItem)
        const found = topProducts(byItem, byUser, { keep: 5, cosine: { rows: norms, columns: norms, ...settings } })
        expect(found).toEqual(nearestItemsPlain(byItem, byUser, settings, 5))
        const thresholds = productThresholds(byItem, byUser, { keep: 5, cosine: { rows: norms, columns: norms, ...settings } })
        cellsOf(found).forEach((row, item) => {
          const kept = row.filter(value => value > 0).sort((a, b) => b - a)
          expect(thresholds[item]).toBe(kept.length < 5 ? 0 : kept[4])
        })
      }),
      { numRuns: 40 },
    )
  })

  test('Gram matrix and Pearson correlations', () => {
    const a = randomSparse(13, 18, 5)
    const b = transpose(a)
    const rows = cellsOf(a)
    const gram = gramOf(a, b)
    const correlations = pearsonOf(a, b)
    const out = new Float64Array(13)
    const similarities = createSimilarity(a, b, { measure: 'pearson', minimumOverlap: 1, shrinkage: 0, significance: 0 })
    for (let i = 0; i < 13; i++) {
      out.fill(0)
      similarities(a.columns, a.values, out, a.offsets[i], a.offsets[i + 1])
      for (let j = 0; j < 13; j++) {
        expect(gram[i * 13 + j]).toBe(rows[i].reduce((sum, value, at) => sum + value * rows[j][at], 0))
        if (i !== j) expect(correlations[i * 13 + j]).toBeCloseTo(out[j], 6)
      }
    }
  })

  test('rows with too many entries keep the strongest', () => {
    const matrix = sparseFrom(1, 5, { rows: new Int32Array(5), columns: Int32Array.of(0, 1, 2, 3, 4), values: [1, 5, 3, 5, 2] })
    const { columns } = mostTelling(matrix, 3)
    expect([...columns]).toEqual([1, 2, 3])
    expect(mostTelling(matrix, 5)).toBe(matrix)
  })

  test('or those that are the largest share of their columns', () => {
    const matrix = sparseFrom(1, 5, { rows: new Int32Array(5), columns: Int32Array.of(0, 1, 2, 3, 4), values: [1, 5, 3, 5, 2] })
    const { columns, values } = mostTelling(matrix, 3, Float64Array.of(1, 50, 2, 5, 8))
    expect([...columns]).toEqual([0, 2, 3])
    expect([...values]).toEqual([1, 3, 5])
  })

  test('by cosine a bounded number of raters are those of whose taste an item is most', () => {
    const everything = Array.from({ length: 10 }, (_, item): [number, number] => [0, item])
    const data = interactionsOf(4, 11, [
      ...everything,
      ...everything.map(([, item]): [number, number] => [1, item]),
      [2, 0],
      [2, 10],
      [3, 0],
      [3, 10],
    ])
    const scores = new Float64Array(11)
    userCf
      .fit(data, { raters: 2 }, createRandom(1))
      .score({ items: Int32Array.of(0), values: Float32Array.of(1), times: Float64Array.of(0) }, scores)
    expect(scores[10]).toBeGreaterThan(0)
    expect(scores[5]).toBe(0)
  })
})

test('a sparse linear model ends where no weight can be bettered (Karush–Kuhn–Tucker), and knows only the items it may', () => {
  const [reg, l1] = [3, 0.7]
  const data = { ...randomRatings(5, 60, 14), kind: 'implicit' as const }
  data.values = data.values.map(() => 1)
  const n = data.itemCount
  const model = slim.fit(data, { reg, l1, epochs: 500, tolerance: 0 }, createRandom(1))
  const rows = Array.from({ length: n }, (_, item) => {
    const out = new Float64Array(n)
    model.score({ items: Int32Array.of(item), values: Float32Array.of(1), times: new Float64Array(1) }, out)
    return out
  })
  const x = cellsOf(preferences(data))
  const gram = (a: number, b: number) => x.reduce((sum, row) => sum + row[a] * row[b], 0)
  let [above, none] = [0, 0]
  for (let j = 0; j < n; j++) {
    expect(rows[j][j]).toBe(0)
    for (let a = 0; a < n; a++) {
      if (a === j) continue
      const weight = rows[a][j]
      const rest = rows.reduce((left, row, b) => left - gram(a, b) * row[j], gram(a, j))
      const slope = rest - l1 - reg * weight
      if (weight > 0) expect(Math.abs(slope)).toBeLessThan(0.002)
      else expect(slope).toBeLessThan(0.002)
      if (weight > 0) above++
      else none++
    }
  }
  expect(above).toBeGreaterThan(n)
  expect(none).toBeGreaterThan(n)
  const few = slim.fit(data, { reg, l1, items: 4 }, createRandom(1))
  const out = new Float64Array(n)
  few.score(
    { items: Int32Array.from({ length: n }, (_, item) => item), values: new Float32Array(n).fill(1), times: new Float64Array(n) },
    out,
  )
  expect(out.filter(score => score > 0).length).toBeLessThanOrEqual(4)
})

test('alternating least squares ends where the gradient of its loss is zero', () => {
  const byUser = randomSparse(12, 9, 3)
  const byItem = transpose(byUser)
  const options = { factors: 4, reg: 0.05, alpha: 0.3, nu: 1, epochs: 400, steps: 4, deviation: 0.5 }
  const { users, items } = factorise(byUser, byItem, options, createRandom(2))
  const weights = cellsOf(byUser)
  for (let item = 0; item < 9; item++) {
    const count = weights.filter(row => row[item] > 0).length
    if (count === 0) continue
    for (let k = 0; k < 4; k++) {
      let gradient = options.reg * (count + options.alpha * 12) * items[item * 4 + k]
      for (let user = 0; user < 12; user++) {
        let score = 0
        for (let l = 0; l < 4; l++) score += users[user * 4 + l] * items[item * 4 + l]
        gradient += (options.alpha * score - weights[user][item] * (1 - score)) * users[user * 4 + k]
      }
      expect(Math.abs(gradient)).toBeLessThan(0.01)
    }
  }
})

test('two steps of preconditioned conjugate gradients lose hardly anything against solving rows exactly', () => {
  const random = createRandom(6)
  const cells = Array.from({ length: 12_000 }, () => [Math.floor(400 * random.next() ** 1.6), Math.floor(300 * random.next() ** 2.2)])
  const byUser = sparseFrom(400, 300, {
    rows: Int32Array.from(cells, ([user]) => user),
    columns: Int32Array.from(cells, ([, item]) => item),
    values: cells.map(() => 1),
  })
  const weights = cellsOf(byUser)
  const options = { factors: 16, reg: 0.02, alpha: 0.1, nu: 1, epochs: 4, deviation: 0.1 }
  const loss = (steps: number) => {
    const { users, items } = factorise(byUser, transpose(byUser), { ...options, steps }, createRandom(5))
    const score = (x: Float32Array, a: number, y: Float32Array, b: number) =>
      Array.from({ length: 16 }, (_, k) => x[16 * a + k] * y[16 * b + k]).reduce((sum, each) => sum + each)
    let sum = 0
    weights.forEach((row, user) => {
      row.forEach((weight, item) => {
        const found = score(users, user, items, item)
        sum += weight * (1 - found) ** 2 + options.alpha * found ** 2
      })
      sum += options.reg * (row.filter(weight => weight > 0).length + options.alpha * 300) * score(users, user, users, user)
    })
    for (let item = 0; item < 300; item++)
      sum += options.reg * (weights.filter(row => row[item] > 0).length + options.alpha * 400) * score(items, item, items, item)
    return sum
  }
  expect(loss(2)).toBeLessThan(1.002 * loss(40))
})

test('alternating least squares gives the same bits with any number of threads, and every time', () => {
  const random = createRandom(4)
  const cells = Array.from({ length: 40_000 }, () => [random.below(3_000), random.below(1_000)])
  const byUser = sparseFrom(3_000, 1_000, {
    rows: Int32Array.from(cells, ([user]) => user),
    columns: Int32Array.from(cells, ([, item]) => item),
    values: cells.map(() => 1),
  })
  const options = { factors: 12, reg: 0.02, alpha: 0.2, nu: 1, epochs: 3, steps: 3, deviation: 0.1 }
  const factors = (threads?: number) => factorise(byUser, transpose(byUser), { ...options, threads }, createRandom(5))
  const alone = factors(1)
  for (const other of [factors(), factors(), factors()]) expect(other).toEqual(alone)
})

test('the best of all users are the best of sorting, without what was seen', () => {
  const [users, items] = [randomMatrix(300, 8, 1), randomMatrix(40, 8, 2)]
  const seen = randomSparse(300, 40, 3)
  const all = multiplyPlain(users, items, { transposeB: true })
  const marks = cellsOf(seen)
  const { items: found, scores } = recommendAll(users, items, 30, seen)
  for (let user = 0; user < 300; user++) {
    const expected = Array.from({ length: 40 }, (_, item) => item)
      .filter(item => marks[user][item] === 0)
      .sort((a, b) => all.data[user * 40 + b] - all.data[user * 40 + a])
    const list = [...found.subarray(user * 30, user * 30 + 30)]
    expect(list).toEqual(Array.from({ length: 30 }, (_, at) => expected[at] ?? -1))
    expect(scores[user * 30]).toBeCloseTo(all.data[user * 40 + expected[0]], 4)
  }
})

describe('rating prediction', () => {
  const data = randomRatings(4, 30, 20, 0.6)

  test('user Pearson neighbours, written down naively', () => {
    const predict = fitNeighbours(data, { of: 'users', similarity: 'pearson', neighbours: 3, shrinkage: 0 })
    const rows = cellsOf(preferences(data))
    const mean = (row: number[]) => row.filter(Boolean).reduce((sum, value) => sum + value, 0) / row.filter(Boolean).length
    const pearson = (a: number[], b: number[]) => {
      const both = a.flatMap((value, at) => (value && b[at] ? [[value, b[at]]] : []))
      const sum = (pick: (pair: number[]) => number) => both.reduce((total, pair) => total + pick(pair), 0)
      const n = both.length
      const spread = (n * sum(([x]) => x * x) - sum(([x]) => x) ** 2) * (n * sum(([, y]) => y * y) - sum(([, y]) => y) ** 2)
      return spread > 1e-12 ? (n * sum(([x, y]) => x * y) - sum(([x]) => x) * sum(([, y]) => y)) / Math.sqrt(spread) : 0
    }
    for (let item = 0; item < 20; item++) {
      const raters = rows
        .map((row, other) => ({ row, similarity: other === 0 ? 0 : Math.fround(pearson(rows[0], row)) }))
        .filter(({ row, similarity }) => row[item] > 0 && similarity > 0)
        .sort((a, b) => b.similarity - a.similarity)
        .slice(0, 3)
      const total = raters.reduce((sum, { similarity }) => sum + similarity, 0)
      const expected =
        mean(rows[0]) + (total > 0 ? raters.reduce((sum, { row, similarity }) => sum + similarity * (row[item] - mean(row)), 0) / total : 0)
      expect(predict(0, item)).toBeCloseTo(expected, 4)
    }
  })

  test('everybody gets a finite answer, also whom the training never saw', () => {
    const settings = { neighbours: 5, shrinkage: 100 }
    const blend = fitBlend(
      data,
      [part => fitFactors(part, { factors: 4, epochs: 5, rate: 0.01, reg: 0.1 }, createRandom(1))],
      createRandom(2),
    )
    for (const predict of [
      fitNeighbours(data, { of: 'users', similarity: 'msd', ...settings }),
      fitNeighbours(data, { of: 'items', similarity: 'pearson-baseline', ...settings }),
      fitNeighbours(data, { of: 'users', similarity: 'pearson', ...settings }),
      fitFactors(data, { factors: 4, epochs: 5, rate: 0.01, reg: 0.1 }, createRandom(1)),
      blend.predict,
    ])
      for (const user of [0, 29, 30, 999]) for (const item of [0, 19, 20, 999]) expect(Number.isFinite(predict(user, item))).toBe(true)
    const equal = interactionsOf(
      3,
      3,
      [
        [0, 0, 4],
        [1, 0, 4],
        [1, 1, 4],
        [2, 2, 4],
      ],
      'explicit',
    )
    expect(fitNeighbours(equal, { of: 'users', similarity: 'pearson-baseline', ...settings })(0, 1)).toBeCloseTo(4)
  })
})

test('an interval of the bootstrap holds the mean, and diversity is what lists differ by', () => {
  const random = createRandom(1)
  const values = Array.from({ length: 400 }, () => random.next())
  const [low, high] = bootstrap(values, 500)
  const mean = values.reduce((sum, value) => sum + value, 0) / 400
  expect(low).toBeLessThan(mean)
  expect(high).toBeGreaterThan(mean)
  expect(high - low).toBeLessThan(0.1)
  const tests = [{ scores: Float64Array.of(3, 2, 1), skip: new Uint8Array(3), relevant: new Set([0]) }]
  const report = evaluateRanking(3, new Float64Array(3), 1, tests, { alike: (a, b) => (a + b === 1 ? 1 : 0), resamples: 10 })
  expect(report.intraListDiversity).toBeCloseTo(2 / 3)
  expect([report.ndcgAt10Low, report.ndcgAt10High]).toEqual([1, 1])
})
