import { spawn } from 'node:child_process'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import pg from 'pg'
import type { Fields, Log } from '../../src/platform/log.js'
import { eventually, startTestApp, type TestApp } from '../support/app.js'
import { fillShop } from '../support/shop.js'

// What whoever runs the platform sees of it: health, metrics, logs.
const lines: { level: string; fact: string; fields: Fields }[] = []
const write =
  (level: string) =>
  (fact: string, fields: Fields = {}) =>
    void lines.push({ level, fact, fields })
const log: Log = { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') }

let house: TestApp
beforeAll(async () => {
  house = await startTestApp({}, log)
}, 60_000)
afterAll(() => house.close())

interface Ready {
  status: string
  parts: { part: string; ok: boolean; reason?: string }[]
}
const ready = async () => {
  const response = await fetch(`${house.url}/health/ready`)
  return { code: response.status, ...((await response.json()) as Ready) }
}

/** Runs statements beside the database of the app, which cannot be reached meanwhile. */
async function asAdministrator(...statements: string[]) {
  const client = new pg.Client({ connectionString: house.app.database.url.replace(/\/[^/]+$/, '/postgres') })
  await client.connect()
  for (const statement of statements) await client.query(statement)
  await client.end()
}
const database = () => house.app.database.url.replace(/^.*\//, '')
const withoutDatabase = async (work: () => Promise<void>) => {
  await asAdministrator(
    `ALTER DATABASE ${database()} ALLOW_CONNECTIONS false`,
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${database()}'`,
  )
  try {
    await work()
  } finally {
    await asAdministrator(`ALTER DATABASE ${database()} ALLOW_CONNECTIONS true`)
  }
}

describe('health', () => {
  test('alive and ready, without a key', async () => {
    const live = await fetch(`${house.url}/health/live`)
    expect([live.status, await live.json()]).toEqual([200, { status: 'ok' }])
    const { code, status, parts } = await ready()
    expect([code, status]).toEqual([200, 'ok'])
    expect(parts.map(({ part, ok }) => [part, ok])).toEqual([
      ['database', true],
      ['queue', true],
      ['jobs', true],
      ['live models', true],
    ])
  })

  test('without the database it is alive, not ready, and says which part is not; and is well again by itself', async () => {
    await withoutDatabase(async () => {
      const { code, status, parts } = await ready()
      expect([code, status]).toEqual([503, 'not ready'])
      const faulty = parts.filter(({ ok }) => !ok)
      expect(faulty.map(({ part }) => part)).toEqual(expect.arrayContaining(['database', 'queue']))
      for (const { reason } of faulty) expect(reason).toMatch(/\w/)
      expect((await fetch(`${house.url}/health/live`)).status).toBe(200)
      expect((await fetch(`${house.url}/metrics`)).status).toBe(200)
    })
    await eventually(async () => (await ready()).code === 200)
  })

  test('systemHealth names every stage with its state, reason and counts', async () => {
    await fillShop(house)
    await house.app.trainer.train({ task: 'RECOMMENDATION', algorithm: 'item-cf' })
    const { data } = await house.as('admin').run('{ systemHealth { stage state reason lastSuccessAt rowsIn rowsOut } }')
    const stages = (data as never as { systemHealth: Record<string, unknown>[] }).systemHealth
    expect(stages.map(({ stage }) => stage)).toEqual(
      expect.arrayContaining(['database', 'queue', 'live models', 'workers', 'train RECOMMENDATION', 'baseline RECOMMENDATION']),
    )
    expect(stages.find(({ stage }) => stage === 'train RECOMMENDATION')).toMatchObject({ state: 'ok', rowsIn: 300, rowsOut: 1 })
    expect(stages.find(({ stage }) => stage === 'workers')).toMatchObject({ reason: expect.stringContaining('npm run worker') })
  })

  test('a job that was given up shows until it is begun again or a day has passed, whatever ended it; the server is ready all the same', async () => {
    const jobs = async () => {
      const { data } = await house.as('admin').run('{ systemHealth { stage state reason } }')
      return (data as never as { systemHealth: { stage: string }[] }).systemHealth.find(({ stage }) => stage === 'jobs')
    }
    expect(await jobs()).toEqual({ stage: 'jobs', state: 'ok', reason: null })
    const { sql } = house.app.database
    await sql(
      `INSERT INTO "Job" (id, name, lane, state, "finishedAt", "parentId")
       SELECT 'given-up-' || n, name, 'default', 'FAILED', now() - make_interval(hours => hours), parent
       FROM (VALUES (1, 'import', 0, NULL), (2, 'import', 23, NULL), (3, 'train', 0, NULL), (4, 'forget', 25, NULL), (5, 'score', 0, 'given-up-3')) job(n, name, hours, parent)`,
    )
    expect(await jobs()).toEqual({
      stage: 'jobs',
      state: 'degraded',
      reason: 'Given up in the last 24 hours: import (2), train; jobs(state: FAILED) says why, and jobRetry begins them again',
    })
    expect((await ready()).code).toBe(200)
    await sql(`DELETE FROM "Job" WHERE id LIKE 'given-up-%'`)
    expect(await jobs()).toMatchObject({ state: 'ok' })
  })
})

describe('metrics', () => {
  const families = async () => {
    const text = await (await fetch(`${house.url}/metrics`)).text()
    const read = (name: string, labels: Record<string, string>) => {
      const line = text
        .split('\n')
        .find(each => each.startsWith(`${name}{`) && Object.entries(labels).every(([key, value]) => each.includes(`${key}="${value}"`)))
      return line === undefined ? undefined : Number(line.replace(/^.* /, ''))
    }
    return { text, read }
  }

  test('requests, doors, jobs, models, stages and the process, in the format of Prometheus', async () => {
    await house.as('marketer').run('query Counted { recommendations(userExternalId: "u0", first: 1) { servedBy } }')
    await house.as(undefined).run('query Refused { users { totalCount } }')
    await fetch(`${house.url}/v1/track`, { method: 'POST' })
    const worker = await house.startWorker()
    const job = await house.app.jobs.enqueueOnce('refresh-baselines', {}, 'test')
    await eventually(async () => job && (await house.app.jobs.get(job.id))?.state === 'COMPLETED')
    await worker.drain()
    const { text, read } = await families()
    expect(read('bellwether_graphql_request_seconds_count', { operation: 'Counted', code: 'OK' })).toBe(1)
    expect(read('bellwether_graphql_request_seconds_count', { operation: 'Refused', code: 'UNAUTHENTICATED' })).toBe(1)
    expect(read('bellwether_http_request_seconds_count', { route: '/v1/track', status: '401' })).toBe(1)
    // Its hour may strike while this runs; then there are two.
    const runs = read('bellwether_jobs', { name: 'refresh-baselines', state: 'COMPLETED' })
    expect([1, 2]).toContain(runs)
    expect(read('bellwether_job_seconds_count', { name: 'refresh-baselines', outcome: 'completed' })).toBe(runs)
    expect(read('bellwether_model_answers_total', { task: 'RECOMMENDATION', served_by: 'popularity' })).toBe(1)
    expect(read('bellwether_stage_state', { stage: 'database', state: 'ok' })).toBe(1)
    expect(read('bellwether_stage_state', { stage: 'database', state: 'failed' })).toBe(0)
    expect(read('process_cpu_seconds_total', { role: 'server' })).toBeGreaterThan(0)
    for (const line of text.split('\n').filter(Boolean))
      expect(line).toMatch(/^(# (HELP|TYPE) \w+ .+|\w+(\{.*\})? (-?[\d.]+(e[+-]?\d+)?|\+Inf|Nan))$/i)
  })

  test('names that strangers choose do not grow it without end', async () => {
    for (let at = 0; at < 260; at++) await house.as('marketer').run(`query Made${at} { __typename }`)
    const { text, read } = await families()
    expect(new Set(text.match(/operation="Made\d+"/g)).size).toBeLessThanOrEqual(200)
    expect(read('bellwether_graphql_request_seconds_count', { operation: 'other' })).toBeGreaterThan(0)
  })
})

describe('an error of ours', () => {
  test('is masked, and the id in the answer finds the cause in the log', async () => {
    const real = house.app.jobStore.page
    // The statement itself fails, as it would on a damaged table.
    house.app.jobStore.page = () => house.app.database.sql('SELECT * FROM "Secret table"')
    const response = await fetch(`${house.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${house.keys.admin}` },
      body: JSON.stringify({ query: '{ jobs { nodes { id } } }' }),
    })
    house.app.jobStore.page = real
    const text = await response.text()
    const { errors } = JSON.parse(text) as { errors: { message: string; extensions: { code: string; requestId: string } }[] }
    expect(errors[0]).toMatchObject({
      message: 'Something went wrong on our side; the request id finds it in the log',
      extensions: { code: 'INTERNAL_SERVER_ERROR' },
    })
    expect(text).not.toMatch(/Secret|stack|node_modules/)
    const { requestId } = errors[0].extensions
    expect(response.headers.get('x-request-id')).toBe(requestId)
    const line = lines.find(({ level, fields }) => level === 'error' && fields.requestId === requestId)
    expect(line?.fields).toMatchObject({ error: 'relation "Secret table" does not exist', stack: expect.stringContaining('pageOf') })
  })

  test('every answer carries an id of its own, also what is not there', async () => {
    const ids = await Promise.all(
      ['/health/live', '/nothing', '/v1/track'].map(async path => (await fetch(house.url + path)).headers.get('x-request-id')),
    )
    expect(new Set(ids).size).toBe(3)
    for (const id of ids) expect(id).toMatch(/^[0-9a-f-]{36}$/)
  })

  test('log lines are JSON with time, level, role, and the ids of what they belong to', async () => {
    const script = `import { createLog, withLogFields } from './dist/src/platform/log.js'
      const log = createLog('info', 'server'); log.debug('not shown')
      withLogFields({ requestId: 'r1' }, () => withLogFields({ jobId: 'j1' }, () => log.warn('fact', { rows: 3 })))`
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'pipe'] })
    let [out, err] = ['', '']
    child.stdout.on('data', chunk => (out += chunk))
    child.stderr.on('data', chunk => (err += chunk))
    await new Promise(done => child.once('close', done))
    expect(out).toBe('')
    expect(err.trim().split('\n')).toHaveLength(1)
    expect(JSON.parse(err)).toMatchObject({
      level: 40,
      role: 'server',
      msg: 'fact',
      requestId: 'r1',
      jobId: 'j1',
      rows: 3,
      time: expect.stringMatching(/Z$/),
    })
  })
})
