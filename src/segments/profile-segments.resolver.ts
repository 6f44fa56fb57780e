import { Ctx, FieldResolver, Resolver, Root } from 'type-graphql'
import { requireScope, Scope } from '../graphql/auth.js'
import type { Context } from '../graphql/context.js'
import { ProfileType } from '../profiles/profiles.schema.js'
import { SegmentType } from './segments.schema.js'
import type { SegmentsService } from './segments.service.js'

@Resolver(() => ProfileType)
export class ProfileSegmentsResolver {
  constructor(private readonly segmentsOf: SegmentsService) {}

  @FieldResolver(() => [SegmentType], { description: 'The segments the user is in now. Scope: segments:read.' })
  segments(@Root() { row }: ProfileType, @Ctx() context: Context) {
    requireScope(context.viewer, Scope.SEGMENTS_READ)
    return this.segmentsOf.ofUser(context, row.userId)
  }
}
