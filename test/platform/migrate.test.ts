import { expect, test } from '@jest/globals'
import pg from 'pg'
import { migrate } from '../../src/platform/migrate.js'
import { createTestDatabase } from '../support/database.js'

test('one process migrates several databases, each once', async () => {
  const database = await createTestDatabase()
  const names = [1, 2].map(each => `${new URL(database.url).pathname.slice(1)}_${each}`)
  try {
    for (const name of names) {
      await database.sql(`CREATE DATABASE ${name}`)
      const url = database.url.replace(/\/[^/]+$/, `/${name}`)
      const applied = await migrate(url, process.cwd())
      expect(applied.length).toBeGreaterThan(2)
      expect(await migrate(url, process.cwd())).toEqual([])
      const client = new pg.Client({ connectionString: url })
      await client.connect()
      const { rows } = await client.query('SELECT count(*)::int AS n FROM "Event"')
      await client.end()
      expect(rows).toEqual([{ n: 0 }])
    }
  } finally {
    for (const name of names) await database.sql(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)
    await database.drop()
  }
})
