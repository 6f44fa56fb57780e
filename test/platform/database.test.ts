import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { createTestDatabase } from '../support/database.js'

let database: Awaited<ReturnType<typeof createTestDatabase>>
beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())

test('Prisma and plain SQL see the same rows, and bigint columns are BigInt in both', async () => {
  await database.prisma.user.create({ data: { externalId: 'anna' } })
  const rows = await database.sql<{ externalId: string; n: bigint }>(
    'SELECT "externalId", 9007199254740993::bigint AS n FROM "User" WHERE "externalId" = $1',
    ['anna'],
  )
  expect(rows).toEqual([{ externalId: 'anna', n: 9007199254740993n }])
})

test('a transaction that throws leaves nothing behind', async () => {
  const failing = database.transaction(async tx => {
    await tx.user.create({ data: { externalId: 'ghost' } })
    throw new Error('no')
  })
  await expect(failing).rejects.toThrow('no')
  expect(await database.prisma.user.count({ where: { externalId: 'ghost' } })).toBe(0)
})
