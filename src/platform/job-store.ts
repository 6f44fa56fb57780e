import type { Database } from './database.js'
import type { JobState } from './generated/prisma/enums.js'
import type { Lane, PartOutcome } from './jobs.js'
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
  /** How often a worker died while it ran this. */
  crashes: number
  cancelRequested: boolean
  /** Set once the job has cut itself: the number of its parts. */
  parts: number | null
  parentId: string | null
  part: number | null
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

/** A part that is about to be recorded. */
export interface NewPart {
  name: string
  lane: Lane
  payload: unknown
}

/** What is needed to send a row on its way. */
export type Sendable = Pick<JobRow, 'lane' | 'name' | 'id' | 'fence'>

const OPEN = `('WAITING', 'DELAYED', 'ACTIVE')`
/** A job that waits for its parts: nobody works on it, so it has no heartbeat. */
const IS_CUT = `state = 'ACTIVE' AND "heartbeatAt" IS NULL`
/** A worker that has not given a sign of life for this long is taken for dead. */
const DEAD_AFTER = '30 seconds'
/** A row that waits this long may have been forgotten by the queue. */
const FORGOTTEN_AFTER = '15 seconds'

/** The parts of a job, or all jobs that are not themselves parts. */
export interface JobFilter {
  state?: JobState | null
  parentId?: string | null
}
const MATCHES = `($1::"JobState" IS NULL OR state = $1) AND ($2::text IS NULL AND "parentId" IS NULL OR "parentId" = $2)`

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
  async page({ state, parentId }: JobFilter, after: { createdAt: string; id: string } | undefined, limit: number): Promise<JobRow[]> {
    return this.database.sql<JobRow>(
      `SELECT * FROM "Job" WHERE ${MATCHES} AND ($3::timestamptz IS NULL OR ("createdAt", id) < ($3, $4))
       ORDER BY "createdAt" DESC, id DESC LIMIT $5`,
      [state ?? null, parentId ?? null, after?.createdAt ?? null, after?.id ?? null, limit],
    )
  }

  /** How many jobs there are by name and state, and how long they ran. */
  async tally(): Promise<{ name: string; state: JobState; count: number; seconds: number }[]> {
    return this.database.sql(
      `SELECT name, state, count(*)::float8 AS count,
         COALESCE(sum(extract(epoch FROM COALESCE("finishedAt", now()) - "startedAt")), 0)::float8 AS seconds
       FROM "Job" GROUP BY name, state`,
    )
  }

  async count({ state, parentId }: JobFilter = {}): Promise<number> {
    const [row] = await this.database.sql<{ n: number }>(`SELECT count(*)::int AS n FROM "Job" WHERE ${MATCHES}`, [
      state ?? null,
      parentId ?? null,
    ])
    return row.n
  }

  /**
   * Takes the job for one attempt; undefined when it is taken, done or cancelled, or when its name is among `alone` and another of that name runs. A dead
   * worker's job may be taken.
   */
  async claim(id: string, alone: readonly string[] = []): Promise<JobRow | undefined> {
    const [row] = await this.database.sql<JobRow>(
      `UPDATE "Job" AS job SET state = 'ACTIVE', fence = fence + 1, attempts = attempts + (state <> 'ACTIVE')::int, crashes = crashes + (state = 'ACTIVE')::int, "startedAt" = COALESCE("startedAt", now()), "heartbeatAt" = now(), error = NULL
       WHERE id = $1 AND (state IN ('WAITING', 'DELAYED') OR (state = 'ACTIVE' AND "heartbeatAt" < now() - interval '${DEAD_AFTER}'))
         AND (name <> ALL($2) OR NOT EXISTS (SELECT 1 FROM "Job" AS other WHERE other.name = job.name AND other.state = 'ACTIVE' AND other.id <> job.id AND other."heartbeatAt" >= now() - interval '${DEAD_AFTER}'))
       RETURNING *`,
      [id, alone],
    )
    return row
  }

  /** Those of this name that have not begun. */
  waiting(name: string): Promise<Sendable[]> {
    return this.database.sql(`SELECT id, name, lane, fence FROM "Job" WHERE name = $1 AND state IN ('WAITING', 'DELAYED')`, [name])
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

  /** Whether this attempt still holds the job; locks its row until the transaction of `sql` ends. */
  async isHeld(sql: (text: string, params: unknown[]) => Promise<{ length: number }>, id: string, fence: number): Promise<boolean> {
    return (await sql(`SELECT 1 FROM "Job" WHERE id = $1 AND fence = $2 AND state = 'ACTIVE' FOR SHARE`, [id, fence])).length > 0
  }

  /** In one statement the parts come to be and their parent lets go; undefined when a later attempt holds the parent, or it is to stop. */
  async cut(id: string, fence: number, parts: readonly NewPart[], message: string): Promise<Sendable[] | undefined> {
    const rows = parts.map((part, place) => ({ ...part, id: uuid(), part: place, payload: part.payload ?? {} }))
    const [{ held, made }] = await this.database.sql<{ held: boolean; made: Sendable[] | null }>(
      `WITH parent AS (
         UPDATE "Job" SET parts = $3, "heartbeatAt" = NULL, fence = fence + 1, attempts = 0, progress = 0, message = $4
         WHERE id = $1 AND fence = $2 AND state = 'ACTIVE' AND parts IS NULL AND NOT "cancelRequested" RETURNING id, trigger, "createdBy"
       ), made AS (
         INSERT INTO "Job" (id, name, lane, state, payload, trigger, "createdBy", "heartbeatAt", "parentId", part)
         SELECT new.id, new.name, new.lane, 'WAITING', new.payload, parent.trigger, parent."createdBy", now(), parent.id, new.part
         FROM parent, jsonb_to_recordset($5::jsonb) AS new (id text, name text, lane text, payload jsonb, part int)
         RETURNING id, name, lane, fence, part
       ) SELECT EXISTS (SELECT 1 FROM parent) AS held, (SELECT json_agg(made ORDER BY part) FROM made) AS made`,
      [id, fence, rows.length, message, JSON.stringify(rows)],
    )
    return held ? (made ?? []) : undefined
  }

  /** How the parts of a job ended, in their order. */
  async outcomes(id: string): Promise<PartOutcome[]> {
    return this.database.sql<PartOutcome>(
      `SELECT id AS "jobId", part, payload, state, message, result, error FROM "Job" WHERE "parentId" = $1 ORDER BY part`,
      [id],
    )
  }

  /**
   * Lets a job that is cut see how far its parts are. When none is left it waits for its merge, or ends with them. Whichever part ends last sees
   * all others ended, because each looks after its own end is committed. Undefined when the job is not cut, or not any more.
   */
  async lookAtParts(id: string, mayFail: boolean): Promise<(JobRow & { failed: number }) | undefined> {
    const [row] = await this.database.sql<JobRow & { failed: number }>(
      `UPDATE "Job" AS job SET
         progress = GREATEST(job.progress, COALESCE(seen.share, 0)),
         message = CASE WHEN seen.open > 0 THEN seen.ended || ' of ' || job.parts || ' parts are done' ELSE seen.verdict END,
         state = CASE WHEN seen.open > 0 THEN job.state WHEN job."cancelRequested" THEN 'CANCELLED' WHEN seen.failed > 0 AND NOT $2 THEN 'FAILED' ELSE 'WAITING' END,
         error = CASE WHEN seen.open = 0 AND NOT $2 THEN seen.fault END,
         "heartbeatAt" = CASE WHEN seen.open = 0 THEN now() END,
         "finishedAt" = CASE WHEN seen.open = 0 AND (job."cancelRequested" OR seen.failed > 0 AND NOT $2) THEN now() END
       FROM (
         SELECT count(*) FILTER (WHERE state IN ${OPEN})::int AS open, count(*) FILTER (WHERE state NOT IN ${OPEN})::int AS ended,
           count(*) FILTER (WHERE state IN ('FAILED', 'CANCELLED'))::int AS failed, avg(CASE WHEN state IN ${OPEN} THEN progress ELSE 1 END) AS share,
           count(*) FILTER (WHERE state = 'COMPLETED') || ' of ' || count(*) || ' parts were completed' AS verdict,
           (array_agg('Part ' || part + 1 || ' (' || name || '): ' || COALESCE(error, 'it was cancelled') ORDER BY state = 'CANCELLED', "finishedAt", part)
             FILTER (WHERE state IN ('FAILED', 'CANCELLED')))[1] AS fault
         FROM "Job" WHERE "parentId" = $1
       ) AS seen
       WHERE job.id = $1 AND ${IS_CUT} RETURNING job.*, seen.failed`,
      [id, mayFail],
    )
    return row
  }

  /** Jobs whose last part ended while nobody could say so. */
  async cutAndDone(limit = 1000): Promise<Pick<JobRow, 'id' | 'name'>[]> {
    return this.database.sql(
      `SELECT id, name FROM "Job" AS job WHERE ${IS_CUT} AND NOT EXISTS (SELECT 1 FROM "Job" WHERE "parentId" = job.id AND state IN ${OPEN}) LIMIT $1`,
      [limit],
    )
  }

  /**
   * A waiting job is cancelled at once, a running one is asked to stop, and so are all their parts (only those with `partsOnly`). Returns the rows
   * that were touched, the deepest first.
   */
  async cancel(id: string, { partsOnly = false } = {}): Promise<JobRow[]> {
    return this.database.sql<JobRow>(
      `WITH RECURSIVE tree AS (
         SELECT id, 0 AS depth FROM "Job" WHERE id = $1
         UNION ALL SELECT job.id, depth + 1 FROM "Job" AS job JOIN tree ON job."parentId" = tree.id
       ), touched AS (
         UPDATE "Job" AS job SET "cancelRequested" = true, state = CASE WHEN state = 'ACTIVE' THEN state ELSE 'CANCELLED' END,
           "finishedAt" = CASE WHEN state = 'ACTIVE' THEN NULL ELSE now() END
         FROM tree WHERE job.id = tree.id AND state IN ${OPEN} AND ($2 = false OR depth > 0) RETURNING job.*, depth
       ) SELECT * FROM touched ORDER BY depth DESC`,
      [id, partsOnly],
    )
  }

  /** Lets a job that failed or was cancelled begin again; of one that was cut, only what is not completed. Empty when it is neither, or a part of another. */
  async retry(id: string): Promise<JobRow[]> {
    return this.database.sql<JobRow>(
      `WITH RECURSIVE tree AS (
         SELECT id FROM "Job" WHERE id = $1 AND state IN ('FAILED', 'CANCELLED') AND "parentId" IS NULL
         UNION ALL SELECT job.id FROM "Job" AS job JOIN tree ON job."parentId" = tree.id AND job.state IN ('FAILED', 'CANCELLED')
       ), again AS (
         SELECT tree.id, EXISTS (SELECT 1 FROM "Job" AS part WHERE part."parentId" = tree.id AND part.state <> 'COMPLETED') AS "isCut" FROM tree
       )
       UPDATE "Job" AS job SET state = CASE WHEN "isCut" THEN 'ACTIVE'::"JobState" ELSE 'WAITING' END, "heartbeatAt" = CASE WHEN "isCut" THEN NULL ELSE now() END,
         attempts = 0, crashes = 0, "cancelRequested" = false, error = NULL, "finishedAt" = NULL, message = 'Begins again', fence = fence + 1
       FROM again WHERE job.id = again.id RETURNING job.*`,
      [id],
    )
  }

  /** Rows that wait though their time has come, and those of dead workers. */
  async forgotten(limit = 1000): Promise<Sendable[]> {
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
        `UPDATE "Job" SET state = 'WAITING', fence = fence + 1, attempts = attempts - 1, crashes = crashes + 1, "heartbeatAt" = now() - interval '1 hour'
         WHERE state = 'ACTIVE' AND "heartbeatAt" IS NOT NULL RETURNING 1`,
      )
    ).length
  }

  /** How many jobs were given up in the last `hours` and not begun again, by name, the commonest first. Parts count with the job that they are of. */
  givenUp(hours: number): Promise<{ name: string; count: number }[]> {
    return this.database.sql(
      `SELECT name, count(*)::int AS count FROM "Job" WHERE state = 'FAILED' AND "parentId" IS NULL AND "finishedAt" > now() - make_interval(hours => $1) GROUP BY name ORDER BY 2 DESC, 1`,
      [hours],
    )
  }

  /** Forgets ended jobs; failed ones stay three times as long. */
  async forgetOlderThan(days: number): Promise<number> {
    const rows = await this.database.sql(
      `DELETE FROM "Job" AS job WHERE ((state IN ('COMPLETED', 'CANCELLED') AND "finishedAt" < now() - make_interval(days => $1)) OR (state = 'FAILED' AND "finishedAt" < now() - make_interval(days => 3 * $1)))
         AND NOT EXISTS (SELECT 1 FROM "Job" AS parent WHERE parent.id = job."parentId" AND parent.state IN ${OPEN}) RETURNING 1`,
      [days],
    )
    return rows.length
  }
}
