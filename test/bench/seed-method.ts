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

/** The document's own method (pivot + cosine similarity, from file to all predictions) in pandas and scikit-learn, and here, in one run. */
export const seedMethod: Benchmark = {
  name: 'seed-method',
  run: async ({ smoke }) => {
    if (smoke) {
      const random = createRandom(1)
      const lines = Array.from({ length: 400 }, (_, index) => `${1 + (index % 20)}\t${1 + random.below(30)}\t${1 + random.below(5)}\t0`)
      const { rmse } = ours(lines.join('\n'), 100, 20, 30)
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
      result = { ...ours(readFileSync(file, 'utf8'), TEST_ROWS, USERS, ITEMS), seconds: 0 }
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
function ours(text: string, testRows: number, userCount: number, itemCount: number): { rmse: number } {
  const count = text.length
  const users: number[] = []
  const items: number[] = []
  const ratings: number[] = []
  for (let at = 0; at < count; ) {
    let field = 0
    let value = 0
    for (; at < count; at++) {
      const code = text.charCodeAt(at)
      if (code >= 48) value = value * 10 + code - 48
      else {
        if (field === 0) users.push(value - 1)
        else if (field === 1) items.push(value - 1)
        else if (field === 2) ratings.push(value)
        field++
        value = 0
        if (code === 10) break
      }
    }
    at++
  }
  const part = (list: number[], from: number, to?: number) => Int32Array.from(list.slice(from, to))
  const train = {
    userCount,
    itemCount,
    users: part(users, testRows),
    items: part(items, testRows),
    ratings: Float64Array.from(ratings.slice(testRows)),
  }
  const predictions = cosinePredictions(train)
  let squares = 0
  for (let at = 0; at < testRows; at++) squares += (predictions[users[at] * itemCount + items[at]] - ratings[at]) ** 2
  return { rmse: Math.sqrt(squares / testRows) }
}

function referenceRun(python: string): { seconds: number; rmse_fold1: number } {
  const { stdout } = spawnSync(python, ['00_seed_user_cosine.py'], { cwd: `${SHARED}/reference`, encoding: 'utf8' })
  return JSON.parse(stdout.replaceAll("'", '"'))
}

export function pythonWith(modules: string): string | undefined {
  const candidates = [process.env.BELLWETHER_BENCH_PYTHON, resolve('../.venv/bin/python'), 'python3'].filter(python => python !== undefined)
  return candidates.find(python => spawnSync(python, ['-c', `import ${modules}`], { stdio: 'ignore' }).status === 0)
}
