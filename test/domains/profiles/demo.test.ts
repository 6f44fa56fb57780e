import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { createWorld } from '../../../prisma/seed/world.js'
import { seedDemoShop } from '../../../prisma/seed.js'
import { adjustedRand } from '../../../src/algorithms/cluster/quality.js'
import { auc } from '../../../src/algorithms/evaluate/classification.js'
import { createRandom } from '../../../src/algorithms/math/random.js'
import { silentLog } from '../../../src/platform/log.js'
import { ProfileHistory } from '../../../src/profiles/history.js'
import { ProfilesRepository } from '../../../src/profiles/profiles.repository.js'
import { examplesOf, propensityTask } from '../../../src/profiles/propensity.task.js'
import { eventually, startTestApp, type TestApp } from '../../support/app.js'
import { churnPosteriors } from '../../support/planted-churn.js'

// What is planted in the demo shop is found again.
const SEED = 20251124
const DAY = 86_400_000
const world = createWorld(SEED)
const now = new Date()
let house: TestApp

beforeAll(async () => {
  house = await startTestApp()
  const { app } = house
  await seedDemoShop(app.database, { seed: SEED, now, log: silentLog })
  await house.startWorker()
  const jobs = []
  for (const task of ['CHURN', 'PURCHASE', 'LIFETIME_VALUE', 'CLUSTER'])
    jobs.push(await app.jobs.enqueue('train-models', { task, approve: 'test' }))
  for (const { id } of jobs)
    await eventually(async () => {
      const job = await app.jobs.get(id)
      if (job?.state === 'FAILED') throw new Error(job.error ?? 'training failed')
      return job?.state === 'COMPLETED'
    }, 240_000)
  await app.liveModels.look()
  await eventually(async () => {
    const { ranges } = await app.profiles.scoringDue()
    if (ranges.length > 0) await app.jobs.enqueueOnce('score-profiles', {}, 'test')
    return ranges.length === 0
  }, 60_000)
}, 300_000)
afterAll(() => house.close())

interface Known {
  userId: number
  clusterKey: string | null
  churn: number | null
  churnLow: number | null
  churnHigh: number | null
  purchase: number | null
  value: number | null
  high: number | null
  nextOrderAt: Date | null
  orderDays: number
}

function profiles(): Promise<Known[]> {
  return house.app.database.sql(
    `SELECT "userId", "clusterKey", churn, "churnLow", "churnHigh", purchase, "lifetimeValueMicros"::float8 / 1e6 AS value, "lifetimeValueHigh"::float8 / 1e6 AS high, "nextOrderAt", "orderDays"
     FROM "UserProfile" WHERE "userId" <= $1 ORDER BY 1`,
    [world.users.length],
  )
}

test('the planted taste groups are found', async () => {
  const rows = (await profiles()).filter(row => row.clusterKey !== null)
  expect(rows.length).toBeGreaterThan(2_300)
  const tastes = rows.map(row => world.users[row.userId - 1].taste)
  expect(
    adjustedRand(
      tastes,
      rows.map(row => Number(row.clusterKey?.slice(1))),
    ),
  ).toBeGreaterThanOrEqual(0.9)
  const { data } = await house
    .as('marketer')
    .run('{ clusters { key name nameZh size distinguishing } models(task: CLUSTER) { nodes { metrics } } }')
  const { clusters, models } = data as unknown as {
    clusters: { name: string; nameZh: string; size: number }[]
    models: { nodes: { metrics: object }[] }
  }
  expect(clusters).toHaveLength(6)
  expect(clusters.map(({ name }) => name).join(' ')).toContain('Loves')
  expect(new Set(clusters.map(({ nameZh }) => nameZh)).size).toBe(6)
  expect(clusters.reduce((sum, { size }) => sum + size, 0)).toBeGreaterThan(2_300)
  expect(models.nodes[0].metrics).toMatchObject({ silhouette: expect.any(Number), stability: expect.any(Number) })
})

test('the planted churners are told from the others as well as the planted probabilities tell them', async () => {
  const rows = await profiles()
  const left = rows.map(row => Number(world.users[row.userId - 1].hasChurned))
  const best = auc(
    left,
    rows.map(row => world.users[row.userId - 1].churnProbability),
  )
  expect(
    auc(
      left,
      rows.map(row => row.churn ?? 0),
    ),
  ).toBeGreaterThanOrEqual(best - 0.02)
  for (const { churn, churnLow, churnHigh } of rows) {
    expect(churnLow as number).toBeLessThanOrEqual(churn as number)
    expect(churnHigh as number).toBeGreaterThanOrEqual(churn as number)
  }
})

test('before they leave, they are foretold from their fading as well as nearly anything could', async () => {
  const repository = new ProfilesRepository(house.app.database, house.app.config)
  const history = new ProfileHistory(repository)
  const { to } = await history.span(new Date())
  const people = (await history.at(new Date((to as Date).getTime() - 30 * DAY), 30)).filter(({ user }) => user <= world.users.length)
  const algorithm = propensityTask('CHURN', history).algorithms[2]
  const scores = new Float64Array(people.length)
  for (let fold = 0; fold < 5; fold++) {
    const train = people.filter((_, index) => index % 5 !== fold)
    const examples = {
      ...examplesOf(train.map(({ features }) => [...features])),
      labels: Uint8Array.from(train, ({ later }) => Number(later.events === 0)),
    }
    const model = algorithm.fit(examples, algorithm.defaults, createRandom(1))
    const test = people.map((person, index) => ({ person, index })).filter(({ index }) => index % 5 === fold)
    model.predict(examplesOf(test.map(({ person }) => [...person.features]))).forEach((p, at) => {
      scores[test[at].index] = p
    })
  }
  const left = people.map(({ user }) => Number(world.users[user - 1].hasChurned))
  const best = churnPosteriors(world, now, (to as Date).getTime() - 30 * DAY)
  const bestAuc = auc(
    left,
    people.map(({ user }) => best[user - 1]),
  )
  // What a person's own planted probability knows (0.86) cannot be seen in the past; what can be seen is worth this much, and no score can be worth more.
  expect(bestAuc).toBeGreaterThan(0.7)
  expect(auc(left, scores)).toBeGreaterThanOrEqual(bestAuc - 0.02)
})

test('values and next orders are foretold, with intervals', async () => {
  const rows = await profiles()
  const customers = rows.filter(row => row.orderDays > 1 && !world.users[row.userId - 1].hasChurned)
  expect(customers.every(row => (row.value as number) > 0 && (row.high as number) >= (row.value as number))).toBe(true)
  const activity = customers.map(row => Number(world.users[row.userId - 1].activity > 2.5))
  expect(
    auc(
      activity,
      customers.map(row => row.value ?? 0),
    ),
  ).toBeGreaterThan(0.75)
  expect(customers.filter(row => row.nextOrderAt !== null).length).toBeGreaterThan(customers.length / 2)
  expect(rows.every(row => row.purchase !== null)).toBe(true)
})

test('a score says what it is, and can be asked why', async () => {
  const { data, errors } = await house.as('marketer').run(
    `{ user(externalId: "u-000001") { profile { cluster { name } nextOrderAt churnProbability { value interval { low high level } sampleSize state decisionId } lifetimeValue { value state decisionId } } }
       stranger: user(externalId: "anonymous:a-1") { profile { churnProbability { value state sampleSize } lifetimeValue { value interval { low high } state } } } }`,
  )
  expect(errors).toBeUndefined()
  const { user, stranger } = data as unknown as Record<
    string,
    { profile: Record<string, { value: number; state: string; decisionId: string }> }
  >
  expect(user.profile.churnProbability).toMatchObject({ state: 'READY', interval: { level: 0.9 } })
  expect(stranger.profile.churnProbability).toMatchObject({ state: expect.stringMatching('LEARNING'), value: expect.any(Number) })
  expect(stranger.profile.lifetimeValue).toMatchObject({ interval: { low: 0, high: expect.any(Number) } })
  const why = await house
    .as('marketer')
    .run('query($id: ID!) { decision(id: $id) { kind servedBy modelId rules contributions { feature value weight } } }', {
      id: user.profile.churnProbability.decisionId,
    })
  const { decision } = why.data as unknown as {
    decision: { kind: string; modelId: string; contributions: { feature: string; weight: number }[]; rules: string[] }
  }
  expect(decision).toMatchObject({ kind: 'churn', modelId: expect.any(String) })
  expect(decision.contributions.map(({ feature }) => feature)).toContain('days since the last event')
  const odds = decision.contributions.reduce((sum, { weight }) => sum + weight, 0)
  const said = Number(/give ([\d.]+)/.exec(decision.rules[0])?.[1])
  expect(1 / (1 + Math.exp(-odds))).toBeCloseTo(said, 3)
})

test('a cluster becomes a rule, and the rule a segment with the members that were promised', async () => {
  const { data } = await house.as('marketer').run('{ clusters { key size } clusterRule(key: "c3") { rule precision recall } }')
  const { clusters, clusterRule } = data as unknown as {
    clusters: { key: string; size: number }[]
    clusterRule: { rule: unknown; precision: number; recall: number }
  }
  expect(Math.min(clusterRule.precision, clusterRule.recall)).toBeGreaterThan(0.9)
  const created = await house
    .as('marketer')
    .run('mutation($r: JSON) { segmentCreate(input: { name: "like c3", ruleJson: $r }) { segment { id } userErrors { message } } }', {
      r: clusterRule.rule,
    })
  const { segmentCreate } = created.data as unknown as { segmentCreate: { segment: { id: string }; userErrors: unknown[] } }
  expect(segmentCreate.userErrors).toEqual([])
  const size = await eventually(async () => {
    const found = await house.as('marketer').run('query($id: ID!) { segment(id: $id) { size status } }', { id: segmentCreate.segment.id })
    const { segment } = found.data as unknown as { segment: { size: number; status: string } }
    return segment.status === 'READY' && segment.size
  })
  const cluster = clusters.find(({ key }) => key === 'c3') as { size: number }
  expect(Math.abs(size - (cluster.size * clusterRule.recall) / clusterRule.precision) / cluster.size).toBeLessThan(0.15)
  await expect(house.app.clusters.rule('c99')).rejects.toThrow('No cluster')
  expect(await house.app.clusters.watchDrift()).toMatch(/0\.\d+ standard deviations/)
})
