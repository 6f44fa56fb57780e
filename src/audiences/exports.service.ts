import { requireScope, Scope, type Viewer } from '../graphql/auth.js'
import { decodeId } from '../graphql/node-id.js'
import { Conflict, InvalidInput, NotFound, Unavailable } from '../platform/errors.js'
import type { AudienceExportFormat, Purpose } from '../platform/generated/prisma/enums.js'
import type { JobRow } from '../platform/job-store.js'
import type { JobContext } from '../platform/jobs.js'
import { v7 } from '../platform/uuid.js'
import { checkWebhookUrl, postSigned } from '../platform/webhook.js'
import type { AudienceRow, AudiencesRepository } from './audiences.repository.js'
import { csvLine, EXPORT_FORMATS, emailOf, phoneOf } from './export-formats.js'
import type { ExportCounts, ExportMember, ExportRow, ExportsRepository } from './exports.repository.js'

export interface AudienceExportRequest {
  audienceId: string
  format: AudienceExportFormat
  purpose: Purpose
  webhookUrl?: string | null
  pageSize?: number | null
}

export interface ExportParts {
  exports: ExportsRepository
  audiences: AudiencesRepository
  webhookSecret?: string
  webhookPrivate: boolean
  /** Lets a job write this export. */
  start(exportId: string, createdBy: string): Promise<JobRow>
  /** Wait before a page is sent again; doubles with every try. */
  backoffMs?: number
}

const FILE_PAGE = 10_000
const WEBHOOK_PAGE = 1_000
const LARGEST_PAGE = 10_000
/** Short enough that other requests are answered between two. */
const PREVIEW_PAGE = 2_000
const KEPT_MS = 72 * 3_600_000
const WEBHOOK_TRIES = 6
const BACKOFF_MS = 250
const NOTHING: ExportCounts = { rows: 0, withoutEmail: 0, withoutPhone: 0, withoutIdentifier: 0, withoutConsent: 0, suppressed: 0 }

/** Brings audiences out, to a file or a webhook, without those who did not consent; goes on after a crash where it stopped. */
export class ExportsService {
  constructor(
    private readonly parts: ExportParts,
    private readonly now: () => Date = () => new Date(),
  ) {}

  /** What the export would hold: every member is judged by the code that writes the file, a page at a time. */
  async preview(viewer: Viewer | undefined, request: AudienceExportRequest): Promise<ExportCounts> {
    const { audience } = await this.check(viewer, request)
    const { format, purpose } = request
    let counts: ExportCounts = NOTHING
    for (let lastUserId = 0; ; ) {
      const members = await this.parts.exports.members({ audienceId: audience.id, purpose, lastUserId, pageSize: PREVIEW_PAGE })
      counts = rowsOf({ format, counts }, members).counts
      const last = members.at(-1)
      if (!last || members.length < PREVIEW_PAGE) return counts
      lastUserId = last.userId
    }
  }

  async start(viewer: Viewer | undefined, request: AudienceExportRequest): Promise<JobRow> {
    const { audience, webhookUrl, pageSize } = await this.check(viewer, request)
    const id = v7()
    const createdBy = viewer?.name ?? 'unknown'
    await this.parts.exports.create({
      id,
      audienceId: audience.id,
      builtAt: audience.builtAt as Date,
      format: request.format,
      purpose: request.purpose,
      webhookUrl,
      pageSize,
      createdBy,
      expiresAt: new Date(this.now().getTime() + KEPT_MS),
    })
    return this.parts.start(id, createdBy)
  }

  /** The job. A page counts as delivered when the receiver has said 2xx and that is committed here; after a kill between the two it is sent once more. */
  async run(
    exportId: string,
    { signal, progress, hold }: Pick<JobContext, 'signal' | 'progress' | 'hold'>,
  ): Promise<{ message: string; result: Record<string, unknown> }> {
    let row = await this.parts.exports.get(exportId)
    if (!row) throw new NotFound('This export is gone')
    const total = await this.parts.exports.total(row.audienceId)
    let seen = Object.entries({ ...NOTHING, ...row.counts }).reduce((sum, [name, count]) => (PARTITION.has(name) ? sum + count : sum), 0)
    while (!row.finishedAt) {
      signal.throwIfAborted()
      const members = await this.parts.exports.members(row)
      const audience = await this.unchanged(row)
      const { lines, counts } = rowsOf(row, members)
      const isLast = members.length < row.pageSize
      if (row.webhookUrl) await this.deliver(row, audience, lines, isLast, signal)
      const header = row.pages === 0 ? csvLine(EXPORT_FORMATS[row.format].columns) : ''
      row = await this.parts.exports.advance(
        row,
        {
          lastUserId: members.at(-1)?.userId ?? row.lastUserId,
          counts,
          data: row.webhookUrl ? undefined : Buffer.from(header + lines.map(csvLine).join('')),
          finishedAt: isLast ? this.now() : null,
        },
        hold,
      )
      seen += members.length
      await progress(total > 0 ? Math.min(1, seen / total) : 1, `${seen} of ${total} members, page ${row.pages}`, { page: row.pages })
    }
    const { rows, withoutConsent, suppressed, withoutIdentifier } = { ...NOTHING, ...row.counts }
    return {
      message: `${rows} rows were ${row.webhookUrl ? `delivered in ${row.pages} pages` : 'written'}; left out: ${withoutConsent} without consent, ${suppressed} suppressed, ${withoutIdentifier} without anything to match`,
      result: {
        exportId,
        ...NOTHING,
        ...row.counts,
        pages: row.pages,
        ...(row.webhookUrl ? {} : { path: `/v1/exports/${exportId}`, bytes: Number(row.bytes), expiresAt: row.expiresAt.toISOString() }),
      },
    }
  }

  /** A finished file that the caller may have. */
  async file(viewer: Viewer, exportId: string): Promise<ExportRow> {
    const row = await this.parts.exports.get(exportId)
    if (!row || row.webhookUrl || row.expiresAt < this.now()) throw new NotFound('There is no such file; files are kept for 72 hours')
    if (EXPORT_FORMATS[row.format].isPlain) requireScope(viewer, Scope.PII_READ)
    if (!row.finishedAt) throw new Conflict('The file is still being written', 'ILLEGAL_TRANSITION', {}, ['exportId'])
    return row
  }

  bytes(exportId: string, from: number, to: number): AsyncGenerator<Buffer> {
    return this.parts.exports.bytes(exportId, from, to)
  }

  discardExpired(): Promise<number> {
    return this.parts.exports.discardExpired(this.now())
  }

  private async check(viewer: Viewer | undefined, { audienceId, format, webhookUrl, pageSize }: AudienceExportRequest) {
    requireScope(viewer, Scope.SEGMENTS_READ)
    if (EXPORT_FORMATS[format].isPlain) requireScope(viewer, Scope.PII_READ)
    const size = pageSize ?? (webhookUrl ? WEBHOOK_PAGE : FILE_PAGE)
    if (!Number.isInteger(size) || size < 1 || size > LARGEST_PAGE)
      throw new InvalidInput(`pageSize must be a whole number from 1 to ${LARGEST_PAGE}`, {}, ['pageSize'])
    const [audience] = await this.parts.audiences.byIds([decodeId('Audience', audienceId, 'audienceId')])
    if (!audience || audience.archivedAt) throw new NotFound('No audience has this id', {}, ['audienceId'])
    if (!audience.builtAt)
      throw new Conflict('The audience has no members yet: it was never built', 'ILLEGAL_TRANSITION', { status: audience.status }, [
        'audienceId',
      ])
    if (webhookUrl) {
      if (!this.parts.webhookSecret)
        throw new InvalidInput('Webhooks are off: set BELLWETHER_WEBHOOK_SECRET to sign them with', {}, ['webhookUrl'])
      checkWebhookUrl(webhookUrl, this.parts.webhookPrivate, ['webhookUrl'])
    }
    return { audience, webhookUrl: webhookUrl ?? null, pageSize: size }
  }

  /** Two foundings of an audience in one export would be neither. */
  private async unchanged(row: ExportRow): Promise<AudienceRow> {
    const [audience] = await this.parts.audiences.byIds([row.audienceId])
    if (!audience || audience.archivedAt) throw new InvalidInput('The audience was archived while it was exported')
    if (audience.builtAt?.getTime() !== row.builtAt.getTime())
      throw new InvalidInput('The members were found anew while they were exported: export the audience again')
    return audience
  }

  private async deliver(row: ExportRow, audience: AudienceRow, rows: string[][], isLast: boolean, signal: AbortSignal): Promise<void> {
    const body = JSON.stringify({
      type: 'audience.export',
      exportId: row.id,
      audience: { id: audience.id, name: audience.name },
      format: row.format,
      purpose: row.purpose,
      page: row.pages,
      isLast,
      columns: EXPORT_FORMATS[row.format].columns,
      rows,
    })
    const headers = { 'bellwether-delivery': `${row.id}/${row.pages}` }
    const webhook = { url: row.webhookUrl as string, secret: this.parts.webhookSecret ?? '', isPrivateAllowed: this.parts.webhookPrivate }
    for (let attempt = 1; ; attempt++) {
      try {
        return await postSigned(webhook, body, { headers, now: this.now(), signal })
      } catch (error) {
        if (!(error instanceof Unavailable) || attempt === WEBHOOK_TRIES || signal.aborted) throw error
        await waited((this.parts.backoffMs ?? BACKOFF_MS) * 2 ** (attempt - 1) * (0.75 + Math.random() / 2), signal)
      }
    }
  }
}

/** Every member counts under exactly one of these. */
const PARTITION = new Set(['rows', 'withoutIdentifier', 'withoutConsent', 'suppressed'])

function rowsOf(
  { format, counts }: Pick<ExportRow, 'format' | 'counts'>,
  members: readonly ExportMember[],
): { lines: string[][]; counts: ExportCounts } {
  const sum = { ...NOTHING, ...counts }
  const lines: string[][] = []
  for (const member of members) {
    if (member.isSuppressed) sum.suppressed++
    else if (!member.hasConsent) sum.withoutConsent++
    else {
      const line = EXPORT_FORMATS[format].rowOf(member)
      if (!line) {
        sum.withoutIdentifier++
        continue
      }
      sum.rows++
      if (!emailOf(member.email)) sum.withoutEmail++
      if (!phoneOf(member.phone, member.country)) sum.withoutPhone++
      lines.push(line)
    }
  }
  return { lines, counts: sum }
}

function waited(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise(done => {
    const end = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      done()
    }
    const timer = setTimeout(end, milliseconds)
    signal.addEventListener('abort', end)
  })
}
