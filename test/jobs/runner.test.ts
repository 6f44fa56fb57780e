import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { z } from 'zod'
import { Conflict, InvalidInput, Unavailable } from '../../src/platform/errors.js'
import { checkDefinitions, Jobs, startRunner } from '../../src/platform/job-runner.js'
import { type JobRow, JobStore } from '../../src/platform/job-store.js'
import { defineJob, type JobContext, type JobDefinition } from '../../src/platform/jobs.js'
import { silentLog } from '../../src/platform/log.js'
import { openQueues, type Queues } from '../../src/platform/queue.js'
import { createSignals, type Signals } from '../../src/platform/signals.js'
import { eventually } from '../support/app.js'
import { createTestDatabase } from '../support/database.js'
import { hasRedis, startRedis } from '../support/redis.js'

interface World {
  runs: string[]
  act(name: string, context: JobContext): Promise<string>
}

const job = (name: string, more: Partial<JobDefinition<World, { n?: number }>> = {}) =>
  defineJob<World, { n?: number }>({
    name,
    lane: 'quick',
    payload: z.object({ n: z.number().optional() }),
    run: async (world, { n }, context) => {
      world.runs.push(`${name}:${n ?? ''}:${context.attempt}`)
      return world.act(name, context)
    },
    ...more,
  })
const definitions = [
  job('count'),
  job('stumble'),
  job('refuse'),
  job('wait'),
  job('solo', { alone: true }),
  job('heard', { trigger: [{ on: 'review.posted' }] }),
  job('take-file', { lane: 'import' }),
  job('teach', { lane: 'heavy' }),
  job('nightly', { trigger: [{ cron: '0 3 * * *' }], lane: 'heavy' }),
]

// The same suite over both backends: which one carries the jobs is configuration only.
const backends = [{ name: 'PostgreSQL', isRedis: false }, ...(hasRedis ? [{ name: 'Redis', isRedis: true }] : [])]

describe.each(backends)('jobs on $name', ({ isRedis }) => {
  let database: Awaited<ReturnType<typeof createTestDatabase>>
  let redis: Awaited<ReturnType<typeof startRedis>> | undefined
  let queues: Queues
  let signals: Signals
  let store: JobStore
  let jobs: Jobs
  let runner: Awaited<ReturnType<typeof startRunner>>
  const checked = checkDefinitions<World>(definitions as JobDefinition<World>[])
  const world: World = { runs: [], act: async () => 'done' }
  const start = () => startRunner<World>({ services: world, definitions: checked, jobs, store, queues, signals, log: silentLog })
  const ended = (id: string) =>
    eventually(async () => {
      const row = await store.get(id)
      return row && ['COMPLETED', 'FAILED', 'CANCELLED'].includes(row.state) && row
    })

  beforeAll(async () => {
    database = await createTestDatabase()
    redis = isRedis ? await startRedis() : undefined
    queues = await openQueues({ databaseUrl: database.url, redisUrl: redis?.url, log: silentLog })
    signals = await createSignals({ database, redisUrl: redis?.url, log: silentLog })
    store = new JobStore(database)
    jobs = new Jobs(store, queues, checked, signals)
    runner = await start()
  }, 60_000)
  afterAll(async () => {
    await runner.drain()
    await queues.close()
    await signals.close()
    await redis?.stop()
    await database.drop()
  })

  test('runs a job and keeps its sentence', async () => {
    world.act = async (_, { progress }) => {
      await progress(0.5, 'half way', { rows: 5 })
      return 'counted to ten'
    }
    const { id } = await jobs.enqueue('count', { n: 1 }, { createdBy: 'anna' })
    expect(await ended(id)).toMatchObject({
      state: 'COMPLETED',
      message: 'counted to ten',
      progress: 1,
      attempts: 1,
      createdBy: 'anna',
      result: { rows: 5 },
      error: null,
    })
  })

  test('tries again after what may pass by itself', async () => {
    world.act = async (_, { attempt }) => {
      if (attempt < 2) throw new Unavailable('the shelf is away')
      return 'it came back'
    }
    const { id } = await jobs.enqueue('stumble', {})
    expect(await ended(id)).toMatchObject({ state: 'COMPLETED', attempts: 2, message: 'it came back' })
  })

  test.each([new InvalidInput('nonsense'), new Conflict('not now', 'ILLEGAL_TRANSITION')])(
    'does not try again what cannot get better: %s',
    async error => {
      world.act = async () => {
        throw error
      }
      const { id } = await jobs.enqueue('refuse', {})
      expect(await ended(id)).toMatchObject({ state: 'FAILED', attempts: 1, error: error.message })
    },
  )

  test('a faulty payload is refused with its place, and leaves no job', async () => {
    const before = await store.count()
    await expect(jobs.enqueue('count', { n: 'many' })).rejects.toThrow(/"count" is faulty: n:/)
    await expect(jobs.enqueue('unheard-of', {})).rejects.toThrow('There is no job "unheard-of"')
    expect(await store.count()).toBe(before)
  })

  test('a running job can be cancelled, and a waiting one at once', async () => {
    world.act = async (_, { signal }) => {
      await new Promise((_, stopped) => signal.addEventListener('abort', () => stopped(signal.reason)))
      return 'never'
    }
    const running = await jobs.enqueue('wait', {})
    await eventually(async () => (await store.get(running.id))?.state === 'ACTIVE')
    await jobs.cancel(running.id)
    expect(await ended(running.id)).toMatchObject({ state: 'CANCELLED' })
    const later = await jobs.enqueue('count', {}, { delayMs: 60_000 })
    expect(await jobs.previewCancel(later.id)).toEqual({ state: 'CANCELLED', parts: 0 })
    expect(await store.get(later.id)).toMatchObject({ state: 'DELAYED' })
    expect(await jobs.cancel(later.id)).toMatchObject({ state: 'CANCELLED' })
    for (const refused of [jobs.cancel(later.id), jobs.previewCancel(later.id), jobs.cancel(running.id)])
      await expect(refused).rejects.toMatchObject({
        userCode: 'ILLEGAL_TRANSITION',
        message: 'A job that is CANCELLED cannot be cancelled; it has ended',
      })
    expect(await jobs.previewRetry(later.id)).toEqual({ state: 'WAITING', parts: 0 })
    expect(await store.get(later.id)).toMatchObject({ state: 'CANCELLED' })
    await expect(jobs.previewRetry((await jobs.enqueue('count', {}, { delayMs: 60_000 })).id)).rejects.toThrow('cannot begin again')
  })

  test('an attempt that was overtaken can write nothing any more', async () => {
    const row = await store.insert({ name: 'count', lane: 'quick', payload: {}, trigger: 'test', delayMs: 3_600_000 })
    const first = (await store.claim(row.id)) as JobRow
    await database.sql(`UPDATE "Job" SET "heartbeatAt" = now() - interval '10 minutes' WHERE id = $1`, [row.id])
    const second = (await store.claim(row.id)) as JobRow
    expect(second.fence).toBe(first.fence + 1)
    expect(await store.progress(row.id, first.fence, 0.9, 'stale')).toBe('lost')
    expect(await store.settle(row.id, first.fence, { state: 'COMPLETED', message: 'stale' })).toBe(false)
    expect(await store.settle(row.id, second.fence, { state: 'COMPLETED', message: 'fresh' })).toBe(true)
    expect(await store.get(row.id)).toMatchObject({ message: 'fresh' })
  })

  test('a job that is active is not taken twice', async () => {
    const row = await store.insert({ name: 'count', lane: 'quick', payload: {}, trigger: 'test', delayMs: 3_600_000 })
    const claims = await Promise.all(Array.from({ length: 20 }, () => store.claim(row.id)))
    expect(claims.filter(Boolean)).toHaveLength(1)
  })

  test('a job that runs alone lets the next one wait, which begins when it has ended and rested', async () => {
    let release = () => {}
    const gate = new Promise<void>(done => (release = done))
    world.act = async name => {
      if (name === 'solo') await gate
      return 'done'
    }
    const first = await jobs.enqueue('solo', { n: 1 })
    await eventually(async () => (await store.get(first.id))?.state === 'ACTIVE')
    const second = await jobs.enqueue('solo', { n: 2 })
    // The lane has room: one of another name that came later has ended, so the second of this name was turned away.
    await ended((await jobs.enqueue('count', {})).id)
    expect((await store.get(second.id))?.state).toBe('WAITING')
    release()
    const [one, two] = [await ended(first.id), await ended(second.id)]
    expect([one.state, two.state]).toEqual(['COMPLETED', 'COMPLETED'])
    const took = Number(one.finishedAt) - Number(one.startedAt)
    expect(Number(two.startedAt) - Number(one.finishedAt)).toBeGreaterThan(took)
  }, 60_000)

  test('a file is taken in while all that trains is busy', async () => {
    let isTaught = () => {}
    const taught = new Promise<void>(done => {
      isTaught = done
    })
    world.act = async name => {
      if (name === 'teach') await taught
      return `${name} done`
    }
    const lessons = await Promise.all([1, 2, 3, 4].map(n => jobs.enqueue('teach', { n })))
    const { id } = await jobs.enqueue('take-file', {})
    expect(await ended(id)).toMatchObject({ state: 'COMPLETED', lane: 'import' })
    expect((await Promise.all(lessons.map(lesson => store.get(lesson.id)))).map(row => row?.state)).not.toContain('COMPLETED')
    isTaught()
    for (const lesson of lessons) await ended(lesson.id)
  })

  test('a job that the queue has lost is found again by the sweep', async () => {
    world.act = async () => 'found'
    const row = await store.insert({ name: 'count', lane: 'quick', payload: {}, trigger: 'test' })
    await redis?.flush()
    await database.sql(`UPDATE "Job" SET "heartbeatAt" = now() - interval '1 minute' WHERE id = $1`, [row.id])
    expect(await runner.sweep()).toBeGreaterThan(0)
    expect(await ended(row.id)).toMatchObject({ state: 'COMPLETED', message: 'found' })
  })

  test('a signal starts its job once, however often it is heard while the job waits', async () => {
    await runner.drain()
    for (let times = 0; times < 5; times++) await jobs.enqueueOnce('heard', { reviewId: 'r1' }, 'review.posted')
    expect(await database.sql(`SELECT 1 FROM "Job" WHERE name = 'heard'`)).toHaveLength(1)
    world.runs = []
    world.act = async () => 'heard it'
    runner = await start()
    const [{ id }] = await database.sql<{ id: string }>(`SELECT id FROM "Job" WHERE name = 'heard'`)
    await ended(id)
    await signals.announce('review.posted', { reviewId: 'r2' })
    await eventually(async () => world.runs.filter(run => run.startsWith('heard')).length === 2)
  })

  test('schedules are upserted, and those nobody defines any more are removed', async () => {
    expect(await queues.schedules('heavy')).toEqual(['nightly'])
    await queues.schedule('heavy', 'forgotten', '0 4 * * *')
    await runner.drain()
    runner = await start()
    expect(await queues.schedules('heavy')).toEqual(['nightly'])
  })

  test('draining hands a running job back without counting the attempt', async () => {
    world.act = async (_, { signal }) => {
      await new Promise((_, stopped) => signal.addEventListener('abort', () => stopped(signal.reason)))
      return 'never'
    }
    const { id } = await jobs.enqueue('wait', { n: 7 })
    await eventually(async () => (await store.get(id))?.state === 'ACTIVE')
    await runner.drain()
    expect(await store.get(id)).toMatchObject({ state: 'WAITING', attempts: 0 })
    world.act = async () => 'finished by another'
    runner = await start()
    await database.sql(`UPDATE "Job" SET "heartbeatAt" = now() - interval '1 minute' WHERE id = $1`, [id])
    await runner.sweep()
    expect(await ended(id)).toMatchObject({ state: 'COMPLETED', attempts: 1 })
  }, 40_000)
})

describe('the check at the start names the culprit and the cure', () => {
  const check =
    (...jobs: unknown[]) =>
    () =>
      checkDefinitions(jobs as JobDefinition<World>[])
  test.each([
    ['a duplicate', check(job('twin'), job('twin')), 'Two jobs are called "twin"; rename one of them in jobs/index.ts'],
    ['no handler', check(job('empty', { run: undefined })), 'The job "empty" has no run function'],
    [
      'an unknown signal',
      check(job('deaf', { trigger: [{ on: 'full.moon' as never }] })),
      'waits for the signal "full.moon", which nobody sends',
    ],
    [
      'a faulty schedule',
      check(job('late', { trigger: [{ cron: 'sometimes' }] })),
      'has the schedule "sometimes"; a schedule has five fields',
    ],
    ['an unknown lane', check(job('lost', { lane: 'slow' as never })), 'names the lane "slow"; the lanes are quick, import, heavy'],
  ])('%s', (_, attempt, sentence) => {
    expect(attempt).toThrow(sentence)
  })
})
