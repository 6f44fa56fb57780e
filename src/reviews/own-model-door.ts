import type { FastifyInstance, FastifyRequest } from 'fastify'
import { type Authenticator, requireScope, Scope } from '../graphql/auth.js'
import { InvalidInput } from '../platform/errors.js'
import type { OwnModels } from './own-models.js'

/** PostgreSQL holds at most 1 GB in a cell; half of it leaves room to work. */
const BODY_LIMIT = 512 * 1024 * 1024

/** POST /v1/text-models/{task}?name=…: the packed files of an ONNX model, as `npm run model:register` sends them. Scope: models:train. */
export function ownModelDoor(models: OwnModels, authenticator: Authenticator) {
  return (server: FastifyInstance) => {
    server.removeAllContentTypeParsers()
    server.addContentTypeParser('application/octet-stream', { parseAs: 'buffer', bodyLimit: BODY_LIMIT }, (_request, payload, done) =>
      done(null, payload),
    )
    const viewers = new WeakMap<object, string>()
    const admit = async (request: FastifyRequest) => {
      viewers.set(request, requireScope(await authenticator.authenticate(request.headers.authorization), Scope.MODELS_TRAIN).name)
    }
    server.post('/v1/text-models/:task', { bodyLimit: BODY_LIMIT, onRequest: admit }, async (request, reply) => {
      const { task } = request.params as { task: string }
      const { name = 'own model' } = request.query as { name?: string }
      if (!Buffer.isBuffer(request.body) || request.body.length === 0) throw new InvalidInput('The body is empty', {}, ['body'])
      return reply
        .code(200)
        .send(await models.register(viewers.get(request) ?? 'unknown', task.toUpperCase(), name, new Uint8Array(request.body)))
    })
  }
}
