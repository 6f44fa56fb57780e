import { existsSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { type Browser, chromium, type Page } from 'playwright-core'
import { eventually, startTestApp, type TestApp } from '../support/app.js'

// The console in a real browser. BELLWETHER_CHROMIUM names another one than Debian's.
const executablePath = process.env.BELLWETHER_CHROMIUM ?? '/usr/bin/chromium'
const browserTest = existsSync(executablePath) ? test : test.skip
if (!existsSync(executablePath))
  process.stderr.write(`${executablePath} is not there: the tests of the console are skipped (apt-get install chromium)\n`)

let house: TestApp
let browser: Browser | undefined
let page: Page
const faults: string[] = []
const foreign: string[] = []

beforeAll(async () => {
  house = await startTestApp({ threads: 1 })
  const worker = await house.startWorker()
  const events = []
  for (let user = 0; user < 60; user++)
    for (let step = 0; step < 5; step++)
      events.push({
        messageId: `${user}-${step}`,
        userId: `u${user}`,
        productId: `p${(user % 2) * 6 + ((user + step) % 6)}`,
        type: 'PURCHASE',
        price: 5,
        timestamp: Date.now() - (40 - 6 * step) * 86_400_000 + user * 1000,
      })
  await house.as('ingest').run('mutation($e: [EventInput!]!) { eventsTrack(input: { events: $e }) { accepted } }', { e: events })
  const { id } = await house.app.jobs.enqueue('train-models', { task: 'RECOMMENDATION' })
  await eventually(async () => (await house.app.jobStore.get(id))?.state === 'COMPLETED', 60_000)
  await worker.drain()
  if (!existsSync(executablePath)) return
  browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-background-networking'] })
  page = await browser.newPage()
  page.on('pageerror', error => faults.push(error.message))
  page.on('request', request => {
    if (!request.url().startsWith(house.url) && !request.url().startsWith('data:') && !request.url().startsWith('blob:'))
      foreign.push(request.url())
  })
}, 120_000)
afterAll(async () => {
  await browser?.close()
  await house.close()
})

browserTest('a wrong key is refused with a sentence, a right one opens the console', async () => {
  await page.goto(house.url)
  const key = page.locator('input[name=key]')
  await key.fill('bw_marketer_wrong')
  await page.locator('button[type=submit]').click()
  await page.getByRole('alert').waitFor()
  await key.fill(house.keys.marketer)
  await page.locator('button[type=submit]').click()
  await page.getByRole('navigation').waitFor()
})

browserTest('a marketer approves a model', async () => {
  await page.goto(`${house.url}/#/models`)
  await page.locator('main a[href^="#/models/"]').first().click()
  await page.getByRole('textbox').fill('Seen in the console')
  await page.getByRole('button', { name: 'Approve' }).click()
  const live = await eventually(async () => {
    const [row] = await house.app.database.sql<{ status: string; note: string; by: string }>(
      `SELECT status, "reviewNote" AS note, "reviewedBy" AS by FROM "Model" WHERE status = 'LIVE'`,
    )
    return row
  })
  expect(live).toEqual({ status: 'LIVE', note: 'Seen in the console', by: 'marketer' })
  await page.getByText('LIVE', { exact: false }).first().waitFor()
  await house.app.liveModels.look()
})

browserTest('a decision is explained', async () => {
  const { data } = await house
    .as('marketer')
    .run('{ recommendations(userExternalId: "u1", first: 3) { decisionId servedBy items { reasons { text } } } }')
  const { decisionId, servedBy } = (data as never as { recommendations: { decisionId: string; servedBy: string } }).recommendations
  await page.goto(`${house.url}/#/decisions/${decisionId}`)
  await page.getByText(servedBy).first().waitFor()
  expect(await page.locator('main').innerText()).toMatch(/p\d+/)
})

browserTest('every page stands without a fault, and nothing is fetched from elsewhere; so does the explorer', async () => {
  for (const name of ['overview', 'models', 'recommendations', 'users', 'products', 'jobs', 'decisions']) {
    await page.goto(`${house.url}/#/${name}`)
    await page.locator('main h1, main h2').first().waitFor()
    expect(await page.getByRole('alert').count()).toBe(0)
  }
  await page.goto(`${house.url}/graphql`)
  await page.locator('.graphiql-container').waitFor()
  expect(faults).toEqual([])
  expect(foreign).toEqual([])
})
