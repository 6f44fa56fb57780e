import { describe, expect, test } from '@jest/globals'
import { BrokenArtifact } from '../../src/algorithms/artifact.js'
import { createRandom } from '../../src/algorithms/math/random.js'
import { type OnnxFiles, onnxClassifier } from '../../src/algorithms/text/onnx-classifier.js'

const WORDS = ['[UNK]', 'good', 'great', 'bad', 'awful', 'parcel', 'the']
const tokenizer = {
  version: '1.0',
  truncation: null,
  padding: null,
  added_tokens: [],
  normalizer: { type: 'Lowercase' },
  pre_tokenizer: { type: 'Whitespace' },
  post_processor: null,
  decoder: null,
  model: { type: 'WordLevel', vocab: Object.fromEntries(WORDS.map((word, at) => [word, at])), unk_token: '[UNK]' },
}

// ONNX in protobuf bytes (onnx.proto3).
const varint = (value: number): number[] => (value > 127 ? [(value % 128) + 128, ...varint(Math.floor(value / 128))] : [value])
const message = (field: number, bytes: number[]) => [...varint(field * 8 + 2), ...varint(bytes.length), ...bytes]
const text = (field: number, value: string) => message(field, [...new TextEncoder().encode(value)])
const integer = (field: number, value: number) => [...varint(field * 8), ...varint(value)]
const typed = (name: string, type: number, shape: (number | string)[]) => [
  ...text(1, name),
  ...message(
    2,
    message(1, [
      ...integer(1, type),
      ...message(
        2,
        shape.flatMap(size => message(1, typeof size === 'number' ? integer(1, size) : text(2, size))),
      ),
    ]),
  ),
]

/** A table of word vectors, looked up: [1, tokens, width]; with `isPooled` their sum over the tokens: [1, width]. */
function embeddingModel(vectors: number[][], isPooled: boolean, output: string): Uint8Array {
  const width = vectors[0].length
  const raw = [...new Uint8Array(Float32Array.from(vectors.flat()).buffer)]
  const table = [...integer(1, vectors.length), ...integer(1, width), ...integer(2, 1), ...text(8, 'table'), ...message(9, raw)]
  const axes = [...integer(1, 1), ...integer(2, 7), ...text(8, 'axes'), ...message(9, [1, 0, 0, 0, 0, 0, 0, 0])]
  const gather = [...text(1, 'table'), ...text(1, 'input_ids'), ...text(2, isPooled ? 'words' : output), ...text(4, 'Gather')]
  const sum = [
    ...text(1, 'words'),
    ...text(1, 'axes'),
    ...text(2, output),
    ...text(4, 'ReduceSum'),
    ...message(5, [...text(1, 'keepdims'), ...integer(3, 0), ...integer(20, 2)]),
  ]
  const graph = [
    ...message(1, gather),
    ...(isPooled ? message(1, sum) : []),
    ...text(2, 'graph'),
    ...message(5, table),
    ...(isPooled ? message(5, axes) : []),
    ...message(11, typed('input_ids', 7, ['batch', 'tokens'])),
    ...message(12, typed(output, 1, isPooled ? ['batch', width] : ['batch', 'tokens', width])),
  ]
  return Uint8Array.from([...integer(1, 8), ...message(7, graph), ...message(8, [...text(1, ''), ...integer(2, 17)])])
}

const VECTORS = [
  [0, 0],
  [2, 0.1],
  [1.5, -0.1],
  [-2, 0.1],
  [-1.5, 0],
  [0, 1],
  [0, 0.1],
]
const classification: OnnxFiles = {
  model: embeddingModel(
    VECTORS.map(([x]) => [-x, x]),
    true,
    'logits',
  ),
  tokenizer,
  labels: ['negative', 'positive'],
}
const embedding: OnnxFiles = { model: embeddingModel(VECTORS, false, 'last_hidden_state'), tokenizer }
const data = {
  texts: ['good parcel', 'the great parcel', 'bad parcel', 'the awful parcel', 'good', 'bad', 'great', 'awful'],
  labels: Int32Array.of(1, 1, 0, 0, 1, 0, 1, 0),
  labelNames: ['negative', 'positive'],
}

describe.each([
  ['classification', classification],
  ['embedding', embedding],
] as const)("a model of somebody's own, %s", (name, files) => {
  const algorithm = onnxClassifier(name, files)
  const model = algorithm.fit(data, {}, createRandom(1))

  test('judges texts that it has not seen', () => {
    expect(model.classify('the parcel the good')[1]).toBeGreaterThan(0.5)
    expect(model.classify('awful bad parcel')[0]).toBeGreaterThan(0.5)
    expect(model.explain('the good parcel', 1, 1)[0].text).toBe('good')
  })
  test('is the same after saving; refuses cut bytes and those of other files', () => {
    const bytes = model.save()
    for (const text of ['good', 'unknown words', '']) expect(algorithm.load(bytes).classify(text)).toEqual(model.classify(text))
    expect(() => algorithm.load(bytes.slice(0, 20))).toThrow(BrokenArtifact)
    const other = onnxClassifier('other', { ...files, maximumTokens: 8 })
    expect(() => other.load(bytes)).toThrow(/other files/)
  })
  test.each(['', '🙂', '你好', 'good '.repeat(200_000), '\ud800', '<script>', '\u202e'])('answers for hostile text %#', text => {
    expect(model.classify(text).reduce((sum, each) => sum + each, 0)).toBeCloseTo(1, 9)
  })
})

test('files that cannot be used are named', () => {
  expect(() => onnxClassifier('x', { ...embedding, model: new Uint8Array([1, 2, 3]) })).toThrow(/no ONNX model/)
  expect(() => onnxClassifier('x', { ...embedding, tokenizer: {} })).toThrow(/tokenizer.json/)
  expect(() => onnxClassifier('x', classification).fit({ ...data, labelNames: ['negative', 'furious'] }, {}, createRandom(1))).toThrow(
    /furious/,
  )
})
