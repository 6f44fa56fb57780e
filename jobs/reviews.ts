import { z } from 'zod'
import type { App } from '../src/app.js'
import { defineJob } from '../src/platform/jobs.js'

/** Reads new reviews and posts: found by state, so that a lost or a doubled signal costs minutes and never a text. */
export const readReviews = defineJob<App, { reviewId?: string; watch?: boolean }>({
  name: 'read-reviews',
  lane: 'quick',
  payload: z.object({ reviewId: z.string().optional(), watch: z.boolean().optional() }),
  trigger: [{ on: 'review.posted' }, { cron: '*/5 * * * *' }],
  run: async ({ reviews, opinion }, { watch }, { signal, progress }) => {
    const { read, ignored } = await reviews.readPending(signal, count => progress(0.5, `Read ${count} texts`))
    const alerts = watch ? `; ${(await opinion.watch(signal)).alerts} alerts` : ''
    return `Read ${read} texts, ${ignored} of them spam or unreadable${alerts}`
  },
})

/** After a model went live, the newest texts are read again by it. */
export const readReviewsAgain = defineJob<App, { task?: string }>({
  name: 'read-reviews-again',
  lane: 'heavy',
  payload: z.object({ task: z.string().optional() }),
  trigger: [{ on: 'model.changed' }],
  run: async ({ reviews, liveModels }, { task }, { signal, progress }) => {
    if (task !== undefined && task !== 'SENTIMENT') return `Nothing to read again for ${task}`
    await liveModels.look()
    const again = await reviews.readAgain()
    const { read } = await reviews.readPending(signal, count => progress(Math.min(0.99, count / Math.max(1, again))))
    return `Read ${read} texts again`
  },
})

export const mineAspects = defineJob<App, Record<string, never>>({
  name: 'mine-aspects',
  lane: 'heavy',
  payload: z.object({}) as never,
  trigger: [{ cron: '50 2 * * *' }],
  run: ({ aspectHints }, _, { signal }) => aspectHints.mine(signal),
})

/** Every ten minutes: what is said, against what is usual. */
export const watchOpinion = defineJob<App, Record<string, never>>({
  name: 'watch-opinion',
  lane: 'quick',
  payload: z.object({}) as never,
  trigger: [{ cron: '*/10 * * * *' }],
  run: async ({ opinion }, _, { signal }) => {
    const { subjects, alerts } = await opinion.watch(signal)
    return `Watched ${subjects} subjects; ${alerts} new alerts`
  },
})

/** What a person confirmed about an alert, and a crash interrupted, is done to its end. */
export const finishActions = defineJob<App, Record<string, never>>({
  name: 'finish-actions',
  lane: 'quick',
  payload: z.object({}) as never,
  trigger: [{ cron: '*/5 * * * *' }],
  run: async ({ opinion }, _, { signal }) => `Finished ${await opinion.finishInterrupted(signal)} interrupted actions`,
})
