import { createHash } from 'node:crypto'
import { createRequire } from 'node:module'
import type { CountryCode } from 'libphonenumber-js'
import type { AudienceExportFormat } from '../platform/generated/prisma/enums.js'

/** With the first number to be read, and in the CommonJS form, which validators load: the tables of all countries are in memory once. */
let phoneNumbers: typeof import('libphonenumber-js') | undefined

/** What is known of a member, as it is stored. */
export interface Member {
  externalId: string
  email: string | null
  phone: string | null
  name: string | null
  firstName: string | null
  lastName: string | null
  gender: string | null
  birthYear: number | null
  city: string | null
  zip: string | null
  country: string | null
  score: number
}

export interface ExportFormat {
  /** The header, in the spelling that the platform asks for. */
  columns: readonly string[]
  /** Whether names, addresses and the like leave as they are. */
  isPlain: boolean
  /** Cells of a row; undefined when nothing in it could ever be matched. */
  rowOf(member: Member): string[] | undefined
}

/**
 * The files that the ad platforms take. Their rules: Google support.google.com/google-ads/answer/7659867, Meta "How to format a customer list" and Marketing
 * API "Customer file custom audiences", TikTok "How to create a custom audience with a customer file". A value that does not fit its rule is left empty: a
 * hash of it would match nobody.
 */
export const EXPORT_FORMATS: Record<AudienceExportFormat, ExportFormat> = {
  CSV: {
    columns: ['external_id', 'email', 'phone', 'name', 'gender', 'birth_year', 'city', 'zip', 'country', 'score'],
    isPlain: true,
    rowOf: member => [
      member.externalId,
      emailOf(member.email),
      phoneOf(member.phone, member.country),
      member.name ?? '',
      member.gender ?? '',
      member.birthYear === null ? '' : String(member.birthYear),
      member.city ?? '',
      member.zip ?? '',
      countryOf(member.country),
      String(member.score),
    ],
  },
  GOOGLE_CUSTOMER_MATCH: {
    columns: ['Email', 'Phone', 'First Name', 'Last Name', 'Country', 'Zip'],
    isPlain: false,
    rowOf: member => {
      const email = sha256(googleEmailOf(member.email))
      const phone = sha256(phoneOf(member.phone, member.country))
      const [first, last] = namesOf(member).map(name => lower(name))
      const [country, zip] = [countryOf(member.country), (member.zip ?? '').trim()]
      // An address is matched by all four or not at all.
      const hasAddress = Boolean(first && last && country && zip)
      if (!email && !phone && !hasAddress) return undefined
      return [email, phone, ...(hasAddress ? [sha256(first), sha256(last), country, zip] : ['', '', '', ''])]
    },
  },
  META_CUSTOM_AUDIENCES: {
    columns: ['email', 'phone', 'fn', 'ln', 'zip', 'ct', 'country', 'doby', 'gen', 'extern_id'],
    isPlain: false,
    rowOf: member => {
      const [first, last] = namesOf(member).map(lettersOf)
      const country = countryOf(member.country).toLowerCase()
      const zip = lower(member.zip).replace(/[\s-]/g, '')
      return [
        sha256(emailOf(member.email)),
        sha256(phoneOf(member.phone, member.country).replace('+', '')),
        sha256(first),
        sha256(last),
        // Of a code in the United States only the first five digits count.
        sha256(country === 'us' ? zip.slice(0, 5) : zip),
        sha256(lettersOf(member.city)),
        sha256(country),
        sha256(member.birthYear === null ? '' : String(member.birthYear)),
        sha256(/^[mf]/.exec(lower(member.gender))?.[0] ?? ''),
        // Meta wants it the same in every list, not hashed; a hash is the same too and says nothing.
        sha256(member.externalId),
      ]
    },
  },
  TIKTOK: {
    columns: ['Email_SHA256', 'Phone_SHA256'],
    isPlain: false,
    rowOf: member => {
      const row = [sha256(emailOf(member.email)), sha256(phoneOf(member.phone, member.country))]
      return row.some(cell => cell !== '') ? row : undefined
    },
  },
}

/** Trimmed, lower case, without blanks; '' when it is no address. The dry run counts by the same pattern. */
export function emailOf(email: string | null): string {
  const clean = lower(email).replace(/\s/g, '')
  return EMAIL.test(clean) ? clean : ''
}
const EMAIL = /^[^\s@]+@[^\s@]+\.[^\s@]+$/

/** Google ignores dots before the @ of its own addresses, and everything from a + on. */
export function googleEmailOf(email: string | null): string {
  const clean = emailOf(email)
  const [local, host] = clean.split('@')
  if (host !== 'gmail.com' && host !== 'googlemail.com') return clean
  const bare = local.split('+')[0].replaceAll('.', '')
  return bare ? `${bare}@${host}` : ''
}

/** E.164, e.g. +493012345; a national number needs the country. '' when it is not a possible number. */
export function phoneOf(phone: string | null, country: string | null): string {
  const text = (phone ?? '').trim().replace(/^00(?=[1-9])/, '+')
  if (!text || text.length > 40) return ''
  const region = countryOf(country)
  phoneNumbers ??= createRequire(import.meta.url)('libphonenumber-js') as typeof import('libphonenumber-js')
  const known = phoneNumbers.isSupportedCountry(region) ? (region as CountryCode) : undefined
  const parsed = phoneNumbers.parsePhoneNumberFromString(text, known)
  return parsed?.isPossible() ? parsed.number : ''
}

/** ISO 3166 alpha-2 in capitals, from a code or an English name. */
export function countryOf(country: string | null): string {
  const text = (country ?? '').trim()
  if (/^[A-Za-z]{2}$/.test(text)) return text.toUpperCase() === 'UK' ? 'GB' : text.toUpperCase()
  return COUNTRIES.get(text.toLowerCase()) ?? ''
}

const COUNTRIES = new Map<string, string>()
const names = new Intl.DisplayNames('en', { type: 'region' })
for (let first = 65; first <= 90; first++)
  for (let second = 65; second <= 90; second++) {
    const code = String.fromCharCode(first, second)
    const name = names.of(code)
    if (name && name !== code && code !== 'UK') COUNTRIES.set(name.toLowerCase(), code)
  }

/** First and last name as they were told, or the first and the last word of the whole name. */
function namesOf({ firstName, lastName, name }: Member): [string, string] {
  const words = (name ?? '').trim().split(/\s+/)
  return [firstName ?? words[0], lastName ?? (words.length > 1 ? (words.at(-1) as string) : '')]
}

function lower(text: string | null): string {
  return (text ?? '').normalize('NFC').trim().toLowerCase()
}

/** Lower case without blanks, digits and punctuation; letters of any script stay. */
function lettersOf(text: string | null): string {
  return lower(text).replace(/[^\p{L}\p{M}]/gu, '')
}

/** Lower-case hex; of nothing, nothing. */
export function sha256(text: string): string {
  return text === '' ? '' : createHash('sha256').update(text).digest('hex')
}

/** A line by RFC 4180. A cell that a spreadsheet would run as a formula gets an apostrophe before it; numbers stay numbers. */
export function csvLine(cells: readonly string[]): string {
  return `${cells.map(cellOf).join(',')}\r\n`
}

function cellOf(text: string): string {
  const safe = /^\s*[=+\-@\t\r\uFF1D\uFF0B\uFF0D\uFF20]/.test(text) && !/^[+-]?\d+(\.\d+)?(e[+-]?\d+)?$/.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}
