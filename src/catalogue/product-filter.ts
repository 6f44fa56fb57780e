import { InvalidInput } from '../platform/errors.js'
import { cleanOptionalText, escapeLike } from '../platform/text-input.js'

/** Conditions on products; all that are given must hold. The same ones filter lists (SQL) and recommendations (in memory). */
export interface ProductFilter {
  category?: string | null
  brand?: string | null
  /** Part of the title, in any case, or the beginning of the external id. */
  search?: string | null
  /** true: at least one, or not counted. */
  inStock?: boolean | null
  priceMinMicros?: bigint | null
  priceMaxMicros?: bigint | null
  stub?: boolean | null
}

interface Filterable {
  externalId: string
  title: string
  categories: string[]
  brand: string | null
  stock: number | null
  stub: boolean
  price: { amountMicros: bigint } | null
}

const MOST = 2n ** 63n - 1n

/** Checks a filter that a client sent. */
export function cleanProductFilter({ category, brand, search, priceMinMicros, priceMaxMicros, ...rest }: ProductFilter): ProductFilter {
  const text = (value: string | null | undefined, field: string) =>
    cleanOptionalText(value, { field: ['where', field], max: 200, min: 0, trim: false })
  return {
    ...rest,
    category: text(category, 'category'),
    brand: text(brand, 'brand'),
    search: text(search, 'search'),
    priceMinMicros: cleanMicros(priceMinMicros, 'priceMinMicros'),
    priceMaxMicros: cleanMicros(priceMaxMicros, 'priceMaxMicros'),
  }
}

/** The filter as a test of one product in memory; undefined when every product passes. */
export function productTest(filter: ProductFilter | null | undefined): ((product: Filterable) => boolean) | undefined {
  const { category, brand, search, inStock, priceMinMicros, priceMaxMicros, stub } = filter ?? {}
  const tests: ((product: Filterable) => boolean)[] = []
  if (isGiven(category)) tests.push(product => product.categories.includes(category))
  if (isGiven(brand)) tests.push(product => product.brand === brand)
  if (search) tests.push(product => product.title.toLowerCase().includes(search.toLowerCase()) || product.externalId.startsWith(search))
  if (isGiven(inStock)) tests.push(product => (product.stock !== 0) === inStock)
  if (isGiven(priceMinMicros)) tests.push(({ price }) => price !== null && price.amountMicros >= priceMinMicros)
  if (isGiven(priceMaxMicros)) tests.push(({ price }) => price !== null && price.amountMicros <= priceMaxMicros)
  if (isGiven(stub)) tests.push(product => product.stub === stub)
  return tests.length > 0 ? product => tests.every(test => test(product)) : undefined
}

/** The filter as SQL conditions on "Product" with their parameters. */
export function productConditions({ category, brand, search, inStock, priceMinMicros, priceMaxMicros, stub }: ProductFilter) {
  const conditions: string[] = []
  const values: unknown[] = []
  const add = (value: unknown, condition: (parameter: string) => string) => {
    if (isGiven(value)) conditions.push(condition(`$${values.push(value)}`))
  }
  add(category, parameter => `categories @> ARRAY[${parameter}::text]`)
  add(brand, parameter => `brand = ${parameter}`)
  add(
    search ? escapeLike(search) : undefined,
    parameter => `(title ILIKE '%' || ${parameter} || '%' OR "externalId" LIKE ${parameter} || '%')`,
  )
  add(inStock, parameter => `(stock IS DISTINCT FROM 0) = ${parameter}::bool`)
  add(priceMinMicros, parameter => `"priceMicros" >= ${parameter}::bigint`)
  add(priceMaxMicros, parameter => `"priceMicros" <= ${parameter}::bigint`)
  add(stub, parameter => `stub = ${parameter}::bool`)
  return { conditions, values }
}

function cleanMicros(micros: bigint | null | undefined, field: string): bigint | null | undefined {
  if (!isGiven(micros)) return micros
  const value = BigInt(micros)
  if (value >= 0n && value <= MOST) return value
  throw new InvalidInput(`${field} must be from 0 to ${MOST} micros`, {}, ['where', field])
}

function isGiven<Value>(value: Value | null | undefined): value is Value {
  return value !== null && value !== undefined
}
