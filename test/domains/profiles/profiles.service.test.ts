import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { FEATURE_NAMES, FEATURES } from '../../../src/profiles/features.js'
import { ProfileHistory } from '../../../src/profiles/history.js'
import { ProfileModels } from '../../../src/profiles/profile-models.js'
import { ProfilesRepository } from '../../../src/profiles/profiles.repository.js'
import { affinitiesOf, ProfilesService } from '../../../src/profiles/profiles.service.js'
import { createTestDatabase } from '../../support/database.js'
import { noModels, smallShop } from '../../support/small-shop.js'

const NOW = new Date('2026-06-15T10:00:00Z')
const DAY = 86_400_000
let now = NOW
let database: Awaited<ReturnType<typeof createTestDatabase>>
let profiles: ProfilesService
let repository: ProfilesRepository
let shop: ReturnType<typeof smallShop>

beforeAll(async () => {
  database = await createTestDatabase()
  repository = new ProfilesRepository(database, { currency: 'EUR', timeZone: 'UTC' })
  profiles = new ProfilesService(repository, new ProfileModels(noModels), () => now)
  shop = smallShop(database, NOW)
  await shop.product('tea', 'Tea', 10)
  await shop.product('tent', 'Outdoor', 200, 'Peak')
})
afterAll(() => database.drop())

async function profileOf(id: number) {
  const row = (await profiles.byIds([id])).get(id)
  if (!row) throw new Error('no profile')
  return { ...row, feature: (name: string) => row.features[FEATURE_NAMES.indexOf(name)] }
}

test('the features say what happened', async () => {
  const id = await shop.user('anna', { birthYear: 1990 })
  await shop.happen(
    ['anna', 'VIEW', 40, { product: 'tea', channel: 'mobile' }],
    ['anna', 'PURCHASE', 40, { product: 'tea', price: 10, quantity: 2 }],
    ['anna', 'VIEW', 10, { product: 'tent', channel: 'web' }],
    ['anna', 'ADD_TO_CART', 10, { product: 'tent', price: 200 }],
    ['anna', 'PURCHASE', 10, { product: 'tent', price: 150 }],
    ['anna', 'REFUND', 5, { product: 'tea', price: 10, quantity: 1 }],
    ['anna', 'RATING', 4, { product: 'tent', value: 4 }],
  )
  const anna = await profileOf(id)
  const expected: Record<string, number> = {
    recencyDays: 10,
    orderDays: 2,
    monetary: 160,
    tenureDays: 40,
    firstOrderDays: 40,
    silentDays: 4,
    averageOrderValue: 85,
    orderGapDays: 30,
    events7: 2,
    events30: 5,
    events31to90: 2,
    views30: 1,
    carts30: 1,
    orders30: 1,
    orders90: 2,
    activeDays30: 3,
    activeDays90: 4,
    activeDays91to365: 0,
    discountShare: 0.5,
    returnRate: 0.5,
    cartRate: 1 / 3,
    mobileShare: 0.5,
    ratingMean: 4,
    productsSeen: 2,
    ageYears: 36,
    // 3 active days in 40 are expected of whom nothing was known 90 days ago.
    usualActivity: (30 * 3) / 40,
    activityDrop: Math.log((4 + 2) / (3 + 2)),
    fadingEvidence: Math.log([0.2, 0.4, 0.6, 0.8].reduce((sum, share) => sum + share ** 4 * (80 / (40 + 40 * share)) ** 7, 0) / 4),
  }
  for (const [name, value] of Object.entries(expected)) expect([name, anna.feature(name)]).toEqual([name, expect.closeTo(value, 6)])
  expect(anna.feature('activityTrend')).toBeNaN()
  expect(anna.feature('reviewSentiment')).toBeNaN()
  expect(anna.monetaryMicros).toBe(160_000_000n)
  expect(anna.hours.reduce((sum, n) => sum + n, 0)).toBe(7)
  expect(anna.channels).toEqual({ mobile: 1, web: 1 })
  expect(anna.categories.map(([name]) => name)).toEqual(['Outdoor', 'Tea'])
  expect(FEATURES).toHaveLength(anna.features.length)
})

test('a user without events has a profile that claims nothing', async () => {
  const empty = await profileOf(await shop.user('nobody'))
  expect(empty.eventCount).toBe(0)
  expect(empty.features.every(Number.isNaN)).toBe(true)
  expect([empty.rfmGroup, empty.churn, empty.lifetimeValueMicros, empty.firstEventAt]).toEqual([null, null, null, null])
  expect(empty.hours).toEqual(new Array(24).fill(0))
})

test('of a user without events the age is known, if he told it', async () => {
  const { features } = await profileOf(await shop.user('newcomer', { birthYear: 1990 }))
  const known = FEATURES.flatMap(({ name }, at) => (Number.isNaN(features[at]) ? [] : [[name, features[at]]]))
  expect(known).toEqual([['ageYears', 36]])
})

test('features as of a moment know nothing that came later, and are those that serving had then', async () => {
  const id = await shop.user('time', {})
  await shop.happen(['time', 'VIEW', 50], ['time', 'PURCHASE', 45, { product: 'tea', price: 10 }])
  now = new Date(NOW.getTime() - 30 * DAY)
  const then = await profileOf(id)
  await shop.happen(['time', 'PURCHASE', 20, { product: 'tent', price: 200 }], ['time', 'VIEW', 30], ['time', 'VIEW', 1])
  const seen = (await new ProfileHistory(repository).at(now, 30)).filter(({ user }) => user === id)
  now = NOW
  expect(seen).toEqual([{ user: id, features: Float64Array.from(then.features), later: { events: 3, orders: 1, amount: 200 } }])
})

test('pre-processing is visible: duplicates, outliers, other currencies, missing prices, the future', async () => {
  const id = await shop.user('messy')
  await shop.happen(
    ['messy', 'PURCHASE', 3, { product: 'tea', price: 10 }],
    ['messy', 'PURCHASE', 3, { product: 'tea', price: 10 }],
    ['messy', 'PURCHASE', 2, { product: 'tea', price: 5_000 }],
    ['messy', 'PURCHASE', 1, { product: 'tea', price: 99, currency: 'USD' }],
    ['messy', 'PURCHASE', 1, { product: 'tea' }],
    ['messy', 'VIEW', -0.5],
  )
  await repository.keepMeasures({ ...(await profiles.currentMeasures()), outlierMicros: 100e6 })
  const fresh = new ProfilesService(repository, new ProfileModels(noModels), () => now)
  const [messy] = await fresh.refresh([id])
  expect(messy.leftOut).toEqual({
    repeatedInOneMillisecond: 1,
    amountsCutToTheOutlierLimit: 1,
    otherCurrencies: 1,
    ordersWithoutPrice: 1,
    fromTheFuture: 1,
  })
  expect(messy.monetaryMicros).toBe(110_000_000n)
  expect(messy.lastEventAt?.getTime()).toBe(NOW.getTime() - DAY)
})

test('somebody who clicks faster than a hand is a bot, and teaches nothing', async () => {
  const id = await shop.user('crawler')
  await database.sql(
    `INSERT INTO "Event" ("messageId", "userId", type, "occurredAt") SELECT 'bot' || n, $1, 'VIEW', $2::timestamptz - n * interval '1 second' FROM generate_series(1, 400) AS n`,
    [id, NOW],
  )
  expect((await profileOf(id)).isBot).toBe(true)
  const taught: number[] = []
  await repository.stored(user => void taught.push(user))
  expect(taught).not.toContain(id)
  expect(taught.length).toBeGreaterThan(0)
})

test('of a user with more events than a person makes, the newest count', async () => {
  const id = await shop.user('million')
  await database.sql(
    `INSERT INTO "Event" ("messageId", "userId", type, "occurredAt") SELECT 'many' || n, $1, 'VIEW', $2::timestamptz - n * interval '10 minutes' FROM generate_series(1, 25000) AS n`,
    [id, NOW],
  )
  const row = await profileOf(id)
  expect(row.eventCount).toBe(25_000)
  expect(row.leftOut).toEqual({ olderThanTheNewest20000: 5_000 })
})

test('days and hours are those of the user', async () => {
  const id = await shop.user('shanghai', { timeZone: 'Asia/Shanghai' })
  // 18:00 UTC on the 14th is 02:00 on the 15th in Shanghai, 08:00 UTC on the 15th is 16:00.
  await shop.happen(
    ['shanghai', 'PURCHASE', 16 / 24, { product: 'tea', price: 1 }],
    ['shanghai', 'PURCHASE', 2 / 24, { product: 'tea', price: 1 }],
  )
  const row = await profileOf(id)
  expect(row.orderDays).toBe(1)
  expect([row.hours[2], row.hours[16]]).toEqual([1, 1])
})

test('who refuses profiling has no profile, and an old one goes', async () => {
  const id = await shop.user('private')
  await shop.happen(['private', 'VIEW', 1])
  await profileOf(id)
  await database.sql(`INSERT INTO "Consent" ("userId", purpose, granted, at, source) VALUES ($1, 'PROFILING', false, $2, 'test')`, [
    id,
    NOW,
  ])
  expect((await profiles.byIds([id])).get(id)).toBeUndefined()
  expect(await profiles.refresh([id])).toEqual([])
  expect(await database.sql('SELECT 1 FROM "UserProfile" WHERE "userId" = $1', [id])).toEqual([])
})

test('a profile is refreshed at the next read after an event, and not otherwise', async () => {
  const id = await shop.user('reader')
  await shop.happen(['reader', 'VIEW', 3])
  const first = await profileOf(id)
  now = new Date(NOW.getTime() + 60_000)
  expect((await profileOf(id)).refreshedAt).toEqual(first.refreshedAt)
  await shop.happen(['reader', 'PURCHASE', 1, { product: 'tea', price: 10 }])
  const second = await profileOf(id)
  expect([second.refreshedAt, second.orderDays, second.eventCount]).toEqual([now, 1, 2])
  now = NOW
})

test('a run refreshes whom events or facts have overtaken since the last one, and nobody else', async () => {
  await profiles.refreshOvertaken()
  expect(await profiles.refreshOvertaken()).toBe(0)
  const id = await shop.user('late')
  await shop.happen(['late', 'VIEW', 1], ['anna', 'VIEW', 0.1])
  expect(await profiles.refreshOvertaken()).toBe(2)
  // Events that arrive late, with times of long ago, are found all the same: by what the state says, not by their times.
  await shop.happen(['anna', 'VIEW', 300])
  expect(await profiles.refreshOvertaken()).toBe(1)
  expect(await profiles.refreshOvertaken()).toBe(0)
  await database.sql(`UPDATE "User" SET "birthYear" = 2000, version = version + 1, "updatedAt" = $2 WHERE id = $1`, [id, NOW])
  expect(await profiles.refreshOvertaken()).toBe(1)
  expect((await profileOf(id)).feature('ageYears')).toBe(26)
  now = NOW
})

test('events of a statement that took minutes are found by the next look at all', async () => {
  const id = await shop.user('patient')
  await shop.happen(['patient', 'VIEW', 2])
  await profiles.refreshOvertaken()
  await shop.happen(['patient', 'VIEW', 1])
  await database.sql(`UPDATE "User" SET "updatedAt" = $2::timestamptz - interval '2 minutes' WHERE id = $1`, [id, NOW])
  await database.sql(`UPDATE "Event" SET "receivedAt" = $2::timestamptz - interval '2 minutes' WHERE "userId" = $1`, [id, NOW])
  now = new Date(NOW.getTime() + 20_000)
  expect(await profiles.refreshOvertaken()).toBe(0)
  now = new Date(NOW.getTime() + 60_000)
  expect(await profiles.refreshOvertaken()).toBe(1)
  now = NOW
})

test('a review that was read is known to the next run and the next read', async () => {
  const id = await shop.user('critic')
  await shop.happen(['critic', 'VIEW', 1])
  await database.sql(`INSERT INTO "Review" (id, "userId", text, locale, "createdAt") VALUES ('r-critic', $1, 'Fine', 'en', $2)`, [
    id,
    new Date(NOW.getTime() - DAY),
  ])
  expect((await profileOf(id)).feature('reviewSentiment')).toBeNaN()
  now = new Date(NOW.getTime() + 3_600_000)
  await profiles.refreshOvertaken()
  await database.sql(`UPDATE "Review" SET sentiment = 'POSITIVE', "analysedAt" = $1 WHERE id = 'r-critic'`, [now])
  now = new Date(NOW.getTime() + 3_700_000)
  expect(await profiles.refreshOvertaken()).toBe(1)
  expect((await profileOf(id)).feature('reviewSentiment')).toBe(1)
  now = NOW
})

test('who ordered last at the same time has the same recency score, whenever the profile was made', async () => {
  const buyers = await Promise.all([1, 2, 3, 4, 5].map(n => shop.user(`twin-${n}`)))
  await shop.happen(...[1, 2, 3, 4, 5].map(n => [`twin-${n}`, 'PURCHASE', 7 * n, { product: 'tea', price: 10 }] as const))
  const twin = await shop.user('twin-of-3')
  await shop.happen(['twin-of-3', 'PURCHASE', 21, { product: 'tea', price: 10 }])
  await profiles.refreshOvertaken()
  await profiles.learnMeasures()
  const [early] = await profiles.refresh([buyers[2]])
  now = new Date(NOW.getTime() + 20 * DAY)
  const [late] = await profiles.refresh([twin])
  expect(late.recencyScore).toBe(early.recencyScore)
  // Who ordered after the cuts were learned is as recent as can be.
  await shop.happen(['twin-5', 'PURCHASE', -19, { product: 'tea', price: 10 }])
  expect((await profiles.refresh([buyers[4]]))[0].recencyScore).toBe(5)
  now = NOW
})

test('a clock that runs backwards loses nothing', async () => {
  await profiles.refreshOvertaken()
  now = new Date(NOW.getTime() - 60 * DAY)
  await shop.happen(['anna', 'VIEW', 70])
  expect(await profiles.refreshOvertaken()).toBeGreaterThan(0)
  now = NOW
  expect(
    (await profileOf((await database.sql<{ id: number }>(`SELECT id FROM "User" WHERE "externalId" = 'anna'`))[0].id)).eventCount,
  ).toBe(10)
})

test('little evidence makes no strong taste', () => {
  const shares = { Tea: 0.5, Outdoor: 0.1 }
  const [strong] = affinitiesOf([['Outdoor', 100]], shares)
  const [weak] = affinitiesOf([['Outdoor', 1]], shares)
  expect(strong.weight).toBeGreaterThan(0.95)
  expect(weak.weight).toBeLessThan(0.3)
  expect(affinitiesOf([], shares)).toEqual([])
})
