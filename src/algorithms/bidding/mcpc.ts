import { BadSettings, explained, limitsOf, type Strategy } from './strategy.js'

/** Max CPC: the cost of a click in history times pCtr, whatever the budget (the truthful baseline of Zhang et al. 2014). */
export const mcpc: Strategy = {
  name: 'mcpc',
  about: 'What a click has cost so far, times the predicted click rate',
  needs: [],
  prepare: (settings, { costMicros, clicks }) => {
    if (!(clicks > 0)) throw new BadSettings('market', 'mcpc needs a history with clicks')
    const cpc = costMicros / clicks
    return {
      shades: false,
      ...limitsOf(settings),
      quote: ({ pCtr, multiplier }) => pCtr * cpc * multiplier,
      explain: seen => explained(seen, seen.pCtr * cpc, `pCTR ${seen.pCtr} × eCPC ${cpc.toPrecision(6)}`),
    }
  },
}
