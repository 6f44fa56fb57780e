import { existsSync } from 'node:fs'
import { expect, test } from '@jest/globals'
import { answering, stackTask } from '../../../src/commands/protocols/faq.js'
import { servedFaq } from '../../support/faq-index.js'

const FOLDER = '../shared/data/stackfaq'
const measurable = existsSync(FOLDER) ? test : test.skip
const now = new Date('2026-01-01')

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
      const index = await servedFaq(texts.map(([question, ...alternatives]) => ({ question, alternatives })))
      const searches = await Promise.all(questions.map(({ text }) => index.search(text, { now, language: null, channel: null })))
      const [{ threshold, isJudged }] = searches
      expect(isJudged).toBe(true)
      const answers = new Map(
        searches.map(({ found, confidence, isNear }, at) => [
          questions[at].text,
          { entries: Int32Array.from(found, ({ entry }) => Number(entry.id)), confidence, isNear },
        ]),
      )
      const search = (question: string) => answers.get(question) as NonNullable<ReturnType<typeof answers.get>>
      rounds.push({ index: { threshold, search }, questions })
    }
    const { error, coverage, precisionAt1 } = answering(rounds)
    // Measured .048, .19 and .93; the configured error is .05. One round alone has up to .088: two of the entries left out in it have a twin among the others.
    expect(error).toBeLessThanOrEqual(0.06)
    expect(coverage).toBeGreaterThan(0.15)
    expect(precisionAt1).toBeGreaterThan(0.92)
  },
  240_000,
)
