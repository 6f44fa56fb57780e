import { Arg, Authorized, Ctx, Field, ID, InterfaceType, Query, Resolver } from 'type-graphql'
import { typeNameOf } from './abstract.js'
import type { Context } from './context.js'
import { tryDecodeId } from './node-id.js'

@InterfaceType('Node', {
  description: 'Whatever has an opaque id',
  resolveType: typeNameOf('Node', ({ id }: { id: string }) => tryDecodeId(id)?.type ?? ''),
})
export abstract class NodeType {
  @Field(() => ID)
  id!: string
}

/** How an entity is found by the key inside its id: by type name. Each finder asks for the scope of its own kind. */
export type NodeFinders = Record<string, (key: string, context: Context) => Promise<object | null>>

@Resolver()
export class NodeResolver {
  constructor(private readonly finders: NodeFinders) {}

  @Authorized()
  @Query(() => NodeType, { nullable: true, description: 'Any entity by its id; null when there is none. Scope: that of the entity.' })
  node(@Arg('id', () => ID) id: string, @Ctx() context: Context): Promise<object | null> | null {
    const decoded = tryDecodeId(id)
    const finder = decoded && Object.hasOwn(this.finders, decoded.type) ? this.finders[decoded.type] : undefined
    return decoded && finder ? finder(decoded.key, context) : null
  }
}
