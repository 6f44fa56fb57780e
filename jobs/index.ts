import type { JobDefinition } from '../src/platform/jobs.js'
import { refreshBaselines } from './baselines.js'
import { housekeeping } from './housekeeping.js'
import { importFile } from './import.js'
import { ageProfiles, refreshProfiles, scoreProfileRange, scoreProfiles } from './profiles.js'
import { evaluateSegmentShard, evaluateSegments } from './segments.js'
import { trainModels } from './train.js'

/** Every job there is. A new one is one file and its name here. */
export const jobDefinitions = [
  importFile,
  trainModels,
  refreshBaselines,
  housekeeping,
  refreshProfiles,
  ageProfiles,
  scoreProfiles,
  scoreProfileRange,
  evaluateSegments,
  evaluateSegmentShard,
] as unknown as readonly JobDefinition<never>[]
