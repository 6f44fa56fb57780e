import { explored } from '../algorithms/recommend/explore.js'
import type { Evidence, History, Recommender } from '../algorithms/recommend/recommender.js'
import type { ProductType } from '../catalogue/catalogue.schema.js'
import type { CatalogueService } from '../catalogue/catalogue.service.js'
import { cleanProductFilter, type ProductFilter, productTest } from '../catalogue/product-filter.js'
import { checkFirst } from '../graphql/connection.js'
import { encodeId } from '../graphql/node-id.js'
import { InvalidInput } from '../platform/errors.js'
import type { Metrics } from '../platform/metrics.js'
import { cleanOptionalText, cleanText } from '../platform/text-input.js'
import type { Contribution, DecisionExperiment, Decisions } from '../registry/decisions.js'
import type { LiveModel, LiveModels } from '../registry/live-models.js'
import { arranged, reranked, similarity } from './diversity.js'
import { type Assignment, EXPLORED_POOL, type ExperimentsService } from './experiments.service.js'
import { contentOf, type NewProducts, scoresByLikeness } from './new-products.js'
import { ownRepeats } from './own-repeats.js'
import type { Placements } from './placements.js'
import type { Dealings } from './placements.repository.js'
import type { PlacementPreviewList } from './placements.schema.js'
import { Ranker } from './ranker.js'
import type { RecommendationsRepository, Visitor } from './recommendations.repository.js'
import { type Reason, type Recommendation, RecommendationAlgorithm, type RecommendationList } from './recommendations.schema.js'
import { compileCaps, compileEffects, compileFilters, type Effect, emptiedBy, type PlacementRules } from './rules.js'

export interface RecommendationRequest {
  userExternalId?: string | null
  /** Internal id of the user. */
  userKey?: number
  placement?: string | null
  first?: number | null
  algorithm?: RecommendationAlgorithm | null
  excludeSeen?: boolean | null
  diversity?: number | null
  where?: ProductFilter | null
  /** Internal ids of products that the list shall go with. */
  contextProductKeys?: readonly number[]
  contextProductExternalIds?: readonly string[] | null
}

/** A placement as far as answers depend on it. */
export interface Plan {
  name: string
  version: number
  rules: PlacementRules
}

/** What steers recommendations beside the models. */
export interface Steering {
  placements: Placements
  newProducts: NewProducts
  experiments?: Pick<ExperimentsService, 'assign'>
  /** How much reviews speak against products, 0 to 1, by internal id. */
  penalties?(productKeys: readonly number[]): Promise<ReadonlyMap<number, number>>
}

type Live = LiveModel<Recommender>

interface Scored {
  index: number
  score: number
  product: ProductType
  source: Live
  /** What rules did to the score. */
  effects?: readonly Effect[]
  /** Why, where it is not for the model to say. */
  reasons?: readonly Reason[]
  pinnedAt?: number
}

/** A list before it is recorded. */
interface Composed {
  items: Recommendation[]
  model: Live | undefined
  visitor: Visitor | null
  isPersonal: boolean
  input: unknown
  experiment?: DecisionExperiment
}

/** What happened on the way to the answer; the decision keeps it. */
interface Trail {
  fallbacks: string[]
  rules: string[]
  dropped: { counts: Record<string, number>; examples: { item: string; reason: string }[] }
}

/** What a model may know of the visitor, in its own item indexes. */
type Histories = (model: Live) => History

const AFFINITY_BATCH = 200
const TASK = 'RECOMMENDATION'
const DEFAULT_FIRST = 10
const REASONS = 3
const EXAMPLES_OF_DROPPED = 20
const ROUNDING = 1e-6
const DIVERSITY_POOL = 5
/** As deep as boosts may look for what they lift; beyond it they would have to lift very much. */
const DEEPEST = 4_096
const EXAMPLES_A_REASON = 5
const MOST_CONTEXT = 100
const CART_DAYS = 30
const DAY_MS = 86_400_000
/** Algorithms that answer also for a stranger. */
const IMPERSONAL: readonly string[] = [RecommendationAlgorithm.POPULARITY, RecommendationAlgorithm.TRENDING]
/** Newest products to choose from while there is no baseline. */
const NEWEST = 500

/** What to show whom, now, and why. */
export class RecommendationsService {
  private readonly ranker = new Ranker()

  constructor(
    private readonly repository: RecommendationsRepository,
    private readonly catalogue: CatalogueService,
    private readonly models: LiveModels,
    private readonly decisions: Decisions,
    private readonly metrics: Metrics,
    private readonly steering: Steering,
    private readonly random: { next(): number } = { next: Math.random },
  ) {}

  async recommend(request: RecommendationRequest): Promise<RecommendationList> {
    const trail = newTrail()
    const plan = await this.planOf(request, trail)
    const composed = await this.compose(request, plan, trail, { takesPart: true })
    this.metrics.model(TASK, composed.model?.algorithm ?? 'none')
    return this.answer(composed, trail)
  }

  /** The list by these rules, whether they are stored or not; nothing is recorded. */
  async rehearse(request: RecommendationRequest, plan: Plan | null): Promise<PlacementPreviewList> {
    const trail = newTrail()
    const { items, model } = await this.compose(request, plan ?? undefined, trail, { takesPart: false })
    return { items, servedBy: servedByOf(model), fallbacks: trail.fallbacks, rules: trail.rules, dropped: trail.dropped }
  }

  /** The rules of a placement; a name that nobody has given rules is answered without any, and says so. */
  private async planOf(request: RecommendationRequest, trail: Trail): Promise<Plan | undefined> {
    const name = nameIn(request)
    if (!name) return undefined
    const row = await this.steering.placements.find(name)
    if (row && !row.archivedAt) return row
    trail.fallbacks.push(`${row ? `The placement "${name}" is archived` : `No placement is named "${name}"`}: no rules were applied`)
    return undefined
  }

  private async compose(
    request: RecommendationRequest,
    plan: Plan | undefined,
    trail: Trail,
    { takesPart }: { takesPart: boolean },
  ): Promise<Composed> {
    const { where } = request
    const first = request.first ?? DEFAULT_FIRST
    const asked = request.diversity ?? 0
    checkFirst(first)
    if (!(asked >= 0 && asked <= 1)) throw new InvalidInput('diversity must be between 0 and 1', {}, ['diversity'])
    const filter = where ? cleanProductFilter(where) : undefined
    const context = await this.contextOf(request, trail)
    if (plan) trail.rules.push(`Placement "${plan.name}" version ${plan.version}`)
    // An argument that differs from its default wins over the placement.
    const rules = plan?.rules
    const excludeSeen = (request.excludeSeen ?? true) && (rules?.excludeSeen ?? true)
    const visitor = await this.visitorOf(request, context.length > 0, trail)
    const isPersonal = visitor !== null && visitor.personalisation?.granted !== false
    if (visitor && !isPersonal) trail.rules.push('The user refused PERSONALISATION: nothing personal was used')
    const dealings = isPersonal && rules && needsDealings(rules) ? await this.steering.placements.dealings(visitor.id) : undefined
    const basis = basisOf({ context, visitor: isPersonal ? visitor : null, dealings, rules }, trail)
    // An experiment steers what nobody asked for by name.
    const isOpen = takesPart && (request.algorithm ?? RecommendationAlgorithm.AUTO) === RecommendationAlgorithm.AUTO
    const assignment = isOpen ? await this.assigned(nameIn(request), basis, trail) : undefined
    const algorithm = assignment?.arm.algorithm ?? this.algorithmOf(request, rules, basis, trail)
    const diversity = assignment?.arm.diversity ?? (asked > 0 ? asked : (rules?.diversity ?? 0))
    const model = this.choose(algorithm, basis, trail)
    const histories: Histories = source => this.ranker.historyOf(source, basis)
    const wish: Wish = { first, excludeSeen, filter }
    const steered =
      plan && model ? await this.steer(plan, wish, { dealings, context, visitor: isPersonal ? visitor : null }, trail) : undefined
    const pick = (source: Live, more: Wish & { diversity: number; taken?: readonly Scored[] }, way: Trail) =>
      steered ? this.pickSteered(source, histories, { ...more, steered }, way) : this.pick(source, histories, { ...more, context }, way)
    // What a person pinned is not left to chance.
    const exploration = steered && steered.pins.length > 0 ? 0 : (assignment?.arm.exploration ?? 0)
    const pool = exploration > 0 ? Math.max(first, EXPLORED_POOL) : first
    const best = model ? await pick(model, { ...wish, first: pool, diversity }, trail) : []
    const chance = exploration > 0 && first > 0 ? explored(best.slice(0, EXPLORED_POOL), exploration, this.random) : undefined
    const picked = (chance ? [...chance.order, ...best.slice(EXPLORED_POOL)] : best).slice(0, first)
    if (chance && picked.length > 0)
      trail.rules.push(`The first was drawn by chance, with a probability of ${chance.probability.toFixed(4)}`)
    const baseline = this.models.baseline<Recommender>(TASK)
    // What keeps a list short is what the last of those who were asked left out.
    const last = baseline && baseline !== model ? newTrail() : trail
    if (picked.length < first && baseline && baseline !== model) await this.fillUp(picked, wish, trail, more => pick(baseline, more, last))
    const input = {
      ...request,
      placement: request.placement ?? null,
      placementVersion: plan?.version,
      first,
      algorithm,
      excludeSeen,
      diversity,
      where: filter && stringly(filter),
    }
    if (picked.length === 0 && !model) return { ...(await this.withoutModel(request, filter, trail)), visitor, input }
    if (picked.length === 0 && first > 0 && model)
      await this.sayWhyEmpty(baseline ?? model, filter, rules, { ...trail, dropped: last.dropped })
    else if (picked.length < first) trail.fallbacks.push(shortOf(picked.length, first, last))
    const items = await this.explained(picked, histories)
    const experiment = assignment && chanceOf(assignment, picked, chance?.probability ?? 1)
    return { items, model, visitor, isPersonal, input, experiment }
  }

  /** Internal ids of the products that the request names. */
  private async contextOf({ contextProductKeys = [], contextProductExternalIds }: RecommendationRequest, trail: Trail): Promise<number[]> {
    const named = [...new Set(contextProductExternalIds ?? [])].map(id =>
      cleanText(id, { field: ['contextProductExternalIds'], max: 200, trim: false }),
    )
    if (named.length + contextProductKeys.length > MOST_CONTEXT)
      throw new InvalidInput(`At most ${MOST_CONTEXT} products can be named`, {}, ['contextProductExternalIds'])
    if (named.length + contextProductKeys.length === 0) return []
    const [byName, byKey] = [await this.catalogue.byExternalIds(named), await this.catalogue.byIds(contextProductKeys)]
    const found = [...byName.values(), ...byKey.values()].map(({ key }) => key)
    const missing = named.length - byName.size + contextProductKeys.length - byKey.size
    if (missing > 0) trail.fallbacks.push(`${missing} of the products named are not in the catalogue`)
    return [...new Set(found)]
  }

  private algorithmOf(
    { algorithm }: RecommendationRequest,
    rules: PlacementRules | undefined,
    basis: Visitor | null,
    trail: Trail,
  ): RecommendationAlgorithm {
    if (algorithm && algorithm !== RecommendationAlgorithm.AUTO) return algorithm
    const known = basis?.products.length ?? 0
    const level = rules?.levels.findLast(({ fromProducts }) => known >= fromProducts)
    if (level) trail.rules.push(`${level.algorithm} for a user of whom ${known} products are known`)
    return (level?.algorithm ?? rules?.algorithm ?? RecommendationAlgorithm.AUTO) as RecommendationAlgorithm
  }

  /** Products that go together with this one, from the live model; what is out of stock is left out. */
  async similar(product: ProductType, asked?: number | null): Promise<Recommendation[]> {
    const first = asked ?? DEFAULT_FIRST
    checkFirst(first)
    const model = this.models.live<Recommender>(TASK) ?? this.models.named<Recommender>(TASK, 'item-cf')
    const index = model?.indexOf.get(product.key)
    if (!model || index === undefined) return []
    const { items, scores } = model.model.similar(index, 2 * first + 10)
    const products = await this.catalogue.byIds(Array.from(items, item => model.keys[item]))
    return Array.from(items, (item, at) => ({ product: products.get(model.keys[item]), score: scores[at] }))
      .filter((each): each is { product: ProductType; score: number } => each.product !== undefined && each.product.stock !== 0)
      .sort((a, b) => Number(a.product.demotedAt !== null) - Number(b.product.demotedAt !== null))
      .slice(0, first)
      .map(({ product: other, score }, at) => ({
        product: other,
        score,
        rank: at + 1,
        reasons: [{ kind: 'similar', text: `Chosen by the people who chose ${product.title}`, weight: score, products: [product] }],
      }))
  }

  /** Of these products the ones that the live model can score. */
  knownTo(products: readonly number[]): number[] {
    const model = this.models.live<Recommender>(TASK)
    return model ? products.filter(product => model.indexOf.has(product)) : []
  }

  /**
   * How much each user would like the best of these products, by the live model and what he did so far. Users without a history, and those who refused
   * PERSONALISATION, are absent. Pauses between users, so that a worker's heart goes on beating.
   */
  async affinities(
    userIds: readonly number[],
    products: readonly number[],
    signal?: AbortSignal,
  ): Promise<{ ids: number[]; scores: number[] }> {
    const model = this.models.live<Recommender>(TASK)
    const found: { ids: number[]; scores: number[] } = { ids: [], scores: [] }
    const wanted = model ? products.flatMap(product => model.indexOf.get(product) ?? []) : []
    if (!model || wanted.length === 0) return found
    const scores = new Float64Array(model.keys.length)
    for (let from = 0; from < userIds.length; from += AFFINITY_BATCH) {
      const batch = userIds.slice(from, from + AFFINITY_BATCH)
      const visitors = await Promise.all(batch.map(id => this.repository.visitorById(id)))
      signal?.throwIfAborted()
      for (const [at, visitor] of visitors.entries()) {
        if (!visitor || visitor.products.length === 0 || visitor.personalisation?.granted === false) continue
        const history = this.ranker.historyOf(model, visitor)
        if (history.items.length === 0) continue
        model.model.score(history, scores)
        found.ids.push(batch[at])
        found.scores.push(wanted.reduce((best, item) => Math.max(best, scores[item]), Number.NEGATIVE_INFINITY))
        if (at % 20 === 19) await new Promise(done => setImmediate(done))
      }
    }
    return found
  }

  private async visitorOf({ userExternalId, userKey }: RecommendationRequest, hasContext: boolean, trail: Trail): Promise<Visitor | null> {
    if (userKey !== undefined && userExternalId) throw new InvalidInput('Give at most one of userId and userExternalId', {}, ['userId'])
    if (userKey === undefined && !userExternalId) {
      if (!hasContext) trail.fallbacks.push('No user was named: the answer is the same for everybody')
      return null
    }
    const visitor =
      userKey !== undefined
        ? await this.repository.visitorById(userKey)
        : await this.repository.visitor(cleanText(userExternalId as string, { field: ['userExternalId'], max: 220 }))
    if (hasContext) return visitor
    if (!visitor) trail.fallbacks.push('This user is unknown: the answer is what is popular')
    else if (visitor.products.length === 0) trail.fallbacks.push('This user has done nothing yet: the answer is what is popular')
    return visitor
  }

  /** Only who is shown what an algorithm found for him takes part: for all others the arms do not differ. */
  private async assigned(placement: string | null, basis: Visitor | null, trail: Trail) {
    if (!basis || basis.id === 0 || basis.products.length === 0) return undefined
    const assignment = await this.steering.experiments?.assign(placement, basis.id)
    if (assignment)
      trail.rules.push(`Experiment "${assignment.name}": arm ${assignment.arm.key} (${100 * assignment.arm.share} % of the users)`)
    return assignment
  }

  /** `basis`: whoever's, or whatever's, history the list goes by; null or empty for a stranger. */
  private choose(wanted: RecommendationAlgorithm, basis: Visitor | null, trail: Trail): Live | undefined {
    const baseline = this.models.baseline<Recommender>(TASK)
    if (!basis || basis.products.length === 0)
      return (IMPERSONAL.includes(wanted) ? this.models.named<Recommender>(TASK, nameOf(wanted)) : undefined) ?? baseline
    if (wanted === RecommendationAlgorithm.AUTO) {
      const live = this.models.live<Recommender>(TASK)
      if (!live) trail.fallbacks.push('No model is approved yet: the baseline answers')
      return live ?? baseline
    }
    const named = this.models.named<Recommender>(TASK, nameOf(wanted))
    const known = this.models.live<Recommender>(TASK) ?? baseline
    // It learns nothing from others, so there is nothing to approve.
    if (!named && wanted === RecommendationAlgorithm.REPEAT && known) return ownRepeats(known)
    if (!named)
      trail.fallbacks.push(`${wanted} has no approved model: ${this.models.live(TASK) ? 'the live model' : 'the baseline'} answers`)
    return named ?? known
  }

  /** The best products of a model that pass every rule; looks deeper into the ranking only as far as rules make it necessary. */
  private async pick(
    model: Live,
    histories: Histories,
    wish: Wish & { diversity: number; context?: readonly number[] },
    trail: Trail,
  ): Promise<Scored[]> {
    const history = histories(model)
    const wanted = wish.diversity > 0 ? Math.max(wish.first * DIVERSITY_POOL, 20) : wish.first
    const passed: Scored[] = []
    const demoted: Scored[] = []
    for (let depth = wanted + 16; passed.length < wanted; depth *= 8) {
      const ranking = this.ranker.rank(model, history, wish.excludeSeen, depth)
      passed.length = 0
      demoted.length = 0
      await this.admit(ranking, model, wish, { wanted, passed, demoted }, trail)
      if (ranking.indexes.length < depth) break
    }
    const newcomers = await this.newcomers(model, history, passed)
    if (newcomers.length > 0) {
      const passes = productTest(wish.filter)
      passed.push(...newcomers.filter(({ score, product }) => dropReason(product, score, model, passes) === undefined))
      passed.sort((a, b) => b.score - a.score)
    }
    if (this.isLast(model)) passed.push(...demoted.slice(0, Math.max(0, wanted - passed.length)))
    if (wish.context?.length) {
      trail.rules.push(`Goes with the ${wish.context.length} products that were named, which are left out`)
    } else if (wish.excludeSeen && history.items.length > 0) {
      const seen = history.items.length
      trail.dropped.counts.seen = seen
      trail.rules.push(`${seen} products the user has seen were left out`)
    }
    if (wish.diversity === 0 || passed.length <= 1) return passed.slice(0, wish.first)
    trail.rules.push(`Re-ranked for diversity ${wish.diversity} (maximal marginal relevance)`)
    return reranked(passed, wish.diversity, wish.first, likenessOf(model))
  }

  /** Whether nobody is asked after this model. */
  private isLast(model: Live): boolean {
    const baseline = this.models.baseline<Recommender>(TASK)
    return !baseline || model === baseline
  }

  /** Products that the model is too old to know, scored by what they are, for whoever is known by something. */
  private async newcomers(model: Live, history: History, known: readonly Scored[]): Promise<Scored[]> {
    if (history.items.length === 0) return []
    const products = await this.steering.newProducts.since(model.keys)
    if (products.length === 0) return []
    const scored = (product: ProductType, score: number, text: string, like: ProductType[]): Scored => {
      const reasons = [{ kind: 'content', text, weight: score, products: like }]
      return { index: -1, product, score, source: model, reasons }
    }
    const own = model.model.scoreNew?.(history, contentOf(products))
    if (own) {
      const found = products.map((product, at) => scored(product, own[at], 'New, and like what this user chose', []))
      return found.filter(({ score }) => score > 0)
    }
    return scoresByLikeness(products, known).map(({ product, score, like }) => {
      const speakers = like.slice(0, REASONS).map(each => each.product)
      return scored(product, score, `New, and like ${speakers.map(({ title }) => title).join(', ')}`, speakers)
    })
  }

  /** Makes the rules of a placement ready for one request. */
  private async steer(
    { rules }: Plan,
    { filter }: Wish,
    { dealings, context, visitor }: { dealings: Dealings | undefined; context: readonly number[]; visitor: Visitor | null },
    trail: Trail,
  ): Promise<Steered> {
    const since = Date.now() - rules.excludeShownDays * DAY_MS
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

  /** Like `pick`, by the rules of a placement; looks as deep as it takes for the best after boosts to be surely among those looked at. */
  private async pickSteered(
    model: Live,
    histories: Histories,
    wish: Wish & { diversity: number; steered: Steered; taken?: readonly Scored[] },
    trail: Trail,
  ): Promise<Scored[]> {
    const { steered, first, diversity, taken = [] } = wish
    const { rules, effects, pins, refuses } = steered
    const history = histories(model)
    const hasPool = diversity > 0 || refuses !== undefined
    const wanted = (hasPool ? Math.max(first * DIVERSITY_POOL, 20) : first) + taken.length
    const places = taken.length === 0 ? pins.filter(({ position }) => position <= first) : []
    let passed: Scored[] = []
    let demoted: Scored[] = []
    for (let depth = wanted + 16 + steered.hidden.size + (wish.excludeSeen ? steered.seen.size : 0); ; depth *= 4) {
      const ranking = this.ranker.rank(model, history, false, depth, steered.only)
      const products = await this.catalogue.byIds(Array.from(ranking.indexes, index => model.keys[index]))
      const drops = { counts: {}, examples: [] } as Trail['dropped']
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
      const newcomers = steered.only ? [] : await this.newcomers(model, history, passed)
      passed.push(...newcomers.filter(({ product }) => !steeredDrop(product, steered, wish)))
      await this.applyEffects(passed, effects)
      const floor = (ranking.scores[ranking.scores.length - 1] ?? 0) * effects.strongest
      const isSure = passed.length >= wanted && passed[wanted - 1].score >= floor
      if (isSure || ranking.indexes.length < depth || (depth >= DEEPEST && passed.length >= wanted)) {
        trail.dropped = merged(trail.dropped, drops)
        break
      }
    }
    const pinned = new Map<number, Scored>()
    for (const { product, position } of places) {
      const reason = steeredDrop(product, steered, { ...wish, excludeSeen: false })
      if (reason) note(trail, product.externalId, `pinned, but ${reason}`)
      else pinned.set(position - 1, await this.pinnedOf(product, position, { model, history, passed, effects }))
    }
    if (this.isLast(model)) passed.push(...demoted.slice(0, Math.max(0, wanted - passed.length)))
    const keys = new Set([...pinned.values(), ...taken].map(({ product }) => product.key))
    const candidates = [...passed.filter(({ product }) => !keys.has(product.key)), ...pinned.values()]
    for (const { text } of rules.boosts.length > 0 || rules.marginWeight > 0 || rules.sentimentWeight > 0 ? effectsSeen(passed) : [])
      trail.rules.push(text)
    for (const [place, { product }] of pinned) trail.rules.push(`Pinned ${product.externalId} to position ${place + 1}`)
    const { taken: chosen, refused } = arranged(candidates, {
      first: first - taken.length,
      diversity,
      pins: pinned,
      alike: likenessOf(model),
      refuses:
        refuses &&
        ((candidate, above) =>
          refuses(
            candidate.product,
            [...taken, ...above].map(({ product }) => product),
          )),
    })
    for (const { candidate, reason } of refused) countDrop(trail.dropped, candidate.product.externalId, reason)
    if (diversity > 0) {
      trail.rules.push(`Re-ranked for diversity ${diversity} (maximal marginal relevance)`)
      for (const candidate of candidates.slice(0, first))
        if (!chosen.includes(candidate) && !refused.some(each => each.candidate === candidate))
          countDrop(trail.dropped, candidate.product.externalId, 'too like what stands above')
    }
    return chosen
  }

  /** Multiplies scores by what rules say, and sorts; a later depth begins with scores of the model again. */
  private async applyEffects(passed: Scored[], { effectsOn, needsPenalties }: Steered['effects']): Promise<void> {
    const keys = needsPenalties ? passed.map(({ product }) => product.key) : []
    const penalties = (keys.length > 0 ? await this.steering.penalties?.(keys) : undefined) ?? new Map<number, number>()
    for (const each of passed) {
      each.effects = effectsOn(each.product, penalties.get(each.product.key) ?? 0)
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

  /** Which filter left nothing, by what it does to the whole catalogue that the baseline knows. */
  private async sayWhyEmpty(
    model: Live,
    filter: ProductFilter | undefined,
    rules: PlacementRules | undefined,
    trail: Trail,
  ): Promise<void> {
    const products = [...(await this.catalogue.byIds(Array.from(model.keys.subarray(-LOOKED_AT_FOR_CAUSE)))).values()].filter(
      ({ stock }) => stock !== 0,
    )
    const cause = emptiedBy(compileFilters({ filters: rules?.filters ?? [] }, filter), products)
    if (filter && (!cause || cause.startsWith('The filter where'))) trail.fallbacks.push('No product passes the filter "where"')
    if (cause) trail.fallbacks.push(cause)
    else trail.fallbacks.push(shortOf(0, 1, trail))
  }

  private async admit(
    { indexes, scores }: { indexes: Int32Array; scores: Float64Array },
    model: Live,
    { filter }: Wish,
    { wanted, passed, demoted }: { wanted: number; passed: Scored[]; demoted: Scored[] },
    trail: Trail,
  ) {
    const products = await this.catalogue.byIds(Array.from(indexes, index => model.keys[index]))
    const passes = productTest(filter)
    const counts: Record<string, number> = {}
    const examples: Trail['dropped']['examples'] = []
    for (let at = 0; at < indexes.length && passed.length < wanted; at++) {
      const product = products.get(model.keys[indexes[at]])
      const reason = dropReason(product, scores[at], model, passes)
      const scored = { index: indexes[at], score: scores[at], product: product as ProductType, source: model }
      if (reason === DEMOTED) demoted.push(scored)
      if (!reason) passed.push(scored)
      else {
        counts[reason] = (counts[reason] ?? 0) + 1
        if (reason !== UNSCORED && examples.length < EXAMPLES_OF_DROPPED)
          examples.push({ item: product?.externalId ?? `#${model.keys[indexes[at]]}`, reason })
      }
    }
    trail.dropped.counts = { ...trail.dropped.counts, ...counts }
    trail.dropped.examples = examples
  }

  private async fillUp(
    picked: Scored[],
    wish: Wish,
    trail: Trail,
    pick: (wish: Wish & { diversity: number; taken: readonly Scored[] }) => Promise<Scored[]>,
  ) {
    const shown = new Set(picked.map(({ product }) => product.key))
    const more = await pick({ ...wish, first: wish.first + shown.size, diversity: 0, taken: [...picked] })
    const missing = more.filter(({ product }) => !shown.has(product.key)).slice(0, wish.first - picked.length)
    if (missing.length === 0) return
    trail.fallbacks.push(`Filled up with ${missing.length} of what is popular`)
    picked.push(...missing)
  }

  private async explained(picked: Scored[], histories: Histories): Promise<Recommendation[]> {
    const keys = new Set<number>()
    const evidences = picked.map(({ source, index, reasons }) => {
      if (reasons || index < 0) return []
      const evidence = this.ranker.explain(source, histories(source), index, REASONS)
      for (const { items } of evidence) for (const item of items.slice(0, REASONS)) keys.add(source.keys[item])
      return evidence
    })
    const products = await this.catalogue.byIds([...keys])
    return picked.map(({ product, score, source, effects, reasons, pinnedAt }, at) => ({
      product,
      score,
      rank: at + 1,
      reasons: [
        ...(reasons ??
          evidences[at].map(evidence =>
            reasonOf(
              evidence,
              evidence.items.slice(0, REASONS).flatMap(item => products.get(source.keys[item]) ?? []),
            ),
          )),
        ...reasonsOfRules(score, effects ?? [], pinnedAt),
      ],
    }))
  }

  private async answer({ items, model, visitor, isPersonal, input, experiment }: Composed, trail: Trail): Promise<RecommendationList> {
    const servedBy = servedByOf(model)
    const id = await this.decisions.record({
      kind: 'recommendation',
      userId: visitor?.id ?? null,
      modelId: model?.modelId ?? null,
      servedBy,
      contributions: items.flatMap(contributionsOf),
      rules: [...trail.rules, ...trail.fallbacks],
      dropped: trail.dropped,
      consentBasis: consentBasis(visitor, isPersonal),
      input,
      experiment,
    })
    const decisionId = encodeId('Decision', id)
    return {
      id: encodeId('RecommendationList', id),
      items,
      servedBy,
      algorithm: algorithmOf(model),
      modelId: model?.modelId ? encodeId('Model', model.modelId) : null,
      fallbacks: trail.fallbacks,
      decisionId,
    }
  }

  private async withoutModel(
    request: RecommendationRequest,
    filter: ProductFilter | undefined,
    trail: Trail,
  ): Promise<Pick<Composed, 'items' | 'model' | 'isPersonal'>> {
    trail.fallbacks.push('Not even a baseline is ready: the newest products are shown')
    const ids = await this.repository.newest(NEWEST)
    const products = await this.catalogue.byIds(ids)
    const passes = productTest(filter) ?? (() => true)
    const items = ids
      .flatMap(id => products.get(id) ?? [])
      .filter(product => product.stock !== 0 && passes(product))
      .slice(0, request.first ?? DEFAULT_FIRST)
      .map((product, at) => ({
        product,
        score: 0,
        rank: at + 1,
        reasons: [{ kind: 'new', text: 'New in the shop', weight: 0, products: [] }],
      }))
    return { items, model: undefined, isPersonal: false }
  }
}

function chanceOf(
  { experimentId, version, placement, arm }: Assignment,
  picked: readonly Scored[],
  probability: number,
): DecisionExperiment {
  const shown = picked.map(({ product }) => product.key)
  return { id: experimentId, arm: arm.key, version, placement, share: arm.share, shown, first: shown[0] ?? null, probability }
}

interface Wish {
  first: number
  excludeSeen: boolean
  filter?: ProductFilter
}

/** The rules of a placement, ready for one request. */
interface Steered {
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

const UNSCORED = 'nothing speaks for it'
/** Shown only where nothing else is left. */
const DEMOTED = 'demoted by a person'
/** Newest products that are looked at to say which filter left nothing. */
const LOOKED_AT_FOR_CAUSE = 20_000

/** The placement that a request names. */
function nameIn({ placement }: RecommendationRequest): string | null {
  return cleanOptionalText(placement, { field: ['placement'], max: 100, min: 0 }) ?? null
}

function newTrail(): Trail {
  return { fallbacks: [], rules: [], dropped: { counts: {}, examples: [] } }
}

function servedByOf(model: Live | undefined): string {
  return model?.servedBy ?? 'newest products'
}

function nameOf(algorithm: RecommendationAlgorithm): string {
  return algorithm.toLowerCase().replaceAll('_', '-')
}

function needsDealings({ onlyBought, excludeBought, excludeShownDays, basis }: PlacementRules): boolean {
  return onlyBought || excludeBought || excludeShownDays > 0 || basis === 'CART'
}

/** What the list goes by: the products that were named, the cart, or all that the visitor did. */
function basisOf(
  {
    context,
    visitor,
    dealings,
    rules,
  }: { context: readonly number[]; visitor: Visitor | null; dealings: Dealings | undefined; rules: PlacementRules | undefined },
  trail: Trail,
): Visitor | null {
  if (context.length > 0) return basisOn(context, visitor)
  if (rules?.basis === 'CART') {
    const since = Date.now() - CART_DAYS * DAY_MS
    const cart = [...(dealings?.cart ?? [])].filter(([, at]) => at >= since).sort((a, b) => a[1] - b[1])
    if (cart.length > 0)
      return basisOn(
        cart.map(([key]) => key),
        visitor,
      )
    trail.fallbacks.push('The cart is empty: the list goes by all that is known of the user')
  }
  if (rules?.basis === 'CONTEXT') trail.fallbacks.push('No product was named: the list goes by all that is known of the user')
  return visitor
}

function basisOn(products: readonly number[], visitor: Visitor | null): Visitor {
  return {
    id: visitor?.id ?? 0,
    personalisation: visitor?.personalisation ?? null,
    products: Int32Array.from(products),
    weights: new Float32Array(products.length).fill(1),
    times: new Float64Array(products.length),
  }
}

/** Likeness by content where the model knows it; else by categories and brand. */
function likenessOf({ model }: Live): (a: Scored, b: Scored) => number {
  const { alike } = model
  return (a, b) => (alike && a.index >= 0 && b.index >= 0 ? alike(a.index, b.index) : similarity(a, b))
}

/** A baseline may show also what nothing speaks for. */
function isUnscored(score: number, { modelId, algorithm }: Live): boolean {
  return score <= 0 && (modelId !== null || algorithm === nameOf(RecommendationAlgorithm.REPEAT))
}

function steeredDrop(
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

function countDrop({ counts, examples }: Trail['dropped'], item: string, reason: string) {
  counts[reason] = (counts[reason] ?? 0) + 1
  const isShown = reason !== UNSCORED && counts[reason] <= EXAMPLES_A_REASON && examples.length < EXAMPLES_OF_DROPPED
  if (isShown) examples.push({ item, reason })
}

function note(trail: Trail, item: string, reason: string) {
  countDrop(trail.dropped, item, reason)
  trail.rules.push(`${item}: ${reason}`)
}

function merged(a: Trail['dropped'], b: Trail['dropped']): Trail['dropped'] {
  const counts = { ...a.counts }
  for (const [reason, count] of Object.entries(b.counts)) counts[reason] = (counts[reason] ?? 0) + count
  return { counts, examples: [...a.examples, ...b.examples].slice(0, EXAMPLES_OF_DROPPED) }
}

/** Each effect with how many candidates it had an effect on. */
function effectsSeen(passed: readonly Scored[]): { text: string }[] {
  const counts = new Map<string, number>()
  for (const { effects = [] } of passed)
    for (const { text } of effects) {
      const name = text.startsWith('Boost') ? text : text.startsWith('Margin') ? 'Margin' : 'Negative reviews'
      counts.set(name, (counts.get(name) ?? 0) + 1)
    }
  return [...counts].map(([name, count]) => ({ text: `${name}: ${count} of ${passed.length} candidates` }))
}

/** Parts of the score that rules have; `score` is what came out. */
function reasonsOfRules(score: number, effects: readonly Effect[], pinnedAt: number | undefined): Reason[] {
  const reasons: Reason[] = []
  let before = effects.every(({ factor }) => factor !== 0) ? score / effects.reduce((product, { factor }) => product * factor, 1) : 0
  for (const { text, factor } of effects) {
    reasons.push({ kind: 'rule', text, weight: before * factor - before, products: [] })
    before *= factor
  }
  if (pinnedAt !== undefined) reasons.push({ kind: 'rule', text: `Pinned to position ${pinnedAt}`, weight: 0, products: [] })
  return reasons
}

/** Says why a list is shorter than was asked for. */
function shortOf(length: number, first: number, { dropped }: Trail): string {
  const causes = Object.entries(dropped.counts).sort((a, b) => b[1] - a[1])
  const told = causes.map(([reason, count]) => `${reason} (${count})`).join(', ')
  return `${length === 0 ? 'Nothing can be shown' : `${length} of ${first} can be shown`}: ${told || 'the catalogue has no more'}`
}

function dropReason(
  product: ProductType | undefined,
  score: number,
  model: Live,
  passes: ((product: ProductType) => boolean) | undefined,
): string | undefined {
  if (!product) return 'not in the catalogue'
  if (isUnscored(score, model)) return UNSCORED
  if (product.stock === 0) return 'out of stock'
  if (passes && !passes(product)) return 'filter where'
  return product.demotedAt ? DEMOTED : undefined
}

/** An item's score, the evidence that was shown, and what the rest of it comes to: the parts sum to the score. */
function contributionsOf({ product, score, reasons }: Recommendation): Contribution[] {
  const feature = product.externalId
  const parts = [{ feature, value: 'score', weight: score }]
  let rest = score
  for (const { kind, weight, products } of reasons) {
    parts.push({ feature, value: `${kind}: ${products.map(each => each.externalId).join(', ')}`, weight })
    rest -= weight
  }
  if (Math.abs(rest) > ROUNDING) parts.push({ feature, value: 'further evidence', weight: rest })
  return parts
}

function reasonOf({ kind, weight, terms = [] }: Evidence, products: ProductType[]): Reason {
  const titles = products.map(product => product.title).join(', ')
  const texts: Record<Evidence['kind'], string> = {
    'neighbour-item': `Chosen by people who chose ${titles || 'what this user chose'}`,
    'neighbour-user': titles ? `Chosen by people with a similar taste, who also chose ${titles}` : 'Chosen by people with a similar taste',
    popularity: 'Popular with everybody of late',
    content: `Like ${titles}${terms.length > 0 ? ` (${terms.map(term => term.slice(term.indexOf(':') + 1)).join(', ')})` : ''}`,
    factor: `Goes with ${titles}`,
    rank: 'Put here by what people took from such lists',
    repeat: 'Bought again and again by this user',
  }
  return { kind, text: texts[kind], weight, products }
}

function algorithmOf(model: Live | undefined): RecommendationAlgorithm {
  const name = model?.algorithm.toUpperCase().replaceAll('-', '_') as RecommendationAlgorithm
  return Object.values(RecommendationAlgorithm).includes(name) ? name : RecommendationAlgorithm.POPULARITY
}

function consentBasis(visitor: Visitor | null, isPersonal: boolean): string | null {
  if (!visitor) return null
  const { personalisation } = visitor
  if (!personalisation) return 'PERSONALISATION not asked'
  return isPersonal ? `PERSONALISATION granted ${personalisation.at.toISOString()} (${personalisation.source})` : 'PERSONALISATION refused'
}

function stringly(filter: ProductFilter): Record<string, unknown> {
  return Object.fromEntries(Object.entries(filter).map(([name, value]) => [name, typeof value === 'bigint' ? value.toString() : value]))
}
