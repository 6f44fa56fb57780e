import type { AspectHints } from '../algorithms/text/analysis.js'
import { MentionIndex } from '../algorithms/text/mentions.js'
import type { Pool } from '../platform/pool.js'
import type { ReviewsRepository } from './reviews.repository.js'

const FRESH_MS = 60_000
const MINED_TEXTS = 5_000
const MINED_TERMS = 40
const MOST_CATEGORIES = 200

export interface Mention {
  brand: string | null
  productId: number | null
}

/** What helps to read a text: aspects that its category's reviews were found to speak of, and the names of brands and products. */
export class AspectHintsSource {
  private mined = new Map<string, readonly string[]>()
  private brands = new MentionIndex<string>([])
  private titles = new MentionIndex<number>([])
  private readAt = Number.NEGATIVE_INFINITY

  constructor(
    private readonly repository: ReviewsRepository,
    private readonly pool: Pool,
    private readonly now: () => number = Date.now,
  ) {}

  of(category: string | null): AspectHints {
    return { category: category ?? undefined, mined: (category !== null && this.mined.get(category)) || [] }
  }

  /** Brings names and aspects up to date, at most once a minute. */
  async refresh(): Promise<void> {
    if (this.now() - this.readAt < FRESH_MS) return
    this.readAt = this.now()
    const [mined, names] = [await this.repository.minedAspects(), await this.repository.names()]
    this.mined = new Map(Object.entries(mined))
    this.brands = new MentionIndex(names.flatMap(({ brand }) => (brand ? [[brand, brand] as const] : [])))
    this.titles = new MentionIndex(names.map(({ title, id }) => [title, id] as const))
  }

  /** The next refresh reads anew. */
  forget(): void {
    this.readAt = Number.NEGATIVE_INFINITY
  }

  /** The brand and the product that a text names, the longest name of each. */
  mention(text: string): Mention {
    return { brand: this.brands.find(text) ?? null, productId: this.titles.find(text) ?? null }
  }

  /** Mines the aspects of each category anew from its newest reviews. */
  async mine(signal?: AbortSignal): Promise<string> {
    const categories = await this.repository.categories(MOST_CATEGORIES)
    const found: Record<string, string[]> = {}
    for (const category of categories) {
      const texts = await this.repository.textsOf(category, MINED_TEXTS)
      const { result } = await this.pool.run<{ terms: string[] }>(
        { family: 'text', function: 'mineTerms', args: [{ texts, limit: MINED_TERMS }] },
        signal,
      )
      found[category] = result.terms
    }
    await this.repository.keepMinedAspects(found)
    this.forget()
    return `Mined ${Object.values(found).reduce((sum, terms) => sum + terms.length, 0)} aspects of ${categories.length} categories`
  }
}
