import { Field, Float, ID, Int, ObjectType, registerEnumType } from 'type-graphql'
import { JobState } from '../platform/generated/prisma/enums.js'
import type { JobRow } from '../platform/job-store.js'
import { connectionType } from './connection.js'
import { NodeType } from './node.js'
import { encodeId } from './node-id.js'
import { Payload } from './payload.js'
import { DateTime, JSONScalar } from './scalars.js'

registerEnumType(JobState, { name: 'JobState' })

@ObjectType('Job', { implements: NodeType, simpleResolvers: true, description: 'Work that answers the clock, a signal or a person' })
export class JobType extends NodeType {
  @Field(() => String)
  name!: string

  @Field(() => String, { description: 'quick answers people, import takes in files, heavy trains and scores' })
  lane!: string

  @Field(() => JobState)
  state!: JobState

  @Field(() => Float, { description: 'Share that is done, 0 to 1' })
  progress!: number

  @Field(() => String, { nullable: true, description: 'What it says of itself, in a sentence' })
  message!: string | null

  @Field(() => JSONScalar, { nullable: true })
  result!: unknown

  @Field(() => String, { nullable: true, description: 'Why the last attempt failed' })
  error!: string | null

  @Field(() => Int)
  attempts!: number

  @Field(() => String, { description: 'manual, schedule, or the signal that started it' })
  trigger!: string

  @Field(() => Int, { nullable: true, description: 'Into how many parts it was cut, if it was; jobs(parentId:) lists them' })
  parts!: number | null

  @Field(() => ID, { nullable: true, description: 'The job whose part this is' })
  parentId!: string | null

  @Field(() => DateTime)
  createdAt!: Date

  @Field(() => DateTime, { nullable: true })
  startedAt!: Date | null

  @Field(() => DateTime, { nullable: true })
  finishedAt!: Date | null

  static of({ id, parentId, ...row }: JobRow): JobType {
    return Object.assign(new JobType(), row, { id: encodeId('Job', id), parentId: parentId && encodeId('Job', parentId) })
  }
}

export const JobConnection = connectionType('Job', () => JobType)

@ObjectType({ description: 'A job that was started or touched' })
export class JobPayload extends Payload {
  @Field(() => JobType, { nullable: true })
  job?: JobType | null

  @Field(() => JSONScalar, { nullable: true, description: 'What a dry run found; the operation says what is in it' })
  preview?: unknown
}
