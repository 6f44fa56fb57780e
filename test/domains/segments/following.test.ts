import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'
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
import { createTestDatabase } from '../../support/database.js'
import { localSignals } from '../../support/local-signals.js'
import { noModels } from '../../support/small-shop.js'

// Segments that follow what happens, by the clock of the database, which stamps what comes in.
const SECOND = 1_000
let ahead = 0
const now = () => new Date(Date.now() + ahead)
let database: Awaited<ReturnType<typeof createTestDatabase>>
let profiles: ProfilesService
let segments: SegmentsService
let users: UsersService
let number = 0

beforeAll(async () => {
  database = await createTestDatabase()
  profiles = new ProfilesService(new ProfilesRepository(database, { currency: 'EUR', timeZone: 'UTC' }), new ProfileModels(noModels), now)
  users = new UsersService(new UsersRepository(database), now)
  segments = new SegmentsService(new SegmentsRepository(database, 'UTC'), users, profiles, localSignals(), now)
})
beforeEach(() => {
  ahead = 0
})
afterAll(() => database.drop())

const viewer = { name: 'tester', scopes: new Set(scopesOf.marketer) }

async function create(ruleJson: unknown): Promise<SegmentType> {
  const segment = await segments.create(viewer, { name: 'a segment', ruleJson })
  await segments.evaluateDue()
  return (await segments.find(segment.key)) as SegmentType
}

async function follow() {
  await profiles.refreshOvertaken({ without: async ids => void (await segments.follow(ids, 'unknown')) })
  await segments.followWaiting()
}

async function namesOf(segment: SegmentType): Promise<string[]> {
  return (await segments.members(segment.key, { first: 100 })).nodes.map(user => user.externalId)
}

async function lagOf(segment: SegmentType): Promise<number | null> {
  const request = { loader: (_: string, make: () => unknown) => make() } as unknown as Context
  return segments.lagSeconds(request, (await segments.find(segment.key)) as SegmentType)
}

async function happens(externalId: string, type: string): Promise<void> {
  await database.sql(
    `INSERT INTO "Event" ("messageId", "userId", type, "occurredAt") SELECT $1, id, $3::"EventType", now() FROM "User" WHERE "externalId" = $2`,
    [`f${++number}`, externalId, type],
  )
}

test('a fact that comes right after the profile was made is followed', async () => {
  const french = await create({ trait: { name: 'country', op: 'EQ', value: 'FR' } })
  await users.upsert({ externalId: 'fleur' })
  await follow()
  await users.upsert({ externalId: 'fleur', country: 'FR' })
  await follow()
  expect(await namesOf(french)).toEqual(['fleur'])
  await users.upsert({ externalId: 'fleur', country: 'BE' })
  await follow()
  expect(await namesOf(french)).toEqual([])
})

test('who refuses profiling leaves the segments by features at once; what he does and is still counts', async () => {
  const seen = await create({ feature: { name: 'silentDays', op: 'GTE', value: 0 } })
  const wishers = await create({ did: { type: 'ADD_TO_WISHLIST', atLeast: 1 } })
  const belgians = await create({ trait: { name: 'country', op: 'EQ', value: 'BE' } })
  await users.upsert({ externalId: 'remi', country: 'BE' })
  await happens('remi', 'VIEW')
  await follow()
  expect([await namesOf(seen), await namesOf(belgians)]).toEqual([['remi'], expect.arrayContaining(['remi'])])
  await users.upsert({ externalId: 'remi', consents: [{ purpose: 'PROFILING', granted: false }] })
  await follow()
  expect(await database.sql(`SELECT 1 FROM "UserProfile" p JOIN "User" u ON u.id = p."userId" WHERE u."externalId" = 'remi'`)).toEqual([])
  expect([await namesOf(seen), await namesOf(belgians)]).toEqual([[], expect.arrayContaining(['remi'])])
  await happens('remi', 'ADD_TO_WISHLIST')
  await users.upsert({ externalId: 'remi', country: 'FR' })
  await follow()
  expect([await namesOf(wishers), await namesOf(belgians)]).toEqual([['remi'], expect.not.arrayContaining(['remi'])])
})

test('a consent is followed as a fact is', async () => {
  const reachable = await create({ consent: 'ADS' })
  await users.upsert({ externalId: 'ada' })
  await follow()
  await users.upsert({ externalId: 'ada', consents: [{ purpose: 'ADS', granted: true }] })
  await follow()
  expect(await namesOf(reachable)).toEqual(['ada'])
  await users.upsert({ externalId: 'ada', consents: [{ purpose: 'ADS', granted: false }] })
  await follow()
  expect(await namesOf(reachable)).toEqual([])
})

test('the lag is nothing while nothing waits, and else what has waited longest', async () => {
  const searchers = await create({ did: { type: 'SEARCH', atLeast: 1 } })
  await users.upsert({ externalId: 'lara' })
  await follow()
  ahead = 3_600 * SECOND
  expect(await lagOf(searchers)).toBe(0)
  ahead = 0
  await follow()
  await happens('lara', 'SEARCH')
  ahead = 90 * SECOND
  expect(await lagOf(searchers)).toBeGreaterThanOrEqual(90)
  await profiles.refreshOvertaken()
  ahead = 95 * SECOND
  // The profile knows it, the segment does not yet.
  const lag = (await lagOf(searchers)) as number
  expect(lag >= 5 && lag < 90).toBe(true)
  await segments.followWaiting()
  expect([await lagOf(searchers), await namesOf(searchers)]).toEqual([0, ['lara']])
  // A new definition of the features makes nothing wait that was seen.
  await database.sql(`UPDATE "Setting" SET value = value || '{"version": 0}' WHERE name = 'profiles.watermark'`)
  expect(await lagOf(searchers)).toBe(0)
})

test('rules that follow the clock have their turn every minute, and less often where that would cost much', async () => {
  const recent = await create({ did: { type: 'VIEW', atLeast: 1, withinDays: 1 } })
  expect(await segments.evaluateDue()).toBe(0)
  ahead = 60 * SECOND
  expect(await lagOf(recent)).toBeGreaterThanOrEqual(60)
  expect(await segments.evaluateDue()).toBeGreaterThan(0)
  expect(await lagOf(recent)).toBeLessThan(30)
  await database.sql('UPDATE "Segment" SET "evaluationMs" = 30000 WHERE id = $1', [recent.key])
  ahead = 600 * SECOND
  expect(await segments.evaluateDue()).toBe(0)
  ahead = 720 * SECOND
  expect(await segments.evaluateDue()).toBeGreaterThan(0)
})

test('after the clock was put back, users are still followed', async () => {
  const payers = await create({ did: { type: 'CHECKOUT', atLeast: 1 } })
  await users.upsert({ externalId: 'karl' })
  ahead = 3_600 * SECOND
  await follow()
  ahead = 0
  await happens('karl', 'CHECKOUT')
  await follow()
  expect(await namesOf(payers)).toEqual(['karl'])
})

test('who did it and then not again is found; the explanation counts what it saw', async () => {
  const once = await create({ didThenNot: { first: 'RATING', butNot: 'RATING', withinHours: 1, lastDays: 7 } })
  await users.upsert({ externalId: 'olga' })
  await happens('olga', 'RATING')
  await follow()
  ahead = 2 * 3_600 * SECOND
  await segments.evaluateDue()
  expect(await namesOf(once)).toEqual(['olga'])
  const { key } = (await users.byExternalId('olga')) as { key: number }
  expect(await segments.explain(viewer, once.id, encodeId('User', key))).toMatchObject({
    matches: true,
    rule: { holds: true, seen: { first: 1, notFollowed: 1, last: expect.stringContaining('T') } },
  })
})
