import { fork } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import type { App } from '../../src/app.js'
import type { Database } from '../../src/platform/database.js'
import { eventually } from './app.js'

export interface WorkerProcess {
  readonly pid: number | undefined
  /** SIGKILL; resolves when the process is gone, and with it every statement of its that PostgreSQL was still about. */
  kill(): Promise<void>
}

/** A worker in a process of its own on the database of `app`; resolves when it takes jobs. */
export function spawnWorker(app: App): Promise<WorkerProcess> {
  const { redisUrl, webhookSecret, webhookPrivate } = app.config
  return forkWorker('house-worker.js', app.database, JSON.stringify({ redisUrl, webhookSecret, webhookPrivate }))
}

/** Forks a script of this folder, which is given the URL of `database` and `args`; resolves when it says that it is ready. */
export async function forkWorker(script: string, database: Pick<Database, 'sql' | 'url'>, ...args: string[]): Promise<WorkerProcess> {
  const name = `worker ${randomUUID()}`
  const url = `${database.url}${database.url.includes('?') ? '&' : '?'}application_name=${encodeURIComponent(name)}`
  const child = fork(join(process.cwd(), 'dist/test/support', script), [url, ...args], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    execArgv: [],
  })
  await new Promise<void>((ready, failed) => {
    child.once('message', () => ready())
    child.once('exit', code => failed(new Error(`The worker ended with ${code} before it was ready`)))
  })
  return {
    pid: child.pid,
    kill: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return
      const ended = new Promise(done => child.once('exit', done))
      child.kill('SIGKILL')
      await ended
      await eventually(async () => {
        const [{ alive }] = await database.sql<{ alive: boolean }>(
          'SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE application_name = $1) AS alive',
          [name],
        )
        return !alive
      })
    },
  }
}

/** Nobody waits until the silence of dead workers is noticed: their clocks are moved. */
export async function ageHeartbeats(app: App): Promise<void> {
  await app.database.sql(
    `UPDATE "Job" SET "heartbeatAt" = now() - interval '10 minutes' WHERE state = 'ACTIVE' AND "heartbeatAt" IS NOT NULL`,
  )
}
