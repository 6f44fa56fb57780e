import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { startTestApp, type TestApp } from '../../support/app.js'
import { smallShop } from '../../support/small-shop.js'

// Clusters over the life of a shop: learned, watched, made a rule and a segment, learned anew.
const NOW = new Date()
const CATEGORIES = ['Tea', 'Outdoor', 'Toys', 'Tiles']
let house: TestApp
let batch = 0

beforeAll(async () => {
  house = await startTestApp()
  const shop = smallShop(house.app.database, NOW)
  for (const category of CATEGORIES) await shop.product(category, category, 10)
}, 60_000)
afterAll(() => house.close())

// Answers are read by tests, which know what they asked for.
interface Any {
  [name: string]: Any
}

async function run(query: string, variables: Record<string, unknown> = {}, kind: 'marketer' | 'admin' = 'marketer'): Promise<Any> {
  const { data, errors } = await house.as(kind).run(query, variables)
  if (errors) throw new Error(errors[0].message)
  return data as unknown as Any
}

/** So many people who look at one category 20 times and at each other one once, spread over 100 days. */
async function arrive(category: string, people: number): Promise<void> {
  const { database } = house.app
  await database.sql(
    `INSERT INTO "User" ("externalId", "createdAt", "updatedAt") SELECT $1 || '-' || $2 || '-' || n, $4, $4 FROM generate_series(1, $3::int) AS n`,
    [category, ++batch, people, NOW],
  )
  await look(`${category}-${batch}-%`, category, 20)
  for (const other of CATEGORIES) if (other !== category) await look(`${category}-${batch}-%`, other, 1)
}

async function look(who: string, category: string, times: number): Promise<void> {
  await house.app.database.sql(
    `INSERT INTO "Event" ("messageId", "userId", "productId", type, "occurredAt", "receivedAt")
     SELECT $5 || ' ' || u.id || ' ' || n, u.id, p.id, 'VIEW', $4::timestamptz - (1 + (n * 37 + u.id) % 100) * interval '1 day' - n * interval '1 minute', $4
     FROM "User" u CROSS JOIN generate_series(1, $3::int) AS n JOIN "Product" p ON p."externalId" = $2 WHERE u."externalId" LIKE $1`,
    [who, category, times, NOW, `look ${++batch}`],
  )
}

/** Learns, approves, and gives everybody a cluster. */
async function learn() {
  const { trainer, approver } = house.app
  const { models, message } = await trainer.train({ task: 'CLUSTER' })
  if (models.length === 0) throw new Error(message)
  const approved = await approver.approveByConfiguration(models, 'test')
  expect([approved, models[0].guardrails]).toEqual([[expect.stringContaining('is live')], expect.objectContaining({ passed: true })])
  await score()
}

async function score() {
  const { profiles, liveModels, segments, database } = house.app
  await liveModels.look()
  // What happens here has the time at which the test began.
  await profiles.refreshOvertaken({ all: true })
  for (const range of (await profiles.scoringDue()).ranges) await profiles.scoreRange(range)
  await database.sql(`UPDATE "Segment" SET "evaluatedAt" = "evaluatedAt" - interval '1 day'`)
  await segments.evaluateDue()
}

/** By key: categories of its members, each once. */
async function holdings(): Promise<Record<string, string>> {
  const rows = await house.app.database.sql<{ key: string; tastes: string }>(
    `SELECT "clusterKey" AS key, string_agg(DISTINCT split_part(u."externalId", '-', 1), ' ' ORDER BY split_part(u."externalId", '-', 1)) AS tastes
     FROM "UserProfile" p JOIN "User" u ON u.id = p."userId" WHERE "clusterKey" IS NOT NULL GROUP BY 1`,
  )
  return Object.fromEntries(rows.map(({ key, tastes }) => [tastes, key]))
}

async function createSegment(name: string, ruleJson: unknown): Promise<string> {
  const { segmentCreate } = await run(
    'mutation($n: String!, $r: JSON) { segmentCreate(input: { name: $n, ruleJson: $r }) { segment { id } userErrors { message } } }',
    { n: name, r: ruleJson },
  )
  expect(segmentCreate.userErrors).toEqual([])
  await house.app.segments.evaluateDue()
  return segmentCreate.segment.id as unknown as string
}

async function membersOf(id: string): Promise<{ size: number; status: string; tastes: string[] }> {
  const { segment } = await run('query($id: ID!) { segment(id: $id) { size status members(first: 100) { nodes { externalId } } } }', { id })
  const { size, status, members } = segment as unknown as { size: number; status: string; members: { nodes: { externalId: string }[] } }
  return { size, status, tastes: [...new Set(members.nodes.map(({ externalId }) => externalId.split('-')[0]))] }
}

async function stage(name: string): Promise<unknown> {
  const { systemHealth } = await run('{ systemHealth { stage state reason } }', {}, 'admin')
  return (systemHealth as unknown as { stage: string }[]).find(each => each.stage === name)
}

const DRIFT = '{ clusterDrift { mean limit servedBy at clusters } clusters { key size drift overlapWithBefore } }'
let keys: Record<string, string>
let toys: string
let outdoor: string

test('before anything was learned there are no clusters, no drift and nothing left out', async () => {
  expect(await run(DRIFT)).toEqual({ clusterDrift: null, clusters: [] })
  expect(await run('{ profilePreprocessing { profiles bots withoutEvents causes } }')).toEqual({
    profilePreprocessing: { profiles: 0, bots: 0, withoutEvents: 0, causes: {} },
  })
  expect(await house.app.clusters.watchDrift()).toBe('No clusters are live')
})

test('clusters are learned, and the best rule for one is a segment as good as was said', async () => {
  await arrive('Tea', 60)
  await arrive('Outdoor', 50)
  await arrive('Toys', 40)
  await learn()
  keys = await holdings()
  expect(keys).toEqual({ Tea: 'c1', Outdoor: 'c2', Toys: 'c3' })
  const { clusterRule } = (await run('{ clusterRule(key: "c3") { rule precision recall } }')) as unknown as {
    clusterRule: { rule: unknown; precision: number; recall: number }
  }
  const like = await membersOf(await createSegment('Like c3', clusterRule.rule))
  expect(like.status).toBe('READY')
  // So many of the segment are in the cluster, and so many of the cluster in the segment.
  expect(like.size * clusterRule.precision).toBeCloseTo(40 * clusterRule.recall, 0)
  expect(Math.min(clusterRule.precision, clusterRule.recall)).toBeGreaterThan(0.95)
  expect(like.tastes).toEqual(['Toys'])
  toys = await createSegment('Toys', { cluster: keys.Toys })
  outdoor = await createSegment('Outdoor', { cluster: keys.Outdoor })
  expect(await membersOf(toys)).toEqual({ size: 40, status: 'READY', tastes: ['Toys'] })
  await expect(run('{ clusterRule(key: "c99") { precision } }')).rejects.toThrow('No cluster')
}, 60_000)

test('drift is nothing at first, and is seen when people have moved', async () => {
  await house.app.clusters.watchDrift()
  const still = (await run(DRIFT)) as unknown as { clusterDrift: { mean: number; limit: number; clusters: object }; clusters: unknown[] }
  expect(still.clusterDrift.mean).toBeLessThan(0.01)
  expect(Object.keys(still.clusterDrift.clusters).sort()).toEqual(['c1', 'c2', 'c3'])
  expect(await stage('cluster drift')).toMatchObject({ state: 'ok' })
  await arrive('Tiles', 70)
  await score()
  await house.app.clusters.watchDrift()
  const { clusterDrift, clusters } = (await run(DRIFT)) as unknown as {
    clusterDrift: { mean: number; limit: number; clusters: Record<string, number> }
    clusters: { key: string; drift: number }[]
  }
  expect(clusterDrift.mean).toBeGreaterThan(clusterDrift.limit)
  for (const { key, drift } of clusters) expect(drift).toBe(clusterDrift.clusters[key])
  expect(await stage('cluster drift')).toMatchObject({ state: 'degraded', reason: expect.stringContaining('standard deviations') })
}, 60_000)

test('learned anew, what goes on keeps its key and its segments their meaning; what is new has a new key', async () => {
  await arrive('Toys', 90)
  await learn()
  const then = await holdings()
  expect(then).toEqual({ ...keys, Tiles: 'c4' })
  expect(await membersOf(toys)).toEqual({ size: 130, status: 'READY', tastes: ['Toys'] })
  expect((await membersOf(outdoor)).tastes).toEqual(['Outdoor'])
  // Drift was that of the model before.
  const { clusterDrift, clusters } = (await run(DRIFT)) as unknown as { clusterDrift: null; clusters: Record<string, unknown>[] }
  expect(clusterDrift).toBeNull()
  expect(clusters.map(({ key, size, drift }) => [key, size, drift])).toEqual([
    ['c3', 130, null],
    ['c4', 70, null],
    ['c1', 60, null],
    ['c2', 50, null],
  ])
  expect(clusters.find(({ key }) => key === 'c4')?.overlapWithBefore).toBeNull()
  const { models } = (await run('{ models(task: CLUSTER, first: 1) { nodes { card } } }')) as unknown as {
    models: { nodes: { card: string }[] }
  }
  expect(models.nodes[0].card).toContain('new: c4; ended: none')
}, 60_000)

test('a cluster that empties is named by its stage, and its segment has nobody', async () => {
  await look('Outdoor-%', 'Tea', 2_000)
  await score()
  expect(await membersOf(outdoor)).toEqual({ size: 0, status: 'READY', tastes: [] })
  await house.app.clusters.watchDrift()
  expect(await stage('cluster drift')).toMatchObject({ state: 'degraded', reason: expect.stringContaining('nobody is left in c2') })
  const { clusters } = (await run(DRIFT)) as unknown as { clusters: Record<string, unknown>[] }
  expect(clusters.find(({ key }) => key === 'c2')).toMatchObject({ size: 0, drift: null })
  // The best rule for nobody is the cluster itself.
  expect(await run('{ clusterRule(key: "c2") { rule precision recall } }')).toEqual({
    clusterRule: { rule: { cluster: 'c2' }, precision: 0, recall: 0 },
  })
}, 60_000)

test('a rule that names a cluster that is not there is refused with its place, and a segment whose cluster has ended is told', async () => {
  const answer = await run(
    'mutation($r: JSON) { segmentCreate(input: { name: "lost", ruleJson: $r }) { segment { id } userErrors { code field message } } }',
    { r: { any: [{ cluster: 'c1' }, { not: { cluster: 'c99' } }] } },
  )
  expect(answer.segmentCreate).toEqual({
    segment: null,
    userErrors: [
      {
        code: 'INVALID',
        field: ['ruleJson', 'any', '1', 'not', 'cluster'],
        message: expect.stringMatching(/^No cluster has the key c99; there are (c\d, ){3}c\d$/),
      },
    ],
  })
  expect(await house.app.segments.stage()).toMatchObject({ state: 'ok' })
  await learn()
  // Who came from elsewhere and loves tea beyond all others is a cluster of a new key, not the one that they left.
  expect(await holdings()).toEqual({ Tea: 'c1', Toys: 'c3', Tiles: 'c4', Outdoor: 'c5' })
  expect(await membersOf(outdoor)).toEqual({ size: 0, status: 'READY', tastes: [] })
  expect(await house.app.segments.stage()).toMatchObject({
    state: 'degraded',
    reason: 'Outdoor: cluster c2 has ended, nobody is in it any more',
  })
}, 60_000)

test('what the pre-processing left out is counted, and told by the card', async () => {
  const shop = smallShop(house.app.database, NOW)
  await shop.user('messy')
  await shop.happen(
    ['messy', 'VIEW', 3, { product: 'Tea' }],
    ['messy', 'VIEW', 3, { product: 'Tea' }],
    ['messy', 'PURCHASE', 1, { product: 'Tea', price: 99, currency: 'USD' }],
  )
  // Within one hour of the clock, whenever the test runs.
  const bot = await shop.user('crawler')
  await house.app.database.sql(
    `INSERT INTO "Event" ("messageId", "userId", type, "occurredAt", "receivedAt") SELECT 'bot' || n, $1, 'VIEW', date_trunc('hour', $2::timestamptz) - interval '10 minutes' - n * interval '1 second', $2 FROM generate_series(1, 400) AS n`,
    [bot, NOW],
  )
  const { models } = await house.app.trainer.train({ task: 'CLUSTER' })
  const { profilePreprocessing } = await run('{ profilePreprocessing { profiles bots withoutEvents causes } }')
  expect(profilePreprocessing).toMatchObject({
    profiles: 312,
    bots: 1,
    withoutEvents: 0,
    causes: { repeatedInOneMillisecond: 1, otherCurrencies: 1 },
  })
  expect(models[0].card).toContain('Of 312 profiles 1 were left out as bots')
  expect(models[0].card).toContain('repeatedInOneMillisecond 1')
}, 60_000)

test('labels of one class only: the task says why it does not train', async () => {
  await house.app.database.sql(`DELETE FROM "Event" WHERE type = 'PURCHASE'`)
  const { models, message } = await house.app.trainer.train({ task: 'PURCHASE' })
  expect([models, message]).toEqual([
    [],
    expect.stringMatching(/^PURCHASE cannot be learned: everybody in \d+ rows ordered nothing within 30 days/),
  ])
  expect(await stage('train PURCHASE')).toEqual({ stage: 'train PURCHASE', state: 'waiting', reason: message })
})
