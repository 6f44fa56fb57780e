import { z } from 'zod'
import type { App } from '../src/app.js'
import { cut, defineJob } from '../src/platform/jobs.js'
import { reportStage } from '../src/platform/stages.js'

const shard = z.object({
  segmentId: z.string().max(100),
  version: z.number().int(),
  at: z.string().max(40),
  low: z.number().int(),
  high: z.number().int(),
})

/** Evaluates segments whose rule is new, whose clauses follow the clock, or that failed before; in a large shop in shards on whichever worker takes them. */
export const evaluateSegments = defineJob<App, Record<string, never>>({
  name: 'evaluate-segments',
  lane: 'quick',
  payload: z.object({}) as never,
  trigger: [{ on: 'segment.changed' }, { cron: '* * * * *' }],
  run: async ({ segments, database }, _, context) => {
    const shards = await segments.dueShards()
    if (shards.length > 0) return cut(shards.map(payload => ({ job: 'evaluate-segment-shard', payload })))
    const evaluated = await segments.evaluateDue(context)
    await reportStage(database, await segments.stage())
    return `Evaluated ${evaluated} segments`
  },
  partsMayFail: true,
  merge: async ({ segments, database }, _, parts) => {
    const outcomes = parts.map(({ payload, state, error }) => ({
      shard: payload as z.infer<typeof shard>,
      error: state === 'COMPLETED' ? null : (error ?? state),
    }))
    const evaluated = await segments.settleShards(outcomes)
    await reportStage(database, await segments.stage())
    return `Evaluated ${evaluated} segments in ${parts.length} shards`
  },
})

/** One shard of one segment; may run twice. */
export const evaluateSegmentShard = defineJob<App, z.infer<typeof shard>>({
  name: 'evaluate-segment-shard',
  lane: 'quick',
  payload: shard,
  run: async ({ segments }, payload) => {
    await segments.evaluateShard(payload)
    return `Looked at users ${payload.low} to ${payload.high}`
  },
})
