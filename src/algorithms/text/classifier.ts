import type { Algorithm, Learned } from '../algorithm.js'

/** Texts whose labels people (or a rating) gave. Structured-cloneable. */
export interface LabelledTexts {
  texts: readonly string[]
  /** Index into `labelNames` of each text. */
  labels: Int32Array
  labelNames: readonly string[]
  /** Trust in each label, above 0; 1 each unless given. */
  weights?: Float32Array
  /** Milliseconds since the epoch of each text; splits by time where given, by the split hash of the text otherwise. */
  times?: Float64Array
}

/** A part of a text that speaks for a label (weight above 0) or against it. */
export interface Term {
  /** As it stands in the normalised text. */
  text: string
  /** Exact contribution to the label's score, the log-odds before calibration where the model is linear. */
  weight: number
}

/** A learned judge of texts. Every method answers for every string: empty, huge, of any script. */
export interface TextClassifier extends Learned {
  readonly labels: readonly string[]
  /** Calibrated probability of each label; they sum to 1. */
  classify(text: string): Float64Array
  /** The score of a label before calibration: the sum of all its terms' weights and of `base`. */
  score(text: string, label: number): { score: number; base: number }
  /** What speaks for and against `label`, strongest first; at most `limit`, all where there is no limit. */
  explain(text: string, label: number, limit?: number): Term[]
}

export type TextAlgorithm = Algorithm<LabelledTexts, TextClassifier>

/** The likeliest label, ties by index ascending, and its probability. */
export function best(probabilities: ArrayLike<number>): { label: number; confidence: number } {
  let label = 0
  for (let at = 1; at < probabilities.length; at++) if (probabilities[at] > probabilities[label]) label = at
  return { label, confidence: probabilities.length > 0 ? probabilities[label] : 0 }
}

/** Strongest first, ties in order of the text. */
export function strongest(terms: Term[], limit = Number.POSITIVE_INFINITY): Term[] {
  return terms.sort((a, b) => Math.abs(b.weight) - Math.abs(a.weight)).slice(0, limit)
}
