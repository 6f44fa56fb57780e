import { createHash } from 'node:crypto'
import type { Database } from '../platform/database.js'
import { v7 } from '../platform/uuid.js'

export interface Contribution {
  feature: string
  value: string
  weight: number
}

/** A candidate that was not shown, and why. */
export interface Dropped {
  item: string
  reason: string
}

/** An answer that can be asked why. */
export interface NewDecision {
  kind: string
  userId: number | null
  modelId: string | null
  servedBy: string
  contributions: Contribution[]
  rules: string[]
  dropped: { counts: Record<string, number>; examples: Dropped[] }
  consentBasis: string | null
  /** What was asked; its SHA-256 is kept. */
  input: unknown
}

export interface DecisionRow {
  id: string
  kind: string
  at: Date
  modelId: string | null
  servedBy: string
  detail: { contributions: Contribution[]; rules: string[]; dropped: NewDecision['dropped'] }
  consentBasis: string | null
  inputHash: string
}

interface Waiting {
  row: unknown[]
  done: () => void
  failed: (error: unknown) => void
}

const COLUMNS = 9
const LARGEST_BATCH = 500

/**
 * Writes decisions before their answers go out, by group commit: while one INSERT is under way the next batch gathers, so that under load many
 * decisions share one commit, and a lone one waits for nothing.
 */
export class Decisions {
  private waiting: Waiting[] = []
  private writers = 0

  constructor(
    private readonly database: Database,
    private readonly now: () => Date = () => new Date(),
  ) {}

  /** Resolves with the decision's id when it is stored. */
  async record({ kind, userId, modelId, servedBy, contributions, rules, dropped, consentBasis, input }: NewDecision): Promise<string> {
    const id = v7()
    const detail = JSON.stringify({ contributions, rules, dropped })
    const inputHash = createHash('sha256').update(JSON.stringify(input)).digest('hex')
    await new Promise<void>((done, failed) => {
      this.waiting.push({ row: [id, kind, this.now(), userId, modelId, servedBy, detail, consentBasis, inputHash], done, failed })
      if (this.writers === 0) void this.write()
    })
    return id
  }

  async find(id: string): Promise<DecisionRow | null> {
    const [row] = await this.database.sql<DecisionRow>('SELECT * FROM "Decision" WHERE id = $1', [id])
    return row ?? null
  }

  async forgetOlderThan(days: number): Promise<number> {
    return (await this.database.sql('DELETE FROM "Decision" WHERE at < now() - make_interval(days => $1) RETURNING 1', [days])).length
  }

  private async write(): Promise<void> {
    this.writers++
    // The requests of this turn of the event loop join the batch.
    await new Promise(done => setImmediate(done))
    while (this.waiting.length > 0) {
      const batch = this.waiting.splice(0, LARGEST_BATCH)
      try {
        await this.insert(batch.map(({ row }) => row))
        for (const { done } of batch) done()
      } catch (error) {
        for (const { failed } of batch) failed(error)
      }
    }
    this.writers--
  }

  private async insert(rows: unknown[][]): Promise<void> {
    const columns = Array.from({ length: COLUMNS }, (_, column) => rows.map(row => row[column]))
    await this.database.sql(
      `INSERT INTO "Decision" (id, kind, at, "userId", "modelId", "servedBy", detail, "consentBasis", "inputHash")
       SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::int[], $5::text[], $6::text[], $7::jsonb[], $8::text[], $9::text[])`,
      columns,
      'record-decisions',
    )
  }
}
