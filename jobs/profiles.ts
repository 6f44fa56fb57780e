import { z } from 'zod'
import type { App } from '../src/app.js'
import { defineJob } from '../src/platform/jobs.js'

/** Makes the profiles anew that events or facts have overtaken, and brings the segments of those users in line. */
export const refreshProfiles = defineJob<App, Record<string, never>>({
  name: 'refresh-profiles',
  lane: 'quick',
  payload: z.object({}) as never,
  trigger: [{ on: 'events.ingested' }, { cron: '* * * * *' }],
  run: async ({ profiles, segments }, _, context) => {
    const refreshed = await profiles.refreshOvertaken({ ...context, gone: async ids => void (await segments.follow(ids, 'unknown')) })
    const followed = await segments.followWaiting(context)
    return `Refreshed ${refreshed} profiles, looked at the segments of ${followed} users`
  },
})

/** Learns anew what is usual, and refreshes profiles that only the passing of days has changed. */
export const ageProfiles = defineJob<App, Record<string, never>>({
  name: 'age-profiles',
  lane: 'heavy',
  payload: z.object({}) as never,
  trigger: [{ cron: '50 2 * * *' }],
  run: async ({ profiles, segments, identity }, _, context) => {
    await identity.gatherStrays()
    await profiles.learnMeasures()
    const refreshed = await profiles.refreshAged(context)
    const followed = await segments.followWaiting(context)
    return `Learned what is usual, refreshed ${refreshed} profiles, looked at the segments of ${followed} users`
  },
})
