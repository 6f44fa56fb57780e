import type { Content } from '../algorithms/recommend/content.js'
import { wordsOf } from '../algorithms/recommend/content.js'
import type { ProductType } from '../catalogue/catalogue.schema.js'
import type { CatalogueService } from '../catalogue/catalogue.service.js'
import type { LiveModel } from '../registry/live-models.js'
import { factsOf } from './recommendations.repository.js'

/** Newest ones that are considered; a model that is older than so many products is due for training. */
export const MOST_NEW = 200
const DESCRIPTION = 2_000
/** Less in common is chance. */
const LEAST_LIKENESS = 0.2
const NEIGHBOURS = 10

export interface Ranked {
  product: ProductType
  score: number
}

export interface Newcomer extends Ranked {
  /** The known products that speak for it, the one that speaks most first. */
  like: readonly Ranked[]
}

/** Fewer people than these tell nothing of a product. */
const FEW = 5

/** What a model has learned nothing of. */
export interface Unlearned {
  products: readonly ProductType[]
  content: Content
}

type Taught = Pick<LiveModel, 'keys' | 'indexOf' | 'taught'>

/** Whether the model does not know the product, or was taught of it by hardly anybody. */
export function isUnlearned(key: number, { indexOf, taught }: Pick<LiveModel, 'indexOf' | 'taught'>): boolean {
  const index = indexOf.get(key)
  return index === undefined || (taught !== undefined && taught[index] < FEW)
}

/** Products that came after the training of a model, or that hardly anybody had touched by then; they are recommendable by what they are. */
export class NewProducts {
  private newest?: { changes: number; products: Promise<ProductType[]> }
  /** The same array as long as the newest products are the same. */
  private before: ProductType[] = []
  private readonly unlearned = new WeakMap<Int32Array, { of: readonly ProductType[]; found: Unlearned }>()

  constructor(
    private readonly repository: { newestProducts(limit: number): Promise<number[]> },
    private readonly catalogue: CatalogueService,
  ) {}

  /** Of the newest products those that a model has learned nothing of. */
  async for(model: Taught): Promise<Unlearned> {
    await this.catalogue.freshen()
    const { changes } = this.catalogue
    if (this.newest?.changes !== changes) {
      const products = this.read()
      this.newest = { changes, products }
      products.catch(() => {
        this.newest = undefined
      })
    }
    const newest = await this.newest.products
    const known = this.unlearned.get(model.keys)
    if (known?.of === newest) return known.found
    const products = newest.filter(({ key }) => isUnlearned(key, model))
    const found = { products, content: contentOf(products) }
    this.unlearned.set(model.keys, { of: newest, found })
    return found
  }

  private async read(): Promise<ProductType[]> {
    const ids = await this.repository.newestProducts(MOST_NEW)
    const found = await this.catalogue.byIds(ids)
    const products = ids.flatMap(id => found.get(id) ?? [])
    const isSame = products.length === this.before.length && products.every((product, at) => product === this.before[at])
    if (!isSame) this.before = products
    return this.before
  }
}

/** What products are, as content-based algorithms read it. */
export function contentOf(products: readonly ProductType[]): Content {
  return {
    titles: products.map(({ title }) => title),
    descriptions: products.map(({ description }) => description?.slice(0, DESCRIPTION) ?? null),
    categories: products.map(({ categories }) => categories),
    brands: products.map(({ brand }) => brand),
    prices: Float64Array.from(products, ({ price }) => (price ? Number(price.amountMicros) / 1e6 : Number.NaN)),
    attributes: products.map(({ attributes }) => factsOf(attributes)),
  }
}

/**
 * Scores of new products on the scale of a model that knows only behaviour: the mean score of the known products they are most like, weighted by likeness, and
 * times the largest likeness, so that a newcomer never stands above what speaks for it. Likeness is by words of the title, categories and brand.
 */
export function scoresByLikeness(newcomers: readonly ProductType[], known: readonly Ranked[]): Newcomer[] {
  const candidates = new Map(known.map(each => [each.product, each]))
  const speakers = new Map<ProductType, (Ranked & { likeness: number })[]>()
  for (const candidate of [...candidates.values()].sort((a, b) => b.score - a.score)) {
    for (const { product, likeness } of newcomersLike(candidate.product, newcomers)) {
      const found = speakers.get(product) ?? []
      speakers.set(product, found)
      found.push({ ...candidate, likeness })
    }
  }
  return [...speakers].map(([product, found]) => {
    const nearest = found.sort((a, b) => b.likeness - a.likeness).slice(0, NEIGHBOURS)
    const weight = nearest.reduce((sum, each) => sum + each.likeness, 0)
    const mean = nearest.reduce((sum, each) => sum + each.likeness * each.score, 0) / weight
    return { product, score: mean * nearest[0].likeness, like: nearest }
  })
}

const alike = new WeakMap<readonly ProductType[], WeakMap<ProductType, readonly Likeness[]>>()

/** The newcomers that have something in common with a product; it is the same for whoever is shown the product, so it is found once. */
function newcomersLike(product: ProductType, newcomers: readonly ProductType[]): readonly Likeness[] {
  const known = alike.get(newcomers) ?? new WeakMap<ProductType, readonly Likeness[]>()
  alike.set(newcomers, known)
  const before = known.get(product)
  if (before) return before
  const lists = listsOf(newcomers)
  const facts = [...factsOfKind(product), ...traitsOf(product).words]
  const found = likestOf(product, [...new Set(facts.flatMap(fact => lists.get(fact) ?? []))], newcomers.length)
  known.set(product, found)
  return found
}

const listed = new WeakMap<readonly ProductType[], ReadonlyMap<string, readonly ProductType[]>>()

/** Products by category and brand, and those that have neither by the words of their titles: most pairs have nothing in common and need not be looked at. */
function listsOf(products: readonly ProductType[]): ReadonlyMap<string, readonly ProductType[]> {
  const known = listed.get(products)
  if (known) return known
  const lists = new Map<string, ProductType[]>()
  for (const product of products) {
    const facts = factsOfKind(product)
    for (const fact of facts.length > 0 ? facts : traitsOf(product).words) {
      const list = lists.get(fact) ?? []
      lists.set(fact, list)
      list.push(product)
    }
  }
  listed.set(products, lists)
  return lists
}

function factsOfKind({ categories, brand }: ProductType): string[] {
  return [...categories.map(category => `category:${category}`), ...(brand === null ? [] : [`brand:${brand}`])]
}

interface Likeness {
  product: ProductType
  likeness: number
}

/** The candidates that are most like a product, the most alike first, of equals as they came; those that have little in common are left out. */
export function likestOf(product: ProductType, candidates: readonly ProductType[], most: number): Likeness[] {
  const own = traitsOf(product)
  return candidates
    .map(each => ({ product: each, likeness: likeness(own, traitsOf(each)) }))
    .filter(each => each.product.key !== product.key && each.likeness >= LEAST_LIKENESS)
    .sort((a, b) => b.likeness - a.likeness)
    .slice(0, most)
}

/** Of two facts of a kind the overlap: categories ½, brand ¼, words of the title ¼. */
function likeness(a: Traits, b: Traits): number {
  return 0.5 * overlap(a.categories, b.categories) + (a.brand !== null && a.brand === b.brand ? 0.25 : 0) + 0.25 * overlap(a.words, b.words)
}

interface Traits {
  categories: ReadonlySet<string>
  words: ReadonlySet<string>
  brand: string | null
}

/** A product that changed is another object. */
const traits = new WeakMap<ProductType, Traits>()

function traitsOf(product: ProductType): Traits {
  const { categories, brand, title } = product
  const known = traits.get(product) ?? { categories: new Set(categories), brand, words: new Set(wordsOf(title)) }
  traits.set(product, known)
  return known
}

function overlap(a: ReadonlySet<string>, b: ReadonlySet<string>): number {
  let common = 0
  for (const each of a) if (b.has(each)) common++
  const all = a.size + b.size - common
  return all > 0 ? common / all : 0
}
