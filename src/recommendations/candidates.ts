import type { History, Recommender } from '../algorithms/recommend/recommender.js'
import type { ProductType } from '../catalogue/catalogue.schema.js'
import type { ProductFilter } from '../catalogue/product-filter.js'
import type { LiveModel, LiveModels } from '../registry/live-models.js'
import { similarity } from './diversity.js'
import { type NewProducts, scoresByLikeness } from './new-products.js'
import { type Reason, RecommendationAlgorithm } from './recommendations.schema.js'
import type { Effect } from './rules.js'

export const TASK = 'RECOMMENDATION'
/** So many products or parts say why. */
export const REASONS = 3

export type Live = LiveModel<Recommender>

export interface Scored {
  index: number
  score: number
  product: ProductType
  source: Live
  /** What rules did to the score, and what it was before. */
  effects?: readonly Effect[]
  before?: number
  /** Why, where it is not for the model to say. */
  reasons?: readonly Reason[]
  pinnedAt?: number
}

/** What a model may know of the visitor, in its own item indexes. */
export type Histories = (model: Live) => History

/** Whether anything speaks for what somebody might want: what was only taken back does not. */
export function isTelling({ values }: History): boolean {
  return values.some(value => value > 0)
}

export interface Wish {
  first: number
  excludeSeen: boolean
  filter?: ProductFilter
}

export const UNSCORED = 'nothing speaks for it'

/** Shown only where nothing else is left. */
export const DEMOTED = 'demoted by a person'

/** What a model, and what it is too old to know, offers for a list, before any rule. */
export class Candidates {
  constructor(
    private readonly models: LiveModels,
    private readonly newProducts: NewProducts,
  ) {}

  /** Whether nobody is asked after this model. */
  isLast(model: Live): boolean {
    const baseline = this.models.baseline<Recommender>(TASK)
    return !baseline || model === baseline
  }

  /**
   * Products of which the model has learned nothing, scored by what they are, for whoever is known by something; those that it ranks as high among the `known` without
   * that are left out.
   */
  async newcomers(model: Live, history: History, known: readonly Scored[]): Promise<Scored[]> {
    const scores = new Map(known.map(({ product, score }) => [product.key, score]))
    return (await this.unlearned(model, history, known)).filter(({ product, score }) => score > (scores.get(product.key) ?? 0))
  }

  private async unlearned(model: Live, history: History, known: readonly Scored[]): Promise<Scored[]> {
    // What somebody takes again and again is nothing new.
    if (history.items.length === 0 || model.algorithm === nameOf(RecommendationAlgorithm.REPEAT)) return []
    const { products, content } = await this.newProducts.for(model)
    if (products.length === 0) return []
    const scored = (product: ProductType, score: number, text: string, like: ProductType[]): Scored => {
      const reasons = [{ kind: 'content', text, weight: score, products: like }]
      return { index: -1, product, score, source: model, reasons }
    }
    const own = model.model.scoreNew?.(history, content)
    if (own) {
      return products.map((product, at) => scored(product, own[at], 'New, and like what this user chose', []))
    }
    return scoresByLikeness(products, known).map(({ product, score, like }) => {
      const speakers = like.slice(0, REASONS).map(each => each.product)
      return scored(product, score, `New, and like ${speakers.map(({ title }) => title).join(', ')}`, speakers)
    })
  }
}

/** How many products of a model are not among these. */
export function lacking(only: ReadonlySet<number>, { keys, indexOf }: Live): number {
  let known = 0
  for (const key of only) if (indexOf.has(key)) known++
  return keys.length - known
}

/** Candidates with newcomers among them; of a product that is both, the newcomer counts. */
export function joined(passed: readonly Scored[], newcomers: readonly Scored[]): Scored[] {
  const keys = new Set(newcomers.map(({ product }) => product.key))
  return [...passed.filter(({ product }) => !keys.has(product.key)), ...newcomers]
}

/** So deep a ranking is searched for what passes filters, before it is asked of the catalogue what passes. */
export const SEARCHED = 200

/** Likeness by content where the model knows it; else by categories and brand. */
export function likenessOf({ model }: Live): (a: Scored, b: Scored) => number {
  const { alike } = model
  return (a, b) => (alike && a.index >= 0 && b.index >= 0 ? alike(a.index, b.index) : similarity(a, b))
}

/** As models are called: "item-cf". */
export function nameOf(algorithm: RecommendationAlgorithm): string {
  return algorithm.toLowerCase().replaceAll('_', '-')
}

/** The baseline may show also what nothing speaks for. */
export function isUnscored(score: number, { algorithm }: Live): boolean {
  return score <= 0 && algorithm !== nameOf(RecommendationAlgorithm.POPULARITY)
}
