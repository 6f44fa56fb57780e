import { InvalidInput } from './errors.js'

/** A column's new value and the PostgreSQL type it is cast to; `merge` joins a JSON object into the stored one. */
export interface ColumnChange {
  value: unknown
  type: string
  merge?: boolean
}

export interface Upsert {
  table: string
  externalId: string
  /** Only these columns change. */
  changes: Record<string, ColumnChange>
  /** Absent: whatever is stored. 0: the row must not exist yet. Else the version that must be stored. */
  expectedVersion?: number
  /** false only changes what is there already. */
  mayCreate: boolean
  /** What belongs to the row in another table changes too: a new version even where no column does. */
  changesMore?: boolean
}

export interface Statement {
  text: string
  values: unknown[]
}

/**
 * One statement that creates or changes a row by its external id and returns it; it returns nothing when the condition does not hold.
 * As the version is compared by the statement that writes, of many parallel calls with one expected version exactly one succeeds.
 */
export function upsertStatement({ table, externalId, changes, expectedVersion, mayCreate, changesMore = false }: Upsert): Statement {
  const names = Object.keys(changes)
  const values: unknown[] = [externalId, ...names.map(name => changes[name].value)]
  const given = names.map((name, index) => `$${index + 2}::${changes[name].type}`)
  const mustExist = !mayCreate || (expectedVersion !== undefined && expectedVersion > 0)
  const isChange = names.length > 0 || changesMore
  const bump = isChange ? [`version = "${table}".version + 1`, '"updatedAt" = now()'] : ['"externalId" = $1']
  const set = [...names.map((name, index) => `"${name}" = ${mergeOr(table, name, changes[name], given[index])}`), ...bump].join(', ')
  if (mustExist) {
    const condition = expectedVersion === undefined ? '' : ` AND version = $${values.push(expectedVersion)}::int`
    return { text: `UPDATE "${table}" SET ${set} WHERE "externalId" = $1${condition} RETURNING *`, values }
  }
  const columns = ['externalId', ...names].map(name => `"${name}"`).join(', ')
  const onConflict = expectedVersion === 0 ? 'DO NOTHING' : `DO UPDATE SET ${set}`
  return {
    text: `INSERT INTO "${table}" (${columns}) VALUES (${['$1', ...given].join(', ')}) ON CONFLICT ("externalId") ${onConflict} RETURNING *`,
    values,
  }
}

function mergeOr(table: string, name: string, { merge }: ColumnChange, given: string): string {
  return merge ? `"${table}"."${name}" || ${given}` : given
}

export function cleanVersion(version: number | null | undefined): number | undefined {
  if (version === null || version === undefined) return undefined
  if (version < 0) throw new InvalidInput('expectedVersion must be 0 (does not exist yet) or more', {}, ['expectedVersion'])
  return version
}
