import { Arg, Args, Authorized, Ctx, FieldResolver, Mutation, Query, Resolver, Root } from 'type-graphql'
import { Scope } from '../graphql/auth.js'
import type { Context } from '../graphql/context.js'
import { type IdempotencyStore, idempotent } from '../graphql/idempotency.js'
import { payload } from '../graphql/payload.js'
import { ModelConnection, ModelPayload, ModelReview, ModelReviewInput, ModelsArgs, ModelType } from './model.schema.js'
import type { ModelsService } from './model.service.js'
import type { Task } from './task.js'

@Resolver(() => ModelType)
export class ModelsResolver {
  constructor(
    private readonly models: ModelsService,
    private readonly idempotency: IdempotencyStore,
    private readonly tasks: ReadonlyMap<string, Pick<Task<never>, 'primary'>>,
  ) {}

  @Authorized(Scope.MODELS_READ)
  @Query(() => ModelConnection, { name: 'models', description: 'Models, newest first. Scope: models:read.' })
  list(@Args(() => ModelsArgs) args: ModelsArgs) {
    return this.models.page(args)
  }

  @Authorized(Scope.MODELS_REVIEW)
  @Mutation(() => ModelPayload, { description: 'Lets a candidate act: it goes live and the live one retires. Scope: models:review.' })
  modelApprove(@Arg('input', () => ModelReviewInput) { dryRun, ...input }: ModelReviewInput, @Ctx() { viewer }: Context) {
    if (dryRun) return payload(() => this.models.preview('approval', viewer!, input))
    return idempotent(this.idempotency, viewer, 'modelApprove', input, () => this.models.approve(viewer!, input))
  }

  @Authorized(Scope.MODELS_REVIEW)
  @Mutation(() => ModelPayload, { description: 'Refuses a model for good. Scope: models:review.' })
  modelReject(@Arg('input', () => ModelReviewInput) { dryRun, ...input }: ModelReviewInput, @Ctx() { viewer }: Context) {
    if (dryRun) return payload(() => this.models.preview('rejection', viewer!, input))
    return idempotent(this.idempotency, viewer, 'modelReject', input, () => this.models.reject(viewer!, input))
  }

  @Authorized(Scope.MODELS_REVIEW)
  @Mutation(() => ModelPayload, {
    description: 'Makes a retired model live again; given the live one, the model before it. Scope: models:review.',
  })
  modelRollback(@Arg('input', () => ModelReviewInput) { dryRun, ...input }: ModelReviewInput, @Ctx() { viewer }: Context) {
    if (dryRun) return payload(() => this.models.preview('rollback', viewer!, input))
    return idempotent(this.idempotency, viewer, 'modelRollback', input, () => this.models.rollBack(viewer!, input))
  }

  @FieldResolver(() => String, { description: 'The model card, in Markdown, with all reviews' })
  card(@Root() model: ModelType, @Ctx() context: Context) {
    return this.models.card(context, model)
  }

  @FieldResolver(() => [ModelReview], { description: 'Approvals, rejections and roll-backs, oldest first' })
  reviews(@Root() { key }: ModelType, @Ctx() context: Context) {
    return this.models.reviewsOf(context, key)
  }

  @FieldResolver(() => String, { nullable: true, description: 'Which of its metrics the guardrails and the choice of the best go by' })
  primaryMetric(@Root() { task }: ModelType) {
    return this.tasks.get(task)?.primary.metric
  }
}
