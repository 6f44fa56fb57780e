import { beforeEach, expect, test } from '@jest/globals'
import { type Answered, type Basis, RecentLists } from '../../../src/recommendations/recent-lists.js'
import type { Visitor } from '../../../src/recommendations/recommendations.repository.js'
import { RecommendationAlgorithm } from '../../../src/recommendations/recommendations.schema.js'

const AT = new Date('2026-11-30T12:00:00Z')
const VISITOR: Visitor = {
  id: 7,
  personalisation: { granted: true, at: AT, source: 'banner' },
  products: Int32Array.of(1, 2),
  weights: Float32Array.of(1, 1),
  times: Float64Array.of(1, 2),
}
const BASIS: Basis = { asked: ['u7', undefined, 10], visitor: VISITOR, models: 3, catalogue: 5, isByReviews: false }
const ANSWERED: Answered = {
  list: { items: [], servedBy: 'ease v1', algorithm: RecommendationAlgorithm.EASE, modelId: null, fallbacks: [] },
  decision: 'first',
  model: 'ease',
}

let now = AT.getTime()
let lists: RecentLists
beforeEach(() => {
  lists = new RecentLists(() => now)
  lists.keep(BASIS, ANSWERED)
})

test('who asks for the same again, and did nothing since, is answered the same for ten minutes', () => {
  now += 599_999
  expect(lists.find({ ...BASIS })).toMatchObject(ANSWERED)
  now += 1
  expect(lists.find({ ...BASIS })).toBeUndefined()
})

test('what goes by reviews is answered the same for a minute', () => {
  const reviewed = { ...BASIS, isByReviews: true }
  lists.keep(reviewed, ANSWERED)
  now += 59_999
  expect(lists.find(reviewed)).toMatchObject(ANSWERED)
  now += 1
  expect(lists.find(reviewed)).toBeUndefined()
})

test('of a stranger there is nothing that could change', () => {
  const strange = { ...BASIS, asked: [undefined, undefined, 10], visitor: null }
  lists.keep(strange, { ...ANSWERED, decision: 'strange' })
  expect(lists.find({ ...strange })?.decision).toBe('strange')
})

test.each<[string, Partial<Basis>]>([
  ['another request', { asked: ['u7', undefined, 5] }],
  ['another model', { models: 4 }],
  ['another catalogue', { catalogue: 6 }],
  ['a visitor who is gone', { visitor: null }],
  ['a visitor of whom something is new', { visitor: { ...VISITOR } }],
])('%s is answered anew', (_, changed) => {
  expect(lists.find({ ...BASIS, ...changed })).toBeUndefined()
})

test('what is kept anew replaces what was kept', () => {
  const moved = { ...BASIS, models: 4 }
  lists.keep(moved, { ...ANSWERED, decision: 'second' })
  expect(lists.find(moved)?.decision).toBe('second')
  expect(lists.find(BASIS)).toBeUndefined()
})

test('of one visitor the four ways of asking are kept that were answered last', () => {
  const asking = (first: number) => ({ ...BASIS, asked: ['u7', undefined, first] })
  for (const first of [11, 12, 13, 14]) lists.keep(asking(first), { ...ANSWERED, decision: `of ${first}` })
  expect([10, 11, 12, 13, 14].map(first => lists.find(asking(first))?.decision)).toEqual([undefined, 'of 11', 'of 12', 'of 13', 'of 14'])
})
