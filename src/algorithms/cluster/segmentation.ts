import type { Learned } from '../algorithm.js'
import { pack, unpack } from '../artifact.js'
import type { Random } from '../math/random.js'
import { kMeans, nearestCentres } from './k-means.js'
import { adjustedRand, silhouette } from './quality.js'
import { fitScaling, type Scaling, scaledRows, type Table, unscaled } from './scaling.js'

const FORMAT = 'k-means/1'
const BATCH_FROM = 200_000
const BATCH = 10_000
const BOOTSTRAP_ROWS = 20_000

/** One number of clusters and how good it is. */
export interface Candidate {
  k: number
  silhouette: number
  /** Mean adjusted Rand index of clusterings of bootstrap samples with that of all: 1 means the same people are found together every time. */
  stability: number
  inertia: number
}

/** Clusters of a table of named features. */
export interface ClusterModel extends Learned {
  readonly k: number
  readonly features: readonly string[]
  readonly scaling: Scaling
  /** Scaled centres, k × features, largest cluster first. */
  readonly centres: Float64Array
  /** Share of the learning rows in each cluster. */
  readonly shares: Float64Array
  readonly inertia: number
  /** Every k that was tried, with what spoke for it. */
  readonly candidates: readonly Candidate[]
  /** Cluster of each row. */
  assign(table: Table): Int32Array
  /** Centre of a cluster in the units of the features. */
  centreOf(cluster: number): Float64Array
}

export interface ClusterOptions {
  /** This many clusters; else the best of `from` … `to`. */
  k?: number
  from?: number
  to?: number
  starts?: number
  bootstraps?: number
}

/**
 * Learns clusters: columns scaled, k-means from several starts (mini-batch above 200,000 rows), k by silhouette × stability under bootstrap. One cluster
 * where there are fewer than two distinct rows. Throws `RangeError` on names that do not fit the table.
 */
export function fitClusters(table: Table, features: readonly string[], options: ClusterOptions, random: Random): ClusterModel {
  if (features.length !== table.columnCount || table.values.length !== table.rows * table.columnCount)
    throw new RangeError(
      `${features.length} features do not fit a table of ${table.rows} × ${table.columnCount} with ${table.values.length} values`,
    )
  const { k, from = 2, to = 8, starts = 5, bootstraps = 5 } = options
  const scaling = fitScaling(table)
  const points = scaledRows(scaling, table)
  const distinct = distinctRows(points, table.columnCount, table.rows, k ?? to)
  const wanted = k !== undefined ? [k] : Array.from({ length: Math.max(0, to - from + 1) }, (_, at) => from + at)
  const possible = [...new Set(wanted.map(each => Math.max(1, Math.min(each, distinct))))]
  const batch = table.rows > BATCH_FROM ? BATCH : 0
  const tried = possible.map(each => {
    const clusters = kMeans(points, table.columnCount, { k: each, starts, batch }, random.fork(`k${each}`))
    const isOnly = possible.length === 1 && k !== undefined && bootstraps === 0
    return {
      clusters,
      candidate: {
        k: each,
        silhouette: silhouette(points, table.columnCount, clusters.labels, random.fork(`silhouette${each}`)),
        stability: isOnly ? Number.NaN : stability(points, table, clusters.labels, each, bootstraps, random.fork(`stability${each}`)),
        inertia: clusters.inertia,
      },
    }
  })
  const merit = ({ candidate }: (typeof tried)[number]) =>
    candidate.silhouette > 0 ? candidate.silhouette * Math.max(0, candidate.stability) : 0
  const best = tried.reduce((most, each) => (merit(each) > merit(most) ? each : most))
  const { centres, counts, inertia } = best.clusters
  const order = Array.from({ length: best.candidate.k }, (_, cluster) => cluster).sort((a, b) => counts[b] - counts[a] || a - b)
  return modelOf({
    features,
    scaling,
    centres: Float64Array.from(order.flatMap(cluster => [...centres.subarray(cluster * features.length, (cluster + 1) * features.length)])),
    shares: Float64Array.from(order, cluster => counts[cluster] / Math.max(1, table.rows)),
    inertia,
    candidates: tried.map(({ candidate }) => candidate),
  })
}

export function loadClusters(artifact: Uint8Array): ClusterModel {
  const { meta, arrays } = unpack(FORMAT, artifact)
  return modelOf({
    features: meta.features as string[],
    scaling: meta.scaling as Scaling,
    centres: arrays.centres as Float64Array,
    shares: arrays.shares as Float64Array,
    inertia: Number(meta.inertia),
    // JSON has no NaN.
    candidates: (meta.candidates as Record<keyof Candidate, number | null>[]).map(
      each => Object.fromEntries(Object.entries(each).map(([name, value]) => [name, value ?? Number.NaN])) as unknown as Candidate,
    ),
  })
}

type State = Pick<ClusterModel, 'features' | 'scaling' | 'centres' | 'shares' | 'inertia' | 'candidates'>

function modelOf(state: State): ClusterModel {
  const { features, scaling, centres, shares } = state
  return {
    ...state,
    k: shares.length,
    assign: table => {
      if (table.columnCount !== features.length)
        throw new RangeError(`The model has ${features.length} features; the table has ${table.columnCount}`)
      return nearestCentres(scaledRows(scaling, table), features.length, centres)
    },
    centreOf: cluster => Float64Array.from(features, (_, column) => unscaled(scaling, column, centres[cluster * features.length + column])),
    save: () =>
      pack(FORMAT, {
        meta: { features, scaling, inertia: state.inertia, candidates: state.candidates },
        arrays: { centres, shares },
      }),
  }
}

/** Mean agreement of clusterings of bootstrap samples, each extended to all points by its nearest centres, with the labels of all (Hennig 2007). */
function stability(
  points: Float32Array,
  { rows, columnCount }: Table,
  labels: Int32Array,
  k: number,
  bootstraps: number,
  random: Random,
): number {
  if (k < 2 || rows === 0 || bootstraps < 1) return Number.NaN
  let sum = 0
  const size = Math.min(rows, BOOTSTRAP_ROWS)
  for (let sample = 0; sample < bootstraps; sample++) {
    const drawn = new Float32Array(size * columnCount)
    for (let at = 0; at < size; at++) {
      const row = random.below(rows)
      drawn.set(points.subarray(row * columnCount, (row + 1) * columnCount), at * columnCount)
    }
    const { centres } = kMeans(drawn, columnCount, { k, starts: 2 }, random)
    sum += adjustedRand(labels, nearestCentres(points, columnCount, centres))
  }
  return sum / bootstraps
}

function distinctRows(points: Float32Array, columnCount: number, rows: number, most: number): number {
  const seen = new Set<string>()
  for (let row = 0; row < rows && seen.size < most; row++) seen.add(points.subarray(row * columnCount, (row + 1) * columnCount).join(' '))
  return Math.max(1, seen.size)
}

/** How far clusters of today lie from those of before: each new centre, in the old scale, beside the nearest old one, and the change of shares. */
export interface Drift {
  /** Σ share · distance, in standard deviations of the old scale. */
  mean: number
  clusters: { cluster: number; nearest: number; distance: number; share: number; shareBefore: number }[]
}

/** Throws `RangeError` unless both know the same features. */
export function driftOf(before: ClusterModel, now: ClusterModel): Drift {
  if (before.features.join('\u0000') !== now.features.join('\u0000'))
    throw new RangeError('Clusters of different features cannot be compared')
  const clusters = Array.from({ length: now.k }, (_, cluster) => {
    const centre = scaledRows(before.scaling, {
      rows: 1,
      columnCount: now.features.length,
      values: Float32Array.from(now.centreOf(cluster)),
    })
    let [nearest, least] = [0, Number.POSITIVE_INFINITY]
    for (let old = 0; old < before.k; old++) {
      let squares = 0
      centre.forEach((value, column) => {
        squares += (value - before.centres[old * centre.length + column]) ** 2
      })
      if (squares < least) [nearest, least] = [old, squares]
    }
    return { cluster, nearest, distance: Math.sqrt(least), share: now.shares[cluster], shareBefore: before.shares[nearest] }
  })
  return { mean: clusters.reduce((sum, { distance, share }) => sum + distance * share, 0), clusters }
}
