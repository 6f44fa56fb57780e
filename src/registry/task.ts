import type { Algorithm, Learned } from '../algorithms/algorithm.js'
import type { ModelTask } from '../platform/generated/prisma/enums.js'

/** Structured-cloneable training data of a task, with the facts that the model card states. */
export interface TaskData<Data> {
  data: Data
  rows: number
  from: Date | null
  to: Date | null
  /** Database id of each item index; kept with the model, so that its answers can be read. */
  keys: Int32Array
  /** Rows of each item index, where a task tells them: with few of them a model has learned nothing of the item. */
  taught?: Int32Array
  /** What the card should tell of the data: what was left out, and why. */
  notes?: readonly string[]
  /** Why there is nothing to learn from, where it is not the mere number of rows. */
  reason?: string
}

/** Metrics by their names in the protocols (ndcgAt10, auc …). */
export type Metrics = Record<string, number>

/**
 * Something to be learned. `load` does the I/O; fitting and measuring run in worker threads, where `family` names the folder under src/algorithms
 * whose index exports the functions of `FamilyFunctions`.
 */
export interface Task<Data = unknown, Model extends Learned = Learned> {
  readonly name: ModelTask
  readonly family: string
  /** The first is the baseline: it needs no approval and serves whenever no approved model does. */
  readonly algorithms: readonly Algorithm<Data, Model>[]
  /** Those of the algorithms that are taught again together with the baseline and, like it, need no approval: what they say is the same for everybody. */
  readonly refreshed?: readonly string[]
  readonly primary: { metric: string; higherIsBetter: boolean }
  /** Fewer rows than this are not trained on. */
  readonly minimumRows: number
  load(now: Date): Promise<TaskData<Data>>
}

/** What a family's index.ts exports for the trainer; everything is structured-cloneable. */
export interface FamilyFunctions<Data> {
  /** Fits on the earlier part of the data and measures on the later one; a search says which parameters it chose, and what it tried. */
  fitAndEvaluate(request: FitRequest<Data>): { metrics: Metrics; params?: FitRequest<Data>['params']; notes?: string[] }
  /** Fits on all data. */
  fitAll(request: FitRequest<Data>): { artifact: Uint8Array }
}

export interface FitRequest<Data> {
  algorithm: string
  params: Record<string, number | string | boolean>
  seed: number
  data: Data
  /** Names of parameters that nobody set and a search may choose; families that have nothing to search ignore it. */
  search?: readonly string[]
}
