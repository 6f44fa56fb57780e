import { createHash } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { ApiKeyRepository } from '../../../src/admin/api-key.repository.js'
import { ApiKeyResolver } from '../../../src/admin/api-key.resolver.js'
import { ApiKeysService } from '../../../src/admin/api-key.service.js'
import { HeaderAuthenticator } from '../../../src/admin/authenticator.js'
import { ensureKeys } from '../../../src/admin/key-file.js'
import { Scope, scopesOf, type Viewer } from '../../../src/graphql/auth.js'
import { IdempotencyStore } from '../../../src/graphql/idempotency.js'
import { Unauthenticated } from '../../../src/platform/errors.js'
import { silentLog } from '../../../src/platform/log.js'
import { createSignals } from '../../../src/platform/signals.js'
import { statementsOf } from '../../support/count-queries.js'
import { createTestDatabase } from '../../support/database.js'
import { localSignals } from '../../support/local-signals.js'
import { createRunner, viewerWith } from '../../support/run-graphql.js'

let database: Awaited<ReturnType<typeof createTestDatabase>>
let keys: ApiKeysService
let authenticator: HeaderAuthenticator
let signals: ReturnType<typeof localSignals>
let now: Date

beforeAll(async () => {
  database = await createTestDatabase()
})
beforeEach(() => {
  now = new Date()
  signals = localSignals()
  keys = new ApiKeysService(new ApiKeyRepository(database), signals, silentLog, { now: () => now })
  authenticator = new HeaderAuthenticator(keys, undefined, signals, () => now.getTime())
})
afterAll(() => database.drop())

const bearer = (secret: string) => authenticator.authenticate(`Bearer ${secret}`)
const basic = (text: string) => authenticator.authenticate(`Basic ${Buffer.from(text).toString('base64')}`)
const later = (seconds: number) => {
  now = new Date(now.getTime() + seconds * 1000)
}
const REFUSAL = 'This API key or token is not valid: it may be mistyped, expired or revoked'

describe('an API key', () => {
  test('has the scopes of its kind and is stored only as a hash', async () => {
    const { apiKey, secret } = await keys.create(undefined, { name: 'Shop', kind: 'marketer' })
    expect(secret).toMatch(/^bw_marketer_[a-z0-9]{8}_[A-Za-z0-9_-]{43}$/)
    expect(apiKey).toMatchObject({ name: 'Shop', kind: 'marketer', state: 'ACTIVE', prefix: secret.slice(0, 'bw_marketer_'.length + 8) })
    const row = await database.prisma.apiKey.findUniqueOrThrow({ where: { id: apiKey.key } })
    expect(row.hash).toBe(createHash('sha256').update(secret).digest('hex'))
    expect(JSON.stringify(row)).not.toContain(secret.slice(-43))
    expect(await bearer(secret)).toEqual({ id: apiKey.key, name: 'Shop', scopes: new Set(scopesOf.marketer), expiresAt: undefined })
  })

  test('is accepted as Bearer and as the user name of Basic, in any case of the scheme', async () => {
    const { apiKey, secret } = await keys.create(undefined, { name: 'Segment', kind: 'ingest' })
    for (const viewer of [
      await bearer(secret),
      await basic(`${secret}:`),
      await basic(secret),
      await basic(`${secret}:x`),
      await authenticator.authenticate(`bearer ${secret}`),
    ])
      expect(viewer?.id).toBe(apiKey.key)
  })

  test.each([
    ['nothing known', () => 'Bearer bw_admin_abcdefgh_0123456789012345678901234567890123456789012'],
    ['a right prefix and a wrong secret', (secret: string) => `Bearer ${secret.slice(0, -1)}${secret.endsWith('A') ? 'B' : 'A'}`],
    ['another kind', (secret: string) => `Bearer ${secret.replace('bw_ingest', 'bw_admin')}`],
    ['a part of it', (secret: string) => `Bearer ${secret.slice(0, 30)}`],
    ['something appended', (secret: string) => `Bearer ${secret}A`],
  ])('is refused with one sentence when it is %s', async (_, header) => {
    const { secret } = await keys.create(undefined, { name: 'Segment', kind: 'ingest' })
    await expect(authenticator.authenticate(header(secret))).rejects.toThrow(new Unauthenticated(REFUSAL))
  })

  test.each([
    '',
    'Bearer',
    'Bearer ',
    'Bearer a b',
    'Token x',
    'Basic !!!',
    'Basic Og==',
    `Bearer ${'x'.repeat(10_000)}`,
    'Bearer bw_\0',
    'Bearer a.b.c',
    'bw_admin_x',
  ])('header %j is refused as unauthenticated, never as a fault of ours', async header => {
    await expect(authenticator.authenticate(header)).rejects.toThrow(Unauthenticated)
  })

  test('is nobody when no header is sent', async () => {
    expect(await authenticator.authenticate(undefined)).toBeUndefined()
  })

  test('ends at its expiry, also where it was remembered, with the same sentence', async () => {
    const { secret } = await keys.create(undefined, { name: 'Short', kind: 'chatbot', expiresAt: new Date(now.getTime() + 1000) })
    expect((await bearer(secret))?.scopes).toEqual(new Set([Scope.FAQ_ANSWER]))
    later(1)
    await expect(bearer(secret)).rejects.toThrow(REFUSAL)
    authenticator.forget()
    await expect(bearer(secret)).rejects.toThrow(REFUSAL)
  })

  test('ends at once when it is revoked, and revoking again keeps the first time', async () => {
    const { apiKey, secret } = await keys.create(undefined, { name: 'Gone', kind: 'chatbot' })
    await bearer(secret)
    const { revokedAt } = await keys.revoke(undefined, apiKey.key)
    await expect(bearer(secret)).rejects.toThrow(REFUSAL)
    later(60)
    expect((await keys.revoke(undefined, apiKey.key)).revokedAt).toEqual(revokedAt)
  })

  test('that is revoked in one process ends in the others as soon as the signal arrives', async () => {
    const [here, there] = await Promise.all([createSignals({ database, log: silentLog }), createSignals({ database, log: silentLog })])
    const elsewhere = new ApiKeysService(new ApiKeyRepository(database), there, silentLog)
    const remembering = new HeaderAuthenticator(keys, undefined, here)
    try {
      const { apiKey, secret } = await keys.create(undefined, { name: 'Far', kind: 'chatbot' })
      await remembering.authenticate(`Bearer ${secret}`)
      const arrived = new Promise<void>(done => here.on('key.changed', () => done()))
      await elsewhere.revoke(undefined, apiKey.key)
      await arrived
      await expect(remembering.authenticate(`Bearer ${secret}`)).rejects.toThrow(REFUSAL)
    } finally {
      await Promise.all([here.close(), there.close()])
    }
  })

  test('is checked by one statement and then remembered without any', async () => {
    const { secret } = await keys.create(undefined, { name: 'Hot', kind: 'campaign' })
    expect(await statementsOf(() => bearer(secret))).toHaveLength(1)
    expect(await statementsOf(() => Promise.all(Array.from({ length: 100 }, () => bearer(secret))))).toHaveLength(0)
  })

  test('that was revoked while it was being checked is not remembered', async () => {
    const { secret } = await keys.create(undefined, { name: 'Race', kind: 'chatbot' })
    const checking = bearer(secret)
    authenticator.forget()
    await checking
    expect(await statementsOf(() => bearer(secret))).toHaveLength(1)
  })

  test('records its last use at most once a minute, many keys in one statement', async () => {
    const made = await Promise.all([1, 2, 3].map(index => keys.create(undefined, { name: `Used ${index}`, kind: 'campaign' })))
    const lastUse = async () => (await database.prisma.apiKey.findUniqueOrThrow({ where: { id: made[0].apiKey.key } })).lastUsedAt
    const useAll = () => Promise.all(made.map(({ secret }) => bearer(secret)))
    expect(await lastUse()).toBeNull()
    await useAll()
    const first = now
    expect(await statementsOf(() => keys.recordUse())).toHaveLength(1)
    expect(await lastUse()).toEqual(first)
    later(59)
    await useAll()
    expect(await statementsOf(() => keys.recordUse())).toHaveLength(0)
    later(1)
    await useAll()
    await keys.recordUse()
    expect(await lastUse()).toEqual(now)
  })
})

describe('rotation', () => {
  test('issues a successor with the same name and scopes; the old key works for the grace period and no longer', async () => {
    const old = await keys.create(undefined, { name: 'Shop', scopes: [Scope.USERS_READ] })
    const { secret, apiKey, oldKey } = await keys.rotate(undefined, old.apiKey.key, { gracePeriodSeconds: 60 })
    expect(apiKey).toMatchObject({ name: 'Shop', kind: 'custom', scopes: ['users:read'], state: 'ACTIVE', rotated: false })
    expect(oldKey).toMatchObject({ state: 'ACTIVE', rotated: true, expiresAt: new Date(now.getTime() + 60_000) })
    expect((await bearer(secret))?.id).toBe(apiKey.key)
    expect((await bearer(old.secret))?.id).toBe(old.apiKey.key)
    later(60)
    await expect(bearer(old.secret)).rejects.toThrow(REFUSAL)
    expect((await bearer(secret))?.id).toBe(apiKey.key)
  })

  test('never lets the old key live longer than it would have, and the new one lives as long as the old one did', async () => {
    const expiresAt = new Date(now.getTime() + 10_000)
    const old = await keys.create(undefined, { name: 'Ten seconds', kind: 'chatbot', expiresAt })
    later(4)
    const { oldKey, apiKey } = await keys.rotate(undefined, old.apiKey.key)
    expect(oldKey.expiresAt).toEqual(expiresAt)
    expect(Math.abs(apiKey.expiresAt!.getTime() - now.getTime() - 10_000)).toBeLessThan(2_000)
  })

  test('happens once, even when many ask at the same time', async () => {
    const { apiKey } = await keys.create(undefined, { name: 'Once', kind: 'chatbot' })
    const results = await Promise.allSettled(Array.from({ length: 10 }, () => keys.rotate(undefined, apiKey.key)))
    expect(results.filter(result => result.status === 'fulfilled')).toHaveLength(1)
    expect(await database.prisma.apiKey.count({ where: { name: 'Once' } })).toBe(2)
  })

  test('is refused for a key that has ended', async () => {
    const { apiKey } = await keys.create(undefined, { name: 'Ended', kind: 'chatbot' })
    await keys.revoke(undefined, apiKey.key)
    await expect(keys.rotate(undefined, apiKey.key)).rejects.toMatchObject({ userCode: 'ILLEGAL_TRANSITION' })
  })
})

describe('the key file', () => {
  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bellwether-keys-'))
  })
  const file = () => join(folder, 'home', 'keys.json')
  const kindOf = async (secret: string) =>
    (await database.prisma.apiKey.findUniqueOrThrow({ where: { id: (await bearer(secret))!.id } })).kind

  test('is made at first start with a working key of each kind, for the owner only, and left alone after', async () => {
    const made = await ensureKeys(keys, file())
    for (const [kind, secret] of Object.entries(made)) expect(await kindOf(secret)).toBe(kind)
    expect(Object.keys(made)).toEqual(['admin', 'marketer', 'campaign', 'chatbot', 'ingest'])
    expect(JSON.parse(await readFile(file(), 'utf8'))).toEqual(made)
    expect((await stat(file())).mode & 0o777).toBe(0o600)
    expect(await readdir(join(folder, 'home'))).toEqual(['keys.json'])
    const { mtimeMs } = await stat(file())
    expect(await ensureKeys(keys, file())).toEqual(made)
    expect((await stat(file())).mtimeMs).toBe(mtimeMs)
  })

  test('that was lost is made anew, and the lost keys end', async () => {
    const lost = await ensureKeys(keys, file())
    await rm(file())
    const made = await ensureKeys(keys, file())
    for (const secret of Object.values(lost)) await expect(bearer(secret)).rejects.toThrow(REFUSAL)
    for (const [kind, secret] of Object.entries(made)) expect(await kindOf(secret)).toBe(kind)
  })

  test('that is damaged or holds one dead key is mended, keeping what works', async () => {
    const before = await ensureKeys(keys, file())
    await keys.revoke(undefined, (await bearer(before.chatbot))!.id)
    const after = await ensureKeys(keys, file())
    expect({ ...after, chatbot: before.chatbot }).toEqual(before)
    expect(await kindOf(after.chatbot)).toBe('chatbot')
    await writeFile(file(), '{"admin": "bw_ad')
    expect(await kindOf((await ensureKeys(keys, file())).admin)).toBe('admin')
  })

  test('gives its keys the scopes that their kinds have now', async () => {
    const { marketer } = await ensureKeys(keys, file())
    const { id } = (await bearer(marketer))!
    await database.prisma.apiKey.update({ where: { id }, data: { scopes: ['users:read'] } })
    await ensureKeys(keys, file())
    expect((await bearer(marketer))?.scopes).toEqual(new Set(scopesOf.marketer))
  })

  test('of one home does not end the keys of another', async () => {
    const first = await ensureKeys(keys, file())
    await ensureKeys(keys, join(folder, 'other', 'keys.json'))
    expect(await ensureKeys(keys, file())).toEqual(first)
  })
})

describe('over GraphQL', () => {
  let api: ReturnType<typeof createRunner>
  const admin = viewerWith()
  const CREATE =
    'mutation ($input: ApiKeyCreateInput!) { apiKeyCreate(input: $input) { apiKey { id name kind prefix scopes state } secret userErrors { code field message } idempotentReplay } }'
  beforeEach(() => {
    api = createRunner([new ApiKeyResolver(keys, new IdempotencyStore(database))])
  })
  const create = async (viewer: Viewer, input: Record<string, unknown>) => {
    const { data, errors } = await api.as(viewer).run(CREATE, { input })
    const payload = data?.apiKeyCreate as {
      apiKey: { id: string; prefix: string }
      secret: string
      userErrors: object[]
      idempotentReplay: boolean
    }
    return { errors, ...payload }
  }

  test('a key is made with its secret shown once, also under an idempotency key', async () => {
    const input = { name: 'Console', kind: 'MARKETER', idempotencyKey: 'make-1' }
    const made = await create(admin, input)
    expect((await bearer(made.secret))?.name).toBe('Console')
    expect(await create(admin, input)).toMatchObject({ idempotentReplay: true, secret: null, apiKey: { id: made.apiKey.id } })
    const kept = await database.prisma.idempotencyKey.findMany()
    expect(JSON.stringify(kept)).toContain(made.apiKey.prefix)
    expect(JSON.stringify(kept)).not.toContain(made.secret.slice(-43))
  })

  test('nobody grants, or gets by rotation, a scope that they lack', async () => {
    const manager = viewerWith([Scope.KEYS_MANAGE, Scope.USERS_READ], 'manager')
    const { errors } = await create(manager, { name: 'Too much', kind: 'ADMIN' })
    expect(errors?.[0].message).toMatch(/^You cannot grant what you do not have: users:write, pii:read/)
    expect((await create(manager, { name: 'Allowed', scopes: ['users:read'] })).secret).toMatch(/^bw_custom_/)
    const { apiKey } = await create(admin, { name: 'Strong', kind: 'ADMIN' })
    const rotated = await api.as(manager).run('mutation ($id: ID!) { apiKeyRotate(input: { id: $id }) { secret } }', { id: apiKey.id })
    expect(rotated.errors?.[0].originalError).toMatchObject({ code: 'FORBIDDEN' })
    expect(await database.prisma.apiKey.count({ where: { name: { in: ['Too much'] } } })).toBe(0)
  })

  test.each([
    [{ name: 'x' }, /exactly one of kind and scopes/],
    [{ name: 'x', kind: 'ADMIN', scopes: ['users:read'] }, /exactly one of kind and scopes/],
    [{ name: 'x', scopes: [] }, /at least one scope/],
    [{ name: 'x', scopes: ['users:rule'] }, /There is no scope "users:rule"; there are users:read/],
    [{ name: 'x', scopes: ['a\0'], idempotencyKey: 'nul' }, /There is no scope/],
    [{ name: '', kind: 'ADMIN' }, /name must not be empty/],
    [{ name: 'x\0', kind: 'ADMIN' }, /NUL/],
    [{ name: 'x', kind: 'ADMIN', expiresAt: '2001-01-01T00:00:00Z' }, /must lie in the future/],
  ])('%j is a userError with a sentence', async (input, sentence) => {
    const { errors, secret, userErrors } = await create(admin, input)
    expect(errors).toBeUndefined()
    expect(secret).toBeNull()
    expect(userErrors).toMatchObject([{ code: 'INVALID', message: expect.stringMatching(sentence) }])
  })

  test('keys are listed without those that ended, unless asked for, and never with a secret', async () => {
    await database.sql('DELETE FROM "ApiKey"')
    const made = [
      await create(admin, { name: 'A', kind: 'CHATBOT' }),
      await create(admin, { name: 'B', kind: 'CHATBOT' }),
      await create(admin, { name: 'C', kind: 'CHATBOT' }),
    ]
    await api.as(admin).run('mutation ($id: ID!) { apiKeyRevoke(input: { id: $id }) { apiKey { state } } }', { id: made[1].apiKey.id })
    const list = async (args: string) =>
      (await api.as(admin).run(`{ apiKeys(${args}) { totalCount nodes { name state } pageInfo { hasNextPage endCursor } } }`)).data?.apiKeys
    expect(await list('first: 10')).toMatchObject({ totalCount: 2, nodes: [{ name: 'A' }, { name: 'C' }] })
    const page = (await list('first: 1, includeInactive: true')) as { pageInfo: { endCursor: string } }
    expect(page).toMatchObject({ totalCount: 3, nodes: [{ name: 'A' }], pageInfo: { hasNextPage: true } })
    expect(await list(`first: 5, includeInactive: true, after: "${page.pageInfo.endCursor}"`)).toMatchObject({
      nodes: [{ name: 'B', state: 'REVOKED' }, { name: 'C' }],
    })
    expect((await api.as(admin).run('{ apiKeys { nodes { secret } } }')).errors?.[0].message).toMatch(/Cannot query field "secret"/)
  })

  test('needs keys:manage', async () => {
    const marketer = viewerWith(scopesOf.marketer)
    expect((await api.as(marketer).run('{ apiKeys { nodes { id } } }')).errors?.[0].originalError).toMatchObject({ code: 'FORBIDDEN' })
    expect((await create(marketer, { name: 'x', scopes: ['users:read'] })).errors?.[0].originalError).toMatchObject({ code: 'FORBIDDEN' })
  })

  test('an id of nothing is a userError, not a fault of ours', async () => {
    const bogus = [
      ['ApiKey:a\0b', 'INVALID'],
      ['ApiKey:00000000-0000-7000-8000-000000000000', 'NOT_FOUND'],
    ].map(([text, code]) => ({ id: Buffer.from(text).toString('base64url'), code }))
    for (const { id, code } of bogus) {
      const { data, errors } = await api
        .as(admin)
        .run('mutation ($id: ID!) { apiKeyRevoke(input: { id: $id }) { userErrors { code } } }', { id })
      expect(errors).toBeUndefined()
      expect(data?.apiKeyRevoke).toEqual({ userErrors: [{ code }] })
    }
  })
})
