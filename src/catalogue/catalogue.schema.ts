import { ArgsType, Field, Float, ID, InputType, Int, ObjectType } from 'type-graphql'
import { connectionType, PageArgs } from '../graphql/connection.js'
import { Money, MoneyInput, money } from '../graphql/money.js'
import { NodeType } from '../graphql/node.js'
import { encodeId } from '../graphql/node-id.js'
import { Payload } from '../graphql/payload.js'
import { BigIntScalar, DateTime, JSONScalar } from '../graphql/scalars.js'
import { UpsertPreview } from '../graphql/upsert-preview.js'
import type { ProductRow } from './catalogue.repository.js'

/** Every property is ready when the object is made: ten of these are resolved in each answered recommendation. */
@ObjectType('Product', { implements: NodeType, simpleResolvers: true, description: 'What the shop sells' })
export class ProductType extends NodeType {
  /** Internal id, for other services. */
  key!: number

  @Field(() => String, { description: 'The id of the product in the shop' })
  externalId!: string

  @Field(() => String)
  title!: string

  @Field(() => String, { nullable: true })
  description!: string | null

  @Field(() => [String])
  categories!: string[]

  @Field(() => String, { nullable: true })
  brand!: string | null

  @Field(() => Money, { nullable: true })
  price!: Money | null

  @Field(() => Float, { nullable: true, description: 'Share of the price that stays with the shop, 0 to 1' })
  marginShare!: number | null

  @Field(() => Int, { nullable: true, description: 'Null when it is not counted' })
  stock!: number | null

  @Field(() => JSONScalar, { nullable: true })
  attributes!: unknown

  @Field(() => Boolean, { description: 'Whether the product is known only from events' })
  stub!: boolean

  @Field(() => DateTime, { nullable: true, description: 'Since when it is recommended only where nothing else is left' })
  demotedAt!: Date | null

  @Field(() => Int, { description: 'Grows by one with every change; send it as expectedVersion' })
  version!: number

  @Field(() => DateTime)
  createdAt!: Date

  @Field(() => DateTime)
  updatedAt!: Date

  static of({ id, priceMicros, currencyCode, categories, ...facts }: ProductRow): ProductType {
    const computed = { key: id, id: encodeId('Product', id), price: money(priceMicros, currencyCode) }
    // A list column that nobody has written is NULL in PostgreSQL.
    return Object.assign(new ProductType(), facts, computed, { categories: categories ?? [] })
  }
}

export const ProductConnection = connectionType('Product', () => ProductType)

@InputType({ description: 'An attribute that a product must have' })
export class AttributeWhere {
  @Field(() => String)
  name!: string

  @Field(() => String, {
    nullable: true,
    description: 'As text; of a list one of its entries. Without it the attribute must only be there',
  })
  value?: string | null
}

@InputType({ description: 'All conditions that are given must hold' })
export class ProductWhere {
  @Field(() => String, { nullable: true })
  category?: string | null

  @Field(() => String, { nullable: true })
  brand?: string | null

  @Field(() => String, {
    nullable: true,
    description: 'Words or parts of words that the title has, in any order and case; or the beginning of the external id',
  })
  search?: string | null

  @Field(() => Boolean, { nullable: true, description: 'true: at least one is there, or it is not counted' })
  inStock?: boolean | null

  @Field(() => BigIntScalar, { nullable: true })
  priceMinMicros?: bigint | null

  @Field(() => BigIntScalar, { nullable: true })
  priceMaxMicros?: bigint | null

  @Field(() => Boolean, { nullable: true, description: 'Whether the product is known only from events' })
  stub?: boolean | null

  @Field(() => Float, { nullable: true, description: 'At least this share of the price stays with the shop, 0 to 1' })
  marginShareMin?: number | null

  @Field(() => [AttributeWhere], { nullable: true, description: 'At most 10' })
  attributes?: AttributeWhere[] | null
}

@ArgsType()
export class ProductsArgs extends PageArgs {
  @Field(() => ProductWhere, { nullable: true })
  where?: ProductWhere | null
}

@ArgsType()
export class ProductArgs {
  @Field(() => ID, { nullable: true })
  id?: string | null

  @Field(() => String, { nullable: true })
  externalId?: string | null
}

@InputType({ description: 'A field that is left out stays as it is; null clears it' })
export class ProductUpsertInput {
  @Field(() => String, { description: 'The id of the product in the shop, 1 to 200 characters' })
  externalId!: string

  @Field(() => String, { nullable: true, description: 'At most 500 characters; a new product needs one' })
  title?: string | null

  @Field(() => String, { nullable: true })
  description?: string | null

  @Field(() => [String], { nullable: true, description: 'At most 20' })
  categories?: string[] | null

  @Field(() => String, { nullable: true })
  brand?: string | null

  @Field(() => MoneyInput, { nullable: true })
  price?: MoneyInput | null

  @Field(() => Float, { nullable: true, description: 'Share of the price that stays with the shop, 0 to 1' })
  marginShare?: number | null

  @Field(() => Int, { nullable: true })
  stock?: number | null

  @Field(() => JSONScalar, { nullable: true, description: 'Whatever else is known, at most 32 kB; replaces the attributes stored before' })
  attributes?: unknown

  @Field(() => Int, {
    nullable: true,
    description: 'The version last seen, or 0 for a product that must be new; without it the last writer wins',
  })
  expectedVersion?: number | null

  @Field(() => String, { nullable: true })
  idempotencyKey?: string | null

  @Field(() => Boolean, { defaultValue: false, description: 'Check everything, store nothing, and return the preview' })
  dryRun!: boolean
}

@InputType()
export class ProductDemoteInput {
  @Field(() => ID)
  productId!: string

  @Field(() => Boolean, { defaultValue: true, description: 'false: it is recommended as before' })
  demoted!: boolean

  @Field(() => String, { nullable: true })
  idempotencyKey?: string | null

  @Field(() => Int, { nullable: true, description: 'The version last seen; without it the present one is meant' })
  expectedVersion?: number | null

  @Field(() => Boolean, { defaultValue: false, description: 'Check everything and change nothing' })
  dryRun?: boolean
}

@ObjectType()
export class ProductPayload extends Payload {
  @Field(() => ProductType, { nullable: true })
  product?: ProductType | null

  @Field(() => UpsertPreview, { nullable: true, description: 'Only for a dry run' })
  preview?: UpsertPreview | null
}
