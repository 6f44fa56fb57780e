import {
  type ASTVisitor,
  type FieldNode,
  GraphQLError,
  type GraphQLField,
  type GraphQLNamedType,
  getNamedType,
  isInterfaceType,
  isObjectType,
  Kind,
  type OperationDefinitionNode,
  type SelectionNode,
  type SelectionSetNode,
  type ValidationContext,
  type ValidationRule,
} from 'graphql'

export interface Limits {
  depth: number
  aliases: number
  directives: number
  /** Root fields of one mutation; each is a transaction of its own. */
  mutations: number
  /** Fields an answer may hold in the worst case: lists multiply by their `first`. */
  cost: number
}

export const DEFAULT_LIMITS: Limits = { depth: 12, aliases: 30, directives: 20, mutations: 20, cost: 50_000 }

interface Measure {
  depth: number
  aliases: number
  directives: number
  cost: number
}

const NOTHING: Measure = { depth: 0, aliases: 0, directives: 0, cost: 0 }
const LARGEST_PAGE = 100

type Parent = GraphQLNamedType | null | undefined

/**
 * One validation rule that refuses documents too deep, wide or expensive before anything is executed. Each fragment is measured once, so a document
 * of n nodes costs O(n) whatever it expands to; Apollo keeps validated documents, so a known query is not measured again.
 */
export function limitsRule(limits: Limits): ValidationRule {
  return (context: ValidationContext): ASTVisitor => {
    const fragments = new Map<string, Measure | 'under way'>()
    return {
      Document: {
        enter: document => {
          for (const definition of document.definitions) if (definition.kind === Kind.OPERATION_DEFINITION) check(definition)
        },
      },
    }

    function check(operation: OperationDefinitionNode) {
      const { depth, aliases, directives, cost } = measure(operation.selectionSet, context.getSchema().getRootType(operation.operation))
      const roots = operation.operation === 'mutation' ? rootFields(operation.selectionSet) : 0
      refuse(depth > limits.depth, `The query is ${depth} levels deep; ${limits.depth} are allowed`)
      refuse(aliases > limits.aliases, `The query has ${aliases} aliases; ${limits.aliases} are allowed`)
      refuse(
        directives + (operation.directives?.length ?? 0) > limits.directives,
        `The query has more than ${limits.directives} directives`,
      )
      refuse(roots > limits.mutations, `The request has more than ${limits.mutations} mutations`)
      refuse(cost > limits.cost, `The query may ask for ${cost} fields; ${limits.cost} are allowed. Ask for fewer entries by "first"`)
    }

    /** Fields of the root, also those inside fragments; bounded, because fragments may repeat each other without end. */
    function rootFields(selectionSet: SelectionSetNode, depth = 0): number {
      if (depth > limits.depth) return 0
      let count = 0
      for (const selection of selectionSet.selections) {
        if (count > limits.mutations) break
        const inner =
          selection.kind === Kind.FRAGMENT_SPREAD ? context.getFragment(selection.name.value)?.selectionSet : selection.selectionSet
        if (selection.kind === Kind.FIELD) count++
        else if (inner) count += rootFields(inner, depth + 1)
      }
      return count
    }

    function refuse(isOver: boolean, sentence: string) {
      if (isOver) context.reportError(new GraphQLError(sentence, { extensions: { limit: true } }))
    }

    function measure(selectionSet: SelectionSetNode, parent: Parent): Measure {
      const total = { ...NOTHING }
      for (const selection of selectionSet.selections) {
        const part = partMeasure(selection, parent)
        total.depth = Math.max(total.depth, part.depth)
        total.aliases += part.aliases
        total.directives += part.directives + (selection.directives?.length ?? 0)
        total.cost += part.cost
      }
      return total
    }

    function partMeasure(selection: SelectionNode, parent: Parent): Measure {
      if (selection.kind === Kind.FIELD) return fieldMeasure(selection, parent)
      if (selection.kind === Kind.FRAGMENT_SPREAD) return fragmentMeasure(selection.name.value)
      return measure(selection.selectionSet, selection.typeCondition ? typeNamed(selection.typeCondition.name.value) : parent)
    }

    function typeNamed(name: string): Parent {
      return context.getSchema().getType(name)
    }

    function fieldMeasure(field: FieldNode, parent: Parent): Measure {
      const alias = field.alias ? 1 : 0
      if (!field.selectionSet) return { depth: 1, aliases: alias, directives: 0, cost: field.name.value === '__typename' ? 0 : 1 }
      // Introspection has a shape and a size of its own, which the schema bounds; it is switched off in production.
      if (field.name.value.startsWith('__')) return { ...NOTHING, aliases: alias }
      const definition = isObjectType(parent) || isInterfaceType(parent) ? parent.getFields()[field.name.value] : undefined
      const inner = measure(field.selectionSet, definition && getNamedType(definition.type))
      return {
        depth: inner.depth + 1,
        aliases: inner.aliases + alias,
        directives: inner.directives,
        cost: 1 + pageSize(field, definition) * inner.cost,
      }
    }

    function fragmentMeasure(name: string): Measure {
      const known = fragments.get(name)
      // A cycle is another rule's fault to report.
      if (known === 'under way') return NOTHING
      if (known) return known
      const fragment = context.getFragment(name)
      if (!fragment) return NOTHING
      fragments.set(name, 'under way')
      const result = measure(fragment.selectionSet, typeNamed(fragment.typeCondition.name.value))
      fragments.set(name, result)
      return result
    }
  }
}

/** Entries below a field: its `first` as written, by default, or at worst when a variable decides; `edges` and `nodes` share their connection's. */
function pageSize(field: FieldNode, definition: GraphQLField<unknown, unknown> | undefined): number {
  const declared = definition?.args.find(argument => argument.name === 'first')
  if (!declared) return 1
  const given = field.arguments?.find(argument => argument.name.value === 'first')?.value
  if (!given) return Number(declared.defaultValue ?? LARGEST_PAGE)
  return given.kind === Kind.INT ? Math.max(1, Math.min(LARGEST_PAGE, Number(given.value))) : LARGEST_PAGE
}
