import { explained, limitsOf, type Strategy } from './strategy.js'

/** The marketer's price of a click times pCtr. Pacing only ever lowers it: nobody pays more than was set by hand. */
export const manualCpc: Strategy = {
  name: 'MANUAL_CPC',
  about: 'Bids your price of a click times the predicted click rate; pacing may lower it, never raise it.',
  needs: ['cpcBidMicros'],
  isOnlyLowered: true,
  prepare: settings => {
    const cpc = settings.cpcBidMicros as number
    return {
      shades: true,
      ...limitsOf(settings),
      quote: ({ pCtr, multiplier }) => cpc * pCtr * Math.min(1, multiplier),
      explain: seen => explained(seen, cpc * seen.pCtr, `pCTR ${seen.pCtr} × CPC ${cpc}`, Math.min(1, seen.multiplier)),
    }
  },
}
