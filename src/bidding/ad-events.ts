import { objectOf, type SegmentMessage, timestampOf } from '../events/segment-events.js'
import { DomainError, messageOf } from '../platform/errors.js'
import type { Log } from '../platform/log.js'
import type { AdLogRepository } from './ad-log.repository.js'
import type { BiddingService } from './bidding.service.js'

export type AdEventKind = 'IMPRESSION' | 'CLICK' | 'CONVERSION'

/** Event names, in lower case: our own, and those of Segment's e-commerce specification for promotions. */
const KINDS: Record<string, AdEventKind> = {
  'ad impression': 'IMPRESSION',
  'ad viewed': 'IMPRESSION',
  'promotion viewed': 'IMPRESSION',
  'ad clicked': 'CLICK',
  'promotion clicked': 'CLICK',
  'ad conversion': 'CONVERSION',
}
const LONGEST_ID = 200
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/

/** What happened with an ad, as a visitor's browser tells it. */
export interface AdEvent {
  kind: AdEventKind
  messageId: string
  /** Of our bid, where the page knows it. */
  decisionKey: string | null
  ad: string | null
  /** External id of the person. */
  user: string | null
  at: Date
  valueMicros: bigint
}

/**
 * Puts what browsers tell about ads by Segment events into the log. Such an event never moves money: of a bid only clicks and conversions are taken, and
 * what it cost is for the seller's notices to say.
 */
export class AdEvents {
  constructor(private readonly parts: { log: AdLogRepository; bidding: Pick<BiddingService, 'outcome'>; logger: Log }) {}

  async take(messages: readonly SegmentMessage[], receivedAt: Date): Promise<void> {
    for (const message of messages) {
      const event = adEventOf(message, receivedAt)
      if (!event) continue
      try {
        await this.note(event)
      } catch (error) {
        // The event itself is stored; an ad or bid that nobody knows is no reason to send it again.
        if (!(error instanceof DomainError)) throw error
        this.parts.logger.warn('an event about an ad was not taken into the log', { messageId: event.messageId, error: messageOf(error) })
      }
    }
  }

  private async note(event: AdEvent): Promise<void> {
    const { kind, decisionKey, messageId, at, valueMicros } = event
    if (decisionKey === null) return this.parts.log.note(event)
    if (kind === 'IMPRESSION') return
    await this.parts.bidding.outcome({
      id: decisionKey,
      type: kind,
      reference: messageId,
      micros: kind === 'CONVERSION' && valueMicros > 0n ? valueMicros : null,
      minToWinMicros: null,
      isBilled: false,
      at,
    })
  }
}

export function adEventOf(message: SegmentMessage, receivedAt: Date): AdEvent | undefined {
  const name = String(message.event ?? '').toLowerCase()
  const kind = message.type === 'track' && Object.hasOwn(KINDS, name) ? KINDS[name] : undefined
  const { messageId } = message
  if (!kind || typeof messageId !== 'string' || messageId.length > LONGEST_ID) return undefined
  const { decision_id: decision, ad_id: ad, promotion_id: promotion, creative_id: creative, value, revenue } = objectOf(message.properties)
  const at = new Date(timestampOf(message, receivedAt) as string | number)
  const worth = Number(value ?? revenue)
  const decisionKey = typeof decision === 'string' ? keyOf(decision) : null
  const named = [ad, creative, promotion].find(each => typeof each === 'string' && each !== '' && each.length <= LONGEST_ID) as
    | string
    | undefined
  if (decisionKey === null && named === undefined) return undefined
  return {
    kind,
    messageId,
    decisionKey,
    ad: named ?? null,
    user:
      typeof message.userId === 'string'
        ? message.userId
        : typeof message.anonymousId === 'string'
          ? `anonymous:${message.anonymousId}`
          : null,
    at: Number.isNaN(at.getTime()) ? receivedAt : at,
    valueMicros: worth > 0 && worth < 1e9 ? BigInt(Math.round(worth * 1_000_000)) : 0n,
  }
}

/** The key of a bid from its public id, or the key itself. */
function keyOf(id: string): string | null {
  const text = UUID.test(id)
    ? id
    : Buffer.from(id, 'base64url')
        .toString('utf8')
        .replace(/^Decision:/, '')
  return UUID.test(text) ? text : null
}
