import { writeFileSync } from 'node:fs'
import { startWorker } from '../jobs/worker.js'
import { seedDemoShop } from '../prisma/seed.js'
import { ensureKeys, type KeyFile } from './admin/key-file.js'
import { type App, createApp } from './app.js'
import { type Config, keysFile, urlFile } from './config.js'
import type { ModelTask } from './platform/generated/prisma/enums.js'
import type { Lifecycle } from './platform/lifecycle.js'
import type { Log } from './platform/log.js'
import { endWithParent, isOneOfServers, tellListening } from './platform/processes.js'

interface Start {
  config: Config
  databaseUrl: string
  log: Log
  lifecycle: Lifecycle
}

/** Longer nobody who has just installed it waits for the address; the baseline answers, and training goes on. */
const FIRST_MODELS_TIMEOUT_MS = 60_000

/** Runs jobs until a signal drains it, or until the process that started it is gone. */
export async function runWorker({ config, databaseUrl, log, lifecycle }: Start): Promise<void> {
  const app = await createApp({ config, databaseUrl, log, role: 'worker' })
  lifecycle.onClose('services', app.close)
  await app.liveModels.start()
  const worker = await startWorker(app)
  lifecycle.onClose('jobs', worker.drain)
  endWithParent(log, lifecycle)
  log.info('worker ready', { jobs: [...app.jobDefinitions.keys()] })
}

interface ServerStart extends Start {
  startedAt: number
  /** Has other processes serve and returns their URL; without it this process serves. */
  serve?(): Promise<string>
}

/** Serves until a signal. `firstModels` waits for the demo's first training, `greet` tells a person where and with which key. */
export async function runServer({ config, databaseUrl, log, lifecycle, startedAt, serve }: ServerStart) {
  const app = await createApp({ config, databaseUrl, log, role: 'server' })
  lifecycle.onClose('services', app.close)
  if (config.embedded) {
    const orphans = await app.jobStore.orphanAll()
    if (orphans > 0) log.info('jobs of a worker that was killed are taken up again', { orphans })
  }
  const isDemo = config.demo && (await loadDemo(app))
  const keys = await ensureKeys(app.apiKeys, keysFile(config))
  const url = await (serve ?? (() => serveHere(app, log, lifecycle)))()
  if (!isOneOfServers) writeFileSync(urlFile(config), `${url}\n`)
  const readyAfter = performance.now() - startedAt
  log.info('server ready', { url, milliseconds: Math.round(readyAfter) })
  return {
    /** The only worker there is has ended: its jobs need not wait until its silence is noticed. */
    workerEnded: () => (config.embedded ? app.jobStore.orphanAll() : Promise.resolve(0)),
    firstModels: () => (isDemo ? firstModels(app).then(() => otherModels(app)) : Promise.resolve()),
    greet: () => process.stdout.write(greeting(config, url, keys, isDemo, readyAfter)),
  }
}

async function serveHere(app: App, log: Log, lifecycle: Lifecycle): Promise<string> {
  await app.liveModels.start()
  const server = await app.createServer()
  const url = await server.listen()
  lifecycle.onClose('server', server.close)
  if (isOneOfServers) endWithParent(log, lifecycle)
  tellListening(url)
  return url
}

async function loadDemo(app: App): Promise<boolean> {
  const say = (text: string) => process.stderr.write(`${text}\n`)
  const outcome = await seedDemoShop(app.database, { seed: app.config.seed, now: new Date(), log: app.log, say })
  return outcome !== 'foreign shop'
}

/** The demo lets its first models act without a person, and says so. */
async function firstModels(app: App): Promise<void> {
  if (app.liveModels.live('RECOMMENDATION')) return
  if ((await app.modelsService.page({ first: 1, task: 'RECOMMENDATION' })).nodes.length > 0) return
  await app.jobs.enqueueOnce('read-reviews', { watch: true }, 'demo')
  process.stderr.write('Training the first models …\n')
  const job =
    (await app.jobs.enqueueOnce(
      'train-models',
      { task: 'RECOMMENDATION', approve: 'Approved by the demo shop: its first models need no person' },
      'demo',
    )) ?? undefined
  const deadline = Date.now() + FIRST_MODELS_TIMEOUT_MS
  while (Date.now() < deadline) {
    const row = job && (await app.jobs.get(job.id))
    if (row?.state === 'FAILED' || row?.state === 'CANCELLED') return void process.stderr.write(`The first training failed: ${row.error}\n`)
    await app.liveModels.look()
    if (row?.state === 'COMPLETED') return void process.stderr.write(`${row.message}\n`)
    // Its message tells of its progress until it ends.
    if (app.liveModels.live('RECOMMENDATION')) return void process.stderr.write('The first models are live\n')
    await new Promise(done => setTimeout(done, 150))
  }
  process.stderr.write('The first models are still being trained; the baseline answers meanwhile\n')
}

/** The other tasks of the demo learn in the background, while a person looks around already. */
async function otherModels(app: App): Promise<void> {
  for (const task of app.tasks.keys()) {
    if (task === 'RECOMMENDATION' || (await app.modelsService.page({ first: 1, task: task as ModelTask })).nodes.length > 0) continue
    await app.jobs.enqueueOnce('train-models', { task, approve: 'Approved by the demo shop: its first models need no person' }, 'demo')
  }
}

function greeting(config: Config, url: string, keys: KeyFile, isDemo: boolean, readyAfter: number): string {
  const user = isDemo ? '(userExternalId: \\"u-000001\\", first: 5)' : '(first: 5)'
  const curl = (key: string, query: string) =>
    `curl -s ${url}/graphql -H 'authorization: Bearer ${key}' -H 'content-type: application/json' -d '{"query":"${query}"}'`
  return `
Bellwether is ready after ${(readyAfter / 1000).toFixed(1)} s.

  Console    ${url}/
  GraphQL    ${url}/graphql${config.introspection ? '   (open it in a browser for the explorer)' : ''}

  Keys (also in ${keysFile(config)})
${Object.entries(keys)
  .map(([kind, key]) => `    ${kind.padEnd(9)} ${key}`)
  .join('\n')}

  Three queries to try:

${curl(keys.marketer, `{ recommendations${user} { servedBy decisionId items { rank score product { externalId title } reasons { text weight } } } }`)}

${curl(keys.marketer, '{ models(first: 5) { nodes { id task algorithm version status metrics baselineMetrics } } }')}

${curl(keys.admin, '{ systemHealth { stage state reason rowsIn rowsOut } }')}

`
}
