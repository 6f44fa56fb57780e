import { strategyOf } from '../algorithms/bidding/index.js'
import {
  type Controller,
  controllers,
  type PacingOptions,
  type PacingState,
  restore,
  shapedBy,
  type TargetCurve,
  uniform,
} from '../algorithms/bidding/pacing.js'
import { pacingOf } from '../algorithms/bidding/strategy.js'
import type { CampaignRow, LedgerRow, PacingRow } from './campaigns.repository.js'
import { isInHours } from './targeting.js'
import type { AccountCalendar } from './time-zone.js'

/** The stretch of time that a budget is for. */
export interface Period {
  /** The account's date, or TOTAL. */
  name: string
  startsAt: Date
  /** null: a total budget without an end; it is not spread. */
  endsAt: Date | null
  /** Share gone by, in [0, 1]. */
  elapsed: number
}

/** Relative weight of each of `hours` hours from `from` on; the sales forecast gives one, else spend is uniform. */
export type CurveSource = (campaign: CampaignRow, from: Date, hours: number) => readonly number[] | undefined

const HOUR_MS = 3_600_000
const LONGEST_SHAPED_HOURS = 24 * 400

/** A daily budget is for what the campaign has of the day: on its first it cannot be late with what was before, nor on its last wait for what comes after. */
export function periodOf(
  { budgetPeriod, startsAt, endsAt, createdAt, enabledAt }: CampaignRow,
  calendar: AccountCalendar,
  now: Date,
): Period {
  const meant = startsAt ?? createdAt
  const begun = enabledAt && enabledAt > meant ? enabledAt : meant
  if (budgetPeriod === 'DAILY') {
    const day = calendar.day(now)
    const from = begun > day.startsAt && begun < day.endsAt ? begun : day.startsAt
    const until = endsAt && endsAt > from && endsAt < day.endsAt ? endsAt : day.endsAt
    return { name: day.date, startsAt: from, endsAt: until, elapsed: shareOf(from, until, now) }
  }
  return { name: 'TOTAL', startsAt: begun, endsAt, elapsed: endsAt ? shareOf(begun, endsAt, now) : 1 }
}

/** What a period may spend. */
export function limitOf({
  budgetMicros,
  budgetPeriod,
  maxDailyOverdelivery,
}: Pick<CampaignRow, 'budgetMicros' | 'budgetPeriod' | 'maxDailyOverdelivery'>): bigint {
  if (budgetPeriod !== 'DAILY' || maxDailyOverdelivery === 1) return budgetMicros
  // As PostgreSQL does it with numeric: exact to the micro.
  return (budgetMicros * BigInt(Math.round(maxDailyOverdelivery * 1e9))) / 1_000_000_000n
}

export function controllerOf({ deliveryMethod, pacingController }: Pick<CampaignRow, 'deliveryMethod' | 'pacingController'>): Controller {
  const name = deliveryMethod === 'ACCELERATED' ? 'none' : pacingController.toLowerCase()
  return controllers.find(each => each.name === name) ?? controllers[0]
}

/** Where the campaign's spend should be in its period: shaped by its hours, and by the forecast where there is one. */
export function curveOf(campaign: CampaignRow, { startsAt, endsAt }: Period, calendar: AccountCalendar, source?: CurveSource): TargetCurve {
  if (!endsAt) return { at: () => 1 }
  const hours = Math.max(1, Math.round((endsAt.getTime() - startsAt.getTime()) / HOUR_MS))
  if (hours > LONGEST_SHAPED_HOURS) return uniform
  const weights = source?.(campaign, startsAt, hours)
  if (!weights && campaign.schedule.length === 0) return uniform
  const shaped = Array.from({ length: hours }, (_, hour) => {
    const isOn = isInHours(campaign.schedule, calendar.moment(new Date(startsAt.getTime() + (hour + 0.5) * HOUR_MS)))
    return isOn ? Math.max(0, weights?.[hour] ?? 1) : 0
  })
  return shaped.some(weight => weight > 0) ? shapedBy(shaped) : uniform
}

/** The controller's state now: what was kept, one step further. Deterministic, so every server comes to the same. */
export function paced(
  campaign: CampaignRow,
  {
    strategy,
    ledger,
    kept,
    period,
    curve,
  }: { strategy: string; ledger: LedgerRow | undefined; kept: PacingRow | undefined; period: Period; curve: TargetCurve },
): { state: PacingState; seen: Parameters<Controller['step']>[1]; options: PacingOptions } {
  const controller = controllerOf(campaign)
  const isSamePeriod = kept?.period === period.name
  // A new day starts where the last one ended, for what the market was like yesterday is the best guess of today.
  const options: PacingOptions = {
    curve,
    ...pacingOf(strategyOf(strategy)),
    ...(controller.name === 'pid' && kept && !isSamePeriod ? { start: kept.multiplier } : {}),
  }
  const seen = {
    elapsed: period.elapsed,
    budgetMicros: Number(ledger?.limitMicros ?? limitOf(campaign)),
    spentMicros: Number(ledger?.spentMicros ?? 0),
    reservedMicros: Number(ledger?.reservedMicros ?? 0),
  }
  const before = isSamePeriod ? restore(controller, kept.state, options) : controller.start(options)
  return { state: controller.step(before, seen, options), seen, options }
}

function shareOf(from: Date, to: Date, now: Date): number {
  const share = (now.getTime() - from.getTime()) / (to.getTime() - from.getTime())
  return Math.min(1, Math.max(0, share))
}
