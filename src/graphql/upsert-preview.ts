import 'reflect-metadata'
import { isDeepStrictEqual } from 'node:util'
import { Field, ObjectType } from 'type-graphql'
import type { ColumnChange } from '../platform/upsert.js'
import { JSONScalar } from './scalars.js'

/** One fact that an upsert would change. */
@ObjectType()
export class FieldChange {
  @Field(() => String)
  field!: string

  @Field(() => JSONScalar, { nullable: true })
  before!: unknown

  @Field(() => JSONScalar, { nullable: true })
  after!: unknown
}

/** What a dry run found: nothing of it was stored. */
@ObjectType()
export class UpsertPreview {
  @Field(() => Boolean, { description: 'Whether it would be created, rather than changed' })
  creates!: boolean

  @Field(() => [FieldChange])
  changes!: FieldChange[]
}

/** The columns whose stored value differs from the given one. */
export function changesOf(row: object | undefined, changes: Record<string, ColumnChange>): FieldChange[] {
  const stored = (row ?? {}) as Record<string, unknown>
  return Object.entries(changes)
    .map(([field, change]) => ({ field, before: plain(stored[field]), after: plain(afterOf(stored[field], change)) }))
    .filter(({ before, after }) => !isDeepStrictEqual(before, after))
}

function afterOf(stored: unknown, { value, type, merge }: ColumnChange): unknown {
  if (type !== 'jsonb' || typeof value !== 'string') return value
  return merge ? { ...(stored as object | undefined), ...JSON.parse(value) } : JSON.parse(value)
}

function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString()
  return value instanceof Date ? value.toISOString() : (value ?? null)
}
