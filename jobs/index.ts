import type { JobDefinition } from '../src/platform/jobs.js'
import { buildAudience, exportAudience, resumeAudiences, scoreAudienceRange } from './audiences.js'
import { refreshBaselines } from './baselines.js'
import { expireReservations } from './expire-reservations.js'
import { draftFaq } from './faq.js'
import { forgetChanges } from './forget-changes.js'
import { housekeeping } from './housekeeping.js'
import { importFile } from './import.js'
import { paceCampaigns } from './pace-campaigns.js'
import { ageProfiles, refreshProfiles, scoreProfileRange, scoreProfiles } from './profiles.js'
import { refreshWinCurves } from './refresh-win-curves.js'
import { retrainWhenChanged } from './retrain-when-changed.js'
import { finishActions, mineAspects, readReviews, readReviewsAgain, watchOpinion } from './reviews.js'
import { evaluateSegmentShard, evaluateSegments } from './segments.js'
import { simulateBids } from './simulate-bids.js'
import { trainModels } from './train.js'

/** Every job there is. A new one is one file and its name here. */
export const jobDefinitions = [
  importFile,
  trainModels,
  retrainWhenChanged,
  refreshBaselines,
  forgetChanges,
  housekeeping,
  refreshProfiles,
  ageProfiles,
  scoreProfiles,
  scoreProfileRange,
  evaluateSegments,
  evaluateSegmentShard,
  buildAudience,
  scoreAudienceRange,
  resumeAudiences,
  exportAudience,
  paceCampaigns,
  expireReservations,
  refreshWinCurves,
  simulateBids,
  readReviews,
  readReviewsAgain,
  mineAspects,
  draftFaq,
  watchOpinion,
  finishActions,
] as unknown as readonly JobDefinition<never>[]
