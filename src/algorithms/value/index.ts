import type { Customers } from './customers.js'
import { fitLifetime, loadLifetime } from './lifetime.js'

/** For worker threads: everything is structured-cloneable. Time is in the unit of the customers. */
export function fitValue({ customers, fallbackValue = 0 }: { customers: Customers; fallbackValue?: number }): { artifact: Uint8Array } {
  return { artifact: fitLifetime(customers, fallbackValue).save() }
}

/** Expected purchases, value and probability of being active, of each customer. */
export function valueAll({ artifact, customers, horizon }: { artifact: Uint8Array; customers: Customers; horizon: number }) {
  return loadLifetime(artifact).expected(customers, horizon)
}

export { algorithms, expectAll, fitAll, fitAndEvaluate } from './estimators.js'
