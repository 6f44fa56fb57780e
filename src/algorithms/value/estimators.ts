import type { Algorithm, Learned } from '../algorithm.js'
import { pack, unpack } from '../artifact.js'
import { createRandom, type Random } from '../math/random.js'
import type { Customers } from './customers.js'
import { fitLifetime, loadLifetime } from './lifetime.js'

/** Customers of a shop, those of a while ago with what they spent since, and how many people never bought. Time is in days. */
export interface Sales {
  now: Customers
  past: Customers
  /** Days from the past to its outcome. */
  days: number
  /** Money and order days of the past's customers within those days. */
  spent: Float64Array
  orders: Float64Array
  /** Mean spending a day of people who had ordered before, and of those who had not. */
  spentADay: { customer: number; stranger: number }
  /** Mean value of a day with an order. */
  orderValue: number
}

/** What is expected of a customer, with the 90 % of outcomes that the model holds possible; NaN where a model knows none. */
export interface Expectation {
  value: number
  low: number
  high: number
  /** Days until half a chance of a next order; infinite where there is none. */
  nextOrder: number
}

/** A learned customer value. */
export interface Valuer extends Learned {
  /** Expected money of every customer within `horizon` days. */
  values(customers: Customers, horizon: number): Float64Array
  /** One customer, with interval and next order. */
  customer(customers: Customers, row: number, horizon: number, random: Random): Expectation
  /** Somebody who never ordered. */
  stranger(horizon: number): Expectation
}

export type ValueAlgorithm = Algorithm<Sales, Valuer>

/** Everybody spends what everybody spends on average: the baseline. */
export const meanValue: ValueAlgorithm = {
  name: 'mean-value',
  defaults: {},
  fit: sales => meanOf(sales.spentADay, sales.orderValue),
  load: artifact => {
    const { spentADay, orderValue } = unpack('mean-value/1', artifact).meta
    return meanOf(spentADay as Sales['spentADay'], Number(orderValue))
  },
}

/** BG/NBD for orders with Gamma-Gamma for their value (Fader, Hardie and Lee 2005). */
export const bgNbd: ValueAlgorithm = {
  name: 'bg-nbd',
  defaults: {},
  fit: sales => lifetimeOf(fitLifetime(sales.now, sales.orderValue), sales.spentADay),
  load: artifact => {
    const { meta, arrays } = unpack('bg-nbd-value/1', artifact)
    return lifetimeOf(loadLifetime(arrays.lifetime as Uint8Array), meta.spentADay as Sales['spentADay'])
  },
}

/** The first is the baseline. */
export const algorithms: readonly ValueAlgorithm[] = [meanValue, bgNbd]

/** Learns from the customers of the past and compares with what they did since. */
export function fitAndEvaluate({ algorithm, params, seed, data }: Request): { metrics: Record<string, number> } {
  const valuer = named(algorithm).fit({ ...data, now: data.past }, params, createRandom(seed))
  const expected = valuer.values(data.past, data.days)
  const count = expected.length
  const total = (values: ArrayLike<number>) => Array.from(values).reduce((sum, value) => sum + value, 0)
  const errors = Float64Array.from(expected, (value, at) => Math.abs(value - data.spent[at]))
  const order = Array.from({ length: count }, (_, at) => at).sort((a, b) => expected[b] - expected[a] || a - b)
  const top = order.slice(0, Math.ceil(count / 10))
  const inIt = (money: number) => (total(data.spent) > 0 ? money / total(data.spent) : 0)
  return {
    metrics: {
      mae: total(errors) / Math.max(1, count),
      totalRatio: total(data.spent) > 0 ? total(expected) / total(data.spent) : 1,
      topDecileShare: inIt(total(top.map(at => data.spent[at]))),
      customers: count,
    },
  }
}

export function fitAll({ algorithm, params, seed, data }: Request): { artifact: Uint8Array } {
  return { artifact: named(algorithm).fit(data, params, createRandom(seed)).save() }
}

/** Expectations of many customers by a saved model, in four columns; each customer's draws depend on his own number only. */
export function expectAll({
  algorithm,
  artifact,
  customers,
  keys,
  horizon,
}: {
  algorithm: string
  artifact: Uint8Array
  customers: Customers
  keys: Int32Array
  horizon: number
}): Record<keyof Expectation, Float64Array> {
  const valuer = named(algorithm).load(artifact)
  const count = keys.length
  const columns = {
    value: new Float64Array(count),
    low: new Float64Array(count),
    high: new Float64Array(count),
    nextOrder: new Float64Array(count),
  }
  for (let row = 0; row < count; row++) {
    const expectation = valuer.customer(customers, row, horizon, createRandom(keys[row]))
    for (const name of ['value', 'low', 'high', 'nextOrder'] as const) columns[name][row] = expectation[name]
  }
  return columns
}

interface Request {
  algorithm: string
  params: Record<string, number | string | boolean>
  seed: number
  data: Sales
}

function named(name: string): ValueAlgorithm {
  const algorithm = algorithms.find(each => each.name === name)
  if (!algorithm) throw new RangeError(`There is no customer value "${name}"; there are ${algorithms.map(each => each.name).join(', ')}`)
  return algorithm
}

function meanOf(spentADay: Sales['spentADay'], orderValue: number): Valuer {
  return {
    values: (customers, horizon) => new Float64Array(customers.repeats.length).fill(spentADay.customer * horizon),
    customer: (_customers, _row, horizon) => byChance(spentADay.customer * horizon, orderValue),
    stranger: horizon => byChance(spentADay.stranger * horizon, orderValue),
    save: () => pack('mean-value/1', { meta: { spentADay, orderValue }, arrays: {} }),
  }
}

function lifetimeOf(model: ReturnType<typeof loadLifetime>, spentADay: Sales['spentADay']): Valuer {
  return {
    values: (customers, horizon) => model.expected(customers, horizon).value,
    customer: (customers, row, horizon, random) => {
      const { value, low, high, nextPurchase } = model.customer(customers, row, horizon, random)
      return { value, low, high, nextOrder: nextPurchase }
    },
    stranger: horizon => byChance(spentADay.stranger * horizon, model.meanFirstValue),
    save: () => pack('bg-nbd-value/1', { meta: { spentADay }, arrays: { lifetime: model.save() } }),
  }
}

const TAIL = 0.05
const NORMAL_FROM = 500
const Z_OF_TAIL = 1.6449

/** Of whom no order tells when the next one comes: orders of the usual value by pure chance (Poisson) around the mean. */
function byChance(value: number, orderValue: number): Expectation {
  const orders = value / orderValue
  const isKnown = orderValue > 0 && Number.isFinite(orders)
  const money = (count: number) => (isKnown ? count * orderValue : Number.NaN)
  return {
    value,
    low: money(poissonQuantile(orders, TAIL)),
    high: money(poissonQuantile(orders, 1 - TAIL)),
    nextOrder: Number.POSITIVE_INFINITY,
  }
}

/** The smallest n with P(N ≤ n) ≥ p for N ~ Poisson(mean). */
function poissonQuantile(mean: number, p: number): number {
  if (mean > NORMAL_FROM) return Math.max(0, Math.round(mean + (p < 0.5 ? -1 : 1) * Z_OF_TAIL * Math.sqrt(mean)))
  let n = 0
  for (let term = Math.exp(-mean), sum = term; sum < p && n < 2 * NORMAL_FROM; sum += term) term *= mean / ++n
  return n
}
