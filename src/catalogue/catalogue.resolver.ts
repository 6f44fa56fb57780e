import { Arg, Args, Authorized, Ctx, Mutation, Query, Resolver } from 'type-graphql'
import { Scope } from '../graphql/auth.js'
import type { Context } from '../graphql/context.js'
import { type IdempotencyStore, idempotent } from '../graphql/idempotency.js'
import { decodeIntId } from '../graphql/node-id.js'
import { payload } from '../graphql/payload.js'
import { InvalidInput } from '../platform/errors.js'
import {
  ProductArgs,
  ProductConnection,
  ProductDemoteInput,
  ProductPayload,
  ProductsArgs,
  ProductType,
  ProductUpsertInput,
} from './catalogue.schema.js'
import type { CatalogueService } from './catalogue.service.js'

@Resolver(() => ProductType)
export class CatalogueResolver {
  constructor(
    private readonly catalogue: CatalogueService,
    private readonly idempotency: IdempotencyStore,
  ) {}

  @Authorized(Scope.CATALOGUE_READ)
  @Query(() => ProductType, {
    nullable: true,
    description: 'One product, by exactly one of id and externalId; null when there is none. Scope: catalogue:read.',
  })
  product(@Args(() => ProductArgs) { id, externalId }: ProductArgs, @Ctx() context: Context) {
    if (typeof id === 'string' && typeof externalId !== 'string') return this.catalogue.load(context, decodeIntId('Product', id))
    if (typeof externalId === 'string' && typeof id !== 'string') return this.catalogue.byExternalId(externalId)
    throw new InvalidInput('Give exactly one of id and externalId', {}, ['id'])
  }

  @Authorized(Scope.CATALOGUE_READ)
  @Query(() => ProductConnection, { description: 'Products, oldest first. Scope: catalogue:read.' })
  products(@Args(() => ProductsArgs) args: ProductsArgs) {
    return this.catalogue.page(args)
  }

  @Authorized(Scope.CATALOGUE_WRITE)
  @Mutation(() => ProductPayload, { description: 'Creates a product or changes the given facts of one. Scope: catalogue:write.' })
  productUpsert(@Arg('input', () => ProductUpsertInput) input: ProductUpsertInput, @Ctx() context: Context) {
    if (input.dryRun) return payload(async () => ({ preview: await this.catalogue.preview(input, input) }))
    return idempotent(this.idempotency, context.viewer, 'productUpsert', input, async () => ({
      product: await this.catalogue.upsertIn(context, input),
    }))
  }

  @Authorized(Scope.CATALOGUE_WRITE)
  @Mutation(() => ProductPayload, {
    description: 'Holds a product back in recommendations, or ends that. What an opinion alert proposes as DEMOTE. Scope: catalogue:write.',
  })
  productDemote(@Arg('input', () => ProductDemoteInput) input: ProductDemoteInput, @Ctx() context: Context) {
    const { demoted, expectedVersion } = input
    const key = () => decodeIntId('Product', input.productId, 'productId')
    const { name } = context.viewer!
    if (input.dryRun)
      return payload(async () => ({ preview: await this.catalogue.previewDemote(key(), demoted, name, { expectedVersion }) }))
    return idempotent(this.idempotency, context.viewer, 'productDemote', input, async () => ({
      product: await this.catalogue.demote(key(), demoted, name, { expectedVersion }),
    }))
  }
}
