import { hash } from 'node:crypto'
import { createBatcher } from '../platform/batcher.js'
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
  /** The decision that it repeats. */
  sameAs: string | null
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
/** Decisions `d`, and as `whole` those that hold their details: themselves, or what they repeat. */
export const WHOLE_DECISIONS = '"Decision" d JOIN "Decision" whole ON whole.id = coalesce(d."sameAs", d.id)'

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
  const inputHash = hash('sha256', JSON.stringify(input), 'hex')
  return { id, kind, at, userId, modelId, servedBy, detail, consentBasis, inputHash }
}

/** A decision whose detail is that of another. */
interface Repeat {
  id: string
  at: Date
  of: string
}

const LARGEST_BATCH = 500
const REPEATS_AFTER_MS = 1_000
/** Repeats that wait while they cannot be stored. */
const MOST_REPEATS = 50_000
/** A repeat's id: that of what it repeats, and a number. */
const REPEAT = /^(.+)\.\d+$/
const STORE_REPEATS = `INSERT INTO "Decision" (id, kind, at, "userId", "modelId", "servedBy", "consentBasis", "inputHash", "sameAs")
  SELECT r.id, d.kind, r.at, d."userId", d."modelId", d."servedBy", d."consentBasis", d."inputHash", d.id
  FROM unnest($1::text[], $2::timestamptz[], $3::text[]) AS r(id, at, of) JOIN "Decision" d ON d.id = r.of ON CONFLICT DO NOTHING`
const DECIMALS = 1e6
const SEPARATORS = /[\t\n]/

/**
 * Writes decisions before their answers go out, by group commit: while INSERTs are under way the next batch gathers, so that under load many
 * decisions share one commit, and a lone one waits for nothing.
 */
export class Decisions {
  private readonly store: (row: StoredDecision) => Promise<void>
  private unwritten: Repeat[] = []
  private repeats = 0
  private timer: NodeJS.Timeout | undefined
  private writing: Promise<void> | undefined

  constructor(
    private readonly database: Database,
    private readonly now: () => Date = () => new Date(),
  ) {
    this.store = createBatcher(rows => this.insert(rows), { largestBatch: LARGEST_BATCH })
  }

  /** Resolves with the decision's id when it is stored. Weights are kept to six decimals. */
  async record(decision: NewDecision): Promise<string> {
    const row = decisionRow(decision, this.now())
    await this.store(row)
    return row.id
  }

  /**
   * The id of a decision to answer the same again for the same reasons, a moment after the stored one of this id. As it names what it repeats it can be asked why
   * from now on, whatever happens; that it was answered, and when, is stored within a second. Undefined while too many wait for that.
   */
  repeat(of: string): string | undefined {
    if (this.unwritten.length >= MOST_REPEATS) return undefined
    const id = `${of}.${++this.repeats}`
    this.unwritten.push({ id, at: this.now(), of })
    if (this.unwritten.length === LARGEST_BATCH) void this.writeRepeats()
    else this.timer ??= setTimeout(() => void this.writeRepeats(), REPEATS_AFTER_MS).unref()
    return id
  }

  /** Stores what waits. */
  async close(): Promise<void> {
    await this.writeRepeats()
  }

  async find(id: string): Promise<DecisionRow | null> {
    const [row] = await this.database.sql<Omit<DecisionRow, keyof Detail> & { detail: Detail }>(
      `SELECT d.*, whole.detail FROM ${WHOLE_DECISIONS} WHERE d.id = $1`,
      [id],
    )
    if (!row) return this.findRepeated(id)
    const { detail, ...facts } = row
    return {
      ...facts,
      contributions: detail.features.split('\n').flatMap(contributionsOf),
      rules: detail.rules,
      dropped: detail.dropped,
      experiment: detail.experiment ?? null,
    }
  }

  /** What repeats another is forgotten an hour sooner, so that it never outlives what it repeats. */
  async forgetOlderThan(days: number): Promise<number> {
    const rows = await this.database.sql(
      `DELETE FROM "Decision" WHERE at < now() - make_interval(days => $1)
         OR ("sameAs" IS NOT NULL AND at < now() - make_interval(days => $1) + interval '1 hour') RETURNING 1`,
      [days],
    )
    return rows.length
  }

  /** A repeat that is not stored, yet or at all, is known by what it repeats. */
  private async findRepeated(id: string): Promise<DecisionRow | null> {
    const [, of] = REPEAT.exec(id) ?? []
    const found = of === undefined ? null : await this.find(of)
    return found && { ...found, id, sameAs: found.id }
  }

  private async insert(rows: StoredDecision[]): Promise<void[]> {
    await this.database.sql(
      `INSERT INTO "Decision" (${DECISION_COLUMNS}) SELECT ${DECISION_COLUMNS} FROM json_to_recordset($1) AS d(${DECISION_TYPES})`,
      [JSON.stringify(rows)],
      'record-decisions',
    )
    return rows.map(() => undefined)
  }

  private writeRepeats(): Promise<void> {
    clearTimeout(this.timer)
    this.timer = undefined
    this.writing ??= this.writeAllRepeats().finally(() => {
      this.writing = undefined
    })
    return this.writing
  }

  /** What cannot be stored waits for the next time. */
  private async writeAllRepeats(): Promise<void> {
    while (this.unwritten.length > 0) {
      const batch = this.unwritten.slice(0, LARGEST_BATCH)
      try {
        await this.database.sql(
          STORE_REPEATS,
          [batch.map(({ id }) => id), batch.map(({ at }) => at), batch.map(({ of }) => of)],
          'repeat-decisions',
        )
      } catch {
        return
      }
      this.unwritten = this.unwritten.slice(batch.length)
    }
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
