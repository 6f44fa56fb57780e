import {
  type DocumentNode,
  type ExecutionArgs,
  type ExecutionResult,
  execute,
  GraphQLError,
  type GraphQLLeafType,
  GraphQLScalarType,
  type GraphQLSchema,
  getNullableType,
  getOperationAST,
  getVariableValues,
  isLeafType,
  Kind,
  type NamedTypeNode,
  type OperationDefinitionNode,
  type Source,
  typeFromAST,
} from 'graphql'
import { type CompiledQuery, compileQuery, isCompiledQuery } from 'graphql-jit'
import { type Brief, briefOf, complete } from './unchanging.js'

/** Compiling costs some milliseconds: an operation that is asked once is not worth them. */
const COMPILED_AFTER = 3
const COERCION = { maxErrors: 10 }

interface Compiled {
  query: CompiledQuery<unknown, unknown>['query']
  leaves: readonly Leaf[] | null
  /** Of a brief operation: what is written apart. */
  spots?: Brief['spots']
}

/** A variable that is a scalar or an enum. */
interface Leaf {
  name: string
  type: GraphQLLeafType
}

interface Known {
  times: number
  /** null where it does not compile. */
  whole?: Compiled | null
  brief?: Compiled | null
}

type Request = Pick<ExecutionArgs, 'document' | 'contextValue' | 'variableValues' | 'operationName'> & {
  /** The answer goes through `stringified`. */
  isStringified?: boolean
}

/**
 * Executes operations: those that come again by code that is compiled for them (graphql-jit), which costs a fraction of a walk through the schema for
 * every field; all others, and whatever has a fault before it starts, by graphql-js. Both answer alike. What is compiled lives as long as its parsed
 * document does.
 */
export function createExecutor(schema: GraphQLSchema, compiledAfter = COMPILED_AFTER): (request: Request) => Promise<ExecutionResult> {
  const operations = new WeakMap<OperationDefinitionNode, Known>()
  const compilable = withCoerced(schema)
  const compile = (document: DocumentNode, operation: OperationDefinitionNode, types = compilable): Compiled | null => {
    // Compiled code keeps names in usual objects, where this is none.
    if (document.loc?.source.body.includes('__proto__')) return null
    const result = compileQuery(types, takingCoerced(document, operation), operation.name?.value)
    return isCompiledQuery(result) ? { query: result.query as Compiled['query'], leaves: leavesOf(schema, operation) } : null
  }
  const briefly = (document: DocumentNode, operation: OperationDefinitionNode): Compiled | null => {
    const brief = briefOf(compilable, document, operation)
    const compiled = brief && compile(brief.document, brief.operation, brief.schema)
    return compiled ? { ...compiled, spots: brief.spots } : null
  }
  const compiledOf = (operation: OperationDefinitionNode, { document, isStringified }: Request): Compiled | null => {
    const known = operations.get(operation) ?? { times: 0 }
    operations.set(operation, known)
    if (++known.times < compiledAfter) return null
    if (isStringified && known.brief === undefined) known.brief = briefly(document, operation)
    if (isStringified && known.brief) return known.brief
    if (known.whole === undefined) known.whole = compile(document, operation)
    return known.whole
  }
  return async request => {
    const { document, contextValue, operationName, variableValues } = request
    const operation = getOperationAST(document, operationName)
    const compiled = operation && compiledOf(operation, request)
    const given = variableValues ?? {}
    const variables =
      compiled &&
      (coercedLeaves(compiled.leaves, given) ?? getVariableValues(schema, operation.variableDefinitions ?? [], given, COERCION).coerced)
    if (!variables) return execute({ schema, ...request, options: { maxCoercionErrors: COERCION.maxErrors } })
    const result = (await compiled?.query(undefined, contextValue, variables)) as ExecutionResult
    if (compiled?.spots) await complete(result, compiled.spots)
    return result.errors ? { ...result, errors: result.errors.map(error => errorOf(error, document.loc?.source)) } : result
  }
}

/** The operation's variables where all are scalars or enums, as most are; null where one is anything else. */
function leavesOf(schema: GraphQLSchema, { variableDefinitions = [] }: OperationDefinitionNode): Leaf[] | null {
  const leaves = variableDefinitions.flatMap(({ type, variable }) => {
    const leaf = getNullableType(typeFromAST(schema, type as NamedTypeNode))
    return isLeafType(leaf) ? [{ name: variable.name.value, type: leaf }] : []
  })
  return leaves.length === variableDefinitions.length ? leaves : null
}

/** What graphql-js would make of them, without a walk through their types; undefined where one is left out, null or faulty, which is for graphql-js to tell. */
function coercedLeaves(leaves: readonly Leaf[] | null, given: Readonly<Record<string, unknown>>): Record<string, unknown> | undefined {
  if (!leaves) return undefined
  const coerced: Record<string, unknown> = {}
  try {
    for (const { name, type } of leaves) {
      const value = Object.hasOwn(given, name) ? given[name] : undefined
      if (value === undefined || value === null) return undefined
      const parsed = type.parseValue(value)
      if (parsed === undefined) return undefined
      coerced[name] = parsed
    }
  } catch {
    return undefined
  }
  return coerced
}

/**
 * Variables are coerced by graphql-js before compiled code gets them, which takes them as they are: graphql-jit would let whole numbers beyond 32 bits
 * pass, and could not end with input types that contain themselves.
 */
const Coerced = new GraphQLScalarType({ name: 'Coerced' })

/** The schema, which knows one type more than it tells. */
function withCoerced(schema: GraphQLSchema): GraphQLSchema {
  const getType = (name: string) => (name === Coerced.name ? Coerced : schema.getType(name))
  return Object.create(schema, { getType: { value: getType } })
}

function takingCoerced(document: DocumentNode, operation: OperationDefinitionNode): DocumentNode {
  const type = { kind: Kind.NAMED_TYPE, name: { kind: Kind.NAME, value: Coerced.name } } as const
  const variableDefinitions = operation.variableDefinitions?.map(({ kind, variable }) => ({ kind, variable, type }))
  return { ...document, definitions: document.definitions.map(each => (each === operation ? { ...operation, variableDefinitions } : each)) }
}

/** The error as graphql-js would have made it: Apollo wants its extensions and its place. */
function errorOf({ message, path, originalError, locations }: GraphQLError, source: Source | undefined): GraphQLError {
  const positions = source && locations?.map(({ line, column }) => offsetOf(source.body, line) + column - 1)
  return new GraphQLError(message, { source, positions, path, originalError: originalError ?? new Error(message) })
}

/** Where a line begins; lines count from 1. */
function offsetOf(text: string, line: number): number {
  const ends = /\r\n|[\n\r]/g
  for (let at = 1; at < line; at++) if (!ends.exec(text)) break
  return ends.lastIndex
}
