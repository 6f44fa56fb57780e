import { expect, test } from '@jest/globals'
import { fairness } from '../../src/algorithms/fairness.js'

test('rates of groups worked out by hand', () => {
  const labels = [1, 1, 0, 0, 1, 0, 0, 0]
  const p = [0.9, 0.4, 0.8, 0.1, 0.7, 0.2, 0.3, 0.5]
  const groups = ['a', 'a', 'a', 'a', 'b', 'b', 'b', 'b']
  const found = fairness(labels, p, groups)
  expect(found.groups.map(({ group, selectionRate }) => [group, selectionRate])).toEqual([
    ['a', 0.5],
    ['b', 0.25],
  ])
  expect(found.selectionRateDifference).toBe(0.25)
  expect(found.selectionRateRatio).toBe(0.5)
  expect(found.truePositiveRateDifference).toBe(0.5)
  expect(found.falsePositiveRateDifference).toBe(0.5)
  expect(found.groups[0].precision).toBe(0.5)
  expect(found.groups[1].calibrationGap).toBeCloseTo((1.7 - 1) / 4)
})

test('one group, nobody selected, and no positives have defined outcomes', () => {
  expect(fairness([1, 0], [0.1, 0.2], ['x', 'x'])).toMatchObject({ selectionRateDifference: 0, selectionRateRatio: 1 })
  expect(fairness([0, 0], [0.9, 0.2], ['x', 'y']).truePositiveRateDifference).toBeNaN()
  expect(fairness([], [], []).groups).toEqual([])
})
