interface Candidate {
  score: number
  product: { categories: readonly string[]; brand: string | null }
}

/**
 * Maximal marginal relevance (Carbonell and Goldstein 1998): takes, `first` times, the candidate with the largest (1 − d)·relevance − d·(largest
 * similarity to what is taken already). Relevance is the score scaled to [0, 1]; similarity is the overlap of categories and brand.
 */
export function reranked<T extends Candidate>(candidates: readonly T[], diversity: number, first: number): T[] {
  const scores = candidates.map(({ score }) => score)
  const [low, high] = [Math.min(...scores), Math.max(...scores)]
  const relevance = scores.map(score => (high > low ? (score - low) / (high - low) : 1))
  const nearest = new Float64Array(candidates.length)
  const left = new Set(candidates.keys())
  const taken: T[] = []
  while (taken.length < first && left.size > 0) {
    let best = -1
    let bestValue = Number.NEGATIVE_INFINITY
    for (const index of left) {
      const value = (1 - diversity) * relevance[index] - diversity * nearest[index]
      if (value > bestValue) {
        best = index
        bestValue = value
      }
    }
    left.delete(best)
    taken.push(candidates[best])
    for (const index of left) nearest[index] = Math.max(nearest[index], similarity(candidates[index], candidates[best]))
  }
  return taken
}

/** Jaccard overlap of the categories (weight ¾) and sameness of the brand (weight ¼), in [0, 1]. */
export function similarity({ product: a }: Candidate, { product: b }: Candidate): number {
  const common = a.categories.filter(category => b.categories.includes(category)).length
  const all = new Set([...a.categories, ...b.categories]).size
  return 0.75 * (all > 0 ? common / all : 0) + (a.brand !== null && a.brand === b.brand ? 0.25 : 0)
}
