import { BadSettings, type Market, type StrategySettings } from './strategy.js'

export interface ValueTable {
  meanCtr: number
  /** The highest bid that still gains: the largest a with θ + V(n−1, b−a) − V(n−1, b) ≥ 0. */
  bid(auctions: number, budget: number, theta: number): number
}

const MOST_CELLS = 64_000_000

/**
 * Expected clicks V(n, b) from n auctions and a budget b, by dynamic programming over the market-price histogram m (Laplace-smoothed):
 *   V(n, b) = V(n−1, b) + Σ_{δ ≤ a(b)} m(δ)·(θ̄ + V(n−1, b−δ) − V(n−1, b)),
 * a(b) the largest bid that gains. Rows 0 to N−1 are kept. A longer horizon or a larger budget is read at the same budget per auction.
 */
export function valueTable(settings: StrategySettings, { prices, clicks, impressions }: Market): ValueTable {
  if (!prices || !(clicks > 0 && impressions > 0))
    throw new BadSettings('market', 'An MDP strategy needs a history of market prices and clicks')
  const [auctions, budget] = [settings.episodeAuctions as number, settings.episodeBudgetMicros as number]
  const highest = Math.min(settings.maxBidMicros ?? prices.length - 1, prices.length - 1)
  if (!Number.isInteger(auctions) || !Number.isInteger(budget))
    throw new BadSettings('episodeAuctions', 'The auctions and the budget of an episode must be whole')
  const width = budget + 1
  if (auctions * width > MOST_CELLS)
    throw new BadSettings('episodeBudgetMicros', `A value table of ${auctions} × ${width} is too large; take a coarser unit of money`)
  const meanCtr = clicks / impressions
  const values = iterate(auctions, budget, highest, densityOf(prices), meanCtr)
  return {
    meanCtr,
    bid: (n, b, theta) => {
      const row = Math.min(Math.max(1, n), auctions)
      const left = Math.floor(n > auctions ? Math.min(budget, (b * auctions) / n) : Math.min(budget, b))
      const start = (row - 1) * width + left
      const most = Math.min(left, highest)
      const here = values[start]
      let bid = 0
      for (let delta = 1; delta <= most; delta++) {
        if (!(theta + values[start - delta] - here >= 0)) break
        bid = delta
      }
      return bid
    },
  }
}

function densityOf(prices: Float64Array): Float64Array {
  const total = prices.reduce((sum, count) => sum + count, 0) + prices.length
  return prices.map(count => (count + 1) / total)
}

function iterate(auctions: number, budget: number, highest: number, density: Float64Array, theta: number): Float64Array {
  const width = budget + 1
  const values = new Float64Array(auctions * width)
  for (let n = 1; n < auctions; n++) {
    const from = (n - 1) * width
    const to = n * width
    // The lowest budget from which a loss of b − low still gains falls with b, so one sweep finds it for all.
    let low = budget - 1
    for (let b = budget; b > 0; b--) {
      const here = values[from + b]
      while (low >= 0 && values[from + low] - here + theta >= 0) low--
      const most = Math.min(highest, low < 0 ? b : b - low - 1)
      let value = here
      for (let delta = 0; delta <= most; delta++) value += density[delta] * (theta + values[from + b - delta] - here)
      values[to + b] = value
    }
  }
  return values
}
