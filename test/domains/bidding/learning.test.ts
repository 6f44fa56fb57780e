import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { createRandom } from '../../../src/algorithms/math/random.js'
import { AdLogRepository } from '../../../src/bidding/ad-log.repository.js'
import { BiddingRepository } from '../../../src/bidding/bidding.repository.js'
import { KINDS, learnable } from '../../../src/bidding/click.task.js'
import { MarketService } from '../../../src/bidding/market.service.js'
import type { StrategyRow } from '../../../src/campaigns/campaign-rows.js'
import { AccountCalendar } from '../../../src/campaigns/time-zone.js'
import { encodeId } from '../../../src/graphql/node-id.js'
import { type BidAnswer, documents, eur, type Payload } from '../../support/ads.js'
import { eventually, startTestApp, type TestApp } from '../../support/app.js'

let api: TestApp
let campaign: Payload['campaign']
let ads: { key: number; isLoved: boolean }[]
const DAY = 86_400_000
const random = createRandom(7)

const run = async <T = Payload>(source: string, input: Record<string, unknown>): Promise<T> => {
  const { data, errors } = await api.as('marketer').run(source, { input })
  if (errors) throw new Error(JSON.stringify(errors))
  return Object.values(data as object)[0] as T
}
const keyOf = (id: string) => Buffer.from(id, 'base64url').toString().split(':')[1]
/** Loved ads are clicked three times as often on a phone; conversions follow the category. */
const truth = (isLoved: boolean, device: string) => (isLoved ? 0.12 : 0.04) * (device === 'mobile' ? 1.5 : 0.5)

beforeAll(async () => {
  api = await startTestApp()
  const { database } = api.app
  await database.sql(
    `INSERT INTO "Product" (id, "externalId", title, categories, "priceMicros", "currencyCode", stock) VALUES (1, 'p-1', 'A', '{a}', 20000000, 'EUR', 9), (2, 'p-2', 'B', '{b}', 20000000, 'EUR', 9)`,
  )
  campaign = (
    await run(documents.create, { name: 'Learn', budget: { amount: eur(1_000) }, biddingStrategy: { type: 'MANUAL_CPC', cpcBid: eur(1) } })
  ).campaign
  const { adGroup } = await run(documents.adGroup, { campaignId: campaign.id, name: 'All' })
  ads = []
  for (const isLoved of [true, false]) {
    const { ad } = await run(documents.ad, {
      adGroupId: adGroup.id,
      headline: isLoved ? 'loved' : 'plain',
      productExternalId: isLoved ? 'p-1' : 'p-2',
    })
    ads.push({ key: Number(keyOf(ad.id)), isLoved })
  }
  await run(documents.enable, { campaignId: campaign.id })
  const rows: unknown[][] = [[], [], [], [], []]
  for (let index = 0; index < 12_000; index++) {
    const ad = ads[index % 2]
    const device = random.next() < 0.5 ? 'mobile' : 'desktop'
    const clicked = random.next() < truth(ad.isLoved, device)
    const cells = [`m-${index}`, ad.key, new Date(Date.now() - 40 * DAY + index * 250_000), clicked, JSON.stringify({ device })]
    cells.forEach((cell, column) => {
      rows[column].push(cell)
    })
  }
  await database.sql(
    `INSERT INTO "AdLogEntry" ("messageId", "adId", "occurredAt", clicked, converted, context) SELECT m, a, t, c, c AND length(m) % 2 = 0, x FROM unnest($1::text[], $2::int[], $3::timestamptz[], $4::bool[], $5::jsonb[]) AS i(m, a, t, c, x)`,
    rows,
  )
})
afterAll(() => api.close())

const bid = async (device: string) => {
  await api.app.snapshots.look()
  const { decision } = await run<{ decision: BidAnswer }>(documents.bid, { context: { device }, campaignIds: [campaign.id] })
  expect(decision.__typename).toBe('Bid')
  return decision
}

describe('click prediction', () => {
  test('begins with the smoothed rate of each ad', async () => {
    expect(await api.app.trainer.refreshBaseline(api.app.trainer.taskNamed('CTR'))).toContain('CTR over 12000 rows')
    await api.app.liveModels.look()
    const { pCtr, ad } = await bid('mobile')
    expect(ad.headline).toBe('loved')
    expect(pCtr).toBeGreaterThan(0.1)
    expect(pCtr).toBeLessThan(0.14)
  })

  test('learns what clicks depend on, and says what each part weighs', async () => {
    const { models } = await api.app.trainer.train({ task: 'CTR', algorithm: 'logistic' })
    expect(models[0].guardrails.checks.filter(check => !check.passed)).toEqual([])
    // Ten bins of some 240 rows err by about 0.015 by chance alone.
    expect(models[0].metrics.ece).toBeLessThan(0.035)
    await api.app.modelsService.approve({ id: 'a', name: 'a' }, { modelId: encodeId('Model', models[0].id) })
    await api.app.liveModels.look()
    const [mobile, desktop] = [await bid('mobile'), await bid('desktop')]
    expect(Math.abs(mobile.pCtr - truth(true, 'mobile'))).toBeLessThan(0.03)
    expect(Math.abs(desktop.pCtr - truth(true, 'desktop'))).toBeLessThan(0.02)
    const parts = mobile.explanation.filter(({ feature }) => feature.startsWith('pCTR'))
    expect(parts.find(({ feature }) => feature === 'pCTR: device')).toMatchObject({ value: 'mobile' })
    expect(parts.reduce((sum, { weight }) => sum + weight, 0)).toBeCloseTo(Math.log(mobile.pCtr / (1 - mobile.pCtr)), 5)
    const decision = await api.app.decisions.find(keyOf(mobile.decisionId))
    expect(decision).toMatchObject({ modelId: models[0].id, servedBy: expect.stringContaining('logistic v1') })
  })

  test('goes on learning from the log between trainings', async () => {
    const before = (await bid('desktop')).pCtr
    const { database } = api.app
    await database.sql(
      `INSERT INTO "AdLogEntry" ("messageId", "adId", "occurredAt", clicked, context) SELECT 'later-' || n, $1, now() - interval '3 hours' + n * interval '1 second', true, '{"device": "desktop"}' FROM generate_series(1, 400) n`,
      [ads[0].key],
    )
    // Labels come late: what was shown within the hour is not learned yet.
    await database.sql(
      `INSERT INTO "AdLogEntry" ("messageId", "adId", "occurredAt", clicked, context) SELECT 'young-' || n, $1, now(), false, '{}' FROM generate_series(1, 100) n`,
      [ads[0].key],
    )
    expect(await api.app.onlineLearning.learn()).toBe(400)
    expect(await api.app.onlineLearning.learn()).toBe(0)
    expect((await bid('desktop')).pCtr).toBeGreaterThan(before)
  })

  test('conversions are learned from clicks only', async () => {
    const task = api.app.trainer.taskNamed('CVR')
    const { rows, data } = await task.load(new Date())
    expect(rows).toBeGreaterThan(500)
    expect(rows).toBeLessThan(1_500)
    const labels = (data as { labels: Uint8Array }).labels
    expect(labels.reduce((sum, label) => sum + label, 0)).toBeGreaterThan(100)
  })

  test('nothing of a person who withdrew the consent to ADS is learned from, though it was used with consent', async () => {
    const { database } = api.app
    await database.sql(`INSERT INTO "User" (id, "externalId") VALUES (101, 'stays'), (102, 'went')`)
    await database.sql(
      `INSERT INTO "Consent" ("userId", purpose, granted, at, source) VALUES (101, 'ADS', true, now(), 't'), (102, 'ADS', false, now(), 't')`,
    )
    const from = new Date(Date.now() - 80 * DAY)
    const person = { gender: 'female', age: '35-44', city: 'Berlin', affinity: 'shoes' }
    for (const [place, userId, context] of [
      [0, 101, { device: 'mobile', ...person }],
      [1, 102, { device: 'mobile', ...person }],
      [2, null, { device: 'mobile' }],
    ] as const)
      await database.sql(
        `INSERT INTO "AdLogEntry" ("messageId", "decisionId", "adId", "userId", "occurredAt", context) VALUES ($1, $1, $2, $3, $4, $5)`,
        [`person-${place}`, ads[0].key, userId, new Date(from.getTime() + place), JSON.stringify(context)],
      )
    const until = new Date(from.getTime() + 10)
    const { examples } = await learnable(new AdLogRepository(database), new AccountCalendar('UTC'), KINDS.CTR, { from, until })
    const wordsAt = (row: number) => [
      ...examples.words.subarray((row * examples.words.length) / 3, ((row + 1) * examples.words.length) / 3),
    ]
    expect(wordsAt(1)).toEqual(wordsAt(2))
    expect(wordsAt(0)).not.toEqual(wordsAt(1))
  })
})

describe('the market', () => {
  test('a win curve is learned from what came of bids, and shades first-price bids', async () => {
    const { database, market, snapshots } = api.app
    await database.sql(
      `INSERT INTO "BidReservation" (id, "campaignId", period, "adId", state, "reservedMicros", "costMicros", "bidMicros", "pCtr", "pCvr", "createdAt", "expiresAt", "minToWinMicros", auction)
       SELECT 'w-' || n, $1, 'x', $2, (CASE WHEN n % 10 < 6 THEN 'COMMITTED' ELSE 'RELEASED' END)::"ReservationState", 0, 0, 60000, 0.1, 0.02, now() - n * interval '1 minute', now(), 10000 + (n % 10) * 10000, 'FIRST_PRICE' FROM generate_series(1, 2000) n`,
      [keyOf(campaign.id), ads[0].key],
    )
    expect(await market.refreshWinCurve()).toBe(2_000)
    await run(documents.update, { campaignId: campaign.id, attributionDays: 20 })
    await snapshots.look()
    const second = await bid('mobile')
    const { decision: first } = await run<{ decision: BidAnswer }>(documents.bid, {
      context: { device: 'mobile' },
      campaignIds: [campaign.id],
      auction: 'FIRST_PRICE',
    })
    expect(first.reason).toBeUndefined()
    expect(first.price.amountMicros).toBeLessThan(second.price.amountMicros)
    expect(first.explanation.find(({ feature }) => feature === 'shading')?.weight).toBeLessThan(0)
  })

  test('is read from the bids whose outcome is known, not from all there ever were', async () => {
    const { database } = api.app
    const texts: { text: string; values: unknown[] }[] = []
    const sql = async (text: string, values: unknown[]) => {
      texts.push({ text, values })
      return []
    }
    const repository = new BiddingRepository({ ...database, sql } as unknown as typeof database)
    await repository.winLog(new Date(0), 10)
    await repository.market(new Date(0), 10)
    expect(texts).toHaveLength(2)
    await database.withClient(async client => {
      await client.query('BEGIN; SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off')
      for (const { text, values } of texts) {
        const { rows } = await client.query(`EXPLAIN ${text}`, values)
        expect(rows.map(row => row['QUERY PLAN']).join('\n')).toContain('Index Scan Backward using "BidReservation_known_idx"')
      }
      await client.query('ROLLBACK')
    })
  })

  test('a preview expects what a replay of the known auctions brings', async () => {
    const { preview } = await run(documents.budget, { campaignId: campaign.id, amount: eur(5), dryRun: true })
    expect(preview.expectedClicks).toMatchObject({ interval: { low: expect.any(Number), high: expect.any(Number) } })
    const { value, interval } = preview.expectedClicks as { value: number; interval: { low: number; high: number } }
    expect(value).toBeGreaterThan(0)
    expect(interval.low).toBeLessThan(value)
    expect((preview.expectedCost as { value: number }).value).toBeLessThanOrEqual(5_000_000)
  })

  test('a preview looks at the auctions that the campaign would have bid on, and says why nothing can be expected', async () => {
    const { database } = api.app
    await database.sql(
      `INSERT INTO "Audience" (id, name, source, definition, status, size) VALUES ('here', 'Here', 'SEGMENT', '{}', 'READY', 1), ('away', 'Away', 'SEGMENT', '{}', 'READY', 1)`,
    )
    await database.sql(`INSERT INTO "User" (id, "externalId") VALUES (1, 'here'), (2, 'away')`)
    await database.sql(
      `INSERT INTO "Consent" ("userId", purpose, granted, at, source) SELECT n, 'ADS', true, now(), 't' FROM generate_series(1, 2) n`,
    )
    await database.sql(`INSERT INTO "AudienceMember" ("audienceId", "userId") VALUES ('here', 1), ('away', 2)`)
    await database.sql(
      `UPDATE "BidReservation" SET "userId" = CASE WHEN right(id, 1) < '4' THEN 1 END, context = jsonb_build_object('device', CASE WHEN right(id, 1) < '7' THEN 'mobile' ELSE 'desktop' END)`,
    )
    const foresee = async (input: object) => {
      const { preview } = await run(documents.update, { campaignId: campaign.id, dryRun: true, ...input })
      const { expectedClicks: clicks, warnings } = preview as {
        expectedClicks: { value: number; interval: { high: number } }
        warnings: string[]
      }
      return { clicks: clicks?.value, high: clicks?.interval.high, warnings }
    }
    // Those that were read within the last minute have no people yet.
    const { market } = api.app as unknown as { market: { known?: unknown } }
    market.known = undefined
    const all = await foresee({})
    const days = [1, 2, 3, 4, 5, 6, 7]
    const parts = await Promise.all(
      [
        { targeting: { devices: ['mobile'] } },
        { targeting: { devices: ['desktop'] } },
        { schedule: [{ days, fromHour: 0, toHour: 12 }] },
        { schedule: [{ days, fromHour: 12, toHour: 24 }] },
        { audienceId: encodeId('Audience', 'here') },
        { audienceId: encodeId('Audience', 'away') },
        { excludedAudienceIds: [encodeId('Audience', 'here')] },
        { targeting: { devices: ['tv'] } },
        { frequencyCap: { impressions: 1, hours: 720 } },
        { frequencyCap: { impressions: 1000, hours: 1 } },
      ].map(foresee),
    )
    const [mobile, desktop, morning, evening, here, away, without, tv, once, often] = parts
    expect(mobile.clicks + desktop.clicks).toBeCloseTo(all.clicks, 6)
    expect(mobile.clicks).toBeGreaterThan(desktop.clicks)
    expect(morning.clicks + evening.clicks).toBeCloseTo(all.clicks, 6)
    expect(here.clicks + without.clicks).toBeCloseTo(all.clicks, 6)
    expect(here.clicks).toBeGreaterThan(0)
    expect(morning.clicks).toBeGreaterThan(0)
    // All of "here" is one person, who would be shown it once.
    expect(once.clicks).toBeGreaterThanOrEqual(without.clicks)
    expect(once.clicks).toBeLessThan(without.clicks + here.clicks / 4)
    expect(often.clicks).toBeCloseTo(all.clicks, 6)
    for (const none of [away, tv]) {
      expect(none).toMatchObject({ clicks: 0, warnings: [expect.stringMatching(/^None of the \d+ auctions that are known/)] })
      // Nothing seen is not nothing possible.
      expect(none.high).toBeGreaterThan(2.9)
    }
    const low = await foresee({ biddingStrategy: { type: 'MANUAL_CPM', cpmBid: { amountMicros: 1_000 } } })
    expect(low).toMatchObject({ clicks: 0, warnings: [expect.stringMatching(/^It would have won none of the \d+ auctions/)] })
    const { preview } = await run(documents.create, {
      name: 'No bid',
      budget: { amount: eur(5) },
      biddingStrategy: { type: 'MANUAL_CPC' },
      dryRun: true,
    })
    expect(preview).toMatchObject({ expectedClicks: null, warnings: ['Nothing can be expected: MANUAL_CPC needs cpcBidMicros'] })
  })

  test('is read once a minute, however many previews ask', async () => {
    const { database, pool, campaigns } = api.app
    const clock = { now: Date.now() }
    let reads = 0
    const repository = new BiddingRepository(database)
    const market = new MarketService({
      repository: Object.assign(repository, {
        market: (...given: Parameters<BiddingRepository['market']>) => {
          reads++
          return BiddingRepository.prototype.market.apply(repository, given)
        },
      }),
      campaigns: () => campaigns,
      calendar: new AccountCalendar('UTC'),
      pool,
      seed: 1,
      currency: 'EUR',
      now: () => new Date(clock.now),
    })
    const clicks = async () => {
      const { points, auctions } = await market.simulate({ campaignId: campaign.id, over: 'BUDGET', factors: [1] })
      return [points[0].clicks, auctions]
    }
    const first = await clicks()
    clock.now += 59_000
    expect(await clicks()).toEqual(first)
    expect(reads).toBe(1)
    clock.now += 2_000
    await clicks()
    expect(reads).toBe(2)
  })

  test('before there are auctions of our own, imported impressions at what they cost tell what to expect', async () => {
    const { database, pool, campaigns } = api.app
    const repository = Object.assign(new BiddingRepository(database), { market: async () => [] })
    const calendar = new AccountCalendar('UTC')
    const market = new MarketService({ repository, campaigns: () => campaigns, calendar, pool, seed: 1, currency: 'EUR' })
    const row = await campaigns.named({ campaignId: campaign.id })
    const strategy = (await repository.strategy(row.biddingStrategyId)) as StrategyRow
    expect(await market.foresee(row, strategy)).toEqual({
      expectations: null,
      warnings: ['Nothing is known of the market yet, so nothing can be expected'],
    })
    // Only clicks were paid, each with 0.30: an impression of an ad costs what its clicks cost on average.
    await database.sql('UPDATE "AdLogEntry" SET "costMicros" = 300000 WHERE clicked AND "decisionId" IS NULL')
    const { expectations, warnings } = await market.foresee(row, strategy)
    expect(warnings).toEqual([expect.stringContaining('imported impressions')])
    expect(expectations?.clicks.value).toBeGreaterThan(1)
    expect(expectations?.clicks.interval?.low).toBeLessThan(expectations?.clicks.value as number)
    const { auctions, points } = await market.simulate({ campaignId: campaign.id, over: 'BID', factors: [0.1, 1] })
    // Of the log's 346 a day those of the days that lie in the fortnight, and the 500 of today.
    expect(auctions).toBeGreaterThan(3_000)
    // A tenth of the bid, 0.10 for a click, wins nothing at 0.30.
    expect(points.map(({ impressions }) => impressions > 0)).toEqual([false, true])
  })

  test('a simulation is a job whose result is a chart', async () => {
    const worker = await api.startWorker()
    const SIMULATE =
      'mutation ($input: BidSimulationInput!) { bidSimulation(input: $input) { job { id } preview userErrors { code field } } }'
    expect((await run<Payload>(SIMULATE, { campaignId: campaign.id, factors: [0] })).userErrors).toEqual([
      { code: 'INVALID', field: ['factors'] },
    ])
    const dry = await run<Payload>(SIMULATE, { campaignId: campaign.id, over: 'BID', factors: [2, 0.5], dryRun: true })
    expect(dry).toMatchObject({
      job: null,
      preview: {
        campaignId: campaign.id,
        over: 'BID',
        currencyCode: 'EUR',
        auction: 'FIRST_PRICE',
        isImported: false,
        points: [
          { factor: 0.5, bids: { cpcBidMicros: 500_000 } },
          { factor: 2, bids: { cpcBidMicros: 2_000_000 } },
        ],
        warnings: [],
      },
    })
    expect((await run<Payload>(SIMULATE, { campaignId: campaign.id, factors: [1], dryRun: true })).preview).toMatchObject({
      points: [{ factor: 1, dailyBudgetMicros: 1_000_000_000 }],
    })
    const { campaign: own } = await run(documents.create, {
      name: 'Own',
      budget: { amount: eur(5) },
      biddingStrategy: { type: 'MAXIMIZE_CLICKS' },
    })
    expect((await run<Payload>(SIMULATE, { campaignId: own.id, over: 'BID' })).userErrors).toEqual([{ code: 'INVALID', field: ['over'] }])
    const { job } = await run<{ job: { id: string } }>(SIMULATE, { campaignId: campaign.id, over: 'BUDGET', factors: [0.001 * 10, 0.1, 1] })
    const row = await eventually(async () => {
      const found = await api.app.jobs.get(keyOf(job.id))
      return found?.state === 'COMPLETED' || found?.state === 'FAILED' ? found : undefined
    })
    expect(row.error).toBeNull()
    const { points, auctions } = row.result as {
      points: { factor: number; costMicros: number; budgetMicros: number; impressions: number }[]
      auctions: number
    }
    expect(auctions).toBeGreaterThanOrEqual(2_000)
    expect(points.map(({ factor }) => factor)).toEqual([0.01, 0.1, 1])
    for (const { costMicros, budgetMicros } of points) expect(costMicros).toBeLessThanOrEqual(budgetMicros)
    expect(points[2].impressions).toBeGreaterThanOrEqual(points[0].impressions)
    await worker.drain()
  })

  test('jobs of the clock do what is due', async () => {
    for (const name of ['pace-campaigns', 'expire-reservations', 'refresh-win-curves']) {
      const definition = api.app.jobDefinitions.get(name) as unknown as {
        run(app: object, payload: object, context: object): Promise<string>
      }
      const sentence = await definition.run(api.app, {}, { signal: new AbortController().signal })
      expect(sentence).toMatch(
        /^(Ended 0 campaigns, opened \d+ budgets, paced 1 campaigns|Released \d+ reservations|Learned the win curve from \d+ bids)$/,
      )
    }
  })
})
