import { Field, Float, ID, ObjectType } from 'type-graphql'
import { NodeType } from '../graphql/node.js'
import { encodeId } from '../graphql/node-id.js'
import { DateTime, JSONScalar } from '../graphql/scalars.js'
import type { DecisionRow } from './decisions.js'

@ObjectType({ description: 'One part of a decision, with its exact weight', simpleResolvers: true })
export class Contribution {
  @Field(() => String)
  feature!: string

  @Field(() => String)
  value!: string

  @Field(() => Float)
  weight!: number
}

@ObjectType({ description: 'The arm of an experiment that answered', simpleResolvers: true })
export class DecisionChance {
  @Field(() => ID)
  experimentId!: string

  @Field(() => String)
  arm!: string

  @Field(() => Float, { description: 'Chance of a user to be in this arm' })
  share!: number

  @Field(() => Float, { description: 'Chance of the first item to be first; 1 where the arm does not explore' })
  probability!: number
}

@ObjectType('Decision', { implements: NodeType, description: "A model's or rule's answer to one request, with its reasons" })
export class DecisionType extends NodeType {
  @Field(() => String)
  kind!: string

  @Field(() => DateTime)
  at!: Date

  @Field(() => ID, { nullable: true, description: 'The model that answered; null when it was the baseline' })
  modelId!: string | null

  @Field(() => String, { description: 'Algorithm and version that answered' })
  servedBy!: string

  @Field(() => [Contribution])
  contributions!: Contribution[]

  @Field(() => [String], { description: 'Rules that shaped the answer, in sentences' })
  rules!: string[]

  @Field(() => JSONScalar, { description: 'Candidates that were not shown: counts by reason, and examples' })
  dropped!: unknown

  @Field(() => String, { nullable: true, description: 'The consent that personal data was used on' })
  consentBasis!: string | null

  @Field(() => String, { description: 'SHA-256 of what was asked' })
  inputHash!: string

  @Field(() => DecisionChance, { nullable: true, description: 'The part that chance had in it; null when it had none' })
  experiment!: DecisionChance | null

  @Field(() => ID, {
    nullable: true,
    description: 'The decision whose answer was given again, as nothing that it went by had changed since; null for an answer made anew',
  })
  sameAs!: string | null

  static of({ id, modelId, experiment, sameAs, ...facts }: DecisionRow): DecisionType {
    const chance = experiment && { ...experiment, experimentId: encodeId('RecommendationExperiment', experiment.id) }
    return Object.assign(new DecisionType(), {
      ...facts,
      experiment: chance,
      id: encodeId('Decision', id),
      modelId: modelId && encodeId('Model', modelId),
      sameAs: sameAs && encodeId('Decision', sameAs),
    })
  }
}
