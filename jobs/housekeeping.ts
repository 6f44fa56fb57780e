import { z } from 'zod'
import type { App } from '../src/app.js'
import { defineJob } from '../src/platform/jobs.js'

const JOB_DAYS = 30
const DECISION_DAYS = 400
const KEY_DAYS = 2
const ABANDONED_HOURS = 24

/** Forgets what nobody may need any more. */
export const housekeeping = defineJob<App, Record<string, never>>({
  name: 'housekeeping',
  lane: 'quick',
  payload: z.object({}) as never,
  trigger: [{ cron: '20 4 * * *' }],
  run: async ({ jobStore, decisions, idempotency, imports, audienceExports }) => {
    await imports.discardAbandoned(ABANDONED_HOURS)
    await audienceExports.discardExpired()
    const [jobs, old, keys] = [
      await jobStore.forgetOlderThan(JOB_DAYS),
      await decisions.forgetOlderThan(DECISION_DAYS),
      await idempotency.forgetOlderThan(KEY_DAYS),
    ]
    return `Forgot ${jobs} ended jobs, ${old} decisions and ${keys} idempotency keys`
  },
})
