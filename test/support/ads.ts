import { CampaignsRepository } from '../../src/campaigns/campaigns.repository.js'
import { AdGroupResolver, AdResolver, CampaignsResolver } from '../../src/campaigns/campaigns.resolver.js'
import { CampaignsService } from '../../src/campaigns/campaigns.service.js'
import { AccountCalendar } from '../../src/campaigns/time-zone.js'
import { CatalogueRepository } from '../../src/catalogue/catalogue.repository.js'
import { CatalogueService } from '../../src/catalogue/catalogue.service.js'
import { IdempotencyStore } from '../../src/graphql/idempotency.js'
import type { Database } from '../../src/platform/database.js'
import { localSignals } from './local-signals.js'
import { createRunner, viewerWith } from './run-graphql.js'

/** The campaigns domain on a database, in an account of EUR, with a clock of its own. */
export function campaignsWorld(database: Database, { timeZone = 'UTC' } = {}) {
  const clock = { now: new Date() }
  const signals = localSignals()
  const catalogue = new CatalogueService(new CatalogueRepository(database), signals, 'EUR')
  const repository = new CampaignsRepository(database)
  const campaigns = new CampaignsService({
    campaigns: repository,
    catalogue,
    signals,
    calendar: new AccountCalendar(timeZone),
    currency: 'EUR',
    expect: async () => null,
    isModelStale: async () => false,
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

export const documents = {
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
  campaign: `query ($id: ID!) { campaign(id: $id) { ${CAMPAIGN} } }`,
  campaigns: `query ($first: Int, $after: String, $where: CampaignWhere) { campaigns(first: $first, after: $after, where: $where) { totalCount nodes { ${CAMPAIGN} } pageInfo { hasNextPage endCursor } } }`,
}

export const eur = (units: number) => ({ amountMicros: Math.round(units * 1_000_000), currencyCode: 'EUR' })
