import { setMaxListeners } from 'node:events'
import { Conflict, DomainError, InvalidInput, messageOf, NotFound, Unavailable } from './errors.js'
import type { JobRow, JobStore, NewJob, NewPart, Sendable } from './job-store.js'
import { Cut, type JobContext, type JobDefinition, type JobPart, SIGNALS, type SignalName } from './jobs.js'
import { type Log, withLogFields } from './log.js'
import type { Metrics } from './metrics.js'
import { LANES, type Parcel, type Queues } from './queue.js'
import type { Signals } from './signals.js'
import { v7 as uuid } from './uuid.js'

type Definition = Pick<JobDefinition<never>, 'name' | 'lane' | 'payload' | 'trigger' | 'tries' | 'partsMayFail'>

const TRIES = 3
const BACKOFF_MS = 2_000
const HEARTBEAT_MS = 3_000
const PROGRESS_EVERY_MS = 400
const SWEEP_MS = 20_000
/** A job that kills its workers this often is given up, before it has killed them all. */
const MAX_CRASHES = 5
const LARGEST_BULK = 500
/** Files have a lane of their own: a person who uploads one must not wait until a training has ended. */
const CONCURRENCY = { quick: 4, import: 2, heavy: 2 }
/** How long a job that runs alone rests, in times of how long it ran; longer than the limit, and the sweep would take what waits for forgotten. */
const REST = 2
const LONGEST_REST_MS = 15_000

/** The list of jobs, checked: a fault stops the start with a sentence that names the culprit and the cure. */
export function checkDefinitions<Services>(definitions: readonly JobDefinition<Services>[]): Map<string, JobDefinition<Services>> {
  const byName = new Map<string, JobDefinition<Services>>()
  for (const definition of definitions) {
    const { name, run, trigger = [], lane } = definition
    if (!/^[a-z][a-z0-9-]+$/.test(name)) throw new Error(`The job "${name}" needs a name in kebab-case (defineJob in jobs/)`)
    if (byName.has(name)) throw new Error(`Two jobs are called "${name}"; rename one of them in jobs/index.ts`)
    if (typeof run !== 'function') throw new Error(`The job "${name}" has no run function; give it one in jobs/${name}.ts`)
    if (!LANES.includes(lane)) throw new Error(`The job "${name}" names the lane "${lane}"; the lanes are ${LANES.join(', ')}`)
    for (const each of trigger) {
      if ('on' in each && !SIGNALS.includes(each.on))
        throw new Error(`The job "${name}" waits for the signal "${each.on}", which nobody sends; add it to SignalMap in platform/jobs.ts`)
      if ('cron' in each && !isCron(each.cron))
        throw new Error(`The job "${name}" has the schedule "${each.cron}"; a schedule has five fields: minute hour day month weekday`)
    }
    byName.set(name, definition)
  }
  return byName
}

function isCron(text: string): boolean {
  const fields = text.trim().split(/\s+/)
  return fields.length === 5 && fields.every(field => /^[\d*/,-]+$/.test(field))
}

/** What a change to a job would do. */
export interface JobEffect {
  /** Of the job, right after it. */
  state: JobRow['state']
  /** Parts that it would touch. */
  parts: number
}

/** Gives work to the workers; used by servers and workers alike. */
export class Jobs {
  constructor(
    private readonly store: JobStore,
    private readonly queues: Queues,
    private readonly definitions: ReadonlyMap<string, Definition>,
    private readonly signals: Signals,
  ) {}

  /** Records a job and sends it on its way. Throws `InvalidInput` with the path of a faulty payload. */
  async enqueue(
    name: string,
    payload: unknown,
    options: Omit<NewJob, 'name' | 'lane' | 'payload' | 'trigger'> & { trigger?: string } = {},
  ): Promise<JobRow> {
    const row = await this.store.insert({ trigger: 'manual', ...options, ...this.checked(name, payload) })
    await this.send(row, options.delayMs)
    return row
  }

  /** Name, lane and parsed payload; throws `NotFound` or `InvalidInput` with the place. */
  checked(name: string, payload: unknown): NewPart {
    const definition = this.definitions.get(name)
    if (!definition) throw new NotFound(`There is no job "${name}"`, { name })
    const parsed = definition.payload.safeParse(payload ?? {})
    if (!parsed.success)
      throw new InvalidInput(
        `The payload of "${name}" is faulty: ${parsed.error.issues.map(issue => `${issue.path.join('.') || 'it'}: ${issue.message}`).join('; ')}`,
      )
    return { name, lane: definition.lane, payload: parsed.data }
  }

  /** Like `enqueue`, but not when the same work waits already. */
  async enqueueOnce(name: string, payload: unknown, trigger: string): Promise<JobRow | undefined> {
    const definition = this.definitions.get(name)
    const parsed = definition?.payload.safeParse(payload)
    const row =
      definition && (await this.store.insertOnce({ name, lane: definition.lane, payload: parsed?.success ? parsed.data : {}, trigger }))
    if (row) await this.send(row)
    return row
  }

  get(id: string): Promise<JobRow | undefined> {
    return this.store.get(id)
  }

  /** Cancels a job and its parts; refused when it has ended. */
  async cancel(id: string): Promise<JobRow> {
    const existing = await this.known(id)
    const touched = await this.store.cancel(id)
    for (const row of touched) {
      if (row.parts !== null) await this.lookAtParts(row.id, row.name)
      await this.signals.announce('job.updated', { jobId: row.id })
    }
    if (touched.length > 0 && existing.parentId) await this.partEnded(existing.parentId)
    if (touched.length === 0) throw ended(await this.known(id))
    return (await this.store.get(id)) ?? existing
  }

  /** What `cancel` would touch, with all its checks and no effect: the job, and those of its parts that have not ended. */
  async previewCancel(id: string): Promise<JobEffect> {
    const job = await this.known(id)
    if (ENDED.includes(job.state)) throw ended(job)
    const parts = (await this.store.outcomes(id)).filter(({ state }) => !ENDED.includes(state)).length
    return { state: job.state === 'ACTIVE' ? 'ACTIVE' : 'CANCELLED', parts }
  }

  /** What `retry` would begin again. */
  async previewRetry(id: string): Promise<JobEffect> {
    const job = await this.known(id)
    if (job.parentId || !AGAIN.includes(job.state)) throw notAgain(job)
    const parts = (await this.store.outcomes(id)).filter(({ state }) => AGAIN.includes(state)).length
    return { state: parts > 0 ? 'ACTIVE' : 'WAITING', parts }
  }

  /** Begins a job again that failed or was cancelled; parts that were completed are not done again. */
  async retry(id: string): Promise<JobRow> {
    const rows = await this.store.retry(id)
    if (rows.length > 0) {
      await this.sendAll(rows.filter(row => row.state === 'WAITING'))
      return rows.find(row => row.id === id) as JobRow
    }
    throw notAgain(await this.known(id))
  }

  private async known(id: string): Promise<JobRow> {
    const row = await this.store.get(id)
    if (!row) throw new NotFound('No job has this id', {}, ['id'])
    return row
  }

  /** Records the parts of a job that `attempt` holds and sends them; false when a later attempt holds it, or it is to stop. */
  async cut({ id, name, fence }: JobRow, parts: readonly JobPart[], message: string): Promise<boolean> {
    const made = await this.store.cut(
      id,
      fence,
      parts.map(part => this.checked(part.job, part.payload)),
      message,
    )
    if (!made) return false
    await this.sendAll(made)
    if (made.length === 0) await this.lookAtParts(id, name)
    return true
  }

  /** A part has ended: its parent may go on. */
  async partEnded(parentId: string): Promise<void> {
    const parent = await this.store.get(parentId)
    if (parent) await this.lookAtParts(parent.id, parent.name)
  }

  /** Brings a job that is cut up to date with its parts, and the jobs above it. */
  async lookAtParts(id: string, name: string): Promise<void> {
    const mayFail = this.definitions.get(name)?.partsMayFail ?? false
    const row = await this.store.lookAtParts(id, mayFail)
    if (!row) return
    await this.signals.announce('job.updated', { jobId: id })
    if (row.state === 'WAITING') return this.send(row)
    if (row.state === 'ACTIVE') {
      if (row.failed === 0 || mayFail) return
      const touched = await this.store.cancel(id, { partsOnly: true })
      for (const part of touched) if (part.parts !== null) await this.lookAtParts(part.id, part.name)
      if (touched.some(part => part.state === 'CANCELLED')) await this.lookAtParts(id, name)
    } else if (row.parentId) await this.partEnded(row.parentId)
  }

  /** A queue that is away delays the job until the sweep; the row is safe. */
  async send({ lane, name, id, fence }: Sendable, delayMs = 0): Promise<void> {
    await this.queues.add(lane, name, `${id}_${fence}`, { jobId: id }, delayMs).catch(() => {})
    await this.signals.announce('job.updated', { jobId: id })
  }

  /** Sends what waits of a job that runs alone: the parcels that came while it ran were turned away. */
  async sendWaiting(name: string, delayMs: number): Promise<void> {
    for (const { lane, id } of await this.store.waiting(name)) {
      // Its own name: a parcel that is still being turned away must not swallow this one.
      await this.queues.add(lane, name, `${id}_${uuid()}`, { jobId: id }, delayMs)
    }
  }

  /** Like `send`, for parts and for the sweep, whose rows may be many. */
  async sendAll(rows: readonly Sendable[]): Promise<void> {
    for (const lane of LANES) {
      const parcels = rows.flatMap(({ lane: of, name, id, fence }) =>
        of === lane ? [{ name, id: `${id}_${fence}`, parcel: { jobId: id } }] : [],
      )
      for (let from = 0; from < parcels.length; from += LARGEST_BULK)
        await this.queues.addAll(lane, parcels.slice(from, from + LARGEST_BULK)).catch(() => {})
    }
  }
}

interface RunnerParts<Services> {
  services: Services
  definitions: ReadonlyMap<string, JobDefinition<Services>>
  jobs: Jobs
  store: JobStore
  queues: Queues
  signals: Signals
  log: Log
  metrics?: Metrics
}

/** Takes jobs from the lanes and runs them; `drain` ends well within half a minute. */
export async function startRunner<Services>(parts: RunnerParts<Services>): Promise<{ drain(): Promise<void>; sweep(): Promise<number> }> {
  const { definitions, jobs, store, queues, signals, log } = parts
  const draining = new AbortController()
  const running = new Set<Promise<void>>()

  const alone = [...definitions.values()].flatMap(({ name, alone }) => (alone ? [name] : []))
  const take = async (parcel: Parcel) => {
    if ('due' in parcel) return void (await jobs.enqueueOnce(parcel.due, {}, 'schedule'))
    if (draining.signal.aborted) return
    const row = await store.claim(parcel.jobId, alone)
    if (!row) return
    const work = withLogFields({ jobId: row.id, job: row.name }, () => attempt(parts, row, draining.signal))
    running.add(work)
    await work.finally(() => running.delete(work))
  }
  const workers = LANES.map(lane => queues.work(lane, CONCURRENCY[lane], take))
  await upsertSchedules(definitions, queues)
  const unsubscribe = subscribe(definitions, jobs, signals, log)
  const sweep = async () => {
    for (const { id, name } of await store.cutAndDone()) await jobs.lookAtParts(id, name)
    const rows = await store.forgotten()
    await jobs.sendAll(rows)
    return rows.length
  }
  const timer = setInterval(() => sweep().catch(error => log.warn('the sweep failed', { error: messageOf(error) })), SWEEP_MS)
  await sweep()
  return {
    sweep,
    drain: async () => {
      clearInterval(timer)
      for (const stop of unsubscribe) stop()
      const closed = Promise.all(workers.map(worker => worker.close()))
      const grace = new Promise(done => setTimeout(done, 8_000).unref())
      await Promise.race([Promise.allSettled(running), grace])
      draining.abort(new Unavailable('The worker is closing'))
      await Promise.race([Promise.allSettled(running), new Promise(done => setTimeout(done, 8_000).unref())])
      await Promise.race([closed, new Promise(done => setTimeout(done, 3_000).unref())])
    },
  }
}

async function attempt<Services>(
  { services, definitions, jobs, store, signals, log, metrics }: RunnerParts<Services>,
  row: JobRow,
  draining: AbortSignal,
): Promise<void> {
  const startedAt = performance.now()
  const { id, name, fence, parentId } = row
  const stopping = new AbortController()
  // A training hands its signal to as many threads as it has algorithms.
  setMaxListeners(0, stopping.signal)
  const stop = (verdict: 'go on' | 'cancel' | 'lost') => {
    if (verdict === 'cancel') stopping.abort(new Cancelled())
    if (verdict === 'lost') stopping.abort(new Lost())
  }
  const onDrain = () => stopping.abort(draining.reason)
  draining.addEventListener('abort', onDrain, { once: true })
  let isBeating = false
  const beat = async () => {
    if (isBeating) return
    isBeating = true
    await store.beat(id, fence).then(stop, () => {})
    isBeating = false
  }
  const heart = setInterval(() => void beat(), HEARTBEAT_MS)
  const outcome = await work().catch(fail)
  clearInterval(heart)
  draining.removeEventListener('abort', onDrain)
  const milliseconds = performance.now() - startedAt
  metrics?.job(name, outcome, milliseconds / 1000)
  if (definitions.get(name)?.alone)
    await jobs
      .sendWaiting(name, Math.ceil(Math.min(REST * milliseconds, LONGEST_REST_MS)))
      .catch(error => log.warn('a job waits for the sweep', { error: messageOf(error) }))
  await signals.announce('job.updated', { jobId: id })
  if (parentId && ENDS.has(outcome))
    await jobs.partEnded(parentId).catch(error => log.warn('a job waits for the sweep', { error: messageOf(error) }))

  async function work(): Promise<string> {
    const definition = definitions.get(name)
    if (!definition) throw new InvalidInput(`This worker knows no job "${name}"`)
    if (row.crashes >= MAX_CRASHES)
      throw new InvalidInput(`Given up: ${row.crashes} workers died while they ran it${row.error ? `. Before that: ${row.error}` : ''}`)
    const payload = definition.payload.parse(row.payload) as never
    const answer = row.parts === null ? await definition.run(services, payload, contextOf()) : await merge(definition, payload)
    stopping.signal.throwIfAborted()
    if (answer instanceof Cut) {
      if (!definition.merge) throw new InvalidInput(`The job "${name}" cuts itself but has no merge; give it one in jobs/${name}.ts`)
      if (!(await jobs.cut(row, answer.parts, answer.message))) await beat()
      stopping.signal.throwIfAborted()
      log.info('job cut', { parts: answer.parts.length, milliseconds: Math.round(performance.now() - startedAt) })
      return 'cut'
    }
    const { message, result } = typeof answer === 'string' ? { message: answer, result: undefined } : answer
    const kept = await store.settle(id, fence, { state: 'COMPLETED', message, result })
    log.info('job done', { message, milliseconds: Math.round(performance.now() - startedAt) })
    return kept ? 'completed' : 'lost'
  }

  async function merge({ merge }: JobDefinition<Services>, payload: never) {
    if (!merge) throw new InvalidInput(`The job "${name}" was cut but has no merge any more; give it one in jobs/${name}.ts`)
    return merge(services, payload, await store.outcomes(id), contextOf())
  }

  function contextOf(): JobContext {
    let last = 0
    return {
      jobId: id,
      trigger: row.trigger,
      attempt: row.attempts,
      fence,
      before: row.result,
      signal: stopping.signal,
      hold: async sql => {
        if (!(await store.isHeld(sql, id, fence))) stop('lost')
        stopping.signal.throwIfAborted()
      },
      progress: async (share, message, result) => {
        stopping.signal.throwIfAborted()
        if (performance.now() - last < PROGRESS_EVERY_MS && share < 1) return
        last = performance.now()
        stop(await store.progress(id, fence, Math.max(0, Math.min(1, share)), message, result))
        stopping.signal.throwIfAborted()
        await signals.announce('job.updated', { jobId: id })
      },
    }
  }

  async function fail(error: unknown): Promise<string> {
    const cause = stopping.signal.aborted ? stopping.signal.reason : error
    if (cause instanceof Lost) return 'lost'
    if (cause instanceof Cancelled) {
      await store.settle(id, fence, { state: 'CANCELLED', message: 'Cancelled' })
      return 'cancelled'
    }
    if (draining.aborted) {
      await store.settle(id, fence, { state: 'WAITING', message: 'Handed back, because its worker closed', uncounted: true })
      return 'handed back'
    }
    const tries = definitions.get(name)?.tries ?? TRIES
    const message = messageOf(error)
    if (mayRetry(error) && row.attempts < tries) {
      const delayMs = BACKOFF_MS * 2 ** (row.attempts - 1)
      const kept = await store.settle(id, fence, {
        state: 'DELAYED',
        error: message,
        message: `Attempt ${row.attempts} failed; the next one follows in ${delayMs / 1000} s`,
        delayMs,
      })
      if (kept) await jobs.send({ ...row, fence }, delayMs)
      log.warn('a job failed and is tried again', { error: message, attempt: row.attempts })
      return 'retried'
    }
    await store.settle(id, fence, { state: 'FAILED', error: message, message: 'Failed' })
    log.error('a job failed for good', { error: message, attempts: row.attempts, stack: error instanceof Error ? error.stack : undefined })
    return 'failed'
  }
}

const ENDS = new Set(['completed', 'failed', 'cancelled'])

const ENDED: readonly string[] = ['COMPLETED', 'FAILED', 'CANCELLED']
/** From here a job may begin again. */
const AGAIN: readonly string[] = ['FAILED', 'CANCELLED']

function ended({ state }: JobRow) {
  return new Conflict(`A job that is ${state} cannot be cancelled; it has ended`, 'ILLEGAL_TRANSITION', { state }, ['id'])
}

function notAgain({ state, parentId }: JobRow) {
  const reason = parentId
    ? 'This is a part of another job; begin that one again'
    : `A job that is ${state} cannot begin again; it would have to be FAILED or CANCELLED`
  return new Conflict(reason, 'ILLEGAL_TRANSITION', { state }, ['id'])
}

class Cancelled extends Error {}
class Lost extends Error {}

/** Only what may pass by itself: a part that is away, and the unknown. */
function mayRetry(error: unknown): boolean {
  return error instanceof Unavailable || !(error instanceof DomainError || (error as Error)?.name === 'ZodError')
}

async function upsertSchedules<Services>(definitions: ReadonlyMap<string, JobDefinition<Services>>, queues: Queues) {
  for (const lane of LANES) {
    const wanted = new Map(
      [...definitions.values()]
        .filter(({ lane: of }) => of === lane)
        .flatMap(({ name, trigger = [] }) => trigger.flatMap(each => ('cron' in each ? [[name, each.cron] as const] : []))),
    )
    for (const [name, cron] of wanted) await queues.schedule(lane, name, cron)
    for (const name of await queues.schedules(lane)) if (!wanted.has(name)) await queues.unschedule(lane, name)
  }
}

function subscribe<Services>(
  definitions: ReadonlyMap<string, JobDefinition<Services>>,
  jobs: Jobs,
  signals: Signals,
  log: Log,
): (() => void)[] {
  return [...definitions.values()].flatMap(({ name, trigger = [] }) =>
    trigger.flatMap(each => {
      if (!('on' in each)) return []
      const signal: SignalName = each.on
      return [
        signals.on(
          signal,
          payload =>
            void jobs
              .enqueueOnce(name, payload, signal)
              .catch(error => log.warn('a signal started no job', { signal, job: name, error: messageOf(error) })),
        ),
      ]
    }),
  )
}
