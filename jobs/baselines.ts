import { z } from 'zod'
import type { App } from '../src/app.js'
import { defineJob } from '../src/platform/jobs.js'

/** Keeps what serves without a model current: popularity moves by the hour. */
export const refreshBaselines = defineJob<App, Record<string, never>>({
  name: 'refresh-baselines',
  lane: 'heavy',
  payload: z.object({}) as never,
  trigger: [{ cron: '7 * * * *' }],
  run: async ({ trainer, tasks }) => {
    const sentences: string[] = []
    for (const task of tasks.values()) sentences.push(await trainer.refreshBaseline(task))
    return sentences.join('. ')
  },
})
