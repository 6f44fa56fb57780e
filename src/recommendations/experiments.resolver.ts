import { Arg, Args, Authorized, Ctx, FieldResolver, ID, Mutation, Query, Resolver, Root } from 'type-graphql'
import { requireScope, Scope } from '../graphql/auth.js'
import { PageArgs } from '../graphql/connection.js'
import type { Context } from '../graphql/context.js'
import { type IdempotencyStore, idempotent } from '../graphql/idempotency.js'
import { decodeId } from '../graphql/node-id.js'
import { payload } from '../graphql/payload.js'
import {
  ExperimentActionInput,
  ExperimentConnection,
  ExperimentCreateInput,
  ExperimentPayload,
  ExperimentResult,
  ExperimentType,
  ExperimentUpdateInput,
  OffPolicyArgs,
  RecommendationOffPolicyEstimate,
} from './experiments.schema.js'
import type { ExperimentsService } from './experiments.service.js'
import type { OffPolicyService } from './off-policy.service.js'

type Write = { idempotencyKey?: string | null; dryRun: boolean }

@Resolver(() => ExperimentType)
export class ExperimentsResolver {
  constructor(
    private readonly experiments: ExperimentsService,
    private readonly offPolicy: OffPolicyService,
    private readonly idempotency: IdempotencyStore,
  ) {}

  @Authorized(Scope.RECOMMENDATIONS_READ)
  @Query(() => ExperimentConnection, { description: 'Experiments, newest first. Scope: recommendations:read.' })
  recommendationExperiments(@Args(() => PageArgs) args: PageArgs) {
    return this.experiments.page(args)
  }

  @Authorized(Scope.RECOMMENDATIONS_READ)
  @Query(() => ExperimentType, { nullable: true, description: 'One experiment; null when there is none. Scope: recommendations:read.' })
  recommendationExperiment(@Arg('id', () => ID) id: string) {
    return this.experiments.find(decodeId('RecommendationExperiment', id))
  }

  @Authorized(Scope.RECOMMENDATIONS_READ, Scope.MODELS_READ)
  @Query(() => RecommendationOffPolicyEstimate, {
    description:
      'What an algorithm or model would earn, before anybody is shown anything by it; learned from experiments whose arms explore. Scope: recommendations:read, models:read.',
  })
  recommendationOffPolicyEstimate(@Args(() => OffPolicyArgs) args: OffPolicyArgs) {
    return this.offPolicy.estimate(args)
  }

  @FieldResolver(() => ExperimentResult, { description: 'What came of it so far. Scope: recommendations:read.' })
  result(@Root() experiment: ExperimentType) {
    return this.experiments.result(experiment.key)
  }

  @Authorized(Scope.RECOMMENDATIONS_WRITE)
  @Mutation(() => ExperimentPayload, { description: 'Drafts an experiment. Scope: recommendations:write.' })
  recommendationExperimentCreate(@Arg('input', () => ExperimentCreateInput) input: ExperimentCreateInput, @Ctx() context: Context) {
    const caller = requireScope(context.viewer, Scope.RECOMMENDATIONS_WRITE)
    return this.write(context, 'recommendationExperimentCreate', input, () => this.experiments.create(caller, input, input.dryRun))
  }

  @Authorized(Scope.RECOMMENDATIONS_WRITE)
  @Mutation(() => ExperimentPayload, { description: 'Changes a draft. Scope: recommendations:write.' })
  recommendationExperimentUpdate(@Arg('input', () => ExperimentUpdateInput) input: ExperimentUpdateInput, @Ctx() context: Context) {
    return this.write(context, 'recommendationExperimentUpdate', input, () => this.experiments.update(input, input.dryRun))
  }

  @Authorized(Scope.RECOMMENDATIONS_WRITE)
  @Mutation(() => ExperimentPayload, {
    description: 'Lets a draft run; one experiment at a time runs in a placement. Scope: recommendations:write.',
  })
  recommendationExperimentStart(@Arg('input', () => ExperimentActionInput) input: ExperimentActionInput, @Ctx() context: Context) {
    return this.write(context, 'recommendationExperimentStart', input, () => this.experiments.start(input, input.dryRun))
  }

  @Authorized(Scope.RECOMMENDATIONS_WRITE)
  @Mutation(() => ExperimentPayload, { description: 'Ends an experiment for good; its result stays. Scope: recommendations:write.' })
  recommendationExperimentStop(@Arg('input', () => ExperimentActionInput) input: ExperimentActionInput, @Ctx() context: Context) {
    return this.write(context, 'recommendationExperimentStop', input, () => this.experiments.stop(input, input.dryRun))
  }

  private write({ viewer }: Context, operation: string, input: Write, rule: () => Promise<ExperimentType>) {
    if (input.dryRun) return payload(async () => ({ preview: await rule() }))
    return idempotent(this.idempotency, viewer, operation, input, async () => ({ experiment: await rule() }))
  }
}
