// Users scored by a linear model over stored features, two ranges at a time in one process, with the merge of the best 5 %; and the whole flow of jobs, from
// audienceCreate to READY, in a worker process of its own: a look-alike is learned, its ranges are scored, the best 5 % become the members.
import { type ChildProcess, fork } from 'node:child_process'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { type App, createApp } from '../../src/app.js'
import { type AudienceRow, AudiencesRepository } from '../../src/audiences/audiences.repository.js'
import { readConfig } from '../../src/config.js'
import { encodeId } from '../../src/graphql/node-id.js'
import { openDatabase } from '../../src/platform/database.js'
import { startEmbeddedPostgres } from '../../src/platform/embedded-postgres.js'
import { silentLog } from '../../src/platform/log.js'
import { migrate } from '../../src/platform/migrate.js'
import { FEATURE_NAMES, FEATURE_VERSION } from '../../src/profiles/features.js'
import { temporaryHome } from '../support/home.js'
import type { Benchmark, Row } from './bench.js'

/** The range of the service. */
const RANGE = 50_000
const STEP = 100_000

export const audienceScoring: Benchmark = {
  name: 'audience-scoring',
  run: async ({ smoke }) => {
    const sizes = smoke ? [2_000, 4_000] : (process.env.AUDIENCE_SIZES ?? '100000,400000,1600000,5000000').split(',').map(Number)
    const home = temporaryHome('audiences')
    const postgres = await startEmbeddedPostgres({ home, log: silentLog })
    await migrate(postgres.url, process.cwd())
    const database = openDatabase(postgres.url, silentLog)
    const repository = new AudiencesRepository(database)
    const config = readConfig({ BELLWETHER_DEMO: 'off', BELLWETHER_LOG_LEVEL: 'silent' })
    const app = await createApp({ config, databaseUrl: postgres.url, log: silentLog, role: 'server' })
    try {
      const flows: { users: number; seconds: number; mebibytes: number }[] = []
      const points: { users: number; seconds: number; mebibytes: number; micros: number }[] = []
      let filled = 0
      for (const users of sizes) {
        for (; filled < users; filled = Math.min(users, filled + STEP)) await fill(filled + 1, Math.min(users, filled + STEP))
        await database.sql('VACUUM (ANALYZE) "User", "UserProfile", "Consent"')
        const tries = users > 1_000_000 ? 1 : 3
        const results: { seconds: number; mebibytes: number; micros: number }[] = []
        for (let turn = 0; turn < tries; turn++) results.push(await score(users, turn))
        results.sort((a, b) => a.seconds - b.seconds)
        points.push({ users, ...results[Math.floor(tries / 2)] })
        console.error(JSON.stringify(points.at(-1)))
        flows.push({ users, ...(await flow(app, postgres.url, users)) })
        console.error(JSON.stringify(flows.at(-1)))
      }
      const [first, last] = [points[0], points[points.length - 1]]
      const exponent = Math.log(last.seconds / first.seconds) / Math.log(last.users / first.users)
      const row = (benchmark: string, ours: string, bar: string): Row => ({ benchmark, ours, peer: '–', ratio: '–', bar })
      return [
        ...points.map(({ users, seconds, mebibytes, micros }) =>
          row(
            `audience scoring, ${users.toLocaleString('en')} users`,
            `${Math.round(users / seconds).toLocaleString('en')} users/s, ${micros.toFixed(1)} µs of a core a user, ${mebibytes.toFixed(0)} MiB more at most`,
            '≥ 100,000 users/s',
          ),
        ),
        row('audience scoring, exponent of time', exponent.toFixed(2), '≤ 1.05'),
        ...flows.map(({ users, seconds, mebibytes }) =>
          row(
            `look-alike by the flow of jobs, ${users.toLocaleString('en')} users`,
            `${seconds.toFixed(1)} s with learning, ${Math.round(users / seconds).toLocaleString('en')} users/s, peak of the worker ${mebibytes.toFixed(0)} MiB`,
            'memory flat',
          ),
        ),
      ]
    } finally {
      await app.close()
      await database.close()
      await postgres.stop()
      rmSync(home, { recursive: true, force: true })
    }

    async function fill(from: number, to: number) {
      const unknown = (column: number) =>
        `CASE WHEN hashint4(n * 41 + ${column}) % 10 = 0 THEN 'NaN'::float8 ELSE abs(hashint4(n * 37 + ${column})) % 1000 END`
      const features = FEATURE_NAMES.map((_, column) => unknown(column)).join(', ')
      await database.sql(`INSERT INTO "User" (id, "externalId") SELECT n, 'u' || n FROM generate_series(${from}, ${to}) n`)
      await database.sql(
        `INSERT INTO "UserProfile" ("userId", "refreshedAt", "eventCount", "lastEventId", "orderDays", "monetaryMicros", "featureVersion", features, categories, brands, channels, hours)
           SELECT n, now(), 3, n, 1, 1000000, ${FEATURE_VERSION}, ARRAY[${features}]::float8[], '[["Tea", 1]]', '[]', '[["web", 1]]', '{}' FROM generate_series(${from}, ${to}) n`,
      )
      await database.sql(
        `INSERT INTO "Consent" ("userId", purpose, granted, at, source) SELECT n, 'ADS', n % 20 <> 0, now(), 'bench' FROM generate_series(${from}, ${to}) n`,
      )
    }

    /** Wall time of one look-alike, and the most memory that a fresh worker ever held (Linux only). */
    async function flow(app: App, url: string, users: number) {
      const seedId = `seed-${users}`
      const definition = { segmentId: 'bench', consent: null, minimumSize: 0 }
      await repository.create({ id: seedId, name: seedId, source: 'SEGMENT', definition, createdBy: 'bench' })
      await database.sql(
        `INSERT INTO "AudienceMember" ("audienceId", "userId") SELECT $1, "userId" FROM "UserProfile" WHERE "userId" <= 100000 AND features[1] > 500 AND "userId" % 7 = 0 LIMIT 5000`,
        [seedId],
      )
      await database.sql(`UPDATE "Audience" SET status = 'READY', "builtAt" = now() WHERE id = $1`, [seedId])
      const worker: ChildProcess = fork(join(process.cwd(), 'dist/test/bench/audience-worker.js'), [url], { execArgv: [] })
      try {
        await new Promise((ready, failed) => {
          worker.once('message', ready)
          worker.once('exit', code => failed(new Error(`The worker ended with ${code}`)))
        })
        const startedAt = performance.now()
        const {
          audience: { key },
        } = await app.audiences.create(
          { name: 'bench' },
          {
            name: 'Alike',
            seedAudienceId: encodeId('Audience', seedId),
            share: 0.05,
            consent: 'ADS',
            minimumSize: 10,
            ascending: false,
            dryRun: false,
          },
        )
        for (;;) {
          const audience = await app.audiences.find(key)
          if (audience?.status === 'READY') {
            if (audience.size !== Math.ceil(0.05 * users)) throw new Error(`${audience.size} members of ${users} users`)
            break
          }
          if (audience?.status === 'FAILED') throw new Error(audience.failure ?? 'not built')
          await new Promise(done => setTimeout(done, 20))
        }
        const seconds = (performance.now() - startedAt) / 1_000
        const status = `/proc/${worker.pid}/status`
        const peak = existsSync(status) ? Number(/VmHWM:\s+(\d+)/.exec(readFileSync(status, 'utf8'))?.[1]) / 1_024 : Number.NaN
        return { seconds, mebibytes: peak }
      } finally {
        worker.kill('SIGKILL')
      }
    }

    async function score(users: number, turn: number) {
      const id = `a-${users}-${turn}`
      const columns = FEATURE_NAMES.length
      const detail = {
        linear: {
          intercept: 0.5,
          weights: Array.from({ length: columns }, (_, column) => Math.sin(column + 1)),
          means: Array.from({ length: columns }, () => 5),
          missing: Array.from({ length: columns }, (_, column) => Math.cos(column)),
        },
        wanted: Math.ceil(0.05 * users),
      }
      await repository.create({
        id,
        name: id,
        source: 'LOOKALIKE',
        definition: { seedAudienceId: 'seed', consent: 'ADS', minimumSize: 10 },
        createdBy: 'bench',
      })
      await repository.prepare(id, 1, detail)
      const [audience] = (await repository.byIds([id])) as AudienceRow[]
      const hold = async () => {}
      global.gc?.()
      const before = process.memoryUsage.rss()
      let most = before
      const watch = setInterval(() => {
        most = Math.max(most, process.memoryUsage.rss())
      }, 50)
      const cpuBefore = await cpuSeconds()
      const startedAt = performance.now()
      const ranges = await repository.ranges(RANGE)
      let scored = 0
      const work = async () => {
        for (let range = ranges.shift(); range; range = ranges.shift()) {
          const users = await repository.scoreRange(audience, range, undefined, hold)
          scored += users
        }
      }
      await Promise.all([work(), work()])
      const mergedAt = performance.now()
      const merged = await repository.merge(audience, new Date(), hold)
      const seconds = (performance.now() - startedAt) / 1_000
      clearInterval(watch)
      const micros = (1e6 * ((await cpuSeconds()) - cpuBefore)) / users
      if (scored !== users || merged?.size !== detail.wanted) throw new Error(`Scored ${scored} of ${users}, merged ${merged?.size}`)
      console.error(
        `${users}: ${((mergedAt - startedAt) / 1000).toFixed(2)} s scoring, ${(seconds - (mergedAt - startedAt) / 1000).toFixed(2)} s merge`,
      )
      return { seconds, mebibytes: (most - before) / 2 ** 20, micros }
    }

    /** Of this process and of the connections' server processes: unlike the time it takes, it hardly depends on what else the machine does. Linux only. */
    async function cpuSeconds() {
      const { user, system } = process.cpuUsage()
      const rows = await database.sql<{ pid: number }>('SELECT pid FROM pg_stat_activity')
      const ticks = rows.map(({ pid }) => {
        const file = `/proc/${pid}/stat`
        if (!existsSync(file)) return 0
        const fields = readFileSync(file, 'utf8').split(') ')[1].split(' ')
        return Number(fields[11]) + Number(fields[12])
      })
      return (user + system) / 1e6 + ticks.reduce((sum, each) => sum + each, 0) / 100
    }
  },
}
