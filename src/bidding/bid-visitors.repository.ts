import { LRUCache } from 'lru-cache'
import { createBatcher } from '../platform/batcher.js'
import type { Database } from '../platform/database.js'
import { UserChanges } from '../users/user-changes.js'

/** What is known of the person, whose consent decides what may be used of it. */
export interface BidVisitor {
  id: number
  externalId: string
  ads: { granted: boolean; at: Date; source: string } | null
  isSuppressed: boolean
  gender: string | null
  birthYear: number | null
  city: string | null
  country: string | null
  affinity: string | null
  audiences: ReadonlySet<string>
  /** Milliseconds of what was shown or may be shown still, by campaign; only after `withShown`. */
  shown?: ReadonlyMap<string, readonly number[]>
}

/** Of which campaigns it is to be known what was shown since when. */
export interface ShownQuery {
  cappedIds: readonly string[]
  since: Date
}

/**
 * Who refused PROFILING has no affinity, also before his profile is taken away. The sub-selects hide from the planner how many are asked for, so that PostgreSQL
 * keeps one plan instead of making one each time, which takes longer than the answer.
 */
const VISITORS = (column: string, type: string) => `
  SELECT u.id, u."externalId", u.gender, u."birthYear", u.city, u.country, c.granted, c.at, c.source, s."userId" IS NOT NULL AS suppressed,
    p.categories->0->>0 AS affinity, m.ids AS audiences
  FROM unnest((SELECT $1::${type}[])) AS wanted(key) JOIN "User" u ON u.${column} = wanted.key
  LEFT JOIN "Consent" c ON c."userId" = u.id AND c.purpose = 'ADS' LEFT JOIN "Suppression" s ON s."userId" = u.id
  LEFT JOIN "UserProfile" p ON p."userId" = u.id AND NOT EXISTS (SELECT FROM "Consent" k WHERE k."userId" = u.id AND k.purpose = 'PROFILING' AND NOT k.granted)
  LEFT JOIN LATERAL (SELECT array_agg("audienceId") AS ids FROM "AudienceMember" WHERE "userId" = u.id AND "audienceId" = ANY((SELECT $2::text[])::text[])) m ON cardinality((SELECT $2::text[])) > 0`
/** A bid counts for the cap of its campaign until it is known that nothing was shown. */
export const COUNTS_FOR_CAP = `state IN ('RESERVED', 'WON', 'COMMITTED', 'UNFUNDED')`
const SHOWN = `
  SELECT "userId", array_agg("campaignId") AS campaigns, array_agg(extract(epoch FROM "createdAt")::float8) AS times FROM "BidReservation"
  WHERE "userId" = ANY((SELECT $1::int[])::int[]) AND "createdAt" > $3 AND "campaignId" = ANY((SELECT $2::text[])::text[]) AND ${COUNTS_FOR_CAP}
  GROUP BY 1`

interface VisitorRow extends Omit<BidVisitor, 'ads' | 'isSuppressed' | 'audiences' | 'shown'> {
  granted: boolean | null
  at: Date
  source: string
  suppressed: boolean
  audiences: string[] | null
}

interface ShownRow {
  userId: number
  campaigns: string[]
  times: number[]
}

/** What was read of a person; `mark` as `UserChanges` counts. */
interface Read {
  visitor: BidVisitor
  mark: number
  /** The audiences that were looked through. */
  audienceIds: readonly string[]
  /** Milliseconds since the epoch. */
  until: number
}

type Shown = NonNullable<BidVisitor['shown']>

/** So old may facts and tastes be, by which ads are chosen and clicks predicted. Consent, suppression and audiences are those of the moment. */
const FACTS_MS = 60_000
/** Each is a kilobyte. */
const REMEMBERED = 50_000
const NOTHING_SHOWN: Shown = new Map()

/** Who it is that a bid is asked for. Look-ups of many requests are one statement. */
export class BidVisitorsRepository {
  private audienceIds: readonly string[] = []
  private shownQuery: ShownQuery = { cappedIds: [], since: new Date() }
  private readonly read = new LRUCache<string | number, Read>({ max: REMEMBERED })
  private readonly lookByExternalId: (key: string) => Promise<BidVisitor | null>
  private readonly lookById: (key: number) => Promise<BidVisitor | null>
  private readonly shownTo: (id: number) => Promise<Shown>

  constructor(
    private readonly database: Database,
    private readonly changes = new UserChanges(database, ['CONSENTS', 'IDENTITY', 'SUPPRESSION', 'AUDIENCES']),
    private readonly now: () => number = Date.now,
  ) {
    this.lookByExternalId = createBatcher(keys => this.look(keys, 'externalId', VISITORS('"externalId"', 'text')))
    this.lookById = createBatcher(keys => this.look(keys, 'id', VISITORS('id', 'int')))
    this.shownTo = createBatcher(ids => this.shown(ids))
  }

  /** A person by external or internal id, or null; of these audiences those he is in. */
  async find(key: string | number, audienceIds: readonly string[]): Promise<BidVisitor | null> {
    this.audienceIds = audienceIds
    await this.changes.look()
    return this.unchanged(key) ?? (typeof key === 'string' ? this.lookByExternalId(key) : this.lookById(key))
  }

  /** What was shown to the person, at this moment. */
  async withShown(visitor: BidVisitor, query: ShownQuery): Promise<BidVisitor> {
    this.shownQuery = query
    return { ...visitor, shown: query.cappedIds.length === 0 ? NOTHING_SHOWN : await this.shownTo(visitor.id) }
  }

  private unchanged(key: string | number): BidVisitor | undefined {
    const known = this.read.get(key)
    if (!known || this.now() >= known.until || !this.changes.holds(known.mark, known.visitor.id)) return undefined
    return isAlike(known.audienceIds, this.audienceIds) ? known.visitor : undefined
  }

  private async look(keys: readonly (string | number)[], by: 'id' | 'externalId', statement: string): Promise<(BidVisitor | null)[]> {
    const { mark } = this.changes
    const { audienceIds } = this
    const until = this.now() + FACTS_MS
    const rows = await this.database.sql<VisitorRow>(statement, [[...new Set(keys)], audienceIds], `bid-visitors-by-${by}`)
    const found = new Map<string | number, BidVisitor>()
    for (const row of rows) {
      const visitor = visitorOf(row)
      found.set(row[by], visitor)
      this.read.set(row[by], { visitor, mark, audienceIds, until })
    }
    return keys.map(key => found.get(key) ?? null)
  }

  private async shown(ids: readonly number[]): Promise<Shown[]> {
    const { cappedIds, since } = this.shownQuery
    const rows = await this.database.sql<ShownRow>(SHOWN, [[...new Set(ids)], cappedIds, since], 'bid-shown')
    const found = new Map(rows.map(row => [row.userId, shownOf(row)]))
    return ids.map(id => found.get(id) ?? NOTHING_SHOWN)
  }
}

function isAlike(a: readonly string[], b: readonly string[]): boolean {
  return a === b || (a.length === b.length && a.every((each, at) => each === b[at]))
}

function shownOf({ campaigns, times }: ShownRow): Shown {
  const shown = new Map<string, number[]>()
  for (const [index, campaign] of campaigns.entries()) {
    const list = shown.get(campaign) ?? []
    list.push(times[index] * 1000)
    shown.set(campaign, list)
  }
  return shown
}

function visitorOf(row: VisitorRow): BidVisitor {
  const { id, externalId, gender, birthYear, city, country, affinity, granted, at, source, suppressed, audiences } = row
  return {
    id,
    externalId,
    gender,
    birthYear,
    city,
    country,
    affinity,
    ads: granted === null ? null : { granted, at, source },
    isSuppressed: suppressed,
    audiences: new Set(audiences ?? []),
  }
}
