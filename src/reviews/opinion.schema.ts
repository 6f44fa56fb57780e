import { ArgsType, Field, Float, ID, InputType, Int, ObjectType, registerEnumType } from 'type-graphql'
import { connectionType, PageArgs } from '../graphql/connection.js'
import { NodeType } from '../graphql/node.js'
import { encodeId } from '../graphql/node-id.js'
import { Payload } from '../graphql/payload.js'
import { DateTime } from '../graphql/scalars.js'
import { Score } from '../graphql/score.js'
import type { AlertRow } from './opinion.repository.js'

export enum OpinionAction {
  PAUSE_ADS = 'PAUSE_ADS',
  DEMOTE = 'DEMOTE',
  FAQ_ENTRY = 'FAQ_ENTRY',
  NOTIFY = 'NOTIFY',
}
registerEnumType(OpinionAction, {
  name: 'OpinionAction',
  description: 'Pause the ads of the product, hold it back in recommendations, draft a FAQ entry, or send the signed webhook',
})

export enum ProposalState {
  PROPOSED = 'PROPOSED',
  RUNNING = 'RUNNING',
  DONE = 'DONE',
  FAILED = 'FAILED',
  DISMISSED = 'DISMISSED',
}
registerEnumType(ProposalState, {
  name: 'ProposalState',
  description:
    'RUNNING: a person confirmed it and it is being done; what a crash interrupts is done to its end within minutes. FAILED may be confirmed again',
})

@ObjectType({ description: 'One step of a time-line with what it should have been' })
export class OpinionPoint {
  @Field(() => DateTime, { description: 'Where the step begins, in UTC' })
  at!: Date

  @Field(() => Int)
  mentions!: number

  @Field(() => Float)
  negativeShare!: number

  @Field(() => Float, { description: 'Mentions of an ordinary step like this one' })
  expected!: number

  @Field(() => Float, { description: 'Of a hundred ordinary steps 99 lie between low and high' })
  low!: number

  @Field(() => Float)
  high!: number
}

@ObjectType({ description: 'What may be done about an alert; nothing is done before a person confirms' })
export class OpinionProposal {
  @Field(() => OpinionAction)
  action!: OpinionAction

  @Field(() => ProposalState)
  state!: ProposalState

  @Field(() => String, { nullable: true })
  by?: string | null

  @Field(() => DateTime, { nullable: true, description: 'Since when it is in its state' })
  at?: Date | null

  @Field(() => String, { nullable: true, description: 'What came of it' })
  note?: string | null
}

@ObjectType('OpinionAlert', { implements: NodeType, description: 'Mentions or complaints beyond what is usual' })
export class OpinionAlertType extends NodeType {
  /** Internal ids of the samples. */
  sampleIds!: string[]

  @Field(() => DateTime)
  startedAt!: Date

  @Field(() => DateTime, { description: 'Beginning of the last step that was beyond' })
  endedAt!: Date

  @Field(() => String, { description: 'shop, or the kind and the name: "category: Tea"' })
  subject!: string

  @Field(() => [String], {
    description:
      'Every subject that the same posts made stand out, its own first: a category in two languages, or a product and what it belongs to',
  })
  subjects!: string[]

  @Field(() => String, { description: 'volume, negative or both' })
  kind!: string

  @Field(() => Float, { description: 'Standard deviations above the usual' })
  severity!: number

  @Field(() => Int, { description: 'Mentions in its time' })
  observed!: number

  @Field(() => Float)
  expected!: number

  @Field(() => [String], { description: 'Terms that set its texts apart from those before' })
  terms!: string[]

  @Field(() => [OpinionProposal])
  proposals!: OpinionProposal[]

  @Field(() => String, { nullable: true })
  acknowledgedBy!: string | null

  @Field(() => Boolean, { nullable: true, description: 'What the person said it was' })
  isFalseAlarm!: boolean | null

  static of({
    id,
    sampleIds,
    startedAt,
    endedAt,
    subject,
    subjects,
    kind,
    severity,
    observed,
    expected,
    terms,
    proposals,
    acknowledgedBy,
    isFalseAlarm,
  }: AlertRow) {
    return Object.assign(new OpinionAlertType(), {
      id: encodeId('OpinionAlert', id),
      sampleIds,
      startedAt,
      endedAt,
      subject,
      subjects,
      kind,
      severity,
      observed,
      expected,
      terms,
      proposals: proposals.map(each => ({ ...each, at: each.at ? new Date(each.at) : null })) as OpinionProposal[],
      acknowledgedBy,
      isFalseAlarm,
    })
  }
}

export const OpinionAlertConnection = connectionType('OpinionAlert', () => OpinionAlertType)

@ObjectType({ description: 'How many alerts were none, by what people said when they acknowledged them' })
export class OpinionQuality {
  @Field(() => Int)
  alerts!: number

  @Field(() => Score, { description: 'Share of the judged alerts of the last 90 days that were false' })
  falseAlarms!: Score
}

@ArgsType()
export class OpinionAlertsArgs extends PageArgs {
  @Field(() => Boolean, { nullable: true, description: 'Only those that nobody has acknowledged (true), or only the others' })
  open?: boolean | null
}

@ArgsType()
export class OpinionTimelineArgs {
  @Field(() => ID, { nullable: true })
  productId?: string | null

  @Field(() => String, { nullable: true })
  category?: string | null

  @Field(() => DateTime, { nullable: true, description: '90 days (14 of hours) before "to" unless given' })
  from?: Date | null

  @Field(() => DateTime, { nullable: true, description: 'Now unless given' })
  to?: Date | null

  @Field(() => String, { nullable: true, defaultValue: 'day', description: 'day or hour' })
  bucket?: string | null

  @Field(() => String, { nullable: true })
  brand?: string | null
}

@InputType()
export class OpinionAcknowledgeInput {
  @Field(() => ID)
  alertId!: string

  @Field(() => Boolean, { nullable: true, description: 'Whether it was none; feeds the measured false-alarm rate' })
  isFalseAlarm?: boolean | null

  @Field(() => String, { nullable: true })
  idempotencyKey?: string | null

  @Field(() => Boolean, { defaultValue: false, description: 'Check everything and change nothing' })
  dryRun?: boolean
}

@InputType()
export class OpinionActionInput {
  @Field(() => ID)
  alertId!: string

  @Field(() => OpinionAction)
  action!: OpinionAction

  @Field(() => Boolean, { defaultValue: true, description: 'false: it is not to be done' })
  confirm!: boolean

  @Field(() => String, { nullable: true })
  idempotencyKey?: string | null

  @Field(() => Boolean, { defaultValue: false, description: 'Check everything and change nothing' })
  dryRun?: boolean
}

@ObjectType()
export class OpinionAlertPayload extends Payload {
  @Field(() => OpinionAlertType, { nullable: true })
  alert?: OpinionAlertType | null

  @Field(() => OpinionAlertType, {
    nullable: true,
    description: 'Only for a dry run: the alert as it would be; what is to be done is RUNNING',
  })
  preview?: OpinionAlertType | null
}
