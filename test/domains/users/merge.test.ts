import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { ReferenceCache, userKey } from '../../../src/events/import-references.js'
import { encodeId } from '../../../src/graphql/node-id.js'
import { startTestApp, type TestApp } from '../../support/app.js'

let house: TestApp
beforeAll(async () => {
  house = await startTestApp()
}, 60_000)
afterAll(() => house.close())

const DAY = 86_400_000

async function idOf(externalId: string): Promise<number> {
  const [row] = await house.app.database.sql<{ id: number }>('SELECT id FROM "User" WHERE "externalId" = $1', [externalId])
  return row.id
}

async function eventsOf(externalId: string): Promise<string[]> {
  const rows = await house.app.database.sql<{ messageId: string }>(
    'SELECT e."messageId" FROM "Event" e JOIN "User" u ON u.id = e."userId" WHERE u."externalId" = $1 ORDER BY 1',
    [externalId],
  )
  return rows.map(row => row.messageId)
}

async function track(...events: Record<string, unknown>[]) {
  const outcome = await house.app.events.track(events)
  expect(outcome.rejected).toBe(0)
}

async function mutate(query: string, input: object) {
  const { data, errors } = await house.as('admin').run(query, { i: input })
  expect(errors).toBeUndefined()
  return Object.values(data as Record<string, never>)[0] as {
    user: { id: string; externalId: string } | null
    userErrors: { code: string; message: string }[]
  }
}
const UNMERGE = 'mutation($i: UserUnmergeInput!) { userUnmerge(input: $i) { user { id externalId } userErrors { code field message } } }'
const MERGE = 'mutation($i: UserMergeInput!) { userMerge(input: $i) { user { id externalId } userErrors { code field message } } }'

test('identify joins what the visitor did before to the person, and undoing it puts all of it back', async () => {
  const { app } = house
  await track(
    { messageId: 'a1', anonymousId: 'cookie-1', type: 'VIEW', productId: 'p1', timestamp: Date.now() - 2 * DAY },
    { messageId: 'a2', anonymousId: 'cookie-1', type: 'ADD_TO_CART', productId: 'p1', timestamp: Date.now() - DAY },
    { messageId: 'k1', userId: 'kim', type: 'VIEW', productId: 'p2', timestamp: Date.now() - DAY },
  )
  const [visitor, kim] = [await idOf('anonymous:cookie-1'), await idOf('kim')]
  await app.users.upsert({
    externalId: 'anonymous:cookie-1',
    city: 'Bonn',
    consents: [{ purpose: 'ADS', granted: false, at: new Date(Date.now() - DAY) }],
  })
  const carts = await app.segments.create(
    { name: 'test', scopes: new Set() },
    { name: 'Carts', ruleJson: { did: { type: 'ADD_TO_CART', atLeast: 1 } } },
  )
  await app.profiles.refreshOvertaken()
  await app.segments.evaluateDue()
  const members = async () => (await app.segments.members(carts.key, { first: 10 })).nodes.map(user => user.externalId)
  expect(await members()).toEqual(['anonymous:cookie-1'])

  await app.events.identify({ externalId: 'kim', email: 'kim@example.com' }, 'cookie-1')
  expect(await eventsOf('kim')).toEqual(['a1', 'a2', 'k1'])
  expect(await eventsOf('anonymous:cookie-1')).toEqual([])
  await track({ messageId: 'a3', anonymousId: 'cookie-1', type: 'VIEW', productId: 'p1' })
  expect(await eventsOf('kim')).toContain('a3')
  const follow = async () => {
    await app.profiles.refreshOvertaken({ without: async ids => void (await app.segments.follow(ids, 'unknown')) })
    await app.segments.followWaiting()
  }
  await follow()
  expect(await members()).toEqual(['kim'])
  expect((await app.profiles.byIds([visitor, kim])).size).toBe(1)
  expect((await app.users.byExternalId('kim'))?.city).toBe('Bonn')
  expect(await app.database.sql('SELECT granted FROM "Consent" WHERE "userId" = $1', [kim])).toEqual([{ granted: false }])
  const { data } = await house
    .as('admin')
    .run(
      '{ user(externalId: "kim") { merges { id evidence undoneAt from { externalId } into { externalId } } } users { nodes { externalId } } }',
    )
  expect(data).toMatchObject({
    user: { merges: [{ evidence: 'identify', undoneAt: null, from: { externalId: 'anonymous:cookie-1' }, into: { externalId: 'kim' } }] },
    users: { nodes: [{ externalId: 'kim' }] },
  })

  expect(await mutate(UNMERGE, { userId: encodeId('User', visitor) })).toMatchObject({
    user: { externalId: 'anonymous:cookie-1' },
    userErrors: [],
  })
  expect(await eventsOf('anonymous:cookie-1')).toEqual(['a1', 'a2'])
  expect(await eventsOf('kim')).toEqual(['a3', 'k1'])
  expect(await members()).toEqual(['anonymous:cookie-1'])
  await follow()
  expect(await members()).toEqual(['anonymous:cookie-1'])
  expect((await app.segments.find(carts.key))?.size).toBe(1)
  // The stay goes on as if it had never been interrupted.
  expect(
    await app.database.sql('SELECT 1 FROM "SegmentMember" WHERE "segmentId" = $1 AND "userId" = $2', [carts.key, visitor]),
  ).toHaveLength(1)
  expect((await app.users.byExternalId('kim'))?.city).toBeNull()
  expect(await app.database.sql('SELECT granted FROM "Consent" WHERE "userId" = $1', [kim])).toEqual([])
  expect((await mutate(UNMERGE, { userId: encodeId('User', visitor) })).userErrors).toMatchObject([{ code: 'NOT_FOUND' }])
})

test('two known persons are never merged; a device that changes hands takes only its future along', async () => {
  await track(
    { messageId: 'x1', userId: 'xaver', type: 'VIEW' },
    { messageId: 'y1', userId: 'yara', type: 'VIEW' },
    { messageId: 'd1', anonymousId: 'tablet', type: 'VIEW' },
  )
  await expect(house.app.events.alias('xaver', 'yara')).rejects.toThrow('known person')
  await house.app.events.identify({ externalId: 'xaver' }, 'tablet')
  await house.app.events.identify({ externalId: 'yara' }, 'tablet')
  await track({ messageId: 'd2', anonymousId: 'tablet', type: 'VIEW' })
  expect([await eventsOf('xaver'), await eventsOf('yara')]).toEqual([
    ['d1', 'x1'],
    ['d2', 'y1'],
  ])
  const [xaver, yara] = [encodeId('User', await idOf('xaver')), encodeId('User', await idOf('yara'))]
  expect((await mutate(MERGE, { fromUserId: xaver, intoUserId: yara })).userErrors).toMatchObject([{ code: 'POLICY_BLOCKED' }])
  expect((await mutate(MERGE, { fromUserId: xaver, intoUserId: xaver })).userErrors).toMatchObject([{ code: 'POLICY_BLOCKED' }])
  expect((await mutate(MERGE, { fromUserId: 'nonsense', intoUserId: yara })).userErrors).toMatchObject([{ code: 'INVALID' }])
})

test('a visitor whose e-mail differs is somebody else', async () => {
  await track({ messageId: 'm1', anonymousId: 'mail', type: 'VIEW' })
  await house.app.users.upsert({ externalId: 'anonymous:mail', email: 'one@example.com' })
  await house.app.users.upsert({ externalId: 'zoe', email: 'two@example.com' })
  await expect(house.app.events.alias('mail', 'zoe')).rejects.toThrow('their email differs')
  expect(await eventsOf('anonymous:mail')).toEqual(['m1'])
})

test('merges are undone in the opposite order, each once', async () => {
  const { app } = house
  await track(
    { messageId: 'c1', anonymousId: 'chain-1', type: 'VIEW' },
    { messageId: 'c2', anonymousId: 'chain-2', type: 'VIEW' },
    { messageId: 'c3', userId: 'carl', type: 'VIEW' },
  )
  const [one, two, carl] = [await idOf('anonymous:chain-1'), await idOf('anonymous:chain-2'), await idOf('carl')]
  const merge = async (from: number, into: number) =>
    mutate(MERGE, { fromUserId: encodeId('User', from), intoUserId: encodeId('User', into), evidence: 'call center' })
  await merge(one, two)
  await merge(two, carl)
  expect(await eventsOf('carl')).toEqual(['c1', 'c2', 'c3'])
  await track({ messageId: 'c4', anonymousId: 'chain-1', type: 'VIEW' })
  expect(await eventsOf('carl')).toContain('c4')
  const first = (await app.identity.mergesOf({ loader: (_: string, create: () => unknown) => create() } as never, one)).at(-1)
  const undo = (mergeId: string) => mutate(UNMERGE, { mergeId: encodeId('IdentityMerge', mergeId) })
  expect((await undo(first?.id as string)).userErrors).toMatchObject([{ code: 'ILLEGAL_TRANSITION' }])
  expect((await mutate(UNMERGE, { userId: encodeId('User', two) })).userErrors).toEqual([])
  expect([await eventsOf('anonymous:chain-2'), await eventsOf('carl')]).toEqual([
    ['c1', 'c2'],
    ['c3', 'c4'],
  ])
  expect((await undo(first?.id as string)).userErrors).toEqual([])
  expect([await eventsOf('anonymous:chain-1'), await eventsOf('anonymous:chain-2')]).toEqual([['c1'], ['c2']])
  expect((await undo(first?.id as string)).userErrors).toMatchObject([{ code: 'ILLEGAL_TRANSITION' }])
})

test('of several visitors one may be taken out again; what the others brought stays, and what was said since', async () => {
  const { app } = house
  await track(
    { messageId: 'v1', anonymousId: 'visit-1', type: 'VIEW' },
    { messageId: 'v2', anonymousId: 'visit-2', type: 'VIEW' },
    { messageId: 'v3', userId: 'vera', type: 'VIEW' },
  )
  const said = (daysAgo: number, granted: boolean) => ({ purpose: 'ADS' as const, granted, at: new Date(Date.now() - daysAgo * DAY) })
  await app.users.upsert({ externalId: 'vera', traits: { plan: 'gold' }, consents: [said(9, true)] })
  await app.users.upsert({
    externalId: 'anonymous:visit-1',
    city: 'Bonn',
    traits: { plan: 'free', source: 'mail', size: 38 },
    consents: [said(3, false), { purpose: 'MESSAGING', granted: true, at: new Date(Date.now() - 3 * DAY) }],
  })
  await app.users.upsert({ externalId: 'anonymous:visit-2', city: 'Bonn', traits: { source: 'search' }, consents: [said(2, true)] })
  const [one, two, vera] = [await idOf('anonymous:visit-1'), await idOf('anonymous:visit-2'), await idOf('vera')]
  await app.database.sql('INSERT INTO "Suppression" ("userId", reason) VALUES ($1, \'complaint\'), ($2, \'complaint\')', [one, two])
  const known = async () => {
    const [user] = await app.database.sql<{ city: string | null; traits: object }>('SELECT city, traits FROM "User" WHERE id = $1', [vera])
    const consents = await app.database.sql<{ purpose: string; granted: boolean; daysAgo: number }>(
      'SELECT purpose::text, granted, round(extract(epoch FROM now() - at) / 86400)::int AS "daysAgo" FROM "Consent" WHERE "userId" = $1 ORDER BY 1',
      [vera],
    )
    const suppressed = await app.database.sql('SELECT 1 FROM "Suppression" WHERE "userId" = $1', [vera])
    return { ...user, consents: consents.map(each => Object.values(each)), isSuppressed: suppressed.length > 0 }
  }
  const before = await known()
  const merge = (from: number) => mutate(MERGE, { fromUserId: encodeId('User', from), intoUserId: encodeId('User', vera) })
  await merge(one)
  await merge(two)
  expect(await known()).toEqual({
    city: 'Bonn',
    traits: { plan: 'gold', source: 'mail', size: 38 },
    consents: [
      ['ADS', true, 2],
      ['MESSAGING', true, 3],
    ],
    isSuppressed: true,
  })
  await app.users.upsert({ externalId: 'vera', traits: { size: 40 } }, { mergeTraits: true })
  expect((await mutate(UNMERGE, { userId: encodeId('User', one) })).userErrors).toEqual([])
  expect(await known()).toEqual({
    city: 'Bonn',
    traits: { plan: 'gold', source: 'search', size: 40 },
    consents: [['ADS', true, 2]],
    isSuppressed: true,
  })
  expect(await eventsOf('vera')).toEqual(['v2', 'v3'])
  expect((await mutate(UNMERGE, { userId: encodeId('User', two) })).userErrors).toEqual([])
  expect(await known()).toEqual({ ...before, traits: { plan: 'gold', size: 40 } })
})

test('events that were on their way to a merged record follow it', async () => {
  await track({ messageId: 's1', anonymousId: 'stray', type: 'VIEW' }, { messageId: 's2', userId: 'sam', type: 'VIEW' })
  const visitor = await idOf('anonymous:stray')
  await house.app.events.identify({ externalId: 'sam' }, 'stray')
  await house.app.database.sql(`INSERT INTO "Event" ("messageId", "userId", type, "occurredAt") VALUES ('s3', $1, 'VIEW', now())`, [
    visitor,
  ])
  expect(await house.app.identity.gatherStrays()).toBe(1)
  expect(await eventsOf('sam')).toEqual(['s1', 's2', 's3'])
  await mutate(UNMERGE, { userId: encodeId('User', visitor) })
  expect(await eventsOf('anonymous:stray')).toEqual(['s1', 's3'])
})

test('an import under way finds a person again after a merge and after its undoing', async () => {
  await track({ messageId: 'i1', userId: 'ines', type: 'VIEW' }, { messageId: 'i2', anonymousId: 'ines-phone', type: 'VIEW' })
  const [ines, visitor] = [await idOf('ines'), await idOf('anonymous:ines-phone')]
  const cache = new ReferenceCache()
  const found = () =>
    house.app.database.withClient(async client => {
      const key = Buffer.from(userKey('anonymous:ines-phone', 'ines-phone'))
      await cache.begin(client)
      if (cache.users.get(key) === undefined) await cache.findUsers(client, [key.toString()], 'stub')
      return cache.users.get(key)
    })
  expect(await found()).toBe(visitor)
  await house.app.events.identify({ externalId: 'ines' }, 'ines-phone')
  expect(await found()).toBe(ines)
  expect((await mutate(UNMERGE, { userId: encodeId('User', visitor) })).userErrors).toEqual([])
  expect(await found()).toBe(visitor)
})
