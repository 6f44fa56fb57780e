import { messageOf } from './errors.js'
import type { Log } from './log.js'

export interface Lifecycle {
  /** Steps run last-in, first-out when the process ends. */
  onClose(name: string, close: () => Promise<unknown> | unknown): void
  /** Runs every step once; later calls wait for the first. */
  close(): Promise<void>
  /** SIGINT and SIGTERM close and exit 0; a second SIGINT exits at once. A terminal sends one to child processes too, before their parent's SIGTERM. */
  onSignals(log: Log): void
  readonly isClosing: boolean
}

const STEP_TIMEOUT_MS = 30_000

export function createLifecycle(): Lifecycle {
  const steps: { name: string; close: () => Promise<unknown> | unknown }[] = []
  let closing: Promise<void> | undefined
  let log: Log | undefined
  async function closeAll() {
    for (let step = steps.pop(); step; step = steps.pop()) {
      const { name, close } = step
      let timer: NodeJS.Timeout | undefined
      const late = new Promise<never>((_, failed) => {
        timer = setTimeout(() => failed(new Error('it took too long')), STEP_TIMEOUT_MS)
      })
      try {
        await Promise.race([Promise.resolve(close()), late])
      } catch (error) {
        log?.warn('a part did not close well', { part: name, error: messageOf(error) })
      } finally {
        clearTimeout(timer)
      }
    }
  }
  const lifecycle: Lifecycle = {
    onClose: (name, close) => steps.push({ name, close }),
    close: () => {
      closing ??= closeAll()
      return closing
    },
    onSignals: given => {
      log = given
      let interrupts = 0
      for (const signal of ['SIGINT', 'SIGTERM'] as const) {
        process.on(signal, () => {
          if (signal === 'SIGINT' && ++interrupts > 1) process.exit(130)
          if (closing) return
          given.info('closing', { signal })
          lifecycle.close().then(() => process.exit(0))
        })
      }
    },
    get isClosing() {
      return closing !== undefined
    },
  }
  return lifecycle
}
