import { Arg, Authorized, Field, Float, ID, Int, ObjectType, Query, Resolver } from 'type-graphql'
import { Scope } from '../graphql/auth.js'
import { UserType } from '../users/users.schema.js'
import type { PeopleService } from './people.service.js'

@ObjectType({ simpleResolvers: true })
export class ScoredUser {
  @Field(() => UserType)
  user!: UserType

  @Field(() => Float, { description: 'Best first; comparable only within one answer' })
  score!: number
}

@Resolver()
export class PeopleResolver {
  constructor(private readonly people: PeopleService) {}

  @Authorized(Scope.RECOMMENDATIONS_READ, Scope.USERS_READ)
  @Query(() => [ScoredUser], {
    description:
      'Who would want a product, or something of a category, most and has not bought it; found among those who were active of late. For all users make an audience. Scope: recommendations:read, users:read.',
  })
  usersFor(
    @Arg('productId', () => ID, { nullable: true }) productId: string | null,
    @Arg('category', () => String, { nullable: true }) category: string | null,
    @Arg('first', () => Int, { defaultValue: 10, description: '0 to 100' }) first: number,
  ) {
    return this.people.usersFor({ productId, category }, first)
  }

  @Authorized(Scope.RECOMMENDATIONS_READ, Scope.USERS_READ)
  @Query(() => [ScoredUser], {
    description:
      'Users whose behaviour is most like that of this one, found among those who were active of late. Scope: recommendations:read, users:read.',
  })
  similarUsers(
    @Arg('userId', () => ID) userId: string,
    @Arg('first', () => Int, { defaultValue: 10, description: '0 to 100' }) first: number,
  ) {
    return this.people.similarUsers(userId, first)
  }
}
