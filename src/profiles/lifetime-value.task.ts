import type { Customers } from '../algorithms/value/customers.js'
import { bgNbd, meanValue, type Sales, type Valuer } from '../algorithms/value/estimators.js'
import type { Task } from '../registry/task.js'
import { FEATURE_NAMES } from './features.js'
import type { PastProfile, ProfileHistory } from './history.js'
import { HORIZON_DAYS } from './propensity.task.js'

const DAY_MS = 86_400_000
/** How far the value looks ahead. */
export const VALUE_DAYS = 365

/** What customers will spend within a year, learned from when and for how much they ordered; compared on the last 30 days. */
export function lifetimeValueTask(history: ProfileHistory): Task<Sales, Valuer> {
  return {
    name: 'LIFETIME_VALUE',
    family: 'value',
    algorithms: [meanValue, bgNbd],
    primary: { metric: 'topDecileShare', higherIsBetter: true },
    minimumRows: 100,
    load: async now => {
      const { from, to } = await history.span(now)
      const past = to ? await history.at(new Date(to.getTime() - HORIZON_DAYS * DAY_MS), HORIZON_DAYS) : []
      const customers = past.filter(isCustomer)
      const today = (await history.now()).filter(isCustomer)
      const data: Sales = {
        now: customersOf(today.map(({ features }) => features)),
        past: customersOf(customers.map(({ features }) => features)),
        days: HORIZON_DAYS,
        spent: Float64Array.from(customers, ({ later }) => later.amount),
        orders: Float64Array.from(customers, ({ later }) => later.orders),
        spentADay: { customer: spentADay(customers), stranger: spentADay(past.filter(person => !isCustomer(person))) },
        orderValue: mean(today.map(({ features }) => features[AVERAGE])),
      }
      return { data, rows: customers.length, from, to, keys: Int32Array.of(today.length) }
    },
  }
}

const [ORDER_DAYS, FIRST, LAST, AVERAGE] = ['orderDays', 'firstOrderDays', 'recencyDays', 'averageOrderValue'].map(name =>
  FEATURE_NAMES.indexOf(name),
)

/** The columns that the value models read, in days. */
export function customersOf(rows: readonly ArrayLike<number>[]): Customers {
  const column = (value: (features: ArrayLike<number>) => number) => Float64Array.from(rows, features => Math.max(0, value(features)) || 0)
  return {
    repeats: column(features => features[ORDER_DAYS] - 1),
    recency: column(features => features[FIRST] - features[LAST]),
    age: column(features => features[FIRST]),
    meanValue: column(features => (features[ORDER_DAYS] > 1 ? features[AVERAGE] : 0)),
  }
}

function isCustomer({ features }: Pick<PastProfile, 'features'>): boolean {
  return features[ORDER_DAYS] > 0
}

function spentADay(people: readonly PastProfile[]): number {
  return people.reduce((sum, { later }) => sum + later.amount, 0) / Math.max(1, people.length) / HORIZON_DAYS
}

function mean(values: readonly number[]): number {
  const known = values.filter(value => value > 0)
  return known.reduce((sum, value) => sum + value, 0) / Math.max(1, known.length)
}
