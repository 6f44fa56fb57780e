import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'

export const hasRedis = spawnSync('redis-server', ['--version'], { stdio: 'ignore' }).status === 0
if (!hasRedis) process.stderr.write('redis-server is not installed: the tests that need Redis are skipped (apt-get install redis-server)\n')

interface TestRedis {
  url: string
  stop(): Promise<void>
}

/** A real Redis of the test's own, in memory only. */
export async function startRedis(): Promise<TestRedis & { flush(): Promise<void>; freeze(): void; thaw(): void }> {
  const { port, client, freeze, thaw, stop } = await startNode()
  return {
    url: `redis://127.0.0.1:${port}`,
    flush: async () => {
      await client.flushall()
    },
    freeze,
    thaw,
    stop,
  }
}

/** A real Redis Cluster of three masters. */
export async function startRedisCluster(): Promise<TestRedis> {
  const nodes = await Promise.all([1, 2, 3].map(() => startNode('--cluster-enabled', 'yes')))
  const share = Math.ceil(16_384 / nodes.length)
  for (const [at, { client }] of nodes.entries()) {
    await client.call('CLUSTER', 'ADDSLOTSRANGE', at * share, Math.min(16_384, (at + 1) * share) - 1)
    for (const { port } of nodes) await client.call('CLUSTER', 'MEET', '127.0.0.1', port)
  }
  const isWhole = async ({ client }: Node) =>
    String(await client.call('CLUSTER', 'INFO')).includes('cluster_state:ok') &&
    String(await client.call('CLUSTER', 'NODES'))
      .trim()
      .split('\n').length === nodes.length
  while (!(await Promise.all(nodes.map(isWhole))).every(Boolean)) await new Promise(done => setTimeout(done, 50))
  return {
    url: `redis+cluster://${nodes.map(({ port }) => `127.0.0.1:${port}`).join(',')}`,
    stop: async () => {
      await Promise.all(nodes.map(({ stop }) => stop()))
    },
  }
}

/** A real Redis watched by a real Sentinel, as master "shop". */
export async function startRedisSentinel(): Promise<TestRedis> {
  const master = await startNode()
  const sentinel = await startNode('--sentinel')
  await sentinel.client.call('SENTINEL', 'MONITOR', 'shop', '127.0.0.1', master.port, 1)
  return {
    url: `redis+sentinel://127.0.0.1:${sentinel.port}/shop`,
    stop: async () => {
      await sentinel.stop()
      await master.stop()
    },
  }
}

type Node = Awaited<ReturnType<typeof startNode>>

async function startNode(...options: string[]) {
  const port = await freePort()
  const folder = mkdtempSync(join(tmpdir(), 'bellwether-redis-'))
  const file = join(folder, 'redis.conf')
  const isSentinel = options.includes('--sentinel')
  const settings = [`port ${port}`, 'bind 127.0.0.1', `dir "${folder}"`, ...(isSentinel ? [] : ['save ""', 'appendonly no'])]
  writeFileSync(file, `${settings.join('\n')}\n`)
  const server = spawn('redis-server', [file, ...options], { stdio: 'ignore' })
  const client = new Redis(port, '127.0.0.1', {
    retryStrategy: tries => (tries < 200 ? 25 : null),
    maxRetriesPerRequest: null,
    enableReadyCheck: false,
  })
  client.on('error', () => {})
  await client.ping()
  return {
    port,
    client,
    /** It keeps its connections and answers nothing, as a host does that is cut off. */
    freeze: () => void server.kill('SIGSTOP'),
    thaw: () => void server.kill('SIGCONT'),
    stop: async () => {
      client.disconnect()
      if (server.exitCode !== null || server.signalCode !== null) return
      const ended = new Promise(done => server.once('exit', done))
      server.kill('SIGKILL')
      await ended
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function freePort(): Promise<number> {
  return new Promise(done => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as { port: number }
      probe.close(() => done(port))
    })
  })
}
