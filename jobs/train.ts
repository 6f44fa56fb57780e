import { z } from 'zod'
import type { App } from '../src/app.js'
import { defineJob } from '../src/platform/jobs.js'

/** Trains a task (all of them by schedule). What comes of it waits for a person, unless configuration or the demo's first start says otherwise. */
export const trainModels = defineJob<
  App,
  { task?: string; algorithm?: string; params?: Record<string, number | string | boolean>; approve?: string }
>({
  name: 'train-models',
  lane: 'heavy',
  payload: z.object({
    task: z.string().max(40).optional(),
    algorithm: z.string().max(40).optional(),
    params: z.record(z.string(), z.union([z.number(), z.string(), z.boolean()])).optional(),
    approve: z.string().max(200).optional(),
  }),
  trigger: [{ cron: '30 3 * * *' }],
  run: async ({ trainer, tasks, approver }, { task, algorithm, params, approve }, { jobId, signal, progress }) => {
    const sentences: string[] = []
    for (const name of task ? [task] : tasks.keys()) {
      const { models, message } = await trainer.train({ task: name, algorithm, params, jobId, signal, progress })
      sentences.push(message, ...(await approver.approveByConfiguration(models, approve)))
    }
    return sentences.join('. ')
  },
})
