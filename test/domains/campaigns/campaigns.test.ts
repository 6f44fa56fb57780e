import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { campaignsWorld, documents, eur, type Payload } from '../../support/ads.js'
import { countQueries } from '../../support/count-queries.js'
import { createTestDatabase } from '../../support/database.js'

let database: Awaited<ReturnType<typeof createTestDatabase>>
let world: ReturnType<typeof campaignsWorld>
beforeAll(async () => {
  database = await createTestDatabase()
  world = campaignsWorld(database)
})
beforeEach(() => {
  world.clock.now = new Date()
})
afterAll(() => database.drop())

const run = (source: string, input: Record<string, unknown>) => world.run(source, { input })
const MANUAL = { type: 'MANUAL_CPC', cpcBid: eur(0.5) }
const create = (input: Record<string, unknown> = {}) =>
  run(documents.create, { name: 'Spring', budget: { amount: eur(100) }, biddingStrategy: MANUAL, ...input })
const created = async (input: Record<string, unknown> = {}) => {
  const { campaign, userErrors } = await create(input)
  expect(userErrors).toEqual([])
  return campaign
}
const codes = ({ userErrors }: Payload) => userErrors.map(({ code }) => code)
const faultOf = ({ userErrors }: Payload) => ({ code: userErrors[0]?.code, field: userErrors[0]?.field })
let names = 0
const product = async (facts: Record<string, unknown> = {}) => {
  const externalId = `product-${++names}`
  await database.sql(
    `INSERT INTO "Product" ("externalId", title, categories, "priceMicros", "currencyCode", stock) VALUES ($1, $1, '{}', 20000000, 'EUR', $2)`,
    [externalId, facts.stock ?? 5],
  )
  return externalId
}
const keyOf = (id: string) => Buffer.from(id, 'base64url').toString().slice('Campaign:'.length)
const withAd = async (input: Record<string, unknown> = {}, stock = 5) => {
  const campaign = await created(input)
  const { adGroup } = await run(documents.adGroup, { campaignId: campaign.id, name: 'All' })
  const { ad } = await run(documents.ad, { adGroupId: adGroup.id, headline: 'Shoes!', productExternalId: await product({ stock }) })
  return { campaign, adGroup, ad }
}
const statusOf = async (id: string) => {
  const { primaryStatus, primaryStatusReasons } = await world.run<Payload['campaign']>(documents.campaign, { id })
  return [primaryStatus, ...primaryStatusReasons]
}

describe('a campaign', () => {
  test('is created as a draft with a strategy of its own', async () => {
    const campaign = await created({
      externalId: 'c-1',
      targeting: { countries: ['de'], devices: ['mobile'] },
      frequencyCap: { impressions: 3, hours: 24 },
    })
    expect(campaign).toMatchObject({
      externalId: 'c-1',
      version: 1,
      status: 'DRAFT',
      primaryStatus: 'DRAFT',
      primaryStatusReasons: ['CAMPAIGN_DRAFT', 'NO_ADS'],
      targeting: { countries: ['DE'], devices: ['mobile'] },
      frequencyCap: { impressions: 3, hours: 24 },
      budget: {
        amount: { amountMicros: 100_000_000, currencyCode: 'EUR' },
        period: 'DAILY',
        deliveryMethod: 'STANDARD',
        maxDailyOverdelivery: 1,
      },
      biddingStrategy: { type: 'MANUAL_CPC', shared: false, cpcBid: { amountMicros: 500_000 } },
    })
    expect(world.signals.announced.at(-1)?.name).toBe('campaign.changed')
  })

  test('shares a strategy with others, which see its changes', async () => {
    const { biddingStrategy } = await run(documents.strategyCreate, { name: 'CPA', type: 'TARGET_CPA', targetCpa: eur(10) })
    const [a, b] = [
      await created({ name: 'A', biddingStrategy: null, biddingStrategyId: biddingStrategy.id }),
      await created({ name: 'B', biddingStrategy: null, biddingStrategyId: biddingStrategy.id }),
    ]
    const dry = await run(documents.strategyUpdate, { biddingStrategyId: biddingStrategy.id, targetCpa: eur(20), dryRun: true })
    expect(dry.preview).toEqual({
      changes: [{ field: 'targetCpaMicros', before: '10000000', after: '20000000' }],
      resetsLearning: true,
      campaigns: ['A', 'B'],
    })
    const small = await run(documents.strategyUpdate, { biddingStrategyId: biddingStrategy.id, targetCpa: eur(11), dryRun: true })
    expect(small.preview.resetsLearning).toBe(false)
    await run(documents.strategyUpdate, { biddingStrategyId: biddingStrategy.id, targetCpa: eur(20) })
    for (const { id, learningSince } of [a, b]) {
      const now = await world.run<Payload['campaign']>(documents.campaign, { id })
      expect(now.biddingStrategy).toMatchObject({ targetCpa: { amountMicros: 20_000_000 }, version: 2 })
      expect(now.learningSince).not.toEqual(learningSince)
    }
    expect(faultOf(await run(documents.strategyUpdate, { biddingStrategyId: biddingStrategy.id, targetCpa: null }))).toEqual({
      code: 'INVALID',
      field: ['targetCpa'],
    })
    expect(codes(await run(documents.strategyUpdate, { biddingStrategyId: biddingStrategy.id, name: 'x', expectedVersion: 1 }))).toEqual([
      'VERSION_CONFLICT',
    ])
  })

  test('a strategy of one campaign is not for others, who would be changed with it', async () => {
    const { id, biddingStrategy } = (await created({ name: 'Owner' })) as Payload['campaign'] & { biddingStrategy: { id: string } }
    const input = { name: 'Other', budget: { amount: eur(1) }, biddingStrategyId: biddingStrategy.id }
    const refused = { code: 'INVALID', field: ['biddingStrategyId'] }
    expect(faultOf(await run(documents.create, input))).toEqual(refused)
    const other = await created({ name: 'Other' })
    expect(faultOf(await run(documents.update, { campaignId: other.id, biddingStrategyId: biddingStrategy.id }))).toEqual(refused)
    expect(codes(await run(documents.update, { campaignId: id, biddingStrategyId: biddingStrategy.id, name: 'Still' }))).toEqual([])
  })

  test('moves along legal transitions only, and ENDED is the end', async () => {
    const { id } = await created()
    expect(codes(await run(documents.pause, { campaignId: id }))).toEqual(['ILLEGAL_TRANSITION'])
    expect((await run(documents.enable, { campaignId: id })).campaign).toMatchObject({ status: 'ENABLED', version: 2 })
    expect(codes(await run(documents.enable, { campaignId: id }))).toEqual(['ILLEGAL_TRANSITION'])
    expect((await run(documents.pause, { campaignId: id, expectedVersion: 2 })).campaign.status).toBe('PAUSED')
    expect((await run(documents.enable, { campaignId: id })).campaign.status).toBe('ENABLED')
    expect((await run(documents.end, { campaignId: id })).campaign).toMatchObject({ status: 'ENDED', primaryStatus: 'ENDED' })
    for (const document of [documents.enable, documents.pause, documents.end])
      expect(codes(await run(document, { campaignId: id }))).toEqual(['ILLEGAL_TRANSITION'])
    expect(codes(await run(documents.update, { campaignId: id, name: 'x', expectedVersion: 5 }))).toEqual(['ILLEGAL_TRANSITION'])
    expect(codes(await run(documents.budget, { campaignId: id, amount: eur(5) }))).toEqual(['ILLEGAL_TRANSITION'])
    expect(codes(await run(documents.adGroup, { campaignId: id, name: 'x' }))).toEqual(['ILLEGAL_TRANSITION'])
  })

  test('of 50 parallel updates with one expected version exactly one is made', async () => {
    const { id } = await created()
    for (const change of [
      (index: number) => run(documents.update, { campaignId: id, name: `n${index}`, expectedVersion: 1 }),
      (index: number) => run(documents.budget, { campaignId: id, amount: eur(100 + index), expectedVersion: 2 }),
      () => run(documents.enable, { campaignId: id, expectedVersion: 3 }),
    ]) {
      const answers = await Promise.all(Array.from({ length: 50 }, (_, index) => change(index)))
      expect(answers.filter(({ userErrors }) => userErrors.length === 0)).toHaveLength(1)
      expect(new Set(answers.flatMap(codes))).toEqual(new Set([answers.flatMap(codes)[0]]))
    }
    const { biddingStrategy } = await run(documents.strategyCreate, { name: 'S', type: 'MAXIMIZE_CLICKS' })
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, index) =>
        run(documents.strategyUpdate, { biddingStrategyId: biddingStrategy.id, name: `n${index}`, expectedVersion: 1 }),
      ),
    )
    expect(answers.filter(({ userErrors }) => userErrors.length === 0)).toHaveLength(1)
  })

  test('parallel changes that name no version are all made', async () => {
    const { biddingStrategy } = await run(documents.strategyCreate, { name: 'Shared', type: 'TARGET_CPA', targetCpa: eur(10) })
    const { id } = await created({ name: 'All', biddingStrategy: null, biddingStrategyId: biddingStrategy.id })
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, at) =>
        at % 2
          ? run(documents.update, { campaignId: id, name: `Name ${at}` })
          : run(documents.strategyUpdate, { biddingStrategyId: biddingStrategy.id, targetCpa: eur(10 + at) }),
      ),
    )
    expect(answers.flatMap(codes)).toEqual([])
    expect(await world.run<Payload['campaign']>(documents.campaign, { id })).toMatchObject({
      version: 11,
      biddingStrategy: { version: 11 },
    })
  })

  test('a key makes it once, and the replay has every field', async () => {
    const input = { name: 'Once', externalId: 'once', budget: { amount: eur(1) }, biddingStrategy: MANUAL, idempotencyKey: 'k-1' }
    const first = await run(documents.create, input)
    const again = await run(documents.create, input)
    expect(again).toEqual({ ...first, idempotentReplay: true })
    expect(codes(await run(documents.create, { ...input, name: 'Other' }))).toEqual(['IDEMPOTENCY_KEY_REUSED'])
    expect(codes(await run(documents.create, { ...input, idempotencyKey: undefined }))).toEqual(['DUPLICATE'])
  })

  test('says why it does not run', async () => {
    const { campaign } = await withAd({}, 0)
    await run(documents.enable, { campaignId: campaign.id })
    expect(await statusOf(campaign.id)).toEqual(['NOT_ELIGIBLE', 'STOCK_LIMITED'])
    const later = await withAd({ startsAt: new Date(Date.now() + 86_400_000).toISOString() })
    await run(documents.enable, { campaignId: later.campaign.id })
    expect(await statusOf(later.campaign.id)).toEqual(['PENDING', 'STARTS_LATER'])
    const auto = await withAd({ biddingStrategy: { type: 'MAXIMIZE_CLICKS' } })
    await run(documents.enable, { campaignId: auto.campaign.id })
    expect(await statusOf(auto.campaign.id)).toEqual(['LEARNING', 'BIDDING_STRATEGY_LEARNING'])
    const priced = await withAd()
    await run(documents.enable, { campaignId: priced.campaign.id })
    expect(await statusOf(priced.campaign.id)).toEqual(['ELIGIBLE'])
    await world.campaigns.roll()
    await database.sql('UPDATE "BudgetLedger" SET "spentMicros" = "limitMicros" WHERE "campaignId" = $1', [keyOf(priced.campaign.id)])
    expect(await statusOf(priced.campaign.id)).toEqual(['NOT_ELIGIBLE', 'BUDGET_EXHAUSTED'])
    const night = await withAd({ schedule: [{ days: [1], fromHour: 3, toHour: 4 }] })
    await run(documents.enable, { campaignId: night.campaign.id })
    world.clock.now = new Date('2026-11-24T12:00:00Z')
    expect(await statusOf(night.campaign.id)).toEqual(['NOT_ELIGIBLE', 'OUTSIDE_SCHEDULE'])
  })

  test('a list of 50 costs a fixed number of statements', async () => {
    for (let index = 0; index < 12; index++) await withAd({ name: `L${index}` })
    // The least of three: what is remembered for seconds is read anew now and then.
    const cost = async (first: number) => {
      const counts: number[] = []
      for (let round = 0; round < 3; round++) counts.push(await countQueries(() => world.run(documents.campaigns, { first })))
      return Math.min(...counts)
    }
    expect(await cost(50)).toBe(await cost(20))
  })

  test('a dry run says whom it reaches, whom not, and what it collides with', async () => {
    await database.sql(`INSERT INTO "User" (id, "externalId") SELECT n, 'r-' || n FROM generate_series(1000, 1009) n`)
    await database.sql(
      `INSERT INTO "Audience" (id, name, source, definition, status, size) VALUES ('a1', 'A', 'SEGMENT', '{}', 'READY', 10), ('a2', 'B', 'SEGMENT', '{}', 'READY', 1)`,
    )
    await database.sql(
      `INSERT INTO "AudienceMember" ("audienceId", "userId") SELECT 'a1', n FROM generate_series(1000, 1009) n UNION ALL SELECT 'a2', 1000`,
    )
    await database.sql(
      `INSERT INTO "Consent" ("userId", purpose, granted, at, source) SELECT n, 'ADS', n <> 1001, now(), 't' FROM generate_series(1000, 1006) n`,
    )
    await database.sql(`INSERT INTO "Suppression" ("userId", reason) VALUES (1002, 'complained')`)
    const [a1, a2] = ['a1', 'a2'].map(id => Buffer.from(`Audience:${id}`).toString('base64url'))
    const rival = await withAd({ name: 'Rival', audienceId: a1 })
    await run(documents.enable, { campaignId: rival.campaign.id })
    const before = (await database.sql('SELECT 1 FROM "Campaign"')).length
    const { preview, campaign } = await create({ audienceId: a1, excludedAudienceIds: [a2], dryRun: true })
    expect(campaign).toBeNull()
    expect((await database.sql('SELECT 1 FROM "Campaign"')).length).toBe(before)
    expect(preview.changes).toEqual(
      expect.arrayContaining([
        { field: 'audienceId', before: null, after: a1 },
        { field: 'excludedAudienceIds', before: null, after: [a2] },
        { field: 'biddingStrategy', before: null, after: 'MANUAL_CPC' },
      ]),
    )
    expect(preview).toMatchObject({
      reach: 4,
      exclusions: [
        { reason: 'REFUSED_ADS', count: 1 },
        { reason: 'NO_ADS_CONSENT', count: 3 },
        { reason: 'SUPPRESSED', count: 1 },
        { reason: 'EXCLUDED_AUDIENCE', count: 1 },
      ],
      conflicts: [{ name: 'Rival', reason: 'It addresses the same audience' }],
      expectedClicks: null,
      warnings: [],
    })
    expect(await statusOf(rival.campaign.id)).toEqual(['LIMITED', 'AUDIENCE_TOO_SMALL'])
    await database.sql(
      `INSERT INTO "Audience" (id, name, source, definition, status, size, "archivedAt") VALUES ('gone', 'Gone', 'SEGMENT', '{}', 'READY', 10, now())`,
    )
    for (const key of ['none', 'gone']) {
      const id = Buffer.from(`Audience:${key}`).toString('base64url')
      expect(faultOf(await create({ audienceId: id }))).toEqual({ code: 'NOT_FOUND', field: ['audienceId'] })
      expect(faultOf(await create({ excludedAudienceIds: [id] }))).toEqual({ code: 'NOT_FOUND', field: ['excludedAudienceIds'] })
    }
  })
})

describe('bad input', () => {
  const now = Date.now()
  const day = (days: number) => new Date(now + days * 86_400_000).toISOString()
  test.each([
    ['a negative budget', { budget: { amount: { amountMicros: -1 } } }, ['budget', 'amount', 'amountMicros']],
    ['a budget of zero', { budget: { amount: { amountMicros: 0 } } }, ['budget', 'amount', 'amountMicros']],
    ['an overflowing budget', { budget: { amount: { amountMicros: '9223372036854775807' } } }, ['budget', 'amount', 'amountMicros']],
    ['another currency', { budget: { amount: { amountMicros: 5, currencyCode: 'USD' } } }, ['budget', 'amount', 'currencyCode']],
    ['an end before the start', { startsAt: day(3), endsAt: day(2) }, ['endsAt']],
    ['an end in the past', { endsAt: day(-2) }, ['endsAt']],
    ['a strategy without its target', { biddingStrategy: { type: 'TARGET_CPA' } }, ['biddingStrategy', 'targetCpa']],
    ['a return without its target', { biddingStrategy: { type: 'TARGET_ROAS' } }, ['biddingStrategy', 'targetRoas']],
    ['a return of zero', { biddingStrategy: { type: 'TARGET_ROAS', targetRoas: 0 } }, ['biddingStrategy', 'targetRoas']],
    [
      'a floor above the ceiling',
      { biddingStrategy: { ...MANUAL, cpcBidFloor: eur(2), cpcBidCeiling: eur(1) } },
      ['biddingStrategy', 'cpcBidFloor'],
    ],
    ['no strategy', { biddingStrategy: null }, ['biddingStrategy']],
    ['no name', { name: '  ' }, ['name']],
    ['an eighth day', { schedule: [{ days: [8], fromHour: 1, toHour: 2 }] }, ['schedule', '0', 'days']],
    ['hours that end before they start', { schedule: [{ days: [1], fromHour: 5, toHour: 5 }] }, ['schedule', '0', 'toHour']],
    ['a cap of nothing', { frequencyCap: { impressions: 0, hours: 1 } }, ['frequencyCap', 'impressions']],
    ['a country that is none', { targeting: { countries: ['Germany'] } }, ['targeting', 'countries']],
    ['overdelivery below one', { budget: { amount: eur(1), maxDailyOverdelivery: 0.5 } }, ['budget', 'maxDailyOverdelivery']],
    ['an id of another type', { audienceId: 'VXNlcjox' }, ['audienceId']],
    ['settings that are none', { biddingStrategy: { type: 'ORTB', settings: { form: 3 } } }, ['biddingStrategy', 'settings', 'form']],
  ])('%s is refused by name', async (_, input, field) => {
    const answer = await create(input)
    expect(faultOf(answer)).toEqual({ code: 'INVALID', field })
    expect(answer.campaign).toBeNull()
  })

  test('a budget below what is spent and reserved is refused, also at the same moment', async () => {
    const { campaign } = await withAd()
    await run(documents.enable, { campaignId: campaign.id })
    await world.campaigns.roll()
    const key = keyOf(campaign.id)
    await database.sql('UPDATE "BudgetLedger" SET "spentMicros" = 30000000, "reservedMicros" = 10000000 WHERE "campaignId" = $1', [key])
    for (const dryRun of [false, true]) {
      const answer = await run(documents.budget, { campaignId: campaign.id, amount: eur(39), dryRun })
      expect(faultOf(answer)).toEqual({ code: 'BUDGET_EXCEEDED', field: ['amount'] })
    }
    expect((await world.run<Payload['campaign']>(documents.campaign, { id: campaign.id })).budget).toMatchObject({
      amount: { amountMicros: 100_000_000 },
    })
    expect((await run(documents.budget, { campaignId: campaign.id, amount: eur(40) })).campaign.budget).toMatchObject({
      amount: { amountMicros: 40_000_000 },
      spent: { amountMicros: 30_000_000 },
    })
    // Ledger and campaign change together or not at all, while money is being reserved.
    const budgets = Array.from({ length: 20 }, (_, index) =>
      run(documents.budget, { campaignId: campaign.id, amount: eur(41 + (index % 5)) }),
    )
    const reserves = Array.from({ length: 20 }, () =>
      database.sql(
        'UPDATE "BudgetLedger" SET "reservedMicros" = "reservedMicros" + 100000 WHERE "campaignId" = $1 AND "spentMicros" + "reservedMicros" + 100000 <= "limitMicros"',
        [key],
      ),
    )
    await Promise.all([...budgets, ...reserves])
    const [row] = await database.sql<{ budget: bigint; limit: bigint; committed: bigint }>(
      'SELECT c."budgetMicros" AS budget, l."limitMicros" AS limit, l."spentMicros" + l."reservedMicros" AS committed FROM "Campaign" c JOIN "BudgetLedger" l ON l."campaignId" = c.id WHERE c.id = $1',
      [key],
    )
    expect(row.limit).toBe(row.budget)
    expect(row.committed).toBeLessThanOrEqual(row.limit)
    await expect(
      database.sql('UPDATE "BudgetLedger" SET "spentMicros" = "limitMicros" + 1 WHERE "campaignId" = $1', [key]),
    ).rejects.toMatchObject({ code: '23514' })
    await expect(database.sql('UPDATE "LedgerEntry" SET "spentMicros" = 0 WHERE "campaignId" = $1', [key])).rejects.toThrow('never changed')
  })

  test('what is not there is NOT_FOUND', async () => {
    const nobody = Buffer.from('Campaign:none').toString('base64url')
    expect(faultOf(await run(documents.enable, { campaignId: nobody }))).toEqual({ code: 'NOT_FOUND', field: ['campaignId'] })
    expect(faultOf(await run(documents.enable, { campaignExternalId: 'none' }))).toEqual({
      code: 'NOT_FOUND',
      field: ['campaignExternalId'],
    })
    expect(faultOf(await run(documents.enable, {}))).toEqual({ code: 'INVALID', field: ['campaignId'] })
    expect(await world.run(documents.campaign, { id: nobody })).toBeNull()
    expect(faultOf(await run(documents.ad, { adGroupId: Buffer.from('AdGroup:none').toString('base64url'), headline: 'x' }))).toEqual({
      code: 'NOT_FOUND',
      field: ['adGroupId'],
    })
  })
})

describe('an ad', () => {
  test('says what it is about in codes of IAB, and nothing else', async () => {
    const { adGroup } = await withAd()
    const label = (iabCategories: string[]) =>
      world.run<Payload>(
        'mutation ($input: AdCreateInput!) { adCreate(input: $input) { ad { iabCategories } userErrors { code field message } idempotentReplay } }',
        { input: { adGroupId: adGroup.id, headline: 'Wine', iabCategories } },
      )
    expect((await label(['iab8-18', ' IAB8', 'IAB8-18'])).ad).toEqual({ iabCategories: ['IAB8-18', 'IAB8'] })
    for (const wrong of ['IAB27', 'IAB8-', 'wine', '', 'IAB0'])
      expect(faultOf(await label(['IAB1', wrong]))).toEqual({ code: 'INVALID', field: ['iabCategories', '1'] })
    expect(faultOf(await label(Array.from({ length: 21 }, (_, at) => `IAB1-${at + 1}`)))).toEqual({
      code: 'INVALID',
      field: ['iabCategories'],
    })
  })
})

describe('an ad group', () => {
  test('has its own bid, within the limits of the strategy', async () => {
    const { id } = await created({ biddingStrategy: { ...MANUAL, cpcBidCeiling: eur(0.8) } })
    const { adGroup } = await run(documents.adGroup, { campaignId: id, name: 'G' })
    expect(adGroup).toMatchObject({ cpcBid: null, effectiveBid: { amountMicros: 500_000 } })
    expect((await run(documents.adGroupBid, { adGroupId: adGroup.id, cpcBid: eur(2), expectedVersion: 1 })).adGroup).toMatchObject({
      version: 2,
      cpcBid: { amountMicros: 2_000_000 },
      effectiveBid: { amountMicros: 800_000 },
    })
    expect(codes(await run(documents.adGroupBid, { adGroupId: adGroup.id, cpcBid: eur(2), expectedVersion: 1 }))).toEqual([
      'VERSION_CONFLICT',
    ])
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => run(documents.adGroupBid, { adGroupId: adGroup.id, cpcBid: eur(1), expectedVersion: 2 })),
    )
    expect(answers.filter(({ userErrors }) => userErrors.length === 0)).toHaveLength(1)
    expect(faultOf(await run(documents.adGroupBid, { adGroupId: adGroup.id, cpcBid: eur(-1) }))).toEqual({
      code: 'INVALID',
      field: ['cpcBid', 'amountMicros'],
    })
  })
})

describe('the clock', () => {
  test('ends campaigns whose time has come', async () => {
    const { campaign } = await withAd({ endsAt: new Date(Date.now() + 60_000).toISOString() })
    await run(documents.enable, { campaignId: campaign.id })
    world.clock.now = new Date(Date.now() + 120_000)
    expect(await world.campaigns.endDue()).toBe(1)
    expect(await world.campaigns.endDue()).toBe(0)
    expect((await world.run<Payload['campaign']>(documents.campaign, { id: campaign.id })).status).toBe('ENDED')
  })
})
