import { Field, InputType, ObjectType } from 'type-graphql'
import { BigIntScalar } from './scalars.js'

@ObjectType({ description: 'An amount in micros: one unit of the currency is 1 000 000', simpleResolvers: true })
export class Money {
  @Field(() => BigIntScalar)
  amountMicros!: bigint

  @Field(() => String, { description: 'ISO 4217' })
  currencyCode!: string
}

@InputType({ description: 'An amount in micros: one unit of the currency is 1 000 000' })
export class MoneyInput {
  @Field(() => BigIntScalar)
  amountMicros!: bigint

  @Field(() => String, { nullable: true, description: "ISO 4217; the account's currency unless given" })
  currencyCode?: string | null
}

/** Money of a nullable pair of columns. */
export function money(amountMicros: bigint | null | undefined, currencyCode: string | null | undefined): Money | null {
  if (amountMicros === null || amountMicros === undefined || !currencyCode) return null
  return Object.assign(new Money(), { amountMicros, currencyCode })
}
