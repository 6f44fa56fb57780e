import { type NumberArray, pack, unpack } from '../artifact.js'
import { type Calibration, calibrated, fitPlatt, identity } from '../math/calibration.js'
import { decisions, fitLinear, type LinearModel, type LinearOptions, type Rows } from '../math/linear.js'
import { fnv1a } from '../math/random.js'
import type { LabelledTexts, Term, TextClassifier } from './classifier.js'
import { strongest } from './classifier.js'
import { type Bag, countFeatures, type FeatureOptions, FeatureSpace } from './features.js'
import { CHANNELS } from './ngrams.js'
import { normalise } from './normalise.js'

/** One linear judgement of a text; a model is one or several of them, their scores added. */
export interface HeadOptions {
  /** `tfidf`: (1 + ln tf)·idf, each channel of length 1. `nb`: the same, times the log-count ratio of the class (Wang and Manning 2012). */
  weighting: 'tfidf' | 'nb' | 'binary-nb'
  loss: LinearOptions['loss']
  cost: number
  /** Factor of each channel: words, characters; 0 leaves it out. */
  channels: readonly [words: number, characters: number]
}

export interface LinearTextOptions {
  features: FeatureOptions
  heads: readonly HeadOptions[]
  /** False: the scores stay as they are, for a caller that calibrates them itself; a sixth of the fits. */
  calibrate?: boolean
}

interface Head {
  options: HeadOptions
  /** Feature by feature, one weight a plane. */
  weights: Float32Array
  intercepts: Float64Array
  /** Factor of its scores in the sum. */
  share: number
}

const FOLDS = 5
const FOLDED_ROWS = 8_000
const SMOOTHING = 1

/** Fits the heads on all texts, their shares and the calibration on texts that the measuring fit had not seen. */
export function fitLinearText(format: string, data: LabelledTexts, options: LinearTextOptions): LinearTextModel {
  const texts = data.texts.map(normalise)
  const { space, rows, boundaries } = countFeatures(texts, options.features)
  const idf = Float32Array.from(space.inverseFrequencies())
  const classes = data.labelNames.length
  const planes = classes <= 2 ? 1 : classes
  const heldOut =
    options.calibrate === false
      ? { scores: options.heads.map(() => new Float64Array(0)), labels: new Int32Array(0), weights: new Float32Array(0) }
      : heldOutScores(texts, data, options, { rows, boundaries, idf })
  const shares = options.heads.map((_, head) => scaleOf(heldOut.scores[head], heldOut, planes))
  const heads = options.heads.map((head, at): Head => {
    const values = valuesOf(rows, boundaries, idf, head)
    const { weights, intercepts } = fitHead({ ...rows, values }, data.labels, classes, head, data.weights)
    const byFeature = new Float32Array(weights.length)
    for (let plane = 0; plane < planes; plane++)
      for (let column = 0; column < space.size; column++) byFeature[column * planes + plane] = weights[plane * space.size + column]
    return { options: head, weights: byFeature, intercepts, share: shares[at] }
  })
  const summed = new Float64Array(heldOut.labels.length * planes)
  heldOut.scores.forEach((scores, head) => {
    for (let at = 0; at < summed.length; at++) summed[at] += shares[head] * scores[at]
  })
  return new LinearTextModel(format, data.labelNames, space, idf, folded(heads), calibrationOf(summed, heldOut, planes))
}

/** Heads that see the same values are one: their planes add up. The ratios of naive Bayes stand in the weights, so those heads see plain tf-idf. */
function folded(heads: readonly Head[]): Head[] {
  const groups = new Map<string, Head[]>()
  for (const head of heads) {
    const key = `${head.options.weighting === 'binary-nb'} ${head.options.channels}`
    groups.set(key, [...(groups.get(key) ?? []), head])
  }
  return [...groups.values()].map(([first, ...more]) => {
    if (more.length === 0) return first
    const all = [first, ...more]
    const sumOf = (at: number, of: (head: Head) => ArrayLike<number>) => all.reduce((sum, head) => sum + head.share * of(head)[at], 0)
    return {
      options: first.options,
      weights: first.weights.map((_, at) => sumOf(at, head => head.weights)),
      intercepts: first.intercepts.map((_, at) => sumOf(at, head => head.intercepts)),
      share: 1,
    }
  })
}

interface Counted {
  rows: Rows
  boundaries: Int32Array
  idf: Float32Array
}

/** Scores of texts by heads that were fitted without them: five folds of few texts, one fifth of many; twins stay together. */
function heldOutScores(texts: readonly string[], data: LabelledTexts, { heads }: LinearTextOptions, { rows, boundaries, idf }: Counted) {
  const folds = Int32Array.from(texts, text => fnv1a(`calibration|${text}`) % FOLDS)
  const tested = texts.length <= FOLDED_ROWS ? FOLDS : 1
  const planes = data.labelNames.length <= 2 ? 1 : data.labelNames.length
  const order: number[] = []
  for (let fold = 0; fold < tested; fold++) for (let row = 0; row < texts.length; row++) if (folds[row] === fold) order.push(row)
  const scores = heads.map(head => {
    const values = valuesOf(rows, boundaries, idf, head)
    const out = new Float64Array(order.length * planes)
    for (let fold = 0, place = 0; fold < tested; fold++) {
      const weights = Float32Array.from(folds, (own, row) => (own === fold ? 0 : (data.weights?.[row] ?? 1)))
      const trained = subset(rows, values, row => folds[row] !== fold)
      const model = fitHead(
        trained.rows,
        trained.chosen.map(row => data.labels[row]),
        data.labelNames.length,
        head,
        trained.chosen.map(row => weights[row]),
      )
      const tests = subset(rows, values, row => folds[row] === fold)
      const decided = decisions(model, tests.rows)
      out.set(decided, place)
      place += decided.length
    }
    return out
  })
  return {
    scores,
    labels: Int32Array.from(order, row => data.labels[row]),
    weights: Float32Array.from(order, row => data.weights?.[row] ?? 1),
  }
}

function subset(rows: Rows, values: Float32Array, isChosen: (row: number) => boolean): { rows: Rows; chosen: Int32Array } {
  const chosen = Int32Array.from(Array.from({ length: rows.rows }, (_, row) => row).filter(isChosen))
  const offsets = new Int32Array(chosen.length + 1)
  chosen.forEach((row, at) => {
    offsets[at + 1] = offsets[at] + rows.offsets[row + 1] - rows.offsets[row]
  })
  const columns = new Int32Array(offsets[chosen.length])
  const taken = new Float32Array(offsets[chosen.length])
  chosen.forEach((row, at) => {
    columns.set(rows.columns.subarray(rows.offsets[row], rows.offsets[row + 1]), offsets[at])
    taken.set(values.subarray(rows.offsets[row], rows.offsets[row + 1]), offsets[at])
  })
  return { rows: { rows: chosen.length, columnCount: rows.columnCount, offsets, columns, values: taken }, chosen }
}

/** The planes of one head; weights of naive-Bayes heads have the ratios multiplied in. */
function fitHead(rows: Rows, labels: Int32Array, classes: number, head: HeadOptions, weights?: ArrayLike<number>): LinearModel {
  const options: LinearOptions = { loss: head.loss, cost: head.cost, sampleWeights: weights, solver: 'dual', tolerance: 0.05 }
  if (head.weighting === 'tfidf') return fitLinear(rows, labels, classes, options)
  const planes = classes <= 2 ? 1 : classes
  const model: LinearModel = {
    classCount: classes,
    columnCount: rows.columnCount,
    weights: new Float64Array(planes * rows.columnCount),
    intercepts: new Float64Array(planes),
    epochs: new Int32Array(planes),
  }
  for (let plane = 0; plane < planes; plane++) {
    const own = labels.map(label => Number(label === (planes === 1 ? 1 : plane)))
    const ratios = ratiosOf(rows, own, weights)
    const values = new Float32Array(rows.values.length)
    for (let at = 0; at < values.length; at++) values[at] = rows.values[at] * ratios[rows.columns[at]]
    const fitted = fitLinear({ ...rows, values }, own, 2, options)
    for (let column = 0; column < rows.columnCount; column++)
      model.weights[plane * rows.columnCount + column] = fitted.weights[column] * ratios[column]
    model.intercepts[plane] = fitted.intercepts[0]
    model.epochs[plane] = fitted.epochs[0]
  }
  return model
}

/** ln of (share of the positives' features) / (share of the negatives'), smoothed. */
function ratiosOf({ rows, columnCount, offsets, columns }: Rows, labels: Int32Array, weights?: ArrayLike<number>): Float64Array {
  const counts = [new Float64Array(columnCount).fill(SMOOTHING), new Float64Array(columnCount).fill(SMOOTHING)]
  for (let row = 0; row < rows; row++) {
    if (weights && weights[row] === 0) continue
    const own = counts[labels[row]]
    for (let at = offsets[row]; at < offsets[row + 1]; at++) own[columns[at]]++
  }
  const [negatives, positives] = counts.map(count => count.reduce((sum, value) => sum + value, 0))
  return counts[1].map((count, column) => Math.log(count / positives) - Math.log(counts[0][column] / negatives))
}

/** Weighted values of counted rows. */
function valuesOf({ rows, columns, values: counts }: Rows, boundaries: Int32Array, idf: Float32Array, head: HeadOptions): Float32Array {
  const values = new Float32Array(counts.length)
  const width = CHANNELS + 1
  for (let row = 0; row < rows; row++)
    for (let channel = 0; channel < CHANNELS; channel++)
      weigh(
        head,
        head.channels[channel],
        columns,
        counts,
        idf,
        boundaries[row * width + channel],
        boundaries[row * width + channel + 1],
        values,
      )
  return values
}

function weigh(
  head: HeadOptions,
  factor: number,
  columns: Int32Array,
  counts: ArrayLike<number>,
  idf: Float32Array,
  from: number,
  to: number,
  out: Float32Array | Float64Array,
) {
  if (factor === 0) {
    out.fill(0, from, to)
    return
  }
  if (head.weighting === 'binary-nb') {
    out.fill(factor, from, to)
    return
  }
  let squares = 0
  for (let at = from; at < to; at++) {
    const count = counts[at]
    const value = (count === 1 ? 1 : 1 + Math.log(count)) * idf[columns[at]]
    out[at] = value
    squares += value * value
  }
  const scale = squares > 0 ? factor / Math.sqrt(squares) : 0
  for (let at = from; at < to; at++) out[at] *= scale
}

/** Factor that makes scores log-odds: of one plane Platt's slope, of many the inverse temperature of their softmax. */
function scaleOf(scores: Float64Array, { labels, weights }: HeldOut, planes: number): number {
  if (labels.length === 0) return 1
  if (planes > 1) return inverseTemperature(scores, labels, planes, weights)
  const fitted = fitPlatt(scores, labels)
  return fitted.kind === 'platt' && fitted.slope > 0 ? fitted.slope : 1
}

/** Texts that a measuring fit had not seen. */
type HeldOut = Pick<ReturnType<typeof heldOutScores>, 'labels' | 'weights'>

interface TextCalibration {
  /** Of one plane. */
  binary: Calibration
  /** Of many. */
  inverseTemperature: number
}

function calibrationOf(scores: Float64Array, { labels, weights }: HeldOut, planes: number): TextCalibration {
  if (planes > 1) return { binary: identity, inverseTemperature: inverseTemperature(scores, labels, planes, weights) }
  const fitted = labels.length === 0 ? identity : fitPlatt(scores, labels)
  return { binary: fitted, inverseTemperature: 1 }
}

/** Minimises the log-loss of softmax(β·scores) over β by golden section on ln β: the loss has one valley (Guo et al. 2017). Rows weigh 1 unless weights are given. */
export function inverseTemperature(scores: Float64Array, labels: Int32Array, planes: number, weights?: ArrayLike<number>): number {
  if (labels.length === 0) return 1
  const lossOf = (beta: number) => {
    let loss = 0
    for (let row = 0; row < labels.length; row++) {
      let most = Number.NEGATIVE_INFINITY
      for (let plane = 0; plane < planes; plane++) most = Math.max(most, scores[row * planes + plane])
      let sum = 0
      for (let plane = 0; plane < planes; plane++) sum += Math.exp(beta * (scores[row * planes + plane] - most))
      loss += (weights?.[row] ?? 1) * (Math.log(sum) - beta * (scores[row * planes + labels[row]] - most))
    }
    return loss
  }
  const golden = (Math.sqrt(5) - 1) / 2
  let [low, high] = [Math.log(0.05), Math.log(100)]
  let [a, b] = [high - golden * (high - low), low + golden * (high - low)]
  let [lossA, lossB] = [lossOf(Math.exp(a)), lossOf(Math.exp(b))]
  while (high - low > 1e-3) {
    if (lossA < lossB) {
      ;[high, b, lossB] = [b, a, lossA]
      a = high - golden * (high - low)
      lossA = lossOf(Math.exp(a))
    } else {
      ;[low, a, lossA] = [a, b, lossB]
      b = low + golden * (high - low)
      lossB = lossOf(Math.exp(b))
    }
  }
  return Math.exp((low + high) / 2)
}

/** What was learned: a feature space, linear heads over it, a calibration. */
export class LinearTextModel implements TextClassifier {
  private readonly planes: number
  private readonly sums: Float64Array
  private values = new Float64Array(1_024)

  constructor(
    private readonly format: string,
    readonly labels: readonly string[],
    private readonly space: FeatureSpace,
    private readonly idf: Float32Array,
    private readonly heads: readonly Head[],
    private readonly calibration: TextCalibration,
  ) {
    this.planes = labels.length <= 2 ? 1 : labels.length
    this.sums = new Float64Array(this.planes)
  }

  classify(text: string): Float64Array {
    return this.probabilitiesOf(this.space.read(normalise(text)))
  }

  /** Scores of all labels before calibration; of two labels the first has the second's turned over. Valid until the next call. */
  scores(text: string): Float64Array {
    this.decide(this.space.read(normalise(text)))
    return this.planes === this.labels.length ? this.sums : Float64Array.of(-this.sums[0], this.sums[0])
  }

  score(text: string, label: number): { score: number; base: number } {
    this.decide(this.space.read(normalise(text)))
    const [plane, sign] = this.planeOf(label)
    return { score: sign * this.sums[plane], base: sign * this.baseOf(plane) }
  }

  explain(text: string, label: number, limit?: number): Term[] {
    const bag = this.space.read(normalise(text))
    const [plane, sign] = this.planeOf(label)
    const weights = new Float64Array(bag.length)
    for (const head of this.heads) {
      this.weighBag(bag, head)
      for (let at = 0; at < bag.length; at++)
        weights[at] += sign * head.share * this.values[at] * head.weights[bag.columns[at] * this.planes + plane]
    }
    // One term for all n-grams that read the same: "not bad" once, not as words and as characters.
    const terms = new Map<string, number>()
    for (let at = 0; at < bag.length; at++) {
      if (weights[at] === 0) continue
      const term = this.space.termAt(bag.places[at])
      terms.set(term, (terms.get(term) ?? 0) + weights[at])
    }
    return strongest(
      [...terms].map(([term, weight]) => ({ text: term, weight })),
      limit,
    )
  }

  save(): Uint8Array {
    const arrays: Record<string, NumberArray> = { ...this.space.packed() }
    this.heads.forEach((head, at) => {
      arrays[`weights${at}`] = head.weights
      arrays[`intercepts${at}`] = head.intercepts
    })
    return pack(this.format, {
      meta: {
        labels: this.labels,
        features: this.space.options,
        texts: this.space.texts,
        heads: this.heads.map(({ options, share }) => ({ options, share })),
        calibration: this.calibration,
      },
      arrays,
    })
  }

  private probabilitiesOf(bag: Bag): Float64Array {
    this.decide(bag)
    const { sums, calibration } = this
    const out = new Float64Array(this.labels.length)
    if (this.planes === 1) {
      if (out.length === 0) return out
      const p = calibrated(calibration.binary, sums[0])
      out[0] = out.length === 1 ? 1 : 1 - p
      if (out.length > 1) out[1] = p
      return out
    }
    let most = Number.NEGATIVE_INFINITY
    for (let plane = 0; plane < sums.length; plane++) most = Math.max(most, sums[plane])
    let total = 0
    for (let plane = 0; plane < sums.length; plane++) {
      out[plane] = Math.exp(calibration.inverseTemperature * (sums[plane] - most))
      total += out[plane]
    }
    for (let plane = 0; plane < sums.length; plane++) out[plane] /= total
    return out
  }

  private decide(bag: Bag) {
    const { sums, planes } = this
    for (let plane = 0; plane < planes; plane++) sums[plane] = this.baseOf(plane)
    for (const head of this.heads) {
      this.weighBag(bag, head)
      const { weights, share } = head
      for (let at = 0; at < bag.length; at++) {
        const value = share * this.values[at]
        if (value === 0) continue
        const base = bag.columns[at] * planes
        for (let plane = 0; plane < planes; plane++) sums[plane] += value * weights[base + plane]
      }
    }
  }

  private weighBag(bag: Bag, { options }: Head) {
    if (this.values.length < bag.length) this.values = new Float64Array(2 * bag.length)
    for (let channel = 0; channel < CHANNELS; channel++)
      weigh(options, options.channels[channel], bag.columns, bag.counts, this.idf, bag.from[channel], bag.from[channel + 1], this.values)
  }

  private baseOf(plane: number): number {
    return this.heads.reduce((sum, { share, intercepts }) => sum + share * intercepts[plane], 0)
  }

  /** Of two labels the first has the one plane turned over. */
  private planeOf(label: number): [plane: number, sign: number] {
    return this.planes === 1 ? [0, label === 1 ? 1 : -1] : [label, 1]
  }
}

export function loadLinearText(format: string, artifact: Uint8Array): LinearTextModel {
  const { meta, arrays } = unpack(format, artifact)
  const { labels, features, texts, heads, calibration } = meta as {
    labels: string[]
    features: FeatureOptions
    texts: number
    heads: { options: HeadOptions; share: number }[]
    calibration: TextCalibration
  }
  const space = new FeatureSpace(features, arrays.keys as Uint32Array, arrays.frequencies as Int32Array, texts)
  return new LinearTextModel(
    format,
    labels,
    space,
    Float32Array.from(space.inverseFrequencies()),
    heads.map(({ options, share }, at) => ({
      options,
      share,
      weights: arrays[`weights${at}`] as Float32Array,
      intercepts: arrays[`intercepts${at}`] as Float64Array,
    })),
    calibration,
  )
}
