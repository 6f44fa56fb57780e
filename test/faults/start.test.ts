import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
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

test('told to end while its database comes up: it ends in order, leaves nothing running, and the next start goes on', async () => {
  const fresh = mkdtempSync(join(tmpdir(), 'bellwether early '))
  chmodSync(fresh, 0o755)
  try {
    const early = startPlatform(fresh, { PORT: '0' })
    running.push(early)
    await early.says(/database cluster initialised/)
    early.process.kill('SIGTERM')
    expect(await early.ended).toBe(0)
    expect(early.output()).not.toMatch(/^ +at /m)
    expect(postgresPid(fresh)).toBeUndefined()
    const next = startPlatform(fresh, { PORT: '0' })
    running.push(next)
    await urlOf(next)
    next.process.kill('SIGTERM')
    await next.ended
  } finally {
    rmSync(fresh, { recursive: true, force: true })
  }
}, 90_000)

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

test('the database killed -9 while it serves is brought back by itself, and so is the worker; jobs go on', async () => {
  const platform = start()
  const url = await urlOf(platform)
  await platform.says(/worker ready/)
  const { admin, ingest } = keysOf(home)
  process.kill(postgresPid(home) as number, 'SIGKILL')
  await platform.says(/the database server runs again/)
  await until(async () => (await track(url, ingest, 1_000_000)).data !== null)
  process.kill(childrenOf(platform.process.pid as number)[0], 'SIGKILL')
  await platform.says(/the worker ended and is started again/)
  const train = 'mutation { modelTrain(input: { task: RECOMMENDATION }) { job { id } } }'
  const { modelTrain } = await answer<{ modelTrain: { job: { id: string } } }>(url, admin, train)
  const look = 'query ($id: ID!) { job(id: $id) { state error } }'
  const job = async () => (await answer<{ job: { state: string } }>(url, admin, look, modelTrain.job)).job
  await until(async () => ['COMPLETED', 'FAILED'].includes((await job()).state))
  expect(await job()).toEqual({ state: 'COMPLETED', error: null })
}, 120_000)

test('two started at the same moment: one serves, the other one says why not', async () => {
  const pair = [start(), start()]
  const codes = await Promise.all(pair.map(one => Promise.race([one.ended, urlOf(one).catch(() => one.ended)])))
  expect(codes.map(code => (typeof code === 'string' ? 'serves' : code)).sort()).toEqual([1, 'serves'])
  expect(pair.map(one => one.output()).join()).toMatch(/Bellwether already runs in/)
}, 60_000)

async function until(claim: () => Promise<boolean>) {
  while (!(await claim().catch(() => false))) await new Promise(done => setTimeout(done, 100))
}

async function answer<Data>(url: string, key: string, query: string, variables: object = {}): Promise<Data> {
  const { data, errors } = (await post(url, key, { query, variables })) as unknown as { data: Data; errors?: unknown }
  expect(errors).toBeUndefined()
  return data
}

/** Processes that `pid` forked and that are Bellwether's own. */
function childrenOf(pid: number): number[] {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .filter(name => {
      try {
        return new RegExp(`^PPid:\\s*${pid}$`, 'm').test(readFileSync(`/proc/${name}/status`, 'utf8'))
      } catch {
        return false
      }
    })
    .filter(name => readFileSync(`/proc/${name}/cmdline`, 'utf8').includes('main.js'))
    .map(Number)
}

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
    [{ REDIS_URL: 'redis://127.0.0.1:1' }, /^REDIS_URL does not lead to a usable Redis: .*ECONNREFUSED.*$/m],
    [{ PORT: 'eighty' }, /^PORT .+$/m],
    [{ HOST: '192.0.2.1' }, /^HOST 192.0.2.1 is no address of this machine; .+$/m],
    [{ BELLWETHER_HOME: '/dev/null/home' }, /^BELLWETHER_HOME \/dev\/null\/home is no folder that can be written to: .+$/m],
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
