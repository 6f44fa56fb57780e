// Apollo Server on Fastify as its documentation has it: no access, limits, logs or metrics. Prints its URL.
import { ApolloServer } from '@apollo/server'
import { fastifyApolloHandler } from '@as-integrations/fastify'
import Fastify from 'fastify'

const apollo = new ApolloServer({ typeDefs: 'type Query { hello: String }' })
await apollo.start()
const fastify = Fastify()
fastify.route({ method: ['GET', 'POST'], url: '/graphql', handler: fastifyApolloHandler(apollo) })
console.log(`${await fastify.listen({ port: 0, host: '127.0.0.1' })}/graphql`)
