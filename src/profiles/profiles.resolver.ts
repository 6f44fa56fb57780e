import { Arg, Args, Authorized, Ctx, FieldResolver, Int, Query, Resolver, Root } from 'type-graphql'
import { requireScope, Scope } from '../graphql/auth.js'
import { checkFirst } from '../graphql/connection.js'
import type { Context } from '../graphql/context.js'
import { money } from '../graphql/money.js'
import { Score } from '../graphql/score.js'
import { UserType } from '../users/users.schema.js'
import type { UsersService } from '../users/users.service.js'
import type { ClustersService } from './clusters.service.js'
import { FEATURES } from './features.js'
import type { ProfileScoreService } from './profile-scores.js'
import {
  Affinity,
  Cluster,
  ClusterDrift,
  ClusterRule,
  FeatureValue,
  ProfileConnection,
  ProfilePreprocessing,
  ProfilesArgs,
  ProfileType,
  Rfm,
} from './profiles.schema.js'
import { affinitiesOf, type ProfilesService } from './profiles.service.js'
import { GROUPS, type RfmGroup } from './rfm.js'

@Resolver(() => UserType)
export class UserProfileResolver {
  constructor(private readonly profiles: ProfilesService) {}

  @Authorized(Scope.USERS_READ)
  @FieldResolver(() => ProfileType, { nullable: true, description: 'Null while nothing is known of the user. Scope: users:read.' })
  async profile(@Root() user: UserType, @Ctx() context: Context) {
    const row = await this.profiles.load(context, user.key)
    return row && ProfileType.of(row)
  }
}

@Resolver(() => ProfileType)
export class ProfilesResolver {
  constructor(
    private readonly profiles: ProfilesService,
    private readonly scores: ProfileScoreService,
    private readonly clusterList: ClustersService,
    private readonly users: UsersService,
    private readonly currency: string,
  ) {}

  @Authorized(Scope.USERS_READ)
  @Query(() => [FeatureValue], { description: 'The features of profiles, in plain words. Scope: users:read.' })
  profileFeatures() {
    return FEATURES.map(({ name, en, zh, unit }) => ({ name, description: en, descriptionZh: zh, unit }))
  }

  @Authorized(Scope.USERS_READ)
  @Query(() => ProfileConnection, {
    name: 'profiles',
    description: 'Profiles as they were last refreshed, in a stable order. Scope: users:read.',
  })
  list(@Args(() => ProfilesArgs) args: ProfilesArgs) {
    return this.profiles.page(args)
  }

  @Authorized(Scope.USERS_READ)
  @Query(() => [Cluster], { description: 'The clusters of the live model, largest first. Scope: users:read.' })
  clusters() {
    return this.clusterList.all()
  }

  @Authorized(Scope.USERS_READ)
  @Query(() => ClusterDrift, {
    nullable: true,
    description: 'How far people have moved since the live clusters were learned; null before the first look. Scope: users:read.',
  })
  clusterDrift() {
    return this.clusterList.drift()
  }

  @Authorized(Scope.USERS_READ)
  @Query(() => ProfilePreprocessing, { description: 'What was left out of the profiles or cut, counted by cause. Scope: users:read.' })
  profilePreprocessing() {
    return this.profiles.preprocessing()
  }

  @Authorized(Scope.SEGMENTS_READ)
  @Query(() => ClusterRule, {
    description: 'The best simple rule that approximates a cluster, ready for segmentCreate. Scope: segments:read.',
  })
  clusterRule(@Arg('key', () => String) key: string) {
    return this.clusterList.rule(key)
  }

  @FieldResolver(() => UserType)
  user(@Root() { row }: ProfileType, @Ctx() context: Context) {
    requireScope(context.viewer, Scope.USERS_READ)
    return this.users.load(context, row.userId)
  }

  @FieldResolver(() => Rfm, { nullable: true, description: 'Null for somebody who never ordered, or before the first scores' })
  rfm(@Root() { row }: ProfileType): Rfm | null {
    const { recencyScore, frequencyScore, monetaryScore, rfmGroup, lastOrderAt, orderDays } = row
    if (recencyScore === null || frequencyScore === null || monetaryScore === null || !rfmGroup || !lastOrderAt) return null
    const names = GROUPS[rfmGroup as RfmGroup]
    return {
      recencyDays: (row.refreshedAt.getTime() - lastOrderAt.getTime()) / 86_400_000,
      frequency: orderDays,
      monetary: money(row.monetaryMicros, this.currency) as NonNullable<ReturnType<typeof money>>,
      recencyScore,
      frequencyScore,
      monetaryScore,
      label: names.en,
      labelZh: names.zh,
      group: rfmGroup,
    }
  }

  @FieldResolver(() => Cluster, {
    nullable: true,
    description: 'Null while no model of clusters is approved, or nothing is known of the user',
  })
  cluster(@Root() { row }: ProfileType, @Ctx() context: Context) {
    return row.clusterKey === null ? null : this.clusterList.load(context, row.clusterKey)
  }

  @FieldResolver(() => [Affinity], { description: 'What the user likes, strongest first; old events count less' })
  async categoryAffinities(
    @Root() { row }: ProfileType,
    @Arg('first', () => Int, { nullable: true, defaultValue: 10 }) given: number | null,
  ) {
    const first = given ?? 10
    checkFirst(first)
    return affinitiesOf(row.categories, (await this.profiles.currentMeasures()).categoryShares).slice(0, first)
  }

  @FieldResolver(() => [Affinity])
  async brandAffinities(@Root() { row }: ProfileType, @Arg('first', () => Int, { nullable: true, defaultValue: 10 }) given: number | null) {
    const first = given ?? 10
    checkFirst(first)
    return affinitiesOf(row.brands, (await this.profiles.currentMeasures()).brandShares).slice(0, first)
  }

  @FieldResolver(() => [FeatureValue])
  features(@Root() { row }: ProfileType): FeatureValue[] {
    return FEATURES.map(({ name, en, zh, unit }, index) => {
      const value = row.features[index]
      return { name, description: en, descriptionZh: zh, unit, value: Number.isNaN(value) ? null : value }
    })
  }

  @FieldResolver(() => Score, { description: 'Probability of not being seen again within 30 days' })
  churnProbability(@Root() { row }: ProfileType) {
    return this.scores.churn(row)
  }

  @FieldResolver(() => Score, { description: 'Probability of an order within 30 days' })
  purchaseProbability(@Root() { row }: ProfileType) {
    return this.scores.purchase(row)
  }

  @FieldResolver(() => Score, { description: "Expected spending over 365 days, in units of the account's currency" })
  lifetimeValue(@Root() { row }: ProfileType) {
    return this.scores.lifetimeValue(row)
  }
}
