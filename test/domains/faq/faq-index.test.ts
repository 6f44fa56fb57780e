import { describe, expect, test } from '@jest/globals'
import type { FaqIndex } from '../../../src/faq/faq-index.js'
import { servedFaq } from '../../support/faq-index.js'

const now = new Date('2026-01-01')
const ask = (index: FaqIndex, question: string, asked: { now?: Date; language?: string; channel?: string } = {}) =>
  index.search(question, { now, language: null, channel: null, ...asked })

test('few phrasings are served by retrieval alone', async () => {
  const index = await servedFaq([
    { question: 'How do I return an article?' },
    { question: 'Where is my parcel?', alternatives: ['track my order'] },
  ])
  const { found, isJudged } = await ask(index, 'where is my parcel')
  expect(isJudged).toBe(false)
  expect(found[0].entry.id).toBe('1')
})

// Few are searched where they are asked for, many in a thread that keeps them.
describe.each([0, 600])('beside %i other entries', others => {
  const entries = [
    { question: 'Where is my parcel?', alternatives: ['track my order'] },
    { question: 'Is there a winter sale?', validFrom: new Date('2025-12-01'), validTo: new Date('2026-01-02') },
    { question: 'How do I install the telephone app?', channel: 'app' },
    { question: '退货地址在哪里？', locale: 'zh-CN' },
    ...Array.from({ length: others }, (_, at) => ({ question: `What does the article number ${at} weigh?` })),
  ]
  let index: FaqIndex
  const first = async (question: string, asked?: Parameters<typeof ask>[2]) => {
    index ??= await servedFaq(entries)
    return (await ask(index, question, asked)).found[0]?.entry.question
  }

  test('the nearest entry is found, by its nearest phrasing, with the words that are shared', async () => {
    expect(await first('where is the parcel')).toBe('Where is my parcel?')
    const { found, matchedTerms, confidence, threshold } = await ask(index, 'please track my order')
    expect(found[0]).toMatchObject({ entry: { id: '0' }, phrasing: 'track my order' })
    expect([...matchedTerms].sort()).toEqual(['order', 'track'])
    expect(confidence).toBeGreaterThan(0)
    expect(threshold).toBeGreaterThan(0)
  })

  test('an entry is found only while it holds, in its language and its channel', async () => {
    const sale = 'Is there a winter sale?'
    expect(await first(sale)).toBe(sale)
    expect(await first(sale, { now: new Date('2025-11-30') })).not.toBe(sale)
    expect(await first(sale, { now: new Date('2026-01-02') })).not.toBe(sale)
    const app = 'How do I install the telephone app?'
    expect(await first(app)).not.toBe(app)
    expect(await first(app, { channel: 'web' })).not.toBe(app)
    expect(await first(app, { channel: 'app' })).toBe(app)
    expect(await first('退货地址', { language: 'zh' })).toBe('退货地址在哪里？')
    expect(await first('退货地址', { language: 'en' })).not.toBe('退货地址在哪里？')
  })

  test('a question of nothing that is known finds nothing', async () => {
    await first('')
    for (const question of ['', '🙂', '\u200f', 'x'.repeat(2_000)]) {
      const { found, confidence, matchedTerms } = await ask(index, question)
      expect({ found: found.length, confidence, matchedTerms }).toEqual({ found: 0, confidence: 0, matchedTerms: [] })
    }
  })
})
