import { InvalidInput } from '../platform/errors.js'
import type { Cursor } from './connection.js'

/** The integer id of a cursor's row; a forged one is the same error as any malformed cursor. */
export function intIdOf([, id]: Cursor): number {
  const key = Number(id)
  if (!/^\d{1,10}$/.test(id) || key > 2_147_483_647) throw malformed()
  return key
}

/** The time that a cursor's list is sorted by, as text that PostgreSQL reads. */
export function timeOf([time]: Cursor): string {
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(time) || Number.isNaN(Date.parse(time)) || time.startsWith('0000')) throw malformed()
  return time
}

function malformed() {
  return new InvalidInput('after is not a cursor of this list', {}, ['after'])
}
