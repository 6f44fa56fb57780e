import { valueTable } from './mdp.js'
import { limitsOf, type Strategy } from './strategy.js'

/** Reinforcement learning to bid (Cai et al. 2017): the value table of SS-MDP, and each impression's own click rate. */
export const rlb: Strategy = {
  name: 'rlb',
  about: 'The bid that is best for the budget and the auctions left, given the predicted click rate',
  needs: ['episodeAuctions', 'episodeBudgetMicros'],
  prepare: (settings, market) => {
    const table = valueTable(settings, market)
    return {
      shades: false,
      ...limitsOf(settings),
      quote: ({ pCtr, remainingAuctions, remainingMicros, multiplier }) => table.bid(remainingAuctions, remainingMicros, pCtr * multiplier),
      explain: seen => [
        {
          feature: 'value of the budget left',
          value: `pCTR ${seen.pCtr}, ${seen.remainingAuctions} auctions and ${seen.remainingMicros} left`,
          weight: table.bid(seen.remainingAuctions, seen.remainingMicros, seen.pCtr * seen.multiplier),
        },
      ],
    }
  },
}
