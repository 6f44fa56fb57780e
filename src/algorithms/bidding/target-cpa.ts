import { explained, limitsOf, type Strategy } from './strategy.js'

/**
 * Most conversions at no more than a target cost each. The best bid under a CPA and a budget constraint is linear in pCtr × pCvr (Yang et al.
 * 2019), with the lower of two factors: what the target allows (`targetMultiplier`, above 1 where prices are below bids) and what the budget
 * allows (`multiplier`, which can only lower it).
 */
export const targetCpa: Strategy = {
  name: 'TARGET_CPA',
  about: 'As many conversions as possible at your average cost of a conversion.',
  needs: ['targetCpaMicros'],
  isOnlyLowered: true,
  prepare: settings => {
    const cpa = settings.targetCpaMicros as number
    return {
      shades: true,
      ...limitsOf(settings),
      quote: ({ pCtr, pCvr, multiplier, targetMultiplier }) => cpa * pCtr * pCvr * targetMultiplier * Math.min(1, multiplier),
      explain: seen =>
        explained(
          seen,
          cpa * seen.pCtr * seen.pCvr * seen.targetMultiplier,
          `pCTR ${seen.pCtr} × pCVR ${seen.pCvr} × target CPA ${cpa} × correction ${seen.targetMultiplier.toPrecision(4)}`,
          Math.min(1, seen.multiplier),
        ),
    }
  },
}
