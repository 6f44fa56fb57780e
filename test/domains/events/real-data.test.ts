import { createReadStream, existsSync, readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { createGunzip } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { startTestApp, type TestApp } from '../../support/app.js'
import { imported, rejects } from '../../support/imports.js'

const MOVIES = '../shared/data/ml-100k'
const RETAIL = '../shared/data/online-retail/online_retail.csv.gz'
const isHere = existsSync(MOVIES) && existsSync(RETAIL)
if (!isHere)
  process.stderr.write('\nSKIPPED: ../shared/data is absent, so the imports of MovieLens 100K and Online Retail are not tested\n')
const withData = isHere ? describe : describe.skip

let house: TestApp
beforeAll(async () => {
  house = await startTestApp()
  await house.startWorker()
}, 120_000)
afterAll(() => house.close())

withData('MovieLens 100K imports completely', () => {
  const lines = (name: string) => readFileSync(`${MOVIES}/${name}`, 'latin1').trim().split('\n')

  test('users, items and all 100,000 ratings, with their sums and dates', async () => {
    const users = lines('ml-100k.user')
      .slice(1)
      .map(line => line.split('\t'))
    const items = lines('ml-100k.item')
      .slice(1)
      .map(line => line.split('\t'))
    const ratings = lines('u.data').map(line => line.split('\t').map(Number))
    const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`
    const userFile = `userId,gender,traits\n${users.map(([id, age, gender, occupation]) => `${id},${gender},${quoted(JSON.stringify({ age: Number(age), occupation }))}`).join('\n')}`
    const itemFile = `productId,title,categories\n${items.map(([id, title, , genres]) => `${id},${quoted(title)},${quoted((genres ?? '').trim().split(' ').join('|'))}`).join('\n')}`
    expect(await imported(house, 'users', userFile)).toMatchObject({ rowsMerged: 943, rowsRejected: 0 })
    expect(await imported(house, 'products', itemFile)).toMatchObject({ rowsMerged: items.length, rowsRejected: 0 })
    const ratingFile = `userId,productId,type,value,timestamp\n${ratings.map(([user, item, stars, time]) => `${user},${item},RATING,${stars},${time * 1000}`).join('\n')}`
    expect(await imported(house, 'events', ratingFile)).toMatchObject({ rowsRead: 100_000, rowsMerged: 100_000, rowsRejected: 0 })
    const [row] = await house.app.database.sql(
      `SELECT count(*)::int AS n, sum(value) AS stars, min("occurredAt") AS first, max("occurredAt") AS last, count(DISTINCT "userId")::int AS users, count(DISTINCT "productId")::int AS items FROM "Event" WHERE type = 'RATING'`,
    )
    const times = ratings.map(([, , , time]) => time * 1000)
    expect(row).toEqual({
      n: 100_000,
      stars: ratings.reduce((sum, [, , stars]) => sum + stars, 0),
      first: new Date(times.reduce((a, b) => Math.min(a, b))),
      last: new Date(times.reduce((a, b) => Math.max(a, b))),
      users: 943,
      items: 1682,
    })
  }, 280_000)
})

withData('Online Retail imports completely', () => {
  test('invoices as purchases, cancelled ones (C…) as refunds; the two rows of a negative price are rejected, fixed and sent again', async () => {
    const sums = { rows: 0, refunds: 0, pieces: 0, returned: 0, bought: 0n, negative: 0, first: '9', last: '' }
    const bodies = async function* () {
      yield Buffer.from('messageId,userId,anonymousId,productId,type,quantity,price,currency,timestamp,properties\n')
      let text = ''
      for await (const row of retailRows()) {
        const [invoice, code, , amount, date, price, customer, country] = row
        const quantity = Number(amount)
        const isRefund = invoice.startsWith('C') || quantity < 0
        const user = customer === '' ? '' : String(Number(customer))
        sums.rows++
        if (Number(price) < 0) sums.negative++
        else if (isRefund) {
          sums.refunds++
          sums.returned += -quantity
        } else {
          sums.pieces += quantity
          sums.bought += BigInt(quantity) * BigInt(Math.round(Number(price) * 1e6))
        }
        if (date < sums.first) sums.first = date
        if (date > sums.last) sums.last = date
        text += `${invoice}:${sums.rows},${user},${user === '' ? `invoice-${invoice}` : ''},"${code.replaceAll('"', '""')}",PURCHASE,${quantity},${price},GBP,${date},"{""country"":""${country}""}"\n`
        if (text.length < 256 * 1024) continue
        yield Buffer.from(text)
        text = ''
      }
      yield Buffer.from(text)
    }
    const done = await imported(house, 'events', bodies(), { query: { zone: 'Z' } })
    expect(done).toMatchObject({ rowsRead: sums.rows, rowsRejected: sums.negative, rowsMerged: sums.rows - sums.negative })
    expect([sums.rows, sums.negative]).toEqual([541_909, 2])
    const of = async (where: string) =>
      (
        await house.app.database.sql<Record<string, unknown>>(
          `SELECT count(*)::int AS n, sum(quantity)::int AS pieces, sum(quantity * "priceMicros")::text AS micros, min("occurredAt") AS first, max("occurredAt") AS last FROM "Event" WHERE "currencyCode" = 'GBP' AND ${where}`,
        )
      )[0]
    const time = (text: string) => new Date(`${text.replace(' ', 'T')}Z`)
    expect(await of(`type = 'PURCHASE'`)).toMatchObject({
      n: sums.rows - sums.negative - sums.refunds,
      pieces: sums.pieces,
      micros: String(sums.bought),
    })
    expect(await of(`type = 'REFUND'`)).toMatchObject({ n: sums.refunds, pieces: sums.returned })
    expect(await of('true')).toMatchObject({ first: time(sums.first), last: time(sums.last) })
    expect(await of(`"messageId" LIKE 'C%' AND type <> 'REFUND'`)).toMatchObject({ n: 0 })
    const file = await rejects(house, done.jobId)
    expect(file.match(/price must not be negative, it is -11062.06/g)).toHaveLength(2)
    const fixed = file.replaceAll('PURCHASE,1,-11062.06', 'REFUND,1,11062.06')
    expect(await imported(house, 'events', fixed, { query: { zone: 'Z' } })).toMatchObject({ rowsMerged: 2, rowsRejected: 0 })
  }, 580_000)
})

/** The cells of each row; the description may hold commas, quotes and newlines. */
async function* retailRows(): AsyncGenerator<string[]> {
  const lines = createInterface({ input: createReadStream(RETAIL).pipe(createGunzip()), crlfDelay: Number.POSITIVE_INFINITY })
  let isHeader = true
  let open = ''
  for await (const line of lines) {
    if (isHeader) {
      isHeader = false
      continue
    }
    open = open === '' ? line : `${open}\n${line}`
    if ((open.match(/"/g)?.length ?? 0) % 2 === 1) continue
    const cells = [...open.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(
      ([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain,
    )
    if (cells.length !== 8) throw new Error(`The file has a row of ${cells.length} cells: ${open}`)
    yield cells
    open = ''
  }
}
