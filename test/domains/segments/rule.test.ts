import { describe, expect, test } from '@jest/globals'
import { InvalidInput } from '../../../src/platform/errors.js'
import { cleanRule, type Rule, touchesOf } from '../../../src/segments/rule.js'

function faultOf(rule: unknown): { field: string; message: string } {
  try {
    cleanRule(rule)
  } catch (error) {
    if (error instanceof InvalidInput) return { field: error.field?.join('.') ?? '', message: error.message }
    throw error
  }
  throw new Error(`This rule was accepted: ${JSON.stringify(rule)}`)
}

describe('a faulty rule names the place of the fault', () => {
  const nested = (depth: number): unknown => (depth === 0 ? { cluster: 'a' } : { not: nested(depth - 1) })
  test.each([
    [null, 'rule'],
    [[], 'rule'],
    ['x', 'rule'],
    [{}, 'rule'],
    [{ all: [], any: [] }, 'rule'],
    [{ all: [] }, 'rule.all'],
    [{ all: { length: 3 } }, 'rule.all'],
    [{ every: [] }, 'rule.every'],
    [{ __proto__: null, constructor: 1 }, 'rule.constructor'],
    [{ all: [{ cluster: 'a' }, { any: [{ feature: { name: 'luck', op: 'GT', value: 1 } }] }] }, 'rule.all.1.any.0.feature.name'],
    [{ feature: { name: 'monetary', per: 'luck', op: 'GT', value: 1 } }, 'rule.feature.per'],
    [{ feature: { name: 'monetary', op: 'IN', value: 1 } }, 'rule.feature.op'],
    [{ feature: { name: 'monetary', op: 'GT' } }, 'rule.feature.value'],
    [{ feature: { name: 'monetary', op: 'GT', value: '1' } }, 'rule.feature.value'],
    [{ feature: { name: 'monetary', op: 'GT', value: Number.NaN } }, 'rule.feature.value'],
    [{ feature: { name: 'monetary', op: 'GT', value: 1, valeu: 2 } }, 'rule.feature'],
    [{ feature: { name: 'toString', op: 'GT', value: 1 } }, 'rule.feature.name'],
    [{ prediction: { name: 'luck', op: 'GT', value: 1 } }, 'rule.prediction.name'],
    [{ prediction: { name: 'constructor', op: 'GT', value: 1 } }, 'rule.prediction.name'],
    [{ trait: { name: 'shoeSize', op: 'EQ', value: 1 } }, 'rule.trait.name'],
    [{ trait: { name: 'valueOf', op: 'EQ', value: 1 } }, 'rule.trait.name'],
    [{ trait: { name: 'country', op: 'EQ', value: 1 } }, 'rule.trait.value'],
    [{ trait: { name: 'country', op: 'IN', value: 'DE' } }, 'rule.trait.values'],
    [{ trait: { name: 'createdAt', op: 'GT', value: 'yesterday' } }, 'rule.trait.value'],
    [{ trait: { name: 'country', op: 'GT', daysAgo: 1 } }, 'rule.trait.daysAgo'],
    [{ trait: { name: 'createdAt', op: 'EQ', daysAgo: 1 } }, 'rule.trait.op'],
    [{ trait: { name: 'createdAt', op: 'GT', value: '2026-02-30' } }, 'rule.trait.value'],
    [{ trait: { name: 'createdAt', op: 'GT', value: '2026-01-31 10:00 (noon)' } }, 'rule.trait.value'],
    [{ trait: { name: 'createdAt', op: 'IN', values: ['2026-01-31', '2026-01-31T10:00'] } }, 'rule.trait.value'],
    [{ didThenNot: { first: 'VIEW', butNot: 'PURCHASE', withinHours: 48, lastDays: 2 } }, 'rule.didThenNot.withinHours'],
    [{ didThenNot: { first: 'VIEW', event: 'signup', butNot: 'PURCHASE', withinHours: 4, lastDays: 2 } }, 'rule.didThenNot.event'],
    [{ did: { type: 'JUMP', atLeast: 1 } }, 'rule.did.type'],
    [{ did: { type: 'VIEW' } }, 'rule.did.atLeast'],
    [{ did: { type: 'VIEW', atLeast: 3, atMost: 2 } }, 'rule.did.atMost'],
    [{ did: { type: 'VIEW', atLeast: 1, withinDays: -3 } }, 'rule.did.withinDays'],
    [{ did: { type: 'VIEW', atLeast: 1, withinDays: 3, period: 'TODAY' } }, 'rule.did.period'],
    [{ did: { type: 'VIEW', atLeast: 1, since: '2026-02-01T00:00:00Z', until: '2026-01-01T00:00:00Z' } }, 'rule.did.until'],
    [{ did: { type: 'VIEW', atLeast: 1, since: 'soon' } }, 'rule.did.since'],
    [{ did: { type: 'VIEW', atLeast: 1, event: 'signup' } }, 'rule.did.event'],
    [{ did: { type: 'VIEW', atLeast: 1, fromHour: 20, toHour: 6 } }, 'rule.did.toHour'],
    [{ did: { type: 'VIEW', atLeast: 1, category: 'a\0' } }, 'rule.did'],
    [{ rfm: ['rich'] }, 'rule.rfm.0'],
    [{ consent: 'WORLD_PEACE' }, 'rule.consent'],
    [nested(9), 'rule.not.not.not.not.not.not.not.not'],
    [{ any: Array.from({ length: 101 }, (_, index) => ({ cluster: `c${index}` })) }, 'rule.any.99'],
  ])('%j → %s', (rule, place) => expect(faultOf(rule).field).toBe(place))
})

describe('what nobody can meet is refused', () => {
  const trait = (name: string, op: string, value: unknown): Rule => ({ trait: { name, op, value } }) as Rule
  const feature = (op: string, value: number): Rule => ({ feature: { name: 'monetary', op, value } }) as Rule
  test.each([
    [[feature('GT', 5), feature('LT', 5)]],
    [[feature('GT', 5), feature('LTE', 5)]],
    [[feature('EQ', 5), feature('EQ', 6)]],
    [[feature('GTE', 7), feature('LT', 6)]],
    [[{ rfm: ['lost'] }, { not: { rfm: ['lost'] } }]],
    [[{ cluster: 'a' }, { cluster: 'b' }]],
    [[trait('country', 'EQ', 'DE'), trait('country', 'EQ', 'CN')]],
    [[trait('country', 'EQ', 'DE'), trait('country', 'NE', 'DE')]],
    [[{ trait: { name: 'country', op: 'IN', values: ['DE', 'FR'] } }, trait('country', 'EQ', 'CN')]],
    [[{ trait: { name: 'country', op: 'IN', values: ['DE', 'FR'] } }, { trait: { name: 'country', op: 'IN', values: ['CN'] } }]],
    [[trait('birthYear', 'GT', 2000), trait('birthYear', 'LT', 1990)]],
    [[trait('birthYear', 'EQ', 1995), trait('birthYear', 'GT', 1995)]],
    [[trait('traits.seats', 'GTE', 9), trait('traits.seats', 'LT', 9)]],
    [[trait('createdAt', 'GTE', '2026-02-01'), trait('createdAt', 'LT', '2026-01-31T23:00:00-01:00')]],
    [[{ trait: { name: 'createdAt', op: 'GT', daysAgo: 3 } }, { trait: { name: 'createdAt', op: 'LT', daysAgo: 4 } }]],
    [[{ rfm: ['lost', 'new'] }, { rfm: ['champions'] }]],
    [[{ did: { type: 'VIEW', atLeast: 3, withinDays: 7 } }, { did: { type: 'VIEW', atMost: 2, withinDays: 7 } }]],
    [
      [
        { prediction: { name: 'churnProbability', op: 'GT', value: 0.8 } },
        { prediction: { name: 'churnProbability', op: 'LT', value: 0.2 } },
      ],
    ],
    [
      [
        { feature: { name: 'monetary', per: 'orderDays', op: 'GT', value: 9 } },
        { feature: { name: 'monetary', per: 'orderDays', op: 'LT', value: 8 } },
      ],
    ],
  ] as Rule[][][])('%j', all =>
    expect(faultOf({ all })).toMatchObject({ field: 'rule.all.1', message: expect.stringContaining('contradicts') }),
  )

  test('also over the levels of nested AND', () => {
    const all = [trait('country', 'EQ', 'DE'), { any: [{ cluster: 'a' }] }, { all: [{ cluster: 'b' }, trait('country', 'EQ', 'CN')] }]
    expect(faultOf({ all })).toMatchObject({ field: 'rule.all.2.all.1', message: expect.stringContaining('contradicts') })
    expect(faultOf({ any: [{ all: [{ cluster: 'b' }, { all: [{ not: { cluster: 'b' } }] }] }] }).field).toBe('rule.any.0.all.1.all.0')
  })

  test('while bounds that leave room are not', () => {
    const room: Rule[][] = [
      [trait('birthYear', 'GT', 1990), trait('birthYear', 'LT', 2000), trait('birthYear', 'NE', 1995)],
      [trait('country', 'EQ', 'DE'), trait('city', 'EQ', 'CN'), trait('country', 'NE', 'FR')],
      [{ did: { type: 'VIEW', atLeast: 3, withinDays: 7 } }, { did: { type: 'VIEW', atMost: 9, withinDays: 7 } }],
      [{ did: { type: 'VIEW', atLeast: 3 } }, { did: { type: 'VIEW', atMost: 2, withinDays: 7 } }],
      [{ feature: { name: 'monetary', per: 'orderDays', op: 'GT', value: 9 } }, feature('LT', 8)],
      [{ rfm: ['lost', 'new'] }, { rfm: ['new', 'champions'] }],
      [{ trait: { name: 'createdAt', op: 'GT', daysAgo: 4 } }, { trait: { name: 'createdAt', op: 'LT', daysAgo: 3 } }],
    ]
    for (const all of room) expect(cleanRule({ all })).toEqual({ all })
    expect(cleanRule({ all: [feature('GTE', 5), feature('LTE', 5)] })).toBeTruthy()
    expect(cleanRule({ any: [feature('GT', 5), feature('LT', 5)] })).toBeTruthy()
  })
})

test('a rule knows what can touch it', () => {
  const touches = touchesOf({
    all: [
      { did: { type: 'PURCHASE', atLeast: 1 } },
      { not: { didThenNot: { first: 'ADD_TO_CART', butNot: 'CHECKOUT', withinHours: 2, lastDays: 3 } } },
      { inSegment: 'other' },
    ],
  })
  expect([[...touches.eventTypes], touches.profile, touches.user, touches.time, [...touches.segments]]).toEqual([
    ['PURCHASE', 'ADD_TO_CART', 'CHECKOUT'],
    false,
    false,
    true,
    ['other'],
  ])
  expect(touchesOf({ did: { type: 'VIEW', atLeast: 1 } })).toMatchObject({ time: false, profile: false })
  expect(touchesOf({ trait: { name: 'country', op: 'EQ', value: 'DE' } })).toMatchObject({ user: true, time: false })
  expect(touchesOf({ feature: { name: 'monetary', op: 'GT', value: 1 } })).toMatchObject({ profile: true, time: true })
})
