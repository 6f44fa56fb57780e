import { z } from 'zod'
import type { App } from '../src/app.js'
import { defineJob } from '../src/platform/jobs.js'

/** What another bid or budget would have brought, as a chart. */
export const simulateBids = defineJob<
  App,
  { campaignId?: string; campaignExternalId?: string; over: 'BID' | 'BUDGET'; factors?: number[] }
>({
  name: 'simulate-bids',
  lane: 'quick',
  payload: z.object({
    campaignId: z.string().max(300).optional(),
    campaignExternalId: z.string().max(200).optional(),
    over: z.enum(['BID', 'BUDGET']),
    factors: z.array(z.number()).max(30).optional(),
  }),
  run: async ({ market }, input, { signal }) => {
    const result = await market.simulate(input, signal)
    const message =
      result.points.length > 0
        ? `Replayed ${result.auctions} auctions of ${result.days.toFixed(1)} days at ${result.points.length} points`
        : 'Too few auctions are known to replay any'
    return { message, result: { ...result } }
  },
})
