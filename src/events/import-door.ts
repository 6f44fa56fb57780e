import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { type Authenticator, requireScope, Scope, type Viewer } from '../graphql/auth.js'
import { encodeId, tryDecodeId } from '../graphql/node-id.js'
import { discardRest } from '../platform/discard-rest.js'
import { InvalidInput, NotFound } from '../platform/errors.js'
import { isStorable } from '../platform/text-input.js'
import type { ImportOptions } from './import.repository.js'
import { type ImportService, kindNamed } from './import.service.js'

const FORMATS: Record<string, 'ndjson' | 'csv'> = {
  'application/x-ndjson': 'ndjson',
  'application/ndjson': 'ndjson',
  'application/jsonl': 'ndjson',
  'application/json-seq': 'ndjson',
  'text/csv': 'csv',
  'application/csv': 'csv',
}

/** POST /v1/import/{kind}: a body of any length, streamed. GET /v1/import/{jobId} and …/rejects say what came of it. */
export function importDoor(imports: ImportService, authenticator: Authenticator) {
  return (server: FastifyInstance) => {
    server.removeAllContentTypeParsers()
    // The body is read as it comes in, never gathered.
    server.addContentTypeParser('*', (_request, payload, done) => done(null, payload))
    const viewers = new WeakMap<object, Viewer>()
    const admitted = (scope: Scope) => async (request: FastifyRequest) => {
      viewers.set(request, requireScope(await authenticator.authenticate(request.headers.authorization), scope))
    }
    server.post(
      '/v1/import/:kind',
      { bodyLimit: Number.MAX_SAFE_INTEGER, onRequest: admitted(Scope.IMPORTS_WRITE) },
      async (request, reply) => {
        const { kind } = request.params as { kind: string }
        kindNamed(kind)
        const upload = { kind, ...formOf(request), by: viewers.get(request)?.name ?? 'unknown' }
        if (!request.body) throw new InvalidInput('The file is empty', {}, ['body'])
        const { jobId } = await imports.receive(upload, whole(request))
        return reply.code(202).send({ jobId: encodeId('Job', jobId) })
      },
    )
    server.get('/v1/import/:jobId', { onRequest: admitted(Scope.JOBS_READ) }, async request => {
      const row = await imports.status(jobKeyOf(request))
      const { kind, format, state, bytes, rowsRead, rowsMerged, rowsDuplicate, rowsRejected, options, error, createdAt, finishedAt } = row
      const counts = { bytes, rowsRead, rowsMerged, rowsDuplicate, rowsRejected }
      return {
        jobId: encodeId('Job', row.jobId as string),
        kind,
        format,
        state,
        ...Object.fromEntries(Object.entries(counts).map(([name, value]) => [name, Number(value)])),
        unread: options.unread ?? [],
        error,
        createdAt,
        finishedAt,
      }
    })
    server.get('/v1/import/:jobId/rejects', { onRequest: admitted(Scope.JOBS_READ) }, async (request, reply) => {
      const row = await imports.status(jobKeyOf(request))
      // The rows stand there as they were, with all that is personal; who sent them knows it.
      const viewer = viewers.get(request)
      if (row.createdBy !== viewer?.name) requireScope(viewer, Scope.PII_READ)
      return reply
        .type(row.format === 'csv' ? 'text/csv; charset=utf-8' : 'application/x-ndjson; charset=utf-8')
        .header('content-disposition', `attachment; filename="rejects.${row.format}"`)
        .send(Readable.from(imports.rejectFile(row)))
    })
  }
}

/** The job of an import: by the id that GraphQL knows it by too, or by the key inside. */
function jobKeyOf({ params }: FastifyRequest): string {
  const { jobId } = params as { jobId: string }
  const key = tryDecodeId(jobId)?.key ?? jobId
  if (!isStorable(key)) throw new NotFound('No import has this job', {}, ['jobId'])
  return key
}

function formOf({ headers, query }: FastifyRequest): { format: 'ndjson' | 'csv'; options: ImportOptions } {
  const type = String(headers['content-type'] ?? '')
    .split(';')[0]
    .trim()
    .toLowerCase()
  const { mapping, zone: written, format: named } = query as Record<string, string | undefined>
  // In a query a plus that was not escaped is a blank.
  const zone = written?.replace(/^ /, '+')
  const format = named === 'csv' || named === 'ndjson' ? named : Object.hasOwn(FORMATS, type) ? FORMATS[type] : undefined
  if (!format)
    throw Object.assign(new Error(`Send the file as application/x-ndjson or text/csv, not ${type || 'without a content type'}`), {
      statusCode: 415,
    })
  const encoding = headers['content-encoding']
  if (encoding && encoding !== 'gzip')
    throw Object.assign(new Error(`The only content-encoding is gzip, not ${encoding}`), { statusCode: 415 })
  if (zone !== undefined && !/^(Z|[+-]\d\d:\d\d)$/.test(zone)) throw new InvalidInput('zone must be Z or like +08:00', {}, ['zone'])
  return {
    format,
    options: {
      ...(mapping ? { mapping: mappingOf(mapping) } : {}),
      ...(zone ? { zone } : {}),
      ...(encoding ? { compression: 'gzip' as const } : {}),
    },
  }
}

function mappingOf(text: string): Record<string, string> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new InvalidInput('mapping must be JSON, e.g. {"userId":"CustomerID","type":"=PURCHASE"}', {}, ['mapping'])
  }
  const isMapping =
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    Object.values(value).every(name => typeof name === 'string' && name.length <= 200) &&
    Object.keys(value).length <= 50
  if (!isMapping) throw new InvalidInput('mapping must be an object of texts', {}, ['mapping'])
  return value as Record<string, string>
}

/** The body, to its end: one that breaks off is an error and not a shorter file. */
async function* whole({ raw, body }: FastifyRequest): AsyncGenerator<Buffer> {
  try {
    yield* (body as Readable).iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>
    if (!raw.complete) throw new InvalidInput('The upload broke off; nothing of it was kept', {}, ['body'])
  } finally {
    discardRest(raw)
  }
}
