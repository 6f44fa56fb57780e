import { Arena } from '../math/kernels.js'
import type { Random } from '../math/random.js'
import { createCrew } from '../math/threads.js'

export interface Clusters {
  /** k × columnCount, row-major. */
  centres: Float64Array
  /** Nearest centre of each point. */
  labels: Int32Array
  counts: Float64Array
  /** Σ ‖x − c‖² over all points. */
  inertia: number
  iterations: number
}

export interface KMeansOptions {
  k: number
  /** Runs from different seeds; the one of least inertia is kept. */
  starts?: number
  /** Ends when Σ ‖Δc‖² is at most `tolerance` times the mean variance of the columns. */
  tolerance?: number
  iterations?: number
  /** Points a step of mini-batch k-means (Sculley 2010); 0 for Lloyd's algorithm on all. */
  batch?: number
}

/** Points that a thread takes at once. */
const CHUNK = 8_192
/** Fewer chunks are not worth waking other threads for. */
const SHARED_FROM = 4
const FAR = 1e30
/** Moves become float32: never less than they are. */
const WIDER = 1 + 1e-6

/**
 * k-means (Lloyd 1982, with the bounds of Hamerly 2010) from k-means++ seeds with greedy trials (Arthur and Vassilvitskii 2007). A cluster that empties takes the
 * point that is farthest from its centre. `points` are row-major, finite. With fewer distinct points than k the surplus clusters stay empty. Throws `RangeError`
 * on k < 1 and on values that are not finite.
 */
export function kMeans(points: Float32Array, columnCount: number, options: KMeansOptions, random: Random): Clusters {
  const { k, starts = 1 } = options
  if (!Number.isInteger(k) || k < 1) throw new RangeError(`k is a whole number of at least 1; this is ${k}`)
  const engine = new Engine(points, columnCount, k)
  let best: Clusters | undefined
  for (let start = 0; start < starts; start++) {
    const found = engine.run(options, random)
    if (!best || found.inertia < best.inertia) best = found
  }
  engine.close()
  return best as Clusters
}

/** Label of the nearest centre (the first of equals) of each point. */
export function nearestCentres(points: Float32Array, columnCount: number, centres: Float64Array): Int32Array {
  const k = columnCount > 0 ? centres.length / columnCount : 1
  const engine = new Engine(points, columnCount, k)
  const labels = engine.nearest(centres)
  engine.close()
  return labels
}

class Engine {
  private readonly arena = new Arena()
  private readonly crew: ReturnType<typeof createCrew>
  private readonly rows: number
  private readonly padded: number
  private readonly blocks: number
  private readonly points: Float32Array
  private readonly interleaved: Float32Array
  private readonly norms: Float32Array
  private readonly labels: Int32Array
  /** Of each chunk of points: what they add up to, and their inertia. */
  private readonly parts: { sums: Float64Array; counts: Float64Array; totals: Float64Array }
  private readonly sums: Float64Array
  private readonly counts: Float64Array
  /** Of each point how far its centre is at most, and any other at least; and what `noteMoves` says. */
  private readonly bounds: Float32Array
  private readonly moves: Float32Array
  private readonly distances: Float32Array
  private readonly trial: Float32Array
  private readonly one: Float32Array
  private readonly squares: number
  private readonly variance: number

  constructor(
    points: Float32Array,
    private readonly columnCount: number,
    private readonly k: number,
  ) {
    this.rows = columnCount > 0 ? points.length / columnCount : 0
    this.padded = Math.max(4, Math.ceil(columnCount / 4) * 4)
    this.blocks = Math.ceil(k / 4)
    this.points = this.arena.f32(this.rows * this.padded)
    this.interleaved = this.arena.f32(this.blocks * 4 * this.padded)
    this.norms = this.arena.f32(this.blocks * 4)
    this.labels = this.arena.i32(this.rows)
    this.sums = new Float64Array(this.blocks * 4 * this.padded)
    this.counts = new Float64Array(this.blocks * 4)
    const chunks = Math.max(1, Math.ceil(this.rows / CHUNK))
    this.parts = {
      sums: this.arena.f64(chunks * this.sums.length),
      counts: this.arena.f64(chunks * this.counts.length),
      totals: this.arena.f64(chunks),
    }
    this.crew = createCrew('kmeans', this.arena, chunks < SHARED_FROM ? 1 : undefined)
    this.bounds = this.arena.f32(2 * this.rows)
    this.moves = this.arena.f32(this.blocks * 16)
    this.distances = this.arena.f32(this.rows)
    this.trial = this.arena.f32(this.rows)
    this.one = this.arena.f32(this.padded)
    const means = new Float64Array(columnCount)
    let squares = 0
    for (let row = 0; row < this.rows; row++) {
      for (let column = 0; column < columnCount; column++) {
        const value = points[row * columnCount + column]
        this.points[row * this.padded + column] = value
        squares += value * value
        means[column] += value
      }
    }
    if (!Number.isFinite(squares)) throw new RangeError('Points must be finite; scale them first')
    this.squares = squares
    const count = Math.max(1, this.rows)
    const spread = squares / count - means.reduce((sum, mean) => sum + (mean / count) ** 2, 0)
    this.variance = Math.max(0, spread) / Math.max(1, columnCount)
  }

  run(options: KMeansOptions, random: Random): Clusters {
    const { tolerance = 1e-4, iterations: most = 300, batch = 0 } = options
    const centres = this.seeds(random)
    let iterations = 0
    if (batch > 0 && batch < this.rows) iterations = this.runBatches(centres, batch, random)
    else {
      // After an empty cluster was filled, sums and bounds are made anew.
      for (let follows = false; iterations < most; iterations++) {
        this.assign(centres, 0, this.rows, follows ? 'following' : 'bounding')
        follows = !this.fillEmpty(centres)
        const moved = this.moveToMeans(centres)
        if (moved <= tolerance * this.variance) break
      }
    }
    const inertia = this.assign(centres, 0, this.rows)
    return {
      centres,
      labels: this.labels.slice(),
      counts: this.counts.slice(0, this.k),
      inertia: Math.max(0, inertia),
      iterations,
    }
  }

  close(): void {
    this.crew.close()
  }

  nearest(centres: Float64Array): Int32Array {
    this.assign(centres, 0, this.rows)
    return this.labels.slice()
  }

  /** Greedy k-means++: each next centre is the best of a few points drawn by their squared distance to those there are. */
  private seeds(random: Random): Float64Array {
    const centres = new Float64Array(this.k * this.columnCount)
    if (this.rows === 0) return centres
    const trials = 2 + Math.floor(Math.log(this.k))
    this.distances.fill(FAR)
    let total = 0
    let potentials = new Float64Array(0)
    const take = (place: number, row: number) => {
      for (let column = 0; column < this.columnCount; column++)
        centres[place * this.columnCount + column] = this.points[row * this.padded + column]
      total = this.approach(row, this.distances)
      potentials = this.parts.totals.slice()
    }
    take(0, random.below(this.rows))
    for (let place = 1; place < this.k; place++) {
      let [best, least] = [-1, Number.POSITIVE_INFINITY]
      for (let trial = 0; trial < trials; trial++) {
        const row = this.drawn(random.next() * total, potentials)
        this.trial.set(this.distances)
        const potential = this.approach(row, this.trial)
        if (potential < least) {
          best = row
          least = potential
        }
      }
      take(place, best)
    }
    return centres
  }

  /** The point at which the squared distances, added up, pass the target; `potentials` are their sums by chunk. */
  private drawn(target: number, potentials: Float64Array): number {
    let [chunk, sum] = [0, 0]
    while (chunk < potentials.length - 1 && sum + potentials[chunk] <= target) sum += potentials[chunk++]
    for (let row = chunk * CHUNK; row < this.rows; row++) {
      sum += this.distances[row]
      if (sum > target) return row
    }
    return this.rows - 1
  }

  private approach(row: number, nearest: Float32Array): number {
    this.one.set(this.points.subarray(row * this.padded, (row + 1) * this.padded))
    const { totals } = this.parts
    this.crew.run(
      'approachAll',
      this.points.byteOffset,
      this.rows,
      CHUNK,
      this.padded,
      this.one.byteOffset,
      nearest.byteOffset,
      totals.byteOffset,
    )
    return totals.reduce((sum, total) => sum + total, 0)
  }

  /**
   * Labels, sums and counts of points [from, to); returns the inertia of all where these are all. `bounding` notes how near each point is, so that `following`, of
   * all points, can leave out those that cannot have another centre than before; it does not know the inertia.
   */
  private assign(centres: Float64Array, from: number, to: number, way?: 'bounding' | 'following'): number {
    if (way === 'following') this.noteMoves(centres)
    for (let centre = 0; centre < this.blocks * 4; centre++) {
      let norm = 0
      for (let column = 0; column < this.columnCount; column++) {
        const value = centre < this.k ? Math.fround(centres[centre * this.columnCount + column]) : 0
        norm += value * value
        this.interleaved[((centre >> 2) * this.padded + column) * 4 + (centre & 3)] = value
      }
      this.norms[centre] = centre < this.k ? norm : FAR
    }
    const { sums, counts, totals } = this.parts
    this.crew.run(
      'assignAll',
      this.points.byteOffset,
      from,
      to,
      CHUNK,
      this.padded,
      this.interleaved.byteOffset,
      this.norms.byteOffset,
      this.blocks,
      this.labels.byteOffset,
      sums.byteOffset,
      counts.byteOffset,
      totals.byteOffset,
      way ? this.bounds.byteOffset : 0,
      way === 'following' ? this.moves.byteOffset : 0,
    )
    this.sums.fill(0)
    this.counts.fill(0)
    let inertia = this.squares
    for (let chunk = 0; chunk * CHUNK < to - from; chunk++) {
      inertia += totals[chunk]
      for (let at = 0; at < this.sums.length; at++) this.sums[at] += sums[chunk * this.sums.length + at]
      for (let at = 0; at < this.counts.length; at++) this.counts[at] += counts[chunk * this.counts.length + at]
    }
    return inertia
  }

  /** Of each centre how far it moved since the last assignment, how far any other did, and half the way to the nearest other. */
  private noteMoves(centres: Float64Array) {
    const { columnCount, k, moves } = this
    const placed = Float64Array.from(centres, Math.fround)
    const before = (centre: number, column: number) => this.interleaved[((centre >> 2) * this.padded + column) * 4 + (centre & 3)]
    let [most, next, mover] = [0, 0, -1]
    for (let centre = 0; centre < k; centre++) {
      let moved = 0
      for (let column = 0; column < columnCount; column++) moved += (placed[centre * columnCount + column] - before(centre, column)) ** 2
      const far = Math.sqrt(moved) * WIDER
      moves[4 * centre] = far
      if (far > most) [most, next, mover] = [far, most, centre]
      else if (far > next) next = far
      let nearest = Number.POSITIVE_INFINITY
      for (let other = 0; other < k; other++) {
        if (other === centre) continue
        let distance = 0
        for (let column = 0; column < columnCount; column++)
          distance += (placed[centre * columnCount + column] - placed[other * columnCount + column]) ** 2
        nearest = Math.min(nearest, distance)
      }
      moves[4 * centre + 2] = (0.5 * Math.sqrt(nearest)) / WIDER
    }
    for (let centre = 0; centre < k; centre++) moves[4 * centre + 1] = centre === mover ? next : most
  }

  /** Centres to the means of their points; returns Σ ‖Δc‖². */
  private moveToMeans(centres: Float64Array): number {
    let moved = 0
    for (let centre = 0; centre < this.k; centre++) {
      if (this.counts[centre] === 0) continue
      for (let column = 0; column < this.columnCount; column++) {
        const at = centre * this.columnCount + column
        const mean = this.sums[centre * this.padded + column] / this.counts[centre]
        moved += (mean - centres[at]) ** 2
        centres[at] = mean
      }
    }
    return moved
  }

  /** Gives each empty cluster the point farthest from its own centre, taken from a cluster of several; true if there was one. */
  private fillEmpty(centres: Float64Array): boolean {
    let isFilled = false
    for (let empty = 0; empty < this.k; empty++) {
      if (this.counts[empty] > 0) continue
      let [farthest, most] = [-1, 0]
      for (let row = 0; row < this.rows; row++) {
        if (this.counts[this.labels[row]] < 2) continue
        let distance = 0
        for (let column = 0; column < this.columnCount; column++)
          distance += (this.points[row * this.padded + column] - centres[this.labels[row] * this.columnCount + column]) ** 2
        if (distance > most) {
          farthest = row
          most = distance
        }
      }
      if (farthest < 0) return isFilled
      isFilled = true
      const from = this.labels[farthest]
      for (let column = 0; column < this.columnCount; column++) {
        const value = this.points[farthest * this.padded + column]
        this.sums[from * this.padded + column] -= value
        this.sums[empty * this.padded + column] = value
      }
      this.counts[from]--
      this.counts[empty] = 1
      this.labels[farthest] = empty
    }
    return isFilled
  }

  /** Mini-batch steps (Sculley 2010): centres move towards the mean of their points of the batch by its share of all they have seen. Ends when a smoothed batch inertia no longer falls. */
  private runBatches(centres: Float64Array, batch: number, random: Random): number {
    const seen = new Float64Array(this.k)
    const steps = Math.ceil((10 * this.rows) / batch)
    let smoothed = Number.POSITIVE_INFINITY
    let [least, since] = [Number.POSITIVE_INFINITY, 0]
    const share = Math.min(1, (2 * batch) / (this.rows + 1))
    for (let step = 1; step <= steps; step++) {
      // A block of rows from a random place: rows that are sorted by something should be shuffled by the caller.
      const from = random.below(this.rows - batch + 1)
      let squares = 0
      for (let at = from * this.padded; at < (from + batch) * this.padded; at++) squares += this.points[at] ** 2
      const inertia = (this.assign(centres, from, from + batch) - this.squares + squares) / batch
      for (let centre = 0; centre < this.k; centre++) {
        const count = this.counts[centre]
        if (count === 0) continue
        seen[centre] += count
        const pull = count / seen[centre]
        for (let column = 0; column < this.columnCount; column++) {
          const at = centre * this.columnCount + column
          centres[at] += pull * (this.sums[centre * this.padded + column] / count - centres[at])
        }
      }
      smoothed = Number.isFinite(smoothed) ? smoothed * (1 - share) + inertia * share : inertia
      if (smoothed < least * (1 - 1e-4)) {
        least = smoothed
        since = 0
      } else if (++since >= 10) return step
    }
    return steps
  }
}
