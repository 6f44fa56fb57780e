import { describe, expect, test } from '@jest/globals'
import { BrokenArtifact } from '../../src/algorithms/artifact.js'
import { createRandom } from '../../src/algorithms/math/random.js'
import { type OnnxFiles, onnxClassifier } from '../../src/algorithms/text/onnx-classifier.js'
import { embeddingModel, tokenizer } from '../support/onnx.js'

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
