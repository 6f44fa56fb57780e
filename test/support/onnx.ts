const WORDS = ['[UNK]', 'good', 'great', 'bad', 'awful', 'parcel', 'the']
/** A tokenizer of seven words, as tokenizer.json. */
export const tokenizer = {
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
export function embeddingModel(vectors: number[][], isPooled: boolean, output: string): Uint8Array {
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
