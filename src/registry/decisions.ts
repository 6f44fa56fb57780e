import { hash } from 'node:crypto'
import { createBatcher } from '../platform/batcher.js'
import type { Database } from '../platform/database.js'
import { type ColumnTypes, rowSet, rowSetValues } from '../platform/row-set.js'
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
const DECISION: ColumnTypes = {
  id: 'text',
  kind: 'text',
  at: 'timestamptz',
  userId: 'int',
  modelId: 'text',
  servedBy: 'text',
  detail: 'jsonb',
  consentBasis: 'text',
  inputHash: 'text',
}
export const DECISION_COLUMNS = Object.keys(DECISION)
  .map(name => `"${name}"`)
  .join(', ')
export const DECISION_TYPES = Object.entries(DECISION)
  .map(([name, type]) => `"${name}" ${type}`)
  .join(', ')
/** Decisions `d`, and as `answers` how often each was answered. */
export const ANSWERED_DECISIONS = `(SELECT d.*, 1 + coalesce(r.count, 0) AS answers FROM "Decision" d LEFT JOIN "DecisionRepeat" r ON r."decisionId" = d.id) d`

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

const LARGEST_BATCH = 500
const COUNTED_AFTER_MS = 1_000
/** Decisions of whose repeats it is not stored yet, or cannot be, how many there were. */
const MOST_UNCOUNTED = 50_000
/** A repeat's id: that of what it repeats, its time and a number. */
const REPEAT = /^([0-9a-f-]{36})\.([0-9a-z]{8})\.\d+$/
/** So long after a decision nothing repeats it any more. */
const LAST_REPEAT_MS = 3_600_000
const COUNT_REPEATS = `INSERT INTO "DecisionRepeat" ("decisionId", count, at) SELECT * FROM unnest($1::text[], $2::int[], $3::timestamptz[])
  ON CONFLICT ("decisionId") DO UPDATE SET count = "DecisionRepeat".count + excluded.count, at = greatest("DecisionRepeat".at, excluded.at)`
const DECIMALS = 1e8
const SEPARATORS = /[\t\n]/

/**
 * Writes decisions before their answers go out, by group commit: while one INSERT is under way the next batch gathers, so that under load many
 * decisions share one commit, and a lone one waits for nothing.
 */
export class Decisions {
  private readonly store: (row: StoredDecision) => Promise<void>
  /** By the id of what was repeated. */
  private uncounted = new Map<string, { count: number; at: Date }>()
  private repeats = 0
  private time = { ms: 0, text: '0' }
  private timer: NodeJS.Timeout | undefined
  private counting: Promise<void> | undefined

  constructor(
    private readonly database: Database,
    private readonly now: () => Date = () => new Date(),
  ) {
    this.store = createBatcher(rows => this.insert(rows), { largestBatch: LARGEST_BATCH })
  }

  /** Resolves with the decision's id when it is stored. Weights are kept to eight decimals. */
  async record(decision: NewDecision): Promise<string> {
    const row = decisionRow(decision, this.now())
    await this.store(row)
    return row.id
  }

  /**
   * The id of a decision to answer the same again for the same reasons, a moment after the stored one of this id. It says what it repeats and when, so that it can
   * be asked why from now on, whatever happens; that it was answered is counted within a second. Undefined while too much waits for that.
   */
  repeat(of: string): string | undefined {
    const at = this.now()
    const known = this.uncounted.get(of)
    if (!known && this.uncounted.size >= MOST_UNCOUNTED) return undefined
    if (known) {
      known.count++
      known.at = at
    } else this.uncounted.set(of, { count: 1, at })
    this.timer ??= setTimeout(() => void this.countRepeats(), COUNTED_AFTER_MS).unref()
    return `${of}.${this.timeOf(at)}.${++this.repeats}`
  }

  /** Many repeats are of one millisecond, and a text of so many digits costs as much as all the rest. */
  private timeOf(at: Date): string {
    const ms = at.getTime()
    if (this.time.ms !== ms) this.time = { ms, text: ms.toString(36) }
    return this.time.text
  }

  /** Counts what waits for it. */
  async close(): Promise<void> {
    await this.counting
    await this.countRepeats()
  }

  async find(id: string): Promise<DecisionRow | null> {
    const [row] = await this.database.sql<Omit<DecisionRow, keyof Detail | 'sameAs'> & { detail: Detail }>(
      'SELECT * FROM "Decision" WHERE id = $1',
      [id],
    )
    if (!row) return this.findRepeated(id)
    const { detail, ...facts } = row
    return {
      ...facts,
      contributions: contributionsIn(detail.features),
      rules: detail.rules,
      dropped: detail.dropped,
      experiment: detail.experiment ?? null,
      sameAs: null,
    }
  }

  async forgetOlderThan(days: number): Promise<number> {
    await this.database.sql('DELETE FROM "DecisionRepeat" WHERE at < now() - make_interval(days => $1)', [days])
    return (await this.database.sql('DELETE FROM "Decision" WHERE at < now() - make_interval(days => $1) RETURNING 1', [days])).length
  }

  /** A repeat is known by its name. */
  private async findRepeated(id: string): Promise<DecisionRow | null> {
    const [, of, time] = REPEAT.exec(id) ?? []
    const found = of === undefined ? null : await this.find(of)
    const age = Number.parseInt(time, 36) - (found?.at.getTime() ?? 0)
    return found && age >= 0 && age < LAST_REPEAT_MS ? { ...found, id, at: new Date(found.at.getTime() + age), sameAs: of } : null
  }

  private async insert(rows: StoredDecision[]): Promise<void[]> {
    await this.database.sql(
      `INSERT INTO "Decision" (${DECISION_COLUMNS}) SELECT ${DECISION_COLUMNS} FROM (${rowSet(DECISION)}) d`,
      rowSetValues(DECISION, rows),
      'record-decisions',
    )
    return rows.map(() => undefined)
  }

  private countRepeats(): Promise<void> {
    clearTimeout(this.timer)
    this.timer = undefined
    this.counting ??= this.countAllRepeats().finally(() => {
      this.counting = undefined
    })
    return this.counting
  }

  /** What cannot be stored waits for the next time. */
  private async countAllRepeats(): Promise<void> {
    if (this.uncounted.size === 0) return
    const batch = [...this.uncounted]
    this.uncounted = new Map()
    const columns = [batch.map(([of]) => of), batch.map(([, { count }]) => count), batch.map(([, { at }]) => at)]
    await this.database.sql(COUNT_REPEATS, columns, 'count-repeats').catch(() => {
      for (const [of, before] of batch) {
        const since = this.uncounted.get(of)
        this.uncounted.set(of, { count: before.count + (since?.count ?? 0), at: since?.at ?? before.at })
      }
    })
  }
}

/** One contribution as a decision keeps it; `feature` is a name without tabs and newlines. */
export function lineOf(feature: string, value: string, weight: number): string {
  return `${feature}\t${cellOf(value)}\t${rounded(weight)}`
}

/** Contributions as a decision keeps them; those that come again can be kept so. */
export function linesOf(contributions: readonly Contribution[]): string {
  const cells: (string | number)[] = []
  let last: string | undefined
  for (const { feature, value, weight } of contributions) {
    if (feature !== last) cells.push(last === undefined ? '' : '\n', cellOf(feature))
    cells.push('\t', cellOf(value), '\t', rounded(weight))
    last = feature
  }
  return cells.join('')
}

function rounded(weight: number): number {
  return Math.round(weight * DECIMALS) / DECIMALS
}

function cellOf(text: string): string {
  return SEPARATORS.test(text) ? text.replace(/[\t\n]/g, ' ') : text
}

/** What such lines say, in their order. */
export function contributionsIn(lines: string): Contribution[] {
  return lines.split('\n').flatMap(contributionsOf)
}

function contributionsOf(line: string): Contribution[] {
  const [feature, ...parts] = line.split('\t')
  return Array.from({ length: parts.length / 2 }, (_, index) => ({
    feature,
    value: parts[2 * index],
    weight: Number(parts[2 * index + 1]),
  }))
}
