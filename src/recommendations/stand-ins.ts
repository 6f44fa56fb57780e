import { LRUCache } from 'lru-cache'
import type { CatalogueService } from '../catalogue/catalogue.service.js'
import type { Live } from './candidates.js'
import { FEW, likestOf } from './new-products.js'
import type { Visitor } from './recommendations.repository.js'
import type { Trail } from './trail.js'

/** A known product, and how alike it is, in [0, 1]. */
export interface StandIn {
  key: number
  likeness: number
  /** Hardly anything is known of it either. */
  isUntouched: boolean
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
      productsLike(ids: readonly number[], last: number, limit: number, few: number): Promise<Like[]>
    },
    private readonly catalogue: CatalogueService,
  ) {}

  /** Products like this one, the most alike first. */
  async like(product: number): Promise<StandIn[]> {
    return (await this.of([product], LAST_ID)).get(product) ?? []
  }

  /** Of these products those that the model knows, and what stands for the others. */
  async keysFor({ indexOf, keys }: Live, products: readonly number[]): Promise<number[]> {
    const found = await this.of(
      products.filter(product => !indexOf.has(product)),
      lastOf(keys),
    )
    return [
      ...new Set(
        products.flatMap(product => (indexOf.has(product) ? [product] : firstOf(found.get(product), indexOf).map(({ key }) => key))),
      ),
    ]
  }

  /** The visitor as the model can know him; the same one where it knows all that he touched. */
  async visitorFor({ indexOf, keys }: Live, visitor: Visitor, trail: Trail): Promise<Visitor> {
    const unknown = Array.from(visitor.products.keys()).filter(at => !indexOf.has(visitor.products[at]))
    if (unknown.length === 0) return visitor
    const before = this.substituted.get(visitor.products)
    const isFresh = before?.keys === keys && performance.now() < before.until
    const substitution = isFresh ? before.substitution : await this.substitute({ keys, indexOf }, visitor, unknown.slice(-MOST))
    if (!isFresh) this.substituted.set(visitor.products, { keys, until: performance.now() + FRESH_MS, substitution })
    trail.rules.push(...substitution.told)
    return { ...substitution.visitor, personalisation: visitor.personalisation }
  }

  private async substitute(
    { keys, indexOf }: Pick<Live, 'keys' | 'indexOf'>,
    visitor: Visitor,
    unknown: readonly number[],
  ): Promise<Substitution> {
    const found = await this.of(
      unknown.map(at => visitor.products[at]),
      lastOf(keys),
    )
    const [products, weights, times] = [[...visitor.products], [...visitor.weights], [...visitor.times]]
    const replaced = unknown.flatMap(at => {
      const chosen = firstOf(found.get(visitor.products[at]), indexOf)
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
    const rows = await this.repository.productsLike(products, last, COMPARED, FEW)
    const all = await this.catalogue.byIds([...new Set(rows.flatMap(({ of, id }) => [of, id]))])
    return new Map(
      products.flatMap(key => {
        const product = all.get(key)
        if (!product) return []
        // Of equals those of which something is known.
        const own = rows.filter(row => row.of === key).sort((a, b) => Number(a.isUntouched) - Number(b.isUntouched))
        const untouched = new Set(own.filter(({ isUntouched }) => isUntouched).map(({ id }) => id))
        const candidates = own.flatMap(({ id }) => all.get(id) ?? [])
        const like = likestOf(product, candidates, KEPT).map(({ product: other, likeness }): StandIn => {
          return { key: other.key, likeness, isUntouched: untouched.has(other.key) }
        })
        return [[key, like] as const]
      }),
    )
  }
}

interface Like {
  of: number
  id: number
  isUntouched: boolean
}

interface Substitution {
  visitor: Visitor
  told: string[]
}

function firstOf(standIns: readonly StandIn[] | undefined, known: Live['indexOf']): readonly StandIn[] {
  return (standIns ?? []).filter(({ key, isUntouched }) => !isUntouched && known.has(key)).slice(0, SUBSTITUTES)
}

function lastOf(keys: Int32Array): number {
  return keys[keys.length - 1] ?? 0
}
