// npm start, npm run server, npm run worker: from the environment to a running process tree, and back to rest on a signal.
import { fork } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { type Config, ConfigError, keysFile, readConfig } from './config.js'
import { holdHome } from './home.js'
import { checkDatabase } from './platform/database.js'
import { startEmbeddedPostgres } from './platform/embedded-postgres.js'
import { DomainError, messageOf } from './platform/errors.js'
import { createLifecycle, type Lifecycle } from './platform/lifecycle.js'
import { createLog, type Log } from './platform/log.js'
import { migrate } from './platform/migrate.js'
import { checkRedis } from './platform/redis.js'

type Role = 'all' | 'server' | 'worker'

const role = (process.argv[2] ?? 'all') as Role
const lifecycle = createLifecycle()
try {
  await run(role, lifecycle)
} catch (error) {
  process.stderr.write(`\n${sentenceOf(error)}\n`)
  await lifecycle.close()
  process.exit(1)
}

async function run(role: Role, lifecycle: Lifecycle) {
  const startedAt = performance.now()
  const config = readConfig(process.env)
  const log = createLog(config.logLevel, role)
  lifecycle.onSignals(log)
  const database = config.databaseUrl ?? embeddedDatabase(config, role, log, lifecycle)
  const roles = import('./roles.js') // while the database starts
  roles.catch(() => {})
  const databaseUrl = await database
  if (config.databaseUrl) await checkDatabase(config.databaseUrl)
  if (config.redisUrl) await checkRedis(config.redisUrl)
  const migrations = await migrate(databaseUrl, process.cwd())
  if (migrations.length > 0) log.info('migrations applied', { migrations })
  const start = await roles
  if (role === 'worker') return start.runWorker({ config, databaseUrl, log, lifecycle })
  const server = await start.runServer({ config, databaseUrl, log, lifecycle, startedAt })
  if (role === 'all') {
    keepWorkerRunning({ databaseUrl, config, log, lifecycle, onEnd: server.workerEnded })
    await server.firstModels()
  }
  server.greet()
}

/** The private PostgreSQL of this home; the process that holds the home also stops it. */
async function embeddedDatabase(config: Config, role: Role, log: Log, lifecycle: Lifecycle): Promise<string> {
  mkdirSync(config.home, { recursive: true })
  const held = role === 'worker' ? false : await holdHome(config.home, log)
  if (held) lifecycle.onClose('home', held.release)
  const onLost = (error: Error) => {
    process.stderr.write(`\n${sentenceOf(error)}\n`)
    void lifecycle.close().then(() => process.exit(1))
  }
  const postgres = await startEmbeddedPostgres({ home: config.home, log, ...(held ? { onLost } : {}) })
  if (postgres.adopted) log.info('took over the database server that was left running')
  if (held) lifecycle.onClose('database server', postgres.stop)
  return postgres.url
}

interface WorkerParts {
  databaseUrl: string
  config: Config
  log: Log
  lifecycle: Lifecycle
  onEnd(): Promise<unknown>
}

/** The worker runs beside the server, so that training never delays an answer; a worker that dies is started again. */
function keepWorkerRunning({ databaseUrl, config, log, lifecycle, onEnd }: WorkerParts) {
  let stopping = false
  let restarts = 0
  let child = start()
  function start() {
    const worker = fork(process.argv[1], ['worker'], {
      env: { ...process.env, DATABASE_URL: databaseUrl, BELLWETHER_DEMO: config.demo ? 'on' : 'off' },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    worker.once('exit', (code, signal) => {
      if (stopping) return
      const delay = Math.min(30_000, 500 * 2 ** restarts++)
      log.warn('the worker ended and is started again', { code, signal, delay })
      void onEnd().catch(() => {})
      setTimeout(() => {
        if (!stopping) child = start()
      }, delay).unref()
    })
    return worker
  }
  lifecycle.onClose('worker', async () => {
    stopping = true
    if (child.exitCode !== null || child.signalCode !== null) return
    const ended = new Promise(done => child.once('exit', done))
    child.kill('SIGTERM')
    const patience = setTimeout(() => child.kill('SIGKILL'), 25_000)
    await ended
    clearTimeout(patience)
  })
}

function sentenceOf(error: unknown): string {
  if (error instanceof ConfigError) return error.faults.join('\n')
  if (error instanceof DomainError) return error.message
  return error instanceof Error ? (error.stack ?? error.message) : messageOf(error)
}

export { keysFile }
