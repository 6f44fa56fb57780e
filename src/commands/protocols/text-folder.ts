import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fnv1a } from '../../algorithms/math/random.js'
import { intentAlgorithms, sentimentAlgorithms } from '../../algorithms/text/index.js'
import { PhrasingIndex } from '../../algorithms/text/retrieval.js'
import { type ScopedTexts, scopedMethods } from './abstention.js'
import { type Method, measured, type Protocol, ProtocolError } from './protocol.js'
import { entriesOf, type Query, type Search, searchMethods } from './retrieval.js'
import { classified, csvRows, labelled, type Pair, pairsIn } from './texts.js'

/** The label of texts that no other label is right for. */
const OUT_OF_SCOPE = 'oos'

/** Sentiment on anybody's own train.csv and test.csv, any number of labels. */
export const sentiment: Protocol = {
  name: 'sentiment',
  about: 'sentiment on a folder with train.csv and test.csv: text,label',
  run: function* ({ data, methods }) {
    const { train, test } = setsIn(data)
    const [learn, probe] = labelled(train, test)
    yield* classified('sentiment', sentimentAlgorithms, [{ train: learn, test: probe }], methods)
  },
}

/** Intents on anybody's own folder; with texts labelled oos, silence is measured too. */
export const intent: Protocol = {
  name: 'intent',
  about: 'intents on a folder with train.csv, test.csv, optional valid.csv: text,label; the label oos is out of scope',
  run: function* ({ data, methods }) {
    const { train, valid, test } = setsIn(data)
    const isInside = ([, label]: Pair) => label !== OUT_OF_SCOPE
    if (![...train, ...test, ...(valid ?? [])].some(pair => !isInside(pair))) {
      const [learn, probe] = labelled([...train, ...(valid ?? [])], test)
      yield* classified('intent', intentAlgorithms, [{ train: learn, test: probe }], methods)
      return
    }
    // Without texts of its own the threshold is chosen on a tenth of the training texts, and on those out of scope among them.
    const held = valid ?? train.filter(pair => !isInside(pair) || fnv1a(pair[0]) % 10 === 1)
    const learned = valid ? train : train.filter(pair => isInside(pair) && fnv1a(pair[0]) % 10 !== 1)
    const [learn] = labelled(learned.filter(isInside))
    if (learn.texts.length === 0) throw new ProtocolError(`${join(data ?? '', 'train.csv')} has no label but ${OUT_OF_SCOPE}`)
    const numbers = new Map(learn.labelNames.map((name, at) => [name, at]))
    const scopedTexts = (pairs: readonly Pair[]): ScopedTexts => ({
      texts: pairs.map(([text]) => text),
      labels: Int32Array.from(pairs, ([, label]) => numbers.get(label) ?? -1),
    })
    yield* measured('intent', scopedMethods, { train: learn, valid: scopedTexts(held), test: scopedTexts(test) }, methods)
  },
}

/** Retrieval on anybody's own entries.csv and queries.csv; queries of the id oos have no answer. */
export const retrieval: Protocol = {
  name: 'retrieval',
  about: 'retrieval on a folder with entries.csv: id,text (one row a phrasing) and queries.csv: text,id; the id oos has no answer',
  run: function* ({ data, methods }) {
    const folder = given(data, 'entries.csv and queries.csv')
    const { phrasings, ids } = entriesOf(csvRows(folder, 'entries.csv', ['id', 'text']).map(({ id, text }): Pair => [text, id.trim()]))
    const numbers = new Map(ids.map((id, at) => [id, at]))
    const outside: string[] = []
    const queries = csvRows(folder, 'queries.csv', ['text', 'id']).flatMap(({ text, id }, at): Query[] => {
      const entry = numbers.get(id.trim())
      if (entry !== undefined) return [{ text, relevant: new Set([entry]) }]
      if (id.trim() !== OUT_OF_SCOPE)
        throw new ProtocolError(`${join(folder, 'queries.csv')} row ${at + 1}: there is no entry ${JSON.stringify(id.slice(0, 60))}`)
      outside.push(text)
      return []
    })
    if (queries.length === 0) throw new ProtocolError(`${join(folder, 'queries.csv')} has no query that an entry answers`)
    yield* measured('retrieval', searchMethods.map(withSilence(outside)), { phrasings, queries }, methods)
  },
}

/** Adds how the calibrated index does when it answers only from its own threshold on. */
function withSilence(outside: readonly string[]): (method: Method<Search>) => Method<Search> {
  return method => ({
    ...method,
    run: input => {
      const metrics = method.run(input)
      if (method.name !== 'phrasings') return metrics
      const index = PhrasingIndex.build(input.phrasings)
      let [answers, wrong, silent] = [0, 0, 0]
      const ask = (text: string, relevant?: ReadonlySet<number>) => {
        const { entries, confidence } = index.search(text, 2)
        if (confidence < index.threshold) return true
        answers++
        if (!relevant?.has(entries[0])) wrong++
        return false
      }
      for (const { text, relevant } of input.queries) ask(text, relevant)
      for (const text of outside) if (ask(text)) silent++
      return {
        ...metrics,
        errorAt5: answers > 0 ? wrong / answers : 0,
        coverageAt5: answers / (input.queries.length + outside.length),
        ...(outside.length > 0 ? { oosRecall: silent / outside.length } : {}),
      }
    },
  })
}

function setsIn(data: string | undefined): { train: Pair[]; valid?: Pair[]; test: Pair[] } {
  const folder = given(data, 'train.csv and test.csv')
  return {
    train: pairsIn(folder, 'train.csv'),
    ...(existsSync(join(folder, 'valid.csv')) ? { valid: pairsIn(folder, 'valid.csv') } : {}),
    test: pairsIn(folder, 'test.csv'),
  }
}

function given(data: string | undefined, files: string): string {
  if (!data) throw new ProtocolError(`Give the folder of your data by --data FOLDER; it holds ${files}`)
  return data
}
