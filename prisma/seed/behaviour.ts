import { createRandom, type Random } from '../../src/algorithms/math/random.js'
import { CATEGORIES, type DemoProduct, type DemoUser, type DemoWorld, draw, isLoved, LOVE_SHARES, PLANTED, TASTES } from './world.js'

export interface DemoEvent {
  /** Index into the users, or a visitor after them. */
  user: number
  product: DemoProduct | null
  type: 'VIEW' | 'CLICK' | 'SEARCH' | 'ADD_TO_CART' | 'ADD_TO_WISHLIST' | 'PURCHASE' | 'REFUND' | 'RATING'
  value: number | null
  quantity: number | null
  /** Milliseconds since the epoch. */
  at: number
  properties: Record<string, unknown> | null
}

const DAY_MS = 86_400_000
const DAYS = 365
/** The last days: whoever has churned does nothing in them. */
export const CHURN_DAYS = 30
export const FADING_DAYS = 90
/** Share of the activity that a whole fading takes away. */
export const FADED = 0.85
/** Sessions in 30 days of an activity of 1. */
export const SESSIONS = 1.35
const HOURS = [1, 1, 0.5, 0.5, 0.5, 1, 2, 3, 4, 5, 5, 5, 6, 5, 5, 5, 5, 6, 7, 9, 10, 9, 6, 3]
const WEEKDAYS = [1.25, 0.95, 0.9, 0.9, 0.95, 1.05, 1.3]

/** A year of behaviour before `now`, in no particular order. Nothing lies in the future. */
export function* behaviourOf(world: DemoWorld, now: Date): Generator<DemoEvent> {
  const midnight = Math.floor(now.getTime() / DAY_MS) * DAY_MS
  const shelves = shelvesOf(world.products)
  const season = Array.from({ length: DAYS + 1 }, (_, daysAgo) => seasonOf(new Date(midnight - daysAgo * DAY_MS)))
  for (const [index, user] of world.users.entries())
    yield* personOf(index, user, shelves, season, midnight, createRandom(world.seed).fork(`behaviour/${index}`))
  const random = createRandom(world.seed).fork('strangers')
  for (let visitor = 0; visitor < PLANTED.anonymousVisitors; visitor++)
    yield* strangerOf(world.users.length + visitor, world.products, midnight, random)
  for (let bot = 0; bot < PLANTED.bots; bot++)
    yield* botOf(world.users.length + PLANTED.anonymousVisitors + bot, world.products, midnight, random)
}

/** Yearly wave with the peaks of 11 November, Black Friday and the days before Christmas, and the week's rhythm. */
export function seasonOf(day: Date): number {
  const month = day.getUTCMonth()
  const date = day.getUTCDate()
  const wave = 1 + 0.2 * Math.cos((2 * Math.PI * (month - 11)) / 12)
  const isBlackFriday = month === 10 && day.getUTCDay() === 5 && date >= 23 && date <= 29
  const peak = (month === 10 && date >= 9 && date <= 11) || isBlackFriday ? 2.4 : month === 11 && date >= 10 && date <= 22 ? 1.5 : 1
  return wave * peak * WEEKDAYS[day.getUTCDay()]
}

type Shelves = { products: DemoProduct[]; weights: number[] }[][]

/** Products by category and line, with their popularity. */
function shelvesOf(products: readonly DemoProduct[]): Shelves {
  return CATEGORIES.map((_, category) =>
    Array.from({ length: PLANTED.linesPerCategory }, (_, line) => {
      const shelf = products.filter(product => product.category === category && product.line === line)
      return { products: shelf, weights: shelf.map(product => product.popularity) }
    }),
  )
}

function* personOf(
  index: number,
  user: DemoUser,
  shelves: Shelves,
  season: number[],
  midnight: number,
  random: Random,
): Generator<DemoEvent> {
  const bought: DemoProduct[] = []
  const end = midnight - (user.hasChurned ? CHURN_DAYS * DAY_MS : 0)
  for (let daysAgo = Math.min(DAYS, user.joinedDaysAgo); daysAgo >= 1; daysAgo--) {
    if (user.hasChurned && daysAgo <= CHURN_DAYS) return
    const isFading = daysAgo <= CHURN_DAYS + FADING_DAYS
    const rate = (user.activity / 30) * season[daysAgo] * (isFading ? 1 - FADED * user.fade : 1) * SESSIONS
    for (let sessions = poisson(random, rate); sessions > 0; sessions--) {
      const at = midnight - daysAgo * DAY_MS + draw(random, HOURS) * 3_600_000 + random.below(3_300_000)
      for (const event of sessionOf(index, user, shelves, at, bought, random)) if (event.at < end) yield event
    }
  }
}

function* sessionOf(
  index: number,
  user: DemoUser,
  shelves: Shelves,
  start: number,
  bought: DemoProduct[],
  random: Random,
): Generator<DemoEvent> {
  let at = start
  const category = categoryOf(user, random)
  const event = (type: DemoEvent['type'], product: DemoProduct | null, more: Partial<DemoEvent> = {}): DemoEvent => {
    at += 8_000 + random.below(40_000)
    return { user: index, product, type, value: null, quantity: null, at, properties: null, ...more }
  }
  if (random.next() < 0.15)
    yield event('SEARCH', null, { properties: { query: CATEGORIES[category][user.isChinese ? 1 : 0].toLowerCase() } })
  const views = 1 + poisson(random, 2.1)
  for (let view = 0; view < views; view++) {
    const again = bought.length > 0 && random.next() < 0.12 ? bought[random.below(bought.length)] : undefined
    const product = again?.isConsumable ? again : productOf(user, category, shelves, random)
    yield event('VIEW', product)
    if (random.next() < 0.01) yield event('CLICK', product)
    if (random.next() < 0.03) yield event('ADD_TO_WISHLIST', product)
    if (random.next() >= 0.24 + 0.05 * product.quality) continue
    const quantity = product.isConsumable ? 1 + poisson(random, 0.6) : 1
    yield event('ADD_TO_CART', product, { quantity })
    if (random.next() >= 0.58) continue
    yield event('PURCHASE', product, { quantity })
    bought.push(product)
    if (random.next() < 0.03) yield event('REFUND', product, { quantity, at: at + 3 * DAY_MS })
    if (random.next() < 0.14) yield event('RATING', product, { value: ratingOf(product, random) })
  }
}

function categoryOf(user: DemoUser, random: Random): number {
  const spread = 1 - LOVE_SHARES[0] - LOVE_SHARES[1]
  const { loves } = TASTES[user.taste]
  return draw(
    random,
    CATEGORIES.map((_, category) =>
      isLoved(user.taste, category) ? LOVE_SHARES[(loves as readonly number[]).indexOf(category)] : spread / (CATEGORIES.length - 2),
    ),
  )
}

/** Three times in four from the person's favourite line of the category. */
function productOf(user: DemoUser, category: number, shelves: Shelves, random: Random): DemoProduct {
  const line = random.next() < 0.75 ? user.lines[category] : random.below(PLANTED.linesPerCategory)
  const { products, weights } = shelves[category][line]
  return products[draw(random, weights)]
}

function ratingOf(product: DemoProduct, random: Random): number {
  return Math.max(1, Math.min(5, Math.round(3.4 + 1.5 * product.quality + 0.7 * random.normal())))
}

function* strangerOf(user: number, products: readonly DemoProduct[], midnight: number, random: Random): Generator<DemoEvent> {
  const start = midnight - (1 + random.below(60)) * DAY_MS
  for (let view = 1 + random.below(5); view > 0; view--)
    yield {
      user,
      product: products[random.below(products.length)],
      type: 'VIEW',
      value: null,
      quantity: null,
      at: start + random.below(DAY_MS),
      properties: null,
    }
}

/** A crawler: hundreds of views within an hour, one after the other. */
function* botOf(user: number, products: readonly DemoProduct[], midnight: number, random: Random): Generator<DemoEvent> {
  const start = midnight - (2 + random.below(200)) * DAY_MS
  for (let view = 0; view < 500; view++)
    yield {
      user,
      product: products[view % products.length],
      type: 'VIEW',
      value: null,
      quantity: null,
      at: start + view * 5_000,
      properties: { userAgent: 'crawler' },
    }
}

export function poisson(random: Random, mean: number): number {
  const limit = Math.exp(-mean)
  let count = 0
  for (let product = random.next(); product > limit; product *= random.next()) count++
  return count
}
