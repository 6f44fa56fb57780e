import type { ChildProcess } from 'node:child_process'
import cluster, { type Worker } from 'node:cluster'
import { AggregatorRegistry, type MetricObject, type Registry } from 'prom-client'
import { Unavailable } from './errors.js'
import type { Lifecycle } from './lifecycle.js'
import type { Log } from './log.js'

interface Keeping {
  name: string
  start(): ChildProcess
  log: Log
  lifecycle: Lifecycle
  /** Told before it is started again. */
  onEnd?(): Promise<unknown>
}

/** Between a server process and the one that started it. */
interface Message {
  listening?: string
  /** A process asks for the metrics of all; the answer carries the same id. */
  scrape?: number
  scraped?: string
  /** The first process asks for the metrics of one. */
  observe?: number
  observed?: MetricObject[]
}

const LONGEST_DELAY_MS = 30_000
const PATIENCE_MS = 25_000
const SCRAPE_TIMEOUT_MS = 5_000

/** Keeps a process running beside this one: whenever it ends it is started again, ever later while it keeps ending, until the platform closes. */
export function keepRunning({ name, start, log, lifecycle, onEnd }: Keeping): ChildProcess {
  let stopping = false
  let restarts = 0
  const run = () => {
    const child = start()
    child.once('exit', (code, signal) => {
      if (stopping) return
      const delay = Math.min(LONGEST_DELAY_MS, 500 * 2 ** restarts++)
      log.warn(`the ${name} ended and is started again`, { code, signal, delay })
      void onEnd?.().catch(() => {})
      setTimeout(() => {
        if (!stopping) current = run()
      }, delay).unref()
    })
    return child
  }
  let current = run()
  lifecycle.onClose(name, async () => {
    stopping = true
    if (current.exitCode !== null || current.signalCode !== null) return
    const ended = new Promise(done => current.once('exit', done))
    current.kill('SIGTERM')
    const patience = setTimeout(() => current.kill('SIGKILL'), PATIENCE_MS)
    await ended
    clearTimeout(patience)
  })
  return current
}

/** Closes a process whose parent is gone. */
export function endWithParent(log: Log, lifecycle: Lifecycle) {
  process.once('disconnect', () => {
    log.warn('the process that started this one is gone, it closes')
    void lifecycle.close().then(() => process.exit(0))
  })
}

/**
 * Starts `count` processes that serve the same port, and returns its URL when all of them listen. This process only hands out the connections, in
 * turn, and starts again what ends. Throws `Unavailable` when one ends before it listens; it has said why.
 */
export async function startServers({ count, env, ...parts }: Omit<Keeping, 'name' | 'start'> & { count: number; env: NodeJS.ProcessEnv }) {
  cluster.setupPrimary({ exec: process.argv[1], args: ['server'] })
  cluster.on('message', (worker: Worker, message: Message) => {
    if (message.scrape === undefined) return
    const { scrape } = message
    void metricsOfAll().then(scraped => worker.isConnected() && worker.send({ scrape, scraped } satisfies Message))
  })
  const urls = Array.from({ length: count }, () =>
    listening(keepRunning({ ...parts, name: 'server', start: () => cluster.fork(env).process })),
  )
  return (await Promise.all(urls))[0]
}

function listening(child: ChildProcess): Promise<string> {
  return new Promise((done, failed) => {
    child.on('message', (message: Message) => message.listening && done(message.listening))
    child.once('exit', () => failed(new Unavailable('A server process ended before it served')))
  })
}

/** Tells the process that started this one, if one did, where it listens. */
export function tellListening(url: string) {
  if (cluster.isWorker) process.send?.({ listening: url } satisfies Message)
}

/** Is this one of several processes that serve one port? */
export const isOneOfServers = cluster.isWorker

/**
 * What Prometheus reads: the metrics of this process, or, when it is one of several that serve a port, of all of them together, since nobody knows
 * which one is asked. `observe` brings what is read from elsewhere up to date.
 */
export function createScrape(registry: Registry, observe: () => Promise<void>): () => Promise<string> {
  if (!isOneOfServers)
    return async () => {
      await observe()
      return registry.metrics()
    }
  const waiting = new Map<number, (text: string) => void>()
  let asked = 0
  process.on('message', async (message: Message) => {
    if (message.scraped !== undefined && message.scrape !== undefined) waiting.get(message.scrape)?.(message.scraped)
    if (message.observe === undefined) return
    await observe()
    process.send?.({ observe: message.observe, observed: await registry.getMetricsAsJSON() } satisfies Message)
  })
  return async () => {
    const scrape = ++asked
    const text = await withinTime<string | undefined>(done => {
      waiting.set(scrape, done)
      process.send?.({ scrape } satisfies Message)
    }, undefined)
    waiting.delete(scrape)
    if (text === undefined) throw new Unavailable('The metrics of all processes could not be read in time')
    return text
  }
}

let observations = 0

async function metricsOfAll(): Promise<string> {
  const workers = Object.values(cluster.workers ?? {}).filter(worker => worker?.isConnected())
  const observed = await Promise.all(workers.map(worker => metricsOf(worker as Worker)))
  return AggregatorRegistry.aggregate(observed.filter(Boolean) as object[][] as never).metrics()
}

/** Nothing of a process that does not answer in time: the others are worth telling. */
async function metricsOf(worker: Worker): Promise<MetricObject[] | undefined> {
  const observe = ++observations
  let hear = (_message: Message) => {}
  const observed = await withinTime<MetricObject[] | undefined>(done => {
    hear = message => message.observe === observe && done(message.observed)
    worker.on('message', hear)
    worker.send({ observe } satisfies Message)
  }, undefined)
  worker.off('message', hear)
  return observed
}

function withinTime<T>(start: (done: (value: T) => void) => void, otherwise: T): Promise<T> {
  return new Promise(done => {
    const timer = setTimeout(() => done(otherwise), SCRAPE_TIMEOUT_MS)
    start(value => {
      clearTimeout(timer)
      done(value)
    })
  })
}
