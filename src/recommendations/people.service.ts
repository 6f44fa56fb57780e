import type { Recommender } from '../algorithms/recommend/recommender.js'
import { checkFirst } from '../graphql/connection.js'
import { decodeIntId } from '../graphql/node-id.js'
import { InvalidInput, NotFound } from '../platform/errors.js'
import { cleanText } from '../platform/text-input.js'
import type { LiveModels } from '../registry/live-models.js'
import type { UserType } from '../users/users.schema.js'
import type { UsersService } from '../users/users.service.js'
import { TASK } from './candidates.js'
import type { PeopleRepository } from './people.repository.js'
import type { RecommendationsRepository, Visitor } from './recommendations.repository.js'
import type { RecommendationsService } from './recommendations.service.js'

export interface ScoredUser {
  user: UserType
  score: number
}

/** Of the people found, so many are scored. */
const CANDIDATES = 1_000
/** A product is looked for also by its nearest ones. */
const NEAREST = 50
const LARGEST_CATEGORY = 1_000

/** The other way round: which people go with a product, a category or another person. By the same models and histories as recommendations. */
export class PeopleService {
  constructor(
    private readonly people: PeopleRepository,
    private readonly histories: RecommendationsRepository,
    private readonly recommendations: RecommendationsService,
    private readonly users: UsersService,
    private readonly models: LiveModels,
  ) {}

  /**
   * Who would like the product, or the best of the category, most: of those who touched it or what is nearest to it of late, by the live model's score,
   * without who bought it all already. Who refused PERSONALISATION is never among them.
   */
  async usersFor({ productId, category }: { productId?: string | null; category?: string | null }, first: number): Promise<ScoredUser[]> {
    checkFirst(first)
    if ((productId == null) === (category == null))
      throw new InvalidInput('Give either productId or category', {}, [productId == null ? 'productId' : 'category'])
    const wanted = productId
      ? [decodeIntId('Product', productId, 'productId')]
      : await this.people.inCategory(cleanText(category as string, { field: ['category'], max: 200 }), LARGEST_CATEGORY)
    const live = this.models.live<Recommender>(TASK)
    if (!live) throw new NotFound('No recommendation model is approved yet: nobody can be told apart')
    const known = await this.recommendations.scorableFor(wanted)
    if (known.length === 0) return []
    const near = known.slice(0, NEAREST).flatMap(key => {
      const { items } = live.model.similar(live.indexOf.get(key) as number, productId ? NEAREST : 1)
      return Array.from(items, item => live.keys[item])
    })
    const found = await this.people.touching([...new Set([...wanted, ...known, ...near])], [], CANDIDATES)
    const owners = new Set(await this.people.owners(found, wanted))
    const { ids, scores } = await this.recommendations.affinities(
      found.filter(id => !owners.has(id)),
      known,
    )
    return this.best(ids, scores, first)
  }

  /** Whose behaviour is most alike: cosine of their damped weights by product, log₂(1 + w), as in user-based filtering. */
  async similarUsers(userId: string, first: number): Promise<ScoredUser[]> {
    checkFirst(first)
    const id = decodeIntId('User', userId, 'userId')
    const own = await this.histories.visitorById(id)
    if (!own) throw new NotFound('No user has this id', {}, ['userId'])
    if (own.products.length === 0 || own.personalisation?.granted === false) return []
    const found = await this.people.touching([...own.products], [id], CANDIDATES)
    const others = await Promise.all(found.map(each => this.histories.visitorById(each)))
    const mine = vectorOf(own)
    const scores = others.map(other => (other && other.personalisation?.granted !== false ? cosine(mine, vectorOf(other)) : 0))
    return this.best(found, scores, first)
  }

  private async best(ids: readonly number[], scores: readonly number[], first: number): Promise<ScoredUser[]> {
    const order = [...ids.keys()].filter(at => scores[at] > 0).sort((a, b) => scores[b] - scores[a] || ids[a] - ids[b])
    const chosen = order.slice(0, first)
    const users = await this.users.byIds(chosen.map(at => ids[at]))
    return chosen.flatMap(at => {
      const user = users.get(ids[at])
      return user ? [{ user, score: scores[at] }] : []
    })
  }
}

function vectorOf({ products, weights }: Visitor): Map<number, number> {
  return new Map(Array.from(products, (product, at) => [product, Math.log2(1 + Math.max(0, weights[at]))]))
}

function cosine(a: ReadonlyMap<number, number>, b: ReadonlyMap<number, number>): number {
  const square = (vector: ReadonlyMap<number, number>) => [...vector.values()].reduce((sum, value) => sum + value ** 2, 0)
  const size = Math.sqrt(square(a) * square(b))
  return size > 0 ? [...a].reduce((sum, [product, value]) => sum + value * (b.get(product) ?? 0), 0) / size : 0
}
