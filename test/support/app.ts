import { rmSync } from 'node:fs'
import { type App, createApp } from '../../src/app.js'
import { type Config, readConfig } from '../../src/config.js'
import type { ClientKind } from '../../src/graphql/auth.js'
import { type Log, silentLog } from '../../src/platform/log.js'
import { createTestDatabaseUrl } from './database.js'
import { startTestWorker, type Worker } from './worker.js'

export interface Answer {
  status: number
  // Answers are read by tests, which know what they asked for.
  data: Record<string, never> | null
  errors?: { message: string; path?: (string | number)[]; extensions: Record<string, unknown> }[]
}

export interface TestApp {
  app: App
  url: string
  keys: Record<ClientKind, string>
  /** Runs an operation over HTTP as the holder of a key; `undefined` sends no key. */
  as(kind: ClientKind | undefined): { run(query: string, variables?: Record<string, unknown>): Promise<Answer> }
  startWorker(): Promise<Worker>
  close(): Promise<void>
}

/** The whole platform on a database of its own, listening on a free port. */
export async function startTestApp(overrides: Partial<Config> = {}, log: Log = silentLog): Promise<TestApp> {
  const databaseUrl = await createTestDatabaseUrl()
  const config = { ...readConfig({ NODE_ENV: 'test', PORT: '0', BELLWETHER_DEMO: 'off', BELLWETHER_LOG_LEVEL: 'silent' }), ...overrides }
  const app = await createApp({ config, databaseUrl, log, role: 'server' })
  const kinds: ClientKind[] = ['admin', 'marketer', 'campaign', 'chatbot', 'ingest']
  const keys = {} as Record<ClientKind, string>
  for (const kind of kinds) keys[kind] = (await app.apiKeys.create(undefined, { name: kind, kind })).secret
  await app.liveModels.start()
  const server = await app.createServer()
  const url = await server.listen()
  const workers: Worker[] = []
  return {
    app,
    url,
    keys,
    as: kind => ({ run: (query, variables) => post(url, kind && keys[kind], { query, variables }) }),
    startWorker: async () => {
      const worker = await startTestWorker(app)
      workers.push(worker)
      return worker
    },
    close: async () => {
      for (const worker of workers) await worker.drain()
      await server.close()
      await app.close()
    },
  }
}

export async function post(url: string, key: string | undefined, body: unknown, headers: Record<string, string> = {}): Promise<Answer> {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(key ? { authorization: `Bearer ${key}` } : {}), ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
  return { status: response.status, ...((await response.json()) as Omit<Answer, 'status'>) }
}

/** Awaits a condition instead of sleeping; gives up after `milliseconds`. */
export async function eventually<T>(look: () => Promise<T | undefined | null | false>, milliseconds = 20_000): Promise<T> {
  const deadline = Date.now() + milliseconds
  for (;;) {
    const found = await look()
    if (found) return found
    if (Date.now() > deadline) throw new Error(`What was awaited did not come within ${milliseconds} ms`)
    await new Promise(done => setTimeout(done, 25))
  }
}

export function removeFolder(folder: string) {
  rmSync(folder, { recursive: true, force: true })
}
