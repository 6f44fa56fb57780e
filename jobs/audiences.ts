import { z } from 'zod'
import type { App } from '../src/app.js'
import { InvalidInput } from '../src/platform/errors.js'
import { cut, defineJob } from '../src/platform/jobs.js'

const build = z.object({ audienceId: z.string().max(100), version: z.number().int() })
const range = build.extend({ low: z.number().int(), high: z.number().int() })

/** Builds one version of an audience: learns what it needs, has key ranges scored by whichever worker takes them, and merges the best. */
export const buildAudience = defineJob<App, z.infer<typeof build>>({
  name: 'build-audience',
  lane: 'heavy',
  payload: build,
  run: async ({ audiences, liveModels }, { audienceId, version }) => {
    try {
      await liveModels.look()
      const ranges = await audiences.prepare(audienceId, version)
      return cut(
        ranges.map(each => ({ job: 'score-audience-range', payload: { audienceId, version, ...each } })),
        `Cut into ${ranges.length} ranges`,
      )
    } catch (error) {
      if (!(error instanceof InvalidInput)) throw error
      await audiences.fail(audienceId, version, error.message)
      return `Not built: ${error.message}`
    }
  },
  partsMayFail: true,
  merge: async ({ audiences }, { audienceId, version }, parts, { hold }) => {
    const failed = parts.find(({ state }) => state !== 'COMPLETED')
    if (!failed) return audiences.merge(audienceId, version, hold)
    const reason = `Users ${(failed.payload as z.infer<typeof range>).low} and on could not be scored: ${failed.error ?? failed.state}`
    await audiences.fail(audienceId, version, reason)
    return `Not built: ${reason}`
  },
})

/** Scores the users of one key range; may run twice. */
export const scoreAudienceRange = defineJob<App, z.infer<typeof range>>({
  name: 'score-audience-range',
  lane: 'heavy',
  payload: range,
  run: async ({ audiences, liveModels }, { audienceId, version, low, high }, { hold, signal }) => {
    await liveModels.look()
    const rows = await audiences.scoreRange(audienceId, version, { low, high }, hold, signal)
    return { message: `Looked at ${rows} users`, result: { rows } }
  },
})

/** Takes up audiences that wait while no job is at them. */
export const resumeAudiences = defineJob<App, Record<string, never>>({
  name: 'resume-audiences',
  lane: 'quick',
  payload: z.object({}) as never,
  trigger: [{ cron: '*/5 * * * *' }],
  run: async ({ audiences, jobs }) => {
    const waiting = await audiences.forgotten()
    for (const { id, version } of waiting) {
      const job = await jobs.enqueue('build-audience', { audienceId: id, version })
      await audiences.setJob(id, job.id)
    }
    return `Took up ${waiting.length} audiences`
  },
})

/** Brings an audience to a file or a webhook; goes on after a crash with the page that was not acknowledged. */
export const exportAudience = defineJob<App, { exportId: string }>({
  name: 'export-audience',
  lane: 'heavy',
  payload: z.object({ exportId: z.string().max(64) }),
  tries: 5,
  run: ({ audienceExports }, { exportId }, context) => audienceExports.run(exportId, context),
})
