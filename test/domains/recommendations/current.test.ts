import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { algorithms } from '../../../src/algorithms/recommend/index.js'
import { startTestApp, type TestApp } from '../../support/app.js'
import { fillShop } from '../../support/shop.js'

// The next request knows: what somebody just did, whatever the algorithm; and what came into the shop after the models were trained.
interface List {
  servedBy: string
  fallbacks: string[]
  decisionId: string
  items: {
    product: { externalId: string; categories: string[] }
    score: number
    reasons: { kind: string; text: string; weight: number }[]
  }[]
}

const names = algorithms.map(({ name }) => name)
let house: TestApp
beforeAll(async () => {
  house = await startTestApp()
  await fillShop(house)
  // Known to all models, and touched by nobody.
  await add({ externalId: 'untouched', title: 'Product untouched', categories: ['tents'] })
  const { models } = await house.app.trainer.train({ task: 'RECOMMENDATION' })
  for (const { id, algorithm } of models) {
    // Some are blocked by the guardrails in so small a shop; whether they should serve is not the question here.
    const status = algorithm === 'item-cf' ? 'LIVE' : 'APPROVED'
    await house.app.database.sql('UPDATE "Model" SET status = $2::"ModelStatus" WHERE id = $1', [id, status])
  }
  await house.app.liveModels.look()
}, 120_000)
afterAll(() => house.close())

const enumOf = (name: string) => name.toUpperCase().replaceAll('-', '_')
const ask = async (variables: object): Promise<List> => {
  const { data, errors } = await house.as('marketer').run(
    `query($user: String, $algorithm: RecommendationAlgorithm! = AUTO, $first: Int! = 4, $excludeSeen: Boolean! = true, $where: ProductWhere) {
       recommendations(userExternalId: $user, algorithm: $algorithm, first: $first, excludeSeen: $excludeSeen, where: $where)
         { servedBy fallbacks decisionId items { score product { externalId categories } reasons { kind text weight } } } }`,
    variables as Record<string, unknown>,
  )
  expect(errors).toBeUndefined()
  return (data as never as { recommendations: List }).recommendations
}
const track = async (user: string, product: string, type = 'PURCHASE') => {
  await house.as('ingest').run('mutation($e: [EventInput!]!) { eventsTrack(input: { events: $e }) { accepted } }', {
    e: [{ userId: user, productId: product, type }],
  })
}
const add = async (facts: object) => {
  const { data } = await house
    .as('ingest')
    .run('mutation($i: ProductUpsertInput!) { productUpsert(input: $i) { userErrors { message } } }', { i: facts })
  expect(data).toEqual({ productUpsert: { userErrors: [] } })
}
const rulesOf = async ({ decisionId: id }: List): Promise<string[]> => {
  const { data } = await house.as('marketer').run('query($id: ID!) { decision(id: $id) { rules } }', { id })
  return (data as never as { decision: { rules: string[] } }).decision.rules
}
const tastes = ({ items }: List) => items.map(({ product }) => product.categories[0])

test('every algorithm is asked here', () => {
  expect(names.length).toBeGreaterThanOrEqual(11)
})

// What everybody gets alike takes no notice of anybody.
const personal = names.filter(name => !['popularity', 'trending'].includes(name))
test.each(personal)('%s: the next request reflects an event, and one that came after it', async name => {
  const user = `folded-${name}`
  const algorithm = enumOf(name)
  const wish = { user, algorithm, excludeSeen: name !== 'repeat', first: name === 'repeat' ? 1 : 3 }
  await track(user, 'p7', 'VIEW')
  const tents = await ask(wish)
  expect(tents.servedBy).toMatch(new RegExp(`^${name} v`))
  expect(tents.items.length).toBe(wish.first)
  expect(new Set(tastes(tents))).toEqual(new Set(['tents']))
  for (const bought of ['p1', 'p2', 'p3']) await track(user, bought)
  const mixed = await ask(wish)
  expect(tastes(mixed)[0]).toBe('tea')
})

test.each(['popularity', 'trending'])('%s answers a stranger with a full list and says why it is nothing personal', async name => {
  const list = await ask({ user: `stranger-${name}`, algorithm: enumOf(name), first: 12 })
  expect(list.items.length).toBe(12)
  expect(list.fallbacks[0]).toMatch(/unknown/)
})

test.each(names)('%s: a product that came after the training is shown to whom it suits, at once, with the reason', async name => {
  const user = `early-${name}`
  await track(user, 'p7')
  await track(user, 'p8')
  const id = `new-${name}`
  await add({
    externalId: id,
    title: 'Product of the new season',
    categories: ['tents'],
    price: { amountMicros: '8000000', currencyCode: 'EUR' },
  })
  const personal = !['popularity', 'trending', 'repeat'].includes(name)
  const algorithm = personal ? enumOf(name) : 'AUTO'
  const list = await ask({ user, algorithm, first: 30 })
  const found = list.items.find(({ product: { externalId } }) => externalId === id)
  expect(found).toMatchObject({ reasons: [{ kind: 'content', text: expect.stringMatching(/^New, and like /), weight: found?.score }] })
  // It does not stand above all that behaviour speaks for, nor below the other taste.
  expect(list.items.findIndex(({ product }) => product.categories[0] === 'tea')).toBeGreaterThan(list.items.indexOf(found as never))
  await add({ externalId: id, title: 'Product of the new season', stock: 0 })
  expect((await ask({ user, algorithm, first: 30 })).items.map(({ product: { externalId } }) => externalId)).not.toContain(id)
})

test.each(personal.filter(name => name !== 'repeat'))(
  '%s: a product that nobody had touched at the training is as new as before it',
  async name => {
    const user = `first-${name}`
    await track(user, 'p7')
    await track(user, 'p8')
    const list = await ask({ user, algorithm: enumOf(name), first: 30 })
    const at = list.items.findIndex(({ product: { externalId } }) => externalId === 'untouched')
    expect(list.items[at].reasons[0].kind).toBe('content')
    expect(list.items[at].score).toBeGreaterThan(0)
    const tea = list.items.findIndex(({ product }) => product.categories[0] === 'tea')
    expect(at).toBeLessThan(tea < 0 ? 30 : tea)
  },
)

test('a new product that somebody has is not recommended to him again', async () => {
  await track('early-bird', 'p7')
  await add({ externalId: 'new-had', title: 'Product of the new season', categories: ['tents'] })
  const shown = async () => (await ask({ user: 'early-bird', first: 30 })).items.map(({ product: { externalId } }) => externalId)
  expect(await shown()).toContain('new-had')
  await track('early-bird', 'new-had')
  expect(await shown()).not.toContain('new-had')
})

test('a filter holds for new products too', async () => {
  await track('filterer', 'p7')
  await add({
    externalId: 'new-filtered',
    title: 'Dear tent',
    categories: ['tents'],
    price: { amountMicros: '90000000', currencyCode: 'EUR' },
  })
  const list = await ask({ user: 'filterer', first: 30, where: { priceMaxMicros: '20000000' } })
  expect(list.items.map(({ product: { externalId } }) => externalId)).not.toContain('new-filtered')
})

describe('what somebody did with products that came after the training', () => {
  beforeAll(async () => {
    for (const [externalId, category] of [
      ['late-tent', 'tents'],
      ['late-tea', 'tea'],
    ])
      await add({ externalId, title: `Product ${externalId}`, categories: [category] })
    await add({ externalId: 'late-odd', title: 'Something else', categories: ['oddities'] })
  })

  test.each(personal.filter(name => name !== 'repeat'))('%s reflects it by what those are like, and says so', async name => {
    const user = `late-${name}`
    await track(user, 'late-tent')
    const list = await ask({ user, algorithm: enumOf(name), first: 3 })
    expect(list.servedBy).toMatch(new RegExp(`^${name} v`))
    expect(new Set(tastes(list))).toEqual(new Set(['tents']))
    expect(list.items.map(({ product }) => product.externalId)).not.toContain('late-tent')
    for (const { score, reasons } of list.items) expect(reasons.reduce((sum, { weight }) => sum + weight, 0)).toBeCloseTo(score, 6)
    const rules = await rulesOf(list)
    expect(rules).toContainEqual(expect.stringMatching(/^late-tent came after the training: p\d+, p\d+, p\d+ stand for it$/))
    await track(user, 'late-tea')
    await track(user, 'p0')
    expect(tastes(await ask({ user, algorithm: enumOf(name), first: 12 }))).toContain('tea')
  })

  test('what stands for a new product may be shown, what was seen may not', async () => {
    await track('late-both', 'late-tent')
    await track('late-both', 'p6')
    const shown = (await ask({ user: 'late-both', first: 30 })).items.map(({ product }) => product.externalId)
    expect(shown).toEqual(expect.arrayContaining(['p7', 'p8', 'p9', 'p10', 'p11']))
    expect(shown).not.toContain('p6')
    expect(shown).not.toContain('late-tent')
  })

  test('it is bought again', async () => {
    await track('late-buyer', 'late-tent')
    await house.app.database.sql(`UPDATE "Model" SET status = 'BLOCKED' WHERE algorithm = 'repeat'`)
    await house.app.liveModels.look()
    const list = await ask({ user: 'late-buyer', algorithm: 'REPEAT', excludeSeen: false, first: 1 })
    expect(list).toMatchObject({ servedBy: "repeat (the user's own)", items: [{ product: { externalId: 'late-tent' } }] })
  })

  test('where nothing is like it, what is popular is not passed off as personal', async () => {
    await track('late-stranger', 'late-odd')
    const list = await ask({ user: 'late-stranger', first: 3 })
    expect(list.servedBy).toBe('popularity (baseline)')
    expect(list.fallbacks).toEqual(['item-cf v1 can tell nothing from what this user did: the answer is what is popular'])
    expect(list.items.length).toBe(3)
  })

  test('its page shows what is like it, and who would want it is known', async () => {
    const { data } = await house
      .as('marketer')
      .run('{ product(externalId: "late-tent") { id similar(first: 4) { rank score product { categories } reasons { text } } } }')
    const { id, similar } = (data as never as { product: { id: string; similar: { score: number }[] } }).product
    expect(similar).toMatchObject(
      Array.from({ length: 4 }, (_, at) => ({
        rank: at + 1,
        product: { categories: ['tents'] },
        reasons: [{ text: 'Like Product late-tent' }],
      })),
    )
    const people = await house
      .as('marketer')
      .run('query($id: ID) { usersFor(productId: $id, first: 5) { score user { externalId } } }', { id })
    const found = (people.data as never as { usersFor: { user: { externalId: string } }[] }).usersFor
    expect(found.length).toBe(5)
    for (const { user } of found) expect(user.externalId).toMatch(/^u\d*[13579]$|^(folded|early|filterer)/)
  })
})
