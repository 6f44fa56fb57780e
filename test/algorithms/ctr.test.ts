import { describe, expect, test } from '@jest/globals'
import { BrokenArtifact } from '../../src/algorithms/artifact.js'
import { type Classifier, shuffle, withFewerNegatives } from '../../src/algorithms/ctr/classifier.js'
import { fitEncoding } from '../../src/algorithms/ctr/encoding.js'
import { chosenRows, type Examples, FaultyExamples, wordHash } from '../../src/algorithms/ctr/examples.js'
import { type Forest, scoreOf, shapley } from '../../src/algorithms/ctr/forest.js'
import { codeOf, cutsOf } from '../../src/algorithms/ctr/hashing.js'
import { algorithms, fitAll, fitAndEvaluate, scoreAll, split, updateAll } from '../../src/algorithms/ctr/index.js'
import { auc, ece, logLoss } from '../../src/algorithms/evaluate/classification.js'
import { logit, sigmoid } from '../../src/algorithms/math/calibration.js'
import { createRandom } from '../../src/algorithms/math/random.js'
import { examplesOf, shop } from '../support/examples.js'

const taught = (name: string, data: Examples, params = {}): Classifier => {
  const algorithm = algorithms.find(each => each.name === name)
  if (!algorithm) throw new Error(`no ${name}`)
  return algorithm.fit(data, params, createRandom(7))
}

const two = { numbers: ['a', 'b'], words: ['w'] }
const rowsOf = (count: number, row: (at: number) => { numbers: number[]; words: string[]; label: number }) =>
  examplesOf(
    two,
    Array.from({ length: count }, (_, at) => row(at)),
  )
const worlds: [string, Examples][] = [
  ['a shop', shop(400).examples],
  ['one class only', rowsOf(60, at => ({ numbers: [at, -at], words: [`${at % 3}`], label: 1 }))],
  ['the other class only', rowsOf(60, at => ({ numbers: [at, -at], words: [`${at % 3}`], label: 0 }))],
  ['identical columns', rowsOf(80, at => ({ numbers: [at % 7, at % 7], words: ['same'], label: at % 2 }))],
  ['constant columns', rowsOf(80, at => ({ numbers: [5, 5], words: ['same'], label: at % 2 }))],
  ['perfectly separated', rowsOf(80, at => ({ numbers: [at, at], words: [at < 40 ? 'no' : 'yes'], label: at < 40 ? 0 : 1 }))],
  [
    'unknown, infinite and huge numbers',
    rowsOf(90, at => ({
      numbers: [[Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 3e38, 1][at % 5], Number.NaN],
      words: [''],
      label: at % 5 === 0 ? 1 : 0,
    })),
  ],
  ['nothing', examplesOf(two, [])],
  ['one row', rowsOf(1, () => ({ numbers: [1, 2], words: ['x'], label: 1 }))],
  [
    'no words',
    examplesOf(
      { numbers: ['a'], words: [] },
      shop(100).examples.labels.length
        ? Array.from({ length: 100 }, (_, at) => ({ numbers: [at], words: [], label: at % 3 === 0 ? 1 : 0 }))
        : [],
    ),
  ],
  [
    'no numbers',
    examplesOf(
      { numbers: [], words: ['w'] },
      Array.from({ length: 100 }, (_, at) => ({ numbers: [], words: [`${at % 9}`], label: at % 3 === 0 ? 1 : 0 })),
    ),
  ],
  [
    'no fields',
    examplesOf(
      { numbers: [], words: [] },
      Array.from({ length: 100 }, (_, at) => ({ numbers: [], words: [], label: at % 4 === 0 ? 1 : 0 })),
    ),
  ],
]

/** Rows of the same fields that no training has seen: known and unknown words, ordinary and absurd numbers. */
function strangersTo({ fields }: Examples): Examples {
  return examplesOf(
    { numbers: [...fields.numbers], words: [...fields.words] },
    [0, 1, -1e30, 1e30, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY].map((number, at) => ({
      numbers: fields.numbers.map(() => number),
      words: fields.words.map(() => ['', 'channel-1', '世界', 'x'.repeat(2_000)][at % 4]),
      label: 0,
    })),
  )
}

// Every classifier passes this; a new one is contract-tested by being in the list.
describe.each(algorithms.map(({ name }) => name))('%s keeps the contract', name => {
  const algorithm = algorithms.find(each => each.name === name) as (typeof algorithms)[number]
  describe.each(worlds)('in the world "%s"', (_, data) => {
    const model = taught(name, data)
    const rows = [data, strangersTo(data)]

    test('probabilities are finite and inside (0, 1), for rows known and not', () => {
      for (const examples of rows)
        for (const p of model.predict(examples)) {
          expect(p).toBeGreaterThan(0)
          expect(p).toBeLessThan(1)
        }
    })

    test('the same data, parameters and seed give the same bytes', () => {
      expect(Buffer.compare(taught(name, data).save(), model.save())).toBe(0)
    })

    test('what was saved answers exactly as what saved it', () => {
      const loaded = algorithm.load(model.save())
      for (const examples of rows) {
        expect(loaded.predict(examples)).toEqual(model.predict(examples))
        for (let row = 0; row < Math.min(5, examples.rows); row++)
          expect(loaded.explain(examples, row)).toEqual(model.explain(examples, row))
      }
      expect(Buffer.compare(loaded.save(), model.save())).toBe(0)
    })

    test('the parts of an explanation sum to the log-odds', () => {
      for (const examples of rows) {
        const probabilities = model.predict(examples)
        for (let row = 0; row < Math.min(7, examples.rows); row++) {
          const sum = model.explain(examples, row).reduce((total, { weight }) => total + weight, 0)
          expect(sigmoid(sum)).toBeCloseTo(probabilities[row], 7)
        }
      }
    })

    test('a row alone gets the probability that it gets among others', () => {
      const together = model.predict(data)
      for (let row = 0; row < Math.min(5, data.rows); row++) expect(model.predict(chosenRows(data, [row]))[0]).toBe(together[row])
    })
  })

  test('truncated and foreign bytes are refused', () => {
    const bytes = taught(name, shop(100).examples).save()
    expect(() => algorithm.load(bytes.slice(0, bytes.length - 9))).toThrow(BrokenArtifact)
    expect(() => algorithm.load(bytes.slice(0, 20))).toThrow(BrokenArtifact)
    expect(() => algorithm.load(new Uint8Array(100))).toThrow(BrokenArtifact)
    for (const other of algorithms)
      if (other.name !== name) expect(() => algorithm.load(taught(other.name, shop(60).examples).save())).toThrow(BrokenArtifact)
  })

  test('rows of other fields, of wrong sizes or without labels are refused', () => {
    const { examples } = shop(100)
    const model = taught(name, examples)
    const renamed = { ...examples, fields: { ...examples.fields, words: ['channel', 'device', 'product'] } }
    expect(() => model.predict(renamed)).toThrow(FaultyExamples)
    expect(() => model.predict({ ...examples, rows: 99 })).toThrow(FaultyExamples)
    expect(() => taught(name, { ...examples, labels: new Uint8Array(0) })).toThrow(/labels/)
    expect(() => taught(name, { ...examples, labels: new Uint8Array(3) })).toThrow(FaultyExamples)
    expect(() => taught(name, { ...examples, negativeShare: 0 })).toThrow(/share/)
    expect(() => taught(name, examples, { calibration: 'magic' })).toThrow(/calibration/)
  })

  test('predictions after sampled negatives are for all of them', () => {
    const { examples, truth } = shop(8_000, 5)
    const few = withFewerNegatives(examples, 0.3, createRandom(3))
    expect(few.rows).toBeLessThan(0.7 * examples.rows)
    const p = taught(name, few).predict(examples)
    expect(p.reduce((sum, each) => sum + each, 0) / p.length).toBeCloseTo(truth.reduce((sum, each) => sum + each, 0) / p.length, 1)
    const explained = taught(name, few).explain(examples, 0)
    expect(explained.find(({ kind }) => kind === 'sampling')?.weight).toBeCloseTo(Math.log(0.3))
  })

  test('batches teach it, where it can learn from them', () => {
    const { examples } = shop(2_000, 9)
    const model = taught(name, examples)
    if (!model.update) return expect(() => updateAll({ algorithm: name, artifact: model.save(), data: examples })).toThrow(/train it again/)
    const before = model.predict(examples)[0]
    const surprising = { ...chosenRows(examples, new Array(3_000).fill(0)), labels: new Uint8Array(3_000).fill(1) }
    const { artifact } = updateAll({ algorithm: name, artifact: model.save(), data: surprising })
    const after = scoreAll({ algorithm: name, artifact, data: examples }).probabilities[0]
    if (name !== 'base-rate') expect(after).toBeGreaterThan(Math.max(0.8, before))
    expect(() => model.update?.({ ...examples, labels: new Uint8Array(0) })).toThrow(/labels/)
  })

  test('each calibration keeps the order of rows and the sum of parts', () => {
    const { examples } = shop(3_000, 4)
    for (const calibration of ['platt', 'isotonic']) {
      const model = taught(name, examples, { calibration })
      const p = model.predict(examples)
      expect(p.every(each => each > 0 && each < 1)).toBe(true)
      const sum = model.explain(examples, 3).reduce((total, { weight }) => total + weight, 0)
      expect(sigmoid(sum)).toBeCloseTo(p[3], 7)
      expect(algorithm.load(model.save()).predict(examples)).toEqual(p)
    }
  })
})

describe('in a world whose truth is known', () => {
  const { examples, truth } = shop(12_000, 2)
  const train = chosenRows(
    examples,
    Array.from({ length: 8_000 }, (_, at) => at),
  )
  const later = chosenRows(
    examples,
    Array.from({ length: 4_000 }, (_, at) => 8_000 + at),
  )
  const best = auc(later.labels, truth.subarray(8_000))
  const bestLoss = logLoss(later.labels, truth.subarray(8_000))
  const bars: Record<string, { auc: number; loss: number; error?: number; params?: Record<string, number> }> = {
    // Without crosses these cannot see the pair that works together.
    logistic: { auc: 0.045, loss: 1.06, params: { alpha: 0.1, l1: 0.01, l2: 0.1, passes: 4 } },
    'logistic-l2': { auc: 0.025, loss: 1.04 },
    tree: { auc: 0.07, loss: 1.12, error: 0.05 },
    'boosted-trees': { auc: 0.015, loss: 1.03 },
    'factorisation-machine': { auc: 0.035, loss: 1.06 },
    blend: { auc: 0.012, loss: 1.025 },
  }

  test.each(Object.keys(bars))('%s comes near the best possible score', name => {
    const p = taught(name, train, bars[name].params).predict(later)
    expect(auc(later.labels, p)).toBeGreaterThan(best - bars[name].auc)
    expect(logLoss(later.labels, p)).toBeLessThan(bestLoss * bars[name].loss)
    expect(ece(later.labels, p)).toBeLessThan(bars[name].error ?? 0.03)
  })

  test('crosses let a logistic regression see what works together', () => {
    const alone = logLoss(later.labels, taught('logistic', train).predict(later))
    const crossed = logLoss(later.labels, taught('logistic', train, { crosses: 'channel*device' }).predict(later))
    expect(crossed).toBeLessThan(alone)
    const parts = taught('logistic', train, { crosses: 'channel*device' }).explain(later, 0)
    expect(parts.some(({ kind, fields }) => kind === 'pair' && fields.join() === 'channel,device')).toBe(true)
    expect(() => taught('logistic', train, { crosses: 'channel*nothing' })).toThrow(/channel\*nothing/)
    expect(() => taught('logistic', train, { bits: 40 })).toThrow(/bits/)
    expect(() => taught('logistic', train, { alpha: 0 })).toThrow(/alpha/)
  })

  test('the baseline with a field knows its words and shrinks the rare ones', () => {
    const model = taught('base-rate', train, { field: 'channel', strength: 50 })
    const p = model.predict(later)
    expect(auc(later.labels, p)).toBeGreaterThan(0.55)
    const rare = chosenRows(later, [0])
    rare.words[0] = wordHash('never seen')
    expect(model.predict(rare)[0]).toBeCloseTo(train.labels.reduce((sum, label) => sum + label, 0) / train.rows, 3)
    expect(() => taught('base-rate', train, { field: 'nothing' })).toThrow(/nothing/)
  })

  test('the trainer fits, measures, scores', () => {
    const request = { algorithm: 'logistic', params: {}, seed: 1, data: train }
    const { metrics, reliability, notes } = fitAndEvaluate(request)
    expect(metrics.auc).toBeGreaterThan(0.7)
    expect(reliability).toHaveLength(10)
    expect(notes).toHaveLength(10)
    expect(notes[9]).toMatch(/^Decile 10 of held-out predictions: [\d.]+ % predicted, [\d.]+ % observed, \d+ rows$/)
    const { artifact } = fitAll(request)
    expect(scoreAll({ algorithm: 'logistic', artifact, data: later }).probabilities).toHaveLength(4_000)
    expect(() => fitAll({ ...request, algorithm: 'magic' })).toThrow(/magic/)
  })

  test('the test rows are the latest where times are known, and a fixed draw where not', () => {
    const times = Float64Array.from({ length: train.rows }, (_, row) => 1e12 + ((row * 7_919) % train.rows))
    const { train: earlier, test: latest } = split({ ...train, times }, 1)
    expect(earlier.times?.reduce((most, time) => Math.max(most, time), 0)).toBeLessThan(latest.times?.[0] ?? 0)
    expect(split(train, 1)).toEqual(split(train, 1))
    expect(split(train, 1).test.rows).toBe(1_600)
  })
})

test('a blend leaves out the model that knows less, where held-out rows tell so', () => {
  const random = createRandom(3)
  // The sign of a says nothing, its size all: logistic regression on bins sees less of it than trees.
  const world = (rows: number) =>
    examplesOf(
      { numbers: ['a', 'b'], words: [] },
      Array.from({ length: rows }, () => {
        const [a, b] = [random.next() - 0.5, random.next() - 0.5]
        return { numbers: [a, b], words: [], label: Number(random.next() < (Math.abs(a) > 0.25 ? 0.95 : 0.05)) }
      }),
    )
  const [learned, later] = [world(2_000), world(2_000)]
  const lossOf = (name: string) => logLoss(later.labels, taught(name, learned).predict(later))
  const trees = lossOf('boosted-trees')
  expect(lossOf('logistic-l2')).toBeGreaterThan(1.5 * trees)
  // A quarter of it would cost 3 %.
  expect(lossOf('blend')).toBeLessThan(1.015 * trees)
}, 60_000)

test('target rates of the learning rows never use their own label', () => {
  // Every word is seen once, so without its own label nothing is known of it.
  const rows = Array.from({ length: 500 }, (_, at) => ({ numbers: [], words: [`w${at}`], label: at % 2 }))
  const examples = examplesOf({ numbers: [], words: ['w'] }, rows)
  const { columns } = fitEncoding(examples, 10, createRandom(1))
  for (let row = 0; row < 500; row++) expect(columns[2 * row]).toBeCloseTo(0.5, 6)
  expect(auc(examples.labels, taught('boosted-trees', examples).predict(examples))).toBeCloseTo(0.5, 2)
})

test('numbers are cut into codes of about equal mass, frequent values alone', () => {
  const sorted = Float64Array.from({ length: 1_000 }, (_, at) => (at < 700 ? 0 : at)).sort()
  const cuts = cutsOf(sorted, 4)
  expect(cuts.length).toBe(3)
  const counts = [0, 0, 0, 0]
  for (const value of sorted) counts[codeOf(cuts, value)]++
  expect(counts).toEqual([700, 100, 100, 100])
  expect(cutsOf(Float64Array.of(1, 1, 2), 9)).toEqual(Float64Array.of(1.5))
  expect(codeOf(cuts, Number.NaN)).toBe(4)
})

test('SHAP values are the Shapley values of the covers, by their definition', () => {
  const random = createRandom(12)
  const forest = randomForest(random, 3, 4)
  for (let sample = 0; sample < 20; sample++) {
    const row = Array.from({ length: 4 }, () => (random.next() < 0.2 ? Number.NaN : random.next()))
    const found = new Float64Array(4)
    const expected = shapley(forest, row, found)
    const value = (known: number) => forest.roots.reduce((sum, root) => sum + conditional(forest, root, row, known), 0)
    expect(expected).toBeCloseTo(value(0), 10)
    for (let column = 0; column < 4; column++) {
      let sum = 0
      const orders = permutations([0, 1, 2, 3])
      for (const order of orders) {
        const before = order.slice(0, order.indexOf(column)).reduce((set, other) => set | (1 << other), 0)
        sum += (value(before | (1 << column)) - value(before)) / orders.length
      }
      expect(found[column]).toBeCloseTo(sum, 10)
    }
    expect(expected + found.reduce((sum, each) => sum + each, 0)).toBeCloseTo(scoreOf(forest, row), 10)
  }
})

test('a tree that asks one question finds the best cut by Gini', () => {
  const rows = [1, 2, 3, 4, 5, 6, 7, 8].map(value => ({
    numbers: [value, 9 - value],
    words: [],
    label: value > 5 ? 1 : value === 2 ? 1 : 0,
  }))
  const examples = examplesOf({ numbers: ['a', 'b'], words: [] }, rows)
  const p = taught('tree', examples, { leaves: 2, depth: 1, minimumRows: 1 }).predict(examples)
  expect(new Set(p.subarray(0, 5)).size).toBe(1)
  expect(new Set(p.subarray(5)).size).toBe(1)
  // (Σ y + strength · base) / (n + strength)
  expect(logit(p[0])).toBeCloseTo(logit((1 + 0.5) / (5 + 1)), 6)
})

function randomForest(random: ReturnType<typeof createRandom>, trees: number, columnCount: number): Forest {
  const nodes = {
    roots: [] as number[],
    columns: [] as number[],
    cuts: [] as number[],
    missingLeft: [] as number[],
    left: [] as number[],
    right: [] as number[],
    values: [] as number[],
    covers: [] as number[],
  }
  const add = (depth: number, cover: number): number => {
    const node = nodes.columns.length
    const isLeaf = depth === 0 || random.next() < 0.1
    nodes.columns.push(isLeaf ? -1 : random.below(columnCount))
    nodes.cuts.push(random.next())
    nodes.missingLeft.push(random.below(2))
    nodes.left.push(node)
    nodes.right.push(node)
    nodes.values.push(random.normal())
    nodes.covers.push(cover)
    if (!isLeaf) {
      const share = 0.1 + 0.8 * random.next()
      nodes.left[node] = add(depth - 1, cover * share)
      nodes.right[node] = add(depth - 1, cover * (1 - share))
    }
    return node
  }
  for (let tree = 0; tree < trees; tree++) nodes.roots.push(add(4, 100))
  return {
    roots: Int32Array.from(nodes.roots),
    columns: Int32Array.from(nodes.columns),
    cuts: Float64Array.from(nodes.cuts),
    missingLeft: Uint8Array.from(nodes.missingLeft),
    left: Int32Array.from(nodes.left),
    right: Int32Array.from(nodes.right),
    values: Float64Array.from(nodes.values),
    covers: Float64Array.from(nodes.covers),
  }
}

/** Expected value of a tree when only the columns in the set `known` (bits) are known. */
function conditional(forest: Forest, node: number, row: number[], known: number): number {
  const column = forest.columns[node]
  if (column < 0) return forest.values[node]
  const [left, right] = [forest.left[node], forest.right[node]]
  if (known & (1 << column)) {
    const isLeft = row[column] <= forest.cuts[node] || (forest.missingLeft[node] === 1 && Number.isNaN(row[column]))
    return conditional(forest, isLeft ? left : right, row, known)
  }
  const share = forest.covers[left] / forest.covers[node]
  return share * conditional(forest, left, row, known) + (1 - share) * conditional(forest, right, row, known)
}

function permutations(items: number[]): number[][] {
  if (items.length < 2) return [items]
  return items.flatMap(first => permutations(items.filter(each => each !== first)).map(rest => [first, ...rest]))
}

test('shuffling keeps every value', () => {
  const values = Int32Array.from({ length: 50 }, (_, at) => at)
  shuffle(values, createRandom(2))
  expect([...values].sort((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, at) => at))
})
