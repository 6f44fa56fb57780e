import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import Fastify, { type FastifyInstance } from 'fastify'
import { buildSchema, GraphQLError } from 'graphql'
import type { Context } from '../../src/graphql/context.js'
import { createExecutor } from '../../src/graphql/execution.js'
import { createHttp } from '../../src/graphql/http.js'
import { silentLog } from '../../src/platform/log.js'
import { createMetrics } from '../../src/platform/metrics.js'

const schema = buildSchema(`
  type Query { double(n: Int!): Int! fail: Int }
  type Mutation { add(n: Int!): Int! spoil: Int! }`)
const metrics = createMetrics('server', false)
let sum = 0
let spoilt = 0
let admitted = 0
/** Executions past Apollo, which alone ask for what goes to the socket as it is. */
let past = 0
Object.assign(schema.getQueryType()?.getFields().double ?? {}, { resolve: (_: unknown, { n }: { n: number }) => 2 * n })
Object.assign(schema.getQueryType()?.getFields().fail ?? {}, {
  resolve: () => {
    throw new GraphQLError('It failed', { extensions: { code: 'BAD_USER_INPUT' } })
  },
})
Object.assign(schema.getMutationType()?.getFields().add ?? {}, { resolve: (_: unknown, { n }: { n: number }) => (sum += n) })
Object.assign(schema.getMutationType()?.getFields().spoil ?? {}, {
  resolve: () => {
    spoilt++
    throw new Error('spoilt')
  },
})

let fastify: FastifyInstance
let url: string
let close: () => Promise<void>
beforeAll(async () => {
  const execute = createExecutor(schema, 1)
  const http = await createHttp({
    schema,
    rules: [],
    executor: request => {
      if (request.isStringified) past++
      return execute(request)
    },
    introspection: true,
    mode: 'test',
    log: silentLog,
    metrics,
    contextOf: async ({ headers, id }) => {
      admitted++
      if (headers.authorization === 'no')
        throw new GraphQLError('Who are you?', { extensions: { code: 'UNAUTHENTICATED', http: { status: 401 } } })
      return { requestId: id, resolver: () => undefined, loader: (_, create) => create() } satisfies Context
    },
    told: formatted => formatted,
  })
  fastify = Fastify()
  fastify.route({ method: ['GET', 'POST'], url: '/graphql', handler: (request, reply) => http.answer(request, reply) })
  url = await fastify.listen({ port: 0 })
  close = http.close
})
afterAll(async () => {
  await fastify.close()
  await close()
})
beforeEach(() => {
  sum = 0
  spoilt = 0
  admitted = 0
  past = 0
})

const DOUBLE = 'query Double($n: Int!) { double(n: $n) }'
const ADD = 'mutation Add($n: Int!) { add(n: $n) }'
const TWO = 'query One { double(n: 1) } query Two { double(n: 2) }'

type Headers = Record<string, string>

async function ask(body: unknown, headers: Headers = {}) {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  })
  return told(response)
}

async function told(response: Response) {
  const { date: _, ...headers } = Object.fromEntries(response.headers)
  return { status: response.status, headers, text: await response.text() }
}

describe('what Apollo has said yes to', () => {
  test.each<[string, object, Headers]>([
    ['a query', { query: '{ double(n: 4) }' }, {}],
    ['an operation with variables', { query: DOUBLE, variables: { n: 21 } }, {}],
    ['nothing but the text', { query: '{ double(n: 5) }', variables: null, operationName: null }, {}],
    ['one operation of two', { query: TWO, operationName: 'Two' }, {}],
    ['an answer of the new media type', { query: '{ double(n: 6) }' }, { accept: 'application/graphql-response+json' }],
    [
      'an answer of any of two media types',
      { query: '{ double(n: 7) }' },
      { accept: 'application/graphql-response+json, application/json;q=0.9' },
    ],
    ['a body with a charset', { query: '{ double(n: 8) }' }, { 'content-type': 'application/json; charset=utf-8' }],
  ])('is executed at once when it comes again: %s', async (_, body, headers) => {
    const first = await ask(body, headers)
    expect([first.status, past, admitted]).toEqual([200, 0, 1])
    const again = await ask(body, headers)
    expect([past, admitted]).toEqual([1, 2])
    expect(again).toEqual(first)
  })

  test('is answered by its own variables and its own operation', async () => {
    expect(JSON.parse((await ask({ query: DOUBLE, variables: { n: 2 } })).text)).toEqual({ data: { double: 4 } })
    expect(JSON.parse((await ask({ query: DOUBLE, variables: { n: 3 } })).text)).toEqual({ data: { double: 6 } })
    for (const [operationName, double] of [
      ['One', 2],
      ['Two', 4],
      ['One', 2],
    ] as const)
      expect(JSON.parse((await ask({ query: TWO, operationName })).text)).toEqual({ data: { double } })
    expect(past).toBeGreaterThanOrEqual(3)
  })

  test('takes effect once a request', async () => {
    for (const expected of [2, 4, 6]) expect(JSON.parse((await ask({ query: ADD, variables: { n: 2 } })).text).data.add).toBe(expected)
    expect(past).toBe(2)
  })

  test('is counted as Apollo counts it', async () => {
    const count = async () => {
      const { values } = await (metrics.registry.getSingleMetric('bellwether_graphql_request_seconds') as unknown as Histogram).get()
      return values.find(
        ({ metricName, labels }) => metricName?.endsWith('_count') && labels.operation === 'Counted' && labels.code === 'OK',
      )?.value
    }
    for (const times of [1, 2, 3]) {
      await ask({ query: 'query Counted { double(n: 1) }' })
      expect(await count()).toBe(times)
    }
    expect(past).toBe(2)
  })
})

interface Histogram {
  get(): Promise<{ values: { metricName?: string; labels: Record<string, string>; value: number }[] }>
}

describe('what Apollo tells is told alike when it comes again', () => {
  test.each<[string, object | string, Headers, number, RegExp]>([
    ['no text', { query: DOUBLE, variables: { n: 'x' } }, {}, 200, /got invalid value|cannot represent/],
    ['a variable that is missing', { query: DOUBLE }, {}, 200, /was not provided/],
    ['an operation that is not there', { query: TWO, operationName: 'Three' }, {}, 200, /Unknown operation/],
    ['no choice of two operations', { query: TWO }, {}, 200, /operation name/],
    ['a field that fails', { query: '{ fail }' }, {}, 200, /It failed.*BAD_USER_INPUT|BAD_USER_INPUT.*It failed/],
    ['a field that fails, of the new media type', { query: '{ fail }' }, { accept: 'application/graphql-response+json' }, 200, /It failed/],
    ['a hash instead of a text', { query: DOUBLE, extensions: { persistedQuery: { version: 1, sha256Hash: 'x' } } }, {}, 200, /Persisted/i],
    ['variables that are a list', { query: '{ double(n: 1) }', variables: [1] }, {}, 400, /must be an object/],
    ['variables that are a text', { query: '{ double(n: 1) }', variables: '{}' }, {}, 400, /as an object/],
    ['a name that is none', { query: '{ double(n: 1) }', operationName: 7 }, {}, 400, /must be a string/],
    ['several at a time', [{ query: '{ double(n: 1) }' }], {}, 400, /batch/i],
    ['an answer that nobody gives', { query: '{ double(n: 1) }' }, { accept: 'text/csv' }, 406, /accept/],
    ['a caller who is refused', { query: '{ double(n: 1) }' }, { authorization: 'no' }, 401, /Who are you/],
  ])('%s', async (_, body, headers, status, message) => {
    // Of the same text and form something has been said yes to.
    for (const query of [DOUBLE, TWO, '{ double(n: 1) }'])
      await ask({ query, operationName: query === TWO ? 'One' : null, variables: { n: 1 } })
    const first = await ask(body, headers)
    expect([first.status, first.text]).toEqual([status, expect.stringMatching(message)])
    for (let times = 0; times < 2; times++) {
      admitted = 0
      expect(await ask(body, headers)).toEqual(first)
      expect(admitted).toBeLessThanOrEqual(1)
    }
  })

  test('a mutation that fails is executed once a request', async () => {
    const query = 'mutation { spoil }'
    const first = await ask({ query })
    expect(JSON.parse(first.text).errors).toMatchObject([{ message: 'spoilt', path: ['spoil'] }])
    for (const times of [2, 3]) {
      expect(await ask({ query })).toEqual(first)
      expect([spoilt, past]).toEqual([times, times - 1])
    }
  })

  test('a mutation by GET, known or not', async () => {
    const query = 'mutation { add(n: 1) }'
    const get = async () =>
      told(await fetch(`${url}/graphql?query=${encodeURIComponent(query)}`, { headers: { 'apollo-require-preflight': 'x' } }))
    const first = await get()
    expect([first.status, sum]).toEqual([405, 0])
    await ask({ query })
    expect([await get(), sum]).toEqual([first, 1])
  })

  test('a text of another media type, which a page of a foreign origin could send', async () => {
    const body = { query: '{ double(n: 1) }' }
    await ask(body)
    await ask(body)
    past = 0
    const answer = await ask(body, { 'content-type': 'text/plain' })
    expect([answer.status, past]).toEqual([400, 0])
  })
})
