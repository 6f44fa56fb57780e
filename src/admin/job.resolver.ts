import { Arg, Args, ArgsType, Authorized, Field, ID, Mutation, Query, Resolver, Root, Subscription } from 'type-graphql'
import { Scope } from '../graphql/auth.js'
import { PageArgs } from '../graphql/connection.js'
import type { Context } from '../graphql/context.js'
import { JobConnection, JobPayload, JobType } from '../graphql/job.js'
import { decodeId } from '../graphql/node-id.js'
import { payload } from '../graphql/payload.js'
import { JobState } from '../platform/generated/prisma/enums.js'
import type { JobsService } from './job.service.js'

const DRY_RUN = {
  defaultValue: false,
  description: 'Changes nothing; the preview has the state that the job would have, and how many parts would be touched',
}

@ArgsType()
class JobsArgs extends PageArgs {
  @Field(() => JobState, { nullable: true })
  state?: JobState | null

  @Field(() => ID, { nullable: true, description: 'Only the parts of this job; without it, only jobs that are no parts' })
  parentId?: string | null
}

@Resolver(() => JobType)
export class JobsResolver {
  constructor(private readonly jobs: JobsService) {}

  @Authorized(Scope.JOBS_READ)
  @Query(() => JobType, { nullable: true, description: 'One job; null when there is none. Scope: jobs:read.' })
  job(@Arg('id', () => ID) id: string) {
    return this.jobs.get(decodeId('Job', id))
  }

  @Authorized(Scope.JOBS_READ)
  @Query(() => JobConnection, { name: 'jobs', description: 'Jobs, newest first; the failed ones are the dead letters. Scope: jobs:read.' })
  list(@Args(() => JobsArgs) { parentId, ...args }: JobsArgs) {
    return this.jobs.page({ ...args, parentId: parentId && decodeId('Job', parentId, 'parentId') })
  }

  @Authorized(Scope.JOBS_WRITE)
  @Mutation(() => JobPayload, {
    description: 'Cancels a waiting job at once and asks a running one to stop, with all its parts. Scope: jobs:write.',
  })
  jobCancel(@Arg('id', () => ID) id: string, @Arg('dryRun', () => Boolean, DRY_RUN) dryRun: boolean) {
    return payload(async () => (dryRun ? this.jobs.previewCancel(decodeId('Job', id)) : this.jobs.cancel(decodeId('Job', id))))
  }

  @Authorized(Scope.JOBS_WRITE)
  @Mutation(() => JobPayload, {
    description: 'Begins a job again that failed or was cancelled; parts that were completed are not done again. Scope: jobs:write.',
  })
  jobRetry(@Arg('id', () => ID) id: string, @Arg('dryRun', () => Boolean, DRY_RUN) dryRun: boolean) {
    return payload(async () => (dryRun ? this.jobs.previewRetry(decodeId('Job', id)) : this.jobs.retry(decodeId('Job', id))))
  }

  @Authorized(Scope.JOBS_READ)
  @Subscription(() => JobType, {
    description: 'The job as it is now and after every change, until it has ended. Scope: jobs:read.',
    subscribe: ({ args, context }: { args: { id: string }; context: Context }) =>
      (context.resolver(JobsResolver) as JobsResolver).watch(args.id) as never,
  })
  jobUpdated(@Root() job: JobType, @Arg('id', () => ID) _id: string): JobType {
    return job
  }

  watch(id: string) {
    return this.jobs.watch(decodeId('Job', id))
  }
}
