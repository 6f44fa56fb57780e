import { AsyncLocalStorage } from 'node:async_hooks'
import { pino } from 'pino'

export type Fields = Record<string, unknown>
type Level = 'debug' | 'info' | 'warn' | 'error'

/** error = someone must act now; warn = we coped; info = a fact of business; debug = for you. */
export type Log = Record<Level, (fact: string, fields?: Fields) => void>

const scope = new AsyncLocalStorage<Fields>()

/** Everything logged inside `work` carries `fields` (jobId). For jobs: requests hand their id on, as every promise inside costs more. */
export function withLogFields<T>(fields: Fields, work: () => T): T {
  return scope.run({ ...scope.getStore(), ...fields }, work)
}

/** JSON lines to standard error, so that standard output stays for what a person asked to see. */
export function createLog(level: string, role: string): Log {
  const logger = pino(
    { level, base: { role, pid: process.pid }, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ dest: 2, sync: true }),
  )
  const write =
    (at: Level) =>
    (fact: string, fields: Fields = {}) => {
      // Asking for the scope costs more than many a request does else.
      if (logger.isLevelEnabled(at)) logger[at]({ ...scope.getStore(), ...fields }, fact)
    }
  return { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') }
}

export const silentLog: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }
