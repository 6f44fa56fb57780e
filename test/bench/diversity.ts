import { existsSync, readFileSync } from 'node:fs'
import { createRandom } from '../../src/algorithms/math/random.js'
import { topIndexes } from '../../src/algorithms/math/select.js'
import { ease } from '../../src/algorithms/recommend/ease.js'
import { chosen, historiesOf } from '../../src/algorithms/recommend/hold-out.js'
import { likeness } from '../../src/algorithms/recommend/index.js'
import type { Interactions } from '../../src/algorithms/recommend/recommender.js'
import { reranked } from '../../src/recommendations/diversity.js'
import type { Benchmark, Row } from './bench.js'

const DATA = '../shared/data/ml-100k'
const STEPS = [0, 0.1, 0.2, 0.3, 0.5, 0.7, 1]
const POOL = 50
const FIRST = 10
const TEST_SHARE = 0.2

interface Candidate {
  index: number
  score: number
  product: { categories: string[]; brand: null }
}

/** What the knob of diversity costs and brings: EASE on MovieLens 100K, the last fifth of each user's films to be found, lists re-ranked from the best 50. */
export const diversityKnob: Benchmark = {
  name: 'diversity',
  run: async ({ smoke }) => {
    if (smoke) return []
    if (!existsSync(`${DATA}/u.data`)) return [{ benchmark: 'diversity', ours: `${DATA} is absent`, peer: '', ratio: '', bar: '' }]
    const { data, genres } = films()
    const { train, relevant } = lastFifth(data)
    const model = ease.fit(train, {}, createRandom(1))
    const alike = likeness(train) as (a: number, b: number) => number
    const histories = historiesOf(train)
    const scores = new Float64Array(data.itemCount)
    const people = [...relevant].map(([user, wanted]) => {
      model.score(histories[user], scores)
      const skip = new Uint8Array(data.itemCount)
      for (const item of histories[user].items) skip[item] = 1
      const best = topIndexes(scores, POOL, skip)
      return {
        wanted,
        candidates: Array.from(best, index => ({ index, score: scores[index], product: { categories: genres[index], brand: null } })),
      }
    })
    return STEPS.map(step => rowOf(step, people, alike))
  },
}

function rowOf(
  step: number,
  people: readonly { wanted: ReadonlySet<number>; candidates: Candidate[] }[],
  alike: (a: number, b: number) => number,
): Row {
  let [found, unlike, distinct] = [0, 0, 0]
  for (const { wanted, candidates } of people) {
    const list = reranked(candidates, step, FIRST, (a, b) => alike(a.index, b.index))
    const gain = (at: number) => 1 / Math.log2(at + 2)
    const best = Array.from({ length: Math.min(FIRST, wanted.size) }, (_, at) => gain(at)).reduce((sum, each) => sum + each, 0)
    found += list.reduce((sum, { index }, at) => sum + (wanted.has(index) ? gain(at) : 0), 0) / best
    const pairs = list.flatMap((a, at) => list.slice(at + 1).map(b => 1 - alike(a.index, b.index)))
    unlike += pairs.reduce((sum, each) => sum + each, 0) / pairs.length
    distinct += new Set(list.flatMap(({ product }) => product.categories)).size
  }
  const mean = (sum: number, digits: number) => (sum / people.length).toFixed(digits)
  return {
    benchmark: `diversity ${step} (ml-100k, EASE, ${people.length} users)`,
    ours: `NDCG@10 ${mean(found, 4)}, intra-list diversity ${mean(unlike, 3)}, genres ${mean(distinct, 1)}`,
    peer: '',
    ratio: '',
    bar: '',
  }
}

function films(): { data: Interactions; genres: string[][] } {
  const lines = (file: string) =>
    readFileSync(`${DATA}/${file}`, 'utf8')
      .split('\n')
      .filter(line => line !== '')
      .map(line => line.split('\t'))
  const rows = lines('u.data').sort((a, b) => Number(a[3]) - Number(b[3]))
  const itemCount = rows.reduce((most, row) => Math.max(most, Number(row[1])), 0)
  const [titles, genres] = [Array<string>(itemCount).fill(''), Array.from({ length: itemCount }, () => [] as string[])]
  for (const [id, title, , kinds] of lines('ml-100k.item').slice(1)) {
    titles[Number(id) - 1] = title
    genres[Number(id) - 1] = kinds.split(' ')
  }
  const data: Interactions = {
    userCount: rows.reduce((most, row) => Math.max(most, Number(row[0])), 0),
    itemCount,
    users: Int32Array.from(rows, row => Number(row[0]) - 1),
    items: Int32Array.from(rows, row => Number(row[1]) - 1),
    values: new Float32Array(rows.length).fill(1),
    times: Float64Array.from(rows, row => Number(row[3]) * 1000),
    kind: 'implicit',
    content: { titles, categories: genres },
    now: Number(rows[rows.length - 1][3]) * 1000,
  }
  return { data, genres }
}

function lastFifth(data: Interactions): { train: Interactions; relevant: Map<number, Set<number>> } {
  const counts = new Int32Array(data.userCount)
  for (const user of data.users) counts[user]++
  const seen = new Int32Array(data.userCount)
  const kept: number[] = []
  const relevant = new Map<number, Set<number>>()
  for (const [at, user] of data.users.entries()) {
    if (seen[user]++ < Math.ceil((1 - TEST_SHARE) * counts[user])) kept.push(at)
    else relevant.set(user, (relevant.get(user) ?? new Set()).add(data.items[at]))
  }
  return { train: chosen(data, kept), relevant }
}
