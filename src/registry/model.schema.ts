import { ArgsType, Field, Float, ID, InputType, Int, ObjectType, registerEnumType } from 'type-graphql'
import { connectionType, PageArgs } from '../graphql/connection.js'
import { NodeType } from '../graphql/node.js'
import { encodeId } from '../graphql/node-id.js'
import { Payload } from '../graphql/payload.js'
import { DateTime, JSONScalar } from '../graphql/scalars.js'
import { Interval } from '../graphql/score.js'
import { ModelReviewVerdict, ModelStatus, ModelTask } from '../platform/generated/prisma/enums.js'
import type { Guardrails } from './guardrails.js'
import type { ModelRow } from './model.repository.js'

registerEnumType(ModelTask, { name: 'ModelTask', description: 'Something to be learned' })
registerEnumType(ModelStatus, { name: 'ModelStatus', description: 'candidate → (blocked | approved) → live → retired, or rejected' })

registerEnumType(ModelReviewVerdict, { name: 'ModelReviewVerdict' })

@ObjectType({ description: 'What a person, or configuration, said of a model' })
export class ModelReview {
  @Field(() => ModelReviewVerdict)
  verdict!: ModelReviewVerdict

  @Field(() => ModelStatus, { description: 'What the model became by it' })
  status!: ModelStatus

  @Field(() => String)
  by!: string

  @Field(() => String, { nullable: true, description: 'Why' })
  note!: string | null

  @Field(() => DateTime)
  at!: Date
}

@ObjectType({ description: 'One number of one group of people' })
export class FairnessGroup {
  @Field(() => String)
  attribute!: string

  @Field(() => String)
  group!: string

  @Field(() => Int)
  size!: number

  @Field(() => String)
  metric!: string

  @Field(() => Float, { nullable: true })
  value!: number | null

  @Field(() => Interval, { nullable: true })
  interval!: Interval | null
}

@ObjectType({ description: 'How a model treats groups of people; absent for tasks that are not checked yet' })
export class FairnessReport {
  @Field(() => Boolean)
  passed!: boolean

  @Field(() => [FairnessGroup])
  groups!: FairnessGroup[]

  @Field(() => [String])
  findings!: string[]
}

@ObjectType({ description: 'A condition a model must meet before a person may approve it' })
export class GuardrailCheck {
  @Field(() => String)
  name!: string

  @Field(() => Boolean)
  passed!: boolean

  @Field(() => String)
  finding!: string
}

@ObjectType('Model', { implements: NodeType, description: 'What was learned' })
export class ModelType extends NodeType {
  /** Internal id. */
  key!: string

  @Field(() => ModelTask)
  task!: ModelTask

  @Field(() => String)
  algorithm!: string

  @Field(() => Int)
  version!: number

  @Field(() => ModelStatus)
  status!: ModelStatus

  @Field(() => JSONScalar, { description: 'Hyper-parameters of the run' })
  params!: unknown

  @Field(() => JSONScalar)
  metrics!: unknown

  @Field(() => JSONScalar, { description: 'The same metrics of the baseline on the same split' })
  baselineMetrics!: unknown

  @Field(() => JSONScalar, { nullable: true, description: 'The same metrics of the model that was live' })
  liveMetrics!: unknown

  @Field(() => [GuardrailCheck])
  guardrails!: GuardrailCheck[]

  @Field(() => FairnessReport, { nullable: true })
  fairness!: FairnessReport | null

  /** As the training wrote it. */
  card!: string

  @Field(() => DateTime)
  trainedAt!: Date

  @Field(() => Int)
  trainedRows!: number

  @Field(() => String, { nullable: true, description: 'Who said the last of `reviews`' })
  reviewedBy!: string | null

  @Field(() => String, { nullable: true })
  reviewNote!: string | null

  @Field(() => DateTime, { nullable: true })
  reviewedAt!: Date | null

  @Field(() => DateTime, { nullable: true })
  liveAt!: Date | null

  @Field(() => DateTime, { nullable: true })
  retiredAt!: Date | null

  static of({ id, guardrails, ...row }: ModelRow): ModelType {
    return Object.assign(new ModelType(), { fairness: null }, row, {
      key: id,
      id: encodeId('Model', id),
      guardrails: (guardrails as Guardrails).checks,
    })
  }
}

export const ModelConnection = connectionType('Model', () => ModelType)

@ArgsType()
export class ModelsArgs extends PageArgs {
  @Field(() => ModelTask, { nullable: true })
  task?: ModelTask | null

  @Field(() => ModelStatus, { nullable: true })
  status?: ModelStatus | null
}

@InputType()
export class ModelTrainInput {
  @Field(() => ModelTask)
  task!: ModelTask

  @Field(() => String, { nullable: true, description: 'Only this algorithm; all of the task unless given' })
  algorithm?: string | null

  @Field(() => JSONScalar, { nullable: true, description: 'Hyper-parameters of that algorithm' })
  params?: Record<string, number | string | boolean> | null

  @Field(() => String, { nullable: true })
  idempotencyKey?: string | null

  @Field(() => Boolean, { defaultValue: false, description: 'Checks the request and starts nothing' })
  dryRun!: boolean
}

@InputType()
export class ModelReviewInput {
  @Field(() => ID)
  modelId!: string

  @Field(() => String, { nullable: true, description: 'Why; kept with the model' })
  note?: string | null

  @Field(() => ModelStatus, { nullable: true, description: 'Refused when the model is in another status by now' })
  expectedStatus?: ModelStatus | null

  @Field(() => Boolean, {
    defaultValue: true,
    description: 'Approving also makes it live; false keeps it approved beside the live one, to be asked for by its algorithm',
  })
  activate!: boolean

  @Field(() => String, { nullable: true })
  idempotencyKey?: string | null

  @Field(() => Boolean, { defaultValue: false, description: 'Check everything, move nothing, and return the preview' })
  dryRun!: boolean
}

@ObjectType({ description: 'What a review would do; nothing was moved' })
export class ModelReviewPreview {
  @Field(() => ModelType, { description: 'The model that would be moved' })
  model!: ModelType

  @Field(() => ModelStatus, { description: 'The status it would have' })
  becomes!: ModelStatus

  @Field(() => ModelType, { nullable: true, description: 'The live model that would retire for it' })
  retires!: ModelType | null
}

@ObjectType()
export class ModelPayload extends Payload {
  @Field(() => ModelType, { nullable: true })
  model?: ModelType | null

  @Field(() => ModelReviewPreview, { nullable: true, description: 'Only for a dry run' })
  preview?: ModelReviewPreview | null
}
