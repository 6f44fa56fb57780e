import DataLoader from 'dataloader'
import { type Connection, type Cursor, pageOf } from '../graphql/connection.js'
import type { Context } from '../graphql/context.js'
import { intIdOf } from '../graphql/cursor.js'
import { OrderDirection } from '../graphql/order.js'
import { InvalidInput } from '../platform/errors.js'
import { cleanOptionalText } from '../platform/text-input.js'
import type { ProfileModels } from './profile-models.js'
import {
  type Estimate,
  FIRST_MEASURES,
  type Measures,
  type Preprocessing,
  type ProfileFilter,
  type ProfileRow,
  type ProfileScores,
  type ProfilesRepository,
  type Range,
  type StoredFacts,
  type Waiting,
} from './profiles.repository.js'
import { ProfileOrderField, type ProfilesArgs, ProfileType } from './profiles.schema.js'
import { cutsOf, rfmOf } from './rfm.js'

const BATCH = 1_000
const SCORED_AT_ONCE = 10_000
/** Looking for users whom events have overtaken costs as much as reading the newest events, so that many are found by one look. */
const FOUND_AT_ONCE = 50_000
/** Events received longer ago than the last look at all, less this, are known to have been seen: no statement that stores events takes longer. */
const OVERLAP_MS = 5 * 60_000
/** The looks between see what was stored within this time, which is nearly all; the rest waits for the next look at all. */
const SHORT_OVERLAP_MS = 10_000
const LOOK_AT_ALL_EVERY_MS = 50_000
const AGED_HOURS = 20
const MEASURES_TTL_MS = 30_000

export interface RefreshOptions {
  /** Looks beyond every statement that stores events, whenever that was done last. */
  all?: boolean
  signal?: AbortSignal
  progress?(share: number, message: string): Promise<void>
  /** Users of a batch who have no profile, or none any more; rules may ask for their facts and events all the same. */
  without?(userIds: readonly number[]): Promise<void>
}

/** The living picture of every user, made from events: by the thousand after they come in, and for a single reader at once. */
export class ProfilesService {
  private measures?: { value: Measures; until: number }

  constructor(
    private readonly profiles: ProfilesRepository,
    private readonly models: ProfileModels,
    private readonly now: () => Date = () => new Date(),
  ) {}

  /** A user's profile as of now, batched with the request's other loads; null for nobody. */
  load(context: Context, userId: number): Promise<ProfileRow | null> {
    return context
      .loader('profile', () => {
        return new DataLoader<number, ProfileRow | null>(
          async ids => {
            const rows = await this.byIds(ids)
            return ids.map(id => rows.get(id) ?? null)
          },
          { maxBatchSize: BATCH },
        )
      })
      .load(userId)
  }

  /** Profiles of these users; those that events or days have overtaken are made anew first. */
  async byIds(userIds: readonly number[]): Promise<Map<number, ProfileRow>> {
    const { rows, stale } = await this.profiles.look([...new Set(userIds)], this.now())
    const fresh = stale.length > 0 ? await this.refresh(stale) : []
    return new Map([...rows, ...fresh].map(row => [row.userId, row]))
  }

  /** Stored profiles, filtered and sorted; the sort key of a page's last row stands in its cursor. */
  page({ first, after, where, orderBy }: ProfilesArgs): Promise<Connection<ProfileType>> {
    const filter = cleanFilter(where ?? {})
    const { field, direction } = orderBy ?? { field: ProfileOrderField.USER, direction: OrderDirection.ASC }
    const column = SORT_COLUMNS[field]
    return pageOf<ProfileRow & { sortKey: string }, ProfileType>({
      first,
      after,
      fetch: (cursor, limit) =>
        this.profiles.page(filter, { column, direction, limit, after: cursor && { sortKey: numberIn(cursor), id: intIdOf(cursor) } }),
      cursorOf: row => [row.sortKey, String(row.userId)],
      nodeOf: row => ProfileType.of(row),
      count: () => this.profiles.count(filter),
    })
  }

  /** Makes these users' profiles anew, scores them and stores both. */
  async refresh(userIds: readonly number[]): Promise<ProfileRow[]> {
    const now = this.now()
    const measures = await this.currentMeasures()
    const rows = await this.profiles.refresh(userIds, measures, now)
    return this.rescore(rows, measures, now)
  }

  /** Refreshes whoever has new events or facts since the last run that ended; a run that was lost is made good by the next. Returns how many. */
  async refreshOvertaken(options: RefreshOptions = {}): Promise<number> {
    const startedAt = this.now()
    const isFirst = (await this.profiles.measures()) === undefined
    if (isFirst) await this.learnMeasures()
    const seen = await this.profiles.watermark()
    const sinceAll = seen ? startedAt.getTime() - seen.allAt.getTime() : 0
    const isAll = options.all || !seen || sinceAll < 0 || sinceAll >= LOOK_AT_ALL_EVERY_MS
    // Where the clock was put back, what came in since is not known by its time.
    const isKnown = seen && sinceAll >= -OVERLAP_MS
    const from = !isKnown
      ? 0
      : isAll
        ? Math.min(startedAt.getTime(), seen.allAt.getTime()) - OVERLAP_MS
        : seen.at.getTime() - SHORT_OVERLAP_MS
    const done = await this.inBatches(after => this.profiles.overtaken(new Date(from), after, FOUND_AT_ONCE), options)
    await this.profiles.keepWatermark({ at: startedAt, allAt: isAll ? startedAt : seen.allAt })
    // What is usual of people is known only now that there are profiles.
    if (isFirst && done > 0) await this.learnMeasures()
    return done
  }

  /** Refreshes profiles that only time has changed. */
  async refreshAged(options: RefreshOptions = {}): Promise<number> {
    const before = new Date(this.now().getTime() - AGED_HOURS * 3_600_000)
    return this.inBatches(after => this.profiles.aged(before, after, FOUND_AT_ONCE), options)
  }

  /** Profiles whose segments wait to be looked at, at most `limit`. */
  waiting(limit: number): Promise<Waiting[]> {
    return this.profiles.waiting(limit)
  }

  /** Since when something waits that may change profiles or segments; null when nothing does. */
  waitingSince(): Promise<Date | null> {
    return this.profiles.waitingSince()
  }

  markFollowed(rows: readonly Waiting[]): Promise<void> {
    return this.profiles.markFollowed(rows)
  }

  /** Ranges of users whose stored scores are of other models or measures than those of now; none when all is well. */
  async scoringDue(): Promise<{ by: string; ranges: Range[] }> {
    const by = `${this.models.fingerprint()} measures ${(await this.currentMeasures()).at}`
    if ((await this.profiles.scoredBy()) === by) return { by, ranges: [] }
    return { by, ranges: await this.profiles.ranges(SCORED_AT_ONCE) }
  }

  /** Scores the profiles of a range as they are stored; twice is once. Returns how many. */
  async scoreRange(range: Range): Promise<number> {
    const now = this.now()
    const facts = await this.profiles.facts(range)
    await this.profiles.keepScores(await this.scoresOf(facts, await this.currentMeasures(), now), now)
    return facts.length
  }

  scoredBy(by: string): Promise<void> {
    return this.profiles.keepScoredBy(by)
  }

  /** Keys of the live clusters; undefined while no model is live. */
  clusterKeys(): string[] | undefined {
    return this.models.grouper()?.model.groups.map(({ key }) => key)
  }

  /** What was left out of the profiles or cut. */
  preprocessing(): Promise<Preprocessing> {
    return this.profiles.preprocessing()
  }

  /** Learns anew what scores and outliers are measured by. */
  async learnMeasures(): Promise<Measures> {
    const at = this.now()
    const { recencyDays, frequency, monetary } = await this.profiles.customerValues(at)
    const measures: Measures = {
      outlierMicros: await this.profiles.outlierLimit(),
      cuts: { recencyDays: cutsOf(recencyDays), frequency: cutsOf(frequency), monetary: cutsOf(monetary) },
      categoryShares: await this.profiles.likingShares('categories'),
      brandShares: await this.profiles.likingShares('brands'),
      priceLevels: await this.profiles.priceLevels(),
      at: at.toISOString(),
    }
    await this.profiles.keepMeasures(measures)
    this.measures = undefined
    return measures
  }

  async currentMeasures(): Promise<Measures> {
    const time = this.now().getTime()
    if (!this.measures || this.measures.until < time)
      this.measures = { value: (await this.profiles.measures()) ?? FIRST_MEASURES, until: time + MEASURES_TTL_MS }
    return this.measures.value
  }

  private async inBatches(next: (afterId: number) => Promise<number[]>, { signal, progress, without }: RefreshOptions): Promise<number> {
    let done = 0
    for (let found = await next(0); found.length > 0; found = found.length < FOUND_AT_ONCE ? [] : await next(found[found.length - 1])) {
      for (let from = 0; from < found.length; from += BATCH) {
        signal?.throwIfAborted()
        const ids = found.slice(from, from + BATCH)
        const kept = new Set((await this.refresh(ids)).map(row => row.userId))
        if (kept.size < ids.length) await without?.(ids.filter(id => !kept.has(id)))
        done += kept.size
        await progress?.(0.5, `Refreshed ${done} profiles`)
      }
    }
    return done
  }

  /** Scores rows by the models of now and stores that. */
  private async rescore(rows: readonly ProfileRow[], measures: Measures, now: Date): Promise<ProfileRow[]> {
    const scores = await this.scoresOf(rows, measures, now)
    await this.profiles.keepScores(scores, now)
    return rows.map((row, index) => withScores(row, scores[index], now))
  }

  private async scoresOf(rows: readonly StoredFacts[], measures: Measures, now: Date): Promise<ProfileScores[]> {
    const said = await this.models.score(rows, now)
    // Recency counts to the moment of the cuts, not to now: who ordered last at the same time has the same score, whenever the profile was made.
    const measuredAt = new Date(measures.at)
    return rows.map((row, index) => {
      const rfm = rfmOf(
        { recencyDays: daysBetween(row.lastOrderAt, measuredAt), orderDays: row.orderDays, monetary: Number(row.monetaryMicros) / 1e6 },
        measures.cuts,
      )
      const { cluster, churn, purchase, lifetimeValue, nextOrderAt } = said[index]
      return {
        userId: row.userId,
        recencyScore: rfm?.recencyScore ?? null,
        frequencyScore: rfm?.frequencyScore ?? null,
        monetaryScore: rfm?.monetaryScore ?? null,
        rfmGroup: rfm?.group ?? null,
        clusterKey: cluster,
        churn,
        purchase,
        lifetimeValueMicros: lifetimeValue && scaled(lifetimeValue),
        nextOrderAt,
      }
    })
  }
}

/** Sorted by a number that everybody has: −1 stands for unknown. */
const SORT_COLUMNS: Record<ProfileOrderField, string> = {
  USER: '0',
  CHURN_PROBABILITY: 'coalesce(p.churn, -1)',
  PURCHASE_PROBABILITY: 'coalesce(p.purchase, -1)',
  LIFETIME_VALUE: 'coalesce(p."lifetimeValueMicros", -1)',
  MONETARY: 'p."monetaryMicros"',
}

function numberIn([sortKey]: Cursor): number {
  const number = Number(sortKey)
  if (sortKey.trim() === '' || !Number.isFinite(number)) throw new InvalidInput('after is not a cursor of this list', {}, ['after'])
  return number
}

function cleanFilter({ rfmGroup, cluster, ...rest }: ProfileFilter): ProfileFilter {
  const text = (value: string | null | undefined, field: string) => cleanOptionalText(value, { field: ['where', field], max: 100, min: 0 })
  return { ...rest, rfmGroup: text(rfmGroup, 'rfmGroup'), cluster: text(cluster, 'cluster') }
}

function daysBetween(from: Date | null, to: Date): number {
  return from ? (to.getTime() - from.getTime()) / 86_400_000 : Number.NaN
}

function scaled({ value, low, high }: Estimate): Estimate {
  return { value: value * 1e6, low: low === null ? null : low * 1e6, high: high === null ? null : high * 1e6 }
}

function withScores(row: ProfileRow, scores: ProfileScores, now: Date): ProfileRow {
  const { churn, purchase, lifetimeValueMicros: value, ...rest } = scores
  const micros = (amount: number | null | undefined) => (amount === undefined || amount === null ? null : BigInt(Math.round(amount)))
  return {
    ...row,
    ...rest,
    churn: churn?.value ?? null,
    churnLow: churn?.low ?? null,
    churnHigh: churn?.high ?? null,
    purchase: purchase?.value ?? null,
    purchaseLow: purchase?.low ?? null,
    purchaseHigh: purchase?.high ?? null,
    lifetimeValueMicros: micros(value?.value),
    lifetimeValueLow: micros(value?.low),
    lifetimeValueHigh: micros(value?.high),
    scoredAt: now,
  }
}

/** Shares of liking, each drawn towards the population's by `strength` units of liking (Dirichlet prior): little evidence makes no strong taste. */
export function affinitiesOf(
  liking: readonly [string, number][],
  shares: Readonly<Record<string, number>>,
  strength = 5,
): { category: string; weight: number }[] {
  const total = liking.reduce((sum, [, weight]) => sum + weight, 0)
  return liking
    .map(([category, weight]) => ({ category, weight: (weight + strength * (shares[category] ?? 0)) / (total + strength) }))
    .sort((a, b) => b.weight - a.weight || (a.category < b.category ? -1 : 1))
}
