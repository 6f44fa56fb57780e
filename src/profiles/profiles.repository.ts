import { copyNumbers } from '../platform/bulk.js'
import type { Database } from '../platform/database.js'
import { FEATURE_NAMES, FEATURE_VERSION, featuresSql, MAY_BE_PROFILED } from './features.js'
import type { RfmCuts } from './rfm.js'

/** A stored profile. */
export interface ProfileRow {
  userId: number
  refreshedAt: Date
  eventCount: number
  firstEventAt: Date | null
  lastEventAt: Date | null
  firstOrderAt: Date | null
  lastOrderAt: Date | null
  orderDays: number
  monetaryMicros: bigint
  features: number[]
  categories: [string, number][]
  brands: [string, number][]
  channels: Record<string, number>
  hours: number[]
  isBot: boolean
  leftOut: Record<string, number>
  recencyScore: number | null
  frequencyScore: number | null
  monetaryScore: number | null
  rfmGroup: string | null
  clusterKey: string | null
  churn: number | null
  churnLow: number | null
  churnHigh: number | null
  purchase: number | null
  purchaseLow: number | null
  purchaseHigh: number | null
  lifetimeValueMicros: bigint | null
  lifetimeValueLow: bigint | null
  lifetimeValueHigh: bigint | null
  nextOrderAt: Date | null
  scoredAt: Date | null
}

/** What the models say of a user; stored so that rules and lists can ask for it. */
export interface ProfileScores {
  userId: number
  recencyScore: number | null
  frequencyScore: number | null
  monetaryScore: number | null
  rfmGroup: string | null
  clusterKey: string | null
  churn: Estimate | null
  purchase: Estimate | null
  lifetimeValueMicros: Estimate | null
  nextOrderAt: Date | null
}

export interface Estimate {
  value: number
  low: number | null
  high: number | null
}

export interface ProfileFilter {
  rfmGroup?: string | null
  cluster?: string | null
  isBot?: boolean | null
  isCustomer?: boolean | null
  churnFrom?: number | null
  purchaseFrom?: number | null
  lifetimeValueFrom?: number | null
}

interface ProfilePage {
  /** SQL of a number over "UserProfile" p. */
  column: string
  direction: 'ASC' | 'DESC'
  after?: { sortKey: number; id: number }
  limit: number
}

/** Users from `low` to `high`, both included. */
export interface Range {
  low: number
  high: number
}

/** What scores are made from. */
export type StoredFacts = Pick<
  ProfileRow,
  'userId' | 'features' | 'eventCount' | 'orderDays' | 'lastOrderAt' | 'monetaryMicros' | 'categories'
>

/** How far the events were looked through: by a look at the newest, and by one that reaches back beyond every statement that stores events. */
export interface Watermark {
  at: Date
  allAt: Date
}

/** A profile whose segments wait to be looked at. */
export interface Waiting {
  userId: number
  refreshedAt: Date
  /** Before it, nothing was looked at: every segment may be touched. */
  segmentedAt: Date
  types: string[]
}

/** What the pre-processing and the RFM scores measure by; learned from all users now and then. */
export interface Measures {
  outlierMicros: number
  cuts: RfmCuts
  /** Share of each category in all liking, for shrinking. */
  categoryShares: Record<string, number>
  brandShares: Record<string, number>
  /** Mean of ln(price in micros) of each category. */
  priceLevels: Record<string, number>
  at: string
}

export const FIRST_MEASURES: Measures = {
  outlierMicros: 1e15,
  cuts: { recencyDays: [], frequency: [], monetary: [] },
  categoryShares: {},
  brandShares: {},
  priceLevels: {},
  at: new Date(0).toISOString(),
}

export interface Preprocessing {
  profiles: number
  bots: number
  withoutEvents: number
  /** Events by cause. */
  causes: Record<string, number>
}

export interface ClusterDrift {
  modelId: string
  /** ISO 8601. */
  at: string
  /** Standard deviations, weighted by members. */
  mean: number
  /** By key: standard deviations between the mean of the present members and where the cluster was found; null where nobody is left. */
  clusters: Record<string, number | null>
}

/** Users whose profile belongs to no human order of things stay out of what is learned. */
export const LEARNABLE = `NOT p."isBot"`

const MEASURES = 'profiles.measures'
const WATERMARK = 'profiles.watermark'
const SCORED_BY = 'profiles.scored-by'
const CLUSTER_DRIFT = 'profiles.cluster-drift'
const UNKNOWN = FEATURE_NAMES.map(() => Number.NaN)
/** A profile older than this is refreshed when it is read, because days pass. */
const FRESH_HOURS = 12
/** Clocks of hosts differ by less, and a statement takes less. */
const CLOCKS_SECONDS = 5

const REFRESH = (scope: string) => `
  INSERT INTO "UserProfile" ("userId", "refreshedAt", "eventCount", "lastEventId", "userVersion", "firstEventAt", "lastEventAt", "firstOrderAt", "lastOrderAt", "orderDays", "monetaryMicros",
    "featureVersion", features, categories, brands, channels, hours, "isBot", "leftOut")
  SELECT f."userId", $1, f."eventCount", f."lastEventId", f."userVersion", f."firstEventAt", f."lastEventAt", f."firstOrderAt", f."lastOrderAt", f."orderDays", f."monetaryMicros",
    ${FEATURE_VERSION}, f.features, f.categories, f.brands, f.channels, f.hours, f."isBot", f."leftOut"
  FROM (${featuresSql(scope)}) f ORDER BY f."userId"
  ON CONFLICT ("userId") DO UPDATE SET "refreshedAt" = EXCLUDED."refreshedAt", "eventCount" = EXCLUDED."eventCount", "lastEventId" = EXCLUDED."lastEventId", "userVersion" = EXCLUDED."userVersion", "firstEventAt" = EXCLUDED."firstEventAt",
    "lastEventAt" = EXCLUDED."lastEventAt", "firstOrderAt" = EXCLUDED."firstOrderAt", "lastOrderAt" = EXCLUDED."lastOrderAt", "orderDays" = EXCLUDED."orderDays", "monetaryMicros" = EXCLUDED."monetaryMicros",
    "featureVersion" = EXCLUDED."featureVersion", features = EXCLUDED.features, categories = EXCLUDED.categories, brands = EXCLUDED.brands, channels = EXCLUDED.channels, hours = EXCLUDED.hours,
    "isBot" = EXCLUDED."isBot", "leftOut" = EXCLUDED."leftOut"
  RETURNING *`

/** Changed since the profile was made: events came or went, facts changed, a review was read, or the definition did. Over "User" u LEFT JOIN "UserProfile" p. */
const IS_OVERTAKEN = `(p."userId" IS NULL OR p."featureVersion" <> ${FEATURE_VERSION} OR p."userVersion" <> u.version
  OR p."eventCount" <> (SELECT count(*) FROM "Event" e WHERE e."userId" = u.id)
  OR EXISTS (SELECT 1 FROM "Review" r WHERE r."userId" = u.id AND r."analysedAt" > p."refreshedAt" - interval '${CLOCKS_SECONDS} seconds'))`

export class ProfilesRepository {
  constructor(
    private readonly database: Database,
    private readonly settings: { currency: string; timeZone: string },
  ) {}

  /** Stored profiles, and which of the users need a new one: something overtook it, or the day passed. Who has none and may have none is in neither. */
  async look(userIds: readonly number[], now: Date): Promise<{ rows: ProfileRow[]; stale: number[] }> {
    const rows = await this.database.sql<ProfileRow & { wanted: number; isFresh: boolean }>(
      `SELECT u.id AS wanted, p.*, NOT ${IS_OVERTAKEN} AND p."refreshedAt" > $2::timestamptz - interval '${FRESH_HOURS} hours' AS "isFresh"
       FROM "User" u LEFT JOIN "UserProfile" p ON p."userId" = u.id WHERE u.id = ANY($1::int[]) AND ${MAY_BE_PROFILED}`,
      [userIds, now.toISOString()],
      'profiles-look',
    )
    return { rows: rows.filter(row => row.isFresh), stale: rows.filter(row => !row.isFresh).map(row => row.wanted) }
  }

  /** Makes the profiles of these users anew from their events; the profiles of those who may have none any more are removed. */
  async refresh(userIds: readonly number[], measures: Measures, now: Date): Promise<ProfileRow[]> {
    const rows = await this.database.sql<ProfileRow>(
      REFRESH('u.id = ANY($7::int[])'),
      [...this.featureParams(now, measures), userIds],
      'profiles-refresh',
    )
    if (rows.length < userIds.length) {
      await this.database.sql(
        `DELETE FROM "UserProfile" p USING "User" u WHERE p."userId" = ANY($1::int[]) AND u.id = p."userId" AND NOT (${MAY_BE_PROFILED})`,
        [userIds],
      )
    }
    return rows
  }

  /**
   * Users whose events or facts came in since `since` and whose profile does not know them yet, in ascending order after `afterId`; those who may have no
   * profile are all among them, because their segments know it from nothing else.
   */
  async overtaken(since: Date, afterId: number, limit: number): Promise<number[]> {
    const rows = await this.database.sql<{ id: number }>(
      `SELECT u.id FROM (SELECT "userId" AS id FROM "Event" WHERE "receivedAt" >= $1 UNION SELECT id FROM "User" WHERE "updatedAt" >= $1
         UNION SELECT "userId" FROM "Review" WHERE "analysedAt" >= $1 AND "userId" IS NOT NULL) changed
       JOIN "User" u ON u.id = changed.id LEFT JOIN "UserProfile" p ON p."userId" = u.id
       WHERE u.id > $2 AND (NOT (${MAY_BE_PROFILED}) OR ${IS_OVERTAKEN}) ORDER BY u.id LIMIT $3`,
      [since.toISOString(), afterId, limit],
    )
    return rows.map(row => row.id)
  }

  page(filter: ProfileFilter, { column, direction, after, limit }: ProfilePage): Promise<(ProfileRow & { sortKey: string })[]> {
    const { conditions, values } = conditionsOf(filter)
    if (after) {
      const key = `$${values.push(after.sortKey)}::float8, $${values.push(after.id)}::int`
      conditions.push(`((${column})::float8, p."userId") ${direction === 'ASC' ? '>' : '<'} (${key})`)
    }
    return this.database.sql(
      `SELECT p.*, (${column})::float8::text AS "sortKey" FROM "UserProfile" p ${where(conditions)} ORDER BY (${column})::float8 ${direction}, p."userId" ${direction} LIMIT $${values.push(limit)}::int`,
      values,
    )
  }

  async count(filter: ProfileFilter): Promise<number> {
    const { conditions, values } = conditionsOf(filter)
    const [row] = await this.database.sql<{ count: number }>(
      `SELECT count(*)::int AS count FROM "UserProfile" p ${where(conditions)}`,
      values,
    )
    return row.count
  }

  /** Users whose profile is older than `before`, in ascending order after `afterId`. */
  async aged(before: Date, afterId: number, limit: number): Promise<number[]> {
    const rows = await this.database.sql<{ userId: number }>(
      'SELECT "userId" FROM "UserProfile" WHERE "userId" > $2 AND "refreshedAt" < $1 ORDER BY "userId" LIMIT $3',
      [before.toISOString(), afterId, limit],
    )
    return rows.map(row => row.userId)
  }

  /** Profiles whose segments were not looked at since they were made anew, with the event types that came in since then. */
  waiting(limit: number): Promise<Waiting[]> {
    return this.database.sql(
      `SELECT p."userId", p."refreshedAt", p."segmentedAt", ARRAY(SELECT DISTINCT e.type::text FROM "Event" e
         WHERE e."userId" = p."userId" AND e."receivedAt" > least(p."segmentedAt", p."refreshedAt") - interval '5 minutes' ORDER BY 1) AS types
       FROM "UserProfile" p WHERE p."segmentedAt" <> p."refreshedAt" ORDER BY p."userId" LIMIT $1`,
      [limit],
      'profiles-waiting',
    )
  }

  /** Since when something waits that may change profiles or segments: an event or a fact that no run has seen, or a profile whose segments were not looked at. */
  async waitingSince(): Promise<Date | null> {
    // Of whichever definition of the features: another one makes profiles anew, but nothing has waited longer by that.
    const { at } = (await this.setting<{ at: string }>(WATERMARK)) ?? { at: new Date(0).toISOString() }
    const [row] = await this.database.sql<{ at: Date | null }>(
      `SELECT least((SELECT min("receivedAt") FROM "Event" WHERE "receivedAt" > $1), (SELECT min("updatedAt") FROM "User" WHERE "updatedAt" > $1),
         (SELECT min("refreshedAt") FROM "UserProfile" WHERE "segmentedAt" <> "refreshedAt")) AS at`,
      // What was stored just before the run began has, rounded to milliseconds, the time at which it did.
      [new Date(Date.parse(at) + 1).toISOString()],
      'profiles-waiting-since',
    )
    return row.at
  }

  /** Their segments were looked at after those refreshments; a later one keeps its user waiting. */
  async markFollowed(rows: readonly Waiting[]): Promise<void> {
    await this.database.sql(
      `WITH locked AS MATERIALIZED (SELECT "userId" FROM "UserProfile" WHERE "userId" = ANY($1::int[]) ORDER BY 1 FOR UPDATE)
       UPDATE "UserProfile" p SET "segmentedAt" = w.at FROM unnest($1::int[], $2::timestamptz[]) AS w(id, at) JOIN locked ON locked."userId" = w.id WHERE p."userId" = w.id`,
      [rows.map(row => row.userId), rows.map(row => row.refreshedAt.toISOString())],
      'profiles-followed',
    )
  }

  /** The moments up to which events were seen, of this definition of the features. */
  async watermark(): Promise<Watermark | undefined> {
    const value = await this.setting<{ at: string; allAt?: string; version: number }>(WATERMARK)
    return value?.version === FEATURE_VERSION ? { at: new Date(value.at), allAt: new Date(value.allAt ?? value.at) } : undefined
  }

  keepWatermark({ at, allAt }: Watermark): Promise<void> {
    return this.keepSetting(WATERMARK, { at: at.toISOString(), allAt: allAt.toISOString(), version: FEATURE_VERSION })
  }

  async keepScores(scores: readonly ProfileScores[], now: Date): Promise<void> {
    if (scores.length === 0) return
    const column = <T>(read: (row: ProfileScores) => T) => scores.map(read)
    await this.database.sql(
      `WITH locked AS MATERIALIZED (SELECT "userId" FROM "UserProfile" WHERE "userId" = ANY($2::int[]) ORDER BY 1 FOR UPDATE)
       UPDATE "UserProfile" p SET "recencyScore" = s.r, "frequencyScore" = s.f, "monetaryScore" = s.m, "rfmGroup" = s.g, "clusterKey" = s.k, churn = s.c, "churnLow" = s.cl, "churnHigh" = s.ch,
         purchase = s.p, "purchaseLow" = s.pl, "purchaseHigh" = s.ph, "lifetimeValueMicros" = s.v, "lifetimeValueLow" = s.vl, "lifetimeValueHigh" = s.vh, "nextOrderAt" = s.n, "scoredAt" = $1
       FROM unnest($2::int[], $3::int[], $4::int[], $5::int[], $6::text[], $7::text[], $8::float8[], $9::float8[], $10::float8[], $11::float8[], $12::float8[], $13::float8[], $14::int8[], $15::int8[], $16::int8[], $17::timestamptz[])
         AS s(id, r, f, m, g, k, c, cl, ch, p, pl, ph, v, vl, vh, n) JOIN locked ON locked."userId" = s.id WHERE p."userId" = s.id`,
      [
        now.toISOString(),
        column(row => row.userId),
        column(row => row.recencyScore),
        column(row => row.frequencyScore),
        column(row => row.monetaryScore),
        column(row => row.rfmGroup),
        column(row => row.clusterKey),
        ...estimateColumns(scores, 'churn'),
        ...estimateColumns(scores, 'purchase'),
        ...estimateColumns(scores, 'lifetimeValueMicros').map(values => values.map(value => (value === null ? null : Math.round(value)))),
        column(row => row.nextOrderAt?.toISOString() ?? null),
      ],
      'profiles-scores',
    )
  }

  measures(): Promise<Measures | undefined> {
    return this.setting(MEASURES)
  }

  keepMeasures(measures: Measures): Promise<void> {
    return this.keepSetting(MEASURES, measures)
  }

  /** Ten times the 99.9th percentile of what a line of an order costs; infinite while there are few. */
  async outlierLimit(): Promise<number> {
    const [row] = await this.database.sql<{ n: number; limit: number | null }>(
      `SELECT count(*)::int AS n, 10 * percentile_cont(0.999) WITHIN GROUP (ORDER BY "priceMicros" * coalesce(quantity, 1)::float8) AS "limit"
       FROM (SELECT "priceMicros", quantity FROM "Event" WHERE type = 'PURCHASE' AND "priceMicros" > 0 AND "currencyCode" = $1 ORDER BY id DESC LIMIT 200000) lines`,
      [this.settings.currency],
    )
    return row.n >= 1_000 && row.limit !== null ? row.limit : 1e15
  }

  /** Days from the last order to `at`, order days and money of every customer, in three columns. */
  async customerValues(at: Date): Promise<{ recencyDays: Float64Array; frequency: Float64Array; monetary: Float64Array }> {
    const rows: number[] = []
    await this.database.withClient(client =>
      copyNumbers(
        client,
        `SELECT extract(epoch FROM '${at.toISOString()}'::timestamptz - p."lastOrderAt") / 86400, p."orderDays", p."monetaryMicros" / 1e6
         FROM "UserProfile" p WHERE p."orderDays" > 0 AND ${LEARNABLE}`,
        3,
        row => rows.push(row[0], row[1], row[2]),
      ),
    )
    const column = (index: number) => Float64Array.from({ length: rows.length / 3 }, (_, at) => rows[3 * at + index])
    return { recencyDays: column(0), frequency: column(1), monetary: column(2) }
  }

  async likingShares(kind: 'categories' | 'brands'): Promise<Record<string, number>> {
    const rows = await this.database.sql<{ name: string; weight: number }>(
      `SELECT l->>0 AS name, sum((l->>1)::float8) AS weight FROM "UserProfile" p CROSS JOIN LATERAL jsonb_array_elements(p.${kind}) AS l WHERE ${LEARNABLE} GROUP BY 1 ORDER BY 2 DESC LIMIT 1000`,
    )
    const total = rows.reduce((sum, { weight }) => sum + weight, 0)
    return Object.fromEntries(rows.map(({ name, weight }) => [name, weight / total]))
  }

  /** User, features as they were at `asOf`, and events, order days and money of the `days` after it, of everybody but bots who had done anything: a call a user. */
  async history(asOf: Date, days: number, measures: Measures, row: (numbers: Float64Array) => void): Promise<void> {
    const features = FEATURE_NAMES.map((_, index) => `f.features[${index + 1}]`).join(', ')
    const query = `SELECT f."userId", ${features}, coalesce(l.events, 0), coalesce(l.orders, 0), coalesce(l.amount, 0)
       FROM (${featuresSql(`EXISTS (SELECT 1 FROM "Event" x WHERE x."userId" = u.id AND x."occurredAt" < $1)`)}) f
       LEFT JOIN (SELECT "userId", count(*) AS events, count(DISTINCT "occurredAt"::date) FILTER (WHERE type = 'PURCHASE') AS orders,
           sum("priceMicros" * coalesce(quantity, 1)) FILTER (WHERE type = 'PURCHASE' AND coalesce("currencyCode", $2) = $2) / 1e6 AS amount
         FROM "Event" WHERE "occurredAt" >= $1 AND "occurredAt" < $1::timestamptz + make_interval(days => $7::int) GROUP BY 1) l USING ("userId")
       WHERE NOT f."isBot" ORDER BY f."userId"`
    const params = [...this.featureParams(asOf, measures), days]
    await this.database.withClient(async client => {
      await client.query('SET statement_timeout = 0')
      await copyNumbers(client, withLiterals(query, params), 4 + FEATURE_NAMES.length, row).finally(() =>
        client.query('RESET statement_timeout'),
      )
    })
  }

  /** Stored features of everybody who may be learned from. */
  async stored(row: (user: number, features: Float64Array) => void, leastEvents = 1): Promise<void> {
    const columns = FEATURE_NAMES.map((_, index) => `p.features[${index + 1}]`).join(', ')
    await this.database.withClient(client =>
      copyNumbers(
        client,
        `SELECT p."userId", ${columns} FROM "UserProfile" p WHERE ${LEARNABLE} AND p."eventCount" >= ${Math.trunc(leastEvents)} ORDER BY 1`,
        1 + FEATURE_NAMES.length,
        numbers => row(numbers[0], numbers.subarray(1)),
      ),
    )
  }

  /** Key ranges of so many profiles each, ascending. */
  ranges(size: number): Promise<Range[]> {
    return this.database.sql(
      `SELECT min("userId") AS low, max("userId") AS high FROM (SELECT "userId", (row_number() OVER (ORDER BY "userId") - 1) / $1::int AS part FROM "UserProfile") p GROUP BY part ORDER BY 1`,
      [size],
    )
  }

  /** What scores are made from, of the profiles in a range. */
  async facts({ low, high }: Range): Promise<StoredFacts[]> {
    const rows: StoredFacts[] = []
    const features = FEATURE_NAMES.map((_, index) => `p.features[${index + 1}]`).join(', ')
    const query = `SELECT p."userId", p."eventCount", p."orderDays", p."monetaryMicros", extract(epoch FROM p."lastOrderAt") * 1000, ${features}
      FROM "UserProfile" p WHERE p."userId" BETWEEN ${Math.trunc(low)} AND ${Math.trunc(high)} ORDER BY 1`
    await this.database.withClient(client =>
      copyNumbers(client, query, 5 + FEATURE_NAMES.length, numbers => {
        const [userId, eventCount, orderDays, monetary, lastOrderAt] = numbers
        rows.push({
          userId,
          eventCount,
          orderDays,
          monetaryMicros: BigInt(monetary),
          lastOrderAt: Number.isNaN(lastOrderAt) ? null : new Date(lastOrderAt),
          features: Array.from(numbers.subarray(5)),
          categories: [],
        })
      }),
    )
    const tastes = await this.database.sql<{ userId: number; categories: [string, number][] }>(
      'SELECT "userId", categories FROM "UserProfile" WHERE "userId" BETWEEN $1 AND $2',
      [low, high],
    )
    const byUser = new Map(tastes.map(({ userId, categories }) => [userId, categories]))
    for (const row of rows) row.categories = byUser.get(row.userId) ?? []
    return rows
  }

  /** What the pre-processing of all profiles left out or cut. */
  async preprocessing(): Promise<Preprocessing> {
    const [counts] = await this.database.sql<Omit<Preprocessing, 'causes'>>(
      `SELECT count(*)::int AS profiles, count(*) FILTER (WHERE "isBot")::int AS bots, count(*) FILTER (WHERE "eventCount" = 0)::int AS "withoutEvents" FROM "UserProfile"`,
    )
    const causes = await this.database.sql<{ cause: string; count: number }>(
      `SELECT l.key AS cause, sum(l.value::float8) AS count FROM "UserProfile" p CROSS JOIN LATERAL jsonb_each_text(p."leftOut") AS l WHERE p."leftOut" <> '{}' GROUP BY 1 ORDER BY 1`,
    )
    return { ...counts, causes: Object.fromEntries(causes.map(({ cause, count }) => [cause, count])) }
  }

  /** Where the members of the live clusters lie, as last looked at. */
  clusterDrift(): Promise<ClusterDrift | undefined> {
    return this.setting<ClusterDrift>(CLUSTER_DRIFT)
  }

  keepClusterDrift(drift: ClusterDrift): Promise<void> {
    return this.keepSetting(CLUSTER_DRIFT, drift)
  }

  /** By which models and measures all profiles are scored. */
  async scoredBy(): Promise<string | undefined> {
    return (await this.setting<{ by: string }>(SCORED_BY))?.by
  }

  keepScoredBy(by: string): Promise<void> {
    return this.keepSetting(SCORED_BY, { by })
  }

  /** Liking by user, place of the category in the list from 1 (0: none of them) and weight. */
  async likings(categories: readonly string[], row: (user: number, category: number, weight: number) => void): Promise<void> {
    const list = categories.map(name => `'${name.replaceAll("'", "''")}'`).join(', ')
    const place = categories.length > 0 ? `coalesce(array_position(ARRAY[${list}]::text[], l->>0), 0)` : '0'
    const query = `SELECT p."userId", ${place}, sum((l->>1)::float8) FROM "UserProfile" p CROSS JOIN LATERAL jsonb_array_elements(p.categories) AS l WHERE ${LEARNABLE} GROUP BY 1, 2 ORDER BY 1, 2`
    await this.database.withClient(client => copyNumbers(client, query, 3, ([user, category, weight]) => row(user, category, weight)))
  }

  async priceLevels(): Promise<Record<string, number>> {
    const rows = await this.database.sql<{ category: string; level: number }>(
      `SELECT categories[1] AS category, avg(ln("priceMicros")) AS level FROM "Product" WHERE "priceMicros" > 0 AND categories[1] IS NOT NULL GROUP BY 1 ORDER BY count(*) DESC LIMIT 5000`,
    )
    return Object.fromEntries(rows.map(({ category, level }) => [category, Number(level)]))
  }

  /** Times of the oldest and of the newest event up to `until`. */
  async span(until: Date): Promise<{ from: Date | null; to: Date | null }> {
    const [row] = await this.database.sql<{ from: Date | null; to: Date | null }>(
      'SELECT min("occurredAt") AS "from", max("occurredAt") AS "to" FROM "Event" WHERE "occurredAt" <= $1::timestamptz',
      [until.toISOString()],
    )
    return row
  }

  async clusterSizes(): Promise<Map<string, number>> {
    const rows = await this.database.sql<{ key: string; size: number }>(
      'SELECT "clusterKey" AS key, count(*)::int AS size FROM "UserProfile" WHERE "clusterKey" IS NOT NULL GROUP BY 1',
    )
    return new Map(rows.map(({ key, size }) => [key, size]))
  }

  private async setting<Value>(name: string): Promise<Value | undefined> {
    const [row] = await this.database.sql<{ value: Value }>('SELECT value FROM "Setting" WHERE name = $1', [name], 'setting')
    return row?.value
  }

  private async keepSetting(name: string, value: object): Promise<void> {
    await this.database.sql('INSERT INTO "Setting" (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value', [
      name,
      JSON.stringify(value),
    ])
  }

  private featureParams(asOf: Date, { outlierMicros, priceLevels }: Measures): unknown[] {
    return [asOf.toISOString(), this.settings.currency, outlierMicros, this.settings.timeZone, UNKNOWN, JSON.stringify(priceLevels)]
  }
}

/** COPY takes no parameters. The values are ours: times, a currency code, numbers and a zone from the configuration. */
function withLiterals(query: string, params: readonly unknown[]): string {
  const literal = (value: unknown) => (Array.isArray(value) ? `'{${value.join(',')}}'` : `'${String(value).replaceAll("'", "''")}'`)
  return query.replace(/\$(\d+)/g, (_, number: string) => literal(params[Number(number) - 1]))
}

function estimateColumns(scores: readonly ProfileScores[], name: 'churn' | 'purchase' | 'lifetimeValueMicros'): (number | null)[][] {
  return (['value', 'low', 'high'] as const).map(part => scores.map(row => row[name]?.[part] ?? null))
}

function conditionsOf({ rfmGroup, cluster, isBot, isCustomer, churnFrom, purchaseFrom, lifetimeValueFrom }: ProfileFilter) {
  const conditions: string[] = []
  const values: unknown[] = []
  const add = (value: unknown, condition: (parameter: string) => string) => {
    if (value !== null && value !== undefined) conditions.push(condition(`$${values.push(value)}`))
  }
  add(rfmGroup, parameter => `p."rfmGroup" = ${parameter}`)
  add(cluster, parameter => `p."clusterKey" = ${parameter}`)
  add(isBot, parameter => `p."isBot" = ${parameter}`)
  add(isCustomer, parameter => `(p."orderDays" > 0) = ${parameter}`)
  add(churnFrom, parameter => `p.churn >= ${parameter}::float8`)
  add(purchaseFrom, parameter => `p.purchase >= ${parameter}::float8`)
  add(lifetimeValueFrom, parameter => `p."lifetimeValueMicros" >= ${parameter}::float8 * 1e6`)
  return { conditions, values }
}

function where(conditions: string[]): string {
  return conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}` : ''
}
