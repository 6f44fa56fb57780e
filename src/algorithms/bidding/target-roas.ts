import { explained, limitsOf, type Strategy } from './strategy.js'

/** Most conversion value at no less than a target return: as TARGET_CPA, linear in pCtr × pCvr × value / ROAS. */
export const targetRoas: Strategy = {
  name: 'TARGET_ROAS',
  about: 'As much conversion value as possible at your average return on ad spend.',
  needs: ['targetRoas'],
  isOnlyLowered: true,
  prepare: settings => {
    const roas = settings.targetRoas as number
    return {
      shades: true,
      ...limitsOf(settings),
      quote: ({ pCtr, pCvr, valueMicros, multiplier, targetMultiplier }) =>
        ((pCtr * pCvr * valueMicros) / roas) * targetMultiplier * Math.min(1, multiplier),
      explain: seen =>
        explained(
          seen,
          ((seen.pCtr * seen.pCvr * seen.valueMicros) / roas) * seen.targetMultiplier,
          `pCTR ${seen.pCtr} × pCVR ${seen.pCvr} × value ${seen.valueMicros} / target ROAS ${roas} × correction ${seen.targetMultiplier.toPrecision(4)}`,
          Math.min(1, seen.multiplier),
        ),
    }
  },
}
