import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { eventually, startTestApp, type TestApp } from './support/app.js'

// One visitor's way through the house: event → training → refused → approved → recommended → asked why.
let house: TestApp
beforeAll(async () => {
  house = await startTestApp()
  await house.startWorker()
}, 60_000)
afterAll(() => house.close())

const products = Array.from({ length: 12 }, (_, index) => `p${index}`)

test('products and visitors with two tastes come in', async () => {
  for (const externalId of products) {
    const { data } = await house
      .as('ingest')
      .run('mutation($i: ProductUpsertInput!) { productUpsert(input: $i) { product { externalId } userErrors { message } } }', {
        i: { externalId, title: `Product ${externalId}`, categories: [Number(externalId.slice(1)) < 6 ? 'tea' : 'tents'] },
      })
    expect(data).toMatchObject({ productUpsert: { product: { externalId }, userErrors: [] } })
  }
  const events = []
  const start = Date.now() - 40 * 86_400_000
  for (let user = 0; user < 60; user++) {
    const base = user % 2 === 0 ? 0 : 6
    for (let step = 0; step < 5; step++)
      events.push({
        messageId: `${user}-${step}`,
        userId: `u${user}`,
        productId: `p${base + ((user + step) % 6)}`,
        type: 'PURCHASE',
        quantity: 1,
        price: 9.99,
        timestamp: start + step * 6 * 86_400_000 + user * 1000,
      })
  }
  const { data } = await house
    .as('ingest')
    .run('mutation($e: [EventInput!]!) { eventsTrack(input: { events: $e }) { accepted duplicates rejected userErrors { message } } }', {
      e: events,
    })
  expect(data).toEqual({ eventsTrack: { accepted: 300, duplicates: 0, rejected: 0, userErrors: [] } })
})

test('before anything is learned, a visitor is shown what there is, and told so', async () => {
  const { data } = await house
    .as('marketer')
    .run('{ recommendations(userExternalId: "u0", first: 3) { servedBy fallbacks items { product { externalId } } } }')
  expect(data).toMatchObject({ recommendations: { fallbacks: expect.arrayContaining([expect.stringContaining('baseline')]) } })
  expect((data as never as { recommendations: { items: unknown[] } }).recommendations.items).toHaveLength(3)
})

let candidates: { id: string; algorithm: string; status: string }[]

test('training makes candidates with a card, and none of them acts', async () => {
  const { data } = await house
    .as('marketer')
    .run('mutation { modelTrain(input: { task: RECOMMENDATION, idempotencyKey: "first" }) { job { id state } userErrors { message } } }')
  const { id } = (data as never as { modelTrain: { job: { id: string } } }).modelTrain.job
  const job = await eventually(async () => {
    const answer = (await house.as('marketer').run('query($id: ID!) { job(id: $id) { state message error } }', { id })).data as never as {
      job: { state: string; message: string; error: string }
    }
    return ['COMPLETED', 'FAILED'].includes(answer.job.state) && answer.job
  })
  expect(job).toMatchObject({ state: 'COMPLETED', error: null })
  const models = (await house.as('marketer').run('{ models { nodes { id algorithm status card guardrails { name passed } } } }'))
    .data as never as { models: { nodes: (typeof candidates)[number][] } }
  candidates = models.models.nodes
  const taught = house.app.tasks.get('RECOMMENDATION')?.algorithms.slice(1) ?? []
  expect(candidates.map(model => model.algorithm).sort()).toEqual(taught.map(({ name }) => name).sort())
  for (const name of ['item-cf', 'user-cf']) expect(candidates.find(model => model.algorithm === name)?.status).toBe('CANDIDATE')
  expect(candidates.every(({ status }) => ['CANDIDATE', 'BLOCKED'].includes(status))).toBe(true)
  const { data: answer } = await house.as('marketer').run('{ recommendations(userExternalId: "u0") { servedBy modelId } }')
  expect(answer).toEqual({ recommendations: { servedBy: 'popularity (baseline)', modelId: null } })
})

const REVIEW = (name: string) =>
  `mutation($i: ModelReviewInput!) { ${name}(input: $i) { model { status reviewedBy reviewNote } userErrors { code message } } }`

test('a reviewer refuses one for good; a key without the scope may not', async () => {
  const refused = candidates.find(model => model.algorithm === 'user-cf') as { id: string }
  const denied = await house.as('campaign').run(REVIEW('modelReject'), { i: { modelId: refused.id } })
  expect(denied.errors?.[0].extensions.code).toBe('FORBIDDEN')
  const { data } = await house.as('marketer').run(REVIEW('modelReject'), { i: { modelId: refused.id, note: 'too slow' } })
  expect(data).toEqual({ modelReject: { model: { status: 'REJECTED', reviewedBy: 'marketer', reviewNote: 'too slow' }, userErrors: [] } })
  const { data: again } = await house.as('marketer').run(REVIEW('modelApprove'), { i: { modelId: refused.id } })
  expect(again).toMatchObject({ modelApprove: { model: null, userErrors: [{ code: 'ILLEGAL_TRANSITION' }] } })
})

test('the approved one serves within seconds, and explains what it recommends', async () => {
  const approved = candidates.find(model => model.algorithm === 'item-cf') as { id: string }
  const { data } = await house.as('marketer').run(REVIEW('modelApprove'), { i: { modelId: approved.id, note: 'good' } })
  expect(data).toMatchObject({ modelApprove: { model: { status: 'LIVE' } } })
  const list = await eventually(async () => {
    const answer = (
      await house
        .as('marketer')
        .run(
          '{ recommendations(userExternalId: "u0", first: 3, excludeSeen: true) { servedBy modelId decisionId items { rank score product { externalId } reasons { kind text weight products { externalId } } } } }',
        )
    ).data as never as { recommendations: Recommended }
    return answer.recommendations.modelId === approved.id && answer.recommendations
  })
  expect(list.servedBy).toBe('item-cf v1')
  expect(list.items[0].product.externalId).toBe('p5')
  expect(list.items[0].reasons[0]).toMatchObject({
    kind: 'neighbour-item',
    text: expect.stringContaining('Chosen by people who chose Product p'),
  })
  const { data: why } = await house
    .as('marketer')
    .run(
      'query($id: ID!) { decision(id: $id) { kind modelId contributions { feature value weight } rules dropped inputHash consentBasis } }',
      { id: list.decisionId },
    )
  expect(why).toMatchObject({
    decision: { kind: 'recommendation', modelId: approved.id, consentBasis: 'PERSONALISATION not asked', dropped: { counts: { seen: 5 } } },
  })
})

test('who has just acted is answered accordingly at the next request, before any training', async () => {
  const before = (await house.as('marketer').run('{ recommendations(userExternalId: "newcomer", first: 2) { fallbacks } }')).data
  expect(before).toMatchObject({ recommendations: { fallbacks: [expect.stringContaining('unknown')] } })
  await house
    .as('ingest')
    .run('mutation { eventsTrack(input: { events: [{ userId: "newcomer", productId: "p7", type: VIEW }] }) { accepted } }')
  const { data } = await house
    .as('marketer')
    .run('{ recommendations(userExternalId: "newcomer", first: 5) { servedBy items { product { externalId categories } } } }')
  const { servedBy, items } = (data as never as { recommendations: Recommended }).recommendations
  expect(servedBy).toBe('item-cf v1')
  expect(items.slice(0, 4).every(item => item.product.categories[0] === 'tents')).toBe(true)
  expect(items.some(item => item.product.externalId === 'p7')).toBe(false)
})

interface Recommended {
  servedBy: string
  modelId: string | null
  decisionId: string
  items: { product: { externalId: string; categories: string[] }; reasons: { kind: string; text: string }[] }[]
}
