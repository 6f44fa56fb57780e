import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'

export const hasRedis = spawnSync('redis-server', ['--version'], { stdio: 'ignore' }).status === 0
if (!hasRedis) process.stderr.write('redis-server is not installed: the tests that need Redis are skipped (apt-get install redis-server)\n')

/** A real Redis of the test's own, in memory only. */
export async function startRedis(): Promise<{ url: string; flush(): Promise<void>; stop(): Promise<void> }> {
  const port = await freePort()
  const folder = mkdtempSync(join(tmpdir(), 'bellwether-redis-'))
  const server = spawn(
    'redis-server',
    ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', folder],
    { stdio: 'ignore' },
  )
  const client = new Redis(port, '127.0.0.1', { retryStrategy: tries => (tries < 200 ? 25 : null), maxRetriesPerRequest: null })
  client.on('error', () => {})
  await client.ping()
  return {
    url: `redis://127.0.0.1:${port}`,
    flush: async () => {
      await client.flushall()
    },
    stop: async () => {
      client.disconnect()
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
