import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type AuctionLog, type ReplayOptions, type ReplayReport, replay } from '../../algorithms/bidding/auction.js'
import { createBidder, strategyOf } from '../../algorithms/bidding/index.js'
import { type Controller, dual, none, type PacingOptions, pid } from '../../algorithms/bidding/pacing.js'
import { fitOrtb } from '../../algorithms/bidding/shading.js'
import { marketOf } from '../../algorithms/bidding/simulate.js'
import type { AuctionType, Bidder, Market, StrategySettings } from '../../algorithms/bidding/strategy.js'
import { createRandom } from '../../algorithms/math/random.js'
import { BadLog, readAuctionLog } from '../auction-log.js'
import { type Method, type MethodResult, measured, type Protocol, ProtocolError } from './protocol.js'

const DEFAULT = '../shared/data/ipinyou-2997'
const SEED = 20251124
/** Rules of the published small-scale setting (Cai et al. 2017). */
const EPISODE = { auctions: 1000, share: 1 / 32, highestBid: 300, linearBase: 10 }
const FRACTIONS = [2, 4, 8, 16, 32, 64]
const PACED_FRACTIONS = [4, 8, 16]
/** Base bid at mean pCtr with which pacing starts, far above what the budget bears. */
const PACED_BASE = 100

/** What the training days of a campaign tell: the file info.*.json beside its log. */
interface TrainStatistics {
  imp_train: number
  clk_train: number
  cost_train: number
  price_counter_train: number[]
}

/** One half of the log is learned from, the other replayed. */
interface Halves {
  log: AuctionLog
  half: number
  market: Market
  auction: AuctionType
  /** Budget as a share of the logged cost. */
  fraction: number
}

/** Bids replayed over a log of `click price pctr`: published rows, budgets 1/2 to 1/64 in both auctions, and pacing. */
export const bidding: Protocol = {
  name: 'bidding',
  about: 'auction replay on iPinYou campaign 2997, or on a folder with a log of `click price pctr` and the train statistics info.*.json',
  run: async function* ({ data = DEFAULT, methods }) {
    const { file, info } = filesIn(data)
    const statistics = statisticsIn(info)
    const log = await readAuctionLog(file).catch(error => {
      throw error instanceof BadLog ? new ProtocolError(error.message) : error
    })
    const groups = groupsOf(log, statistics)
    const known = [...new Set(groups.flatMap(group => group.names))]
    const unknown = methods?.filter(name => !known.includes(name)) ?? []
    if (unknown.length > 0) throw new ProtocolError(`bidding has no method ${unknown.join(', ')}; there are ${known.join(', ')}`)
    for (const { names, run } of groups) yield* run(methods?.filter(name => names.includes(name)))
  },
}

interface Group {
  names: string[]
  run(wanted: readonly string[] | undefined): Generator<MethodResult>
}

function groupsOf(log: AuctionLog, statistics: TrainStatistics): Group[] {
  const half = log.prices.length >> 1
  const market = marketOf(log, 0, half)
  const group = <Input>(part: string, methods: readonly Method<Input>[], input: Input): Group => ({
    names: methods.map(({ name }) => name),
    run: wanted => measured('bidding', methods, input, wanted, part),
  })
  return [
    group('exact', exactMethods, { log, statistics }),
    ...(['SECOND_PRICE', 'FIRST_PRICE'] as const).flatMap(auction =>
      FRACTIONS.map(fraction =>
        group(`${auction.toLowerCase().replace('_', '-')} 1/${fraction}`, budgetMethods, { log, half, market, auction, fraction }),
      ),
    ),
    ...PACED_FRACTIONS.map(fraction =>
      group(`pacing 1/${fraction}`, pacingMethods, { log, half, market, auction: 'SECOND_PRICE' as const, fraction }),
    ),
  ]
}

/** Episodes of 1,000 auctions with 1/32 of what they cost in training, second price. */
const exactMethods: readonly Method<{ log: AuctionLog; statistics: TrainStatistics }>[] = ['mcpc', 'lin', 'ss-mdp', 'rlb'].map(name => ({
  name,
  run: ({ log, statistics }) => {
    const market = marketOfStatistics(statistics)
    const budgetMicros = Math.floor((market.costMicros / market.impressions) * EPISODE.share * EPISODE.auctions)
    const bidder = bidderOf(name, market, {
      baseBidMicros: EPISODE.linearBase,
      episodeAuctions: EPISODE.auctions,
      episodeBudgetMicros: budgetMicros,
      maxBidMicros: EPISODE.highestBid,
    })
    const report = replay(log, bidder, {
      auction: 'SECOND_PRICE',
      budgetMicros,
      episodeAuctions: EPISODE.auctions,
      ceilingMicros: EPISODE.highestBid,
    })
    return metricsOf(report, budgetMicros)
  },
}))

/** Parameters are tuned on the first half by Σ pCtr of what is won; the second half is replayed once. */
const budgetMethods: readonly Method<Halves>[] = [
  { name: 'const', run: input => tuned(input, range(2, 300, 2), base => ['const', { baseBidMicros: base }]) },
  { name: 'rand', run: input => tuned(input, range(10, 300, 10), base => ['rand', { baseBidMicros: base }]) },
  { name: 'mcpc', run: input => tuned(input, [1], () => ['mcpc', {}]) },
  { name: 'lin', run: input => tuned(input, range(2, 300, 2), base => ['lin', { baseBidMicros: base }]) },
  { name: 'ss-mdp', run: input => tuned(input, [1], () => ['ss-mdp', horizonOf(input)]) },
  { name: 'rlb', run: input => tuned(input, [1], () => ['rlb', horizonOf(input)]) },
  { name: 'ortb', run: ortbTuned },
  { name: 'ortb-dual', run: input => paced(input, 'ORTB', dual) },
  { name: 'maximize-clicks', run: input => paced(input, 'MAXIMIZE_CLICKS', dual) },
  { name: 'maximize-clicks-pid', run: input => paced(input, 'MAXIMIZE_CLICKS', pid) },
]

/** Linear bids that start far too high, in second-price auctions. */
const pacingMethods: readonly Method<Halves>[] = [none, pid, dual].map(controller => ({
  name: controller.name,
  run: ({ log, half, market, auction, fraction }) => {
    const budgetMicros = costOf(log, half, log.prices.length) / fraction
    const meanCtr = mean(log.pCtr, 0, half)
    const bidder = bidderOf('lin', { ...market, clicks: meanCtr * market.impressions }, { baseBidMicros: PACED_BASE })
    const options = { auction, budgetMicros, ceilingMicros: EPISODE.highestBid, controller }
    return metricsOf(replay(log, bidder, options, half), budgetMicros)
  },
}))

/** Shadow prices 1e-7 to 5e-4 clicks a unit of money, as worth of a click. */
const CLICK_VALUES = [1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000, 2000, 5000].map(
  price => 1 / (price * 1e-7),
)

function tuned(input: Halves, grid: readonly number[], choose: (value: number) => [name: string, settings: StrategySettings]) {
  const { log, half, market, fraction } = input
  const train = optionsOf(input, costOf(log, 0, half) / fraction)
  // Bids that compare pCtr with an average take the average of pCtr; what a click has cost, mcpc knows from clicks.
  const predicted = { ...market, clicks: mean(log.pCtr, 0, half) * market.impressions }
  const make = (value: number) => {
    const [name, settings] = choose(value)
    return bidderOf(name, name === 'mcpc' ? market : predicted, settings)
  }
  const best = bestOf(grid, value => {
    const bidder = make(value)
    return replay(log, bidder, train, 0, half).expectedClicks
  })
  const budgetMicros = costOf(log, half, log.prices.length) / fraction
  return metricsOf(replay(log, make(best), optionsOf(input, budgetMicros), half), budgetMicros)
}

/** c as the reference fits it: whole, over the bids from 1 to the highest. */
function ortbTuned(input: Halves) {
  const curve = input.market.winCurve
  const c = curve ? Math.max(1, Math.round(fitOrtb(curve, 1, EPISODE.highestBid))) : undefined
  return tuned(input, CLICK_VALUES, value => ['ORTB', { clickValueMicros: value, c }])
}

/** The multiplier to start with is tuned on the first half; the controller takes it from there. */
function paced(input: Halves, name: string, controller: Controller) {
  const { log, half, market, fraction } = input
  const bidder = bidderOf(name, market, { clickValueMicros: market.costMicros / market.clicks })
  const train = optionsOf(input, costOf(log, 0, half) / fraction, none)
  const start = bestOf(STARTS, value => replay(log, bidder, { ...train, pacing: { ...WIDE, start: value } }, 0, half).expectedClicks)
  const budgetMicros = costOf(log, half, log.prices.length) / fraction
  const options = { ...optionsOf(input, budgetMicros, controller), pacing: { ...WIDE, start } }
  return metricsOf(replay(log, bidder, options, half), budgetMicros)
}

const STARTS = Array.from({ length: 60 }, (_, at) => 0.02 * 250 ** (at / 59))
const WIDE: PacingOptions = { least: 0.001, most: 100 }

function optionsOf({ auction, market }: Halves, budgetMicros: number, controller: Controller = none): Omit<ReplayOptions, 'auctions'> {
  return { auction, budgetMicros, ceilingMicros: EPISODE.highestBid, controller, winCurve: market.winCurve }
}

/** The MDP strategies see a rolling horizon: the whole half would be too large a table, and its value is linear long before. */
function horizonOf({ log, half, fraction }: Halves): StrategySettings {
  const auctions = 200
  const budget = Math.floor(((costOf(log, half, log.prices.length) / fraction) * auctions) / (log.prices.length - half))
  return { episodeAuctions: auctions, episodeBudgetMicros: Math.max(1, budget), maxBidMicros: EPISODE.highestBid }
}

function bidderOf(name: string, market: Market, settings: StrategySettings): Bidder {
  return createBidder(strategyOf(name), settings, market, createRandom(SEED).fork(name))
}

function metricsOf(report: ReplayReport, budgetMicros: number): Record<string, number> {
  const { auctions, impressions, clicks, costMicros, pacingError } = report
  return {
    clicks,
    impressions,
    cost: costMicros,
    budget: Math.floor(budgetMicros),
    // Prices are per thousand impressions, in cents.
    ecpc: clicks > 0 ? costMicros / 1000 / clicks : 0,
    winRate: auctions > 0 ? impressions / auctions : 0,
    pacingError,
  }
}

function marketOfStatistics({ imp_train, clk_train, cost_train, price_counter_train }: TrainStatistics): Market {
  return {
    impressions: imp_train,
    clicks: clk_train,
    conversions: 0,
    costMicros: cost_train,
    conversionValueMicros: 0,
    prices: Float64Array.from(price_counter_train),
    winCurve: null,
  }
}

function costOf({ prices }: AuctionLog, from: number, to: number): number {
  return mean(prices, from, to) * (to - from)
}

function mean(values: Float64Array, from: number, to: number): number {
  let sum = 0
  for (let at = from; at < to; at++) sum += values[at]
  return to > from ? sum / (to - from) : 0
}

function bestOf(grid: readonly number[], gain: (value: number) => number): number {
  if (grid.length === 1) return grid[0]
  let [best, most] = [grid[0], Number.NEGATIVE_INFINITY]
  for (const value of grid) {
    const reached = gain(value)
    if (reached > most) [best, most] = [value, reached]
  }
  return best
}

function range(from: number, to: number, step: number): number[] {
  return Array.from({ length: Math.floor((to - from) / step) + 1 }, (_, at) => from + at * step)
}

/** The one log of the folder, and the statistics that belong to it: by campaign number, by the totals they tell, or because there is one only. */
function filesIn(folder: string): { file: string; info: string } {
  if (!existsSync(folder)) throw new ProtocolError(`The data is absent: there is no ${folder}. Give its folder by --data`)
  const names = readdirSync(folder).sort()
  const logs = names.filter(name => /\.(txt|log|csv|tsv)(\.gz)?$/.test(name) && !/^(SOURCE|README|LICEN[CS]E|published_)/i.test(name))
  const preferred = logs.filter(name => /theta/.test(name))
  const chosen = preferred.length > 0 ? preferred : logs
  if (chosen.length === 0) throw new ProtocolError(`${folder} has no log of \`click price pctr\` lines (*.theta.txt, *.txt, *.log, *.csv)`)
  if (chosen.length > 1) throw new ProtocolError(`${folder} has several logs: ${chosen.join(', ')}; leave one in a folder of its own`)
  const infos = names.filter(name => /^info.*\.json$/.test(name))
  if (infos.length === 0)
    throw new ProtocolError(`${folder} lacks the train statistics info.*.json (imp_train, clk_train, cost_train, price_counter_train)`)
  return { file: join(folder, chosen[0]), info: join(folder, infoFor(folder, chosen[0], infos)) }
}

function infoFor(folder: string, log: string, infos: string[]): string {
  if (infos.length === 1) return infos[0]
  const numbersOf = (name: string): string[] => name.match(/\d+/g) ?? []
  const numbers = [log, folder.split(/[\\/]/).at(-1) ?? ''].flatMap(numbersOf)
  const matching = infos.filter(name => numbersOf(name).some(number => numbers.includes(number)))
  if (matching.length !== 1)
    throw new ProtocolError(
      `${folder} has several train statistics (${infos.join(', ')}) and none that bears the number of ${log}; leave one`,
    )
  return matching[0]
}

function statisticsIn(file: string): TrainStatistics {
  let read: unknown
  try {
    read = JSON.parse(readFileSync(file, 'utf8'))
  } catch (error) {
    throw new ProtocolError(`${file} is not JSON: ${(error as Error).message}`)
  }
  const statistics = read as TrainStatistics
  for (const name of ['imp_train', 'clk_train', 'cost_train'] as const)
    if (!(statistics?.[name] > 0))
      throw new ProtocolError(`${file}: ${name} is ${JSON.stringify(statistics?.[name])}; it must be a number above zero`)
  const counts = statistics.price_counter_train
  if (!Array.isArray(counts) || counts.length === 0 || !counts.every(count => count >= 0))
    throw new ProtocolError(`${file}: price_counter_train must be a list of counts by market price, from 0`)
  return statistics
}
