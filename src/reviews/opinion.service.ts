import type { Keyword } from '../algorithms/text/keywords.js'
import { expectations, type MentionCounts, type OpinionOptions, type OpinionSpike } from '../algorithms/text/opinion.js'
import { causesOf } from '../algorithms/text/opinion-causes.js'
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
import type {
  AlertRow,
  Bucket,
  BucketRow,
  KnownAlert,
  NewAlert,
  OpinionRepository,
  PostSpan,
  Proposal,
  Series,
  Subject,
  SubjectKind,
} from './opinion.repository.js'
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
const CAUSE_POSTS = 2_000
/** Series that a thread looks at in one go, and spikes whose texts are held at a time: more only where they overlap. */
const SERIES = 200
const SPIKES = 10
const MOST_SPIKES = 60
const BREADTH: Record<SubjectKind, number> = { product: 0, brand: 1, category: 2, shop: 3 }
const SAMPLES = 5
const TERMS = 8
const QUALITY_DAYS = 90
const OPEN: readonly Proposal['state'][] = ['PROPOSED', 'FAILED']
/** Longer than any action takes: a statement has a minute, the webhook five seconds. */
const INTERRUPTED_AFTER_MS = 2 * 60_000

/**
 * What a confirmed proposal does; app.ts hands in those whose part of the platform is there. Each returns a sentence, and does once what it is asked with one `key`: what a crash interrupted is
 * asked again.
 */
export interface OpinionPorts {
  pauseAds?(productId: number, key: string): Promise<string>
  demote?(productId: number, by: string, key: string): Promise<string>
  draftFaqEntry?(question: string, key: string): Promise<string>
  notify?(alert: AlertRow, key: string): Promise<string>
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

  /** The same rules, with no effect. */
  rehearse<T>(work: (dry: OpinionService) => Promise<T>): Promise<T> {
    return this.parts.repository.rehearse(repository => work(new OpinionService({ ...this.parts, repository })))
  }

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

  /**
   * Looks at everything that is talked about, by a number of statements that does not grow with it. Finds the same alerts again when it runs twice, and tells of each cause once, whatever
   * subjects it makes stand out.
   */
  async watch(signal?: AbortSignal): Promise<{ subjects: number; alerts: number }> {
    const { repository } = this.parts
    const now = this.now()
    const since = (bucket: Bucket, steps: number) =>
      [new Date(now.getTime() - steps * STEP_MS[bucket]), new Date(now.getTime() + 1)] as const
    const days = await repository.series('day', since('day', HISTORY_STEPS.day), { fewest: FEWEST_MENTIONS, limit: MOST_SUBJECTS })
    const recently = Math.ceil((now.getTime() - RECENT_DAYS * STEP_MS.day) / STEP_MS.day)
    const isLoud = ({ steps, total }: Series) =>
      total.reduce((sum, count, at) => sum + (steps[at] >= recently ? count : 0), 0) / RECENT_DAYS >= HOURLY_FROM
    const loud = days.filter(isLoud)
    const hours =
      loud.length > 0
        ? await repository.series('hour', since('hour', HISTORY_STEPS.hour), { fewest: 1, limit: MOST_SUBJECTS, only: loud })
        : []
    const spikes = [
      ...(await this.spikes(
        days.filter(series => !loud.includes(series)),
        'day',
        now,
        signal,
      )),
      ...(await this.spikes(hours, 'hour', now, signal)),
    ]
    return { subjects: days.length, alerts: await this.tell(spikes, signal) }
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

  /**
   * Does what an alert proposes, once; or notes that it is not to be done. What failed may be confirmed again, and so may what was begun and never ended: `finishInterrupted` does that too.
   */
  async decide(viewer: Pick<Viewer, 'name'>, input: OpinionActionInput): Promise<{ alert: OpinionAlertType }> {
    const { claimed, decided, run } = await this.claim(viewer, input)
    return { alert: OpinionAlertType.of(run && !input.dryRun ? await this.done(claimed, decided, run) : claimed) }
  }

  private async claim(viewer: Pick<Viewer, 'name'>, { alertId, action, confirm }: OpinionActionInput) {
    const row = await this.alert(alertId)
    const proposal = row.proposals.find(each => each.action === action)
    if (!proposal)
      throw new InvalidInput(
        `This alert does not propose ${action}; it proposes ${row.proposals.map(each => each.action).join(', ')}`,
        {},
        ['action'],
      )
    const run = confirm ? this.actionOf(action, row) : undefined
    const decided: Proposal = { action, state: run ? 'RUNNING' : 'DISMISSED', by: viewer.name, at: this.now().toISOString() }
    // Claimed before it is done, so that of two people who press at once one acts.
    const claimed = await this.parts.repository.decide(row.id, decided, this.staleBefore(), run ? [...OPEN, 'RUNNING'] : OPEN)
    if (!claimed) throw await this.refusal(row.id, action)
    return { claimed, decided, run }
  }

  /** Actions that were begun by a process that is no more are done to their end; returns how many. */
  async finishInterrupted(signal?: AbortSignal): Promise<number> {
    const { repository } = this.parts
    let finished = 0
    for (const row of await repository.interrupted(this.staleBefore())) {
      for (const { action, state, by } of row.proposals) {
        if (state !== 'RUNNING') continue
        signal?.throwIfAborted()
        const again: Proposal = { action, state, by, at: this.now().toISOString() }
        const claimed = await repository.decide(row.id, again, this.staleBefore(), ['RUNNING'])
        if (!claimed) continue
        await this.done(claimed, again, async (by, key) => this.actionOf(action as OpinionAction, row)(by, key))
        finished++
      }
    }
    return finished
  }

  private async done(row: AlertRow, claim: Proposal, run: Run): Promise<AlertRow> {
    const outcome = await run(claim.by ?? '', `${row.id}:${claim.action}`).then(
      (note): Proposal => ({ ...claim, state: 'DONE', note }),
      (error): Proposal => ({ ...claim, state: 'FAILED', note: messageOf(error) }),
    )
    return (await this.parts.repository.end(row.id, claim, { ...outcome, at: this.now().toISOString() })) ?? row
  }

  private async refusal(id: string, action: string): Promise<Conflict> {
    const { state, at, by } = (await this.parts.repository.get(id))?.proposals.find(each => each.action === action) ?? {}
    const sentence = state === 'RUNNING' ? `${by} confirmed ${action} at ${at}, and it is being done` : `${action} is ${state} already`
    return new Conflict(sentence, 'ILLEGAL_TRANSITION', {}, ['action'])
  }

  private actionOf(action: OpinionAction, row: AlertRow): Run {
    const { pauseAds, demote, draftFaqEntry, notify } = this.parts.ports
    const { productId } = row
    const missing = (what: string) => new Unavailable(`${what}; the proposal stays open`)
    if (action === OpinionAction.NOTIFY) {
      if (!notify) throw missing('No webhook is configured: set BELLWETHER_ALERT_WEBHOOK and BELLWETHER_WEBHOOK_SECRET')
      return (_, key) => notify(row, key)
    }
    if (action === OpinionAction.FAQ_ENTRY) {
      if (!draftFaqEntry) throw missing('There is no FAQ here')
      return (_, key) => draftFaqEntry(`${row.terms.slice(0, 3).join(', ') || 'What is the matter'} (${row.subject})?`, key)
    }
    if (productId === null) throw missing(`${action} cannot be done here`)
    if (action === OpinionAction.PAUSE_ADS && pauseAds) return (_, key) => pauseAds(productId, key)
    if (action === OpinionAction.DEMOTE && demote) return (by, key) => demote(productId, by, key)
    throw missing(`${action} cannot be done here`)
  }

  /** What has been running since before that has no process that does it. */
  private staleBefore(): Date {
    return new Date(this.now().getTime() - INTERRUPTED_AFTER_MS)
  }

  /** Spikes of the watched time, found in a thread. */
  private async spikes(all: readonly Series[], bucket: Bucket, now: Date, signal?: AbortSignal): Promise<Spike[]> {
    const step = STEP_MS[bucket]
    const last = Math.floor(now.getTime() / step)
    const first = last - HISTORY_STEPS[bucket] + 1
    const found: Spike[] = []
    for (const part of partsOf(all, SERIES)) {
      const begins = part.map(({ steps }) => Math.max(first, steps[0] ?? first))
      const series = part.map(
        (each, at): MentionCounts => ({ ...evenSteps(each, begins[at], last - begins[at] + 1), period: PERIOD[bucket] }),
      )
      const { result } = await this.parts.pool.run<OpinionSpike[][]>(
        { family: 'text', function: 'findSpikes', args: [{ series, options: OPTIONS[bucket] }] },
        signal,
      )
      result.forEach((spikes, at) => {
        for (const spike of spikes) {
          const { kind: subjectKind, key } = part[at]
          const startedAt = new Date((begins[at] + spike.start) * step)
          const endedAt = new Date((begins[at] + spike.end) * step)
          found.push({ ...spike, subject: { kind: subjectKind, key }, startedAt, endedAt, until: new Date(endedAt.getTime() + step) })
        }
      })
    }
    return found
  }

  /** Keeps alerts of the causes that nobody was told of yet; returns how many. */
  private async tell(spikes: readonly Spike[], signal?: AbortSignal): Promise<number> {
    if (spikes.length === 0) return 0
    const named = await this.named(spikes)
    const since = new Date(Math.min(...spikes.map(({ startedAt }) => startedAt.getTime())))
    const told = new Map<string, KnownAlert[]>()
    for (const alert of await this.parts.repository.known([...new Set(named.map(({ title }) => title))], since))
      for (const subject of alert.subjects) told.set(subject, [...(told.get(subject) ?? []), alert])
    for (const spike of named)
      spike.known = told
        .get(spike.title)
        ?.filter(alert => alert.startedAt < spike.until && endOf(alert, spike.title) >= spike.startedAt)
        .reduce<KnownAlert | undefined>(
          (last, each) => (last && endOf(last, spike.title) >= endOf(each, spike.title) ? last : each),
          undefined,
        )
    let alerts = 0
    for (const together of overlapping(named)) {
      if (together.every(isTold)) continue
      signal?.throwIfAborted()
      alerts += await this.tellOf(together)
    }
    return alerts
  }

  /** Of spikes that may be of one cause, those that stand for a cause become alerts, or make a known one longer. */
  private async tellOf(spikes: readonly NamedSpike[]): Promise<number> {
    const { repository, pool } = this.parts
    const spans = spikes.map(spanOf)
    const posts = spikes.length > 1 ? await repository.posts(spans, CAUSE_POSTS) : [{ count: 1, ids: [] }]
    const causes = causesOf(
      spikes.map((spike, at) => ({
        breadth: BREADTH[spike.subject.kind],
        from: spike.startedAt.getTime(),
        to: spike.until.getTime(),
        severity: spike.severity,
        excess: spike.excess,
        expected: spike.expected,
        count: posts[at].count,
        posts: new Set(posts[at].ids),
        isTold: isTold(spike) || spike.known?.subject === spike.title,
      })),
    )
    const alike = spikes.map((_, at) => spikes.filter((_, other) => causes[other] === at))
    for (const [at, { known }] of spikes.entries()) {
      const more = alike[at].filter(each => each !== spikes[at] && !isTold(each))
      if (!known || more.length === 0) continue
      const productId = more.map(({ subject }) => productOf(subject)).find(id => id !== null) ?? null
      await repository.join(known.id, toldOf(more), productId, proposalsOf(PRODUCT_ACTIONS))
    }
    const heads = spikes.filter((spike, at) => causes[at] === at && !isTold(spike))
    const now = await repository.texts(heads.map(spanOf), NOW_TEXTS)
    const before = await this.textsBefore(heads)
    const alerts: NewAlert[] = []
    for (const [at, spike] of heads.entries()) {
      const { result } = await pool.run<Keyword[]>({
        family: 'text',
        function: 'drivingTerms',
        args: [now[at].map(({ text }) => text), before[at], TERMS],
      })
      const { subject, known } = spike
      const isLonger = known?.subject === spike.title
      const toldUntil = toldOf([spike, ...alike[spikes.indexOf(spike)]])
      alerts.push({
        id: v7(),
        subject: spike.title,
        subjects: Object.keys(toldUntil),
        toldUntil,
        productId: productOf(subject),
        category: subject.kind === 'category' ? subject.key : null,
        brand: subject.kind === 'brand' ? subject.key : null,
        kind: spike.kind,
        startedAt: isLonger ? known.startedAt : spike.startedAt,
        endedAt: spike.endedAt,
        severity: spike.severity,
        observed: spike.observed,
        expected: spike.expected,
        terms: result.map(({ word }) => word),
        sampleIds: now[at].slice(0, SAMPLES).map(({ id }) => id),
        proposals: proposalsOf(productOf(subject) === null ? ACTIONS : [...PRODUCT_ACTIONS, ...ACTIONS]),
      })
    }
    return (await repository.keep(alerts)).length
  }

  /** What was said of each subject before; of a new one, what was said of everything. */
  private async textsBefore(spikes: readonly NamedSpike[]): Promise<string[][]> {
    const spans = spikes.map(
      ({ subject, startedAt }): PostSpan => ({
        ...subject,
        from: new Date(startedAt.getTime() - RECENT_DAYS * STEP_MS.day),
        to: startedAt,
        onlyNegative: false,
      }),
    )
    const own = await this.parts.repository.texts(spans, BEFORE_TEXTS)
    const isNew = own.map(texts => texts.length < FEWEST_MENTIONS)
    const everything = await this.parts.repository.texts(
      spans.filter((_, at) => isNew[at]).map(span => ({ ...span, kind: 'shop' as const, key: '' })),
      BEFORE_TEXTS,
    )
    return own.map((texts, at) => (isNew[at] ? (everything.shift() ?? []) : texts).map(({ text }) => text))
  }

  private async named(spikes: readonly Spike[]): Promise<NamedSpike[]> {
    const products = await this.parts.catalogue.byIds([...new Set(spikes.flatMap(({ subject }) => productOf(subject) ?? []))])
    return spikes.map(spike => {
      const { kind, key } = spike.subject
      const title = kind === 'shop' ? 'shop' : `${kind}: ${kind === 'product' ? (products.get(Number(key))?.externalId ?? key) : key}`
      return { ...spike, title, known: undefined }
    })
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

/** Does an action in the name of somebody, once a key; returns a sentence. */
type Run = (by: string, key: string) => Promise<string>

interface Spike extends OpinionSpike {
  subject: Subject
  startedAt: Date
  /** Beginning of the last step, and its end. */
  endedAt: Date
  until: Date
}

interface NamedSpike extends Spike {
  title: string
  /** The alert that tells of it, perhaps not of all of it. */
  known: KnownAlert | undefined
}

const ACTIONS = [OpinionAction.FAQ_ENTRY, OpinionAction.NOTIFY]
const PRODUCT_ACTIONS = [OpinionAction.PAUSE_ADS, OpinionAction.DEMOTE]

function proposalsOf(actions: readonly OpinionAction[]): Proposal[] {
  return actions.map(action => ({ action, state: 'PROPOSED' }))
}

function isTold({ known, title, endedAt }: NamedSpike): boolean {
  return known !== undefined && endOf(known, title) >= endedAt
}

function endOf({ toldUntil }: KnownAlert, title: string): Date {
  return new Date(toldUntil[title] ?? 0)
}

function toldOf(spikes: readonly NamedSpike[]): Record<string, string> {
  const ends: Record<string, string> = {}
  for (const { title, endedAt } of spikes) ends[title] = [ends[title] ?? '', endedAt.toISOString()].sort()[1]
  return ends
}

function productOf({ kind, key }: Subject): number | null {
  return kind === 'product' ? Number(key) : null
}

function spanOf({ subject, startedAt, until, kind }: Spike): PostSpan {
  return { ...subject, from: startedAt, to: until, onlyNegative: kind !== 'volume' }
}

/** Spikes that may be of one cause stand together: those that overlap in time. Others fill up the part, so that few statements ask for many. */
function* overlapping(spikes: readonly NamedSpike[]): Generator<NamedSpike[]> {
  let part: NamedSpike[] = []
  let until = 0
  for (const spike of [...spikes].sort((a, b) => a.startedAt.getTime() - b.startedAt.getTime() || a.observed - b.observed)) {
    const isApart = spike.startedAt.getTime() >= until
    if (part.length >= MOST_SPIKES || (isApart && part.length >= SPIKES)) {
      yield part
      part = []
    }
    part.push(spike)
    until = Math.max(until, spike.until.getTime())
  }
  if (part.length > 0) yield part
}

function* partsOf<T>(all: readonly T[], size: number): Generator<T[]> {
  for (let from = 0; from < all.length; from += size) yield all.slice(from, from + size)
}

/** Equal steps from `first`; steps without mentions are 0. */
function evenSteps({ steps, total, negative }: Series, first: number, count: number): { total: Int32Array; negative: Int32Array } {
  const even = { total: new Int32Array(count), negative: new Int32Array(count) }
  steps.forEach((step, place) => {
    if (step < first || step >= first + count) return
    even.total[step - first] = total[place]
    even.negative[step - first] = negative[place]
  })
  return even
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
