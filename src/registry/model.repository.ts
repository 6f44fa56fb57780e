import { createHash } from 'node:crypto'
import { copyBytes } from '../platform/bulk.js'
import type { Database, Transaction } from '../platform/database.js'
import type { ModelReviewVerdict, ModelStatus, ModelTask } from '../platform/generated/prisma/enums.js'
import { v7 } from '../platform/uuid.js'
import type { Guardrails } from './guardrails.js'
import type { Metrics } from './task.js'

export interface ModelRow {
  id: string
  task: ModelTask
  algorithm: string
  version: number
  status: ModelStatus
  params: Record<string, number | string | boolean>
  seed: number
  metrics: Metrics
  baselineMetrics: Metrics
  liveMetrics: Metrics | null
  guardrails: Guardrails
  card: string
  trainedAt: Date
  trainedRows: number
  dataFrom: Date | null
  dataTo: Date | null
  seconds: number
  jobId: string | null
  reviewedBy: string | null
  reviewNote: string | null
  reviewedAt: Date | null
  liveAt: Date | null
  retiredAt: Date | null
}

/** What a person, or configuration, said of a model, and the status that it got by it. */
export interface ReviewRow {
  modelId: string
  verdict: ModelReviewVerdict
  status: ModelStatus
  by: string
  note: string | null
  at: Date
}
export type Review = Pick<ReviewRow, 'verdict' | 'by' | 'note' | 'at'>

export type NewModel = Omit<ModelRow, 'id' | 'version' | 'card' | 'reviewedBy' | 'reviewNote' | 'reviewedAt' | 'liveAt' | 'retiredAt'> & {
  artifact: Uint8Array
  cardOf(version: number): string
}

/** What a server needs to know of a model before it loads its artifact. */
export type Serving = Pick<ModelRow, 'id' | 'task' | 'algorithm' | 'version' | 'status' | 'trainedAt'>

/** A stored baseline: it needs no approval, so it is no model. */
export interface StoredBaseline {
  artifact: Uint8Array
  algorithm: string
  trainedAt: string
  rows: number
}

const LOCK_SPACE = 41
const LOCK_TASK = 'SELECT pg_advisory_xact_lock($1::int, hashtext($2))'
const PART = 16 * 2 ** 20
const JSON_COLUMNS = new Set(['params', 'metrics', 'baselineMetrics', 'liveMetrics', 'guardrails', 'fairness'])

export class ModelRepository {
  constructor(private readonly database: Database) {}

  async get(id: string): Promise<ModelRow | undefined> {
    return (await this.database.prisma.model.findUnique({ where: { id } })) as unknown as ModelRow | undefined
  }

  async byJob(jobId: string): Promise<ModelRow[]> {
    return (await this.database.prisma.model.findMany({ where: { jobId } })) as unknown as ModelRow[]
  }

  async live(task: ModelTask): Promise<ModelRow | undefined> {
    return (await this.database.prisma.model.findFirst({ where: { task, status: 'LIVE' } })) as unknown as ModelRow | undefined
  }

  /** The largest value that a metric ever had in a model of the task, whatever became of it; 0 where none has it. */
  async highest(task: ModelTask, metric: string): Promise<number> {
    const [{ most }] = await this.database.sql<{ most: number | null }>(
      `SELECT max((metrics->>$2)::float8) AS most FROM "Model" WHERE task = $1::"ModelTask"`,
      [task, metric],
    )
    return most ?? 0
  }

  /** The model of this algorithm that was trained last, whatever became of it. */
  async newest(task: ModelTask, algorithm: string): Promise<ModelRow | undefined> {
    const where = { task, algorithm }
    return ((await this.database.prisma.model.findFirst({ where, orderBy: { version: 'desc' } })) ?? undefined) as ModelRow | undefined
  }

  page(
    filter: { task?: ModelTask | null; status?: ModelStatus | null },
    after: { trainedAt: string; id: string } | undefined,
    limit: number,
  ): Promise<ModelRow[]> {
    return this.database.sql<ModelRow>(
      `SELECT * FROM "Model" WHERE ($1::"ModelTask" IS NULL OR task = $1) AND ($2::"ModelStatus" IS NULL OR status = $2)
         AND ($3::timestamptz IS NULL OR ("trainedAt", id) < ($3, $4)) ORDER BY "trainedAt" DESC, id DESC LIMIT $5`,
      [filter.task ?? null, filter.status ?? null, after?.trainedAt ?? null, after?.id ?? null, limit],
    )
  }

  async count(filter: { task?: ModelTask | null; status?: ModelStatus | null }): Promise<number> {
    return this.database.prisma.model.count({ where: { task: filter.task ?? undefined, status: filter.status ?? undefined } })
  }

  /**
   * Stores the model with its artifact and the next version of its algorithm, whole or not at all. By plain SQL: an artifact of a large shop is more
   * than a hundred megabytes, which the ORM takes half a minute to encode.
   */
  create({ artifact, cardOf, ...model }: NewModel): Promise<ModelRow> {
    return this.database.withClient(async client => {
      const one = async <Row>(text: string, values: unknown[]) => (await client.query(text, values)).rows[0] as Row
      await client.query('BEGIN')
      try {
        await client.query('SET LOCAL statement_timeout = 0')
        await client.query(LOCK_TASK, [LOCK_SPACE, model.task])
        const { version } = await one<{ version: number }>(
          'SELECT coalesce(max(version), 0) + 1 AS version FROM "Model" WHERE task = $1::"ModelTask" AND algorithm = $2',
          [model.task, model.algorithm],
        )
        const facts = Object.entries({ ...model, id: v7(), version, card: cardOf(version) })
        const values = facts.map(([name, value]) => (JSON_COLUMNS.has(name) && value !== null ? JSON.stringify(value) : value))
        const row = await one<ModelRow>(
          `INSERT INTO "Model" (${facts.map(([name]) => `"${name}"`)}) VALUES (${facts.map((_, at) => `$${at + 1}`)}) RETURNING *`,
          values,
        )
        await client.query('INSERT INTO "Artifact" ("modelId", sha256, bytes, data) VALUES ($1, $2, $3, $4)', [
          row.id,
          checksum(artifact),
          artifact.length,
          Buffer.from(artifact.buffer, artifact.byteOffset, artifact.length),
        ])
        await client.query('COMMIT')
        return row
      } catch (error) {
        await client.query('ROLLBACK')
        throw error
      }
    })
  }

  /** Moves a model from one of `from` to `to`, with the review that does so; false when it was not there any more. */
  move(id: string, from: readonly ModelStatus[], to: ModelStatus, review: Review): Promise<boolean> {
    return this.database.transaction(tx => reviewed(tx, id, from, to, review))
  }

  /** Makes a model live and retires the one that was, as one step: at no moment are there two, and parallel calls queue up. */
  promote(id: string, task: ModelTask, from: readonly ModelStatus[], review: Review): Promise<boolean> {
    return this.database.transaction(async tx => {
      await lockTask(tx, task)
      // For a moment it is approved: there are never two live ones.
      if (!(await reviewed(tx, id, from, 'APPROVED', review, 'LIVE'))) return false
      await tx.model.updateMany({ where: { task, status: 'LIVE' }, data: { status: 'RETIRED', retiredAt: review.at } })
      await tx.model.update({ where: { id }, data: { status: 'LIVE', liveAt: review.at, retiredAt: null } })
      return true
    })
  }

  /** All reviews of these models, oldest first. */
  reviewsOf(ids: readonly string[]): Promise<ReviewRow[]> {
    return this.database.prisma.modelReview.findMany({ where: { modelId: { in: [...ids] } }, orderBy: [{ at: 'asc' }, { id: 'asc' }] })
  }

  /** The model that was live before the one that is. */
  async previous(task: ModelTask): Promise<ModelRow | undefined> {
    return (await this.database.prisma.model.findFirst({
      where: { task, status: 'RETIRED', liveAt: { not: null } },
      orderBy: { retiredAt: 'desc' },
    })) as unknown as ModelRow | undefined
  }

  /** Live models, and of every algorithm the newest that a person approved. */
  servable(): Promise<Serving[]> {
    return this.database.sql<Serving>(
      `SELECT DISTINCT ON (task, algorithm) id, task, algorithm, version, status, "trainedAt" FROM "Model"
       WHERE status IN ('LIVE', 'APPROVED') ORDER BY task, algorithm, (status = 'LIVE') DESC, version DESC`,
    )
  }

  /**
   * The bytes of a model's artifact with the checksum that was stored beside them; undefined where there is none. They come in parts, which bounds what the driver holds of them beside the whole.
   */
  artifact(modelId: string): Promise<{ data: Uint8Array; isIntact: boolean } | undefined> {
    return this.database.withClient(async client => {
      const facts = 'SELECT sha256, octet_length(data) AS bytes FROM "Artifact" WHERE "modelId" = $1'
      const [row] = (await client.query<{ sha256: string; bytes: number }>(facts, [modelId])).rows
      if (!row) return undefined
      const data = new Uint8Array(row.bytes)
      for (let from = 0; from < row.bytes; from += PART) {
        const part = `SELECT substring(data FROM ${from + 1} FOR ${PART}) FROM "Artifact" WHERE "modelId" = ${client.escapeLiteral(modelId)}`
        await copyBytes(client, part, bytes => data.set(bytes, from))
      }
      return { data, isIntact: checksum(data) === row.sha256 }
    })
  }

  /** `refreshed`: the algorithm, where it is not the baseline itself but one that is taught again with it. */
  async keepBaseline(task: ModelTask, { artifact, ...facts }: StoredBaseline, refreshed?: string): Promise<void> {
    const value = { ...facts, artifact: Buffer.from(artifact).toString('base64') }
    const name = `baseline:${baselineKey(task, refreshed)}`
    await this.database.prisma.setting.upsert({ where: { name }, create: { name, value }, update: { value } })
  }

  /** By `baselineKey`. */
  async baselineTimes(): Promise<Map<string, string>> {
    const rows = await this.database.sql<{ name: string; at: string }>(
      `SELECT name, value->>'trainedAt' AS at FROM "Setting" WHERE name LIKE 'baseline:%'`,
    )
    return new Map(rows.map(({ name, at }) => [name.slice('baseline:'.length), at]))
  }

  async baseline(task: ModelTask, refreshed?: string): Promise<StoredBaseline | undefined> {
    const [row] = await this.database.sql<{ value: Omit<StoredBaseline, 'artifact'> & { artifact: string } }>(
      'SELECT value FROM "Setting" WHERE name = $1',
      [`baseline:${baselineKey(task, refreshed)}`],
    )
    if (!row) return undefined
    const { value } = row
    return { ...value, artifact: new Uint8Array(Buffer.from(value.artifact, 'base64')) }
  }
}

async function reviewed(
  tx: Transaction,
  id: string,
  from: readonly ModelStatus[],
  to: ModelStatus,
  { verdict, by, note, at }: Review,
  status = to,
): Promise<boolean> {
  const { count } = await tx.model.updateMany({
    where: { id, status: { in: [...from] } },
    data: { status: to, reviewedBy: by, reviewNote: note, reviewedAt: at },
  })
  if (count === 0) return false
  await tx.modelReview.create({ data: { id: v7(), modelId: id, verdict, status, by, note, at } })
  return true
}

/** What a stored baseline is known by: its task, and its algorithm where it is one that is taught again with the baseline. */
export function baselineKey(task: string, refreshed?: string): string {
  return refreshed === undefined ? task : `${task}:${refreshed}`
}

function lockTask(tx: Transaction, task: ModelTask) {
  return tx.$executeRaw`SELECT pg_advisory_xact_lock(${LOCK_SPACE}::int, hashtext(${task}))`
}

function checksum(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
