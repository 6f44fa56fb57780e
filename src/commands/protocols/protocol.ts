import type { Params } from '../../algorithms/algorithm.js'

/** One method's measurement; metric names are those of docs/benchmarks.md. */
export interface MethodResult {
  protocol: string
  /** Part of a protocol that has several, e.g. "rating" and "top-n". */
  part?: string
  method: string
  metrics: Record<string, number>
  seconds: number
  peakMegabytes: number
  /** What is to be found, on online-retail: "new" items or "all". */
  slot?: string
}

export interface ProtocolOptions {
  /** Folder of the data; the shared one unless given. */
  data?: string
  /** Only these methods. */
  methods?: readonly string[]
  /** Column to be predicted, where the data is the caller's. */
  target?: string
  /** Parameters by method, over the defaults. */
  params?: Readonly<Record<string, Params>>
}

/** A way to measure models, named on the command line. */
export interface Protocol {
  name: string
  about: string
  run(options: ProtocolOptions): AsyncGenerator<MethodResult> | Generator<MethodResult>
}

/** A fault of the data or the call, told in a sentence; exit code 1. */
export class ProtocolError extends Error {}

export interface Method<Input> {
  name: string
  /** Metrics; `searchSeconds` among them, the choice of parameters, is not counted as training. */
  run(input: Input): Record<string, number>
}

/** Runs the chosen methods one after the other, with their wall time and the peak memory while they ran. */
export function* measured<Input>(
  protocol: string,
  methods: readonly Method<Input>[],
  input: Input,
  wanted: readonly string[] | undefined,
  part?: string,
): Generator<MethodResult> {
  const unknown = wanted?.filter(name => !methods.some(each => each.name === name)) ?? []
  if (unknown.length > 0)
    throw new ProtocolError(`${protocol} has no method ${unknown.join(', ')}; there are ${methods.map(each => each.name).join(', ')}`)
  for (const { name, run } of methods) {
    if (wanted && !wanted.includes(name)) continue
    const startedAt = performance.now()
    const metrics = run(input)
    const seconds = (performance.now() - startedAt) / 1000 - (metrics.searchSeconds ?? 0)
    yield { protocol, part, method: name, metrics, seconds, peakMegabytes: Math.round(process.resourceUsage().maxRSS / 1024) }
  }
}
