import { Arg, Args, Authorized, Ctx, FieldResolver, ID, Mutation, Query, Resolver, Root } from 'type-graphql'
import { ProductType } from '../catalogue/catalogue.schema.js'
import type { CatalogueService } from '../catalogue/catalogue.service.js'
import { Scope } from '../graphql/auth.js'
import { PageArgs } from '../graphql/connection.js'
import type { Context } from '../graphql/context.js'
import { type IdempotencyStore, idempotent } from '../graphql/idempotency.js'
import { Money } from '../graphql/money.js'
import { decodeId } from '../graphql/node-id.js'
import { payload } from '../graphql/payload.js'
import { DateTime } from '../graphql/scalars.js'
import {
  AdCreateInput,
  AdGroupBidSetInput,
  AdGroupCreateInput,
  AdGroupPayload,
  AdGroupType,
  AdPayload,
  AdStatusSetInput,
  AdType,
  BiddingStrategyConnection,
  BiddingStrategyCreateInput,
  BiddingStrategyPayload,
  BiddingStrategyUpdateInput,
  BudgetAudit,
  CampaignActionInput,
  CampaignBudget,
  CampaignBudgetSetInput,
  CampaignConnection,
  CampaignCreateInput,
  CampaignPayload,
  CampaignsArgs,
  CampaignType,
  CampaignUpdateInput,
  Pacing,
  Performance,
  StrategyType,
} from './campaigns.schema.js'
import type { CampaignsService } from './campaigns.service.js'

@Resolver(() => CampaignType)
export class CampaignsResolver {
  constructor(
    private readonly campaigns: CampaignsService,
    private readonly idempotency: IdempotencyStore,
  ) {}

  @Authorized(Scope.CAMPAIGNS_READ)
  @Query(() => CampaignType, { nullable: true, description: 'One campaign; null when there is none. Scope: campaigns:read.' })
  campaign(@Arg('id', () => ID) id: string, @Ctx() context: Context) {
    return this.campaigns.load(context, decodeId('Campaign', id))
  }

  @Authorized(Scope.CAMPAIGNS_READ)
  @Query(() => CampaignConnection, { name: 'campaigns', description: 'Campaigns, oldest first. Scope: campaigns:read.' })
  page(@Args(() => CampaignsArgs) args: CampaignsArgs) {
    return this.campaigns.page(args)
  }

  @Authorized(Scope.CAMPAIGNS_READ)
  @Query(() => BiddingStrategyConnection, { description: 'Shared bidding strategies, oldest first. Scope: campaigns:read.' })
  biddingStrategies(@Args(() => PageArgs) args: PageArgs) {
    return this.campaigns.strategies(args)
  }

  @Authorized(Scope.CAMPAIGNS_READ)
  @Query(() => [BudgetAudit], {
    description:
      'Proves from the journal and the bids that at no moment more was spent and reserved than the budget; of one campaign or of all, newest period first. Scope: campaigns:read.',
  })
  budgetAudit(@Arg('campaignId', () => ID, { nullable: true }) campaignId?: string | null) {
    return this.campaigns.audit(campaignId ? decodeId('Campaign', campaignId, 'campaignId') : null)
  }

  @Authorized(Scope.CAMPAIGNS_WRITE)
  @Mutation(() => CampaignPayload, { description: 'Creates a campaign as DRAFT. Scope: campaigns:write.' })
  campaignCreate(@Arg('input', () => CampaignCreateInput) input: CampaignCreateInput, @Ctx() { viewer }: Context) {
    if (input.dryRun) return payload(async () => ({ preview: await this.campaigns.previewCreate(input) }))
    return idempotent(this.idempotency, viewer, 'campaignCreate', input, async () => ({
      campaign: await this.campaigns.create(viewer?.name ?? '', input),
    }))
  }

  @Authorized(Scope.CAMPAIGNS_WRITE)
  @Mutation(() => CampaignPayload, { description: 'Changes the given facts of a campaign that has not ended. Scope: campaigns:write.' })
  campaignUpdate(@Arg('input', () => CampaignUpdateInput) input: CampaignUpdateInput, @Ctx() { viewer }: Context) {
    if (input.dryRun) return payload(async () => ({ preview: await this.campaigns.previewUpdate(input) }))
    return idempotent(this.idempotency, viewer, 'campaignUpdate', input, async () => ({ campaign: await this.campaigns.update(input) }))
  }

  @Authorized(Scope.CAMPAIGNS_WRITE)
  @Mutation(() => CampaignPayload, { description: 'DRAFT or PAUSED → ENABLED. Scope: campaigns:write.' })
  campaignEnable(@Arg('input', () => CampaignActionInput) input: CampaignActionInput, @Ctx() { viewer }: Context) {
    return this.guarded(viewer, 'campaignEnable', input, () => this.campaigns.act('ENABLED', input))
  }

  @Authorized(Scope.CAMPAIGNS_WRITE)
  @Mutation(() => CampaignPayload, { description: 'ENABLED → PAUSED. Scope: campaigns:write.' })
  campaignPause(@Arg('input', () => CampaignActionInput) input: CampaignActionInput, @Ctx() { viewer }: Context) {
    return this.guarded(viewer, 'campaignPause', input, () => this.campaigns.act('PAUSED', input))
  }

  @Authorized(Scope.CAMPAIGNS_WRITE)
  @Mutation(() => CampaignPayload, { description: 'Ends a campaign for good. Scope: campaigns:write.' })
  campaignEnd(@Arg('input', () => CampaignActionInput) input: CampaignActionInput, @Ctx() { viewer }: Context) {
    return this.guarded(viewer, 'campaignEnd', input, () => this.campaigns.act('ENDED', input))
  }

  @Authorized(Scope.CAMPAIGNS_WRITE)
  @Mutation(() => CampaignPayload, {
    description: 'Sets the budget, of the running period too; never below what is spent and reserved in it. Scope: campaigns:write.',
  })
  campaignBudgetSet(@Arg('input', () => CampaignBudgetSetInput) input: CampaignBudgetSetInput, @Ctx() { viewer }: Context) {
    return this.guarded(viewer, 'campaignBudgetSet', input, () => this.campaigns.setBudget(input))
  }

  @Authorized(Scope.CAMPAIGNS_WRITE)
  @Mutation(() => BiddingStrategyPayload, { description: 'Creates a strategy that campaigns may share. Scope: campaigns:write.' })
  biddingStrategyCreate(@Arg('input', () => BiddingStrategyCreateInput) input: BiddingStrategyCreateInput, @Ctx() { viewer }: Context) {
    return this.guarded(viewer, 'biddingStrategyCreate', input, () => this.campaigns.createStrategy(input))
  }

  @Authorized(Scope.CAMPAIGNS_WRITE)
  @Mutation(() => BiddingStrategyPayload, { description: 'Changes a strategy, for all campaigns that use it. Scope: campaigns:write.' })
  biddingStrategyUpdate(@Arg('input', () => BiddingStrategyUpdateInput) input: BiddingStrategyUpdateInput, @Ctx() { viewer }: Context) {
    return this.guarded(viewer, 'biddingStrategyUpdate', input, () => this.campaigns.updateStrategy(input))
  }

  @Authorized(Scope.CAMPAIGNS_WRITE)
  @Mutation(() => AdGroupPayload, { description: 'Adds an ad group to a campaign. Scope: campaigns:write.' })
  adGroupCreate(@Arg('input', () => AdGroupCreateInput) input: AdGroupCreateInput, @Ctx() { viewer }: Context) {
    return this.guarded(viewer, 'adGroupCreate', input, () => this.campaigns.createAdGroup(input))
  }

  @Authorized(Scope.CAMPAIGNS_WRITE)
  @Mutation(() => AdGroupPayload, { description: "Sets an ad group's bid for a click. Scope: campaigns:write." })
  adGroupBidSet(@Arg('input', () => AdGroupBidSetInput) input: AdGroupBidSetInput, @Ctx() { viewer }: Context) {
    return this.guarded(viewer, 'adGroupBidSet', input, () => this.campaigns.setAdGroupBid(input))
  }

  @Authorized(Scope.CAMPAIGNS_WRITE)
  @Mutation(() => AdPayload, { description: 'Adds an ad to an ad group. Scope: campaigns:write.' })
  adCreate(@Arg('input', () => AdCreateInput) input: AdCreateInput, @Ctx() { viewer }: Context) {
    return this.guarded(viewer, 'adCreate', input, () => this.campaigns.createAd(input))
  }

  @Authorized(Scope.CAMPAIGNS_WRITE)
  @Mutation(() => AdPayload, { description: 'Pauses an ad, or shows it again. Scope: campaigns:write.' })
  adStatusSet(@Arg('input', () => AdStatusSetInput) input: AdStatusSetInput, @Ctx() { viewer }: Context) {
    return this.guarded(viewer, 'adStatusSet', input, () => this.campaigns.setAdStatus(input))
  }

  @FieldResolver(() => String, {
    description: 'What happens: DRAFT, PENDING, ELIGIBLE, LEARNING, LIMITED, NOT_ELIGIBLE, PAUSED or ENDED',
  })
  async primaryStatus(@Root() campaign: CampaignType, @Ctx() context: Context) {
    return (await this.campaigns.primaryStatus(context, campaign)).primaryStatus
  }

  @FieldResolver(() => [String], {
    description:
      'Why: NO_ADS, BUDGET_CONSTRAINED, BIDDING_STRATEGY_LEARNING, AUDIENCE_TOO_SMALL, STOCK_LIMITED, CONSENT_LIMITED, MODEL_STALE …',
  })
  async primaryStatusReasons(@Root() campaign: CampaignType, @Ctx() context: Context) {
    return (await this.campaigns.primaryStatus(context, campaign)).reasons
  }

  @FieldResolver(() => CampaignBudget)
  budget(@Root() campaign: CampaignType, @Ctx() context: Context) {
    return this.campaigns.budget(context, campaign)
  }

  @FieldResolver(() => StrategyType)
  biddingStrategy(@Root() campaign: CampaignType, @Ctx() context: Context) {
    return this.campaigns.strategyOf(context, campaign)
  }

  @FieldResolver(() => [AdGroupType])
  adGroups(@Root() campaign: CampaignType, @Ctx() context: Context) {
    return this.campaigns.adGroupsOf(context, campaign)
  }

  @FieldResolver(() => Performance, { description: 'Of the impressions shown from `from` up to `to`; all of them unless given' })
  performance(
    @Root() campaign: CampaignType,
    @Ctx() context: Context,
    @Arg('from', () => DateTime, { nullable: true }) from?: Date | null,
    @Arg('to', () => DateTime, { nullable: true }) to?: Date | null,
  ) {
    return this.campaigns.performance(context, campaign, from ?? null, to ?? null)
  }

  @FieldResolver(() => Pacing, { description: 'Where the budget of the running period stands' })
  pacing(@Root() campaign: CampaignType, @Ctx() context: Context) {
    return this.campaigns.pacing(context, campaign)
  }

  /** A dry run leaves no trace, so it uses up no key. */
  private guarded<Result extends object>(
    viewer: Context['viewer'],
    operation: string,
    input: { idempotencyKey?: string | null; dryRun: boolean },
    work: () => Promise<Result>,
  ) {
    return input.dryRun ? payload(work) : idempotent(this.idempotency, viewer, operation, input, work)
  }
}

@Resolver(() => AdGroupType)
export class AdGroupResolver {
  constructor(private readonly campaigns: CampaignsService) {}

  @FieldResolver(() => Money, {
    nullable: true,
    description: 'Bid for a click within the limits of the strategy; null where the strategy sets it for every impression',
  })
  effectiveBid(@Root() group: AdGroupType, @Ctx() context: Context) {
    return this.campaigns.effectiveBid(context, group)
  }

  @FieldResolver(() => [AdType])
  ads(@Root() group: AdGroupType, @Ctx() context: Context) {
    return this.campaigns.adsOf(context, group)
  }
}

@Resolver(() => AdType)
export class AdResolver {
  constructor(private readonly catalogue: CatalogueService) {}

  @FieldResolver(() => ProductType, { nullable: true })
  product(@Root() { productKey }: AdType, @Ctx() context: Context) {
    return productKey === null || productKey === undefined ? null : this.catalogue.load(context, productKey)
  }
}
