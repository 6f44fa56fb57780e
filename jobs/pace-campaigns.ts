import { z } from 'zod'
import type { App } from '../src/app.js'
import { defineJob } from '../src/platform/jobs.js'

/** Every minute: ends campaigns whose time has come, opens the day's budgets after the account's midnight, and steps the controllers of pacing. */
export const paceCampaigns = defineJob<App, Record<string, never>>({
  name: 'pace-campaigns',
  lane: 'quick',
  payload: z.object({}) as never,
  trigger: [{ cron: '* * * * *' }],
  run: async ({ campaigns }) => {
    const ended = await campaigns.endDue()
    const opened = await campaigns.roll()
    const stepped = await campaigns.stepPacing()
    return `Ended ${ended} campaigns, opened ${opened} budgets, paced ${stepped} campaigns`
  },
})
