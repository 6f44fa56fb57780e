import type { Database } from '../platform/database.js'
import { TELLING_TYPES_SQL } from './weights.js'

/** The newest events that are searched for people. */
const NEWEST_EVENTS = 200_000

export class PeopleRepository {
  constructor(private readonly database: Database) {}

  /** Who touched most of these products in the shop's newest events, but for those in `without`; merged users are left out. */
  async touching(products: readonly number[], without: readonly number[], limit: number): Promise<number[]> {
    const rows = await this.database.sql<{ id: number }>(
      `SELECT e."userId" AS id FROM (SELECT "userId", "productId", type FROM "Event" ORDER BY id DESC LIMIT ${NEWEST_EVENTS}) e
       JOIN "User" u ON u.id = e."userId" AND u."mergedIntoId" IS NULL
       WHERE e."productId" = ANY($1::int[]) AND e.type IN ${TELLING_TYPES_SQL} AND NOT e."userId" = ANY($2::int[])
       GROUP BY 1 ORDER BY count(DISTINCT e."productId") DESC, 1 LIMIT $3`,
      [products, without, limit],
    )
    return rows.map(row => row.id)
  }

  /** Those of the users who bought every one of the products. */
  async owners(users: readonly number[], products: readonly number[]): Promise<number[]> {
    const rows = await this.database.sql<{ id: number }>(
      `SELECT "userId" AS id FROM "Event" WHERE "userId" = ANY($1::int[]) AND "productId" = ANY($2::int[]) AND type = 'PURCHASE'
       GROUP BY 1 HAVING count(DISTINCT "productId") = $3`,
      [users, products, products.length],
    )
    return rows.map(row => row.id)
  }

  async inCategory(category: string, limit: number): Promise<number[]> {
    const rows = await this.database.sql<{ id: number }>('SELECT id FROM "Product" WHERE $1 = ANY(categories) ORDER BY id LIMIT $2', [
      category,
      limit,
    ])
    return rows.map(row => row.id)
  }

  /** Products that came into the shop after a moment. */
  async productsSince(at: Date): Promise<number> {
    const [row] = await this.database.sql<{ count: number }>(
      'SELECT count(*)::int AS count FROM "Product" WHERE "createdAt" > $1 AND NOT stub',
      [at],
    )
    return row.count
  }

  /** Telling events that came in after a moment. */
  async eventsSince(at: Date): Promise<number> {
    const [row] = await this.database.sql<{ count: number }>(
      `SELECT count(*)::int AS count FROM "Event" WHERE "receivedAt" > $1 AND "productId" IS NOT NULL AND type IN ${TELLING_TYPES_SQL}`,
      [at],
    )
    return row.count
  }
}
