import { explained, limitsOf, type Strategy } from './strategy.js'

/**
 * Most conversion value for the budget: linear in pCtr × pCvr × value, its height found by the pacing controller (see MAXIMIZE_CLICKS). At
 * multiplier 1 the return is the history's, or 1 without a history: every impression at its full worth.
 */
export const maximizeConversionValue: Strategy = {
  name: 'MAXIMIZE_CONVERSION_VALUE',
  about: 'As much conversion value as the budget buys; the return follows the pacing.',
  needs: [],
  prepare: (settings, { costMicros, conversionValueMicros }) => {
    const roas = costMicros > 0 && conversionValueMicros > 0 ? conversionValueMicros / costMicros : (settings.targetRoas ?? 1)
    return {
      shades: true,
      ...limitsOf(settings),
      quote: ({ pCtr, pCvr, valueMicros, multiplier }) => ((pCtr * pCvr * valueMicros) / roas) * multiplier,
      explain: seen =>
        explained(
          seen,
          (seen.pCtr * seen.pCvr * seen.valueMicros) / roas,
          `pCTR ${seen.pCtr} × pCVR ${seen.pCvr} × value ${seen.valueMicros} / ROAS ${roas.toPrecision(4)}`,
        ),
    }
  },
}
