// npm start, npm run server, npm run worker: from the environment to a running process tree, and back to rest on a signal.
import { fork } from 'node:child_process'
import { accessSync, constants, mkdirSync } from 'node:fs'
import { type Config, ConfigError, keysFile, readConfig } from './config.js'
import { holdHome } from './home.js'
import { checkDatabase } from './platform/database.js'
import { startEmbeddedPostgres } from './platform/embedded-postgres.js'
import { DomainError, messageOf, Unavailable } from './platform/errors.js'
import { createLifecycle, type Lifecycle } from './platform/lifecycle.js'
import { createLog, type Log } from './platform/log.js'
import { migrate } from './platform/migrate.js'
import { isOneOfServers, keepRunning, startServers } from './platform/processes.js'
import { checkRedis } from './platform/redis.js'

type Role = 'all' | 'server' | 'worker'

const role = (process.argv[2] ?? 'all') as Role
const lifecycle = createLifecycle()
try {
  await run(role, lifecycle)
} catch (error) {
  // A start that is told to end loses its parts one after the other; whoever told it so exits.
  if (!lifecycle.isClosing) process.stderr.write(`\n${sentenceOf(error)}\n`)
  const code = lifecycle.isClosing ? 0 : 1
  await lifecycle.close()
  process.exit(code)
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
  const migrations = await migrate(databaseUrl, process.cwd()).catch(error => {
    throw config.databaseUrl && error instanceof DomainError ? new Unavailable(`DATABASE_URL: ${error.message}`) : error
  })
  if (migrations.length > 0) log.info('migrations applied', { migrations })
  const start = await roles
  if (role === 'worker') return start.runWorker({ config, databaseUrl, log, lifecycle })
  const env = { ...process.env, DATABASE_URL: databaseUrl }
  const isSplit = config.servers > 1 && !isOneOfServers
  const serve = isSplit ? () => startServers({ count: config.servers, env: { ...env, BELLWETHER_DEMO: 'off' }, log, lifecycle }) : undefined
  const server = await start.runServer({ config, databaseUrl, log, lifecycle, startedAt, serve })
  if (isOneOfServers) return
  if (role === 'all') {
    // Training beside the server never delays an answer.
    const start = () =>
      fork(process.argv[1], ['worker'], {
        execArgv: process.execArgv.filter(option => !isForServing(option)),
        env: { ...env, BELLWETHER_DEMO: config.demo ? 'on' : 'off' },
        stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      })
    keepRunning({ name: 'worker', start, log, lifecycle, onEnd: server.workerEnded })
    await server.firstModels()
  }
  server.greet()
}

/** The private PostgreSQL of this home; the process that holds the home also stops it. */
async function embeddedDatabase(config: Config, role: Role, log: Log, lifecycle: Lifecycle): Promise<string> {
  makeHome(config.home)
  const held = role === 'worker' ? false : await holdHome(config.home, log)
  if (held) lifecycle.onClose('home', held.release)
  const onLost = (error: Error) => {
    process.stderr.write(`\n${sentenceOf(error)}\n`)
    void lifecycle.close().then(() => process.exit(1))
  }
  const starting = startEmbeddedPostgres({ home: config.home, log, ...(held ? { onLost } : {}) })
  // Before it has started, so that a signal meanwhile leaves no server behind.
  if (held) lifecycle.onClose('database server', () => starting.then(postgres => postgres.stop()).catch(() => {}))
  const postgres = await starting
  if (postgres.adopted) log.info('took over the database server that was left running')
  return postgres.url
}

/** Room for what many small requests leave behind would only let a worker's memory swing by hundreds of megabytes. */
function isForServing(option: string): boolean {
  return option.startsWith('--max-semi-space-size')
}

function makeHome(home: string) {
  try {
    mkdirSync(home, { recursive: true })
    accessSync(home, constants.W_OK)
  } catch (error) {
    throw new Unavailable(`BELLWETHER_HOME ${home} is no folder that can be written to: ${messageOf(error)}`)
  }
}

function sentenceOf(error: unknown): string {
  if (error instanceof ConfigError) return error.faults.join('\n')
  if (error instanceof DomainError) return error.message
  return error instanceof Error ? (error.stack ?? error.message) : messageOf(error)
}

export { keysFile }
