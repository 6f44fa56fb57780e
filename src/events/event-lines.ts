import { currencyNamed } from '../catalogue/product-rules.js'
import { EventType } from '../platform/generated/prisma/enums.js'
import { codes } from '../platform/record-reader.js'
import { DAY_MS, EVENT_FIELDS, LONGEST_ID } from './event-rules.js'
import type { FileFormat } from './import-rows.js'

const [SPACE, QUOTE, COMMA, DOT, MINUS, PLUS, ZERO, NINE, COLON, BACKSLASH] = codes(' ",.-+09:\\')
const [OPENING_BRACE, CLOSING_BRACE, LARGE_T, LARGE_Z, DELETE] = codes('{}TZ\x7f')
/** Clears what small letters have and large ones have not. */
const LARGE = 0xdf
const MOST_DIGITS = 15
const WHOLE_DIGITS = 9
const FRACTION_DIGITS = 6
/** No zone is further from UTC. */
const MOST_HOURS = 14
/** 2025-01-01 */
const DATE_LENGTH = 10
/** 2025-01-01T00:00:00 */
const TIME_LENGTH = 19
const FRACTION_LENGTH = 4
const LITERALS = ['null', 'true', 'false'].map(word => Buffer.from(word))
const TYPES = Object.values(EventType).map(name => Buffer.from(name))
const RATING = TYPES.find(name => name.toString() === EventType.RATING)

/** Places among the fields. */
export const [MESSAGE, USER, VISITOR, PRODUCT, TYPE, VALUE, QUANTITY, PRICE, CURRENCY, TIME, PROPERTIES] = EVENT_FIELDS.keys()

/**
 * Reads events of the form that most lines of a file have, straight from its bytes: a tenth of the time of a record and `cleanEvent`. Whatever is rare (another order of names than in the line that was
 * learnt, letters beyond ASCII, escapes, quotes in a CSV, visitors without a user, properties, negative numbers) and whatever may be at fault is left to those, which then have to say what it is.
 */
export class EventLines {
  /** Of the line that was read: where a field begins and ends in its bytes. Nothing lies between where the line does not give it. */
  private readonly spans = new Int32Array(2 * EVENT_FIELDS.length)
  type: Buffer = TYPES[0]
  currency: string | null = null
  /** Milliseconds since 1970. */
  time = 0

  private readonly isJson: boolean
  private learnt: readonly string[] = []
  /** The same as they stand in a line. */
  private names: readonly Buffer[] = []
  /** Place among the fields of each name, −1 for one that nothing reads. */
  private places: readonly number[] = []
  /** Of the fields that were given as a number of JSON, one bit each. */
  private numbers = 0
  private readonly currencies = new Map<number, string | undefined>()
  private readonly day = Buffer.alloc(DATE_LENGTH)
  private dayStart = 0

  constructor(
    format: FileFormat,
    private readonly defaults: { now: Date; currency: string },
  ) {
    this.isJson = format === 'ndjson'
  }

  /** Takes these names, in this order, for those of the lines to come. */
  learn(names: readonly string[]) {
    if (names.length === this.learnt.length && names.every((name, at) => name === this.learnt[at])) return
    this.learnt = names
    // Of two columns of one name it is not for us to say which one counts.
    const known = new Set(names).size === names.length ? names : []
    this.names = known.map(name => Buffer.from(this.isJson ? JSON.stringify(name) : name))
    this.places = known.map(name => (EVENT_FIELDS as readonly string[]).indexOf(name))
  }

  /** Whether the line is such an event; what it says stands here until the next one is read. */
  read(bytes: Buffer, start: number, end: number): boolean {
    if (this.names.length === 0) return false
    this.spans.fill(0)
    this.numbers = 0
    const isRead = this.isJson ? this.readJson(bytes, start, end) : this.readCells(bytes, start, end)
    return isRead && this.isEvent(bytes)
  }

  startOf(place: number): number {
    return this.spans[2 * place]
  }

  endOf(place: number): number {
    return this.spans[2 * place + 1]
  }

  private isGiven(place: number): boolean {
    return this.spans[2 * place + 1] > this.spans[2 * place]
  }

  private readCells(bytes: Buffer, start: number, end: number): boolean {
    const { places, spans } = this
    let column = 0
    let from = start
    for (let at = start; at <= end; at++) {
      const code = at === end ? COMMA : bytes[at]
      if (code === COMMA) {
        if (column === places.length) return false
        const place = places[column++]
        if (place >= 0) {
          spans[2 * place] = from
          spans[2 * place + 1] = at
        }
        from = at + 1
      } else if (code < SPACE || code >= DELETE || code === QUOTE || code === BACKSLASH) return false
    }
    return column === places.length
  }

  private readJson(bytes: Buffer, start: number, end: number): boolean {
    const { names, places, spans } = this
    let at = afterSpaces(bytes, start)
    if (bytes[at++] !== OPENING_BRACE) return false
    for (let column = 0; column < names.length; column++) {
      if (column > 0) {
        at = afterSpaces(bytes, at)
        if (bytes[at++] !== COMMA) return false
      }
      at = afterSpaces(bytes, at)
      if (!liesAt(bytes, at, names[column])) return false
      at = afterSpaces(bytes, at + names[column].length)
      if (bytes[at++] !== COLON) return false
      at = afterSpaces(bytes, at)
      const place = places[column]
      const code = bytes[at]
      if (code === QUOTE) {
        const from = ++at
        for (let inside = bytes[at]; inside !== QUOTE; inside = bytes[++at])
          if (!(inside >= SPACE && inside < DELETE) || inside === BACKSLASH) return false
        if (place >= 0) {
          spans[2 * place] = from
          spans[2 * place + 1] = at
        }
        at++
        continue
      }
      const after = afterNumber(bytes, at)
      if (after > at && place >= 0) {
        spans[2 * place] = at
        spans[2 * place + 1] = after
        this.numbers |= 1 << place
      }
      if (after > at) {
        at = after
        continue
      }
      const literal = LITERALS.find((word, which) => liesAt(bytes, at, word) && (which === 0 || place < 0))
      if (literal === undefined) return false
      at += literal.length
    }
    at = afterSpaces(bytes, at)
    return bytes[at] === CLOSING_BRACE && afterSpaces(bytes, at + 1) === end
  }

  private isEvent(bytes: Buffer): boolean {
    return (
      this.isGiven(USER) &&
      !this.isGiven(PROPERTIES) &&
      this.isId(bytes, USER) &&
      this.isId(bytes, MESSAGE) &&
      this.isId(bytes, VISITOR) &&
      this.isId(bytes, PRODUCT) &&
      this.hasType(bytes) &&
      this.isDecimal(bytes, VALUE, MOST_DIGITS, MOST_DIGITS) &&
      this.isDecimal(bytes, QUANTITY, WHOLE_DIGITS, 0) &&
      this.isDecimal(bytes, PRICE, WHOLE_DIGITS, FRACTION_DIGITS) &&
      this.hasCurrency(bytes) &&
      this.hasTime(bytes) &&
      (this.type !== RATING || this.isGiven(VALUE))
    )
  }

  private isId(bytes: Buffer, place: number): boolean {
    if (!this.isGiven(place)) return true
    const [start, end] = [this.startOf(place), this.endOf(place)]
    if (this.numbers & (1 << place)) return isWhole(bytes, start, end)
    // What begins with a blank may be nothing else.
    return end - start <= LONGEST_ID && bytes[start] !== SPACE
  }

  private hasType(bytes: Buffer): boolean {
    const [start, end] = [this.startOf(TYPE), this.endOf(TYPE)]
    for (const name of TYPES) {
      if (name.length !== end - start) continue
      let at = 0
      while (at < name.length && (bytes[start + at] & LARGE) === name[at]) at++
      if (at < name.length) continue
      this.type = name
      return true
    }
    return false
  }

  /** Digits, and a fraction of them behind a point; together no more than a number holds exactly. */
  private isDecimal(bytes: Buffer, place: number, mostWhole: number, mostFraction: number): boolean {
    if (!this.isGiven(place)) return true
    const [start, end] = [this.startOf(place), this.endOf(place)]
    let point = start
    while (point < end && bytes[point] !== DOT) point++
    const fraction = end - point - 1
    if (!isWhole(bytes, start, point) || point - start > mostWhole || end - start > MOST_DIGITS + 1) return false
    return point === end || (fraction > 0 && fraction <= mostFraction && isDigits(bytes, point + 1, end))
  }

  private hasCurrency(bytes: Buffer): boolean {
    if (!this.isGiven(CURRENCY)) {
      this.currency = this.isGiven(PRICE) ? this.defaults.currency : null
      return true
    }
    const [start, end] = [this.startOf(CURRENCY), this.endOf(CURRENCY)]
    if (end - start !== 3) return false
    const code = (bytes[start] << 16) | (bytes[start + 1] << 8) | bytes[start + 2]
    let name = this.currencies.get(code)
    if (name === undefined && !this.currencies.has(code)) {
      name = currencyNamed(bytes.toString('latin1', start, end))
      this.currencies.set(code, name)
    }
    this.currency = name ?? null
    return name !== undefined
  }

  /** ISO 8601 with seconds, perhaps milliseconds, and a zone, or milliseconds since 1970. */
  private hasTime(bytes: Buffer): boolean {
    if (!this.isGiven(TIME)) return false
    const [start, end] = [this.startOf(TIME), this.endOf(TIME)]
    if (isWhole(bytes, start, end)) this.time = digitsFrom(bytes, start, end)
    else {
      if (!this.hasDay(bytes, start, end) || bytes[start + DATE_LENGTH] !== LARGE_T) return false
      const clock = start + DATE_LENGTH + 1
      if (bytes[clock + 2] !== COLON || bytes[clock + 5] !== COLON) return false
      const hour = twoDigits(bytes, clock)
      const minute = twoDigits(bytes, clock + 3)
      const second = twoDigits(bytes, clock + 6)
      if (!(hour < 24 && minute < 60 && second < 60)) return false
      let zone = start + TIME_LENGTH
      let thousandths = 0
      if (bytes[zone] === DOT) {
        if (!isDigits(bytes, zone + 1, zone + FRACTION_LENGTH)) return false
        thousandths = digitsFrom(bytes, zone + 1, zone + FRACTION_LENGTH)
        zone += FRACTION_LENGTH
      }
      const offset = offsetMinutes(bytes, zone, end)
      if (Number.isNaN(offset)) return false
      this.time = this.dayStart + ((hour * 60 + minute - offset) * 60 + second) * 1000 + thousandths
    }
    return this.time >= 0 && this.time <= this.defaults.now.getTime() + DAY_MS
  }

  /** Lines that follow each other are mostly of one day. */
  private hasDay(bytes: Buffer, start: number, end: number): boolean {
    if (end - start <= TIME_LENGTH) return false
    if (liesAt(bytes, start, this.day)) return true
    const date = bytes.toString('latin1', start, start + DATE_LENGTH)
    const time = /^(19[7-9]|[2-9]\d\d)\d-\d\d-\d\d$/.test(date) ? Date.parse(`${date}T00:00:00Z`) : Number.NaN
    // 30 February would be 1 March.
    if (Number.isNaN(time) || !new Date(time).toISOString().startsWith(date)) return false
    bytes.copy(this.day, 0, start, start + DATE_LENGTH)
    this.dayStart = time
    return true
  }
}

function afterSpaces(bytes: Buffer, from: number): number {
  let at = from
  while (bytes[at] === SPACE) at++
  return at
}

function liesAt(bytes: Buffer, start: number, word: Buffer): boolean {
  for (let at = 0; at < word.length; at++) if (bytes[start + at] !== word[at]) return false
  return true
}

function isDigit(code: number): boolean {
  return code >= ZERO && code <= NINE
}

/** Where a number of JSON ends that begins here; the same place where there is none. */
function afterNumber(bytes: Buffer, start: number): number {
  const first = bytes[start] === MINUS ? start + 1 : start
  let at = first
  while (isDigit(bytes[at])) at++
  if (at === first || (bytes[first] === ZERO && at > first + 1)) return start
  if (bytes[at] !== DOT) return at
  const point = at++
  while (isDigit(bytes[at])) at++
  return at > point + 1 ? at : start
}

function isDigits(bytes: Buffer, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if (!isDigit(bytes[at])) return false
  return true
}

/** Whether these are the digits of a whole number as it is written back, and no more than it holds exactly. */
function isWhole(bytes: Buffer, start: number, end: number): boolean {
  const digits = end - start
  return digits > 0 && digits <= MOST_DIGITS && (digits === 1 || bytes[start] !== ZERO) && isDigits(bytes, start, end)
}

function digitsFrom(bytes: Buffer, start: number, end: number): number {
  let number = 0
  for (let at = start; at < end; at++) number = number * 10 + (bytes[at] - ZERO)
  return number
}

function twoDigits(bytes: Buffer, at: number): number {
  return isDigit(bytes[at]) && isDigit(bytes[at + 1]) ? (bytes[at] - ZERO) * 10 + (bytes[at + 1] - ZERO) : Number.NaN
}

/** Of "Z", "+08:00" and the like, which have to end the field; NaN for anything else. */
function offsetMinutes(bytes: Buffer, start: number, end: number): number {
  if (bytes[start] === LARGE_Z && end === start + 1) return 0
  const sign = bytes[start] === PLUS ? 1 : bytes[start] === MINUS ? -1 : Number.NaN
  if (end !== start + 6 || bytes[start + 3] !== COLON) return Number.NaN
  const [hours, minutes] = [twoDigits(bytes, start + 1), twoDigits(bytes, start + 4)]
  return hours <= MOST_HOURS && minutes < 60 ? sign * (hours * 60 + minutes) : Number.NaN
}
