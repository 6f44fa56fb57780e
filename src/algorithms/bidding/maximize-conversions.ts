import { BadSettings, explained, limitsOf, type Strategy } from './strategy.js'

/** Most conversions for the budget: linear in pCtr × pCvr, its height found by the pacing controller (see MAXIMIZE_CLICKS). */
export const maximizeConversions: Strategy = {
  name: 'MAXIMIZE_CONVERSIONS',
  about: 'As many conversions as the budget buys; the price of a conversion follows the pacing.',
  needs: [],
  prepare: (settings, { costMicros, conversions }) => {
    const cpa = conversions > 0 && costMicros > 0 ? costMicros / conversions : (settings.targetCpaMicros ?? 0)
    if (!(cpa > 0))
      throw new BadSettings('targetCpaMicros', 'MAXIMIZE_CONVERSIONS has no conversions to learn from yet: set targetCpaMicros as a start')
    return {
      shades: true,
      ...limitsOf(settings),
      quote: ({ pCtr, pCvr, multiplier }) => cpa * pCtr * pCvr * multiplier,
      explain: seen => explained(seen, cpa * seen.pCtr * seen.pCvr, `pCTR ${seen.pCtr} × pCVR ${seen.pCvr} × CPA ${Math.round(cpa)}`),
    }
  },
}
