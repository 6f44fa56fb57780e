// npm run migration -- <name>: writes prisma/migrations/<time>_<name>/migration.sql, which leads from the last migration to the schema.
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startEmbeddedPostgres } from '../platform/embedded-postgres.js'
import { silentLog } from '../platform/log.js'
import { diffMigrations } from '../platform/migrate.js'

const name = process.argv[2]
if (!name || !/^[a-z0-9_]+$/.test(name)) {
  console.error('Usage: npm run migration -- <name_in_snake_case>')
  process.exit(1)
}
const home = mkdtempSync(join(tmpdir(), 'bellwether-migration-'))
const postgres = await startEmbeddedPostgres({ home, log: silentLog })
const script = await diffMigrations(postgres.url, process.cwd()).finally(async () => {
  await postgres.stop()
  rmSync(home, { recursive: true, force: true })
})
if (!script) console.log('The migrations already say what the schema says.')
else {
  const folder = join('prisma/migrations', `${new Date().toISOString().replace(/\D/g, '').slice(0, 14)}_${name}`)
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'migration.sql'), script)
  copyFileSync('prisma/schema.prisma', 'prisma/migrations/schema.prisma')
  console.log(`Wrote ${folder}/migration.sql`)
}
process.exit(0)
