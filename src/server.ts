import { createHash, randomUUID } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { extname, join, relative } from 'node:path'
import type { Duplex } from 'node:stream'
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import {
  GraphQLError,
  type GraphQLFormattedError,
  type GraphQLSchema,
  NoSchemaIntrospectionCustomRule,
  parse,
  specifiedRules,
  validate,
} from 'graphql'
import { CloseCode, type SubscribePayload } from 'graphql-ws'
import { useServer as serveOver } from 'graphql-ws/use/ws'
import type { ClassType } from 'type-graphql'
import { WebSocketServer } from 'ws'
import type { Config } from './config.js'
import type { Authenticator, Viewer } from './graphql/auth.js'
import type { Context } from './graphql/context.js'
import { formatError } from './graphql/errors.js'
import { createExecutor } from './graphql/execution.js'
import { createHttp } from './graphql/http.js'
import { DEFAULT_LIMITS, limitsRule } from './graphql/limits.js'
import { createSchema } from './graphql/schema.js'
import { messageOf, NotFound, RateLimited, Unauthenticated, Unavailable } from './platform/errors.js'
import { answerError, answerNoRequest } from './platform/http-errors.js'
import { parseJsonBody } from './platform/json-text.js'
import type { Log } from './platform/log.js'
import type { Metrics } from './platform/metrics.js'
import type { RateLimiter } from './platform/rate-limit.js'

declare module 'fastify' {
  interface FastifyRequest {
    /** Ends a request whose body does not come. */
    timer?: NodeJS.Timeout
  }
}

export interface Readiness {
  part: string
  ok: boolean
  reason?: string
}

export interface ServerParts {
  config: Pick<Config, 'host' | 'port' | 'portIsFixed' | 'introspection' | 'mode'>
  log: Log
  metrics: Metrics
  /** Instances; their classes make the schema. */
  resolvers: readonly object[]
  authenticator: Authenticator
  limiter: RateLimiter
  /** Further HTTP doors (ingest), each a Fastify plugin. */
  doors: readonly ((server: FastifyInstance) => void | Promise<void>)[]
  readiness(): Promise<Readiness[]>
  /** What Prometheus reads. */
  scrape(): Promise<string>
  /** Built pages; absent files are answered with a sentence. */
  consoleFolder: string
}

/** What of an error is told to a client. */
type Told = (formatted: GraphQLFormattedError, error: unknown, requestId?: string) => GraphQLFormattedError

export interface Server {
  fastify: FastifyInstance
  schema: GraphQLSchema
  /** Listens and returns the URL. */
  listen(): Promise<string>
  close(): Promise<void>
}

const BODY_LIMIT = 256 * 1024
/** A small body has to be here in this time; uploads of any length only may not stand still. */
const REQUEST_TIMEOUT_MS = 30_000
const IDLE_TIMEOUT_MS = 60_000
const MAX_SUBSCRIPTIONS = 50
const PORT_TRIES = 20
const CONTENT_SECURITY_POLICY =
  "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self' ws: wss:; font-src 'self' data:; worker-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"

/** The front door: GraphQL over HTTP and WebSocket, the ingest doors, the console's files, health and metrics. */
export async function createServer(parts: ServerParts): Promise<Server> {
  const { config, log, metrics, resolvers, authenticator, limiter } = parts
  const schema = createSchema(resolvers.map(resolver => resolver.constructor) as ClassType[])
  const instances = new Map(resolvers.map(resolver => [resolver.constructor, resolver]))
  const rules = [limitsRule(DEFAULT_LIMITS), ...(config.introspection ? [] : [NoSchemaIntrospectionCustomRule])]
  const fastify = Fastify({
    bodyLimit: BODY_LIMIT,
    requestTimeout: 0,
    connectionTimeout: IDLE_TIMEOUT_MS,
    logger: false,
    genReqId: () => randomUUID(),
    routerOptions: { maxParamLength: 200 },
    clientErrorHandler: answerNoRequest,
    frameworkErrors: (error, request, reply) => answerError(error, request as FastifyRequest, reply as FastifyReply, log),
  })
  // Hooks that wait for nothing take a callback: a promise each costs every request more than what they do.
  fastify.addHook('onRequest', (request, reply, done) => {
    void reply.header('x-request-id', request.id).header('x-content-type-options', 'nosniff').header('referrer-policy', 'no-referrer')
    done()
  })
  // Fastify's close waits for answers, not for the work of a client that has gone; its statements still need the database. What goes on is counted, and a
  // request's timer is its own: a Set or WeakMap of all requests is old, and the tables it outgrows keep what they name, whole requests, until a full collection.
  let atWork = 0
  let workIsDone = () => {}
  const answered = () => {
    atWork--
    if (atWork === 0) workIsDone()
  }
  fastify.addHook('onRoute', route => {
    const { handler } = route
    route.handler = function (request, reply) {
      const answer = handler.call(this, request, reply) as unknown
      if (!(answer instanceof Promise)) return answer
      atWork++
      answer.then(answered, answered)
      return answer
    }
  })
  fastify.decorateRequest('timer', undefined)
  fastify.addHook('onRequest', (request, _reply, done) => {
    if (request.method !== 'GET' && !request.url.startsWith('/v1/import/'))
      request.timer = setTimeout(() => request.raw.destroy(), REQUEST_TIMEOUT_MS)
    done()
  })
  fastify.addHook('preValidation', (request, _reply, done) => {
    clearTimeout(request.timer)
    done()
  })
  fastify.addHook('onResponse', (request, reply, done) => {
    clearTimeout(request.timer)
    const route = request.routeOptions.url ?? 'nothing there'
    if (route !== '/graphql') metrics.http(route, reply.statusCode, reply.elapsedTime / 1_000)
    done()
  })
  fastify.addHook('onRequestAbort', (request, done) => {
    clearTimeout(request.timer)
    done()
  })
  fastify.removeContentTypeParser('application/json')
  fastify.addContentTypeParser('application/json', { parseAs: 'buffer' }, parseJsonBody)
  fastify.setErrorHandler((error: Error, request, reply) => answerError(error, request, reply, log))
  fastify.setNotFoundHandler((request, reply) =>
    answerError(new NotFound(`There is nothing at ${request.method} ${request.url.split('?')[0].slice(0, 200)}`), request, reply, log),
  )

  const contextOf = (viewer: Viewer | undefined, requestId: string): Context => {
    const loaders = new Map<string, unknown>()
    return {
      viewer,
      requestId,
      resolver: type => instances.get(type),
      loader: <T>(name: string, create: () => T) => {
        if (!loaders.has(name)) loaders.set(name, create())
        return loaders.get(name) as T
      },
    }
  }
  const admit = async (authorization: string | undefined, address: string, requestId: string): Promise<Context> => {
    const viewer = await authenticator.authenticate(authorization)
    const wait = await limiter.take(viewer?.id ?? `address:${address}`)
    if (wait > 0) throw new RateLimited(`Too many requests; try again in ${wait} s`, { retryAfterSeconds: wait })
    return contextOf(viewer, requestId)
  }

  const told: Told = (formatted, error, requestId = randomUUID()) =>
    formatError(formatted, error, log, requestId, { hints: config.introspection })
  // Tests see every operation compiled, so that what compiled code does otherwise shows.
  const executor = config.mode === 'test' ? createExecutor(schema, 1) : createExecutor(schema)
  const http = await createHttp({
    schema,
    rules,
    executor,
    introspection: config.introspection,
    mode: config.mode,
    log,
    metrics,
    contextOf: async request => {
      try {
        return await admit(request.headers.authorization, request.ip, request.id)
      } catch (error) {
        throw admissionError(error, log, request.id)
      }
    },
    told,
  })
  fastify.route({
    method: ['GET', 'POST', 'OPTIONS'],
    url: '/graphql',
    handler: (request, reply) => {
      if (wantsPage(request)) return explorer(reply)
      void reply.header('cache-control', 'no-store')
      return http.answer(request, reply)
    },
  })

  const files = readPages(parts.consoleFolder)
  const explorer = (reply: FastifyReply) => {
    if (!config.introspection)
      return reply.code(404).send({ error: 'The explorer is switched off; BELLWETHER_INTROSPECTION=on switches it on' })
    return sendPage(reply, files, 'explorer.html')
  }
  fastify.get('/', (_request, reply) => sendPage(reply, files, 'index.html'))
  fastify.get('/console', (_request, reply) => reply.redirect('/'))
  fastify.get('/assets/*', (request, reply) => sendPage(reply, files, `assets/${(request.params as { '*': string })['*']}`))
  fastify.get('/favicon.svg', (_request, reply) => sendPage(reply, files, 'favicon.svg'))

  fastify.get('/health/live', (_request, reply) => reply.send({ status: 'ok' }))
  fastify.get('/health/ready', async (_request, reply) => {
    const readiness = await parts.readiness()
    const isReady = readiness.every(part => part.ok)
    return reply.code(isReady ? 200 : 503).send({ status: isReady ? 'ok' : 'not ready', parts: readiness })
  })
  fastify.get('/metrics', async (_request, reply) => {
    return reply.type(metrics.registry.contentType).send(await parts.scrape())
  })
  for (const door of parts.doors) await fastify.register(async server => door(server))

  const sockets = new WebSocketServer({ noServer: true, maxPayload: BODY_LIMIT })
  const subscriptions = serveSubscriptions({ sockets, schema, rules, admit, log, told })
  fastify.server.on('upgrade', (request, socket: Duplex, head) => {
    if (request.url?.split('?')[0] !== '/graphql') return socket.destroy()
    sockets.handleUpgrade(request, socket, head, client => sockets.emit('connection', client, request))
  })

  return {
    fastify,
    schema,
    listen: () => listen(fastify, config),
    close: async () => {
      await subscriptions.dispose()
      for (const client of sockets.clients) client.terminate()
      await fastify.close()
      if (atWork > 0) await new Promise<void>(resolve => (workIsDone = resolve))
      await http.close()
    },
  }
}

/** The port that was asked for; when none was and the default is taken, the next free one. */
async function listen(fastify: FastifyInstance, { host, port, portIsFixed }: ServerParts['config']): Promise<string> {
  for (let tries = 0; ; tries++) {
    try {
      await fastify.listen({ host, port: portIsFixed ? port : port + tries })
      const address = fastify.server.address() as AddressInfo
      const shown = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host
      return `http://${shown.includes(':') ? `[${shown}]` : shown}:${address.port}`
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND' || code === 'EAI_AGAIN')
        throw new Unavailable(`HOST ${host} is no address of this machine; set HOST to one that is, or to 0.0.0.0 for all`)
      if (code !== 'EADDRINUSE' && code !== 'EACCES') throw error
      if (code === 'EACCES') throw new Unavailable(`PORT ${port} may not be used by this account; set PORT to one above 1023`)
      // A server that was just killed may hold its port for a moment.
      if (portIsFixed && tries < PORT_TRIES) await new Promise(done => setTimeout(done, 150))
      else if (tries >= PORT_TRIES) throw new Unavailable(`PORT ${port} is used by another program; set PORT to a free one`)
    }
  }
}

interface SubscriptionParts {
  sockets: WebSocketServer
  schema: GraphQLSchema
  rules: (typeof specifiedRules)[number][]
  admit(authorization: string | undefined, address: string, requestId: string): Promise<Context>
  log: Log
  told: Told
}

/** Subscriptions go past Apollo's plugins, so the same rules, access and limits are applied here. */
function serveSubscriptions({ sockets, schema, rules, admit, log, told }: SubscriptionParts) {
  const open = new WeakMap<object, number>()
  const fault = (error: GraphQLError) => documentFault(error, told)
  return serveOver(
    {
      schema,
      onConnect: async ({ connectionParams, extra }) => {
        const params = connectionParams as Record<string, unknown> | undefined
        const given = params?.authorization ?? params?.Authorization ?? extra.request.headers.authorization
        try {
          const { viewer } = await admit(
            typeof given === 'string' ? given : undefined,
            extra.request.socket.remoteAddress ?? '',
            randomUUID(),
          )
          if (!viewer) throw new Unauthenticated('Send the API key as authorization in the connection parameters')
          Object.assign(extra, { authorization: given })
          const lifetime = (viewer.expiresAt ?? Number.POSITIVE_INFINITY) - Date.now()
          if (Number.isFinite(lifetime)) {
            const timer = setTimeout(
              () => extra.socket.close(CloseCode.Forbidden, 'The credential expired'),
              Math.max(0, Math.min(lifetime, 2 ** 31 - 1)),
            )
            extra.socket.once('close', () => clearTimeout(timer))
          }
          return true
        } catch {
          extra.socket.close(CloseCode.Forbidden, 'This API key or token is not valid')
          return false
        }
      },
      onSubscribe: async ({ extra }, _id, payload: SubscribePayload) => {
        const running = (open.get(extra) ?? 0) + 1
        if (running > MAX_SUBSCRIPTIONS) return [limit(`One connection may hold ${MAX_SUBSCRIPTIONS} subscriptions`)]
        // Counted before anything is awaited, so that many at once do not slip through together.
        open.set(extra, running)
        const release = () => open.set(extra, Math.max(0, (open.get(extra) ?? 1) - 1))
        try {
          const document = parse(payload.query, { maxTokens: 2_000 })
          // The limits first and alone, so that no other rule walks a document that is too large.
          const errors = [rules, specifiedRules].reduce<readonly GraphQLError[]>(
            (found, some) => (found.length > 0 ? found : validate(schema, document, some, { maxErrors: 5 })),
            [],
          )
          if (errors.length > 0) {
            release()
            return errors.map(fault)
          }
          const { authorization } = extra as unknown as { authorization: string }
          const contextValue = await admit(authorization, extra.request.socket.remoteAddress ?? '', randomUUID())
          return { schema, document, operationName: payload.operationName, variableValues: payload.variables, contextValue }
        } catch (error) {
          release()
          return [error instanceof GraphQLError ? fault(error) : (admissionError(error, log, randomUUID()) as GraphQLError)]
        }
      },
      onError: (_context, _id, _payload, errors) =>
        errors.map(error => {
          const { message, extensions } = told(error.toJSON(), error)
          return new GraphQLError(message, { ...placeOf(error), extensions })
        }),
      onNext: (_context, _id, _payload, _args, result) =>
        result.errors ? { ...result, errors: result.errors.map(error => ({ ...told(error.toJSON(), error) })) as never } : undefined,
      onComplete: ({ extra }) => {
        open.set(extra, Math.max(0, (open.get(extra) ?? 1) - 1))
      },
    },
    sockets,
    20_000,
  )
}

/** What Apollo would say of a faulty document; over a socket nobody else does. */
function documentFault(error: GraphQLError, told: Told): GraphQLError {
  const isSyntax = error.message.startsWith('Syntax Error')
  const code = error.extensions.code ?? (isSyntax ? 'GRAPHQL_PARSE_FAILED' : 'GRAPHQL_VALIDATION_FAILED')
  const { message } = told({ message: error.message, extensions: { code } }, error)
  return new GraphQLError(message, { ...placeOf(error), extensions: { ...error.extensions, code } })
}

function placeOf({ nodes, source, positions, path }: GraphQLError) {
  return { nodes, source, positions, path }
}

function limit(sentence: string) {
  return new GraphQLError(sentence, { extensions: { code: 'COST_LIMIT' } })
}

/** An error before any resolver runs: who are you, and how often. It carries its HTTP status. */
function admissionError(error: unknown, log: Log, requestId: string): unknown {
  if (error instanceof RateLimited) {
    const headers = new Map([['retry-after', String(error.details.retryAfterSeconds)]])
    return new GraphQLError(error.message, { extensions: { code: 'RATE_LIMITED', http: { status: 429, headers } } })
  }
  if (error instanceof Unauthenticated)
    return new GraphQLError(error.message, { extensions: { code: 'UNAUTHENTICATED', http: { status: 401 } } })
  log.error('a caller could not be checked', { requestId, error: messageOf(error) })
  return new GraphQLError('The caller could not be checked; try again', {
    extensions: { code: 'INTERNAL_SERVER_ERROR', requestId, http: { status: 500 } },
  })
}

function wantsPage({ method, headers, url }: FastifyRequest): boolean {
  return method === 'GET' && !url.includes('query=') && (headers.accept?.includes('text/html') ?? false)
}

interface Page {
  body: Buffer
  type: string
  etag: string
}

const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2',
  '.ttf': 'font/ttf',
  '.json': 'application/json',
  '.png': 'image/png',
}

/** The built pages, read once; a request is a look-up by name, so no path leads out of the folder. */
function readPages(folder: string): Map<string, Page> {
  if (!existsSync(folder)) return new Map()
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter(
    entry => entry.isFile() && extname(entry.name) in TYPES,
  )
  return new Map(
    entries.map(entry => {
      const file = join(entry.parentPath, entry.name)
      const body = readFileSync(file)
      const page = { body, type: TYPES[extname(file)], etag: `"${createHash('sha256').update(body).digest('base64url').slice(0, 16)}"` }
      return [relative(folder, file).replaceAll('\\', '/'), page]
    }),
  )
}

function sendPage(reply: FastifyReply, files: Map<string, Page>, name: string) {
  const page = files.get(name)
  if (!page)
    return reply.code(404).send({ error: files.size === 0 ? 'The console is not built; npm run build builds it' : 'There is no such page' })
  void reply
    .type(page.type)
    .header('etag', page.etag)
    .header('cache-control', name.startsWith('assets/') ? 'public, max-age=31536000, immutable' : 'no-cache')
    .header('content-security-policy', CONTENT_SECURITY_POLICY)
    .header('x-frame-options', 'DENY')
  return reply.request.headers['if-none-match'] === page.etag ? reply.code(304).send() : reply.send(page.body)
}
