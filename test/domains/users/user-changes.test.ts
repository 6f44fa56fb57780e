import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { createRandom } from '../../../src/algorithms/math/random.js'
import { EventsRepository } from '../../../src/events/events.repository.js'
import type { Database } from '../../../src/platform/database.js'
import { RecommendationsRepository } from '../../../src/recommendations/recommendations.repository.js'
import { UserChanges } from '../../../src/users/user-changes.js'
import { createTestDatabase } from '../../support/database.js'

const USERS = 12
const ALL = ['EVENTS', 'CONSENTS', 'IDENTITY', 'SUPPRESSION', 'AUDIENCES'] as const
const MINUTE = 60_000
let database: Awaited<ReturnType<typeof createTestDatabase>>
let changes: UserChanges
let now: number

beforeAll(async () => {
  database = await createTestDatabase()
  await database.sql(`INSERT INTO "User" (id, "externalId", "updatedAt") SELECT n, 'u' || n, now() FROM generate_series(1, ${USERS}) n`)
  await database.sql(
    `INSERT INTO "Product" (id, "externalId", title, "updatedAt") SELECT n, 'p' || n, 'p', now() FROM generate_series(1, 5) n`,
  )
}, 60_000)
afterAll(() => database.drop())
beforeEach(async () => {
  now = Date.parse('2026-11-30T12:00:00Z')
  changes = new UserChanges(database, ALL, () => now)
  await changes.look()
})

const ADD = `INSERT INTO "Event" ("messageId", "userId", "productId", type, "occurredAt") VALUES (gen_random_uuid(), $1, 1, 'VIEW', now())`
const SAY = `INSERT INTO "UserChange" (aspect, "userIds") VALUES ('EVENTS', ARRAY[$1::int])`
const MOVE = 'UPDATE "Event" SET "userId" = $2 WHERE "userId" = $1'
const MERGE = 'UPDATE "User" SET "mergedIntoId" = $2 WHERE id = $1'
const CONSENT = `INSERT INTO "Consent" ("userId", purpose, granted, at, source) SELECT id, 'PERSONALISATION', $2, now(), 'test' FROM unnest($1::int[]) id
  ON CONFLICT ("userId", purpose) DO UPDATE SET granted = EXCLUDED.granted, at = EXCLUDED.at`

let messages = 0
function event(user: number, messageId = `m${messages++}`) {
  return {
    messageId,
    user: `u${user}`,
    anonymousId: null,
    product: 'p1',
    type: 'VIEW' as const,
    value: null,
    quantity: null,
    priceMicros: null,
    currency: null,
    at: new Date(),
    properties: null,
  }
}
const track = (...users: number[]) => new EventsRepository(database).insert(users.map(user => event(user)))

/** Of whom what was read before `work` holds no more after it. */
async function changedBy(work: () => Promise<unknown>): Promise<number[] | 'everybody'> {
  const { mark } = changes
  await work()
  await changes.look()
  return changedSince(mark)
}

function changedSince(mark: number) {
  if (!changes.holds(mark, 999_999)) return 'everybody'
  return Array.from({ length: USERS }, (_, at) => at + 1).filter(id => !changes.holds(mark, id))
}

test('nobody changed while nothing is written by which a visitor is read', async () => {
  expect(await changedBy(async () => {})).toEqual([])
  expect(await changedBy(() => database.sql('UPDATE "User" SET city = \'Bonn\', "updatedAt" = now()'))).toEqual([])
  expect(await changedBy(() => database.sql('UPDATE "Product" SET stock = 3'))).toEqual([])
})

test('events that are stored change those whose they are; events that were stored before, nobody', async () => {
  expect(await changedBy(() => track(3, 5, 3))).toEqual([3, 5])
  const twice = () => new EventsRepository(database).insert([event(2, 'twice')])
  expect(await changedBy(twice)).toEqual([2])
  expect(await changedBy(twice)).toEqual([])
})

test('events that come or go without a word on whose they are change everybody', async () => {
  expect(await changedBy(() => database.sql(ADD, [4]))).toBe('everybody')
  expect(await changedBy(() => database.sql('DELETE FROM "Event" WHERE "userId" = 4'))).toBe('everybody')
  expect(await changedBy(() => database.sql('TRUNCATE "Event"'))).toBe('everybody')
})

test('events that move change both', async () => {
  await track(6)
  expect(await changedBy(() => database.sql(MOVE, [6, 7]))).toEqual([6, 7])
  expect(await changedBy(() => database.sql(MOVE, [6, 7]))).toEqual([])
})

test('consents that are given, withdrawn or forgotten change those whose they are', async () => {
  expect(await changedBy(() => database.sql(CONSENT, [[8, 9], true]))).toEqual([8, 9])
  expect(await changedBy(() => database.sql(CONSENT, [[8], false]))).toEqual([8])
  expect(await changedBy(() => database.sql('DELETE FROM "Consent" WHERE "userId" = 9'))).toEqual([9])
})

test('a user who is merged, taken apart again, renamed or removed is changed', async () => {
  expect(await changedBy(() => database.sql(MERGE, [10, 1]))).toEqual([10])
  expect(await changedBy(() => database.sql(MERGE, [10, 1]))).toEqual([])
  expect(await changedBy(() => database.sql(MERGE, [10, null]))).toEqual([10])
  expect(await changedBy(() => database.sql(`UPDATE "User" SET "externalId" = 'x' || id WHERE id IN (10, 11)`))).toEqual([10, 11])
  expect(await changedBy(() => database.sql(`UPDATE "User" SET "externalId" = 'u' || id WHERE id IN (10, 11)`))).toEqual([10, 11])
  expect(await changedBy(() => database.sql('DELETE FROM "User" WHERE id IN (8, 12)'))).toEqual([8, 12])
  await database.sql(`INSERT INTO "User" (id, "externalId", "updatedAt") VALUES (8, 'u8', now()), (12, 'u12', now())`)
})

test('who must not be addressed, or may be again, is changed; where audiences change, everybody is', async () => {
  const suppress = `INSERT INTO "Suppression" ("userId", reason) SELECT unnest($1::int[]), 'test' ON CONFLICT ("userId") DO UPDATE SET reason = 'again'`
  expect(await changedBy(() => database.sql(suppress, [[2, 3]]))).toEqual([2, 3])
  expect(await changedBy(() => database.sql(suppress, [[3]]))).toEqual([3])
  expect(await changedBy(() => database.sql('DELETE FROM "Suppression" WHERE "userId" = 2'))).toEqual([2])
  expect(await changedBy(() => database.sql('TRUNCATE "Suppression"'))).toBe('everybody')
  const join = `INSERT INTO "AudienceMember" ("audienceId", "userId", score) VALUES ('a', 5, 1)`
  expect(await changedBy(() => database.sql(join))).toBe('everybody')
  expect(await changedBy(() => database.sql('DELETE FROM "AudienceMember"'))).toBe('everybody')
})

test('who goes by some aspects is told of those only', async () => {
  const consents = new UserChanges(database, ['CONSENTS'], () => now)
  await consents.look()
  const { mark } = consents
  await track(1)
  await database.sql(ADD, [2])
  await database.sql(CONSENT, [[3], true])
  await consents.look()
  expect([1, 2, 3].map(id => consents.holds(mark, id))).toEqual([true, true, false])
})

test('what a transaction wrote is told once it is committed, however many came and went meanwhile, and never if it is taken back', async () => {
  for (const end of ['COMMIT', 'ROLLBACK'])
    await database.withClient(async client => {
      await client.query('BEGIN')
      await client.query(SAY, [4])
      expect(await changedBy(() => track(1))).toEqual([1])
      expect(await changedBy(() => track(2))).toEqual([2])
      expect(await changedBy(() => client.query(end))).toEqual(end === 'COMMIT' ? [4] : [])
    })
})

test('a look that is under way answers nobody who asks after it began', async () => {
  let answered: (() => void) | undefined
  const isAnswered = new Promise<void>(done => {
    answered = done
  })
  let release: () => void = () => {}
  const held = new Promise<void>(done => {
    release = done
  })
  // The first look is answered by PostgreSQL, and its answer is under way for a while.
  let isFirst = true
  const slow = new UserChanges(
    {
      sql: async (...asked: Parameters<Database['sql']>) => {
        const wasFirst = isFirst
        isFirst = false
        const rows = await database.sql(...asked)
        if (wasFirst) {
          answered?.()
          await held
        }
        return rows as never
      },
    },
    ALL,
  )
  const first = slow.look()
  await isAnswered
  const { mark } = slow
  await track(5)
  const second = slow.look()
  expect(slow.look()).toBe(second)
  release()
  await first
  const afterFirst = slow.mark
  await second
  expect([slow.holds(mark, 5), slow.holds(afterFirst, 5), slow.holds(slow.mark, 5)]).toEqual([false, false, true])
  expect(slow.holds(afterFirst, 6)).toBe(true)
})

test('a look that fails says so to all who wait for it, and the next one tells what it would have told', async () => {
  let isBroken = true
  const sometimes = new UserChanges(
    {
      sql: (...asked: Parameters<Database['sql']>) =>
        (isBroken ? Promise.reject(new Error('the connection is lost')) : database.sql(...asked)) as never,
    },
    ALL,
  )
  isBroken = false
  await sometimes.look()
  const { mark } = sometimes
  await track(9)
  isBroken = true
  expect(await Promise.allSettled([sometimes.look(), sometimes.look()])).toEqual([
    { status: 'rejected', reason: new Error('the connection is lost') },
    { status: 'rejected', reason: new Error('the connection is lost') },
  ])
  isBroken = false
  await sometimes.look()
  expect([sometimes.holds(mark, 9), sometimes.holds(mark, 8)]).toEqual([false, true])
})

test('too many changes to tell, and a silence of more than a minute, change everybody', async () => {
  const many = (count: number) =>
    database.sql(`INSERT INTO "UserChange" (aspect, "userIds") SELECT 'EVENTS', ARRAY[7] FROM generate_series(1, $1::int)`, [count])
  expect(await changedBy(() => many(1_000))).toEqual([7])
  expect(await changedBy(() => many(1_001))).toBe('everybody')
  now += MINUTE
  expect(await changedBy(async () => {})).toEqual([])
  now += MINUTE + 1
  expect(await changedBy(async () => {})).toBe('everybody')
  now -= MINUTE + 1
  expect(await changedBy(async () => {})).toBe('everybody')
})

test('of users without number, those told first are not mixed up with those told last', async () => {
  const { mark } = changes
  await database.sql(`INSERT INTO "UserChange" (aspect, "userIds") SELECT 'EVENTS', array_agg(n) FROM generate_series(1000, 30999) n`)
  await changes.look()
  expect([changes.holds(mark, 1_000), changes.holds(mark, 3)]).toEqual([false, true])
  await database.sql(`INSERT INTO "UserChange" (aspect, "userIds") SELECT 'EVENTS', array_agg(n) FROM generate_series(31000, 60999) n`)
  await changes.look()
  expect([1_000, 31_000, 60_999].map(id => changes.holds(mark, id))).toEqual([false, false, false])
  expect([1_000, 31_000, 60_999].map(id => changes.holds(changes.mark, id))).toEqual([true, true, true])
})

test('changes are forgotten when nobody can go by them any more', async () => {
  const rows = async () => (await database.sql('SELECT 1 FROM "UserChange"')).length
  const sweeper = new UserChanges(database, ALL, () => now)
  await database.sql('DELETE FROM "UserChange"')
  await track(1)
  await database.withClient(async client => {
    await client.query('BEGIN')
    await client.query(SAY, [4])
    // The first time it only notes what is there.
    expect(await sweeper.forget()).toBe(0)
    await client.query('COMMIT')
    await track(2)
    now += 3 * MINUTE - 1
    expect([await sweeper.forget(), await rows()]).toEqual([0, 3])
    now += 1
    // Of what was not committed when it noted it nothing goes.
    expect([await sweeper.forget(), await rows()]).toEqual([1, 2])
    now += 3 * MINUTE
    expect([await sweeper.forget(), await rows()]).toEqual([2, 0])
  })
  // A dump from a database that had counted further.
  await database.sql(`INSERT INTO "UserChange" (xact, aspect, "userIds") VALUES (1::bigint << 60, 'EVENTS', ARRAY[3])`)
  now += 3 * MINUTE
  expect([await sweeper.forget(), await rows()]).toEqual([1, 0])
})

test('what is remembered of visitors is what a new look finds, after any history of transactions', async () => {
  const random = createRandom(20261130)
  const remembering = new RecommendationsRepository(database)
  const keys = Array.from({ length: USERS + 1 }, (_, at) => `u${at + 1}`)
  const user = () => 1 + random.below(USERS)
  const steps: [string, () => unknown[]][] = [
    [ADD, () => [user()]],
    [MOVE, () => [user(), user()]],
    [MERGE, () => [user(), random.next() < 0.5 ? null : user()]],
    [CONSENT, () => [[user()], random.next() < 0.5]],
    ['DELETE FROM "Consent" WHERE "userId" = $1', () => [user()]],
    ['DELETE FROM "Event" WHERE "userId" = $1', () => [user()]],
    [
      `UPDATE "User" SET "externalId" = 'u' || (CASE "externalId" WHEN 'u' || $1::int THEN ${USERS + 1} ELSE $1::int END) WHERE id = $1::int`,
      () => [user()],
    ],
  ]
  const clients = await Promise.all([0, 1].map(() => database.pool.connect()))
  const open = new Set<number>()
  let compared = 0
  for (let step = 0; step < 400; step++) {
    const at = random.below(2)
    if (random.next() < 0.3) await track(user())
    else if (!open.has(at)) open.add(at) && (await clients[at].query('BEGIN'))
    else if (random.next() < 0.4) open.delete(at) && (await clients[at].query(random.next() < 0.7 ? 'COMMIT' : 'ROLLBACK'))
    else {
      const [text, values] = steps[random.below(steps.length)]
      // Rows that the other holds, and names that are taken, are left alone.
      await clients[at].query('SAVEPOINT step; SET LOCAL lock_timeout = 20')
      await clients[at].query(text, values()).catch(() => clients[at].query('ROLLBACK TO SAVEPOINT step'))
    }
    const asked = keys.filter(() => random.next() < 0.3)
    const afresh = new RecommendationsRepository(database)
    const expected = await Promise.all(asked.map(key => afresh.visitor(key)))
    expect(await Promise.all(asked.map(key => remembering.visitor(key)))).toEqual(expected)
    compared += expected.filter(visitor => visitor !== null && visitor.products.length > 0).length
  }
  for (const client of clients) {
    await client.query('ROLLBACK')
    client.release()
  }
  expect(compared).toBeGreaterThan(100)
  await database.sql(`UPDATE "User" SET "externalId" = 'u' || id, "mergedIntoId" = NULL`)
}, 60_000)

test('who has just acted is known by it at once, while others write and ask', async () => {
  await database.sql('TRUNCATE "Event"')
  const remembering = new RecommendationsRepository(database)
  const acknowledged = new Array(USERS + 1).fill(0)
  const random = createRandom(7)
  let isOver = false
  const write = async () => {
    for (let count = 0; count < 150; count++) {
      const user = 1 + random.below(USERS)
      await track(user)
      acknowledged[user]++
    }
  }
  let answers = 0
  const read = async () => {
    while (!isOver) {
      const user = 1 + random.below(USERS)
      const known = acknowledged[user]
      const visitor = await remembering.visitor(`u${user}`)
      expect(visitor?.weights[0] ?? 0).toBeGreaterThanOrEqual(known)
      answers++
    }
  }
  const readers = Array.from({ length: 8 }, read)
  await Promise.all([write(), write(), write()])
  isOver = true
  await Promise.all(readers)
  expect(answers).toBeGreaterThan(100)
}, 60_000)
