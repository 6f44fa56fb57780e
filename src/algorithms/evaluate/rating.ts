export interface RatingMetrics {
  rmse: number
  mae: number
}

/** Root mean square and mean absolute error of predictions, clipped to the scale before they are compared. */
export function ratingMetrics(
  predicted: ArrayLike<number>,
  actual: ArrayLike<number>,
  [low, high]: readonly [number, number],
): RatingMetrics {
  let squares = 0
  let absolutes = 0
  for (let at = 0; at < actual.length; at++) {
    const error = Math.max(low, Math.min(high, predicted[at])) - actual[at]
    squares += error * error
    absolutes += Math.abs(error)
  }
  const count = Math.max(1, actual.length)
  return { rmse: Math.sqrt(squares / count), mae: absolutes / count }
}
