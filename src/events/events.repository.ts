import type { Database } from '../platform/database.js'
import type { CleanEvent } from './event-rules.js'
import { IdentityRepository } from './identity.repository.js'

const COLUMNS = ['message', 'user', 'anon', 'product', 'type', 'value', 'quantity', 'price', 'currency', 'at', 'properties'] as const
const TYPES = ['text', 'text', 'text', 'text', 'text', 'float8', 'int', 'bigint', 'text', 'timestamptz', 'text']

/** Rows as they were given to a statement: unnest of one array a column. */
const INPUT = `unnest(${TYPES.map((type, index) => `$${index + 1}::${type}[]`).join(', ')}) WITH ORDINALITY AS i(${COLUMNS.map(name => `"${name}"`).join(', ')}, place)`
/**
 * Whom an event belongs to: the user an anonymous id was linked to, else the user of that external id or the one it was merged into. Each is looked up by
 * its index; as a join, PostgreSQL would rather read all users of a shop of some ten thousand for every batch.
 */
const OWNER = `COALESCE((SELECT a."userId" FROM "UserAlias" a WHERE a."anonymousId" = i.anon), (SELECT coalesce(u."mergedIntoId", u.id) FROM "User" u WHERE u."externalId" = i."user"))`
const PRODUCT = `(SELECT p.id FROM "Product" p WHERE p."externalId" = i.product)`

/** Says whose events it stores, so that whoever remembers others can go on doing so (see `UserChanges`). */
const INSERT = `
  WITH stored AS (
    INSERT INTO "Event" ("messageId", "userId", "productId", type, value, quantity, "priceMicros", "currencyCode", "occurredAt", properties)
    SELECT i.message, i.owner, i."productId", i.type::"EventType", i.value, i.quantity, i.price, i.currency, i.at, i.properties::jsonb
    FROM (SELECT *, ${OWNER} AS owner, ${PRODUCT} AS "productId" FROM ${INPUT} OFFSET 0) i
    WHERE i.owner IS NOT NULL AND (i.product IS NULL OR i."productId" IS NOT NULL)
    ORDER BY i.place
    ON CONFLICT ("messageId") DO NOTHING RETURNING "messageId", "userId"),
  said AS (INSERT INTO "UserChange" (aspect, "userIds") SELECT 'EVENTS', coalesce(array_agg(DISTINCT "userId"), '{}') FROM stored HAVING set_config('bellwether.told', 'on', true) = 'on')
  SELECT "messageId" FROM stored`

/** The events of users; the only place that writes them one batch at a time. */
export class EventsRepository {
  constructor(
    private readonly database: Database,
    private readonly identity = new IdentityRepository(database),
  ) {}

  /** Stores the events whose user and product exist and whose message is new, in one statement. Returns the messages that were stored. */
  async insert(events: readonly CleanEvent[]): Promise<Set<string>> {
    const rows = await this.database.sql<{ messageId: string }>(INSERT, columnsOf(events), 'insert-events')
    return new Set(rows.map(row => row.messageId))
  }

  /** Which of these messages are stored. */
  async known(messageIds: readonly string[]): Promise<Set<string>> {
    if (messageIds.length === 0) return new Set()
    const rows = await this.database.sql<{ messageId: string }>('SELECT "messageId" FROM "Event" WHERE "messageId" = ANY($1)', [messageIds])
    return new Set(rows.map(row => row.messageId))
  }

  /** The users of these anonymous ids and external ids that exist. */
  async knownUsers(externalIds: readonly string[]): Promise<Set<string>> {
    const rows = await this.database.sql<{ externalId: string }>('SELECT "externalId" FROM "User" WHERE "externalId" = ANY($1)', [
      externalIds,
    ])
    return new Set(rows.map(row => row.externalId))
  }

  /** Visitors that nobody has seen before, known by their anonymous id only. */
  async createVisitors(visitors: readonly { user: string; anonymousId: string }[]): Promise<void> {
    if (visitors.length === 0) return
    const sorted = [...visitors].sort((a, b) => (a.user < b.user ? -1 : 1))
    await this.database.sql(
      `WITH made AS (INSERT INTO "User" ("externalId", anonymous) SELECT DISTINCT k, true FROM unnest($1::text[]) AS k ORDER BY k ON CONFLICT ("externalId") DO UPDATE SET anonymous = "User".anonymous RETURNING id, "externalId")
       INSERT INTO "UserAlias" ("anonymousId", "userId") SELECT DISTINCT i.anon, made.id FROM unnest($1::text[], $2::text[]) AS i(k, anon) JOIN made ON made."externalId" = i.k ON CONFLICT DO NOTHING`,
      [sorted.map(visitor => visitor.user), sorted.map(visitor => visitor.anonymousId)],
    )
  }

  /** External id of the user to whom the events of a visitor belong. */
  async ownerOf(anonymousId: string): Promise<string> {
    const [{ owner }] = await this.database.sql<{ owner: string }>(
      'SELECT u."externalId" AS owner FROM "UserAlias" a JOIN "User" u ON u.id = a."userId" WHERE a."anonymousId" = $1',
      [anonymousId],
    )
    return owner
  }

  /** From now on the events of this anonymous id belong to the user; who said so is kept. */
  link(anonymousId: string, externalId: string, evidence: string): Promise<void> {
    return this.identity.link(anonymousId, externalId, evidence)
  }

  /** A review; one with a known external id stays as it is. Returns false then. */
  async addReview(review: {
    id: string
    externalId: string
    user: string
    product: string | null
    text: string
    rating: number | null
    locale: string
    at: Date
  }): Promise<boolean> {
    const rows = await this.database.sql(
      `INSERT INTO "Review" (id, "externalId", "userId", "productId", text, rating, locale, "createdAt")
       SELECT $1, $2, (SELECT id FROM "User" WHERE "externalId" = $3), (SELECT id FROM "Product" WHERE "externalId" = $4), $5, $6, $7, $8 ON CONFLICT ("externalId") DO NOTHING RETURNING 1`,
      [review.id, review.externalId, review.user, review.product, review.text, review.rating, review.locale, review.at],
    )
    return rows.length > 0
  }
}

function columnsOf(events: readonly CleanEvent[]): unknown[][] {
  const columns: unknown[][] = COLUMNS.map(() => new Array(events.length))
  events.forEach((event, row) => {
    columns[0][row] = event.messageId
    columns[1][row] = event.user
    columns[2][row] = event.anonymousId
    columns[3][row] = event.product
    columns[4][row] = event.type
    columns[5][row] = event.value
    columns[6][row] = event.quantity
    columns[7][row] = event.priceMicros === null ? null : event.priceMicros.toString()
    columns[8][row] = event.currency
    columns[9][row] = event.at.toISOString()
    columns[10][row] = event.properties
  })
  return columns
}
