/** What is known of customers by the end of observation: one entry a customer. Time units are the caller's (weeks, days); they must be one and the same. */
export interface Customers {
  /** x: repeat purchases, that is distinct purchase days after the first. */
  repeats: Float64Array
  /** tₓ: from the first purchase to the last; 0 without a repeat. */
  recency: Float64Array
  /** T: from the first purchase to the end of observation. */
  age: Float64Array
  /** Mean value of the repeat purchases; 0 without one, or where it is not positive. */
  meanValue: Float64Array
}

/** One purchase; `time` in the unit of the customers, `value` in units of money. */
export interface Purchases {
  customers: Int32Array
  times: Float64Array
  values: Float64Array
}

const DAY_MS = 86_400_000

/**
 * Customers from purchases up to and including `end`; times are milliseconds since the epoch, and a day's purchases count as one. `keys` are the customers'
 * numbers, in order of their first purchase in the list. Purchases of non-finite time are left out, and those of non-finite value count as 0.
 */
export function customersOf(
  { customers, times, values }: Purchases,
  end: number,
  { unitDays = 7, offsetMs = 0 } = {},
): { keys: Int32Array; data: Customers } {
  const days = new Map<number, Map<number, number>>()
  for (let at = 0; at < customers.length; at++) {
    if (!Number.isFinite(times[at]) || times[at] > end) continue
    const own = days.get(customers[at]) ?? new Map<number, number>()
    const day = Math.floor((times[at] + offsetMs) / DAY_MS)
    own.set(day, (own.get(day) ?? 0) + (Number.isFinite(values[at]) ? values[at] : 0))
    days.set(customers[at], own)
  }
  const last = Math.floor((end + offsetMs) / DAY_MS)
  const count = days.size
  const data = {
    repeats: new Float64Array(count),
    recency: new Float64Array(count),
    age: new Float64Array(count),
    meanValue: new Float64Array(count),
  }
  let row = 0
  for (const own of days.values()) {
    const sorted = [...own].sort(([a], [b]) => a - b)
    const first = sorted[0][0]
    data.repeats[row] = sorted.length - 1
    data.recency[row] = (sorted[sorted.length - 1][0] - first) / unitDays
    data.age[row] = (last - first) / unitDays
    const sum = sorted.slice(1).reduce((total, [, value]) => total + value, 0)
    data.meanValue[row] = sorted.length > 1 && sum > 0 ? sum / (sorted.length - 1) : 0
    row++
  }
  return { keys: Int32Array.from(days.keys()), data }
}
