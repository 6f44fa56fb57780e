import { ArgsType, createUnionType, Field, Float, ID, InputType, Int, ObjectType, registerEnumType } from 'type-graphql'
import { typeNameOf } from '../graphql/abstract.js'
import { connectionType, PageArgs } from '../graphql/connection.js'
import { NodeType } from '../graphql/node.js'
import { encodeId } from '../graphql/node-id.js'
import { Payload } from '../graphql/payload.js'
import { DateTime, JSONScalar } from '../graphql/scalars.js'
import { FaqStatus } from '../platform/generated/prisma/enums.js'
import type { FaqEntryRow, ServedEntry, TicketRow } from './faq.repository.js'

const HAND_OFF_REASONS =
  'PERSON_ASKED, UNKNOWN (nothing is like it), UNSURE (the expected error would be too large) or NOT_HELPFUL (the customer turned down what was offered)'

registerEnumType(FaqStatus, { name: 'FaqStatus', description: 'draft → approved → retired' })

@ObjectType('FaqEntry', { implements: NodeType, description: 'A question with its answer, as the shop gives it' })
export class FaqEntryType extends NodeType {
  @Field(() => String)
  question!: string

  @Field(() => String)
  answer!: string

  @Field(() => [String], { description: 'Other ways to ask it' })
  alternatives!: string[]

  @Field(() => String)
  locale!: string

  @Field(() => String, { nullable: true, description: 'Only where it is asked through this channel; null: everywhere' })
  channel!: string | null

  @Field(() => FaqStatus)
  status!: FaqStatus

  @Field(() => Int, { description: 'Grows by one with every change; send it as expectedVersion' })
  version!: number

  @Field(() => DateTime, { nullable: true })
  validFrom!: Date | null

  @Field(() => DateTime, { nullable: true, description: 'Exclusive' })
  validTo!: Date | null

  static of({ id, question, answer, alternatives, locale, channel, status, version, validFrom, validTo }: ServedEntry): FaqEntryType {
    return Object.assign(new FaqEntryType(), {
      id: encodeId('FaqEntry', id),
      key: id,
      question,
      answer,
      alternatives,
      locale,
      channel,
      status,
      version,
      validFrom,
      validTo,
    })
  }

  /** Internal id. */
  key!: string
}

@ObjectType({ description: 'What an entry said before a change' })
export class FaqEntryVersion {
  @Field(() => Int)
  version!: number

  @Field(() => JSONScalar)
  content!: unknown

  @Field(() => String)
  changedBy!: string

  @Field(() => DateTime)
  changedAt!: Date
}

/** What only editors see of an entry. */
@ObjectType({ description: 'How an entry came to be what it is' })
export class FaqEntryHistory {
  @Field(() => Int, { nullable: true, description: 'The version that answers; an older one while a change waits for approval' })
  approvedVersion!: number | null

  @Field(() => String, { nullable: true })
  approvedBy!: string | null

  @Field(() => DateTime, { nullable: true })
  approvedAt!: Date | null

  @Field(() => String, { description: 'person, questions (drafted from unanswered ones) or opinion (proposed by an alert)' })
  origin!: string

  @Field(() => [FaqEntryVersion], { description: 'Earlier versions, newest first' })
  versions!: FaqEntryVersion[]

  static of({ approvedVersion, approvedBy, approvedAt, origin }: FaqEntryRow, versions: FaqEntryVersion[]): FaqEntryHistory {
    return { approvedVersion, approvedBy, approvedAt, origin, versions }
  }
}

export const FaqEntryConnection = connectionType('FaqEntry', () => FaqEntryType)

@ObjectType({ description: 'The answer', simpleResolvers: true })
export class FaqAnswer {
  @Field(() => ID)
  decisionId!: string

  @Field(() => FaqEntryType)
  entry!: FaqEntryType

  @Field(() => String)
  text!: string

  @Field(() => Float, { description: 'Calibrated probability that this answers the question' })
  confidence!: number

  @Field(() => [String], { description: 'Words of the question that the entry is found by' })
  matchedTerms!: string[]
}

@ObjectType({
  description: 'Entries are close, or one is likelier right than wrong but not certain enough to be given: the customer is asked',
  simpleResolvers: true,
})
export class FaqClarification {
  @Field(() => ID)
  decisionId!: string

  @Field(() => String, {
    description: 'To be shown to the customer; the next message of the conversation may be "1", "the second" or 第一个',
  })
  question!: string

  @Field(() => [FaqEntryType])
  candidates!: FaqEntryType[]
}

@ObjectType({ description: 'A person has to answer', simpleResolvers: true })
export class FaqHandOff {
  @Field(() => ID)
  decisionId!: string

  @Field(() => ID, { description: 'Of the ticket that people see under faqTickets' })
  ticketId!: string

  @Field(() => String, { description: 'To be shown to the customer, in his language' })
  message!: string

  @Field(() => String, { description: HAND_OFF_REASONS })
  reason!: string
}

@ObjectType({ description: 'What a customer wrote, and what became of it' })
export class FaqMessage {
  @Field(() => String, { description: 'As it was written: text, never markup. Escape it where it is shown' })
  text!: string

  @Field(() => String, { description: 'ANSWER, CLARIFICATION or HAND_OFF' })
  outcome!: string

  @Field(() => ID, { nullable: true, description: 'The entry that answered' })
  entryId!: string | null

  @Field(() => DateTime)
  askedAt!: Date

  @Field(() => ID)
  decisionId!: string
}

@ObjectType('FaqTicket', { implements: NodeType, description: 'A customer who waits for a person' })
export class FaqTicketType extends NodeType {
  @Field(() => String, { description: HAND_OFF_REASONS })
  reason!: string

  @Field(() => String, { nullable: true, description: 'Language in which the customer was spoken to; null once the question is forgotten' })
  locale!: string | null

  @Field(() => String, { nullable: true })
  channel!: string | null

  @Field(() => String, { nullable: true, description: "The chatbot's own name of the conversation, to be answered in" })
  conversationId!: string | null

  @Field(() => DateTime)
  createdAt!: Date

  @Field(() => DateTime, { nullable: true })
  closedAt!: Date | null

  @Field(() => String, { nullable: true })
  closedBy!: string | null

  @Field(() => [FaqMessage], { description: 'What the conversation said until then, oldest first: its last 20 messages of a day' })
  messages!: FaqMessage[]

  static of({ id, reason, locale, channel, conversationId, createdAt, closedAt, closedBy, messages }: TicketRow): FaqTicketType {
    return Object.assign(new FaqTicketType(), {
      id: encodeId('FaqTicket', id),
      reason,
      locale,
      channel,
      conversationId,
      createdAt,
      closedAt,
      closedBy,
      messages: messages.map(({ id: questionId, text, outcome, entryId, askedAt }) => ({
        text,
        outcome,
        entryId: entryId && encodeId('FaqEntry', entryId),
        askedAt: new Date(askedAt),
        decisionId: encodeId('Decision', questionId),
      })),
    })
  }
}

export const FaqTicketConnection = connectionType('FaqTicket', () => FaqTicketType)

@ArgsType()
export class FaqTicketsArgs extends PageArgs {
  @Field(() => Boolean, { nullable: true, description: 'Only those that nobody has closed (true), or only the others' })
  open?: boolean | null
}

@InputType()
export class FaqTicketCloseInput {
  @Field(() => ID)
  ticketId!: string

  @Field(() => String, { nullable: true })
  idempotencyKey?: string | null

  @Field(() => Boolean, { defaultValue: false, description: 'Check everything and change nothing' })
  dryRun?: boolean
}

@ObjectType()
export class FaqTicketPayload extends Payload {
  @Field(() => FaqTicketType, { nullable: true })
  ticket?: FaqTicketType | null

  @Field(() => FaqTicketType, { nullable: true, description: 'Only for a dry run' })
  preview?: FaqTicketType | null
}

export const FaqResult = createUnionType({
  name: 'FaqResult',
  types: () => [FaqAnswer, FaqClarification, FaqHandOff] as const,
  resolveType: typeNameOf('FaqResult', (value: object) => value.constructor.name),
})

@ArgsType()
export class FaqAnswerArgs {
  @Field(() => String, { description: '1 to 2,000 characters' })
  question!: string

  @Field(() => String, { nullable: true, description: 'Language of the answer; any unless given' })
  locale?: string | null

  @Field(() => String, { nullable: true, description: 'Ties messages together for 30 minutes after the last one' })
  conversationId?: string | null

  @Field(() => String, { nullable: true })
  channel?: string | null
}

@InputType({ description: 'All conditions that are given must hold' })
export class FaqWhere {
  @Field(() => FaqStatus, { nullable: true })
  status?: FaqStatus | null

  @Field(() => String, { nullable: true })
  locale?: string | null

  @Field(() => String, { nullable: true })
  channel?: string | null

  @Field(() => String, { nullable: true })
  origin?: string | null

  @Field(() => String, { nullable: true, description: 'Part of the question, an alternative or the answer, in any case' })
  search?: string | null
}

@ArgsType()
export class FaqEntriesArgs extends PageArgs {
  @Field(() => FaqWhere, { nullable: true })
  where?: FaqWhere | null
}

@InputType()
export class FaqEntryCreateInput {
  @Field(() => String, { description: '1 to 1,000 characters' })
  question!: string

  @Field(() => String, { nullable: true, description: 'At most 10,000 characters; a draft may wait for it' })
  answer?: string | null

  @Field(() => [String], { nullable: true, description: 'Other ways to ask it, at most 100' })
  alternatives?: string[] | null

  @Field(() => String, { nullable: true, description: 'Such as en or zh-CN; detected unless given' })
  locale?: string | null

  @Field(() => String, { nullable: true })
  channel?: string | null

  @Field(() => DateTime, { nullable: true })
  validFrom?: Date | null

  @Field(() => DateTime, { nullable: true, description: 'Exclusive' })
  validTo?: Date | null

  @Field(() => String, { nullable: true, description: 'The id in the sending system: the same one is refused' })
  externalId?: string | null

  @Field(() => String, { nullable: true })
  idempotencyKey?: string | null

  @Field(() => Boolean, { defaultValue: false, description: 'Check everything and store nothing' })
  dryRun!: boolean
}

@InputType({
  description:
    'A field that is left out stays as it is; null clears it. The change waits for approval; what was approved answers until then',
})
export class FaqEntryUpdateInput {
  @Field(() => ID)
  id!: string

  @Field(() => Int, { description: 'The version last seen' })
  expectedVersion!: number

  @Field(() => String, { nullable: true })
  question?: string | null

  @Field(() => String, { nullable: true })
  answer?: string | null

  @Field(() => [String], { nullable: true })
  alternatives?: string[] | null

  @Field(() => String, { nullable: true })
  locale?: string | null

  @Field(() => String, { nullable: true })
  channel?: string | null

  @Field(() => DateTime, { nullable: true })
  validFrom?: Date | null

  @Field(() => DateTime, { nullable: true })
  validTo?: Date | null

  @Field(() => String, { nullable: true })
  idempotencyKey?: string | null

  @Field(() => Boolean, { defaultValue: false, description: 'Check everything and change nothing' })
  dryRun?: boolean
}

@InputType()
export class FaqEntryActionInput {
  @Field(() => ID)
  id!: string

  @Field(() => Int, { nullable: true, description: 'The version last seen; without it the present one is meant' })
  expectedVersion?: number | null

  @Field(() => String, { nullable: true })
  idempotencyKey?: string | null

  @Field(() => Boolean, { defaultValue: false, description: 'Check everything and change nothing' })
  dryRun?: boolean
}

@ObjectType()
export class FaqEntryPayload extends Payload {
  @Field(() => FaqEntryType, { nullable: true })
  entry?: FaqEntryType | null

  @Field(() => FaqEntryType, { nullable: true, description: 'Only for a dry run' })
  preview?: FaqEntryType | null
}

@InputType()
export class FaqFeedbackInput {
  @Field(() => ID, { description: 'decisionId of the answer' })
  decisionId!: string

  @Field(() => Boolean)
  helpful!: boolean

  @Field(() => String, { nullable: true, description: 'At most 2,000 characters' })
  comment?: string | null

  @Field(() => String, { nullable: true })
  idempotencyKey?: string | null

  @Field(() => Boolean, { defaultValue: false, description: 'Check everything and change nothing' })
  dryRun?: boolean
}

@ObjectType()
export class FaqFeedbackPayload extends Payload {
  @Field(() => Boolean, { nullable: true })
  recorded?: boolean | null

  @Field(() => Boolean, { nullable: true, description: 'Only for a dry run: whether it would be recorded' })
  preview?: boolean | null
}
