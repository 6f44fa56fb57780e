import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { encodeId } from '../../src/graphql/node-id.js'
import { v7 } from '../../src/platform/uuid.js'
import { startTestApp, type TestApp } from '../support/app.js'

// `dryRun: true` runs everything but the effect: the preview says what would be so, and not a row of the database is another one.
let house: TestApp
const ids: Record<string, string> = {}

beforeAll(async () => {
  house = await startTestApp()
  const { sql } = house.app.database
  const make = async (mutation: string, input: object, object: string) => {
    const { data } = await house
      .as('admin')
      .run(
        `mutation($i: ${mutation[0].toUpperCase()}${mutation.slice(1)}Input!) { m: ${mutation}(input: $i) { o: ${object} { id } userErrors { message } } }`,
        {
          i: input,
        },
      )
    const { o, userErrors } = data!.m as unknown as { o: { id: string } | null; userErrors: unknown[] }
    expect(userErrors).toEqual([])
    return o?.id ?? ''
  }
  const event = (person: object, productId: string) => ({ messageId: v7(), ...person, productId, type: 'VIEW' as const })
  await house.app.events.track([
    event({ userId: 'kim' }, 'tea'),
    event({ anonymousId: 'cookie' }, 'tea'),
    event({ anonymousId: 'other' }, 'tea'),
  ])
  await house.app.users.upsert({ externalId: 'anonymous:cookie', city: 'Bonn', email: 'kim@example.com' })
  const userOf = async (externalId: string) =>
    encodeId('User', (await sql<{ id: number }>('SELECT id FROM "User" WHERE "externalId" = $1', [externalId]))[0].id)
  ids.kim = await userOf('kim')
  ids.cookie = await userOf('anonymous:cookie')
  ids.other = await userOf('anonymous:other')
  const merged = 'mutation($i: UserMergeInput!) { userMerge(input: $i) { userErrors { message } } }'
  await house.as('admin').run(merged, { i: { fromUserId: ids.other, intoUserId: ids.kim } })
  const [tea] = await sql<{ id: number; version: number }>(`SELECT id, version FROM "Product" WHERE "externalId" = 'tea'`)
  ids.tea = encodeId('Product', tea.id)
  ids.draft = await make('faqEntryCreate', { question: 'How long does delivery take?', answer: 'Two days.' }, 'entry')
  ids.empty = await make('faqEntryCreate', { question: 'Why?', externalId: 'why' }, 'entry')
  const { data } = await house.as('chatbot').run('{ faqAnswer(question: "I want a human") { ... on FaqHandOff { decisionId ticketId } } }')
  Object.assign(ids, data!.faqAnswer)
  ids.placement = await make('placementUpsert', { name: 'home', description: 'first' }, 'placement')
  await make('placementUpsert', { name: 'home', description: 'second' }, 'placement')
  ids.review = await make('reviewSubmit', { text: 'Very good tea, I love it', productExternalId: 'tea' }, 'review')
  const segment = await make('segmentCreate', { name: 'All', ruleJson: { not: { rfm: ['champions'] } } }, 'segment')
  ids.audience = await make('audienceCreate', { name: 'All', segmentId: segment, minimumSize: 1 }, 'audience')
  ids.key = await make('apiKeyCreate', { name: 'shop', kind: 'CHATBOT' }, 'apiKey')
  await sql(
    `INSERT INTO "OpinionAlert" (id, subject, kind, "startedAt", "endedAt", severity, observed, expected, terms, "sampleIds", proposals)
     VALUES ('alert', 'shop', 'negative', now(), now(), 3, 9, 2, '{slow}', '{}', '[{"action": "FAQ_ENTRY", "state": "PROPOSED"}]')`,
  )
  ids.alert = encodeId('OpinionAlert', 'alert')
  ids.experiment = await make('recommendationExperimentCreate', { name: 'e', arms: ARMS }, 'experiment')
}, 60_000)
afterAll(() => house.close())

const ARMS = [
  { key: 'a', share: 0.5 },
  { key: 'b', share: 0.5 },
]

type Case = [name: string, input: () => object, answer: string, preview: unknown]
const cases: Case[] = [
  [
    'faqEntryUpdate',
    () => ({ id: ids.draft, expectedVersion: 1, answer: 'One day.' }),
    '{ answer version }',
    { answer: 'One day.', version: 2 },
  ],
  ['faqEntryApprove', () => ({ id: ids.draft }), '{ status version }', { status: 'APPROVED', version: 1 }],
  ['faqEntryReject', () => ({ id: ids.draft }), '{ status version }', { status: 'RETIRED', version: 2 }],
  ['faqEntryRetire', () => ({ id: ids.draft }), '{ status }', { status: 'RETIRED' }],
  ['faqFeedback', () => ({ decisionId: ids.decisionId, helpful: false, comment: 'no' }), '', true],
  ['faqTicketClose', () => ({ ticketId: ids.ticketId }), '{ closedBy closedAt }', { closedBy: 'admin', closedAt: expect.any(String) }],
  [
    'userMerge',
    () => ({ fromUserId: ids.cookie, intoUserId: ids.kim }),
    '{ creates changes { field before after } }',
    {
      creates: false,
      changes: expect.arrayContaining([
        { field: 'city', before: null, after: 'Bonn' },
        { field: 'email', before: null, after: 'kim@example.com' },
        { field: 'events', before: 2, after: 3 },
      ]),
    },
  ],
  [
    'userUnmerge',
    () => ({ userId: ids.other }),
    '{ changes { field before after } }',
    {
      changes: [
        { field: 'mergedInto', before: 'kim', after: null },
        { field: 'events', before: 0, after: 1 },
      ],
    },
  ],
  ['suppressionSet', () => ({ userExternalIds: ['kim'], reason: 'asked for it' }), '', 1],
  ['audienceRebuild', () => ({ audienceId: ids.audience }), '{ size excluded { reason count } }', { size: 0, excluded: [] }],
  ['audienceArchive', () => ({ audienceId: ids.audience, expectedVersion: 1 }), '{ size }', { size: 0 }],
  [
    'productDemote',
    () => ({ productId: ids.tea, expectedVersion: 1 }),
    '{ changes { field before after } }',
    { changes: [{ field: 'demoted', before: false, after: true }] },
  ],
  [
    'placementRestore',
    () => ({ name: 'home', version: 1 }),
    '{ creates changes { field before after } }',
    { creates: false, changes: [{ field: 'description', before: 'second', after: 'first' }] },
  ],
  [
    'placementArchive',
    () => ({ name: 'home', expectedVersion: 2 }),
    '{ changes { field before after } after { servedBy } }',
    { changes: [{ field: 'archived', before: false, after: true }], after: { servedBy: expect.any(String) } },
  ],
  [
    'textCorrect',
    () => ({ reviewId: ids.review, task: 'SENTIMENT', label: 'NEGATIVE' }),
    '{ label review { sentiment { label score } } }',
    { label: 'NEGATIVE', review: { sentiment: { label: 'NEGATIVE', score: -1 } } },
  ],
  [
    'apiKeyCreate',
    () => ({ name: 'new', kind: 'CHATBOT' }),
    '{ name kind scopes state }',
    { name: 'new', kind: 'chatbot', scopes: ['faq:answer'], state: 'ACTIVE' },
  ],
  ['apiKeyRotate', () => ({ id: ids.key }), '{ name state }', { name: 'shop', state: 'ACTIVE' }],
  ['apiKeyRevoke', () => ({ id: ids.key }), '{ state }', { state: 'REVOKED' }],
  [
    'opinionAcknowledge',
    () => ({ alertId: ids.alert, isFalseAlarm: true }),
    '{ acknowledgedBy isFalseAlarm }',
    { acknowledgedBy: 'admin', isFalseAlarm: true },
  ],
  [
    'opinionActionDecide',
    () => ({ alertId: ids.alert, action: 'FAQ_ENTRY' }),
    '{ proposals { state by } }',
    { proposals: [{ state: 'RUNNING', by: 'admin' }] },
  ],
  ['recommendationExperimentStart', () => ({ experimentId: ids.experiment }), '{ status }', { status: 'RUNNING' }],
]

const INPUTS: Record<string, string> = {
  faqEntryApprove: 'FaqEntryActionInput',
  faqEntryReject: 'FaqEntryActionInput',
  faqEntryRetire: 'FaqEntryActionInput',
  audienceRebuild: 'AudienceActionInput',
  audienceArchive: 'AudienceActionInput',
  opinionActionDecide: 'OpinionActionInput',
  recommendationExperimentStart: 'RecommendationExperimentActionInput',
}

interface Tried {
  preview: unknown
  userErrors: { code: string; message: string }[]
}

const tried = async (name: string, input: object, answer: string): Promise<Tried> => {
  const type = INPUTS[name] ?? `${name[0].toUpperCase()}${name.slice(1)}Input`
  const query = `mutation($i: ${type}!) { m: ${name}(input: $i) { preview ${answer} userErrors { code message } } }`
  const { data, errors } = await house.as('admin').run(query, { i: { ...input, dryRun: true, idempotencyKey: 'a-try' } })
  expect(errors).toBeUndefined()
  return data!.m as unknown as Tried
}

/** Every row of every table but for the times that mere calls move. */
async function fingerprint(): Promise<unknown> {
  const { sql } = house.app.database
  const tables = await sql<{ name: string }>(
    `SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE' AND table_name <> 'StageReport' ORDER BY 1`,
  )
  const all = tables.map(
    ({ name }) =>
      `SELECT '${name}' AS name, count(*)::int, md5(string_agg(to_jsonb(t)::text, '' ORDER BY to_jsonb(t)::text)) FROM (SELECT to_jsonb(t) - 'lastUsedAt' AS t FROM "${name}" t) t`,
  )
  return sql(`${all.join(' UNION ALL ')} ORDER BY 1`)
}

test.each(cases)('%s tells what it would do, and does nothing of it', async (name, input, answer, preview) => {
  const before = await fingerprint()
  const answered = await tried(name, input(), answer)
  expect(answered).toEqual({ preview, userErrors: [] })
  expect(await fingerprint()).toEqual(before)
})

test.each<[string, () => object, string, string]>([
  ['faqEntryCreate', () => ({ question: 'Again?', externalId: 'why' }), '{ id }', 'DUPLICATE'],
  ['faqEntryApprove', () => ({ id: ids.empty }), '{ id }', 'INVALID'],
  ['faqEntryApprove', () => ({ id: ids.draft, expectedVersion: 7 }), '{ id }', 'VERSION_CONFLICT'],
  ['faqFeedback', () => ({ decisionId: encodeId('Decision', 'x'), helpful: true }), '', 'NOT_FOUND'],
  ['userMerge', () => ({ fromUserId: ids.kim, intoUserId: ids.cookie }), '{ creates }', 'POLICY_BLOCKED'],
  ['productDemote', () => ({ productId: ids.tea, expectedVersion: 7 }), '{ creates }', 'VERSION_CONFLICT'],
  ['audienceArchive', () => ({ audienceId: ids.audience, expectedVersion: 7 }), '{ size }', 'VERSION_CONFLICT'],
  ['placementRestore', () => ({ name: 'home', version: 9 }), '{ creates }', 'NOT_FOUND'],
  ['apiKeyCreate', () => ({ name: 'x', scopes: ['no:such'] }), '{ id }', 'INVALID'],
  ['opinionActionDecide', () => ({ alertId: ids.alert, action: 'DEMOTE' }), '{ id }', 'INVALID'],
])('a dry run of %s refuses what would be refused', async (name, input, answer, code) => {
  expect(await tried(name, input(), answer)).toMatchObject({ preview: null, userErrors: [{ code }] })
})

test('a merge that is tried tells nothing personal to keys without pii:read', async () => {
  const query = 'mutation($i: UserMergeInput!) { userMerge(input: $i) { preview { changes { field before after } } } }'
  const { data } = await house.as('marketer').run(query, { i: { fromUserId: ids.cookie, intoUserId: ids.kim, dryRun: true } })
  const { preview } = data!.userMerge as unknown as { preview: { changes: unknown[] } }
  expect(preview.changes).toContainEqual({ field: 'email', before: null, after: null })
  expect(JSON.stringify(preview)).not.toContain('kim@example.com')
})

test('productDemote minds the version that was seen', async () => {
  const demoted = async (expectedVersion: number, demoted = true) => {
    const query = 'mutation($i: ProductDemoteInput!) { productDemote(input: $i) { product { id } userErrors { code } } }'
    return (await house.as('marketer').run(query, { i: { productId: ids.tea, demoted, expectedVersion } })).data?.productDemote
  }
  expect(await demoted(7)).toEqual({ product: null, userErrors: [{ code: 'VERSION_CONFLICT' }] })
  expect(await demoted(1)).toEqual({ product: { id: ids.tea }, userErrors: [] })
  expect(await demoted(1, false)).toEqual({ product: null, userErrors: [{ code: 'VERSION_CONFLICT' }] })
})
