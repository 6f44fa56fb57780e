import { ArgsType, Field, Float, InputType, Int, ObjectType, registerEnumType } from 'type-graphql'
import { AttributeWhere, ProductWhere } from '../catalogue/catalogue.schema.js'
import type { ProductFilter } from '../catalogue/product-filter.js'
import { connectionType } from '../graphql/connection.js'
import { NodeType } from '../graphql/node.js'
import { encodeId } from '../graphql/node-id.js'
import { Payload } from '../graphql/payload.js'
import { BigIntScalar, DateTime, JSONScalar } from '../graphql/scalars.js'
import { FieldChange } from '../graphql/upsert-preview.js'
import type { PlacementRow, PlacementVersionRow } from './placements.repository.js'
import { Recommendation, RecommendationAlgorithm } from './recommendations.schema.js'
import type { Basis, CapKind, PlacementRules } from './rules.js'

const BasisEnum: Record<Basis, Basis> = { HISTORY: 'HISTORY', CONTEXT: 'CONTEXT', CART: 'CART' }
registerEnumType(BasisEnum, {
  name: 'PlacementBasis',
  description:
    'What a list goes by. HISTORY: all that the user did. CONTEXT: the products that the request names. CART: what lies in the cart, as named or as tracked. Where the latter are empty, the history',
})
const CapEnum: Record<CapKind, CapKind> = { CATEGORY: 'CATEGORY', BRAND: 'BRAND' }
registerEnumType(CapEnum, { name: 'CapKind' })

@ObjectType({ description: 'Conditions on products; all that are given hold', simpleResolvers: true })
export class ProductConditions {
  @Field(() => String, { nullable: true })
  category?: string | null

  @Field(() => String, { nullable: true })
  brand?: string | null

  @Field(() => String, { nullable: true })
  search?: string | null

  @Field(() => Boolean, { nullable: true })
  inStock?: boolean | null

  @Field(() => BigIntScalar, { nullable: true })
  priceMinMicros?: bigint | null

  @Field(() => BigIntScalar, { nullable: true })
  priceMaxMicros?: bigint | null

  @Field(() => Boolean, { nullable: true })
  stub?: boolean | null

  @Field(() => Float, { nullable: true })
  marginShareMin?: number | null

  @Field(() => [AttributeCondition], { nullable: true })
  attributes?: readonly AttributeCondition[] | null
}

@ObjectType({ simpleResolvers: true })
export class AttributeCondition implements AttributeWhere {
  @Field(() => String)
  name!: string

  @Field(() => String, { nullable: true })
  value?: string | null
}

@ObjectType({ simpleResolvers: true })
export class PlacementLevel {
  @Field(() => Int)
  fromProducts!: number

  @Field(() => RecommendationAlgorithm)
  algorithm!: string
}

@ObjectType({ simpleResolvers: true })
export class PlacementFilter {
  @Field(() => String)
  name!: string

  @Field(() => ProductConditions)
  where!: ProductFilter
}

@ObjectType({ simpleResolvers: true })
export class PlacementBoost extends PlacementFilter {
  @Field(() => Float)
  factor!: number
}

@ObjectType({ simpleResolvers: true })
export class PlacementPin {
  @Field(() => String)
  productExternalId!: string

  @Field(() => Int)
  position!: number
}

@ObjectType({ simpleResolvers: true })
export class PlacementCap {
  @Field(() => CapEnum)
  by!: CapKind

  @Field(() => String, { nullable: true, description: 'This one only; each when null' })
  value!: string | null

  @Field(() => Int)
  most!: number
}

@ObjectType('PlacementRules', { simpleResolvers: true, description: 'What steers a placement' })
export class PlacementRulesType implements PlacementRules {
  @Field(() => RecommendationAlgorithm, { description: 'AUTO takes the live model' })
  algorithm!: string

  @Field(() => [PlacementLevel], { description: 'Other algorithms by the number of products known of the user' })
  levels!: PlacementLevel[]

  @Field(() => BasisEnum)
  basis!: Basis

  @Field(() => Float)
  diversity!: number

  @Field(() => Boolean)
  onlyBought!: boolean

  @Field(() => Boolean)
  excludeSeen!: boolean

  @Field(() => Boolean)
  excludeBought!: boolean

  @Field(() => Int)
  excludeShownDays!: number

  @Field(() => Int)
  minimumStock!: number

  @Field(() => Float)
  marginWeight!: number

  @Field(() => Float)
  sentimentWeight!: number

  @Field(() => [PlacementFilter])
  filters!: PlacementFilter[]

  @Field(() => [PlacementBoost])
  boosts!: PlacementBoost[]

  @Field(() => [PlacementPin])
  pins!: PlacementPin[]

  @Field(() => [PlacementCap])
  caps!: PlacementCap[]
}

@ObjectType({ description: 'What a placement said at a version', simpleResolvers: true })
export class PlacementVersion {
  @Field(() => Int)
  version!: number

  @Field(() => String, { nullable: true })
  description!: string | null

  @Field(() => PlacementRulesType)
  rules!: PlacementRules

  @Field(() => String)
  changedBy!: string

  @Field(() => DateTime)
  changedAt!: Date

  static of({ version, description, rules, changedBy, changedAt }: PlacementVersionRow): PlacementVersion {
    return Object.assign(new PlacementVersion(), { version, description, rules, changedBy, changedAt })
  }
}

@ObjectType('Placement', { implements: NodeType, description: 'A place where recommendations are shown, with the rules that steer it' })
export class PlacementType extends NodeType {
  key!: string

  @Field(() => String, { description: 'What recommendations(placement:) takes' })
  name!: string

  @Field(() => String, { nullable: true })
  description!: string | null

  @Field(() => PlacementRulesType)
  rules!: PlacementRules

  @Field(() => Int, { description: 'Grows by one with every change; send it as expectedVersion' })
  version!: number

  @Field(() => DateTime, { nullable: true, description: 'Since then it steers nothing' })
  archivedAt!: Date | null

  @Field(() => DateTime)
  createdAt!: Date

  @Field(() => DateTime)
  updatedAt!: Date

  @Field(() => String)
  updatedBy!: string

  static of({ id, ...row }: PlacementRow): PlacementType {
    return Object.assign(new PlacementType(), row, { key: id, id: encodeId('Placement', id) })
  }
}

export const PlacementConnection = connectionType('Placement', () => PlacementType)

@InputType()
export class PlacementLevelInput {
  @Field(() => Int, { description: 'From so many products known of the user on, 0 to 1000' })
  fromProducts!: number

  @Field(() => RecommendationAlgorithm)
  algorithm!: string
}

@InputType()
export class PlacementFilterInput {
  @Field(() => String, { description: 'Named in the answer when it leaves nothing' })
  name!: string

  @Field(() => ProductWhere)
  where!: ProductWhere
}

@InputType()
export class PlacementBoostInput extends PlacementFilterInput {
  @Field(() => Float, { description: 'The score is multiplied by it, 0 to 100; below 1 it holds back' })
  factor!: number
}

@InputType()
export class PlacementPinInput {
  @Field(() => String)
  productExternalId!: string

  @Field(() => Int, { description: 'From 1' })
  position!: number
}

@InputType()
export class PlacementCapInput {
  @Field(() => CapEnum)
  by!: CapKind

  @Field(() => String, { nullable: true, description: 'This category or brand only; each unless given' })
  value!: string | null

  @Field(() => Int, { description: 'At most so many in a list; 0 keeps it out' })
  most!: number
}

@InputType({ description: 'What is left out has its default' })
export class PlacementRulesInput {
  @Field(() => RecommendationAlgorithm, { nullable: true, description: 'AUTO unless given: the live model' })
  algorithm?: string | null

  @Field(() => [PlacementLevelInput], { nullable: true, description: 'Other algorithms by amount of history; at most 10' })
  levels?: PlacementLevelInput[] | null

  @Field(() => BasisEnum, { nullable: true, description: 'HISTORY unless given' })
  basis?: Basis | null

  @Field(() => Float, { nullable: true, description: '0 to 1; 0 unless given' })
  diversity?: number | null

  @Field(() => Boolean, { nullable: true, description: 'Only what the user bought, for "buy again"' })
  onlyBought?: boolean | null

  @Field(() => Boolean, { nullable: true, description: 'Leaves out what the user viewed, bought or rated; true unless given' })
  excludeSeen?: boolean | null

  @Field(() => Boolean, { nullable: true, description: 'Leaves out what the user bought and kept' })
  excludeBought?: boolean | null

  @Field(() => Int, { nullable: true, description: 'Leaves out what the user was shown (IMPRESSION) in so many days, 0 to 365' })
  excludeShownDays?: number | null

  @Field(() => Int, {
    nullable: true,
    description: 'Leaves out products with fewer pieces; 1 unless given. Products that are not counted stay',
  })
  minimumStock?: number | null

  @Field(() => Float, { nullable: true, description: 'Multiplies the score by 1 + weight · marginShare; 0 to 10' })
  marginWeight?: number | null

  @Field(() => Float, {
    nullable: true,
    description: 'Multiplies the score by 1 − weight · (lower bound of the share of negative reviews in 90 days); 0 to 1, off unless given',
  })
  sentimentWeight?: number | null

  @Field(() => [PlacementFilterInput], { nullable: true, description: 'All must hold; at most 20' })
  filters?: PlacementFilterInput[] | null

  @Field(() => [PlacementBoostInput], { nullable: true, description: 'At most 20; of several that match, all count' })
  boosts?: PlacementBoostInput[] | null

  @Field(() => [PlacementPinInput], {
    nullable: true,
    description: 'Products with a place of their own, as far as they may be shown; at most 20',
  })
  pins?: PlacementPinInput[] | null

  @Field(() => [PlacementCapInput], { nullable: true, description: 'At most 20' })
  caps?: PlacementCapInput[] | null
}

@InputType({ description: 'A field that is left out stays as it is; rules are replaced as a whole' })
export class PlacementUpsertInput {
  @Field(() => String, { description: 'Small letters, digits and hyphens, at most 60' })
  name!: string

  @Field(() => String, { nullable: true })
  description?: string | null

  @Field(() => PlacementRulesInput, { nullable: true })
  rules?: PlacementRulesInput | null

  @Field(() => Int, {
    nullable: true,
    description: 'The version last seen, or 0 for a placement that must be new; without it the last writer wins',
  })
  expectedVersion?: number | null

  @Field(() => String, { nullable: true })
  idempotencyKey?: string | null

  @Field(() => Boolean, { defaultValue: false, description: 'Store nothing; the preview shows the list of a sample user before and after' })
  dryRun!: boolean

  @Field(() => String, { nullable: true, description: 'The user of the preview; somebody who did something lately unless given' })
  sampleUserExternalId?: string | null

  @Field(() => [String], { nullable: true, description: 'Products that the lists of the preview go with, as in recommendations()' })
  sampleProductExternalIds?: string[] | null
}

@InputType()
export class PlacementRestoreInput {
  @Field(() => String)
  name!: string

  @Field(() => Int, { description: 'What was said at this version becomes the newest one' })
  version!: number

  @Field(() => Int, { nullable: true })
  expectedVersion?: number | null

  @Field(() => String, { nullable: true })
  idempotencyKey?: string | null

  @Field(() => Boolean, { defaultValue: false, description: 'Check everything and change nothing' })
  dryRun?: boolean
}

@InputType()
export class PlacementArchiveInput {
  @Field(() => String)
  name!: string

  @Field(() => Int, { nullable: true })
  expectedVersion?: number | null

  @Field(() => String, { nullable: true })
  idempotencyKey?: string | null

  @Field(() => Boolean, { defaultValue: false, description: 'Check everything and change nothing' })
  dryRun?: boolean
}

@ObjectType({ description: 'A list as it would be answered; no decision is stored', simpleResolvers: true })
export class PlacementPreviewList {
  @Field(() => [Recommendation])
  items!: Recommendation[]

  @Field(() => String)
  servedBy!: string

  @Field(() => [String])
  fallbacks!: string[]

  @Field(() => [String])
  rules!: string[]

  @Field(() => JSONScalar, { description: 'Candidates that were not shown: counts by reason, and examples' })
  dropped!: unknown
}

@ObjectType({ description: 'What a dry run found: nothing of it was stored', simpleResolvers: true })
export class PlacementPreview {
  @Field(() => Boolean, { description: 'Whether it would be created, rather than changed' })
  creates!: boolean

  @Field(() => [FieldChange])
  changes!: FieldChange[]

  @Field(() => String, { nullable: true, description: 'Whose lists these are; null: a stranger' })
  userExternalId!: string | null

  @Field(() => PlacementPreviewList, { description: 'By the rules as they stand; of a new placement, without rules' })
  before!: PlacementPreviewList

  @Field(() => PlacementPreviewList)
  after!: PlacementPreviewList
}

@ObjectType()
export class PlacementPayload extends Payload {
  @Field(() => PlacementType, { nullable: true })
  placement?: PlacementType | null

  @Field(() => PlacementPreview, { nullable: true, description: 'Only for a dry run' })
  preview?: PlacementPreview | null
}

@ObjectType({ description: 'How much of what was shown one category, brand or price band had', simpleResolvers: true })
export class ExposureShare {
  @Field(() => String)
  key!: string

  @Field(() => Float, { description: 'Places in answered lists; a product of n categories counts as 1/n in each' })
  places!: number

  @Field(() => Float, { description: 'Of all places' })
  share!: number

  @Field(() => Float, { description: 'The same with each place weighed by 1 / log₂(rank + 1), as people look at lists from the top' })
  attentionShare!: number

  @Field(() => Float, { description: 'Of all products in the catalogue, to compare with' })
  catalogueShare!: number

  @Field(() => Float, { nullable: true, description: 'Of the tracked IMPRESSION events; null when there were none' })
  impressionShare!: number | null
}

@ObjectType({ description: 'What recommendations showed', simpleResolvers: true })
export class RecommendationExposure {
  @Field(() => DateTime)
  from!: Date

  @Field(() => DateTime)
  to!: Date

  @Field(() => Int, { description: 'Answered lists that were counted' })
  decisions!: number

  @Field(() => Boolean, { description: 'Whether there were more of them: the newest ones were counted' })
  sampled!: boolean

  @Field(() => Int)
  places!: number

  @Field(() => Int, { description: 'IMPRESSION events of products in the same time, of whatever placement' })
  impressions!: number

  @Field(() => Int, { description: 'Different products that were shown' })
  products!: number

  @Field(() => Float, { nullable: true, description: 'Share of the catalogue that was shown' })
  coverage!: number | null

  @Field(() => Float, { nullable: true, description: 'Inequality of the exposure of products, 0 even to 1 all to one' })
  gini!: number | null

  @Field(() => [ExposureShare], { description: 'Largest first, at most 50' })
  categories!: ExposureShare[]

  @Field(() => [ExposureShare], { description: 'Largest first, at most 50' })
  brands!: ExposureShare[]

  @Field(() => [ExposureShare], { description: 'Fifths of the catalogue by price, cheapest first' })
  priceBands!: ExposureShare[]
}

@ArgsType()
export class ExposureArgs {
  @Field(() => String, { nullable: true, description: 'Of one placement; all unless given' })
  placement?: string | null

  @Field(() => Int, { nullable: true, defaultValue: 28, description: '1 to 365' })
  days?: number | null
}
