import { Arg, Args, Authorized, Ctx, FieldResolver, Float, ID, Mutation, Query, Resolver, Root } from 'type-graphql'
import { requireScope, Scope } from '../graphql/auth.js'
import { PageArgs } from '../graphql/connection.js'
import type { Context } from '../graphql/context.js'
import { type IdempotencyStore, idempotent } from '../graphql/idempotency.js'
import { decodeId } from '../graphql/node-id.js'
import { payload } from '../graphql/payload.js'
import { JSONScalar } from '../graphql/scalars.js'
import { UserConnection, UserType } from '../users/users.schema.js'
import {
  MembersArgs,
  SegmentConnection,
  SegmentCreateInput,
  SegmentPayload,
  SegmentPreviewType,
  SegmentRuleInput,
  SegmentType,
  SegmentUpdateInput,
} from './segments.schema.js'
import type { SegmentsService } from './segments.service.js'

@Resolver(() => SegmentType)
export class SegmentsResolver {
  constructor(
    private readonly segments: SegmentsService,
    private readonly idempotency: IdempotencyStore,
  ) {}

  @Authorized(Scope.SEGMENTS_READ)
  @Query(() => SegmentConnection, { name: 'segments', description: 'Segments, newest first. Scope: segments:read.' })
  list(@Args(() => PageArgs) args: PageArgs) {
    return this.segments.page(args)
  }

  @Authorized(Scope.SEGMENTS_READ)
  @Query(() => SegmentType, { nullable: true, description: 'One segment; null when there is none. Scope: segments:read.' })
  segment(@Arg('id', () => ID) id: string) {
    return this.segments.find(decodeId('Segment', id))
  }

  @Authorized(Scope.SEGMENTS_READ, Scope.USERS_READ)
  @Query(() => SegmentPreviewType, { description: 'Who would match a rule, before it is saved. Scope: segments:read, users:read.' })
  segmentPreview(
    @Arg('rule', () => SegmentRuleInput, { nullable: true }) rule: SegmentRuleInput | null,
    @Arg('ruleJson', () => JSONScalar, { nullable: true }) ruleJson: unknown,
    @Ctx() { viewer }: Context,
  ) {
    return this.segments.preview(viewer!, { rule, ruleJson })
  }

  @Authorized(Scope.SEGMENTS_READ, Scope.USERS_READ)
  @Query(() => JSONScalar, {
    description:
      'Every clause of the rule: true or false, with the value that was seen; traits are seen with the scope pii:read only. Scope: segments:read, users:read.',
  })
  segmentExplainMembership(
    @Arg('segmentId', () => ID) segmentId: string,
    @Arg('userId', () => ID) userId: string,
    @Ctx() { viewer }: Context,
  ) {
    return this.segments.explain(viewer!, segmentId, userId)
  }

  @Authorized(Scope.SEGMENTS_WRITE)
  @Mutation(() => SegmentPayload, { description: 'Creates a segment; its members are found in the background. Scope: segments:write.' })
  segmentCreate(@Arg('input', () => SegmentCreateInput) input: SegmentCreateInput, @Ctx() { viewer }: Context) {
    if (input.dryRun) return payload(async () => ({ preview: await this.segments.preview(viewer!, input) }))
    const caller = requireScope(viewer, Scope.SEGMENTS_WRITE)
    return idempotent(this.idempotency, caller, 'segmentCreate', input, async () => ({
      segment: await this.segments.create(caller, input),
    }))
  }

  @Authorized(Scope.SEGMENTS_WRITE)
  @Mutation(() => SegmentPayload, {
    description: 'Changes a segment; its members stay readable while the new rule is evaluated. Scope: segments:write.',
  })
  segmentUpdate(@Arg('input', () => SegmentUpdateInput) input: SegmentUpdateInput, @Ctx() { viewer }: Context) {
    if (input.dryRun) return payload(async () => ({ preview: await this.segments.preview(viewer!, input, input.segmentId) }))
    return idempotent(this.idempotency, viewer, 'segmentUpdate', input, async () => ({
      segment: await this.segments.update(viewer!, input),
    }))
  }

  @FieldResolver(() => Float, {
    nullable: true,
    description:
      'For how many seconds something has waited that may change the members: an event or a fact, an edit, or the clock where the rule follows it. 0 when nothing waits; null before the first evaluation',
  })
  lagSeconds(@Root() segment: SegmentType, @Ctx() context: Context) {
    return this.segments.lagSeconds(context, segment)
  }

  @FieldResolver(() => UserConnection, { description: 'Scope: users:read.' })
  members(@Root() segment: SegmentType, @Args(() => MembersArgs) args: MembersArgs, @Ctx() { viewer }: Context) {
    requireScope(viewer, Scope.USERS_READ)
    return this.segments.members(segment.key, args)
  }
}

@Resolver(() => SegmentPreviewType)
export class SegmentPreviewResolver {
  @FieldResolver(() => [UserType], { description: 'Scope: users:read.' })
  sample(@Root() { sample }: SegmentPreviewType, @Ctx() { viewer }: Context) {
    requireScope(viewer, Scope.USERS_READ)
    return sample
  }
}
