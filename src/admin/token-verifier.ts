import { createRemoteJWKSet, errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from 'jose'
import { Scope, type Viewer } from '../graphql/auth.js'
import { messageOf, Unavailable } from '../platform/errors.js'
import type { Log } from '../platform/log.js'
import { isStorable } from '../platform/text-input.js'

export interface TokenOptions {
  issuer: string
  audience: string
  /** Where the issuer's keys are; its discovery document says so unless given. */
  jwksUrl?: string
  log: Log
}

/** Signatures only: with a shared secret whoever can verify a token could make one. */
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519']
const CLOCK_TOLERANCE_SECONDS = 5
const TIMEOUT_MS = 5_000
/** A token with an unknown key id asks the issuer again, but never more often than this. */
const COOLDOWN_MS = 5_000
const SCOPES = new Set<string>(Object.values(Scope))

/** Turns OpenID Connect access tokens (RFC 9068 in shape) into viewers; the issuer's keys are fetched when the first token comes. */
export class TokenVerifier {
  private keySet: Promise<JWTVerifyGetKey> | undefined

  constructor(private readonly options: TokenOptions) {}

  /** Undefined for a token that does not hold; `Unavailable` when the issuer's keys cannot be had. */
  async verify(token: string): Promise<Viewer | undefined> {
    if (token.split('.').length !== 3) return undefined
    const { issuer, audience, log } = this.options
    const keys = await this.keys()
    try {
      const { payload } = await jwtVerify(token, keys, {
        issuer,
        audience,
        algorithms: ALGORITHMS,
        requiredClaims: ['exp', 'sub'],
        clockTolerance: CLOCK_TOLERANCE_SECONDS,
      })
      return viewerOf(payload)
    } catch (error) {
      if (isFaultOfToken(error)) {
        log.debug('a token was refused', { reason: messageOf(error) })
        return undefined
      }
      throw issuerAway(error)
    }
  }

  private keys(): Promise<JWTVerifyGetKey> {
    this.keySet ??= this.openKeySet().catch(error => {
      this.keySet = undefined
      throw issuerAway(error)
    })
    return this.keySet
  }

  private async openKeySet(): Promise<JWTVerifyGetKey> {
    const url = this.options.jwksUrl ?? (await discoverJwks(this.options.issuer))
    return createRemoteJWKSet(new URL(url), { timeoutDuration: TIMEOUT_MS, cooldownDuration: COOLDOWN_MS })
  }
}

/** OpenID Connect Discovery 1.0: the document must name the issuer that was asked. */
async function discoverJwks(issuer: string): Promise<string> {
  const response = await fetch(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`, { signal: AbortSignal.timeout(TIMEOUT_MS) })
  if (!response.ok) throw new Error(`discovery answered ${response.status}`)
  const document = (await response.json()) as { issuer?: unknown; jwks_uri?: unknown }
  if (document.issuer !== issuer) throw new Error('the discovery document is of another issuer')
  if (typeof document.jwks_uri !== 'string' || !URL.canParse(document.jwks_uri)) throw new Error('the discovery document names no jwks_uri')
  return document.jwks_uri
}

function viewerOf({ sub, exp, ...claims }: JWTPayload): Viewer | undefined {
  if (typeof sub !== 'string' || sub === '' || sub.length > 255 || !isStorable(sub) || exp === undefined) return undefined
  const name = typeof claims.name === 'string' && claims.name !== '' && isStorable(claims.name) ? claims.name.slice(0, 200) : sub
  const scopes = new Set([...scopesIn(claims.scope), ...scopesIn(claims.scp)])
  return { id: `oidc:${sub}`, name, scopes, expiresAt: exp * 1000 }
}

/** Space-separated (RFC 8693) or an array; what is no scope of ours is someone else's. */
function scopesIn(claim: unknown): Scope[] {
  const names = typeof claim === 'string' ? claim.split(' ') : Array.isArray(claim) ? claim : []
  return names.filter((name): name is Scope => SCOPES.has(name))
}

/** jose's own errors blame the token, except those about fetching the keys. */
function isFaultOfToken(error: unknown): boolean {
  if (error instanceof errors.JWKSTimeout || error instanceof errors.JWKSInvalid || error instanceof errors.JWKInvalid) return false
  return error instanceof errors.JOSEError && error.code !== 'ERR_JOSE_GENERIC'
}

function issuerAway(error: unknown): Unavailable {
  return error instanceof Unavailable
    ? error
    : new Unavailable('The keys of the token issuer cannot be fetched at the moment', { reason: messageOf(error) })
}
