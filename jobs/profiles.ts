import { z } from 'zod'
import type { App } from '../src/app.js'
import { cut, defineJob } from '../src/platform/jobs.js'
import { reportStage } from '../src/platform/stages.js'

/** A file of events brings something of everybody again and again; its end is a signal. For so long it is waited for. */
const PATIENCE_HOURS = 1

/** Makes the profiles anew that events or facts have overtaken, and brings the segments of those users in line. */
export const refreshProfiles = defineJob<App, Record<string, never>>({
  name: 'refresh-profiles',
  lane: 'quick',
  alone: true,
  payload: z.object({}) as never,
  trigger: [{ on: 'events.ingested' }, { cron: '* * * * *' }],
  run: async ({ profiles, segments, imports, database }, _, context) => {
    const waits = context.trigger === 'schedule' && (await imports.isUnderWay('events', PATIENCE_HOURS))
    const without = async (ids: readonly number[]) => void (await segments.follow(ids, 'unknown'))
    const refreshed = waits ? 0 : await profiles.refreshOvertaken({ ...context, without })
    const followed = await segments.followWaiting(context)
    const reason = `Refreshed ${refreshed} profiles, looked at the segments of ${followed} users`
    await reportStage(database, { stage: 'profiles', state: 'ok', reason, rowsIn: refreshed, rowsOut: followed })
    return reason
  },
})

/** Learns anew what is usual, and refreshes profiles that only the passing of days has changed. */
export const ageProfiles = defineJob<App, Record<string, never>>({
  name: 'age-profiles',
  lane: 'heavy',
  payload: z.object({}) as never,
  trigger: [{ cron: '50 2 * * *' }],
  run: async ({ profiles, segments, identity, clusters, liveModels }, _, context) => {
    await identity.gatherStrays()
    await profiles.learnMeasures()
    const refreshed = await profiles.refreshAged(context)
    const followed = await segments.followWaiting(context)
    await liveModels.look()
    await clusters.watchDrift()
    return `Learned what is usual, refreshed ${refreshed} profiles, looked at the segments of ${followed} users`
  },
})

const range = z.object({ low: z.number().int(), high: z.number().int(), by: z.string().max(1_000) })
/** More ranges than this are shared among the workers. */
const INLINE = 3

/** Scores all profiles anew when other models serve, or when what is usual was learned anew. */
export const scoreProfiles = defineJob<App, Record<string, never>>({
  name: 'score-profiles',
  lane: 'heavy',
  payload: z.object({}) as never,
  trigger: [{ on: 'model.changed' }, { cron: '15 * * * *' }],
  run: async ({ profiles, liveModels }, _, { signal, progress }) => {
    await liveModels.look()
    const { by, ranges } = await profiles.scoringDue()
    if (ranges.length > INLINE)
      return cut(
        ranges.map(each => ({ job: 'score-profile-range', payload: { ...each, by } })),
        `Cut into ${ranges.length} ranges`,
      )
    let scored = 0
    for (const [index, each] of ranges.entries()) {
      signal.throwIfAborted()
      scored += await profiles.scoreRange(each)
      await progress((index + 1) / ranges.length, `Scored ${scored} profiles`)
    }
    await profiles.scoredBy(by)
    return scored === 0 ? 'All profiles are scored by what serves' : `Scored ${scored} profiles`
  },
  merge: async ({ profiles }, _, parts) => {
    await profiles.scoredBy((parts[0].payload as z.infer<typeof range>).by)
    return `Scored the profiles of ${parts.length} ranges`
  },
})

/** One range of profiles; may run twice. */
export const scoreProfileRange = defineJob<App, z.infer<typeof range>>({
  name: 'score-profile-range',
  lane: 'heavy',
  payload: range,
  run: async ({ profiles, liveModels }, payload) => {
    await liveModels.look()
    return `Scored ${await profiles.scoreRange(payload)} profiles`
  },
})
