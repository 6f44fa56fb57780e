import { Arg, Authorized, Ctx, FieldResolver, Mutation, Resolver, Root } from 'type-graphql'
import { Scope } from '../graphql/auth.js'
import type { Context } from '../graphql/context.js'
import { type IdempotencyStore, idempotent } from '../graphql/idempotency.js'
import { payload } from '../graphql/payload.js'
import { UserPayload, UserType } from '../users/users.schema.js'
import type { UsersService } from '../users/users.service.js'
import { IdentityMergeType, UserMergeInput, UserUnmergeInput } from './identity.schema.js'
import type { IdentityService } from './identity.service.js'

@Resolver(() => UserType)
export class IdentityResolver {
  constructor(
    private readonly identity: IdentityService,
    private readonly idempotency: IdempotencyStore,
  ) {}

  @Authorized(Scope.USERS_WRITE)
  @Mutation(() => UserPayload, {
    description:
      'Makes an anonymous visitor part of a known user; refused when unique ids disagree. The user in the payload is the joint one. Scope: users:write.',
  })
  userMerge(@Arg('input', () => UserMergeInput) input: UserMergeInput, @Ctx() context: Context) {
    const { viewer } = context
    if (input.dryRun) return payload(async () => ({ preview: await this.identity.previewMerge(context, input) }))
    return idempotent(this.idempotency, viewer, 'userMerge', input, async () => ({ user: await this.identity.merge(input) }))
  }

  @Authorized(Scope.USERS_WRITE)
  @Mutation(() => UserPayload, {
    description:
      'Takes a merge back: events, reviews, consents and memberships return to where they were. The user in the payload is the restored one. Scope: users:write.',
  })
  userUnmerge(@Arg('input', () => UserUnmergeInput) input: UserUnmergeInput, @Ctx() context: Context) {
    const { viewer } = context
    if (input.dryRun) return payload(async () => ({ preview: await this.identity.previewUnmerge(context, input) }))
    return idempotent(this.idempotency, viewer, 'userUnmerge', input, async () => ({ user: await this.identity.unmerge(input) }))
  }

  @Authorized(Scope.USERS_READ)
  @FieldResolver(() => [IdentityMergeType], {
    description: 'Records that were merged into this one, or this one into another, newest first. Scope: users:read.',
  })
  async merges(@Root() user: UserType, @Ctx() context: Context) {
    return (await this.identity.mergesOf(context, user.key)).map(row => IdentityMergeType.of(row))
  }
}

@Resolver(() => IdentityMergeType)
export class IdentityMergeResolver {
  constructor(private readonly users: UsersService) {}

  @FieldResolver(() => UserType, { nullable: true, description: 'The record that was merged away' })
  from(@Root() { row }: IdentityMergeType, @Ctx() context: Context) {
    return this.users.load(context, row.fromUserId)
  }

  @FieldResolver(() => UserType, { nullable: true, description: 'The record that went on' })
  into(@Root() { row }: IdentityMergeType, @Ctx() context: Context) {
    return this.users.load(context, row.intoUserId)
  }
}
