import type { Database } from './database.js'
import type { JobState } from './generated/prisma/enums.js'
import type { Lane } from './jobs.js'
import { v7 as uuid } from './uuid.js'

export interface JobRow {
  id: string
  name: string
  lane: Lane
  state: JobState
  payload: unknown
  progress: number
  message: string | null
  result: Record<string, unknown> | null
  error: string | null
  attempts: number
  fence: number
  cancelRequested: boolean
  trigger: string
  createdBy: string | null
  createdAt: Date
  startedAt: Date | null
  heartbeatAt: Date | null
  finishedAt: Date | null
}

export interface NewJob {
  /** Id of the row; a new one unless given. */
  id?: string
  name: string
  lane: Lane
  payload: unknown
  trigger: string
  createdBy?: string | null
  delayMs?: number
}

/** A worker that has not given a sign of life for this long is taken for dead. */
const DEAD_AFTER = '45 seconds'
/** A row that waits this long may have been forgotten by the queue. */
const FORGOTTEN_AFTER = '15 seconds'

/** The rows of `Job`, each changed by single conditional statements; a number `fence` tells attempts apart. */
export class JobStore {
  constructor(private readonly database: Database) {}

  async insert({ id = uuid(), name, lane, payload, trigger, createdBy = null, delayMs = 0 }: NewJob): Promise<JobRow> {
    const [row] = await this.database.sql<JobRow>(
      `INSERT INTO "Job" (id, name, lane, state, payload, trigger, "createdBy", "heartbeatAt")
       VALUES ($1, $2, $3, $4::"JobState", $5, $6, $7, now() + make_interval(secs => $8)) RETURNING *`,
      [id, name, lane, delayMs > 0 ? 'DELAYED' : 'WAITING', JSON.stringify(payload ?? {}), trigger, createdBy, delayMs / 1000],
    )
    return row
  }

  /** Inserts unless the same work is waiting already, also when several processes hear the same signal. */
  async insertOnce({ name, lane, payload, trigger }: NewJob): Promise<JobRow | undefined> {
    const [row] = await this.database.sql<JobRow>(
      `WITH one_at_a_time AS MATERIALIZED (SELECT pg_advisory_xact_lock(hashtextextended($2 || $4::text, 7)))
       INSERT INTO "Job" (id, name, lane, state, payload, trigger, "heartbeatAt")
       SELECT $1, $2, $3, 'WAITING', $4::jsonb, $5, now() FROM one_at_a_time
       WHERE NOT EXISTS (SELECT 1 FROM "Job" WHERE state IN ('WAITING', 'DELAYED') AND name = $2 AND payload = $4::jsonb)
       RETURNING *`,
      [uuid(), name, lane, JSON.stringify(payload ?? {}), trigger],
    )
    return row
  }

  async get(id: string): Promise<JobRow | undefined> {
    return (await this.database.sql<JobRow>('SELECT * FROM "Job" WHERE id = $1', [id]))[0]
  }

  /** Newest first, after (createdAt, id). */
  async page(state: JobState | null | undefined, after: { createdAt: string; id: string } | undefined, limit: number): Promise<JobRow[]> {
    return this.database.sql<JobRow>(
      `SELECT * FROM "Job" WHERE ($1::"JobState" IS NULL OR state = $1) AND ($2::timestamptz IS NULL OR ("createdAt", id) < ($2, $3))
       ORDER BY "createdAt" DESC, id DESC LIMIT $4`,
      [state ?? null, after?.createdAt ?? null, after?.id ?? null, limit],
    )
  }

  async count(state?: JobState | null): Promise<number> {
    const [row] = await this.database.sql<{ n: number }>(
      'SELECT count(*)::int AS n FROM "Job" WHERE $1::"JobState" IS NULL OR state = $1',
      [state ?? null],
    )
    return row.n
  }

  /** Takes the job for one attempt; undefined when it is taken, done or cancelled. A dead worker's job may be taken. */
  async claim(id: string): Promise<JobRow | undefined> {
    const [row] = await this.database.sql<JobRow>(
      `UPDATE "Job" SET state = 'ACTIVE', fence = fence + 1, attempts = attempts + 1, "startedAt" = COALESCE("startedAt", now()), "heartbeatAt" = now(), error = NULL
       WHERE id = $1 AND (state IN ('WAITING', 'DELAYED') OR (state = 'ACTIVE' AND "heartbeatAt" < now() - interval '${DEAD_AFTER}'))
       RETURNING *`,
      [id],
    )
    return row
  }

  /** A sign of life. 'lost': a later attempt holds the job, so this one must stop. */
  async beat(id: string, fence: number): Promise<'go on' | 'cancel' | 'lost'> {
    const [row] = await this.database.sql<{ cancelRequested: boolean }>(
      `UPDATE "Job" SET "heartbeatAt" = now() WHERE id = $1 AND fence = $2 AND state = 'ACTIVE' RETURNING "cancelRequested"`,
      [id, fence],
    )
    if (!row) return 'lost'
    return row.cancelRequested ? 'cancel' : 'go on'
  }

  async progress(
    id: string,
    fence: number,
    share: number,
    message?: string,
    result?: Record<string, unknown>,
  ): Promise<'go on' | 'cancel' | 'lost'> {
    const [row] = await this.database.sql<{ cancelRequested: boolean }>(
      `UPDATE "Job" SET "heartbeatAt" = now(), progress = $3, message = COALESCE($4, message), result = COALESCE($5, result)
       WHERE id = $1 AND fence = $2 AND state = 'ACTIVE' RETURNING "cancelRequested"`,
      [id, fence, share, message ?? null, result ? JSON.stringify(result) : null],
    )
    if (!row) return 'lost'
    return row.cancelRequested ? 'cancel' : 'go on'
  }

  /** Ends an attempt; false when a later attempt holds the job. */
  async settle(
    id: string,
    fence: number,
    end: { state: JobState; message?: string; error?: string; result?: Record<string, unknown>; delayMs?: number; uncounted?: boolean },
  ): Promise<boolean> {
    const isFinal = ['COMPLETED', 'FAILED', 'CANCELLED'].includes(end.state)
    const rows = await this.database.sql(
      `UPDATE "Job" SET state = $3::"JobState", message = COALESCE($4, message), error = $5, result = COALESCE($6, result), progress = CASE WHEN $3 = 'COMPLETED' THEN 1 ELSE progress END,
         "finishedAt" = CASE WHEN $7 THEN now() END, "heartbeatAt" = now() + make_interval(secs => $8), attempts = attempts - $9
       WHERE id = $1 AND fence = $2 AND state = 'ACTIVE' RETURNING 1`,
      [
        id,
        fence,
        end.state,
        end.message ?? null,
        end.error ?? null,
        end.result ? JSON.stringify(end.result) : null,
        isFinal,
        (end.delayMs ?? 0) / 1000,
        end.uncounted ? 1 : 0,
      ],
    )
    return rows.length > 0
  }

  /** A waiting job is cancelled at once, a running one is asked to stop; undefined when it had ended before. */
  async cancel(id: string): Promise<JobRow | undefined> {
    const [row] = await this.database.sql<JobRow>(
      `UPDATE "Job" SET "cancelRequested" = true, state = CASE WHEN state = 'ACTIVE' THEN state ELSE 'CANCELLED' END, "finishedAt" = CASE WHEN state = 'ACTIVE' THEN NULL ELSE now() END
       WHERE id = $1 AND state IN ('WAITING', 'DELAYED', 'ACTIVE') RETURNING *`,
      [id],
    )
    return row
  }

  /** Rows that wait though their time has come, and those of dead workers. */
  async forgotten(limit = 1000): Promise<Pick<JobRow, 'id' | 'name' | 'lane' | 'fence'>[]> {
    return this.database.sql(
      `SELECT id, name, lane, fence FROM "Job"
       WHERE (state IN ('WAITING', 'DELAYED') AND COALESCE("heartbeatAt", "createdAt") < now() - interval '${FORGOTTEN_AFTER}')
          OR (state = 'ACTIVE' AND "heartbeatAt" < now() - interval '${DEAD_AFTER}')
       ORDER BY "createdAt" LIMIT $1`,
      [limit],
    )
  }

  /** At the start of the only worker there is: whatever is active has lost its worker. */
  async orphanAll(): Promise<number> {
    return (
      await this.database.sql(
        `UPDATE "Job" SET state = 'WAITING', fence = fence + 1, attempts = attempts - 1, "heartbeatAt" = now() - interval '1 hour' WHERE state = 'ACTIVE' RETURNING 1`,
      )
    ).length
  }

  /** Forgets ended jobs; failed ones stay three times as long. */
  async forgetOlderThan(days: number): Promise<number> {
    const rows = await this.database.sql(
      `DELETE FROM "Job" WHERE (state IN ('COMPLETED', 'CANCELLED') AND "finishedAt" < now() - make_interval(days => $1)) OR (state = 'FAILED' AND "finishedAt" < now() - make_interval(days => 3 * $1)) RETURNING 1`,
      [days],
    )
    return rows.length
  }
}
