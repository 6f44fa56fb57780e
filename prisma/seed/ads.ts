import { createRandom, type Random } from '../../src/algorithms/math/random.js'
import { CATEGORIES, type DemoProduct, type DemoWorld, isLoved, PLANTED, sigmoid } from './world.js'

export interface DemoAd {
  id: number
  externalId: string
  category: number
  adGroup: number
  headline: string
  product: DemoProduct
  isExpensive: boolean
}

export interface DemoImpression {
  ad: DemoAd
  user: number
  at: number
  clicked: boolean
  converted: boolean
  costMicros: number
  context: { device: 'mobile' | 'desktop'; position: number; hour: number }
  /** What the click was drawn with. */
  probability: number
}

const DAY_MS = 86_400_000
const DAYS = 60
const IMPRESSIONS = 60_000
const ADS_PER_GROUP = 3
export const GROUPS_PER_CAMPAIGN = 2

export function adsOf({ products }: DemoWorld): DemoAd[] {
  return CATEGORIES.flatMap(([name], category) => {
    const shelf = products.filter(product => product.category === category)
    const middle = [...shelf].sort((a, b) => Number(a.priceMicros - b.priceMicros))[Math.floor(shelf.length / 2)].priceMicros
    return Array.from({ length: GROUPS_PER_CAMPAIGN * ADS_PER_GROUP }, (_, place) => {
      const product = shelf[(place * 7) % shelf.length]
      const id = category * GROUPS_PER_CAMPAIGN * ADS_PER_GROUP + place + 1
      return {
        id,
        externalId: `ad-${String(id).padStart(3, '0')}`,
        category,
        adGroup: Math.floor(place / ADS_PER_GROUP),
        headline: place % 2 === 0 ? `${name}: ${product.title}` : `${CATEGORIES[category][1]}精选：${product.title}`,
        product,
        isExpensive: product.priceMicros > middle,
      }
    })
  })
}

/** Impressions of two months; clicks and conversions are drawn from the planted coefficients, exposure carries the planted bias. */
export function* impressionsOf(world: DemoWorld, ads: readonly DemoAd[], now: Date): Generator<DemoImpression> {
  const random = createRandom(world.seed).fork('ads')
  const midnight = Math.floor(now.getTime() / DAY_MS) * DAY_MS
  const biased = CATEGORIES.findIndex(([name]) => name === PLANTED.bias.category)
  for (let made = 0; made < IMPRESSIONS; ) {
    const user = random.below(world.users.length)
    const person = world.users[user]
    const ad = ads[random.below(ads.length)]
    if (ad.category === biased && person.gender === PLANTED.bias.group && random.next() > PLANTED.bias.exposureShare) continue
    made++
    const hour = random.below(24)
    const context = { device: random.next() < 0.6 ? ('mobile' as const) : ('desktop' as const), position: 1 + random.below(4), hour }
    const probability = sigmoid(clickLogit(isLoved(person.taste, ad.category), ad.isExpensive, context))
    const clicked = random.next() < probability
    const converted =
      clicked && random.next() < sigmoid(PLANTED.cvr.intercept + (isLoved(person.taste, ad.category) ? PLANTED.cvr.tasteMatch : 0))
    yield {
      ad,
      user,
      at: midnight - (1 + random.below(DAYS)) * DAY_MS + hour * 3_600_000 + random.below(3_600_000),
      clicked,
      converted,
      costMicros: clicked ? costOf(random) : 0,
      context,
      probability,
    }
  }
}

export function clickLogit(isMatch: boolean, isExpensive: boolean, { device, position, hour }: DemoImpression['context']): number {
  const { intercept, tasteMatch, mobile, perPosition, evening, expensive } = PLANTED.ctr
  const isEvening = hour >= 18 && hour <= 22
  return (
    intercept +
    (isMatch ? tasteMatch : 0) +
    (device === 'mobile' ? mobile : 0) +
    perPosition * (position - 1) +
    (isEvening ? evening : 0) +
    (isExpensive ? expensive : 0)
  )
}

function costOf(random: Random): number {
  return Math.round(300_000 * Math.exp(0.3 * random.normal()))
}
