import type { History, Interactions } from './recommender.js'

const DAY_MS = 86_400_000

/** What an event of that time weighs at a moment, milliseconds both: half for every `halfLifeDays` of its age; all where its time is unknown, or nothing fades (0 days). */
export function fading(time: number, now: number, halfLifeDays: number): number {
  return halfLifeDays > 0 && time > 0 && time < now ? 2 ** ((time - now) / (halfLifeDays * DAY_MS)) : 1
}

/** Implicit weights as they are at `now`. A rating stays what it is. */
export function faded(data: Interactions, halfLifeDays: number): Interactions {
  const { kind, values, times, now } = data
  if (kind === 'explicit' || halfLifeDays <= 0) return data
  return { ...data, values: values.map((value, at) => value * fading(times[at], now, halfLifeDays)) }
}

/** The same of a history, as of its newest event: what somebody did last counts in full, however long ago that was. */
export function fadedHistory(history: History, halfLifeDays: number): History {
  const { values, times } = history
  if (halfLifeDays <= 0) return history
  const newest = times.reduce((latest, time) => (Number.isFinite(time) ? Math.max(latest, time) : latest), 0)
  return { ...history, values: values.map((value, at) => value * fading(times[at], newest, halfLifeDays)) }
}
