import { Arg, Authorized, Ctx, Mutation, Resolver } from 'type-graphql'
import { Scope } from '../graphql/auth.js'
import type { Context } from '../graphql/context.js'
import { type IdempotencyStore, idempotent } from '../graphql/idempotency.js'
import { payload } from '../graphql/payload.js'
import { EventsTrackInput, EventsTrackPayload } from './events.schema.js'
import type { EventsService } from './events.service.js'

@Resolver()
export class EventsResolver {
  constructor(
    private readonly events: EventsService,
    private readonly idempotency: IdempotencyStore,
  ) {}

  @Authorized(Scope.EVENTS_WRITE)
  @Mutation(() => EventsTrackPayload, {
    description: 'Stores up to 1,000 events, once per messageId, with a result per row. Scope: events:write.',
  })
  eventsTrack(@Arg('input', () => EventsTrackInput) { dryRun, ...input }: EventsTrackInput, @Ctx() { viewer }: Context) {
    if (dryRun) return payload(async () => ({ preview: await this.events.preview(input.events) }))
    return idempotent(this.idempotency, viewer, 'eventsTrack', input, () => this.events.track(input.events))
  }
}
