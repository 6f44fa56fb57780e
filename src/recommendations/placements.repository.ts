import type { SqlDatabase } from '../platform/database.js'
import { type PlacementRules, rulesFromJson, rulesToJson } from './rules.js'

export interface PlacementRow {
  id: string
  name: string
  description: string | null
  rules: PlacementRules
  version: number
  archivedAt: Date | null
  createdAt: Date
  updatedAt: Date
  updatedBy: string
}

export interface PlacementVersionRow {
  version: number
  description: string | null
  rules: PlacementRules
  changedBy: string
  changedAt: Date
}

/** What an edit writes. */
export interface PlacementContent {
  description: string | null
  rules: PlacementRules
  archived: boolean
}

/** What a visitor bought, was shown, and has in his cart; product ids, with the milliseconds since the epoch of the last time. */
export interface Dealings {
  bought: ReadonlyMap<number, number>
  shown: ReadonlyMap<number, number>
  cart: ReadonlyMap<number, number>
}

interface DealingRow {
  place: number
  productId: number
  bought: Date | null
  refunded: Date | null
  shown: Date | null
  added: Date | null
  removed: Date | null
}

/** Newest events of a user that are looked through. */
const LOOKED_AT = 5_000
/** By the place of each asked user in the list, as of the moment that stands beside him; one plan for any number of them, as of visitors. */
const DEALINGS = `SELECT wanted.place::int AS place, e."productId", max("occurredAt") FILTER (WHERE type = 'PURCHASE') AS bought,
    max("occurredAt") FILTER (WHERE type = 'REFUND') AS refunded, max("occurredAt") FILTER (WHERE type = 'IMPRESSION') AS shown,
    max("occurredAt") FILTER (WHERE type = 'ADD_TO_CART') AS added, max("occurredAt") FILTER (WHERE type = 'REMOVE_FROM_CART') AS removed
  FROM unnest((SELECT $1::int[]), (SELECT $2::timestamptz[])) WITH ORDINALITY AS wanted(id, at, place)
  CROSS JOIN LATERAL (SELECT "productId", type, "occurredAt" FROM "Event" WHERE "userId" = wanted.id AND (wanted.at IS NULL OR ("occurredAt" < wanted.at
    AND "receivedAt" < wanted.at)) AND "productId" IS NOT NULL AND type IN ('PURCHASE', 'REFUND', 'IMPRESSION', 'ADD_TO_CART', 'REMOVE_FROM_CART')
    ORDER BY "occurredAt" DESC LIMIT ${LOOKED_AT}) e
  GROUP BY 1, 2`

/** Whose dealings, and as of when: by what was known at that time; as of now unless given. */
export interface Moment {
  userId: number
  at?: Date
}

export class PlacementsRepository {
  constructor(private readonly database: SqlDatabase) {}

  /** Of what `work` writes nothing stays. */
  rehearse<T>(work: (dry: PlacementsRepository) => Promise<T>): Promise<T> {
    return this.database.rehearse(dry => work(new PlacementsRepository(dry)))
  }

  async byName(name: string): Promise<PlacementRow | undefined> {
    return (await this.rows('WHERE name = $1', [name]))[0]
  }

  async byId(id: string): Promise<PlacementRow | undefined> {
    return (await this.rows('WHERE id = $1', [id]))[0]
  }

  /** All there are, for memory; a shop has dozens. */
  all(): Promise<PlacementRow[]> {
    return this.rows('ORDER BY name', [])
  }

  page(after: { createdAt: string; id: string } | undefined, limit: number): Promise<PlacementRow[]> {
    return this.rows(
      'WHERE "archivedAt" IS NULL AND ($1::timestamptz IS NULL OR ("createdAt", id) > ($1, $2)) ORDER BY "createdAt", id LIMIT $3',
      [after?.createdAt ?? null, after?.id ?? null, limit],
    )
  }

  async count(): Promise<number> {
    const [row] = await this.database.sql<{ count: number }>('SELECT count(*)::int AS count FROM "Placement" WHERE "archivedAt" IS NULL')
    return row.count
  }

  /** Undefined when the name is taken. */
  async create(placement: PlacementContent & { id: string; name: string; by: string }): Promise<PlacementRow | undefined> {
    const [row] = await this.database.sql<PlacementRow>(
      `WITH made AS (INSERT INTO "Placement" (id, name, description, rules, "updatedBy") VALUES ($1, $2, $3, $4::jsonb, $5) ON CONFLICT (name) DO NOTHING RETURNING *),
         kept AS (INSERT INTO "PlacementVersion" ("placementId", version, description, rules, "changedBy") SELECT id, version, description, rules, "updatedBy" FROM made)
       SELECT * FROM made`,
      [placement.id, placement.name, placement.description, rulesToJson(placement.rules), placement.by],
    )
    return row && revived(row)
  }

  /** The next version; undefined when the placement is not at `version` any more. */
  async update(
    id: string,
    version: number,
    { description, rules, archived }: PlacementContent,
    by: string,
  ): Promise<PlacementRow | undefined> {
    const [row] = await this.database.sql<PlacementRow>(
      `WITH changed AS (UPDATE "Placement" SET description = $3, rules = $4::jsonb, "archivedAt" = CASE WHEN $5 THEN coalesce("archivedAt", now()) END,
           "updatedBy" = $6, "updatedAt" = now(), version = version + 1 WHERE id = $1 AND version = $2 RETURNING *),
         kept AS (INSERT INTO "PlacementVersion" ("placementId", version, description, rules, "changedBy") SELECT id, version, description, rules, "updatedBy" FROM changed)
       SELECT * FROM changed`,
      [id, version, description, rulesToJson(rules), archived, by],
    )
    return row && revived(row)
  }

  /** Newest first. */
  async versions(placementIds: readonly string[]): Promise<(PlacementVersionRow & { placementId: string })[]> {
    const rows = await this.database.sql<PlacementVersionRow & { placementId: string }>(
      'SELECT * FROM "PlacementVersion" WHERE "placementId" = ANY($1::text[]) ORDER BY "placementId", version DESC',
      [placementIds],
    )
    return rows.map(revived)
  }

  /** What each of these users bought (and kept), was shown, and had in the cart. */
  async dealings(moments: readonly Moment[]): Promise<Dealings[]> {
    const rows = await this.database.sql<DealingRow>(
      DEALINGS,
      [moments.map(({ userId }) => userId), moments.map(({ at }) => at ?? null)],
      'dealings',
    )
    const byPlace = moments.map((): DealingRow[] => [])
    for (const row of rows) byPlace[row.place - 1].push(row)
    return byPlace.map(own => {
      const latest = (timeOf: (row: DealingRow) => Date | null) =>
        new Map(own.flatMap(row => (timeOf(row) === null ? [] : [[row.productId, (timeOf(row) as Date).getTime()]])))
      return {
        bought: latest(({ bought, refunded }) => (isAfter(bought, refunded) ? bought : null)),
        shown: latest(({ shown }) => shown),
        cart: latest(({ added, removed, bought }) => (isAfter(added, removed) && isAfter(added, bought) ? added : null)),
      }
    })
  }

  /** A user who did something lately, for previews. */
  async somebody(): Promise<string | undefined> {
    const [row] = await this.database.sql<{ externalId: string }>(
      `SELECT "externalId" FROM (SELECT "userId" FROM "Event" WHERE "productId" IS NOT NULL ORDER BY id DESC LIMIT 100) recent
       JOIN "User" u ON u.id = recent."userId" WHERE "mergedIntoId" IS NULL LIMIT 1`,
    )
    return row?.externalId
  }

  /** Ids of the newest products, newest first. */
  async newestProducts(limit: number): Promise<number[]> {
    const rows = await this.database.sql<{ id: number }>(
      'SELECT id FROM "Product" WHERE NOT stub ORDER BY id DESC LIMIT $1',
      [limit],
      'products-newest',
    )
    return rows.map(row => row.id)
  }

  /** For each of these products those up to the `last` id that share its brand or most of its categories, of equals the newest. */
  productsLike(ids: readonly number[], last: number, limit: number): Promise<{ of: number; id: number }[]> {
    return this.database.sql(
      `SELECT n.id AS "of", l.id FROM "Product" n CROSS JOIN LATERAL (
         SELECT id FROM (
           SELECT p.id FROM unnest(ARRAY(SELECT DISTINCT unnest(n.categories))) AS own(category) JOIN "Product" p ON p.categories @> ARRAY[own.category] WHERE NOT p.stub
           UNION ALL SELECT p.id FROM "Product" p WHERE p.brand = n.brand AND NOT p.stub) shared(id)
         WHERE id <= $2 AND id <> n.id GROUP BY id ORDER BY count(*) DESC, id DESC LIMIT $3) l
       WHERE n.id = ANY($1::int[])`,
      [ids, last, limit],
      'products-like',
    )
  }

  private async rows(rest: string, values: unknown[]): Promise<PlacementRow[]> {
    return (await this.database.sql<PlacementRow>(`SELECT * FROM "Placement" ${rest}`, values)).map(revived)
  }
}

function revived<Row extends { rules: PlacementRules }>(row: Row): Row {
  return { ...row, rules: rulesFromJson(row.rules) }
}

function isAfter(time: Date | null, other: Date | null): boolean {
  return time !== null && (other === null || time > other)
}
