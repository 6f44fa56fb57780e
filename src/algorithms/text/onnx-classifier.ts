import { Tokenizer } from '@huggingface/tokenizers'
import { BrokenArtifact, pack, unpack } from '../artifact.js'
import { decisions, denseRows, fitLinear, type LinearModel } from '../math/linear.js'
import { type ForeignModel, openModel } from '../math/onnx.js'
import { fnv1a } from '../math/random.js'
import { strongest, type Term, type TextAlgorithm, type TextClassifier } from './classifier.js'
import { inverseTemperature } from './linear-model.js'
import { wordsOf } from './tokens.js'

/** A model of somebody's own, as its files hold it. */
export interface OnnxFiles {
  /** The ONNX file; its inputs are among input_ids, attention_mask and token_type_ids. */
  model: Uint8Array
  /** tokenizer.json, parsed. */
  tokenizer: object
  /** tokenizer_config.json, parsed. */
  tokenizerConfig?: object
  /** Of a classification model: the label of each of its outputs. Without it the model gives sentence embeddings. */
  labels?: readonly string[]
  /** Longer texts are cut; 256 unless given. */
  maximumTokens?: number
}

const FORMAT = 'onnx-text/1'
const FOLDS = 5
const COST = 1
const MOST_TOKENS = 256
const LONGEST_TEXT = 20_000
const MOST_EXPLAINED = 40
const INPUTS = ['input_ids', 'attention_mask', 'token_type_ids']

/**
 * A text algorithm around an ONNX file: of a classification model the temperature is learned (Guo et al. 2017), of an embedding model (mean of the last
 * hidden state over the tokens where it does not pool by itself, length 1) also a logistic regression. What is saved is that alone and a mark of the
 * files, so `load` needs the same files; it refuses others. Throws `RangeError` on files that cannot be used, naming which.
 */
export function onnxClassifier(name: string, files: OnnxFiles): TextAlgorithm {
  const encoder = new Encoder(files)
  return {
    name,
    defaults: { cost: COST },
    fit: ({ texts, labels, labelNames, weights }, { cost = COST }) => {
      const planes = Math.max(2, labelNames.length)
      if (files.labels) {
        const order = labelNames.map(label => files.labels?.indexOf(label) ?? -1)
        const unknown = labelNames.find((_, at) => order[at] < 0)
        if (unknown !== undefined)
          throw new RangeError(`The model of ${name} has no label ${JSON.stringify(unknown)}; it has ${files.labels.join(', ')}`)
        const scores = Float64Array.from(texts.flatMap(text => [...chosen(encoder.encode(text), order, planes)]))
        return new OnnxText(encoder, { labels: labelNames, order, beta: inverseTemperature(scores, labels, planes) })
      }
      const vectors = texts.map(text => encoder.encode(text))
      const rows = denseRows(Float64Array.from(vectors.flatMap(vector => [...vector])), vectors[0]?.length ?? 1)
      const learn = (isLeftOut: (row: number) => boolean) =>
        fitLinear(rows, labels, labelNames.length, {
          loss: 'logistic',
          cost: Number(cost),
          solver: 'newton',
          sampleWeights: texts.map((_, row) => (isLeftOut(row) ? 0 : (weights?.[row] ?? 1))),
        })
      const folds = texts.map(text => fnv1a(`calibration|${text}`) % FOLDS)
      const scores = new Float64Array(texts.length * planes)
      for (let fold = 0; fold < FOLDS; fold++) {
        const decided = twoSided(
          decisions(
            learn(row => folds[row] === fold),
            rows,
          ),
          labelNames.length,
        )
        folds.forEach((own, row) => {
          if (own === fold) scores.set(decided.subarray(row * planes, (row + 1) * planes), row * planes)
        })
      }
      return new OnnxText(encoder, { labels: labelNames, head: learn(() => false), beta: inverseTemperature(scores, labels, planes) })
    },
    load: artifact => {
      const { meta, arrays } = unpack(FORMAT, artifact)
      const { labels, order, beta, digest, columnCount } = meta as {
        labels: string[]
        order?: number[]
        beta: number
        digest: string
        columnCount?: number
      }
      if (digest !== encoder.digest) throw new BrokenArtifact(`The model was learned with other files than those of ${name}`)
      const head =
        columnCount === undefined
          ? undefined
          : {
              classCount: labels.length,
              columnCount,
              weights: arrays.weights as Float64Array,
              intercepts: arrays.intercepts as Float64Array,
              epochs: arrays.epochs as Int32Array,
            }
      return new OnnxText(encoder, { labels, order, head, beta })
    },
  }
}

/** Texts to numbers: logits of a classification model, else an embedding of length 1. */
class Encoder {
  readonly digest: string
  private readonly model: ForeignModel
  private readonly tokenizer: Tokenizer
  private readonly output: string

  constructor(private readonly files: OnnxFiles) {
    this.model = openModel(files.model)
    const foreign = this.model.inputs.find(name => !INPUTS.includes(name))
    if (foreign !== undefined) throw new RangeError(`The ONNX model wants an input ${foreign}; known are ${INPUTS.join(', ')}`)
    try {
      this.tokenizer = new Tokenizer(files.tokenizer, files.tokenizerConfig ?? {})
    } catch (error) {
      throw new RangeError(`tokenizer.json cannot be used: ${(error as Error).message}`)
    }
    const preferred = files.labels ? ['logits'] : ['sentence_embedding', 'pooler_output', 'last_hidden_state']
    this.output = preferred.find(name => this.model.outputs.includes(name)) ?? this.model.outputs[0]
    this.digest = `${digestOf(files.model)}-${fnv1a(JSON.stringify([files.tokenizer, files.tokenizerConfig ?? {}, files.maximumTokens ?? MOST_TOKENS]))}`
  }

  encode(text: string): Float64Array {
    // Words outside a vocabulary without a sign for them have no id.
    const ids = this.tokenizer.encode(text.slice(0, LONGEST_TEXT).toWellFormed()).ids.filter(Number.isInteger)
    const most = this.files.maximumTokens ?? MOST_TOKENS
    // The last token of most models closes the text; it stays when the text is cut.
    const kept = ids.length > most ? [...ids.slice(0, most - 1), ids[ids.length - 1]] : ids.length > 0 ? ids : [0]
    const shape = [1, kept.length]
    const given: Record<string, bigint[]> = {
      input_ids: kept.map(BigInt),
      attention_mask: kept.map(() => 1n),
      token_type_ids: kept.map(() => 0n),
    }
    const { data, shape: size } = this.model.run(
      Object.fromEntries(this.model.inputs.map(name => [name, { data: BigInt64Array.from(given[name]), shape }])),
    )[this.output]
    const width = size[size.length - 1]
    const out = new Float64Array(width)
    const tokens = data.length / width
    if (this.files.labels && (tokens !== 1 || width !== this.files.labels.length))
      throw new RangeError(`The ONNX model gives ${size.join(' × ')} numbers for one text; there are ${this.files.labels.length} labels`)
    for (let at = 0; at < data.length; at++) out[at % width] += Number(data[at]) / tokens
    if (this.files.labels) return out
    const length = Math.sqrt(out.reduce((sum, value) => sum + value * value, 0))
    return length > 0 ? out.map(value => value / length) : out
  }
}

interface Learned {
  labels: readonly string[]
  /** Of a classification model: which of its outputs each label is. */
  order?: readonly number[]
  /** Of an embedding model. */
  head?: LinearModel
  beta: number
}

class OnnxText implements TextClassifier {
  readonly labels: readonly string[]

  constructor(
    private readonly encoder: Encoder,
    private readonly learned: Learned,
  ) {
    this.labels = learned.labels
  }

  classify(text: string): Float64Array {
    const scores = this.scoresOf(text)
    const most = scores.reduce((larger, score) => Math.max(larger, score), Number.NEGATIVE_INFINITY)
    const weights = scores.map(score => Math.exp(this.learned.beta * (score - most)))
    const total = weights.reduce((sum, weight) => sum + weight, 0)
    return weights.map(weight => weight / total).slice(0, this.labels.length)
  }

  score(text: string, label: number): { score: number; base: number } {
    const base = this.scoresOf('')[label]
    return { score: this.scoresOf(text)[label], base }
  }

  /** By leaving each word out: such a model has no exact contributions. The first 40 words are tried. */
  explain(text: string, label: number, limit?: number): Term[] {
    const score = this.scoresOf(text)[label]
    let cursor = 0
    const terms = wordsOf(text.slice(0, LONGEST_TEXT))
      .slice(0, MOST_EXPLAINED)
      .map((word): Term => {
        const start = text.indexOf(word, cursor)
        cursor = start + word.length
        return { text: word, weight: score - this.scoresOf(text.slice(0, start) + text.slice(cursor))[label] }
      })
    return strongest(terms, limit)
  }

  save(): Uint8Array {
    const { labels, order, head, beta } = this.learned
    const meta = { labels, order, beta, digest: this.encoder.digest, columnCount: head?.columnCount }
    return pack(FORMAT, { meta, arrays: head ? { weights: head.weights, intercepts: head.intercepts, epochs: head.epochs } : {} })
  }

  private scoresOf(text: string): Float64Array {
    const { order, head, labels } = this.learned
    const vector = this.encoder.encode(text)
    if (order) return chosen(vector, order, labels.length)
    if (!head) throw new RangeError('The model has neither labels nor a head')
    return twoSided(decisions(head, denseRows(vector, vector.length)), labels.length)
  }
}

function chosen(scores: Float64Array, order: readonly number[], planes: number): Float64Array {
  return Float64Array.from({ length: Math.max(planes, order.length) }, (_, at) => scores[order[at]] ?? 0)
}

/** One plane for two labels becomes two scores. */
function twoSided(decided: Float64Array, labels: number): Float64Array {
  return labels > 2
    ? decided
    : Float64Array.from({ length: 2 * decided.length }, (_, at) => (at % 2 === 0 ? -decided[at >> 1] : decided[at >> 1]) / 2)
}

function digestOf(bytes: Uint8Array): string {
  let [a, b] = [0x811c9dc5, bytes.length | 0]
  for (const byte of bytes) {
    a = Math.imul(a ^ byte, 0x01000193)
    b = Math.imul(b + byte, 0x9e3779b1) ^ (b >>> 15)
  }
  return `${(a >>> 0).toString(16)}${(b >>> 0).toString(16)}`
}
