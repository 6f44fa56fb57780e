import 'reflect-metadata'
import { beforeAll, describe, expect, test } from '@jest/globals'
import { type GraphQLSchema, graphql } from 'graphql'
import { Arg, Args, ArgsType, Authorized, Ctx, Field, Info, InputType, Int, Mutation, Query, Resolver } from 'type-graphql'
import { Scope } from '../../src/graphql/auth.js'
import type { Context } from '../../src/graphql/context.js'
import { createSchema } from '../../src/graphql/schema.js'

@InputType()
class Branch {
  @Field(() => Int, { defaultValue: 7 })
  leaves!: number

  @Field(() => [Branch], { nullable: 'itemsAndList' })
  branches?: (Branch | null)[] | null

  @Field(() => Branch, { nullable: true })
  next?: Branch | null
}

@ArgsType()
class Wanted {
  @Field(() => Int, { defaultValue: 3 })
  first!: number

  @Field(() => String, { nullable: true })
  name?: string | null

  @Field(() => Branch, { nullable: true })
  branch?: Branch
}

let received: unknown
@Resolver()
class Tree {
  @Query(() => String)
  wanted(@Args(() => Wanted) wanted: Wanted, @Ctx() { requestId }: Context) {
    received = wanted
    return requestId
  }

  @Authorized(Scope.BIDS_WRITE)
  @Mutation(() => String)
  grow(
    @Ctx() { viewer }: Context,
    @Arg('branch', () => Branch) branch: Branch,
    @Arg('times', () => Int, { nullable: true }) times?: number,
  ) {
    received = { branch, times }
    return viewer?.id
  }

  @Query(() => String)
  named(@Info() { fieldName }: { fieldName: string }) {
    return fieldName
  }
}

let schema: GraphQLSchema
beforeAll(() => {
  schema = createSchema([Tree])
})

const scopes = new Set([Scope.BIDS_WRITE])
const ask = (source: string, variableValues: object = {}, viewer: object | undefined = { id: 'me', scopes }) => {
  received = undefined
  const contextValue = { viewer, requestId: 'r1', resolver: () => new Tree() }
  return graphql({ schema, source, contextValue, variableValues: variableValues as Record<string, unknown> })
}

describe('root fields', () => {
  test('get their arguments as plain objects, defaults included, what was not given left out and null kept', async () => {
    const branch = { branches: [{ leaves: 1 }, null, { next: { next: { leaves: 2 } } }], next: null }
    const { data } = await ask('query ($branch: Branch) { wanted(name: null, branch: $branch) }', { branch })
    expect(data).toEqual({ wanted: 'r1' })
    expect(received).toStrictEqual({
      first: 3,
      name: null,
      branch: {
        leaves: 7,
        branches: [{ leaves: 1 }, null, { leaves: 7, next: { leaves: 7, next: { leaves: 2 } } }],
        next: null,
      },
    })
  })

  test('get written-out inputs like those in variables', async () => {
    await ask('{ wanted(first: 9, branch: { branches: { leaves: 4 } }) }')
    expect(received).toStrictEqual({ first: 9, branch: { leaves: 7, branches: [{ leaves: 4 }] } })
  })

  test('get single arguments and the context in the order of their parameters', async () => {
    const { data } = await ask('mutation { grow(branch: { leaves: 5 }, times: 2) }')
    expect(data).toEqual({ grow: 'me' })
    expect(received).toStrictEqual({ branch: { leaves: 5 }, times: 2 })
    await ask('mutation { grow(branch: {}) }')
    expect(received).toStrictEqual({ branch: { leaves: 7 }, times: undefined })
  })

  test('are not called without their scope', async () => {
    const source = 'mutation { grow(branch: {}) }'
    const { errors: missing } = await ask(source, {}, { id: 'me', scopes: new Set() })
    expect(missing?.map(({ message }) => message)).toEqual(['This key lacks the scope bids:write'])
    const contextValue = { viewer: undefined, requestId: 'r1', resolver: () => new Tree() }
    const { errors: nobody } = await graphql({ schema, source, contextValue })
    expect(nobody?.[0].message).toContain('This needs an API key or token')
    expect(received).toBeUndefined()
  })

  test('that ask for more go the way of type-graphql', async () => {
    expect((await ask('{ named }')).data).toEqual({ named: 'named' })
  })
})
