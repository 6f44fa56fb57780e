import { randomUUID } from 'node:crypto'
import type { CatalogueService } from '../catalogue/catalogue.service.js'
import { InvalidInput } from '../platform/errors.js'
import type { Signals } from '../platform/signals.js'
import { v7 } from '../platform/uuid.js'
import type { UserFacts } from '../users/user-rules.js'
import type { UsersService } from '../users/users.service.js'
import { ANONYMOUS, type CleanEvent, cleanEvent, type EventDefaults, faultOf, optionalId, type RawEvent } from './event-rules.js'
import type { EventsRepository } from './events.repository.js'

export type RowStatus = 'ACCEPTED' | 'DUPLICATE' | 'REJECTED'

export interface RowResult {
  /** Position in the call, from 0. */
  index: number
  messageId: string | null
  status: RowStatus
  error: string | null
}

export interface TrackOutcome {
  results: RowResult[]
  accepted: number
  duplicates: number
  rejected: number
}

export interface Settings {
  currency: string
  unknownReferences: 'stub' | 'reject'
}

const MOST_EVENTS = 1_000
const ANNOUNCE_EVERY_MS = 1_000

/** What visitors did: checked, stored once, in whatever order it arrives. All doors lead here. */
export class EventsService {
  private announced = 0
  private unannounced = 0
  private trailing?: NodeJS.Timeout

  constructor(
    private readonly events: EventsRepository,
    private readonly users: UsersService,
    private readonly catalogue: CatalogueService,
    private readonly signals: Pick<Signals, 'announce'>,
    private readonly settings: Settings,
    private readonly now: () => Date = () => new Date(),
  ) {}

  /**
   * Stores up to 1,000 events; each row has its own result, a faulty one stops nothing. When this returns, the accepted ones are committed.
   * Rows of the same entry in `groups` are stored or rejected together.
   */
  async track(
    rows: readonly RawEvent[],
    { most = MOST_EVENTS, groups }: { most?: number; groups?: readonly number[] } = {},
  ): Promise<TrackOutcome> {
    const { clean, results } = this.checked(rows, most)
    const outcome = outcomeOf([...results, ...(await this.store(clean, groups))])
    await this.announce(outcome.accepted)
    return outcome
  }

  /** What `track` would answer, with nothing stored. */
  async preview(rows: readonly RawEvent[]): Promise<TrackOutcome> {
    const { clean, results } = this.checked(rows, MOST_EVENTS)
    const faults = await this.faultsOf(clean)
    const seen = await this.events.known(clean.map(({ event }) => event.messageId))
    for (const { event, index } of clean) {
      const { messageId } = event
      const error = faults.get(index) ?? null
      results.push({ index, messageId, status: error ? 'REJECTED' : seen.has(messageId) ? 'DUPLICATE' : 'ACCEPTED', error })
      if (!error) seen.add(messageId)
    }
    return outcomeOf(results)
  }

  /** Throws the fault of an event that could not be stored. */
  check(row: RawEvent): void {
    cleanEvent(row, this.defaults())
  }

  /** Segment's identify: facts of a user, and the anonymous id the same person had before. */
  async identify(facts: UserFacts, anonymousId: string | null): Promise<void> {
    await this.users.upsert(facts, { mergeTraits: true })
    if (anonymousId !== null) await this.events.link(optionalId(anonymousId, 'anonymousId') as string, facts.externalId, 'identify')
  }

  /** Segment's identify of somebody who is not known by an id yet: the facts are the visitor's, or the person's who the visitor turned out to be. */
  async identifyVisitor(anonymousId: string, facts: Omit<UserFacts, 'externalId'>): Promise<void> {
    await this.events.createVisitors([{ user: `${ANONYMOUS}${anonymousId}`, anonymousId }])
    await this.users.upsert({ externalId: await this.events.ownerOf(anonymousId), ...facts }, { mergeTraits: true })
  }

  /** Segment's alias: two ids are one person. */
  async alias(previousId: string, userId: string): Promise<void> {
    await this.users.ensureStubs([userId])
    await this.events.link(optionalId(previousId, 'previousId') as string, userId, 'alias')
  }

  async review(review: {
    externalId: string
    user: string
    product: string | null
    text: string
    rating: number | null
    locale: string
    at: Date
  }): Promise<void> {
    const id = v7()
    if (await this.events.addReview({ id, ...review })) await this.signals.announce('review.posted', { reviewId: id })
  }

  /** The rows that can be stored, and the results of the others. */
  private checked(rows: readonly RawEvent[], most: number) {
    if (rows.length > most)
      throw new InvalidInput(`At most ${most} events at once, not ${rows.length}; use the bulk import for more`, {}, ['events'])
    const defaults = this.defaults()
    const results: RowResult[] = []
    const clean: { event: CleanEvent; index: number }[] = []
    for (const [index, row] of rows.entries()) {
      try {
        clean.push({ event: cleanEvent(row, defaults), index })
      } catch (error) {
        const messageId = typeof row.messageId === 'string' ? row.messageId.slice(0, 200) : null
        results.push({ index, messageId, status: 'REJECTED', error: faultOf(error) })
      }
    }
    return { clean, results }
  }

  private defaults(): EventDefaults {
    return { now: this.now(), currency: this.settings.currency, fallbackId: () => `once:${randomUUID()}`, contentIds: true }
  }

  private async store(rows: readonly { event: CleanEvent; index: number }[], groups?: readonly number[]): Promise<RowResult[]> {
    if (rows.length === 0) return []
    const faults = await this.faultsOf(rows, groups)
    const good = faults.size === 0 ? rows : rows.filter(({ index }) => !faults.has(index))
    if (this.settings.unknownReferences === 'reject') await this.createVisitors(good.map(({ event }) => event))
    const stored = await this.events.insert(good.map(({ event }) => event))
    if (this.settings.unknownReferences === 'stub' && stored.size < good.length) {
      // Most events name whom we know; only what was not stored is looked at again.
      const others = good.filter(({ event }) => !stored.has(event.messageId))
      const known = await this.events.known(others.map(({ event }) => event.messageId))
      const missing = others.filter(({ event }) => !known.has(event.messageId)).map(({ event }) => event)
      if (missing.length > 0) {
        await this.createStubs(missing)
        for (const messageId of await this.events.insert(missing)) stored.add(messageId)
      }
    }
    return rows.map(({ event: { messageId }, index }) => {
      const fault = faults.get(index)
      if (fault) return { index, messageId, status: 'REJECTED' as const, error: fault }
      // The first row of a message is the one that was stored; its repetitions are duplicates.
      return { index, messageId, status: stored.delete(messageId) ? ('ACCEPTED' as const) : ('DUPLICATE' as const), error: null }
    })
  }

  private async createStubs(events: readonly CleanEvent[]): Promise<void> {
    const named = [...new Set(events.filter(event => event.anonymousId === null).map(event => event.user))].sort()
    const products = [...new Set(events.flatMap(event => event.product ?? []))].sort()
    if (named.length > 0) await this.users.ensureStubs(named)
    await this.createVisitors(events)
    if (products.length > 0) await this.catalogue.ensureStubs(products)
  }

  /** Anonymous visitors are strangers by nature, and always taken in. */
  private async createVisitors(events: readonly CleanEvent[]): Promise<void> {
    const visitors = events.flatMap(({ user, anonymousId }) => (anonymousId === null ? [] : [[user, { user, anonymousId }] as const]))
    await this.events.createVisitors([...new Map(visitors).values()])
  }

  /** In a shop that refuses strangers: which rows name one, and those that stand or fall with them. */
  private async faultsOf(rows: readonly { event: CleanEvent; index: number }[], groups?: readonly number[]): Promise<Map<number, string>> {
    if (this.settings.unknownReferences === 'stub') return new Map()
    const users = await this.events.knownUsers([...new Set(rows.map(({ event }) => event.user))])
    const products = await this.catalogue.byExternalIds([...new Set(rows.flatMap(({ event }) => event.product ?? []))])
    const faults = new Map<number, string>()
    for (const { event, index } of rows) {
      if (event.anonymousId === null && !users.has(event.user))
        faults.set(index, `userId names nobody: ${JSON.stringify(event.user.slice(0, 60))}`)
      else if (event.product !== null && !products.has(event.product))
        faults.set(index, `productId names no product: ${JSON.stringify(event.product.slice(0, 60))}`)
    }
    if (groups) {
      const faulty = new Map([...faults].map(([index, fault]) => [groups[index], fault]))
      for (const { index } of rows) {
        const fault = faulty.get(groups[index])
        if (fault !== undefined && !faults.has(index)) faults.set(index, fault)
      }
    }
    return faults
  }

  private async announce(accepted: number): Promise<void> {
    this.unannounced += accepted
    const time = this.now().getTime()
    if (this.unannounced === 0) return
    if (time - this.announced < ANNOUNCE_EVERY_MS) {
      // The last events of a burst are announced too, when its second is over.
      this.trailing ??= setTimeout(() => {
        this.trailing = undefined
        void this.announce(0)
      }, ANNOUNCE_EVERY_MS).unref()
      return
    }
    const count = this.unannounced
    this.announced = time
    this.unannounced = 0
    await this.signals.announce('events.ingested', { count })
  }
}

function outcomeOf(results: RowResult[]): TrackOutcome {
  results.sort((a, b) => a.index - b.index)
  const count = (status: RowStatus) => results.filter(result => result.status === status).length
  return { results, accepted: count('ACCEPTED'), duplicates: count('DUPLICATE'), rejected: count('REJECTED') }
}
