import { Arg, Args, Authorized, Ctx, FieldResolver, Int, Mutation, Query, Resolver, Root } from 'type-graphql'
import { ProductType } from '../catalogue/catalogue.schema.js'
import type { CatalogueService } from '../catalogue/catalogue.service.js'
import { Scope } from '../graphql/auth.js'
import type { Context } from '../graphql/context.js'
import { type IdempotencyStore, idempotent } from '../graphql/idempotency.js'
import { payload } from '../graphql/payload.js'
import { Score } from '../graphql/score.js'
import { UserType } from '../users/users.schema.js'
import type { UsersService } from '../users/users.service.js'
import {
  ReviewConnection,
  ReviewPayload,
  ReviewSubmitInput,
  ReviewsArgs,
  ReviewType,
  SentimentSummary,
  TextAccuracy,
  TextAnalyseArgs,
  TextAnalysis,
  TextCorrectInput,
  TextCorrectPayload,
  TextTask,
} from './reviews.schema.js'
import type { ReviewsService } from './reviews.service.js'

@Resolver(() => ReviewType)
export class ReviewsResolver {
  constructor(
    private readonly service: ReviewsService,
    private readonly catalogue: CatalogueService,
    private readonly users: UsersService,
    private readonly idempotency: IdempotencyStore,
  ) {}

  @Authorized(Scope.REVIEWS_READ)
  @Query(() => ReviewConnection, { description: 'Reviews and other texts, newest first. Scope: reviews:read.' })
  reviews(@Args(() => ReviewsArgs) args: ReviewsArgs) {
    return this.service.page(args)
  }

  @Authorized(Scope.REVIEWS_READ)
  @Query(() => TextAnalysis, {
    description: 'Sentiment, intent, aspects and keywords of any text; nothing is stored. Scope: reviews:read.',
  })
  textAnalyse(@Args(() => TextAnalyseArgs) { text }: TextAnalyseArgs) {
    return this.service.analyse(text)
  }

  @Authorized(Scope.REVIEWS_READ)
  @Query(() => SentimentSummary, { description: 'What the reviews of a category say. Scope: reviews:read.' })
  categorySentiment(
    @Arg('category', () => String) category: string,
    @Arg('days', () => Int, { nullable: true, defaultValue: 90 }) days: number | null,
    @Ctx() context: Context,
  ) {
    return this.service.summary(context, 'category', category, days ?? 90)
  }

  @Authorized(Scope.REVIEWS_READ)
  @Query(() => TextAccuracy, { description: 'How often the judge of a task agrees with what people said. Scope: reviews:read.' })
  textAccuracy(@Arg('task', () => TextTask) task: TextTask) {
    return this.service.accuracy(task)
  }

  @Authorized(Scope.REVIEWS_WRITE)
  @Mutation(() => ReviewPayload, {
    description: 'Stores a text about a product or the shop; it is read within seconds. Scope: reviews:write.',
  })
  reviewSubmit(@Arg('input', () => ReviewSubmitInput) { dryRun, ...input }: ReviewSubmitInput, @Ctx() { viewer }: Context) {
    if (dryRun) return payload(() => this.service.preview({ ...input, dryRun }))
    return idempotent(this.idempotency, viewer, 'reviewSubmit', input, () => this.service.submit(input))
  }

  @Authorized(Scope.REVIEWS_WRITE)
  @Mutation(() => TextCorrectPayload, {
    description: 'A person says what a text means: the review shows it at once, the next training learns from it. Scope: reviews:write.',
  })
  textCorrect(@Arg('input', () => TextCorrectInput) input: TextCorrectInput, @Ctx() { viewer }: Context) {
    if (input.dryRun) return payload(async () => ({ preview: await this.service.previewCorrection(input) }))
    return idempotent(this.idempotency, viewer, 'textCorrect', input, () => this.service.correct(viewer!, input))
  }

  @Authorized(Scope.CATALOGUE_READ)
  @FieldResolver(() => ProductType, { nullable: true, description: 'Scope: catalogue:read.' })
  product(@Root() { productKey }: ReviewType, @Ctx() context: Context) {
    return productKey === null ? null : this.catalogue.load(context, productKey)
  }

  @Authorized(Scope.USERS_READ)
  @FieldResolver(() => UserType, { nullable: true, description: 'Scope: users:read.' })
  user(@Root() { userKey }: ReviewType, @Ctx() context: Context) {
    return userKey === null ? null : this.users.load(context, userKey)
  }
}

@Resolver(() => ProductType)
export class ProductSentimentResolver {
  constructor(private readonly service: ReviewsService) {}

  @Authorized(Scope.REVIEWS_READ)
  @FieldResolver(() => SentimentSummary, { description: 'What its reviews say. Scope: reviews:read.' })
  sentiment(
    @Root() product: ProductType,
    @Arg('days', () => Int, { nullable: true, defaultValue: 90 }) days: number | null,
    @Ctx() context: Context,
  ) {
    return this.service.summary(context, 'product', String(product.key), days ?? 90)
  }
}

@Resolver(() => UserType)
export class UserSentimentResolver {
  constructor(private readonly service: ReviewsService) {}

  @Authorized(Scope.REVIEWS_READ)
  @FieldResolver(() => Score, { description: 'Mean sentiment of what this user wrote, from −1 to 1. Scope: reviews:read.' })
  sentiment(
    @Root() user: UserType,
    @Arg('days', () => Int, { nullable: true, defaultValue: 365 }) days: number | null,
    @Ctx() context: Context,
  ) {
    return this.service.userSentiment(context, user.key, days ?? 365)
  }
}
