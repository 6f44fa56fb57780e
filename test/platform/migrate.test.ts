import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import pg from 'pg'
import { migrate } from '../../src/platform/migrate.js'
import { createTestDatabase } from '../support/database.js'

let database: Awaited<ReturnType<typeof createTestDatabase>>
const made: string[] = []
const root = mkdtempSync(join(tmpdir(), 'bellwether-migrate-'))

beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(async () => {
  for (const name of made) await database.sql(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)
  await database.drop()
  rmSync(root, { recursive: true, force: true })
})

async function emptyDatabase(): Promise<string> {
  const name = `${new URL(database.url).pathname.slice(1)}_${made.length}`
  await database.sql(`CREATE DATABASE ${name}`)
  made.push(name)
  return database.url.replace(/\/[^/]+$/, `/${name}`)
}

async function ask(url: string, text: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query(text)).rows
  } finally {
    await client.end()
  }
}

function script(name: string, text: string) {
  mkdirSync(join(root, 'prisma/migrations', name), { recursive: true })
  writeFileSync(join(root, 'prisma/migrations', name, 'migration.sql'), text)
}

test('one process migrates several databases, each once', async () => {
  for (const url of [await emptyDatabase(), await emptyDatabase()]) {
    const applied = await migrate(url, process.cwd())
    expect(applied.length).toBeGreaterThan(2)
    expect(await migrate(url, process.cwd())).toEqual([])
    expect(await ask(url, 'SELECT count(*)::int AS n FROM "Event"')).toEqual([{ n: 0 }])
  }
})

test('killed in the middle of a migration: nothing of it is there, and the next start goes on with it', async () => {
  const url = await emptyDatabase()
  script('1_first', 'CREATE TABLE first (id int);')
  script('2_second', 'CREATE TABLE second (id int); SELECT pg_advisory_lock(7);')
  const holder = new pg.Client({ connectionString: url })
  await holder.connect()
  await holder.query('SELECT pg_advisory_lock(7)')
  const killed = expect(migrate(url, root)).rejects.toThrow(/2_second fails/)
  const kill = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%advisory_lock(7);' AND wait_event = 'advisory'`
  while ((await ask(url, kill)).length === 0);
  await killed
  await holder.end()
  expect(await ask(url, `SELECT to_regclass('second') AS name`)).toEqual([{ name: null }])
  expect(await migrate(url, root)).toEqual(['2_second'])
  expect(await migrate(url, root)).toEqual([])
})

test('what an earlier version left half recorded is applied anew', async () => {
  const url = await emptyDatabase()
  await migrate(url, root)
  await ask(url, `DROP TABLE second; UPDATE _prisma_migrations SET finished_at = NULL WHERE migration_name = '2_second'`)
  expect(await migrate(url, root)).toEqual(['2_second'])
  expect(await ask(url, 'SELECT count(*)::int AS n, count(finished_at)::int AS ended FROM _prisma_migrations')).toEqual([
    { n: 2, ended: 2 },
  ])
})

test('the database of something else is left alone', async () => {
  const url = await emptyDatabase()
  await ask(url, 'CREATE TABLE invoices (id int)')
  await expect(migrate(url, root)).rejects.toThrow('The database holds tables of something else (invoices); give Bellwether one of its own')
  expect(await ask(url, `SELECT to_regclass('_prisma_migrations') AS name`)).toEqual([{ name: null }])
})

test('what the next migration starts from is the schema of now', () => {
  expect(readFileSync('prisma/migrations/schema.prisma', 'utf8')).toBe(readFileSync('prisma/schema.prisma', 'utf8'))
})
