import type pg from 'pg'
import { copyBytes } from '../platform/bulk.js'
import type { Database } from '../platform/database.js'
import type { Reject } from './import-batch.js'
import { ImportMerge, type MergeFacts } from './import-merge.js'

export interface ImportRow {
  id: string
  jobId: string | null
  kind: string
  createdBy: string
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
  /** Names in the rows that nothing reads, such as misspelt ones. */
  unread?: string[]
}

const REJECTS_PER_PAGE = 5_000

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

  async keep(id: string, facts: Pick<ImportOptions, 'header' | 'unread'>): Promise<void> {
    await this.database.sql('UPDATE "Import" SET options = options || $2 WHERE id = $1', [id, JSON.stringify(facts)])
  }

  async discard(id: string): Promise<void> {
    await this.database.sql(`DELETE FROM "Import" WHERE id = $1 AND state = 'RECEIVING'`, [id])
  }

  /**
   * Uploads whose server died in the middle, or before it had made the job of one; none of them was acknowledged. Of those that failed or were cancelled the bytes
   * go with their job, since nobody can begin them again.
   */
  async discardAbandoned(hours: number): Promise<number> {
    await this.database.sql(
      `DELETE FROM "ImportChunk" c USING "Import" i WHERE i.id = c."importId" AND i.state NOT IN ('RECEIVING', 'WAITING')
         AND NOT EXISTS (SELECT 1 FROM "Job" j WHERE j.id = i."jobId")`,
    )
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

  /** With how its job ended, which may have been before it ran (cancelled) or without its knowledge (given up). */
  async byJob(jobId: string): Promise<(ImportRow & { error: string | null }) | undefined> {
    const [row] = await this.database.sql<ImportRow & { error: string | null; ended: ImportRow['state'] | null; endedAt: Date | null }>(
      `SELECT i.*, j.error, j.state AS ended, j."finishedAt" AS "endedAt" FROM "Import" i
       LEFT JOIN "Job" j ON j.id = i."jobId" AND j.state IN ('FAILED', 'CANCELLED') WHERE i."jobId" = $1`,
      [jobId],
    )
    if (!row) return undefined
    const { ended, endedAt, ...own } = row
    return ended && own.state !== 'COMPLETED' ? { ...own, state: ended, finishedAt: endedAt } : own
  }

  /** Whether a file of this kind that came in the last `hours` is being merged. */
  async isUnderWay(kind: string, hours: number): Promise<boolean> {
    const rows = await this.database.sql(
      `SELECT 1 FROM "Import" WHERE kind = $1 AND state = 'RUNNING' AND "createdAt" > now() - make_interval(hours => $2) LIMIT 1`,
      [kind, hours],
    )
    return rows.length > 0
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
      const chunk = await this.database.withClient(client => chunkOf(client, id, seq))
      if (!chunk) return
      yield chunk
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

  /** Runs `work` with what merges the batches of an import, on two connections of its own. */
  withMerge<T>(facts: MergeFacts, work: (merge: ImportMerge) => Promise<T>): Promise<T> {
    return this.database.withClient(first =>
      this.database.withClient(async second => {
        const merge = new ImportMerge(facts, [first, second])
        await merge.open()
        try {
          return await work(merge)
        } finally {
          await merge.close()
        }
      }),
    )
  }
}

async function chunkOf(client: pg.PoolClient, importId: string, seq: number): Promise<Buffer | undefined> {
  let chunk: Buffer | undefined
  const query = `SELECT data FROM "ImportChunk" WHERE "importId" = ${client.escapeLiteral(importId)} AND seq = ${seq}`
  await copyBytes(client, query, bytes => {
    chunk = Buffer.copyBytesFrom(bytes)
  })
  return chunk
}
