import { chmodSync, existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { post } from '../support/app.js'
import { keysOf, type Platform, postgresPid, startPlatform, urlOf } from '../support/platform.js'

// npm start as a whole, in a home whose path has a space, killed where it hurts.
const home = mkdtempSync(join(tmpdir(), 'bellwether start '))
const running: Platform[] = []
const start = (env: Record<string, string> = {}, command?: string) => {
  const platform = startPlatform(home, { PORT: '0', ...env }, command)
  running.push(platform)
  return platform
}
const killHard = async (platform: Platform) => {
  platform.process.kill('SIGKILL')
  await platform.ended
}

beforeAll(() => chmodSync(home, 0o755)) // as root, the account that PostgreSQL is lent must get in
afterEach(async () => {
  for (const { process, ended } of running.splice(0)) {
    if (process.exitCode === null && process.signalCode === null) process.kill('SIGTERM')
    await ended
  }
}, 40_000)
afterAll(async () => {
  const last = startPlatform(home, { PORT: '0' })
  await urlOf(last)
  last.process.kill('SIGTERM')
  await last.ended
  rmSync(home, { recursive: true, force: true })
}, 60_000)

describe.each([
  ['the cluster was initialised', /database cluster initialised/],
  ['the migrations were applied', /migrations applied/],
  ['the first key was made', /API key created/],
])('killed -9 right after %s', (_, moment) => {
  test('the next start goes on', async () => {
    const platform = start()
    await platform.says(new RegExp(`${moment.source}|server ready`))
    await killHard(platform)
  }, 60_000)
})

const track = (url: string, key: string, from: number) =>
  post(url, key, {
    query: 'mutation ($events: [EventInput!]!) { eventsTrack(input: { events: $events }) { accepted duplicates } }',
    variables: {
      events: Array.from({ length: 20 }, (_, at) => ({
        messageId: `m${from + at}`,
        userId: 'u',
        productId: 'p',
        type: 'VIEW',
        timestamp: Date.now(),
      })),
    },
  })

test('killed -9 under load, server and database: what was acknowledged is there, and the keys still work', async () => {
  const first = start()
  const url = await urlOf(first)
  const keys = keysOf(home)
  expect(statSync(join(home, 'keys.json')).mode & 0o777).toBe(0o600)
  expect(Object.keys(keys)).toEqual(['admin', 'marketer', 'campaign', 'chatbot', 'ingest'])
  const acknowledged: number[] = []
  let killed: Promise<void> | undefined
  for (let from = 0; ; from += 20) {
    const { data } = (await track(url, keys.ingest, from).catch(() => ({ data: null }))) as { data: { eventsTrack: object } | null }
    if (!data) break
    acknowledged.push(from)
    if (acknowledged.length === 15) {
      const database = postgresPid(home)
      killed = killHard(first)
      if (database) process.kill(database, 'SIGKILL')
    }
  }
  await killed
  const again = await urlOf(start())
  expect(keysOf(home)).toEqual(keys)
  for (const from of acknowledged)
    expect((await track(again, keys.ingest, from)).data).toEqual({ eventsTrack: { accepted: 0, duplicates: 20 } })
}, 90_000)

test('keys.json that was damaged is written anew, and the old keys end', async () => {
  const old = keysOf(home)
  writeFileSync(join(home, 'keys.json'), '{"admin": "bw_ad')
  const url = await urlOf(start())
  const keys = keysOf(home)
  expect(keys.admin).not.toBe(old.admin)
  const ask = (key: string) => post(url, key, { query: '{ systemHealth { stage state } }' })
  expect((await ask(keys.admin)).errors).toBeUndefined()
  expect((await ask(old.admin)).status).toBe(401)
}, 60_000)

test('a second one in the same home is told so', async () => {
  await urlOf(start())
  const second = start()
  expect(await second.ended).toBe(1)
  expect(second.output()).toMatch(
    /Bellwether already runs in .*bellwether start .*; stop it, or set BELLWETHER_HOME and PORT for a second one/,
  )
}, 60_000)

test('SIGTERM drains and leaves nothing running', async () => {
  const platform = start()
  await urlOf(platform)
  expect(postgresPid(home)).toBeGreaterThan(1)
  platform.process.kill('SIGTERM')
  expect(await platform.ended).toBe(0)
  // PostgreSQL takes its pid file away when it has stopped in order.
  expect(postgresPid(home)).toBeUndefined()
  expect(existsSync(join(home, 'bellwether.pid'))).toBe(false)
}, 60_000)

describe('what cannot work is one sentence that names the variable', () => {
  test.each([
    [{ DATABASE_URL: 'postgresql://nobody:wrong@127.0.0.1:1/none' }, /^DATABASE_URL does not lead to a usable PostgreSQL: .+$/m],
    [{ DATABASE_URL: 'mysql://127.0.0.1/none' }, /^DATABASE_URL .+$/m],
    [{ REDIS_URL: 'redis://127.0.0.1:1' }, /^REDIS_URL .+$/m],
    [{ PORT: 'eighty' }, /^PORT .+$/m],
    [{ BELLWETHER_DEMMO: 'off' }, /^BELLWETHER_DEMMO .+$/m],
  ])(
    '%j',
    async (env, sentence) => {
      const platform = start(env as unknown as Record<string, string>)
      expect(await platform.ended).toBe(1)
      expect(platform.output()).toMatch(sentence)
      expect(platform.output()).not.toMatch(/^ +at /m)
    },
    60_000,
  )

  test('a port that is taken', async () => {
    const squatter = createServer()
    const port = await new Promise<number>(done =>
      squatter.listen(0, '127.0.0.1', () => done((squatter.address() as { port: number }).port)),
    )
    const platform = start({ PORT: String(port) })
    expect(await platform.ended).toBe(1)
    squatter.close()
    expect(platform.output()).toMatch(new RegExp(`^PORT ${port} is used by another program; set PORT to a free one$`, 'm'))
  }, 60_000)
})
