import { createHash } from 'node:crypto'
import { currencyNamed } from '../catalogue/product-rules.js'
import { DomainError, messageOf } from '../platform/errors.js'
import { EventType } from '../platform/generated/prisma/enums.js'
import { isNestedWithin, isStorable, jsonFault } from '../platform/text-input.js'

/** An event as it comes through any door; values are checked here, and nowhere else. */
export interface RawEvent {
  messageId?: unknown
  userId?: unknown
  anonymousId?: unknown
  productId?: unknown
  type?: unknown
  value?: unknown
  quantity?: unknown
  price?: unknown
  currency?: unknown
  timestamp?: unknown
  properties?: unknown
}

/** An event that can be stored; users and products still by their external ids. */
export interface CleanEvent {
  messageId: string
  /** External id of the user; for an anonymous visitor "anonymous:<id>". */
  user: string
  anonymousId: string | null
  product: string | null
  type: EventType
  value: number | null
  quantity: number | null
  priceMicros: bigint | null
  currency: string | null
  at: Date
  properties: string | null
}

export interface EventDefaults {
  now: Date
  currency: string
  /** Id of an event that brings none. */
  fallbackId(): string
  /** An event that brings no id but a time gets its id from its content, so that a blind resend is recognised. */
  contentIds: boolean
}

/** The names of what an event says. */
export const EVENT_FIELDS = [
  'messageId',
  'userId',
  'anonymousId',
  'productId',
  'type',
  'value',
  'quantity',
  'price',
  'currency',
  'timestamp',
  'properties',
] as const satisfies readonly (keyof RawEvent)[]
export const ANONYMOUS = 'anonymous:'
export const LONGEST_ID = 200
const LONGEST_PROPERTIES = 16_384
const DEEPEST_PROPERTIES = 32
const LARGEST_QUANTITY = 1_000_000_000
const LARGEST_PRICE = 1_000_000_000
export const DAY_MS = 86_400_000
const TYPES = new Set<string>(Object.values(EventType))
/** Decimal, as people and CSV writers write it; JavaScript would also read 0x10 and 0b1. */
const DECIMAL = /^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,3})?\s*$/i
const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)$/i

/** Thrown for one faulty row; the sentence names the field and what is wrong with it. */
export class RowFault extends Error {
  constructor(
    readonly field: string,
    sentence: string,
  ) {
    super(sentence)
  }
}

/**
 * Checks one event. Money is micros, exact; times are ISO 8601 with a zone or epoch milliseconds, from 1970 to a day ahead. A PURCHASE of negative
 * quantity is a REFUND of the positive one.
 */
export function cleanEvent(raw: RawEvent, { now, currency, fallbackId, contentIds }: EventDefaults): CleanEvent {
  const userId = optionalId(raw.userId, 'userId')
  const anonymousId = optionalId(raw.anonymousId, 'anonymousId')
  if (userId === null && anonymousId === null) throw new RowFault('userId', 'userId or anonymousId is needed')
  const quantity = optionalNumber(raw.quantity, 'quantity', -LARGEST_QUANTITY, LARGEST_QUANTITY)
  if (quantity !== null && !Number.isInteger(quantity))
    throw new RowFault('quantity', `quantity must be a whole number, not ${shown(raw.quantity)}`)
  let type = typeOf(raw.type)
  if (quantity !== null && quantity < 0) {
    if (type !== 'PURCHASE' && type !== 'REFUND') throw new RowFault('quantity', `quantity must not be negative, it is ${quantity}`)
    type = 'REFUND'
  }
  const isTimed = !isAbsent(raw.timestamp)
  const at = isTimed ? timeOf(raw.timestamp, now) : now
  const priceMicros = microsOf(raw.price)
  const event = {
    user: userId ?? `${ANONYMOUS}${anonymousId}`,
    anonymousId: userId === null ? anonymousId : null,
    product: optionalId(raw.productId, 'productId'),
    type,
    value: optionalNumber(raw.value, 'value', -1e15, 1e15),
    quantity: quantity === null ? null : Math.abs(quantity),
    priceMicros,
    currency: isAbsent(raw.currency) ? (priceMicros === null ? null : currency) : currencyOf(raw.currency),
    at,
    properties: propertiesOf(raw.properties),
  }
  if (type === 'RATING' && event.value === null) throw new RowFault('value', 'a RATING needs a value')
  const messageId = optionalId(raw.messageId, 'messageId')
  return { messageId: messageId ?? (isTimed && contentIds ? contentId(event) : fallbackId()), ...event }
}

/** The sentence of whatever a row's check threw; other errors are passed on. */
export function faultOf(error: unknown): string {
  if (error instanceof RowFault) return error.message
  if (error instanceof DomainError) return messageOf(error)
  throw error
}

export function isAbsent(value: unknown): value is null | undefined | '' {
  return value === undefined || value === null || value === ''
}

export function optionalId(value: unknown, field: string, longest = LONGEST_ID): string | null {
  if (isAbsent(value)) return null
  const text = typeof value === 'number' && Number.isSafeInteger(value) ? String(value) : value
  if (typeof text !== 'string') throw new RowFault(field, `${field} must be text, not ${shown(value)}`)
  if (text.length > longest) throw new RowFault(field, `${field} must have at most ${longest} characters, not ${text.length}`)
  if (!isStorable(text)) throw new RowFault(field, `${field} holds characters that cannot be stored`)
  if (text.trim() === '') throw new RowFault(field, `${field} is blank`)
  return text
}

export function optionalNumber(value: unknown, field: string, low: number, high: number): number | null {
  if (isAbsent(value)) return null
  const number = typeof value === 'string' && value.length < 40 && DECIMAL.test(value) ? Number(value) : value
  if (typeof number !== 'number' || !Number.isFinite(number)) throw new RowFault(field, `${field} must be a number, not ${shown(value)}`)
  if (number < low || number > high) throw new RowFault(field, `${field} must be from ${low} to ${high}, not ${number}`)
  return number
}

/** Units of currency → micros, exactly for up to six decimals; finer ones are rounded. */
export function microsOf(value: unknown, field = 'price'): bigint | null {
  if (isAbsent(value)) return null
  if (typeof value === 'string') {
    const [, sign, whole, fraction = ''] = /^\s*(-?)(\d{1,12})(?:\.(\d{1,20}))?\s*$/.exec(value.slice(0, 60)) ?? []
    if (whole !== undefined && sign === '' && fraction.length <= 6 && Number(whole) <= LARGEST_PRICE)
      return BigInt(whole) * 1_000_000n + BigInt(fraction.padEnd(6, '0'))
  }
  const number = optionalNumber(value, field, -LARGEST_PRICE, LARGEST_PRICE) as number
  if (number < 0) throw new RowFault(field, `${field} must not be negative, it is ${number}`)
  return BigInt(Math.round(number * 1_000_000))
}

export function timeOf(value: unknown, now: Date, field = 'timestamp'): Date {
  const isEpoch = typeof value === 'number' || (typeof value === 'string' && /^-?\d{1,16}$/.test(value))
  if (!isEpoch && !(value instanceof Date) && !(typeof value === 'string' && ISO.test(value))) {
    throw new RowFault(field, `${field} must be ISO 8601 with a zone (2026-01-31T12:00:00Z) or epoch milliseconds, not ${shown(value)}`)
  }
  const time = new Date(isEpoch ? Number(value) : (value as string | Date))
  if (Number.isNaN(time.getTime()) || (typeof value === 'string' && !isEpoch && !isInItsMonth(value)))
    throw new RowFault(field, `${field} is no date that exists: ${shown(value)}`)
  if (time.getTime() < 0) throw new RowFault(field, `${field} must not lie before 1970, it is ${time.toISOString()}`)
  if (time.getTime() > now.getTime() + DAY_MS) throw new RowFault(field, `${field} lies more than a day ahead: ${time.toISOString()}`)
  return time
}

/** JavaScript takes 30 February for 1 March. */
function isInItsMonth(iso: string): boolean {
  const day = Number(iso.slice(8, 10))
  return day <= 28 || day <= new Date(Date.UTC(Number(iso.slice(0, 4)), Number(iso.slice(5, 7)), 0)).getUTCDate()
}

export function currencyOf(value: unknown): string {
  const code = currencyNamed(value)
  if (code !== undefined) return code
  throw new RowFault('currency', `currency must be an ISO 4217 code, not ${shown(value)}`)
}

export function propertiesOf(value: unknown, field = 'properties'): string | null {
  if (isAbsent(value)) return null
  const object = typeof value === 'string' ? parsed(value, field) : value
  if (typeof object !== 'object' || object === null || Array.isArray(object))
    throw new RowFault(field, `${field} must be a JSON object, not ${shown(value)}`)
  const fault = jsonFault(object, DEEPEST_PROPERTIES)
  if (fault) throw new RowFault(field, `${field} ${fault}`)
  const text = JSON.stringify(object)
  if (Buffer.byteLength(text) > LONGEST_PROPERTIES)
    throw new RowFault(field, `${field} must have at most ${LONGEST_PROPERTIES} bytes as JSON`)
  return text
}

function parsed(text: string, field: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new RowFault(field, `${field} must be a JSON object, not ${shown(text)}`)
  }
}

function typeOf(value: unknown): EventType {
  const name = typeof value === 'string' ? value.toUpperCase() : ''
  if (!TYPES.has(name)) throw new RowFault('type', `type must be one of ${[...TYPES].join(', ')}, not ${shown(value)}`)
  return name as EventType
}

function contentId(event: Omit<CleanEvent, 'messageId'>): string {
  const { user, product, type, value, quantity, priceMicros, currency, at, properties } = event
  return `auto:${createHash('sha256')
    .update(JSON.stringify([user, product, type, value, quantity, priceMicros?.toString(), currency, at.getTime(), properties]))
    .digest('hex')
    .slice(0, 40)}`
}

function shown(value: unknown): string {
  if (!isNestedWithin(value, DEEPEST_PROPERTIES)) return 'deeply nested JSON'
  const text =
    typeof value === 'string'
      ? JSON.stringify(value.slice(0, 60))
      : value === undefined
        ? 'nothing'
        : String(JSON.stringify(value) ?? value).slice(0, 60)
  return text.replaceAll('\0', '␀')
}
