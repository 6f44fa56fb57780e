import { request } from 'node:http'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { createClient } from 'graphql-ws'
import WebSocket from 'ws'
import { ImportRepository } from '../../../src/events/import.repository.js'
import type { Batch } from '../../../src/events/import-batch.js'
import { IMPORT_KINDS } from '../../../src/events/import-kinds.js'
import { rejectLine, rowsOf } from '../../../src/events/import-rows.js'
import { tryDecodeId } from '../../../src/graphql/node-id.js'
import { eventually, startTestApp, type TestApp } from '../../support/app.js'
import { finished, imported, rejects, upload } from '../../support/imports.js'

let house: TestApp
beforeAll(async () => {
  house = await startTestApp()
  await house.startWorker()
}, 60_000)
afterAll(() => house.close())

const count = async (where: string, ...params: unknown[]) =>
  (
    await house.app.database.sql<{ n: number }>(
      `SELECT count(*)::int AS n FROM "Event" e JOIN "User" u ON u.id = e."userId" WHERE ${where}`,
      params,
    )
  )[0].n
const HEADER = 'messageId,userId,productId,type,quantity,price,timestamp'
const rowOf = (id: string, user: string) => `${id},${user},tea,PURCHASE,1,2.50,2026-01-01T00:00:00Z`

describe('a file', () => {
  test('is answered by 202 and a job, and merged once however often it is sent, as CSV, NDJSON or gzip', async () => {
    const csv = `${HEADER}\n${rowOf('a1', 'ann')}\n${rowOf('a2', 'ann')}\n`
    const { status, body } = await upload(house, 'events', csv)
    expect([status, body]).toEqual([202, { jobId: expect.any(String) }])
    expect(await finished(house, body.jobId)).toMatchObject({
      state: 'COMPLETED',
      rowsRead: 2,
      rowsMerged: 2,
      rowsDuplicate: 0,
      rowsRejected: 0,
    })
    expect(await imported(house, 'events', gzipSync(csv), { headers: { 'content-encoding': 'gzip' } })).toMatchObject({ rowsDuplicate: 2 })
    const json = ['a1', 'a2', 'a3']
      .map(messageId => JSON.stringify({ messageId, userId: 'ann', productId: 'tea', type: 'VIEW' }))
      .join('\n')
    expect(await imported(house, 'events', json, { format: 'ndjson' })).toMatchObject({ rowsMerged: 1, rowsDuplicate: 2 })
    expect(await count(`u."externalId" = 'ann'`)).toBe(3)
    // One id names the job at every door, and the key inside it is understood by this one.
    const { data } = await house.as('ingest').run('query($id: ID!) { job(id: $id) { id name state } }', { id: body.jobId })
    expect(data).toEqual({ job: { id: body.jobId, name: 'import', state: 'COMPLETED' } })
    expect(await finished(house, tryDecodeId(body.jobId)?.key as string)).toMatchObject({ jobId: body.jobId, rowsRead: 2 })
    const nobody = await fetch(`${house.url}/v1/import/%00`, { headers: { authorization: `Bearer ${house.keys.ingest}` } })
    expect(nobody.status).toBe(404)
  })

  test('with equal rows that have no id keeps them all, and is known again when it is sent again', async () => {
    const csv = `userId,type,timestamp\n${'noid,VIEW,2026-01-01T00:00:00Z\n'.repeat(3)}`
    expect(await imported(house, 'events', csv)).toMatchObject({ rowsMerged: 3 })
    expect(await imported(house, 'events', csv)).toMatchObject({ rowsMerged: 0, rowsDuplicate: 3 })
  })

  test('of a spreadsheet may have columns without a name', async () => {
    expect(await imported(house, 'events', 'userId,type,,\ncol,VIEW,,\n')).toMatchObject({ rowsMerged: 1 })
  })

  test('takes decimal numbers only', async () => {
    const done = await imported(house, 'events', 'userId,type,price\nnum,VIEW,0x10\nnum,VIEW,1e1\nnum,VIEW, 2.50 \nnum,VIEW,1 000\n')
    expect(done).toMatchObject({ rowsMerged: 2, rowsRejected: 2 })
    expect(await rejects(house, done.jobId)).toContain('price must be a number, not ""0x10""')
  })

  test.each(['csv', 'ndjson'] as const)(
    'of several batches (%s) stores each event once where some were there already, and the first of two',
    async format => {
      const ROWS = 45_000
      const PER_USER = 50
      const timestamp = '2026-01-01T08:00:00+08:00'
      // Rows of the second batch repeat what an earlier file and the first batch brought; some rows have to be read one by one, and some are at fault.
      const idOf = (row: number) => (row === 27_000 ? `${format}-known` : row === 27_001 ? `${format}-3` : `${format}-${row}`)
      const record = (row: number) => ({
        messageId: idOf(row),
        userId: `many-${format}-${row % PER_USER}`,
        productId: row % 5_000 === 1 ? `tea-茶-${row}` : 'tea',
        type: row % 9_000 === 2 ? 'GIVE' : 'PURCHASE',
        quantity: 1,
        price: row / 100,
        timestamp,
      })
      const text = (rows: readonly object[]) =>
        format === 'csv' ? [Object.keys(rows[0]), ...rows.map(Object.values)].join('\n') : rows.map(row => JSON.stringify(row)).join('\n')
      expect(await imported(house, 'events', text([{ ...record(27_000), price: 9 }]), { format })).toMatchObject({ rowsMerged: 1 })
      const status = await imported(house, 'events', text(Array.from({ length: ROWS }, (_, row) => record(row))), { format })
      expect(status).toMatchObject({ rowsRead: ROWS, rowsMerged: ROWS - 7, rowsDuplicate: 2, rowsRejected: 5 })
      const [stored] = await house.app.database.sql<{ n: number; micros: bigint; strange: number; users: number }>(
        `SELECT count(*)::int AS n, sum(e."priceMicros")::bigint AS micros, (count(*) FILTER (WHERE p."externalId" LIKE 'tea-茶-%'))::int AS strange, count(DISTINCT e."userId")::int AS users
       FROM "Event" e JOIN "Product" p ON p.id = e."productId" WHERE e."messageId" LIKE $1 AND e."occurredAt" = '2026-01-01T00:00:00Z'`,
        [`${format}-%`],
      )
      const kept = Array.from({ length: ROWS }, (_, row) => row).filter(row => row % 9_000 !== 2 && row !== 27_000 && row !== 27_001)
      const micros = kept.reduce((sum, row) => sum + row * 10_000, 9_000_000)
      expect(stored).toEqual({
        n: ROWS - 6,
        micros: BigInt(micros),
        strange: kept.filter(row => row % 5_000 === 1).length,
        users: PER_USER,
      })
      expect((await rejects(house, status.jobId)).split('\n').filter(line => line.includes('GIVE'))).toHaveLength(5)
    },
  )

  test('with one messageId twice stores the first', async () => {
    const csv = `${HEADER}\n${rowOf('d1', 'first')}\n${rowOf('d1', 'second')}\n`
    expect(await imported(house, 'events', csv)).toMatchObject({ rowsMerged: 1, rowsDuplicate: 1 })
    expect([await count(`u."externalId" = 'first'`), await count(`u."externalId" = 'second'`)]).toEqual([1, 0])
  })

  test('may name its columns otherwise, leave out the zone, and lack a column that is constant', async () => {
    const csv = 'Customer,When,Item\nzoe,2026-01-02 08:00:00,tea\n'
    const mapping = JSON.stringify({ userId: 'Customer', timestamp: 'When', productId: 'Item', type: '=CLICK' })
    expect(await imported(house, 'events', csv, { query: { mapping, zone: '+08:00' } })).toMatchObject({ rowsMerged: 1 })
    const [row] = await house.app.database.sql(
      `SELECT e.type, e."occurredAt" FROM "Event" e JOIN "User" u ON u.id = e."userId" WHERE u."externalId" = 'zoe'`,
    )
    expect(row).toEqual({ type: 'CLICK', occurredAt: new Date('2026-01-02T00:00:00Z') })
  })

  test('takes a zone whose plus was not escaped, as people write it into an address', async () => {
    const { port } = new URL(house.url)
    const path = '/v1/import/events?zone=+08:00'
    const headers = { authorization: `Bearer ${house.keys.ingest}`, 'content-type': 'text/csv' }
    const answer = await new Promise<number | undefined>(done =>
      request({ port, path, method: 'POST', headers }, response => done(response.resume().statusCode)).end(
        'userId,type,timestamp\nzoe,VIEW,2026-01-02 08:00\n',
      ),
    )
    expect(answer).toBe(202)
  })

  test('whose job was cancelled before it ran, or given up, says so', async () => {
    const { body } = await upload(house, 'events', `${HEADER}\n${rowOf('never', 'eve')}\n`)
    await finished(house, body.jobId)
    const key = tryDecodeId(body.jobId)?.key as string
    await eventually(async () => (await house.app.jobs.get(key))?.state === 'COMPLETED')
    for (const [state, error] of [
      ['CANCELLED', null],
      ['FAILED', 'the database was away'],
    ]) {
      await house.app.database.sql(`UPDATE "Import" SET state = 'RUNNING', "finishedAt" = NULL WHERE "jobId" = $1`, [key])
      await house.app.database.sql('UPDATE "Job" SET state = $2::"JobState", error = $3 WHERE id = $1', [key, state, error])
      expect(await finished(house, body.jobId, 1_000)).toMatchObject({ state, error, finishedAt: expect.any(String) })
    }
  })

  test('of users and products creates and completes them; stubs become products', async () => {
    await imported(
      house,
      'users',
      'externalId,email,city,country,birthYear,timeZone\nann,ann@example.com,Bonn,DE,1990,Europe/Berlin\nben,,Köln,DE,,\n',
    )
    await imported(house, 'users', '{"externalId":"ann","traits":{"plan":"gold"}}', { format: 'ndjson' })
    const [ann] = await house.app.database.sql(`SELECT email, city, "birthYear", "timeZone", traits FROM "User" WHERE "externalId" = 'ann'`)
    expect(ann).toEqual({ email: 'ann@example.com', city: 'Bonn', birthYear: 1990, timeZone: 'Europe/Berlin', traits: { plan: 'gold' } })
    await imported(house, 'products', 'externalId,title,categories,price,stock\ntea,Green tea,drinks|tea,4.20,7\n')
    const [tea] = await house.app.database.sql(
      `SELECT title, stub, categories, "priceMicros", "currencyCode", stock FROM "Product" WHERE "externalId" = 'tea'`,
    )
    expect(tea).toEqual({
      title: 'Green tea',
      stub: false,
      categories: ['drinks', 'tea'],
      priceMicros: 4_200_000n,
      currencyCode: 'EUR',
      stock: 7,
    })
    // Rows of one file complete each other as two files do.
    await imported(house, 'users', 'externalId,email,city,traits\nida,ida@example.com,,"{""a"":1,""b"":1}"\nida,,Ulm,"{""b"":2}"\n')
    const [ida] = await house.app.database.sql(`SELECT email, city, traits FROM "User" WHERE "externalId" = 'ida'`)
    expect(ida).toEqual({ email: 'ida@example.com', city: 'Ulm', traits: { a: 1, b: 2 } })
    const rows = 'externalId,title,categories,brand,price\ncup,Cup,home|cups,Kilnwork,9\ncup,Blue cup,,,\n'
    expect(await imported(house, 'products', rows)).toMatchObject({ rowsMerged: 1, rowsDuplicate: 1 })
    const [cup] = await house.app.database.sql(`SELECT title, categories, brand, "priceMicros" FROM "Product" WHERE "externalId" = 'cup'`)
    expect(cup).toEqual({ title: 'Blue cup', categories: ['home', 'cups'], brand: 'Kilnwork', priceMicros: 9_000_000n })
    await imported(house, 'reviews', '{"externalId":"r1","userId":"ann","productId":"tea","text":"很好喝","rating":5}', {
      format: 'ndjson',
    })
    const [review] = await house.app.database.sql(`SELECT text, rating FROM "Review" WHERE "externalId" = 'r1'`)
    expect(review).toEqual({ text: '很好喝', rating: 5 })
  })
})

describe('rejected rows', () => {
  test('of a CSV are kept with line and reason, and the file can be fixed and sent again', async () => {
    const csv = `${HEADER}\n${rowOf('r1', 'rob')}\nr2,rob,tea,PURCHASE,1,-3,2026-01-01T00:00:00Z\nr3,rob,tea,BUY,1,3,2026-01-01T00:00:00Z\nr4,rob\n"r5","rob ""the"" buyer","tea,\ngreen",PURCHASE,x,3,2026-01-01T00:00:00Z\n${rowOf('r6', 'rob')}\n`
    const first = await imported(house, 'events', csv)
    expect(first).toMatchObject({ rowsRead: 6, rowsMerged: 2, rowsRejected: 4 })
    const file = await rejects(house, first.jobId)
    expect(file.split('\n').filter(line => line.includes('_line') || /,\d+,"/.test(line))).toEqual([
      `${HEADER},_line,_reason`,
      'r2,rob,tea,PURCHASE,1,-3,2026-01-01T00:00:00Z,3,"price must not be negative, it is -3"',
      expect.stringMatching(/^r3,rob,tea,BUY,1,3,2026-01-01T00:00:00Z,4,"type must be one of .*, not ""BUY"""$/),
      'r4,rob,5,"the row has 2 cells, the header 7"',
      'green",PURCHASE,x,3,2026-01-01T00:00:00Z,6,"quantity must be a number, not ""x"""',
    ])
    const again = await imported(house, 'events', file)
    expect(again).toMatchObject({ rowsMerged: 0, rowsRejected: 4 })
    expect((await rejects(house, again.jobId)).split('\n')[0]).toBe(`${HEADER},_line,_reason`)
    const fixed = file
      .replace(',-3,', ',3,')
      .replace('BUY', 'PURCHASE')
      .replace('r4,rob,5', 'r4,rob,tea,PURCHASE,1,3,2026-01-01T00:00:00Z,5')
      .replace(',x,', ',5,')
    expect(await imported(house, 'events', fixed)).toMatchObject({ rowsMerged: 4, rowsRejected: 0 })
    expect(await count(`u."externalId" LIKE 'rob%'`)).toBe(6)
    expect(await count(`u."externalId" = 'rob "the" buyer' AND e.quantity = 5`)).toBe(1)
  })

  test('of an NDJSON are kept to the last digit, and can be fixed and sent again', async () => {
    const lines = [
      '{"messageId":"n1","userId":"nat","type":"VIEW","value":12345678901234567890}',
      '{"messageId":"n2","userId":"nat","type":"VIEW","userId":"two"}',
      'not json',
      '[1]',
      '{"messageId":"n3","userId":"nat","type":"VIEW"}',
    ]
    const first = await imported(house, 'events', lines.join('\n'), { format: 'ndjson' })
    expect(first).toMatchObject({ rowsRead: 5, rowsMerged: 1, rowsRejected: 4 })
    const file = await rejects(house, first.jobId)
    const [large, twice, text, list] = file.trim().split('\n')
    expect(large).toContain('"value":12345678901234567890,"_line":1,"_reason":"value must be from')
    expect(JSON.parse(twice)).toMatchObject({ _line: 2, _reason: 'the name "userId" is given twice' })
    expect(JSON.parse(text)).toMatchObject({ _line: 3, _raw: 'not json', _reason: expect.stringContaining('the line is not JSON') })
    expect(JSON.parse(list)).toMatchObject({ _line: 4, _raw: '[1]', _reason: 'the line is not a JSON object' })
    const fixed = large.replace('12345678901234567890', '1')
    expect(await imported(house, 'events', fixed, { format: 'ndjson' })).toMatchObject({ rowsMerged: 1 })
  })

  test('are named for unknown references where the configuration says so', async () => {
    const strict = await startTestApp({ unknownReferences: 'reject' })
    await strict.startWorker()
    try {
      await imported(strict, 'users', 'externalId\neva\n')
      await imported(strict, 'products', 'externalId,title\ntea,Tea\n')
      const csv =
        'messageId,userId,anonymousId,productId,type\nx1,eva,,tea,VIEW\nx2,nobody,,tea,VIEW\nx3,eva,,nothing,VIEW\nx4,,cookie,tea,VIEW\n'
      const done = await imported(strict, 'events', csv)
      expect(done).toMatchObject({ rowsMerged: 2, rowsRejected: 2 })
      expect((await rejects(strict, done.jobId)).split('\n').slice(1, 3)).toEqual([
        'x2,nobody,,tea,VIEW,3,"userId names nobody"',
        'x3,eva,,nothing,VIEW,4,"productId names no product"',
      ])
      const texts = await imported(strict, 'reviews', 'userId,productId,text\neva,tea,Good\nnobody,nothing,Bad\neva,nothing,Odd\n,,Fine\n')
      expect(texts).toMatchObject({ rowsMerged: 2, rowsRejected: 2 })
      expect((await rejects(strict, texts.jobId)).split('\n').slice(1, 3)).toEqual([
        expect.stringMatching(/^nobody,nothing,Bad,3,"(userId names nobody|productId names no product)"$/),
        'eva,nothing,Odd,4,"productId names no product"',
      ])
      const strangers = `SELECT 1 FROM "User" WHERE "externalId" = 'nobody' UNION ALL SELECT 1 FROM "Product" WHERE "externalId" = 'nothing'`
      expect(await strict.app.database.sql(strangers)).toEqual([])
    } finally {
      await strict.close()
    }
  }, 90_000)
})

test('progress goes over the subscription: rows, rows/s, time to go, and the counts at the end', async () => {
  const body = `${HEADER}\n${Array.from({ length: 120_000 }, (_, row) => rowOf(`p${row}`, `u${row % 500}`)).join('\n')}\n`
  const { body: answer } = await upload(house, 'events', body)
  const client = createClient({
    url: `${house.url.replace('http', 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    connectionParams: { authorization: `Bearer ${house.keys.ingest}` },
  })
  interface Update {
    jobUpdated: { state: string; progress: number; message: string | null; result: Record<string, number> | null }
  }
  const updates: Update['jobUpdated'][] = []
  const watch = client.iterate<Update>({
    query: 'subscription($id: ID!) { jobUpdated(id: $id) { state progress message result } }',
    variables: { id: answer.jobId },
  })
  for await (const { data } of watch) if (data) updates.push(data.jobUpdated)
  await client.dispose()
  const steps = updates
    .map(({ message }) => /^(\d+) rows read, (\d+) rows\/s, (\d+) s to go$/.exec(message ?? ''))
    .filter(step => step !== null)
  expect(steps.length).toBeGreaterThan(0)
  expect(updates.map(({ progress }) => progress)).toEqual([...updates.map(({ progress }) => progress)].sort((a, b) => a - b))
  expect(updates.at(-1)).toMatchObject({
    state: 'COMPLETED',
    progress: 1,
    result: { rowsRead: 120_000, rowsMerged: 120_000, rowsRejected: 0 },
  })
}, 240_000)

describe('an upload that cannot be right is refused before anything is kept', () => {
  const bad: [name: string, kind: string, body: BodyInit, options: Parameters<typeof upload>[3], status: number, reason: RegExp][] = [
    ['an empty file', 'events', '', {}, 400, /The file is empty/],
    [
      'a missing header',
      'events',
      `${rowOf('h1', 'h')}\n`,
      {},
      400,
      /The header lacks userId or anonymousId, and type for events; it has h1, h, tea/,
    ],
    ['a header that lacks a column', 'events', 'userId,productId\nu,p\n', {}, 400, /The header lacks type for events/],
    ['a header that names a column twice', 'events', 'userId,type,userId\nu,VIEW,v\n', {}, 400, /The header names "userId" twice/],
    ['a header with an open quote', 'events', '"userId,type\nu,VIEW\n', {}, 400, /In the header a quote is opened and never closed/],
    ['old Mac line ends', 'events', 'userId,type\ru,VIEW\r', {}, 400, /The lines of the file end in CR alone/],
    [
      'data without a header',
      'events',
      'm,u,p,VIEW,,,,2026-01-01T00:00:00Z\n',
      {},
      400,
      /The header lacks userId or anonymousId, and type/,
    ],
    ['blank lines only', 'events', '\n\n\n', {}, 400, /no header line/],
    [
      'a packed file with a bad header',
      'events',
      gzipSync('a,b\n1,2\n'),
      { headers: { 'content-encoding': 'gzip' } },
      400,
      /The header lacks/,
    ],
    [
      'a packed file that breaks off',
      'events',
      gzipSync(`${HEADER}\n${rowOf('g', 'g')}\n`.repeat(500)).subarray(0, 60),
      { headers: { 'content-encoding': 'gzip' } },
      400,
      /not whole gzip/,
    ],
    ['what is said to be packed and is not', 'events', HEADER, { headers: { 'content-encoding': 'gzip' } }, 400, /not whole gzip/],
    ['what is packed and not said to be', 'events', gzipSync(HEADER), {}, 400, /send it with content-encoding: gzip/],
    ['UTF-16', 'events', Buffer.from(`\uFEFF${HEADER}\n`, 'utf16le'), {}, 400, /UTF-16/],
    ['another packing', 'events', HEADER, { headers: { 'content-encoding': 'br' } }, 415, /only content-encoding is gzip/],
    [
      'another format',
      'events',
      HEADER,
      { headers: { 'content-type': 'application/xml' } },
      415,
      /application\/x-ndjson or text\/csv, not application\/xml/,
    ],
    ['an unknown kind', 'orders', HEADER, {}, 404, /no kind of import "orders"; there are users, products, events/],
    ['a kind that every object has', '__proto__', HEADER, {}, 404, /no kind of import/],
    ['a mapping that is no JSON', 'events', HEADER, { query: { mapping: '{' } }, 400, /mapping must be JSON/],
    ['a mapping of lists', 'events', HEADER, { query: { mapping: '{"a":[]}' } }, 400, /mapping must be an object of texts/],
    [
      'a mapping to a column that is absent',
      'events',
      `${HEADER}\n`,
      { query: { mapping: '{"userId":"Kunde"}' } },
      400,
      /names the column "Kunde", which the header lacks/,
    ],
    [
      'a mapping to what we do not have',
      'events',
      HEADER,
      { query: { mapping: '{"userID":"userId"}' } },
      400,
      /names "userID", which events do not have; they have messageId, userId/,
    ],
    ['a zone that is none', 'events', HEADER, { query: { zone: 'Berlin' } }, 400, /zone must be Z or like/],
    ['a key without the scope', 'events', HEADER, { headers: { authorization: 'Bearer nonsense' } }, 401, /./],
  ]
  test.each(bad)('%s', async (_name, kind, body, options, status, reason) => {
    const answer = await upload(house, kind, body, options)
    expect([answer.status, answer.body.error]).toEqual([status, expect.stringMatching(reason)])
    expect(await house.app.database.sql(`SELECT 1 FROM "Import" WHERE state IN ('RECEIVING', 'WAITING')`)).toEqual([])
  })

  test('a client that disconnects midway, with or without a stated length, leaves nothing behind', async () => {
    for (const headers of [{ 'content-length': 5_000_000 }, { 'transfer-encoding': 'chunked' }]) {
      const sending = request(`${house.url}/v1/import/events`, {
        method: 'POST',
        headers: { authorization: `Bearer ${house.keys.ingest}`, 'content-type': 'text/csv', ...headers },
      })
      sending.on('error', () => {})
      sending.write(`${HEADER}\n${`${rowOf('cut', 'cut')}\n`.repeat(40_000)}`)
      await eventually(async () => (await house.app.database.sql('SELECT 1 FROM "ImportChunk"')).length > 0)
      sending.destroy()
      await eventually(async () => (await house.app.database.sql(`SELECT 1 FROM "Import" WHERE state = 'RECEIVING'`)).length === 0)
    }
    expect(await house.app.database.sql('SELECT 1 FROM "ImportChunk"')).toEqual([])
    expect(await count(`u."externalId" = 'cut'`)).toBe(0)
  })
})

test('the reject file, whose rows hold what is personal, is for who sent it and who may read such', async () => {
  const { jobId } = await imported(house, 'users', 'externalId,email,birthYear\nprivate,kim@example.com,3000\n')
  const statusOf = async (kind: 'admin' | 'marketer' | 'campaign' | 'ingest') => {
    const response = await fetch(`${house.url}/v1/import/${jobId}/rejects`, { headers: { authorization: `Bearer ${house.keys[kind]}` } })
    expect((await response.text()).includes('kim@example.com')).toBe(response.ok)
    return response.status
  }
  expect([await statusOf('ingest'), await statusOf('admin'), await statusOf('marketer'), await statusOf('campaign')]).toEqual([
    200, 200, 403, 403,
  ])
})

test('an import that fails stands in systemHealth with the sentence, until one of its kind goes well', async () => {
  const { sql } = house.app.database
  const stage = async () => {
    const { data } = await house.as('admin').run('{ systemHealth { stage state reason } }')
    return (data as unknown as { systemHealth: { stage: string }[] }).systemHealth.find(each => each.stage === 'import users')
  }
  const { jobId } = await imported(house, 'users', 'externalId\nhealthy\n')
  const [{ id }] = await sql<{ id: string }>('SELECT id FROM "Import" WHERE "jobId" = $1', [tryDecodeId(jobId)?.key])
  await sql('INSERT INTO "ImportChunk" ("importId", seq, data) VALUES ($1, 0, $2)', [id, Buffer.from('city,city\nBonn,Bonn\n')])
  const run = house.app.imports.run(id, { signal: new AbortController().signal, progress: async () => {} })
  await expect(run).rejects.toThrow('The header names "city" twice')
  expect(await stage()).toEqual({ stage: 'import users', state: 'failed', reason: 'The header names "city" twice' })
  await imported(house, 'users', 'externalId\nhealthy\n')
  expect(await stage()).toEqual({ stage: 'import users', state: 'ok', reason: null })
})

test('the bytes of an import that failed or was cancelled stay while it can be begun again, and no longer', async () => {
  const { sql } = house.app.database
  const chunksOf = async (id: string) => (await sql('SELECT 1 FROM "ImportChunk" WHERE "importId" = $1', [id])).length
  const { jobId } = await imported(house, 'events', `${HEADER}\n${rowOf('kept', 'kim')}\n`)
  const [{ id }] = await sql<{ id: string }>('SELECT id FROM "Import" WHERE "jobId" = $1', [tryDecodeId(jobId)?.key])
  await sql(`UPDATE "Import" SET state = 'FAILED' WHERE id = $1`, [id])
  await sql('INSERT INTO "ImportChunk" ("importId", seq, data) VALUES ($1, 0, $2)', [id, Buffer.from(HEADER)])
  await house.app.imports.discardAbandoned(24)
  expect(await chunksOf(id)).toBe(1)
  await sql('DELETE FROM "Job" WHERE id = $1', [tryDecodeId(jobId)?.key])
  await house.app.imports.discardAbandoned(24)
  expect(await chunksOf(id)).toBe(0)
})

test.each([
  ['csv' as const, 'messageId,userId,type,prise,,Colour\nu1,uma,VIEW,5,,red\nu2,uma,VIEW,5,,red\n', {}, ['prise', 'Colour']],
  [
    'ndjson' as const,
    '{"messageId":"u3","userId":"uma","type":"VIEW"}\n{"messageId":"u4","userId":"uma","type":"VIEW","Price":5}\n',
    {},
    ['Price'],
  ],
  ['csv' as const, 'id,who,type,note\nu5,uma,VIEW,x\n', { mapping: '{"messageId":"id","userId":"who"}' }, ['note']],
  ['csv' as const, 'messageId,userId,type,_line,_reason\nu6,uma,VIEW,2,"was wrong"\n', {}, []],
])('a name that nothing reads is told (%#)', async (format, body, query, unread) => {
  const { jobId, ...status } = await imported(house, 'events', body, { format, query: query as Record<string, string> })
  expect(status).toMatchObject({ rowsRejected: 0, unread })
  const look = () => house.as('admin').run('query ($id: ID!) { job(id: $id) { state message result } }', { id: jobId })
  const told = unread.length > 0 ? `0 rejected; nothing reads ${unread.map(name => `"${name}"`).join(', ')}$` : '0 rejected$'
  const data = await eventually(async () => {
    const answer = (await look()).data as { job: { state: string } } | null
    return answer?.job.state === 'COMPLETED' && answer
  })
  expect(data).toMatchObject({ job: { message: expect.stringMatching(told), result: { unread } } })
})

describe('the rows of a file', () => {
  type Row = { line: number; record?: unknown; fault?: string }
  const read = async (text: string | Buffer, format: 'csv' | 'ndjson' = 'csv', size = 1_000_000): Promise<Row[]> => {
    const bytes = Buffer.from(text as string)
    async function* pieces() {
      for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
    }
    const rows: Row[] = []
    for await (const part of rowsOf(pieces(), format))
      rows.push(...part.map(row => row.read()).map(({ line, record, fault }) => (record ? { line, record } : { line, fault })))
    return rows
  }

  test('that are rejected a second time bear the notes of the second time only', async () => {
    const resend = 'a,b,_line,_reason\n1,"open,7,"a quote is opened and never closed"\n1,2,3,8,"the row has 3 cells, the header 2"\n'
    async function* pieces() {
      yield Buffer.from(resend)
    }
    const rejected: string[] = []
    for await (const rows of rowsOf(pieces(), 'csv'))
      for (const { line, raw, fault } of rows.map(row => row.read())) rejected.push(rejectLine('csv', { line, raw, reason: fault ?? '' }))
    expect(rejected).toEqual(['1,"open,2,"a closing quote is followed by text"\n', '1,2,3,3,"the row has 3 cells, the header 2"\n'])
  })

  test('are the same however the bytes are cut, with BOM, CRLF, quotes across lines and letters of four bytes', async () => {
    const csv = '\uFEFFa,b\r\n1,"x, ""y""\r\nz"\r\n\r\n"茶🍵",\r\nlast,"end"'
    const expected = [
      { line: 2, record: { a: '1', b: 'x, "y"\r\nz' } },
      { line: 5, record: { a: '茶🍵', b: '' } },
      { line: 6, record: { a: 'last', b: 'end' } },
    ]
    for (const size of [1, 2, 3, 5, 7, 11, 1000]) expect(await read(csv, 'csv', size)).toEqual(expected)
    const json = '\uFEFF{"a":"茶🍵"}\r\n\r\n{"a":"\uFFFD"}\n{"a":1}'
    const lines = [
      { line: 1, record: { a: '茶🍵' } },
      { line: 3, record: { a: '\uFFFD' } },
      { line: 4, record: { a: 1 } },
    ]
    for (const size of [1, 2, 3, 5, 1000]) expect(await read(json, 'ndjson', size)).toEqual(lines)
  })

  test('that are no UTF-8, or not closed, are refused alone', async () => {
    const bytes = Buffer.concat([
      Buffer.from('a,b\n1,'),
      Buffer.from([0xc3, 0x28]),
      Buffer.from('\n2,"open\n3,ok\n4,"shut"more\n5,in"side\n'),
    ])
    expect(await read(bytes)).toEqual([
      { line: 2, fault: 'the line is not UTF-8' },
      { line: 3, fault: 'a closing quote is followed by text' },
      { line: 4, record: { a: '3', b: 'ok' } },
      { line: 5, fault: 'a closing quote is followed by text' },
      { line: 6, record: { a: '5', b: 'in"side' } },
    ])
    expect(await read('a,b\n1,"never closed\n2,x\n3,y\n')).toEqual([
      { line: 2, fault: 'a quote is opened and never closed' },
      { line: 3, record: { a: '2', b: 'x' } },
      { line: 4, record: { a: '3', b: 'y' } },
    ])
    expect(await read(Buffer.concat([Buffer.from('{"a":"'), Buffer.from([0xff]), Buffer.from('"}\n{"a":1}\n')]), 'ndjson')).toEqual([
      { line: 1, fault: 'the line is not UTF-8' },
      { line: 2, record: { a: 1 } },
    ])
  })

  test('of 10 MB are refused, and the next one is read', async () => {
    for (const format of ['ndjson', 'csv'] as const) {
      const rows = await read(
        `${format === 'csv' ? 'a\n' : ''}${'x'.repeat(10_000_000)}\n${format === 'csv' ? 'y' : '{"a":"y"}'}\n`,
        format,
        65_536,
      )
      expect(rows).toEqual([
        { line: format === 'csv' ? 2 : 1, fault: expect.stringContaining('more than 1048576 characters') },
        { line: format === 'csv' ? 3 : 2, record: { a: 'y' } },
      ])
    }
  })

  test('nested 100,000 levels deep are refused', async () => {
    const deep = `{"messageId":"deep","userId":"deep","type":"VIEW","properties":{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}}`
    const done = await imported(house, 'events', `${deep}\n{"messageId":"flat","userId":"deep","type":"VIEW"}`, { format: 'ndjson' })
    expect(done).toMatchObject({ rowsMerged: 1, rowsRejected: 1 })
  })

  test('cannot pass fields in by __proto__', async () => {
    const lines = '{"__proto__":{"userId":"ghost","type":"VIEW"}}\n{"__proto__":{"type":"VIEW"},"userId":"ghost"}'
    const done = await imported(house, 'events', lines, { format: 'ndjson', query: { mapping: '{"value":"v"}' } })
    expect(done).toMatchObject({ rowsMerged: 0, rowsRejected: 2 })
  })

  test('keep their notes when they are refused again', () => {
    const once = rejectLine('ndjson', { line: 3, reason: 'say "why"', raw: '{"a":1.10}' })
    expect(once).toBe('{"a":1.10,"_line":3,"_reason":"say \\"why\\""}\n')
    expect(rejectLine('ndjson', { line: 1, reason: 'other', raw: once.trim() })).toBe('{"a":1.10,"_line":1,"_reason":"other"}\n')
    expect(rejectLine('ndjson', { line: 1, reason: 'r', raw: '{}' })).toBe('{"_line":1,"_reason":"r"}\n')
  })
})

test('posts and news come as files too, each of its source', async () => {
  const lines = [
    { externalId: 'x1', text: 'The kettle of this shop leaks' },
    { externalId: 'x2', text: 'A shop opens', source: 'NEWS' },
    { externalId: 'x3', text: 'No source', source: 'rumour' },
    { externalId: 'x1', text: 'The kettle again' },
    { id: 'x4', text: 'By the id that the webhook has' },
  ]
  const done = await imported(house, 'posts', lines.map(line => JSON.stringify(line)).join('\n'), { format: 'ndjson' })
  expect(done).toMatchObject({ rowsRead: 5, rowsMerged: 3, rowsRejected: 1, rowsDuplicate: 1 })
  expect(await rejects(house, done.jobId)).toContain('source must be one of review, post, news, message')
  expect(await house.app.database.sql(`SELECT "externalId", source FROM "Review" WHERE "externalId" LIKE 'post:x%' ORDER BY 1`)).toEqual([
    { externalId: 'post:x1', source: 'post' },
    { externalId: 'post:x2', source: 'news' },
    { externalId: 'post:x4', source: 'post' },
  ])
  // What came by the webhook before is the same post.
  const known = { text: 'By the webhook', externalId: 'post:x5', source: 'POST', productExternalId: null, userExternalId: null }
  expect(await house.app.reviews.submitAll([known as never])).toEqual([undefined])
  expect(await imported(house, 'posts', 'id,text\nx5,By a file')).toMatchObject({ rowsMerged: 0, rowsRejected: 0 })
})

test('texts may name people and products as the API does, and have the language that they are written in', async () => {
  const csv =
    'externalId,text,productExternalId,userExternalId\nn1,质量太差了,p-named,u-named\nn2,The kettle leaks and I want my money back,p-named,'
  expect(await imported(house, 'posts', csv)).toMatchObject({ rowsMerged: 2, rowsRejected: 0 })
  expect(
    await house.app.database.sql(
      `SELECT p."externalId" AS product, u."externalId" AS user, r.locale FROM "Review" r JOIN "Product" p ON p.id = r."productId" LEFT JOIN "User" u ON u.id = r."userId"
       WHERE r."externalId" IN ('post:n1', 'post:n2') ORDER BY r."externalId"`,
    ),
  ).toEqual([
    { product: 'p-named', user: 'u-named', locale: 'zh' },
    { product: 'p-named', user: null, locale: 'en' },
  ])
})

test('while a batch waits to be merged, whoever knows the same people need not wait', async () => {
  const { database } = house.app
  const importId = 'held'
  await database.sql(`INSERT INTO "Import" (id, kind, format, options, state) VALUES ($1, 'events', 'csv', '{}', 'RUNNING')`, [importId])
  const batchOf = (line: number, message: string, user: string): Batch => {
    const record = { messageId: message, userId: user, type: 'VIEW', timestamp: '2026-01-01T00:00:00Z' }
    const rows = IMPORT_KINDS.events.batches({ now: new Date(), fileId: importId, currency: 'EUR' }, 'csv')()
    rows.add({ line, raw: '', record })
    return { rows, rejects: [], duplicates: 0, readTo: line }
  }
  const merged: number[] = []
  const told = async ({ readTo }: Batch) => void merged.push(readTo)
  const facts = { importId, kind: IMPORT_KINDS.events, unknownReferences: 'stub' as const }
  await new ImportRepository(database).withMerge(facts, async merge => {
    await database.withClient(async holder => {
      await holder.query('BEGIN')
      await holder.query('SELECT 1 FROM "Import" WHERE id = $1 FOR UPDATE', [importId])
      await merge.add(batchOf(1, 'held-1', 'held-ann'), 0, told)
      const second = merge.add(batchOf(2, 'held-2', 'held-ben'), 1, told)
      await holder.query(`SET LOCAL lock_timeout = '5s'`)
      await eventually(async () => (await database.sql(`SELECT 1 FROM "User" WHERE "externalId" = 'held-ben'`)).length > 0)
      await holder.query(`INSERT INTO "User" ("externalId") VALUES ('held-ann'), ('held-ben') ON CONFLICT DO NOTHING`)
      expect(merged).toEqual([])
      await holder.query('COMMIT')
      await second
    })
    await merge.end()
  })
  expect(merged).toEqual([1, 2])
  expect(await count(`u."externalId" LIKE 'held-%'`)).toBe(2)
})
