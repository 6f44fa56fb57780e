import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { uniform } from '../../../src/algorithms/bidding/pacing.js'
import { biddingWorld, documents, eur, type Payload } from '../../support/ads.js'
import { createTestDatabase } from '../../support/database.js'

let database: Awaited<ReturnType<typeof createTestDatabase>>
let world: ReturnType<typeof biddingWorld>
/** Weights of the hours as a sales forecast would give them. */
let forecast: ((hours: number) => number[]) | undefined

beforeAll(async () => {
  database = await createTestDatabase()
  world = biddingWorld(database, { curve: (_campaign, _from, hours) => forecast?.(hours) })
  await database.sql(
    `INSERT INTO "Product" ("externalId", title, categories, "priceMicros", "currencyCode", stock) VALUES
       ('here', 'Shoes', '{}', 20000000, 'EUR', 5), ('gone', 'Hats', '{}', 20000000, 'EUR', 0), ('free', 'Socks', '{}', NULL, NULL, 5), ('abroad', 'Gloves', '{}', 20000000, 'USD', 5)`,
  )
  await database.sql(`INSERT INTO "User" (id, "externalId") SELECT n, 'u-' || n FROM generate_series(1, 400) n`)
  await database.sql(
    `INSERT INTO "Audience" (id, name, source, definition, status, size) VALUES ('large', 'L', 'SEGMENT', '{}', 'READY', 400), ('small', 'S', 'SEGMENT', '{}', 'READY', 20),
       ('none', 'N', 'SEGMENT', '{}', 'READY', 0), ('building', 'B', 'SEGMENT', '{}', 'BUILDING', 0), ('asked', 'A', 'SEGMENT', '{}', 'READY', 200)`,
  )
  await database.sql(
    `INSERT INTO "AudienceMember" ("audienceId", "userId") SELECT 'large', n FROM generate_series(1, 400) n UNION ALL SELECT 'small', n FROM generate_series(1, 20) n
       UNION ALL SELECT 'asked', n FROM generate_series(201, 400) n`,
  )
  await database.sql(
    `INSERT INTO "Consent" ("userId", purpose, granted, at, source) SELECT n, 'ADS', n < 290, now(), 'banner' FROM generate_series(1, 300) n`,
  )
})
beforeEach(() => {
  world.clock.now = new Date('2026-11-24T12:00:00Z')
  world.clock.isModelStale = false
  forecast = undefined
})
afterAll(async () => {
  world.stop()
  await database.drop()
})

const audience = (id: string) => Buffer.from(`Audience:${id}`).toString('base64url')
const read = (id: string) => world.run<Payload['campaign']>(documents.campaign, { id })
const statusOf = async ({ id }: { id: string }) => {
  const { primaryStatus, primaryStatusReasons } = await read(id)
  return [primaryStatus, ...primaryStatusReasons]
}
const update = (id: string, input: Record<string, unknown>) => world.run(documents.update, { input: { campaignId: id, ...input } })
const spend = (key: string, share: number) =>
  database.sql('UPDATE "BudgetLedger" SET "spentMicros" = ("limitMicros" * $2::float8)::bigint WHERE "campaignId" = $1', [key, share])

describe('what keeps a campaign from bidding', () => {
  test.each([
    ['STOCK_LIMITED', {}, 'gone'],
    ['NO_BID', { biddingStrategy: { type: 'MANUAL_CPC' } }, 'here'],
    ['NO_CONVERSION_VALUE', { biddingStrategy: { type: 'MAXIMIZE_CONVERSION_VALUE' } }, 'free'],
    ['NO_CONVERSION_VALUE', { biddingStrategy: { type: 'TARGET_ROAS', targetRoas: 4 } }, 'abroad'],
    ['AUDIENCE_BUILDING', { audienceId: audience('building') }, 'here'],
    ['AUDIENCE_TOO_SMALL', { audienceId: audience('none') }, 'here'],
    ['OUTSIDE_SCHEDULE', { schedule: [{ days: [1], fromHour: 3, toHour: 4 }] }, 'here'],
  ])('%s', async (reason, input, product) => {
    expect(await statusOf(await world.campaign(input, { product }))).toEqual(['NOT_ELIGIBLE', reason])
  })

  test('NO_ADS, and ADS_PAUSED', async () => {
    const campaign = await world.campaign({}, { product: 'here' })
    const asked = async () => (await world.bid({ campaignIds: [campaign.id] })).decision
    const set = (input: Record<string, unknown>) => world.run(documents.adStatus, { input: { adId: campaign.ad.id, ...input } })
    expect((await set({ status: 'PAUSED', dryRun: true })).preview).toMatchObject({
      changes: [{ field: 'status', before: 'ENABLED', after: 'PAUSED' }],
      campaigns: [campaign.name],
    })
    expect(await statusOf(campaign)).toEqual(['ELIGIBLE'])
    expect((await set({ status: 'PAUSED' })).ad).toMatchObject({ status: 'PAUSED' })
    expect(await statusOf(campaign)).toEqual(['NOT_ELIGIBLE', 'ADS_PAUSED'])
    await world.snapshots.look()
    expect(await asked()).toMatchObject({ reason: 'NO_ADS' })
    await set({ status: 'ENABLED' })
    expect(await statusOf(campaign)).toEqual(['ELIGIBLE'])
    await world.snapshots.look()
    expect(await asked()).toMatchObject({ __typename: 'Bid' })
    expect((await set({ adId: Buffer.from('Ad:999999').toString('base64url'), status: 'PAUSED' })).userErrors).toMatchObject([
      { code: 'NOT_FOUND', field: ['adId'] },
    ])
    await database.sql(`DELETE FROM "Ad" WHERE "adGroupId" IN (SELECT id FROM "AdGroup" WHERE "campaignId" = $1)`, [campaign.key])
    expect(await statusOf(campaign)).toEqual(['NOT_ELIGIBLE', 'NO_ADS'])
  })

  test('NO_BID where the only group with a bid has nothing to show', async () => {
    const campaign = await world.campaign({ biddingStrategy: { type: 'MANUAL_CPC' } }, { product: 'here', cpcBid: eur(1) })
    expect(await statusOf(campaign)).toEqual(['ELIGIBLE'])
    const { adGroup } = await world.run(documents.adGroup, { input: { campaignId: campaign.id, name: 'Without a bid' } })
    await world.run(documents.ad, { input: { adGroupId: adGroup.id, headline: 'Shoes', productExternalId: 'here' } })
    expect(await statusOf(campaign)).toEqual(['ELIGIBLE'])
    await world.run(documents.adStatus, { input: { adId: campaign.ad.id, status: 'PAUSED' } })
    expect(await statusOf(campaign)).toEqual(['NOT_ELIGIBLE', 'NO_BID'])
    await world.snapshots.look()
    expect((await world.bid({ campaignIds: [campaign.id] })).decision?.reason).toMatch(/^NO_BID/)
  })

  test('CAMPAIGN_DRAFT with what is missing, CAMPAIGN_PAUSED and CAMPAIGN_ENDED, by what people want', async () => {
    const { campaign: draft } = await world.run(documents.create, {
      input: { name: 'Draft', budget: { amount: eur(1) }, biddingStrategy: { type: 'MAXIMIZE_CLICKS' } },
    })
    expect([draft.primaryStatus, ...draft.primaryStatusReasons]).toEqual(['DRAFT', 'CAMPAIGN_DRAFT', 'NO_ADS'])
    const campaign = await world.campaign({}, { product: 'here' })
    await world.run(documents.pause, { input: { campaignId: campaign.id } })
    expect(await statusOf(campaign)).toEqual(['PAUSED', 'CAMPAIGN_PAUSED'])
    await world.run(documents.end, { input: { campaignId: campaign.id } })
    const { userErrors } = await world.run(documents.adStatus, { input: { adId: campaign.ad.id, status: 'PAUSED' } })
    expect(userErrors).toMatchObject([{ code: 'ILLEGAL_TRANSITION' }])
    expect(await statusOf(campaign)).toEqual(['ENDED', 'CAMPAIGN_ENDED'])
  })

  test('BUDGET_EXHAUSTED until the account’s next midnight', async () => {
    const campaign = await world.campaign({}, { product: 'here' })
    await world.campaigns.roll()
    await spend(campaign.key, 1)
    expect(await statusOf(campaign)).toEqual(['NOT_ELIGIBLE', 'BUDGET_EXHAUSTED'])
    world.clock.now = new Date('2026-11-25T00:00:01Z')
    await world.campaigns.roll()
    expect(await statusOf(campaign)).toEqual(['ELIGIBLE'])
  })
})

describe('what limits a campaign', () => {
  test.each([
    ['AUDIENCE_TOO_SMALL', { audienceId: audience('small') }],
    ['CONSENT_LIMITED', { audienceId: audience('asked') }],
  ])('%s', async (reason, input) => {
    expect(await statusOf(await world.campaign(input, { product: 'here' }))).toEqual(['LIMITED', reason])
  })

  test('an audience that is large and consented limits nothing', async () => {
    expect(await statusOf(await world.campaign({ audienceId: audience('large') }, { product: 'here' }))).toEqual(['ELIGIBLE'])
  })

  test('MODEL_STALE, and STOCK_LIMITED while other ads go on', async () => {
    const campaign = await world.campaign({}, { product: 'here' })
    await world.run(documents.ad, { input: { adGroupId: campaign.adGroup.id, headline: 'Hats', productExternalId: 'gone' } })
    expect(await statusOf(campaign)).toEqual(['LIMITED', 'STOCK_LIMITED'])
    world.clock.isModelStale = true
    expect(await statusOf(campaign)).toEqual(['LIMITED', 'STOCK_LIMITED', 'MODEL_STALE'])
  })

  test('FREQUENCY_CAPPED while half of those it may address have seen it as often as its cap allows', async () => {
    const frequencyCap = { impressions: 2, hours: 24 }
    const campaign = await world.campaign({ audienceId: audience('large'), frequencyCap }, { product: 'here' })
    const { key, ad } = campaign
    // Of the 400 members 289 consented; the others cannot be shown anything and do not count.
    const show = (people: number) =>
      database.sql(
        `INSERT INTO "BidReservation" (id, "campaignId", period, "adId", "userId", state, "reservedMicros", "bidMicros", "pCtr", "pCvr", "createdAt", "expiresAt")
         SELECT gen_random_uuid(), $1, 'x', $2, n, 'COMMITTED', 0, 1, 0.1, 0.1, $4, $4 FROM generate_series(1, $3::int) n`,
        [key, Number(Buffer.from(ad.id, 'base64url').toString().slice('Ad:'.length)), people, new Date('2026-11-24T11:00:00Z')],
      )
    await show(289)
    expect(await statusOf(campaign)).toEqual(['ELIGIBLE'])
    await show(110)
    expect(await statusOf(campaign)).toEqual(['ELIGIBLE'])
    await database.sql(`UPDATE "BidReservation" SET "userId" = 400 WHERE "campaignId" = $1 AND "userId" > 40`, [key])
    await show(230)
    await show(230)
    expect(await statusOf(campaign)).toEqual(['LIMITED', 'FREQUENCY_CAPPED'])
    world.clock.now = new Date('2026-11-25T11:00:01Z')
    expect(await statusOf(campaign)).toEqual(['ELIGIBLE'])
  })

  test('BUDGET_CONSTRAINED when next to nothing is left, and when a price that a person set is paced down', async () => {
    const campaign = await world.campaign({}, { product: 'here' })
    await world.campaigns.roll()
    await spend(campaign.key, 0.99)
    expect(await statusOf(campaign)).toEqual(['LIMITED', 'BUDGET_CONSTRAINED'])
    await spend(campaign.key, 0.1)
    expect(await statusOf(campaign)).toEqual(['ELIGIBLE'])
    // Each quarter of an hour it spends as much as two whole hours should.
    for (let quarter = 0; quarter < 8; quarter++) {
      await spend(campaign.key, 0.1 + 0.08 * quarter)
      world.clock.now = new Date(world.clock.now.getTime() + 15 * 60_000)
      await world.campaigns.stepPacing()
    }
    expect(await statusOf(campaign)).toEqual(['LIMITED', 'BUDGET_CONSTRAINED'])
    const free = await world.campaign({ biddingStrategy: { type: 'MAXIMIZE_CLICKS' } }, { product: 'here' })
    await database.sql(
      `INSERT INTO "CampaignPacing" ("campaignId", period, multiplier, "updatedAt") VALUES ($1, '2026-11-24', 0.01, now()) ON CONFLICT ("campaignId") DO UPDATE SET multiplier = 0.01`,
      [free.key],
    )
    expect(await statusOf(free)).toEqual(['LEARNING', 'BIDDING_STRATEGY_LEARNING'])
  })
})

describe('the life of a campaign', () => {
  test('it starts and ends by date, without anybody’s doing', async () => {
    const campaign = await world.campaign({ startsAt: '2026-11-25T08:00:00Z', endsAt: '2026-11-26T08:00:00Z' }, { product: 'here' })
    const asked = async () => (await world.bid({ campaignIds: [campaign.id] })).decision
    expect(await statusOf(campaign)).toEqual(['PENDING', 'STARTS_LATER'])
    expect(await asked()).toMatchObject({ reason: 'OUTSIDE_SCHEDULE' })
    world.clock.now = new Date('2026-11-25T08:00:00Z')
    await world.snapshots.look()
    expect(await statusOf(campaign)).toEqual(['ELIGIBLE'])
    expect(await asked()).toMatchObject({ __typename: 'Bid' })
    world.clock.now = new Date('2026-11-26T08:00:00Z')
    expect(await asked()).toMatchObject({ reason: 'OUTSIDE_SCHEDULE' })
    expect(await statusOf(campaign)).toEqual(['ENDED', 'CAMPAIGN_ENDED'])
    expect(await world.campaigns.endDue()).toBe(1)
    expect((await read(campaign.id)).status).toBe('ENDED')
  })

  test('BIDDING_STRATEGY_LEARNING ends after enough results or a week, and begins anew with another target', async () => {
    const campaign = await world.campaign({ biddingStrategy: { type: 'TARGET_CPA', targetCpa: eur(10) } }, { product: 'here' })
    expect(await statusOf(campaign)).toEqual(['LEARNING', 'BIDDING_STRATEGY_LEARNING'])
    world.clock.now = new Date('2026-12-02T12:00:00Z')
    expect(await statusOf(campaign)).toEqual(['ELIGIBLE'])
    const { preview } = await update(campaign.id, { biddingStrategy: { type: 'TARGET_CPA', targetCpa: eur(13) }, dryRun: true })
    expect(preview.resetsLearning).toBe(true)
    expect(
      (await update(campaign.id, { biddingStrategy: { type: 'TARGET_CPA', targetCpa: eur(11) }, dryRun: true })).preview.resetsLearning,
    ).toBe(false)
    await update(campaign.id, { biddingStrategy: { type: 'TARGET_CPA', targetCpa: eur(13) } })
    expect(await statusOf(campaign)).toEqual(['LEARNING', 'BIDDING_STRATEGY_LEARNING'])
    await database.sql(
      `INSERT INTO "AdLogEntry" ("messageId", "adId", "occurredAt", clicked, converted, context) SELECT 'l-' || n, (SELECT a.id FROM "Ad" a JOIN "AdGroup" g ON g.id = a."adGroupId" WHERE g."campaignId" = $1),
         $2::timestamptz, true, true, '{}' FROM generate_series(1, 50) n`,
      [campaign.key, new Date('2026-12-02T13:00:00Z')],
    )
    expect(await statusOf(campaign)).toEqual(['ELIGIBLE'])
  })
})

describe('the curve that spend should follow', () => {
  const targetOf = async (id: string) => {
    const { pacing } = (await read(id)) as unknown as { pacing: { target: { amountMicros: number } } }
    return pacing.target.amountMicros / 100_000_000
  }

  test('is uniform over the hours of the schedule while there is no forecast, and shaped by it when there is one', async () => {
    world.clock.now = new Date('2026-11-24T00:00:00Z')
    const campaign = await world.campaign({}, { product: 'here' })
    const parted = await world.campaign({ schedule: [{ days: [2], fromHour: 12, toHour: 16 }] }, { product: 'here' })
    await database.sql('UPDATE "Campaign" SET "createdAt" = $1', [new Date('2026-11-01T00:00:00Z')])
    world.clock.now = new Date('2026-11-24T13:00:00Z')
    expect(await targetOf(campaign.id)).toBeCloseTo(uniform.at(13 / 24), 3)
    expect(await targetOf(parted.id)).toBeCloseTo(1 / 4, 3)
    // Nothing is sold before noon, and thrice as much in the hour from 12 as in each later one.
    forecast = hours => Array.from({ length: hours }, (_, hour) => (hour < 12 ? 0 : hour === 12 ? 3 : 1))
    expect(await targetOf(campaign.id)).toBeCloseTo(3 / 14, 3)
    expect(await targetOf(parted.id)).toBeCloseTo(3 / 6, 3)
  })

  test('a draft is not late with the hours before it was enabled', async () => {
    world.clock.now = new Date('2026-11-24T12:00:00Z')
    const daily = await world.campaign({}, { product: 'here' })
    const total = await world.campaign(
      { budget: { amount: eur(100), period: 'TOTAL' }, startsAt: '2026-11-14T00:00:00Z', endsAt: '2026-11-25T12:00:00Z' },
      { product: 'here' },
    )
    await database.sql('UPDATE "Campaign" SET "createdAt" = $1', [new Date('2026-11-01T00:00:00Z')])
    world.clock.now = new Date('2026-11-24T18:00:00Z')
    expect(await targetOf(daily.id)).toBeCloseTo(1 / 2, 3)
    expect(await targetOf(total.id)).toBeCloseTo(1 / 4, 3)
  })

  test('on its last day a campaign has spent its budget when it ends', async () => {
    world.clock.now = new Date('2026-11-23T00:00:00Z')
    const campaign = await world.campaign({ endsAt: '2026-11-24T12:00:00Z' }, { product: 'here' })
    await database.sql('UPDATE "Campaign" SET "createdAt" = $1', [new Date('2026-11-01T00:00:00Z')])
    world.clock.now = new Date('2026-11-23T06:00:00Z')
    expect(await targetOf(campaign.id)).toBeCloseTo(1 / 4, 3)
    world.clock.now = new Date('2026-11-24T06:00:00Z')
    expect(await targetOf(campaign.id)).toBeCloseTo(1 / 2, 3)
  })
})
