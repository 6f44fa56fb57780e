import { createRandom } from '../math/random.js'
import { type AuctionLog, type ReplayCap, type ReplayOptions, replay } from './auction.js'
import { createBidder, strategyOf } from './index.js'
import { type Controller, controllers } from './pacing.js'
import { curveOfPrices, type WinCurveModel, winCurve } from './shading.js'
import { type AuctionType, type Market, pacingOf, type StrategySettings } from './strategy.js'

/** What to simulate; everything in it can be sent to a worker thread. */
export interface SimulationRequest {
  log: AuctionLog
  strategy: string
  settings: StrategySettings
  market: Omit<Market, 'winCurve'>
  /** Artifact of the win curve (`WinCurveModel.save`), null without one. */
  winCurve: Uint8Array | null
  auction: AuctionType
  budgetMicros: number
  ceilingMicros?: number
  controller: string
  cap?: ReplayCap
  /** BID: factors on every bid that is set (on a ROAS their inverse); BUDGET: factors on the budget. */
  over: 'BID' | 'BUDGET'
  factors: readonly number[]
  seed: number
}

export interface SimulationPoint {
  factor: number
  budgetMicros: number
  impressions: number
  clicks: number
  /** Σ pCtr of what is won: smoother than clicks. */
  expectedClicks: number
  conversions: number
  costMicros: number
  valueMicros: number
  pacingError: number
}

/** A curve for a chart: one replay a factor, by factor ascending. Throws RangeError, `BadSettings` or `BadOpportunity` on what cannot be replayed. */
export function simulate(request: SimulationRequest): SimulationPoint[] {
  const { log, settings, market, auction, ceilingMicros, cap, over, seed } = request
  const wrong = request.factors.find(factor => !(factor > 0 && factor < Number.POSITIVE_INFINITY))
  if (wrong !== undefined) throw new RangeError(`A factor of ${wrong} is none; factors are above zero`)
  const curve = request.winCurve && winCurve.load(request.winCurve)
  const known: Market = { ...market, winCurve: curve }
  return [...request.factors]
    .sort((a, b) => a - b)
    .map(factor => {
      const chosen = over === 'BID' ? scaled(settings, factor) : settings
      const strategy = strategyOf(request.strategy)
      const bidder = createBidder(strategy, chosen, known, createRandom(seed))
      const budgetMicros = over === 'BUDGET' ? request.budgetMicros * factor : request.budgetMicros
      const report = replay(log, bidder, {
        auction,
        budgetMicros,
        ceilingMicros,
        winCurve: curve,
        controller: controllerOf(request.controller),
        pacing: pacingOf(strategy),
        target: targetOf(request.strategy, chosen, market),
        cap,
      })
      const { impressions, clicks, expectedClicks, conversions, costMicros, valueMicros, pacingError } = report
      return { factor, budgetMicros, impressions, clicks, expectedClicks, conversions, costMicros, valueMicros, pacingError }
    })
}

export interface LoggedMarket extends Market {
  winCurve: WinCurveModel | null
}

/** What a log tells of its market; `prices` only where they are whole and small. */
export function marketOf({ prices, clicked, converted, values }: AuctionLog, from = 0, to = prices.length): LoggedMarket {
  const market: LoggedMarket = {
    impressions: to - from,
    clicks: 0,
    conversions: 0,
    costMicros: 0,
    conversionValueMicros: 0,
    prices: null,
    winCurve: null,
  }
  let [isWhole, highest] = [true, 0]
  for (let at = from; at < to; at++) {
    market.costMicros += prices[at]
    market.clicks += clicked[at]
    const isConversion = clicked[at] && (converted?.[at] ?? 0)
    if (isConversion) market.conversions++
    if (isConversion && values) market.conversionValueMicros += values[at]
    highest = Math.max(highest, prices[at])
    isWhole &&= Number.isInteger(prices[at])
  }
  if (to > from && isWhole && highest <= HIGHEST_COUNTED) {
    market.prices = new Float64Array(highest + 1)
    for (let at = from; at < to; at++) market.prices[prices[at]]++
  }
  if (to > from) market.winCurve = curveOfPrices(prices.subarray(from, to))
  return market
}

/**
 * The base bid of const, rand or lin that wins most Σ pCtr for the budget on a part of the log. lin's mean is that of the predictions.
 */
export function tunedBase(
  name: string,
  log: AuctionLog,
  market: Market,
  options: Omit<ReplayOptions, 'auctions'>,
  bases: readonly number[],
  from: number,
  to: number,
): number {
  let [best, most] = [bases[0], Number.NEGATIVE_INFINITY]
  for (const base of bases) {
    const bidder = createBidder(strategyOf(name), { baseBidMicros: base }, market, createRandom(base))
    const { expectedClicks } = replay(log, bidder, options, from, to)
    if (expectedClicks > most) [best, most] = [base, expectedClicks]
  }
  return best
}

/** By name; throws RangeError with the names there are. */
export function controllerOf(name: string): Controller {
  const found = controllers.find(each => each.name === name)
  if (!found) throw new RangeError(`There is no controller "${name}"; there are ${controllers.map(each => each.name).join(', ')}`)
  return found
}

/** The target that TARGET_CPA and TARGET_ROAS are held to; five conversions' worth of belief that bids need no correction. */
export function targetOf(
  strategy: string,
  { targetCpaMicros, targetRoas }: StrategySettings,
  market: Omit<Market, 'winCurve'>,
): ReplayOptions['target'] {
  if (strategy === 'TARGET_CPA' && targetCpaMicros)
    return { perConversionMicros: targetCpaMicros, perValue: 0, priorMicros: 5 * targetCpaMicros }
  if (strategy !== 'TARGET_ROAS' || !targetRoas) return undefined
  const value = market.conversions > 0 ? market.conversionValueMicros / market.conversions : 0
  return { perConversionMicros: 0, perValue: 1 / targetRoas, priorMicros: (5 * value) / targetRoas }
}

const HIGHEST_COUNTED = 10_000
const BIDS = [
  'cpcBidMicros',
  'cpmBidMicros',
  'targetCpaMicros',
  'clickValueMicros',
  'baseBidMicros',
  'cpcBidCeilingMicros',
  'cpcBidFloorMicros',
] as const

function scaled(settings: StrategySettings, factor: number): StrategySettings {
  const scaled = { ...settings }
  for (const name of BIDS) if (scaled[name] !== undefined) scaled[name] *= factor
  if (scaled.targetRoas !== undefined) scaled.targetRoas /= factor
  return scaled
}
