import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { parse } from 'csv-parse/sync'
import type { Content } from '../../algorithms/recommend/content.js'
import type { Interactions } from '../../algorithms/recommend/recommender.js'
import { type MethodResult, measured, type Protocol, ProtocolError } from './protocol.js'
import { type TopN, topNMethods } from './recommend.js'

const DEFAULT = '../shared/data/online-retail'
const CUT = '2011-11-09'
/** They go by how often a customer bought something, or tell that from whether he did; the others are taught whether he did, as the reference is. */
const COUNTING = ['repeat', 'hybrid', 'rerank']

/** UCI Online Retail (Chen 2015), cut at 2011-11-09: what customers buy next, among what is new to them and among everything. */
export const onlineRetail: Protocol = {
  name: 'online-retail',
  about: 'Online Retail, split by time: items new to the customer (slot "new") and all items ("all")',
  run: function* ({ data = DEFAULT, methods }) {
    const splits = existsSync(join(data, 'splits')) ? join(data, 'splits') : data
    const train = pairsIn(join(splits, 'online_retail_train_pairs.csv.gz'))
    const test = pairsIn(join(splits, 'online_retail_test_pairs.csv.gz'))
    const words = { users: indexOf(train.map(([user]) => user)), items: indexOf(train.map(([, item]) => item)) }
    const known = new Set(train.map(([user, item]) => `${user} ${item}`))
    const rows = test.filter(([user, item]) => words.users.has(user) && words.items.has(item))
    const invoices = invoicesOf(data, words)
    const inputs = {
      new: {
        train: interactions(train, words, invoices, true),
        relevant: relevantOf(
          rows.filter(([user, item]) => !known.has(`${user} ${item}`)),
          words,
        ),
      },
      all: { train: interactions(train, words, invoices, true), relevant: relevantOf(rows, words), repeats: true },
    } satisfies Record<string, TopN>
    const all = topNMethods({ search: true })
    for (const slot of ['new', 'all'] as const) {
      const counted = { ...inputs[slot], train: { ...interactions(train, words, invoices, false), ...invoices?.lines } }
      for (const method of all.filter(({ name }) => !methods || methods.includes(name))) {
        const input = COUNTING.includes(method.name) ? counted : { ...inputs[slot], ...(slot === 'all' && { repeated: counted.train }) }
        yield* [...measured('online-retail', [method], input, undefined, slot)].map((result): MethodResult => ({ ...result, slot }))
      }
    }
    const unknown = methods?.filter(name => !all.some(each => each.name === name)) ?? []
    if (unknown.length > 0)
      throw new ProtocolError(`online-retail has no method ${unknown.join(', ')}; there are ${all.map(({ name }) => name).join(', ')}`)
  },
}

type Pair = [user: string, item: string, lines: number]

interface Words {
  users: Map<string, number>
  items: Map<string, number>
}

function pairsIn(file: string): Pair[] {
  return recordsIn(file).map((record, at) => {
    const { customer, stockcode, lines } = record
    if (!customer || !stockcode || !(Number(lines ?? 1) > 0))
      throw new ProtocolError(`${file} line ${at + 2} is not customer,stockcode,lines`)
    return [customer, stockcode, Number(lines ?? 1)]
  })
}

function recordsIn(file: string): Record<string, string>[] {
  if (!existsSync(file)) throw new ProtocolError(`The data is absent: there is no ${file}. Give its folder by --data`)
  try {
    return parse(gunzipSync(readFileSync(file)), { bom: true, columns: true, relax_quotes: true, skip_empty_lines: true }) as Record<
      string,
      string
    >[]
  } catch (error) {
    throw new ProtocolError(`${file} is not compressed CSV: ${(error as Error).message}`)
  }
}

/** Index of each word in ascending order, as the reference has it: ties are broken by it. */
function indexOf(words: readonly string[]): Map<string, number> {
  return new Map([...new Set(words)].sort((a, b) => (a < b ? -1 : 1)).map((word, index) => [word, index]))
}

function interactions(pairs: readonly Pair[], { users, items }: Words, invoices: Invoices | undefined, once: boolean): Interactions {
  return {
    userCount: users.size,
    itemCount: items.size,
    users: Int32Array.from(pairs, ([user]) => users.get(user) as number),
    items: Int32Array.from(pairs, ([, item]) => items.get(item) as number),
    values: Float32Array.from(pairs, ([, , lines]) => (once ? 1 : lines)),
    times: Float64Array.from(pairs, ([user, item]) => invoices?.times.get(`${user} ${item}`) ?? 0),
    kind: 'implicit',
    now: Date.parse(CUT),
    content: invoices?.content,
  }
}

function relevantOf(pairs: readonly Pair[], { users, items }: Words): Map<number, Set<number>> {
  const sets = new Map<number, Set<number>>()
  for (const [user, item] of pairs) {
    const key = users.get(user) as number
    sets.set(key, (sets.get(key) ?? new Set()).add(items.get(item) as number))
  }
  return sets
}

interface Invoices {
  content: Content
  /** First purchase of "user item", milliseconds: when the item was new to the customer, which is what is to be foreseen. */
  times: Map<string, number>
  /** Every line of a purchase. */
  lines: Pick<Interactions, 'users' | 'items' | 'values' | 'times'>
}

/** Titles, prices and times as the invoices before the cut have them; absent where only the pairs are there. */
function invoicesOf(folder: string, { users, items }: Words): Invoices | undefined {
  const file = join(folder, 'online_retail.csv.gz')
  if (!existsSync(file)) return undefined
  const titles = Array.from({ length: items.size }, () => '')
  const prices = new Float64Array(items.size).fill(Number.NaN)
  const times = new Map<string, number>()
  const lines: [user: number, item: number, time: number][] = []
  for (const { InvoiceNo, StockCode, Description, Quantity, UnitPrice, InvoiceDate, CustomerID } of recordsIn(file)) {
    const item = items.get(StockCode)
    if (item === undefined || InvoiceDate >= CUT) continue
    if (titles[item] === '' && Description) titles[item] = Description
    if (Number(UnitPrice) > 0) prices[item] = Number(UnitPrice)
    const user = CustomerID?.replace(/\.0$/, '')
    const userIndex = users.get(user)
    if (userIndex === undefined || !(Number(Quantity) > 0) || !(Number(UnitPrice) > 0) || InvoiceNo.startsWith('C')) continue
    const time = Date.parse(`${InvoiceDate}Z`)
    lines.push([userIndex, item, time])
    const pair = `${user} ${StockCode}`
    times.set(pair, Math.min(times.get(pair) ?? Number.POSITIVE_INFINITY, time))
  }
  return {
    content: { titles, prices },
    times,
    lines: {
      users: Int32Array.from(lines, ([user]) => user),
      items: Int32Array.from(lines, ([, item]) => item),
      values: new Float32Array(lines.length).fill(1),
      times: Float64Array.from(lines, ([, , time]) => time),
    },
  }
}
