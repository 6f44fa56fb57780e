import { BadSettings, explained, limitsOf, type Strategy } from './strategy.js'

/** Linear bidding (Perlich et al. 2012): b₀·pCtr/mean pCtr, b₀ tuned to the budget. */
export const lin: Strategy = {
  name: 'lin',
  about: 'A base bid, scaled by how the predicted click rate compares with the average',
  needs: ['baseBidMicros'],
  prepare: (settings, { clicks, impressions }) => {
    if (!(clicks > 0 && impressions > 0)) throw new BadSettings('market', 'lin needs a history with clicks')
    const base = settings.baseBidMicros as number
    const mean = clicks / impressions
    return {
      shades: false,
      ...limitsOf(settings),
      quote: ({ pCtr, multiplier }) => ((pCtr * base) / mean) * multiplier,
      explain: seen => explained(seen, (seen.pCtr * base) / mean, `pCTR ${seen.pCtr} × base bid ${base} / CTR ${mean.toPrecision(4)}`),
    }
  },
}
