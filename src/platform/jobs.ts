import { z } from 'zod'

/** Lanes are BullMQ queues: `quick` answers people, `heavy` trains and imports. */
export type Lane = 'quick' | 'heavy'

/** What the system announces to itself. A signal is a hint; state is the truth. */
export interface SignalMap {
  'events.ingested': { count: number }
  'review.posted': { reviewId: string }
  'model.trained': { modelId: string; task: string }
  /** A model went live, was retired, approved, rejected or rolled back. */
  'model.changed': { task: string }
  'job.updated': { jobId: string }
  'catalogue.changed': { productIds: number[] }
  'key.changed': { prefix: string }
  'segment.changed': { segmentId: string }
  'audience.changed': { audienceId: string }
  'campaign.changed': { campaignId: string }
  'faq.changed': { entryId: string }
}
export type SignalName = keyof SignalMap

/** Every signal there is, for the check at the start of a worker. */
export const SIGNALS: readonly SignalName[] = [
  'events.ingested',
  'review.posted',
  'model.trained',
  'model.changed',
  'job.updated',
  'catalogue.changed',
  'key.changed',
  'segment.changed',
  'audience.changed',
  'campaign.changed',
  'faq.changed',
]

export type Trigger = { on: SignalName } | { cron: string }

/** What a running job may use beside its services. */
export interface JobContext {
  readonly jobId: string
  /** 1 for the first try. */
  readonly attempt: number
  /** Aborted when the job is cancelled or the process drains. */
  readonly signal: AbortSignal
  /** Records progress in [0, 1] and a sentence; throws when the job was cancelled or its fence was taken by a later attempt. */
  progress(share: number, message?: string, result?: Record<string, unknown>): Promise<void>
}

export interface JobDefinition<Services, Payload = unknown> {
  name: string
  lane: Lane
  payload: z.ZodType<Payload>
  trigger?: Trigger[]
  /** Tries in all; 3 unless said. Only `Unavailable` and unknown errors are tried again. */
  tries?: number
  /** Returns the sentence the console shows, or the sentence with a result. */
  run(services: Services, payload: Payload, context: JobContext): Promise<string | { message: string; result: Record<string, unknown> }>
}

export function defineJob<Services, Payload>(definition: JobDefinition<Services, Payload>): JobDefinition<Services, Payload> {
  return definition
}
