import { gini } from '../algorithms/evaluate/ranking.js'
import { InvalidInput } from '../platform/errors.js'
import { cleanOptionalText, escapeLike } from '../platform/text-input.js'
import { byBrand, byCategory, byPriceBand } from './exposure.js'
import type { ExposureRepository } from './exposure.repository.js'
import type { ExposureArgs, RecommendationExposure } from './placements.schema.js'

const DAY_MS = 86_400_000
const DEFAULT_DAYS = 28
const MOST_DAYS = 365
/** Newest decisions that are counted. */
const SAMPLE = 50_000

/** What recommendations showed, counted from the decisions they left. */
export class ExposureService {
  constructor(
    private readonly repository: ExposureRepository,
    private readonly now: () => Date = () => new Date(),
  ) {}

  async report({ placement, days: asked }: ExposureArgs): Promise<RecommendationExposure> {
    const days = asked ?? DEFAULT_DAYS
    if (days < 1 || days > MOST_DAYS) throw new InvalidInput(`days must be from 1 to ${MOST_DAYS}`, {}, ['days'])
    const name = cleanOptionalText(placement, { field: ['placement'], max: 100 })
    const to = this.now()
    const from = new Date(to.getTime() - days * DAY_MS)
    const pattern = name ? `Placement "${escapeLike(name)}" version %` : null
    const { products, decisions, sampled } = await this.repository.shown(from, to, pattern, SAMPLE)
    const shown = products.filter(({ places }) => places > 0).length
    return {
      from,
      to,
      decisions,
      sampled,
      places: products.reduce((sum, { places }) => sum + places, 0),
      impressions: products.reduce((sum, { impressions }) => sum + impressions, 0),
      products: shown,
      coverage: products.length > 0 ? shown / products.length : null,
      gini: shown > 0 ? gini(Float64Array.from(products, ({ places }) => places)) : null,
      categories: byCategory(products),
      brands: byBrand(products),
      priceBands: byPriceBand(products),
    }
  }
}
