interface Candidate {
  score: number
  product: { categories: readonly string[]; brand: string | null }
}

export interface Arrangement<T extends Candidate> {
  /** How many are wanted. */
  first: number
  /** 0: by score alone; 1: as unlike what stands above as can be. */
  diversity: number
  /** How alike two candidates are, in [0, 1]; by categories and brand unless given. */
  alike?: (a: T, b: T) => number
  /** Candidates with a place of their own, by place from 0. */
  pins?: ReadonlyMap<number, T>
  /** Why a candidate cannot be taken beside those that are; undefined when it can. */
  refuses?: (candidate: T, taken: readonly T[]) => string | undefined
}

/**
 * Maximal marginal relevance (Carbonell and Goldstein 1998): takes, `first` times, the candidate with the largest (1 − d)·relevance − d·(largest
 * similarity to what is taken already). Relevance is the score scaled to [0, 1]. A pinned candidate takes its place whatever stands above it, and the others
 * are chosen to be unlike it too.
 */
export function arranged<T extends Candidate>(
  candidates: readonly T[],
  { first, diversity, alike = similarity, pins = new Map(), refuses }: Arrangement<T>,
): { taken: T[]; refused: { candidate: T; reason: string }[] } {
  const relevance = scaled(candidates)
  const nearest = new Float64Array(candidates.length)
  const pinned = new Set(pins.values())
  const left = new Set([...candidates.keys()].filter(index => !pinned.has(candidates[index])))
  const taken: T[] = []
  const refused: { candidate: T; reason: string }[] = []
  const take = (candidate: T) => {
    taken.push(candidate)
    if (diversity > 0) for (const index of left) nearest[index] = Math.max(nearest[index], alike(candidates[index], candidate))
  }
  while (taken.length < first) {
    const pin = pins.get(taken.length)
    if (pin) {
      take(pin)
      continue
    }
    const best = bestOf(left, index => (1 - diversity) * relevance[index] - diversity * nearest[index])
    if (best === undefined) break
    left.delete(best)
    const reason = refuses?.(candidates[best], taken)
    if (reason) refused.push({ candidate: candidates[best], reason })
    else take(candidates[best])
  }
  // Pins whose places lie behind the end of a short list.
  for (const [, pin] of [...pins].sort(([a], [b]) => a - b)) if (taken.length < first && !taken.includes(pin)) take(pin)
  return { taken, refused }
}

/** How many candidates a list of so many is chosen from where score alone does not decide. */
export function poolOf(first: number): number {
  return Math.max(5 * first, 20)
}

/** `arranged` without further conditions. */
export function reranked<T extends Candidate>(
  candidates: readonly T[],
  diversity: number,
  first: number,
  alike?: (a: T, b: T) => number,
): T[] {
  return arranged(candidates, { first, diversity, alike }).taken
}

/** Jaccard overlap of the categories (weight ¾) and sameness of the brand (weight ¼), in [0, 1]. */
export function similarity({ product: a }: Candidate, { product: b }: Candidate): number {
  const common = a.categories.filter(category => b.categories.includes(category)).length
  const all = new Set([...a.categories, ...b.categories]).size
  return 0.75 * (all > 0 ? common / all : 0) + (a.brand !== null && a.brand === b.brand ? 0.25 : 0)
}

function scaled(candidates: readonly Candidate[]): number[] {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
  for (const { score } of candidates) {
    low = Math.min(low, score)
    high = Math.max(high, score)
  }
  return candidates.map(({ score }) => (high > low ? (score - low) / (high - low) : 1))
}

/** The first of those with the largest value. */
function bestOf(indexes: Iterable<number>, worthOf: (index: number) => number): number | undefined {
  let best: number | undefined
  let bestValue = Number.NEGATIVE_INFINITY
  for (const index of indexes) {
    const value = worthOf(index)
    if (value > bestValue) {
      best = index
      bestValue = value
    }
  }
  return best
}
