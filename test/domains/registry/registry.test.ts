import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { type App, createApp } from '../../../src/app.js'
import { encodeId } from '../../../src/graphql/node-id.js'
import { silentLog } from '../../../src/platform/log.js'
import { guard } from '../../../src/registry/guardrails.js'
import { LiveModels } from '../../../src/registry/live-models.js'
import { ModelRepository, type ModelRow } from '../../../src/registry/model.repository.js'
import { eventually, startTestApp, type TestApp } from '../../support/app.js'
import { fillShop } from '../../support/shop.js'

// Two instances of the platform on one database: the reviewed one, and another host that only watches.
let house: TestApp
let other: App
beforeAll(async () => {
  house = await startTestApp()
  other = await createApp({ config: house.app.config, databaseUrl: house.app.database.url, log: silentLog, role: 'server' })
  await other.liveModels.start()
  await fillShop(house)
}, 60_000)
afterAll(async () => {
  other.liveModels.stop()
  await other.close()
  await house.close()
})

const train = async (algorithm: string, params?: Record<string, number>): Promise<ModelRow> => {
  const { models } = await house.app.trainer.train({ task: 'RECOMMENDATION', algorithm, params })
  return models[0]
}

const review = async (verb: 'modelApprove' | 'modelReject' | 'modelRollback', input: object) => {
  const { data, errors } = await house
    .as('marketer')
    .run(
      `mutation($i: ModelReviewInput!) { review: ${verb}(input: $i) { model { id status reviewedBy reviewNote reviewedAt liveAt retiredAt } userErrors { code message field } } }`,
      { i: input },
    )
  expect(errors).toBeUndefined()
  return (data as never as { review: { model: Reviewed | null; userErrors: { code: string; message: string; field: string[] }[] } }).review
}

interface Reviewed {
  id: string
  status: string
  reviewedBy: string
  reviewNote: string
  reviewedAt: string
}

const idOf = (model: ModelRow) => encodeId('Model', model.id)
const servedEverywhere = (servedBy: string) =>
  eventually(async () => [house.app, other].every(app => app.liveModels.live('RECOMMENDATION')?.servedBy === servedBy))
const stageOf = async (stage: string) => {
  const { data } = await house.as('admin').run('{ systemHealth { stage state reason } }')
  return (data as never as { systemHealth: { stage: string; state: string; reason: string }[] }).systemHealth.find(
    each => each.stage === stage,
  )
}

let first: ModelRow
let second: ModelRow

test('an approved model is live in every process within seconds, with reviewer, note and time', async () => {
  first = await train('item-cf')
  expect(first.status).toBe('CANDIDATE')
  const before = Date.now()
  const { model, userErrors } = await review('modelApprove', { modelId: idOf(first), note: 'measured twice' })
  expect(userErrors).toEqual([])
  expect(model).toMatchObject({ status: 'LIVE', reviewedBy: 'marketer', reviewNote: 'measured twice', retiredAt: null })
  expect(Date.parse((model as Reviewed).reviewedAt)).toBeGreaterThanOrEqual(before)
  await servedEverywhere('item-cf v1')
  expect(await stageOf('serve RECOMMENDATION')).toMatchObject({ state: 'ok', reason: 'item-cf v1' })
})

test('a dry run tells what would go live and what would retire, refuses what would be refused, and moves nothing', async () => {
  const candidate = await train('item-cf')
  const dry = async (verb: string, input: object) => {
    const query = `mutation($i: ModelReviewInput!) { review: ${verb}(input: $i) { model { id } preview { model { id status } becomes retires { id } } userErrors { code field } } }`
    return (await house.as('marketer').run(query, { i: { ...input, dryRun: true, idempotencyKey: 'dry' } })).data?.review
  }
  const model = { id: idOf(candidate), status: 'CANDIDATE' }
  expect(await dry('modelApprove', { modelId: model.id })).toEqual({
    model: null,
    preview: { model, becomes: 'LIVE', retires: { id: idOf(first) } },
    userErrors: [],
  })
  expect(await dry('modelApprove', { modelId: model.id, activate: false })).toMatchObject({
    preview: { becomes: 'APPROVED', retires: null },
  })
  expect(await dry('modelReject', { modelId: model.id })).toMatchObject({ preview: { becomes: 'REJECTED', retires: null } })
  expect(await dry('modelRollback', { modelId: model.id })).toMatchObject({ preview: null, userErrors: [{ code: 'ILLEGAL_TRANSITION' }] })
  expect(await house.app.modelsService.find(candidate.id)).toMatchObject({ status: 'CANDIDATE' })
  await review('modelReject', { modelId: model.id })
})

test('the next one retires it, also when the signal is lost', async () => {
  second = await train('user-cf')
  // As if the notification never arrived: the repository changes the rows, nobody announces it.
  const review = { by: 'somebody', note: null, at: new Date() }
  const database = house.app.database
  const { changes } = house.app.liveModels
  await house.app.liveModels.look()
  expect(house.app.liveModels.changes).toBe(changes)
  await database.sql(`UPDATE "Model" SET status = 'RETIRED', "retiredAt" = now() WHERE id = $1`, [first.id])
  await database.sql(`UPDATE "Model" SET status = 'LIVE', "liveAt" = now(), "reviewedBy" = $2 WHERE id = $1`, [second.id, review.by])
  await servedEverywhere('user-cf v1')
  expect(house.app.liveModels.changes).toBeGreaterThan(changes)
})

test('a roll-back brings the one before it back; what is not retired cannot be rolled back to', async () => {
  const { model } = await review('modelRollback', { modelId: idOf(second), note: 'clicks fell' })
  expect(model).toMatchObject({ id: idOf(first), status: 'LIVE', reviewedBy: 'marketer', reviewNote: 'clicks fell' })
  await servedEverywhere('item-cf v1')
  const { data } = await house
    .as('marketer')
    .run('query($id: ID!) { node(id: $id) { ... on Model { card reviews { verdict status by note at } } } }', {
      id: idOf(first),
    })
  const { card, reviews } = data!.node as unknown as { card: string; reviews: { at: string }[] }
  expect(reviews).toEqual([
    { verdict: 'APPROVED', status: 'LIVE', by: 'marketer', note: 'measured twice', at: expect.any(String) },
    { verdict: 'ROLLED_BACK', status: 'LIVE', by: 'marketer', note: 'clicks fell', at: expect.any(String) },
  ])
  const [approval, rollback] = reviews.map(({ at }) => at)
  expect(card).toContain(
    `## Reviews\n- ${approval} approved by marketer: measured twice\n- ${rollback} rolled back to by marketer: clicks fell\n`,
  )
  const candidate = await train('item-cf')
  expect((await review('modelRollback', { modelId: idOf(candidate) })).userErrors).toMatchObject([{ code: 'ILLEGAL_TRANSITION' }])
  const { model: refused } = await review('modelReject', { modelId: idOf(candidate), note: 'not needed' })
  expect(refused).toMatchObject({ status: 'REJECTED', reviewedBy: 'marketer', reviewNote: 'not needed' })
  const kept = await house.app.database.sql('SELECT verdict, status FROM "ModelReview" WHERE "modelId" = $1', [candidate.id])
  expect(kept).toEqual([{ verdict: 'REJECTED', status: 'REJECTED' }])
  expect((await review('modelApprove', { modelId: idOf(candidate) })).userErrors).toMatchObject([{ code: 'ILLEGAL_TRANSITION' }])
})

test('what the guardrails blocked cannot be approved, and the answer says which of them', async () => {
  const blocked = await train('item-cf', { minimumOverlap: 1_000 })
  expect(blocked).toMatchObject({ status: 'BLOCKED', guardrails: { passed: false } })
  const failed = blocked.guardrails.checks.filter(check => !check.passed).map(check => check.name)
  expect(failed).toEqual(['not worse than the live model'])
  const { model, userErrors } = await review('modelApprove', { modelId: idOf(blocked), note: 'I insist' })
  expect(model).toBeNull()
  expect(userErrors[0].message).toMatch(/guardrails blocked/)
  expect(house.app.liveModels.live('RECOMMENDATION')?.servedBy).toBe('item-cf v1')
})

test('a review of a model that moved on meanwhile is a conflict', async () => {
  const { userErrors } = await review('modelApprove', { modelId: idOf(first), expectedStatus: 'CANDIDATE' })
  expect(userErrors).toMatchObject([{ code: 'VERSION_CONFLICT', field: ['expectedStatus'] }])
})

test('of many approvals at once exactly one model stays live', async () => {
  const rivals = [await train('item-cf'), await train('user-cf'), await train('item-cf')]
  const answers = await Promise.all(rivals.map(model => review('modelApprove', { modelId: idOf(model) })))
  expect(answers.map(({ userErrors }) => userErrors)).toEqual([[], [], []])
  const [{ live }] = await house.app.database.sql<{ live: bigint }>(`SELECT count(*) AS live FROM "Model" WHERE status = 'LIVE'`)
  expect(live).toBe(1n)
})

test('a model whose stored bytes were changed is not taken into service; what served goes on, and a stage says so', async () => {
  await house.app.liveModels.look()
  const serving = house.app.liveModels.live('RECOMMENDATION')?.servedBy
  const broken = await train('item-cf')
  await house.app.database.sql(
    `UPDATE "Artifact" SET data = set_byte(data, length(data) / 2, get_byte(data, length(data) / 2) # 1) WHERE "modelId" = $1`,
    [broken.id],
  )
  const { model } = await review('modelApprove', { modelId: idOf(broken) })
  expect(model).toMatchObject({ status: 'LIVE' })
  const stage = await eventually(async () => {
    const found = await stageOf('serve RECOMMENDATION')
    return found?.state === 'degraded' && found
  })
  expect(stage.reason).toBe(`item-cf v${broken.version} cannot be loaded: its bytes do not have the checksum they were stored with`)
  const { data } = await house.as('marketer').run('{ recommendations(userExternalId: "u0", first: 1) { servedBy items { rank } } }')
  expect(data).toEqual({ recommendations: { servedBy: serving, items: [{ rank: 1 }] } })
  // Going back to the one before makes the stage well again.
  expect((await review('modelRollback', { modelId: idOf(broken) })).userErrors).toEqual([])
  await eventually(async () => (await stageOf('serve RECOMMENDATION'))?.state === 'ok')
})

test('a model that could not be loaded is tried again after a minute', async () => {
  const { database, tasks, signals } = house.app
  const [live] = (await house.app.modelsService.page({ first: 1, task: 'RECOMMENDATION', status: 'LIVE' })).nodes
  let now = Date.now()
  const models = new LiveModels(tasks, { models: new ModelRepository(database), database, signals, log: silentLog }, () => now)
  const served = async () => {
    await models.look()
    return models.live('RECOMMENDATION')?.modelId
  }
  await database.sql('ALTER TABLE "Artifact" RENAME TO "ArtifactAway"')
  try {
    expect(await served()).toBeUndefined()
  } finally {
    await database.sql('ALTER TABLE "ArtifactAway" RENAME TO "Artifact"')
  }
  expect(await stageOf('serve RECOMMENDATION')).toMatchObject({ state: 'degraded', reason: expect.stringContaining('does not exist') })
  now += 59_000
  expect(await served()).toBeUndefined()
  now += 1_000
  expect(encodeId('Model', (await served()) as string)).toBe(live.id)
  expect(await stageOf('serve RECOMMENDATION')).toMatchObject({ state: 'ok' })
})

test('a host that starts with a broken live model answers with the baseline', async () => {
  const live = house.app.liveModels.live('RECOMMENDATION')?.modelId
  await house.app.database.sql(`UPDATE "Artifact" SET data = substring(data FROM 1 FOR 40) WHERE "modelId" = $1`, [live])
  const fresh = await createApp({ config: house.app.config, databaseUrl: house.app.database.url, log: silentLog, role: 'server' })
  await fresh.liveModels.start()
  const answer = await fresh.recommendations.recommend({ userExternalId: 'u0', first: 2 })
  fresh.liveModels.stop()
  await fresh.close()
  expect(answer.servedBy).toBe('popularity (baseline)')
  expect(answer.items).toHaveLength(2)
  expect(answer.fallbacks).toContain('item-cf v6 cannot be loaded: the baseline answers')
})

describe('each guardrail', () => {
  const sound = {
    task: { primary: { metric: 'auc', higherIsBetter: true }, minimumRows: 10 },
    metrics: { auc: 0.7, coverage: 0.5 },
    baseline: { auc: 0.6, coverage: 1 },
    live: { auc: 0.7, coverage: 1 },
    rows: 10,
  }
  test('none stops a sound candidate', () => {
    expect(guard(sound)).toMatchObject({ passed: true })
    expect(guard({ ...sound, live: undefined })).toMatchObject({ passed: true })
  })
  test.each([
    ['enough data', { rows: 9 }],
    ['metrics complete', { metrics: { auc: 0.7, coverage: 0.5, logLoss: Number.NaN } }],
    ['metrics complete', { metrics: { coverage: 0.5 } }],
    ['better than the baseline', { baseline: { auc: 0.7 } }],
    ['better than the baseline', { metrics: { auc: Number.NaN } }],
    ['not worse than the live model', { live: { auc: 0.7001 } }],
    ['artifact loads again', { loadFault: 'it was cut short' }],
    ['covers the catalogue', { metrics: { auc: 0.7, coverage: 0 } }],
  ])('%s: %j is blocked', (name, change) => {
    const { passed, checks } = guard({ ...sound, ...(change as object) })
    expect(passed).toBe(false)
    expect(checks.filter(check => !check.passed).map(check => check.name)).toContain(name)
  })
  test('where less is better, less passes', () => {
    const task = { primary: { metric: 'rmse', higherIsBetter: false }, minimumRows: 1 }
    expect(guard({ task, rows: 1, metrics: { rmse: 1 }, baseline: { rmse: 2 } }).passed).toBe(true)
    expect(guard({ task, rows: 1, metrics: { rmse: 2 }, baseline: { rmse: 1 } }).passed).toBe(false)
  })
})

describe('who approves', () => {
  test('nobody, unless configuration says so', async () => {
    const trained = [await train('item-cf')]
    expect(await house.app.approver.approveByConfiguration(trained)).toEqual([])
    expect((await house.app.modelsService.find(trained[0].id))?.status).toBe('CANDIDATE')
  })

  test('by configuration the best candidate goes live, blocked ones never, and the review says who it was', async () => {
    const config = { ...house.app.config, autoApprove: true }
    const automatic = await createApp({ config, databaseUrl: house.app.database.url, log: silentLog, role: 'worker' })
    const trained = [await train('item-cf'), await train('item-cf', { minimumOverlap: 1_000 })]
    const sentences = await automatic.approver.approveByConfiguration(trained)
    await automatic.close()
    expect(sentences).toEqual([`item-cf v${trained[0].version} was approved by configuration and is live`])
    const rows = await house.app.database.sql(
      `SELECT status, "reviewedBy", "reviewNote" FROM "Model" WHERE id = ANY($1) ORDER BY version`,
      [trained.map(model => model.id)],
    )
    expect(rows).toEqual([
      { status: 'LIVE', reviewedBy: 'configuration', reviewNote: 'Approved by configuration: BELLWETHER_AUTO_APPROVE=on' },
      { status: 'BLOCKED', reviewedBy: null, reviewNote: null },
    ])
  })
})

test('the model card tells what a reviewer must know, with the numbers of the run', async () => {
  const { card, metrics, baselineMetrics, version, trainedRows } = await train('item-cf', { neighbours: 7 })
  expect(card).toMatch(new RegExp(`^# recommendation: item-cf version ${version}\n`))
  expect(card).toContain(` on ${trainedRows} rows from 20`)
  const shown = (value: number) => Number(value.toPrecision(4)).toString()
  expect(card).toContain(`| ndcgAt10 | ${shown(metrics.ndcgAt10)} | ${shown(baselineMetrics.ndcgAt10)} |`)
  expect(card).toContain('## Guardrails: passed')
  expect(card).toContain('✓ better than the baseline: ndcgAt10 ')
  expect(card).toContain('neighbours 7')
  expect(card).toContain(`Seed ${house.app.config.seed}`)
})
