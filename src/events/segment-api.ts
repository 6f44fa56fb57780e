import { gunzipSync } from 'node:zlib'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type Authenticator, requireScope, Scope } from '../graphql/auth.js'
import { isUserFault } from '../graphql/payload.js'
import { InvalidInput, messageOf } from '../platform/errors.js'
import { parseJson } from '../platform/json-text.js'
import { isNestedWithin } from '../platform/text-input.js'
import { cleanTimeZone, type UserFacts } from '../users/user-rules.js'
import { isAbsent, optionalId, type RawEvent, RowFault, timeOf } from './event-rules.js'
import type { EventsService } from './events.service.js'
import { eventsOf, objectOf, type SegmentEvent, type SegmentMessage, timestampOf } from './segment-events.js'

const BODY_LIMIT = 4 * 1024 * 1024
/** Segment's own limit of a batch. */
const LONGEST_BATCH = 500 * 1024
const LONGEST_MESSAGE = 32 * 1024
const DEEPEST_MESSAGE = 64
/** A faulty client repeats itself; the first ones tell what is wrong. */
const MOST_FAULTS = 100
const TYPES = ['identify', 'track', 'page', 'screen', 'group', 'alias'] as const
type MessageType = (typeof TYPES)[number]

/**
 * The Segment HTTP tracking API: POST /v1/identify, /v1/track, /v1/page, /v1/screen, /v1/group, /v1/alias, /v1/batch. The ingest key is the user name of
 * Basic authentication. 200 {"success": true} means that everything is committed. When a message is faulty, the answer is 400 and names its
 * place; the other messages of the batch are stored.
 */
export function segmentApi(
  events: EventsService,
  authenticator: Authenticator,
  /** Others who want to know what came in, once it is stored. */
  onMessages: (messages: readonly SegmentMessage[], receivedAt: Date) => Promise<void> = async () => {},
  now: () => Date = () => new Date(),
) {
  return (server: FastifyInstance) => {
    server.removeAllContentTypeParsers()
    server.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit: BODY_LIMIT }, (request, body, done) => {
      try {
        done(null, bodyOf(request, body as Buffer))
      } catch (error) {
        done(error as Error)
      }
    })
    const admitted = async (request: FastifyRequest) => {
      requireScope(await authenticator.authenticate(request.headers.authorization), Scope.EVENTS_WRITE)
    }
    for (const type of TYPES) {
      server.post(`/v1/${type}`, { bodyLimit: BODY_LIMIT, onRequest: admitted }, (request, reply) =>
        accept(reply, [{ ...objectOf(request.body), type }], () => []),
      )
    }
    server.post('/v1/batch', { bodyLimit: BODY_LIMIT, onRequest: admitted }, (request, reply) => {
      const { batch, sentAt, context } = objectOf(request.body)
      if (!Array.isArray(batch)) throw new InvalidInput('batch must be a list of messages', {}, ['batch'])
      return accept(
        reply,
        batch.map(message => ({ sentAt, ...objectOf(message), context: { ...objectOf(context), ...objectOf(objectOf(message).context) } })),
        index => ['batch', String(index)],
      )
    })
  }

  /** Each message is stored whole or not at all, and a faulty one stops no other. */
  async function accept(reply: FastifyReply, messages: SegmentMessage[], placeOf: (index: number) => string[]) {
    const receivedAt = now()
    const faults = new Map<number, MessageFault>()
    const attempt = async (index: number, work: () => unknown) => {
      if (faults.has(index)) return
      try {
        await work()
      } catch (error) {
        if (!(error instanceof RowFault) && !(isUserFault(error) && !error.retryable)) throw error
        const field = error instanceof RowFault ? error.field.split('.') : (error.field ?? [])
        faults.set(index, { index, error: messageOf(error), field: [...placeOf(index), ...field] })
      }
    }
    const rows: { row: RawEvent; index: number }[] = []
    for (const [index, message] of messages.entries()) {
      await attempt(index, () => check(message))
      await attempt(index, () => {
        const own = eventsOf(message, receivedAt)
        for (const row of own) checkEvent(row)
        rows.push(...own.map(row => ({ row, index })))
      })
      await attempt(index, () => identity(message, receivedAt))
    }
    const good = rows.filter(({ index }) => !faults.has(index))
    const outcome = await events.track(
      good.map(({ row }) => row),
      { most: Number.POSITIVE_INFINITY, groups: good.map(({ index }) => index) },
    )
    for (const { index, status, error } of outcome.results)
      if (status === 'REJECTED') await attempt(good[index].index, () => Promise.reject(new InvalidInput(error as string)))
    for (const [index, message] of messages.entries()) await attempt(index, () => review(message, receivedAt))
    await onMessages(
      messages.filter((_, index) => !faults.has(index)),
      receivedAt,
    )
    if (faults.size === 0) return reply.send({ success: true })
    const all = [...faults.values()].sort((a, b) => a.index - b.index)
    const [{ error, field, index }] = all
    const place = placeOf(index).length > 0 ? `batch[${index}]: ` : ''
    return reply.code(400).send({
      error: `${place}${error}`,
      code: 'BAD_REQUEST',
      field,
      accepted: messages.length - faults.size,
      rejected: all.slice(0, MOST_FAULTS),
      requestId: reply.request.id,
    })
  }

  /** Of an order, the fault names the product. */
  function checkEvent(event: SegmentEvent): void {
    try {
      events.check(event)
    } catch (error) {
      if (!(error instanceof RowFault) || event.line === undefined) throw error
      throw new RowFault(`products.${event.line}.${error.field}`, `products[${event.line}]: ${error.message}`)
    }
  }

  /** What a message says about who is who. */
  async function identity({ type, userId, anonymousId, previousId, traits, context }: SegmentMessage, receivedAt: Date): Promise<void> {
    if (type === 'alias') return events.alias(optionalId(previousId, 'previousId') as string, optionalId(userId, 'userId') as string)
    if (type !== 'identify') return
    const facts = {
      ...factsOf({ ...objectOf(objectOf(context).traits), ...objectOf(traits) }, receivedAt),
      timeZone: knownTimeZone(objectOf(context).timezone),
    }
    const [known, visitor] = [optionalId(userId, 'userId'), optionalId(anonymousId, 'anonymousId')]
    if (known !== null) await events.identify({ externalId: known, ...facts }, visitor)
    else await events.identifyVisitor(visitor as string, facts)
  }

  /** The text of a Product Reviewed becomes a review beside its rating. */
  async function review(message: SegmentMessage, receivedAt: Date): Promise<void> {
    const { review_body: text, review_id: id, rating, product_id: product } = objectOf(message.properties)
    if (String(message.event).toLowerCase() !== 'product reviewed' || typeof text !== 'string' || text.trim() === '') return
    const user = optionalId(message.userId, 'userId') ?? `anonymous:${optionalId(message.anonymousId, 'anonymousId')}`
    const locale = String(objectOf(message.context).locale ?? 'und').slice(0, 35)
    const stars = typeof rating === 'number' && rating >= 1 && rating <= 5 ? Math.round(rating) : null
    await events.review({
      externalId: optionalId(id, 'review_id') ?? `review:${message.messageId}`,
      user,
      product: optionalId(product, 'product_id'),
      text: text.slice(0, 20_000),
      rating: stars,
      locale,
      at: timeOf(timestampOf(message, receivedAt), receivedAt),
    })
  }
}

interface MessageFault {
  index: number
  error: string
  field: string[]
}

function check(message: SegmentMessage) {
  const { type, userId, anonymousId } = message
  if (!TYPES.includes(type as MessageType)) throw new InvalidInput(`type must be one of ${TYPES.join(', ')}`, {}, ['type'])
  if (isAbsent(userId) && isAbsent(anonymousId)) throw new InvalidInput('userId or anonymousId is needed', {}, ['userId'])
  if (type === 'track' && (typeof message.event !== 'string' || message.event === ''))
    throw new InvalidInput('event, the name of what happened, is needed', {}, ['event'])
  if (type === 'alias' && (isAbsent(message.previousId) || isAbsent(userId)))
    throw new InvalidInput('alias needs previousId and userId', {}, ['previousId'])
  if (!isNestedWithin(message, DEEPEST_MESSAGE)) throw new InvalidInput(`a message has at most ${DEEPEST_MESSAGE} levels`)
  const length = Buffer.byteLength(JSON.stringify(message))
  if (length > LONGEST_MESSAGE) throw new InvalidInput(`a message has at most ${LONGEST_MESSAGE} bytes, this one has ${length}`)
}

/** Segment's reserved traits as facts of a user; the others stay traits. What is malformed stays a trait too, so that one odd trait loses nothing. */
function factsOf(traits: Record<string, unknown>, now: Date): Omit<UserFacts, 'externalId'> {
  const { email, phone, name, firstName, lastName, gender, birthday, address, locale, language } = traits
  const { city, country } = objectOf(address)
  const born = Date.parse(String(birthday))
  const text = (value: unknown, test: RegExp, most = 200) =>
    typeof value === 'string' && value.length <= most && test.test(value) ? value : undefined
  return {
    traits,
    email: text(email, /^[^\s@]+@[^\s@]+\.[^\s@]+$/, 254),
    phone: text(phone, /^\+[1-9]\d{6,14}$/),
    name: text(name, /\S/) ?? text([firstName, lastName].filter(part => typeof part === 'string').join(' '), /\S/),
    gender: text(gender, /\S/, 40),
    birthYear:
      Number.isNaN(born) || born > now.getTime() || new Date(born).getUTCFullYear() < 1900 ? undefined : new Date(born).getUTCFullYear(),
    city: text(city, /\S/),
    country: text(country, /^[A-Z]{2}$/),
    locale: text(locale ?? language, /^[a-z]{2}(-[A-Z]{2})?$/),
  }
}

/** Of a wrong zone nothing is kept: it is the device's word, and loses nothing else. */
function knownTimeZone(zone: unknown): string | undefined {
  try {
    return typeof zone === 'string' ? (cleanTimeZone(zone) ?? undefined) : undefined
  } catch {
    return undefined
  }
}

function bodyOf(request: FastifyRequest, body: Buffer): unknown {
  let bytes = body
  if (request.headers['content-encoding'] === 'gzip') {
    try {
      bytes = gunzipSync(body, { maxOutputLength: BODY_LIMIT })
    } catch {
      throw new InvalidInput('The body is not gzip, or too large when unpacked')
    }
  }
  if (bytes.length > LONGEST_BATCH)
    throw Object.assign(new Error(`A batch has at most ${LONGEST_BATCH} bytes, this one has ${bytes.length}`), { statusCode: 413 })
  return parseJson(bytes)
}
