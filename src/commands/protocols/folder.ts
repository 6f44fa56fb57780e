import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'csv-parse/sync'
import type { Content } from '../../algorithms/recommend/content.js'
import type { Interactions } from '../../algorithms/recommend/recommender.js'
import { measured, type Protocol, ProtocolError } from './protocol.js'
import { ratingMethods, topNMethods } from './recommend.js'
import { utf8Of } from './table.js'

interface Table {
  file: string
  rows: { line: number; cells: Record<string, string> }[]
}

interface Vocabulary {
  users: Map<string, number>
  items: Map<string, number>
}

/** Rating prediction on anybody's own train.csv and test.csv. */
export const rating: Protocol = {
  name: 'rating',
  about: 'rating prediction on a folder with train.csv and test.csv: user,item,rating[,timestamp]',
  run: function* ({ data, methods }) {
    const { train, test } = tablesOf(data, ['rating'])
    const words = vocabularyOf([train, test])
    const [learn, probe] = [interactions(train, words, 'explicit'), interactions(test, words, 'explicit')]
    const low = learn.values.reduce((least, value) => Math.min(least, value), Number.POSITIVE_INFINITY)
    const high = learn.values.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY)
    yield* measured(
      'rating',
      ratingMethods,
      [{ train: learn, test: { users: probe.users, items: probe.items, values: Float64Array.from(probe.values) }, scale: [low, high] }],
      methods,
    )
  },
}

/** Top-n on anybody's own train.csv and test.csv; every row is a positive. */
export const topN: Protocol = {
  name: 'top-n',
  about:
    'ranking on a folder with train.csv and test.csv: user,item[,rating][,timestamp]; optional negatives.csv (user,item) and items.csv (item[,text][,categories a|b][,brand][,price])',
  run: function* ({ data, methods }) {
    const { train, test, negatives, items } = tablesOf(data, [])
    const words = vocabularyOf([train, test, ...(negatives ? [negatives] : [])], items)
    if (negatives) requireNegatives(test, negatives)
    const learn = { ...interactions(train, words, 'implicit'), ...(items ? { content: contentOf(items, words) } : {}) }
    learn.values = learn.values.map(() => 1)
    yield* measured(
      'top-n',
      topNMethods({ search: true }),
      { train: learn, relevant: setsOf(test, words), ...(negatives ? { negatives: listsOf(negatives, words) } : {}) },
      methods,
    )
  },
}

/** Ranked against a few items or against all of them: a mean over both would be neither. */
function requireNegatives(test: Table, negatives: Table) {
  const known = new Set(negatives.rows.map(({ cells }) => cells.user))
  const without = test.rows.find(({ cells }) => !known.has(cells.user))
  if (without)
    throw new ProtocolError(
      `${test.file} line ${without.line}: ${negatives.file} has no item for the user ${JSON.stringify(without.cells.user.slice(0, 60))}`,
    )
}

function tablesOf(folder: string | undefined, needs: string[]) {
  if (!folder) throw new ProtocolError('Give the folder of your data by --data FOLDER; it holds train.csv and test.csv')
  const optional = (name: string, columns: string[]) => (existsSync(join(folder, name)) ? tableIn(folder, name, columns) : undefined)
  return {
    train: tableIn(folder, 'train.csv', ['user', 'item', ...needs]),
    test: tableIn(folder, 'test.csv', ['user', 'item', ...needs]),
    negatives: optional('negatives.csv', ['user', 'item']),
    items: optional('items.csv', ['item']),
  }
}

function tableIn(folder: string, name: string, columns: string[]): Table {
  const file = join(folder, name)
  if (!existsSync(file)) throw new ProtocolError(`There is no ${file}`)
  let records: { record: Record<string, string>; info: { lines: number } }[]
  try {
    records = parse(utf8Of(file, readFileSync(file)), {
      bom: true,
      columns: header => namesIn(file, header),
      info: true,
      skip_empty_lines: true,
    }) as never
  } catch (error) {
    if (error instanceof ProtocolError) throw error
    throw new ProtocolError(`${file} is not CSV: ${(error as Error).message}`)
  }
  const rows = records.map(({ record, info }) => ({ line: info.lines, cells: record }))
  if (rows.length === 0) throw new ProtocolError(`${file} has no rows`)
  const missing = columns.filter(column => !(column in rows[0].cells))
  if (missing.length > 0)
    throw new ProtocolError(`${file} line 1: the header lacks ${missing.join(', ')}; it has ${Object.keys(rows[0].cells).join(', ')}`)
  for (const { line, cells } of rows) {
    if (!cells.user && columns.includes('user')) throw new ProtocolError(`${file} line ${line}: user is empty`)
    if (!cells.item) throw new ProtocolError(`${file} line ${line}: item is empty`)
    const faulty = ['rating', 'timestamp'].find(
      column =>
        cells[column] !== undefined &&
        (column === 'rating' || cells[column] !== '') &&
        (cells[column] === '' || !Number.isFinite(numberOf(cells[column], column))),
    )
    if (faulty) throw new ProtocolError(`${file} line ${line}: ${faulty} is no number: ${JSON.stringify(cells[faulty].slice(0, 60))}`)
  }
  return { file, rows }
}

function namesIn(file: string, header: string[]): string[] {
  const names = header.map(column => column.trim())
  const twice = names.find((name, at) => name !== '' && names.indexOf(name) < at)
  if (twice !== undefined) throw new ProtocolError(`${file} line 1: the header has ${JSON.stringify(twice)} twice`)
  return names
}

/** A timestamp may also be a date. */
function numberOf(text: string, column: string): number {
  const number = /^\s*0[xob]/i.test(text) ? Number.NaN : Number(text)
  return Number.isNaN(number) && column === 'timestamp' ? Date.parse(text) : number
}

/** Indexes of users and items in order of appearance; the test's come last, so a method knows nothing of them. */
function vocabularyOf(tables: Table[], items?: Table): Vocabulary {
  const words: Vocabulary = { users: new Map(), items: new Map() }
  const learn = (map: Map<string, number>, key: string) => map.has(key) || map.set(key, map.size)
  for (const { rows } of tables) {
    for (const { cells } of rows) {
      learn(words.users, cells.user)
      learn(words.items, cells.item)
    }
  }
  for (const { cells } of items?.rows ?? []) learn(words.items, cells.item)
  return words
}

function interactions({ rows }: Table, { users, items }: Vocabulary, kind: Interactions['kind']): Interactions {
  return {
    userCount: users.size,
    itemCount: items.size,
    users: Int32Array.from(rows, ({ cells }) => users.get(cells.user) as number),
    items: Int32Array.from(rows, ({ cells }) => items.get(cells.item) as number),
    values: Float32Array.from(rows, ({ cells }) => (cells.rating === undefined ? 1 : Number(cells.rating))),
    // Without a common clock no age can be taken, so times stay unknown.
    times: new Float64Array(rows.length),
    kind,
    now: 0,
  }
}

/** What items.csv tells, by item index; `title` and `description` are taken as well as `text`. */
function contentOf({ file, rows }: Table, { items }: Vocabulary): Content {
  const cells: Record<string, string>[] = Array.from({ length: items.size }, () => ({}))
  for (const { line, cells: row } of rows) {
    const index = items.get(row.item) as number
    if (cells[index].item !== undefined)
      throw new ProtocolError(`${file} line ${line}: the item ${JSON.stringify(row.item)} stands there twice`)
    if (row.price && !Number.isFinite(Number(row.price)))
      throw new ProtocolError(`${file} line ${line}: price is no number: ${JSON.stringify(row.price.slice(0, 60))}`)
    cells[index] = row
  }
  return {
    titles: cells.map(({ title, text }) => title ?? text ?? ''),
    descriptions: cells.map(({ title, text, description }) => description ?? (title === undefined ? null : text) ?? null),
    categories: cells.map(({ categories }) =>
      (categories ?? '')
        .split('|')
        .map(name => name.trim())
        .filter(Boolean),
    ),
    brands: cells.map(({ brand }) => brand || null),
    prices: Float64Array.from(cells, ({ price }) => (price ? Number(price) : Number.NaN)),
  }
}

function setsOf({ rows }: Table, { users, items }: Vocabulary): Map<number, Set<number>> {
  const sets = new Map<number, Set<number>>()
  for (const { cells } of rows) {
    const user = users.get(cells.user) as number
    const set = sets.get(user) ?? new Set()
    sets.set(user, set.add(items.get(cells.item) as number))
  }
  return sets
}

function listsOf(table: Table, words: Vocabulary): Map<number, number[]> {
  return new Map([...setsOf(table, words)].map(([user, set]) => [user, [...set]]))
}
