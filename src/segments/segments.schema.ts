import { ArgsType, Field, Float, ID, InputType, Int, ObjectType, registerEnumType } from 'type-graphql'
import { connectionType, PageArgs } from '../graphql/connection.js'
import { NodeType } from '../graphql/node.js'
import { encodeId } from '../graphql/node-id.js'
import { Payload } from '../graphql/payload.js'
import { DateTime, JSONScalar } from '../graphql/scalars.js'
import { EventType, Purpose, SegmentStatus } from '../platform/generated/prisma/enums.js'
import { UserType } from '../users/users.schema.js'
import { type Rule, touchesOf } from './rule.js'
import type { SegmentRow } from './segments.repository.js'

registerEnumType(SegmentStatus, { name: 'SegmentStatus', description: 'Whether the members follow the rule as it stands' })

export enum RuleOperator {
  EQ = 'EQ',
  NE = 'NE',
  GT = 'GT',
  GTE = 'GTE',
  LT = 'LT',
  LTE = 'LTE',
  IN = 'IN',
  EXISTS = 'EXISTS',
}
registerEnumType(RuleOperator, { name: 'RuleOperator' })

export enum CalendarPeriod {
  TODAY = 'TODAY',
  THIS_WEEK = 'THIS_WEEK',
  THIS_MONTH = 'THIS_MONTH',
}
registerEnumType(CalendarPeriod, { name: 'CalendarPeriod', description: "In the user's own time zone" })

@ObjectType('Segment', { implements: NodeType, description: 'Users who match a rule, kept up to date as events come in' })
export class SegmentType extends NodeType {
  key!: string
  /** The members follow the rule as it stands. */
  isCurrent!: boolean
  followsTheClock!: boolean

  @Field(() => String)
  name!: string

  @Field(() => String, { nullable: true })
  description!: string | null

  @Field(() => JSONScalar, { description: 'The rule as data; send it back as ruleJson' })
  rule!: unknown

  @Field(() => Int, { description: 'Grows by one with every change; send it as expectedVersion' })
  version!: number

  @Field(() => Int, { description: 'Members now' })
  size!: number

  @Field(() => DateTime, { nullable: true, description: 'The members are right as of this moment' })
  evaluatedAt!: Date | null

  @Field(() => SegmentStatus)
  status!: SegmentStatus

  @Field(() => String, { nullable: true, description: 'Why the evaluation failed' })
  failure!: string | null

  @Field(() => DateTime)
  createdAt!: Date

  static of({ id, rule, ...row }: SegmentRow): SegmentType {
    const isCurrent = row.status === SegmentStatus.READY && row.evaluatedVersion === row.version
    const followsTheClock = touchesOf(rule).time
    return Object.assign(new SegmentType(), row, { key: id, id: encodeId('Segment', id), rule: withIds(rule), isCurrent, followsTheClock })
  }
}

/** Ids of the database become those of the API. */
function withIds(rule: Rule): Rule {
  if (rule.all) return { all: rule.all.map(withIds) }
  if (rule.any) return { any: rule.any.map(withIds) }
  if (rule.not) return { not: withIds(rule.not) }
  return rule.inSegment ? { inSegment: encodeId('Segment', rule.inSegment) } : rule
}

export const SegmentConnection = connectionType('Segment', () => SegmentType)

@InputType({
  description:
    'A fact of the user: country, city, gender, locale, timeZone, birthYear, anonymous, createdAt, firstEventAt, lastEventAt, firstOrderAt, lastOrderAt, nextOrderAt, or traits.<name>. Unknown facts match nothing but the negation of EXISTS',
})
export class TraitClauseInput {
  @Field(() => String)
  name!: string

  @Field(() => RuleOperator)
  op!: RuleOperator

  @Field(() => JSONScalar, { nullable: true, description: 'Text, number or boolean' })
  value?: unknown

  @Field(() => [JSONScalar], { nullable: true, description: 'For IN' })
  values?: unknown[] | null

  @Field(() => Float, { nullable: true, description: 'For times, instead of value: the moment so many days before the evaluation' })
  daysAgo?: number | null
}

@InputType({ description: 'A profile feature by its name (see profileFeatures), or the ratio of two' })
export class FeatureClauseInput {
  @Field(() => String)
  name!: string

  @Field(() => String, { nullable: true, description: 'Divide by this feature; where it is 0 or unknown nobody matches' })
  per?: string | null

  @Field(() => RuleOperator)
  op!: RuleOperator

  @Field(() => Float, { nullable: true })
  value?: number | null
}

@InputType({ description: 'churnProbability, purchaseProbability or lifetimeValue' })
export class PredictionClauseInput {
  @Field(() => String)
  name!: string

  @Field(() => RuleOperator)
  op!: RuleOperator

  @Field(() => Float, { nullable: true })
  value?: number | null
}

@InputType()
class AboutInput {
  @Field(() => String, { nullable: true, description: 'Name of a CUSTOM event' })
  event?: string | null

  @Field(() => String, { nullable: true })
  category?: string | null

  @Field(() => String, { nullable: true })
  brand?: string | null

  @Field(() => String, { nullable: true })
  productExternalId?: string | null

  @Field(() => Float, { nullable: true, description: 'Least value, or amount in units of the currency' })
  minValue?: number | null
}

@InputType({ description: 'Did something at least, or at most, so many times' })
export class DidClauseInput extends AboutInput {
  @Field(() => EventType)
  type!: EventType

  @Field(() => Int, { nullable: true })
  atLeast?: number | null

  @Field(() => Int, { nullable: true })
  atMost?: number | null

  @Field(() => Float, { nullable: true, description: 'Rolling window; all time unless given' })
  withinDays?: number | null

  @Field(() => CalendarPeriod, { nullable: true, description: "Calendar window in the user's time zone" })
  period?: CalendarPeriod | null

  @Field(() => DateTime, { nullable: true, description: 'From this moment on' })
  since?: Date | null

  @Field(() => DateTime, { nullable: true, description: 'Before this moment' })
  until?: Date | null

  @Field(() => Int, { nullable: true, description: "Only from this hour of the user's day" })
  fromHour?: number | null

  @Field(() => Int, { nullable: true, description: "Only before this hour of the user's day" })
  toHour?: number | null
}

@InputType({ description: 'Did the first thing in the last days, and not the second within hours after it' })
export class DidThenNotClauseInput extends AboutInput {
  @Field(() => EventType)
  first!: EventType

  @Field(() => EventType)
  butNot!: EventType

  @Field(() => Float)
  withinHours!: number

  @Field(() => Float)
  lastDays!: number

  @Field(() => Boolean, { nullable: true })
  sameProduct?: boolean | null
}

@InputType({ description: 'Share of all liking that a category or brand has, 0 to 1' })
export class AffinityClauseInput {
  @Field(() => String, { nullable: true })
  category?: string | null

  @Field(() => String, { nullable: true })
  brand?: string | null

  @Field(() => Float)
  atLeast!: number
}

@InputType({ description: 'A rule: exactly one of the fields' })
export class SegmentRuleInput {
  @Field(() => [SegmentRuleInput], { nullable: true, description: 'AND' })
  all?: SegmentRuleInput[] | null

  @Field(() => [SegmentRuleInput], { nullable: true, description: 'OR' })
  any?: SegmentRuleInput[] | null

  @Field(() => SegmentRuleInput, { nullable: true, description: 'NOT' })
  not?: SegmentRuleInput | null

  @Field(() => TraitClauseInput, { nullable: true })
  trait?: TraitClauseInput | null

  @Field(() => FeatureClauseInput, { nullable: true })
  feature?: FeatureClauseInput | null

  @Field(() => PredictionClauseInput, { nullable: true })
  prediction?: PredictionClauseInput | null

  @Field(() => DidClauseInput, { nullable: true })
  did?: DidClauseInput | null

  @Field(() => DidThenNotClauseInput, { nullable: true })
  didThenNot?: DidThenNotClauseInput | null

  @Field(() => AffinityClauseInput, { nullable: true })
  affinity?: AffinityClauseInput | null

  @Field(() => [String], { nullable: true, description: 'Any of these RFM groups' })
  rfm?: string[] | null

  @Field(() => String, { nullable: true, description: 'Key of a cluster' })
  cluster?: string | null

  @Field(() => Purpose, { nullable: true, description: 'Has consented to this purpose' })
  consent?: Purpose | null

  @Field(() => ID, { nullable: true, description: 'Is a member of another segment' })
  inSegment?: string | null
}

@InputType()
export class SegmentCreateInput {
  @Field(() => String)
  name!: string

  @Field(() => String, { nullable: true })
  description?: string | null

  @Field(() => SegmentRuleInput, { nullable: true, description: 'The rule by the typed builder' })
  rule?: SegmentRuleInput | null

  @Field(() => JSONScalar, { nullable: true, description: 'The same as JSON' })
  ruleJson?: unknown

  @Field(() => String, { nullable: true })
  idempotencyKey?: string | null

  @Field(() => Boolean, { defaultValue: false, description: 'Count who would match, store nothing' })
  dryRun!: boolean
}

@InputType()
export class SegmentUpdateInput {
  @Field(() => ID)
  segmentId!: string

  @Field(() => Int, { nullable: true })
  expectedVersion?: number | null

  @Field(() => String, { nullable: true })
  name?: string | null

  @Field(() => String, { nullable: true })
  description?: string | null

  @Field(() => SegmentRuleInput, { nullable: true })
  rule?: SegmentRuleInput | null

  @Field(() => JSONScalar, { nullable: true })
  ruleJson?: unknown

  @Field(() => Boolean, { defaultValue: false, description: 'Put it away: it is evaluated no more' })
  archive!: boolean

  @Field(() => String, { nullable: true })
  idempotencyKey?: string | null

  @Field(() => Boolean, { defaultValue: false })
  dryRun!: boolean
}

@ObjectType({ description: 'Who would match' })
export class SegmentPreviewType {
  @Field(() => Int)
  size!: number

  @Field(() => Float, { description: 'Share of all users' })
  share!: number

  sample!: UserType[]
}

@ObjectType()
export class SegmentPayload extends Payload {
  @Field(() => SegmentType, { nullable: true })
  segment?: SegmentType | null

  @Field(() => SegmentPreviewType, { nullable: true, description: 'Only for a dry run' })
  preview?: SegmentPreviewType | null
}

@ArgsType()
export class MembersArgs extends PageArgs {
  @Field(() => DateTime, { nullable: true, description: 'The members as they were at this moment' })
  asOf?: Date | null
}
