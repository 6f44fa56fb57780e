import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { eventually, startTestApp, type TestApp } from '../../support/app.js'
import { statementsOf } from '../../support/count-queries.js'

let house: TestApp
beforeAll(async () => {
  house = await startTestApp()
  await house.startWorker()
  const events = Array.from({ length: 24 }, (_, user) => ({
    messageId: `e${user}`,
    userId: `u${user}`,
    type: user % 2 === 0 ? 'PURCHASE' : 'VIEW',
    productId: 'p1',
    price: 5,
    timestamp: Date.now() - 86_400_000,
  }))
  await house.as('ingest').run('mutation($e: [EventInput!]!) { eventsTrack(input: { events: $e }) { accepted } }', { e: events })
}, 60_000)
afterAll(() => house.close())

const CREATE = `mutation($i: SegmentCreateInput!) { segmentCreate(input: $i) {
  segment { id name rule version status size } preview { size share sample { externalId } } idempotentReplay userErrors { code field message } } }`
const UPDATE = `mutation($i: SegmentUpdateInput!) { segmentUpdate(input: $i) { segment { id version status } preview { size } userErrors { code field message } } }`
const FIND = `query($id: ID!) { segment(id: $id) { id size status version evaluatedAt lagSeconds failure members(first: 5) { totalCount nodes { externalId } pageInfo { hasNextPage endCursor } } } }`

// Answers are read by tests, which know what they asked for.
interface Any {
  [name: string]: Any
}

async function run(
  query: string,
  variables: Record<string, unknown> = {},
  kind: 'admin' | 'marketer' | 'campaign' | 'ingest' = 'marketer',
): Promise<Any> {
  const { data, errors } = await house.as(kind).run(query, variables)
  if (errors) throw Object.assign(new Error(errors[0].message), { errors })
  return data as unknown as Any
}

test('a segment by the typed builder finds its members in the background, and follows events', async () => {
  const rule = {
    all: [
      { did: { type: 'PURCHASE', atLeast: 1, since: new Date(Date.now() - 40 * 86_400_000).toISOString() } },
      { not: { consent: 'MESSAGING' } },
    ],
  }
  const { segmentCreate } = await run(CREATE, { i: { name: 'Buyers', rule } })
  expect(segmentCreate).toMatchObject({ segment: { name: 'Buyers', version: 1, rule }, userErrors: [] })
  const { id } = segmentCreate.segment as unknown as { id: string }
  const ready = await eventually(async () => {
    const { segment } = await run(FIND, { id })
    return (segment.size as unknown as number) === 12 && (segment.status as unknown as string) === 'READY' && segment
  })
  expect(ready).toMatchObject({ failure: null, members: { totalCount: 12, pageInfo: { hasNextPage: true } } })
  await run(
    'mutation { eventsTrack(input: { events: [{ messageId: "late", userId: "u1", type: PURCHASE, productId: "p1", price: 9 }] }) { accepted } }',
  )
  await eventually(async () => (((await run(FIND, { id })).segment.size as unknown as number) === 13 ? true : undefined))
  const explained = await run('query($s: ID!, $u: ID!) { segmentExplainMembership(segmentId: $s, userId: $u) }', {
    s: id,
    u: Buffer.from('User:1').toString('base64url'),
  })
  const { data } = await house.as('admin').run('{ systemHealth { stage state rowsIn } }')
  expect((data as unknown as { systemHealth: unknown[] }).systemHealth).toEqual(
    expect.arrayContaining([
      expect.objectContaining({ stage: 'profiles', state: 'ok' }),
      expect.objectContaining({ stage: 'segments', state: 'ok' }),
    ]),
  )
  expect(explained.segmentExplainMembership).toMatchObject({ rule: { all: [{ clause: { did: { type: 'PURCHASE' } } }, { not: {} }] } })
}, 60_000)

describe('a mutation', () => {
  test('says what is wrong with a rule, and where', async () => {
    const { segmentCreate } = await run(CREATE, { i: { name: 'x', rule: { all: [{ feature: { name: 'luck', op: 'GT', value: 1 } }] } } })
    expect(segmentCreate.userErrors).toEqual([
      { code: 'INVALID', field: ['rule', 'all', '0', 'feature', 'name'], message: expect.stringContaining('no such feature') },
    ])
    expect((await run(CREATE, { i: { name: 'x' } })).segmentCreate.userErrors).toMatchObject([{ field: ['rule'] }])
    expect((await run(CREATE, { i: { name: ' ', ruleJson: { cluster: 'c' } } })).segmentCreate.userErrors).toMatchObject([
      { field: ['name'] },
    ])
    expect((await run(CREATE, { i: { name: 'x', ruleJson: 'DROP TABLE "User"' } })).segmentCreate.userErrors).toMatchObject([
      { field: ['ruleJson'] },
    ])
    expect(
      (await run(CREATE, { i: { name: 'x', rule: { cluster: 'a' }, ruleJson: { cluster: 'b' } } })).segmentCreate.userErrors,
    ).toMatchObject([{ field: ['ruleJson'] }])
  })

  test('takes hostile text for text', async () => {
    const rule = {
      any: [
        { trait: { name: `traits.a'b"; DROP TABLE "User" --`, op: 'EQ', value: `'; DELETE FROM "User"; --` } },
        { did: { type: 'VIEW', atLeast: 1, category: "x'); --" } },
      ],
    }
    const { segmentCreate } = await run(CREATE, { i: { name: `'"; --`, rule, dryRun: true } })
    expect(segmentCreate).toMatchObject({ preview: { size: 0 }, segment: null, userErrors: [] })
  })

  test('is done once for one key, and previews without effect', async () => {
    const i = { name: 'Once', ruleJson: { trait: { name: 'anonymous', op: 'EQ', value: false } }, idempotencyKey: 'seg-1' }
    const [first, again] = [await run(CREATE, { i }), await run(CREATE, { i })]
    expect(again.segmentCreate).toMatchObject({ idempotentReplay: true, segment: { id: first.segmentCreate.segment.id } })
    expect((await run(CREATE, { i: { ...i, name: 'Other' } })).segmentCreate.userErrors).toMatchObject([{ code: 'IDEMPOTENCY_KEY_REUSED' }])
    const id = first.segmentCreate.segment.id as unknown as string
    expect(
      (await run(UPDATE, { i: { segmentId: id, dryRun: true, ruleJson: { did: { type: 'VIEW', atLeast: 1 } } } })).segmentUpdate,
    ).toMatchObject({
      preview: { size: 12 },
      segment: null,
    })
    expect((await run(UPDATE, { i: { segmentId: id, expectedVersion: 9, name: 'y' } })).segmentUpdate.userErrors).toMatchObject([
      { code: 'VERSION_CONFLICT', field: ['expectedVersion'] },
    ])
    expect((await run(UPDATE, { i: { segmentId: id, archive: true } })).segmentUpdate.userErrors).toEqual([])
    expect((await run(FIND, { id })).segment).toBeNull()
  })
})

test('scopes are asked for', async () => {
  await expect(run('{ segments { nodes { id } } }', {}, 'ingest')).rejects.toThrow('segments:read')
  await expect(run('{ segments(first: 1) { nodes { members { nodes { id } } } } }', {}, 'campaign')).rejects.toThrow('users:read')
  await expect(run(CREATE, { i: { name: 'x', ruleJson: {} } }, 'campaign')).rejects.toThrow('segments:write')
})

test('profiles, their segments and scores cost the same statements for 2 users as for 20', async () => {
  const query = (
    first: number,
  ) => `{ users(first: ${first}) { nodes { externalId profile { events rfm { label } segments { name } churnProbability { value state }
    categoryAffinities(first: 2) { category } user { externalId } } } } }`
  await run(query(20))
  const own = (statements: string[]) => statements.filter(text => /"UserProfile"|"SegmentMember"|FROM "User"/.test(text))
  // The worker of this test may do something of its own meanwhile, but not every time.
  const cost = async (first: number) => {
    const counts: number[] = []
    for (let round = 0; round < 4; round++) counts.push(own(await statementsOf(() => run(query(first)))).length)
    return Math.min(...counts)
  }
  const [few, many] = [await cost(2), await cost(20)]
  expect(many).toBe(few)
  expect(many).toBeLessThanOrEqual(4)
})

describe('personal facts', () => {
  const EXPLAIN = 'query($s: ID!, $u: ID!) { segmentExplainMembership(segmentId: $s, userId: $u) }'
  const rule = { trait: { name: 'traits.email', op: 'GT', value: 'a' } }
  const person = { externalId: 'secret', traits: { email: 'kim@example.com', 'Work-Phone': '+49301234', plan: 'gold' } }
  let id: string
  beforeAll(async () => {
    const { userUpsert } = await run('mutation($i: UserUpsertInput!) { userUpsert(input: $i) { user { id } } }', { i: person }, 'admin')
    id = userUpsert.user.id as unknown as string
  })

  test.each([
    'traits.email',
    'traits.Email',
    'traits.phone',
    'traits.Work-Phone',
    'traits.contact.email_address',
    'traits.firstName',
    'traits.first_name',
    'traits.手机号码',
    'traits.address.street',
  ])('a rule on %s is refused without pii:read, at every door', async name => {
    const ruleJson = { any: [{ trait: { name, op: 'EXISTS' } }] }
    const refusal = {
      code: 'INVALID',
      message: `A rule on ${name} needs the scope pii:read`,
      field: ['ruleJson', 'any', '0', 'trait', 'name'],
    }
    const { id: segmentId } =
      (await run(CREATE, { i: { name: 'All', ruleJson: { not: { cluster: 'none' } } } })).segmentCreate.segment ?? {}
    for (const dryRun of [true, false]) {
      expect((await run(CREATE, { i: { name: 'x', ruleJson, dryRun } })).segmentCreate.userErrors).toEqual([refusal])
      if (segmentId) expect((await run(UPDATE, { i: { segmentId, ruleJson, dryRun } })).segmentUpdate.userErrors).toEqual([refusal])
    }
    await expect(run('query($r: JSON) { segmentPreview(ruleJson: $r) { size } }', { r: ruleJson })).rejects.toThrow('pii:read')
    expect(await run('query($r: JSON) { segmentPreview(ruleJson: $r) { size } }', { r: ruleJson }, 'admin')).toHaveProperty(
      'segmentPreview',
    )
  })

  test('an explanation shows what traits hold only with pii:read', async () => {
    const ruleJson = { all: [rule, { trait: { name: 'traits.plan', op: 'EQ', value: 'gold' } }] }
    const { segmentCreate } = await run(CREATE, { i: { name: 'Reachable', ruleJson } }, 'admin')
    const asked = { s: segmentCreate.segment.id, u: id }
    const seen = async (kind: 'admin' | 'marketer') =>
      ((await run(EXPLAIN, asked, kind)).segmentExplainMembership.rule.all as unknown as { seen: unknown }[]).map(each => each.seen)
    expect(await seen('admin')).toEqual(['kim@example.com', 'gold'])
    expect(await seen('marketer')).toEqual([null, null])
  })

  test('who may read segments and no users is told of no person', async () => {
    const { segments } = await run('{ segments(first: 1) { nodes { id } } }')
    const asked = { s: (segments.nodes as unknown as { id: string }[])[0].id, u: id }
    await expect(run(EXPLAIN, asked, 'campaign')).rejects.toThrow('users:read')
  })
})
