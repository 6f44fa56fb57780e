import { type Algorithm, type Learned, parameterFault } from '../algorithms/algorithm.js'
import type { Database } from '../platform/database.js'
import { InvalidInput, messageOf, NotFound } from '../platform/errors.js'
import type { Log } from '../platform/log.js'
import type { Pool } from '../platform/pool.js'
import type { Signals } from '../platform/signals.js'
import { reportStage } from '../platform/stages.js'
import { packBundle, unpackBundle } from './bundle.js'
import { modelCard } from './card.js'
import { guard } from './guardrails.js'
import type { ModelRepository, ModelRow } from './model.repository.js'
import type { FitRequest, Metrics, Task, TaskData } from './task.js'

export interface TrainRequest {
  task: string
  /** Only this algorithm; all but the baseline unless given. */
  algorithm?: string
  params?: Record<string, number | string | boolean>
  jobId?: string
  signal?: AbortSignal
  progress?(share: number, message: string): Promise<void>
}

type AnyTask = Task<object, Learned>

/** Teaches any task: load, fit each algorithm, measure, guard, record. Knows no domain; tasks are handed in. */
export class Trainer {
  constructor(
    private readonly tasks: ReadonlyMap<string, AnyTask>,
    private readonly parts: {
      models: ModelRepository
      pool: Pool
      signals: Signals
      database: Database
      log: Log
      seed: number
      now?: () => Date
    },
  ) {}

  taskNamed(name: string): AnyTask {
    const task = this.tasks.get(name)
    if (!task)
      throw new NotFound(`Nothing is learned for ${name} yet; tasks: ${[...this.tasks.keys()].join(', ')}`, { task: name }, ['task'])
    return task
  }

  /** Throws the sentence a caller should see before a job is made of the request. */
  check({ task: name, algorithm, params }: Pick<TrainRequest, 'task' | 'algorithm' | 'params'>): void {
    const task = this.taskNamed(name)
    const names = task.algorithms.map(each => each.name)
    if (algorithm !== undefined && !names.slice(1).includes(algorithm)) {
      throw new InvalidInput(`${name} has no algorithm "${algorithm}" to train; there are ${names.slice(1).join(', ')}`, {}, ['algorithm'])
    }
    if (params && !algorithm) throw new InvalidInput('params belong to one algorithm; name it', {}, ['params'])
    const defaults = task.algorithms.find(each => each.name === algorithm)?.defaults ?? {}
    for (const [key, value] of Object.entries(params ?? {})) {
      if (!Object.hasOwn(defaults, key))
        throw new InvalidInput(`${algorithm} has no parameter "${key}"; there are ${Object.keys(defaults).join(', ')}`, {}, ['params', key])
      if (typeof value !== typeof defaults[key]) throw new InvalidInput(`${key} must be a ${typeof defaults[key]}`, {}, ['params', key])
      const fault = typeof value === 'number' ? parameterFault(key, value) : undefined
      if (fault) throw new InvalidInput(`${key} ${fault}`, {}, ['params', key])
    }
  }

  /** What a request would teach, and with which parameters; an algorithm that does not suit the data is left out when it comes to it. */
  plan({ task: name, algorithm, params }: Pick<TrainRequest, 'task' | 'algorithm' | 'params'>) {
    const task = this.taskNamed(name)
    const [baseline, ...others] = task.algorithms
    const algorithms = others
      .filter(each => algorithm === undefined || each.name === algorithm)
      .map(each => ({ name: each.name, params: { ...each.defaults, ...params } }))
    return { task: name, baseline: baseline.name, minimumRows: task.minimumRows, algorithms }
  }

  /** Trains and records the models; those of a job that ran before are returned again instead of being made twice. */
  async train(request: TrainRequest): Promise<{ models: ModelRow[]; message: string }> {
    this.check(request)
    const task = this.taskNamed(request.task)
    const { models } = this.parts
    const earlier = request.jobId ? await models.byJob(request.jobId) : []
    const loaded = await task.load(this.now())
    await request.progress?.(0.1, `Loaded ${loaded.rows} rows`)
    await this.refreshBaseline(task, loaded)
    if (loaded.rows < task.minimumRows) {
      const message = loaded.reason ?? `${loaded.rows} rows are too few to learn ${task.name} from; ${task.minimumRows} are needed`
      await reportStage(this.parts.database, {
        stage: `train ${task.name}`,
        state: 'waiting',
        reason: message,
        rowsIn: loaded.rows,
        rowsOut: 0,
      })
      return { models: [], message }
    }
    const trained = [...earlier, ...(await this.trainAll(task, loaded, request, new Set(earlier.map(model => model.algorithm))))]
    const passed = trained.filter(model => model.guardrails.passed).length
    const message = `Trained ${trained.map(model => `${model.algorithm} v${model.version}`).join(', ')} on ${loaded.rows} rows; ${passed} of ${trained.length} passed the guardrails`
    await reportStage(this.parts.database, {
      stage: `train ${task.name}`,
      state: 'ok',
      reason: message,
      rowsIn: loaded.rows,
      rowsOut: trained.length,
    })
    for (const model of trained) await this.parts.signals.announce('model.trained', { modelId: model.id, task: task.name })
    return { models: trained, message }
  }

  /** Fits the task's baseline, and what is taught again with it, on what is there and stores them for every server. */
  async refreshBaseline(task: AnyTask, loaded?: TaskData<object>): Promise<string> {
    const { data, rows, keys, taught } = loaded ?? (await task.load(this.now()))
    const [baseline, ...others] = task.algorithms
    for (const { name, defaults } of [baseline, ...others.filter(each => task.refreshed?.includes(each.name))]) {
      const request = { algorithm: name, params: { ...defaults }, seed: this.parts.seed, data }
      const { result } = await this.fit<{ artifact: Uint8Array }>(task, 'fitAll', request)
      const stored = {
        artifact: packBundle({ artifact: result.artifact, keys, taught }),
        algorithm: name,
        trainedAt: this.now().toISOString(),
        rows,
      }
      await this.parts.models.keepBaseline(task.name, stored, name === baseline.name ? undefined : name)
    }
    await reportStage(this.parts.database, {
      stage: `baseline ${task.name}`,
      state: 'ok',
      reason: `${baseline.name} over ${rows} rows`,
      rowsIn: rows,
      rowsOut: keys.length,
    })
    await this.parts.signals.announce('model.changed', { task: task.name })
    return `Refreshed the baseline of ${task.name} over ${rows} rows`
  }

  private async trainAll(task: AnyTask, loaded: TaskData<object>, request: TrainRequest, done: ReadonlySet<string>): Promise<ModelRow[]> {
    const [baseline, ...others] = task.algorithms
    const isWanted = (each: Algorithm<object, Learned>) =>
      request.algorithm ? each.name === request.algorithm : (each.suits?.(loaded.data) ?? true)
    const chosen = others.filter(each => !done.has(each.name) && isWanted(each))
    if (chosen.length === 0) return []
    const live = await this.parts.models.live(task.name)
    const measure = (algorithm: string, params: FitRequest<object>['params'], search: readonly string[] = []) =>
      this.fit<{ metrics: Metrics; params?: FitRequest<object>['params']; notes?: string[] }>(
        task,
        'fitAndEvaluate',
        { algorithm, params, seed: this.parts.seed, data: loaded.data, search },
        request.signal,
      )
    const baselineRun = measure(baseline.name, { ...baseline.defaults })
    const liveRun = live ? measure(live.algorithm, live.params).catch(() => undefined) : undefined
    let finished = 0
    const rows = await Promise.all(
      chosen.map(async algorithm => {
        const given = { ...algorithm.defaults, ...request.params }
        const free = Object.keys(given).filter(name => !Object.hasOwn(request.params ?? {}, name))
        const [measured, baseline, live] = await Promise.all([measure(algorithm.name, given, free), baselineRun, liveRun])
        const { metrics, notes } = measured.result
        const params = { ...given, ...measured.result.params }
        const final = await this.fit<{ artifact: Uint8Array }>(
          task,
          'fitAll',
          { algorithm: algorithm.name, params, seed: this.parts.seed, data: loaded.data },
          request.signal,
        )
        const artifact = packBundle({ artifact: final.result.artifact, keys: loaded.keys, taught: loaded.taught })
        const guardrails = guard({
          task,
          metrics,
          baseline: baseline.result.metrics,
          live: live?.result.metrics,
          rows: loaded.rows,
          loadFault: loadFault(algorithm, artifact),
        })
        request.signal?.throwIfAborted()
        const facts = {
          task: task.name,
          algorithm: algorithm.name,
          params,
          seed: this.parts.seed,
          metrics,
          baselineMetrics: baseline.result.metrics,
          liveMetrics: live?.result.metrics ?? null,
          guardrails,
          trainedAt: this.now(),
          trainedRows: loaded.rows,
          dataFrom: loaded.from,
          dataTo: loaded.to,
          seconds: final.seconds,
        }
        const status = guardrails.passed ? ('CANDIDATE' as const) : ('BLOCKED' as const)
        const row = await this.parts.models.create({
          ...facts,
          status,
          jobId: request.jobId ?? null,
          artifact,
          cardOf: version => modelCard({ ...facts, version, notes: [...(loaded.notes ?? []), ...(notes ?? [])] }),
        })
        this.parts.log.info('model trained', {
          task: task.name,
          algorithm: row.algorithm,
          version: row.version,
          status,
          rows: loaded.rows,
          [task.primary.metric]: metrics[task.primary.metric],
        })
        await request.progress?.(0.1 + (0.9 * ++finished) / chosen.length, `Trained ${row.algorithm}`)
        return row
      }),
    )
    return rows
  }

  private fit<Result extends object>(
    task: AnyTask,
    name: 'fitAndEvaluate' | 'fitAll',
    request: FitRequest<object>,
    signal?: AbortSignal,
  ): Promise<{ result: Result; seconds: number }> {
    return this.parts.pool.run<Result>({ family: task.family, function: name, args: [request] }, signal)
  }

  private now(): Date {
    return this.parts.now?.() ?? new Date()
  }
}

function loadFault(algorithm: { load(artifact: Uint8Array): Learned }, bundle: Uint8Array): string | undefined {
  try {
    algorithm.load(unpackBundle(bundle).artifact)
    return undefined
  } catch (error) {
    return messageOf(error)
  }
}
