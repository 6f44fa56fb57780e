import { createHash, randomUUID } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { type Comparison, compare, estimate, sampleRatio } from '../algorithms/evaluate/experiment.js'
import type { Viewer } from '../graphql/auth.js'
import { type Connection, pageOf } from '../graphql/connection.js'
import { timeOf } from '../graphql/cursor.js'
import { decodeId } from '../graphql/node-id.js'
import { createBatcher } from '../platform/batcher.js'
import { codeOf } from '../platform/database.js'
import { Conflict, InvalidInput, NotFound } from '../platform/errors.js'
import { cleanOptionalText, cleanText } from '../platform/text-input.js'
import { cleanVersion } from '../platform/upsert.js'
import { v7 } from '../platform/uuid.js'
import type { Arm, ExperimentRow, ExperimentsRepository, Metric, MetricRow } from './experiments.repository.js'
import { type ExperimentArmInput, ExperimentMetric, ExperimentType } from './experiments.schema.js'
import { RecommendationAlgorithm } from './recommendations.schema.js'

export interface ExperimentFacts {
  name?: string | null
  placement?: string | null
  arms?: ExperimentArmInput[] | null
  plannedUsers?: number | null
}

/** Which arm a user is in, for as long as the experiment runs. */
export interface Assignment {
  experimentId: string
  name: string
  version: number
  placement: string | null
  arm: Arm
}

/** What ran at the last look. */
interface Running {
  rows: Promise<ExperimentRow[]>
  /** Milliseconds since the epoch. */
  until: number
  isNone: boolean
}

const LOOK_MS = 2_000
const REMEMBERED = 200_000
const MOST_ARMS = 10
const PLANNED = 10_000
/** A decision's first item is drawn from so many of the best. */
export const EXPLORED_POOL = 20

/** A/B experiments: who is shown what, and what came of it. */
export class ExperimentsService {
  private running: Running = { rows: Promise.resolve([]), until: 0, isNone: false }
  /** Arms of the exposures this process has stored already; storing one again would change nothing. */
  private readonly exposed = new LRUCache<string, number>({ max: REMEMBERED })
  private readonly expose: (exposure: Parameters<ExperimentsRepository['expose']>[0][number]) => Promise<number>

  constructor(
    private readonly experiments: ExperimentsRepository,
    private readonly now: () => Date = () => new Date(),
  ) {
    this.expose = createBatcher(exposures => this.experiments.expose(exposures))
  }

  /** Whether nobody is in any arm, as the last look found, and it is not too long ago. */
  get isIdle(): boolean {
    return this.running.isNone && this.now().getTime() < this.running.until
  }

  /**
   * The arm of this user in what runs in this placement, with his exposure stored; an experiment of the placement goes before one for everywhere. Who was shown
   * an arm as a visitor stays in it when he turns out to be somebody.
   */
  async assign(placement: string | null, userId: number): Promise<Assignment | undefined> {
    const rows = await this.look()
    const row = rows.find(each => each.placement !== null && each.placement === placement) ?? rows.find(each => each.placement === null)
    if (!row) return undefined
    const key = `${row.id} ${userId}`
    let at = this.exposed.get(key)
    if (at === undefined) {
      at = await this.expose({ experimentId: row.id, userId, arm: armOf(row.salt, userId, row.arms), at: this.now() })
      this.exposed.set(key, at)
    }
    return { experimentId: row.id, name: row.name, version: row.version, placement, arm: row.arms[at] }
  }

  async find(id: string): Promise<ExperimentType | null> {
    const row = await this.experiments.find(id)
    return row ? ExperimentType.of(row) : null
  }

  page({ first, after }: { first: number; after?: string }): Promise<Connection<ExperimentType>> {
    return pageOf<ExperimentRow, ExperimentType>({
      first,
      after,
      fetch: (cursor, limit) => this.experiments.page(cursor && { createdAt: timeOf(cursor), id: cursor[1] }, limit),
      cursorOf: row => [row.createdAt.toISOString(), row.id],
      nodeOf: row => ExperimentType.of(row),
      count: () => this.experiments.count(),
    })
  }

  async create(viewer: Pick<Viewer, 'name'>, facts: ExperimentFacts, isDry: boolean): Promise<ExperimentType> {
    const draft = { ...cleanFacts(facts), id: v7(), salt: randomUUID(), createdAt: this.now(), createdBy: viewer.name }
    if (isDry) return ExperimentType.of({ ...draft, status: 'DRAFT', version: 1, startedAt: null, stoppedAt: null, stopNote: null })
    return ExperimentType.of(await this.experiments.create(draft))
  }

  /** Only a draft changes: what users were shown already cannot be taken back. */
  async update(
    input: ExperimentFacts & { experimentId: string; expectedVersion?: number | null },
    isDry: boolean,
  ): Promise<ExperimentType> {
    const row = await this.expected(input)
    if (row.status !== 'DRAFT') throw illegal(row, 'changed; stop it and make another')
    const given = Object.fromEntries(Object.entries(input).filter(([, value]) => value !== undefined))
    const changed = cleanFacts({ ...row, ...given })
    if (isDry) return ExperimentType.of({ ...row, ...changed, version: row.version + 1 })
    const stored = await this.experiments.update(row.id, row.version, changed)
    if (!stored) throw movedOn(row)
    return ExperimentType.of(stored)
  }

  start(input: { experimentId: string; expectedVersion?: number | null }, isDry: boolean): Promise<ExperimentType> {
    return this.step(input, { from: 'DRAFT', to: 'RUNNING', note: null, isDry })
  }

  stop(input: { experimentId: string; expectedVersion?: number | null; note?: string | null }, isDry: boolean): Promise<ExperimentType> {
    const note = cleanOptionalText(input.note, { field: ['note'], max: 2_000 }) ?? null
    return this.step(input, { from: 'RUNNING', to: 'STOPPED', note, isDry })
  }

  /** Sample ratio, each arm's metrics, and each arm against the first. */
  async result(id: string) {
    const row = await this.experiments.find(id)
    if (!row) throw new NotFound('No experiment has this id', {}, ['id'])
    const until = row.stoppedAt ?? this.now()
    const rows = row.startedAt ? await this.experiments.sums(id, until) : []
    const users = row.arms.map((_, arm) => rows.find(each => each.arm === arm)?.users ?? 0)
    const ratio = sampleRatio(
      users,
      row.arms.map(({ share }) => share),
    )
    const total = users.reduce((sum, count) => sum + count, 0)
    return {
      until,
      users: total,
      plannedUsers: row.plannedUsers,
      isPlanReached: total >= row.plannedUsers,
      sampleRatio: ratio,
      arms: row.arms.map(({ key, share }, arm) => ({ key, share, users: users[arm] })),
      metrics: Object.values(ExperimentMetric).map(metric => ({ metric, arms: armResults(row, rows, metric) })),
      advice: adviceOf(row, ratio.isMismatch, total),
    }
  }

  private look(): Promise<ExperimentRow[]> {
    const now = this.now().getTime()
    if (this.running.until <= now) {
      const running: Running = { rows: this.experiments.running(), until: now + LOOK_MS, isNone: false }
      this.running = running
      running.rows.then(
        rows => {
          running.isNone = rows.length === 0
        },
        // A failed look is not remembered.
        () => {
          running.until = 0
        },
      )
    }
    return this.running.rows
  }

  private async step(
    input: { experimentId: string; expectedVersion?: number | null },
    { from, to, note, isDry }: { from: 'DRAFT' | 'RUNNING'; to: 'RUNNING' | 'STOPPED'; note: string | null; isDry: boolean },
  ): Promise<ExperimentType> {
    const row = await this.expected(input)
    if (row.status !== from) throw illegal(row, to === 'RUNNING' ? 'started' : 'stopped')
    const at = this.now()
    if (isDry) {
      const times = to === 'RUNNING' ? { startedAt: at } : { stoppedAt: at, stopNote: note }
      const others = to === 'RUNNING' ? await this.experiments.running() : []
      if (others.some(each => each.placement === row.placement)) throw occupied(row)
      return ExperimentType.of({ ...row, ...times, status: to, version: row.version + 1 })
    }
    const stored = await this.experiments.move(row.id, row.version, { from, to, at, note }).catch(error => {
      throw codeOf(error) === '23505' ? occupied(row) : error
    })
    if (!stored) throw movedOn(row)
    this.running.until = 0
    return ExperimentType.of(stored)
  }

  private async expected({ experimentId, expectedVersion }: { experimentId: string; expectedVersion?: number | null }) {
    const version = cleanVersion(expectedVersion)
    const row = await this.experiments.find(decodeId('RecommendationExperiment', experimentId, 'experimentId'))
    if (!row) throw new NotFound('No experiment has this id', {}, ['experimentId'])
    if (version !== undefined && version !== row.version) throw movedOn(row)
    return row
  }
}

/** The place of the user's arm: SHA-256 of salt and user as a number in [0, 1), laid along the shares. The same for ever, and another for each salt. */
export function armOf(salt: string, userId: number, arms: readonly Pick<Arm, 'share'>[]): number {
  const position = createHash('sha256').update(`${salt}:${userId}`).digest().readUIntBE(0, 6) / 2 ** 48
  let end = 0
  for (let arm = 0; arm < arms.length - 1; arm++) {
    end += arms[arm].share
    if (position < end) return arm
  }
  return arms.length - 1
}

function armResults(row: ExperimentRow, rows: readonly MetricRow[], metric: Metric) {
  const sumsOf = (arm: number) => rows.find(each => each.metric === metric && each.arm === arm)
  const control = sumsOf(0)
  return row.arms.map(({ key }, arm) => {
    const sums = sumsOf(arm)
    const against: Comparison | null = arm > 0 && control && sums ? compare(control, sums, row.plannedUsers) : null
    return { key, estimate: sums ? estimate(sums) : null, comparison: against }
  })
}

function adviceOf({ status, plannedUsers }: ExperimentRow, isMismatch: boolean, users: number): string {
  if (status === 'DRAFT') return 'The experiment has not started'
  if (isMismatch) return 'The arms do not have the users they should have: something loses or adds users, so no result may be trusted'
  if (users < plannedUsers)
    return `${users} of ${plannedUsers} planned users were seen: until then only the anytime interval may be read, since looking often at the other one finds differences that are not there`
  return 'The planned number of users is reached: the fixed interval may be read, once'
}

function cleanFacts({ name, placement, arms, plannedUsers }: ExperimentFacts) {
  return {
    name: cleanText(name ?? '', { field: ['name'], max: 200 }),
    placement: cleanOptionalText(placement, { field: ['placement'], max: 100 }) ?? null,
    arms: cleanArms(arms ?? []),
    plannedUsers: cleanPlan(plannedUsers ?? PLANNED),
  }
}

function cleanPlan(users: number): number {
  if (!(Number.isInteger(users) && users >= 2 && users <= 1e9))
    throw new InvalidInput('plannedUsers must be between 2 and a billion', {}, ['plannedUsers'])
  return users
}

function cleanArms(arms: readonly ExperimentArmInput[]): Arm[] {
  if (arms.length < 2 || arms.length > MOST_ARMS) throw new InvalidInput(`An experiment has 2 to ${MOST_ARMS} arms`, {}, ['arms'])
  const clean = arms.map(({ key, share, algorithm, diversity, exploration }, at): Arm => {
    const field = (name: string) => ['arms', String(at), name]
    if (!(share > 0 && share < 1)) throw new InvalidInput('share must be above 0 and below 1', {}, field('share'))
    if (diversity != null && !(diversity >= 0 && diversity <= 1))
      throw new InvalidInput('diversity must be between 0 and 1', {}, field('diversity'))
    if (exploration != null && !(exploration >= 0 && exploration <= 1))
      throw new InvalidInput('exploration must be between 0 and 1', {}, field('exploration'))
    return {
      key: cleanText(key, { field: field('key'), max: 60 }),
      share,
      algorithm: algorithm ?? RecommendationAlgorithm.AUTO,
      diversity: diversity ?? null,
      exploration: exploration ?? 0,
    }
  })
  if (new Set(clean.map(({ key }) => key)).size < clean.length) throw new InvalidInput('Each arm needs a key of its own', {}, ['arms'])
  const sum = clean.reduce((total, { share }) => total + share, 0)
  if (Math.abs(sum - 1) > 1e-6) throw new InvalidInput(`The shares must sum to 1, not ${sum}`, {}, ['arms'])
  return clean
}

function illegal({ status, version }: ExperimentRow, verb: string) {
  return new Conflict(`An experiment that is ${status} cannot be ${verb}`, 'ILLEGAL_TRANSITION', { status, version })
}

function movedOn({ version }: ExperimentRow) {
  return new Conflict(`This experiment was changed in the meantime: it has version ${version}`, 'VERSION_CONFLICT', { version }, [
    'expectedVersion',
  ])
}

function occupied({ placement }: ExperimentRow) {
  return new Conflict(
    placement === null ? 'Another experiment runs everywhere already' : `Another experiment runs in "${placement}" already`,
    'ILLEGAL_TRANSITION',
  )
}
