import { z } from 'zod'
import type { App } from '../src/app.js'
import { defineJob } from '../src/platform/jobs.js'

/** Merges an upload that is stored; goes on after a crash where the last committed batch ended. */
export const importFile = defineJob<App, { importId: string }>({
  name: 'import',
  lane: 'import',
  payload: z.object({ importId: z.string().max(64) }),
  tries: 5,
  run: ({ imports }, { importId }, context) => imports.run(importId, context),
})
