import { LRUCache } from 'lru-cache'
import type { CatalogueService } from '../catalogue/catalogue.service.js'
import type { Live } from './candidates.js'
import { isUnlearned, likestOf } from './new-products.js'
import type { Visitor } from './recommendations.repository.js'
import type { Trail } from './trail.js'

/** A known product, and how alike it is, in [0, 1]. */
export interface StandIn {
  key: number
  likeness: number
}

const FRESH_MS = 60_000
const REMEMBERED = 10_000
/** Products that share the most categories and the brand are compared. */
const COMPARED = 500
const KEPT = 120
/** So many stand for one. */
const SUBSTITUTES = 3
/** Of very many products that a model does not know, the newest in a history count. */
const MOST = 20
const NAMED = 3
const LAST_ID = 2 ** 31 - 1

/**
 * Known products that are most like others, by categories, brand and words of the title. They stand in histories for products that came after the training of a
 * model, so that every algorithm reflects what somebody did with those.
 */
export class StandIns {
  private readonly known = new LRUCache<string, Promise<StandIn[]>>({ max: REMEMBERED, ttl: FRESH_MS })
  /** By the arrays of a visitor, which are the same until he does something (see `RecommendationsRepository`). */
  private readonly substituted = new WeakMap<Int32Array, { keys: Int32Array; until: number; substitution: Substitution }>()

  constructor(
    private readonly repository: {
      productsLike(ids: readonly number[], last: number, limit: number): Promise<{ of: number; id: number }[]>
    },
    private readonly catalogue: CatalogueService,
  ) {}

  /** Products like this one, the most alike first. */
  async like(product: number): Promise<StandIn[]> {
    return (await this.of([product], LAST_ID)).get(product) ?? []
  }

  /** Of these products those that the model knows, and what stands for the others. */
  async keysFor(model: Live, products: readonly number[]): Promise<number[]> {
    const isKnown = (product: number) => model.indexOf.has(product)
    const found = await this.of(
      products.filter(product => !isKnown(product)),
      lastOf(model.keys),
    )
    return [
      ...new Set(products.flatMap(product => (isKnown(product) ? [product] : firstOf(found.get(product), model).map(({ key }) => key)))),
    ]
  }

  /** The visitor as the model can know him; the same one where it knows all that he touched. */
  async visitorFor(model: Live, visitor: Visitor, trail: Trail): Promise<Visitor> {
    const { indexOf, keys } = model
    const unknown = Array.from(visitor.products.keys()).filter(at => !indexOf.has(visitor.products[at]))
    if (unknown.length === 0) return visitor
    const before = this.substituted.get(visitor.products)
    const isFresh = before?.keys === keys && performance.now() < before.until
    const substitution = isFresh ? before.substitution : await this.substitute(model, visitor, unknown.slice(-MOST))
    if (!isFresh) this.substituted.set(visitor.products, { keys, until: performance.now() + FRESH_MS, substitution })
    trail.rules.push(...substitution.told)
    return { ...substitution.visitor, personalisation: visitor.personalisation }
  }

  private async substitute(model: Live, visitor: Visitor, unknown: readonly number[]): Promise<Substitution> {
    const found = await this.of(
      unknown.map(at => visitor.products[at]),
      lastOf(model.keys),
    )
    const [products, weights, times] = [[...visitor.products], [...visitor.weights], [...visitor.times]]
    const replaced = unknown.flatMap(at => {
      const chosen = firstOf(found.get(visitor.products[at]), model)
      const whole = chosen.reduce((sum, { likeness }) => sum + likeness, 0)
      for (const { key, likeness } of chosen) {
        products.push(key)
        weights.push((visitor.weights[at] * likeness) / whole)
        times.push(visitor.times[at])
      }
      return chosen.length > 0 ? [{ product: visitor.products[at], by: chosen.map(({ key }) => key) }] : []
    })
    if (replaced.length === 0) return { visitor, told: [] }
    const named = replaced.slice(-NAMED)
    const titles = await this.catalogue.byIds(named.flatMap(({ product, by }) => [product, ...by]))
    const nameOf = (key: number) => titles.get(key)?.externalId ?? `#${key}`
    const told = named.map(({ product, by }) => `${nameOf(product)} came after the training: ${by.map(nameOf).join(', ')} stand for it`)
    const more = replaced.length - named.length
    return {
      visitor: { ...visitor, products: Int32Array.from(products), weights: Float32Array.from(weights), times: Float64Array.from(times) },
      told: more > 0 ? [...told, `So do others for ${more} products more`] : told,
    }
  }

  /** For each of these products those up to the `last` id that are like it. */
  private async of(products: readonly number[], last: number): Promise<Map<number, StandIn[]>> {
    const keyOf = (product: number) => `${last} ${product}`
    const missing = [...new Set(products)].filter(product => !this.known.has(keyOf(product)))
    if (missing.length > 0) {
      const read = this.read(missing, last)
      for (const product of missing) {
        const own = read.then(found => found.get(product) ?? [])
        own.catch(() => this.known.delete(keyOf(product)))
        this.known.set(keyOf(product), own)
      }
    }
    const found = await Promise.all(products.map(product => this.known.get(keyOf(product)) ?? []))
    return new Map(products.map((product, at) => [product, found[at]]))
  }

  private async read(products: readonly number[], last: number): Promise<Map<number, StandIn[]>> {
    const rows = await this.repository.productsLike(products, last, COMPARED)
    const all = await this.catalogue.byIds([...new Set(rows.flatMap(({ of, id }) => [of, id]))])
    return new Map(
      products.flatMap(key => {
        const product = all.get(key)
        if (!product) return []
        const candidates = rows.flatMap(row => (row.of === key ? (all.get(row.id) ?? []) : []))
        const like = likestOf(product, candidates, KEPT).map(({ product: other, likeness }): StandIn => ({ key: other.key, likeness }))
        return [[key, like] as const]
      }),
    )
  }
}

interface Substitution {
  visitor: Visitor
  told: string[]
}

/** Those of which the model has learned something. */
function firstOf(standIns: readonly StandIn[] | undefined, model: Live): readonly StandIn[] {
  return (standIns ?? []).filter(({ key }) => !isUnlearned(key, model)).slice(0, SUBSTITUTES)
}

function lastOf(keys: Int32Array): number {
  return keys[keys.length - 1] ?? 0
}
