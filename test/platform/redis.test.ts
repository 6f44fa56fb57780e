import { afterAll, describe, expect, test } from '@jest/globals'
import { checkRedis } from '../../src/platform/redis.js'
import { eventually, startTestApp, type TestApp } from '../support/app.js'
import { hasRedis, startRedis, startRedisCluster, startRedisSentinel } from '../support/redis.js'

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

describeRedis.each(['cut off', 'gone'])('a Redis that is %s', how => {
  test('keeps nobody waiting: requests are answered, jobs are kept, and run when it is back', async () => {
    const redis = await startRedis()
    const house = await startTestApp({ redisUrl: redis.url, rateLimitPerMinute: 40 })
    try {
      const ask = async (query: string) => {
        const startedAt = performance.now()
        const answer = await house.as('admin').run(query)
        return { ...answer, milliseconds: performance.now() - startedAt }
      }
      await ask('{ __typename }')
      if (how === 'gone') await redis.stop()
      else redis.freeze()
      const track = await ask('mutation { eventsTrack(input: { events: [{ userId: "u", type: VIEW }] }) { accepted } }')
      expect(track.data).toEqual({ eventsTrack: { accepted: 1 } })
      const consent = await ask('mutation { modelTrain(input: { task: RECOMMENDATION }) { job { id state } userErrors { message } } }')
      expect(consent.data).toMatchObject({ modelTrain: { job: { state: 'WAITING' }, userErrors: [] } })
      // One wait for each of rates, signals and queue, of a second each.
      expect(track.milliseconds + consent.milliseconds).toBeLessThan(8_000)
      const statuses: number[] = []
      for (let at = 0; at < 45; at++) statuses.push((await ask('{ __typename }')).status)
      expect([...new Set(statuses)]).toEqual([200, 429])
      if (how === 'gone') return
      redis.thaw()
      await house.startWorker()
      const { id } = await house.app.jobs.enqueue('housekeeping', {})
      await eventually(async () => (await house.app.jobs.get(id))?.state === 'COMPLETED', 60_000)
    } finally {
      redis.thaw()
      await house.close()
      await redis.stop()
    }
  }, 120_000)
})

test('a REDIS_URL that leads nowhere is one sentence that names it', async () => {
  for (const url of ['redis://127.0.0.1:1', 'redis+cluster://127.0.0.1:1', 'redis+sentinel://127.0.0.1:1/shop'])
    await expect(checkRedis(url)).rejects.toThrow(/^REDIS_URL does not lead to a usable Redis: /)
}, 60_000)
