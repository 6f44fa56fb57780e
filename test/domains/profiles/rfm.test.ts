import { expect, test } from '@jest/globals'
import { cutsOf, GROUPS, rfmOf, scoreOf } from '../../../src/profiles/rfm.js'

test('the customers fall into fifths', () => {
  const cuts = cutsOf(Float64Array.from({ length: 100 }, (_, index) => index + 1))
  expect(cuts).toEqual([20, 40, 60, 80])
  expect([1, 20, 21, 40, 60, 61, 80, 81, 1000].map(value => scoreOf(value, cuts))).toEqual([1, 1, 2, 2, 3, 4, 4, 5, 5])
})

test('equal values have equal scores, however many there are and in whatever order they come', () => {
  const values = [1, 1, 1, 1, 1, 1, 1, 2, 3, 9]
  const cuts = cutsOf(Float64Array.from(values))
  expect(cutsOf(Float64Array.from(values.toReversed()))).toEqual(cuts)
  expect(new Set(values.filter(value => value === 1).map(value => scoreOf(value, cuts)))).toEqual(new Set([1]))
  expect(scoreOf(9, cuts)).toBe(5)
  expect(cutsOf(Float64Array.from({ length: 7 }, () => 4)).map(cut => cut)).toEqual([4, 4, 4, 4])
})

test('a shop without customers has no cuts, and its first customer is average', () => {
  const cuts = { recencyDays: cutsOf(new Float64Array(0)), frequency: [], monetary: [] }
  expect(rfmOf({ recencyDays: 3, orderDays: 1, monetary: 10 }, cuts)).toMatchObject({
    recencyScore: 3,
    frequencyScore: 3,
    monetaryScore: 3,
  })
})

test('who never ordered has no scores', () => {
  expect(rfmOf({ recencyDays: Number.NaN, orderDays: 0, monetary: 0 }, { recencyDays: [], frequency: [], monetary: [] })).toBeUndefined()
})

test('every triple of scores has one group, whose names are in both languages', () => {
  const cuts = { recencyDays: [1, 2, 3, 4], frequency: [1, 2, 3, 4], monetary: [1, 2, 3, 4] }
  const groups = new Set<string>()
  for (let r = 1; r <= 5; r++)
    for (let f = 1; f <= 5; f++)
      for (let m = 1; m <= 5; m++) {
        const scores = rfmOf({ recencyDays: 6 - r, orderDays: f, monetary: m }, cuts)
        expect(scores).toMatchObject({ recencyScore: r, frequencyScore: f, monetaryScore: m })
        groups.add(scores?.group as string)
      }
  expect([...groups].sort()).toEqual(Object.keys(GROUPS).sort())
  expect(rfmOf({ recencyDays: 1, orderDays: 5, monetary: 5 }, cuts)?.group).toBe('champions')
  expect(rfmOf({ recencyDays: 5, orderDays: 5, monetary: 5 }, cuts)?.group).toBe('cannotLose')
  expect(rfmOf({ recencyDays: 5, orderDays: 1, monetary: 1 }, cuts)?.group).toBe('lost')
  for (const { en, zh } of Object.values(GROUPS)) expect([/^[A-Z]/.test(en), /^[\u4e00-\u9fff]+$/.test(zh)]).toEqual([true, true])
})
