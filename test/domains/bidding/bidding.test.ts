import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { BidVisitorsRepository } from '../../../src/bidding/bid-visitors.repository.js'
import { FIELDS } from '../../../src/bidding/features.js'
import { openDatabase } from '../../../src/platform/database.js'
import { silentLog } from '../../../src/platform/log.js'
import { type BidAnswer, biddingWorld, documents, eur, type Payload } from '../../support/ads.js'
import { createTestDatabase } from '../../support/database.js'

let database: Awaited<ReturnType<typeof createTestDatabase>>
let world: ReturnType<typeof biddingWorld>
beforeAll(async () => {
  database = await createTestDatabase()
  world = biddingWorld(database)
  await database.sql(
    `INSERT INTO "User" (id, "externalId", gender, "birthYear", country) SELECT n, 'u-' || n, 'female', 1990, 'DE' FROM generate_series(1, 20) n`,
  )
  await database.sql(
    `INSERT INTO "Consent" ("userId", purpose, granted, at, source) SELECT n, 'ADS', n <> 2, now(), 'banner' FROM generate_series(1, 10) n`,
  )
  await database.sql(
    `INSERT INTO "Audience" (id, name, source, definition, status, size) VALUES ('in', 'In', 'SEGMENT', '{}', 'READY', 3), ('out', 'Out', 'SEGMENT', '{}', 'READY', 1)`,
  )
  await database.sql(`INSERT INTO "AudienceMember" ("audienceId", "userId") VALUES ('in', 1), ('in', 2), ('in', 3), ('in', 11), ('out', 3)`)
  await database.sql(`INSERT INTO "Suppression" ("userId", reason) VALUES (5, 'complained')`)
  await database.sql(
    `INSERT INTO "Product" (id, "externalId", title, categories, "priceMicros", "currencyCode", stock) VALUES (1, 'p-1', 'Shoes', '{shoes}', 50000000, 'EUR', 3), (2, 'p-2', 'Hats', '{hats}', 10000000, 'EUR', 0)`,
  )
})
beforeEach(async () => {
  world.clock.now = new Date()
  await database.sql(`UPDATE "Campaign" SET status = 'PAUSED' WHERE status = 'ENABLED'`)
  await world.signals.announce('campaign.changed', { campaignId: '' })
})
afterAll(async () => {
  world.stop()
  await database.drop()
})

const audience = (id: string) => Buffer.from(`Audience:${id}`).toString('base64url')
const ask = async (input: Record<string, unknown> = {}) => {
  await world.snapshots.look()
  const { decision, userErrors } = await world.bid(input)
  expect(userErrors).toEqual([])
  return decision as BidAnswer
}
const line = async (campaignKey: string) => (await world.snapshots.current()).campaigns.find(({ row }) => row.id === campaignKey)
const adKeyOf = ({ ad }: { ad: { id: string } }) => Number(Buffer.from(ad.id, 'base64url').toString().slice('Ad:'.length))
const decisionOf = (answer: { decisionId: string }) =>
  world.decisions.find(Buffer.from(answer.decisionId, 'base64url').toString().slice('Decision:'.length))

describe('a bid', () => {
  test('is explained: the parts in micros sum to the price, those of the chances to their log-odds', async () => {
    await world.campaign({ biddingStrategy: { type: 'MANUAL_CPC', cpcBid: eur(0.5) } }, { product: 'p-1' })
    const bid = await ask({ context: { device: 'mobile' } })
    expect(bid).toMatchObject({ __typename: 'Bid', price: { amountMicros: 5_000, currencyCode: 'EUR' }, pCtr: 0.01, multiplier: 1 })
    const isChance = ({ feature }: { feature: string }) => feature.startsWith('pC')
    const sum = (parts: BidAnswer['explanation']) => parts.reduce((total, { weight }) => total + weight, 0)
    expect(sum(bid.explanation.filter(part => !isChance(part)))).toBeCloseTo(5_000)
    expect(sum(bid.explanation.filter(({ feature }) => feature.startsWith('pCTR')))).toBeCloseTo(Math.log(0.01 / 0.99))
    expect(await decisionOf(bid)).toMatchObject({
      kind: 'bid',
      consentBasis: null,
      rules: ['No person was named: nothing personal was used'],
    })
  })

  test('comes from the campaign to which the impression is worth most', async () => {
    await world.campaign({ biddingStrategy: { type: 'MANUAL_CPM', cpmBid: eur(2) } })
    const best = await world.campaign({ biddingStrategy: { type: 'MANUAL_CPM', cpmBid: eur(3) } })
    await world.campaign({ biddingStrategy: { type: 'MANUAL_CPM', cpmBid: eur(1) } })
    expect((await ask()).campaign.name).toBe(best.name)
    expect(await ask({ floor: { amountMicros: 3_001 } })).toMatchObject({ reason: 'BELOW_FLOOR' })
    expect((await ask({ ceiling: { amountMicros: 700 } })).price.amountMicros).toBe(700)
  })

  test.each([
    ['MANUAL_CPC', { cpcBid: eur(1) }, 10_000],
    ['MANUAL_CPM', { cpmBid: eur(4) }, 4_000],
    ['MAXIMIZE_CLICKS', { cpcBidCeiling: eur(0.8) }, 8_000],
    ['MAXIMIZE_CONVERSIONS', {}, 0.01 * 0.02 * 50_000_000],
    ['MAXIMIZE_CONVERSION_VALUE', {}, 0.01 * 0.02 * 50_000_000],
    ['TARGET_CPA', { targetCpa: eur(20) }, 0.01 * 0.02 * 20_000_000],
    ['TARGET_ROAS', { targetRoas: 4 }, (0.01 * 0.02 * 50_000_000) / 4],
  ])('%s bids what its formula says', async (type, facts, micros) => {
    await world.campaign({
      biddingStrategy: { type, ...facts },
      conversionValue: eur(50),
      budget: { amount: eur(100), deliveryMethod: 'ACCELERATED' },
    })
    const { price } = await ask()
    expect(price.amountMicros).toBeGreaterThanOrEqual(Math.floor(micros) - 1)
    expect(price.amountMicros).toBeLessThanOrEqual(Math.ceil(micros))
  })

  test('ORTB bids less than the worth, and more than nothing', async () => {
    await world.campaign({ biddingStrategy: { type: 'ORTB', settings: { form: 1, cMicros: 5_000 } }, conversionValue: eur(50) })
    const { price } = await ask()
    expect(price.amountMicros).toBe(Math.floor(Math.sqrt(5_000 * 10_000 + 5_000 ** 2) - 5_000))
  })

  test('ORTB without a worth of conversions begins as if its budget were for a hundred clicks', async () => {
    await world.campaign({ biddingStrategy: { type: 'ORTB', settings: { form: 1, cMicros: 5_000 } }, budget: { amount: eur(100) } })
    const { price } = await ask()
    expect(price.amountMicros).toBe(Math.floor(Math.sqrt(5_000 * 10_000 + 5_000 ** 2) - 5_000))
  })

  test('is never nothing: a campaign whose money others took while another one was tried does not bid', async () => {
    const [first, second] = [
      await world.campaign({ biddingStrategy: { type: 'MANUAL_CPM', cpmBid: eur(3) } }),
      await world.campaign({ biddingStrategy: { type: 'MANUAL_CPM', cpmBid: eur(2) } }),
    ]
    await world.snapshots.look()
    await database.sql('UPDATE "BudgetLedger" SET "spentMicros" = "limitMicros" WHERE "campaignId" = ANY($1)', [[first.key, second.key]])
    const { campaigns } = await world.snapshots.current()
    const { reserve } = world.biddingRepository
    Object.assign(world.biddingRepository, {
      reserve: (...given: Parameters<typeof reserve>) => {
        for (const line of campaigns) if (line.row.id === second.key) line.remainingMicros = 0
        return reserve(...given)
      },
    })
    const { decision } = await world.bid({ campaignIds: [first.id, second.id] })
    Object.assign(world.biddingRepository, { reserve })
    expect(decision).toMatchObject({ __typename: 'NoBid', reason: 'BUDGET_EXHAUSTED' })
  })

  test('one key is one bid and one reservation', async () => {
    const campaign = await world.campaign()
    await world.snapshots.look()
    const answers = await Promise.all(Array.from({ length: 10 }, () => world.bid({ idempotencyKey: 'impression-1' })))
    const made = answers.filter(({ userErrors }) => userErrors.length === 0)
    expect(new Set(made.map(({ decision }) => decision?.decisionId)).size).toBe(1)
    expect(await world.ledger(campaign.key)).toMatchObject({ reserved: 2_000 })
    const replay = await world.bid({ idempotencyKey: 'impression-1' })
    expect(replay).toMatchObject({ idempotentReplay: true, decision: { __typename: 'Bid', campaign: { name: campaign.name } } })
    expect((await world.bid({ idempotencyKey: 'impression-1', placement: 'other' })).userErrors).toMatchObject([
      { code: 'IDEMPOTENCY_KEY_REUSED' },
    ])
  })

  test('a dry run decides and leaves nothing behind', async () => {
    const campaign = await world.campaign()
    await world.snapshots.look()
    const count = async () => (await database.sql('SELECT 1 FROM "Decision"')).length
    const before = await count()
    const { preview, decision } = await world.bid({ dryRun: true })
    expect(decision).toBeNull()
    expect(preview).toMatchObject({ __typename: 'Bid', price: { amountMicros: 2_000 }, reserved: { amountMicros: 0 } })
    expect(await count()).toBe(before)
    expect(await world.ledger(campaign.key)).toMatchObject({ reserved: 0 })
  })

  test('there is none without campaigns, and the reason is kept', async () => {
    const none = await ask()
    expect(none).toMatchObject({ __typename: 'NoBid', reason: 'NO_CAMPAIGNS' })
    expect(await decisionOf(none)).toMatchObject({ kind: 'no bid' })
  })

  test('a product that is out of stock is not advertised', async () => {
    await world.campaign({}, { product: 'p-2' })
    expect(await ask()).toMatchObject({ reason: 'STOCK_LIMITED' })
  })

  test('a campaign that was paused on another server gets no money, whatever this one remembers', async () => {
    const campaign = await world.campaign()
    await world.snapshots.look()
    await database.sql(`UPDATE "Campaign" SET status = 'PAUSED' WHERE id = $1`, [campaign.key])
    expect((await world.bid()).decision).toMatchObject({ __typename: 'NoBid' })
    expect(await world.ledger(campaign.key)).toMatchObject({ reserved: 0 })
  })
})

describe('whom it is for', () => {
  test('PostgreSQL plans the look at visitors once, however many are looked at', async () => {
    const one = openDatabase(database.url, silentLog, 1)
    for (let count = 1; count <= 16; count++) {
      const audienceIds = ['in', 'out'].slice(count % 3)
      const remembersNobody = new BidVisitorsRepository(one)
      const look = async (key: string) => {
        const visitor = await remembersNobody.find(key, audienceIds)
        if (visitor) await remembersNobody.withShown(visitor, { cappedIds: ['some'], since: new Date() })
      }
      await Promise.all(Array.from({ length: 1 + (count % 4) }, (_, at) => look(`u-${1 + at}`)))
    }
    const plans = await one.sql(
      `SELECT name, generic_plans::int AS generic FROM pg_prepared_statements WHERE name IN ('bid-visitors-by-externalId', 'bid-shown') ORDER BY name`,
    )
    await one.close()
    expect(plans).toEqual([
      { name: 'bid-shown', generic: 11 },
      { name: 'bid-visitors-by-externalId', generic: 11 },
    ])
  })

  test('what is remembered of a person is what the moment says of consent, suppression, audiences and what was shown', async () => {
    const clock = { now: Date.parse('2026-11-30T12:00:00Z') }
    const remembering = new BidVisitorsRepository(database, undefined, () => clock.now)
    const keys = ['u-1', 'u-2', 'u-3', 'u-4', 'nobody'] as const
    const remembered = async (audienceIds = ['in', 'out']) => {
      const found = await Promise.all(keys.map(key => remembering.find(key, audienceIds)))
      const afresh = new BidVisitorsRepository(database)
      expect(found).toEqual(await Promise.all(keys.map(key => afresh.find(key, audienceIds))))
      return found
    }
    const before = await remembered()
    expect((await remembered())[0]).toBe(before[0])
    const idOf = (key: string) => before[keys.indexOf(key as 'u-1')]?.id
    const steps: [string, unknown[]][] = [
      [`UPDATE "Consent" SET granted = NOT granted WHERE "userId" = $1 AND purpose = 'ADS'`, [idOf('u-1')]],
      [`INSERT INTO "Suppression" ("userId", reason) VALUES ($1, 'test')`, [idOf('u-4')]],
      ['DELETE FROM "AudienceMember" WHERE "userId" = $1', [idOf('u-3')]],
      [`INSERT INTO "AudienceMember" ("audienceId", "userId") VALUES ('in', $1)`, [idOf('u-3')]],
      ['DELETE FROM "Suppression" WHERE "userId" = $1', [idOf('u-4')]],
      [`UPDATE "Consent" SET granted = NOT granted WHERE "userId" = $1 AND purpose = 'ADS'`, [idOf('u-1')]],
    ]
    for (const [text, values] of steps) {
      const [was, is] = [await remembered(), await database.sql(text, values).then(() => remembered())]
      expect(is).not.toEqual(was)
    }
    await database.sql(`INSERT INTO "AudienceMember" ("audienceId", "userId") VALUES ('out', $1)`, [idOf('u-3')])
    // Other audiences than those that were looked through.
    expect((await remembered(['in']))[2]?.audiences).toEqual(new Set(['in']))
    // Facts may be a minute old.
    await database.sql(`UPDATE "User" SET city = 'Elsewhere' WHERE "externalId" = 'u-2'`)
    clock.now += 59_999
    const [, second] = await Promise.all(keys.map(key => remembering.find(key, ['in'])))
    expect(second?.city).not.toBe('Elsewhere')
    clock.now += 1
    expect((await remembered())[1]?.city).toBe('Elsewhere')
    // Tastes are not used from the moment on that PROFILING is refused, though the profile is still there.
    await database.sql(
      `INSERT INTO "UserProfile" ("userId", "refreshedAt", "eventCount", "lastEventId", "orderDays", "monetaryMicros", "featureVersion", features, categories, brands, channels, hours)
       VALUES ($1, now(), 1, 1, 0, 0, 1, '{}', '[["Tea", 1]]', '[]', '[]', '{}')`,
      [idOf('u-1')],
    )
    clock.now += 60_000
    expect((await remembered())[0]?.affinity).toBe('Tea')
    await database.sql(`INSERT INTO "Consent" ("userId", purpose, granted, at, source) VALUES ($1, 'PROFILING', false, now(), 'test')`, [
      idOf('u-1'),
    ])
    expect((await remembered())[0]?.affinity).toBeNull()
    await database.sql('DELETE FROM "UserProfile"')
    // What was shown is always that of the moment.
    const campaign = await world.campaign({ frequencyCap: { impressions: 9, hours: 24 } })
    for (let times = 1; times <= 2; times++) {
      await ask({ userExternalId: 'u-1' })
      const [first] = await remembered()
      const knowing = first && (await remembering.withShown(first, { cappedIds: [campaign.key], since: new Date(0) }))
      expect(knowing?.shown?.get(campaign.key)).toHaveLength(times)
    }
  })

  test('an audience is addressed only with consent to ADS', async () => {
    await world.campaign({ audienceId: audience('in'), excludedAudienceIds: [audience('out')] })
    const bid = await ask({ userExternalId: 'u-1' })
    expect(bid.__typename).toBe('Bid')
    expect((await decisionOf(bid))?.consentBasis).toMatch(/^ADS granted .* \(banner\)$/)
    const cases: [string | undefined, string, string][] = [
      ['u-2', 'CONSENT_MISSING', 'This person refused consent to ADS: nothing personal was used'],
      ['u-11', 'CONSENT_MISSING', 'This person was not asked for consent to ADS: nothing personal was used'],
      ['nobody', 'CONSENT_MISSING', 'This person is unknown: nothing personal was used'],
      ['u-5', 'CONSENT_MISSING', 'This person must not be addressed: nothing personal was used'],
      ['u-4', 'NOT_IN_AUDIENCE', 'No bid: NOT_IN_AUDIENCE'],
      ['u-3', 'EXCLUDED_AUDIENCE', 'No bid: EXCLUDED_AUDIENCE'],
      [undefined, 'CONSENT_MISSING', 'No person was named: nothing personal was used'],
    ]
    for (const [userExternalId, reason, rule] of cases) {
      const none = await ask({ userExternalId })
      expect(none).toMatchObject({ __typename: 'NoBid', reason })
      expect((await decisionOf(none))?.rules).toContain(rule)
    }
  })

  test('without consent nothing of the person is stored with the bid', async () => {
    await world.campaign()
    const contextOf = async (userExternalId: string) => {
      const { decisionId } = await ask({ userExternalId, context: { device: 'mobile' } })
      const key = Buffer.from(decisionId, 'base64url').toString().slice('Decision:'.length)
      const [row] = await database.sql<{ userId: number | null; context: Record<string, unknown> }>(
        'SELECT "userId", context FROM "BidReservation" WHERE id = $1',
        [key],
      )
      return row
    }
    expect(await contextOf('u-1')).toMatchObject({
      userId: 1,
      context: { device: 'mobile', gender: 'female', age: '35-44', country: 'DE' },
    })
    const anonymous = await contextOf('u-2')
    expect(anonymous.userId).toBeNull()
    expect(Object.keys(anonymous.context).sort()).toEqual(['categories', 'device', 'hour', 'weekday'])
  })

  test('a person sees a campaign at most as often as its cap says, also when asked at once', async () => {
    const campaign = await world.campaign({ frequencyCap: { impressions: 3, hours: 1 } })
    await world.snapshots.look()
    const answers = await Promise.all(Array.from({ length: 12 }, () => world.bid({ userExternalId: 'u-6' })))
    const made = answers.flatMap(({ decision }) => (decision?.__typename === 'Bid' ? [decision] : []))
    expect(made.length).toBe(3)
    expect(await ask({ userExternalId: 'u-6' })).toMatchObject({ reason: 'FREQUENCY_CAPPED' })
    expect((await ask({ userExternalId: 'u-7' })).__typename).toBe('Bid')
    await world.report(made[0].decisionId, 'LOSS')
    expect((await ask({ userExternalId: 'u-6' })).__typename).toBe('Bid')
    world.clock.now = new Date(Date.now() + 3_700_000)
    expect((await ask({ userExternalId: 'u-6' })).__typename).toBe('Bid')
    expect(campaign.key).toBeTruthy()
  })

  test('who has seen more campaigns often enough than are tried is shown the next one', async () => {
    const frequencyCap = { impressions: 1, hours: 1 }
    const manual = (price: number) => ({ type: 'MANUAL_CPC', cpcBid: eur(price) })
    const dear = await Promise.all(Array.from({ length: 6 }, (_, at) => world.campaign({ frequencyCap, biddingStrategy: manual(9 - at) })))
    const cheap = await world.campaign({ biddingStrategy: manual(0.5) })
    await world.snapshots.look()
    const shown: string[] = []
    for (let time = 0; time < 8; time++) {
      const bid = await ask({ userExternalId: 'u-8' })
      shown.push(bid.campaign.id)
      if (time < 6) expect((await decisionOf(bid))?.dropped.counts.FREQUENCY_CAPPED ?? 0).toBe(time)
    }
    expect([...shown].sort()).toEqual([...dear, cheap, cheap].map(({ id }) => id).sort())
    expect(shown.slice(6)).toEqual([cheap.id, cheap.id])
    // A preview knows it too.
    const { preview } = await world.bid({ userExternalId: 'u-8', dryRun: true })
    expect(preview?.campaign.id).toBe(cheap.id)
  })

  test('context decides where a campaign runs', async () => {
    await world.campaign({ targeting: { countries: ['DE'], devices: ['mobile'], categories: ['sport'] } })
    const context = { country: 'de', device: 'Mobile', categories: ['news', 'Sport'] }
    expect((await ask({ context })).__typename).toBe('Bid')
    expect(await ask({ context: { ...context, country: 'FR' } })).toMatchObject({ reason: 'TARGETING_COUNTRIES' })
    expect(await ask({ context: { ...context, device: null } })).toMatchObject({ reason: 'TARGETING_DEVICES' })
    expect(await ask({ context: { ...context, categories: ['news'] } })).toMatchObject({ reason: 'TARGETING_CATEGORIES' })
  })

  test('hours of the week decide when', async () => {
    await world.campaign({ schedule: [{ days: [1, 2, 3, 4, 5], fromHour: 9, toHour: 17 }] })
    const at = async (time: string) => {
      world.clock.now = new Date(time)
      return (await ask()).__typename
    }
    expect([
      await at('2026-11-23T08:59:59Z'),
      await at('2026-11-23T09:00:00Z'),
      await at('2026-11-23T16:59:59Z'),
      await at('2026-11-23T17:00:00Z'),
      await at('2026-11-22T12:00:00Z'),
    ]).toEqual(['NoBid', 'Bid', 'Bid', 'NoBid', 'NoBid'])
  })

  test('hours are those on the clock of the account, also where it is changed', async () => {
    const berlin = biddingWorld(database, { timeZone: 'Europe/Berlin' })
    try {
      const { id } = await berlin.campaign({ schedule: [{ days: [7], fromHour: 2, toHour: 3 }] })
      const at = async (time: string) => {
        berlin.clock.now = new Date(time)
        await berlin.snapshots.look()
        return (await berlin.bid({ campaignIds: [id] })).decision?.__typename
      }
      // The hour from two to three comes twice in October, not at all in March, and once on any other Sunday.
      const hours = async (times: string[]) => {
        const found: (string | undefined)[] = []
        for (const time of times) found.push(await at(time))
        return found
      }
      expect(await hours(['2026-10-24T23:59:59Z', '2026-10-25T00:00:00Z', '2026-10-25T01:59:59Z', '2026-10-25T02:00:00Z'])).toEqual([
        'NoBid',
        'Bid',
        'Bid',
        'NoBid',
      ])
      expect(await hours(['2026-03-29T00:59:59Z', '2026-03-29T01:00:00Z'])).toEqual(['NoBid', 'NoBid'])
      expect(await hours(['2026-11-01T01:00:00Z', '2026-11-01T02:00:00Z', '2026-11-02T01:30:00Z'])).toEqual(['Bid', 'NoBid', 'NoBid'])
    } finally {
      berlin.stop()
    }
  })

  test('a change of a shared strategy is bid by in each of its campaigns', async () => {
    const { biddingStrategy } = await world.run(documents.strategyCreate, { input: { name: 'All', type: 'MANUAL_CPM', cpmBid: eur(2) } })
    const shared = { biddingStrategy: null, biddingStrategyId: biddingStrategy.id }
    const [a, b] = [await world.campaign(shared), await world.campaign(shared)]
    const prices = async () => {
      const found: number[] = []
      for (const { id } of [a, b]) found.push((await ask({ campaignIds: [id] })).price.amountMicros)
      return found
    }
    expect(await prices()).toEqual([2_000, 2_000])
    await world.run(documents.strategyUpdate, { input: { biddingStrategyId: biddingStrategy.id, cpmBid: eur(3) } })
    expect(await prices()).toEqual([3_000, 3_000])
  })
})

describe('bad input', () => {
  test.each([
    [{ floor: { amountMicros: -1 } }, ['floor', 'amountMicros']],
    [{ floor: { amountMicros: 1, currencyCode: 'USD' } }, ['floor', 'currencyCode']],
    [{ ceiling: { amountMicros: 0 } }, ['ceiling', 'amountMicros']],
    [{ ceiling: { amountMicros: '9223372036854775807' } }, ['ceiling', 'amountMicros']],
    [{ pCtr: 0 }, ['pCtr']],
    [{ pCtr: 1 }, ['pCtr']],
    [{ pCvr: 1.5 }, ['pCvr']],
    [{ userId: 'x', userExternalId: 'u-1' }, ['userId']],
    [{ userId: 'x' }, ['userId']],
    [{ reserveSeconds: 0 }, ['reserveSeconds']],
    [{ context: { country: 'Germany' } }, ['context', 'country']],
    [{ context: { categories: Array.from({ length: 101 }, () => 'x') } }, ['context', 'categories']],
    [{ campaignIds: ['x'] }, ['campaignIds']],
  ])('%j is refused by name', async (input, field) => {
    const { decision, userErrors } = await world.bid(input)
    expect(decision).toBeNull()
    expect(userErrors).toMatchObject([{ code: 'INVALID', field }])
  })

  test('a model that predicts no number is not believed', async () => {
    await world.campaign({ biddingStrategy: { type: 'MANUAL_CPC', cpcBid: eur(0.5) } })
    const broken = {
      model: { fields: FIELDS, predict: (_: unknown, out: Float64Array) => out.fill(Number.NaN), explain: () => [] },
      modelId: 'm',
      servedBy: 'broken v1',
      keys: new Int32Array(1),
    }
    const predictor = (world.bidding as unknown as { parts: { predictor: { models: object } } }).parts.predictor
    const before = predictor.models
    predictor.models = { live: (task: string) => (task === 'CTR' ? broken : undefined), baseline: () => undefined }
    const bid = await ask()
    predictor.models = before
    expect(bid).toMatchObject({ pCtr: 0.01, price: { amountMicros: 5_000 } })
    expect((await decisionOf(bid))?.rules).toContain("broken v1 predicted NaN; the ad's own record answered")
  })
})

describe('what came of it', () => {
  test('performance counts conversions within the window, however late they are told', async () => {
    const campaign = await world.campaign({ attributionDays: 7 })
    const shownAt = world.clock.now
    const day = (days: number) => new Date(shownAt.getTime() + days * 86_400_000)
    const bids = await Promise.all(Array.from({ length: 4 }, () => ask({ campaignIds: [campaign.id] })))
    for (const { decisionId } of bids) await world.report(decisionId, 'BILLABLE', { price: { amountMicros: 1_000 } })
    world.clock.now = day(30)
    const [a, b, c] = bids.map(({ decisionId }) => decisionId)
    // Told before its click, and twice.
    await world.report(a, 'CONVERSION', { value: eur(10), reference: 'order-1', occurredAt: day(8).toISOString() })
    await world.report(a, 'CLICK', { occurredAt: day(2).toISOString() })
    await world.report(a, 'CONVERSION', { value: eur(10), reference: 'order-1', occurredAt: day(8).toISOString() })
    await world.report(a, 'CONVERSION', { value: eur(5), reference: 'order-2', occurredAt: day(9).toISOString() })
    await world.report(b, 'CLICK', { occurredAt: day(1).toISOString() })
    await world.report(b, 'CONVERSION', { value: eur(99), reference: 'order-3', occurredAt: day(8.5).toISOString() })
    await world.report(c, 'CLICK', { occurredAt: day(1).toISOString(), reference: 'click-1' })
    await world.report(c, 'CLICK', { occurredAt: day(2).toISOString(), reference: 'click-2' })
    const { performance } = await world.run<Payload['campaign']>(documents.campaign, { id: campaign.id })
    expect(performance).toMatchObject({
      impressions: 4,
      clicks: 3,
      conversions: 2,
      cost: { amountMicros: 4_000 },
      conversionValue: { amountMicros: 15_000_000 },
      ctr: { value: 0.75, sampleSize: 4, state: 'INSUFFICIENT_DATA' },
      // Both orders followed one click.
      cvr: { value: 1 / 3, sampleSize: 3, state: 'INSUFFICIENT_DATA' },
      cpa: { amountMicros: 2_000 },
      roas: 3_750,
    })
    await world.run(documents.update, { input: { campaignId: campaign.id, attributionDays: 8 } })
    expect((await world.run<Payload['campaign']>(documents.campaign, { id: campaign.id })).performance).toMatchObject({
      conversions: 3,
      cvr: { value: 2 / 3 },
    })
  })

  test('what an ad has earned is known within a minute, also where an old log is brought later', async () => {
    // One that has not looked yet: others have seen days that this one does not know.
    const server = biddingWorld(database)
    const campaign = await server.campaign()
    const shown = (count: number, hoursAgo: number) =>
      database.sql(
        `INSERT INTO "AdLogEntry" ("messageId", "adId", "occurredAt", "costMicros") SELECT gen_random_uuid(), $1::int, $2::timestamptz, 10 FROM generate_series(1, $3::int)`,
        [adKeyOf(campaign), new Date(server.clock.now.getTime() - hoursAgo * 3_600_000), count],
      )
    const impressions = async (minutes: number) => {
      server.clock.now = new Date(server.clock.now.getTime() + minutes * 60_000)
      await server.snapshots.look()
      return (await server.snapshots.current()).campaigns.find(({ row }) => row.id === campaign.key)?.ads[0].impressions
    }
    await shown(2, 1)
    expect(await impressions(1.1)).toBe(2)
    await shown(30, 240)
    expect(await impressions(1.1)).toBe(32)
    await shown(1, 1)
    expect(await impressions(1.1)).toBe(33)
    expect(await impressions(61)).toBe(33)
    // Older than what is looked at.
    await shown(5, 24 * 40)
    expect(await impressions(1.1)).toBe(33)
    server.stop()
  })

  test('several orders after one click are one click that converted: no share is above 1', async () => {
    const campaign = await world.campaign()
    const { decisionId } = await ask({ campaignIds: [campaign.id] })
    await world.report(decisionId, 'BILLABLE')
    await world.report(decisionId, 'CLICK')
    for (const reference of ['a', 'b', 'c']) await world.report(decisionId, 'CONVERSION', { reference, value: eur(10) })
    expect((await world.run<Payload['campaign']>(documents.campaign, { id: campaign.id })).performance).toMatchObject({
      clicks: 1,
      conversions: 3,
      conversionValue: { amountMicros: 30_000_000 },
      cvr: { value: 1, sampleSize: 1 },
    })
  })

  test('a conversion that is told without a value is worth what bids take it for', async () => {
    const [a, b] = [await world.campaign({ conversionValue: eur(20) }), await world.campaign()]
    for (const { id } of [a, b]) {
      const { decisionId } = await ask({ campaignIds: [id] })
      await world.report(decisionId, 'BILLABLE')
      for (const [reference, value] of [
        ['told', eur(5)],
        ['not told', undefined],
        ['nothing', { amountMicros: 0 }],
      ] as const)
        await world.report(decisionId, 'CONVERSION', { reference, value })
    }
    const valueTold = async ({ id }: { id: string }) =>
      (await world.run<Payload['campaign']>(documents.campaign, { id })).performance as { conversionValue: unknown }
    expect(await valueTold(a)).toMatchObject({ conversions: 3, conversionValue: { amountMicros: 25_000_000 } })
    expect(await valueTold(b)).toMatchObject({ conversions: 3, conversionValue: { amountMicros: 5_000_000 } })
    world.clock.now = new Date(world.clock.now.getTime() + 61_000)
    await world.snapshots.look()
    expect((await line(a.key))?.ads[0]).toMatchObject({ conversions: 3 })
  })

  test('a target is held against what was bought for it, not for the one before', async () => {
    const biddingStrategy = { type: 'TARGET_CPA', targetCpa: eur(10) }
    const campaign = await world.campaign({ biddingStrategy })
    const roas = await world.campaign({ biddingStrategy: { type: 'TARGET_ROAS', targetRoas: 2 }, conversionValue: eur(20) })
    // Two hundred conversions of ten each, as both targets ask for, told without a value.
    const day = 86_400_000
    for (const [each, daysAgo] of [
      [campaign, 0.5],
      [campaign, 5],
      [roas, 0.5],
      [roas, 5],
    ] as const)
      await database.sql(
        `INSERT INTO "AdLogEntry" ("messageId", "adId", "occurredAt", "costMicros", clicked, converted)
         SELECT gen_random_uuid(), $1::int, $2::timestamptz, 10000000, true, true FROM generate_series(1, 100)`,
        [adKeyOf(each), new Date(world.clock.now.getTime() - daysAgo * day)],
      )
    await database.sql(`UPDATE "Campaign" SET "learningSince" = $1`, [new Date(world.clock.now.getTime() - 10 * day)])
    const correction = async ({ key }: { key: string }) => {
      world.clock.now = new Date(world.clock.now.getTime() + 5_000)
      await world.snapshots.look()
      return (await line(key))?.targetMultiplier
    }
    expect(await correction(campaign)).toBeCloseTo(1, 9)
    expect(await correction(roas)).toBeCloseTo(1, 9)
    await world.run(documents.update, { input: { campaignId: campaign.id, biddingStrategy: { type: 'TARGET_CPA', targetCpa: eur(8.5) } } })
    expect(await correction(campaign)).toBe(1)
    // What is bought from now on counts: a conversion for twice the target lowers the bids, as far as one conversion can.
    await database.sql(
      `INSERT INTO "AdLogEntry" ("messageId", "adId", "occurredAt", "costMicros", clicked, converted) VALUES ('dear', $1::int, $2::timestamptz, 17000000, true, true)`,
      [adKeyOf(campaign), new Date(world.clock.now.getTime() + 1_000)],
    )
    world.clock.now = new Date(world.clock.now.getTime() + 61_000)
    expect(await correction(campaign)).toBe(0.1)
    expect(await correction(roas)).toBeCloseTo(1, 9)
  })

  test('a campaign whose first conversion takes its time goes on bidding, by what its clicks let expect', async () => {
    const campaign = await world.campaign({ biddingStrategy: { type: 'TARGET_CPA', targetCpa: eur(10) } })
    for (let click = 0; click < 50; click++) {
      const { decisionId } = await ask({ campaignIds: [campaign.id], pCtr: 0.5, pCvr: 0.02 })
      await world.report(decisionId, 'BILLABLE')
      await world.report(decisionId, 'CLICK')
    }
    await database.sql(`UPDATE "AdLogEntry" SET "costMicros" = 200000 WHERE "adId" = $1`, [adKeyOf(campaign)])
    world.clock.now = new Date(world.clock.now.getTime() + 61_000)
    await world.snapshots.look()
    // One conversion was to be expected for ten, and none came yet: (1 · 20/21 − 1) · 10 of (1 · 20/21 + 1)/2 · 10 + 50.
    expect((await line(campaign.key))?.targetMultiplier).toBeCloseTo(Math.exp((20 * (200 / 21 - 10)) / ((200 / 21 + 10) / 2 + 50)), 6)
  })

  test('nothing shown is no rate, not a zero', async () => {
    const { id } = await world.campaign()
    expect((await world.run<Payload['campaign']>(documents.campaign, { id })).performance).toMatchObject({
      impressions: 0,
      ctr: { value: null, interval: null, sampleSize: 0, state: 'INSUFFICIENT_DATA' },
      cpa: null,
      roas: null,
    })
  })
})

describe('pacing', () => {
  test.each(['PID', 'DUAL'])(
    '%s lowers bids of a campaign that spends too fast, and raises none above the price set by hand',
    async pacingController => {
      world.clock.now = new Date('2026-11-24T00:00:00Z')
      const campaign = await world.campaign({ budget: { amount: { amountMicros: 20_000 } }, pacingController })
      for (let count = 0; count < 6; count++) await world.report((await ask({ campaignIds: [campaign.id] })).decisionId, 'BILLABLE')
      world.clock.now = new Date('2026-11-24T02:00:00Z')
      await world.campaigns.stepPacing()
      const bid = await ask({ campaignIds: [campaign.id] })
      expect(bid.multiplier).toBeLessThan(1)
      expect(bid.price.amountMicros).toBe(Math.floor(2_000 * bid.multiplier))
      const { pacing } = await world.run<Payload['campaign']>(documents.campaign, { id: campaign.id })
      expect(pacing).toMatchObject({ state: 'OVER', controller: pacingController, period: '2026-11-24' })
      world.clock.now = new Date('2026-11-24T23:00:00Z')
      await world.campaigns.stepPacing()
      expect((await ask({ campaignIds: [campaign.id] })).price.amountMicros).toBeLessThanOrEqual(2_000)
    },
  )

  test.each(['PID', 'DUAL'])(
    '%s has nothing to take back of a price set by hand after hours without an auction',
    async pacingController => {
      world.clock.now = new Date('2026-11-24T00:00:00Z')
      const campaign = await world.campaign({ budget: { amount: { amountMicros: 20_000 } }, pacingController })
      for (let hour = 1; hour <= 8; hour++) {
        world.clock.now = new Date(Date.UTC(2026, 10, 24, hour))
        await world.campaigns.stepPacing()
      }
      const multiplier = async () => {
        const { pacing } = await world.run<Payload['campaign']>(documents.campaign, { id: campaign.id })
        return (pacing as { multiplier: number }).multiplier
      }
      expect(await multiplier()).toBe(1)
      // Nine tenths of the budget at once, a third of the day being over.
      await world.snapshots.look()
      for (let count = 0; count < 9; count++) await world.report((await ask({ campaignIds: [campaign.id] })).decisionId, 'BILLABLE')
      world.clock.now = new Date('2026-11-24T08:20:00Z')
      await world.campaigns.stepPacing()
      expect(await multiplier()).toBeLessThan(0.8)
    },
  )

  test('accelerated delivery is not paced', async () => {
    const campaign = await world.campaign({ budget: { amount: { amountMicros: 20_000 }, deliveryMethod: 'ACCELERATED' } })
    for (let count = 0; count < 10; count++) expect((await ask({ campaignIds: [campaign.id] })).price.amountMicros).toBe(2_000)
    expect(await ask({ campaignIds: [campaign.id] })).toMatchObject({ reason: 'BUDGET_EXHAUSTED' })
    expect((await world.run<Payload['campaign']>(documents.campaign, { id: campaign.id })).pacing).toMatchObject({
      state: 'EXHAUSTED',
      multiplier: 1,
      controller: 'NONE',
    })
  })
})
