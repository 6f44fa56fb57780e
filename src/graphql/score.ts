import { Field, Float, ID, Int, ObjectType, registerEnumType } from 'type-graphql'
import { WhenSelected } from './when-selected.js'

export enum EstimateState {
  READY = 'READY',
  LEARNING = 'LEARNING',
  INSUFFICIENT_DATA = 'INSUFFICIENT_DATA',
  STALE = 'STALE',
}
registerEnumType(EstimateState, { name: 'EstimateState', description: 'How far a learned number may be trusted' })

@ObjectType()
export class Interval {
  @Field(() => Float)
  low!: number

  @Field(() => Float)
  high!: number

  @Field(() => Float, { description: 'Share of cases in which the interval holds the truth, e.g. 0.9' })
  level!: number
}

/** Every learned number: unknown is a state, never a made-up zero. */
@ObjectType()
export class Score {
  @Field(() => Float, { nullable: true })
  value!: number | null

  @Field(() => Interval, { nullable: true })
  interval!: Interval | null

  @Field(() => Int)
  sampleSize!: number

  @Field(() => EstimateState)
  state!: EstimateState

  // A decision is written only when it is asked for.
  @WhenSelected()
  @Field(() => ID, { nullable: true, description: 'Ask decision(id) why' })
  decisionId!: string | null
}
