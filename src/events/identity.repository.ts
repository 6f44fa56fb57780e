import type pg from 'pg'
import type { SqlDatabase } from '../platform/database.js'
import { Conflict, NotFound } from '../platform/errors.js'
import { v7 } from '../platform/uuid.js'

export interface MergeRow {
  id: string
  fromUserId: number
  intoUserId: number
  evidence: string
  mergedAt: Date
  undoneAt: Date | null
}

/** What a merge moved, so that it can be put back. */
interface Moved {
  events: number[]
  reviews: string[]
  aliases: string[]
  /** Records that had been merged into the one that is merged now. */
  users: number[]
  /** Facts and traits the person's record lacked and took over. */
  facts: Record<string, unknown>
  traits?: Record<string, unknown>
  consents: { purpose: string; before: { granted: boolean; at: string; source: string } | null }[]
  /** Stays in segments that ended with the merge. */
  memberships: { segmentId: string; joinedAt: string }[]
  wasSuppressed: boolean
}

type Taken = Pick<Moved, 'facts' | 'traits' | 'consents' | 'wasSuppressed'>

interface Person {
  id: number
  externalId: string
  anonymous: boolean
  mergedIntoId: number | null
  email: string | null
  phone: string | null
}

const FACTS = ['email', 'phone', 'name', 'gender', 'birthYear', 'city', 'country', 'locale', 'timeZone'] as const
const PERSON = 'id, "externalId", anonymous, "mergedIntoId", email, phone'

/** Who is who: anonymous visitors become part of the person they turn out to be, and can be taken apart again. */
export class IdentityRepository {
  constructor(private readonly database: SqlDatabase) {}

  /** Of what `work` writes nothing stays. */
  rehearse<T>(work: (dry: IdentityRepository) => Promise<T>): Promise<T> {
    return this.database.rehearse(dry => work(new IdentityRepository(dry)))
  }

  /**
   * From now on the events of this anonymous id belong to the user of that external id; what the visitor did before moves there too. `identify` on a device
   * that belonged to another known person only hands the device over. `alias` says that two ids are one person, and is refused when both are known.
   */
  async link(anonymousId: string, externalId: string, evidence: string): Promise<void> {
    await this.inTransaction(async client => {
      const person = await this.personOf(client, externalId)
      if (!person) throw new NotFound('No user has this externalId', {}, ['userId'])
      const visitor = await this.visitorOf(client, anonymousId, evidence)
      if (visitor && visitor.id !== person.id) {
        const quarrel = quarrelOf(visitor, person)
        if (!quarrel) await this.merge(client, visitor, person, evidence)
        else if (evidence !== 'identify')
          throw new Conflict(`${anonymousId} and ${externalId} are not merged: ${quarrel}`, 'POLICY_BLOCKED', {}, ['previousId'])
      }
      await client.query(
        `INSERT INTO "UserAlias" ("anonymousId", "userId", evidence) VALUES ($1, $2, $3)
         ON CONFLICT ("anonymousId") DO UPDATE SET "userId" = EXCLUDED."userId", evidence = EXCLUDED.evidence, "linkedAt" = now() WHERE "UserAlias"."userId" <> EXCLUDED."userId"`,
        [anonymousId, person.id, evidence],
      )
    })
  }

  /** Merges one record into another because a person says so. Throws `Conflict` when unique ids disagree. */
  async mergeUsers(fromId: number, intoId: number, evidence: string): Promise<void> {
    await this.inTransaction(async client => {
      const { rows } = await client.query<Person>(`SELECT ${PERSON} FROM "User" WHERE id = ANY($1::int[]) ORDER BY id FOR UPDATE`, [
        [fromId, intoId],
      ])
      const [from, into] = [fromId, intoId].map(id => rows.find(row => row.id === id))
      if (!from) throw new NotFound('No user has this id', {}, ['fromUserId'])
      if (!into) throw new NotFound('No user has this id', {}, ['intoUserId'])
      const quarrel = quarrelOf(from, into)
      if (quarrel) throw new Conflict(`These records are not merged: ${quarrel}`, 'POLICY_BLOCKED', {}, ['fromUserId'])
      await this.merge(client, from, into, evidence)
    })
  }

  /** Takes a merge back: events, reviews, aliases, facts, consents and memberships return to where they were. Returns the ids of both records. */
  async unmerge(mergeId: string): Promise<{ fromUserId: number; intoUserId: number }> {
    return this.inTransaction(async client => {
      const found = await client.query<MergeRow & { moved: Moved }>('SELECT * FROM "IdentityMerge" WHERE id = $1 FOR UPDATE', [mergeId])
      const [row] = found.rows
      if (!row) throw new NotFound('No merge has this id', {}, ['mergeId'])
      const { fromUserId, intoUserId, moved, mergedAt } = row
      if (row.undoneAt) throw new Conflict('This merge was undone before', 'ILLEGAL_TRANSITION', { undoneAt: row.undoneAt }, ['mergeId'])
      const { rows: people } = await client.query<Person>(`SELECT ${PERSON} FROM "User" WHERE id = ANY($1::int[]) ORDER BY id FOR UPDATE`, [
        [fromUserId, intoUserId],
      ])
      if (people.length < 2) throw new Conflict('One of the two records is gone', 'ILLEGAL_TRANSITION', {}, ['mergeId'])
      if (people.find(person => person.id === intoUserId)?.mergedIntoId)
        throw new Conflict('The record it was merged into was merged itself later; undo that first', 'ILLEGAL_TRANSITION', {}, ['mergeId'])
      const both = [fromUserId, intoUserId]
      await client.query('UPDATE "Event" SET "userId" = $1 WHERE id = ANY($3::bigint[]) AND "userId" = $2', [...both, moved.events])
      await client.query('UPDATE "Review" SET "userId" = $1 WHERE id = ANY($3::text[]) AND "userId" = $2', [...both, moved.reviews])
      await client.query('UPDATE "UserAlias" SET "userId" = $1 WHERE "anonymousId" = ANY($3::text[]) AND "userId" = $2', [
        ...both,
        moved.aliases,
      ])
      await client.query('UPDATE "User" SET "mergedIntoId" = $1 WHERE id = ANY($3::int[]) AND "mergedIntoId" = $2', [...both, moved.users])
      await this.giveBack(client, row)
      await client.query(
        `WITH back AS (UPDATE "SegmentMember" m SET "leftAt" = NULL FROM unnest($2::text[], $3::timestamptz[]) AS s(segment, joined)
           WHERE m."userId" = $1 AND m."segmentId" = s.segment AND m."joinedAt" = s.joined AND m."leftAt" = $4 RETURNING m."segmentId" AS id)
         UPDATE "Segment" s SET size = size + 1 FROM (SELECT id FROM "Segment" WHERE id IN (SELECT id FROM back) ORDER BY id FOR UPDATE) locked WHERE s.id = locked.id`,
        [fromUserId, moved.memberships.map(each => each.segmentId), moved.memberships.map(each => each.joinedAt), mergedAt],
      )
      await client.query('UPDATE "User" SET "mergedIntoId" = NULL WHERE id = $1', [fromUserId])
      await client.query('UPDATE "IdentityMerge" SET "undoneAt" = now() WHERE id = $1', [mergeId])
      await this.takeAgain(client, row)
      await this.touch(client, both)
      return { fromUserId, intoUserId }
    })
  }

  /** What is known of a user, as far as merges move it. */
  async knownOf(userId: number): Promise<Record<string, unknown>> {
    const [row] = await this.database.sql<Record<string, unknown>>(
      `SELECT ${FACTS.map(name => `u."${name}"`).join(', ')}, u.traits, (SELECT f."externalId" FROM "User" f WHERE f.id = u."mergedIntoId") AS "mergedInto",
         (SELECT count(*)::int FROM "Event" e WHERE e."userId" = u.id) AS events, (SELECT count(*)::int FROM "Review" r WHERE r."userId" = u.id) AS reviews,
         (SELECT coalesce(jsonb_object_agg(c.purpose, c.granted), '{}') FROM "Consent" c WHERE c."userId" = u.id) AS consents,
         EXISTS (SELECT 1 FROM "Suppression" s WHERE s."userId" = u.id) AS suppressed
       FROM "User" u WHERE u.id = $1`,
      [userId],
    )
    return row ?? {}
  }

  /** Merges of these users, newest first. */
  mergesOf(userIds: readonly number[]): Promise<MergeRow[]> {
    return this.database.sql(
      `SELECT id, "fromUserId", "intoUserId", evidence, "mergedAt", "undoneAt" FROM "IdentityMerge" WHERE "fromUserId" = ANY($1::int[]) OR "intoUserId" = ANY($1::int[])
       ORDER BY "mergedAt" DESC, id DESC`,
      [userIds],
      'merges-of-users',
    )
  }

  /** Events that were on their way to a record while it was merged follow it. Returns how many. */
  async gatherStrays(): Promise<number> {
    const strays = await this.database.sql<{ id: string }>(
      `SELECT m.id FROM "IdentityMerge" m WHERE m."undoneAt" IS NULL AND EXISTS (SELECT 1 FROM "Event" e WHERE e."userId" = m."fromUserId")`,
    )
    let gathered = 0
    for (const { id } of strays) {
      gathered += await this.inTransaction(async client => {
        const { rows } = await client.query<MergeRow>('SELECT * FROM "IdentityMerge" WHERE id = $1 AND "undoneAt" IS NULL FOR UPDATE', [id])
        if (rows.length === 0) return 0
        const events = await client.query<{ id: string }>(
          'UPDATE "Event" SET "userId" = (SELECT coalesce("mergedIntoId", id) FROM "User" WHERE id = $2) WHERE "userId" = $1 RETURNING id',
          [rows[0].fromUserId, rows[0].fromUserId],
        )
        await client.query(
          `UPDATE "IdentityMerge" SET moved = jsonb_set(moved, '{events}', (moved->'events') || $2::jsonb) WHERE id = $1`,
          [id, JSON.stringify(events.rows.map(row => Number(row.id)))],
        )
        await this.touch(client, [rows[0].intoUserId])
        return events.rows.length
      })
    }
    return gathered
  }

  private async merge(client: pg.PoolClient, from: Person, into: Person, evidence: string): Promise<void> {
    const both = [from.id, into.id]
    const ids = async <Id>(statement: string) => (await client.query<{ id: Id }>(statement, both)).rows.map(row => row.id)
    const events = (await ids<string>('UPDATE "Event" SET "userId" = $2 WHERE "userId" = $1 RETURNING id')).map(Number)
    const reviews = await ids<string>('UPDATE "Review" SET "userId" = $2 WHERE "userId" = $1 RETURNING id')
    const aliases = await ids<string>('UPDATE "UserAlias" SET "userId" = $2 WHERE "userId" = $1 RETURNING "anonymousId" AS id')
    const users = await ids<number>('UPDATE "User" SET "mergedIntoId" = $2 WHERE "mergedIntoId" = $1 RETURNING id')
    const taken = await this.take(client, from.id, into.id)
    const mergedAt = new Date()
    const stays = await client.query<{ segmentId: string; joinedAt: Date }>(
      'UPDATE "SegmentMember" SET "leftAt" = $2 WHERE "userId" = $1 AND "leftAt" IS NULL RETURNING "segmentId", "joinedAt"',
      [from.id, mergedAt],
    )
    const memberships = stays.rows.map(({ segmentId, joinedAt }) => ({ segmentId, joinedAt: joinedAt.toISOString() }))
    await client.query(
      `UPDATE "Segment" s SET size = greatest(0, size - 1) FROM (SELECT id FROM "Segment" WHERE id = ANY($1) ORDER BY id FOR UPDATE) locked WHERE s.id = locked.id`,
      [memberships.map(each => each.segmentId)],
    )
    await client.query('UPDATE "User" SET "mergedIntoId" = $2 WHERE id = $1', both)
    const moved: Moved = { events, reviews, aliases, users, memberships, ...taken }
    await client.query(
      'INSERT INTO "IdentityMerge" (id, "fromUserId", "intoUserId", evidence, moved, "mergedAt") VALUES ($1, $2, $3, $4, $5, $6)',
      [v7(), from.id, into.id, evidence, JSON.stringify(moved), mergedAt],
    )
    await this.touch(client, both)
  }

  /** What a record learns of the one that becomes part of it. */
  private async take(client: pg.PoolClient, fromId: number, intoId: number): Promise<Taken> {
    const facts = await this.takeFacts(client, fromId, intoId)
    const traits = await this.takeTraits(client, fromId, intoId)
    const consents = await this.takeConsents(client, fromId, intoId)
    const suppressed = await client.query(
      'INSERT INTO "Suppression" ("userId", reason, at) SELECT $2, reason, at FROM "Suppression" WHERE "userId" = $1 ON CONFLICT DO NOTHING RETURNING 1',
      [fromId, intoId],
    )
    return { facts, traits, consents, wasSuppressed: (suppressed.rowCount ?? 0) > 0 }
  }

  /** What was taken over goes, unless it was said anew since. */
  private async giveBack(client: pg.PoolClient, { id, fromUserId, intoUserId, moved }: MergeRow & { moved: Moved }): Promise<void> {
    for (const [name, value] of Object.entries(moved.facts))
      await client.query(`UPDATE "User" SET "${FACTS.find(fact => fact === name)}" = NULL WHERE id = $1 AND "${name}" = $2`, [
        intoUserId,
        value,
      ])
    for (const [name, value] of Object.entries(moved.traits ?? {}))
      await client.query('UPDATE "User" SET traits = traits - $2::text WHERE id = $1 AND traits->$2::text = $3::jsonb', [
        intoUserId,
        name,
        JSON.stringify(value),
      ])
    for (const { purpose, before } of moved.consents) {
      // A later merge that found this consent finds now what this merge had found.
      await client.query(
        `UPDATE "IdentityMerge" m SET moved = jsonb_set(moved, '{consents}', (SELECT jsonb_agg(CASE WHEN c->>'purpose' = $3::text AND (c->'before'->>'at')::timestamptz = f.at
             THEN jsonb_set(c, '{before}', $4::jsonb) ELSE c END) FROM jsonb_array_elements(moved->'consents') AS c))
         FROM "Consent" f WHERE f."userId" = $1 AND f.purpose = $3::text::"Purpose" AND m."intoUserId" = $2 AND m."undoneAt" IS NULL AND m.id <> $5 AND moved->'consents' <> '[]'`,
        [fromUserId, intoUserId, purpose, JSON.stringify(before), id],
      )
      const untouched = `"userId" = $1 AND purpose = $2::"Purpose" AND at = (SELECT at FROM "Consent" WHERE "userId" = $3 AND purpose = $2::"Purpose")`
      if (before)
        await client.query(`UPDATE "Consent" SET granted = $4, at = $5, source = $6 WHERE ${untouched}`, [
          intoUserId,
          purpose,
          fromUserId,
          before.granted,
          before.at,
          before.source,
        ])
      else await client.query(`DELETE FROM "Consent" WHERE ${untouched}`, [intoUserId, purpose, fromUserId])
    }
    if (moved.wasSuppressed)
      await client.query('DELETE FROM "Suppression" i USING "Suppression" f WHERE i."userId" = $1 AND f."userId" = $2 AND i.at = f.at', [
        intoUserId,
        fromUserId,
      ])
  }

  /** Records that are still part of the person may bring what the one that left had brought before them. */
  private async takeAgain(client: pg.PoolClient, { intoUserId }: MergeRow): Promise<void> {
    const { rows } = await client.query<MergeRow & { moved: Moved }>(
      'SELECT * FROM "IdentityMerge" WHERE "intoUserId" = $1 AND "undoneAt" IS NULL ORDER BY "mergedAt", id FOR UPDATE',
      [intoUserId],
    )
    for (const { id, fromUserId, moved } of rows) {
      const { facts, traits, consents, wasSuppressed } = await this.take(client, fromUserId, intoUserId)
      const now: Moved = {
        ...moved,
        facts: { ...moved.facts, ...facts },
        traits: { ...moved.traits, ...traits },
        consents: [...moved.consents.filter(({ purpose }) => !consents.some(each => each.purpose === purpose)), ...consents],
        wasSuppressed: moved.wasSuppressed || wasSuppressed,
      }
      await client.query('UPDATE "IdentityMerge" SET moved = $2 WHERE id = $1', [id, JSON.stringify(now)])
    }
  }

  /** Facts that the person's record lacks. */
  private async takeFacts(client: pg.PoolClient, fromId: number, intoId: number): Promise<Record<string, unknown>> {
    const { rows } = await client.query<Record<string, unknown>>(
      `SELECT ${FACTS.map(name => `"${name}"`).join(', ')} FROM "User" WHERE id = $1`,
      [fromId],
    )
    const facts: Record<string, unknown> = {}
    for (const name of FACTS) {
      if (rows[0][name] === null) continue
      const { rowCount } = await client.query(`UPDATE "User" SET "${name}" = $2 WHERE id = $1 AND "${name}" IS NULL`, [
        intoId,
        rows[0][name],
      ])
      if (rowCount) facts[name] = rows[0][name]
    }
    return facts
  }

  /** Traits whose names the person's record does not have. */
  private async takeTraits(client: pg.PoolClient, fromId: number, intoId: number): Promise<Record<string, unknown>> {
    const { rows } = await client.query<{ traits: Record<string, unknown> | null }>(
      `SELECT jsonb_object_agg(t.key, t.value) AS traits FROM "User" f CROSS JOIN LATERAL jsonb_each(f.traits) AS t JOIN "User" i ON i.id = $2
       WHERE f.id = $1 AND NOT i.traits ? t.key`,
      [fromId, intoId],
    )
    const traits = rows[0].traits ?? {}
    await client.query('UPDATE "User" SET traits = $2::jsonb || traits WHERE id = $1', [intoId, JSON.stringify(traits)])
    return traits
  }

  /** For each purpose, what was said last holds. */
  private async takeConsents(client: pg.PoolClient, fromId: number, intoId: number): Promise<Moved['consents']> {
    const { rows } = await client.query<{ purpose: string; granted: boolean | null; at: Date; source: string }>(
      `SELECT f.purpose::text AS purpose, i.granted, i.at, i.source FROM "Consent" f LEFT JOIN "Consent" i ON i."userId" = $2 AND i.purpose = f.purpose
       WHERE f."userId" = $1 AND (i.at IS NULL OR f.at > i.at)`,
      [fromId, intoId],
    )
    await client.query(
      `INSERT INTO "Consent" ("userId", purpose, granted, at, source) SELECT $2, purpose, granted, at, source FROM "Consent" WHERE "userId" = $1
       ON CONFLICT ("userId", purpose) DO UPDATE SET granted = EXCLUDED.granted, at = EXCLUDED.at, source = EXCLUDED.source WHERE EXCLUDED.at > "Consent".at`,
      [fromId, intoId],
    )
    return rows.map(({ purpose, granted, at, source }) => ({
      purpose,
      before: granted === null ? null : { granted, at: at.toISOString(), source },
    }))
  }

  /** Profiles and segments of these users are looked at anew. */
  private async touch(client: pg.PoolClient, userIds: readonly number[]): Promise<void> {
    await client.query(`UPDATE "User" SET version = version + 1, "updatedAt" = now() WHERE id = ANY($1::int[])`, [userIds])
    await client.query(
      'DELETE FROM "UserProfile" p USING "User" u WHERE u.id = p."userId" AND u.id = ANY($1::int[]) AND u."mergedIntoId" IS NOT NULL',
      [userIds],
    )
  }

  /** The record of an external id, or the one it was merged into. */
  private async personOf(client: pg.PoolClient, externalId: string): Promise<Person | undefined> {
    const { rows } = await client.query<Person>(
      `SELECT ${PERSON} FROM "User" WHERE id = (SELECT coalesce("mergedIntoId", id) FROM "User" WHERE "externalId" = $1) FOR UPDATE`,
      [externalId],
    )
    return rows[0]
  }

  /** Whom an anonymous id stands for now; an alias may also name a known person. */
  private async visitorOf(client: pg.PoolClient, anonymousId: string, evidence: string): Promise<Person | undefined> {
    const { rows } = await client.query<Person>(
      `SELECT ${PERSON} FROM "User" WHERE id = coalesce((SELECT "userId" FROM "UserAlias" WHERE "anonymousId" = $1),
         (SELECT coalesce("mergedIntoId", id) FROM "User" WHERE "externalId" = 'anonymous:' || $1),
         (SELECT coalesce("mergedIntoId", id) FROM "User" WHERE "externalId" = $1 AND $2)) FOR UPDATE`,
      [anonymousId, evidence === 'alias'],
    )
    return rows[0]
  }

  private inTransaction<T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    return this.database.withClient(async client => {
      await client.query('BEGIN')
      try {
        const result = await work(client)
        await client.query('COMMIT')
        return result
      } catch (error) {
        await client.query('ROLLBACK').catch(() => {})
        throw error
      }
    })
  }
}

/** Why two records cannot be one person, or nothing. */
function quarrelOf(from: Person, into: Person): string | undefined {
  if (from.id === into.id) return 'they are the same record'
  if (from.mergedIntoId ?? into.mergedIntoId) return 'one of them was merged already'
  if (!from.anonymous) return `${from.externalId} is the id of another known person`
  for (const name of ['email', 'phone'] as const)
    if (from[name] && into[name] && from[name].toLowerCase() !== into[name].toLowerCase()) return `their ${name} differs`
  return undefined
}
