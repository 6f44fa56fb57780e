import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { Scope } from '../../../src/graphql/auth.js'
import { IdempotencyStore } from '../../../src/graphql/idempotency.js'
import { encodeId } from '../../../src/graphql/node-id.js'
import { UsersRepository } from '../../../src/users/users.repository.js'
import { UserPayloadResolver, UsersResolver } from '../../../src/users/users.resolver.js'
import { UsersService } from '../../../src/users/users.service.js'
import { statementsOf } from '../../support/count-queries.js'
import { createTestDatabase } from '../../support/database.js'
import { createRunner, viewerWith } from '../../support/run-graphql.js'

let database: Awaited<ReturnType<typeof createTestDatabase>>
let api: ReturnType<typeof createRunner>
const admin = viewerWith()
const marketer = viewerWith([Scope.USERS_READ, Scope.USERS_WRITE], 'marketer')
const ingest = viewerWith([Scope.USERS_WRITE], 'ingest')

beforeAll(async () => {
  database = await createTestDatabase()
  const users = new UsersService(new UsersRepository(database))
  api = createRunner([new UsersResolver(users, new IdempotencyStore(database)), new UserPayloadResolver()])
})
afterAll(() => database.drop())

const UPSERT = /* GraphQL */ `
  mutation ($input: UserUpsertInput!) {
    userUpsert(input: $input) {
      user { id externalId email phone name traits gender birthYear city country locale version createdAt consents { purpose granted source } }
      preview { creates changes { field before after } }
      userErrors { code field message retryable }
      idempotentReplay
    }
  }`
const upsert = async (viewer: typeof admin, input: Record<string, unknown>) => {
  const { data, errors } = await api.as(viewer).run(UPSERT, { input })
  return {
    errors,
    ...(data?.userUpsert as { user: Record<string, unknown>; preview: unknown; userErrors: object[]; idempotentReplay: boolean }),
  }
}

describe('personal facts', () => {
  const personal = { email: 'eva@example.com', phone: '+4930123456', name: 'Eva', traits: { plan: 'gold' } }
  const ask = '{ user(externalId: "eva") { externalId email phone name traits city } }'

  test('are shown with pii:read and null without', async () => {
    const written = await upsert(marketer, { externalId: 'eva', city: 'Bonn', ...personal })
    expect(written.user).toMatchObject({ externalId: 'eva', city: 'Bonn', email: null, phone: null, name: null, traits: null })
    expect((await api.as(admin).run(ask)).data?.user).toEqual({ externalId: 'eva', city: 'Bonn', ...personal })
    expect((await api.as(marketer).run(ask)).data?.user).toEqual({
      externalId: 'eva',
      city: 'Bonn',
      email: null,
      phone: null,
      name: null,
      traits: null,
    })
  })

  test('are not given away by a preview, nor by a filter', async () => {
    const { preview } = await upsert(marketer, { externalId: 'eva', email: 'guess@example.com', dryRun: true })
    expect(preview).toEqual({ creates: false, changes: [{ field: 'email', before: null, after: 'guess@example.com' }] })
    const { errors } = await api.as(marketer).run('{ users(where: { email: "eva@example.com" }) { nodes { id } } }')
    expect(errors?.[0].message).toBe('This key lacks the scope pii:read')
    const { data } = await api.as(admin).run('{ users(where: { email: "eva@example.com" }) { totalCount nodes { externalId } } }')
    expect(data?.users).toEqual({ totalCount: 1, nodes: [{ externalId: 'eva' }] })
  })
})

describe('one user', () => {
  test('is found by exactly one of id and externalId, and is null when there is none', async () => {
    const { user } = await upsert(admin, { externalId: 'one' })
    const found = { id: user.id, externalId: 'one' }
    expect((await api.as(admin).run('query ($id: ID) { user(id: $id) { id externalId } }', { id: user.id })).data?.user).toEqual(found)
    expect((await api.as(admin).run('{ user(externalId: "one") { id externalId } }')).data?.user).toEqual(found)
    expect((await api.as(admin).run('{ user(externalId: "none") { id } }')).data?.user).toBeNull()
    expect((await api.as(admin).run(`{ user(id: "${encodeId('User', 2_000_000_000)}") { id } }`)).data?.user).toBeNull()
  })

  test.each([
    'user',
    'user(id: null)',
    'user(id: "x", externalId: "y")',
    'user(id: "VXNlcjox_x")',
    'user(externalId: "a\\u0000")',
    `user(id: "${encodeId('Product', 1)}")`,
  ])('asked for as %s is bad input', async field => {
    const { errors } = await api.as(admin).run(`{ ${field} { id } }`)
    expect(errors?.[0].originalError).toMatchObject({ code: 'BAD_USER_INPUT' })
  })

  test('is not for whoever may only write', async () => {
    const { errors } = await api.as(ingest).run('{ user(externalId: "one") { id } }')
    expect(errors?.[0].originalError).toMatchObject({ code: 'FORBIDDEN' })
    expect((await api.as(undefined).run('{ users { nodes { id } } }')).errors?.[0].originalError).toMatchObject({ code: 'UNAUTHENTICATED' })
  })
})

describe('userUpsert', () => {
  test('leaves what is left out and clears what is null', async () => {
    await upsert(admin, { externalId: 'parts', city: 'Bonn', gender: 'female', consents: [{ purpose: 'ADS', granted: true }] })
    const { user } = await upsert(admin, { externalId: 'parts', city: null })
    expect(user).toMatchObject({ city: null, gender: 'female', version: 2, consents: [{ purpose: 'ADS', granted: true, source: 'api' }] })
  })

  test('returns what the caller could have known as userErrors', async () => {
    await upsert(admin, { externalId: 'errors' })
    expect(await upsert(admin, { externalId: 'errors', expectedVersion: 9 })).toMatchObject({
      errors: undefined,
      user: null,
      userErrors: [
        {
          code: 'VERSION_CONFLICT',
          field: ['expectedVersion'],
          message: 'This user was changed in the meantime: it has version 1',
          retryable: false,
        },
      ],
    })
    expect((await upsert(admin, { externalId: 'errors', country: 'XX' })).userErrors).toMatchObject([
      { code: 'INVALID', field: ['country'] },
    ])
  })

  test('with a key used before replays its payload and changes nothing', async () => {
    const input = { externalId: 'replay', city: 'Bonn', idempotencyKey: 'k1' }
    const first = await upsert(admin, input)
    await upsert(admin, { externalId: 'replay', city: 'Bern' })
    const second = await upsert(admin, input)
    expect(second).toMatchObject({ idempotentReplay: true, user: { id: first.user.id, externalId: 'replay', city: 'Bonn', version: 1 } })
    expect(await database.prisma.user.findUnique({ where: { externalId: 'replay' } })).toMatchObject({ city: 'Bern', version: 2 })
  })

  test('twice in one operation shows each state, as nothing is read from before', async () => {
    const { data } = await api.as(admin).run(/* GraphQL */ `mutation {
      a: userUpsert(input: { externalId: "twice", consents: [{ purpose: ADS, granted: true, at: "2025-01-01T00:00:00Z" }] }) { user { consents { granted } } }
      b: userUpsert(input: { externalId: "twice", consents: [{ purpose: ADS, granted: false, at: "2025-02-01T00:00:00Z" }] }) { user { consents { granted } } }
    }`)
    expect(data).toEqual({ a: { user: { consents: [{ granted: true }] } }, b: { user: { consents: [{ granted: false }] } } })
  })
})

describe('a list of users', () => {
  beforeAll(async () => {
    for (let index = 0; index < 25; index++)
      await upsert(admin, { externalId: `many-${index}`, consents: [{ purpose: 'ADS', granted: true }] })
  })
  const list = (first: number, fields: string) => api.as(admin).run(`{ users(first: ${first}, where: { search: "many-" }) { ${fields} } }`)

  test('costs the same statements for 2 as for 20, consents included', async () => {
    const few = await statementsOf(() => list(2, 'nodes { id consents { purpose } }'))
    const many = await statementsOf(() => list(20, 'nodes { id consents { purpose } }'))
    expect(many).toEqual(few)
    expect(many).toHaveLength(2)
  })

  test('is counted only when totalCount is asked for', async () => {
    expect(await statementsOf(() => list(5, 'nodes { id }'))).toHaveLength(1)
    const { data } = await list(5, 'totalCount pageInfo { hasNextPage hasPreviousPage } edges { cursor }')
    expect(data?.users).toMatchObject({ totalCount: 25, pageInfo: { hasNextPage: true, hasPreviousPage: false } })
  })

  test('of users by id is one statement, whoever asks for them', async () => {
    const { data } = await list(10, 'nodes { id }')
    const { nodes } = data!.users as unknown as { nodes: { id: string }[] }
    const ids = nodes.map(node => node.id)
    const source = `{ ${ids.map((id, index) => `u${index}: user(id: "${id}") { externalId }`).join(' ')} }`
    expect(await statementsOf(() => api.as(admin).run(source))).toHaveLength(1)
  })
})

describe('consentSet', () => {
  const set = async (input: Record<string, unknown>) => {
    const { data } = await api
      .as(marketer)
      .run(
        `mutation ($input: ConsentSetInput!) { consentSet(input: $input) { user { externalId consents { purpose granted source } } preview { changes { field before after } } userErrors { code field } idempotentReplay } }`,
        { input },
      )
    return data?.consentSet as { user: unknown; preview: unknown; userErrors: unknown[]; idempotentReplay: boolean }
  }

  test('keeps what a known person said last, by either id; what was said earlier does not replace it', async () => {
    const { user } = await upsert(admin, { externalId: 'asked' })
    const granted = { purpose: 'ADS', granted: true, source: 'banner', at: '2025-03-01T00:00:00Z' }
    const expected = { externalId: 'asked', consents: [{ purpose: 'ADS', granted: true, source: 'banner' }] }
    expect((await set({ userExternalId: 'asked', ...granted })).user).toEqual(expected)
    expect((await set({ userId: user.id, purpose: 'ADS', granted: false, at: '2025-01-01T00:00:00Z' })).user).toEqual(expected)
  })

  test('previews without an effect, and replays by its key', async () => {
    await upsert(admin, { externalId: 'keyed' })
    const input = { userExternalId: 'keyed', purpose: 'PROFILING', granted: true }
    expect((await set({ ...input, dryRun: true })).preview).toEqual({
      changes: [{ field: 'consents.PROFILING', before: null, after: true }],
    })
    expect((await set({ ...input, idempotencyKey: 'consent-1' })).idempotentReplay).toBe(false)
    expect((await set({ ...input, idempotencyKey: 'consent-1' })).idempotentReplay).toBe(true)
    expect((await set({ ...input, granted: false, idempotencyKey: 'consent-1' })).userErrors).toMatchObject([
      { code: 'IDEMPOTENCY_KEY_REUSED' },
    ])
  })

  test('creates nobody, and wants exactly one person', async () => {
    const said = { purpose: 'ADS', granted: true }
    expect((await set({ userExternalId: 'nobody-at-all', ...said })).userErrors).toMatchObject([{ code: 'NOT_FOUND' }])
    expect((await set(said)).userErrors).toMatchObject([{ code: 'INVALID' }])
    expect((await set({ userId: encodeId('User', 1), userExternalId: 'asked', ...said })).userErrors).toMatchObject([{ code: 'INVALID' }])
    const nobody = await database.sql(`SELECT 1 FROM "User" WHERE "externalId" = 'nobody-at-all'`)
    expect(nobody).toEqual([])
  })
})

test('a key that may only write hears whom it touched, and nothing that others told of the person', async () => {
  await upsert(admin, { externalId: 'quiet', city: 'Ulm', country: 'DE', gender: 'female', birthYear: 1980, email: 'quiet@example.com' })
  const { user, errors } = await upsert(ingest, { externalId: 'quiet', locale: 'de-DE', idempotencyKey: 'quiet-1' })
  expect(errors).toBeUndefined()
  expect(user).toMatchObject({ externalId: 'quiet', version: 2, city: null, country: null, gender: null, birthYear: null, email: null })
  const again = await upsert(ingest, { externalId: 'quiet', locale: 'de-DE', idempotencyKey: 'quiet-1' })
  expect([again.idempotentReplay, again.user.city]).toEqual([true, null])
  const { preview } = await upsert(ingest, { externalId: 'quiet', city: 'Bonn', dryRun: true })
  expect(preview).toEqual({ creates: false, changes: [{ field: 'city', before: null, after: 'Bonn' }] })
  expect((await upsert(marketer, { externalId: 'quiet' })).user).toMatchObject({
    city: 'Ulm',
    gender: 'female',
    locale: 'de-DE',
    email: null,
  })
})
