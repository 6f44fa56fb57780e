import { gunzipSync } from 'node:zlib'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type Authenticator, requireScope, Scope } from '../graphql/auth.js'
import { DomainError, InvalidInput, messageOf } from '../platform/errors.js'
import { isNestedWithin } from '../platform/text-input.js'
import type { UserFacts } from '../users/user-rules.js'
import { optionalId, RowFault, timeOf } from './event-rules.js'
import type { EventsService } from './events.service.js'
import { eventsOf, objectOf, type SegmentMessage, timestampOf } from './segment-events.js'

const BODY_LIMIT = 4 * 1024 * 1024
/** Segment's own limit of a batch. */
const LONGEST_BATCH = 500 * 1024
const LONGEST_MESSAGE = 32 * 1024
const DEEPEST_MESSAGE = 64
const TYPES = ['identify', 'track', 'page', 'screen', 'group', 'alias'] as const
type MessageType = (typeof TYPES)[number]

/**
 * The Segment HTTP tracking API: POST /v1/identify, /v1/track, /v1/page, /v1/screen, /v1/group, /v1/alias, /v1/batch. The ingest key is the user name of
 * Basic authentication. 200 {"success": true} means that everything is committed; a faulty message is 400 and names its place.
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
        accept(reply, [{ ...objectOf(request.body), type }]),
      )
    }
    server.post('/v1/batch', { bodyLimit: BODY_LIMIT, onRequest: admitted }, (request, reply) => {
      const { batch, sentAt, context } = objectOf(request.body)
      if (!Array.isArray(batch)) throw new InvalidInput('batch must be a list of messages', {}, ['batch'])
      return accept(
        reply,
        batch.map(message => ({ sentAt, ...objectOf(message), context: { ...objectOf(context), ...objectOf(objectOf(message).context) } })),
      )
    })
  }

  async function accept(reply: FastifyReply, messages: SegmentMessage[]) {
    const receivedAt = now()
    messages.forEach(check)
    for (const [index, message] of messages.entries()) await placed(index, () => identity(message, receivedAt))
    const rows = messages.flatMap((message, index) => eventsOf(message, receivedAt).map(row => ({ row, index })))
    const outcome = await events.track(
      rows.map(({ row }) => row),
      Number.POSITIVE_INFINITY,
    )
    const rejected = outcome.results.find(result => result.status === 'REJECTED')
    if (rejected)
      throw new InvalidInput(
        `batch[${rows[rejected.index].index}]: ${rejected.error}`,
        { accepted: outcome.accepted, rejected: outcome.rejected },
        ['batch', String(rows[rejected.index].index)],
      )
    for (const message of messages) await review(message, receivedAt)
    await onMessages(messages, receivedAt)
    return reply.send({ success: true })
  }

  /** What a message says about who is who. */
  async function identity({ type, userId, anonymousId, previousId, traits, context }: SegmentMessage, receivedAt: Date): Promise<void> {
    if (type === 'alias') return events.alias(optionalId(previousId, 'previousId') as string, optionalId(userId, 'userId') as string)
    if (type !== 'identify' || userId === undefined || userId === null || userId === '') return
    await events.identify(
      factsOf(optionalId(userId, 'userId') as string, { ...objectOf(objectOf(context).traits), ...objectOf(traits) }, receivedAt),
      optionalId(anonymousId, 'anonymousId'),
    )
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

function check(message: SegmentMessage, index: number) {
  const { type, userId, anonymousId } = message
  const place = `batch[${index}]`
  if (!TYPES.includes(type as MessageType))
    throw new InvalidInput(`${place}: type must be one of ${TYPES.join(', ')}`, {}, ['batch', String(index), 'type'])
  if (!userId && !anonymousId) throw new InvalidInput(`${place}: userId or anonymousId is needed`, {}, ['batch', String(index), 'userId'])
  if (type === 'track' && (typeof message.event !== 'string' || message.event === ''))
    throw new InvalidInput(`${place}: event, the name of what happened, is needed`, {}, ['batch', String(index), 'event'])
  if (type === 'alias' && (!message.previousId || !userId))
    throw new InvalidInput(`${place}: alias needs previousId and userId`, {}, ['batch', String(index)])
  if (!isNestedWithin(message, DEEPEST_MESSAGE))
    throw new InvalidInput(`${place}: a message has at most ${DEEPEST_MESSAGE} levels`, {}, ['batch', String(index)])
  const length = Buffer.byteLength(JSON.stringify(message))
  if (length > LONGEST_MESSAGE)
    throw new InvalidInput(`${place}: a message has at most ${LONGEST_MESSAGE} bytes, this one has ${length}`, {}, ['batch', String(index)])
}

async function placed<T>(index: number, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof RowFault || error instanceof DomainError)
      throw new InvalidInput(`batch[${index}]: ${messageOf(error)}`, {}, ['batch', String(index)])
    throw error
  }
}

/** Segment's reserved traits as facts of a user; the others stay traits. What is malformed stays a trait too, so that one odd trait loses nothing. */
function factsOf(externalId: string, traits: Record<string, unknown>, now: Date): UserFacts {
  const { email, phone, name, firstName, lastName, gender, birthday, address, locale, language } = traits
  const { city, country } = objectOf(address)
  const born = Date.parse(String(birthday))
  const facts: UserFacts = { externalId, traits: traits as UserFacts['traits'] }
  const text = (value: unknown, test: RegExp, most = 200) =>
    typeof value === 'string' && value.length <= most && test.test(value) ? value : undefined
  return {
    ...facts,
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
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (error) {
    throw new InvalidInput(error instanceof SyntaxError ? `The body is not JSON: ${error.message.slice(0, 200)}` : 'The body is not UTF-8')
  }
}
