import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { scopesOf } from '../../../src/graphql/auth.js'
import type { Context } from '../../../src/graphql/context.js'
import { encodeId } from '../../../src/graphql/node-id.js'
import { ProfileModels } from '../../../src/profiles/profile-models.js'
import { ProfilesRepository } from '../../../src/profiles/profiles.repository.js'
import { ProfilesService } from '../../../src/profiles/profiles.service.js'
import { SegmentsRepository } from '../../../src/segments/segments.repository.js'
import type { SegmentType } from '../../../src/segments/segments.schema.js'
import { SegmentsService } from '../../../src/segments/segments.service.js'
import { UsersRepository } from '../../../src/users/users.repository.js'
import { UsersService } from '../../../src/users/users.service.js'
import { statementsOf } from '../../support/count-queries.js'
import { createTestDatabase } from '../../support/database.js'
import { localSignals } from '../../support/local-signals.js'
import { noModels, smallShop } from '../../support/small-shop.js'

const NOW = new Date('2026-06-15T10:00:00Z')
const HOUR = 3_600_000
const viewer = { name: 'tester', scopes: new Set(scopesOf.admin) }
let now = NOW
let database: Awaited<ReturnType<typeof createTestDatabase>>
let profiles: ProfilesService
let segments: SegmentsService
let shop: ReturnType<typeof smallShop>
const ids: Record<string, number> = {}

beforeAll(async () => {
  database = await createTestDatabase()
  profiles = new ProfilesService(
    new ProfilesRepository(database, { currency: 'EUR', timeZone: 'UTC' }),
    new ProfileModels(noModels),
    () => now,
  )
  const users = new UsersService(new UsersRepository(database))
  segments = new SegmentsService(new SegmentsRepository(database, 'UTC'), users, profiles, localSignals(), () => now)
  shop = smallShop(database, NOW)
  await shop.product('tea', 'Tea', 10, 'Leaf')
  await shop.product('tent', 'Outdoor', 200, 'Peak')
  ids.anna = await shop.user('anna', { country: 'DE', birthYear: 1990, traits: JSON.stringify({ plan: 'gold', seats: 3 }) })
  ids.bo = await shop.user('bo', { country: 'CN', timeZone: 'Asia/Shanghai', traits: JSON.stringify({ plan: 'free', seats: '3' }) })
  ids.cy = await shop.user('cy', { anonymous: true })
  ids.di = await shop.user('di', { country: 'DE' })
  await shop.happen(
    ['anna', 'VIEW', 40, { product: 'tea' }],
    ['anna', 'PURCHASE', 40, { product: 'tea', price: 10 }],
    ['anna', 'PURCHASE', 3, { product: 'tent', price: 200 }],
    ['bo', 'ADD_TO_CART', 2, { product: 'tent', price: 200 }],
    ['bo', 'CUSTOM', 2, { event: 'signup' }],
    // 18:00 UTC yesterday is 02:00 today in Shanghai.
    ['bo', 'VIEW', 16 / 24, { product: 'tea' }],
    ['cy', 'ADD_TO_CART', 2, { product: 'tea', price: 10 }],
    ['cy', 'PURCHASE', 1.99, { product: 'tea', price: 10 }],
  )
  await profiles.refreshOvertaken()
  await segments.followWaiting()
})
afterAll(() => database.drop())

async function create(ruleJson: unknown, name = 'a segment'): Promise<SegmentType> {
  const segment = await segments.create(viewer, { name, ruleJson })
  await segments.evaluateDue()
  return (await segments.find(segment.key)) as SegmentType
}

async function namesOf(segment: { key: string }, asOf?: Date): Promise<string[]> {
  return (await segments.members(segment.key, { first: 100, asOf })).nodes.map(user => user.externalId)
}

async function lagOf(segment: { key: string }): Promise<number | null> {
  const request = { loader: (_: string, create: () => unknown) => create() } as unknown as Context
  return segments.lagSeconds(request, (await segments.find(segment.key)) as SegmentType)
}

describe('a clause finds whom it says', () => {
  test.each([
    [{ trait: { name: 'country', op: 'EQ', value: 'DE' } }, 'anna di'],
    [{ trait: { name: 'country', op: 'NE', value: 'DE' } }, 'bo'],
    [{ trait: { name: 'country', op: 'IN', values: ['CN', 'FR'] } }, 'bo'],
    [{ not: { trait: { name: 'country', op: 'EXISTS' } } }, 'cy'],
    [{ trait: { name: 'anonymous', op: 'EQ', value: true } }, 'cy'],
    [{ trait: { name: 'birthYear', op: 'LT', value: 2000 } }, 'anna'],
    [{ trait: { name: 'traits.plan', op: 'EQ', value: 'gold' } }, 'anna'],
    [{ trait: { name: 'traits.seats', op: 'GTE', value: 3 } }, 'anna'],
    [{ trait: { name: 'traits.plan', op: 'IN', values: ['free', 'gold'] } }, 'anna bo'],
    [{ trait: { name: 'lastOrderAt', op: 'GT', daysAgo: 2.5 } }, 'cy'],
    [{ feature: { name: 'monetary', op: 'GT', value: 100 } }, 'anna'],
    [{ feature: { name: 'recencyDays', op: 'LTE', value: 3 } }, 'anna cy'],
    [{ feature: { name: 'recencyDays', op: 'EXISTS' } }, 'anna cy'],
    [{ feature: { name: 'monetary', per: 'orderDays', op: 'GT', value: 50 } }, 'anna'],
    [{ did: { type: 'PURCHASE', atLeast: 2 } }, 'anna'],
    [{ did: { type: 'PURCHASE', atLeast: 1, withinDays: 2.5 } }, 'cy'],
    [{ did: { type: 'PURCHASE', atMost: 0 } }, 'bo di'],
    [{ did: { type: 'PURCHASE', atLeast: 1, category: 'Outdoor' } }, 'anna'],
    [{ did: { type: 'PURCHASE', atLeast: 1, brand: 'Leaf', minValue: 10 } }, 'anna cy'],
    [{ did: { type: 'VIEW', atLeast: 1, productExternalId: 'tea', withinDays: 7 } }, 'bo'],
    [{ did: { type: 'VIEW', atLeast: 1, period: 'TODAY' } }, 'bo'],
    [{ did: { type: 'VIEW', atLeast: 1, withinDays: 7, fromHour: 1, toHour: 3 } }, 'bo'],
    [{ did: { type: 'VIEW', atLeast: 1, until: '2026-06-01T00:00:00Z' } }, 'anna'],
    [{ did: { type: 'CUSTOM', atLeast: 1, event: 'signup' } }, 'bo'],
    [{ didThenNot: { first: 'ADD_TO_CART', butNot: 'PURCHASE', withinHours: 24, lastDays: 7 } }, 'bo'],
    [{ didThenNot: { first: 'ADD_TO_CART', butNot: 'PURCHASE', withinHours: 24, lastDays: 7, category: 'Tea' } }, ''],
    [{ affinity: { category: 'Outdoor', atLeast: 0.9 } }, ''],
    [{ affinity: { category: 'Outdoor', atLeast: 0.5 } }, 'anna bo'],
    [{ rfm: ['champions', 'loyal', 'needAttention', 'potentialLoyal', 'new'] }, 'anna cy'],
    [{ consent: 'ADS' }, ''],
    [{ any: [{ trait: { name: 'country', op: 'EQ', value: 'CN' } }, { did: { type: 'PURCHASE', atLeast: 1 } }] }, 'anna bo cy'],
    [{ all: [{ trait: { name: 'country', op: 'EQ', value: 'DE' } }, { not: { did: { type: 'PURCHASE', atLeast: 1 } } }] }, 'di'],
    [{ did: { type: 'VIEW', atLeast: 0 } }, 'anna bo cy di'],
  ])('%j → %s', async (rule, expected) => {
    const { size, users } = { size: (await segments.preview(viewer, { ruleJson: rule })).size, users: 4 }
    const segment = await create(rule)
    expect((await namesOf(segment)).join(' ')).toBe(expected)
    const count = expected === '' ? 0 : expected.split(' ').length
    expect([segment.size, size, segment.status, users]).toEqual([count, count, 'READY', 4])
    // What the whole evaluation says is what the evaluation of single users says, and what the explanation says.
    await segments.follow(Object.values(ids), 'unknown')
    expect((await namesOf(segment)).join(' ')).toBe(expected)
    for (const [name, id] of Object.entries(ids))
      expect(await segments.explain(viewer, segment.id, encodeId('User', id))).toMatchObject({
        matches: expected.split(' ').includes(name),
      })
  })
})

test('dividing by nothing matches nobody', async () => {
  const segment = await create({ feature: { name: 'monetary', per: 'carts30', op: 'GTE', value: 0 } })
  expect(await namesOf(segment)).toEqual(['bo', 'cy'])
})

test('a member of another segment, and no circle', async () => {
  const germans = await create({ trait: { name: 'country', op: 'EQ', value: 'DE' } }, 'Germans')
  const buyers = await create({ all: [{ inSegment: germans.id }, { did: { type: 'PURCHASE', atLeast: 1 } }] }, 'German buyers')
  expect(await namesOf(buyers)).toEqual(['anna'])
  expect(buyers.rule).toEqual({ all: [{ inSegment: germans.id }, { did: { type: 'PURCHASE', atLeast: 1 } }] })
  await expect(segments.update(viewer, { segmentId: germans.id, ruleJson: { not: { inSegment: buyers.id } } })).rejects.toThrow(
    'must not depend on itself',
  )
  await expect(segments.update(viewer, { segmentId: germans.id, ruleJson: { inSegment: germans.id } })).rejects.toThrow(
    'must not depend on itself',
  )
  await expect(segments.create(viewer, { name: 'x', ruleJson: { inSegment: 'nothing' } })).rejects.toThrow('names no segment')
  await expect(segments.update(viewer, { segmentId: germans.id, archive: true })).rejects.toThrow('German buyers')
  // The fault has its place, also where the circle goes through other segments.
  const third = await create({ any: [{ trait: { name: 'country', op: 'EQ', value: 'CN' } }, { inSegment: buyers.id }] }, 'Third')
  await expect(
    segments.update(viewer, {
      segmentId: germans.id,
      ruleJson: { all: [{ did: { type: 'VIEW', atLeast: 1 } }, { not: { inSegment: third.id } }] },
    }),
  ).rejects.toMatchObject({ field: ['ruleJson', 'all', '1', 'not', 'inSegment'], message: expect.stringContaining('itself: Germans') })
  await expect(segments.preview(viewer, { ruleJson: { any: [{ inSegment: encodeId('Segment', 'gone') }] } })).rejects.toMatchObject({
    field: ['ruleJson', 'any', '0', 'inSegment'],
  })
  await segments.update(viewer, { segmentId: third.id, archive: true })
  // When the first changes, so does the second.
  await segments.update(viewer, { segmentId: germans.id, ruleJson: { trait: { name: 'country', op: 'EQ', value: 'FR' } } })
  await segments.evaluateDue()
  expect(await namesOf(buyers)).toEqual([])
})

test('a segment of everybody and one of nobody are members of others like any', async () => {
  const everybody = await create({ did: { type: 'VIEW', atLeast: 0 } }, 'All of them')
  const nobody = await create({ did: { type: 'VIEW', atLeast: 1_000_000 } }, 'None of them')
  expect([everybody, nobody].map(({ size, status }) => [size, status])).toEqual([
    [4, 'READY'],
    [0, 'READY'],
  ])
  expect(await namesOf(await create({ not: { inSegment: nobody.id } }))).toEqual(['anna', 'bo', 'cy', 'di'])
  expect(await namesOf(await create({ not: { inSegment: everybody.id } }))).toEqual([])
  expect(await namesOf(await create({ all: [{ inSegment: everybody.id }, { inSegment: nobody.id }] }))).toEqual([])
  expect(await segments.preview(viewer, { ruleJson: { inSegment: nobody.id } })).toMatchObject({ size: 0, share: 0, sample: [] })
  expect(await segments.explain(viewer, nobody.id, encodeId('User', ids.anna))).toMatchObject({
    matches: false,
    rule: { holds: false, seen: 1 },
  })
})

test('an event changes the memberships that it can touch, and history remembers', async () => {
  const buyers = await create({ did: { type: 'PURCHASE', atLeast: 1 } }, 'Buyers')
  const viewers = await create({ did: { type: 'SEARCH', atLeast: 1 } }, 'Searchers')
  now = new Date(NOW.getTime() + HOUR)
  await shop.happen(['di', 'PURCHASE', 0, { product: 'tea', price: 10 }])
  await profiles.refreshOvertaken()
  const statements = await statementsOf(() => segments.followWaiting())
  expect(statements.filter(text => text.includes('verdict')).some(text => text.includes('"EventType"'))).toBe(true)
  expect(await namesOf(buyers)).toEqual(['anna', 'cy', 'di'])
  expect(await namesOf(viewers)).toEqual([])
  expect(await namesOf(buyers, NOW)).toEqual(['anna', 'cy'])
  expect((await segments.find(buyers.key))?.size).toBe(3)
  // A rule without a clock is right for as long as nothing happens.
  now = new Date(NOW.getTime() + 9 * HOUR)
  expect(await lagOf(buyers)).toBe(0)
  expect(await segments.followWaiting()).toBe(0)
  expect(await segments.follow([ids.di], new Set(['SEARCH']))).toBeLessThan(
    await segments.follow([ids.di], new Set(['SEARCH', 'PURCHASE'])),
  )
  await expect(segments.members(buyers.key, { first: 1, asOf: new Date(now.getTime() + HOUR) })).rejects.toThrow('future')
  now = NOW
})

test('two evaluations at once keep one stay for each member', async () => {
  const segment = await segments.create(viewer, { name: 'everybody', ruleJson: { did: { type: 'VIEW', atLeast: 0 } } })
  await Promise.all([segments.evaluateDue(), segments.evaluateDue(), segments.follow(Object.values(ids), 'unknown')])
  expect((await segments.find(segment.key))?.size).toBe(4)
  expect(await database.sql('SELECT 1 FROM "SegmentMember" WHERE "segmentId" = $1', [segment.key])).toHaveLength(4)
})

test('a rule that follows the clock is evaluated again when it has aged, others are not', async () => {
  const recent = await create({ did: { type: 'PURCHASE', atLeast: 1, withinDays: 2.5 } }, 'Recent')
  expect(await namesOf(recent)).toContain('cy')
  now = new Date(NOW.getTime() + 24 * HOUR)
  expect(await lagOf(recent)).toBe(24 * 3600)
  expect(await segments.evaluateDue()).toBeGreaterThan(0)
  expect(await namesOf(recent)).not.toContain('cy')
  expect(await segments.evaluateDue()).toBe(0)
  now = NOW
})

test('members stay readable while an edited segment is evaluated', async () => {
  const segment = await create({ trait: { name: 'country', op: 'EQ', value: 'DE' } }, 'Edited')
  await database.withClient(async client => {
    await client.query('BEGIN')
    await client.query('SELECT 1 FROM "Segment" WHERE id = $1 FOR UPDATE', [segment.key])
    await client.query('UPDATE "SegmentMember" SET "leftAt" = $2 WHERE "segmentId" = $1', [segment.key, NOW])
    expect(await namesOf(segment)).toEqual(['anna', 'di'])
    expect((await segments.find(segment.key))?.status).toBe('READY')
    await client.query('ROLLBACK')
  })
  const edited = await segments.update(viewer, {
    segmentId: segment.id,
    expectedVersion: 1,
    ruleJson: { trait: { name: 'country', op: 'EQ', value: 'CN' } },
  })
  expect([edited.status, edited.version]).toEqual(['EVALUATING', 2])
  expect(await namesOf(segment)).toEqual(['anna', 'di'])
  await segments.evaluateDue()
  expect(await namesOf(segment)).toEqual(['bo'])
  await expect(segments.update(viewer, { segmentId: segment.id, expectedVersion: 1, name: 'y' })).rejects.toMatchObject({
    userCode: 'VERSION_CONFLICT',
  })
  // A new name is no new rule.
  await segments.update(viewer, { segmentId: segment.id, name: 'Chinese' })
  expect(await segments.find(segment.key)).toMatchObject({ name: 'Chinese', status: 'READY', version: 3 })
  expect(await segments.evaluateDue()).toBe(0)
})

test('a segment that cannot be evaluated says why, stops no other, and heals', async () => {
  const good = await create({ did: { type: 'VIEW', atLeast: 1 } }, 'Good')
  const bad = await create({ did: { type: 'VIEW', atLeast: 1, period: 'TODAY' } }, 'Bad')
  await database.sql(`UPDATE "User" SET "timeZone" = 'Moon/Crater' WHERE id = $1`, [ids.di])
  await shop.happen(['di', 'VIEW', 0.001])
  await segments.follow([ids.di], new Set(['VIEW']))
  expect(await segments.find(bad.key)).toMatchObject({ status: 'FAILED', failure: expect.stringContaining('Moon/Crater') })
  expect((await segments.find(good.key))?.status).toBe('READY')
  expect(await namesOf(good)).toContain('di')
  await segments.evaluateDue()
  expect((await segments.find(bad.key))?.status).toBe('FAILED')
  expect(await namesOf(bad)).toEqual(['bo'])
  await database.sql(`UPDATE "User" SET "timeZone" = NULL WHERE id = $1`, [ids.di])
  await segments.evaluateDue()
  expect(await segments.find(bad.key)).toMatchObject({ status: 'READY', failure: null })
})

test('shards on any worker leave what one evaluation leaves, however often they run', async () => {
  const segment = await segments.create(viewer, { name: 'Sharded', ruleJson: { did: { type: 'VIEW', atLeast: 1 } } })
  const shard = { segmentId: segment.key, version: 1, at: now.toISOString(), low: 0, high: 2 }
  const shards = [shard, { ...shard, low: 3, high: 1_000 }]
  for (const each of [...shards, shards[0]]) await segments.evaluateShard(each)
  expect(await segments.settleShards(shards.map(each => ({ shard: each, error: null })))).toBe(1)
  const members = await namesOf(segment)
  expect([(await segments.find(segment.key))?.status, members]).toEqual(['READY', expect.arrayContaining(['anna', 'bo'])])
  await segments.evaluate((await new SegmentsRepository(database, 'UTC').byIds([segment.key]))[0])
  expect(await namesOf(segment)).toEqual(members)
  // A shard of a rule that was edited meanwhile changes nothing.
  await segments.update(viewer, { segmentId: segment.id, ruleJson: { trait: { name: 'country', op: 'EQ', value: 'XX' } } })
  await segments.evaluateShard(shards[1])
  expect(await namesOf(segment)).toEqual(members)
  expect(await segments.settleShards([{ shard: { ...shard, version: 2 }, error: 'the worker was killed' }])).toBe(1)
  expect(await segments.find(segment.key)).toMatchObject({ status: 'FAILED', failure: 'the worker was killed' })
  await segments.evaluateDue()
  expect(await namesOf(segment)).toEqual([])
})

test('an explanation shows each clause with the value that was seen', async () => {
  const segment = await create({
    all: [
      { trait: { name: 'country', op: 'EQ', value: 'DE' } },
      { any: [{ feature: { name: 'monetary', op: 'GT', value: 1_000 } }, { not: { did: { type: 'PURCHASE', atLeast: 5 } } }] },
    ],
  })
  expect(await segments.explain(viewer, segment.id, encodeId('User', ids.anna))).toMatchObject({
    matches: true,
    rule: {
      holds: true,
      all: [
        { holds: true, seen: 'DE', clause: { trait: { name: 'country' } } },
        {
          holds: true,
          any: [
            { holds: false, seen: 210 },
            { holds: true, not: { holds: false, seen: 2 } },
          ],
        },
      ],
    },
  })
  await expect(segments.explain(viewer, segment.id, encodeId('User', 999_999))).rejects.toThrow('No user')
  await expect(segments.explain(viewer, encodeId('Segment', 'x'), encodeId('User', ids.anna))).rejects.toThrow('No segment')
})

test('a preview is counted and nothing is stored', async () => {
  const before = await database.sql('SELECT 1 FROM "Segment"')
  const preview = await segments.preview(viewer, { ruleJson: { trait: { name: 'country', op: 'EQ', value: 'DE' } } })
  expect(preview).toMatchObject({ size: 2, share: 0.5, sample: [{ externalId: 'anna' }, { externalId: 'di' }] })
  expect(await database.sql('SELECT 1 FROM "Segment"')).toHaveLength(before.length)
})
