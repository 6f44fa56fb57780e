import { describe, expect, test } from '@jest/globals'
import { BrokenArtifact, pack } from '../../src/algorithms/artifact.js'
import { createRandom } from '../../src/algorithms/math/random.js'
import { chanceAt, explored, firstProbabilities } from '../../src/algorithms/recommend/explore.js'
import { algorithms } from '../../src/algorithms/recommend/index.js'
import type { Interactions } from '../../src/algorithms/recommend/recommender.js'
import { historyOf, interactionsOf, twoTastes } from '../support/worlds.js'

const taught = (name: string, data: Interactions) => {
  const algorithm = algorithms.find(each => each.name === name)
  if (!algorithm) throw new Error(`no ${name}`)
  return { algorithm, model: algorithm.fit(data, {}, createRandom(7)) }
}

describe.each(algorithms.map(({ name }) => name))('%s', name => {
  test('stays finite when one user and one item have nearly all events', () => {
    const entries: [number, number][] = Array.from({ length: 20_000 }, (_, at) => [0, at % 40])
    for (let user = 1; user < 30; user++) entries.push([user, 0], [user, 1 + (user % 39)])
    const { model } = taught(name, interactionsOf(30, 40, entries))
    const scores = new Float64Array(40)
    model.score(historyOf([[0], [5]]), scores)
    expect(scores.every(Number.isFinite)).toBe(true)
  })

  test('similar asks for more than there are, and gets no more than there are', () => {
    const { model } = taught(name, twoTastes())
    for (const count of [0, 1, 10_000]) {
      const { items, scores } = model.similar(0, count)
      expect(items.length).toBe(scores.length)
      expect(items.length).toBeLessThanOrEqual(Math.min(count, model.itemCount - 1))
      expect(new Set(items).size).toBe(items.length)
    }
  })

  test('an artifact of another version is refused by name', () => {
    const { algorithm, model } = taught(name, twoTastes())
    const foreign = pack('item-cf/0', { meta: {}, arrays: { scores: new Float64Array(3) } })
    expect(() => algorithm.load(foreign)).toThrow(BrokenArtifact)
    expect(() => algorithm.load(model.save())).not.toThrow()
  })
})

test('two products of one title are two products, alike as can be', () => {
  const data: Interactions = {
    ...interactionsOf(2, 3, [
      [0, 0],
      [1, 1],
    ]),
    content: {
      titles: ['Green tea', 'Green tea', 'Tent'],
      descriptions: [null, null, null],
      categories: [['tea'], ['tea'], ['camping']],
      brands: [null, null, null],
      prices: Float64Array.of(3, 3, 90),
      attributes: [[], [], []],
    },
  }
  const { model } = taught('content', data)
  const { items, scores } = model.similar(0, 2)
  expect(items[0]).toBe(1)
  expect(scores[0]).toBeCloseTo(1, 5)
  expect(model.alike?.(0, 1)).toBeCloseTo(1, 5)
})

describe('chance', () => {
  test('has no say without exploration, and probabilities sum to 1 with it', () => {
    expect([...firstProbabilities([3, 1, 2], 0)]).toEqual([1, 0, 0])
    for (const exploration of [0.01, 0.2, 1]) {
      const chances = firstProbabilities([3, 1, 2], exploration)
      expect(chances.reduce((sum, chance) => sum + chance, 0)).toBeCloseTo(1, 12)
      expect(chances[0] > chances[2] && chances[2] > chances[1]).toBe(true)
    }
    expect([...firstProbabilities([5, 5], 0.3)]).toEqual([0.5, 0.5])
    expect(firstProbabilities([], 0.3)).toHaveLength(0)
  })

  test('draws each as often as it says, and keeps the others in order', () => {
    const random = createRandom(9)
    const candidates = [{ score: 3 }, { score: 2 }, { score: 1 }]
    const chances = firstProbabilities([3, 2, 1], 0.4)
    const counts = new Map<number, number>()
    for (let draw = 0; draw < 20_000; draw++) {
      const { order, chances: own } = explored(candidates, 0.4, random)
      counts.set(order[0].score, (counts.get(order[0].score) ?? 0) + 1)
      if (own[0] !== chances[candidates.indexOf(order[0])]) throw new Error('another probability than its own')
      if (order[1].score < order[2].score) throw new Error('the others changed their order')
    }
    for (const [at, { score }] of candidates.entries()) expect((counts.get(score) ?? 0) / 20_000).toBeCloseTo(chances[at], 1)
    expect(explored([], 0.4, random)).toEqual({ order: [], chances: [] })
  })

  test('says of each place how often what stands there stands there', () => {
    const random = createRandom(11)
    const candidates = [5, 4, 3, 2, 1].map(score => ({ score }))
    const counts = new Map<string, number>()
    const said = new Map<string, number>()
    for (let draw = 0; draw < 20_000; draw++) {
      const { order, chances } = explored(candidates, 0.6, random)
      for (const [place, { score }] of order.entries()) {
        const key = `${score} at ${place}`
        counts.set(key, (counts.get(key) ?? 0) + 1)
        said.set(key, chances[place])
      }
    }
    for (const [key, count] of counts) expect(count / 20_000).toBeCloseTo(said.get(key) ?? 0, 1)
    const chances = firstProbabilities([5, 4, 3, 2, 1], 0.6)
    const sum = (of: (at: number) => number) => [0, 1, 2, 3, 4, 5].reduce((total, at) => total + of(at), 0)
    for (let at = 0; at < 6; at++) {
      expect(sum(place => chanceAt(chances, at, place))).toBeCloseTo(1, 12)
      expect(sum(rank => chanceAt(chances, rank, at))).toBeCloseTo(1, 12)
    }
    expect(chanceAt([], 3, 3)).toBe(1)
  })
})
