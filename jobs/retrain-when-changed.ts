import { z } from 'zod'
import type { App } from '../src/app.js'
import { defineJob } from '../src/platform/jobs.js'

/** Teaches the serving recommender again when enough has happened since, not only by the clock. What comes of it waits for a person as ever. */
export const retrainWhenChanged = defineJob<App, Record<string, never>>({
  name: 'retrain-when-changed',
  lane: 'heavy',
  payload: z.object({}) as never,
  trigger: [{ cron: '*/10 * * * *' }],
  run: async ({ retraining, trainer, approver }, _, { jobId, signal, progress }) => {
    const { isDue, algorithm, reason } = await retraining.staleness()
    if (!isDue) return reason
    const { models, message } = await trainer.train({ task: 'RECOMMENDATION', algorithm, jobId, signal, progress })
    return [reason, message, ...(await approver.approveByConfiguration(models))].join('. ')
  },
})
