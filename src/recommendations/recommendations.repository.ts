import { LRUCache } from 'lru-cache'
import type { Content } from '../algorithms/recommend/content.js'
import { createBatcher } from '../platform/batcher.js'
import { copyNumbers } from '../platform/bulk.js'
import type { Database } from '../platform/database.js'
import { UserChanges } from '../users/user-changes.js'
import { TELLING_TYPES_SQL, WEIGHT_SQL } from './weights.js'

/** Each product that somebody touched, the one touched last at the end. */
interface History {
  products: Int32Array
  /** Summed weights of the events with the product. */
  weights: Float32Array
  /** Milliseconds since the epoch of the last of them. */
  times: Float64Array
}

/** What is known of a visitor at this very moment. */
export interface Visitor extends History {
  id: number
  personalisation: { granted: boolean; at: Date; source: string } | null
}

/** What was read of a visitor. */
interface Read {
  /** Id, stamp and consent in one line, as most of it is only compared. */
  said: string
  /** Of the times of all events; empty where there are more than count. */
  stamp: string
  /** The record that was asked for, and when, as `UserChanges` counts: where it was merged into another, that is the visitor. */
  userId: number
  mark: number
  visitor: Visitor
}

interface HistoryRow {
  id: number
  products: string | null
  hundredths: string | null
  seconds: string | null
}

export interface InteractionColumns {
  users: Int32Array
  products: Int32Array
  values: Float32Array
  times: Float64Array
}

/** Of the visitors whose arrays are remembered: some thirty thousand with histories of ninety products. */
const REMEMBERED_BYTES = 64 * 1024 * 1024
const VISITOR_BYTES = 800
const BYTES_OF_PRODUCT = 16
/** A look costs the server and PostgreSQL as much as two visitors do. */
const LOOKS = { lanes: 2, worthwhile: 12 }
/** Newest events that count for a visitor. */
const HISTORY = 1_000

/**
 * A line for each key, an empty one for whom nobody knows: one text costs the driver less than rows. Who was merged into another is that other. Events come and
 * move to other people, but none changes: whose times are those that `stamp` tells of has the events of then, and the index knows the times, so that what is
 * known already is not added up again. The sub-select hides from the planner how many are asked for, so that PostgreSQL keeps one plan for all instead of making
 * one, which takes longer than the answer, each time.
 */
const VISITORS = (column: string, type: string) => `
  SELECT string_agg(coalesce(found.said, ''), E'\\n' ORDER BY wanted.place) AS said
  FROM unnest((SELECT $1::${type}[])) WITH ORDINALITY AS wanted(key, place)
  LEFT JOIN LATERAL (
    SELECT concat(u.own, ' ', u.id, ' ', s.stamp, ' ', c.granted, ' ', (1000 * extract(epoch FROM c.at))::int8, ' ', to_json(c.source)) AS said
    FROM (SELECT id AS own, coalesce("mergedIntoId", id) AS id FROM "User" WHERE ${column} = wanted.key) u
    CROSS JOIN LATERAL (
      SELECT CASE WHEN count(*) < ${HISTORY} THEN hash_array_extended(coalesce(array_agg("occurredAt"), '{}'), 0) END AS stamp
      FROM (SELECT "occurredAt" FROM "Event" WHERE "userId" = u.id ORDER BY "occurredAt" DESC LIMIT ${HISTORY}) newest
    ) s
    LEFT JOIN "Consent" c ON c."userId" = u.id AND c.purpose = 'PERSONALISATION'
  ) found ON true`
/** Arrays come as text, which is read here much faster than by the driver. */
const HISTORIES = `
  SELECT wanted.id, h.* FROM unnest((SELECT $1::int[])) AS wanted(id)
  CROSS JOIN LATERAL (
    SELECT array_agg("productId")::text AS products, array_agg(hundredths)::text AS hundredths, array_agg(seconds)::text AS seconds
    FROM (SELECT "productId", sum((100 * (${WEIGHT_SQL}))::int) AS hundredths, extract(epoch FROM max("occurredAt"))::int8 AS seconds
      FROM (SELECT "productId", type, value, "occurredAt" FROM "Event"
        WHERE "userId" = wanted.id AND "productId" IS NOT NULL AND type IN ${TELLING_TYPES_SQL} ORDER BY "occurredAt" DESC LIMIT ${HISTORY}) newest
      GROUP BY 1 ORDER BY 3, 1) touched
  ) h`

interface ProductRow {
  id: number
  title: string
  description: string | null
  categories: string[]
  brand: string | null
  /** Units of currency. */
  price: number | null
  attributes: unknown
}

const PRODUCTS_AT_ONCE = 10_000
/** A description's first sentences say what the product is; the whole may be a manual. */
const PRODUCTS = `SELECT id, title, left(description, 2000) AS description, categories, brand, ("priceMicros" / 1e6)::float8 AS price, attributes
  FROM "Product" WHERE id > $1 ORDER BY id LIMIT $2`
const MOST_FACTS = 12

export class RecommendationsRepository {
  private readonly lookByExternalId: (externalId: string) => Promise<Visitor | null>
  private readonly lookById: (id: number) => Promise<Visitor | null>

  /** Who is read already, by what he was asked for. */
  private readonly read = new LRUCache<string | number, Read>({
    maxSize: REMEMBERED_BYTES,
    sizeCalculation: ({ visitor }) => VISITOR_BYTES + BYTES_OF_PRODUCT * visitor.products.length,
  })

  constructor(
    private readonly database: Database,
    private readonly changes = new UserChanges(database, ['EVENTS', 'CONSENTS', 'IDENTITY']),
  ) {
    this.lookByExternalId = createBatcher(keys => this.look(keys, VISITORS('"externalId"', 'text'), 'visitors'), LOOKS)
    this.lookById = createBatcher(keys => this.look(keys, VISITORS('id', 'int'), 'visitors-by-id'), LOOKS)
  }

  /** A visitor by external id, or null, as he is when this is called. */
  async visitor(externalId: string): Promise<Visitor | null> {
    await this.changes.look()
    return this.unchanged(externalId) ?? this.lookByExternalId(externalId)
  }

  async visitorById(id: number): Promise<Visitor | null> {
    await this.changes.look()
    return this.unchanged(id) ?? this.lookById(id)
  }

  private unchanged(asked: string | number): Visitor | undefined {
    const known = this.read.get(asked)
    return known && this.changes.holds(known.mark, known.userId) && this.changes.holds(known.mark, known.visitor.id)
      ? known.visitor
      : undefined
  }

  /** A visitor of whom nothing is new is the same object as before, and one who did nothing new has the same arrays, by which others know him. */
  private async look(keys: (string | number)[], statement: string, name: string): Promise<(Visitor | null)[]> {
    const { mark } = this.changes
    const visitors = new Map<string | number, Visitor | null>()
    for (const key of keys) visitors.set(key, null)
    const [{ said: all }] = await this.database.sql<{ said: string }>(statement, [[...visitors.keys()]], name)
    const lines = all.split('\n')
    const changed: { asked: string | number; known: Read | undefined; facts: Facts }[] = []
    let place = 0
    for (const asked of visitors.keys()) {
      const said = lines[place++]
      if (said === '') continue
      const known = this.read.get(asked)
      if (known?.said === said && known.stamp !== '') {
        known.mark = mark
        visitors.set(asked, known.visitor)
      } else changed.push({ asked, known, facts: parsed(said) })
    }
    const active = changed.filter(({ known, facts: { stamp } }) => stamp === '' || stamp !== known?.stamp)
    const histories = active.length > 0 ? await this.histories(active.map(({ facts }) => facts.id)) : new Map<number, History>()
    for (const { asked, known, facts } of changed) {
      const visitor = visitorOf(facts, histories.get(facts.id), known)
      this.read.set(asked, { said: facts.said, stamp: facts.stamp, userId: facts.userId, mark, visitor })
      visitors.set(asked, visitor)
    }
    return keys.map(key => visitors.get(key) as Visitor | null)
  }

  private async histories(ids: number[]): Promise<Map<number, History>> {
    const rows = await this.database.sql<HistoryRow>(HISTORIES, [[...new Set(ids)]], 'histories')
    return new Map(rows.map(row => [row.id, historyOf(row)]))
  }

  /**
   * Every (user, product) pair of the `days` before the newest event with its summed weight and last time, in time order; pairs taken back are
   * left out. Counted from the newest event, so that a shop that brings an old log can learn from it.
   */
  async interactions(days: number, until: Date): Promise<InteractionColumns> {
    const columns = {
      users: growing(Int32Array),
      products: growing(Int32Array),
      values: growing(Float32Array),
      times: growing(Float64Array),
    }
    const telling = `"productId" IS NOT NULL AND type IN ${TELLING_TYPES_SQL} AND "occurredAt" <= '${until.toISOString()}'`
    const query = `SELECT "userId", "productId", sum(${WEIGHT_SQL})::float4, (extract(epoch FROM max("occurredAt")) * 1000)::float8 AS last FROM "Event"
      WHERE ${telling} AND "occurredAt" >= (SELECT max("occurredAt") FROM "Event" WHERE ${telling}) - interval '${days} days'
      GROUP BY 1, 2 HAVING sum(${WEIGHT_SQL}) > 0 ORDER BY last, 1, 2`
    await this.database.withClient(async client => {
      await client.query('SET statement_timeout = 0')
      await copyNumbers(client, query, 4, ([user, product, value, time]) => {
        columns.users.push(user)
        columns.products.push(product)
        columns.values.push(value)
        columns.times.push(time)
      }).finally(() => client.query('RESET statement_timeout'))
    })
    return {
      users: columns.users.array(),
      products: columns.products.array(),
      values: columns.values.array(),
      times: columns.times.array(),
    }
  }

  /** Internal ids of all products, ascending, and what is known of each. */
  async products(): Promise<{ keys: Int32Array; content: Content }> {
    const keys: number[] = []
    const content = {
      titles: [] as string[],
      descriptions: [] as (string | null)[],
      categories: [] as string[][],
      brands: [] as (string | null)[],
    }
    const prices: number[] = []
    const attributes: string[][] = []
    for (let last = 0, rows: ProductRow[] = []; ; last = rows[rows.length - 1].id) {
      rows = await this.database.sql<ProductRow>(PRODUCTS, [last, PRODUCTS_AT_ONCE], 'product-content')
      for (const row of rows) {
        keys.push(row.id)
        content.titles.push(row.title)
        content.descriptions.push(row.description)
        content.categories.push(row.categories)
        content.brands.push(row.brand)
        prices.push(row.price ?? Number.NaN)
        attributes.push(factsOf(row.attributes))
      }
      if (rows.length < PRODUCTS_AT_ONCE) break
    }
    return { keys: Int32Array.from(keys), content: { ...content, prices: Float64Array.from(prices), attributes } }
  }

  /** What is shown while not even a baseline is there: the newest products. */
  async newest(limit: number): Promise<number[]> {
    return (await this.database.sql<{ id: number }>('SELECT id FROM "Product" ORDER BY "createdAt" DESC, id DESC LIMIT $1', [limit])).map(
      row => row.id,
    )
  }
}

type Facts = Pick<Visitor, 'id' | 'personalisation'> & Pick<Read, 'said' | 'stamp' | 'userId'>

function parsed(said: string): Facts {
  const [userId, id, stamp, granted, at, ...source] = said.split(' ')
  const personalisation =
    granted === '' ? null : { granted: granted === 't', at: new Date(Number(at)), source: JSON.parse(source.join(' ')) }
  return { said, userId: Number(userId), id: Number(id), stamp, personalisation }
}

/** `history`: what was read of it now, where it may have changed. */
function visitorOf({ said, id, personalisation }: Facts, history: History | undefined, known: Read | undefined): Visitor {
  const before = known && (!history || isAlike(history, known.visitor)) ? known.visitor : undefined
  if (before && known?.said === said) return before
  const { products, weights, times } = before ?? (history as History)
  return { id, personalisation, products, weights, times }
}

function historyOf({ products, hundredths, seconds }: HistoryRow): History {
  return {
    products: Int32Array.from(numbersOf(products)),
    weights: Float32Array.from(numbersOf(hundredths), each => each / 100),
    times: Float64Array.from(numbersOf(seconds), each => each * 1000),
  }
}

function isAlike(a: History, b: History): boolean {
  if (a.products.length !== b.products.length) return false
  return a.products.every((product, at) => product === b.products[at] && a.weights[at] === b.weights[at] && a.times[at] === b.times[at])
}

/** { colour: "red" } → ["colour=red"]; what is no text, number or boolean is left out. */
export function factsOf(attributes: unknown): string[] {
  if (typeof attributes !== 'object' || attributes === null) return []
  return Object.entries(attributes)
    .filter(([, value]) => ['string', 'number', 'boolean'].includes(typeof value))
    .slice(0, MOST_FACTS)
    .map(([name, value]) => `${name}=${String(value).slice(0, 80)}`)
}

/** "{1,2,3}" → [1, 2, 3] */
function numbersOf(array: string | null): number[] {
  return array === null ? [] : JSON.parse(`[${array.slice(1, -1)}]`)
}

type Numbers = Int32Array | Float32Array | Float64Array

/** A typed array that grows by half as rows come in. */
function growing<T extends Numbers>(type: new (length: number) => T) {
  let store = new type(4096)
  let length = 0
  return {
    push: (value: number) => {
      if (length === store.length) {
        const larger = new type(Math.ceil(length * 1.5))
        larger.set(store)
        store = larger
      }
      store[length++] = value
    },
    array: () => store.slice(0, length) as T,
  }
}
