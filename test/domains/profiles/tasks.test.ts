import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { everybody, kMeansGroups } from '../../../src/algorithms/grouping/groups.js'
import { createRandom } from '../../../src/algorithms/math/random.js'
import { bgNbd, meanValue } from '../../../src/algorithms/value/estimators.js'
import { clusterTask, peopleOf } from '../../../src/profiles/cluster.task.js'
import { FEATURE_NAMES } from '../../../src/profiles/features.js'
import { ProfileHistory } from '../../../src/profiles/history.js'
import { lifetimeValueTask } from '../../../src/profiles/lifetime-value.task.js'
import { ProfileModels } from '../../../src/profiles/profile-models.js'
import { ProfilesRepository } from '../../../src/profiles/profiles.repository.js'
import { ProfilesService } from '../../../src/profiles/profiles.service.js'
import { propensityTask } from '../../../src/profiles/propensity.task.js'
import { createTestDatabase } from '../../support/database.js'
import { noModels, smallShop } from '../../support/small-shop.js'

const NOW = new Date('2026-06-15T10:00:00Z')
let database: Awaited<ReturnType<typeof createTestDatabase>>
let history: ProfileHistory
let shop: ReturnType<typeof smallShop>

beforeAll(async () => {
  database = await createTestDatabase()
  shop = smallShop(database, NOW)
  const repository = new ProfilesRepository(database, { currency: 'EUR', timeZone: 'UTC' })
  const profiles = new ProfilesService(repository, new ProfileModels(noModels), () => NOW)
  history = new ProfileHistory(
    repository,
    () => profiles.refreshOvertaken({ all: true }),
    () => NOW,
  )
})
afterAll(() => database.drop())

test('an empty shop teaches nothing, and its baselines still answer', async () => {
  for (const name of ['CHURN', 'PURCHASE'] as const) {
    const { data, rows } = await propensityTask(name, history).load(NOW)
    expect(rows).toBe(0)
    const [baseline] = propensityTask(name, history).algorithms
    expect(baseline.fit(data, baseline.defaults, createRandom(1)).predict({ ...data, rows: 0 })).toHaveLength(0)
  }
  const value = await lifetimeValueTask(history).load(NOW)
  expect([value.rows, meanValue.fit(value.data, {}, createRandom(1)).stranger(365).value]).toEqual([0, 0])
  const clusters = await clusterTask(history, async () => undefined).load(NOW)
  expect([clusters.rows, everybody.fit(clusters.data, {}, createRandom(1)).groups.length]).toEqual([0, 1])
})

test('where everybody does the same there is nothing to tell apart: no rows are offered', async () => {
  for (let user = 0; user < 6; user++) {
    await shop.user(`same-${user}`)
    await shop.happen([`same-${user}`, 'VIEW', 100 + user], [`same-${user}`, 'VIEW', 1])
  }
  expect((await propensityTask('PURCHASE', history).load(NOW)).rows).toBe(0)
})

test('labels come from after the moment and features from before it', async () => {
  await shop.user('gone')
  await shop.user('back')
  await shop.happen(['gone', 'VIEW', 70], ['back', 'VIEW', 70], ['back', 'PURCHASE', 20, { price: 5 }], ['gone', 'VIEW', 68])
  const later = new ProfileHistory(new ProfilesRepository(database, { currency: 'EUR', timeZone: 'UTC' }))
  const { data } = await propensityTask('CHURN', later).load(NOW)
  // Moments count back from the newest event, which is a day old: 31 and 61 days ago.
  const silent = FEATURE_NAMES.indexOf('silentDays')
  const orders = FEATURE_NAMES.indexOf('orderDays')
  for (let row = 0; row < data.rows; row++) {
    expect(data.numbers[row * FEATURE_NAMES.length + silent]).toBeGreaterThan(0)
    expect(data.numbers[row * FEATURE_NAMES.length + orders]).toBe(0)
  }
  expect(new Set(data.labels)).toEqual(new Set([0, 1]))
  expect([...(data.times ?? [])]).toEqual([...(data.times ?? [])].sort((a, b) => a - b))
})

test('groups of people with two tastes are found, named, saved and loaded', () => {
  const random = createRandom(3)
  const features = FEATURE_NAMES.map(() => Number.NaN)
  const rows = Array.from({ length: 200 }, (_, index) => ({
    features,
    categories: [
      [index % 2 === 0 ? 'Tea' : 'Tents', 20 + random.below(20)] as const,
      [index % 2 === 0 ? 'Tents' : 'Tea', random.below(4)] as const,
    ],
  }))
  const people = peopleOf(rows, ['Tea', 'Tents'])
  const model = kMeansGroups.fit(people, kMeansGroups.defaults, random)
  const groups = model.assign(people)
  expect(new Set(groups.filter((_, row) => row % 2 === 0)).size).toBe(1)
  expect(groups[0]).not.toBe(groups[1])
  expect(model.groups.map(({ en }) => en).sort()).toEqual(['Loves Tea', 'Loves Tents'])
  const loaded = kMeansGroups.load(model.save())
  expect([...loaded.assign(people)]).toEqual([...groups])
  expect(loaded.groups).toEqual(model.groups)
  expect(loaded.drift(people)).toBeLessThan(0.01)
  const moved = peopleOf(
    rows.map(row => ({ ...row, categories: [['Tea', 10] as const, ['Tents', 10] as const] })),
    ['Tea', 'Tents'],
  )
  expect(loaded.drift(moved)).toBeGreaterThan(0.5)
  // People of whom nothing is known, and a shop without categories, still have a group.
  expect(loaded.assign(peopleOf([{ features, categories: [] }], ['Tea', 'Tents']))).toHaveLength(1)
  expect(kMeansGroups.fit(peopleOf([{ features, categories: [] }], []), kMeansGroups.defaults, random).groups).toHaveLength(1)
})

test('a value model is the same after it was saved', () => {
  const customers = {
    repeats: Float64Array.of(0, 3, 9),
    recency: Float64Array.of(0, 60, 200),
    age: Float64Array.of(20, 90, 220),
    meanValue: Float64Array.of(0, 20, 35),
  }
  const sales = {
    now: customers,
    past: customers,
    days: 30,
    spent: Float64Array.of(0, 20, 70),
    orders: Float64Array.of(0, 1, 2),
    spentADay: { customer: 1, stranger: 0.1 },
    orderValue: 25,
  }
  for (const algorithm of [meanValue, bgNbd]) {
    const model = algorithm.fit(sales, algorithm.defaults, createRandom(1))
    const again = algorithm.load(model.save())
    expect([...again.values(customers, 365)]).toEqual([...model.values(customers, 365)])
    expect(again.customer(customers, 1, 365, createRandom(2))).toEqual(model.customer(customers, 1, 365, createRandom(2)))
    expect(model.stranger(10).value).toBeCloseTo(1)
    // 36.5 in a year are 1.46 orders of 25; of Poisson(1.46) 90 % lie from 0 to 4 (P(N ≤ 3) = .939, P(N ≤ 4) = .983).
    expect(model.stranger(365)).toMatchObject({ value: expect.closeTo(36.5), low: 0, high: 100 })
    expect(again.stranger(365)).toEqual(model.stranger(365))
  }
})
