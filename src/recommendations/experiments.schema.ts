import { ArgsType, Field, Float, ID, InputType, Int, ObjectType, registerEnumType } from 'type-graphql'
import { connectionType } from '../graphql/connection.js'
import { NodeType } from '../graphql/node.js'
import { encodeId } from '../graphql/node-id.js'
import { Payload } from '../graphql/payload.js'
import { DateTime } from '../graphql/scalars.js'
import { ExperimentStatus } from '../platform/generated/prisma/enums.js'
import type { ExperimentRow } from './experiments.repository.js'
import { RecommendationAlgorithm } from './recommendations.schema.js'

registerEnumType(ExperimentStatus, { name: 'ExperimentStatus', description: 'From DRAFT to RUNNING to STOPPED, and never back' })

export enum ExperimentMetric {
  CLICK_THROUGH = 'CLICK_THROUGH',
  CONVERSION = 'CONVERSION',
  REVENUE_PER_VISITOR = 'REVENUE_PER_VISITOR',
}
registerEnumType(ExperimentMetric, {
  name: 'ExperimentMetric',
  description:
    'CLICK_THROUGH: lists of which a product was clicked or viewed within a day, of all lists; CONVERSION: users who bought after their first list; REVENUE_PER_VISITOR: what they paid, refunds taken off',
})

export enum Reward {
  CLICK = 'CLICK',
  PURCHASE = 'PURCHASE',
}
registerEnumType(Reward, {
  name: 'RecommendationReward',
  description: 'CLICK: the first item is clicked or viewed within a day; PURCHASE: it is bought within seven',
})

@ObjectType('RecommendationExperimentArm', { simpleResolvers: true })
export class ExperimentArm {
  @Field(() => String)
  key!: string

  @Field(() => Float, { description: 'Of the users' })
  share!: number

  @Field(() => RecommendationAlgorithm)
  algorithm!: RecommendationAlgorithm

  @Field(() => Float, { nullable: true, description: 'Null: as the request says' })
  diversity!: number | null

  @Field(() => Float, { description: 'Temperature of the chance by which another than the best comes first; 0: never' })
  exploration!: number
}

@ObjectType('RecommendationExperiment', { implements: NodeType, description: 'Which of several ways to recommend serves the shop best' })
export class ExperimentType extends NodeType {
  key!: string

  @Field(() => String)
  name!: string

  @Field(() => String, { nullable: true, description: 'Null: wherever no other experiment runs' })
  placement!: string | null

  @Field(() => [ExperimentArm], { description: 'The first one is the control' })
  arms!: ExperimentArm[]

  @Field(() => Int, { description: 'Users of all arms together at which the fixed interval is to be read' })
  plannedUsers!: number

  @Field(() => ExperimentStatus)
  status!: ExperimentStatus

  @Field(() => Int, { description: 'Grows by one with every change; send it as expectedVersion' })
  version!: number

  @Field(() => DateTime)
  createdAt!: Date

  @Field(() => DateTime, { nullable: true })
  startedAt!: Date | null

  @Field(() => DateTime, { nullable: true })
  stoppedAt!: Date | null

  @Field(() => String, { nullable: true, description: 'Why it was stopped' })
  stopNote!: string | null

  static of({ id, ...row }: ExperimentRow): ExperimentType {
    return Object.assign(new ExperimentType(), row, { key: id, id: encodeId('RecommendationExperiment', id) })
  }
}

export const ExperimentConnection = connectionType('RecommendationExperiment', () => ExperimentType)

@ObjectType({ simpleResolvers: true })
export class ConfidenceRange {
  @Field(() => Float)
  low!: number

  @Field(() => Float)
  high!: number
}

@ObjectType({ simpleResolvers: true })
export class MetricEstimate extends ConfidenceRange {
  @Field(() => Float)
  value!: number
}

@ObjectType({ description: 'An arm against the control', simpleResolvers: true })
export class ArmComparison {
  @Field(() => Float, { description: 'Arm − control' })
  difference!: number

  @Field(() => ConfidenceRange, { description: '95 % of a single look at the planned number of users (Welch)' })
  interval!: ConfidenceRange

  @Field(() => ConfidenceRange, { description: '95 % however often it is looked at (confidence sequence)' })
  anytime!: ConfidenceRange

  @Field(() => Float, { description: "Two-sided, of Welch's test" })
  p!: number

  @Field(() => MetricEstimate, {
    nullable: true,
    description: 'arm / control − 1 with its interval of 95 %; null where the control has nothing',
  })
  lift!: MetricEstimate | null
}

@ObjectType({ simpleResolvers: true })
export class ArmMetric {
  @Field(() => String)
  key!: string

  @Field(() => MetricEstimate, { nullable: true, description: 'With its interval of 95 %; null while there are too few users' })
  estimate!: MetricEstimate | null

  @Field(() => ArmComparison, { nullable: true, description: 'Null for the control' })
  comparison!: ArmComparison | null
}

@ObjectType({ simpleResolvers: true })
export class MetricResult {
  @Field(() => ExperimentMetric)
  metric!: ExperimentMetric

  @Field(() => [ArmMetric])
  arms!: ArmMetric[]
}

@ObjectType({ description: 'Whether the arms have the users they should have (chi-square)', simpleResolvers: true })
export class SampleRatioCheck {
  @Field(() => Float)
  chiSquare!: number

  @Field(() => Int)
  degrees!: number

  @Field(() => Float)
  p!: number

  @Field(() => Boolean, { description: 'p below 0.001: no result may be trusted' })
  isMismatch!: boolean
}

@ObjectType({ simpleResolvers: true })
export class ArmUsers {
  @Field(() => String)
  key!: string

  @Field(() => Float)
  share!: number

  @Field(() => Int)
  users!: number
}

@ObjectType('RecommendationExperimentResult', { simpleResolvers: true })
export class ExperimentResult {
  @Field(() => DateTime)
  until!: Date

  @Field(() => Int, { description: 'Users who were shown what their arm recommends' })
  users!: number

  @Field(() => Boolean, { description: 'Only then may the fixed intervals be read' })
  isPlanReached!: boolean

  @Field(() => SampleRatioCheck)
  sampleRatio!: SampleRatioCheck

  @Field(() => [ArmUsers])
  arms!: ArmUsers[]

  @Field(() => [MetricResult])
  metrics!: MetricResult[]

  @Field(() => String, { description: 'How far the result may be trusted now, in a sentence' })
  advice!: string
}

@ObjectType({ description: 'What a policy would have earned at one place of its lists', simpleResolvers: true })
export class RecommendationOffPolicyPlace {
  @Field(() => Int, { description: 'From 1' })
  place!: number

  @Field(() => Int, { description: 'Logged decisions that tell of this place' })
  decisions!: number

  @Field(() => Float, { nullable: true, description: 'Reward of this place; null where the log says nothing of this policy' })
  value!: number | null

  @Field(() => Float, { description: 'Reward of what was shown here' })
  logged!: number

  @Field(() => Float)
  effectiveSize!: number

  @Field(() => Float)
  meanWeight!: number
}

@ObjectType({
  description:
    'What whole lists of a policy would have earned, place by place: what an item earns is taken to depend on itself and its place (item-position model)',
  simpleResolvers: true,
})
export class RecommendationOffPolicyList {
  @Field(() => Float, { nullable: true, description: 'Rewarded items a list, over the places that have an estimate' })
  value!: number | null

  @Field(() => Float, { nullable: true, description: 'Of an interval of 95 %' })
  low!: number | null

  @Field(() => Float, { nullable: true })
  high!: number | null

  @Field(() => Float, { nullable: true, description: 'Of what was shown, at the same places' })
  logged!: number | null

  @Field(() => Float, { description: 'At each of these places the log is worth at least so many decisions of this policy' })
  effectiveSize!: number

  @Field(() => Float, { description: 'Of what this policy would show the part that the log could show, about' })
  meanWeight!: number

  @Field(() => [RecommendationOffPolicyPlace])
  places!: RecommendationOffPolicyPlace[]
}

@ObjectType({
  description: 'What a policy would have earned on decisions that chance made (self-normalised inverse propensity score)',
  simpleResolvers: true,
})
export class RecommendationOffPolicyEstimate {
  @Field(() => String, { description: 'Algorithm and version that was asked about' })
  policy!: string

  @Field(() => Int, { description: 'Logged decisions in which chance chose the first item, the newest 5000 at most' })
  decisions!: number

  @Field(() => Float, { nullable: true, description: 'Reward of the first item; null where the log says nothing of this policy' })
  value!: number | null

  @Field(() => Float, { nullable: true, description: 'Of an interval of 95 %' })
  low!: number | null

  @Field(() => Float, { nullable: true })
  high!: number | null

  @Field(() => Float, { nullable: true, description: 'Reward of what was shown first' })
  logged!: number | null

  @Field(() => Float, { description: 'The logged decisions are worth so many of this policy' })
  effectiveSize!: number

  @Field(() => Float, { description: 'About 1 when the log could show everything that this policy would' })
  meanWeight!: number

  @Field(() => RecommendationOffPolicyList)
  list!: RecommendationOffPolicyList

  @Field(() => [String])
  caveats!: string[]
}

@ArgsType()
export class OffPolicyArgs {
  @Field(() => RecommendationAlgorithm, { nullable: true, description: 'An approved model by its algorithm; or else modelId' })
  algorithm?: RecommendationAlgorithm | null

  @Field(() => ID, { nullable: true, description: 'Any model of the task, also one that waits for approval' })
  modelId?: string | null

  @Field(() => String, { nullable: true })
  placement?: string | null

  @Field(() => Int, { defaultValue: 30 })
  days!: number

  @Field(() => Reward, { defaultValue: Reward.CLICK })
  reward!: Reward

  @Field(() => Float, {
    defaultValue: 0.2,
    description: 'The policy is judged as if it explored like this; 0: its best item always comes first',
  })
  exploration!: number
}

@InputType('RecommendationExperimentArmInput')
export class ExperimentArmInput {
  @Field(() => String)
  key!: string

  @Field(() => Float, { description: 'Above 0; the shares of all arms sum to 1' })
  share!: number

  @Field(() => RecommendationAlgorithm, { nullable: true, description: 'AUTO unless given' })
  algorithm?: RecommendationAlgorithm | null

  @Field(() => Float, { nullable: true, description: 'Instead of what the request says' })
  diversity?: number | null

  @Field(() => Float, { nullable: true, description: '0 to 1; 0 unless given' })
  exploration?: number | null
}

@InputType('RecommendationExperimentCreateInput')
export class ExperimentCreateInput {
  @Field(() => String)
  name!: string

  @Field(() => String, { nullable: true })
  placement?: string | null

  @Field(() => [ExperimentArmInput], { description: '2 to 10; the first one is the control' })
  arms!: ExperimentArmInput[]

  @Field(() => Int, { nullable: true, description: '10000 unless given' })
  plannedUsers?: number | null

  @Field(() => String, { nullable: true })
  idempotencyKey?: string | null

  @Field(() => Boolean, { defaultValue: false, description: 'Check, store nothing' })
  dryRun!: boolean
}

@InputType('RecommendationExperimentUpdateInput')
export class ExperimentUpdateInput {
  @Field(() => ID)
  experimentId!: string

  @Field(() => Int, { nullable: true })
  expectedVersion?: number | null

  @Field(() => String, { nullable: true })
  name?: string | null

  @Field(() => String, { nullable: true })
  placement?: string | null

  @Field(() => [ExperimentArmInput], { nullable: true })
  arms?: ExperimentArmInput[] | null

  @Field(() => Int, { nullable: true })
  plannedUsers?: number | null

  @Field(() => String, { nullable: true })
  idempotencyKey?: string | null

  @Field(() => Boolean, { defaultValue: false })
  dryRun!: boolean
}

@InputType('RecommendationExperimentActionInput')
export class ExperimentActionInput {
  @Field(() => ID)
  experimentId!: string

  @Field(() => Int, { nullable: true })
  expectedVersion?: number | null

  @Field(() => String, { nullable: true, description: 'Why it is stopped' })
  note?: string | null

  @Field(() => String, { nullable: true })
  idempotencyKey?: string | null

  @Field(() => Boolean, { defaultValue: false })
  dryRun!: boolean
}

@ObjectType('RecommendationExperimentPayload')
export class ExperimentPayload extends Payload {
  @Field(() => ExperimentType, { nullable: true })
  experiment?: ExperimentType | null

  @Field(() => ExperimentType, { nullable: true, description: 'Only for a dry run: as it would be' })
  preview?: ExperimentType | null
}
