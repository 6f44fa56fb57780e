import { join } from 'node:path'
import { fnv1a } from '../../algorithms/math/random.js'
import { sentimentAlgorithms } from '../../algorithms/text/index.js'
import { type Protocol, ProtocolError } from './protocol.js'
import { classified, csvRows, labelled, linesIn, type Pair, type TextSplit } from './texts.js'

const FOLDS = 10
const CHINESE = '../shared/data/online_shopping_10_cats'
const ENGLISH = '../shared/data/en_reviews'
const NAMES: Readonly<Record<string, string>> = { 0: 'negative', 1: 'positive' }

/** Chinese shopping reviews of ten categories; without white space, doubles and texts of both labels; fold 0 of the split hash is the test. */
export const sentimentZh: Protocol = {
  name: 'sentiment-zh',
  about: 'online_shopping_10_cats: Chinese reviews, positive or negative',
  run: function* ({ data = CHINESE, methods }) {
    const rows = csvRows(data, 'online_shopping_10_cats.csv', ['review', 'label'])
    const labels = new Map<string, Set<string>>()
    const pairs = rows.flatMap(({ review, label }, at): Pair[] => {
      const text = review.replace(/[\s\ufeff]+/g, '')
      if (text === '') return []
      if (!NAMES[label])
        throw new ProtocolError(`${join(data, 'online_shopping_10_cats.csv')} row ${at + 1}: label is ${JSON.stringify(label)}`)
      labels.set(text, (labels.get(text) ?? new Set()).add(label))
      return [[text, NAMES[label]]]
    })
    const once = new Map(pairs.filter(([text]) => labels.get(text)?.size === 1))
    yield* classified('sentiment-zh', sentimentAlgorithms, [byHash([...once], 0)], methods)
  },
}

/** SST-2 with its official split, and the product reviews CR by ten folds of the split hash. */
export const sentimentEn: Protocol = {
  name: 'sentiment-en',
  about: 'SST-2 (official split) and CR (ten folds): English sentences, positive or negative',
  run: function* ({ data = ENGLISH, methods }) {
    const [train, test] = labelled(sentencesIn(data, 'stsa.binary.train'), sentencesIn(data, 'stsa.binary.test'))
    yield* classified('sentiment-en', sentimentAlgorithms, [{ train, test }], methods, 'sst-2')
    const reviews = sentencesIn(data, 'custrev.all')
    const folds = Array.from({ length: FOLDS }, (_, fold) => byHash(reviews, fold))
    yield* classified('sentiment-en', sentimentAlgorithms, folds, methods, 'cr')
  },
}

function byHash(pairs: readonly Pair[], fold: number): TextSplit {
  const folds = pairs.map(([text]) => fnv1a(text) % FOLDS)
  const [train, test] = labelled(
    pairs.filter((_, at) => folds[at] !== fold),
    pairs.filter((_, at) => folds[at] === fold),
  )
  return { train, test }
}

/** Lines of "label text" in Latin-1. */
function sentencesIn(folder: string, name: string): Pair[] {
  return linesIn(folder, name, 'latin1').map((line, at) => {
    const label = NAMES[line.slice(0, 1)]
    if (!label || line[1] !== ' ') throw new ProtocolError(`${join(folder, name)} line ${at + 1} is not "label text": ${line.slice(0, 60)}`)
    return [line.slice(2), label]
  })
}
