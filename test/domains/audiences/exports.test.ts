import { createHash } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals'
import { parse } from 'csv-parse/sync'
import { isSignedBy } from '../../../src/platform/signature.js'
import { checkWebhookUrl, postSigned } from '../../../src/platform/webhook.js'
import { eventually, startTestApp, type TestApp } from '../../support/app.js'
import { ageHeartbeats, spawnWorker, type WorkerProcess } from '../../support/spawn-worker.js'

// Answers are read by tests, which know what they asked for.
// biome-ignore lint/suspicious/noExplicitAny: see above
type Any = any

const SECRET = 'a secret of tests only'
const hash = (text: string) => createHash('sha256').update(text).digest('hex')
let house: TestApp
let receiver: Server
let webhookUrl: string
const workers: WorkerProcess[] = []
/** What came in; `answer` decides what the other side says. */
let received: Any[] = []
let answer: (page: Any) => Promise<number> | number = () => 204

const ID = Buffer.from('Audience:one').toString('base64url')
/** 50 members: 1 suppressed, 2 without consent, 3 refuse, 4 has no address, 5 has a bad one; the audience was built. */
beforeAll(async () => {
  receiver = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', chunk => chunks.push(chunk))
    request.on('end', async () => {
      const body = Buffer.concat(chunks)
      const page = { ...JSON.parse(body.toString()), delivery: request.headers['bellwether-delivery'] }
      page.isSigned = isSignedBy(SECRET, body, request.headers['bellwether-signature'] as string, new Date())
      const status = await answer(page)
      if (status >= 200 && status < 300) received.push(page)
      response.writeHead(status, status === 302 ? { location: '/elsewhere' } : {}).end()
    })
  }).listen(0, '127.0.0.1')
  await new Promise(done => receiver.once('listening', done))
  webhookUrl = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/pages`
  house = await startTestApp({ webhookSecret: SECRET, webhookPrivate: true })
  const { database } = house.app
  await database.sql(`INSERT INTO "User" (id, "externalId", email, phone, name, country)
    SELECT n, 'u' || n, CASE n WHEN 4 THEN NULL WHEN 5 THEN 'broken' ELSE ' User' || n || '@Example.com' END, CASE n WHEN 6 THEN '030 1234567' WHEN 8 THEN '12' WHEN 9 THEN 'call me' END,
      CASE n WHEN 7 THEN '=HYPERLINK("http://evil")' ELSE 'Ann, "A" Bell' END, 'DE' FROM generate_series(1, 50) n`)
  await database.sql(
    `INSERT INTO "Consent" ("userId", purpose, granted, at, source) SELECT n, 'ADS', n <> 3, now(), 'test' FROM generate_series(1, 50) n WHERE n <> 2`,
  )
  await database.sql(`INSERT INTO "Suppression" ("userId", reason) VALUES (1, 'asked')`)
  await database.sql(
    `INSERT INTO "Audience" (id, name, source, definition, status, size, "builtAt") VALUES ('one', 'One', 'SEGMENT', '{}', 'READY', 50, now()), ('unbuilt', 'Unbuilt', 'SEGMENT', '{}', 'BUILDING', 0, NULL)`,
  )
  await database.sql(`INSERT INTO "AudienceMember" ("audienceId", "userId", score) SELECT 'one', n, n / 10.0 FROM generate_series(1, 50) n`)
}, 60_000)
afterEach(async () => {
  for (const worker of workers.splice(0)) await worker.kill()
  received = []
  answer = () => 204
})
afterAll(async () => {
  receiver.closeAllConnections()
  receiver.close()
  await house.close()
})

const EXPORT = `mutation($i: AudienceExportInput!) { audienceExport(input: $i) { job { id state } preview idempotentReplay userErrors { code field message } } }`
async function ask(input: Record<string, unknown>, kind: 'admin' | 'marketer' = 'admin'): Promise<Any> {
  const { data, errors } = await house.as(kind).run(EXPORT, { i: { audienceId: ID, ...input } })
  return errors ? { errors } : (data as Any).audienceExport
}
async function ended(id: string): Promise<Any> {
  return eventually(async () => {
    const { data } = await house.as('admin').run('query($id: ID!) { job(id: $id) { state message result error } }', { id })
    const { job } = data as Any
    return ['COMPLETED', 'FAILED'].includes(job.state) && job
  }, 60_000)
}
function download(path: string, headers: Record<string, string> = {}, kind: 'admin' | 'marketer' | 'ingest' = 'admin') {
  return fetch(house.url + path, { headers: { authorization: `Bearer ${house.keys[kind]}`, ...headers } })
}

const COUNTS = { rows: 47, withoutEmail: 2, withoutPhone: 46, withoutIdentifier: 0, withoutConsent: 2, suppressed: 1 }

test('a dry run counts and exports nothing; what a caller could know is a user error', async () => {
  expect(await ask({ format: 'CSV', dryRun: true })).toMatchObject({ job: null, preview: COUNTS, userErrors: [] })
  expect(await ask({ format: 'TIKTOK', dryRun: true })).toMatchObject({
    preview: { ...COUNTS, rows: 45, withoutEmail: 0, withoutPhone: 44, withoutIdentifier: 2 },
  })
  // 8 and 9 have something that is no number: nobody could be reached by it, and the export counts the same.
  expect(await ask({ format: 'TIKTOK', purpose: 'MESSAGING', dryRun: true })).toMatchObject({ preview: { rows: 0, withoutConsent: 49 } })
  expect(await house.app.database.sql('SELECT 1 FROM "AudienceExport"')).toEqual([])
  const code = async (input: Record<string, unknown>) => (await ask(input)).userErrors[0]
  expect(await code({ audienceId: Buffer.from('Audience:none').toString('base64url') })).toMatchObject({
    code: 'NOT_FOUND',
    field: ['audienceId'],
  })
  expect(await code({ audienceId: Buffer.from('Audience:unbuilt').toString('base64url') })).toMatchObject({ code: 'ILLEGAL_TRANSITION' })
  expect(await code({ pageSize: 0 })).toMatchObject({ code: 'INVALID', field: ['pageSize'] })
  expect(await code({ webhookUrl: 'ftp://x' })).toMatchObject({ code: 'INVALID', field: ['webhookUrl'] })
})

test('a file by RFC 4180, in pages, read whole, in ranges and only by whom it may be', async () => {
  const refused = await ask({ format: 'CSV' }, 'marketer')
  expect(refused.errors[0]).toMatchObject({ message: 'This key lacks the scope pii:read' })
  const { job } = await ask({ format: 'CSV', pageSize: 7, idempotencyKey: 'file' })
  expect(await ask({ format: 'CSV', pageSize: 7, idempotencyKey: 'file' })).toMatchObject({ job: { id: job.id }, idempotentReplay: true })
  workers.push(await spawnWorker(house.app))
  const { result, state } = await ended(job.id)
  expect(state).toBe('COMPLETED')
  expect(result).toMatchObject({ ...COUNTS, pages: 8 })
  const whole = await download(result.path)
  expect(whole.status).toBe(200)
  expect(whole.headers.get('content-disposition')).toMatch(/^attachment; filename="audience-csv-[0-9a-f-]+\.csv"$/)
  const text = await whole.text()
  const rows = parse(text, { columns: true }) as Record<string, string>[]
  expect(rows.map(row => row.external_id)).toEqual(Array.from({ length: 47 }, (_, n) => `u${n + 4}`))
  expect(rows[2]).toMatchObject({ email: 'user6@example.com', phone: '+49301234567', name: 'Ann, "A" Bell', country: 'DE', score: '0.6' })
  expect(rows[3].name).toBe(`'=HYPERLINK("http://evil")`)
  const range = async (bytes: string, more: Record<string, string> = {}) => {
    const response = await download(result.path, { range: `bytes=${bytes}`, ...more })
    return [response.status, await response.text(), response.headers.get('content-range')]
  }
  const size = Buffer.byteLength(text)
  expect(await range('100-899')).toEqual([206, text.slice(100, 900), `bytes 100-899/${size}`])
  expect(await range(`${size - 5}-`)).toEqual([206, text.slice(-5), `bytes ${size - 5}-${size - 1}/${size}`])
  expect((await range('-9'))[1]).toBe(text.slice(-9))
  expect((await range(`${size}-`))[0]).toBe(416)
  expect((await range('9-1'))[0]).toBe(200)
  expect((await range('0-9', { 'if-range': '"another"' }))[0]).toBe(200)
  expect((await download(result.path, {}, 'marketer')).status).toBe(403)
  expect((await download(result.path, {}, 'ingest')).status).toBe(403)
  expect((await fetch(house.url + result.path)).status).toBe(401)
  expect((await download('/v1/exports/none')).status).toBe(404)
  await house.app.database.sql(`UPDATE "AudienceExport" SET "expiresAt" = now() - interval '1 second'`)
  expect((await download(result.path)).status).toBe(404)
  expect(await house.app.audienceExports.discardExpired()).toBe(1)
  expect(await house.app.database.sql('SELECT 1 FROM "AudienceExportPage"')).toEqual([])
}, 60_000)

test('hashed files need no pii:read, and members found anew end an export with a reason', async () => {
  const { job } = await ask({ format: 'GOOGLE_CUSTOMER_MATCH' }, 'marketer')
  workers.push(await spawnWorker(house.app))
  const { result } = await ended(job.id)
  const rows = parse(await (await download(result.path, {}, 'marketer')).text()) as string[][]
  expect(rows[0]).toEqual(['Email', 'Phone', 'First Name', 'Last Name', 'Country', 'Zip'])
  expect(rows[1]).toEqual([hash('user6@example.com'), hash('+49301234567'), '', '', '', ''])
  expect(rows).toHaveLength(46)
  await workers[0].kill()
  const late = await ask({ format: 'TIKTOK' })
  await house.app.database.sql(`UPDATE "Audience" SET "builtAt" = now() + interval '1 second' WHERE id = 'one'`)
  workers.push(await spawnWorker(house.app))
  expect(await ended(late.job.id)).toMatchObject({ state: 'FAILED', error: expect.stringMatching(/found anew while they were exported/) })
}, 60_000)

test('a webhook gets signed pages; a worker that is killed in the middle is followed by one that goes on with the page that was not acknowledged', async () => {
  let busy = 2
  let hang: (() => void) | undefined
  answer = page => {
    if (page.page === 1 && busy-- > 0) return 503
    // The third page is taken, but its sender dies before it hears so.
    if (page.page === 2 && !hang)
      return new Promise(done => {
        hang = () => done(204)
      })
    return 204
  }
  workers.push(await spawnWorker(house.app))
  const { job } = await ask({ format: 'TIKTOK', webhookUrl, pageSize: 10 })
  await eventually(async () => hang, 30_000)
  await workers[0].kill()
  hang?.()
  await ageHeartbeats(house.app)
  workers.push(await spawnWorker(house.app))
  expect(await ended(job.id)).toMatchObject({ state: 'COMPLETED', result: { rows: 45, pages: 6 } })
  expect(received.every(page => page.isSigned)).toBe(true)
  expect(received.map(page => page.page)).toEqual([0, 1, 2, 2, 3, 4, 5])
  const once = new Map(received.map(page => [page.delivery, page]))
  expect([...once.values()].flatMap(page => page.rows.map(([email]: string[]) => email))).toEqual(
    Array.from({ length: 45 }, (_, n) => hash(`user${n + 6}@example.com`)),
  )
  expect([...once.values()].map(page => page.isLast)).toEqual([false, false, false, false, false, true])
}, 90_000)

test('what a webhook refuses is not sent again; redirects and private addresses are not followed', async () => {
  answer = () => 302
  workers.push(await spawnWorker(house.app))
  const { job } = await ask({ format: 'TIKTOK', webhookUrl })
  expect(await ended(job.id)).toMatchObject({
    state: 'FAILED',
    error: expect.stringMatching(/refused with 302; redirects are not followed/),
  })
  for (const url of [
    'https://10.1.2.3/',
    'https://[::1]/',
    'https://169.254.169.254/latest',
    'https://[::ffff:127.0.0.1]/',
    'https://2130706433/',
  ])
    expect(() => checkWebhookUrl(url, false, ['webhookUrl'])).toThrow('private address')
  for (const url of ['http://example.com', 'https://user:pw@example.com', 'nonsense'])
    expect(() => checkWebhookUrl(url, false, [])).toThrow()
  const send = (url: string) =>
    postSigned({ url, secret: SECRET, isPrivateAllowed: false }, '{}', {
      headers: {},
      now: new Date(),
      signal: new AbortController().signal,
    })
  await expect(send('https://localhost:9/')).rejects.toThrow('private address')
}, 60_000)
