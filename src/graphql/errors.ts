import { GraphQLError, type GraphQLFormattedError } from 'graphql'
import { codeOf, knownFault } from '../platform/database.js'
import { DomainError, messageOf } from '../platform/errors.js'
import type { Log } from '../platform/log.js'

/** Codes of the contract that a domain error becomes when it reaches the top level. */
const CODES: Record<DomainError['code'], string> = {
  BAD_USER_INPUT: 'BAD_USER_INPUT',
  NOT_FOUND: 'NOT_FOUND',
  UNAUTHENTICATED: 'UNAUTHENTICATED',
  FORBIDDEN: 'FORBIDDEN',
  RATE_LIMITED: 'RATE_LIMITED',
  CONFLICT: 'BAD_USER_INPUT',
  UNAVAILABLE: 'UNAVAILABLE',
}
/** Faults of a document, told as they are. */
const DOCUMENT_FAULTS = new Set([
  'GRAPHQL_PARSE_FAILED',
  'GRAPHQL_VALIDATION_FAILED',
  'BAD_USER_INPUT',
  'OPERATION_RESOLUTION_FAILURE',
  'BAD_REQUEST',
  'PERSISTED_QUERY_NOT_SUPPORTED',
])
/** Text that PostgreSQL cannot store (NUL, broken UTF-8); services refuse it first, this is the net below them. */
const UNSTORABLE = new Set(['22021', '22P05'])

/** Limits that graphql-js and Apollo hold, in their words. */
const LIMIT = /^Syntax Error: Document contains more that \d+ tokens|recursively requests too many selections/
const TOO_MANY = /^Too many errors processing variables/
/** Messages of graphql-js repeat the input, however long. */
const LONGEST_MESSAGE = 2_000

/** Turns whatever was thrown into what a client may see; what it may not see goes to the log under the request's id. */
export function formatError(
  formatted: GraphQLFormattedError,
  error: unknown,
  log: Log,
  requestId: string,
  { hints = true } = {},
): GraphQLFormattedError {
  const thrown = causeOf(error)
  const cause = knownFault(thrown) ?? thrown
  if (cause !== thrown) log.error('a request failed for want of a part', { requestId, path: formatted.path, error: messageOf(thrown) })
  const { locations, path } = formatted
  if (cause instanceof DomainError) {
    const details = Object.keys(cause.details).length > 0 ? { details: cause.details } : {}
    return {
      message: cause.message,
      locations,
      path,
      extensions: { code: CODES[cause.code], ...(cause.field ? { field: cause.field } : {}), ...details },
    }
  }
  const isOfGraphQL = cause instanceof GraphQLError
  const message = (hints ? formatted.message : withoutHint(formatted.message)).slice(0, LONGEST_MESSAGE)
  if (formatted.extensions?.limit || (isOfGraphQL && LIMIT.test(message)))
    return { message, locations, path, extensions: { code: 'COST_LIMIT' } }
  const code = isOfGraphQL && TOO_MANY.test(message) ? 'BAD_USER_INPUT' : String(formatted.extensions?.code ?? 'INTERNAL_SERVER_ERROR')
  if (DOCUMENT_FAULTS.has(code) || (isOfGraphQL && code !== 'INTERNAL_SERVER_ERROR'))
    return { message, locations, path, extensions: { code } }
  if (UNSTORABLE.has(codeOf(cause) ?? ''))
    return { message: 'A text holds characters that cannot be stored', locations, path, extensions: { code: 'BAD_USER_INPUT' } }
  log.error('a request failed', { requestId, path, error: messageOf(cause), stack: cause instanceof Error ? cause.stack : undefined })
  return {
    message: 'Something went wrong on our side; the request id finds it in the log',
    locations,
    path,
    extensions: { code: 'INTERNAL_SERVER_ERROR', requestId },
  }
}

/** A message of graphql-js without the names of the schema that it knows better than the caller. */
export function withoutHint(message: string): string {
  return message.replace(/ ?Did you mean .+\?$/s, '')
}

/** What a resolver threw, below the wrappings of graphql-js and Apollo. */
function causeOf(error: unknown): unknown {
  return error instanceof GraphQLError && error.originalError ? causeOf(error.originalError) : error
}
