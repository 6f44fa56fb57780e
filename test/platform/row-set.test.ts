import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { type ColumnTypes, rowSet, rowSetValues } from '../../src/platform/row-set.js'
import { createTestDatabase } from '../support/database.js'

const TYPES: ColumnTypes = { id: 'text', count: 'int', micros: 'bigint', share: 'float8', detail: 'jsonb', at: 'timestamptz' }

let database: Awaited<ReturnType<typeof createTestDatabase>>
beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())

const read = (rows: readonly Record<string, unknown>[]) =>
  database.sql(`SELECT * FROM (${rowSet(TYPES)}) r ORDER BY place`, rowSetValues(TYPES, rows as never))

test('rows come to PostgreSQL as they are, in their order', async () => {
  const rows = [
    {
      id: 'a"\\,{}\'\n\t$1 很快 😡',
      count: -7,
      micros: 9_007_199_254_740_991n,
      share: 0.1 + 0.2,
      detail: { a: ['\x1e"', null], 'b\\': { c: '\n' } },
    },
    { id: 'NULL', count: 0, micros: -1n, share: Number.POSITIVE_INFINITY, detail: [] },
    { id: null, count: null, micros: null, share: null, detail: null },
    { id: '', count: 2 ** 31 - 1, micros: 1n, share: 5e-324, detail: 'text' },
    { id: ' ', count: 1, micros: 2n, share: -0.5, detail: 0 },
  ].map((row, index) => ({ ...row, at: index % 2 ? null : new Date(1_700_000_000_123 + index) }))
  const stored = rows.map((row, index) => ({ ...row, id: row.id === '' ? null : row.id, place: BigInt(index + 1) }))
  expect(await read(rows)).toEqual(stored)
  for (const row of rows) expect(await read([row])).toEqual([{ ...stored[rows.indexOf(row)], place: 1n }])
  expect(await read([])).toEqual([])
})

test('what parts the texts cannot be in one: it is a space there', async () => {
  const row = { id: 'a\x1eb', count: 1, micros: 1n, share: 1, detail: { a: 'a\x1eb' }, at: null }
  expect(await read([row, row])).toMatchObject([
    { id: 'a b', detail: { a: 'a\x1eb' } },
    { id: 'a b', detail: { a: 'a\x1eb' } },
  ])
})
