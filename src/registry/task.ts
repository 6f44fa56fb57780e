import type { Algorithm, Learned } from '../algorithms/algorithm.js'
import type { ModelTask } from '../platform/generated/prisma/enums.js'

/** Structured-cloneable training data of a task, with the facts that the model card states. */
export interface TaskData<Data> {
  data: Data
  rows: number
  from: Date | null
  to: Date | null
}

/** Metrics by their names in the protocols (ndcgAt10, auc …); higher is better only where `primary` says so. */
export type Metrics = Record<string, number>

/**
 * Something to be learned. `load` runs on the worker's thread (I/O), the rest on a pool thread: `family` names the module under
 * src/algorithms whose index exports the algorithms, and whose `evaluate` splits by time and measures.
 */
export interface Task<Data = unknown, Model extends Learned = Learned> {
  readonly name: ModelTask
  readonly family: string
  /** The first is the baseline: it needs no approval and serves whenever no approved model does. */
  readonly algorithms: readonly Algorithm<Data, Model>[]
  readonly primary: { metric: string; higherIsBetter: boolean }
  /** Fewer rows than this are not trained on. */
  readonly minimumRows: number
  load(now: Date): Promise<TaskData<Data>>
}

/** What a family's index.ts exports beside its list, for the trainer: measure one algorithm on a time split. */
export interface Family<Data, Model extends Learned> {
  algorithms: readonly Algorithm<Data, Model>[]
  split(data: Data): { train: Data; test: Data }
  evaluate(model: Model, train: Data, test: Data): Metrics
}
