import { z } from 'zod'
import type { App } from '../src/app.js'
import { defineJob } from '../src/platform/jobs.js'

/** Evaluates segments whose rule is new, whose clauses follow the clock, or that failed before. */
export const evaluateSegments = defineJob<App, Record<string, never>>({
  name: 'evaluate-segments',
  lane: 'quick',
  payload: z.object({}) as never,
  trigger: [{ on: 'segment.changed' }, { cron: '*/10 * * * *' }],
  run: async ({ segments }, _, context) => `Evaluated ${await segments.evaluateDue(context)} segments`,
})
