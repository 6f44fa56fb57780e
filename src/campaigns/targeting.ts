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

/** Lists in lower case, of those that are there, in the order in which they are looked at. */
export type ReadyTargeting = readonly (readonly [keyof Targeting, ReadonlySet<string>])[]
/** What is known of an impression, in lower case, by the list that it is compared with. */
export type ReadyContext = Record<keyof Targeting, readonly string[]>

const LISTS = ['countries', 'devices', 'placements', 'categories'] as const

/** Made once for the many impressions that it is compared with. */
export function readyTargeting(targeting: Targeting): ReadyTargeting {
  return LISTS.flatMap(name => {
    const list = targeting[name]
    return list?.length ? [[name, new Set(list.map(each => each.toLowerCase()))] as const] : []
  })
}

/** Made once for the many campaigns that want it. */
export function readyContext({ country, device, placement, categories }: ImpressionContext): ReadyContext {
  const lowered = (words: readonly (string | null | undefined)[]) => words.flatMap(word => word?.toLowerCase() ?? [])
  return {
    countries: lowered([country]),
    devices: lowered([device]),
    placements: lowered([placement]),
    categories: lowered(categories ?? []),
  }
}

/** The list that does not match, or undefined. What the request does not say does not match. */
export function mismatch(targeting: ReadyTargeting, context: ReadyContext): keyof Targeting | undefined {
  for (const [name, list] of targeting) if (!context[name].some(word => list.has(word))) return name
  return undefined
}
