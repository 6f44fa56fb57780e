import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { type Database, openDatabase } from '../../src/platform/database.js'
import { silentLog } from '../../src/platform/log.js'

const template = () => {
  const url = process.env.BELLWETHER_TEST_POSTGRES
  if (!url) throw new Error('The tests run by npm test, which starts their PostgreSQL')
  return url
}

/** A database of its own for one suite: a clone of the migrated template. `drop` removes it. */
export async function createTestDatabase(): Promise<Database & { drop(): Promise<void> }> {
  const name = `test_${randomBytes(6).toString('hex')}`
  await asAdministrator(client => clone(client, name))
  const database = openDatabase(urlOf(name), silentLog, 10)
  const drop = async () => {
    await database.close()
    await asAdministrator(client => client.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`))
  }
  return { ...database, drop }
}

/** The URL of a fresh clone, for suites that start whole processes. */
export async function createTestDatabaseUrl(): Promise<string> {
  const name = `test_${randomBytes(6).toString('hex')}`
  await asAdministrator(client => clone(client, name))
  return urlOf(name)
}

/** PostgreSQL refuses a template that another clone is just reading; that passes. */
async function clone(client: pg.Client, name: string) {
  for (let attempt = 1; ; attempt++) {
    try {
      return await client.query(`CREATE DATABASE ${name} TEMPLATE template_bellwether`)
    } catch (error) {
      if ((error as { code?: string }).code !== '55006' || attempt === 50) throw error
      await new Promise(done => setTimeout(done, 100))
    }
  }
}

function urlOf(name: string) {
  return template().replace(/\/[^/]+$/, `/${name}`)
}

async function asAdministrator(work: (client: pg.Client) => Promise<unknown>) {
  const client = new pg.Client({ connectionString: urlOf('postgres') })
  await client.connect()
  try {
    await work(client)
  } finally {
    await client.end()
  }
}
