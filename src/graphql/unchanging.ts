import { randomUUID } from 'node:crypto'
import {
  type DocumentNode,
  type ExecutionResult,
  type FieldNode,
  type FragmentDefinitionNode,
  type GraphQLField,
  GraphQLNonNull,
  GraphQLObjectType,
  type GraphQLOutputType,
  GraphQLScalarType,
  GraphQLSchema,
  getNamedType,
  getNullableType,
  isCompositeType,
  isNonNullType,
  isObjectType,
  Kind,
  type OperationDefinitionNode,
  OperationTypeNode,
  type SelectionNode,
  type SelectionSetNode,
} from 'graphql'
import { type CompiledQuery, compileQuery, isCompiledQuery } from 'graphql-jit'
import { Extensions } from 'type-graphql'

/**
 * The field's value is never altered once it was given: what changes is a new object. What an operation selects of it is written as JSON once and sent
 * again for as long as the object is the same.
 */
export const Unchanging = () => Extensions({ unchanging: true })

/** A place of an operation's answer that is written apart: `field` of the object that the root field `root` answers with, both by their response keys. */
interface Spot {
  root: string
  field: string
  /** The JSON of what is selected of the value. */
  write(value: object): Buffer | Promise<Buffer>
}

/** An operation without what is selected of unchanging values, for a schema in which these are scalars. */
export interface Brief {
  schema: GraphQLSchema
  document: DocumentNode
  operation: OperationDefinitionNode
  spots: Spot[]
}

/** What stands in the answer for what was written apart, before its number; nobody can know it. */
const MARK = `written apart: ${randomUUID()} `
const MARKS = new RegExp(`"${MARK}(\\d+)"`)
const WRITTEN = Symbol('written apart')
type Data = Record<string, Record<string, unknown> | null> & { [WRITTEN]?: Buffer[] }

/**
 * With the value itself (a WeakMap of all would keep much of what it names until a full collection): the place of the operation that asked last, and what was
 * written for it once it asked again. Most values are asked for once.
 */
const KEPT = Symbol('kept')
type Value = object & { [KEPT]?: { spot: Spot; json?: Buffer } }

/**
 * The brief form of an operation; undefined where nothing can be written apart. Only fields of what a root field always answers with are looked at, and only where
 * all that is selected beneath are properties: no resolver, no argument, no directive, no abstract type. An operation for which that is not plain to see stays whole.
 */
export function briefOf(schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode): Brief | undefined {
  const rootType = schema.getRootType(operation.operation)
  if (!rootType || operation.operation === OperationTypeNode.SUBSCRIPTION) return undefined
  const fragments = document.definitions.filter(each => each.kind === Kind.FRAGMENT_DEFINITION)
  const spots: Spot[] = []
  const replaced = new Map<string, GraphQLObjectType>()
  const selections: FieldNode[] = []
  for (const node of operation.selectionSet.selections) {
    if (node.kind !== Kind.FIELD) return undefined
    const parent = alwaysOf(rootType.getFields()[node.name.value]?.type)
    if (!parent || !node.selectionSet || !Object.values(parent.getFields()).some(isUnchanging)) {
      selections.push(node)
      continue
    }
    const inner: FieldNode[] = []
    for (const each of node.selectionSet.selections) {
      if (each.kind !== Kind.FIELD) return undefined
      const field = parent.getFields()[each.name.value]
      if (!field || !isUnchanging(field)) {
        inner.push(each)
        continue
      }
      if (!isAlone(node, operation.selectionSet) || !isAlone(each, node.selectionSet)) return undefined
      if (field.type === getNullableType(field.type) || !isProperty(each, parent, fragments)) return undefined
      spots.push({ root: keyOf(node), field: keyOf(each), write: writerOf(parent, each, fragments) })
      replaced.set(parent.name, withScalar(replaced.get(parent.name) ?? parent, field.name))
      inner.push({ ...each, selectionSet: undefined })
    }
    selections.push({ ...node, selectionSet: { ...node.selectionSet, selections: inner } })
  }
  if (spots.length === 0) return undefined
  const brief = { ...operation, selectionSet: { ...operation.selectionSet, selections } }
  return {
    schema: withTypes(schema, rootType, replaced),
    document: { ...document, definitions: document.definitions.map(each => (each === operation ? brief : each)) },
    operation: brief,
    spots,
  }
}

/** Puts what is written apart into the answer to a brief operation. An answer with errors gets it as data, which is what is formatted. */
export async function complete(result: ExecutionResult, spots: readonly Spot[]): Promise<void> {
  const data = result.data as Data | null | undefined
  if (!data) return
  const parts: Buffer[] = []
  for (const spot of spots) {
    const parent = data[spot.root]
    if (!parent) continue
    const value = parent[spot.field] as Value
    const kept = value[KEPT]?.spot === spot ? value[KEPT] : undefined
    const json = kept?.json ?? (await spot.write(value))
    if (kept) kept.json = json
    else value[KEPT] = { spot }
    parent[spot.field] = result.errors ? JSON.parse(json.toString()) : MARK + parts.length
    parts.push(json)
  }
  if (!result.errors) data[WRITTEN] = parts
}

/** The answer as JSON. */
export function stringified(result: { data?: object | null }): string | Buffer {
  const text = `${JSON.stringify(result)}\n`
  const parts = (result.data as Data | null | undefined)?.[WRITTEN]
  if (!parts) return text
  const pieces = text.split(MARKS)
  let size = 0
  for (const [at, piece] of pieces.entries()) size += at % 2 === 0 ? Buffer.byteLength(piece) : parts[Number(piece)].length
  const whole = memoryOf(size)
  let end = 0
  for (const [at, piece] of pieces.entries()) end += at % 2 === 0 ? whole.write(piece, end) : parts[Number(piece)].copy(whole, end)
  return whole
}

/** Answers of some kilobytes share memory, which is given up when the last of them is sent: to make and to collect a piece for each takes longer than to fill it. */
const SHARED_BYTES = 64 * 1024
const LARGEST_SHARE = 16 * 1024
let shared = Buffer.alloc(0)
let used = 0

function memoryOf(size: number): Buffer {
  if (size > LARGEST_SHARE) return Buffer.allocUnsafe(size)
  if (used + size > shared.length) {
    shared = Buffer.allocUnsafeSlow(SHARED_BYTES)
    used = 0
  }
  used += size
  return shared.subarray(used - size, used)
}

function isUnchanging({ extensions }: GraphQLField<unknown, unknown>): boolean {
  return extensions.unchanging === true
}

/** The object type that a field of this type never answers without. */
function alwaysOf(type: GraphQLOutputType | undefined): GraphQLObjectType | undefined {
  return isNonNullType(type) && isObjectType(type.ofType) ? type.ofType : undefined
}

/** A field without directives whose response key no other in the selection set gives. */
function isAlone(node: FieldNode, { selections }: SelectionSetNode): boolean {
  return !node.directives?.length && selections.every(other => other === node || keyOf(other as FieldNode) !== keyOf(node))
}

function keyOf({ alias, name }: FieldNode): string {
  return (alias ?? name).value
}

/** Whether a field, and all that is selected beneath, is read from its object and depends on nothing else. */
function isProperty(node: SelectionNode, parent: GraphQLObjectType, fragments: readonly FragmentDefinitionNode[]): boolean {
  if (node.directives?.length) return false
  const areAll = (selectionSet: SelectionSetNode, type: GraphQLObjectType) =>
    selectionSet.selections.every(each => isProperty(each, type, fragments))
  if (node.kind === Kind.FIELD) {
    if (node.name.value === '__typename') return true
    const field = parent.getFields()[node.name.value]
    if (!field || field.resolve || node.arguments?.length) return false
    const type = getNamedType(field.type)
    return isCompositeType(type) ? isObjectType(type) && areAll(node.selectionSet as SelectionSetNode, type) : true
  }
  const fragment = node.kind === Kind.INLINE_FRAGMENT ? node : fragments.find(({ name }) => name.value === node.name.value)
  const isOfParent = !fragment?.typeCondition || fragment.typeCondition.name.value === parent.name
  return fragment !== undefined && isOfParent && areAll(fragment.selectionSet, parent)
}

/** Compiled when it is first needed: the field alone, of its parent as the root. */
function writerOf(parent: GraphQLObjectType, node: FieldNode, fragments: readonly FragmentDefinitionNode[]): Spot['write'] {
  let compiled: CompiledQuery<Record<string, unknown>> | undefined
  const compile = () => {
    const selectionSet = { kind: Kind.SELECTION_SET, selections: [node] } as const
    const operation = { kind: Kind.OPERATION_DEFINITION, operation: OperationTypeNode.QUERY, selectionSet } as const
    const schema = new GraphQLSchema({ query: parent, assumeValid: true })
    const result = compileQuery(schema, { kind: Kind.DOCUMENT, definitions: [operation, ...fragments] })
    if (!isCompiledQuery(result)) throw new Error(`${parent.name}.${node.name.value} cannot be written apart`)
    return result as CompiledQuery<Record<string, unknown>>
  }
  const jsonOf = ({ data, errors }: ExecutionResult<Record<string, unknown>>) => {
    if (errors) throw errors[0]
    return Buffer.from(JSON.stringify(data?.[keyOf(node)]))
  }
  return value => {
    compiled ??= compile()
    const result = compiled.query({ [node.name.value]: value }, {}, {}) as
      | ExecutionResult<Record<string, unknown>>
      | Promise<ExecutionResult<Record<string, unknown>>>
    return result instanceof Promise ? result.then(jsonOf) : jsonOf(result)
  }
}

const Written = new GraphQLScalarType({ name: 'Written' })

function withScalar(type: GraphQLObjectType, fieldName: string): GraphQLObjectType {
  const config = type.toConfig()
  return new GraphQLObjectType({
    ...config,
    fields: { ...config.fields, [fieldName]: { ...config.fields[fieldName], type: new GraphQLNonNull(Written) } },
  })
}

/** The schema with other types in the places of some that its root fields always answer with. */
function withTypes(schema: GraphQLSchema, rootType: GraphQLObjectType, replaced: ReadonlyMap<string, GraphQLObjectType>): GraphQLSchema {
  const config = rootType.toConfig()
  const fields = Object.entries(config.fields).map(([name, field]) => {
    const other = replaced.get(alwaysOf(field.type)?.name ?? '')
    return [name, other ? { ...field, type: new GraphQLNonNull(other) } : field] as const
  })
  const root = new GraphQLObjectType({ ...config, fields: Object.fromEntries(fields) })
  const other = (operation: OperationTypeNode) => () => (schema.getRootType(operation) === rootType ? root : schema.getRootType(operation))
  return Object.create(schema, {
    getRootType: { value: (operation: OperationTypeNode) => other(operation)() },
    getQueryType: { value: other(OperationTypeNode.QUERY) },
    getMutationType: { value: other(OperationTypeNode.MUTATION) },
  })
}
