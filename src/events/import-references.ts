import type pg from 'pg'

/** The people and the product that a row names, by external id. */
export interface References {
  owner: string
  /** Where the row names a visitor only: `owner` is the user made for the visitor. */
  anonymousId: string | null
  product: string | null
}

export interface Resolved {
  userId: number | undefined
  productId: number | null | undefined
}

/** More would be memory that the next files want. */
const MOST_KEPT = 200_000
/** After a longer pause a merge may have come and gone out of sight. */
const TRUSTED_MS = 30 * 60_000

/**
 * Database ids of the users and products that the rows of an import name, asked for once and kept, so that a merge of event rows joins nothing. Names that nobody
 * knows become stubs in the caller's transaction, or stay undefined where unknown ones are refused. After a rollback, `forget`.
 */
export class ReferenceCache {
  private readonly users = new Map<string, number>()
  private readonly products = new Map<string, number>()
  private merges = ''
  private lookedAt = 0

  async resolve(client: pg.ClientBase, rows: readonly References[], unknown: 'stub' | 'reject'): Promise<Resolved[]> {
    await this.forgetAfterMerges(client)
    if (this.users.size > MOST_KEPT) this.users.clear()
    if (this.products.size > MOST_KEPT) this.products.clear()
    await this.findUsers(client, rows, unknown)
    await this.findProducts(client, rows, unknown)
    return rows.map(row => ({
      userId: this.users.get(userKey(row)),
      productId: row.product === null ? null : this.products.get(row.product),
    }))
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

  private async findUsers(client: pg.ClientBase, rows: readonly References[], unknown: 'stub' | 'reject') {
    const missing = new Map<string, References>()
    for (const row of rows) if (!this.users.has(userKey(row))) missing.set(userKey(row), row)
    if (missing.size === 0) return
    const wanted = [...missing.values()]
    const names = [wanted.map(({ owner }) => owner), wanted.map(({ anonymousId }) => anonymousId)]
    await client.query(
      `INSERT INTO "User" ("externalId", anonymous) SELECT i.owner, i.anon IS NOT NULL FROM unnest($1::text[], $2::text[]) AS i(owner, anon)
       LEFT JOIN "User" u ON u."externalId" = i.owner WHERE u.id IS NULL AND ($3 OR i.anon IS NOT NULL) ORDER BY 1 ON CONFLICT DO NOTHING`,
      [...names, unknown === 'stub'],
    )
    if (wanted.some(({ anonymousId }) => anonymousId !== null))
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
    const keys = [...missing.keys()]
    for (const { n, id } of found) this.users.set(keys[n - 1], id)
  }

  private async findProducts(client: pg.ClientBase, rows: readonly References[], unknown: 'stub' | 'reject') {
    const missing = new Set<string>()
    for (const { product } of rows) if (product !== null && !this.products.has(product)) missing.add(product)
    if (missing.size === 0) return
    const names = [...missing]
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
    for (const { name, id } of found) this.products.set(name, id)
  }
}

/** External ids hold no NUL, so the two parts cannot be mistaken. */
function userKey({ owner, anonymousId }: References): string {
  return anonymousId === null ? owner : `${owner}\0${anonymousId}`
}
