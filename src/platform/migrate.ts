import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { PrismaPg } from '@prisma/adapter-pg'
import { bindMigrationAwareSqlAdapterFactory } from '@prisma/driver-adapter-utils'
import type { SchemaEngine } from '@prisma/schema-engine-wasm'
import pg from 'pg'
import { messageOf, Unavailable } from './errors.js'
import { v7 } from './uuid.js'

const NO_FILTER = { externalTables: [], externalEnums: [] }
const MIGRATION_LOCK = 5_318_008_417
/** Prisma's own table, so that its tools read what was applied here. */
const RECORDS = `CREATE TABLE IF NOT EXISTS _prisma_migrations (
  id varchar(36) PRIMARY KEY, checksum varchar(64) NOT NULL, finished_at timestamptz, migration_name varchar(255) NOT NULL, logs text,
  rolled_back_at timestamptz, started_at timestamptz NOT NULL DEFAULT now(), applied_steps_count integer NOT NULL DEFAULT 0)`

interface Migration {
  name: string
  script: string
}

/**
 * Applies the migrations of `prisma/migrations`, each of them and its record in one transaction: a process that is killed leaves nothing half applied. Concurrent
 * starts wait for each other. Returns the names applied; throws `Unavailable` where one cannot be, or the database is somebody else's.
 */
export async function migrate(url: string, root: string): Promise<string[]> {
  const client = new pg.Client({ connectionString: url })
  // A connection that breaks fails the statement under way, which tells the caller.
  client.on('error', () => {})
  await client.connect()
  try {
    await client.query('SELECT pg_advisory_lock($1)', [MIGRATION_LOCK])
    const migrations = migrationsOf(root)
    const applied = await appliedIn(client, migrations[0].name)
    const waiting = migrations.filter(({ name }) => !applied.has(name))
    for (const migration of waiting) await apply(client, migration)
    return waiting.map(({ name }) => name)
  } finally {
    await client.end().catch(() => {})
  }
}

async function apply(client: pg.Client, { name, script }: Migration): Promise<void> {
  const checksum = createHash('sha256').update(script).digest('hex')
  try {
    await client.query('BEGIN')
    await client.query(RECORDS)
    await client.query(script)
    // A record without an end is of a process that was killed before records and scripts were one.
    await client.query('DELETE FROM _prisma_migrations WHERE migration_name = $1 AND finished_at IS NULL', [name])
    await client.query(
      'INSERT INTO _prisma_migrations (id, checksum, migration_name, finished_at, applied_steps_count) VALUES ($1, $2, $3, now(), 1)',
      [v7(), checksum, name],
    )
    await client.query('COMMIT')
  } catch (error) {
    throw new Unavailable(`The database cannot be brought up to date; the migration ${name} fails: ${messageOf(error)}`, { name })
  }
}

/** Names of what was applied to this database. One that holds tables, and not our first migration, is not ours to change. */
async function appliedIn(client: pg.Client, first: string): Promise<Set<string>> {
  const { rows: tables } = await client.query<{ name: string }>(
    `SELECT relname AS name FROM pg_class c WHERE relkind IN ('r', 'p') AND relnamespace = to_regnamespace(quote_ident(current_schema()))
       AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e') ORDER BY 1`,
  )
  const others = tables.flatMap(({ name }) => (name === '_prisma_migrations' ? [] : name))
  const { rows: records } =
    others.length < tables.length
      ? await client.query<{ name: string; finished: boolean }>(
          'SELECT migration_name AS name, finished_at IS NOT NULL AS finished FROM _prisma_migrations WHERE rolled_back_at IS NULL',
        )
      : { rows: [] }
  if (others.length + records.length > 0 && !records.some(({ name }) => name === first))
    throw new Unavailable(`The database holds tables of something else (${others.slice(0, 3).join(', ')}); give Bellwether one of its own`)
  return new Set(records.flatMap(({ name, finished }) => (finished ? name : [])))
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

async function openEngine(url: string, root: string): Promise<SchemaEngine> {
  loading ??= loadEngine()
  const { SchemaEngine } = await loading
  const schema = schemaFile(join(root, 'prisma/schema.prisma'))
  const adapter = bindMigrationAwareSqlAdapterFactory(new PrismaPg({ connectionString: url, allowExitOnIdle: true }))
  return SchemaEngine.new({ datamodels: [[schema.path, schema.content]] }, () => {}, adapter)
}

let loading: ReturnType<typeof loadEngine> | undefined

/** The engine's glue keeps views of its memory: a second instance in one process would read the first one's. */
async function loadEngine() {
  const require = createRequire(import.meta.url)
  const glue = require.resolve('@prisma/schema-engine-wasm/schema_engine_bg')
  const module = await import(pathToFileURL(glue).href)
  const imports = { './schema_engine_bg.js': withoutLateTimers(module) }
  const { instance } = await WebAssembly.instantiate(readFileSync(glue.replace(/\.js$/, '.wasm')), imports)
  module.__wbg_set_wasm(instance.exports)
  ;(instance.exports.__wbindgen_start as () => void)()
  return module as { SchemaEngine: typeof SchemaEngine }
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

function migrationsOf(root: string): Migration[] {
  const folder = join(root, 'prisma/migrations')
  return readdirSync(folder, { withFileTypes: true })
    .filter(entry => entry.isDirectory())
    .map(({ name }) => ({ name, script: readFileSync(join(folder, name, 'migration.sql'), 'utf8') }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
}
