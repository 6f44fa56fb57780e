import { Ctx, FieldResolver, Resolver, Root } from 'type-graphql'
import { AudienceType } from '../audiences/audiences.schema.js'
import type { AudiencesService } from '../audiences/audiences.service.js'
import { requireScope, Scope } from '../graphql/auth.js'
import type { Context } from '../graphql/context.js'
import { decodeId } from '../graphql/node-id.js'
import { CampaignType } from './campaigns.schema.js'

@Resolver(() => CampaignType)
export class CampaignAudienceResolver {
  constructor(private readonly audiences: AudiencesService) {}

  @FieldResolver(() => AudienceType, { nullable: true, description: 'Whom it addresses; null is everybody. Scope: segments:read.' })
  audience(@Root() campaign: CampaignType, @Ctx() context: Context) {
    if (!campaign.audienceId) return null
    requireScope(context.viewer, Scope.SEGMENTS_READ)
    return this.audiences.load(context, decodeId('Audience', campaign.audienceId))
  }
}
