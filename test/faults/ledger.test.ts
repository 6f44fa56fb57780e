import { expect, test } from '@jest/globals'
import { createTestDatabaseUrl } from '../support/database.js'
import { torture } from '../support/torture.js'

test('no kill of the server and no crowd spends more than the budget, and nothing that was answered is lost', async () => {
  const report = await torture({
    databaseUrl: await createTestDatabaseUrl(),
    root: process.cwd(),
    clients: 24,
    bids: 1_500,
    kills: 3,
    seed: 5,
  })
  expect(report).toMatchObject({ breaches: 0, wrongLedgers: 0, lost: 0, kills: 2 })
  expect(report.bids).toBeGreaterThan(300)
  expect(report.usedShare).toBeGreaterThan(0.5)
  expect(report.usedShare).toBeLessThanOrEqual(1)
}, 120_000)
