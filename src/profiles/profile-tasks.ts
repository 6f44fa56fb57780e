import type { Before } from '../algorithms/grouping/people.js'
import type { Task } from '../registry/task.js'
import { clusterTask } from './cluster.task.js'
import type { ProfileHistory } from './history.js'
import { lifetimeValueTask } from './lifetime-value.task.js'
import { propensityTask } from './propensity.task.js'

/** What is learned of profiles. */
export function profileTasks(history: ProfileHistory, before: () => Promise<Before | undefined>): Task<never>[] {
  return [
    propensityTask('CHURN', history),
    propensityTask('PURCHASE', history),
    lifetimeValueTask(history),
    clusterTask(history, before),
  ] as unknown as Task<never>[]
}
