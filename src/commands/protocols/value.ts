import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'csv-parse/sync'
import { auc, lift } from '../../algorithms/evaluate/classification.js'
import { expectedPurchases, fitBgNbd } from '../../algorithms/value/bg-nbd.js'
import { type Customers, customersOf, type Purchases } from '../../algorithms/value/customers.js'
import { expectedValue, fitGammaGamma } from '../../algorithms/value/gamma-gamma.js'
import { type Method, measured, type Protocol, ProtocolError } from './protocol.js'

const DAY_MS = 86_400_000
const WEEK_MS = 7 * DAY_MS

/** What a method of purchase prediction is given: customers by the end of calibration, and what they did in the `weeks` after. */
interface HeldOut {
  customers: Customers
  weeks: number
  purchases: Float64Array
  revenue: Float64Array
  /** Mean value of all calibration purchases. */
  meanValue: number
}

/** Repeat purchases and value of a customer base: means over all customers, "constant" is the base-rate row. */
const methods: readonly Method<HeldOut>[] = [
  {
    name: 'base-rate',
    run: data => {
      const rate = sum(data.customers.repeats) / Math.max(1e-9, sum(data.customers.age))
      return report(
        data,
        data.customers.repeats.map(() => rate * data.weeks),
      )
    },
  },
  {
    name: 'frequency',
    run: data =>
      report(
        data,
        data.customers.repeats.map((x, at) => (x * data.weeks) / Math.max(1 / 7, data.customers.age[at])),
      ),
  },
  {
    name: 'bg-nbd',
    run: data => {
      const model = fitBgNbd(data.customers)
      const { repeats, recency, age } = data.customers
      const { r, alpha, a, b, logLikelihood } = model
      return {
        ...report(
          data,
          repeats.map((x, at) => expectedPurchases(model, x, recency[at], age[at], data.weeks)),
        ),
        r,
        alpha,
        a,
        b,
        logLikelihood,
      }
    },
  },
  {
    name: 'gamma-gamma',
    run: data => {
      const { repeats, recency, age, meanValue } = data.customers
      const model = fitBgNbd(data.customers)
      const spend = fitGammaGamma(data.customers)
      const purchases = repeats.map((x, at) => expectedPurchases(model, x, recency[at], age[at], data.weeks))
      const value = purchases.map((count, at) => count * (spend ? expectedValue(spend, repeats[at], meanValue[at]) : data.meanValue))
      return {
        valueMae: mean(value.map((each, at) => Math.abs(each - data.revenue[at]))),
        valueTotal: sum(value),
        valueActual: sum(data.revenue),
        topDecileShare: topDecileShare(value, data.revenue),
        topDecileBest: topDecileShare(data.revenue, data.revenue),
        ...(spend ? { p: spend.p, q: spend.q, v: spend.v, logLikelihood: spend.logLikelihood } : {}),
      }
    },
  },
]

/** CDNOW (Fader and Hardie 2001): the published parameters of BG/NBD, and purchases in weeks 40 to 78. */
export const cdnow: Protocol = {
  name: 'cdnow',
  about: 'repeat purchases and value of the CDNOW cohort, weeks 1–39 to 40–78',
  run: function* ({ data = '../shared/data/cdnow', methods: wanted }) {
    const file = join(data, 'CDNOW_sample.txt')
    if (!existsSync(file)) throw new ProtocolError(`The data is absent: there is no ${file}. Give its folder by --data`)
    const rows = readFileSync(file, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line, at) => {
        const cells = line.trim().split(/\s+/)
        const time = Date.parse(`${cells[2]?.slice(0, 4)}-${cells[2]?.slice(4, 6)}-${cells[2]?.slice(6, 8)}`)
        if (cells.length !== 5 || !Number.isFinite(time) || !Number.isFinite(Number(cells[4])))
          throw new ProtocolError(`${file} line ${at + 1} is not what CDNOW holds: ${line.slice(0, 80)}`)
        return { customer: Number(cells[1]), time, value: Number(cells[4]) }
      })
    yield* measured('cdnow', methods, heldOut(rows, Date.parse('1997-09-30'), Date.parse('1998-06-30')), wanted)
  },
}

/** Anybody's purchases: `customer,date,amount` in the only csv of a folder, or in transactions.csv; the last third of the time is predicted from what is before. */
export const clv: Protocol = {
  name: 'clv',
  about: 'repeat purchases and value on a folder with a csv: customer,date,amount; the last third of the time is predicted',
  run: function* ({ data, methods: wanted }) {
    const rows = transactionsIn(data)
    const times = rows.map(({ time }) => time)
    const first = times.reduce((least, time) => Math.min(least, time), Number.POSITIVE_INFINITY)
    const last = times.reduce((most, time) => Math.max(most, time), Number.NEGATIVE_INFINITY)
    if (last - first < 3 * DAY_MS) throw new ProtocolError('The purchases lie within three days; there is no later part to predict')
    yield* measured('clv', methods, heldOut(rows, first + Math.floor((2 * (last - first)) / 3 / DAY_MS) * DAY_MS, last), wanted)
  },
}

interface Transaction {
  customer: number
  time: number
  value: number
}

function heldOut(rows: readonly Transaction[], cut: number, end: number): HeldOut {
  const purchases: Purchases = {
    customers: Int32Array.from(rows, ({ customer }) => customer),
    times: Float64Array.from(rows, ({ time }) => time),
    values: Float64Array.from(rows, ({ value }) => value),
  }
  const { keys, data: customers } = customersOf(purchases, cut + DAY_MS - 1)
  if (keys.length === 0) throw new ProtocolError('Nobody bought before the cut')
  const position = new Map(Array.from(keys, (key, at) => [key, at]))
  const days = keys.reduce((all, _, at) => all.set(at, new Set<number>()), new Map<number, Set<number>>())
  const revenue = new Float64Array(keys.length)
  let [before, count] = [0, 0]
  for (const { customer, time, value } of rows) {
    const at = position.get(customer)
    const isLater = time >= cut + DAY_MS
    if (!isLater) {
      before += value
      count++
    } else if (at !== undefined && time < end + DAY_MS) {
      days.get(at)?.add(Math.floor(time / DAY_MS))
      revenue[at] += value
    }
  }
  return {
    customers,
    weeks: (Math.floor(end / DAY_MS) - Math.floor(cut / DAY_MS)) / (WEEK_MS / DAY_MS),
    purchases: Float64Array.from(keys, (_, at) => days.get(at)?.size ?? 0),
    revenue,
    meanValue: before / Math.max(1, count),
  }
}

function report({ purchases }: HeldOut, predicted: Float64Array) {
  const bought = purchases.map(each => (each > 0 ? 1 : 0))
  return {
    mae: mean(purchases.map((each, at) => Math.abs(each - predicted[at]))),
    rmse: Math.sqrt(mean(purchases.map((each, at) => (each - predicted[at]) ** 2))),
    total: sum(predicted),
    actual: sum(purchases),
    auc: auc(bought, predicted),
    lift10: lift(bought, predicted),
  }
}

/** Share of the revenue that is of the tenth of customers with the largest predictions. */
export function topDecileShare(predicted: Float64Array, revenue: Float64Array): number {
  const order = Array.from(predicted.keys()).sort((a, b) => predicted[b] - predicted[a] || a - b)
  return order.slice(0, Math.floor(order.length / 10)).reduce((total, at) => total + revenue[at], 0) / Math.max(1e-9, sum(revenue))
}

function transactionsIn(folder: string | undefined): Transaction[] {
  if (!folder) throw new ProtocolError('Give the folder of your data by --data FOLDER; it holds transactions.csv: customer,date,amount')
  const file = join(folder, 'transactions.csv')
  const text = existsSync(file) ? readFileSync(file) : undefined
  if (!text) throw new ProtocolError(`There is no ${file}`)
  let records: { record: Record<string, string>; info: { lines: number } }[]
  try {
    records = parse(text, {
      bom: true,
      columns: header => header.map((column: string) => column.trim()),
      info: true,
      skip_empty_lines: true,
    }) as never
  } catch (error) {
    throw new ProtocolError(`${file} is not CSV: ${(error as Error).message}`)
  }
  if (records.length === 0) throw new ProtocolError(`${file} has no rows`)
  const missing = ['customer', 'date', 'amount'].filter(column => !(column in records[0].record))
  if (missing.length > 0)
    throw new ProtocolError(`${file} line 1: the header lacks ${missing.join(', ')}; it has ${Object.keys(records[0].record).join(', ')}`)
  const numbers = new Map<string, number>()
  return records.map(({ record: { customer, date, amount }, info: { lines } }) => {
    const [time, value] = [timeOf(date), Number(amount)]
    if (customer === '') throw new ProtocolError(`${file} line ${lines}: customer is empty`)
    if (!Number.isFinite(time)) throw new ProtocolError(`${file} line ${lines}: date is no date: ${JSON.stringify(date.slice(0, 40))}`)
    if (amount.trim() === '' || !Number.isFinite(value))
      throw new ProtocolError(`${file} line ${lines}: amount is no number: ${JSON.stringify(amount.slice(0, 40))}`)
    const number = numbers.get(customer) ?? numbers.size
    numbers.set(customer, number)
    return { customer: number, time, value }
  })
}

/** 2011-11-09, with or without a time, or 20111109. */
function timeOf(text: string): number {
  const compact = /^(\d{4})(\d{2})(\d{2})$/.exec(text.trim())
  return Date.parse(compact ? `${compact[1]}-${compact[2]}-${compact[3]}` : text.trim())
}

function sum(values: ArrayLike<number>): number {
  let total = 0
  for (let at = 0; at < values.length; at++) total += values[at]
  return total
}

function mean(values: ArrayLike<number>): number {
  return sum(values) / Math.max(1, values.length)
}
