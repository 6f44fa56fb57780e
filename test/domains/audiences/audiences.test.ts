import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { eventually, startTestApp, type TestApp } from '../../support/app.js'

let house: TestApp
/** 60 users: the even ones buy often, the odd ones look; all but u0 and u1 consent to ads, u1 refuses. */
beforeAll(async () => {
  house = await startTestApp()
  const events = Array.from({ length: 60 }, (_, user) =>
    Array.from({ length: 3 }, (_, n) => ({
      messageId: `e${user}-${n}`,
      userId: `u${user}`,
      type: user % 2 === 0 ? 'PURCHASE' : 'VIEW',
      productId: `p${user % 2}`,
      price: 5 + (user % 7),
      timestamp: Date.now() - (n + 1) * 86_400_000,
    })),
  ).flat()
  for (let at = 0; at < events.length; at += 90)
    await house.as('ingest').run('mutation($e: [EventInput!]!) { eventsTrack(input: { events: $e }) { accepted } }', {
      e: events.slice(at, at + 90),
    })
  const { database, profiles } = house.app
  await database.sql(`INSERT INTO "Consent" ("userId", purpose, granted, at, source)
    SELECT id, 'ADS', "externalId" <> 'u1', now(), 'test' FROM "User" WHERE "externalId" <> 'u0'`)
  await profiles.refresh((await database.sql<{ id: number }>('SELECT id FROM "User"')).map(({ id }) => id))
  // Scores of a model that is not there; the worker finds nobody left to refresh or to score, so they stay.
  await database.sql(`UPDATE "UserProfile" SET purchase = "userId" / 1000.0, "scoredAt" = now()`)
  await house.startWorker()
}, 60_000)
afterAll(() => house.close())

// Answers are read by tests, which know what they asked for.
// biome-ignore lint/suspicious/noExplicitAny: see above
type Any = any

const FIELDS = `id name source status failure size version auc similarityCurve { share seedShare similarity } excluded { reason count }
  members(first: 100) { totalCount nodes { externalId } }`
const CREATE = `mutation($i: AudienceCreateInput!) { audienceCreate(input: $i) { audience { id jobId status } job { id name } preview { size excluded { reason count } } idempotentReplay userErrors { code field message } } }`

async function run(query: string, variables: Record<string, unknown> = {}): Promise<Any> {
  const { data, errors } = await house.as('marketer').run(query, variables)
  if (errors) throw new Error(JSON.stringify(errors))
  return data
}
async function built(id: string): Promise<Any> {
  return eventually(async () => {
    const { audience } = await run(`query($id: ID!) { audience(id: $id) { ${FIELDS} } }`, { id })
    return audience.status !== 'BUILDING' && audience
  })
}
async function create(input: Record<string, unknown>): Promise<Any> {
  const { audienceCreate } = await run(CREATE, { i: input })
  expect(audienceCreate.userErrors).toEqual([])
  expect(audienceCreate.job).toEqual({ id: audienceCreate.audience.jobId, name: 'build-audience' })
  return built(audienceCreate.audience.id)
}
async function buyers(): Promise<Any> {
  const { segmentCreate } = await run(
    'mutation($i: SegmentCreateInput!) { segmentCreate(input: $i) { segment { id } userErrors { message } } }',
    { i: { name: 'Buyers', rule: { did: { type: 'PURCHASE', atLeast: 1 } } } },
  )
  const { id } = segmentCreate.segment
  await eventually(async () => {
    const { segment } = await run('query($id: ID!) { segment(id: $id) { status size } }', { id })
    return segment.status === 'READY' && segment.size === 30
  })
  return id
}

test('a segment becomes an audience without those who must not be addressed', async () => {
  const segmentId = await buyers()
  await run('mutation { suppressionSet(input: { userExternalIds: ["u2"], reason: "asked us to stop" }) { count userErrors { message } } }')
  const dry = await run(CREATE, { i: { name: 'Buyers', segmentId, dryRun: true } })
  const excluded = [
    { reason: 'CONSENT_MISSING', count: 1 },
    { reason: 'SUPPRESSED', count: 1 },
  ]
  expect(dry.audienceCreate.preview.size).toBe(28)
  expect(dry.audienceCreate.preview.excluded).toEqual(expect.arrayContaining(excluded))
  const audience = await create({ name: 'Buyers', segmentId })
  expect(audience).toMatchObject({ source: 'SEGMENT', status: 'READY', failure: null, size: 28, excluded, members: { totalCount: 28 } })
  const { audiences } = await run('{ audiences { totalCount nodes { id name } } }')
  expect(audiences.nodes.map(({ id }: Any) => id)).toContain(audience.id)

  const small = await create({ name: 'Too few', segmentId, minimumSize: 29 })
  expect(small).toMatchObject({ size: 0, members: { totalCount: 0 } })
  expect(small.excluded).toContainEqual({ reason: 'TOO_SMALL', count: 28 })

  const like = await create({ name: 'Like buyers', seedAudienceId: audience.id, share: 1, minimumSize: 0 })
  expect(like).toMatchObject({ source: 'LOOKALIKE', status: 'READY', failure: null })
  // Those two buyers who were left out of the seed are the most like it, but must not be addressed; nor is the seed in its own look-alike.
  expect(like.excluded).toEqual(
    expect.arrayContaining([
      { reason: 'SUPPRESSED', count: 1 },
      { reason: 'CONSENT_REFUSED', count: 1 },
    ]),
  )
  expect(like.members.nodes.every(({ externalId }: Any) => Number(externalId.slice(1)) % 2 === 1)).toBe(true)
  expect(like.auc).toBeGreaterThan(0.9)
  expect(like.similarityCurve.at(-1)).toMatchObject({ share: 1, seedShare: 1 })
}, 90_000)

test('the best by a prediction, best first; a rebuild follows new scores and a killed attempt doubles nobody', async () => {
  const audience = await create({ name: 'Likely', prediction: 'PURCHASE', limit: 12, idempotencyKey: 'likely' })
  expect(audience).toMatchObject({ source: 'MODEL_SCORE', size: 12, members: { totalCount: 12 } })
  const best = await house.app.database.sql<{ externalId: string }>(
    `SELECT "externalId" FROM "User" u WHERE NOT EXISTS (SELECT 1 FROM "Suppression" s WHERE s."userId" = u.id)
       AND EXISTS (SELECT 1 FROM "Consent" c WHERE c."userId" = u.id AND c.granted) ORDER BY id DESC LIMIT 12`,
  )
  expect(audience.members.nodes).toEqual(best)
  const row = { low: 1, high: 1_000_000 }
  const key = Buffer.from(audience.id, 'base64url').toString().split(':').at(-1) as string
  await house.app.database.sql(`UPDATE "Audience" SET status = 'BUILDING' WHERE id = $1`, [key])
  const free = async () => {}
  for (let attempt = 0; attempt < 2; attempt++) await house.app.audiences.scoreRange(key, 1, row, free, new AbortController().signal)
  expect(await house.app.audiences.merge(key, 1, free)).toMatch(/has 12 members/)
  const again = await run(
    'mutation($id: ID!) { audienceRebuild(input: { audienceId: $id, expectedVersion: 7 }) { userErrors { code } } }',
    { id: audience.id },
  )
  expect(again.audienceRebuild.userErrors).toEqual([{ code: 'VERSION_CONFLICT' }])
}, 60_000)

test('a dry run leaves out whom the building leaves out: those as good as the last who belongs', async () => {
  for (const ascending of [false, true]) {
    const input = { name: 'Some', prediction: 'PURCHASE', ascending, limit: 12 }
    const { audienceCreate } = await run(CREATE, { i: { ...input, dryRun: true } })
    const { size, excluded } = await create(input)
    expect(audienceCreate.preview).toEqual({ size, excluded })
    expect(excluded).toHaveLength(ascending ? 3 : 0)
  }
}, 60_000)

test('what cannot be built says why', async () => {
  const one = await create({ name: 'One', prediction: 'PURCHASE', limit: 1, minimumSize: 0 })
  const like = await create({ name: 'Like one', seedAudienceId: one.id })
  expect(like).toMatchObject({ status: 'FAILED', size: 0 })
  expect(like.failure).toMatch(/Of the 1 members of the seed, 1 have a profile/)
  const refused = async (i: Record<string, unknown>) => (await run(CREATE, { i: { name: 'x', ...i } })).audienceCreate.userErrors
  expect(await refused({})).toMatchObject([{ code: 'INVALID' }])
  expect(await refused({ prediction: 'CHURN', category: 'shoes' })).toMatchObject([{ code: 'INVALID' }])
  expect(await refused({ category: 'no such' })).toMatchObject([{ code: 'NOT_FOUND', field: ['category'] }])
  expect(await refused({ prediction: 'CHURN', share: 2 })).toMatchObject([{ code: 'INVALID', field: ['share'] }])
}, 60_000)
