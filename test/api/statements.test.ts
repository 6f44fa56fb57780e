import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { eventually, startTestApp, type TestApp } from '../support/app.js'
import { countQueries, statementsOf } from '../support/count-queries.js'

// However long a list is, the number of SQL statements it costs stays the same.
let house: TestApp
/** Statements that come by the clock (a key's last use, live models); one a row would be 12 and more. */
const BACKGROUND = 3
beforeAll(async () => {
  house = await startTestApp({ threads: 1 })
  const worker = await house.startWorker()
  const events = []
  for (let user = 0; user < 30; user++)
    for (let step = 0; step < 4; step++)
      events.push({
        messageId: `${user}-${step}`,
        userId: `u${user}`,
        productId: `p${(user + 3 * step) % 30}`,
        type: 'PURCHASE',
        price: 5,
        timestamp: Date.now() - (step + 1) * 86_400_000 - user * 1000,
      })
  await house.as('ingest').run('mutation($e: [EventInput!]!) { eventsTrack(input: { events: $e }) { accepted } }', { e: events })
  for (let user = 0; user < 30; user++)
    await house.as('admin').run('mutation($i: UserUpsertInput!) { userUpsert(input: $i) { user { id } } }', {
      i: { externalId: `u${user}`, consents: [{ purpose: 'PERSONALISATION', granted: true }] },
    })
  for (let at = 0; at < 30; at++) {
    const entry = await house.app.faq.create({ question: `Question ${at}?`, answer: 'Yes', locale: 'en', dryRun: false })
    await house.app.faq.update({ name: 'test' }, { id: entry.entry.id, expectedVersion: 1, answer: 'No' })
    await house.as('admin').run('mutation($i: ReviewSubmitInput!) { reviewSubmit(input: $i) { review { id } } }', {
      i: { text: `Review ${at}`, userExternalId: `u${at}`, productExternalId: `p${at}` },
    })
  }
  await house.app.profiles.refreshOvertaken()
  await house.app.jobs.enqueue('train-models', { task: 'RECOMMENDATION', approve: 'for this test' })
  for (let job = 0; job < 25; job++) await house.app.jobs.enqueue('housekeeping', {}, { trigger: `test ${job}` })
  await eventually(async () => (await house.app.jobStore.page({}, undefined, 100)).every(row => row.state === 'COMPLETED'), 60_000)
  // Its own statements would be counted too.
  await worker.drain()
  for (let copy = 0; copy < 25; copy++)
    await house.app.database.sql(
      `INSERT INTO "Model" SELECT (jsonb_populate_record(NULL::"Model", to_jsonb(model) || jsonb_build_object('id', model.id || $1::text, 'version', version + 100 + $1::int, 'status', 'RETIRED'))).*
       FROM (SELECT * FROM "Model" LIMIT 1) AS model`,
      [String(copy)],
    )
  for (let copy = 0; copy < 25; copy++) await house.app.apiKeys.create(undefined, { name: `key ${copy}`, kind: 'ingest' })
  await house.app.liveModels.look()
}, 120_000)
afterAll(() => house.close())

const RECOMMENDED =
  'servedBy decisionId items { rank score product { id externalId title categories price { amountMicros } } reasons { text products { title } } }'
const lists: [string, (first: number) => string][] = [
  [
    'users with consents',
    first => `{ users(first: ${first}) { totalCount nodes { externalId consents { purpose granted } } pageInfo { endCursor } } }`,
  ],
  ['users by edges', first => `{ users(first: ${first}) { edges { cursor node { externalId consents { purpose } } } } }`],
  ['products', first => `{ products(first: ${first}) { totalCount nodes { externalId title price { amountMicros } stock attributes } } }`],
  [
    'products with similar ones',
    first =>
      `{ products(first: ${first}) { nodes { externalId similar(first: 3) { score product { title } reasons { text products { title } } } } } }`,
  ],
  ['recommendations', first => `{ recommendations(userExternalId: "u1", first: ${first}) { ${RECOMMENDED} } }`],
  ['models', first => `{ models(first: ${first}) { totalCount nodes { id task algorithm metrics guardrails { name passed } card } } }`],
  ['jobs', first => `{ jobs(first: ${first}) { totalCount nodes { id name state result } } }`],
  [
    'FAQ entries with their history',
    first => `{ faqEntries(first: ${first}) { totalCount nodes { question history { approvedBy versions { version changedBy } } } } }`,
  ],
  [
    'reviews of whom and what',
    first =>
      `{ reviews(first: ${first}) { totalCount nodes { text user { externalId consents { purpose } profile { rfm { label } segments { name } } } product { title sentiment { reviews } similar(first: 2) { rank } } } } }`,
  ],
  [
    'profiles with predictions',
    first =>
      `{ profiles(first: ${first}) { nodes { user { externalId } rfm { label } cluster { key } churnProbability { value decisionId } categoryAffinities(first: 2) { category } } } }`,
  ],
  ['keys', first => `{ apiKeys(first: ${first}) { totalCount nodes { id name prefix scopes } } }`],
]

test.each(lists)('%s', async (_, query) => {
  const cost = async (first: number) => {
    // What an earlier case left in memory must not make a list look cheap.
    house.app.catalogue.forget([])
    let length = 0
    const statements = await countQueries(async () => {
      const { data, errors } = await house.as('admin').run(query(first))
      expect(errors).toBeUndefined()
      length = JSON.stringify(data).length
    })
    return { statements, length }
  }
  await cost(3)
  const [short, long] = [await cost(3), await cost(30)]
  expect(long.length).toBeGreaterThan(short.length)
  expect(long.statements).toBeLessThanOrEqual(short.statements + BACKGROUND)
})

test('the recommendations of a list of users', async () => {
  const query = (first: number) =>
    `{ users(first: ${first}) { nodes { externalId recommendations(first: 2) { servedBy items { product { title } } } } } }`
  const once = (first: number) =>
    countQueries(async () => {
      house.app.catalogue.forget([])
      const { errors } = await house.as('admin').run(query(first))
      expect(errors).toBeUndefined()
    })
  // Look-ups of one turn share a statement; on a busy machine one list may take several turns, N + 1 would take them every time.
  const cost = async (first: number) => Math.min(await once(first), await once(first), await once(first), await once(first))
  await cost(2)
  const [short, long] = [await cost(3), await cost(15)]
  expect(long).toBeLessThanOrEqual(short + BACKGROUND)
})

test('totalCount is counted only when it is asked for', async () => {
  const counts = async (fields: string) =>
    (await statementsOf(() => house.as('admin').run(`{ users(first: 2) { ${fields} nodes { id } } }`))).filter(text =>
      /count\(\*\).* FROM "User"/.test(text),
    )
  expect(await counts('')).toHaveLength(0)
  expect(await counts('totalCount')).toHaveLength(1)
})

test.each(['users', 'products', 'models', 'jobs', 'apiKeys'])('%s(first: 101) is an error, never a silent cut', async list => {
  const { errors } = await house.as('admin').run(`{ ${list}(first: 101) { nodes { id } } }`)
  expect(errors?.[0]).toMatchObject({ message: 'first must be between 0 and 100, not 101', extensions: { code: 'BAD_USER_INPUT' } })
  const { data } = await house.as('admin').run(`query ($first: Int) { ${list}(first: $first) { nodes { id } } }`, { first: null })
  expect((data as Record<string, { nodes: unknown[] }> | null)?.[list].nodes.length).toBeLessThanOrEqual(20)
})
