import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { algorithms } from '../../../src/algorithms/ctr/index.js'
import { createRandom } from '../../../src/algorithms/math/random.js'
import { examplesOf, FIELDS, laidOutFor, WIDTH } from '../../../src/bidding/features.js'
import { Predictor } from '../../../src/bidding/predictor.js'
import { ProductSentiments } from '../../../src/bidding/product-sentiment.js'
import { encodeId } from '../../../src/graphql/node-id.js'
import { contributionsIn } from '../../../src/registry/decisions.js'
import { type BidAnswer, documents, eur, type Payload } from '../../support/ads.js'
import { startTestApp, type TestApp } from '../../support/app.js'

const DAY = 86_400_000

describe('the sentiment of a product at a moment', () => {
  const today = 20_000
  const rows = (...days: [day: number, reviews: number, score: number][]) =>
    days.map(([day, reviews, score]) => ({ productId: 7, day: today + day, reviews, score }))
  const noon = (day = 0) => (today + day + 0.5) * DAY

  test('is the mean of the 90 days before, in bands, held back while reviews are few', () => {
    expect(new ProductSentiments(rows([-3, 5, 5])).at(7, noon())).toBe('+0.5')
    expect(new ProductSentiments(rows([-3, 20, 20], [-2, 20, 20])).at(7, noon())).toBe('+1')
    expect(new ProductSentiments(rows([-3, 20, -20], [-2, 20, 20])).at(7, noon())).toBe('0')
    expect(new ProductSentiments(rows([-3, 5, -0.1])).at(7, noon())).toBe('0')
    expect(new ProductSentiments(rows([-3, 100, -80])).at(7, noon())).toBe('-0.75')
  })

  test('is unknown without a product, without reviews, and below five of them', () => {
    const known = new ProductSentiments(rows([-3, 4, 4]))
    expect([known.at(7, noon()), known.at(8, noon()), known.at(null, noon()), new ProductSentiments().at(7, noon())]).toEqual([
      null,
      null,
      null,
      null,
    ])
  })

  test('knows nothing of its own day and later, and forgets after 90 days', () => {
    const known = new ProductSentiments(rows([0, 10, 10]))
    expect(known.at(7, noon(-1))).toBeNull()
    expect(known.at(7, noon(0))).toBeNull()
    expect(known.at(7, noon(1))).toBe('+0.75')
    expect(known.at(7, noon(90))).toBe('+0.75')
    expect(known.at(7, noon(91))).toBeNull()
  })
})

describe('a model of an earlier version, which was taught fewer features', () => {
  const older = { numbers: [], words: FIELDS.words.filter(name => name !== 'sentiment') }
  const logistic = algorithms.find(({ name }) => name === 'logistic')
  const random = createRandom(1)
  const words = Uint32Array.from({ length: 200 * WIDTH }, () => random.below(5) + 1)
  const ours = examplesOf(words, 200)
  const taught = { ...laidOutFor(older, ours), labels: Uint8Array.from({ length: 200 }, (_, row) => (words[row * WIDTH] < 3 ? 1 : 0)) }
  const model = logistic?.fit(taught, logistic.defaults, createRandom(1))
  const ad = (word: number) => ({
    facts: { ad: 'a', adGroup: 'g', campaign: 'c', product: 'p', categories: [], brand: null, priceMicros: null, sentiment: '+1' },
    words: new Uint32Array(FIELDS.words.indexOf('sentiment') + 1).fill(word),
    impressions: 0,
    clicks: 0,
    conversions: 0,
  })

  test('goes on answering and explaining without them', () => {
    if (!model) throw new Error('There is no logistic regression')
    const predictor = new Predictor({ live: () => ({ model, modelId: 'm', servedBy: 'old v1' }) as never, baseline: () => undefined })
    const { pCtr, fault } = predictor.predict([ad(1), ad(4)], {})
    expect(fault).toBeNull()
    expect(pCtr[0]).toBeGreaterThan(pCtr[1])
    const parts = contributionsIn(predictor.explain(ad(1), {}, pCtr[0], pCtr[0])).filter(({ feature }) => feature.startsWith('pCTR'))
    expect(parts.reduce((sum, { weight }) => sum + weight, 0)).toBeCloseTo(Math.log(pCtr[0] / (1 - pCtr[0])), 6)
    expect(parts.map(({ feature }) => feature)).not.toContain('pCTR: sentiment')
  })

  test('sees each word in its own place', () => {
    const { words: laid, fields } = laidOutFor({ numbers: ['n'], words: ['price', 'ad', 'unheard'] }, ours)
    expect(fields.words).toHaveLength(3)
    expect([...laid.subarray(0, 2)]).toEqual([words[FIELDS.words.indexOf('price')], words[FIELDS.words.indexOf('ad')]])
    expect(laidOutFor({ numbers: [], words: [...FIELDS.words] }, ours)).toBe(ours)
  })
})

describe('what reviews say of a product', () => {
  let api: TestApp
  const campaigns: Payload['campaign'][] = []
  const now = Date.now()
  const random = createRandom(11)
  const PRODUCTS = 8
  /** Products 1 to 8 have a history, the odd ones good reviews; 9, 10 and 11 are new: praised, complained of, and not reviewed. */
  const scoreOf = (product: number) => (product === 11 ? null : product % 2 === 1 ? 0.9 : -0.9)

  const run = async <T = Payload>(source: string, input: Record<string, unknown>): Promise<T> => {
    const { data, errors } = await api.as('marketer').run(source, { input })
    if (errors) throw new Error(JSON.stringify(errors))
    return Object.values(data as object)[0] as T
  }
  const keyOf = (id: string) => Buffer.from(id, 'base64url').toString().split(':')[1]

  beforeAll(async () => {
    api = await startTestApp()
    const { database } = api.app
    await database.sql(
      `INSERT INTO "Product" (id, "externalId", title, categories, "priceMicros", "currencyCode", stock) SELECT n, 'p-' || n, 'P', '{a}', 20000000, 'EUR', 9 FROM generate_series(1, 11) n`,
    )
    // The new ones were reviewed last week, the others in the middle of their history: before, nothing was known of them.
    for (let product = 1; product <= 10; product++)
      await database.sql(
        `INSERT INTO "Review" (id, "productId", text, locale, sentiment, score, "createdAt") SELECT $1 || '-' || n, $1::int, 'x', 'en', 'POSITIVE', $2, $3 FROM generate_series(1, 10) n`,
        [product, scoreOf(product), new Date(now - (product <= PRODUCTS ? 30 : 7) * DAY)],
      )
    // Spam says nothing.
    await database.sql(
      `INSERT INTO "Review" (id, "productId", text, locale, sentiment, score, "ignoredBecause", "createdAt") SELECT 's-' || n, 11, 'x', 'en', 'POSITIVE', 1, 'SPAM', $1 FROM generate_series(1, 10) n`,
      [new Date(now - 7 * DAY)],
    )
    const ads: number[] = []
    for (const products of [Array.from({ length: PRODUCTS }, (_, at) => at + 1), [9], [10], [11]]) {
      const { campaign } = await run(documents.create, {
        name: `Products ${products}`,
        budget: { amount: eur(1_000) },
        biddingStrategy: { type: 'MANUAL_CPC', cpcBid: eur(1) },
      })
      campaigns.push(campaign)
      const { adGroup } = await run(documents.adGroup, { campaignId: campaign.id, name: 'All' })
      for (const product of products) {
        const { ad } = await run(documents.ad, { adGroupId: adGroup.id, headline: `${product}`, productExternalId: `p-${product}` })
        ads.push(Number(keyOf(ad.id)))
      }
      await run(documents.enable, { campaignId: campaign.id })
    }
    const columns: unknown[][] = [[], [], [], []]
    for (let index = 0; index < 16_000; index++) {
      const product = 1 + (index % PRODUCTS)
      const at = now - 60 * DAY + (index / 16_000) * 59 * DAY
      const isReviewed = at > now - 29 * DAY
      const chance = isReviewed ? ((scoreOf(product) ?? 0) > 0 ? 0.16 : 0.02) : 0.06
      ;[`m-${index}`, ads[product - 1], new Date(at), random.next() < chance].forEach((cell, column) => {
        columns[column].push(cell)
      })
    }
    await database.sql(
      `INSERT INTO "AdLogEntry" ("messageId", "adId", "occurredAt", clicked) SELECT * FROM unnest($1::text[], $2::int[], $3::timestamptz[], $4::bool[])`,
      columns,
    )
  })
  afterAll(() => api.close())

  const bid = async (campaign: Payload['campaign']) => {
    await api.app.snapshots.look()
    const { decision } = await run<{ decision: BidAnswer }>(documents.bid, { campaignIds: [campaign.id] })
    expect(decision.__typename).toBe('Bid')
    return { ...decision, sentiment: decision.explanation.find(({ feature }) => feature === 'pCTR: sentiment') }
  }

  test('is learned as it was when each ad was shown, and weighs in the bids for products that nobody has seen yet', async () => {
    const { models } = await api.app.trainer.train({ task: 'CTR', algorithm: 'logistic' })
    await api.app.modelsService.approve({ id: 'a', name: 'a' }, { modelId: encodeId('Model', models[0].id) })
    await api.app.liveModels.look()
    const [, praised, blamed, unknown] = campaigns
    const [good, bad, none] = [await bid(praised), await bid(blamed), await bid(unknown)]
    expect(good.sentiment).toMatchObject({ value: '+0.5' })
    expect(bad.sentiment).toMatchObject({ value: '-0.5' })
    // All that is known of the two apart is what reviews say of them.
    expect(good.sentiment?.weight).toBeGreaterThan((bad.sentiment?.weight ?? 0) + 1)
    // 0.16 since the reviews came; the days before them would make it 0.11, were they held for reviewed.
    expect(good.pCtr).toBeGreaterThan(0.14)
    expect(bad.pCtr).toBeLessThan(0.08)
    expect(none.pCtr).toBeLessThan(good.pCtr)
    expect(none.pCtr).toBeGreaterThan(bad.pCtr)
    expect(none.sentiment?.value ?? 'unknown').toBe('unknown')
    const kept = await api.app.database.sql<{ sentiment: string | null }>(
      `SELECT context->>'sentiment' AS sentiment FROM "BidReservation" WHERE id = ANY($1) ORDER BY id`,
      [[good, bad, none].map(({ decisionId }) => keyOf(decisionId))],
    )
    expect(kept.map(({ sentiment }) => sentiment)).toEqual(['+0.5', '-0.5', null])
  })

  test('of a bid of ours what was kept with it is learned, whatever reviews came since', async () => {
    const { decisionId } = await bid(campaigns[1])
    const outcome = await run<{ outcome: { result: string } }>(documents.outcome, { decisionId, type: 'WIN', billable: true })
    expect(outcome.outcome.result).toBe('COMMITTED')
    const [entry] = await api.app.database.sql<{ context: object }>(`SELECT context FROM "AdLogEntry" WHERE "decisionId" = $1`, [
      keyOf(decisionId),
    ])
    expect(entry.context).toMatchObject({ sentiment: '+0.5' })
  })
})
