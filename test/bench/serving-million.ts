import { spawn } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import pg from 'pg'
import { createRandom } from '../../src/algorithms/math/random.js'
import { algorithms } from '../../src/algorithms/recommend/index.js'
import type { Interactions, Recommender } from '../../src/algorithms/recommend/recommender.js'
import { type Database, openDatabase } from '../../src/platform/database.js'
import { startEmbeddedPostgres } from '../../src/platform/embedded-postgres.js'
import { silentLog } from '../../src/platform/log.js'
import { migrate } from '../../src/platform/migrate.js'
import { recommendationTask } from '../../src/recommendations/recommendation.task.js'
import { RecommendationsRepository } from '../../src/recommendations/recommendations.repository.js'
import { packBundle } from '../../src/registry/bundle.js'
import { ModelRepository } from '../../src/registry/model.repository.js'
import { temporaryHome } from '../support/home.js'
import { type Benchmark, median, NODE_OPTIONS_OF_SERVERS, type Row } from './bench.js'
import { fillShop, type ShopSize, userId } from './big-shop.js'
import { bodiesOf, CONNECTIONS, type Door, HELLO, load, type Round } from './load.js'
import { checkAnswers, RECOMMENDATIONS } from './serving.js'

const SIZE: ShopSize = { users: 1_000_000, products: 100_000, events: 5_000_000 }
const SMOKE: ShopSize = { users: 2_000, products: 1_000, events: 20_000 }
const ROUNDS = 5
const SECONDS = 6
/** Distinct users that are asked for in turn: as many as lists are remembered. */
const ASKED = 20_000
/** The model that serves; the others are only weighed. */
const LIVE = 'item-cf'
const BOUNDS: Record<string, Record<string, number>> = { 'item-cf': { history: 200 }, ials: { epochs: 1 } }
const WEIGHED = ['popularity', LIVE, 'ials']

/** Recommendations over a million users and a hundred thousand products, every request another user, beside a field that does nothing. */
export const servingMillion: Benchmark = {
  name: 'serving-million',
  run: async ({ smoke }) => {
    const shop = await openBigShop(temporaryHome('million'), smoke ? SMOKE : SIZE)
    try {
      const door = await shop.serve()
      const count = Math.min(ASKED, smoke ? SMOKE.users : SIZE.users)
      const users = Array.from({ length: count }, (_, at) => ({ user: userId(1 + ((at * 48_271) % (smoke ? SMOKE : SIZE).users)) }))
      const [hello, ours] = [bodiesOf(HELLO), bodiesOf(RECOMMENDATIONS, users)]
      await checkAnswers(door, ours)
      await load(door, hello, smoke ? 1 : 2 * SECONDS)
      const first = await load(door, ours, 'once')
      await load(door, ours, smoke ? 1 : SECONDS)
      if (smoke) return []
      const rounds: { hello: Round; ours: Round }[] = []
      for (let round = 0; round < ROUNDS; round++)
        rounds.push({ hello: await load(door, hello, SECONDS), ours: await load(door, ours, SECONDS) })
      return [...rowsOf(rounds), rowOfFirst(first), ...shop.models.map(memoryRow), memoryOfServer(shop.residentMegabytes())]
    } finally {
      await shop.stop()
    }
  },
}

interface Weight {
  algorithm: string
  artifactMegabytes: number
  memoryMegabytes: number
  fitSeconds: number
}

export interface BigShop {
  models: Weight[]
  /** Starts a server over it. Its Node.js options may ask for a profile. */
  serve(nodeOptions?: string[]): Promise<Door>
  residentMegabytes(): number
  stop(): Promise<void>
}

/** A shop of this size with a live model, over a PostgreSQL with its default safety. */
export async function openBigShop(home: string, size: ShopSize): Promise<BigShop> {
  const postgres = await startEmbeddedPostgres({ home: join(home, 'database'), log: silentLog })
  const stops: (() => Promise<void>)[] = [postgres.stop]
  const stop = async () => {
    for (const each of stops.reverse()) await each()
    rmSync(home, { recursive: true, force: true })
  }
  let resident = () => Number.NaN
  try {
    await migrate(postgres.url, process.cwd())
    const client = new pg.Client({ connectionString: postgres.url })
    await client.connect()
    await fillShop(client, size).finally(() => client.end())
    const database = openDatabase(postgres.url, silentLog, 3)
    const models = await learn(database).finally(() => database.close())
    return {
      models,
      residentMegabytes: () => resident(),
      serve: async (nodeOptions = []) => {
        const server = await startServer(join(home, 'home'), postgres.url, nodeOptions)
        stops.push(server.stop)
        resident = server.residentMegabytes
        return server
      },
      stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}

/** What the platform's training does with all of the data, without the measuring, which would rank everything for everybody. */
async function learn(database: Database): Promise<Weight[]> {
  const task = recommendationTask(new RecommendationsRepository(database))
  const models = new ModelRepository(database)
  const now = new Date()
  const { data, rows, from, to, keys, taught } = await task.load(now)
  const weights: Weight[] = []
  for (const name of WEIGHED) {
    const { weight, artifact, params } = weighed(name, data)
    weights.push(weight)
    const bundle = packBundle({ artifact, keys, taught })
    if (name === 'popularity') {
      await models.keepBaseline(task.name as 'RECOMMENDATION', { artifact: bundle, algorithm: name, trainedAt: now.toISOString(), rows })
      continue
    }
    if (name !== LIVE) continue
    const { id } = await models.create({
      ...{
        task: 'RECOMMENDATION',
        algorithm: name,
        status: 'CANDIDATE',
        params,
        seed: 1,
        metrics: {},
        baselineMetrics: {},
        liveMetrics: null,
      },
      ...{ guardrails: { passed: true, checks: [] } as never, trainedAt: now, trainedRows: rows, dataFrom: from, dataTo: to },
      ...{ seconds: weight.fitSeconds, jobId: null, artifact: bundle, cardOf: () => 'Learned by the benchmark' },
    })
    await models.promote(id, 'RECOMMENDATION', ['CANDIDATE'], { verdict: 'APPROVED', by: 'benchmark', note: null, at: now })
  }
  return weights
}

function weighed(name: string, data: Interactions) {
  const algorithm = algorithms.find(each => each.name === name)
  if (!algorithm) throw new Error(`There is no recommender ${name}`)
  const params = { ...algorithm.defaults, ...BOUNDS[name] }
  const startedAt = performance.now()
  const artifact = algorithm.fit(data, params, createRandom(1)).save()
  const fitSeconds = (performance.now() - startedAt) / 1000
  const before = occupied()
  const model: Recommender = algorithm.load(artifact)
  model.score({ items: Int32Array.of(0), values: Float32Array.of(1), times: Float64Array.of(0) }, new Float64Array(model.itemCount))
  const memoryMegabytes = (occupied() - before) / 2 ** 20
  if (model.itemCount !== data.itemCount) throw new Error('The model does not know all products')
  return { weight: { algorithm: name, artifactMegabytes: artifact.length / 2 ** 20, memoryMegabytes, fitSeconds }, artifact, params }
}

/** Live bytes of the heap and of typed arrays; what is garbage is collected first. */
function occupied(): number {
  setFlagsFromString('--expose-gc')
  for (let round = 0; round < 2; round++) runInNewContext('gc')()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

export async function startServer(home: string, databaseUrl: string, nodeOptions: string[]) {
  const child = spawn(process.execPath, [...NODE_OPTIONS_OF_SERVERS, ...nodeOptions, 'dist/bundle/main.js', 'server'], {
    env: {
      ...process.env,
      NODE_ENV: 'development',
      PORT: '0',
      DATABASE_URL: databaseUrl,
      BELLWETHER_HOME: home,
      BELLWETHER_DEMO: 'off',
      BELLWETHER_LOG_LEVEL: 'warn',
      BELLWETHER_RATE_LIMIT: '100000000',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const ended = new Promise<void>(done => child.once('exit', () => done()))
  const stop = async () => {
    child.kill('SIGTERM')
    await ended
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
    child.once('exit', () => failed(new Error(`The server did not start: ${complaints}`)))
  })
  const { marketer } = JSON.parse(readFileSync(join(home, 'keys.json'), 'utf8'))
  const residentMegabytes = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1] ?? Number.NaN) / 1024
  return { url, key: marketer as string, stop, residentMegabytes }
}

function rowsOf(rounds: { hello: Round; ours: Round }[]): Row[] {
  const middle = (value: (round: { hello: Round; ours: Round }) => number) => median(rounds.map(value))
  return [
    {
      benchmark: `recommendations(first: 10), 1 million users, 100,000 products, ${CONNECTIONS} connections`,
      ours: `${Math.round(middle(({ ours }) => ours.perSecond))} requests/s`,
      peer: `${Math.round(middle(({ hello }) => hello.perSecond))} requests/s of { __typename }`,
      ratio: `${middle(({ ours, hello }) => ours.perSecond / hello.perSecond).toFixed(2)} ×`,
      bar: '≥ 0.5 ×',
    },
    {
      benchmark: 'the same, 99th percentile',
      ours: `${middle(({ ours }) => ours.p99).toFixed(0)} ms`,
      peer: `${middle(({ hello }) => hello.p99).toFixed(0)} ms`,
      ratio: `${middle(({ ours, hello }) => ours.p99 / hello.p99).toFixed(1)} ×`,
      bar: '< 20 ms',
    },
  ]
}

function rowOfFirst({ perSecond, p99 }: Round): Row {
  return {
    benchmark: 'the same, of users who were not asked for before',
    ours: `${perSecond.toFixed(0)} requests/s, 99th percentile ${p99.toFixed(0)} ms`,
    peer: '',
    ratio: '',
    bar: '',
  }
}

function memoryRow({ algorithm, artifactMegabytes, memoryMegabytes, fitSeconds }: Weight): Row {
  return {
    benchmark: `${algorithm} of 100,000 products in memory`,
    ours: `${memoryMegabytes.toFixed(0)} MB`,
    peer: `${artifactMegabytes.toFixed(0)} MB stored, learned in ${fitSeconds.toFixed(0)} s`,
    ratio: '',
    bar: 'stated',
  }
}

function memoryOfServer(megabytes: number): Row {
  return { benchmark: 'the server that answered, resident', ours: `${megabytes.toFixed(0)} MB`, peer: '', ratio: '', bar: 'stated' }
}
