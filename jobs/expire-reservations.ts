import { z } from 'zod'
import type { App } from '../src/app.js'
import { defineJob } from '../src/platform/jobs.js'

/** Gives back the money of bids that nobody was heard of. */
export const expireReservations = defineJob<App, Record<string, never>>({
  name: 'expire-reservations',
  lane: 'quick',
  payload: z.object({}) as never,
  trigger: [{ cron: '* * * * *' }],
  run: async ({ bidding }, _, { signal }) => {
    let expired = 0
    for (let count = await bidding.expire(); count > 0; count = await bidding.expire()) {
      expired += count
      signal.throwIfAborted()
    }
    return `Released ${expired} reservations`
  },
})
