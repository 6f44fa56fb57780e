import { type Params, parameter } from '../algorithm.js'
import { BrokenArtifact, pack, unpack } from '../artifact.js'
import { topIndexes } from '../math/select.js'
import { type SparseMatrix, sparseFrom, transpose } from '../math/sparse.js'
import { remembered, strongest, voteReader } from './preference.js'
import type { Evidence, History, Ranking, RecommendAlgorithm, Recommender } from './recommender.js'
import { rowNorms } from './similarity.js'
import { createTally, type Tally } from './tally.js'

const FORMAT = 'content/1'

/** What items are; every list has one entry an item. Structured-cloneable. */
export interface Content {
  titles: readonly string[]
  descriptions?: readonly (string | null)[]
  categories?: readonly (readonly string[])[]
  brands?: readonly (string | null)[]
  /** In one currency; NaN where unknown. */
  prices?: Float64Array
  /** Further facts, "name=value". */
  attributes?: readonly (readonly string[])[]
}

/** Of these kinds an item has many or few by the length of a text, which says nothing: they are scaled to length 1. */
const TEXTS: readonly string[] = ['title', 'letters', 'description']
/** Kinds of terms, each with the parameter that weighs it. */
const GROUPS = ['title', 'letters', 'description', 'category', 'brand', 'price', 'attribute'] as const
type Group = (typeof GROUPS)[number]
const MOST_DESCRIPTION_WORDS = 120
const MOST_TERMS = 300_000
const TERMS_SHOWN = 5
const NOTHING = new Int32Array(0)
/** Entries of lists after which it is asked for the first time whether they are enough. */
const FIRST_LOOK = 4_000
/** Of sums in another order. */
const ROUNDING = 1e-9

interface Vocabulary {
  /** "group:term" → column. */
  columns: Map<string, number>
  idf: Float64Array
  weights: Readonly<Record<Group, number>>
}

interface State {
  votes: boolean
  /** Power of the length that a score is divided by. */
  norm: number
  vocabulary: Vocabulary
  /** Items × terms; an empty row where nothing is known. */
  items: SparseMatrix
}

/**
 * Like what the user liked, by words (English and Chinese), letters, categories, brand, price band and attributes (Lops et al. 2011). An item's vector x is tf · idf
 * times the weight of each kind of term, texts scaled to length 1; what has more or rarer facts speaks louder. score_j = ⟨p, x_j⟩ / (|p| · |x_j|^norm),
 * p = Σ w_i x_i: cosine at norm 1. The one algorithm that can score items nobody has touched.
 */
export const content: RecommendAlgorithm = {
  name: 'content',
  defaults: { title: 0.5, letters: 0.3, description: 0.5, category: 1, brand: 0.6, price: 0.3, attribute: 0.4, norm: 0.5 },
  search: { title: [0, 0.5, 1], letters: [0, 0.3], norm: [0.5, 1], description: [0, 0.5], brand: [0.3, 1], price: [0, 0.3] },
  fit: (data, params) => {
    const weights = weightsOf(params)
    const described = data.content ?? { titles: [] }
    const documents = Array.from({ length: data.itemCount }, (_, item) => termsOf(described, item, weights))
    const vocabulary = vocabularyOf(documents, weights)
    const norm = parameter(params, content.defaults, 'norm')
    return recommenderOf({ votes: data.kind === 'explicit', norm, vocabulary, items: matrixOf(documents, vocabulary) })
  },
  load: artifact => {
    const { meta, arrays } = unpack(FORMAT, artifact)
    const terms = JSON.parse(new TextDecoder().decode(arrays.terms as Uint8Array)) as string[]
    const offsets = arrays.offsets as Int32Array
    if (terms.length !== arrays.idf.length) throw new BrokenArtifact('The terms of the model artifact are incomplete')
    return recommenderOf({
      votes: Boolean(meta.votes),
      norm: Number(meta.norm),
      vocabulary: {
        columns: new Map(terms.map((term, column) => [term, column])),
        idf: arrays.idf as Float64Array,
        weights: meta.weights as Vocabulary['weights'],
      },
      items: {
        rows: offsets.length - 1,
        columnCount: terms.length,
        offsets,
        columns: arrays.columns as Int32Array,
        values: arrays.values as Float64Array,
      },
    })
  },
}

function weightsOf(params: Params): Record<Group, number> {
  return Object.fromEntries(GROUPS.map(group => [group, Math.max(0, parameter(params, content.defaults, group))])) as Record<Group, number>
}

/** How often each "group:term" occurs in an item. */
function termsOf(described: Content, item: number, weights: Readonly<Record<Group, number>>): Map<string, number> {
  const counts = new Map<string, number>()
  const add = (group: Group, term: string) => {
    if (term !== '' && weights[group] > 0) counts.set(`${group}:${term}`, (counts.get(`${group}:${term}`) ?? 0) + 1)
  }
  const title = described.titles[item] ?? ''
  for (const word of wordsOf(title)) {
    add('title', word)
    for (const letters of lettersOf(word)) add('letters', letters)
  }
  for (const word of wordsOf(described.descriptions?.[item] ?? '').slice(0, MOST_DESCRIPTION_WORDS)) add('description', word)
  for (const category of described.categories?.[item] ?? []) add('category', category.trim().toLowerCase())
  add('brand', (described.brands?.[item] ?? '').trim().toLowerCase())
  const price = described.prices?.[item] ?? Number.NaN
  if (price > 0) add('price', String(Math.round(2 * Math.log2(price))))
  for (const attribute of described.attributes?.[item] ?? []) add('attribute', attribute.toLowerCase())
  return counts
}

/** Words of letters and digits; of Chinese text, which has no spaces, each pair of neighbouring characters. */
export function wordsOf(text: string): string[] {
  const words: string[] = []
  for (const [run] of text
    .normalize('NFKC')
    .toLowerCase()
    .matchAll(/\p{Script=Han}+|(?:(?!\p{Script=Han})[\p{L}\p{N}])+/gu)) {
    if (!/^\p{Script=Han}/u.test(run)) words.push(run)
    else if (run.length === 1) words.push(run)
    else for (let at = 0; at + 1 < run.length; at++) words.push(run.slice(at, at + 2))
  }
  return words
}

/** Trigrams of a longer word with its ends marked, so that forms of one word meet. */
function lettersOf(word: string): string[] {
  if (word.length < 4 || /^\p{Script=Han}/u.test(word)) return []
  const marked = `<${word}>`
  return Array.from({ length: marked.length - 2 }, (_, at) => marked.slice(at, at + 3))
}

/** Terms in order of first appearance; letters that only one item has say nothing. Of very many the rarest are left out. */
function vocabularyOf(documents: readonly Map<string, number>[], weights: Vocabulary['weights']): Vocabulary {
  const frequencies = new Map<string, number>()
  for (const document of documents) for (const term of document.keys()) frequencies.set(term, (frequencies.get(term) ?? 0) + 1)
  let kept = [...frequencies].filter(([term, count]) => count > 1 || !term.startsWith('letters:'))
  if (kept.length > MOST_TERMS) kept = kept.sort((a, b) => b[1] - a[1]).slice(0, MOST_TERMS)
  return {
    columns: new Map(kept.map(([term], column) => [term, column])),
    idf: Float64Array.from(kept, ([, count]) => Math.log((1 + documents.length) / count)),
    weights,
  }
}

function matrixOf(documents: readonly Map<string, number>[], { columns, idf, weights }: Vocabulary): SparseMatrix {
  const entries = { rows: [] as number[], columns: [] as number[], values: [] as number[] }
  documents.forEach((document, row) => {
    const values = new Map<number, number>()
    const squares = new Map<string, number>()
    for (const [term, count] of document) {
      const column = columns.get(term)
      if (column === undefined) continue
      const value = (1 + Math.log(count)) * idf[column]
      const group = groupOf(term)
      values.set(column, value)
      squares.set(group, (squares.get(group) ?? 0) + value * value)
    }
    for (const term of document.keys()) {
      const column = columns.get(term)
      const square = squares.get(groupOf(term)) ?? 0
      if (column === undefined || square === 0) continue
      entries.rows.push(row)
      entries.columns.push(column)
      const length = TEXTS.includes(groupOf(term)) ? Math.sqrt(square) : 1
      entries.values.push(((values.get(column) as number) * weights[groupOf(term) as Group]) / length)
    }
  })
  return sparseFrom(documents.length, columns.size, {
    rows: Int32Array.from(entries.rows),
    columns: Int32Array.from(entries.columns),
    values: entries.values,
  })
}

function groupOf(term: string): string {
  return term.slice(0, term.indexOf(':'))
}

/** Places of a profile's terms, those that can add most first; and, by place in that order, the most that it and all behind it can add to one item. */
interface Plan {
  order: Int32Array
  rest: Float64Array
}

/**
 * How much terms can add to the score of one item. Of a kind of terms an item has at most so many, and they are at most so long together: so what some of them add
 * is no more than the largest so many of their single bounds, and no more than |weights| · |longest| (Cauchy and Schwarz).
 */
function boundsOf(byTerm: SparseMatrix, { columns }: Vocabulary): { plan(terms: Int32Array, weights: Float64Array): Plan } {
  const kinds = Uint8Array.from(columns.keys(), term => GROUPS.indexOf(groupOf(term) as Group))
  const largest = new Float64Array(byTerm.rows)
  const counts = GROUPS.map(() => new Int32Array(byTerm.columnCount))
  const squares = GROUPS.map(() => new Float64Array(byTerm.columnCount))
  for (let term = 0; term < byTerm.rows; term++) {
    const kind = kinds[term]
    for (let place = byTerm.offsets[term]; place < byTerm.offsets[term + 1]; place++) {
      const value = byTerm.values[place]
      largest[term] = Math.max(largest[term], value)
      counts[kind][byTerm.columns[place]]++
      squares[kind][byTerm.columns[place]] += value * value
    }
  }
  const most = counts.map(each => each.reduce((high, count) => Math.max(high, count), 0))
  const longest = squares.map(each => Math.sqrt(each.reduce((high, square) => Math.max(high, square), 0)))
  return {
    plan: (terms, weights) => {
      const singly = Float64Array.from(terms, (term, at) => weights[at] * largest[term])
      const order = topIndexes(singly, terms.length)
      const rest = new Float64Array(order.length + 1)
      const added = GROUPS.map((): number[] => [])
      const windows = new Float64Array(GROUPS.length)
      const lengths = new Float64Array(GROUPS.length)
      for (let place = order.length - 1; place >= 0; place--) {
        const at = order[place]
        const kind = kinds[terms[at]]
        const own = added[kind]
        own.push(singly[at])
        windows[kind] += singly[at] - (own[own.length - 1 - most[kind]] ?? 0)
        lengths[kind] += weights[at] * weights[at]
        for (let each = 0; each < GROUPS.length; each++) rest[place] += Math.min(windows[each], Math.sqrt(lengths[each]) * longest[each])
      }
      return { order, rest }
    },
  }
}

function recommenderOf({ votes, norm: power, vocabulary, items }: State): Recommender {
  const itemCount = items.rows
  const row = voteReader(itemCount, votes)
  const lengths = rowNorms(items)
  const divisors = lengths.map(length => (length > 0 ? length ** power : 1))
  /** Row t: what term t adds to the score of each item that has it, by its weight in the profile: x_jt / |x_j|^norm. */
  const byTerm = transpose(items)
  for (let place = 0; place < byTerm.values.length; place++) byTerm.values[place] /= divisors[byTerm.columns[place]]
  const bounds = boundsOf(byTerm, vocabulary)
  /** Scratch, 0 between calls. */
  const profile = new Float64Array(items.columnCount)
  let tally: Tally | undefined
  /** On average. */
  const termsOfItem = items.values.length / Math.max(1, itemCount)
  let planned: { of?: History; plan: Plan } = { plan: { order: NOTHING, rest: new Float64Array(1) } }
  /** What a history is made of: its terms with their weights, and |p|. */
  const read = remembered(given => {
    const history = row(given)
    const terms: number[] = []
    for (let at = 0; at < history.items.length; at++) {
      for (let place = items.offsets[history.items[at]]; place < items.offsets[history.items[at] + 1]; place++) {
        const term = items.columns[place]
        if (profile[term] === 0) terms.push(term)
        profile[term] += history.values[at] * items.values[place]
      }
    }
    // In the order in which an item's own terms stand, so that a score is the same sum from either side.
    terms.sort((a, b) => a - b)
    const weights = Float64Array.from(terms, term => profile[term])
    for (const term of terms) profile[term] = 0
    return { terms: Int32Array.from(terms), weights, norm: Math.sqrt(weights.reduce((sum, weight) => sum + weight ** 2, 0)) }
  })

  function spread(terms: Int32Array, weights: Float64Array, out: Float64Array) {
    out.fill(0)
    for (let at = 0; at < terms.length; at++) {
      const weight = weights[at]
      for (let place = byTerm.offsets[terms[at]]; place < byTerm.offsets[terms[at] + 1]; place++)
        out[byTerm.columns[place]] += weight * byTerm.values[place]
    }
  }

  function score(given: History, out: Float64Array) {
    const { terms, weights, norm } = read(given)
    spread(terms, weights, out)
    for (let item = 0; item < itemCount; item++) out[item] = norm > 0 ? out[item] / norm : 0
  }

  function scoreOf(given: History, wanted: Int32Array): Float64Array {
    const { terms, weights, norm } = read(given)
    for (let at = 0; at < terms.length; at++) profile[terms[at]] = weights[at]
    const scores = new Float64Array(wanted.length)
    for (let at = 0; at < wanted.length && norm > 0; at++) {
      const end = items.offsets[wanted[at] + 1]
      let sum = 0
      for (let place = items.offsets[wanted[at]]; place < end; place++) {
        const weight = profile[items.columns[place]]
        if (weight !== 0) sum += weight * (items.values[place] / divisors[wanted[at]])
      }
      scores[at] = sum / norm
    }
    for (const term of terms) profile[term] = 0
    return scores
  }

  /**
   * By the lists of the profile's terms, those that can add most first (Turtle and Flood 1995), until all terms that are left cannot lift an item that has none of
   * the others among the best; then what could still be among them is scored exactly.
   */
  function best(given: History, count: number, withoutHistory: boolean): Ranking {
    const { terms, weights } = read(given)
    if (given !== planned.of) planned = { of: given, plan: bounds.plan(terms, weights) }
    const { order, rest } = planned.plan
    const without = withoutHistory ? given.items : NOTHING
    tally ??= createTally(itemCount)
    let toCome = 0
    for (const term of terms) toCome += byTerm.offsets[term + 1] - byTerm.offsets[term]
    let left = 0
    let least = 0
    let added = 0
    let lookAt = FIRST_LOOK
    for (let at = 0; at < order.length; at++) {
      if (added >= lookAt) {
        lookAt = 4 * added
        least = tally.threshold(count, without)
        left = rest[at] * (1 + ROUNDING)
        // To score what could be among the best has to be less work than the lists that are to come.
        if (least > left && tally.countAtLeast(least * (1 - ROUNDING) - left) * termsOfItem < toCome - added) break
      }
      const [term, weight] = [terms[order[at]], weights[order[at]]]
      const end = byTerm.offsets[term + 1]
      for (let place = byTerm.offsets[term]; place < end; place++) tally.add(byTerm.columns[place], weight * byTerm.values[place])
      added += end - byTerm.offsets[term]
      left = 0
    }
    least = Math.max(least, tally.threshold(count, without))
    const candidates = tally.atLeast(least * (1 - ROUNDING) - left)
    const scores = scoreOf(given, candidates)
    const had = new Set(without)
    const skip = Uint8Array.from(candidates, item => (had.has(item) ? 1 : 0))
    const found = topIndexes(scores, count, skip)
    return { items: found.map(place => candidates[place]), scores: Float64Array.from(found, place => scores[place]) }
  }

  /** Who is asked about the same content again reads its terms once. */
  const matrices = new WeakMap<Content, SparseMatrix>()
  function matrixFor(described: Content): SparseMatrix {
    const known = matrices.get(described)
    if (known) return known
    const documents = described.titles.map((_, item) => termsOf(described, item, vocabulary.weights))
    const matrix = matrixOf(documents, vocabulary)
    matrices.set(described, matrix)
    return matrix
  }

  const termNames = () => [...vocabulary.columns.keys()]
  let names: string[] | undefined

  const cosineOf = (product: number, a: number, b: number) => (product > 0 ? Math.min(1, product / (lengths[a] * lengths[b])) : 0)

  /** Common terms of two items with their parts of the inner product. */
  function common(a: number, b: number): { term: number; part: number }[] {
    const found: { term: number; part: number }[] = []
    let [x, y] = [items.offsets[a], items.offsets[b]]
    while (x < items.offsets[a + 1] && y < items.offsets[b + 1]) {
      if (items.columns[x] === items.columns[y]) found.push({ term: items.columns[x], part: items.values[x++] * items.values[y++] })
      else if (items.columns[x] < items.columns[y]) x++
      else y++
    }
    return found
  }

  /** What each item of the history adds to the score. */
  function parts({ items: own, values }: ReturnType<typeof row>, norm: number, item: number): Float64Array {
    const added = new Float64Array(own.length)
    if (item < 0 || item >= itemCount || norm === 0) return added
    const [from, to] = [items.offsets[item], items.offsets[item + 1]]
    for (let place = from; place < to; place++) profile[items.columns[place]] = items.values[place]
    for (let at = 0; at < own.length; at++) {
      let product = 0
      for (let place = items.offsets[own[at]]; place < items.offsets[own[at] + 1]; place++)
        product += items.values[place] * profile[items.columns[place]]
      added[at] = (values[at] * product) / norm / divisors[item]
    }
    for (let place = from; place < to; place++) profile[items.columns[place]] = 0
    return added
  }

  function evidenceOf(from: number, item: number, weight: number): Evidence {
    const shared = common(from, item)
    names ??= termNames()
    const terms = shared
      .sort((a, b) => b.part - a.part || a.term - b.term)
      .slice(0, TERMS_SHOWN)
      .map(({ term }) => (names as string[])[term])
    return {
      kind: 'content',
      items: [from],
      weight,
      similarity: cosineOf(
        shared.reduce((sum, { part }) => sum + part, 0),
        from,
        item,
      ),
      terms: terms.map(term => term.slice(term.indexOf(':') + 1)),
    }
  }

  return {
    itemCount,
    score,
    best,
    scoreOf,
    predict: (given, item) => parts(row(given), read(given).norm, item).reduce((sum, weight) => sum + weight, 0),
    explain: (given, item, limit = Number.POSITIVE_INFINITY) => {
      const history = row(given)
      const added = parts(history, read(given).norm, item)
      return Array.from(strongest(added, limit), at => evidenceOf(history.items[at], item, added[at]))
    },
    similar: (item, count) => {
      if (item < 0 || item >= itemCount) return { items: new Int32Array(0), scores: new Float32Array(0) }
      const [from, to] = [items.offsets[item], items.offsets[item + 1]]
      const scores = new Float64Array(itemCount)
      spread(items.columns.subarray(from, to), items.values.subarray(from, to), scores)
      for (let other = 0; other < itemCount; other++) scores[other] = cosineOf(scores[other] * divisors[other], item, other)
      const best = topIndexes(scores, count + 1)
        .filter(other => other !== item && scores[other] > 0)
        .slice(0, count)
      return { items: best, scores: Float32Array.from(best, other => scores[other]) }
    },
    alike: (a, b) =>
      cosineOf(
        common(a, b).reduce((sum, { part }) => sum + part, 0),
        a,
        b,
      ),
    scoreNew: (given, described) => {
      const { terms, weights, norm } = read(given)
      const fresh = matrixFor(described)
      const freshLengths = rowNorms(fresh)
      terms.forEach((term, at) => {
        profile[term] = weights[at]
      })
      const scores = Float64Array.from({ length: fresh.rows }, (_, item) => {
        let sum = 0
        for (let at = fresh.offsets[item]; at < fresh.offsets[item + 1]; at++) sum += profile[fresh.columns[at]] * fresh.values[at]
        return norm > 0 && sum > 0 ? sum / norm / freshLengths[item] ** power : 0
      })
      for (const term of terms) profile[term] = 0
      return scores
    },
    save: () =>
      pack(FORMAT, {
        meta: { votes, norm: power, weights: vocabulary.weights },
        arrays: {
          terms: new TextEncoder().encode(JSON.stringify(termNames())),
          idf: vocabulary.idf,
          offsets: items.offsets,
          columns: items.columns,
          values: items.values,
        },
      }),
  }
}
