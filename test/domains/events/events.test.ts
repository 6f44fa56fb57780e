import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { startTestApp, type TestApp } from '../../support/app.js'

let house: TestApp
beforeAll(async () => {
  house = await startTestApp()
}, 60_000)
afterAll(() => house.close())

const TRACK = `mutation($events: [EventInput!]!, $key: String) { eventsTrack(input: { events: $events, idempotencyKey: $key }) {
  accepted duplicates rejected results { index messageId status error } userErrors { code field message } idempotentReplay } }`
interface Outcome {
  accepted: number
  duplicates: number
  rejected: number
  results: { index: number; messageId: string; status: string; error: string | null }[]
  userErrors: { code: string; field: string[] | null; message: string }[]
  idempotentReplay: boolean
}
async function track(events: object[], on = house, key?: string): Promise<Outcome> {
  const { data, errors } = await on.as('ingest').run(TRACK, { events, key })
  if (errors) throw new Error(errors[0].message)
  return (data as never as { eventsTrack: Outcome }).eventsTrack
}
const storedOf = (user: string, on = house) =>
  on.app.database.sql<Record<string, unknown>>(
    `SELECT e."messageId", e.type, e.value, e.quantity, e."priceMicros", e."currencyCode", e."occurredAt", e.properties, p."externalId" AS product
     FROM "Event" e JOIN "User" u ON u.id = e."userId" LEFT JOIN "Product" p ON p.id = e."productId" WHERE u."externalId" = $1 ORDER BY e."occurredAt", e.id`,
    [user],
  )

describe('a dry run', () => {
  const DRY = `mutation($events: [EventInput!]!) { eventsTrack(input: { events: $events, dryRun: true }) {
    accepted results { index } preview { accepted duplicates rejected results { index messageId status error } } userErrors { code field message } } }`
  const preview = async (events: object[], on = house) =>
    (await on.as('ingest').run(DRY, { events })).data as never as { eventsTrack: unknown }
  const row = (messageId: string, more: object = {}) => ({ messageId, userId: 'dry', productId: 'dry-tea', type: 'VIEW', ...more })

  test('tells what would become of each row, and stores nothing', async () => {
    await track([row('dry-0')])
    const { eventsTrack } = await preview([
      row('dry-0'),
      row('dry-1'),
      row('dry-1'),
      row('dry-2', { price: -1 }),
      row('dry-3', { userId: 'dry-new' }),
    ])
    expect(eventsTrack).toMatchObject({
      accepted: null,
      results: null,
      preview: {
        accepted: 2,
        duplicates: 2,
        rejected: 1,
        results: ['DUPLICATE', 'ACCEPTED', 'DUPLICATE', 'REJECTED', 'ACCEPTED'].map(status => ({ status })),
      },
      userErrors: [],
    })
    expect(await storedOf('dry')).toHaveLength(1)
    expect(await house.app.database.sql(`SELECT 1 FROM "User" WHERE "externalId" = 'dry-new'`)).toEqual([])
    expect(await preview(Array.from({ length: 1_001 }, (_, at) => row(`many-${at}`)))).toMatchObject({
      eventsTrack: { preview: null, userErrors: [{ code: 'INVALID', field: ['events'] }] },
    })
  })
})

describe('an event', () => {
  test('is stored with every field that the row form has, exactly', async () => {
    const row = {
      messageId: 'm-1',
      userId: 'whole',
      productId: 'tea',
      type: 'PURCHASE',
      value: 4.5,
      quantity: 3,
      price: 19.99,
      currency: 'usd',
      timestamp: '2026-01-31T13:00:00.250+01:00',
      properties: { coupon: 'NEW', nested: { deep: [1, '二'] } },
    }
    expect(await track([row])).toMatchObject({ accepted: 1, rejected: 0, results: [{ index: 0, messageId: 'm-1', status: 'ACCEPTED' }] })
    expect(await storedOf('whole')).toEqual([
      {
        messageId: 'm-1',
        type: 'PURCHASE',
        value: 4.5,
        quantity: 3,
        priceMicros: 19_990_000n,
        currencyCode: 'USD',
        occurredAt: new Date('2026-01-31T12:00:00.250Z'),
        properties: row.properties,
        product: 'tea',
      },
    ])
  })

  test('takes its time as ISO 8601 with a zone or as epoch milliseconds, and both mean the same instant', async () => {
    const times = [
      '2026-03-01T00:00:00Z',
      '2026-03-01T08:00:00+08:00',
      '2026-02-28T19:00:00.000-05:00',
      Date.UTC(2026, 2, 1),
      `${Date.UTC(2026, 2, 1)}`,
    ]
    await track(times.map((timestamp, index) => ({ messageId: `time-${index}`, userId: 'times', type: 'VIEW', timestamp })))
    expect((await storedOf('times')).map(({ occurredAt }) => (occurredAt as Date).getTime())).toEqual(times.map(() => Date.UTC(2026, 2, 1)))
  })

  test('of every type is taken', async () => {
    const { data } = await house.as('admin').run('{ __type(name: "EventType") { enumValues { name } } }')
    const types = (data as never as { __type: { enumValues: { name: string }[] } }).__type.enumValues.map(({ name }) => name)
    expect(types).toEqual(expect.arrayContaining(['VIEW', 'CLICK', 'IMPRESSION', 'SEARCH', 'ADD_TO_CART', 'PURCHASE', 'REFUND', 'RATING']))
    expect(await track(types.map(type => ({ userId: 'types', type, value: 3, messageId: `type-${type}` })))).toMatchObject({
      accepted: types.length,
    })
  })

  test('of a purchase with a negative quantity is a refund of the positive one', async () => {
    await track([{ messageId: 'back', userId: 'returns', type: 'PURCHASE', quantity: -2, price: 5 }])
    expect(await storedOf('returns')).toMatchObject([{ type: 'REFUND', quantity: 2, priceMicros: 5_000_000n, currencyCode: 'EUR' }])
  })
})

describe('the same message', () => {
  const row = { messageId: 'twice', userId: 'dup', productId: 'tea', type: 'VIEW', timestamp: 1_770_000_000_000 }

  test('is stored once: in one call, in a later call, and from many callers at once', async () => {
    expect(await track([row, row])).toMatchObject({
      accepted: 1,
      duplicates: 1,
      results: [{ status: 'ACCEPTED' }, { status: 'DUPLICATE' }],
    })
    expect(await track([row])).toMatchObject({ accepted: 0, duplicates: 1 })
    const racing = Array.from({ length: 50 }, (_, index) => ({
      ...row,
      messageId: `race-${index}`,
      userId: `racer-${index % 7}`,
      productId: `race-${index % 5}`,
    }))
    const outcomes = await Promise.all(Array.from({ length: 8 }, (_, turn) => track(turn % 2 ? racing : [...racing].reverse())))
    expect(outcomes.reduce((sum, { accepted }) => sum + accepted, 0)).toBe(50)
    expect(outcomes.every(({ accepted, duplicates, rejected }) => accepted + duplicates === 50 && rejected === 0)).toBe(true)
    const [{ n }] = await house.app.database.sql<{ n: number }>(`SELECT count(*)::int AS n FROM "Event" WHERE "messageId" LIKE 'race-%'`)
    expect(n).toBe(50)
  })

  test('without an id is known by its content when it has a time, and is new when it has none', async () => {
    const { messageId: _, ...blind } = { ...row, userId: 'blind' }
    await track([blind])
    expect(await track([blind])).toMatchObject({ accepted: 0, duplicates: 1 })
    expect(await track([{ ...blind, productId: 'coffee' }])).toMatchObject({ accepted: 1 })
    const now = { userId: 'blind-now', type: 'VIEW' }
    await track([now, now])
    expect(await storedOf('blind-now')).toHaveLength(2)
  })

  test('with an idempotency key gives the same payload again, and another input is refused', async () => {
    const first = await track([{ ...row, messageId: 'keyed' }], house, 'key-1')
    expect(await track([{ ...row, messageId: 'keyed' }], house, 'key-1')).toEqual({ ...first, idempotentReplay: true })
    expect((await track([{ ...row, messageId: 'other' }], house, 'key-1')).userErrors).toMatchObject([{ code: 'IDEMPOTENCY_KEY_REUSED' }])
  })
})

describe('late and out-of-order events', () => {
  test('stand where they happened, whatever order they came in', async () => {
    const day = 86_400_000
    const start = Date.UTC(2026, 0, 1)
    for (const offset of [5, 1, 3, 2, 4, 0])
      await track([
        { messageId: `order-${offset}`, userId: 'late', type: 'VIEW', productId: `step-${offset}`, timestamp: start + offset * day },
      ])
    expect((await storedOf('late')).map(({ product }) => product)).toEqual([0, 1, 2, 3, 4, 5].map(step => `step-${step}`))
  })

  test('a refund may come before its purchase', async () => {
    const order = { userId: 'early-refund', productId: 'tea', price: 3, quantity: 1 }
    await track([{ ...order, messageId: 'er-2', type: 'REFUND', timestamp: '2026-02-02T00:00:00Z' }])
    await track([{ ...order, messageId: 'er-1', type: 'PURCHASE', timestamp: '2026-02-01T00:00:00Z' }])
    expect((await storedOf('early-refund')).map(({ type }) => type)).toEqual(['PURCHASE', 'REFUND'])
  })

  test('an event of an anonymous visitor that arrives after the visitor was identified belongs to the user, as do those before', async () => {
    await track([{ messageId: 'anon-1', anonymousId: 'cookie-1', type: 'VIEW' }])
    await house.app.events.identify({ externalId: 'known' }, 'cookie-1')
    await track([{ messageId: 'anon-0', anonymousId: 'cookie-1', type: 'VIEW', timestamp: Date.now() - 3_600_000 }])
    expect((await storedOf('known')).map(({ messageId }) => messageId).sort()).toEqual(['anon-0', 'anon-1'])
  })
})

describe('unknown users and products', () => {
  test('are created as stubs by default', async () => {
    await track([{ messageId: 'stub-1', userId: 'stranger', productId: 'novelty', type: 'VIEW' }])
    const [product] = await house.app.database.sql<{ stub: boolean; title: string }>(
      `SELECT stub, title FROM "Product" WHERE "externalId" = 'novelty'`,
    )
    expect(product).toEqual({ stub: true, title: 'novelty' })
    expect(await storedOf('stranger')).toHaveLength(1)
  })

  test('are rejected where the configuration says so, each row with its reason; anonymous visitors are welcome', async () => {
    const strict = await startTestApp({ unknownReferences: 'reject' })
    try {
      await strict.as('ingest').run('mutation { userUpsert(input: { externalId: "eva" }) { user { id } } }')
      await strict.as('ingest').run('mutation { productUpsert(input: { externalId: "tea", title: "Tea" }) { product { id } } }')
      const outcome = await track(
        [
          { messageId: 's-0', userId: 'eva', productId: 'tea', type: 'VIEW' },
          { messageId: 's-1', userId: 'nobody', productId: 'tea', type: 'VIEW' },
          { messageId: 's-2', userId: 'eva', productId: 'nothing', type: 'VIEW' },
          { messageId: 's-3', anonymousId: 'cookie', type: 'VIEW' },
          { messageId: 's-4', userId: 'anonymous:fake', type: 'VIEW' },
        ],
        strict,
      )
      expect(outcome.results.map(({ status, error }) => [status, error])).toEqual([
        ['ACCEPTED', null],
        ['REJECTED', 'userId names nobody: "nobody"'],
        ['REJECTED', 'productId names no product: "nothing"'],
        ['ACCEPTED', null],
        ['REJECTED', 'userId names nobody: "anonymous:fake"'],
      ])
      const [{ n }] = await strict.app.database.sql<{ n: number }>('SELECT count(*)::int AS n FROM "Event"')
      expect(n).toBe(2)
    } finally {
      await strict.close()
    }
  }, 60_000)
})

describe('a faulty row is rejected with its place and reason, and stops no other', () => {
  const faults: [field: string, row: object, reason: RegExp][] = [
    ['neither user nor visitor', { userId: null }, /userId or anonymousId is needed/],
    ['a blank id', { userId: '  ' }, /userId is blank/],
    ['an id of 10,000 characters', { userId: 'x'.repeat(10_000) }, /userId must have at most 200 characters, not 10000/],
    ['NUL in an id', { userId: 'a\0b' }, /userId holds characters that cannot be stored/],
    ['half of a surrogate pair', { productId: 'a\ud800' }, /productId holds characters that cannot be stored/],
    ['NUL in a messageId', { messageId: '\0' }, /messageId holds characters/],
    ['a negative price', { price: -0.01 }, /price must not be negative, it is -0.01/],
    ['an endless price', { price: 1e300 }, /price must be from .* to 1000000000, not 1e\+300/],
    ['a negative quantity of a view', { quantity: -1 }, /quantity must not be negative, it is -1/],
    ['a huge quantity', { type: 'PURCHASE', quantity: 2_000_000_000 }, /quantity must be from/],
    ['a huge value', { value: 1e300 }, /value must be from/],
    ['a currency that never was', { price: 1, currency: 'ABC' }, /currency must be an ISO 4217 code, not "ABC"/],
    ['an unknown currency form', { currency: 'EURO' }, /currency must be an ISO 4217 code, not "EURO"/],
    ['a rating without stars', { type: 'RATING' }, /a RATING needs a value/],
    ['year 0', { timestamp: '0000-01-01T00:00:00Z' }, /timestamp must not lie before 1970/],
    ['year 9999', { timestamp: '9999-12-31T23:59:59Z' }, /timestamp lies more than a day ahead/],
    ['year 9999 in milliseconds', { timestamp: 253402300799999 }, /timestamp lies more than a day ahead/],
    ['a time without a zone', { timestamp: '2026-01-01T00:00:00' }, /timestamp must be ISO 8601 with a zone/],
    ['30 February', { timestamp: '2026-02-30T00:00:00Z' }, /timestamp is no date that exists/],
    ['hour 25', { timestamp: '2026-02-03T25:00:00Z' }, /timestamp is no date that exists/],
    ['an empty word for a time', { timestamp: 'yesterday' }, /timestamp must be ISO 8601/],
    ['milliseconds out of all time', { timestamp: 8_640_000_000_000_001 }, /timestamp is no date that exists/],
    ['properties that are a list', { properties: [1] }, /properties must be a JSON object/],
    ['NUL in a property', { properties: { a: '\0' } }, /properties must not contain NUL/],
    ['a lone surrogate in a property name', { properties: { 'a\udfff': 1 } }, /properties must not contain NUL characters or halves/],
    ['properties beyond 16 kB', { properties: { a: 'x'.repeat(17_000) } }, /properties must have at most 16384 bytes/],
    ['properties 40 levels deep', { properties: JSON.parse(`${'{"a":'.repeat(40)}1${'}'.repeat(40)}`) }, /properties is nested too deeply/],
  ]

  test.each(faults)('%s', async (name, fault, reason) => {
    const good = { userId: 'good', type: 'VIEW', messageId: `good beside ${name}` }
    const { accepted, rejected, results, userErrors } = await track([{ userId: 'bad', type: 'VIEW', ...fault }, good])
    expect({ accepted, rejected, userErrors }).toEqual({ accepted: 1, rejected: 1, userErrors: [] })
    expect(results[0]).toMatchObject({ index: 0, status: 'REJECTED', error: expect.stringMatching(reason) })
    expect(results[1]).toMatchObject({ index: 1, status: 'ACCEPTED' })
  })

  test('nothing of a rejected row is stored, not even a stub', async () => {
    const rows = await house.app.database.sql(`SELECT 1 FROM "User" WHERE "externalId" = 'bad'`)
    expect(rows).toEqual([])
  })

  test('__proto__ and constructor are names like any other', async () => {
    const body = `{"query":${JSON.stringify(TRACK)},"variables":{"events":[{"messageId":"proto","userId":"__proto__","productId":"constructor","type":"VIEW","properties":{"__proto__":{"a":1},"constructor":2}}]}}`
    const response = await fetch(`${house.url}/graphql`, {
      method: 'POST',
      headers: { authorization: `Bearer ${house.keys.ingest}`, 'content-type': 'application/json' },
      body,
    })
    expect(await response.json()).toMatchObject({ data: { eventsTrack: { accepted: 1 } } })
    const [{ properties, product }] = await storedOf('__proto__')
    expect(product).toBe('constructor')
    expect(JSON.stringify(properties)).toContain('"constructor":2')
    expect(({} as Record<string, unknown>).a).toBeUndefined()
  })

  test('more than 1,000 events at once are refused as a whole, with the way out', async () => {
    const outcome = await track(Array.from({ length: 1_001 }, () => ({ userId: 'many', type: 'VIEW' })))
    expect(outcome.userErrors).toMatchObject([{ code: 'INVALID', field: ['events'], message: expect.stringContaining('bulk import') }])
    expect(await storedOf('many')).toEqual([])
  })
})

test('a key without events:write is refused, and an unknown key too', async () => {
  const denied = await house.as('chatbot').run(TRACK, { events: [{ userId: 'x', type: 'VIEW' }] })
  expect(denied.errors?.[0].extensions.code).toBe('FORBIDDEN')
  const nobody = await house.as(undefined).run(TRACK, { events: [{ userId: 'x', type: 'VIEW' }] })
  expect(nobody.errors?.[0].extensions.code).toBe('UNAUTHENTICATED')
})
