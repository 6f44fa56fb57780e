import DataLoader from 'dataloader'
import { requireScope, Scope, type Viewer } from '../graphql/auth.js'
import { type Connection, pageOf } from '../graphql/connection.js'
import type { Context } from '../graphql/context.js'
import { intIdOf, timeOf } from '../graphql/cursor.js'
import { decodeId, decodeIntId, encodeId, tryDecodeId } from '../graphql/node-id.js'
import { Conflict, InvalidInput, messageOf, NotFound, refuseUnless } from '../platform/errors.js'
import type { Signals } from '../platform/signals.js'
import type { Stage } from '../platform/stages.js'
import { cleanOptionalText, cleanText } from '../platform/text-input.js'
import { cleanVersion } from '../platform/upsert.js'
import { v7 } from '../platform/uuid.js'
import type { ProfilesService } from '../profiles/profiles.service.js'
import type { UserType } from '../users/users.schema.js'
import type { UsersService } from '../users/users.service.js'
import { cleanRule, isPersonal, leavesOf, placedLeavesOf, type Rule, touchesOf } from './rule.js'
import type { SegmentRow, SegmentsRepository } from './segments.repository.js'
import { SegmentType } from './segments.schema.js'

export interface SegmentInput {
  name?: string | null
  description?: string | null
  /** Typed builder or JSON form: the same shape. */
  rule?: unknown
  ruleJson?: unknown
}

/** Users of a range, to be brought in line with one version of a rule. */
export interface SegmentShard {
  segmentId: string
  version: number
  at: string
  low: number
  high: number
}

export interface SegmentPreview {
  size: number
  share: number
  sample: UserType[]
}

/** Who writes or asks a rule. */
type Author = Pick<Viewer, 'name' | 'scopes'>

const SHARD = 20_000
/** A shop of more shards than this has them done by whichever worker takes them. */
const INLINE = 10
const BATCH = 500
/**
 * Rules that follow the clock are evaluated over all users every minute, or as seldom as it takes not to spend more than a twentieth of the time on it, but every
 * hour; events are followed at once.
 */
const SHORTEST_TURN_MS = 50_000
const LONGEST_TURN_MS = 3_600_000
const IDLE = 20

/** Groups of users by rules as data, kept up to date per event and by the clock. */
export class SegmentsService {
  private recountAt = 0

  constructor(
    private readonly segments: SegmentsRepository,
    private readonly users: UsersService,
    private readonly profiles: ProfilesService,
    private readonly signals: Pick<Signals, 'announce'>,
    private readonly now: () => Date = () => new Date(),
  ) {}

  async node(key: string, { viewer }: Context): Promise<SegmentType | null> {
    requireScope(viewer, Scope.SEGMENTS_READ)
    return this.find(key)
  }

  async find(id: string): Promise<SegmentType | null> {
    const [row] = await this.segments.byIds([id])
    return row ? SegmentType.of(row) : null
  }

  /**
   * For how many seconds something has waited that may change the members: an event or a fact, an edit, or the clock where the rule follows it. 0 when nothing
   * waits; null before the first evaluation.
   */
  async lagSeconds(context: Context, { evaluatedAt, isCurrent, followsTheClock }: SegmentType): Promise<number | null> {
    if (!evaluatedAt) return null
    const since = isCurrent && !followsTheClock ? await context.loader('segments.waiting', () => this.profiles.waitingSince()) : evaluatedAt
    return since === null ? 0 : Math.max(0, (this.now().getTime() - since.getTime()) / 1000)
  }

  page({ first, after }: { first: number; after?: string }): Promise<Connection<SegmentType>> {
    return pageOf<SegmentRow, SegmentType>({
      first,
      after,
      fetch: (cursor, limit) => this.segments.page(cursor && { createdAt: timeOf(cursor), id: cursor[1] }, limit),
      cursorOf: row => [row.createdAt.toISOString(), row.id],
      nodeOf: row => SegmentType.of(row),
      count: () => this.segments.count(),
    })
  }

  /** The members now, or as they were at a moment of the past. */
  async members(
    segmentId: string,
    { first, after, asOf }: { first: number; after?: string; asOf?: Date | null },
  ): Promise<Connection<UserType>> {
    const moment = asOf?.toISOString() ?? null
    if (asOf && asOf > this.now()) throw new InvalidInput('asOf must not be in the future', {}, ['asOf'])
    let found = new Map<number, UserType>()
    return pageOf<{ userId: number }, UserType>({
      first,
      after,
      fetch: async (cursor, limit) => {
        const rows = await this.segments.members(segmentId, moment, cursor && intIdOf(cursor), limit)
        found = await this.users.byIds(rows.map(row => row.userId))
        return rows.filter(row => found.has(row.userId))
      },
      cursorOf: row => ['', String(row.userId)],
      nodeOf: row => found.get(row.userId) as UserType,
      count: () => this.segments.memberCount(segmentId, moment),
    })
  }

  /** Current segments of a user, batched with the request's other loads. */
  ofUser(context: Context, userId: number): Promise<SegmentType[]> {
    return context
      .loader('user.segments', () => {
        return new DataLoader<number, SegmentType[]>(async ids => {
          const rows = await this.segments.ofUsers(ids)
          return ids.map(id => rows.filter(row => row.userId === id).map(row => SegmentType.of(row)))
        })
      })
      .load(userId)
  }

  async create(viewer: Author, input: SegmentInput): Promise<SegmentType> {
    const rule = await this.ruleOf(viewer, input)
    if (!rule) throw new InvalidInput('rule is needed', {}, ['rule'])
    const name = cleanText(input.name ?? '', { field: ['name'], max: 200 })
    const description = cleanOptionalText(input.description, { field: ['description'], max: 2_000, min: 0 }) ?? null
    const row = await this.segments.create({ id: v7(), name, description, rule, createdBy: viewer.name })
    await this.signals.announce('segment.changed', { segmentId: row.id })
    return SegmentType.of(row)
  }

  async update(
    viewer: Author,
    input: SegmentInput & { segmentId: string; expectedVersion?: number | null; archive?: boolean | null },
  ): Promise<SegmentType> {
    const id = decodeId('Segment', input.segmentId, 'segmentId')
    const expectedVersion = cleanVersion(input.expectedVersion)
    const rule = await this.ruleOf(viewer, input, id)
    const change = {
      name: input.name === undefined || input.name === null ? undefined : cleanText(input.name, { field: ['name'], max: 200 }),
      description: cleanOptionalText(input.description, { field: ['description'], max: 2_000, min: 0 }),
      rule,
      archived: input.archive === true,
    }
    if (change.archived) await this.refuseWhileNeeded(id)
    const row = await this.segments.update(id, expectedVersion, change)
    if (!row) throw await this.refusal(id, expectedVersion)
    await this.signals.announce('segment.changed', { segmentId: id })
    return SegmentType.of(row)
  }

  /** What a rule would hold, before it is saved. */
  async preview(viewer: Author, input: SegmentInput, segmentId?: string): Promise<SegmentPreview> {
    const stored = segmentId ? (await this.segments.byIds([decodeId('Segment', segmentId, 'segmentId')]))[0] : undefined
    if (segmentId && !stored) throw new NotFound('No segment has this id', {}, ['segmentId'])
    const rule = (await this.ruleOf(viewer, input, stored?.id)) ?? stored?.rule
    if (!rule) throw new InvalidInput('rule is needed', {}, ['rule'])
    const { size, users, sample } = await this.segments.preview(rule, this.now())
    const found = await this.users.byIds(sample)
    return { size, share: users > 0 ? size / users : 0, sample: sample.flatMap(id => found.get(id) ?? []) }
  }

  /** The rule with, at each clause, whether it holds for the user and which value was seen; traits are seen with pii:read only, as in `User.traits`. */
  async explain(viewer: Author, segmentId: string, userId: string): Promise<object> {
    const [segment] = await this.segments.byIds([decodeId('Segment', segmentId, 'segmentId')])
    if (!segment) throw new NotFound('No segment has this id', {}, ['segmentId'])
    const id = decodeIntId('User', userId, 'userId')
    await this.profiles.byIds([id])
    const found = await this.segments.explain(leavesOf(segment.rule), id, this.now())
    if (!found) throw new NotFound('No user has this id', {}, ['userId'])
    let at = 0
    const tree = (rule: Rule): { holds: boolean } & Record<string, unknown> => {
      if (rule.all) {
        const all = rule.all.map(tree)
        return { holds: all.every(each => each.holds), all }
      }
      if (rule.any) {
        const any = rule.any.map(tree)
        return { holds: any.some(each => each.holds), any }
      }
      if (rule.not) {
        const not = tree(rule.not)
        return { holds: !not.holds, not }
      }
      const { holds, seen } = found[at++]
      return { holds, seen: rule.trait?.name.startsWith('traits.') && !viewer.scopes.has(Scope.PII_READ) ? null : seen, clause: rule }
    }
    const explained = tree(segment.rule)
    return { segment: segment.name, version: segment.version, matches: explained.holds, rule: explained }
  }

  /**
   * Evaluates what waits for it: new rules, rules that follow the clock, failures of before, and whoever depends on those. One after the other, each in
   * shards; their members stay readable meanwhile.
   */
  async evaluateDue({
    signal,
    progress,
  }: {
    signal?: AbortSignal
    progress?(share: number, message: string): Promise<void>
  } = {}): Promise<number> {
    const due = await this.due()
    for (const [index, row] of due.entries()) {
      signal?.throwIfAborted()
      await this.evaluate(row, signal)
      await progress?.((index + 1) / due.length, `Evaluated ${row.name}`)
    }
    if (this.now().getTime() >= this.recountAt) {
      await this.segments.recount()
      this.recountAt = this.now().getTime() + LONGEST_TURN_MS
    }
    return due.length
  }

  /** The same as shards that any worker may take: of the segments that wait, those that no other waiting one comes before. None in a small shop. */
  async dueShards(): Promise<SegmentShard[]> {
    const due = await this.due()
    if (due.length === 0) return []
    const ranges = await this.segments.shards(SHARD)
    if (ranges.length <= INLINE) return []
    const at = this.now().toISOString()
    const [wave] = waves(due)
    return wave.flatMap(({ id, version }) => ranges.map(range => ({ segmentId: id, version, at, ...range })))
  }

  /** One shard; twice is once. A rule that was edited meanwhile is left to its own evaluation. */
  async evaluateShard({ segmentId, version, at, low, high }: SegmentShard): Promise<void> {
    const [row] = await this.segments.byIds([segmentId])
    if (row?.version === version) await this.segments.evaluateRange(row, { low, high }, new Date(at))
  }

  /** All shards of these segments have ended. */
  async settleShards(outcomes: readonly { shard: SegmentShard; error: string | null }[]): Promise<number> {
    const bySegment = grouped(outcomes)
    for (const [id, parts] of bySegment) {
      const [{ shard }] = parts
      const failure = parts.find(({ error }) => error !== null)?.error ?? undefined
      const [row] = await this.segments.byIds([id])
      if (row?.version !== shard.version) continue
      if (failure === undefined) await this.catchUp(row, new Date(shard.at))
      await this.segments.settle(id, shard.version, { at: new Date(shard.at), ended: this.now(), failure })
    }
    // Segments made of these may wait now.
    if ((await this.due()).length > 0) await this.signals.announce('segment.changed', { segmentId: outcomes[0].shard.segmentId })
    return bySegment.size
  }

  /** How all segments are, for the pipeline's health. */
  async stage(): Promise<Stage> {
    const rows = await this.segments.all()
    const failed = rows.filter(row => row.status === 'FAILED')
    const clusters = this.profiles.clusterKeys()
    const orphans = rows.flatMap(({ name, rule }) => {
      const gone = leavesOf(rule).find(({ cluster }) => cluster !== undefined && clusters && !clusters.includes(cluster))
      return gone ? [`${name}: cluster ${gone.cluster} has ended, nobody is in it any more`] : []
    })
    const [fault] = [...failed.map(({ name, failure }) => `${name}: ${failure}`), ...orphans]
    const reason = fault ?? `${rows.length} segments`
    const rowsOut = rows.reduce((sum, { size }) => sum + size, 0)
    return { stage: 'segments', state: fault ? 'degraded' : 'ok', reason, rowsIn: rows.length, rowsOut }
  }

  /** All users, shard by shard, two at a time; what fails is kept as the segment's failure. */
  async evaluate(row: SegmentRow, signal?: AbortSignal): Promise<void> {
    const at = this.now()
    try {
      const shards = await this.segments.shards(SHARD)
      const work = async () => {
        for (let range = shards.shift(); range; range = shards.shift()) {
          signal?.throwIfAborted()
          await this.segments.evaluateRange(row, range, at)
        }
      }
      await Promise.all([work(), work()])
      await this.catchUp(row, at)
      await this.segments.settle(row.id, row.version, { at, ended: this.now() })
    } catch (error) {
      if (signal?.aborted) throw error
      await this.segments.settle(row.id, row.version, { at, ended: this.now(), failure: messageOf(error) })
    }
  }

  /** Users whom events touched while an evaluation looked at an older state of them. */
  private async catchUp(row: SegmentRow, since: Date): Promise<void> {
    for (const ids of slices(await this.segments.followedSince(since), BATCH)) await this.segments.evaluateUsers([row], ids, this.now())
  }

  private async due(): Promise<SegmentRow[]> {
    const rows = inOrderOfNeed(await this.segments.all())
    const aged = this.now().getTime() - turnMsOf(rows)
    const due = new Set<string>()
    for (const row of rows) {
      const { time, segments } = touchesOf(row.rule)
      const isDue = row.status !== 'READY' || row.evaluatedVersion < row.version || (time && (row.evaluatedAt?.getTime() ?? 0) < aged)
      if (isDue || [...segments].some(id => due.has(id))) due.add(row.id)
    }
    return rows.filter(row => due.has(row.id))
  }

  /** After new events and facts: looks at the waiting profiles, each time only at the segments that what happened can touch. Returns how many users. */
  async followWaiting({ signal }: { signal?: AbortSignal } = {}): Promise<number> {
    let users = 0
    const startedAt = this.now()
    for (let rows = await this.profiles.waiting(BATCH); rows.length > 0; rows = await this.profiles.waiting(BATCH)) {
      signal?.throwIfAborted()
      const isNew = rows.some(row => row.segmentedAt.getTime() === 0)
      await this.follow(
        rows.map(row => row.userId),
        isNew ? 'unknown' : new Set(rows.flatMap(row => row.types)),
      )
      await this.profiles.markFollowed(rows)
      users += rows.length
      if (rows.length < BATCH) break
    }
    const timeless = (await this.segments.all()).filter(row => row.status === 'READY' && !touchesOf(row.rule).time)
    await this.segments.markCurrent(
      timeless.map(({ id }) => id),
      startedAt,
    )
    return users
  }

  /** Makes the profiles of these users anew and looks at all of their segments, now. */
  async bringInLine(userIds: readonly number[]): Promise<void> {
    await this.profiles.refresh(userIds)
    await this.follow(userIds, 'unknown')
  }

  /** After events of these users: only the segments that such events can touch, in order of dependence. Returns how many segments. */
  async follow(userIds: readonly number[], eventTypes: ReadonlySet<string> | 'unknown'): Promise<number> {
    const rows = inOrderOfNeed((await this.segments.all()).filter(row => row.status !== 'FAILED'))
    const touched = new Set<string>()
    for (const row of rows) {
      const touches = touchesOf(row.rule)
      const isTouched =
        eventTypes === 'unknown' || touches.profile || touches.user || [...touches.eventTypes].some(type => eventTypes.has(type))
      if (isTouched || [...touches.segments].some(id => touched.has(id))) touched.add(row.id)
    }
    for (const wave of waves(rows.filter(row => touched.has(row.id)))) await this.followWave(wave, userIds)
    return touched.size
  }

  /** One rule that cannot be evaluated must not keep the others from being right. */
  private async followWave(wave: readonly SegmentRow[], userIds: readonly number[]): Promise<void> {
    try {
      await this.segments.evaluateUsers(wave, userIds, this.now())
    } catch (error) {
      if (wave.length === 1)
        return this.segments.settle(wave[0].id, wave[0].version, { at: this.now(), ended: this.now(), failure: messageOf(error) })
      for (const row of wave) await this.followWave([row], userIds)
    }
  }

  /** Checks a rule and that the segments it names exist and do not name this one in turn. Ids of the API become those of the database. */
  private async ruleOf(viewer: Author, { rule, ruleJson }: SegmentInput, self?: string): Promise<Rule | undefined> {
    const given = rule ?? ruleJson
    if (given === undefined || given === null) return undefined
    if (rule && ruleJson) throw new InvalidInput('Give the rule either as rule or as ruleJson', {}, ['ruleJson'])
    const place = [rule ? 'rule' : 'ruleJson']
    const clean = withKeys(cleanRule(given, place))
    const all = new Map((await this.segments.all()).map(row => [row.id, row]))
    const visited = new Set<string>()
    const visit = (id: string, path: string[], field: string[]) => {
      const named = all.get(id)
      if (!named) throw new InvalidInput(`inSegment names no segment: ${encodeId('Segment', id)}`, {}, field)
      if (id === self || path.includes(id)) throw new InvalidInput(`A segment must not depend on itself: ${named.name}`, {}, field)
      if (visited.has(id)) return
      visited.add(id)
      for (const next of touchesOf(named.rule).segments) visit(next, [...path, id], field)
    }
    const clusters = this.profiles.clusterKeys()
    for (const { leaf, path } of placedLeavesOf(clean, place)) {
      if (leaf.trait && isPersonal(leaf.trait.name) && !viewer.scopes.has(Scope.PII_READ))
        throw new InvalidInput(`A rule on ${leaf.trait.name} needs the scope ${Scope.PII_READ}`, {}, [...path, 'trait', 'name'])
      if (leaf.inSegment !== undefined) visit(leaf.inSegment, [], [...path, 'inSegment'])
      if (leaf.cluster !== undefined && clusters && !clusters.includes(leaf.cluster))
        throw new InvalidInput(`No cluster has the key ${leaf.cluster}; there are ${clusters.join(', ')}`, {}, [...path, 'cluster'])
    }
    return clean
  }

  private async refuseWhileNeeded(id: string): Promise<void> {
    const needing = (await this.segments.all()).filter(row => row.id !== id && touchesOf(row.rule).segments.has(id))
    refuseUnless(needing.length === 0, `Other segments are made from this one: ${needing.map(({ name }) => name).join(', ')}`)
  }

  private async refusal(id: string, expectedVersion?: number) {
    const [row] = await this.segments.byIds([id])
    if (!row) return new NotFound('No segment has this id', {}, ['segmentId'])
    return new Conflict(
      `This segment was changed in the meantime: it has version ${row.version}, not ${expectedVersion}`,
      'VERSION_CONFLICT',
      { version: row.version },
      ['expectedVersion'],
    )
  }
}

/** After how long rules that follow the clock are to be evaluated again. */
function turnMsOf(rows: readonly SegmentRow[]): number {
  const spent = rows.filter(row => touchesOf(row.rule).time).reduce((sum, { evaluationMs }) => sum + (evaluationMs ?? 0), 0)
  return Math.min(LONGEST_TURN_MS, Math.max(SHORTEST_TURN_MS, IDLE * spent))
}

function grouped<T extends { shard: SegmentShard }>(outcomes: readonly T[]): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const outcome of outcomes) groups.set(outcome.shard.segmentId, [...(groups.get(outcome.shard.segmentId) ?? []), outcome])
  return groups
}

function* slices<T>(values: readonly T[], size: number): Generator<T[]> {
  for (let at = 0; at < values.length; at += size) yield values.slice(at, at + size)
}

function withKeys(rule: Rule): Rule {
  if (rule.all) return { all: rule.all.map(withKeys) }
  if (rule.any) return { any: rule.any.map(withKeys) }
  if (rule.not) return { not: withKeys(rule.not) }
  if (!rule.inSegment) return rule
  const decoded = tryDecodeId(rule.inSegment)
  return { inSegment: decoded?.type === 'Segment' ? decoded.key : rule.inSegment }
}

/** Those that others name come first. */
function inOrderOfNeed(rows: readonly SegmentRow[]): SegmentRow[] {
  return waves(rows).flat()
}

function waves(rows: readonly SegmentRow[]): SegmentRow[][] {
  const left = new Map(rows.map(row => [row.id, row]))
  const result: SegmentRow[][] = []
  while (left.size > 0) {
    const free = [...left.values()].filter(row => ![...touchesOf(row.rule).segments].some(id => left.has(id)))
    const wave = free.length > 0 ? free : [...left.values()]
    for (const row of wave) left.delete(row.id)
    result.push(wave)
  }
  return result
}
