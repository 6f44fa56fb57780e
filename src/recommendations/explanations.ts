import type { Evidence } from '../algorithms/recommend/recommender.js'
import type { ProductType } from '../catalogue/catalogue.schema.js'
import type { CatalogueService } from '../catalogue/catalogue.service.js'
import { type Contribution, linesOf } from '../registry/decisions.js'
import { type Histories, REASONS, type Scored } from './candidates.js'
import type { Reason, Recommendation } from './recommendations.schema.js'
import type { Effect } from './rules.js'

/** A list with its reasons, and the same as lines of a decision. */
export interface Explained {
  items: Recommendation[]
  lines: string
}

const ROUNDING = 1e-6

/** Says why: reasons in words and their exact parts of the score. */
export class Explanations {
  constructor(private readonly catalogue: CatalogueService) {}

  async explain(picked: readonly Scored[], histories: Histories): Promise<Explained> {
    const keys = new Set<number>()
    const evidences = picked.map(({ source, index, reasons }) => {
      if (reasons || index < 0) return []
      const evidence = source.model.explain(histories(source), index, REASONS)
      for (const { items } of evidence) for (const item of items.slice(0, REASONS)) keys.add(source.keys[item])
      return evidence
    })
    const products = await this.catalogue.byIds([...keys])
    const items = picked.map(({ product, score, before = score, source, effects, reasons, pinnedAt }, at) => {
      const named = (evidence: Evidence) => evidence.items.slice(0, REASONS).flatMap(item => products.get(source.keys[item]) ?? [])
      const own =
        reasons ??
        withRest(
          evidences[at].map(evidence => reasonOf(evidence, named(evidence))),
          before,
        )
      return { product, score, rank: at + 1, reasons: [...own, ...reasonsOfRules(before, effects ?? [], pinnedAt)] }
    })
    return { items, lines: linesOf(items.flatMap(contributionsOf)) }
  }
}

/** An item's score and the parts that sum to it. */
export function contributionsOf({ product, score, reasons }: Recommendation): Contribution[] {
  const feature = product.externalId
  const parts = reasons.map(({ kind, text, weight, products }) => {
    const value = kind === 'further' ? 'further evidence' : `${kind}: ${products.map(each => each.externalId).join(', ') || text}`
    return { feature, value, weight }
  })
  return [{ feature, value: 'score', weight: score }, ...parts]
}

/** Reasons of a model, and what the evidence that is not told singly comes to: together they sum to the model's score. */
function withRest(reasons: Reason[], score: number): Reason[] {
  const rest = reasons.reduce((left, { weight }) => left - weight, score)
  if (Math.abs(rest) <= ROUNDING * Math.abs(score)) return reasons
  return [...reasons, { kind: 'further', text: 'Further evidence of less weight, in sum', weight: rest, products: [] }]
}

/** Parts of the score that rules have, from what it was before them. */
function reasonsOfRules(score: number, effects: readonly Effect[], pinnedAt: number | undefined): Reason[] {
  const reasons: Reason[] = []
  let before = score
  for (const { text, factor } of effects) {
    reasons.push({ kind: 'rule', text, weight: before * factor - before, products: [] })
    before *= factor
  }
  if (pinnedAt !== undefined) reasons.push({ kind: 'rule', text: `Pinned to position ${pinnedAt}`, weight: 0, products: [] })
  return reasons
}

function reasonOf(evidence: Evidence, products: ProductType[]): Reason {
  const titles = products.map(product => product.title).join(', ')
  return { kind: evidence.kind, text: TEXTS[evidence.kind](titles, evidence), weight: evidence.weight, products }
}

const TEXTS: Readonly<Record<Evidence['kind'], (titles: string, evidence: Evidence) => string>> = {
  'neighbour-item': (titles, { weight }) =>
    weight < 0 ? `Seldom chosen by people who chose ${titles}` : `Chosen by people who chose ${titles || 'what this user chose'}`,
  'neighbour-user': titles =>
    titles ? `Chosen by people with a similar taste, who also chose ${titles}` : 'Chosen by people with a similar taste',
  popularity: () => 'Popular with everybody of late',
  content: (titles, { terms = [] }) =>
    `Like ${titles}${terms.length > 0 ? ` (${terms.map(term => term.slice(term.indexOf(':') + 1)).join(', ')})` : ''}`,
  factor: (titles, { weight }) => (weight < 0 ? `Seldom goes with ${titles}` : `Goes with ${titles}`),
  rank: () => 'Put here by what people took from such lists',
  repeat: () => 'Bought again and again by this user',
}
