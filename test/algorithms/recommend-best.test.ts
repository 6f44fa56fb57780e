import { describe, expect, test } from '@jest/globals'
import { createRandom } from '../../src/algorithms/math/random.js'
import type { Content } from '../../src/algorithms/recommend/content.js'
import { algorithms } from '../../src/algorithms/recommend/index.js'
import type { History, Interactions } from '../../src/algorithms/recommend/recommender.js'
import { historyOf, interactionsOf } from '../support/worlds.js'

const ITEMS = 2_400
const USERS = 600
const DEPARTMENT = 80
const WORDS = ['cup', 'pot', 'tea', 'tent', 'rope', 'lamp', 'shoe', 'coat', 'desk', 'bowl', 'fork', 'drum', '茶壶', '帐篷', '台灯']

/** A shop of thirty departments, in which products have words, brands and prices in common across them. */
const shop = (): Interactions & { content: Content } => {
  const random = createRandom(5)
  const word = () => WORDS[random.below(WORDS.length)]
  const content: Content = {
    titles: Array.from({ length: ITEMS }, (_, item) => `${word()} ${word()} no ${item % 700}`),
    descriptions: Array.from({ length: ITEMS }, (_, item) => (item % 3 === 0 ? `${word()} ${word()} ${word()} of ${item % 41}` : null)),
    categories: Array.from({ length: ITEMS }, (_, item) =>
      item % 50 === 7 ? [] : [`department ${Math.floor(item / DEPARTMENT)}`, `floor ${Math.floor(item / 400)}`],
    ),
    brands: Array.from({ length: ITEMS }, (_, item) => (item % 5 === 0 ? null : `brand ${item % 37}`)),
    prices: Float64Array.from({ length: ITEMS }, () => 1 + random.below(300)),
    attributes: Array.from({ length: ITEMS }, (_, item) => [`colour=${item % 9}`, `size=${item % 4}`]),
  }
  const rows: [number, number, number, number][] = []
  for (let user = 0; user < USERS; user++)
    for (let event = 0; event < 4 + random.below(30); event++) {
      const own = (user % 30) * DEPARTMENT + Math.floor(DEPARTMENT * random.next() ** 1.5)
      const item = random.next() < 0.8 ? own : Math.floor(ITEMS * random.next() ** 2)
      rows.push([user, Math.min(ITEMS - 1, item), 1 + random.below(5), 1 + random.below(1_000_000)])
    }
  return { ...interactionsOf(USERS, ITEMS, rows), content }
}

const PARAMS: Record<string, Record<string, number | string>> = {
  ease: { items: 700 },
  slim: { items: 700 },
  ials: { factors: 16, epochs: 3 },
  hybrid: { 'ease.items': 700, 'slim.items': 700, 'ials.factors': 16, 'ials.epochs': 3, validationUsers: 200 },
  rerank: { 'ease.items': 700, 'slim.items': 700, 'ials.factors': 16, 'ials.epochs': 3, validationUsers: 200 },
}

describe('the best of many items without a look at every item', () => {
  const data = shop()
  const random = createRandom(11)
  const sized = (length: number): History =>
    historyOf(Array.from({ length }, () => [Math.floor(ITEMS * random.next() ** (1 + random.below(3))), 1 + random.below(9)] as const))
  const histories = [0, 1, 1, 2, 3, 5, 8, 13, 21, 60, 300].map(sized)

  test.each(algorithms.map(({ name }) => name))(
    '%s ranks as by its scores, to the last bit',
    name => {
      const algorithm = algorithms.find(each => each.name === name)
      const model = algorithm?.fit(data, { ...algorithm.defaults, ...PARAMS[name] }, createRandom(7))
      if (!model?.best || !model.scoreOf) throw new Error(`${name} has no best`)
      const scores = new Float64Array(ITEMS)
      for (const history of histories) {
        model.score(history, scores)
        const had = new Set(history.items)
        for (const [count, without] of [
          [1, true],
          [26, true],
          [26, false],
          [400, true],
        ] as const) {
          const expected = [...scores.keys()]
            .filter(item => scores[item] > 0 && !(without && had.has(item)))
            .sort((a, b) => scores[b] - scores[a] || a - b)
            .slice(0, count)
          const ranking = model.best(history, count, without)
          expect([...ranking.items].slice(0, expected.length)).toEqual(expected)
          expect([...ranking.scores]).toEqual([...ranking.items].map(item => scores[item]))
        }
        const some = Int32Array.from({ length: 50 }, () => random.below(ITEMS))
        expect([...model.scoreOf(history, some)]).toEqual([...some].map(item => scores[item]))
      }
    },
    120_000,
  )
})
