import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { createClient } from 'graphql-ws'
import WebSocket from 'ws'
import type { ClientKind } from '../../src/graphql/auth.js'
import { encodeId } from '../../src/graphql/node-id.js'
import { startTestApp, type TestApp } from '../support/app.js'

let house: TestApp
beforeAll(async () => {
  house = await startTestApp()
}, 60_000)
afterAll(() => house.close())

const JOB = 'subscription ($id: ID!) { jobUpdated(id: $id) { id state progress message } }'

function connect(key: string | undefined) {
  return createClient({
    url: `${house.url.replace('http', 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    retryAttempts: 0,
    connectionParams: key ? { authorization: `Bearer ${key}` } : {},
  })
}

async function follow(kind: ClientKind, query: string, variables: Record<string, unknown>) {
  const client = connect(house.keys[kind])
  const seen: unknown[] = []
  try {
    for await (const { data, errors } of client.iterate({ query, variables })) seen.push(errors ?? data)
  } finally {
    await client.dispose()
  }
  return seen
}

test('a job is followed by an unmodified graphql-ws client until it has ended', async () => {
  const { id } = await house.app.jobs.enqueue('housekeeping', {})
  const following = follow('marketer', JOB, { id: encodeId('Job', id) })
  const worker = await house.startWorker()
  const seen = (await following) as { jobUpdated: { state: string; progress: number } }[]
  await worker.drain()
  expect(seen.at(-1)?.jobUpdated).toMatchObject({ state: 'COMPLETED', progress: 1, message: expect.stringContaining('Forgot') })
  expect(new Set(seen.map(({ jobUpdated }) => jobUpdated.state)).size).toBe(
    seen.filter((_, at) => at === 0 || seen[at].jobUpdated.state !== seen[at - 1].jobUpdated.state).length,
  )
})

test('queries go over the socket too, under the same limits', async () => {
  expect(await follow('marketer', '{ systemHealth { stage state } }', {})).toEqual([{ systemHealth: expect.any(Array) }])
  const deep = `{ users { nodes { ${'recommendations { items { product { similar { product { '.repeat(4)} id ${'} } } } }'.repeat(4)} } } }`
  await expect(follow('marketer', deep, {})).rejects.toMatchObject([{ extensions: { code: 'COST_LIMIT' } }])
})

test('a job that does not exist, and a scope that is not held, are errors with a code', async () => {
  const id = encodeId('Job', '018f0000-0000-7000-8000-000000000000')
  const codeOf = (kind: ClientKind) =>
    follow(kind, JOB, { id }).then(
      seen => JSON.stringify(seen),
      error => JSON.stringify(error),
    )
  expect(await codeOf('marketer')).toContain('NOT_FOUND')
  expect(await codeOf('chatbot')).toContain('FORBIDDEN')
})

test.each([undefined, 'bw_admin_wrong'])('the key %s closes the socket', async key => {
  const client = connect(key)
  const closed = new Promise<CloseEvent>(done => client.on('closed', event => done(event as CloseEvent)))
  client.subscribe({ query: '{ __typename }' }, { next: () => {}, error: () => {}, complete: () => {} })
  expect(await closed).toMatchObject({ code: 4403 })
  await client.dispose()
})
