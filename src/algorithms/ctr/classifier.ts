import type { Algorithm, Learned, Params } from '../algorithm.js'
import { BrokenArtifact, pack, unpack } from '../artifact.js'
import { type Calibration, calibrated, fitIsotonic, fitPlatt, identity, logit } from '../math/calibration.js'
import type { Random } from '../math/random.js'
import { checkExamples, chosenRows, type Examples, type Fields } from './examples.js'

/** An exact part of the log-odds of one prediction. The parts of an explanation sum to ln(p / (1 − p)). */
export interface Contribution {
  /** `bias`: what holds for everybody; `field`: one field's value; `pair`: two together; `calibration` and `sampling`: corrections of the sum. */
  kind: 'bias' | 'field' | 'pair' | 'calibration' | 'sampling'
  /** Names of the fields: one, two for a pair, else none. */
  fields: readonly string[]
  weight: number
}

/**
 * The log-odds of a model, before its corrections, as the sum of a weight for the word of each field: whoever predicts many rows that share words adds up only
 * what differs.
 */
export interface Additive {
  /** Another one whenever the weights are. */
  readonly version: number
  readonly bias: number
  /** Weight of a word in a field, by the field's place among `fields.words`. */
  weightOf(place: number, word: number): number
}

/** A learned P(y = 1 | x). Answers for unknown words, NaN and infinite numbers; probabilities are finite and inside (0, 1). */
export interface Classifier extends Learned {
  readonly fields: Fields
  readonly calibration: Calibration
  /** Probability of every row, into `out` where given. Throws `FaultyExamples` on other fields than those taught. */
  predict(examples: Examples, out?: Float64Array): Float64Array
  /** Log-odds of every row, into `out`: what `predict` is the logistic function of. */
  score(examples: Examples, out: Float64Array): void
  /** Present where the model is such a sum; `probabilityOf` takes it. */
  readonly additive?: Additive
  /** Probability of raw log-odds, corrected as `predict` corrects them. */
  probabilityOf(rawLogOdds: number): number
  /** Parts of the log-odds of one row, strongest first. */
  explain(examples: Examples, row: number): Contribution[]
  /** Learns from later rows without a new training; absent where the algorithm cannot. The calibration stays. */
  update?(batch: Examples): void
}

export type ClassifierAlgorithm = Algorithm<Examples, Classifier>

/** What an algorithm of the family has to bring: raw log-odds and their exact parts. */
export interface Scorer extends Learned {
  /** Log-odds of every row into `out`; finite. */
  score(examples: Examples, out: Float64Array): void
  /** Parts of the log-odds of one row; they sum to what `score` gives. */
  parts(examples: Examples, row: number): Contribution[]
  readonly additive?: Additive
  update?(batch: Examples): void
}

export type ScorerAlgorithm = Omit<Algorithm<Examples, Scorer>, 'load'> & { load(artifact: Uint8Array, fields: Fields): Scorer }

const FORMAT = 'classifier/1'
const HELD_OUT = 0.2
const LEAST_HELD_OUT = 50
const MOST_LOG_ODDS = 34
const METHODS = { none: () => identity, platt: fitPlatt, isotonic: fitIsotonic } as const

/**
 * Makes a classifier of a scorer: checks the rows, corrects for sampled negatives (log-odds + ln share), and calibrates by `calibration` (none, platt,
 * isotonic) on a held-out fifth (the latest rows where times are known, else drawn at random) before the scorer is fitted to all rows.
 */
export function classifier(scorers: ScorerAlgorithm, calibration: keyof typeof METHODS = 'none'): ClassifierAlgorithm {
  const defaults = { ...scorers.defaults, calibration }
  return {
    name: scorers.name,
    defaults,
    fit: (examples, params, random) => {
      checkExamples(examples)
      if (examples.labels.length !== examples.rows) throw new RangeError('Rows to learn from need their labels')
      const method = String(params.calibration ?? calibration)
      if (!Object.hasOwn(METHODS, method))
        throw new RangeError(`There is no calibration "${method}"; there are ${Object.keys(METHODS).join(', ')}`)
      return classifierOf(scorers.fit(examples, params, random), {
        name: scorers.name,
        fields: examples.fields,
        calibration: method === 'none' ? identity : heldOut(scorers, METHODS[method as keyof typeof METHODS], examples, params, random),
        shift: Math.log(shareOf(examples)),
      })
    },
    load: artifact => {
      const { meta, arrays } = unpack(FORMAT, artifact)
      if (meta.name !== scorers.name) throw new BrokenArtifact(`The artifact is of ${meta.name}, not of ${scorers.name}`)
      const fields = meta.fields as Fields
      return classifierOf(scorers.load(arrays.scorer as Uint8Array, fields), {
        name: scorers.name,
        fields,
        calibration: meta.calibration as Calibration,
        shift: Number(meta.shift),
      })
    },
  }
}

interface Frame {
  name: string
  fields: Fields
  calibration: Calibration
  /** Added to the log-odds, before calibration is for sampled rows and after it for all: ln of the share of negatives kept. */
  shift: number
}

function classifierOf(scorer: Scorer, { name, fields, calibration, shift }: Frame): Classifier {
  const isIdentity = calibration.kind === 'platt' && calibration.slope === 1 && calibration.intercept === 0
  // Corrected log-odds; kept within what a double's probability can show as neither 0 nor 1.
  const corrected = (score: number) =>
    Math.max(-MOST_LOG_ODDS, Math.min(MOST_LOG_ODDS, isIdentity ? score + shift : logit(calibrated(calibration, score)) + shift))
  const score = (examples: Examples, out: Float64Array) => {
    checkExamples(examples, fields)
    scorer.score(examples, out)
    for (let row = 0; row < examples.rows; row++) out[row] = corrected(out[row])
  }
  const sigmoid = (logOdds: number) => 1 / (1 + Math.exp(-logOdds))
  return {
    fields,
    calibration,
    additive: scorer.additive,
    probabilityOf: rawLogOdds => sigmoid(corrected(rawLogOdds)),
    predict: (examples, out = new Float64Array(examples.rows)) => {
      score(examples, out)
      for (let row = 0; row < examples.rows; row++) out[row] = sigmoid(out[row])
      return out
    },
    score,
    explain: (examples, row) => {
      checkExamples(examples, fields)
      const parts = scorer.parts(examples, row).filter(({ kind, weight }) => kind === 'bias' || weight !== 0)
      const score = parts.reduce((sum, { weight }) => sum + weight, 0)
      const change = corrected(score) - shift - score
      if (change !== 0) parts.push({ kind: 'calibration', fields: [], weight: change })
      if (shift !== 0) parts.push({ kind: 'sampling', fields: [], weight: shift })
      return parts.sort((a, b) => Math.abs(b.weight) - Math.abs(a.weight))
    },
    ...(scorer.update && {
      update: (batch: Examples) => {
        checkExamples(batch, fields)
        if (batch.labels.length !== batch.rows) throw new RangeError('Rows to learn from need their labels')
        scorer.update?.(batch)
      },
    }),
    save: () => pack(FORMAT, { meta: { name, fields, calibration, shift }, arrays: { scorer: scorer.save() } }),
  }
}

/** Calibration of a scorer that did not see the rows it is calibrated on; the identity where there are too few. */
function heldOut(
  scorers: ScorerAlgorithm,
  learn: (scores: Float64Array, labels: Uint8Array) => Calibration,
  examples: Examples,
  params: Params,
  random: Random,
): Calibration {
  const held = Math.floor(examples.rows * HELD_OUT)
  if (held < LEAST_HELD_OUT) return identity
  const order = Array.from({ length: examples.rows }, (_, row) => row)
  if (!examples.times?.some(time => time > 0)) shuffle(order, random.fork('held-out'))
  const test = chosenRows(examples, order.slice(examples.rows - held))
  const scores = new Float64Array(held)
  scorers
    .fit(
      chosenRows(
        examples,
        order.slice(0, examples.rows - held).sort((a, b) => a - b),
      ),
      params,
      random.fork('calibration'),
    )
    .score(test, scores)
  return learn(scores, test.labels)
}

export function shuffle(values: number[] | Int32Array, random: Random) {
  for (let at = values.length - 1; at > 0; at--) {
    const other = random.below(at + 1)
    const kept = values[at]
    values[at] = values[other]
    values[other] = kept
  }
}

/** All positives and a share of the negatives, drawn at random; predictions of a model taught so are corrected by `negativeShare`. */
export function withFewerNegatives(examples: Examples, share: number, random: Random): Examples {
  if (!(share > 0 && share <= 1)) throw new RangeError(`A share of negatives lies in (0, 1]; this is ${share}`)
  const rows: number[] = []
  for (let row = 0; row < examples.rows; row++) if (examples.labels[row] === 1 || random.next() < share) rows.push(row)
  return { ...chosenRows(examples, rows), negativeShare: shareOf(examples) * share }
}

function shareOf({ negativeShare = 1 }: Examples): number {
  if (!(negativeShare > 0 && negativeShare <= 1)) throw new RangeError(`A share of negatives lies in (0, 1]; this is ${negativeShare}`)
  return negativeShare
}
