import { z } from 'zod'
import type { App } from '../src/app.js'
import { defineJob } from '../src/platform/jobs.js'

/** Every night, what nobody could answer becomes drafts for a person to write and approve. */
export const draftFaq = defineJob<App, Record<string, never>>({
  name: 'draft-faq',
  lane: 'heavy',
  payload: z.object({}) as never,
  trigger: [{ cron: '10 3 * * *' }],
  run: ({ faq }, _, { signal }) => faq.draftFromQuestions(signal),
})
