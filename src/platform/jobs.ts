import { z } from 'zod'

/** Lanes are BullMQ queues: `quick` answers people, `import` takes in files, `heavy` trains and scores. */
export type Lane = 'quick' | 'import' | 'heavy'

/** What the system announces to itself. A signal is a hint; state is the truth. */
export interface SignalMap {
  'events.ingested': { count: number }
  'review.posted': { reviewId?: string }
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
  'placement.changed': { name: string }
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
  'placement.changed',
]

export type Trigger = { on: SignalName } | { cron: string }

/** What a running job may use beside its services. */
export interface JobContext {
  readonly jobId: string
  /** What made the job: "schedule", the name of a signal, "manual". */
  readonly trigger: string
  /** 1 for the first try. */
  readonly attempt: number
  /** Grows with every attempt. An effect outside the row that carries it (or is checked by `hold`) cannot be undone by an attempt that was overtaken. */
  readonly fence: number
  /** What the last `progress(…, result)` left, also one of an earlier attempt: where to go on. */
  readonly before: Record<string, unknown> | null
  /** Aborted when the job is cancelled or the process drains. */
  readonly signal: AbortSignal
  /** Records progress in [0, 1] and a sentence; throws when the job was cancelled or its fence was taken by a later attempt. */
  progress(share: number, message?: string, result?: Record<string, unknown>): Promise<void>
  /** Inside a transaction: lets it go on only if this attempt still holds the job, and lets no later attempt start before it ends. */
  hold(sql: (text: string, params: unknown[]) => Promise<{ length: number }>): Promise<void>
}

/** A piece of work that any worker may take. It may run twice and must then leave the same. */
export interface JobPart {
  /** Name of the job that does it. */
  job: string
  payload: unknown
}

/** How a part ended; `part` is its place in the list it was cut from. */
export interface PartOutcome {
  jobId: string
  part: number
  payload: unknown
  state: 'COMPLETED' | 'FAILED' | 'CANCELLED'
  message: string | null
  result: Record<string, unknown> | null
  error: string | null
}

export type JobAnswer = string | { message: string; result?: Record<string, unknown> }

/** What `run` returns when the work is to be done in parts. */
export class Cut {
  constructor(
    readonly parts: readonly JobPart[],
    readonly message: string,
  ) {}
}

/** Cuts a job: `return cut(shards.map(shard => ({ job: 'score-shard', payload: shard })), 'Cut into 64 shards')`. `merge` follows when no part is left. */
export function cut(parts: readonly JobPart[], message = `Cut into ${parts.length} parts`): Cut {
  return new Cut(parts, message)
}

export interface JobDefinition<Services, Payload = unknown> {
  name: string
  lane: Lane
  payload: z.ZodType<Payload>
  trigger?: Trigger[]
  /**
   * Never runs beside itself. What waits meanwhile begins when the run has ended and has rested twice as long as it took, 15 s at most: a flood of
   * signals leaves two thirds of the time to others.
   */
  alone?: boolean
  /** Tries in all; 3 unless said. Only `Unavailable` and unknown errors are tried again. */
  tries?: number
  /** Returns the sentence the console shows, the sentence with a result, or `cut(…)`. */
  run(services: Services, payload: Payload, context: JobContext): Promise<JobAnswer | Cut>
  /** Needed by a job that cuts itself: runs once all parts have ended, in their order, and is tried again like `run`. */
  merge?(services: Services, payload: Payload, parts: PartOutcome[], context: JobContext): Promise<JobAnswer>
  /** Whether `merge` copes with parts that failed. If not, the first one that fails for good cancels the others and fails the job. */
  partsMayFail?: boolean
}

export function defineJob<Services, Payload>(definition: JobDefinition<Services, Payload>): JobDefinition<Services, Payload> {
  return definition
}
