import { spawn } from 'node:child_process'
import { rmSync } from 'node:fs'
import { createRandom } from '../../src/algorithms/math/random.js'
import { type App, createApp } from '../../src/app.js'
import { readConfig } from '../../src/config.js'
import { encodeId } from '../../src/graphql/node-id.js'
import { startEmbeddedPostgres } from '../../src/platform/embedded-postgres.js'
import { silentLog } from '../../src/platform/log.js'
import { migrate } from '../../src/platform/migrate.js'
import { temporaryHome } from '../support/home.js'
import { torture } from '../support/torture.js'
import { type Benchmark, median, NODE_OPTIONS_OF_SERVERS, type Row } from './bench.js'
import { bodiesOf, CONNECTIONS, HELLO, headersOf, type Measured, measured } from './load.js'

const CAMPAIGNS = 100
const USERS = 2_000
const ROUNDS = 3
const SECONDS = 6
const DECISIONS = 3_000

const BID = `mutation Bid($user: String!, $device: String!) {
  bidDecide(input: { userExternalId: $user, context: { device: $device, placement: "top" } }) {
    decision { __typename ... on Bid { decisionId price { amountMicros } pCtr pCvr multiplier reserved { amountMicros } } ... on NoBid { reason } }
    userErrors { code }
  }
}`

/** What the server does for a request that asks for nothing: how fast the machine is in this run. */
const NOTHING = bodiesOf(HELLO).map(({ body }) => ({ path: '/graphql', body }))

/** bidDecide with 100 eligible campaigns and an approved click model, over HTTP and by itself. Money is reserved and every decision kept. */
export const bidding: Benchmark = {
  name: 'bidding',
  run: async ({ smoke }) => {
    const world = await startWorld(smoke ? 15_000 : 30_000)
    try {
      const own = await ownComputation(world.app, smoke ? 50 : DECISIONS)
      const server = await startServer(world)
      try {
        const graphql = Array.from({ length: 500 }, (_, index) => ({
          path: '/graphql',
          body: JSON.stringify({
            query: BID,
            variables: { user: `u-${1 + ((index * 7) % USERS)}`, device: index % 2 ? 'mobile' : 'desktop' },
          }),
        }))
        const openrtb = Array.from({ length: 500 }, (_, index) => ({
          path: '/openrtb2/bid',
          body: JSON.stringify({
            id: String(index),
            imp: [{ id: '1', banner: { w: 300, h: 250 }, tagid: 'top' }],
            site: { domain: 'news.example' },
            device: { devicetype: index % 2 ? 4 : 2 },
            user: { buyeruid: `u-${1 + ((index * 7) % USERS)}` },
            cur: ['EUR'],
            at: 1,
          }),
        }))
        for (const requests of [graphql, openrtb]) await loadWithBids(server, requests, smoke ? 1 : 3)
        if (smoke) return []
        const rounds = { graphql: [] as Measured[], openrtb: [] as Measured[], hello: [] as Measured[] }
        for (let round = 0; round < ROUNDS; round++) {
          rounds.hello.push(await measured(server, NOTHING, SECONDS / 2))
          rounds.graphql.push(await loadWithBids(server, graphql, SECONDS))
          rounds.openrtb.push(await loadWithBids(server, openrtb, SECONDS))
        }
        const [audit] = [await world.app.campaigns.audit(null)]
        if (audit.some(each => each.breaches > 0 || !each.isComplete)) throw new Error('The ledger is not right after the load')
        return [...rowsOf('bidDecide', rounds.graphql, rounds.hello), ...rowsOf('POST /openrtb2/bid', rounds.openrtb, rounds.hello), own]
      } finally {
        await server.stop()
      }
    } finally {
      await world.stop()
    }
  },
}

/** 200 clients, 100,000 bids, kills of the server at random; proven by the audit query. */
export const ledger: Benchmark = {
  name: 'ledger',
  run: async ({ smoke }) => {
    const world = await startDatabase()
    try {
      const size = smoke ? { clients: 10, bids: 200, kills: 1 } : { clients: 200, bids: 100_000, kills: 12 }
      const report = await torture({ databaseUrl: world.url, root: process.cwd(), seed: 20251124, ...size })
      console.error(JSON.stringify(report))
      const { breaches, wrongLedgers, lost } = report
      if (breaches + wrongLedgers + lost > 0) throw new Error(`The ledger is wrong: ${JSON.stringify(report)}`)
      return [
        {
          benchmark: `${size.clients} clients, ${size.bids.toLocaleString('en')} bids asked, ${report.kills} kills of the server`,
          ours: `${report.bids} bids, ${report.notices} notices, ${report.entries} journal entries in ${report.seconds.toFixed(0)} s; ${(100 * report.usedShare).toFixed(1)} % of the budgets used`,
          peer: `${breaches} breaches, ${wrongLedgers} wrong ledgers, ${lost} answers lost`,
          ratio: '–',
          bar: '0, 0, 0',
        },
      ]
    } finally {
      await world.stop()
    }
  },
}

function rowsOf(name: string, rounds: readonly Measured[], hello: readonly Measured[]): Row[] {
  const middle = (value: (round: Measured) => number, of = rounds) => median(of.map(value))
  return [
    {
      benchmark: `${name}, ${CAMPAIGNS} eligible campaigns, ${CONNECTIONS} connections`,
      ours: `${Math.round(middle(round => round.perSecond))} requests/s`,
      peer: `${Math.round(middle(round => round.perSecond, hello))} requests/s of { __typename }`,
      ratio: `${(middle(round => round.perSecond) / middle(round => round.perSecond, hello)).toFixed(2)} ×`,
      bar: '≥ 3,000 requests/s',
    },
    {
      benchmark: 'the same, 99th percentile',
      ours: `${middle(round => round.p99).toFixed(0)} ms (median ${middle(round => round.p50).toFixed(0)} ms)`,
      peer: `${middle(round => round.p99, hello).toFixed(0)} ms`,
      ratio: '–',
      bar: '< 25 ms',
    },
    {
      benchmark: 'the same, time on a core of the server',
      ours: `${Math.round(middle(round => round.cpuMicros))} µs a request`,
      peer: `${Math.round(middle(round => round.cpuMicros, hello))} µs`,
      ratio: `${(middle(round => round.cpuMicros) / middle(round => round.cpuMicros, hello)).toFixed(1)} ×`,
      bar: '–',
    },
  ]
}

/** A dry run of a contextual bid does all that a bid does in memory, and asks the database for nothing. */
async function ownComputation(app: App, decisions: number): Promise<Row> {
  await app.snapshots.look()
  const ask = (index: number) =>
    app.bidding.decide({
      user: null,
      privacy: null,
      context: { device: index % 2 ? 'mobile' : 'desktop', placement: 'top', categories: [] },
      auction: index % 2 ? 'FIRST_PRICE' : 'SECOND_PRICE',
      floorMicros: 0,
      ceilingMicros: Number.POSITIVE_INFINITY,
      reserveSeconds: 600,
      isDry: true,
    })
  for (let index = 0; index < 500; index++) if ((await ask(index)).kind !== 'bid') throw new Error('A bid was expected')
  const milliseconds: number[] = []
  for (let index = 0; index < decisions; index++) {
    const startedAt = performance.now()
    await ask(index)
    milliseconds.push(performance.now() - startedAt)
  }
  return {
    benchmark: `features, prediction, strategy, pacing and explanation of one bid, ${CAMPAIGNS} eligible campaigns`,
    ours: `${median(milliseconds).toFixed(3)} ms`,
    peer: '–',
    ratio: '–',
    bar: '< 0.2 ms median',
  }
}

async function startDatabase() {
  const home = temporaryHome('bidding')
  const postgres = await startEmbeddedPostgres({ home, log: silentLog })
  await migrate(postgres.url, process.cwd())
  const stop = async () => {
    await postgres.stop()
    rmSync(home, { recursive: true, force: true })
  }
  return { url: postgres.url, home, stop }
}

/** 100 campaigns of every strategy, people with consent, a log of impressions, and a click model that was learned from it. */
async function startWorld(impressions: number) {
  const database = await startDatabase()
  const config = readConfig({ PORT: '0', BELLWETHER_DEMO: 'off', BELLWETHER_LOG_LEVEL: 'silent', BELLWETHER_HOME: database.home })
  const app = await createApp({ config, databaseUrl: database.url, log: silentLog, role: 'worker' })
  const sql = (text: string, values: unknown[] = []) => app.database.sql(text, values)
  await sql(
    `INSERT INTO "User" (id, "externalId", gender, "birthYear", city, country) SELECT n, 'u-' || n, CASE n % 2 WHEN 0 THEN 'female' ELSE 'male' END, 1960 + n % 45, 'c' || n % 20, 'DE' FROM generate_series(1, ${USERS}) n`,
  )
  await sql(
    `INSERT INTO "Consent" ("userId", purpose, granted, at, source) SELECT n, 'ADS', true, now(), 'bench' FROM generate_series(1, ${USERS}) n`,
  )
  await sql(`INSERT INTO "Audience" (id, name, source, definition, status, size) VALUES ('all', 'All', 'SEGMENT', '{}', 'READY', ${USERS})`)
  await sql(`INSERT INTO "AudienceMember" ("audienceId", "userId") SELECT 'all', n FROM generate_series(1, ${USERS}) n`)
  await sql(
    `INSERT INTO "Product" (id, "externalId", title, categories, "priceMicros", "currencyCode", stock) SELECT n, 'p-' || n, 'P' || n, ARRAY['c' || n % 12], 10000000 + n * 100000, 'EUR', 9 FROM generate_series(1, ${CAMPAIGNS}) n`,
  )
  await sql(
    `INSERT INTO "BiddingStrategy" (id, name, type, "cpcBidMicros", "cpmBidMicros", "targetCpaMicros", "targetRoas") SELECT 's-' || n, 's', (ARRAY['MANUAL_CPC', 'MANUAL_CPM', 'MAXIMIZE_CLICKS', 'TARGET_CPA', 'TARGET_ROAS'])[1 + n % 5], 400000, 2000000, 9000000, 3 FROM generate_series(1, ${CAMPAIGNS}) n`,
  )
  await sql(
    `INSERT INTO "Campaign" (id, name, status, "budgetMicros", "budgetCurrencyCode", "biddingStrategyId", "audienceId", "frequencyCap") SELECT 'c-' || n, 'C' || n, 'ENABLED', 100000000000, 'EUR', 's-' || n,
       CASE WHEN n % 4 = 0 THEN 'all' END, CASE WHEN n % 10 = 0 THEN '{"impressions": 1000, "hours": 24}'::jsonb END FROM generate_series(1, ${CAMPAIGNS}) n`,
  )
  await sql(`INSERT INTO "AdGroup" (id, "campaignId", name) SELECT 'g-' || n, 'c-' || n, 'G' FROM generate_series(1, ${CAMPAIGNS}) n`)
  await sql(`INSERT INTO "Ad" ("adGroupId", headline, "productId") SELECT 'g-' || n, 'Ad ' || n, n FROM generate_series(1, ${CAMPAIGNS}) n`)
  const ads = await app.database.sql<{ id: number }>('SELECT id FROM "Ad" ORDER BY id')
  const random = createRandom(1)
  const columns: unknown[][] = [[], [], [], [], [], []]
  for (let index = 0; index < impressions; index++) {
    const ad = random.below(ads.length)
    const device = random.next() < 0.6 ? 'mobile' : 'desktop'
    const chance = 0.02 + (ad % 7) * 0.01 + (device === 'mobile' ? 0.02 : 0)
    const row = [
      `m-${index}`,
      ads[ad].id,
      1 + random.below(USERS),
      new Date(Date.now() - 20 * 86_400_000 + index * 1_000),
      random.next() < chance,
      JSON.stringify({ device, placement: 'top' }),
    ]
    row.forEach((cell, column) => {
      columns[column].push(cell)
    })
  }
  await sql(
    `INSERT INTO "AdLogEntry" ("messageId", "adId", "userId", "occurredAt", clicked, context) SELECT * FROM unnest($1::text[], $2::int[], $3::int[], $4::timestamptz[], $5::bool[], $6::jsonb[])`,
    columns,
  )
  const { models } = await app.trainer.train({ task: 'CTR', algorithm: 'logistic' })
  await app.modelsService.approve({ id: 'bench', name: 'bench' }, { modelId: encodeId('Model', models[0].id) })
  await app.liveModels.look()
  await sql('VACUUM ANALYZE')
  const stop = async () => {
    await app.close()
    await database.stop()
  }
  return { app, url: database.url, home: database.home, stop }
}

interface Server {
  url: string
  key: string
  pid: number | undefined
  stop(): Promise<void>
}

async function startServer({ app, url, home }: { app: App; url: string; home: string }): Promise<Server> {
  const { secret } = await app.apiKeys.create(undefined, { name: 'bench', kind: 'campaign' })
  const child = spawn(process.execPath, [...NODE_OPTIONS_OF_SERVERS, 'dist/bundle/main.js', 'server'], {
    env: {
      ...process.env,
      NODE_ENV: 'production',
      DATABASE_URL: url,
      BELLWETHER_HOME: home,
      PORT: '0',
      BELLWETHER_LOG_LEVEL: 'warn',
      BELLWETHER_RATE_LIMIT: '100000000',
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = new Promise<void>(done => child.once('exit', () => done()))
  const stop = async () => {
    child.kill('SIGTERM')
    await ended
  }
  let said = ''
  const found = await new Promise<string>((done, failed) => {
    child.stdout.on('data', chunk => {
      said += chunk
      const [, at] = /GraphQL\s+(http:\/\/\S+)\/graphql/.exec(said) ?? []
      if (at) done(at)
    })
    child.once('exit', () => failed(new Error('The server did not start')))
  })
  return { url: found, key: secret, pid: child.pid, stop }
}

async function loadWithBids(server: Server, requests: readonly { path: string; body: string }[], seconds: number): Promise<Measured> {
  const { url, key } = server
  const answer = await (
    await fetch(`${url}${requests[0].path}`, { method: 'POST', headers: headersOf(key), body: requests[0].body })
  ).text()
  if (!/"Bid"|seatbid/.test(answer)) throw new Error(`A bid was expected: ${answer.slice(0, 500)}`)
  return measured(server, requests, seconds)
}
