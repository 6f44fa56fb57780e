import { Arg, Args, Authorized, Ctx, FieldResolver, ID, Mutation, Query, Resolver, Root } from 'type-graphql'
import { requireScope, Scope } from '../graphql/auth.js'
import { PageArgs } from '../graphql/connection.js'
import type { Context } from '../graphql/context.js'
import { type IdempotencyStore, idempotent } from '../graphql/idempotency.js'
import { decodeId } from '../graphql/node-id.js'
import { payload } from '../graphql/payload.js'
import { UserConnection } from '../users/users.schema.js'
import {
  AudienceActionInput,
  AudienceConnection,
  AudienceCreateInput,
  AudiencePayload,
  AudienceType,
  SuppressionPayload,
  SuppressionSetInput,
} from './audiences.schema.js'
import type { AudiencesService } from './audiences.service.js'

@Resolver(() => AudienceType)
export class AudiencesResolver {
  constructor(
    private readonly audiences: AudiencesService,
    private readonly idempotency: IdempotencyStore,
  ) {}

  @Authorized(Scope.SEGMENTS_READ)
  @Query(() => AudienceConnection, { name: 'audiences', description: 'Audiences, newest first. Scope: segments:read.' })
  list(@Args(() => PageArgs) args: PageArgs) {
    return this.audiences.page(args)
  }

  @Authorized(Scope.SEGMENTS_READ)
  @Query(() => AudienceType, { nullable: true, description: 'One audience; null when there is none. Scope: segments:read.' })
  audience(@Arg('id', () => ID) id: string) {
    return this.audiences.find(decodeId('Audience', id))
  }

  @Authorized(Scope.SEGMENTS_WRITE)
  @Mutation(() => AudiencePayload, {
    description: 'Creates an audience; a job scores the users and finds the members. Scope: segments:write.',
  })
  audienceCreate(@Arg('input', () => AudienceCreateInput) input: AudienceCreateInput, @Ctx() { viewer }: Context) {
    if (input.dryRun) return payload(async () => ({ preview: await this.audiences.preview(input) }))
    const caller = requireScope(viewer, Scope.SEGMENTS_WRITE)
    return idempotent(this.idempotency, caller, 'audienceCreate', input, () => this.audiences.create(caller, input))
  }

  @Authorized(Scope.SEGMENTS_WRITE)
  @Mutation(() => AudiencePayload, {
    description: 'Finds the members anew; those of before stay readable meanwhile. Scope: segments:write.',
  })
  audienceRebuild(@Arg('input', () => AudienceActionInput) input: AudienceActionInput, @Ctx() { viewer }: Context) {
    if (input.dryRun) return payload(async () => ({ preview: await this.audiences.previewRebuild(input) }))
    const caller = requireScope(viewer, Scope.SEGMENTS_WRITE)
    return idempotent(this.idempotency, caller, 'audienceRebuild', input, () => this.audiences.rebuild(caller, input))
  }

  @Authorized(Scope.SEGMENTS_WRITE)
  @Mutation(() => AudiencePayload, {
    description: 'Puts an audience away; refused while a campaign needs it. Scope: segments:write.',
  })
  audienceArchive(@Arg('input', () => AudienceActionInput) input: AudienceActionInput, @Ctx() { viewer }: Context) {
    if (input.dryRun) return payload(async () => ({ preview: await this.audiences.previewArchive(input) }))
    return idempotent(this.idempotency, viewer, 'audienceArchive', input, async () => ({ audience: await this.audiences.archive(input) }))
  }

  @Authorized(Scope.USERS_WRITE)
  @Mutation(() => SuppressionPayload, {
    description: 'Users who must not be addressed, whatever an audience says; counts from the next build on. Scope: users:write.',
  })
  suppressionSet(@Arg('input', () => SuppressionSetInput) input: SuppressionSetInput, @Ctx() { viewer }: Context) {
    if (input.dryRun) return payload(async () => ({ preview: await this.audiences.rehearse(audiences => audiences.suppress(input)) }))
    return idempotent(this.idempotency, viewer, 'suppressionSet', input, async () => ({ count: await this.audiences.suppress(input) }))
  }

  @FieldResolver(() => UserConnection, { description: 'Best first. Scope: users:read.' })
  members(@Root() audience: AudienceType, @Args(() => PageArgs) args: PageArgs, @Ctx() { viewer }: Context) {
    requireScope(viewer, Scope.USERS_READ)
    return this.audiences.members(audience.key, args)
  }
}
