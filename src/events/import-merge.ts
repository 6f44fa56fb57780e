import type pg from 'pg'
import { copyIn } from '../platform/bulk.js'
import { codeOf } from '../platform/database.js'
import type { Batch, Reject } from './import-batch.js'
import type { ImportKind } from './import-kinds.js'
import { ReferenceCache, type Unknown } from './import-references.js'

export interface MergeFacts {
  importId: string
  kind: ImportKind
  unknownReferences: Unknown
}

/** A batch on its connection; its transaction is open where it lies in the staging table. */
interface Staged {
  client: pg.PoolClient
  batch: Batch
  nameless: Reject[]
  isStaged: boolean
}

const UNIQUE_VIOLATION = '23505'

/**
 * Merges the batches of an import in their order, each with its rejects and the checkpoint in one transaction. While PostgreSQL merges one batch on one
 * connection, the next one is staged on the other, and the caller reads the one after that. Where a kind has a table of its own to be copied into, batches need no
 * staging until one has a row that was there already.
 */
export class ImportMerge {
  private readonly references = new ReferenceCache()
  /** Rows of a batch that was copied were there already: later batches look first. */
  private careful = false
  private turn = 0
  private staging: Promise<void> = Promise.resolve()
  private merging: Promise<void> = Promise.resolve()

  constructor(
    private readonly facts: MergeFacts,
    private readonly connections: readonly [pg.PoolClient, pg.PoolClient],
  ) {}

  async open(): Promise<void> {
    const columns = this.facts.kind.columns.map(([name, type]) => `"${name}" ${type}`).join(', ')
    for (const client of this.connections) {
      await client.query('SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0')
      await client.query('DROP TABLE IF EXISTS staged')
      await client.query(`CREATE TEMP TABLE staged (line bigint, ${columns}) ON COMMIT DELETE ROWS`)
    }
  }

  /** Begins to stage a batch when the one before it is staged, and to merge it when that one is committed; `merged` is told when it is. Throws what one before failed with. */
  async add(batch: Batch, readFrom: number, merged: (batch: Batch) => Promise<void>): Promise<void> {
    await this.staging
    this.staging = this.stage(batch).then(async staged => {
      await this.merging
      this.merging = this.merge(staged, readFrom).then(() => merged(batch))
      this.merging.catch(() => {})
    })
    this.staging.catch(() => {})
  }

  /** Resolves when the last batch is committed. */
  async end(): Promise<void> {
    await this.staging
    await this.merging
  }

  async close(): Promise<void> {
    await this.end().catch(() => this.merging.catch(() => {}))
    for (const client of this.connections) {
      await client.query('ROLLBACK').catch(() => {})
      await client.query('DROP TABLE IF EXISTS staged; RESET statement_timeout; RESET idle_in_transaction_session_timeout').catch(() => {})
    }
  }

  private async stage(batch: Batch): Promise<Staged> {
    // One connection copies all, while the names of the next batch are looked up on the other; batches that are staged take turns.
    const isCopied = this.isCopied()
    this.turn = isCopied ? 0 : 1 - this.turn
    const client = this.connections[this.turn]
    // Before the transaction: one that had made a user and waits for the batch before it would keep that batch, and every other writer, from the same user.
    const nameless =
      (await batch.rows.resolve?.(isCopied ? this.connections[1] : client, this.references, this.facts.unknownReferences)) ?? []
    const staged = { client, batch, nameless, isStaged: false }
    if (!isCopied) await this.copyToStaging(staged)
    return staged
  }

  /** Whether batches are copied straight into their table. */
  private isCopied(): boolean {
    return this.facts.kind.table !== undefined && !this.careful
  }

  private async copyToStaging(staged: Staged): Promise<void> {
    await staged.client.query('BEGIN')
    await this.copy(staged, 'staged')
    staged.isStaged = true
  }

  private async copy({ client, batch: { rows } }: Staged, table: string): Promise<number> {
    const copy = copyIn(client, table, rows.columns)
    await rows.copyInto(copy)
    return copy.end()
  }

  private async merge(staged: Staged, readFrom: number): Promise<void> {
    try {
      await this.mergeStaged(staged, readFrom)
    } catch (error) {
      await staged.client.query('ROLLBACK').catch(() => {})
      if (codeOf(error) !== UNIQUE_VIOLATION || this.careful) throw error
      this.careful = true
      staged.isStaged = false
      await this.mergeStaged(staged, readFrom)
    }
  }

  /** Refuses when another attempt has gone past this batch already. */
  private async mergeStaged(staged: Staged, readFrom: number): Promise<void> {
    const { client, batch, nameless } = staged
    const { importId, kind } = this.facts
    // Rows may have turned out to be there already after this batch was on its way.
    if (!staged.isStaged) await (this.isCopied() ? client.query('BEGIN') : this.copyToStaging(staged))
    const { rowCount } = await client.query(`SELECT 1 FROM "Import" WHERE id = $1 AND "rowsRead" = $2 AND state = 'RUNNING' FOR UPDATE`, [
      importId,
      readFrom,
    ])
    if (!rowCount) throw new Error('Another attempt took this import over')
    const rejects = [...batch.rejects, ...nameless, ...(await this.refused(client, batch))]
    const merged = batch.rows.size === 0 ? 0 : staged.isStaged ? await this.runMerge(client) : await this.copy(staged, kind.table as string)
    if (rejects.length > 0) {
      await client.query(
        'INSERT INTO "ImportReject" ("importId", line, reason, raw) SELECT $1, * FROM unnest($2::bigint[], $3::text[], $4::text[]) ON CONFLICT DO NOTHING',
        [importId, rejects.map(({ line }) => line), rejects.map(({ reason }) => storable(reason)), rejects.map(({ raw }) => storable(raw))],
      )
    }
    const duplicates = batch.duplicates + batch.rows.size + batch.rejects.length - rejects.length - merged
    await client.query(
      `UPDATE "Import" SET "rowsRead" = $2, "rowsMerged" = "rowsMerged" + $3, "rowsRejected" = "rowsRejected" + $4, "rowsDuplicate" = "rowsDuplicate" + $5 WHERE id = $1`,
      [importId, batch.readTo, merged, rejects.length, Math.max(0, duplicates)],
    )
    await client.query('COMMIT')
  }

  /** The rows that the last statement wrote. */
  private async runMerge(client: pg.PoolClient): Promise<number> {
    let merged = 0
    for (const statement of this.facts.kind.merge) merged = (await client.query(statement)).rowCount ?? 0
    return merged
  }

  private async refused(client: pg.PoolClient, batch: Batch): Promise<Reject[]> {
    const { kind, unknownReferences } = this.facts
    const refused: Reject[] = []
    for (const refusals of [kind.refusals, unknownReferences === 'reject' ? kind.strangers : undefined]) {
      if (!refusals) continue
      const { rows } = await client.query<{ line: string; reason: string }>(refusals)
      if (rows.length === 0) continue
      await client.query('DELETE FROM staged WHERE line = ANY($1)', [rows.map(({ line }) => line)])
      const raws = batch.rows.raws?.()
      refused.push(...rows.map(({ line, reason }) => ({ line: Number(line), reason, raw: raws?.get(Number(line)) ?? '' })))
    }
    return refused
  }
}

/** Rejected rows are kept as they are, but for what PostgreSQL's text cannot hold. */
function storable(text: string): string {
  return text.toWellFormed().replaceAll('\0', '�')
}
