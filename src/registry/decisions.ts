import { hash } from 'node:crypto'
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
  /** A UUID of version 7 that something else is known by already; a new one unless given. */
  id?: string
  kind: string
  userId: number | null
  modelId: string | null
  servedBy: string
  /** Or the lines that `linesOf` made of them. */
  contributions: readonly Contribution[] | string
  rules: string[]
  dropped: { counts: Record<string, number>; examples: Dropped[] }
  consentBasis: string | null
  /** What was asked; its SHA-256 is kept. */
  input: unknown
  /** The part that chance had in it. */
  experiment?: DecisionExperiment
}

/** Which arm of which experiment answered, what was shown, and the chance that the first one had of being first. */
export interface DecisionExperiment {
  id: string
  arm: string
  version: number
  placement: string | null
  /** Chance of the arm. */
  share: number
  /** Internal ids of what was shown, in order. */
  shown: number[]
  first: number | null
  probability: number
  /** Chance of each of what was shown to stand where it stood; where chance drew. */
  chances?: number[]
  /** What the request wanted for itself. */
  asked?: Asked
}

/** What steered an answer beside the placement; what a filter of the request's own said is not kept, as it may hold somebody's words. */
export interface Asked {
  /** Internal ids of the products that the list was to go with. */
  context?: number[]
  excludeSeen?: boolean
  diversity?: number
  isFiltered?: boolean
}

export interface DecisionRow {
  id: string
  kind: string
  at: Date
  modelId: string | null
  servedBy: string
  contributions: Contribution[]
  rules: string[]
  dropped: NewDecision['dropped']
  consentBasis: string | null
  inputHash: string
  experiment: DecisionExperiment | null
}

/** As it is stored: a line a feature, which is followed by its values and weights in turn. As one text it costs PostgreSQL half of what a tree does. */
interface Detail {
  features: string
  rules: string[]
  dropped: NewDecision['dropped']
  experiment?: DecisionExperiment
}

/** Columns of a decision's row, and their types, for a statement that stores it together with its effect. */
export const DECISION_COLUMNS = 'id, kind, at, "userId", "modelId", "servedBy", detail, "consentBasis", "inputHash"'
export const DECISION_TYPES =
  'id text, kind text, at timestamptz, "userId" int, "modelId" text, "servedBy" text, detail jsonb, "consentBasis" text, "inputHash" text'

/** A decision as it is stored. */
export interface StoredDecision {
  id: string
  kind: string
  at: Date
  userId: number | null
  modelId: string | null
  servedBy: string
  detail: object
  consentBasis: string | null
  inputHash: string
}

export function decisionRow(decision: NewDecision, at: Date): StoredDecision {
  const { id = v7(), kind, userId, modelId, servedBy, contributions, rules, dropped, consentBasis, input, experiment } = decision
  const features = typeof contributions === 'string' ? contributions : linesOf(contributions)
  const detail: Detail = { features, rules, dropped }
  if (experiment) detail.experiment = experiment
  return { id, kind, at, userId, modelId, servedBy, detail, consentBasis, inputHash: hash('sha256', JSON.stringify(input), 'hex') }
}

interface Waiting {
  row: StoredDecision
  done: () => void
  failed: (error: unknown) => void
}

const LARGEST_BATCH = 500
const DECIMALS = 1e6
const SEPARATORS = /[\t\n]/

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

  /** Resolves with the decision's id when it is stored. Weights are kept to six decimals. */
  async record(decision: NewDecision): Promise<string> {
    const row = decisionRow(decision, this.now())
    await new Promise<void>((done, failed) => {
      this.waiting.push({ row, done, failed })
      if (this.writers === 0) void this.write()
    })
    return row.id
  }

  async find(id: string): Promise<DecisionRow | null> {
    const [row] = await this.database.sql<Omit<DecisionRow, keyof Detail> & { detail: Detail }>('SELECT * FROM "Decision" WHERE id = $1', [
      id,
    ])
    if (!row) return null
    const { detail, ...facts } = row
    return {
      ...facts,
      contributions: detail.features.split('\n').flatMap(contributionsOf),
      rules: detail.rules,
      dropped: detail.dropped,
      experiment: detail.experiment ?? null,
    }
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

  private async insert(rows: StoredDecision[]): Promise<void> {
    await this.database.sql(
      `INSERT INTO "Decision" (${DECISION_COLUMNS}) SELECT ${DECISION_COLUMNS} FROM json_to_recordset($1) AS d(${DECISION_TYPES})`,
      [JSON.stringify(rows)],
      'record-decisions',
    )
  }
}

/** Contributions as a decision keeps them; those that come again can be kept so. */
export function linesOf(contributions: readonly Contribution[]): string {
  const cells: (string | number)[] = []
  let last: string | undefined
  for (const { feature, value, weight } of contributions) {
    if (feature !== last) cells.push(last === undefined ? '' : '\n', cellOf(feature))
    cells.push('\t', cellOf(value), '\t', Math.round(weight * DECIMALS) / DECIMALS)
    last = feature
  }
  return cells.join('')
}

function cellOf(text: string): string {
  return SEPARATORS.test(text) ? text.replace(/[\t\n]/g, ' ') : text
}

function contributionsOf(line: string): Contribution[] {
  const [feature, ...parts] = line.split('\t')
  return Array.from({ length: parts.length / 2 }, (_, index) => ({
    feature,
    value: parts[2 * index],
    weight: Number(parts[2 * index + 1]),
  }))
}
