import { Arg, Authorized, Ctx, FieldResolver, Mutation, Resolver, Root } from 'type-graphql'
import { AdType, CampaignType } from '../campaigns/campaigns.schema.js'
import type { CampaignsService } from '../campaigns/campaigns.service.js'
import { Scope } from '../graphql/auth.js'
import type { Context } from '../graphql/context.js'
import { type IdempotencyStore, idempotent } from '../graphql/idempotency.js'
import { payload } from '../graphql/payload.js'
import type { BidDoor } from './bid-door.js'
import { AuctionOutcome, AuctionOutcomeInput, AuctionOutcomePayload, Bid, BidDecideInput, BidDecisionPayload } from './bidding.schema.js'

@Resolver(() => Bid)
export class BiddingResolver {
  constructor(
    private readonly door: BidDoor,
    private readonly campaigns: CampaignsService,
    private readonly idempotency: IdempotencyStore,
  ) {}

  @Authorized(Scope.BIDS_WRITE)
  @Mutation(() => BidDecisionPayload, {
    description: 'Which campaign bids how much for this impression; reserves what the bid may cost. Scope: bids:write.',
  })
  bidDecide(@Arg('input', () => BidDecideInput) input: BidDecideInput, @Ctx() { viewer }: Context) {
    if (input.dryRun) return payload(async () => ({ preview: await this.door.decide(input) }))
    return idempotent(this.idempotency, viewer, 'bidDecide', input, async () => ({ decision: await this.door.decide(input) }))
  }

  @Authorized(Scope.BIDS_WRITE)
  @Mutation(() => AuctionOutcomePayload, {
    description:
      'What came of a bid: commits or releases its money, and teaches the models. May come late, twice, or out of order. Scope: bids:write.',
  })
  auctionOutcomeRecord(@Arg('input', () => AuctionOutcomeInput) input: AuctionOutcomeInput, @Ctx() { viewer }: Context) {
    if (input.dryRun) return payload(async () => ({ preview: await this.door.outcome(input) }))
    return idempotent(this.idempotency, viewer, 'auctionOutcomeRecord', input, async () => ({ outcome: await this.door.outcome(input) }))
  }

  @FieldResolver(() => CampaignType)
  campaign(@Root() { campaignKey }: Bid, @Ctx() context: Context) {
    return this.campaigns.load(context, campaignKey)
  }

  @FieldResolver(() => AdType, { nullable: true })
  ad(@Root() { adKey }: Bid, @Ctx() context: Context) {
    return this.campaigns.loadAd(context, adKey)
  }
}

@Resolver(() => AuctionOutcome)
export class AuctionOutcomeResolver {
  constructor(private readonly campaigns: CampaignsService) {}

  @FieldResolver(() => CampaignType)
  campaign(@Root() { campaignKey }: AuctionOutcome, @Ctx() context: Context) {
    return this.campaigns.load(context, campaignKey)
  }
}
