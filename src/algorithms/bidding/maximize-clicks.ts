import { BadSettings, explained, limitsOf, type Strategy } from './strategy.js'

/**
 * Most clicks for the budget. With payments p and a budget B the best bid of a second-price auction is pCtr / μ, μ the budget's shadow price
 * (the Lagrange multiplier; e.g. Chen et al. 2011): linear in pCtr, its height found by the pacing controller. At multiplier 1 a click is
 * worth what it has cost so far.
 */
export const maximizeClicks: Strategy = {
  name: 'MAXIMIZE_CLICKS',
  about: 'As many clicks as the budget buys; the price of a click follows the pacing.',
  needs: [],
  prepare: (settings, { costMicros, clicks }) => {
    const cpc = settings.clickValueMicros ?? (clicks > 0 && costMicros > 0 ? costMicros / clicks : (settings.cpcBidMicros ?? 0))
    if (!(cpc > 0))
      throw new BadSettings(
        'clickValueMicros',
        'MAXIMIZE_CLICKS has no clicks to learn from yet: set clickValueMicros or cpcBidMicros as a start',
      )
    return {
      shades: true,
      ...limitsOf(settings),
      quote: ({ pCtr, multiplier }) => cpc * pCtr * multiplier,
      explain: seen => explained(seen, cpc * seen.pCtr, `pCTR ${seen.pCtr} × CPC ${Math.round(cpc)}`),
    }
  },
}
