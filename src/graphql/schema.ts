import 'reflect-metadata'
import { GraphQLError, type GraphQLSchema, lexicographicSortSchema, printSchema } from 'graphql'
import { type AuthCheckerFn, buildSchemaSync, type ClassType } from 'type-graphql'
import { answerAtOnce } from './abstract.js'
import { requireScope, type Scope } from './auth.js'
import type { Context } from './context.js'
import { callDirectly } from './direct.js'
import { DateTime } from './scalars.js'

const built = new Map<string, GraphQLSchema>()

/** The executable schema of these resolver classes; instances come from `context.resolver(Class)`. Built once a process. */
export function createSchema(resolverClasses: readonly ClassType[]): GraphQLSchema {
  const key = resolverClasses.map(type => type.name).join()
  const known = built.get(key)
  if (known) return known
  const schema = buildSchemaSync({
    resolvers: resolverClasses as unknown as [ClassType, ...ClassType[]],
    scalarsMap: [{ type: Date, scalar: DateTime }],
    container: { get: (type, { context }: { context: Context }) => context.resolver(type as ClassType) as never },
    authChecker: hasScope,
    validate: false,
    // Apollo checks the schema when it starts; type-graphql would run a whole introspection at every start to the same end.
    skipCheck: true,
    // Every subscription brings its own source; type-graphql only wants to know that there is one.
    pubSub: { publish: () => {}, subscribe: unused },
  })
  answerAtOnce(schema)
  callDirectly(schema, resolverClasses, requireScopes)
  built.set(key, schema)
  return schema
}

function unused(): never {
  throw new Error('A subscription lacks its subscribe option')
}

/** `@Authorized(Scope.X)`: throws with the missing scope named. `@Authorized()` asks for any valid credential. */
const hasScope: AuthCheckerFn<Context, Scope> = ({ context }, scopes) => {
  requireScopes(context, scopes)
  return true
}

function requireScopes({ viewer }: Context, scopes: readonly Scope[]): void {
  for (const scope of scopes) requireScope(viewer, scope)
  if (!viewer)
    throw new GraphQLError('This needs an API key or token: send it as Authorization: Bearer <key>', {
      extensions: { code: 'UNAUTHENTICATED' },
    })
}

/** The schema as text, in one order whatever the order of declarations. */
export function schemaText(schema: GraphQLSchema): string {
  return `# Emitted by npm run schema; do not edit.\n${printSchema(lexicographicSortSchema(schema))}\n`
}
