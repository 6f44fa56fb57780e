import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { reviewsOf } from '../../../prisma/seed/words.js'
import { CATEGORIES, createWorld } from '../../../prisma/seed/world.js'
import { isSignedBy, signatureOf } from '../../../src/platform/signature.js'
import { startTestApp, type TestApp } from '../../support/app.js'
import { countQueries } from '../../support/count-queries.js'

const DAY_MS = 86_400_000
const SECRET = 'a secret of the shop and its monitor'
const NOW = new Date()
const world = createWorld(20251124)

let house: TestApp
let hook: Server
const received: { signature: string; body: string }[] = []
let hookStatus = 200
beforeAll(async () => {
  hook = createServer((request, response) => {
    let body = ''
    request.on('data', chunk => {
      body += chunk
    })
    request.on('end', () => {
      received.push({ signature: String(request.headers['bellwether-signature']), body })
      response.writeHead(hookStatus).end()
    })
  })
  await new Promise<void>(done => hook.listen(0, '127.0.0.1', done))
  const alertWebhook = `http://127.0.0.1:${(hook.address() as AddressInfo).port}/hook`
  house = await startTestApp({ webhookSecret: SECRET, alertWebhook })
  const { database, reviews } = house.app
  // The demo shop's products and reviews, without its 200,000 events.
  await database.sql(
    `INSERT INTO "Product" (id, "externalId", title, categories, "updatedAt") SELECT id, 'p-' || id, 'Article number ' || id, ARRAY[category], now()
     FROM json_to_recordset($1) AS p(id int, category text)`,
    [JSON.stringify(world.products.map(({ category }, at) => ({ id: at + 1, category: nameOf(category) })))],
  )
  await database.sql(
    `INSERT INTO "Review" (id, "externalId", "productId", text, rating, locale, "createdAt") SELECT gen_random_uuid()::text, key, product, text, rating, 'en', to_timestamp(at / 1000.0)
     FROM json_to_recordset($1) AS r(key text, product int, text text, rating int, at float8)`,
    [
      JSON.stringify(
        reviewsOf(world, NOW).map(({ externalId, product, text, rating, at }) => ({
          key: externalId,
          product: world.products.indexOf(product) + 1,
          text,
          rating,
          at,
        })),
      ),
    ],
  )
  await reviews.readPending()
}, 120_000)
afterAll(async () => {
  await house.close()
  await new Promise(done => hook.close(done))
})

function nameOf(category: number): string {
  return CATEGORIES[category][0]
}

interface Alert {
  id: string
  subject: string
  startedAt: string
  endedAt: string
  severity: number
  kind: string
  terms: string[]
  sample: { text: string; sentiment: { label: string } }[]
  proposals: { action: string; state: string; by: string | null; note: string | null }[]
  acknowledgedBy: string | null
}

const FIELDS =
  'id subject startedAt endedAt severity kind observed expected terms acknowledgedBy isFalseAlarm proposals { action state by note } sample { text sentiment { label } }'
const alertsOf = async (args = ''): Promise<Alert[]> => {
  const found: Alert[] = []
  for (let after: string | null = null; ; ) {
    const { data, errors } = await house
      .as('marketer')
      .run(`query($a: String) { opinionAlerts(first: 50, after: $a${args}) { nodes { ${FIELDS} } pageInfo { hasNextPage endCursor } } }`, {
        a: after,
      })
    expect(errors).toBeUndefined()
    const { nodes, pageInfo } = (
      data as unknown as { opinionAlerts: { nodes: Alert[]; pageInfo: { hasNextPage: boolean; endCursor: string } } }
    ).opinionAlerts
    found.push(...nodes)
    if (!pageInfo.hasNextPage) return found
    after = pageInfo.endCursor
  }
}
const mutate = async (field: string, type: string, input: object) => {
  const { data, errors } = await house
    .as('marketer')
    .run(`mutation($i: ${type}!) { r: ${field}(input: $i) { alert { ${FIELDS} } userErrors { code message field } } }`, { i: input })
  expect(errors).toBeUndefined()
  return (data as unknown as { r: { alert: Alert | null; userErrors: { code: string; message: string }[] } }).r
}

test('of the ten planted crises all of three standard deviations and more are found within two days, with at most one false alarm in 90 quiet days', async () => {
  const { subjects } = await house.app.opinion.watch()
  expect(subjects).toBeGreaterThanOrEqual(CATEGORIES.length)
  const alerts = (await alertsOf()).filter(({ subject }) => subject.startsWith('category: '))
  const midnight = Math.floor(NOW.getTime() / DAY_MS) * DAY_MS
  const dayOf = (alert: Alert) => (midnight - Date.parse(alert.startedAt)) / DAY_MS
  const telling = new Set<Alert>()
  const missed = world.crises.filter(({ category, daysAgo, days, sigma }) => {
    const own = alerts.filter(
      alert => alert.subject === `category: ${nameOf(category)}` && dayOf(alert) <= daysAgo && dayOf(alert) > daysAgo - days - 1,
    )
    for (const alert of own) telling.add(alert)
    return sigma >= 3 && !own.some(alert => dayOf(alert) > daysAgo - 2)
  })
  expect(world.crises.filter(({ sigma }) => sigma >= 3)).toHaveLength(8)
  expect(missed).toEqual([])
  const falseAlarms = alerts.filter(alert => !telling.has(alert))
  const quietDays = 365 - 28 - world.crises.length * 3
  expect(falseAlarms.length / (quietDays / 90)).toBeLessThanOrEqual(1)
})

test('an alert has its terms and negative samples, and is told of once', async () => {
  const before = await alertsOf()
  expect((await house.app.opinion.watch()).alerts).toBe(0)
  expect(await alertsOf()).toEqual(before)
  const [alert] = before.filter(({ kind, subject }) => kind !== 'volume' && subject.startsWith('category'))
  expect(alert.terms.length).toBeGreaterThan(0)
  expect(alert.sample.length).toBeGreaterThan(0)
  expect(alert.sample.every(({ sentiment }) => sentiment.label === 'NEGATIVE')).toBe(true)
  expect(alert.severity).toBeGreaterThan(3)
})

test('a time-line shows what was said beside what is usual', async () => {
  const crisis = world.crises.find(({ sigma }) => sigma === 6) as (typeof world.crises)[number]
  const to = new Date(Math.floor(NOW.getTime() / DAY_MS) * DAY_MS - (crisis.daysAgo - 4) * DAY_MS)
  const { data, errors } = await house
    .as('marketer')
    .run(
      'query($c: String, $f: DateTime, $t: DateTime) { opinionTimeline(category: $c, from: $f, to: $t) { at mentions negativeShare expected low high } }',
      { c: nameOf(crisis.category), f: new Date(to.getTime() - 30 * DAY_MS).toISOString(), t: to.toISOString() },
    )
  expect(errors).toBeUndefined()
  const points = (data as unknown as { opinionTimeline: { at: string; mentions: number; expected: number; low: number; high: number }[] })
    .opinionTimeline
  expect(points).toHaveLength(30)
  const first = points.at(-4) as (typeof points)[number]
  expect(first.mentions).toBeGreaterThan(first.high)
  expect(points.every(({ low, expected, high }) => low <= expected && expected <= high)).toBe(true)
  for (const args of [
    'bucket: "week"',
    'from: "2026-01-02T00:00:00Z", to: "2026-01-01T00:00:00Z"',
    'bucket: "hour", from: "2020-01-01T00:00:00Z"',
    'category: "a", brand: "b"',
  ])
    expect((await house.as('marketer').run(`{ opinionTimeline(${args}) { at } }`)).errors?.[0].extensions.code).toBe('BAD_USER_INPUT')
})

describe('people', () => {
  test('acknowledge an alert once, and their word makes the measured rate', async () => {
    const [one, two] = await alertsOf(', open: true')
    const { alert } = await mutate('opinionAcknowledge', 'OpinionAcknowledgeInput', { alertId: one.id, isFalseAlarm: true })
    expect(alert).toMatchObject({ acknowledgedBy: 'marketer', isFalseAlarm: true })
    expect((await mutate('opinionAcknowledge', 'OpinionAcknowledgeInput', { alertId: one.id })).userErrors[0].code).toBe(
      'ILLEGAL_TRANSITION',
    )
    await mutate('opinionAcknowledge', 'OpinionAcknowledgeInput', { alertId: two.id, isFalseAlarm: false })
    expect((await alertsOf(', open: true')).map(({ id }) => id)).not.toContain(one.id)
    await house.app.database.sql(
      `UPDATE "OpinionAlert" SET "startedAt" = now() - CASE WHEN "isFalseAlarm" THEN interval '1 day' ELSE interval '2 days' END WHERE "acknowledgedAt" IS NOT NULL`,
    )
    const { data } = await house.as('marketer').run('{ opinionQuality { alerts falseAlarms { value sampleSize } } }')
    expect(data).toMatchObject({ opinionQuality: { falseAlarms: { value: 0.5, sampleSize: 2 } } })
  })

  test('confirm what is proposed, which is then done once', async () => {
    const alert = (await alertsOf(', open: true'))[0]
    const act = (action: string, confirm = true) =>
      mutate('opinionActionDecide', 'OpinionActionInput', { alertId: alert.id, action, confirm })
    const outcomes = await Promise.all(Array.from({ length: 5 }, () => act('FAQ_ENTRY')))
    expect(outcomes.filter(({ userErrors }) => userErrors.length === 0)).toHaveLength(1)
    const { data } = await house.as('marketer').run('{ faqEntries(where: { origin: "opinion" }) { nodes { status question } } }')
    expect((data as unknown as { faqEntries: { nodes: object[] } }).faqEntries.nodes).toMatchObject([{ status: 'DRAFT' }])
    expect((await act('PAUSE_ADS')).userErrors[0].message).toMatch(/does not propose/)
    hookStatus = 500
    expect((await act('NOTIFY')).alert?.proposals).toContainEqual({
      action: 'NOTIFY',
      state: 'FAILED',
      by: 'marketer',
      note: expect.stringContaining('500'),
    })
    hookStatus = 200
    expect((await act('NOTIFY')).alert?.proposals).toContainEqual(expect.objectContaining({ action: 'NOTIFY', state: 'DONE' }))
    const { signature, body } = received.at(-1) as (typeof received)[number]
    expect(isSignedBy(SECRET, body, signature, new Date())).toBe(true)
    expect(isSignedBy(SECRET, `${body} `, signature, new Date())).toBe(false)
    expect(isSignedBy(SECRET, body, signature, new Date(Date.now() + 600_000))).toBe(false)
    expect(JSON.parse(body)).toMatchObject({ type: 'opinion.alert', alert: { subject: alert.subject } })
  })

  test("pause a product's ads", async () => {
    const { database, opinion } = house.app
    const at = Date.now()
    await database.sql(
      `INSERT INTO "Review" (id, "productId", text, locale, "createdAt") SELECT gen_random_uuid()::text, 7, 'Terrible, the lid leaks, number ' || n, 'en', to_timestamp($1) FROM generate_series(1, 30) n`,
      [at / 1_000 - 60],
    )
    await database.sql(`INSERT INTO "BiddingStrategy" (id, name, type, "updatedAt") VALUES ('s', 's', 'MANUAL_CPC', now());`)
    await database.sql(
      `INSERT INTO "Campaign" (id, name, "budgetMicros", "budgetCurrencyCode", "biddingStrategyId", "updatedAt") VALUES ('c', 'c', 1, 'EUR', 's', now())`,
    )
    await database.sql(`INSERT INTO "AdGroup" (id, "campaignId", name) VALUES ('g', 'c', 'g')`)
    await database.sql(`INSERT INTO "Ad" ("adGroupId", headline, "productId") VALUES ('g', 'a', 7), ('g', 'b', 8)`)
    await house.app.reviews.readPending()
    await opinion.watch()
    const alert = (await alertsOf(', open: true')).find(({ subject }) => subject === 'product: p-7') as Alert
    expect(alert.terms.join(' ')).toMatch(/lid|leak/)
    const { alert: decided } = await mutate('opinionActionDecide', 'OpinionActionInput', { alertId: alert.id, action: 'PAUSE_ADS' })
    expect(decided?.proposals[0]).toEqual({ action: 'PAUSE_ADS', state: 'DONE', by: 'marketer', note: '1 ads were paused' })
    expect(await database.sql('SELECT status FROM "Ad" ORDER BY id')).toEqual([{ status: 'PAUSED' }, { status: 'ENABLED' }])
    const dismissed = await mutate('opinionActionDecide', 'OpinionActionInput', { alertId: alert.id, action: 'NOTIFY', confirm: false })
    expect(dismissed.alert?.proposals[3]).toMatchObject({ state: 'DISMISSED' })
    const product = async () => {
      const { data } = await house.as('marketer').run('{ product(externalId: "p-7") { id demotedAt version } }')
      return (data as unknown as { product: { id: string; demotedAt: string | null; version: number } }).product
    }
    expect((await product()).demotedAt).toBeNull()
    const demoted = await mutate('opinionActionDecide', 'OpinionActionInput', { alertId: alert.id, action: 'DEMOTE' })
    expect(demoted.alert?.proposals[1]).toMatchObject({ state: 'DONE', note: expect.stringContaining('Article number 7') })
    const { id, demotedAt, version } = await product()
    expect(Date.parse(demotedAt as string)).toBeGreaterThan(at - 1_000)
    const end = async (demoted: boolean) => {
      const { data } = await house
        .as('marketer')
        .run('mutation($i: ProductDemoteInput!) { productDemote(input: $i) { product { demotedAt version } userErrors { code } } }', {
          i: { productId: id, demoted },
        })
      return (data as unknown as { productDemote: object }).productDemote
    }
    expect(await end(true)).toEqual({ product: { demotedAt, version }, userErrors: [] })
    expect(await end(false)).toEqual({ product: { demotedAt: null, version: version + 1 }, userErrors: [] })
  })
})

describe('posts come in by a signed door', () => {
  const send = async (body: string, signature: string) => {
    const response = await fetch(`${house.url}/v1/posts`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'bellwether-signature': signature },
      body,
    })
    return {
      status: response.status,
      body: (await response.json()) as { accepted: number; rejected: { id: string; error: string }[]; error: string },
    }
  }

  test('once each; a faulty one stops no other', async () => {
    const body = JSON.stringify({
      posts: [
        { id: '1', text: 'Article number 3 is dreadful', source: 'news', createdAt: '2026-01-01T00:00:00Z' },
        { id: '2', text: ' ' },
        { id: '1', text: 'again' },
      ],
    })
    const answer = await send(body, signatureOf(SECRET, body, new Date()))
    expect(answer).toMatchObject({ status: 200, body: { accepted: 2, rejected: [{ id: '2' }] } })
    await house.app.reviews.readPending()
    expect(await house.app.database.sql(`SELECT source, "productId", sentiment FROM "Review" WHERE "externalId" = 'post:1'`)).toEqual([
      { source: 'news', productId: 3, sentiment: 'NEGATIVE' },
    ])
  })

  test('five hundred by as many statements as two', async () => {
    const bodyOf = (from: number, count: number) =>
      JSON.stringify({
        posts: Array.from({ length: count }, (_, at) => ({
          id: at % 50 === 7 ? `${'x'.repeat(199)}` : `many-${from + at}`,
          text: at % 10 === 3 ? ' \u0000 ' : `Post ${from + at} speaks of it`,
          productExternalId: at % 10 === 5 ? 'a\u0000b' : `posted-${(from + at) % 7}`,
          userExternalId: `writer-${from + at}`,
          createdAt: at % 10 === 9 ? '2099-01-01T00:00:00Z' : undefined,
        })),
      })
    const [two, many] = [bodyOf(0, 2), bodyOf(1_000, 500)]
    await house.app.database.sql(`SELECT setval(pg_get_serial_sequence('"Product"', 'id'), 100000)`)
    const few = await countQueries(() => send(two, signatureOf(SECRET, two, new Date())))
    const answers: Awaited<ReturnType<typeof send>>[] = []
    expect(
      await countQueries(async () => {
        answers.push(await send(many, signatureOf(SECRET, many, new Date())))
      }),
    ).toBeLessThanOrEqual(few)
    expect(answers[0].status).toBe(200)
    const { accepted, rejected } = answers[0].body
    expect(rejected).toHaveLength(160)
    expect(accepted).toBe(340)
    expect(new Set(rejected.map(({ error }) => error))).toEqual(
      new Set([
        'text must not contain the NUL character',
        'externalId must have at most 200 characters, not 204',
        'productExternalId must not contain the NUL character',
        'createdAt must not lie in the future',
      ]),
    )
    const [{ count, products, users }] = await house.app.database.sql<{ count: number; products: number; users: number }>(
      `SELECT count(*)::int AS count, count(DISTINCT "productId")::int AS products, count("userId")::int AS users FROM "Review" WHERE "externalId" LIKE 'post:many-1___'`,
    )
    expect({ count, products, users }).toEqual({ count: 340, products: 7, users: 340 })
    await house.app.database.sql(`DELETE FROM "Review" WHERE "externalId" LIKE 'post:many-%'`)
  })

  test('and by no other', async () => {
    const body = '{"posts":[{"id":"3","text":"x"}]}'
    expect((await send(body, 'nonsense')).status).toBe(401)
    expect((await send(body, signatureOf('another secret of somebody', body, new Date()))).status).toBe(401)
    expect((await send(body, signatureOf(SECRET, body, new Date(Date.now() - 3_600_000)))).status).toBe(401)
    for (const bad of ['{', '{"posts":[]}', '{"posts":[{"text":"x"}]}'])
      expect((await send(bad, signatureOf(SECRET, bad, new Date()))).status).toBe(400)
  })
})
