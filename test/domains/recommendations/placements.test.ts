import { isDeepStrictEqual } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { eventually, startTestApp, type TestApp } from '../../support/app.js'
import { fillShop } from '../../support/shop.js'

interface Item {
  rank: number
  score: number
  product: { externalId: string; categories: string[]; brand: string | null }
  reasons: { kind: string; text: string; weight: number }[]
}
interface List {
  servedBy: string
  fallbacks: string[]
  decisionId: string
  items: Item[]
}
interface Payload {
  userErrors: { code: string; field: string[] | null; message: string }[]
  idempotentReplay: boolean
  placement: {
    id: string
    name: string
    version: number
    rules: Record<string, unknown>
    versions: { version: number; changedBy: string }[]
  } | null
  preview: {
    creates: boolean
    changes: { field: string }[]
    userExternalId: string
    before: List
    after: List & { rules: string[]; dropped: Dropped }
  } | null
}
interface Dropped {
  counts: Record<string, number>
  examples: { item: string; reason: string }[]
}

let house: TestApp
beforeAll(async () => {
  house = await startTestApp()
  await fillShop(house)
  const { models } = await house.app.trainer.train({ task: 'RECOMMENDATION', algorithm: 'item-cf' })
  await house.app.modelsService.approve(
    { id: 'test', name: 'test' },
    { modelId: Buffer.from(`Model:${models[0].id}`).toString('base64url') },
  )
  await house.app.liveModels.look()
}, 60_000)
afterAll(() => house.close())

const ITEMS = 'items { rank score product { externalId categories brand } reasons { kind text weight } }'
const ask = async (variables: object): Promise<List> => {
  const { data, errors } = await house.as('marketer').run(
    `query($user: String, $placement: String, $first: Int! = 5, $context: [String!], $where: ProductWhere, $diversity: Float! = 0, $excludeSeen: Boolean! = true) {
       recommendations(userExternalId: $user, placement: $placement, first: $first, contextProductExternalIds: $context, where: $where, diversity: $diversity, excludeSeen: $excludeSeen)
         { servedBy fallbacks decisionId ${ITEMS} } }`,
    variables as Record<string, unknown>,
  )
  expect(errors).toBeUndefined()
  return (data as never as { recommendations: List }).recommendations
}
const why = async (id: string) => {
  const { data } = await house
    .as('marketer')
    .run('query($id: ID!) { decision(id: $id) { rules dropped contributions { feature value weight } } }', { id })
  return (
    data as never as {
      decision: { rules: string[]; dropped: Dropped; contributions: { feature: string; value: string; weight: number }[] }
    }
  ).decision
}
const upsert = async (input: object, kind: 'marketer' | 'campaign' = 'marketer'): Promise<Payload> => {
  const { data, errors } = await house.as(kind).run(
    `mutation($i: PlacementUpsertInput!) { placementUpsert(input: $i) { userErrors { code field message } idempotentReplay
       placement { id name version rules { algorithm diversity boosts { name factor where { category priceMinMicros } } } versions { version changedBy } }
       preview { creates changes { field } userExternalId before { servedBy fallbacks ${ITEMS} } after { servedBy fallbacks rules dropped ${ITEMS} } } } }`,
    { i: input },
  )
  if (errors) throw new Error(errors[0].message)
  return (data as never as { placementUpsert: Payload }).placementUpsert
}
const rule = async (name: string, rules: object) => {
  const { userErrors, placement } = await upsert({ name, rules })
  expect(userErrors).toEqual([])
  return placement as NonNullable<typeof placement>
}
const track = async (user: string, product: string, type = 'VIEW') => {
  const { data } = await house.as('ingest').run('mutation($e: [EventInput!]!) { eventsTrack(input: { events: $e }) { accepted } }', {
    e: [{ userId: user, productId: product, type }],
  })
  expect(data).toEqual({ eventsTrack: { accepted: 1 } })
}
const product = async (facts: object) => {
  const { data } = await house
    .as('ingest')
    .run('mutation($i: ProductUpsertInput!) { productUpsert(input: $i) { userErrors { message } } }', { i: facts })
  expect(data).toEqual({ productUpsert: { userErrors: [] } })
}
const ids = ({ items }: { items: Item[] }) => items.map(({ product: { externalId } }) => externalId)

describe('the life of a placement', () => {
  test('is created, changed, seen in every version, brought back and put away', async () => {
    const made = await upsert({ name: 'home', description: 'First page', rules: { diversity: 0.2 }, idempotencyKey: 'home-1' })
    expect(made).toMatchObject({ userErrors: [], placement: { name: 'home', version: 1, rules: { algorithm: 'AUTO', diversity: 0.2 } } })
    expect(await upsert({ name: 'home', description: 'First page', rules: { diversity: 0.2 }, idempotencyKey: 'home-1' })).toMatchObject({
      idempotentReplay: true,
      placement: { version: 1 },
    })
    expect((await upsert({ name: 'home', idempotencyKey: 'home-1' })).userErrors[0].code).toBe('IDEMPOTENCY_KEY_REUSED')
    const changed = await upsert({ name: 'home', rules: { diversity: 0.4 }, expectedVersion: 1 })
    expect(changed.placement).toMatchObject({ version: 2, versions: [{ version: 2, changedBy: 'marketer' }, { version: 1 }] })
    expect((await upsert({ name: 'home', rules: {}, expectedVersion: 1 })).userErrors[0]).toMatchObject({
      code: 'VERSION_CONFLICT',
      field: ['expectedVersion'],
    })
    expect((await upsert({ name: 'home', rules: { diversity: 0.4 } })).placement?.version).toBe(2)
    const act = (name: string, input: object) =>
      house
        .as('marketer')
        .run(
          `mutation($i: ${name[0].toUpperCase()}${name.slice(1)}Input!) { ${name}(input: $i) { userErrors { code message } placement { version archivedAt rules { diversity } } } }`,
          { i: input },
        )
    expect((await act('placementRestore', { name: 'home', version: 1 })).data).toMatchObject({
      placementRestore: { placement: { version: 3, archivedAt: null, rules: { diversity: 0.2 } } },
    })
    expect((await act('placementRestore', { name: 'home', version: 9 })).data).toMatchObject({
      placementRestore: { userErrors: [{ code: 'NOT_FOUND' }] },
    })
    expect((await ask({ user: 'u0', placement: 'home' })).fallbacks.join()).not.toContain('placement')
    expect((await act('placementArchive', { name: 'home' })).data).toMatchObject({ placementArchive: { placement: { version: 4 } } })
    expect((await ask({ user: 'u0', placement: 'home' })).fallbacks).toContain('The placement "home" is archived: no rules were applied')
  })

  test('of two that write at once from the same version one is refused', async () => {
    await rule('race', {})
    const outcomes = await Promise.all([1, 2, 3, 4].map(n => upsert({ name: 'race', rules: { diversity: n / 10 }, expectedVersion: 1 })))
    expect(outcomes.filter(({ placement }) => placement).length).toBe(1)
    expect(outcomes.flatMap(({ userErrors }) => userErrors.map(({ code }) => code))).toEqual(Array(3).fill('VERSION_CONFLICT'))
  })

  test('money in a rule comes back as it went in', async () => {
    const rich = '9000000000000000'
    const { rules } = await rule('money', { boosts: [{ name: 'dear', where: { priceMinMicros: rich }, factor: 2 }] })
    expect(rules).toMatchObject({ boosts: [{ name: 'dear', where: { priceMinMicros: expect.anything() } }] })
    expect(String((rules.boosts as { where: { priceMinMicros: unknown } }[])[0].where.priceMinMicros)).toBe(rich)
  })

  test.each<[object, string]>([
    [{ name: 'Home Page' }, 'name'],
    [{ name: '' }, 'name'],
    [{ name: 'x'.repeat(5_000) }, 'name'],
    [{ name: 'bad', rules: { diversity: 1.5 } }, 'rules.diversity'],
    [{ name: 'bad', rules: { minimumStock: -1 } }, 'rules.minimumStock'],
    [{ name: 'bad', rules: { boosts: [{ name: 'b', where: {}, factor: 2 }] } }, 'rules.boosts.0.where'],
    [{ name: 'bad', rules: { boosts: [{ name: 'b', where: { category: 'tea' }, factor: -2 }] } }, 'rules.boosts.0.factor'],
    [
      { name: 'bad', rules: { filters: Array.from({ length: 21 }, (_, at) => ({ name: `f${at}`, where: { brand: 'x' } })) } },
      'rules.filters',
    ],
    [
      {
        name: 'bad',
        rules: {
          filters: [
            { name: 'a', where: { brand: 'x' } },
            { name: 'a', where: { brand: 'y' } },
          ],
        },
      },
      'rules.filters',
    ],
    [{ name: 'bad', rules: { pins: [{ productExternalId: 'p1', position: 0 }] } }, 'rules.pins.0.position'],
    [
      {
        name: 'bad',
        rules: {
          pins: [
            { productExternalId: 'p1', position: 1 },
            { productExternalId: 'p2', position: 1 },
          ],
        },
      },
      'rules.pins',
    ],
    [{ name: 'bad', rules: { caps: [{ by: 'BRAND', most: -1 }] } }, 'rules.caps.0.most'],
    [{ name: 'bad', rules: { excludeShownDays: 100_000 } }, 'rules.excludeShownDays'],
    [{ name: 'bad', expectedVersion: 3 }, 'name'],
    [{ name: 'bad', description: 'a\u0000b' }, 'description'],
  ])('%#: bad input is refused, names its field and stores nothing', async (input, field) => {
    const { userErrors, placement } = await upsert(input)
    expect(placement ?? null).toBeNull()
    expect(userErrors[0].field?.join('.')).toBe(field)
    expect((await house.as('marketer').run('{ placement(name: "bad") { id } }')).data).toEqual({ placement: null })
  })

  test('who may only read may not steer', async () => {
    await expect(upsert({ name: 'mine' }, 'campaign')).rejects.toThrow('recommendations:write')
  })

  test('placements are a list with cursors, and found by id', async () => {
    const page = '{ placements(first: 1) { totalCount pageInfo { hasNextPage endCursor } nodes { id name } } }'
    const { data } = await house.as('campaign').run(page)
    const { placements } = data as never as {
      placements: { totalCount: number; pageInfo: { endCursor: string }; nodes: { id: string; name: string }[] }
    }
    expect(placements.totalCount).toBeGreaterThan(1)
    const next = await house
      .as('campaign')
      .run('query($a: String) { placements(after: $a) { nodes { name } } }', { a: placements.pageInfo.endCursor })
    expect(JSON.stringify(next.data)).not.toContain(`"${placements.nodes[0].name}"`)
    const node = await house
      .as('campaign')
      .run('query($i: ID!) { node(id: $i) { ... on Placement { name } } }', { i: placements.nodes[0].id })
    expect(node.data).toEqual({ node: { name: placements.nodes[0].name } })
  })
})

describe('what rules do', () => {
  test('a name without a placement is answered, and says that no rules were applied', async () => {
    const [plain, named] = [await ask({ user: 'u0' }), await ask({ user: 'u0', placement: 'nowhere' })]
    expect(ids(named)).toEqual(ids(plain))
    expect(named.fallbacks).toContain('No placement is named "nowhere": no rules were applied')
  })

  test('a boost lifts by exactly its factor, also from far below, and its part stands in the reasons and in the decision', async () => {
    const before = await ask({ user: 'u0', first: 12, excludeSeen: false })
    const last = before.items.findLast(({ score, product: { categories } }) => score > 0 && categories[0] === 'tea') as Item
    await rule('boosted', { excludeSeen: false, boosts: [{ name: 'hero', where: { search: last.product.externalId }, factor: 50 }] })
    const after = await ask({ user: 'u0', first: 3, placement: 'boosted' })
    expect(after.items[0].product.externalId).toBe(last.product.externalId)
    expect(after.items[0].score).toBeCloseTo(50 * last.score, 6)
    expect(after.items[0].reasons).toContainEqual({ kind: 'rule', text: 'Boost "hero": × 50', weight: expect.closeTo(49 * last.score, 6) })
    const { rules, contributions } = await why(after.decisionId)
    expect(rules).toEqual(expect.arrayContaining(['Placement "boosted" version 1', expect.stringMatching(/^Boost "hero": × 50: 1 of/)]))
    const [total, ...parts] = contributions.filter(({ feature }) => feature === last.product.externalId)
    expect(parts.reduce((sum, { weight }) => sum + weight, 0)).toBeCloseTo(total.weight, 4)
  })

  test('a pin has its place, and one that cannot be shown says why', async () => {
    await product({ externalId: 'p11', title: 'Product p11', stock: 0 })
    await rule('pinned', {
      pins: [
        { productExternalId: 'p9', position: 2 },
        { productExternalId: 'p11', position: 1 },
        { productExternalId: 'gone', position: 3 },
      ],
    })
    const list = await ask({ user: 'u0', first: 4, placement: 'pinned' })
    expect(ids(list)[1]).toBe('p9')
    expect(list.items[1].reasons).toContainEqual({ kind: 'rule', text: 'Pinned to position 2', weight: 0 })
    expect(ids(list)).not.toContain('p11')
    const { rules, dropped } = await why(list.decisionId)
    expect(rules).toEqual(expect.arrayContaining(['p11: pinned, but out of stock', 'gone: pinned, but not in the catalogue']))
    expect(dropped.examples).toContainEqual({ item: 'p11', reason: 'pinned, but out of stock' })
    await product({ externalId: 'p11', title: 'Product p11', stock: null })
  })

  test('a pin keeps its place also in a list that had to be filled up', async () => {
    await rule('pinned-deep', { pins: [{ productExternalId: 'p9', position: 4 }] })
    const list = await ask({ user: 'u0', first: 6, placement: 'pinned-deep' })
    expect(list.fallbacks.join()).toContain('Filled up')
    expect(ids(list)[3]).toBe('p9')
    expect(list.items.map(({ rank }) => rank)).toEqual([1, 2, 3, 4, 5, 6])
  })

  test('what a person demoted stands last, whatever is capped or mixed', async () => {
    await rule('wide', { caps: [{ by: 'CATEGORY', most: 6 }] })
    const requests = [{ placement: 'wide' }, { diversity: 0.3 }, { user: 'u0', placement: 'wide', excludeSeen: false }]
    const [externalId] = ids(await ask({ placement: 'wide' }))
    const key = (await house.app.catalogue.byExternalId(externalId))?.key ?? 0
    await house.app.catalogue.demote(key, true, 'a test')
    for (const request of requests) {
      const list = ids(await ask({ ...request, first: 12 }))
      expect(list.length).toBe(12)
      expect(list.at(-1)).toBe(externalId)
    }
    await house.app.catalogue.demote(key, false, 'a test')
  })

  test('what a request names is left out, whether seen products are or not', async () => {
    const list = await ask({ context: ['p7', 'p7'], first: 12, excludeSeen: false })
    expect(ids(list)).toHaveLength(11)
    expect(ids(list)).not.toContain('p7')
  })

  test('a cap holds for the whole list, filled up or not, and what it kept out is named', async () => {
    await rule('capped', { excludeSeen: false, caps: [{ by: 'CATEGORY', most: 2 }] })
    const list = await ask({ user: 'u0', first: 10, placement: 'capped' })
    expect(list.items.filter(({ product: { categories } }) => categories[0] === 'tea').length).toBe(2)
    expect(list.items.length).toBe(4)
    const { dropped } = await why(list.decisionId)
    expect(dropped.counts['cap: at most 2 of category tea']).toBeGreaterThan(0)
    expect(list.fallbacks.at(-1)).toMatch(/^4 of 10 can be shown: .*cap: at most 2/)
  })

  test('what was bought or shown is left out with its cause; what was only viewed is not', async () => {
    await track('shopper', 'p0', 'PURCHASE')
    await track('shopper', 'p1')
    await track('shopper', 'p2', 'IMPRESSION')
    await rule('fresh', { excludeSeen: false, excludeBought: true, excludeShownDays: 7 })
    const list = await ask({ user: 'shopper', first: 12, placement: 'fresh' })
    expect(ids(list)).toContain('p1')
    expect(ids(list)).not.toEqual(expect.arrayContaining(['p0']))
    expect(ids(list)).not.toEqual(expect.arrayContaining(['p2']))
    expect((await why(list.decisionId)).dropped.examples).toEqual(
      expect.arrayContaining([
        { item: 'p0', reason: 'bought' },
        { item: 'p2', reason: 'shown in the last 7 days' },
      ]),
    )
    await track('shopper', 'p0', 'REFUND')
    expect(ids(await ask({ user: 'shopper', first: 12, placement: 'fresh' }))).toContain('p0')
  })

  test('stock and margin are minded', async () => {
    await product({ externalId: 'p5', title: 'Product p5', stock: 3, marginShare: 0.5 })
    await rule('margin', { minimumStock: 5 })
    const few = await ask({ user: 'u0', placement: 'margin', first: 12 })
    expect(ids(few)).not.toContain('p5')
    expect((await why(few.decisionId)).dropped.counts['stock below 5']).toBe(1)
    const plain = (await ask({ user: 'u0' })).items[0]
    await rule('margin', { marginWeight: 1 })
    const [first] = (await ask({ user: 'u0', placement: 'margin' })).items
    expect(first).toMatchObject({ product: { externalId: 'p5' }, score: expect.closeTo(1.5 * plain.score, 6) })
    expect(first.reasons.at(-1)).toMatchObject({ kind: 'rule', text: 'Margin of 50 %: × 1.5' })
    await product({ externalId: 'p5', title: 'Product p5', stock: null, marginShare: null })
  })

  test('reviews hold back what people complain of, when that is asked for', async () => {
    const [{ id }] = await house.app.database.sql<{ id: number }>(`SELECT id FROM "Product" WHERE "externalId" = 'p5'`)
    await house.app.database.sql(
      `INSERT INTO "Review" (id, "productId", text, locale, sentiment, score, confidence, "analysedAt", "createdAt")
       SELECT 'bad-' || n, $1, 'broken ' || n, 'en', 'NEGATIVE', -1, 1, now(), now() - interval '1 hour' FROM generate_series(1, 40) n`,
      [id],
    )
    const plain = (await ask({ user: 'u0' })).items[0]
    expect(plain.product.externalId).toBe('p5')
    await rule('liked', { sentimentWeight: 1 })
    const list = await ask({ user: 'u0', placement: 'liked', first: 12 })
    const held = list.items.find(({ product: { externalId } }) => externalId === 'p5') as Item
    expect(held.score).toBeLessThan(0.3 * plain.score)
    expect(held.reasons.at(-1)?.text).toMatch(/^At least \d+ % of its reviews are negative/)
    await house.app.database.sql(`DELETE FROM "Review" WHERE id LIKE 'bad-%'`)
  })

  test('a filter that leaves nothing is named, alone or as the one that came last', async () => {
    await rule('empty', {
      filters: [
        { name: 'has price', where: { priceMinMicros: '1' } },
        { name: 'organic', where: { attributes: [{ name: 'organic', value: 'yes' }] } },
      ],
    })
    const alone = await ask({ user: 'u0', placement: 'empty' })
    expect(alone.items).toEqual([])
    expect(alone.fallbacks).toContain('The filter "organic" leaves nothing: no product has an attribute "organic"')
    expect((await why(alone.decisionId)).dropped.counts['filter "organic"']).toBeGreaterThan(0)
    await rule('empty', {
      filters: [
        { name: 'tea', where: { category: 'tea' } },
        { name: 'tents', where: { category: 'tents' } },
      ],
    })
    expect((await ask({ user: 'u0', placement: 'empty' })).fallbacks.at(-1)).toBe(
      'The filter "tents" leaves nothing of the 6 products that passed the filters before it',
    )
    const asked = await ask({ user: 'u0', placement: 'nowhere', where: { brand: 'none such' } })
    expect(asked.fallbacks).toContain('No product passes the filter "where"')
  })

  test('attributes filter lists and recommendations alike', async () => {
    await product({ externalId: 'p5', title: 'Product p5', attributes: { colour: ['red', 'green'], organic: true } })
    for (const attributes of [[{ name: 'colour', value: 'red' }], [{ name: 'organic', value: 'true' }], [{ name: 'organic' }]]) {
      const { data } = await house
        .as('marketer')
        .run('query($w: ProductWhere) { products(where: $w) { nodes { externalId } } }', { w: { attributes } })
      expect(data).toEqual({ products: { nodes: [{ externalId: 'p5' }] } })
      expect(ids(await ask({ user: 'u0', where: { attributes } }))).toEqual(['p5'])
    }
    await product({ externalId: 'p5', title: 'Product p5', attributes: {} })
  })
})

describe('placements of a shop', () => {
  test('buy again shows what the user buys, most often first, and pads with nothing else', async () => {
    await rule('buy-again', { algorithm: 'REPEAT', onlyBought: true, excludeSeen: false })
    for (const [item, times] of [
      ['p3', 3],
      ['p1', 1],
      ['p2', 2],
    ] as const)
      for (let time = 0; time < times; time++) await track('regular', item, 'PURCHASE')
    await track('regular', 'p0')
    const list = await ask({ user: 'regular', placement: 'buy-again', first: 10 })
    expect(ids(list)).toEqual(['p3', 'p2', 'p1'])
    expect(list.servedBy).toBe("repeat (the user's own)")
    expect(list.items[0].reasons[0].kind).toBe('repeat')
    expect(list.fallbacks.at(-1)).toMatch(/^3 of 10 can be shown/)
    const stranger = await ask({ user: 'nobody-yet', placement: 'buy-again', first: 5 })
    expect(stranger.items.length).toBe(5)
    expect(stranger.fallbacks.join()).toMatch(/unknown.*popular/)
  })

  test('the list of a product or a cart goes with what is named, or with the tracked cart', async () => {
    await rule('similar', { basis: 'CONTEXT' })
    const similar = await ask({ placement: 'similar', context: ['p7'], first: 4 })
    expect(similar.servedBy).toBe('item-cf v1')
    expect(similar.items.every(({ product: { categories } }) => categories[0] === 'tents')).toBe(true)
    expect(ids(similar)).not.toContain('p7')
    expect(similar.fallbacks).toEqual([])
    const unknown = await ask({ placement: 'similar', context: ['none such'], user: 'u0' })
    expect(unknown.fallbacks).toEqual(
      expect.arrayContaining(['1 of the products named are not in the catalogue', expect.stringMatching(/^No product was named/)]),
    )
    await rule('cart', { basis: 'CART' })
    await track('carter', 'p0', 'VIEW')
    await track('carter', 'p8', 'ADD_TO_CART')
    const cart = await ask({ user: 'carter', placement: 'cart', first: 3 })
    expect(cart.items.every(({ product: { categories } }) => categories[0] === 'tents')).toBe(true)
    expect(ids(cart)).not.toContain('p8')
    await track('carter', 'p8', 'REMOVE_FROM_CART')
    expect((await ask({ user: 'carter', placement: 'cart', first: 3 })).fallbacks.join()).toContain('The cart is empty')
  })

  test('the algorithm follows the amount of history', async () => {
    await rule('levels', {
      levels: [
        { fromProducts: 0, algorithm: 'POPULARITY' },
        { fromProducts: 3, algorithm: 'ITEM_CF' },
      ],
    })
    await track('grows', 'p0')
    expect((await ask({ user: 'grows', placement: 'levels' })).servedBy).toBe('popularity (baseline)')
    await track('grows', 'p1')
    await track('grows', 'p2')
    const list = await ask({ user: 'grows', placement: 'levels' })
    expect(list.servedBy).toBe('item-cf v1')
    expect((await why(list.decisionId)).rules).toContain('ITEM_CF for a user of whom 3 products are known')
  })

  test('what rises now is shown to everybody, without training or approval', async () => {
    await rule('social', { algorithm: 'TRENDING', excludeSeen: false })
    for (const user of ['v1', 'v2', 'v3']) await track(user, 'p11', 'PURCHASE')
    await house.app.trainer.refreshBaseline(house.app.trainer.taskNamed('RECOMMENDATION'))
    await house.app.liveModels.look()
    for (const user of [undefined, 'u0']) {
      const list = await ask({ user, placement: 'social', first: 3 })
      expect(list.servedBy).toBe('trending (by the hour)')
      expect(ids(list)[0]).toBe('p11')
      expect(list.fallbacks.filter(each => /approved|No user was named/.test(each))).toEqual(
        user ? [] : ['No user was named: the answer is the same for everybody'],
      )
    }
    // What does not rise is not said to.
    expect((await ask({ placement: 'social', first: 12 })).fallbacks.at(-1)).toMatch(/^Filled up with \d+ of what is popular/)
  })

  test('too many products in a request are refused', async () => {
    const { errors } = await house
      .as('marketer')
      .run('query($c: [String!]) { recommendations(contextProductExternalIds: $c) { servedBy } }', {
        c: Array.from({ length: 101 }, (_, at) => `x${at}`),
      })
    expect(errors?.[0].extensions.code).toBe('BAD_USER_INPUT')
  })
})

describe('a dry run', () => {
  test('shows the list of a sample user before and after, and stores nothing', async () => {
    const [{ decisions }] = await house.app.database.sql<{ decisions: number }>('SELECT count(*)::int AS decisions FROM "Decision"')
    const rules = {
      boosts: [{ name: 'tents', where: { category: 'tents' }, factor: 100 }],
      pins: [{ productExternalId: 'p10', position: 1 }],
    }
    const { preview, placement } = await upsert({ name: 'trial', rules, dryRun: true, sampleUserExternalId: 'u0' })
    expect(placement ?? null).toBeNull()
    expect(preview).toMatchObject({ creates: true, userExternalId: 'u0' })
    expect(preview?.changes.map(({ field }) => field)).toEqual(['rules.boosts', 'rules.pins'])
    expect(preview && ids(preview.before)[0]).toBe('p5')
    expect(preview && ids(preview.after)[0]).toBe('p10')
    expect(preview?.after.rules[0]).toBe('Placement "trial" version 1')
    expect(preview?.after.dropped.counts.seen).toBeGreaterThan(0)
    const [after] = await house.app.database.sql<{ decisions: number }>('SELECT count(*)::int AS decisions FROM "Decision"')
    expect(after.decisions).toBe(decisions)
    expect((await house.as('marketer').run('{ placement(name: "trial") { id } }')).data).toEqual({ placement: null })
    expect((await upsert({ name: 'trial', rules: { diversity: 7 }, dryRun: true })).userErrors[0].field).toEqual(['rules', 'diversity'])
    expect((await upsert({ name: 'trial', rules, dryRun: true })).preview?.userExternalId).toBeTruthy()
  })
})

describe('exposure', () => {
  test('is counted from the answers of one placement, by rank, beside impressions', async () => {
    await rule('counted', { excludeSeen: false, filters: [{ name: 'tea', where: { category: 'tea' } }] })
    const lists = [await ask({ user: 'u0', placement: 'counted', first: 2 }), await ask({ user: 'u1', placement: 'counted', first: 2 })]
    const { data, errors } = await house.as('campaign').run(
      `{ recommendationExposure(placement: "counted", days: 1) { decisions sampled places products coverage gini
           categories { key places share catalogueShare } brands { key share } priceBands { key share attentionShare catalogueShare } } }`,
    )
    expect(errors).toBeUndefined()
    const { recommendationExposure: exposure } = data as never as { recommendationExposure: Record<string, unknown> }
    const shown = new Set(lists.flatMap(ids))
    expect(exposure).toMatchObject({ decisions: 2, sampled: false, places: 4, products: shown.size, brands: [{ share: 1 }] })
    expect(exposure.categories).toEqual([
      { key: 'tea', places: 4, share: 1, catalogueShare: 0.5 },
      { key: 'tents', places: 0, share: 0, catalogueShare: 0.5 },
    ])
    const bands = exposure.priceBands as { attentionShare: number; catalogueShare: number }[]
    for (const field of ['attentionShare', 'catalogueShare'] as const)
      expect(bands.reduce((sum, band) => sum + band[field], 0)).toBeCloseTo(1, 9)
    // A list that is answered again is shown again.
    expect(ids(await ask({ user: 'u0', placement: 'counted', first: 2 }))).toEqual(ids(lists[0]))
    const counted = '{ recommendationExposure(placement: "counted", days: 1) { decisions places products } }'
    await eventually(async () => {
      const { recommendationExposure: now } = (await house.as('campaign').run(counted)).data as never as { recommendationExposure: object }
      return isDeepStrictEqual({ ...now }, { decisions: 3, places: 6, products: shown.size })
    })
    for (const days of [0, 400]) {
      const refused = await house.as('campaign').run('query($d: Int!) { recommendationExposure(days: $d) { places } }', { d: days })
      expect(refused.errors?.[0].extensions.code).toBe('BAD_USER_INPUT')
    }
    const none = await house.as('campaign').run('{ recommendationExposure(placement: "never%") { decisions places gini } }')
    expect(none.data).toEqual({ recommendationExposure: { decisions: 0, places: 0, gini: null } })
  })
})
