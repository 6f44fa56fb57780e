import { createHash } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { adsOf, clickLogit, impressionsOf } from '../../../prisma/seed/ads.js'
import { behaviourOf, CHURN_DAYS } from '../../../prisma/seed/behaviour.js'
import { reviewsOf } from '../../../prisma/seed/words.js'
import { CATEGORIES, createWorld, isLoved, PLANTED, sigmoid, TASTES } from '../../../prisma/seed/world.js'
import { seedDemoShop } from '../../../prisma/seed.js'
import { auc } from '../../../src/algorithms/evaluate/classification.js'
import { silentLog } from '../../../src/platform/log.js'
import { createTestDatabase } from '../../support/database.js'

const SEED = 20251124
const NOW = new Date('2026-11-24T15:00:00Z')
const MIDNIGHT = Date.parse('2026-11-24T00:00:00Z')
const DAY = 86_400_000
const world = createWorld(SEED)
const events = [...behaviourOf(world, NOW)]
const options = { seed: SEED, now: NOW, log: silentLog }

let database: Awaited<ReturnType<typeof createTestDatabase>>
beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())

test('a load that is killed in the middle leaves nothing', async () => {
  await database.sql(
    'CREATE FUNCTION refuse() RETURNS trigger AS $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$ LANGUAGE plpgsql',
  )
  await database.sql('CREATE TRIGGER kill_midway BEFORE INSERT ON "AdLogEntry" FOR EACH STATEMENT EXECUTE FUNCTION refuse()')
  await expect(seedDemoShop(database, options)).rejects.toThrow()
  await database.sql('DROP TRIGGER kill_midway ON "AdLogEntry"')
  for (const table of ['User', 'Product', 'Event', 'Setting']) expect(await database.sql(`SELECT 1 FROM "${table}" LIMIT 1`)).toEqual([])
})

test('loads once, and keeps what is there the second time', async () => {
  expect(await seedDemoShop(database, options)).toBe('loaded')
  expect(await seedDemoShop(database, { ...options, seed: 1 })).toBe('kept')
  const [counts] = await database.sql<Record<string, number>>(
    `SELECT (SELECT count(*)::int FROM "User") AS users, (SELECT count(*)::int FROM "Product") AS products, (SELECT count(*)::int FROM "Event") AS events,
       (SELECT count(*)::int FROM "Event" WHERE "occurredAt" > $1) AS future, (SELECT count(*)::int FROM "FaqEntry") AS faq, (SELECT count(*)::int FROM "AdLogEntry") AS impressions,
       (SELECT count(*)::int FROM "Placement" p JOIN "PlacementVersion" v ON v."placementId" = p.id AND v.version = p.version) AS placements`,
    [NOW],
  )
  expect(counts.users).toBe(PLANTED.users + PLANTED.anonymousVisitors + PLANTED.bots)
  expect(counts.products).toBe(PLANTED.products)
  expect(counts.events).toBe(events.length)
  expect(counts).toMatchObject({ future: 0, faq: 40, impressions: 60_000, placements: 7 })
  // New rows get ids of their own after the loaded ones.
  const created = await database.prisma.user.create({ data: { externalId: 'after' } })
  expect(created.id).toBe(counts.users + 1)
})

test('a shop with users of its own is left alone', async () => {
  const own = await createTestDatabase()
  await own.prisma.user.create({ data: { externalId: 'mine' } })
  expect(await seedDemoShop(own, options)).toBe('foreign shop')
  expect(await own.prisma.user.count()).toBe(1)
  await own.drop()
})

test('is the same for the same seed, and another for another', () => {
  const digest = (seed: number) =>
    createHash('sha256')
      .update(JSON.stringify(createWorld(seed), (_, value) => (typeof value === 'bigint' ? value.toString() : value)))
      .digest('hex')
  expect(digest(SEED)).toBe(digest(SEED))
  expect(digest(SEED)).not.toBe(digest(SEED + 1))
  let again = 0
  for (const event of behaviourOf(world, NOW)) expect(event.at).toBe(events[again++].at)
})

test('two loads of one seed are the same, row by row', async () => {
  const digests = []
  for (let time = 0; time < 2; time++) {
    const empty = await createTestDatabase()
    await seedDemoShop(empty, options)
    const tables = await empty.sql<{ name: string }>(
      `SELECT relname AS name FROM pg_stat_user_tables WHERE relname NOT IN ('_prisma_migrations', 'UserChange') ORDER BY 1`,
    )
    const digest: Record<string, string | null> = {}
    for (const { name } of tables) {
      // Ids that the database itself draws, as those of transactions, and the moment of loading, are not of the seed.
      const [{ text }] = await empty.sql<{ text: string | null }>(
        `SELECT md5(string_agg((to_jsonb(t) - '{createdAt,updatedAt,receivedAt,loadedAt,learningSince}'::text[])::text, '' ORDER BY to_jsonb(t)::text COLLATE "C")) AS text FROM "${name}" t`,
      )
      if (text) digest[name] = text
    }
    digests.push(digest)
    await empty.drop()
  }
  expect(Object.keys(digests[0])).toEqual(
    expect.arrayContaining(['User', 'Product', 'Event', 'Review', 'FaqEntry', 'Campaign', 'AdLogEntry', 'Consent']),
  )
  expect(digests[1]).toEqual(digests[0])
}, 120_000)

test('is as large as it says, over a year, in two languages', () => {
  expect(events.length).toBeGreaterThan(100_000)
  const times = events.map(event => event.at)
  const [first, last] = times.reduce(([low, high], at) => [Math.min(low, at), Math.max(high, at)], [Number.POSITIVE_INFINITY, 0])
  expect(last).toBeLessThan(MIDNIGHT)
  expect((last - first) / DAY).toBeGreaterThan(350)
  const chinese = world.users.filter(user => user.isChinese).length / world.users.length
  expect(chinese).toBeGreaterThan(0.45)
  expect(chinese).toBeLessThan(0.55)
})

test('the taste groups can be seen in what their members look at', () => {
  const shares = world.users.map(() => new Float64Array(CATEGORIES.length))
  for (const { user, product } of events) if (product && user < world.users.length) shares[user][product.category]++
  const seen = world.users
    .map((user, index) => ({ user, share: shares[index], total: shares[index].reduce((sum, n) => sum + n, 0) }))
    .filter(({ total }) => total >= 10)
  const right = seen.filter(({ user, share }) => {
    const loved = TASTES.map(taste => (taste.loves as readonly number[]).reduce((sum, category) => sum + share[category], 0))
    return loved.indexOf(Math.max(...loved)) === user.taste
  })
  expect(seen.length).toBeGreaterThan(2_000)
  expect(right.length / seen.length).toBeGreaterThan(0.95)
})

test('churners do nothing in the last month, and their planted probability orders them', () => {
  const recent = new Set(events.filter(event => event.at >= MIDNIGHT - CHURN_DAYS * DAY).map(event => event.user))
  const labels = world.users.map(user => Number(user.hasChurned))
  expect(world.users.filter((user, index) => user.hasChurned && recent.has(index))).toEqual([])
  expect(
    auc(
      labels,
      world.users.map(user => user.churnProbability),
    ),
  ).toBeGreaterThan(0.75)
  const rate = labels.reduce((sum, label) => sum + label, 0) / labels.length
  expect(rate).toBeGreaterThan(0.1)
  expect(rate).toBeLessThan(0.5)
})

test('weekends and the days of 11 November stand out', () => {
  const perDay = new Map<number, number>()
  for (const { at, user } of events)
    if (user < world.users.length) perDay.set(Math.floor(at / DAY), (perDay.get(Math.floor(at / DAY)) ?? 0) + 1)
  const mean = (days: number[]) => days.reduce((sum, day) => sum + (perDay.get(day) ?? 0), 0) / days.length
  const day = (text: string) => Date.parse(`${text}T00:00:00Z`) / DAY
  expect(mean([day('2026-11-09'), day('2026-11-10'), day('2026-11-11')])).toBeGreaterThan(
    1.4 * mean([day('2026-11-16'), day('2026-11-17'), day('2026-11-18')]),
  )
  const all = [...perDay.keys()].filter(each => each > day('2026-02-01') && each < day('2026-08-01'))
  const isWeekend = (each: number) => [0, 6].includes(new Date(each * DAY).getUTCDay())
  expect(mean(all.filter(isWeekend))).toBeGreaterThan(1.2 * mean(all.filter(each => !isWeekend(each))))
})

test('clicks follow the planted coefficients, and exposure the planted bias', () => {
  const impressions = [...impressionsOf(world, adsOf(world), NOW)]
  expect(
    auc(
      impressions.map(each => Number(each.clicked)),
      impressions.map(each => each.probability),
    ),
  ).toBeGreaterThan(0.6)
  const expected = impressions.reduce((sum, each) => sum + each.probability, 0)
  const clicks = impressions.filter(each => each.clicked).length
  expect(Math.abs(clicks - expected)).toBeLessThan(4 * Math.sqrt(expected))
  const matched = (isMatch: boolean) => {
    const some = impressions.filter(each => isLoved(world.users[each.user].taste, each.ad.category) === isMatch)
    return some.filter(each => each.clicked).length / some.length
  }
  const odds = (p: number) => p / (1 - p)
  expect(Math.log(odds(matched(true)) / odds(matched(false)))).toBeCloseTo(PLANTED.ctr.tasteMatch, 0)
  expect(sigmoid(clickLogit(true, false, { device: 'mobile', position: 1, hour: 20 }))).toBeCloseTo(sigmoid(-3.2 + 1.3 + 0.3 + 0.25))
  const women = (category: string) => {
    const some = impressions.filter(each => CATEGORIES[each.ad.category][0] === category)
    return some.filter(each => world.users[each.user].gender === 'female').length / some.length
  }
  const fair = women('Books')
  const unfair = (fair * PLANTED.bias.exposureShare) / (fair * PLANTED.bias.exposureShare + 1 - fair)
  expect(women(PLANTED.bias.category)).toBeCloseTo(unfair, 1)
})

test('reviews carry their planted sentiment, and crises of three sigma and more stand out', () => {
  const reviews = reviewsOf(world, NOW)
  expect(reviews.length).toBeGreaterThan(3_000)
  const rating = (sentiment: string) => {
    const some = reviews.filter(review => review.sentiment === sentiment)
    return some.reduce((sum, review) => sum + review.rating, 0) / some.length
  }
  expect(rating('positive')).toBeGreaterThan(4.4)
  expect(rating('negative')).toBeLessThan(1.6)
  expect(world.crises).toHaveLength(10)
  for (const { category, daysAgo, days, sigma } of world.crises.filter(crisis => crisis.sigma >= 3)) {
    const from = MIDNIGHT - daysAgo * DAY
    const bad = reviews.filter(
      review =>
        review.product.category === category && review.sentiment === 'negative' && review.at >= from && review.at < from + days * DAY,
    )
    expect(bad.length).toBeGreaterThanOrEqual(sigma * days)
  }
})
