import { expect, test } from '@jest/globals'
import { buildSchema, execute, type GraphQLSchema, getOperationAST, parse } from 'graphql'
import { createExecutor } from '../../src/graphql/execution.js'
import { briefOf, stringified } from '../../src/graphql/unchanging.js'

const schema = buildSchema(`
  interface Named { name: String! }
  scalar Json
  type Thing implements Named { name: String! price: Float tags: [String!]! more: Json parts: [Thing!]! named: Named similar(first: Int): [Thing!]! counted: Int! }
  type List { id: ID! things: [Thing!]! note: String fails: String }
  type Query { list(of: Int! = 1): List! maybe(of: Int! = 1): List lists: [List!]! thing: Thing! }
  type Mutation { make(of: Int!): List! }
`)
const thing = (name: string, parts: object[] = []) => ({
  __typename: 'Thing',
  name,
  price: name.length / 3,
  tags: ['"quoted"', '中文', '🙂'],
  more: { deep: [1, null, { 'a b': '\u2028' }] },
  parts,
  named: { __typename: 'Thing', name: `named ${name}` },
})
/** The same objects whenever they are asked for. */
const made = new Map<number, object[]>()
const thingsOf = (of: number) => {
  if (!made.has(of))
    made.set(
      of,
      Array.from({ length: of }, (_, at) => thing(`thing ${of}.${at}`, [thing('part')])),
    )
  return made.get(of)
}
let asked = 0
const listOf = async ({ of }: { of: number }) => ({ id: `list ${of} ${of > 90 ? asked++ : ''}`, things: thingsOf(of), note: null })
const resolvers: Record<string, Record<string, (source: never, args: never) => unknown>> = {
  Query: {
    list: (_, args) => listOf(args),
    maybe: (_, args) => listOf(args),
    lists: async () => [await listOf({ of: 1 }), await listOf({ of: 2 })],
    thing: () => thing('one'),
  },
  Mutation: { make: (_, args) => listOf(args) },
  Thing: { similar: ({ name }: { name: string }) => [thing(`like ${name}`)], counted: () => ++asked },
  List: {
    fails: () => {
      throw new Error('it fails')
    },
  },
}
for (const [type, fields] of Object.entries(resolvers))
  for (const [name, resolve] of Object.entries(fields)) fieldOf(schema, type, name).resolve = resolve as never
fieldOf(schema, 'List', 'things').extensions = { unchanging: true }

function fieldOf(of: GraphQLSchema, type: string, name: string) {
  return (
    of.getType(type) as { getFields(): Record<string, { resolve: unknown; extensions: object }> } & object as never as {
      getFields(): Record<string, { resolve: never; extensions: object }>
    }
  ).getFields()[name]
}

const FRAGMENT = 'fragment Line on Thing { name ...Price parts { ...Price } } fragment Price on Thing { price tags }'
const WRITTEN_APART: [string, string, object?][] = [
  ['one list', '{ list { id things { name price } note } }'],
  ['under other names', '{ __typename mine: list(of: 3) { __typename all: things { title: name t: __typename } } }'],
  ['several lists', '{ a: list(of: 2) { things { name } } b: list(of: 2) { id things { price more } } }'],
  ['two names for one value', '{ list(of: 2) { a: things { name } b: things { tags } } }'],
  ['fragments within', `{ list(of: 2) { things { ...Line ... on Thing { more } ... { tags } } } } ${FRAGMENT}`],
  [
    'variables of the root',
    'query ($of: Int!) { list(of: $of) { things { name parts { name } } } thing { name similar(first: 1) { name } } }',
    { of: 4 },
  ],
  [
    'fragments of other types beside it',
    '{ list(of: 2) { things { name } } maybe { ...M } } fragment M on List { id things { name } note }',
  ],
  ['an empty list', '{ list(of: 0) { things { name } } }'],
  ['a mutation', 'mutation { first: make(of: 2) { things { name } } second: make(of: 3) { things { name } } }'],
  [
    'a name that objects have already',
    '{ a: list(of: 2) { things { name } } constructor: list(of: 3) { toString: things { price } } b: list(of: 4) { things { name } } }',
  ],
  ['an error beside it', '{ list(of: 2) { things { name more } fails } }'],
]
const WHOLE: [string, string, object?][] = [
  ['a root that may be null', '{ maybe { things { name } } }'],
  ['a list of roots', '{ lists { things { name } } }'],
  ['a resolver beneath', '{ list { things { name similar { name } } } }'],
  ['an argument beneath', '{ list { things { similar(first: 2) { name } } } }'],
  ['an abstract type beneath', '{ list { things { named { name } } } }'],
  ['a directive beneath', 'query ($no: Boolean!) { list { things { name price @skip(if: $no) } } }', { no: true }],
  ['a directive on it', 'query ($no: Boolean!) { list { id things @skip(if: $no) { name } } }', { no: true }],
  ['a directive on its root', 'query ($no: Boolean!) { list @include(if: $no) { things { name } } thing { name } }', { no: false }],
  ['a fragment of its root', '{ list { ...L } } fragment L on List { id things { name } }'],
  ['a fragment at the root', '{ ...Q } fragment Q on Query { list { things { name } } }'],
  ['a fragment of another root of its type', '{ a: list { things { name } } b: list(of: 2) { ... on List { things { price } } } }'],
  ['a resolver under another root of its type', '{ a: list { things { name } } b: list(of: 2) { things { similar { name } } } }'],
  ['its root twice', '{ list { things { name } } list { things { price } } }'],
  ['itself twice', '{ list { things { name } things { price } } }'],
  ['nothing of it', '{ list { id } thing { name } }'],
]

const answers = async (query: string, variableValues: object = {}, executor = createExecutor(schema, 1)) => {
  const document = parse(query)
  const request = { document, contextValue: {}, variableValues: variableValues as Record<string, unknown> }
  const whole = await execute({ schema, ...request })
  const briefs: string[] = []
  for (let time = 0; time < 3; time++) {
    const { errors, ...result } = await executor({ ...request, isStringified: true })
    briefs.push(String(stringified({ ...(errors ? { errors: errors.map(each => each.toJSON()) } : {}), ...result })))
  }
  return { briefs, whole: `${JSON.stringify(whole)}\n`, brief: briefOf(schema, document, getOperationAST(document) as never) }
}

test.each(WRITTEN_APART.map(([name, query, variables = {}]) => ({ name, query, variables })))(
  '$name: written apart, and the same to the letter',
  async ({ query, variables }) => {
    const { briefs, whole, brief } = await answers(query, variables)
    expect(brief?.spots.length).toBeGreaterThan(0)
    expect(briefs).toEqual([whole, whole, whole])
  },
)

test.each(WHOLE.map(([name, query, variables = {}]) => ({ name, query, variables })))(
  '$name: stays whole',
  async ({ query, variables }) => {
    const { briefs, whole, brief } = await answers(query, variables)
    expect(brief).toBeUndefined()
    expect(briefs).toEqual([whole, whole, whole])
  },
)

test('what was written of a value the second time is sent again for the same value and operation only', async () => {
  const executor = createExecutor(schema, 1)
  const [names, prices] = ['{ list(of: 91) { id things { name } } }', '{ list(of: 91) { id things { price } } }'].map(query => parse(query))
  const ask = async (document: typeof names) =>
    JSON.parse(String(stringified(await executor({ document, contextValue: {}, isStringified: true })))).data.list
  await ask(names)
  const first = await ask(names)
  const value = thingsOf(91) as { name: string }[]
  // Nobody may do this; it shows that the value is not read again.
  value[0].name = 'another name'
  expect(await ask(names)).toEqual({ id: expect.not.stringMatching(first.id), things: first.things })
  expect((await ask(prices)).things[0]).toEqual({ price: expect.any(Number) })
  expect((await ask(names)).things[0].name).toBe('another name')
  made.set(91, [thing('new')])
  expect((await ask(names)).things).toEqual([{ name: 'new' }])
})

test('an answer that is not stringified holds the value', async () => {
  const document = parse('{ list(of: 1) { things { name } } }')
  const result = await createExecutor(schema, 1)({ document, contextValue: {} })
  expect(JSON.parse(JSON.stringify(result))).toEqual({ data: { list: { things: [{ name: 'thing 1.0' }] } } })
  expect(stringified(result)).toBe('{"data":{"list":{"things":[{"name":"thing 1.0"}]}}}\n')
})

test('a value that does not fit its type is an error, not an answer', async () => {
  made.set(7, [{ name: null }])
  const executor = createExecutor(schema, 1)
  const asking = executor({ document: parse('{ list(of: 7) { things { name } } }'), contextValue: {}, isStringified: true })
  await expect(asking).rejects.toThrow('Cannot return null for non-nullable field')
})

test('an answer that is not sent yet stays as it is, however many come after it', async () => {
  const executor = createExecutor(schema, 1)
  const document = parse('query($of: Int!) { list(of: $of) { id things { name more } } }')
  // Of some hundred bytes to some hundred kilobytes, which do not share memory.
  const sizes = Array.from({ length: 400 }, (_, at) => (at % 50 === 49 ? 3_000 : 100 + ((at * 7) % 80)))
  const sent = await Promise.all(
    sizes.map(async of => stringified(await executor({ document, contextValue: {}, variableValues: { of }, isStringified: true }))),
  )
  for (const [at, of] of sizes.entries()) {
    const { list } = JSON.parse(String(sent[at])).data
    expect([list.id.split(' ')[1], list.things.length, list.things.at(-1).name]).toEqual([`${of}`, of, `thing ${of}.${of - 1}`])
    expect(String(sent[at]).endsWith('}\n')).toBe(true)
  }
})
