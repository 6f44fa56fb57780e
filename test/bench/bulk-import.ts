import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { tryDecodeId } from '../../src/graphql/node-id.js'
import { copyIn } from '../../src/platform/bulk.js'
import { type Benchmark, median, type Row } from './bench.js'
import { type Platform, startPlatform } from './platform.js'

const USERS = 20_000
const PRODUCTS = 2_000
const ROUNDS = 3
const ROWS = 500_000
const MANY_ROWS = 5_000_000
const TYPES = ['VIEW', 'VIEW', 'VIEW', 'CLICK', 'ADD_TO_CART', 'PURCHASE']
const START = Date.UTC(2025, 0, 1)
const QUIET_LOOKS = 10

/** Events over HTTP, from the first byte sent to the job's end, beside a bare COPY of the rows that came of it into the same table, emptied in between. */
export const bulkImport: Benchmark = {
  name: 'bulk-import',
  run: async ({ smoke }) => {
    const platform = await startPlatform()
    try {
      await prepare(platform)
      await imported(platform, 'ndjson', smoke ? 1_000 : 50_000)
      if (smoke) return []
      const rows: Row[] = []
      for (const format of ['ndjson', 'csv'] as const) rows.push(await compare(platform, format, ROWS, ROUNDS))
      return [...rows, ...(await longFile(platform))]
    } finally {
      await platform.stop()
    }
  },
}

async function compare(platform: Platform, format: Format, count: number, rounds: number): Promise<Row> {
  const ours: number[] = []
  const theirs: number[] = []
  for (let round = 0; round < rounds; round++) {
    ours.push(count / (await imported(platform, format, count)))
    theirs.push(count / (await copied(platform, count)))
  }
  return {
    benchmark: `bulk import of ${count.toLocaleString('en')} events over HTTP (${format})`,
    ours: `${Math.round(median(ours)).toLocaleString('en')} rows/s`,
    peer: `${Math.round(median(theirs)).toLocaleString('en')} rows/s of bare COPY`,
    ratio: `${median(ours.map((rate, round) => rate / theirs[round])).toFixed(2)} ×`,
    bar: '≥ 0.5 ×',
  }
}

/** The memory of a long import: how far server and worker grow beyond what they held after a short one. */
async function longFile(platform: Platform): Promise<Row[]> {
  const before = platform.residentMegabytes()
  let most = before
  const timer = setInterval(() => {
    most = Math.max(most, platform.residentMegabytes())
  }, 100)
  const row = await compare(platform, 'ndjson', MANY_ROWS, 1).finally(() => clearInterval(timer))
  const memory = {
    benchmark: `the same, growth of resident memory (server and worker)`,
    ours: `${(most - before).toFixed(0)} MB (${before.toFixed(0)} → ${most.toFixed(0)})`,
    peer: '–',
    ratio: '–',
    bar: '< 150 MB',
  }
  return [row, memory]
}

async function prepare({ database }: Platform) {
  await database.query(`INSERT INTO "User" ("externalId") SELECT 'user-' || n FROM generate_series(0, ${USERS - 1}) AS n`)
  await database.query(
    `INSERT INTO "Product" ("externalId", title) SELECT 'sku-' || n, 'Product ' || n FROM generate_series(0, ${PRODUCTS - 1}) AS n`,
  )
  await database.query('ANALYZE')
}

/** Empties the table and imports; seconds from the request to the end of the job. */
async function imported(platform: Platform, format: Format, count: number): Promise<number> {
  const { url, keys, database } = platform
  await settle(platform)
  const headers = { authorization: `Bearer ${keys.ingest}`, 'content-type': format === 'csv' ? 'text/csv' : 'application/x-ndjson' }
  const startedAt = performance.now()
  const body = Readable.toWeb(Readable.from(file(format, count)))
  const response = await fetch(`${url}/v1/import/events`, { method: 'POST', headers, body, duplex: 'half' } as unknown as RequestInit)
  const { jobId, error } = (await response.json()) as { jobId?: string; error?: string }
  if (!jobId) throw new Error(`The import was refused: ${error}`)
  for (;;) {
    const { rows } = await database.query('SELECT state, error FROM "Job" WHERE id = $1', [tryDecodeId(jobId)?.key])
    if (rows[0]?.state === 'COMPLETED') break
    if (rows[0]?.state === 'FAILED') throw new Error(`The import failed: ${rows[0].error}`)
    await sleep(50)
  }
  const seconds = (performance.now() - startedAt) / 1000
  const { rows } = await database.query('SELECT count(*)::int AS n FROM "Event"')
  if (rows[0].n !== count) throw new Error(`${rows[0].n} of ${count} events were stored`)
  return seconds
}

/** Takes the events out, empties the table, and copies the same rows in; seconds of the COPY alone. */
async function copied(platform: Platform, count: number): Promise<number> {
  const { database } = platform
  await database.query('CREATE TEMP TABLE kept AS SELECT * FROM "Event"')
  const { rows: columns } = await database.query<{ attname: string }>(
    `SELECT attname FROM pg_attribute WHERE attrelid = '"Event"'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum`,
  )
  const names = columns.map(({ attname }) => attname)
  const text = `SELECT concat_ws(E'\\t', ${names.map(name => `COALESCE("${name}"::text, '\\N')`).join(', ')}) AS line FROM kept`
  const { rows } = await database.query<{ line: string }>({ text })
  await database.query('DROP TABLE kept')
  const chunks: Buffer[] = []
  for (let from = 0; from < rows.length; from += 2_000)
    chunks.push(
      Buffer.from(
        `${rows
          .slice(from, from + 2_000)
          .map(({ line }) => line)
          .join('\n')}\n`,
      ),
    )
  rows.length = 0
  await settle(platform)
  const startedAt = performance.now()
  const copy = copyIn(database, '"Event"', names)
  for (const chunk of chunks) await copy.text(chunk)
  const stored = await copy.end()
  const seconds = (performance.now() - startedAt) / 1000
  if (stored !== count) throw new Error(`COPY stored ${stored} of ${count} rows`)
  return seconds
}

/** The same start for both: an empty table, nothing left to be written by the other's turn, and no profiles under way that are made of what it brought. */
async function settle({ database }: Platform) {
  await database.query('TRUNCATE "Event"')
  for (let quiet = 0; quiet < QUIET_LOOKS; quiet++) {
    await sleep(100)
    const { rows } = await database.query(`SELECT 1 FROM "Job" WHERE state IN ('WAITING', 'ACTIVE') LIMIT 1`)
    if (rows.length > 0) quiet = 0
  }
  await database.query('CHECKPOINT')
}

type Format = 'ndjson' | 'csv'

function* file(format: Format, count: number): Generator<Buffer> {
  let text = format === 'csv' ? 'messageId,userId,productId,type,quantity,price,currency,timestamp\n' : ''
  for (let row = 0; row < count; row++) {
    // A multiplicative step visits users and products in no order, and the same one every time.
    const user = `user-${(row * 7919) % USERS}`
    const product = `sku-${(row * 104_729) % PRODUCTS}`
    const type = TYPES[row % TYPES.length]
    const time = new Date(START + row * 5_000).toISOString()
    const price = ((row * 37) % 20_000) / 100
    text +=
      format === 'csv'
        ? `m-${row},${user},${product},${type},${1 + (row % 3)},${price},EUR,${time}\n`
        : `{"messageId":"m-${row}","userId":"${user}","productId":"${product}","type":"${type}","quantity":${1 + (row % 3)},"price":${price},"currency":"EUR","timestamp":"${time}"}\n`
    if (text.length < 256 * 1024) continue
    yield Buffer.from(text)
    text = ''
  }
  yield Buffer.from(text)
}
