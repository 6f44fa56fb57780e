import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
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
  mkdirSync(join(home, 'initialising-1', 'cluster'), { recursive: true })
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

function pidFile() {
  return join(home, 'postgres', 'postmaster.pid')
}
