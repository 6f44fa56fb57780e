import type { Random } from '../math/random.js'
import { constant } from './constant.js'
import { lin } from './lin.js'
import { manualCpc } from './manual-cpc.js'
import { manualCpm } from './manual-cpm.js'
import { maximizeClicks } from './maximize-clicks.js'
import { maximizeConversionValue } from './maximize-conversion-value.js'
import { maximizeConversions } from './maximize-conversions.js'
import { mcpc } from './mcpc.js'
import { ortb } from './ortb.js'
import { rand } from './rand.js'
import { rlb } from './rlb.js'
import { ssMdp } from './ss-mdp.js'
import { BadSettings, type Bidder, type Market, type Strategy, type StrategySettings } from './strategy.js'
import { targetCpa } from './target-cpa.js'
import { targetRoas } from './target-roas.js'

/** Every bidding strategy a campaign can have. A new one is one file and its name here. */
export const strategies: readonly Strategy[] = [
  manualCpc,
  manualCpm,
  maximizeClicks,
  maximizeConversions,
  maximizeConversionValue,
  targetCpa,
  targetRoas,
  ortb,
]

/** Strategies of the literature that a replay compares with. */
export const baselines: readonly Strategy[] = [constant, rand, mcpc, lin, ssMdp, rlb]

/** By name, strategy or baseline; throws RangeError with the names there are. */
export function strategyOf(name: string): Strategy {
  const all = [...strategies, ...baselines]
  const found = all.find(each => each.name === name)
  if (!found) throw new RangeError(`There is no bidding strategy "${name}"; there are ${all.map(each => each.name).join(', ')}`)
  return found
}

/** A strategy ready to bid. Throws `BadSettings`, whose `setting` names the place and whose message tells a marketer what to do. */
export function createBidder(strategy: Strategy, settings: StrategySettings, market: Market, random: Random): Bidder {
  for (const [name, value] of Object.entries(settings) as [keyof StrategySettings, number | undefined][])
    if (value !== undefined && !(value > 0 && value < Number.POSITIVE_INFINITY))
      throw new BadSettings(name, `${name} is ${value}; it must be a number above zero`)
  const missing = strategy.needs.find(name => settings[name] === undefined)
  if (missing) throw new BadSettings(missing, `${strategy.name} needs ${missing}`)
  const { cpcBidFloorMicros = 0, cpcBidCeilingMicros = Number.POSITIVE_INFINITY } = settings
  if (cpcBidFloorMicros > cpcBidCeilingMicros)
    throw new BadSettings('cpcBidFloorMicros', `The floor ${cpcBidFloorMicros} of the bid is above its ceiling ${cpcBidCeilingMicros}`)
  return strategy.prepare(settings, market, random)
}

/** For worker threads, which call what the family's index exports. */
export { simulate } from './simulate.js'
