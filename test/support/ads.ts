import { BidDoor } from '../../src/bidding/bid-door.js'
import { BidVisitorsRepository } from '../../src/bidding/bid-visitors.repository.js'
import { BiddingRepository } from '../../src/bidding/bidding.repository.js'
import { AuctionOutcomeResolver, BiddingResolver } from '../../src/bidding/bidding.resolver.js'
import { BiddingService } from '../../src/bidding/bidding.service.js'
import { Predictor } from '../../src/bidding/predictor.js'
import { Snapshots } from '../../src/bidding/snapshot.js'
import { CampaignsRepository } from '../../src/campaigns/campaigns.repository.js'
import { AdGroupResolver, AdResolver, CampaignsResolver } from '../../src/campaigns/campaigns.resolver.js'
import { CampaignsService } from '../../src/campaigns/campaigns.service.js'
import type { CurveSource } from '../../src/campaigns/pacing.js'
import { AccountCalendar } from '../../src/campaigns/time-zone.js'
import { CatalogueRepository } from '../../src/catalogue/catalogue.repository.js'
import { CatalogueService } from '../../src/catalogue/catalogue.service.js'
import { IdempotencyStore } from '../../src/graphql/idempotency.js'
import type { Database } from '../../src/platform/database.js'
import { silentLog } from '../../src/platform/log.js'
import { Decisions } from '../../src/registry/decisions.js'
import { localSignals } from './local-signals.js'
import { createRunner, viewerWith } from './run-graphql.js'

/** Campaigns and bidding on a database, without any model. `stop` ends the looks of the snapshot. */
export function biddingWorld(database: Database, options: { timeZone?: string; curve?: CurveSource } = {}) {
  const world = campaignsWorld(database, options)
  const now = () => world.clock.now
  const repository = new BiddingRepository(database)
  const decisions = new Decisions(database, now)
  const snapshots = new Snapshots({ repository, campaigns: world.campaigns, signals: world.signals, log: silentLog, now })
  const models = { live: () => undefined, baseline: () => undefined }
  const calendar = new AccountCalendar(options.timeZone ?? 'UTC')
  const bidding = new BiddingService({
    repository,
    visitors: new BidVisitorsRepository(database, undefined, () => now().getTime()),
    snapshots,
    predictor: new Predictor(models),
    decisions,
    calendar,
    metrics: { model: () => {} },
    now,
  })
  const door = new BidDoor(bidding, 'EUR', now)
  const idempotency = new IdempotencyStore(database)
  const api = createRunner([
    new CampaignsResolver(world.campaigns, idempotency),
    new AdGroupResolver(world.campaigns),
    new AdResolver(world.catalogue),
    new BiddingResolver(door, world.campaigns, idempotency),
    new AuctionOutcomeResolver(world.campaigns),
  ])
  const run = async <T = Payload>(source: string, variables?: Record<string, unknown>): Promise<T> => {
    const { data, errors } = await api.as(viewerWith()).run(source, variables)
    if (errors) throw errors[0]
    return Object.values(data ?? {})[0] as T
  }
  let made = 0
  /** An enabled campaign with one ad group and one ad. */
  const campaign = async (input: Record<string, unknown> = {}, { product, cpcBid }: { product?: string; cpcBid?: object } = {}) => {
    const name = `Campaign ${++made}`
    const { campaign, userErrors } = await run(documents.create, {
      input: { name, budget: { amount: eur(100) }, biddingStrategy: { type: 'MANUAL_CPM', cpmBid: eur(2) }, ...input },
    })
    if (userErrors.length > 0) throw new Error(JSON.stringify(userErrors))
    const { adGroup } = await run(documents.adGroup, { input: { campaignId: campaign.id, name: 'All', cpcBid } })
    const { ad } = await run(documents.ad, {
      input: { adGroupId: adGroup.id, headline: `Ad of ${name}`, productExternalId: product },
    })
    await run(documents.enable, { input: { campaignId: campaign.id } })
    await snapshots.look()
    return { id: campaign.id, key: Buffer.from(campaign.id, 'base64url').toString().slice('Campaign:'.length), name, adGroup, ad }
  }
  const bid = (input: Record<string, unknown> = {}) => run<BidPayload>(documents.bid, { input })
  const report = (decisionId: string, type: string, facts: Record<string, unknown> = {}) =>
    run<OutcomePayload>(documents.outcome, { input: { decisionId, type, ...facts } })
  const ledger = async (key: string) => {
    const [row] = await database.sql<{ spent: number; reserved: number; limit: number }>(
      'SELECT "spentMicros"::float8 AS spent, "reservedMicros"::float8 AS reserved, "limitMicros"::float8 AS limit FROM "BudgetLedger" WHERE "campaignId" = $1 ORDER BY period DESC LIMIT 1',
      [key],
    )
    return row
  }
  return {
    ...world,
    bidding,
    snapshots,
    biddingRepository: repository,
    decisions,
    door,
    api,
    run,
    campaign,
    bid,
    report,
    ledger,
    stop: () => snapshots.stop(),
  }
}

export interface BidPayload {
  decision: BidAnswer | null
  preview: BidAnswer | null
  userErrors: Payload['userErrors']
  idempotentReplay: boolean
}

export interface BidAnswer {
  __typename: 'Bid' | 'NoBid'
  decisionId: string
  reason: string
  campaign: { id: string; name: string }
  ad: { headline: string }
  price: { amountMicros: number; currencyCode: string }
  reserved: { amountMicros: number }
  pCtr: number
  pCvr: number
  multiplier: number
  explanation: { feature: string; value: string; weight: number }[]
}

interface OutcomeAnswer {
  result: string
  committed: { amountMicros: number }
  reserved: { amountMicros: number }
}

export interface OutcomePayload {
  outcome: OutcomeAnswer | null
  preview: OutcomeAnswer | null
  userErrors: Payload['userErrors']
}

/** The campaigns domain on a database, in an account of EUR, with a clock of its own. */
export function campaignsWorld(database: Database, { timeZone = 'UTC', curve }: { timeZone?: string; curve?: CurveSource } = {}) {
  const clock = { now: new Date(), isModelStale: false }
  const signals = localSignals()
  const catalogue = new CatalogueService(new CatalogueRepository(database), signals, 'EUR')
  const repository = new CampaignsRepository(database)
  const campaigns = new CampaignsService({
    campaigns: repository,
    catalogue,
    signals,
    calendar: new AccountCalendar(timeZone),
    currency: 'EUR',
    foresee: async () => ({ expectations: null, warnings: [] }),
    isModelStale: async () => clock.isModelStale,
    curve,
    now: () => clock.now,
  })
  const api = createRunner([
    new CampaignsResolver(campaigns, new IdempotencyStore(database)),
    new AdGroupResolver(campaigns),
    new AdResolver(catalogue),
  ])
  /** Runs one operation as somebody who may do everything; its errors are thrown. */
  const run = async <T = Payload>(source: string, variables?: Record<string, unknown>): Promise<T> => {
    const { data, errors } = await api.as(viewerWith()).run(source, variables)
    if (errors) throw errors[0]
    return Object.values(data ?? {})[0] as T
  }
  return { clock, signals, catalogue, repository, campaigns, api, run }
}

export interface Payload {
  campaign: Record<string, unknown> & { id: string; version: number; status: string; primaryStatus: string; primaryStatusReasons: string[] }
  biddingStrategy: Record<string, unknown> & { id: string; version: number }
  adGroup: Record<string, unknown> & { id: string; version: number }
  ad: Record<string, unknown> & { id: string }
  preview: Record<string, unknown>
  userErrors: { code: string; field: string[] | null; message: string }[]
  idempotentReplay: boolean
}

const CAMPAIGN = `id externalId name version status primaryStatus primaryStatusReasons startsAt endsAt schedule frequencyCap targeting attributionDays
  conversionValue { amountMicros currencyCode } learningSince
  budget { amount { amountMicros currencyCode } period deliveryMethod maxDailyOverdelivery spent { amountMicros } reserved { amountMicros } }
  biddingStrategy { id name type version shared targetCpa { amountMicros } targetRoas cpcBid { amountMicros } cpcBidCeiling { amountMicros } cpmBid { amountMicros } }
  adGroups { id name version cpcBid { amountMicros } effectiveBid { amountMicros } ads { id headline status product { externalId } } }
  pacing { state target { amountMicros } multiplier projectedEndOfPeriod { amountMicros } controller period }
  performance { impressions clicks conversions cost { amountMicros } conversionValue { amountMicros } ctr { value interval { low high level } sampleSize state } cvr { value sampleSize state } cpa { amountMicros } roas }`
const ERRORS = 'userErrors { code field message } idempotentReplay'
const PREVIEW = `preview { changes { field before after } reach exclusions { reason count } expectedClicks { value interval { low high } } expectedCost { value } expectedValue { value }
  conflicts { campaignId name reason } resetsLearning warnings }`
const CHANGE = 'preview { changes { field before after } resetsLearning campaigns }'

const mutation = (name: string, input: string, body: string) =>
  `mutation ($input: ${input}!) { ${name}(input: $input) { ${body} ${ERRORS} } }`

const BID = `__typename ... on Bid { decisionId campaign { id name } ad { headline } price { amountMicros currencyCode } reserved { amountMicros } pCtr pCvr multiplier explanation { feature value weight } }
  ... on NoBid { decisionId reason }`

export const documents = {
  bid: mutation('bidDecide', 'BidDecideInput', `decision { ${BID} } preview { ${BID} }`),
  outcome: mutation(
    'auctionOutcomeRecord',
    'AuctionOutcomeInput',
    ['outcome', 'preview'].map(name => `${name} { result committed { amountMicros } reserved { amountMicros } }`).join(' '),
  ),
  create: mutation('campaignCreate', 'CampaignCreateInput', `campaign { ${CAMPAIGN} } ${PREVIEW}`),
  update: mutation('campaignUpdate', 'CampaignUpdateInput', `campaign { ${CAMPAIGN} } ${PREVIEW}`),
  enable: mutation('campaignEnable', 'CampaignActionInput', `campaign { ${CAMPAIGN} } ${PREVIEW}`),
  pause: mutation('campaignPause', 'CampaignActionInput', `campaign { ${CAMPAIGN} } ${PREVIEW}`),
  end: mutation('campaignEnd', 'CampaignActionInput', `campaign { ${CAMPAIGN} } ${PREVIEW}`),
  budget: mutation('campaignBudgetSet', 'CampaignBudgetSetInput', `campaign { ${CAMPAIGN} } ${PREVIEW}`),
  strategyCreate: mutation(
    'biddingStrategyCreate',
    'BiddingStrategyCreateInput',
    `biddingStrategy { id name type version shared } ${CHANGE}`,
  ),
  strategyUpdate: mutation(
    'biddingStrategyUpdate',
    'BiddingStrategyUpdateInput',
    `biddingStrategy { id name type version targetRoas } ${CHANGE}`,
  ),
  adGroup: mutation(
    'adGroupCreate',
    'AdGroupCreateInput',
    `adGroup { id name version cpcBid { amountMicros } effectiveBid { amountMicros } } ${CHANGE}`,
  ),
  adGroupBid: mutation(
    'adGroupBidSet',
    'AdGroupBidSetInput',
    `adGroup { id version cpcBid { amountMicros } effectiveBid { amountMicros } } ${CHANGE}`,
  ),
  ad: mutation('adCreate', 'AdCreateInput', `ad { id headline status product { externalId } } ${CHANGE}`),
  adStatus: mutation('adStatusSet', 'AdStatusSetInput', `ad { id status } ${CHANGE}`),
  campaign: `query ($id: ID!) { campaign(id: $id) { ${CAMPAIGN} } }`,
  campaigns: `query ($first: Int, $after: String, $where: CampaignWhere) { campaigns(first: $first, after: $after, where: $where) { totalCount nodes { ${CAMPAIGN} } pageInfo { hasNextPage endCursor } } }`,
}

export const eur = (units: number) => ({ amountMicros: Math.round(units * 1_000_000), currencyCode: 'EUR' })
