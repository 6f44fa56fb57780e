import { join } from 'node:path'
import { fnv1a } from '../../algorithms/math/random.js'
import { riskCoverage } from '../../algorithms/text/abstention.js'
import type { LabelledTexts } from '../../algorithms/text/classifier.js'
import { PhrasingIndex, type Phrasings, shopRetrieval } from '../../algorithms/text/retrieval.js'
import { type Method, measured, type Protocol } from './protocol.js'
import { phrasingsOf, stackFaqEntries } from './retrieval.js'
import { csvRows, labelled, linesIn, type Pair } from './texts.js'

const DATA = '../shared/data'
/** Share of wrong answers that is asked for: the default of `BELLWETHER_FAQ_MAX_ERROR`. */
const MAXIMUM_ERROR = 0.05
/** Of five entries of StackFAQ one is left out, each in one of five rounds: what asks for it has no answer, and lies near those that stay. */
const ROUNDS = 5
/** So many times other phrasings of Banking77 are drawn: one draw may be a lucky one. */
const DRAWS = 3

/** Entries with their phrasings, and questions of which none is a phrasing; entry −1: nothing answers it. */
export interface FaqTask {
  phrasings: Phrasings
  questions: readonly { text: string; entry: number }[]
}

/** Something that answers: entries best first, and the probability that the first is right. */
interface Asked {
  threshold: number
  search(question: string, count: number): { entries: Int32Array; confidence: number; isNear: boolean }
}

/**
 * The index as `faqAnswer` builds and asks it: how often it answers at the configured error, and how often wrongly. The questions of all rounds together;
 * which phrasings were drawn, or which entries happen to be left out, decides little then.
 */
const served: Method<readonly FaqTask[]> = {
  name: 'served',
  run: tasks => {
    const rounds = tasks.map(asServed)
    const errors = rounds.map(round => answering([round]).error)
    return { ...answering(rounds), leastError: Math.min(...errors), mostError: Math.max(...errors) }
  },
}

function asServed({ phrasings, questions }: FaqTask): Round {
  return { index: PhrasingIndex.build(phrasings, shopRetrieval, MAXIMUM_ERROR), questions }
}

interface Round {
  index: Asked
  questions: FaqTask['questions']
}

/**
 * Error and coverage at the threshold, all questions as they are, and with those that nothing answers weighed as half of all, as the threshold assumes; the
 * coverage of what can be answered; how many of what cannot be are answered; and what could be covered if the threshold were chosen on these questions.
 */
export function answering(rounds: readonly Round[]): Record<string, number> {
  const answers = rounds.flatMap(({ index, questions }) =>
    questions.map(({ text, entry }) => {
      const { entries, confidence, isNear } = index.search(text, 4)
      const isGiven = confidence >= index.threshold && isNear
      return { confidence, isGiven, isRight: entry >= 0 && entries[0] === entry, isOutside: entry < 0 }
    }),
  )
  const outside = answers.filter(({ isOutside }) => isOutside).length
  const inside = answers.length - outside
  const given = answers.filter(({ isGiven }) => isGiven)
  const wrong = given.filter(({ isRight }) => !isRight).length
  const givenOutside = given.filter(({ isOutside }) => isOutside).length
  const weight = outside > 0 ? inside / outside : 1
  const weighed = (count: number, amongOutside: number) => count + (weight - 1) * amongOutside
  const points = riskCoverage(answers).filter(({ risk }) => risk <= MAXIMUM_ERROR)
  return {
    error: wrong / Math.max(1, given.length),
    coverage: given.length / answers.length,
    errorHalfOutside: weighed(wrong, givenOutside) / Math.max(1, weighed(given.length, givenOutside)),
    insideCoverage: (given.length - givenOutside) / inside,
    outsideAnswered: outside > 0 ? givenOutside / outside : 0,
    precisionAt1: answers.filter(({ isRight }) => isRight).length / inside,
    bestCoverage: Math.max(0, ...points.map(({ coverage }) => coverage)),
    threshold: rounds.reduce((sum, { index }) => sum + index.threshold, 0) / rounds.length,
  }
}

/** Columns are text and category. */
function pairs(folder: string, name: string): Pair[] {
  return csvRows(folder, name, ['text', 'category']).map(({ text, category }) => [text.trim(), category.trim()])
}

/**
 * The FAQ as it is served, asked unseen questions, those included that no entry answers. Of Banking77 the fifty intents that Banking77-OOS keeps are the entries; labels and texts are
 * Banking77's own, as that folder's training labels are shifted against its texts in places.
 */
export const faq: Protocol = {
  name: 'faq',
  about: 'the FAQ as served, at 5 % of error: Banking77 and StackFAQ as entries, unseen questions, some that nothing answers',
  run: function* ({ data = DATA, methods }) {
    const answerable = new Set(linesIn(join(data, 'banking77-oos', 'train'), 'label').map(label => label.trim()))
    const [train, test] = labelled(pairs(join(data, 'banking77'), 'train.csv'), pairs(join(data, 'banking77'), 'test.csv'))
    const entryOf = ({ labels, labelNames }: LabelledTexts, at: number) => (answerable.has(labelNames[labels[at]]) ? labels[at] : -1)
    const questions = [
      ...test.texts.map((text, at) => ({ text, entry: entryOf(test, at) })),
      ...linesIn(join(data, 'banking77-oos', 'ood-oos', 'test'), 'seq.in').map(text => ({ text: text.trim(), entry: -1 })),
    ]
    const drawn = (draw: number, most: number): FaqTask => {
      // In the order of their hashes: the files are sorted by what is asked.
      const places = train.texts.map(text => fnv1a(draw === 0 ? text : `${draw}|${text}`))
      const counts = new Int32Array(train.labelNames.length)
      const order = [...train.texts.keys()].sort((a, b) => places[a] - places[b])
      const chosen = order.filter(at => entryOf(train, at) >= 0 && counts[train.labels[at]]++ < most)
      return { phrasings: phrasingsOf(chosen.map(at => [train.texts[at], train.labels[at]] as const)), questions }
    }
    for (const most of [4, 10, 20]) {
      const draws = Array.from({ length: DRAWS }, (_, draw) => drawn(draw, most))
      yield* measured('faq', [served], draws, methods, `banking77, ${most} phrasings`)
    }
    yield* measured('faq', [served], [drawn(0, Number.POSITIVE_INFINITY)], methods, 'banking77, all phrasings')
    const rounds = Array.from({ length: ROUNDS }, (_, round) => stackTask(join(data, 'stackfaq'), round))
    yield* measured('faq', [served], rounds, methods, 'stackfaq')
  },
}

/** The question and every other rephrasing are an entry; the rest is asked. */
export function stackTask(folder: string, round: number): FaqTask {
  const rows: [text: string, entry: number][] = []
  const questions: { text: string; entry: number }[] = []
  let count = 0
  stackFaqEntries(folder).forEach(({ question, others }, at) => {
    if (at % ROUNDS === round) {
      for (const text of [question, ...others]) questions.push({ text, entry: -1 })
      return
    }
    const entry = count++
    rows.push([question, entry])
    others.forEach((text, place) => {
      if (place % 2 === 0) rows.push([text, entry])
      else questions.push({ text, entry })
    })
  })
  const known = new Set(rows.map(([text]) => text))
  return { phrasings: phrasingsOf(rows), questions: questions.filter(({ text }) => !known.has(text)) }
}
