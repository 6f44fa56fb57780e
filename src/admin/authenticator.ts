import { LRUCache } from 'lru-cache'
import type { Authenticator, Viewer } from '../graphql/auth.js'
import { Scope } from '../graphql/auth.js'
import { Unauthenticated } from '../platform/errors.js'
import type { Signals } from '../platform/signals.js'
import type { ApiKeysService } from './api-key.service.js'
import type { TokenVerifier } from './token-verifier.js'

interface Known {
  viewer: Viewer
  /** Id of the API key whose use is to be recorded; a token has none. */
  keyId?: string
}

const KNOWN_HEADERS = 2_000
const KNOWN_FOR_MS = 5_000
const LONGEST_HEADER = 8_192

/** One sentence for every fault, so that nobody learns from it which keys exist. */
const REFUSAL = 'This API key or token is not valid: it may be mistyped, expired or revoked'

/**
 * Authorization header → viewer, for `Bearer bw_…`, `Basic base64(bw_…:)` and, when an issuer is configured, `Bearer <JWT>`.
 * A header that was good is remembered for five seconds, so that the hot path neither hashes nor asks the database; `key.changed` ends that at once.
 */
export class HeaderAuthenticator implements Authenticator {
  private readonly known = new LRUCache<string, Known>({ max: KNOWN_HEADERS, ttl: KNOWN_FOR_MS })
  /** Grows with every invalidation, so that a check which began before one is not remembered after it. */
  private invalidations = 0
  private readonly unsubscribe: () => void

  constructor(
    private readonly keys: ApiKeysService,
    private readonly tokens: TokenVerifier | undefined,
    signals: Pick<Signals, 'on'>,
    private readonly now: () => number = Date.now,
  ) {
    this.unsubscribe = signals.on('key.changed', () => this.forget())
  }

  async authenticate(authorization: string | undefined): Promise<Viewer | undefined> {
    if (authorization === undefined) return undefined
    const known = this.known.get(authorization) ?? (await this.check(authorization))
    if (known.viewer.expiresAt !== undefined && known.viewer.expiresAt <= this.now()) throw refusal()
    if (known.keyId !== undefined) this.keys.used(known.keyId)
    return known.viewer
  }

  /** Makes the next use of every credential a full check. */
  forget(): void {
    this.invalidations++
    this.known.clear()
  }

  close(): void {
    this.unsubscribe()
  }

  private async check(authorization: string): Promise<Known> {
    const { invalidations } = this
    const credential = credentialOf(authorization)
    const known = credential.startsWith('bw_') ? await this.keyHolder(credential) : await this.tokenHolder(credential)
    if (invalidations === this.invalidations) this.known.set(authorization, known)
    return known
  }

  private async keyHolder(key: string): Promise<Known> {
    const row = await this.keys.verify(key)
    if (!row) throw refusal()
    const viewer = { id: row.id, name: row.name, scopes: new Set(row.scopes as Scope[]), expiresAt: row.expiresAt?.getTime() }
    return { viewer, keyId: row.id }
  }

  private async tokenHolder(token: string): Promise<Known> {
    const viewer = await this.tokens?.verify(token)
    if (!viewer) throw refusal()
    return { viewer }
  }
}

/** The key or token inside the header; Basic carries a key as user name, with any password, as the Segment SDKs send it. */
function credentialOf(authorization: string): string {
  const [, scheme, credential] = /^(\S+) +(\S+) *$/.exec(authorization.length > LONGEST_HEADER ? '' : authorization) ?? []
  if (scheme?.toLowerCase() === 'bearer') return credential
  const user = scheme?.toLowerCase() === 'basic' ? Buffer.from(credential, 'base64').toString('utf8').split(':')[0] : ''
  if (user.startsWith('bw_')) return user
  throw new Unauthenticated('Send the API key as Authorization: Bearer <key>, or as the user name of Basic')
}

function refusal() {
  return new Unauthenticated(REFUSAL)
}
