// npm run replay -- <log> [--strategy NAME] [--settings '{…}'] [--controller none|pid|dual] [--budget 0.25] [--auction second-price|first-price]
// replays bids over an auction log (click price pctr [pcvr conversion value]) beside constant, random and linear bids.
import { parseArgs } from 'node:util'
import { type AuctionLog, type ReplayOptions, type ReplayReport, replay } from '../algorithms/bidding/auction.js'
import { createBidder, strategyOf } from '../algorithms/bidding/index.js'
import { controllerOf, marketOf, simulate, targetOf, tunedBase } from '../algorithms/bidding/simulate.js'
import { type AuctionType, BadOpportunity, BadSettings, pacingOf, type StrategySettings } from '../algorithms/bidding/strategy.js'
import { createRandom } from '../algorithms/math/random.js'
import { BadLog, readAuctionLog } from './auction-log.js'

const USAGE = `Usage: npm run replay -- <log> [options]
  <log>                   lines of "click price pctr [pcvr conversion value]", by white space or comma, with or without a header, or .gz
  --strategy NAME         MAXIMIZE_CLICKS unless given; any strategy or baseline
  --settings JSON         of the strategy, e.g. '{"cpcBidMicros": 20000}', in the log's unit of money
  --controller NAME       none, pid or dual (dual unless given)
  --budget SHARE          of what the replayed auctions cost, above 0 (0.25 unless given)
  --auction TYPE          second-price (unless given) or first-price
  --train SHARE           part of the log that is learned from and not replayed, 0.5 unless given
  --episode AUCTIONS      the budget starts anew after so many
  --ceiling PRICE         highest bid
  --simulate bid|budget   adds a curve: bid or budget times 1/4 … 4 → clicks, cost, value
  --json                  one JSON object a line`
const SEED = 20251124
const FACTORS = [0.25, 0.35, 0.5, 0.7, 1, 1.4, 2, 2.8, 4]

/** What a person can cure, told in a sentence. */
class BadCall extends Error {}

try {
  await run()
} catch (error) {
  const isTold = [BadCall, BadLog, BadSettings, BadOpportunity, RangeError].some(kind => error instanceof kind)
  if (!isTold && !(error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS')) throw error
  process.stderr.write(`${(error as Error).message}\n`)
  process.exitCode = 1
}

async function run() {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: {
      strategy: { type: 'string', default: 'MAXIMIZE_CLICKS' },
      settings: { type: 'string', default: '{}' },
      controller: { type: 'string', default: 'dual' },
      budget: { type: 'string', default: '0.25' },
      auction: { type: 'string', default: 'second-price' },
      train: { type: 'string', default: '0.5' },
      episode: { type: 'string' },
      ceiling: { type: 'string' },
      simulate: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  })
  if (positionals.length !== 1) throw new BadCall(USAGE)
  const strategy = strategyOf(values.strategy)
  const controller = controllerOf(values.controller)
  const settings = settingsIn(values.settings)
  const auction = auctionIn(values.auction)
  const share = numberIn('budget', values.budget, value => value > 0, 'a number above 0')
  const trainShare = numberIn('train', values.train, value => value > 0 && value < 1, 'a share between 0 and 1')
  const episode =
    values.episode === undefined
      ? undefined
      : numberIn('episode', values.episode, value => Number.isInteger(value) && value > 0, 'a whole number above 0')
  const ceiling = values.ceiling === undefined ? undefined : numberIn('ceiling', values.ceiling, value => value > 0, 'a number above 0')
  if (values.simulate !== undefined && !['bid', 'budget'].includes(values.simulate))
    throw new BadCall(`--simulate is ${values.simulate}; it must be bid or budget`)

  const log = await readAuctionLog(positionals[0])
  const cut = Math.floor(log.prices.length * trainShare)
  if (cut < 1 || cut >= log.prices.length)
    throw new BadCall(`${positionals[0]} has ${log.prices.length} auctions, too few to learn from some and replay others`)
  const market = marketOf(log, 0, cut)
  const budgetOf = (from: number, to: number) => {
    const cost = log.prices.subarray(from, to).reduce((sum, price) => sum + price, 0)
    return (cost * share * (episode ?? to - from)) / (to - from)
  }
  const budgetMicros = budgetOf(cut, log.prices.length)
  const common = { auction, episodeAuctions: episode, ceilingMicros: ceiling, winCurve: market.winCurve }
  const report = replay(
    log,
    createBidder(strategy, settings, market, createRandom(SEED)),
    { ...common, budgetMicros, controller, pacing: pacingOf(strategy), target: targetOf(strategy.name, settings, market) },
    cut,
  )
  const rows = [rowOf(strategy.name, controller.name, report, budgetMicros)]
  for (const name of ['const', 'rand', 'lin'].filter(each => each !== strategy.name)) {
    const reference = referenceOf(name, log, cut, { ...common, budgetMicros: budgetOf(0, cut) }, { ...common, budgetMicros })
    if (reference) rows.push(rowOf(name, 'none', reference, budgetMicros))
  }
  const over = values.simulate?.toUpperCase() as 'BID' | 'BUDGET' | undefined
  const { winCurve: _, ...told } = market
  const points = over
    ? simulate({
        log: later(log, cut),
        strategy: strategy.name,
        settings,
        market: told,
        winCurve: market.winCurve?.save() ?? null,
        auction,
        budgetMicros,
        ceilingMicros: ceiling,
        controller: controller.name,
        over,
        factors: FACTORS,
        seed: SEED,
      })
    : []
  if (values.json) for (const line of [...rows, ...points]) process.stdout.write(`${JSON.stringify(line)}\n`)
  else process.stdout.write(`${tableOf(rows)}${points.length > 0 ? `\n${tableOf(points.map(point => ({ ...point })))}` : ''}`)
}

/** Base bids tuned on the training part; null where the log has no click to scale lin by. */
function referenceOf(
  name: string,
  log: AuctionLog,
  cut: number,
  train: Omit<ReplayOptions, 'auctions'>,
  test: Omit<ReplayOptions, 'auctions'>,
): ReplayReport | null {
  const market = marketOf(log, 0, cut)
  const meanCtr = log.pCtr.subarray(0, cut).reduce((sum, pCtr) => sum + pCtr, 0) / cut
  if (name === 'lin' && !(meanCtr > 0)) return null
  const predicted = { ...market, clicks: meanCtr * cut }
  const highest = market.winCurve?.highestMicros ?? 0
  if (!(highest > 0)) return null
  const bases = Array.from({ length: 60 }, (_, at) => (highest * (at + 1)) / 60)
  const base = tunedBase(name, log, predicted, train, bases, 0, cut)
  return replay(log, createBidder(strategyOf(name), { baseBidMicros: base }, predicted, createRandom(SEED)), test, cut)
}

function rowOf(method: string, controller: string, report: ReplayReport, budgetMicros: number) {
  const { auctions, impressions, clicks, conversions, costMicros, valueMicros, pacingError } = report
  return {
    method,
    controller,
    auctions,
    impressions,
    clicks,
    conversions,
    cost: costMicros,
    budget: Math.floor(budgetMicros),
    ecpc: clicks > 0 ? costMicros / clicks : null,
    value: valueMicros,
    pacingError,
  }
}

function tableOf(rows: readonly Record<string, string | number | null>[]): string {
  const names = Object.keys(rows[0])
  const cells = rows.map(row => names.map(name => shown(row[name])))
  const widths = names.map((name, column) => Math.max(name.length, ...cells.map(row => row[column].length)))
  const line = (row: string[]) =>
    `${row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column]))).join('  ')}\n`
  return line(names) + cells.map(line).join('')
}

function shown(value: string | number | null): string {
  if (value === null) return '–'
  return typeof value === 'string' || Number.isInteger(value) ? String(value) : value.toFixed(4)
}

function later(log: AuctionLog, cut: number): AuctionLog {
  return {
    prices: log.prices.slice(cut),
    clicked: log.clicked.slice(cut),
    pCtr: log.pCtr.slice(cut),
    pCvr: log.pCvr?.slice(cut) ?? null,
    converted: log.converted?.slice(cut) ?? null,
    values: log.values?.slice(cut) ?? null,
  }
}

function settingsIn(text: string): StrategySettings {
  try {
    const settings = JSON.parse(text)
    if (typeof settings === 'object' && settings !== null && Object.values(settings).every(value => typeof value === 'number'))
      return settings
  } catch {
    // Told below.
  }
  throw new BadCall(`--settings is ${text}; it must be a JSON object of numbers, e.g. '{"cpcBidMicros": 20000}'`)
}

function auctionIn(text: string): AuctionType {
  if (text === 'second-price') return 'SECOND_PRICE'
  if (text === 'first-price') return 'FIRST_PRICE'
  throw new BadCall(`--auction is ${text}; it must be second-price or first-price`)
}

function numberIn(name: string, text: string, is: (value: number) => boolean, says: string): number {
  const value = Number(text)
  if (text.trim() === '' || !is(value)) throw new BadCall(`--${name} is ${text}; it must be ${says}`)
  return value
}
