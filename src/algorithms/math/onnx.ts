import { createRequire } from 'node:module'
import { availableParallelism } from 'node:os'
import { isMainThread } from 'node:worker_threads'

/** A number of the graph: its name, element type and shape; a letter stands for a size that is known when it runs. */
export interface Value {
  name: string
  type: 'f32' | 'i64'
  shape: readonly (number | string)[]
}

export interface Node {
  op: string
  inputs: readonly string[]
  outputs: readonly string[]
  integers?: Readonly<Record<string, number>>
  floats?: Readonly<Record<string, number>>
}

export interface Graph {
  nodes: readonly Node[]
  inputs: readonly Value[]
  outputs: readonly Value[]
}

export interface Tensor {
  data: Float32Array | BigInt64Array
  shape: readonly number[]
}

export interface Session {
  /** Runs at once, on the runtime's own threads; results are new arrays. */
  run(inputs: Readonly<Record<string, Tensor>>): Record<string, Tensor['data']>
}

/**
 * What the binding takes and gives. The package's own class compares constructors, and refuses arrays of another realm (a test's, say); the binding reads
 * only these properties.
 */
class NativeTensor {
  readonly location = 'cpu'

  constructor(
    readonly type: string,
    readonly data: Tensor['data'],
    readonly dims: readonly number[],
  ) {}
}

interface NativeSession {
  readonly inputMetadata: readonly { name: string }[]
  readonly outputMetadata: readonly { name: string }[]
  loadModel(bytes: ArrayBufferLike, offset: number, length: number, options: object): void
  run(feeds: Record<string, NativeTensor>, fetches: Record<string, NativeTensor | null>, options: object): Record<string, NativeTensor>
}
interface Binding {
  InferenceSession: new () => NativeSession
  initOrtOnce(logLevel: number, tensor: typeof NativeTensor, isMainThread: boolean): void
}

const MOST_THREADS = 8
/** Threads that spin while they wait take the cores from whoever shares the machine, and from each other: asleep they are four times as fast there. */
const OPTIONS = {
  executionMode: 'sequential',
  graphOptimizationLevel: 'basic',
  intraOpNumThreads: Math.min(availableParallelism(), MOST_THREADS),
  extra: { session: { intra_op: { allow_spinning: '0' } } },
}

const ONLY_ERRORS = 3

let native: Binding | null | undefined

/**
 * The native runtime by its synchronous binding: its promise interface would make every `fit` asynchronous and only wraps these same calls.
 * null where the package has no build for the platform: callers fall back to plain loops.
 */
function runtime() {
  if (native !== undefined) return native
  try {
    const require = createRequire(import.meta.url)
    const { binding } = require('onnxruntime-node/dist/binding.js') as { binding: Binding }
    binding.initOrtOnce(ONLY_ERRORS, NativeTensor, isMainThread)
    native = binding
  } catch {
    native = null
  }
  return native
}

function typed({ data, shape }: Tensor): NativeTensor {
  return new NativeTensor(data.BYTES_PER_ELEMENT === 4 ? 'float32' : 'int64', data, shape)
}

/** The graph, ready to run; undefined where there is no native runtime. */
export function createSession(graph: Graph): Session | undefined {
  const loaded = runtime()
  if (!loaded) return undefined
  const bytes = encode(graph)
  const session = new loaded.InferenceSession()
  session.loadModel(bytes.buffer, bytes.byteOffset, bytes.byteLength, OPTIONS)
  return {
    run: inputs => {
      const feeds = Object.fromEntries(Object.entries(inputs).map(([name, tensor]) => [name, typed(tensor)]))
      const fetches = Object.fromEntries(graph.outputs.map(({ name }) => [name, null]))
      const results = session.run(feeds, fetches, {})
      return Object.fromEntries(Object.entries(results).map(([name, { data }]) => [name, ofThisRealm(data)]))
    },
  }
}

/** A model of somebody's own. */
export interface ForeignModel {
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  /** Runs at once; every input is a table of whole numbers. */
  run(inputs: Readonly<Record<string, Tensor>>): Record<string, { data: ArrayLike<number>; shape: readonly number[] }>
}

/** Opens the bytes of an ONNX file. Throws `RangeError` where there is no native runtime or the bytes are no model that it can run. */
export function openModel(bytes: Uint8Array): ForeignModel {
  const loaded = runtime()
  if (!loaded) throw new RangeError('ONNX models cannot run here: there is no native runtime for this platform')
  const session = new loaded.InferenceSession()
  try {
    session.loadModel(bytes.buffer, bytes.byteOffset, bytes.byteLength, OPTIONS)
  } catch (error) {
    throw new RangeError(`These bytes are no ONNX model that can run: ${(error as Error).message}`)
  }
  const [inputs, outputs] = [session.inputMetadata, session.outputMetadata].map(values => values.map(({ name }) => name))
  return {
    inputs,
    outputs,
    run: given => {
      const feeds = Object.fromEntries(Object.entries(given).map(([name, tensor]) => [name, typed(tensor)]))
      const results = session.run(feeds, Object.fromEntries(outputs.map(name => [name, null])), {})
      return Object.fromEntries(
        Object.entries(results).map(([name, { data, dims }]) => [name, { data: data as unknown as ArrayLike<number>, shape: dims }]),
      )
    },
  }
}

/** Results may be arrays of the realm that loaded the binding; a view of the same bytes is one of ours. */
function ofThisRealm({ buffer, byteOffset, length, BYTES_PER_ELEMENT }: Tensor['data']): Tensor['data'] {
  return BYTES_PER_ELEMENT === 4 ? new Float32Array(buffer, byteOffset, length) : new BigInt64Array(buffer, byteOffset, length)
}

const IR_VERSION = 8
const OPSET = 17
const ELEMENT = { f32: 1, i64: 7 } as const

/** ONNX ModelProto in protobuf bytes (onnx.proto3: field numbers in the calls). */
function encode({ nodes, inputs, outputs }: Graph): Uint8Array {
  const graph = [
    ...nodes.flatMap(node => message(1, nodeBytes(node))),
    ...text(2, 'graph'),
    ...inputs.flatMap(value => message(11, valueBytes(value))),
    ...outputs.flatMap(value => message(12, valueBytes(value))),
  ]
  return Uint8Array.from([...integer(1, IR_VERSION), ...message(7, graph), ...message(8, [...text(1, ''), ...integer(2, OPSET)])])
}

function nodeBytes({ op, inputs, outputs, integers = {}, floats = {} }: Node): number[] {
  return [
    ...inputs.flatMap(name => text(1, name)),
    ...outputs.flatMap(name => text(2, name)),
    ...text(4, op),
    ...Object.entries(integers).flatMap(([name, value]) => message(5, [...text(1, name), ...integer(3, value), ...integer(20, 2)])),
    ...Object.entries(floats).flatMap(([name, value]) => message(5, [...text(1, name), ...float(2, value), ...integer(20, 1)])),
  ]
}

function valueBytes({ name, type, shape }: Value): number[] {
  const dimensions = shape.flatMap(size => message(1, typeof size === 'number' ? integer(1, size) : text(2, size)))
  return [...text(1, name), ...message(2, message(1, [...integer(1, ELEMENT[type]), ...message(2, dimensions)]))]
}

function message(field: number, bytes: readonly number[]): number[] {
  return [...varint(field * 8 + 2), ...varint(bytes.length), ...bytes]
}

function text(field: number, value: string): number[] {
  return message(field, [...new TextEncoder().encode(value)])
}

function integer(field: number, value: number): number[] {
  return [...varint(field * 8), ...varint(value)]
}

function float(field: number, value: number): number[] {
  return [...varint(field * 8 + 5), ...new Uint8Array(Float32Array.of(value).buffer)]
}

function varint(value: number): number[] {
  const bytes: number[] = []
  let rest = value
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128)
  return [...bytes, rest]
}
