import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { eventually, post } from '../support/app.js'
import { createTestDatabaseUrl } from '../support/database.js'
import { keysOf, type Platform, startPlatform, urlOf } from '../support/platform.js'
import { hasRedis, startRedis } from '../support/redis.js'

// As in production: servers and a worker in processes of their own, which share a database and, where there is one, a Redis.
const end = async (platform: Platform) => {
  platform.process.kill('SIGTERM')
  return await platform.ended
}

const backends: [string, () => Promise<{ url?: string; stop(): Promise<void> }>][] = [
  ['PostgreSQL alone', async () => ({ stop: async () => {} })],
  ...(hasRedis ? ([['PostgreSQL and Redis', startRedis]] as [string, typeof startRedis][]) : []),
]

describe.each(backends)('two servers and a worker on %s', (_, startBackend) => {
  const home = mkdtempSync(join(tmpdir(), 'bellwether-apart-'))
  let backend: Awaited<ReturnType<typeof startBackend>>
  let env: Record<string, string>
  let servers: Platform[] = []
  let worker: Platform
  let urls: string[]

  const run = async <Data>(url: string, query: string, variables: object = {}): Promise<Data> => {
    const { data, errors } = await post(url, keysOf(home).admin, { query, variables })
    expect(errors).toBeUndefined()
    return data as Data
  }

  beforeAll(async () => {
    backend = await startBackend()
    env = {
      PORT: '0',
      NODE_ENV: 'production',
      DATABASE_URL: await createTestDatabaseUrl(),
      ...(backend.url ? { REDIS_URL: backend.url } : {}),
    }
    servers = [startPlatform(home, env, 'server')]
    urls = [await urlOf(servers[0])]
    servers.push(startPlatform(home, env, 'server'))
    urls.push(await urlOf(servers[1]))
  }, 90_000)
  afterAll(async () => {
    for (const platform of [worker, ...servers]) if (platform && platform.process.exitCode === null) await end(platform)
    await backend.stop()
    rmSync(home, { recursive: true, force: true })
  }, 60_000)

  test('without a worker the servers serve, say that none runs, and keep the job', async () => {
    const rows = await run<{ systemHealth: { stage: string; state: string; reason: string }[] }>(
      urls[0],
      '{ systemHealth { stage state reason } }',
    )
    const stage = rows.systemHealth.find(each => each.stage === 'workers')
    expect(stage?.state).not.toBe('ok')
    expect(stage?.reason).toMatch(/npm run worker/)
    expect((await fetch(`${urls[0]}/health/ready`)).status).toBe(200)
  })

  test('a job that one server takes is done by the worker that comes later, and both servers see what came of it', async () => {
    await track(urls[0])
    const { modelTrain } = await run<{ modelTrain: { job: { id: string } } }>(
      urls[0],
      'mutation { modelTrain(input: { task: RECOMMENDATION, algorithm: "item-cf" }) { job { id } } }',
    )
    worker = startPlatform(home, env, 'worker')
    await worker.says(/worker ready/)
    const state = () =>
      run<{ job: { state: string } }>(urls[1], 'query($id: ID!) { job(id: $id) { state } }', modelTrain.job).then(({ job }) => job.state)
    await eventually(async () => (await state()) === 'COMPLETED', 60_000)
    const { models } = await run<{ models: { nodes: { id: string }[] } }>(urls[1], '{ models { nodes { id } } }')
    await run(urls[0], 'mutation($id: ID!) { modelApprove(input: { modelId: $id }) { userErrors { message } } }', models.nodes[0])
    const served = (url: string) =>
      run<{ recommendations: { servedBy: string } }>(url, '{ recommendations(userExternalId: "u1", first: 1) { servedBy } }')
    for (const url of urls) await eventually(async () => (await served(url)).recommendations.servedBy === 'item-cf v1', 15_000)
  }, 90_000)

  test('SIGTERM drains the worker and a server; the other server goes on', async () => {
    expect(await end(worker)).toBe(0)
    expect(await end(servers[0])).toBe(0)
    expect((await fetch(`${urls[1]}/health/ready`)).status).toBe(200)
  }, 60_000)

  test('production shows neither schema, explorer nor demo shop', async () => {
    const { errors } = await post(urls[1], keysOf(home).admin, { query: '{ __schema { queryType { name } } }' })
    expect(errors?.[0].message).toMatch(/introspection/i)
    const typo = await post(urls[1], keysOf(home).admin, { query: '{ userz { totalCount } }' })
    expect(typo.errors?.[0].message).not.toMatch(/did you mean/i)
    expect((await fetch(`${urls[1]}/graphql`, { headers: { accept: 'text/html' } })).status).toBe(404)
    const { users } = await run<{ users: { totalCount: number } }>(urls[1], '{ users { totalCount } }')
    expect(users.totalCount).toBe(20)
  })

  test('BELLWETHER_INTROSPECTION=on shows schema and explorer in production', async () => {
    const open = startPlatform(home, { ...env, BELLWETHER_INTROSPECTION: 'on' }, 'server')
    servers.push(open)
    const url = await urlOf(open)
    expect((await post(url, keysOf(home).admin, { query: '{ __schema { queryType { name } } }' })).data).toEqual({
      __schema: { queryType: { name: 'Query' } },
    })
    const page = await fetch(`${url}/graphql`, { headers: { accept: 'text/html' } })
    expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8'])
    await end(open)
  }, 60_000)

  async function track(url: string) {
    const events = Array.from({ length: 20 * 6 }, (_, at) => ({
      messageId: `e${at}`,
      userId: `u${at % 20}`,
      productId: `p${((at % 20) % 2) * 7 + Math.floor(at / 20) + ((at % 20) % 3 === 0 && at < 20 ? 1 : 0)}`,
      type: 'PURCHASE',
      timestamp: Date.now() - 86_400_000 * (30 - Math.floor(at / 20)),
    }))
    const answer = await run<{ eventsTrack: { accepted: number } }>(
      url,
      'mutation($e: [EventInput!]!) { eventsTrack(input: { events: $e }) { accepted } }',
      { e: events },
    )
    expect(answer.eventsTrack.accepted).toBe(events.length)
  }
})
