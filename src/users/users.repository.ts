import type { Database } from '../platform/database.js'
import type { Consent, User } from '../platform/generated/prisma/client.js'
import { escapeLike } from '../platform/text-input.js'
import { type Upsert, upsertStatement } from '../platform/upsert.js'
import type { ConsentChange } from './user-rules.js'

/** A user's stored row. */
export type UserRow = User
export type ConsentRow = Consent

export interface UserFilter {
  country?: string | null
  city?: string | null
  locale?: string | null
  gender?: string | null
  email?: string | null
  anonymous?: boolean | null
  createdFrom?: Date | null
  createdTo?: Date | null
  /** Beginning of the external id. */
  search?: string | null
}

export interface UserPage {
  sortBy: 'createdAt' | 'externalId'
  direction: 'ASC' | 'DESC'
  after?: { sortKey: string; id: number }
  limit: number
}

const SORT_TYPES = { createdAt: 'timestamptz', externalId: 'text' }

export class UsersRepository {
  constructor(private readonly database: Database) {}

  byIds(ids: readonly number[]): Promise<UserRow[]> {
    return this.database.sql('SELECT * FROM "User" WHERE id = ANY($1::int[])', [ids], 'users-by-ids')
  }

  byExternalIds(externalIds: readonly string[]): Promise<UserRow[]> {
    return this.database.sql('SELECT * FROM "User" WHERE "externalId" = ANY($1::text[])', [externalIds], 'users-by-external-ids')
  }

  consentsOf(userIds: readonly number[]): Promise<ConsentRow[]> {
    return this.database.sql('SELECT * FROM "Consent" WHERE "userId" = ANY($1::int[]) ORDER BY purpose', [userIds], 'consents-of-users')
  }

  page(filter: UserFilter, { sortBy, direction, after, limit }: UserPage): Promise<UserRow[]> {
    const { conditions, values } = conditionsOf(filter)
    if (after) {
      const sortKey = `$${values.push(after.sortKey)}::${SORT_TYPES[sortBy]}`
      conditions.push(`("${sortBy}", id) ${direction === 'ASC' ? '>' : '<'} (${sortKey}, $${values.push(after.id)}::int)`)
    }
    const order = `ORDER BY "${sortBy}" ${direction}, id ${direction} LIMIT $${values.push(limit)}::int`
    return this.database.sql(`SELECT * FROM "User" ${where(conditions)} ${order}`, values)
  }

  async count(filter: UserFilter): Promise<number> {
    const { conditions, values } = conditionsOf(filter)
    const [row] = await this.database.sql<{ count: number }>(`SELECT count(*)::int AS count FROM "User" ${where(conditions)}`, values)
    return row.count
  }

  /** Writes the user and the consents in one statement; undefined when the upsert's condition does not hold. A consent never yields to an older one. */
  async upsert(upsert: Omit<Upsert, 'table'>, consents: readonly ConsentChange[]): Promise<UserRow | undefined> {
    const { text, values } = upsertStatement({ ...upsert, table: 'User', changesMore: consents.length > 0 })
    if (consents.length === 0) return (await this.database.sql<UserRow>(text, values))[0]
    const next = values.length + 1
    const rows = await this.database.sql<UserRow>(
      `WITH written AS (${text}), consented AS (
         INSERT INTO "Consent" ("userId", purpose, granted, at, source)
         SELECT written.id, given.* FROM written, unnest($${next}::"Purpose"[], $${next + 1}::bool[], $${next + 2}::timestamptz[], $${next + 3}::text[]) AS given
         ON CONFLICT ("userId", purpose) DO UPDATE SET granted = EXCLUDED.granted, at = EXCLUDED.at, source = EXCLUDED.source
         WHERE EXCLUDED.at >= "Consent".at)
       SELECT * FROM written`,
      [...values, ...columnsOf(consents)],
    )
    return rows[0]
  }

  /** Creates the users that are missing, in one order for all callers, so that parallel calls never deadlock. */
  async createMissing(externalIds: readonly string[]): Promise<void> {
    await this.database.sql(
      'INSERT INTO "User" ("externalId") SELECT DISTINCT id FROM unnest($1::text[]) AS id ORDER BY id ON CONFLICT ("externalId") DO NOTHING',
      [externalIds],
      'create-missing-users',
    )
  }
}

function conditionsOf({ country, city, locale, gender, email, anonymous, createdFrom, createdTo, search }: UserFilter) {
  // Records that were merged into another are no users of their own.
  const conditions: string[] = ['"mergedIntoId" IS NULL']
  const values: unknown[] = []
  const add = (value: unknown, condition: (parameter: string) => string) => {
    if (value !== null && value !== undefined) conditions.push(condition(`$${values.push(value)}`))
  }
  add(country, parameter => `country = ${parameter}`)
  add(city, parameter => `city = ${parameter}`)
  add(locale, parameter => `locale = ${parameter}`)
  add(gender, parameter => `gender = ${parameter}`)
  add(email, parameter => `email = ${parameter}`)
  add(anonymous, parameter => `anonymous = ${parameter}`)
  add(createdFrom?.toISOString(), parameter => `"createdAt" >= ${parameter}::timestamptz`)
  add(createdTo?.toISOString(), parameter => `"createdAt" < ${parameter}::timestamptz`)
  add(search ? `${escapeLike(search)}%` : undefined, parameter => `"externalId" LIKE ${parameter}`)
  return { conditions, values }
}

function where(conditions: string[]): string {
  return conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}` : ''
}

function columnsOf(consents: readonly ConsentChange[]): unknown[] {
  return [
    consents.map(consent => consent.purpose),
    consents.map(consent => consent.granted),
    consents.map(consent => consent.at.toISOString()),
    consents.map(consent => consent.source),
  ]
}
