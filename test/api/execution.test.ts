import { expect, test } from '@jest/globals'
import { buildSchema, execute, type GraphQLSchema, parse } from 'graphql'
import { createExecutor } from '../../src/graphql/execution.js'
import { Forbidden } from '../../src/platform/errors.js'

// What is compiled has to answer as graphql-js does, to the letter; each document is asked until its compiled code answers.
const schema = buildSchema(`
  interface Node { id: ID! }
  enum Kind { GOOD BAD }
  type Item implements Node { id: ID! name: String kind: Kind price(currency: String = "EUR"): Float! tags: [String!] parent: Item }
  type Other implements Node { id: ID! count: Int }
  union Any = Item | Other
  input Filter { kinds: [Kind!], least: Int! = 3, nested: Filter, at: [Int!] = [1, 2] }
  type Query { items(first: Int!, filter: Filter): [Item!]! any: [Any] node(id: ID!): Node broken: Item! forbidden: Item odd: Int
    echo(kind: Kind, n: Int, text: String, id: ID, share: Float, on: Boolean): String }
  type Mutation { add(by: Int!): Int! fail: Int }
`)
const item = (id: number) => ({
  __typename: 'Item',
  id: String(id),
  name: `Item "${id}" ✓`,
  kind: id % 2 ? 'GOOD' : 'BAD',
  price: async ({ currency }: { currency: string }) => {
    if (id === 2) throw new Error('no price')
    return currency === 'EUR' ? id : id * 2
  },
  tags: id === 3 ? ['a', null] : ['a', 'b'],
  parent: () => (id > 1 ? item(id - 1) : null),
})
const resolvers: Record<string, Record<string, (args: never, context: { sum: number }) => unknown>> = {
  Query: {
    items: async ({ first, filter }: { first: number; filter?: { least: number } }) =>
      Array.from({ length: Math.min(first, 50) }, (_, index) => item(index + (filter?.least ?? 0))),
    any: () => [item(1), { __typename: 'Other', id: '9', count: 4 }, null],
    node: ({ id }: { id: string }) => (id === '9' ? { __typename: 'Other', id, count: 2 } : item(Number(id))),
    broken: () => null,
    forbidden: () => {
      throw new Forbidden('This key lacks the scope x', { scope: 'x' })
    },
    odd: () => 'not a number',
    echo: args => JSON.stringify(args),
  },
  Mutation: {
    add: async ({ by }: { by: number }, context) => {
      await null
      context.sum += by
      return context.sum
    },
    fail: () => {
      throw new Error('it failed')
    },
  },
}
withResolvers(schema)

const LEAVES =
  'query ($k: Kind, $n: Int = 4, $t: String, $i: ID, $s: Float, $on: Boolean) { echo(kind: $k, n: $n, text: $t, id: $i, share: $s, on: $on) }'
const FRAGMENTS = 'fragment Line on Item { id name kind ...Price } fragment Price on Item { price dear: price(currency: "USD") }'
test.each([
  ['fields, aliases and fragments', `query { a: items(first: 2) { ...Line } __typename } ${FRAGMENTS}`, {}],
  [
    'variables and their defaults',
    'query ($n: Int = 2, $f: Filter) { items(first: $n, filter: $f) { id } }',
    { f: { kinds: ['GOOD'], least: 5 } },
  ],
  ['a default inside an input', 'query ($f: Filter) { items(first: 1, filter: $f) { id } }', { f: {} }],
  [
    'skip and include',
    'query ($no: Boolean!) { items(first: 1) { id @skip(if: $no) name @include(if: $no) kind @include(if: false) } }',
    { no: true },
  ],
  [
    'unions and interfaces',
    'query { any { __typename ... on Item { name } ... on Other { count } ... on Node { id } } node(id: "9") { id ... on Other { count } } }',
    {},
  ],
  ['an error in a list', 'query { items(first: 4) { id\n  price } }', {}],
  ['an error in a nullable parent', 'query { items(first: 1, filter: { least: 3 }) { id parent { price } } }', {}],
  ['null where none may be', 'query {\n  broken { id } }', {}],
  ['null in a list where none may be', 'query { items(first: 1, filter: { least: 3 }) { tags } }', {}],
  ['an error of the domain', 'query {\r\n  forbidden { id } ok: items(first: 1) { id } }', {}],
  ['a value that does not fit its type', 'query { odd }', {}],
  ['a variable of a wrong type', 'query ($n: Int!) { items(first: $n) { id } }', { n: 'two' }],
  ['a variable that is missing', 'query ($n: Int!) { items(first: $n) { id } }', {}],
  ['an unknown field of an input', 'query ($f: Filter) { items(first: 1, filter: $f) { id } }', { f: { least: 1, most: 2 } }],
  ['an enum value that is none', 'query ($f: Filter) { items(first: 1, filter: $f) { id } }', { f: { kinds: ['UGLY'] } }],
  ['a number beyond Int', 'query ($n: Int!) { items(first: $n) { id } }', { n: 2 ** 31 }],
  ['scalars and an enum', LEAVES, { k: 'GOOD', n: 3, t: 'x', i: 7, s: 1, on: false }],
  ['scalars of which some are left out', LEAVES, { k: 'BAD', t: '' }],
  ['scalars of which some are null', LEAVES, { k: null, n: null, t: null, i: '7', s: 0.5, on: null }],
  ['scalars of wrong types', LEAVES, { k: 'UGLY', n: 1.5, t: 3, i: {}, s: 'x', on: 'true' }],
  ['one scalar of a wrong type', LEAVES, { k: 'GOOD', n: 1, t: 'x', i: '7', s: Number.NaN, on: true }],
  ['a variable with a name that every object has', 'query ($constructor: String) { echo(text: $constructor) }', {}],
  [
    'a variable with the name of the prototype',
    'query ($__proto__: String) { echo(text: $__proto__) }',
    JSON.parse('{ "__proto__": "x" }'),
  ],
  ['a field by the name of the prototype', 'query { __proto__: __typename }', {}],
  ['mutations, one after the other', 'mutation { a: add(by: 1) b: add(by: 10) fail c: add(by: 100) }', {}],
  [
    'introspection',
    'query { __schema { types { name fields { name type { kind name } } } } __type(name: "Kind") { enumValues { name } } }',
    {},
  ],
])('%s', async (_, query, variableValues) => {
  const document = parse(query)
  const executor = createExecutor(schema)
  const expected = await execute({ schema, document, variableValues, contextValue: { sum: 0 } })
  for (let time = 0; time < 5; time++) {
    const result = await executor({ document, variableValues, contextValue: { sum: 0 } })
    expect(JSON.parse(JSON.stringify(result))).toEqual(JSON.parse(JSON.stringify(expected)))
    for (const [index, { originalError }] of (result.errors ?? []).entries())
      expect([originalError instanceof Error, originalError instanceof Forbidden]).toEqual([
        expected.errors?.[index].originalError instanceof Error,
        expected.errors?.[index].originalError instanceof Forbidden,
      ])
  }
})

test('of several operations the one that is named, or an error', async () => {
  const document = parse('query A { a: __typename } query B { b: __typename }')
  const executor = createExecutor(schema)
  for (let time = 0; time < 5; time++) {
    expect(await executor({ document, operationName: 'A' })).toEqual({ data: { a: 'Query' } })
    expect(await executor({ document, operationName: 'B' })).toEqual({ data: { b: 'Query' } })
    expect((await executor({ document })).errors?.[0].message).toMatch(/operation name/)
    expect((await executor({ document, operationName: 'C' })).errors?.[0].message).toMatch(/Unknown operation named "C"/)
  }
})

/** Resolvers of their own, as type-graphql makes them: compiled code calls no functions that lie on an object. */
function withResolvers(schema: GraphQLSchema) {
  for (const [type, fields] of Object.entries(resolvers))
    for (const [name, resolve] of Object.entries(fields))
      Object.assign((schema.getType(type) as never as { getFields(): Record<string, object> }).getFields()[name], {
        resolve: (_: unknown, args: never, context: { sum: number }) => resolve(args, context),
      })
  for (const name of ['price', 'parent'])
    Object.assign((schema.getType('Item') as never as { getFields(): Record<string, object> }).getFields()[name], {
      resolve: (source: Record<string, (args: unknown) => unknown>, args: unknown) => source[name](args),
    })
}
