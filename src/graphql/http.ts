import { ApolloServer, type ApolloServerPlugin, type BaseContext } from '@apollo/server'
import {
  ApolloServerPluginCacheControlDisabled,
  ApolloServerPluginInlineTraceDisabled,
  ApolloServerPluginLandingPageDisabled,
  ApolloServerPluginSchemaReportingDisabled,
  ApolloServerPluginUsageReportingDisabled,
} from '@apollo/server/plugin/disabled'
import { fastifyApolloHandler } from '@as-integrations/fastify'
import type { FastifyReply, FastifyRequest } from 'fastify'
import {
  type DocumentNode,
  type ExecutionResult,
  type GraphQLFormattedError,
  type GraphQLSchema,
  getOperationAST,
  type ValidationRule,
} from 'graphql'
import { LRUCache } from 'lru-cache'
import type { Log } from '../platform/log.js'
import type { Metrics } from '../platform/metrics.js'
import type { Context } from './context.js'
import type { createExecutor } from './execution.js'
import { stringified } from './unchanging.js'

/** Operations that are answered past Apollo, and the characters of their text together. */
const MOST_KNOWN = 1_000
const MOST_CHARACTERS = 500_000
const MOST_FORMS = 100

export interface HttpParts {
  schema: GraphQLSchema
  /** Beside those of the specification. */
  rules: readonly ValidationRule[]
  executor: ReturnType<typeof createExecutor>
  introspection: boolean
  mode: string
  log: Log
  metrics: Metrics
  /** Throws what Apollo is to tell. */
  contextOf(request: FastifyRequest): Promise<Context>
  told(formatted: GraphQLFormattedError, error: unknown, requestId?: string): GraphQLFormattedError
}

export interface Http {
  answer(request: FastifyRequest, reply: FastifyReply): Promise<unknown>
  close(): Promise<void>
}

/** How far a request came before it was left to Apollo. */
interface Begun {
  startedAt: number
  admission: Promise<Context>
  /** Not where the caller was refused. */
  execution?: Promise<ExecutionResult>
}

/** What a context says of it; Apollo makes copies of contexts. */
const BEGUN = Symbol('begun')

/** A request that Apollo would take without a word. */
interface Known {
  document: DocumentNode
  operationName: string | undefined
  /** As metrics and logs name it. */
  title: string | null
  variables: Record<string, unknown> | undefined
  contentType: string
}

/**
 * GraphQL over HTTP by Apollo Server, which costs a request more than most operations do. What it said once of a text (that it parses, is valid and within
 * the limits) and of a form of request (that its media types are taken, and which one the answer has) holds for the next request with the same: that is
 * executed at once. Whatever is new, fails, or is asked in another way goes through Apollo.
 */
export async function createHttp(parts: HttpParts): Promise<Http> {
  const { schema, rules, executor, introspection, mode, log, metrics, contextOf, told } = parts
  const documents = new LRUCache<string, DocumentNode>({
    max: MOST_KNOWN,
    maxSize: MOST_CHARACTERS,
    sizeCalculation: (_, text) => text.length,
  })
  /** The media type of the answer, by those of the request. */
  const forms = new LRUCache<string, string>({ max: MOST_FORMS })
  /** Only those that Apollo gets after all: what is in such a map lives until a full collection. */
  const begun = new WeakMap<FastifyRequest, Begun>()
  /** The requests that errors came of: a scope for each (AsyncLocalStorage) would cost every promise of every request two calls, before Node.js 24. */
  const failed = new WeakMap<object, string>()

  const count = ({ requestId, viewer }: Context, operation: string | null, code: string, startedAt: number) => {
    const seconds = (performance.now() - startedAt) / 1000
    metrics.request(operation ?? 'anonymous', code, seconds)
    log.debug('request answered', {
      requestId,
      operation,
      viewer: viewer?.id ?? null,
      code,
      milliseconds: Math.round(seconds * 1000),
    })
  }

  /** Remembers what Apollo has validated, counts what it answers, and answers requests that fail before execution as the specification wants it. */
  const plugin: ApolloServerPlugin = {
    requestDidStart: async ({ request }) => {
      const begunAt = performance.now()
      const isModern = request.http?.headers.get('accept')?.includes('application/graphql-response+json') ?? false
      return {
        didResolveOperation: async ({ source, document }) => {
          documents.set(source, document)
        },
        didEncounterErrors: async ({ errors, contextValue }) => {
          for (const error of errors) failed.set(error, (contextValue as Context).requestId)
        },
        willSendResponse: async ({ response, operationName, errors, contextValue }) => {
          const code = errors?.length ? errorCode(response.body) : 'OK'
          const failedBeforeExecution =
            response.body.kind === 'single' && response.body.singleResult.data === undefined && (response.http.status ?? 200) === 400
          // 200 for `application/json`, 400 for `application/graphql-response+json`; without a query there is no GraphQL request that could have an answer.
          if (failedBeforeExecution && !isModern && code !== 'BAD_REQUEST') response.http.status = 200
          count(contextValue as Context, operationName ?? null, code, begunOf(contextValue)?.startedAt ?? begunAt)
        },
      }
    },
  }
  const apollo = new ApolloServer<BaseContext>({
    // Apollo takes another executor than graphql-js by its gateway only.
    gateway: {
      load: async () => ({
        executor: async ({ context, document, request: { variables, operationName } }) => {
          const { execution } = begunOf(context) ?? {}
          return (await (execution ?? executor({ document, contextValue: context, variableValues: variables, operationName }))) as never
        },
      }),
      onSchemaLoadOrUpdate: load => {
        load({ apiSchema: schema, coreSupergraphSdl: '' })
        return () => {}
      },
      stop: async () => {},
    },
    introspection,
    includeStacktraceInErrorResponses: false,
    // What it gives goes to the socket as it is.
    stringifyResult: stringified as (result: object) => string,
    csrfPrevention: true,
    allowBatchedHttpRequests: false,
    persistedQueries: false,
    maxRecursiveSelections: 10_000,
    parseOptions: { maxTokens: 2_000 },
    validationOptions: { maxErrors: 5 },
    validationRules: [...rules],
    stopOnTerminationSignals: false,
    nodeEnv: mode,
    logger: { debug: () => {}, info: () => {}, warn: text => log.warn(String(text)), error: text => log.error(String(text)) },
    formatError: (formatted, error) => told(formatted, error, failed.get(error as object)),
    // Hints for caches are not given; reckoning them would cost every field a call. The others are for a service of Apollo's, and would look at every request.
    plugins: [
      ApolloServerPluginCacheControlDisabled(),
      ApolloServerPluginInlineTraceDisabled(),
      ApolloServerPluginLandingPageDisabled(),
      ApolloServerPluginSchemaReportingDisabled(),
      ApolloServerPluginUsageReportingDisabled(),
      plugin,
    ],
  })
  await apollo.start()

  const context = async (request: FastifyRequest) => {
    const own = begun.get(request)
    return own ? { ...(await own.admission), [BEGUN]: own } : contextOf(request)
  }
  const handle = fastifyApolloHandler(apollo as never, { context: context as never }) as unknown as (
    request: FastifyRequest,
    reply: FastifyReply,
  ) => Promise<unknown>
  const throughApollo = async (request: FastifyRequest, reply: FastifyReply) => {
    const answer = await handle(request, reply)
    const contentType = reply.getHeader('content-type')
    if (request.method === 'POST' && reply.statusCode === 200 && typeof contentType === 'string') forms.set(formOf(request), contentType)
    return answer
  }
  const knownOf = (request: FastifyRequest): Known | undefined => {
    if (request.method !== 'POST' || !isRecord(request.body)) return undefined
    const { query, operationName = null, variables = null, extensions } = request.body
    const document = typeof query === 'string' ? documents.get(query) : undefined
    const contentType = document && forms.get(formOf(request))
    if (!document || !contentType || extensions !== undefined) return undefined
    if ((operationName !== null && typeof operationName !== 'string') || (variables !== null && !isRecord(variables))) return undefined
    const operation = getOperationAST(document, operationName)
    if (!operation) return undefined
    const title = operation.name?.value ?? null
    return { document, operationName: operationName ?? undefined, title, variables: variables ?? undefined, contentType }
  }

  return {
    answer: async (request, reply) => {
      const known = knownOf(request)
      if (!known) return throughApollo(request, reply)
      const startedAt = performance.now()
      const { document, operationName, title, variables, contentType } = known
      const admission = contextOf(request)
      let execution: Promise<ExecutionResult> | undefined
      try {
        const contextValue = await admission
        execution = executor({ document, contextValue, variableValues: variables, operationName, isStringified: true })
        const result = await execution
        if (!result.errors) {
          const text = stringified(result)
          count(contextValue, title, 'OK', startedAt)
          void reply.header('content-type', contentType)
          return text
        }
      } catch {
        // Apollo meets it again, and tells it.
      }
      begun.set(request, { startedAt, admission, execution })
      return throughApollo(request, reply)
    },
    close: () => apollo.stop(),
  }
}

function begunOf(context: object): Begun | undefined {
  return (context as { [BEGUN]?: Begun })[BEGUN]
}

function formOf({ headers }: FastifyRequest): string {
  return `${headers['content-type'] ?? ''}\n${headers.accept ?? ''}`
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function errorCode(body: { kind: string; singleResult?: { errors?: readonly { extensions?: Record<string, unknown> }[] } }): string {
  return String(body.singleResult?.errors?.[0]?.extensions?.code ?? 'ERROR')
}
