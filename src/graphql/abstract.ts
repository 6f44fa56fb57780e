import { type GraphQLSchema, isAbstractType } from 'graphql'

const typeNames = new Map<string, (value: never) => string>()

/** The `resolveType` of a union or interface, by the name of the type that a value is of. It has to answer at once: compiled operations do not wait. */
export function typeNameOf<Value>(abstractType: string, nameOf: (value: Value) => string): (value: Value) => string {
  typeNames.set(abstractType, nameOf as (value: never) => string)
  return nameOf
}

/** type-graphql wraps every `resolveType` into a promise; this takes the promises away again. */
export function answerAtOnce(schema: GraphQLSchema): void {
  for (const type of Object.values(schema.getTypeMap()).filter(isAbstractType)) {
    const nameOf = typeNames.get(type.name)
    if (nameOf) type.resolveType = nameOf as (value: unknown) => string
    else if (!type.name.startsWith('__')) throw new Error(`The type ${type.name} needs a resolveType made by typeNameOf`)
  }
}
