import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { baselines, createBidder, strategies, strategyOf } from '../../src/algorithms/bidding/index.js'
import { curveOfPrices } from '../../src/algorithms/bidding/shading.js'
import {
  BadOpportunity,
  BadSettings,
  type Bidder,
  bidOf,
  createOpportunity,
  decide,
  type Market,
  type Opportunity,
  type StrategySettings,
  UNKNOWN_MARKET,
} from '../../src/algorithms/bidding/strategy.js'
import { createRandom } from '../../src/algorithms/math/random.js'

const random = () => createRandom(11)
/** Market prices of 1 to 300, the cheap ones more frequent. */
const prices = Float64Array.from({ length: 301 }, (_, price) => (price === 0 ? 0 : Math.round(30_000 / (price + 20))))
const curve = curveOfPrices(Array.from(prices, (count, price) => new Array<number>(Math.ceil(count / 20)).fill(price)).flat())
const market: Market = {
  impressions: 300_000,
  clicks: 1_500,
  conversions: 60,
  costMicros: 20_000_000,
  conversionValueMicros: 80_000_000,
  prices,
  winCurve: curve,
}
const settings: StrategySettings = {
  cpcBidMicros: 14_000,
  cpmBidMicros: 60_000,
  targetCpaMicros: 300_000,
  targetRoas: 4,
  clickValueMicros: 14_000,
  baseBidMicros: 90,
  episodeAuctions: 60,
  episodeBudgetMicros: 900,
}
const bidderOf = (name: string, extra: StrategySettings = {}): Bidder =>
  createBidder(strategyOf(name), { ...settings, ...extra }, market, random())
const seen = (known: Partial<Opportunity> = {}) =>
  createOpportunity({ pCtr: 0.005, pCvr: 0.04, valueMicros: 1_500_000, remainingAuctions: 30, remainingMicros: 800, ...known })

const opportunities = fc.record({
  pCtr: fc.oneof(fc.double({ min: 0, max: 1, noNaN: true }), fc.constantFrom(0, 1, 1e-300, 0.005)),
  pCvr: fc.oneof(fc.double({ min: 0, max: 1, noNaN: true }), fc.constantFrom(0, 1)),
  valueMicros: fc.oneof(fc.double({ min: 0, max: 1e15, noNaN: true }), fc.constantFrom(0, Number.MAX_VALUE, 5e-324)),
  multiplier: fc.oneof(fc.double({ min: 0, max: 20, noNaN: true }), fc.constantFrom(0, 1, Number.MAX_VALUE)),
  targetMultiplier: fc.double({ min: 0, max: 10, noNaN: true }),
  auction: fc.constantFrom('FIRST_PRICE' as const, 'SECOND_PRICE' as const),
  floorMicros: fc.oneof(fc.constantFrom(0, 0.5, 40), fc.double({ min: 0, max: 1e6, noNaN: true })),
  ceilingMicros: fc.oneof(fc.constantFrom(0, 300, Number.POSITIVE_INFINITY), fc.double({ min: 0, max: 1e6, noNaN: true })),
  remainingMicros: fc.oneof(fc.constantFrom(0, 0.5, 900, Number.POSITIVE_INFINITY), fc.double({ min: 0, max: 1e9, noNaN: true })),
  remainingAuctions: fc.integer({ min: 0, max: 1000 }),
  winCurve: fc.constantFrom(null, curve),
})

test('names are those of the platform and of the literature, each once', () => {
  const names = [...strategies, ...baselines].map(({ name }) => name)
  expect(new Set(names).size).toBe(names.length)
  expect(strategies.map(({ name }) => name)).toEqual([
    'MANUAL_CPC',
    'MANUAL_CPM',
    'MAXIMIZE_CLICKS',
    'MAXIMIZE_CONVERSIONS',
    'MAXIMIZE_CONVERSION_VALUE',
    'TARGET_CPA',
    'TARGET_ROAS',
    'ORTB',
  ])
  expect(() => strategyOf('GUESS')).toThrow(/There is no bidding strategy "GUESS"; there are MANUAL_CPC, /)
})

// Every strategy passes this; a new one is contract-tested by being in a list.
describe.each([...strategies, ...baselines].map(({ name }) => name))('%s keeps the contract', name => {
  const bidder = bidderOf(name)

  test('a bid is whole, finite, not negative, and within every limit', () => {
    fc.assert(
      fc.property(opportunities, opportunity => {
        const bid = bidOf(bidder, opportunity)
        expect(Number.isSafeInteger(bid)).toBe(true)
        expect(bid).toBeGreaterThanOrEqual(0)
        expect(bid).toBeLessThanOrEqual(opportunity.ceilingMicros)
        expect(bid).toBeLessThanOrEqual(opportunity.remainingMicros)
        if (bid > 0) expect(bid).toBeGreaterThanOrEqual(opportunity.floorMicros)
      }),
      { numRuns: 300 },
    )
  })

  test('an explanation says what the bid says, its weights sum to the bid, and no bid has a reason', () => {
    fc.assert(
      fc.property(opportunities, opportunity => {
        fc.pre(opportunity.valueMicros < 1e12 && opportunity.multiplier <= 20)
        const answer = decide(bidder, opportunity)
        expect(answer.bidMicros).toBe(bidOf(bidder, opportunity))
        expect(answer.reason === null).toBe(answer.bidMicros > 0)
        const sum = answer.explanation.reduce((total, { weight }) => total + weight, 0)
        const size = answer.explanation.reduce((most, { weight }) => Math.max(most, Math.abs(weight)), 1)
        expect(Math.abs(sum - answer.bidMicros) / size).toBeLessThan(1e-9)
      }),
      { numRuns: 300 },
    )
  })

  test.each(['FIRST_PRICE', 'SECOND_PRICE'] as const)('more worth never bids less (%s)', auction => {
    const bids = (field: 'pCtr' | 'pCvr' | 'valueMicros', values: number[]) =>
      values.map(value => bidOf(bidder, seen({ [field]: value, auction, winCurve: curve, remainingMicros: 900 })))
    for (const sequence of [
      bids('pCtr', [0, 1e-6, 0.0005, 0.002, 0.005, 0.02, 0.4, 1]),
      bids('pCvr', [0, 0.001, 0.04, 0.2, 1]),
      bids('valueMicros', [0, 1, 1e4, 1e6, 1e8, 1e12]),
    ])
      expect(sequence).toEqual([...sequence].sort((a, b) => a - b))
  })

  test('the same opportunity gets the same bid from another bidder with the same seed', () => {
    const other = bidderOf(name)
    for (let at = 0; at < 50; at++) {
      const opportunity = seen({ pCtr: at / 1000, remainingAuctions: at })
      expect(bidOf(other, opportunity)).toBe(bidOf(bidder, opportunity))
    }
  })

  test('a multiplier of 0, an empty budget and a ceiling of 0 bid nothing, and say why', () => {
    expect(decide(bidder, seen({ multiplier: 0 }))).toMatchObject({ bidMicros: 0, reason: 'PACED_OUT' })
    expect(decide(bidder, seen({ remainingMicros: 0 }))).toMatchObject({ bidMicros: 0, reason: 'BUDGET_EXHAUSTED' })
    expect(decide(bidder, seen({ ceilingMicros: 0, floorMicros: 1 }))).toMatchObject({ bidMicros: 0, reason: 'CEILING_BELOW_FLOOR' })
  })

  test('what is no number is refused by name', () => {
    for (const field of [
      'pCtr',
      'pCvr',
      'valueMicros',
      'multiplier',
      'targetMultiplier',
      'floorMicros',
      'ceilingMicros',
      'remainingMicros',
    ])
      for (const value of [Number.NaN, -1]) {
        expect(() => bidOf(bidder, seen({ [field]: value }))).toThrow(BadOpportunity)
        expect(() => decide(bidder, seen({ [field]: value }))).toThrow(new RegExp(`^${field} is ${value}`))
      }
    for (const field of ['pCtr', 'pCvr']) expect(() => bidOf(bidder, seen({ [field]: 1.000001 }))).toThrow(BadOpportunity)
    for (const field of ['valueMicros', 'multiplier'])
      expect(() => bidOf(bidder, seen({ [field]: Number.POSITIVE_INFINITY }))).toThrow(BadOpportunity)
  })

  test('settings that are none are refused by name', () => {
    const strategy = strategyOf(name)
    for (const value of [0, -5, Number.NaN, Number.POSITIVE_INFINITY])
      expect(() => createBidder(strategy, { ...settings, cpcBidCeilingMicros: value }, market, random())).toThrow(BadSettings)
    expect(() => createBidder(strategy, { ...settings, cpcBidFloorMicros: 2, cpcBidCeilingMicros: 1 }, market, random())).toThrow(
      /floor 2 of the bid is above its ceiling 1/,
    )
    for (const needed of strategy.needs)
      expect(() => createBidder(strategy, { ...settings, [needed]: undefined }, market, random())).toThrow(`${name} needs ${needed}`)
  })
})

test.each(['MAXIMIZE_CLICKS', 'MAXIMIZE_CONVERSIONS', 'ORTB', 'mcpc', 'ss-mdp', 'rlb'])('%s says what it lacks without a history', name => {
  const strategy = strategyOf(name)
  const needed = Object.fromEntries(strategy.needs.map(need => [need, settings[need]]))
  expect(() => createBidder(strategy, needed, UNKNOWN_MARKET, random())).toThrow(BadSettings)
})

test('a bid for an impression is worked out from the price of what is wanted', () => {
  const opportunity = seen({ remainingMicros: 1e9 })
  expect(bidOf(bidderOf('MANUAL_CPC'), opportunity)).toBe(70) // 0.005 × 14,000
  expect(bidOf(bidderOf('MANUAL_CPM'), opportunity)).toBe(60)
  expect(bidOf(bidderOf('MAXIMIZE_CLICKS'), { ...opportunity, multiplier: 2 })).toBe(140)
  expect(bidOf(bidderOf('MAXIMIZE_CONVERSIONS'), opportunity)).toBe(66) // 0.0002 × 20,000,000 / 60
  expect(bidOf(bidderOf('MAXIMIZE_CONVERSION_VALUE'), opportunity)).toBe(75) // 0.0002 × 1,500,000 / 4
  expect(bidOf(bidderOf('TARGET_CPA'), { ...opportunity, targetMultiplier: 1.5 })).toBe(90) // 0.0002 × 300,000 × 1.5
  expect(bidOf(bidderOf('TARGET_ROAS'), opportunity)).toBe(75)
})

test('pacing lowers what a person set, and never raises it', () => {
  for (const name of ['MANUAL_CPC', 'MANUAL_CPM', 'TARGET_CPA', 'TARGET_ROAS']) {
    const bidder = bidderOf(name)
    const at = (multiplier: number) => bidOf(bidder, seen({ multiplier, remainingMicros: 1e9 }))
    expect(at(7)).toBe(at(1))
    expect(at(0.5)).toBeLessThan(at(1))
  }
})

test('a floor that is no whole number is met from above, and what is worth less than it gets no bid', () => {
  const bidder = bidderOf('MANUAL_CPC')
  const at = (floorMicros: number, auction: Opportunity['auction'] = 'FIRST_PRICE') =>
    decide(bidder, seen({ floorMicros, auction, winCurve: curve, remainingMicros: 1e9 }))
  expect(at(65.5).bidMicros).toBeGreaterThanOrEqual(66)
  expect(at(69.5).bidMicros).toBe(70)
  expect(at(70.5)).toMatchObject({ bidMicros: 0, reason: 'BELOW_FLOOR', worthMicros: 70 })
  expect(at(65.5, 'SECOND_PRICE').bidMicros).toBe(70)
  expect(decide(bidder, seen({ pCtr: 0, floorMicros: 5 }))).toMatchObject({ bidMicros: 0, reason: 'NO_VALUE' })
})

test('limits of a click hold for the impression', () => {
  const bidder = bidderOf('MAXIMIZE_CLICKS', { cpcBidCeilingMicros: 20_000, cpcBidFloorMicros: 10_000 })
  const at = (multiplier: number) => bidOf(bidder, seen({ multiplier, remainingMicros: 1e9 }))
  expect([at(0.01), at(1), at(20)]).toEqual([50, 70, 100])
})

test('ORTB knows what a click is worth: as set, else from its conversions, else as it has cost so far', () => {
  const worth = (given: Partial<StrategySettings>, facts: Partial<Opportunity>, known: Partial<Market> = {}) => {
    const bidder = createBidder(strategyOf('ORTB'), { c: 80, form: 1, ...given }, { ...UNKNOWN_MARKET, ...known }, random())
    return bidder.explain(seen({ pCtr: 0.01, multiplier: 1, ...facts }))[0].weight
  }
  const history = { clicks: 20, costMicros: 60_000 }
  const valued = { pCvr: 0.05, valueMicros: 1_000_000 }
  const unvalued = { pCvr: 0.05, valueMicros: 0 }
  expect(worth({ clickValueMicros: 7_000 }, valued, history)).toBeCloseTo(70)
  expect(worth({}, valued, history)).toBeCloseTo(500)
  expect(worth({ cpcBidMicros: 4_000 }, unvalued, history)).toBeCloseTo(30)
  expect(worth({ cpcBidMicros: 4_000 }, unvalued)).toBeCloseTo(40)
})

test.each([1, 2])('ORTB%i bids where its win curve gains most for the price of the budget', form => {
  const c = 80
  const bidder = bidderOf('ORTB', { form, c })
  const chance = (bid: number) => (form === 1 ? bid / (c + bid) : bid ** 2 / (c ** 2 + bid ** 2))
  for (const pCtr of [0.0001, 0.005, 0.05]) {
    const worth = pCtr * (settings.clickValueMicros as number)
    const quote = bidder.quote(seen({ pCtr }))
    const gain = (bid: number) => (worth - bid) * chance(bid)
    for (const other of [quote * 0.98, quote * 1.02]) expect(gain(quote)).toBeGreaterThan(gain(other))
  }
})
