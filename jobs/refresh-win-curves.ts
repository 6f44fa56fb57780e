import { z } from 'zod'
import type { App } from '../src/app.js'
import { defineJob } from '../src/platform/jobs.js'

/** Learns anew what it takes to win, for bids in first-price auctions. */
export const refreshWinCurves = defineJob<App, Record<string, never>>({
  name: 'refresh-win-curves',
  lane: 'heavy',
  payload: z.object({}) as never,
  trigger: [{ cron: '23 * * * *' }],
  run: async ({ market }) => `Learned the win curve from ${await market.refreshWinCurve()} bids`,
})
