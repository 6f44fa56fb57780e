import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { createRandom } from '../../src/algorithms/math/random.js'
import { cosinePredictions } from '../../src/algorithms/recommend/all-predictions.js'
import { type Benchmark, median, type Row } from './bench.js'

const SHARED = '../shared'
const USERS = 943
const ITEMS = 1682
const TEST_ROWS = 20_000
const NEWLINE = 10
const ZERO = 48

/** The document's own method (pivot + cosine similarity, from file to all predictions) in pandas and scikit-learn, and here, in one run. */
export const seedMethod: Benchmark = {
  name: 'seed-method',
  run: async ({ smoke }) => {
    if (smoke) {
      const random = createRandom(1)
      const lines = Array.from({ length: 400 }, (_, index) => `${1 + (index % 20)}\t${1 + random.below(30)}\t${1 + random.below(5)}\t0`)
      const { rmse } = ours(Buffer.from(lines.join('\n')), 100, 20, 30)
      if (!Number.isFinite(rmse)) throw new Error('the predictions of the smoke run are not finite')
      return []
    }
    const file = `${SHARED}/data/ml-100k/u.data`
    const python = pythonWith('pandas, sklearn')
    if (!existsSync(file)) return [absent(`${file} is absent`)]
    const rounds = { ours: [] as number[], theirs: [] as number[] }
    let result = { rmse: 0, seconds: 0 }
    let reference = { rmse_fold1: 0, seconds: 0 }
    for (let round = 0; round < 5; round++) {
      const startedAt = performance.now()
      result = { ...ours(readFileSync(file), TEST_ROWS, USERS, ITEMS), seconds: 0 }
      rounds.ours.push((performance.now() - startedAt) / 1000)
      if (python) {
        reference = referenceRun(python)
        rounds.theirs.push(reference.seconds)
      }
    }
    const mine = median(rounds.ours)
    const shown = `${mine.toFixed(3)} s (RMSE ${result.rmse.toFixed(4)})`
    if (!python) return [{ benchmark: NAME, ours: shown, peer: 'no Python with pandas and scikit-learn here', ratio: '–', bar: BAR }]
    const theirs = median(rounds.theirs)
    return [
      {
        benchmark: NAME,
        ours: shown,
        peer: `${theirs.toFixed(3)} s (RMSE ${reference.rmse_fold1.toFixed(4)})`,
        ratio: `${(theirs / mine).toFixed(1)} ×`,
        bar: BAR,
      },
    ]
  },
}

const NAME = 'user cosine on MovieLens 100K, from file to all 1.6 M predictions'
const BAR = '≥ 3 × faster'

function absent(peer: string): Row {
  return { benchmark: NAME, ours: '–', peer, ratio: '–', bar: BAR }
}

/** Fold 1: the first lines test, the others train. */
function ours(bytes: Buffer, testRows: number, userCount: number, itemCount: number): { rmse: number } {
  const { users, items, ratings } = ratingsIn(bytes)
  const train = {
    userCount,
    itemCount,
    users: users.subarray(testRows),
    items: items.subarray(testRows),
    ratings: ratings.subarray(testRows),
  }
  const predictions = cosinePredictions(train)
  let squares = 0
  for (let at = 0; at < testRows; at++) squares += (predictions[users[at] * itemCount + items[at]] - ratings[at]) ** 2
  return { rmse: Math.sqrt(squares / testRows) }
}

/** "user item rating time" a line, ids from 1. */
function ratingsIn(bytes: Buffer) {
  const most = Math.ceil(bytes.length / 8)
  const [users, items, ratings] = [new Int32Array(most), new Int32Array(most), new Float64Array(most)]
  let count = 0
  for (let at = 0; at < bytes.length; count++, at++) {
    let field = 0
    let value = 0
    for (; at < bytes.length && bytes[at] !== NEWLINE; at++) {
      if (bytes[at] >= ZERO) {
        value = value * 10 + bytes[at] - ZERO
        continue
      }
      if (field === 0) users[count] = value - 1
      else if (field === 1) items[count] = value - 1
      else ratings[count] = value
      field++
      value = 0
      // The time says nothing here.
      if (field === 3) at = bytes.indexOf(NEWLINE, at) - 1
      if (at < 0) at = bytes.length
    }
  }
  return { users: users.subarray(0, count), items: items.subarray(0, count), ratings: ratings.subarray(0, count) }
}

function referenceRun(python: string): { seconds: number; rmse_fold1: number } {
  const { stdout } = spawnSync(python, ['00_seed_user_cosine.py'], { cwd: `${SHARED}/reference`, encoding: 'utf8' })
  return JSON.parse(stdout.replaceAll("'", '"'))
}

export function pythonWith(modules: string): string | undefined {
  const candidates = [process.env.BELLWETHER_BENCH_PYTHON, resolve('../.venv/bin/python'), 'python3'].filter(python => python !== undefined)
  return candidates.find(python => spawnSync(python, ['-c', `import ${modules}`], { stdio: 'ignore' }).status === 0)
}
