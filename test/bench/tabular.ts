import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { kMeans } from '../../src/algorithms/cluster/k-means.js'
import { boostedTrees } from '../../src/algorithms/ctr/boosted-trees.js'
import { chosenRows, type Examples } from '../../src/algorithms/ctr/examples.js'
import { logistic } from '../../src/algorithms/ctr/logistic.js'
import { auc, normalisedEntropy } from '../../src/algorithms/evaluate/classification.js'
import { createRandom } from '../../src/algorithms/math/random.js'
import { columnOf, examplesFrom, fieldsOf, labelsOf, type Table, tableIn } from '../../src/commands/protocols/table.js'
import { oracleClicks } from '../support/oracle-clicks.js'
import { type Benchmark, median, type Row } from './bench.js'
import { pythonWith } from './seed-method.js'

const ROUNDS = 3

/** FTRL-proximal on the clicks of a known truth, beside Vowpal Wabbit reading its binary cache. */
export const ftrl: Benchmark = {
  name: 'ftrl',
  run: async ({ smoke }) => {
    const rows = smoke ? 5_000 : 1_000_000
    const { examples, truth } = oracleClicks(rows)
    const cut = Math.floor(rows * 0.8)
    const part = (from: number, to: number) =>
      chosenRows(
        examples,
        Int32Array.from({ length: to - from }, (_, at) => from + at),
      )
    const [train, test] = [part(0, cut), part(Math.floor(rows * 0.9), rows)]
    const once = () => {
      const startedAt = performance.now()
      const model = logistic.fit(train, { passes: 1, bits: 20 }, createRandom(1))
      return { model, seconds: (performance.now() - startedAt) / 1000 }
    }
    if (smoke) {
      if (!once().model.predict(test).every(Number.isFinite)) throw new Error('the predictions of the smoke run are not finite')
      return []
    }
    const python = pythonWith('vowpalwabbit')
    return inFolder(folder => {
      if (python) writeVowpal(join(folder, 'train.vw'), train)
      const ours: number[] = []
      const theirs: number[] = []
      let model = once().model
      for (let round = 0; round < ROUNDS; round++) {
        const run = once()
        ours.push(cut / run.seconds)
        model = run.model
        if (python) theirs.push(cut / answerOf(python, VOWPAL, folder).seconds)
      }
      const p = model.predict(test)
      const best = truth.subarray(Math.floor(rows * 0.9))
      const own = `${perSecond(median(ours))}, AUC ${auc(test.labels, p).toFixed(4)} of ${auc(test.labels, best).toFixed(4)} possible, NE ${normalisedEntropy(test.labels, p).toFixed(4)} of ${normalisedEntropy(test.labels, best).toFixed(4)}`
      return [
        {
          benchmark: `FTRL-proximal, one pass over ${cut / 1000} thousand rows of 20 words, hashing included, one thread`,
          ours: own,
          peer: python ? `${perSecond(median(theirs))}, Vowpal Wabbit from its cache` : 'no Python with vowpalwabbit here',
          ratio: python ? `${(median(ours) / median(theirs)).toFixed(2)} ×` : '–',
          bar: '≥ 500,000/s, ≥ 1 ×',
        },
      ]
    })
  },
}

/** Boosted trees, as many and as large, beside scikit-learn's HistGradientBoostingClassifier on its threads. */
export const boosting: Benchmark = {
  name: 'boosted-trees',
  run: async ({ smoke }) => {
    const params = {
      trees: smoke ? 5 : 100,
      leaves: 31,
      depth: 30,
      rate: 0.1,
      minimumHessian: 2,
      reg: 1,
      rowShare: 1,
      columnShare: 1,
      codes: 256,
    }
    if (smoke) {
      const { train, test } = synthetic(2_000)
      const p = boostedTrees.fit(train, params, createRandom(1)).predict(test)
      if (!p.every(Number.isFinite)) throw new Error('the predictions of the smoke run are not finite')
      return []
    }
    const python = pythonWith('sklearn, pandas')
    const found: Row[] = []
    const adult = '../shared/data/adult'
    if (existsSync(adult)) {
      const tables = ['adult_train.csv', 'adult_test.csv'].map(name => tableIn(join(adult, name)))
      const target = columnOf(tables[0], 'class')
      for (const { rows } of tables) for (const row of rows) row[target] = row[target].replace(/\.$/, '')
      const { labels } = labelsOf(tables, 'class')
      const fields = fieldsOf(tables, ['class'])
      const [train, test] = tables.map((table: Table, at) => examplesFrom(table, fields, labels[at]))
      found.push(
        compare(
          'boosted trees on Adult, 100 × 31 leaves',
          { train, test },
          params,
          python ? () => answerOf(python, ADULT, adult) : undefined,
        ),
      )
    }
    const data = synthetic(1_000_000)
    found.push(
      inFolder(folder => {
        for (const [name, { numbers, labels }] of Object.entries(data)) {
          writeFileSync(join(folder, `${name}.f32`), numbers)
          writeFileSync(join(folder, `${name}.u8`), labels)
        }
        return compare(
          'boosted trees on 1 million × 20 synthetic rows, 100 × 31 leaves',
          data,
          params,
          python ? () => answerOf(python, SYNTHETIC, folder) : undefined,
        )
      }),
    )
    return found
  },
}

/** k-means, Lloyd from one k-means++ start to convergence, beside scikit-learn's. */
export const kMeansBenchmark: Benchmark = {
  name: 'k-means',
  run: async ({ smoke }) => {
    const [rows, columnCount, k] = [smoke ? 1_000 : 200_000, 12, 8]
    const points = blobs(rows, columnCount)
    const once = (seed: number) => {
      const startedAt = performance.now()
      const { inertia } = kMeans(points, columnCount, { k, starts: 3 }, createRandom(seed))
      return { inertia, seconds: (performance.now() - startedAt) / 1000 }
    }
    if (smoke) {
      if (!Number.isFinite(once(1).inertia)) throw new Error('the inertia of the smoke run is not finite')
      return []
    }
    const python = pythonWith('sklearn')
    return inFolder(folder => {
      writeFileSync(join(folder, 'points.f32'), points)
      const ours: { inertia: number; seconds: number }[] = []
      const theirs: { inertia: number; seconds: number }[] = []
      for (let round = 0; round < ROUNDS; round++) {
        ours.push(once(round))
        if (python) theirs.push(answerOf(python, KMEANS, folder) as { inertia: number; seconds: number })
      }
      const [mine, peer] = [median(ours.map(each => each.seconds)), python ? median(theirs.map(each => each.seconds)) : Number.NaN]
      return [
        {
          benchmark: `k-means of ${rows / 1000} thousand × ${columnCount}, k ${k}, 3 starts`,
          ours: `${mine.toFixed(2)} s, inertia ${Math.round(median(ours.map(each => each.inertia)))}`,
          peer: python
            ? `${peer.toFixed(2)} s, inertia ${Math.round(median(theirs.map(each => each.inertia)))}, scikit-learn`
            : 'no Python with scikit-learn here',
          ratio: python ? `${(mine / peer).toFixed(2)} × its time` : '–',
          bar: '≤ 1 × its time',
        },
      ]
    })
  },
}

function compare(
  benchmark: string,
  { train, test }: { train: Examples; test: Examples },
  params: Record<string, number>,
  peer: (() => { seconds: number; auc?: number }) | undefined,
): Row {
  const [ours, theirs]: [number[], number[]] = [[], []]
  let [own, other] = [0, 0]
  for (let round = 0; round < ROUNDS; round++) {
    const startedAt = performance.now()
    const model = boostedTrees.fit(train, params, createRandom(1))
    ours.push((performance.now() - startedAt) / 1000)
    own = auc(test.labels, model.predict(test))
    if (!peer) continue
    const answer = peer()
    theirs.push(answer.seconds)
    other = answer.auc ?? 0
  }
  const [mine, peers] = [median(ours), peer ? median(theirs) : Number.NaN]
  return {
    benchmark,
    ours: `${mine.toFixed(2)} s, AUC ${own.toFixed(4)}`,
    peer: peer ? `${peers.toFixed(2)} s on its threads, AUC ${other.toFixed(4)}, HistGradientBoosting` : 'no Python with scikit-learn here',
    ratio: peer ? `${(mine / peers).toFixed(2)} × its time` : '–',
    bar: '≤ 1.5 × its time, AUC within .002',
  }
}

function perSecond(value: number): string {
  return `${Math.round(value / 1000)} thousand examples/s`
}

function inFolder<Result>(work: (folder: string) => Result): Result {
  const folder = mkdtempSync(join(tmpdir(), 'bellwether-bench-'))
  try {
    return work(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function answerOf(python: string, script: string, folder: string): { seconds: number; auc?: number; inertia?: number } {
  const { stdout, stderr, status } = spawnSync(python, ['-c', script, folder], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`The peer failed: ${stderr.slice(-2_000)}`)
  return JSON.parse(stdout.trim().split('\n').pop() as string)
}

function writeVowpal(file: string, { rows, words, labels, fields }: Examples) {
  const width = fields.words.length
  const lines: string[] = []
  for (let row = 0; row < rows; row++) {
    let line = `${labels[row] === 1 ? 1 : -1} |`
    for (let field = 0; field < width; field++) line += ` ${field}_${words[row * width + field]}`
    lines.push(line)
  }
  writeFileSync(file, `${lines.join('\n')}\n`)
}

/** Twenty numbers of which some work together and some say nothing. */
function synthetic(rows: number): { train: Examples; test: Examples } {
  const random = createRandom(42)
  const count = 20
  const make = (size: number): Examples => {
    const numbers = new Float32Array(size * count)
    const labels = new Uint8Array(size)
    for (let row = 0; row < size; row++) {
      for (let column = 0; column < count; column++) numbers[row * count + column] = random.normal()
      const x = numbers.subarray(row * count, (row + 1) * count)
      const z = x[0] + 0.8 * x[1] * x[2] + (x[3] > 0.5 ? 1 : -0.3) + 0.6 * Math.sin(2 * x[4]) - 0.5 * x[5] * x[5] + 0.4 * x[6]
      labels[row] = random.next() < 1 / (1 + Math.exp(-z)) ? 1 : 0
    }
    return {
      fields: { numbers: Array.from({ length: count }, (_, at) => `x${at}`), words: [] },
      rows: size,
      numbers,
      words: new Uint32Array(0),
      labels,
    }
  }
  return { train: make(rows), test: make(Math.min(100_000, rows)) }
}

function blobs(rows: number, columnCount: number): Float32Array {
  const random = createRandom(7)
  const centres = Array.from({ length: 8 * columnCount }, () => 2 * random.normal())
  const points = new Float32Array(rows * columnCount)
  for (let row = 0; row < rows; row++) {
    const centre = random.below(8)
    for (let column = 0; column < columnCount; column++)
      points[row * columnCount + column] = centres[centre * columnCount + column] + 1.5 * random.normal()
  }
  return points
}

const VOWPAL = `
import sys, time, json, os, vowpalwabbit
f = os.path.join(sys.argv[1], 'train.vw'); c = f + '.cache'
args = f'--ftrl --ftrl_alpha 0.05 --ftrl_beta 1 --l1 1e-7 --l2 1e-6 -b 20 --loss_function logistic --quiet --cache_file {c} -d {f}'
if not os.path.exists(c):
    vowpalwabbit.Workspace(args).finish()
t = time.perf_counter(); w = vowpalwabbit.Workspace(args); s = time.perf_counter() - t; w.finish()
print(json.dumps(dict(seconds=s)))
`

const ADULT = `
import sys, time, json, pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier as H
from sklearn.metrics import roc_auc_score
a, b = (pd.read_csv(f'{sys.argv[1]}/adult_{n}.csv', keep_default_na=False) for n in ('train', 'test'))
ya, yb = (d.pop('class').str.contains('>50K').astype(int) for d in (a, b))
cat = [c for c in a if not pd.api.types.is_numeric_dtype(a[c])]
for c in cat:
    v = pd.CategoricalDtype(sorted(a[c].unique())); a[c] = a[c].astype(v).cat.codes; b[c] = b[c].astype(v).cat.codes
m = H(max_iter=100, early_stopping=False, categorical_features=cat)
t = time.perf_counter(); m.fit(a, ya); s = time.perf_counter() - t
print(json.dumps(dict(seconds=s, auc=roc_auc_score(yb, m.predict_proba(b)[:, 1]))))
`

const SYNTHETIC = `
import sys, time, json, numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier as H
from sklearn.metrics import roc_auc_score
x, z = (np.fromfile(f'{sys.argv[1]}/{n}.f32', 'f4').reshape(-1, 20) for n in ('train', 'test'))
y, w = (np.fromfile(f'{sys.argv[1]}/{n}.u8', 'u1') for n in ('train', 'test'))
m = H(max_iter=100, early_stopping=False)
t = time.perf_counter(); m.fit(x, y); s = time.perf_counter() - t
print(json.dumps(dict(seconds=s, auc=roc_auc_score(w, m.predict_proba(z)[:, 1]))))
`

const KMEANS = `
import sys, time, json, numpy as np
from sklearn.cluster import KMeans
x = np.fromfile(f'{sys.argv[1]}/points.f32', 'f4').reshape(-1, 12)
m = KMeans(8, n_init=3, random_state=0)
t = time.perf_counter(); m.fit(x); s = time.perf_counter() - t
print(json.dumps(dict(seconds=s, inertia=float(m.inertia_))))
`
