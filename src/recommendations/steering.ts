import type { History } from '../algorithms/recommend/recommender.js'
import type { ProductType } from '../catalogue/catalogue.schema.js'
import type { CatalogueService } from '../catalogue/catalogue.service.js'
import {
  type Candidates,
  DEMOTED,
  type Histories,
  isUnscored,
  joined,
  type Live,
  lacking,
  likenessOf,
  type Scored,
  SEARCHED,
  UNSCORED,
  type Wish,
} from './candidates.js'
import { arranged, poolOf } from './diversity.js'
import type { Dealings } from './placements.repository.js'
import type { Ranker } from './ranker.js'
import type { Visitor } from './recommendations.repository.js'
import { compileCaps, compileEffects, compileFilters, type PlacementRules } from './rules.js'
import { countDrop, merged, note, type Trail } from './trail.js'

const DAY_MS = 86_400_000
/** As deep as boosts may look for what they lift; beyond it they would have to lift very much. */
const DEEPEST = 4_096

/** How much reviews speak against products, 0 to 1, by internal id. */
export type Penalties = (productKeys: readonly number[]) => Promise<ReadonlyMap<number, number>>

/** A placement as far as answers depend on it. */
export interface Plan {
  name: string
  version: number
  rules: PlacementRules
}

/** What is known of whoever asks, and what he named, at a moment. */
export interface Known {
  visitor: Visitor | null
  dealings: Dealings | undefined
  /** Internal ids of the products that the request names. */
  context: readonly number[]
  /** Milliseconds since the epoch. */
  now: number
}

/** The rules of a placement, ready for one request. */
export interface Steered {
  rules: PlacementRules
  /** What is not to be shown, with the cause; by internal id. */
  hidden: ReadonlyMap<number, string>
  seen: ReadonlySet<number>
  /** Nothing but these. */
  only: ReadonlySet<number> | undefined
  filters: ReturnType<typeof compileFilters>
  effects: ReturnType<typeof compileEffects>
  refuses: ReturnType<typeof compileCaps>
  pins: readonly { product: ProductType; position: number }[]
}

/** Lists by the rules of a placement. */
export class Steering {
  constructor(
    private readonly catalogue: CatalogueService,
    private readonly ranker: Ranker,
    private readonly candidates: Candidates,
    private readonly penalties: Penalties | undefined,
  ) {}

  /** Makes the rules of a placement ready for one request. */
  async steer({ rules }: Plan, { filter }: Wish, { dealings, context, visitor, now }: Known, trail: Trail): Promise<Steered> {
    const since = now - rules.excludeShownDays * DAY_MS
    const hidden = new Map<number, string>()
    const hide = (keys: Iterable<number>, cause: string) => {
      let count = 0
      for (const key of keys) {
        if (hidden.has(key)) continue
        hidden.set(key, cause)
        count++
      }
      if (count > 0) trail.rules.push(`Leaves out what is ${cause} (${count} products)`)
    }
    const bought = dealings?.bought ?? new Map<number, number>()
    hide(context, 'named in the request')
    if (rules.basis === 'CART') hide(dealings?.cart.keys() ?? [], 'in the cart')
    if (rules.excludeBought) hide(bought.keys(), 'bought')
    if (rules.excludeShownDays > 0)
      hide(
        [...(dealings?.shown ?? [])].flatMap(([key, at]) => (at >= since ? [key] : [])),
        `shown in the last ${rules.excludeShownDays} days`,
      )
    if (rules.onlyBought && bought.size === 0) trail.fallbacks.push('This user bought nothing yet: the answer is not only what was bought')
    const pinned = await this.catalogue.byExternalIds(rules.pins.map(({ productExternalId }) => productExternalId))
    const pins = rules.pins.flatMap(({ productExternalId, position }) => {
      const product = pinned.get(productExternalId)
      if (!product) note(trail, productExternalId, 'pinned, but not in the catalogue')
      return product ? [{ product, position }] : []
    })
    return {
      rules,
      hidden,
      seen: new Set(visitor?.products ?? []),
      only: rules.onlyBought && bought.size > 0 ? new Set(bought.keys()) : undefined,
      filters: compileFilters(rules, filter),
      effects: compileEffects(rules),
      refuses: compileCaps(rules.caps),
      pins,
    }
  }

  /** The best products of a model by the rules; looks as deep as it takes for the best after boosts to be surely among those looked at. */
  async pick(
    model: Live,
    histories: Histories,
    wish: Wish & { diversity: number; steered: Steered; taken?: readonly Scored[] },
    trail: Trail,
  ): Promise<Scored[]> {
    const { steered, first, diversity, taken = [] } = wish
    const { effects, pins, refuses } = steered
    const history = histories(model)
    const hasPool = diversity > 0 || refuses !== undefined
    const wanted = (hasPool ? poolOf(first) : first) + taken.length
    const pinsHere = taken.length === 0 ? pins.filter(({ position }) => position <= first) : []
    const places = first - taken.length
    const besides = (shown: readonly Scored[]): Refuses | undefined =>
      refuses &&
      ((candidate, above) =>
        refuses(
          candidate.product,
          [...shown, ...above].map(({ product }) => product),
        ))
    let passed: Scored[] = []
    let pool: Scored[] = []
    let demoted: Scored[] = []
    let { only } = steered
    for (let depth = wanted + 16 + steered.hidden.size + (wish.excludeSeen ? steered.seen.size : 0); ; depth *= 4) {
      if (steered.filters.length > 0 && depth > SEARCHED) only ??= await this.catalogue.matching(steered.filters.map(({ where }) => where))
      const ranking = this.ranker.rank(model, history, false, depth, only)
      const products = await this.catalogue.byIds(Array.from(ranking.indexes, index => model.keys[index]))
      const drops = { counts: {}, examples: [] } as Trail['dropped']
      if (only && only !== steered.only) drops.counts[steered.filters.map(({ cause }) => cause).join(', ')] = lacking(only, model)
      demoted = []
      passed = Array.from(ranking.indexes).flatMap((index, at) => {
        const score = ranking.scores[at]
        const product = products.get(model.keys[index])
        const reason = isUnscored(score, model) ? UNSCORED : steeredDrop(product, steered, wish)
        if (!reason) return [{ index, score, product: product as ProductType, source: model }]
        countDrop(drops, product?.externalId ?? `#${model.keys[index]}`, reason)
        if (reason === DEMOTED) demoted.push({ index, score, product: product as ProductType, source: model })
        return []
      })
      const newcomers = steered.only ? [] : await this.candidates.newcomers(model, history, passed)
      passed = joined(
        passed,
        newcomers.filter(({ product }) => !steeredDrop(product, steered, wish)),
      )
      await this.applyEffects(passed, effects)
      const floor = (ranking.scores[ranking.scores.length - 1] ?? 0) * effects.strongest
      const { last, ...found } = poolUnder(passed, wanted, places, besides(taken))
      pool = found.pool
      const isSure = last !== undefined && last.score >= floor
      if (isSure || ranking.indexes.length < depth || (depth >= DEEPEST && passed.length >= wanted)) {
        for (const { candidate, reason } of found.refused) countDrop(drops, candidate.product.externalId, reason)
        trail.dropped = merged(trail.dropped, drops)
        break
      }
    }
    const pinned = new Map<number, Scored>()
    for (const { product, position } of pinsHere) {
      const reason = steeredDrop(product, steered, { ...wish, excludeSeen: false })
      if (reason) note(trail, product.externalId, `pinned, but ${reason}`)
      else pinned.set(position - 1, await this.pinnedOf(product, position, { model, history, passed, effects }))
    }
    const keys = new Set([...pinned.values(), ...taken].map(({ product }) => product.key))
    const candidates = [...pool.filter(({ product }) => !keys.has(product.key)), ...pinned.values()]
    trail.rules.push(...effectsSeen(passed))
    for (const [place, { product }] of pinned) trail.rules.push(`Pinned ${product.externalId} to position ${place + 1}`)
    const { taken: chosen, refused } = arranged(candidates, {
      first: places,
      diversity,
      pins: pinned,
      alike: likenessOf(model),
      refuses: besides(taken),
    })
    for (const { candidate, reason } of refused) countDrop(trail.dropped, candidate.product.externalId, reason)
    if (diversity > 0) {
      trail.rules.push(`Re-ranked for diversity ${diversity} (maximal marginal relevance)`)
      for (const candidate of candidates.slice(0, first))
        if (!chosen.includes(candidate) && !refused.some(each => each.candidate === candidate))
          countDrop(trail.dropped, candidate.product.externalId, 'too like what stands above')
    }
    if (!this.candidates.isLast(model)) return chosen
    const behind = demoted.filter(({ product }) => !keys.has(product.key))
    const more = arranged(behind, { first: places - chosen.length, diversity: 0, refuses: besides([...taken, ...chosen]) })
    return [...chosen, ...more.taken]
  }

  /** Multiplies scores by what rules say, and sorts; a later depth begins with scores of the model again. */
  private async applyEffects(passed: Scored[], { effectsOn, needsPenalties }: Steered['effects']): Promise<void> {
    const keys = needsPenalties ? passed.map(({ product }) => product.key) : []
    const penalties = (keys.length > 0 ? await this.penalties?.(keys) : undefined) ?? new Map<number, number>()
    for (const each of passed) {
      each.effects = effectsOn(each.product, penalties.get(each.product.key) ?? 0)
      each.before = each.score
      each.score = each.effects.reduce((score, { factor }) => score * factor, each.score)
    }
    passed.sort((a, b) => b.score - a.score)
  }

  private async pinnedOf(
    product: ProductType,
    position: number,
    { model, history, passed, effects }: { model: Live; history: History; passed: readonly Scored[]; effects: Steered['effects'] },
  ): Promise<Scored> {
    const known = passed.find(each => each.product.key === product.key)
    if (known) return { ...known, pinnedAt: position }
    const index = model.indexOf.get(product.key) ?? -1
    const made: Scored = { index, product, source: model, score: index < 0 ? 0 : model.model.predict(history, index), pinnedAt: position }
    await this.applyEffects([made], effects)
    return index < 0 ? { ...made, reasons: [] } : made
  }
}

type Refuses = (candidate: Scored, above: readonly Scored[]) => string | undefined

/**
 * What a list is chosen from: the `wanted` best, and of those below, where caps refuse too many of them, the ones that caps let through until `places` are filled.
 * `last` is the one that makes it enough; undefined when it is not.
 */
function poolUnder(
  passed: readonly Scored[],
  wanted: number,
  places: number,
  refuses: Refuses | undefined,
): { pool: Scored[]; refused: { candidate: Scored; reason: string }[]; last: Scored | undefined } {
  if (!refuses) return { pool: [...passed], refused: [], last: passed[wanted - 1] }
  const pool = passed.slice(0, wanted)
  const refused: { candidate: Scored; reason: string }[] = []
  const through: Scored[] = []
  for (const [at, candidate] of passed.entries()) {
    if (through.length >= places) return { pool, refused, last: passed[Math.max(at, wanted) - 1] }
    const reason = refuses(candidate, through)
    if (!reason) through.push(candidate)
    if (at < wanted) continue
    if (reason) refused.push({ candidate, reason })
    else pool.push(candidate)
  }
  return { pool, refused, last: through.length >= places ? passed[Math.max(passed.length, wanted) - 1] : undefined }
}

export function steeredDrop(
  product: ProductType | undefined,
  { rules, hidden, seen, only, filters }: Steered,
  { excludeSeen }: Wish,
): string | undefined {
  if (!product) return 'not in the catalogue'
  if (product.stock === 0) return 'out of stock'
  if (product.stock !== null && product.stock < rules.minimumStock) return `stock below ${rules.minimumStock}`
  const cause = hidden.get(product.key)
  if (cause) return cause
  if (only && !only.has(product.key)) return 'not bought before'
  if (excludeSeen && seen.has(product.key)) return 'seen'
  return filters.find(({ passes }) => !passes(product))?.cause ?? (product.demotedAt ? DEMOTED : undefined)
}

/** Once a list is filled up it is long enough for the pins that stood at its end. */
export function putPinsInPlace(picked: Scored[]): void {
  const pins = picked.filter(({ pinnedAt }) => pinnedAt !== undefined).sort((a, b) => Number(a.pinnedAt) - Number(b.pinnedAt))
  if (pins.length === 0) return
  const list = picked.filter(({ pinnedAt }) => pinnedAt === undefined)
  for (const pin of pins) list.splice(Number(pin.pinnedAt) - 1, 0, pin)
  picked.splice(0, picked.length, ...list)
}

/** Each effect with how many candidates it had an effect on. */
function effectsSeen(passed: readonly Scored[]): string[] {
  const counts = new Map<string, number>()
  for (const { effects = [] } of passed)
    for (const { text } of effects) {
      const name = text.startsWith('Boost') ? text : text.startsWith('Margin') ? 'Margin' : 'Negative reviews'
      counts.set(name, (counts.get(name) ?? 0) + 1)
    }
  return [...counts].map(([name, count]) => `${name}: ${count} of ${passed.length} candidates`)
}
