import { join } from 'node:path'
import { createRandom } from '../../algorithms/math/random.js'
import { PhrasingIndex, type Phrasings, type RetrievalOptions } from '../../algorithms/text/retrieval.js'
import { type Method, measured, type Protocol, ProtocolError } from './protocol.js'
import { linesIn, type Pair, SEED, textOf } from './texts.js'

const DATA = '../shared/data'
const DEPTH = 100

/** A question, the entries that answer it, and the phrasing that is the question itself and may not be found. */
export interface Query {
  text: string
  relevant: ReadonlySet<number>
  own?: number
}

export interface Search {
  phrasings: Phrasings
  queries: readonly Query[]
}

const engines: Readonly<Record<string, Partial<RetrievalOptions>>> = {
  'bm25-words': { characters: 0, support: 0 },
  bm25: { support: 0 },
  phrasings: {},
}

/** One row by chance, then the engines: P@1, hit@5 and MRR@10, and how many questions a second are answered. */
export const searchMethods: readonly Method<Search>[] = [
  {
    name: 'chance',
    run: ({ phrasings, queries }) => {
      const random = createRandom(SEED)
      return ranked(queries, () => Int32Array.from({ length: 10 }, () => random.below(phrasings.entryCount)))
    },
  },
  ...Object.entries(engines).map(
    ([name, options]): Method<Search> => ({
      name,
      run: ({ phrasings, queries }) => {
        const index = PhrasingIndex.build(phrasings, options)
        const startedAt = performance.now()
        const metrics = ranked(
          queries,
          ({ text, own }) => index.search(text, DEPTH, own === undefined ? undefined : each => each === own).entries,
        )
        const queriesPerSecond = Math.round((1000 * queries.length) / (performance.now() - startedAt))
        return { ...metrics, queriesPerSecond, kilobytes: Math.round(index.save().length / 1024) }
      },
    }),
  ),
]

export function ranked(queries: readonly Query[], search: (query: Query) => Int32Array): Record<string, number> {
  let [first, hits, reciprocal] = [0, 0, 0]
  for (const query of queries) {
    const at = search(query).findIndex(entry => query.relevant.has(entry))
    if (at < 0) continue
    if (at === 0) first++
    if (at < 5) hits++
    if (at < 10) reciprocal += 1 / (at + 1)
  }
  return { precisionAt1: first / queries.length, hitAt5: hits / queries.length, mrrAt10: reciprocal / queries.length }
}

interface StackFaq {
  root: { qapair: { question: string; rephr?: string[] | string; answer?: string | string[] }[] }
}

/** Questions with their rephrasings. */
export function stackFaqEntries(folder: string): { question: string; others: string[] }[] {
  const { root } = JSON.parse(textOf(folder, 'stackExchange-FAQ.json')) as StackFaq
  return root.qapair.map(({ question, rephr }) => ({
    question,
    others: Array.isArray(rephr) ? rephr.filter(text => text && text !== '*') : [],
  }))
}

/** StackFAQ (Karan and Šnajder 2016): 125 questions; each rephrasing is asked, of the questions alone and of the questions with all other rephrasings. */
export const stackFaq: Protocol = {
  name: 'stackfaq',
  about: 'StackFAQ: rephrased questions against 125 entries',
  run: function* ({ data = `${DATA}/stackfaq`, methods }) {
    const entries = stackFaqEntries(data)
    const asked = entries.flatMap(({ others }, entry) => others.map((text): Query => ({ text, relevant: new Set([entry]) })))
    const questions = phrasingsOf(entries.map(({ question }, entry) => [question, entry] as const))
    yield* measured('stackfaq', searchMethods, { phrasings: questions, queries: asked }, methods, 'question')
    const all = phrasingsOf(entries.flatMap(({ question, others }, entry) => [question, ...others].map(text => [text, entry] as const)))
    const queries = asked.map(query => ({ ...query, own: all.texts.indexOf(query.text) }))
    yield* measured('stackfaq', searchMethods, { phrasings: all, queries }, methods, 'leave-one-out')
  },
}

/** LCQMC (Liu et al. 2018) as retrieval: the second questions are the documents, the first ones of positive pairs are asked; who is linked is relevant. */
export const lcqmc: Protocol = {
  name: 'lcqmc',
  about: 'LCQMC: Chinese questions against 12,000 others of which some mean the same',
  run: function* ({ data = `${DATA}/zh_questions`, methods }) {
    const folder = join(data, 'LCQMC')
    const pairs = linesIn(folder, 'test.txt').flatMap((line, at) => {
      const [a, b, label, ...more] = line.split('\t')
      if (label === undefined || more.length > 0 || !/^[01]$/.test(label.trim()))
        throw new ProtocolError(`${join(folder, 'test.txt')} line ${at + 1} is not "question, question, 0 or 1": ${line.slice(0, 60)}`)
      return a.trim() && b.trim() ? [{ a: a.trim(), b: b.trim(), isSame: label.trim() === '1' }] : []
    })
    yield* measured('lcqmc', searchMethods, linked(pairs), methods)
  },
}

function linked(pairs: readonly { a: string; b: string; isSame: boolean }[]): Search {
  const texts = [...new Set(pairs.map(({ b }) => b))].sort()
  const numbers = new Map(texts.map((text, at) => [text, at]))
  const parents = new Map<string, string>()
  const rootOf = (text: string): string => {
    let root = text
    for (let next = parents.get(root); next !== undefined; next = parents.get(root)) root = next
    return root
  }
  for (const { a, b, isSame } of pairs) {
    if (!isSame) continue
    const [from, to] = [rootOf(a), rootOf(b)]
    if (from !== to) parents.set(from, to)
  }
  const groups = new Map<string, Set<number>>()
  texts.forEach((text, at) => {
    const root = rootOf(text)
    groups.set(root, (groups.get(root) ?? new Set()).add(at))
  })
  const queries = [...new Set(pairs.filter(({ isSame }) => isSame).map(({ a }) => a))].sort().flatMap((text): Query[] => {
    const own = numbers.get(text)
    const relevant = new Set(groups.get(rootOf(text)))
    if (own !== undefined) relevant.delete(own)
    return relevant.size > 0 ? [{ text, relevant, own }] : []
  })
  return { phrasings: phrasingsOf(texts.map((text, entry) => [text, entry] as const)), queries }
}

export function phrasingsOf(rows: readonly (readonly [text: string, entry: number])[]): Phrasings {
  const entries = Int32Array.from(rows, ([, entry]) => entry)
  return { entryCount: entries.reduce((most, entry) => Math.max(most, entry + 1), 0), texts: rows.map(([text]) => text), entries }
}

/** Entries by their ids, ascending; an id may have several rows, each one phrasing. */
export function entriesOf(rows: readonly Pair[]): { phrasings: Phrasings; ids: string[] } {
  const ids = [...new Set(rows.map(([, id]) => id))].sort()
  const numbers = new Map(ids.map((id, at) => [id, at]))
  return { ids, phrasings: phrasingsOf(rows.map(([text, id]) => [text, numbers.get(id) as number] as const)) }
}
