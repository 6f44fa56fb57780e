import type pg from 'pg'
import type { Cell, CopyIn } from '../platform/bulk.js'
import type { CellKind, ImportRecord, RowContext } from './import-kinds.js'
import type { ReferenceCache, Unknown } from './import-references.js'
import type { FileRow } from './import-rows.js'

export interface Reject {
  line: number
  reason: string
  raw: string
}

/** Rows of a file that are merged at a stretch, in one transaction with their rejects and the checkpoint. */
export interface Batch {
  rows: BatchRows
  rejects: Reject[]
  /** Rows that repeat an earlier one of the same batch. */
  duplicates: number
  /** Data rows of the file read when this batch is done. */
  readTo: number
}

/** A row that was read. */
export interface GoodRow {
  line: number
  raw: string
  record: ImportRecord
  /** Its names in the order of the file, where the rows to come may have the same. */
  names?: readonly string[]
}

/** Those rows of a batch that may be merged. */
export interface BatchRows {
  readonly size: number
  /** So many rows are enough for a batch. */
  readonly most: number
  /** Columns of what `copyInto` copies. */
  readonly columns: readonly string[]
  /** Adds a row; false for one that repeats an earlier one. Throws `RowFault` or `DomainError` with a sentence. */
  add(row: GoodRow): boolean
  /** The same from the bytes of a row, where they show at once what it says; undefined where they do not. */
  take?(row: FileRow): boolean | undefined
  /** Turns the names in the rows into ids, outside of any transaction; the rows whose names mean nobody are rejected. */
  resolve?(client: pg.ClientBase, references: ReferenceCache, unknown: Unknown): Promise<Reject[]>
  copyInto(copy: CopyIn): Promise<void>
  /** The rows as they came, by line, where the staging table may refuse some. */
  raws?(): Map<number, string>
}

interface CellRow {
  line: number
  raw: string
  cells: Cell[]
}

/** Rows as the cells of a kind's staging table. */
export class CellRows implements BatchRows {
  readonly most = 5_000
  readonly columns: readonly string[]
  private readonly rows: CellRow[] = []
  /** Rows by the key of what they describe. */
  private readonly byKey = new Map<Cell, CellRow>()

  constructor(
    private readonly kind: CellKind,
    private readonly context: Omit<RowContext, 'line'>,
  ) {
    this.columns = ['line', ...kind.columns.map(([name]) => name)]
  }

  get size(): number {
    return this.rows.length
  }

  add({ line, raw, record }: GoodRow): boolean {
    const { kind, context, byKey } = this
    const cells = kind.cells(record, { ...context, line })
    const key = kind.completesBy === undefined ? undefined : cells[kind.completesBy]
    const earlier = byKey.get(key)
    if (key !== undefined && earlier) {
      earlier.cells = this.completed(earlier.cells, cells)
      return false
    }
    const row = { line, raw, cells }
    this.rows.push(row)
    if (key !== undefined) byKey.set(key, row)
    return true
  }

  async copyInto(copy: CopyIn): Promise<void> {
    for (const { line, cells } of this.rows) {
      const full = copy.row([line, ...cells])
      // Waiting for nothing, too, costs every row a turn of the queue.
      if (full) await full
    }
  }

  raws(): Map<number, string> {
    return new Map(this.rows.map(({ line, raw }) => [line, raw]))
  }

  /** What two rows say together of the thing that both describe: the later one where it says something, and JSON objects name by name. */
  private completed(earlier: readonly Cell[], later: readonly Cell[]): Cell[] {
    return later.map((cell, at) => {
      const before = earlier[at]
      if (cell === null || cell === undefined) return before
      const isObject = this.kind.columns[at][1] === 'jsonb' && typeof before === 'string' && typeof cell === 'string'
      return isObject ? JSON.stringify({ ...JSON.parse(before), ...JSON.parse(cell) }) : cell
    })
  }
}
