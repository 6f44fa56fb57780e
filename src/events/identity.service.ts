import DataLoader from 'dataloader'
import type { Context } from '../graphql/context.js'
import { decodeId, decodeIntId } from '../graphql/node-id.js'
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

  async merge({ fromUserId, intoUserId, evidence }: UserMergeInput): Promise<UserType> {
    const [from, into] = [decodeIntId('User', fromUserId, 'fromUserId'), decodeIntId('User', intoUserId, 'intoUserId')]
    const reason = cleanOptionalText(evidence, { field: ['evidence'], max: 500 }) ?? 'a person said so'
    await this.identity.mergeUsers(from, into, reason)
    return this.changed(into, [from, into])
  }

  /** Takes back the named merge, or the one in which the user was merged away. Returns the user who is his own again. */
  async unmerge(input: UserUnmergeInput): Promise<UserType> {
    const { fromUserId, intoUserId } = await this.identity.unmerge(await this.mergeOf(input))
    return this.changed(fromUserId, [fromUserId, intoUserId])
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

  private async changed(userId: number, all: readonly number[]): Promise<UserType> {
    await this.follow(all)
    await this.signals.announce('events.ingested', { count: 0 })
    return (await this.users.byIds([userId])).get(userId) as UserType
  }
}
