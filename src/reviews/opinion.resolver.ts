import { Arg, Args, Authorized, Ctx, FieldResolver, Mutation, Query, Resolver, Root } from 'type-graphql'
import { Scope } from '../graphql/auth.js'
import type { Context } from '../graphql/context.js'
import { type IdempotencyStore, idempotent } from '../graphql/idempotency.js'
import { payload } from '../graphql/payload.js'
import {
  OpinionAcknowledgeInput,
  OpinionActionInput,
  OpinionAlertConnection,
  OpinionAlertPayload,
  OpinionAlertsArgs,
  OpinionAlertType,
  OpinionPoint,
  OpinionQuality,
  OpinionTimelineArgs,
} from './opinion.schema.js'
import type { OpinionService } from './opinion.service.js'
import { ReviewType } from './reviews.schema.js'
import type { ReviewsService } from './reviews.service.js'

@Resolver(() => OpinionAlertType)
export class OpinionResolver {
  constructor(
    private readonly opinion: OpinionService,
    private readonly reviews: ReviewsService,
    private readonly idempotency: IdempotencyStore,
  ) {}

  @Authorized(Scope.REVIEWS_READ)
  @Query(() => [OpinionPoint], {
    description: 'What is said of a product, a category, a brand or the shop, step by step, beside what is usual. Scope: reviews:read.',
  })
  opinionTimeline(@Args(() => OpinionTimelineArgs) args: OpinionTimelineArgs) {
    return this.opinion.timeline(args)
  }

  @Authorized(Scope.REVIEWS_READ)
  @Query(() => OpinionAlertConnection, { description: 'Alerts, newest first. Scope: reviews:read.' })
  opinionAlerts(@Args(() => OpinionAlertsArgs) args: OpinionAlertsArgs) {
    return this.opinion.page(args)
  }

  @Authorized(Scope.REVIEWS_READ)
  @Query(() => OpinionQuality, { description: 'The measured rate of false alarms. Scope: reviews:read.' })
  opinionQuality() {
    return this.opinion.quality()
  }

  @Authorized(Scope.REVIEWS_WRITE)
  @Mutation(() => OpinionAlertPayload, { description: 'A person has seen it, and says whether it was one. Scope: reviews:write.' })
  opinionAcknowledge(@Arg('input', () => OpinionAcknowledgeInput) input: OpinionAcknowledgeInput, @Ctx() { viewer }: Context) {
    if (input.dryRun)
      return payload(async () => ({ preview: (await this.opinion.rehearse(opinion => opinion.acknowledge(viewer!, input))).alert }))
    return idempotent(this.idempotency, viewer, 'opinionAcknowledge', input, () => this.opinion.acknowledge(viewer!, input))
  }

  @Authorized(Scope.REVIEWS_WRITE, Scope.CAMPAIGNS_WRITE)
  @Mutation(() => OpinionAlertPayload, {
    description: 'A person confirms what an alert proposes, or refuses it; it is done once. Scope: reviews:write, campaigns:write.',
  })
  opinionActionDecide(@Arg('input', () => OpinionActionInput) input: OpinionActionInput, @Ctx() { viewer }: Context) {
    if (input.dryRun)
      return payload(async () => ({ preview: (await this.opinion.rehearse(opinion => opinion.decide(viewer!, input))).alert }))
    return idempotent(this.idempotency, viewer, 'opinionActionDecide', input, () => this.opinion.decide(viewer!, input))
  }

  @FieldResolver(() => [ReviewType], { description: 'At most five of its texts, the most negative first' })
  sample(@Root() { sampleIds }: OpinionAlertType, @Ctx() context: Context) {
    return this.reviews.loadAll(context, sampleIds)
  }
}
