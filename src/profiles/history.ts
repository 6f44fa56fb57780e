import type { People } from '../algorithms/grouping/people.js'
import { peopleOf } from './cluster.task.js'
import { FEATURE_NAMES } from './features.js'
import { FIRST_MEASURES, type ProfilesRepository } from './profiles.repository.js'

/** A user as he was known at a moment, and what he did after it. */
export interface PastProfile {
  user: number
  features: Float64Array
  later: { events: number; orders: number; amount: number }
}

const KEPT_MS = 10 * 60_000
/** Tastes are told apart by the most liked categories. */
const MOST_CATEGORIES = 30

/** Profiles of the past for training; what one task has read, the next takes from memory for a while. */
export class ProfileHistory {
  private readonly kept = new Map<string, { rows: Promise<PastProfile[]>; until: number }>()

  constructor(
    private readonly profiles: ProfilesRepository,
    /** Brings the stored profiles up to date before they teach. */
    private readonly refresh: () => Promise<unknown> = async () => undefined,
    private readonly clock: () => Date = () => new Date(),
  ) {}

  /** Times of the oldest and of the newest event up to `now`. */
  span(now: Date): Promise<{ from: Date | null; to: Date | null }> {
    return this.profiles.span(now)
  }

  /** What of the stored profiles teaches nothing or was cut, in sentences for the card of a model. */
  async leftOut(): Promise<string[]> {
    const { profiles, bots, causes } = await this.profiles.preprocessing()
    const list = Object.entries(causes).map(([cause, count]) => `${cause} ${count}`)
    return [`Of ${profiles} profiles ${bots} were left out as bots; events left out or cut: ${list.join(', ') || 'none'}`]
  }

  /** Everybody who had done anything before `asOf`, bots left out. */
  async at(asOf: Date, days: number): Promise<PastProfile[]> {
    const time = this.clock().getTime()
    for (const [key, { until }] of this.kept) if (until < time) this.kept.delete(key)
    const key = `${asOf.toISOString()}/${days}`
    const known = this.kept.get(key) ?? { rows: this.read(asOf, days), until: time + KEPT_MS }
    this.kept.set(key, known)
    return (
      await known.rows.catch(error => {
        this.kept.delete(key)
        throw error
      })
    ).slice()
  }

  /** Everybody as stored now, bots and people without events left out. */
  async now(): Promise<{ user: number; features: Float64Array }[]> {
    await this.refresh()
    const rows: { user: number; features: Float64Array }[] = []
    await this.profiles.stored((user, features) => rows.push({ user, features: features.slice() }))
    return rows
  }

  /** Everybody of whom at least so many events are known, with the liking of the shop's most liked categories. */
  async people(leastEvents: number, known?: readonly string[]): Promise<People> {
    await this.refresh()
    const categories = known ?? Object.keys(await this.profiles.likingShares('categories')).slice(0, MOST_CATEGORIES)
    const rows = new Map<number, { features: number[]; categories: [string, number][] }>()
    await this.profiles.stored((user, features) => rows.set(user, { features: Array.from(features), categories: [] }), leastEvents)
    const rest = '\0'
    await this.profiles.likings(categories, (user, category, weight) => {
      rows.get(user)?.categories.push([category > 0 ? categories[category - 1] : rest, weight])
    })
    return peopleOf([...rows.values()], categories)
  }

  private async read(asOf: Date, days: number): Promise<PastProfile[]> {
    await this.refresh()
    const rows: PastProfile[] = []
    const measures = (await this.profiles.measures()) ?? FIRST_MEASURES
    await this.profiles.history(asOf, days, measures, numbers => {
      const [events, orders, amount] = numbers.subarray(1 + FEATURE_NAMES.length)
      rows.push({ user: numbers[0], features: numbers.slice(1, 1 + FEATURE_NAMES.length), later: { events, orders, amount } })
    })
    return rows
  }
}
