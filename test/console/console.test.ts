import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { type Browser, chromium, type Page } from 'playwright-core'
import { encodeId } from '../../src/graphql/node-id.js'
import { documents, eur, type Payload } from '../support/ads.js'
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
  page.setDefaultTimeout(10_000)
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

browserTest('a placement is made: its rules are seen at work on a sample user, saved, and brought back', async () => {
  await page.goto(`${house.url}/#/placements`)
  await page.locator('main input[name=name]').fill('front')
  await page.getByRole('button', { name: 'Look up' }).click()
  const pins = page.getByRole('group', { name: 'Pins' })
  await pins.getByRole('button', { name: 'Add' }).click()
  await pins.getByLabel('Product').fill('p9')
  await page.getByLabel('Sample user').fill('u1')
  await page.getByLabel('Diversity').fill('0.3')
  await page.getByRole('button', { name: 'Preview' }).click()
  const after = page.getByRole('region', { name: 'After' })
  await after.getByText('Pinned to position 1').waitFor()
  expect(await after.locator('ol > li').first().innerText()).toContain('p9')
  expect(await page.getByRole('region', { name: 'Before' }).innerText()).not.toContain('Pinned')
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByRole('button', { name: 'Put away' }).waitFor()
  const { data } = await house.as('marketer').run('{ placement(name: "front") { version rules { diversity pins { productExternalId } } } }')
  expect(data).toEqual({ placement: { version: 1, rules: { diversity: 0.3, pins: [{ productExternalId: 'p9' }] } } })
  await page.getByRole('button', { name: 'Put away' }).click()
  await page.getByRole('button', { name: 'Bring back' }).last().click()
  await page.getByRole('button', { name: 'Put away' }).waitFor()
  await page.goto(`${house.url}/#/placements`)
  await page.getByRole('link', { name: 'front' }).waitFor()
})

browserTest('a job that failed is tried again from the console, and its parts are listed', async () => {
  const { database } = house.app
  const job = await house.app.jobs.enqueue('refresh-baselines', {})
  await database.sql(`UPDATE "Job" SET state = 'FAILED', error = 'the disk was full', parts = 2, "finishedAt" = now() WHERE id = $1`, [
    job.id,
  ])
  for (const part of [0, 1])
    await database.sql(
      `INSERT INTO "Job" (id, name, lane, state, "parentId", part, message, "finishedAt")
       VALUES (gen_random_uuid()::text, 'refresh-baselines', 'heavy', 'COMPLETED', $1, $2::int, 'part ' || $2, now())`,
      [job.id, part],
    )
  await page.goto(`${house.url}/#/overview`)
  await page.goto(`${house.url}/#/jobs`)
  const row = page.getByRole('row').filter({ hasText: 'the disk was full' })
  await row.getByText('2 parts').click()
  await row.getByText('part 1').waitFor()
  await row.getByRole('button', { name: 'Try again' }).click()
  await eventually(async () => (await house.app.jobStore.get(job.id))?.state !== 'FAILED')
  await page.getByText('the disk was full').waitFor({ state: 'detached' })
})

browserTest('a preview of a campaign’s edit says what to expect and changes nothing; saving changes name and budget', async () => {
  const { app } = house
  const { data, errors } = await house.as('marketer').run(documents.create, {
    input: { name: 'Spring', budget: { amount: eur(20) }, biddingStrategy: { type: 'MANUAL_CPM', cpmBid: eur(2) } },
  })
  expect(errors).toBeUndefined()
  const { campaign } = (data as unknown as { campaignCreate: Payload }).campaignCreate
  const stored = async () => (await app.database.sql('SELECT name, "budgetMicros"::int AS budget, version FROM "Campaign"'))[0]
  await page.goto(`${house.url}/#/campaigns/${campaign.id}`)
  await page.getByText('NO_ADS', { exact: false }).first().waitFor()
  await page.locator('input[name=name]').fill('Summer')
  await page.locator('input[name=budget]').fill('35')
  await page.getByRole('button', { name: 'Preview' }).click()
  await page.getByText('The bidding keeps what it has learned').waitFor()
  await page.getByText('Nothing is known of the market yet', { exact: false }).waitFor()
  expect(await stored()).toEqual({ name: 'Spring', budget: 20_000_000, version: 1 })
  await page.getByRole('button', { name: 'Save' }).click()
  await eventually(async () => JSON.stringify(await stored()) === JSON.stringify({ name: 'Summer', budget: 35_000_000, version: 3 }))
  await page.getByText('The bidding keeps what it has learned').waitFor({ state: 'detached' })
})

browserTest('an ad is paused, and shown again', async () => {
  const run = async (source: string, input: Record<string, unknown>) => {
    const { data, errors } = await house.as('marketer').run(source, { input })
    expect(errors).toBeUndefined()
    return Object.values(data as object)[0] as Payload
  }
  const { campaign } = await run(documents.create, {
    name: 'Two ads',
    budget: { amount: eur(20) },
    biddingStrategy: { type: 'MANUAL_CPM', cpmBid: eur(2) },
  })
  const { adGroup } = await run(documents.adGroup, { campaignId: campaign.id, name: 'All' })
  for (const headline of ['Left', 'Right']) await run(documents.ad, { adGroupId: adGroup.id, headline })
  const statuses = async () =>
    (
      await house.app.database.sql<{ status: string }>('SELECT status FROM "Ad" WHERE "adGroupId" = $1 ORDER BY id', [
        Buffer.from(adGroup.id, 'base64url').toString().slice('AdGroup:'.length),
      ])
    ).map(({ status }) => status)
  await page.goto(`${house.url}/#/campaigns/${campaign.id}`)
  await page.getByRole('button', { name: 'Pause: Right' }).click()
  await page.getByRole('button', { name: 'Show again: Right' }).waitFor()
  expect(await statuses()).toEqual(['ENABLED', 'PAUSED'])
  await page.getByRole('button', { name: 'Show again: Right' }).click()
  await page.getByRole('button', { name: 'Pause: Right' }).waitFor()
  expect(await statuses()).toEqual(['ENABLED', 'ENABLED'])
})

browserTest('a campaign ends for good only after a second yes', async () => {
  const [{ id }] = await house.app.database.sql<{ id: string }>('SELECT id FROM "Campaign" LIMIT 1')
  const status = async () =>
    (await house.app.database.sql<{ status: string }>('SELECT status FROM "Campaign" WHERE id = $1', [id]))[0].status
  await page.goto(`${house.url}/#/campaigns/${encodeId('Campaign', id)}`)
  await page.getByRole('button', { name: 'End for good' }).click()
  const question = page.getByRole('alertdialog')
  await question.getByRole('button', { name: 'Cancel' }).click()
  await question.waitFor({ state: 'detached' })
  expect(await status()).toBe('DRAFT')
  await page.getByRole('button', { name: 'End for good' }).click()
  await question.getByRole('button', { name: 'End for good' }).click()
  await eventually(async () => (await status()) === 'ENDED')
})

browserTest('the card of a model is read as what it means, and HTML in it stays text', async () => {
  await house.app.database.sql(`UPDATE "Model" SET card = card || $1`, [
    '\n\n<img src=x onerror="document.title=1"> [away](https://example.com)\n',
  ])
  await page.goto(`${house.url}/#/models`)
  await page.locator('main a[href^="#/models/"]').first().click()
  const card = page.locator('.card')
  await card.getByRole('heading', { name: 'How it was measured' }).waitFor()
  expect(await card.getByRole('columnheader').allInnerTexts()).toContain('baseline')
  expect(await card.innerText()).toContain('<img src=x')
  expect(await card.locator('img, a').count()).toBe(0)
  expect(await page.title()).not.toBe('1')
})

browserTest('in Chinese, states and dates are Chinese too', async () => {
  await page.getByRole('button', { name: '中文' }).click()
  await page.getByText('上线').first().waitFor()
  await page.goto(`${house.url}/#/overview`)
  await page
    .getByText(/\d{4}年\d+月\d+日/)
    .first()
    .waitFor()
  expect(await page.locator('html').getAttribute('lang')).toBe('zh')
  await page.getByRole('button', { name: 'English' }).click()
})

browserTest('an audience is built: who is left out and why is said, a dry run counts, and the file is downloaded', async () => {
  const { database, profiles } = house.app
  await database.sql(`UPDATE "User" SET email = "externalId" || '@example.com' WHERE "externalId" ~ '^u[0-9]+$'`)
  await database.sql(
    `INSERT INTO "Consent" ("userId", purpose, granted, at, source)
     SELECT id, 'ADS', "externalId" <> 'u1', now(), 'test' FROM "User" WHERE "externalId" ~ '^u[0-9]+$' AND "externalId" <> 'u0'`,
  )
  await profiles.refresh((await database.sql<{ id: number }>('SELECT id FROM "User"')).map(({ id }) => id))
  await database.sql(`UPDATE "UserProfile" SET purchase = "userId" / 1000.0, "scoredAt" = now(), "refreshedAt" = now()`)
  const worker = await house.startWorker()
  await page.goto(`${house.url}/#/audiences`)
  await page.getByLabel('Made from').selectOption('prediction')
  await page.locator('select[name=from]').selectOption('PURCHASE')
  await page.getByLabel('Name', { exact: true }).fill('Soon to buy')
  await page.getByRole('button', { name: 'Preview' }).click()
  await page.getByText('Refused consent: 1', { exact: false }).waitFor()
  expect(await database.sql('SELECT id FROM "Audience"')).toEqual([])
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByText('READY', { exact: true }).waitFor()
  await page.getByText('Members: 58', { exact: false }).waitFor()
  await page.getByRole('row', { name: 'Never consented 1' }).waitFor()
  await page.getByRole('row', { name: 'Refused consent 1' }).waitFor()
  await page.getByRole('button', { name: 'Dry run' }).click()
  await page.getByRole('main').locator('[role=status], [role=alert]').first().waitFor()
  expect(await page.getByRole('main').innerText()).toContain('rows: 58')
  await page.getByRole('button', { name: 'Export', exact: true }).click()
  const link = page.getByRole('button', { name: 'Download' })
  await link.waitFor()
  const [download] = await Promise.all([page.waitForEvent('download'), link.click()])
  const lines = (await readFile(await download.path(), 'utf8')).trim().split(/\r?\n/)
  expect(lines).toHaveLength(59)
  const hashOf = (email: string) => createHash('sha256').update(email).digest('hex')
  expect(lines.join()).toContain(hashOf('u59@example.com'))
  expect(lines.join()).not.toContain(hashOf('u1@example.com'))
  await worker.drain()
})

browserTest('an experiment is drafted, started, read, and stopped, each step after it was asked for twice', async () => {
  const stored = async () =>
    (await house.app.database.sql('SELECT status, "plannedUsers" AS users, arms, "stopNote" AS note FROM "RecommendationExperiment"'))[0]
  await page.goto(`${house.url}/#/experiments`)
  await page.getByLabel('Name', { exact: true }).fill('Does variety sell?')
  await page.getByLabel('Planned users').fill('40')
  const arms = page.getByRole('group', { name: 'Arms' })
  await arms.getByLabel('Share of users, %').last().fill('40')
  await page.getByRole('button', { name: 'Save as draft' }).click()
  await page.getByRole('alert').waitFor()
  expect(await stored()).toBeUndefined()
  await arms.getByLabel('Share of users, %').last().fill('50')
  await arms.getByLabel('Exploration').last().fill('0.3')
  await page.getByRole('button', { name: 'Save as draft' }).click()
  await page.getByText('DRAFT', { exact: true }).waitFor()
  await page.getByLabel('Planned users').fill('50')
  await page.getByText('changes that are not saved', { exact: false }).waitFor()
  expect(await page.getByRole('button', { name: 'Start', exact: true }).count()).toBe(0)
  await page.getByRole('button', { name: 'Save as draft' }).click()
  await page.getByRole('button', { name: 'Start', exact: true }).click()
  expect(await stored()).toMatchObject({ status: 'DRAFT', users: 50 })
  await page.getByRole('button', { name: 'Yes, start' }).click()
  await page.getByText('RUNNING', { exact: true }).waitFor()
  expect(await stored()).toMatchObject({
    status: 'RUNNING',
    arms: [
      { key: 'control', share: 0.5 },
      { key: 'challenger', share: 0.5, diversity: 0.3, exploration: 0.3 },
    ],
  })
  const experiment = page.url()
  const users = Array.from({ length: 60 }, (_, user) => `u${user}`)
  const ask = (user: string) =>
    house.as('marketer').run('query($u: String) { recommendations(userExternalId: $u, first: 3) { decisionId } }', { u: user })
  await eventually(async () => {
    await ask('u0')
    return (await house.app.database.sql('SELECT 1 FROM "RecommendationExposure" LIMIT 1')).length > 0
  })
  for (const user of users) expect((await ask(user)).errors).toBeUndefined()
  await page.goto(`${house.url}/#/experiments`)
  await page.getByRole('button', { name: 'Estimate' }).click()
  await page.getByText('Decisions used').waitFor()
  await page.goto(experiment)
  await page.getByText('The users are spread over the arms as planned').waitFor()
  await page.getByText('the interval at the plan may be read', { exact: false }).waitFor()
  expect(await page.getByRole('img').count()).toBeGreaterThan(0)
  await page.getByRole('button', { name: 'Stop', exact: true }).click()
  await page.getByLabel('Why it is stopped').fill('Enough was seen')
  expect(await stored()).toMatchObject({ status: 'RUNNING' })
  await page.getByRole('button', { name: 'Yes, stop' }).click()
  await page.getByText('STOPPED', { exact: true }).waitFor()
  expect(await stored()).toMatchObject({ status: 'STOPPED', note: 'Enough was seen' })
})

browserTest('no page is wider than a narrow screen', async () => {
  await page.setViewportSize({ width: 360, height: 800 })
  for (const name of [
    'overview',
    'models',
    'recommendations',
    'placements',
    'placements/front',
    'experiments',
    'audiences',
    'users',
    'products',
    'jobs',
    'decisions',
  ]) {
    await page.goto(`${house.url}/#/${name}`)
    await page.locator('main h1').waitFor()
    // A page may have several parts that load.
    await eventually(async () => (await page.getByText('Loading …').count()) === 0)
    expect(await page.evaluate('document.documentElement.scrollWidth - innerWidth')).toBeLessThanOrEqual(0)
  }
  await page.setViewportSize({ width: 1280, height: 800 })
})

browserTest('every page stands without a fault, and nothing is fetched from elsewhere; so does the explorer', async () => {
  for (const name of [
    'overview',
    'models',
    'recommendations',
    'placements',
    'placements/front',
    'experiments',
    'audiences',
    'users',
    'products',
    'jobs',
    'decisions',
  ]) {
    await page.goto(`${house.url}/#/${name}`)
    await page.locator('main h1, main h2').first().waitFor()
    expect(await page.getByRole('alert').count()).toBe(0)
  }
  await page.goto(`${house.url}/graphql`)
  await page.locator('.graphiql-container').waitFor()
  expect(faults).toEqual([])
  expect(foreign).toEqual([])
})
