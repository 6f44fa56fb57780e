import { afterAll, describe, expect, test } from '@jest/globals'
import { algorithms } from '../../../src/algorithms/recommend/index.js'
import { startTestApp, type TestApp } from '../../support/app.js'
import { statementsOf } from '../../support/count-queries.js'
import { fillShop } from '../../support/shop.js'

interface List {
  servedBy: string
  fallbacks: string[]
  items: { score: number; product: { externalId: string }; reasons: { text: string }[] }[]
}

const houses: TestApp[] = []
afterAll(() => Promise.all(houses.map(house => house.close())))

const opened = async () => {
  const house = await startTestApp()
  houses.push(house)
  return house
}
const ask = async (house: TestApp, variables: Record<string, unknown>): Promise<List> => {
  const { data, errors } = await house.as('marketer').run(
    `query($user: String, $first: Int! = 5, $algorithm: RecommendationAlgorithm! = AUTO, $where: ProductWhere, $placement: String, $context: [String!]) {
      recommendations(userExternalId: $user, first: $first, algorithm: $algorithm, where: $where, placement: $placement, contextProductExternalIds: $context) {
        servedBy fallbacks items { score product { externalId } reasons { text } } } }`,
    variables,
  )
  expect(errors).toBeUndefined()
  return (data as never as { recommendations: List }).recommendations
}
const ids = ({ items }: List) => items.map(({ product }) => product.externalId)
const track = async (house: TestApp, events: object[]) => {
  const { data } = await house
    .as('ingest')
    .run('mutation($e: [EventInput!]!) { eventsTrack(input: { events: $e }) { accepted } }', { e: events })
  expect(data).toEqual({ eventsTrack: { accepted: events.length } })
}
/** Whatever guardrails make of it, which have a say of their own. */
const teach = async (house: TestApp, algorithm: string) => {
  const { models } = await house.app.trainer.train({ task: 'RECOMMENDATION', algorithm })
  await house.app.database.sql(`UPDATE "Model" SET status = 'APPROVED' WHERE id = $1`, [models[0].id])
}
const product = (house: TestApp, input: object) =>
  house.as('ingest').run('mutation($i: ProductUpsertInput!) { productUpsert(input: $i) { product { id } } }', { i: input })
/** Every list is full, or says why it is not, and has only finite scores. */
const holds = (list: List, first: number) => {
  if (list.items.length < first) expect(list.fallbacks.join('\n')).toMatch(/can be shown|leaves nothing|No product passes/)
  for (const { score } of list.items) expect(Number.isFinite(score)).toBe(true)
  expect(new Set(ids(list)).size).toBe(list.items.length)
}
const names = algorithms.map(({ name }) => name.toUpperCase().replaceAll('-', '_'))

describe('a catalogue of one product', () => {
  test('is shown to strangers, and whoever has it is told that there is no more', async () => {
    const house = await opened()
    await product(house, { externalId: 'only', title: 'The only one' })
    await track(house, [
      { userId: 'owner', productId: 'only', type: 'PURCHASE' },
      ...Array.from({ length: 120 }, (_, at) => ({ userId: `w${at}`, productId: 'only', type: 'VIEW' })),
    ])
    for (const { name } of algorithms.slice(1)) await teach(house, name)
    await house.app.liveModels.look()
    for (const algorithm of ['AUTO', ...names]) {
      const stranger = await ask(house, { algorithm })
      expect(ids(stranger)).toEqual(['only'])
      holds(stranger, 5)
      const owner = await ask(house, { user: 'owner', algorithm })
      if (algorithm !== 'REPEAT') expect(ids(owner)).toEqual([])
      holds(owner, 5)
    }
  }, 120_000)
})

describe('a shop where everybody rates everything alike', () => {
  test('has full lists by every algorithm, also for more than there are', async () => {
    const house = await opened()
    await fillShop(house)
    await house.app.database.sql('DELETE FROM "Event"')
    const raters = Array.from({ length: 40 }, (_, at) => `r${at}`)
    await track(
      house,
      raters.flatMap((userId, user) =>
        [0, 1, 2, 3].map(at => ({ userId, productId: `p${(user + at) % 12}`, type: 'RATING', value: 4, messageId: `${userId}-${at}` })),
      ),
    )
    // Nothing but what speaks against, and as much taken back as was bought.
    await track(house, [
      { userId: 'sour', productId: 'p1', type: 'RATING', value: 1 },
      { userId: 'back', productId: 'p1', type: 'PURCHASE', messageId: 'b-1' },
      { userId: 'back', productId: 'p1', type: 'REFUND', messageId: 'b-2' },
    ])
    for (const { name } of algorithms.slice(1)) await teach(house, name)
    await house.app.liveModels.look()
    for (const algorithm of ['AUTO', ...names]) {
      for (const user of ['r3', 'sour', 'back', 'nobody']) {
        const list = await ask(house, { user, algorithm })
        if (algorithm !== 'REPEAT') expect(list.items).toHaveLength(5)
        holds(list, 5)
        const all = await ask(house, { user, algorithm, first: 100 })
        if (algorithm !== 'REPEAT') expect(all.items.length).toBeGreaterThanOrEqual(8)
        expect(all.fallbacks.some(each => /of 100 can be shown/.test(each))).toBe(true)
      }
    }
    const unknown = await ask(house, { user: 'r3', where: { attributes: [{ name: 'flavour', value: 'mint' }] } })
    expect(unknown.items).toEqual([])
    expect(unknown.fallbacks.join()).toContain('no product has an attribute "flavour"')
  }, 240_000)
})

describe('a large catalogue', () => {
  test('is not read to find the few that pass a filter, and somebody with very many events is answered from the newest', async () => {
    const house = await opened()
    const { database } = house.app
    await database.sql(`INSERT INTO "Product" ("externalId", title, categories, brand, stock)
      SELECT 'g' || n, 'Thing ' || n, ARRAY['kind ' || n % 10], CASE WHEN n % 1000 = 7 THEN 'rare' ELSE 'common' END, 5 FROM generate_series(1, 4000) n`)
    await database.sql(`INSERT INTO "User" ("externalId", "updatedAt") SELECT 'u' || n, now() FROM generate_series(1, 400) n`)
    // Everybody knows a few; the first one has done something ten thousand times.
    await database.sql(`INSERT INTO "Event" ("messageId", "userId", "productId", type, "occurredAt")
      SELECT 'e' || n, u.id, p.id, 'VIEW', now() - n * interval '1 second' FROM generate_series(1, 14000) n
      JOIN "User" u ON u."externalId" = 'u' || (CASE WHEN n <= 10000 THEN 1 ELSE 1 + n % 400 END) JOIN "Product" p ON p."externalId" = 'g' || (1 + (n * 7919) % 4000)`)
    await teach(house, 'item-cf')
    await database.sql(`UPDATE "Model" SET status = 'LIVE' WHERE status = 'APPROVED'`)
    await house.app.liveModels.look()
    await house.app.placements.upsert({ name: 'test' }, {
      name: 'rare',
      rules: { filters: [{ name: 'rare', where: { brand: 'rare' } }] },
    } as never)
    for (const request of [{ where: { brand: 'rare' } }, { placement: 'rare' }]) {
      let list: List | undefined
      await database.sql('SELECT 1')
      house.app.catalogue.forget([])
      const read: number[] = []
      const statements = await statementsOf(async () => {
        list = await ask(house, { user: 'u5', first: 10, ...request })
      })
      for (const statement of statements) if (statement.includes('"Product" WHERE id = ANY')) read.push(1)
      expect(ids(list as List).sort()).toEqual(['g1007', 'g2007', 'g3007', 'g7'])
      expect(list?.fallbacks.join()).toMatch(/4 of 10 can be shown: .*\(3996\)/)
      expect(read.length).toBeLessThan(8)
    }
    // Nearly everything that can be recommended is of one brand; what is not stands far below.
    await house.app.placements.upsert({ name: 'test' }, {
      name: 'capped',
      rules: { caps: [{ by: 'BRAND', value: 'common', most: 2 }] },
    } as never)
    const capped = await ask(house, { user: 'u5', first: 6, placement: 'capped' })
    expect(capped.items).toHaveLength(6)
    expect(ids(capped)).toEqual(expect.arrayContaining(['g1007', 'g2007', 'g3007', 'g7']))
    const list = await ask(house, { user: 'u1', first: 10 })
    expect(list.items).toHaveLength(10)
    const seen = await database.sql<{ id: string }>(
      `SELECT DISTINCT p."externalId" AS id FROM (SELECT * FROM "Event" WHERE "userId" = (SELECT id FROM "User" WHERE "externalId" = 'u1') ORDER BY "occurredAt" DESC LIMIT 1000) e
       JOIN "Product" p ON p.id = e."productId"`,
    )
    expect(seen.filter(({ id }) => ids(list).includes(id))).toEqual([])
  }, 120_000)
})
