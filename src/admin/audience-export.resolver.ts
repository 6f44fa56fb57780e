import { Arg, Authorized, Ctx, Field, ID, InputType, Int, Mutation, Resolver, registerEnumType } from 'type-graphql'
import { Scope, type Viewer } from '../graphql/auth.js'
import type { Context } from '../graphql/context.js'
import { type IdempotencyStore, idempotent } from '../graphql/idempotency.js'
import { JobPayload, JobType } from '../graphql/job.js'
import { payload } from '../graphql/payload.js'
import { AudienceExportFormat, Purpose } from '../platform/generated/prisma/enums.js'
import type { JobRow } from '../platform/job-store.js'

registerEnumType(AudienceExportFormat, {
  name: 'AudienceExportFormat',
  description: 'CSV has plain values; the upload formats of the ad platforms are normalised and hashed with SHA-256',
})

@InputType()
export class AudienceExportInput {
  @Field(() => ID)
  audienceId!: string

  @Field(() => AudienceExportFormat, { defaultValue: AudienceExportFormat.CSV })
  format!: AudienceExportFormat

  @Field(() => Purpose, { defaultValue: Purpose.ADS, description: 'What it is for: only who consented to that now is in it' })
  purpose!: Purpose

  @Field(() => String, { nullable: true, description: 'Posts the rows there in signed pages instead of writing a file; https only' })
  webhookUrl?: string | null

  @Field(() => Int, { nullable: true, description: 'Members a page, 1 to 10000; of webhooks 1000 unless given' })
  pageSize?: number | null

  @Field(() => String, { nullable: true })
  idempotencyKey?: string | null

  @Field(() => Boolean, { defaultValue: false, description: 'Check and count, export nothing' })
  dryRun!: boolean
}

type Request = Pick<AudienceExportInput, 'audienceId' | 'format' | 'purpose' | 'webhookUrl' | 'pageSize'>

/** Given by the audiences, which do not know what a job looks like from outside. */
export interface ExportPort {
  preview(viewer: Viewer | undefined, request: Request): Promise<object>
  start(viewer: Viewer | undefined, request: Request): Promise<JobRow>
}

@Resolver()
export class AudienceExportResolver {
  constructor(
    private readonly exports: ExportPort,
    private readonly idempotency: IdempotencyStore,
  ) {}

  @Authorized(Scope.SEGMENTS_READ)
  @Mutation(() => JobPayload, {
    description:
      'Exports the members to a file (path in the result of the job, GET with the key, Range for the rest of a download) or a webhook. A dry run answers with preview: rows, withoutEmail, withoutPhone, withoutIdentifier, withoutConsent, suppressed. A CSV also asks for pii:read. Scope: segments:read.',
  })
  audienceExport(@Arg('input', () => AudienceExportInput) input: AudienceExportInput, @Ctx() { viewer }: Context) {
    if (input.dryRun) return payload(async () => ({ preview: await this.exports.preview(viewer, input) }))
    return idempotent(this.idempotency, viewer, 'audienceExport', input, async () => ({
      job: JobType.of(await this.exports.start(viewer, input)),
    }))
  }
}
