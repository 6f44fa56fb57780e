import type { Learned } from '../algorithms/algorithm.js'
import type { Database } from '../platform/database.js'
import { messageOf, Unavailable } from '../platform/errors.js'
import type { Log } from '../platform/log.js'
import type { Signals } from '../platform/signals.js'
import { reportStage } from '../platform/stages.js'
import { unpackBundle } from './bundle.js'
import { baselineKey, type ModelRepository, type Serving } from './model.repository.js'
import type { Task } from './task.js'

/** A model in memory, ready to answer. */
export interface LiveModel<Model extends Learned = Learned> {
  model: Model
  /** null: the baseline, which is no model that anybody approved. */
  modelId: string | null
  algorithm: string
  /** E.g. "item-cf v3", or "popularity (baseline)". */
  servedBy: string
  keys: Int32Array
  indexOf: ReadonlyMap<number, number>
  /** By how many rows each item was taught; undefined where that was not kept. */
  taught?: Int32Array
}

interface Served {
  live?: LiveModel
  /** The model that should be live cannot be loaded; the one before it serves on. */
  isBroken: boolean
  /** Live and approved ones by algorithm. */
  named: Map<string, LiveModel>
  /** Approved ones that cannot be loaded, by algorithm. */
  broken: Map<string, Serving>
  baseline?: Refreshed
  /** What is taught again together with the baseline, by algorithm. */
  refreshed: Map<string, Refreshed>
}

interface Refreshed {
  model: LiveModel
  at: string
}

const LOOK_EVERY_MS = 3_000
/** A model that could not be loaded is tried again: its bytes may have been brought back, or the database could not be read for a moment. */
const TRY_AGAIN_MS = 60_000

/**
 * The models this process answers with. Signals make a swap immediate; a look at the database every few seconds makes it certain.
 * A model whose bytes are broken is not taken: what served before goes on, or the baseline, and a stage says so.
 */
export class LiveModels {
  private readonly served = new Map<string, Served>()
  private swaps = 0
  /** Why models could not be loaded, by id, and until when they are not tried again. */
  private readonly refused = new Map<string, { reason: string; until: number }>()
  private unsubscribe = () => {}
  private timer?: NodeJS.Timeout
  private looking?: Promise<void>

  constructor(
    private readonly tasks: ReadonlyMap<string, Task<never, Learned>>,
    private readonly parts: { models: ModelRepository; database: Database; signals: Signals; log: Log },
    private readonly now: () => number = Date.now,
  ) {}

  async start(): Promise<void> {
    await this.look()
    this.unsubscribe = this.parts.signals.on('model.changed', () => void this.look())
    this.timer = setInterval(() => void this.look(), LOOK_EVERY_MS)
    this.timer.unref()
  }

  stop(): void {
    clearInterval(this.timer)
    this.unsubscribe()
  }

  /** Another number after every change of what is served, for those who remember what models said. */
  get changes(): number {
    return this.swaps
  }

  /** The approved model that serves the task; undefined while there is none. */
  live<Model extends Learned>(task: string): LiveModel<Model> | undefined {
    return this.served.get(task)?.live as LiveModel<Model> | undefined
  }

  /** The newest approved model of this algorithm, or by its name the baseline, or what is taught again with it. */
  named<Model extends Learned>(task: string, algorithm: string): LiveModel<Model> | undefined {
    const served = this.served.get(task)
    const baseline = served?.baseline?.model
    const found = baseline?.algorithm === algorithm ? baseline : (served?.named.get(algorithm) ?? served?.refreshed.get(algorithm)?.model)
    return found as LiveModel<Model> | undefined
  }

  /** E.g. "hybrid v3": the approved model of this algorithm, or the live one, where it cannot be loaded. */
  broken(task: string, algorithm?: string): string | undefined {
    const all = this.served.get(task)?.broken
    const found = algorithm === undefined ? [...(all?.values() ?? [])].find(({ status }) => status === 'LIVE') : all?.get(algorithm)
    return found && `${found.algorithm} v${found.version}`
  }

  baseline<Model extends Learned>(task: string): LiveModel<Model> | undefined {
    return this.served.get(task)?.baseline?.model as LiveModel<Model> | undefined
  }

  /** Any stored model of the task, also one that nobody approved: for estimates, not for answers. Throws on a broken artifact. */
  async candidate<Model extends Learned>(task: string, modelId: string): Promise<LiveModel<Model> | undefined> {
    const { models } = this.parts
    const [row, known] = [await models.get(modelId), this.tasks.get(task)]
    if (!known || row?.task !== task) return undefined
    const stored = await models.artifact(modelId)
    if (!stored?.isIntact) throw new Unavailable('The artifact of this model is missing or broken', { modelId })
    return ready(known, row.algorithm, stored.data, { modelId, servedBy: `${row.algorithm} v${row.version}` }) as LiveModel<Model>
  }

  /** Brings what is served in line with the database. Never throws: what serves goes on serving. */
  look(): Promise<void> {
    this.looking = (this.looking ?? Promise.resolve())
      .then(() => this.compare())
      .catch(error => this.parts.log.warn('the models could not be looked up', { error: messageOf(error) }))
    return this.looking
  }

  private async compare(): Promise<void> {
    const { models } = this.parts
    const servable = await models.servable()
    const times = await models.baselineTimes()
    for (const [name, task] of this.tasks) {
      const before = this.served.get(name)
      const named = new Map<string, LiveModel>()
      const broken = new Map<string, Serving>()
      let live: LiveModel | undefined
      for (const wanted of servable.filter(each => each.task === name)) {
        const loaded = await this.modelOf(task, wanted, before)
        if (!loaded) {
          broken.set(wanted.algorithm, wanted)
          continue
        }
        named.set(wanted.algorithm, loaded)
        if (wanted.status === 'LIVE') live = loaded
      }
      const isBroken = !live && servable.some(each => each.task === name && each.status === 'LIVE')
      if (live && (before?.isBroken || live.modelId !== before?.live?.modelId)) await this.announceLive(task, live)
      const baseline = await this.refreshedOf(task, undefined, times, before?.baseline)
      const refreshed = new Map<string, Refreshed>()
      for (const algorithm of task.refreshed ?? []) {
        const found = await this.refreshedOf(task, algorithm, times, before?.refreshed.get(algorithm))
        if (found) refreshed.set(algorithm, found)
      }
      const served = { live: isBroken ? before?.live : live, isBroken, named, broken, baseline, refreshed }
      if (!before || namesOf(before) !== namesOf(served)) this.swaps++
      this.served.set(name, served)
    }
  }

  private async modelOf(task: Task<never, Learned>, wanted: Serving, before: Served | undefined): Promise<LiveModel | undefined> {
    const known = [...(before?.named.values() ?? [])].find(each => each.modelId === wanted.id)
    if (known) return known
    const refused = this.refused.get(wanted.id)
    if (refused && this.now() < refused.until) return undefined
    try {
      const stored = await this.parts.models.artifact(wanted.id)
      if (!stored?.isIntact)
        throw new Error(stored ? 'its bytes do not have the checksum they were stored with' : 'its artifact is missing')
      const facts = { modelId: wanted.id, servedBy: `${wanted.algorithm} v${wanted.version}` }
      const loaded = ready(task, wanted.algorithm, stored.data, facts)
      this.refused.delete(wanted.id)
      return loaded
    } catch (error) {
      const reason = `${wanted.algorithm} v${wanted.version} cannot be loaded: ${messageOf(error)}`
      this.refused.set(wanted.id, { reason, until: this.now() + TRY_AGAIN_MS })
      if (reason === refused?.reason) return undefined
      this.parts.log.error('a model was not taken into service', { task: task.name, reason })
      if (wanted.status === 'LIVE') await reportStage(this.parts.database, { stage: `serve ${task.name}`, state: 'degraded', reason })
      return undefined
    }
  }

  private async announceLive(task: Task<never, Learned>, { servedBy, keys }: LiveModel) {
    this.parts.log.info('model taken into service', { task: task.name, servedBy })
    await reportStage(this.parts.database, { stage: `serve ${task.name}`, state: 'ok', reason: servedBy, rowsOut: keys.length })
  }

  /** What is stored now, or what served before where that is the same or cannot be loaded. */
  private async refreshedOf(
    task: Task<never, Learned>,
    algorithm: string | undefined,
    times: ReadonlyMap<string, string>,
    before: Refreshed | undefined,
  ): Promise<Refreshed | undefined> {
    const at = times.get(baselineKey(task.name, algorithm))
    if (at === undefined || before?.at === at) return before
    const stored = await this.parts.models.baseline(task.name, algorithm)
    if (!stored) return before
    const servedBy = `${stored.algorithm} (${algorithm === undefined ? 'baseline' : 'by the hour'})`
    try {
      return { model: ready(task, stored.algorithm, stored.artifact, { modelId: null, servedBy }), at }
    } catch (error) {
      this.parts.log.error('a stored baseline cannot be loaded', { task: task.name, servedBy, error: messageOf(error) })
      return before
    }
  }
}

/** What is served, by name. */
function namesOf({ live, named, broken, baseline, refreshed }: Served): string {
  const ids = [...named].map(([algorithm, { modelId }]) => [algorithm, modelId])
  const times = [...refreshed].map(([algorithm, { at }]) => [algorithm, at])
  return JSON.stringify([live?.modelId, ids, [...broken.keys()], baseline?.at, times])
}

function ready(task: Task<never, Learned>, name: string, bytes: Uint8Array, facts: Pick<LiveModel, 'modelId' | 'servedBy'>): LiveModel {
  const algorithm = task.algorithms.find(each => each.name === name)
  if (!algorithm) throw new Error(`this version of Bellwether has no algorithm "${name}"`)
  const { artifact, keys, taught } = unpackBundle(bytes)
  const indexOf = new Map<number, number>()
  for (let index = 0; index < keys.length; index++) indexOf.set(keys[index], index)
  return { ...facts, algorithm: name, model: algorithm.load(artifact), keys, indexOf, taught }
}
