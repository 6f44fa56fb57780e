import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { eventually } from '../support/app.js'
import { createTestDatabaseUrl } from '../support/database.js'
import { keysOf, type Platform, startPlatform, urlOf } from '../support/platform.js'

// A connection of its own for every request, so that the processes take turns.
const ask = (url: string, key: string, query: string) =>
  fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', connection: 'close' },
    body: JSON.stringify({ query }),
  })

/** Processes that said that they serve, in the order in which they said so. */
const pidsOf = (platform: Platform) =>
  [...platform.output().matchAll(/"role":"server","pid":(\d+),"url"[^\n]*"msg":"server ready"/g)].map(([, pid]) => Number(pid))

const isAlive = (pid: number) => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

describe('two server processes on one port', () => {
  const home = mkdtempSync(join(tmpdir(), 'bellwether-servers-'))
  let platform: Platform
  let url: string
  let members: number[]

  beforeAll(async () => {
    const env = { PORT: '0', NODE_ENV: 'production', BELLWETHER_SERVERS: '2', DATABASE_URL: await createTestDatabaseUrl() }
    platform = startPlatform(home, env, 'server')
    await platform.says(/GraphQL\s+http/)
    url = await urlOf(platform)
    await eventually(async () => pidsOf(platform).length === 3, 10_000)
    members = pidsOf(platform).filter(pid => pid !== platform.process.pid)
  }, 120_000)
  afterAll(async () => {
    if (platform.process.exitCode === null) platform.process.kill('SIGKILL')
    await platform.ended
    rmSync(home, { recursive: true, force: true })
  }, 60_000)

  test('both serve, and the metrics of either are those of both', async () => {
    expect(members).toHaveLength(2)
    for (let index = 0; index < 20; index++)
      expect(await (await ask(url, keysOf(home).admin, 'query Counted { __typename }')).json()).toEqual({ data: { __typename: 'Query' } })
    const counts: number[] = []
    for (let index = 0; index < 4; index++) {
      const text = await (await fetch(`${url}/metrics`, { headers: { connection: 'close' } })).text()
      counts.push(Number(/bellwether_graphql_request_seconds_count\{[^}]*operation="Counted"[^}]*\} (\d+)/.exec(text)?.[1]))
      expect(text).toMatch(/bellwether_stage_state\{[^}]*\} [01]\n/)
      expect(text).not.toMatch(/bellwether_stage_state\{[^}]*\} 2\n/)
    }
    expect(counts).toEqual([20, 20, 20, 20])
  })

  test('one that is killed is started again, and meanwhile the other serves', async () => {
    process.kill(members[0], 'SIGKILL')
    await eventually(async () => !isAlive(members[0]), 10_000)
    expect((await ask(url, keysOf(home).admin, '{ __typename }')).status).toBe(200)
    await eventually(async () => pidsOf(platform).length > 3, 60_000)
    members = [members[1], pidsOf(platform).at(-1) as number]
    expect(members.every(isAlive)).toBe(true)
  }, 90_000)

  test('Ctrl-C in a terminal, which reaches every process, closes all of them in order', async () => {
    for (const pid of [...members, platform.process.pid as number]) process.kill(pid, 'SIGINT')
    expect(await platform.ended).toBe(0)
    expect(members.filter(isAlive)).toEqual([])
    // 130 would be a process that was cut off.
    expect(platform.output()).not.toMatch(/"code":130/)
  }, 60_000)
})

test('a port that is used is told once more by the process that started the others, and nothing is left running', async () => {
  const home = mkdtempSync(join(tmpdir(), 'bellwether-servers-'))
  const { createServer } = await import('node:net')
  const other = createServer().listen(0, '127.0.0.1')
  await new Promise(done => other.once('listening', done))
  const { port } = other.address() as { port: number }
  try {
    const env = { PORT: String(port), NODE_ENV: 'production', BELLWETHER_SERVERS: '2', DATABASE_URL: await createTestDatabaseUrl() }
    const platform = startPlatform(home, env, 'server')
    expect(await platform.ended).toBe(1)
    expect(platform.output()).toContain(`PORT ${port} is used by another program; set PORT to a free one`)
    expect(platform.output()).not.toMatch(/at .*\.js:\d+/)
  } finally {
    other.close()
    rmSync(home, { recursive: true, force: true })
  }
}, 120_000)
