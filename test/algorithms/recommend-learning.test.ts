import { describe, expect, test } from '@jest/globals'
import { BrokenArtifact, type NumberArray, pack, unpack } from '../../src/algorithms/artifact.js'
import { createRandom } from '../../src/algorithms/math/random.js'
import { type Content, content, wordsOf } from '../../src/algorithms/recommend/content.js'
import { ease } from '../../src/algorithms/recommend/ease.js'
import { fading } from '../../src/algorithms/recommend/fading.js'
import { historiesOf, holdOutLater, holdOutUsers } from '../../src/algorithms/recommend/hold-out.js'
import { hybrid } from '../../src/algorithms/recommend/hybrid.js'
import { algorithms, fitAndEvaluate } from '../../src/algorithms/recommend/index.js'
import { onceEach, onceReader } from '../../src/algorithms/recommend/preference.js'
import type { Recommender } from '../../src/algorithms/recommend/recommender.js'
import { repeat } from '../../src/algorithms/recommend/repeat.js'
import { rerank } from '../../src/algorithms/recommend/rerank.js'
import { slim } from '../../src/algorithms/recommend/slim.js'
import { trending } from '../../src/algorithms/recommend/trending.js'
import { tune } from '../../src/algorithms/recommend/tune.js'
import { historyOf, interactionsOf, twoTastes } from '../support/worlds.js'

const DAY = 86_400_000
const random = () => createRandom(7)
const scoresOf = (model: Recommender, history = historyOf([])) => {
  const out = new Float64Array(model.itemCount)
  model.score(history, out)
  return out
}

describe('content', () => {
  const shop: Content = {
    titles: ['Red running shoes', 'Blue running shoe', '轻便跑鞋', '红色跑鞋', 'Espresso machine', 'Espresso machine', ''],
    categories: [['Shoes'], ['Shoes'], ['Shoes'], ['Shoes'], ['Kitchen'], ['Kitchen'], []],
    brands: ['Fjord', 'Fjord', '远山', '远山', 'Ember', 'Ember', null],
    prices: Float64Array.of(80, 75, 70, 90, 300, 310, Number.NaN),
  }
  const data = { ...interactionsOf(1, 7, [[0, 0]]), content: shop }
  const model = content.fit(data, {}, random())

  test('Chinese text is read by pairs of characters, Latin text by words', () => {
    expect(wordsOf('Ｔ恤 Light-weight 跑步鞋 x2')).toEqual(['t', '恤', 'light', 'weight', '跑步', '步鞋', 'x2'])
  })

  test('who likes shoes is shown shoes, in either language, and is told the terms', () => {
    const english = scoresOf(model, historyOf([[0]]))
    expect(english[1]).toBeGreaterThan(english[3])
    expect(english[3]).toBeGreaterThan(english[4])
    const chinese = scoresOf(model, historyOf([[2]]))
    expect(chinese[3]).toBeGreaterThan(chinese[0])
    expect(model.explain(historyOf([[0]]), 1)[0].terms).toEqual(expect.arrayContaining(['running']))
  })

  test('a product that came after the training is scored as it would have been in it', () => {
    const fresh = {
      titles: [shop.titles[1]],
      categories: [['Shoes']],
      brands: ['Fjord'],
      prices: Float64Array.of(75),
    }
    const history = historyOf([[0]])
    expect(model.scoreNew?.(history, fresh)[0]).toBeCloseTo(scoresOf(model, history)[1], 10)
    expect(model.scoreNew?.(historyOf([]), fresh)[0]).toBe(0)
  })

  test('two products with one title are two products, and one without a word is none', () => {
    const scores = scoresOf(model, historyOf([[4]]))
    expect(scores[5]).toBeGreaterThan(0.8)
    expect(scores[6]).toBe(0)
    expect(model.similar(4, 3).items[0]).toBe(5)
  })
})

describe('hybrid', () => {
  const data = twoTastes()
  const model = hybrid.fit(data, {}, random())

  test('its weights can be read, by amount of history, and sum to one', () => {
    expect(model.blend?.map(({ from }) => from)).toEqual([0, 1, 5, 20])
    for (const { weights } of model.blend ?? []) expect(Object.values(weights).reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(1, 3)
    expect(model.blend?.[0].weights.popularity).toBe(1)
  })

  test('every piece of evidence says whose it is', () => {
    const evidence = model.explain(historyOf([[0], [1], [2]]), 5)
    expect(evidence.length).toBeGreaterThan(0)
    expect(evidence.every(({ by }) => by !== undefined)).toBe(true)
  })

  test('without a history it says what is popular; new products go by content', () => {
    expect(scoresOf(model).some(score => score > 0)).toBe(true)
    const titles = Array.from({ length: data.itemCount }, (_, item) => (item < 20 ? `tea ${item}` : `tent ${item}`))
    const described = hybrid.fit({ ...data, content: { titles } }, { parts: 'content,popularity' }, random())
    const [tea, tent] = described.scoreNew?.(historyOf([[0], [1]]), { titles: ['tea', 'tent'] }) ?? []
    expect(tea).toBeGreaterThan(tent)
  })

  test('a part that does not exist is named', () => {
    expect(() => hybrid.fit(data, { parts: 'ease,magic' }, random())).toThrow('magic')
  })
})

test('a search keeps what is best on the validation split, within its tries, and leaves alone what is fixed', () => {
  const data = twoTastes()
  const { params, trials } = tune(ease, data, {}, random(), { tries: 3 })
  expect(trials.length).toBe(3)
  const best = Math.max(...trials.map(({ ndcgAt10 }) => ndcgAt10))
  expect(trials.find(({ ndcgAt10 }) => ndcgAt10 === best)?.params).toEqual(params)
  expect(tune(ease, data, { reg: 7 }, random()).params.reg).toBe(7)
  expect(tune(ease, interactionsOf(0, 3, []), {}, random()).trials).toEqual([])
})

test('a search for what is taken again tests that, where one for what is new has nothing to test', () => {
  const events = twoTastes()
  const again = { ...events, items: events.items.map((_, at) => events.users[at] % events.itemCount) }
  const searchable = { ...repeat, search: { halfLifeDays: [10] } }
  expect(tune(searchable, again, {}, random()).trials).toEqual([])
  expect(tune(searchable, again, {}, random(), { repeats: true }).trials[0].ndcgAt10).toBeCloseTo(1, 6)
})

describe('what fades', () => {
  const now = Date.parse('2026-01-01')
  const entries = [
    [0, 0, 300],
    [0, 1, 240],
    [1, 0, 20],
    [1, 2, 0],
    [2, 1, 60],
    [2, 3, 60],
    [3, 2, 30],
    [3, 3, 90],
  ] as const
  const aged = (weightOf: (days: number) => number) => {
    const rows = entries.map(([user, item, days]) => [user, item, weightOf(days), now - days * DAY] as const)
    return { ...interactionsOf(4, 4, rows), now }
  }
  const full = aged(() => 1)

  test('is half for every half-life, and all of what has no time, is of the future, or does not fade', () => {
    expect(fading(now - 60 * DAY, now, 60)).toBe(0.5)
    expect(fading(now - 180 * DAY, now, 60)).toBe(0.125)
    for (const [time, halfLife] of [
      [0, 60],
      [now + DAY, 60],
      [now - DAY, 0],
      [now - DAY, -3],
      [Number.NaN, 60],
    ])
      expect(fading(time, now, halfLife)).toBe(1)
  })

  test.each([ease, slim])('$name is taught by the faded weights, and reads them so, as of the newest event of a history', algorithm => {
    const settings = { reg: 0.5, l1: 0.01 }
    const model = algorithm.fit(full, { ...settings, halfLifeDays: 60 }, random())
    const plain = algorithm.fit(
      aged(days => 2 ** (-days / 60)),
      { ...settings, halfLifeDays: 0 },
      random(),
    )
    const history = { items: Int32Array.of(0, 3), values: Float32Array.of(1, 1), times: Float64Array.of(now - 500 * DAY, now - 440 * DAY) }
    const halved = { ...history, values: Float32Array.of(0.5, 1) }
    expect(scoresOf(model, history).some(score => score > 0)).toBe(true)
    expect([...scoresOf(model, history)]).toEqual([...scoresOf(plain, halved)])
    expect([...scoresOf(algorithm.load(model.save()), history)]).toEqual([...scoresOf(model, history)])
    expect([...scoresOf(algorithm.load(plain.save()), history)]).not.toEqual([...scoresOf(model, history)])
    const sum = model.explain(history, 2).reduce((total, { weight }) => total + weight, 0)
    expect(sum).toBeCloseTo(scoresOf(model, history)[2], 6)
  })

  test('a model of before there was a half-life reads everything in full', () => {
    const model = ease.fit(full, { reg: 0.5, halfLifeDays: 0 }, random())
    const { meta, arrays } = unpack('ease/1', model.save())
    const older = pack('ease/1', { meta: { itemCount: meta.itemCount, votes: meta.votes }, arrays: arrays as Record<string, NumberArray> })
    const history = { items: Int32Array.of(0, 3), values: Float32Array.of(1, 1), times: Float64Array.of(now - 500 * DAY, now) }
    expect([...scoresOf(ease.load(older), history)]).toEqual([...scoresOf(model, history)])
  })

  test('ratings do not', () => {
    const ratings = { ...full, kind: 'explicit' as const }
    const model = ease.fit(ratings, { reg: 0.5, halfLifeDays: 60 }, random())
    const never = ease.fit(ratings, { reg: 0.5, halfLifeDays: 0 }, random())
    const history = { items: Int32Array.of(0, 3), values: Float32Array.of(5, 4), times: Float64Array.of(now - 500 * DAY, now) }
    expect([...scoresOf(model, history)]).toEqual([...scoresOf(never, history)])
  })
})

test('training reports the parameters it chose and how a hybrid blends', () => {
  const request = { seed: 1, data: twoTastes() }
  const searched = fitAndEvaluate({ ...request, algorithm: 'ease', params: { reg: 300, items: 50 }, search: ['reg'] })
  expect(searched.params.items).toBe(50)
  expect(searched.notes.some(note => note.includes('validation split'))).toBe(true)
  const blended = fitAndEvaluate({ ...request, algorithm: 'hybrid', params: {} })
  expect(blended.notes.filter(note => note.startsWith('Histories from')).length).toBe(4)
})

describe('what is held out', () => {
  test('by time: it comes after all that taught, and was new to its user', () => {
    const { train, tests } = holdOutLater(twoTastes(), 0.2, 1_000, random())
    const last = train.times.reduce((latest, time) => Math.max(latest, time), 0)
    expect(train.now).toBe(last)
    expect(tests.length).toBeGreaterThan(10)
    for (const { history, relevant } of tests) for (const item of history.items) expect(relevant.has(item)).toBe(false)
  })

  test('without times: by chance, the same for the same seed, and nobody is left with nothing', () => {
    const data = { ...twoTastes(), times: new Float64Array(twoTastes().items.length) }
    const [a, b] = [holdOutLater(data, 0.3, 50, random()), holdOutLater(data, 0.3, 50, random())]
    expect(a.tests).toEqual(b.tests)
    expect(a.tests.length).toBe(50)
    expect(a.tests.every(({ history }) => history.items.length > 0)).toBe(true)
  })

  test('by user: who is tested taught nothing', () => {
    const { train, tests } = holdOutUsers(twoTastes(), 0.25, random())
    const taught = new Set(train.users)
    expect(tests.length).toBeGreaterThan(5)
    expect(tests.some(({ user }) => taught.has(user))).toBe(false)
  })
})

test('what rises now is found, what is always popular is not', () => {
  const rows: [number, number, number, number][] = []
  for (let day = 1; day <= 35; day++) for (let n = 0; n < 20; n++) rows.push([n, 0, 1, day * DAY])
  for (let n = 0; n < 30; n++) rows.push([n, 1, 1, 34 * DAY])
  const scores = scoresOf(trending.fit({ ...interactionsOf(30, 2, rows), now: 35 * DAY }, {}, random()))
  expect(scores[1]).toBeGreaterThan(10)
  expect(scores[0]).toBeLessThan(3)
})

describe('where people buy the same again', () => {
  // Everybody has three of ten goods that he buys every day, and one day in four something else.
  const rows: [number, number, number, number][] = []
  for (let day = 1; day <= 20; day++)
    for (let user = 0; user < 120; user++) {
      for (let staple = 0; staple < 3; staple++) rows.push([user, (user + 3 * staple) % 10, 1, day * DAY])
      if ((user + day) % 4 === 0) rows.push([user, 10 + ((7 * user + day) % 30), 1, day * DAY])
    }
  const data = { ...interactionsOf(120, 40, rows), now: 20 * DAY }
  const history = historiesOf(data)[5]
  const staples = [1, 5, 8]

  test.each(['hybrid', 'rerank'])('%s lists that first where it may be listed, and tells why', name => {
    const model = algorithms.find(each => each.name === name)?.fit(data, {}, random()) as Recommender
    expect(model.blend?.at(-1)?.weights.repeat).toBeGreaterThan(0)
    const { items, scores } = model.best?.(history, 3, false) ?? { items: [], scores: [] }
    expect([...items].sort((a, b) => a - b)).toEqual(staples)
    const evidence = model.explain(history, items[0])
    expect(evidence.some(({ kind, by }) => kind === 'repeat' && by === 'repeat')).toBe(true)
    expect(evidence.reduce((sum, { weight }) => sum + weight, 0)).toBeCloseTo(scores[0], 5)
  })

  test('among what is new to somebody it changes nothing', () => {
    const model = hybrid.fit(data, {}, random())
    const names = Object.keys(model.blend?.[0].weights ?? {}).filter(name => name !== 'repeat')
    const without = hybrid.fit(data, { parts: names.join(',') }, random())
    expect(model.best?.(history, 10, true).items).toEqual(without.best?.(history, 10, true).items)
  })
})

test('each pair once: at its first time, by its strongest value, and by its sum where it was taken back', () => {
  const data = interactionsOf(2, 3, [
    [0, 2, 1, 10],
    [1, 2, 3, 20],
    [0, 2, 5, 30],
    [0, 1, 5, 40],
    [0, 1, -5, 50],
    [0, 2, 1, 60],
  ])
  const { users, items, values, times } = onceEach(data)
  expect([...users.keys()].map(at => [users[at], items[at], values[at], times[at]])).toEqual([
    [0, 2, 5, 10],
    [1, 2, 3, 20],
    [0, 1, 0, 40],
  ])
  expect(onceEach({ ...data, kind: 'explicit' }).items).toEqual(data.items)
  // What one history left in the room changes nothing in how the next is read.
  const once = onceReader(5)
  const random = createRandom(8)
  for (let round = 0; round < 200; round++) {
    const items = Int32Array.from({ length: random.below(12) }, () => random.below(7) - 1)
    const history = {
      items,
      values: Float32Array.from(items, () => random.below(5) - 1 || Number.NaN),
      times: Float64Array.from(items.keys()),
    }
    const {
      items: read,
      values: worth,
      times: at,
    } = onceEach({ ...data, userCount: 1, itemCount: 5, users: new Int32Array(items.length), ...history })
    expect(once(history)).toMatchObject({ items: read, values: worth, times: at })
  }
})

test('the second stage leaves what somebody had where the blend has it, and all else behind its candidates', () => {
  const data = twoTastes()
  const state = { blend: 4, place: 0, trend: 0, common: 1, likeness: 0 }
  const first = hybrid.fit(data, {}, random())
  const bytes = pack('rerank/1', {
    meta: { itemCount: data.itemCount, depth: 5, weights: state },
    arrays: { first: first.save(), trend: new Float64Array(40), common: Float64Array.from({ length: 40 }, (_, item) => item / 40) },
  })
  const history = historyOf([[0], [1], [2]])
  const [before, after] = [scoresOf(first, history), scoresOf(rerank.load(bytes), history)]
  const candidates = first.best?.(history, 5, true).items as Int32Array
  for (let item = 0; item < 40; item++) if (!candidates.includes(item)) expect(after[item]).toBe(before[item])
  expect([...candidates].map(item => after[item])).not.toEqual([...candidates].map(item => before[item]))
  for (const values of [before, after]) {
    const own = [...candidates].map(item => values[item])
    expect(Math.max(...own)).toBeCloseTo(before[candidates[0]], 10)
    expect(Math.min(...own)).toBeCloseTo(before[candidates[4]], 10)
  }
})

test('what was bought most comes again first, what was taken back does not', () => {
  const model = repeat.fit(interactionsOf(1, 4, []), {}, random())
  const scores = scoresOf(
    model,
    historyOf([
      [2, 1],
      [1, 3],
      [2, 1],
      [3, 2],
      [3, -5],
    ]),
  )
  expect([...scores]).toEqual([0, 3, 2, 0])
})

test.each(algorithms.map(({ name }) => name))('%s refuses the bytes of another version', name => {
  const algorithm = algorithms.find(each => each.name === name)
  expect(() => algorithm?.load(pack(`${name}/999`, { meta: {}, arrays: {} }))).toThrow(BrokenArtifact)
})

test.each(algorithms.map(({ name }) => name))('%s learns from a user with very many events and an item of everybody', name => {
  const rows: [number, number, number][] = []
  for (let at = 0; at < 20_000; at++) rows.push([0, at % 300, 1])
  for (let user = 1; user < 400; user++) rows.push([user, 0, 1], [user, 1 + (user % 299), 1])
  const model = algorithms.find(each => each.name === name)?.fit(interactionsOf(400, 300, rows), {}, random()) as Recommender
  expect(scoresOf(model, historyOf([[0], [5]])).every(Number.isFinite)).toBe(true)
})
