import type { Params } from '../algorithm.js'
import { BrokenArtifact, pack, unpack } from '../artifact.js'
import type { Random } from '../math/random.js'
import type { LabelledTexts, Term, TextAlgorithm, TextClassifier } from './classifier.js'
import { type OnnxFiles, onnxClassifier } from './onnx-classifier.js'

/** Name of the algorithm that learns around a model of somebody's own. */
export const OWN_MODEL = 'onnx'
const FILES = 'onnx-files/1'
const FORMAT = 'onnx-own/1'

/** What a task hands over beside its texts: the packed files, where some are registered. */
export interface TextsAndFiles extends LabelledTexts {
  ownModel?: Uint8Array
}

export function packFiles({ model, tokenizer, tokenizerConfig, labels, maximumTokens }: OnnxFiles): Uint8Array {
  return pack(FILES, { meta: { tokenizer, tokenizerConfig, labels, maximumTokens }, arrays: { model } })
}

/** Throws `BrokenArtifact` on bytes that `packFiles` did not write. */
export function unpackFiles(bytes: Uint8Array): OnnxFiles {
  const { meta, arrays } = unpack(FILES, bytes)
  if (!(arrays.model instanceof Uint8Array) || typeof meta.tokenizer !== 'object' || meta.tokenizer === null)
    throw new BrokenArtifact('The files of a model hold the ONNX bytes and tokenizer.json')
  return { ...(meta as unknown as Omit<OnnxFiles, 'model'>), model: arrays.model }
}

/**
 * Someone's own ONNX model as an algorithm of a text task. What it saves holds the files too, so a model that was approved goes on answering
 * after other files were registered. `fit` throws `RangeError` where none are.
 */
export const ownModel: TextAlgorithm = {
  name: OWN_MODEL,
  defaults: { cost: 1 },
  suits: (data: TextsAndFiles) => data.ownModel !== undefined,
  fit: (data: TextsAndFiles, params: Params, random: Random) => {
    const { ownModel: bytes, ...texts } = data
    if (!bytes) throw new RangeError('No model of your own is registered for this task; npm run model:register does it')
    return new OwnModel(bytes, onnxClassifier(OWN_MODEL, unpackFiles(bytes)).fit(texts, params, random))
  },
  load: artifact => {
    const { arrays } = unpack(FORMAT, artifact)
    const [files, learned] = [arrays.files as Uint8Array, arrays.learned as Uint8Array]
    return new OwnModel(files, onnxClassifier(OWN_MODEL, unpackFiles(files)).load(learned))
  },
}

class OwnModel implements TextClassifier {
  readonly labels: readonly string[]

  constructor(
    private readonly files: Uint8Array,
    private readonly inner: TextClassifier,
  ) {
    this.labels = inner.labels
  }

  classify(text: string): Float64Array {
    return this.inner.classify(text)
  }

  score(text: string, label: number): { score: number; base: number } {
    return this.inner.score(text, label)
  }

  explain(text: string, label: number, limit?: number): Term[] {
    return this.inner.explain(text, label, limit)
  }

  save(): Uint8Array {
    return pack(FORMAT, { meta: {}, arrays: { files: this.files, learned: this.inner.save() } })
  }
}
