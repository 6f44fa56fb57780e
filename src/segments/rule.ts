import { z } from 'zod'
import { InvalidInput } from '../platform/errors.js'
import { EventType } from '../platform/generated/prisma/enums.js'
import { FEATURE_NAMES } from '../profiles/features.js'
import { GROUPS } from '../profiles/rfm.js'

/** Facts of a user that rules may ask for, and how they compare. */
export const TRAITS = {
  country: 'text',
  city: 'text',
  gender: 'text',
  locale: 'text',
  birthYear: 'number',
  timeZone: 'text',
  anonymous: 'boolean',
  createdAt: 'time',
  firstEventAt: 'time',
  lastEventAt: 'time',
  firstOrderAt: 'time',
  lastOrderAt: 'time',
  nextOrderAt: 'time',
} as const
/** Traits by which a person is known: those that Segment reserves for it, and how else shops call them. */
const PERSONAL = new Set(
  'name firstname middlename lastname surname fullname username birthday birthdate dateofbirth dob address street zip postalcode avatar tel 姓名 生日 地址'.split(
    ' ',
  ),
)
/** In whatever name: by these a person is reached. */
const REACHES = /mail|phone|mobile|whatsapp|wechat|邮箱|邮件|电话|手机|微信/

/** Whether a rule must not ask for this trait without pii:read. */
export function isPersonal(name: string): boolean {
  const [root, ...path] = name.split('.').map(part => part.toLowerCase().replaceAll(/[^\p{L}]/gu, ''))
  return root === 'traits' && (PERSONAL.has(path[0]) || path.some(part => REACHES.test(part)))
}

export const PREDICTIONS = {
  churnProbability: 'churn',
  purchaseProbability: 'purchase',
  lifetimeValue: 'lifetimeValueMicros',
} as const
const OPERATORS = ['EQ', 'NE', 'GT', 'GTE', 'LT', 'LTE', 'IN', 'EXISTS'] as const
export type Operator = (typeof OPERATORS)[number]
const PERIODS = ['TODAY', 'THIS_WEEK', 'THIS_MONTH'] as const

const DEEPEST = 8
const MOST_CLAUSES = 100

const scalar = z.union([z.string().max(500), z.number(), z.boolean()])
const op = z.enum(OPERATORS)
const count = z.number().int().min(0).max(1_000_000)
const days = z.number().min(0.001).max(3_660)
const eventType = z.enum(Object.values(EventType) as [string, ...string[]])
const time = z.iso.datetime({ offset: true, error: 'must be a time such as 2026-01-31T00:00:00Z' })
/** A day stands for its beginning in UTC. */
const TIME = z.union([time, z.iso.date()])
const about = {
  event: z.string().min(1).max(200).optional(),
  category: z.string().min(1).max(200).optional(),
  brand: z.string().min(1).max(200).optional(),
  productExternalId: z.string().min(1).max(200).optional(),
  minValue: z.number().optional(),
}

const trait = z.strictObject({
  name: z.string().min(1).max(200),
  op,
  value: scalar.optional(),
  values: z.array(scalar).min(1).max(500).optional(),
  daysAgo: z.number().min(-3_660).max(36_600).optional(),
})
const feature = z.strictObject({ name: z.string().min(1).max(60), per: z.string().max(60).optional(), op, value: z.number().optional() })
const prediction = z.strictObject({ name: z.string().min(1).max(60), op, value: z.number().optional() })
const did = z.strictObject({
  type: eventType,
  atLeast: count.optional(),
  atMost: count.optional(),
  withinDays: days.optional(),
  period: z.enum(PERIODS).optional(),
  since: time.optional(),
  until: time.optional(),
  fromHour: z.number().int().min(0).max(23).optional(),
  toHour: z.number().int().min(1).max(24).optional(),
  ...about,
})
const didThenNot = z.strictObject({
  first: eventType,
  butNot: eventType,
  withinHours: z.number().min(0.01).max(8_760),
  lastDays: days,
  sameProduct: z.boolean().optional(),
  ...about,
})

/** A rule as data: exactly one of the keys. The typed builder of the schema has the same shape. */
export interface Rule {
  all?: Rule[]
  any?: Rule[]
  not?: Rule
  trait?: z.infer<typeof trait>
  feature?: z.infer<typeof feature>
  prediction?: z.infer<typeof prediction>
  did?: z.infer<typeof did>
  didThenNot?: z.infer<typeof didThenNot>
  affinity?: { category?: string; brand?: string; atLeast: number }
  rfm?: string[]
  cluster?: string
  consent?: string
  inSegment?: string
}

const shape = {
  trait,
  feature,
  prediction,
  did,
  didThenNot,
  affinity: z.strictObject({
    category: z.string().max(200).optional(),
    brand: z.string().max(200).optional(),
    atLeast: z.number().min(0).max(1),
  }),
  rfm: z
    .array(z.enum(Object.keys(GROUPS) as [string, ...string[]]))
    .min(1)
    .max(20),
  cluster: z.string().min(1).max(60),
  consent: z.enum(['ANALYTICS', 'PERSONALISATION', 'PROFILING', 'ADS', 'MESSAGING']),
  inSegment: z.string().min(1).max(100),
} as const
type LeafName = keyof typeof shape
export const LEAVES = Object.keys(shape) as LeafName[]

/** Checks a rule from outside and returns it cleaned. Throws `InvalidInput` whose field is the place of the fault. */
export function cleanRule(input: unknown, place: string[] = ['rule']): Rule {
  let clauses = 0
  return clean(input, place, 1)

  function clean(node: unknown, path: string[], depth: number): Rule {
    if (depth > DEEPEST) throw fault(path, `a rule nests at most ${DEEPEST} levels`)
    if (++clauses > MOST_CLAUSES) throw fault(path, `a rule has at most ${MOST_CLAUSES} clauses`)
    if (node === null || typeof node !== 'object' || Array.isArray(node)) throw fault(path, 'a rule is an object')
    const given = Object.entries(node).filter(([, value]) => value !== undefined && value !== null)
    const known = ['all', 'any', 'not', ...LEAVES]
    const stranger = given.find(([name]) => !known.includes(name))
    if (stranger) throw fault([...path, stranger[0].slice(0, 60)], `unknown; a rule has one of ${known.join(', ')}`)
    if (given.length !== 1) throw fault(path, `a rule has exactly one of ${known.join(', ')}, not ${given.length}`)
    const [[name, value]] = given
    if (name === 'all' || name === 'any') {
      if (!Array.isArray(value) || value.length === 0) throw fault([...path, name], 'needs at least one rule in its list')
      const rules = value.map((each, index) => clean(each, [...path, name, String(index)], depth + 1))
      if (name === 'all') refuseContradiction(rules, [...path, name])
      return { [name]: rules }
    }
    if (name === 'not') return { not: clean(value, [...path, 'not'], depth + 1) }
    return { [name]: leaf(name as LeafName, withoutNulls(value), [...path, name]) }
  }
}

function leaf(name: LeafName, value: unknown, path: string[]): unknown {
  const parsed = shape[name].safeParse(value)
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    throw fault([...path, ...issue.path.map(String)], issue.message)
  }
  if (JSON.stringify(parsed.data).includes('\\u0000')) throw fault(path, 'text must not hold NUL characters')
  if (name === 'trait') checkTrait(parsed.data as z.infer<typeof trait>, path)
  if (name === 'feature') checkFeature(parsed.data as z.infer<typeof feature>, path)
  if (name === 'prediction') checkPrediction(parsed.data as z.infer<typeof prediction>, path)
  if (name === 'didThenNot') checkDidThenNot(parsed.data as z.infer<typeof didThenNot>, path)
  if (name === 'did') checkDid(parsed.data as z.infer<typeof did>, path)
  return parsed.data
}

function checkTrait({ name, op, value, values, daysAgo }: z.infer<typeof trait>, path: string[]) {
  const kind = Object.hasOwn(TRAITS, name)
    ? TRAITS[name as keyof typeof TRAITS]
    : name.startsWith('traits.') && name.length > 7
      ? 'any'
      : undefined
  if (!kind) throw fault([...path, 'name'], `no such trait; there are ${Object.keys(TRAITS).join(', ')} and traits.<name>`)
  if (op === 'EXISTS') return
  if (daysAgo !== undefined) {
    if (kind !== 'time') throw fault([...path, 'daysAgo'], `${name} is no time; compare it with value`)
    if (op === 'IN' || op === 'EQ' || op === 'NE') throw fault([...path, 'op'], 'a moment is compared by GT, GTE, LT or LTE')
    if (value !== undefined) throw fault([...path, 'value'], 'give value or daysAgo, not both')
    return
  }
  if (kind === 'any' && !['EQ', 'NE', 'IN'].includes(op) && typeof value !== 'number' && typeof value !== 'string')
    throw fault([...path, 'value'], `${op} compares numbers or texts`)
  if (op === 'IN' ? !values : value === undefined) throw fault([...path, op === 'IN' ? 'values' : 'value'], `is needed for ${op}`)
  for (const each of op === 'IN' ? (values as unknown[]) : [value]) {
    const wrong =
      (kind === 'number' && typeof each !== 'number') ||
      (kind === 'boolean' && typeof each !== 'boolean') ||
      (kind === 'text' && typeof each !== 'string') ||
      (kind === 'time' && !TIME.safeParse(each).success)
    const form = kind === 'time' ? 'time such as 2026-01-31T00:00:00Z, or a day' : kind
    if (wrong) throw fault([...path, 'value'], `${name} compares with a ${form}`)
  }
}

function checkFeature({ name, per, op, value }: z.infer<typeof feature>, path: string[]) {
  if (!FEATURE_NAMES.includes(name)) throw fault([...path, 'name'], `no such feature; there are ${FEATURE_NAMES.join(', ')}`)
  if (per !== undefined && !FEATURE_NAMES.includes(per)) throw fault([...path, 'per'], 'no such feature')
  if (op === 'IN') throw fault([...path, 'op'], 'a feature compares with one number')
  if (op !== 'EXISTS' && value === undefined) throw fault([...path, 'value'], `is needed for ${op}`)
}

function checkPrediction({ name, op, value }: z.infer<typeof prediction>, path: string[]) {
  if (!Object.hasOwn(PREDICTIONS, name))
    throw fault([...path, 'name'], `no such prediction; there are ${Object.keys(PREDICTIONS).join(', ')}`)
  if (op === 'IN') throw fault([...path, 'op'], 'a prediction compares with one number')
  if (op !== 'EXISTS' && value === undefined) throw fault([...path, 'value'], `is needed for ${op}`)
}

function checkDid(
  { type, event, atLeast, atMost, fromHour, toHour, withinDays, period, since, until }: z.infer<typeof did>,
  path: string[],
) {
  if (atLeast === undefined && atMost === undefined) throw fault([...path, 'atLeast'], 'atLeast or atMost is needed')
  if (atLeast !== undefined && atMost !== undefined && atLeast > atMost)
    throw fault([...path, 'atMost'], 'is below atLeast, so nobody can match')
  if (fromHour !== undefined && toHour !== undefined && fromHour >= toHour) throw fault([...path, 'toHour'], 'must be after fromHour')
  if (withinDays !== undefined && period !== undefined) throw fault([...path, 'period'], 'give withinDays or period, not both')
  if (since !== undefined && until !== undefined && Date.parse(since) >= Date.parse(until))
    throw fault([...path, 'until'], 'must be after since')
  if (event !== undefined && type !== 'CUSTOM') throw fault([...path, 'event'], 'names a CUSTOM event; other types have no name')
}

function checkDidThenNot({ first, event, withinHours, lastDays }: z.infer<typeof didThenNot>, path: string[]) {
  if (withinHours >= 24 * lastDays)
    throw fault([...path, 'withinHours'], `is not over before lastDays are: within ${lastDays} days nobody has waited ${withinHours} hours`)
  if (event !== undefined && first !== 'CUSTOM') throw fault([...path, 'event'], 'names a CUSTOM event; other types have no name')
}

/** Clauses of one `all` that nobody can meet together: told at once instead of an empty segment. */
function refuseContradiction(rules: readonly Rule[], path: string[]) {
  const wanted = new Set<string>()
  const rooms = new Map<string, Room>()
  const clauses = rules.flatMap((rule, index) => conjunctsOf(rule, [...path, String(index)]))
  for (const { rule } of clauses) wanted.add(JSON.stringify(rule))
  for (const { rule, place } of clauses) {
    if (rule.not && wanted.has(JSON.stringify(rule.not)))
      throw fault(place, 'contradicts another clause: nobody both meets it and does not')
    for (const claim of claimsOf(rule)) {
      const key = JSON.stringify(claim.about)
      const room = rooms.get(key) ?? {
        low: Number.NEGATIVE_INFINITY,
        high: Number.POSITIVE_INFINITY,
        isLowOpen: false,
        isHighOpen: false,
        others: new Set(),
      }
      rooms.set(key, room)
      if (!leavesRoom(room, claim)) throw fault(place, `contradicts an earlier clause: no ${claim.name} can meet both`)
    }
  }
}

/** All that must hold for `rule` to hold, those of a nested `all` too. */
function conjunctsOf(rule: Rule, place: string[]): { rule: Rule; place: string[] }[] {
  return rule.all ? rule.all.flatMap((each, at) => conjunctsOf(each, [...place, 'all', String(at)])) : [{ rule, place }]
}

/** What is left of the values that something may have. */
interface Room {
  low: number
  high: number
  /** The bound itself is not in it. */
  isLowOpen: boolean
  isHighOpen: boolean
  /** Only these; any where undefined. */
  only?: Set<unknown>
  others: Set<unknown>
}

/** A claim about one value of a user. */
interface Claim {
  /** The same for claims about the same value. */
  about: unknown
  name: string
  op: Operator
  value?: unknown
  values?: readonly unknown[]
}

function claimsOf({ trait: fact, feature: number, prediction: score, did: deed, rfm, cluster }: Rule): Claim[] {
  if (fact?.daysAgo !== undefined) return [{ about: ['ago', fact.name], name: fact.name, op: fact.op, value: -fact.daysAgo }]
  if (fact) {
    const isTime = TRAITS[fact.name as keyof typeof TRAITS] === 'time'
    const plain = (value: unknown) => (isTime && typeof value === 'string' ? Date.parse(value) : value)
    return [{ about: ['trait', fact.name], name: fact.name, op: fact.op, value: plain(fact.value), values: fact.values?.map(plain) }]
  }
  if (number) return [{ ...number, about: ['feature', number.name, number.per] }]
  if (score) return [{ ...score, about: ['prediction', score.name] }]
  if (rfm) return [{ about: 'rfm', name: 'RFM group', op: 'IN', values: rfm }]
  if (cluster !== undefined) return [{ about: 'cluster', name: 'cluster', op: 'EQ', value: cluster }]
  if (!deed) return []
  const { atLeast, atMost, ...about } = deed
  const claim = (op: Operator, value: number | undefined) =>
    value === undefined ? [] : [{ about, name: `number of ${deed.type}`, op, value }]
  return [...claim('GTE', atLeast), ...claim('LTE', atMost)]
}

/** Narrows the room by a claim; false when nothing is left. */
function leavesRoom(room: Room, { op, value, values }: Claim): boolean {
  if (op === 'NE') room.others.add(value)
  const given = op === 'IN' ? values : op === 'EQ' ? [value] : undefined
  if (given) room.only = new Set(given.filter(each => room.only?.has(each) ?? true))
  if (typeof value === 'number') {
    if (op === 'GT' || op === 'GTE') narrow(room, 'low', value, op === 'GT')
    if (op === 'LT' || op === 'LTE') narrow(room, 'high', value, op === 'LT')
  }
  if (room.low > room.high || (room.low === room.high && (room.isLowOpen || room.isHighOpen))) return false
  const fits = (each: unknown) => !room.others.has(each) && (typeof each !== 'number' || isWithin(room, each))
  return !room.only || [...room.only].some(fits)
}

function narrow(room: Room, side: 'low' | 'high', value: number, isOpen: boolean) {
  const isTighter = side === 'low' ? value > room.low : value < room.high
  if (!isTighter && value !== room[side]) return
  if (isOpen) room[side === 'low' ? 'isLowOpen' : 'isHighOpen'] = true
  else if (isTighter) room[side === 'low' ? 'isLowOpen' : 'isHighOpen'] = false
  room[side] = value
}

function isWithin({ low, high, isLowOpen, isHighOpen }: Room, value: number): boolean {
  return (isLowOpen ? value > low : value >= low) && (isHighOpen ? value < high : value <= high)
}

/** What may change whether somebody matches. */
export interface Touches {
  eventTypes: Set<string>
  /** Any event changes features, affinities and predictions. */
  profile: boolean
  user: boolean
  /** Membership changes by the mere passing of time. */
  time: boolean
  segments: Set<string>
}

export function touchesOf(rule: Rule): Touches {
  const touches: Touches = { eventTypes: new Set(), profile: false, user: false, time: false, segments: new Set() }
  for (const each of leavesOf(rule)) {
    const { did, didThenNot, trait: fact } = each
    if (did) {
      touches.eventTypes.add(did.type)
      touches.time ||= did.withinDays !== undefined || did.period !== undefined || did.until !== undefined
    }
    if (didThenNot) {
      touches.eventTypes.add(didThenNot.first).add(didThenNot.butNot)
      touches.time = true
    }
    const isOfProfile = fact !== undefined && isProfileTime(fact.name)
    touches.time ||= fact?.daysAgo !== undefined || each.consent !== undefined
    touches.profile ||= Boolean(each.feature ?? each.prediction ?? each.affinity ?? each.rfm ?? each.cluster) || isOfProfile
    touches.user ||= Boolean(each.consent) || (fact !== undefined && !isOfProfile)
    if (each.inSegment) touches.segments.add(each.inSegment)
  }
  touches.time ||= touches.profile
  return touches
}

/** Times that the profile keeps; the others are facts of the user. */
export function isProfileTime(name: string): boolean {
  return name !== 'createdAt' && TRAITS[name as keyof typeof TRAITS] === 'time'
}

export function leavesOf(rule: Rule): Rule[] {
  return placedLeavesOf(rule, []).map(({ leaf }) => leaf)
}

/** Leaves with the places where they stand. */
export function placedLeavesOf(rule: Rule, path: readonly string[]): { leaf: Rule; path: string[] }[] {
  const list = (rules: readonly Rule[], name: string) => rules.flatMap((each, at) => placedLeavesOf(each, [...path, name, String(at)]))
  if (rule.all) return list(rule.all, 'all')
  if (rule.any) return list(rule.any, 'any')
  return rule.not ? placedLeavesOf(rule.not, [...path, 'not']) : [{ leaf: rule, path: [...path] }]
}

function withoutNulls(value: unknown): unknown {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return value
  const given = Object.entries(value).filter(([, part]) => part !== null && part !== undefined)
  return Object.fromEntries(given.map(([name, part]) => [name, part instanceof Date ? part.toISOString() : part]))
}

function fault(path: string[], sentence: string): InvalidInput {
  return new InvalidInput(`${path.join('.')}: ${sentence}`, {}, path)
}
