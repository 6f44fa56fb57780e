import { randomUUID } from 'node:crypto'
import { type ClientKind, requireScope, Scope, scopesOf, type Viewer } from '../graphql/auth.js'
import { type Connection, type Cursor, pageOf } from '../graphql/connection.js'
import type { Context } from '../graphql/context.js'
import { timeOf } from '../graphql/cursor.js'
import { Conflict, Forbidden, InvalidInput, NotFound } from '../platform/errors.js'
import type { Log } from '../platform/log.js'
import type { Signals } from '../platform/signals.js'
import { cleanText } from '../platform/text-input.js'
import type { ApiKeyRepository, ApiKeyRow } from './api-key.repository.js'
import { ApiKeyType } from './api-key.schema.js'
import { type ApiKeySecret, matchesHash, newApiKey, prefixOf } from './api-key-secret.js'

export interface ApiKeyWish {
  name: string
  /** Gives the scopes of that client kind; or say the scopes themselves. */
  kind?: ClientKind | null
  scopes?: string[] | null
  expiresAt?: Date | null
}

export interface RotationWish {
  /** How long the old key keeps working; a day unless said. */
  gracePeriodSeconds?: number | null
  expiresAt?: Date | null
}

/** The only moment at which the whole key exists outside its owner. */
export interface IssuedApiKey {
  apiKey: ApiKeyType
  secret: string
}

interface Options {
  now?: () => Date
}

const DAY_SECONDS = 86_400
const LONGEST_GRACE_SECONDS = 30 * DAY_SECONDS
const USE_RECORDED_EVERY_MS = 60_000
const FLUSH_AFTER_MS = 1_000
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const KNOWN_SCOPES = new Set<string>(Object.values(Scope))

/** API keys: who may call, with which scopes, and until when. */
export class ApiKeysService {
  private readonly recordedAt = new Map<string, number>()
  private readonly unrecorded = new Set<string>()
  private flushTimer: NodeJS.Timeout | undefined
  private readonly now: () => Date

  constructor(
    private readonly keys: ApiKeyRepository,
    private readonly signals: Pick<Signals, 'announce'>,
    private readonly log: Log,
    { now = () => new Date() }: Options = {},
  ) {
    this.now = now
  }

  /** The stored key that `text` is, if it may be used now. */
  async verify(text: string): Promise<ApiKeyRow | undefined> {
    const prefix = prefixOf(text)
    const row = prefix === undefined ? undefined : await this.keys.byPrefix(prefix)
    return row && matchesHash(text, row.hash) && isActive(row, this.now()) ? row : undefined
  }

  /** Makes a key; `creator` undefined is the platform itself. A creator cannot grant what it does not have. */
  async create(creator: Viewer | undefined, wish: ApiKeyWish): Promise<IssuedApiKey> {
    const { secret, ...key } = this.wished(creator, wish)
    const row = await this.keys.create(key)
    this.log.info('API key created', { prefix: row.prefix, kind: row.kind, by: creator?.id })
    return { apiKey: ApiKeyType.of(row, this.now()), secret }
  }

  previewCreate(creator: Viewer | undefined, wish: ApiKeyWish): ApiKeyType {
    const { secret: _, ...key } = this.wished(creator, wish)
    return this.unsaved(key)
  }

  private wished(creator: Viewer | undefined, { name, kind, scopes, expiresAt }: ApiKeyWish) {
    const granted = grantedScopes(kind, scopes)
    refuseEscalation(creator, granted)
    const secret = newApiKey(kind ?? 'custom')
    return {
      name: cleanText(name, { field: 'name', max: 200 }),
      kind: kind ?? 'custom',
      scopes: granted,
      expiresAt: this.cleanExpiry(expiresAt),
      ...stored(secret),
      secret: secret.key,
    }
  }

  /** A key as it would be; its id and prefix are never used. */
  private unsaved(key: Pick<ApiKeyRow, 'name' | 'kind' | 'scopes' | 'expiresAt' | 'prefix' | 'hash'>): ApiKeyType {
    const now = this.now()
    return ApiKeyType.of({ ...key, id: randomUUID(), createdAt: now, lastUsedAt: null, revokedAt: null, rotatedToId: null }, now)
  }

  /** A successor with the same name and scopes; the old key works on for the grace period, but never longer than it would have. */
  async rotate(creator: Viewer | undefined, id: string, wish: RotationWish = {}): Promise<IssuedApiKey & { oldKey: ApiKeyType }> {
    const { old, oldEndsAt, secret, ...key } = await this.successor(creator, id, wish)
    const successor = await this.keys.rotate(id, oldEndsAt, key)
    if (!successor) throw rotatedAlready()
    await this.changed(old.prefix)
    this.log.info('API key rotated', { prefix: old.prefix, to: successor.prefix, by: creator?.id })
    const now = this.now()
    return { apiKey: ApiKeyType.of(successor, now), secret, oldKey: ApiKeyType.of(await this.get(id), now) }
  }

  /** The successor that `rotate` would make. */
  async previewRotate(creator: Viewer | undefined, id: string, wish: RotationWish): Promise<ApiKeyType> {
    const { old: _, oldEndsAt: _end, secret: _secret, ...key } = await this.successor(creator, id, wish)
    return this.unsaved(key)
  }

  private async successor(creator: Viewer | undefined, id: string, { gracePeriodSeconds, expiresAt }: RotationWish) {
    const now = this.now()
    const old = await this.get(id)
    refuseEscalation(creator, old.scopes)
    if (old.rotatedToId) throw rotatedAlready()
    if (!isActive(old, now)) throw new Conflict('This key has expired or was revoked; create a new one', 'ILLEGAL_TRANSITION', {}, ['id'])
    const graceEnd = now.getTime() + cleanGrace(gracePeriodSeconds) * 1000
    const oldEndsAt = new Date(Math.min(graceEnd, old.expiresAt?.getTime() ?? graceEnd))
    const secret = newApiKey(old.kind)
    const life = expiresAt ? this.cleanExpiry(expiresAt) : sameLifetime(old, now)
    return { old, oldEndsAt, name: old.name, kind: old.kind, scopes: old.scopes, expiresAt: life, ...stored(secret), secret: secret.key }
  }

  /** The key stops working: here at once, in other processes within seconds. */
  async revoke(by: Viewer | undefined, id: string): Promise<ApiKeyType> {
    const { prefix } = await this.get(id)
    await this.keys.revoke(id, this.now())
    await this.changed(prefix)
    this.log.info('API key revoked', { prefix, by: by?.id })
    return ApiKeyType.of(await this.get(id), this.now())
  }

  /** The key as it would be: revoking twice keeps the first time. */
  async previewRevoke(id: string): Promise<ApiKeyType> {
    const row = await this.get(id)
    return ApiKeyType.of({ ...row, revokedAt: row.revokedAt ?? this.now() }, this.now())
  }

  async page({
    first,
    after,
    includeInactive,
  }: {
    first: number
    after?: string
    includeInactive: boolean
  }): Promise<Connection<ApiKeyType>> {
    const now = this.now()
    return pageOf<ApiKeyRow, ApiKeyType>({
      first,
      after,
      fetch: (cursor, limit) => this.keys.page({ limit, includeInactive, now, after: cursor && positionOf(cursor) }),
      cursorOf: row => [row.createdAt.toISOString(), row.id],
      nodeOf: row => ApiKeyType.of(row, now),
      count: () => this.keys.count(includeInactive, now),
    })
  }

  /** A key by the key inside its opaque id, for Query.node. Asks for keys:manage. */
  async node(id: string, { viewer }: Context): Promise<ApiKeyType | null> {
    requireScope(viewer, Scope.KEYS_MANAGE)
    const row = UUID.test(id) ? await this.keys.byId(id) : null
    return row && ApiKeyType.of(row, this.now())
  }

  /** Notes that a key was used: cheap, and written at most once a minute a key, many keys in one statement. */
  used(id: string): void {
    const now = this.now().getTime()
    if (now - (this.recordedAt.get(id) ?? Number.NEGATIVE_INFINITY) < USE_RECORDED_EVERY_MS) return
    this.recordedAt.set(id, now)
    this.unrecorded.add(id)
    this.flushTimer ??= setTimeout(() => void this.recordUse(), FLUSH_AFTER_MS).unref()
  }

  /** Writes the uses noted so far. It is a convenience for people, so a database that is away is only warned of. */
  async recordUse(): Promise<void> {
    clearTimeout(this.flushTimer)
    this.flushTimer = undefined
    const ids = [...this.unrecorded]
    this.unrecorded.clear()
    if (ids.length === 0) return
    await this.keys
      .markUsed(ids, this.now())
      .catch(error => this.log.warn('the last use of API keys was not recorded', { error: error.message }))
  }

  /** Makes the platform's own key of a kind and ends its former ones of that name. */
  async issueOwn(kind: ClientKind, name: string): Promise<string> {
    const { apiKey, secret } = await this.create(undefined, { kind, name })
    for (const prefix of await this.keys.revokeOthers(name, kind, apiKey.key, this.now())) await this.changed(prefix)
    return secret
  }

  /** Whether `text` is a working key of this kind; if so it gets the scopes that its kind has in this release. */
  async refreshOwn(kind: ClientKind, text: unknown): Promise<boolean> {
    const row = typeof text === 'string' ? await this.verify(text) : undefined
    if (row?.kind !== kind) return false
    const scopes = [...scopesOf[kind]]
    if (scopes.length !== row.scopes.length || scopes.some(scope => !row.scopes.includes(scope))) {
      await this.keys.setScopes(row.id, scopes)
      await this.changed(row.prefix)
    }
    return true
  }

  close(): Promise<void> {
    return this.recordUse()
  }

  private async get(id: string): Promise<ApiKeyRow> {
    const row = UUID.test(id) ? await this.keys.byId(id) : null
    if (!row) throw new NotFound('No API key has this id', {}, ['id'])
    return row
  }

  private changed(prefix: string): Promise<void> {
    return this.signals.announce('key.changed', { prefix })
  }

  private cleanExpiry(expiresAt: Date | null | undefined): Date | null {
    if (!expiresAt) return null
    if (expiresAt <= this.now()) throw new InvalidInput('expiresAt must lie in the future', {}, ['expiresAt'])
    if (expiresAt.getUTCFullYear() > 9999) throw new InvalidInput('expiresAt must lie before the year 10000', {}, ['expiresAt'])
    return expiresAt
  }
}

export function isActive({ expiresAt, revokedAt }: Pick<ApiKeyRow, 'expiresAt' | 'revokedAt'>, now: Date): boolean {
  return revokedAt === null && (expiresAt === null || expiresAt > now)
}

function grantedScopes(kind: ClientKind | null | undefined, scopes: string[] | null | undefined): string[] {
  if (Boolean(kind) === Boolean(scopes)) throw new InvalidInput('Give exactly one of kind and scopes', {}, ['kind'])
  if (kind) return [...scopesOf[kind]]
  const wanted = [...new Set(scopes)]
  const unknown = wanted.filter(scope => !KNOWN_SCOPES.has(scope)).map(scope => JSON.stringify(scope.slice(0, 40)))
  if (unknown.length > 0)
    throw new InvalidInput(`There is no scope ${unknown[0]}; there are ${[...KNOWN_SCOPES].join(', ')}`, {}, ['scopes'])
  if (wanted.length === 0) throw new InvalidInput('A key needs at least one scope', {}, ['scopes'])
  return wanted
}

function refuseEscalation(creator: Viewer | undefined, scopes: readonly string[]): void {
  if (!creator) return
  const missing = scopes.filter(scope => !creator.scopes.has(scope as Scope))
  if (missing.length > 0) throw new Forbidden(`You cannot grant what you do not have: ${missing.join(', ')}`, { missing })
}

function cleanGrace(seconds: number | null | undefined): number {
  const grace = seconds ?? DAY_SECONDS
  if (grace >= 0 && grace <= LONGEST_GRACE_SECONDS) return grace
  throw new InvalidInput(`gracePeriodSeconds must be from 0 to ${LONGEST_GRACE_SECONDS} (30 days)`, {}, ['gracePeriodSeconds'])
}

function sameLifetime({ createdAt, expiresAt }: ApiKeyRow, now: Date): Date | null {
  return expiresAt && new Date(now.getTime() + expiresAt.getTime() - createdAt.getTime())
}

function rotatedAlready() {
  return new Conflict('This key was rotated or revoked already', 'ILLEGAL_TRANSITION', {}, ['id'])
}

function stored({ prefix, hash }: ApiKeySecret) {
  return { prefix, hash }
}

function positionOf(cursor: Cursor) {
  if (!UUID.test(cursor[1])) throw new InvalidInput('after is not a cursor of this list', {}, ['after'])
  return { createdAt: new Date(timeOf(cursor)), id: cursor[1] }
}
