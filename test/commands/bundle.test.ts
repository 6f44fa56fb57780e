import { expect, test } from '@jest/globals'
import { withoutSpreads } from '../../src/bundle.mjs'

// What is lowered makes the same objects: the same keys in the same order, own even where they are called __proto__, and nothing of accessors or prototypes.
const SCOPE = `
  const hostile = JSON.parse('{"__proto__": {"isAdmin": true}, "b": 2}')
  class Point { x = 1; get far() { return 9 } }
  const symbol = Symbol.for('s')
  const a = { x: 1, y: 2, 3: 'three', get z() { return 'read' } }
  const none = undefined
  const two = function* () { const got = yield{ ...a, y: 'yielded' }; return { ...a, got } }
`
test.each([
  ['what is added', '{ ...a, q: 1 }'],
  ['what is replaced, in its old place', '{ ...a, x: 9, q: 1 }'],
  ['several in turn', '{ ...a, q: 1, ...hostile, b: 3, ...a }'],
  ['only spreads', '{ ...a, ...{ x: 5, w: 6 } }'],
  ['nothing to spread', '{ ...none, ...null, ...false, ...0, a }'],
  ['text and arrays', "{ ...'ab', ...[7, 8, 9], length: 1 }"],
  ['an own key called __proto__', '{ ...hostile, c: 1 }'],
  ['an own key called __proto__, later', '{ ...a, ...hostile }'],
  ['own properties of instances only', '{ ...new Point(), y: 2 }'],
  ['symbols and computed keys', "{ ...{ [symbol]: 1 }, ['com' + 'puted']: 2, [symbol]: 3 }"],
  ['nested ones', '{ ...{ ...a, n: 1 }, deep: { ...a, deeper: { ...a, x: 0 } }, list: [{ ...a, l: 1 }] }'],
  [
    'functions and their names',
    '(o => [o, o.named.name, o.method.name, o.method()])({ ...a, named: () => 1, method() { return this.x } })',
  ],
  [
    'accessors, which stay as they are',
    "(o => [Object.getOwnPropertyDescriptor(o, 'late').set === undefined, o.late])({ ...a, get late() { return 1 } })",
  ],
  ['prototypes, which stay as they are', '(o => [o, Object.getPrototypeOf(o) === a])({ ...a, __proto__: a })'],
  ['super, which stays as it is', '({ ...a, toString() { return super.toString() + 1 } }).toString()'],
  ['keywords without a space', '[...two()].concat(typeof{ ...a, b: 1 }, (() => { return{ ...a, r: 1 } })())'],
  ['patterns, which are none', '(({ x, ...rest }) => ({ ...rest, x }))(a)'],
  ['trailing commas and comments', '{ ...a, /* } */ q: 1, // {\n r: 2, }'],
])('lowers %s', (_, expression) => {
  const code = `${SCOPE}; result = (${expression})`
  const lowered = withoutSpreads(code) as string
  expect(lowered).toContain('__spread(')
  const [plain, own] = [code, lowered].map(each => new Function(`let result; ${each}; return result`)())
  expect(shape(own)).toEqual(shape(plain))
  expect(({} as { isAdmin?: boolean }).isAdmin).toBeUndefined()
})

test('leaves alone what is fast or no spread of an object', () => {
  for (const code of [
    'const f = o => ({ ...o })',
    'const f = o => ({ x: 1, ...o })',
    'const f = (...all) => [...all, 1]',
    'const s = "{ ...a, b }"',
  ])
    expect(withoutSpreads(code)).toBeUndefined()
})

/** All that there is to see of a value, in order. */
function shape(value: unknown): unknown {
  if (typeof value === 'function') return `function ${value.name}`
  if (Array.isArray(value)) return value.map(shape)
  if (typeof value !== 'object' || value === null) return value
  const own = value as Record<PropertyKey, unknown>
  return [Object.getPrototypeOf(own) === Object.prototype, Reflect.ownKeys(own).map(key => [key, shape(own[key])])]
}
