import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { AdLogRepository } from '../../src/bidding/ad-log.repository.js'
import { BiddingRepository } from '../../src/bidding/bidding.repository.js'
import { type BidAnswer, documents, eur, type Payload } from '../support/ads.js'
import { eventually, startTestApp, type TestApp } from '../support/app.js'

let api: TestApp
let campaign: Payload['campaign']
const run = async <T = Payload>(source: string, variables: Record<string, unknown>): Promise<T> => {
  const { data, errors } = await api.as('marketer').run(source, variables)
  if (errors) throw new Error(JSON.stringify(errors))
  return Object.values(data as object)[0] as T
}

beforeAll(async () => {
  api = await startTestApp()
  await api.startWorker()
  campaign = (
    await run(documents.create, {
      input: { name: 'Log', attributionDays: 7, budget: { amount: eur(100) }, biddingStrategy: { type: 'MANUAL_CPM', cpmBid: eur(2) } },
    })
  ).campaign
  const { adGroup } = await run(documents.adGroup, { input: { campaignId: campaign.id, name: 'All' } })
  await run(documents.ad, { input: { adGroupId: adGroup.id, headline: 'One', externalId: 'creative-1' } })
  await run(documents.enable, { input: { campaignId: campaign.id } })
})
afterAll(() => api.close())

const load = async (body: string, mapping: Record<string, string>) => {
  const query = new URLSearchParams({ mapping: JSON.stringify(mapping) })
  const headers = { authorization: `Bearer ${api.keys.ingest}` }
  const response = await fetch(`${api.url}/v1/import/ad-log?${query}`, {
    method: 'POST',
    headers: { ...headers, 'content-type': 'text/csv' },
    body,
  })
  const answer = (await response.json()) as { jobId: string; error?: string }
  if (!answer.jobId) return { error: answer.error, rejects: '' }
  const status = await eventually(async () => {
    const now = (await (await fetch(`${api.url}/v1/import/${answer.jobId}`, { headers })).json()) as {
      state: string
      rowsMerged: number
      rowsRejected: number
      rowsDuplicate: number
    }
    return now.state === 'COMPLETED' || now.state === 'FAILED' ? now : undefined
  })
  return { ...status, rejects: await (await fetch(`${api.url}/v1/import/${answer.jobId}/rejects`, { headers })).text() }
}
const track = (event: string, messageId: string, properties: object, timestamp = new Date().toISOString()) =>
  fetch(`${api.url}/v1/track`, {
    method: 'POST',
    headers: { authorization: `Basic ${Buffer.from(`${api.keys.ingest}:`).toString('base64')}`, 'content-type': 'application/json' },
    body: JSON.stringify({ event, messageId, userId: 's-1', properties, timestamp }),
  })
const performance = async () => (await run<Payload['campaign']>(documents.campaign, { id: campaign.id })).performance
const counted = async () =>
  (await performance()) as { impressions: number; clicks: number; conversions: number; conversionValue: { amountMicros: number } }

const IPINYOU = {
  messageId: 'bidid',
  adId: 'creative',
  userId: 'ipinyouid',
  clicked: 'click',
  costCpm: 'payprice',
  'context.domain': 'domain',
  'context.placement': 'slotid',
  'context.position': 'visibility',
}
const HEADER = 'click,bidid,timestamp,ipinyouid,domain,slotid,visibility,creative,payprice'

test('an iPinYou log comes in by a mapping, and a click that comes later is taken over', async () => {
  const rows = [
    '0,b1,20130606000104000,u1,news.example,top,1,creative-1,50',
    '0,b2,20130606000105000,u1,news.example,top,2,creative-1,70',
    '1,b3,20130606000106000,u2,,side,1,nobody,70',
    '2,b4,20130606000106000,u2,,side,1,creative-1,70',
  ]
  const first = await load(`${HEADER}\n${rows.join('\n')}\n`, IPINYOU)
  expect(first).toMatchObject({ state: 'COMPLETED', rowsMerged: 2, rowsRejected: 2 })
  expect(first.rejects).toContain('adId names no ad')
  expect(first.rejects).toContain('clicked must be true or false')
  const [row] = await api.app.database.sql<Record<string, unknown>>(
    `SELECT "occurredAt", "costMicros"::float8 AS cost, context FROM "AdLogEntry" WHERE "messageId" = 'b1'`,
  )
  expect(row).toEqual({
    occurredAt: new Date('2013-06-06T00:01:04Z'),
    cost: 50_000,
    context: { domain: 'news.example', placement: 'top', position: '1' },
  })
  expect(
    await load(
      `${HEADER}\n1,b1,20130606000104000,u1,news.example,top,1,creative-1,50\n0,b2,20130606000105000,u1,news.example,top,2,creative-1,70\n`,
      IPINYOU,
    ),
  ).toMatchObject({ rowsMerged: 1, rowsDuplicate: 1 })
  expect(await performance()).toMatchObject({ impressions: 2, clicks: 1, cost: { amountMicros: 120_000 } })
})

test('a Criteo log comes in by a mapping: its columns are context', async () => {
  const mapping = { adId: '=creative-1', clicked: 'label', 'context.I1': 'I1', 'context.C1': 'C1' }
  expect(await load('label,I1,C1\n1,3,8cf07265\n0,,68fd1e64\n', mapping)).toMatchObject({
    state: 'COMPLETED',
    rowsMerged: 2,
    rowsRejected: 0,
  })
  const rows = await api.app.database.sql<{ context: object }>(
    `SELECT context FROM "AdLogEntry" WHERE "messageId" LIKE 'import:%' ORDER BY id`,
  )
  expect(rows.map(row => row.context)).toEqual([{ C1: '8cf07265', I1: '3' }, { C1: '68fd1e64' }])
})

test('a click or a conversion of an impression counts, on whichever line of a file it stands and however late', async () => {
  const { database } = api.app
  const mapping = {
    messageId: 'id',
    adId: '=creative-1',
    clicked: 'click',
    clickedAt: 'clickedAt',
    convertedAt: 'convertedAt',
    conversionValue: 'worth',
    cost: 'cost',
  }
  const at = (day: number) => `2024-05-${String(day).padStart(2, '0')}T10:00:00Z`
  const before = await counted()
  const labels = async () => {
    let converted = 0
    const span = { from: new Date(at(1)), until: new Date(at(20)) }
    for await (const page of new AdLogRepository(database).rows({ ...span, clickedOnly: true }))
      converted += page.filter(row => row.converted).length
    return converted
  }
  const learned = await labels()
  const rows = [
    `a,${at(1)},1,${at(1)},,,0.5`,
    `a,${at(1)},0,,,,0.2`,
    // Within the seven days of the campaign, and after them.
    `b,${at(1)},0,,,,0.1`,
    `b,${at(1)},1,${at(2)},${at(9)},20,0.1`,
    `c,${at(1)},1,${at(2)},${at(10)},20,0.1`,
  ]
  expect(await load(`id,timestamp,click,clickedAt,convertedAt,worth,cost\n${rows.join('\n')}\n`, mapping)).toMatchObject({
    state: 'COMPLETED',
    rowsRejected: 0,
  })
  expect(
    await database.sql(
      `SELECT "messageId" AS id, clicked, converted, "costMicros"::int AS cost FROM "AdLogEntry" WHERE "messageId" IN ('a', 'b', 'c') ORDER BY 1`,
    ),
  ).toEqual([
    { id: 'a', clicked: true, converted: false, cost: 500_000 },
    { id: 'b', clicked: true, converted: true, cost: 100_000 },
    { id: 'c', clicked: true, converted: true, cost: 100_000 },
  ])
  expect(await performance()).toMatchObject({
    impressions: before.impressions + 3,
    clicks: before.clicks + 3,
    conversions: before.conversions + 1,
    conversionValue: { amountMicros: before.conversionValue.amountMicros + 20_000_000 },
  })
  // What does not count in the report is not taught either, and not what bids go by.
  expect((await labels()) - learned).toBe(1)
  const key = Buffer.from(campaign.id, 'base64url').toString().slice('Campaign:'.length)
  const history = await new BiddingRepository(database).history([key], { from: new Date(0), until: new Date(Date.now() + 86_400_000) })
  expect(history).toMatchObject([{ conversions: before.conversions + 1 }])
})

test.each([
  ['cost', '-1', 'cost'],
  ['cost', 'NaN', 'cost'],
  ['cost', '1e30', 'cost'],
  ['costCpm', '-5', 'costCpm'],
  ['conversionValue', 'many', 'conversionValue'],
  ['clicked', '2', 'clicked'],
  ['timestamp', 'yesterday', 'timestamp'],
  ['timestamp', '2999-01-01', 'timestamp'],
  ['clickedAt', 'soon', 'clickedAt'],
  ['messageId', 'x'.repeat(300), 'messageId'],
])('%s %s is refused on its line, and the others come in', async (column, value, place) => {
  const id = column === 'messageId' ? '' : ',messageId'
  const line = (cell: string, name: string) => `creative-1,${cell}${id && `,bad-${column}-${name}`}`
  const good = {
    cost: '1',
    costCpm: '1',
    conversionValue: '1',
    clicked: '1',
    timestamp: '2024-01-01T00:00:00Z',
    clickedAt: '2024-01-01T00:00:00Z',
    messageId: 'fine',
  }
  const body = `adId,${column}${id}\n${line(value, 'no')}\n${line(good[column as keyof typeof good], `yes-${value}`)}\n`
  const mapping = Object.fromEntries(['adId', column, ...(id ? ['messageId'] : [])].map(name => [name, name]))
  const answer = await load(body, mapping)
  expect(answer).toMatchObject({ state: 'COMPLETED', rowsMerged: 1, rowsRejected: 1 })
  expect(answer.rejects).toContain(place)
})

test('a log without its columns is refused by name', async () => {
  expect((await load('label,I1\n1,3\n', { clicked: 'label' })).error).toContain('adId')
})

test('browsers tell of clicks and conversions by Segment events, and no event moves money', async () => {
  await api.app.snapshots.look()
  const { decision } = await run<{ decision: BidAnswer }>(documents.bid, { input: { userExternalId: 's-1' } })
  const money = async () => api.app.database.sql('SELECT "spentMicros", "reservedMicros" FROM "BudgetLedger"')
  const before = await money()
  const start = await counted()
  const ago = (days: number) => new Date(Date.now() - days * 86_400_000).toISOString()
  for (const [event, id, properties, at] of [
    ['Ad Impression', 'm1', { decision_id: decision.decisionId }, ago(0)],
    ['Ad Clicked', 'm2', { decision_id: decision.decisionId }, ago(0)],
    ['Ad Clicked', 'm2', { decision_id: decision.decisionId }, ago(0)],
    ['Ad Conversion', 'm3', { decision_id: decision.decisionId, value: 12.5 }, ago(0)],
    ['Promotion Viewed', 'm4', { promotion_id: 'creative-1' }, ago(3)],
    ['Promotion Clicked', 'm5', { promotion_id: 'creative-1' }, ago(2.9)],
    ['Ad Conversion', 'm6', { ad_id: 'creative-1', value: 3 }, ago(1)],
    ['Ad Clicked', 'm7', { decision_id: 'nonsense' }, ago(0)],
    ['Ad Clicked', 'm8', { ad_id: 'nobody' }, ago(0)],
  ] as const)
    expect((await track(event, id, properties, at)).status).toBe(200)
  expect(await performance()).toMatchObject({
    impressions: start.impressions + 2,
    clicks: start.clicks + 2,
    conversions: start.conversions + 2,
    conversionValue: { amountMicros: start.conversionValue.amountMicros + 15_500_000 },
  })
  expect(await money()).toEqual(before)
})

test('a message that a browser sends again is one click and one conversion, though other impressions wait for theirs', async () => {
  const start = await counted()
  const ago = (minutes: number) => new Date(Date.now() - minutes * 60_000).toISOString()
  const ad = { ad_id: 'creative-1' }
  for (const [event, id, properties, minutes] of [
    ['Ad Impression', 'again-1', ad, 50],
    ['Ad Impression', 'again-2', ad, 40],
    ['Ad Impression', 'again-3', ad, 30],
    ['Ad Clicked', 'again-4', ad, 20],
    ['Ad Clicked', 'again-4', ad, 20],
    ['Ad Clicked', 'again-5', ad, 19],
    ['Ad Impression', 'again-1', ad, 50],
    ['Ad Conversion', 'again-6', { ...ad, value: 4 }, 10],
    ['Ad Conversion', 'again-6', { ...ad, value: 4 }, 10],
  ] as const)
    expect((await track(event, id, properties, ago(minutes))).status).toBe(200)
  expect(await performance()).toMatchObject({
    impressions: start.impressions + 3,
    clicks: start.clicks + 2,
    conversions: start.conversions + 1,
    conversionValue: { amountMicros: start.conversionValue.amountMicros + 4_000_000 },
  })
})
