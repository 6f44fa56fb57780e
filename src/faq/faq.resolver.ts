import { Arg, Args, Authorized, Ctx, FieldResolver, Mutation, Query, Resolver, Root } from 'type-graphql'
import { Scope } from '../graphql/auth.js'
import type { Context } from '../graphql/context.js'
import { type IdempotencyStore, idempotent } from '../graphql/idempotency.js'
import { payload } from '../graphql/payload.js'
import type { AnswersService } from './answers.service.js'
import {
  FaqAnswerArgs,
  FaqEntriesArgs,
  FaqEntryActionInput,
  FaqEntryConnection,
  FaqEntryCreateInput,
  FaqEntryHistory,
  FaqEntryPayload,
  FaqEntryType,
  FaqEntryUpdateInput,
  FaqFeedbackInput,
  FaqFeedbackPayload,
  FaqResult,
  FaqTicketCloseInput,
  FaqTicketConnection,
  FaqTicketPayload,
  FaqTicketsArgs,
} from './faq.schema.js'
import type { FaqService } from './faq.service.js'

@Resolver(() => FaqEntryType)
export class FaqResolver {
  constructor(
    private readonly faq: FaqService,
    private readonly answers: AnswersService,
    private readonly idempotency: IdempotencyStore,
  ) {}

  @Authorized(Scope.FAQ_ANSWER)
  @Query(() => FaqResult, {
    description:
      'An approved answer, a question back when two are close, or a person when the expected error is too large. Scope: faq:answer.',
  })
  faqAnswer(@Args(() => FaqAnswerArgs) args: FaqAnswerArgs) {
    return this.answers.answer(args)
  }

  @Authorized(Scope.FAQ_ANSWER)
  @Mutation(() => FaqFeedbackPayload, { description: 'Whether an answer helped; the next index learns from it. Scope: faq:answer.' })
  faqFeedback(@Arg('input', () => FaqFeedbackInput) input: FaqFeedbackInput, @Ctx() { viewer }: Context) {
    if (input.dryRun) return payload(async () => ({ preview: (await this.faq.rehearse(faq => faq.feedback(input))).recorded }))
    return idempotent(this.idempotency, viewer, 'faqFeedback', input, () => this.faq.feedback(input))
  }

  @Authorized(Scope.FAQ_WRITE)
  @Query(() => FaqEntryConnection, { description: 'Entries of the FAQ, newest first. Scope: faq:write.' })
  faqEntries(@Args(() => FaqEntriesArgs) args: FaqEntriesArgs) {
    return this.faq.page(args)
  }

  @Authorized(Scope.FAQ_WRITE)
  @Mutation(() => FaqEntryPayload, { description: 'Writes a draft. Scope: faq:write.' })
  faqEntryCreate(@Arg('input', () => FaqEntryCreateInput) input: FaqEntryCreateInput, @Ctx() { viewer }: Context) {
    if (input.dryRun) return payload(async () => ({ preview: (await this.faq.rehearse(faq => faq.create(input))).entry }))
    return idempotent(this.idempotency, viewer, 'faqEntryCreate', input, () => this.faq.create(input))
  }

  @Authorized(Scope.FAQ_WRITE)
  @Mutation(() => FaqEntryPayload, { description: 'Changes an entry; the change waits for approval. Scope: faq:write.' })
  faqEntryUpdate(@Arg('input', () => FaqEntryUpdateInput) input: FaqEntryUpdateInput, @Ctx() { viewer }: Context) {
    if (input.dryRun) return payload(async () => ({ preview: (await this.faq.rehearse(faq => faq.update(viewer!, input))).entry }))
    return idempotent(this.idempotency, viewer, 'faqEntryUpdate', input, () => this.faq.update(viewer!, input))
  }

  @Authorized(Scope.FAQ_WRITE)
  @Mutation(() => FaqEntryPayload, { description: 'Lets a draft answer, in every process within seconds. Scope: faq:write.' })
  faqEntryApprove(@Arg('input', () => FaqEntryActionInput) input: FaqEntryActionInput, @Ctx() { viewer }: Context) {
    if (input.dryRun) return payload(async () => ({ preview: (await this.faq.rehearse(faq => faq.approve(viewer!, input))).entry }))
    return idempotent(this.idempotency, viewer, 'faqEntryApprove', input, () => this.faq.approve(viewer!, input))
  }

  @Authorized(Scope.FAQ_WRITE)
  @Mutation(() => FaqEntryPayload, { description: 'Refuses a draft; the version approved before stands again. Scope: faq:write.' })
  faqEntryReject(@Arg('input', () => FaqEntryActionInput) input: FaqEntryActionInput, @Ctx() { viewer }: Context) {
    if (input.dryRun) return payload(async () => ({ preview: (await this.faq.rehearse(faq => faq.reject(viewer!, input))).entry }))
    return idempotent(this.idempotency, viewer, 'faqEntryReject', input, () => this.faq.reject(viewer!, input))
  }

  @Authorized(Scope.FAQ_WRITE)
  @Mutation(() => FaqEntryPayload, { description: 'Takes an entry out of service. Scope: faq:write.' })
  faqEntryRetire(@Arg('input', () => FaqEntryActionInput) input: FaqEntryActionInput, @Ctx() { viewer }: Context) {
    if (input.dryRun) return payload(async () => ({ preview: (await this.faq.rehearse(faq => faq.retire(input))).entry }))
    return idempotent(this.idempotency, viewer, 'faqEntryRetire', input, () => this.faq.retire(input))
  }

  @Authorized(Scope.FAQ_WRITE)
  @Query(() => FaqTicketConnection, { description: 'Customers who wait for a person, newest first. Scope: faq:write.' })
  faqTickets(@Args(() => FaqTicketsArgs) args: FaqTicketsArgs) {
    return this.faq.tickets(args)
  }

  @Authorized(Scope.FAQ_WRITE)
  @Mutation(() => FaqTicketPayload, { description: 'The customer has been answered. Scope: faq:write.' })
  faqTicketClose(@Arg('input', () => FaqTicketCloseInput) input: FaqTicketCloseInput, @Ctx() { viewer }: Context) {
    if (input.dryRun) return payload(async () => ({ preview: (await this.faq.rehearse(faq => faq.closeTicket(viewer!, input))).ticket }))
    return idempotent(this.idempotency, viewer, 'faqTicketClose', input, () => this.faq.closeTicket(viewer!, input))
  }

  @Authorized(Scope.FAQ_WRITE)
  @FieldResolver(() => FaqEntryHistory, { nullable: true, description: 'Versions and approval. Scope: faq:write.' })
  history(@Root() { key }: FaqEntryType, @Ctx() context: Context) {
    return this.faq.history(context, key)
  }
}
