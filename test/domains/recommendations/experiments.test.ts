import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { ExperimentsRepository } from '../../../src/recommendations/experiments.repository.js'
import { armOf } from '../../../src/recommendations/experiments.service.js'
import { eventually, startTestApp, type TestApp } from '../../support/app.js'
import { fillShop } from '../../support/shop.js'

interface Experiment {
  id: string
  status: string
  version: number
}
interface Result {
  users: number
  isPlanReached: boolean
  advice: string
  sampleRatio: { chiSquare: number; p: number; isMismatch: boolean }
  arms: { key: string; users: number }[]
  metrics: {
    metric: string
    arms: {
      key: string
      estimate: { value: number } | null
      comparison: { difference: number; p: number; interval: { low: number; high: number }; anytime: { low: number; high: number } } | null
    }[]
  }[]
}

let house: TestApp
beforeAll(async () => {
  house = await startTestApp()
  await fillShop(house)
  const { models } = await house.app.trainer.train({ task: 'RECOMMENDATION', algorithm: 'item-cf' })
  await house.app.modelsService.approve({ id: 'test', name: 'test' }, { modelId: idOf('Model', models[0].id) })
  await house.app.liveModels.look()
}, 60_000)
afterAll(() => house.close())

const idOf = (type: string, key: string) => Buffer.from(`${type}:${key}`).toString('base64url')
const run = async <T>(query: string, variables: Record<string, unknown> = {}, kind: 'marketer' | 'campaign' | 'ingest' = 'marketer') => {
  const { data, errors } = await house.as(kind).run(query, variables)
  expect(errors).toBeUndefined()
  return data as never as T
}
const write = async (verb: string, input: Record<string, unknown>) => {
  const { done } = await run<{
    done: {
      experiment: Experiment | null
      preview: Experiment | null
      userErrors: { code: string; field: string[] | null; message: string }[]
    }
  }>(
    `mutation($input: RecommendationExperiment${['Start', 'Stop'].includes(verb) ? 'Action' : verb}Input!) {
      done: recommendationExperiment${verb}(input: $input) { experiment { id status version } preview { id status version } userErrors { code field message } idempotentReplay } }`,
    { input },
  )
  return done
}
const ARMS = [
  { key: 'control', share: 0.5 },
  { key: 'explore', share: 0.5, exploration: 0.5 },
]
const made = async (name: string, more: Record<string, unknown> = {}) => {
  const { experiment, userErrors } = await write('Create', { name, arms: ARMS, placement: name, ...more })
  expect(userErrors).toEqual([])
  return experiment as Experiment
}
const list = async (user: string, placement: string) =>
  (
    await run<{ recommendations: { decisionId: string; items: { product: { externalId: string } }[] } }>(
      'query($user: String, $placement: String) { recommendations(userExternalId: $user, placement: $placement, first: 3) { decisionId items { product { externalId } } } }',
      { user, placement },
    )
  ).recommendations
const RESULT = `users isPlanReached advice sampleRatio { chiSquare p isMismatch } arms { key users }
  metrics { metric arms { key estimate { value } comparison { difference p interval { low high } anytime { low high } } } }`
const resultOf = async (id: string) =>
  (await run<{ e: { result: Result } }>(`query($id: ID!) { e: recommendationExperiment(id: $id) { result { ${RESULT} } } }`, { id })).e
    .result

describe('the life of an experiment', () => {
  test('is drafted, changed, started and stopped, each once, and never goes back', async () => {
    const draft = await made('life')
    expect(draft).toMatchObject({ status: 'DRAFT', version: 1 })
    const changed = await write('Update', { experimentId: draft.id, expectedVersion: 1, plannedUsers: 50 })
    expect(changed.experiment?.version).toBe(2)
    expect((await write('Update', { experimentId: draft.id, expectedVersion: 1, name: 'late' })).userErrors).toMatchObject([
      { code: 'VERSION_CONFLICT' },
    ])
    expect((await write('Stop', { experimentId: draft.id })).userErrors).toMatchObject([{ code: 'ILLEGAL_TRANSITION' }])
    const dry = await write('Start', { experimentId: draft.id, dryRun: true })
    expect(dry).toMatchObject({ experiment: null, preview: { status: 'RUNNING', version: 3 } })
    expect((await write('Start', { experimentId: draft.id })).experiment).toMatchObject({ status: 'RUNNING', version: 3 })
    expect((await write('Start', { experimentId: draft.id })).userErrors).toMatchObject([{ code: 'ILLEGAL_TRANSITION' }])
    expect((await write('Update', { experimentId: draft.id, name: 'x' })).userErrors).toMatchObject([{ code: 'ILLEGAL_TRANSITION' }])
    expect((await write('Stop', { experimentId: draft.id, note: 'done' })).experiment).toMatchObject({ status: 'STOPPED', version: 4 })
    expect((await write('Start', { experimentId: draft.id })).userErrors).toMatchObject([{ code: 'ILLEGAL_TRANSITION' }])
  })

  test('of parallel starts in one placement one wins', async () => {
    const both = [await made('race'), await made('race')]
    const outcomes = await Promise.all(both.map(({ id }) => write('Start', { experimentId: id })))
    expect(outcomes.filter(({ experiment }) => experiment !== null)).toHaveLength(1)
    expect(outcomes.flatMap(({ userErrors }) => userErrors)).toMatchObject([{ code: 'ILLEGAL_TRANSITION' }])
  })

  test('a key makes one experiment of two calls, a dry run makes none', async () => {
    const input = { name: 'once', arms: ARMS, idempotencyKey: 'experiment-1' }
    const [first, again] = [await write('Create', input), await write('Create', input)]
    expect(again).toMatchObject({ experiment: { id: first.experiment?.id }, idempotentReplay: true })
    const dry = await write('Create', { name: 'dry', arms: ARMS, dryRun: true })
    expect(await run('query($id: ID!) { recommendationExperiment(id: $id) { id } }', { id: dry.preview?.id })).toEqual({
      recommendationExperiment: null,
    })
  })

  test.each([
    [{ arms: [ARMS[0]] }, ['arms']],
    [{ arms: [ARMS[0], { key: 'b', share: 0.4 }] }, ['arms']],
    [{ arms: [ARMS[0], { key: 'control', share: 0.5 }] }, ['arms']],
    [
      {
        arms: [
          { key: 'a', share: 1 },
          { key: 'b', share: 0.5 },
        ],
      },
      ['arms', '0', 'share'],
    ],
    [{ arms: [ARMS[0], { key: ' ', share: 0.5 }] }, ['arms', '1', 'key']],
    [{ arms: [ARMS[0], { key: 'b', share: 0.5, diversity: 2 }] }, ['arms', '1', 'diversity']],
    [{ arms: [ARMS[0], { key: 'b', share: 0.5, exploration: -1 }] }, ['arms', '1', 'exploration']],
    [{ arms: ARMS, name: '' }, ['name']],
    [{ arms: ARMS, plannedUsers: 0 }, ['plannedUsers']],
  ])('refuses %j and names the place', async (input, field) => {
    expect((await write('Create', { name: 'bad', ...input })).userErrors).toMatchObject([{ code: 'INVALID', field }])
  })

  test('a campaign may look and not write', async () => {
    const { errors } = await house
      .as('campaign')
      .run('mutation { recommendationExperimentStop(input: { experimentId: "x" }) { userErrors { code } } }')
    expect(errors?.[0].extensions.code).toBe('FORBIDDEN')
  })
})

describe('in a placement with rules', () => {
  const users = Array.from({ length: 40 }, (_, at) => `r${at}`)
  const ruled = async (name: string, rules: object, arms: object[]) => {
    await house.app.placements.upsert({ name: 'test' }, { name, rules } as never)
    const { id } = await made(name, { arms })
    await write('Start', { experimentId: id })
  }
  type Answer = {
    recommendations: { servedBy: string; decisionId: string; items: { product: { externalId: string; categories: string[] } }[] }
  }
  const answers = (placement: string, first: number) =>
    Promise.all(
      users.map(async user => {
        const { recommendations } = await run<Answer>(
          'query($u: String, $p: String, $n: Int) { recommendations(userExternalId: $u, placement: $p, first: $n) { servedBy decisionId items { product { externalId categories } } } }',
          { u: user, p: placement, n: first },
        )
        const { decision } = await run<{ decision: { experiment: { arm: string; probability: number } } }>(
          'query($id: ID!) { decision(id: $id) { experiment { arm probability } } }',
          { id: recommendations.decisionId },
        )
        const { items, servedBy } = recommendations
        return { ...decision.experiment, servedBy, items: items.map(({ product }) => product) }
      }),
    )
  beforeAll(async () => {
    const looked = users.map((userId, at) => ({ userId, productId: `p${at % 12}`, type: 'VIEW', messageId: `ruled-${at}` }))
    await run('mutation($e: [EventInput!]!) { eventsTrack(input: { events: $e }) { accepted } }', { e: looked }, 'ingest')
  })

  test('an arm without an algorithm is served as the placement says, and what is pinned is not left to chance', async () => {
    const rules = {
      algorithm: 'POPULARITY',
      filters: [{ name: 'tea', where: { category: 'tea' } }],
      pins: [{ productExternalId: 'p3', position: 2 }],
    }
    await ruled('pinned', rules, [
      { key: 'as-is', share: 0.5 },
      { key: 'own', share: 0.5, algorithm: 'ITEM_CF', exploration: 0.5 },
    ])
    const lists = await answers('pinned', 4)
    expect(new Set(lists.map(({ arm, servedBy }) => `${arm}: ${servedBy}`))).toEqual(
      new Set(['as-is: popularity (baseline)', 'own: item-cf v1']),
    )
    for (const { items, probability } of lists) {
      expect(probability).toBe(1)
      expect(items[1].externalId).toBe('p3')
      expect(items.map(({ categories }) => categories)).toEqual(Array(4).fill(['tea']))
    }
  })

  test('chance draws among what the rules let through, and never what a person demoted', async () => {
    const product = await house.app.catalogue.byExternalId('p2')
    await house.app.catalogue.demote(product?.key ?? 0, true, 'a test')
    await ruled('drawn', { excludeSeen: false, filters: [{ name: 'tea', where: { category: 'tea' } }] }, [
      { key: 'as-is', share: 0.02 },
      { key: 'explore', share: 0.98, algorithm: 'POPULARITY', exploration: 1 },
    ])
    const drawn = (await answers('drawn', 6)).filter(({ arm }) => arm === 'explore')
    expect(drawn.length).toBeGreaterThan(20)
    for (const { items, probability } of drawn) {
      expect(probability).toBeGreaterThan(0)
      expect(probability).toBeLessThan(1)
      expect(items.map(({ externalId }) => externalId).sort()).toEqual(['p0', 'p1', 'p2', 'p3', 'p4', 'p5'])
      expect(items[5].externalId).toBe('p2')
    }
    expect(new Set(drawn.map(({ items }) => items[0].externalId)).size).toBeGreaterThan(1)
    await house.app.catalogue.demote(product?.key ?? 0, false, 'a test')
  })
})

test('a visitor who turns out to be somebody stays in his arm, and is one person until they are taken apart again', async () => {
  const visitors = Array.from({ length: 12 }, (_, at) => `cookie-${at}`)
  const known = visitors.map((_, at) => `known-${at}`)
  const track = (events: object[]) =>
    run('mutation($e: [EventInput!]!) { eventsTrack(input: { events: $e }) { accepted } }', { e: events }, 'ingest')
  const { id } = await made('joined')
  await write('Start', { experimentId: id })
  await track(visitors.map((anonymousId, at) => ({ anonymousId, productId: `p${at % 12}`, type: 'VIEW', messageId: `joined-${at}` })))
  const armsOf = (users: string[]) =>
    Promise.all(
      users.map(async user => {
        const { decision } = await run<{ decision: { experiment: { arm: string } } }>(
          'query($id: ID!) { decision(id: $id) { experiment { arm } } }',
          { id: (await list(user, 'joined')).decisionId },
        )
        return decision.experiment.arm
      }),
    )
  const arms = await armsOf(visitors.map(visitor => `anonymous:${visitor}`))
  expect(new Set(arms).size).toBe(2)
  for (const [at, visitor] of visitors.entries()) await house.app.events.identify({ externalId: known[at] }, visitor)
  expect(await armsOf(known)).toEqual(arms)
  expect(await armsOf(visitors.map(visitor => `anonymous:${visitor}`))).toEqual(arms)
  await track(known.map((userId, at) => ({ userId, productId: `p${at % 12}`, type: 'PURCHASE', price: 1, messageId: `joined-buy-${at}` })))
  const result = await resultOf(id)
  expect(result.users).toBe(12)
  expect(result.arms.map(({ key, users }) => [key, users])).toEqual(
    ['control', 'explore'].map(key => [key, arms.filter(arm => arm === key).length]),
  )
  const conversion = result.metrics.find(({ metric }) => metric === 'CONVERSION')
  expect(conversion?.arms.map(arm => arm.estimate?.value)).toEqual([1, 1])
  const [{ merge }] = await house.app.database.sql<{ merge: string }>(
    `SELECT m.id AS merge FROM "IdentityMerge" m JOIN "User" u ON u.id = m."fromUserId" WHERE u."externalId" = 'anonymous:cookie-0'`,
  )
  await run('mutation($id: ID!) { userUnmerge(input: { mergeId: $id }) { userErrors { code } } }', { id: idOf('IdentityMerge', merge) })
  expect((await resultOf(id)).users).toBe(13)
  expect(await armsOf([known[0], 'anonymous:cookie-0'])).toEqual([arms[0], arms[0]])
}, 60_000)

test('who is in which arm stays, follows the shares, and is another for another salt', () => {
  const arms = [{ share: 0.2 }, { share: 0.5 }, { share: 0.3 }]
  const counts = [0, 0, 0]
  let same = 0
  for (let user = 1; user <= 5_000; user++) {
    const arm = armOf('salt', user, arms)
    counts[arm]++
    if (arm === armOf('pepper', user, arms)) same++
    if (armOf('salt', user, arms) !== arm) throw new Error(`User ${user} has moved`)
  }
  for (const [arm, { share }] of arms.entries()) expect(counts[arm] / 5_000).toBeCloseTo(share, 1)
  expect(same / 5_000).toBeCloseTo(0.04 + 0.25 + 0.09, 1)
})

describe('a running experiment', () => {
  let experiment: Experiment
  // Each has looked at one product only, so that there is something to choose from.
  const users = Array.from({ length: 60 }, (_, at) => `v${at}`)
  beforeAll(async () => {
    experiment = await made('home', { plannedUsers: 40 })
    const looked = users.map((userId, at) => ({ userId, productId: `p${at % 12}`, type: 'VIEW', messageId: `look-${at}` }))
    await run('mutation($e: [EventInput!]!) { eventsTrack(input: { events: $e }) { accepted } }', { e: looked }, 'ingest')
    await write('Start', { experimentId: experiment.id })
    // Everybody is asked twice, and all at once: an exposure is stored once.
    const asked = await Promise.all(users.map(user => list(user, 'home')))
    await Promise.all(users.map(user => list(user, 'home')))
    // Whoever saw a list of the exploring arm clicks its first product and buys it.
    const events: object[] = []
    for (const [at, { decisionId, items }] of asked.entries()) {
      const { decision } = await run<{ decision: { experiment: { arm: string } } }>(
        'query($id: ID!) { decision(id: $id) { experiment { arm } } }',
        { id: decisionId },
      )
      if (decision.experiment.arm !== 'explore') continue
      const product = { userId: users[at], productId: items[0].product.externalId }
      events.push({ ...product, messageId: `click-${at}`, type: 'CLICK' })
      if (at % 3 > 0) events.push({ ...product, messageId: `buy-${at}`, type: 'PURCHASE', quantity: 2, price: 5 + (at % 4) })
    }
    await run('mutation($e: [EventInput!]!) { eventsTrack(input: { events: $e }) { accepted } }', { e: events }, 'ingest')
  }, 60_000)

  test('counts everybody once, and measures each arm with its interval', async () => {
    const result = await resultOf(experiment.id)
    expect(result).toMatchObject({ users: 60, isPlanReached: true, sampleRatio: { isMismatch: false } })
    expect(result.arms.reduce((sum, arm) => sum + arm.users, 0)).toBe(60)
    const metric = (name: string) => result.metrics.find(each => each.metric === name)?.arms ?? []
    const [control, explore] = metric('CLICK_THROUGH')
    expect(control.estimate?.value).toBe(0)
    // The second list was shown before the click, so both of a user's lists may hold what he clicked.
    expect(explore.estimate?.value).toBeGreaterThan(0.4)
    expect(explore.comparison?.interval.low).toBeGreaterThan(0)
    const [, bought] = metric('CONVERSION')
    expect(bought.estimate?.value).toBeGreaterThan(0.3)
    expect(bought.comparison?.p).toBeLessThan(0.001)
    const [, revenue] = metric('REVENUE_PER_VISITOR')
    expect(revenue.estimate?.value).toBeGreaterThan(3)
    const { interval, anytime } = revenue.comparison ?? { interval: { low: 0, high: 0 }, anytime: { low: 0, high: 0 } }
    expect(anytime.low).toBeLessThan(interval.low)
    expect(anytime.high).toBeGreaterThan(interval.high)
  })

  test('a list that was answered again counts like any other', async () => {
    const repository = new ExperimentsRepository(house.app.database)
    const key = Buffer.from(experiment.id, 'base64url').toString().split(':')[1]
    await eventually(async () => {
      const lists = (await repository.sums(key, new Date())).filter(({ metric }) => metric === 'CLICK_THROUGH')
      return lists.length === 2 && lists.every(({ users: of, y }) => y === 2 * of)
    })
  })

  test('a decision says which arm answered, and what chance its first item had', async () => {
    const chances: { arm: string; share: number; probability: number }[] = []
    for (const user of users.slice(0, 20)) {
      const { decisionId } = await list(user, 'home')
      const { decision } = await run<{ decision: { rules: string[]; experiment: (typeof chances)[number] } }>(
        'query($id: ID!) { decision(id: $id) { rules experiment { arm share probability } } }',
        { id: decisionId },
      )
      expect(decision.rules.some(rule => rule.startsWith('Experiment "home"'))).toBe(true)
      chances.push(decision.experiment)
    }
    for (const { arm, share, probability } of chances) {
      expect(share).toBe(0.5)
      expect(probability <= 1 && probability > 0).toBe(true)
      if (arm === 'control') expect(probability).toBe(1)
    }
  })

  test('another placement, an unknown visitor and a named algorithm are no part of it', async () => {
    const { users: before } = await resultOf(experiment.id)
    await list('nobody-yet', 'home')
    await list('v1', 'elsewhere')
    expect((await resultOf(experiment.id)).users).toBe(before)
  })

  test('arms that lost their users are found out', async () => {
    const skewed = await made('skewed')
    await write('Start', { experimentId: skewed.id })
    const key = Buffer.from(skewed.id, 'base64url').toString().split(':')[1]
    await house.app.database.sql(
      `INSERT INTO "RecommendationExposure" ("experimentId", "userId", arm, at) SELECT $1, id, (id % 10 = 0)::int, now() - interval '1 minute' FROM "User"`,
      [key],
    )
    const { sampleRatio, advice } = await resultOf(skewed.id)
    expect(sampleRatio.isMismatch).toBe(true)
    expect(advice).toMatch(/no result may be trusted/)
  })

  test('who is erased stays a number in the counts', async () => {
    const before = await resultOf(experiment.id)
    await house.app.database.sql(
      `WITH gone AS (DELETE FROM "User" WHERE "externalId" = 'v59' RETURNING id) DELETE FROM "Event" WHERE "userId" = (SELECT id FROM gone)`,
    )
    const after = await resultOf(experiment.id)
    expect([after.users, after.arms]).toEqual([before.users, before.arms])
  })

  test('says what another policy would earn on what chance has shown', async () => {
    const QUERY = `query($a: RecommendationAlgorithm, $m: ID, $x: Float! = 0.5) { estimate: recommendationOffPolicyEstimate(algorithm: $a, modelId: $m, placement: "home", exploration: $x) {
      policy decisions value low high logged effectiveSize meanWeight caveats
      list { value low high logged effectiveSize meanWeight places { place decisions value logged } } } }`
    type Estimate = {
      estimate: { decisions: number; value: number | null; low: number; high: number; effectiveSize: number; caveats: string[]; list: List }
    }
    type List = {
      value: number
      logged: number
      effectiveSize: number
      meanWeight: number
      places: { place: number; decisions: number; value: number | null }[]
    }
    const { estimate: own } = await run<Estimate>(QUERY, { a: 'ITEM_CF' })
    expect(own.decisions).toBeGreaterThan(20)
    expect(own.value).toBeGreaterThan(0)
    expect(own.low).toBeLessThanOrEqual(own.value ?? 0)
    expect(own.effectiveSize).toBeGreaterThan(5)
    expect(own.effectiveSize).toBeLessThanOrEqual(own.decisions)
    // It is the policy that was logged, so that the log could show all of it.
    expect(own.list.places.map(({ place, decisions }) => [place, decisions])).toEqual([1, 2, 3].map(place => [place, own.decisions]))
    expect(own.list.value).toBeGreaterThanOrEqual(own.value ?? 0)
    expect(own.list.value).toBeCloseTo(own.list.logged, 4)
    expect(own.list.meanWeight).toBeCloseTo(1, 4)
    const { models } = await house.app.trainer.train({ task: 'RECOMMENDATION', algorithm: 'ease' })
    const { estimate: candidate } = await run<Estimate & { estimate: { policy: string } }>(QUERY, { m: idOf('Model', models[0].id) })
    expect((candidate as never as { policy: string }).policy).toBe('ease v1')
    expect(candidate.decisions).toBe(own.decisions)
    const { errors } = await house.as('marketer').run(QUERY, { a: 'ITEM_CF', m: 'x' })
    expect(errors?.[0].message).toMatch(/either algorithm or modelId/)
    const nowhere = await run<Estimate>(
      '{ estimate: recommendationOffPolicyEstimate(algorithm: ITEM_CF, placement: "nowhere") { value decisions caveats } }',
    )
    expect(nowhere.estimate).toMatchObject({
      value: null,
      decisions: 0,
      caveats: [expect.stringMatching(/No decision was made by chance/)],
    })
  }, 60_000)

  test('an estimate knows what had been bought, shown and named when a list was made, and leaves out whose filter it does not know', async () => {
    const rules = { excludeSeen: false, excludeBought: true, excludeShownDays: 7 }
    await house.app.placements.upsert({ name: 'test' }, { name: 'mindful', rules } as never)
    const arms = [
      { key: 'explore', share: 0.99, exploration: 0.5 },
      { key: 'control', share: 0.01 },
    ]
    const { id } = await made('mindful', { arms })
    const dealings = users.flatMap((userId, at) => [
      { userId, productId: `p${(at + 1) % 12}`, type: 'PURCHASE', price: 1, messageId: `mindful-buy-${at}` },
      { userId, productId: `p${(at + 2) % 12}`, type: 'IMPRESSION', messageId: `mindful-show-${at}` },
    ])
    await run('mutation($e: [EventInput!]!) { eventsTrack(input: { events: $e }) { accepted } }', { e: dealings }, 'ingest')
    await write('Start', { experimentId: id })
    const ASK = `query($user: String, $context: [String!], $where: ProductWhere) {
      recommendations(userExternalId: $user, placement: "mindful", contextProductExternalIds: $context, where: $where, first: 3) { items { rank } } }`
    const half = users.slice(0, 50)
    for (const [at, user] of half.entries()) await run(ASK, { user, context: at % 2 === 0 ? [`p${at % 12}`] : null })
    // What comes after a list must not change what the model is thought to have shown then.
    const later = half.map((userId, at) => ({
      userId,
      productId: `p${(at + 3) % 12}`,
      type: 'PURCHASE',
      price: 1,
      messageId: `later-${at}`,
    }))
    await run('mutation($e: [EventInput!]!) { eventsTrack(input: { events: $e }) { accepted } }', { e: later }, 'ingest')
    const estimate = async () =>
      (
        await run<{ e: { decisions: number; meanWeight: number; caveats: string[]; list: { meanWeight: number } } }>(
          '{ e: recommendationOffPolicyEstimate(algorithm: ITEM_CF, placement: "mindful", exploration: 0.5) { decisions meanWeight caveats list { meanWeight } } }',
        )
      ).e
    const own = await estimate()
    expect(own.decisions).toBeGreaterThan(40)
    expect(own.meanWeight).toBeCloseTo(1, 4)
    expect(own.list.meanWeight).toBeCloseTo(1, 4)
    for (const user of half.slice(0, 10)) await run(ASK, { user, where: { category: 'tea' } })
    const filtered = await estimate()
    expect(filtered.decisions).toBe(own.decisions)
    expect(filtered.caveats.at(-1)).toMatch(/^\d+ decisions more were asked for with a filter of their own/)
  }, 60_000)
})
