import { createPostgresBackend, Queue, Worker } from 'bullmq'
import type { Cluster, Redis } from 'ioredis'
import { messageOf } from './errors.js'
import type { Lane } from './jobs.js'
import type { Log } from './log.js'
import { connectRedis, createFuse } from './redis.js'

/** What travels in the queue: the id of a row of `Job`, or the name of a job whose hour has come. */
export type Parcel = { jobId: string } | { due: string }

/** BullMQ on PostgreSQL or on Redis. It carries ids only: rows of `Job` are the truth. */
export interface Queues {
  readonly backend: 'postgresql' | 'redis'
  /** Adding an id that is in the queue already does nothing. */
  add(lane: Lane, name: string, id: string, parcel: Parcel, delayMs?: number): Promise<void>
  /** Like `add`, for many at once. */
  addAll(lane: Lane, parcels: readonly { name: string; id: string; parcel: Parcel }[]): Promise<void>
  schedule(lane: Lane, name: string, cron: string): Promise<void>
  /** Names that have a schedule in this lane. */
  schedules(lane: Lane): Promise<string[]>
  unschedule(lane: Lane, name: string): Promise<void>
  work(lane: Lane, concurrency: number, process: (parcel: Parcel) => Promise<void>): { close(force?: boolean): Promise<void> }
  /** Throws when the backend is away. */
  ping(): Promise<void>
  close(): Promise<void>
}

export const LANES: readonly Lane[] = ['quick', 'import', 'heavy']

const PREFIX = 'bellwether'
const LOCK_MS = 30_000
/** A worker that crashes leaves its jobs "stalled"; the default of 1 would give them up at the second crash. */
const MAX_STALLED = 20

export async function openQueues({ databaseUrl, redisUrl, log }: { databaseUrl: string; redisUrl?: string; log: Log }): Promise<Queues> {
  const clients: (Redis | Cluster)[] = []
  const connection = () => {
    if (!redisUrl) return { connectionString: databaseUrl, migrate: true }
    const client = connectRedis(redisUrl)
    client.on('error', (error: Error) => log.debug('the queue connection had a fault', { error: error.message }))
    clients.push(client)
    return client
  }
  // One factory argument decides the backend; everything else is the same code.
  const backend = redisUrl ? [] : [createPostgresBackend]
  const shared = connection()
  const queues = new Map(
    LANES.map(lane => {
      const queue = new Queue(
        lane,
        { connection: shared as never, prefix: `{${PREFIX}}`, defaultJobOptions: { removeOnComplete: true, removeOnFail: true } },
        ...(backend as [never]),
      )
      queue.on('error', error => log.warn('the queue had a fault', { lane, error: error.message }))
      return [lane, queue] as const
    }),
  )
  // On PostgreSQL the pool has a patience of its own.
  const fused = redisUrl ? createFuse() : <T>(work: () => Promise<T>) => work()
  const queueOf = (lane: Lane) => queues.get(lane) as Queue
  for (const queue of queues.values()) await queue.waitUntilReady()

  return {
    backend: redisUrl ? 'redis' : 'postgresql',
    add: async (lane, name, id, parcel, delayMs = 0) => {
      await fused(() => queueOf(lane).add(name, parcel, { jobId: id, ...(delayMs > 0 ? { delay: delayMs } : {}) }))
    },
    addAll: async (lane, parcels) => {
      await fused(() => queueOf(lane).addBulk(parcels.map(({ name, id, parcel }) => ({ name, data: parcel, opts: { jobId: id } }))))
    },
    schedule: async (lane, name, cron) => {
      await queueOf(lane).upsertJobScheduler(name, { pattern: cron, tz: 'UTC' }, { name, data: { due: name } satisfies Parcel })
    },
    schedules: async lane => (await queueOf(lane).getJobSchedulers()).map(scheduler => scheduler.key),
    unschedule: async (lane, name) => {
      await queueOf(lane).removeJobScheduler(name)
    },
    work: (lane, concurrency, process) => {
      const options = {
        connection: connection() as never,
        prefix: `{${PREFIX}}`,
        concurrency,
        lockDuration: LOCK_MS,
        maxStalledCount: MAX_STALLED,
        removeOnComplete: { count: 0 },
        removeOnFail: { count: 0 },
      }
      const worker = new Worker(lane, async job => process(job.data as Parcel), options, ...(backend as [never]))
      worker.on('error', error => log.warn('a worker had a fault', { lane, error: messageOf(error) }))
      return { close: force => worker.close(force) }
    },
    ping: async () => {
      await queueOf('quick').getJobCounts('waiting')
    },
    close: async () => {
      for (const queue of queues.values()) await queue.close()
      for (const client of clients) client.disconnect()
    },
  }
}
