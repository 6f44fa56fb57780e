import { GraphQLError, GraphQLScalarType, Kind } from 'graphql'
import { Field, Float, InputType, Int, ObjectType, registerEnumType } from 'type-graphql'
import { Payload } from '../graphql/payload.js'
import { JSONScalar } from '../graphql/scalars.js'
import { EventType } from '../platform/generated/prisma/enums.js'

registerEnumType(EventType, { name: 'EventType', description: 'What a visitor did' })

/** Checked row by row, so that one bad time rejects one row and not the request. */
const Timestamp = new GraphQLScalarType<string | number, string | number>({
  name: 'Timestamp',
  description: 'ISO 8601 with a zone, or epoch milliseconds',
  serialize: value => value as string,
  parseValue: value => {
    if (typeof value === 'string' || typeof value === 'number') return value
    throw new GraphQLError('Timestamp takes ISO 8601 with a zone, or epoch milliseconds')
  },
  parseLiteral: node => {
    if (node.kind === Kind.STRING) return node.value
    if (node.kind === Kind.INT) return Number(node.value)
    throw new GraphQLError('Timestamp takes ISO 8601 with a zone, or epoch milliseconds')
  },
})

@InputType({ description: 'One of userId and anonymousId is needed; ids are those of the shop' })
export class EventInput {
  @Field(() => String, { nullable: true, description: 'Makes a resend harmless; without it the content is the id' })
  messageId?: string | null

  @Field(() => String, { nullable: true })
  userId?: string | null

  @Field(() => String, { nullable: true })
  anonymousId?: string | null

  @Field(() => String, { nullable: true })
  productId?: string | null

  @Field(() => EventType)
  type!: EventType

  @Field(() => Float, { nullable: true, description: 'Stars of a RATING; else what the shop counts' })
  value?: number | null

  @Field(() => Int, { nullable: true, description: 'A PURCHASE of negative quantity is a REFUND' })
  quantity?: number | null

  @Field(() => Float, { nullable: true, description: 'Of one piece, in units of the currency' })
  price?: number | null

  @Field(() => String, { nullable: true, description: "ISO 4217; the account's currency unless given" })
  currency?: string | null

  @Field(() => Timestamp, { nullable: true, description: 'When it happened; now unless given' })
  timestamp?: string | number | null

  @Field(() => JSONScalar, { nullable: true })
  properties?: Record<string, unknown> | null
}

@InputType()
export class EventsTrackInput {
  @Field(() => [EventInput], { description: 'At most 1,000' })
  events!: EventInput[]

  @Field(() => String, { nullable: true })
  idempotencyKey?: string | null

  @Field(() => Boolean, { defaultValue: false, description: 'Check everything, store nothing, and return the preview' })
  dryRun!: boolean
}

export enum EventStatus {
  ACCEPTED = 'ACCEPTED',
  DUPLICATE = 'DUPLICATE',
  REJECTED = 'REJECTED',
}
registerEnumType(EventStatus, { name: 'EventStatus' })

@ObjectType({ simpleResolvers: true })
export class EventResult {
  @Field(() => Int, { description: 'Position in the call, from 0' })
  index!: number

  @Field(() => String, { nullable: true })
  messageId!: string | null

  @Field(() => EventStatus)
  status!: EventStatus

  @Field(() => String, { nullable: true })
  error!: string | null
}

@ObjectType({ simpleResolvers: true, description: 'What would become of each row; nothing of it was stored' })
export class EventsTrackPreview {
  @Field(() => [EventResult])
  results!: EventResult[]

  @Field(() => Int)
  accepted!: number

  @Field(() => Int)
  duplicates!: number

  @Field(() => Int)
  rejected!: number
}

@ObjectType()
export class EventsTrackPayload extends Payload {
  @Field(() => [EventResult], { nullable: true })
  results?: EventResult[] | null

  @Field(() => Int, { nullable: true })
  accepted?: number | null

  @Field(() => Int, { nullable: true })
  duplicates?: number | null

  @Field(() => Int, { nullable: true })
  rejected?: number | null

  @Field(() => EventsTrackPreview, { nullable: true, description: 'Only for a dry run' })
  preview?: EventsTrackPreview | null
}
