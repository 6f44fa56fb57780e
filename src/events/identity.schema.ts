import { Field, ID, InputType, ObjectType } from 'type-graphql'
import { encodeId } from '../graphql/node-id.js'
import { DateTime } from '../graphql/scalars.js'

import type { MergeRow } from './identity.repository.js'

@ObjectType('IdentityMerge', { description: 'Two records that turned out to be one person' })
export class IdentityMergeType {
  row!: MergeRow

  @Field(() => ID)
  id!: string

  @Field(() => String, { description: 'identify, alias, or what a person said' })
  evidence!: string

  @Field(() => DateTime)
  mergedAt!: Date

  @Field(() => DateTime, { nullable: true, description: 'Set when the merge was taken back' })
  undoneAt!: Date | null

  static of(row: MergeRow): IdentityMergeType {
    const { id, evidence, mergedAt, undoneAt } = row
    return Object.assign(new IdentityMergeType(), { row, id: encodeId('IdentityMerge', id), evidence, mergedAt, undoneAt })
  }
}

@InputType()
export class UserMergeInput {
  @Field(() => ID, { description: 'The visitor who becomes part of the other; known only by an anonymous id' })
  fromUserId!: string

  @Field(() => ID)
  intoUserId!: string

  @Field(() => String, { nullable: true, description: 'Why they are one person; it is kept' })
  evidence?: string | null

  @Field(() => String, { nullable: true })
  idempotencyKey?: string | null

  @Field(() => Boolean, { defaultValue: false, description: 'Check everything and change nothing' })
  dryRun?: boolean
}

@InputType({ description: 'Exactly one of mergeId and userId' })
export class UserUnmergeInput {
  @Field(() => ID, { nullable: true, description: 'The merge, as User.merges shows it' })
  mergeId?: string | null

  @Field(() => ID, { nullable: true, description: 'The user who was merged away, or the one record that was merged into' })
  userId?: string | null

  @Field(() => String, { nullable: true })
  idempotencyKey?: string | null

  @Field(() => Boolean, { defaultValue: false, description: 'Check everything and change nothing' })
  dryRun?: boolean
}
