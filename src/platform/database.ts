import { PrismaPg } from '@prisma/adapter-pg'
import pg from 'pg'
import { messageOf, Unavailable } from './errors.js'
import { Prisma, PrismaClient } from './generated/prisma/client.js'
import type { Log } from './log.js'

/** bigint columns (event ids, micros, counts) arrive as BigInt in plain SQL, as they do in Prisma, whose own parsing is left alone. */
const types: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') =>
    oid === pg.types.builtins.INT8 ? BigInt : pg.types.getTypeParser(oid, format)) as pg.CustomTypesConfig['getTypeParser'],
}

export type Transaction = Prisma.TransactionClient

/** The two ways to the one PostgreSQL: Prisma for rules over few rows, plain SQL (prepared, or COPY) for many. */
export interface Database {
  readonly url: string
  readonly prisma: PrismaClient
  readonly pool: pg.Pool
  /** Runs one SQL statement with positional parameters; a `name` makes it a prepared statement. */
  sql<Row extends object>(text: string, params?: unknown[], name?: string): Promise<Row[]>
  /** A dedicated connection for COPY, LISTEN or a long transaction; it is closed when `work` ends. */
  withClient<T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T>
  /** A short transaction, repeated up to five times with jitter when it loses against another one. */
  transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T>
  /**
   * Runs `work` over a database of which nothing stays: one connection, in a transaction that is taken back. What it writes it also reads; transactions inside
   * become savepoints.
   */
  rehearse<T>(work: (dry: SqlDatabase) => Promise<T>): Promise<T>
  close(): Promise<void>
}

/** All of it that is plain SQL. */
export type SqlDatabase = Pick<Database, 'sql' | 'withClient' | 'rehearse'>

const CONFLICTS = new Set(['P2034', '40001', '40P01'])
const TRIES = 5

export function openDatabase(url: string, log: Log, connections = 20): Database {
  const pool = new pg.Pool({
    connectionString: url,
    max: connections,
    connectionTimeoutMillis: 5_000,
    // A new connection costs a derived key and the plans of all prepared statements; the default of ten seconds would throw them away between two bursts.
    idleTimeoutMillis: 300_000,
    statement_timeout: 60_000,
    idle_in_transaction_session_timeout: 30_000,
    application_name: 'bellwether',
  })
  pool.on('error', error => log.warn('an idle database connection was lost', { error: error.message }))
  const prisma = new PrismaClient({
    adapter: new PrismaPg(pool, { disposeExternalPool: false }),
    transactionOptions: { maxWait: 5_000, timeout: 15_000 },
  })
  const database: Database = {
    url,
    prisma,
    pool,
    sql: async <Row extends object>(text: string, params: unknown[] = [], name?: string) =>
      (await pool.query<Row>({ text, values: params, name, types })).rows,
    withClient: async work => {
      const client = await pool.connect()
      let fault: Error | undefined
      // A connection that breaks also fails the statement under way, which tells the caller; without a listener it would end the process.
      const lost = (error: Error) => {
        fault = error
      }
      client.on('error', lost)
      try {
        return await work(client)
      } catch (error) {
        fault = error as Error
        throw error
      } finally {
        client.off('error', lost)
        client.release(fault)
      }
    },
    rehearse: work => database.withClient(client => rehearsal(client, work)),
    transaction: work => withRetry(() => prisma.$transaction(work)),
    close: async () => {
      await prisma.$disconnect()
      await pool.end()
    },
  }
  return database
}

async function rehearsal<T>(client: pg.PoolClient, work: (dry: SqlDatabase) => Promise<T>): Promise<T> {
  const inner = new Proxy(client, {
    get: (target, name) => {
      if (name !== 'query') return Reflect.get(target, name, target)
      return (text: unknown, ...rest: unknown[]) => target.query((SAVEPOINTS[String(text)] ?? text) as string, ...(rest as [unknown[]]))
    },
  })
  const dry: SqlDatabase = {
    sql: async <Row extends object>(text: string, params: unknown[] = [], name?: string) =>
      (await client.query<Row>({ text, values: params, name, types })).rows,
    withClient: inside => inside(inner),
    rehearse: inside => inside(dry),
  }
  await client.query('BEGIN')
  try {
    return await work(dry)
  } finally {
    await client.query('ROLLBACK')
  }
}

const SAVEPOINTS: Record<string, string> = {
  BEGIN: 'SAVEPOINT inside',
  COMMIT: 'RELEASE SAVEPOINT inside',
  ROLLBACK: 'ROLLBACK TO SAVEPOINT inside',
}

/** Repeats `work` when PostgreSQL says that it lost against a concurrent transaction. */
export async function withRetry<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work()
    } catch (error) {
      if (attempt === TRIES || !CONFLICTS.has(codeOf(error) ?? '')) throw error
      await new Promise(done => setTimeout(done, 2 ** attempt * 5 * (0.5 + Math.random())))
    }
  }
}

/** Checks that a configured database can be reached and is new enough; the sentence names the variable. */
export async function checkDatabase(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 })
  client.on('error', () => {})
  try {
    await client.connect()
    const { rows } = await client.query('SHOW server_version_num')
    if (Number(rows[0].server_version_num) < 140_000) throw new Unavailable('DATABASE_URL leads to a PostgreSQL older than 14')
  } catch (error) {
    if (error instanceof Unavailable) throw error
    throw new Unavailable(`DATABASE_URL does not lead to a usable PostgreSQL: ${messageOf(error) || codeOf(error)}`)
  } finally {
    await client.end().catch(() => {})
  }
}

/** SQLSTATE or Prisma code of a database error, if it has one. */
export function codeOf(error: unknown): string | undefined {
  const { code } = (error ?? {}) as { code?: unknown }
  return typeof code === 'string' ? code : undefined
}

/** SQLSTATE of faults that are nobody's input, and what a caller should know of them. Each of them rolled its statement back. */
const FAULTS: Record<string, string> = {
  '53100': 'The database has no space left on its disk; nothing of this was stored. Make room and send it again',
  '53200': 'The database is out of memory; nothing of this was stored. Send it again',
  '53300': 'The database takes no more connections; nothing of this was stored. Send it again',
  '57P01': 'The database is shutting down; nothing of this was stored. Send it again',
  '57P03': 'The database is starting; nothing of this was stored. Send it again',
  ECONNREFUSED: 'The database cannot be reached; nothing of this was stored. Send it again',
}

/** A database error that a caller can do something about, as `Unavailable`; undefined for all others. */
export function knownFault(error: unknown): Unavailable | undefined {
  const state = sqlStateOf(error)
  const sentence = state === undefined ? undefined : FAULTS[state]
  return sentence === undefined ? undefined : new Unavailable(sentence)
}

/** Prisma keeps the driver's code inside. */
function sqlStateOf(error: unknown, depth = 0): string | undefined {
  const { code, cause, originalCode, meta } = (error ?? {}) as {
    code?: unknown
    cause?: unknown
    originalCode?: unknown
    meta?: { driverAdapterError?: unknown }
  }
  for (const each of [originalCode, code]) if (typeof each === 'string' && Object.hasOwn(FAULTS, each)) return each
  if (depth > 4) return undefined
  return (
    (cause ? sqlStateOf(cause, depth + 1) : undefined) ??
    (meta?.driverAdapterError ? sqlStateOf(meta.driverAdapterError, depth + 1) : undefined)
  )
}
