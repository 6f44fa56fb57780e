import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import pg from 'pg'
import { startEmbeddedPostgres } from '../../src/platform/embedded-postgres.js'
import { silentLog } from '../../src/platform/log.js'

// A path with a space, as a user's may have.
const home = mkdtempSync(join(tmpdir(), 'bellwether faults '))
const start = () => startEmbeddedPostgres({ home, log: silentLog, settings: { shared_buffers: '16MB' } })
let stop: (() => Promise<void>) | undefined

beforeAll(() => {
  chmodSync(home, 0o755) // as root, the lent account must get in
  // What an interrupted initialisation leaves behind.
  mkdirSync(join(home, 'initialising-postgres', 'cluster'), { recursive: true })
  mkdirSync(join(home, 'postgres'))
  writeFileSync(join(home, 'postgres', 'half'), '')
})
afterAll(async () => {
  await stop?.()
  rmSync(home, { recursive: true, force: true })
})

async function query(url: string, text: string) {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  const { rows } = await client.query(text).finally(() => client.end())
  return rows
}

test('starts over a half-written data directory, and its password is readable by the owner only', async () => {
  const server = await start()
  stop = server.stop
  expect(server.adopted).toBe(false)
  await query(server.url, 'CREATE TABLE kept (n int)')
  await query(server.url, 'INSERT INTO kept VALUES (42)')
  expect(statSync(join(home, 'postgres.secret')).mode & 0o777).toBe(0o600)
})

test('a server that a killed process left running is adopted', async () => {
  const server = await start()
  stop = server.stop
  expect(server.adopted).toBe(true)
  expect(await query(server.url, 'SELECT n FROM kept')).toEqual([{ n: 42 }])
})

test('after a kill -9 of the database itself everything committed is there again', async () => {
  const pid = Number(readFileSync(pidFile(), 'utf8').split('\n')[0])
  process.kill(pid, 'SIGKILL')
  const server = await start()
  stop = server.stop
  expect(server.adopted).toBe(false)
  expect(await query(server.url, 'SELECT n FROM kept')).toEqual([{ n: 42 }])
})

test('a stale pid file that names a stranger is not believed', async () => {
  await stop?.()
  writeFileSync(pidFile(), `${process.pid}\n/elsewhere\n0\n5432\n`)
  const server = await start()
  stop = server.stop
  expect(await query(server.url, 'SELECT n FROM kept')).toEqual([{ n: 42 }])
})

test('a server that is killed while it serves is started again on its port, and what was committed is there', async () => {
  await stop?.()
  const lost: Error[] = []
  const server = await startEmbeddedPostgres({
    home,
    log: silentLog,
    settings: { shared_buffers: '16MB' },
    onLost: error => lost.push(error),
  })
  stop = server.stop
  for (const signal of ['SIGKILL', 'SIGINT'] as const) {
    // A statement under way in a process of the old server must not outlive it into the new one.
    const busy = new pg.Client({ connectionString: server.url })
    busy.on('error', () => {})
    await busy.connect()
    const cut = busy.query('SELECT pg_sleep(20)').catch(() => 'cut')
    const pid = pidOf()
    process.kill(pid, signal)
    expect(await cut).toBe('cut')
    await untilTrue(async () => pidOf() !== pid && (await query(server.url, 'SELECT n FROM kept'))[0].n === 42)
  }
  expect(lost).toEqual([])
  await server.stop()
  expect(existsSync(pidFile())).toBe(false)
}, 60_000)

test('a server that could not be started again at once is tried until it can be', async () => {
  const warnings: string[] = []
  const log = { ...silentLog, warn: (fact: string) => void warnings.push(fact) }
  const lost: Error[] = []
  const server = await startEmbeddedPostgres({ home, log, settings: { shared_buffers: '16MB' }, onLost: error => lost.push(error) })
  stop = server.stop
  const pid = pidOf()
  renameSync(join(home, 'postgres'), join(home, 'elsewhere'))
  process.kill(pid, 'SIGKILL')
  await untilTrue(async () => warnings.some(fact => fact.includes('tried once more')))
  renameSync(join(home, 'elsewhere'), join(home, 'postgres'))
  await untilTrue(async () => pidOf() !== pid && (await query(server.url, 'SELECT n FROM kept'))[0].n === 42)
  expect(lost).toEqual([])
  await server.stop()
}, 60_000)

test('a server that cannot be started again says so once', async () => {
  let tell: (error: Error) => void
  const lost = new Promise<Error>(done => (tell = done))
  const server = await startEmbeddedPostgres({ home, log: silentLog, settings: { shared_buffers: '16MB' }, onLost: error => tell(error) })
  stop = async () => {
    renameSync(join(home, 'elsewhere'), join(home, 'postgres'))
    await server.stop()
  }
  renameSync(join(home, 'postgres'), join(home, 'elsewhere'))
  process.kill(Number(readFileSync(join(home, 'elsewhere/postmaster.pid'), 'utf8').split('\n')[0]), 'SIGKILL')
  expect((await lost).message).toMatch(/^The embedded PostgreSQL did not start: /)
}, 60_000)

async function untilTrue(claim: () => Promise<boolean>) {
  while (!(await claim().catch(() => false))) await new Promise(done => setTimeout(done, 50))
}

function pidOf() {
  return existsSync(pidFile()) ? Number(readFileSync(pidFile(), 'utf8').split('\n')[0]) : 0
}

function pidFile() {
  return join(home, 'postgres', 'postmaster.pid')
}
