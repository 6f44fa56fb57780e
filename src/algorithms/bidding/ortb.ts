import { fitOrtb } from './shading.js'
import { BadSettings, type Contribution, limitsOf, type Opportunity, type Strategy } from './strategy.js'

/**
 * Optimal real-time bidding (Zhang, Yuan and Wang 2014). With the win curve b/(c+b) (form 1) or b²/(c²+b²) (form 2) and worth θ, the bid that
 * gains most for a budget is
 *   form 1: √(cθ/λ + c²) − c          form 2: c·[((θ + √(c²λ² + θ²))/(cλ))^⅓ − (cλ/(θ + √(c²λ² + θ²)))^⅓]
 * with λ the budget's Lagrange multiplier. Here θ/λ is the worth of the impression in money times the pacing multiplier. It bids more than
 * linear bidding on cheap impressions and less on dear ones; it is a bid already, so nothing shades it further.
 */
export const ortb: Strategy = {
  name: 'ORTB',
  about: 'Bids more for what is cheap to win and less for what is dear, after the market’s win curve.',
  needs: [],
  prepare: (settings, market) => {
    const { clickValueMicros = null, form = 1 } = settings
    if (form !== 1 && form !== 2) throw new BadSettings('form', `ORTB has the forms 1 and 2, not ${form}`)
    const c = settings.c ?? (market.winCurve ? fitOrtb(market.winCurve, form) : 0)
    if (!(c > 0)) throw new BadSettings('c', 'ORTB knows no market prices yet: set c, the bid that wins half of the auctions')
    const usual = market.clicks > 0 && market.costMicros > 0 ? market.costMicros / market.clicks : (settings.cpcBidMicros ?? 0)
    const clickWorth = ({ pCvr, valueMicros }: Opportunity) => clickValueMicros ?? (pCvr * valueMicros > 0 ? pCvr * valueMicros : usual)
    const worthOf = (seen: Opportunity) => seen.pCtr * clickWorth(seen)
    const quote = (seen: Opportunity) => bidAt(form, c, worthOf(seen) * seen.multiplier)
    return {
      shades: false,
      ...limitsOf(settings),
      quote,
      explain: seen => {
        const worth = worthOf(seen)
        const value =
          clickValueMicros === null && seen.pCvr * seen.valueMicros > 0
            ? `pCTR ${seen.pCtr} × pCVR ${seen.pCvr} × value ${seen.valueMicros}`
            : `pCTR ${seen.pCtr} × click value ${clickWorth(seen)}`
        const parts: Contribution[] = [{ feature: 'expected value', value, weight: worth }]
        if (seen.multiplier !== 1)
          parts.push({ feature: 'pacing multiplier', value: seen.multiplier.toPrecision(4), weight: worth * seen.multiplier - worth })
        return [
          ...parts,
          { feature: 'win curve', value: `ORTB${form}, c ${c.toPrecision(4)}`, weight: quote(seen) - worth * seen.multiplier },
        ]
      },
    }
  },
}

const { asinh, min, sinh, sqrt } = Math
const MOST = Number.MAX_SAFE_INTEGER

function bidAt(form: number, c: number, worth: number): number {
  const w = min(worth, MOST)
  // √(cw + c²) − c without the loss of digits for small w.
  if (form === 1) return w / (sqrt(w / c + 1) + 1)
  // The two cube roots are e^(±asinh(w/c)/3).
  return 2 * c * sinh(asinh(w / c) / 3)
}
