import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { FEATURE_NAMES, FEATURE_VERSION } from '../../src/profiles/features.js'
import { eventually, startTestApp, type TestApp } from '../support/app.js'
import { hasRedis, startRedis } from '../support/redis.js'
import { ageHeartbeats, spawnWorker, type WorkerProcess } from '../support/spawn-worker.js'

const USERS = 200_000
const backends = [{ name: 'PostgreSQL', isRedis: false }, ...(hasRedis ? [{ name: 'Redis', isRedis: true }] : [])]

describe.each(backends)('an audience scored by two worker processes, on $name', ({ isRedis }) => {
  let house: TestApp
  let redis: Awaited<ReturnType<typeof startRedis>> | undefined
  const workers: WorkerProcess[] = []

  beforeAll(async () => {
    redis = isRedis ? await startRedis() : undefined
    house = await startTestApp({ redisUrl: redis?.url })
    const { database } = house.app
    await database.sql(`INSERT INTO "User" (id, "externalId") SELECT n, 'u' || n FROM generate_series(1, ${USERS}) n`)
    // Predictions with ties.
    await database.sql(
      `INSERT INTO "UserProfile" ("userId", "refreshedAt", "eventCount", "lastEventId", "orderDays", "monetaryMicros", "featureVersion", features, categories, brands, channels, hours, purchase, "scoredAt", "segmentedAt")
         SELECT n, now(), 1, 0, 0, 0, ${FEATURE_VERSION}, array_fill('NaN'::float8, ARRAY[${FEATURE_NAMES.length}]), '[]', '[]', '[]', '{}', abs(hashint4(n)) % 5000 / 5000.0, now(), now() FROM generate_series(1, ${USERS}) n`,
    )
    // The jobs of profiles may come by; what they would change must not make the truth another one.
    await database.sql(`CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'`)
    await database.sql('CREATE TRIGGER keep BEFORE UPDATE OR DELETE ON "UserProfile" FOR EACH ROW EXECUTE FUNCTION keep()')
    await database.sql(
      `INSERT INTO "Consent" ("userId", purpose, granted, at, source) SELECT n, 'ADS', n % 10 <> 0, now(), 'test' FROM generate_series(1, ${USERS}) n`,
    )
  }, 120_000)
  afterEach(async () => {
    for (const worker of workers.splice(0)) await worker.kill()
  })
  afterAll(async () => {
    await house.close()
    await redis?.stop()
  })

  test('one is killed in the middle: nobody is lost and nobody is there twice', async () => {
    const { database, audiences } = house.app
    workers.push(...(await Promise.all([spawnWorker(house.app), spawnWorker(house.app)])))
    const {
      audience: { key },
    } = await audiences.create(
      { name: 'test' },
      { name: 'Best', prediction: 'PURCHASE' as never, ascending: false, limit: 10_000, consent: 'ADS', minimumSize: 0, dryRun: false },
    )
    const shards = async () => (await database.sql<{ n: number }>('SELECT count(*)::int AS n FROM "AudienceShard"'))[0].n
    await eventually(async () => (await shards()) > 0, 60_000)
    await workers[0].kill()
    const before = await audiences.find(key)
    expect(before?.status).toBe('BUILDING')
    await ageHeartbeats(house.app)
    workers.push(await spawnWorker(house.app))
    await eventually(async () => (await audiences.find(key))?.status === 'READY', 90_000)
    const truth = `SELECT p."userId" FROM "UserProfile" p WHERE p."userId" % 10 <> 0 ORDER BY p.purchase DESC, p."userId" LIMIT 10000`
    const [counts] = await database.sql<{ members: number; right: number }>(
      `SELECT count(*)::int AS members, count(*) FILTER (WHERE "userId" IN (${truth}))::int AS right FROM "AudienceMember" WHERE "audienceId" = $1`,
      [key],
    )
    expect(counts).toEqual({ members: 10_000, right: 10_000 })
    const audience = await audiences.find(key)
    const [{ refused }] = await database.sql<{ refused: number }>(
      `SELECT count(*)::int AS refused FROM "UserProfile" WHERE "userId" % 10 = 0 AND purchase >= (SELECT min(score) FROM "AudienceMember" WHERE "audienceId" = $1)`,
      [key],
    )
    expect(audience).toMatchObject({ size: 10_000, excluded: [{ reason: 'CONSENT_REFUSED', count: refused }] })
    expect(await shards()).toBe(0)
  }, 180_000)
})
