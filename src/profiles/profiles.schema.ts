import { ArgsType, Field, Float, InputType, Int, ObjectType, registerEnumType } from 'type-graphql'
import { connectionType, PageArgs } from '../graphql/connection.js'
import { Money } from '../graphql/money.js'
import { OrderDirection } from '../graphql/order.js'
import { DateTime, JSONScalar } from '../graphql/scalars.js'
import type { ProfileRow } from './profiles.repository.js'

@ObjectType({ description: 'Recency, frequency and monetary value, each scored 1 to 5; 5 is best' })
export class Rfm {
  @Field(() => Float, { description: 'Days since the last order' })
  recencyDays!: number

  @Field(() => Int, { description: 'Days with an order' })
  frequency!: number

  @Field(() => Money)
  monetary!: Money

  @Field(() => Int)
  recencyScore!: number

  @Field(() => Int)
  frequencyScore!: number

  @Field(() => Int)
  monetaryScore!: number

  @Field(() => String, { description: 'Name of the group, in English' })
  label!: string

  @Field(() => String, { description: 'Name of the group, in Chinese' })
  labelZh!: string

  @Field(() => String, { description: 'Key of the group, for segment rules' })
  group!: string
}

@ObjectType({ description: 'Users who behave alike' })
export class Cluster {
  @Field(() => String)
  key!: string

  @Field(() => String, { description: 'What sets it apart, in plain words' })
  name!: string

  @Field(() => String)
  nameZh!: string

  @Field(() => Int)
  size!: number

  @Field(() => [JSONScalar], { description: 'Features whose mean differs most from everybody: {feature, mean, population, deviations}' })
  distinguishing!: unknown[]

  @Field(() => Float, {
    nullable: true,
    description:
      'Share that this cluster and the one of the same key in the model before have in common of all members of either; null where the cluster is new. A key goes on while it is above one half, and is never given to other people',
  })
  overlapWithBefore!: number | null

  @Field(() => Float, {
    nullable: true,
    description:
      'Standard deviations between the mean of the present members and where the model found them; null before the first look and where nobody is left',
  })
  drift!: number | null
}

@ObjectType({ description: 'How far members have moved from where the live model found their clusters' })
export class ClusterDrift {
  @Field(() => DateTime, { description: 'When it was looked at; a job does so every night' })
  at!: Date

  @Field(() => String)
  servedBy!: string

  @Field(() => Float, { description: 'Standard deviations, the mean over all members' })
  mean!: number

  @Field(() => Float, { description: 'Beyond this the stage "cluster drift" of systemHealth is degraded: time to learn anew' })
  limit!: number

  @Field(() => JSONScalar, { description: 'Standard deviations by key of the cluster; null where nobody is left' })
  clusters!: Record<string, number | null>
}

@ObjectType({ description: 'What the pre-processing of all profiles left out or cut' })
export class ProfilePreprocessing {
  @Field(() => Int)
  profiles!: number

  @Field(() => Int, { description: 'Profiles with more events than a person makes; they teach no model' })
  bots!: number

  @Field(() => Int)
  withoutEvents!: number

  @Field(() => JSONScalar, {
    description: 'Events by cause: duplicates, amounts cut as outliers, missing prices, other currencies, the future',
  })
  causes!: unknown
}

@ObjectType({ description: 'The best simple rule for a cluster' })
export class ClusterRule {
  @Field(() => JSONScalar, { description: 'Send it as ruleJson to segmentCreate' })
  rule!: unknown

  @Field(() => Float, { description: 'Share of those who match that are in the cluster' })
  precision!: number

  @Field(() => Float, { description: 'Share of the cluster that matches' })
  recall!: number
}

@ObjectType()
export class Affinity {
  @Field(() => String, { description: 'Category, or brand in a list of brands' })
  category!: string

  @Field(() => Float, { description: 'Share of all liking, drawn towards the population where little is known' })
  weight!: number
}

@ObjectType({ description: 'A number that is known of every user' })
export class FeatureValue {
  @Field(() => String)
  name!: string

  @Field(() => String)
  description!: string

  @Field(() => String)
  descriptionZh!: string

  @Field(() => String)
  unit!: string

  @Field(() => Float, { nullable: true, description: 'Null where nothing is known' })
  value?: number | null
}

@ObjectType('Profile', { description: 'What is known of a user from behaviour and transactions, as of the last event' })
export class ProfileType {
  row!: ProfileRow

  @Field(() => DateTime)
  updatedAt!: Date

  @Field(() => Int)
  events!: number

  @Field(() => DateTime, { nullable: true })
  firstEventAt!: Date | null

  @Field(() => DateTime, { nullable: true })
  lastEventAt!: Date | null

  @Field(() => DateTime, { nullable: true, description: 'When the next order is expected' })
  nextOrderAt!: Date | null

  @Field(() => [Int], { description: 'Events by hour of the day, in the time zone of the user' })
  hours!: number[]

  @Field(() => JSONScalar, { description: 'Events by channel' })
  channels!: unknown

  @Field(() => Boolean, { description: 'More events than a person makes; such profiles teach no model' })
  isBot!: boolean

  @Field(() => JSONScalar, { description: 'What the pre-processing left out or cut, counted by cause' })
  leftOut!: unknown

  static of(row: ProfileRow): ProfileType {
    const { refreshedAt: updatedAt, eventCount: events, firstEventAt, lastEventAt, nextOrderAt, hours, channels, isBot, leftOut } = row
    return Object.assign(new ProfileType(), {
      row,
      updatedAt,
      events,
      firstEventAt,
      lastEventAt,
      nextOrderAt,
      hours,
      channels,
      isBot,
      leftOut,
    })
  }
}

export const ProfileConnection = connectionType('Profile', () => ProfileType)

export enum ProfileOrderField {
  USER = 'USER',
  CHURN_PROBABILITY = 'CHURN_PROBABILITY',
  PURCHASE_PROBABILITY = 'PURCHASE_PROBABILITY',
  LIFETIME_VALUE = 'LIFETIME_VALUE',
  MONETARY = 'MONETARY',
}
registerEnumType(ProfileOrderField, { name: 'ProfileOrderField', description: 'Profiles without the number come last' })

@InputType()
export class ProfileOrder {
  @Field(() => ProfileOrderField)
  field!: ProfileOrderField

  @Field(() => OrderDirection, { defaultValue: OrderDirection.DESC })
  direction!: OrderDirection
}

@InputType({ description: 'All conditions that are given must hold' })
export class ProfileWhere {
  @Field(() => String, { nullable: true, description: 'Key of an RFM group, e.g. champions' })
  rfmGroup?: string | null

  @Field(() => String, { nullable: true, description: 'Key of a cluster' })
  cluster?: string | null

  @Field(() => Boolean, { nullable: true })
  isBot?: boolean | null

  @Field(() => Boolean, { nullable: true, description: 'Whether the user ever ordered' })
  isCustomer?: boolean | null

  @Field(() => Float, { nullable: true, description: 'At least this probability' })
  churnFrom?: number | null

  @Field(() => Float, { nullable: true, description: 'At least this probability' })
  purchaseFrom?: number | null

  @Field(() => Float, { nullable: true, description: "At least this value over 365 days, in units of the account's currency" })
  lifetimeValueFrom?: number | null
}

@ArgsType()
export class ProfilesArgs extends PageArgs {
  @Field(() => ProfileWhere, { nullable: true })
  where?: ProfileWhere | null

  @Field(() => ProfileOrder, { nullable: true, description: 'By user unless said' })
  orderBy?: ProfileOrder | null
}
