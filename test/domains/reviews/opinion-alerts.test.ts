import { type ChildProcess, fork } from 'node:child_process'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { eventually, startTestApp, type TestApp } from '../../support/app.js'
import { statementsOf } from '../../support/count-queries.js'

const SECRET = 'a secret of the shop and its monitor'
const DAY_MS = 86_400_000
const MIDNIGHT = Math.floor(Date.now() / DAY_MS) * DAY_MS

let house: TestApp
let hook: Server
let isHookSilent = false
const deliveries: string[] = []
beforeAll(async () => {
  hook = createServer((request, response) => {
    deliveries.push(String(request.headers['bellwether-delivery']))
    request.resume()
    if (!isHookSilent) response.writeHead(200).end()
  })
  await new Promise<void>(done => hook.listen(0, '127.0.0.1', done))
  house = await startTestApp({ webhookSecret: SECRET, alertWebhook: `http://127.0.0.1:${(hook.address() as AddressInfo).port}/` })
})
afterAll(async () => {
  await house.close()
  hook.closeAllConnections()
  await new Promise(done => hook.close(done))
})

const sql = <Row extends object>(text: string, params: unknown[] = []) => house.app.database.sql<Row>(text, params)

/** Products of a category in two languages, each with one good review a day for ten weeks and a bad one every tenth day. */
async function quietCategory(names: string[], products: number[], brand: string | null = null) {
  await sql(
    `INSERT INTO "Product" (id, "externalId", title, categories, brand, "updatedAt") SELECT id, 'p-' || id, 'Product ' || id, $2::text[], $3, now() FROM unnest($1::int[]) id`,
    [products, names, brand],
  )
  await sql(
    `INSERT INTO "Review" (id, "productId", text, locale, sentiment, score, "analysedAt", "createdAt")
     SELECT gen_random_uuid()::text, id, 'fine', 'en', CASE WHEN (day + id) % 10 = 0 THEN 'NEGATIVE' ELSE 'POSITIVE' END, 0.5, now(), to_timestamp($2::float8 - 86400 * day + 10 * id)
     FROM unnest($1::int[]) id, generate_series(1, 70) day`,
    [products, MIDNIGHT / 1_000],
  )
}

async function complain(productId: number, count: number, daysAgo: number) {
  await sql(
    `INSERT INTO "Review" (id, "productId", text, locale, sentiment, score, "analysedAt", "createdAt")
     SELECT gen_random_uuid()::text, $1, 'The lid leaks, number ' || n, 'en', 'NEGATIVE', -0.9, now(), to_timestamp($3::float8 + 300 * n) FROM generate_series(1, $2) n`,
    [productId, count, MIDNIGHT / 1_000 - 86_400 * daysAgo + 3_600],
  )
}

interface Alert {
  id: string
  subject: string
  subjects: string[]
  startedAt: string
  endedAt: string
  terms: string[]
  proposals: { action: string; state: string; by: string | null; at: string | null; note: string | null }[]
}

async function alerts(): Promise<Alert[]> {
  const { data, errors } = await house
    .as('marketer')
    .run(
      '{ opinionAlerts(first: 100) { nodes { id subject subjects startedAt endedAt terms proposals { action state by at note } } pageInfo { hasNextPage } } }',
    )
  expect(errors).toBeUndefined()
  return (data as unknown as { opinionAlerts: { nodes: Alert[] } }).opinionAlerts.nodes
}

describe('one alert a cause', () => {
  test('a category that has a name in two languages is one subject', async () => {
    await quietCategory(['Tea', '茶'], [1, 2, 3, 4])
    for (const product of [1, 2, 3, 4]) await complain(product, 4, 3)
    await house.app.opinion.watch()
    const found = await alerts()
    const own = found.filter(({ subjects }) => subjects.includes('category: Tea') || subjects.includes('category: 茶'))
    expect(own).toHaveLength(1)
    expect(own[0].subject).toBe('category: Tea')
    expect(own[0].subjects).toEqual(expect.arrayContaining(['category: Tea', 'category: 茶', 'shop']))
    expect(found.filter(({ subject }) => /p-[1-4]$/.test(subject))).toEqual([])
    expect(own[0].terms.join(' ')).toMatch(/lid|leak/)
  })

  test('what is said of one product is not told again of its brand, its category and the shop, and proposes what can be done about the product', async () => {
    await quietCategory(['Lamps', '灯'], [11, 12, 13], 'Lux')
    await complain(11, 30, 10)
    await house.app.opinion.watch()
    const own = (await alerts()).filter(({ subjects }) => subjects.some(each => /Lamps|灯|Lux|p-11/.test(each)))
    expect(own).toHaveLength(1)
    expect(own[0].subject).toBe('product: p-11')
    expect([...own[0].subjects].sort()).toEqual(['brand: Lux', 'category: Lamps', 'category: 灯', 'product: p-11', 'shop'])
    expect(own[0].proposals.map(({ action }) => action)).toEqual(['PAUSE_ADS', 'DEMOTE', 'FAQ_ENTRY', 'NOTIFY'])
  })

  test('looking again tells nothing new and changes nothing', async () => {
    const before = await alerts()
    expect((await house.app.opinion.watch()).alerts).toBe(0)
    expect(await alerts()).toEqual(before)
  })

  test('an alert that goes on gets longer, under all of its names', async () => {
    const before = await alerts()
    await complain(11, 30, 9)
    expect((await house.app.opinion.watch()).alerts).toBe(0)
    const after = await alerts()
    expect(after).toHaveLength(before.length)
    const [old, longer] = [before, after].map(list => list.find(({ subject }) => subject === 'product: p-11') as Alert)
    expect(Date.parse(longer.endedAt) - Date.parse(old.endedAt)).toBe(DAY_MS)
    expect((await house.app.opinion.watch()).alerts).toBe(0)
    expect(await alerts()).toEqual(after)
  })

  test('two products that are complained of at once are two', async () => {
    await quietCategory(['Bags', '包'], [21, 22, 23])
    await complain(21, 25, 20)
    await complain(22, 25, 20)
    await house.app.opinion.watch()
    const subjects = (await alerts()).map(({ subject }) => subject)
    expect(subjects).toEqual(expect.arrayContaining(['product: p-21', 'product: p-22']))
  })
})

test('a watch asks as many statements for a hundred subjects as for ten', async () => {
  // What the app looks up by the clock meanwhile does not read these tables.
  const asked = async () => (await statementsOf(() => house.app.opinion.watch())).filter(text => /"(Review|OpinionAlert)"/.test(text))
  const few = await asked()
  expect(few.length).toBeGreaterThan(0)
  const { subjects } = await house.app.opinion.watch()
  for (let category = 0; category < 20; category++)
    await quietCategory(
      [`Category ${category}`, `类 ${category}`],
      [0, 1, 2].map(each => 100 + 3 * category + each),
    )
  const many = await house.app.opinion.watch()
  expect(many.subjects - subjects).toBe(100)
  const statements = await asked()
  expect(statements).toHaveLength(few.length)
  expect(statements.length).toBeLessThan(15)
})

test('an hour is watched where there are enough mentions', async () => {
  await sql(`INSERT INTO "Product" (id, "externalId", title, categories, "updatedAt") VALUES (500, 'p-500', 'Loud', '{}', now())`)
  const hour = Math.floor(Date.now() / 3_600_000) * 3_600
  await sql(
    `INSERT INTO "Review" (id, "productId", text, locale, sentiment, score, "analysedAt", "createdAt")
     SELECT gen_random_uuid()::text, 500, 'fine', 'en', 'POSITIVE', 0.5, now(), to_timestamp($1::float8 - 3600 * h + 600 * n) FROM generate_series(1, 1000) h, generate_series(0, 4 + h % 2) n`,
    [hour],
  )
  await sql(
    `INSERT INTO "Review" (id, "productId", text, locale, sentiment, score, "analysedAt", "createdAt")
     SELECT gen_random_uuid()::text, 500, 'awful', 'en', 'NEGATIVE', -0.5, now(), to_timestamp($1::float8 - 3600 * 30 + n) FROM generate_series(1, 60) n`,
    [hour],
  )
  await house.app.opinion.watch()
  const own = (await alerts()).filter(({ subjects }) => subjects.includes('product: p-500'))
  expect(own).toHaveLength(1)
  expect(Date.parse(own[0].startedAt) / 1_000).toBe(hour - 3_600 * 30)
})

describe('what was confirmed is done once, whatever breaks', () => {
  const decide = async (alertId: string, action: string, confirm = true) => {
    const { data } = await house
      .as('marketer')
      .run(
        'mutation($i: OpinionActionInput!) { r: opinionActionDecide(input: $i) { alert { proposals { action state by at note } } userErrors { code message } } }',
        { i: { alertId, action, confirm } },
      )
    return (data as unknown as { r: { alert: Pick<Alert, 'proposals'> | null; userErrors: { code: string; message: string }[] } }).r
  }
  const proposal = async (alertId: string, action: string) =>
    (await alerts()).find(({ id }) => id === alertId)?.proposals.find(each => each.action === action)
  const confirmElsewhere = (alertId: string, action: string): ChildProcess => {
    const { webhookSecret, alertWebhook } = house.app.config
    return fork(
      join(process.cwd(), 'dist/test/support/decide-action.js'),
      [house.app.database.url, JSON.stringify({ webhookSecret, alertWebhook }), alertId, action],
      { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], execArgv: [] },
    )
  }
  const kill = async (child: ChildProcess) => {
    const ended = new Promise(done => child.once('exit', done))
    child.kill('SIGKILL')
    await ended
  }
  /** Nobody waits until what is running is taken for dead: its clock is moved. */
  const age = () =>
    sql(
      `UPDATE "OpinionAlert" SET proposals = (SELECT jsonb_agg(CASE WHEN p->>'state' = 'RUNNING' THEN p || '{"at": "2020-01-01T00:00:00.000Z"}' ELSE p END ORDER BY n)
       FROM jsonb_array_elements(proposals) WITH ORDINALITY AS each(p, n))`,
    )
  let alert: Alert
  beforeAll(async () => {
    alert = (await alerts()).find(({ subject }) => subject === 'product: p-11') as Alert
    await sql(`INSERT INTO "BiddingStrategy" (id, name, type, "updatedAt") VALUES ('s', 's', 'MANUAL_CPC', now())`)
    await sql(
      `INSERT INTO "Campaign" (id, name, "budgetMicros", "budgetCurrencyCode", "biddingStrategyId", "updatedAt") VALUES ('c', 'c', 1, 'EUR', 's', now())`,
    )
    await sql(`INSERT INTO "AdGroup" (id, "campaignId", name) VALUES ('g', 'c', 'g')`)
    await sql(`INSERT INTO "Ad" ("adGroupId", headline, "productId") VALUES ('g', 'a', 11), ('g', 'b', 12)`)
  })

  test('the process is killed after the ads were paused and before that was noted: they are not paused a second time', async () => {
    const { database } = house.app
    const statuses = () => sql<{ status: string }>('SELECT status FROM "Ad" ORDER BY id')
    let child: ChildProcess | undefined
    await database.withClient(async gate => {
      // The child is stopped before it pauses …
      await gate.query('BEGIN')
      await gate.query('SELECT 1 FROM "Ad" FOR UPDATE')
      child = confirmElsewhere(alert.id, 'PAUSE_ADS')
      await eventually(async () => (await proposal(alert.id, 'PAUSE_ADS'))?.state === 'RUNNING', 60_000)
      expect((await decide(alert.id, 'PAUSE_ADS')).userErrors).toMatchObject([
        { code: 'ILLEGAL_TRANSITION', message: expect.stringMatching(/mia confirmed PAUSE_ADS at .* being done/) },
      ])
      expect((await decide(alert.id, 'PAUSE_ADS', false)).userErrors).toHaveLength(1)
      await database.withClient(async end => {
        // … and then before it notes that it has.
        await end.query('BEGIN')
        await end.query('SELECT 1 FROM "OpinionAlert" FOR UPDATE')
        await gate.query('COMMIT')
        await eventually(async () => (await statuses())[0].status === 'PAUSED')
        const waiting = () =>
          sql<{ pid: number }>(`SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`)
        await eventually(async () => (await waiting()).length > 0)
        await kill(child as ChildProcess)
        // What the dead process had sent already must not be done for it.
        for (const { pid } of await waiting()) await sql('SELECT pg_terminate_backend($1)', [pid])
        await eventually(async () => (await waiting()).length === 0)
        await end.query('ROLLBACK')
      })
    })
    expect(await proposal(alert.id, 'PAUSE_ADS')).toMatchObject({ state: 'RUNNING', by: 'mia' })
    expect(await house.app.opinion.finishInterrupted()).toBe(0)
    await sql(`UPDATE "Ad" SET status = 'ENABLED'`)
    await age()
    expect(await house.app.opinion.finishInterrupted()).toBe(1)
    expect(await proposal(alert.id, 'PAUSE_ADS')).toMatchObject({ state: 'DONE', by: 'mia', note: '1 ads were paused' })
    expect(await statuses()).toEqual([{ status: 'ENABLED' }, { status: 'ENABLED' }])
  }, 120_000)

  test('the process is killed while the webhook is under way: it is sent again under the same number', async () => {
    isHookSilent = true
    const child = confirmElsewhere(alert.id, 'NOTIFY')
    await eventually(async () => deliveries.length === 1, 60_000)
    await kill(child)
    expect(await proposal(alert.id, 'NOTIFY')).toMatchObject({ state: 'RUNNING' })
    isHookSilent = false
    await age()
    const [one, two] = await Promise.all([decide(alert.id, 'NOTIFY'), house.app.opinion.finishInterrupted()])
    expect(one.userErrors.length + two).toBe(two === 1 ? 2 : 0)
    await eventually(async () => (await proposal(alert.id, 'NOTIFY'))?.state === 'DONE')
    expect(deliveries).toHaveLength(2)
    expect(new Set(deliveries).size).toBe(1)
  }, 120_000)

  test.each(['FAQ_ENTRY', 'DEMOTE'])('%s: the database refuses to note what was done; the job notes it', async action => {
    const effects = () =>
      sql(
        `SELECT (SELECT count(*)::int FROM "FaqEntry") AS entries, (SELECT version FROM "Product" WHERE id = 11) AS version, (SELECT "demotedBy" FROM "Product" WHERE id = 11) AS by`,
      )
    await sql(
      `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.proposals::text LIKE '%${action === 'DEMOTE' ? 'nothing else' : 'A draft waits'}%' THEN RAISE 'no'; END IF; RETURN NEW; END $$`,
    )
    await sql('CREATE TRIGGER refuse BEFORE UPDATE ON "OpinionAlert" FOR EACH ROW EXECUTE FUNCTION refuse()')
    await house.app.opinion.decide({ name: 'mia' }, { alertId: alert.id, action: action as never, confirm: true }).catch(error => {
      expect(String(error)).toMatch(/no/)
    })
    await sql('DROP TRIGGER refuse ON "OpinionAlert"')
    await sql('DROP FUNCTION refuse()')
    expect(await proposal(alert.id, action)).toMatchObject({ state: 'RUNNING' })
    const done = await effects()
    await age()
    expect(await house.app.opinion.finishInterrupted()).toBe(1)
    expect(await proposal(alert.id, action)).toMatchObject({ state: 'DONE' })
    expect(await effects()).toEqual(done)
    expect((await decide(alert.id, action)).userErrors[0].code).toBe('ILLEGAL_TRANSITION')
  })
})
