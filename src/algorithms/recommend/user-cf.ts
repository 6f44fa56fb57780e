import { parameter } from '../algorithm.js'
import { pack, unpack } from '../artifact.js'
import { topIndexes } from '../math/select.js'
import { rowMeans, type SparseMatrix, transpose } from '../math/sparse.js'
import { settingsOf } from './item-cf.js'
import { mostTelling, preferences, rowReader, strongest } from './preference.js'
import { productThresholds } from './products.js'
import type { Evidence, History, Interactions, RecommendAlgorithm, Recommender } from './recommender.js'
import { createSimilarity, rowNorms, type SimilaritySettings } from './similarity.js'
import { createTally, type Tally } from './tally.js'

const NOTHING = new Int32Array(0)
const FORMAT = 'user-cf/2'

interface State {
  kind: Interactions['kind']
  neighbours: number
  reverse: boolean
  raters: number
  settings: SimilaritySettings
  globalMean: number
  byUser: SparseMatrix
  /** Similarity of each user's `neighbours`-th nearest other user: who is as near as that is among them. */
  thresholds: Float64Array
}

interface Row {
  items: Int32Array
  values: Float64Array
}

/**
 * User–user neighbours (Resnick et al. 1994). Explicit: Pearson over the items both rated, r̂_ui = r̄_u + Σ sim(u, v)(r_vi − r̄_v) / Σ |sim(u, v)| over the
 * `neighbours` nearest who rated i, positive similarities only. Implicit: cosine, score_i = Σ_v sim(u, v) · w_vi over the users v who have u
 * among their nearest (`reverse`), or over u's own nearest. Of an item with more than `raters` users those it says most about are compared, which bounds the work.
 * A visitor the model never saw is compared with everybody by inverted lists.
 */
export const userCf: RecommendAlgorithm = {
  name: 'user-cf',
  defaults: { neighbours: 100, similarity: 'auto', minimumOverlap: 1, shrinkage: 0, significance: 0, reverse: true, raters: 1_000 },
  search: { neighbours: [50, 100, 200] },
  fit: (data, params) => {
    const byUser = preferences(data)
    const settings = settingsOf(params, userCf.defaults, data.kind)
    const neighbours = parameter(params, userCf.defaults, 'neighbours')
    const reverse = Boolean(params.reverse ?? userCf.defaults.reverse) && data.kind === 'implicit'
    const globalMean = byUser.values.length > 0 ? byUser.values.reduce((sum, value) => sum + value, 0) / byUser.values.length : 0
    const raters = Math.max(1, parameter(params, userCf.defaults, 'raters'))
    const thresholds = reverse ? nearestThresholds(byUser, settings, neighbours, raters) : new Float64Array(0)
    return recommenderOf({ kind: data.kind, neighbours, reverse, raters, settings, globalMean, byUser, thresholds })
  },
  load: artifact => {
    const { meta, arrays } = unpack(FORMAT, artifact)
    const offsets = arrays.offsets as Int32Array
    const byUser = {
      rows: offsets.length - 1,
      columnCount: Number(meta.itemCount),
      offsets,
      columns: arrays.columns as Int32Array,
      values: arrays.values as Float64Array,
    }
    const { kind, neighbours, reverse, raters, settings, globalMean } = meta as unknown as State
    return recommenderOf({ kind, neighbours, reverse, raters, settings, globalMean, byUser, thresholds: arrays.thresholds as Float64Array })
  },
}

/** The raters of each item that are compared: by cosine those of whose taste it is the largest part, as it makes up the most of their similarity. */
function telling(byItem: SparseMatrix, byUser: SparseMatrix, { measure }: SimilaritySettings, raters: number): SparseMatrix {
  return mostTelling(byItem, raters, measure === 'cosine' ? rowNorms(byUser) : undefined)
}

function nearestThresholds(byUser: SparseMatrix, settings: SimilaritySettings, neighbours: number, raters: number): Float64Array {
  const byItem = telling(transpose(byUser), byUser, settings, raters)
  if (settings.measure === 'cosine') {
    const norms = rowNorms(byUser)
    return productThresholds(byUser, byItem, { keep: neighbours, cosine: { rows: norms, columns: norms, ...settings } })
  }
  const similaritiesTo = createSimilarity(byUser, byItem, settings)
  const row = new Float64Array(byUser.rows)
  return Float64Array.from({ length: byUser.rows }, (_, user) => {
    const touched = similaritiesTo(byUser.columns, byUser.values, row, byUser.offsets[user], byUser.offsets[user + 1])
    row[user] = 0
    const scores = Float64Array.from(touched, other => row[other])
    for (const other of touched) row[other] = 0
    const best = topIndexes(scores, neighbours)
    return best.length < neighbours ? 0 : scores[best[neighbours - 1]]
  })
}

function recommenderOf(state: State): Recommender {
  const { kind, neighbours, reverse, raters, settings, globalMean, byUser, thresholds } = state
  const itemCount = byUser.columnCount
  const byItem = transpose(byUser)
  const means = rowMeans(byUser, globalMean)
  const similaritiesTo = createSimilarity(byUser, telling(byItem, byUser, settings, raters), settings)
  const similarities = new Float64Array(byUser.rows)
  let itemNorms: Float64Array | undefined

  /** Users whose taste counts for a visitor, with their similarities. */
  interface Peers {
    users: Int32Array
    similarities: Float64Array
  }
  const known = new WeakMap<Row, Peers>()
  /** Whose similarities stand in `similarities`. */
  let shown: Peers = { users: new Int32Array(0), similarities: new Float64Array(0) }

  /** Compares a history with all users, or remembers it; returns those whose taste counts, whose similarities are then at hand and all others 0. */
  function compare(history: Row): Int32Array {
    const peers = known.get(history)
    if (peers === shown) return shown.users
    for (const user of shown.users) similarities[user] = 0
    shown = peers ?? comparison(history)
    known.set(history, shown)
    shown.users.forEach((user, at) => {
      similarities[user] = shown.similarities[at]
    })
    return shown.users
  }

  function comparison(history: Row): Peers {
    const touched = similaritiesTo(history.items, history.values, similarities)
    const users = peersAmong(touched)
    const peers = { users, similarities: Float64Array.from(users, user => similarities[user]) }
    for (const user of touched) similarities[user] = 0
    return peers
  }

  /** The users whose taste counts for this visitor. */
  function peersAmong(touched: Int32Array): Int32Array {
    const positive = touched.filter(user => similarities[user] > 0)
    if (reverse) return positive.filter(user => similarities[user] >= thresholds[user])
    if (kind === 'explicit' || positive.length <= neighbours) return positive
    const scores = Float64Array.from(positive, user => similarities[user])
    return topIndexes(scores, neighbours).map(place => positive[place])
  }

  /** Each peer's exact part of the score of one item. */
  function parts(history: Row, item: number): { user: number; weight: number; similarity: number }[] {
    compare(history)
    const raters: { user: number; value: number; similarity: number }[] = []
    for (let at = byItem.offsets[item]; at < byItem.offsets[item + 1]; at++) {
      const user = byItem.columns[at]
      if (similarities[user] > 0) raters.push({ user, value: byItem.values[at], similarity: similarities[user] })
    }
    if (kind === 'implicit') return raters.map(({ user, value, similarity }) => ({ user, similarity, weight: similarity * value }))
    const chosen = raters.sort((a, b) => b.similarity - a.similarity || a.user - b.user).slice(0, neighbours)
    const total = chosen.reduce((sum, { similarity }) => sum + similarity, 0)
    return chosen.map(({ user, value, similarity }) => ({ user, similarity, weight: (similarity * (value - means[user])) / total }))
  }

  function scoreImplicit(history: Row, out: Float64Array) {
    out.fill(0)
    for (const user of compare(history)) {
      const similarity = similarities[user]
      for (let at = byUser.offsets[user]; at < byUser.offsets[user + 1]; at++) out[byUser.columns[at]] += similarity * byUser.values[at]
    }
  }

  /** By what the peers have alone. */
  let tally: Tally | undefined
  function tallied(given: History): Tally {
    tally ??= createTally(itemCount)
    for (const user of compare(row(given))) {
      const similarity = similarities[user]
      for (let at = byUser.offsets[user]; at < byUser.offsets[user + 1]; at++) {
        const part = similarity * byUser.values[at]
        if (part > 0) tally.add(byUser.columns[at], part)
      }
    }
    return tally
  }

  const bounded: Pick<Recommender, 'best' | 'scoreOf'> = {
    best: (given, count, withoutHistory) => tallied(given).best(count, withoutHistory ? given.items : NOTHING),
    scoreOf: (given, items) => tallied(given).of(items),
  }

  /** r̂ of every item at once: from the nearest user on, until an item has all the raters it takes. */
  function scoreExplicit(history: Row, out: Float64Array) {
    const order = compare(history)
      .slice()
      .sort((a, b) => similarities[b] - similarities[a] || a - b)
    const taken = new Int32Array(itemCount)
    const totals = new Float64Array(itemCount)
    out.fill(0)
    for (const user of order) {
      const similarity = similarities[user]
      for (let at = byUser.offsets[user]; at < byUser.offsets[user + 1]; at++) {
        const item = byUser.columns[at]
        if (taken[item] >= neighbours) continue
        taken[item]++
        totals[item] += similarity
        out[item] += similarity * (byUser.values[at] - means[user])
      }
    }
    const base = baseOf(history)
    for (let item = 0; item < itemCount; item++) out[item] = base + (totals[item] > 0 ? out[item] / totals[item] : 0)
  }

  /** What a prediction starts from: the visitor's own mean rating. */
  function baseOf({ values }: Row): number {
    if (kind === 'implicit') return 0
    return values.length > 0 ? values.reduce((sum, value) => sum + value, 0) / values.length : globalMean
  }

  const row = rowReader(itemCount, kind)
  return {
    itemCount,
    ...(kind === 'implicit' ? bounded : {}),
    score: (given, out) => (kind === 'implicit' ? scoreImplicit(row(given), out) : scoreExplicit(row(given), out)),
    predict: (given, item) => {
      const history = row(given)
      if (item < 0 || item >= itemCount) return baseOf(history)
      return baseOf(history) + parts(history, item).reduce((sum, { weight }) => sum + weight, 0)
    },
    explain: (given, item, limit = Number.POSITIVE_INFINITY) => {
      const history = row(given)
      const peers = parts(history, item)
      const evidence = Array.from(
        strongest(
          Float64Array.from(peers, ({ weight }) => weight),
          limit,
        ),
        (at): Evidence => {
          const { user, weight, similarity } = peers[at]
          return { kind: 'neighbour-user', items: common(byUser, user, history.items), weight, similarity }
        },
      )
      if (kind === 'explicit') evidence.push({ kind: 'popularity', items: [], weight: baseOf(history) })
      return evidence.sort((a, b) => Math.abs(b.weight) - Math.abs(a.weight)).slice(0, limit)
    },
    similar: (item, count) => {
      if (item < 0 || item >= itemCount) return { items: new Int32Array(0), scores: new Float32Array(0) }
      itemNorms ??= rowNorms(byItem)
      const scores = new Float64Array(itemCount)
      for (let at = byItem.offsets[item]; at < byItem.offsets[item + 1]; at++) {
        const user = byItem.columns[at]
        for (let place = byUser.offsets[user]; place < byUser.offsets[user + 1]; place++)
          scores[byUser.columns[place]] += byItem.values[at] * byUser.values[place]
      }
      for (let other = 0; other < itemCount; other++)
        scores[other] = scores[other] === 0 ? 0 : scores[other] / (itemNorms[item] * itemNorms[other])
      const best = topIndexes(scores, count + 1).filter(other => other !== item && scores[other] > 0)
      const items = best.slice(0, count)
      return { items, scores: Float32Array.from(items, other => scores[other]) }
    },
    save: () =>
      pack(FORMAT, {
        meta: { kind, neighbours, reverse, raters, settings: { ...settings }, globalMean, itemCount },
        arrays: { offsets: byUser.offsets, columns: byUser.columns, values: byUser.values, thresholds },
      }),
  }
}

/** Items of the history that this user has too, at most ten. */
function common({ offsets, columns }: SparseMatrix, user: number, items: Int32Array): number[] {
  const own = new Set(columns.subarray(offsets[user], offsets[user + 1]))
  return Array.from(items)
    .filter(item => own.has(item))
    .slice(-10)
}
