import { LRUCache } from 'lru-cache'
import type { Visitor } from './recommendations.repository.js'
import type { Listed } from './recommendations.schema.js'

/** All that a list depends on beside the clock. */
export interface Basis {
  /** Who asked for what, by which rules, in which arm of an experiment: texts, numbers and booleans, and undefined where nothing was said. */
  asked: readonly (string | number | boolean | null | undefined)[]
  visitor: Visitor | null
  /** States of what is served and sold: numbers that change when it does. */
  models: number
  catalogue: number
  /** Whether what reviews say of products has a part in it. */
  isByReviews: boolean
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

/** All else tells when it changes. */
const LASTING_MS = 600_000
/** Of what reviews say of products nobody is told that it has changed. */
const BY_REVIEWS_MS = 60_000
/** Each is some ten kilobytes. */
const REMEMBERED = 20_000
/** Ways of asking that are remembered of one visitor. */
const WAYS = 4

/** Lists that were answered a moment ago: who asks for the same, and of whom nothing new is known, is told the same without asking models and rules again. */
export class RecentLists {
  /** By the visitor, who is the same object while nothing of him is new (see `RecommendationsRepository`), else by what was asked; the newest first. */
  private readonly lists = new LRUCache<Visitor | string, Recent[]>({ maxSize: REMEMBERED, sizeCalculation: recents => recents.length })

  constructor(private readonly now: () => number = Date.now) {}

  find(basis: Basis): Answered | undefined {
    const recent = this.lists.get(keyOf(basis))?.find(each => isAskedAlike(each.basis, basis))
    return recent && this.now() < recent.until && isSame(recent.basis, basis) ? recent : undefined
  }

  keep(basis: Basis, { list, decision, model }: Answered): void {
    const key = keyOf(basis)
    const others = (this.lists.get(key) ?? []).filter(each => !isAskedAlike(each.basis, basis)).slice(0, WAYS - 1)
    const until = this.now() + (basis.isByReviews ? BY_REVIEWS_MS : LASTING_MS)
    this.lists.set(key, [{ basis, list, decision, model, until }, ...others])
  }
}

function keyOf({ visitor, asked }: Basis): Visitor | string {
  return visitor ?? JSON.stringify(asked)
}

function isAskedAlike(a: Basis, b: Basis): boolean {
  return a.asked.every((each, at) => each === b.asked[at])
}

function isSame(a: Basis, b: Basis): boolean {
  return a.models === b.models && a.catalogue === b.catalogue
}
