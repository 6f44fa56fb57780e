import autocannon from 'autocannon'
import { type Benchmark, median } from './bench.js'
import { type Platform, startPlatform } from './platform.js'

const BATCH = 100
const CONNECTIONS = 8
const ROUNDS = 5
const SECONDS = 6
const USERS = 20_000
const PRODUCTS = 2_000

const MUTATION = `mutation Track($events: [EventInput!]!) { eventsTrack(input: { events: $events }) { accepted duplicates rejected userErrors { code message } } }`

/** eventsTrack in batches of 100 that are new each time, answered after the commit; accepted events are counted in the table, not in the answers. */
export const track: Benchmark = {
  name: 'track',
  run: async ({ smoke }) => {
    const platform = await startPlatform()
    try {
      await platform.database.query(`INSERT INTO "User" ("externalId") SELECT 'user-' || n FROM generate_series(0, ${USERS - 1}) AS n`)
      await platform.database.query(
        `INSERT INTO "Product" ("externalId", title) SELECT 'sku-' || n, 'Product ' || n FROM generate_series(0, ${PRODUCTS - 1}) AS n`,
      )
      await platform.database.query('ANALYZE')
      await load(platform, smoke ? 1 : SECONDS)
      if (smoke) return []
      const rounds: number[] = []
      for (let round = 0; round < ROUNDS; round++) rounds.push(await load(platform, SECONDS))
      const { rows } = await platform.database.query('SHOW synchronous_commit')
      return [
        {
          benchmark: `eventsTrack, batches of ${BATCH}, ${CONNECTIONS} connections, synchronous_commit ${rows[0].synchronous_commit}`,
          ours: `${Math.round(median(rounds)).toLocaleString('en')} events/s`,
          peer: '–',
          ratio: '–',
          bar: '≥ 10,000 events/s',
        },
      ]
    } finally {
      await platform.stop()
    }
  },
}

let sent = 0

/** Events stored a second. */
async function load({ url, keys, database }: Platform, duration: number): Promise<number> {
  const before = await stored(database)
  const startedAt = performance.now()
  const {
    non2xx,
    errors,
    '2xx': answered,
  } = await autocannon({
    url: `${url}/graphql`,
    connections: CONNECTIONS,
    duration,
    requests: [
      {
        method: 'POST',
        headers: { authorization: `Bearer ${keys.ingest}`, 'content-type': 'application/json' },
        setupRequest: request => ({ ...request, body: body() }),
      },
    ],
  })
  const seconds = (performance.now() - startedAt) / 1000
  if (non2xx > 0 || errors > 0) throw new Error(`${non2xx} answers were no success, ${errors} requests failed`)
  const count = (await stored(database)) - before
  if (count < answered * BATCH) throw new Error(`${answered * BATCH} events were acknowledged and ${count} are stored`)
  return (answered * BATCH) / seconds
}

async function stored(database: Platform['database']): Promise<number> {
  return (await database.query('SELECT count(*)::int AS n FROM "Event"')).rows[0].n
}

function body(): string {
  const now = Date.now()
  const events = Array.from({ length: BATCH }, () => {
    const row = sent++
    return {
      messageId: `t-${now}-${row}`,
      userId: `user-${(row * 7919) % USERS}`,
      productId: `sku-${(row * 104_729) % PRODUCTS}`,
      type: row % 10 === 0 ? 'PURCHASE' : 'VIEW',
      quantity: 1 + (row % 3),
      price: ((row * 37) % 20_000) / 100,
      currency: 'EUR',
      timestamp: now,
    }
  })
  return JSON.stringify({ query: MUTATION, variables: { events } })
}
