import type { Interactions } from './recommender.js'

export interface Biases {
  mean: number
  users: Float64Array
  items: Float64Array
}

/** μ + b_u + b_i by alternating least squares (Koren 2010): `epochs` sweeps, items first, regularised by 10 and 15. */
export function fitBiases({ userCount, itemCount, users, items, values }: Interactions, epochs = 10, regItem = 10, regUser = 15): Biases {
  const mean = values.length > 0 ? values.reduce((sum, value) => sum + value, 0) / values.length : 0
  const userBias = new Float64Array(userCount)
  const itemBias = new Float64Array(itemCount)
  const sweep = (target: Float64Array, keys: Int32Array, other: Float64Array, otherKeys: Int32Array, reg: number) => {
    const counts = new Float64Array(target.length)
    target.fill(0)
    for (let at = 0; at < values.length; at++) {
      target[keys[at]] += values[at] - mean - other[otherKeys[at]]
      counts[keys[at]]++
    }
    for (let key = 0; key < target.length; key++) target[key] /= reg + counts[key]
  }
  for (let epoch = 0; epoch < epochs; epoch++) {
    sweep(itemBias, items, userBias, users, regItem)
    sweep(userBias, users, itemBias, items, regUser)
  }
  return { mean, users: userBias, items: itemBias }
}
