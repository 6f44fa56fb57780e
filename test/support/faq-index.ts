import { afterAll } from '@jest/globals'
import type { FaqRepository, ServedEntry } from '../../src/faq/faq.repository.js'
import { FaqIndex } from '../../src/faq/faq-index.js'
import { silentLog } from '../../src/platform/log.js'
import { createPool, type Pool } from '../../src/platform/pool.js'

const indexes: FaqIndex[] = []
let pool: Pool | undefined
afterAll(async () => {
  for (const index of indexes) index.stop()
  await pool?.close()
})

/** The index as it serves, over entries that are given instead of stored; their ids are their places. */
export async function servedFaq(entries: readonly Partial<ServedEntry>[]): Promise<FaqIndex> {
  const rows = entries.map((entry, at) => ({
    alternatives: [],
    locale: 'en',
    channel: null,
    validFrom: null,
    validTo: null,
    ...entry,
    id: `${at}`,
    answer: `answer ${at}`,
  }))
  const repository = { mark: async () => 'one', served: async () => rows, judged: async () => [] } as unknown as FaqRepository
  pool ??= createPool(2)
  const index = new FaqIndex({ repository, pool, signals: { on: () => () => {} }, log: silentLog, maximumError: 0.05 })
  indexes.push(index)
  await index.start()
  return index
}
