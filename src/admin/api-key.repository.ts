import type { Database } from '../platform/database.js'
import type { ApiKey, Prisma } from '../platform/generated/prisma/client.js'

/** A key's stored row; the secret itself is nowhere. */
export type ApiKeyRow = ApiKey

export interface ApiKeyPage {
  after?: { createdAt: Date; id: string }
  limit: number
  includeInactive: boolean
  now: Date
}

export class ApiKeyRepository {
  constructor(private readonly database: Database) {}

  byPrefix(prefix: string): Promise<ApiKeyRow | undefined> {
    return this.database.sql<ApiKeyRow>('SELECT * FROM "ApiKey" WHERE prefix = $1', [prefix], 'api-key-by-prefix').then(rows => rows[0])
  }

  byId(id: string): Promise<ApiKeyRow | null> {
    return this.database.prisma.apiKey.findUnique({ where: { id } })
  }

  page({ after, limit, includeInactive, now }: ApiKeyPage): Promise<ApiKeyRow[]> {
    const isAfter = after && { OR: [{ createdAt: { gt: after.createdAt } }, { createdAt: after.createdAt, id: { gt: after.id } }] }
    return this.database.prisma.apiKey.findMany({
      where: { AND: [activeUnless(includeInactive, now), isAfter ?? {}] },
      orderBy: [{ createdAt: 'asc' }, { id: 'asc' }],
      take: limit,
    })
  }

  count(includeInactive: boolean, now: Date): Promise<number> {
    return this.database.prisma.apiKey.count({ where: activeUnless(includeInactive, now) })
  }

  create(key: Prisma.ApiKeyCreateInput): Promise<ApiKeyRow> {
    return this.database.prisma.apiKey.create({ data: key })
  }

  /** Creates the successor and lets the old key end, both or none; undefined when the old one was revoked or rotated in the meantime. */
  rotate(oldId: string, oldEndsAt: Date, successor: Prisma.ApiKeyCreateInput): Promise<ApiKeyRow | undefined> {
    return this.database.transaction(async tx => {
      const created = await tx.apiKey.create({ data: successor })
      const { count } = await tx.apiKey.updateMany({
        where: { id: oldId, revokedAt: null, rotatedToId: null },
        data: { expiresAt: oldEndsAt, rotatedToId: created.id },
      })
      if (count === 1) return created
      await tx.apiKey.delete({ where: { id: created.id } })
      return undefined
    })
  }

  /** Revoking twice keeps the first time. */
  async revoke(id: string, at: Date): Promise<void> {
    await this.database.prisma.apiKey.updateMany({ where: { id, revokedAt: null }, data: { revokedAt: at } })
  }

  /** Revokes all keys of this name and kind but one; returns the prefixes of those that ended. */
  async revokeOthers(name: string, kind: string, keptId: string, at: Date): Promise<string[]> {
    const rows = await this.database.sql<{ prefix: string }>(
      'UPDATE "ApiKey" SET "revokedAt" = $4 WHERE name = $1 AND kind = $2 AND id <> $3 AND "revokedAt" IS NULL RETURNING prefix',
      [name, kind, keptId, at],
    )
    return rows.map(row => row.prefix)
  }

  async setScopes(id: string, scopes: string[]): Promise<void> {
    await this.database.prisma.apiKey.update({ where: { id }, data: { scopes } })
  }

  async markUsed(ids: readonly string[], at: Date): Promise<void> {
    await this.database.sql(
      'UPDATE "ApiKey" SET "lastUsedAt" = $2 WHERE id = ANY($1::text[]) AND ("lastUsedAt" IS NULL OR "lastUsedAt" < $2)',
      [ids, at],
    )
  }
}

function activeUnless(includeInactive: boolean, now: Date): Prisma.ApiKeyWhereInput {
  return includeInactive ? {} : { revokedAt: null, OR: [{ expiresAt: null }, { expiresAt: { gt: now } }] }
}
