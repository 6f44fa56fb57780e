import { createHash } from 'node:crypto'
import type { Database } from '../platform/database.js'
import { Conflict, InvalidInput, Unauthenticated } from '../platform/errors.js'
import type { Viewer } from './auth.js'
import { isUserFault, type PayloadOf, payload, userErrorOf } from './payload.js'

type Claim = { kind: 'first' } | { kind: 'replay'; payload: unknown } | { kind: 'reused' } | { kind: 'in progress' }

/** A first call that has not answered after this time is taken for crashed. */
const ABANDONED_AFTER = '60 seconds'
const LONGEST_KEY = 200
const MARK = '$bellwether:'
const DATE = `${MARK}date`
const BIGINT = `${MARK}bigint`

/** The table of keys: who sent which key for which operation, with which input, and what came of it. */
export class IdempotencyStore {
  constructor(private readonly database: Database) {}

  /** Claims the key for this input in one statement; of parallel calls exactly one is first. */
  async claim(principal: string, operation: string, key: string, inputHash: string): Promise<Claim> {
    const claimed = await this.database.sql<{ first: boolean }>(
      `INSERT INTO "IdempotencyKey" (principal, operation, key, "inputHash") VALUES ($1, $2, $3, $4)
       ON CONFLICT (principal, operation, key) DO UPDATE SET "createdAt" = now()
         WHERE "IdempotencyKey".payload IS NULL AND "IdempotencyKey"."inputHash" = $4 AND "IdempotencyKey"."createdAt" < now() - interval '${ABANDONED_AFTER}'
       RETURNING true AS first`,
      [principal, operation, key, inputHash],
    )
    if (claimed.length > 0) return { kind: 'first' }
    const [row] = await this.database.sql<{ inputHash: string; payload: unknown }>(
      'SELECT "inputHash", payload FROM "IdempotencyKey" WHERE principal = $1 AND operation = $2 AND key = $3',
      [principal, operation, key],
    )
    if (!row) return this.claim(principal, operation, key, inputHash)
    if (row.inputHash !== inputHash) return { kind: 'reused' }
    return row.payload === null ? { kind: 'in progress' } : { kind: 'replay', payload: row.payload }
  }

  async keep(principal: string, operation: string, key: string, result: unknown): Promise<void> {
    await this.database.sql('UPDATE "IdempotencyKey" SET payload = $4 WHERE principal = $1 AND operation = $2 AND key = $3', [
      principal,
      operation,
      key,
      encode(result),
    ])
  }

  async release(principal: string, operation: string, key: string): Promise<void> {
    await this.database.sql('DELETE FROM "IdempotencyKey" WHERE principal = $1 AND operation = $2 AND key = $3 AND payload IS NULL', [
      principal,
      operation,
      key,
    ])
  }

  /** Forgets keys that are older than `days`. Returns how many. */
  async forgetOlderThan(days: number): Promise<number> {
    const rows = await this.database.sql('DELETE FROM "IdempotencyKey" WHERE "createdAt" < now() - make_interval(days => $1) RETURNING 1', [
      days,
    ])
    return rows.length
  }
}

/**
 * Runs the rule of a mutation once per (caller, operation, idempotency key). The same key with the same input gives the same payload again,
 * with another input IDEMPOTENCY_KEY_REUSED. What went wrong beyond the caller's fault frees the key. Without a key the rule just runs.
 */
export async function idempotent<Result extends object>(
  store: IdempotencyStore,
  viewer: Viewer | undefined,
  operation: string,
  input: { idempotencyKey?: string | null },
  work: () => Promise<Result>,
): Promise<PayloadOf<Result>> {
  if (input.idempotencyKey === undefined || input.idempotencyKey === null) return payload(work)
  const { idempotencyKey: key, ...rest } = input as { idempotencyKey: string }
  if (!viewer) throw new Unauthenticated('An idempotency key needs a caller')
  if (!/^[\x21-\x7e]+$/.test(key) || key.length > LONGEST_KEY)
    return refused<Result>(
      new InvalidInput(`idempotencyKey must be 1 to ${LONGEST_KEY} printable ASCII characters`, {}, ['idempotencyKey']),
    )
  const claim = await store.claim(viewer.id, operation, key, hashOf(rest))
  if (claim.kind === 'reused')
    return refused<Result>(
      new Conflict('This idempotency key was used with another input', 'IDEMPOTENCY_KEY_REUSED', {}, ['idempotencyKey']),
    )
  if (claim.kind === 'in progress')
    return refused<Result>(
      new InProgress('A call with this idempotency key is under way', 'IDEMPOTENCY_IN_PROGRESS', {}, ['idempotencyKey']),
    )
  if (claim.kind === 'replay') return { ...(decode(claim.payload) as PayloadOf<Result>), idempotentReplay: true }
  try {
    const result = await payload(work)
    await store.keep(viewer.id, operation, key, result)
    return result
  } catch (error) {
    await store.release(viewer.id, operation, key)
    throw error
  }
}

class InProgress extends Conflict {
  override readonly retryable = true
}

function refused<Result extends object>(error: unknown): PayloadOf<Result> {
  if (!isUserFault(error)) throw error
  return { userErrors: [userErrorOf(error)], idempotentReplay: false } as unknown as PayloadOf<Result>
}

/** SHA-256 over canonical JSON: keys sorted, undefined left out. */
export function hashOf(input: unknown): string {
  return createHash('sha256')
    .update(encode(sorted(input)))
    .digest('hex')
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (value === null || typeof value !== 'object' || value instanceof Date) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, part]) => part !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, part]) => [name, sorted(part)]),
  )
}

/** JSON in which dates and big integers survive. */
function encode(value: unknown): string {
  return JSON.stringify(marked(value))
}

function marked(value: unknown): unknown {
  if (value instanceof Date) return { [DATE]: value.toISOString() }
  if (typeof value === 'bigint') return { [BIGINT]: value.toString() }
  if (Array.isArray(value)) return value.map(marked)
  if (value === null || typeof value !== 'object') return value
  // A caller's own name that looks like a mark gets one mark more.
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name.startsWith(MARK) ? MARK + name : name, marked(part)]))
}

function decode(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(decode)
  if (value === null || typeof value !== 'object') return value
  if (DATE in value) return new Date(value[DATE] as string)
  if (BIGINT in value) return BigInt(value[BIGINT] as string)
  return Object.fromEntries(
    Object.entries(value).map(([name, part]) => [name.startsWith(MARK) ? name.slice(MARK.length) : name, decode(part)]),
  )
}
