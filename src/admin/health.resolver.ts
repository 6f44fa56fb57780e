import { Authorized, Query, Resolver } from 'type-graphql'
import { Scope } from '../graphql/auth.js'
import { StageHealth } from './health.schema.js'
import type { HealthService } from './health.service.js'

@Resolver()
export class HealthResolver {
  constructor(private readonly health: HealthService) {}

  @Authorized(Scope.SYSTEM_READ)
  @Query(() => [StageHealth], {
    description: 'Every stage of the pipeline with its state, reason, and rows in and out. Scope: system:read.',
  })
  systemHealth() {
    return this.health.stages()
  }
}
