import type pg from 'pg'
import { createRandom } from '../../src/algorithms/math/random.js'
import { copyIn } from '../../src/platform/bulk.js'

export interface ShopSize {
  users: number
  products: number
  events: number
}

const CLUSTER = 200
const TYPES = ['VIEW', 'VIEW', 'VIEW', 'ADD_TO_CART', 'PURCHASE'] as const
const NOW = Date.UTC(2026, 5, 1)
const DAY_MS = 86_400_000
/** Of a user's events the share that lies within his taste. */
const WITHIN_TASTE = 0.8

/**
 * Fills an empty shop by COPY: users whose activity, and products whose popularity, follow power laws; each user has a taste, which is a cluster of
 * two hundred products. The indexes of "Event" are made after its rows.
 */
export async function fillShop(client: pg.ClientBase, size: ShopSize): Promise<void> {
  const at = new Date(NOW - 400 * DAY_MS).toISOString()
  await copyRows(
    client,
    '"User"',
    ['id', 'externalId', 'createdAt', 'updatedAt'],
    size.users,
    row => `${row}\t${userId(row)}\t${at}\t${at}`,
  )
  const columns = ['id', 'externalId', 'title', 'categories', 'brand', 'priceMicros', 'currencyCode', 'stock', 'createdAt', 'updatedAt']
  await copyRows(client, '"Product"', columns, size.products, row => {
    const cluster = Math.floor((row - 1) / CLUSTER)
    return `${row}\tp-${row}\tProduct ${row}\t{Category ${cluster},Department ${cluster % 20}}\tBrand ${row % 97}\t${(row % 500) + 1}000000\tEUR\t${row % 40 === 0 ? 0 : 10}\t${at}\t${at}`
  })
  await fillEvents(client, size)
  for (const table of ['User', 'Product', 'Event']) {
    await client.query(`SELECT setval(pg_get_serial_sequence('"${table}"', 'id'), (SELECT max(id) FROM "${table}"))`)
    await client.query(`VACUUM (ANALYZE) "${table}"`)
  }
}

/** External id of the user in this row, from 1. */
export function userId(row: number): string {
  return `u-${row}`
}

async function fillEvents(client: pg.ClientBase, { users, products, events }: ShopSize): Promise<void> {
  const { rows: indexes } = await client.query<{ name: string; definition: string }>(
    `SELECT indexname AS name, indexdef AS definition FROM pg_indexes WHERE tablename = 'Event' AND indexname <> 'Event_pkey'`,
  )
  for (const { name } of indexes) await client.query(`DROP INDEX "${name}"`)
  const random = createRandom(1)
  const clusters = Math.ceil(products / CLUSTER)
  const columns = ['id', 'messageId', 'userId', 'productId', 'type', 'occurredAt', 'receivedAt']
  await copyRows(client, '"Event"', columns, events, row => {
    // Everybody does something once; who does more is drawn by a power law.
    const user = row <= users ? row : 1 + Math.floor(users * random.next() ** 1.6)
    const isTaste = random.next() < WITHIN_TASTE
    const cluster = (user * 2_654_435_761) % clusters
    const place = isTaste ? cluster * CLUSTER + Math.floor(CLUSTER * random.next() ** 1.5) : Math.floor(products * random.next() ** 2.2)
    const product = 1 + Math.min(place, products - 1)
    const time = new Date(NOW - Math.floor(random.next() * 180 * DAY_MS)).toISOString()
    return `${row}\tm-${row}\t${user}\t${product}\t${TYPES[row % TYPES.length]}\t${time}\t${time}`
  })
  for (const { definition } of indexes) await client.query(definition)
}

async function copyRows(
  client: pg.ClientBase,
  table: string,
  columns: readonly string[],
  rows: number,
  lineOf: (row: number) => string,
): Promise<void> {
  const copy = copyIn(client, table, columns)
  for (let row = 1; row <= rows; row++) {
    const full = copy.line(lineOf(row))
    if (full) await full
  }
  await copy.end()
}
