// 100,000 profiles × 50 segments: what one event costs, a full evaluation, and reading while one is under way.
import { rmSync } from 'node:fs'
import { openDatabase } from '../../src/platform/database.js'
import { startEmbeddedPostgres } from '../../src/platform/embedded-postgres.js'
import { silentLog } from '../../src/platform/log.js'
import { migrate } from '../../src/platform/migrate.js'
import { FEATURE_NAMES, FEATURE_VERSION } from '../../src/profiles/features.js'
import type { Rule } from '../../src/segments/rule.js'
import { SegmentsRepository } from '../../src/segments/segments.repository.js'
import { temporaryHome } from '../support/home.js'
import { type Benchmark, median, type Row } from './bench.js'

const EVENTS_PER_USER = 10
const SEGMENTS = 50
const CATEGORIES = ['Tea', 'Books', 'Shoes', 'Outdoor', 'Kitchen']
const GROUPS = ['champions', 'loyal', 'atRisk', 'hibernating', 'lost']

/** Fifty rules as people write them: traits, features, predictions, behaviour, and each other's members. */
export function rules(): Rule[] {
  return Array.from({ length: SEGMENTS }, (_, index): Rule => {
    const kinds: Rule[] = [
      {
        all: [
          { trait: { name: 'country', op: 'EQ', value: index % 2 === 0 ? 'DE' : 'CN' } },
          { feature: { name: 'monetary', op: 'GT', value: 10 * index } },
        ],
      },
      { did: { type: 'PURCHASE', atLeast: 1 + (index % 3), withinDays: 30 + index } },
      { all: [{ rfm: [GROUPS[index % 5]] }, { not: { did: { type: 'PURCHASE', atLeast: 1, withinDays: 20 } } }] },
      {
        any: [
          { prediction: { name: 'churnProbability', op: 'GT', value: index / 60 } },
          { feature: { name: 'recencyDays', op: 'GT', value: 90 } },
        ],
      },
      { didThenNot: { first: 'ADD_TO_CART', butNot: 'PURCHASE', withinHours: 24, lastDays: 14 } },
    ]
    return kinds[index % kinds.length]
  })
}

export const segmentsBenchmark: Benchmark = {
  name: 'segments',
  run: async ({ smoke }) => {
    const users = smoke ? 500 : 100_000
    const home = temporaryHome('segments')
    const postgres = await startEmbeddedPostgres({ home, log: silentLog })
    await migrate(postgres.url, process.cwd())
    const database = openDatabase(postgres.url, silentLog)
    try {
      const now = new Date()
      await fill(database, users)
      const repository = new SegmentsRepository(database, 'UTC')
      for (const [index, rule] of rules().entries())
        await repository.create({ id: `s${index}`, name: `Segment ${index}`, description: null, rule, createdBy: null })
      const rows = await repository.all()
      const seconds = new Map<string, number>()
      const evaluate = async (id: string) => {
        const row = rows.find(each => each.id === id) as (typeof rows)[number]
        const startedAt = performance.now()
        const shards = await repository.shards(20_000)
        const work = async () => {
          for (let range = shards.shift(); range; range = shards.shift()) await repository.evaluateRange(row, range, now)
        }
        await Promise.all([work(), work()])
        await repository.settle(row.id, row.version, { at: now, ended: now })
        return (performance.now() - startedAt) / 1000
      }
      for (const { id } of rows) seconds.set(id, await evaluate(id))
      await database.sql('ANALYZE')
      const again = [...seconds.keys()].slice(0, 10)
      const full = [...seconds.values(), ...(await sequence(again, evaluate))]
      const milliseconds: number[] = []
      for (let turn = 0; turn < (smoke ? 20 : 300); turn++) {
        const user = 1 + ((turn * 7_919) % users)
        await database.sql(
          `INSERT INTO "Event" ("messageId", "userId", type, "occurredAt") VALUES ($1, $2, 'ADD_TO_CART', now())`,
          [`bench-${turn}`, user],
          'bench-event',
        )
        const startedAt = performance.now()
        await repository.evaluateUsers(rows, [user], new Date())
        milliseconds.push(performance.now() - startedAt)
      }
      const warm = milliseconds.slice(Math.min(20, milliseconds.length - 1)).sort((a, b) => a - b)
      let evaluating = true
      const evaluation = evaluate('s1').finally(() => {
        evaluating = false
      })
      const reads: number[] = []
      while (evaluating) {
        const startedAt = performance.now()
        await repository.members('s1', null, undefined, 20)
        reads.push(performance.now() - startedAt)
      }
      await evaluation
      const label = `${users.toLocaleString('en')} profiles × ${SEGMENTS} segments`
      const row = (benchmark: string, ours: string, bar: string): Row => ({
        benchmark: `${label}: ${benchmark}`,
        ours,
        peer: '–',
        ratio: '–',
        bar,
      })
      return [
        row(
          'one event, all segments it touches',
          `${median(warm).toFixed(2)} ms (p95 ${warm[Math.floor(warm.length * 0.95)].toFixed(2)} ms)`,
          '< 5 ms',
        ),
        row('full evaluation of one segment', `${median(full).toFixed(2)} s (slowest ${Math.max(...full).toFixed(2)} s)`, '< 2 s'),
        row(
          'a page of members read meanwhile',
          `${median(reads).toFixed(2)} ms (slowest ${Math.max(...reads).toFixed(1)} ms)`,
          'never blocks',
        ),
      ]
    } finally {
      await database.close()
      await postgres.stop()
      rmSync(home, { recursive: true, force: true })
    }
  },
}

async function sequence<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  for (const item of items) results.push(await work(item))
  return results
}

export async function fill(database: ReturnType<typeof openDatabase>, users: number): Promise<void> {
  const list = (values: readonly string[]) => `(ARRAY[${values.map(value => `'${value}'`).join(', ')}])`
  const statements = [
    `INSERT INTO "Product" ("externalId", title, categories, brand, "priceMicros", "currencyCode") SELECT 'p' || n, 'p' || n, ARRAY[${list(CATEGORIES)}[1 + n % 5]], 'B' || n % 7, 1000000 * n, 'EUR' FROM generate_series(1, 500) AS n`,
    `INSERT INTO "User" ("externalId", country, "timeZone") SELECT 'u' || n, ${list(['DE', 'CN', 'US', 'FR'])}[1 + n % 4], CASE WHEN n % 3 = 0 THEN 'Asia/Shanghai' END FROM generate_series(1, ${users}) AS n`,
    `INSERT INTO "Event" ("messageId", "userId", "productId", type, quantity, "priceMicros", "currencyCode", "occurredAt")
     SELECT 'm' || n, 1 + n % ${users}, 1 + n % 500, ${list(['VIEW', 'VIEW', 'ADD_TO_CART', 'PURCHASE', 'SEARCH'])}[1 + (n / ${users}) % 5]::"EventType", 1, 1000000, 'EUR', now() - (hashint4(n::int) & 1023) * interval '4 hours'
     FROM generate_series(1, ${users * EVENTS_PER_USER}) AS n`,
    `INSERT INTO "UserProfile" ("userId", "refreshedAt", "eventCount", "lastEventId", "lastOrderAt", "orderDays", "monetaryMicros", "featureVersion", features, categories, brands, channels, hours, "rfmGroup", churn, "segmentedAt")
     SELECT u.id, now(), ${EVENTS_PER_USER}, 0, now() - (u.id % 200) * interval '1 day', u.id % 9, 1000000 * (u.id % 700), ${FEATURE_VERSION},
       ARRAY(SELECT ((u.id * 31 + n * 17) % 500)::float8 FROM generate_series(1, ${FEATURE_NAMES.length}) AS n), '[["Tea", 3.5], ["Books", 1.25]]', '[["B1", 2]]', '{}', array_fill(1, ARRAY[24]),
       ${list(GROUPS)}[1 + u.id % 5], (u.id % 100) / 100.0, now() FROM "User" u`,
    'ANALYZE',
  ]
  for (const statement of statements)
    await database.withClient(client => client.query(`SET statement_timeout = 0; ${statement}; RESET statement_timeout`))
}
