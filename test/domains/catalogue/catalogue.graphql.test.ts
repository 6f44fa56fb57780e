import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { CatalogueRepository } from '../../../src/catalogue/catalogue.repository.js'
import { CatalogueResolver } from '../../../src/catalogue/catalogue.resolver.js'
import { CatalogueService } from '../../../src/catalogue/catalogue.service.js'
import { Scope } from '../../../src/graphql/auth.js'
import { IdempotencyStore } from '../../../src/graphql/idempotency.js'
import { statementsOf } from '../../support/count-queries.js'
import { createTestDatabase } from '../../support/database.js'
import { createRunner, viewerWith } from '../../support/run-graphql.js'

let database: Awaited<ReturnType<typeof createTestDatabase>>
let api: ReturnType<typeof createRunner>
const admin = viewerWith()

beforeAll(async () => {
  database = await createTestDatabase()
  const signals = { announce: async () => {}, on: () => () => {} }
  const catalogue = new CatalogueService(new CatalogueRepository(database), signals, 'EUR')
  api = createRunner([new CatalogueResolver(catalogue, new IdempotencyStore(database))])
})
afterAll(() => database.drop())

const UPSERT = /* GraphQL */ `
  mutation ($input: ProductUpsertInput!) {
    productUpsert(input: $input) {
      product { id externalId title description categories brand price { amountMicros currencyCode } marginShare stock attributes stub version createdAt updatedAt }
      preview { creates changes { field before after } }
      userErrors { code field message }
      idempotentReplay
    }
  }`
const upsert = async (input: Record<string, unknown>) => {
  const { data, errors } = await api.as(admin).run(UPSERT, { input })
  if (errors) throw errors[0]
  return data!.productUpsert as { product: Record<string, unknown>; preview: unknown; userErrors: object[]; idempotentReplay: boolean }
}

describe('productUpsert', () => {
  test('takes money in micros and gives it back exactly', async () => {
    const { product } = await upsert({
      externalId: 'money',
      title: 'Money',
      price: { amountMicros: '9007199254740991', currencyCode: 'CNY' },
    })
    expect(product.price).toEqual({ amountMicros: 9_007_199_254_740_991, currencyCode: 'CNY' })
  })

  test('returns what the caller could have known as userErrors', async () => {
    expect(await upsert({ externalId: 'untitled' })).toMatchObject({
      product: null,
      userErrors: [{ code: 'INVALID', field: ['title'], message: 'A new product needs a title' }],
    })
    expect((await upsert({ externalId: 'p', title: 'P', price: { amountMicros: -5 } })).userErrors).toMatchObject([
      { code: 'INVALID', field: ['price', 'amountMicros'] },
    ])
    await upsert({ externalId: 'v', title: 'V' })
    expect((await upsert({ externalId: 'v', stock: 1, expectedVersion: 5 })).userErrors).toMatchObject([
      { code: 'VERSION_CONFLICT', field: ['expectedVersion'] },
    ])
  })

  test('as a dry run returns the preview and stores nothing, even with an idempotency key', async () => {
    const input = { externalId: 'dry', title: 'Dry', idempotencyKey: 'dry-1' }
    expect(await upsert({ ...input, dryRun: true })).toMatchObject({ product: null, preview: { creates: true }, userErrors: [] })
    expect(await database.prisma.product.count({ where: { externalId: 'dry' } })).toBe(0)
    expect(await upsert(input)).toMatchObject({ product: { externalId: 'dry' }, idempotentReplay: false })
  })

  test('with a key used before replays its payload, times and prices included', async () => {
    const input = { externalId: 'replay', title: 'Replay', price: { amountMicros: 5 }, idempotencyKey: 'r-1' }
    const first = await upsert(input)
    const second = await upsert(input)
    expect(second.idempotentReplay).toBe(true)
    expect(second.product).toEqual(first.product)
  })
})

describe('products', () => {
  test('are listed at one statement, whatever their number', async () => {
    for (let index = 0; index < 25; index++)
      await upsert({
        externalId: `list-${index}`,
        title: `List ${index}`,
        categories: ['List'],
        price: { amountMicros: 1_000_000 * index },
      })
    const list = (first: number) =>
      api
        .as(admin)
        .run(`{ products(first: ${first}, where: { category: "List" }) { nodes { id title price { amountMicros } attributes } } }`)
    expect(await statementsOf(() => list(2))).toHaveLength(1)
    expect(await statementsOf(() => list(25))).toHaveLength(1)
    const { data } = await api
      .as(admin)
      .run(
        '{ products(first: 1, where: { category: "List", priceMinMicros: "3000000", priceMaxMicros: 5000000 }) { totalCount nodes { externalId } } }',
      )
    expect(data?.products).toEqual({ totalCount: 3, nodes: [{ externalId: 'list-3' }] })
  })

  test('are found by exactly one of id and externalId', async () => {
    const { product } = await upsert({ externalId: 'find', title: 'Find' })
    expect((await api.as(admin).run(`{ product(id: "${product.id}") { externalId } }`)).data?.product).toEqual({ externalId: 'find' })
    expect((await api.as(admin).run('{ product(externalId: "find") { id } }')).data?.product).toEqual({ id: product.id })
    expect((await api.as(admin).run('{ product(externalId: "none") { id } }')).data?.product).toBeNull()
    expect((await api.as(admin).run('{ product { id } }')).errors?.[0].originalError).toMatchObject({ code: 'BAD_USER_INPUT' })
  })

  test('need catalogue:read to be seen and catalogue:write to be changed', async () => {
    const reader = viewerWith([Scope.CATALOGUE_READ])
    expect((await api.as(reader).run(UPSERT, { input: { externalId: 'x', title: 'X' } })).errors?.[0].originalError).toMatchObject({
      code: 'FORBIDDEN',
    })
    expect((await api.as(viewerWith([])).run('{ products { nodes { id } } }')).errors?.[0].originalError).toMatchObject({
      code: 'FORBIDDEN',
    })
  })
})
