import { ArgsType, Field, Float, ID, InputType, Int, ObjectType, registerEnumType } from 'type-graphql'
import { connectionType, PageArgs } from '../graphql/connection.js'
import { NodeType } from '../graphql/node.js'
import { encodeId } from '../graphql/node-id.js'
import { Payload } from '../graphql/payload.js'
import { DateTime } from '../graphql/scalars.js'
import { Interval, Score } from '../graphql/score.js'
import type { ReviewRow } from './reviews.repository.js'

export enum SentimentLabel {
  POSITIVE = 'POSITIVE',
  NEUTRAL = 'NEUTRAL',
  NEGATIVE = 'NEGATIVE',
  UNDECIDED = 'UNDECIDED',
}
registerEnumType(SentimentLabel, { name: 'SentimentLabel', description: 'UNDECIDED: the judge is not sure enough to say' })

export enum ReviewSource {
  REVIEW = 'REVIEW',
  POST = 'POST',
  NEWS = 'NEWS',
  MESSAGE = 'MESSAGE',
}
registerEnumType(ReviewSource, { name: 'ReviewSource', description: 'Where a text comes from' })

export enum TextTask {
  SENTIMENT = 'SENTIMENT',
  INTENT = 'INTENT',
}
registerEnumType(TextTask, { name: 'TextTask', description: 'What a text is judged for' })

@ObjectType({ description: 'How good a text is about its thing' })
export class Sentiment {
  @Field(() => SentimentLabel)
  label!: SentimentLabel

  @Field(() => Float, { description: 'From −1 (bad) to 1 (good): probability of positive less that of negative' })
  score!: number

  @Field(() => Float, { description: 'Calibrated probability of the likeliest label; 1 where a person said it' })
  confidence!: number

  @Field(() => ID, { nullable: true, description: 'Null: the word lists judged, or a person did' })
  modelId!: string | null
}

@ObjectType({ description: 'What the writer wants' })
export class Intent {
  @Field(() => String)
  name!: string

  @Field(() => Float)
  confidence!: number
}

@ObjectType()
export class AspectSentiment {
  @Field(() => String)
  aspect!: string

  @Field(() => SentimentLabel)
  label!: SentimentLabel

  @Field(() => Float, { description: 'From −1 (bad) to 1 (good)' })
  score!: number

  @Field(() => String, { description: 'The part of the text that says so' })
  excerpt!: string
}

@ObjectType('Review', { implements: NodeType, description: 'A text about the shop or a product: a review, a post, news or a message' })
export class ReviewType extends NodeType {
  /** Internal ids, for loaders. */
  productKey!: number | null
  userKey!: number | null

  @Field(() => String, { nullable: true })
  externalId!: string | null

  @Field(() => String, { description: 'As it was written: text, never markup. Escape it where it is shown' })
  text!: string

  @Field(() => Int, { nullable: true, description: '1 to 5' })
  rating!: number | null

  @Field(() => String)
  locale!: string

  @Field(() => ReviewSource)
  source!: ReviewSource

  @Field(() => String, { nullable: true, description: 'A brand that a text without a product speaks of' })
  brand!: string | null

  @Field(() => DateTime)
  createdAt!: Date

  @Field(() => Sentiment, { nullable: true, description: 'Null until it was read' })
  sentiment!: Sentiment | null

  @Field(() => Intent, { nullable: true })
  intent!: Intent | null

  @Field(() => [AspectSentiment])
  aspects!: AspectSentiment[]

  @Field(() => String, {
    nullable: true,
    description: 'Why the text counts nowhere: SPAM (too many alike) or UNREADABLE (nothing to read)',
  })
  ignoredBecause!: string | null

  static of(row: ReviewRow): ReviewType {
    const { id, externalId, text, rating, locale, brand, createdAt, ignoredBecause } = row
    const sentiment = row.sentiment && {
      label: row.sentiment as SentimentLabel,
      score: row.score ?? 0,
      confidence: row.confidence ?? 0,
      modelId: row.sentimentModelId && encodeId('Model', row.sentimentModelId),
    }
    return Object.assign(new ReviewType(), {
      id: encodeId('Review', id),
      productKey: row.productId,
      userKey: row.userId,
      externalId,
      text,
      rating,
      locale,
      source: row.source.toUpperCase() as ReviewSource,
      brand,
      createdAt,
      sentiment: sentiment || null,
      intent: row.intent ? { name: row.intent, confidence: row.intentConfidence ?? 0 } : null,
      aspects: row.aspects as AspectSentiment[],
      ignoredBecause,
    })
  }
}

export const ReviewConnection = connectionType('Review', () => ReviewType)

@ObjectType()
export class AspectSummary {
  @Field(() => String)
  aspect!: string

  @Field(() => Int)
  mentions!: number

  @Field(() => Float, { description: 'Share of the mentions' })
  positive!: number

  @Field(() => Float, { description: 'Share of the mentions' })
  negative!: number
}

@ObjectType({ description: 'What reviews say in sum; repeated and unreadable ones are left out' })
export class SentimentSummary {
  @Field(() => Int)
  reviews!: number

  @Field(() => Float, { description: 'Share of the reviews; 0 where there are none (see average.state)' })
  positive!: number

  @Field(() => Float, { description: 'Share of the reviews; 0 where there are none (see average.state)' })
  negative!: number

  @Field(() => Interval, { nullable: true, description: 'Wilson score interval of the share' })
  positiveInterval!: Interval | null

  @Field(() => Interval, { nullable: true, description: 'Wilson score interval of the share' })
  negativeInterval!: Interval | null

  @Field(() => Int, { description: 'Reviews whose judge was not sure' })
  undecided!: number

  @Field(() => Int, { description: 'Reviews that were left out as spam or unreadable' })
  ignored!: number

  @Field(() => Score, { description: 'Mean score from −1 to 1' })
  average!: Score

  @Field(() => Score, { description: 'Mean score of the later half of the time less that of the earlier half' })
  trend!: Score

  @Field(() => [AspectSummary], { description: 'The most mentioned first, at most 20; of the newest 5,000 reviews' })
  aspects!: AspectSummary[]
}

@ObjectType({ description: 'A part of the text that speaks for the label, or against it' })
export class TextTerm {
  @Field(() => String)
  text!: string

  @Field(() => Float)
  weight!: number
}

@ObjectType({ description: 'What a text says; nothing of it is stored' })
export class TextAnalysis {
  @Field(() => String, { description: 'en, zh, other, or none (no letters)' })
  language!: string

  @Field(() => Float)
  languageConfidence!: number

  @Field(() => Sentiment)
  sentiment!: Sentiment

  @Field(() => [TextTerm], { description: 'What spoke for the likeliest sentiment and against it, the strongest first' })
  terms!: TextTerm[]

  @Field(() => Intent, { nullable: true, description: 'Null where none is likely' })
  intent!: Intent | null

  @Field(() => [AspectSentiment])
  aspects!: AspectSentiment[]

  @Field(() => [String])
  keywords!: string[]

  @Field(() => String, { description: 'The judge of sentiment' })
  servedBy!: string
}

@ObjectType({ description: 'How often a judge agrees with what people said' })
export class TextAccuracy {
  @Field(() => TextTask)
  task!: TextTask

  @Field(() => String)
  servedBy!: string

  @Field(() => Int, { description: 'Corrections in all' })
  corrections!: number

  @Field(() => Score, {
    description: 'Of the newest 500 corrections that the judge had not learned from: share it judges as the people did',
  })
  accuracy!: Score

  @Field(() => Score, { description: 'Share of the newest 500 corrections that agreed with what had been said before' })
  agreed!: Score
}

@InputType({ description: 'All conditions that are given must hold' })
export class ReviewWhere {
  @Field(() => ID, { nullable: true })
  productId?: string | null

  @Field(() => String, { nullable: true })
  productExternalId?: string | null

  @Field(() => ID, { nullable: true })
  userId?: string | null

  @Field(() => String, { nullable: true })
  category?: string | null

  @Field(() => String, { nullable: true })
  brand?: string | null

  @Field(() => SentimentLabel, { nullable: true })
  sentiment?: SentimentLabel | null

  @Field(() => String, { nullable: true })
  intent?: string | null

  @Field(() => ReviewSource, { nullable: true })
  source?: ReviewSource | null

  @Field(() => DateTime, { nullable: true })
  from?: Date | null

  @Field(() => DateTime, { nullable: true, description: 'Exclusive' })
  to?: Date | null

  @Field(() => String, { nullable: true, description: 'Part of the text in any case, 2 to 100 characters' })
  search?: string | null

  @Field(() => Boolean, { nullable: true, description: 'Whether it counts nowhere (spam, unreadable)' })
  ignored?: boolean | null
}

@ArgsType()
export class ReviewsArgs extends PageArgs {
  @Field(() => ReviewWhere, { nullable: true })
  where?: ReviewWhere | null
}

@ArgsType()
export class TextAnalyseArgs {
  @Field(() => String, { description: 'At most 20,000 characters' })
  text!: string

  @Field(() => String, { nullable: true, description: 'Not needed: the language is detected' })
  locale?: string | null
}

@InputType()
export class ReviewSubmitInput {
  @Field(() => String, { description: '1 to 20,000 characters; kept as it is and never executed' })
  text!: string

  @Field(() => Int, { nullable: true, description: '1 to 5' })
  rating?: number | null

  @Field(() => ID, { nullable: true })
  productId?: string | null

  @Field(() => String, { nullable: true, description: 'An unknown product becomes a stub' })
  productExternalId?: string | null

  @Field(() => ID, { nullable: true })
  userId?: string | null

  @Field(() => String, { nullable: true, description: 'An unknown user becomes a stub' })
  userExternalId?: string | null

  @Field(() => String, { nullable: true, description: 'The id in the sending system: the same one is stored once' })
  externalId?: string | null

  @Field(() => String, { nullable: true })
  locale?: string | null

  @Field(() => ReviewSource, { defaultValue: ReviewSource.REVIEW })
  source!: ReviewSource

  @Field(() => DateTime, { nullable: true, description: 'When it was written; now unless given' })
  createdAt?: Date | null

  @Field(() => String, { nullable: true })
  idempotencyKey?: string | null

  @Field(() => Boolean, { defaultValue: false, description: 'Check everything, store nothing, and return what it would be read as' })
  dryRun!: boolean
}

@ObjectType()
export class ReviewPayload extends Payload {
  @Field(() => ReviewType, { nullable: true })
  review?: ReviewType | null

  @Field(() => TextAnalysis, { nullable: true, description: 'Only for a dry run' })
  preview?: TextAnalysis | null
}

@InputType({ description: 'What a person says that a text means. Exactly one of reviewId and text' })
export class TextCorrectInput {
  @Field(() => ID, { nullable: true })
  reviewId?: string | null

  @Field(() => String, { nullable: true })
  text?: string | null

  @Field(() => TextTask)
  task!: TextTask

  @Field(() => String, { description: 'POSITIVE, NEUTRAL or NEGATIVE; of INTENT any name, also an own one' })
  label!: string

  @Field(() => String, { nullable: true })
  idempotencyKey?: string | null

  @Field(() => Boolean, { defaultValue: false, description: 'Check everything and change nothing' })
  dryRun?: boolean
}

@ObjectType({ description: 'What a correction would do' })
export class TextCorrectPreview {
  @Field(() => String, { description: 'What would be learned of the text' })
  label!: string

  @Field(() => String, { nullable: true, description: 'What has been said until now' })
  predicted!: string | null

  @Field(() => ReviewType, { nullable: true, description: 'The review as it would be' })
  review!: ReviewType | null
}

@ObjectType()
export class TextCorrectPayload extends Payload {
  @Field(() => ReviewType, { nullable: true })
  review?: ReviewType | null

  @Field(() => String, { nullable: true, description: 'What had been said before' })
  predicted?: string | null

  @Field(() => TextCorrectPreview, { nullable: true, description: 'Only for a dry run' })
  preview?: TextCorrectPreview | null
}
