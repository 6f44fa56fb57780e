import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { BrokenArtifact } from '../../src/algorithms/artifact.js'
import { createRandom } from '../../src/algorithms/math/random.js'
import { algorithms, evaluate, split } from '../../src/algorithms/recommend/index.js'
import type { Interactions, Recommender } from '../../src/algorithms/recommend/recommender.js'
import { historyOf, interactionsOf, randomRatings, twoTastes } from '../support/worlds.js'

const taught = (name: string, data: Interactions, params = {}): Recommender => {
  const algorithm = algorithms.find(each => each.name === name)
  if (!algorithm) throw new Error(`no ${name}`)
  return algorithm.fit(data, params, createRandom(7))
}
const scoresOf = (model: Recommender, history = historyOf([])) => {
  const out = new Float64Array(model.itemCount)
  model.score(history, out)
  return out
}

const worlds: [string, Interactions][] = [
  ['two tastes', twoTastes()],
  ['ratings', randomRatings(3)],
  [
    'all ratings equal',
    interactionsOf(
      4,
      4,
      [
        [0, 0, 3],
        [0, 1, 3],
        [1, 0, 3],
        [1, 2, 3],
        [2, 1, 3],
        [3, 3, 3],
      ],
      'explicit',
    ),
  ],
  [
    'one item',
    interactionsOf(3, 1, [
      [0, 0],
      [1, 0],
      [2, 0],
    ]),
  ],
  ['nobody', interactionsOf(0, 5, [])],
  [
    'duplicates',
    interactionsOf(2, 3, [
      [0, 1],
      [0, 1],
      [0, 1],
      [1, 2],
      [1, 1],
    ]),
  ],
  [
    'negative and zero weights',
    interactionsOf(2, 3, [
      [0, 0, -5],
      [0, 1, 0],
      [1, 1, 2],
      [1, 2, 1],
      [0, 2, 4],
    ]),
  ],
]

// Every recommender passes this; a new one is contract-tested by being in the list.
describe.each(algorithms.map(({ name }) => name))('%s keeps the contract', name => {
  describe.each(worlds)('in the world "%s"', (_, data) => {
    const model = taught(name, data)
    const histories = [
      historyOf([]),
      historyOf([[0]]),
      historyOf([
        [0, 5],
        [1, 1],
        [0, 2],
      ]),
      historyOf([[999], [-1], [0, Number.NaN]]),
      historyOf(Array.from({ length: 5_000 }, (_, at) => [at % Math.max(1, data.itemCount), 1 + (at % 5)])),
    ]

    test('scores are finite for every history, known or not, empty or huge', () => {
      for (const history of histories) expect(scoresOf(model, history).every(Number.isFinite)).toBe(true)
      expect(model.itemCount).toBe(data.itemCount)
    })

    test('the same data, parameters and seed give the same bytes', () => {
      expect(Buffer.compare(taught(name, data).save(), model.save())).toBe(0)
    })

    test('what was saved answers exactly as what saved it', () => {
      const loaded = algorithms.find(each => each.name === name)?.load(model.save()) as Recommender
      for (const history of histories) {
        expect(scoresOf(loaded, history)).toEqual(scoresOf(model, history))
        for (let item = 0; item < data.itemCount; item++) expect(loaded.explain(history, item)).toEqual(model.explain(history, item))
      }
    })

    test('the parts of an explanation sum to the score', () => {
      for (const history of histories) {
        const scores = scoresOf(model, history)
        for (let item = 0; item < data.itemCount; item++) {
          const sum = model.explain(history, item).reduce((total, { weight }) => total + weight, 0)
          // The item itself is no evidence for itself, so only items that are not in the history are compared.
          if (!history.items.includes(item)) expect(sum).toBeCloseTo(scores[item], 5)
        }
      }
    })

    test('predict says what score says', () => {
      for (const history of histories.slice(0, 3)) {
        const scores = scoresOf(model, history)
        for (let item = 0; item < data.itemCount; item++)
          if (!history.items.includes(item)) expect(model.predict(history, item)).toBeCloseTo(scores[item], 5)
      }
    })

    test('the best items are those of the highest scores', () => {
      for (const history of histories) {
        for (const without of [true, false]) {
          const ranking = model.best?.(history, 3, without)
          if (!ranking) continue
          const scores = scoresOf(model, history)
          const had = without ? [...history.items] : []
          const expected = [...scores.keys()].filter(item => !had.includes(item)).sort((a, b) => scores[b] - scores[a] || a - b)
          const positive = expected.filter(item => scores[item] > 0).slice(0, 3)
          expect([...ranking.items].slice(0, positive.length)).toEqual(positive)
          expect([...ranking.scores]).toEqual([...ranking.items].map(item => scores[item]))
          expect(new Set(ranking.items).size).toBe(ranking.items.length)
        }
      }
    })

    test('similar items are sorted, without the item itself, and no more than asked', () => {
      for (let item = -1; item <= data.itemCount; item++) {
        const { items, scores } = model.similar(item, 3)
        expect(items.length).toBeLessThanOrEqual(3)
        expect(items.includes(item)).toBe(false)
        expect([...scores]).toEqual([...scores].sort((a, b) => b - a))
      }
    })
  })

  test('truncated and foreign bytes are refused', () => {
    const algorithm = algorithms.find(each => each.name === name)
    const bytes = taught(name, twoTastes()).save()
    expect(() => algorithm?.load(bytes.slice(0, bytes.length - 9))).toThrow(BrokenArtifact)
    expect(() => algorithm?.load(bytes.slice(0, 20))).toThrow(BrokenArtifact)
    expect(() => algorithm?.load(new Uint8Array(100))).toThrow(BrokenArtifact)
  })
})

test.each(['item-cf', 'user-cf'])('%s finds the own taste where popularity cannot', name => {
  const data = twoTastes()
  const { train, test: later } = split(data)
  const own = evaluate(taught(name, train), train, later)
  const popular = evaluate(taught('popularity', train), train, later)
  expect(own.ndcgAt10).toBeGreaterThan(popular.ndcgAt10 * 1.2)
  const scores = scoresOf(taught(name, data), historyOf([[0], [1], [2]]))
  const mean = (from: number) => scores.slice(from, from + 20).reduce((sum, score) => sum + score, 0)
  expect(mean(0)).toBeGreaterThan(4 * mean(20))
})

test('popularity halves in its half-life, and knows no future', () => {
  const DAY = 86_400_000
  const data = {
    ...interactionsOf(1, 3, [
      [0, 0, 1, 100 * DAY],
      [0, 1, 1, 70 * DAY],
      [0, 2, 1, 40 * DAY],
    ]),
    now: 100 * DAY,
  }
  expect([...scoresOf(taught('popularity', data, { halfLifeDays: 30 }))]).toEqual([1, 0.5, 0.25])
})

describe('agrees with the formula, written down naively', () => {
  const seeds = fc.integer({ min: 1, max: 10_000 })

  test('user–user Pearson over co-rated items', () => {
    fc.assert(
      fc.property(seeds, seed => {
        const data = randomRatings(seed)
        const model = taught('user-cf', data, { neighbours: 3 })
        const matrix = matrixOf(data)
        const user = 0
        const history = historyOf(matrix[user].flatMap((value, item) => (value > 0 ? [[item, value] as const] : [])))
        const rated = matrix[user].filter(value => value > 0)
        const mean = (row: number[]) =>
          row.filter(value => value > 0).reduce((sum, value) => sum + value, 0) / row.filter(value => value > 0).length
        for (let item = 0; item < data.itemCount; item++) {
          if (matrix[user][item] > 0 || rated.length === 0) continue
          const raters = matrix
            .map((row, other) => ({ row, similarity: other === user ? 0 : pearson(matrix[user], row) }))
            .filter(({ row, similarity }) => row[item] > 0 && similarity > 0)
            .sort((a, b) => b.similarity - a.similarity)
            .slice(0, 3)
          const total = raters.reduce((sum, { similarity }) => sum + similarity, 0)
          const expected =
            mean(matrix[user]) +
            (total > 0 ? raters.reduce((sum, { row, similarity }) => sum + similarity * (row[item] - mean(row)), 0) / total : 0)
          expect(model.predict(history, item)).toBeCloseTo(expected, 6)
        }
      }),
      { numRuns: 40 },
    )
  })

  test.each([
    { minimumOverlap: 1, shrinkage: 0, significance: 0 },
    { minimumOverlap: 3, shrinkage: 0, significance: 0 },
    { minimumOverlap: 1, shrinkage: 4, significance: 0 },
    { minimumOverlap: 2, shrinkage: 0, significance: 5 },
  ])('item–item and user–user Pearson with the guards %j', guards => {
    const guarded = (a: number[], b: number[]) => {
      const n = a.filter((value, at) => value > 0 && b[at] > 0).length
      const weight =
        (n / (n + guards.shrinkage || 1)) * (guards.significance > 0 ? Math.min(n, guards.significance) / guards.significance : 1)
      return n < guards.minimumOverlap ? 0 : pearson(a, b) * weight
    }
    const mean = (rated: number[]) => rated.reduce((sum, value) => sum + value, 0) / rated.length
    const known = (row: number[]) => row.filter(value => value > 0)
    fc.assert(
      fc.property(seeds, seed => {
        const data = randomRatings(seed)
        const matrix = matrixOf(data)
        const column = (item: number) => matrix.map(row => row[item])
        const [own] = matrix
        const history = historyOf(own.flatMap((value, item) => (value > 0 ? [[item, value] as const] : [])))
        const byItems = taught('item-cf', data, { neighbours: 3, ...guards })
        const byUsers = taught('user-cf', data, { neighbours: 3, ...guards })
        const centred = (base: number, near: { similarity: number; deviation: number }[]) => {
          const best = near
            .filter(({ similarity }) => similarity > 0)
            .sort((a, b) => b.similarity - a.similarity)
            .slice(0, 3)
          const total = best.reduce((sum, { similarity }) => sum + similarity, 0)
          return base + (total > 0 ? best.reduce((sum, { similarity, deviation }) => sum + similarity * deviation, 0) / total : 0)
        }
        for (let item = 0; item < data.itemCount; item++) {
          if (own[item] > 0 || known(own).length === 0 || known(column(item)).length === 0) continue
          const items = own.flatMap((value, other) =>
            value > 0 ? [{ similarity: guarded(column(item), column(other)), deviation: value - mean(known(column(other))) }] : [],
          )
          expect(byItems.predict(history, item)).toBeCloseTo(centred(mean(known(column(item))), items), 6)
          const users = matrix
            .slice(1)
            .flatMap(row => (row[item] > 0 ? [{ similarity: guarded(own, row), deviation: row[item] - mean(known(row)) }] : []))
          expect(byUsers.predict(history, item)).toBeCloseTo(centred(mean(known(own)), users), 6)
        }
      }),
      { numRuns: 25 },
    )
  })

  test('item–item cosine with its nearest neighbours', () => {
    fc.assert(
      fc.property(seeds, seed => {
        const data = { ...randomRatings(seed), kind: 'implicit' as const }
        data.values = data.values.map(() => 1)
        const model = taught('item-cf', data, { neighbours: 4 })
        const matrix = matrixOf(data)
        const column = (item: number) => matrix.map(row => row[item])
        // A millionth in the denominator makes of equal cosines the one that more speaks for the larger.
        const cosine = (a: number[], b: number[]) => dot(a, b) / (Math.sqrt(dot(a, a) * dot(b, b)) + 1e-6)
        const history = historyOf([[0], [1]])
        const scores = scoresOf(model, history)
        for (let item = 2; item < data.itemCount; item++) {
          const similarities = Array.from({ length: data.itemCount }, (_, other) =>
            other === item ? 0 : cosine(column(item), column(other)),
          )
          const least = [...similarities].sort((a, b) => b - a)[3]
          // Which of two equal ones is the nearer is not defined.
          const certain = [0, 1].every(other => Math.abs(similarities[other] - least) > 1e-9)
          const expected = [0, 1].reduce((sum, other) => sum + (similarities[other] > least ? similarities[other] : 0), 0)
          if (certain) expect(scores[item]).toBeCloseTo(expected, 9)
        }
      }),
      { numRuns: 40 },
    )
  })
})

function matrixOf({ userCount, itemCount, users, items, values }: Interactions): number[][] {
  const matrix = Array.from({ length: userCount }, () => new Array<number>(itemCount).fill(0))
  for (let at = 0; at < users.length; at++) matrix[users[at]][items[at]] = values[at]
  return matrix
}

function pearson(a: number[], b: number[]): number {
  const both = a.flatMap((value, at) => (value > 0 && b[at] > 0 ? [[value, b[at]]] : []))
  const n = both.length
  const sum = (pick: (pair: number[]) => number) => both.reduce((total, pair) => total + pick(pair), 0)
  const spread = (n * sum(([x]) => x * x) - sum(([x]) => x) ** 2) * (n * sum(([, y]) => y * y) - sum(([, y]) => y) ** 2)
  return spread > 1e-12 ? (n * sum(([x, y]) => x * y) - sum(([x]) => x) * sum(([, y]) => y)) / Math.sqrt(spread) : 0
}

const dot = (a: number[], b: number[]) => a.reduce((sum, value, at) => sum + value * b[at], 0)
