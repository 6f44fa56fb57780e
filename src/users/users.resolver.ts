import { Arg, Args, Authorized, Ctx, FieldResolver, Mutation, Query, Resolver, Root } from 'type-graphql'
import { requireScope, Scope } from '../graphql/auth.js'
import type { Context } from '../graphql/context.js'
import { type IdempotencyStore, idempotent } from '../graphql/idempotency.js'
import { decodeIntId } from '../graphql/node-id.js'
import { payload } from '../graphql/payload.js'
import { JSONScalar } from '../graphql/scalars.js'
import { InvalidInput } from '../platform/errors.js'
import { Consent, ConsentSetInput, UserArgs, UserConnection, UserPayload, UsersArgs, UserType, UserUpsertInput } from './users.schema.js'
import type { UsersService } from './users.service.js'

/** What a key that may only write does not learn of the people whom it names. */
const UNREAD = { gender: null, birthYear: null, city: null, country: null, locale: null, timeZone: null }

@Resolver(() => UserType)
export class UsersResolver {
  constructor(
    private readonly users: UsersService,
    private readonly idempotency: IdempotencyStore,
  ) {}

  @Authorized(Scope.USERS_READ)
  @Query(() => UserType, {
    nullable: true,
    description: 'One user, by exactly one of id and externalId; null when there is none. Scope: users:read.',
  })
  user(@Args(() => UserArgs) { id, externalId }: UserArgs, @Ctx() context: Context) {
    if (typeof id === 'string' && typeof externalId !== 'string') return this.users.load(context, decodeIntId('User', id))
    if (typeof externalId === 'string' && typeof id !== 'string') return this.users.byExternalId(externalId)
    throw new InvalidInput('Give exactly one of id and externalId', {}, ['id'])
  }

  @Authorized(Scope.USERS_READ)
  @Query(() => UserConnection, { name: 'users', description: 'Users in a stable order. Scope: users:read.' })
  list(@Args(() => UsersArgs) args: UsersArgs, @Ctx() { viewer }: Context) {
    if (typeof args.where?.email === 'string') requireScope(viewer, Scope.PII_READ)
    return this.users.page(args)
  }

  @Authorized(Scope.USERS_WRITE)
  @Mutation(() => UserPayload, { description: 'Creates a user or changes the given facts of one. Scope: users:write.' })
  userUpsert(@Arg('input', () => UserUpsertInput) input: UserUpsertInput, @Ctx() context: Context) {
    if (input.dryRun)
      return payload(async () => ({ preview: this.users.masked(await this.users.preview(input, input), context, ['before']) }))
    return idempotent(this.idempotency, context.viewer, 'userUpsert', input, async () => ({
      user: await this.users.upsertIn(context, input),
    }))
  }

  @Authorized(Scope.USERS_WRITE)
  @Mutation(() => UserPayload, { description: 'Keeps what a known person said about one purpose. Scope: users:write.' })
  consentSet(@Arg('input', () => ConsentSetInput) input: ConsentSetInput, @Ctx() context: Context) {
    if (input.dryRun) return payload(async () => ({ preview: await this.users.previewConsent(input) }))
    return idempotent(this.idempotency, context.viewer, 'consentSet', input, async () => ({
      user: await this.users.setConsent(context, input),
    }))
  }

  @FieldResolver(() => String, { nullable: true, description: 'Null without the scope. Scope: pii:read.' })
  email(@Root() user: UserType, @Ctx() context: Context) {
    return mayRead(context, Scope.PII_READ) ? user.email : null
  }

  @FieldResolver(() => String, { nullable: true, description: 'Null without the scope. Scope: pii:read.' })
  phone(@Root() user: UserType, @Ctx() context: Context) {
    return mayRead(context, Scope.PII_READ) ? user.phone : null
  }

  @FieldResolver(() => String, { nullable: true, description: 'Null without the scope. Scope: pii:read.' })
  name(@Root() user: UserType, @Ctx() context: Context) {
    return mayRead(context, Scope.PII_READ) ? user.name : null
  }

  @FieldResolver(() => JSONScalar, { nullable: true, description: 'Whatever else the shop told; null without the scope. Scope: pii:read.' })
  traits(@Root() user: UserType, @Ctx() context: Context) {
    return mayRead(context, Scope.PII_READ) ? user.traits : null
  }

  @FieldResolver(() => [Consent], { description: 'What the person said last about each purpose' })
  consents(@Root() user: UserType, @Ctx() context: Context) {
    return this.users.consentsOf(context, user.key)
  }
}

@Resolver(() => UserPayload)
export class UserPayloadResolver {
  @FieldResolver(() => UserType, { nullable: true, description: 'Without the scope users:read it tells who was touched, and no facts' })
  user(@Root() { user }: UserPayload, @Ctx() context: Context) {
    return user && !mayRead(context, Scope.USERS_READ) ? { ...user, ...UNREAD } : user
  }
}

function mayRead({ viewer }: Context, scope: Scope): boolean {
  return viewer?.scopes.has(scope) ?? false
}
