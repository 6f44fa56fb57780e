import { ArgsType, Field, Float, ID, Int, ObjectType, registerEnumType } from 'type-graphql'
import { ProductType, ProductWhere } from '../catalogue/catalogue.schema.js'
import { encodeId } from '../graphql/node-id.js'
import { Unchanging } from '../graphql/unchanging.js'

export enum RecommendationAlgorithm {
  AUTO = 'AUTO',
  POPULARITY = 'POPULARITY',
  USER_CF = 'USER_CF',
  ITEM_CF = 'ITEM_CF',
  CONTENT = 'CONTENT',
  IALS = 'IALS',
  EASE = 'EASE',
  SLIM = 'SLIM',
  RP3BETA = 'RP3BETA',
  TRENDING = 'TRENDING',
  REPEAT = 'REPEAT',
  HYBRID = 'HYBRID',
  RERANK = 'RERANK',
}
registerEnumType(RecommendationAlgorithm, { name: 'RecommendationAlgorithm', description: 'AUTO takes the live model' })

@ObjectType({ description: 'Evidence for an item, with its exact part of the score', simpleResolvers: true })
export class Reason {
  @Field(() => String)
  kind!: string

  @Field(() => String)
  text!: string

  @Field(() => Float)
  weight!: number

  @Field(() => [ProductType], { description: 'Products the evidence rests on' })
  products!: ProductType[]
}

@ObjectType({ simpleResolvers: true })
export class Recommendation {
  @Field(() => ProductType)
  product!: ProductType

  @Field(() => Float)
  score!: number

  @Field(() => Int, { description: 'From 1' })
  rank!: number

  @Field(() => [Reason], {
    description: 'The strongest one by one, the rest of them in sum, and what rules did: their weights sum to the score',
  })
  reasons!: Reason[]
}

@ObjectType({ simpleResolvers: true })
export class RecommendationList {
  @Unchanging()
  @Field(() => [Recommendation])
  readonly items: Recommendation[]

  @Field(() => String, { description: 'Algorithm and version that answered' })
  readonly servedBy: string

  @Field(() => RecommendationAlgorithm)
  readonly algorithm: RecommendationAlgorithm

  @Field(() => ID, { nullable: true, description: 'Null when the baseline answered' })
  readonly modelId: string | null

  @Field(() => [String], { description: 'What could not be had as asked, and what was done instead' })
  readonly fallbacks: string[]

  constructor(
    /** The id of the decision whose list it is. */
    private readonly decision: string,
    { items, servedBy, algorithm, modelId, fallbacks }: Listed,
  ) {
    this.items = items
    this.servedBy = servedBy
    this.algorithm = algorithm
    this.modelId = modelId
    this.fallbacks = fallbacks
  }

  @Field(() => ID)
  get id(): string {
    return encodeId('RecommendationList', this.decision)
  }

  @Field(() => ID, { description: 'Ask decision(id) why' })
  get decisionId(): string {
    return encodeId('Decision', this.decision)
  }
}

/** What lists of several decisions may have in common. */
export type Listed = Pick<RecommendationList, 'items' | 'servedBy' | 'algorithm' | 'modelId' | 'fallbacks'>

@ArgsType()
export class RecommendationsArgs {
  @Field(() => String, { nullable: true })
  userExternalId?: string | null

  @Field(() => ID, { nullable: true })
  userId?: string | null

  @Field(() => String, {
    nullable: true,
    description:
      'Where it is shown: the rules of the placement of this name steer the list (see placements). An argument other than its default wins over them. A name without a placement is answered without rules and says so',
  })
  placement?: string | null

  @Field(() => Int, { nullable: true, defaultValue: 10, description: 'How many, 0 to 100' })
  first?: number | null

  @Field(() => RecommendationAlgorithm, { nullable: true, defaultValue: RecommendationAlgorithm.AUTO })
  algorithm?: RecommendationAlgorithm | null

  @Field(() => Boolean, { nullable: true, defaultValue: true, description: 'Leaves out what the user viewed, bought or rated' })
  excludeSeen?: boolean | null

  @Field(() => Float, {
    nullable: true,
    defaultValue: 0,
    description: '0: by score alone; 1: as varied as can be (maximal marginal relevance)',
  })
  diversity?: number | null

  @Field(() => ProductWhere, { nullable: true })
  where?: ProductWhere | null

  @Field(() => [String], {
    nullable: true,
    description:
      'Products that the list shall go with, instead of with all the user did: the one looked at, the cart; at most 100, newest last',
  })
  contextProductExternalIds?: string[] | null

  @Field(() => [ID], { nullable: true, description: 'The same by id' })
  contextProductIds?: string[] | null
}
