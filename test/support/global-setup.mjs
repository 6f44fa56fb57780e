// One PostgreSQL for the whole run, from the compiled platform; each suite clones a migrated template from it (see database.ts).
import { createHash } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export default async function setUp() {
  const root = process.cwd()
  const { startEmbeddedPostgres } = await import(join(root, 'dist/src/platform/embedded-postgres.js'))
  const { silentLog } = await import(join(root, 'dist/src/platform/log.js'))
  const { migrate } = await import(join(root, 'dist/src/platform/migrate.js'))
  const home = join(
    tmpdir(),
    `bellwether-test-${createHash('sha256').update(`${root}:${process.getuid?.()}:${process.pid}`).digest('hex').slice(0, 12)}`,
  )
  // A test database may forget; only the platform's own never may.
  const postgres = await startEmbeddedPostgres({
    home,
    log: silentLog,
    database: 'template_bellwether',
    settings: { fsync: 'off', max_connections: '300' },
  })
  await migrate(postgres.url, root)
  process.env.BELLWETHER_TEST_POSTGRES = postgres.url
  globalThis.__bellwetherTestPostgres = { postgres, home }
}
