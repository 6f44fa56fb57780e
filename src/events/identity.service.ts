import { isDeepStrictEqual } from 'node:util'
import DataLoader from 'dataloader'
import type { Context } from '../graphql/context.js'
import { decodeId, decodeIntId } from '../graphql/node-id.js'
import type { UpsertPreview } from '../graphql/upsert-preview.js'
import { Conflict, InvalidInput, NotFound } from '../platform/errors.js'
import type { Signals } from '../platform/signals.js'
import { cleanOptionalText } from '../platform/text-input.js'
import type { UserType } from '../users/users.schema.js'
import type { UsersService } from '../users/users.service.js'
import type { IdentityRepository, MergeRow } from './identity.repository.js'
import type { UserMergeInput, UserUnmergeInput } from './identity.schema.js'

/** Records that are one person, and how they came to be known as one. */
export class IdentityService {
  constructor(
    private readonly identity: IdentityRepository,
    private readonly users: UsersService,
    private readonly signals: Pick<Signals, 'announce'>,
    /** Brings what else is known of these users in line at once: their profiles and segments. */
    private readonly follow: (userIds: readonly number[]) => Promise<void>,
  ) {}

  /** Merges of a user, newest first, batched with the request's other loads. */
  mergesOf(context: Context, userId: number): Promise<MergeRow[]> {
    return context
      .loader('user.merges', () => {
        return new DataLoader<number, MergeRow[]>(async ids => {
          const rows = await this.identity.mergesOf(ids)
          return ids.map(id => rows.filter(row => row.fromUserId === id || row.intoUserId === id))
        })
      })
      .load(userId)
  }

  async merge(input: UserMergeInput): Promise<UserType> {
    return this.changed(await this.join(this.identity, input))
  }

  /** Takes back the named merge, or the one in which the user was merged away. Returns the user who is his own again. */
  async unmerge(input: UserUnmergeInput): Promise<UserType> {
    return this.changed(await this.part(this.identity, input))
  }

  /** What a merge would change of the joint user. */
  previewMerge(context: Context, input: UserMergeInput): Promise<UpsertPreview> {
    return this.foreseen(context, decodeIntId('User', input.intoUserId, 'intoUserId'), dry => this.join(dry, input))
  }

  /** What taking a merge back would change of the user who is his own again. */
  async previewUnmerge(context: Context, input: UserUnmergeInput): Promise<UpsertPreview> {
    const [from] = await this.identity.rehearse(dry => this.part(dry, input))
    return this.foreseen(context, from, dry => this.part(dry, input))
  }

  private foreseen(context: Context, userId: number, change: (dry: IdentityRepository) => Promise<unknown>): Promise<UpsertPreview> {
    return this.identity.rehearse(async dry => {
      const before = await dry.knownOf(userId)
      await change(dry)
      const after = await dry.knownOf(userId)
      const changes = Object.keys(after).map(field => ({ field, before: before[field] ?? null, after: after[field] ?? null }))
      const preview = { creates: false, changes: changes.filter(change => !isDeepStrictEqual(change.before, change.after)) }
      return this.users.masked(preview, context, ['before', 'after'])
    })
  }

  /** The user who goes on, and the one who became part of him. */
  private async join(identity: IdentityRepository, { fromUserId, intoUserId, evidence }: UserMergeInput): Promise<[number, number]> {
    const [from, into] = [decodeIntId('User', fromUserId, 'fromUserId'), decodeIntId('User', intoUserId, 'intoUserId')]
    const reason = cleanOptionalText(evidence, { field: ['evidence'], max: 500 }) ?? 'a person said so'
    await identity.mergeUsers(from, into, reason)
    return [into, from]
  }

  /** The user who is his own again, and the one whom he had become part of. */
  private async part(identity: IdentityRepository, input: UserUnmergeInput): Promise<[number, number]> {
    const { fromUserId, intoUserId } = await identity.unmerge(await this.mergeOf(input))
    return [fromUserId, intoUserId]
  }

  gatherStrays(): Promise<number> {
    return this.identity.gatherStrays()
  }

  private async mergeOf({ mergeId, userId }: UserUnmergeInput): Promise<string> {
    if (mergeId && !userId) return decodeId('IdentityMerge', mergeId, 'mergeId')
    if (!userId || mergeId) throw new InvalidInput('Give exactly one of mergeId and userId', {}, ['mergeId'])
    const id = decodeIntId('User', userId, 'userId')
    const open = (await this.identity.mergesOf([id])).filter(row => row.undoneAt === null)
    const [away] = open.filter(row => row.fromUserId === id)
    if (away) return away.id
    if (open.length === 1) return open[0].id
    if (open.length > 1)
      throw new Conflict('Several records were merged into this user; name one by mergeId', 'ILLEGAL_TRANSITION', {}, ['mergeId'])
    throw new NotFound('Nothing was merged into or out of this user', {}, ['userId'])
  }

  private async changed(both: readonly [number, number]): Promise<UserType> {
    await this.follow(both)
    await this.signals.announce('events.ingested', { count: 0 })
    return (await this.users.byIds([both[0]])).get(both[0]) as UserType
  }
}
