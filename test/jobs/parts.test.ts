import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { Jobs, startRunner } from '../../src/platform/job-runner.js'
import { JobStore } from '../../src/platform/job-store.js'
import { silentLog } from '../../src/platform/log.js'
import { openQueues, type Queues } from '../../src/platform/queue.js'
import { createSignals, type Signals } from '../../src/platform/signals.js'
import { eventually } from '../support/app.js'
import { createTestDatabase } from '../support/database.js'
import { createFlowTables, flowDefinitions } from '../support/flow-jobs.js'
import { hasRedis, startRedis } from '../support/redis.js'
import { forkWorker, type WorkerProcess } from '../support/spawn-worker.js'

const backends = [{ name: 'PostgreSQL', isRedis: false }, ...(hasRedis ? [{ name: 'Redis', isRedis: true }] : [])]

describe.each(backends)('jobs that cut themselves, on $name', ({ isRedis }) => {
  let database: Awaited<ReturnType<typeof createTestDatabase>>
  let redis: Awaited<ReturnType<typeof startRedis>> | undefined
  let queues: Queues
  let signals: Signals
  let store: JobStore
  let jobs: Jobs
  let runner: Awaited<ReturnType<typeof startRunner>> | undefined
  const workers: WorkerProcess[] = []

  const start = async () => {
    runner = await startRunner({ services: { database }, definitions: flowDefinitions, jobs, store, queues, signals, log: silentLog })
  }
  const spawnWorker = async () => {
    const worker = await forkWorker('flow-worker.js', database, ...(redis ? [redis.url] : []))
    workers.push(worker)
    return worker
  }
  const ended = (id: string) =>
    eventually(async () => {
      const row = await store.get(id)
      return row && ['COMPLETED', 'FAILED', 'CANCELLED'].includes(row.state) && row
    })
  const visits = async () => (await database.sql<{ n: number }>('SELECT count(*)::int AS n FROM flow_visit'))[0].n
  const partsOf = (id: string) => store.outcomes(id)

  beforeAll(async () => {
    database = await createTestDatabase()
    await createFlowTables(database)
    redis = isRedis ? await startRedis() : undefined
    queues = await openQueues({ databaseUrl: database.url, redisUrl: redis?.url, log: silentLog })
    signals = await createSignals({ database, redisUrl: redis?.url, log: silentLog })
    store = new JobStore(database)
    jobs = new Jobs(store, queues, flowDefinitions, signals)
  }, 60_000)
  afterEach(async () => {
    await runner?.drain()
    runner = undefined
    for (const worker of workers.splice(0)) await worker.kill()
    await database.sql('TRUNCATE flow_visit, flow_merge, "Job"')
  })
  afterAll(async () => {
    await queues.close()
    await signals.close()
    await redis?.stop()
    await database.drop()
  })

  test('the parts run anywhere, and their parent merges them in their order', async () => {
    await start()
    const { id } = await jobs.enqueue('survey', { total: 60, parts: 6 }, { createdBy: 'anna' })
    expect(await ended(id)).toMatchObject({
      state: 'COMPLETED',
      message: 'merged 6 parts',
      result: { sum: (59 * 60) / 2, order: [0, 1, 2, 3, 4, 5] },
      progress: 1,
      parts: 6,
    })
    expect((await store.page({ parentId: id }, undefined, 10)).map(row => row.createdBy)).toEqual(Array(6).fill('anna'))
    expect((await store.page({}, undefined, 10)).map(row => row.id)).toEqual([id])
    expect(await database.sql('SELECT job FROM flow_merge')).toEqual([{ job: id }])
  })

  test('parts may be cut again, and a job may have nothing to cut', async () => {
    await start()
    const { id } = await jobs.enqueue('survey', { total: 40, parts: 4, nested: true })
    expect(await ended(id)).toMatchObject({ state: 'COMPLETED', result: { sum: (39 * 40) / 2 } })
    const { id: empty } = await jobs.enqueue('survey', { total: 0, parts: 0 })
    expect(await ended(empty)).toMatchObject({ state: 'COMPLETED', message: 'merged 0 parts' })
  })

  test('a part that fails for good cancels the others and fails the job; begun again, only what is not done is done', async () => {
    await start()
    const { id } = await jobs.enqueue('survey', { total: 600, parts: 20, poison: 1 })
    expect(await ended(id)).toMatchObject({ state: 'FAILED', error: 'Part 2 (survey-range): this range is off the map' })
    const states = (await partsOf(id)).map(({ state }) => state)
    expect(states).toContain('CANCELLED')
    await database.sql(`UPDATE "Job" SET payload = payload || '{"poison": false}' WHERE "parentId" = $1`, [id])
    const part = (await partsOf(id))[1].jobId
    await expect(jobs.retry(part)).rejects.toThrow('This is a part of another job; begin that one again')
    expect(await jobs.retry(id)).toMatchObject({ state: 'ACTIVE', error: null })
    expect(await ended(id)).toMatchObject({ state: 'COMPLETED', result: { sum: (599 * 600) / 2 } })
    expect(await visits()).toBe(600)
    await expect(jobs.retry(id)).rejects.toThrow('A job that is COMPLETED cannot begin again')
  }, 60_000)

  test('a job that says so merges what its failed parts left', async () => {
    await start()
    const { id } = await jobs.enqueue('poll', { parts: 3, poison: 1 })
    expect(await ended(id)).toMatchObject({ state: 'COMPLETED', message: 'states: COMPLETED FAILED COMPLETED' })
  })

  test('cancelling the job cancels its parts, those that wait at once', async () => {
    await start()
    const { id } = await jobs.enqueue('survey', { total: 4000, parts: 8 })
    await eventually(async () => (await visits()) > 0)
    await jobs.cancel(id)
    expect(await ended(id)).toMatchObject({ state: 'CANCELLED' })
    expect((await partsOf(id)).every(({ state }) => state === 'CANCELLED')).toBe(true)
    expect(await visits()).toBeLessThan(4000)
    expect(await database.sql('SELECT job FROM flow_merge')).toEqual([])
  })

  test('a part whose end nobody could tell its parent is found by the sweep', async () => {
    const { id } = await jobs.enqueue('survey', { total: 10, parts: 2 })
    const parent = await store.claim(id)
    await store.cut(id, parent?.fence as number, [{ name: 'survey-range', lane: 'heavy', payload: { from: 0, to: 10 } }], 'cut')
    await database.sql(`UPDATE "Job" SET state = 'COMPLETED', result = '{"sum": 45}' WHERE "parentId" = $1`, [id])
    await start()
    expect(await ended(id)).toMatchObject({ state: 'COMPLETED', result: { sum: 45 } })
  })

  test('an attempt that was overtaken cuts nothing, and holds nothing', async () => {
    const { id } = await jobs.enqueue('survey', { total: 10, parts: 2 }, { delayMs: 3_600_000 })
    const first = await store.claim(id)
    await database.sql(`UPDATE "Job" SET "heartbeatAt" = now() - interval '10 minutes' WHERE id = $1`, [id])
    const second = await store.claim(id)
    expect(second).toMatchObject({ crashes: 1, attempts: 1 })
    const part = { name: 'survey-range', lane: 'heavy' as const, payload: { from: 0, to: 1 } }
    expect(await store.cut(id, first?.fence as number, [part], 'stale')).toBeUndefined()
    const held = (fence?: number) => store.isHeld((text, params) => database.sql(text, params), id, fence as number)
    expect([await held(first?.fence), await held(second?.fence)]).toEqual([false, true])
    expect(await store.cut(id, second?.fence as number, [part], 'fresh')).toHaveLength(1)
    expect(await partsOf(id)).toHaveLength(1)
  })

  test('a job that kills every worker is given up before it has killed them all', async () => {
    const { id } = await jobs.enqueue('survey-range', { from: 0, to: 5 }, { delayMs: 3_600_000 })
    await database.sql(
      `UPDATE "Job" SET state = 'ACTIVE', crashes = 4, fence = 7, "heartbeatAt" = now() - interval '10 minutes' WHERE id = $1`,
      [id],
    )
    await start()
    expect(await ended(id)).toMatchObject({ state: 'FAILED', error: 'Given up: 5 workers died while they ran it' })
  })

  test('workers that are killed -9 in the middle, with the queue flushed too, lose and double nothing', async () => {
    const [total, parts] = [360, 12]
    const [anna, bela] = await Promise.all([spawnWorker(), spawnWorker()])
    const { id } = await jobs.enqueue('survey', { total, parts })
    await eventually(async () => (await visits()) > 60)
    await anna.kill()
    const before = await visits()
    await eventually(async () => (await visits()) > before + 30)
    await bela.kill()
    await redis?.flush()
    const [{ n: orphans }] = await database.sql<{ n: number }>(
      `SELECT count(*)::int AS n FROM "Job" WHERE state = 'ACTIVE' AND "heartbeatAt" IS NOT NULL`,
    )
    expect(orphans).toBeGreaterThan(0)
    // Nobody lives any more; instead of waiting until their silence is noticed, their clocks are moved.
    await database.sql(`UPDATE "Job" SET "heartbeatAt" = now() - interval '10 minutes' WHERE "heartbeatAt" IS NOT NULL`)
    await Promise.all([spawnWorker(), spawnWorker()])
    expect(await ended(id)).toMatchObject({ state: 'COMPLETED', result: { sum: (total * (total - 1)) / 2 } })
    expect(await visits()).toBe(total)
    expect(await database.sql('SELECT job FROM flow_merge')).toEqual([{ job: id }])
    expect((await partsOf(id)).map(({ state }) => state)).toEqual(Array(parts).fill('COMPLETED'))
  }, 90_000)
})
