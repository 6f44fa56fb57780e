import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { evaluateRanking } from '../../src/algorithms/evaluate/ranking.js'
import { dense } from '../../src/algorithms/math/dense.js'
import { createRandom } from '../../src/algorithms/math/random.js'
import { ease } from '../../src/algorithms/recommend/ease.js'
import { historiesOf } from '../../src/algorithms/recommend/hold-out.js'
import { ials } from '../../src/algorithms/recommend/ials.js'
import { itemCf } from '../../src/algorithms/recommend/item-cf.js'
import { fitNeighbours } from '../../src/algorithms/recommend/rating.js'
import { recommendAll } from '../../src/algorithms/recommend/recommend-all.js'
import type { Interactions } from '../../src/algorithms/recommend/recommender.js'
import { type Benchmark, median, type Row } from './bench.js'
import { pythonWith } from './seed-method.js'

const SHARED = resolve('../shared')
const ROUNDS = 3
const SEED = 20251124

interface Peer {
  seconds: number
  ndcg?: number
  rmse?: number
}

/** Training and scoring of recommenders beside SciPy, implicit and Surprise, turn by turn. */
export const recommendTraining: Benchmark = {
  name: 'recommend',
  run: async ({ smoke }) => {
    if (smoke) return smokeRun()
    if (!existsSync(`${SHARED}/data/ml-100k`)) return [absent('recommenders', `${SHARED}/data is absent`)]
    return [...(await neighbours()), ...(await leastSquares()), ...(await scoring()), ...(await pearson())]
  },
}

/** Time and memory of training by the number of interactions; no peer. */
export const recommendGrowth: Benchmark = {
  name: 'recommend-growth',
  run: async ({ smoke }) => {
    const sizes = smoke ? [2_000, 4_000] : [100_000, 1_000_000, 10_000_000, 20_000_000]
    const found: Record<string, { size: number; seconds: number }[]> = { ials: [], 'item-cf': [], 'user-cf': [] }
    for (const name of Object.keys(found)) {
      for (const size of sizes) {
        // A process for each, so that memory is that of one training.
        const { stdout, stderr, status } = spawnSync(process.execPath, ['dist/test/bench/grow.js', name, String(size)], {
          encoding: 'utf8',
        })
        if (status !== 0) throw new Error(`${name} at ${size}: ${stderr.slice(-500)}`)
        const { seconds, peakMegabytes } = JSON.parse(stdout) as { seconds: number; peakMegabytes: number }
        found[name].push({ size, seconds })
        console.error(`${name} ${size}: ${seconds.toFixed(2)} s, ${peakMegabytes} MB`)
        grown.push({ name, size, seconds, peakMegabytes })
      }
    }
    if (smoke) return []
    return Object.entries(found).map(([name, points]) => {
      const own = grown.filter(each => each.name === name)
      return {
        benchmark: `${name}: training by interactions (${sizes.map(size => `${size / 1e6} M`).join(', ')})`,
        ours: own.map(({ seconds, peakMegabytes }) => `${seconds.toFixed(1)} s / ${peakMegabytes} MB`).join(', '),
        peer: 'growth',
        ratio: `exponent ${exponentOf(points).toFixed(2)}`,
        bar: '≤ 1.1, ≤ 8 GB',
      }
    })
  },
}

const grown: { name: string; size: number; seconds: number; peakMegabytes: number }[] = []

/** Slope of log seconds over log size, least squares. */
function exponentOf(points: readonly { size: number; seconds: number }[]): number {
  const x = points.map(({ size }) => Math.log(size))
  const y = points.map(({ seconds }) => Math.log(seconds))
  const [mx, my] = [mean(x), mean(y)]
  return x.reduce((sum, value, at) => sum + (value - mx) * (y[at] - my), 0) / x.reduce((sum, value) => sum + (value - mx) ** 2, 0)
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

async function neighbours(): Promise<Row[]> {
  const { train } = ml100k()
  const python = pythonWith('scipy, numba')
  const rows: Row[] = []
  for (const [name, title, work] of [
    ['item-cf', 'item-CF on MovieLens 100K, cosine, 100 neighbours, fit', () => itemCf.fit(train, {}, createRandom(SEED))],
    ['ease', 'EASE on MovieLens 100K, λ 300, fit', () => ease.fit(train, {}, createRandom(SEED))],
  ] as const) {
    work()
    const rounds = await turns(work, python, [name, SHARED])
    rows.push(rowOf(title, rounds, '≥ 1.0 ×', 'SciPy'))
  }
  return rows
}

async function leastSquares(): Promise<Row[]> {
  const title = 'iALS on Online Retail, 64 factors, 12 iterations, fit'
  const folder = `${SHARED}/data/online-retail/splits`
  if (!existsSync(folder)) return [absent(title, `${folder} is absent`)]
  const { train, relevant } = onlineRetail(folder)
  const file = pairsFile(train, relevant)
  try {
    const settings = { factors: 64, epochs: 12, reg: 0.01, alpha: 0.1 }
    let model = ials.fit(train, settings, createRandom(SEED))
    const rounds = await turns(
      () => {
        model = ials.fit(train, settings, createRandom(SEED))
      },
      pythonWith('implicit'),
      ['als', file],
    )
    const [own] = [ndcgOf(model, train, relevant)]
    const theirs = rounds.peers[0]?.ndcg
    return [rowOf(title, rounds, '≥ 1.0 × at equal NDCG', 'implicit', `NDCG@10 ${own.toFixed(4)}`, `NDCG@10 ${theirs?.toFixed(4)}`)]
  } finally {
    rmSync(file, { force: true })
  }
}

async function scoring(): Promise<Row[]> {
  const random = createRandom(SEED)
  const matrix = (rows: number) =>
    dense(
      rows,
      64,
      Float32Array.from({ length: rows * 64 }, () => random.normal()),
    )
  const [users, items] = [matrix(20_000), matrix(20_000)]
  recommendAll(dense(512, 64, users.data.subarray(0, 512 * 64)), items, 50)
  const rounds = await turns(() => recommendAll(users, items, 50), pythonWith('implicit'), ['recommend-all'])
  const perSecond = (seconds: readonly number[]) => `${Math.round(20_000 / median(seconds))} users/s`
  return [
    rowOf(
      'top 50 of all users, 20,000 items × 64 factors',
      rounds,
      '≥ 1.0 ×, ≥ 15,000 users/s',
      'implicit',
      perSecond(rounds.ours),
      rounds.peers.length > 0 ? perSecond(rounds.peers.map(({ seconds }) => seconds)) : '',
    ),
  ]
}

async function pearson(): Promise<Row[]> {
  const rows = readFileSync(`${SHARED}/data/ml-100k/u.data`, 'utf8')
    .trimEnd()
    .split('\n')
    .map(line => line.split('\t').map(Number))
  const folds = Array.from({ length: 5 }, (_, fold) => ({
    train: ratings(rows.filter((_, at) => Math.floor(at / 20_000) !== fold)),
    test: rows.slice(fold * 20_000, (fold + 1) * 20_000),
  }))
  let rmse = 0
  const work = () => {
    rmse = mean(
      folds.map(({ train, test }) => {
        const predict = fitNeighbours(train, { of: 'users', similarity: 'pearson', neighbours: 40, shrinkage: 0 })
        const squares = test.map(([user, item, rating]) => (Math.max(1, Math.min(5, predict(user - 1, item - 1))) - rating) ** 2)
        return Math.sqrt(mean(squares))
      }),
    )
  }
  work()
  const rounds = await turns(work, pythonWith('surprise'), ['pearson', SHARED])
  const theirs = rounds.peers[0]?.rmse
  const title = 'user Pearson kNN on MovieLens 100K, k 40, five folds, fit and predict'
  return [rowOf(title, rounds, '≥ 5 × faster', 'Surprise', `RMSE ${rmse.toFixed(4)}`, `RMSE ${theirs?.toFixed(4)}`)]
}

interface Rounds {
  ours: number[]
  peers: Peer[]
}

/** Ours and the peer's in turn, so that both meet the same machine. */
async function turns(work: () => unknown, python: string | undefined, args: readonly string[]): Promise<Rounds> {
  const rounds: Rounds = { ours: [], peers: [] }
  for (let round = 0; round < ROUNDS; round++) {
    const startedAt = performance.now()
    work()
    rounds.ours.push((performance.now() - startedAt) / 1000)
    if (!python) continue
    const env = {
      ...process.env,
      OPENBLAS_NUM_THREADS: args[0] === 'als' ? '1' : '2',
      PYTHONDONTWRITEBYTECODE: '1',
      NUMBA_CACHE_DIR: tmpdir(),
    }
    const { stdout, stderr, status } = spawnSync(python, ['test/bench/peers/recommend.py', ...args], { encoding: 'utf8', env })
    if (status !== 0) throw new Error(`The peer ${args[0]} failed: ${stderr.slice(-800)}`)
    rounds.peers.push(JSON.parse(stdout.trim().split('\n').at(-1) as string) as Peer)
  }
  return rounds
}

function rowOf(benchmark: string, { ours, peers }: Rounds, bar: string, peer: string, note = '', peerNote = ''): Row {
  const shown = (seconds: readonly number[], extra: string) => `${median(seconds).toFixed(3)} s${extra ? ` (${extra})` : ''}`
  if (peers.length === 0) return { benchmark, ours: shown(ours, note), peer: `no Python with ${peer} here`, ratio: '–', bar }
  const theirs = peers.map(({ seconds }) => seconds)
  return {
    benchmark,
    ours: shown(ours, note),
    peer: `${peer} ${shown(theirs, peerNote)}`,
    ratio: `${(median(theirs) / median(ours)).toFixed(1)} ×`,
    bar,
  }
}

function absent(benchmark: string, peer: string): Row {
  return { benchmark, ours: '–', peer, ratio: '–', bar: '–' }
}

function ndcgOf(model: ReturnType<typeof ials.fit>, train: Interactions, relevant: ReadonlyMap<number, ReadonlySet<number>>): number {
  const histories = historiesOf(train)
  const scores = new Float64Array(train.itemCount)
  const skip = new Uint8Array(train.itemCount)
  function* tests() {
    for (const [user, items] of relevant) {
      model.score(histories[user], scores)
      skip.fill(0)
      for (const item of histories[user].items) skip[item] = 1
      yield { scores, skip, relevant: items }
    }
  }
  return evaluateRanking(train.itemCount, new Float64Array(train.itemCount), train.userCount, tests()).ndcgAt10
}

function ml100k(): { train: Interactions } {
  const rows = readFileSync(`${SHARED}/data/ml-100k/mcrec.train.rating`, 'utf8')
    .trimEnd()
    .split('\n')
    .map(line => line.split(/\s+/).map(Number))
  return {
    train: positivesOf(
      943,
      1682,
      rows.map(([user, item]) => [user - 1, item - 1]),
    ),
  }
}

function onlineRetail(folder: string) {
  const pairs = (name: string) =>
    gunzipSync(readFileSync(join(folder, name)))
      .toString()
      .trimEnd()
      .split('\n')
      .slice(1)
      .map(line => line.split(','))
  const [train, test] = [pairs('online_retail_train_pairs.csv.gz'), pairs('online_retail_test_pairs.csv.gz')]
  const index = (column: number) => new Map([...new Set(train.map(row => row[column]))].sort().map((key, at) => [key, at]))
  const [users, items] = [index(0), index(1)]
  const known = new Set(train.map(([user, item]) => `${user} ${item}`))
  const relevant = new Map<number, Set<number>>()
  for (const [user, item] of test) {
    const [u, i] = [users.get(user), items.get(item)]
    if (u === undefined || i === undefined || known.has(`${user} ${item}`)) continue
    relevant.set(u, (relevant.get(u) ?? new Set()).add(i))
  }
  const rows = train.map(([user, item]) => [users.get(user) as number, items.get(item) as number])
  return { train: positivesOf(users.size, items.size, rows), relevant }
}

/** For the peer: users, items, entries and test entries, then the two columns of each, u32. */
function pairsFile(train: Interactions, relevant: ReadonlyMap<number, ReadonlySet<number>>): string {
  const test = [...relevant].flatMap(([user, items]) => [...items].map(item => [user, item]))
  const numbers = Uint32Array.from([
    train.userCount,
    train.itemCount,
    train.users.length,
    test.length,
    ...train.users,
    ...train.items,
    ...test.map(([user]) => user),
    ...test.map(([, item]) => item),
  ])
  const file = join(mkdtempSync(join(tmpdir(), 'bellwether-bench-')), 'pairs.u32')
  writeFileSync(file, new Uint8Array(numbers.buffer))
  return file
}

function positivesOf(userCount: number, itemCount: number, rows: readonly (readonly number[])[]): Interactions {
  return {
    userCount,
    itemCount,
    users: Int32Array.from(rows, row => row[0]),
    items: Int32Array.from(rows, row => row[1]),
    values: new Float32Array(rows.length).fill(1),
    times: new Float64Array(rows.length),
    kind: 'implicit',
    now: 0,
  }
}

function ratings(rows: readonly (readonly number[])[]): Interactions {
  const pairs = rows.map(([user, item]) => [user - 1, item - 1])
  return { ...positivesOf(943, 1682, pairs), values: Float32Array.from(rows, row => row[2]), kind: 'explicit' }
}

function smokeRun(): Row[] {
  const random = createRandom(1)
  const rows = Array.from({ length: 600 }, () => [random.below(40), random.below(30)])
  const train = positivesOf(40, 30, rows)
  for (const algorithm of [itemCf, ease, ials]) {
    const scores = new Float64Array(30)
    algorithm.fit(train, {}, random).score(historiesOf(train)[0], scores)
    if (!scores.some(score => score > 0)) throw new Error(`${algorithm.name} scored nothing in the smoke run`)
  }
  const { items } = recommendAll(
    dense(
      3,
      4,
      Float32Array.from({ length: 12 }, () => random.normal()),
    ),
    dense(
      9,
      4,
      Float32Array.from({ length: 36 }, () => random.normal()),
    ),
    5,
  )
  if (new Set(items.subarray(0, 5)).size !== 5) throw new Error('the list of the smoke run repeats itself')
  return []
}
