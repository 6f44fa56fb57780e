import { explained, limitsOf, type Strategy } from './strategy.js'

/** The marketer's price of a thousand impressions, whoever sees them. Pacing only ever lowers it. */
export const manualCpm: Strategy = {
  name: 'MANUAL_CPM',
  about: 'Bids your price of a thousand impressions for every impression; pacing may lower it, never raise it.',
  needs: ['cpmBidMicros'],
  isOnlyLowered: true,
  prepare: settings => {
    const each = (settings.cpmBidMicros as number) / 1000
    return {
      shades: true,
      ...limitsOf(settings),
      quote: ({ multiplier }) => each * Math.min(1, multiplier),
      explain: seen => explained(seen, each, `CPM ${settings.cpmBidMicros} / 1000`, Math.min(1, seen.multiplier)),
    }
  },
}
