import type pg from 'pg'
import { type Cell, copyIn } from '../src/platform/bulk.js'
import type { Database } from '../src/platform/database.js'
import type { Log } from '../src/platform/log.js'
import { adsOf, GROUPS_PER_CAMPAIGN, impressionsOf } from './seed/ads.js'
import { behaviourOf } from './seed/behaviour.js'
import { PLACEMENTS } from './seed/placements.js'
import { FAQ, reviewsOf } from './seed/words.js'
import { CATEGORIES, COUNTRY_OF, createWorld, type DemoUser, type DemoWorld, PLANTED } from './seed/world.js'

export interface SeedOptions {
  seed: number
  /** The year of behaviour ends at the start of this UTC day. */
  now: Date
  log: Log
  /** Tells a person who waits. */
  say?(sentence: string): void
}

const VERSION = 1
const DAY_MS = 86_400_000
const SEED_LOCK = 6_201_011

/**
 * Loads the demo shop in one transaction: all of it or nothing. A second call keeps what is there. A shop that holds users of its own is left alone.
 */
export async function seedDemoShop(database: Database, options: SeedOptions): Promise<'loaded' | 'kept' | 'foreign shop'> {
  return database.withClient(async client => {
    await client.query('BEGIN')
    try {
      await client.query('SET LOCAL statement_timeout = 0')
      await client.query('SELECT pg_advisory_xact_lock($1)', [SEED_LOCK])
      const { rows } = await client.query(
        `SELECT EXISTS (SELECT 1 FROM "Setting" WHERE name = 'demo') AS demo, EXISTS (SELECT 1 FROM "User") OR EXISTS (SELECT 1 FROM "Product") AS used`,
      )
      const [{ demo, used }] = rows
      if (!demo && !used) {
        options.say?.('Loading the demo shop …')
        await load(client, options)
      }
      await client.query('COMMIT')
      return demo ? 'kept' : used ? 'foreign shop' : 'loaded'
    } catch (error) {
      await client.query('ROLLBACK').catch(() => {})
      throw error
    }
  })
}

async function load(client: pg.PoolClient, { seed, now, log }: SeedOptions): Promise<void> {
  const startedAt = performance.now()
  const world = createWorld(seed)
  const currencyCode = 'EUR'
  const midnight = Math.floor(now.getTime() / DAY_MS) * DAY_MS
  const daysAgo = (days: number) => new Date(midnight - days * DAY_MS)
  const write = async (table: string, columns: string[], rows: Iterable<readonly Cell[]>) => {
    const copy = copyIn(client, `"${table}"`, columns)
    for (const row of rows) await copy.row(row)
    return copy.end()
  }

  await write(
    'Product',
    [
      'id',
      'externalId',
      'title',
      'description',
      'categories',
      'brand',
      'priceMicros',
      'currencyCode',
      'marginShare',
      'stock',
      'attributes',
      'createdAt',
    ],
    world.products.map(p => [
      p.id,
      p.externalId,
      p.title,
      p.description,
      arrayText(CATEGORIES[p.category]),
      p.brand,
      p.priceMicros,
      currencyCode,
      p.marginShare,
      p.stock,
      JSON.stringify(p.attributes),
      daysAgo(400),
    ]),
  )
  await write(
    'User',
    ['id', 'externalId', 'anonymous', 'email', 'phone', 'name', 'gender', 'birthYear', 'city', 'country', 'locale', 'traits', 'createdAt'],
    userRows(world, daysAgo),
  )
  await write(
    'UserAlias',
    ['anonymousId', 'userId', 'linkedAt', 'evidence'],
    Array.from({ length: PLANTED.anonymousVisitors }, (_, index) => [
      `a-${index + 1}`,
      world.users.length + index + 1,
      daysAgo(61),
      'track',
    ]),
  )
  await write('Consent', ['userId', 'purpose', 'granted', 'at', 'source'], consentRows(world.users, daysAgo))
  const events = await write(
    'Event',
    [
      'messageId',
      'userId',
      'productId',
      'type',
      'value',
      'quantity',
      'priceMicros',
      'currencyCode',
      'occurredAt',
      'receivedAt',
      'properties',
    ],
    eventRows(world, now, currencyCode),
  )
  const reviews = reviewsOf(world, now)
  await write(
    'Review',
    ['id', 'externalId', 'productId', 'userId', 'text', 'rating', 'locale', 'createdAt'],
    reviews.map((r, index) => [
      demoId('review', index),
      r.externalId,
      r.product.id,
      r.user + 1,
      r.text,
      r.rating,
      r.isChinese ? 'zh-CN' : 'en',
      new Date(r.at),
    ]),
  )
  await write('FaqEntry', ['id', 'externalId', 'question', 'answer', 'alternatives', 'locale', 'status', 'approvedVersion'], faqRows())
  await writePlacements(write, daysAgo)
  const impressions = await writeCampaigns(write, world, now, currencyCode, daysAgo)
  for (const table of ['User', 'Product', 'Ad'])
    await client.query(`SELECT setval(pg_get_serial_sequence('"${table}"', 'id'), (SELECT max(id) FROM "${table}"))`)
  const facts = {
    version: VERSION,
    seed,
    until: new Date(midnight).toISOString(),
    planted: PLANTED,
    events,
    reviews: reviews.length,
    impressions,
  }
  await client.query(`INSERT INTO "Setting" (name, value) VALUES ('demo', $1)`, [JSON.stringify(facts)])
  await client.query('ANALYZE "User", "Product", "Event"')
  log.info('demo shop loaded', {
    users: world.users.length,
    products: world.products.length,
    events,
    reviews: reviews.length,
    impressions,
    milliseconds: Math.round(performance.now() - startedAt),
  })
}

function* userRows({ users }: DemoWorld, daysAgo: (days: number) => Date): Generator<Cell[]> {
  for (const u of users) {
    const email = `${u.externalId}@${u.isChinese ? 'example.cn' : 'example.com'}`
    const phone = u.isChinese ? `+86138${String(10_000_000 + u.id).slice(0, 8)}` : `+44770${String(9_000_000 + u.id)}`
    yield [
      u.id,
      u.externalId,
      false,
      email,
      phone,
      u.name,
      u.gender,
      u.birthYear,
      u.city,
      COUNTRY_OF[u.city] ?? 'CN',
      u.isChinese ? 'zh-CN' : 'en',
      '{}',
      daysAgo(u.joinedDaysAgo),
    ]
  }
  const strangers = PLANTED.anonymousVisitors + PLANTED.bots
  for (let index = 0; index < strangers; index++) {
    const name = index < PLANTED.anonymousVisitors ? `a-${index + 1}` : `crawler-${index + 1 - PLANTED.anonymousVisitors}`
    yield [users.length + index + 1, `anonymous:${name}`, true, null, null, null, null, null, null, null, null, '{}', daysAgo(61)]
  }
}

/** Most were asked and agreed; some refused; the rest was not asked. */
function* consentRows(users: readonly DemoUser[], daysAgo: (days: number) => Date): Generator<Cell[]> {
  for (const u of users) {
    const answers = [
      ['ANALYTICS', u.id % 20 !== 0],
      ['PERSONALISATION', u.id % 25 !== 0],
      ['ADS', u.id % 4 !== 0],
    ] as const
    if (u.id % 10 === 9) continue
    for (const [purpose, granted] of answers) yield [u.id, purpose, granted, daysAgo(u.joinedDaysAgo), 'sign-up form']
  }
}

function* eventRows(world: DemoWorld, now: Date, currencyCode: string): Generator<Cell[]> {
  let number = 0
  for (const { user, product, type, value, quantity, at, properties } of behaviourOf(world, now)) {
    const hasPrice = product !== null && (type === 'PURCHASE' || type === 'REFUND' || type === 'ADD_TO_CART')
    const time = new Date(at)
    yield [
      `demo-e-${++number}`,
      user + 1,
      product?.id,
      type,
      value,
      quantity,
      hasPrice ? product.priceMicros : null,
      hasPrice ? currencyCode : null,
      time,
      time,
      properties && JSON.stringify(properties),
    ]
  }
}

function* faqRows(): Generator<Cell[]> {
  for (const [index, entry] of FAQ.entries()) {
    for (const locale of ['en', 'zh'] as const) {
      const [question, answer, alternatives] = entry[locale]
      yield [
        demoId(`faq-${locale}`, index),
        `demo-faq-${locale}-${index + 1}`,
        question,
        answer,
        arrayText(alternatives),
        locale === 'zh' ? 'zh-CN' : 'en',
        'APPROVED',
        1,
      ]
    }
  }
}

async function writePlacements(write: Write, daysAgo: (days: number) => Date): Promise<void> {
  const rows = PLACEMENTS.map(({ rules, ...placement }, index) => ({
    ...placement,
    id: demoId('placement', index),
    rules: JSON.stringify(rules),
  }))
  await write(
    'Placement',
    ['id', 'name', 'description', 'rules', 'createdAt', 'updatedAt', 'updatedBy'],
    rows.map(({ id, name, description, rules }, index) => [id, name, description, rules, daysAgo(60 - index), daysAgo(60 - index), 'demo']),
  )
  await write(
    'PlacementVersion',
    ['placementId', 'version', 'description', 'rules', 'changedBy', 'changedAt'],
    rows.map(({ id, description, rules }, index) => [id, 1, description, rules, 'demo', daysAgo(60 - index)]),
  )
}

type Write = (table: string, columns: string[], rows: Iterable<readonly Cell[]>) => Promise<number>

async function writeCampaigns(
  write: Write,
  world: DemoWorld,
  now: Date,
  currencyCode: string,
  daysAgo: (days: number) => Date,
): Promise<number> {
  const ads = adsOf(world)
  await write(
    'BiddingStrategy',
    ['id', 'name', 'type', 'settings'],
    CATEGORIES.map(([name], index) => [
      demoId('strategy', index),
      `${name} clicks`,
      index % 3 === 0 ? 'MANUAL_CPC' : 'MAXIMIZE_CLICKS',
      '{}',
    ]),
  )
  await write(
    'Campaign',
    ['id', 'externalId', 'name', 'status', 'startsAt', 'budgetMicros', 'budgetCurrencyCode', 'biddingStrategyId', 'createdAt'],
    CATEGORIES.map(([name, nameZh], index) => [
      demoId('campaign', index),
      `c-${String(index + 1).padStart(2, '0')}`,
      `${name} ${nameZh}`,
      index === 11 ? 'PAUSED' : 'ENABLED',
      daysAgo(60),
      50_000_000n,
      currencyCode,
      demoId('strategy', index),
      daysAgo(61),
    ]),
  )
  const groups = CATEGORIES.flatMap(([name], category) =>
    Array.from({ length: GROUPS_PER_CAMPAIGN }, (_, group) => [
      demoId('group', category * GROUPS_PER_CAMPAIGN + group),
      demoId('campaign', category),
      `${name} ${group + 1}`,
      400_000,
    ]),
  )
  await write('AdGroup', ['id', 'campaignId', 'name', 'cpcBidMicros'], groups)
  await write(
    'Ad',
    ['id', 'externalId', 'adGroupId', 'headline', 'productId'],
    ads.map(ad => [ad.id, ad.externalId, demoId('group', ad.category * GROUPS_PER_CAMPAIGN + ad.adGroup), ad.headline, ad.product.id]),
  )
  const rows = function* (): Generator<Cell[]> {
    let number = 0
    for (const { ad, user, at, clicked, converted, costMicros, context } of impressionsOf(world, ads, now))
      yield [`demo-i-${++number}`, ad.id, user + 1, new Date(at), clicked, converted, costMicros, JSON.stringify(context)]
  }
  return write('AdLogEntry', ['messageId', 'adId', 'userId', 'occurredAt', 'clicked', 'converted', 'costMicros', 'context'], rows())
}

function demoId(kind: string, index: number): string {
  return `demo-${kind}-${index + 1}`
}

/** A list as a PostgreSQL array literal. */
function arrayText(values: readonly string[]): string {
  return `{${values.map(value => `"${value.replace(/["\\]/g, '\\$&')}"`).join(',')}}`
}
