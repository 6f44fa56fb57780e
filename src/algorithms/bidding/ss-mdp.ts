import { valueTable } from './mdp.js'
import { limitsOf, type Strategy } from './strategy.js'

/**
 * Budget allocation as a Markov decision process that knows the mean click rate only (Yuan and Wang 2012, Gummadi et al. 2012; "SS-MDP" of
 * Cai et al. 2017): every impression is worth the mean, the bid depends on the auctions and the budget left.
 */
export const ssMdp: Strategy = {
  name: 'ss-mdp',
  about: 'The bid that is best for the budget and the auctions left, if all impressions are alike',
  needs: ['episodeAuctions', 'episodeBudgetMicros'],
  prepare: (settings, market) => {
    const table = valueTable(settings, market)
    return {
      shades: false,
      ...limitsOf(settings),
      quote: ({ remainingAuctions, remainingMicros, multiplier }) =>
        table.bid(remainingAuctions, remainingMicros, table.meanCtr * multiplier),
      explain: seen => [
        {
          feature: 'value of the budget left',
          value: `mean CTR ${table.meanCtr.toPrecision(4)}, ${seen.remainingAuctions} auctions and ${seen.remainingMicros} left`,
          weight: table.bid(seen.remainingAuctions, seen.remainingMicros, table.meanCtr * seen.multiplier),
        },
      ],
    }
  },
}
