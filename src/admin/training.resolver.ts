import { Arg, Authorized, Ctx, Mutation, Resolver } from 'type-graphql'
import { Scope } from '../graphql/auth.js'
import type { Context } from '../graphql/context.js'
import { type IdempotencyStore, idempotent } from '../graphql/idempotency.js'
import { JobPayload, JobType } from '../graphql/job.js'
import { payload } from '../graphql/payload.js'
import type { Jobs } from '../platform/job-runner.js'
import { ModelTrainInput } from '../registry/model.schema.js'
import type { Trainer } from '../registry/trainer.js'

/** Training is a job; the registry does not know jobs, so the mutation stands here. */
@Resolver()
export class TrainingResolver {
  constructor(
    private readonly trainer: Trainer,
    private readonly jobs: Jobs,
    private readonly idempotency: IdempotencyStore,
  ) {}

  @Authorized(Scope.MODELS_TRAIN)
  @Mutation(() => JobPayload, {
    description:
      'Starts training; what comes of it are candidates. A dry run answers with preview: {task, baseline, minimumRows, algorithms: [{name, params}]}. Scope: models:train.',
  })
  modelTrain(@Arg('input', () => ModelTrainInput) { dryRun, ...input }: ModelTrainInput, @Ctx() { viewer }: Context) {
    if (dryRun) return payload(async () => ({ preview: this.trainer.plan(this.check(input)) }))
    return idempotent(this.idempotency, viewer, 'modelTrain', input, async () => {
      const { task, algorithm, params } = this.check(input)
      return { job: JobType.of(await this.jobs.enqueue('train-models', { task, algorithm, params }, { createdBy: viewer?.name })) }
    })
  }

  private check({ task, algorithm, params }: Omit<ModelTrainInput, 'dryRun'>) {
    const request = { task, algorithm: algorithm ?? undefined, params: params ?? undefined }
    this.trainer.check(request)
    return request
  }
}
