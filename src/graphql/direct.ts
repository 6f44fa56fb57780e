import { type GraphQLInputType, type GraphQLSchema, getNullableType, isInputObjectType, isListType } from 'graphql'
import { type ClassType, getMetadataStorage } from 'type-graphql'
import type { Scope } from './auth.js'
import type { Context } from './context.js'

type Given = Record<string, unknown>
type Read = (value: unknown) => unknown
type Check = (context: Context, scopes: readonly Scope[]) => void

/**
 * Lets the root fields call their methods themselves. What type-graphql puts between (a promise for every step, arguments copied into instances from which
 * keys are deleted, a search through all metadata for every nested input) costs a bid more than its features. Arguments are plain objects then. A field
 * that asks for more than its arguments and the context keeps type-graphql's way.
 */
export function callDirectly(schema: GraphQLSchema, resolverClasses: readonly unknown[], check: Check): void {
  const { queries, mutations } = getMetadataStorage()
  const reads = new Map<GraphQLInputType, Read>()
  const roots = [
    [schema.getQueryType(), queries],
    [schema.getMutationType(), mutations],
  ] as const
  for (const [type, resolvers] of roots) {
    for (const { schemaName, methodName, target, params = [], roles, middlewares = [] } of resolvers) {
      const field = type?.getFields()[schemaName]
      if (!field || middlewares.length > 0 || !resolverClasses.includes(target)) continue
      const all = fieldsOf(field.args, reads)
      const values = [...params]
        .sort((a, b) => a.index - b.index)
        .map(param => {
          if (param.kind === 'context' && !param.propertyName) return (_: Given, context: Context) => context
          if (param.kind === 'args') return all
          if (param.kind !== 'arg') return undefined
          const { name } = param
          const read = readOf(field.args.find(argument => argument.name === name)?.type as GraphQLInputType, reads)
          return (given: Given) => read(given[name])
        })
      if (!values.every(value => value !== undefined)) continue
      field.resolve = (_source, given: Given, context: Context) => {
        if (roles) check(context, roles as Scope[])
        const resolver = context.resolver(target as ClassType) as Record<string, (...values: unknown[]) => unknown>
        return resolver[methodName](...values.map(value => value(given, context)))
      }
    }
  }
}

/** What graphql-js coerces has no prototype and is slow to read and to copy; this makes it plain objects, with their keys in one order. */
function readOf(type: GraphQLInputType, reads: Map<GraphQLInputType, Read>): Read {
  const nullable = getNullableType(type)
  if (isListType(nullable)) {
    const read = readOf(nullable.ofType, reads)
    return value => (Array.isArray(value) ? value.map(read) : value)
  }
  if (!isInputObjectType(nullable)) return value => value
  const known = reads.get(nullable)
  if (known) return known
  let read: (given: Given) => Given
  // Known before its fields are, one of which may be of the same type.
  const made: Read = value => (value ? read(value as Given) : value)
  reads.set(nullable, made)
  read = fieldsOf(Object.values(nullable.getFields()), reads)
  return made
}

function fieldsOf(
  fields: readonly { name: string; type: GraphQLInputType }[],
  reads: Map<GraphQLInputType, Read>,
): (given: Given) => Given {
  const each = fields.map(({ name, type }) => ({ name, read: readOf(type, reads) }))
  return given => {
    const plain: Given = {}
    for (const { name, read } of each) {
      const value = given[name]
      if (value !== undefined) plain[name] = read(value)
    }
    return plain
  }
}
