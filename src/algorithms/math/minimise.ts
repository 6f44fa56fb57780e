export interface Minimum {
  x: Float64Array
  value: number
  steps: number
}

const SHRINK = 0.5

/**
 * Least value of `f` by the simplex method of Nelder and Mead (1965), with the coefficients of Gao and Han (2012) for more than two variables; each x is kept
 * within [low, high]. Non-finite values count as infinitely large. Ends when the simplex and its values differ by less than `tolerance`.
 */
export function minimise(
  f: (x: Float64Array) => number,
  start: ArrayLike<number>,
  { low = -30, high = 30, size = 0.5, tolerance = 1e-10, steps = 5_000 } = {},
): Minimum {
  const n = start.length
  const [expand, contract, shrink] = [1 + 2 / n, 0.75 - 1 / (2 * n), Math.max(SHRINK, 1 - 1 / n)]
  const at = (x: Float64Array) => {
    const inside = x.map(each => Math.max(low, Math.min(high, each)))
    const value = f(inside)
    return { x: inside, value: Number.isFinite(value) ? value : Number.MAX_VALUE }
  }
  const simplex = [at(Float64Array.from(start))]
  for (let i = 0; i < n; i++) {
    const x = Float64Array.from(start)
    x[i] += x[i] + size > high ? -size : size
    simplex.push(at(x))
  }
  let step = 0
  for (; step < steps; step++) {
    simplex.sort((a, b) => a.value - b.value)
    const [best, worst] = [simplex[0], simplex[n]]
    const width = Math.max(...simplex.map(({ x }) => Math.max(...x.map((each, i) => Math.abs(each - best.x[i])))))
    if (worst.value - best.value <= tolerance * (1 + Math.abs(best.value)) && width <= Math.sqrt(tolerance)) break
    const centre = best.x.map((_, i) => simplex.slice(0, n).reduce((sum, { x }) => sum + x[i], 0) / n)
    const along = (factor: number) => at(centre.map((each, i) => each + factor * (worst.x[i] - each)))
    const reflected = along(-1)
    if (reflected.value < best.value) {
      const expanded = along(-expand)
      simplex[n] = expanded.value < reflected.value ? expanded : reflected
    } else if (reflected.value < simplex[n - 1].value) simplex[n] = reflected
    else {
      const contracted = along(reflected.value < worst.value ? -contract : contract)
      if (contracted.value < Math.min(reflected.value, worst.value)) simplex[n] = contracted
      else for (let i = 1; i <= n; i++) simplex[i] = at(simplex[i].x.map((each, j) => best.x[j] + shrink * (each - best.x[j])))
    }
  }
  simplex.sort((a, b) => a.value - b.value)
  return { ...simplex[0], steps: step }
}
