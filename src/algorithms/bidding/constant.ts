import { explained, limitsOf, type Strategy } from './strategy.js'

/** The same bid for every impression. */
export const constant: Strategy = {
  name: 'const',
  about: 'The same bid for every impression',
  needs: ['baseBidMicros'],
  prepare: settings => {
    const bid = settings.baseBidMicros as number
    return {
      shades: false,
      ...limitsOf(settings),
      quote: ({ multiplier }) => bid * multiplier,
      explain: seen => explained(seen, bid, String(bid), seen.multiplier, 'constant'),
    }
  },
}
