import { InvalidInput } from '../platform/errors.js'
import { cleanOptionalText, cleanText, escapeLike } from '../platform/text-input.js'

/** Conditions on products; all that are given must hold. The same ones filter lists (SQL) and recommendations (in memory). */
export interface ProductFilter {
  category?: string | null
  brand?: string | null
  /** Words, or parts of words, that the title has in any order and case; or the beginning of the external id. */
  search?: string | null
  /** true: at least one, or not counted. */
  inStock?: boolean | null
  priceMinMicros?: bigint | null
  priceMaxMicros?: bigint | null
  stub?: boolean | null
  marginShareMin?: number | null
  /** Each must be there, with the value where one is given. */
  attributes?: readonly AttributeFilter[] | null
}

export interface AttributeFilter {
  name: string
  /** As text; of an attribute that is a list one of its entries. */
  value?: string | null
}

/** How many products filters leave, each alone and each together with those before it. */
export interface Passing {
  products: number
  alone: number[]
  together: number[]
}

interface Filterable {
  externalId: string
  title: string
  categories: string[]
  brand: string | null
  stock: number | null
  stub: boolean
  price: { amountMicros: bigint } | null
  marginShare: number | null
  attributes: unknown
}

const MOST = 2n ** 63n - 1n
const MOST_ATTRIBUTES = 10

/** Checks a filter that a client sent. */
export function cleanProductFilter({ category, brand, search, priceMinMicros, priceMaxMicros, ...rest }: ProductFilter): ProductFilter {
  const { marginShareMin, attributes } = rest
  if (isGiven(marginShareMin) && !(marginShareMin >= 0 && marginShareMin <= 1))
    throw new InvalidInput('marginShareMin must be from 0 to 1', {}, ['where', 'marginShareMin'])
  const text = (value: string | null | undefined, field: string) =>
    cleanOptionalText(value, { field: ['where', field], max: 200, min: 0, trim: false })
  return {
    ...rest,
    ...(attributes ? { attributes: cleanAttributes(attributes) } : {}),
    category: text(category, 'category'),
    brand: text(brand, 'brand'),
    search: text(search, 'search'),
    priceMinMicros: cleanMicros(priceMinMicros, 'priceMinMicros'),
    priceMaxMicros: cleanMicros(priceMaxMicros, 'priceMaxMicros'),
  }
}

/** The filter as a test of one product in memory; undefined when every product passes. */
export function productTest(filter: ProductFilter | null | undefined): ((product: Filterable) => boolean) | undefined {
  const { category, brand, search, inStock, priceMinMicros, priceMaxMicros, stub, marginShareMin, attributes } = filter ?? {}
  const tests: ((product: Filterable) => boolean)[] = []
  if (isGiven(category)) tests.push(product => product.categories.includes(category))
  if (isGiven(brand)) tests.push(product => product.brand === brand)
  const words = wordsOf(search)
  if (words.length > 0)
    tests.push(({ title, externalId }) => {
      const lower = title.toLowerCase()
      return words.every(word => lower.includes(word.toLowerCase())) || externalId.startsWith(search as string)
    })
  if (isGiven(inStock)) tests.push(product => (product.stock !== 0) === inStock)
  if (isGiven(priceMinMicros)) tests.push(({ price }) => price !== null && price.amountMicros >= priceMinMicros)
  if (isGiven(priceMaxMicros)) tests.push(({ price }) => price !== null && price.amountMicros <= priceMaxMicros)
  if (isGiven(stub)) tests.push(product => product.stub === stub)
  if (isGiven(marginShareMin)) tests.push(({ marginShare }) => marginShare !== null && marginShare >= marginShareMin)
  for (const attribute of attributes ?? []) tests.push(product => hasAttribute(product.attributes, attribute))
  return tests.length > 0 ? product => tests.every(test => test(product)) : undefined
}

/** Whether a product's attributes have this one. */
export function hasAttribute(attributes: unknown, { name, value }: AttributeFilter): boolean {
  if (typeof attributes !== 'object' || attributes === null || !Object.hasOwn(attributes, name)) return false
  const stored = (attributes as Record<string, unknown>)[name]
  if (!isGiven(value)) return stored !== null
  return Array.isArray(stored) ? stored.some(each => String(each) === value) : isGiven(stored) && String(stored) === value
}

/** The filter as SQL conditions on "Product" with their parameters. */
export function productConditions(filter: ProductFilter) {
  const { category, brand, search, inStock, priceMinMicros, priceMaxMicros, stub, marginShareMin, attributes } = filter
  const conditions: string[] = []
  const values: unknown[] = []
  const add = (value: unknown, condition: (parameter: string) => string) => {
    if (isGiven(value)) conditions.push(condition(`$${values.push(value)}`))
  }
  add(category, parameter => `categories @> ARRAY[${parameter}::text]`)
  add(brand, parameter => `brand = ${parameter}`)
  const words = wordsOf(search).map(word => `%${escapeLike(word)}%`)
  add(
    words.length > 0 ? words : undefined,
    parameter => `(title ILIKE ALL(${parameter}::text[]) OR "externalId" LIKE $${values.push(escapeLike(search as string))} || '%')`,
  )
  add(inStock, parameter => `(stock IS DISTINCT FROM 0) = ${parameter}::bool`)
  add(priceMinMicros, parameter => `"priceMicros" >= ${parameter}::bigint`)
  add(priceMaxMicros, parameter => `"priceMicros" <= ${parameter}::bigint`)
  add(stub, parameter => `stub = ${parameter}::bool`)
  add(marginShareMin, parameter => `"marginShare" >= ${parameter}::float8`)
  for (const { name, value } of attributes ?? []) {
    const stored = `attributes->$${values.push(name)}::text`
    if (!isGiven(value)) conditions.push(`${stored} <> 'null'`)
    else add(value, parameter => attributeCondition(stored, parameter))
  }
  return { conditions, values }
}

function wordsOf(search: string | null | undefined): string[] {
  return (search ?? '').split(/\s+/).filter(Boolean)
}

/** As text, or of a list one of its entries. */
function attributeCondition(stored: string, parameter: string): string {
  return `CASE jsonb_typeof(${stored}) WHEN 'array' THEN EXISTS (SELECT 1 FROM jsonb_array_elements_text(${stored}) each WHERE each = ${parameter}::text)
    WHEN 'null' THEN false ELSE ${stored} #>> '{}' = ${parameter}::text END`
}

function cleanAttributes(attributes: readonly AttributeFilter[]): AttributeFilter[] {
  if (attributes.length > MOST_ATTRIBUTES)
    throw new InvalidInput(`attributes must be at most ${MOST_ATTRIBUTES}`, {}, ['where', 'attributes'])
  return attributes.map(({ name, value }, at) => ({
    name: cleanText(name, { field: ['where', 'attributes', String(at), 'name'], max: 100, trim: false }),
    value: cleanOptionalText(value, { field: ['where', 'attributes', String(at), 'value'], max: 200, min: 0, trim: false }),
  }))
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
