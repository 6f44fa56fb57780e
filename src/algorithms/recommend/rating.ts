import type { Random } from '../math/random.js'
import { rowMeans, type SparseMatrix, transpose } from '../math/sparse.js'
import { type Biases, fitBiases } from './biases.js'
import { preferences } from './preference.js'
import { pearsonOf } from './products.js'
import type { Interactions } from './recommender.js'

/** Predicted rating of an item by a user; indexes beyond the training are unknown and get what is known without them. */
export type Predict = (user: number, item: number) => number

export interface NeighbourSettings {
  /** Whose neighbours: of users, among those who rated the item; of items, among those the user rated. */
  of: 'users' | 'items'
  /** `msd`: 1/(mean squared difference + 1); `pearson`: correlation over what both rated, ratings centred by the mean of whose neighbours they are; `pearson-baseline`: correlation of residuals, shrunk by (n − 1)/(n − 1 + shrinkage). */
  similarity: 'msd' | 'pearson' | 'pearson-baseline'
  neighbours: number
  shrinkage: number
}

/**
 * k nearest neighbours over ratings or, with `pearson-baseline`, over residuals r − b_ui: r̂ = b_ui + Σ s(r − b)/Σ s, over the `neighbours` largest positive
 * similarities (Koren 2010). Without a neighbour: b_ui, or the mean rating with `msd`. Similarities of all pairs are worked out once: entities² · 4 bytes.
 */
export function fitNeighbours(data: Interactions, { of, similarity, neighbours, shrinkage }: NeighbourSettings): Predict {
  const byUser = preferences({ ...data, kind: 'explicit' })
  const biases = fitBiases(data)
  const [rows, columns] = of === 'users' ? [byUser, transpose(byUser)] : [transpose(byUser), byUser]
  const [own, other] = of === 'users' ? [biases.users, biases.items] : [biases.items, biases.users]
  const isBaseline = similarity === 'pearson-baseline'
  const means = rowMeans(rows, biases.mean)
  const values = isBaseline
    ? residualsOf(columns, other, own, biases.mean)
    : similarity === 'pearson'
      ? columns.values.map((value, at) => value - means[columns.columns[at]])
      : columns.values
  const similarities =
    similarity === 'pearson' ? pearsonOf(rows, columns) : similaritiesOf(rows.rows, { ...columns, values }, isBaseline, shrinkage)
  const baseOf = (entity: number, against: number) => {
    if (isBaseline) return biases.mean + (own[entity] ?? 0) + (other[against] ?? 0)
    return similarity === 'pearson' ? (means[entity] ?? biases.mean) : 0
  }
  const found = { similarities: new Float64Array(rows.rows), values: new Float64Array(rows.rows) }
  return (user, item) => {
    const [entity, against] = of === 'users' ? [user, item] : [item, user]
    const base = baseOf(entity, against)
    const alone = similarity === 'msd' ? biases.mean : base
    if (entity >= rows.rows || against >= columns.rows) return alone
    let count = 0
    for (let at = columns.offsets[against]; at < columns.offsets[against + 1]; at++) {
      const similar = similarities[entity * rows.rows + columns.columns[at]]
      if (columns.columns[at] === entity || !(similar > 0)) continue
      found.similarities[count] = similar
      found.values[count++] = values[at]
    }
    if (count === 0) return alone
    return base + weightedMean(found.similarities.subarray(0, count), found.values.subarray(0, count), neighbours)
  }
}

/** Of the `most` largest weights; of equals the first. */
function weightedMean(weights: Float64Array, values: Float64Array, most: number): number {
  const least = weights.length > most ? weights.slice().sort()[weights.length - most] : 0
  let [total, sum, left] = [0, 0, most]
  for (let at = 0; at < weights.length; at++) {
    if (weights[at] <= least) continue
    total += weights[at]
    sum += weights[at] * values[at]
    left--
  }
  for (let at = 0; at < weights.length && left > 0; at++) {
    if (weights[at] !== least) continue
    total += weights[at]
    sum += weights[at] * values[at]
    left--
  }
  return sum / total
}

function residualsOf(matrix: SparseMatrix, rowBias: Float64Array, columnBias: Float64Array, mean: number): Float64Array {
  const residuals = new Float64Array(matrix.values.length)
  for (let row = 0; row < matrix.rows; row++)
    for (let at = matrix.offsets[row]; at < matrix.offsets[row + 1]; at++)
      residuals[at] = matrix.values[at] - mean - rowBias[row] - columnBias[matrix.columns[at]]
  return residuals
}

/** Both triangles of the similarities of `count` entities, from the lists of those who meet in each row of `lists`. */
function similaritiesOf(
  count: number,
  { rows, offsets, columns, values }: SparseMatrix,
  isBaseline: boolean,
  shrinkage: number,
): Float32Array {
  const common = new Uint16Array(count * count)
  const products = new Float64Array(count * count)
  const squares = new Float64Array(count * count)
  for (let row = 0; row < rows; row++) {
    for (let a = offsets[row]; a < offsets[row + 1]; a++) {
      const start = columns[a] * count
      const x = values[a]
      const xx = x * x
      for (let b = offsets[row]; b < offsets[row + 1]; b++) {
        const cell = start + columns[b]
        common[cell]++
        products[cell] += x * values[b]
        // Of the first of the pair, over what both have.
        squares[cell] += xx
      }
    }
  }
  const out = new Float32Array(count * count)
  for (let a = 0; a < count; a++) {
    for (let b = 0; b < count; b++) {
      const cell = a * count + b
      const n = common[cell]
      if (n === 0 || a === b) continue
      const twin = squares[b * count + a]
      if (!isBaseline) out[cell] = 1 / ((squares[cell] + twin - 2 * products[cell]) / n + 1)
      else {
        const spread = squares[cell] * twin
        if (spread > 1e-12 && n > 1) out[cell] = (products[cell] / Math.sqrt(spread)) * ((n - 1) / (n - 1 + shrinkage))
      }
    }
  }
  return out
}

export interface FactorSettings {
  factors: number
  epochs: number
  rate: number
  reg: number
}

/** Biased matrix factorisation by stochastic gradient descent, user by user: r̂ = μ + b_u + b_i + ⟨p_u, q_i⟩ (Koren, Bell and Volinsky 2009). */
export function fitFactors(data: Interactions, { factors, epochs, rate, reg }: FactorSettings, random: Random): Predict {
  const { userCount, itemCount, values } = data
  const mean = values.length > 0 ? values.reduce((sum, value) => sum + value, 0) / values.length : 0
  const { rows, offsets, columns, values: ratings } = preferences({ ...data, kind: 'explicit' })
  const p = Float64Array.from({ length: userCount * factors }, () => 0.1 * random.normal())
  const q = Float64Array.from({ length: itemCount * factors }, () => 0.1 * random.normal())
  const biases: Biases = { mean, users: new Float64Array(userCount), items: new Float64Array(itemCount) }
  for (let epoch = 0; epoch < epochs; epoch++) {
    for (let user = 0; user < rows; user++) {
      const u = user * factors
      for (let at = offsets[user]; at < offsets[user + 1]; at++) {
        const item = columns[at]
        const i = item * factors
        let dot = 0
        for (let k = 0; k < factors; k++) dot += p[u + k] * q[i + k]
        const error = ratings[at] - (mean + biases.users[user] + biases.items[item] + dot)
        biases.users[user] += rate * (error - reg * biases.users[user])
        biases.items[item] += rate * (error - reg * biases.items[item])
        for (let k = 0; k < factors; k++) {
          const a = p[u + k]
          const b = q[i + k]
          p[u + k] += rate * (error * b - reg * a)
          q[i + k] += rate * (error * a - reg * b)
        }
      }
    }
  }
  return (user, item) => {
    let sum = mean + (biases.users[user] ?? 0) + (biases.items[item] ?? 0)
    if (user < userCount && item < itemCount) for (let k = 0; k < factors; k++) sum += p[user * factors + k] * q[item * factors + k]
    return sum
  }
}

/** Of fewer ratings none can be spared; then all parts count alike. */
const LEAST_HELD_OF = 10

/**
 * Linear blend of predictors, its weights by ridge regression on a held-out tenth of the ratings (stacking, Wolpert 1992), then every part is fitted on all.
 */
export function fitBlend(
  data: Interactions,
  parts: readonly ((data: Interactions) => Predict)[],
  random: Random,
): { predict: Predict; weights: number[] } {
  const isHeld = Uint8Array.from(data.users, () => (data.users.length >= LEAST_HELD_OF && random.next() < 0.1 ? 1 : 0))
  const places = Array.from(data.users.keys())
  const part = (entries: number[]): Interactions => ({
    ...data,
    users: Int32Array.from(entries, at => data.users[at]),
    items: Int32Array.from(entries, at => data.items[at]),
    values: Float32Array.from(entries, at => data.values[at]),
    times: Float64Array.from(entries, at => data.times[at]),
  })
  const train = part(places.filter(at => !isHeld[at]))
  const held = places.filter(at => isHeld[at])
  const mean = train.values.length > 0 ? train.values.reduce((sum, value) => sum + value, 0) / train.values.length : 0
  const early = parts.map(teach => teach(train))
  const rows = held.map(at => early.map(predict => predict(data.users[at], data.items[at]) - mean))
  const weights =
    held.length === 0
      ? parts.map(() => 1 / parts.length)
      : ridge(
          rows,
          held.map(at => data.values[at] - mean),
          1,
        )
  const models = parts.map(teach => teach(data))
  return {
    weights,
    predict: (user, item) => mean + models.reduce((sum, predict, at) => sum + weights[at] * (predict(user, item) - mean), 0),
  }
}

/** (XᵀX + λI)⁻¹Xᵀy by elimination; a handful of columns. */
function ridge(rows: readonly number[][], y: readonly number[], reg: number): number[] {
  const n = rows[0]?.length ?? 0
  const system = Array.from({ length: n }, (_, i) => [
    ...Array.from({ length: n }, (_, j) => rows.reduce((sum, row) => sum + row[i] * row[j], i === j ? reg : 0)),
    rows.reduce((sum, row, at) => sum + row[i] * y[at], 0),
  ])
  for (let pivot = 0; pivot < n; pivot++) {
    for (let row = 0; row < n; row++) {
      if (row === pivot) continue
      const factor = system[row][pivot] / system[pivot][pivot]
      for (let column = pivot; column <= n; column++) system[row][column] -= factor * system[pivot][column]
    }
  }
  return system.map((row, at) => row[n] / row[at])
}
