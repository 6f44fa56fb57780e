import type { Keyword } from '../algorithms/text/keywords.js'
import { detectSpikes, expectations, type OpinionOptions, type OpinionSpike } from '../algorithms/text/opinion.js'
import type { CatalogueService } from '../catalogue/catalogue.service.js'
import type { Viewer } from '../graphql/auth.js'
import { type Connection, pageOf } from '../graphql/connection.js'
import { timeOf } from '../graphql/cursor.js'
import { decodeId, decodeIntId } from '../graphql/node-id.js'
import { Conflict, InvalidInput, messageOf, NotFound, Unavailable } from '../platform/errors.js'
import type { Pool } from '../platform/pool.js'
import { cleanOptionalText } from '../platform/text-input.js'
import { v7 } from '../platform/uuid.js'
import { shareScore } from './estimates.js'
import type { AlertRow, Bucket, BucketRow, NewAlert, OpinionRepository, Proposal, Subject } from './opinion.repository.js'
import {
  type OpinionAcknowledgeInput,
  OpinionAction,
  type OpinionActionInput,
  OpinionAlertType,
  type OpinionPoint,
  type OpinionQuality,
  type OpinionTimelineArgs,
} from './opinion.schema.js'

const HOUR_MS = 3_600_000
const STEP_MS: Record<Bucket, number> = { hour: HOUR_MS, day: 24 * HOUR_MS }
const PERIOD: Record<Bucket, number> = { hour: 168, day: 7 }
/** How far back a watch looks, to learn what is usual. */
const HISTORY_STEPS: Record<Bucket, number> = { hour: 6 * 168, day: 400 }
/** By day, alerts of two days are one; a lasting crisis is told of again after three quiet days. Complaints are rare events there. */
const OPTIONS: Record<Bucket, OpinionOptions> = {
  hour: {},
  day: { fewest: 3, mergeWithin: 1, quiet: 3, rareLimit: 2.7, warmUp: 28 },
}
/** From so many mentions a day on, hours are watched. */
const HOURLY_FROM = 96
const FEWEST_MENTIONS = 20
const RECENT_DAYS = 28
const MOST_SUBJECTS = 2_000
const MOST_POINTS = 2_000
const NOW_TEXTS = 300
const BEFORE_TEXTS = 1_000
const SAMPLES = 5
const TERMS = 8
const QUALITY_DAYS = 90

/** What a confirmed proposal does; app.ts hands in those whose part of the platform is there. Each returns a sentence. */
export interface OpinionPorts {
  pauseAds?(productId: number): Promise<string>
  demote?(productId: number, by: string): Promise<string>
  draftFaqEntry?(question: string, alert: AlertRow): Promise<string>
  notify?(alert: AlertRow): Promise<string>
}

export interface OpinionParts {
  repository: OpinionRepository
  catalogue: CatalogueService
  pool: Pool
  ports: OpinionPorts
  now?: () => Date
}

/** Watches what is said, against what is usual; tells people, and acts only when one of them confirms. */
export class OpinionService {
  constructor(private readonly parts: OpinionParts) {}

  async timeline({ productId, category, brand, from, to, bucket: asked }: OpinionTimelineArgs): Promise<OpinionPoint[]> {
    const bucket = bucketOf(asked ?? 'day')
    if ([productId, category, brand].filter(Boolean).length > 1)
      throw new InvalidInput('Give at most one of productId, category and brand', {}, ['productId'])
    const step = STEP_MS[bucket]
    const end = to ?? this.now()
    const start = from ?? new Date(end.getTime() - (bucket === 'hour' ? 14 : 90) * 24 * HOUR_MS)
    if (start >= end) throw new InvalidInput('from must lie before to', {}, ['from'])
    const first = Math.floor(start.getTime() / step)
    const points = Math.ceil(end.getTime() / step) - first
    if (points > MOST_POINTS) throw new InvalidInput(`At most ${MOST_POINTS} steps are given at a time, not ${points}`, {}, ['from'])
    const subject: Subject = productId
      ? { kind: 'product', key: String(decodeIntId('Product', productId, 'productId')) }
      : category
        ? { kind: 'category', key: cleanOptionalText(category, { field: ['category'], max: 200 }) as string }
        : brand
          ? { kind: 'brand', key: cleanOptionalText(brand, { field: ['brand'], max: 200 }) as string }
          : { kind: 'shop', key: '' }
    // What is usual is learned from the time before.
    const lead = 5 * PERIOD[bucket]
    const series = seriesOf(
      await this.rows(subject, bucket, (first - lead) * step, (first + points) * step),
      first - lead,
      points + lead,
      step,
    )
    const usual = expectations({ ...series, period: PERIOD[bucket] }, OPTIONS[bucket])
    return Array.from({ length: points }, (_, at) => {
      const { expected, low, high, negativeShare } = usual[at + lead]
      return { at: new Date((first + at) * step), mentions: series.total[at + lead], negativeShare, expected, low, high }
    })
  }

  /** Looks at everything that is talked about. Finds the same alerts again when it runs twice, and tells of each once. */
  async watch(signal?: AbortSignal): Promise<{ subjects: number; alerts: number }> {
    const now = this.now()
    const since = new Date(now.getTime() - RECENT_DAYS * STEP_MS.day)
    const subjects = await this.parts.repository.subjects(
      new Date(now.getTime() - HISTORY_STEPS.day * STEP_MS.day),
      FEWEST_MENTIONS,
      MOST_SUBJECTS,
    )
    let alerts = 0
    for (const subject of subjects) {
      signal?.throwIfAborted()
      const days = await this.rows(subject, 'day', now.getTime() - HISTORY_STEPS.day * STEP_MS.day, now.getTime() + 1)
      const recent = days.filter(({ at }) => at >= since).reduce((sum, { total }) => sum + total, 0)
      const bucket: Bucket = recent / RECENT_DAYS >= HOURLY_FROM ? 'hour' : 'day'
      const found = await this.spikes(subject, bucket, now, bucket === 'day' ? days : undefined)
      if (found.length > 0) alerts += (await this.parts.repository.keep(await this.alertsOf(subject, bucket, found))).length
    }
    return { subjects: subjects.length, alerts }
  }

  page({ first, after, open }: { first: number; after?: string; open?: boolean | null }): Promise<Connection<OpinionAlertType>> {
    return pageOf<AlertRow, OpinionAlertType>({
      first,
      after,
      fetch: (cursor, limit) => this.parts.repository.page(open ?? null, cursor && { startedAt: timeOf(cursor), id: cursor[1] }, limit),
      cursorOf: row => [row.startedAt.toISOString(), row.id],
      nodeOf: OpinionAlertType.of,
      count: () => this.parts.repository.count(open ?? null),
    })
  }

  async find(id: string): Promise<OpinionAlertType | null> {
    const row = await this.parts.repository.get(id)
    return row ? OpinionAlertType.of(row) : null
  }

  async quality(): Promise<OpinionQuality> {
    const { alerts, judged, falseAlarms } = await this.parts.repository.judged(new Date(this.now().getTime() - QUALITY_DAYS * STEP_MS.day))
    return { alerts, falseAlarms: shareScore(falseAlarms, judged) }
  }

  async acknowledge(
    viewer: Pick<Viewer, 'name'>,
    { alertId, isFalseAlarm }: OpinionAcknowledgeInput,
  ): Promise<{ alert: OpinionAlertType }> {
    const row = await this.alert(alertId)
    const changed = await this.parts.repository.acknowledge(row.id, viewer.name, isFalseAlarm ?? null, this.now())
    if (!changed)
      throw new Conflict(`${row.acknowledgedBy ?? 'Somebody'} has acknowledged this alert already`, 'ILLEGAL_TRANSITION', {}, ['alertId'])
    return { alert: OpinionAlertType.of(changed) }
  }

  /** Does what an alert proposes, once; or notes that it is not to be done. What failed may be confirmed again. */
  async decide(viewer: Pick<Viewer, 'name'>, { alertId, action, confirm }: OpinionActionInput): Promise<{ alert: OpinionAlertType }> {
    const row = await this.alert(alertId)
    const proposal = row.proposals.find(each => each.action === action)
    if (!proposal)
      throw new InvalidInput(
        `This alert does not propose ${action}; it proposes ${row.proposals.map(each => each.action).join(', ')}`,
        {},
        ['action'],
      )
    const by = { by: viewer.name, at: this.now().toISOString() }
    const open = ['PROPOSED', 'FAILED']
    const run = confirm ? this.actionOf(action, row, viewer.name) : undefined
    const decided: Proposal = { action, state: confirm ? 'DONE' : 'DISMISSED', ...by }
    // Claimed before it is done, so that of two people who press at once one acts.
    const claimed = await this.parts.repository.decide(row.id, action, open, decided)
    if (!claimed) throw new Conflict(`${action} is ${proposal.state} already`, 'ILLEGAL_TRANSITION', {}, ['action'])
    if (!run) return { alert: OpinionAlertType.of(claimed) }
    const outcome = await run().then(
      (note): Proposal => ({ ...decided, note }),
      (error): Proposal => ({ ...decided, state: 'FAILED', note: messageOf(error) }),
    )
    const told = await this.parts.repository.decide(row.id, action, ['DONE'], outcome)
    return { alert: OpinionAlertType.of(told ?? claimed) }
  }

  private actionOf(action: OpinionAction, row: AlertRow, by: string): () => Promise<string> {
    const { pauseAds, demote, draftFaqEntry, notify } = this.parts.ports
    const { productId } = row
    const missing = (what: string) => new Unavailable(`${what}; the proposal stays open`)
    if (action === OpinionAction.NOTIFY) {
      if (!notify) throw missing('No webhook is configured: set BELLWETHER_ALERT_WEBHOOK and BELLWETHER_WEBHOOK_SECRET')
      return () => notify(row)
    }
    if (action === OpinionAction.FAQ_ENTRY) {
      if (!draftFaqEntry) throw missing('There is no FAQ here')
      return () => draftFaqEntry(`${row.terms.slice(0, 3).join(', ') || 'What is the matter'} (${row.subject})?`, row)
    }
    const port = action === OpinionAction.PAUSE_ADS ? pauseAds : demote
    if (!port || productId === null) throw missing(`${action} cannot be done here`)
    return () => port(productId, by)
  }

  /** Spikes of the watched time that no alert tells of yet. */
  private async spikes(subject: Subject, bucket: Bucket, now: Date, known?: BucketRow[]): Promise<Spike[]> {
    const step = STEP_MS[bucket]
    const last = Math.floor(now.getTime() / step)
    const first = last - HISTORY_STEPS[bucket] + 1
    const rows = known ?? (await this.rows(subject, bucket, first * step, now.getTime() + 1))
    const begin = Math.max(first, rows.length > 0 ? Math.floor(rows[0].at.getTime() / step) : first)
    const series = seriesOf(rows, begin, last - begin + 1, step)
    return detectSpikes({ ...series, period: PERIOD[bucket] }, OPTIONS[bucket]).map(spike => ({
      ...spike,
      startedAt: new Date((begin + spike.start) * step),
      endedAt: new Date((begin + spike.end) * step),
    }))
  }

  private async alertsOf(subject: Subject, bucket: Bucket, spikes: readonly Spike[]): Promise<NewAlert[]> {
    const { repository, pool, catalogue } = this.parts
    const title = await this.titleOf(subject, catalogue)
    const told = new Set(
      (await repository.known(title, spikes[0].startedAt)).map(each => `${each.startedAt.getTime()} ${each.endedAt.getTime()}`),
    )
    const alerts: NewAlert[] = []
    for (const spike of spikes) {
      if (told.has(`${spike.startedAt.getTime()} ${spike.endedAt.getTime()}`)) continue
      const end = new Date(spike.endedAt.getTime() + STEP_MS[bucket])
      const onlyNegative = spike.kind !== 'volume'
      const now = await repository.texts(subject, spike.startedAt, end, onlyNegative, NOW_TEXTS)
      const before = await this.textsBefore(subject, spike.startedAt)
      const { result } = await pool.run<Keyword[]>({
        family: 'text',
        function: 'drivingTerms',
        args: [now.map(({ text }) => text), before.map(({ text }) => text), TERMS],
      })
      const productId = subject.kind === 'product' ? Number(subject.key) : null
      alerts.push({
        id: v7(),
        subject: title,
        productId,
        category: subject.kind === 'category' ? subject.key : null,
        brand: subject.kind === 'brand' ? subject.key : null,
        kind: spike.kind,
        startedAt: spike.startedAt,
        endedAt: spike.endedAt,
        severity: spike.severity,
        observed: spike.observed,
        expected: spike.expected,
        terms: result.map(({ word }) => word),
        sampleIds: now.slice(0, SAMPLES).map(({ id }) => id),
        proposals: actionsOf(productId).map(action => ({ action, state: 'PROPOSED' })),
      })
    }
    return alerts
  }

  /** What was said of the subject before; of a new one, what was said of everything. */
  private async textsBefore(subject: Subject, end: Date) {
    const start = new Date(end.getTime() - RECENT_DAYS * STEP_MS.day)
    const own = await this.parts.repository.texts(subject, start, end, false, BEFORE_TEXTS)
    return own.length >= FEWEST_MENTIONS ? own : this.parts.repository.texts({ kind: 'shop', key: '' }, start, end, false, BEFORE_TEXTS)
  }

  private async titleOf({ kind, key }: Subject, catalogue: CatalogueService): Promise<string> {
    if (kind === 'shop') return 'shop'
    if (kind !== 'product') return `${kind}: ${key}`
    return `product: ${(await catalogue.byIds([Number(key)])).get(Number(key))?.externalId ?? key}`
  }

  private rows(subject: Subject, bucket: Bucket, from: number, to: number): Promise<BucketRow[]> {
    return this.parts.repository.buckets(subject, bucket, new Date(from), new Date(to))
  }

  private async alert(alertId: string): Promise<AlertRow> {
    const row = await this.parts.repository.get(decodeId('OpinionAlert', alertId, 'alertId'))
    if (!row) throw new NotFound('No alert has this id', {}, ['alertId'])
    return row
  }

  private now(): Date {
    return this.parts.now?.() ?? new Date()
  }
}

interface Spike extends OpinionSpike {
  startedAt: Date
  endedAt: Date
}

function actionsOf(productId: number | null): OpinionAction[] {
  const always = [OpinionAction.FAQ_ENTRY, OpinionAction.NOTIFY]
  return productId === null ? always : [OpinionAction.PAUSE_ADS, OpinionAction.DEMOTE, ...always]
}

/** Equal steps from `first` (in steps since the epoch); steps without mentions are 0. */
function seriesOf(rows: readonly BucketRow[], first: number, steps: number, step: number): { total: Int32Array; negative: Int32Array } {
  const [total, negative] = [new Int32Array(steps), new Int32Array(steps)]
  for (const row of rows) {
    const at = Math.floor(row.at.getTime() / step) - first
    if (at < 0 || at >= steps) continue
    total[at] = row.total
    negative[at] = row.negative
  }
  return { total, negative }
}

function bucketOf(text: string): Bucket {
  if (text === 'hour' || text === 'day') return text
  throw new InvalidInput(`bucket must be day or hour, not ${JSON.stringify(text.slice(0, 40))}`, {}, ['bucket'])
}
