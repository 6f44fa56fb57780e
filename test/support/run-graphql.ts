import { type ExecutionResult, graphql } from 'graphql'
import type { ClassType } from 'type-graphql'
import { Scope, type Viewer } from '../../src/graphql/auth.js'
import type { Context } from '../../src/graphql/context.js'
import { createSchema } from '../../src/graphql/schema.js'

/** Answers are read by tests, which know what they asked for. */
export type Answer = Record<string, Record<string, unknown> | null>

/** Somebody with these scopes; all of them unless said. */
export function viewerWith(scopes: readonly Scope[] = Object.values(Scope), id = 'tester'): Viewer {
  return { id, name: id, scopes: new Set(scopes) }
}

/** Runs operations on a schema of only these resolvers, without HTTP: access is checked, and each operation has its own loaders. */
export function createRunner(resolvers: object[]) {
  const schema = createSchema(resolvers.map(resolver => resolver.constructor) as ClassType[])
  const run = (viewer: Viewer | undefined, source: string, variableValues?: Record<string, unknown>) =>
    graphql({ schema, source, variableValues, contextValue: contextOf(viewer, resolvers) }) as Promise<ExecutionResult<Answer>>
  return {
    as: (viewer: Viewer | undefined) => ({ run: (source: string, variables?: Record<string, unknown>) => run(viewer, source, variables) }),
  }
}

function contextOf(viewer: Viewer | undefined, resolvers: object[]): Context {
  const loaders = new Map<string, unknown>()
  return {
    viewer,
    requestId: 'test',
    resolver: type => resolvers.find(resolver => resolver.constructor === type),
    loader: <T>(name: string, create: () => T) => {
      if (!loaders.has(name)) loaders.set(name, create())
      return loaders.get(name) as T
    },
  }
}
