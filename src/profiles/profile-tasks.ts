import type { Task } from '../registry/task.js'
import type { ProfileHistory } from './history.js'
import { propensityTask } from './propensity.task.js'

/** What is learned of profiles. */
export function profileTasks(history: ProfileHistory): Task<never>[] {
  return [propensityTask('CHURN', history), propensityTask('PURCHASE', history)] as unknown as Task<never>[]
}
