import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { PrismaPg } from '@prisma/adapter-pg'
import { bindMigrationAwareSqlAdapterFactory } from '@prisma/driver-adapter-utils'
import type { SchemaEngine } from '@prisma/schema-engine-wasm'
import pg from 'pg'

const NO_FILTER = { externalTables: [], externalEnums: [] }
const MIGRATION_LOCK = 5_318_008_417

/** Applies the migrations of `prisma/migrations` in Prisma's own format; concurrent starts wait for each other. Returns the names applied. */
export async function migrate(url: string, root: string): Promise<string[]> {
  const guard = new pg.Client({ connectionString: url })
  await guard.connect()
  try {
    await guard.query('SELECT pg_advisory_lock($1)', [MIGRATION_LOCK])
    if (await isCurrent(guard, root)) return []
    const engine = await openEngine(url, root)
    const { appliedMigrationNames } = await engine.applyMigrations({ migrationsList: migrationsOf(root), filters: NO_FILTER })
    return appliedMigrationNames
  } finally {
    await guard.end()
  }
}

/** SQL that leads from the schema as of the last migration (`prisma/migrations/schema.prisma`) to `prisma/schema.prisma`; '' when they agree. The engine wants some database at `url`. */
export async function diffMigrations(url: string, root: string): Promise<string> {
  const engine = await openEngine(url, root)
  const before = join(root, 'prisma/migrations/schema.prisma')
  const { stdout } = await engine.diff({
    from: existsSync(before) ? { tag: 'schemaDatamodel', files: [schemaFile(before)] } : { tag: 'empty' },
    to: { tag: 'schemaDatamodel', files: [schemaFile(join(root, 'prisma/schema.prisma'))] },
    script: true,
    exitCode: null,
    filters: NO_FILTER,
  })
  return stdout?.includes('empty migration') ? '' : (stdout ?? '')
}

/** The start of every process asks this first: it costs one query, loading the engine costs 100 ms. */
async function isCurrent(client: pg.Client, root: string): Promise<boolean> {
  const { rows } = await client.query(`SELECT to_regclass('_prisma_migrations') IS NOT NULL AS known`)
  if (!rows[0].known) return false
  const applied = await client.query(
    'SELECT migration_name FROM _prisma_migrations WHERE finished_at IS NOT NULL AND rolled_back_at IS NULL',
  )
  const names = new Set(applied.rows.map(row => row.migration_name))
  return migrationsOf(root).migrationDirectories.every(directory => names.has(directory.path))
}

async function openEngine(url: string, root: string): Promise<SchemaEngine> {
  const require = createRequire(import.meta.url)
  const glue = require.resolve('@prisma/schema-engine-wasm/schema_engine_bg')
  const module = await import(pathToFileURL(glue).href)
  const imports = { './schema_engine_bg.js': withoutLateTimers(module) }
  const { instance } = await WebAssembly.instantiate(readFileSync(glue.replace(/\.js$/, '.wasm')), imports)
  module.__wbg_set_wasm(instance.exports)
  ;(instance.exports.__wbindgen_start as () => void)()
  const schema = schemaFile(join(root, 'prisma/schema.prisma'))
  const adapter = bindMigrationAwareSqlAdapterFactory(new PrismaPg({ connectionString: url, allowExitOnIdle: true }))
  return module.SchemaEngine.new({ datamodels: [[schema.path, schema.content]] }, () => {}, adapter)
}

/** The engine guards its lock by a timer of 10 s that it never clears; a command that is done must not wait for that. */
function withoutLateTimers(glue: Record<string, unknown>): Record<string, never> {
  const timers = Object.keys(glue).filter(name => name.startsWith('__wbg_setTimeout_'))
  const patched = timers.map(name => [
    name,
    (...args: unknown[]) => {
      const timer = (glue[name] as (...args: unknown[]) => unknown)(...args)
      if (timer instanceof Object && 'unref' in timer) (timer as NodeJS.Timeout).unref()
      return timer
    },
  ])
  return { ...glue, ...Object.fromEntries(patched) } as Record<string, never>
}

function schemaFile(path: string) {
  return { path, content: readFileSync(path, 'utf8') }
}

function migrationsOf(root: string) {
  const baseDir = join(root, 'prisma/migrations')
  const lockfile = join(baseDir, 'migration_lock.toml')
  const names = existsSync(baseDir)
    ? readdirSync(baseDir, { withFileTypes: true })
        .filter(entry => entry.isDirectory())
        .map(entry => entry.name)
        .sort()
    : []
  return {
    baseDir,
    shadowDbInitScript: '',
    lockfile: { path: 'migration_lock.toml', content: existsSync(lockfile) ? readFileSync(lockfile, 'utf8') : null },
    migrationDirectories: names.map(path => ({
      path,
      migrationFile: {
        path: 'migration.sql',
        content: { tag: 'ok' as const, value: readFileSync(join(baseDir, path, 'migration.sql'), 'utf8') },
      },
    })),
  }
}
