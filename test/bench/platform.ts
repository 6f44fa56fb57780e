import { spawn } from 'node:child_process'
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import type { ClientKind } from '../../src/graphql/auth.js'
import { startEmbeddedPostgres } from '../../src/platform/embedded-postgres.js'
import { silentLog } from '../../src/platform/log.js'
import { temporaryHome } from '../support/home.js'
import { NODE_OPTIONS_OF_SERVERS } from './bench.js'

export interface Platform {
  url: string
  keys: Record<ClientKind, string>
  /** A connection to the platform's own database, for the peer that writes without the platform. */
  database: pg.Client
  /** Resident memory of server and worker together, in megabytes; the database is not in it. NaN where /proc is absent. */
  residentMegabytes(): number
  stop(): Promise<void>
}

/** The compiled platform as its users start it (server and worker), with an empty shop, over a PostgreSQL with its default safety. */
export async function startPlatform(): Promise<Platform> {
  const home = temporaryHome('bench')
  const postgres = await startEmbeddedPostgres({ home: join(home, 'database'), log: silentLog })
  const child = spawn(process.execPath, [...NODE_OPTIONS_OF_SERVERS, 'dist/bundle/main.js'], {
    env: {
      ...process.env,
      NODE_ENV: 'development',
      PORT: '0',
      DATABASE_URL: postgres.url,
      BELLWETHER_HOME: join(home, 'home'),
      BELLWETHER_DEMO: 'off',
      BELLWETHER_LOG_LEVEL: 'warn',
      BELLWETHER_RATE_LIMIT: '100000000',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const ended = new Promise<void>(done => child.once('exit', () => done()))
  // A benchmark that is broken off leaves nothing running.
  const breakOff = () => {
    child.kill('SIGTERM')
    void postgres.stop().finally(() => process.exit(130))
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, breakOff)
  const database = new pg.Client({ connectionString: postgres.url })
  const stop = async () => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, breakOff)
    child.kill('SIGTERM')
    await ended
    await database.end().catch(() => {})
    await postgres.stop()
    rmSync(home, { recursive: true, force: true })
  }
  let said = ''
  let complaints = ''
  child.stderr.on('data', chunk => {
    complaints = `${complaints}${chunk}`.slice(-4_000)
  })
  try {
    const url = await new Promise<string>((done, failed) => {
      child.stdout.on('data', chunk => {
        said += chunk
        const [, found] = /GraphQL\s+(http\S+)\/graphql/.exec(said) ?? []
        if (found) done(found)
      })
      child.once('exit', () => failed(new Error(`The platform did not start: ${complaints}`)))
    })
    await database.connect()
    const keys = JSON.parse(readFileSync(join(home, 'home', 'keys.json'), 'utf8'))
    return { url, keys, database, residentMegabytes: () => residentMegabytes(child.pid as number), stop }
  } catch (error) {
    await stop()
    throw error
  }
}

function residentMegabytes(root: number): number {
  const parents = new Map<number, number>()
  try {
    for (const name of readdirSync('/proc')) if (/^\d+$/.test(name)) parents.set(Number(name), parentOf(name))
  } catch {
    return Number.NaN
  }
  const isOurs = (pid: number): boolean => pid === root || (pid > 1 && isOurs(parents.get(pid) ?? 0))
  return [...parents.keys()].filter(isOurs).reduce((sum, pid) => sum + residentOf(pid), 0)
}

function parentOf(pid: string): number {
  try {
    return Number(
      readFileSync(`/proc/${pid}/stat`, 'utf8')
        .replace(/^.*\) \S /s, '')
        .split(' ')[0],
    )
  } catch {
    return 0
  }
}

function residentOf(pid: number): number {
  try {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024
  } catch {
    return 0
  }
}
