import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { Piscina } from 'piscina'
import { messageOf, Unavailable } from './errors.js'

/** CPU-bound work for a worker thread: a function that `src/algorithms/<family>/index.ts` exports, and its arguments (structured-cloneable). */
export interface PoolTask {
  family: string
  function: string
  args: readonly unknown[]
}

export interface Pool {
  /** Runs the task in a thread and says how long it took there; aborts with the signal. A thread that dies rejects with `Unavailable`. */
  run<T>(task: PoolTask, signal?: AbortSignal): Promise<{ result: T; seconds: number }>
  close(): Promise<void>
}

const IDLE_MS = 10_000

export function createPool(threads: number, root: string = process.cwd()): Pool {
  // Threads load compiled files, also when the caller runs from TypeScript (tests).
  const filename = join(root, 'dist/src/platform/pool-worker.js')
  if (!existsSync(filename)) throw new Unavailable(`The compiled code is missing in ${dirname(filename)}; npm run build makes it`)
  let pool: Piscina | undefined
  return {
    run: async <T>(task: PoolTask, signal?: AbortSignal): Promise<{ result: T; seconds: number }> => {
      pool ??= new Piscina({ filename, minThreads: 0, maxThreads: threads, idleTimeout: IDLE_MS, recordTiming: false })
      try {
        return (await pool.run({ ...task, root }, { signal })) as { result: T; seconds: number }
      } catch (error) {
        if (signal?.aborted) throw signal.reason
        const died = /ERR_WORKER_OUT_OF_MEMORY|Worker.*(exit|terminated)|memory/i.test(
          `${(error as { code?: string }).code} ${messageOf(error)}`,
        )
        throw died ? new Unavailable(`A worker thread died while it ran ${task.family}.${task.function}: ${messageOf(error)}`) : error
      }
    },
    close: async () => {
      await pool?.destroy()
    },
  }
}
