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
const BASIS: Basis = { asked: '["u7",null,10]', visitor: VISITOR, models: 3, catalogue: 5 }
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

test('who asks for the same again, and did nothing since, is answered the same for a minute', () => {
  const again = { ...BASIS, visitor: { ...VISITOR, personalisation: { granted: true, at: new Date(AT), source: 'banner' } } }
  now += 59_999
  expect(lists.find(again)).toMatchObject(ANSWERED)
  now += 1
  expect(lists.find(again)).toBeUndefined()
})

test('of a stranger there is nothing that could change', () => {
  const strange = { ...BASIS, asked: '[null]', visitor: null }
  lists.keep(strange, { ...ANSWERED, decision: 'strange' })
  expect(lists.find({ ...strange })?.decision).toBe('strange')
})

test.each<[string, Partial<Basis>]>([
  ['another request', { asked: '["u7",null,5]' }],
  ['another model', { models: 4 }],
  ['another catalogue', { catalogue: 6 }],
  ['a visitor who is gone', { visitor: null }],
  ['a visitor who was merged into another', { visitor: { ...VISITOR, id: 8 } }],
  ['a visitor who did something', { visitor: { ...VISITOR, products: Int32Array.of(1, 2) } }],
  ['a refusal', { visitor: { ...VISITOR, personalisation: { granted: false, at: AT, source: 'banner' } } }],
  ['a later grant', { visitor: { ...VISITOR, personalisation: { granted: true, at: new Date(AT.getTime() + 1), source: 'banner' } } }],
  ['a grant from elsewhere', { visitor: { ...VISITOR, personalisation: { granted: true, at: AT, source: 'shop' } } }],
  ['a consent that is not known any more', { visitor: { ...VISITOR, personalisation: null } }],
])('%s is answered anew', (_, changed) => {
  expect(lists.find({ ...BASIS, ...changed })).toBeUndefined()
})

test('what is kept anew replaces what was kept', () => {
  const moved = { ...BASIS, models: 4 }
  lists.keep(moved, { ...ANSWERED, decision: 'second' })
  expect(lists.find(moved)?.decision).toBe('second')
  expect(lists.find(BASIS)).toBeUndefined()
})
