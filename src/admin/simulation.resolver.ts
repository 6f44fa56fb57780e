import { Arg, Authorized, Ctx, Field, Float, ID, InputType, Mutation, Resolver, registerEnumType } from 'type-graphql'
import { Scope } from '../graphql/auth.js'
import type { Context } from '../graphql/context.js'
import { type IdempotencyStore, idempotent } from '../graphql/idempotency.js'
import { JobPayload, JobType } from '../graphql/job.js'
import { payload } from '../graphql/payload.js'
import type { Jobs } from '../platform/job-runner.js'

export enum SimulationOver {
  BID = 'BID',
  BUDGET = 'BUDGET',
}
registerEnumType(SimulationOver, { name: 'SimulationOver' })

@InputType()
export class BidSimulationInput {
  @Field(() => ID, { nullable: true })
  campaignId?: string | null

  @Field(() => String, { nullable: true })
  campaignExternalId?: string | null

  @Field(() => SimulationOver, { defaultValue: SimulationOver.BUDGET, description: 'What is varied' })
  over!: SimulationOver

  @Field(() => [Float], { nullable: true, description: 'Multiples of the bid or budget as it is set, 1 to 30 of them from 0.01 to 100' })
  factors?: number[] | null

  @Field(() => String, { nullable: true })
  idempotencyKey?: string | null

  @Field(() => Boolean, { defaultValue: false, description: 'Start nothing, and say what would be replayed' })
  dryRun!: boolean
}

/** Given by the bidding: says what a job would replay, or throws what a caller should see before one is made. */
export type SimulationPlan = (input: Pick<BidSimulationInput, 'campaignId' | 'campaignExternalId' | 'over' | 'factors'>) => Promise<unknown>

/** A simulation is a job; the bidding does not know jobs, so the mutation stands here. */
@Resolver()
export class SimulationResolver {
  constructor(
    private readonly plan: SimulationPlan,
    private readonly jobs: Jobs,
    private readonly idempotency: IdempotencyStore,
  ) {}

  @Authorized(Scope.CAMPAIGNS_READ)
  @Mutation(() => JobPayload, {
    description:
      'Replays a campaign over the auctions that are known, at several bids or budgets; the result of the job is a chart: points of factor → clicks, cost, value, in all and a day. Only auctions that it would have bid on by its targeting, hours and audiences are replayed. A dry run answers with preview: {campaignId, over, currencyCode, auction, auctionsKnown, auctions, days, isImported, points: [{factor, dailyBudgetMicros | bids}], warnings}. Scope: campaigns:read.',
  })
  bidSimulation(@Arg('input', () => BidSimulationInput) input: BidSimulationInput, @Ctx() { viewer }: Context) {
    const { campaignId, campaignExternalId, over, factors, dryRun } = input
    const request = { campaignId, campaignExternalId, over, factors }
    if (dryRun) return payload(async () => ({ preview: await this.plan(request) }))
    return idempotent(this.idempotency, viewer, 'bidSimulation', input, async () => {
      await this.plan(request)
      const given = Object.fromEntries(Object.entries(request).filter(([, value]) => value !== null && value !== undefined))
      return { job: JobType.of(await this.jobs.enqueue('simulate-bids', given, { createdBy: viewer?.name })) }
    })
  }
}
