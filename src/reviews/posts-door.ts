import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { POST_PREFIX } from '../events/import-kinds.js'
import { InvalidInput, NotFound, Unauthenticated } from '../platform/errors.js'
import { parseJson } from '../platform/json-text.js'
import { isSignedBy } from '../platform/signature.js'
import type { ReviewSource } from './reviews.schema.js'
import type { ReviewsService } from './reviews.service.js'

const BODY_LIMIT = 1024 * 1024
const MOST_POSTS = 500
const text = (max: number) => z.string().min(1).max(max)
const body = z.object({
  posts: z
    .array(
      z.object({
        id: text(200),
        text: z.string(),
        source: z.enum(['post', 'news', 'message', 'review']).default('post'),
        productExternalId: text(200).optional(),
        userExternalId: text(200).optional(),
        locale: text(35).optional(),
        createdAt: z.iso.datetime({ offset: true }).optional(),
      }),
    )
    .min(1)
    .max(MOST_POSTS),
})

/**
 * POST /v1/posts: what monitoring services send of posts and news, signed as `Bellwether-Signature: t=<seconds>,v1=<hex>` by the shared secret. Each post is stored
 * once by its id; a faulty one stops no other. Without a secret the door is not there.
 */
export function postsDoor(reviews: Pick<ReviewsService, 'submitAll'>, secret: string | undefined, now: () => Date = () => new Date()) {
  return (server: FastifyInstance) => {
    server.removeAllContentTypeParsers()
    server.addContentTypeParser('application/json', { parseAs: 'buffer', bodyLimit: BODY_LIMIT }, (_request, payload, done) =>
      done(null, payload),
    )
    server.post('/v1/posts', { bodyLimit: BODY_LIMIT }, async (request, reply) => {
      if (secret === undefined) throw new NotFound('This door is closed: BELLWETHER_WEBHOOK_SECRET is not set')
      const raw = request.body
      const header = request.headers['bellwether-signature']
      if (!Buffer.isBuffer(raw) || !isSignedBy(secret, raw, typeof header === 'string' ? header : undefined, now()))
        throw new Unauthenticated('The signature does not fit the body and the time')
      const parsed = body.safeParse(parseJson(raw))
      if (!parsed.success) {
        const [{ message, path }] = parsed.error.issues
        throw new InvalidInput(`${path.join('.') || 'body'}: ${message}`, {}, path.map(String))
      }
      const { posts } = parsed.data
      const faults = await reviews.submitAll(
        posts.map(({ id, source, createdAt, ...rest }) => ({
          ...rest,
          externalId: `${POST_PREFIX}${id}`,
          source: source.toUpperCase() as ReviewSource,
          createdAt: createdAt ? new Date(createdAt) : null,
        })),
      )
      const rejected = posts.flatMap(({ id }, at) => (faults[at] ? { id, error: faults[at].message } : []))
      return reply.code(200).send({ accepted: posts.length - rejected.length, rejected })
    })
  }
}
