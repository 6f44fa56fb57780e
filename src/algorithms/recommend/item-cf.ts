import { type Params, parameter } from '../algorithm.js'
import { pack, unpack } from '../artifact.js'
import { topIndexes } from '../math/select.js'
import { rowMeans, type SparseMatrix, transpose } from '../math/sparse.js'
import { mostTelling, preferences, rowReader } from './preference.js'
import { topProducts } from './products.js'
import type { Evidence, History, Interactions, RecommendAlgorithm, Recommender } from './recommender.js'
import { createSimilarity, rowNorms, type SimilaritySettings } from './similarity.js'
import { createTally, type Tally } from './tally.js'

const NOTHING = new Int32Array(0)
const FORMAT = 'item-cf/1'

interface Row {
  items: Int32Array
  values: Float64Array
}

interface State {
  kind: Interactions['kind']
  neighbours: number
  globalMean: number
  /** Mean rating of each item. */
  means: Float64Array
  /** Row j: the items most similar to j, ascending by index, with their similarities. */
  nearest: SparseMatrix
}

/**
 * Item–item neighbours (Sarwar et al. 2001). Implicit: cosine, the `neighbours` nearest of each item, score_j = Σ_{i ∈ history} w_i · sim(i, j).
 * Of a user with more than `history` items the strongest count, which bounds the work to `history` · entries.
 * Explicit: Pearson over the users who rated both, r̂_ui = r̄_i + Σ sim(i, j)(r_uj − r̄_j) / Σ |sim(i, j)| over the `neighbours` nearest that u rated.
 */
export const itemCf: RecommendAlgorithm = {
  name: 'item-cf',
  defaults: { neighbours: 100, similarity: 'auto', minimumOverlap: 1, shrinkage: 0, significance: 0, stored: 2_000, history: 1_000 },
  search: { shrinkage: [0, 5, 20], neighbours: [50, 100, 200] },
  fit: (data, params) => {
    const byUser = mostTelling(preferences(data), parameter(params, itemCf.defaults, 'history'))
    const byItem = transpose(byUser)
    const settings = settingsOf(params, itemCf.defaults, data.kind)
    const neighbours = parameter(params, itemCf.defaults, 'neighbours')
    // A prediction chooses among the items its user rated, so explicit models keep more than the nearest.
    const kept = data.kind === 'explicit' ? parameter(params, itemCf.defaults, 'stored') : neighbours
    const globalMean = byUser.values.length > 0 ? byUser.values.reduce((sum, value) => sum + value, 0) / byUser.values.length : 0
    return recommenderOf({
      kind: data.kind,
      neighbours,
      globalMean,
      means: rowMeans(byItem, globalMean),
      nearest: nearestItems(byItem, byUser, settings, kept),
    })
  },
  load: artifact => {
    const { meta, arrays } = unpack(FORMAT, artifact)
    const means = arrays.means as Float64Array
    const nearest = {
      rows: means.length,
      columnCount: means.length,
      offsets: arrays.offsets as Int32Array,
      columns: arrays.columns as Int32Array,
      values: arrays.values as Float64Array,
    }
    return recommenderOf({
      kind: meta.kind as State['kind'],
      neighbours: Number(meta.neighbours),
      globalMean: Number(meta.globalMean),
      means,
      nearest,
    })
  },
}

export function settingsOf(params: Params, defaults: Params, kind: Interactions['kind']): SimilaritySettings {
  const wanted = params.similarity ?? defaults.similarity
  return {
    measure: wanted === 'auto' ? (kind === 'explicit' ? 'pearson' : 'cosine') : (wanted as 'cosine' | 'pearson'),
    minimumOverlap: parameter(params, defaults, 'minimumOverlap'),
    shrinkage: parameter(params, defaults, 'shrinkage'),
    significance: parameter(params, defaults, 'significance'),
  }
}

/** By the kernel where similarity is a product of rows (cosine), else pair by pair. */
function nearestItems(byItem: SparseMatrix, byUser: SparseMatrix, settings: SimilaritySettings, kept: number): SparseMatrix {
  if (settings.measure === 'pearson') return nearestItemsPlain(byItem, byUser, settings, kept)
  const norms = rowNorms(byItem)
  return topProducts(byItem, byUser, { keep: kept, cosine: { rows: norms, columns: norms, ...settings } })
}

/** The plain version of the same, that tests compare the kernel to. */
export function nearestItemsPlain(byItem: SparseMatrix, byUser: SparseMatrix, settings: SimilaritySettings, kept: number): SparseMatrix {
  const items = byItem.rows
  const similaritiesTo = createSimilarity(byItem, byUser, settings)
  const row = new Float64Array(items)
  const offsets = new Int32Array(items + 1)
  const columns: Int32Array[] = []
  const values: Float64Array[] = []
  for (let item = 0; item < items; item++) {
    const touched = similaritiesTo(byItem.columns, byItem.values, row, byItem.offsets[item], byItem.offsets[item + 1])
    row[item] = 0
    const best = nearestOf(row, touched, kept)
    columns.push(best)
    values.push(Float64Array.from(best, other => row[other]))
    offsets[item + 1] = offsets[item] + best.length
    for (const other of touched) row[other] = 0
  }
  return {
    rows: items,
    columnCount: items,
    offsets,
    columns: joined(Int32Array, columns, offsets[items]),
    values: joined(Float64Array, values, offsets[items]),
  }
}

/** The `kept` entries of largest positive similarity among those touched, ascending by index. */
export function nearestOf(similarities: Float64Array, touched: Int32Array, kept: number): Int32Array {
  const positive = touched.filter(entry => similarities[entry] > 0).sort()
  if (positive.length <= kept) return positive
  const scores = Float64Array.from(positive, entry => similarities[entry])
  return topIndexes(scores, kept)
    .map(place => positive[place])
    .sort()
}

function joined<T extends Int32Array | Float64Array>(type: new (length: number) => T, parts: T[], length: number): T {
  const whole = new type(length)
  let at = 0
  for (const part of parts) {
    whole.set(part as never, at)
    at += part.length
  }
  return whole
}

function recommenderOf({ kind, neighbours, globalMean, means, nearest }: State): Recommender {
  const itemCount = means.length
  // Row i: the items j that have i among their nearest; scoring walks these lists of the history's items.
  const followers = transpose(nearest)
  const row = rowReader(itemCount, kind)

  function contributions(history: Row, item: number): { from: number; similarity: number; weight: number }[] {
    const found: { from: number; similarity: number; weight: number }[] = []
    for (let at = 0; at < history.items.length; at++) {
      const similarity = entryOf(nearest, item, history.items[at])
      if (similarity > 0 && history.items[at] !== item)
        found.push({ from: history.items[at], similarity, weight: similarity * history.values[at] })
    }
    if (kind === 'implicit') return found
    const chosen = found.sort((a, b) => b.similarity - a.similarity || a.from - b.from).slice(0, neighbours)
    const total = chosen.reduce((sum, { similarity }) => sum + similarity, 0)
    return chosen.map(({ from, similarity, weight }) => ({ from, similarity, weight: (weight - similarity * means[from]) / total }))
  }

  function predict(history: Row, item: number): number {
    const sum = contributions(history, item).reduce((total, { weight }) => total + weight, 0)
    return kind === 'implicit' ? sum : means[item] + sum
  }

  /** r̂ of every item at once: the history's similarities are gathered per item, and an item with more than `neighbours` of them takes the largest. */
  function scoreExplicit({ items, values }: Row, out: Float64Array) {
    const starts = new Int32Array(itemCount + 1)
    const each = (use: (target: number, at: number, similarity: number) => void) => {
      for (let at = 0; at < items.length; at++) {
        const item = items[at]
        for (let place = followers.offsets[item]; place < followers.offsets[item + 1]; place++)
          use(followers.columns[place], at, followers.values[place])
      }
    }
    each(target => starts[target + 1]++)
    for (let item = 0; item < itemCount; item++) starts[item + 1] += starts[item]
    const next = starts.slice(0, itemCount)
    const similarities = new Float64Array(starts[itemCount])
    const residuals = new Float64Array(starts[itemCount])
    each((target, at, similarity) => {
      similarities[next[target]] = similarity
      residuals[next[target]++] = values[at] - means[items[at]]
    })
    for (let item = 0; item < itemCount; item++) {
      const [from, to] = [starts[item], starts[item + 1]]
      const least = to - from > neighbours ? similarities.slice(from, to).sort()[to - from - neighbours] : 0
      let total = 0
      let sum = 0
      let left = neighbours
      // First those above the least one that counts, then as many of its equals as there is room for, in order.
      for (const wanted of [(similarity: number) => similarity > least, (similarity: number) => similarity === least]) {
        for (let at = from; at < to && left > 0; at++) {
          if (!wanted(similarities[at])) continue
          total += similarities[at]
          sum += similarities[at] * residuals[at]
          left--
        }
      }
      out[item] = means[item] + (total > 0 ? sum / total : 0)
    }
  }

  /** By the lists of the history's items alone. */
  let tally: Tally | undefined
  function tallied(given: History): Tally {
    tally ??= createTally(itemCount)
    const { items, values } = row(given)
    for (let at = 0; at < items.length; at++) {
      const weight = values[at]
      for (let place = followers.offsets[items[at]]; place < followers.offsets[items[at] + 1]; place++) {
        const part = weight * followers.values[place]
        if (part > 0) tally.add(followers.columns[place], part)
      }
    }
    return tally
  }

  const bounded: Pick<Recommender, 'best' | 'scoreOf'> = {
    best: (given, count, withoutHistory) => tallied(given).best(count, withoutHistory ? given.items : NOTHING),
    scoreOf: (given, items) => tallied(given).of(items),
  }

  return {
    itemCount,
    ...(kind === 'implicit' ? bounded : {}),
    score: (given, out) => {
      const history = row(given)
      if (kind === 'explicit') return scoreExplicit(history, out)
      out.fill(0)
      for (let at = 0; at < history.items.length; at++) {
        const weight = history.values[at]
        const item = history.items[at]
        for (let place = followers.offsets[item]; place < followers.offsets[item + 1]; place++)
          out[followers.columns[place]] += weight * followers.values[place]
      }
    },
    predict: (history, item) => (item >= 0 && item < itemCount ? predict(row(history), item) : globalMean),
    explain: (given, item, limit = Number.POSITIVE_INFINITY) => {
      const evidence = contributions(row(given), item).map(
        ({ from, similarity, weight }): Evidence => ({ kind: 'neighbour-item', items: [from], weight, similarity }),
      )
      if (kind === 'explicit') evidence.push({ kind: 'popularity', items: [], weight: means[item] })
      return evidence.sort((a, b) => Math.abs(b.weight) - Math.abs(a.weight)).slice(0, limit)
    },
    similar: (item, count) => {
      if (item < 0 || item >= itemCount) return { items: new Int32Array(0), scores: new Float32Array(0) }
      const [from, to] = [nearest.offsets[item], nearest.offsets[item + 1]]
      const best = topIndexes(nearest.values.subarray(from, to), count)
      return {
        items: best.map(place => nearest.columns[from + place]),
        scores: Float32Array.from(best, place => nearest.values[from + place]),
      }
    },
    save: () =>
      pack(FORMAT, {
        meta: { kind, neighbours, globalMean },
        arrays: { means, offsets: nearest.offsets, columns: nearest.columns, values: nearest.values },
      }),
  }
}

/** The entry at (row, column), 0 where there is none; binary search. */
function entryOf({ offsets, columns, values }: SparseMatrix, row: number, column: number): number {
  let low = offsets[row]
  let high = offsets[row + 1] - 1
  while (low <= high) {
    const middle = (low + high) >> 1
    if (columns[middle] === column) return values[middle]
    if (columns[middle] < column) low = middle + 1
    else high = middle - 1
  }
  return 0
}
