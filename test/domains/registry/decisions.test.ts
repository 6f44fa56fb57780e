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
const stored = (of: string) =>
  database.sql<{ id: string; at: Date; detail: object | null }>(`SELECT id, at, detail FROM "Decision" WHERE "sameAs" = $1 ORDER BY at`, [
    of,
  ])
const later = (ms: number) => {
  clock = new Date(clock.getTime() + ms)
}
/** While this goes on no decision can be stored, as when a disk is full. */
const whileNothingIsStored = async (work: () => Promise<void>) => {
  await database.sql(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no room'; END $$`)
  await database.sql('CREATE TRIGGER refusal BEFORE INSERT ON "Decision" EXECUTE FUNCTION refuse()')
  await work().finally(() => database.sql('DROP FUNCTION refuse() CASCADE'))
}

test('what is answered again has a decision of its own, which tells the same before it is stored and after', async () => {
  const id = await decisions.record(DECISION)
  const first = await decisions.find(id)
  expect(first).toMatchObject({ id, sameAs: null, contributions: DECISION.contributions, rules: DECISION.rules, dropped: DECISION.dropped })
  later(MINUTE_MS)
  const again = decisions.repeat(id) as string
  const at = clock
  later(1)
  const onceMore = decisions.repeat(id) as string
  expect(new Set([id, again, onceMore]).size).toBe(3)
  expect(await decisions.find(again)).toEqual({ ...first, id: again, sameAs: id })
  await decisions.close()
  expect(await decisions.find(again)).toEqual({ ...first, id: again, at, sameAs: id })
  expect(await stored(id)).toEqual([
    { id: again, at, detail: null },
    { id: onceMore, at: clock, detail: null },
  ])
})

test('nobody has to ask for repeats to be stored', async () => {
  const id = await decisions.record(DECISION)
  for (let time = 0; time < 3; time++) decisions.repeat(id)
  await eventually(async () => (await stored(id)).length === 3)
})

test('an id that repeats nothing is no decision', async () => {
  const id = await decisions.record(DECISION)
  for (const unknown of ['nothing.1', `${id}.`, `${id}.x`, '.1', '.', '']) expect(await decisions.find(unknown)).toBeNull()
})

test('what cannot be stored is told all the same, and stored as soon as it can be; when too much waits nothing is repeated', async () => {
  const id = await decisions.record(DECISION)
  const repeats: (string | undefined)[] = []
  await whileNothingIsStored(async () => {
    repeats.push(decisions.repeat(id))
    await decisions.close()
    expect(await stored(id)).toEqual([])
    expect(await decisions.find(repeats[0] as string)).toMatchObject({ servedBy: 'item-cf v1' })
    for (let time = 1; time < 50_000; time++) repeats.push(decisions.repeat(id))
    expect(repeats).not.toContain(undefined)
    expect(decisions.repeat(id)).toBeUndefined()
  })
  await decisions.close()
  expect((await stored(id)).length).toBe(50_000)
  expect(decisions.repeat(id)).toBeDefined()
}, 60_000)

test('what repeats a decision is forgotten with it', async () => {
  clock = new Date(Date.now() - 90 * DAY_MS - MINUTE_MS / 2)
  const old = await decisions.record(DECISION)
  later(MINUTE_MS)
  const again = decisions.repeat(old) as string
  later(DAY_MS)
  const young = await decisions.record(DECISION)
  const youngAgain = decisions.repeat(young) as string
  await decisions.close()
  clock = new Date()
  expect(await decisions.forgetOlderThan(90)).toBe(2)
  for (const id of [old, again]) expect(await decisions.find(id)).toBeNull()
  for (const id of [young, youngAgain]) expect(await decisions.find(id)).toMatchObject({ id })
})

test('of a decision that is gone no repeat is stored', async () => {
  const id = await decisions.record(DECISION)
  const again = decisions.repeat(id) as string
  await database.sql('DELETE FROM "Decision" WHERE id = $1', [id])
  await decisions.close()
  expect(await stored(id)).toEqual([])
  expect(await decisions.find(again)).toBeNull()
})
