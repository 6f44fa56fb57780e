import { Cluster, Redis, type RedisOptions } from 'ioredis'
import { messageOf, Unavailable } from './errors.js'

/**
 * Connects to what REDIS_URL names: `redis://` and `rediss://` one server, `redis+cluster://h1:p1,h2:p2`, `redis+sentinel://h1:p1,h2:p2/master-name`.
 * BullMQ needs `maxRetriesPerRequest: null`: a command waits for the connection to come back instead of failing.
 */
export function connectRedis(url: string, options: RedisOptions = {}): Redis | Cluster {
  const settings: RedisOptions = { maxRetriesPerRequest: null, enableReadyCheck: true, ...options }
  // Who does not try again does not ask the other nodes for ever either.
  const isOnce = options.retryStrategy?.(1) === null
  const { protocol, username, password, hosts, path } = partsOf(url)
  const credentials = { ...(username ? { username } : {}), ...(password ? { password } : {}) }
  if (protocol === 'redis+cluster')
    return new Cluster(hosts, {
      redisOptions: { ...settings, ...credentials },
      ...(settings.lazyConnect ? { lazyConnect: true } : {}),
      ...(isOnce ? { clusterRetryStrategy: () => null } : {}),
    })
  if (protocol === 'redis+sentinel')
    return new Redis({
      sentinels: hosts,
      name: path || 'mymaster',
      ...credentials,
      ...settings,
      ...(isOnce ? { sentinelRetryStrategy: () => null } : {}),
    })
  return new Redis(url, settings)
}

/** Checks that REDIS_URL leads to a Redis; the sentence names the variable. */
export async function checkRedis(url: string): Promise<void> {
  const client = connectRedis(url, { lazyConnect: true, maxRetriesPerRequest: 1, retryStrategy: () => null, connectTimeout: 5_000 })
  // What is thrown says that the connection is closed; why it is, comes here.
  let cause: Error | undefined
  client.on('error', error => {
    cause ??= error
  })
  try {
    await client.connect()
    await client.ping()
  } catch (error) {
    throw new Unavailable(`REDIS_URL does not lead to a usable Redis: ${messageOf(cause ?? error)}`)
  } finally {
    client.disconnect()
  }
}

const PATIENCE_MS = 1_000
const REST_MS = 5_000

/**
 * For calls that somebody waits for: BullMQ's connections wait for a Redis that is away, without end. A call that takes longer than a second is `Unavailable`, and
 * for the next five seconds others are so at once; thus an answer is late at most once, and few commands wait for Redis to be back.
 */
export function createFuse(now: () => number = () => performance.now()): <T>(work: () => Promise<T>) => Promise<T> {
  let restsUntil = Number.NEGATIVE_INFINITY
  return async work => {
    if (now() < restsUntil) throw new Unavailable('Redis does not answer')
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, failed) => {
      timer = setTimeout(() => failed(new Unavailable(`Redis did not answer within ${PATIENCE_MS} ms`)), PATIENCE_MS)
    })
    try {
      return await Promise.race([work(), late])
    } catch (error) {
      restsUntil = now() + REST_MS
      throw error
    } finally {
      clearTimeout(timer)
    }
  }
}

function partsOf(url: string) {
  const [, protocol, userInfo, hosts, path] = /^([a-z+]+):\/\/(?:([^@/]*)@)?([^/?]*)(?:\/([^?]*))?/.exec(url) ?? []
  const [username, password] = (userInfo ?? '').split(':').map(decodeURIComponent)
  return {
    protocol,
    username,
    password,
    path,
    hosts: (hosts ?? '').split(',').map(entry => {
      const [host, port] = entry.split(':')
      return { host, port: Number(port ?? (protocol === 'redis+sentinel' ? 26_379 : 6_379)) }
    }),
  }
}
