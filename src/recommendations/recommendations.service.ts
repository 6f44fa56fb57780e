import { explored } from '../algorithms/recommend/explore.js'
import type { History, Recommender } from '../algorithms/recommend/recommender.js'
import type { ProductType } from '../catalogue/catalogue.schema.js'
import type { CatalogueService } from '../catalogue/catalogue.service.js'
import { type AttributeFilter, cleanProductFilter, type ProductFilter, productTest } from '../catalogue/product-filter.js'
import { checkFirst } from '../graphql/connection.js'
import { encodeId } from '../graphql/node-id.js'
import { InvalidInput } from '../platform/errors.js'
import type { Metrics } from '../platform/metrics.js'
import { cleanOptionalText, cleanText } from '../platform/text-input.js'
import { type DecisionExperiment, type Decisions, linesOf } from '../registry/decisions.js'
import type { LiveModels } from '../registry/live-models.js'
import {
  Candidates,
  DEMOTED,
  type Histories,
  isTelling,
  isUnscored,
  joined,
  type Live,
  lacking,
  likenessOf,
  nameOf,
  type Scored,
  SEARCHED,
  TASK,
  UNSCORED,
  type Wish,
} from './candidates.js'
import { poolOf, reranked } from './diversity.js'
import { type Assignment, EXPLORED_POOL, type ExperimentsService } from './experiments.service.js'
import { contributionsOf, type Explained, Explanations } from './explanations.js'
import type { NewProducts } from './new-products.js'
import { ownRepeats } from './own-repeats.js'
import type { Placements } from './placements.js'
import type { PlacementPreviewList } from './placements.schema.js'
import { Ranker } from './ranker.js'
import { type Answered, type Basis as RecentBasis, RecentLists } from './recent-lists.js'
import type { RecommendationsRepository, Visitor } from './recommendations.repository.js'
import { type Recommendation, RecommendationAlgorithm, RecommendationList } from './recommendations.schema.js'
import { compileFilters, emptiedBy, type PlacementRules } from './rules.js'
import type { StandIns } from './stand-ins.js'
import { type Known, type Penalties, type Plan, putPinsInPlace, Steering, steeredDrop } from './steering.js'
import { newTrail, shortOf, type Trail } from './trail.js'

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

/** What steers recommendations beside the models. */
export interface SteeringParts {
  placements: Placements
  newProducts: NewProducts
  standIns: StandIns
  experiments?: Pick<ExperimentsService, 'assign' | 'isIdle'>
  penalties?: Penalties
}

/** A request of the past: what was known of who asked, and what he asked for. */
export interface Past {
  visitor: Visitor
  at: Date
  placement: string | null
  asked?: DecisionExperiment['asked']
}

/** A request, and all that is known before a model is asked. */
interface Scene {
  request: RecommendationRequest
  plan: Plan | undefined
  wish: Wish
  diversity: number
  visitor: Visitor | null
  isPersonal: boolean
  known: Known
  /** What the list goes by. */
  basis: Visitor | null
  assignment: Assignment | undefined
}

/** A list before it is recorded. */
interface Composed extends Explained {
  model: Live | undefined
  visitor: Visitor | null
  isPersonal: boolean
  input: unknown
  experiment?: DecisionExperiment
}

const AFFINITY_BATCH = 200
const NOTHING = new Int32Array(0)
const NOTHING_SIMILAR = { items: NOTHING, scores: new Float32Array(0) }
const DEFAULT_FIRST = 10
const EXAMPLES_OF_DROPPED = 20
const MOST_CONTEXT = 100
const CART_DAYS = 30
const DAY_MS = 86_400_000
/** Algorithms that answer also for a stranger. */
const IMPERSONAL: readonly string[] = [RecommendationAlgorithm.POPULARITY, RecommendationAlgorithm.TRENDING]
const BY_PEOPLE = 'Chosen by the people who chose'
/** What it means that a model finds two products alike. */
const LIKENESS: Readonly<Record<string, string>> = {
  'item-cf': BY_PEOPLE,
  'user-cf': BY_PEOPLE,
  ease: BY_PEOPLE,
  slim: BY_PEOPLE,
  rp3beta: BY_PEOPLE,
  content: 'Like',
}
/** Newest products to choose from while there is no baseline. */
const NEWEST = 500

/** What to show whom, now, and why. */
export class RecommendationsService {
  private readonly ranker = new Ranker()
  private readonly recent = new RecentLists()
  private readonly candidates: Candidates
  private readonly explanations: Explanations
  private readonly steering: Steering

  constructor(
    private readonly repository: RecommendationsRepository,
    private readonly catalogue: CatalogueService,
    private readonly models: LiveModels,
    private readonly decisions: Decisions,
    private readonly metrics: Metrics,
    private readonly parts: SteeringParts,
    private readonly random: { next(): number } = { next: Math.random },
  ) {
    this.candidates = new Candidates(models, parts.newProducts)
    this.explanations = new Explanations(catalogue)
    this.steering = new Steering(catalogue, this.ranker, this.candidates, parts.penalties)
  }

  async recommend(request: RecommendationRequest): Promise<RecommendationList> {
    const trail = newTrail()
    const plan = request.placement ? await this.planOf(request, trail) : undefined
    const scene = await this.sceneOf(request, plan, trail, { takesPart: true })
    const looking = this.catalogue.freshen()
    if (looking) await looking
    const basis = this.recurringBasisOf(scene)
    const recent = basis && this.recent.find(basis)
    const repeat = recent && this.decisions.repeat(recent.decision)
    if (repeat) {
      this.metrics.model(TASK, recent.model)
      return new RecommendationList(repeat, recent.list)
    }
    const composed = await this.compose(scene, trail)
    const model = composed.model?.algorithm ?? 'none'
    this.metrics.model(TASK, model)
    const { list, decision } = await this.answer(composed, trail)
    if (basis) this.recent.keep(basis, { list, decision, model })
    return new RecommendationList(decision, list)
  }

  /** The list by these rules, whether they are stored or not; nothing is recorded. */
  async rehearse(request: RecommendationRequest, plan: Plan | null): Promise<PlacementPreviewList> {
    const trail = newTrail()
    const scene = await this.sceneOf(request, plan ?? undefined, trail, { takesPart: false })
    const { items, model } = await this.compose(scene, trail)
    return { items, servedBy: servedByOf(model), fallbacks: trail.fallbacks, rules: trail.rules, dropped: trail.dropped }
  }

  /**
   * What this model would have shown to whom just this was known of, best first, by the rules that the placement has now: the `pool` best, of which `drawn` are its
   * own, and where those are fewer than the list's `places`, what it is filled up with.
   */
  async wouldShow(model: Live, past: Past, { pool, places }: { pool: number; places: number }): Promise<{ list: Scored[]; drawn: number }> {
    const trail = newTrail()
    const { visitor, at, placement, asked } = past
    const plan = await this.planOf({ placement }, trail)
    const dealings = plan && needsDealings(plan.rules) ? await this.parts.placements.dealings({ userId: visitor.id, at }) : undefined
    const known = { visitor, dealings, context: asked?.context ?? [], now: at.getTime() }
    const basis = basisOf(known, plan?.rules, trail)
    const histories = await this.historiesOf(model, basis, trail)
    const diversity = asked?.diversity ?? plan?.rules.diversity ?? 0
    const wish = { first: pool, diversity, excludeSeen: asked?.excludeSeen ?? plan?.rules.excludeSeen ?? true }
    const steered = plan && (await this.steering.steer(plan, wish, known, trail))
    const without = withoutOf(basis, wish, known)
    const pick = (source: Live, more: Wish & { diversity: number; taken?: readonly Scored[] }) =>
      steered
        ? this.steering.pick(source, histories, { ...more, steered }, trail)
        : this.pick(source, histories, { ...more, context: known.context, without }, trail)
    const list = await pick(model, wish)
    const drawn = list.length
    const baseline = this.models.baseline<Recommender>(TASK)
    if (drawn < places && baseline && baseline !== model)
      await this.fillUp(list, { ...wish, first: places }, trail, more => pick(baseline, more))
    return { list, drawn }
  }

  /** The rules of a placement; a name that nobody has given rules is answered without any, and says so. */
  private async planOf(request: RecommendationRequest, trail: Trail): Promise<Plan | undefined> {
    const name = nameIn(request)
    if (!name) return undefined
    const row = await this.parts.placements.find(name)
    if (row && !row.archivedAt) return row
    trail.fallbacks.push(`${row ? `The placement "${name}" is archived` : `No placement is named "${name}"`}: no rules were applied`)
    return undefined
  }

  private async sceneOf(
    request: RecommendationRequest,
    plan: Plan | undefined,
    trail: Trail,
    { takesPart }: { takesPart: boolean },
  ): Promise<Scene> {
    const { where } = request
    const first = request.first ?? DEFAULT_FIRST
    const asked = request.diversity ?? 0
    checkFirst(first)
    if (!(asked >= 0 && asked <= 1)) throw new InvalidInput('diversity must be between 0 and 1', {}, ['diversity'])
    const filter = where ? cleanProductFilter(where) : undefined
    const hasContext = Boolean(request.contextProductKeys?.length || request.contextProductExternalIds?.length)
    const context = hasContext ? await this.contextOf(request, trail) : []
    if (plan) trail.rules.push(`Placement "${plan.name}" version ${plan.version}`)
    // An argument that differs from its default wins over the placement.
    const rules = plan?.rules
    const excludeSeen = (request.excludeSeen ?? true) && (rules?.excludeSeen ?? true)
    const visitor = await this.visitorOf(request, context.length > 0, trail)
    const isPersonal = visitor !== null && visitor.personalisation?.granted !== false
    if (visitor && !isPersonal) trail.rules.push('The user refused PERSONALISATION: nothing personal was used')
    const dealings = isPersonal && rules && needsDealings(rules) ? await this.parts.placements.dealings({ userId: visitor.id }) : undefined
    const known: Known = { visitor: isPersonal ? visitor : null, dealings, context, now: Date.now() }
    const basis = basisOf(known, rules, trail)
    // An experiment steers what nobody asked for by name.
    const isOpen =
      takesPart && !this.parts.experiments?.isIdle && (request.algorithm ?? RecommendationAlgorithm.AUTO) === RecommendationAlgorithm.AUTO
    const assignment = isOpen ? await this.assigned(nameIn(request), basis, trail) : undefined
    const diversity = assignment?.arm.diversity ?? (asked > 0 ? asked : (rules?.diversity ?? 0))
    return { request, plan, wish: { first, excludeSeen, filter }, diversity, visitor, isPersonal, known, basis, assignment }
  }

  /** What the list depends on, where the same may be asked again: neither chance nor what was bought, shown or named has a part in it. */
  private recurringBasisOf({ request, plan, wish, diversity, visitor, known, assignment }: Scene): RecentBasis | undefined {
    const { first, excludeSeen, filter } = wish
    if (assignment?.arm.exploration || known.dealings || known.context.length > 0) return undefined
    const { userExternalId, userKey, placement, algorithm } = request
    const asked = [
      userExternalId,
      userKey,
      placement,
      plan?.version,
      first,
      algorithm,
      excludeSeen,
      diversity,
      filter && JSON.stringify(stringly(filter)),
      assignment?.experimentId,
      assignment?.version,
      assignment?.arm.key,
    ]
    const isByReviews = (plan?.rules.sentimentWeight ?? 0) > 0
    return { asked, visitor, models: this.models.changes, catalogue: this.catalogue.changes, isByReviews }
  }

  private async compose(
    { request, plan, wish, diversity, visitor, isPersonal, known, basis, assignment }: Scene,
    trail: Trail,
  ): Promise<Composed> {
    const { first, excludeSeen, filter } = wish
    const { context } = known
    const rules = plan?.rules
    const algorithm = this.algorithmOf(assignment?.arm.algorithm ?? request.algorithm, rules, basis, trail)
    const chosen = this.choose(algorithm, basis, trail)
    const histories = await this.historiesOf(chosen, basis, trail)
    const model = this.telling(chosen, basis, histories, trail)
    const steered = plan && (await this.steering.steer(plan, wish, known, trail))
    const without = withoutOf(basis, wish, known)
    const pick = (source: Live, more: Wish & { diversity: number; taken?: readonly Scored[] }, way: Trail) =>
      steered
        ? this.steering.pick(source, histories, { ...more, steered }, way)
        : this.pick(source, histories, { ...more, context, without }, way)
    // What a person pinned is not left to chance.
    const exploration = steered && steered.pins.length > 0 ? 0 : (assignment?.arm.exploration ?? 0)
    const pool = exploration > 0 ? Math.max(first, EXPLORED_POOL) : first
    const best = model ? await pick(model, { ...wish, first: pool, diversity }, trail) : []
    const open = exploration > 0 && first > 0 ? best.slice(0, EXPLORED_POOL).filter(({ product }) => !product.demotedAt) : []
    const chance = open.length > 0 ? explored(open, exploration, this.random) : undefined
    const picked = (chance ? [...chance.order, ...best.slice(open.length)] : best).slice(0, first)
    if (chance) trail.rules.push(`The first was drawn by chance, with a probability of ${chance.chances[0].toFixed(4)}`)
    const baseline = this.models.baseline<Recommender>(TASK)
    // What keeps a list short is what the last of those who were asked left out.
    const last = baseline && baseline !== model ? newTrail() : trail
    if (picked.length < first && baseline && baseline !== model) await this.fillUp(picked, wish, trail, more => pick(baseline, more, last))
    putPinsInPlace(picked)
    const { userExternalId, userKey, contextProductKeys, contextProductExternalIds } = request
    const input = {
      userExternalId,
      userKey,
      placement: request.placement ?? null,
      placementVersion: plan?.version,
      first,
      algorithm,
      excludeSeen,
      diversity,
      where: filter && stringly(filter),
      contextProductKeys,
      contextProductExternalIds,
    }
    if (picked.length === 0 && !model)
      return {
        ...(await this.withoutModel(
          first,
          steered ? product => [undefined, DEMOTED].includes(steeredDrop(product, steered, wish)) : (productTest(filter) ?? (() => true)),
          trail,
        )),
        visitor,
        input,
      }
    if (picked.length === 0 && first > 0 && model) await this.sayWhyEmpty(filter, rules, { ...trail, dropped: last.dropped })
    else if (picked.length < first)
      trail.fallbacks.push(shortOf(picked.length, first, last, steered?.only ? 'the user bought nothing else' : undefined))
    const explained = await this.explanations.explain(picked, histories)
    const experiment = assignment && { ...chanceOf(assignment, picked, chance?.chances), ...askedOf(request, context, filter) }
    return { ...explained, model, visitor, isPersonal, input, experiment }
  }

  /** Internal ids of the products that the request names. */
  private async contextOf({ contextProductKeys = [], contextProductExternalIds }: RecommendationRequest, trail: Trail): Promise<number[]> {
    const named = [...new Set(contextProductExternalIds ?? [])].map(id =>
      cleanText(id, { field: ['contextProductExternalIds'], max: 200, trim: false }),
    )
    const keys = [...new Set(contextProductKeys)]
    if (named.length + keys.length > MOST_CONTEXT)
      throw new InvalidInput(`At most ${MOST_CONTEXT} products can be named`, {}, ['contextProductExternalIds'])
    const [byName, byKey] = [await this.catalogue.byExternalIds(named), await this.catalogue.byIds(keys)]
    const found = [...byName.values(), ...byKey.values()].map(({ key }) => key)
    const missing = named.length - byName.size + keys.length - byKey.size
    if (missing > 0) trail.fallbacks.push(`${missing} of the products named are not in the catalogue`)
    return [...new Set(found)]
  }

  private algorithmOf(
    algorithm: RecommendationAlgorithm | null | undefined,
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

  /** Products that go together with this one, from the live model, and behind them what is like it; what is out of stock is left out. */
  async similar(product: ProductType, asked?: number | null): Promise<Recommendation[]> {
    const first = asked ?? DEFAULT_FIRST
    checkFirst(first)
    const model = this.models.live<Recommender>(TASK) ?? this.models.named<Recommender>(TASK, 'item-cf')
    const index = model?.indexOf.get(product.key)
    const { items, scores } = model && index !== undefined ? model.model.similar(index, 2 * first + 10) : NOTHING_SIMILAR
    const together = Array.from(items, (item, at) => ({ key: (model as Live).keys[item], score: scores[at] }))
    const found = await this.shownBeside(product, together, LIKENESS[model?.algorithm ?? ''] ?? 'Goes with')
    if (found.length < first) {
      const known = new Set(found.map(({ product: { key } }) => key))
      const like = (await this.parts.standIns.like(product.key)).filter(({ key }) => !known.has(key))
      found.push(
        ...(await this.shownBeside(
          product,
          like.map(({ key, likeness }) => ({ key, score: likeness })),
          LIKENESS.content,
        )),
      )
    }
    return found.slice(0, first).map((each, at) => ({ ...each, rank: at + 1 }))
  }

  /** Those that may be shown, what a person demoted last. */
  private async shownBeside(
    product: ProductType,
    others: readonly { key: number; score: number }[],
    why: string,
  ): Promise<Omit<Recommendation, 'rank'>[]> {
    const products = await this.catalogue.byIds(others.map(({ key }) => key))
    return others
      .map(({ key, score }) => ({ product: products.get(key), score }))
      .filter((each): each is { product: ProductType; score: number } => each.product !== undefined && each.product.stock !== 0)
      .sort((a, b) => Number(a.product.demotedAt !== null) - Number(b.product.demotedAt !== null))
      .map(({ product: other, score }) => ({
        product: other,
        score,
        reasons: [{ kind: 'similar', text: `${why} ${product.title}`, weight: score, products: [product] }],
      }))
  }

  /** Products that the live model can score for these: themselves, and what stands for those that came after its training. */
  async scorableFor(products: readonly number[]): Promise<number[]> {
    const model = this.models.live<Recommender>(TASK)
    return model ? this.parts.standIns.keysFor(model, products) : []
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
    const affinity = affinityTo(model, Int32Array.from(wanted))
    for (let from = 0; from < userIds.length; from += AFFINITY_BATCH) {
      const batch = userIds.slice(from, from + AFFINITY_BATCH)
      const visitors = await Promise.all(batch.map(id => this.repository.visitorById(id)))
      signal?.throwIfAborted()
      for (const [at, visitor] of visitors.entries()) {
        if (!visitor || visitor.products.length === 0 || visitor.personalisation?.granted === false) continue
        const history = this.ranker.historyOf(model, visitor)
        if (history.items.length === 0) continue
        found.ids.push(batch[at])
        found.scores.push(affinity(history).reduce((best, score) => Math.max(best, score), Number.NEGATIVE_INFINITY))
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
    const assignment = await this.parts.experiments?.assign(placement, basis.id)
    if (assignment)
      trail.rules.push(`Experiment "${assignment.name}": arm ${assignment.arm.key} (${100 * assignment.arm.share} % of the users)`)
    return assignment
  }

  /** `basis`: whoever's, or whatever's, history the list goes by; null or empty for a stranger. */
  private choose(wanted: RecommendationAlgorithm, basis: Visitor | null, trail: Trail): Live | undefined {
    const baseline = this.models.baseline<Recommender>(TASK)
    if (IMPERSONAL.includes(wanted)) {
      const named = this.models.named<Recommender>(TASK, nameOf(wanted))
      if (!named && baseline) trail.fallbacks.push(`${this.missing(wanted)}: the baseline answers`)
      return named ?? baseline
    }
    if (!basis || basis.products.length === 0) return baseline
    if (wanted === RecommendationAlgorithm.AUTO) {
      const live = this.models.live<Recommender>(TASK)
      if (!live) trail.fallbacks.push(`${this.missing(wanted)}: the baseline answers`)
      return live ?? baseline
    }
    const named = this.models.named<Recommender>(TASK, nameOf(wanted))
    // It learns nothing from others, so there is nothing to approve.
    if (!named && wanted === RecommendationAlgorithm.REPEAT) return ownRepeats(basis)
    if (!named) trail.fallbacks.push(`${this.missing(wanted)}: ${this.models.live(TASK) ? 'the live model' : 'the baseline'} answers`)
    return named ?? this.models.live<Recommender>(TASK) ?? baseline
  }

  /** Why there is no model of this algorithm. */
  private missing(wanted: RecommendationAlgorithm): string {
    const isAuto = wanted === RecommendationAlgorithm.AUTO
    const broken = this.models.broken(TASK, isAuto ? undefined : nameOf(wanted))
    if (broken) return `${broken} cannot be loaded`
    return isAuto ? 'No model is approved yet' : `${wanted} has no approved model`
  }

  /** What the models know of whoever the list goes by. For products that came after the training of the one that answers stand those that are most like them. */
  private async historiesOf(model: Live | undefined, basis: Visitor | null, trail: Trail): Promise<Histories> {
    const known = model && basis && !isImpersonal(model) ? await this.parts.standIns.visitorFor(model, basis, trail) : basis
    return source => this.ranker.historyOf(source, source === model ? known : basis)
  }

  /** Who is known, but by nothing that the model could tell anything from, is answered as a stranger is. */
  private telling(model: Live | undefined, basis: Visitor | null, histories: Histories, trail: Trail): Live | undefined {
    if (!model || !basis || basis.products.length === 0 || isImpersonal(model) || isTelling(histories(model))) return model
    trail.fallbacks.push(`${model.servedBy} can tell nothing from what this user did: the answer is what is popular`)
    return this.models.baseline<Recommender>(TASK) ?? model
  }

  /** The best products of a model that pass every rule; looks deeper into the ranking only as far as rules make it necessary. */
  private async pick(
    model: Live,
    histories: Histories,
    wish: Wish & { diversity: number; context: readonly number[]; without: Int32Array },
    trail: Trail,
  ): Promise<Scored[]> {
    const history = histories(model)
    const wanted = wish.diversity > 0 ? poolOf(wish.first) : wish.first
    let passed: Scored[] = []
    const demoted: Scored[] = []
    let only: ReadonlySet<number> | undefined
    const without = new Set(wish.without)
    // What stands in the history for something else is not left out itself.
    const hasStandIns = without.size > 0 && history.items.some(item => !without.has(model.keys[item]))
    for (let depth = wanted + 16 + (hasStandIns ? without.size : 0); passed.length < wanted; depth *= 8) {
      if (wish.filter && depth > SEARCHED) only ??= await this.catalogue.matching([wish.filter])
      const ranking = this.ranker.rank(model, history, without.size > 0 && !hasStandIns, depth, only)
      passed.length = 0
      demoted.length = 0
      await this.admit(ranking, model, { ...wish, without }, { wanted, passed, demoted }, trail)
      if (only) trail.dropped.counts[FILTERED] = lacking(only, model)
      if (ranking.indexes.length < depth) break
    }
    const newcomers = await this.candidates.newcomers(model, history, passed)
    if (newcomers.length > 0) {
      const passes = productTest(wish.filter)
      passed = joined(
        passed,
        newcomers.filter(({ score, product }) => !without.has(product.key) && !dropReason(product, score, model, passes)),
      )
      passed.sort((a, b) => b.score - a.score)
    }
    const behind = this.candidates.isLast(model) ? demoted : []
    if (wish.context.length > 0) {
      trail.rules.push(`Goes with the ${wish.context.length} products that were named, which are left out`)
    } else if (wish.excludeSeen && history.items.length > 0) {
      const seen = hasStandIns ? without.size : history.items.length
      trail.dropped.counts.seen = seen
      trail.rules.push(`${seen} products the user has seen were left out`)
    }
    if (wish.diversity === 0 || passed.length <= 1) return [...passed, ...behind].slice(0, wish.first)
    trail.rules.push(`Re-ranked for diversity ${wish.diversity} (maximal marginal relevance)`)
    return [...reranked(passed, wish.diversity, wish.first, likenessOf(model)), ...behind].slice(0, wish.first)
  }

  /** Which filter left nothing, by what it does to the whole catalogue. */
  private async sayWhyEmpty(filter: ProductFilter | undefined, rules: PlacementRules | undefined, trail: Trail): Promise<void> {
    const filters = compileFilters({ filters: rules?.filters ?? [] }, filter)
    const emptied = filters.length > 0 ? emptiedBy(filters, await this.catalogue.passing(filters.map(({ where }) => where))) : undefined
    if (!emptied) return void trail.fallbacks.push(shortOf(0, 1, trail))
    const { cause, attributes } = emptied.filter
    if (cause === FILTERED) trail.fallbacks.push('No product passes the filter "where"')
    const unknown = await this.unknownAttribute(attributes)
    trail.fallbacks.push(`The ${cause} leaves nothing${unknown === undefined ? emptied.why : `: no product has an attribute "${unknown}"`}`)
  }

  private async unknownAttribute(attributes: readonly AttributeFilter[]): Promise<string | undefined> {
    for (const { name } of attributes) {
      const { alone } = await this.catalogue.passing([{ attributes: [{ name }] }])
      if (alone[0] === 0) return name
    }
    return undefined
  }

  private async admit(
    { indexes, scores }: { indexes: Int32Array; scores: Float64Array },
    model: Live,
    { filter, without, context }: Pick<Wish, 'filter'> & { without: ReadonlySet<number>; context: readonly number[] },
    { wanted, passed, demoted }: { wanted: number; passed: Scored[]; demoted: Scored[] },
    trail: Trail,
  ) {
    const products = await this.catalogue.byIds(Array.from(indexes, index => model.keys[index]))
    const passes = productTest(filter)
    const counts: Record<string, number> = {}
    const examples: Trail['dropped']['examples'] = []
    for (let at = 0; at < indexes.length && passed.length < wanted; at++) {
      const key = model.keys[indexes[at]]
      const product = products.get(key)
      const left = without.has(key) ? (context.length > 0 ? 'named in the request' : 'seen') : undefined
      const reason = left ?? dropReason(product, scores[at], model, passes)
      const scored = { index: indexes[at], score: scores[at], product: product as ProductType, source: model }
      if (reason === DEMOTED) demoted.push(scored)
      if (!reason) passed.push(scored)
      else {
        counts[reason] = (counts[reason] ?? 0) + 1
        if (reason !== UNSCORED && examples.length < EXAMPLES_OF_DROPPED) examples.push({ item: product?.externalId ?? `#${key}`, reason })
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

  private async answer(
    { items, lines, model, visitor, isPersonal, input, experiment }: Composed,
    trail: Trail,
  ): Promise<Pick<Answered, 'list' | 'decision'>> {
    const servedBy = servedByOf(model)
    const decision = await this.decisions.record({
      kind: 'recommendation',
      userId: visitor?.id ?? null,
      modelId: model?.modelId ?? null,
      servedBy,
      contributions: lines,
      rules: [...trail.rules, ...trail.fallbacks],
      dropped: trail.dropped,
      consentBasis: consentBasis(visitor, isPersonal),
      input,
      experiment,
    })
    const modelId = model?.modelId ? encodeId('Model', model.modelId) : null
    return { decision, list: { items, servedBy, algorithm: algorithmOf(model), modelId, fallbacks: trail.fallbacks } }
  }

  private async withoutModel(
    first: number,
    mayBeShown: (product: ProductType) => boolean,
    trail: Trail,
  ): Promise<Pick<Composed, 'items' | 'lines' | 'model' | 'isPersonal'>> {
    trail.fallbacks.push('Not even a baseline is ready: the newest products are shown')
    const ids = await this.repository.newest(NEWEST)
    const products = await this.catalogue.byIds(ids)
    const items = ids
      .flatMap(id => products.get(id) ?? [])
      .filter(product => product.stock !== 0 && mayBeShown(product))
      .sort((a, b) => Number(a.demotedAt !== null) - Number(b.demotedAt !== null))
      .slice(0, first)
      .map((product, at) => ({
        product,
        score: 0,
        rank: at + 1,
        reasons: [{ kind: 'new', text: 'New in the shop', weight: 0, products: [] }],
      }))
    return { items, lines: linesOf(items.flatMap(contributionsOf)), model: undefined, isPersonal: false }
  }
}

/** Scores of these items for a history; where a model can, without a look at all others. */
function affinityTo({ model, keys }: Live, items: Int32Array): (history: History) => Float64Array {
  if (model.scoreOf) return history => model.scoreOf?.(history, items) ?? new Float64Array(0)
  const scores = new Float64Array(keys.length)
  return history => {
    model.score(history, scores)
    return Float64Array.from(items, item => scores[item])
  }
}

function chanceOf(
  { experimentId, version, placement, arm }: Assignment,
  picked: readonly Scored[],
  chances: readonly number[] | undefined,
): DecisionExperiment {
  const shown = picked.map(({ product }) => product.key)
  const known = { id: experimentId, arm: arm.key, version, placement, share: arm.share, shown, first: shown[0] ?? null }
  if (!chances) return { ...known, probability: 1 }
  // What stands behind those that were drawn from stands there for certain.
  return { ...known, probability: chances[0], chances: shown.map((_, place) => Number((chances[place] ?? 1).toPrecision(6))) }
}

/** As `compileFilters` says it. */
const FILTERED = 'filter where'

/** The placement that a request names. */
function nameIn({ placement }: RecommendationRequest): string | null {
  return cleanOptionalText(placement, { field: ['placement'], max: 100, min: 0 }) ?? null
}

function servedByOf(model: Live | undefined): string {
  return model?.servedBy ?? 'newest products'
}

function needsDealings({ onlyBought, excludeBought, excludeShownDays, basis }: PlacementRules): boolean {
  return onlyBought || excludeBought || excludeShownDays > 0 || basis === 'CART'
}

/** What the list goes by: the products that were named, the cart, or all that the visitor did. */
function basisOf({ visitor, dealings, context, now }: Known, rules: PlacementRules | undefined, trail: Trail): Visitor | null {
  if (context.length > 0) return basisOn(context, visitor)
  if (rules?.basis === 'CART') {
    const since = now - CART_DAYS * DAY_MS
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

/** Without rules: what the list goes by is not in it, where that is to be left out. */
function withoutOf(basis: Visitor | null, { excludeSeen }: Pick<Wish, 'excludeSeen'>, { context }: Known): Int32Array {
  return basis && (excludeSeen || context.length > 0) ? basis.products : NOTHING
}

/** What a request wanted beside what its placement says, as far as that is asked of another policy too. */
function askedOf(
  { excludeSeen, diversity }: RecommendationRequest,
  context: readonly number[],
  filter: ProductFilter | undefined,
): Pick<DecisionExperiment, 'asked'> {
  const asked = {
    ...(context.length > 0 ? { context: [...context] } : {}),
    ...(excludeSeen === false ? { excludeSeen } : {}),
    ...((diversity ?? 0) > 0 ? { diversity: diversity as number } : {}),
    ...(productTest(filter) ? { isFiltered: true } : {}),
  }
  return Object.keys(asked).length > 0 ? { asked } : {}
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

function dropReason(
  product: ProductType | undefined,
  score: number,
  model: Live,
  passes: ((product: ProductType) => boolean) | undefined,
): string | undefined {
  if (!product) return 'not in the catalogue'
  if (isUnscored(score, model)) return UNSCORED
  if (product.stock === 0) return 'out of stock'
  if (passes && !passes(product)) return FILTERED
  return product.demotedAt ? DEMOTED : undefined
}

/** Whether it tells everybody the same. */
function isImpersonal(model: Live): boolean {
  return IMPERSONAL.includes(algorithmOf(model))
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
