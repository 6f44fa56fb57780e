import { afterAll, describe, expect, test } from '@jest/globals'
import { checkRedis } from '../../src/platform/redis.js'
import { eventually, startTestApp, type TestApp } from '../support/app.js'
import { hasRedis, startRedisCluster, startRedisSentinel } from '../support/redis.js'

const topologies = [
  { name: 'a Cluster of three', start: startRedisCluster },
  { name: 'a Sentinel', start: startRedisSentinel },
]
const describeRedis = hasRedis ? describe : describe.skip

describeRedis.each(topologies)('the house over $name', ({ start }) => {
  let redis: Awaited<ReturnType<typeof start>>
  let house: TestApp
  afterAll(async () => {
    await house?.close()
    await redis?.stop()
  })

  test('queues, signals and rate limits work', async () => {
    redis = await start()
    await checkRedis(redis.url)
    house = await startTestApp({ redisUrl: redis.url, rateLimitPerMinute: 40 })
    await house.startWorker()
    const { data } = await house.as('admin').run('{ systemHealth { stage state } }')
    expect(data).toMatchObject({ systemHealth: expect.arrayContaining([{ stage: 'queue', state: 'ok' }]) })
    const { id } = await house.app.jobs.enqueue('housekeeping', {})
    const done = await eventually(async () => {
      const row = await house.app.jobs.get(id)
      return row && ['COMPLETED', 'FAILED'].includes(row.state) && row
    })
    expect(done).toMatchObject({ state: 'COMPLETED', error: null })

    const statuses: number[] = []
    for (let at = 0; at < 45; at++) statuses.push((await house.as('marketer').run('{ __typename }')).status)
    expect([...new Set(statuses)]).toEqual([200, 429])
  }, 60_000)
})

test('a REDIS_URL that leads nowhere is one sentence that names it', async () => {
  for (const url of ['redis://127.0.0.1:1', 'redis+cluster://127.0.0.1:1', 'redis+sentinel://127.0.0.1:1/shop'])
    await expect(checkRedis(url)).rejects.toThrow(/^REDIS_URL does not lead to a usable Redis: /)
}, 60_000)
