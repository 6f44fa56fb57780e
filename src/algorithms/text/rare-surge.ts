import { normalQuantile } from '../math/special.js'

const WINDOW = 56
const SPANS = [1, 2]
/** Above so many a step on average, counts are no rare ones: robust deviations serve better. */
const MOST_RARE = 4
const FEWEST = 4

/**
 * How surprising each step's count of something rare is, in standard deviations of a normal that is as improbable: the upper tail of the predictive
 * distribution of one or two steps, negative binomial because the rate is uncertain (gamma posterior of the last 56 ordinary steps, Gelman et al., BDA §2.6)
 * and uneven (moment estimate of the dispersion). 0 where fewer than four were counted, where the series is no rare one, and before `warmUp`. Steps
 * beyond `limit` do not teach.
 */
export function rareSurges(counts: ArrayLike<number>, { limit, warmUp }: { limit: number; warmUp: number }): Float64Array {
  const out = new Float64Array(counts.length)
  const usual: number[] = []
  for (let step = 0; step < counts.length; step++) {
    const [sum, squares] = usual.reduce(([a, b], count) => [a + count, b + count * count], [0, 0])
    const steps = usual.length
    const mean = steps > 0 ? sum / steps : 0
    if (step >= warmUp && steps >= 7 && mean < MOST_RARE) {
      const rate = (sum + 0.5) / steps
      const variance = steps > 1 ? (squares - steps * mean * mean) / (steps - 1) : mean
      const dispersion = mean > 0 ? Math.max(0, (variance - mean) / (mean * mean)) : 0
      for (const span of SPANS) {
        if (step + 1 < span) continue
        let count = 0
        for (let back = 0; back < span; back++) count += counts[step - back]
        // A sum of steps may only confirm what the step itself shows.
        if (count < FEWEST || counts[step] <= rate) continue
        const shape = 1 / (1 / (sum + 0.5) + dispersion / span)
        out[step] = Math.max(out[step], -normalQuantile(Math.max(1e-300, upperTail(count, rate * span, shape))))
      }
    }
    if (out[step] <= limit) usual.push(counts[step])
    if (usual.length > WINDOW) usual.shift()
  }
  return out
}

/** P(X ≥ count) of the negative binomial with this mean and shape, half of P(X = count) taken off (mid-p, Lancaster 1961). */
function upperTail(count: number, mean: number, shape: number): number {
  const share = mean / (mean + shape)
  let probability = Math.exp(-shape * Math.log1p(mean / shape))
  let below = 0
  for (let value = 0; value < count; value++) {
    below += probability
    probability *= ((value + shape) / (value + 1)) * share
  }
  // Far out the sum below is 1 to the last digit: there the tail is summed itself.
  if (1 - below > 1e-9) return Math.max(0, 1 - below - probability / 2)
  let tail = probability / 2
  for (let value = count; value < count + 1_000 && probability > 0; value++) {
    probability *= ((value + shape) / (value + 1)) * share
    tail += probability
  }
  return tail
}
