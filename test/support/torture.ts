import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createRandom } from '../../src/algorithms/math/random.js'
import { CampaignsRepository } from '../../src/campaigns/campaigns.repository.js'
import { openDatabase } from '../../src/platform/database.js'
import { silentLog } from '../../src/platform/log.js'

export interface TortureOptions {
  databaseUrl: string
  root: string
  clients: number
  bids: number
  kills: number
  seed: number
}

export interface TortureReport {
  bids: number
  noBids: number
  notices: number
  kills: number
  failedRequests: number
  seconds: number
  /** Moments of all ledgers at which more was spent and reserved than the limit. */
  breaches: number
  /** Ledgers whose journal has a gap or whose sums are not those of their bids. */
  wrongLedgers: number
  /** Answers that a client got and that the database does not know: bids, bookings, releases. */
  lost: number
  /** Share of all budgets that was spent or reserved in the end. */
  usedShare: number
  entries: number
}

const CAMPAIGNS = 5
const PRICE_MICROS = 2_000
/** Less than what the bids would cost, so that every budget is fought for. */
const BUDGET_SHARE = 0.5

const BID =
  'mutation ($input: BidDecideInput!) { bidDecide(input: $input) { decision { __typename ... on Bid { decisionId price { amountMicros } } ... on NoBid { decisionId reason } } userErrors { code } } }'
const OUTCOME = 'mutation ($input: AuctionOutcomeInput!) { auctionOutcomeRecord(input: $input) { outcome { result } userErrors { code } } }'

interface Answers {
  bidDecide?: { decision: { __typename: string; decisionId: string } | null }
  auctionOutcomeRecord?: { outcome: { result: string } | null; userErrors: { code: string }[] }
}

/** Many clients bid and report at once, twice and out of order, while the server is killed now and then; afterwards the ledgers are proven. */
export async function torture({ databaseUrl, root, clients, bids, kills, seed }: TortureOptions): Promise<TortureReport> {
  const home = mkdtempSync(join(tmpdir(), 'bellwether-torture-'))
  const database = openDatabase(databaseUrl, silentLog, 4)
  const agent = new Agent({ keepAlive: true, maxSockets: clients })
  const startedAt = performance.now()
  const report = { bids: 0, noBids: 0, notices: 0, kills: 0, failedRequests: 0 }
  const acknowledged = new Map<string, string>()
  let server = await startServer(root, home, databaseUrl)
  const port = server.port
  const key = () => JSON.parse(readFileSync(join(home, 'keys.json'), 'utf8')).campaign as string
  let isOver = false
  try {
    const budget = Math.round((bids * PRICE_MICROS * BUDGET_SHARE) / CAMPAIGNS)
    await makeCampaigns(database, budget)
    const token = key()
    const call = async (query: string, input: object): Promise<Answers> => {
      // What did not come through is sent again, as a client with a deadline would: the answer of the first try may have been lost.
      for (;;) {
        try {
          return await post(agent, port, token, JSON.stringify({ query, variables: { input } }))
        } catch {
          report.failedRequests++
          await new Promise(done => setTimeout(done, 50))
        }
      }
    }
    const chaos = (async () => {
      const random = createRandom(seed).fork('kills')
      for (let kill = 1; kill <= kills; kill++) {
        const due = Math.round((bids * (kill - 0.5 + (random.next() - 0.5) * 0.8)) / (kills + 0.5))
        while (report.bids + report.noBids < due && !isOver) await new Promise(done => setTimeout(done, 5))
        if (isOver) return
        server.child.kill('SIGKILL')
        await server.ended
        report.kills++
        server = await startServer(root, home, databaseUrl, port)
      }
    })()
    let asked = 0
    await Promise.all(
      Array.from({ length: clients }, async (_, client) => {
        const random = createRandom(seed).fork(`client ${client}`)
        while (asked < bids) {
          asked++
          const { bidDecide } = await call(BID, { reserveSeconds: 3_600, auction: random.next() < 0.5 ? 'FIRST_PRICE' : 'SECOND_PRICE' })
          const decision = bidDecide?.decision
          if (decision?.__typename !== 'Bid') {
            report.noBids++
            continue
          }
          report.bids++
          acknowledged.set(decision.decisionId, 'BID')
          for (const type of plan(random.next())) {
            const price = type === 'BILLABLE' || type === 'WIN' ? { price: { amountMicros: random.below(PRICE_MICROS) + 1 } } : {}
            const { auctionOutcomeRecord } = await call(OUTCOME, { decisionId: decision.decisionId, type, ...price })
            report.notices++
            const result = auctionOutcomeRecord?.outcome?.result
            if (result === 'COMMITTED' || result === 'RELEASED') acknowledged.set(decision.decisionId, result)
          }
        }
      }),
    )
    isOver = true
    await chaos
    return { ...report, seconds: (performance.now() - startedAt) / 1000, ...(await proof(database, acknowledged)) }
  } finally {
    isOver = true
    server.child.kill('SIGKILL')
    agent.destroy()
    await database.close()
    rmSync(home, { recursive: true, force: true })
  }
}

/** What becomes of a bid: some are heard of twice, some in the wrong order, some never. */
function plan(chance: number): string[] {
  if (chance < 0.25) return ['WIN', 'BILLABLE']
  if (chance < 0.4) return ['BILLABLE']
  if (chance < 0.5) return ['BILLABLE', 'BILLABLE', 'WIN']
  if (chance < 0.6) return ['WIN', 'WIN', 'LOSS', 'BILLABLE']
  if (chance < 0.75) return ['LOSS']
  if (chance < 0.8) return ['LOSS', 'BILLABLE']
  if (chance < 0.9) return ['BILLABLE', 'CLICK', 'CLICK', 'CONVERSION']
  return []
}

async function makeCampaigns(database: ReturnType<typeof openDatabase>, budgetMicros: number) {
  await database.sql(
    `INSERT INTO "BiddingStrategy" (id, name, type, "cpmBidMicros") VALUES ('torture', 'Torture', 'MANUAL_CPM', ${PRICE_MICROS * 1000})`,
  )
  await database.sql(
    `INSERT INTO "Campaign" (id, name, status, "budgetMicros", "budgetCurrencyCode", "budgetPeriod", "deliveryMethod", "biddingStrategyId")
     SELECT 'torture-' || n, 'Torture ' || n, 'ENABLED', $1, 'EUR', 'TOTAL', 'ACCELERATED', 'torture' FROM generate_series(1, ${CAMPAIGNS}) n`,
    [budgetMicros],
  )
  await database.sql(
    `INSERT INTO "AdGroup" (id, "campaignId", name) SELECT 'torture-' || n, 'torture-' || n, 'All' FROM generate_series(1, ${CAMPAIGNS}) n`,
  )
  await database.sql(`INSERT INTO "Ad" ("adGroupId", headline) SELECT 'torture-' || n, 'Ad ' || n FROM generate_series(1, ${CAMPAIGNS}) n`)
}

async function proof(database: ReturnType<typeof openDatabase>, acknowledged: ReadonlyMap<string, string>) {
  const rows = await new CampaignsRepository(database).audit(null)
  const states = new Map(
    (await database.sql<{ id: string; state: string }>('SELECT id, state::text AS state FROM "BidReservation"')).map(row => [
      row.id,
      row.state,
    ]),
  )
  const decisions = new Set((await database.sql<{ id: string }>(`SELECT id FROM "Decision" WHERE kind = 'bid'`)).map(row => row.id))
  let lost = 0
  for (const [id, result] of acknowledged) {
    const key = Buffer.from(id, 'base64url').toString().slice('Decision:'.length)
    const state = states.get(key)
    if (
      !state ||
      !decisions.has(key) ||
      (result === 'COMMITTED' && state !== 'COMMITTED') ||
      (result === 'RELEASED' && state === 'RESERVED')
    )
      lost++
  }
  const sum = (value: (row: (typeof rows)[number]) => bigint) => Number(rows.reduce((total, row) => total + value(row), 0n))
  return {
    breaches: rows.reduce((total, row) => total + row.breaches, 0),
    wrongLedgers: rows.filter(
      row => !row.isComplete || row.bidsSpentMicros !== row.spentMicros || row.bidsReservedMicros !== row.reservedMicros,
    ).length,
    lost,
    usedShare: sum(row => row.spentMicros + row.reservedMicros) / sum(row => row.limitMicros),
    entries: rows.reduce((total, row) => total + row.entries, 0),
  }
}

async function startServer(root: string, home: string, databaseUrl: string, port = 0) {
  const child: ChildProcess = spawn(process.execPath, [join(root, 'dist/bundle/main.js'), 'server'], {
    cwd: root,
    env: {
      ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('BELLWETHER_'))),
      NODE_ENV: 'production',
      DATABASE_URL: databaseUrl,
      BELLWETHER_HOME: home,
      PORT: String(port),
      BELLWETHER_LOG_LEVEL: 'silent',
      BELLWETHER_RATE_LIMIT: '100000000',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const ended = new Promise<void>(done => child.once('exit', () => done()))
  let said = ''
  let complaints = ''
  child.stderr?.on('data', chunk => {
    complaints = `${complaints}${chunk}`.slice(-4_000)
  })
  const found = await new Promise<number>((done, failed) => {
    child.stdout?.on('data', chunk => {
      said += chunk
      const [, at] = /GraphQL\s+http:\/\/[^:]+:(\d+)/.exec(said) ?? []
      if (at) done(Number(at))
    })
    child.once('exit', () => failed(new Error(`The server did not start: ${complaints}`)))
  })
  return { child, ended, port: found }
}

function post(agent: Agent, port: number, token: string, body: string): Promise<Answers> {
  return new Promise((done, failed) => {
    const call = request(
      {
        agent,
        port,
        host: '127.0.0.1',
        path: '/graphql',
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${token}`, 'content-length': Buffer.byteLength(body) },
      },
      response => {
        let text = ''
        response.setEncoding('utf8')
        response.on('data', chunk => {
          text += chunk
        })
        response.once('error', failed)
        response.once('aborted', () => failed(new Error('broken off')))
        response.once('end', () => {
          try {
            const { data } = JSON.parse(text) as { data?: Answers | null }
            if (data) done(data)
            else failed(new Error(text.slice(0, 500)))
          } catch (error) {
            failed(error)
          }
        })
      },
    )
    call.once('error', failed)
    call.end(body)
  })
}
