import { Field, Float, ID, InputType, Int, ObjectType, registerEnumType } from 'type-graphql'
import { connectionType } from '../graphql/connection.js'
import { JobType } from '../graphql/job.js'
import { NodeType } from '../graphql/node.js'
import { encodeId } from '../graphql/node-id.js'
import { Payload } from '../graphql/payload.js'
import { DateTime } from '../graphql/scalars.js'
import { AudienceSource, AudienceStatus, Purpose } from '../platform/generated/prisma/enums.js'
import type { AudienceRow } from './audiences.repository.js'

registerEnumType(AudienceSource, { name: 'AudienceSource', description: 'How the members are found' })
registerEnumType(AudienceStatus, { name: 'AudienceStatus', description: 'Whether the members are those of the current version' })

export enum AudiencePrediction {
  CHURN = 'CHURN',
  PURCHASE = 'PURCHASE',
  LIFETIME_VALUE = 'LIFETIME_VALUE',
}
registerEnumType(AudiencePrediction, { name: 'AudiencePrediction', description: 'A prediction that is stored with every profile' })

@ObjectType({ description: 'How many of the candidates were left out for one cause; each counts under the first that holds' })
export class Exclusion {
  @Field(() => String, {
    description: 'SUPPRESSED, CONSENT_MISSING, CONSENT_REFUSED, BOT, FREQUENCY_CAP, NO_SCORE (nothing is known of the user) or TOO_SMALL',
  })
  reason!: string

  @Field(() => Int)
  count!: number
}

@ObjectType({ description: 'One point of the similarity curve of a look-alike' })
export class SimilarityPoint {
  @Field(() => Float, { description: 'Share of the population that is taken' })
  share!: number

  @Field(() => Float, { description: 'Share of seeds that were held out of the training and lie within it' })
  seedShare!: number

  @Field(() => Float, { description: 'How alike the last one taken is, 0 to 1' })
  similarity!: number
}

@ObjectType('Audience', { implements: NodeType, description: 'Users to be addressed, found once and found again with audienceRebuild' })
export class AudienceType extends NodeType {
  key!: string

  @Field(() => String)
  name!: string

  @Field(() => AudienceSource)
  source!: AudienceSource

  @Field(() => AudienceStatus)
  status!: AudienceStatus

  @Field(() => String, { nullable: true, description: 'Why it could not be built' })
  failure!: string | null

  @Field(() => Int, { description: 'Members now' })
  size!: number

  @Field(() => [Exclusion])
  excluded!: Exclusion[]

  @Field(() => Int, { description: 'Grows by one with every change; send it as expectedVersion' })
  version!: number

  @Field(() => [SimilarityPoint], { description: 'Of look-alikes: what a larger share costs in likeness; else empty' })
  similarityCurve!: SimilarityPoint[]

  @Field(() => Float, { nullable: true, description: 'Of look-alikes: how well seed and others can be told apart (AUC on held-out users)' })
  auc!: number | null

  @Field(() => ID, { nullable: true, description: 'The job that builds it, or built it' })
  jobId!: string | null

  @Field(() => DateTime, { nullable: true })
  builtAt!: Date | null

  @Field(() => DateTime)
  createdAt!: Date

  static of(row: AudienceRow): AudienceType {
    const { id, name, source, status, failure, size, excluded, version, detail, jobId, builtAt, createdAt } = row
    return Object.assign(new AudienceType(), {
      key: id,
      id: encodeId('Audience', id),
      name,
      source,
      status,
      failure,
      size,
      excluded,
      version,
      similarityCurve: detail.curve ?? [],
      auc: detail.auc ?? null,
      jobId: jobId && encodeId('Job', jobId),
      builtAt,
      createdAt,
    })
  }
}

export const AudienceConnection = connectionType('Audience', () => AudienceType)

@InputType({ description: 'Whoever has seen so many ads within so many hours is left out' })
export class AudienceFrequencyCapInput {
  @Field(() => Int)
  impressions!: number

  @Field(() => Int)
  hours!: number
}

@InputType({
  description:
    'Exactly one of segmentId, seedAudienceId (look-alike), productId, productExternalId or category (most likely to buy), and prediction',
})
export class AudienceCreateInput {
  @Field(() => String)
  name!: string

  @Field(() => AudienceSource, { nullable: true, description: 'Follows from what else is given' })
  source?: AudienceSource | null

  @Field(() => ID, { nullable: true })
  segmentId?: string | null

  @Field(() => ID, { nullable: true })
  seedAudienceId?: string | null

  @Field(() => ID, { nullable: true })
  productId?: string | null

  @Field(() => String, { nullable: true })
  productExternalId?: string | null

  @Field(() => String, { nullable: true })
  category?: string | null

  @Field(() => AudiencePrediction, { nullable: true })
  prediction?: AudiencePrediction | null

  @Field(() => Boolean, { defaultValue: false, description: 'With prediction: the lowest instead of the highest' })
  ascending!: boolean

  @Field(() => Float, { nullable: true, description: 'Size as a share of all users, above 0 to 1; of look-alikes 0.05 unless given' })
  share?: number | null

  @Field(() => Int, { nullable: true, description: 'Members at most' })
  limit?: number | null

  @Field(() => Purpose, { nullable: true, defaultValue: Purpose.ADS, description: 'Only who consented to it; null asks for none' })
  consent?: Purpose | null

  @Field(() => AudienceFrequencyCapInput, { nullable: true })
  frequencyCap?: AudienceFrequencyCapInput | null

  @Field(() => Int, { defaultValue: 10, description: 'Fewer members than this are too few to show: the audience stays empty' })
  minimumSize!: number

  @Field(() => String, { nullable: true })
  idempotencyKey?: string | null

  @Field(() => Boolean, { defaultValue: false, description: 'Check and count, store nothing' })
  dryRun!: boolean
}

@InputType()
export class AudienceActionInput {
  @Field(() => ID)
  audienceId!: string

  @Field(() => Int, { nullable: true })
  expectedVersion?: number | null

  @Field(() => String, { nullable: true })
  idempotencyKey?: string | null

  @Field(() => Boolean, { defaultValue: false, description: 'Check everything and change nothing' })
  dryRun?: boolean
}

@ObjectType({ description: 'What an audience would hold' })
export class AudiencePreview {
  @Field(() => Int, { nullable: true, description: 'Null where it takes a model to know' })
  size!: number | null

  @Field(() => [Exclusion], { description: 'Among all candidates' })
  excluded!: Exclusion[]
}

@ObjectType()
export class AudiencePayload extends Payload {
  @Field(() => AudienceType, { nullable: true })
  audience?: AudienceType | null

  @Field(() => JobType, { nullable: true, description: 'The job that finds the members' })
  job?: JobType | null

  @Field(() => AudiencePreview, { nullable: true, description: 'Only for a dry run' })
  preview?: AudiencePreview | null
}

@InputType()
export class SuppressionSetInput {
  @Field(() => [String], { description: '1 to 1000 users' })
  userExternalIds!: string[]

  @Field(() => Boolean, { defaultValue: true, description: 'false takes it back' })
  suppressed!: boolean

  @Field(() => String, { nullable: true, description: 'Why; needed to suppress' })
  reason?: string | null

  @Field(() => String, { nullable: true })
  idempotencyKey?: string | null

  @Field(() => Boolean, { defaultValue: false, description: 'Check everything and change nothing' })
  dryRun?: boolean
}

@ObjectType()
export class SuppressionPayload extends Payload {
  @Field(() => Int, { nullable: true, description: 'Users it was set for' })
  count?: number | null

  @Field(() => Int, { nullable: true, description: 'Only for a dry run: users it would be set for' })
  preview?: number | null
}
