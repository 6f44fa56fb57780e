import { existsSync } from 'node:fs'
import { afterAll, expect, test } from '@jest/globals'
import { buildPhrasings } from '../../../src/algorithms/text/index.js'
import { answering, stackTask } from '../../../src/commands/protocols/faq.js'
import type { FaqRepository, ServedEntry } from '../../../src/faq/faq.repository.js'
import { FaqIndex } from '../../../src/faq/faq-index.js'
import { silentLog } from '../../../src/platform/log.js'
import type { Pool } from '../../../src/platform/pool.js'

const FOLDER = '../shared/data/stackfaq'
const measurable = existsSync(FOLDER) ? test : test.skip
const now = new Date('2026-01-01')

/** The index as it serves, over entries that are given instead of stored. */
async function served(entries: readonly string[][]): Promise<FaqIndex> {
  const rows = entries.map(
    ([question, ...alternatives], at) =>
      ({
        id: `${at}`,
        question,
        alternatives,
        answer: `answer ${at}`,
        locale: 'en',
        channel: null,
        validFrom: null,
        validTo: null,
      }) as unknown as ServedEntry,
  )
  const repository = { mark: async () => 'one', served: async () => rows, judged: async () => [] } as unknown as FaqRepository
  const pool = {
    run: async ({ args }: { args: Parameters<typeof buildPhrasings> }) => ({ result: buildPhrasings(...args) }),
  } as unknown as Pool
  const index = new FaqIndex({ repository, pool, signals: { on: () => () => {} }, log: silentLog, maximumError: 0.05 })
  indexes.push(index)
  await index.start()
  return index
}

const indexes: FaqIndex[] = []
afterAll(() => {
  for (const index of indexes) index.stop()
})

measurable(
  'unseen questions of StackFAQ, a fifth of whose entries are left out, are answered with few errors and not by silence',
  async () => {
    const rounds = []
    for (let round = 0; round < 5; round++) {
      const { phrasings, questions } = stackTask(FOLDER, round)
      const texts: string[][] = []
      phrasings.texts.forEach((text, at) => {
        texts[phrasings.entries[at]] = [...(texts[phrasings.entries[at]] ?? []), text]
      })
      const index = await served(texts)
      const asked = (question: string) => index.search(question, { now, language: null, channel: null })
      expect(asked(questions[0].text).isJudged).toBe(true)
      const search = (question: string) => {
        const { found, confidence, isNear } = asked(question)
        return { entries: Int32Array.from(found, ({ entry }) => Number(entry.id)), confidence, isNear }
      }
      rounds.push({ index: { threshold: asked(questions[0].text).threshold, search }, questions })
    }
    const { error, coverage, precisionAt1 } = answering(rounds)
    // Measured .042, .35 and .93; the configured error is .05. One round alone has up to .097: two of the entries left out in it have a twin among the others.
    expect(error).toBeLessThanOrEqual(0.06)
    expect(coverage).toBeGreaterThan(0.25)
    expect(precisionAt1).toBeGreaterThan(0.92)
  },
  240_000,
)

test('few phrasings are served by retrieval alone', async () => {
  const index = await served([['How do I return an article?'], ['Where is my parcel?', 'track my order']])
  const { found, isJudged } = index.search('where is my parcel', { now, language: null, channel: null })
  expect(isJudged).toBe(false)
  expect(found[0].entry.id).toBe('1')
})
