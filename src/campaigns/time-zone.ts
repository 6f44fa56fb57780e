import { InvalidInput } from '../platform/errors.js'

/** A day of the account: its date, and the instants at which it begins and ends (23 to 25 hours apart where clocks change). */
export interface LocalDay {
  /** YYYY-MM-DD */
  date: string
  startsAt: Date
  endsAt: Date
}

/** Where a moment lies in the account's week. */
export interface LocalMoment {
  date: string
  /** 1 is Monday, 7 is Sunday. */
  weekday: number
  hour: number
}

interface Parts extends LocalMoment {
  year: number
  month: number
  day: number
  minute: number
  second: number
}

const HOUR_MS = 3_600_000
const formats = new Map<string, Intl.DateTimeFormat>()

/** The account's calendar. Throws `InvalidInput` on a zone that is not in the IANA database. */
export class AccountCalendar {
  private readonly format: Intl.DateTimeFormat
  private known?: LocalDay

  constructor(readonly timeZone: string) {
    this.format = formatOf(timeZone)
  }

  /** The day that `now` lies in. */
  day(now: Date): LocalDay {
    const { known } = this
    if (known && now >= known.startsAt && now < known.endsAt) return known
    const { year, month, day, date } = this.parts(now)
    const next = new Date(Date.UTC(year, month - 1, day + 1))
    const startsAt = this.startOf(year, month, day)
    const endsAt = this.startOf(next.getUTCFullYear(), next.getUTCMonth() + 1, next.getUTCDate())
    this.known = { date, startsAt, endsAt }
    return this.known
  }

  moment(now: Date): LocalMoment {
    const { date, weekday, hour } = this.parts(now)
    return { date, weekday, hour }
  }

  /** The first instant of a local date; where midnight is skipped by a clock change, the first instant after it. */
  private startOf(year: number, month: number, day: number): Date {
    const wanted = Date.UTC(year, month - 1, day)
    const date = new Date(wanted).toISOString().slice(0, 10)
    // No zone is further than 14 hours from UTC; offsets are whole quarters of an hour.
    let low = wanted - 15 * HOUR_MS
    let high = wanted + 15 * HOUR_MS
    const step = HOUR_MS / 4
    while (high - low > step) {
      const middle = low + Math.floor((high - low) / 2 / step) * step
      if (this.parts(new Date(middle)).date >= date) high = middle
      else low = middle
    }
    return new Date(high)
  }

  private parts(at: Date): Parts {
    const found: Record<string, string> = {}
    for (const { type, value } of this.format.formatToParts(at)) found[type] = value
    const [year, month, day] = [Number(found.year), Number(found.month), Number(found.day)]
    const date = `${found.year.padStart(4, '0')}-${found.month}-${found.day}`
    const weekday = ((new Date(Date.UTC(year, month - 1, day)).getUTCDay() + 6) % 7) + 1
    return { year, month, day, date, weekday, hour: Number(found.hour), minute: Number(found.minute), second: Number(found.second) }
  }
}

function formatOf(timeZone: string): Intl.DateTimeFormat {
  const known = formats.get(timeZone)
  if (known) return known
  try {
    const format = new Intl.DateTimeFormat('en-CA', {
      timeZone,
      hourCycle: 'h23',
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
      hour: '2-digit',
      minute: '2-digit',
      second: '2-digit',
    })
    formats.set(timeZone, format)
    return format
  } catch {
    throw new InvalidInput(`${timeZone} is no time zone; use a name of the IANA database such as Europe/Berlin`, {}, ['timeZone'])
  }
}
