import DataLoader from 'dataloader'
import { requireScope, Scope } from '../graphql/auth.js'
import { type Connection, type Cursor, pageOf } from '../graphql/connection.js'
import type { Context } from '../graphql/context.js'
import { intIdOf, timeOf } from '../graphql/cursor.js'
import { decodeIntId, intKeyOf } from '../graphql/node-id.js'
import { OrderDirection } from '../graphql/order.js'
import { changesOf, type FieldChange, type UpsertPreview } from '../graphql/upsert-preview.js'
import { Conflict, InvalidInput, NotFound } from '../platform/errors.js'
import { cleanOptionalText } from '../platform/text-input.js'
import { cleanVersion } from '../platform/upsert.js'
import { type CleanUser, cleanExternalId, cleanUser, type UserFacts } from './user-rules.js'
import type { ConsentRow, UserFilter, UserPage, UserRow, UsersRepository } from './users.repository.js'
import { type ConsentSetInput, type UserOrder, UserOrderField, UserType } from './users.schema.js'

export interface UserUpsertOptions {
  /** 0: the user must be new. Else the version that the caller has seen. */
  expectedVersion?: number | null
  /** true joins `traits` into the stored ones (Segment's identify); else they replace them. */
  mergeTraits?: boolean
}

interface PageRequest {
  first: number
  after?: string
  where?: UserFilter | null
  orderBy?: UserOrder | null
}

const PERSONAL = new Set(['email', 'phone', 'name', 'traits'])
const OLDEST_FIRST: UserOrder = { field: UserOrderField.CREATED_AT, direction: OrderDirection.ASC }

/** Who the visitors are: their facts and their consents. */
export class UsersService {
  constructor(
    private readonly users: UsersRepository,
    private readonly now: () => Date = () => new Date(),
  ) {}

  /** The users of these internal ids; unknown ones are absent. */
  async byIds(ids: readonly number[]): Promise<Map<number, UserType>> {
    if (ids.length === 0) return new Map()
    return new Map((await this.users.byIds(ids)).map(row => [row.id, UserType.of(row)]))
  }

  async byExternalIds(externalIds: readonly string[]): Promise<Map<string, UserType>> {
    if (externalIds.length === 0) return new Map()
    return new Map((await this.users.byExternalIds(externalIds)).map(row => [row.externalId, UserType.of(row)]))
  }

  async byExternalId(externalId: string): Promise<UserType | null> {
    const id = cleanExternalId(externalId)
    return (await this.byExternalIds([id])).get(id) ?? null
  }

  /** Internal ids by external id; whoever is missing is created knowing nothing else. */
  async ensureStubs(externalIds: readonly string[]): Promise<Map<string, number>> {
    const ids = externalIds.map(id => cleanExternalId(id))
    const known = await this.byExternalIds(ids)
    const missing = ids.filter(id => !known.has(id))
    if (missing.length > 0) {
      await this.users.createMissing(missing)
      for (const [id, user] of await this.byExternalIds(missing)) known.set(id, user)
    }
    return new Map([...known].map(([id, user]) => [id, user.key]))
  }

  /** A user by the key inside its opaque id, for Query.node. Asks for users:read. */
  async node(key: string, context: Context): Promise<UserType | null> {
    requireScope(context.viewer, Scope.USERS_READ)
    const id = intKeyOf(key)
    return id === undefined ? null : this.load(context, id)
  }

  /** One user by internal id, batched with the request's other loads. */
  load(context: Context, id: number): Promise<UserType | null> {
    return this.loader(context).load(id)
  }

  loader(context: Context): DataLoader<number, UserType | null> {
    return context.loader('user', () => new DataLoader(async ids => inOrder(ids, await this.byIds(ids)), { maxBatchSize: 1000 }))
  }

  consentsOf(context: Context, userId: number): Promise<ConsentRow[]> {
    return this.consentLoader(context).load(userId)
  }

  async page({ first, after, where, orderBy }: PageRequest): Promise<Connection<UserType>> {
    const filter = cleanFilter(where ?? {})
    const { field, direction } = orderBy ?? OLDEST_FIRST
    const isByTime = field === UserOrderField.CREATED_AT
    const sortBy: UserPage['sortBy'] = isByTime ? 'createdAt' : 'externalId'
    const positionOf = (cursor: Cursor) => ({ sortKey: isByTime ? timeOf(cursor) : cursor[0], id: intIdOf(cursor) })
    return pageOf<UserRow, UserType>({
      first,
      after,
      fetch: (cursor, limit) => this.users.page(filter, { sortBy, direction, limit, after: cursor && positionOf(cursor) }),
      cursorOf: row => [isByTime ? row.createdAt.toISOString() : row.externalId, String(row.id)],
      nodeOf: row => UserType.of(row),
      count: () => this.users.count(filter),
    })
  }

  /** Creates or changes a user; only the given facts change. */
  async upsert(facts: UserFacts, options: UserUpsertOptions = {}): Promise<UserType> {
    const expectedVersion = cleanVersion(options.expectedVersion)
    const { externalId, changes, consents } = cleanUser(facts, this.now(), options.mergeTraits)
    const row = await this.users.upsert({ externalId, changes, expectedVersion, mayCreate: true }, consents)
    if (!row) throw await this.refusal(externalId, expectedVersion)
    return UserType.of(row)
  }

  /** Like `upsert`, and the request's loaders forget what they had read before. */
  async upsertIn(context: Context, input: UserFacts & UserUpsertOptions): Promise<UserType> {
    const user = await this.upsert(input, input)
    this.loader(context).clear(user.key)
    this.consentLoader(context).clear(user.key)
    return user
  }

  /** What `upsert` would do, with all its checks and no effect. */
  async preview(facts: UserFacts, options: UserUpsertOptions = {}): Promise<{ creates: boolean; changes: FieldChange[] }> {
    const expectedVersion = cleanVersion(options.expectedVersion)
    const clean = cleanUser(facts, this.now(), options.mergeTraits)
    const [row] = await this.users.byExternalIds([clean.externalId])
    if (expectedVersion !== undefined && expectedVersion !== (row?.version ?? 0))
      throw await this.refusal(clean.externalId, expectedVersion)
    return { creates: !row, changes: [...changesOf(row, clean.changes), ...(await this.consentChanges(row, clean))] }
  }

  /** A preview without what the viewer may not read: of what he says himself only how it was before. */
  masked(preview: UpsertPreview, { viewer }: Context, hidden: ('before' | 'after')[]): UpsertPreview {
    const isHidden = ({ field }: FieldChange) => !viewer?.scopes.has(PERSONAL.has(field) ? Scope.PII_READ : Scope.USERS_READ)
    const nothing = Object.fromEntries(hidden.map(side => [side, null]))
    return { ...preview, changes: preview.changes.map(change => (isHidden(change) ? { ...change, ...nothing } : change)) }
  }

  /** Keeps what a person said; nobody is created by it, and an older statement never replaces a newer one. */
  async setConsent(context: Context, input: ConsentSetInput): Promise<UserType> {
    return this.upsertIn(context, await this.factsOfConsent(input))
  }

  async previewConsent(input: ConsentSetInput): Promise<{ creates: boolean; changes: FieldChange[] }> {
    return this.preview(await this.factsOfConsent(input))
  }

  private async factsOfConsent({ userId, userExternalId, purpose, granted, at, source }: ConsentSetInput): Promise<UserFacts> {
    if (Boolean(userId) === Boolean(userExternalId))
      throw new InvalidInput('Give exactly one of userId and userExternalId', {}, ['input', 'userId'])
    const user = userId
      ? (await this.byIds([decodeIntId('User', userId, 'userId')])).values().next().value
      : await this.byExternalId(userExternalId as string)
    if (!user) throw new NotFound('No user has this id', {}, ['input', userId ? 'userId' : 'userExternalId'])
    return { externalId: user.externalId, consents: [{ purpose, granted, at, source }] }
  }

  private async consentChanges(row: UserRow | undefined, { consents }: CleanUser): Promise<FieldChange[]> {
    const before = new Map(
      (row && consents.length > 0 ? await this.users.consentsOf([row.id]) : []).map(consent => [consent.purpose, consent]),
    )
    return consents
      .filter(({ purpose, granted, at }) => before.get(purpose)?.granted !== granted && at >= (before.get(purpose)?.at ?? at))
      .map(({ purpose, granted }) => ({ field: `consents.${purpose}`, before: before.get(purpose)?.granted ?? null, after: granted }))
  }

  private consentLoader(context: Context): DataLoader<number, ConsentRow[]> {
    return context.loader('user.consents', () => new DataLoader(ids => this.consentsByUser(ids), { maxBatchSize: 1000 }))
  }

  private async consentsByUser(ids: readonly number[]): Promise<ConsentRow[][]> {
    const byUser = new Map<number, ConsentRow[]>(ids.map(id => [id, []]))
    for (const consent of await this.users.consentsOf(ids)) byUser.get(consent.userId)?.push(consent)
    return ids.map(id => byUser.get(id) ?? [])
  }

  private async refusal(externalId: string, expectedVersion?: number) {
    const [row] = await this.users.byExternalIds([externalId])
    if (!row) return new NotFound('No user has this externalId; leave expectedVersion out to create one', { externalId }, ['externalId'])
    const sentence = expectedVersion === 0 ? 'This user exists already' : 'This user was changed in the meantime'
    return new Conflict(`${sentence}: it has version ${row.version}`, 'VERSION_CONFLICT', { version: row.version }, ['expectedVersion'])
  }
}

function cleanFilter({ country, city, locale, gender, email, search, createdFrom, createdTo, ...rest }: UserFilter): UserFilter {
  const text = (value: string | null | undefined, field: string, max = 200) =>
    cleanOptionalText(value, { field: ['where', field], max, min: 0, trim: false })
  return {
    ...rest,
    country: text(country, 'country')?.toUpperCase(),
    city: text(city, 'city'),
    locale: text(locale, 'locale'),
    gender: text(gender, 'gender'),
    email: text(email, 'email', 254),
    search: text(search, 'search'),
    createdFrom: cleanInstant(createdFrom, 'createdFrom'),
    createdTo: cleanInstant(createdTo, 'createdTo'),
  }
}

function cleanInstant(time: Date | null | undefined, field: string): Date | null | undefined {
  if (!time || (time.getUTCFullYear() >= 1 && time.getUTCFullYear() <= 9999)) return time
  throw new InvalidInput(`${field} must be a time in the years 1 to 9999`, {}, ['where', field])
}

function inOrder<Key, Value>(keys: readonly Key[], found: ReadonlyMap<Key, Value>): (Value | null)[] {
  return keys.map(key => found.get(key) ?? null)
}
