import { Arg, Args, Authorized, FieldResolver, Int, Query, Resolver, Root } from 'type-graphql'
import { ProductType } from '../catalogue/catalogue.schema.js'
import { Scope } from '../graphql/auth.js'
import { decodeIntId } from '../graphql/node-id.js'
import { UserType } from '../users/users.schema.js'
import { Recommendation, RecommendationList, RecommendationsArgs } from './recommendations.schema.js'
import type { RecommendationsService } from './recommendations.service.js'

@Resolver()
export class RecommendationsResolver {
  constructor(private readonly service: RecommendationsService) {}

  @Authorized(Scope.RECOMMENDATIONS_READ)
  @Query(() => RecommendationList, {
    description: 'What to show a user now, and why; without a user what is popular. Scope: recommendations:read.',
  })
  recommendations(@Args(() => RecommendationsArgs) args: RecommendationsArgs) {
    const { userId, contextProductIds } = args
    // Written out: what is left of a destructured object is many times slower to read than an object of known fields.
    return this.service.recommend({
      userExternalId: args.userExternalId,
      placement: args.placement,
      first: args.first,
      algorithm: args.algorithm,
      excludeSeen: args.excludeSeen,
      diversity: args.diversity,
      where: args.where,
      contextProductExternalIds: args.contextProductExternalIds,
      userKey: userId ? decodeIntId('User', userId, 'userId') : undefined,
      contextProductKeys: contextProductIds?.map(id => decodeIntId('Product', id, 'contextProductIds')),
    })
  }
}

@Resolver(() => UserType)
export class UserRecommendationsResolver {
  constructor(private readonly service: RecommendationsService) {}

  @Authorized(Scope.RECOMMENDATIONS_READ)
  @FieldResolver(() => RecommendationList, { description: 'What to show this user now. Scope: recommendations:read.' })
  recommendations(
    @Root() user: UserType,
    @Arg('placement', () => String, { nullable: true }) placement: string | null,
    @Arg('first', () => Int, { nullable: true, defaultValue: 10 }) first: number | null,
  ) {
    return this.service.recommend({ userKey: user.key, placement, first })
  }
}

@Resolver(() => ProductType)
export class ProductSimilarResolver {
  constructor(private readonly service: RecommendationsService) {}

  @Authorized(Scope.RECOMMENDATIONS_READ)
  @FieldResolver(() => [Recommendation], { description: 'Products that go together with this one. Scope: recommendations:read.' })
  similar(@Root() product: ProductType, @Arg('first', () => Int, { nullable: true, defaultValue: 10 }) first: number | null) {
    return this.service.similar(product, first)
  }
}
