import { type Controller, none, type PacingOptions, type PacingState } from './pacing.js'
import { type AuctionType, BadOpportunity, type Bidder, createOpportunity, uncheckedBidOf, type WinCurve } from './strategy.js'
import { conversionsOf, targetMultiplierOf } from './target.js'

/** Auctions in the order of time, one entry each. Prices and values in one unit, the market price being the least bid that wins. */
export interface AuctionLog {
  prices: Float64Array
  clicked: Uint8Array
  pCtr: Float64Array
  /** Null in a log of clicks only: then a click counts as a conversion without a value. */
  pCvr: Float64Array | null
  converted: Uint8Array | null
  values: Float64Array | null
  /** Who would see the ad (−1: unknown), and when, in milliseconds; without it nothing is capped. */
  viewers?: { ids: Int32Array; times: Float64Array }
}

/** A person who was shown so many impressions within the window is not bid on. */
export interface ReplayCap {
  impressions: number
  windowMs: number
}

export interface ReplayOptions {
  auction: AuctionType
  budgetMicros: number
  /** How many auctions there will be; the pacing's clock. */
  auctions: number
  /** Auctions after which the budget starts anew; all unless given. */
  episodeAuctions?: number
  /** Highest bid. */
  ceilingMicros?: number
  winCurve?: WinCurve | null
  controller?: Controller
  pacing?: PacingOptions
  /** What a conversion, and a unit of conversion value, may cost: switches the target correction on (TARGET_CPA: target, 0; TARGET_ROAS: 0, 1/ROAS). */
  target?: { perConversionMicros: number; perValue: number; priorMicros: number }
}

export interface ReplayReport {
  auctions: number
  impressions: number
  clicks: number
  conversions: number
  costMicros: number
  valueMicros: number
  /** Σ pCtr of the impressions won. */
  expectedClicks: number
  /** Mean distance of spend/budget from elapsed/period after each hundredth of an episode. */
  pacingError: number
  /** Spend by share of the budget after each hundredth of the last whole episode. */
  spendShares: number[]
  multiplier: number
  targetMultiplier: number
}

export interface Replay {
  /** One auction; returns true if it was won. */
  auction(price: number, clicked: number, pCtr: number, pCvr?: number, converted?: number, value?: number): boolean
  report(): ReplayReport
}

const SLOTS = 100
const UNLIMITED = Number.POSITIVE_INFINITY
const { abs } = Math

/**
 * Replays auctions one by one in constant memory. The bid wins if it reaches the market price, and pays the price (second-price) or itself
 * (first-price); a bid is never above the budget left, so no replay overspends. Outcomes are known at once: what a live campaign would learn
 * late, it would pace by reservations. Throws RangeError on options that are none, `BadOpportunity` on numbers that are none.
 */
export function createReplay(bidder: Bidder, options: ReplayOptions): Replay {
  const { auction: type, budgetMicros, auctions, ceilingMicros, winCurve = null, controller = none, pacing, target } = options
  if (!(budgetMicros >= 0)) throw new RangeError(`The budget is ${budgetMicros}; it must be a number, zero or more`)
  if (!(auctions >= 0)) throw new RangeError(`The number of auctions is ${auctions}`)
  const episode = options.episodeAuctions ?? Math.max(1, auctions)
  if (!(Number.isInteger(episode) && episode > 0)) throw new RangeError(`An episode of ${episode} auctions is none`)
  const opportunity = createOpportunity({ auction: type, winCurve, ceilingMicros: ceilingMicros ?? Number.POSITIVE_INFINITY })
  const isFirstPrice = type === 'FIRST_PRICE'
  const seen = { elapsed: 0, budgetMicros, spentMicros: 0, reservedMicros: 0 }
  const aim = { earnedMicros: 0, costMicros: 0, priorMicros: target?.priorMicros ?? 0 }
  const expected = { conversions: 0, micros: 0 }
  const totals = { auctions: 0, impressions: 0, clicks: 0, conversions: 0, costMicros: 0, valueMicros: 0, expectedClicks: 0 }
  let state: PacingState = controller.start(pacing)
  let [at, spent, slot, errors, slots] = [0, 0, 0, 0, 0]
  const shares = new Float64Array(SLOTS)
  let lastShares: number[] = []

  return {
    auction: (price, clicked, pCtr, pCvr = 1, converted = clicked, value = 0) => {
      opportunity.pCtr = pCtr
      opportunity.pCvr = pCvr
      opportunity.valueMicros = value
      opportunity.multiplier = state.multiplier
      opportunity.remainingMicros = budgetMicros - spent
      opportunity.remainingAuctions = episode - at
      if (!(pCtr >= 0 && pCtr <= 1)) throw new BadOpportunity('pCtr', pCtr)
      if (!(pCvr >= 0 && pCvr <= 1)) throw new BadOpportunity('pCvr', pCvr)
      if (!(value >= 0 && value < UNLIMITED)) throw new BadOpportunity('valueMicros', value)
      // A price above what is left cannot be won, whatever the bid.
      const bid = price <= opportunity.remainingMicros ? uncheckedBidOf(bidder, opportunity) : 0
      const isWon = bid >= price && bid > 0
      totals.auctions++
      if (isWon) {
        const cost = isFirstPrice ? bid : price
        spent += cost
        totals.impressions++
        totals.clicks += clicked
        totals.costMicros += cost
        totals.expectedClicks += pCtr
        if (clicked && converted) {
          totals.conversions++
          totals.valueMicros += value
        }
        if (target) {
          if (clicked) {
            expected.conversions += pCvr
            expected.micros += pCvr * (target.perConversionMicros + value * target.perValue)
          }
          const correction = expected.conversions > 0 ? conversionsOf(totals.conversions, expected.conversions) / expected.conversions : 1
          aim.costMicros = totals.costMicros
          aim.earnedMicros = expected.micros * correction
          opportunity.targetMultiplier = targetMultiplierOf(aim)
        }
      }
      at++
      if (controller !== none) {
        seen.elapsed = at / episode
        seen.spentMicros = spent
        state = controller.step(state, seen, pacing)
      }
      for (; slot < SLOTS && at * SLOTS >= (slot + 1) * episode; slot++) {
        shares[slot] = budgetMicros > 0 ? spent / budgetMicros : 1
        errors += abs(shares[slot] - (slot + 1) / SLOTS)
        slots++
      }
      if (at === episode) {
        lastShares = Array.from(shares)
        ;[at, spent, slot] = [0, 0, 0]
        // The next period starts with the multiplier at which this one ended.
        if (controller !== none) state = controller.start({ ...pacing, start: state.multiplier })
      }
      return isWon
    },
    report: () => ({
      ...totals,
      pacingError: slots > 0 ? errors / slots : 0,
      spendShares: lastShares,
      multiplier: state.multiplier,
      targetMultiplier: opportunity.targetMultiplier,
    }),
  }
}

/** A whole log, or its auctions from `from` up to `to`. */
export function replay(
  log: AuctionLog,
  bidder: Bidder,
  { cap, ...options }: Omit<ReplayOptions, 'auctions'> & { cap?: ReplayCap },
  from = 0,
  to = log.prices.length,
): ReplayReport {
  const { prices, clicked, pCtr, pCvr, converted, values, viewers } = log
  const run = createReplay(bidder, { ...options, auctions: to - from })
  const shown = cap && viewers ? exposures(viewers, cap) : undefined
  for (let at = from; at < to; at++) {
    // No bid reaches a price without end; the auction passes by.
    const price = shown?.isCapped(at) ? UNLIMITED : prices[at]
    const isWon = run.auction(price, clicked[at], pCtr[at], pCvr?.[at], converted?.[at], values?.[at])
    if (isWon) shown?.add(at)
  }
  return run.report()
}

function exposures({ ids, times }: NonNullable<AuctionLog['viewers']>, { impressions, windowMs }: ReplayCap) {
  const timesOf = new Map<number, number[]>()
  return {
    isCapped: (at: number): boolean => {
      const seen = timesOf.get(ids[at])
      return seen !== undefined && seen.length >= impressions && seen[seen.length - impressions] > times[at] - windowMs
    },
    add: (at: number) => {
      if (ids[at] < 0) return
      const seen = timesOf.get(ids[at])
      if (seen) seen.push(times[at])
      else timesOf.set(ids[at], [times[at]])
    },
  }
}
