import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createRandom } from '../../src/algorithms/math/random.js'
import type { LabelledTexts } from '../../src/algorithms/text/classifier.js'
import { lexicon } from '../../src/algorithms/text/lexicon.js'
import { textBlend } from '../../src/algorithms/text/linear-classifiers.js'
import { fitLinearText } from '../../src/algorithms/text/linear-model.js'
import { PhrasingIndex } from '../../src/algorithms/text/retrieval.js'
import { csvRows, labelled, linesIn, type Pair } from '../../src/commands/protocols/texts.js'
import { type Benchmark, median } from './bench.js'
import { pythonWith } from './seed-method.js'

const ROUNDS = 3
const DATA = '../shared/data'
const ENTRIES = 10_000

/** Short reviews a second on one thread: the word lists and a learned blend, normalising and tokenising included. */
export const sentimentSpeed: Benchmark = {
  name: 'sentiment',
  run: async ({ smoke }) => {
    const { train, test } = reviews(smoke)
    const short = test.filter(text => text.length <= 60)
    const texts = Array.from({ length: smoke ? 50 : 20_000 }, (_, at) => short[at % short.length])
    return [lexicon, textBlend].map(algorithm => {
      const model = algorithm.fit(train, {}, createRandom(1))
      const rates = Array.from({ length: smoke ? 1 : ROUNDS }, () => {
        const startedAt = performance.now()
        for (const text of texts) model.classify(text)
        return (1000 * texts.length) / (performance.now() - startedAt)
      })
      return {
        benchmark: `sentiment of short reviews (at most 60 characters), one thread, ${algorithm.name}`,
        ours: perSecond(median(rates)),
        peer: '–',
        ratio: '–',
        bar: '≥ 20,000/s',
      }
    })
  },
}

/** Learning sentiment from Chinese reviews, beside scikit-learn with the same n-grams, weights, loss and cost. */
export const sentimentTraining: Benchmark = {
  name: 'sentiment-training',
  run: async ({ smoke }) => {
    const { train } = reviews(smoke)
    const features = { words: 0, hanCharacters: 3, characters: 3, acrossWords: true, minimumTexts: 2, mostFeatures: 2_000_000 }
    const options = { features, heads: [{ weighting: 'tfidf', loss: 'squared-hinge', cost: 0.5, channels: [1, 1] } as const] }
    const once = () => {
      const startedAt = performance.now()
      fitLinearText('bench/1', train, options)
      return (performance.now() - startedAt) / 1000
    }
    if (smoke) {
      once()
      return []
    }
    const python = pythonWith('sklearn')
    const folder = mkdtempSync(join(tmpdir(), 'bellwether-text-'))
    try {
      const file = join(folder, 'texts.json')
      writeFileSync(file, JSON.stringify({ texts: train.texts, labels: [...train.labels] }))
      const [ours, theirs]: [number[], number[]] = [[], []]
      for (let round = 0; round < ROUNDS; round++) {
        ours.push(once())
        if (python) theirs.push(secondsOf(python, file))
      }
      return [
        {
          benchmark: `learning sentiment from ${train.texts.length} texts, characters 1–3, tf-idf, support vector machine; ours with its calibration`,
          ours: `${median(ours).toFixed(2)} s`,
          peer: python ? `${median(theirs).toFixed(2)} s, scikit-learn, not calibrated` : 'no Python with scikit-learn here',
          ratio: python ? `${(median(theirs) / median(ours)).toFixed(2)} ×` : '–',
          bar: '≥ 1 ×',
        },
      ]
    } finally {
      rmSync(folder, { recursive: true })
    }
  },
}

/** Questions a second that an index of 10,000 entries answers on one thread. */
export const retrievalSpeed: Benchmark = {
  name: 'retrieval',
  run: async ({ smoke }) => {
    const { texts, questions } = smoke ? madeQuestions() : questionsIn()
    const phrasings = { entryCount: texts.length, texts, entries: Int32Array.from(texts.keys()) }
    const index = PhrasingIndex.build(phrasings)
    const milliseconds: number[] = []
    for (let round = 0; round < (smoke ? 1 : ROUNDS); round++) {
      for (const question of questions) {
        const startedAt = performance.now()
        index.search(question, 5)
        milliseconds.push(performance.now() - startedAt)
      }
    }
    if (smoke) return []
    milliseconds.sort((a, b) => a - b)
    const mean = milliseconds.reduce((sum, each) => sum + each, 0) / milliseconds.length
    return [
      {
        benchmark: `best answers among ${texts.length} entries, one thread`,
        ours: `${perSecond(1000 / mean)}, p99 ${milliseconds[Math.floor(0.99 * milliseconds.length)].toFixed(2)} ms`,
        peer: '–',
        ratio: '–',
        bar: '≥ 2,000/s on two cores',
      },
    ]
  },
}

function reviews(smoke: boolean): { train: LabelledTexts; test: string[] } {
  const folder = join(DATA, 'online_shopping_10_cats')
  if (smoke || !existsSync(folder)) return madeReviews()
  const pairs = csvRows(folder, 'online_shopping_10_cats.csv', ['review', 'label']).map(({ review, label }): Pair => [review, label])
  const [train] = labelled(pairs.filter(([text]) => text.trim() !== ''))
  return { train, test: train.texts.filter((_, at) => at % 10 === 0) }
}

function madeReviews(): { train: LabelledTexts; test: string[] } {
  const random = createRandom(3)
  const words = { good: '质量 很好 喜欢 满意 great love it'.split(' '), bad: '太差 失望 退货 垃圾 awful broke bad'.split(' ') }
  const pairs = Array.from({ length: 400 }, (_, at): Pair => {
    const list = at % 2 === 0 ? words.good : words.bad
    return [Array.from({ length: 8 }, () => list[random.below(list.length)]).join(' '), at % 2 === 0 ? '1' : '0']
  })
  const [train] = labelled(pairs)
  return { train, test: [...train.texts] }
}

function questionsIn(): { texts: string[]; questions: string[] } {
  const folder = join(DATA, 'zh_questions', 'LCQMC')
  if (!existsSync(folder)) return madeQuestions()
  const pairs = linesIn(folder, 'test.txt').map(line => line.split('\t'))
  const texts = [...new Set(pairs.map(([, text]) => text))].slice(0, ENTRIES)
  return { texts, questions: [...new Set(pairs.map(([text]) => text))].slice(0, 2_000) }
}

function madeQuestions(): { texts: string[]; questions: string[] } {
  const random = createRandom(4)
  const made = (count: number) => Array.from({ length: count }, () => Array.from({ length: 8 }, () => `w${random.below(2_000)}`).join(' '))
  return { texts: made(1_000), questions: made(100) }
}

function secondsOf(python: string, file: string): number {
  const { status, stdout, stderr } = spawnSync(python, ['test/bench/peers/text.py', file], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`The peer failed: ${stderr}`)
  return (JSON.parse(stdout) as { seconds: number }).seconds
}

function perSecond(rate: number): string {
  return `${Math.round(rate).toLocaleString('en')}/s`
}
