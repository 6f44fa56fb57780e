import { InvalidInput } from '../platform/errors.js'
import type { Purpose } from '../platform/generated/prisma/enums.js'
import { cleanJsonObject, cleanOptionalText, cleanText, type JsonObject } from '../platform/text-input.js'
import type { ColumnChange } from '../platform/upsert.js'

export interface ConsentChange {
  purpose: Purpose
  granted: boolean
  at: Date
  source: string
}

/** What may be said about a user; undefined leaves a fact as it is, null clears it. */
export interface UserFacts {
  externalId: string
  email?: string | null
  phone?: string | null
  name?: string | null
  gender?: string | null
  birthYear?: number | null
  city?: string | null
  country?: string | null
  locale?: string | null
  timeZone?: string | null
  traits?: unknown
  createdAt?: Date | null
  consents?: { purpose: Purpose; granted: boolean; at?: Date | null; source?: string | null }[] | null
}

export interface CleanUser {
  externalId: string
  changes: Record<string, ColumnChange>
  consents: ConsentChange[]
}

const EARLIEST = Date.UTC(1900, 0, 1)
const DAY_MS = 86_400_000
const TRAITS_BYTES = 16_384
const regionNames = new Intl.DisplayNames('en', { type: 'region', fallback: 'none' })
const NOT_A_COUNTRY = new Set(['EU', 'EZ', 'QO', 'UN', 'XA', 'XB', 'ZZ'])

/** The columns that a user's facts change, checked; throws `InvalidInput` that names the field. */
export function cleanUser(facts: UserFacts, now: Date, mergeTraits = false): CleanUser {
  const externalId = cleanExternalId(facts.externalId)
  const traits = facts.traits === undefined ? undefined : cleanTraits(facts.traits)
  const facets: Record<string, ColumnChange> = {
    email: { value: cleanEmail(facts.email), type: 'text' },
    phone: { value: cleanPhone(facts.phone), type: 'text' },
    name: { value: cleanOptionalText(facts.name, { field: 'name', max: 200 }), type: 'text' },
    gender: { value: cleanOptionalText(facts.gender, { field: 'gender', max: 40 }), type: 'text' },
    birthYear: { value: cleanBirthYear(facts.birthYear, now), type: 'int' },
    city: { value: cleanOptionalText(facts.city, { field: 'city', max: 200 }), type: 'text' },
    country: { value: cleanCountry(facts.country), type: 'text' },
    locale: { value: cleanLocale(facts.locale), type: 'text' },
    timeZone: { value: cleanTimeZone(facts.timeZone), type: 'text' },
    traits: { value: traits === undefined ? undefined : JSON.stringify(traits), type: 'jsonb', merge: mergeTraits },
    createdAt: { value: facts.createdAt ? cleanPast(facts.createdAt, now, 'createdAt').toISOString() : undefined, type: 'timestamptz' },
  }
  const changes = Object.fromEntries(Object.entries(facets).filter(([, { value }]) => value !== undefined))
  return { externalId, changes, consents: cleanConsents(facts.consents ?? [], now) }
}

/** Identifiers are kept to the letter, blanks included: they are the shop's, not ours. */
export function cleanExternalId(value: string, field = 'externalId'): string {
  return cleanText(value, { field, max: 200, trim: false })
}

export function cleanEmail(value: string | null | undefined, field: string | string[] = 'email'): string | null | undefined {
  const email = cleanOptionalText(value, { field, max: 254 })
  if (typeof email !== 'string' || /^[^\s@]+@[^\s@.]+(\.[^\s@.]+)+$/.test(email)) return email
  throw new InvalidInput('email must look like name@example.com', {}, [field].flat())
}

/** E.164 with or without the plus; blanks, dots, dashes and brackets are left out. */
function cleanPhone(value: string | null | undefined): string | null | undefined {
  const text = cleanOptionalText(value, { field: 'phone', max: 40 })
  if (typeof text !== 'string') return text
  const phone = text.replace(/[\s().-]/g, '')
  if (/^\+?\d{5,15}$/.test(phone)) return phone
  throw new InvalidInput('phone must be a number of 5 to 15 digits, best in the form +4930123456', {}, ['phone'])
}

function cleanBirthYear(value: number | null | undefined, now: Date): number | null | undefined {
  if (value === null || value === undefined) return value
  const thisYear = now.getUTCFullYear()
  if (Number.isInteger(value) && value >= 1900 && value <= thisYear) return value
  throw new InvalidInput(`birthYear must be a year from 1900 to ${thisYear}, not ${value}`, {}, ['birthYear'])
}

export function cleanCountry(value: string | null | undefined, field: string | string[] = 'country'): string | null | undefined {
  const country = cleanOptionalText(value, { field, max: 40 })
  if (typeof country !== 'string') return country
  const code = country.toUpperCase()
  if (/^[A-Z]{2}$/.test(code) && !NOT_A_COUNTRY.has(code) && regionNames.of(code)) return code
  throw new InvalidInput('country must be an ISO 3166 code of two letters such as DE or CN', {}, [field].flat())
}

export function cleanLocale(value: string | null | undefined, field: string | string[] = 'locale'): string | null | undefined {
  const locale = cleanOptionalText(value, { field, max: 40 })
  if (typeof locale !== 'string') return locale
  try {
    return Intl.getCanonicalLocales(locale.replaceAll('_', '-'))[0]
  } catch {
    throw new InvalidInput('locale must be a BCP 47 language tag such as en-GB or zh-CN', {}, [field].flat())
  }
}

/** An IANA name as PostgreSQL knows it too; offsets such as +02:00 are none, because they know no summer. */
export function cleanTimeZone(value: string | null | undefined, field: string | string[] = 'timeZone'): string | null | undefined {
  const zone = cleanOptionalText(value, { field, max: 60 })
  if (typeof zone !== 'string') return zone
  try {
    if (/^[A-Za-z]/.test(zone)) return new Intl.DateTimeFormat('en', { timeZone: zone }).resolvedOptions().timeZone
  } catch {
    // falls through to the one sentence
  }
  throw new InvalidInput('timeZone must be an IANA time zone such as Europe/Berlin', {}, [field].flat())
}

function cleanTraits(value: unknown): JsonObject {
  return value === null ? {} : cleanJsonObject(value, { field: 'traits', maxBytes: TRAITS_BYTES })
}

function cleanConsents(consents: NonNullable<UserFacts['consents']>, now: Date): ConsentChange[] {
  const purposes = new Set(consents.map(consent => consent.purpose))
  if (purposes.size < consents.length) throw new InvalidInput('consents must name each purpose once', {}, ['consents'])
  return consents.map(({ purpose, granted, at, source }, index) => ({
    purpose,
    granted,
    at: at ? cleanPast(at, now, 'at', ['consents', String(index), 'at']) : now,
    source: cleanOptionalText(source, { field: ['consents', String(index), 'source'], max: 100 }) ?? 'api',
  }))
}

/** Clocks differ, so a day of the future is let through. */
function cleanPast(time: Date, now: Date, name: string, path: string[] = [name]): Date {
  const at = time instanceof Date ? time.getTime() : Number.NaN
  if (at >= EARLIEST && at <= now.getTime() + DAY_MS) return time
  throw new InvalidInput(`${name} must be a time from 1900 until now`, {}, path)
}
