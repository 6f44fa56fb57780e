import { type Connection, pageOf } from '../graphql/connection.js'
import { timeOf } from '../graphql/cursor.js'
import { JobType } from '../graphql/job.js'
import { NotFound } from '../platform/errors.js'
import type { JobState } from '../platform/generated/prisma/enums.js'
import type { JobEffect, Jobs } from '../platform/job-runner.js'
import type { JobFilter, JobRow, JobStore } from '../platform/job-store.js'
import type { Signals } from '../platform/signals.js'

const ENDED: readonly JobState[] = ['COMPLETED', 'FAILED', 'CANCELLED']
/** A signal may be lost, so a watched job is also looked at this often. */
const LOOK_EVERY_MS = 2_000

/** What people see of jobs, and what they may do to them. */
export class JobsService {
  constructor(
    private readonly jobs: Jobs,
    private readonly store: JobStore,
    private readonly signals: Signals,
  ) {}

  async get(id: string): Promise<JobType | null> {
    const row = await this.store.get(id)
    return row ? JobType.of(row) : null
  }

  page({ first, after, ...filter }: { first: number; after?: string } & JobFilter): Promise<Connection<JobType>> {
    return pageOf<JobRow, JobType>({
      first,
      after,
      fetch: (cursor, limit) => this.store.page(filter, cursor && { createdAt: timeOf(cursor), id: cursor[1] }, limit),
      cursorOf: row => [row.createdAt.toISOString(), row.id],
      nodeOf: row => JobType.of(row),
      count: () => this.store.count(filter),
    })
  }

  async previewCancel(id: string): Promise<{ preview: JobEffect }> {
    return { preview: await this.jobs.previewCancel(id) }
  }

  async previewRetry(id: string): Promise<{ preview: JobEffect }> {
    return { preview: await this.jobs.previewRetry(id) }
  }

  async cancel(id: string): Promise<{ job: JobType }> {
    return { job: JobType.of(await this.jobs.cancel(id)) }
  }

  async retry(id: string): Promise<{ job: JobType }> {
    return { job: JobType.of(await this.jobs.retry(id)) }
  }

  /** The job as it is now and after every change, until it has ended. */
  async *watch(id: string): AsyncGenerator<JobType> {
    let wake = () => {}
    let isStale = false
    const unsubscribe = this.signals.on('job.updated', ({ jobId }) => {
      if (jobId !== id) return
      isStale = true
      wake()
    })
    try {
      for (let last = ''; ; ) {
        isStale = false
        const row = await this.store.get(id)
        if (!row) throw new NotFound('No job has this id', {}, ['id'])
        const now = JSON.stringify([row.state, row.progress, row.message, row.attempts, row.result])
        if (now !== last) yield JobType.of(row)
        last = now
        if (ENDED.includes(row.state)) return
        if (!isStale) {
          await new Promise<void>(done => {
            const timer = setTimeout(done, LOOK_EVERY_MS)
            wake = () => {
              clearTimeout(timer)
              done()
            }
          })
        }
      }
    } finally {
      unsubscribe()
      wake()
    }
  }
}
