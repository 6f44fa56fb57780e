import type { Database } from '../platform/database.js'
import type { AudienceExport } from '../platform/generated/prisma/client.js'
import type { Hold } from './audiences.repository.js'
import type { Member } from './export-formats.js'

export interface ExportCounts {
  rows: number
  /** of the rows */
  withoutEmail: number
  withoutPhone: number
  /** members who were left out */
  withoutIdentifier: number
  withoutConsent: number
  suppressed: number
}

export type ExportRow = Omit<AudienceExport, 'counts'> & { counts: Partial<ExportCounts> }

export type ExportMember = Member & { userId: number; isSuppressed: boolean; hasConsent: boolean }

const ELIGIBILITY = `FROM "AudienceMember" m JOIN "User" u ON u.id = m."userId" AND u."mergedIntoId" IS NULL
  LEFT JOIN "Suppression" s ON s."userId" = u.id LEFT JOIN "Consent" c ON c."userId" = u.id AND c.purpose = $2::"Purpose" WHERE m."audienceId" = $1`

/** Exports of audiences, where they stand, and the pages of their files. */
export class ExportsRepository {
  constructor(private readonly database: Database) {}

  async create(row: {
    id: string
    audienceId: string
    builtAt: Date
    format: string
    purpose: string
    webhookUrl: string | null
    pageSize: number
    createdBy: string
    expiresAt: Date
  }): Promise<void> {
    await this.database.sql(
      `INSERT INTO "AudienceExport" (id, "audienceId", "builtAt", format, purpose, "webhookUrl", "pageSize", "createdBy", "expiresAt")
         VALUES ($1, $2, $3, $4::"AudienceExportFormat", $5::"Purpose", $6, $7, $8, $9)`,
      [row.id, row.audienceId, row.builtAt, row.format, row.purpose, row.webhookUrl, row.pageSize, row.createdBy, row.expiresAt],
    )
  }

  async get(id: string): Promise<ExportRow | undefined> {
    const [row] = await this.database.sql<ExportRow>('SELECT * FROM "AudienceExport" WHERE id = $1', [id])
    return row
  }

  /** The next members in the order of their ids, those too who must be left out. */
  members({
    audienceId,
    purpose,
    lastUserId,
    pageSize,
  }: Pick<ExportRow, 'audienceId' | 'purpose' | 'lastUserId' | 'pageSize'>): Promise<ExportMember[]> {
    return this.database.sql(
      `SELECT u.id AS "userId", u."externalId", u.email, u.phone, u.name, u.gender, u."birthYear", u.city, u.country, m.score,
         coalesce(u.traits->>'firstName', u.traits->>'first_name') AS "firstName", coalesce(u.traits->>'lastName', u.traits->>'last_name') AS "lastName",
         coalesce(u.traits->>'zip', u.traits->>'postalCode', u.traits->'address'->>'postalCode') AS zip,
         s."userId" IS NOT NULL AS "isSuppressed", coalesce(c.granted, false) AS "hasConsent" ${ELIGIBILITY} AND m."userId" > $3 ORDER BY m."userId" LIMIT $4`,
      [audienceId, purpose, lastUserId, pageSize],
      'audience-export-members',
    )
  }

  async total(audienceId: string): Promise<number> {
    const [{ count }] = await this.database.sql<{ count: number }>(
      'SELECT count(*)::int AS count FROM "AudienceMember" WHERE "audienceId" = $1',
      [audienceId],
    )
    return count
  }

  /** Moves on by one page in one transaction, with the page's bytes if it is one of a file. An attempt that was overtaken is refused. */
  async advance(
    row: ExportRow,
    step: { lastUserId: number; counts: ExportCounts; data?: Buffer; finishedAt: Date | null },
    hold: Hold,
  ): Promise<ExportRow> {
    return this.database.withClient(async client => {
      const sql = async (text: string, params: unknown[]) => (await client.query(text, params)).rows
      await client.query('BEGIN')
      try {
        await hold(sql)
        if (step.data)
          await sql('INSERT INTO "AudienceExportPage" ("exportId", page, "startsAt", data) VALUES ($1, $2, $3, $4)', [
            row.id,
            row.pages,
            row.bytes,
            step.data,
          ])
        const [moved] = await sql(
          `UPDATE "AudienceExport" SET pages = pages + 1, "lastUserId" = $3, counts = $4, bytes = bytes + $5, "finishedAt" = $6
             WHERE id = $1 AND pages = $2 RETURNING *`,
          [row.id, row.pages, step.lastUserId, JSON.stringify(step.counts), step.data?.length ?? 0, step.finishedAt],
        )
        if (!moved) throw new Error('Another attempt is at this export')
        await client.query('COMMIT')
        return { ...moved, bytes: BigInt(moved.bytes) } as ExportRow
      } catch (error) {
        await client.query('ROLLBACK').catch(() => {})
        throw error
      }
    })
  }

  /** Bytes `from` to `to` (exclusive) of a file, a page at a time. */
  async *bytes(id: string, from: number, to: number): AsyncGenerator<Buffer> {
    let at = from
    while (at < to) {
      const [page] = await this.database.sql<{ startsAt: bigint; data: Buffer }>(
        'SELECT "startsAt", data FROM "AudienceExportPage" WHERE "exportId" = $1 AND "startsAt" <= $2 ORDER BY page DESC LIMIT 1',
        [id, at],
      )
      const start = Number(page?.startsAt ?? 0)
      const piece = page?.data.subarray(at - start, to - start)
      // A file that was deleted under its reader breaks off, which the reader sees by the length.
      if (!piece || piece.length === 0) throw new Error('The file is gone')
      at += piece.length
      yield piece
    }
  }

  async discardExpired(now: Date): Promise<number> {
    const rows = await this.database.sql('DELETE FROM "AudienceExport" WHERE "expiresAt" < $1 RETURNING 1', [now])
    return rows.length
  }
}
