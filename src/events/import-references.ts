import type pg from 'pg'
import { ByteMap } from '../platform/byte-map.js'

/** What becomes of names that nobody knows. */
export type Unknown = 'stub' | 'reject'

/** Between a user and the visitor for whom he was made. */
const VISITED_AS = '\0'
/** More would be memory that the next files want. */
const MOST_KEPT = 200_000
/** After a longer pause a merge may have come and gone out of sight. */
const TRUSTED_MS = 30 * 60_000

/**
 * Database ids of the users and products that the rows of an import name, asked for once and kept, so that a merge of event rows joins nothing. Whoever looks something up begins with `begin`, and
 * has found what he misses: names that nobody knows become stubs, or stay unknown where those are refused.
 */
export class ReferenceCache {
  /** By `userKey`. */
  readonly users = new ByteMap()
  /** By external id. */
  readonly products = new ByteMap()
  private merges = ''
  private lookedAt = 0

  /** Forgets what may not be so any more, and what would be too much. */
  async begin(client: pg.ClientBase) {
    await this.forgetAfterMerges(client)
    if (this.users.size > MOST_KEPT) this.users.clear()
    if (this.products.size > MOST_KEPT) this.products.clear()
  }

  /** Looks these keys up, and makes stubs of whom nobody knows; a visitor becomes one in any case. */
  async findUsers(client: pg.ClientBase, keys: readonly string[], unknown: Unknown) {
    const wanted = keys.map(key => key.split(VISITED_AS))
    const names = [wanted.map(([owner]) => owner), wanted.map(([, anonymousId]) => anonymousId ?? null)]
    await client.query(
      `INSERT INTO "User" ("externalId", anonymous) SELECT i.owner, i.anon IS NOT NULL FROM unnest($1::text[], $2::text[]) AS i(owner, anon)
       LEFT JOIN "User" u ON u."externalId" = i.owner WHERE u.id IS NULL AND ($3 OR i.anon IS NOT NULL) ORDER BY 1 ON CONFLICT DO NOTHING`,
      [...names, unknown === 'stub'],
    )
    if (wanted.some(([, anonymousId]) => anonymousId !== undefined))
      await client.query(
        `INSERT INTO "UserAlias" ("anonymousId", "userId") SELECT i.anon, u.id FROM unnest($1::text[], $2::text[]) AS i(owner, anon)
         JOIN "User" u ON u."externalId" = i.owner WHERE i.anon IS NOT NULL ORDER BY 1 ON CONFLICT DO NOTHING`,
        names,
      )
    const { rows: found } = await client.query<{ n: number; id: number }>(
      `SELECT i.n::int, COALESCE(a."userId", u."mergedIntoId", u.id) AS id FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS i(owner, anon, n)
       JOIN "User" u ON u."externalId" = i.owner LEFT JOIN "UserAlias" a ON a."anonymousId" = i.anon`,
      names,
    )
    for (const { n, id } of found) this.users.set(id, Buffer.from(keys[n - 1]))
  }

  /** The same of external ids of products. */
  async findProducts(client: pg.ClientBase, names: readonly string[], unknown: Unknown) {
    if (unknown === 'stub')
      await client.query(
        `INSERT INTO "Product" ("externalId", title, stub, categories) SELECT i.name, i.name, true, '{}'::text[] FROM unnest($1::text[]) AS i(name)
         LEFT JOIN "Product" p ON p."externalId" = i.name WHERE p.id IS NULL ORDER BY 1 ON CONFLICT DO NOTHING`,
        [names],
      )
    const { rows: found } = await client.query<{ name: string; id: number }>(
      'SELECT "externalId" AS name, id FROM "Product" WHERE "externalId" = ANY($1::text[])',
      [names],
    )
    for (const { name, id } of found) this.products.set(id, Buffer.from(name))
  }

  /**
   * People who were merged or taken apart since have other ids. Only the changes of the last hour are looked at, which no transaction outlasts: all that there ever were would be read again for
   * every batch.
   */
  private async forgetAfterMerges(client: pg.ClientBase) {
    const { rows } = await client.query<{ merges: string }>(
      `SELECT count(*) || ' ' || COALESCE(bit_xor(hashtextextended(id, seed)), 0) AS merges FROM (
         SELECT id, 0 AS seed FROM "IdentityMerge" WHERE "mergedAt" > now() - interval '1 hour'
         UNION ALL SELECT id, 1 FROM "IdentityMerge" WHERE "undoneAt" > now() - interval '1 hour') changes`,
    )
    const time = performance.now()
    if (rows[0].merges !== this.merges || time - this.lookedAt > TRUSTED_MS) this.users.clear()
    this.merges = rows[0].merges
    this.lookedAt = time
  }
}

/** What a row names a person by. External ids hold no NUL, so the two parts cannot be mistaken. */
export function userKey(owner: string, anonymousId: string | null): string {
  return anonymousId === null ? owner : `${owner}${VISITED_AS}${anonymousId}`
}
