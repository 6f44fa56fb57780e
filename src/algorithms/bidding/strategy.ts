import type { Random } from '../math/random.js'
import type { PacingOptions } from './pacing.js'

export type AuctionType = 'FIRST_PRICE' | 'SECOND_PRICE'

/**
 * What a strategy sees of one impression for sale. Amounts are micros of the account's currency **for one impression** (a CPM of 2.00 is
 * 2,000 micros an impression); a replay may use any other whole unit. One object may be used for many impressions: nothing keeps it.
 */
export interface Opportunity {
  /** Calibrated P(click | impression), in [0, 1]. */
  pCtr: number
  /** Calibrated P(conversion | click), in [0, 1]. */
  pCvr: number
  /** Worth of one conversion, micros. */
  valueMicros: number
  /** λ of the pacing controller, ≥ 0. 1 bids as set, 0 does not bid. */
  multiplier: number
  /** Correction that makes the realised CPA or ROAS meet its target (see `target.ts`), ≥ 0; 1 without one. Only TARGET_CPA and TARGET_ROAS look at it. */
  targetMultiplier: number
  auction: AuctionType
  /** Least bid the auction accepts (OpenRTB bidfloor). */
  floorMicros: number
  /** Most this impression may cost; Infinity without a limit. */
  ceilingMicros: number
  /** Budget left in the period, after reservations: no bid is above it. Infinity without a budget. */
  remainingMicros: number
  /** Auctions left in the period or episode; only the MDP strategies look at it. */
  remainingAuctions: number
  /** Chance of winning by bid; first-price bids are shaded by it. */
  winCurve: WinCurve | null
}

/** P(win | bid) as learned by `shading.ts`. */
export interface WinCurve {
  /** The dearest price that was seen. */
  readonly highestMicros: number
  /** P(market price ≤ bid), non-decreasing in `bidMicros`, in [0, 1]. */
  chance(bidMicros: number): number
  /** The bid b in [floor, worth] that maximises (worth − b) · P(win | b): what an impression of this worth should bid in a first-price auction. */
  shade(worthMicros: number, floorMicros: number): number
}

/** What a marketer sets; every amount in micros, all positive. Which are needed, `Strategy.needs` says. */
export interface StrategySettings {
  cpcBidMicros?: number
  /** For a thousand impressions. */
  cpmBidMicros?: number
  targetCpaMicros?: number
  /** Conversion value over cost, e.g. 4 for 400 %. */
  targetRoas?: number
  /** Limits of the bid for a click: the bid for an impression is kept between pCtr × floor and pCtr × ceiling. */
  cpcBidCeilingMicros?: number
  cpcBidFloorMicros?: number
  /** Worth of a click to ORTB; without it pCvr × value is taken, without a value the history's cost of a click, and without a history cpcBidMicros. */
  clickValueMicros?: number
  /** Which of ORTB's two forms of the win curve: 1 is b/(c+b), 2 is b²/(c²+b²). */
  form?: number
  /** ORTB's c, micros; fitted to the market's prices unless given. */
  c?: number
  /** The bid of const, the highest bid of rand, the bid of lin at mean pCtr. */
  baseBidMicros?: number
  /** Auctions and budget of one episode of the MDP strategies, and their highest bid. */
  episodeAuctions?: number
  episodeBudgetMicros?: number
  maxBidMicros?: number
}

/** What history says; sums over the impressions that were bought (or, of a full log, offered). Zero or null where unknown. */
export interface Market {
  impressions: number
  clicks: number
  conversions: number
  costMicros: number
  conversionValueMicros: number
  /** Count of auctions by market price in whole units, from 0; only the MDP strategies need it. */
  prices: Float64Array | null
  /** ORTB fits its c to it. */
  winCurve: WinCurve | null
}

/** A strategy with its settings, ready to bid. Deterministic; only rand has a state, its stream of random numbers. */
export interface Bidder {
  /** True if `quote` is what the impression is worth, to be shaded in a first-price auction; false if it is a bid already. */
  readonly shades: boolean
  readonly cpcCeilingMicros: number
  readonly cpcFloorMicros: number
  /** The amount for this impression, micros, not yet whole, limited or shaded; the pacing multiplier is in it. */
  quote(opportunity: Opportunity): number
  /** How the quote came about; the weights (micros) sum to it. */
  explain(opportunity: Opportunity): Contribution[]
}

export interface Strategy {
  /** As in the GraphQL enum, or as in the literature for those that only a replay uses. */
  readonly name: string
  /** One sentence for a marketer. */
  readonly about: string
  readonly needs: readonly (keyof StrategySettings)[]
  /** Of a strategy with a price or target of a person's: pacing lowers its bids and never raises them, so that a multiplier above 1 is none. */
  readonly isOnlyLowered?: true
  /** Throws `BadSettings` where settings or market lack what the strategy needs. Call it by `createBidder`, which checks the settings first. */
  prepare(settings: StrategySettings, market: Market, random: Random): Bidder
}

/** A part of an explanation; `weight` in micros. */
export interface Contribution {
  feature: string
  value: string
  weight: number
}

export type NoBidReason = 'NO_VALUE' | 'PACED_OUT' | 'BUDGET_EXHAUSTED' | 'BELOW_FLOOR' | 'CEILING_BELOW_FLOOR'

export interface BidAnswer {
  /** Whole micros for one impression; 0 is no bid. */
  bidMicros: number
  /** Before shading and limits: what campaigns are ranked by. */
  worthMicros: number
  reason: NoBidReason | null
  /** Weights sum to `bidMicros`. */
  explanation: Contribution[]
}

/** A setting that is missing or wrong; the message is for a marketer. */
export class BadSettings extends Error {
  constructor(
    readonly setting: keyof StrategySettings | 'market',
    message: string,
  ) {
    super(message)
  }
}

/** A number of the opportunity that no bid may be computed from: NaN, negative, a probability above 1. */
export class BadOpportunity extends Error {
  constructor(
    readonly field: keyof Opportunity,
    value: unknown,
  ) {
    super(`${field} is ${value}; ${RULES[field] ?? 'it must be a number, zero or more'}`)
  }
}

// Bound once: these stand in the innermost loop of every replay.
const { ceil, floor, max, min } = Math
const UNLIMITED = Number.POSITIVE_INFINITY
const MOST = Number.MAX_SAFE_INTEGER

const RULES: Partial<Record<keyof Opportunity, string>> = {
  pCtr: 'it must be a probability in [0, 1]',
  pCvr: 'it must be a probability in [0, 1]',
}

export const UNKNOWN_MARKET: Market = {
  impressions: 0,
  clicks: 0,
  conversions: 0,
  costMicros: 0,
  conversionValueMicros: 0,
  prices: null,
  winCurve: null,
}

/** How far pacing may go with a strategy. */
export function pacingOf({ isOnlyLowered }: Strategy): Pick<PacingOptions, 'most'> {
  return isOnlyLowered ? { most: 1 } : {}
}

/** An opportunity without limits, as a start. */
export function createOpportunity(known: Partial<Opportunity> = {}): Opportunity {
  return {
    pCtr: 0,
    pCvr: 0,
    valueMicros: 0,
    multiplier: 1,
    targetMultiplier: 1,
    auction: 'SECOND_PRICE',
    floorMicros: 0,
    ceilingMicros: Number.POSITIVE_INFINITY,
    remainingMicros: Number.POSITIVE_INFINITY,
    remainingAuctions: 1,
    winCurve: null,
    ...known,
  }
}

/** The bid in whole micros, 0 for none; allocates nothing. Throws `BadOpportunity`. */
export function bidOf(bidder: Bidder, opportunity: Opportunity): number {
  check(opportunity)
  return uncheckedBidOf(bidder, opportunity)
}

/** The bid as `bidOf` gives it, and into `out` what the impression is worth before shading and limits: what campaigns are ranked by. Throws `BadOpportunity`. */
export function bidAndWorth(bidder: Bidder, opportunity: Opportunity, out: { worthMicros: number }): number {
  check(opportunity)
  out.worthMicros = worthOf(bidder, opportunity)
  return bidFor(bidder, opportunity, out.worthMicros)
}

/** The same for an opportunity that is known to be right: a replay checks its log once. */
export function uncheckedBidOf(bidder: Bidder, opportunity: Opportunity): number {
  return bidFor(bidder, opportunity, worthOf(bidder, opportunity))
}

function worthOf(bidder: Bidder, opportunity: Opportunity): number {
  return opportunity.multiplier === 0 ? 0 : quoteOf(bidder, opportunity)
}

function bidFor(bidder: Bidder, opportunity: Opportunity, worth: number): number {
  const { multiplier, floorMicros } = opportunity
  if (multiplier === 0) return 0
  const most = mostOf(opportunity)
  if (worth < floorMicros || most < floorMicros) return 0
  const highest = min(floor(worth), most)
  const shaded = shadedOf(bidder, opportunity, worth)
  // A shaded bid is rounded up, lest it miss the price it aims at.
  const bid = min(shaded < worth ? ceil(shaded) : highest, highest)
  if (bid >= floorMicros) return bid
  const raised = ceil(floorMicros)
  return raised <= highest ? raised : 0
}

/** The bid with its reasons. Throws `BadOpportunity`. */
export function decide(bidder: Bidder, opportunity: Opportunity): BidAnswer {
  const ranked = { worthMicros: 0 }
  const bidMicros = bidAndWorth(bidder, opportunity, ranked)
  const worth = ranked.worthMicros
  const quote = opportunity.multiplier === 0 ? 0 : bidder.quote(opportunity)
  const shaded = shadedOf(bidder, opportunity, worth)
  const parts = opportunity.multiplier === 0 ? [] : bidder.explain(opportunity)
  const add = (feature: string, value: string, weight: number) => weight !== 0 && parts.push({ feature, value, weight })
  add('cpc limits', limitsText(bidder), worth - quote)
  const reason = bidMicros > 0 ? null : reasonOf(opportunity, worth)
  if (reason) add('no bid', reason, -worth)
  else {
    add('shading', `P(win) ${opportunity.winCurve?.chance(shaded).toFixed(4)}`, shaded - worth)
    const limited = Math.min(shaded, mostOf(opportunity))
    add('limit', opportunity.remainingMicros <= opportunity.ceilingMicros ? 'budget left' : 'ceiling', limited - shaded)
    add('whole micros', String(bidMicros), bidMicros - limited)
  }
  return { bidMicros, worthMicros: worth, reason, explanation: parts }
}

/** The usual explanation: what the impression is worth, then what pacing makes of it. */
export function explained(
  opportunity: Opportunity,
  worthMicros: number,
  how: string,
  pacing = opportunity.multiplier,
  feature = 'expected value',
): Contribution[] {
  const parts = [{ feature, value: how, weight: worthMicros }]
  if (pacing !== 1) parts.push({ feature: 'pacing multiplier', value: pacing.toPrecision(4), weight: worthMicros * pacing - worthMicros })
  return parts
}

/** Limits every bidder carries. */
export function limitsOf({ cpcBidCeilingMicros, cpcBidFloorMicros }: StrategySettings) {
  return { cpcCeilingMicros: cpcBidCeilingMicros ?? Number.POSITIVE_INFINITY, cpcFloorMicros: cpcBidFloorMicros ?? 0 }
}

function quoteOf(bidder: Bidder, opportunity: Opportunity): number {
  const { pCtr } = opportunity
  const quote = bidder.quote(opportunity)
  // An infinite ceiling times a pCtr of 0 is NaN.
  const ceiling = bidder.cpcCeilingMicros === UNLIMITED ? quote : min(quote, bidder.cpcCeilingMicros * pCtr)
  return min(max(ceiling, bidder.cpcFloorMicros * pCtr), MOST)
}

function shadedOf(bidder: Bidder, { auction, winCurve, floorMicros }: Opportunity, worth: number): number {
  return bidder.shades && auction === 'FIRST_PRICE' && winCurve ? min(worth, winCurve.shade(worth, floorMicros)) : worth
}

function mostOf({ ceilingMicros, remainingMicros }: Opportunity): number {
  return floor(min(ceilingMicros, remainingMicros))
}

function reasonOf(opportunity: Opportunity, worth: number): NoBidReason {
  const { multiplier, floorMicros, ceilingMicros, remainingMicros } = opportunity
  if (multiplier === 0) return 'PACED_OUT'
  if (remainingMicros < 1 || remainingMicros < floorMicros) return 'BUDGET_EXHAUSTED'
  if (ceilingMicros < floorMicros) return 'CEILING_BELOW_FLOOR'
  return worth > 0 && Math.floor(worth) < floorMicros ? 'BELOW_FLOOR' : 'NO_VALUE'
}

function limitsText({ cpcCeilingMicros, cpcFloorMicros }: Bidder): string {
  return `between ${cpcFloorMicros} and ${cpcCeilingMicros} a click`
}

/** Throws `BadOpportunity` where a number is none. */
export function check(opportunity: Opportunity) {
  const { pCtr, pCvr, valueMicros, multiplier, targetMultiplier, floorMicros, ceilingMicros, remainingMicros } = opportunity
  if (!(pCtr >= 0 && pCtr <= 1)) throw new BadOpportunity('pCtr', pCtr)
  if (!(pCvr >= 0 && pCvr <= 1)) throw new BadOpportunity('pCvr', pCvr)
  if (!(valueMicros >= 0 && valueMicros < Number.POSITIVE_INFINITY)) throw new BadOpportunity('valueMicros', valueMicros)
  if (!(multiplier >= 0 && multiplier < Number.POSITIVE_INFINITY)) throw new BadOpportunity('multiplier', multiplier)
  if (!(targetMultiplier >= 0 && targetMultiplier < Number.POSITIVE_INFINITY))
    throw new BadOpportunity('targetMultiplier', targetMultiplier)
  if (!(floorMicros >= 0)) throw new BadOpportunity('floorMicros', floorMicros)
  if (!(ceilingMicros >= 0)) throw new BadOpportunity('ceilingMicros', ceilingMicros)
  if (!(remainingMicros >= 0)) throw new BadOpportunity('remainingMicros', remainingMicros)
}
