import { Field, Int, ObjectType } from 'type-graphql'
import { DateTime } from '../graphql/scalars.js'

@ObjectType({ description: 'One stage of the pipeline, with what is so and why', simpleResolvers: true })
export class StageHealth {
  @Field(() => String)
  stage!: string

  @Field(() => String, { description: 'ok, waiting, degraded or failed' })
  state!: string

  @Field(() => String, { nullable: true })
  reason!: string | null

  @Field(() => DateTime, { nullable: true })
  lastSuccessAt!: Date | null

  @Field(() => Int, { nullable: true })
  rowsIn!: number | null

  @Field(() => Int, { nullable: true })
  rowsOut!: number | null
}
