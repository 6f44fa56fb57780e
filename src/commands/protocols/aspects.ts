import { join } from 'node:path'
import { accuracy, ece, macroF1 } from '../../algorithms/evaluate/classification.js'
import { AspectPolarity, type JudgedTargets } from '../../algorithms/text/aspect-polarity.js'
import { aspectsOf } from '../../algorithms/text/aspects.js'
import { best } from '../../algorithms/text/classifier.js'
import { type Method, measured, type Protocol, ProtocolError } from './protocol.js'
import { linesIn } from './texts.js'

const DATA = '../shared/data/absa/en'
const LABELS = ['negative', 'neutral', 'positive']
const PARTS: Readonly<Record<string, string>> = { laptop14: 'Laptops', restaurant14: 'Restaurants', television: 'Television' }

interface Task {
  train: JudgedTargets
  test: JudgedTargets
}

const methods: readonly Method<Task>[] = [
  {
    name: 'majority',
    run: ({ train, test }) => {
      const counts = LABELS.map((_, label) => train.labels.filter(each => each === label).length)
      const { label } = best(counts)
      return measure(
        test,
        test.texts.map(() => Float64Array.from(counts, (count, at) => (at === label ? 1 : 0) * 0.5 + (0.5 * count) / train.labels.length)),
      )
    },
  },
  {
    name: 'lexicon',
    run: ({ test }) =>
      measure(
        test,
        test.texts.map((text, at) => {
          const term = text.slice(test.starts[at], test.ends[at])
          const found = aspectsOf(text, { mined: [term] })
          const mention = found.find(each => each.aspect === term) ?? found.find(each => term.toLowerCase().includes(each.term))
          const own = LABELS.indexOf(mention?.polarity ?? 'neutral')
          return Float64Array.from(LABELS, (_, label) => (label === own ? 0.6 : 0.2))
        }),
      ),
  },
  {
    name: 'aspect-polarity',
    run: ({ train, test }) => {
      const model = AspectPolarity.fit(train)
      return measure(
        test,
        test.texts.map((text, at) => model.classify(text, test.starts[at], test.ends[at])),
      )
    },
  },
]

/** SemEval 2014 (Pontiki et al.) and television reviews: the polarity of a given aspect in its sentence. */
export const aspects: Protocol = {
  name: 'aspects',
  about: 'polarity of aspects: Laptop14, Restaurant14, television reviews',
  run: function* ({ data = DATA, methods: wanted }) {
    for (const [part, name] of Object.entries(PARTS)) {
      const [train, test] = [targetsIn(data, `${name}_Train.xml.seg`), targetsIn(data, `${name}_Test_Gold.xml.seg`)]
      yield* measured('aspects', methods, { train, test }, wanted, part)
    }
  },
}

function measure({ labels }: JudgedTargets, probabilities: readonly Float64Array[]): Record<string, number> {
  const chosen = probabilities.map(best)
  const predicted = chosen.map(({ label }) => label)
  return {
    accuracy: accuracy(labels, predicted),
    macroF1: macroF1(labels, predicted),
    ece: ece(
      predicted.map((label, at) => Number(label === labels[at])),
      chosen.map(({ confidence }) => confidence),
    ),
  }
}

/** Three lines a target: the sentence with $T$ in the target's place, the target, its polarity as a word or as −1, 0, 1. */
function targetsIn(folder: string, name: string): JudgedTargets {
  const lines = linesIn(folder, name).map(line => line.trim())
  const rows = Array.from({ length: Math.floor(lines.length / 3) }, (_, row) => {
    const [sentence, term, polarity] = lines.slice(3 * row, 3 * row + 3)
    const start = sentence.indexOf('$T$')
    const label = LABELS.indexOf(
      ({ 1: 'positive', 0: 'neutral', '-1': 'negative' } as Record<string, string>)[polarity] ?? polarity.toLowerCase(),
    )
    if (start < 0 || label < 0)
      throw new ProtocolError(`${join(folder, name)} line ${3 * row + 1} is no target with a polarity: ${sentence.slice(0, 60)}`)
    return { text: sentence.replace('$T$', () => term), start, end: start + term.length, label }
  })
  return {
    texts: rows.map(({ text }) => text),
    starts: Int32Array.from(rows, ({ start }) => start),
    ends: Int32Array.from(rows, ({ end }) => end),
    labels: Int32Array.from(rows, ({ label }) => label),
    labelNames: LABELS,
  }
}
