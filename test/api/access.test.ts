import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { getMetadataStorage } from 'type-graphql'
import { type Scope, scopesOf } from '../../src/graphql/auth.js'
import { encodeId } from '../../src/graphql/node-id.js'
import { startTestApp, type TestApp } from '../support/app.js'

/** Root fields without a scope of their own, and why. `node` asks for the scope of whatever the id leads to. */
const PUBLIC = ['node']

interface FieldFacts {
  name: string
  roles: Scope[]
  description: string
}

let house: TestApp
let roots: FieldFacts[]
let fields: FieldFacts[]
beforeAll(async () => {
  house = await startTestApp()
  const storage = getMetadataStorage()
  const factsOf = ({ schemaName, roles, description }: { schemaName: string; roles?: unknown[]; description?: string }) => ({
    name: schemaName,
    roles: (roles ?? []) as Scope[],
    description: description ?? '',
  })
  roots = [...storage.queries, ...storage.mutations, ...storage.subscriptions].map(factsOf)
  fields = storage.fieldResolvers.filter(field => field.kind === 'external').map(factsOf)
}, 60_000)
afterAll(() => house.close())

test('every root field asks for a scope, or stands in the short list of those that do not', () => {
  expect(roots.length).toBeGreaterThan(15)
  expect(roots.filter(({ roles }) => roles.length === 0).map(({ name }) => name)).toEqual(PUBLIC)
})

test('every field that asks for a scope says so in its description, and asks for the one it says', () => {
  const asking = [...roots, ...fields].filter(({ roles }) => roles.length > 0)
  const silent = asking.filter(({ roles, description }) => !description.includes(`Scope: ${roles.join(', ')}.`))
  expect(silent).toEqual([])
})

describe('the key of a chatbot', () => {
  test('reaches answers to questions and nothing else', async () => {
    const holds = (roles: Scope[]) => roles.every(role => scopesOf.chatbot.includes(role))
    const reached = roots.filter(({ name, roles }) => !PUBLIC.includes(name) && holds(roles)).map(({ name }) => name)
    expect(reached.filter(name => !/^faq(Answer|Feedback)$/.test(name))).toEqual([])
  })

  test.each(['User', 'Product', 'ApiKey', 'Job', 'Model', 'Decision'])('does not reach a %s by its id', async type => {
    const id = encodeId(type, type === 'User' || type === 'Product' ? 1 : '018f0000-0000-7000-8000-000000000000')
    const { data, errors } = await house.as('chatbot').run('query ($id: ID!) { node(id: $id) { id } }', { id })
    expect(data?.node ?? null).toBeNull()
    expect(errors?.[0].extensions.code).toBe('FORBIDDEN')
  })

  test.each(['/v1/track', '/v1/batch', '/v1/import/users'])('does not open %s', async path => {
    const { status } = await fetch(house.url + path, {
      method: 'POST',
      headers: { authorization: `Bearer ${house.keys.chatbot}`, 'content-type': 'application/json' },
      body: JSON.stringify({ event: 'Product Viewed', userId: 'u', batch: [] }),
    })
    expect([401, 403]).toContain(status)
  })
})

test('without a key nothing is told', async () => {
  const { errors } = await house.as(undefined).run('{ systemHealth { stage } users { nodes { id } } }')
  expect(errors?.map(({ extensions }) => extensions.code)).toEqual(expect.arrayContaining(['UNAUTHENTICATED']))
  const wrong = await fetch(`${house.url}/graphql`, {
    method: 'POST',
    headers: { authorization: 'Bearer bw_admin_wrong', 'content-type': 'application/json' },
    body: '{"query":"{ __typename }"}',
  })
  expect(wrong.status).toBe(401)
})

test('in production introspection and the explorer are off', async () => {
  const closed = await startTestApp({ introspection: false, mode: 'production' })
  try {
    const { errors } = await closed.as('admin').run('{ __schema { types { name } } }')
    expect(errors?.[0].message).toMatch(/introspection/i)
    const hints = [
      await closed.as('admin').run('{ segmnts { nodes { id } } }'),
      await closed.as('admin').run('query($i: UserUpsertInput!) { __typename @skip(if: false) x: users { totalCount(i: $i) } }', { i: {} }),
      await closed.as('admin').run('mutation($i: UserUpsertInput!) { userUpsert(input: $i) { user { id } } }', { i: { externalID: 'x' } }),
      await closed.as('admin').run('query($s: JobState) { jobs(state: $s) { totalCount } }', { s: 'COMPLETE' }),
    ]
    for (const { errors: faults } of hints) {
      expect(faults?.length).toBeGreaterThan(0)
      expect(JSON.stringify(faults)).not.toMatch(/Did you mean|segments|COMPLETED/)
    }
    const page = await fetch(`${closed.url}/graphql`, { headers: { accept: 'text/html' } })
    expect(await page.text()).toContain('The explorer is switched off')
    expect(page.status).toBeGreaterThanOrEqual(400)
  } finally {
    await closed.close()
  }
})
