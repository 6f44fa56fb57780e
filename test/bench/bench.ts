/** One line of the table of docs/benchmarks.md. */
export interface Row {
  benchmark: string
  ours: string
  peer: string
  ratio: string
  bar: string
}

export interface Benchmark {
  name: string
  /** Measures; a smoke run only proves that it works, on little data and without the peer. */
  run(options: { smoke: boolean }): Promise<Row[]>
}

/** Seconds that `work` takes, the median of several rounds. */
export async function medianSeconds(rounds: number, work: () => unknown): Promise<number> {
  const seconds: number[] = []
  for (let round = 0; round < rounds; round++) {
    const startedAt = performance.now()
    await work()
    seconds.push((performance.now() - startedAt) / 1000)
  }
  return median(seconds)
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** Options of Node.js that `npm start` and `npm run server` give: room for what a request leaves behind, so that it is not collected every few requests. */
export const NODE_OPTIONS_OF_SERVERS = ['--max-semi-space-size=64']
