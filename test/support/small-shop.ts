import type { Database } from '../../src/platform/database.js'

type Happening = readonly [
  user: string,
  type: string,
  daysAgo: number,
  more?: { product?: string; price?: number; quantity?: number; currency?: string; value?: number; event?: string; channel?: string },
]

const DAY_MS = 86_400_000

/** A shop whose users, products and events are written down by the test; times count back from `now`. */
export function smallShop(database: Pick<Database, 'sql'>, now: Date) {
  let number = 0
  const user = async (externalId: string, facts: Record<string, unknown> = {}): Promise<number> => {
    const names = Object.keys(facts)
    const columns = ['"externalId"', ...names.map(name => `"${name}"`)].join(', ')
    const [row] = await database.sql<{ id: number }>(
      `INSERT INTO "User" (${columns}, "createdAt", "updatedAt") VALUES ($1${names.map((_, index) => `, $${index + 2}`).join('')}, '${now.toISOString()}', '${now.toISOString()}') RETURNING id`,
      [externalId, ...Object.values(facts)],
    )
    return row.id
  }
  const product = async (externalId: string, category: string, price: number, brand = 'Brand'): Promise<void> => {
    await database.sql(
      `INSERT INTO "Product" ("externalId", title, categories, brand, "priceMicros", "currencyCode") VALUES ($1, $1, $2, $3, $4, 'EUR')`,
      [externalId, [category], brand, Math.round(price * 1e6)],
    )
  }
  const happen = async (...happenings: Happening[]): Promise<void> => {
    for (const [externalId, type, daysAgo, more = {}] of happenings) {
      const { product: item, price, quantity, currency = 'EUR', value, event, channel } = more
      const properties = event || channel ? JSON.stringify({ event, channel }) : null
      await database.sql(
        `INSERT INTO "Event" ("messageId", "userId", "productId", type, quantity, "priceMicros", "currencyCode", value, "occurredAt", "receivedAt", properties)
         SELECT $1, u.id, (SELECT id FROM "Product" WHERE "externalId" = $3), $4::"EventType", $5, $6, $7, $8, $9, $10, $11 FROM "User" u WHERE u."externalId" = $2`,
        [
          `m${++number}`,
          externalId,
          item ?? null,
          type,
          quantity ?? null,
          price === undefined ? null : Math.round(price * 1e6),
          price === undefined ? null : currency,
          value ?? null,
          new Date(now.getTime() - daysAgo * DAY_MS),
          now,
          properties,
        ],
      )
    }
  }
  return { user, product, happen }
}

/** A shop in which nothing was learned yet. */
export const noModels = { live: () => undefined, baseline: () => undefined }
