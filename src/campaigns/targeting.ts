import type { LocalMoment } from './time-zone.js'

/** Hours of the account's week: `days` 1 (Monday) to 7, from `fromHour` up to but not including `toHour`. */
export interface Hours {
  days: number[]
  fromHour: number
  toHour: number
}

export interface FrequencyCap {
  impressions: number
  hours: number
}

/** Of each list that is there one entry must match. Compared in lower case. */
export interface Targeting {
  categories?: string[]
  devices?: string[]
  placements?: string[]
  countries?: string[]
}

/** What is known of an impression without knowing who sees it. */
export interface ImpressionContext {
  placement?: string | null
  device?: string | null
  country?: string | null
  categories?: readonly string[]
}

export function isInHours(schedule: readonly Hours[], { weekday, hour }: Pick<LocalMoment, 'weekday' | 'hour'>): boolean {
  return schedule.length === 0 || schedule.some(({ days, fromHour, toHour }) => days.includes(weekday) && hour >= fromHour && hour < toHour)
}

/** The list that does not match, or undefined. What the request does not say does not match. */
export function mismatch(targeting: Targeting, context: ImpressionContext): keyof Targeting | undefined {
  const { categories, devices, placements, countries } = targeting
  if (countries?.length && !has(countries, context.country)) return 'countries'
  if (devices?.length && !has(devices, context.device)) return 'devices'
  if (placements?.length && !has(placements, context.placement)) return 'placements'
  if (categories?.length && !context.categories?.some(each => has(categories, each))) return 'categories'
  return undefined
}

function has(list: readonly string[], value: string | null | undefined): boolean {
  return value !== null && value !== undefined && list.some(each => each.toLowerCase() === value.toLowerCase())
}
