import { afterAll, beforeAll, expect, test } from '@jest/globals'
import type { Database } from '../../../src/platform/database.js'
import { Decisions, type NewDecision } from '../../../src/registry/decisions.js'
import { eventually } from '../../support/app.js'
import { createTestDatabase } from '../../support/database.js'

const DAY_MS = 86_400_000
const MINUTE_MS = 60_000

let database: Database & { drop(): Promise<void> }
let decisions: Decisions
let clock = new Date()
beforeAll(async () => {
  database = await createTestDatabase()
  decisions = new Decisions(database, () => clock)
}, 60_000)
afterAll(() => database.drop())

const DECISION: NewDecision = {
  kind: 'recommendation',
  userId: null,
  modelId: 'model',
  servedBy: 'item-cf v1',
  contributions: [{ feature: 'p1', value: 'score', weight: 0.5 }],
  rules: ['3 products the user has seen were left out'],
  dropped: { counts: { seen: 3 }, examples: [{ item: 'p2', reason: 'out of stock' }] },
  consentBasis: 'PERSONALISATION not asked',
  input: { user: 'u1' },
}
const counted = async (of: string) =>
  (await database.sql<{ count: number; at: Date }>('SELECT count, at FROM "DecisionRepeat" WHERE "decisionId" = $1', [of]))[0]
const later = (ms: number) => {
  clock = new Date(clock.getTime() + ms)
}
/** While this goes on nothing can be counted, as when a disk is full. */
const whileNothingIsStored = async (work: () => Promise<void>) => {
  await database.sql(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no room'; END $$`)
  await database.sql('CREATE TRIGGER refusal BEFORE INSERT ON "DecisionRepeat" EXECUTE FUNCTION refuse()')
  await work().finally(() => database.sql('DROP FUNCTION refuse() CASCADE'))
}

test('what is answered again has a decision of its own, which tells the same, and is counted', async () => {
  const id = await decisions.record(DECISION)
  const first = await decisions.find(id)
  expect(first).toMatchObject({ id, sameAs: null, contributions: DECISION.contributions, rules: DECISION.rules, dropped: DECISION.dropped })
  later(MINUTE_MS)
  const again = decisions.repeat(id) as string
  const at = clock
  later(1)
  const onceMore = decisions.repeat(id) as string
  expect(new Set([id, again, onceMore, decisions.repeat(id)]).size).toBe(4)
  expect(await decisions.find(again)).toEqual({ ...first, id: again, at, sameAs: id })
  expect(await decisions.find(onceMore)).toEqual({ ...first, id: onceMore, at: clock, sameAs: id })
  await decisions.close()
  expect(await counted(id)).toEqual({ count: 3, at: clock })
  decisions.repeat(id)
  await decisions.close()
  expect(await counted(id)).toEqual({ count: 4, at: clock })
})

test('nobody has to ask for repeats to be counted', async () => {
  const id = await decisions.record(DECISION)
  for (let time = 0; time < 3; time++) decisions.repeat(id)
  await eventually(async () => (await counted(id))?.count === 3)
})

test('an id that nobody gave is no decision', async () => {
  const id = await decisions.record(DECISION)
  const time = (ms: number) => (clock.getTime() + ms).toString(36)
  const unknown = [
    'nothing.1',
    `${id}.`,
    `${id}.x`,
    `${id}.${time(0)}.`,
    `${id}.${time(-1)}.1`,
    `${id}.${time(3_600_000)}.1`,
    '.1',
    '.',
    '',
  ]
  const repeated = `${id}.${time(0)}.1`
  for (const each of [...unknown, `${repeated}.${time(0)}.1`, `${repeated}${'.1'.repeat(1_000_000)}`])
    expect(await decisions.find(each)).toBeNull()
  expect(await decisions.find(repeated)).toMatchObject({ sameAs: id })
})

test('what cannot be counted now is counted as soon as it can be; while too much waits nothing is repeated', async () => {
  const id = await decisions.record(DECISION)
  await whileNothingIsStored(async () => {
    const again = decisions.repeat(id) as string
    await decisions.close()
    expect(await counted(id)).toBeUndefined()
    expect(await decisions.find(again)).toMatchObject({ servedBy: 'item-cf v1' })
    for (let other = 1; other < 50_000; other++) decisions.repeat(`other ${other}`)
    await decisions.close()
    expect(decisions.repeat('one too many')).toBeUndefined()
    expect(decisions.repeat(id)).toBeDefined()
  })
  await decisions.close()
  expect((await counted(id)).count).toBe(2)
  expect((await database.sql(`SELECT 1 FROM "DecisionRepeat" WHERE "decisionId" LIKE 'other %'`)).length).toBe(49_999)
  expect(decisions.repeat(id)).toBeDefined()
  await decisions.close()
}, 60_000)

test('what repeats a decision is forgotten with it', async () => {
  clock = new Date(Date.now() - 90 * DAY_MS - 2 * MINUTE_MS)
  const old = await decisions.record(DECISION)
  later(MINUTE_MS)
  const again = decisions.repeat(old) as string
  later(DAY_MS)
  const young = await decisions.record(DECISION)
  const youngAgain = decisions.repeat(young) as string
  await decisions.close()
  clock = new Date()
  expect(await decisions.forgetOlderThan(90)).toBe(1)
  for (const id of [old, again]) expect(await decisions.find(id)).toBeNull()
  for (const id of [young, youngAgain]) expect(await decisions.find(id)).toMatchObject({ sameAs: id === young ? null : young })
  expect([await counted(old), (await counted(young)).count]).toEqual([undefined, 1])
})
