import { z } from 'zod'
import type { App } from '../src/app.js'
import { defineJob } from '../src/platform/jobs.js'

/** Forgets whose data changed as soon as nobody goes by it any more. */
export const forgetChanges = defineJob<App, Record<string, never>>({
  name: 'forget-changes',
  lane: 'quick',
  payload: z.object({}) as never,
  trigger: [{ cron: '*/5 * * * *' }],
  run: async ({ userChanges }) => `Forgot ${await userChanges.forget()} changes of users`,
})
