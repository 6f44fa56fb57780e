import DataLoader from 'dataloader'
import { LRUCache } from 'lru-cache'
import { requireScope, Scope } from '../graphql/auth.js'
import { type Connection, pageOf } from '../graphql/connection.js'
import type { Context } from '../graphql/context.js'
import { intIdOf, timeOf } from '../graphql/cursor.js'
import { intKeyOf } from '../graphql/node-id.js'
import { changesOf, type FieldChange } from '../graphql/upsert-preview.js'
import { createBatcher } from '../platform/batcher.js'
import { Conflict, InvalidInput, NotFound } from '../platform/errors.js'
import type { Signals } from '../platform/signals.js'
import { cleanVersion } from '../platform/upsert.js'
import type { CatalogueRepository, Demotion, ProductRow } from './catalogue.repository.js'
import { ProductType } from './catalogue.schema.js'
import { cleanProductFilter, type Passing, type ProductFilter } from './product-filter.js'
import { type CleanProduct, cleanProduct, cleanProductId, type ProductFacts } from './product-rules.js'

export interface ProductUpsertOptions {
  /** 0: the product must be new. Else the version that the caller has seen. */
  expectedVersion?: number | null
}

interface PageRequest {
  first: number
  after?: string
  where?: ProductFilter | null
}

/** Characters of products in memory: a hundred thousand of them with descriptions of half a page. */
const CACHED_CHARACTERS = 128 * 1024 * 1024
/** What a product takes besides its description. */
const PRODUCT_CHARACTERS = 500
/** After so long a product is read anew, whether it seems to have changed or not. */
const CACHE_TTL_MS = 60_000
/** How often changes are looked for, and how long nobody waits for it. */
const LOOK_MS = 2_500
const STALE_MS = 5_000
/** A change carries the time at which its transaction began; so long may one take. */
const LONGEST_TRANSACTION_SECONDS = 60
/** More changes than these, and all products are read anew. */
const MOST_CHANGES = 10_000
const LARGEST_READ = 5_000
const MOST_MATCHES = 5_000
const REMEMBERED_FILTERS = 200

/**
 * What the shop sells. Products are read from memory and stay there: every few seconds their changes are looked for, so that none is more than five seconds old,
 * and those that `catalogue.changed` names are read anew at once.
 */
export class CatalogueService {
  private readonly cache = new LRUCache<number, ProductType>({
    maxSize: CACHED_CHARACTERS,
    sizeCalculation: ({ description }) => PRODUCT_CHARACTERS + (description?.length ?? 0),
    ttl: CACHE_TTL_MS,
  })
  /** What filters that were asked of late let through. */
  private readonly matches = new LRUCache<string, Promise<ReadonlySet<number> | undefined>>({ max: REMEMBERED_FILTERS, ttl: STALE_MS })
  private readonly counts = new LRUCache<string, Promise<Passing>>({ max: REMEMBERED_FILTERS, ttl: STALE_MS })
  private lookedAt: number
  private looking: Promise<void> | undefined
  /** Versions of rows that the last look found: a change is found for a minute, and taken up once. */
  private noticed: ReadonlyMap<number, string> = new Map()
  /** Grows with every invalidation, so that a read which began before one is not kept after it. */
  private invalidations = 0
  private readonly unsubscribe: () => void
  /** One statement for all products that are missed at a time, by however many fields. */
  private readonly readOne = createBatcher((ids: number[]) => this.read(ids), { largestBatch: LARGEST_READ })

  constructor(
    private readonly products: CatalogueRepository,
    private readonly signals: Pick<Signals, 'announce' | 'on'>,
    private readonly accountCurrency: string,
    /** Milliseconds of a clock that never goes back. */
    private readonly now: () => number = () => performance.now(),
  ) {
    this.lookedAt = now()
    this.unsubscribe = signals.on('catalogue.changed', ({ productIds }) => this.forget(productIds))
  }

  /** Another number after every change that was noticed, for those who remember what they made of products. */
  get changes(): number {
    return this.invalidations
  }

  /** Looks for changes when it is time to. What it returns has to be awaited, as the last look is more than five seconds ago. */
  freshen(): Promise<void> | undefined {
    const age = this.now() - this.lookedAt
    if (age > LOOK_MS)
      this.looking ??= this.look(age).finally(() => {
        this.looking = undefined
      })
    return age > STALE_MS ? this.looking : undefined
  }

  /** The products of these internal ids; unknown ones are absent. */
  async byIds(ids: readonly number[]): Promise<Map<number, ProductType>> {
    const looking = this.freshen()
    if (looking) await looking
    const found = new Map<number, ProductType>()
    const missing: number[] = []
    for (const id of ids) {
      const product = this.cache.get(id)
      if (product) found.set(id, product)
      else missing.push(id)
    }
    for (const product of await Promise.all(missing.map(this.readOne))) if (product) found.set(product.key, product)
    return found
  }

  /**
   * Internal ids of the products that pass all of these filters, at most five seconds old; undefined when they are more than a few thousand, which are found sooner
   * by looking at the products one wants in their order.
   */
  async matching(filters: readonly ProductFilter[]): Promise<ReadonlySet<number> | undefined> {
    return remembered(this.matches, filters, async () => {
      const ids = await this.products.matching(filters, MOST_MATCHES + 1)
      return ids.length > MOST_MATCHES ? undefined : new Set(ids)
    })
  }

  /** Of the products that could be sold, how many these filters leave; at most five seconds old. */
  async passing(filters: readonly ProductFilter[]): Promise<Passing> {
    return remembered(this.counts, filters, () => this.products.passing(filters))
  }

  async byExternalIds(externalIds: readonly string[]): Promise<Map<string, ProductType>> {
    if (externalIds.length === 0) return new Map()
    return new Map((await this.products.byExternalIds(externalIds)).map(row => [row.externalId, ProductType.of(row)]))
  }

  async byExternalId(externalId: string): Promise<ProductType | null> {
    const id = cleanProductId(externalId)
    return (await this.byExternalIds([id])).get(id) ?? null
  }

  /** Internal ids by external id; what is missing is created as a stub, with its external id as title. */
  async ensureStubs(externalIds: readonly string[]): Promise<Map<string, number>> {
    const ids = externalIds.map(id => cleanProductId(id))
    const known = await this.byExternalIds(ids)
    const missing = ids.filter(id => !known.has(id))
    if (missing.length > 0) {
      await this.products.createMissing(missing)
      for (const [id, product] of await this.byExternalIds(missing)) known.set(id, product)
    }
    return new Map([...known].map(([id, product]) => [id, product.key]))
  }

  /** A product by the key inside its opaque id, for Query.node. Asks for catalogue:read. */
  async node(key: string, context: Context): Promise<ProductType | null> {
    requireScope(context.viewer, Scope.CATALOGUE_READ)
    const id = intKeyOf(key)
    return id === undefined ? null : this.load(context, id)
  }

  /** One product by internal id, batched with the request's other loads. */
  load(context: Context, id: number): Promise<ProductType | null> {
    return this.loader(context).load(id)
  }

  loader(context: Context): DataLoader<number, ProductType | null> {
    const read = async (ids: readonly number[]) => {
      const found = await this.byIds(ids)
      return ids.map(id => found.get(id) ?? null)
    }
    return context.loader('product', () => new DataLoader(read, { maxBatchSize: 1000 }))
  }

  async page({ first, after, where }: PageRequest): Promise<Connection<ProductType>> {
    const filter = cleanProductFilter(where ?? {})
    return pageOf<ProductRow, ProductType>({
      first,
      after,
      fetch: (cursor, limit) => this.products.page(filter, { limit, after: cursor && { createdAt: timeOf(cursor), id: intIdOf(cursor) } }),
      cursorOf: row => [row.createdAt.toISOString(), String(row.id)],
      nodeOf: row => ProductType.of(row),
      count: () => this.products.count(filter),
    })
  }

  /** Creates or changes a product; only the given facts change. A stub becomes a product when its title is given. */
  async upsert(facts: ProductFacts, options: ProductUpsertOptions = {}): Promise<ProductType> {
    const expectedVersion = cleanVersion(options.expectedVersion)
    const clean = cleanProduct(facts, this.accountCurrency)
    if (expectedVersion === 0 && !clean.isComplete) throw titleMissing()
    const row = await this.products.upsert({ ...clean, expectedVersion, mayCreate: clean.isComplete })
    if (!row) throw await this.refusal(clean, expectedVersion)
    this.forget([row.id])
    await this.signals.announce('catalogue.changed', { productIds: [row.id] })
    return ProductType.of(row)
  }

  /** Like `upsert`, and the request's loader forgets what it had read before. */
  async upsertIn(context: Context, input: ProductFacts & ProductUpsertOptions): Promise<ProductType> {
    const product = await this.upsert(input, input)
    this.loader(context).clear(product.key)
    return product
  }

  /** Demotes a product, or ends that: recommendations show it only where nothing else is left. Safe to repeat. */
  async demote(key: number, demoted: boolean, by: string, options: Demotion = {}): Promise<ProductType> {
    const row = await this.demoted(this.products, key, demoted, by, options)
    this.forget([row.id])
    await this.signals.announce('catalogue.changed', { productIds: [row.id] })
    return ProductType.of(row)
  }

  /** What `demote` would change, with all its checks and no effect. */
  async previewDemote(key: number, demoted: boolean, by: string, options: Demotion): Promise<{ creates: boolean; changes: FieldChange[] }> {
    const [before] = await this.products.byIds([key])
    const after = await this.products.rehearse(products => this.demoted(products, key, demoted, by, options))
    const [was, is] = [before, after].map(row => Boolean(row?.demotedAt))
    return { creates: false, changes: was === is ? [] : [{ field: 'demoted', before: was, after: is }] }
  }

  private async demoted(products: CatalogueRepository, key: number, demoted: boolean, by: string, options: Demotion): Promise<ProductRow> {
    const expectedVersion = cleanVersion(options.expectedVersion)
    const [before] = expectedVersion === undefined ? [] : await products.byIds([key])
    if (before && before.version !== expectedVersion) throw overtaken(before)
    const row = await products.demote(key, demoted, by, { ...options, expectedVersion })
    if (!row) throw new NotFound('No product has this id', {}, ['productId'])
    // Changed between the look and the write.
    if (expectedVersion !== undefined && Boolean(row.demotedAt) !== demoted) throw overtaken(row)
    return row
  }

  /** What `upsert` would do, with all its checks and no effect. */
  async preview(facts: ProductFacts, options: ProductUpsertOptions = {}): Promise<{ creates: boolean; changes: FieldChange[] }> {
    const expectedVersion = cleanVersion(options.expectedVersion)
    const clean = cleanProduct(facts, this.accountCurrency)
    const [row] = await this.products.byExternalIds([clean.externalId])
    const isRefused = expectedVersion === undefined ? !row && !clean.isComplete : expectedVersion !== (row?.version ?? 0)
    if (isRefused) throw await this.refusal(clean, expectedVersion)
    if (!row && !clean.isComplete) throw titleMissing()
    return { creates: !row, changes: changesOf(row, clean.changes) }
  }

  /** Drops products from memory; an empty list means all of them. */
  forget(productIds: readonly number[]): void {
    this.invalidations++
    this.matches.clear()
    this.counts.clear()
    if (productIds.length === 0) this.cache.clear()
    for (const id of productIds) this.cache.delete(id)
  }

  close(): void {
    this.unsubscribe()
  }

  /** Drops what was changed since the last look; everything when that cannot be known. */
  private async look(age: number): Promise<void> {
    const startedAt = this.now()
    try {
      const found = await this.products.changedWithin(age / 1000 + LONGEST_TRANSACTION_SECONDS, MOST_CHANGES)
      const changed = found.filter(({ id, row }) => this.noticed.get(id) !== row).map(({ id }) => id)
      this.noticed = new Map(found.map(({ id, row }) => [id, row]))
      if (found.length === MOST_CHANGES) this.forget([])
      else if (changed.length > 0) this.forget(changed)
    } catch {
      this.forget([])
    }
    this.lookedAt = startedAt
  }

  private async read(ids: number[]): Promise<(ProductType | undefined)[]> {
    const { invalidations } = this
    const products = new Map((await this.products.byIds([...new Set(ids)])).map(row => [row.id, ProductType.of(row)]))
    if (invalidations === this.invalidations) for (const product of products.values()) this.cache.set(product.key, product)
    return ids.map(id => products.get(id))
  }

  private async refusal({ externalId, isComplete }: CleanProduct, expectedVersion?: number) {
    const [row] = await this.products.byExternalIds([externalId])
    if (!row && expectedVersion !== undefined)
      return new NotFound('No product has this externalId; leave expectedVersion out to create one', { externalId }, ['externalId'])
    if (!row && !isComplete) return titleMissing()
    const sentence = expectedVersion === 0 ? 'This product exists already' : 'This product was changed in the meantime'
    return new Conflict(`${sentence}: it has version ${row?.version}`, 'VERSION_CONFLICT', { version: row?.version }, ['expectedVersion'])
  }
}

/** What is asked of the database for these filters, if it was not asked of late; a failed read is not remembered. */
function remembered<Value>(known: LRUCache<string, Promise<Value>>, filters: readonly ProductFilter[], read: () => Promise<Value>) {
  const key = JSON.stringify(filters, (_, value) => (typeof value === 'bigint' ? `${value}` : value))
  const found = known.get(key) ?? read()
  if (!known.has(key)) {
    known.set(key, found)
    found.catch(() => known.delete(key))
  }
  return found
}

function titleMissing() {
  return new InvalidInput('A new product needs a title', {}, ['title'])
}

function overtaken({ version }: ProductRow) {
  return new Conflict(`This product was changed in the meantime: it has version ${version}`, 'VERSION_CONFLICT', { version }, [
    'expectedVersion',
  ])
}
