import { expect, test } from '@jest/globals'
import { createRandom } from '../../src/algorithms/math/random.js'
import { cellText, rowText } from '../../src/platform/bulk.js'

test('times of COPY are written as ISO 8601 has them, in any order of days', () => {
  const random = createRandom(5)
  const edges = [0, -1, -86_400_000, 86_399_999, 253_402_300_800_000, -62_167_219_200_001, 8.64e15, -8.64e15]
  for (const time of [...edges, ...Array.from({ length: 2_000 }, () => Math.floor((random.next() - 0.4) * 2e14))])
    expect(cellText(new Date(time))).toBe(new Date(time).toISOString())
  expect(() => cellText(new Date(Number.NaN))).toThrow(RangeError)
})

test('cells that were written before stand in a row as the others do', () => {
  const at = new Date(86_400_000)
  expect(rowText(['a\tb', null, 1.5, 7n, true, at])).toBe('a\\tb\t\\N\t1.5\t7\ttrue\t1970-01-02T00:00:00.000Z')
})
