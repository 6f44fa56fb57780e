import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { CatalogueRepository } from '../../../src/catalogue/catalogue.repository.js'
import { CatalogueService } from '../../../src/catalogue/catalogue.service.js'
import { type ProductFilter, productTest } from '../../../src/catalogue/product-filter.js'
import type { ProductFacts } from '../../../src/catalogue/product-rules.js'
import { Conflict, InvalidInput, NotFound } from '../../../src/platform/errors.js'
import { statementsOf } from '../../support/count-queries.js'
import { createTestDatabase } from '../../support/database.js'
import { localSignals } from '../../support/local-signals.js'

let database: Awaited<ReturnType<typeof createTestDatabase>>
let catalogue: CatalogueService
let signals: ReturnType<typeof localSignals>

beforeAll(async () => {
  database = await createTestDatabase()
})
beforeEach(() => {
  signals = localSignals()
  catalogue = new CatalogueService(new CatalogueRepository(database), signals, 'EUR')
})
afterAll(() => database.drop())

const stored = (externalId: string) => database.prisma.product.findUnique({ where: { externalId } })

describe('an upsert', () => {
  test('creates the product and announces it', async () => {
    const product = await catalogue.upsert({
      externalId: 'mug',
      title: ' Mug ',
      categories: ['Kitchen', 'Kitchen', 'Gifts'],
      price: { amountMicros: 9_990_000n },
      stock: 3,
      marginShare: 0.4,
      attributes: { colour: 'red' },
    })
    expect(product).toMatchObject({
      externalId: 'mug',
      title: 'Mug',
      categories: ['Kitchen', 'Gifts'],
      price: { amountMicros: 9_990_000n, currencyCode: 'EUR' },
      stock: 3,
      stub: false,
      version: 1,
    })
    expect(signals.announced).toEqual([{ name: 'catalogue.changed', payload: { productIds: [product.key] } }])
  })

  test('changes only what is given: undefined stays, null clears', async () => {
    await catalogue.upsert({ externalId: 'cup', title: 'Cup', brand: 'Potter', stock: 1, price: { amountMicros: 1n, currencyCode: 'cny' } })
    expect(await catalogue.upsert({ externalId: 'cup', stock: null })).toMatchObject({
      title: 'Cup',
      brand: 'Potter',
      stock: null,
      price: { currencyCode: 'CNY' },
      version: 2,
    })
    expect(await catalogue.upsert({ externalId: 'cup', price: null })).toMatchObject({ price: null, brand: 'Potter' })
  })

  test('of a new product needs its title, of a stub it makes a product', async () => {
    await expect(catalogue.upsert({ externalId: 'lamp', stock: 3 })).rejects.toThrow('A new product needs a title')
    await catalogue.ensureStubs(['lamp'])
    expect(await catalogue.upsert({ externalId: 'lamp', stock: 3 })).toMatchObject({ title: 'lamp', stub: true, stock: 3 })
    expect(await catalogue.upsert({ externalId: 'lamp', title: 'Lamp' })).toMatchObject({ title: 'Lamp', stub: false, stock: 3 })
  })

  test('of fifty at once with one expected version succeeds exactly once', async () => {
    await catalogue.upsert({ externalId: 'race', title: 'Race' })
    const results = await Promise.allSettled(
      Array.from({ length: 50 }, (_, stock) => catalogue.upsert({ externalId: 'race', stock }, { expectedVersion: 1 })),
    )
    expect(results.filter(result => result.status === 'fulfilled')).toHaveLength(1)
    expect(results.filter(result => result.status === 'rejected' && result.reason.userCode === 'VERSION_CONFLICT')).toHaveLength(49)
    expect((await stored('race'))?.version).toBe(2)
  })

  test('with version 0 insists on a new product, with another one on a known product', async () => {
    await catalogue.upsert({ externalId: 'fresh', title: 'Fresh' }, { expectedVersion: 0 })
    await expect(catalogue.upsert({ externalId: 'fresh', title: 'Fresh' }, { expectedVersion: 0 })).rejects.toThrow(Conflict)
    await expect(catalogue.upsert({ externalId: 'nothing', title: 'Nothing' }, { expectedVersion: 2 })).rejects.toThrow(NotFound)
  })
})

describe('a preview', () => {
  test('says what would change and stores nothing', async () => {
    await catalogue.upsert({ externalId: 'preview', title: 'Before', price: { amountMicros: 5n } })
    expect(await catalogue.preview({ externalId: 'preview', title: 'After', price: { amountMicros: 7n } })).toEqual({
      creates: false,
      changes: [
        { field: 'title', before: 'Before', after: 'After' },
        { field: 'priceMicros', before: '5', after: '7' },
      ],
    })
    expect(await stored('preview')).toMatchObject({ title: 'Before', version: 1 })
    expect(signals.announced).toHaveLength(1)
    await expect(catalogue.preview({ externalId: 'preview' }, { expectedVersion: 4 })).rejects.toThrow(Conflict)
    await expect(catalogue.preview({ externalId: 'absent', stock: 1 })).rejects.toThrow('A new product needs a title')
  })
})

describe('bad facts', () => {
  const refused: [string, Partial<ProductFacts>, RegExp][] = [
    ['a title of 501 characters', { title: 'x'.repeat(501) }, /at most 500/],
    ['a title of blanks', { title: '  ' }, /title must not be empty/],
    ['a title taken away', { title: null }, /title cannot be cleared/],
    ['a description of 20,001 characters', { description: 'x'.repeat(20_001) }, /at most 20000/],
    ['a negative price', { price: { amountMicros: -1n } }, /must not be negative/],
    ['a price beyond exact numbers', { price: { amountMicros: 2n ** 53n } }, /at most 9007199254740991/],
    ['a price beyond the column', { price: { amountMicros: 10n ** 40n } }, /at most/],
    ['an unknown currency', { price: { amountMicros: 1n, currencyCode: 'ABC' } }, /ISO 4217/],
    ['a currency with NUL', { price: { amountMicros: 1n, currencyCode: 'EU\0' } }, /ISO 4217/],
    ['negative stock', { stock: -1 }, /stock must be/],
    ['half a piece', { stock: 0.5 }, /stock must be/],
    ['infinite stock', { stock: Number.POSITIVE_INFINITY }, /stock must be/],
    ['a margin above the price', { marginShare: 1.01 }, /between 0 and 1/],
    ['a margin that is not a number', { marginShare: Number.NaN }, /between 0 and 1, not NaN/],
    ['21 categories', { categories: Array.from({ length: 21 }, (_, index) => `c${index}`) }, /at most 20, not 21/],
    ['a category with half a surrogate pair', { categories: ['ok', '\udfff'] }, /surrogate/],
    ['attributes with NUL deep inside', { attributes: { a: [{ b: '\0' }] } }, /NUL/],
    ['attributes of 33 kB', { attributes: { a: 'x'.repeat(33_000) } }, /at most 32768 bytes/],
  ]
  test.each(refused)('%s is refused with a sentence', async (_, facts, sentence) => {
    await expect(catalogue.upsert({ externalId: 'bad', title: 'Bad', ...facts })).rejects.toThrow(InvalidInput)
    await expect(catalogue.upsert({ externalId: 'bad', title: 'Bad', ...facts })).rejects.toThrow(sentence)
    expect(await stored('bad')).toBeNull()
  })

  test('of any text whatever is either refused with a sentence or stored to the letter', async () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 220 }),
      fc.string({ unit: 'grapheme', maxLength: 220 }),
      fc.constantFrom('\udc00', 'a\0', "');--", '{"a', '\\', 'NULL'),
    )
    await fc.assert(
      fc.asyncProperty(text, text, text, async (title, category, attribute) => {
        const outcome = await catalogue
          .upsert({ externalId: 'any', title, categories: [category], attributes: { [attribute]: [attribute] } })
          .catch(error => error)
        if (outcome instanceof InvalidInput) return
        expect(outcome).toMatchObject({ title: title.trim(), categories: [category.trim()], attributes: { [attribute]: [attribute] } })
      }),
      { numRuns: 150 },
    )
  })
})

describe('products in memory', () => {
  test('are read once and then served without the database', async () => {
    const { key } = await catalogue.upsert({ externalId: 'memory', title: 'Memory' })
    expect(await statementsOf(() => catalogue.byIds([key]))).toHaveLength(1)
    expect(await statementsOf(() => catalogue.byIds([key, key]))).toHaveLength(0)
    expect((await catalogue.byIds([key, 2_000_000_000])).size).toBe(1)
  })

  test('are read anew after a change here, after a signal from elsewhere, and after a signal about all', async () => {
    const { key } = await catalogue.upsert({ externalId: 'changing', title: 'One' })
    const title = async () => (await catalogue.byIds([key])).get(key)?.title
    expect(await title()).toBe('One')
    await catalogue.upsert({ externalId: 'changing', title: 'Two' })
    expect(await title()).toBe('Two')
    for (const [next, productIds] of [
      ['Three', [key]],
      ['Four', []],
    ] as const) {
      await database.prisma.product.update({ where: { id: key }, data: { title: next } })
      expect(await title()).not.toBe(next)
      await signals.announce('catalogue.changed', { productIds: [...productIds] })
      expect(await title()).toBe(next)
    }
  })

  test('are seen changed within five seconds also when the signal of it is lost, and stay in memory while nothing changes', async () => {
    let milliseconds = 0
    const patient = new CatalogueService(new CatalogueRepository(database), localSignals(), 'EUR', () => milliseconds)
    const { key } = await catalogue.upsert({ externalId: 'quiet', title: 'One' })
    const { key: still } = await catalogue.upsert({ externalId: 'still', title: 'Still' })
    await database.sql(`UPDATE "Product" SET "updatedAt" = now() - interval '1 day' WHERE id = ANY($1)`, [[key, still]])
    const title = async () => (await patient.byIds([key, still])).get(key)?.title
    expect(await title()).toBe('One')
    milliseconds += 5_001
    expect(await statementsOf(title)).toEqual([expect.stringContaining('"updatedAt" >')])
    await catalogue.upsert({ externalId: 'quiet', title: 'Two' })
    expect(await title()).toBe('One')
    milliseconds += 5_001
    expect(await title()).toBe('Two')
    patient.close()
  })

  test('take a change up once, however often the look that goes back a minute finds it, and the next change of the same product again', async () => {
    let milliseconds = 0
    const patient = new CatalogueService(new CatalogueRepository(database), localSignals(), 'EUR', () => milliseconds)
    const { key } = await catalogue.upsert({ externalId: 'once', title: 'One' })
    const changesAfterLook = async () => {
      milliseconds += 5_001
      await patient.byIds([key])
      return patient.changes
    }
    const first = await changesAfterLook()
    expect([await changesAfterLook(), await changesAfterLook()]).toEqual([first, first])
    await catalogue.upsert({ externalId: 'once', title: 'Two' })
    expect([await changesAfterLook(), await changesAfterLook()]).toEqual([first + 1, first + 1])
    expect((await patient.byIds([key])).get(key)?.title).toBe('Two')
    patient.close()
  })

  test('never keep what was read before a change that came in between', async () => {
    const { key } = await catalogue.upsert({ externalId: 'between', title: 'Old' })
    const reading = catalogue.byIds([key])
    await new Promise(done => setImmediate(done)) // reads of one turn are sent together
    catalogue.forget([key])
    await reading
    expect(await statementsOf(() => catalogue.byIds([key]))).toHaveLength(1)
  })
})

describe('a filter', () => {
  const shop: (ProductFacts & { externalId: string })[] = [
    { externalId: 'f-1', title: 'Red Mug 100%', categories: ['Kitchen'], brand: 'Potter', price: { amountMicros: 5_000_000n }, stock: 0 },
    {
      externalId: 'f-2',
      title: 'red cup',
      categories: ['Kitchen', 'Gifts'],
      brand: 'Potter',
      price: { amountMicros: 7_000_000n },
      stock: 4,
    },
    { externalId: 'f-3', title: 'Lamp_shade', categories: ['Light'], stock: null },
    { externalId: 'f-4', title: '红色 台灯', categories: ['Light'], brand: '灯', price: { amountMicros: 70_000_000n } },
  ]
  const filters: [ProductFilter, string[]][] = [
    [{}, ['f-1', 'f-2', 'f-3', 'f-4', 'f-5']],
    [{ category: 'Kitchen' }, ['f-1', 'f-2']],
    [{ category: 'Kitchen', inStock: true }, ['f-2']],
    [{ inStock: false }, ['f-1']],
    [{ brand: '灯' }, ['f-4']],
    [{ search: 'RED' }, ['f-1', 'f-2']],
    [{ search: '100%' }, ['f-1']],
    [{ search: 'p_s' }, ['f-3']],
    [{ search: '台灯' }, ['f-4']],
    [{ search: 'f-3' }, ['f-3']],
    [{ search: 'cup RED' }, ['f-2']],
    [{ search: '台灯　红色' }, ['f-4']],
    [{ search: 'red lamp' }, []],
    [{ search: ' ' }, ['f-1', 'f-2', 'f-3', 'f-4', 'f-5']],
    [{ priceMinMicros: 7_000_000n }, ['f-2', 'f-4']],
    [{ priceMaxMicros: 7_000_000n }, ['f-1', 'f-2']],
    [{ stub: true }, ['f-5']],
    [{ stub: false, category: 'Light' }, ['f-3', 'f-4']],
  ]
  beforeAll(async () => {
    await database.sql('DELETE FROM "Product"')
    for (const facts of shop) await catalogue.upsert(facts)
    await catalogue.ensureStubs(['f-5'])
  })

  test.each(filters)('%j selects the same products in SQL and in memory', async (where, expected) => {
    const listed = await catalogue.page({ first: 100, where })
    expect(listed.nodes.map(product => product.externalId)).toEqual(expected)
    expect(await listed.totalCount()).toBe(expected.length)
    const everything = (await catalogue.page({ first: 100 })).nodes
    expect(everything.filter(productTest(where) ?? (() => true)).map(product => product.externalId)).toEqual(expected)
  })

  test('pages through everything exactly once', async () => {
    const seen: string[] = []
    for (let after: string | undefined; ; ) {
      const page = await catalogue.page({ first: 2, after })
      seen.push(...page.nodes.map(product => product.externalId))
      if (!page.pageInfo.hasNextPage) break
      after = page.pageInfo.endCursor!
    }
    expect(seen).toEqual(['f-1', 'f-2', 'f-3', 'f-4', 'f-5'])
  })

  test('that cannot be is refused with a sentence', async () => {
    for (const where of [{ search: 'a\0' }, { category: '\ud800' }, { priceMinMicros: -1n }, { priceMaxMicros: 10n ** 30n }])
      await expect(catalogue.page({ first: 1, where })).rejects.toThrow(InvalidInput)
  })
})

describe('stubs', () => {
  test('are made once, by many at once, and known products stay', async () => {
    const ids = Array.from({ length: 40 }, (_, index) => `s-${index}`)
    await catalogue.upsert({ externalId: 's-3', title: 'Known' })
    const answers = await Promise.all(Array.from({ length: 8 }, (_, turn) => catalogue.ensureStubs(turn % 2 ? ids : [...ids].reverse())))
    for (const answer of answers) expect(answer).toEqual(answers[0])
    expect(await stored('s-3')).toMatchObject({ title: 'Known', stub: false })
    expect(await stored('s-4')).toMatchObject({ title: 's-4', stub: true })
  })
})
