import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { retrainWhenChanged } from '../../../jobs/retrain-when-changed.js'
import { startTestApp, type TestApp } from '../../support/app.js'
import { fillShop } from '../../support/shop.js'

let house: TestApp
beforeAll(async () => {
  house = await startTestApp({ retrainShare: 0.5 })
  await fillShop(house)
}, 60_000)
afterAll(() => house.close())

const idOf = (type: string, key: string | number) => Buffer.from(`${type}:${key}`).toString('base64url')
const ask = (query: string, variables: Record<string, unknown> = {}) => house.as('marketer').run(query, variables)
type People = { user: { externalId: string }; score: number }[]
const people = async (query: string, variables: Record<string, unknown> = {}) => {
  const { data, errors } = await ask(
    `query${query.includes('$id') ? '($id: ID!)' : ''} { people: ${query} { user { externalId } score } }`,
    variables,
  )
  expect(errors).toBeUndefined()
  return (data as never as { people: People }).people
}
const productId = async (externalId: string) => idOf('Product', (await house.app.catalogue.byExternalId(externalId))?.key ?? 0)
const userId = async (externalId: string) => (await house.app.users.byExternalIds([externalId])).get(externalId)?.id ?? ''
const job = () =>
  retrainWhenChanged.run(house.app, {}, {
    jobId: undefined,
    signal: new AbortController().signal,
    progress: async () => {},
  } as never)

test('without a model nobody can be told apart, and nothing is taught again', async () => {
  const { errors } = await ask('{ usersFor(category: "tea") { score } }')
  expect(errors?.[0].message).toMatch(/No recommendation model is approved/)
  expect(await job()).toMatch(/No model for recommendations is live yet/)
})

describe('with a live model', () => {
  beforeAll(async () => {
    const { models } = await house.app.trainer.train({ task: 'RECOMMENDATION', algorithm: 'item-cf' })
    await house.app.modelsService.approve({ id: 'test', name: 'test' }, { modelId: idOf('Model', models[0].id) })
    await house.app.liveModels.look()
  }, 60_000)

  test('those who want a product are of its taste, have not bought it, and come best first', async () => {
    const found = await people('usersFor(productId: $id, first: 20)', { id: await productId('p1') })
    expect(found.length).toBeGreaterThan(3)
    const scores = found.map(({ score }) => score)
    expect(scores).toEqual([...scores].sort((a, b) => b - a))
    for (const { user } of found) {
      const number = Number(user.externalId.slice(1))
      expect(number % 2).toBe(0)
    }
    const owners = await house.app.database.sql<{ externalId: string }>(
      `SELECT u."externalId" FROM "Event" e JOIN "User" u ON u.id = e."userId" JOIN "Product" p ON p.id = e."productId" WHERE p."externalId" = 'p1'`,
    )
    const bought = new Set(owners.map(owner => owner.externalId))
    for (const { user } of found) expect(bought.has(user.externalId)).toBe(false)
  })

  test('of a category, those who lack something of it', async () => {
    const found = await people('usersFor(category: "tents", first: 5)')
    expect(found).toHaveLength(5)
    for (const { user } of found) expect(Number(user.externalId.slice(1)) % 2).toBe(1)
    expect(await people('usersFor(category: "no such")')).toEqual([])
  })

  test('alike are those who bought the same', async () => {
    const found = await people('similarUsers(userId: $id, first: 8)', { id: await userId('u0') })
    expect(found[0].score).toBeCloseTo(1, 6)
    expect(found.map(({ user }) => user.externalId)).not.toContain('u0')
    for (const { user } of found) expect(Number(user.externalId.slice(1)) % 2).toBe(0)
  })

  test('who refused personal treatment is not found, and finds nobody', async () => {
    const before = await people('similarUsers(userId: $id, first: 1)', { id: await userId('u0') })
    const [{ user }] = before
    await house.app.database.sql(
      `INSERT INTO "Consent" ("userId", purpose, granted, at, source) SELECT id, 'PERSONALISATION', false, now(), 'test' FROM "User" WHERE "externalId" = $1`,
      [user.externalId],
    )
    const after = await people('similarUsers(userId: $id, first: 60)', { id: await userId('u0') })
    expect(after.map(each => each.user.externalId)).not.toContain(user.externalId)
    expect(await people('similarUsers(userId: $id)', { id: await userId(user.externalId) })).toEqual([])
  })

  test.each([
    ['{ usersFor { score } }', /Give either productId or category/],
    ['{ usersFor(productId: "x", category: "tea") { score } }', /Give either/],
    ['{ usersFor(productId: "x") { score } }', /productId is not the id of a Product/],
    ['{ usersFor(category: "tea", first: 1000) { score } }', /first/],
    [`{ similarUsers(userId: "${idOf('User', 999_999)}") { score } }`, /No user has this id/],
  ])('%s is refused with a sentence', async (query, sentence) => {
    const { errors } = await ask(query)
    expect(errors?.[0].message).toMatch(sentence)
  })

  test('is taught again once enough has happened, and only then', async () => {
    expect(await job()).toMatch(/0 events and 0 products since item-cf v1 was taught; 150 or 200 are needed/)
    const events = Array.from({ length: 150 }, (_, at) => ({
      userId: `n${at % 30}`,
      productId: `p${at % 12}`,
      type: 'VIEW',
      messageId: `n-${at}`,
    }))
    await house.as('ingest').run('mutation($e: [EventInput!]!) { eventsTrack(input: { events: $e }) { accepted } }', { e: events })
    expect(await job()).toMatch(/150 events and 0 products since item-cf v1 was taught; 150 or 200 are needed\. Trained item-cf v2/)
    // The candidate waits for a person, and is not taught over and over meanwhile.
    expect(await job()).toMatch(/0 events and 0 products since item-cf v2 was taught/)
    // No more products than these can be recommended by what they are.
    await house.app.database.sql(
      `INSERT INTO "Product" ("externalId", title, "createdAt") SELECT 'late' || n, 'Late ' || n, now() + interval '1 second' FROM generate_series(1, 200) n`,
    )
    expect(await job()).toMatch(/0 events and 200 products since item-cf v2 was taught; .*Trained item-cf v3/)
  }, 60_000)
})
