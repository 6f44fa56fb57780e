import { ArgsType, Field, ID, InputType, Int, ObjectType, registerEnumType } from 'type-graphql'
import type { ClientKind } from '../graphql/auth.js'
import { connectionType, PageArgs } from '../graphql/connection.js'
import { NodeType } from '../graphql/node.js'
import { encodeId } from '../graphql/node-id.js'
import { Payload } from '../graphql/payload.js'
import { DateTime } from '../graphql/scalars.js'
import type { ApiKeyRow } from './api-key.repository.js'

export const ClientKinds = {
  ADMIN: 'admin',
  MARKETER: 'marketer',
  CAMPAIGN: 'campaign',
  CHATBOT: 'chatbot',
  INGEST: 'ingest',
} as const satisfies Record<string, ClientKind>
registerEnumType(ClientKinds, { name: 'ClientKind', description: 'What a client is; each kind has its scopes' })

export enum ApiKeyState {
  ACTIVE = 'ACTIVE',
  EXPIRED = 'EXPIRED',
  REVOKED = 'REVOKED',
}
registerEnumType(ApiKeyState, { name: 'ApiKeyState' })

@ObjectType('ApiKey', { implements: NodeType, description: 'A key by which a client calls; its secret is shown once, when it is made' })
export class ApiKeyType extends NodeType {
  /** Internal id. */
  key!: string

  @Field(() => String)
  name!: string

  @Field(() => String, { description: 'The client kind whose scopes it has, or "custom"' })
  kind!: string

  @Field(() => String, { description: 'The beginning of the key, by which its owner recognises it' })
  prefix!: string

  @Field(() => [String])
  scopes!: string[]

  @Field(() => ApiKeyState)
  state!: ApiKeyState

  @Field(() => DateTime)
  createdAt!: Date

  @Field(() => DateTime, { nullable: true })
  expiresAt!: Date | null

  @Field(() => DateTime, { nullable: true, description: 'Exact to a minute' })
  lastUsedAt!: Date | null

  @Field(() => DateTime, { nullable: true })
  revokedAt!: Date | null

  @Field(() => Boolean, { description: 'Whether a successor was issued; this key then works until expiresAt' })
  rotated!: boolean

  static of(
    { id, name, kind, prefix, scopes, createdAt, expiresAt, lastUsedAt, revokedAt, rotatedToId }: ApiKeyRow,
    now: Date,
  ): ApiKeyType {
    const facts = {
      name,
      kind,
      prefix: `bw_${kind}_${prefix}`,
      scopes,
      createdAt,
      expiresAt,
      lastUsedAt,
      revokedAt,
      rotated: rotatedToId !== null,
    }
    return Object.assign(new ApiKeyType(), facts, { key: id, id: encodeId('ApiKey', id), state: stateOf(expiresAt, revokedAt, now) })
  }
}

function stateOf(expiresAt: Date | null, revokedAt: Date | null, now: Date): ApiKeyState {
  if (revokedAt) return ApiKeyState.REVOKED
  return expiresAt && expiresAt <= now ? ApiKeyState.EXPIRED : ApiKeyState.ACTIVE
}

export const ApiKeyConnection = connectionType('ApiKey', () => ApiKeyType)

@ArgsType()
export class ApiKeysArgs extends PageArgs {
  @Field(() => Boolean, { defaultValue: false, description: 'Also show keys that expired or were revoked' })
  includeInactive!: boolean
}

@InputType({ description: 'Exactly one of kind and scopes; a key cannot grant scopes that its creator lacks' })
export class ApiKeyCreateInput {
  @Field(() => String)
  name!: string

  @Field(() => ClientKinds, { nullable: true })
  kind?: ClientKind | null

  @Field(() => [String], { nullable: true, description: 'Such as "users:read"' })
  scopes?: string[] | null

  @Field(() => DateTime, { nullable: true, description: 'Never unless given' })
  expiresAt?: Date | null

  @Field(() => String, { nullable: true })
  idempotencyKey?: string | null

  @Field(() => Boolean, { defaultValue: false, description: 'Check everything and change nothing' })
  dryRun?: boolean
}

@InputType()
export class ApiKeyRotateInput {
  @Field(() => ID)
  id!: string

  @Field(() => Int, {
    nullable: true,
    description: 'How long the old key keeps working: 86400 (a day) unless given, at most 30 days, 0 ends it now',
  })
  gracePeriodSeconds?: number | null

  @Field(() => DateTime, { nullable: true, description: 'Of the new key; unless given it lives as long as the old one would have' })
  expiresAt?: Date | null

  @Field(() => String, { nullable: true })
  idempotencyKey?: string | null

  @Field(() => Boolean, { defaultValue: false, description: 'Check everything and change nothing' })
  dryRun?: boolean
}

@InputType()
export class ApiKeyRevokeInput {
  @Field(() => ID)
  id!: string

  @Field(() => String, { nullable: true })
  idempotencyKey?: string | null

  @Field(() => Boolean, { defaultValue: false, description: 'Check everything and change nothing' })
  dryRun?: boolean
}

@ObjectType()
export class ApiKeyPayload extends Payload {
  @Field(() => ApiKeyType, { nullable: true })
  apiKey?: ApiKeyType | null

  @Field(() => ApiKeyType, { nullable: true, description: 'Only for a dry run' })
  preview?: ApiKeyType | null
}

@ObjectType()
export class ApiKeySecretPayload extends ApiKeyPayload {
  @Field(() => String, {
    nullable: true,
    description: 'The key itself: shown this once and stored nowhere, so null in an idempotent replay',
  })
  secret?: string | null
}
