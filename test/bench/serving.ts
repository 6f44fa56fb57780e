import { spawn } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { temporaryHome } from '../support/home.js'
import { type Benchmark, median, NODE_OPTIONS_OF_SERVERS, type Row } from './bench.js'
import { bodiesOf, CONNECTIONS, type Door, HELLO, headersOf, load, type Round } from './load.js'

const ROUNDS = 5
const SECONDS = 6
const USERS = 500

export const RECOMMENDATIONS = `query Serve($user: String!) {
  recommendations(userExternalId: $user, first: 10) {
    servedBy decisionId fallbacks
    items { rank score product { externalId title } reasons { kind text weight } }
  }
}`

/** Recommendations of the demo shop's live model, warm, beside a field that does nothing: the same server, the same run, turn by turn. */
export const serving: Benchmark = {
  name: 'serving',
  run: async ({ smoke }) => {
    const server = await startDemo()
    try {
      const hello = bodiesOf(HELLO)
      const users = Array.from({ length: USERS }, (_, index) => ({ user: `u-${String(index + 1).padStart(6, '0')}` }))
      const recommend = bodiesOf(RECOMMENDATIONS, users)
      await checkAnswers(server, recommend)
      await atRest(server)
      for (const bodies of [hello, recommend]) await load(server, bodies, smoke ? 1 : SECONDS)
      if (smoke) return []
      const rounds: { hello: Round; ours: Round }[] = []
      for (let round = 0; round < ROUNDS; round++)
        rounds.push({ hello: await load(server, hello, SECONDS), ours: await load(server, recommend, SECONDS) })
      return rowsOf(rounds)
    } finally {
      await server.stop()
    }
  },
}

function rowsOf(rounds: { hello: Round; ours: Round }[]): Row[] {
  const middle = (value: (round: { hello: Round; ours: Round }) => number) => median(rounds.map(value))
  const [ours, hello] = [middle(round => round.ours.perSecond), middle(round => round.hello.perSecond)]
  const [slow, slowHello] = [middle(round => round.ours.p99), middle(round => round.hello.p99)]
  return [
    {
      benchmark: `recommendations(first: 10), warm, ${CONNECTIONS} connections`,
      ours: `${Math.round(ours)} requests/s`,
      peer: `${Math.round(hello)} requests/s of { __typename }`,
      ratio: `${middle(round => round.ours.perSecond / round.hello.perSecond).toFixed(2)} ×`,
      bar: '≥ 0.4 ×',
    },
    {
      benchmark: 'the same, 99th percentile',
      ours: `${slow.toFixed(0)} ms`,
      peer: `${slowHello.toFixed(0)} ms`,
      ratio: `${middle(round => round.ours.p99 / round.hello.p99).toFixed(1)} ×`,
      bar: '< 4 ×',
    },
  ]
}

interface Demo extends Door {
  stop(): Promise<void>
}

/** The compiled platform as its users start it, in a home of its own, when its first models are live. */
async function startDemo(): Promise<Demo> {
  const home = temporaryHome('bench')
  const child = spawn(process.execPath, [...NODE_OPTIONS_OF_SERVERS, 'dist/bundle/main.js'], {
    env: {
      ...process.env,
      NODE_ENV: 'development',
      PORT: '0',
      BELLWETHER_HOME: home,
      BELLWETHER_LOG_LEVEL: 'warn',
      BELLWETHER_RATE_LIMIT: '100000000',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const ended = new Promise<void>(done => child.once('exit', () => done()))
  const stop = async () => {
    child.kill('SIGTERM')
    await ended
    rmSync(home, { recursive: true, force: true })
  }
  let said = ''
  let complaints = ''
  child.stderr.on('data', chunk => {
    complaints = `${complaints}${chunk}`.slice(-4_000)
  })
  const url = await new Promise<string>((done, failed) => {
    child.stdout.on('data', chunk => {
      said += chunk
      const [, found] = /GraphQL\s+(http\S+)/.exec(said) ?? []
      if (found) done(found)
    })
    child.once('exit', () => failed(new Error(`The platform did not start: ${complaints}`)))
  }).catch(async error => {
    await stop()
    throw error
  })
  const { marketer } = JSON.parse(readFileSync(join(home, 'keys.json'), 'utf8'))
  return { url, key: marketer, stop }
}

/** Waits until the demo has taught its other models, which it does in the background. */
async function atRest({ url, key }: Door) {
  const query = '{ waiting: jobs(state: WAITING) { nodes { name } } active: jobs(state: ACTIVE) { nodes { name } } }'
  for (let quiet = 0; quiet < 3; ) {
    const response = await fetch(url, { method: 'POST', body: JSON.stringify({ query }), headers: headersOf(key) })
    const { data } = (await response.json()) as { data: Record<string, { nodes: { name: string }[] }> }
    quiet = Object.values(data).every(({ nodes }) => nodes.length === 0) ? quiet + 1 : 0
    await new Promise(done => setTimeout(done, 1_000))
  }
}

/** A benchmark of refusals would be fast. */
export async function checkAnswers({ url, key }: Door, requests: readonly { body: string }[]) {
  for (const { body } of requests.slice(0, 20)) {
    const response = await fetch(url, { method: 'POST', body, headers: headersOf(key) })
    const answer = (await response.json()) as { errors?: unknown; data?: { recommendations: { servedBy: string; items: unknown[] } } }
    const list = answer.data?.recommendations
    if (list?.items.length !== 10) throw new Error(`A full list was expected: ${JSON.stringify(answer).slice(0, 500)}`)
  }
}
