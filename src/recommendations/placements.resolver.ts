import DataLoader from 'dataloader'
import { Arg, Args, Authorized, Ctx, FieldResolver, Mutation, Query, Resolver, Root } from 'type-graphql'
import { Scope } from '../graphql/auth.js'
import { PageArgs } from '../graphql/connection.js'
import type { Context } from '../graphql/context.js'
import { type IdempotencyStore, idempotent } from '../graphql/idempotency.js'
import { payload } from '../graphql/payload.js'
import type { ExposureService } from './exposure.service.js'
import {
  ExposureArgs,
  PlacementArchiveInput,
  PlacementConnection,
  PlacementPayload,
  PlacementRestoreInput,
  PlacementType,
  PlacementUpsertInput,
  PlacementVersion,
  RecommendationExposure,
} from './placements.schema.js'
import type { PlacementsService } from './placements.service.js'

@Resolver(() => PlacementType)
export class PlacementsResolver {
  constructor(
    private readonly placements: PlacementsService,
    private readonly exposure: ExposureService,
    private readonly idempotency: IdempotencyStore,
  ) {}

  @Authorized(Scope.RECOMMENDATIONS_READ)
  @Query(() => PlacementConnection, { name: 'placements', description: 'Placements, oldest first. Scope: recommendations:read.' })
  list(@Args(() => PageArgs) args: PageArgs) {
    return this.placements.page(args)
  }

  @Authorized(Scope.RECOMMENDATIONS_READ)
  @Query(() => PlacementType, {
    nullable: true,
    description: 'One placement by its name, also an archived one; null when there is none. Scope: recommendations:read.',
  })
  placement(@Arg('name', () => String) name: string) {
    return this.placements.byName(name)
  }

  @Authorized(Scope.RECOMMENDATIONS_WRITE)
  @Mutation(() => PlacementPayload, {
    description: 'Creates a placement or changes the rules of one; they hold from the next request on. Scope: recommendations:write.',
  })
  placementUpsert(@Arg('input', () => PlacementUpsertInput) input: PlacementUpsertInput, @Ctx() { viewer }: Context) {
    if (input.dryRun) return payload(async () => ({ preview: await this.placements.preview(input) }))
    return idempotent(this.idempotency, viewer, 'placementUpsert', input, async () => ({
      placement: await this.placements.upsert(viewer!, input),
    }))
  }

  @Authorized(Scope.RECOMMENDATIONS_WRITE)
  @Mutation(() => PlacementPayload, {
    description: 'Brings back what an earlier version said, as a new version. Scope: recommendations:write.',
  })
  placementRestore(@Arg('input', () => PlacementRestoreInput) input: PlacementRestoreInput, @Ctx() { viewer }: Context) {
    if (input.dryRun) return payload(async () => ({ preview: await this.placements.previewRestore(viewer!, input) }))
    return idempotent(this.idempotency, viewer, 'placementRestore', input, async () => ({
      placement: await this.placements.restore(viewer!, input),
    }))
  }

  @Authorized(Scope.RECOMMENDATIONS_WRITE)
  @Mutation(() => PlacementPayload, {
    description: 'Puts a placement away: requests that name it are answered without rules and say so. Scope: recommendations:write.',
  })
  placementArchive(@Arg('input', () => PlacementArchiveInput) input: PlacementArchiveInput, @Ctx() { viewer }: Context) {
    if (input.dryRun) return payload(async () => ({ preview: await this.placements.previewArchive(viewer!, input) }))
    return idempotent(this.idempotency, viewer, 'placementArchive', input, async () => ({
      placement: await this.placements.archive(viewer!, input),
    }))
  }

  @Authorized(Scope.RECOMMENDATIONS_READ)
  @FieldResolver(() => [PlacementVersion], { description: 'Newest first, the present one included. Scope: recommendations:read.' })
  versions(@Root() { key }: PlacementType, @Ctx() context: Context) {
    return context.loader('placement-versions', () => new DataLoader((keys: readonly string[]) => this.placements.versions(keys))).load(key)
  }

  @Authorized(Scope.RECOMMENDATIONS_READ)
  @Query(() => RecommendationExposure, {
    description: 'Which categories, brands and price bands recommendations showed, against the catalogue. Scope: recommendations:read.',
  })
  recommendationExposure(@Args(() => ExposureArgs) args: ExposureArgs) {
    return this.exposure.report(args)
  }
}
