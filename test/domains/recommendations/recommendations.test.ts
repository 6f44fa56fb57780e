import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type { ClientKind } from '../../../src/graphql/auth.js'
import { openDatabase } from '../../../src/platform/database.js'
import { silentLog } from '../../../src/platform/log.js'
import { PlacementsRepository } from '../../../src/recommendations/placements.repository.js'
import { RecommendationsRepository } from '../../../src/recommendations/recommendations.repository.js'
import { UserChanges } from '../../../src/users/user-changes.js'
import { startTestApp, type TestApp } from '../../support/app.js'
import { fillShop } from '../../support/shop.js'

interface List {
  servedBy: string
  modelId: string | null
  decisionId: string
  fallbacks: string[]
  items: {
    rank: number
    score: number
    product: { externalId: string; categories: string[] }
    reasons: { kind: string; text: string; weight: number }[]
  }[]
}
interface Decision {
  kind: string
  modelId: string | null
  servedBy: string
  contributions: { feature: string; value: string; weight: number }[]
  rules: string[]
  dropped: { counts: Record<string, number>; examples: { item: string; reason: string }[] }
  inputHash: string
}

let house: TestApp
beforeAll(async () => {
  house = await startTestApp()
}, 60_000)
afterAll(() => house.close())

const FIELDS = 'servedBy modelId decisionId fallbacks items { rank score product { externalId categories } reasons { kind text weight } }'
const ask = async (variables: object): Promise<List> => {
  const { data, errors } = await house.as('marketer').run(
    `query($user: String, $first: Int! = 5, $algorithm: RecommendationAlgorithm! = AUTO, $excludeSeen: Boolean! = true, $diversity: Float! = 0, $where: ProductWhere) {
        recommendations(userExternalId: $user, first: $first, algorithm: $algorithm, excludeSeen: $excludeSeen, diversity: $diversity, where: $where) { ${FIELDS} } }`,
    variables as Record<string, unknown>,
  )
  expect(errors).toBeUndefined()
  return (data as never as { recommendations: List }).recommendations
}
const why = async (id: string): Promise<Decision> => {
  const { data, errors } = await house
    .as('marketer')
    .run('query($id: ID!) { decision(id: $id) { kind modelId servedBy contributions { feature value weight } rules dropped inputHash } }', {
      id,
    })
  expect(errors).toBeUndefined()
  return (data as never as { decision: Decision }).decision
}
const track = async (user: string, product: string, type = 'VIEW') => {
  const { data } = await house.as('ingest').run('mutation($e: [EventInput!]!) { eventsTrack(input: { events: $e }) { accepted } }', {
    e: [{ userId: user, productId: product, type }],
  })
  expect(data).toEqual({ eventsTrack: { accepted: 1 } })
}
const ids = ({ items }: List) => items.map(({ product }) => product.externalId)

describe('an empty shop', () => {
  test.each([{}, { user: 'nobody' }, { user: 'nobody', where: { category: 'tea' } }])(
    '%j gets an empty answer that can be asked why',
    async variables => {
      const list = await ask(variables)
      expect(list).toMatchObject({ servedBy: 'newest products', modelId: null, items: [] })
      expect(list.fallbacks.at(-1)).toMatch(/newest products/)
      expect(await why(list.decisionId)).toMatchObject({ kind: 'recommendation', servedBy: 'newest products', contributions: [] })
    },
  )

  test('products without any event are shown as new', async () => {
    await house.as('ingest').run('mutation { productUpsert(input: { externalId: "first", title: "The first" }) { product { id } } }')
    const { items, servedBy } = await ask({ user: 'nobody' })
    expect(servedBy).toBe('newest products')
    expect(items).toMatchObject([{ rank: 1, product: { externalId: 'first' }, reasons: [{ text: 'New in the shop' }] }])
  })
})

describe('a placement before any model', () => {
  test('has its rules', async () => {
    const rules = { filters: [{ name: 'branded', where: { brand: 'none such' } }] }
    await house.app.placements.upsert({ name: 'test' }, { name: 'early', rules } as never)
    const { data } = await house.as('marketer').run('{ recommendations(placement: "early") { servedBy items { rank } } }')
    expect(data).toEqual({ recommendations: { servedBy: 'newest products', items: [] } })
  })
})

describe('a shop with two tastes', () => {
  beforeAll(async () => {
    await fillShop(house)
    const { models } = await house.app.trainer.train({ task: 'RECOMMENDATION', algorithm: 'item-cf' })
    await house.app.modelsService.approve(
      { id: 'test', name: 'test' },
      { modelId: Buffer.from(`Model:${models[0].id}`).toString('base64url') },
    )
    await house.app.liveModels.look()
  }, 60_000)

  test('a visitor gets what goes with what he bought, best first, and nothing he has', async () => {
    const list = await ask({ user: 'u0' })
    expect(list.servedBy).toBe('item-cf v1')
    expect(ids(list)[0]).toBe('p5')
    expect(list.items.map(({ rank }) => rank)).toEqual(list.items.map((_, at) => at + 1))
    for (const [at, { score }] of list.items.entries())
      if (at > 0 && list.items[at].reasons[0]?.kind === 'neighbour-item') expect(score).toBeLessThanOrEqual(list.items[at - 1].score)
    expect(ids(list)).toEqual(expect.not.arrayContaining(['p0', 'p1', 'p2', 'p3', 'p4']))
    expect(new Set(ids(list)).size).toBe(list.items.length)
    const seen = await ask({ user: 'u0', excludeSeen: false, first: 12 })
    expect(ids(seen)).toEqual(expect.arrayContaining(['p0', 'p1', 'p2', 'p3', 'p4']))
  })

  test('PostgreSQL plans the look at visitors once, however many are looked at', async () => {
    const database = openDatabase(house.app.database.url, silentLog, 1)
    const [changes, placements] = [new UserChanges(database, ['EVENTS', 'CONSENTS', 'IDENTITY']), new PlacementsRepository(database)]
    await changes.look()
    for (let count = 1; count <= 16; count++) {
      const several = Array.from({ length: 1 + (count % 4) }, (_, at) => at)
      const remembersNobody = new RecommendationsRepository(database, changes)
      await Promise.all(several.map(at => remembersNobody.visitor(`u${at}`)))
      await placements.dealings(several.map(at => ({ userId: 1 + at })))
    }
    const plans = await database.sql<{ name: string; generic: number }>(
      `SELECT name, generic_plans::int AS generic FROM pg_prepared_statements WHERE name IN ('visitors', 'dealings', 'user-changes') ORDER BY name`,
    )
    await database.close()
    expect(plans).toEqual([
      { name: 'dealings', generic: 11 },
      { name: 'user-changes', generic: 11 },
      { name: 'visitors', generic: 11 },
    ])
  })

  test('what is remembered of a visitor is what his events say, whichever came or went meanwhile', async () => {
    const database = openDatabase(house.app.database.url, silentLog, 1)
    const remembering = new RecommendationsRepository(database)
    const remembered = async () => {
      const visitor = await remembering.visitor('looker')
      const afresh = await new RecommendationsRepository(database).visitor('looker')
      expect(visitor).toEqual(afresh)
      return visitor
    }
    const put = (user: string, product: string, at: string, type = 'VIEW', count = 1) =>
      database.sql(
        `INSERT INTO "Event" ("messageId", "userId", "productId", type, "occurredAt")
         SELECT gen_random_uuid(), u.id, p.id, $4::"EventType", $3::timestamptz FROM "User" u, "Product" p, generate_series(1, $5::int) WHERE u."externalId" = $1 AND p."externalId" = $2`,
        [user, product, at, type, count],
      )
    await database.sql(`INSERT INTO "User" ("externalId", "updatedAt") VALUES ('looker', now()), ('alias', now())`)
    const nothing = await remembered()
    expect(nothing?.products).toHaveLength(0)
    expect((await remembered())?.products).toBe(nothing?.products)
    await put('looker', 'p1', '2026-01-02T00:00:00Z')
    const first = await remembered()
    expect((await remembered())?.products).toBe(first?.products)
    // Late, at a time that is known already, and before all others.
    await put('looker', 'p2', '2026-01-02T00:00:00Z', 'PURCHASE')
    await put('looker', 'p3', '2025-01-01T00:00:00Z')
    expect([...((await remembered())?.weights ?? [])].sort()).toEqual([1, 1, 5])
    // Others' events become his, and are taken away again.
    await put('alias', 'p4', '2026-02-01T00:00:00Z')
    const move = (from: string, to: string) =>
      database.sql(
        `UPDATE "Event" SET "userId" = (SELECT id FROM "User" WHERE "externalId" = $2) WHERE "userId" = (SELECT id FROM "User" WHERE "externalId" = $1) AND "occurredAt" = '2026-02-01T00:00:00Z'`,
        [from, to],
      )
    await move('alias', 'looker')
    expect((await remembered())?.products).toHaveLength(4)
    await move('looker', 'alias')
    expect((await remembered())?.products).toHaveLength(3)
    // Of more events than count, the stamp says nothing.
    await put('looker', 'p5', '2026-03-01T00:00:00Z', 'VIEW', 1_000)
    const many = await remembered()
    expect([...(many?.weights ?? [])]).toEqual([1_000])
    expect((await remembered())?.products).toBe(many?.products)
    await put('looker', 'p6', '2026-03-01T00:00:00Z', 'PURCHASE', 1)
    await remembered()
    await put('looker', 'p7', '2026-04-01T00:00:00Z', 'CLICK', 1)
    expect((await remembered())?.weights.at(-1)).toBe(1)
    // Who was merged into another is that other at once.
    await database.sql(
      `UPDATE "User" SET "mergedIntoId" = (SELECT id FROM "User" WHERE "externalId" = 'alias') WHERE "externalId" = 'looker'`,
    )
    expect((await remembered())?.products).toHaveLength(1)
    await database.sql(`DELETE FROM "Event" WHERE "userId" IN (SELECT id FROM "User" WHERE "externalId" IN ('looker', 'alias'))`)
    expect((await remembered())?.products).toHaveLength(0)
    await database.sql(`DELETE FROM "User" WHERE "externalId" IN ('looker', 'alias')`)
    expect(await remembered()).toBeNull()
    await database.close()
  })

  test('of everybody who shares a look the own consent is told, whatever its source and whoever is unknown', async () => {
    const { database } = house.app
    const sources = ['a\nb', ' "c"  d\\n ', '', '同意\t\r\n7 8 t']
    const keys = sources.map((_, at) => `consenter\n${at}`)
    await database.sql('INSERT INTO "User" ("externalId", "updatedAt") SELECT unnest($1::text[]), now()', [keys])
    await database.sql(
      `INSERT INTO "Consent" ("userId", purpose, granted, at, source) SELECT u.id, 'PERSONALISATION', place % 2 = 0, '2026-01-01T00:00:00.123Z', c.source
       FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS c(key, source, place) JOIN "User" u ON u."externalId" = c.key`,
      [keys, sources],
    )
    const visitors = new RecommendationsRepository(database)
    const asked = ['nobody', keys[0], keys[1], 'nobody else', keys[2], 'u0', keys[3], keys[0]]
    const at = new Date('2026-01-01T00:00:00.123Z')
    const told = (place: number) => ({ personalisation: { granted: place % 2 === 1, at, source: sources[place] } })
    const expected = [null, told(0), told(1), null, told(2), { personalisation: null }, told(3), told(0)]
    const found = await Promise.all(asked.map(key => visitors.visitor(key)))
    expect(found).toEqual(expected.map(each => each && expect.objectContaining(each)))
    expect(await Promise.all(asked.map(key => visitors.visitor(key)))).toEqual(found)
    await database.sql('DELETE FROM "Consent" WHERE "userId" IN (SELECT id FROM "User" WHERE "externalId" = ANY($1))', [keys])
    await database.sql('DELETE FROM "User" WHERE "externalId" = ANY($1)', [keys])
  })

  test('the reasons of every item sum to its score, and the decision holds the same', async () => {
    for (const user of ['u0', 'u3', 'u5']) {
      const list = await ask({ user, first: 12, excludeSeen: false })
      const decision = await why(list.decisionId)
      for (const { score, reasons, product } of list.items) {
        expect(reasons.reduce((sum, { weight }) => sum + weight, 0)).toBeCloseTo(score, 9)
        const [total, ...parts] = decision.contributions.filter(({ feature }) => feature === product.externalId)
        expect(total).toMatchObject({ value: 'score', weight: expect.closeTo(score, 5) })
        expect(parts.map(({ weight }) => weight)).toEqual(reasons.map(({ weight }) => expect.closeTo(weight, 5)))
      }
      expect(list.items.some(({ reasons }) => reasons.some(({ kind }) => kind === 'further'))).toBe(true)
    }
    const list = await ask({ user: 'u3', first: 1 })
    const decision = await why(list.decisionId)
    expect(decision).toMatchObject({
      kind: 'recommendation',
      modelId: list.modelId,
      servedBy: 'item-cf v1',
      dropped: { counts: { seen: 5 } },
    })
    expect(decision.inputHash).toMatch(/^[0-9a-f]{64}$/)
  })

  test('a list that comes again is told the same, and a product by the name that it has now', async () => {
    const upsert = 'mutation($i: ProductUpsertInput!) { productUpsert(input: $i) { userErrors { message } } }'
    const [first, again] = [await ask({ user: 'u0' }), await ask({ user: 'u0' })]
    expect(again.items).toEqual(first.items)
    const [of, ofAgain] = [await why(first.decisionId), await why(again.decisionId)]
    expect(ofAgain.contributions).toEqual(of.contributions)
    expect(of.contributions.length).toBeGreaterThan(first.items.length)
    const texts = ({ items }: List) => items.flatMap(({ reasons }) => reasons.map(({ text }) => text))
    const [, named] = /(Product p\d+)/.exec(texts(first).join()) as RegExpExecArray
    const externalId = named.slice('Product '.length)
    await house.as('ingest').run(upsert, { i: { externalId, title: 'Renamed' } })
    const renamed = await ask({ user: 'u0' })
    expect(texts(renamed)).toEqual(texts(first).map(text => text.replace(new RegExp(`${named}(?!\\d)`), 'Renamed')))
    await house.as('ingest').run(upsert, { i: { externalId, title: named } })
    expect((await ask({ user: 'u0' })).items).toEqual(first.items)
  })

  test('every answer has a decision of its own, whoever asks and whatever comes of it', async () => {
    const wishes = [
      { user: 'u0' },
      { user: 'u0' },
      { user: 'nobody' },
      {},
      { user: 'u1', where: { category: 'none such' } },
      { user: 'u1', first: 0 },
      { user: 'u1', algorithm: 'EASE' },
    ]
    const lists = await Promise.all(wishes.map(ask))
    expect(new Set(lists.map(({ decisionId }) => decisionId)).size).toBe(wishes.length)
    for (const { decisionId, servedBy } of lists) expect((await why(decisionId)).servedBy).toBe(servedBy)
  })

  test('a list is answered again, by a decision that says so, until something that it went by changes', async () => {
    const repeats = async ({ decisionId }: List) => {
      const { data } = await house.as('marketer').run('query($id: ID!) { decision(id: $id) { sameAs } }', { id: decisionId })
      return (data as never as { decision: { sameAs: string | null } }).decision.sameAs
    }
    /** Asks until nothing of late is new any more: a look at the catalogue may come between two that are asked for. */
    const warm = async () => {
      for (let time = 0; time < 5; time++) {
        const [list, again] = [await ask({ user: 'u3' }), await ask({ user: 'u3' })]
        if ((await repeats(again)) === ((await repeats(list)) ?? list.decisionId)) return list
      }
      throw new Error('The list is made anew each time')
    }
    const run = async (client: ClientKind, mutation: string) =>
      expect((await house.as(client).run(`mutation { ${mutation} }`)).errors).toBeUndefined()
    const first = await warm()
    const [best] = ids(first)
    await run('ingest', `productUpsert(input: { externalId: "${best}", title: "Product ${best}", stock: 0 }) { product { id } }`)
    const without = await ask({ user: 'u3' })
    expect([await repeats(without), ids(without)]).toEqual([null, expect.not.arrayContaining([best])])
    await run('ingest', `productUpsert(input: { externalId: "${best}", title: "Product ${best}", stock: 5 }) { product { id } }`)
    expect(ids(await warm())).toEqual(ids(first))
    await track('u3', best)
    const seen = await ask({ user: 'u3' })
    expect([await repeats(seen), ids(seen)]).toEqual([null, expect.not.arrayContaining([best])])
  })

  test('the next request knows what a visitor did just now', async () => {
    expect((await ask({ user: 'fresh' })).fallbacks[0]).toMatch(/unknown/)
    await track('fresh', 'p7')
    const tents = await ask({ user: 'fresh', first: 4 })
    expect(tents.servedBy).toBe('item-cf v1')
    expect(tents.items.every(({ product }) => product.categories[0] === 'tents')).toBe(true)
    expect(ids(tents)).not.toContain('p7')
    await track('fresh', 'p1', 'PURCHASE')
    const mixed = await ask({ user: 'fresh', first: 4 })
    expect(mixed.items[0].product.categories[0]).toBe('tea')
    expect(mixed.items[0].reasons[0].text).toContain('Product p1')
  })

  test('a filter is kept, also where it leaves less than was asked for, and the decision names what it dropped', async () => {
    const list = await ask({ user: 'u0', first: 12, where: { category: 'tents', priceMaxMicros: '9000000' } })
    expect(ids(list).sort()).toEqual(['p6', 'p7', 'p8'])
    const tea = await ask({ user: 'u1', first: 3, where: { category: 'tea' } })
    expect(tea.items.every(({ product }) => product.categories[0] === 'tea')).toBe(true)
    const none = await ask({ user: 'u0', where: { category: 'none such' } })
    expect(none).toMatchObject({ items: [], fallbacks: expect.arrayContaining(['No product passes the filter "where"']) })
    expect((await why(none.decisionId)).dropped.counts['filter where']).toBeGreaterThan(0)
  })

  test('what is out of stock is not shown, from the next request on, and the decision says why', async () => {
    const upsert = 'mutation($i: ProductUpsertInput!) { productUpsert(input: $i) { userErrors { message } } }'
    await house.as('ingest').run(upsert, { i: { externalId: 'p5', title: 'Product p5', stock: 0 } })
    const list = await ask({ user: 'u0', first: 12 })
    expect(ids(list)).not.toContain('p5')
    expect((await why(list.decisionId)).dropped.examples).toContainEqual({ item: 'p5', reason: 'out of stock' })
    await house.as('ingest').run(upsert, { i: { externalId: 'p5', title: 'Product p5', stock: 3 } })
    expect(ids(await ask({ user: 'u0', first: 12 }))).toContain('p5')
  })

  test('what a person demoted stands behind everything else, and the decision says why', async () => {
    const before = ids(await ask({ user: 'u0', first: 12 }))
    const [{ id }] = await house.app.database.sql<{ id: number }>('SELECT id FROM "Product" WHERE "externalId" = $1', [before[0]])
    await house.app.catalogue.demote(id, true, 'a test')
    const short = await ask({ user: 'u0', first: 3 })
    expect(ids(short)).not.toContain(before[0])
    expect((await why(short.decisionId)).dropped.examples).toContainEqual({ item: before[0], reason: 'demoted by a person' })
    await house.app.catalogue.demote(id, false, 'a test')
    expect(ids(await ask({ user: 'u0', first: 12 }))).toEqual(before)
  })

  test('an algorithm that nobody approved is not silently another one', async () => {
    const list = await ask({ user: 'u0', algorithm: 'EASE' })
    expect(list.fallbacks).toContain('EASE has no approved model: the live model answers')
    expect((await ask({ user: 'u0', algorithm: 'POPULARITY' })).servedBy).toBe('popularity (baseline)')
  })

  test('an approved model whose artifact is cut off is not said to be missing', async () => {
    const { database, liveModels, trainer } = house.app
    const { models } = await trainer.train({ task: 'RECOMMENDATION', algorithm: 'rp3beta' })
    await database.sql('UPDATE "Artifact" SET data = substring(data FROM 1 FOR 100) WHERE "modelId" = $1', [models[0].id])
    await database.sql(`UPDATE "Model" SET status = 'APPROVED' WHERE id = $1`, [models[0].id])
    await liveModels.look()
    expect((await ask({ user: 'u0', algorithm: 'RP3BETA' })).fallbacks).toContain('rp3beta v1 cannot be loaded: the live model answers')
    await database.sql('DELETE FROM "Model" WHERE id = $1', [models[0].id])
    await liveModels.look()
  })

  test('who refused PERSONALISATION gets nothing personal, and why says so', async () => {
    await house.app.database.sql(
      `INSERT INTO "Consent" ("userId", purpose, granted, at, source) SELECT id, 'PERSONALISATION', false, now(), 'test' FROM "User" WHERE "externalId" = 'u2'`,
    )
    const [refused, stranger] = [await ask({ user: 'u2', excludeSeen: false }), await ask({})]
    expect(refused.servedBy).toBe('popularity (baseline)')
    expect(ids(refused)).toEqual(ids(stranger))
    expect((await why(refused.decisionId)).rules).toContain('The user refused PERSONALISATION: nothing personal was used')
  })

  test('diversity mixes the tastes, without a product twice', async () => {
    await track('both', 'p0', 'PURCHASE')
    await track('both', 'p6', 'PURCHASE')
    const [plain, mixed] = [await ask({ user: 'both', first: 6 }), await ask({ user: 'both', first: 6, diversity: 1 })]
    expect(new Set(ids(mixed)).size).toBe(6)
    expect(new Set(mixed.items.slice(0, 2).map(({ product }) => product.categories[0])).size).toBe(2)
    expect(mixed.items[0].product.externalId).toBe(plain.items[0].product.externalId)
  })

  test.each([
    [{ first: -1 }, 'first'],
    [{ first: 100_000 }, 'first'],
    [{ diversity: 1.01 }, 'diversity'],
    [{ diversity: -0.01 }, 'diversity'],
    [{ user: 'u'.repeat(10_000) }, 'userExternalId'],
    [{ user: 'a\u0000b' }, 'userExternalId'],
  ])('%#: bad input is refused and names its field', async (variables, field) => {
    const { errors } = await house
      .as('marketer')
      .run(
        'query($user: String, $first: Int, $diversity: Float! = 0) { recommendations(userExternalId: $user, first: $first, diversity: $diversity) { servedBy } }',
        variables,
      )
    expect(errors?.[0].extensions.code).toBe('BAD_USER_INPUT')
    expect(JSON.stringify(errors?.[0])).toContain(field)
  })

  test('Product.similar and User.recommendations answer from the same model', async () => {
    const { data, errors } = await house
      .as('marketer')
      .run(
        '{ product(externalId: "p6") { similar(first: 3) { rank product { externalId categories } reasons { text } } } user(externalId: "u1") { recommendations(first: 2) { servedBy items { product { externalId } } } } }',
      )
    expect(errors).toBeUndefined()
    const { product, user } = data as never as { product: { similar: List['items'] }; user: { recommendations: List } }
    expect(product.similar.map(({ product: { categories } }) => categories[0])).toEqual(['tents', 'tents', 'tents'])
    expect(product.similar[0].reasons[0].text).toBe('Chosen by the people who chose Product p6')
    expect(ids(user.recommendations)).toEqual(ids(await ask({ user: 'u1', first: 2 })))
  })
})
