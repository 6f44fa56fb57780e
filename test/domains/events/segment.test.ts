import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { Analytics } from '@segment/analytics-node'
import { startTestApp, type TestApp } from '../../support/app.js'

let house: TestApp
beforeAll(async () => {
  house = await startTestApp()
}, 60_000)
afterAll(() => house.close())

const stored = (where = 'true', on = house) =>
  on.app.database.sql<Record<string, unknown>>(
    `SELECT e.type, e.quantity, e."priceMicros", e."currencyCode", e.value, e."occurredAt", e.properties, p."externalId" AS product, u."externalId" AS owner
     FROM "Event" e JOIN "User" u ON u.id = e."userId" LEFT JOIN "Product" p ON p.id = e."productId" WHERE ${where} ORDER BY e."occurredAt", e.id`,
  )
const post = async (path: string, body: unknown, headers: Record<string, string> = {}) => {
  const response = await fetch(`${house.url}/v1/${path}`, {
    method: 'POST',
    headers: {
      authorization: `Basic ${Buffer.from(`${house.keys.ingest}:`).toString('base64')}`,
      'content-type': 'application/json',
      ...headers,
    },
    body: typeof body === 'string' || body instanceof Uint8Array ? (body as BodyInit) : JSON.stringify(body),
  })
  return { status: response.status, body: (await response.json()) as Record<string, unknown>, headers: response.headers }
}
beforeEach(() => house.app.database.sql('TRUNCATE "Event"'))

describe('an unmodified @segment/analytics-node with its host changed', () => {
  const sdk = (settings: Partial<ConstructorParameters<typeof Analytics>[0]> = {}) =>
    new Analytics({ writeKey: house.keys.ingest, host: house.url, flushInterval: 50, ...settings })

  test('delivers identify, track, page, screen, group and alias, in batches', async () => {
    const analytics = sdk({ flushAt: 4 })
    const failures: unknown[] = []
    analytics.on('error', failure => failures.push(failure))
    const timestamp = new Date('2026-02-01T10:00:00Z')
    analytics.track({ anonymousId: 'cookie', event: 'Product Viewed', properties: { product_id: 'tea' }, timestamp })
    await analytics.flush()
    analytics.identify({
      userId: 'ida',
      anonymousId: 'cookie',
      traits: { email: 'ida@example.com', firstName: 'Ida', plan: 'gold', address: { city: 'Bonn' } },
    })
    await analytics.flush()
    const at = (minute: number) => new Date(timestamp.getTime() + minute * 60_000)
    analytics.track({
      userId: 'ida',
      event: 'Product Added',
      properties: { product_id: 'tea', price: 4.2, quantity: 2, currency: 'USD' },
      timestamp: at(1),
    })
    analytics.page({ anonymousId: 'cookie', name: 'Home', properties: { url: 'https://shop.example/' }, timestamp: at(2) })
    analytics.screen({ userId: 'ida', name: 'Cart', timestamp: at(3) })
    analytics.group({ userId: 'ida', groupId: 'club' })
    analytics.alias({ userId: 'ida', previousId: 'older-cookie' })
    analytics.track({ userId: 'ida', event: 'Song Played', properties: { title: '茉莉花' }, timestamp: at(4) })
    await analytics.closeAndFlush({ timeout: 20_000 })
    expect(failures).toEqual([])
    expect((await stored()).map(({ type, owner }) => [type, owner])).toEqual([
      // What the visitor did before became hers when she said who she is.
      ['VIEW', 'ida'],
      ['ADD_TO_CART', 'ida'],
      ['PAGE', 'ida'],
      ['PAGE', 'ida'],
      ['CUSTOM', 'ida'],
      ['CUSTOM', 'ida'],
    ])
    const [ida] = await house.app.database.sql(`SELECT email, name, city, traits->>'plan' AS plan FROM "User" WHERE "externalId" = 'ida'`)
    expect(ida).toEqual({ email: 'ida@example.com', name: 'Ida', city: 'Bonn', plan: 'gold' })
  }, 60_000)

  test('tries again after a fault of the network or server, and nothing is stored twice', async () => {
    // Stands between: answers the first by 500, passes the second on and loses the answer, then lets everything through.
    let seen = 0
    const between = createServer((incoming, outgoing) => {
      const turn = seen++
      if (turn === 0) return void incoming.resume().on('end', () => outgoing.writeHead(500).end())
      const { host: _, ...headers } = incoming.headers
      const onward = request(`${house.url}${incoming.url}`, { method: incoming.method, headers }, answer => {
        if (turn === 1) return void answer.resume().on('end', () => outgoing.destroy())
        outgoing.writeHead(answer.statusCode ?? 500, answer.headers)
        answer.pipe(outgoing)
      })
      incoming.pipe(onward)
    })
    await new Promise<void>(done => between.listen(0, '127.0.0.1', done))
    const analytics = sdk({ host: `http://127.0.0.1:${(between.address() as AddressInfo).port}`, flushAt: 3, maxRetries: 5 })
    const failures: unknown[] = []
    analytics.on('error', failure => failures.push(failure))
    for (const product_id of ['a', 'b', 'c']) analytics.track({ userId: 'rita', event: 'Product Clicked', properties: { product_id } })
    await analytics.closeAndFlush({ timeout: 40_000 })
    between.closeAllConnections()
    between.close()
    expect([failures, seen]).toEqual([[], 3])
    expect((await stored()).map(({ product }) => product)).toEqual(['a', 'b', 'c'])
  }, 60_000)
})

describe('the e-commerce events of the Segment specification', () => {
  const product = { product_id: 'tea', sku: 'sku-tea', name: 'Tea', price: 4.2, quantity: 2, currency: 'GBP' }
  const order = { order_id: 'o-1', total: 12.4, currency: 'GBP', products: [product, { product_id: 'cup', price: 4, quantity: 1 }] }
  const names: [event: string, properties: object, expected: object[]][] = [
    ['Product Viewed', product, [{ type: 'VIEW', product: 'tea', priceMicros: 4_200_000n, currencyCode: 'GBP' }]],
    ['Product Clicked', product, [{ type: 'CLICK', product: 'tea' }]],
    ['Product Added', product, [{ type: 'ADD_TO_CART', product: 'tea', quantity: 2 }]],
    ['Product Removed', product, [{ type: 'REMOVE_FROM_CART', product: 'tea' }]],
    ['Product Added to Wishlist', product, [{ type: 'ADD_TO_WISHLIST', product: 'tea' }]],
    ['Products Searched', { query: 'tea' }, [{ type: 'SEARCH', properties: { query: 'tea' } }]],
    [
      'Product List Viewed',
      { list_id: 'l', products: [product, { product_id: 'cup' }] },
      [
        { type: 'IMPRESSION', product: 'tea' },
        { type: 'IMPRESSION', product: 'cup' },
      ],
    ],
    [
      'Checkout Started',
      order,
      [
        { type: 'CHECKOUT', product: 'tea' },
        { type: 'CHECKOUT', product: 'cup' },
      ],
    ],
    [
      'Order Completed',
      order,
      [
        { type: 'PURCHASE', product: 'tea', quantity: 2, priceMicros: 4_200_000n, currencyCode: 'GBP' },
        { type: 'PURCHASE', product: 'cup', quantity: 1, priceMicros: 4_000_000n, currencyCode: 'GBP' },
      ],
    ],
    [
      'Order Refunded',
      order,
      [
        { type: 'REFUND', product: 'tea', quantity: 2 },
        { type: 'REFUND', product: 'cup' },
      ],
    ],
    [
      'Order Refunded',
      { order_id: 'o-1', total: 9.5, currency: 'GBP' },
      [{ type: 'REFUND', product: null, value: 9.5, currencyCode: 'GBP' }],
    ],
    [
      'Product Reviewed',
      { product_id: 'tea', review_id: 'rev', review_body: '很好', rating: 5 },
      [{ type: 'RATING', product: 'tea', value: 5 }],
    ],
    [
      'Order Cancelled',
      order,
      [
        { type: 'REFUND', product: 'tea', quantity: 2, priceMicros: 4_200_000n },
        { type: 'REFUND', product: 'cup', quantity: 1 },
      ],
    ],
    [
      'Order Completed',
      { order_id: 'o-2', total: 12.4, currency: 'GBP' },
      [{ type: 'PURCHASE', product: null, quantity: 1, priceMicros: 12_400_000n, currencyCode: 'GBP' }],
    ],
    ['Wishlist Product Added to Cart', product, [{ type: 'ADD_TO_CART', product: 'tea', quantity: 2 }]],
    ['Product List Filtered', { products: [{ product_id: 'cup' }] }, [{ type: 'IMPRESSION', product: 'cup' }]],
    ['Cart Viewed', { cart_id: 'c' }, [{ type: 'CUSTOM', properties: { event: 'Cart Viewed', cart_id: 'c' } }]],
    ['PRODUCT VIEWED', product, [{ type: 'VIEW', product: 'tea' }]],
    ['constructor', {}, [{ type: 'CUSTOM' }]],
  ]
  test.each(names)('%s', async (event, properties, expected) => {
    const message = { messageId: `${event} ${expected.length}`, userId: 'eve', event, properties, timestamp: '2026-02-01T00:00:00Z' }
    expect(await post('track', message)).toMatchObject({ status: 200, body: { success: true } })
    expect(await post('track', message)).toMatchObject({ status: 200 })
    expect(await stored()).toEqual(expected.map(each => expect.objectContaining({ owner: 'eve', ...each })))
  })

  test('the text of a review becomes a review beside its rating', async () => {
    const [review] = await house.app.database.sql(`SELECT text, rating FROM "Review" WHERE "externalId" = 'rev'`)
    expect(review).toEqual({ text: '很好', rating: 5 })
  })

  test("a client's wrong clock is taken off", async () => {
    const hour = 3_600_000
    const sentAt = new Date(Date.now() - 5 * hour)
    const timestamp = new Date(sentAt.getTime() - hour)
    await post('batch', {
      sentAt,
      batch: [{ type: 'track', messageId: 'skew', userId: 'eve', event: 'Product Viewed', properties: product, timestamp }],
    })
    const [{ occurredAt }] = await stored()
    expect(Math.abs(Date.now() - hour - (occurredAt as Date).getTime())).toBeLessThan(60_000)
  })
})

describe('everything that is answered by success is stored', () => {
  const userNamed = async (externalId: string) =>
    (await house.app.database.sql(`SELECT email, traits->>'plan' AS plan, anonymous FROM "User" WHERE "externalId" = $1`, [externalId]))[0]

  test('the traits of a visitor without a user id, who keeps them when it turns out who it is', async () => {
    expect(await post('identify', { anonymousId: 'cookie-7', traits: { email: 'vi@example.com', plan: 'free' } })).toMatchObject({
      status: 200,
    })
    expect(await userNamed('anonymous:cookie-7')).toEqual({ email: 'vi@example.com', plan: 'free', anonymous: true })
    await post('identify', { userId: 'vi', anonymousId: 'cookie-7' })
    expect(await userNamed('vi')).toMatchObject({ email: 'vi@example.com', plan: 'free' })
    await post('identify', { anonymousId: 'cookie-7', traits: { plan: 'gold' } })
    expect(await userNamed('vi')).toMatchObject({ email: 'vi@example.com', plan: 'gold' })
  })

  test('the group of a user', async () => {
    await post('group', { messageId: 'in-acme', userId: 'vi', groupId: 'acme', traits: { seats: 5 } })
    expect(await stored()).toEqual([
      expect.objectContaining({ type: 'CUSTOM', owner: 'vi', properties: { event: 'Group', groupId: 'acme', seats: 5 } }),
    ])
  })
})

test.each([
  ['no object', [{ product_id: 'tea' }, 7], 'products[1] must be an object with a product_id', ['products', '1']],
  [
    'a faulty price',
    [{ product_id: 'tea' }, { product_id: 'cup', price: -1 }],
    'products[1]: price must not be negative, it is -1',
    ['products', '1', 'price'],
  ],
])('%s in an order is refused with its place, and nothing of the order is stored', async (_, products, error, field) => {
  const message = { userId: 'eve', event: 'Order Completed', properties: { products } }
  expect(await post('track', message)).toMatchObject({ status: 400, body: { error, field } })
  expect(await stored()).toEqual([])
})

describe('the door', () => {
  const message = { type: 'track', userId: 'dora', event: 'Product Viewed', properties: { product_id: 'tea' } }

  test('takes the key as Basic user name and as Bearer, and gzip', async () => {
    expect((await post('track', message)).status).toBe(200)
    expect((await post('track', message, { authorization: `Bearer ${house.keys.ingest}` })).status).toBe(200)
    expect((await post('batch', gzipSync(JSON.stringify({ batch: [message] })), { 'content-encoding': 'gzip' })).status).toBe(200)
    expect(await stored()).toHaveLength(3)
  })

  test.each([
    ['no key', '', 401],
    ['a wrong key', `Basic ${Buffer.from('bw_nonsense:').toString('base64')}`, 401],
    ['broken Basic', 'Basic %%%', 401],
    ['NUL in the key', `Basic ${Buffer.from('a\0b:').toString('base64')}`, 401],
  ])('refuses %s', async (_name, authorization, status) => {
    const answer = await post('track', message, { authorization })
    expect(answer).toMatchObject({ status, body: { code: 'UNAUTHENTICATED', error: expect.any(String) } })
  })

  test('refuses a key of another kind', async () => {
    const answer = await post('track', message, { authorization: `Bearer ${house.keys.chatbot}` })
    expect(answer).toMatchObject({ status: 403, body: { error: 'This key lacks the scope events:write' } })
  })

  const bodies: [name: string, body: unknown, status: number, error: RegExp, headers?: Record<string, string>][] = [
    ['no JSON', '{"batch":', 400, /The body is not JSON/],
    [
      'invalid UTF-8',
      Buffer.concat([Buffer.from('{"event":"'), Buffer.from([0xc3, 0x28]), Buffer.from('"}')]),
      400,
      /The body is not UTF-8/,
    ],
    ['a name given twice', '{"batch":[{"type":"track","userId":"a","userId":"b","event":"x"}]}', 400, /gives the name "userId" twice/],
    ['no batch', { messages: [] }, 400, /batch must be a list of messages/],
    ['a batch that is a text', { batch: 'x' }, 400, /batch must be a list/],
    ['broken gzip', Buffer.from([0x1f, 0x8b, 1, 2, 3]), 400, /not gzip/, { 'content-encoding': 'gzip' }],
    ['a gzip bomb', gzipSync(Buffer.alloc(50_000_000)), 400, /too large when unpacked/, { 'content-encoding': 'gzip' }],
    ['10 MB', JSON.stringify({ batch: [{ ...message, event: 'x'.repeat(10_000_000) }] }), 413, /./],
    [
      'a batch beyond 500 kB',
      { batch: Array.from({ length: 40 }, () => ({ ...message, properties: { a: 'x'.repeat(15_000) } })) },
      413,
      /at most 512000 bytes/,
    ],
    [
      'JSON nested 100,000 levels deep',
      `{"batch":[{"type":"track","userId":"a","event":"x","properties":{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}}]}`,
      400,
      /batch\[0\]: a message has at most 64 levels/,
    ],
  ]
  // As a list: a parameter beyond the row's length would be taken for a callback to wait for.
  test.each(bodies)('refuses %s', async (...[_name, body, status, error, headers]) => {
    const answer = await post('batch', body, headers)
    expect(answer).toMatchObject({ status, body: { error: expect.stringMatching(error) } })
    expect(await stored()).toEqual([])
  })

  const faults: [name: string, fault: object, error: RegExp, field: string][] = [
    ['an unknown type', { type: 'buy' }, /type must be one of identify, track/, 'type'],
    ['nobody', { userId: null }, /userId or anonymousId is needed/, 'userId'],
    ['a user that is an object', { userId: { a: 1 } }, /userId must be text/, 'userId'],
    ['an event without a name', { event: 7 }, /event, the name of what happened, is needed/, 'event'],
    ['a negative price', { properties: { product_id: 'a', price: -1 } }, /price must not be negative/, 'price'],
    ['year 9999', { timestamp: '9999-12-31T00:00:00Z' }, /more than a day ahead/, 'timestamp'],
    ['year 0', { timestamp: '0000-01-01T00:00:00Z' }, /before 1970/, 'timestamp'],
    ['NUL', { userId: 'a\0' }, /cannot be stored/, 'userId'],
    ['a lone surrogate in a property', { properties: { a: '\ud800' } }, /halves of surrogate pairs/, 'properties'],
    [
      'an order of which one product is faulty',
      {
        event: 'Order Completed',
        properties: {
          products: [
            { product_id: 'ok', price: 1 },
            { product_id: 'a', price: -1 },
          ],
        },
      },
      /price must not be negative/,
      'price',
    ],
    ['more than 32 kB', { properties: { a: 'x'.repeat(40_000) } }, /at most 32768 bytes/, '1'],
  ]
  test.each(faults)('refuses a message with %s by its place, whole, and stores the others', async (_name, fault, error, field) => {
    const batch = [message, { ...message, ...fault }, { ...message, userId: 'other' }]
    const answer = await post('batch', { batch })
    expect(answer).toMatchObject({ status: 400, body: { accepted: 2, rejected: [{ index: 1 }] } })
    expect(answer.body.error).toMatch(new RegExp(`^batch\\[1\\]: .*${error.source}`))
    expect((answer.body.field as string[]).at(-1)).toBe(field)
    expect((await stored()).map(({ owner }) => owner)).toEqual(['dora', 'other'])
  })

  test('counts against the rate of the key, and says when to come again', async () => {
    const strict = await startTestApp({ rateLimitPerMinute: 5 })
    try {
      const send = () =>
        fetch(`${strict.url}/v1/track`, {
          method: 'POST',
          headers: { authorization: `Bearer ${strict.keys.ingest}` },
          body: JSON.stringify(message),
        })
      const answers = []
      for (let turn = 0; turn < 12; turn++) answers.push(await send())
      const last = answers.at(-1) as Response
      expect([answers[0].status, last.status]).toEqual([200, 429])
      expect(Number(last.headers.get('retry-after'))).toBeGreaterThan(0)
    } finally {
      await strict.close()
    }
  }, 60_000)
})
