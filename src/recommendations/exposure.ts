/** A product with what was shown of it. */
export interface Shown {
  categories: readonly string[]
  brand: string | null
  /** Units of currency; null where unknown. */
  price: number | null
  currency: string | null
  places: number
  /** Places, each weighed by 1 / log₂(rank + 1). */
  attention: number
  impressions: number
}

export interface Share {
  key: string
  places: number
  share: number
  attentionShare: number
  catalogueShare: number
  impressionShare: number | null
}

const MOST = 50
const BANDS = 5
const NONE = '(none)'

export type Dimension = (product: Shown) => readonly string[]

/** Shares of what was shown by whatever `keysOf` says; a product with several keys counts in each by its part. Largest first. */
export function sharesBy(products: readonly Shown[], keysOf: Dimension): Share[] {
  const sums = new Map<string, { places: number; attention: number; impressions: number; products: number }>()
  const all = { places: 0, attention: 0, impressions: 0, products: 0 }
  for (const product of products) {
    const keys = keysOf(product)
    for (const key of keys) {
      const sum = sums.get(key) ?? { places: 0, attention: 0, impressions: 0, products: 0 }
      sums.set(key, sum)
      for (const each of [sum, all]) {
        each.places += product.places / keys.length
        each.attention += product.attention / keys.length
        each.impressions += product.impressions / keys.length
        each.products += 1 / keys.length
      }
    }
  }
  const share = (part: number, whole: number) => (whole > 0 ? part / whole : 0)
  return [...sums]
    .map(([key, sum]) => ({
      key,
      places: sum.places,
      share: share(sum.places, all.places),
      attentionShare: share(sum.attention, all.attention),
      catalogueShare: share(sum.products, all.products),
      impressionShare: all.impressions > 0 ? sum.impressions / all.impressions : null,
    }))
    .sort((a, b) => b.places - a.places || b.catalogueShare - a.catalogueShare || (a.key < b.key ? -1 : 1))
}

export function byCategory(products: readonly Shown[]): Share[] {
  return sharesBy(products, ({ categories }) => (categories.length > 0 ? categories : [NONE])).slice(0, MOST)
}

export function byBrand(products: readonly Shown[]): Share[] {
  return sharesBy(products, ({ brand }) => [brand ?? NONE]).slice(0, MOST)
}

/** Fifths of the catalogue by price, cheapest first; products without a price last. */
export function byPriceBand(products: readonly Shown[]): Share[] {
  const prices = products.flatMap(({ price }) => (price === null ? [] : [price])).sort((a, b) => a - b)
  const currency = products.find(product => product.currency)?.currency ?? ''
  const edges = [...new Set(Array.from({ length: BANDS - 1 }, (_, at) => prices[Math.floor(((at + 1) * prices.length) / BANDS)]))]
  const bandOf = (price: number) => edges.filter(edge => price >= edge).length
  const nameOf = (band: number) => {
    const [low, high] = [edges[band - 1], edges[band]]
    if (low === undefined && high === undefined) return `any price ${currency}`.trim()
    if (low === undefined) return `below ${high.toFixed(2)} ${currency}`.trim()
    return `${low.toFixed(2)}${high === undefined ? ' and more' : ` to below ${high.toFixed(2)}`} ${currency}`.trim()
  }
  const order = new Map([...Array(edges.length + 1).keys()].map(band => [nameOf(band), band]))
  return sharesBy(products, ({ price }) => [price === null ? NONE : nameOf(bandOf(price))]).sort(
    (a, b) => (order.get(a.key) ?? edges.length + 1) - (order.get(b.key) ?? edges.length + 1),
  )
}
