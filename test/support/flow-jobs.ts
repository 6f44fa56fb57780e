import { z } from 'zod'
import { type Database, openDatabase } from '../../src/platform/database.js'
import { InvalidInput } from '../../src/platform/errors.js'
import { checkDefinitions } from '../../src/platform/job-runner.js'
import { cut, defineJob, type JobDefinition } from '../../src/platform/jobs.js'
import { silentLog } from '../../src/platform/log.js'

export interface FlowWorld {
  database: Pick<Database, 'sql' | 'withClient'>
}

/** Two tables that tell whether anything was done twice: the second visit of a number breaks the primary key. */
export async function createFlowTables(database: Pick<Database, 'sql'>) {
  await database.sql('CREATE TABLE IF NOT EXISTS flow_visit (n int PRIMARY KEY)')
  await database.sql('CREATE TABLE IF NOT EXISTS flow_merge (job text PRIMARY KEY)')
}

/** Visits all numbers below `total` in parts. */
const survey = defineJob<FlowWorld, { total: number; parts: number; poison?: number; nested?: boolean }>({
  name: 'survey',
  lane: 'heavy',
  payload: z.object({ total: z.number(), parts: z.number(), poison: z.number().optional(), nested: z.boolean().optional() }),
  run: async (_, { total, parts, poison, nested }) => {
    const size = total / parts
    return cut(
      Array.from({ length: parts }, (_, part) => {
        const [from, to] = [part * size, (part + 1) * size]
        return nested
          ? { job: 'survey-region', payload: { from, to } }
          : { job: 'survey-range', payload: { from, to, poison: part === poison } }
      }),
    )
  },
  merge: async ({ database }, _, parts, { jobId, hold }) => {
    await inTransaction(database, hold, sql => sql('INSERT INTO flow_merge VALUES ($1)', [jobId]))
    const sum = parts.reduce((sum, { result }) => sum + Number(result?.sum), 0)
    return { message: `merged ${parts.length} parts`, result: { sum, order: parts.map(({ part }) => part) } }
  },
})

/** A part that is itself cut. */
const region = defineJob<FlowWorld, { from: number; to: number }>({
  name: 'survey-region',
  lane: 'quick',
  payload: z.object({ from: z.number(), to: z.number() }),
  run: async (_, { from, to }) =>
    cut([from, (from + to) / 2].map(start => ({ job: 'survey-range', payload: { from: start, to: start + (to - from) / 2 } }))),
  merge: async (_, __, parts) => ({
    message: 'merged a region',
    result: { sum: parts.reduce((sum, { result }) => sum + Number(result?.sum), 0) },
  }),
})

/** Goes on by state: numbers that were visited are not visited again, and an attempt that was overtaken is refused inside its transaction. */
const range = defineJob<FlowWorld, { from: number; to: number; poison?: boolean }>({
  name: 'survey-range',
  lane: 'heavy',
  payload: z.object({ from: z.number(), to: z.number(), poison: z.boolean().optional() }),
  run: async ({ database }, { from, to, poison }, { hold, progress }) => {
    if (poison) throw new InvalidInput('this range is off the map')
    for (;;) {
      const next = await inTransaction(database, hold, async sql => {
        const [{ n }] = (await sql('SELECT COALESCE(max(n) + 1, $1)::int AS n FROM flow_visit WHERE n >= $1 AND n < $2', [from, to])) as [
          { n: number },
        ]
        if (n < to) await sql('INSERT INTO flow_visit SELECT $1 FROM pg_sleep(0.004)', [n])
        return n
      })
      if (next >= to) break
      await progress((next + 1 - from) / (to - from))
    }
    return { message: `visited ${from} to ${to}`, result: { sum: ((from + to - 1) * (to - from)) / 2 } }
  },
})

/** Copes with parts that fail. */
const poll = defineJob<FlowWorld, { parts: number; poison: number }>({
  name: 'poll',
  lane: 'quick',
  payload: z.object({ parts: z.number(), poison: z.number() }),
  partsMayFail: true,
  run: async (_, { parts, poison }) =>
    cut(Array.from({ length: parts }, (_, part) => ({ job: 'survey-range', payload: { from: 0, to: 0, poison: part === poison } }))),
  merge: async (_, __, parts) => `states: ${parts.map(({ state }) => state).join(' ')}`,
})

export const flowDefinitions = checkDefinitions<FlowWorld>([survey, region, range, poll] as unknown as JobDefinition<FlowWorld>[])

type Sql = (text: string, params: unknown[]) => Promise<object[]>

async function inTransaction<T>(
  database: FlowWorld['database'],
  hold: (sql: Sql) => Promise<void>,
  work: (sql: Sql) => Promise<T>,
): Promise<T> {
  return database.withClient(async client => {
    const sql: Sql = async (text, params) => (await client.query(text, params)).rows
    await client.query('BEGIN')
    try {
      await hold(sql)
      const answer = await work(sql)
      await client.query('COMMIT')
      return answer
    } catch (error) {
      await client.query('ROLLBACK')
      throw error
    }
  })
}

export function openFlowDatabase(url: string): Database {
  return openDatabase(url, silentLog, 10)
}
