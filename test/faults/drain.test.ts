import { expect, test } from '@jest/globals'
import { Client } from 'pg'
import { createApp } from '../../src/app.js'
import { readConfig } from '../../src/config.js'
import { silentLog } from '../../src/platform/log.js'
import { eventually } from '../support/app.js'
import { createTestDatabaseUrl } from '../support/database.js'

test('a server that closes waits for the work of a client that has gone', async () => {
  const databaseUrl = await createTestDatabaseUrl()
  const app = await createApp({ config: readConfig({ PORT: '0', BELLWETHER_DEMO: 'off' }), databaseUrl, log: silentLog, role: 'server' })
  const { secret } = await app.apiKeys.create(undefined, { name: 'admin', kind: 'admin' })
  const server = await app.createServer()
  const url = await server.listen()
  const other = new Client({ connectionString: databaseUrl })
  await other.connect()
  await other.query('BEGIN; LOCK TABLE "User"')

  const gone = new AbortController()
  const request = fetch(`${url}/graphql`, {
    method: 'POST',
    signal: gone.signal,
    headers: { 'content-type': 'application/json', authorization: `Bearer ${secret}` },
    body: JSON.stringify({ query: 'mutation { userUpsert(input: { externalId: "late" }) { userErrors { message } } }' }),
  })
  const refused = expect(request).rejects.toThrow(/abort/i)
  await eventually(async () => (await other.query(`SELECT 1 FROM pg_locks WHERE NOT granted`)).rowCount)
  gone.abort()
  await refused

  let isClosed = false
  const closed = server.close().then(() => {
    isClosed = true
  })
  await eventually(async () => !server.fastify.server.listening)
  // Answers of health would be given by now; what waits for the lock still runs.
  expect(isClosed).toBe(false)
  await other.query('COMMIT')
  await closed
  expect((await other.query(`SELECT 1 FROM "User" WHERE "externalId" = 'late'`)).rowCount).toBe(1)
  await other.end()
  await app.close()
}, 30_000)
