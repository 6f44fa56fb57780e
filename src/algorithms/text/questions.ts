import { countFeatures } from './features.js'
import { normalise } from './normalise.js'
import { tellingWords } from './shop-words.js'

export interface QuestionCluster {
  /** Indexes of the questions, the most typical one first. */
  members: number[]
  /** Mean cosine to the middle of the cluster, in [0, 1]. */
  cohesion: number
}

const MOST_QUESTIONS = 5_000

/**
 * Questions that ask the same: leader clustering on tf-idf of words and characters, those that only say how is asked left out (cosine ≥ `similarity` to the middle of a cluster, texts in
 * order of length), then one round of reassignment. Clusters of `smallest` or more, the largest first. Identical texts weigh once in a middle. At most
 * 5,000 questions are looked at, the last ones.
 */
export function clusterQuestions(questions: readonly string[], similarity = 0.3, smallest = 2): QuestionCluster[] {
  const first = Math.max(0, questions.length - MOST_QUESTIONS)
  const texts = questions.slice(first).map(question => tellingWords(normalise(question)))
  const options = { words: 1, hanCharacters: 2, characters: 4, acrossWords: false, stems: true, minimumTexts: 1, mostFeatures: 200_000 }
  const { space, rows } = countFeatures(texts, options)
  const idf = space.inverseFrequencies()
  const vectors = texts.map((_, row) => {
    const columns = rows.columns.subarray(rows.offsets[row], rows.offsets[row + 1])
    const values = Float64Array.from(columns, (column, at) => rows.values[rows.offsets[row] + at] * idf[column])
    const length = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0)) || 1
    return { columns, values: values.map(value => value / length) }
  })
  const order = texts.map((_, row) => row).filter(row => vectors[row].columns.length > 0)
  order.sort((a, b) => vectors[a].columns.length - vectors[b].columns.length || a - b)
  type Middle = { sum: Map<number, number>; norm: number; members: number[]; texts: Set<string> }
  const middles: Middle[] = []
  // Only middles that share a feature with a text can be near it.
  const byColumn = new Map<number, Set<number>>()
  const cosine = (row: number, { sum, norm }: Middle) => {
    const { columns, values } = vectors[row]
    let dot = 0
    for (let at = 0; at < columns.length; at++) dot += values[at] * (sum.get(columns[at]) ?? 0)
    return norm > 0 ? dot / Math.sqrt(norm) : 0
  }
  const nearest = (row: number) => {
    const near = new Set<number>()
    for (const column of vectors[row].columns) for (const middle of byColumn.get(column) ?? []) near.add(middle)
    let [found, most] = [-1, similarity]
    for (const middle of [...near].sort((a, b) => a - b)) {
      const own = cosine(row, middles[middle])
      if (own > most) [found, most] = [middle, own]
    }
    return found
  }
  const join = (row: number, at: number) => {
    const middle = middles[at]
    middle.members.push(row)
    if (middle.texts.has(texts[row])) return
    middle.texts.add(texts[row])
    const { columns, values } = vectors[row]
    columns.forEach((column, place) => {
      const old = middle.sum.get(column) ?? 0
      const next = old + values[place]
      middle.norm += next * next - old * old
      middle.sum.set(column, next)
      const known = byColumn.get(column) ?? new Set()
      byColumn.set(column, known.add(at))
    })
  }
  for (const row of order) {
    let at = nearest(row)
    if (at < 0) at = middles.push({ sum: new Map(), norm: 0, members: [], texts: new Set() }) - 1
    join(row, at)
  }
  for (const middle of middles) middle.members = []
  for (const row of order) {
    const at = nearest(row)
    if (at >= 0) middles[at].members.push(row)
  }
  return middles
    .filter(({ members }) => members.length >= Math.max(1, smallest))
    .map(middle => {
      const near = middle.members.map(row => ({ row, cosine: cosine(row, middle) })).sort((a, b) => b.cosine - a.cosine || a.row - b.row)
      return { members: near.map(({ row }) => row + first), cohesion: near.reduce((sum, each) => sum + each.cosine, 0) / near.length }
    })
    .sort((a, b) => b.members.length - a.members.length || b.cohesion - a.cohesion || a.members[0] - b.members[0])
}
