import type { Database } from '../platform/database.js'

/** Looks that find more than this say that anybody may have changed. */
const MOST_ROWS = 1_000
/** Users whose last change is remembered. */
const REMEMBERED = 50_000
/** After so long without a look nothing that was read before holds. */
const STALE_MS = 60_000
/** Rows stay for longer than anybody goes by them: a look may wait for another minute until it is taken. */
const KEPT_MS = 3 * STALE_MS

/**
 * What was committed since the snapshot with this xmax and these transactions under way: those it did not see are the later ones and those that it saw under way.
 * Newest first, as PostgreSQL would read the whole table for the few rows at its end otherwise; the sub-selects hide from it how few, so that it plans once.
 */
const CHANGES = `
  SELECT pg_current_snapshot()::text AS snapshot, CASE WHEN count(*) > ${MOST_ROWS} THEN '*'
    ELSE string_agg(coalesce(array_to_string("userIds", ','), '*'), ',') FILTER (WHERE aspect = ANY($3::"UserAspect"[])) END AS changed
  FROM (
    (SELECT aspect, "userIds" FROM "UserChange" WHERE xact >= (SELECT $1::bigint) ORDER BY xact DESC LIMIT ${MOST_ROWS + 1})
    UNION ALL (SELECT aspect, "userIds" FROM "UserChange" WHERE xact = ANY((SELECT $2::bigint[])::bigint[]) LIMIT ${MOST_ROWS + 1})
  ) told`
const SNAPSHOT = 'SELECT pg_current_snapshot()::text AS snapshot'
/** What this snapshot saw, and what a dump brought from a database that had counted further. */
const FORGET = `DELETE FROM "UserChange" WHERE pg_visible_in_snapshot(xact::text::xid8, $1::pg_snapshot) OR xact >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint RETURNING 1`

/** What of users others remember. */
export type UserAspect = 'EVENTS' | 'CONSENTS' | 'IDENTITY' | 'SUPPRESSION' | 'AUDIENCES'

/** A snapshot of PostgreSQL's, as text: `xmin:xmax:under way`. */
interface Seen {
  snapshot: string
  /** Milliseconds since the epoch, before it was taken. */
  at: number
}

/**
 * Tells whether what was read of these aspects of a user is what a request would read now, for less than reading it: whoever changes one says of whom in the same
 * transaction (the triggers of `UserChange` see to it), and one look at what was committed since the last one answers for everybody who asks meanwhile.
 * It begins after they asked, so that what was acknowledged before a request is known to it, whichever process did it.
 */
export class UserChanges {
  private seen: Seen | undefined
  /** Looks that found something; what is read is marked by it. */
  private count = 0
  /** What was read before holds no more, whoever it is about. */
  private floor = 0
  private readonly changedAt = new Map<number, number>()
  private waiting: Promise<void> | undefined
  private looking: Promise<void> = Promise.resolve()
  private kept: Seen | undefined

  constructor(
    private readonly database: Pick<Database, 'sql'>,
    private readonly aspects: readonly UserAspect[],
    private readonly now: () => number = Date.now,
  ) {}

  /** Of what is read from now on. */
  get mark(): number {
    return this.count
  }

  /** Whether what was read of this user at `mark` held when the last look was taken. */
  holds(mark: number, userId: number): boolean {
    return mark >= this.floor && (this.changedAt.get(userId) ?? 0) <= mark
  }

  /** Ends with a look that began after this call; calls of the same turn, and those that come while one is under way, share the next. */
  look(): Promise<void> {
    this.waiting ??= this.afterThisTurn()
    return this.waiting
  }

  /** Takes away what nobody goes by any more. Returns how many rows. */
  async forget(): Promise<number> {
    const { kept } = this
    if (kept && this.now() - kept.at < KEPT_MS) return 0
    const at = this.now()
    const [{ snapshot }] = await this.database.sql<{ snapshot: string }>(SNAPSHOT)
    this.kept = { snapshot, at }
    return kept ? (await this.database.sql(FORGET, [kept.snapshot])).length : 0
  }

  private async afterThisTurn(): Promise<void> {
    await this.looking.catch(() => {})
    await new Promise(done => setImmediate(done))
    this.waiting = undefined
    this.looking = this.read()
    await this.looking
  }

  private async read(): Promise<void> {
    const at = this.now()
    const { seen } = this
    if (!seen || Math.abs(at - seen.at) > STALE_MS) {
      const [{ snapshot }] = await this.database.sql<{ snapshot: string }>(SNAPSHOT, [], 'snapshot')
      this.seen = { snapshot, at }
      this.everybody()
      return
    }
    const [, xmax, underWay] = seen.snapshot.split(':')
    const [{ snapshot, changed }] = await this.database.sql<{ snapshot: string; changed: string | null }>(
      CHANGES,
      [xmax, `{${underWay}}`, this.aspects],
      'user-changes',
    )
    this.seen = { snapshot, at }
    if (!changed) return
    this.count++
    if (changed.includes('*')) return this.everybody()
    for (const id of changed.split(',')) if (id !== '') this.changedAt.set(Number(id), this.count)
    if (this.changedAt.size > REMEMBERED) this.everybody()
  }

  private everybody(): void {
    this.floor = ++this.count
    this.changedAt.clear()
  }
}
