import { FEATURE_NAMES } from './features.js'
import { FIRST_MEASURES, type ProfilesRepository } from './profiles.repository.js'

/** A user as he was known at a moment, and what he did after it. */
export interface PastProfile {
  user: number
  features: Float64Array
  later: { events: number; orders: number; amount: number }
}

const KEPT_MS = 10 * 60_000

/** Profiles of the past for training; what one task has read, the next takes from memory for a while. */
export class ProfileHistory {
  private readonly kept = new Map<string, { rows: Promise<PastProfile[]>; until: number }>()

  constructor(
    private readonly profiles: ProfilesRepository,
    private readonly clock: () => Date = () => new Date(),
  ) {}

  /** Times of the oldest and of the newest event up to `now`. */
  span(now: Date): Promise<{ from: Date | null; to: Date | null }> {
    return this.profiles.span(now)
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
    const rows: { user: number; features: Float64Array }[] = []
    await this.profiles.stored((user, features) => rows.push({ user, features: features.slice() }))
    return rows
  }

  private async read(asOf: Date, days: number): Promise<PastProfile[]> {
    const rows: PastProfile[] = []
    const measures = (await this.profiles.measures()) ?? FIRST_MEASURES
    await this.profiles.history(asOf, days, measures, numbers => {
      const [events, orders, amount] = numbers.subarray(1 + FEATURE_NAMES.length)
      rows.push({ user: numbers[0], features: numbers.slice(1, 1 + FEATURE_NAMES.length), later: { events, orders, amount } })
    })
    return rows
  }
}
