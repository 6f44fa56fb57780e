import type { SqlDatabase } from '../platform/database.js'
import type { Product } from '../platform/generated/prisma/client.js'
import { type Upsert, upsertStatement } from '../platform/upsert.js'
import { type Passing, type ProductFilter, productConditions } from './product-filter.js'

/** A product's stored row. */
export type ProductRow = Product

export interface ProductPage {
  after?: { createdAt: string; id: number }
  limit: number
}

export interface Demotion {
  /** What is done under one receipt is done once. */
  receipt?: string | null
  expectedVersion?: number | null
}

export class CatalogueRepository {
  constructor(private readonly database: SqlDatabase) {}

  /** Of what `work` writes nothing stays. */
  rehearse<T>(work: (dry: CatalogueRepository) => Promise<T>): Promise<T> {
    return this.database.rehearse(dry => work(new CatalogueRepository(dry)))
  }

  byIds(ids: readonly number[]): Promise<ProductRow[]> {
    return this.database.sql('SELECT * FROM "Product" WHERE id = ANY($1::int[])', [ids], 'products-by-ids')
  }

  /** Products that were changed in the last `seconds`, by the clock of PostgreSQL: internal id, and which version of the row it is. */
  changedWithin(seconds: number, limit: number): Promise<{ id: number; row: string }[]> {
    return this.database.sql(
      'SELECT id, xmin::text AS row FROM "Product" WHERE "updatedAt" > now() - make_interval(secs => $1) LIMIT $2',
      [seconds, limit],
      'products-changed',
    )
  }

  byExternalIds(externalIds: readonly string[]): Promise<ProductRow[]> {
    return this.database.sql('SELECT * FROM "Product" WHERE "externalId" = ANY($1::text[])', [externalIds], 'products-by-external-ids')
  }

  /** Internal ids of the products that pass all of these filters, in no order. */
  async matching(filters: readonly ProductFilter[], limit: number): Promise<number[]> {
    const { conditions, values } = numbered(filters)
    const rows = await this.database.sql<{ id: number }>(`SELECT id FROM "Product" ${where(conditions.flat())} LIMIT ${limit}`, values)
    return rows.map(row => row.id)
  }

  /** Of the products in stock, or not counted: how many there are, how many pass each filter, and how many pass it and all before it. */
  async passing(filters: readonly ProductFilter[]): Promise<Passing> {
    const { conditions, values } = numbered(filters)
    const count = (of: readonly string[]) => `count(*) FILTER (WHERE ${['true', ...of].join(' AND ')})::int`
    const list = (counts: readonly string[]) => `ARRAY[${counts.join(', ')}]::int[]`
    const [row] = await this.database.sql<Passing>(
      `SELECT count(*)::int AS products, ${list(conditions.map(count))} AS alone,
         ${list(conditions.map((_, at) => count(conditions.slice(0, at + 1).flat())))} AS together FROM "Product" WHERE stock IS DISTINCT FROM 0`,
      values,
    )
    return row
  }

  page(filter: ProductFilter, { after, limit }: ProductPage): Promise<ProductRow[]> {
    const { conditions, values } = productConditions(filter)
    if (after) conditions.push(`("createdAt", id) > ($${values.push(after.createdAt)}::timestamptz, $${values.push(after.id)}::int)`)
    return this.database.sql(
      `SELECT * FROM "Product" ${where(conditions)} ORDER BY "createdAt", id LIMIT $${values.push(limit)}::int`,
      values,
    )
  }

  async count(filter: ProductFilter): Promise<number> {
    const { conditions, values } = productConditions(filter)
    const [row] = await this.database.sql<{ count: number }>(`SELECT count(*)::int AS count FROM "Product" ${where(conditions)}`, values)
    return row.count
  }

  /** Undefined when the upsert's condition does not hold. */
  async upsert(upsert: Omit<Upsert, 'table'>): Promise<ProductRow | undefined> {
    const { text, values } = upsertStatement({ ...upsert, table: 'Product' })
    return (await this.database.sql<ProductRow>(text, values))[0]
  }

  /** Who demoted first stays named; a repetition changes nothing, nor does one `receipt` twice. */
  async demote(
    id: number,
    demoted: boolean,
    by: string,
    { receipt = null, expectedVersion = null }: Demotion = {},
  ): Promise<ProductRow | undefined> {
    const [row] = await this.database.sql<ProductRow>(
      `WITH kept AS (INSERT INTO "ActionReceipt" (key, note) SELECT $4, '' WHERE $4::text IS NOT NULL ON CONFLICT DO NOTHING RETURNING 1)
       UPDATE "Product" SET "demotedAt" = CASE WHEN $2 THEN now() END, "demotedBy" = CASE WHEN $2 THEN $3 END, version = version + 1, "updatedAt" = now()
       WHERE id = $1 AND ("demotedAt" IS NOT NULL) <> $2 AND ($5::int IS NULL OR version = $5) AND ($4::text IS NULL OR EXISTS (SELECT 1 FROM kept)) RETURNING *`,
      [id, demoted, by, receipt, expectedVersion],
    )
    return row ?? (await this.byIds([id]))[0]
  }

  /** Creates stubs of the products that are missing, in one order for all callers, so that parallel calls never deadlock. */
  async createMissing(externalIds: readonly string[]): Promise<void> {
    await this.database.sql(
      `INSERT INTO "Product" ("externalId", title, stub) SELECT DISTINCT id, id, true FROM unnest($1::text[]) AS id ORDER BY id
       ON CONFLICT ("externalId") DO NOTHING`,
      [externalIds],
      'create-missing-products',
    )
  }
}

/** Conditions of each of several filters, with their parameters in one list. */
function numbered(filters: readonly ProductFilter[]): { conditions: string[][]; values: unknown[] } {
  const values: unknown[] = []
  const conditions = filters.map(filter => {
    const own = productConditions(filter)
    const before = values.length
    values.push(...own.values)
    return own.conditions.map(condition => condition.replace(/\$(\d+)/g, (_, place) => `$${Number(place) + before}`))
  })
  return { conditions, values }
}

function where(conditions: string[]): string {
  return conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}` : ''
}
