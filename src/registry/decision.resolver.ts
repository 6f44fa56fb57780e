import { Arg, Authorized, ID, Query, Resolver } from 'type-graphql'
import { Scope } from '../graphql/auth.js'
import { decodeId } from '../graphql/node-id.js'
import { DecisionType } from './decision.schema.js'
import type { Decisions } from './decisions.js'

@Resolver(() => DecisionType)
export class DecisionResolver {
  constructor(private readonly decisions: Decisions) {}

  @Authorized(Scope.DECISIONS_READ)
  @Query(() => DecisionType, {
    nullable: true,
    description: 'Why an answer was what it was; null when there is no such decision. Scope: decisions:read.',
  })
  async decision(@Arg('id', () => ID) id: string) {
    const row = await this.decisions.find(decodeId('Decision', id))
    return row && DecisionType.of(row)
  }
}
