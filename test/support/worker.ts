import { startWorker } from '../../jobs/worker.js'
import type { App } from '../../src/app.js'

export type Worker = Awaited<ReturnType<typeof startWorker>>

export function startTestWorker(app: App): Promise<Worker> {
  return startWorker(app)
}
