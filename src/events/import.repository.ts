import type pg from 'pg'
import { type Cell, copyIn } from '../platform/bulk.js'
import { codeOf, type Database } from '../platform/database.js'
import type { ImportKind } from './import-kinds.js'
import { ReferenceCache, type Resolved } from './import-references.js'

export interface ImportRow {
  id: string
  jobId: string | null
  kind: string
  format: 'ndjson' | 'csv'
  options: ImportOptions
  state: 'RECEIVING' | 'WAITING' | 'RUNNING' | 'COMPLETED' | 'FAILED' | 'CANCELLED'
  bytes: bigint
  rowsRead: bigint
  rowsMerged: bigint
  rowsDuplicate: bigint
  rowsRejected: bigint
  createdAt: Date
  finishedAt: Date | null
}

export interface ImportOptions {
  /** Our column name → name in the file, or "=constant". */
  mapping?: Record<string, string>
  /** Zone of times that bring none, e.g. "Z" or "+08:00". */
  zone?: string
  compression?: 'gzip'
  /** SHA-256 of the bytes: the same file sent again is recognised. */
  contentHash?: string
  /** Header line of a CSV. */
  header?: string
}

export interface Reject {
  line: number
  reason: string
  raw: string
}

export interface Batch {
  rows: { line: number; cells: Cell[]; raw: string }[]
  rejects: Reject[]
  /** Rows that repeat an earlier one of the same batch. */
  duplicates: number
  /** Data rows of the file read when this batch is done. */
  readTo: number
}

/** One connection with the kind's staging table, and what it has learned so far. */
export interface StagingSession {
  client: pg.PoolClient
  kind: ImportKind
  unknownReferences: 'stub' | 'reject'
  references: ReferenceCache
  /** Rows were there already: later batches look first. */
  careful: boolean
}

const REJECTS_PER_PAGE = 5_000
const UNIQUE_VIOLATION = '23505'

/** Uploads as they came in, how far they are merged, and what was refused. */
export class ImportRepository {
  constructor(private readonly database: Database) {}

  async create(row: { id: string; kind: string; format: string; options: ImportOptions; createdBy: string }): Promise<void> {
    await this.database.sql('INSERT INTO "Import" (id, kind, format, options, "createdBy") VALUES ($1, $2, $3, $4, $5)', [
      row.id,
      row.kind,
      row.format,
      JSON.stringify(row.options),
      row.createdBy,
    ])
  }

  async addChunk(importId: string, seq: number, data: Buffer): Promise<void> {
    await this.database.sql('INSERT INTO "ImportChunk" ("importId", seq, data) VALUES ($1, $2, $3)', [importId, seq, data], 'add-chunk')
  }

  /** The upload is whole: from here on nothing of it is lost. */
  async complete(
    id: string,
    { bytes, jobId, ...facts }: { bytes: number; jobId: string; contentHash: string; header?: string },
  ): Promise<void> {
    await this.database.sql(
      `UPDATE "Import" SET state = 'WAITING', bytes = $2, "jobId" = $3, options = options || $4 WHERE id = $1 AND state = 'RECEIVING'`,
      [id, bytes, jobId, JSON.stringify(facts)],
    )
  }

  async keepHeader(id: string, header: string): Promise<void> {
    await this.database.sql('UPDATE "Import" SET options = options || $2 WHERE id = $1', [id, JSON.stringify({ header })])
  }

  async discard(id: string): Promise<void> {
    await this.database.sql(`DELETE FROM "Import" WHERE id = $1 AND state = 'RECEIVING'`, [id])
  }

  /** Uploads whose server died in the middle, or before it had made the job of one; none of them was acknowledged. */
  async discardAbandoned(hours: number): Promise<number> {
    return (
      await this.database.sql(
        `DELETE FROM "Import" i WHERE "createdAt" < now() - make_interval(hours => $1)
         AND (state = 'RECEIVING' OR (state = 'WAITING' AND NOT EXISTS (SELECT 1 FROM "Job" j WHERE j.id = i."jobId"))) RETURNING 1`,
        [hours],
      )
    ).length
  }

  async get(id: string): Promise<ImportRow | undefined> {
    return (await this.database.sql<ImportRow>('SELECT * FROM "Import" WHERE id = $1', [id]))[0]
  }

  async byJob(jobId: string): Promise<ImportRow | undefined> {
    return (await this.database.sql<ImportRow>('SELECT * FROM "Import" WHERE "jobId" = $1', [jobId]))[0]
  }

  async setState(id: string, state: ImportRow['state']): Promise<void> {
    await this.database.sql(
      `UPDATE "Import" SET state = $2::"ImportState", "finishedAt" = CASE WHEN $2 IN ('COMPLETED', 'FAILED', 'CANCELLED') THEN now() END WHERE id = $1`,
      [id, state],
    )
  }

  /** The upload's bytes are not needed any more; its counts and rejects stay. */
  async dropChunks(id: string): Promise<void> {
    await this.database.sql('DELETE FROM "ImportChunk" WHERE "importId" = $1', [id])
  }

  /** The bytes of the upload, chunk by chunk. */
  async *bytes(id: string): AsyncGenerator<Buffer> {
    for (let seq = 0; ; seq++) {
      const [row] = await this.database.sql<{ data: Buffer }>(
        'SELECT data FROM "ImportChunk" WHERE "importId" = $1 AND seq = $2',
        [id, seq],
        'read-chunk',
      )
      if (!row) return
      yield row.data
    }
  }

  async *rejects(id: string): AsyncGenerator<Reject> {
    for (let after = -1n; ; ) {
      const rows = await this.database.sql<{ line: bigint; reason: string; raw: string }>(
        'SELECT line, reason, raw FROM "ImportReject" WHERE "importId" = $1 AND line > $2 ORDER BY line LIMIT $3',
        [id, after, REJECTS_PER_PAGE],
      )
      for (const row of rows) yield { ...row, line: Number(row.line) }
      if (rows.length < REJECTS_PER_PAGE) return
      after = rows[rows.length - 1].line
    }
  }

  withStaging<T>(kind: ImportKind, unknownReferences: 'stub' | 'reject', work: (session: StagingSession) => Promise<T>): Promise<T> {
    return this.database.withClient(async client => {
      await client.query('SET statement_timeout = 0')
      await client.query('DROP TABLE IF EXISTS staged')
      await client.query(
        `CREATE TEMP TABLE staged (line bigint, ${kind.columns.map(([name, type]) => `"${name}" ${type}`).join(', ')}) ON COMMIT DELETE ROWS`,
      )
      try {
        return await work({ client, kind, unknownReferences, references: new ReferenceCache(), careful: false })
      } finally {
        await client.query('DROP TABLE IF EXISTS staged; RESET statement_timeout').catch(() => {})
      }
    })
  }

  /**
   * Merges one batch: staging, rows, rejects and the checkpoint in one transaction. Returns false when another attempt has gone past this batch already.
   */
  async merge(session: StagingSession, id: string, batch: Batch, readFrom: number): Promise<{ merged: number; rejected: number } | false> {
    try {
      return await this.mergeOnce(session, id, batch, readFrom)
    } catch (error) {
      if (codeOf(error) !== UNIQUE_VIOLATION || session.careful) throw error
      session.careful = true
      return this.mergeOnce(session, id, batch, readFrom)
    }
  }

  private async mergeOnce(
    session: StagingSession,
    id: string,
    batch: Batch,
    readFrom: number,
  ): Promise<{ merged: number; rejected: number } | false> {
    const { client, kind, careful } = session
    await client.query('BEGIN')
    try {
      const { rowCount } = await client.query(`SELECT 1 FROM "Import" WHERE id = $1 AND "rowsRead" = $2 AND state = 'RUNNING' FOR UPDATE`, [
        id,
        readFrom,
      ])
      if (!rowCount) {
        await client.query('ROLLBACK')
        return false
      }
      const { rows, nameless } = await this.resolved(session, batch)
      const copy = copyIn(client, 'staged', ['line', ...kind.columns.map(([name]) => name)])
      for (const { line, cells } of rows) await copy.row([line, ...cells])
      await copy.end()
      const rejects = [...batch.rejects, ...nameless, ...(await this.refused(client, kind, batch))]
      let merged = 0
      for (const statement of rows.length > 0 ? kind.merge({ careful }) : []) merged = (await client.query(statement)).rowCount ?? 0
      if (rejects.length > 0) {
        await client.query(
          'INSERT INTO "ImportReject" ("importId", line, reason, raw) SELECT $1, * FROM unnest($2::bigint[], $3::text[], $4::text[]) ON CONFLICT DO NOTHING',
          [id, rejects.map(({ line }) => line), rejects.map(({ reason }) => storable(reason)), rejects.map(({ raw }) => storable(raw))],
        )
      }
      const duplicates = batch.duplicates + batch.rows.length + batch.rejects.length - rejects.length - merged
      await client.query(
        `UPDATE "Import" SET "rowsRead" = $2, "rowsMerged" = "rowsMerged" + $3, "rowsRejected" = "rowsRejected" + $4, "rowsDuplicate" = "rowsDuplicate" + $5 WHERE id = $1`,
        [id, batch.readTo, merged, rejects.length, Math.max(0, duplicates)],
      )
      await client.query('COMMIT')
      return { merged, rejected: rejects.length }
    } catch (error) {
      session.references.forget()
      await client.query('ROLLBACK').catch(() => {})
      throw error
    }
  }

  /** The rows with ids for names; those whose names mean nobody are refused. */
  private async resolved({ client, kind, unknownReferences, references }: StagingSession, { rows }: Batch) {
    const { references: names } = kind
    if (!names) return { rows, nameless: [] }
    const found = await references.resolve(
      client,
      rows.map(({ cells }) => names.of(cells)),
      unknownReferences,
    )
    const faultOf = ({ userId, productId }: Resolved) =>
      userId === undefined ? 'userId names nobody' : productId === undefined ? 'productId names no product' : undefined
    const nameless: Reject[] = []
    const kept: { line: number; cells: Cell[] }[] = []
    rows.forEach(({ line, raw, cells }, at) => {
      const reason = faultOf(found[at])
      if (reason) nameless.push({ line, raw, reason })
      else kept.push({ line, cells: names.staged(cells, found[at]) })
    })
    return { rows: kept, nameless }
  }

  private async refused(client: pg.PoolClient, { refusals }: ImportKind, batch: Batch): Promise<Reject[]> {
    if (!refusals) return []
    const { rows } = await client.query<{ line: string; reason: string }>(refusals)
    const raws = new Map(batch.rows.map(({ line, raw }) => [line, raw]))
    if (rows.length > 0) await client.query('DELETE FROM staged WHERE line = ANY($1)', [rows.map(({ line }) => line)])
    return rows.map(({ line, reason }) => ({ line: Number(line), reason, raw: raws.get(Number(line)) ?? '' }))
  }
}

/** Rejected rows are kept as they are, but for what PostgreSQL's text cannot hold. */
function storable(text: string): string {
  return text.toWellFormed().replaceAll('\0', '�')
}
