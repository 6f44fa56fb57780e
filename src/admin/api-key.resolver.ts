import { Arg, Args, Authorized, Ctx, Mutation, Query, Resolver } from 'type-graphql'
import { Scope } from '../graphql/auth.js'
import type { Context } from '../graphql/context.js'
import { type IdempotencyStore, idempotent } from '../graphql/idempotency.js'
import { decodeId } from '../graphql/node-id.js'
import { payload } from '../graphql/payload.js'
import {
  ApiKeyConnection,
  ApiKeyCreateInput,
  ApiKeyPayload,
  ApiKeyRevokeInput,
  ApiKeyRotateInput,
  ApiKeySecretPayload,
  ApiKeysArgs,
} from './api-key.schema.js'
import type { ApiKeysService, IssuedApiKey } from './api-key.service.js'

@Resolver()
export class ApiKeyResolver {
  constructor(
    private readonly keys: ApiKeysService,
    private readonly idempotency: IdempotencyStore,
  ) {}

  @Authorized(Scope.KEYS_MANAGE)
  @Query(() => ApiKeyConnection, { description: 'The API keys, oldest first. Scope: keys:manage.' })
  apiKeys(@Args(() => ApiKeysArgs) args: ApiKeysArgs) {
    return this.keys.page(args)
  }

  @Authorized(Scope.KEYS_MANAGE)
  @Mutation(() => ApiKeySecretPayload, { description: 'Makes a key and shows its secret once. Scope: keys:manage.' })
  apiKeyCreate(@Arg('input', () => ApiKeyCreateInput) input: ApiKeyCreateInput, @Ctx() { viewer }: Context) {
    if (input.dryRun) return payload(async () => ({ preview: this.keys.previewCreate(viewer, input) }))
    return this.issue(viewer, 'apiKeyCreate', input, () => this.keys.create(viewer, input))
  }

  @Authorized(Scope.KEYS_MANAGE)
  @Mutation(() => ApiKeySecretPayload, { description: 'Issues a successor; the old key works on for a grace period. Scope: keys:manage.' })
  apiKeyRotate(@Arg('input', () => ApiKeyRotateInput) input: ApiKeyRotateInput, @Ctx() { viewer }: Context) {
    if (input.dryRun) return payload(async () => ({ preview: await this.keys.previewRotate(viewer, decodeId('ApiKey', input.id), input) }))
    return this.issue(viewer, 'apiKeyRotate', input, () => this.keys.rotate(viewer, decodeId('ApiKey', input.id), input))
  }

  @Authorized(Scope.KEYS_MANAGE)
  @Mutation(() => ApiKeyPayload, { description: 'Ends a key within seconds. Scope: keys:manage.' })
  apiKeyRevoke(@Arg('input', () => ApiKeyRevokeInput) input: ApiKeyRevokeInput, @Ctx() { viewer }: Context) {
    if (input.dryRun) return payload(async () => ({ preview: await this.keys.previewRevoke(decodeId('ApiKey', input.id)) }))
    return idempotent(this.idempotency, viewer, 'apiKeyRevoke', input, async () => ({
      apiKey: await this.keys.revoke(viewer, decodeId('ApiKey', input.id)),
    }))
  }

  /** The secret goes out beside the payload that is kept for replays, never into it. */
  private async issue(
    viewer: Context['viewer'],
    operation: string,
    input: { idempotencyKey?: string | null },
    work: () => Promise<IssuedApiKey>,
  ) {
    let secret: string | null = null
    const kept = await idempotent(this.idempotency, viewer, operation, input, async () => {
      const issued = await work()
      secret = issued.secret
      return { apiKey: issued.apiKey }
    })
    return { ...kept, secret }
  }
}
