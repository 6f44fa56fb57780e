import { join } from 'node:path'
import { kMeans } from '../../algorithms/cluster/k-means.js'
import { silhouette } from '../../algorithms/cluster/quality.js'
import { fitScaling, scaledRows } from '../../algorithms/cluster/scaling.js'
import type { Examples } from '../../algorithms/ctr/examples.js'
import { auc, lift } from '../../algorithms/evaluate/classification.js'
import { createRandom, fnv1a } from '../../algorithms/math/random.js'
import { expectedPurchases, fitBgNbd } from '../../algorithms/value/bg-nbd.js'
import { type Customers, customersOf } from '../../algorithms/value/customers.js'
import { expectedValue, fitGammaGamma } from '../../algorithms/value/gamma-gamma.js'
import { pooled } from './classify.js'
import { type Method, measured, type Protocol, ProtocolError } from './protocol.js'
import { columnOf, tableIn } from './table.js'
import { topDecileShare } from './value.js'

const DAY_MS = 86_400_000
const CUT = Date.parse('2011-11-09')
const WEEKS = 31 / 7
const SEED = 20251124

interface Base {
  customers: Customers
  examples: Examples
  /** Purchase days and revenue of each customer in the 31 days after the cut. */
  purchases: Float64Array
  revenue: Float64Array
  /** log1p of recency in days, purchase days, and revenue. */
  rfm: Float32Array
  folds: Uint8Array
}

/** Customers of the UCI Online Retail set (Chen et al. 2012) by 2011-11-09: who buys in the next 31 days, for how much, and RFM clusters. */
export const onlineRetailCustomers: Protocol = {
  name: 'online-retail-customers',
  about: 'purchase within 31 days, value, and RFM clusters of the Online Retail customers',
  run: function* ({ data = '../shared/data/online-retail', methods, params }) {
    const base = baseOf(data)
    const own = { 'logistic-l2': { cost: 0.05, codes: 16 }, 'boosted-trees': { trees: 100, leaves: 8, depth: 3 }, ...params }
    const all = ['frequency', 'bg-nbd', 'gamma-gamma', 'k-means-2', 'k-means-3', 'k-means-4', 'k-means-5']
    const wanted = methods?.filter(name => !all.includes(name))
    if (!methods || (wanted && wanted.length > 0))
      yield* pooled('online-retail-customers', base.examples, base.folds, wanted, own, 'purchase in 31 days')
    const only = (names: readonly { name: string }[]) => methods?.filter(name => names.some(each => each.name === name))
    yield* measured('online-retail-customers', purchaseMethods, base, only(purchaseMethods), 'purchases and value')
    yield* measured('online-retail-customers', clusterMethods, base, only(clusterMethods), 'RFM clusters')
  },
}

const purchaseMethods: readonly Method<Base>[] = [
  { name: 'frequency', run: ({ customers, purchases }) => purchaseReport(purchases, customers.repeats) },
  {
    name: 'bg-nbd',
    run: base => {
      const { model, expected } = bgNbd(base)
      const { r, alpha, a, b, logLikelihood } = model
      return { ...purchaseReport(base.purchases, expected), r, alpha, a, b, logLikelihood }
    },
  },
  {
    name: 'gamma-gamma',
    run: base => {
      const { expected } = bgNbd(base)
      const spend = fitGammaGamma(base.customers)
      const { repeats, meanValue } = base.customers
      const value = expected.map((count, at) => count * (spend ? expectedValue(spend, repeats[at], meanValue[at]) : 1))
      return {
        valueTotal: value.reduce((sum, each) => sum + each, 0),
        valueActual: base.revenue.reduce((sum, each) => sum + each, 0),
        topDecileShare: topDecileShare(value, base.revenue),
        topDecileBest: topDecileShare(base.revenue, base.revenue),
      }
    },
  },
]

const clusterMethods: readonly Method<Base>[] = [2, 3, 4, 5].map(k => ({
  name: `k-means-${k}`,
  run: ({ rfm }) => {
    const table = { rows: rfm.length / 3, columnCount: 3, values: rfm }
    const points = scaledRows({ ...fitScaling(table), isLog: [false, false, false], limit: Number.POSITIVE_INFINITY }, table)
    const { labels, inertia } = kMeans(points, 3, { k, starts: 10 }, createRandom(SEED))
    return { silhouette: silhouette(points, 3, labels, createRandom(SEED), points.length), inertia }
  },
}))

function bgNbd({ customers: { repeats, recency, age }, customers }: Base) {
  const model = fitBgNbd(customers)
  return { model, expected: repeats.map((x, at) => expectedPurchases(model, x, recency[at], age[at], WEEKS)) }
}

function purchaseReport(purchases: Float64Array, predicted: Float64Array) {
  const bought = purchases.map(each => (each > 0 ? 1 : 0))
  const errors = purchases.map((each, at) => each - predicted[at])
  return {
    auc: auc(bought, predicted),
    lift10: lift(bought, predicted),
    mae: errors.reduce((sum, each) => sum + Math.abs(each), 0) / errors.length,
    rmse: Math.sqrt(errors.reduce((sum, each) => sum + each * each, 0) / errors.length),
  }
}

interface Day {
  revenue: number
  items: Set<string>
}

function baseOf(folder: string): Base {
  const table = tableIn(join(folder, 'online_retail.csv.gz'))
  const [invoice, code, quantity, date, price, customer] = [
    'InvoiceNo',
    'StockCode',
    'Quantity',
    'InvoiceDate',
    'UnitPrice',
    'CustomerID',
  ].map(name => columnOf(table, name))
  const days = new Map<number, Map<number, Day>>()
  table.rows.forEach((row, at) => {
    const [count, unit] = [Number(row[quantity]), Number(row[price])]
    if (row[customer] === '' || !(count > 0) || !(unit > 0) || row[invoice].startsWith('C')) return
    const time = Date.parse(`${row[date].replace(' ', 'T')}Z`)
    if (!Number.isFinite(time))
      throw new ProtocolError(`${table.file} line ${table.lines[at]}: InvoiceDate is no date: ${JSON.stringify(row[date].slice(0, 40))}`)
    const own = days.get(Number(row[customer])) ?? new Map<number, Day>()
    const day = own.get(Math.floor(time / DAY_MS)) ?? { revenue: 0, items: new Set() }
    day.revenue += count * unit
    day.items.add(row[code])
    own.set(Math.floor(time / DAY_MS), day)
    days.set(Number(row[customer]), own)
  })
  const cut = CUT / DAY_MS
  const known = [...days].filter(([, own]) => [...own.keys()].some(day => day < cut)).sort(([a], [b]) => a - b)
  const flat = known.flatMap(([key, own]) => [...own].map(([day, { revenue }]) => ({ key, day, revenue })))
  const { data: customers } = customersOf(
    {
      customers: Int32Array.from(flat, ({ key }) => key),
      times: Float64Array.from(flat, ({ day }) => day * DAY_MS),
      values: Float64Array.from(flat, ({ revenue }) => revenue),
    },
    CUT - 1,
  )
  const features = known.map(([, own], at) => {
    const before = [...own].filter(([day]) => day < cut).sort(([a], [b]) => a - b)
    const revenue = before.reduce((sum, [, day]) => sum + day.revenue, 0)
    const within = (window: number) => before.filter(([day]) => day >= cut - window).length
    const [recency, n] = [cut - 1 - before[before.length - 1][0], before.length]
    const items = before.reduce((sum, [, day]) => sum + day.items.size, 0)
    const { repeats, recency: lastWeeks, age } = customers
    const gap = lastWeeks[at] / Math.max(1, repeats[at])
    return {
      recency,
      n,
      revenue,
      age: age[at],
      tx: lastWeeks[at],
      order: revenue / n,
      items,
      n30: within(30),
      n60: within(60),
      n90: within(90),
      gap,
    }
  })
  const later = known.map(([, own]) => [...own].filter(([day]) => day >= cut && day < cut + 31))
  const names = Object.keys(features[0])
  const purchases = Float64Array.from(later, list => list.length)
  return {
    customers,
    purchases,
    revenue: Float64Array.from(later, list => list.reduce((sum, [, { revenue }]) => sum + revenue, 0)),
    rfm: Float32Array.from(features.flatMap(({ recency, n, revenue }) => [recency, n, revenue].map(Math.log1p))),
    folds: Uint8Array.from(known, ([key]) => fnv1a(String(key)) % 10),
    examples: {
      fields: { numbers: names, words: [] },
      rows: known.length,
      numbers: Float32Array.from(features.flatMap(each => Object.values(each))),
      words: new Uint32Array(0),
      labels: Uint8Array.from(purchases, count => (count > 0 ? 1 : 0)),
    },
  }
}
