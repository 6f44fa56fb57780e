import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { eventually, startTestApp, type TestApp } from '../../support/app.js'

// Answers are read by tests, which know what they asked for.
// biome-ignore lint/suspicious/noExplicitAny: see above
type Any = any

let house: TestApp
/** 60 users with consent: the even ones buy p0 to p5 (Tea), the odd ones p6 to p11 (Books). */
beforeAll(async () => {
  house = await startTestApp({ threads: 1 })
  const events = []
  for (let user = 0; user < 60; user++)
    for (let step = 0; step < 5; step++)
      events.push({
        messageId: `${user}-${step}`,
        userId: `u${user}`,
        productId: `p${(user % 2) * 6 + ((user + step) % 6)}`,
        type: 'PURCHASE',
        price: 5,
        timestamp: Date.now() - (40 - 6 * step) * 86_400_000 + user * 1000,
      })
  await house.as('ingest').run('mutation($e: [EventInput!]!) { eventsTrack(input: { events: $e }) { accepted } }', { e: events })
  const { database, profiles } = house.app
  await database.sql(
    `UPDATE "Product" SET categories = CASE WHEN substr("externalId", 2)::int < 6 THEN ARRAY['Tea'] ELSE ARRAY['Books'] END`,
  )
  await database.sql(`INSERT INTO "Consent" ("userId", purpose, granted, at, source) SELECT id, 'ADS', true, now(), 'test' FROM "User"`)
  await profiles.refresh((await database.sql<{ id: number }>('SELECT id FROM "User"')).map(({ id }) => id))
  const trainer = await house.startWorker()
  const { id } = await house.app.jobs.enqueue('train-models', { task: 'RECOMMENDATION', approve: 'for the tests' })
  await eventually(async () => (await house.app.jobStore.get(id))?.state === 'COMPLETED', 60_000)
  // The first worker is gone, and with it whoever would refresh and score the profiles: these scores stay.
  await trainer.drain()
  await database.sql(
    `UPDATE "UserProfile" SET purchase = "userId" / 1000.0, "scoredAt" = now(), "refreshedAt" = now(), "segmentedAt" = now()`,
  )
  await house.startWorker()
}, 120_000)
afterAll(() => house.close())

async function run(query: string, variables: Record<string, unknown> = {}): Promise<Any> {
  const { data, errors } = await house.as('marketer').run(query, variables)
  if (errors) throw new Error(JSON.stringify(errors))
  return data
}
async function create(i: Record<string, unknown>): Promise<Any> {
  const { audienceCreate } = await run(
    'mutation($i: AudienceCreateInput!) { audienceCreate(input: $i) { audience { id } userErrors { message } } }',
    { i },
  )
  expect(audienceCreate.userErrors).toEqual([])
  return built(audienceCreate.audience.id)
}
function built(id: string): Promise<Any> {
  return eventually(async () => {
    const { audience } = await run(
      'query($id: ID!) { audience(id: $id) { id status failure size version jobId excluded { reason count } members(first: 100) { nodes { externalId } } } }',
      { id },
    )
    return audience.status !== 'BUILDING' && audience
  })
}
const keyOf = (id: string) => Buffer.from(id, 'base64url').toString().slice('Audience:'.length)
const parityOf = ({ members }: Any) => members.nodes.map(({ externalId }: Any) => Number(externalId.slice(1)) % 2)

test('those most likely to buy a product, or anything of a category, by the live recommendation model', async () => {
  const tea = await create({ name: 'Tea', category: 'Tea', limit: 20 })
  expect(tea).toMatchObject({ status: 'READY', failure: null, size: 20 })
  expect(parityOf(tea)).toEqual(Array(20).fill(0))
  const book = await create({ name: 'A book', productExternalId: 'p7', limit: 20 })
  expect(book).toMatchObject({ status: 'READY', size: 20 })
  expect(parityOf(book)).toEqual(Array(20).fill(1))
  await house.app.database.sql(`INSERT INTO "Product" ("externalId", title, categories) VALUES ('fresh', 'Fresh', ARRAY['Fresh'])`)
  expect(await create({ name: 'Unknown', category: 'Fresh' })).toMatchObject({
    status: 'FAILED',
    failure: expect.stringMatching(/knows none of these products/),
  })
}, 60_000)

test('bots, and those who saw enough ads, are left out and counted', async () => {
  const { database } = house.app
  const [{ id: user }] = await database.sql<{ id: number }>(`SELECT id FROM "User" WHERE "externalId" = 'u40'`)
  await database.sql(`UPDATE "UserProfile" SET "isBot" = true WHERE "userId" = $1`, [user])
  await database.sql(`INSERT INTO "BiddingStrategy" (id, name, type) VALUES ('s', 'S', 'MANUAL_CPC')`)
  await database.sql(
    `INSERT INTO "Campaign" (id, name, "budgetMicros", "budgetCurrencyCode", "biddingStrategyId") VALUES ('c', 'C', 1000000, 'EUR', 's')`,
  )
  await database.sql(`INSERT INTO "AdGroup" (id, "campaignId", name) VALUES (1, 'c', 'G')`)
  await database.sql(`INSERT INTO "Ad" (id, "adGroupId", headline) VALUES (1, 1, 'A')`)
  const seen = (externalId: string, times: number, hoursAgo: number) =>
    database.sql(
      `INSERT INTO "AdLogEntry" ("messageId", "adId", "userId", "occurredAt") SELECT $1 || n, 1, u.id, now() - make_interval(hours => $3) FROM "User" u, generate_series(1, $2::int) n WHERE u."externalId" = $1`,
      [externalId, times, hoursAgo],
    )
  await seen('u10', 3, 1)
  await seen('u12', 2, 1)
  await seen('u14', 9, 30)
  // What was shown to a visitor counts for the person who he turned out to be.
  await database.sql(
    `INSERT INTO "User" ("externalId", anonymous, "mergedIntoId") SELECT 'anonymous:u16', true, id FROM "User" WHERE "externalId" = 'u16'`,
  )
  await seen('u16', 1, 1)
  await seen('anonymous:u16', 2, 2)
  const audience = await create({ name: 'Rested', prediction: 'PURCHASE', frequencyCap: { impressions: 3, hours: 24 } })
  expect(audience).toMatchObject({
    size: 57,
    excluded: [
      { reason: 'BOT', count: 1 },
      { reason: 'FREQUENCY_CAP', count: 2 },
    ],
  })
  const members = audience.members.nodes.map(({ externalId }: Any) => externalId)
  expect(members).toEqual(expect.arrayContaining(['u12', 'u14']))
  expect(members).not.toContain('u10')
  expect(members).not.toContain('u16')
}, 60_000)

test('a campaign shows whom it addresses, which cannot be put away before it ends', async () => {
  const audience = await create({ name: 'Addressed', prediction: 'PURCHASE', limit: 12 })
  await house.app.database.sql(`UPDATE "Campaign" SET "audienceId" = $1 WHERE id = 'c'`, [keyOf(audience.id)])
  const id = Buffer.from('Campaign:c').toString('base64url')
  const CAMPAIGN = 'query($id: ID!) { campaign(id: $id) { audience { id name size } } }'
  expect(await run(CAMPAIGN, { id })).toEqual({ campaign: { audience: { id: audience.id, name: 'Addressed', size: 12 } } })
  const ARCHIVE = 'mutation($i: AudienceActionInput!) { audienceArchive(input: $i) { audience { id } userErrors { code message } } }'
  const i = { audienceId: audience.id, expectedVersion: audience.version }
  const refused = await run(ARCHIVE, { i })
  expect(refused.audienceArchive.userErrors).toEqual([{ code: 'ILLEGAL_TRANSITION', message: 'Campaigns need it: C' }])
  await house.app.database.sql(`UPDATE "Campaign" SET "audienceId" = NULL WHERE id = 'c'`)
  expect(await run(CAMPAIGN, { id })).toEqual({ campaign: { audience: null } })
  expect((await run(ARCHIVE, { i: { ...i, expectedVersion: 9 } })).audienceArchive.userErrors).toMatchObject([{ code: 'VERSION_CONFLICT' }])
  expect((await run(ARCHIVE, { i })).audienceArchive.userErrors).toEqual([])
  expect(await run('query($id: ID!) { audience(id: $id) { id } }', { id: audience.id })).toEqual({ audience: null })
  expect((await run('{ audiences(first: 50) { nodes { name } } }')).audiences.nodes.map(({ name }: Any) => name)).not.toContain('Addressed')
}, 60_000)

test('a part of a version that is no longer wanted leaves nothing; one that nobody is at is taken up by a job it points to', async () => {
  const { database, audiences, jobs, jobStore } = house.app
  const audience = await create({ name: 'Again', prediction: 'PURCHASE', limit: 12 })
  const key = keyOf(audience.id)
  await database.sql(`UPDATE "Audience" SET status = 'BUILDING', "createdAt" = now() - interval '1 hour' WHERE id = $1`, [key])
  // The version moves on after the part has begun.
  const overtaken = async () => {
    await database.sql('UPDATE "Audience" SET version = version + 1 WHERE id = $1', [key])
  }
  expect(await audiences.scoreRange(key, 1, { low: 1, high: 1_000 }, overtaken, new AbortController().signal)).toBe(0)
  expect(await database.sql('SELECT 1 FROM "AudienceShard"')).toEqual([])
  const { id } = await jobs.enqueue('resume-audiences', {})
  await eventually(async () => (await jobStore.get(id))?.state === 'COMPLETED')
  const again = await built(audience.id)
  expect(again).toMatchObject({ status: 'READY', size: 12, version: 2 })
  expect(again.jobId).not.toBe(audience.jobId)
  expect(await jobStore.get(Buffer.from(again.jobId, 'base64url').toString().slice('Job:'.length))).toMatchObject({
    name: 'build-audience',
    payload: { audienceId: key, version: 2 },
  })
}, 60_000)
