import type { MoneyInput } from '../graphql/money.js'
import { decodeId } from '../graphql/node-id.js'
import { InvalidInput } from '../platform/errors.js'
import { cleanJsonObject, cleanOptionalText, cleanText } from '../platform/text-input.js'
import type { ColumnChange } from '../platform/upsert.js'
import { cleanCountry } from '../users/user-rules.js'
import {
  BiddingStrategyType,
  type BudgetInput,
  type CampaignCreateInput,
  type CampaignFields,
  DeliveryMethod,
  type FrequencyCapInput,
  type HoursInput,
  type StrategyFields,
  type TargetingInput,
} from './campaigns.schema.js'

export type Changes = Record<string, ColumnChange>

/** A thousand million units of the currency: whatever is larger is a slip, and sums of it stay far from the end of 64 bits. */
export const LARGEST_AMOUNT_MICROS = 1_000_000_000_000_000n
const MOST_HOURS = 42
const MOST_ENTRIES = 100
const MOST_AUDIENCES = 50
const MOST_IAB_CATEGORIES = 20

/** What each strategy cannot do without. */
const NEEDS: Partial<Record<BiddingStrategyType, keyof StrategyFields>> = {
  [BiddingStrategyType.MANUAL_CPM]: 'cpmBid',
  [BiddingStrategyType.TARGET_CPA]: 'targetCpa',
  [BiddingStrategyType.TARGET_ROAS]: 'targetRoas',
}
const AMOUNTS = ['targetCpa', 'cpcBidCeiling', 'cpcBidFloor', 'cpcBid', 'cpmBid'] as const

/** An amount in the account's currency, in micros: above zero, or `least`. */
export function cleanAmount({ amountMicros, currencyCode }: MoneyInput, currency: string, field: string[], least: 0n | 1n = 1n): bigint {
  const name = field.at(-1)
  if (currencyCode && currencyCode.toUpperCase() !== currency)
    throw new InvalidInput(`${name} must be in the account's currency ${currency}, not ${currencyCode.slice(0, 10)}`, {}, [
      ...field,
      'currencyCode',
    ])
  if (amountMicros < least)
    throw new InvalidInput(`${name} must be ${least ? 'more than zero' : 'zero or more'}, not ${amountMicros} micros`, {}, [
      ...field,
      'amountMicros',
    ])
  if (amountMicros > LARGEST_AMOUNT_MICROS)
    throw new InvalidInput(`${name} must be at most ${LARGEST_AMOUNT_MICROS} micros, not ${amountMicros}`, {}, [...field, 'amountMicros'])
  return amountMicros
}

/** The columns of a strategy that are given; null clears one. */
export function cleanStrategyFields(input: StrategyFields, currency: string, path: string[] = []): Changes {
  const changes: Changes = {}
  for (const name of AMOUNTS) {
    const given = input[name]
    if (given === undefined) continue
    changes[`${name}Micros`] = { value: given === null ? null : cleanAmount(given, currency, [...path, name]), type: 'bigint' }
  }
  const { targetRoas } = input
  if (targetRoas !== undefined) {
    if (targetRoas !== null && !(targetRoas >= 0.01 && targetRoas <= 1_000))
      throw new InvalidInput(`targetRoas must be from 0.01 to 1000, not ${targetRoas}`, {}, [...path, 'targetRoas'])
    changes.targetRoas = { value: targetRoas, type: 'float8' }
  }
  if (input.settings !== undefined && input.settings !== null)
    changes.settings = { value: JSON.stringify(cleanSettings(input.settings, path)), type: 'jsonb' }
  return changes
}

/** The strategy as it would stand, against what its type needs. */
export function checkStrategy(type: BiddingStrategyType, whole: Record<string, unknown>, path: string[] = []): void {
  const need = NEEDS[type]
  const column = need === 'targetRoas' ? need : `${need}Micros`
  if (need && (whole[column] ?? null) === null) throw new InvalidInput(`${type} needs ${need}`, {}, [...path, need])
  const [floor, ceiling] = [whole.cpcBidFloorMicros, whole.cpcBidCeilingMicros] as (bigint | null | undefined)[]
  if (floor && ceiling && floor > ceiling)
    throw new InvalidInput('cpcBidFloor must not be above cpcBidCeiling', {}, [...path, 'cpcBidFloor'])
}

export function cleanBudget(
  { amount, maxDailyOverdelivery }: Pick<BudgetInput, 'amount' | 'maxDailyOverdelivery'>,
  currency: string,
  path: string[],
) {
  return {
    budgetMicros: cleanAmount(amount, currency, [...path, 'amount']),
    maxDailyOverdelivery: cleanOverdelivery(maxDailyOverdelivery, path),
  }
}

export function cleanOverdelivery(value: number, path: string[]): number {
  if (!(value >= 1 && value <= 2))
    throw new InvalidInput(`maxDailyOverdelivery must be from 1 to 2, not ${value}`, {}, [...path, 'maxDailyOverdelivery'])
  return Math.round(value * 1e4) / 1e4
}

/** The columns of a campaign that are given, but for its strategy and budget. */
export function cleanCampaignFields(
  input: CampaignFields & { name?: string | null; externalId?: string | null },
  currency: string,
): Changes {
  const { audienceId, excludedAudienceIds, attributionDays, conversionValue } = input
  const changes: Changes = {
    name: { value: input.name === null ? undefined : cleanOptionalText(input.name, { field: 'name', max: 200 }), type: 'text' },
    externalId: { value: cleanOptionalText(input.externalId, { field: 'externalId', max: 200, trim: false }), type: 'text' },
    startsAt: { value: cleanTime(input.startsAt, 'startsAt'), type: 'timestamptz' },
    endsAt: { value: cleanTime(input.endsAt, 'endsAt'), type: 'timestamptz' },
    audienceId: { value: typeof audienceId === 'string' ? decodeId('Audience', audienceId, 'audienceId') : audienceId, type: 'text' },
    excludedAudienceIds: {
      value: excludedAudienceIds === undefined ? undefined : cleanAudiences(excludedAudienceIds ?? []),
      type: 'text[]',
    },
    schedule: { value: jsonOf(input.schedule, cleanSchedule, '[]'), type: 'jsonb' },
    frequencyCap: { value: jsonOf(input.frequencyCap, cleanCap, null), type: 'jsonb' },
    contextual: { value: jsonOf(input.targeting, cleanTargeting, '{}'), type: 'jsonb' },
    attributionDays: { value: attributionDays === null ? 30 : wholeIn(attributionDays, 1, 90, 'attributionDays'), type: 'int' },
    conversionValueMicros: {
      value: conversionValue ? cleanAmount(conversionValue, currency, ['conversionValue']) : conversionValue,
      type: 'bigint',
    },
    pacingController: { value: input.pacingController ?? undefined, type: 'text' },
  }
  return Object.fromEntries(Object.entries(changes).filter(([, { value }]) => value !== undefined))
}

/** Start and end as they would stand. */
export function checkDates(startsAt: Date | null, endsAt: Date | null, now: Date, isEndNew: boolean): void {
  if (startsAt && endsAt && endsAt <= startsAt) throw new InvalidInput('endsAt must lie after startsAt', {}, ['endsAt'])
  if (isEndNew && endsAt && endsAt <= now) throw new InvalidInput('endsAt must lie in the future', {}, ['endsAt'])
}

/** Codes of the IAB Content Taxonomy 1.0, written as it writes them. */
export function cleanIabCategories(codes: readonly string[]): string[] {
  if (codes.length > MOST_IAB_CATEGORIES)
    throw new InvalidInput(`iabCategories must be at most ${MOST_IAB_CATEGORIES}`, {}, ['iabCategories'])
  const clean = codes.map(code => code.trim().toUpperCase())
  const wrong = clean.findIndex(code => !/^IAB([1-9]|1\d|2[0-6])(-[1-9]\d?)?$/.test(code))
  if (wrong >= 0)
    throw new InvalidInput(
      `${JSON.stringify(codes[wrong].slice(0, 40))} is no code of the IAB Content Taxonomy 1.0; they are IAB1 to IAB26 and, below them, e.g. IAB18-1`,
      {},
      ['iabCategories', String(wrong)],
    )
  return [...new Set(clean)]
}

export function cleanName(value: string): string {
  return cleanText(value, { field: 'name', max: 200 })
}

/** Exactly one way to the strategy: a shared one, or one of its own. */
export function checkStrategyChoice({ biddingStrategyId, biddingStrategy }: CampaignFields, isNeeded: boolean): void {
  if (biddingStrategyId && biddingStrategy)
    throw new InvalidInput('Give one of biddingStrategyId and biddingStrategy, not both', {}, ['biddingStrategy'])
  if (isNeeded && !biddingStrategyId && !biddingStrategy)
    throw new InvalidInput('A campaign needs a strategy: give biddingStrategyId or biddingStrategy', {}, ['biddingStrategy'])
}

export function columnsOfNew(input: CampaignCreateInput, currency: string): Changes {
  const { budget } = input
  const { budgetMicros, maxDailyOverdelivery } = cleanBudget(budget, currency, ['budget'])
  return {
    ...cleanCampaignFields({ ...input, name: cleanName(input.name) }, currency),
    budgetMicros: { value: budgetMicros, type: 'bigint' },
    budgetCurrencyCode: { value: currency, type: 'text' },
    budgetPeriod: { value: budget.period, type: 'text' },
    deliveryMethod: { value: budget.deliveryMethod ?? DeliveryMethod.STANDARD, type: 'text' },
    maxDailyOverdelivery: { value: maxDailyOverdelivery, type: 'float8' },
  }
}

function cleanSettings(value: unknown, path: string[]): Record<string, number> {
  const settings = cleanJsonObject(value, { field: [...path, 'settings'], maxBytes: 1_000, maxDepth: 2 })
  for (const [name, given] of Object.entries(settings)) {
    const isRight =
      name === 'form'
        ? given === 1 || given === 2
        : (name === 'cMicros' || name === 'clickValueMicros') && typeof given === 'number' && given > 0 && given <= 1e15
    if (!isRight)
      throw new InvalidInput(`settings.${name} is not a setting of ORTB: form (1 or 2), cMicros and clickValueMicros (above 0) are`, {}, [
        ...path,
        'settings',
        name,
      ])
  }
  return settings as Record<string, number>
}

function cleanTime(time: Date | null | undefined, field: string): string | null | undefined {
  if (!time) return time
  const year = time.getUTCFullYear()
  if (!(year >= 2000 && year <= 2200)) throw new InvalidInput(`${field} must be a time in the years 2000 to 2200`, {}, [field])
  return time.toISOString()
}

function cleanAudiences(ids: readonly string[]): string[] {
  if (ids.length > MOST_AUDIENCES)
    throw new InvalidInput(`excludedAudienceIds must be at most ${MOST_AUDIENCES}`, {}, ['excludedAudienceIds'])
  return [...new Set(ids.map(id => decodeId('Audience', id, 'excludedAudienceIds')))]
}

function jsonOf<Input>(
  given: Input | null | undefined,
  clean: (given: Input) => unknown,
  cleared: string | null,
): string | null | undefined {
  if (given === undefined) return undefined
  return given === null ? cleared : JSON.stringify(clean(given))
}

function cleanSchedule(hours: readonly HoursInput[]) {
  if (hours.length > MOST_HOURS) throw new InvalidInput(`schedule must have at most ${MOST_HOURS} entries`, {}, ['schedule'])
  return hours.map(({ days, fromHour, toHour }, index) => {
    const field = ['schedule', String(index)]
    if (days.length === 0 || days.some(day => day < 1 || day > 7))
      throw new InvalidInput('days must be numbers from 1 (Monday) to 7 (Sunday)', {}, [...field, 'days'])
    if (fromHour < 0 || fromHour > 23) throw new InvalidInput(`fromHour must be from 0 to 23, not ${fromHour}`, {}, [...field, 'fromHour'])
    if (toHour <= fromHour || toHour > 24)
      throw new InvalidInput(`toHour must be after fromHour and at most 24, not ${toHour}`, {}, [...field, 'toHour'])
    return { days: [...new Set(days)].sort(), fromHour, toHour }
  })
}

function cleanCap({ impressions, hours }: FrequencyCapInput) {
  return {
    impressions: wholeIn(impressions, 1, 1_000, 'impressions', ['frequencyCap']),
    hours: wholeIn(hours, 1, 720, 'hours', ['frequencyCap']),
  }
}

function cleanTargeting(targeting: TargetingInput) {
  const lists = Object.entries(targeting).flatMap(([name, list]) => {
    if (!list?.length) return []
    const field = ['targeting', name]
    if (list.length > MOST_ENTRIES) throw new InvalidInput(`${name} must have at most ${MOST_ENTRIES} entries`, {}, field)
    const clean = (list as string[]).map(entry =>
      name === 'countries' ? (cleanCountry(entry, field) as string) : cleanText(entry, { field, max: 200 }),
    )
    return [[name, [...new Set(clean)]]]
  })
  return Object.fromEntries(lists)
}

function wholeIn(value: number | undefined, low: number, high: number, name: string, path: string[] = []): number | undefined {
  if (value === undefined || (value >= low && value <= high)) return value
  throw new InvalidInput(`${name} must be from ${low} to ${high}, not ${value}`, {}, [...path, name])
}
