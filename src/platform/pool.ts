import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { Piscina } from 'piscina'
import { createBatcher } from './batcher.js'
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
  /**
   * Keeps a thread of its own for what is asked again and again: the task's function is called once there, and returns the function that answers one
   * question. Questions that come while others are answered go there together. A thread that dies is started again, and asked once more.
   */
  keep<Question, Answer>(task: PoolTask): Promise<Kept<Question, Answer>>
  close(): Promise<void>
}

export interface Kept<Question, Answer> {
  ask(question: Question): Promise<Answer>
  /** Waits for what was asked. */
  close(): Promise<void>
}

const IDLE_MS = 10_000
const LANES = 2

export function createPool(threads: number, root: string = process.cwd()): Pool {
  // Threads load compiled files, also when the caller runs from TypeScript (tests).
  const filename = join(root, 'dist/src/platform/pool-worker.js')
  if (!existsSync(filename)) throw new Unavailable(`The compiled code is missing in ${dirname(filename)}; npm run build makes it`)
  let pool: Piscina | undefined
  const own = new Set<Piscina>()
  const start = (options: object) => {
    const threads = new Piscina({ filename, recordTiming: false, ...options })
    // Of a thread that dies while nothing is asked of it: another takes its place.
    return threads.on('error', () => {})
  }
  return {
    run: async <T>(task: PoolTask, signal?: AbortSignal): Promise<{ result: T; seconds: number }> => {
      pool ??= start({ minThreads: 0, maxThreads: threads, idleTimeout: IDLE_MS })
      try {
        return (await pool.run({ ...task, root }, { signal })) as { result: T; seconds: number }
      } catch (error) {
        if (signal?.aborted) throw signal.reason
        throw faultOf(task, error)
      }
    },
    keep: async <Question, Answer>(task: PoolTask): Promise<Kept<Question, Answer>> => {
      // While one batch is answered the next one waits there, not here for a turn of this thread.
      const thread = start({ name: 'ask', minThreads: 1, maxThreads: 1, concurrentTasksPerWorker: LANES, workerData: { ...task, root } })
      own.add(thread)
      let unanswered = 0
      let drained = () => {}
      const close = async () => {
        if (unanswered > 0)
          await new Promise<void>(done => {
            drained = done
          })
        own.delete(thread)
        await thread.close()
      }
      const answers = async (questions: Question[], isAgain = false): Promise<Answer[]> => {
        try {
          return await thread.run(questions)
        } catch (error) {
          if (hasDied(error) && !isAgain) return answers(questions, true)
          throw faultOf(task, error)
        }
      }
      try {
        // What it is to keep is there before anybody asks.
        await answers([])
      } catch (error) {
        await close()
        throw error
      }
      const gathered = createBatcher((questions: Question[]) => answers(questions), { lanes: LANES })
      const ask = async (question: Question): Promise<Answer> => {
        unanswered++
        try {
          return await gathered(question)
        } finally {
          if (--unanswered === 0) drained()
        }
      }
      return { ask, close }
    },
    close: async () => {
      await Promise.all([...own, ...(pool ? [pool] : [])].map(each => each.destroy()))
    },
  }
}

function hasDied(error: unknown): boolean {
  return /ERR_WORKER_OUT_OF_MEMORY|Worker.*(exit|terminated)|memory/i.test(`${(error as { code?: string }).code} ${messageOf(error)}`)
}

function faultOf(task: PoolTask, error: unknown): unknown {
  return hasDied(error) ? new Unavailable(`A worker thread died while it ran ${task.family}.${task.function}: ${messageOf(error)}`) : error
}
