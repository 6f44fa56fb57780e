import { pack, unpack } from '../artifact.js'
import { decisions, fitLinear, type LinearModel, type Rows } from '../math/linear.js'
import { fnv1a } from '../math/random.js'
import { opinionOf } from './lexicon.js'
import { inverseTemperature } from './linear-model.js'
import { normalise } from './normalise.js'
import { wordsOf } from './tokens.js'

/** Texts in which one part each, from `starts` to `ends` in UTF-16 units, is judged. Structured-cloneable. */
export interface JudgedTargets {
  texts: readonly string[]
  starts: Int32Array
  ends: Int32Array
  labels: Int32Array
  labelNames: readonly string[]
}

const FORMAT = 'aspect-polarity/1'
const COLUMNS = 1 << 17
const WINDOW = 6
const FOLDS = 5
const COST = 1

interface Features {
  columns: Int32Array
  values: Float64Array
}

/**
 * Polarity of a target in its context: n-grams of the words left and right of it, near it and in the whole text, words by their distance (the
 * feature set of Kiritchenko et al. 2014 in the small), and what the lexicon says of the near and the whole text; support vector machines with balanced
 * classes, calibrated on folds.
 */
export class AspectPolarity {
  private constructor(
    readonly labels: readonly string[],
    private readonly model: LinearModel,
    private readonly beta: number,
  ) {}

  static fit(data: JudgedTargets): AspectPolarity {
    const rows = rowsOf(data.texts.map((text, at) => featuresOf(text, data.starts[at], data.ends[at])))
    const classes = data.labelNames.length
    const planes = classes <= 2 ? 1 : classes
    const folds = data.texts.map(text => fnv1a(`calibration|${text}`) % FOLDS)
    const scores = new Float64Array(rows.rows * Math.max(2, planes))
    const model = (weights?: number[]) =>
      fitLinear(rows, data.labels, classes, {
        loss: 'squared-hinge',
        cost: COST,
        classWeights: 'balanced',
        solver: 'dual',
        sampleWeights: weights,
      })
    for (let fold = 0; fold < FOLDS; fold++) {
      const decided = twoSided(decisions(model(folds.map(own => (own === fold ? 0 : 1))), rows), planes)
      folds.forEach((own, row) => {
        if (own === fold)
          scores.set(decided.subarray(row * Math.max(2, planes), (row + 1) * Math.max(2, planes)), row * Math.max(2, planes))
      })
    }
    return new AspectPolarity([...data.labelNames], model(), inverseTemperature(scores, data.labels, Math.max(2, planes)))
  }

  /** Probability of each label. */
  classify(text: string, start: number, end: number): Float64Array {
    const planes = this.model.intercepts.length
    const scores = twoSided(decisions(this.model, rowsOf([featuresOf(text, start, end)])), planes)
    const most = scores.reduce((larger, score) => Math.max(larger, score), Number.NEGATIVE_INFINITY)
    const weights = scores.map(score => Math.exp(this.beta * (score - most)))
    const total = weights.reduce((sum, weight) => sum + weight, 0)
    return weights.map(weight => weight / total)
  }

  save(): Uint8Array {
    const { weights, intercepts, epochs, classCount } = this.model
    const planes = intercepts.length
    const used = Int32Array.from(Array.from({ length: COLUMNS }, (_, column) => column)).filter(column => {
      for (let plane = 0; plane < planes; plane++) if (weights[plane * COLUMNS + column] !== 0) return true
      return false
    })
    const kept = new Float64Array(used.length * planes)
    for (let plane = 0; plane < planes; plane++)
      used.forEach((column, at) => {
        kept[plane * used.length + at] = weights[plane * COLUMNS + column]
      })
    return pack(FORMAT, { meta: { labels: this.labels, beta: this.beta, classCount }, arrays: { used, kept, intercepts, epochs } })
  }

  static load(artifact: Uint8Array): AspectPolarity {
    const { meta, arrays } = unpack(FORMAT, artifact)
    const { labels, beta, classCount } = meta as { labels: string[]; beta: number; classCount: number }
    const [used, kept, intercepts] = [arrays.used as Int32Array, arrays.kept as Float64Array, arrays.intercepts as Float64Array]
    const weights = new Float64Array(intercepts.length * COLUMNS)
    for (let plane = 0; plane < intercepts.length; plane++)
      used.forEach((column, at) => {
        weights[plane * COLUMNS + column] = kept[plane * used.length + at]
      })
    return new AspectPolarity(labels, { classCount, columnCount: COLUMNS, weights, intercepts, epochs: arrays.epochs as Int32Array }, beta)
  }
}

/** One plane becomes two scores, so that two classes are like more. */
function twoSided(decided: Float64Array, planes: number): Float64Array {
  return planes > 1
    ? decided
    : Float64Array.from({ length: 2 * decided.length }, (_, at) => (at % 2 === 0 ? -decided[at >> 1] : decided[at >> 1]))
}

function featuresOf(text: string, start: number, end: number): Features {
  const [left, target, right] = [text.slice(0, start), text.slice(start, end), text.slice(end)].map(part => wordsOf(normalise(part)))
  const [near, after] = [left.slice(-WINDOW), right.slice(0, WINDOW)]
  const values = new Map<number, number>()
  const add = (name: string, value: number) => {
    const column = fnv1a(name) % (COLUMNS - 1)
    values.set(column, Math.max(values.get(column) ?? 0, value))
  }
  const parts: [string, string[]][] = [
    ['l', near],
    ['r', after],
    ['s', [...left, '#T#', ...right]],
    ['w', [...near, '#T#', ...after]],
  ]
  for (const [name, words] of parts)
    for (let n = 1; n <= 2; n++) for (let at = 0; at + n <= words.length; at++) add(`${name}|${words.slice(at, at + n).join('_')}`, 1)
  near.toReversed().forEach((word, at) => {
    add(`d|${word}`, 1 / (1 + at))
  })
  after.forEach((word, at) => {
    add(`d|${word}`, 1 / (1 + at))
  })
  for (const word of target) add(`a|${word}`, 0.3)
  const length = Math.sqrt([...values.values()].reduce((sum, value) => sum + value * value, 0)) || 1
  for (const [column, value] of values) values.set(column, value / length)
  const opinions: [string, string][] = [
    ['near', [...near, ...after].join(' ')],
    ['whole', text],
    ['left', near.join(' ')],
    ['right', after.join(' ')],
  ]
  for (const [name, part] of opinions) {
    const { score } = opinionOf(part)
    if (score !== 0) add(`x|${name}|${score > 0 ? 'for' : 'against'}`, Math.min(1, Math.abs(score) / 3) * 0.5)
  }
  return { columns: Int32Array.from(values.keys()), values: Float64Array.from(values.values()) }
}

function rowsOf(features: readonly Features[]): Rows {
  const offsets = new Int32Array(features.length + 1)
  features.forEach(({ columns }, row) => {
    offsets[row + 1] = offsets[row] + columns.length
  })
  const columns = new Int32Array(offsets[features.length])
  const values = new Float64Array(columns.length)
  features.forEach((own, row) => {
    columns.set(own.columns, offsets[row])
    values.set(own.values, offsets[row])
  })
  return { rows: features.length, columnCount: COLUMNS, offsets, columns, values }
}
