import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { refreshProfiles } from '../../../jobs/profiles.js'
import { startTestApp, type TestApp } from '../../support/app.js'

let house: TestApp
beforeAll(async () => {
  house = await startTestApp()
}, 60_000)
afterAll(() => house.close())

const refresh = (trigger: string) => refreshProfiles.run(house.app, {}, { trigger, signal: new AbortController().signal } as never)

test('while a file of events is merged, profiles wait for its end; what the shop sends meanwhile, and a file that never ends, are not waited for', async () => {
  const { sql } = house.app.database
  await sql(`INSERT INTO "User" ("externalId") VALUES ('anna')`)
  await sql(`INSERT INTO "Event" ("messageId", "userId", type, "occurredAt") SELECT 'm1', id, 'VIEW', now() FROM "User"`)
  await sql(`INSERT INTO "Import" (id, kind, format, state) VALUES ('i1', 'events', 'csv', 'RUNNING')`)
  expect(await refresh('schedule')).toMatch(/^Refreshed 0 profiles/)
  expect(await refresh('events.ingested')).toMatch(/^Refreshed 1 profiles/)
  await sql(`INSERT INTO "Event" ("messageId", "userId", type, "occurredAt") SELECT 'm2', id, 'VIEW', now() FROM "User"`)
  await sql(`UPDATE "Import" SET "createdAt" = now() - interval '2 hours'`)
  expect(await refresh('schedule')).toMatch(/^Refreshed 1 profiles/)
})
