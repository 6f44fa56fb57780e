import { type ChildProcess, fork } from 'node:child_process'
import { join } from 'node:path'
import type { App } from '../../src/app.js'

export interface WorkerProcess {
  readonly pid: number | undefined
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>
}

/** A worker in a process of its own on the database of `app`; resolves when it takes jobs. */
export async function spawnWorker(app: App): Promise<WorkerProcess> {
  const { redisUrl, webhookSecret, webhookPrivate } = app.config
  const child: ChildProcess = fork(
    join(process.cwd(), 'dist/test/support/house-worker.js'),
    [app.database.url, JSON.stringify({ redisUrl, webhookSecret, webhookPrivate })],
    { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], execArgv: [] },
  )
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
    },
  }
}

/** Nobody waits until the silence of dead workers is noticed: their clocks are moved. */
export async function ageHeartbeats(app: App): Promise<void> {
  await app.database.sql(
    `UPDATE "Job" SET "heartbeatAt" = now() - interval '10 minutes' WHERE state = 'ACTIVE' AND "heartbeatAt" IS NOT NULL`,
  )
}
