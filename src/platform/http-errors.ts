import type { Socket } from 'node:net'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { knownFault } from './database.js'
import { discardRest } from './discard-rest.js'
import { DomainError, RateLimited } from './errors.js'
import type { Log } from './log.js'

type Fault = Error & { statusCode?: number; code?: string }

const STATUS: Record<DomainError['code'], number> = {
  BAD_USER_INPUT: 400,
  NOT_FOUND: 404,
  UNAUTHENTICATED: 401,
  FORBIDDEN: 403,
  CONFLICT: 409,
  UNAVAILABLE: 503,
  RATE_LIMITED: 429,
}
const CODES: Record<number, string> = {
  401: 'UNAUTHENTICATED',
  403: 'FORBIDDEN',
  404: 'NOT_FOUND',
  409: 'CONFLICT',
  429: 'RATE_LIMITED',
  503: 'UNAVAILABLE',
}

/** Answers a request that failed before or outside GraphQL: a sentence for a person, a code for programs; what is our fault goes to the log under the request's id. */
export function answerError(thrown: Fault, request: FastifyRequest, reply: FastifyReply, log: Log) {
  const error: Fault | DomainError = knownFault(thrown) ?? thrown
  const status = error instanceof DomainError ? STATUS[error.code] : (error.statusCode ?? 500)
  const isOurs = status >= 500 && !(error instanceof DomainError)
  const facts = { requestId: request.id, route: request.url.split('?')[0], error: thrown.message }
  if (isOurs) log.error('a request failed', { ...facts, stack: thrown.stack })
  else if (status >= 500) log.error('a request failed for want of a part', facts)
  if (reply.sent || reply.raw.headersSent) return
  if (status === 413) {
    // Fastify would close at once, and a client that is still sending would see a broken pipe and no sentence.
    void reply.removeHeader('connection')
    discardRest(request.raw)
  }
  if (error instanceof RateLimited) void reply.header('retry-after', String(error.details.retryAfterSeconds))
  const message = isOurs ? 'Something went wrong on our side; the request id finds it in the log' : sentenceOf(error, request)
  const code = CODES[status] ?? (status >= 500 ? 'INTERNAL_SERVER_ERROR' : 'BAD_REQUEST')
  if (request.url.startsWith('/graphql'))
    return reply
      .code(status)
      .type('application/json')
      .send({ errors: [{ message, extensions: { code, requestId: request.id } }] })
  const field = error instanceof DomainError ? error.field : undefined
  return reply.code(status).send({ error: message, code, requestId: request.id, ...(field ? { field } : {}) })
}

/** Fastify's own words do not tell what is allowed. */
function sentenceOf(error: Fault, { headers, routeOptions, url }: FastifyRequest): string {
  if (error.code === 'FST_ERR_CTP_BODY_TOO_LARGE')
    return `The body is too large: ${Math.floor((routeOptions.bodyLimit ?? 0) / 1024)} kB are the most here`
  if (error.code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE')
    return `The content-type ${JSON.stringify(headers['content-type']?.slice(0, 60) ?? '')} is not taken here; send ${url.startsWith('/v1/import/') ? 'text/csv or application/x-ndjson' : 'application/json'}`
  return error.message
}

/** Answers what is no HTTP request, or breaks off before its end: there is nothing but a socket. */
export function answerNoRequest({ code, message }: Fault, socket: Socket) {
  if (code === 'ECONNRESET' || socket.destroyed) return
  const [status, error] =
    code === 'HPE_HEADER_OVERFLOW'
      ? ['431 Request Header Fields Too Large', 'The headers are too large: 16 kB are the most']
      : code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? ['408 Request Timeout', 'The request did not come in time']
        : ['400 Bad Request', code === 'HPE_INVALID_EOF_STATE' ? 'The request broke off before its end; nothing of it was kept' : message]
  const body = JSON.stringify({ error, code: 'BAD_REQUEST' })
  if (socket.writable)
    socket.write(
      `HTTP/1.1 ${status}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`,
    )
  socket.destroySoon()
}
