import { ArgsType, Field, ID, InputType, Int, ObjectType, registerEnumType } from 'type-graphql'
import { connectionType, PageArgs } from '../graphql/connection.js'
import { NodeType } from '../graphql/node.js'
import { encodeId } from '../graphql/node-id.js'
import { OrderDirection } from '../graphql/order.js'
import { Payload } from '../graphql/payload.js'
import { DateTime, JSONScalar } from '../graphql/scalars.js'
import { UpsertPreview } from '../graphql/upsert-preview.js'
import { Purpose } from '../platform/generated/prisma/enums.js'
import type { UserRow } from './users.repository.js'

registerEnumType(Purpose, { name: 'Purpose', description: 'What a person may consent to' })

@ObjectType()
export class Consent {
  @Field(() => Purpose)
  purpose!: Purpose

  @Field(() => Boolean)
  granted!: boolean

  @Field(() => DateTime)
  at!: Date

  @Field(() => String, { description: 'Where the person said so' })
  source!: string
}

/** Personal facts (email, phone, name, traits) are no plain fields: the resolver shows them only with pii:read. */
@ObjectType('User', { implements: NodeType, simpleResolvers: true, description: 'A visitor or customer of the shop' })
export class UserType extends NodeType {
  /** Internal id, for other services. */
  key!: number

  @Field(() => String, { description: 'The id of the person in the shop' })
  externalId!: string

  @Field(() => Boolean, { description: 'Whether the person is known only by an anonymous id' })
  anonymous!: boolean

  email!: string | null
  phone!: string | null
  name!: string | null
  traits!: unknown

  @Field(() => String, { nullable: true })
  gender!: string | null

  @Field(() => Int, { nullable: true })
  birthYear!: number | null

  @Field(() => String, { nullable: true })
  city!: string | null

  @Field(() => String, { nullable: true, description: 'ISO 3166 code of two letters' })
  country!: string | null

  @Field(() => String, { nullable: true, description: 'BCP 47 language tag' })
  locale!: string | null

  @Field(() => String, { nullable: true, description: "IANA time zone; the account's unless given" })
  timeZone!: string | null

  @Field(() => Int, { description: 'Grows by one with every change; send it as expectedVersion' })
  version!: number

  @Field(() => DateTime)
  createdAt!: Date

  @Field(() => DateTime)
  updatedAt!: Date

  static of({ id, ...facts }: UserRow): UserType {
    return Object.assign(new UserType(), facts, { key: id, id: encodeId('User', id) })
  }
}

export const UserConnection = connectionType('User', () => UserType)

export enum UserOrderField {
  CREATED_AT = 'CREATED_AT',
  EXTERNAL_ID = 'EXTERNAL_ID',
}
registerEnumType(UserOrderField, { name: 'UserOrderField' })

@InputType()
export class UserOrder {
  @Field(() => UserOrderField)
  field!: UserOrderField

  @Field(() => OrderDirection, { defaultValue: OrderDirection.ASC })
  direction!: OrderDirection
}

@InputType({ description: 'All conditions that are given must hold' })
export class UserWhere {
  @Field(() => String, { nullable: true, description: 'ISO 3166 code of two letters' })
  country?: string | null

  @Field(() => String, { nullable: true })
  city?: string | null

  @Field(() => String, { nullable: true })
  locale?: string | null

  @Field(() => String, { nullable: true })
  gender?: string | null

  @Field(() => Boolean, { nullable: true })
  anonymous?: boolean | null

  @Field(() => String, { nullable: true, description: 'Exact e-mail address. Scope: pii:read.' })
  email?: string | null

  @Field(() => DateTime, { nullable: true, description: 'Created at this time or later' })
  createdFrom?: Date | null

  @Field(() => DateTime, { nullable: true, description: 'Created before this time' })
  createdTo?: Date | null

  @Field(() => String, { nullable: true, description: 'Beginning of the external id' })
  search?: string | null
}

@ArgsType()
export class UsersArgs extends PageArgs {
  @Field(() => UserWhere, { nullable: true })
  where?: UserWhere | null

  @Field(() => UserOrder, { nullable: true, description: 'Oldest first unless said' })
  orderBy?: UserOrder | null
}

@InputType()
export class ConsentInput {
  @Field(() => Purpose)
  purpose!: Purpose

  @Field(() => Boolean)
  granted!: boolean

  @Field(() => DateTime, {
    nullable: true,
    description: 'When the person said so; now unless given. An older statement never replaces a newer one',
  })
  at?: Date | null

  @Field(() => String, { nullable: true, description: 'Where the person said so; "api" unless given' })
  source?: string | null
}

@InputType({ description: 'A field that is left out stays as it is; null clears it' })
export class UserUpsertInput {
  @Field(() => String, { description: 'The id of the person in the shop, 1 to 200 characters' })
  externalId!: string

  @Field(() => String, { nullable: true })
  email?: string | null

  @Field(() => String, { nullable: true, description: 'E.164, such as +4930123456' })
  phone?: string | null

  @Field(() => String, { nullable: true })
  name?: string | null

  @Field(() => String, { nullable: true })
  gender?: string | null

  @Field(() => Int, { nullable: true })
  birthYear?: number | null

  @Field(() => String, { nullable: true })
  city?: string | null

  @Field(() => String, { nullable: true, description: 'ISO 3166 code of two letters' })
  country?: string | null

  @Field(() => String, { nullable: true, description: 'BCP 47 language tag' })
  locale?: string | null

  @Field(() => String, { nullable: true, description: 'IANA time zone such as Europe/Berlin' })
  timeZone?: string | null

  @Field(() => JSONScalar, { nullable: true, description: 'Whatever else is known, at most 16 kB; replaces the traits stored before' })
  traits?: unknown

  @Field(() => DateTime, { nullable: true, description: 'When the person became known to the shop' })
  createdAt?: Date | null

  @Field(() => [ConsentInput], { nullable: true })
  consents?: ConsentInput[] | null

  @Field(() => Int, {
    nullable: true,
    description: 'The version last seen, or 0 for a person who must be new; without it the last writer wins',
  })
  expectedVersion?: number | null

  @Field(() => String, { nullable: true })
  idempotencyKey?: string | null

  @Field(() => Boolean, { defaultValue: false, description: 'Check everything, store nothing, and return the preview' })
  dryRun!: boolean
}

@ObjectType()
export class UserPayload extends Payload {
  @Field(() => UserType, { nullable: true })
  user?: UserType | null

  @Field(() => UpsertPreview, { nullable: true, description: 'Only for a dry run' })
  preview?: UpsertPreview | null
}

@ArgsType()
export class UserArgs {
  @Field(() => ID, { nullable: true })
  id?: string | null

  @Field(() => String, { nullable: true })
  externalId?: string | null
}
