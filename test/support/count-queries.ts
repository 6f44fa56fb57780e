import { AsyncLocalStorage } from 'node:async_hooks'
import pg from 'pg'

/** Set within what a timer started: what an app looks up by the clock, whoever asks for something at that moment. */
const byTheClock = new AsyncLocalStorage<true>()

/** The timers of this test file, those of the app that it starts included; the promises that are awaited inside keep the mark. */
for (const name of ['setInterval', 'setTimeout'] as const) {
  const start = globalThis[name] as (work: (...args: unknown[]) => unknown, ...rest: unknown[]) => unknown
  const marked = (work: (...args: unknown[]) => unknown, ...rest: unknown[]) =>
    start((...args) => byTheClock.run(true, () => work(...args)), ...rest)
  globalThis[name] = Object.defineProperties(marked, Object.getOwnPropertyDescriptors(start)) as never
}

type Query = (this: pg.Client, ...args: unknown[]) => unknown

/** The SQL statements that every connection of this test file sends while `work` runs, Prisma's included; those by the clock are left out. */
export async function statementsOf(work: () => Promise<unknown>): Promise<string[]> {
  const prototype = pg.Client.prototype as unknown as { query: Query }
  const { query } = prototype
  const statements: string[] = []
  prototype.query = function (...args) {
    const [first] = args as [string | { text?: string }]
    if (!byTheClock.getStore()) statements.push(typeof first === 'string' ? first : (first?.text ?? ''))
    return query.apply(this, args)
  }
  try {
    await work()
  } finally {
    prototype.query = query
  }
  return statements
}

export async function countQueries(work: () => Promise<unknown>): Promise<number> {
  return (await statementsOf(work)).length
}
