import { expect, test } from '@jest/globals'
import { createRandom } from '../../../src/algorithms/math/random.js'
import { Selection } from '../../../src/audiences/selection.js'

function barOf(users: readonly (readonly [number, number])[], wanted: number) {
  const selection = new Selection(wanted)
  let passes = 0
  do {
    for (const [score, id] of users) selection.look(score, id)
    passes++
  } while (!selection.next())
  return { ...selection.bar(), passes }
}

function sortedBar(users: readonly (readonly [number, number])[], wanted: number) {
  const [score, lastId] = [...users].sort(([a, i], [b, j]) => b - a || i - j)[wanted - 1]
  return { size: wanted, score, lastId }
}

test('the bar is where sorting puts it, whatever the scores are', () => {
  const random = createRandom(3)
  const worlds: Record<string, (index: number) => number> = {
    normal: () => random.normal(),
    ties: () => random.below(3) - 1,
    huge: () => random.normal() * 1e300,
    tiny: () => random.normal() * 5e-324 + 0,
    infinite: () => [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, 1, -1][random.below(5)],
    close: () => 1 + random.below(1_000) * Number.EPSILON,
  }
  for (const scoreOf of Object.values(worlds)) {
    const users = Array.from({ length: 3_000 }, (_, index) => [scoreOf(index) + 0, 7 * ((index * 1_237) % 3_000)] as const)
    for (const wanted of [1, 2, 1_499, 2_999, 3_000]) expect(barOf(users, wanted)).toMatchObject(sortedBar(users, wanted))
  }
})

test('more than a memory of equals: the lowest ids belong, found in a few passes', () => {
  const equals = Array.from({ length: 400_000 }, (_, index) => [0.25, index * 5_000] as const)
  expect(barOf(equals, 123_456)).toEqual({ size: 123_456, score: 0.25, lastId: 123_455 * 5_000, passes: 6 })
})

test('fewer than wanted: everybody belongs', () => {
  const everybody = { score: Number.NEGATIVE_INFINITY, lastId: Number.POSITIVE_INFINITY }
  expect(
    barOf(
      [
        [1, 1],
        [2, 2],
      ],
      3,
    ),
  ).toEqual({ size: 2, ...everybody, passes: 1 })
  expect(barOf([], 3)).toEqual({ size: 0, ...everybody, passes: 1 })
  expect(barOf([[1, 1]], Number.POSITIVE_INFINITY)).toMatchObject({ size: 1 })
})
