import { LRUCache } from 'lru-cache'
import type { Visitor } from './recommendations.repository.js'
import type { Listed } from './recommendations.schema.js'

/** All that a list depends on beside the clock. */
export interface Basis {
  /** Who asked for what, by which rules, in which arm of an experiment. */
  asked: string
  visitor: Visitor | null
  /** States of what is served and sold: numbers that change when it does. */
  models: number
  catalogue: number
}

/** What was answered, and the decision about it. */
export interface Answered {
  list: Listed
  /** Its id. */
  decision: string
  /** The algorithm that answered, as metrics name it. */
  model: string
}

interface Recent extends Answered {
  basis: Basis
  /** Milliseconds since the epoch. */
  until: number
}

/** So long what changes without a notice, as what reviews say of products, does not change a list. */
const FRESH_MS = 60_000
/** Each is some ten kilobytes. */
const REMEMBERED = 10_000

/** Lists that were answered a moment ago: who asks for the same, and of whom nothing new is known, is told the same without asking models and rules again. */
export class RecentLists {
  private readonly lists = new LRUCache<string, Recent>({ max: REMEMBERED })

  constructor(private readonly now: () => number = Date.now) {}

  find(basis: Basis): Answered | undefined {
    const recent = this.lists.get(basis.asked)
    return recent && this.now() < recent.until && isSame(recent.basis, basis) ? recent : undefined
  }

  keep(basis: Basis, { list, decision, model }: Answered): void {
    this.lists.set(basis.asked, { basis, list, decision, model, until: this.now() + FRESH_MS })
  }
}

/** A visitor of whom nothing is new is the same object as before (see `RecommendationsRepository`). */
function isSame(a: Basis, b: Basis): boolean {
  return a.visitor === b.visitor && a.models === b.models && a.catalogue === b.catalogue
}
