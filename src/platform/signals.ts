import { randomUUID } from 'node:crypto'
import pg from 'pg'
import type { Database } from './database.js'
import { messageOf } from './errors.js'
import type { SignalMap, SignalName } from './jobs.js'
import type { Log } from './log.js'
import { connectRedis, createFuse } from './redis.js'

type Listener<Name extends SignalName> = (payload: SignalMap[Name]) => void

/** Hints between the parts of every process. A signal may be lost; whoever needs certainty looks at the state. */
export interface Signals {
  /** Calls this process's listeners at once, and those of every other process soon. Never throws: a hint that is lost is coped with. */
  announce<Name extends SignalName>(name: Name, payload: SignalMap[Name]): Promise<void>
  on<Name extends SignalName>(name: Name, listener: Listener<Name>): () => void
  close(): Promise<void>
}

interface Wire {
  send(text: string): Promise<void>
  close(): Promise<void>
}

const CHANNEL = 'bellwether_signals'
/** PostgreSQL's limit of a NOTIFY. */
const LARGEST = 7_900
const RECONNECT_MS = 1_000

export async function createSignals({
  database,
  redisUrl,
  log,
}: {
  database: Pick<Database, 'url' | 'sql'>
  redisUrl?: string
  log: Log
}): Promise<Signals> {
  const origin = randomUUID()
  const listeners = new Map<SignalName, Set<Listener<SignalName>>>()
  const deliver = (name: SignalName, payload: SignalMap[SignalName]) => {
    for (const listener of listeners.get(name) ?? []) {
      try {
        listener(payload as never)
      } catch (error) {
        log.warn('a listener of a signal failed', { signal: name, error: messageOf(error) })
      }
    }
  }
  const receive = (text: string) => {
    const message = JSON.parse(text) as { origin: string; name: SignalName; payload: never }
    if (message.origin !== origin) deliver(message.name, message.payload)
  }
  const wire = redisUrl ? await overRedis(redisUrl, receive, log) : await overPostgres(database, receive, log)
  return {
    announce: async (name, payload) => {
      deliver(name, payload)
      const text = JSON.stringify({ origin, name, payload })
      if (Buffer.byteLength(text) > LARGEST) return log.warn('a signal is too large to be sent', { signal: name })
      await wire.send(text).catch(error => log.warn('a signal was lost', { signal: name, error: messageOf(error) }))
    },
    on: (name, listener) => {
      const set = listeners.get(name) ?? new Set()
      listeners.set(name, set)
      set.add(listener as Listener<SignalName>)
      return () => set.delete(listener as Listener<SignalName>)
    },
    close: () => wire.close(),
  }
}

async function overPostgres(database: Pick<Database, 'url' | 'sql'>, receive: (text: string) => void, log: Log): Promise<Wire> {
  let closed = false
  let client: pg.Client
  const connect = async () => {
    const next = new pg.Client({ connectionString: database.url, application_name: 'bellwether signals', keepAlive: true })
    next.on('notification', ({ payload }) => payload && receive(payload))
    next.on('error', error => log.warn('the signal connection was lost', { error: error.message }))
    try {
      await next.connect()
      await next.query(`LISTEN ${CHANNEL}`)
    } catch (error) {
      await next.end().catch(() => {})
      throw error
    }
    // Only from here on: a connection that never came about must not start a second loop beside the one that tried it.
    next.on('end', () => void reconnect())
    client = next
  }
  const reconnect = async () => {
    while (!closed) {
      await new Promise(done => setTimeout(done, RECONNECT_MS).unref())
      if (closed) return
      const failure = await connect().then(
        () => undefined,
        error => error,
      )
      if (!failure) return
    }
  }
  await connect()
  return {
    send: async text => {
      await database.sql('SELECT pg_notify($1, $2)', [CHANNEL, text], 'signal')
    },
    close: async () => {
      closed = true
      await client.end().catch(() => {})
    },
  }
}

async function overRedis(url: string, receive: (text: string) => void, log: Log): Promise<Wire> {
  const [subscriber, publisher] = [connectRedis(url), connectRedis(url)]
  for (const client of [subscriber, publisher])
    client.on('error', (error: Error) => log.warn('the signal connection had a fault', { error: error.message }))
  subscriber.on('message', (_channel: string, text: string) => receive(text))
  await subscriber.subscribe(CHANNEL)
  const fused = createFuse()
  return {
    send: async text => {
      await fused(() => publisher.publish(CHANNEL, text))
    },
    close: async () => {
      subscriber.disconnect()
      publisher.disconnect()
    },
  }
}
