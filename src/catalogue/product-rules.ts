import { InvalidInput } from '../platform/errors.js'
import { cleanJsonObject, cleanOptionalText, cleanText } from '../platform/text-input.js'
import type { ColumnChange } from '../platform/upsert.js'

/** What may be said about a product; undefined leaves a fact as it is, null clears it. */
export interface ProductFacts {
  externalId: string
  title?: string | null
  description?: string | null
  categories?: string[] | null
  brand?: string | null
  price?: { amountMicros: bigint | number; currencyCode?: string | null } | null
  marginShare?: number | null
  stock?: number | null
  attributes?: unknown
}

export interface CleanProduct {
  externalId: string
  changes: Record<string, ColumnChange>
  /** A product is created only by whoever knows its title. */
  isComplete: boolean
}

/** Above this a number of JavaScript no longer counts single micros. */
const MOST_MICROS = BigInt(Number.MAX_SAFE_INTEGER)
const MOST_CATEGORIES = 20
const MOST_STOCK = 2_147_483_647
const ATTRIBUTES_BYTES = 32_768
const currencies = new Set(Intl.supportedValuesOf('currency'))

/** The columns that a product's facts change, checked; throws `InvalidInput` that names the field. */
export function cleanProduct(facts: ProductFacts, accountCurrency: string): CleanProduct {
  const externalId = cleanProductId(facts.externalId)
  const title = cleanTitle(facts.title)
  const price = cleanPrice(facts.price, accountCurrency)
  const facets: Record<string, ColumnChange> = {
    title: { value: title, type: 'text' },
    stub: { value: title === undefined ? undefined : false, type: 'bool' },
    description: { value: cleanOptionalText(facts.description, { field: 'description', max: 20_000 }), type: 'text' },
    categories: { value: cleanCategories(facts.categories), type: 'text[]' },
    brand: { value: cleanOptionalText(facts.brand, { field: 'brand', max: 200 }), type: 'text' },
    priceMicros: { value: price?.micros, type: 'bigint' },
    currencyCode: { value: price?.currency, type: 'char(3)' },
    marginShare: { value: cleanShare(facts.marginShare), type: 'float8' },
    stock: { value: cleanStock(facts.stock), type: 'int' },
    attributes: { value: cleanAttributes(facts.attributes), type: 'jsonb' },
  }
  const changes = Object.fromEntries(Object.entries(facets).filter(([, { value }]) => value !== undefined))
  return { externalId, changes, isComplete: title !== undefined }
}

/** Identifiers are kept to the letter, blanks included: they are the shop's, not ours. */
export function cleanProductId(value: string, field = 'externalId'): string {
  return cleanText(value, { field, max: 200, trim: false })
}

/** The ISO 4217 code, in use or once in use, that a text is in any case of letters; undefined when it is none. */
export function currencyNamed(value: unknown): string | undefined {
  const code = typeof value === 'string' ? value.toUpperCase() : ''
  return currencies.has(code) ? code : undefined
}

export function cleanCurrency(value: string, field: string | string[] = 'currencyCode'): string {
  const code = currencyNamed(value)
  if (code !== undefined) return code
  throw new InvalidInput('currencyCode must be an ISO 4217 code such as EUR or CNY', {}, [field].flat())
}

function cleanTitle(title: string | null | undefined): string | undefined {
  if (title === null) throw new InvalidInput('title cannot be cleared', {}, ['title'])
  return cleanOptionalText(title, { field: 'title', max: 500 })
}

function cleanCategories(categories: string[] | null | undefined): string[] | undefined {
  if (categories === undefined) return undefined
  const names = (categories ?? []).map((name, index) => cleanText(name, { field: ['categories', String(index)], max: 200 }))
  const distinct = [...new Set(names)]
  if (distinct.length <= MOST_CATEGORIES) return distinct
  throw new InvalidInput(`categories must be at most ${MOST_CATEGORIES}, not ${distinct.length}`, {}, ['categories'])
}

/** undefined leaves the price, null clears amount and currency. */
function cleanPrice(price: ProductFacts['price'], accountCurrency: string) {
  if (price === undefined) return undefined
  if (price === null) return { micros: null, currency: null }
  const micros = BigInt(price.amountMicros)
  if (micros < 0n) throw new InvalidInput(`The price must not be negative: ${micros}`, {}, ['price', 'amountMicros'])
  if (micros > MOST_MICROS) throw new InvalidInput(`The price must be at most ${MOST_MICROS} micros`, {}, ['price', 'amountMicros'])
  return { micros, currency: cleanCurrency(price.currencyCode ?? accountCurrency, ['price', 'currencyCode']) }
}

function cleanShare(share: number | null | undefined): number | null | undefined {
  if (share === null || share === undefined || (share >= 0 && share <= 1)) return share
  throw new InvalidInput(`marginShare must be between 0 and 1, not ${share}`, {}, ['marginShare'])
}

function cleanStock(stock: number | null | undefined): number | null | undefined {
  if (stock === null || stock === undefined || (Number.isInteger(stock) && stock >= 0 && stock <= MOST_STOCK)) return stock
  throw new InvalidInput(`stock must be a whole number from 0 to ${MOST_STOCK}, not ${stock}`, {}, ['stock'])
}

function cleanAttributes(attributes: unknown): string | undefined {
  if (attributes === undefined) return undefined
  return JSON.stringify(attributes === null ? {} : cleanJsonObject(attributes, { field: 'attributes', maxBytes: ATTRIBUTES_BYTES }))
}
