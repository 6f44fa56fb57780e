import { Readable } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import { type Authenticator, requireScope, Scope } from '../graphql/auth.js'
import type { ExportsService } from './exports.service.js'

/** GET /v1/exports/{exportId}: the file of an export; a download that broke off goes on with Range. */
export function exportDoor(exports: ExportsService, authenticator: Authenticator) {
  return (server: FastifyInstance) => {
    server.get('/v1/exports/:exportId', async (request, reply) => {
      const viewer = requireScope(await authenticator.authenticate(request.headers.authorization), Scope.SEGMENTS_READ)
      const row = await exports.file(viewer, (request.params as { exportId: string }).exportId)
      const total = Number(row.bytes)
      const etag = `"${row.id}"`
      const isSame = !request.headers['if-range'] || request.headers['if-range'] === etag
      const range = isSame ? rangeOf(request.headers.range, total) : undefined
      reply
        .type('text/csv; charset=utf-8')
        .header('content-disposition', `attachment; filename="audience-${row.format.toLowerCase().replaceAll('_', '-')}-${row.id}.csv"`)
        .header('cache-control', 'private, no-store')
        .header('accept-ranges', 'bytes')
        .header('etag', etag)
      if (range === 'beyond')
        return reply
          .code(416)
          .header('content-range', `bytes */${total}`)
          .removeHeader('content-disposition')
          .type('text/plain')
          .send('The file is shorter')
      const { from, to } = range ?? { from: 0, to: total }
      if (range) reply.code(206).header('content-range', `bytes ${from}-${to - 1}/${total}`)
      reply.header('content-length', to - from)
      return reply.send(request.method === 'HEAD' ? undefined : Readable.from(exports.bytes(row.id, from, to), { objectMode: false }))
    })
  }
}

/** One range of bytes, `to` exclusive (RFC 9110, 14.2). Several at once, or what is no range, is answered with the whole file. */
function rangeOf(header: string | undefined, total: number): { from: number; to: number } | 'beyond' | undefined {
  const [match, first, last] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header ?? '') ?? []
  if (!match || (!first && !last)) return undefined
  if (!first) return Number(last) === 0 ? 'beyond' : { from: Math.max(0, total - Number(last)), to: total }
  if (last && Number(last) < Number(first)) return undefined
  if (Number(first) >= total) return 'beyond'
  return { from: Number(first), to: last ? Math.min(total, Number(last) + 1) : total }
}
