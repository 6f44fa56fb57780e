import { hostname } from 'node:os'
import type { App } from '../src/app.js'
import { startRunner } from '../src/platform/job-runner.js'
import type { JobDefinition } from '../src/platform/jobs.js'
import { forgetStage, reportStage } from '../src/platform/stages.js'

const REPORT_EVERY_MS = 15_000

/** Starts the lanes, upserts the schedules, lets signals start jobs, and says every few seconds that it lives. */
export async function startWorker(app: App): Promise<{ drain(): Promise<void> }> {
  const stage = `worker:${hostname()}:${process.pid}`
  const { database, jobs, jobStore: store, queues, signals, log, metrics } = app
  const definitions = app.jobDefinitions as ReadonlyMap<string, JobDefinition<never>> as ReadonlyMap<string, JobDefinition<App>>
  const report = () => reportStage(database, { stage, state: 'ok' }).catch(() => {})
  const runner = await startRunner({ services: app, definitions, jobs, store, queues, signals, log, metrics })
  await report()
  const timer = setInterval(report, REPORT_EVERY_MS)
  return {
    drain: async () => {
      clearInterval(timer)
      await runner.drain()
      await forgetStage(database, stage).catch(() => {})
    },
  }
}
