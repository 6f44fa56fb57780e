import {
  type ExecutionArgs,
  type ExecutionResult,
  execute,
  GraphQLError,
  type GraphQLSchema,
  getOperationAST,
  getVariableValues,
  type OperationDefinitionNode,
  type Source,
} from 'graphql'
import { type CompiledQuery, compileQuery, isCompiledQuery } from 'graphql-jit'

/** Compiling costs some milliseconds: an operation that is asked once is not worth them. */
const COMPILED_AFTER = 3
const MOST_COERCION_ERRORS = 10

interface Known {
  times: number
  /** null where it does not compile. */
  compiled?: CompiledQuery<unknown, unknown> | null
}

type Request = Pick<ExecutionArgs, 'document' | 'contextValue' | 'variableValues' | 'operationName'>

/**
 * Executes operations: those that come again by code that is compiled for them (graphql-jit), which costs a fraction of a walk through the schema for
 * every field; all others, and whatever has a fault before it starts, by graphql-js. Both answer alike. What is compiled lives as long as its parsed
 * document does.
 */
export function createExecutor(schema: GraphQLSchema): (request: Request) => Promise<ExecutionResult> {
  const operations = new WeakMap<OperationDefinitionNode, Known>()
  const compiledOf = (operation: OperationDefinitionNode, { document, operationName }: Request) => {
    const known = operations.get(operation) ?? { times: 0 }
    operations.set(operation, known)
    if (++known.times < COMPILED_AFTER) return null
    if (known.compiled === undefined) {
      const result = compileQuery(schema, document, operationName ?? undefined)
      known.compiled = isCompiledQuery(result) ? (result as CompiledQuery<unknown, unknown>) : null
    }
    return known.compiled
  }
  /** Compiled code checks variables less strictly than the specification wants it: it lets whole numbers beyond 32 bits pass. */
  const areFit = ({ variableDefinitions = [] }: OperationDefinitionNode, values: object) =>
    getVariableValues(schema, variableDefinitions, values as Record<string, unknown>, { maxErrors: 1 }).errors === undefined
  return async request => {
    const { document, contextValue, operationName, variableValues } = request
    const operation = getOperationAST(document, operationName)
    const compiled = operation && compiledOf(operation, request)
    if (!compiled || !areFit(operation, variableValues ?? {}))
      return execute({ schema, ...request, options: { maxCoercionErrors: MOST_COERCION_ERRORS } })
    const result = (await compiled.query(undefined, contextValue, variableValues ?? {})) as ExecutionResult
    return result.errors ? { ...result, errors: result.errors.map(error => errorOf(error, document.loc?.source)) } : result
  }
}

/** The error as graphql-js would have made it: Apollo wants its extensions and its place. */
function errorOf({ message, path, originalError, locations }: GraphQLError, source: Source | undefined): GraphQLError {
  const positions = source && locations?.map(({ line, column }) => offsetOf(source.body, line) + column - 1)
  return new GraphQLError(message, { source, positions, path, originalError })
}

/** Where a line begins; lines count from 1. */
function offsetOf(text: string, line: number): number {
  const ends = /\r\n|[\n\r]/g
  for (let at = 1; at < line; at++) if (!ends.exec(text)) break
  return ends.lastIndex
}
