import { topIndexes } from '../algorithms/math/select.js'
import type { Evidence, History, Recommender } from '../algorithms/recommend/recommender.js'
import type { ProductType } from '../catalogue/catalogue.schema.js'
import type { CatalogueService } from '../catalogue/catalogue.service.js'
import { cleanProductFilter, type ProductFilter, productTest } from '../catalogue/product-filter.js'
import { checkFirst } from '../graphql/connection.js'
import { encodeId } from '../graphql/node-id.js'
import { InvalidInput } from '../platform/errors.js'
import type { Metrics } from '../platform/metrics.js'
import { cleanOptionalText, cleanText } from '../platform/text-input.js'
import type { Contribution, Decisions } from '../registry/decisions.js'
import type { LiveModel, LiveModels } from '../registry/live-models.js'
import { reranked } from './diversity.js'
import type { RecommendationsRepository, Visitor } from './recommendations.repository.js'
import { type Reason, type Recommendation, RecommendationAlgorithm, type RecommendationList } from './recommendations.schema.js'

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
}

type Live = LiveModel<Recommender>

interface Scored {
  index: number
  score: number
  product: ProductType
  source: Live
}

/** What happened on the way to the answer; the decision keeps it. */
interface Trail {
  fallbacks: string[]
  rules: string[]
  dropped: { counts: Record<string, number>; examples: { item: string; reason: string }[] }
}

/** What a model may know of the visitor, in its own item indexes; worked out once for each model that is asked. */
type Histories = (model: Live) => History

const AFFINITY_BATCH = 200
const TASK = 'RECOMMENDATION'
const EMPTY: History = { items: new Int32Array(0), values: new Float32Array(0), times: new Float64Array(0) }
const DEFAULT_FIRST = 10
const REASONS = 3
const EXAMPLES_OF_DROPPED = 20
const ROUNDING = 1e-6
const DIVERSITY_POOL = 5
/** Newest products to choose from while there is no baseline. */
const NEWEST = 500

/** What to show whom, now, and why. */
export class RecommendationsService {
  private scores = new Float64Array(0)
  private skip = new Uint8Array(0)

  constructor(
    private readonly repository: RecommendationsRepository,
    private readonly catalogue: CatalogueService,
    private readonly models: LiveModels,
    private readonly decisions: Decisions,
    private readonly metrics: Metrics,
  ) {}

  async recommend(request: RecommendationRequest): Promise<RecommendationList> {
    const { where } = request
    const [first, diversity, excludeSeen] = [request.first ?? DEFAULT_FIRST, request.diversity ?? 0, request.excludeSeen ?? true]
    const algorithm = request.algorithm ?? RecommendationAlgorithm.AUTO
    checkFirst(first)
    if (!(diversity >= 0 && diversity <= 1)) throw new InvalidInput('diversity must be between 0 and 1', {}, ['diversity'])
    const filter = where ? cleanProductFilter(where) : undefined
    const placement = cleanOptionalText(request.placement, { field: ['placement'], max: 100, min: 0 }) ?? null
    const trail: Trail = { fallbacks: [], rules: [], dropped: { counts: {}, examples: [] } }
    const visitor = await this.visitorOf(request, trail)
    const isPersonal = visitor !== null && visitor.personalisation?.granted !== false
    const model = this.choose(algorithm, isPersonal, visitor, trail)
    const histories = historiesOf(isPersonal ? visitor : null)
    const wish = { first, excludeSeen, filter }
    const best = model ? await this.pick(model, histories, { ...wish, diversity }, trail) : []
    const picked = best.filter(({ product }) => !product.demotedAt)
    const baseline = this.models.baseline<Recommender>(TASK)
    if (picked.length < first && baseline && baseline !== model) await this.fillUp(picked, baseline, histories, wish, trail)
    picked.push(...best.filter(({ product }) => product.demotedAt).slice(0, first - picked.length))
    if (picked.length === 0 && !model) return this.withoutModel({ ...request, placement }, filter, visitor, trail)
    if (picked.length === 0 && filter && first > 0) trail.fallbacks.push('No product passes the filter "where"')
    const items = await this.explained(picked, histories)
    this.metrics.model(TASK, model?.algorithm ?? 'none')
    return this.answer(items, {
      model,
      visitor,
      isPersonal,
      trail,
      input: { ...request, placement, first, algorithm, excludeSeen, diversity, where: filter && stringly(filter) },
    })
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
        const history = historyOf(model, visitor)
        if (history.items.length === 0) continue
        model.model.score(history, scores)
        found.ids.push(batch[at])
        found.scores.push(wanted.reduce((best, item) => Math.max(best, scores[item]), Number.NEGATIVE_INFINITY))
        if (at % 20 === 19) await new Promise(done => setImmediate(done))
      }
    }
    return found
  }

  private async visitorOf({ userExternalId, userKey }: RecommendationRequest, trail: Trail): Promise<Visitor | null> {
    if (userKey !== undefined && userExternalId) throw new InvalidInput('Give at most one of userId and userExternalId', {}, ['userId'])
    if (userKey === undefined && !userExternalId) {
      trail.fallbacks.push('No user was named: the answer is the same for everybody')
      return null
    }
    const visitor =
      userKey !== undefined
        ? await this.repository.visitorById(userKey)
        : await this.repository.visitor(cleanText(userExternalId as string, { field: ['userExternalId'], max: 220 }))
    if (!visitor) trail.fallbacks.push('This user is unknown: the answer is what is popular')
    else if (visitor.products.length === 0) trail.fallbacks.push('This user has done nothing yet: the answer is what is popular')
    return visitor
  }

  private choose(wanted: RecommendationAlgorithm, isPersonal: boolean, visitor: Visitor | null, trail: Trail): Live | undefined {
    const baseline = this.models.baseline<Recommender>(TASK)
    if (!isPersonal || !visitor || visitor.products.length === 0) {
      if (visitor && !isPersonal) trail.rules.push('The user refused PERSONALISATION: nothing personal was used')
      return baseline
    }
    if (wanted === RecommendationAlgorithm.AUTO) {
      const live = this.models.live<Recommender>(TASK)
      if (!live) trail.fallbacks.push('No model is approved yet: the baseline answers')
      return live ?? baseline
    }
    const named = this.models.named<Recommender>(TASK, wanted.toLowerCase().replaceAll('_', '-'))
    if (!named)
      trail.fallbacks.push(`${wanted} has no approved model: ${this.models.live(TASK) ? 'the live model' : 'the baseline'} answers`)
    return named ?? this.models.live<Recommender>(TASK) ?? baseline
  }

  /** The best products of a model that pass every rule; looks deeper into the ranking only as far as rules make it necessary. */
  private async pick(model: Live, histories: Histories, wish: Wish & { diversity: number }, trail: Trail): Promise<Scored[]> {
    const history = histories(model)
    const wanted = wish.diversity > 0 ? Math.max(wish.first * DIVERSITY_POOL, 20) : wish.first
    const passed: Scored[] = []
    const demoted: Scored[] = []
    for (let depth = wanted + 16; passed.length < wanted; depth *= 8) {
      const ranking = this.rank(model, history, wish.excludeSeen, depth)
      passed.length = 0
      demoted.length = 0
      await this.admit(ranking, model, wish, { wanted, passed, demoted }, trail)
      if (ranking.indexes.length < depth) break
    }
    passed.push(...demoted.slice(0, wanted - passed.length))
    if (wish.excludeSeen && history.items.length > 0) {
      const seen = history.items.length
      trail.dropped.counts.seen = seen
      trail.rules.push(`${seen} products the user has seen were left out`)
    }
    if (wish.diversity === 0 || passed.length <= 1) return passed.slice(0, wish.first)
    trail.rules.push(`Re-ranked for diversity ${wish.diversity} (maximal marginal relevance)`)
    return reranked(passed, wish.diversity, wish.first)
  }

  /** Runs without a pause, so the buffers can be shared by all requests. */
  private rank(model: Live, history: History, excludeSeen: boolean, depth: number): { indexes: Int32Array; scores: Float64Array } {
    if (this.scores.length !== model.keys.length) {
      this.scores = new Float64Array(model.keys.length)
      this.skip = new Uint8Array(model.keys.length)
    }
    model.model.score(history, this.scores)
    if (excludeSeen) for (const item of history.items) this.skip[item] = 1
    const indexes = topIndexes(this.scores, depth, this.skip)
    for (const item of history.items) this.skip[item] = 0
    return { indexes, scores: Float64Array.from(indexes, index => this.scores[index]) }
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

  private async fillUp(picked: Scored[], baseline: Live, histories: Histories, wish: Wish, trail: Trail) {
    const shown = new Set(picked.map(({ product }) => product.key))
    const more = await this.pick(
      baseline,
      histories,
      { ...wish, first: wish.first + shown.size, diversity: 0 },
      { fallbacks: [], rules: [], dropped: { counts: {}, examples: [] } },
    )
    const missing = more.filter(({ product }) => !shown.has(product.key) && !product.demotedAt).slice(0, wish.first - picked.length)
    if (missing.length === 0) return
    trail.fallbacks.push(`Filled up with ${missing.length} of what is popular`)
    picked.push(...missing)
  }

  private async explained(picked: Scored[], histories: Histories): Promise<Recommendation[]> {
    const keys = new Set<number>()
    const evidences = picked.map(({ source, index }) => {
      const evidence = source.model.explain(histories(source), index, REASONS)
      for (const { items } of evidence) for (const item of items.slice(0, REASONS)) keys.add(source.keys[item])
      return evidence
    })
    const products = await this.catalogue.byIds([...keys])
    return picked.map(({ product, score, source }, at) => ({
      product,
      score,
      rank: at + 1,
      reasons: evidences[at].map(evidence =>
        reasonOf(
          evidence,
          evidence.items.slice(0, REASONS).flatMap(item => products.get(source.keys[item]) ?? []),
        ),
      ),
    }))
  }

  private async answer(
    items: Recommendation[],
    {
      model,
      visitor,
      isPersonal,
      trail,
      input,
    }: { model: Live | undefined; visitor: Visitor | null; isPersonal: boolean; trail: Trail; input: unknown },
  ): Promise<RecommendationList> {
    const servedBy = model?.servedBy ?? 'newest products'
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
    visitor: Visitor | null,
    trail: Trail,
  ): Promise<RecommendationList> {
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
    const input = { ...request, where: filter && stringly(filter) }
    return this.answer(items, { model: undefined, visitor, isPersonal: false, trail, input })
  }
}

interface Wish {
  first: number
  excludeSeen: boolean
  filter?: ProductFilter
}

const UNSCORED = 'nothing speaks for it'
/** Shown only where nothing else is left. */
const DEMOTED = 'demoted by a person'

function dropReason(
  product: ProductType | undefined,
  score: number,
  model: Live,
  passes: ((product: ProductType) => boolean) | undefined,
): string | undefined {
  if (!product) return 'not in the catalogue'
  if (score <= 0 && model.modelId !== null) return UNSCORED
  if (product.stock === 0) return 'out of stock'
  if (passes && !passes(product)) return 'filter where'
  return product.demotedAt ? DEMOTED : undefined
}

function historiesOf(visitor: Visitor | null): Histories {
  const known = new Map<Live, History>()
  return model => {
    const history = known.get(model) ?? (visitor ? historyOf(model, visitor) : EMPTY)
    known.set(model, history)
    return history
  }
}

/** What the visitor touched, in the model's own item indexes; products the model does not know are left out. */
function historyOf({ indexOf }: Live, { products, weights, times }: Visitor): History {
  const items = new Int32Array(products.length)
  const values = new Float32Array(products.length)
  const moments = new Float64Array(products.length)
  let length = 0
  for (let at = 0; at < products.length; at++) {
    const index = indexOf.get(products[at])
    if (index === undefined) continue
    items[length] = index
    values[length] = weights[at]
    moments[length++] = times[at]
  }
  return { items: items.subarray(0, length), values: values.subarray(0, length), times: moments.subarray(0, length) }
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

function reasonOf({ kind, weight }: Evidence, products: ProductType[]): Reason {
  const titles = products.map(product => product.title).join(', ')
  const texts: Record<Evidence['kind'], string> = {
    'neighbour-item': `Chosen by people who chose ${titles || 'what this user chose'}`,
    'neighbour-user': titles ? `Chosen by people with a similar taste, who also chose ${titles}` : 'Chosen by people with a similar taste',
    popularity: 'Popular with everybody of late',
    content: `Like ${titles}`,
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
