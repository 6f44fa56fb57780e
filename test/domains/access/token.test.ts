import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { type CryptoKey, exportJWK, generateKeyPair, SignJWT, UnsecuredJWT } from 'jose'
import { ApiKeyRepository } from '../../../src/admin/api-key.repository.js'
import { ApiKeysService } from '../../../src/admin/api-key.service.js'
import { HeaderAuthenticator } from '../../../src/admin/authenticator.js'
import { TokenVerifier } from '../../../src/admin/token-verifier.js'
import { Scope } from '../../../src/graphql/auth.js'
import { Unauthenticated, Unavailable } from '../../../src/platform/errors.js'
import { silentLog } from '../../../src/platform/log.js'
import { createTestDatabase } from '../../support/database.js'
import { localSignals } from '../../support/local-signals.js'

const AUDIENCE = 'bellwether'

/** A real issuer: discovery document and keys over HTTP. */
interface Issuer {
  url: string
  server: Server
  served: object[]
  requests: string[]
  broken: boolean
}

let database: Awaited<ReturnType<typeof createTestDatabase>>
let issuer: Issuer
let signing: CryptoKey
let authenticator: HeaderAuthenticator

beforeAll(async () => {
  database = await createTestDatabase()
  issuer = await startIssuer()
  signing = await newKey('first', 'RS256')
})
beforeEach(() => {
  issuer.broken = false
  authenticator = authenticatorFor({})
})
afterAll(async () => {
  issuer.server.close()
  await database.drop()
})

async function startIssuer(): Promise<Issuer> {
  const state: Issuer = { url: '', server: createServer(), served: [], requests: [], broken: false }
  state.server.on('request', (request, response) => {
    state.requests.push(request.url!)
    response.statusCode = state.broken ? 500 : 200
    response.setHeader('content-type', 'application/json')
    const isDiscovery = request.url === '/.well-known/openid-configuration'
    response.end(JSON.stringify(isDiscovery ? { issuer: state.url, jwks_uri: `${state.url}/keys` } : { keys: state.served }))
  })
  await new Promise<void>(done => state.server.listen(0, '127.0.0.1', done))
  state.url = `http://127.0.0.1:${(state.server.address() as AddressInfo).port}`
  return state
}

async function newKey(kid: string, alg: string, isServed = true): Promise<CryptoKey> {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true })
  if (isServed) issuer.served.push({ ...(await exportJWK(publicKey)), kid, alg, use: 'sig' })
  return privateKey
}

function authenticatorFor({ jwksUrl, url = issuer.url }: { jwksUrl?: string; url?: string }) {
  const signals = localSignals()
  const keys = new ApiKeysService(new ApiKeyRepository(database), signals, silentLog)
  return new HeaderAuthenticator(keys, new TokenVerifier({ issuer: url, audience: AUDIENCE, jwksUrl, log: silentLog }), signals)
}

interface Wish {
  claims?: Record<string, unknown>
  iss?: string
  aud?: string
  exp?: string | number | null
  nbf?: number
  kid?: string
  alg?: string
  key?: CryptoKey | Uint8Array
}

function token({
  claims = { sub: 'anna', scope: 'users:read' },
  iss = issuer.url,
  aud = AUDIENCE,
  exp = '5m',
  nbf,
  kid = 'first',
  alg = 'RS256',
  key = signing,
}: Wish) {
  const jwt = new SignJWT(claims).setProtectedHeader({ alg, kid }).setIssuer(iss).setAudience(aud).setIssuedAt()
  if (exp !== null) jwt.setExpirationTime(exp)
  if (nbf !== undefined) jwt.setNotBefore(nbf)
  return jwt.sign(key)
}

const viewerOf = async (wish: Wish) => authenticator.authenticate(`Bearer ${await token(wish)}`)
const seconds = () => Math.floor(Date.now() / 1000)

describe('a token of the issuer', () => {
  test('is who it says, with the scopes that are ours', async () => {
    const exp = seconds() + 300
    expect(await viewerOf({ claims: { sub: 'anna', name: 'Anna', scope: 'openid users:read models:review made:up' }, exp })).toEqual({
      id: 'oidc:anna',
      name: 'Anna',
      scopes: new Set([Scope.USERS_READ, Scope.MODELS_REVIEW]),
      expiresAt: exp * 1000,
    })
  })

  test('may carry its scopes as scp, as text or as a list, or none at all', async () => {
    expect((await viewerOf({ claims: { sub: 'b', scp: 'users:read' } }))?.scopes).toEqual(new Set([Scope.USERS_READ]))
    expect((await viewerOf({ claims: { sub: 'b', scp: ['users:read', 7, 'jobs:read'] } }))?.scopes).toEqual(
      new Set([Scope.USERS_READ, Scope.JOBS_READ]),
    )
    expect(await viewerOf({ claims: { sub: 'b', scope: { users: 'read' } } })).toMatchObject({ name: 'b', scopes: new Set() })
  })

  test('may be signed by any asymmetric algorithm of its keys', async () => {
    for (const alg of ['ES256', 'PS256', 'EdDSA']) {
      const key = await newKey(`key-${alg}`, alg)
      const fresh = authenticatorFor({})
      expect((await fresh.authenticate(`Bearer ${await token({ alg, kid: `key-${alg}`, key })}`))?.id).toBe('oidc:anna')
    }
  })

  test('is verified by the keys at a configured address, without discovery', async () => {
    issuer.requests.length = 0
    authenticator = authenticatorFor({ jwksUrl: `${issuer.url}/elsewhere` })
    expect((await viewerOf({}))?.id).toBe('oidc:anna')
    expect(issuer.requests).toEqual(['/elsewhere'])
  })

  test('costs the issuer one discovery and one fetch of keys, however many come', async () => {
    issuer.requests.length = 0
    await Promise.all(Array.from({ length: 20 }, (_, index) => viewerOf({ claims: { sub: `user-${index}` } })))
    expect(issuer.requests).toEqual(['/.well-known/openid-configuration', '/keys'])
  })
})

describe('a token is refused', () => {
  test.each<[string, () => Wish | Promise<Wish>]>([
    ['of another issuer', () => ({ iss: 'https://evil.example' })],
    ['for another audience', () => ({ aud: 'shop' })],
    ['that has expired', () => ({ exp: seconds() - 60 })],
    ['that never expires', () => ({ exp: null })],
    ['that is not valid yet', () => ({ nbf: seconds() + 600 })],
    ['without a subject', () => ({ claims: { scope: 'users:read' } })],
    ['with NUL in its subject', () => ({ claims: { sub: 'a\0' } })],
    ['signed by a stranger with the kid of the issuer', async () => ({ key: await newKey('stranger', 'RS256', false) })],
    ['signed by an unknown key', async () => ({ kid: 'nobody', key: await newKey('nobody', 'RS256', false) })],
    ['signed with a shared secret', () => ({ alg: 'HS256', key: new Uint8Array(32) })],
  ])('%s', async (_, wish) => {
    await expect(viewerOf(await wish())).rejects.toThrow(
      new Unauthenticated('This API key or token is not valid: it may be mistyped, expired or revoked'),
    )
  })

  test('without a signature, cut, changed, or when no issuer is configured', async () => {
    const unsigned = new UnsecuredJWT({ sub: 'anna' }).setIssuer(issuer.url).setAudience(AUDIENCE).setExpirationTime('5m').encode()
    const good = await token({})
    const [head, , signature] = good.split('.')
    const changed = [
      head,
      Buffer.from(JSON.stringify({ sub: 'root', iss: issuer.url, aud: AUDIENCE, exp: seconds() + 60 })).toString('base64url'),
      signature,
    ].join('.')
    for (const text of [unsigned, good.slice(0, -10), changed, 'a.b.c', `${good}.x`, '..'])
      await expect(authenticator.authenticate(`Bearer ${text}`)).rejects.toThrow(Unauthenticated)
    const signals = localSignals()
    const keysOnly = new HeaderAuthenticator(new ApiKeysService(new ApiKeyRepository(database), signals, silentLog), undefined, signals)
    await expect(keysOnly.authenticate(`Bearer ${good}`)).rejects.toThrow(Unauthenticated)
  })

  test('when it expires after it was remembered', async () => {
    let now = Date.now()
    const signals = localSignals()
    const keys = new ApiKeysService(new ApiKeyRepository(database), signals, silentLog)
    const verifier = new TokenVerifier({ issuer: issuer.url, audience: AUDIENCE, log: silentLog })
    const clocked = new HeaderAuthenticator(keys, verifier, signals, () => now)
    const header = `Bearer ${await token({ exp: '1m' })}`
    expect((await clocked.authenticate(header))?.id).toBe('oidc:anna')
    now += 61_000
    await expect(clocked.authenticate(header)).rejects.toThrow(Unauthenticated)
  })
})

describe('an issuer that is away', () => {
  test('makes tokens unavailable, not invalid, and is asked again when it is back', async () => {
    issuer.broken = true
    await expect(viewerOf({})).rejects.toThrow(Unavailable)
    issuer.broken = false
    expect((await viewerOf({}))?.id).toBe('oidc:anna')
  })

  test('whose discovery document names another issuer is not believed', async () => {
    const alias = issuer.url.replace('127.0.0.1', 'localhost')
    authenticator = authenticatorFor({ url: alias })
    await expect(viewerOf({ iss: alias })).rejects.toThrow(Unavailable)
  })
})
