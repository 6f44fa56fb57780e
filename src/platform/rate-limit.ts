import type { Cluster, Redis } from 'ioredis'
import { createFuse } from './redis.js'

export interface RateLimiter {
  /** Counts one call; answers the seconds to wait when `key` has used up its minute, else 0. */
  take(key: string): number | Promise<number>
}

const WINDOW_MS = 60_000

/** At most `perMinute` calls of a key a minute, over two half-weighted windows, so that no burst of twice the limit passes a boundary. */
export function createRateLimiter(perMinute: number, redis?: Redis | Cluster, now: () => number = Date.now): RateLimiter {
  return redis ? sharedLimiter(perMinute, redis, now) : localLimiter(perMinute, now)
}

function localLimiter(perMinute: number, now: () => number): RateLimiter {
  let window = 0
  let current = new Map<string, number>()
  let previous = new Map<string, number>()
  return {
    take: key => {
      const time = now()
      const index = Math.floor(time / WINDOW_MS)
      if (index !== window) {
        previous = index === window + 1 ? current : new Map()
        current = new Map()
        window = index
      }
      const used = (current.get(key) ?? 0) + 1
      current.set(key, used)
      return waitFor(used, previous.get(key) ?? 0, perMinute, time)
    },
  }
}

/** While Redis is away each process counts for itself: nobody waits, and nobody goes unlimited. */
function sharedLimiter(perMinute: number, redis: Redis | Cluster, now: () => number): RateLimiter {
  const own = localLimiter(perMinute, now)
  const fused = createFuse()
  const take = async (key: string) => {
    const time = now()
    const index = Math.floor(time / WINDOW_MS)
    const name = (at: number) => `bellwether:rate:{${key}}:${at}`
    const used = await redis.incr(name(index))
    if (used === 1) await redis.pexpire(name(index), 2 * WINDOW_MS)
    const before = used > perMinute / 2 ? Number(await redis.get(name(index - 1))) : 0
    return waitFor(used, before, perMinute, time)
  }
  return { take: key => fused(() => take(key)).catch(() => own.take(key)) }
}

function waitFor(used: number, before: number, perMinute: number, time: number): number {
  const share = 1 - (time % WINDOW_MS) / WINDOW_MS
  if (used + before * share <= perMinute) return 0
  return Math.max(1, Math.ceil((WINDOW_MS - (time % WINDOW_MS)) / 1000))
}
